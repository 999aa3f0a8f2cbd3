//! Common setup of the tests: policies, bodies, and an Envoy with a listener for each header mode.

use harness::{Answer, Envoy, Http, Listening, Request, Response, Setup, Site, Version};
use serde_json::{Value, json};

/// Time at which request headers are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// At once.
    Portable,
    /// With the evaluated body.
    Hold,
}

impl Mode {
    /// Both modes.
    pub const BOTH: [Mode; 2] = [Mode::Portable, Mode::Hold];

    /// Returns the mode's name in a policy, which is also the name of its listener.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Portable => "portable",
            Mode::Hold => "hold",
        }
    }
}

/// Returns a policy that allows by default.
pub fn policy(rules: Value) -> Value {
    json!({
        "apiVersion": "agentguard.dev/v1",
        "kind": "AgentPolicy",
        "metadata": {"name": "test"},
        "defaults": {"action": "allow"},
        "rules": rules,
    })
}

/// Sets more keys at the top of a policy.
pub fn with(mut policy: Value, keys: Value) -> Value {
    if let (Some(policy), Value::Object(keys)) = (policy.as_object_mut(), keys) {
        policy.extend(keys);
    }
    policy
}

/// Sets the header mode of a policy.
pub fn in_mode(policy: &Value, mode: Mode) -> Value {
    with(policy.clone(), json!({"envoy": {"headers": mode.word()}}))
}

/// Creates a listener for each header mode.
pub fn sites(policy: &Value) -> Vec<Site> {
    Mode::BOTH
        .map(|mode| Site::new(mode.word(), &in_mode(policy, mode)))
        .to_vec()
}

/// Returns an Envoy with a listener for each header mode.
pub fn both_modes(version: Version, policy: &Value) -> Envoy {
    Setup::new(version, sites(policy)).lease()
}

/// Guard that prints the case of a failed test.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in this case: {}", self.0);
        }
    }
}

/// Runs a case of a test; a failure names it.
pub fn case<T>(name: &str, run: impl FnOnce() -> T) -> T {
    let _told = Told(name.to_owned());
    run()
}

/// Runs a test in both header modes and over both protocols.
pub fn in_every_way(envoy: &Envoy, mut test: impl FnMut(&Listening, Mode, Http)) {
    for mode in Mode::BOTH {
        for http in Http::BOTH {
            case(&format!("{mode:?}, HTTP/{http:?}"), || {
                test(envoy.site(mode.word()), mode, http);
            });
        }
    }
}

/// Returns the body of a request to the model.
pub fn says(text: &str) -> Vec<u8> {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
        .to_string()
        .into_bytes()
}

/// Returns a response with one choice.
pub fn completion(message: Value, finish: &str) -> Vec<u8> {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": null}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    })
    .to_string()
    .into_bytes()
}

/// Returns a response with a text.
pub fn answers(text: &str) -> Answer {
    let message = json!({"role": "assistant", "content": text, "refusal": null});
    Answer::json(200, &completion(message, "stop"))
}

/// Returns a response that calls tools, each with its arguments.
pub fn calls(tools: &[(&str, &str)]) -> Answer {
    let calls: Vec<Value> = tools
        .iter()
        .enumerate()
        .map(|(at, (name, arguments))| {
            json!({
                "id": format!("call_{at}"), "type": "function",
                "function": {"name": name, "arguments": arguments},
            })
        })
        .collect();
    let message =
        json!({"role": "assistant", "content": null, "tool_calls": calls, "refusal": null});
    Answer::json(200, &completion(message, "tool_calls"))
}

/// Returns a rule against a word of the user.
pub fn no_weapons() -> Value {
    json!({
        "id": "no-weapons",
        "match": {"event": "message", "from": "user"},
        "when": {"text": {"contains": "forbidden"}},
        "action": "deny",
        "reason": "We don't talk about this.",
        "remedy": "Ask something else.",
    })
}

/// Returns a rule that denies responses with two words.
pub fn no_recipes() -> Value {
    json!({
        "id": "no-recipes",
        "match": {"event": "response"},
        "when": {"text": {"contains": "secret recipe"}},
        "action": "deny",
        "reason": "The recipe stays here.",
    })
}

/// Returns a rule that masks card numbers in both directions.
pub fn mask_cards() -> Value {
    json!({
        "id": "mask-cards",
        "match": {"event": ["message", "response"]},
        "when": {"text": {"detects": "credit_card"}},
        "action": "redact",
    })
}

/// Returns a request that the rule against a word denies.
pub fn forbidden() -> Request {
    Request::chat(says("the forbidden word"))
}

/// Returns the error in a denial, after checking the properties that all denials share.
#[track_caller]
pub fn refusal(response: &Response, status: u16, code: &str) -> Value {
    let body = response.json();
    assert_eq!(response.status, status, "{body}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("x-should-retry"), Some("false"));
    assert_eq!(response.header("x-agentguard-code"), Some(code));
    assert_eq!(response.length, Some(response.body.len()));
    let error = &body["error"];
    assert_eq!(error["code"], "agentguard_denied");
    assert_eq!(error["agentguard"]["code"], code);
    assert_eq!(
        error["agentguard"]["request_id"],
        response
            .header("x-agentguard-request-id")
            .expect("every refusal names the request")
    );
    error.clone()
}
