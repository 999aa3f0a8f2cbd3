//! Providers with paths and envelopes of their own around OpenAI's chat, and LM Studio: what is read in both directions.

use super::{
    BOUNDS, Recognised, Route, RouteHead, all_texts, answered_in, asked_in, codes, exchange, guard,
    json, protocol, read_request, received, sent, texts, tool,
};
use agentguard::event::{Event, Kind, Known, Part, Reading};
use agentguard::wire::http::Path;
use agentguard::wire::json::{JsonBody, Limits};
use serde_json::{Value, json};

const WATSONX: &str = "/ml/v1/text/chat?version=2024-10-08";
const GENERATION: &str = "/ml/v1/text/generation?version=2024-10-08";
const DASHSCOPE: &str = "/api/v1/services/aigc/text-generation/generation";
const CLOUDFLARE: &str = "/client/v4/accounts/a1/ai/run/@cf/meta/llama-3.3-70b-instruct-fp8-fast";
const LMSTUDIO: &str = "/api/v1/chat";

/// The route of a request, by its head or by its body; its protocol and endpoint are its name.
fn routed(path: &str, body: &Value) -> Option<Route> {
    let path = Path::parse(path);
    let head = RouteHead {
        method: "POST",
        host: "x",
        path: &path,
        headers: &[],
    };
    match protocol::recognise(&head) {
        Recognised::Protocol(route) => Some(route),
        Recognised::ByBody => {
            let body = body.to_string();
            let json = JsonBody::scan(body.as_bytes(), Limits { max_depth: 64 }, 0).ok()?;
            protocol::recognise_body(&head, json.body()?.root())
        }
        _ => None,
    }
}

fn name(path: &str, body: &Value) -> String {
    routed(path, body).map_or_else(
        || "-".to_owned(),
        |route| format!("{} {}", route.protocol.name(), route.endpoint.name),
    )
}

/// What a reading consists of: kind, tool, part, and `*` for what a provider runs.
fn told(reading: &Reading) -> Vec<String> {
    let shown = |event: &&Event| !event.is_duplicate;
    let events = reading.events.iter().filter(shown).map(|event| {
        let run = if event.provider_run { "*" } else { "" };
        match event.kind {
            Kind::ToolOffer | Kind::ToolCall | Kind::ToolResult => {
                format!("{} {}{run}", event.kind.word(), tool(event))
            }
            kind => format!("{} {}", kind.word(), event.part.word()),
        }
    });
    events.collect()
}

fn asked(path: &str, body: &Value) -> Vec<String> {
    let (_, reading) = asked_in(&routed(path, body).unwrap(), &body.to_string());
    assert_eq!(codes(&reading), Vec::<&str>::new());
    told(&reading)
}

fn models(path: &str, body: &Value) -> (Vec<String>, bool) {
    let (_, reading) = asked_in(&routed(path, body).unwrap(), &body.to_string());
    let names = reading.models.names.iter().map(ToString::to_string);
    (names.collect(), reading.models.unknown)
}

fn refused(path: &str, body: &Value) -> Vec<&'static str> {
    match read_request(
        &routed(path, body).unwrap(),
        body.to_string().as_bytes(),
        BOUNDS,
    ) {
        Ok((_, reading)) => codes(&reading),
        Err(problem) => vec![problem.code],
    }
}

/// A request for each format with these words of the user.
fn question(path: &str, words: &str) -> Value {
    let messages = json!([{"role": "user", "content": words}]);
    match path {
        WATSONX => json!({"model_id": "m", "project_id": "p", "messages": messages}),
        GENERATION => json!({"model_id": "m", "project_id": "p", "input": words}),
        DASHSCOPE => json!({"model": "m", "input": {"messages": messages}, "parameters": {}}),
        CLOUDFLARE => json!({"messages": messages}),
        _ => json!({"model": "m", "input": words}),
    }
}

