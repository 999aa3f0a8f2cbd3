//! Provider-run tools under rules on arguments, which never pass through the filter.

use super::*;

const NEEDS_ARGUMENTS: &str = "defaults: { action: allow }
rules:
  - id: no-secrets
    match: { event: tool_call }
    when: { args: { detects: secrets } }
    action: deny
    reason: A secret stands in a call.
    remedy: Leave the secret out.
";

fn asked(host: &str, path: &str, body: &Value) -> HttpMessage {
    let body = body.to_string();
    let length = body.len().to_string();
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", host),
            ("content-type", "application/json"),
            ("content-length", &length),
            ("anthropic-version", "2023-06-01"),
        ],
        body.as_bytes(),
    )
}

fn openai(tool: Value) -> HttpMessage {
    asked(
        "api.openai.com",
        "/v1/responses",
        &json!({"model": "gpt-5", "input": "hi", "tools": [tool]}),
    )
}

fn claude(tools: Value, servers: Value) -> HttpMessage {
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 9, "tools": tools, "mcp_servers": servers,
        "messages": [{"role": "user", "content": "hi"}]});
    asked("api.anthropic.com", "/v1/messages", &body)
}

fn gemini(tool: Value) -> HttpMessage {
    asked(
        "generativelanguage.googleapis.com",
        "/v1beta/models/gemini-2.5-pro:generateContent",
        &json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "tools": [tool]}),
    )
}

fn router(rest: Value) -> HttpMessage {
    let mut body =
        json!({"model": "openai/gpt-5", "messages": [{"role": "user", "content": "hi"}]});
    for (key, value) in rest.as_object().unwrap() {
        body[key] = value.clone();
    }
    asked("openrouter.ai", "/api/v1/chat/completions", &body)
}

/// Returns a request with every kind of provider-run tool, the tool's name, and its location.
fn offers() -> Vec<(HttpMessage, &'static str, &'static str)> {
    let server = json!([{"type": "url", "name": "crm", "url": "https://crm.example/mcp"}]);
    vec![
        (
            openai(json!({"type": "web_search"})),
            "web_search",
            "/tools/0",
        ),
        (
            openai(json!({"type": "web_search_preview_2025_03_11"})),
            "web_search_preview_2025_03_11",
            "/tools/0",
        ),
        (
            openai(json!({"type": "file_search", "vector_store_ids": ["vs_1"]})),
            "file_search",
            "/tools/0",
        ),
        (
            openai(json!({"type": "code_interpreter", "container": {"type": "auto"}})),
            "code_interpreter",
            "/tools/0",
        ),
        (
            openai(json!({"type": "image_generation"})),
            "image_generation",
            "/tools/0",
        ),
        (
            openai(
                json!({"type": "mcp", "server_label": "crm", "server_url": "https://crm.example/mcp", "require_approval": "never"}),
            ),
            "mcp",
            "/tools/0",
        ),
        (
            openai(json!({"type": "shell", "environment": {"type": "container_auto"}})),
            "shell",
            "/tools/0",
        ),
        (
            claude(
                json!([{"type": "web_search_20250305", "name": "web_search"}]),
                json!([]),
            ),
            "web_search_20250305",
            "/tools/0",
        ),
        (
            claude(
                json!([{"type": "code_execution_20250825", "name": "code_execution"}]),
                json!([]),
            ),
            "code_execution_20250825",
            "/tools/0",
        ),
        (
            claude(
                json!([{"type": "web_fetch_20250910", "name": "web_fetch"}]),
                json!([]),
            ),
            "web_fetch_20250910",
            "/tools/0",
        ),
        (claude(json!([]), server), "mcp_servers", "/mcp_servers/0"),
        (
            gemini(json!({"googleSearch": {}})),
            "googleSearch",
            "/tools/0/googleSearch",
        ),
        (
            gemini(json!({"codeExecution": {}})),
            "codeExecution",
            "/tools/0/codeExecution",
        ),
        (
            gemini(json!({"urlContext": {}})),
            "urlContext",
            "/tools/0/urlContext",
        ),
        (
            router(json!({"plugins": [{"id": "web"}]})),
            "web",
            "/plugins/0",
        ),
        (
            router(json!({"model": "openai/gpt-5:online"})),
            "online",
            "/model",
        ),
    ]
}

#[test]
fn a_rule_that_needs_arguments_denies_a_provider_run_tool_by_its_name() {
    in_both_modes(NEEDS_ARGUMENTS, |guard, _| {
        for (request, tool, at) in offers() {
            let seen = exchange(guard, &request, hello());
            let told = String::from_utf8(seen.client.body()).unwrap();
            assert!(told.contains("\"AG2010\""), "{tool}: {told}");
            assert!(
                told.contains(&format!("The provider runs `{tool}` itself")),
                "{tool}: {told}"
            );
            assert!(!told.contains("secret stands"), "{tool}: {told}");
            assert!(!told.contains("Leave the secret out"), "{tool}: {told}");
            let record = record(&seen);
            assert_eq!(record["code"], "AG2010", "{tool}");
            assert_eq!(record["status"], 400, "{tool}");
            assert_eq!(record["tools"], json!([tool]), "{tool}");
            assert_eq!(record["rules"][0]["id"], "no-secrets", "{tool}");
            let place = record["rules"][0]["at"].as_str().unwrap();
            assert!(
                place.starts_with(at) || at.starts_with(place),
                "{tool}: {place}"
            );
        }
    });
}

