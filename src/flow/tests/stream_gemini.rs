//! Gemini's streamed responses and interactions.

use super::stream::LOOKS;
use super::stream::streamed;
use super::*;

const AS_EVENTS: &str = "/v1beta/models/gemini-x:streamGenerateContent?alt=sse";
const AS_ARRAY: &str = "/v1beta/models/gemini-x:streamGenerateContent";

fn request(path: &str) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", "generativelanguage.googleapis.com"),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ],
        json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
            .to_string()
            .as_bytes(),
    )
}

fn frame(parts: &[Value]) -> Value {
    of_candidate(0, parts)
}

fn of_candidate(index: u32, parts: &[Value]) -> Value {
    json!({
        "candidates": [{"content": {"parts": parts, "role": "model"}, "index": index}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 7, "totalTokenCount": 10},
        "modelVersion": "gemini-x", "responseId": "r",
    })
}

fn text(text: &str) -> Value {
    frame(&[json!({"text": text})])
}

fn call(name: &str) -> Value {
    json!({"functionCall": {"name": name, "args": {"id": 7}}})
}

fn last(text: &str) -> Value {
    let mut frame = frame(&[json!({"text": text})]);
    frame["candidates"][0]["finishReason"] = json!("STOP");
    frame
}

fn sse(frames: &[Value]) -> Vec<u8> {
    let events = frames.iter().map(|frame| format!("data: {frame}\r\n\r\n"));
    events.collect::<String>().into_bytes()
}

/// Returns the frames as Google's servers write them.
fn array(frames: &[Value]) -> Vec<u8> {
    let elements: Vec<String> = frames.iter().map(Value::to_string).collect();
    format!("[{}\n]\n", elements.join("\n,\r\n")).into_bytes()
}

fn ask(guard: &Rc<Guard>, frames: &[Value], cuts: &[usize]) -> SimulatedResult {
    exchange(guard, &request(AS_EVENTS), streamed(&sse(frames), cuts))
}

fn ask_for_array(guard: &Rc<Guard>, body: &[u8], cuts: &[usize]) -> SimulatedResult {
    let mut response = streamed(body, cuts);
    response.headers[1].1 = b"application/json; charset=UTF-8".to_vec();
    exchange(guard, &request(AS_ARRAY), response)
}

fn frames_of(seen: &SimulatedResult) -> Vec<Value> {
    String::from_utf8(seen.client.body())
        .unwrap()
        .replace("\r\n", "\n")
        .split_terminator("\n\n")
        .map(|event| {
            let data = event
                .strip_prefix("data: ")
                .unwrap_or_else(|| panic!("{event}"));
            serde_json::from_str(data).unwrap()
        })
        .collect()
}

fn parts_of(frames: &[Value], candidate: u64) -> Vec<Value> {
    let candidates = frames
        .iter()
        .flat_map(|frame| frame["candidates"].as_array().into_iter().flatten());
    candidates
        .filter(|one| one["index"] == candidate)
        .flat_map(|one| one["content"]["parts"].as_array().unwrap().clone())
        .collect()
}

fn said(frames: &[Value], candidate: u64) -> String {
    let parts = parts_of(frames, candidate);
    parts
        .iter()
        .filter_map(|part| part["text"].as_str())
        .collect()
}

#[test]
fn reasoning_before_and_after_a_text_is_searched_as_one() {
    let thinks = |part: &str| json!({"text": part, "thought": true});
    let parts = [
        thinks("they pay 4111 1111 "),
        json!({"text": "Well, "}),
        thinks("1111 1111 then"),
        json!({"text": "done"}),
    ];
    let guard = guard(LOOKS);
    let each = parts.clone().map(|part| frame(&[part]));
    let at_once = ask(&guard, &each, &[]);
    let every: Vec<usize> = (0..sse(&each).len()).collect();
    let in_pieces = ask(&guard, &each, &every);
    assert_eq!(at_once.client.body(), in_pieces.client.body());
    // Released text stays.
    let texts = said(&frames_of(&at_once), 0);
    assert_eq!(texts, "they pay 4111 1111 Well,  thendone");
    let found = record(&at_once);
    assert_eq!(found["findings"], json!({"credit_card": 1}));
    assert_eq!(found["rules"][0]["at"], "#candidate/0/reasoning");
    // A whole response is searched in the same way.
    let headers = [(":status", "200"), ("content-type", "application/json")];
    let whole = HttpMessage::new(&headers, frame(&parts).to_string().as_bytes());
    let path = AS_ARRAY.replace("streamGenerateContent", "generateContent");
    let seen = exchange(&guard, &request(&path), whole);
    let texts = said(&[client_json(&seen)], 0);
    assert_eq!(texts, "they pay [CREDIT_CARD]Well,  thendone");
    assert_eq!(record(&seen)["findings"], json!({"credit_card": 1}));
}

