//! A2A in both bindings and both versions.

mod stream;

use super::*;

fn sent(method: &str, path: &str, changes: &[(&str, &str)], body: &[u8]) -> HttpMessage {
    let all = [
        (":method", method),
        (":path", path),
        (":authority", "agent.example"),
        ("content-type", "application/json"),
        ("accept", "*/*"),
        ("x-request-id", "r-1"),
    ];
    let mut headers: Vec<(&str, &str)> = all
        .into_iter()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name))
        .collect();
    headers.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    HttpMessage::new(&headers, body)
}

fn said(text: &str) -> Value {
    json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]})
}

fn rpc(method: &str, params: Value) -> HttpMessage {
    let body = json!({"jsonrpc": "2.0", "id": "q-1", "method": method, "params": params});
    sent("POST", "/rpc", &[], body.to_string().as_bytes())
}

fn answers(body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

fn task(text: &str) -> Value {
    json!({"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED", "message": {"messageId": "n",
        "role": "ROLE_AGENT", "parts": [{"text": text}]}}, "artifacts": [{"artifactId": "a", "name": "n",
        "parts": [{"text": "x"}, {"data": {"rows": [1]}}]}], "history": [said("before")]})
}

fn ok(guard: &Rc<Guard>, request: &HttpMessage, body: &Value) -> Value {
    let response = answers(body);
    let seen = exchange(guard, request, response.clone());
    assert!(
        seen.upstream_complete,
        "{:?}",
        String::from_utf8(seen.client.body())
    );
    assert_eq!(seen.upstream.clone().unwrap().body(), request.body());
    assert_eq!(seen.client.body(), response.body());
    record(&seen)
}

#[test]
fn every_route_of_both_bindings_is_known() {
    let guard = guard(ALLOW);
    let version = [("a2a-version", "1.0")];
    for (request, endpoint) in [
        (
            rpc("SendMessage", json!({"message": said("hi")})),
            "message.send",
        ),
        (
            rpc("message/send", json!({"message": said("hi")})),
            "message.send",
        ),
        (rpc("GetTask", json!({"id": "t"})), "tasks.get"),
        (rpc("tasks/get", json!({"id": "t"})), "tasks.get"),
        (rpc("tasks/cancel", json!({"id": "t"})), "tasks.cancel"),
        (
            rpc(
                "tasks/pushNotificationConfig/set",
                json!({"taskId": "t", "pushNotificationConfig": {"url": "https://x"}}),
            ),
            "tasks.push",
        ),
        (rpc("GetExtendedAgentCard", json!({})), "agent.card"),
        (
            sent("GET", "/.well-known/agent-card.json", &[], b""),
            "agent.card",
        ),
        (
            sent("GET", "/.well-known/agent.json", &[], b""),
            "agent.card",
        ),
        (
            sent("GET", "/tenant/extendedAgentCard", &[], b""),
            "agent.card",
        ),
        (
            sent(
                "POST",
                "/message:send",
                &[],
                json!({"message": said("hi")}).to_string().as_bytes(),
            ),
            "message.send",
        ),
        (
            sent(
                "POST",
                "//v1/Message%3Asend/",
                &[],
                json!({"request": said("hi")}).to_string().as_bytes(),
            ),
            "message.send",
        ),
        (
            sent(
                "POST",
                "/a/message:stream",
                &[],
                json!({"message": said("hi")}).to_string().as_bytes(),
            ),
            "message.stream",
        ),
        (sent("GET", "/v1/tasks/t", &[], b""), "tasks.get"),
        (
            sent("GET", "/tasks/t?historyLength=2", &version, b""),
            "tasks.get",
        ),
        (sent("GET", "/tasks", &version, b""), "tasks.list"),
        (
            sent("POST", "/v1/tasks/t:cancel", &[], b"{}"),
            "tasks.cancel",
        ),
        (
            sent(
                "POST",
                "/tasks/t/pushNotificationConfigs",
                &[],
                b"{\"url\":\"https://x\"}",
            ),
            "tasks.push",
        ),
        (
            sent("DELETE", "/v1/tasks/t/pushNotificationConfigs/p", &[], b""),
            "tasks.push",
        ),
    ] {
        let record = ok(&guard, &request, &task("done"));
        assert_eq!(
            (&record["protocol"], &record["endpoint"]),
            (&json!("a2a"), &json!(endpoint))
        );
        assert_eq!(record["coverage"]["level"], "full");
    }
    // Where the path says all, clients send nothing, `{}` or, as the official one for Go does, `null`.
    for (method, path, endpoint) in [
        ("POST", "/tasks/t:cancel", "tasks.cancel"),
        ("POST", "/tasks/t:subscribe", "tasks.subscribe"),
        ("GET", "/tasks/t:subscribe", "tasks.subscribe"),
        ("GET", "/tasks/t", "tasks.get"),
        ("GET", "/tasks", "tasks.list"),
        ("GET", "/extendedAgentCard", "agent.card"),
        ("GET", "/tasks/t/pushNotificationConfigs", "tasks.push"),
        ("DELETE", "/tasks/t/pushNotificationConfigs/p", "tasks.push"),
    ] {
        for body in ["", "{}", "null"] {
            let request = sent(method, path, &version, body.as_bytes());
            let record = ok(&guard, &request, &task("done"));
            assert_eq!(record["endpoint"], endpoint, "{method} {path} {body}");
            assert_eq!(record["coverage"]["level"], "full");
        }
    }
    // Other services have paths with `tasks`, too.
    for request in [
        sent("GET", "/tasks/t", &[], b""),
        sent("GET", "/admin/tasks", &[], b""),
        sent("DELETE", "/tasks/t", &version, b""),
        sent("PUT", "/message:send", &[], b"{}"),
    ] {
        assert_eq!(
            exchange(&guard, &request, answers(&json!({})))
                .client
                .status(),
            Some(400)
        );
    }
}

