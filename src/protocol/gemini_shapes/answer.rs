//! Answers: candidates, or an error.

use super::SAFETY;
use super::parts::read_content;
use crate::event::{Known, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls};
use crate::protocol::json_edit::number;
use crate::protocol::reader::{Is, Key, Origin, Reader};
use crate::wire::json::{self, Value};
use crate::wire::span::offset;

pub(super) const RESPONSE: &[Key] = &[
    ("candidates", Is::Own),
    ("usageMetadata", Is::Own),
    ("modelVersion", Is::Model),
    ("responseId", Is::Id),
    ("createTime", Is::Id),
    (
        "promptFeedback",
        Is::Object(&[
            ("blockReason", Is::Constant),
            ("blockReasonMessage", Is::Text(Part::Refusal)),
            ("safetyRatings", Is::List(&Is::Object(SAFETY))),
        ]),
    ),
    (
        "modelStatus",
        Is::Object(&[
            ("message", Is::Text(Part::Other)),
            ("modelStage", Is::Constant),
        ]),
    ),
    ("error", Is::Own),
    // Of a count.
    ("totalTokens", Is::Own),
    ("totalBillableCharacters", Is::Number),
    ("cachedContentTokenCount", Is::Number),
    ("promptTokensDetails", Is::Counts),
    ("cacheTokensDetails", Is::Counts),
];
pub(super) const CANDIDATE: &[Key] = &[
    ("content", Is::Own),
    ("finishReason", Is::Own),
    ("finishMessage", Is::Text(Part::Other)),
    ("index", Is::Number),
    ("tokenCount", Is::Number),
    ("avgLogprobs", Is::Number),
    ("safetyRatings", Is::List(&Is::Object(SAFETY))),
    ("citationMetadata", Is::Tree(Part::Other)),
    ("groundingMetadata", Is::Tree(Part::Other)),
    ("groundingAttributions", Is::Tree(Part::Other)),
    ("urlContextMetadata", Is::Tree(Part::Other)),
    ("logprobsResult", Is::Own),
    ("continuationToken", Is::Opaque),
];

/// The whole body of a response.
pub(in crate::protocol) fn response(reader: &mut Reader<'_>, root: Value<'_>) {
    let origin = answered(0);
    reader.keys(
        root,
        RESPONSE,
        &origin,
        &mut |reader, key, value| match key {
            "candidates" => {
                let mut at = 0usize;
                reader.array(value, |reader, element| {
                    let number = candidate_number(element, at);
                    reader.in_choice(element, number);
                    candidate(reader, element, number);
                    at = at.saturating_add(1);
                });
            }
            "usageMetadata" => usage(reader, value, &origin),
            "totalTokens" => {
                reader.number(value);
            }
            _ => error(reader, value),
        },
    );
}

fn answered(choice: u32) -> Origin {
    Origin {
        from: Known::Missing,
        part: Part::Text,
        turn: Turn::Latest,
        choice,
        piece_of: None,
    }
}

/// The number of a candidate: its own, or the place where it stands.
pub(super) fn candidate_number(candidate: Value<'_>, at: usize) -> u32 {
    number(candidate, "index").unwrap_or(offset(at))
}

fn candidate(reader: &mut Reader<'_>, candidate: Value<'_>, number: u32) {
    let origin = answered(number);
    let speaker = Attribution {
        origin: origin.clone(),
        calls: Turn::Latest,
        is_result: false,
    };
    reader.keys(
        candidate,
        CANDIDATE,
        &origin,
        &mut |reader, key, value| match key {
            "content" => read_content(reader, value, &speaker, &mut Calls::default()),
            // The text once more, token by token: it goes as a whole when the text is edited.
            "logprobsResult" => reader.claim_all(value),
            // A word, or with `enum-encoding=int` a number.
            _ => {
                let reason = value.text();
                if let Some(reason) = reason.as_deref().or_else(|| value.number()) {
                    reader.reading.finish.push(reason.into());
                }
                reader.value(value, Is::Constant, &origin);
            }
        },
    );
}

/// Thinking is not in `candidatesTokenCount`.
pub(super) fn usage(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    let count = |name: &str| reader.get(value, name).and_then(|count| count.as_u64());
    let input = count("promptTokenCount");
    let output = count("candidatesTokenCount");
    let cached = count("cachedContentTokenCount");
    let reasoning = count("thoughtsTokenCount");
    let usage = &mut reader.reading.usage;
    usage.input_tokens = input;
    usage.output_tokens = output;
    usage.cached_tokens = cached;
    usage.reasoning_tokens = reasoning;
    reader.value(value, Is::Counts, origin);
}

/// `google.rpc.Status`.
pub(in crate::protocol) fn error(reader: &mut Reader<'_>, value: Value<'_>) {
    const ERROR: &[Key] = &[
        ("code", Is::Own),
        ("message", Is::Text(Part::Other)),
        ("status", Is::Constant),
        ("details", Is::Tree(Part::Other)),
    ];
    if value.is_null() {
        reader.claim(value);
        return;
    }
    let status = value.get("status").and_then(|status| status.text());
    reader.reading.error = Some(status.as_deref().unwrap_or("error").into());
    if value.kind() == json::ValueKind::Object {
        // A number; Interactions say a word.
        reader.keys(
            value,
            ERROR,
            &answered(0),
            &mut |reader, _, code| match code.kind() {
                json::ValueKind::String => reader.id(code),
                _ => reader.claim(code),
            },
        );
    }
}
