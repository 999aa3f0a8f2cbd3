//! Client: the official `openai` package for Python.

use crate::scene::{
    Mode, answers, both_modes, calls, case, mask_cards, no_recipes, no_weapons, policy,
};
use crate::script::Script;
use harness::{Answer, Envoy, Version, sdk_python};
use serde_json::{Value, json};

in_both_envoys![the_openai_package_understands_every_outcome];

/// Sends one of the script's requests. Returns the result for the package's caller.
fn ask(envoy: &Envoy, mode: Mode, question: &str) -> Value {
    let script = Script {
        program: sdk_python(),
        arguments: vec!["sdk.py".into()],
    };
    let address = envoy.site(mode.word()).address;
    script.answer(&json!({"base_url": format!("http://{address}/v1"), "question": question}))
}

fn the_openai_package_understands_every_outcome(version: Version) {
    let no_delete = json!({
        "id": "no-delete",
        "match": {"tool": "delete_customer"},
        "action": "deny",
        "reason": "Customers are deleted by a person.",
    });
    let rules = json!([no_weapons(), mask_cards(), no_delete, no_recipes()]);
    let envoy = both_modes(version, &policy(rules));
    for mode in Mode::BOTH {
        case(&format!("{mode:?}"), || outcomes(&envoy, mode));
    }
}

fn outcomes(envoy: &Envoy, mode: Mode) {
    let ask_once = |question: &str| {
        let before = envoy.site(mode.word()).records.lines().len();
        let result = ask(envoy, mode, question);
        // A denial is not retried: without `x-should-retry` the package would send the request three times.
        envoy.site(mode.word()).records.skip_to(before + 1);
        assert_eq!(envoy.site(mode.word()).records.lines().len(), before + 1);
        result
    };
    let denied = |result: &Value, rule: &str, message: &str| {
        assert_eq!(result["raised"], "BadRequestError", "{result}");
        assert_eq!(result["status"], 400);
        let told = result["message"].as_str().expect("a message");
        assert!(told.contains(message), "{told}");
        assert_eq!(result["code"], "agentguard_denied");
        assert_eq!(result["type"], "invalid_request_error");
        assert_eq!(result["agentguard"]["rule"], rule);
        assert_eq!(result["headers"]["x-agentguard-rule"], rule);
    };

    envoy
        .provider
        .answer_next(answers("Hello, 4111 1111 1111 1111"));
    let allowed = ask_once("hello");
    assert_eq!(allowed["content"], "Hello, [CREDIT_CARD]");
    assert_eq!(allowed["finish_reason"], "stop");
    assert_eq!(allowed["usage"], 7);

    denied(
        &ask_once("forbidden"),
        "no-weapons",
        "We don't talk about this. Ask something else.",
    );

    let unreadable = ask_once("no model");
    assert_eq!(unreadable["raised"], "BadRequestError");
    assert_eq!(unreadable["agentguard"]["code"], "AG2001");

    envoy
        .provider
        .answer_next(calls(&[("get_customer", "{}"), ("delete_customer", "{}")]));
    let half = ask_once("tools");
    assert_eq!(half["tool_calls"], json!(["get_customer"]));
    assert_eq!(half["finish_reason"], "tool_calls");

    envoy
        .provider
        .answer_next(calls(&[("delete_customer", "{}")]));
    let none = ask_once("tools");
    assert_eq!(none["tool_calls"], json!([]));
    assert_eq!(none["finish_reason"], "stop");
    assert_eq!(none["content"], "Customers are deleted by a person.");

    envoy
        .provider
        .answer_next(calls(&[("delete_customer", "{}")]));
    let forced = ask_once("forced");
    envoy
        .provider
        .answer_next(answers("the secret recipe is salt"));
    let refused = ask_once("hello");
    for (result, rule, reason) in [
        (forced, "no-delete", "Customers are deleted by a person."),
        (refused, "no-recipes", "The recipe stays here."),
    ] {
        match mode {
            Mode::Hold => denied(&result, rule, reason),
            Mode::Portable => {
                assert_eq!(result["refusal"], reason, "{result}");
                assert_eq!(result["finish_reason"], "content_filter");
                assert_eq!(result["role"], "assistant");
            }
        }
    }

    // A match across frames of a stream.
    let piece = |delta: Value, finish: Value| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        });
        format!("data: {chunk}\n\n")
    };
    let stream = [
        piece(
            json!({"role": "assistant", "content": "Card 4111 11"}),
            Value::Null,
        ),
        piece(json!({"content": "11 1111 1111 it is."}), Value::Null),
        piece(json!({}), json!("stop")),
        "data: [DONE]\n\n".to_owned(),
    ];
    envoy.provider.answer_next(
        stream
            .iter()
            .map(String::as_bytes)
            .fold(
                Answer::chunked(200, &[("content-type", "text/event-stream")]),
                Answer::chunk,
            )
            .end(),
    );
    assert_eq!(ask_once("stream")["content"], "Card [CREDIT_CARD] it is.");
}
