//! Envoy host: turns Proxy-Wasm callbacks into calls of [`crate::flow`], and performs its steps. The only module that
//! uses `proxy_wasm`.
//!
//! The only decision in this layer is fail-closed: if a host call fails, the exchange is denied, never allowed unread.

mod abi;
mod admin;
mod exchange;
mod headers;
mod kill;
mod memcmp;
mod policies;
mod proxy;
mod root;
mod stats;

use proxy_wasm::types::LogLevel;
use root::Root;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|id| Box::new(Root::new(id)));
}}
