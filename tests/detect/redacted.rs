//! What leaves after a redaction holds the value in no form: in strings, in JSON within strings, in URLs, in every disguise.

use std::rc::Rc;

use agentguard::detect::NormalisedText;
use agentguard::flow::Guard;
use agentguard::flow::simulation::{self, HttpMessage, run};
use agentguard::policy::load_json;
use serde_json::{Value, json};

use super::generated::disguises;
use super::values::{Dice, KINDS, TOKENS};

/// Values of each kind.
const DRAWS: usize = 4;

fn guard(detector: &str) -> Rc<Guard> {
    guard_that(detector, &json!({"label": "[gone]"}))
}

fn guard_that(detector: &str, redacts: &Value) -> Rc<Guard> {
    let policy = json!({
        "apiVersion": "agentguard.dev/v1", "kind": "AgentPolicy", "metadata": {"name": "t"},
        "defaults": {"action": "allow"},
        "rules": [{
            "id": "hide", "match": {"event": "message"}, "action": "redact",
            "when": {"text": {"detects": [detector]}},
            "redact": redacts,
        }],
    });
    let loaded = load_json(policy.to_string().as_bytes());
    simulation::guard(loaded.policy.unwrap()).unwrap()
}

/// The body as it reaches the model.
fn sent(guard: &Rc<Guard>, body: &Value) -> Value {
    let headers = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        (":authority", "api.openai.com"),
        ("content-type", "application/json"),
    ];
    let request = HttpMessage::new(&headers, body.to_string().as_bytes());
    let answer = HttpMessage::new(&[(":status", "200")], b"");
    let seen = run(guard, &request, |_| answer, 1_763_622_245_000_000_000);
    serde_json::from_slice(&seen.upstream.unwrap().body()).unwrap()
}

fn says(text: &str) -> Value {
    // Two authors in turn, so that no text is joined with the next.
    json!([{"role": "user", "content": text}, {"role": "assistant", "content": "\"ok\" \\ 🙂"}])
}

#[test]
fn nothing_of_a_value_is_left_in_any_form() {
    let kinds = KINDS.iter().map(|kind| {
        let draw: Box<dyn Fn(&mut Dice) -> String> = Box::new(|dice| kind.value(dice));
        (kind.name, kind.word, draw)
    });
    let tokens = TOKENS.iter().map(|token| {
        let draw: Box<dyn Fn(&mut Dice) -> String> = Box::new(|dice| token.value(dice));
        (token.name, "token", draw)
    });
    for (name, word, draw) in kinds.chain(tokens) {
        let guard = guard(name);
        let mut dice = Dice(23);
        for _ in 0..DRAWS {
            let value = draw(&mut dice);
            let mut forms: Vec<String> = disguises(&value)
                .into_iter()
                .map(|(_, hidden)| hidden)
                .collect();
            forms.push(value.clone());
            let texts = |shown: &dyn Fn(&str) -> String| {
                let mut messages: Vec<Value> = Vec::new();
                for form in &forms {
                    let form = shown(form);
                    let text = format!("\"my\" {word} is {form}, ok\n");
                    messages.extend(says(&text).as_array().unwrap().clone());
                }
                let form = shown(&value);
                let page = format!("see https://x.example/?{word}={form}&n=1 \\ 🙂");
                messages.extend(says(&page).as_array().unwrap().clone());
                json!({"model": "m", "messages": messages})
            };
            let given = texts(&str::to_owned);
            let expected = texts(&|_| "[gone]".to_owned());
            assert_eq!(sent(&guard, &given), expected, "{name}: {value}");
        }
    }
}

#[test]
fn a_mask_leaves_no_letter_and_no_digit_in_any_disguise() {
    for kind in KINDS {
        let guard = guard_that(kind.name, &json!({"with": "mask"}));
        let value = kind.value(&mut Dice(29));
        for (how, hidden) in disguises(&value) {
            let given = json!({"model": "m", "messages": says(&format!("my {} is {hidden}, ok", kind.word))});
            let sent = sent(&guard, &given);
            let text = sent["messages"][0]["content"].as_str().unwrap();
            let masked = text.strip_prefix(&format!("my {} is ", kind.word)).unwrap();
            let masked = masked.strip_suffix(", ok").unwrap();
            let read =
                NormalisedText::of(masked).map_or(masked.to_owned(), |view| view.text().to_owned());
            assert!(
                !read.contains(char::is_alphanumeric),
                "{} in {how}: {masked}",
                kind.name
            );
        }
    }
}

#[test]
fn arguments_that_are_json_in_a_string_stay_json() {
    let guard = guard("credit_card");
    let body = |card: &str| {
        let inner = json!({"note": format!("\"pay\" {card} \\ now"), "n": 1.5}).to_string();
        let arguments = json!({"inner": inner, "list": [card, "x"], "odd\"key": card}).to_string();
        json!({"model": "m", "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "pay", "arguments": arguments}}
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": format!("{{\"card\":\"{card}\"}}")},
        ]})
    };
    assert_eq!(sent(&guard, &body("4111-1111-1111-1111")), body("[gone]"));
}
