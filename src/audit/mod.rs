//! Audit log: one event per exchange, as one JSON line with the decision, its reasons and the inspection coverage. The
//! events form a chain, so that a changed, added or missing line is detected.

mod chain;
#[cfg(not(target_arch = "wasm32"))]
mod checkpoint;
mod path;
mod record;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod trace;
#[cfg(not(target_arch = "wasm32"))]
mod verify;

pub use chain::{Chain, ChainKey};
#[cfg(not(target_arch = "wasm32"))]
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointKey, CheckpointVerifier};
pub use path::mask_identifiers;
pub use record::{
    Record, RecordedApproval, RecordedContent, RecordedLimit, RecordedPart, RecordedRequest,
    RecordedRule,
};
#[cfg(not(target_arch = "wasm32"))]
pub use schema::{DECISIONS, MEMBERS, Member, Shape, schema};
pub use trace::valid_traceparent;
#[cfg(not(target_arch = "wasm32"))]
pub use verify::{ChainId, Fault, Head, Place, RecordDigest, Report, Verifier, parse_chain_id};
