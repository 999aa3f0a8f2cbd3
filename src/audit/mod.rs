//! One line for each exchange: what happened, why, how much was read; chained, so that a line that is changed, added or
//! missing shows.

mod chain;
mod record;

pub use chain::{Chain, ChainKey};
pub use record::{HeldRule, Record};