const NO_SWANS: &str = "defaults: { action: allow }
rules:
  - { id: swan, match: { event: message, from: [user, assistant] }, when: { text: { contains: swan } }, action: deny, reason: No., remedy: Ask. }
  - { id: hook, match: { event: request, protocol: a2a }, when: { params..url: { contains: evil } }, action: deny }
  - { id: cancel, match: { event: request, method: [tasks/cancel, CancelTask] }, action: deny }
";

#[test]
fn a_denied_request_gets_the_error_of_its_binding() {
    in_both_modes(NO_SWANS, |guard, _| {
        for request in [
            rpc("SendMessage", json!({"message": said("a SWAN")})),
            rpc(
                "message/send",
                json!({"message": {"kind": "message", "messageId": "m", "role": "user",
                "parts": [{"kind": "text", "text": "a swan"}]}}),
            ),
            rpc(
                "message/stream",
                json!({"message": {"role": "user", "parts": [{"kind": "data", "data": {"x": ["swan"]}}]}}),
            ),
            rpc(
                "message/send",
                json!({"message": {"role": "user", "parts": [{"kind": "file", "file": {"name": "swan.pdf", "bytes": "AA=="}}]}}),
            ),
            rpc(
                "message/send",
                json!({"message": {"role": "user", "parts": [], "metadata": {"swan": 1}}}),
            ),
            rpc("tasks/cancel", json!({"id": "t"})),
            rpc(
                "message/send",
                json!({"message": said("x"), "configuration": {"pushNotificationConfig": {"url": "https://evil/"}}}),
            ),
        ] {
            let seen = exchange(guard, &request, answers(&json!({})));
            assert!(!seen.upstream_complete);
            assert_eq!(seen.client.status(), Some(200));
            let body = client_json(&seen);
            assert_eq!(
                (&body["id"], &body["error"]["code"]),
                (&json!("q-1"), &json!(-32010)),
                "{body}"
            );
            assert_eq!(body["error"]["data"]["agentguard"]["code"], "AG3001");
        }
        for body in [
            json!({"message": said("a SWAN")}),
            json!({"request": {"message_id": "m", "role": "ROLE_USER", "content": [{"text": "a swan"}]}}),
            json!({"request": {"role": "ROLE_USER", "content": [{"data": {"data": {"a": "swan"}}}]}}),
            json!({"message": said("x"), "configuration": {"push_notification_config": {"url": "https://evil"}}}),
        ] {
            let request = sent(
                "POST",
                "/v1/message:send",
                &[("a2a-version", "0.3")],
                body.to_string().as_bytes(),
            );
            let seen = exchange(guard, &request, answers(&json!({})));
            assert_eq!(seen.client.status(), Some(400), "{body}");
            let error = client_json(&seen)["error"].clone();
            assert_eq!(
                (&error["code"], &error["status"], &error["details"]),
                (
                    &json!(400),
                    &json!("INVALID_ARGUMENT"),
                    // Without these details the libraries report only the status.
                    &json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_REQUEST",
                             "domain": "a2a-protocol.org", "metadata": {}}])
                )
            );
        }
    });
}

