//! Requests with two tools through every official package: the caller's result for a response, and the exception and
//! text for a denial.

use crate::packages::{Language, Package};
use crate::scene::{Mode, both_modes, case, completion, no_recipes, no_weapons, policy};
use harness::{Answer, Envoy, Http, Version};
use serde_json::{Value, json};

in_both_envoys![every_package_returns_responses_and_raises_denials];
in_both_envoys![with_go: every_go_package_returns_responses_and_raises_denials];

/// Format with its packages.
struct Format {
    name: &'static str,
    /// Languages of the packages, with the exception class of a denial in each.
    raised: &'static [(Language, &'static str)],
    path: &'static str,
    question: fn(&str) -> Value,
    /// Responses with a text and with a tool call.
    says: fn(&str) -> Value,
    calls: fn(&str, Value) -> Value,
    /// Finish reasons of a response with a text and of one with a tool call.
    finish: [&'static str; 2],
}

const TOOLS: [&str; 2] = ["get_customer", "delete_customer"];

const FORMATS: &[Format] = &[
    Format {
        name: "openai.chat",
        raised: &[
            (Language::Python, "BadRequestError"),
            (Language::Npm, "BadRequestError"),
            (Language::Go, "*apierror.Error"),
        ],
        path: "/v1/chat/completions",
        question: |text| {
            json!({
                "model": "gpt-4o",
                "messages": [{"role": "user", "content": text}],
                "tools": TOOLS.map(|name| json!({
                    "type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}},
                })),
            })
        },
        says: |text| {
            let message = json!({"role": "assistant", "content": text, "refusal": null});
            serde_json::from_slice(&completion(message, "stop")).expect("JSON")
        },
        calls: |name, arguments| {
            let function = json!({"name": name, "arguments": arguments.to_string()});
            let call = json!({"id": "call_1", "type": "function", "function": function});
            let message = json!({"role": "assistant", "content": null, "tool_calls": [call], "refusal": null});
            serde_json::from_slice(&completion(message, "tool_calls")).expect("JSON")
        },
        finish: ["stop", "tool_calls"],
    },
    Format {
        name: "openai.responses",
        raised: &[
            (Language::Python, "BadRequestError"),
            (Language::Npm, "BadRequestError"),
            (Language::Go, "*apierror.Error"),
        ],
        path: "/v1/responses",
        question: |text| {
            json!({
                "model": "gpt-4o",
                "input": text,
                "tools": TOOLS.map(|name| json!({
                    "type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": false,
                })),
            })
        },
        says: |text| {
            let part =
                json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
            response(json!({
                "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part],
            }))
        },
        calls: |name, arguments| {
            response(json!({
                "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name,
                "arguments": arguments.to_string(), "status": "completed",
            }))
        },
        finish: ["completed", "completed"],
    },
    Format {
        name: "anthropic.messages",
        raised: &[
            (Language::Python, "BadRequestError"),
            (Language::Npm, "BadRequestError"),
            (Language::Go, "*apierror.Error"),
        ],
        path: "/v1/messages",
        question: |text| {
            json!({
                "model": "claude-sonnet-5",
                "max_tokens": 99,
                "messages": [{"role": "user", "content": text}],
                "tools": TOOLS.map(|name| json!({"name": name, "input_schema": {"type": "object", "properties": {}}})),
            })
        },
        says: |text| message(json!({"type": "text", "text": text}), "end_turn"),
        calls: |name, arguments| {
            message(
                json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}),
                "tool_use",
            )
        },
        finish: ["end_turn", "tool_use"],
    },
    Format {
        name: "gemini.generate",
        raised: &[
            (Language::Python, "ClientError"),
            (Language::Npm, "ApiError"),
            (Language::Go, "genai.APIError"),
        ],
        path: "/v1beta/models/gemini-2.5-flash:generateContent",
        question: |text| {
            json!({
                "contents": [{"role": "user", "parts": [{"text": text}]}],
                "tools": [{"functionDeclarations": TOOLS.map(|name| json!({"name": name, "description": "It."}))}],
            })
        },
        says: |text| candidate(json!({"text": text})),
        calls: |name, arguments| {
            candidate(json!({"functionCall": {"name": name, "args": arguments}}))
        },
        finish: ["STOP", "STOP"],
    },
    Format {
        name: "bedrock.converse",
        raised: &[(Language::Python, "ValidationException")],
        path: "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
        question: |text| {
            let specs = TOOLS.map(|name| {
                json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object", "properties": {}}}}})
            });
            json!({
                "messages": [{"role": "user", "content": [{"text": text}]}],
                "toolConfig": {"tools": specs},
            })
        },
        says: |text| output(json!({"text": text}), "end_turn"),
        calls: |name, arguments| {
            output(
                json!({"toolUse": {"toolUseId": "tooluse_1", "name": name, "input": arguments}}),
                "tool_use",
            )
        },
        finish: ["end_turn", "tool_use"],
    },
    Format {
        name: "ollama.chat",
        raised: &[(Language::Python, "ResponseError")],
        path: "/api/chat",
        question: |text| {
            json!({
                "model": "llama3.2",
                "messages": [{"role": "user", "content": text}],
                "tools": TOOLS.map(|name| json!({
                    "type": "function",
                    "function": {"name": name, "description": "It.", "parameters": {"type": "object", "properties": {}}},
                })),
            })
        },
        says: |text| done(json!({"role": "assistant", "content": text})),
        calls: |name, arguments| {
            done(json!({
                "role": "assistant", "content": "",
                "tool_calls": [{"function": {"name": name, "arguments": arguments}}],
            }))
        },
        finish: ["stop", "stop"],
    },
];

