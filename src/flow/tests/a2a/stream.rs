//! Tasks that an agent works on while the client listens.

use super::super::stream::streamed;
use super::*;

fn events(messages: &[Value]) -> Vec<u8> {
    let lines = messages
        .iter()
        .map(|message| format!("data: {message}\r\n\r\n"));
    lines.collect::<String>().into_bytes()
}

fn read(seen: &SimulatedResult) -> Vec<Value> {
    let text = String::from_utf8(seen.client.body()).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
    lines
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn chunk(id: &str, text: &str, append: bool, last: bool) -> Value {
    json!({"artifactUpdate": {"taskId": "t", "contextId": "c", "artifact": {"artifactId": id, "name": "report",
        "parts": [{"text": text}]}, "append": append, "lastChunk": last}})
}

fn state(state: &str, text: &str) -> Value {
    json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": state, "message":
        {"messageId": "n", "role": "ROLE_AGENT", "parts": [{"text": text}]}}}})
}

fn listens() -> HttpMessage {
    sent(
        "POST",
        "/message:stream",
        &[("a2a-version", "1.0")],
        json!({"message": said("hi")}).to_string().as_bytes(),
    )
}

fn in_rpc(messages: &[Value]) -> Vec<Value> {
    messages
        .iter()
        .map(|result| json!({"jsonrpc": "2.0", "id": "q-1", "result": result}))
        .collect()
}

const RULES: &str = "defaults: { action: allow }
rules:
  - { id: pii, match: { event: response }, when: { text: { detects: pii } }, action: redact }
  - { id: swan, match: { event: response }, when: { text: { contains: forbidden word } }, action: deny, reason: Not that word. }
";

fn text_of(messages: &[Value], id: &str) -> String {
    let updates = messages.iter().map(|message| {
        let update = message.get("result").unwrap_or(message);
        &update["artifactUpdate"]["artifact"]
    });
    updates
        .filter(|artifact| artifact["artifactId"] == id)
        .map(|artifact| artifact["parts"][0]["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_chunks_of_an_artifact_are_one_text_and_its_copy_is_the_same_text() {
    let guard = guard(RULES);
    let whole = json!({"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": [
        {"artifactId": "a1", "parts": [{"text": "pay 4111 11"}, {"text": "11 1111 1111 now"}]}]}});
    let body = events(&in_rpc(&[
        chunk("a1", "pay 4111 11", false, false),
        state("TASK_STATE_WORKING", "nearly"),
        chunk("a2", "11 1111 1111", false, true),
        chunk("a1", "11 1111 1111 now", true, true),
        whole,
    ]));
    let seen = exchange(
        &guard,
        &rpc("message/stream", json!({"message": said("hi")})),
        streamed(&body, &[]),
    );
    let messages = read(&seen);
    assert_eq!(messages.len(), 5);
    assert_eq!(text_of(&messages, "a1"), "pay [CREDIT_CARD] now");
    assert_eq!(text_of(&messages, "a2"), "11 1111 1111");
    let last = &messages[4]["result"]["task"]["artifacts"][0]["parts"];
    assert_eq!(
        last,
        &json!([{"text": "pay [CREDIT_CARD]"}, {"text": " now"}])
    );
    let record = record(&seen);
    assert_eq!(record["rules"][0]["at"], "#artifact/0");
    assert_eq!(record["decision"], "redact");
}

/// Returns every text of a stream, in the order of its bytes.
fn texts(messages: &[Value]) -> Vec<String> {
    let text = |message: &Value| {
        let parts = [
            &message["artifactUpdate"]["artifact"]["parts"],
            &message["statusUpdate"]["status"]["message"]["parts"],
            &message["task"]["artifacts"][0]["parts"],
        ];
        let text = parts.iter().find_map(|parts| parts[0]["text"].as_str());
        text.unwrap_or_default().to_owned()
    };
    messages.iter().map(text).collect()
}

/// Clients that only show texts join chunks without `append`, and an agent that streams a message word by word sends
/// each word as a state. Findings across such texts are found, and text that was not released is edited. Findings in a
/// single text are found as well.
#[test]
fn what_a_client_joins_is_one_text_and_what_it_replaces_is_another() {
    let guard = guard(RULES);
    let working = |text: &str| state("TASK_STATE_WORKING", text);
    let anew = |text: &str| chunk("a", text, false, false);
    let more = |text: &str| chunk("a", text, true, false);
    let snapshot = |text: &str| {
        json!({"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"},
            "artifacts": [{"artifactId": "a", "parts": [{"text": text}]}]}})
    };
    let cases: &[(&str, Vec<Value>, &[&str])] = &[
        (
            "chunks without append",
            vec![anew("pay 4111 11"), anew("11 1111 1111 now")],
            &["pay 4111 11", "[CREDIT_CARD] now"],
        ),
        (
            "states",
            vec![working("pay 4111 11"), working("11 1111 1111 now")],
            &["pay 4111 11", "[CREDIT_CARD] now"],
        ),
        (
            "states beside an artifact",
            vec![working("4111 11"), anew("7"), working("11 1111 1111")],
            &["4111 11", "7", "[CREDIT_CARD]"],
        ),
        (
            "a chunk that replaces another is a text of its own",
            vec![anew("1"), anew("4111 1111 1111 1111"), anew("x")],
            &["1", "[CREDIT_CARD]", "x"],
        ),
        (
            "so is what is appended to it",
            vec![anew("1"), anew("4111 1111"), more(" 1111 1111 ok")],
            &["1", "[CREDIT_CARD]", " ok"],
        ),
        (
            "and a state",
            vec![working("1"), working("4111 1111 1111 1111"), working("2")],
            &["1", "[CREDIT_CARD]", "2"],
        ),
        (
            "an artifact that is sent anew each time",
            vec![
                anew("to 4111 1111"),
                anew("to 4111 1111 1111 1111"),
                more("!"),
            ],
            &["to 4111 1111", "to [CREDIT_CARD]", "!"],
        ),
        (
            "chunks that continue the artifact of a task",
            vec![snapshot("pay 4111 11"), more("11 1111 1111 now")],
            &["pay 4111 11", "[CREDIT_CARD] now"],
        ),
        (
            "and of a task that is sent once more",
            vec![
                anew("pay"),
                snapshot("pay 4111 11"),
                more("11 1111 1111 now"),
            ],
            &["pay", "pay 4111 11", "[CREDIT_CARD] now"],
        ),
        (
            "other artifacts are other texts",
            vec![anew("4111 11"), chunk("b", "11 1111 1111", false, false)],
            &["4111 11", "11 1111 1111"],
        ),
    ];
    for (why, said, expected) in cases {
        let seen = exchange(&guard, &listens(), streamed(&events(said), &[]));
        assert_eq!(texts(&read(&seen)), *expected, "{why}");
        let count = expected.concat().matches("[CREDIT_CARD]").count();
        let findings = &record(&seen)["findings"]["credit_card"];
        assert_eq!(findings.as_u64().unwrap_or(0), count as u64, "{why}");
    }
    for said in [
        [anew("the forbid"), anew("den word")],
        [working("the forbid"), working("den word")],
    ] {
        let seen = exchange(&guard, &listens(), streamed(&events(&said), &[]));
        assert_eq!(record(&seen)["decision"], "deny", "{said:?}");
        let left = String::from_utf8(seen.client.body()).unwrap();
        assert!(!left.contains("den word"), "{left}");
    }
}