#[test]
fn the_envelope_is_read_strictly_and_there_are_no_batches() {
    let guard = guard("defaults: { action: allow, uninspectable: allow }\n");
    let good = json!({"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": said("x")}}).to_string();
    for body in [
        good.replace("\"id\":1,", ""),
        good.replace("\"id\":1", "\"id\":null"),
        good.replace("message/send", "Message/Send"),
        good.replace("message/send", " message/send"),
        good.replace("message/send", "/message/send"),
        good.replace("message/send", "message/s\u{435}nd"),
        good.replace("\"2.0\"", "\"1.0\""),
        good.replace("\"params\"", "\"Params\""),
        good.replace("\"parts\"", "\"Parts\""),
        good.replace("\"role\"", "\"Role\""),
        format!("[{good}]"),
    ] {
        let seen = exchange(
            &guard,
            &sent("POST", "/", &[], body.as_bytes()),
            answers(&json!({})),
        );
        assert_eq!(seen.client.status(), Some(400), "{body}");
        assert!(client_json(&seen)["error"]["message"].is_string());
    }
}

#[test]
fn tasks_of_both_protocols_are_distinguished_and_no_header_moves_a_call() {
    let guard = guard("defaults: { action: allow }
rules:
  - { id: never, match: { tool: x }, action: deny }
  - { id: swan, match: { event: message, protocol: a2a }, when: { text: { contains: swan } }, action: deny }
");
    assert_eq!(
        ok(
            &guard,
            &rpc("tasks/get", json!({"taskId": "t"})),
            &json!({})
        )["protocol"],
        "mcp"
    );
    assert_eq!(
        ok(&guard, &rpc("tasks/get", json!({"id": "t"})), &json!({}))["protocol"],
        "a2a"
    );
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}})
        .to_string();
    let disguised = sent("POST", "/", &[("a2a-version", "0.3")], call.as_bytes());
    assert_eq!(
        client_json(&exchange(&guard, &disguised, answers(&json!({}))))["result"]["isError"],
        true
    );
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": said("swan")}}).to_string();
    let disguised = sent("POST", "/", &[("mcp-session-id", "s")], message.as_bytes());
    let seen = exchange(&guard, &disguised, answers(&json!({})));
    assert_eq!(seen.client.status(), Some(400));
    assert_eq!(
        client_json(&seen)["error"]["data"]["agentguard"]["code"],
        "AG2012"
    );
}

const ANSWERS: &str = "defaults: { action: allow }
rules:
  - { id: swan, match: { event: response }, when: { text: { contains: swan } }, action: deny, reason: No. }
  - { id: cards, match: { event: [message, response] }, when: { text: { detects: credit_card } }, action: redact }
";

/// A body that a server may read is evaluated, or denied where no client sends one. A card is plumbing with a body, too.
#[test]
fn a_body_where_none_is_needed_is_no_way_past() {
    let version = [("a2a-version", "1.0")];
    let swan = br#"{"id": "t", "metadata": {"a": "a swan"}}"#;
    let no_swan = guard(
        "defaults: { action: allow }
rules:
  - { id: swan, match: { event: message }, when: { text: { contains: swan } }, action: deny }
",
    );
    for (method, path, code) in [
        ("POST", "/tasks/t:cancel", "AG3001"),
        ("POST", "/tasks/t:subscribe", "AG3001"),
        ("GET", "/tasks/t", "AG2007"),
        ("GET", "/extendedAgentCard", "AG2007"),
        ("DELETE", "/tasks/t/pushNotificationConfigs/p", "AG2007"),
    ] {
        let seen = run(
            &no_swan,
            &sent(method, path, &version, swan),
            |_| panic!("nothing may reach the agent"),
            NOW,
        );
        assert_eq!(record(&seen)["code"], code, "{method} {path}");
    }
    let closed = guard(
        "defaults: { action: deny }
rules: [{ id: send, match: { method: SendMessage }, action: allow }]
",
    );
    for (path, decision) in [("/extendedAgentCard", "allow"), ("/tasks/t", "deny")] {
        for body in [&b""[..], b"null"] {
            let request = sent("GET", path, &version, body);
            let seen = exchange(&closed, &request, answers(&json!({})));
            assert_eq!(record(&seen)["decision"], decision, "{path} {body:?}");
        }
    }
}

