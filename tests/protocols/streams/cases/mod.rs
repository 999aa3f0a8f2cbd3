//! One declaration for each stream that is read: how to ask for it, what it looks like, what a client takes out of it.
//!
//! To add a stream: one [`StreamCase`] here. What all of them have to do stands in the file above.

mod wire;

pub use wire::{Event, Wire};

use serde_json::{Value, json};

/// What an answer says, in the order in which it says it.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// A text, in pieces: each is an event.
    Text(&'a [&'a str]),
    /// A call of a tool, and its arguments in pieces.
    Call(&'a str, &'a [&'a str]),
}

/// Where something stands in an event: `type=text_delta /delta/text`. Without a condition it stands there in every event that
/// has such a member.
pub type At = &'static str;

/// Where a client looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client {
    /// Pieces of the text.
    pub text: &'static [At],
    /// Where a denied answer says why.
    pub denial: &'static [At],
    /// A tool that is called.
    pub tool: &'static [At],
    /// Its arguments: pieces of JSON, or JSON.
    pub args: &'static [At],
    /// Why the answer ended.
    pub finish: &'static [At],
    /// An error that a client raises.
    pub error: &'static [At],
    /// Numbers that clients take for places in a list: they begin at 0 and have no gap.
    pub numbers: &'static [At],
}

/// How texts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// In pieces, over many events.
    InPieces,
    /// Whole, each in one event, since that is how the protocol tells them.
    Whole,
    /// There are none, since what comes is no text.
    None,
}

/// What becomes of a denied call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It is left out, a text says so, and the answer goes on. Where no call is left, the answer ends for this reason.
    LeftOut(&'static str),
    /// The answer ends as an error, for this reason.
    Error(&'static str),
    /// There are no calls in such answers.
    NoCalls,
}

/// Events, and members of the record with their values.
pub type More = fn() -> (Vec<Event>, Value);

/// A stream that is read.
pub struct StreamCase {
    /// Its name in failures.
    pub name: &'static str,
    /// Its protocol, and what reads it: a type, or the declaration for a state machine.
    pub protocol: &'static str,
    pub reader: &'static str,
    /// Asked at.
    pub method: &'static str,
    pub host: &'static str,
    pub path: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    /// What is asked; empty where there is no body.
    pub question: &'static str,
    /// The part of a policy that makes it known, if nothing else does.
    pub policy: &'static str,
    pub wire: Wire,
    /// An answer.
    pub answer: fn(&[Said<'_>]) -> Vec<Event>,
    pub client: Client,
    pub texts: Texts,
    pub calls: Denied,
    /// Why an answer ended whose text was denied, in the protocol's words.
    pub refused: Option<&'static str>,
    /// Whether a denied text is an error, whatever the policy asks for: the protocol has no words for it.
    pub refuses_by_error: bool,
    /// What the audit event says of an answer with a text and a call: members, each with its value.
    pub record: fn() -> Value,
    /// An event that reports an error of the provider.
    pub error: fn() -> Option<Event>,
    /// What is sent while nothing may be; nothing where every byte means something to a client.
    pub keep_alive: &'static str,
    /// An event of a second answer beside the first: its number, and a piece of its text.
    pub beside: Option<fn(u32, &str) -> Event>,
    /// An event of an unknown type with a text in it.
    pub unknown: fn(&str) -> Event,
    /// Where the record says that the first text stands, and the first call behind a text.
    pub at: (&'static str, &'static str),
    /// A stream with whatever else such streams hold, and what the record says of it.
    pub more: Option<More>,
    /// What of it is different, and why.
    pub differs: &'static [(Contract, &'static str)],
}

/// A contract that a stream may be excused from, with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// Words in an event of an unknown type are searched.
    UnknownEvents,
    /// An end in the middle of a frame is an error.
    CutFrame,
    /// Nothing is read behind the end.
    BehindTheEnd,
    /// An error of the provider passes.
    ProviderError,
    /// A call may be denied with the text around it left as it is.
    TextAroundCall,
    /// Rules that only observe change nothing.
    Observed,
    /// Texts that follow one another are searched as one, too.
    Across,
    /// Text is held until a rule about the whole of it is decided.
    Held,
}

const NONE: fn() -> Option<Event> = || None;

fn event(name: &str, payload: Value) -> Event {
    (name.to_owned(), payload)
}

/// An event without a name.
fn bare(payload: Value) -> Event {
    event("", payload)
}

/// An event whose name is its `type`.
fn typed(payload: Value) -> Event {
    (payload["type"].as_str().unwrap().to_owned(), payload)
}

fn done() -> Event {
    bare(json!("[DONE]"))
}

fn has_calls(said: &[Said<'_>]) -> bool {
    said.iter().any(|said| matches!(said, Said::Call(..)))
}

/// All texts one after the other.
fn text_of(said: &[Said<'_>]) -> String {
    let texts = said.iter().map(|said| match said {
        Said::Text(parts) => parts.concat(),
        Said::Call(..) => String::new(),
    });
    texts.collect()
}

fn parsed(parts: &[&str]) -> Value {
    serde_json::from_str(&parts.concat()).unwrap_or(json!({}))
}

fn counted() -> Value {
    json!({"usage": {"input_tokens": 3, "output_tokens": 4}})
}

fn with(mut record: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    record.as_object_mut().unwrap().extend(more);
    record
}

/// What most cases have in common.
const USUAL: StreamCase = StreamCase {
    name: "",
    protocol: "",
    reader: "",
    method: "POST",
    host: "llm.example",
    path: "",
    headers: &[],
    question: "",
    policy: "defaults: { action: allow }\n",
    wire: Wire::Sse,
    answer: |_| Vec::new(),
    client: Client {
        text: &[],
        denial: &[],
        tool: &[],
        args: &[],
        finish: &[],
        error: &["/error/message"],
        numbers: &[],
    },
    texts: Texts::InPieces,
    calls: Denied::NoCalls,
    refused: None,
    refuses_by_error: false,
    record: || with(counted(), json!({"tools": ["find"]})),
    error: NONE,
    keep_alive: ": keep-alive\n\n",
    beside: None,
    unknown: |words| typed(json!({"type": "zz.unknown", "zz": words})),
    at: ("#text", ""),
    more: None,
    differs: &[],
};

// ---- OpenAI's and those that write as OpenAI does -------------------------------------------------------------------

fn chat_choice(choice: u32, delta: Value, finish: Value) -> Event {
    bare(json!({
        "id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024",
        "choices": [{"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish}],
    }))
}

fn chat_answer(said: &[Said<'_>]) -> Vec<Event> {
    let delta = |delta: Value| chat_choice(0, delta, Value::Null);
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}))];
    let mut call = 0;
    for said in said {
        match said {
            Said::Text(parts) => {
                events.extend(parts.iter().map(|part| delta(json!({"content": part}))));
            }
            Said::Call(name, parts) => {
                events.push(delta(json!({"tool_calls": [{"index": call, "id": format!("call_{call}"), "type": "function",
                    "function": {"name": name, "arguments": ""}}]})));
                events.extend(parts.iter().map(|part| {
                    delta(json!({"tool_calls": [{"index": call, "function": {"arguments": part}}]}))
                }));
                call += 1;
            }
        }
    }
    let finish = if call > 0 { "tool_calls" } else { "stop" };
    events.push(chat_choice(0, json!({}), json!(finish)));
    events.push(bare(
        json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}),
    ));
    events.push(done());
    events
}

const CHAT: StreamCase = StreamCase {
    name: "openai.chat",
    protocol: "openai.chat",
    reader: "Chunks",
    path: "/v1/chat/completions",
    question: r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
    answer: chat_answer,
    client: Client {
        text: &["/choices/0/delta/content"],
        denial: &["/choices/0/delta/refusal"],
        tool: &["/choices/0/delta/tool_calls/0/function/name"],
        args: &["/choices/0/delta/tool_calls/0/function/arguments"],
        finish: &["/choices/0/finish_reason"],
        error: &["/error/message"],
        numbers: &["/choices/0/delta/tool_calls/0/index"],
    },
    calls: Denied::LeftOut("stop"),
    refused: Some("content_filter"),
    error: || {
        Some(bare(
            json!({"error": {"message": "Overloaded", "type": "server_error"}}),
        ))
    },
    beside: Some(|choice, text| chat_choice(choice, json!({"content": text}), Value::Null)),
    unknown: |words| bare(json!({"object": "zz.unknown", "zz": words})),
    at: ("#choice/0", "#choice/0/tool_calls/0"),
    ..USUAL
};

fn completion_part(choice: u32, text: &str, finish: Value) -> Event {
    bare(json!({
        "id": "cmpl-1", "object": "text_completion", "created": 7, "model": "davinci-002",
        "choices": [{"text": text, "index": choice, "logprobs": null, "finish_reason": finish}],
    }))
}

fn completion_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = texts(said, |part| completion_part(0, part, Value::Null));
    events.push(completion_part(0, "", json!("stop")));
    events.push(bare(
        json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}),
    ));
    events.push(done());
    events
}

