//! Requests that maintain a session with a server, and the related lists.

use super::*;

/// Allow-list as people write it for an MCP server.
const ALLOW_LIST: &str = "defaults: { action: deny, tool_offer: hide }
rules:
  - { id: search, match: { tool: search }, action: allow }
";

fn post(message: &Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/mcp"),
            (":authority", "tools.example.com"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2025-11-25"),
        ],
        message.to_string().as_bytes(),
    )
}

fn ask(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn answers(result: Value) -> HttpMessage {
    let body = json!({"jsonrpc": "2.0", "id": 1, "result": result});
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

fn offers() -> Value {
    json!({"tools": [
        {"name": "search", "inputSchema": {"type": "object"}},
        {"name": "drop_table", "inputSchema": {"type": "object"}},
    ]})
}

#[test]
fn an_inspector_works_under_an_allow_list() {
    in_both_modes(ALLOW_LIST, |guard, _| {
        // In the order of MCP Inspector: connecting, then the buttons that need only the connection.
        for (method, params, result) in [
            (
                "initialize",
                json!({"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}, "roots": {"listChanged": true}},
                       "clientInfo": {"name": "inspector-client", "version": "0.17.0"}}),
                json!({"protocolVersion": "2025-11-25", "capabilities": {"logging": {}, "tools": {}},
                       "serverInfo": {"name": "s", "version": "1"}}),
            ),
            ("logging/setLevel", json!({"level": "debug"}), json!({})),
            ("ping", json!({}), json!({})),
            (
                "tools/list",
                json!({"_meta": {"progressToken": 1}}),
                offers(),
            ),
            ("resources/list", json!({}), json!({"resources": []})),
            (
                "resources/templates/list",
                json!({}),
                json!({"resourceTemplates": []}),
            ),
            (
                "resources/subscribe",
                json!({"uri": "file:///a"}),
                json!({}),
            ),
            (
                "resources/unsubscribe",
                json!({"uri": "file:///a"}),
                json!({}),
            ),
            ("prompts/list", json!({}), json!({"prompts": []})),
            (
                "completion/complete",
                json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}}),
                json!({"completion": {"values": ["b"]}}),
            ),
            ("tasks/list", json!({}), json!({"tasks": []})),
        ] {
            let seen = exchange(guard, &post(&ask(method, params)), answers(result));
            assert!(seen.upstream_complete, "{method}");
            assert!(client_json(&seen)["error"].is_null(), "{method}");
            assert_ne!(record(&seen)["decision"], "deny", "{method}");
        }
        // Requests with content follow the policy.
        for (method, params) in [
            ("prompts/get", json!({"name": "p"})),
            ("resources/read", json!({"uri": "file:///a"})),
            ("tools/call", json!({"name": "drop_table", "arguments": {}})),
        ] {
            let seen = exchange(guard, &post(&ask(method, params)), answers(json!({})));
            assert!(!seen.upstream_complete, "{method}");
            assert_eq!(record(&seen)["decision"], "deny", "{method}");
        }
    });
}

#[test]
fn a_rule_on_a_method_still_denies_session_requests() {
    let policy = "defaults: { action: allow }
rules:
  - { id: no-watching, match: { event: request, method: 'resources/*subscribe' }, action: deny }
  - { id: quiet, match: { event: message }, when: { text: { contains: swan } }, action: deny }
";
    in_both_modes(policy, |guard, _| {
        for (method, params) in [
            ("resources/subscribe", json!({"uri": "x"})),
            ("resources/unsubscribe", json!({"uri": "x"})),
            (
                "completion/complete",
                json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "swan"}}),
            ),
        ] {
            let seen = exchange(guard, &post(&ask(method, params)), answers(json!({})));
            assert!(!seen.upstream_complete, "{method}");
        }
    });
}

