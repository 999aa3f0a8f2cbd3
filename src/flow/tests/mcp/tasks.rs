//! Tasks: results that arrive in the response to another request.

use super::super::stream::streamed;
use super::*;

const RULES: &str = "defaults: { action: allow }
rules:
  - { id: secret, match: { event: tool_result }, when: { text: { contains: swan } }, action: deny, reason: No swans. }
  - { id: cards, match: { event: tool_result }, when: { text: { detects: credit_card } }, action: redact }
  - { id: rows, match: { event: tool_result, tool: sql }, when: { result.total: { greater_than: 100 } }, action: deny }
  - { id: failed, match: { event: tool_result }, when: { ok: false }, action: deny }
  - { id: no-urls, match: { event: request, method: elicitation/create }, when: { params.mode: url }, action: deny, reason: No pages. }
  - { id: words, match: { event: response }, when: { text: { contains: goose } }, action: deny, reason: No geese. }
";

/// Returns a task of 2026-07-28 with these members.
fn task(members: &Value) -> Value {
    let mut task = json!({"resultType": "complete", "taskId": "t-1", "status": "completed", "ttlMs": null,
        "createdAt": "2026-08-01T10:30:00Z", "lastUpdatedAt": "2026-08-01T10:31:00Z", "pollIntervalMs": 500});
    let all = task.as_object_mut().unwrap();
    all.extend(members.as_object().unwrap().clone());
    task
}

fn asks() -> HttpMessage {
    post(&request(1, "tasks/get", json!({"taskId": "t-1"})))
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

#[test]
fn a_task_passes_unchanged_in_every_state() {
    let guard = guard(RULES);
    for members in [
        json!({"status": "working", "statusMessage": "on it"}),
        json!({"result": text("done")}),
        json!({"result": {"content": [], "structuredContent": {"total": 100}, "isError": false}}),
        json!({"status": "failed", "error": {"code": -32603, "message": "no", "data": {"a": 1}}}),
        json!({"status": "cancelled"}),
        json!({"status": "input_required", "inputRequests": {"a": {"method": "roots/list"}}}),
        // Other responses have members with these names, too.
        json!({"result": "text", "error": "text"}),
        json!({"result": [1, 2], "error": null}),
    ] {
        let record = passes(&guard, &asks(), result(1, task(&members)));
        assert_eq!(record["decision"], "allow", "{members}");
        assert_eq!(record["coverage"]["level"], "full", "{members}");
    }
}

#[test]
fn a_result_inside_a_task_is_a_result() {
    in_both_modes(RULES, |guard, _| {
        for members in [
            json!({"result": text("a swan")}),
            json!({"result": {"content": [], "structuredContent": {"a": "swan"}}}),
            // The tool of the result is unknown.
            json!({"result": {"content": [], "structuredContent": {"total": 101}}}),
            json!({"result": {"content": [], "isError": true}}),
            json!({"status": "failed", "error": {"code": 1, "message": "a goose"}}),
            json!({"status": "input_required", "inputRequests": {"a": {"method": "elicitation/create",
                "params": {"mode": "url", "url": "https://x/", "message": "go"}}}}),
        ] {
            for body in [
                task(&members),
                json!({"task": task(&members)}),
                json!({"tasks": [task(&members)]}),
            ] {
                let answer = answered(guard, &asks(), result(1, body.clone()));
                assert_eq!(answer["error"]["code"], -32010, "{body}");
                assert_eq!(answer["id"], 1);
            }
        }
    });
}

#[test]
fn both_copies_of_a_result_inside_a_task_are_redacted() {
    let card = "4111 1111 1111 1111";
    let data = json!({"card": card});
    let told =
        json!({"content": [{"type": "text", "text": data.to_string()}], "structuredContent": data});
    in_both_modes(RULES, |guard, _| {
        for body in [
            task(&json!({"result": told})),
            json!({"tasks": [task(&json!({"result": told}))]}),
        ] {
            let answer = answered(guard, &asks(), result(1, body.clone()));
            assert_eq!(
                answer["result"].to_string(),
                body.to_string().replace(card, "[CREDIT_CARD]")
            );
        }
    });
}

#[test]
fn a_task_that_answers_a_call_has_the_result_of_its_tool() {
    let guard = guard(RULES);
    let body = task(&json!({"result": {"content": [], "structuredContent": {"total": 101}}}));
    let asked = |tool: &str| post(&call(1, tool, json!({})));
    let answer = answered(&guard, &asked("sql"), result(1, body.clone()));
    assert_eq!(answer["result"]["isError"], true);
    passes(&guard, &asked("other"), result(1, body));
}

#[test]
fn a_notification_of_a_task_is_evaluated_like_the_task() {
    let guard = guard(RULES);
    for method in ["notifications/tasks", "notifications/tasks/status"] {
        let told = |members: &Value| {
            let note = json!({"jsonrpc": "2.0", "method": method, "params": task(members)});
            let body = format!("data: {note}\n\n");
            let seen = exchange(
                &guard,
                &post(&request(
                    1,
                    "subscriptions/listen",
                    json!({"notifications": {"taskIds": ["t-1"]}}),
                )),
                streamed(body.as_bytes(), &[]),
            );
            (client_text(&seen), body)
        };
        let (seen, sent) = told(&json!({"result": text("done")}));
        assert_eq!(seen, sent);
        let (seen, _) = told(&json!({"result": text("a swan")}));
        assert!(!seen.contains("swan"), "{seen}");
        let (seen, sent) = told(&json!({"result": text("4111 1111 1111 1111")}));
        assert_eq!(seen, sent.replace("4111 1111 1111 1111", "[CREDIT_CARD]"));
    }
    // The notification is allowed like every notification that maintains a session.
    let guard = self::guard(ONLY_GITHUB);
    let note =
        json!({"jsonrpc": "2.0", "method": "notifications/tasks", "params": task(&json!({}))});
    let body = format!("data: {note}\n\n");
    let listens = with_headers(
        &[
            (":method", "GET"),
            (":path", "/mcp/github"),
            ("content-type", ""),
        ],
        b"",
    );
    let seen = exchange(&guard, &listens, streamed(body.as_bytes(), &[]));
    assert_eq!(client_text(&seen), body);
}

#[test]
fn protocol_members_of_a_client_s_tasks_are_no_texts() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: any, match: { event: message }, when: { text: { contains: '-0' } }, action: deny }
  - { id: goose, match: { event: message }, when: { text: { contains: goose } }, action: deny }
