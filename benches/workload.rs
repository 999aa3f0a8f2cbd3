//! Benchmark traffic and policies: a turn of an agent, and a typical mix of rules.

use serde_json::{Value, json};

/// Returns a typical mix of rules: tools and their arguments, models, words, patterns, findings, tags. Only the tag
/// matches the measured exchanges: a denied exchange costs less than half.
pub fn rules(count: usize) -> Vec<Value> {
    let cards = json!({
        "id": "mask-cards",
        "match": {"event": ["message", "response"]},
        "when": {"text": {"detects": ["credit_card", "us_ssn"]}},
        "action": "redact",
    });
    let mut rules = vec![cards];
    for number in 0.. {
        if rules.len() >= count {
            break;
        }
        let id = format!("rule-{number}");
        rules.push(match number % 20 {
            0..=3 => json!({
                "id": id,
                "match": {"tool": format!("delete_{number}")},
                "action": "deny",
            }),
            4..=6 => json!({
                "id": id,
                "match": {"tool": format!("pay_{number}")},
                "when": {"args.amount": {"greater_than": number * 10}},
                "unless": {"args.currency": {"in": ["EUR", "USD"]}},
                "action": "require_approval",
                "approval": {"by": ["manager"], "valid_for": "10m"},
            }),
            7 => json!({
                "id": id,
                "match": {"tool": format!("admin_{number}_*")},
                "action": "deny",
            }),
            8..=9 => json!({
                "id": id,
                "match": {"tool": "get_customer"},
                "when": {"args.id": {"in": [format!("c-{number}"), format!("d-{number}")]}},
                "action": "deny",
            }),
            10..=11 => json!({
                "id": id,
                "when": {"model": {"in": [format!("old-model-{number}"), format!("older-model-{number}")]}},
                "action": "deny",
            }),
            12 => json!({
                "id": id,
                "when": {"model": {"glob": format!("vendor-{number}/*")}},
                "action": "deny",
            }),
            13..=15 => json!({
                "id": id,
                "match": {"event": "message"},
                "when": {"text": {"contains": format!("project basilisk {number}")}},
                "action": "deny",
            }),
            16 => json!({
                "id": id,
                "match": {"event": "response"},
                "when": {"text": {"contains_any": [format!("internal only {number}"), format!("draft {number} of the plan")]}},
                "action": "deny",
            }),
            17 => json!({
                "id": id,
                "match": {"event": "tool_offer", "tool": format!("shell_{number}")},
                "action": "deny",
            }),
            18 => json!({
                "id": id,
                "match": {"event": "request"},
                "when": {"request.message_count": {"greater_than": 1_000 + number}},
                "action": "deny",
            }),
            _ if number < 60 => json!({
                "id": id,
                "match": {"event": "message", "from": "user"},
                "when": {"text": {"matches": format!("(?i)ticket-{number}[0-9]{{4}}-secret")}},
                "action": "deny",
            }),
            _ => json!({
                "id": id,
                "match": {"event": "message", "from": "tool"},
                "when": {"text": {"detects": "email"}},
                "action": "tag",
                "tags": ["mail-in-results"],
            }),
        });
    }
    rules
}

/// Returns rules that redact the findings of all detectors.
pub fn everything() -> Vec<Value> {
    vec![json!({
        "id": "mask-everything",
        "match": {"event": ["message", "response"]},
        "when": {"text": {"detects": ["pii", "secrets"]}},
        "action": "redact",
    })]
}

/// Returns a policy with these rules and signed audit events.
pub fn policy(rules: &[Value], hold: bool) -> Value {
    json!({
        "apiVersion": "agentguard.dev/v1",
        "kind": "AgentPolicy",
        "metadata": {"name": "bench"},
        "envoy": {"headers": if hold { "hold" } else { "portable" }},
        "audit": {"key": "env:AUDIT_KEY"},
        "defaults": {"action": "allow"},
        "rules": rules,
    })
}

/// Returns English text of any length.
pub fn prose(length: usize) -> String {
    const SENTENCES: [&str; 6] = [
        "The order was placed on Monday and has not left the warehouse yet.",
        "Please check the address once more before anything is sent out again.",
        "Our customer asked for two boxes, one of them with a different colour.",
        "She wrote that the invoice number 20871 is missing from the account page.",
        "If nothing else helps, offer a voucher for the amount of the shipping.",
        "It rained for three days, which is why the truck came later than planned.",
    ];
    let mut text = String::with_capacity(length + 80);
    for sentence in SENTENCES.iter().cycle() {
        if text.len() >= length {
            break;
        }
        text.push_str(sentence);
        text.push(' ');
    }
    text.truncate(length);
    text
}

