//! Anthropic's streamed messages and completions.

use super::stream::LOOKS;
use super::stream::streamed;
use super::*;

fn request_to(path: &str, body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", "api.anthropic.com"),
            ("content-type", "application/json"),
            ("anthropic-version", "2023-06-01"),
            ("x-request-id", "r-1"),
        ],
        body.to_string().as_bytes(),
    )
}

fn request() -> HttpMessage {
    request_to(
        "/v1/messages",
        &json!({"model": "claude-x", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "hi"}]}),
    )
}

fn ask(guard: &Rc<Guard>, body: &[u8], cuts: &[usize]) -> SimulatedResult {
    exchange(guard, &request(), streamed(body, cuts))
}

fn sse(events: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        let name = event["type"].as_str().unwrap();
        out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    }
    out
}

fn begun() -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1},
    }})
}

fn start(index: u32, block: &Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u32, delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn text(index: u32, parts: &[&str]) -> Vec<Value> {
    let mut events = vec![start(index, &json!({"type": "text", "text": ""}))];
    events.extend(
        parts
            .iter()
            .map(|part| delta(index, &json!({"type": "text_delta", "text": part}))),
    );
    events.push(stop(index));
    events
}

fn thinking(index: u32, parts: &[&str]) -> Vec<Value> {
    let mut events = vec![start(
        index,
        &json!({"type": "thinking", "thinking": "", "signature": ""}),
    )];
    events.extend(
        parts
            .iter()
            .map(|part| delta(index, &json!({"type": "thinking_delta", "thinking": part}))),
    );
    events.push(delta(
        index,
        &json!({"type": "signature_delta", "signature": "c2lnbmVk"}),
    ));
    events.push(stop(index));
    events
}

fn called(index: u32, kind: &str, name: &str, parts: &[&str]) -> Vec<Value> {
    let id = format!("toolu_{index}");
    let mut events = vec![start(
        index,
        &json!({"type": kind, "id": id, "name": name, "input": {}}),
    )];
    events.extend(parts.iter().map(|part| {
        delta(
            index,
            &json!({"type": "input_json_delta", "partial_json": part}),
        )
    }));
    events.push(stop(index));
    events
}

fn ended(reason: &str) -> Vec<Value> {
    vec![
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 7}}),
        json!({"type": "message_stop"}),
    ]
}

fn message(parts: &[Vec<Value>]) -> Vec<u8> {
    let mut events = vec![begun()];
    events.extend(parts.concat());
    sse(&events)
}

/// Message as Anthropic's client library assembles it: it identifies events by their names, uses the numbers of blocks as
/// indices in a list, and removes nothing.
#[derive(Debug, Default, PartialEq)]
struct Message {
    blocks: Vec<Value>,
    reason: Option<String>,
    error: Option<String>,
    is_over: bool,
}

fn put_together(body: &[u8]) -> Message {
    let mut message = Message::default();
    let mut partial: Vec<String> = Vec::new();
    let mut open = None;
    let mut has_begun = false;
    for event in std::str::from_utf8(body).unwrap().split_terminator("\n\n") {
        let (name, data) = event
            .split_once("\ndata: ")
            .unwrap_or_else(|| panic!("{event}"));
        let name = name.strip_prefix("event: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("{data}"));
        assert_eq!(data["type"], name);
        assert!(!message.is_over, "nothing follows the end: {event}");
        let index = data["index"]
            .as_u64()
            .map(|index| usize::try_from(index).unwrap());
        match name {
            "ping" => continue,
            "error" => message.error = data["error"]["message"].as_str().map(str::to_owned),
            "message_start" => {
                assert!(!std::mem::replace(&mut has_begun, true));
                assert!(data["message"]["id"].is_string() && data["message"]["model"].is_string());
                continue;
            }
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(message.blocks.len())), "{event}");
                message.blocks.push(data["content_block"].clone());
                partial.push(String::new());
                open = index;
            }
            "content_block_delta" => {
                assert_eq!(open, index, "{event}");
                let block = message.blocks.last_mut().unwrap();
                let delta = &data["delta"];
                for member in ["text", "thinking", "signature"] {
                    if let Some(more) = delta[member].as_str() {
                        let known = block[member].as_str().unwrap_or_else(|| panic!("{event}"));
                        block[member] = json!(format!("{known}{more}"));
                    }
                }
                let more = delta["partial_json"].as_str().unwrap_or("");
                assert!(more.is_empty() || block["type"] != "text", "{event}");
                partial.last_mut().unwrap().push_str(more);
            }
            "content_block_stop" => {
                assert_eq!(open.take(), index, "{event}");
                let arguments = partial.last().unwrap();
                if !arguments.is_empty() {
                    message.blocks.last_mut().unwrap()["input"] =
                        serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
                }
            }
            "message_delta" => {
                assert_eq!(open, None);
                message.reason = data["delta"]["stop_reason"].as_str().map(str::to_owned);
            }
            "message_stop" => message.is_over = true,
            _ => panic!("{event}"),
        }
        assert!(has_begun || name == "error", "{event}");
    }
    message
}