/// An event for each piece of a text.
fn texts(said: &[Said<'_>], event: impl Fn(&str) -> Event) -> Vec<Event> {
    let texts = said.iter().flat_map(|said| match said {
        Said::Text(parts) => parts.iter(),
        Said::Call(..) => panic!("there are no calls in such answers"),
    });
    texts.map(|part| event(part)).collect()
}

/// Tokens, and all of them once more with the last.
fn native_answer(said: &[Said<'_>]) -> Vec<Event> {
    let token = |text: &str, whole: Value| {
        bare(json!({
            "index": 1, "token": {"id": 1234, "text": text, "logprob": -0.1, "special": !whole.is_null()},
            "generated_text": whole, "details": null,
        }))
    };
    let mut events = texts(said, |part| token(part, Value::Null));
    events.push(token("", json!(text_of(said))));
    events
}

fn transcript_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = texts(said, |part| {
        bare(
            json!({"type": "transcript.text.delta", "delta": part, "logprobs": [{"token": part, "logprob": -0.1}]}),
        )
    });
    events.push(bare(
        json!({"type": "transcript.text.done", "text": text_of(said),
        "usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 4}}),
    ));
    events
}

fn picture(kind: &str) -> Event {
    bare(json!({
        "type": kind, "b64_json": "AAAA", "created_at": 7, "size": "1024x1024", "quality": "high",
        "background": "transparent", "output_format": "png", "partial_image_index": 0,
    }))
}

/// Events of the Responses API, numbered.
fn responses_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut output = Vec::new();
    let response = |status: &str, output: &[Value]| {
        let usage = if status == "completed" {
            json!({"input_tokens": 3, "output_tokens": 4})
        } else {
            Value::Null
        };
        json!({"id": "resp_1", "object": "response", "created_at": 7, "status": status, "model": "gpt-5-2026",
            "output": output, "tools": [], "usage": usage})
    };
    events.push(json!({"type": "response.created", "response": response("in_progress", &[])}));
    for (at, said) in said.iter().enumerate() {
        let id = format!("item_{at}");
        let (begun, item) = match said {
            Said::Text(parts) => {
                let item = |status: &str, content: Value| json!({"type": "message", "id": id, "role": "assistant", "status": status, "content": content});
                let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
                let of_part = |kind: &str, part: Value| json!({"type": kind, "item_id": id, "output_index": at, "content_index": 0, "part": part});
                let whole = parts.concat();
                let mut inside = vec![of_part("response.content_part.added", part(""))];
                inside.extend(parts.iter().map(|part| {
                    json!({"type": "response.output_text.delta", "item_id": id, "output_index": at, "content_index": 0,
                        "delta": part, "logprobs": []})
                }));
                inside.push(
                    json!({"type": "response.output_text.done", "item_id": id, "output_index": at,
                    "content_index": 0, "text": whole, "logprobs": []}),
                );
                inside.push(of_part("response.content_part.done", part(&whole)));
                let begun = item("in_progress", json!([]));
                ((begun, inside), item("completed", json!([part(&whole)])))
            }
            Said::Call(name, parts) => {
                let item = |status: &str, arguments: &str| {
                    json!({"type": "function_call", "id": id, "call_id": format!("call_{at}"), "name": name,
                        "arguments": arguments, "status": status})
                };
                let mut inside: Vec<Value> = parts
                    .iter()
                    .map(|part| {
                        json!({"type": "response.function_call_arguments.delta", "item_id": id, "output_index": at,
                            "delta": part})
                    })
                    .collect();
                inside.push(json!({"type": "response.function_call_arguments.done", "item_id": id, "output_index": at,
                    "arguments": parts.concat()}));
                let begun = item("in_progress", "");
                ((begun, inside), item("completed", &parts.concat()))
            }
        };
        let (begun, inside) = begun;
        events
            .push(json!({"type": "response.output_item.added", "output_index": at, "item": begun}));
        events.extend(inside);
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
        output.push(item);
    }
    events.push(json!({"type": "response.completed", "response": response("completed", &output)}));
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = json!(number);
        typed(event)
    });
    numbered.collect()
}

const RESPONSES: StreamCase = StreamCase {
    name: "openai.responses",
    protocol: "openai.responses",
    reader: "ResponsesStream",
    path: "/v1/responses",
    question: r#"{"model":"gpt-5","stream":true,"input":"hi"}"#,
    answer: responses_answer,
    client: Client {
        text: &["type=response.output_text.delta /delta"],
        denial: &["type=response.refusal.delta /delta"],
        tool: &["type=response.output_item.added /item/name"],
        args: &["type=response.function_call_arguments.delta /delta"],
        finish: &["/response/status"],
        error: &[
            "type=error /error/message",
            "type=response.failed /response/error/message",
        ],
        numbers: &["/sequence_number", "/output_index"],
    },
    calls: Denied::LeftOut("completed"),
    refused: Some("completed"),
    error: || {
        Some(typed(
            json!({"type": "response.failed", "sequence_number": 1, "response": {"id": "resp_1", "object": "response",
            "status": "failed", "error": {"code": "server_error", "message": "Overloaded"}, "output": []}}),
        ))
    },
    at: ("#output/0/content/0", "#output/1"),
    more: Some(more_of_responses),
    ..USUAL
};

/// Runs of assistants: messages, and calls that the run waits for.
fn run_answer(said: &[Said<'_>]) -> Vec<Event> {
    let run = |status: &str, more: Value| {
        with(
            json!({"id": "run_1", "object": "thread.run", "status": status, "assistant_id": "asst_1", "model": "gpt-4o", "tools": []}),
            more,
        )
    };
    let step = |call: Value| {
        let details = json!({"type": "tool_calls", "tool_calls": [call]});
        event(
            "thread.run.step.delta",
            json!({"id": "step_1", "object": "thread.run.step.delta", "delta": {"step_details": details}}),
        )
    };
    let mut events = vec![event("thread.run.created", run("queued", json!({})))];
    let mut calls = Vec::new();
    for (at, said) in said.iter().enumerate() {
        match said {
            Said::Text(parts) => {
                let id = format!("msg_{at}");
                let content = |text: &str| json!([{"index": 0, "type": "text", "text": {"value": text, "annotations": []}}]);
                events.extend(parts.iter().map(|part| {
                    event("thread.message.delta",
                        json!({"id": id, "object": "thread.message.delta", "delta": {"content": content(part)}}))
                }));
                events.push(event("thread.message.completed",
                    json!({"id": id, "object": "thread.message", "role": "assistant", "status": "completed",
                        "content": content(&parts.concat())})));
            }
            Said::Call(name, parts) => {
                let (index, id) = (calls.len(), format!("call_{at}"));
                events.push(step(json!({"index": index, "id": id, "type": "function",
                    "function": {"name": name, "arguments": "", "output": null}})));
                events.extend(parts.iter().map(|part| {
                    step(json!({"index": index, "type": "function", "function": {"arguments": part}}))
                }));
                calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": parts.concat()}}));
            }
        }
    }
    if !calls.is_empty() {
        let action =
            json!({"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}});
        events.push(event(
            "thread.run.requires_action",
            run("requires_action", json!({"required_action": action})),
        ));
    } else {
        let usage =
            json!({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}});
        events.push(event("thread.run.completed", run("completed", usage)));
    }
    events.push(event("done", json!("[DONE]")));
    events
}

/// Mistral's conversations.
fn entry_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = vec![typed(
        json!({"type": "conversation.response.started", "conversation_id": "conv_1", "created_at": "2026-01-01T00:00:00Z"}),
    )];
    for (at, said) in said.iter().enumerate() {
        match said {
            Said::Text(parts) => events.extend(parts.iter().map(|part| {
                typed(json!({"type": "message.output.delta", "id": format!("msg_{at}"), "output_index": at, "content_index": 0,
                    "content": part, "model": "mistral-medium-latest", "role": "assistant"}))
            })),
            Said::Call(name, parts) => events.extend(parts.iter().map(|part| {
                typed(json!({"type": "function.call.delta", "id": format!("fc_{at}"), "tool_call_id": format!("call_{at}"),
                    "output_index": at, "name": name, "arguments": part}))
            })),
        }
    }
    events.push(typed(json!({"type": "conversation.response.done",
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "connector_tokens": null}})));
    events
}

// ---- Anthropic, AWS, Google -----------------------------------------------------------------------------------------