#[test]
fn a_list_with_hidden_tools_is_recorded_as_edited_and_not_as_denied() {
    let by_rule = "defaults: { action: allow }
rules:
  - { id: hidden, match: { event: tool_offer, tool: 'drop_*' }, action: deny, on_deny: hide }
";
    for policy in [ALLOW_LIST, by_rule] {
        in_both_modes(policy, |guard, hold| {
            let list = post(&ask("tools/list", json!({})));
            let seen = exchange(guard, &list, answers(offers()));
            let tools = &client_json(&seen)["result"]["tools"];
            assert_eq!(tools.as_array().map(Vec::len), Some(1));
            let line = record(&seen);
            assert_eq!(line["decision"], "redact");
            assert_eq!(line.get("code"), None);
            assert_eq!(line.get("would"), None);
            for rule in line["rules"].as_array().unwrap_or(&Vec::new()) {
                assert_eq!(rule["action"], "redact");
            }
            let says = seen.client.header("x-agentguard-decision");
            assert_eq!(says, hold.then_some(&b"redact"[..]));
            assert_eq!(seen.client.header("x-agentguard-code"), None);
            // Without a hidden tool, the decision is `allow`.
            let plain = exchange(guard, &list, answers(json!({"tools": []})));
            assert_eq!(record(&plain)["decision"], "allow");
        });
    }
}

#[test]
fn a_streamed_list_with_hidden_tools_is_recorded_alike() {
    let guard = guard(ALLOW_LIST);
    let frame = json!({"jsonrpc": "2.0", "id": 1, "result": offers()});
    let stream = HttpMessage::new(
        &[(":status", "200"), ("content-type", "text/event-stream")],
        format!("event: message\ndata: {frame}\n\n").as_bytes(),
    );
    let seen = exchange(&guard, &post(&ask("tools/list", json!({}))), stream);
    assert!(!String::from_utf8_lossy(&seen.client.body()).contains("drop_table"));
    assert_eq!(record(&seen)["decision"], "redact");
    assert_eq!(record(&seen).get("code"), None);
}

#[test]
fn a_list_that_is_denied_as_a_whole_is_a_denial() {
    let policy = "defaults: { action: allow }
rules:
  - { id: never, match: { event: tool_offer, tool: 'drop_*' }, action: deny, on_deny: error }
";
    in_both_modes(policy, |guard, _| {
        let list = post(&ask("tools/list", json!({})));
        let seen = exchange(guard, &list, answers(offers()));
        assert_eq!(record(&seen)["decision"], "deny");
        assert_eq!(record(&seen)["code"], "AG3001");
    });
}

#[test]
fn an_observed_tool_that_would_be_hidden_would_be_an_edit() {
    let guard = guard(&format!("mode: observe\n{ALLOW_LIST}"));
    let list = post(&ask("tools/list", json!({})));
    let seen = exchange(&guard, &list, answers(offers()));
    assert_eq!(record(&seen)["decision"], "allow");
    assert_eq!(record(&seen)["would"], "redact");
}

/// Returns a request without a body.
fn get(method: &str, host: &str, path: &str) -> HttpMessage {
    let headers = [(":method", method), (":path", path), (":authority", host)];
    HttpMessage::new(&headers, b"")
}

fn tell(host: &str, path: &str, body: &Value) -> HttpMessage {
    let headers = [
        (":method", "POST"),
        (":path", path),
        (":authority", host),
        ("content-type", "application/json"),
    ];
    HttpMessage::new(&headers, body.to_string().as_bytes())
}

