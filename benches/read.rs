//! Benchmark of parsing, natively: ns per byte of a request and of a plain response of each protocol, for the JSON scan
//! alone and with the events. `cargo bench --bench read`; `make bench` runs the same in V8.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a benchmark prints what it measured"
)]

mod readings;

fn main() {
    readings::print(std::time::Duration::from_millis(10));
}
