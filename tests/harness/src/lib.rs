//! A real Envoy with the filter in it, a provider double behind it and clients before it, for tests and benchmarks.
//!
//! Everything listens on a port that the system chose, waits for conditions and never for a time, and ends with the
//! process that started it, however that ends. What the processes printed is shown only when a test fails.

mod bootstrap;
mod client;
mod envoy;
mod process;
mod provider;
mod records;
mod wait;
mod wire;

pub use bootstrap::{Configuration, Site};
pub use client::{Http, Live, Request, Response, Upload};
pub use envoy::{Envoy, Listening, Sample, Setup, Version, wasm};
pub use process::{Process, agents_packages, agents_python, mcp_python, node, sdk_python};
pub use provider::{Answer, Ended, Gate, Provider, Received};
pub use records::Records;
pub use wait::{PATIENCE, wait_for};
pub use wire::{Raw, RawResponse, gzip};
