//! How long the filter itself takes for one exchange, in V8: benches/exchange.rs has it.

#[path = "../../../exchange.rs"]
mod exchange;

fn main() {
    exchange::main();
}
