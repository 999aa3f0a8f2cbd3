//! Limits over several exchanges: counts, replies and audit events.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn limited(rules: &str) -> String {
    format!("defaults: {{ action: allow }}\nrequire: none\nrules:\n{rules}")
}

fn asks(guard: &Rc<Guard>, now: u64) -> SimulatedResult {
    run(guard, &chat_request(&says("hi")), |_| hello(), now)
}

fn status(seen: &SimulatedResult) -> u16 {
    seen.client.status().unwrap()
}

fn header<'s>(seen: &'s SimulatedResult, name: &str) -> Option<&'s str> {
    seen.client
        .header(name)
        .map(|value| std::str::from_utf8(value).unwrap())
}

const TWO_A_MINUTE: &str =
    "  - { id: few, action: deny, limit: { count: requests, max: 2, window: 1m } }\n";

#[test]
fn the_third_of_two_requests_a_minute_waits() {
    in_both_modes(&limited(TWO_A_MINUTE), |guard, _| {
        // NOW is second 5 of a minute.
        assert_eq!(status(&asks(guard, NOW)), 200);
        assert_eq!(status(&asks(guard, NOW)), 200);
        let denied = asks(guard, NOW);
        assert_eq!(status(&denied), 429);
        assert_eq!(header(&denied, "retry-after"), Some("55"));
        assert_eq!(header(&denied, "x-ratelimit-limit"), Some("2"));
        assert_eq!(header(&denied, "x-ratelimit-remaining"), Some("0"));
        assert_eq!(header(&denied, "x-ratelimit-reset"), Some("55"));
        assert_eq!(header(&denied, "x-should-retry"), Some("true"));
        let error = client_json(&denied)["error"].clone();
        assert_eq!(error["type"], "rate_limit_error");
        assert_eq!(error["agentguard"]["code"], "AG5001");
        assert_eq!(error["agentguard"]["rule"], "few");
        assert_eq!(
            error["message"],
            "Limit `few` is reached: at most 2 requests in 1m. Try again in 55 seconds."
        );
        let record = record(&denied);
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["code"], "AG5001");
        assert_eq!(
            record["limits"],
            json!([{"id": "few", "used": 2, "max": 2, "exceeded": true}])
        );
        assert_eq!(record["rules"][0]["id"], "few");
        let labels = vec!["few".to_owned(), "enforce".to_owned()];
        let hit = ("agentguard_limit_hits_total", labels, 1);
        assert!(denied.counts.contains(&hit));
        // A denied request uses up nothing, and the next minute is a new window.
        assert_eq!(status(&asks(guard, NOW + 55 * SECOND)), 200);
    });
}

#[test]
fn a_client_that_would_wait_for_hours_is_not_asked_to_wait() {
    let rule = "  - { id: daily, action: deny, reason: Enough for today., limit: { count: requests, max: 0, window: 24h } }\n";
    in_both_modes(&limited(rule), |guard, _| {
        let denied = asks(guard, NOW);
        assert_eq!(status(&denied), 403);
        assert_eq!(header(&denied, "retry-after"), None);
        assert_eq!(header(&denied, "x-should-retry"), Some("false"));
        let message = &client_json(&denied)["error"]["message"];
        assert_eq!(message, "Enough for today.");
    });
}

#[test]
fn a_request_denied_for_another_reason_is_not_counted() {
    let rules = format!(
        "{TWO_A_MINUTE}  - {{ id: bad, match: {{ event: message }}, when: {{ text: {{ contains: forbidden }} }}, action: deny }}\n"
    );
    in_both_modes(&limited(&rules), |guard, _| {
        for _ in 0..5 {
            let denied = run(
                guard,
                &chat_request(&says("the forbidden")),
                |_| hello(),
                NOW,
            );
            assert_eq!(status(&denied), 400);
            assert!(record(&denied).get("limits").is_none());
        }
        assert_eq!(status(&asks(guard, NOW)), 200);
        assert_eq!(
            record(&asks(guard, NOW))["limits"],
            json!([{"id": "few", "used": 2, "max": 2}])
        );
        assert_eq!(status(&asks(guard, NOW)), 429);
    });
}