",
    );
    let told = |message: &str| {
        let task = json!({"taskId": "t-1", "status": "working", "statusMessage": message, "ttl": 60000,
            "createdAt": "2025-11-25T10:30:00Z", "lastUpdatedAt": "2025-11-25T10:30:00Z", "pollInterval": 5});
        [
            task.clone(),
            json!({"task": task}),
            json!({"tasks": [task], "nextCursor": "x"}),
        ]
        .map(|result| post(&json!({"jsonrpc": "2.0", "id": 0, "result": result})))
    };
    for message in told("thinking") {
        passes(&guard, &message, accepted());
    }
    for message in told("a goose") {
        assert_eq!(answer_denied(&guard, &message), denied_answer(&json!(0)));
    }
}

#[test]
fn a_page_to_open_in_an_error_is_a_request_of_the_server() {
    in_both_modes(RULES, |guard, _| {
        let required = |mode: &str| {
            answers(
                &json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32042, "message": "Please.", "data": {
                "elicitations": [{"mode": mode, "elicitationId": "e", "url": "https://x.example/", "message": "Go."}]}}}),
            )
        };
        let asked = post(&call(1, "x", json!({})));
        let answer = answered(guard, &asked, required("url"));
        assert_eq!(answer["result"]["isError"], true);
        assert_eq!(answer["result"]["content"][0]["text"], "No pages.");
        let record = passes(guard, &asked, required("form"));
        assert_eq!(record["decision"], "allow");
        // A client that folds the case of keys takes either, or the last one.
        let page = json!([{"mode": "url", "url": "https://x.example/", "message": "Go."}]);
        for data in [
            json!({"Elicitations": page}),
            json!({"Elicitations": [], "elicitations": page}),
            json!({"elicitations": [], "ELICITATIONS": page}),
        ] {
            let body = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32042, "message": "m", "data": data}});
            let answer = answered(guard, &asked, answers(&body));
            assert_eq!(answer["result"]["isError"], true, "{data}");
        }
    });
    // Under a default of deny, the request needs an `allow`, as if it came alone.
    let only = |rules: &str| {
        let policy = format!(
            "defaults: {{ action: deny }}\nrules:\n  - {{ id: x, match: {{ tool: x }}, action: allow }}\n{rules}"
        );
        let body = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32042, "message": "m", "data": {"elicitations":
            [{"mode": "url", "elicitationId": "e", "url": "https://x.example/", "message": "Go."}]}}});
        answered(
            &guard(&policy),
            &post(&call(1, "x", json!({}))),
            answers(&body),
        )
    };
    assert_eq!(only("")["result"]["isError"], true);
    let allowed =
        "  - { id: pages, match: { event: request, method: elicitation/create }, action: allow }\n";
    assert_eq!(only(allowed)["error"]["code"], -32042);
}