fn answer_of(seen: &SimulatedResult) -> Message {
    put_together(&seen.client.body())
}

#[test]
fn a_text_at_the_beginning_of_a_message_continues_in_pieces() {
    let mut first = begun();
    first["message"]["content"] = json!([{"type": "text", "text": "pay 4111 1111 "}]);
    for mut events in [
        vec![
            delta(0, &json!({"type": "text_delta", "text": "1111 1111 now"})),
            stop(0),
        ],
        text(1, &["1111 1111 now"]),
    ] {
        events.insert(0, first.clone());
        events.extend(ended("end_turn"));
        let seen = ask(&guard(LOOKS), &sse(&events), &[]);
        let client = String::from_utf8(seen.client.body()).unwrap();
        assert!(!client.contains("1111 1111 now"), "{client}");
        assert_eq!(record(&seen)["findings"], json!({"credit_card": 1}));
    }
}

#[test]
fn a_finding_over_consecutive_blocks_is_replaced_once() {
    let body = message(&[
        text(0, &["write to anna@"]),
        text(1, &["exam", "ple.com "]),
        text(2, &["or not"]),
        ended("end_turn"),
    ]);
    let answer = answer_of(&ask(&guard(LOOKS), &body, &[]));
    let texts: Vec<&Value> = answer.blocks.iter().map(|block| &block["text"]).collect();
    assert_eq!(texts, ["write to [EMAIL]", " ", "or not"]);
}

#[test]
fn signed_content_is_denied_where_it_would_have_to_be_edited() {
    let body = message(&[
        thinking(0, &["the card 4111 1111", " 1111 1111 is it"]),
        text(1, &["Hello"]),
        ended("end_turn"),
    ]);
    let seen = ask(&guard(LOOKS), &body, &[]);
    let answer = answer_of(&seen);
    assert_eq!(answer.reason.as_deref(), Some("refusal"));
    assert!(
        !String::from_utf8(seen.client.body())
            .unwrap()
            .contains("1111")
    );
    assert_eq!(record(&seen)["code"], "AG3005");
}

#[test]
fn reasoning_in_several_blocks_is_searched_as_one() {
    let guard = guard(LOOKS);
    for (first, second, code) in [
        ("the card 4111 1111 ", "1111 1111 is it", "AG3005"),
        ("the forbid", "den word", "AG3001"),
    ] {
        for between in [None, Some("I see. ")] {
            let mut parts = vec![thinking(0, &[first])];
            parts.extend(between.map(|said| text(1, &[said])));
            parts.push(thinking(u32::try_from(parts.len()).unwrap(), &[second]));
            parts.push(ended("end_turn"));
            let seen = ask(&guard, &message(&parts), &[]);
            assert_eq!(record(&seen)["code"], code);
            let left = String::from_utf8(seen.client.body()).unwrap();
            assert!(left.contains(first) && !left.contains(second), "{left}");
            let mut content =
                vec![json!({"type": "thinking", "thinking": first, "signature": "c2ln"})];
            content.extend(between.map(|said| json!({"type": "text", "text": said})));
            content.push(json!({"type": "thinking", "thinking": second, "signature": "c2ln"}));
            let whole = json!({
                "id": "m", "type": "message", "role": "assistant", "model": "m", "content": content,
                "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1},
            });
            let headers = [(":status", "200"), ("content-type", "application/json")];
            let whole = HttpMessage::new(&headers, whole.to_string().as_bytes());
            assert_eq!(record(&exchange(&guard, &request(), whole))["code"], code);
        }
    }
}