#[test]
fn a_limit_that_denies_takes_back_the_charge_of_the_other() {
    let rules = "  - { id: a-many, action: deny, limit: { count: requests, max: 3, window: 24h } }
  - { id: b-few, action: deny, limit: { count: requests, max: 1, window: 1m } }\n";
    let guard = guard(&limited(rules));
    assert_eq!(status(&asks(&guard, NOW)), 200);
    for _ in 0..5 {
        assert_eq!(status(&asks(&guard, NOW)), 429);
    }
    assert_eq!(status(&asks(&guard, NOW + 60 * SECOND)), 200);
    assert_eq!(status(&asks(&guard, NOW + 120 * SECOND)), 200);
    let denied = asks(&guard, NOW + 180 * SECOND);
    assert_eq!(status(&denied), 403);
    assert_eq!(record(&denied)["rules"][0]["id"], "a-many");
}

#[test]
fn conditions_determine_what_is_counted() {
    let rule = "  - { id: few, match: { model: gpt-4o }, action: deny, limit: { count: requests, max: 1, window: 1m } }\n";
    let guard = guard(&limited(rule));
    let mini = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]});
    let mini = chat_request(mini.to_string().as_bytes());
    for _ in 0..3 {
        assert_eq!(status(&run(&guard, &mini, |_| hello(), NOW)), 200);
    }
    assert_eq!(status(&asks(&guard, NOW)), 200);
    assert_eq!(status(&asks(&guard, NOW)), 429);
    assert_eq!(status(&run(&guard, &mini, |_| hello(), NOW)), 200);
}

#[test]
fn an_observed_limit_counts_as_if_it_denied_and_allows() {
    let rule = "  - { id: few, mode: observe, action: deny, limit: { count: requests, max: 2, window: 1m } }\n";
    let guard = guard(&limited(rule));
    for would in [Value::Null, Value::Null, json!("deny"), json!("deny")] {
        let seen = asks(&guard, NOW);
        assert_eq!(status(&seen), 200);
        assert_eq!(record(&seen)["would"], would);
    }
}

#[test]
fn a_soft_limit_tags() {
    let rule = "  - { id: busy, action: tag, tags: [busy], limit: { count: requests, max: 2, window: 1m } }\n";
    let guard = guard(&limited(rule));
    for tags in [Value::Null, Value::Null, json!(["busy"]), json!(["busy"])] {
        let seen = asks(&guard, NOW);
        assert_eq!(status(&seen), 200);
        assert_eq!(record(&seen)["tags"], tags);
    }
}

fn calls(tools: &[&str]) -> HttpMessage {
    let calls: Vec<Value> = tools
        .iter()
        .enumerate()
        .map(|(at, name)| {
            json!({"id": format!("call_{at}"), "type": "function", "function": {"name": name, "arguments": "{}"}})
        })
        .collect();
    answer(
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
        "tool_calls",
    )
}

const PER_TOOL: &str = "  - { id: tools, action: deny, reason: That is enough., limit: { count: tool_calls, per: tool, max: 2, window: 1h } }\n";

