//! Conversations that the provider stores: after a denied call every client can continue, in every way that the API
//! has.
//!
//! The provider in these tests is as strict as OpenAI's: an unknown id is 404, a call without a result is 400.

use super::stream::streamed;
use super::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

const POLICY: &str = "defaults: { action: allow }
rules:
  - id: no-wipe
    match: { tool: wipe }
    action: deny
    reason: Nothing is wiped here.
";

fn call(id: &str, name: &str) -> Value {
    json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"), "name": name,
           "arguments": "{}", "status": "completed"})
}

fn thought(id: &str) -> Value {
    json!({"type": "reasoning", "id": format!("rs_{id}"), "summary": []})
}

fn post(body: &Value) -> HttpMessage {
    request("POST", "/v1/responses", &body.to_string())
}

fn request(method: &str, path: &str, body: &str) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", method),
            (":path", path),
            (":authority", "api.openai.com"),
            ("content-type", "application/json"),
            ("content-length", &body.len().to_string()),
            ("x-request-id", "r-1"),
        ],
        body.as_bytes(),
    )
}

fn responds(status: &str, body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[(":status", status), ("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

/// Provider that stores responses and their items.
#[derive(Default)]
struct Provider {
    items: RefCell<BTreeSet<String>>,
    /// Calls that wait for a result, by response.
    open: RefCell<BTreeMap<String, Vec<String>>>,
    /// Received requests.
    heard: RefCell<Vec<Value>>,
}

impl Provider {
    /// Returns the error for an invalid request, in OpenAI's words.
    fn denies(&self, asked: &Value) -> Option<HttpMessage> {
        let error = |status, message: String| {
            Some(responds(
                status,
                &json!({"error": {"message": message, "type": "invalid_request_error"}}),
            ))
        };
        let mut open: Vec<String> = Vec::new();
        if let Some(previous) = asked.get("previous_response_id") {
            let answers = self.open.borrow();
            let Some(calls) = previous.as_str().and_then(|id| answers.get(id)) else {
                return error(
                    "400",
                    format!("Previous response with id '{previous}' not found."),
                );
            };
            open.clone_from(calls);
        }
        for item in asked["input"].as_array().into_iter().flatten() {
            let id = item["id"].as_str().unwrap_or_default();
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
            if id.len() > 64 || !id.bytes().all(is_plain) {
                return error("400", format!("Invalid 'input[].id': '{id}'."));
            }
            match item["type"].as_str() {
                Some("item_reference") if !self.items.borrow().contains(id) => {
                    return error("404", format!("Item with id '{id}' not found."));
                }
                Some("item_reference") if id.starts_with("fc_") => {
                    open.push(id.replacen("fc_", "call_", 1));
                }
                Some("function_call") => open.push(item["call_id"].as_str().unwrap().to_owned()),
                Some("function_call_output") => {
                    let answered = item["call_id"].as_str().unwrap();
                    let Some(at) = open.iter().position(|call| call == answered) else {
                        return error("400", format!("No tool call found for {answered}."));
                    };
                    open.remove(at);
                }
                _ => {}
            }
        }
        let call = open.first()?;
        error(
            "400",
            format!("No tool output found for function call {call}."),
        )
    }

    fn answers(&self, sent: &HttpMessage, id: &str, output: &[Value]) -> HttpMessage {
        let asked: Value = serde_json::from_slice(&sent.body()).unwrap();
        self.heard.borrow_mut().push(asked.clone());
        if let Some(refusal) = self.denies(&asked) {
            return refusal;
        }
        let of = |name: &str| -> Vec<String> {
            let ids = output.iter().filter_map(|item| item[name].as_str());
            ids.map(str::to_owned).collect()
        };
        self.items.borrow_mut().extend(of("id"));
        self.open.borrow_mut().insert(id.to_owned(), of("call_id"));
        let whole = json!({"id": id, "object": "response", "created_at": 7, "status": "completed", "model": "gpt-5",
                           "store": asked["store"] != json!(false), "output": output});
        match asked["stream"] == json!(true) {
            false => responds("200", &whole),
            true => streamed(&events(&whole), &[]),
        }
    }
}

/// Returns the events of a response.
fn events(whole: &Value) -> Vec<u8> {
    let mut begun = whole.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    let mut events = vec![json!({"type": "response.created", "response": begun})];
    for (at, item) in whole["output"].as_array().unwrap().iter().enumerate() {
        for kind in ["added", "done"] {
            events.push(json!({"type": format!("response.output_item.{kind}"), "output_index": at, "item": item}));
        }
    }
    events.push(json!({"type": "response.completed", "response": whole}));
    let mut out = Vec::new();
    for (number, mut event) in events.into_iter().enumerate() {
        event["sequence_number"] = json!(number);
        let name = event["type"].as_str().unwrap().to_owned();
        out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    }
    out
}

/// Returns the whole response as the client has it, streamed or not.
fn whole_of(seen: &SimulatedResult) -> Value {
    let body = String::from_utf8(seen.client.body()).unwrap();
    let last = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .next_back();
    match last {
        None => serde_json::from_str(&body).unwrap(),
        Some(last) => serde_json::from_str::<Value>(last).unwrap()["response"].clone(),
    }
}

fn turn(
    guard: &Rc<Guard>,
    provider: &Provider,
    asked: &Value,
    id: &str,
    output: &[Value],
) -> Value {
    let seen = run(
        guard,
        &post(asked),
        |sent| provider.answers(sent, id, output),
        NOW,
    );
    assert_eq!(
        seen.client.status(),
        Some(200),
        "{:?}",
        String::from_utf8(seen.client.body())
    );
    whole_of(&seen)
}

fn said(text: &str) -> Value {
    json!({"type": "message", "id": "msg_2", "role": "assistant", "status": "completed",
           "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

#[test]
fn a_client_that_refers_to_items_continues_after_a_denied_call() {
    for stream in [false, true] {
        let guard = guard(POLICY);
        let provider = Provider::default();
        let user = json!({"role": "user", "content": "clean up"});
        let first = json!({"model": "gpt-5", "stream": stream, "input": [user]});
        let output = [thought("1"), call("1", "wipe")];
        let got = turn(&guard, &provider, &first, "resp_1", &output);
        let id = got["output"][1]["id"].as_str().unwrap();
        assert!(id.starts_with("msg_agentguard"), "{id}");
        assert_eq!(
            got["output"][1]["content"][0]["text"],
            "Nothing is wiped here."
        );
        let refer = |id: &str| json!({"type": "item_reference", "id": id});
        let again = json!({"model": "gpt-5", "stream": stream,
                           "input": [user, refer("rs_1"), refer(id), {"role": "user", "content": "and now?"}]});
        let got = turn(&guard, &provider, &again, "resp_2", &[said("Fine.")]);
        assert_eq!(got["output"][0]["content"][0]["text"], "Fine.");
        // The reasoning is still followed by its call, and the model reads the call's outcome.
        let heard = provider.heard.borrow();
        assert_eq!(
            heard[1]["input"],
            json!([user, refer("rs_1"), refer("fc_1"),
                   {"type": "function_call_output", "call_id": "call_1",
                    "output": "This call was denied by policy. It did not run."},
                   {"role": "user", "content": "and now?"}])
        );
    }
}

#[test]
fn a_client_that_sends_the_whole_conversation_continues_after_a_denied_call() {
    for stream in [false, true] {
        let guard = guard(POLICY);
        let provider = Provider::default();
        let user = json!({"role": "user", "content": "clean up"});
        let first = json!({"model": "gpt-5", "stream": stream, "input": [user]});
        let output = [call("1", "wipe"), call("2", "wipe")];
        let got = turn(&guard, &provider, &first, "resp_1", &output);
        let again = json!({"model": "gpt-5", "stream": stream,
                           "input": [user, got["output"][0], got["output"][1], {"role": "user", "content": "and now?"}]});
        turn(&guard, &provider, &again, "resp_2", &[said("Fine.")]);
        let heard = provider.heard.borrow();
        let ids = |at: usize| heard[1]["input"][at]["id"].clone();
        assert_eq!([ids(1), ids(2)], ["msg_agentguard_1", "msg_agentguard_2"]);
        assert_eq!(heard[1]["input"][1]["content"], got["output"][0]["content"]);
    }
}

#[test]
fn the_client_sends_results_of_its_calls_and_those_of_denied_calls_are_added() {
    for stream in [false, true] {
        let guard = guard(POLICY);
        let provider = Provider::default();
        let tools =
            json!([{"type": "function", "name": "wipe"}, {"type": "function", "name": "look"}]);
        let first =
            json!({"model": "gpt-5", "stream": stream, "input": "clean up", "tools": tools});
        let output = [call("1", "wipe"), call("2", "look"), call("3", "wipe")];
        let got = turn(&guard, &provider, &first, "resp_1", &output);
        let refer = |at: usize| json!({"type": "item_reference", "id": got["output"][at]["id"]});
        let result = json!({"type": "function_call_output", "call_id": "call_2", "output": "dust"});
        let again = json!({"model": "gpt-5", "stream": stream,
                           "input": [refer(0), refer(1), refer(2), result]});
        turn(&guard, &provider, &again, "resp_2", &[said("Fine.")]);
        let by_id = json!({"model": "gpt-5", "previous_response_id": got["id"], "input": [result]});
        turn(&guard, &provider, &by_id, "resp_3", &[said("Fine.")]);
        let heard = provider.heard.borrow();
        let answered: Vec<&str> = heard[2]["input"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["call_id"].as_str().unwrap())
            .collect();
        assert_eq!(answered, ["call_1", "call_3", "call_2"]);
    }
}

#[test]
fn a_client_that_continues_by_the_response_s_id_continues_after_denied_calls_in_several_turns() {
    for input in [
        json!("and now?"),
        json!([{"role": "user", "content": "and now?"}]),
        json!([]),
        Value::Null,
    ] {
        let guard = guard(POLICY);
        let provider = Provider::default();
        let mut previous = Value::Null;
        for number in 1..4 {
            let mut asked =
                json!({"model": "gpt-5", "input": input, "previous_response_id": previous});
            if number == 1 {
                asked = json!({"model": "gpt-5", "input": "clean up"});
            }
            let output = [call(&number.to_string(), "wipe")];
            let got = turn(
                &guard,
                &provider,
                &asked,
                &format!("resp_{number}"),
                &output,
            );
            assert_eq!(
                got["id"],
                format!("resp_agentguard~resp_{number}~fcall_{number}")
            );
            previous = got["id"].clone();
        }
        let heard = provider.heard.borrow();
        assert_eq!(heard[2]["previous_response_id"], "resp_2");
        assert_eq!(heard[2]["input"][0]["call_id"], "call_2");
        if input.is_string() {
            assert_eq!(
                heard[2]["input"][1],
                json!({"type": "message", "role": "user", "content": "and now?"})
            );
        }
    }
}

/// Returns the response object in a stream's first event.
fn first_of(seen: &SimulatedResult) -> Value {
    let body = String::from_utf8(seen.client.body()).unwrap();
    let first = body
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    serde_json::from_str::<Value>(first).unwrap()["response"].clone()
}

#[test]
fn a_streamed_response_of_calls_alone_has_its_id_from_the_first_event_on() {
    let tools = json!([{"type": "function", "name": "wipe"}]);
    for (output, id) in [
        (
            vec![
                thought("1"),
                call("1", "wipe"),
                call("2", "look"),
                call("3", "wipe"),
            ],
            "resp_agentguard~resp_1~fcall_1~fcall_3",
        ),
        (vec![call("2", "look")], "resp_1"),
    ] {
        let whole = json!({"id": "resp_1", "object": "response", "created_at": 7, "status": "completed",
                           "model": "gpt-5", "store": true, "output": output});
        // The same applies to a request that continues another response.
        for previous in [Value::Null, json!("resp_0")] {
            let asked = json!({"model": "m", "stream": true, "input": "x", "tools": tools, "previous_response_id": previous});
            let body = events(&whole);
            for cuts in [vec![], (0..body.len()).step_by(37).collect::<Vec<_>>()] {
                let seen = exchange(&guard(POLICY), &post(&asked), streamed(&body, &cuts));
                assert_eq!(first_of(&seen)["id"], id);
                assert_eq!(whole_of(&seen)["id"], id);
                if id == "resp_1" {
                    assert_eq!(seen.client.body(), body);
                }
            }
        }
    }
}

#[test]
fn text_does_not_wait_for_later_calls() {
    let tools = json!([{"type": "function", "name": "wipe"}]);
    let whole = json!({"id": "resp_1", "object": "response", "created_at": 7, "status": "completed", "model": "gpt-5",
                       "store": true, "output": [said("Let me see."), call("1", "wipe")]});
    let body = events(&whole);
    let text = String::from_utf8(body.clone()).unwrap();
    let asked = json!({"model": "m", "stream": true, "input": "x", "tools": tools});
    // Only the text has arrived.
    let cut = text.find("\"function_call\"").unwrap();
    let until = text.get(..cut).unwrap().rfind("event: ").unwrap();
    let seen = exchange(&guard(POLICY), &post(&asked), streamed(&body[..until], &[]));
    assert!(
        String::from_utf8(seen.client.body())
            .unwrap()
            .contains("Let me see.")
    );
    let seen = exchange(&guard(POLICY), &post(&asked), streamed(&body, &[]));
    assert_eq!(first_of(&seen)["id"], "resp_1");
    // OpenAI's packages raise an error if a later event has another id than the first.
    assert_eq!(whole_of(&seen)["id"], "resp_1");
    // The id has been sent, so that a client that continues by it could not go on.
    let mut asked = asked;
    asked["previous_response_id"] = json!("resp_0");
    let seen = exchange(&guard(POLICY), &post(&asked), streamed(&body, &[]));
    assert!(
        String::from_utf8(seen.client.body())
            .unwrap()
            .contains("event: error")
    );
}

#[test]
fn a_request_without_input_gets_one_for_the_results() {
    let guard = guard(POLICY);
    let asked = json!({"model": "gpt-5", "previous_response_id": "resp_agentguard~resp_1~fcall_1"});
    let seen = exchange(&guard, &post(&asked), hello());
    let upstream: Value = serde_json::from_slice(&seen.upstream.unwrap().body()).unwrap();
    assert_eq!(upstream["previous_response_id"], "resp_1");
    assert_eq!(upstream["input"][0]["type"], "function_call_output");
    assert_eq!(upstream["input"].as_array().unwrap().len(), 1);
}

#[test]
fn every_kind_of_call_gets_its_own_kind_of_result() {
    for (kind, id, answer) in [
        (
            "function_call",
            "call_id",
            json!({"type": "function_call_output", "call_id": "c1", "output": "…"}),
        ),
        (
            "custom_tool_call",
            "call_id",
            json!({"type": "custom_tool_call_output", "call_id": "c1", "output": "…"}),
        ),
        (
            "apply_patch_call",
            "call_id",
            json!({"type": "apply_patch_call_output", "call_id": "c1", "status": "failed", "output": "…"}),
        ),
        (
            "shell_call",
            "call_id",
            json!({"type": "shell_call_output", "call_id": "c1",
                "output": [{"stdout": "", "outcome": {"type": "exit", "exit_code": 1}, "stderr": "…"}]}),
        ),
        (
            "local_shell_call",
            "call_id",
            json!({"type": "local_shell_call_output", "id": "c1", "output": "…"}),
        ),
        (
            "mcp_approval_request",
            "id",
            json!({"type": "mcp_approval_response", "approval_request_id": "c1", "approve": false, "reason": "…"}),
        ),
    ] {
        let guard = guard("defaults: { action: allow, tool_call: deny }\n");
        let mut item = json!({"type": kind, "id": "it_1", "name": "wipe", "arguments": "{}", "input": "x",
                              "action": {"commands": ["ls"], "command": ["ls"]},
                              "operation": {"type": "delete_file", "path": "a"}});
        item[id] = json!("c1");
        let whole = json!({"id": "resp_1", "object": "response", "status": "completed", "store": true, "output": [item]});
        let seen = exchange(
            &guard,
            &post(&json!({"model": "m", "input": "x"})),
            responds("200", &whole),
        );
        let got = whole_of(&seen);
        let asked = json!({"model": "m", "input": [{"type": "item_reference", "id": got["output"][0]["id"]}]});
        let seen = exchange(&guard, &post(&asked), hello());
        let body = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
        let upstream: Value = serde_json::from_str(
            &body.replace("This call was denied by policy. It did not run.", "…"),
        )
        .unwrap();
        assert_eq!(upstream["input"][1], answer, "{kind}");
    }
}

#[test]
fn items_that_are_not_stored_get_ids_without_a_reference() {
    for (asked, kept) in [
        (
            json!({"model": "m", "input": "x", "store": false}),
            Value::Null,
        ),
        (json!({"model": "m", "input": "x"}), json!(false)),
    ] {
        for stream in [false, true] {
            let guard = guard(POLICY);
            let mut asked = asked.clone();
            asked["stream"] = json!(stream);
            let mut whole = json!({"id": "resp_1", "object": "response", "status": "completed",
                                   "output": [call("68af", "wipe")]});
            if !kept.is_null() {
                whole["store"] = kept.clone();
            }
            let answer = match stream {
                false => responds("200", &whole),
                true => streamed(&events(&whole), &[]),
            };
            let got = whole_of(&exchange(&guard, &post(&asked), answer));
            assert_eq!(got["id"], "resp_1");
            assert_eq!(got["output"][0]["id"], "msg_agentguard_68af");
        }
    }
}

#[test]
fn references_to_nothing_are_removed_and_the_rest_stays_unchanged() {
    let guard = guard(POLICY);
    for (sent, left) in [
        (
            r#"{"model":"m", "input":[ {"type":"item_reference","id":"msg_agentguard_r-1"} , "a"]}"#,
            r#"{"model":"m", "input":[ "a"]}"#,
        ),
        (
            r#"{"model":"m", "input":["a" , {"id":"msg_agentguard_r-1"}]}"#,
            r#"{"model":"m", "input":["a"]}"#,
        ),
        (
            r#"{"model":"m", "input":[{"type":"item_reference","id":"msg_agentguard"}]}"#,
            r#"{"model":"m", "input":[]}"#,
        ),
        (
            r#"{"previous_response_id":"resp_agentguard_r-1","model":"m","input":"a"}"#,
            r#"{"model":"m","input":"a"}"#,
        ),
        (
            r#"{"model":"m","input":"a", "previous_response_id":"resp_agentguard_r-1" }"#,
            r#"{"model":"m","input":"a" }"#,
        ),
        // A message itself stays, and so does its id, unless OpenAI would reject it.
        (
            r#"{"model":"m","input":[{"type":"message","id":"msg_agentguard_1","role":"assistant","content":"No."}]}"#,
            r#"{"model":"m","input":[{"type":"message","id":"msg_agentguard_1","role":"assistant","content":"No."}]}"#,
        ),
        (
            r#"{"model":"m","input":[{"type":"message","id":"msg_agentguard~f~fc_0123456789012345678901234567890123456789~call_0123456789","role":"assistant","content":"No."}]}"#,
            r#"{"model":"m","input":[{"type":"message","id":"msg_agentguard_0123456789012345678901234567890123456789","role":"assistant","content":"No."}]}"#,
        ),
        (
            r#"{"model":"m","input":[{"type":"message","id":"msg_agentguard~f~fc_1~call_1","role":"assistant","content":"No."}]}"#,
            r#"{"model":"m","input":[{"type":"message","id":"msg_agentguard_1","role":"assistant","content":"No."}]}"#,
        ),
        // An id of the provider's own stays.
        (
            r#"{"model":"m","previous_response_id":"resp_1","input":[{"type":"item_reference","id":"msg_1"}]}"#,
            r#"{"model":"m","previous_response_id":"resp_1","input":[{"type":"item_reference","id":"msg_1"}]}"#,
        ),
    ] {
        let seen = exchange(&guard, &request("POST", "/v1/responses", sent), hello());
        let upstream = seen.upstream.unwrap();
        assert_eq!(String::from_utf8(upstream.body()).unwrap(), left);
        // The length was removed before the body was read.
        assert!(upstream.header("content-length").is_none());
    }
}

#[test]
fn a_forged_id_reaches_no_more_than_the_provider_s_own_id() {
    let guard = guard(POLICY);
    let long = "x".repeat(200);
    let many = "~fc".repeat(40);
    for id in [
        "resp_agentguard~".to_owned(),
        "resp_agentguard~r~".to_owned(),
        "resp_agentguard~r~zcall".to_owned(),
        "resp_agentguard~r~f".to_owned(),
        "resp_agentguard~r\"~fcall".to_owned(),
        "resp_agentguard~r~fca ll".to_owned(),
        format!("resp_agentguard~{long}"),
        format!("resp_agentguard~r{many}"),
    ] {
        let asked = json!({"model": "m", "previous_response_id": id, "input": "hi"});
        let seen = exchange(&guard, &post(&asked), hello());
        assert_eq!(
            serde_json::from_slice::<Value>(&seen.upstream.unwrap().body()).unwrap(),
            json!({"model": "m", "input": "hi"}),
            "{id}"
        );
    }
    for id in [
        "msg_agentguard~f~fc_1",
        "msg_agentguard~~fc_1~call_1",
        "msg_agentguard~f~~call_1",
        "msg_agentguard~f~fc_1~call_1~more",
        "msg_agentguard~ff~fc_1~call_1",
    ] {
        let asked = json!({"model": "m", "input": ["hi", {"type": "item_reference", "id": id}]});
        let seen = exchange(&guard, &post(&asked), hello());
        let upstream: Value = serde_json::from_slice(&seen.upstream.unwrap().body()).unwrap();
        assert_eq!(upstream["input"], json!(["hi"]), "{id}");
    }
    // Rules evaluate the id as it came. They also apply to the stored conversation that it stands for.
    let strict = "defaults: { action: allow, partial: deny }
rules:
  - id: secrets
    match: { event: message }
    when: { text: { detects: [secrets] } }
    action: deny
";
    for (id, passes) in [
        ("resp_agentguard_r-1", true),
        ("resp_agentguard~resp_1", false),
        (
            "resp_agentguard_ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            false,
        ),
    ] {
        let asked = json!({"model": "m", "previous_response_id": id, "input": "hi"});
        let seen = exchange(&super::guard(strict), &post(&asked), hello());
        assert_eq!(seen.upstream_complete, passes, "{id}");
    }
    // A result that the client sends itself is not added again.
    let asked = json!({"model": "m", "previous_response_id": "resp_agentguard~resp_1~fcall_1", "input": [
        {"type": "function_call_output", "call_id": "call_1", "output": "mine"}]});
    let seen = exchange(&guard, &post(&asked), hello());
    let upstream: Value = serde_json::from_slice(&seen.upstream.unwrap().body()).unwrap();
    assert_eq!(upstream["input"].as_array().unwrap().len(), 1);
}

#[test]
fn a_response_is_fetched_deleted_and_cancelled_by_the_client_s_id() {
    let guard = guard(POLICY);
    for (method, path, reached) in [
        (
            "GET",
            "/v1/responses/resp_agentguard~resp_1~fcall_1",
            "/v1/responses/resp_1",
        ),
        (
            "GET",
            "/v1/responses/resp_agentguard%7Eresp_1%7efcall_1?stream=false",
            "/v1/responses/resp_1?stream=false",
        ),
        (
            "DELETE",
            "/v1/responses/resp_agentguard~resp_1~fcall_1",
            "/v1/responses/resp_1",
        ),
        (
            "GET",
            "/openai/v1/responses/resp_agentguard~resp_1~fcall_1/input_items",
            "/openai/v1/responses/resp_1/input_items",
        ),
        ("GET", "/v1/responses/resp_1", "/v1/responses/resp_1"),
        (
            "GET",
            "/v1/responses/resp_agentguard_r-1",
            "/v1/responses/resp_agentguard_r-1",
        ),
    ] {
        let mut asked = request(method, path, "");
        asked
            .headers
            .retain(|(name, _)| name != b"content-type" && name != b"content-length");
        let whole = json!({"id": "resp_1", "object": "response", "status": "completed", "store": true,
                           "output": [call("1", "wipe")]});
        let seen = run(&guard, &asked, |_| responds("200", &whole), NOW);
        let upstream = seen.upstream.clone().unwrap();
        assert_eq!(
            upstream.header(":path"),
            Some(reached.as_bytes()),
            "{method} {path}"
        );
        if method == "GET" && !path.ends_with("input_items") {
            assert_eq!(whole_of(&seen)["id"], "resp_agentguard~resp_1~fcall_1");
        }
    }
}

#[test]
fn a_streamed_response_that_continues_by_id_and_a_stored_conversation_are_errors() {
    let guard = guard(POLICY);
    let whole = json!({"id": "resp_2", "object": "response", "status": "completed", "store": true,
                       "output": [call("1", "wipe")]});
    let asked =
        json!({"model": "m", "stream": true, "input": "x", "previous_response_id": "resp_1"});
    let seen = exchange(&guard, &post(&asked), streamed(&events(&whole), &[]));
    assert!(
        String::from_utf8(seen.client.body())
            .unwrap()
            .contains("event: error")
    );
    for conversation in [json!("conv_1"), json!({"id": "conv_1"})] {
        let asked = json!({"model": "m", "input": "x", "conversation": conversation});
        let seen = exchange(&guard, &post(&asked), responds("200", &whole));
        let got = whole_of(&seen);
        assert_eq!(got["output"][0]["content"][0]["type"], "refusal", "{got}");
        assert_eq!(got["id"], "resp_agentguard_r-1");
    }
    // A reference alone does not continue a stored conversation.
    let asked = json!({"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]});
    let got = whole_of(&exchange(&guard, &post(&asked), responds("200", &whole)));
    assert_eq!(got["output"][0]["content"][0]["type"], "output_text");
}

#[test]
fn a_response_whose_id_can_t_contain_its_open_calls_is_an_error_if_the_client_continues_by_id() {
    let guard = guard(POLICY);
    let mut odd = call("1", "wipe");
    odd["call_id"] = json!("call 1~");
    let whole = json!({"id": "resp_2", "object": "response", "status": "completed", "store": true, "output": [odd]});
    let asked = json!({"model": "m", "input": "x", "previous_response_id": "resp_1"});
    let got = whole_of(&exchange(&guard, &post(&asked), responds("200", &whole)));
    assert_eq!(got["output"][0]["content"][0]["type"], "refusal");
    let asked = json!({"model": "m", "input": "x"});
    let got = whole_of(&exchange(&guard, &post(&asked), responds("200", &whole)));
    assert_eq!(got["id"], "resp_2");
    assert_eq!(got["output"][0]["id"], "msg_agentguard_1");
}

#[test]
fn denied_responses_have_distinct_ids_that_openai_accepts() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - id: words
    match: { event: response }
    when: { text: { contains: swan } }
    action: deny
",
    );
    let whole = json!({"id": "resp_1", "object": "response", "status": "completed", "store": true,
                       "output": [said("a swan"), call("1", "look")]});
    let mut asked = post(&json!({"model": "m", "input": "x"}));
    asked.headers.retain(|(name, _)| name != b"x-request-id");
    asked.headers.push((
        b"x-request-id".to_vec(),
        b"3f2b8c1e-0000-4000-8000-00000000abcd".to_vec(),
    ));
    let got = whole_of(&exchange(&guard, &asked, responds("200", &whole)));
    let id = got["output"][0]["id"].as_str().unwrap();
    assert_eq!(id, "msg_agentguard_3f2b8c1e-0000-4000-8000-00000000abcd");
    assert!(id.len() <= 64);
    // The call that was removed with the text still waits for a result at the provider.
    assert_eq!(got["id"], "resp_agentguard~resp_1~fcall_1");
}

#[test]
fn signed_and_observed_requests_are_forwarded_unchanged() {
    let body = r#"{"model":"m","input":[{"type":"item_reference","id":"msg_agentguard_1"}]}"#;
    let mut signed = request("POST", "/v1/responses", body);
    signed.headers.push((
        b"authorization".to_vec(),
        b"AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=00".to_vec(),
    ));
    for (policy, asked) in [
        (POLICY.to_owned(), signed),
        (
            format!("mode: observe\n{POLICY}"),
            request("POST", "/v1/responses", body),
        ),
    ] {
        let seen = exchange(&guard(&policy), &asked, hello());
        assert_eq!(seen.upstream.unwrap().body(), body.as_bytes());
    }
}

#[test]
fn the_denial_of_a_redaction_in_a_signed_request_explains_itself() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - id: mask
    match: { event: message }
    when: { text: { detects: [email] } }
    action: redact
    reason: No addresses.
",
    );
    let body = r#"{"messages":[{"role":"user","content":[{"text":"ann@contoso.com"}]}]}"#;
    let mut asked = request("POST", "/model/amazon.nova-lite-v1:0/converse", body);
    asked.headers[2].1 = b"bedrock-runtime.us-east-1.amazonaws.com".to_vec();
    asked.headers.push((
        b"authorization".to_vec(),
        b"AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=00".to_vec(),
    ));
    let seen = exchange(&guard, &asked, hello());
    assert_eq!(record(&seen)["code"], "AG3005");
    assert_eq!(
        client_json(&seen)["message"],
        "No addresses. The request is signed (AWS Signature Version 4), and the signature covers the body: \
         leave signing to the proxy."
    );
}

#[test]
fn a_denied_interaction_can_t_be_continued() {
    let guard = guard(POLICY);
    for name in ["previous_interaction_id", "previousInteractionId"] {
        let body = format!(r#"{{"model":"gemini-3", "{name}":"agentguard-r-1", "input":"hi"}}"#);
        let mut asked = request("POST", "/v1beta/interactions", &body);
        asked.headers[2].1 = b"generativelanguage.googleapis.com".to_vec();
        let seen = exchange(&guard, &asked, hello());
        let left = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
        assert_eq!(left, r#"{"model":"gemini-3", "input":"hi"}"#);
    }
}

#[test]
fn a_finding_in_a_text_that_moves_into_a_list_is_replaced_there() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - id: mask
    match: { event: message }
    when: { text: { detects: [email] } }
    action: redact
  - id: no-wipe
    match: { tool: wipe }
    action: deny
",
    );
    let asked = json!({"model": "m", "input": "ann@contoso.com wrote to bob@contoso.com",
                       "previous_response_id": "resp_agentguard~resp_1~fcall_1"});
    let seen = exchange(&guard, &post(&asked), hello());
    let upstream: Value = serde_json::from_slice(&seen.upstream.unwrap().body()).unwrap();
    assert_eq!(upstream["input"][1]["content"], "[EMAIL] wrote to [EMAIL]");
}
