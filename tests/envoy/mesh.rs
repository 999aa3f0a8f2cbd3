//! Real meshes without machines: the API of Kubernetes with etcd, istiod, its agent, Envoy Gateway's controller, Helm, and the
//! Envoy of the other tests. `make test-mesh` builds and runs them.

mod chart;
mod cluster;
mod controller;
mod envoy_gateway;
mod istio;
mod istiod;
