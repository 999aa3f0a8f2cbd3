//! Conversations with turns that have come before, among other turns and at other positions.

use super::known_texts::{any_data, outcome, outcome_alone};
use super::*;

/// Rules that distinguish the author of each text and the turn of each call.
pub(super) const POLICY: &str = "
defaults: { action: allow }
rules:
  - { id: mask, match: { event: [message, tool_result] }, when: { text: { detects: [pii, secrets] } }, action: redact }
  - { id: masked-arguments, match: { event: tool_call, turn: [latest, earlier] }, when: { args: { detects: [pii, secrets] } }, action: redact, redact: { what: args } }
  - { id: of-search, match: { event: tool_result, tool: search }, when: { text: { contains: basilisk } }, action: tag, tags: [of-search] }
  - { id: of-other, match: { event: tool_result, tool: read_secret }, when: { text: { contains: basilisk } }, action: tag, tags: [of-other] }
  - { id: data, match: { event: tool_result }, when: { 'result.name': { exists: true } }, action: tag, tags: [data] }
  - { id: earlier, match: { event: tool_call, tool: read_secret, turn: earlier }, action: tag, tags: [earlier] }
  - { id: latest, match: { event: tool_call, tool: read_secret, turn: latest }, action: deny }
  - { id: said, match: { event: message, from: assistant }, when: { text: { contains: basilisk } }, action: tag, tags: [said] }
  - { id: named, match: { event: tool_call, turn: [latest, earlier] }, when: { 'args.name': { exists: true } }, action: tag, tags: [named] }
";

/// Element of a conversation.
#[derive(Clone, Debug)]
pub(super) enum Said {
    User(String),
    Model(String),
    Call {
        id: &'static str,
        tool: &'static str,
        args: Value,
    },
    Result {
        id: &'static str,
        text: String,
    },
    /// Message of the user with an image.
    Shown(String),
    /// Message of the model with a member that no provider has.
    Noted(String),
}

/// Makes a text long enough for the cache of elements.
fn long(text: &str) -> String {
    format!("{text} {}", "Nobody knows why it is so. ".repeat(6))
}

pub(super) fn any_turn() -> impl Strategy<Value = Said> {
    let id = || {
        let token = "ghp_Zx81mKq07RtYw3LbNv5Js9Dc2Fh6Gp4TaQe0";
        prop::sample::select(vec!["call_1", "call_2", "call_3", token])
    };
    let text = || {
        let text = prop::sample::select(vec![
            "Where is it?",
            "Project Basilisk",
            "My card is 4111 1111 1111 1111.",
            "aWdub3JlIHRoaXM6IDQxMTEgMTExMSAxMTExIDExMTE=",
        ]);
        text.prop_map(long)
    };
    let result = prop_oneof![
        text(),
        any_data().prop_map(|data| json!({"name": data, "note": long("")}).to_string()),
    ];
    let tool = prop::sample::select(vec!["search", "read_secret"]);
    prop_oneof![
        text().prop_map(Said::User),
        text().prop_map(Said::Model),
        text().prop_map(Said::Shown),
        text().prop_map(Said::Noted),
        (id(), tool, any_data()).prop_map(|(id, tool, args)| Said::Call {
            id,
            tool,
            args: json!({"name": args, "note": long("")}),
        }),
        (id(), result).prop_map(|(id, text)| Said::Result { id, text }),
    ]
}

const IMAGE: &str = "https://example.com/picture.png";

fn chat_turn(said: &Said) -> Value {
    match said {
        Said::User(text) => json!({"role": "user", "content": [{"type": "text", "text": text}]}),
        Said::Model(text) => json!({"role": "assistant", "name": "model", "content": text}),
        Said::Call { id, tool, args } => {
            json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": id, "type": "function", "function": {"name": tool, "arguments": args.to_string()}},
            ]})
        }
        Said::Result { id, text } => json!({"role": "tool", "tool_call_id": id, "content": text}),
        Said::Shown(text) => json!({"role": "user", "content": [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": IMAGE}},
        ]}),
        Said::Noted(text) => json!({"role": "assistant", "content": "Noted.", "note": text}),
    }
}

fn item(said: &Said) -> Value {
    match said {
        Said::User(text) => {
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
        }
        Said::Model(text) => {
            json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
        }
        Said::Call { id, tool, args } => {
            json!({"type": "function_call", "call_id": id, "name": tool, "arguments": args.to_string()})
        }
        Said::Result { id, text } => {
            json!({"type": "function_call_output", "call_id": id, "output": text})
        }
        Said::Shown(text) => json!({"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": text}, {"type": "input_image", "image_url": IMAGE},
        ]}),
        Said::Noted(text) => {
            json!({"type": "message", "role": "assistant", "note": text, "content": [
                {"type": "output_text", "text": "Noted."},
            ]})
        }
    }
}

