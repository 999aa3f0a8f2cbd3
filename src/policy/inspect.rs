//! Key `inspect`: limits of inspection.

use super::decode::{Decoder, PolicyPath};
use super::grammar::InspectKey;
use super::node::Node;
use crate::diag::{Fix, Severity, codes};

/// Limits of inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspect {
    /// Maximum bytes of a body that is read.
    pub max_body: u64,
    /// Maximum nesting of JSON.
    pub max_depth: u16,
    /// Maximum depth of JSON in strings of JSON.
    pub nested_json: u8,
    /// Maximum bytes of text that detectors scan in one exchange.
    pub max_text: u64,
    /// Whether runs of Base64 and hexadecimal digits are decoded and scanned.
    pub decode: bool,
}

impl Inspect {
    /// Limits for keys that are not written.
    pub const DEFAULT: Inspect = Inspect {
        max_body: 8 << 20,
        max_depth: 64,
        nested_json: 4,
        max_text: 4 << 20,
        decode: false,
    };
}

/// Reads the key `inspect`.
pub(super) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Inspect {
    let mut inspect = Inspect::DEFAULT;
    for (key, member) in decoder.keys(at, node).into_iter().flatten() {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            InspectKey::MaxBody => {
                if let Some(bytes) = bounded_size(decoder, &at, value, "8MiB") {
                    inspect.max_body = bytes;
                }
            }
            InspectKey::MaxText => {
                if let Some(bytes) = bounded_size(decoder, &at, value, "4MiB") {
                    inspect.max_text = bytes;
                }
            }
            InspectKey::Decode => {
                if let Some(decode) = decoder.boolean(&at, value) {
                    inspect.decode = decode;
                }
            }
            InspectKey::MaxDepth => {
                if let Some(depth) = bounded(decoder, &at, value, (1, 512), 64) {
                    inspect.max_depth = depth;
                }
            }
            InspectKey::NestedJson => {
                if let Some(depth) = bounded(decoder, &at, value, (0, 16), 4) {
                    inspect.nested_json = u8::try_from(depth).unwrap_or(16);
                }
            }
        }
    }
    inspect
}

/// Maximum bytes that the filter buffers at once. A larger limit would never be reached.
const LARGEST_SIZE: u64 = 256 << 20;

/// Minimum of a size limit: smaller than any useful request.
const SMALLEST_SIZE: u64 = 64;

/// Reads a number of bytes within what the filter can buffer.
fn bounded_size(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    usual: &str,
) -> Option<u64> {
    size_up_to(decoder, at, node, (LARGEST_SIZE, "256MiB"), usual)
}

/// Reads a number of bytes up to a maximum, which is also given in words.
pub(super) fn size_up_to(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    (largest, in_words): (u64, &str),
    usual: &str,
) -> Option<u64> {
    let bytes = decoder.bytes(at, node)?;
    if (SMALLEST_SIZE..=largest).contains(&bytes) {
        return Some(bytes);
    }
    let message = format!("{SMALLEST_SIZE} bytes to {in_words} are expected here");
    let help = format!("write for example `{usual}`, which holds without it");
    if let Some(diagnostic) = decoder.report(
        Severity::Error,
        codes::AG1007,
        at,
        node.span.clone(),
        message,
    ) {
        diagnostic.help = Some(help);
        diagnostic.fix = Some(Fix {
            span: node.span.clone(),
            with: usual.to_owned(),
        });
    }
    None
}

fn bounded(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    (low, high): (u16, u16),
    usual: u16,
) -> Option<u16> {
    let count = decoder.count(at, node)?;
    match u16::try_from(count) {
        Ok(count) if (low..=high).contains(&count) => Some(count),
        _ => {
            decoder.error(
                codes::AG1007,
                at,
                &node.span,
                &format!("a number from {low} to {high} is expected here"),
                &format!("write for example `{usual}`, which holds without it"),
            );
            None
        }
    }
}
