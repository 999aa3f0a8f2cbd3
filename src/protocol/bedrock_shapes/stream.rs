//! Streamed responses of Converse: `messageStart`, then blocks, then `messageStop` and `metadata`. Text blocks have no
//! start. Nova puts each delta into a block of its own, so that a text continues from block to block.
//!
//! The name of an event is in a header of its frame (here before the colon). Nova's own form in InvokeModel has the
//! name as the key around the event: `{"messageStart":{"role":"assistant"}}`.
//!
//! ```text
//! messageStart: {"role":"assistant","p":"abc"}
//! contentBlockDelta: {"contentBlockIndex":0,"delta":{"text":"Let me see."}}
//! contentBlockStop: {"contentBlockIndex":0}
//! contentBlockStart: {"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"tooluse_1","name":"weather"}}}
//! contentBlockDelta: {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"city\":\"Bern\"}"}}}
//! contentBlockStop: {"contentBlockIndex":1}
//! messageStop: {"stopReason":"tool_use"}
//! metadata: {"metrics":{"latencyMs":812},"usage":{"inputTokens":9,"outputTokens":41,"totalTokens":50}}
//! ```
//!
//! Source: AWS's service model (`ConverseStreamOutput`) and recorded exchanges.

use super::content::{CITATION, SERVER_CALL, file};
use super::response::{STOP_REASONS, USAGE};
use crate::diag::codes;
use crate::event::{Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::Attribution;
use crate::protocol::json_edit::remove_members;
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    BlockEvent, BlockSpec, BlockStream, CallDelta, KindIn, SyntheticFrame,
};
use crate::protocol::{Denial, Dialect};
use crate::wire::json::Value;

/// Events of Nova's own form in InvokeModel, each in a member with its name.
const NAMED: &[Row] = &[
    ("messageStart", Type::Custom),
    ("contentBlockStart", Type::Custom),
    ("contentBlockDelta", Type::Custom),
    ("contentBlockStop", Type::Custom),
    ("messageStop", Type::Custom),
    ("metadata", Type::Custom),
    ("amazon-bedrock-invocationMetrics", Type::Counts),
    ("amazon-bedrock-guardrailAction", Type::Constant),
    ("amazon-bedrock-trace", Type::Tree(Part::Other)),
];
/// Members of all events. `p` is padding against traffic analysis.
const EVENT: &[Row] = &[
    ("role", Type::Word("assistant")),
    ("contentBlockIndex", Type::Number),
    ("start", Type::Custom),
    ("delta", Type::Custom),
    ("stopReason", Type::Custom),
    ("additionalModelResponseFields", Type::Tree(Part::Other)),
    ("usage", Type::Usage(&USAGE)),
    ("metrics", Type::Counts),
    ("trace", Type::Tree(Part::Other)),
    (
        "performanceConfig",
        Type::Object(&[("latency", Type::Word("standard|optimized"))]),
    ),
    (
        "serviceTier",
        Type::Object(&[("type", Type::Word("priority|default|flex|reserved"))]),
    ),
    ("p", Type::Id),
];
const START: &[Row] = &[
    ("toolUse", Type::Custom),
    ("toolResult", Type::Custom),
    ("image", Type::Object(&[("format", Type::Id)])),
];
const CALL: &[Row] = &[
    ("toolUseId", Type::Id),
    ("name", Type::Custom),
    ("type", Type::Word("tool_use|server_tool_use")),
];
/// Result of a tool that the provider ran.
const RESULT: &[Row] = &[
    ("toolUseId", Type::Id),
    ("status", Type::Word("success|error")),
    ("type", Type::Id),
];
const DELTA: &[Row] = &[
    ("text", Type::Custom),
    ("toolUse", Type::Custom),
    ("toolResult", Type::Custom),
    ("reasoningContent", Type::Custom),
    ("citation", Type::Object(CITATION)),
    ("image", Type::Custom),
];
const REASONING: &[Row] = &[
    ("text", Type::Custom),
    ("signature", Type::Opaque),
    ("redactedContent", Type::Opaque),
];

const INPUT: &[Row] = &[("input", Type::Custom)];
/// Elements that add to a result: `[{text} | {json}]`.
const RESULT_CONTENT: &[Row] = &[("text", Type::Custom), ("json", Type::Tree(Part::Other))];