#[test]
fn a_success_that_only_some_clients_read_is_unknown() {
    in_both_modes(RULES, |guard, _| {
        let asked = post(&call(1, "x", json!({})));
        let with = |failed: Value| result(1, json!({"content": [], "isError": failed}));
        for failed in [json!(true), json!("true"), json!(1), json!([]), json!({})] {
            let answer = answered(guard, &asked, with(failed.clone()));
            assert!(answer["result"]["_meta"].is_object(), "{failed}");
        }
        for failed in [json!(false), json!(null)] {
            passes(guard, &asked, with(failed));
        }
    });
}

#[test]
fn a_call_in_a_sampled_message_is_a_call_without_other_members() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: no-exec, match: { tool: exec }, action: deny }
",
    );
    let block = json!({"type": "tool_use", "id": "c", "name": "exec", "input": {"cmd": "ls"}});
    for result in [
        json!({"role": "assistant", "content": block}),
        json!({"role": null, "content": [block]}),
        json!({"model": "m", "content": block}),
        json!({"stopReason": "toolUse", "content": [block]}),
        json!({"content": block}),
        json!({"content": [{"type": "text", "text": "I call."}, block]}),
        json!({"action": "accept", "content": block}),
        json!({"action": "accept", "content": [block]}),
    ] {
        let message = json!({"jsonrpc": "2.0", "id": 0, "result": result});
        let denied = answer_denied(&guard, &post(&message));
        assert_eq!(denied, denied_answer(&json!(0)), "{result}");
        let mut again = modern_call("x", json!({}));
        again["params"]["inputResponses"] = json!({"a": result});
        assert_eq!(refused(&guard, &modern(&again, &[])).0, 200, "{result}");
    }
    // A server that folds the case of keys reads a call, too.
    for kind in [
        json!({"Type": "tool_use"}),
        json!({"TYPE": "text", "type": "tool_use"}),
        json!({"type": "text", "Type": "tool_use"}),
    ] {
        let mut block = block.clone();
        block.as_object_mut().unwrap().remove("type");
        block
            .as_object_mut()
            .unwrap()
            .extend(kind.as_object().unwrap().clone());
        for result in [
            json!({"content": block}),
            json!({"action": "accept", "content": [block]}),
        ] {
            let message = json!({"jsonrpc": "2.0", "id": 0, "result": result});
            let seen = run(
                &guard,
                &post(&message),
                |_| panic!("nothing may reach the server"),
                NOW,
            );
            assert_eq!(record(&seen)["code"], "AG2002", "{result}");
        }
    }
    // A person's input may have any keys.
    let input =
        json!({"action": "accept", "content": {"type": "bug", "name": "exec", "input": "x"}});
    let message = json!({"jsonrpc": "2.0", "id": 0, "result": input});
    passes(&guard, &post(&message), accepted());
}

#[test]
fn a_task_that_both_protocols_could_mean_is_denied() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: never, match: { event: request, protocol: a2a, method: tasks/cancel }, action: deny }
",
    );
    for params in [
        json!({"id": "t", "taskId": "x"}),
        json!({"id": "t", "taskId": null}),
    ] {
        for method in ["tasks/cancel", "tasks/get"] {
            let (status, body) = refused(&guard, &post_old(&request(1, method, params.clone())));
            assert_eq!(status, 400, "{method} {params}");
            assert_eq!(body["error"]["data"]["agentguard"]["code"], "AG2012");
        }
    }
}

#[test]
fn client_properties_in_every_request_are_no_texts_of_unknown_authors() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: unknown, match: { event: message, from: user }, when: { text: { length_greater_than: 0 } }, action: deny }
  - { id: mail, match: { event: [message, response] }, when: { text: { detects: email } }, action: redact }
",
    );
    let mut message = modern_call("x", json!({"to": "ada@example.com"}));
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {"form": {}, "url": {}},
        "sampling": {"tools": {}}, "extensions": {"io.modelcontextprotocol/tasks": {},
        "io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}});
    message["params"]["_meta"]["baggage"] = json!("user=ada@example.com");
    let working = json!({"task": {"taskId": "t", "status": "working"},
        "_meta": {"io.modelcontextprotocol/model-immediate-response": "Mail to ada@example.com is on its way."}});
    let seen = exchange(&guard, &modern(&message, &[]), result(1, working.clone()));
    let upstream = String::from_utf8(seen.upstream.clone().unwrap().body()).unwrap();
    assert_eq!(
        upstream,
        message.to_string().replace("ada@example.com", "[EMAIL]")
    );
    assert_eq!(
        client_json(&seen)["result"].to_string(),
        working.to_string().replace("ada@example.com", "[EMAIL]")
    );
    // An undefined member may contain texts of any author.
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"]["vendor/x"] =
        json!({"say": "anything"});
    assert_eq!(refused(&guard, &modern(&message, &[])).0, 200);
}
