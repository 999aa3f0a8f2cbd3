//! What is taken out of whole answers, and what is left: valid for its schema, without a trace of what was taken.

use super::{
    all_texts, answered_in, answers, asked_in, exchange, guard, id, in_both_modes, json, post,
    received, sent,
};
use agentguard::event::{Kind, Part};
use agentguard::flow::simulation::HttpMessage;
use agentguard::protocol::{ResponseForm, Route};
use serde_json::{Value, json};

const MESSAGES: &str = "/v1/messages";
const CONVERSE: &str = "/model/amazon.nova-lite-v1:0/converse";
const GENERATE: &str = "/v1beta/models/gemini-x:generateContent";
const INTERACTIONS: &str = "/v1beta/interactions";

const NO_WIPING: &str = "rules:
  - id: no-wiping
    match: { tool: wipe }
    when: { in: response }
    action: deny
    reason: No wiping.
";

fn hello(path: &str) -> String {
    let body = match path {
        CONVERSE => json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
        GENERATE => json!({"contents": [{"parts": [{"text": "hi"}]}]}),
        INTERACTIONS => json!({"model": "m", "input": "hi"}),
        _ => {
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
        }
    };
    body.to_string()
}

/// What the client gets of an answer.
fn got(policy: &str, path: &str, answer: &Value) -> Value {
    let request = sent("POST", "x", path, &[], &hello(path));
    let seen = exchange(
        &guard(policy),
        &request,
        &received("200", &answer.to_string()),
    );
    json(&seen.client)
}

#[test]
fn a_denied_call_becomes_a_text_at_its_place() {
    let call = |name: &str| json!({"type": "tool_use", "id": "t", "name": name, "input": {"a": 1}});
    let text = json!({"type": "text", "text": "No wiping."});
    let answer = |content: Value, reason: &str| {
        json!({"id": "m", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
            "stop_reason": reason, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2}})
    };
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "c2ln"});
    assert_eq!(
        got(
            NO_WIPING,
            MESSAGES,
            &answer(json!([thinking, call("wipe")]), "tool_use")
        ),
        answer(json!([thinking, text]), "end_turn")
    );
    assert_eq!(
        got(
            NO_WIPING,
            MESSAGES,
            &answer(
                json!([call("wipe"), call("read"), call("wipe")]),
                "tool_use"
            )
        ),
        answer(json!([text, call("read"), text]), "tool_use")
    );

    let call = |name: &str| json!({"toolUse": {"toolUseId": "t", "name": name, "input": {"a": 1}}});
    let text = json!({"text": "No wiping."});
    let answer = |content: Value, reason: &str| {
        json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason,
            "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 4}})
    };
    let mut with_trace = answer(json!([{"text": "so"}, call("wipe")]), "tool_use");
    with_trace["trace"] = json!({"guardrail": {"modelOutput": ["{\"name\":\"wipe\"}"]}});
    assert_eq!(
        got(NO_WIPING, CONVERSE, &with_trace),
        answer(json!([{"text": "so"}, text]), "end_turn")
    );
    assert_eq!(
        got(
            NO_WIPING,
            CONVERSE,
            &answer(json!([call("read"), call("wipe")]), "tool_use")
        ),
        answer(json!([call("read"), text]), "tool_use")
    );

    let call = |name: &str| json!({"functionCall": {"name": name, "args": {"a": 1}}});
    let answer = |parts: Value| json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}], "modelVersion": "gemini-x"});
    assert_eq!(
        got(
            NO_WIPING,
            GENERATE,
            &answer(json!([{"text": "so"}, call("wipe")]))
        ),
        answer(json!([{"text": "so"}, text]))
    );
    // The signature of the step stays with its first call.
    let mut signed = call("wipe");
    signed["thoughtSignature"] = json!("c2ln");
    let mut kept = call("read");
    kept["thoughtSignature"] = json!("c2ln");
    assert_eq!(
        got(
            NO_WIPING,
            GENERATE,
            &answer(json!([signed, call("read"), call("read")]))
        ),
        answer(json!([text, kept, call("read")]))
    );

    let call = |name: &str| json!({"type": "function_call", "id": "t", "name": name, "arguments": {"a": 1}});
    let text = json!({"type": "model_output", "content": [{"type": "text", "text": "No wiping."}]});
    let answer = |steps: Value, status: &str| json!({"id": "i", "object": "interaction", "status": status, "steps": steps});
    assert_eq!(
        got(
            NO_WIPING,
            INTERACTIONS,
            &answer(json!([call("wipe")]), "requires_action")
        ),
        answer(json!([text]), "completed")
    );
}

