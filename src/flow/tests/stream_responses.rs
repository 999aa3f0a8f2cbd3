//! Streamed responses of the Responses API.

use super::stream::{most_behind, streamed};
use super::*;

fn request() -> HttpMessage {
    asks(json!({"model": "gpt-5", "stream": true, "input": "hi"}))
}

fn asks(body: Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/v1/responses"),
            (":authority", "api.openai.com"),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ],
        body.to_string().as_bytes(),
    )
}

fn ask(guard: &Rc<Guard>, body: &[u8], cuts: &[usize]) -> SimulatedResult {
    exchange(guard, &request(), streamed(body, cuts))
}

/// Returns events with their numbers.
fn sse(events: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let mut event = event.clone();
        event["sequence_number"] = json!(number);
        let name = event["type"].as_str().unwrap();
        out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    }
    out
}

fn response(status: &str, output: &[Value]) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 7, "status": status, "model": "gpt-5-2026",
        "output": output, "instructions": "Be kind.", "tools": [],
        "usage": if status == "completed" { json!({"input_tokens": 3, "output_tokens": 4}) } else { Value::Null },
    })
}

fn created() -> Value {
    json!({"type": "response.created", "response": response("in_progress", &[])})
}

fn completed(output: &[Value]) -> Value {
    json!({"type": "response.completed", "response": response("completed", output)})
}

fn added(at: usize, item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": at, "item": item})
}

fn done(at: usize, item: &Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": at, "item": item})
}

fn message(text: &str) -> Value {
    let annotations: Vec<Value> = text
        .split_once("source")
        .map(|(before, _)| {
            let at = before.chars().count();
            json!({"type": "url_citation", "start_index": at, "end_index": at + 6, "url": "https://a.example/", "title": "A"})
        })
        .into_iter()
        .collect();
    json!({
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{
            "type": "output_text", "text": text, "annotations": annotations,
            "logprobs": [{"token": text, "logprob": -0.1}],
        }],
    })
}

fn delta(at: usize, text: &str) -> Value {
    json!({
        "type": "response.output_text.delta", "item_id": "msg_1", "output_index": at, "content_index": 0,
        "delta": text, "logprobs": [{"token": text, "logprob": -0.1}], "obfuscation": "Kx0",
    })
}

/// Returns a message with all of its events.
fn said(at: usize, parts: &[&str]) -> Vec<Value> {
    let whole = message(&parts.concat());
    let part = &whole["content"][0];
    let of_part = |kind: &str, part: &Value| json!({"type": kind, "item_id": "msg_1", "output_index": at, "content_index": 0, "part": part});
    let mut events = vec![
        added(
            at,
            json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}),
        ),
        of_part(
            "response.content_part.added",
            &json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []}),
        ),
    ];
    events.extend(parts.iter().map(|part| delta(at, part)));
    for annotation in part["annotations"].as_array().unwrap() {
        events.push(json!({
            "type": "response.output_text.annotation.added", "item_id": "msg_1", "output_index": at, "content_index": 0,
            "annotation_index": 0, "annotation": annotation,
        }));
    }
    events.push(json!({
        "type": "response.output_text.done", "item_id": "msg_1", "output_index": at, "content_index": 0,
        "text": part["text"], "logprobs": part["logprobs"],
    }));
    events.push(of_part("response.content_part.done", part));
    events.push(done(at, &whole));
    events
}

fn call_item(name: &str, arguments: &str) -> Value {
    json!({
        "type": "function_call", "id": format!("fc_{name}"), "call_id": format!("call_{name}"), "name": name,
        "arguments": arguments, "status": "completed",
    })
}

/// Returns a call with all of its events.
fn called(at: usize, name: &str, parts: &[&str]) -> Vec<Value> {
    let item = call_item(name, &parts.concat());
    let mut begun = item.clone();
    begun["arguments"] = json!("");
    begun["status"] = json!("in_progress");
    let mut events = vec![added(at, begun)];
    for part in parts {
        events.push(json!({
            "type": "response.function_call_arguments.delta", "item_id": item["id"], "output_index": at, "delta": part,
            "obfuscation": "x",
        }));
    }
    events.push(json!({
        "type": "response.function_call_arguments.done", "item_id": item["id"], "output_index": at,
        "arguments": parts.concat(), "name": name,
    }));
    events.push(done(at, &item));
    events
}

fn whole(parts: &[Vec<Value>], output: &[Value]) -> Vec<Value> {
    let mut events = vec![
        created(),
        json!({"type": "response.in_progress", "response": response("in_progress", &[])}),
    ];
    events.extend(parts.iter().flatten().cloned());
    events.push(completed(output));
    events
}

fn frames(seen: &SimulatedResult) -> Vec<Value> {
    String::from_utf8(seen.client.body())
        .unwrap()
        .split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap_or(("", event));
            let data = data
                .strip_prefix("data: ")
                .unwrap_or_else(|| panic!("{event}"));
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect()
}

/// Response as a client assembles it from the deltas, with the content of the last event.
#[derive(Debug, Default)]
struct Answer {
    /// Type or tool of each item, with its text or arguments from the deltas.
    items: Vec<(String, String)>,
    /// Items from the events at their ends.
    done: Vec<Value>,
    last: Value,
    error: Option<String>,
}