const LISTS: [(&str, &str); 30] = [
    ("api.openai.com", "/v1/models"),
    ("api.openai.com", "/v1/models/gpt-4o"),
    ("api.openai.com", "/v1/organization/costs?start_time=1"),
    ("api.openai.com", "/v1/organization/usage/completions"),
    ("api.anthropic.com", "/api/hello"),
    ("openrouter.ai", "/api/v1/key"),
    ("openrouter.ai", "/v1/key"),
    ("openrouter.ai", "/v1/credits"),
    ("openrouter.ai", "/api/v1/auth/key"),
    ("litellm.internal", "/v1/model/info"),
    ("litellm.internal", "/model/info"),
    ("litellm.internal", "/model_group/info"),
    ("litellm.internal", "/health/liveliness"),
    ("llama.internal", "/props"),
    ("llama.internal", "/health"),
    (
        "x.openai.azure.com",
        "/openai/deployments?api-version=2022-12-01",
    ),
    (
        "x.openai.azure.com",
        "/openai/models?api-version=2024-10-21",
    ),
    ("bedrock.us-east-1.amazonaws.com", "/foundation-models"),
    ("bedrock.us-east-1.amazonaws.com", "/inference-profiles"),
    ("api.deepseek.com", "/user/balance"),
    ("api.x.ai", "/v1/language-models"),
    ("api.x.ai", "/v1/image-generation-models/grok-2-image"),
    ("x.services.ai.azure.com", "/models/info"),
    ("openrouter.ai", "/api/v1/endpoints/zdr"),
    ("litellm.internal", "/key/info"),
    ("sglang.internal", "/get_server_info"),
    ("sglang.internal", "/model_info"),
    ("llama.internal", "/lora-adapters"),
    ("chatgpt.com", "/backend-api/wham/usage"),
    ("generativelanguage.googleapis.com", "/v1beta/models"),
];

#[test]
fn lists_and_states_are_known_and_pass_where_something_could_be_allowed() {
    let allow_list = guard(
        "defaults: { action: deny }
rules:
  - { id: chat, match: { event: request, model: 'gpt-4o*', path: '/v1/chat/*', protocol: openai.chat }, action: allow }
",
    );
    let elsewhere = guard(
        "defaults: { action: deny }
rules:
  - { id: chat, match: { event: request, host: nowhere.example }, action: allow }
",
    );
    let nothing = guard("defaults: { action: deny }\n");
    for (host, path) in LISTS {
        for method in ["GET", "HEAD"] {
            let asked = get(method, host, path);
            let decided =
                |guard: &Rc<Guard>| record(&exchange(guard, &asked, hello()))["decision"].clone();
            assert_eq!(decided(&guard(ALLOW)), "allow", "{method} {host}{path}");
            assert_eq!(decided(&allow_list), "allow", "{method} {host}{path}");
            assert_eq!(decided(&elsewhere), "deny", "{method} {host}{path}");
            assert_eq!(decided(&nothing), "deny", "{method} {host}{path}");
        }
    }
    let preflight = get("OPTIONS", "api.openai.com", "/v1/chat/completions");
    assert_eq!(
        record(&exchange(&allow_list, &preflight, hello()))["decision"],
        "allow"
    );
}

