//! Responses: candidates, or an error.

use super::SAFETY;
use super::parts::read_content;
use crate::event::{Known, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls};
use crate::protocol::json_edit::choice_number;
use crate::protocol::reader::{Origin, Reader, Row, Type, UsageKeys};
use crate::wire::json::{self, Value};

/// Member of Code Assist's responses with that of Gemini.
pub(super) const ENVELOPE: &str = "response";

pub(super) const RESPONSE: &[Row] = &[
    ("candidates", Type::Custom),
    // Of Code Assist, whose responses contain those of Gemini.
    (ENVELOPE, Type::Custom),
    ("traceId", Type::Id),
    ("consumedCredits", Type::Counts),
    ("remainingCredits", Type::Counts),
    ("usageMetadata", Type::Usage(&USAGE)),
    ("modelVersion", Type::Model),
    ("responseId", Type::Id),
    ("createTime", Type::Id),
    (
        "promptFeedback",
        Type::Object(&[
            ("blockReason", Type::Constant),
            ("blockReasonMessage", Type::Text(Part::Refusal)),
            ("safetyRatings", Type::List(&Type::Object(SAFETY))),
        ]),
    ),
    (
        "modelStatus",
        Type::Object(&[
            ("message", Type::Text(Part::Other)),
            ("modelStage", Type::Constant),
        ]),
    ),
    ("error", Type::Read(error)),
    // Of a count of tokens.
    ("totalTokens", Type::Number),
    ("totalBillableCharacters", Type::Number),
    ("cachedContentTokenCount", Type::Number),
    ("promptTokensDetails", Type::Counts),
    ("cacheTokensDetails", Type::Counts),
];
pub(super) const CANDIDATE: &[Row] = &[
    ("content", Type::Custom),
    ("finishReason", Type::Custom),
    ("finishMessage", Type::Text(Part::Other)),
    ("index", Type::Number),
    ("tokenCount", Type::Number),
    ("avgLogprobs", Type::Number),
    ("safetyRatings", Type::List(&Type::Object(SAFETY))),
    ("citationMetadata", Type::Tree(Part::Other)),
    ("groundingMetadata", Type::Tree(Part::Other)),
    ("groundingAttributions", Type::Tree(Part::Other)),
    ("urlContextMetadata", Type::Tree(Part::Other)),
    ("logprobsResult", Type::Tokens),
    ("continuationToken", Type::Opaque),
];

/// Reads the whole body of a response.
pub(in crate::protocol) fn response(reader: &mut Reader<'_>, root: Value<'_>) {
    let origin = answered(0);
    reader.rows(root, RESPONSE, &origin, &mut |reader, key, candidates| {
        if key == ENVELOPE {
            response(reader, candidates);
            return;
        }
        let mut at = 0usize;
        reader.array(candidates, |reader, element| {
            let number = choice_number(element, at);
            reader.in_choice(element, number);
            candidate(reader, element, number);
            at = at.saturating_add(1);
        });
    });
}

/// Returns the response inside that of Code Assist; any other response is its own.
pub(in crate::protocol) fn enveloped(root: Value<'_>) -> Value<'_> {
    root.get(ENVELOPE).unwrap_or(root)
}

/// Writes a response as Code Assist does.
pub(in crate::protocol) fn in_envelope(response: &[u8]) -> Vec<u8> {
    [br#"{"response":"#.as_slice(), response, b"}"].concat()
}

fn answered(choice: u32) -> Origin {
    Origin {
        choice,
        ..Origin::new(Known::Missing, Part::Text, Turn::Latest)
    }
}

fn candidate(reader: &mut Reader<'_>, candidate: Value<'_>, number: u32) {
    let origin = answered(number);
    let speaker = Attribution {
        origin: origin.clone(),
        calls: Turn::Latest,
        is_result: false,
    };
    reader.rows(
        candidate,
        CANDIDATE,
        &origin,
        &mut |reader, key, value| match key {
            "content" => read_content(reader, value, &speaker, &mut Calls::default()),
            // A word, or a number with `enum-encoding=int`.
            _ => {
                let reason = value.text();
                if let Some(reason) = reason.as_deref().or_else(|| value.number()) {
                    reader.reading.finish.push(reason.into());
                }
                reader.value(value, Type::Constant, &origin);
            }
        },
    );
}

/// Members with counts of tokens.
pub(super) const USAGE: UsageKeys = UsageKeys {
    input: "promptTokenCount",
    output: "candidatesTokenCount",
    cached: "cachedContentTokenCount",
    reasoning: "thoughtsTokenCount",
    other_input: "toolUsePromptTokenCount",
    other_output: "thoughtsTokenCount",
    total: "",
};

/// Reads `google.rpc.Status`.
pub(in crate::protocol) fn error(reader: &mut Reader<'_>, value: Value<'_>) {
    const ERROR: &[Row] = &[
        ("code", Type::Custom),
        ("message", Type::Text(Part::Other)),
        ("status", Type::Constant),
        ("details", Type::Tree(Part::Other)),
    ];
    if value.is_null() {
        reader.claim(value);
        return;
    }
    let status = value.get("status").and_then(|status| status.text());
    reader.reading.error = Some(status.as_deref().unwrap_or("error").into());
    if value.kind() == json::ValueKind::Object {
        // A number, or a word in Interactions.
        reader.rows(
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
