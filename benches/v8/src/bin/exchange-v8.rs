//! Benchmark of one exchange in the filter, in V8: see benches/exchange.rs.

#[path = "../../../exchange.rs"]
mod exchange;

fn main() {
    exchange::main();
}
