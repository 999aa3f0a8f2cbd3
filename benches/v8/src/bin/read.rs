//! Benchmark of parsing by protocol, in V8.

#[path = "../../../readings.rs"]
mod readings;

fn main() {
    // V8 compiles its best code meanwhile.
    readings::print(std::time::Duration::from_millis(80));
}
