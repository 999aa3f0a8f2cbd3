//! The Envoy side: Proxy-Wasm callbacks in, decisions of [`crate::flow`] out.
//!
//! Nothing is decided here, but for one thing: whatever the host refuses to do for us ends in a refusal of the exchange,
//! never in letting it pass unread.

mod abi;
mod dispatch;
mod exchange;
mod headers;
mod root;
mod stats;
