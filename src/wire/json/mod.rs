//! JSON as it stands in the bytes: a strict scanner (RFC 8259) that records where each value is, a cursor over what
//! it recorded, decoding of strings, exact numbers, and JSON texts nested in strings.
//!
//! Stricter than the RFC on purpose, wherever two readers of the same bytes could disagree: duplicate keys, invalid
//! UTF-8, a byte order mark and other encodings are errors.

mod inside;
mod nest;
mod number;
mod path;
mod scan;
mod string;
mod trail;
mod value;
mod write;

pub use inside::Inside;
pub use nest::{Edits, Nest, Place};
pub use number::Decimal;
pub use path::{JsonPath, Step};
pub use scan::{Limits, ScanError, ScanErrorKind, Tape, scan};
pub use string::{DecodedOffsets, decode};
pub use value::{Descendant, Doc, Elements, Kind, Members, Value};
pub use write::{escape, quote};
