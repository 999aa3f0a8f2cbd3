//! Google's Code Assist, whose requests and responses contain those of Gemini.

use super::stream::streamed;
use super::*;

const POLICY: &str = "defaults: { action: allow, tool_call: allow }
rules:
  - { id: model, match: { event: request, model: 'gemini-*-pro' }, action: deny }
  - { id: mail, match: { event: [message, response] }, when: { text: { detects: email } }, action: redact }
  - { id: word, match: { event: [message, response] }, when: { text: { contains: forbidden } }, action: deny, on_deny: replace }
  - { id: tool, match: { event: tool_call, tool: drop_table }, action: deny }
";

fn ask(verb: &str, body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", &format!("/v1internal:{verb}")),
            (":authority", "cloudcode-pa.googleapis.com"),
            ("content-type", "application/json"),
        ],
        body.to_string().as_bytes(),
    )
}

fn says(text: &str) -> Value {
    json!({"model": "gemini-x", "project": "p-1", "user_prompt_id": "7", "request": {
        "contents": [{"role": "user", "parts": [{"text": text}]}], "session_id": "s-1"}})
}

fn answer(parts: &Value) -> Value {
    json!({"response": {"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 7}, "modelVersion": "gemini-x"},
        "traceId": "1f"})
}

fn whole(body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

fn in_stream(guard: &Rc<Guard>, frames: &[Value], cuts: &[usize]) -> SimulatedResult {
    let events = frames.iter().map(|frame| format!("data: {frame}\n\n"));
    let events = events.collect::<String>();
    let asked = ask("streamGenerateContent?alt=sse", &says("hi"));
    exchange(guard, &asked, streamed(events.as_bytes(), cuts))
}

/// Returns the parts that a client shows and runs.
fn parts(seen: &SimulatedResult) -> Vec<Value> {
    let body = String::from_utf8(seen.client.body()).unwrap();
    let frames = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str::<Value>(data).unwrap());
    frames
        .flat_map(|frame| {
            let parts = &frame["response"]["candidates"][0]["content"]["parts"];
            parts.as_array().expect("an envelope").clone()
        })
        .collect()
}

#[test]
fn a_request_in_an_envelope_is_evaluated_like_one_without() {
    in_both_modes(POLICY, |guard, _| {
        for verb in ["generateContent", "countTokens"] {
            let decided = |body: &Value| {
                record(&exchange(
                    guard,
                    &ask(verb, body),
                    whole(&answer(&json!([]))),
                ))
            };
            assert_eq!(decided(&says("hi"))["decision"], "allow", "{verb}");
            assert_eq!(decided(&says("hi"))["model"], "gemini-x");
            assert_eq!(decided(&says("hi"))["coverage"]["level"], "full");
            assert_eq!(decided(&says("a forbidden word"))["code"], "AG3001");
            let mut pro = says("hi");
            pro["model"] = json!("models/gemini-2.5-pro");
            assert_eq!(decided(&pro)["code"], "AG3001");
            // Another server may read the model at this place, or find no message.
            let mut inside = says("hi");
            inside["request"]["model"] = json!("gemini-2.5-pro");
            assert_eq!(decided(&inside)["code"], "AG3001");
            let empty = json!({"model": "gemini-x", "request": {}});
            assert_eq!(decided(&empty)["code"], "AG2001");
        }
        let mail = ask("generateContent", &says("jane@example.com"));
        let seen = exchange(guard, &mail, whole(&answer(&json!([]))));
        let upstream = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
        assert!(upstream.contains("[EMAIL]"), "{upstream}");
    });
}

#[test]
fn a_response_in_an_envelope_is_edited_and_denied_inside_it() {
    in_both_modes(POLICY, |guard, _| {
        let answered = |parts: &Value| {
            let asked = ask("generateContent", &says("hi"));
            let seen = exchange(guard, &asked, whole(&answer(parts)));
            (client_json(&seen), record(&seen))
        };
        let (body, _) = answered(&json!([{"text": "ask jane@example.com"}]));
        let parts = &body["response"]["candidates"][0]["content"]["parts"];
        assert_eq!(parts[0]["text"], "ask [EMAIL]");
        let (body, told) = answered(&json!([{"text": "a forbidden word"}]));
        assert_eq!(told["code"], "AG3001");
        let candidate = &body["response"]["candidates"][0];
        assert_eq!(candidate["finishReason"], "SAFETY", "{body}");
        assert!(!body.to_string().contains("forbidden word"));
        let call = |name: &str| json!({"functionCall": {"name": name, "args": {}}});
        let (body, told) = answered(&json!([call("drop_table"), call("read")]));
        assert_eq!(told["code"], "AG3001");
        let parts = &body["response"]["candidates"][0]["content"]["parts"];
        assert!(
            parts[0]["text"].is_string() && parts[1] == call("read"),
            "{body}"
        );
    });
}

#[test]
fn a_stream_in_envelopes_is_inspected_and_ends_in_one() {
    let call = |name: &str| answer(&json!([{"functionCall": {"name": name, "args": {"id": 7}}}]));
    let text = |text: &str| answer(&json!([{"text": text}]));
    in_both_modes(POLICY, |guard, _| {
        for cuts in [&[][..], &[40], &[100, 101, 250]] {
            let untouched = [text("Rain "), text("today")];
            let seen = in_stream(guard, &untouched, cuts);
            assert_eq!(record(&seen)["decision"], "allow");
            assert_eq!(record(&seen)["coverage"]["level"], "full");
            let seen = in_stream(guard, &[text("ask jane@exam"), text("ple.com now")], cuts);
            let said: String = parts(&seen)
                .iter()
                .filter_map(|part| part["text"].as_str().map(str::to_owned))
                .collect();
            assert_eq!(said, "ask [EMAIL] now");
            let seen = in_stream(guard, &[call("read"), call("drop_table")], cuts);
            let parts_seen = parts(&seen);
            assert_eq!(parts_seen[0]["functionCall"]["name"], "read");
            assert!(parts_seen[1]["text"].is_string(), "{parts_seen:?}");
            assert_eq!(record(&seen)["code"], "AG3001");
            let seen = in_stream(guard, &[text("a forbidden"), text(" word")], cuts);
            let told = parts(&seen);
            assert!(
                !told.is_empty() && !format!("{told:?}").contains("forbidden word"),
                "{told:?}"
            );
        }
    });
}

#[test]
fn requests_on_an_account_pass_without_a_model() {
    let allow_list = guard(
        "defaults: { action: deny }
rules:
  - { id: chat, match: { event: request, model: gemini-x }, action: allow }
  - { id: account, match: { event: request, protocol: gemini.code_assist, path: '/v1internal:*' }, action: allow }
",
    );
    for verb in [
        "loadCodeAssist",
        "onboardUser",
        "retrieveUserQuota",
        "listExperiments",
    ] {
        let asked = ask(verb, &json!({"metadata": {"ideType": "GEMINI_CLI"}}));
        let seen = exchange(
            &allow_list,
            &asked,
            whole(&json!({"currentTier": {"id": "free"}})),
        );
        assert_eq!(record(&seen)["decision"], "allow", "{verb}");
        assert_eq!(record(&seen)["coverage"]["level"], "full", "{verb}");
    }
    let unknown = ask("deleteEverything", &json!({}));
    let seen = exchange(&guard(POLICY), &unknown, whole(&json!({})));
    assert_eq!(record(&seen)["code"], "AG2007");
}