fn anthropic_turn(said: &Said) -> Value {
    let (role, block) = match said {
        Said::User(text) => ("user", json!({"type": "text", "text": text})),
        Said::Model(text) => ("assistant", json!({"type": "text", "text": text})),
        Said::Call { id, tool, args } => (
            "assistant",
            json!({"type": "tool_use", "id": id, "name": tool, "input": args}),
        ),
        Said::Result { id, text } => (
            "user",
            json!({"type": "tool_result", "tool_use_id": id, "content": text}),
        ),
        Said::Shown(text) => {
            let image = json!({"type": "image", "source": {"type": "url", "url": IMAGE}});
            return json!({"role": "user", "content": [{"type": "text", "text": text}, image]});
        }
        Said::Noted(text) => (
            "assistant",
            json!({"type": "thinking", "thinking": text, "signature": "c2lnbmF0dXJl"}),
        ),
    };
    json!({"role": role, "content": [block]})
}

fn converse_turn(said: &Said) -> Value {
    let (role, block) = match said {
        Said::User(text) => ("user", json!({"text": text})),
        Said::Model(text) => ("assistant", json!({"text": text})),
        Said::Call { id, tool, args } => (
            "assistant",
            json!({"toolUse": {"toolUseId": id, "name": tool, "input": args}}),
        ),
        Said::Result { id, text } => (
            "user",
            json!({"toolResult": {"toolUseId": id, "content": [{"text": text}]}}),
        ),
        Said::Shown(text) => {
            let image = json!({"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}});
            return json!({"role": "user", "content": [{"text": text}, image]});
        }
        Said::Noted(text) => ("assistant", json!({"text": "Noted.", "note": text})),
    };
    json!({"role": role, "content": [block]})
}

fn gemini_turn(said: &Said) -> Value {
    let (role, part) = match said {
        Said::User(text) => ("user", json!({"text": text})),
        Said::Model(text) => ("model", json!({"text": text})),
        Said::Call { id, tool, args } => (
            "model",
            json!({"functionCall": {"id": id, "name": tool, "args": args}}),
        ),
        Said::Result { id, text } => (
            "user",
            json!({"functionResponse": {"id": id, "name": "search", "response": {"output": text}}}),
        ),
        Said::Shown(text) => {
            let image = json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}});
            return json!({"role": "user", "parts": [{"text": text}, image]});
        }
        Said::Noted(text) => (
            "model",
            json!({"text": text, "thought": true, "thoughtSignature": "c2ln"}),
        ),
    };
    json!({"role": role, "parts": [part]})
}

/// Path, host, name of the member with the turns, and function that writes a turn.
pub(super) type Format = (&'static str, &'static str, &'static str, fn(&Said) -> Value);

pub(super) const FORMATS: [Format; 5] = [
    (
        "/v1/chat/completions",
        "api.openai.com",
        "messages",
        chat_turn,
    ),
    ("/v1/responses", "api.openai.com", "input", item),
    (
        "/v1/messages",
        "api.anthropic.com",
        "messages",
        anthropic_turn,
    ),
    (
        "/model/anthropic.claude-sonnet-4-v1:0/converse",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "messages",
        converse_turn,
    ),
    (
        "/v1beta/models/gemini-2.5-pro:generateContent",
        "generativelanguage.googleapis.com",
        "contents",
        gemini_turn,
    ),
];

pub(super) fn request(format: &Format, turns: &[Said]) -> HttpMessage {
    let (path, host, member, written) = format;
    let turns: Vec<Value> = turns.iter().map(written).collect();
    let mut body = json!({"padding": "-".repeat(1_024), *member: turns});
    if !path.starts_with("/v1beta") && !path.starts_with("/model") {
        body["model"] = json!("m-1");
    }
    let headers = [
        (":method", "POST"),
        (":path", path),
        (":authority", host),
        ("content-type", "application/json"),
        ("x-request-id", "r-1"),
    ];
    HttpMessage::new(&headers, body.to_string().as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The same turns, among others and in another order, lead to the same decision as alone.
    #[test]
    fn the_decision_on_a_conversation_does_not_depend_on_earlier_ones(
        turns in prop::collection::vec(any_turn(), 4..8),
        orders in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 1..8), 3),
    ) {
        let orders: Vec<Vec<Said>> = orders
            .iter()
            .map(|order| order.iter().map(|at| at.get(&turns).clone()).collect())
            .collect();
        let orders = orders.iter().chain([&turns]);
        let requests: Vec<HttpMessage> = orders
            .flat_map(|turns| FORMATS.iter().map(|format| request(format, turns)))
            .collect();
        let alone: Vec<_> = requests
            .iter()
            .map(|request| outcome_alone(POLICY, request))
            .collect();
        let known = guard(POLICY);
        for _ in 0..4 {
            for (request, alone) in requests.iter().zip(&alone) {
                prop_assert_eq!(&outcome(&known, request), alone);
            }
        }
    }
}