#[test]
fn a_card_number_over_many_frames_is_replaced_once() {
    let frames = [
        text("pay 41"),
        text("11 1111"),
        text(" 1111 1111 to"),
        last("day"),
    ];
    let seen = ask(&guard(LOOKS), &frames, &[70]);
    let left = frames_of(&seen);
    assert_eq!(left.len(), 4);
    assert_eq!(said(&left, 0), "pay [CREDIT_CARD] today");
    assert_eq!(record(&seen)["rules"][0]["at"], "#candidate/0");
    // Older models send a finish reason with every frame.
    let frames = [last("pay 4111 1111"), last(" 1111 1111 today")];
    let seen = ask(&guard(LOOKS), &frames, &[]);
    assert_eq!(said(&frames_of(&seen), 0), "pay [CREDIT_CARD] today");
    let body = array(&[text("pay 4111 1111"), last(" 1111 1111 today")]);
    let seen = ask_for_array(&guard(LOOKS), &body, &[33, 120]);
    let left: Vec<Value> = serde_json::from_slice(&seen.client.body()).unwrap();
    assert_eq!(said(&left, 0), "pay [CREDIT_CARD] today");
}

#[test]
fn the_next_call_inherits_the_signature_of_a_step() {
    let guard = guard(LOOKS);
    let mut signed = call("delete_customer");
    signed["thoughtSignature"] = json!("c2ln");
    // The next call is in the same frame, or in the next one.
    for frames in [
        vec![frame(&[signed.clone(), call("find")]), last("")],
        vec![frame(&[signed.clone()]), frame(&[call("find")]), last("")],
    ] {
        let parts = parts_of(&frames_of(&ask(&guard, &frames, &[])), 0);
        let mut expected = call("find");
        expected["thoughtSignature"] = json!("c2ln");
        assert_eq!(parts[..2], [json!({"text": "Customers stay."}), expected]);
    }
    // The first call of the step has its own signature.
    let mut first = call("find");
    first["thoughtSignature"] = json!("Zmlyc3Q=");
    let frames = [
        frame(&[first.clone()]),
        frame(&[signed]),
        frame(&[call("find")]),
        last(""),
    ];
    let parts = parts_of(&frames_of(&ask(&guard, &frames, &[])), 0);
    assert_eq!(
        parts[..3],
        [first, json!({"text": "Customers stay."}), call("find")]
    );
}

