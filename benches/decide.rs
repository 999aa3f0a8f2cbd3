//! Benchmark of compiling a policy and of one decision, by the number of rules, natively.
//! `benches/v8/src/bin/decide.rs` runs it in V8. `make bench-decide`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark prints what it measured"
)]

mod decisions;

fn main() {
    decisions::run();
}
