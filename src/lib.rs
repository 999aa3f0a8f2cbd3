//! AgentGuard is an Envoy filter that enforces a YAML policy on AI traffic: model requests and responses, tool calls,
//! MCP and A2A. This library is the Proxy-Wasm filter and the `agentguard` command.
//!
//! Layers, top to bottom. A layer imports from any layer below it, never from above or beside it:
//!
//! ```text
//! cli, host → filter → flow, author → approval, identity, limits → policy, protocol, audit, metrics, redact → detect, event → wire, diag, proxy
//! ```
//!
//! The core is sans-IO: no clock, no randomness, no environment and no host call below `host` and `cli`.
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        reason = "tests count on fixed data; an overflow there is a failing test"
    )
)]
#![cfg_attr(
    not(any(feature = "command", target_arch = "wasm32")),
    expect(
        dead_code,
        reason = "what only the command asks for is left out of the filter for Wasm, and otherwise by the linker"
    )
)]

pub mod approval;
pub mod audit;
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub mod author;
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub mod cli;
pub mod detect;
pub mod diag;
pub mod event;
pub mod filter;
pub mod flow;
#[cfg(target_arch = "wasm32")]
mod host;
pub mod identity;
pub mod limits;
pub mod metrics;
pub mod policy;
pub mod protocol;
pub mod proxy;
pub mod redact;
pub mod wire;