#[test]
fn a_text_beside_a_thought_signature_is_edited_and_the_signature_stays() {
    let signed = json!({"text": "write to anna@example.com", "thoughtSignature": "c2ln"});
    let frames = [text("Hello, "), frame(&[signed]), last("")];
    let seen = ask(&guard(LOOKS), &frames, &[]);
    assert_eq!(record(&seen)["decision"], "redact");
    let left = frames_of(&seen);
    assert_eq!(said(&left, 0), "Hello, write to [EMAIL]");
    let body = String::from_utf8(seen.client.body()).unwrap();
    assert!(body.contains(r#""thoughtSignature":"c2ln""#), "{body}");
}

#[test]
fn offsets_into_an_edited_text_move_with_it() {
    //                   0123456789012345678901234567890123456789
    let words = "It is so. Ask anna@example.com. \u{e4}nd so.";
    let support = |start: usize, end: usize| json!({"segment": {"startIndex": start, "endIndex": end, "text": words.get(start..end)}, "groundingChunkIndices": [0]});
    let mut end = last("");
    end["candidates"][0]["groundingMetadata"] = json!({
        "groundingChunks": [{"web": {"uri": "https://a.example/", "title": "A"}}],
        "groundingSupports": [support(0, 9), support(10, 31), support(32, 40)],
    });
    end["candidates"][0]["citationMetadata"] =
        json!({"citations": [{"startIndex": 32, "endIndex": 40, "uri": "https://a.example/"}]});
    let (first, rest) = words.split_at(20);
    let frames = [text(first), text(rest), end];
    let left = frames_of(&ask(&guard(LOOKS), &frames, &[]));
    let edited = said(&left, 0);
    assert_eq!(edited, "It is so. Ask [EMAIL]. \u{e4}nd so.");
    let candidate = &left[2]["candidates"][0];
    let supports = candidate["groundingMetadata"]["groundingSupports"]
        .as_array()
        .unwrap();
    assert_eq!(supports.len(), 2);
    for support in supports {
        let segment = &support["segment"];
        let place = |name: &str| usize::try_from(segment[name].as_u64().unwrap()).unwrap();
        assert_eq!(
            segment["text"],
            *edited.get(place("startIndex")..place("endIndex")).unwrap()
        );
    }
    assert_eq!(
        candidate["citationMetadata"]["citations"][0]["startIndex"],
        23
    );
}

#[test]
fn a_call_whose_arguments_come_in_pieces_is_evaluated_as_a_whole() {
    let policy = "defaults: { action: allow }
rules:
  - id: no-rm
    match: { tool: run }
    when: { args.command: { contains: rm } }
    action: deny
    reason: No.
";
    let piece = |value: Value| frame(&[json!({"functionCall": value})]);
    let streamed_call = |name: &str| {
        vec![
            piece(json!({"name": name, "willContinue": true})),
            piece(
                json!({"partialArgs": [{"jsonPath": "$.command", "stringValue": "r", "willContinue": true}], "willContinue": true}),
            ),
            piece(
                json!({"partialArgs": [{"jsonPath": "$.command", "stringValue": "m"}], "willContinue": true}),
            ),
            piece(json!({})),
            last(""),
        ]
    };
    let frames = streamed_call("run");
    let left = frames_of(&ask(&guard(policy), &frames, &[]));
    assert_eq!(said(&left, 0), "No.");
    assert!(
        parts_of(&left, 0)
            .iter()
            .all(|part| part.get("functionCall").is_none())
    );
    let frames = streamed_call("find");
    assert_eq!(frames_of(&ask(&guard(policy), &frames, &[])), frames);
    let frames = &streamed_call("run")[..2];
    let seen = ask(&guard(policy), frames, &[]);
    assert_eq!(record(&seen)["code"], "AG2014");
}

/// Returns a call of `send` with these elements of `partialArgs`, each in its own frame.
fn sent(partial: &[Value]) -> Vec<Value> {
    let piece = |value: Value| frame(&[json!({"functionCall": value})]);
    let mut frames = vec![piece(json!({"name": "send", "willContinue": true}))];
    frames.extend(
        partial
            .iter()
            .map(|argument| piece(json!({"partialArgs": [argument], "willContinue": true}))),
    );
    frames.extend([piece(json!({})), last("")]);
    frames
}

const SEND: &str = "defaults: { action: allow }
rules:
  - id: mask
    match: { event: response, part: [text, arguments] }
    when: { text: { detects: email } }
    action: redact
  - id: many
    match: { tool: send }
    when: { args.options.copies: { greater_than: 5 } }
    action: deny
    reason: Too many.
  - id: subject
    match: { tool: send }
    when: { 'args.parts[1].text': { equals: urgent } }
    action: deny
    reason: Not urgent.
";

#[test]
fn arguments_in_pieces_are_evaluated_as_arguments() {
    let guard = guard(SEND);
    let copies = |number: u32| {
        sent(&[
            json!({"jsonPath": "$.parts[0].text", "stringValue": "ur", "willContinue": true}),
            json!({"jsonPath": "$.parts[0].text", "stringValue": "gent"}),
            json!({"jsonPath": "$.parts[1]['text']", "stringValue": "later"}),
            json!({"jsonPath": "$.options.copies", "numberValue": number}),
            json!({"jsonPath": "$.options.now", "boolValue": true}),
            json!({"jsonPath": "$.options.by", "nullValue": "NULL_VALUE"}),
        ])
    };
    let frames = copies(5);
    let seen = ask(&guard, &frames, &[]);
    assert_eq!(frames_of(&seen), frames);
    assert_eq!(record(&seen)["tools"], json!(["send"]));
    assert_eq!(record(&seen)["coverage"]["level"], "full");
    let left = frames_of(&ask(&guard, &copies(6), &[]));
    assert_eq!(said(&left, 0), "Too many.");
    let urgent = sent(&[
        json!({"jsonPath": "$.parts[0].text", "stringValue": "a"}),
        json!({"jsonPath": "$.parts[1].text", "stringValue": "urg", "willContinue": true}),
        json!({"jsonPath": "$.parts[1].text", "stringValue": "ent"}),
    ]);
    let left = frames_of(&ask(&guard, &urgent, &[]));
    assert_eq!(said(&left, 0), "Not urgent.");
}

#[test]
fn a_finding_in_an_argument_in_pieces_is_replaced_in_place() {
    let guard = guard(SEND);
    let frames = sent(&[
        json!({"jsonPath": "$.to", "stringValue": "for anna@exa", "willContinue": true}),
        json!({"jsonPath": "$.options.copies", "numberValue": 2}),
        json!({"jsonPath": "$.to", "stringValue": "mple.com, thanks"}),
    ]);
    let left = frames_of(&ask(&guard, &frames, &[]));
    let argument = |number: usize| {
        let part = &left[number]["candidates"][0]["content"]["parts"][0];
        part["functionCall"]["partialArgs"][0].clone()
    };
    assert_eq!(argument(1)["stringValue"], "for [EMAIL], thanks");
    assert_eq!(argument(1)["willContinue"], true);
    assert_eq!(
        argument(2),
        json!({"jsonPath": "$.options.copies", "numberValue": 2})
    );
    assert_eq!(argument(3)["stringValue"], "");
    assert_eq!(left.len(), frames.len());
}

#[test]
fn arguments_in_pieces_that_contradict_one_another_are_unknown() {
    let guard = guard(SEND);
    let at = |path: &str, more: Value| {
        let mut argument = json!({"jsonPath": path});
        argument
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        argument
    };
    let contradictions = [
        // A complete value that is sent again.
        vec![
            at("$.options.copies", json!({"numberValue": 2})),
            at("$.options.copies", json!({"numberValue": 2})),
        ],
        // A value, and a member of it.
        vec![
            at("$.options", json!({"stringValue": "none"})),
            at("$.options.copies", json!({"numberValue": 2})),
        ],
        // The second element of a list without a first one.
        vec![at("$.parts[1].text", json!({"stringValue": "later"}))],
        // A path to several locations.
        vec![at("$.*", json!({"stringValue": "later"}))],
        vec![at("$..text", json!({"stringValue": "later"}))],
        // Two values at once.
        vec![at(
            "$.options.copies",
            json!({"numberValue": 2, "stringValue": "2"}),
        )],
    ];
    for arguments in contradictions {
        let left = frames_of(&ask(&guard, &sent(&arguments), &[]));
        assert_eq!(said(&left, 0), "Too many.", "{arguments:?}");
    }
}

#[test]
fn an_error_of_the_provider_passes_in_each_of_its_forms() {
    let error =
        json!({"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}});
    let events = [text("Hello"), error.clone()];
    let seen = ask(&guard(LOOKS), &events, &[]);
    assert_eq!(seen.client.body(), sse(&events));
    let alone = error.to_string().into_bytes();
    for body in [array(std::slice::from_ref(&error)), alone] {
        let seen = ask_for_array(&guard(LOOKS), &body, &[4]);
        assert_eq!(seen.client.body(), body);
        assert!(format!("{:?}", seen.counts).contains("RESOURCE_EXHAUSTED"));
    }
}

#[test]
fn an_array_that_breaks_off_is_an_error() {
    let body = array(&[text("Hello"), text(" there")]);
    let seen = ask_for_array(&guard(LOOKS), &body[..body.len() - 30], &[]);
    let left: Vec<Value> = serde_json::from_slice(&seen.client.body()).unwrap();
    assert!(left.last().unwrap()["error"].is_object(), "{left:?}");
    assert_eq!(record(&seen)["code"], "AG2014");
}

mod interactions {
    use super::*;

    fn asked() -> HttpMessage {
        let mut asked = request("/v1beta/interactions");
        let body = json!({"model": "gemini-x", "input": "hi", "stream": true});
        asked.chunks = vec![body.to_string().into_bytes()];
        asked
    }

    fn sse(events: &[Value]) -> Vec<u8> {
        let mut out = String::new();
        for event in events {
            let name = event["event_type"].as_str().unwrap();
            out.push_str(&format!("event: {name}\ndata: {event}\n\n"));
        }
        out.push_str("event: done\ndata: [DONE]\n\n");
        out.into_bytes()
    }

    fn of(kind: &str, status: &str) -> Value {
        let mut interaction =
            json!({"id": "v1_x", "object": "interaction", "status": status, "model": "gemini-x"});
        if status != "in_progress" {
            interaction["usage"] = json!({"total_input_tokens": 3, "total_output_tokens": 7});
        }
        json!({"interaction": interaction, "event_type": kind})
    }

    fn step(index: u32, step: &Value, deltas: &[Value]) -> Vec<Value> {
        let mut events = vec![json!({"index": index, "step": step, "event_type": "step.start"})];
        events.extend(
            deltas
                .iter()
                .map(|delta| json!({"index": index, "delta": delta, "event_type": "step.delta"})),
        );
        events.push(json!({"index": index, "event_type": "step.stop"}));
        events
    }

    fn output(index: u32, parts: &[&str]) -> Vec<Value> {
        let deltas: Vec<Value> = parts
            .iter()
            .map(|part| json!({"type": "text", "text": part}))
            .collect();
        step(index, &json!({"type": "model_output"}), &deltas)
    }

    fn whole(steps: &[Vec<Value>], status: &str) -> Vec<Value> {
        let mut events = vec![of("interaction.created", "in_progress")];
        events.extend(steps.concat());
        events.push(of("interaction.completed", status));
        events
    }

    fn ask(events: &[Value], cuts: &[usize]) -> SimulatedResult {
        exchange(&guard(LOOKS), &asked(), streamed(&sse(events), cuts))
    }

    fn events_of(seen: &SimulatedResult) -> Vec<Value> {
        let body = String::from_utf8(seen.client.body()).unwrap();
        let body = body
            .strip_suffix("event: done\ndata: [DONE]\n\n")
            .unwrap_or(&body);
        body.split_terminator("\n\n")
            .map(|event| {
                let (name, data) = event.split_once("\ndata: ").unwrap();
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(name.strip_prefix("event: ").unwrap(), data["event_type"]);
                data
            })
            .collect()
    }

    #[test]
    fn provider_run_tools_are_named_by_their_kind() {
        let call = json!({"type": "code_execution_call", "id": "c1", "arguments": {"language": "python", "code": "rm()"}});
        let policy = "defaults: { action: allow }
rules:
  - id: no-code
    match: { tool: code_execution }
    action: deny
    reason: No code.
";
        let events = whole(&[step(0, &call, &[]), output(1, &["Done."])], "completed");
        let seen = exchange(&guard(policy), &asked(), streamed(&sse(&events), &[]));
        let left = events_of(&seen);
        assert_eq!(left.last().unwrap()["error"]["message"], "No code.");
        assert!(
            !String::from_utf8(seen.client.body())
                .unwrap()
                .contains("rm()")
        );
    }

    #[test]
    fn a_completed_interaction_that_repeats_its_steps_is_edited_alike() {
        let mut events = whole(
            &[output(0, &["write to anna@", "example.com"])],
            "completed",
        );
        events.last_mut().unwrap()["interaction"]["steps"] = json!([{"type": "model_output", "content": [{"type": "text", "text": "write to anna@example.com"}]}]);
        let left = events_of(&ask(&events, &[]));
        let copy = &left.last().unwrap()["interaction"]["steps"][0]["content"][0]["text"];
        assert_eq!(copy, "write to [EMAIL]");
    }
}

#[test]
fn a_text_continues_after_its_finish_reason() {
    // Older models send a finish reason with every frame.
    let frames = [text("Well, "), last("the forbid"), last("den word")];
    let seen = ask(&guard(LOOKS), &frames, &[]);
    assert_eq!(record(&seen)["rules"][0]["id"], "swan");
    assert!(!said(&frames_of(&seen), 0).contains("den word"));
    let clean = [text("Well, "), last("this "), last("is all")];
    assert_eq!(frames_of(&ask(&guard(LOOKS), &clean, &[])), clean);
}