#[test]
fn an_observed_rule_records_what_it_would_deny() {
    let policy = format!("mode: observe\n{NEEDS_ARGUMENTS}");
    for (request, tool, _) in offers() {
        let seen = exchange(&guard(&policy), &request, hello());
        let record = record(&seen);
        assert_eq!(record["would"], "deny", "{tool}: {record}");
        let tools = record["tools"].as_array().unwrap();
        assert!(tools.contains(&json!(tool)), "{tool}: {record}");
    }
}

#[test]
fn a_rule_can_exclude_provider_run_tools() {
    let policy = NEEDS_ARGUMENTS.replace("when: { args", "when: { provider_run: false, args");
    for (request, tool, _) in offers() {
        let record = record(&exchange(&guard(&policy), &request, hello()));
        assert_eq!(record["decision"], "allow", "{tool}: {record}");
        assert_eq!(record["tools"], Value::Null, "{tool}: {record}");
    }
}

#[test]
fn a_rule_that_needs_no_arguments_gives_its_own_reason() {
    let policy = format!(
        "{NEEDS_ARGUMENTS}  - {{ id: no-web, match: {{ tool: [web_search, \"*_search*\"] }}, action: deny, reason: Nobody searches here. }}
"
    );
    let seen = exchange(
        &guard(&policy),
        &openai(json!({"type": "web_search"})),
        hello(),
    );
    let told = &client_json(&seen)["error"];
    assert_eq!(told["agentguard"]["code"], "AG3001");
    assert_eq!(told["agentguard"]["rule"], "no-web");
    assert_eq!(record(&seen)["rules"].as_array().unwrap().len(), 2);
}

#[test]
fn a_tool_that_the_client_runs_is_evaluated_when_it_is_called() {
    for request in [
        openai(json!({"type": "local_shell"})),
        openai(json!({"type": "shell"})),
        openai(json!({"type": "apply_patch"})),
        openai(
            json!({"type": "computer_use_preview", "display_width": 1, "display_height": 1, "environment": "linux"}),
        ),
        openai(json!({"type": "function", "name": "web_search", "parameters": {}})),
        claude(
            json!([{"type": "bash_20250124", "name": "bash"}]),
            json!([]),
        ),
        claude(
            json!([{"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}]),
            json!([]),
        ),
        gemini(json!({"functionDeclarations": [{"name": "googleSearch", "description": "Ours."}]})),
    ] {
        let seen = exchange(&guard(NEEDS_ARGUMENTS), &request, hello());
        let record = record(&seen);
        let sent = String::from_utf8(request.body()).unwrap();
        assert_eq!(record["decision"], "allow", "{sent}: {record}");
    }
}

#[test]
fn a_type_that_is_not_a_word_is_not_repeated() {
    let tool = "4111 1111 1111 1111";
    let seen = exchange(
        &guard(NEEDS_ARGUMENTS),
        &openai(json!({"type": tool})),
        hello(),
    );
    let told = String::from_utf8(seen.client.body()).unwrap();
    assert!(
        told.contains("The provider runs this tool itself"),
        "{told}"
    );
    assert!(!told.contains("4111"), "{told}");
}

/// A file in the settings of a tool is evaluated if it is a text, and reported otherwise.
#[test]
fn files_in_the_settings_of_a_provider_run_tool_are_evaluated() {
    let policy = "defaults: { action: allow }
rules:
  - { id: word, match: { event: message }, when: { text: { contains: forbidden word } }, action: deny }
";
    let guard = guard(policy);
    let asks = |url: &str| {
        let mask = json!({"type": "image_generation", "input_image_mask": {"image_url": url}});
        let body = json!({"model": "gpt-5", "input": "draw", "tools": [mask]});
        let seen = exchange(
            &guard,
            &super::framing::asks("/v1/responses", body),
            hello(),
        );
        let record = record(&seen);
        (
            record["decision"].clone(),
            record["coverage"]["reasons"].clone(),
        )
    };
    let cases = [
        ("https://x.example/mask.png", "allow", json!([])),
        (
            "data:image/png;base64,iVBORw0KGgo=",
            "allow",
            json!(["request:attachment"]),
        ),
        (
            "data:text/plain;base64,YSBmcmllbmRseSB3b3Jk",
            "allow",
            json!([]),
        ),
        (
            "data:text/plain;base64,YSBmb3JiaWRkZW4gd29yZA==",
            "deny",
            json!([]),
        ),
        ("data:,a%20forbidden%20word", "deny", json!([])),
    ];
    for (url, decision, reasons) in cases {
        assert_eq!(asks(url), (json!(decision), reasons), "{url}");
    }
}