/// Streamed response of Converse.
pub(in crate::protocol) const CONVERSE_STREAM: &BlockSpec = &BlockSpec {
    kind: KindIn::Name(|reader, root, name| match name {
        Some(_) => read_exception(reader, root, name),
        None => reader.problem(codes::AG2014, root, "an event without a name"),
    }),
    event: EVENT,
    proto_json: false,
    index: "contentBlockIndex",
    noun: "block",
    place: "content",
    start: "contentBlockStart",
    delta: "contentBlockDelta",
    stop: "contentBlockStop",
    begins: &["messageStart"],
    ends: &["messageStop"],
    last: &["metadata"],
    begun: &["start"],
    added: "delta",
    call: CALL,
    call_id: "toolUseId",
    runs: &[Part::Text, Part::Reasoning],
    empty_text: None,
    blank: None,
    text_delta: br#"{"text":"#,
    finish: &[&["stopReason"]],
    finish_calls: "tool_use",
    finish_plain: br#""end_turn""#,
    before: None,
    has_done: false,
    member: |_, reader, _, _, value| {
        if let Some(reason) = value.text() {
            reader.reading.finish.push(reason.into());
        }
        reader.word(value, STOP_REASONS);
    },
    read_start,
    read_delta,
    remove: |_, _, removals| removals.only_edits(),
    correct: |event, _, edits, _| {
        // Copies of the model's text.
        let copies = ["trace", "additionalModelResponseFields"];
        if copies.iter().any(|name| event.get(name).is_some()) {
            remove_members(event, &copies, edits);
        }
    },
    denied_begin: |stream, _| {
        stream.event("messageStart", &|event| event.text("role", "assistant"))
    },
    denied_end: |stream, _| {
        let reason = "guardrail_intervened";
        vec![stream.event("messageStop", &|event| event.text("stopReason", reason))]
    },
    error: exception,
    keep_alive: || None,
};

/// Streamed response in Nova's own form.
pub(in crate::protocol) const NOVA_STREAM: &BlockSpec = &BlockSpec {
    kind: KindIn::Key(NAMED),
    ..*CONVERSE_STREAM
};

fn read_start(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    at: BlockEvent<'_>,
    start: Value<'_>,
) {
    stream.end_run(reader);
    let origin = Origin::answer(0);
    reader.rows(start, START, &origin, &mut |reader, key, value| {
        if key == "toolUse" {
            let kind = value.get("type");
            let provider_run = kind.is_some_and(|kind| kind.is_text(SERVER_CALL));
            stream.begin_call(reader, at, value, provider_run, None);
            return;
        }
        reader.plain_rows(value, RESULT, &origin);
        let id = value.get("toolUseId").and_then(|id| id.text());
        let called = id.and_then(|id| stream.names.answer(&id));
        stream.answering = called.unwrap_or(Known::Unknown);
    });
}

fn read_delta(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    at: BlockEvent<'_>,
    delta: Value<'_>,
) {
    let origin = Origin::answer(0);
    reader.rows(delta, DELTA, &origin, &mut |reader, key, value| match key {
        _ if value.is_null() => reader.claim(value),
        "text" => {
            let origin = stream.run(reader, at, Part::Text);
            reader.text(value, &origin);
        }
        "reasoningContent" => reasoning(stream, reader, at, value),
        "toolUse" => {
            stream.end_run(reader);
            reader.rows(value, INPUT, &origin, &mut |reader, _, input| {
                reader.claim_all(input);
                at.call_piece(reader, CallDelta::Arguments(input.place()));
            });
        }
        "toolResult" => result(stream, reader, at, value),
        _ => {
            let speaker = Attribution {
                origin: origin.clone(),
                calls: Turn::Latest,
                is_result: false,
            };
            file(reader, value, &speaker, |count| &mut count.image);
        }
    });
}

/// Reads reasoning, which the signature in a later event covers.
fn reasoning(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    at: BlockEvent<'_>,
    value: Value<'_>,
) {
    let origin = stream.run(reader, at, Part::Reasoning);
    reader.in_signed(true, |reader| {
        reader.rows(value, REASONING, &origin.whole(), &mut |reader, _, text| {
            reader.text(text, &origin);
        });
    });
    if value.get("signature").is_some() {
        // The reasoning is complete.
        stream.end_run(reader);
    }
}

fn result(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    at: BlockEvent<'_>,
    value: Value<'_>,
) {
    stream.end_run(reader);
    let mut event = Event::new(Kind::ToolResult, reader.direction(), value.place());
    event.tool = stream.answering.clone();
    event.provider_run = true;
    let origin = Origin::piece(at.index).with_part(Part::Other);
    let start = reader.text_count();
    reader.array(value, |reader, element| {
        let whole = origin.whole();
        reader.rows(element, RESULT_CONTENT, &whole, &mut |reader, _, text| {
            reader.text(text, &origin);
        });
    });
    event.texts = start..reader.text_count();
    reader.reading.add(event);
}

/// Returns a frame with an error in the middle of a stream. The service model has no other exception for denied
/// content.
pub(in crate::protocol) fn exception(denial: &Denial) -> SyntheticFrame {
    let kind = match denial.status {
        429 => "throttlingException",
        503 => "serviceUnavailableException",
        500.. => "internalServerException",
        _ => "validationException",
    };
    SyntheticFrame {
        is_exception: true,
        ..SyntheticFrame::new(Some(kind), Dialect::Aws.body(denial))
    }
}

/// Reads an error in the middle of a stream: `{message}`, with its kind in a header.
pub(in crate::protocol) fn read_exception(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    kind: Option<&str>,
) {
    const EXCEPTION: &[Row] = &[
        ("message", Type::Text(Part::Other)),
        ("Message", Type::Text(Part::Other)),
        ("originalMessage", Type::Text(Part::Other)),
        ("originalStatusCode", Type::Number),
        ("p", Type::Id),
    ];
    reader.reading.error = Some(kind.unwrap_or("error").into());
    reader.plain_rows(root, EXCEPTION, &Origin::answer(0));
}