#[test]
fn a_denied_response_becomes_one_that_its_reader_understands() {
    in_both_modes(ANSWERS, |guard, hold| {
        let mut with_artifact = task("done");
        with_artifact["artifacts"][0]["parts"][1]["data"] = json!({"rows": [{"a": "a swan"}]});
        let mut with_history = task("done");
        with_history["history"][0]["parts"][0]["text"] = json!("a swan");
        for result in [
            task("a swan"),
            with_artifact,
            with_history,
            json!({"task": task("a swan")}),
            json!({"message": said("a swan")}),
        ] {
            let body = json!({"jsonrpc": "2.0", "id": "q-1", "result": result});
            let seen = exchange(guard, &rpc("GetTask", json!({"id": "t"})), answers(&body));
            assert_eq!(seen.client.status(), Some(200));
            let body = client_json(&seen);
            assert_eq!(
                (
                    &body["id"],
                    &body["error"]["code"],
                    &body["error"]["message"]
                ),
                (&json!("q-1"), &json!(-32010), &json!("No."))
            );
        }
        let rest = sent(
            "POST",
            "/message:send",
            &[("a2a-version", "1.0")],
            json!({"message": said("x")}).to_string().as_bytes(),
        );
        let seen = exchange(guard, &rest, answers(&json!({"message": said("a swan")})));
        let body = client_json(&seen);
        if hold {
            assert_eq!(
                (seen.client.status(), &body["error"]["status"]),
                (Some(400), &json!("INVALID_ARGUMENT"))
            );
        } else {
            assert_eq!(body["message"]["parts"][0]["text"], "No.");
            assert_eq!(body["message"]["role"], "ROLE_AGENT");
        }
        let old = sent(
            "POST",
            "/v1/message:send",
            &[],
            json!({"request": said("x")}).to_string().as_bytes(),
        );
        if !hold {
            let seen = exchange(guard, &old, answers(&json!({"message": said("a swan")})));
            assert_eq!(client_json(&seen)["message"]["content"][0]["text"], "No.");
            let get = sent("GET", "/v1/tasks/t", &[], b"");
            let seen = exchange(guard, &get, answers(&task("a swan")));
            assert_eq!(client_json(&seen)["status"]["state"], "TASK_STATE_REJECTED");
        }
        assert!(
            !String::from_utf8(seen.client.body())
                .unwrap()
                .contains("a swan")
        );
    });
}

#[test]
fn texts_are_edited_wherever_they_are_repeated() {
    in_both_modes(ANSWERS, |guard, _| {
        let card = "4111 1111 1111 1111";
        let mut body = task(card);
        body["artifacts"][0]["parts"] = json!([{"text": card}, {"data": {"n": [card]}}]);
        body["history"] = json!([said(card)]);
        let request = sent(
            "POST",
            "/message:send",
            &[("a2a-version", "1.0")],
            json!({"message": said(card)}).to_string().as_bytes(),
        );
        let seen = exchange(guard, &request, answers(&body));
        let upstream = String::from_utf8(seen.upstream.clone().unwrap().body()).unwrap();
        assert_eq!(
            upstream,
            String::from_utf8(request.body())
                .unwrap()
                .replace(card, "[CREDIT_CARD]")
        );
        assert_eq!(
            String::from_utf8(seen.client.body()).unwrap(),
            body.to_string().replace(card, "[CREDIT_CARD]")
        );
    });
}

#[test]
fn a_card_is_evaluated_and_a_signed_one_is_not_edited() {
    let get = sent("GET", "/.well-known/agent-card.json", &[], b"");
    let card = |description: &str| json!({"name": "a", "url": "https://x", "skills": [{"id": "s", "description": description}]});
    let guard = guard(ANSWERS);
    let seen = exchange(&guard, &get, answers(&card("a swan")));
    assert!(
        !String::from_utf8(seen.client.body())
            .unwrap()
            .contains("a swan")
    );
    let number = "call 4111 1111 1111 1111";
    let seen = exchange(&guard, &get, answers(&card(number)));
    assert_eq!(
        client_json(&seen)["skills"][0]["description"],
        "call [CREDIT_CARD]"
    );
    let mut signed = card(number);
    signed["signatures"] = json!([{"protected": "x", "signature": "y"}]);
    let seen = exchange(&guard, &get, answers(&signed));
    assert_eq!(record(&seen)["code"], "AG3005");
    // Under a default of deny, the card can be fetched if the policy allows sending something to the agent.
    let deny = |rules: &str| self::guard(&format!("defaults: {{ action: deny }}\n{rules}"));
    let denied = deny(
        "rules:\n  - { id: a, match: { event: request, host: other.example }, action: allow }\n",
    );
    assert_eq!(
        exchange(&denied, &get, answers(&card("x"))).client.status(),
        Some(400)
    );
    let open = deny(
        "rules:\n  - { id: a, match: { event: request, host: agent.example, method: [message/send] }, action: allow }\n",
    );
    assert_eq!(
        exchange(&open, &get, answers(&card("x"))).client.status(),
        Some(200)
    );
}