#[test]
fn the_third_call_of_a_tool_is_removed_from_the_response() {
    in_both_modes(&limited(PER_TOOL), |guard, _| {
        let request = chat_request(&says("hi"));
        let seen = exchange(guard, &request, calls(&["a", "a", "b", "A"]));
        assert_eq!(status(&seen), 200);
        let message = client_json(&seen)["choices"][0]["message"].clone();
        let names: Vec<&Value> = message["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| &call["function"]["name"])
            .collect();
        assert_eq!(names, ["a", "a", "b"]);
        assert!(
            message["content"]
                .as_str()
                .unwrap()
                .contains("That is enough.")
        );
        let denied = exchange(guard, &request, calls(&["a"]));
        assert!(
            client_json(&denied)["choices"][0]["message"]
                .get("tool_calls")
                .is_none()
        );
        let name = "agentguard_tool_calls_total";
        let told = (name, vec!["a".to_owned(), "deny".to_owned()], 1);
        assert!(denied.counts.contains(&told), "{:?}", denied.counts);
    });
}

#[test]
fn calls_of_the_history_are_not_counted() {
    let guard = guard(&limited(PER_TOOL));
    let call =
        json!({"id": "c1", "type": "function", "function": {"name": "a", "arguments": "{}"}});
    let body = json!({"model": "gpt-4o", "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ]});
    for _ in 0..5 {
        let request = chat_request(body.to_string().as_bytes());
        let seen = exchange(&guard, &request, hello());
        assert_eq!(status(&seen), 200);
        assert!(record(&seen).get("limits").is_none());
    }
}

#[test]
fn a_streamed_call_is_counted_once_and_removed_over_the_limit() {
    let guard = guard(&limited(PER_TOOL));
    let event = |delta: Value, finish: Value| {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let mut stream = event(json!({"role": "assistant", "content": null}), Value::Null);
    let call = json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "a", "arguments": ""}}]});
    stream.push_str(&event(call, Value::Null));
    let arguments = json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]});
    stream.push_str(&event(arguments, Value::Null));
    stream.push_str(&event(json!({}), json!("tool_calls")));
    stream.push_str("data: [DONE]\n\n");
    let streamed = || {
        let mut half = HttpMessage::new(
            &[(":status", "200"), ("content-type", "text/event-stream")],
            b"",
        );
        half.chunks = stream.as_bytes().chunks(7).map(<[u8]>::to_vec).collect();
        exchange(&guard, &chat_request(&says("hi")), half)
    };
    for used in [1, 2] {
        let seen = streamed();
        assert_eq!(record(&seen)["limits"][0]["used"], used);
        assert_eq!(seen.client.body(), stream.as_bytes());
    }
    let denied = streamed();
    let text = String::from_utf8(denied.client.body()).unwrap();
    assert!(!text.contains("\"c1\""), "{text}");
    assert!(text.contains("That is enough."), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[test]
fn an_mcp_call_over_the_limit_is_an_error_of_the_tool() {
    let guard = guard(&limited(PER_TOOL));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": {}}});
    let request = HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/mcp"),
            (":authority", "tools.example"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ],
        body.to_string().as_bytes(),
    );
    let answered = || {
        let result = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": []}}).to_string();
        let headers = [(":status", "200"), ("content-type", "application/json")];
        exchange(
            &guard,
            &request,
            HttpMessage::new(&headers, result.as_bytes()),
        )
    };
    for _ in 0..2 {
        assert!(client_json(&answered())["result"].get("isError").is_none());
    }
    let denied = answered();
    assert_eq!(status(&denied), 200);
    let result = client_json(&denied)["result"].clone();
    assert_eq!(result["isError"], true);
    assert_eq!(result["_meta"]["agentguard"]["code"], "AG5001");
    assert_eq!(header(&denied, "retry-after"), None);
}

/// Returns the status and the used amount of a request at this time; the response reports 3 tokens in and 4 out.
fn asked(guard: &Rc<Guard>, now: u64) -> (u16, Value) {
    let seen = asks(guard, now);
    (status(&seen), record(&seen)["limits"][0]["used"].clone())
}

#[test]
fn tokens_are_settled_by_what_the_provider_says() {
    let rule = "  - { id: budget, action: deny, limit: { count: tokens, max: 20, window: 24h } }\n";
    in_both_modes(&limited(rule), |guard, _| {
        // A quarter of the body's bytes is reserved, which is more than the request uses.
        assert_eq!(asked(guard, NOW), (200, json!(7)));
        assert_eq!(asked(guard, NOW), (200, json!(14)));
        // The request passes because something is left, and uses more than that.
        assert_eq!(asked(guard, NOW), (200, json!(21)));
        assert_eq!(asked(guard, NOW), (403, json!(21)));
    });
    for (counted, used) in [("input_tokens", 3), ("output_tokens", 4)] {
        let rule = rule.replace("tokens", counted);
        let guard = guard(&limited(&rule));
        assert_eq!(asked(&guard, NOW), (200, json!(used)), "{counted}");
    }
}