#[test]
fn a_call_that_can_t_be_taken_out_refuses_the_answer() {
    // A program that the provider runs waits for the call's result.
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "tool_use",
        "content": [{"type": "tool_use", "id": "t", "name": "wipe", "input": {}, "caller": {"type": "code_execution_20260120", "tool_id": "s"}}],
        "usage": {"input_tokens": 1, "output_tokens": 2}});
    let told = got(NO_WIPING, MESSAGES, &answer);
    assert_eq!(told["stop_reason"], "refusal");
    assert_eq!(
        told["content"],
        json!([{"type": "text", "text": "No wiping."}])
    );
    // The caller wants a call and nothing else.
    let forced = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tool_choice": {"type": "any"}});
    let mut plain = answer;
    plain["content"][0]
        .as_object_mut()
        .unwrap()
        .remove("caller");
    let seen = exchange(
        &guard(NO_WIPING),
        &sent("POST", "x", MESSAGES, &[], &forced.to_string()),
        &received("200", &plain.to_string()),
    );
    assert_eq!(json(&seen.client)["stop_reason"], "refusal");
}

#[test]
fn a_call_that_stands_twice_is_taken_out_twice_or_the_answer_is_refused() {
    let calls =
        json!([{"id": "c", "type": "function", "function": {"name": "wipe", "arguments": "{}"}}]);
    let answer = json!({"id": "1", "object": "chat.completion", "model": "m", "choices": [{
        "index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": null, "tool_calls": calls, "function_call": {"name": "wipe", "arguments": "{}"}},
        "delta": {"tool_calls": calls}}]});
    let told = got(NO_WIPING, "/v1/chat/completions", &answer).to_string();
    assert!(!told.contains("wipe"), "{told}");
    assert!(told.contains("No wiping."), "{told}");
}

#[test]
fn what_an_agent_wants_its_client_to_do_is_a_call() {
    let events = json!({"data": [
        {"type": "agent.message", "content": [{"type": "text", "text": "I will."}]},
        {"type": "agent.custom_tool_use", "id": "e", "name": "wipe", "input": {"disk": "c"}},
    ]});
    let seen = exchange(
        &guard(NO_WIPING),
        &sent("GET", "api.anthropic.com", "/v1/sessions/s/events", &[], ""),
        &received("200", &events.to_string()),
    );
    let told = json(&seen.client);
    assert_eq!(told["type"], "error", "{told}");
    assert_eq!(told["error"]["message"], "No wiping.");
}

#[test]
fn a_call_of_a_toolset_is_denied_by_either_of_its_names() {
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "tool_use",
        "content": [{"type": "tool_use", "id": "t", "name": "navigate", "toolset_name": "browser", "input": {"url": "https://x"}}],
        "usage": {"input_tokens": 1, "output_tokens": 2}});
    for name in ["navigate", "browser"] {
        let policy = NO_WIPING.replace("tool: wipe", &format!("tool: {name}"));
        let told = got(&policy, MESSAGES, &answer);
        assert_eq!(
            told["content"],
            json!([{"type": "text", "text": "No wiping."}]),
            "{name}"
        );
        assert_eq!(told["stop_reason"], "end_turn");
    }
}

#[test]
fn one_candidate_is_refused_and_the_others_stay() {
    let policy = "rules:
  - id: no-secrets
    match: { event: response }
    when: { text: { contains: swordfish } }
    action: deny
    reason: That word stays here.
";
    let candidate = |text: &str, index: u32| json!({"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": index});
    let refused = |index: u32| json!({"content": {"parts": [{"text": "That word stays here."}], "role": "model"}, "finishReason": "SAFETY", "index": index});
    let answer = json!({"candidates": [candidate("a", 0), candidate("swordfish", 1)], "modelVersion": "gemini-x"});
    assert_eq!(
        got(policy, GENERATE, &answer),
        json!({"candidates": [candidate("a", 0), refused(1)]})
    );
    // A text that nobody knows belongs to the candidate that it stands in.
    let mut hidden = json!({"candidates": [candidate("a", 0), candidate("b", 1)]});
    hidden["candidates"][1]["zz"] = json!("swordfish");
    assert_eq!(
        got(policy, GENERATE, &hidden),
        json!({"candidates": [candidate("a", 0), refused(1)]})
    );
    // One beside the candidates goes with the first.
    let mut beside = json!({"candidates": [candidate("a", 0), candidate("b", 1)]});
    beside["zz"] = json!("swordfish");
    assert_eq!(
        got(policy, GENERATE, &beside),
        json!({"candidates": [refused(0), candidate("b", 1)]})
    );
}

const MASK: &str = "rules:
  - id: mask
    match: { event: response }
    when: { text: { detects: [credit_card] } }
    action: redact
";

