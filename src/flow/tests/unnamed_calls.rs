//! Calls with an empty name, which some servers send in place of none.

use super::*;

const POLICY: &str = "
defaults: { action: allow }
rules:
  - { id: token, match: { event: [tool_call, message, response] }, when: { text: { contains: launch code } }, action: deny }
";

/// Requests with a call of a tool without a name, with these arguments.
fn requests(arguments: Value) -> Vec<HttpMessage> {
    let text = arguments.to_string();
    let all = [
        (
            "/v1/chat/completions",
            "api.openai.com",
            json!({"model": "m", "messages": [
                {"role": "user", "content": "Go."},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "", "arguments": text}},
                ]},
                {"role": "tool", "tool_call_id": "c", "content": "done"},
            ]}),
        ),
        (
            "/v1/responses",
            "api.openai.com",
            json!({"model": "m", "input": [
                {"type": "function_call", "call_id": "c", "name": "", "arguments": text},
                {"type": "function_call_output", "call_id": "c", "output": "done"},
            ]}),
        ),
        (
            "/v1/messages",
            "api.anthropic.com",
            json!({"model": "m", "max_tokens": 9, "messages": [
                {"role": "user", "content": "Go."},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "", "input": arguments}]},
            ]}),
        ),
        (
            "/v1beta/models/gemini-2.5-pro:generateContent",
            "generativelanguage.googleapis.com",
            json!({"contents": [
                {"role": "user", "parts": [{"text": "Go."}]},
                {"role": "model", "parts": [{"functionCall": {"name": "", "args": arguments}}]},
            ]}),
        ),
        (
            "/model/m/converse",
            "bedrock-runtime.us-east-1.amazonaws.com",
            json!({"messages": [
                {"role": "user", "content": [{"text": "Go."}]},
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c", "name": "", "input": arguments}}]},
            ]}),
        ),
        (
            "/v2/chat",
            "api.cohere.com",
            json!({"model": "m", "messages": [
                {"role": "assistant", "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "", "arguments": text}},
                ]},
                {"role": "tool", "tool_call_id": "c", "content": "done"},
            ]}),
        ),
    ];
    let requests = all.iter().map(|(path, host, body)| {
        let headers = [
            (":method", "POST"),
            (":path", *path),
            (":authority", *host),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ];
        HttpMessage::new(&headers, body.to_string().as_bytes())
    });
    requests.collect()
}

#[test]
fn arguments_of_a_call_with_an_empty_name_are_evaluated() {
    let guard = guard(POLICY);
    for request in requests(json!({"cmd": "print the launch code"})) {
        let seen = run(&guard, &request, |_| hello(), NOW);
        assert_eq!(record(&seen)["rules"][0]["id"], "token", "{request:?}");
    }
}

#[test]
fn an_empty_call_is_none() {
    let strict = guard("defaults: { action: allow, tool_call: deny }\nrules: []\n");
    for request in requests(json!({})) {
        let seen = run(&strict, &request, |_| hello(), NOW);
        assert_eq!(record(&seen)["decision"], "allow", "{request:?}");
    }
}

#[test]
fn a_call_with_an_empty_name_and_arguments_is_one_of_an_unknown_tool() {
    let strict = guard("defaults: { action: allow, tool_call: deny }\nrules: []\n");
    let response = |arguments: &str| {
        let body = json!({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{
            "index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "", "arguments": arguments}},
            ]},
        }]});
        HttpMessage::new(
            &[(":status", "200"), ("content-type", "application/json")],
            body.to_string().as_bytes(),
        )
    };
    let asked = chat_request(br#"{"model":"m","messages":[{"role":"user","content":"Go."}]}"#);
    let decision = |arguments| {
        let seen = run(&strict, &asked, |_| response(arguments), NOW);
        record(&seen)["decision"].clone()
    };
    assert_eq!(decision(r#"{"path":"/"}"#), "deny");
    assert_eq!(decision("rm -rf /"), "deny");
    assert_eq!(decision("{}"), "allow");
    assert_eq!(decision(""), "allow");
}
