//! Spans in an `ExportTraceServiceRequest` of OpenTelemetry, in protobuf.

use std::collections::BTreeMap;

/// Span.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// Trace id, in hexadecimal digits.
    pub trace_id: String,
    /// Attributes that are strings.
    pub attributes: BTreeMap<String, String>,
}

/// Returns the fields of a message that have a length: number and bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while let Some(tag) = varint(&mut bytes) {
        let size = match tag & 7 {
            0 => {
                varint(&mut bytes);
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes)
                .and_then(|size| usize::try_from(size).ok())
                .unwrap_or(0),
            5 => 4,
            _ => break,
        };
        let Some((value, rest)) = bytes.split_at_checked(size) else {
            break;
        };
        bytes = rest;
        if tag & 7 == 2 {
            found.push((tag >> 3, value));
        }
    }
    found
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}

/// Returns the values of a field.
fn all(bytes: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    let fields = fields(bytes).into_iter();
    fields
        .filter(move |(known, _)| *known == number)
        .map(|(_, value)| value)
}

/// Returns the spans of a request: resource spans, scope spans, spans.
pub fn spans(request: &[u8]) -> Vec<Span> {
    let scopes = all(request, 1).flat_map(|resource| all(resource, 2));
    let spans = scopes.flat_map(|scope| all(scope, 2));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    spans
        .map(|span| Span {
            trace_id: all(span, 1)
                .flatten()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            attributes: all(span, 9)
                .filter_map(|attribute| {
                    let name = all(attribute, 1).next()?;
                    let value = all(attribute, 2).next()?;
                    Some((text(name), text(all(value, 1).next()?)))
                })
                .collect(),
        })
        .collect()
}
