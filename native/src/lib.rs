//! Filter as a dynamic module: a shared object that a stock Envoy (1.38 and later) loads into its own process.
//!
//! It drives the same [`agentguard::flow::Flow`] as the Wasm host. Only the surroundings differ:
//!
//! ```text
//! abi/callbacks.rs   Envoy's functions in a safe form            abi/hooks.rs   functions for Envoy; catches every panic
//! configuration.rs   a policy or a kill list in force            exchange.rs    one exchange
//! process.rs         state that all workers share                abi/slots.rs   state of each worker
//! feed.rs            the kill list's feed, on the main thread   counted.rs     cache of label values
//! admin.rs           one request to the administration listener
//! ```
//!
//! There is no sandbox: a panic that left a hook, or a wrong pointer, would end Envoy with all its exchanges. `unsafe` is
//! therefore in `abi` alone, and the only decision there is to deny.

mod abi;
mod admin;
mod configuration;
mod counted;
mod exchange;
mod feed;
mod process;
