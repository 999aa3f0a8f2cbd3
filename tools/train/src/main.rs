//! Runs recorded exchanges through an instrumented native module, whose profile the compiler uses:
//!
//! ```text
//! train MODULE.so POLICIES.json TEXTS.jsonl.gz TRAFFIC.jsonl…
//! ```
//!
//! The module writes its profile to the file that `LLVM_PROFILE_FILE` names. Each run writes the same profile: time and
//! random numbers are simulated.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a build tool ends where something is wrong"
)]

#[path = "../../../native/tests/envoy/mod.rs"]
#[expect(
    unsafe_code,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    dead_code,
    reason = "the ABI is pointers, and not every driver moves what is borrowed"
)]
mod envoy;
mod module;
mod repeatable;
mod traffic;

use module::{Exchange, Module};
use traffic::{Recorded, conversations, exchanges, texts};

/// Step between labelled texts that are run. An eighth of them has all kinds of findings.
const EVERY_TEXT: usize = 8;

fn main() {
    let operands: Vec<String> = std::env::args().skip(1).collect();
    let [module, policies, labelled, traffic @ ..] = operands.as_slice() else {
        panic!("train MODULE.so POLICIES.json TEXTS.jsonl.gz TRAFFIC.jsonl…");
    };
    let module = Module::load(module);
    let traffic: Vec<Recorded> = traffic.iter().flat_map(|file| exchanges(file)).collect();
    let texts = texts(labelled);
    let mut all: Vec<Exchange> = traffic.iter().map(Recorded::exchange).collect();
    all.extend(
        texts
            .iter()
            .step_by(EVERY_TEXT)
            .map(|text| traffic::asked(text)),
    );
    all.extend(conversations(&texts));
    let mut passed = 0_usize;
    for policy in traffic::policies(policies) {
        let in_force = module.put_in_force(&policy);
        for exchange in &all {
            passed += usize::from(in_force.run(exchange));
        }
    }
    assert!(passed > all.len(), "hardly anything passes: {passed}");
}
