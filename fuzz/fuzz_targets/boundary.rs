#![no_main]
//! Exchanges through the hooks of the native module, with a simulated Envoy: see native/tests/boundary.rs. The input determines
//! the messages, where they are cut, and what fails.

#[path = "../../native/src/abi/mod.rs"]
mod abi;
#[path = "../../native/src/admin.rs"]
mod admin;
#[path = "../../native/src/configuration.rs"]
mod configuration;
#[path = "../../native/src/counted.rs"]
mod counted;
#[path = "../../native/tests/driver/mod.rs"]
mod driver;
#[path = "../../native/tests/envoy/mod.rs"]
mod envoy;
#[path = "../../native/src/exchange.rs"]
mod exchange;
#[path = "../../native/src/feed.rs"]
mod feed;
#[path = "../../native/src/process.rs"]
mod process;

use driver::{Dice, InForce, exchange, policy};

thread_local! {
    static IN_FORCE: [InForce; 2] = ["hold", "portable"].map(|headers| InForce::new(&policy(headers).to_string()));
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    IN_FORCE.with(|in_force| exchange(&in_force[usize::from(first % 2)], &mut Dice::Bytes(rest.iter())));
});
