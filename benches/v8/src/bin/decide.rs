//! Benchmark of compiling a policy and of one decision in V8: see run.mjs.

#[path = "../../../decisions.rs"]
mod decisions;

fn main() {
    decisions::run();
}