/// Returns a turn of an agent: instructions, tools, a question, a call and its result. The result's length determines
/// the size.
pub fn question(size: usize) -> Vec<u8> {
    let tool = |name: &str, about: &str| {
        json!({"type": "function", "function": {"name": name, "description": about, "parameters": {
            "type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"],
        }}})
    };
    let body = |result: &str| {
        json!({
            "model": "gpt-4o-mini",
            "temperature": 0.2,
            "messages": [
                {"role": "system", "content": "You help customers of a shop. Be short, be kind, promise nothing."},
                {"role": "user", "content": "Where is my order? I have been waiting for a week."},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {
                        "name": "get_customer", "arguments": "{\"id\":\"a-1042\",\"with\":[\"orders\"]}",
                    }},
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": result},
            ],
            "tools": [
                tool("get_customer", "Reads a customer's record and the last orders."),
                tool("send_voucher", "Sends a voucher to a customer."),
            ],
        })
        .to_string()
    };
    let rest = size.saturating_sub(body("").len());
    body(&prose(rest)).into_bytes()
}

/// Returns the request with this number of tools, each described like a coding agent's: about 1 KB for each.
pub fn question_with_tools(count: usize) -> Vec<u8> {
    let text = |about: &str| json!({"type": "string", "description": about});
    let tool = |number: usize| {
        json!({"type": "function", "function": {
            "name": format!("tool_{number}"),
            "description": format!("Tool {number} of the editor. {}", prose(260)),
            "strict": true,
            "parameters": {"type": "object", "additionalProperties": false, "properties": {
                "path": text(&format!("The absolute path of the file that tool {number} reads or writes.")),
                "pattern": text("What is looked for, as a regular expression."),
                "mode": {"type": "string", "enum": ["content", "names", "count"], "description": "What is given back."},
                "limit": {"type": "integer", "minimum": 1, "maximum": 2000, "description": "Most lines of the output."},
                "edits": {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {
                    "old": text("The text that is replaced; it stands there once."),
                    "new": text("The text that takes its place."),
                }, "required": ["old", "new"]}},
            }, "required": ["path", "pattern"]},
        }})
    };
    let mut body: Value = serde_json::from_slice(&question(2 << 10)).unwrap_or_default();
    body["tools"] = (0..count).map(tool).collect();
    body.to_string().into_bytes()
}

/// Returns the request after this number of turns, each a call and its result of about 0.5 KB.
pub fn question_after_turns(count: usize) -> Vec<u8> {
    let turn = |number: usize| {
        let call = format!("call_{number}");
        let args = json!({"path": format!("/srv/app/src/part_{number}.rs"), "offset": number * 100, "limit": 200});
        [
            json!({"role": "assistant", "content": "I will look at the next part.", "tool_calls": [
                {"id": call, "type": "function", "function": {"name": "get_customer", "arguments": args.to_string()}},
            ]}),
            json!({"role": "tool", "tool_call_id": call, "content": prose(500)}),
        ]
    };
    let mut body: Value = serde_json::from_slice(&question(2 << 10)).unwrap_or_default();
    if let Some(messages) = body["messages"].as_array_mut() {
        messages.splice(2..2, (0..count).flat_map(turn));
    }
    body.to_string().into_bytes()
}

/// Word in the texts of the request and of the response. Replacing it makes texts that the policy has not scanned before.
pub const NEW_WORD: &str = "order";

/// Returns a word of the same length, different for each number up to 26⁵.
pub fn new_word(number: usize) -> String {
    let letter =
        |place: u32| char::from(b"abcdefghijklmnopqrstuvwxyz"[number / 26_usize.pow(place) % 26]);
    (0..5).map(letter).collect()
}

/// Returns the response, 0.8 KB.
pub fn answer() -> Vec<u8> {
    json!({
        "id": "chatcmpl-B1", "object": "chat.completion", "created": 1_763_622_245, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": prose(400), "refusal": null},
            "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 812, "completion_tokens": 96, "total_tokens": 908},
        "service_tier": "default", "system_fingerprint": "fp_0123456789",
    })
    .to_string()
    .into_bytes()
}

/// Frames of one streamed response.
pub const FRAMES: usize = 200;

/// Returns the response as a stream: one word per frame in OpenAI's format, and the final frames.
pub fn frames() -> Vec<Vec<u8>> {
    let chunk = |delta: Value, finish: Option<&str>| {
        let chunk = json!({
            "id": "chatcmpl-B1", "object": "chat.completion.chunk", "created": 1_763_622_245,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        });
        format!("data: {chunk}\n\n").into_bytes()
    };
    let text = prose(FRAMES * 8);
    let words = text.split_inclusive(' ').take(FRAMES - 1);
    let mut frames: Vec<Vec<u8>> = words
        .map(|word| chunk(json!({"content": word}), None))
        .collect();
    frames.push(chunk(json!({}), Some("stop")));
    frames
}