#[test]
fn content_that_is_uploaded_to_a_provider_is_read() {
    let policy = "defaults: { action: allow }
rules:
  - { id: word, match: { event: message }, when: { text: { contains: forbidden } }, action: deny }
  - { id: mail, match: { event: [message, response] }, when: { text: { detects: email } }, action: redact }
  - { id: model, match: { model: secret-model }, action: deny }
";
    type Told = fn(&str) -> Value;
    let told: [(&str, &str, Told); 20] = [
        (
            "api.openai.com",
            "/v1/traces/ingest",
            |text| json!({"data": [{"object": "trace.span", "span_data": {"type": "generation", "input": [{"role": "user", "content": text}]}}]}),
        ),
        (
            "api.anthropic.com",
            "/api/event_logging/batch",
            |text| json!({"events": [{"event_type": "x", "event_data": {"additional": text}}]}),
        ),
        (
            "api.openai.com",
            "/v1/evals",
            |text| json!({"name": text, "data_source_config": {"type": "custom"}, "testing_criteria": []}),
        ),
        (
            "api.openai.com",
            "/v1/evals/e1/runs",
            |text| json!({"data_source": {"type": "completions", "model": "gpt-4o", "input_messages": {"template": [{"role": "user", "content": text}]}}}),
        ),
        (
            "api.openai.com",
            "/v1/fine_tuning/alpha/graders/run",
            |text| json!({"grader": {"type": "string_check", "input": text}, "model_sample": "x"}),
        ),
        (
            "chatgpt.com",
            "/backend-api/codex/analytics-events/events",
            |text| json!({"events": [{"name": text}]}),
        ),
        (
            "api.perplexity.ai",
            "/search",
            |text| json!({"query": text, "max_results": 3}),
        ),
        (
            "api.perplexity.ai",
            "/async/chat/completions",
            |text| json!({"request": {"model": "sonar", "messages": [{"role": "user", "content": text}]}}),
        ),
        (
            "litellm.internal",
            "/v1/search/tavily",
            |text| json!({"query": text}),
        ),
        (
            "litellm.internal",
            "/utils/token_counter",
            |text| json!({"model": "m", "messages": [{"role": "user", "content": text}]}),
        ),
        (
            "api.x.ai",
            "/v1/documents/search",
            |text| json!({"query": text}),
        ),
        (
            "api.x.ai",
            "/v1/tokenize-text",
            |text| json!({"model": "m", "text": text}),
        ),
        ("tei.internal", "/embed", |text| json!({"inputs": text})),
        (
            "tei.internal",
            "/embed_sparse",
            |text| json!({"inputs": ["x", text]}),
        ),
        (
            "tei.internal",
            "/similarity",
            |text| json!({"inputs": {"source_sentence": "x", "sentences": ["y", text]}}),
        ),
        (
            "tgi.internal",
            "/chat_tokenize",
            |text| json!({"messages": [{"role": "user", "content": text}]}),
        ),
        (
            "sglang.internal",
            "/encode",
            |text| json!({"model": "m", "text": text}),
        ),
        (
            "api.voyageai.com",
            "/v1/multimodalembeddings",
            |text| json!({"model": "m", "inputs": [{"content": [{"type": "text", "text": text}]}]}),
        ),
        (
            "api.voyageai.com",
            "/v1/contextualizedembeddings",
            |text| json!({"model": "m", "inputs": [["x", text]]}),
        ),
        (
            "llama.internal",
            "/reranking",
            |text| json!({"model": "m", "query": "x", "documents": [text]}),
        ),
    ];
    in_both_modes(policy, |guard, _| {
        for (host, path, body) in told {
            let seen = exchange(
                guard,
                &tell(host, path, &body("a forbidden word")),
                answers(json!({})),
            );
            assert_eq!(record(&seen)["code"], "AG3001", "{path}");
            let seen = exchange(
                guard,
                &tell(host, path, &body("jane@example.com")),
                answers(json!({})),
            );
            let upstream = String::from_utf8(seen.upstream.clone().unwrap().body()).unwrap();
            assert!(upstream.contains("[EMAIL]"), "{path}: {upstream}");
            let seen = exchange(guard, &tell(host, path, &body("hi")), answers(json!({})));
            assert_eq!(record(&seen)["decision"], "allow", "{path}");
            assert_eq!(record(&seen)["coverage"]["level"], "full", "{path}");
        }
        let run = json!({"data_source": {"type": "completions", "model": "secret-model"}});
        let seen = exchange(
            guard,
            &tell("api.openai.com", "/v1/evals/e1/runs", &run),
            answers(json!({})),
        );
        assert_eq!(record(&seen)["decision"], "deny");
        // The document's text is in the response, where it is evaluated.
        let ocr = json!({"model": "mistral-ocr-latest", "document": {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERi0="}});
        let pages = json!({"pages": [{"index": 0, "markdown": "Write to jane@example.com", "images": [{"id": "i", "image_base64": "data:image/png;base64,AAAA"}]}], "model": "mistral-ocr"});
        let answer = HttpMessage::new(
            &[(":status", "200"), ("content-type", "application/json")],
            pages.to_string().as_bytes(),
        );
        let seen = exchange(guard, &tell("api.mistral.ai", "/v1/ocr", &ocr), answer);
        assert_eq!(
            client_json(&seen)["pages"][0]["markdown"],
            "Write to [EMAIL]"
        );
        assert_eq!(record(&seen)["model"], "mistral-ocr-latest");
        assert_eq!(
            record(&seen)["coverage"]["reasons"],
            json!(["request:attachment", "response:attachment"])
        );
    });
}