/// An answer of each format with this text.
fn answer(path: &str, words: &str) -> Value {
    let message = json!({"role": "assistant", "content": words});
    match path {
        WATSONX => json!({"id": "chat-1", "model_id": "m", "created": 1, "model_version": "1.0.0",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}),
        GENERATION => {
            json!({"model_id": "m", "created_at": "2026-01-01T00:00:00.000Z", "results": [
            {"generated_text": words, "generated_token_count": 4, "input_token_count": 3, "stop_reason": "eos_token"}]})
        }
        DASHSCOPE => json!({"output": {"choices": [{"message": message, "finish_reason": "stop"}]},
            "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}, "request_id": "r-1"}),
        CLOUDFLARE => json!({"result": {"response": words,
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
            "success": true, "errors": [], "messages": []}),
        _ => json!({"model_instance_id": "m", "output": [{"type": "message", "content": words}],
            "stats": {"input_tokens": 3, "total_output_tokens": 4}, "response_id": "resp_1"}),
    }
}

const ALL: [&str; 5] = [WATSONX, GENERATION, DASHSCOPE, CLOUDFLARE, LMSTUDIO];

#[test]
fn each_endpoint_is_recognised_and_others_at_the_same_path_stay_what_they_were() {
    let messages = json!({"messages": []});
    let input = json!({"model": "m", "input": "hi"});
    for (path, body, expected) in [
        (WATSONX, &messages, "watsonx.text text.chat"),
        (
            "/ml/v1/text/chat_stream",
            &messages,
            "watsonx.text text.chat",
        ),
        (
            "/ml/v1/deployments/d-1/text/chat",
            &messages,
            "watsonx.text text.chat",
        ),
        (GENERATION, &input, "watsonx.text text.generation"),
        (
            "/ml/v1/text/generation_stream",
            &input,
            "watsonx.text text.generation",
        ),
        (
            "/ml/v1/text/embeddings",
            &input,
            "watsonx.text text.embeddings",
        ),
        ("/ml/v1/text/rerank", &input, "watsonx.text text.rerank"),
        (
            "/ml/v1/text/tokenization",
            &input,
            "watsonx.text text.tokenization",
        ),
        ("/text/embeddings", &input, "openai.embeddings embeddings"),
        (DASHSCOPE, &messages, "dashscope.generation generation"),
        (
            "/api/v1/services/aigc/multimodal-generation/generation",
            &messages,
            "dashscope.generation generation",
        ),
        (CLOUDFLARE, &messages, "cloudflare.run run"),
        (
            "/v1/a/g/workers-ai/@cf/meta/llama",
            &messages,
            "cloudflare.run run",
        ),
        (
            "/v1/a/g/workers-ai/run/@hf/x/y",
            &messages,
            "cloudflare.run run",
        ),
        (
            "/v1/a/g/workers-ai/v1/chat/completions",
            &messages,
            "openai.chat chat.completions",
        ),
        (LMSTUDIO, &input, "lmstudio.chat chat"),
        (LMSTUDIO, &messages, "openai.chat chat.completions"),
        (LMSTUDIO, &json!({"message": "hi"}), "cohere.v1 chat"),
        // Each server would read its own.
        (LMSTUDIO, &json!({"message": "hi", "input": "hi"}), "-"),
        (LMSTUDIO, &json!({"messages": [], "input": "hi"}), "-"),
        ("/v1/chat", &input, "-"),
    ] {
        assert_eq!(name(path, body), expected, "{path} {body}");
    }
}

#[test]
fn models_are_those_of_the_body_the_path_or_the_deployment() {
    let is = |path: &str, body: &Value, expected: &[&str]| {
        assert_eq!(
            models(path, body),
            (
                expected.iter().map(|name| (*name).to_owned()).collect(),
                false
            )
        );
    };
    is(WATSONX, &question(WATSONX, "hi"), &["m"]);
    is(GENERATION, &question(GENERATION, "hi"), &["m"]);
    is(
        "/ml/v1/deployments/d-1/text/chat",
        &json!({"messages": []}),
        &["d-1"],
    );
    is(DASHSCOPE, &question(DASHSCOPE, "hi"), &["m"]);
    is(
        CLOUDFLARE,
        &question(CLOUDFLARE, "hi"),
        &["@cf/meta/llama-3.3-70b-instruct-fp8-fast"],
    );
    is(LMSTUDIO, &question(LMSTUDIO, "hi"), &["m"]);
    for path in [WATSONX, DASHSCOPE, LMSTUDIO] {
        let mut body = question(path, "hi");
        body.as_object_mut().unwrap().remove("model");
        body.as_object_mut().unwrap().remove("model_id");
        assert_eq!(models(path, &body), (vec![], true), "{path}");
    }
}

#[test]
fn a_conversation_with_tools_is_read_in_each_envelope() {
    let tools = json!([{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]);
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
            "function": {"name": "find", "arguments": "{\"q\":1}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "found"},
    ]);
    let expected = [
        "message text",
        "message text",
        "tool_call find",
        "tool_result find",
        "tool_offer find",
        "request text",
    ];
    let chat = json!({"model_id": "m", "project_id": "p", "messages": messages, "tools": tools,
        "tool_choice_option": "auto", "time_limit": 1000, "max_tokens": 300});
    assert_eq!(asked(WATSONX, &chat), expected);
    let wrapped = json!({"model": "m", "input": {"messages": messages}, "parameters": {"tools": tools,
        "result_format": "message", "incremental_output": true, "max_tokens": 9}});
    assert_eq!(asked(DASHSCOPE, &wrapped), expected);
    let flat = json!([{"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}]);
    assert_eq!(
        asked(CLOUDFLARE, &json!({"messages": messages, "tools": flat})),
        expected
    );
    // The tools that the server runs: those that are listed, or any.
    let body = json!({"model": "m", "system_prompt": "Be brief.", "input": [
            {"type": "message", "content": "hi"}, {"type": "image", "data_url": "data:image/png;base64,iVBORw0KGgo="}],
        "integrations": ["mcp/files", {"type": "ephemeral_mcp", "server_label": "crm", "server_url": "https://crm.example/mcp",
            "allowed_tools": ["find"]}], "context_length": 8000, "store": false});
    assert_eq!(
        asked(LMSTUDIO, &body),
        [
            "message text",
            "message text",
            "uninspectable text",
            "tool_offer mcp/files*",
            "message name",
            "message other",
            "tool_offer mcp*",
            "request text",
        ]
    );
    let (_, reading) = asked_in(&routed(LMSTUDIO, &body).unwrap(), &body.to_string());
    let calls: Vec<&str> = reading
        .events
        .iter()
        .filter(|event| event.kind == Kind::ToolCall)
        .map(tool)
        .collect();
    assert_eq!(calls, ["mcp/files", "?", "mcp", "find"]);
    assert_eq!(reading.attachments.image, 1);
}

#[test]
fn a_prompt_a_search_and_embedded_texts_are_the_user_s() {
    for (path, body) in [
        (
            "/ml/v1/text/embeddings",
            json!({"model_id": "m", "project_id": "p", "inputs": ["one", "two"]}),
        ),
        (
            "/ml/v1/text/rerank",
            json!({"model_id": "m", "query": "one", "inputs": [{"text": "two"}]}),
        ),
        (
            GENERATION,
            json!({"model_id": "m", "input": "one",
            "parameters": {"decoding_method": "greedy", "max_new_tokens": 5, "prompt_variables": {"x": "two"}}}),
        ),
        (
            DASHSCOPE,
            json!({"model": "m", "input": {"prompt": "one", "history": [{"user": "two"}]}}),
        ),
        (CLOUDFLARE, json!({"prompt": "one", "lora": "two"})),
    ] {
        let sent = body.to_string();
        let (json, reading) = asked_in(&routed(path, &body).unwrap(), &sent);
        let found = all_texts(&json, &reading);
        for word in ["one", "two"] {
            assert!(
                found.iter().any(|text| text == word),
                "{word} in {body}: {found:?}"
            );
        }
        assert_eq!(codes(&reading), Vec::<&str>::new());
    }
    // A template that is deployed is not in the request.
    let body = json!({"parameters": {"prompt_variables": {"x": "one"}}});
    assert!(
        asked("/ml/v1/deployments/d/text/generation", &body)
            .contains(&"uninspectable text".to_owned())
    );
}

#[test]
fn pictures_and_films_in_dashscope_s_content_are_attachments() {
    let body = json!({"model": "qwen-vl-max", "input": {"messages": [{"role": "user", "content": [
        {"image": "https://x.example/a.png"}, {"video": ["https://x.example/1.jpg", "https://x.example/2.jpg"]},
        {"audio": "https://x.example/a.mp3"}, {"text": "What is this?"}]}]}});
    let path = "/api/v1/services/aigc/multimodal-generation/generation";
    let sent = body.to_string();
    let (json, reading) = asked_in(&routed(path, &body).unwrap(), &sent);
    assert_eq!(
        (reading.attachments.image, reading.attachments.audio),
        (1, 1)
    );
    let opaque = reading
        .events
        .iter()
        .filter(|event| event.kind == Kind::Uninspectable);
    assert_eq!(opaque.count(), 3);
    assert!(all_texts(&json, &reading).contains(&"https://x.example/2.jpg".to_owned()));
}

#[test]
fn an_answer_has_its_text_its_usage_and_its_model() {
    for path in ALL {
        let route = routed(path, &question(path, "hi")).unwrap();
        let body = answer(path, "Good morning").to_string();
        let (json, reading) = answered_in(&route, &body);
        assert_eq!(told(&reading), ["response text"], "{path}");
        let mut events = reading.events.iter();
        let said = events.find(|event| event.kind == Kind::Response).unwrap();
        assert_eq!(texts(said, &json, &reading), ["Good morning"]);
        let usage = (reading.usage.input_tokens, reading.usage.output_tokens);
        assert_eq!(usage, (Some(3), Some(4)), "{path}");
    }
}

#[test]
fn calls_and_results_in_answers_are_events() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "find", "arguments": "{\"q\":1}"}});
    let message = json!({"role": "assistant", "content": "", "tool_calls": [call]});
    let choices = json!([{"index": 0, "message": message, "finish_reason": "tool_calls"}]);
    let result =
        |result: Value| json!({"result": result, "success": true, "errors": [], "messages": []});
    for (path, body) in [
        (WATSONX, json!({"model_id": "m", "choices": choices})),
        (
            DASHSCOPE,
            json!({"output": {"choices": choices}, "request_id": "r"}),
        ),
        (CLOUDFLARE, result(json!({"choices": choices}))),
        (
            CLOUDFLARE,
            result(json!({"response": null, "tool_calls": [call]})),
        ),
        (
            CLOUDFLARE,
            result(
                json!({"response": null, "tool_calls": [{"name": "find", "arguments": {"q": 1}}]}),
            ),
        ),
    ] {
        let route = routed(path, &question(path, "hi")).unwrap();
        let (_, reading) = answered_in(&route, &body.to_string());
        assert!(
            told(&reading).contains(&"tool_call find".to_owned()),
            "{path}: {:?}",
            told(&reading)
        );
    }
    let ran = json!({"model_instance_id": "m", "output": [
        {"type": "reasoning", "content": "Need to look."},
        {"type": "tool_call", "tool": "find", "arguments": {"q": 1}, "output": "[{\"type\":\"text\",\"text\":\"found\"}]",
            "provider_info": {"type": "ephemeral_mcp", "server_label": "crm"}},
        {"type": "invalid_tool_call", "reason": "No such tool.", "metadata": {"type": "invalid_name", "tool_name": "x"}},
        {"type": "message", "content": "Here."}], "stats": {"input_tokens": 1, "total_output_tokens": 2}});
    let route = routed(LMSTUDIO, &question(LMSTUDIO, "hi")).unwrap();
    let (_, reading) = answered_in(&route, &ran.to_string());
    assert_eq!(
        told(&reading),
        [
            "response reasoning",
            "tool_call find*",
            "response other",
            "tool_result find*",
            "response other",
            "response other",
            "response text",
        ]
    );
    let result = reading
        .events
        .iter()
        .find(|event| event.kind == Kind::ToolResult)
        .unwrap();
    assert!(matches!(result.result, Known::Is(_)));
    // Responses, as Workers AI serves some models.
    let asked = json!({"input": "hi", "instructions": "Be brief."});
    let answered = json!({"result": {"id": "resp_1", "object": "response", "output": [{"type": "message", "id": "m",
        "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Good", "annotations": []}]}]},
        "success": true, "errors": [], "messages": []});
    let seen = exchange(
        &guard(
            "rules:\n  - { id: x, match: { event: response }, when: { text: { contains: Good } }, action: deny, reason: No. }\n",
        ),
        &sent(
            "POST",
            "api.cloudflare.com",
            CLOUDFLARE,
            &[],
            &asked.to_string(),
        ),
        &received("200", &answered.to_string()),
    );
    assert!(!String::from_utf8_lossy(&seen.client.body()).contains("Good"));
    assert_eq!(
        asked_events(CLOUDFLARE, &asked),
        ["message text", "message text", "request text"]
    );
}

