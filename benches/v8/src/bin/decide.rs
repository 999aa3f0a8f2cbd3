//! How long compiling a policy and one decision by it take in V8: see run.mjs.

#[path = "../../../decisions.rs"]
mod decisions;

fn main() {
    decisions::run();
}
