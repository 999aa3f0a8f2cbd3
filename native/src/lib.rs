//! The filter as a dynamic module: a shared object that a stock Envoy (1.38 and later) loads into its own process.
//!
//! It drives the same [`agentguard::flow::Flow`] as the Wasm host. What differs is what surrounds it:
//!
//! ```text
//! abi/callbacks.rs   what Envoy offers, made safe                abi/hooks.rs   what Envoy calls; catches every panic
//! configuration.rs   a policy or a kill list in force            exchange.rs    one exchange
//! process.rs         what all workers share                      abi/slots.rs   what each worker has of its own
//! feed.rs            the kill list's feed, on the main thread   counted.rs     label values that were counted before
//! admin.rs           one request to the administration listener
//! ```
//!
//! There is no sandbox: a panic that left a hook, or a wrong pointer, would end Envoy with all its exchanges. `unsafe` is
//! therefore in `abi` alone, and nothing there decides anything but to deny.

mod abi;
mod admin;
mod configuration;
mod counted;
mod exchange;
mod feed;
mod process;