fn asked_events(path: &str, body: &Value) -> Vec<String> {
    let mut told = asked(path, body);
    told.sort();
    told
}

#[test]
fn nothing_that_the_model_or_the_client_sees_is_unread() {
    let secret = "the hidden word";
    for path in ALL {
        let mut places = vec![question(path, "hi"), question(path, "hi")];
        places[0]["zz"] = json!({"deep": [secret]});
        match path {
            DASHSCOPE => {
                places[1]["parameters"]["zz"] = json!(secret);
                let mut inside = question(path, "hi");
                inside["input"]["zz"] = json!([secret]);
                places.push(inside);
            }
            LMSTUDIO => {
                places[1]["input"] = json!([{"type": "message", "content": "hi", "zz": secret}]);
                let mut headers = question(path, "hi");
                headers["integrations"] = json!([{"type": "ephemeral_mcp", "server_label": "l", "server_url": "https://x",
                    "headers": {"x": secret}}]);
                places.push(headers);
            }
            GENERATION => places[1]["parameters"] = json!({"zz": secret}),
            _ => places[1]["messages"][0]["zz"] = json!(secret),
        }
        for body in places {
            let sent = body.to_string();
            let (json, reading) = asked_in(&routed(path, &body).unwrap(), &sent);
            let found = all_texts(&json, &reading);
            assert!(found.iter().any(|text| text.contains(secret)), "{body}");
        }
        let route = routed(path, &question(path, "hi")).unwrap();
        for at in [
            "",
            "/output",
            "/output/choices/0",
            "/output/0",
            "/results/0",
            "/result",
            "/choices/0/message",
        ] {
            let mut body = answer(path, "hi");
            let Some(Value::Object(holder)) = body.pointer_mut(at) else {
                continue;
            };
            holder.insert("zz".to_owned(), json!({"deep": [secret]}));
            let sent = body.to_string();
            let (json, reading) = answered_in(&route, &sent);
            let found = all_texts(&json, &reading);
            assert!(found.iter().any(|text| text.contains(secret)), "{body}");
        }
    }
}