#[test]
fn places_that_point_into_an_edited_text_move_with_it() {
    let text = "Pay 4111 1111 1111 1111 now. Thanks.";
    let answer = json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP",
    "logprobsResult": {"chosenCandidates": [{"token": "4111"}]},
    "citationMetadata": {"citations": [{"startIndex": 29, "endIndex": 36, "uri": "u"}]},
    "groundingMetadata": {"groundingSupports": [
        {"segment": {"endIndex": 28, "text": "Pay 4111 1111 1111 1111 now."}, "groundingChunkIndices": [0]},
        {"segment": {"startIndex": 29, "endIndex": 36, "text": "Thanks."}, "groundingChunkIndices": [0]},
    ]}}]});
    let told = got(MASK, GENERATE, &answer);
    let candidate = &told["candidates"][0];
    let edited = "Pay [CREDIT_CARD] now. Thanks.";
    assert_eq!(candidate["content"]["parts"][0]["text"], edited);
    assert!(candidate.get("logprobsResult").is_none());
    for support in candidate["groundingMetadata"]["groundingSupports"]
        .as_array()
        .unwrap()
    {
        let index =
            |name: &str| usize::try_from(support["segment"][name].as_u64().unwrap_or(0)).unwrap();
        let segment = edited.get(index("startIndex")..index("endIndex")).unwrap();
        assert_eq!(support["segment"]["text"], segment);
    }
    let citation = &candidate["citationMetadata"]["citations"][0];
    assert_eq!(
        (&citation["startIndex"], &citation["endIndex"]),
        (&json!(23), &json!(30))
    );

    let answer = json!({"id": "i", "status": "completed", "steps": [{"type": "model_output", "content": [
        {"type": "text", "text": text, "annotations": [{"type": "url_citation", "url": "u", "start_index": 29, "end_index": 36}]}]}]});
    let told = got(MASK, INTERACTIONS, &answer);
    let annotation = &told["steps"][0]["content"][0]["annotations"][0];
    assert_eq!(
        (&annotation["start_index"], &annotation["end_index"]),
        (&json!(23), &json!(30))
    );
}

/// Words that only stand in texts of an answer, the longest first.
fn words(route: &Route, answer: &Value) -> Vec<String> {
    let body = answer.to_string();
    let (json, reading) = answered_in(route, &body);
    let mut words: Vec<String> = Vec::new();
    for event in &reading.events {
        if event.kind != Kind::Response || event.part != Part::Text {
            continue;
        }
        for text in super::texts(event, &json, &reading) {
            words.extend(
                text.split(|c: char| !c.is_ascii_alphabetic())
                    .filter(|word| word.len() > 5)
                    .map(str::to_lowercase),
            );
        }
    }
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    // Names and structure bear some of them too: of the answer, and of what takes its place.
    let structure = "assistant guardrail_intervened refusal content_filtered blocked message \
                     invalid_request_error invalid_argument";
    let mut everything = String::new();
    strings(answer, &mut everything);
    let seen = all_texts(&json, &reading).join("\n").to_lowercase();
    words.retain(|word| {
        let count = |text: &str| text.matches(word.as_str()).count();
        count(&everything) == count(&seen) && count(structure) == 0
    });
    words.truncate(2);
    words
}

/// Every string of a body, keys included, in lower case; names, ids and signatures left out.
fn strings(value: &Value, found: &mut String) {
    match value {
        Value::String(text) => {
            found.push_str(&text.to_lowercase());
            found.push('\n');
        }
        Value::Array(list) => list.iter().for_each(|value| strings(value, found)),
        Value::Object(members) => {
            for (key, value) in members {
                let is_compared = key == "name" || key.ends_with("id");
                if !super::completeness::UNREAD.contains(&key.as_str()) && !is_compared {
                    found.push_str(&key.to_lowercase());
                    found.push('\n');
                    strings(value, found);
                }
            }
        }
        _ => {}
    }
}

/// A recorded request as it was sent.
fn request_of(exchange: &Value) -> HttpMessage {
    let request = &exchange["request"];
    let text = |name: &str| request[name].as_str().unwrap();
    let headers = request["headers"].as_object().unwrap().iter();
    let more: Vec<(&str, &str)> = headers
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .filter(|(name, _)| !["content-type", "content-length"].contains(name))
        .collect();
    sent(
        text("method"),
        text("host"),
        text("path"),
        &more,
        text("body"),
    )
}

#[test]
fn nothing_is_left_of_a_text_that_may_not_pass() {
    let mut tried = 0;
    for (recorded, route, _, answer) in answers() {
        if route.endpoint.response != ResponseForm::Json || route.endpoint.stream == Some(true) {
            continue;
        }
        for word in words(&route, &answer) {
            for action in ["deny", "redact"] {
                let policy = format!(
                    "rules:\n  - id: word\n    match: {{ event: response, part: [text, reasoning, refusal, arguments, transcript, other] }}\n    \
                     when: {{ text: {{ contains: {word} }} }}\n    action: {action}\n"
                );
                in_both_modes(&policy, |guard, _| {
                    let status = recorded["response"]["status"].to_string();
                    let response =
                        received(&status, recorded["response"]["body"].as_str().unwrap());
                    let seen = exchange(guard, &request_of(&recorded), &response);
                    let mut left = String::new();
                    strings(&json(&seen.client), &mut left);
                    assert!(
                        !left.contains(&word),
                        "{} {action} {word}: {left}",
                        id(&recorded)
                    );
                });
                tried += 1;
            }
        }
    }
    assert!(tried > 450, "{tried}");
}

