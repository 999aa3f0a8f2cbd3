//! Wire formats: bytes ↔ structure, without meaning. This layer knows no provider and no rule.

pub mod decimal;
mod double;
pub mod edit;
pub mod frame;
pub mod hex;
pub mod http;
pub mod json;
pub mod letter_case;
pub mod memory_order;
pub mod multipart;
pub mod protobuf;
pub(crate) mod search;
pub mod simd;
pub mod slot_hash;
pub mod sort;
pub mod sorted_map;
pub mod span;
pub mod utf8;
pub mod work;