#[test]
fn what_two_servers_would_read_differently_is_refused() {
    for (path, body) in [
        (WATSONX, json!({"model_id": "m"})),
        (DASHSCOPE, json!({"model": "m", "input": "c2VjcmV0"})),
        (
            DASHSCOPE,
            json!({"model": "m", "input": {}, "parameters": {"messages": []}}),
        ),
        (LMSTUDIO, json!({"model": "m", "input": {"content": "hi"}})),
        (LMSTUDIO, json!({"model": "m", "input": null})),
        (
            LMSTUDIO,
            json!({"model": "m", "input": "hi", "integrations": "mcp/files"}),
        ),
    ] {
        assert!(refused(path, &body).contains(&"AG2001"), "{body}");
    }
    let body = json!({"model": "m", "input": "hi", "Integrations": ["mcp/files"]});
    assert_eq!(refused(LMSTUDIO, &body), ["AG2002"]);
}

#[test]
fn a_redaction_leaves_the_envelope_as_it_was() {
    let rules = "rules:
  - { id: ask, match: { event: message }, when: { text: { detects: email } }, action: redact }
  - { id: say, match: { event: response }, when: { text: { detects: email } }, action: redact }
";
    for path in ALL {
        let words = "write to anna@example.com today";
        let request = sent("POST", "x", path, &[], &question(path, words).to_string());
        let seen = exchange(
            &guard(rules),
            &request,
            &received("200", &answer(path, words).to_string()),
        );
        let redacted = "write to [EMAIL] today";
        assert_eq!(
            json(&seen.upstream.unwrap()),
            question(path, redacted),
            "{path}"
        );
        assert_eq!(json(&seen.client), answer(path, redacted), "{path}");
    }
}