#[test]
fn a_file_that_is_text_is_read_as_one() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: swans, match: { event: [message, response] }, when: { text: { contains: a swan } }, action: deny }
",
    );
    let files = |bytes: &str, kind: &str| {
        [
            json!({"raw": bytes, "mediaType": kind, "filename": "f"}),
            json!({"raw": bytes, "media_type": kind}),
            json!({"kind": "file", "file": {"bytes": bytes, "mimeType": kind, "name": "f"}}),
            json!({"kind": "file", "file": {"fileWithBytes": bytes, "mimeType": kind}}),
            json!({"file": {"file_with_bytes": bytes, "mime_type": kind}}),
        ]
    };
    let asked = |part: &Value| {
        rpc(
            "SendMessage",
            json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [part]}}),
        )
    };
    let says = |part: &Value| {
        answers(
            &json!({"jsonrpc": "2.0", "id": "q-1", "result": {"task": {"id": "t", "contextId": "c",
            "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": [{"artifactId": "a", "parts": [part]}]}}}),
        )
    };
    // "there is a swan" with any media type; then another text, in the base64 alphabet for URLs.
    let swans = ["text/markdown", "application/octet-stream", "image/png", ""]
        .map(|kind| files("dGhlcmUgaXMgYSBzd2FuIQ==", kind));
    for part in swans.into_iter().flatten() {
        let seen = exchange(&guard, &asked(&part), answers(&task("x")));
        assert_eq!(record(&seen)["decision"], "deny", "{part}");
        let hello = rpc("SendMessage", json!({"message": said("hi")}));
        let seen = exchange(&guard, &hello, says(&part));
        assert_eq!(record(&seen)["decision"], "deny", "{part}");
    }
    // What is no base64 is a text to whoever does not decode it.
    let words = ["text/plain", "image/png"].map(|kind| files("there is a swan here", kind));
    for part in words.into_iter().flatten() {
        let seen = exchange(&guard, &asked(&part), answers(&task("x")));
        assert_eq!(record(&seen)["decision"], "deny", "{part}");
    }
    for part in files("YSBnb29zZT8_Pg", "text/plain; charset=utf-8") {
        let seen = exchange(&guard, &asked(&part), says(&part));
        assert_eq!(record(&seen)["decision"], "allow", "{part}");
        assert_eq!(record(&seen)["coverage"]["level"], "full", "{part}");
    }
    // Bytes of an image, bytes in another charset, and files that also have a URL or only a URL.
    let mut unread = Vec::from(files("iVBORw0KGgoAAAANSUhEUg==", "image/png"));
    unread.extend(files("//5hAA==", "text/plain"));
    unread.push(
        json!({"file": {"bytes": "YSBnb29zZQ==", "mimeType": "text/plain", "uri": "https://x"}}),
    );
    unread.push(json!({"url": "https://x", "mediaType": "text/plain"}));
    for part in unread {
        let seen = exchange(&guard, &asked(&part), says(&part));
        let coverage = &record(&seen)["coverage"];
        assert_eq!(record(&seen)["decision"], "allow", "{part}");
        assert_eq!(
            coverage["reasons"],
            json!(["request:attachment", "response:attachment"]),
            "{part}"
        );
    }
}

