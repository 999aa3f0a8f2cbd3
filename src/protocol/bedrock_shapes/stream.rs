//! A response of Converse that streams: `messageStart`, then blocks, then `messageStop` and `metadata`. Blocks of text have no
//! start. Nova puts each delta into a block of its own, so that a text goes on from block to block.
//!
//! The name of an event stands in a header of its frame (here before the colon), with Nova's own form in InvokeModel as the key
//! around it: `{"messageStart":{"role":"assistant"}}`.
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

use super::answer::{STOP_REASONS, usage};
use super::content::{CITATION, SERVER_CALL, file};
use crate::diag::codes;
use crate::event::{Event, Kind, Known, Part, Turn};
use crate::protocol::conversation::Attribution;
use crate::protocol::json_edit::remove_members;
use crate::protocol::reader::{Is, Key, Origin, Reader};
use crate::protocol::stream::{
    BlockEvent, BlockSpec, BlockStream, CallDelta, KindIn, SyntheticFrame,
};
use crate::protocol::{Denial, Dialect};
use crate::wire::json::Value;

/// Nova's own form in InvokeModel: the event under its name.
const NAMED: &[Key] = &[
    ("messageStart", Is::Own),
    ("contentBlockStart", Is::Own),
    ("contentBlockDelta", Is::Own),
    ("contentBlockStop", Is::Own),
    ("messageStop", Is::Own),
    ("metadata", Is::Own),
    ("amazon-bedrock-invocationMetrics", Is::Counts),
    ("amazon-bedrock-guardrailAction", Is::Constant),
    ("amazon-bedrock-trace", Is::Tree(Part::Other)),
];
/// Members of all events. `p` is padding against traffic analysis.
const EVENT: &[Key] = &[
    ("role", Is::Word(&["assistant"])),
    ("contentBlockIndex", Is::Number),
    ("start", Is::Own),
    ("delta", Is::Own),
    ("stopReason", Is::Own),
    ("additionalModelResponseFields", Is::Tree(Part::Other)),
    ("usage", Is::Own),
    ("metrics", Is::Counts),
    ("trace", Is::Tree(Part::Other)),
    (
        "performanceConfig",
        Is::Object(&[("latency", Is::Word(&["standard", "optimized"]))]),
    ),
    (
        "serviceTier",
        Is::Object(&[(
            "type",
            Is::Word(&["priority", "default", "flex", "reserved"]),
        )]),
    ),
    ("p", Is::Id),
];
const START: &[Key] = &[
    ("toolUse", Is::Own),
    ("toolResult", Is::Own),
    ("image", Is::Object(&[("format", Is::Id)])),
];
const CALL: &[Key] = &[
    ("toolUseId", Is::Id),
    ("name", Is::Own),
    ("type", Is::Word(&["tool_use", SERVER_CALL])),
];
/// The result of a tool that the provider ran.
const RESULT: &[Key] = &[
    ("toolUseId", Is::Id),
    ("status", Is::Word(&["success", "error"])),
    ("type", Is::Id),
];
const DELTA: &[Key] = &[
    ("text", Is::Own),
    ("toolUse", Is::Own),
    ("toolResult", Is::Own),
    ("reasoningContent", Is::Own),
    ("citation", Is::Object(CITATION)),
    ("image", Is::Own),
];
const REASONING: &[Key] = &[
    ("text", Is::Own),
    ("signature", Is::Opaque),
    ("redactedContent", Is::Opaque),
];

const INPUT: &[Key] = &[("input", Is::Own)];
/// More of a result: `[{text} | {json}]`.
const RESULT_CONTENT: &[Key] = &[("text", Is::Own), ("json", Is::Tree(Part::Other))];

/// A streamed response of Converse.
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
    member: |_, reader, _, key, value| {
        if key == "usage" {
            usage(reader, value, &Origin::answer(0));
            return;
        }
        if let Some(reason) = value.text() {
            reader.reading.finish.push(reason.into());
        }
        reader.word(value, STOP_REASONS);
    },
    read_start,
    read_delta,
    remove: |_, _, removals| removals.only_edits(),
    correct: |event, _, edits, _| {
        // What the model said, once more.
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

/// A streamed response in Nova's own form, with the events under their names.
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
    reader.keys(start, START, &origin, &mut |reader, key, value| {
        if key == "toolUse" {
            let kind = value.get("type");
            let provider_run = kind.is_some_and(|kind| kind.is_text(SERVER_CALL));
            stream.begin_call(reader, at, value, provider_run, None);
            return;
        }
        reader.known(value, RESULT, &origin);
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
    reader.keys(delta, DELTA, &origin, &mut |reader, key, value| match key {
        _ if value.is_null() => reader.claim(value),
        "text" => {
            let origin = stream.run(reader, at, Part::Text);
            reader.text(value, &origin);
        }
        "reasoningContent" => reasoning(stream, reader, at, value),
        "toolUse" => {
            stream.end_run(reader);
            reader.keys(value, INPUT, &origin, &mut |reader, _, input| {
                reader.claim_all(input);
                reader.call_piece(at.event, at.index, CallDelta::Arguments(input.place()));
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

/// The signature that follows covers the text.
fn reasoning(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    at: BlockEvent<'_>,
    value: Value<'_>,
) {
    let origin = stream.run(reader, at, Part::Reasoning);
    reader.in_signed(true, |reader| {
        reader.keys(value, REASONING, &origin.whole(), &mut |reader, _, text| {
            reader.text(text, &origin);
        });
    });
    if value.get("signature").is_some() {
        // The thinking is complete.
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
        reader.keys(element, RESULT_CONTENT, &whole, &mut |reader, _, text| {
            reader.text(text, &origin);
        });
    });
    event.texts = start..reader.text_count();
    reader.reading.add(event);
}

/// A frame that reports an error in the middle of a stream. The service model has no other word for what may not pass.
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

/// An error in the middle of a stream: `{message}`, its kind in a header.
pub(in crate::protocol) fn read_exception(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    kind: Option<&str>,
) {
    const EXCEPTION: &[Key] = &[
        ("message", Is::Text(Part::Other)),
        ("Message", Is::Text(Part::Other)),
        ("originalMessage", Is::Text(Part::Other)),
        ("originalStatusCode", Is::Number),
        ("p", Is::Id),
    ];
    reader.reading.error = Some(kind.unwrap_or("error").into());
    reader.known(root, EXCEPTION, &Origin::answer(0));
}
