//! Recorded streams that break off, lack their end, tell their usage first or an error on the way, and streams whose choices
//! alternate: what no rule touches leaves as the same bytes in the same order, wherever it is cut.

use super::lag::{frames_in, frames_of};
use super::streams::{Streamed, all, exchange, guard_with, in_pieces};
use agentguard::flow::Guard;
use agentguard::flow::simulation::HttpMessage;
use agentguard::wire::frame::Framing;
use serde_json::Value;
use std::rc::Rc;

/// More places of a stream than this are not changed.
const PLACES: usize = 6;

/// Looks at every text and every call, and finds nothing.
const LOOKS: &str = "  - id: text
    match: { event: response }
    when: { text: { contains: nowhere in any recording } }
    action: redact
  - id: call
    match: { event: tool_call }
    when: { text: { contains: nowhere in any recording } }
    action: deny
";

/// What can't be read passes, so that what leaves is what came, whatever is wrong with it.
fn looking() -> Rc<Guard> {
    let named =
        "  - { id: broken, match: { event: uninspectable, code: AG2014 }, action: allow }\n";
    guard_with("action: allow", &format!("{LOOKS}{named}"))
}

fn client_body(guard: &Rc<Guard>, streamed: &Streamed, body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let response = HttpMessage {
        chunks: vec![body.to_vec()],
        ..streamed.response.clone()
    };
    let response = match sizes {
        [] => response,
        sizes => in_pieces(&response, sizes),
    };
    exchange(guard, streamed, response).client.body()
}

fn assert_untouched(guard: &Rc<Guard>, streamed: &Streamed, frames: &[Vec<u8>], what: &str) {
    let body = frames.concat();
    for sizes in [&[][..], &[1], &[7, 1, 100, 33]] {
        assert_eq!(
            String::from_utf8_lossy(&client_body(guard, streamed, &body, sizes)),
            String::from_utf8_lossy(&body),
            "{} {what}, in pieces of {sizes:?}",
            streamed.id
        );
    }
}

/// Some places of so many, the first and the last among them.
fn places(count: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by(count.div_ceil(PLACES).max(1))
}

fn payload(frame: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(frame).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("data:"))?;
    serde_json::from_str(line.trim()).ok()
}

#[test]
fn a_stream_that_breaks_off_anywhere_is_passed_on_up_to_there() {
    let guard = looking();
    for streamed in all() {
        let frames = frames_of(&streamed);
        for end in places(frames.len()) {
            let some = frames.get(..end).unwrap();
            assert_untouched(&guard, &streamed, some, "breaks off");
        }
    }
}

#[test]
fn a_stream_that_lacks_a_frame_keeps_the_order_of_the_others() {
    let guard = looking();
    // An array without one of its elements is another text: its commas belong to them.
    for streamed in all().filter(|streamed| streamed.framing != Framing::Array) {
        let frames = frames_of(&streamed);
        for gone in places(frames.len()) {
            let mut frames = frames.clone();
            frames.remove(gone);
            assert_untouched(&guard, &streamed, &frames, &format!("without frame {gone}"));
        }
    }
}

#[test]
fn an_error_on_the_way_stays_where_it_is() {
    let guard = looking();
    let mut count = 0;
    for streamed in all().filter(|streamed| streamed.framing == Framing::Sse) {
        // What comes behind the end of a JSON-RPC call is no answer to it.
        if ["mcp", "a2a"].contains(&streamed.protocol.name()) {
            continue;
        }
        let frames = frames_of(&streamed);
        let error = b"data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
        // What follows the end is dropped.
        for at in places(frames.len().saturating_sub(3)) {
            count += 1;
            let mut frames = frames.clone();
            frames.insert(at, error.to_vec());
            assert_untouched(&guard, &streamed, &frames, &format!("an error at {at}"));
        }
    }
    assert!(count > 0);
}

/// Chunks of a chat completion with one choice, each with its JSON.
/// A frame's bytes, and its JSON if it is some.
type RecordedFrame = (Vec<u8>, Option<Value>);

fn chats() -> Vec<(Streamed, Vec<RecordedFrame>)> {
    all()
        .filter(|streamed| streamed.protocol.name() == "openai.chat")
        .map(|streamed| {
            let frames = frames_of(&streamed);
            let frames: Vec<_> = frames
                .into_iter()
                .map(|raw| (raw.clone(), payload(&raw)))
                .collect();
            (streamed, frames)
        })
        .collect()
}

fn choices(json: &Value) -> &[Value] {
    json["choices"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn usage_stays_before_or_behind_the_call_that_it_came_with() {
    let guard = looking();
    let mut count = 0;
    for (streamed, frames) in chats() {
        let usage = frames.iter().rposition(|(_, json)| {
            json.as_ref()
                .is_some_and(|json| json["usage"].is_object() && choices(json).is_empty())
        });
        let Some(usage) = usage else { continue };
        count += 1;
        for at in places(usage) {
            let mut frames: Vec<_> = frames.iter().map(|(raw, _)| raw.clone()).collect();
            let moved = frames.remove(usage);
            frames.insert(at, moved);
            assert_untouched(&guard, &streamed, &frames, &format!("usage at {at}"));
        }
        // No reason to finish is told, and usage comes with a choice that says nothing.
        let mut frames: Vec<_> = frames
            .iter()
            .filter(|(_, json)| {
                let ends = |choice: &Value| choice["finish_reason"].is_string();
                !json
                    .as_ref()
                    .is_some_and(|json| choices(json).iter().any(ends))
            })
            .map(|(raw, _)| raw.clone())
            .collect();
        let said = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
        let at = frames.len().saturating_sub(1);
        frames.insert(at, said.to_vec());
        assert_untouched(&guard, &streamed, &frames, "usage with a choice and no end");
    }
    assert!(count > 0);
}

#[test]
fn choices_that_alternate_keep_each_its_order_and_lose_nothing() {
    let guard = looking();
    let mut count = 0;
    for (streamed, frames) in chats() {
        let mut sent: Vec<Vec<u8>> = Vec::new();
        let mut calls = false;
        for (raw, json) in &frames {
            sent.push(raw.clone());
            let Some(mut json) = json.clone().filter(|json| !choices(json).is_empty()) else {
                continue;
            };
            for choice in json["choices"].as_array_mut().unwrap() {
                choice["index"] = Value::from(choice["index"].as_u64().unwrap_or(0) + 9);
                calls |= choice["delta"].get("tool_calls").is_some();
            }
            sent.push(format!("data: {json}\n\n").into_bytes());
        }
        count += 1;
        if !calls {
            assert_untouched(&guard, &streamed, &sent, "alternating choices");
            continue;
        }
        // A call is held, and other choices go on meanwhile.
        for sizes in [&[][..], &[1], &[7, 1, 100, 33]] {
            let came = client_body(&guard, &streamed, &sent.concat(), sizes);
            let came = frames_in(streamed.framing, &came);
            let of = |frames: &[Vec<u8>], wanted: bool| -> Vec<String> {
                frames
                    .iter()
                    .filter(|raw| {
                        let json = payload(raw);
                        let mirrored = json.is_some_and(|json| {
                            choices(&json)
                                .iter()
                                .any(|choice| choice["index"].as_u64() > Some(8))
                        });
                        mirrored == wanted
                    })
                    .map(|raw| String::from_utf8_lossy(raw).into_owned())
                    .collect()
            };
            for mirrored in [false, true] {
                assert_eq!(
                    of(&came, mirrored),
                    of(&sent, mirrored),
                    "{} {sizes:?}",
                    streamed.id
                );
            }
        }
    }
    assert!(count > 0);
}
