//! How long compiling a policy and one decision by it take, by the number of its rules, natively. In V8:
//! `benches/v8/src/bin/decide.rs`. `make bench-decide`.
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
