//! Refusals in each provider's own shape.

use super::{exchange, in_both_modes, json, received, sent};
use serde_json::{Value, json};

const MESSAGES: &str = "/v1/messages";
const CONVERSE: &str = "/model/amazon.nova-lite-v1:0/converse";
const INVOKE: &str = "/model/meta.llama3-x/invoke";
const GENERATE: &str = "/v1beta/models/gemini-x:generateContent";

const NO_SECRETS: &str = "rules:
  - id: no-secrets
    match: { event: message }
    when: { text: { contains: swordfish } }
    action: deny
    reason: That word stays here.
    remedy: Use another one.
";

fn says(path: &str, text: &str) -> String {
    let body = match path {
        CONVERSE => json!({"messages": [{"role": "user", "content": [{"text": text}]}]}),
        INVOKE => json!({"prompt": text}),
        _ if path.contains("models/") => {
            json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
        }
        _ => {
            json!({"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": text}]})
        }
    };
    body.to_string()
}

#[test]
fn a_denied_request_is_refused_in_the_provider_s_shape() {
    in_both_modes(NO_SECRETS, |guard, _| {
        let refused = |path: &str| {
            let request = sent("POST", "x", path, &[], &says(path, "swordfish"));
            let seen = exchange(guard, &request, &received("200", "{}"));
            assert_eq!(seen.client.status(), Some(400), "{path}");
            assert!(
                seen.upstream
                    .is_none_or(|upstream| upstream.body().is_empty()),
                "{path}"
            );
            seen.client
        };
        let message = "That word stays here. Use another one.";
        let told = json(&refused(MESSAGES));
        assert_eq!(told["type"], "error");
        assert_eq!(told["error"]["type"], "invalid_request_error");
        assert_eq!(told["error"]["message"], message);
        assert_eq!(told["error"]["agentguard"]["rule"], "no-secrets");
        assert_eq!(
            told["error"]["agentguard"]["at"],
            json!(["/messages/0/content"])
        );
        for path in [CONVERSE, INVOKE] {
            let refused = refused(path);
            assert_eq!(
                refused.header("x-amzn-errortype"),
                Some(b"ValidationException".as_slice())
            );
            assert_eq!(json(&refused)["message"], message);
            assert_eq!(json(&refused)["agentguard"]["code"], "AG3001");
        }
        let told = json(&refused(GENERATE));
        assert_eq!(told["error"]["code"], 400);
        assert_eq!(told["error"]["status"], "INVALID_ARGUMENT");
        assert_eq!(told["error"]["message"], message);
        // A stream that comes as an array fails as an array.
        let told = json(&refused("/v1beta/models/gemini-x:streamGenerateContent"));
        assert_eq!(told[0]["error"]["status"], "INVALID_ARGUMENT");
        let told = json(&refused(
            "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
        ));
        assert_eq!(told["error"]["status"], "INVALID_ARGUMENT");
    });
}

#[test]
fn a_body_that_can_t_be_read_has_the_provider_s_own_word_for_it() {
    in_both_modes(NO_SECRETS, |guard, _| {
        let refused = |path: &str| {
            let request = sent("POST", "x", path, &[], "{");
            let seen = exchange(guard, &request, &received("200", "{}"));
            assert_eq!(seen.client.status(), Some(400), "{path}");
            seen.client
        };
        assert_eq!(
            json(&refused(MESSAGES))["error"]["type"],
            "invalid_request_error"
        );
        assert_eq!(
            refused(CONVERSE).header("x-amzn-errortype"),
            Some(b"ValidationException".as_slice())
        );
        assert_eq!(
            json(&refused(GENERATE))["error"]["status"],
            "INVALID_ARGUMENT"
        );
        let told = json(&refused(MESSAGES))["error"]["message"].to_string();
        assert_eq!(told.matches("byte").count(), 1, "{told}");
    });
}

#[test]
fn an_answer_refused_as_a_whole_is_one_that_its_reader_knows() {
    // A tool of the provider has run: what came of it can't be taken out alone.
    let policy = "rules:
  - id: no-search
    match: { event: tool_call, tool: [web_search, googleSearch, nova_grounding] }
    when: { in: response }
    action: deny
    reason: No searching.
";
    let cases: [(&str, Value, &str); 3] = [
        (
            MESSAGES,
            json!({"id": "m", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn", "stop_sequence": null,
                "content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, {"type": "text", "text": "found"}],
                "usage": {"input_tokens": 3, "output_tokens": 4}}),
            "/content/0/text",
        ),
        (
            CONVERSE,
            json!({"output": {"message": {"role": "assistant", "content": [
                {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}}, {"text": "found"}]}},
                "stopReason": "end_turn", "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}}),
            "/output/message/content/0/text",
        ),
        (
            GENERATE,
            json!({"candidates": [{"content": {"role": "model", "parts": [
                {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "s", "args": {}}}, {"text": "found"}]}, "finishReason": "STOP"}]}),
            "/candidates/0/content/parts/0/text",
        ),
    ];
    for (path, answer, at) in cases {
        in_both_modes(policy, |guard, holds| {
            let request = sent("POST", "x", path, &[], &says(path, "hi"));
            let seen = exchange(guard, &request, &received("200", &answer.to_string()));
            let told = json(&seen.client);
            assert!(!told.to_string().contains("found"), "{told}");
            if holds {
                assert_eq!(seen.client.status(), Some(400));
                assert!(told.to_string().contains("No searching."), "{told}");
            } else {
                assert_eq!(seen.client.status(), Some(200));
                assert_eq!(told.pointer(at).unwrap(), "No searching.", "{told}");
            }
        });
    }
}

#[test]
fn an_error_of_the_provider_is_judged_as_well() {
    let policy = "rules:
  - id: no-leak
    match: { event: response }
    when: { text: { contains: swordfish } }
    action: deny
";
    for (path, answer) in [
        (
            MESSAGES,
            json!({"type": "error", "error": {"type": "api_error", "message": "swordfish"}}),
        ),
        (CONVERSE, json!({"message": "swordfish"})),
        (
            GENERATE,
            json!({"error": {"code": 500, "message": "swordfish", "status": "INTERNAL"}}),
        ),
    ] {
        in_both_modes(policy, |guard, _| {
            let request = sent("POST", "x", path, &[], &says(path, "hi"));
            let seen = exchange(guard, &request, &received("500", &answer.to_string()));
            let told = json(&seen.client).to_string();
            assert!(
                !told.contains("swordfish") && told.contains("AG3001"),
                "{told}"
            );
        });
    }
}
