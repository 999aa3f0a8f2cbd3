//! Endpoints and names that only the policy defines.

mod stream;

use super::*;

const TICKETS: &str = "defaults: { action: allow }
protocols:
  - hosts: [desk.example]
    paths: [/api/tickets]
    protocol: generic
    provider: desk
    read:
      models: $.engine
      texts: [$.ticket.title, \"$.ticket.comments[*].body\", $.reply]
      ids: [$.ticket.id]
      calls: { at: \"$.actions[*]\", name: tool, args: input }
";

fn ticket(body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", "/api/tickets/new"),
            (":authority", "desk.example"),
            ("content-type", "application/json"),
        ],
        body.to_string().as_bytes(),
    )
}

fn replies(body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

fn full() -> Value {
    json!({"engine": "gpt-4o", "ticket": {"id": "4111111111111111", "title": "help", "comments": [{"body": "me@example.com"}]},
        "actions": [{"tool": "refund", "input": {"amount": 5}}], "else": {"x": "y"}})
}

fn with_rules(rules: &str) -> Rc<Guard> {
    guard(&format!("{TICKETS}rules:\n{rules}"))
}

#[test]
fn declared_places_are_models_texts_and_calls() {
    let sent = |rules: &str| {
        let guard = with_rules(rules);
        exchange(&guard, &ticket(&full()), replies(&json!({"reply": "ok"})))
    };
    let seen = sent(
        "  - { id: mail, match: { event: message, from: user }, when: { text: { detects: email } }, action: redact }\n",
    );
    let upstream: Value = serde_json::from_slice(&seen.upstream.clone().unwrap().body()).unwrap();
    assert_eq!(upstream["ticket"]["comments"][0]["body"], "[EMAIL]");
    let record = record(&seen);
    assert_eq!(
        (&record["protocol"], &record["provider"], &record["model"]),
        (&json!("generic"), &json!("desk"), &json!("gpt-4o"))
    );
    for rules in [
        "  - { id: model, match: { model: 'gpt-4*' }, action: deny }\n",
        "  - { id: tool, match: { tool: refund }, when: { args.amount: { at_least: 5 } }, action: deny }\n",
        "  - { id: text, match: { event: message, from: user }, when: { text: { contains: help } }, action: deny }\n",
        "  - { id: unknown, match: { event: message }, when: { text: { contains: 'y' } }, action: deny }\n",
        "  - { id: params, match: { event: request }, when: { params.else.x: 'y' }, action: deny }\n",
    ] {
        let seen = sent(rules);
        assert_eq!(seen.client.status(), Some(400), "{rules}");
        assert_eq!(client_json(&seen)["error"]["code"], "agentguard_denied");
    }
    // A number in an identifier is not a card number, and a text at an undeclared location is never edited.
    let cards = "  - { id: cards, match: { event: message }, when: { text: { detects: credit_card } }, action: redact }\n";
    assert_eq!(sent(cards).client.status(), Some(200));
    let mut elsewhere = full();
    elsewhere["else"]["x"] = json!("4111 1111 1111 1111");
    let seen = exchange(&with_rules(cards), &ticket(&elsewhere), replies(&json!({})));
    assert_eq!(client_json(&seen)["error"]["agentguard"]["code"], "AG3005");
}

#[test]
fn responses_are_read_by_the_same_paths() {
    let rules = "  - { id: mail, match: { event: response, part: text }, when: { text: { detects: email } }, action: redact }
  - { id: tool, match: { tool: wire }, action: deny, reason: Never. }
";
    for mode in ["", "envoy: { headers: hold }\n"] {
        let guard = guard(&format!("{mode}{TICKETS}rules:\n{rules}"));
        let seen = exchange(
            &guard,
            &ticket(&full()),
            replies(&json!({"reply": "ask me@example.com", "n": 1})),
        );
        assert_eq!(client_json(&seen), json!({"reply": "ask [EMAIL]", "n": 1}));
        let seen = exchange(
            &guard,
            &ticket(&full()),
            replies(&json!({"actions": [{"tool": "wire", "input": "{\"to\":1}"}]})),
        );
        assert_eq!(client_json(&seen)["error"]["message"], "Never.");
    }
}

#[test]
fn a_member_that_some_servers_take_for_a_declared_one_is_denied() {
    let policies = [
        with_rules("  - { id: tool, match: { tool: refund }, action: deny }\n"),
        with_rules("  - { id: model, match: { model: 'gpt-4*' }, action: deny }\n"),
    ];
    let mut denied = Vec::new();
    for (guard, (from, to)) in policies.iter().flat_map(|guard| {
        let variants = [
            ("\"tool\"", "\"Tool\""),
            ("\"actions\"", "\"ACTIONS\""),
            ("\"input\"", "\"Input\""),
            ("\"engine\"", "\"Engine\""),
        ];
        variants.map(|variant| (guard, variant))
    }) {
        let body: Value = serde_json::from_str(&full().to_string().replace(from, to)).unwrap();
        let seen = exchange(guard, &ticket(&body), replies(&json!({})));
        denied.push(client_json(&seen)["error"]["agentguard"]["code"].clone());
    }
    assert_eq!(denied, vec![json!("AG2002"); 8]);
    // Elsewhere the same name is another member.
    let mut other = full();
    other["else"] = json!({"Tool": "x", "Title": "y", "Actions": []});
    other["engine"] = json!("m");
    let seen = exchange(&policies[1], &ticket(&other), replies(&json!({})));
    assert_eq!(seen.client.status(), Some(200));
}

#[test]
fn a_call_whose_tool_cannot_be_read_is_one_of_any_tool() {
    let guard = with_rules("  - { id: tool, match: { tool: refund }, action: deny }\n");
    for (name, expected) in [
        (json!(["refund"]), 400),
        (json!({"name": "refund"}), 400),
        (json!(7), 400),
        (json!(null), 200),
        (json!("look"), 200),
    ] {
        let mut body = full();
        body["actions"][0]["tool"] = name.clone();
        let seen = exchange(&guard, &ticket(&body), replies(&json!({})));
        assert_eq!(seen.client.status(), Some(expected), "{name}");
    }
    let policy = TICKETS.replace("name: tool", "name: tool|fn");
    let rules = "rules:\n  - { id: tool, match: { tool: refund }, action: deny }\n";
    let either = self::guard(&format!("{policy}{rules}"));
    for (names, expected) in [
        (json!({"tool": "look", "fn": "refund"}), 400),
        (json!({"tool": "look", "fn": "look"}), 200),
    ] {
        let seen = exchange(
            &either,
            &ticket(&json!({"actions": [names]})),
            replies(&json!({})),
        );
        assert_eq!(seen.client.status(), Some(expected), "{names}");
    }
    // Responses may have something else at the same place.
    let listed = json!({"actions": [{"tool": ["refund"]}]});
    let asked = ticket(&json!({"ticket": {"title": "x"}}));
    let seen = exchange(&guard, &asked, replies(&listed));
    assert_eq!(client_json(&seen), listed);
}

#[test]
fn a_call_with_two_arguments_is_made_with_either() {
    let rule = "rules:\n  - { id: much, match: { tool: refund }, when: { args.amount: { at_least: 5 } }, action: deny }\n";
    let guard = guard(&format!("{TICKETS}{rule}").replace("args: input", "args: input|options"));
    for (options, expected) in [
        (json!({"amount": 9}), 400),
        (json!({"amount": 1}), 400),
        (json!(null), 200),
    ] {
        let mut body = full();
        body["actions"][0] =
            json!({"tool": "refund", "input": {"amount": 1}, "options": options.clone()});
        let seen = exchange(&guard, &ticket(&body), replies(&json!({})));
        assert_eq!(seen.client.status(), Some(expected), "{options}");
    }
}

#[test]
fn only_requests_of_the_entry_are_read_as_generic() {
    let guard = with_rules(
        "  - { id: text, match: { event: message }, when: { text: { contains: help } }, action: deny }\n",
    );
    let elsewhere = |changes: &[(&str, &str)]| {
        let mut request = ticket(&full());
        for (name, value) in changes {
            request
                .headers
                .retain(|(known, _)| known != name.as_bytes());
            request
                .headers
                .push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
        let seen = exchange(&guard, &request, replies(&json!({})));
        client_json(&seen)["error"]["agentguard"]["code"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    };
    assert_eq!(elsewhere(&[]), "AG3001");
    assert_eq!(elsewhere(&[(":path", "//API/tickets/")]), "AG3001");
    assert_eq!(elsewhere(&[(":path", "/api/x/../%74ickets?q=1")]), "AG3001");
    assert_eq!(elsewhere(&[(":path", "/api/ticketsystem")]), "AG2007");
    assert_eq!(elsewhere(&[(":path", "/api/tickets/../admin")]), "AG2012");
    assert_eq!(elsewhere(&[(":authority", "other.example")]), "AG2007");
    // A body without JSON can't be read.
    let mut form = ticket(&json!({}));
    form.chunks = vec![b"help=1".to_vec()];
    assert_eq!(
        client_json(&exchange(&guard, &form, replies(&json!({}))))["error"]["agentguard"]["code"],
        "AG2001"
    );
    let get = HttpMessage::new(
        &[
            (":method", "GET"),
            (":path", "/api/tickets/7"),
            (":authority", "desk.example"),
        ],
        b"",
    );
    let record = record(&exchange(&guard, &get, replies(&json!({"reply": "x"}))));
    assert_eq!(record["protocol"], "generic");
}

#[test]
fn a_known_protocol_may_be_spoken_at_a_path_of_its_own() {
    let guard = guard(
        "defaults: { action: allow }
protocols:
  - { hosts: [llm.example], paths: [/generate], protocol: openai.chat, provider: acme }
  - { hosts: [llm.example], provider: acme }
rules:
  - { id: model, match: { model: o1, provider: acme }, action: deny }
",
    );
    let at = |path: &str, body: &Value| {
        let mut request = chat_request(body.to_string().as_bytes());
        for header in &mut request.headers {
            match header.0.as_slice() {
                b":path" => header.1 = path.as_bytes().to_vec(),
                b":authority" => header.1 = b"llm.example".to_vec(),
                _ => {}
            }
        }
        exchange(&guard, &request, hello())
    };
    let body = json!({"model": "o1", "messages": []});
    for path in ["/generate", "/v1/chat/completions"] {
        let seen = at(path, &body);
        assert_eq!(seen.client.status(), Some(400), "{path}");
        assert_eq!(
            client_json(&seen)["error"]["agentguard"]["rule"],
            "model",
            "{path}"
        );
    }
    let fine = at("/generate", &json!({"model": "x", "messages": []}));
    assert_eq!(record(&fine)["provider"], "acme");
    assert_eq!(record(&fine)["protocol"], "openai.chat");
    assert_eq!(at("/generate2", &body).client.status(), Some(400));
}

#[test]
fn mcp_may_be_named_where_nothing_else_gives_it_away() {
    let guard = guard(
        "defaults: { action: allow }
protocols:
  - { paths: [/tools], protocol: mcp, server: shop }
rules:
  - { id: never, match: { tool: shop/pay }, action: deny }
",
    );
    let send = |method: &str, body: &[u8]| {
        let headers = [
            (":method", method),
            (":path", "/tools"),
            (":authority", "h"),
            ("content-type", "application/json"),
        ];
        exchange(
            &guard,
            &HttpMessage::new(&headers, body),
            HttpMessage::new(&[(":status", "405")], b""),
        )
    };
    let seen = send(
        "POST",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"pay\"}}",
    );
    assert_eq!(client_json(&seen)["result"]["isError"], true);
    assert_eq!(record(&send("GET", b""))["endpoint"], "stream");
    assert_eq!(record(&send("DELETE", b""))["endpoint"], "session.end");
    // Only MCP is accepted there.
    assert_eq!(
        send("POST", b"{\"model\":\"x\",\"messages\":[]}")
            .client
            .status(),
        Some(400)
    );
}