/// The official SDKs join the parts of an artifact by line ends.
#[test]
fn parts_of_a_chunk_are_joined_directly_and_by_a_space() {
    let guard = guard(RULES);
    let seen = |parts: Value| {
        let mut update = chunk("a", "", false, false);
        update["artifactUpdate"]["artifact"]["parts"] = parts.clone();
        let task = json!({"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"},
            "artifacts": [{"artifactId": "a", "parts": parts}]}});
        [update, task].map(|message| {
            let body = events(&[message]);
            let seen = exchange(&guard, &listens(), streamed(&body, &[]));
            (record(&seen)["decision"].clone(), read(&seen))
        })
    };
    for (first, second) in [("a forbidden", "word"), ("a forbid", "den word")] {
        for (decision, _) in seen(json!([{"text": first}, {"text": second}])) {
            assert_eq!(decision, "deny", "{first}|{second}");
        }
    }
    let card = json!([{"text": "pay 4111 1111"}, {"text": "1111 1111 now"}, {"text": "at me@example.com"}]);
    for (decision, messages) in seen(card) {
        assert_eq!(decision, "redact");
        let text = messages[0].to_string();
        let parts = r#"[{"text":"pay [CREDIT_CARD]"},{"text":" now"},{"text":"at [EMAIL]"}]"#;
        assert!(text.contains(parts), "{text}");
    }
}

