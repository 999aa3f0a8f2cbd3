//! Response of Converse, and the replacements of its denied parts.

use super::content::{SERVER_CALL, blocks};
use crate::event::{Known, Part, Turn};
use crate::protocol::conversation::{Attribution, Calls};
use crate::protocol::json_edit::{ObjectWriter, count, remove_members};
use crate::protocol::reader::{Origin, Reader, Row, Type, UsageKeys};
use crate::protocol::{CannotRemove, Removals};
use crate::wire::json::{Edits, Value};

const RESPONSE: &[Row] = &[
    ("output", Type::Object(&[("message", Type::Read(said))])),
    ("stopReason", Type::Custom),
    ("usage", Type::Usage(&USAGE)),
    ("metrics", Type::Counts),
    // Contains the model's text before a guardrail of Bedrock changed it.
    ("trace", Type::Tree(Part::Other)),
    ("additionalModelResponseFields", Type::Tree(Part::Other)),
    (
        "performanceConfig",
        Type::Object(&[("latency", Type::Word("standard|optimized"))]),
    ),
    (
        "serviceTier",
        Type::Object(&[("type", Type::Word("priority|default|flex|reserved"))]),
    ),
    ("message", Type::Custom),
    ("Message", Type::Custom),
    ("__type", Type::Id),
];
pub(super) const STOP_REASONS: &str = "end_turn|tool_use|max_tokens|stop_sequence|guardrail_intervened|\
     content_filtered|malformed_model_output|malformed_tool_use|\
     model_context_window_exceeded";

/// Reads the whole body of a response, or AWS's own error.
pub(in crate::protocol) fn converse_response(reader: &mut Reader<'_>, root: Value<'_>) {
    let origin = Origin::new(Known::Missing, Part::Text, Turn::Latest);
    let mut reason: Option<Box<str>> = None;
    reader.rows(
        root,
        RESPONSE,
        &origin,
        &mut |reader, key, value| match key {
            "stopReason" => {
                reason = value.text().map(Box::from);
                reader.word(value, STOP_REASONS);
            }
            _ => aws_error(reader, root, value),
        },
    );
    match reason {
        Some(reason) => reader.reading.finish.push(reason),
        None => reader.reading.endless = reader.reading.endless.saturating_add(1),
    }
}

/// Reads `{"message": TEXT}`; the exception's name is in a header or in `__type`.
pub(in crate::protocol) fn aws_error(reader: &mut Reader<'_>, root: Value<'_>, message: Value<'_>) {
    let kind = root.get("__type").and_then(|kind| kind.text());
    reader.reading.error = Some(kind.as_deref().unwrap_or("error").into());
    let origin = Origin::new(Known::Missing, Part::Other, Turn::Latest);
    reader.text(message, &origin);
}

fn said(reader: &mut Reader<'_>, message: Value<'_>) {
    const MESSAGE: &[Row] = &[
        ("role", Type::Word("assistant")),
        ("content", Type::ReadOf(content)),
    ];
    let origin = Origin::new(Known::Missing, Part::Text, Turn::Latest);
    reader.plain_rows(message, MESSAGE, &origin);
}

fn content(reader: &mut Reader<'_>, content: Value<'_>, origin: &Origin) {
    let speaker = Attribution {
        origin: origin.clone(),
        calls: Turn::Latest,
        is_result: false,
    };
    blocks(reader, content, &speaker, &mut Calls::default());
}

/// Members with counts of tokens.
pub(super) const USAGE: UsageKeys = UsageKeys {
    input: "inputTokens",
    output: "outputTokens",
    cached: "cacheReadInputTokens|cacheReadInputTokenCount",
    reasoning: "",
    other_input: "cacheReadInputTokens|cacheReadInputTokenCount+cacheWriteInputTokens|cacheWriteInputTokenCount",
    other_output: "",
    total: "",
};

/// Returns a response that contains only a denial.
pub(in crate::protocol) fn denied_converse(text: &str, tokens: (u64, u64)) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut root = ObjectWriter::begin(&mut out);
    root.member("output", |out| {
        out.extend_from_slice(br#"{"message":{"role":"assistant","content":["#);
        text_block(text, out);
        out.extend_from_slice(b"]}}");
    });
    root.text("stopReason", "guardrail_intervened");
    root.member("usage", |out| {
        let mut usage = ObjectWriter::begin(out);
        usage.number("inputTokens", tokens.0);
        usage.number("outputTokens", tokens.1);
        usage.number("totalTokens", tokens.0.saturating_add(tokens.1));
        usage.end();
    });
    root.member("metrics", |out| {
        out.extend_from_slice(br#"{"latencyMs":0}"#)
    });
    root.end();
    out
}

fn text_block(text: &str, out: &mut Vec<u8>) {
    let mut block = ObjectWriter::begin(out);
    block.text("text", text);
    block.end();
}

/// Edits a response. After any edit, the members that repeat the model's text are removed.
pub(in crate::protocol) fn remove_from_converse(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    if let Some((_, text)) = removals.choices.first() {
        root.get("output").ok_or(CannotRemove)?;
        let usage = root.get("usage");
        let tokens = (count(usage, "inputTokens"), count(usage, "outputTokens"));
        edits.replace(root, denied_converse(text, tokens));
        return Ok(());
    }
    remove_members(root, &["trace", "additionalModelResponseFields"], edits);
    let denied = removals.denied_calls();
    if denied.is_empty() {
        return Ok(());
    }
    let content = root
        .get("output")
        .and_then(|output| output.get("message"))
        .and_then(|message| message.get("content"))
        .ok_or(CannotRemove)?;
    let mut taken = 0usize;
    let mut left = false;
    for block in content.elements() {
        let Some(call) = block.get("toolUse") else {
            continue;
        };
        if call
            .get("type")
            .is_some_and(|kind| kind.is_text(SERVER_CALL))
        {
            continue;
        }
        match denied.get(&block.place()) {
            Some(text) => {
                let mut with = Vec::new();
                text_block(text, &mut with);
                edits.replace(block, with);
                taken = taken.saturating_add(1);
            }
            None => left = true,
        }
    }
    if taken < denied.len() {
        return Err(CannotRemove);
    }
    if let Some(reason) = root.get("stopReason")
        && !left
        && reason.is_text("tool_use")
    {
        edits.replace(reason, br#""end_turn""#.to_vec());
    }
    Ok(())
}