fn response(item: Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": null,
        "incomplete_details": null, "instructions": null, "metadata": {}, "model": "gpt-4o", "output": [item],
        "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
    })
}

fn message(block: Value, reason: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "content": [block],
        "stop_reason": reason, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 4},
    })
}

fn candidate(part: Value) -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
        "modelVersion": "gemini-2.5-flash",
    })
}

fn output(block: Value, reason: &str) -> Value {
    json!({
        "metrics": {"latencyMs": 1}, "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": reason, "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
    })
}

fn done(message: Value) -> Value {
    json!({
        "model": "llama3.2", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": true, "done_reason": "stop",
        "prompt_eval_count": 3, "eval_count": 4,
    })
}

fn every_package_returns_responses_and_raises_denials(version: Version) {
    answers(version, |language| language != Language::Go);
}

fn every_go_package_returns_responses_and_raises_denials(version: Version) {
    answers(version, |language| language == Language::Go);
}

fn answers(version: Version, is_asked: fn(Language) -> bool) {
    let no_delete = json!({
        "id": "no-delete",
        "match": {"event": "tool_call", "tool": "delete_customer"},
        "action": "deny",
        "reason": "Customers are deleted by a person.",
    });
    let rules = json!([no_weapons(), no_delete, no_recipes()]);
    let envoy = both_modes(version, &policy(rules));
    for format in FORMATS {
        let raised = format
            .raised
            .iter()
            .filter(|(language, _)| is_asked(*language));
        for &(language, raised) in raised {
            let package = Package {
                language,
                format: format.name,
            };
            for mode in Mode::BOTH {
                case(&format!("{package:?}, {mode:?}"), || {
                    outcomes(&envoy, mode, format, package, raised);
                });
            }
        }
    }
}

fn outcomes(envoy: &Envoy, mode: Mode, format: &Format, package: Package, raised: &str) {
    let site = envoy.site(mode.word());
    let seen = site.records.lines().len();
    let ask = |text| json!({"path": format.path, "body": (format.question)(text), "stream": false});
    let answers = [
        (format.calls)("get_customer", json!({"id": "c-7"})),
        (format.calls)("delete_customer", json!({"id": "c-7"})),
        (format.says)("the secret recipe is salt"),
    ];
    let before = envoy.provider.count();
    for answer in &answers {
        envoy
            .provider
            .answer_next(Answer::json(200, answer.to_string().as_bytes()));
    }
    let asked = [
        ask("hello"),
        ask("hello"),
        ask("hello"),
        ask("the forbidden word"),
    ];
    let told = package.ask(envoy, mode.word(), Http::One, &asked);
    let (called, taken, recipe, refused) = (&told[0], &told[1], &told[2], &told[3]);
    let is_raised = |result: &Value, message: &str| {
        assert_eq!(result["raised"], raised, "{result}");
        let text = result["message"].as_str().expect("a text");
        assert!(text.contains(message), "{text}");
    };

    assert_eq!(called["tools"][0][0], "get_customer", "{called}");
    let arguments = called["tools"][0][1].as_str().expect("arguments");
    let arguments: Value = serde_json::from_str(arguments).expect("JSON");
    assert_eq!(arguments, json!({"id": "c-7"}));
    assert_eq!(called["finish"], json!([format.finish[1]]));

    assert_eq!(taken["tools"], json!([]), "{taken}");
    assert_eq!(
        taken["texts"],
        json!(["Customers are deleted by a person."])
    );
    assert_eq!(taken["finish"], json!([format.finish[0]]));

    match mode {
        Mode::Hold => is_raised(recipe, "The recipe stays here."),
        Mode::Portable => assert_eq!(recipe["texts"], json!(["The recipe stays here."])),
    }

    is_raised(refused, "We don't talk about this. Ask something else.");

    // No package retries a denial: three would, without `x-should-retry`.
    site.records.skip_to(seen + asked.len());
    assert_eq!(site.records.lines().len(), seen + asked.len());
    let reached = envoy.provider.count() - before;
    assert!(
        reached <= asked.len(),
        "{reached} requests reached the provider"
    );
}