fn message_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = vec![json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1},
    }})];
    for (index, said) in said.iter().enumerate() {
        let start = |block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
        let delta =
            |delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        match said {
            Said::Text(parts) => {
                events.push(start(json!({"type": "text", "text": ""})));
                let part = |part: &&str| delta(json!({"type": "text_delta", "text": part}));
                events.extend(parts.iter().map(part));
            }
            Said::Call(name, parts) => {
                events.push(start(json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": {}})));
                let part =
                    |part: &&str| delta(json!({"type": "input_json_delta", "partial_json": part}));
                events.extend(parts.iter().map(part));
            }
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let reason = if has_calls(said) {
        "tool_use"
    } else {
        "end_turn"
    };
    events.push(
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": 4}}),
    );
    events.push(json!({"type": "message_stop"}));
    events.into_iter().map(typed).collect()
}

const MESSAGES: StreamCase = StreamCase {
    name: "anthropic.messages",
    protocol: "anthropic.messages",
    reader: "MESSAGE_STREAM",
    path: "/v1/messages",
    headers: &[("anthropic-version", "2023-06-01")],
    question: r#"{"model":"claude-x","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
    answer: message_answer,
    client: Client {
        text: &["/delta/text"],
        denial: &["/delta/text"],
        tool: &["content_block.type=tool_use /content_block/name"],
        args: &["/delta/partial_json"],
        finish: &["/delta/stop_reason"],
        error: &["/error/message"],
        numbers: &["/index"],
    },
    calls: Denied::LeftOut("end_turn"),
    refused: Some("refusal"),
    error: || {
        Some(typed(
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ))
    },
    keep_alive: "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    at: ("#text/0", "#content/1"),
    more: Some(more_of_messages),
    ..USUAL
};

fn complete_answer(said: &[Said<'_>]) -> Vec<Event> {
    let part = |text: &str, reason: Value| {
        typed(
            json!({"type": "completion", "id": "compl_1", "completion": text, "stop_reason": reason, "model": "claude-2",
            "stop": null, "log_id": "compl_1"}),
        )
    };
    let mut events = texts(said, |text| part(text, Value::Null));
    events.push(part("", json!("stop_sequence")));
    events
}

/// Events of Converse; Nova writes the same under its own names.
fn converse_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = vec![event("messageStart", json!({"role": "assistant"}))];
    for (index, said) in said.iter().enumerate() {
        let delta = |delta: Value| {
            event(
                "contentBlockDelta",
                json!({"contentBlockIndex": index, "delta": delta}),
            )
        };
        match said {
            Said::Text(parts) => {
                events.extend(parts.iter().map(|part| delta(json!({"text": part}))))
            }
            Said::Call(name, parts) => {
                let tool = json!({"toolUseId": format!("tooluse_{index}"), "name": name});
                events.push(event(
                    "contentBlockStart",
                    json!({"contentBlockIndex": index, "start": {"toolUse": tool}}),
                ));
                events.extend(
                    parts
                        .iter()
                        .map(|part| delta(json!({"toolUse": {"input": part}}))),
                );
            }
        }
        events.push(event(
            "contentBlockStop",
            json!({"contentBlockIndex": index}),
        ));
    }
    let reason = if has_calls(said) {
        "tool_use"
    } else {
        "end_turn"
    };
    events.push(event("messageStop", json!({"stopReason": reason})));
    events.push(event(
        "metadata",
        json!({"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, "metrics": {"latencyMs": 5}}),
    ));
    events
}

fn nova_answer(said: &[Said<'_>]) -> Vec<Event> {
    let events = converse_answer(said).into_iter();
    events
        .map(|(name, payload)| bare(json!({name: payload})))
        .collect()
}

fn llama_answer(said: &[Said<'_>]) -> Vec<Event> {
    let part = |text: &str, reason: Value| {
        bare(
            json!({"generation": text, "prompt_token_count": null, "generation_token_count": 4, "stop_reason": reason}),
        )
    };
    let mut events = texts(said, |text| part(text, Value::Null));
    events.push(part("", json!("stop")));
    events
}

fn candidate(index: u32, part: Value, finish: Option<&str>) -> Event {
    let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": index});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    bare(json!({"candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
        "modelVersion": "gemini-x", "responseId": "r"}))
}

fn generate_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = Vec::new();
    for said in said {
        match said {
            Said::Text(parts) => {
                events.extend(
                    parts
                        .iter()
                        .map(|part| candidate(0, json!({"text": part}), None)),
                );
            }
            Said::Call(name, parts) => {
                let call = json!({"functionCall": {"name": name, "args": parsed(parts)}});
                events.push(candidate(0, call, None));
            }
        }
    }
    events.push(candidate(0, json!({"text": ""}), Some("STOP")));
    events
}

const GENERATE: StreamCase = StreamCase {
    name: "gemini.generate, as events",
    protocol: "gemini.generate",
    reader: "Candidates",
    path: "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
    question: r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
    answer: generate_answer,
    client: Client {
        text: &["/candidates/0/content/parts/0/text"],
        denial: &["/candidates/0/content/parts/0/text"],
        tool: &["/candidates/0/content/parts/0/functionCall/name"],
        args: &["/candidates/0/content/parts/0/functionCall/args"],
        finish: &["/candidates/0/finishReason"],
        error: &["/error/message"],
        numbers: &[],
    },
    calls: Denied::LeftOut("STOP"),
    refused: Some("SAFETY"),
    error: || {
        Some(bare(
            json!({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}),
        ))
    },
    beside: Some(|index, text| candidate(index, json!({"text": text}), None)),
    unknown: |words| bare(json!({"zz": words})),
    at: ("#candidate/0", "/candidates/0/content/parts/0"),
    more: Some(more_of_generate),
    ..USUAL
};

/// In the envelope of Code Assist.
fn wrapped((name, payload): Event) -> Event {
    (name, json!({"response": payload, "traceId": "1f"}))
}

const CODE_ASSIST: StreamCase = StreamCase {
    name: "gemini.code_assist",
    protocol: "gemini.code_assist",
    path: "/v1internal:streamGenerateContent?alt=sse",
    question: r#"{"model":"gemini-x","request":{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}}"#,
    answer: |said| generate_answer(said).into_iter().map(wrapped).collect(),
    client: Client {
        text: &["/response/candidates/0/content/parts/0/text"],
        denial: &["/response/candidates/0/content/parts/0/text"],
        tool: &["/response/candidates/0/content/parts/0/functionCall/name"],
        args: &["/response/candidates/0/content/parts/0/functionCall/args"],
        finish: &["/response/candidates/0/finishReason"],
        error: &["/error/message"],
        numbers: &[],
    },
    beside: Some(|index, text| wrapped(candidate(index, json!({"text": text}), None))),
    at: ("#candidate/0", "/response/candidates/0/content/parts/0"),
    more: Some(|| {
        let (events, record) = more_of_generate();
        (events.into_iter().map(wrapped).collect(), record)
    }),
    ..GENERATE
};

fn interaction_answer(said: &[Said<'_>]) -> Vec<Event> {
    let of = |kind: &str, status: &str| {
        let mut interaction =
            json!({"id": "v1_x", "object": "interaction", "status": status, "model": "gemini-x"});
        if status != "in_progress" {
            interaction["usage"] = json!({"total_input_tokens": 3, "total_output_tokens": 4});
        }
        json!({"interaction": interaction, "event_type": kind})
    };
    let mut events = vec![of("interaction.created", "in_progress")];
    for (index, said) in said.iter().enumerate() {
        let start = |step: Value| json!({"index": index, "step": step, "event_type": "step.start"});
        let delta =
            |delta: Value| json!({"index": index, "delta": delta, "event_type": "step.delta"});
        match said {
            Said::Text(parts) => {
                events.push(start(json!({"type": "model_output"})));
                let part = |part: &&str| delta(json!({"type": "text", "text": part}));
                events.extend(parts.iter().map(part));
            }
            Said::Call(name, parts) => {
                let id = format!("c{index}");
                events.push(start(
                    json!({"type": "function_call", "id": id, "name": name, "arguments": {}}),
                ));
                let part =
                    |part: &&str| delta(json!({"type": "arguments_delta", "arguments": part}));
                events.extend(parts.iter().map(part));
            }
        }
        events.push(json!({"index": index, "event_type": "step.stop"}));
    }
    let status = if has_calls(said) {
        "requires_action"
    } else {
        "completed"
    };
    events.push(of("interaction.completed", status));
    let named = |payload: Value| (payload["event_type"].as_str().unwrap().to_owned(), payload);
    let mut events: Vec<Event> = events.into_iter().map(named).collect();
    events.push(event("done", json!("[DONE]")));
    events
}

/// The same with the events that there were before steps.
fn content_answer(said: &[Said<'_>]) -> Vec<Event> {
    let earlier = |(name, mut payload): Event| {
        let name = match name.as_str() {
            "interaction.created" => "interaction.start".to_owned(),
            "interaction.completed" => "interaction.complete".to_owned(),
            name => name.replace("step.", "content."),
        };
        let Some(members) = payload.as_object_mut() else {
            return (name, payload);
        };
        members.insert("event_type".to_owned(), json!(name));
        if let Some(step) = members.remove("step") {
            let content = match step["type"] == "model_output" {
                true => json!({"type": "text", "text": ""}),
                false => step,
            };
            members.insert("content".to_owned(), content);
        }
        (name, payload)
    };
    let events = interaction_answer(said).into_iter();
    events.map(earlier).collect()
}

// ---- Providers' own forms of OpenAI's chat, and LM Studio -----------------------------------------------------------

/// Chunks of watsonx.ai: nothing follows them.
fn watsonx_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = chat_answer(said);
    events.pop();
    events
        .into_iter()
        .map(|(_, mut payload)| {
            payload["model_id"] = json!("ibm/granite-3-8b-instruct");
            event("message", payload)
        })
        .collect()
}

fn generation_part(text: &str, reason: &str) -> Event {
    event(
        "message",
        json!({"model_id": "ibm/granite-3-8b-instruct", "created_at": "2026-01-01T00:00:00.000Z", "results": [
            {"generated_text": text, "generated_token_count": 4, "input_token_count": 3, "stop_reason": reason}]}),
    )
}

fn generation_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = texts(said, |part| generation_part(part, "not_finished"));
    events.push(generation_part("", "eos_token"));
    events
}

fn in_output(choice: u32, message: Value, finish: &str) -> Event {
    event(
        "result",
        json!({"output": {"choices": [{"index": choice, "message": message, "finish_reason": finish}]},
            "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}, "request_id": "r-1"}),
    )
}

fn dashscope_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut index = 0;
    let said_in = |mut message: Value| {
        message["role"] = json!("assistant");
        in_output(0, message, "null")
    };
    for said in said {
        match said {
            Said::Text(parts) => {
                events.extend(parts.iter().map(|part| said_in(json!({"content": part}))));
            }
            Said::Call(name, parts) => {
                events.push(said_in(json!({"content": "", "tool_calls": [{"index": index, "id": format!("call_{index}"),
                    "type": "function", "function": {"name": name, "arguments": ""}}]})));
                events.extend(parts.iter().map(|part| {
                    said_in(json!({"content": "", "tool_calls": [{"index": index, "id": "", "type": "function",
                        "function": {"arguments": part}}]}))
                }));
                index += 1;
            }
        }
    }
    let finish = if index > 0 { "tool_calls" } else { "stop" };
    events.push(in_output(
        0,
        json!({"role": "assistant", "content": ""}),
        finish,
    ));
    events
}

/// Native events of Workers AI: texts, and calls as OpenAI's deltas, in the event itself.
fn workers_ai_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut index = 0;
    for said in said {
        match said {
            Said::Text(parts) => events.extend(
                parts
                    .iter()
                    .map(|part| bare(json!({"response": part, "p": "abcdef"}))),
            ),
            Said::Call(name, parts) => {
                events.push(bare(
                    json!({"tool_calls": [{"id": format!("call_{index}"), "type": "function", "index": index,
                        "function": {"name": name, "arguments": ""}}]}),
                ));
                events.extend(parts.iter().map(|part| {
                    bare(json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]}))
                }));
                events.push(bare(
                    json!({"tool_calls": [{"id": null, "type": null, "index": index,
                        "function": {"name": null, "arguments": ""}}]}),
                ));
                index += 1;
            }
        }
    }
    events.push(bare(
        json!({"response": "", "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}),
    ));
    events.push(done());
    events
}

fn lmstudio_answer(said: &[Said<'_>]) -> Vec<Event> {
    let provider = json!({"type": "plugin", "plugin_id": "mcp/crm"});
    let mut events = vec![typed(
        json!({"type": "chat.start", "model_instance_id": "qwen3-8b"}),
    )];
    let mut output = Vec::new();
    for said in said {
        match said {
            Said::Text(parts) => {
                events.push(typed(json!({"type": "message.start"})));
                events.extend(
                    parts
                        .iter()
                        .map(|part| typed(json!({"type": "message.delta", "content": part}))),
                );
                events.push(typed(json!({"type": "message.end"})));
                output.push(json!({"type": "message", "content": parts.concat()}));
            }
            Said::Call(name, parts) => {
                let of_call = |kind: &str, more: Value| {
                    with(
                        json!({"type": kind, "tool": name, "provider_info": provider}),
                        more,
                    )
                };
                let arguments = json!({"arguments": parsed(parts)});
                let done = with(arguments.clone(), json!({"output": "found"}));
                events.push(typed(of_call("tool_call.start", json!({}))));
                events.push(typed(of_call("tool_call.arguments", arguments)));
                events.push(typed(of_call("tool_call.success", done.clone())));
                output.push(of_call("tool_call", done));
            }
        }
    }
    events.push(typed(json!({"type": "chat.end", "result": {"model_instance_id": "qwen3-8b", "output": output,
        "stats": {"input_tokens": 3, "total_output_tokens": 4, "reasoning_output_tokens": 0, "tokens_per_second": 41.5,
            "time_to_first_token_seconds": 0.5}, "response_id": "resp_1"}})));
    events
}

/// Thoughts, a model that is loaded, and a call that the server rejects.
fn more_of_lmstudio() -> (Vec<Event>, Value) {
    let more = [
        json!({"type": "model_load.start", "model_instance_id": "qwen3-8b"}),
        json!({"type": "model_load.progress", "model_instance_id": "qwen3-8b", "progress": 0.65}),
        json!({"type": "prompt_processing.start"}),
        json!({"type": "reasoning.start"}),
        json!({"type": "reasoning.delta", "content": "Need to"}),
        json!({"type": "reasoning.end"}),
        json!({"type": "tool_call.start", "tool": "open_browser", "provider_info": {"type": "plugin", "plugin_id": "mcp/x"}}),
        json!({"type": "tool_call.failure", "reason": "Cannot find tool with name open_browser.",
            "metadata": {"type": "invalid_name", "tool_name": "open_browser"}}),
    ];
    let said = lmstudio_answer(&[Said::Text(&["Good ", "morning"])]);
    (among(said, 1, more.map(typed)), counted())
}

/// Answers of an agent, whose thoughts tell of tools and come again with what they returned.
fn dify_answer(said: &[Said<'_>]) -> Vec<Event> {
    let of = |kind: &str, more: Value| {
        let known = json!({"event": kind, "task_id": "t-1", "message_id": "m-1", "conversation_id": "c-1", "created_at": 7});
        bare(with(known, more))
    };
    let mut events = Vec::new();
    for said in said {
        match said {
            Said::Text(parts) => events.extend(
                parts
                    .iter()
                    .map(|part| of("agent_message", json!({"answer": part}))),
            ),
            Said::Call(name, parts) => events.extend(["", "found"].map(|observation| {
                of(
                    "agent_thought",
                    json!({"position": 1, "thought": "", "tool": name, "tool_input": parts.concat(),
                        "observation": observation}),
                )
            })),
        }
    }
    events.push(of(
        "message_end",
        json!({"metadata": {"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_price": "0.001"}}}),
    ));
    events
}

// ---- Sessions of agents ---------------------------------------------------------------------------------------------

/// The events of a turn, and those of the session around it. Each of two turns numbers its items from 0.
fn agent_answer(said: &[Said<'_>]) -> Vec<Event> {
    let session = |status: &str, actions: Value| {
        typed(
            json!({"type": format!("agent.session.{status}"), "event_id": "ev", "session": {"id": "s_1", "object": "agent.session",
            "agent": {"id": "ag_1", "model": "gpt-6", "tools": []}, "created_at": 1, "last_active_at": 2, "metadata": {},
            "environment": {"type": "none"}, "status": status, "required_actions": actions, "vault_ids": []}}),
        )
    };
    let mut events = vec![session("in_progress", json!([]))];
    let mut actions = Vec::new();
    for (at, said) in said.iter().enumerate() {
        let turn = format!("turn_{at}");
        let of = |kind: &str, more: Value| {
            let known = json!({"type": format!("agent.session.turn.{kind}"), "event_id": "ev", "session_id": "s_1",
                "turn_id": turn, "output_index": 0});
            typed(with(known, more))
        };
        match said {
            Said::Text(parts) => {
                let id = format!("msg_{at}");
                let item = |content: Value| {
                    json!({"item": {"id": id, "type": "message", "role": "assistant", "status": "completed",
                        "turn_id": turn, "content": content}})
                };
                let part =
                    json!({"type": "output_text", "text": parts.concat(), "annotations": []});
                let here = json!({"item_id": id, "content_index": 0});
                events.push(of("item.added", item(json!([]))));
                events.extend(parts.iter().map(|piece| {
                    of(
                        "output_text.delta",
                        with(here.clone(), json!({"delta": piece})),
                    )
                }));
                events.push(of(
                    "output_text.done",
                    with(here.clone(), json!({"text": parts.concat()})),
                ));
                events.push(of("content_part.done", with(here, json!({"part": part}))));
                events.push(of("item.done", item(json!([part]))));
            }
            Said::Call(name, parts) => {
                let call = json!({"type": "function_call", "call_id": format!("call_{at}"), "turn_id": turn, "name": name,
                    "arguments": parsed(parts)});
                let item = with(
                    call.clone(),
                    json!({"id": format!("fc_{at}"), "status": "completed"}),
                );
                events.push(of("item.done", json!({"item": item})));
                actions.push(call);
            }
        }
    }
    if !actions.is_empty() {
        events.push(session("requires_action", json!(actions)));
    }
    events
}

/// Thoughts, what a tool of the provider's wrote, and a call that only the session tells of.
fn more_of_agents() -> (Vec<Event>, Value) {
    let of = |kind: &str, more: Value| {
        let known = json!({"type": kind, "event_id": "ev", "session_id": "s_1", "turn_id": "turn_9", "output_index": 0});
        typed(with(known, more))
    };
    let run = json!({"id": "x_1", "type": "command_execution", "command": "ls -l", "cwd": "/w", "exit_code": 0,
        "duration_ms": 4, "output": "a.txt", "status": "completed", "turn_id": "turn_9"});
    let asked = json!({"type": "mcp_approval_request", "request_id": "r_1", "turn_id": "turn_9", "request": {
        "type": "mcp_tool_call", "name": "lookup", "arguments": {"id": 1}, "server_label": "crm", "message": "May I?"}});
    let more = [
        of(
            "agent.session.turn.reasoning_summary_text.delta",
            json!({"item_id": "rs_1", "summary_index": 0, "delta": "Need to"}),
        ),
        of(
            "agent.output.command_execution_output.delta",
            json!({"item_id": "x_1", "delta": "a.txt"}),
        ),
        of("agent.session.turn.item.done", json!({"item": run})),
        typed(
            json!({"type": "agent.session.requires_action", "event_id": "ev", "session": {"id": "s_1",
            "object": "agent.session", "required_actions": [asked]}}),
        ),
        of(
            "agent.session.turn.completed",
            json!({"turn": {"id": "turn_9", "object": "agent.session.turn", "agent_id": "ag_1", "status": "completed",
                "session_id": "s_1", "created_at": 1, "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}}),
        ),
    ];
    let said = agent_answer(&[Said::Text(&["Good ", "morning"])]);
    (
        among(said, 1, more),
        json!({"tools": ["lookup"], "events": {"message": 1, "request": 1, "response": 5, "tool_call": 2, "tool_result": 1}}),
    )
}

/// The events of a session at Anthropic, with the pieces of each text before it.
fn session_answer(said: &[Said<'_>]) -> Vec<Event> {
    let time = json!({"processed_at": "2026-01-01T00:00:00Z"});
    let of = |kind: &str, more: Value| typed(with(with(json!({"type": kind}), time.clone()), more));
    let mut events = vec![of("session.status_running", json!({"id": "sev_run"}))];
    for (at, said) in said.iter().enumerate() {
        let id = format!("sev_{at}");
        match said {
            Said::Text(parts) => {
                events.push(typed(
                    json!({"type": "event_start", "event": {"type": "agent.message", "id": id}}),
                ));
                events.extend(parts.iter().map(|piece| {
                    typed(
                        json!({"type": "event_delta", "event_id": id, "delta": {"type": "content_delta", "index": 0,
                        "content": {"type": "text", "text": piece}}}),
                    )
                }));
                let content = json!([{"type": "text", "text": parts.concat()}]);
                events.push(of("agent.message", json!({"id": id, "content": content})));
            }
            Said::Call(name, parts) => events.push(of(
                "agent.custom_tool_use",
                json!({"id": id, "name": name, "input": parsed(parts)}),
            )),
        }
    }
    events.push(of(
        "session.status_idle",
        json!({"id": "sev_idle", "stop_reason": {"type": "end_turn"}}),
    ));
    events
}

/// What a user sent, and a tool of the provider's with what it returned.
fn more_of_sessions() -> (Vec<Event>, Value) {
    let more = [
        json!({"type": "user.message", "id": "sev_u", "content": [{"type": "text", "text": "hi"}]}),
        json!({"type": "agent.thinking", "id": "sev_t"}),
        json!({"type": "agent.tool_use", "id": "sev_b", "name": "bash", "input": {"command": "ls"},
            "evaluated_permission": "allow"}),
        json!({"type": "agent.tool_result", "id": "sev_r", "tool_use_id": "sev_b", "is_error": false,
            "content": [{"type": "text", "text": "a.txt"}]}),
        json!({"type": "span.model_request_end", "id": "sev_s", "model_request_start_id": "sev_m", "is_error": false,
            "model_usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 0}}),
    ];
    let said = session_answer(&[Said::Text(&["Good ", "morning"])]);
    (
        among(said, 1, more.map(typed)),
        json!({"events": {"request": 1, "response": 3, "tool_call": 1, "tool_result": 1}}),
    )
}

// ---- Ollama, Cohere -------------------------------------------------------------------------------------------------

fn ollama_line(message: Value) -> Event {
    bare(
        json!({"model": "qwen3", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": false}),
    )
}

fn ollama_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut index = 0;
    for said in said {
        match said {
            Said::Text(parts) => events.extend(
                parts
                    .iter()
                    .map(|part| ollama_line(json!({"role": "assistant", "content": part}))),
            ),
            Said::Call(name, parts) => {
                let call = json!({"id": format!("call_{index}"),
                    "function": {"index": index, "name": name, "arguments": parsed(parts)}});
                events.push(ollama_line(
                    json!({"role": "assistant", "content": "", "tool_calls": [call]}),
                ));
                index += 1;
            }
        }
    }
    events.push(bare(
        json!({"model": "qwen3", "created_at": "2026-01-01T00:00:01Z",
        "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop",
        "total_duration": 12_345_678_901_u64, "prompt_eval_count": 3, "eval_count": 4}),
    ));
    events
}

fn ollama_text_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = texts(said, |part| {
        bare(
            json!({"model": "qwen3", "created_at": "2026-01-01T00:00:00Z", "response": part, "done": false}),
        )
    });
    events.push(bare(
        json!({"model": "qwen3", "created_at": "2026-01-01T00:00:01Z", "response": "", "done": true,
        "done_reason": "stop", "context": [1, 2], "prompt_eval_count": 3, "eval_count": 4}),
    ));
    events
}

fn cohere_answer(said: &[Said<'_>]) -> Vec<Event> {
    let of = |kind: &str, index: u32, message: Value| json!({"type": kind, "index": index, "delta": {"message": message}});
    let mut events = vec![
        json!({"id": "c-1", "type": "message-start", "delta": {"message":
        {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}}),
    ];
    let (mut contents, mut calls) = (0, 0);
    for said in said {
        match said {
            Said::Text(parts) => {
                events.push(of(
                    "content-start",
                    contents,
                    json!({"content": {"type": "text", "text": ""}}),
                ));
                let part = |part: &&str| {
                    of(
                        "content-delta",
                        contents,
                        json!({"content": {"text": part}}),
                    )
                };
                events.extend(parts.iter().map(part));
                events.push(json!({"type": "content-end", "index": contents}));
                contents += 1;
            }
            Said::Call(name, parts) => {
                events.push(of(
                    "tool-call-start",
                    calls,
                    json!({"tool_calls": {"id": format!("{name}_{calls}"),
                    "type": "function", "function": {"name": name, "arguments": ""}}}),
                ));
                let part = |part: &&str| {
                    of(
                        "tool-call-delta",
                        calls,
                        json!({"tool_calls": {"function": {"arguments": part}}}),
                    )
                };
                events.extend(parts.iter().map(part));
                events.push(json!({"type": "tool-call-end", "index": calls}));
                calls += 1;
            }
        }
    }
    let reason = if calls > 0 { "TOOL_CALL" } else { "COMPLETE" };
    events.push(json!({"type": "message-end",
        "delta": {"finish_reason": reason, "usage": {"tokens": {"input_tokens": 3, "output_tokens": 4}}}}));
    let mut events: Vec<Event> = events.into_iter().map(typed).collect();
    events.push(done());
    events
}

fn cohere_v1_answer(said: &[Said<'_>]) -> Vec<Event> {
    let of = |kind: &str, more: Value| {
        with(
            json!({"is_finished": kind == "stream-end", "event_type": kind}),
            more,
        )
    };
    let mut events = vec![of("stream-start", json!({"generation_id": "g"}))];
    let mut calls = Vec::new();
    let is_plan = has_calls(said);
    for said in said {
        match said {
            Said::Text(parts) => events.extend(parts.iter().map(|part| {
                let kind = if is_plan {
                    "tool-calls-chunk"
                } else {
                    "text-generation"
                };
                of(kind, json!({"text": part}))
            })),
            Said::Call(name, parts) => {
                let delta =
                    |delta: Value| of("tool-calls-chunk", json!({"tool_call_delta": delta}));
                events.push(delta(json!({"index": calls.len(), "name": name})));
                let part = |part: &&str| delta(json!({"index": calls.len(), "parameters": part}));
                events.extend(parts.iter().map(part));
                calls.push(json!({"name": name, "parameters": parsed(parts)}));
            }
        }
    }
    let text = text_of(said);
    let mut response = json!({
        "response_id": "r", "generation_id": "g", "text": text, "finish_reason": "COMPLETE",
        "chat_history": [{"role": "USER", "message": "hi"}, {"role": "CHATBOT", "message": text}],
        "meta": {"tokens": {"input_tokens": 3, "output_tokens": 4}},
    });
    if !calls.is_empty() {
        events.push(of(
            "tool-calls-generation",
            json!({"text": text, "tool_calls": calls}),
        ));
        response["tool_calls"] = json!(calls);
    }
    events.push(of(
        "stream-end",
        json!({"finish_reason": "COMPLETE", "response": response}),
    ));
    events.into_iter().map(bare).collect()
}

// ---- Agents and tools -----------------------------------------------------------------------------------------------

/// A result of a call, and before it what the server had to say. Each text is one message.
fn mcp_answer(said: &[Said<'_>]) -> Vec<Event> {
    let logged = |text: &str| {
        event(
            "message",
            json!({"jsonrpc": "2.0", "method": "notifications/message",
            "params": {"level": "info", "data": text}}),
        )
    };
    let mut events = vec![logged("working")];
    let content: Vec<Value> = said
        .iter()
        .map(|said| match said {
            Said::Text(parts) => json!({"type": "text", "text": parts.concat()}),
            Said::Call(..) => panic!("a server of tools calls none"),
        })
        .collect();
    events.push(event(
        "message",
        json!({"jsonrpc": "2.0", "id": 1, "result": {"content": content, "isError": false}}),
    ));
    events
}

/// A task with its states, and an artifact in chunks.
fn a2a_answer(said: &[Said<'_>]) -> Vec<Event> {
    let state = |state: &str| json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": state}}});
    let mut events = vec![
        json!({"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_SUBMITTED"}}}),
        state("TASK_STATE_WORKING"),
    ];
    for (number, said) in said.iter().enumerate() {
        let Said::Text(parts) = said else {
            panic!("an agent's answers hold no calls");
        };
        for (at, part) in parts.iter().enumerate() {
            let artifact = json!({"artifactId": format!("a{number}"), "name": "report", "parts": [{"text": part}]});
            events.push(
                json!({"artifactUpdate": {"taskId": "t", "contextId": "c", "artifact": artifact,
                "append": at > 0, "lastChunk": at + 1 == parts.len()}}),
            );
        }
    }
    events.push(state("TASK_STATE_COMPLETED"));
    events.into_iter().map(bare).collect()
}

fn a2a_rpc_answer(said: &[Said<'_>]) -> Vec<Event> {
    let events = a2a_answer(said).into_iter();
    events
        .map(|(_, result)| bare(json!({"jsonrpc": "2.0", "id": "q-1", "result": result})))
        .collect()
}

fn generic_answer(said: &[Said<'_>]) -> Vec<Event> {
    let mut events = Vec::new();
    for said in said {
        match said {
            Said::Text(parts) => {
                events.extend(parts.iter().map(|part| bare(json!({"reply": part}))))
            }
            Said::Call(name, parts) => {
                events.push(bare(
                    json!({"actions": [{"tool": name, "input": parsed(parts)}]}),
                ));
            }
        }
    }
    events.push(done());
    events
}

// ---- Whatever else streams hold -------------------------------------------------------------------------------------

/// What the record says of what nobody can read.
fn opaque() -> Value {
    json!({"coverage": {"level": "partial", "reasons": ["response:opaque"]}})
}

/// What is said, and between it these events.
fn among(said: Vec<Event>, at: usize, events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut all = said;
    all.splice(at..at, events);
    all
}

/// A source that a text names.
fn more_of_responses() -> (Vec<Event>, Value) {
    let events = responses_answer(&[Said::Text(&["Good ", "source."])]);
    let note = json!({"type": "url_citation", "start_index": 5, "end_index": 11, "url": "https://a.example/", "title": "A"});
    let mut events: Vec<Value> = events.into_iter().map(|(_, event)| event).collect();
    let noted = json!({"type": "response.output_text.annotation.added", "item_id": "item_0", "output_index": 0,
        "content_index": 0, "annotation_index": 0, "annotation": note});
    events.insert(5, noted);
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
        for at in [
            "/part/annotations",
            "/item/content/0/annotations",
            "/response/output/0/content/0/annotations",
        ] {
            if number > 5
                && let Some(notes) = event.pointer_mut(at)
            {
                *notes = json!([note]);
            }
        }
        if let Some(response) = event.get_mut("response") {
            response["instructions"] = json!("Be kind.");
        }
    }
    // The text, the annotation, and the instructions that the answer repeats: each is told once.
    let told = json!({"coverage": {"level": "full", "reasons": []}});
    (events.into_iter().map(typed).collect(), told)
}

/// Code that the provider runs.
fn more_of_runs() -> (Vec<Event>, Value) {
    let step = |call: Value| {
        let details = json!({"type": "tool_calls", "tool_calls": [call]});
        event(
            "thread.run.step.delta",
            json!({"id": "step_1", "object": "thread.run.step.delta", "delta": {"step_details": details}}),
        )
    };
    let code = [
        step(
            json!({"index": 0, "id": "call_0", "type": "code_interpreter", "code_interpreter": {"input": "", "outputs": []}}),
        ),
        step(
            json!({"index": 0, "type": "code_interpreter", "code_interpreter": {"input": "print(1)"}}),
        ),
    ];
    let said = run_answer(&[Said::Text(&["Good ", "morning"])]);
    (
        among(said, 1, code),
        json!({"usage": {"input_tokens": 3, "output_tokens": 4}}),
    )
}

/// A tool that the provider runs, another agent that takes over, thoughts.
fn more_of_entries() -> (Vec<Event>, Value) {
    let runs = |what: &str, arguments: &str| {
        typed(
            json!({"type": format!("tool.execution.{what}"), "id": "tool_1", "output_index": 0, "name": "web_search",
            "arguments": arguments}),
        )
    };
    let says = |content: Value, at: u32| {
        typed(
            json!({"type": "message.output.delta", "id": "msg_1", "output_index": 1, "content_index": at,
            "content": content, "model": "mistral-medium-latest", "role": "assistant"}),
        )
    };
    let events = [
        runs("started", "{\"query\": "),
        runs("delta", "\"geese\"}"),
        typed(
            json!({"type": "tool.execution.done", "id": "tool_1", "output_index": 0, "name": "web_search", "info": {"hits": 3}}),
        ),
        typed(
            json!({"type": "agent.handoff.started", "id": "h", "previous_agent_id": "a", "previous_agent_name": "first"}),
        ),
        says(
            json!({"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}),
            0,
        ),
        says(json!("Good "), 1),
        says(json!({"type": "text", "text": "morning"}), 1),
    ];
    (among(entry_answer(&[]), 1, events), counted())
}

/// Who said what.
fn more_of_audio() -> (Vec<Event>, Value) {
    let segment = bare(
        json!({"type": "transcript.text.segment", "id": "s", "start": 0.0, "end": 1.0, "speaker": "A",
        "text": "Hello"}),
    );
    (
        among(transcript_answer(&[Said::Text(&["Hello"])]), 1, [segment]),
        counted(),
    )
}

/// Thoughts, a search that the provider runs, a source, a sign of life.
fn more_of_messages() -> (Vec<Event>, Value) {
    let start = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let events = [
        start(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        delta(0, json!({"type": "thinking_delta", "thinking": "Let me "})),
        delta(0, json!({"type": "thinking_delta", "thinking": "think."})),
        delta(
            0,
            json!({"type": "signature_delta", "signature": "c2lnbmVk"}),
        ),
        stop(0),
        json!({"type": "ping"}),
        start(
            1,
            json!({"type": "server_tool_use", "id": "toolu_1", "name": "web_search", "input": {}}),
        ),
        delta(
            1,
            json!({"type": "input_json_delta", "partial_json": "{\"query\":\"x\"}"}),
        ),
        stop(1),
        start(
            2,
            json!({"type": "web_search_tool_result", "tool_use_id": "toolu_1", "content": [
                {"type": "web_search_result", "title": "T", "url": "https://a.example/", "encrypted_content": "YWJj", "page_age": null},
            ]}),
        ),
        stop(2),
        start(3, json!({"type": "text", "text": "", "citations": []})),
        delta(
            3,
            json!({"type": "citations_delta", "citation": {
                "type": "web_search_result_location", "cited_text": "It is so.", "url": "https://a.example/", "title": "T",
                "encrypted_index": "YWJj",
            }}),
        ),
        delta(3, json!({"type": "text_delta", "text": "As they say."})),
        stop(3),
    ];
    let events = among(message_answer(&[]), 1, events.into_iter().map(typed));
    (events, with(opaque(), counted()))
}

/// Thoughts with their signature, a source.
fn more_of_converse() -> (Vec<Event>, Value) {
    let delta = |index: u32, delta: Value| {
        event(
            "contentBlockDelta",
            json!({"contentBlockIndex": index, "delta": delta, "p": "abcdefgh"}),
        )
    };
    let stop = |index: u32| event("contentBlockStop", json!({"contentBlockIndex": index}));
    let events = [
        delta(0, json!({"reasoningContent": {"text": "Let me think."}})),
        delta(0, json!({"reasoningContent": {"signature": "c2lnbmVk"}})),
        stop(0),
        delta(1, json!({"text": "Good "})),
        delta(
            1,
            json!({"citation": {"title": "T", "sourceContent": [{"text": "It is so."}],
            "location": {"documentChar": {"start": 0}}}}),
        ),
        delta(1, json!({"text": "morning"})),
        stop(1),
    ];
    let events = among(converse_answer(&[]), 1, events);
    (events, with(opaque(), counted()))
}

/// A thought, and its signature.
fn more_of_generate() -> (Vec<Event>, Value) {
    let thought = json!({"text": "Let me think.", "thought": true});
    let signed =
        json!({"functionCall": {"name": "find", "args": {"id": 7}}, "thoughtSignature": "c2ln"});
    let events = [candidate(0, thought, None), candidate(0, signed, None)];
    let record = with(opaque(), json!({"tools": ["find"]}));
    (among(generate_answer(&[]), 0, events), record)
}

fn more_of_interactions() -> (Vec<Event>, Value) {
    let named = |payload: Value| (payload["event_type"].as_str().unwrap().to_owned(), payload);
    let delta =
        |delta: Value| named(json!({"index": 0, "delta": delta, "event_type": "step.delta"}));
    let events = [
        named(json!({"index": 0, "step": {"type": "thought"}, "event_type": "step.start"})),
        delta(
            json!({"type": "thought_summary", "content": {"type": "text", "text": "Let me think."}}),
        ),
        delta(json!({"type": "thought_signature", "signature": "c2ln"})),
        named(json!({"index": 0, "event_type": "step.stop"})),
    ];
    (among(interaction_answer(&[]), 1, events), counted())
}

/// Thoughts.
fn more_of_ollama() -> (Vec<Event>, Value) {
    let thought = ollama_line(json!({"role": "assistant", "content": "", "thinking": "Well"}));
    let said = ollama_answer(&[Said::Text(&["Good ", "morning"])]);
    (among(said, 0, [thought]), counted())
}

/// A plan.
fn more_of_cohere() -> (Vec<Event>, Value) {
    let plan = typed(
        json!({"type": "tool-plan-delta", "index": 0, "delta": {"message": {"tool_plan": "I will look."}}}),
    );
    let said = cohere_answer(&[Said::Call("find", &["{}"])]);
    (among(said, 1, [plan]), json!({"tools": ["find"]}))
}

/// Artifacts side by side, and what is said of states.
fn more_of_a2a() -> (Vec<Event>, Value) {
    let chunk = |id: &str, text: &str, append: bool| {
        bare(
            json!({"artifactUpdate": {"taskId": "t", "contextId": "c", "artifact": {"artifactId": id,
            "parts": [{"text": text}]}, "append": append, "lastChunk": append}}),
        )
    };
    let working = bare(
        json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING",
        "message": {"messageId": "n", "role": "ROLE_AGENT", "parts": [{"text": "step 1"}]}}}}),
    );
    let events = [
        working,
        chunk("a1", "Quarterly ", false),
        chunk("a2", "Other ", false),
        chunk("a1", "report", true),
        chunk("a2", "one", true),
    ];
    (
        among(a2a_answer(&[]), 1, events),
        json!({"coverage": {"level": "full", "reasons": []}}),
    )
}

/// Names of events, escapes, words that are no JSON.
fn more_of_generic() -> (Vec<Event>, Value) {
    let events = [
        "{\"reply\": \"a\\u00e9\"}",
        "{\"else\":[1,\"b\"]}",
        "plain words",
    ];
    let events = events.map(|text| event("x", json!(text)));
    (
        events.to_vec(),
        json!({"coverage": {"level": "full", "reasons": []}}),
    )
}

/// Interactions with steps.
const INTERACTIONS: StreamCase = StreamCase {
    name: "gemini.interactions",
    protocol: "gemini.interactions",
    reader: "STEP_STREAM",
    path: "/v1beta/interactions",
    question: r#"{"model":"gemini-x","input":"hi","stream":true}"#,
    answer: interaction_answer,
    client: Client {
        text: &["delta.type=text /delta/text"],
        denial: &["delta.type=text /delta/text"],
        tool: &["step.type=function_call /step/name"],
        args: &["/delta/arguments"],
        finish: &["/interaction/status"],
        error: &["/error/message"],
        numbers: &["/index"],
    },
    calls: Denied::LeftOut("completed"),
    refused: Some("completed"),
    error: || {
        Some(event(
            "error",
            json!({"error": {"code": "unavailable", "message": "Overloaded"}, "event_type": "error"}),
        ))
    },
    unknown: |words| {
        event(
            "zz.unknown",
            json!({"event_type": "zz.unknown", "zz": words}),
        )
    },
    at: ("#step/0", "#step/1"),
    more: Some(more_of_interactions),
    ..USUAL
};

/// All of them.
pub const CASES: &[StreamCase] = &[
    CHAT,
    StreamCase {
        name: "openai.chat at Vertex AI",
        path: "/v1/projects/p/locations/l/publishers/mistralai/models/m:streamRawPredict",
        ..CHAT
    },
    StreamCase {
        name: "openai.completions, code that is filled in",
        protocol: "openai.completions",
        path: "/v1/fim/completions",
        question: r#"{"model":"codestral","prompt":"hi","stream":true}"#,
        ..CHAT
    },
    StreamCase {
        name: "openai.completions",
        protocol: "openai.completions",
        reader: "Chunks",
        path: "/v1/completions",
        question: r#"{"model":"davinci","prompt":"hi","stream":true,"n":2}"#,
        answer: completion_answer,
        client: Client {
            text: &["/choices/0/text"],
            denial: &["/choices/0/text"],
            finish: &["/choices/0/finish_reason"],
            ..USUAL.client
        },
        refused: Some("content_filter"),
        record: counted,
        error: CHAT.error,
        beside: Some(|choice, text| completion_part(choice, text, Value::Null)),
        unknown: CHAT.unknown,
        at: ("#choice/0", ""),
        ..USUAL
    },
    StreamCase {
        name: "openai.completions, tokens of a server",
        protocol: "openai.completions",
        reader: "NATIVE_STREAM",
        path: "/generate_stream",
        question: r#"{"inputs":"hi","stream":true}"#,
        answer: native_answer,
        client: Client {
            text: &["/token/text"],
            denial: &["/token/text"],
            error: &["/error/message", "/error"],
            ..USUAL.client
        },
        // Special tokens are a text of their own.
        record: || json!({"events": {"message": 1, "request": 1, "response": 2}}),
        error: || {
            Some(bare(
                json!({"error": "Overloaded", "error_type": "overloaded"}),
            ))
        },
        unknown: |words| bare(json!({"zz": words})),
        at: ("#choice/0", ""),
        ..USUAL
    },
    StreamCase {
        name: "watsonx.text",
        protocol: "watsonx.text",
        path: "/ml/v1/text/chat_stream?version=2024-10-08",
        question: r#"{"model_id":"ibm/granite-3-8b-instruct","project_id":"p-1","messages":[{"role":"user","content":"hi"}]}"#,
        answer: watsonx_answer,
        client: Client {
            error: &["/errors/0/message"],
            ..CHAT.client
        },
        error: || {
            Some(event(
                "error",
                json!({"errors": [{"code": "model_error", "message": "Overloaded"}], "trace": "t-1", "status_code": 500}),
            ))
        },
        ..CHAT
    },
    StreamCase {
        name: "watsonx.text, a prompt",
        protocol: "watsonx.text",
        reader: "GENERATION_STREAM",
        path: "/ml/v1/text/generation_stream?version=2024-10-08",
        question: r#"{"model_id":"ibm/granite-3-8b-instruct","project_id":"p-1","input":"hi"}"#,
        answer: generation_answer,
        client: Client {
            text: &["/results/0/generated_text"],
            denial: &["/results/0/generated_text"],
            finish: &["/results/0/stop_reason"],
            error: &["/errors/0/message"],
            ..USUAL.client
        },
        refused: Some("eos_token"),
        record: counted,
        unknown: |words| event("message", json!({"zz": words})),
        ..USUAL
    },
    StreamCase {
        name: "dashscope.generation",
        protocol: "dashscope.generation",
        path: "/api/v1/services/aigc/text-generation/generation",
        headers: &[("x-dashscope-sse", "enable")],
        question: r#"{"model":"qwen-plus","input":{"messages":[{"role":"user","content":"hi"}]},"parameters":{"result_format":"message","incremental_output":true,"n":2}}"#,
        answer: dashscope_answer,
        client: Client {
            text: &["/output/choices/0/message/content"],
            denial: &["/output/choices/0/message/content"],
            tool: &["/output/choices/0/message/tool_calls/0/function/name"],
            args: &["/output/choices/0/message/tool_calls/0/function/arguments"],
            finish: &["/output/choices/0/finish_reason"],
            error: &["/message"],
            numbers: &["/output/choices/0/message/tool_calls/0/index"],
        },
        refused: Some("stop"),
        error: || {
            Some(event(
                "error",
                json!({"code": "Throttling", "message": "Overloaded", "request_id": "r-1"}),
            ))
        },
        beside: Some(|choice, text| {
            in_output(
                choice,
                json!({"role": "assistant", "content": text}),
                "null",
            )
        }),
        unknown: |words| event("result", json!({"zz": words})),
        ..CHAT
    },
    StreamCase {
        name: "cloudflare.run",
        protocol: "cloudflare.run",
        path: "/client/v4/accounts/a1/ai/run/@cf/meta/llama-3.3-70b-instruct-fp8-fast",
        question: r#"{"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        answer: workers_ai_answer,
        client: Client {
            text: &["/response"],
            denial: &["/response"],
            tool: &["/tool_calls/0/function/name"],
            args: &["/tool_calls/0/function/arguments"],
            finish: &[],
            error: &["/errors/0/message"],
            numbers: &["/tool_calls/0/index"],
        },
        calls: Denied::LeftOut(""),
        refused: None,
        error: || {
            Some(bare(
                json!({"result": null, "success": false, "errors": [{"code": 3040, "message": "Overloaded"}], "messages": []}),
            ))
        },
        beside: None,
        unknown: |words| bare(json!({"zz": words})),
        ..CHAT
    },
    StreamCase {
        name: "cloudflare.run, as OpenAI's chunks",
        protocol: "cloudflare.run",
        path: "/v1/a1/gateway/workers-ai/@cf/zai-org/glm-4.7-flash",
        question: r#"{"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        client: Client {
            error: &["/errors/0/message", "/error/message"],
            ..CHAT.client
        },
        ..CHAT
    },
    StreamCase {
        name: "lmstudio.chat",
        protocol: "lmstudio.chat",
        reader: "ChatEvents",
        path: "/api/v1/chat",
        question: r#"{"model":"qwen3-8b","stream":true,"input":"hi"}"#,
        answer: lmstudio_answer,
        client: Client {
            text: &["type=message.delta /content"],
            denial: &["type=message.delta /content"],
            tool: &["type=tool_call.arguments /tool"],
            args: &["type=tool_call.arguments /arguments"],
            ..USUAL.client
        },
        calls: Denied::Error("the server has run its tools already"),
        record: || {
            json!({"usage": {"input_tokens": 3, "output_tokens": 4},
                "events": {"message": 1, "request": 1, "response": 2, "tool_call": 1, "tool_result": 1}})
        },
        error: || {
            Some(typed(
                json!({"type": "error", "error": {"type": "internal_error", "message": "Overloaded"}}),
            ))
        },
        at: ("#output/1", "#output/2"),
        more: Some(more_of_lmstudio),
        differs: &[(Contract::CutFrame, "half of its second event has no data")],
        ..USUAL
    },
    StreamCase {
        name: "dify",
        protocol: "dify",
        reader: "EVENT_STREAM",
        path: "/v1/chat-messages",
        question: r#"{"query":"hi","inputs":{},"response_mode":"streaming","conversation_id":""}"#,
        answer: dify_answer,
        client: Client {
            text: &["event=agent_message /answer"],
            denial: &["event=error /message"],
            tool: &["/tool"],
            args: &["observation= /tool_input"],
            finish: &[],
            error: &["event=error /message"],
            numbers: &[],
        },
        calls: Denied::Error("the application has run its tools already"),
        refuses_by_error: true,
        record: || {
            json!({"usage": {"input_tokens": 3, "output_tokens": 4},
                "events": {"message": 1, "request": 1, "response": 2, "tool_call": 1, "tool_result": 1, "uninspectable": 1},
                "coverage": {"level": "partial", "reasons": ["request:provider_state"]}})
        },
        error: || {
            Some(bare(
                json!({"event": "error", "status": 400, "code": "completion_request_error", "message": "Overloaded"}),
            ))
        },
        unknown: |words| bare(json!({"event": "zz_unknown", "zz": words})),
        at: ("#text", "/tool"),
        ..USUAL
    },
    RESPONSES,
    StreamCase {
        name: "openai.other, an answer that is fetched",
        protocol: "openai.other",
        method: "GET",
        path: "/v1/responses/resp_1?stream=true",
        question: "",
        record: || {
            with(
                (RESPONSES.record)(),
                json!({"stream": null, "events": {"request": 1, "response": 1, "tool_call": 1}}),
            )
        },
        ..RESPONSES
    },
    StreamCase {
        name: "openai.other, runs of assistants",
        protocol: "openai.other",
        reader: "RunStream",
        path: "/v1/threads/thread_1/runs",
        question: r#"{"assistant_id":"asst_1","stream":true}"#,
        answer: run_answer,
        client: Client {
            text: &["/delta/content/0/text/value"],
            denial: &["/error/message"],
            tool: &["object=thread.run.step.delta /delta/step_details/tool_calls/0/function/name"],
            args: &["/delta/step_details/tool_calls/0/function/arguments"],
            finish: &["object=thread.run /status"],
            error: &["/error/message", "type=server_error /message"],
            numbers: &["/delta/step_details/tool_calls/0/index"],
        },
        calls: Denied::Error("the run waits for the results of all its calls"),
        refuses_by_error: true,
        record: || {
            json!({"tools": ["find"],
            "events": {"request": 1, "response": 1, "tool_call": 1, "uninspectable": 1}, "coverage": {"level": "partial", "reasons": ["request:provider_state"]}})
        },
        error: || {
            Some(event(
                "error",
                json!({"message": "Overloaded", "type": "server_error"}),
            ))
        },
        unknown: |words| event("thread.zz", json!({"object": "thread.zz", "zz": words})),
        at: ("#msg_0/content/0", "#call_1"),
        more: Some(more_of_runs),
        ..USUAL
    },
    StreamCase {
        name: "openai.other, sessions of agents",
        protocol: "openai.other",
        reader: "SessionStream",
        path: "/v1/agents/sessions",
        question: r#"{"agent":{"model":"gpt-6"},"environment":{"type":"none"},"input":"hi","stream":true}"#,
        answer: agent_answer,
        client: Client {
            text: &["type=agent.session.turn.output_text.delta /delta"],
            denial: &["/error/message"],
            tool: &["type=agent.session.turn.item.done /item/name"],
            args: &["type=agent.session.turn.item.done /item/arguments"],
            ..USUAL.client
        },
        calls: Denied::Error("the session waits for the results of all its calls"),
        refuses_by_error: true,
        record: || json!({"tools": ["find"]}),
        error: || {
            Some(typed(
                json!({"type": "error", "event_id": "ev", "session_id": "s_1", "error": {"type": "server_error", "message": "Overloaded"}}),
            ))
        },
        at: ("#output/0/content/0", "#output/1"),
        more: Some(more_of_agents),
        ..USUAL
    },
    StreamCase {
        name: "anthropic.sessions",
        protocol: "anthropic.sessions",
        reader: "SessionEvents",
        method: "GET",
        path: "/v1/sessions/sesn_1/events/stream",
        headers: &[("anthropic-version", "2023-06-01")],
        answer: session_answer,
        client: Client {
            text: &["type=event_delta /delta/content/text"],
            denial: &["/error/message"],
            tool: &["type=agent.custom_tool_use /name"],
            args: &["type=agent.custom_tool_use /input"],
            ..USUAL.client
        },
        calls: Denied::Error("the session waits for the results of all its calls"),
        refuses_by_error: true,
        record: || json!({"stream": null, "tools": ["find"], "events": {"request": 1, "response": 1, "tool_call": 1}}),
        error: || {
            Some(event(
                "error",
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
            ))
        },
        at: ("#sev_0/content/0", "#sev_1"),
        more: Some(more_of_sessions),
        ..USUAL
    },
    StreamCase {
        name: "openai.other, Mistral's conversations",
        protocol: "openai.other",
        reader: "EntryStream",
        path: "/v1/conversations",
        question: r#"{"model":"mistral-medium","inputs":"hi","stream":true}"#,
        answer: entry_answer,
        client: Client {
            text: &["type=message.output.delta /content"],
            denial: &["type=conversation.response.error /message"],
            tool: &["type=function.call.delta /name"],
            args: &["type=function.call.delta /arguments"],
            finish: &[],
            error: &["type=conversation.response.error /message"],
            numbers: &[],
        },
        calls: Denied::LeftOut(""),
        refuses_by_error: true,
        error: || {
            Some(typed(
                json!({"type": "conversation.response.error", "message": "Overloaded", "code": 503}),
            ))
        },
        at: ("#outputs/0/content/0", "#outputs/1"),
        more: Some(more_of_entries),
        ..USUAL
    },
    StreamCase {
        name: "openai.audio",
        protocol: "openai.audio",
        reader: "AUDIO_STREAM",
        path: "/v1/audio/transcriptions",
        question: r#"{"model":"gpt-4o-transcribe","stream":true}"#,
        answer: transcript_answer,
        client: Client {
            text: &["type=transcript.text.delta /delta"],
            denial: &["/error/message"],
            ..USUAL.client
        },
        refuses_by_error: true,
        // What is asked is a file.
        record: || with(counted(), json!({"events": {"request": 1, "response": 1}})),
        error: || {
            Some(bare(
                json!({"type": "error", "error": {"message": "Overloaded", "type": "server_error"}}),
            ))
        },
        more: Some(more_of_audio),
        ..USUAL
    },
    StreamCase {
        name: "openai.images",
        protocol: "openai.images",
        reader: "IMAGE_STREAM",
        path: "/v1/images/generations",
        question: r#"{"model":"gpt-image-1","prompt":"a cat","stream":true,"partial_images":1}"#,
        answer: |_| {
            vec![
                picture("image_generation.partial_image"),
                picture("image_generation.completed"),
            ]
        },
        texts: Texts::None,
        refuses_by_error: true,
        record: || json!({"events": {"message": 1, "request": 1, "uninspectable": 2}, "coverage": {"level": "partial", "reasons": ["response:attachment"]}}),
        error: || {
            Some(bare(
                json!({"type": "error", "error": {"message": "Overloaded", "type": "server_error"}}),
            ))
        },
        ..USUAL
    },
    MESSAGES,
    StreamCase {
        name: "anthropic.messages at Vertex AI",
        path: "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@1:streamRawPredict",
        question: r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
        ..MESSAGES
    },
    StreamCase {
        name: "anthropic.complete",
        protocol: "anthropic.complete",
        reader: "COMPLETION_STREAM",
        path: "/v1/complete",
        question: r#"{"model":"claude-2","max_tokens_to_sample":9,"stream":true,"prompt":"\n\nHuman: hi\n\nAssistant:"}"#,
        answer: complete_answer,
        client: Client {
            text: &["/completion"],
            denial: &["/completion"],
            finish: &["/stop_reason"],
            ..USUAL.client
        },
        refused: Some("stop_sequence"),
        record: || json!({}),
        error: MESSAGES.error,
        keep_alive: MESSAGES.keep_alive,
        at: ("#completion", ""),
        ..USUAL
    },
    StreamCase {
        name: "bedrock.converse",
        protocol: "bedrock.converse",
        reader: "CONVERSE_STREAM",
        host: "bedrock-runtime.us-east-1.amazonaws.com",
        path: "/model/us.amazon.nova-lite-v1%3A0/converse-stream",
        question: r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
        wire: Wire::Amazon,
        answer: converse_answer,
        client: Client {
            text: &["/delta/text"],
            denial: &["/delta/text"],
            tool: &["/start/toolUse/name"],
            args: &["/delta/toolUse/input"],
            finish: &["/stopReason"],
            error: &["/message"],
            numbers: &["/contentBlockIndex"],
        },
        calls: Denied::LeftOut("end_turn"),
        refused: Some("guardrail_intervened"),
        keep_alive: "",
        unknown: |words| event("zzUnknown", json!({"zz": words})),
        at: ("#text/0", "#content/1"),
        more: Some(more_of_converse),
        ..USUAL
    },
    StreamCase {
        name: "bedrock.invoke, Claude",
        protocol: "bedrock.invoke",
        reader: "InvokeStream",
        host: "bedrock-runtime.us-east-1.amazonaws.com",
        path: "/model/anthropic.claude-3-haiku/invoke-with-response-stream",
        question: r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
        wire: Wire::AmazonChunks,
        client: Client {
            error: &["/message"],
            ..MESSAGES.client
        },
        keep_alive: "",
        error: NONE,
        ..MESSAGES
    },
    StreamCase {
        name: "bedrock.invoke, Nova",
        protocol: "bedrock.invoke",
        reader: "NOVA_STREAM",
        host: "bedrock-runtime.us-east-1.amazonaws.com",
        path: "/model/us.amazon.nova-lite-v1%3A0/invoke-with-response-stream",
        question: r#"{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
        wire: Wire::AmazonChunks,
        answer: nova_answer,
        client: Client {
            text: &["/contentBlockDelta/delta/text"],
            denial: &["/contentBlockDelta/delta/text"],
            tool: &["/contentBlockStart/start/toolUse/name"],
            args: &["/contentBlockDelta/delta/toolUse/input"],
            finish: &["/messageStop/stopReason"],
            error: &["/message"],
            numbers: &["/contentBlockDelta/contentBlockIndex"],
        },
        calls: Denied::LeftOut("end_turn"),
        refused: Some("guardrail_intervened"),
        keep_alive: "",
        unknown: |words| bare(json!({"zzUnknown": {"zz": words}})),
        differs: &[(
            Contract::UnknownEvents,
            "the family of a model is known by its events: one of none may be another family's, read in another way",
        )],
        at: ("#text/0", "#content/1"),
        ..USUAL
    },
    StreamCase {
        name: "bedrock.invoke, Llama",
        protocol: "bedrock.invoke",
        reader: "PLAIN_STREAM",
        host: "bedrock-runtime.us-east-1.amazonaws.com",
        path: "/model/meta.llama3-8b/invoke-with-response-stream",
        question: r#"{"prompt":"hi"}"#,
        wire: Wire::AmazonChunks,
        answer: llama_answer,
        client: Client {
            text: &["/generation"],
            denial: &["/generation"],
            finish: &["/stop_reason"],
            error: &["/message"],
            ..USUAL.client
        },
        refused: Some("stop"),
        keep_alive: "",
        record: || json!({}),
        unknown: |words| bare(json!({"zz": words})),
        at: ("#choice/0", ""),
        ..USUAL
    },
    GENERATE,
    CODE_ASSIST,
    StreamCase {
        name: "gemini.generate, as an array",
        path: "/v1beta/models/gemini-x:streamGenerateContent",
        wire: Wire::Array,
        keep_alive: "\n",
        ..GENERATE
    },
    INTERACTIONS,
    StreamCase {
        name: "gemini.interactions, contents",
        reader: "CONTENT_STREAM",
        answer: content_answer,
        client: Client {
            tool: &["content.type=function_call /content/name"],
            ..INTERACTIONS.client
        },
        more: None,
        ..INTERACTIONS
    },
    StreamCase {
        name: "ollama.chat",
        protocol: "ollama.chat",
        reader: "OllamaLines",
        path: "/api/chat",
        question: r#"{"model":"qwen3","messages":[{"role":"user","content":"hi"}]}"#,
        wire: Wire::Lines,
        answer: ollama_answer,
        client: Client {
            text: &["/message/content"],
            denial: &["/message/content"],
            tool: &["/message/tool_calls/0/function/name"],
            args: &["/message/tool_calls/0/function/arguments"],
            finish: &["/done_reason"],
            error: &["/error"],
            numbers: &["/message/tool_calls/0/function/index"],
        },
        calls: Denied::LeftOut("stop"),
        refused: Some("stop"),
        error: || Some(bare(json!({"error": "Overloaded"}))),
        keep_alive: "{\"model\":\"qwen3\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":false}\n",
        unknown: |words| bare(json!({"zz": words})),
        at: ("#text", "/message/tool_calls/0"),
        more: Some(more_of_ollama),
        ..USUAL
    },
    StreamCase {
        name: "ollama.generate",
        protocol: "ollama.generate",
        reader: "OllamaLines",
        path: "/api/generate",
        question: r#"{"model":"qwen3","prompt":"hi"}"#,
        wire: Wire::Lines,
        answer: ollama_text_answer,
        client: Client {
            text: &["/response"],
            denial: &["/response"],
            finish: &["/done_reason"],
            error: &["/error"],
            ..USUAL.client
        },
        refused: Some("stop"),
        record: counted,
        error: || Some(bare(json!({"error": "Overloaded"}))),
        keep_alive: "{\"model\":\"qwen3\",\"created_at\":\"2026-01-01T00:00:00Z\",\"response\":\"\",\"done\":false}\n",
        unknown: |words| bare(json!({"zz": words})),
        ..USUAL
    },
    StreamCase {
        name: "cohere.v2",
        protocol: "cohere.v2",
        reader: "V2Stream",
        path: "/v2/chat",
        question: r#"{"model":"command-a","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        answer: cohere_answer,
        client: Client {
            text: &["/delta/message/content/text"],
            denial: &["/delta/message/content/text"],
            tool: &["/delta/message/tool_calls/function/name"],
            args: &["type=tool-call-delta /delta/message/tool_calls/function/arguments"],
            finish: &["/delta/finish_reason"],
            error: &["/delta/error"],
            numbers: &["type=content-start /index", "type=tool-call-start /index"],
        },
        calls: Denied::LeftOut("COMPLETE"),
        refused: Some("COMPLETE"),
        // The plan is a text of its own.
        record: || {
            with(
                (USUAL.record)(),
                json!({"events": {"message": 1, "request": 1, "response": 2, "tool_call": 1}}),
            )
        },
        at: ("#content/0", "#tool_calls/0"),
        more: Some(more_of_cohere),
        ..USUAL
    },
    StreamCase {
        name: "cohere.v1",
        protocol: "cohere.v1",
        reader: "V1Stream",
        path: "/v1/chat",
        question: r#"{"model":"command-r","stream":true,"message":"hi"}"#,
        wire: Wire::Lines,
        answer: cohere_v1_answer,
        client: Client {
            text: &[
                "event_type=text-generation /text",
                "event_type=tool-calls-chunk /text",
            ],
            denial: &[
                "event_type=text-generation /text",
                "event_type=tool-calls-chunk /text",
            ],
            tool: &["/tool_call_delta/name"],
            args: &["/tool_call_delta/parameters"],
            finish: &["/response/finish_reason"],
            error: &["/error"],
            numbers: &["/tool_call_delta/index"],
        },
        calls: Denied::LeftOut("COMPLETE"),
        refused: Some("COMPLETE"),
        keep_alive: "\n",
        unknown: |words| {
            bare(json!({"is_finished": false, "event_type": "zz-unknown", "zz": words}))
        },
        at: ("#text", "#tool_calls/0"),
        ..USUAL
    },
    StreamCase {
        name: "mcp",
        protocol: "mcp",
        reader: "McpStream",
        path: "/mcp",
        headers: &[
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2025-06-18"),
        ],
        question: r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find","arguments":{}}}"#,
        answer: mcp_answer,
        client: Client {
            text: &["/result/content/0/text"],
            denial: &["/result/content/0/text"],
            error: &[
                "/error/message",
                "result.isError=true /result/content/0/text",
            ],
            ..USUAL.client
        },
        texts: Texts::Whole,
        refuses_by_error: true,
        record: || {
            json!({"tools": ["find"], "stream": false,
            "events": {"request": 2, "response": 1, "tool_call": 1, "tool_result": 1}})
        },
        error: || {
            Some(event(
                "message",
                json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "Overloaded"}}),
            ))
        },
        unknown: |words| {
            event(
                "message",
                json!({"jsonrpc": "2.0", "method": "zz/unknown", "params": {"zz": words}}),
            )
        },
        at: ("/result/content/0/text", ""),
        ..USUAL
    },
    StreamCase {
        name: "a2a",
        protocol: "a2a",
        reader: "A2aStream",
        path: "/message:stream",
        headers: &[("a2a-version", "1.0")],
        question: r#"{"message":{"messageId":"1","role":"ROLE_USER","parts":[{"text":"hi"}]}}"#,
        answer: a2a_answer,
        client: Client {
            text: &["/artifactUpdate/artifact/parts/0/text"],
            denial: &["/error/message"],
            ..USUAL.client
        },
        refuses_by_error: true,
        // The artifact's name stands in each of its chunks.
        record: || json!({"events": {"message": 1, "request": 1, "response": 5}}),
        unknown: |words| bare(json!({"zz": words})),
        at: ("#artifact/0", ""),
        more: Some(more_of_a2a),
        differs: &[(Contract::Across, "artifacts are documents of their own")],
        ..USUAL
    },
    StreamCase {
        name: "a2a in JSON-RPC",
        protocol: "a2a",
        reader: "A2aStream",
        path: "/a2a",
        headers: &[("a2a-version", "1.0"), ("accept", "text/event-stream")],
        question: r#"{"jsonrpc":"2.0","id":"q-1","method":"message/stream","params":{"message":{"messageId":"1","role":"ROLE_USER","parts":[{"text":"hi"}]}}}"#,
        answer: a2a_rpc_answer,
        client: Client {
            text: &["/result/artifactUpdate/artifact/parts/0/text"],
            denial: &["/error/message"],
            ..USUAL.client
        },
        refuses_by_error: true,
        // The artifact's name stands in each of its chunks.
        record: || json!({"events": {"message": 1, "request": 1, "response": 5}}),
        error: || {
            Some(bare(
                json!({"jsonrpc": "2.0", "id": "q-1", "error": {"code": -32603, "message": "Overloaded"}}),
            ))
        },
        unknown: |words| bare(json!({"jsonrpc": "2.0", "id": "q-1", "result": {"zz": words}})),
        at: ("#artifact/0", ""),
        differs: &[(Contract::Across, "artifacts are documents of their own")],
        ..USUAL
    },
    StreamCase {
        name: "generic",
        protocol: "generic",
        reader: "GenericStream",
        host: "desk.example",
        path: "/api/tickets/new",
        question: r#"{"title":"help"}"#,
        policy: "defaults: { action: allow }
protocols:
  - hosts: [desk.example]
    paths: [/api/tickets]
    protocol: generic
    provider: desk
    read:
      texts: [$.title, $.reply]
      calls: { at: \"$.actions[*]\", name: tool, args: input }
",
        answer: generic_answer,
        client: Client {
            text: &["/reply"],
            denial: &["/error/message"],
            tool: &["/actions/0/tool"],
            args: &["/actions/0/input"],
            ..USUAL.client
        },
        calls: Denied::Error("nobody knows what is left of an unknown answer without a part of it"),
        refuses_by_error: true,
        // Keys that no path names are texts.
        record: || {
            json!({"tools": ["find"], "stream": false,
            "events": {"message": 2, "request": 1, "response": 7, "tool_call": 1}})
        },
        keep_alive: "",
        unknown: |words| bare(json!({"zz": words})),
        at: ("#text/1000", "/actions/0"),
        more: Some(more_of_generic),
        ..USUAL
    },
];