#[test]
fn a_denied_text_ends_the_stream_as_a_refusal() {
    let filler =
        "a b c d e f g h i j k l m n o p q r s t u v w x y z and so on it goes for a while. ";
    let cases = [
        // Only the beginning was released.
        vec![text(0, &["forb", "idden wo", "rd and more"])],
        // A block is open.
        vec![text(
            0,
            &["Well, ", filler, filler, "the forbidden", " word"],
        )],
        // A block has ended, and a call was held.
        vec![
            text(0, &["Well, "]),
            called(1, "tool_use", "find", &["{}"]),
            text(2, &["the forbidden word"]),
        ],
    ];
    for (number, parts) in cases.into_iter().enumerate() {
        let body = message(&[parts.concat(), ended("end_turn")]);
        let seen = ask(&guard(LOOKS), &body, &[100, 300, 301, 700]);
        let answer = answer_of(&seen);
        let last = answer.blocks.last().unwrap();
        assert_eq!(last["text"], "Not that word.", "{number}");
        assert_eq!(answer.reason.as_deref(), Some("refusal"));
        assert!(answer.is_over);
        assert_eq!(answer.blocks.len(), number + 1);
        let sent = String::from_utf8(seen.client.body()).unwrap();
        assert!(!sent.contains("forb"), "{sent}");
        assert_eq!(record(&seen)["code"], "AG3001");
    }
}

#[test]
fn a_refusal_before_anything_was_sent_is_a_whole_message() {
    let body = sse(&[json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1",
        "content": [{"type": "text", "text": "the forbidden word"}], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }})]);
    let answer = answer_of(&ask(&guard(LOOKS), &body, &[]));
    assert_eq!(
        answer.blocks,
        [json!({"type": "text", "text": "Not that word."})]
    );
    assert_eq!(answer.reason.as_deref(), Some("refusal"));
}

#[test]
fn a_denied_call_leaves_a_text_with_its_number() {
    let body = message(&[
        text(0, &["One moment."]),
        called(1, "tool_use", "delete_customer", &["", "{\"id\":", "7}"]),
        called(2, "tool_use", "find", &["{\"q\":1}"]),
        ended("tool_use"),
    ]);
    for cuts in [
        vec![],
        vec![77, 400, 401, 900, 1_200],
        (0..body.len()).collect(),
    ] {
        let seen = ask(&guard(LOOKS), &body, &cuts);
        let answer = answer_of(&seen);
        assert_eq!(
            answer.blocks,
            [
                json!({"type": "text", "text": "One moment."}),
                json!({"type": "text", "text": "Customers stay."}),
                json!({"type": "tool_use", "id": "toolu_2", "name": "find", "input": {"q": 1}}),
            ]
        );
        assert_eq!(answer.reason.as_deref(), Some("tool_use"));
        assert_eq!(record(&seen)["decision"], "deny");
        assert_eq!(record(&seen)["rules"][0]["at"], "#content/1");
    }
}

#[test]
fn a_call_whose_result_is_awaited_can_not_be_removed() {
    let caller = json!({"type": "code_execution_20260120", "tool_id": "srvtoolu_1"});
    let block = json!({"type": "tool_use", "id": "toolu_0", "name": "delete_customer", "input": {}, "caller": caller});
    let body = message(&[vec![start(0, &block), stop(0)], ended("tool_use")]);
    let answer = answer_of(&ask(&guard(LOOKS), &body, &[]));
    assert!(answer.error.is_some(), "{answer:?}");
    let forced = request_to(
        "/v1/messages",
        &json!({"model": "claude-x", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "hi"}],
            "tool_choice": {"type": "any"}, "tools": [{"name": "find", "input_schema": {"type": "object"}}]}),
    );
    let body = message(&[
        called(0, "tool_use", "delete_customer", &["{}"]),
        ended("tool_use"),
    ]);
    let seen = exchange(&guard(LOOKS), &forced, streamed(&body, &[]));
    assert_eq!(answer_of(&seen).error.as_deref(), Some("Customers stay."));
}

#[test]
fn a_provider_run_call_is_denied_with_the_response() {
    let body = message(&[
        text(0, &["Looking."]),
        called(1, "server_tool_use", "delete_customer", &["{}"]),
        ended("end_turn"),
    ]);
    let answer = answer_of(&ask(&guard(LOOKS), &body, &[]));
    assert!(
        answer.error.is_some() && answer.blocks.len() == 1,
        "{answer:?}"
    );
}

#[test]
fn a_member_of_a_toolset_has_both_names() {
    let block = json!({"type": "tool_use", "id": "toolu_0", "name": "navigate", "toolset_name": "delete_customer", "input": {}});
    let body = message(&[vec![start(0, &block), stop(0)], ended("tool_use")]);
    let answer = answer_of(&ask(&guard(LOOKS), &body, &[]));
    assert_eq!(answer.blocks[0]["text"], "Customers stay.");
}

