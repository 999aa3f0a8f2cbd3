//! JSON in place: a strict scanner (RFC 8259) that records the location of each value, a cursor over the recorded
//! values, decoding of strings, exact numbers, and JSON texts nested in strings.
//!
//! The scanner is stricter than the RFC wherever two parsers of the same bytes could disagree: duplicate keys, invalid
//! UTF-8, a byte order mark and other encodings are errors.

mod array_cache;
mod body;
mod canonical;
mod element_cache;
mod inside;
mod number;
mod path;
mod pointer_cache;
mod scan;
mod string;
mod value;
mod write;

pub use array_cache::{KnownArray, MIN_KNOWN_BYTES};
pub use body::{Edits, JsonBody, NodeId};
pub use canonical::{Ambiguity, key_order, write_canonical};
pub use element_cache::ScannedElement;
pub use inside::Inside;
pub use number::Decimal;
pub use path::{JsonPath, PathStep};
pub use scan::{Limits, ScanError, ScanErrorKind, Tape, scan};
pub use string::{DecodedOffsets, decode, escapes};
pub use value::{Descendant, Elements, JsonText, Members, Value, ValueKind};
pub use write::{escape, quote};