impl Answer {
    fn texts(&self) -> Vec<&str> {
        self.items.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// Assembles a response as OpenAI's library does, which appends items to a list. Compares every copy of a text with the
/// deltas.
fn answer_of(frames: &[Value]) -> Answer {
    let mut answer = Answer::default();
    for (number, event) in frames.iter().enumerate() {
        assert!(answer.last.is_null(), "nothing follows the end: {event}");
        assert_eq!(event["sequence_number"], number, "{event}");
        let kind = event["type"].as_str().unwrap();
        let at = usize::try_from(event["output_index"].as_u64().unwrap_or(0)).unwrap();
        match kind {
            "response.output_item.added" => {
                assert_eq!(at, answer.items.len(), "items come in order: {event}");
                let item = &event["item"];
                let name = item["name"].as_str().or(item["type"].as_str()).unwrap();
                answer.items.push((name.to_owned(), String::new()));
                answer.done.push(Value::Null);
            }
            "response.output_item.done" => answer.done[at] = event["item"].clone(),
            "error" => answer.error = event["error"]["message"].as_str().map(str::to_owned),
            "response.completed" => {
                assert!(!answer.done.contains(&Value::Null), "an item has not ended");
                answer.last = event["response"].clone();
            }
            _ if kind.ends_with(".delta") => {
                answer.items[at]
                    .1
                    .push_str(event["delta"].as_str().unwrap());
            }
            _ => {}
        }
        for member in [
            "text",
            "refusal",
            "arguments",
            "input",
            "code",
            "command",
            "diff",
        ] {
            if let Some(copy) = event[member].as_str().filter(|_| kind != "error") {
                assert_eq!(copy, answer.items[at].1, "{event}");
            }
            if kind == "response.content_part.done"
                && let Some(copy) = event["part"][member].as_str()
            {
                assert_eq!(copy, answer.items[at].1, "{event}");
            }
        }
    }
    if !answer.last.is_null()
        && answer.last["output"].as_array().unwrap().len() == answer.done.len()
    {
        for (item, done) in answer.last["output"]
            .as_array()
            .unwrap()
            .iter()
            .zip(&answer.done)
        {
            assert_eq!(item, done, "the last event says what the item's own said");
        }
    }
    for (done, (_, text)) in answer.done.iter().zip(&answer.items) {
        let said = [
            &done["content"][0]["text"],
            &done["content"][0]["refusal"],
            &done["arguments"],
            &done["input"],
            &done["code"],
            &done["action"]["commands"][0],
            &done["operation"]["diff"],
        ];
        for copy in said.iter().filter_map(|said| said.as_str()) {
            assert_eq!(copy, text, "{done}");
        }
    }
    answer
}

const LOOKS: &str = "defaults: { action: allow }
rules:
  - id: pii
    match: { event: response }
    when: { text: { detects: [pii, secrets] } }
    action: redact
  - id: swan
    match: { event: response }
    when: { text: { contains: forbidden word } }
    action: deny
    reason: Not that word.
  - id: no-deleting
    match: { tool: delete_customer }
    action: deny
    reason: Customers stay.
  - id: no-searching
    match: { tool: web_search }
    action: deny
    reason: No searching.
";

#[test]
fn a_card_number_is_removed_from_the_deltas_and_from_every_copy() {
    let guard = guard(LOOKS);
    let parts = [
        "pay 41",
        "11 11",
        "11",
        "",
        " 1111 1111 to",
        "day, see source",
    ];
    let body = sse(&whole(&[said(0, &parts)], &[message(&parts.concat())]));
    let seen = ask(&guard, &body, &[]);
    let frames = frames(&seen);
    let answer = answer_of(&frames);
    let expected = "pay [CREDIT_CARD] today, see source";
    assert_eq!(answer.texts(), [expected]);
    assert_eq!(answer.last["output"][0]["content"][0]["text"], expected);
    assert_eq!(frames.len(), sse_count(&body), "every event is still there");
    assert!(
        !String::from_utf8(seen.client.body())
            .unwrap()
            .contains("1111")
    );
    assert_eq!(record(&seen)["decision"], "redact");
    assert_eq!(record(&seen)["findings"], json!({"credit_card": 1}));
    assert_eq!(record(&seen)["rules"][0]["at"], "#output/0/content/0");
    // Every copy of an annotation has the text's new offsets.
    let at = expected.find("source").unwrap();
    let annotations: Vec<&Value> = frames
        .iter()
        .flat_map(|event| {
            [
                &event["annotation"],
                &event["part"]["annotations"][0],
                &event["item"]["content"][0]["annotations"][0],
                &event["response"]["output"][0]["content"][0]["annotations"][0],
            ]
        })
        .filter(|annotation| !annotation.is_null())
        .collect();
    assert_eq!(annotations.len(), 4);
    for annotation in annotations {
        assert_eq!(annotation["start_index"], at);
        assert_eq!(annotation["end_index"], at + 6);
    }
}

fn sse_count(body: &[u8]) -> usize {
    String::from_utf8_lossy(body).matches("data: ").count()
}

#[test]
fn text_is_released_as_soon_as_nothing_can_match_it_any_more() {
    let guard = guard(LOOKS);
    let sentence = "The quick brown fox jumps over the lazy dog, and nobody minds at all. ";
    let words: Vec<&str> = sentence.split_inclusive(' ').cycle().take(200).collect();
    let mut half = streamed(b"", &[]);
    half.chunks = whole(&[said(0, &words)], &[])
        .iter()
        .map(|event| format!("data: {event}\n\n").into_bytes())
        .collect();
    let delta = |event: &str| {
        let event: Value = serde_json::from_str(event.strip_prefix("data: ")?).ok()?;
        Some(event["delta"].as_str()?.chars().count())
    };
    let mut flow = Flow::new(Rc::clone(&guard));
    let behind = most_behind(&mut flow, &request(), &half, &delta);
    assert!(behind <= 64, "{behind} characters behind");
}

#[test]
fn every_kind_of_text_is_read() {
    let guard = guard(LOOKS);
    let of = |kind: &str, more: Value| {
        let mut event =
            json!({"type": kind, "item_id": "i", "output_index": 0, "content_index": 0});
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        event
    };
    let item = |content: Value, summary: Value| {
        added(
            0,
            json!({"type": "reasoning", "id": "i", "content": content, "summary": summary}),
        )
    };
    let mail = ["anna@ex", "ample.com"];
    for (name, member, at) in [
        ("output_text", "text", "#output/0/content/0"),
        ("refusal", "refusal", "#output/0/content/0"),
        ("reasoning_text", "text", "#output/0/content/0"),
        ("reasoning_summary_text", "text", "#output/0/summary/0"),
        ("audio.transcript", "transcript", "#audio/transcript"),
    ] {
        let mut events = vec![created(), item(json!([]), json!([]))];
        for part in mail {
            events.push(of(
                &format!("response.{name}.delta"),
                json!({"delta": part}),
            ));
        }
        let mut end = of(&format!("response.{name}.done"), json!({}));
        end[member] = json!("anna@example.com");
        events.push(end);
        events.push(completed(&[]));
        let seen = ask(&guard, &sse(&events), &[]);
        let frames = frames(&seen);
        assert_eq!(frames[2]["delta"], "[EMAIL]", "{name}");
        assert_eq!(frames[3]["delta"], "", "{name}");
        assert_eq!(frames[4][member], "[EMAIL]", "{name}");
        assert_eq!(record(&seen)["rules"][0]["at"], at);
    }
    // A text of an unknown kind is evaluated, but not edited: its copies could not be found.
    let events = [
        created(),
        item(json!([]), json!([])),
        of("response.poem.delta", json!({"delta": "anna@ex"})),
        of("response.poem.delta", json!({"delta": "ample.com"})),
        completed(&[]),
    ];
    let seen = ask(&guard, &sse(&events), &[]);
    assert_eq!(record(&seen)["decision"], "deny");
    assert!(
        !String::from_utf8(seen.client.body())
            .unwrap()
            .contains("anna")
    );
}

#[test]
fn reasoning_is_replaced_in_its_item_too() {
    let guard = guard(LOOKS);
    let item = json!({
        "type": "reasoning", "id": "rs_1", "encrypted_content": "gAAAAA",
        "summary": [{"type": "summary_text", "text": "ask anna@example.com"}],
        "content": [{"type": "reasoning_text", "text": "or bob@example.com"}],
    });
    let of = |kind: &str, text: &str| {
        let list = if kind.contains("summary") {
            "summary_index"
        } else {
            "content_index"
        };
        json!({"type": kind, "item_id": "rs_1", "output_index": 0, list: 0, "delta": text})
    };
    let events = [
        created(),
        added(
            0,
            json!({"type": "reasoning", "id": "rs_1", "summary": [], "content": []}),
        ),
        of("response.reasoning_summary_text.delta", "ask anna@"),
        of("response.reasoning_text.delta", "or bob"),
        of("response.reasoning_summary_text.delta", "example.com"),
        of("response.reasoning_text.delta", "@example.com"),
        done(0, &item),
        completed(&[item]),
    ];
    let seen = ask(&guard, &sse(&events), &[]);
    let frames = frames(&seen);
    let last = &frames[7]["response"]["output"][0];
    assert_eq!(last["summary"][0]["text"], "ask [EMAIL]");
    assert_eq!(last["content"][0]["text"], "or [EMAIL]");
    assert_eq!(&frames[6]["item"], last);
    assert_eq!(record(&seen)["findings"], json!({"email": 2}));
}

#[test]
fn a_denied_text_ends_the_stream_as_a_refusal() {
    let guard = guard(LOOKS);
    let parts = ["Well, ", "this is the forb", "idden wo", "rd and more"];
    let body = sse(&whole(&[said(0, &parts)], &[message(&parts.concat())]));
    let seen = ask(&guard, &body, &[]);
    let answer = answer_of(&frames(&seen));
    assert_eq!(answer.texts(), ["Well, ", "Not that word."]);
    assert_eq!(answer.last["id"], "resp_1");
    assert_eq!(answer.last["model"], "gpt-5-2026");
    assert_eq!(answer.last["status"], "completed");
    assert_eq!(
        answer.last["output"],
        json!([{
            "type": "message", "id": "msg_agentguard_r-1", "role": "assistant", "status": "completed",
            "content": [{"type": "refusal", "refusal": "Not that word."}],
        }])
    );
    assert_eq!(record(&seen)["decision"], "deny");
    assert_eq!(record(&seen)["code"], "AG3001");
}

#[test]
fn a_denial_at_the_first_event_is_a_whole_response() {
    let guard = guard(LOOKS);
    let mut begin = created();
    begin["response"]["instructions"] = json!("say the forbidden word");
    let seen = ask(&guard, &sse(&[begin]), &[]);
    let frames = frames(&seen);
    assert_eq!(frames[0]["type"], "response.created");
    let answer = answer_of(&frames);
    assert_eq!(answer.texts(), ["Not that word."]);
    assert_eq!(answer.last["output"][0], answer.done[0]);
}

#[test]
fn an_error_is_in_the_form_that_clients_raise() {
    let guard = guard(&LOOKS.replace("    reason: Not that word.\n", "    on_deny: error\n"));
    let body = sse(&[created(), delta(0, "the forbidden word"), completed(&[])]);
    let frames = frames(&ask(&guard, &body, &[]));
    let [_, error] = frames.as_slice() else {
        panic!("{frames:?}")
    };
    assert_eq!(error["type"], "error");
    assert_eq!(error["message"], "Blocked by rule `swan`.");
    assert_eq!(error["error"]["message"], "Blocked by rule `swan`.");
    assert_eq!(error["sequence_number"], 1);
}

#[test]
fn a_denied_call_becomes_a_message_in_its_place() {
    let guard = guard(LOOKS);
    let output = [
        message("Let me see."),
        call_item("delete_customer", "{\"id\":1}"),
        call_item("find", "{\"q\":\"x\"}"),
    ];
    let body = sse(&whole(
        &[
            said(0, &["Let me see."]),
            called(1, "delete_customer", &["{\"id\"", ":1", "}"]),
            called(2, "find", &["{\"q\"", ":\"x\"}"]),
        ],
        &output,
    ));
    for cuts in [vec![], (0..body.len()).step_by(11).collect()] {
        let seen = ask(&guard, &body, &cuts);
        let answer = answer_of(&frames(&seen));
        assert_eq!(
            answer.items,
            [
                ("message".to_owned(), "Let me see.".to_owned()),
                ("message".to_owned(), "Customers stay.".to_owned()),
                ("find".to_owned(), "{\"q\":\"x\"}".to_owned()),
            ]
        );
        let told = &answer.last["output"][1];
        // The provider waits for the call's result, which is why the id contains the call.
        assert_eq!(
            told["id"],
            "msg_agentguard~f~fc_delete_customer~call_delete_customer"
        );
        // The first event was released with the text, and an id doesn't change within a stream.
        assert_eq!(answer.last["id"], "resp_1");
        assert_eq!(told["content"][0]["text"], "Customers stay.");
        assert_eq!(answer.last["output"][2], output[2]);
        assert_eq!(answer.last["status"], "completed");
        assert!(
            !String::from_utf8(seen.client.body())
                .unwrap()
                .contains("\"delete_customer\"")
        );
        let record = record(&seen);
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["code"], "AG3001");
        assert_eq!(record["tools"], json!(["delete_customer", "find"]));
        assert_eq!(record["rules"][0]["at"], "#output/1");
    }
}

#[test]
fn where_a_tool_was_forced_a_denied_call_is_an_error() {
    let guard = guard(LOOKS);
    let body = sse(&whole(
        &[called(0, "delete_customer", &["{}"])],
        &[call_item("delete_customer", "{}")],
    ));
    let request = asks(json!({
        "model": "gpt-5", "stream": true, "input": "hi", "tool_choice": "required",
        "tools": [{"type": "function", "name": "find"}],
    }));
    let seen = exchange(&guard, &request, streamed(&body, &[]));
    let answer = answer_of(&frames(&seen));
    assert_eq!(answer.items, []);
    assert_eq!(answer.error.as_deref(), Some("Customers stay."));
}

#[test]
fn a_call_that_the_provider_ran_can_only_be_reported() {
    let guard = guard(LOOKS);
    let item = json!({
        "type": "web_search_call", "id": "ws_1", "status": "completed",
        "action": {"type": "search", "query": "weather"},
    });
    let events = [
        created(),
        added(
            0,
            json!({"type": "web_search_call", "id": "ws_1", "status": "in_progress"}),
        ),
        json!({"type": "response.web_search_call.searching", "item_id": "ws_1", "output_index": 0}),
        done(0, &item),
        completed(std::slice::from_ref(&item)),
    ];
    let answer = answer_of(&frames(&ask(&guard, &sse(&events), &[])));
    assert_eq!(answer.error.as_deref(), Some("No searching."));
    let allowed = super::guard(&LOOKS.replace("tool: web_search", "tool: web_fetch"));
    let body = sse(&events);
    let seen = ask(&allowed, &body, &[]);
    assert_eq!(seen.client.body(), body);
    assert_eq!(record(&seen)["events"]["tool_call"], 1);
    assert_eq!(
        record(&seen)["tools"],
        Value::Null,
        "it is no call of the client's"
    );
}

const ARGUMENTS: &str = "defaults: { action: allow }
rules:
  - id: args
    match: { event: response, part: arguments }
    when: { text: { detects: email } }
    action: redact
  - id: code
    match: { tool: code_interpreter }
    when: { args.code: { contains: rm -rf } }
    action: deny
    reason: Not that code.
";

/// Asserts that a denial by a rule keeps a forbidden text of a stream from the client.
fn withholds(rule: &str, events: &[Value]) {
    let guard = guard(&format!(
        "defaults: {{ action: allow }}\nrules:\n  - {{ id: r, {rule}, action: deny }}\n"
    ));
    let seen = ask(&guard, &sse(events), &[]);
    assert_eq!(record(&seen)["decision"], "deny", "{rule}");
    let client = String::from_utf8(seen.client.body()).unwrap();
    assert!(!client.contains("forbidden"), "{rule}: {client}");
}

#[test]
fn results_of_the_provider_s_tools_are_results() {
    let item = |output: Value, error: Value| {
        json!({"type": "mcp_call", "id": "mcp_1", "server_label": "shop", "name": "look_up",
            "arguments": "{}", "output": output, "error": error})
    };
    for found in [
        item(json!("forbidden"), Value::Null),
        item(
            Value::Null,
            json!({"type": "mcp_tool_execution_error", "message": "forbidden"}),
        ),
    ] {
        let events = whole(
            &[vec![
                added(0, item(Value::Null, Value::Null)),
                done(0, &found),
            ]],
            &[found],
        );
        for rule in [
            "match: { event: tool_result, tool: look_up }, when: { text: { contains: forbidden } }",
            "match: { event: response }, when: { text: { contains: forbidden } }",
        ] {
            withholds(rule, &events);
        }
    }
}

#[test]
fn arguments_are_redacted_in_every_copy() {
    let guard = guard(ARGUMENTS);
    let arguments = "{\"to\":\"anna@example.com\",\"n\":1}";
    let body = sse(&whole(
        &[
            called(
                0,
                "send",
                &["{\"to\":\"anna@ex", "ample.com\",\"n\"", ":1}"],
            ),
            called(1, "find", &["{}"]),
        ],
        &[call_item("send", arguments), call_item("find", "{}")],
    ));
    let seen = ask(&guard, &body, &[]);
    let frames = frames(&seen);
    let answer = answer_of(&frames);
    let expected = "{\"to\":\"[EMAIL]\",\"n\":1}";
    assert_eq!(answer.texts(), [expected, "{}"]);
    assert_eq!(answer.last["output"][0]["arguments"], expected);
    assert_eq!(frames.len(), sse_count(&body));
    assert!(
        !String::from_utf8(seen.client.body())
            .unwrap()
            .contains("anna")
    );
    assert_eq!(record(&seen)["tools"], json!(["find", "send"]));
}

/// Returns code that the provider runs, as deltas and in its item.
fn code(parts: &[&str]) -> Vec<u8> {
    let item = |code: &str, status: &str| {
        json!({
            "type": "code_interpreter_call", "id": "ci_1", "status": status, "container_id": "cntr_1", "code": code,
            "outputs": null,
        })
    };
    let of = |kind: &str, member: &str, code: &str| {
        json!({
            "type": format!("response.code_interpreter_call_code.{kind}"), "item_id": "ci_1", "output_index": 0, member: code,
        })
    };
    let code = parts.concat();
    let mut events = vec![created(), added(0, item("", "in_progress"))];
    events.extend(parts.iter().map(|part| of("delta", "delta", part)));
    events.push(of("done", "code", &code));
    events.push(done(0, &item(&code, "completed")));
    events.push(completed(&[item(&code, "completed")]));
    sse(&events)
}

#[test]
fn code_is_evaluated_as_a_whole_and_redacted_everywhere() {
    let guard = guard(ARGUMENTS);
    let untouched = code(&["print(", "1)"]);
    assert_eq!(ask(&guard, &untouched, &[]).client.body(), untouched);
    let seen = ask(&guard, &code(&["mail('anna@ex", "ample.com')"]), &[]);
    let answer = answer_of(&frames(&seen));
    assert_eq!(answer.texts(), ["mail('[EMAIL]')"]);
    assert_eq!(answer.last["output"][0]["code"], "mail('[EMAIL]')");
    let denied = answer_of(&frames(&ask(&guard, &code(&["rm -", "rf /"]), &[])));
    assert_eq!(denied.error.as_deref(), Some("Not that code."));
    assert_eq!(denied.texts(), [""], "nothing of it was told");
}

#[test]
fn free_text_input_is_redacted_everywhere() {
    let guard = guard(ARGUMENTS);
    let item = |input: &str| json!({"type": "custom_tool_call", "id": "ct_1", "call_id": "c", "name": "note", "input": input});
    let of = |kind: &str, member: &str, text: &str| json!({"type": format!("response.custom_tool_call_input.{kind}"), "item_id": "ct_1", "output_index": 0, member: text});
    let input = "to anna@example.com";
    let events = [
        created(),
        added(0, item("")),
        of("delta", "delta", "to anna@"),
        of("delta", "delta", "example.com"),
        of("done", "input", input),
        done(0, &item(input)),
        completed(&[item(input)]),
    ];
    let answer = answer_of(&frames(&ask(&guard, &sse(&events), &[])));
    assert_eq!(answer.texts(), ["to [EMAIL]"]);
    assert_eq!(answer.last["output"][0]["input"], "to [EMAIL]");
}

#[test]
fn calls_without_deltas_are_evaluated_by_their_item() {
    let policy = "defaults: { action: allow }
rules:
  - id: shell
    match: { tool: local_shell }
    when: { args.command: { any: { contains: sudo } } }
    action: deny
    reason: Not as root.
";
    let guard = guard(&policy.replace("{ any: { contains: sudo } }", "{ contains: sudo }"));
    let item = |command: Value| {
        json!({
            "type": "local_shell_call", "id": "ls_1", "call_id": "c", "status": "in_progress",
            "action": {"type": "exec", "command": command, "env": {}},
        })
    };
    let events = |command: Value| {
        [
            created(),
            added(0, item(json!([]))),
            done(0, &item(command.clone())),
            completed(&[item(command)]),
        ]
    };
    let body = sse(&events(json!(["ls"])));
    let seen = ask(&guard, &body, &[]);
    assert_eq!(
        String::from_utf8(seen.client.body()),
        String::from_utf8(body)
    );
    assert_eq!(record(&seen)["tools"], json!(["local_shell"]));
    let seen = ask(&guard, &sse(&events(json!(["sudo", "ls"]))), &[]);
    let answer = answer_of(&frames(&seen));
    assert_eq!(
        answer.items,
        [("message".to_owned(), "Not as root.".to_owned())]
    );
    assert_eq!(answer.last["output"][0]["id"], "msg_agentguard~l~ls_1~c");
}

const PARTS_OF_ARGUMENTS: &str = "defaults: { action: allow }
rules:
  - id: mask
    match: { event: response, part: [text, arguments] }
    when: { text: { detects: email } }
    action: redact
  - id: shell
    match: { tool: shell }
    when: { args.commands: { contains: sudo } }
    action: deny
    reason: Not as root.
  - id: patch
    match: { tool: apply_patch }
    when: { args.path: { equals: .env } }
    action: deny
    reason: Not that file.
  - id: added
    match: { tool: apply_patch }
    when: { args.diff: { contains: eval } }
    action: deny
    reason: Not that code.
";

/// Returns a call of a shell whose command comes in these pieces, and as a whole as `command`.
fn shell(pieces: &[&str], command: &str) -> Vec<u8> {
    let item = |status: &str, commands: &[&str]| {
        json!({
            "type": "shell_call", "id": "sh_1", "call_id": "c", "status": status,
            "action": {"commands": commands, "max_output_length": null, "timeout_ms": null},
        })
    };
    let of = |kind: &str, member: &str, text: &str| json!({"type": format!("response.shell_call_command.{kind}"), "output_index": 0, "command_index": 0, member: text});
    let whole = item("completed", &[command]);
    let mut events = vec![
        created(),
        added(0, item("in_progress", &[])),
        of("added", "command", ""),
    ];
    events.extend(pieces.iter().map(|piece| of("delta", "delta", piece)));
    events.extend([
        of("done", "command", &pieces.concat()),
        done(0, &whole),
        completed(&[whole]),
    ]);
    sse(&events)
}

#[test]
fn a_command_in_pieces_is_an_argument_of_its_call() {
    let guard = guard(PARTS_OF_ARGUMENTS);
    let untouched = shell(&["ls ", "-l"], "ls -l");
    let seen = ask(&guard, &untouched, &[]);
    assert_eq!(
        String::from_utf8(seen.client.body()),
        String::from_utf8(untouched)
    );
    assert_eq!(record(&seen)["tools"], json!(["shell"]));
    assert_eq!(record(&seen)["coverage"]["level"], "full");

    let seen = ask(&guard, &shell(&["su", "do ls"], "sudo ls"), &[]);
    assert_eq!(record(&seen)["tools"], json!(["shell"]));
    let denied = answer_of(&frames(&seen));
    assert_eq!(
        denied.items,
        [("message".to_owned(), "Not as root.".to_owned())]
    );

    let pieces = ["mail anna@", "example.com"];
    let masked = answer_of(&frames(&ask(
        &guard,
        &shell(&pieces, &pieces.concat()),
        &[],
    )));
    assert_eq!(masked.texts(), ["mail [EMAIL]"]);
    assert_eq!(masked.done[0]["action"]["commands"][0], "mail [EMAIL]");

    // Two readers would run two commands, and one of them may be the denied one.
    let seen = ask(&guard, &shell(&["su", "do ls"], "ls"), &[]);
    let denied = answer_of(&frames(&seen));
    assert_eq!(denied.texts(), ["Not as root."]);
}

/// Returns the events of a shell in the provider's container that writes these pieces.
fn shell_output(pieces: &[&str]) -> Vec<Value> {
    let call = json!({
        "type": "shell_call", "id": "sh_1", "call_id": "c", "status": "completed",
        "action": {"commands": ["ls"]}, "environment": {"type": "container_reference", "container_id": "cntr_1"},
    });
    let written = |text: &str| json!([{"stdout": text, "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]);
    let output = |output: Value| json!({"type": "shell_call_output", "id": "so_1", "call_id": "c", "status": "completed", "output": output});
    let of = |kind: &str, member: &str, what: Value| json!({"type": format!("response.shell_call_output_content.{kind}"), "item_id": "so_1", "output_index": 1, "command_index": 0, member: what});
    let all = output(written(&pieces.concat()));
    let mut events = vec![
        created(),
        added(0, call.clone()),
        done(0, &call),
        added(1, output(json!([]))),
    ];
    events.extend(
        pieces
            .iter()
            .map(|piece| of("delta", "delta", json!({"stdout": piece}))),
    );
    events.extend([
        of("done", "output", written(&pieces.concat())),
        done(1, &all),
        completed(&[call, all]),
    ]);
    events
}

#[test]
fn output_of_a_shell_in_pieces_is_one_text_and_redacted_in_every_copy() {
    let guard = guard(PARTS_OF_ARGUMENTS);
    let untouched = sse(&shell_output(&["all ", "is well"]));
    let seen = ask(&guard, &untouched, &[]);
    assert_eq!(
        String::from_utf8(seen.client.body()),
        String::from_utf8(untouched)
    );
    let rule = "match: { event: response }\n    when: { text: { detects: credit_card } }\n    action: redact";
    let guard = super::guard(&format!(
        "defaults: {{ action: allow }}\nrules:\n  - id: cards\n    {rule}\n"
    ));
    let seen = ask(
        &guard,
        &sse(&shell_output(&["card 4111 1111 ", "1111 1111\n"])),
        &[],
    );
    let client = String::from_utf8(seen.client.body()).unwrap();
    assert!(!client.contains("1111"), "{client}");
    let frames = frames(&seen);
    let said = |at: &str| -> String {
        let parts = frames
            .iter()
            .filter_map(|frame| frame.pointer(at)?.as_str());
        parts.collect()
    };
    for copy in [
        "/delta/stdout",
        "/output/0/stdout",
        "/item/output/0/stdout",
        "/response/output/1/output/0/stdout",
    ] {
        assert_eq!(said(copy), "card [CREDIT_CARD]\n", "{copy}");
    }
}

#[test]
fn a_program_is_a_call_that_the_provider_runs() {
    let program = json!({"type": "program", "id": "pr_1", "call_id": "c", "code": "rm -rf", "fingerprint": "f"});
    let output = json!({"type": "program_output", "id": "po_1", "call_id": "c", "result": "forbidden", "status": "completed"});
    let events = [
        created(),
        added(0, program.clone()),
        done(0, &program),
        added(1, output.clone()),
        done(1, &output),
        completed(&[program, output]),
    ];
    for rule in [
        "match: { event: tool_call, tool: programmatic_tool_calling }, when: { args.code: { contains: rm } }",
        "match: { event: tool_result }, when: { text: { contains: forbidden } }",
    ] {
        withholds(rule, &events);
    }
}

#[test]
fn a_patch_in_pieces_is_an_argument_of_its_call() {
    let item = |status: &str, path: &str, diff: &str| {
        json!({
            "type": "apply_patch_call", "id": "ap_1", "call_id": "c", "status": status,
            "operation": {"type": "create_file", "path": path, "diff": diff},
        })
    };
    let of = |kind: &str, member: &str, text: &str| json!({"type": format!("response.apply_patch_call_operation_diff.{kind}"), "item_id": "ap_1", "output_index": 0, member: text});
    let patch = |path: &str, pieces: [&str; 2]| {
        let diff = pieces.concat();
        let whole = item("completed", path, &diff);
        sse(&[
            created(),
            added(0, item("in_progress", path, "")),
            of("delta", "delta", pieces[0]),
            of("delta", "delta", pieces[1]),
            of("done", "diff", &diff),
            done(0, &whole),
            completed(&[whole]),
        ])
    };
    let guard = guard(PARTS_OF_ARGUMENTS);
    let untouched = patch("a.py", ["+print(", "1)\n"]);
    let seen = ask(&guard, &untouched, &[]);
    assert_eq!(
        String::from_utf8(seen.client.body()),
        String::from_utf8(untouched)
    );
    assert_eq!(record(&seen)["tools"], json!(["apply_patch"]));

    let denied = |path: &str, pieces| answer_of(&frames(&ask(&guard, &patch(path, pieces), &[])));
    assert_eq!(denied(".env", ["+A", "=1"]).texts(), ["Not that file."]);
    assert_eq!(denied("a.py", ["+ev", "al(x)"]).texts(), ["Not that code."]);
    let masked = denied("a.py", ["+# anna@exa", "mple.com\n"]);
    assert_eq!(masked.texts(), ["+# [EMAIL]\n"]);
    assert_eq!(masked.last["output"][0]["operation"]["path"], "a.py");
}

#[test]
fn a_copy_that_differs_is_evaluated_separately() {
    let guard = guard(LOOKS);
    // Harmless deltas, and a last event with a card number or a denied text.
    let events = |last: &str| {
        let mut events = whole(&[said(0, &["Hello"])], &[message(last)]);
        let at = events.len() - 2;
        events[at] = done(0, &message("Hello"));
        sse(&events)
    };
    let seen = ask(&guard, &events("pay 4111 1111 1111 1111"), &[]);
    let last = frames(&seen).pop().unwrap();
    assert_eq!(
        last["response"]["output"][0]["content"][0]["text"],
        "pay [CREDIT_CARD]"
    );
    let seen = ask(&guard, &events("the forbidden word"), &[]);
    let last = frames(&seen).pop().unwrap();
    assert_eq!(
        last["response"]["output"][0]["content"][0]["refusal"],
        "Not that word."
    );
}

#[test]
fn a_call_with_two_versions_is_evaluated_in_both() {
    let policy = "defaults: { action: allow }
rules:
  - id: amount
    match: { tool: pay }
    when: { args.amount: { greater_than: 100 } }
    action: deny
    reason: Too much.
  - id: no-deleting
    match: { tool: delete_customer }
    action: deny
    reason: Customers stay.
";
    let guard = guard(policy);
    let mut events = whole(
        &[called(0, "pay", &["{\"amount\":1}"])],
        &[call_item("pay", "{\"amount\":1}")],
    );
    let body = sse(&events);
    assert_eq!(ask(&guard, &body, &[]).client.body(), body);
    // The item has another amount than the deltas.
    let at = events.len() - 2;
    events[at] = done(0, &call_item("pay", "{\"amount\":1000}"));
    let answer = answer_of(&frames(&ask(&guard, &sse(&events), &[])));
    assert_eq!(answer.texts(), ["Too much."]);
    // The item has another name.
    events[at] = done(0, &call_item("delete_customer", "{\"amount\":1}"));
    let answer = answer_of(&frames(&ask(&guard, &sse(&events), &[])));
    assert_eq!(answer.texts(), ["Customers stay."]);
    // Only the last event differs, after the call was released.
    let mut events = whole(
        &[called(0, "pay", &["{\"amount\":1}"])],
        &[call_item("pay", "{\"amount\":1000}")],
    );
    let last = frames(&ask(&guard, &sse(&events), &[])).pop().unwrap();
    assert_eq!(
        last["response"]["output"][0]["content"][0]["text"],
        "Too much."
    );
    // Only the last event has the call.
    events.drain(2..events.len() - 1);
    let last = frames(&ask(&guard, &sse(&events), &[])).pop().unwrap();
    assert_eq!(
        last["response"]["output"][0]["content"][0]["text"],
        "Too much."
    );
}

#[test]
fn an_event_that_two_clients_read_differently_is_not_forwarded() {
    let guard = guard(LOOKS);
    let event = json!({
        "type": "response.new_thing", "output_index": 0, "item": call_item("delete_customer", "{}"), "sequence_number": 1,
    });
    let mut body = sse(&[created()]);
    body.extend(format!("event: response.output_item.done\ndata: {event}\n\n").into_bytes());
    let seen = ask(&guard, &body, &[]);
    assert_eq!(record(&seen)["code"], "AG2014");
    assert!(
        !String::from_utf8(seen.client.body())
            .unwrap()
            .contains("delete")
    );
}

#[test]
fn an_event_of_two_items_is_not_forwarded() {
    // The event's number is the second call's, and its id the first call's.
    let crossed = |id: &str| {
        let mut second = called(1, "find", &[]);
        second[0]["item"]["id"] = json!("fc_2");
        let delta = json!({
            "type": "response.function_call_arguments.delta", "output_index": 1, "item_id": id,
            "delta": "{\"id\": 7}",
        });
        let events = [
            vec![created()],
            called(0, "pay", &["{}"]),
            vec![second[0].clone(), delta],
        ];
        sse(&events.concat())
    };
    let first = called(0, "pay", &["{}"])[0]["item"]["id"].clone();
    let seen = ask(&guard(LOOKS), &crossed(first.as_str().unwrap()), &[]);
    assert_eq!(record(&seen)["code"], "AG2014");
    assert!(
        !String::from_utf8(seen.client.body())
            .unwrap()
            .contains(": 7")
    );
    // Some servers give each event its own id.
    for id in ["fc_2", "x"] {
        let body = crossed(id);
        assert_eq!(ask(&guard(ALLOW), &body, &[]).client.body(), body, "{id}");
    }
}

#[test]
fn a_second_call_with_the_same_number_is_evaluated_too() {
    let guard = guard(LOOKS);
    for first in [said(0, &["Hello"]), called(0, "find", &["{}"])] {
        let mut events = vec![created()];
        events.extend(first);
        events.extend(called(0, "delete_customer", &[]));
        let seen = ask(&guard, &sse(&events), &[]);
        assert_eq!(record(&seen)["decision"], "deny");
        let body = String::from_utf8(seen.client.body()).unwrap();
        assert!(!body.contains("\"delete_customer\""), "{body}");
    }
}

#[test]
fn text_of_another_item_waits_for_a_held_call_so_that_events_stay_in_order() {
    let guard = guard(LOOKS);
    let sentence = "and on and on and on and on and on and on and on and on and on it goes. ";
    let mut events = vec![created()];
    let mut text = said(0, &[sentence; 40]);
    let call = called(1, "find", &["{}"]);
    let end = text.split_off(4);
    events.extend(text);
    events.push(call[0].clone());
    events.extend(end);
    let held = sse(&events);
    events.extend(call[1..].iter().cloned());
    events.push(completed(&[
        message(&sentence.repeat(40)),
        call_item("find", "{}"),
    ]));
    let body = sse(&events);
    let seen = ask(&guard, &body, &[]);
    assert_eq!(seen.client.body(), body);
    let answer = answer_of(&frames(&seen));
    assert_eq!(answer.texts(), [sentence.repeat(40).as_str(), "{}"]);
    // Before the call is complete, the text before it is released, and nothing that followed.
    let seen = ask(&guard, &held, &[]);
    let text = String::from_utf8(seen.client.body()).unwrap();
    assert!(text.matches("and on it goes").count() <= 4, "{text}");
}

#[test]
fn numbers_that_the_server_omits_stay_absent() {
    let guard = guard(LOOKS);
    let mut events = String::new();
    for (number, event) in [created(), delta(0, "Hello"), completed(&[])]
        .iter()
        .enumerate()
    {
        let mut event = event.clone();
        event["sequence_number"] = json!(number * 3);
        events.push_str(&format!("data: {event}\n\n"));
    }
    let seen = ask(&guard, events.as_bytes(), &[]);
    assert_eq!(seen.client.body(), events.as_bytes());
}

#[test]
fn a_rule_on_the_whole_text_holds_it_and_its_copies() {
    let policy = "defaults: { action: allow }
rules:
  - id: long
    match: { event: response, part: text }
    when: { text: { length_greater_than: 10 } }
    action: deny
";
    let guard = guard(policy);
    let short = sse(&whole(
        &[said(0, &["short", " one"])],
        &[message("short one")],
    ));
    let seen = ask(&guard, &short, &[]);
    assert_eq!(
        String::from_utf8(seen.client.body()),
        String::from_utf8(short)
    );
    let long = sse(&whole(
        &[said(0, &["a long ", "answer it is"])],
        &[message("a long answer it is")],
    ));
    let answer = answer_of(&frames(&ask(&guard, &long, &[])));
    assert_eq!(answer.texts(), ["", "Blocked by rule `long`."]);
}

mod faults {
    use super::*;

    #[test]
    fn an_error_or_a_failure_of_the_provider_passes() {
        let guard = guard(LOOKS);
        let failed = json!({
            "type": "response.failed",
            "response": {"id": "resp_1", "status": "failed", "output": [], "error": {"code": "server_error", "message": "Oh."}},
        });
        let error =
            json!({"type": "error", "code": "server_error", "message": "Oh.", "param": null});
        for end in [failed, error] {
            let body = sse(&[created(), delta(0, "Well, "), end]);
            let seen = ask(&guard, &body, &[]);
            assert_eq!(seen.client.body(), body);
            let counts = format!("{:?}", seen.counts);
            assert!(counts.contains("server_error"), "{counts}");
        }
    }

    #[test]
    fn a_missing_end_an_end_marker_and_silence_have_no_effect() {
        let guard = guard(LOOKS);
        let mut events = whole(&[said(0, &["Hello"])], &[message("Hello")]);
        let mut marked = sse(&events);
        marked.extend_from_slice(b": ping\n\ndata: [DONE]\n\n");
        assert_eq!(ask(&guard, &marked, &[]).client.body(), marked);
        events.pop();
        let missing = sse(&events);
        assert_eq!(ask(&guard, &missing, &[]).client.body(), missing);
    }

    #[test]
    fn more_texts_than_a_response_has_are_an_error() {
        let guard = guard(LOOKS);
        let mut events = vec![created()];
        for number in 0..5_000 {
            let mut event = delta(0, "a");
            event["content_index"] = json!(number);
            events.push(event);
        }
        let seen = ask(&guard, &sse(&events), &[]);
        assert_eq!(record(&seen)["code"], "AG2014");
    }
}

#[test]
fn a_copy_does_not_repeat_a_finding_across_texts() {
    // Only the end of the text shows that the address is complete.
    for second in [
        "example.com ",
        "example.com",
        "example.com is it, and more of that text",
    ] {
        let texts = ["anna@", second];
        let parts = [said(0, &texts[..1]), said(1, &texts[1..])];
        let seen = ask(
            &guard(LOOKS),
            &sse(&whole(&parts, &texts.map(message))),
            &[],
        );
        assert_eq!(record(&seen)["code"], "AG3005", "{second}");
        let left = String::from_utf8(seen.client.body()).unwrap();
        assert!(!left.contains("example.com"), "{left}");
        assert!(left.contains("something that can't be edited"), "{left}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_chunking_gives_the_same_bytes_and_the_last_event_agrees_with_the_deltas(
        items in prop::collection::vec((0u32..3, prop::collection::vec(0usize..14, 0..8)), 1..5),
        cuts in prop::collection::vec(0usize..20_000, 0..12),
    ) {
        const TEXTS: &[&str] = &["Hello ", "4111 1111", " 1111 1111", "", "anna@", "example.com ", "forbidden ", "word",
            "\u{1F600}", "a b c ", "AKIAIOSFODNN7", "EXAMPLE", ". ", "source"];
        let (mut parts, mut output, mut original) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (kind, which)) in items.iter().enumerate() {
            let texts: Vec<&str> = which.iter().map(|which| TEXTS[*which]).collect();
            let name = if *kind == 1 { "find" } else { "delete_customer" };
            if *kind == 0 {
                parts.push(said(at, &texts));
                output.push(message(&texts.concat()));
                original.push(Some(texts.concat()));
            } else {
                parts.push(called(at, name, &["{\"a\":", "1}"]));
                output.push(call_item(name, "{\"a\":1}"));
                original.push(None);
            }
        }
        let body = sse(&whole(&parts, &output));
        let guard = guard(LOOKS);
        let at_once = ask(&guard, &body, &[]);
        let in_pieces = ask(&guard, &body, &cuts);
        prop_assert_eq!(
            String::from_utf8(at_once.client.body()),
            String::from_utf8(in_pieces.client.body())
        );
        let answer = answer_of(&frames(&at_once));
        let is_denied = answer.last["output"][0]["id"] == "msg_agentguard_r-1";
        if answer.error.is_some() {
            // A redaction across the boundary to a text would be missing in the text's copies.
            prop_assert_eq!(&record(&at_once)["code"], "AG3005");
            return Ok(());
        }
        for (text, original) in answer.texts().iter().zip(&original) {
            let Some(original) = original.as_ref().filter(|_| !is_denied) else { continue };
            let whole = json!({
                "id": "r", "object": "response", "status": "completed", "model": "m", "output": [message(original)],
            });
            let headers = [(":status", "200"), ("content-type", "application/json")];
            let reference = exchange(&guard, &request(), HttpMessage::new(&headers, whole.to_string().as_bytes()));
            let reference = client_json(&reference);
            prop_assert_eq!(&reference["output"][0]["content"][0]["text"], text);
        }
        if !is_denied {
            prop_assert_eq!(answer.last["output"].as_array().unwrap().len(), items.len());
        }
    }
}

#[test]
fn a_text_that_continues_after_its_end_is_an_error() {
    let mut events = whole(&[said(0, &["the forbid"])], &[message("the forbid")]);
    let last = events.len() - 1;
    events.insert(last, delta(0, "den word"));
    let seen = ask(&guard(LOOKS), &sse(&events), &[]);
    assert_eq!(record(&seen)["code"], "AG2014");
    let left = String::from_utf8(seen.client.body()).unwrap();
    assert!(!left.contains("den word"), "{left}");
}