#[test]
fn what_an_agent_posts_to_its_client_is_evaluated_as_the_agent_s_words() {
    let policy = "defaults: { action: allow }
rules:
  - { id: swan, match: { event: message, from: assistant }, when: { text: { contains: a swan } }, action: deny }
  - { id: goose, match: { event: message, from: user }, when: { text: { contains: a goose } }, action: deny }
  - { id: cards, match: { event: message }, when: { text: { detects: credit_card } }, action: redact }
";
    let update = |text: &str| {
        json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING",
            "message": {"messageId": "n", "role": "ROLE_AGENT", "parts": [{"text": text}]}}}})
    };
    let artifact = |text: &str| {
        json!({"kind": "artifact-update", "taskId": "t", "contextId": "c", "artifact": {"artifactId": "a",
            "parts": [{"kind": "text", "text": text}]}})
    };
    let reply = |text: &str| json!({"kind": "message", "messageId": "n", "role": "agent", "parts": [{"kind": "text", "text": text}]});
    let all = |text: &str| {
        [
            task(text),
            json!({"task": task(text)}),
            update(text),
            artifact(text),
            json!({"artifactUpdate": artifact(text)}),
            reply(text),
            json!({"message": reply(text)}),
        ]
    };
    let token = ("x-a2a-notification-token", "s3cret");
    let posted = |headers: &[(&str, &str)], body: &Value| {
        sent("POST", "/hooks/7", headers, body.to_string().as_bytes())
    };
    let taken = || HttpMessage::new(&[(":status", "200"), ("content-type", "text/plain")], b"ok");
    in_both_modes(policy, |guard, _| {
        for headers in [
            &[token][..],
            &[("a2a-version", "1.0")],
            &[("content-type", "application/a2a+json")],
        ] {
            for body in all("4 words are here") {
                let request = posted(headers, &body);
                let seen = exchange(guard, &request, taken());
                assert!(seen.upstream_complete, "{body}");
                assert_eq!(seen.upstream.clone().unwrap().body(), request.body());
                assert_eq!(seen.client.body(), b"ok");
                let record = record(&seen);
                assert_eq!(
                    (&record["protocol"], &record["endpoint"]),
                    (&json!("a2a"), &json!("tasks.notification"))
                );
                assert_eq!(record["coverage"]["level"], "full", "{body}");
            }
        }
        for body in all("a SWAN") {
            let seen = exchange(guard, &posted(&[token], &body), taken());
            assert!(!seen.upstream_complete, "{body}");
            assert_eq!(seen.client.status(), Some(400));
            assert_eq!(client_json(&seen)["error"]["status"], "INVALID_ARGUMENT");
        }
        for body in all("4111 1111 1111 1111") {
            let seen = exchange(guard, &posted(&[token], &body), taken());
            assert_eq!(
                String::from_utf8(seen.upstream.unwrap().body()).unwrap(),
                body.to_string()
                    .replace("4111 1111 1111 1111", "[CREDIT_CARD]")
            );
        }
        // The history repeats the client's own messages.
        let mut body = task("x");
        body["history"] = json!([said("a goose")]);
        assert!(!exchange(guard, &posted(&[token], &body), taken()).upstream_complete);
    });
    // The policy may name the path. On other paths neither a body alone nor any body with the header is a notification.
    let named = guard(
        "defaults: { action: allow }
protocols:
  - { paths: [/hooks], protocol: a2a }
",
    );
    assert!(exchange(&named, &posted(&[], &task("x")), taken()).upstream_complete);
    let plain = guard(ALLOW);
    for (headers, body) in [
        (&[][..], task("x")),
        (&[token], json!({"delete": "all"})),
        (&[token], json!({"task": "x"})),
        (&[token], json!([task("x")])),
    ] {
        let seen = exchange(&plain, &posted(headers, &body), taken());
        assert_eq!(seen.client.status(), Some(400), "{body}");
    }
    // With a call in it, the body is a message of MCP.
    let stop = guard(
        "defaults: { action: allow }
rules:
  - { id: never, match: { tool: x }, action: deny }
",
    );
    let mut call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}});
    call["task"] = task("x");
    assert!(!exchange(&stop, &posted(&[token], &call), taken()).upstream_complete);
    // Under a default of deny, a notification needs an `allow` like every request.
    let open = guard(
        "defaults: { action: deny }
rules:
  - { id: hook, match: { event: request, protocol: a2a, path: /hooks/7 }, action: allow }
",
    );
    assert!(exchange(&open, &posted(&[token], &task("x")), taken()).upstream_complete);
    let closed = guard(
        "defaults: { action: deny }
rules:
  - { id: hook, match: { event: request, protocol: a2a, path: /other }, action: allow }
",
    );
    assert!(!exchange(&closed, &posted(&[token], &task("x")), taken()).upstream_complete);
}