/// Providers count input from a cache and reasoning among the other tokens, or leave them out of both counts.
#[test]
fn tokens_that_a_provider_counts_elsewhere_are_charged_too() {
    let asked =
        r#"{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}"#;
    let gemini = r#"{"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}"#;
    let converse = r#"{"messages": [{"role": "user", "content": [{"text": "hi"}]}]}"#;
    let interaction = r#"{"model": "m", "input": "hi"}"#;
    let embedded = r#"{"model": "m", "input": "hi"}"#;
    for (path, body, usage, input, output) in [
        (
            "/v1/messages",
            asked,
            json!({"usage": {"input_tokens": 10, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30,
                             "output_tokens": 5}}),
            60,
            5,
        ),
        (
            "/model/m/converse",
            converse,
            json!({"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 65, "cacheReadInputTokens": 30,
                             "cacheWriteInputTokens": 20}}),
            60,
            5,
        ),
        (
            "/v1beta/models/m:generateContent",
            gemini,
            json!({"usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 7,
                                     "thoughtsTokenCount": 50, "toolUsePromptTokenCount": 25, "totalTokenCount": 182}}),
            125,
            57,
        ),
        // Thoughts alone, where they used up all that the response may have.
        (
            "/v1beta/models/m:generateContent",
            gemini,
            json!({"usageMetadata": {"promptTokenCount": 8, "thoughtsTokenCount": 50, "totalTokenCount": 58}}),
            8,
            50,
        ),
        (
            "/v1beta/interactions",
            interaction,
            json!({"usage": {"total_input_tokens": 9, "total_output_tokens": 13, "total_thought_tokens": 220,
                             "total_tool_use_tokens": 0, "total_cached_tokens": 0, "total_tokens": 242}}),
            9,
            233,
        ),
        (
            "/v1/chat/completions",
            asked,
            json!({"usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
                             "prompt_tokens_details": {"cached_tokens": 40},
                             "completion_tokens_details": {"reasoning_tokens": 30}}}),
            100,
            50,
        ),
        // Google's and xAI's count reasoning only among all.
        (
            "/v1/chat/completions",
            asked,
            json!({"usage": {"prompt_tokens": 66, "completion_tokens": 6, "total_tokens": 100}}),
            66,
            34,
        ),
        // A gateway before Anthropic.
        (
            "/v1/chat/completions",
            asked,
            json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45,
                             "cache_read_input_tokens": 30}}),
            40,
            5,
        ),
        (
            "/v1/chat/completions",
            asked,
            json!({"usage": {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45,
                             "cache_read_input_tokens": 30}}),
            40,
            5,
        ),
        (
            "/v1/embeddings",
            embedded,
            json!({"usage": {"total_tokens": 38}}),
            38,
            0,
        ),
    ] {
        for (counted, used) in [
            ("input_tokens", input),
            ("output_tokens", output),
            ("tokens", input + output),
        ] {
            let guard = guard(&limited(&format!(
                "  - {{ id: budget, action: deny, limit: {{ count: {counted}, max: 10000, window: 24h }} }}\n"
            )));
            let head = [
                (":method", "POST"),
                (":path", path),
                (":authority", "x"),
                ("content-type", "application/json"),
            ];
            let request = HttpMessage::new(&head, body.as_bytes());
            let head = [(":status", "200"), ("content-type", "application/json")];
            let response = HttpMessage::new(&head, usage.to_string().as_bytes());
            let seen = exchange(&guard, &request, response);
            assert_eq!(
                record(&seen)["limits"][0]["used"],
                used,
                "{counted} {usage}"
            );
        }
    }
}

