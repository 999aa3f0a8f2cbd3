//! The Envoy side: Proxy-Wasm callbacks in, decisions of [`crate::flow`] out. The only place that names `proxy_wasm`.
