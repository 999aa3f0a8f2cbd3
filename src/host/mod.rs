//! The Envoy side: Proxy-Wasm callbacks in, decisions of [`crate::flow`] out. The only place that names `proxy_wasm`.
//!
//! Nothing is decided here, but for one thing: whatever the host refuses to do for us ends in a refusal of the exchange,
//! never in letting it pass unread.

mod abi;
mod exchange;
mod headers;
mod root;
mod stats;

use proxy_wasm::types::LogLevel;
use root::Root;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}