#[test]
fn an_aborted_request_is_charged_and_an_error_of_the_provider_is_not() {
    let rule = "  - { id: budget, action: deny, limit: { count: output_tokens, max: 1000, window: 24h } }\n";
    let guard = guard(&limited(rule));
    let body = json!({"model": "gpt-4o", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    let request = chat_request(body.to_string().as_bytes());
    let used = |seen: SimulatedResult| record(&seen)["limits"][0]["used"].clone();
    // The client leaves before the response ends.
    let mut flow = Flow::new(Rc::clone(&guard));
    let _ = sends_head(&mut flow, &request);
    let _ = flow.request_body(&mut request.body().as_slice(), true, NOW);
    let end = End {
        now: NOW,
        ..End::default()
    };
    let line: Value = serde_json::from_slice(&flow.finish(&end).line).unwrap();
    assert_eq!(line["limits"][0]["used"], 100);
    let failed = HttpMessage::new(
        &[(":status", "500"), ("content-type", "application/json")],
        br#"{"error": {"message": "down"}}"#,
    );
    assert_eq!(used(exchange(&guard, &request, failed)), 100);
    assert_eq!(used(exchange(&guard, &request, hello())), 104);
}

fn text_stream(words: usize) -> Vec<u8> {
    let mut stream = String::new();
    for _ in 0..words {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": null}]});
        stream.push_str(&format!("data: {chunk}\n\n"));
    }
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    stream.push_str(&format!("data: {chunk}\n\ndata: [DONE]\n\n"));
    stream.into_bytes()
}

#[test]
fn a_stream_over_its_budget_ends_as_a_valid_one() {
    let rule = "  - { id: budget, action: deny, reason: The budget is used up., limit: { count: output_tokens, max: 50, window: 24h } }\n";
    let guard = guard(&limited(rule));
    let path = ("api.openai.com", "/v1/chat/completions");
    let question =
        json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    // Ten words are 50 bytes and about 13 tokens. The helper sends the stream twice, at once and in pieces, and both
    // are charged.
    let short = text_stream(10);
    let seen = asks_for_stream(&guard, path, &question, &short);
    assert_eq!(seen.client.body(), short);
    assert_eq!(record(&seen)["limits"][0]["used"], 13);
    // 24 tokens are left: 96 bytes, 20 words.
    let headers = [(":status", "200"), ("content-type", "text/event-stream")];
    let mut half = HttpMessage::new(&headers, b"");
    half.chunks = text_stream(1_000).chunks(512).map(<[u8]>::to_vec).collect();
    let cut = exchange(&guard, &chat_request(question.to_string().as_bytes()), half);
    let text = String::from_utf8(cut.client.body()).unwrap();
    let words = text.matches("word ").count();
    assert!((18..=22).contains(&words), "{words}");
    assert!(text.contains("The budget is used up."), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let line = record(&cut);
    assert_eq!(line["code"], "AG5001");
    assert_eq!(line["decision"], "deny");
    assert_eq!(line["limits"][0]["exceeded"], true);
    // The event that exceeded the limit is charged as well.
    assert_eq!(line["limits"][0]["used"], 51);
    let next = asks(&guard, NOW);
    assert_eq!(status(&next), 403);
}

#[test]
fn costs_are_added_up_by_the_policy_s_prices() {
    // 3 tokens in and 4 out cost 3 × 1 + 4 × 10 dollars.
    let rule = "  - id: spend
    match: { model: gpt-4o }
    action: deny
    limit: { sum: usage.cost_usd, max: 100, window: 24h, prices: { gpt-4o: { input: 1000000, output: 10000000 } } }\n";
    let guard = guard(&limited(rule));
    assert_eq!(asked(&guard, NOW), (200, json!(43)));
    assert_eq!(asked(&guard, NOW), (200, json!(86)));
    assert_eq!(asked(&guard, NOW), (200, json!(129)));
    assert_eq!(asked(&guard, NOW), (403, json!(129)));
}

fn refund(amount: &str) -> HttpMessage {
    refund_with(&format!("{{\"amount\": {amount}}}"))
}

fn refund_with(arguments: &str) -> HttpMessage {
    let call = json!({"id": "c", "type": "function", "function": {"name": "refund", "arguments": arguments}});
    answer(
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        "tool_calls",
    )
}

#[test]
fn arguments_are_added_up_and_negative_ones_are_ignored() {
    let rule = "  - { id: refunds, match: { tool: refund }, action: deny, limit: { sum: args.amount, max: 100, window: 24h } }\n";
    let guard = guard(&limited(rule));
    let request = chat_request(&says("hi"));
    for (amount, passes, used) in [
        ("60.5", true, 60.5),
        ("40", false, 60.5),
        ("-1000", true, 60.5),
        ("\"39.5\"", true, 100.0),
        ("0.0000001", false, 100.0),
        ("\"many\"", false, 100.0),
        ("0", true, 100.0),
    ] {
        let seen = exchange(&guard, &request, refund(amount));
        let message = client_json(&seen)["choices"][0]["message"].clone();
        assert_eq!(message.get("tool_calls").is_some(), passes, "{amount}");
        let told = record(&seen)["limits"][0]["used"].as_f64();
        assert_eq!(told, Some(used), "{amount}");
    }
}

#[test]
fn amounts_in_lists_are_added_up_and_one_without_its_list_too() {
    for (path, amounts) in [
        (
            "args.refund.amount",
            json!({"refund": [[{"amount": 60}], {"amount": 50}]}),
        ),
        (
            "args.lines.amount",
            json!({"lines": [{"amount": 60}, {"amount": 50}]}),
        ),
        ("args.lines[*].amount", json!({"lines": {"amount": 110}})),
    ] {
        let rule = format!(
            "  - {{ id: refunds, match: {{ tool: refund }}, action: deny, limit: {{ sum: \"{path}\", max: 100, window: 24h }} }}\n"
        );
        let guard = guard(&limited(&rule));
        let request = chat_request(&says("hi"));
        let seen = exchange(&guard, &request, refund_with(&amounts.to_string()));
        let message = client_json(&seen)["choices"][0]["message"].clone();
        assert!(message.get("tool_calls").is_none(), "{path}: {message}");
        assert_eq!(record(&seen)["limits"][0]["used"], 0, "{path}");
    }
}

#[test]
fn the_same_call_is_counted_in_any_spelling() {
    let rule = "  - { id: again, action: deny, limit: { count: identical_tool_calls, max: 2, window: 24h } }\n";
    let guard = guard(&limited(rule));
    let request = chat_request(&says("hi"));
    let passes = |arguments: &str| {
        let call = json!({"id": "c", "type": "function", "function": {"name": "look", "arguments": arguments}});
        let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        let seen = exchange(&guard, &request, answer(message, "tool_calls"));
        let message = client_json(&seen)["choices"][0]["message"].clone();
        message.get("tool_calls").is_some()
    };
    assert!(passes(r#"{"a": 1, "b": "x"}"#));
    assert!(passes(r#"{"b":"\u0078","a":1.0}"#));
    assert!(!passes(r#"{"a":1e0,"b":"x"}"#));
    assert!(passes(r#"{"a": 2, "b": "x"}"#));
}

#[test]
fn a_call_of_one_tool_too_many_is_removed_and_the_others_stay() {
    let rule =
        "  - { id: tools, action: deny, limit: { count: distinct_tools, max: 2, window: 24h } }\n";
    let guard = guard(&limited(rule));
    let request = chat_request(&says("hi"));
    let kept = |tools: &[&str]| -> Vec<String> {
        let seen = exchange(&guard, &request, calls(tools));
        let message = client_json(&seen)["choices"][0]["message"].clone();
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        let names = calls.map(|call| call["function"]["name"].as_str().unwrap().to_owned());
        names.collect()
    };
    assert_eq!(
        kept(&["look", "list", "drop", "look"]),
        ["look", "list", "look"]
    );
    assert_eq!(kept(&["drop", "list"]), ["list"]);
}

#[test]
fn attempts_count_what_other_rules_deny() {
    let rules = "  - { id: attempts, match: { tool: drop }, action: deny, limit: { count: tool_call_attempts, max: 2, window: 24h } }
  - { id: never, match: { tool: drop }, action: deny, reason: Never. }\n";
    let guard = guard(&limited(rules));
    let request = chat_request(&says("hi"));
    for used in [1, 2, 2] {
        let seen = exchange(&guard, &request, calls(&["drop"]));
        assert_eq!(record(&seen)["limits"][0]["used"], used);
    }
}

#[test]
fn denials_in_a_row_lock_out_until_the_window_ends() {
    let bad = "  - { id: bad, match: { event: message }, when: { text: { contains: forbidden } }, action: deny }\n";
    let forbidden = chat_request(&says("forbidden"));
    let row = |counted: &str| {
        guard(&limited(&format!(
            "  - {{ id: row, action: deny, limit: {{ count: {counted}, max: 2, window: 24h }} }}\n{bad}"
        )))
    };
    let consecutive = row("consecutive_denials");
    let denied = |guard: &Rc<Guard>| status(&run(guard, &forbidden, |_| hello(), NOW));
    assert_eq!(denied(&consecutive), 400);
    assert_eq!(status(&asks(&consecutive, NOW)), 200);
    assert_eq!(denied(&consecutive), 400);
    assert_eq!(status(&asks(&consecutive, NOW)), 200);
    assert_eq!(denied(&consecutive), 400);
    assert_eq!(denied(&consecutive), 400);
    // The client is locked out, and a denial by this limit itself does not count.
    assert_eq!(status(&asks(&consecutive, NOW)), 403);
    assert_eq!(status(&asks(&consecutive, NOW + 86_400 * SECOND)), 200);
    let denials = row("denials");
    assert_eq!(denied(&denials), 400);
    assert_eq!(status(&asks(&denials, NOW)), 200);
    assert_eq!(denied(&denials), 400);
    assert_eq!(status(&asks(&denials, NOW)), 403);
}

#[test]
fn failures_of_the_upstream_are_counted() {
    let rule = "  - { id: down, action: deny, limit: { count: failures, max: 2, window: 1m } }\n";
    let guard = guard(&limited(rule));
    let fails = || {
        let failed = HttpMessage::new(
            &[(":status", "500"), ("content-type", "application/json")],
            br#"{"error": {"message": "down"}}"#,
        );
        status(&exchange(&guard, &chat_request(&says("hi")), failed))
    };
    assert_eq!(fails(), 500);
    assert_eq!(status(&asks(&guard, NOW)), 200);
    assert_eq!(fails(), 500);
    assert_eq!(status(&asks(&guard, NOW)), 429);
}

#[test]
fn bytes_of_both_bodies_are_counted() {
    let rule = "  - { id: volume, action: deny, limit: { count: bytes, max: 400, window: 24h } }\n";
    in_both_modes(&limited(rule), |guard, _| {
        let both = says("hi").len() + hello().body().len();
        assert_eq!(asked(guard, NOW), (200, json!(both)));
        assert_eq!(asked(guard, NOW).0, 200);
        assert_eq!(asked(guard, NOW).0, 403);
    });
}

#[test]
fn bytes_that_pass_unread_or_before_trailers_are_counted() {
    let policy = "defaults: { action: allow, uninspectable: allow }
require: none
rules:
  - { id: volume, action: deny, limit: { count: bytes, max: 400, window: 24h } }
  - { id: words, match: { event: response }, when: { text: { contains: never } }, action: deny }
";
    in_both_modes(policy, |guard, _| {
        let mut upload = chat_request(b"");
        upload.headers = [
            (":method", "POST"),
            (":path", "/upload"),
            (":authority", "files.example.com"),
            ("content-type", "application/octet-stream"),
        ]
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .to_vec();
        upload.chunks = vec![vec![0; 90], vec![1; 60]];
        let answer = || HttpMessage::new(&[(":status", "204")], b"");
        let seen = run(guard, &upload, |_| answer(), NOW);
        assert_eq!(seen.upstream.as_ref().unwrap().body().len(), 150);
        assert_eq!(record(&seen)["limits"][0]["used"], 150);
        let (question, answer) = (chat_request(&says("hi")), hello());
        let (asked, answered) = (question.body(), answer.body());
        let mut flow = Flow::new(Rc::clone(guard));
        let _ = sends_head(&mut flow, &question);
        let _ = flow.request_body(&mut asked.as_slice(), false, NOW);
        let _ = flow.request_trailers(&[], &mut BehindTrailers(&asked), NOW);
        let _ = flow.response_headers(&ResponseHead {
            headers: &answer.header_slices(),
            end: false,
            now: NOW,
        });
        let _ = flow.response_body(&mut answered.as_slice(), false, NOW);
        let _ = flow.response_body(&mut BehindTrailers(&answered), true, NOW);
        let end = End {
            now: NOW,
            ..End::default()
        };
        let line: Value = serde_json::from_slice(&flow.finish(&end).line).unwrap();
        let used = 150 + asked.len() + answered.len();
        assert_eq!(line["limits"][0]["used"], used, "{line}");
    });
}

/// Held body at its trailers: the host then reports no size, but still has the bytes.
struct BehindTrailers<'b>(&'b [u8]);

impl Body for BehindTrailers<'_> {
    fn size(&self) -> usize {
        0
    }

    fn begin(&mut self, max: usize) -> Vec<u8> {
        self.0.get(..max).unwrap_or(self.0).to_vec()
    }
}

#[test]
fn a_request_frees_its_place_when_it_ends() {
    let rule = "  - { id: at-once, action: deny, limit: { count: concurrent_requests, max: 2, window: { sliding: 1h } } }\n";
    let guard = guard(&limited(rule));
    let request = chat_request(&says("hi"));
    let begins = |now: u64| {
        let mut flow = Flow::new(Rc::clone(&guard));
        let _ = sends_head(&mut flow, &request);
        let step = flow.request_body(&mut request.body().as_slice(), true, now);
        (flow, matches!(step.action, Action::Continue))
    };
    let (mut first, passes) = begins(NOW);
    assert!(passes);
    let (_second, passes) = begins(NOW);
    assert!(passes);
    let (_third, passes) = begins(NOW);
    assert!(!passes);
    let end = End {
        now: NOW,
        ..End::default()
    };
    let _ = first.finish(&end);
    assert_eq!(status(&asks(&guard, NOW)), 200);
    assert_eq!(status(&asks(&guard, NOW)), 200);
    // A place that was never freed is free again after the window.
    let (_fourth, passes) = begins(NOW);
    assert!(passes);
    assert_eq!(status(&asks(&guard, NOW)), 403);
    assert_eq!(status(&asks(&guard, NOW + 2 * 3_600 * SECOND)), 200);
}

const TWO_A_SESSION: &str =
    "  - { id: turns, action: deny, limit: { count: requests, per: session, max: 2 } }\n";

fn conversation(first: &str, turns: usize) -> HttpMessage {
    let mut messages = vec![
        json!({"role": "system", "content": "Be kind."}),
        json!({"role": "user", "content": first}),
    ];
    for turn in 0..turns {
        messages.push(json!({"role": "assistant", "content": "Yes?"}));
        messages.push(json!({"role": "user", "content": format!("more {turn}")}));
    }
    chat_request(
        json!({"model": "gpt-4o", "messages": messages})
            .to_string()
            .as_bytes(),
    )
}

#[test]
fn the_first_messages_name_a_session_and_it_is_recorded() {
    let guard = guard(&limited(TWO_A_SESSION));
    let asks = |first: &str, turns| exchange(&guard, &conversation(first, turns), hello());
    for turns in 0..2 {
        let seen = asks("hello", turns);
        assert_eq!(status(&seen), 200);
        assert_eq!(record(&seen)["limits"][0]["session"], "first_messages");
    }
    assert_eq!(status(&asks("hello", 2)), 403);
    assert_eq!(status(&asks("good morning", 0)), 200);
}

#[test]
fn a_header_or_a_field_names_a_session_if_the_policy_configures_it() {
    let rules = TWO_A_SESSION.replace(
        "per: session",
        "per: session, session: ['header:X-Session', 'field:metadata.run']",
    );
    let guard = guard(&limited(&rules));
    let with_header = |value: &str| {
        let mut request = conversation(value, 0);
        request
            .headers
            .push((b"x-session".to_vec(), value.as_bytes().to_vec()));
        exchange(&guard, &request, hello())
    };
    let with_field = |value: &str| {
        let body = json!({"model": "gpt-4o", "messages": [], "metadata": {"run": value}});
        exchange(&guard, &chat_request(body.to_string().as_bytes()), hello())
    };
    for _ in 0..2 {
        let seen = with_header("a");
        assert_eq!(record(&seen)["limits"][0]["session"], "header:x-session");
        let seen = with_field("b");
        assert_eq!(record(&seen)["limits"][0]["session"], "field:metadata.run");
    }
    assert_eq!(status(&with_header("a")), 403);
    assert_eq!(status(&with_field("b")), 403);
    assert_eq!(status(&with_header("c")), 200);
    assert_eq!(status(&with_field("d")), 200);
    // Without either, the session is the caller's, here with an unknown address.
    let seen = exchange(&guard, &conversation("x", 0), hello());
    assert_eq!(record(&seen)["limits"][0]["session"], "address");
}

#[test]
fn a_request_that_continues_a_response_has_the_same_session() {
    let guard = guard(&limited(TWO_A_SESSION));
    let ask = |previous: Option<&str>, input: &str, id: &str| {
        let mut body = json!({"model": "gpt-4o", "input": input});
        if let Some(previous) = previous {
            body["previous_response_id"] = json!(previous);
        }
        let body = body.to_string();
        let request = HttpMessage::new(
            &[
                (":method", "POST"),
                (":path", "/v1/responses"),
                (":authority", "api.openai.com"),
                ("content-type", "application/json"),
            ],
            body.as_bytes(),
        );
        let answer = json!({"id": id, "object": "response", "status": "completed", "model": "gpt-4o",
            "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "Yes.", "annotations": []}]}],
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}});
        let headers = [(":status", "200"), ("content-type", "application/json")];
        exchange(
            &guard,
            &request,
            HttpMessage::new(&headers, answer.to_string().as_bytes()),
        )
    };
    assert_eq!(status(&ask(None, "hi", "resp_1")), 200);
    let second = ask(Some("resp_1"), "and then", "resp_2");
    assert_eq!(status(&second), 200);
    assert_eq!(record(&second)["limits"][0]["session"], "conversation");
    assert_eq!(status(&ask(Some("resp_2"), "go on", "resp_3")), 403);
    assert_eq!(status(&ask(None, "another one", "resp_4")), 200);
}
