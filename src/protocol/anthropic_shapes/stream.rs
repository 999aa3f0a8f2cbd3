//! Streamed messages: `message_start`, then blocks, each with its start, its deltas and its stop, then `message_delta`
//! and `message_stop`. Consecutive text blocks are one text.
//!
//! ```text
//! {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-4-1","content":[],"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}
//! {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
//! {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let me see."}}
//! {"type":"content_block_stop","index":0}
//! {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}
//! {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"Bern\"}"}}
//! {"type":"content_block_stop","index":1}
//! {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":41}}
//! {"type":"message_stop"}
//! ```

use super::CITATION;
use super::blocks::{CALL, block, content};
use super::removal::{begun_message, message as remove_from_message};
use super::response::{CONTAINER, RESPONSE, STOP_DETAILS, STOP_REASONS, answering, error, usage};
use crate::event::Part;
use crate::protocol::json_edit::{ObjectWriter, tag};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    BlockEvent, BlockSpec, BlockStream, CallDelta, Delta, HeldFrame, KeepAlive, KindIn,
    SyntheticFrame, TextKey,
};
use crate::protocol::{CannotRemove, Denial, Dialect, Removals};
use crate::wire::json::Value;
use crate::wire::span::offset;

const EVENT: &[Row] = &[
    ("type", Type::Word(EVENTS)),
    ("index", Type::Number),
    ("message", Type::Custom),
    ("content_block", Type::Custom),
    ("delta", Type::Custom),
    ("usage", Type::Custom),
    ("context_management", Type::Counts),
    ("error", Type::Custom),
    ("request_id", Type::Id),
    // What Bedrock adds to the last event.
    ("amazon-bedrock-invocationMetrics", Type::Counts),
    ("amazon-bedrock-guardrailAction", Type::Constant),
    ("amazon-bedrock-trace", Type::Tree(Part::Other)),
];
const EVENTS: &str = "message_start|content_block_start|content_block_delta|content_block_stop|\
     message_delta|message_stop|ping|error";
/// Members of a delta. Clients select by its type or by its members, so all are read, in any combination.
const DELTA: &[Row] = &[
    (
        "type",
        Type::Word(
            "text_delta|input_json_delta|thinking_delta|signature_delta|\
             citations_delta|compaction_delta",
        ),
    ),
    ("text", Type::Custom),
    ("partial_json", Type::Custom),
    ("thinking", Type::Custom),
    ("content", Type::Custom),
    ("signature", Type::Opaque),
    ("encrypted_content", Type::Opaque),
    ("citation", Type::Object(CITATION)),
    ("estimated_tokens", Type::Number),
];
/// Members of the message in `message_start` whose counts later events correct.
const START: &[Row] = &[("usage", Type::Custom), ("input_tokens", Type::Number)];
/// Members of `message_delta` about the whole message.
const END: &[Row] = &[
    ("stop_reason", Type::Finish(STOP_REASONS)),
    ("stop_sequence", Type::Text(Part::Other)),
    ("stop_details", STOP_DETAILS),
    ("container", CONTAINER),
];

/// A streamed message.
pub(in crate::protocol) const MESSAGE_STREAM: &BlockSpec = &BlockSpec {
    kind: KindIn::First("type"),
    event: EVENT,
    proto_json: false,
    index: "index",
    noun: "block",
    place: "content",
    start: "content_block_start",
    delta: "content_block_delta",
    stop: "content_block_stop",
    begins: &["message_start"],
    ends: &["message_delta"],
    last: &["message_stop"],
    begun: &["content_block"],
    added: "delta",
    call: CALL,
    call_id: "id",
    runs: &[Part::Text],
    empty_text: Some(br#"{"type":"text","text":""}"#),
    blank: Some("text"),
    text_delta: br#"{"type":"text_delta","text":"#,
    finish: &[&["delta", "stop_reason"]],
    finish_calls: "tool_use",
    finish_plain: br#""end_turn""#,
    before: None,
    has_done: false,
    member,
    read_start,
    read_delta,
    remove,
    correct: |_, _, _, _| {},
    denied_begin,
    denied_end,
    error: |denial| SyntheticFrame::error(Dialect::Anthropic, denial),
    keep_alive: || Some(KeepAlive::ping()),
};

fn member(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    _: &str,
    key: &str,
    value: Value<'_>,
) {
    let origin = Origin::answer(0);
    match key {
        "message" => begin(stream, reader, value),
        "delta" => reader.plain_rows(value, END, &origin),
        "usage" => count(stream, reader, value),
        _ => error(reader, value, &origin),
    }
}

fn begin(stream: &mut BlockStream, reader: &mut Reader<'static>, message: Value<'_>) {
    stream.id = tag(message.get("id"), "").into_owned();
    stream.model = Some(tag(message.get("model"), "unknown").into_owned());
    let blocks = || message.get("content").into_iter();
    let blocks = || blocks().flat_map(|content| content.elements());
    let is_call = |block: &Value<'_>| {
        let kind = block.get("type");
        kind.is_some_and(|kind| kind.is_text("tool_use"))
    };
    let calls = blocks().filter(is_call).count();
    stream.calls = stream.calls.saturating_add(calls);
    reader.frame.mark.block = Some(offset(blocks().count()));
    let origin = Origin::answer(0);
    let speaker = answering(origin.clone());
    reader.row_lists(
        message,
        &[START, RESPONSE],
        &origin,
        &mut |reader, key, value| match key {
            "content" => content(reader, value, &speaker, &mut stream.names),
            "usage" => count(stream, reader, value),
            _ => reader.word(value, STOP_REASONS),
        },
    );
}