#[test]
fn a_call_that_is_complete_at_its_beginning_is_evaluated_too() {
    let block = json!({"type": "tool_use", "id": "toolu_0", "name": "run", "input": {"command": "rm -rf /"}});
    let policy = "defaults: { action: allow }
rules:
  - id: no-rm
    match: { tool: run }
    when: { args.command: { contains: rm } }
    action: deny
    reason: No.
";
    let body = message(&[vec![start(0, &block), stop(0)], ended("tool_use")]);
    let answer = answer_of(&ask(&guard(policy), &body, &[]));
    assert_eq!(answer.blocks, [json!({"type": "text", "text": "No."})]);
    // If there are deltas as well, some clients read them, others the beginning: the arguments are unknown.
    let both = delta(
        0,
        &json!({"type": "input_json_delta", "partial_json": "{\"command\":\"ls\"}"}),
    );
    let body = message(&[vec![start(0, &block), both, stop(0)], ended("tool_use")]);
    let answer = answer_of(&ask(&guard(policy), &body, &[]));
    assert_eq!(answer.blocks, [json!({"type": "text", "text": "No."})]);
}

#[test]
fn words_in_an_unknown_delta_are_one_text() {
    let future = |words: &str| delta(0, &json!({"type": "poem_delta", "verse": words}));
    let body = message(&[
        vec![
            start(0, &json!({"type": "poem"})),
            future("the forbid"),
            future("den wo"),
            future("rd"),
            stop(0),
        ],
        ended("end_turn"),
    ]);
    let seen = ask(&guard(LOOKS), &body, &[]);
    assert_eq!(answer_of(&seen).reason.as_deref(), Some("refusal"));
    assert!(
        !String::from_utf8(seen.client.body())
            .unwrap()
            .contains("den wo")
    );
}

mod faults {
    use super::*;

    fn is_broken(body: &[u8]) -> Message {
        let seen = ask(&guard(LOOKS), body, &[]);
        let answer = answer_of(&seen);
        assert!(answer.error.is_some(), "{answer:?}");
        assert_eq!(record(&seen)["code"], "AG2014");
        answer
    }

    #[test]
    fn a_name_that_is_not_the_type_is_an_error() {
        let mut body = message(&[]);
        body.extend_from_slice(
            b"event: ping\ndata: {\"type\":\"content_block_start\",\"index\":0,",
        );
        body.extend_from_slice(b"\"content_block\":{\"type\":\"text\",\"text\":\"x\"}}\n\n");
        is_broken(&body);
    }

    #[test]
    fn a_number_that_is_used_twice_is_an_error() {
        // The client library adds later deltas to the first block with the number.
        let first = start(
            0,
            &json!({"type": "tool_use", "id": "a", "name": "run", "input": {}}),
        );
        let second = start(
            0,
            &json!({"type": "tool_use", "id": "b", "name": "find", "input": {}}),
        );
        let answer = is_broken(&message(&[vec![first, second]]));
        assert_eq!(answer.blocks, Vec::<Value>::new());
    }

    #[test]
    fn texts_of_blocks_that_alternate_are_an_error() {
        // The client library assembles each block, but read in order the deltas form another text.
        let [first, second] =
            [0, 1].map(|index| start(index, &json!({"type": "text", "text": ""})));
        let says =
            |index: u32, part: &str| delta(index, &json!({"type": "text_delta", "text": part}));
        let body = [
            first,
            second,
            says(0, "forbid"),
            says(1, "forbid"),
            says(0, "den word"),
            says(1, "den word"),
        ];
        let seen = ask(&guard(LOOKS), &message(&[body.to_vec()]), &[]);
        assert_eq!(record(&seen)["code"], "AG2014");
        let left = String::from_utf8(seen.client.body()).unwrap();
        assert!(!left.contains("den word"), "{left}");
    }

    #[test]
    fn a_text_that_continues_after_the_next_block_is_an_error() {
        let (text, call) = (
            text(0, &["the forbid"]),
            called(1, "tool_use", "find", &["{}"]),
        );
        let more = delta(0, &json!({"type": "text_delta", "text": "den word"}));
        let body = [text[0].clone(), text[1].clone(), call[0].clone(), more];
        let seen = ask(&guard(LOOKS), &message(&[body.to_vec()]), &[]);
        assert_eq!(record(&seen)["code"], "AG2014");
    }

    #[test]
    fn a_text_that_continues_after_its_end_is_still_one_text() {
        let more = delta(
            0,
            &json!({"type": "thinking_delta", "thinking": "den word"}),
        );
        let mut thought = thinking(0, &["the forbid"]);
        thought.insert(thought.len() - 1, more);
        let bodies = [
            message(&[thought]),
            message(&[
                text(0, &["the forbid"]),
                ended("end_turn"),
                text(1, &["den word"]),
            ]),
        ];
        for body in bodies {
            let seen = ask(&guard(LOOKS), &body, &[]);
            let left = String::from_utf8(seen.client.body()).unwrap();
            assert!(!left.contains("den word"), "{left}");
        }
    }

