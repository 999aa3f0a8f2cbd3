//! Audit log: one event per exchange, as one JSON line with the decision, its reasons and the inspection coverage. The
//! events form a chain, so that a changed, added or missing line is detected.

mod chain;
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
mod checkpoint;
mod path;
mod record;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
mod time;
mod trace;
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
mod verify;

pub use chain::{Chain, ChainKey};
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointKey, CheckpointVerifier};
pub use path::mask_identifiers;
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub(crate) use record::{MAX_LIST_ITEMS, MAX_TEXT_BYTES};
pub use record::{
    Record, RecordedApproval, RecordedContent, RecordedLimit, RecordedPart, RecordedRequest,
    RecordedRule,
};
#[cfg(not(target_arch = "wasm32"))]
pub use schema::{DECISIONS, MEMBERS, Member, Shape, schema};
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub use time::is_time;
pub use trace::valid_traceparent;
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub use verify::{
    ChainId, DigestKind, Fault, Head, Kept, Place, RecordDigest, Report, Verifier, parse_chain_id,
};