#[test]
fn a_denied_call_is_taken_out_and_a_text_says_so() {
    let rules = "rules:
  - { id: no-wiping, match: { tool: wipe }, when: { in: response }, action: deny, reason: No wiping. }
";
    let call = |name: &str| json!({"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}});
    let got = |path: &str, body: &Value| {
        let request = sent("POST", "x", path, &[], &question(path, "hi").to_string());
        json(&exchange(&guard(rules), &request, &received("200", &body.to_string())).client)
    };
    let choices = |message: Value, finish: &str| json!([{"index": 0, "message": message, "finish_reason": finish}]);
    let both =
        json!({"role": "assistant", "content": "", "tool_calls": [call("wipe"), call("find")]});
    let left = json!({"role": "assistant", "content": "No wiping.", "tool_calls": [call("find")]});
    let alone = json!({"role": "assistant", "content": "", "tool_calls": [call("wipe")]});
    let none = json!({"role": "assistant", "content": "No wiping."});
    for (before, after, finish) in [(both, left, "tool_calls"), (alone, none, "stop")] {
        let chat = |message: &Value, finish: &str| json!({"model_id": "m", "choices": choices(message.clone(), finish)});
        assert_eq!(
            got(WATSONX, &chat(&before, "tool_calls")),
            chat(&after, finish)
        );
        let wrapped = |message: &Value, finish: &str| json!({"output": {"choices": choices(message.clone(), finish)}, "request_id": "r"});
        assert_eq!(
            got(DASHSCOPE, &wrapped(&before, "tool_calls")),
            wrapped(&after, finish)
        );
    }
    let result = |response: Value, calls: Value| json!({"result": {"response": response, "tool_calls": calls}, "success": true, "errors": [], "messages": []});
    let flat = |name: &str| json!({"name": name, "arguments": {}});
    assert_eq!(
        got(
            CLOUDFLARE,
            &result(Value::Null, json!([flat("wipe"), flat("find")]))
        ),
        result(json!("No wiping."), json!([flat("find")]))
    );
    assert_eq!(
        got(CLOUDFLARE, &result(json!("So:"), json!([call("wipe")]))),
        result(json!("So:\n\nNo wiping."), json!([]))
    );
    // LM Studio has run the tool already: nothing of the answer arrives.
    let ran = json!({"model_instance_id": "m", "output": [
        {"type": "tool_call", "tool": "wipe", "arguments": {}, "output": "gone", "provider_info": {"type": "plugin", "plugin_id": "p"}},
        {"type": "message", "content": "Done."}], "stats": {}});
    let told = got(LMSTUDIO, &ran);
    assert_eq!(
        told["output"],
        json!([{"type": "message", "content": "No wiping."}])
    );
}

#[test]
fn a_denial_has_the_form_that_the_provider_s_clients_read() {
    let rules = "rules:
  - { id: fish, match: { event: message }, when: { text: { contains: swordfish } }, action: deny, reason: Not here. }
";
    for (path, at) in [
        (WATSONX, "/errors/0/message"),
        (GENERATION, "/errors/0/message"),
        (DASHSCOPE, "/message"),
        (CLOUDFLARE, "/errors/0/message"),
        (LMSTUDIO, "/error/message"),
    ] {
        let request = sent(
            "POST",
            "x",
            path,
            &[],
            &question(path, "swordfish").to_string(),
        );
        let seen = exchange(&guard(rules), &request, &received("200", "{}"));
        assert_eq!(seen.client.status(), Some(400), "{path}");
        let told = json(&seen.client);
        assert_eq!(told.pointer(at), Some(&json!("Not here.")), "{told}");
        let details = told
            .get("agentguard")
            .unwrap_or(&told["error"]["agentguard"]);
        assert_eq!(details["rule"], "fish", "{told}");
    }
}

#[test]
fn a_denied_text_of_an_answer_does_not_arrive() {
    let rules = "rules:
  - { id: fish, match: { event: response }, when: { text: { contains: swordfish } }, action: deny, reason: Not here. }
";
    for policy in [
        rules.to_owned(),
        format!("envoy: {{ headers: hold }}\n{rules}"),
    ] {
        for path in ALL {
            let request = sent("POST", "x", path, &[], &question(path, "hi").to_string());
            let reply = received("200", &answer(path, "a swordfish").to_string());
            let seen = exchange(&guard(&policy), &request, &reply);
            let told = json(&seen.client).to_string();
            assert!(
                told.contains("Not here.") && !told.contains("swordfish"),
                "{told}"
            );
        }
    }
}

#[test]
fn a_stream_that_repeats_its_text_is_refused_where_a_rule_looks_at_it() {
    let rules = "rules:
  - { id: say, match: { event: response }, when: { text: { detects: email } }, action: redact }
";
    let words = "data: {\"output\":{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"null\"}]}}\n\n";
    let text = "data: {\"output\":{\"text\":\"hi\",\"finish_reason\":\"null\"}}\n\n";
    for (parameters, body, is_read) in [
        (json!({}), words, false),
        (json!({"incremental_output": false}), words, false),
        (json!({"incremental_output": true}), text, false),
        (json!({"incremental_output": true}), words, true),
    ] {
        let asked = json!({"model": "m", "input": {"messages": [{"role": "user", "content": "hi"}]}, "parameters": parameters});
        let request = sent(
            "POST",
            "x",
            DASHSCOPE,
            &[("x-dashscope-sse", "enable")],
            &asked.to_string(),
        );
        let reply = super::HttpMessage::new(
            &[(":status", "200"), ("content-type", "text/event-stream")],
            body.as_bytes(),
        );
        let seen = exchange(&guard(rules), &request, &reply);
        let told = String::from_utf8_lossy(&seen.client.body()).into_owned();
        assert_eq!(told == body, is_read, "{asked}: {told}");
        let record: Value = serde_json::from_slice(&seen.finished.line).unwrap();
        assert_eq!(
            record["code"],
            if is_read {
                Value::Null
            } else {
                json!("AG2014")
            }
        );
    }
}

#[test]
fn triton_s_text_is_that_of_its_model() {
    let path = "/v2/models/llama/generate";
    let body = json!({"text_input": "hi", "parameters": {"max_tokens": 20, "stream": false}});
    let route = routed(path, &body).unwrap();
    assert_eq!(asked(path, &body), ["message text", "request text"]);
    let answered =
        json!({"model_name": "llama", "model_version": "1", "text_output": "Good"}).to_string();
    let (_, reading) = answered_in(&route, &answered);
    assert_eq!(told(&reading), ["response text"]);
    assert!(reading.events.iter().all(|event| event.part == Part::Text));
}

#[test]
fn agents_at_databricks_and_perplexity_speak_responses() {
    let path = "/serving-endpoints/agent/invocations";
    let messages = json!({"input": [{"role": "user", "content": "hi"}], "stream": true});
    assert_eq!(name(path, &messages), "openai.responses responses");
    assert_eq!(models(path, &messages), (vec!["agent".to_owned()], false));
    assert_eq!(asked(path, &messages), ["message text", "request text"]);
    for embedded in [json!("hi"), json!(["hi"]), json!([{"text": "hi"}])] {
        let body = json!({ "input": embedded });
        assert_eq!(name(path, &body), "openai.embeddings embeddings");
    }
    // Its events have no numbers of items.
    let rules = "rules:
  - { id: say, match: { event: response }, when: { text: { detects: email } }, action: redact }
";
    let item = |text: &str| {
        json!({"type": "response.output_item.done", "item": {"type": "message", "id": "m1", "role": "assistant",
            "content": [{"type": "output_text", "text": text}]}})
    };
    let events = [
        json!({"type": "response.output_text.delta", "item_id": "m1", "delta": "write to anna@exam"}),
        json!({"type": "response.output_text.delta", "item_id": "m1", "delta": "ple.com now"}),
        item("write to anna@example.com now"),
    ];
    let body: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    let reply = super::HttpMessage::new(
        &[(":status", "200"), ("content-type", "text/event-stream")],
        format!("{body}data: [DONE]\n\n").as_bytes(),
    );
    let request = sent("POST", "x", path, &[], &messages.to_string());
    let seen = exchange(&guard(rules), &request, &reply);
    let told = String::from_utf8_lossy(&seen.client.body()).into_owned();
    assert!(
        !told.contains("anna") && told.contains("write to [EMAIL] now"),
        "{told}"
    );
    let record: Value = serde_json::from_slice(&seen.finished.line).unwrap();
    assert_eq!(record["decision"], "redact", "{record}");

    let at = |host: &str| {
        let path = Path::parse("/v1/agent");
        let head = RouteHead {
            method: "POST",
            host,
            path: &path,
            headers: &[],
        };
        matches!(protocol::recognise(&head), Recognised::Protocol(_))
    };
    assert!(at("api.perplexity.ai") && !at("agents.example"));
}

#[test]
fn an_application_of_dify_has_the_model_and_runs_the_tools() {
    let path = "/v1/chat-messages";
    let body = json!({"query": "one", "inputs": {"city": "two"}, "user": "three", "response_mode": "blocking", "conversation_id": "c",
        "files": [{"type": "image", "transfer_method": "remote_url", "url": "https://x.example/four"}], "zz": ["five"]});
    let sent_body = body.to_string();
    let (nest, reading) = asked_in(&routed(path, &body).unwrap(), &sent_body);
    let found = all_texts(&nest, &reading);
    for word in ["one", "two", "three", "https://x.example/four", "five"] {
        assert!(found.iter().any(|text| text == word), "{word} in {found:?}");
    }
    assert!(reading.models.unknown && reading.attachments.image == 1 && !reading.stream);
    for path in [
        "/v1/completion-messages",
        "/v1/workflows/run",
        "/v1/workflows/w-1/run",
        "/v1/chat-messages/t/stop",
    ] {
        assert!(name(path, &body).starts_with("dify "), "{path}");
    }

    // Arguments are under the name of their tool.
    let thought = json!({"event": "agent_thought", "thought": "So", "tool": "wipe", "tool_input": "{\"wipe\":{\"all\":true}}",
        "observation": "gone"});
    let rules = "rules:
  - { id: wipe, match: { tool: wipe }, when: { args.all: { equals: true } }, action: deny, reason: No wiping. }
";
    let asked = json!({"query": "hi", "inputs": {}, "response_mode": "blocking"});
    let got = |answered: &Value| {
        let request = sent("POST", "x", path, &[], &asked.to_string());
        json(
            &exchange(
                &guard(rules),
                &request,
                &received("200", &answered.to_string()),
            )
            .client,
        )
    };
    assert_eq!(got(&thought)["answer"], "No wiping.");
    let mut other = thought.clone();
    other["tool_input"] = json!("{\"wipe\":{\"all\":false}}");
    assert_eq!(got(&other), other);
    // Arguments for which no tool is named may be for any.
    for tool in [Value::Null, json!("")] {
        for input in [json!("unknown"), json!({"all": true})] {
            let told = json!({"event": "agent_thought", "answer": "So", "tool": tool, "tool_input": input});
            assert_eq!(got(&told)["answer"], "No wiping.", "{told}");
        }
        for input in [json!({"all": false}), json!("")] {
            let told = json!({"event": "agent_thought", "answer": "So", "tool": tool, "tool_input": input});
            assert_eq!(got(&told), told);
        }
    }

    // Outputs of a workflow, and the text that it tells while it runs.
    let run = json!({"workflow_run_id": "w", "task_id": "t", "data": {"id": "w", "status": "succeeded",
        "outputs": {"text": "Good"}, "total_tokens": 7}});
    let route = routed("/v1/workflows/run", &asked).unwrap();
    let run = run.to_string();
    let (nest, reading) = answered_in(&route, &run);
    assert!(all_texts(&nest, &reading).contains(&"Good".to_owned()));
}

/// A streamed answer, as a client gets it, and the code of its record.
fn streamed(rules: &str, path: &str, question: &Value, events: &[Value]) -> (String, Value) {
    let mut body: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    if path == CLOUDFLARE {
        body.push_str("data: [DONE]\n\n");
    }
    let reply = super::HttpMessage::new(
        &[(":status", "200"), ("content-type", "text/event-stream")],
        body.as_bytes(),
    );
    let request = sent("POST", "x", path, &[], &question.to_string());
    let seen = exchange(&guard(rules), &request, &reply);
    let record: Value = serde_json::from_slice(&seen.finished.line).unwrap();
    let told = String::from_utf8_lossy(&seen.client.body()).into_owned();
    (told, record["code"].clone())
}

#[test]
fn a_call_or_a_text_that_only_a_repetition_has_is_found() {
    let rules = "rules:
  - { id: wipe, match: { tool: wipe }, when: { in: response }, action: deny, reason: No wiping. }
  - { id: fish, match: { event: [response, tool_result] }, when: { text: { contains: swordfish } }, action: deny, reason: Not here. }
";
    let asked = json!({"model": "m", "stream": true, "input": "hi"});
    let info = json!({"type": "plugin", "plugin_id": "p"});
    let start = json!({"type": "tool_call.start", "tool": "find", "provider_info": info});
    let arguments = json!({"type": "tool_call.arguments", "tool": "find", "arguments": {}, "provider_info": info});
    let success = |tool: &str, output: &str| json!({"type": "tool_call.success", "tool": tool, "arguments": {}, "output": output, "provider_info": info});
    let end = |output: Value| json!({"type": "chat.end", "result": {"model_instance_id": "m", "output": output, "stats": {}}});
    let call = |tool: &str, output: &str| json!({"type": "tool_call", "tool": tool, "arguments": {}, "output": output});
    let said = |text: &str| json!({"type": "message", "content": text});
    for (events, code) in [
        (
            vec![
                start.clone(),
                arguments.clone(),
                success("find", "found"),
                end(json!([call("find", "found")])),
            ],
            Value::Null,
        ),
        (vec![success("wipe", "gone")], json!("AG3001")),
        (
            vec![start.clone(), arguments.clone(), success("wipe", "gone")],
            json!("AG3001"),
        ),
        (
            vec![start.clone(), success("wipe", "gone")],
            json!("AG2014"),
        ),
        (
            vec![
                arguments.clone(),
                json!({"type": "tool_call.arguments", "tool": "wipe", "arguments": {}}),
            ],
            json!("AG3001"),
        ),
        (vec![end(json!([call("wipe", "gone")]))], json!("AG3001")),
        (vec![end(json!([said("a swordfish")]))], json!("AG3001")),
        (
            vec![start, arguments, success("find", "a swordfish")],
            json!("AG3001"),
        ),
        (
            vec![end(json!([call("find", "a swordfish")]))],
            json!("AG3001"),
        ),
        (
            vec![json!({"type": "tool_call.failure", "reason": "a swordfish", "metadata": {}})],
            json!("AG3001"),
        ),
        (
            vec![
                json!({"type": "message.delta", "text": "a sword"}),
                json!({"type": "message.delta", "text": "fish"}),
            ],
            json!("AG3001"),
        ),
    ] {
        let (told, found) = streamed(rules, LMSTUDIO, &asked, &events);
        assert_eq!(found, code, "{events:?}: {told}");
        assert!(
            !told.contains("swordfish") && !told.contains("gone"),
            "{told}"
        );
    }
}

#[test]
fn calls_without_a_function_around_them_are_read_in_streams_too() {
    let rules = "rules:
  - { id: clean, match: { tool: wipe }, when: { in: response }, action: deny, reason: No wiping. }
";
    let asked = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let calls = |calls: Value| json!({ "tool_calls": calls });
    let flat = |name: &str| json!({"name": name, "arguments": {"a": 1}});
    for (events, code) in [
        (
            vec![calls(json!([flat("find")])), calls(json!([flat("find")]))],
            Value::Null,
        ),
        (
            vec![calls(json!([flat("find")])), calls(json!([flat("wipe")]))],
            json!("AG3001"),
        ),
        (
            vec![calls(json!([flat("find"), flat("wipe")]))],
            json!("AG3001"),
        ),
        (
            vec![
                calls(json!([{"index": 0, "name": "wi", "arguments": ""}])),
                calls(json!([{"index": 0, "name": "pe", "arguments": "{}"}])),
            ],
            json!("AG3001"),
        ),
        (
            vec![json!({"response": 4111}), json!({"response": 1111})],
            json!("AG2014"),
        ),
        (
            vec![
                json!({"response": "So", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c",
            "function": {"name": "wipe", "arguments": "{}"}}]}}]}),
            ],
            json!("AG3001"),
        ),
    ] {
        let mut events = events;
        events.push(json!({"response": ""}));
        let (told, found) = streamed(rules, CLOUDFLARE, &asked, &events);
        assert_eq!(found, code, "{events:?}: {told}");
        assert!(!told.contains("wipe"), "{told}");
    }
}
