//! Prints what reading costs, protocol by protocol.

#[path = "../../../readings.rs"]
mod readings;

fn main() {
    // V8 compiles its best code while that goes on.
    readings::print(std::time::Duration::from_millis(80));
}