    #[test]
    fn a_block_without_a_number_is_an_error() {
        is_broken(&message(&[vec![
            json!({"type": "content_block_start", "content_block": {"type": "text", "text": "x"}}),
        ]]));
    }

    #[test]
    fn a_call_without_a_number_is_evaluated_in_observe_mode() {
        let mut events = called(0, "tool_use", "delete_customer", &["{}"]);
        for event in &mut events {
            event.as_object_mut().unwrap().remove("index");
        }
        let guard = guard(&format!("mode: observe\n{LOOKS}"));
        let record = record(&ask(&guard, &message(&[events]), &[]));
        assert_eq!(record["tools"], json!(["delete_customer"]));
        assert_eq!(record["rules"][0]["id"], "no-deleting");
    }

    #[test]
    fn an_error_of_the_provider_passes() {
        let mut body = message(&[text(0, &["Well, "])]);
        body.extend(sse(&[
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ]));
        let seen = ask(&guard(LOOKS), &body, &[]);
        assert_eq!(seen.client.body(), body);
        assert!(
            format!("{:?}", seen.counts).contains("overloaded_error"),
            "{:?}",
            seen.counts
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_chunking_gives_the_same_bytes_and_a_valid_message(
        parts in prop::collection::vec((0u32..4, prop::collection::vec(0usize..12, 0..5)), 1..6),
        cuts in prop::collection::vec(0usize..6_000, 0..12),
    ) {
        const TEXTS: &[&str] = &["Hello ", "4111 1111", " 1111 1111", "", "anna@", "example.com ", "forbidden ", "word",
            "\u{1F600}", "a b c ", "AKIAIOSFODNN7", "EXAMPLE"];
        let mut events = vec![begun()];
        let mut kept = 0;
        for (index, (kind, which)) in (0u32..).zip(&parts) {
            let words: Vec<&str> = which.iter().map(|at| TEXTS[*at]).collect();
            match kind {
                0 | 1 => events.extend(text(index, &words)),
                2 => {
                    kept += 1;
                    events.extend(called(index, "tool_use", "find", &["{\"a\"", ":1}"]));
                }
                _ => events.extend(called(index, "tool_use", "delete_customer", &["{\"a\":", "1}"])),
            }
        }
        let has_calls = parts.iter().any(|(kind, _)| *kind > 1);
        events.extend(ended(if has_calls { "tool_use" } else { "end_turn" }));
        let body = sse(&events);
        let guard = guard(LOOKS);
        let at_once = ask(&guard, &body, &[]);
        let in_pieces = ask(&guard, &body, &cuts);
        prop_assert_eq!(
            String::from_utf8(at_once.client.body()),
            String::from_utf8(in_pieces.client.body())
        );
        let answer = answer_of(&at_once);
        prop_assert!(answer.is_over);
        if answer.reason.as_deref() == Some("refusal") {
            prop_assert_eq!(&answer.blocks.last().unwrap()["text"], "Not that word.");
            return Ok(());
        }
        prop_assert_eq!(answer.blocks.len(), parts.len());
        let reason = if kept > 0 { "tool_use" } else { "end_turn" };
        prop_assert_eq!(answer.reason.as_deref(), Some(reason));
        // Consecutive blocks of text are equivalent to one block with the same words.
        let mut at = 0;
        for run in parts.chunk_by(|(a, _), (b, _)| *a < 2 && *b < 2) {
            let blocks = answer.blocks.get(at..at + run.len()).unwrap();
            at += run.len();
            if run.iter().any(|(kind, _)| *kind > 1) {
                continue;
            }
            let words: String = run.iter().flat_map(|(_, which)| which.iter().map(|at| TEXTS[*at])).collect();
            let whole = json!({"id": "m", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": words}], "usage": {"input_tokens": 1, "output_tokens": 1}});
            let headers = [(":status", "200"), ("content-type", "application/json")];
            let reference = exchange(&guard, &request(), HttpMessage::new(&headers, whole.to_string().as_bytes()));
            let reference: Value = serde_json::from_slice(&reference.client.body()).unwrap();
            let said: String = blocks.iter().map(|block| block["text"].as_str().unwrap()).collect();
            prop_assert_eq!(said, reference["content"][0]["text"].as_str().unwrap());
        }
    }
}