/// The length of one text is not compared with several texts together.
#[test]
fn a_rule_on_whole_texts_applies_to_each_of_them() {
    let policy = "defaults: { action: allow }
rules:
  - { id: long, match: { event: response, part: text }, when: { text: { length_greater_than: 10 } }, action: deny }
";
    let guard = guard(policy);
    let said: Vec<Value> = (0..9)
        .flat_map(|n| {
            [
                chunk("a", &format!("page {n}"), false, false),
                state("TASK_STATE_WORKING", &format!("step {n}")),
            ]
        })
        .collect();
    let seen = exchange(&guard, &listens(), streamed(&events(&said), &[]));
    let sorted = |mut messages: Vec<Value>| {
        messages.sort_by_key(ToString::to_string);
        messages
    };
    assert_eq!(sorted(read(&seen)), sorted(said));
}

#[test]
fn data_names_and_numbers_of_an_artifact_are_evaluated_with_their_frame() {
    let guard = guard(RULES);
    let with = |part: Value| json!({"artifactUpdate": {"taskId": "t", "artifact": {"artifactId": "a", "parts": [part]}}});
    let body = events(&[
        with(json!({"data": {"iban": "DE89370400440532013000"}})),
        with(json!({"text": "hello", "metadata": {"card": "4111 1111 1111 1111"}})),
    ]);
    let seen = exchange(&guard, &listens(), streamed(&body, &[]));
    let text = String::from_utf8(seen.client.body()).unwrap();
    assert!(!text.contains("DE89") && !text.contains("4111"), "{text}");
    let number = events(&[with(json!({"data": {"card": 4_111_111_111_111_111u64}}))]);
    let seen = exchange(&guard, &listens(), streamed(&number, &[]));
    let text = String::from_utf8(seen.client.body()).unwrap();
    assert!(
        !text.contains("4111"),
        "a number can't be edited, so that it is refused: {text}"
    );
}

#[test]
fn a_denied_stream_ends_with_the_error_of_its_binding() {
    let guard = guard(RULES);
    let said = [
        chunk("a1", "the forbid", false, false),
        chunk("a1", "den word", true, true),
        state("TASK_STATE_COMPLETED", "done"),
    ];
    let asked = rpc("message/stream", json!({"message": super::said("hi")}));
    let seen = exchange(&guard, &asked, streamed(&events(&in_rpc(&said)), &[]));
    let messages = read(&seen);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0]["id"], "q-1");
    assert_eq!(messages[0]["error"]["code"], -32010);
    assert_eq!(messages[0]["error"]["message"], "Not that word.");
    let seen = exchange(&guard, &listens(), streamed(&events(&said), &[]));
    let text = String::from_utf8(seen.client.body()).unwrap();
    assert!(text.starts_with("event: error\ndata: {"), "{text}");
    assert_eq!(read(&seen)[0]["error"]["status"], "INVALID_ARGUMENT");
}

#[test]
fn a_rule_knows_which_method_a_streamed_text_answers() {
    let policy = "defaults: { action: allow }
rules:
  - { id: only, match: { event: response, method: tasks/resubscribe }, when: { text: { contains: report } }, action: deny }
";
    let guard = guard(policy);
    let body = events(&in_rpc(&[
        chunk("a1", "the re", false, false),
        chunk("a1", "port", true, true),
    ]));
    let sends = |method: &str, params: Value| {
        let seen = exchange(&guard, &rpc(method, params), streamed(&body, &[]));
        record(&seen)["decision"].clone()
    };
    assert_eq!(sends("tasks/resubscribe", json!({"id": "t"})), "deny");
    assert_eq!(
        sends("message/stream", json!({"message": said("hi")})),
        "allow"
    );
}

#[test]
fn states_pass_while_an_artifact_waits() {
    let policy = "defaults: { action: allow }
rules:
  - { id: long, match: { event: response, part: text }, when: { text: { length_greater_than: 100 } }, action: deny }
";
    let guard = guard(policy);
    let working: Vec<Value> = (0..40)
        .map(|n| state("TASK_STATE_WORKING", &format!("step {n}")))
        .collect();
    let mut said = vec![chunk("a1", "begun", false, false)];
    said.extend(working.iter().cloned());
    let open = exchange(&guard, &listens(), streamed(&events(&said), &[]));
    assert_eq!(
        read(&open).len(),
        41,
        "the end of upstream ends the artifact"
    );
    assert_eq!(read(&open)[..40], working, "states don't wait for it");
}

#[test]
fn an_artifact_continues_after_its_declared_last_chunk() {
    let chunks = [
        chunk("a", "the forbid", true, true),
        chunk("a", "den word", true, false),
    ];
    let seen = exchange(&guard(RULES), &listens(), streamed(&events(&chunks), &[]));
    assert_eq!(record(&seen)["decision"], "deny");
    let left = String::from_utf8(seen.client.body()).unwrap();
    assert!(!left.contains("den word"), "{left}");
}
