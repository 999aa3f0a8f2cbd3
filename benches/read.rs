//! What reading costs natively: ns for each byte of a request and of a whole answer of each protocol, for the scan of the
//! JSON alone and with the events made of it. `cargo bench --bench read`; `make bench` does the same in V8.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
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
