//! Test environment: a real Envoy with the filter, a provider double as its upstream, and clients, for tests and
//! benchmarks.
//!
//! Every listener uses a port chosen by the system, or by `port` where a program must be told one. Tests wait for conditions, never for a time. All processes end with
//! the process that started them, however it ends. Their output is printed only when a test fails.

mod bootstrap;
mod client;
mod envoy;
mod otlp;
mod page;
mod pool;
mod port;
mod process;
mod provider;
mod records;
mod wait;
mod wire;

pub use bootstrap::{Configuration, Site};
pub use client::{Http, Live, Request, Response, Upload};
pub use envoy::{
    Envoy, Host, Listening, Sample, Setup, Version, module, native, replace_watched, wasm,
};
pub use otlp::{Span, spans};
pub use page::Page;
pub use port::{CLOSED, free_port};
pub use process::{
    Process, agents_packages, agents_python, collector, go_packages, mcp_python, mesh_file, node,
    rate_limit_service, sdk_python,
};
pub use provider::{Answer, Ended, Gate, Provider, Received};
pub use records::{Records, check};
pub use wait::{PATIENCE, wait_for};
pub use wire::{Raw, RawResponse, gzip};