fn count(stream: &mut BlockStream, reader: &mut Reader<'static>, value: Value<'_>) {
    usage(reader, value);
    if let Some(tokens) = reader.reading.usage.output_tokens {
        stream.output_tokens = tokens;
    }
}

fn read_start(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    at: BlockEvent<'_>,
    value: Value<'_>,
) {
    let kind = value.get("type").and_then(|kind| kind.text());
    let kind = kind.as_deref().unwrap_or_default();
    if kind != "text" {
        stream.end_run(reader);
    }
    let origin = match kind {
        "tool_use" => {
            // A program that the provider runs waits for the result: there is nothing to put in its place.
            let caller = value.get("caller").and_then(|caller| caller.get("type"));
            if caller.is_some_and(|caller| !caller.is_text("direct")) {
                stream.irreplaceable.push(at.index);
            }
            stream.begin_call(reader, at, value, false, None);
            return;
        }
        "server_tool_use" | "mcp_tool_use" => {
            stream.begin_call(reader, at, value, true, None);
            return;
        }
        "text" => stream.run(reader, at, Part::Text),
        "thinking" => Origin::piece(at.index),
        _ => Origin::answer(0),
    };
    block(reader, value, &answering(origin), &mut stream.names);
}

fn read_delta(
    stream: &mut BlockStream,
    reader: &mut Reader<'static>,
    at: BlockEvent<'_>,
    delta: Value<'_>,
) {
    let of_block = Origin::piece(at.index);
    let is_encrypted = delta
        .get("encrypted_content")
        .is_some_and(|content| !content.is_null());
    let origin = Origin::answer(0);
    reader.rows(delta, DELTA, &origin, &mut |reader, key, value| match key {
        "text" => {
            let origin = stream.run(reader, at, Part::Text);
            reader.text(value, &origin);
        }
        // The signature that follows covers it.
        "thinking" => reader.in_signed(true, |reader| {
            reader.text(value, &of_block.with_part(Part::Reasoning));
        }),
        "content" => reader.in_signed(is_encrypted, |reader| {
            reader.text(value, &of_block.with_part(Part::Other));
        }),
        _ => {
            reader.claim(value);
            at.call_piece(reader, CallDelta::Arguments(value.place()));
        }
    });
    if delta.get("signature").is_some() {
        // The thinking is complete.
        reader.piece(Delta::TextRest(TextKey::block(at.index, Part::Reasoning)));
    }
}

fn remove(
    stream: &mut BlockStream,
    frame: &mut HeldFrame,
    removals: &Removals,
) -> Result<(), CannotRemove> {
    let denied = removals.denied_calls();
    if denied.is_empty() {
        return Ok(());
    }
    let body = frame.body().ok_or(CannotRemove)?;
    let message = body.root().get("message").ok_or(CannotRemove)?;
    let taken = remove_from_message(message, None, &denied, &mut frame.edits)?;
    if taken < denied.len() {
        return Err(CannotRemove);
    }
    stream.taken = stream.taken.saturating_add(taken);
    Ok(())
}

fn denied_begin(stream: &BlockStream, denial: &Denial) -> SyntheticFrame {
    let id = stream.denied_id(denial);
    let model = stream.model.as_deref().unwrap_or("unknown");
    stream.event("message_start", &|event| {
        event.member("message", |out| begun_message(&id, model, out));
    })
}

fn denied_end(stream: &BlockStream, _: &Denial) -> Vec<SyntheticFrame> {
    let end = stream.event("message_delta", &|event| {
        event.member("delta", |out| {
            out.extend_from_slice(br#"{"stop_reason":"refusal","stop_sequence":null}"#);
        });
        event.member("usage", |out| {
            let mut usage = ObjectWriter::begin(out);
            usage.number("output_tokens", stream.output_tokens);
            usage.end();
        });
    });
    vec![end, stream.event("message_stop", &|_| {})]
}
