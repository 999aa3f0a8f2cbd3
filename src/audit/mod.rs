//! One line for each exchange: what happened, why, how much was read; chained, so that a line that is changed, added or
//! missing shows.

mod chain;
mod record;
#[cfg(not(target_arch = "wasm32"))]
mod schema;

pub use chain::{Chain, ChainKey};
pub use record::{Record, RecordedRule};
#[cfg(not(target_arch = "wasm32"))]
pub use schema::schema;