#[test]
fn nothing_is_left_of_calls_that_may_not_pass_and_the_rest_can_be_read() {
    let policy = "rules:
  - id: no-tools
    match: { event: tool_call, tool: \"*\" }
    when: { in: response }
    action: deny
    reason: No tools today.
";
    let mut tried = 0;
    for (recorded, route, asked, answer) in answers() {
        let body = answer.to_string();
        let (_, reading) = answered_in(&route, &body);
        let is_call = |event: &agentguard::event::Event| event.kind == Kind::ToolCall;
        if !reading.events.iter().any(is_call) || route.endpoint.stream == Some(true) {
            continue;
        }
        let request = request_of(&recorded);
        let response = received("200", &body);
        let seen = exchange(&guard(policy), &request, &response);
        let told = json(&seen.client).to_string();
        let (_, left) = answered_in(&route, &told);
        assert!(
            !left.events.iter().any(is_call),
            "{}: {told}",
            id(&recorded)
        );
        assert!(left.problems.is_empty(), "{}: {told}", id(&recorded));
        assert!(
            told.contains("No tools today."),
            "{}: {told}",
            id(&recorded)
        );
        let is_waiting = left.finish.iter().any(|reason| &**reason == "tool_use");
        assert!(
            !is_waiting || asked.forces_tool,
            "{}: {told}",
            id(&recorded)
        );
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn what_no_rule_touches_passes_bit_for_bit() {
    let policy = "rules:
  - id: word
    match: { event: [message, response] }
    when: { text: { contains: \"no such words anywhere\" } }
    action: deny
  - id: mask
    match: { event: [message, response] }
    when: { text: { matches: \"^no such text$\" } }
    action: redact
";
    let mut tried = 0;
    for (recorded, route, _, _) in answers() {
        let request = recorded["request"]["body"].as_str().unwrap();
        let is_form = serde_json::from_str::<Value>(request).is_err() && !request.is_empty();
        if route.endpoint.stream == Some(true) || is_form {
            continue;
        }
        if !request.is_empty() && !asked_in(&route, request).1.problems.is_empty() {
            continue;
        }
        in_both_modes(policy, |guard, _| {
            let request = request_of(&recorded);
            let body = recorded["response"]["body"].as_str().unwrap();
            let seen = exchange(guard, &request, &received("200", body));
            assert_eq!(
                seen.upstream.unwrap().body(),
                request.body(),
                "{}",
                id(&recorded)
            );
            assert_eq!(seen.client.body(), body.as_bytes(), "{}", id(&recorded));
        });
        tried += 1;
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn results_of_a_batch_are_judged_line_by_line() {
    let line = |id: &str, content: Value, reason: &str| {
        json!({"custom_id": id, "result": {"type": "succeeded", "message": {"id": "m", "type": "message", "role": "assistant",
            "model": "claude-x", "content": content, "stop_reason": reason, "usage": {"input_tokens": 1, "output_tokens": 2}}}})
    };
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let call = json!([{"type": "tool_use", "id": "t", "name": "wipe", "input": {}}]);
    let body = [
        line("a", text("one"), "end_turn"),
        line("b", call, "tool_use"),
        line("c", text("4111 1111 1111 1111"), "end_turn"),
    ]
    .map(|line| format!("{line}\n"))
    .concat();
    let policy = format!("{NO_WIPING}{}", MASK.trim_start_matches("rules:\n"));
    let path = "/v1/messages/batches/b/results";
    let response = HttpMessage::new(
        &[(":status", "200"), ("content-type", "application/x-jsonl")],
        body.as_bytes(),
    );
    let request = HttpMessage::new(
        &[
            (":method", "GET"),
            (":path", path),
            (":authority", "api.anthropic.com"),
        ],
        b"",
    );
    let seen = exchange(&guard(&policy), &request, &response);
    let told = String::from_utf8(seen.client.body()).unwrap();
    let expected = [
        line("a", text("one"), "end_turn"),
        line("b", text("No wiping."), "end_turn"),
        line("c", text("[CREDIT_CARD]"), "end_turn"),
    ]
    .map(|line| format!("{line}\n"))
    .concat();
    assert_eq!(told, expected);
    assert_eq!(post(MESSAGES).endpoint.response, ResponseForm::Json);
}
