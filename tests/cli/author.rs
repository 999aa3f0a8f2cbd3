//! What authors of policies and those who run them meet: what is not provided yet, folders and devices as input, whole
//! exchanges explained, replays summed up.

use super::*;

const HEAD: &str = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\nrequire: none\ndefaults: { action: allow }\n";

/// A folder of its own, gone with the value.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("agentguard-author-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(super) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(super) fn policy(&self, name: &str, rules: &str) -> String {
        self.file(name, &format!("{HEAD}{rules}"))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn complaints(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What a command says, with the folder's name taken out.
fn snapshot(name: &str, folder: &Folder, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let text = text.replace(folder.path(), "FOLDER");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

const UNPROVIDED: &str = "rules:
  - { id: refund, match: { tool: refund }, when: { args.amount: { greater_than: 5 } }, action: require_approval, approval: { by: [lead] }, reason: Large. }
  - { id: leads, match: { tool: delete_customer }, unless: { principal.roles: lead }, action: deny, reason: Leads only. }
  - { id: acme, match: { tool: export, tenant: acme }, action: deny, reason: Not for them. }
";

const LIMITED: &str = "  - { id: many, match: { event: response }, limit: { count: tokens, per: session, max: 5 }, action: deny, reason: Enough. }\n";

#[test]
fn what_envoy_does_not_provide_is_a_warning_and_for_envoy_an_error() {
    let folder = Folder::new("unprovided");
    let policy = folder.policy("p.yaml", &format!("{UNPROVIDED}{LIMITED}"));
    let plain = run(&["validate", &policy]);
    assert_eq!(plain.status.code(), Some(0));
    snapshot("unprovided", &folder, &out(&plain));
    for host in ["envoy", "istio", "envoy-gateway"] {
        let validated = run(&["--json", "validate", "--for", host, &policy]);
        assert_eq!(validated.status.code(), Some(1), "{host}");
        let lines = json_lines(&validated);
        let told: Vec<(&str, &str, &str)> = lines
            .iter()
            .map(|line| {
                [&line["code"], &line["severity"], &line["path"]]
                    .map(|value| value.as_str().unwrap())
            })
            .map(|[code, severity, path]| (code, severity, path))
            .collect();
        assert_eq!(
            told,
            [
                ("AG1017", "error", "rules[0].approval"),
                ("AG1017", "error", "rules[1]"),
                ("AG1017", "error", "rules[2]"),
                ("AG1017", "error", "rules[3].limit"),
            ]
        );
    }
    for target in ["json", "envoy"] {
        let built = run(&["build", &policy, "--for", target]);
        assert_eq!(
            (built.status.code(), out(&built)),
            (Some(2), String::new()),
            "{target}"
        );
    }
    snapshot(
        "unprovided_build",
        &folder,
        &complaints(&run(&["build", &policy, "--for", "envoy"])),
    );
}

#[test]
fn fail_closed_accepts_denials_but_not_a_limit() {
    let folder = Folder::new("fail-closed");
    let strict = folder.policy("strict.yaml", UNPROVIDED);
    let built = run(&["build", &strict, "--for", "envoy", "--fail-closed"]);
    assert_eq!(built.status.code(), Some(0));
    assert!(complaints(&built).contains("warning: AG1017 rule `refund` requires an approval"));
    let validated = run(&["validate", "--for", "envoy", "--fail-closed", &strict]);
    assert_eq!(validated.status.code(), Some(0));
    let limited = folder.policy("limited.yaml", &format!("{UNPROVIDED}{LIMITED}"));
    let built = run(&["build", &limited, "--for", "json", "--fail-closed"]);
    assert_eq!((built.status.code(), out(&built)), (Some(2), String::new()));
    assert!(
        complaints(&built).contains("rules[3].limit"),
        "{}",
        complaints(&built)
    );
    // What is evaluated here is not what happens there.
    let checked = run(&[
        "check",
        &limited,
        "--tool",
        "refund",
        "--args",
        "{\"amount\": 9}",
    ]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(complaints(&checked).contains("AG1017"));
}

#[test]
fn who_is_asked_for_is_told_in_documents_of_a_set_and_at_the_top() {
    let folder = Folder::new("set");
    let set = folder.file(
        "set.yaml",
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicySet\nmetadata: { name: s }\nrequire: identity\nenvironment: { from: principal, otherwise: prod }\npolicies:
  - { metadata: { name: z }, for: { tenant: acme }, defaults: { action: allow }, rules: [{ id: a, match: { tool: t, role: lead }, action: allow }] }
  - { metadata: { name: b }, for: { client: c }, defaults: { action: allow }, rules: [{ id: b, match: { tool: t }, action: deny }] }
",
    );
    let told = run(&["validate", "--for", "envoy", &set]);
    assert_eq!(told.status.code(), Some(1));
    snapshot("unprovided_set", &folder, &out(&told));
}

/// What a policy writes that asks for something which Envoy does not provide yet.
const ASKING: &[&str] = &["require_approval", "limit:"];

/// What a policy writes that asks who is asking, which needs a source in `principals`.
const ASKING_WHO: &[&str] = &[
    "principal.",
    "role:",
    "tenant:",
    "client:",
    "agent:",
    "for:",
];

#[test]
fn policies_that_ship_and_need_what_is_not_provided_say_so() {
    let mut needy = Vec::new();
    for file in policies() {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        let rules = text.split("\nrules:").nth(1).unwrap();
        // Neither comments nor examples ask for anything.
        let written: String = rules
            .lines()
            .filter(|line| !line.trim_start().starts_with(['#']) && !line.contains("expect:"))
            .collect();
        let writes = |words: &[&str]| words.iter().any(|word| written.contains(word));
        let asks_who = writes(ASKING_WHO) || text.contains("\nrequire: identity");
        let asks = writes(ASKING) || (asks_who && !text.contains("\nprincipals:"));
        let validated = run(&["--json", "validate", "--for", "envoy", &file]);
        assert_eq!(
            validated.status.code(),
            Some(i32::from(asks)),
            "{file}: {}",
            out(&validated)
        );
        let built = run(&["build", &file, "--for", "envoy"]);
        assert_eq!(
            built.status.code(),
            Some(if asks { 2 } else { 0 }),
            "{file}"
        );
        let built = run(&["build", &file, "--for", "envoy", "--fail-closed"]);
        assert_eq!(
            built.status.code(),
            Some(0),
            "{file}: {}",
            complaints(&built)
        );
        if asks {
            needy.push(
                Path::new(&file)
                    .file_stem()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
        }
    }
    assert!(needy.contains(&"support-agent".to_owned()), "{needy:?}");
    assert!(!needy.contains(&"getting-started".to_owned()), "{needy:?}");
}

#[test]
fn a_result_is_checked_with_its_tool_and_arguments() {
    let folder = Folder::new("result");
    let policy = folder.policy(
        "p.yaml",
        "rules:
  - { id: big, match: { event: tool_result, tool: search }, when: { result.total: { greater_than: 5 } }, action: deny, reason: Big. }
  - { id: words, match: { event: tool_result }, when: { text: { contains: secret } }, action: deny, reason: Words. }
  - { id: calls, match: { tool: search }, action: deny, reason: No calls. }
",
    );
    let check = |arguments: &[&str]| {
        let mut all = vec!["--json", "check", &policy];
        all.extend(arguments);
        json_lines(&run(&all)).remove(0)
    };
    let ids = |verdict: &Value| -> Vec<String> {
        let rules = verdict["rules"].as_array().unwrap().iter();
        rules
            .map(|rule| rule["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        ids(&check(&["--tool", "search", "--result", "{\"total\": 9}"])),
        ["big"]
    );
    assert_eq!(
        ids(&check(&["--tool", "other", "--result", "{\"total\": 9}"])),
        [] as [&str; 0]
    );
    assert_eq!(ids(&check(&["--result", "\"a secret\""])), ["words"]);
    assert_eq!(
        ids(&check(&["--result", "{\"a\": [\"a secret\"]}"])),
        ["words"]
    );
    assert_eq!(ids(&check(&["--tool", "search"])), ["calls"]);
    assert_eq!(
        run(&["check", &policy, "--result", "{"]).status.code(),
        Some(2)
    );
}

#[test]
fn a_text_is_read_from_standard_input() {
    let output = run_with(
        &[
            "--json",
            "check",
            "policies/pii-baseline.yaml",
            "--text",
            "-",
        ],
        b"my card is 4111 1111 1111 1111\n",
    );
    assert_eq!(json_lines(&output)[0]["action"], "redact");
    let broken = run_with(
        &["check", "policies/pii-baseline.yaml", "--text", "-"],
        b"\xff",
    );
    assert_eq!(broken.status.code(), Some(2));
}

#[test]
fn a_text_may_begin_with_a_dash() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAwJ7vW2Zq1mYx8sT4";
    let output = run(&[
        "--json",
        "check",
        "policies/pii-baseline.yaml",
        "--text",
        key,
    ]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(json_lines(&output)[0]["action"], "redact");
}

#[test]
fn check_shows_the_pseudonym_that_a_request_would_carry_and_a_label_where_none_is_made() {
    let folder = Folder::new("pseudonym");
    let policy = folder.policy(
        "p.yaml",
        "rules:\n  - { id: mail, match: { event: [message, response] }, when: { text: { detects: email } }, action: redact, redact: { with: pseudonym } }\n",
    );
    let text = |arguments: &[&str]| {
        let mut all = vec![
            "--json",
            "check",
            &policy,
            "--text",
            "write to ann@contoso.com",
        ];
        all.extend(arguments);
        let verdict = json_lines(&run(&all)).remove(0);
        verdict["text"].as_str().unwrap().to_owned()
    };
    let sent = text(&[]);
    assert!(sent.contains("@example."), "{sent}");
    assert!(!sent.contains("contoso"), "{sent}");
    assert_eq!(text(&["--event", "response"]), "write to [EMAIL]");
}

/// The text of a tool call would be allowed, and nothing would have looked at it.
#[test]
fn an_option_that_no_event_of_the_check_has_is_refused() {
    let folder = Folder::new("idle-option");
    let policy = folder.policy("p.yaml", NO_DELETE);
    let of = |command: &str, options: &str| {
        let mut arguments = vec![command, &policy];
        arguments.extend(options.split(' '));
        run(&arguments)
    };
    for (option, options) in [
        ("--text", "--event tool_call --text x"),
        ("--text", "--event tool_call --tool t --text x"),
        ("--text", "--event request --text x"),
        ("--text", "--event tool_result --tool t --result 1 --text x"),
        ("--tool", "--event message --tool t --text x"),
        ("--tool", "--event response --tool t"),
        ("--args", "--event tool_offer --tool t --args {}"),
        ("--result", "--event message --result 1"),
        ("--from", "--tool t --from assistant"),
        ("--from", "--event response --text x --from user"),
    ] {
        for command in ["check", "explain"] {
            let refused = of(command, options);
            assert_eq!(refused.status.code(), Some(2), "{command} {options}");
            let told = complaints(&refused);
            let expected = format!("AG9012: {option} changes nothing in `");
            assert!(told.contains(&expected), "{command} {options}: {told}");
        }
    }
    for options in [
        "--tool t --args {} --text x --from assistant",
        "--tool t --args {} --result 1 --text x",
        "--event tool_offer --tool t --text x --model m",
        "--event response --text x --offered t",
    ] {
        let checked = of("check", options);
        assert_eq!(complaints(&checked), "", "{options}");
        assert_eq!(checked.status.code(), Some(0), "{options}");
    }
}

const DELETED: &str = r#"{"id": "e-1", "request": {"host": "api.openai.com", "path": "/v1/chat/completions", "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "delete Ann"}]}},
 "response": {"status": 200, "body": {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [{"id": "t", "type": "function", "function": {"name": "delete_customer", "arguments": "{\"id\": 7}"}}]}}]}}}"#;

const NO_DELETE: &str = "rules:\n  - { id: no-delete, match: { tool: 'delete_*' }, when: { args.id: { at_least: 5 } }, action: deny, reason: No. }\n";

#[test]
fn explain_covers_every_event_of_an_exchange() {
    let folder = Folder::new("explain");
    let policy = folder.policy("p.yaml", NO_DELETE);
    let exchange = folder.file("exchange.json", DELETED);
    let told = run(&["explain", &policy, "--exchange", &exchange]);
    assert_eq!(told.status.code(), Some(0));
    snapshot("explain_exchange", &folder, &out(&told));
    let lines = json_lines(&run(&[
        "--json",
        "explain",
        &policy,
        "--exchange",
        &exchange,
    ]));
    assert_eq!(lines.len(), 1, "one object");
    let events = lines[0]["events"].as_array().unwrap();
    let call = events
        .iter()
        .find(|event| event["event"] == "tool_call")
        .unwrap();
    assert_eq!(
        (&call["rules"][0]["id"], &call["rules"][0]["held"]),
        (&json!("no-delete"), &json!(true))
    );
    assert_eq!(lines[0]["verdict"]["action"], "deny");
    let broken = run(&[
        "explain",
        &policy,
        "--exchange",
        &folder.file("broken.json", "{\"request\":"),
    ]);
    assert_eq!(broken.status.code(), Some(2));
    assert!(
        complaints(&broken).contains("expected one exchange as a JSON object"),
        "{}",
        complaints(&broken)
    );
}

#[test]
fn explain_says_what_decides_where_no_rule_matches() {
    let folder = Folder::new("without-rule");
    let head = HEAD.replace("action: allow", "action: deny");
    let allowing = folder.file(
        "allowing.yaml",
        &format!("{head}rules:\n  - {{ id: a, match: {{ model: gpt-4o }}, action: allow }}\n  - {{ id: b, match: {{ tool: t }}, action: allow }}\n"),
    );
    let closed = folder.file("closed.yaml", &format!("{head}rules: []\n"));
    let other = folder.file(
        "set.yaml",
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicySet\nmetadata: { name: s }\nrequire: none\npolicies:\n  \
         - { metadata: { name: a }, for: { tenant: acme }, defaults: { action: allow }, rules: [] }\n",
    );
    let models = folder.file(
        "models.json",
        r#"{"request": {"method": "GET", "host": "api.openai.com", "path": "/v1/models"}}"#,
    );
    let ping = folder.file(
        "ping.json",
        r#"{"request": {"host": "mcp.example", "path": "/mcp", "headers": {"content-type": "application/json", "accept": "application/json, text/event-stream"}, "body": {"jsonrpc": "2.0", "id": 1, "method": "ping"}}}"#,
    );
    for (policy, event, action, said) in [
        (
            &allowing,
            ["--exchange", &models],
            "allow",
            "another request to this host",
        ),
        (
            &closed,
            ["--exchange", &models],
            "deny",
            "the default decides",
        ),
        (
            &allowing,
            ["--exchange", &ping],
            "allow",
            "another request to this server",
        ),
        (
            &allowing,
            ["--text", "hi"],
            "allow",
            "there is no default for such an event",
        ),
        (
            &closed,
            ["--model", "gpt-4o"],
            "deny",
            "the default decides",
        ),
        (
            &other,
            ["--model", "gpt-4o"],
            "deny",
            "no document of the set is for this caller",
        ),
    ] {
        let told = run(&["explain", policy, event[0], event[1]]);
        let told = format!("{}{}", out(&told), complaints(&told));
        assert!(
            told.contains(said) && told.contains(&format!("\n{action} (HTTP")),
            "{policy} {event:?}: {told}"
        );
    }
}

#[test]
fn explain_and_replay_say_that_the_code_decides_what_could_not_be_read() {
    let folder = Folder::new("unread");
    let policy = folder.policy("p.yaml", "rules:\n  - { id: no-pro-models, match: { model: '*-pro' }, action: deny, reason: Dear. }\n");
    let exchange = folder.file(
        "exchange.json",
        r#"{"id": 1, "request": {"host": "api.openai.com", "path": "/v1/chat/completions", "headers": {"content-type": "application/json"}, "body": "{\"model\":"}}"#,
    );
    let told = run(&["explain", &policy, "--exchange", &exchange]);
    snapshot("explain_unread", &folder, &out(&told));
    let line = json_lines(&run(&["--json", "replay", "--policy", &policy, &exchange])).remove(0);
    assert_eq!(
        (&line["code"], &line["rules"]),
        (&json!("AG2001"), &json!([]))
    );
    assert_eq!(line["undecided"], json!(["no-pro-models"]));
    assert!(line.get("reason").is_none());
    // The same from an audit line.
    let record = folder.file(
        "audit.jsonl",
        r#"{"v":1,"ts":"2026-01-01T00:00:00.000Z","request_id":"r","protocol":"openai.chat","provider":"openai","decision":"deny","code":"AG2001","status":400,"events":{"request":1,"uninspectable":1},"coverage":{"level":"none","reasons":["request:AG2001"]}}"#,
    );
    let line = json_lines(&run(&["--json", "replay", "--policy", &policy, &record])).remove(0);
    assert_eq!(
        (&line["action"], &line["code"], &line["rules"]),
        (&json!("deny"), &json!("AG2001"), &json!([]))
    );
}

#[test]
fn explain_says_that_a_policy_does_not_apply_to_an_exchange() {
    let folder = Folder::new("elsewhere");
    let policy = folder.file(
        "p.yaml",
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\napplies_to: { hosts: [api.example] }\ndefaults: { action: deny }\nrules: []\n",
    );
    let explained = |host: &str| {
        let text = json!({"request": {"host": host, "path": "/v1/chat/completions", "headers": {}, "body": {"model": "m", "messages": []}}});
        let exchange = folder.file("exchange.json", &text.to_string());
        out(&run(&["explain", &policy, "--exchange", &exchange]))
    };
    let (here, elsewhere) = (explained("api.example"), explained("other.example"));
    assert!(here.contains("the default decides"), "{here}");
    assert!(elsewhere.starts_with("allow"), "{elsewhere}");
    assert!(
        elsewhere.contains("`applies_to` leaves it out"),
        "{elsewhere}"
    );
}

#[test]
fn a_recorded_exchange_is_replayed_as_it_is_written() {
    let folder = Folder::new("replay-written");
    let policy = folder.file(
        "p.yaml",
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\nrequire: none\ndefaults: { action: allow }\nrules:\n  \
         - { id: vip, match: { event: request }, when: { header.x-level: \"3\" }, action: deny }\n",
    );
    let replayed = |line: &str| {
        let file = folder.file("one.jsonl", line);
        run(&["--json", "replay", "--policy", &policy, &file])
    };
    let body = r#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}"#;
    let line = |members: &str| {
        format!(
            r#"{{"request": {{"host": "api.openai.com", "path": "/v1/chat/completions", {members}}}}}"#
        )
    };
    let code = |members: &str| json_lines(&replayed(&line(members))).remove(0)["code"].clone();
    assert_eq!(code(&format!("\"body\": {body}")), Value::Null);
    // Which of the two a reader takes is not known.
    let twice = body.replacen('{', r#"{"model": "o1-pro", "#, 1);
    assert_eq!(code(&format!("\"body\": {twice}")), "AG2002");
    // A recorder writes a number where the header had digits.
    for value in ["3", "\"3\"", "[3]"] {
        let members = format!(r#""headers": {{"x-level": {value}}}, "body": {body}"#);
        assert_eq!(code(&members), "AG3001", "{value}");
    }
    let late = line(&format!("\"body\": {body}")).replacen('{', r#"{"time": "yesterday", "#, 1);
    let unread = line(&format!(
        r#""headers": {{"x-level": {{}}}}, "body": {body}"#
    ));
    for (wrong, told) in [
        (late, "time `yesterday`: this is no moment"),
        (unread, "header `x-level`: write a text"),
    ] {
        let refused = replayed(&wrong);
        assert_eq!(refused.status.code(), Some(2));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn a_body_that_was_recorded_compressed_is_read_as_the_filter_would_get_it() {
    use base64::Engine;
    let folder = Folder::new("replay-compressed");
    let policy = |mode: &str| {
        let text = format!(
            "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: p }}\nmode: {mode}\nrequire: none\n\
             defaults: {{ action: allow }}\nrules:\n  - {{ id: mail, match: {{ event: [message, response] }}, \
             when: {{ text: {{ detects: email }} }}, action: redact, redact: {{ with: label }} }}\n"
        );
        folder.file(&format!("{mode}.yaml"), &text)
    };
    let (enforcing, observing) = (policy("enforce"), policy("observe"));
    let packed = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap())
    };
    let request = r#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}"#;
    let response = r#"{"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [{"index": 0, "message": {"role": "assistant", "content": "jane@example.com"}, "finish_reason": "stop"}]}"#;
    let half = |coding: &str, body: &str| json!({"headers": {"content-type": "application/json", "content-encoding": coding}, "body": body, "body_encoding": "base64"});
    let exchange = |of_request: &str, of_response: &str| {
        let mut sent = half(of_request, &packed(request));
        sent["host"] = json!("api.openai.com");
        sent["path"] = json!("/v1/chat/completions");
        let answered = half(of_response, &packed(response));
        folder.file(
            "one.jsonl",
            &json!({"request": sent, "response": answered}).to_string(),
        )
    };
    let replayed = |policy: &str, file: &str| {
        let told = json_lines(&run(&["--json", "replay", "--policy", policy, file])).remove(0);
        (
            told["action"].clone(),
            told["would"].clone(),
            told["code"].clone(),
        )
    };
    let inspected =
        |file: &str| json_lines(&run(&["--json", "inspect", file])).remove(0)["coverage"].clone();
    // Envoy decompresses requests before the filter, and an enforcing filter asks the provider not to compress.
    let file = exchange("gzip", "gzip");
    assert_eq!(
        replayed(&enforcing, &file),
        (json!("redact"), Value::Null, Value::Null)
    );
    assert_eq!(inspected(&file)["level"], "full");
    // What is named no coding is none.
    let plain = base64::engine::general_purpose::STANDARD.encode(request);
    let mut sent = half("none", &plain);
    sent["host"] = json!("api.openai.com");
    sent["path"] = json!("/v1/chat/completions");
    let file_of_none = folder.file("none.jsonl", &json!({"request": sent}).to_string());
    assert_eq!(inspected(&file_of_none)["level"], "full");
    // An observing one leaves the request as it is.
    assert_eq!(
        replayed(&observing, &file),
        (json!("allow"), json!("deny"), Value::Null)
    );
    for (of_request, of_response, half) in [("br", "gzip", "request"), ("gzip", "br", "response")] {
        let file = exchange(of_request, of_response);
        assert_eq!(
            replayed(&enforcing, &file),
            (json!("deny"), Value::Null, json!("AG2005"))
        );
        assert_eq!(
            inspected(&file),
            json!({"level": "none", "reasons": [format!("{half}:AG2005")]})
        );
    }
}

#[test]
fn a_replay_counts_an_exchange_by_the_event_at_its_end() {
    let folder = Folder::new("replay-interim");
    let policy = folder.policy("p.yaml", "rules: []\n");
    let record = |more: Value| {
        let mut record = json!({"v": 1, "request_id": "r-1", "protocol": "openai.chat", "model": "gpt-4o",
            "decision": "allow", "status": 200, "coverage": {"level": "full", "reasons": []}, "events": {"request": 1}});
        record
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        record.to_string()
    };
    let interim = record(json!({"interim": true, "decision": "deny", "code": "AG3001"}));
    let replayed = |name: &str, lines: &[&str]| {
        let file = folder.file(name, &lines.join("\n"));
        let output = run(&["--json", "replay", "--policy", &policy, &file]);
        let noted = String::from_utf8(output.stderr.clone()).unwrap();
        (json_lines(&output), noted)
    };
    let (lines, noted) = replayed("both.jsonl", &[&interim, &record(json!({}))]);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["differs"], false);
    assert!(
        noted.contains("left out as interim audit events: 1. "),
        "{noted}"
    );
    let (lines, noted) = replayed("one.jsonl", &[&record(json!({}))]);
    assert_eq!((lines.len(), &*noted), (1, ""));
}

/// A call that the provider ran has its result in the same response, and an audit event has neither's name.
#[test]
fn a_replay_by_the_policy_that_decided_never_says_otherwise() {
    let folder = Folder::new("replay-own");
    let policy = folder.policy(
        "p.yaml",
        "rules:\n  - { id: mails, match: { event: tool_call }, when: { args.to: { detects: email } }, action: redact, redact: { what: args.to } }\n",
    );
    let validated = out(&run(&["validate", &policy]));
    let version = json!(validated.trim_end().rsplit(' ').next());
    for (version, decision, action) in [
        (&version, "redact", "unknown"),
        (&version, "allow", "allow"),
        (&json!("sha256:other"), "redact", "allow"),
    ] {
        let record = json!({"v": 1, "request_id": "r", "protocol": "openai.responses", "decision": decision,
            "policy": {"name": "p", "version": version, "mode": "enforce"}, "status": 200,
            "events": {"request": 1, "response": 1, "tool_call": 1, "tool_result": 1},
            "coverage": {"level": "full", "reasons": []}});
        let file = folder.file("events.jsonl", &record.to_string());
        let told = json_lines(&run(&["--json", "replay", "--policy", &policy, &file])).remove(0);
        assert_eq!(told["action"], action, "{decision}");
    }
}

#[test]
fn a_replay_is_summed_up_by_action_rule_and_code() {
    let folder = Folder::new("replay");
    let policy = folder.policy("p.yaml", NO_DELETE);
    let lines: String = (1..6)
        .map(|number| {
            DELETED
                .replace('\n', "")
                .replace("e-1", &format!("e-{number}"))
                + "\n"
        })
        .collect();
    let unread = r#"{"id": "u-1", "request": {"host": "api.openai.com", "path": "/v1/chat/completions", "body": []}}"#;
    let traffic = folder.file("traffic.jsonl", &format!("{lines}{unread}\n"));
    let told = run(&["replay", "--policy", &policy, &traffic]);
    assert_eq!(told.status.code(), Some(0));
    snapshot("replay_summary", &folder, &out(&told));
    let summary = json_lines(&run(&[
        "--json",
        "replay",
        "--summary",
        "--policy",
        &policy,
        &traffic,
    ]));
    assert_eq!(summary.len(), 1);
    assert_eq!(
        summary[0]["rules"]["no-delete"],
        json!({"count": 5, "examples": ["e-1", "e-2", "e-3"]})
    );
    assert_eq!(summary[0]["compared"], 0);
    // One line each stays what scripts read.
    assert_eq!(
        json_lines(&run(&["--json", "replay", "--policy", &policy, &traffic])).len(),
        6
    );
    // Compressed, it is read as well; cut off, it is told.
    let packed = super::audit::gzip(lines.as_bytes());
    let replayed = |name: &str, bytes: &[u8]| {
        let path = folder.file(name, "");
        std::fs::write(&path, bytes).unwrap();
        run(&["--json", "replay", "--policy", &policy, &path])
    };
    assert_eq!(json_lines(&replayed("traffic.jsonl.gz", &packed)).len(), 5);
    let cut = replayed("cut.jsonl.gz", packed.split_at(packed.len() / 2).0);
    assert_eq!(cut.status.code(), Some(2));
    let said = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(
        said.ends_with("cut.jsonl.gz can't be read: the compressed data ends early: the file was cut off, or is being written just now\n"),
        "{said}"
    );
    // So is a record that is cut off at the end; before the end it is none.
    let written = replayed(
        "written.jsonl",
        &lines.as_bytes()[..lines.trim_end().len() - 9],
    );
    assert_eq!(json_lines(&written).len(), 4);
    let said = String::from_utf8_lossy(&written.stderr).into_owned();
    assert!(
        said.ends_with("written.jsonl: line 5 ends in the middle of a record, and is left out: it was cut off, or is being written just now\n"),
        "{said}"
    );
    let inside = replayed("inside.jsonl", format!("{{\"id\":\n{lines}").as_bytes());
    assert_eq!(inside.status.code(), Some(2));
    let decided = folder.file(
        "decided.jsonl",
        &DELETED
            .replace('\n', "")
            .replacen('{', "{\"action\": \"allow\", ", 1),
    );
    let told = run(&["replay", "--policy", &policy, &decided]);
    assert_eq!(told.status.code(), Some(1));
    assert!(
        out(&told).ends_with("difference allow → deny: 1 (e-1)\n1 evaluated, 1 differ\n"),
        "{}",
        out(&told)
    );
}

#[test]
fn a_recorded_body_is_a_text_or_json() {
    let folder = Folder::new("bodies");
    let policy = folder.policy("p.yaml", NO_DELETE);
    for (body, exit) in [
        ("{\"model\": \"m\", \"messages\": []}", 0),
        ("\"{}\"", 0),
        ("7", 2),
        ("true", 2),
    ] {
        let line = format!(
            "{{\"id\": 1, \"request\": {{\"host\": \"api.openai.com\", \"path\": \"/v1/chat/completions\", \"body\": {body}}}}}"
        );
        let file = folder.file("t.jsonl", &line);
        let told = run(&["replay", "--policy", &policy, &file]);
        assert_eq!(
            told.status.code(),
            Some(exit),
            "{body}: {}",
            complaints(&told)
        );
    }
}

#[test]
fn one_bare_word_does_not_hide_what_else_is_wrong() {
    let folder = Folder::new("words");
    let policy = folder.file(
        "p.yaml",
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\ndefaults: { action: alow }\nrules:\n  - { id: a, match: { tool: yes }, action: denny }\n  - { id: b, match: { tool: [on, x] }, whne: 1, action: deny }\n",
    );
    let told = run(&["validate", &policy]);
    assert_eq!(told.status.code(), Some(1));
    snapshot("bare_words", &folder, &out(&told));
    assert_eq!(
        run(&["check", &policy, "--tool", "x"]).status.code(),
        Some(2)
    );
}

#[test]
fn examples_are_run_wherever_their_rules_are_and_compared_in_full() {
    let folder = Folder::new("examples");
    let rule = |example: &str| {
        format!(
            "{{ id: mask, match: {{ event: message }}, when: {{ text: {{ detects: email }} }}, action: redact, examples: [{example}] }}"
        )
    };
    let head = |kind: &str| {
        format!(
            "apiVersion: agentguard.dev/v1\nkind: {kind}\nmetadata: {{ name: t }}\nrequire: none\n"
        )
    };
    let exchange = "exchange: { request: { host: api.openai.com, path: /v1/chat/completions, body: { model: m, messages: [{ role: user, content: hi }] } } }";
    let wrong = [
        "{ text: \"to a@example.com\", expect: allow }".to_owned(),
        "{ text: \"to a@example.com\", expect: { action: redact, text: \"to nobody\" } }"
            .to_owned(),
        format!("{{ {exchange}, expect: redact }}"),
        format!("{{ {exchange}, expect: {{ action: allow, upstream: bye }} }}"),
    ];
    for example in &wrong {
        let rule = rule(example);
        let documents = [
            format!(
                "{}defaults: {{ action: allow }}\nrules: [{rule}]\n",
                head("AgentPolicy")
            ),
            format!(
                "{}spec:\n  defaults: {{ action: allow }}\n  rules: [{rule}]\n",
                head("AgentPolicy")
            ),
            format!(
                "{}policies: [{{ metadata: {{ name: one }}, defaults: {{ action: allow }}, rules: [{rule}] }}]\n",
                head("AgentPolicySet")
            ),
        ];
        for document in &documents {
            let file = folder.file("p.yaml", document);
            let told = json_lines(&run(&["--json", "validate", &file]));
            let codes: Vec<&str> = told
                .iter()
                .filter_map(|line| line["code"].as_str())
                .collect();
            assert_eq!(codes, ["AG1023"], "{document}");
            assert_eq!(run(&["test", &file]).status.code(), Some(1), "{document}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_list_in_a_file() {
    let folder = Folder::new("mark");
    folder.file("tools.txt", "\u{feff}delete_user\r\ndrop_table\r\n");
    folder.file(
        "base.yaml",
        "\u{feff}rules:\n  - { id: base, match: { tool: erase }, action: deny, reason: R. }\n",
    );
    let policy = folder.policy(
        "p.yaml",
        "extends: base.yaml\nlists: { l: { file: tools.txt } }\nrules:\n  - { id: a, match: { event: tool_call }, when: { tool: { list: l } }, action: deny, reason: R. }\n",
    );
    for tool in ["delete_user", "drop_table", "erase"] {
        let decided = run(&["--json", "check", &policy, "--tool", tool]);
        assert_eq!(json_lines(&decided)[0]["action"], "deny", "{tool}");
    }
}

#[test]
fn explain_says_where_commands_may_write_and_what_they_may_assign() {
    let folder = Folder::new("commands");
    let policy = folder.policy(
        "p.yaml",
        "rules:\n  - { id: a, match: { tool: t }, when: { not: { args.c: { command_in: { commands: [ls], redirect: [/tmp], variables: [LANG] } } } }, action: deny, reason: R. }\n",
    );
    let told = out(&run(&["explain", &policy, "t {c: \"ls > /tmp/x\"}"]));
    assert!(
        told.contains("args.c command_in [ls] redirect [/tmp] variables [LANG]"),
        "{told}"
    );
}

#[test]
fn one_bad_file_of_a_folder_hides_nothing_of_the_others() {
    let folder = Folder::new("folder");
    folder.policy("a-good.yaml", NO_DELETE);
    folder.file("a-good.test.yaml", "apiVersion: agentguard.dev/v1\nkind: PolicyTest\npolicy: a-good.yaml\ntests:\n  - { name: passes, call: \"delete_x {id: 1}\", expect: allow }\n  - { name: fails, call: \"delete_x {id: 9}\", expect: allow }\n");
    folder.file(
        "b-broken.yaml",
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nrules: [\n",
    );
    folder.policy(
        "c-wrong.yaml",
        "rules:\n  - { id: a, match: { tool: t }, action: denny }\n",
    );
    folder.file("d-other.yaml", "services: { web: { image: x } }\n");
    folder.policy("e-good.yaml", "rules:\n  - { id: a, match: { tool: t }, action: deny, reason: R., examples: [{ call: t, expect: deny }] }\n");
    let tested = run(&["test", folder.path()]);
    assert_eq!(tested.status.code(), Some(2));
    assert!(
        out(&tested).contains("a-good.test.yaml:6: fails: failed"),
        "{}",
        out(&tested)
    );
    assert!(
        out(&tested).contains("2 passed, 1 failed"),
        "{}",
        out(&tested)
    );
    assert!(
        complaints(&tested).contains("2 files were not tested"),
        "{}",
        complaints(&tested)
    );
    for command in ["validate", "lint"] {
        let told = run(&["--json", command, folder.path()]);
        assert_eq!(told.status.code(), Some(1), "{command}");
        let files: std::collections::BTreeSet<String> = json_lines(&told)
            .iter()
            .filter(|line| line["severity"] == "error")
            .map(|line| {
                Path::new(line["file"].as_str().unwrap())
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(
            Vec::from_iter(files),
            ["b-broken.yaml", "c-wrong.yaml"],
            "{command}"
        );
    }
    // A file that is not there, or is no text of a policy's size, stops nothing either.
    let told = run(&["--json", "validate", "no/such/file.yaml", folder.path()]);
    assert_eq!(told.status.code(), Some(2));
    assert_eq!(json_lines(&told).len(), 2);
}

#[test]
#[cfg(unix)]
fn an_endless_file_is_rejected() {
    let folder = Folder::new("endless");
    let extends = folder.file(
        "p.yaml",
        &format!("{HEAD}extends: [/dev/zero]\nrules: []\n"),
    );
    for arguments in [
        &["validate", "/dev/zero"][..],
        &["lint", "/dev/zero"],
        &["fmt", "/dev/zero"],
        &["test", "/dev/zero"],
        &["check", "/dev/zero", "--tool", "t"],
        &["diff", "/dev/zero", "/dev/zero"],
        &["validate", &extends],
    ] {
        let told = run(arguments);
        let said = out(&told) + &complaints(&told);
        assert_ne!(told.status.code(), Some(0), "{arguments:?}");
        assert!(said.contains("too large"), "{arguments:?}: {said}");
    }
}

#[test]
fn invalid_bounds_are_rejected_with_a_valid_suggestion() {
    let folder = Folder::new("bounds");
    let mut told = String::new();
    for (name, text) in [
        ("body", "inspect: { max_body: 0 }\nrules: []\n"),
        ("huge", "inspect: { max_body: 2GiB }\nrules: []\n"),
        ("text", "inspect: { max_text: 0 }\nrules: []\n"),
        (
            "depth",
            "inspect: { max_depth: 0, nested_json: 99 }\nrules: []\n",
        ),
        (
            "reach",
            "detectors: { d: { pattern: 'ab+', reach: 0 } }\nrules:\n  - { id: a, match: { event: message }, when: { text: { detects: d } }, action: deny, reason: R. }\n",
        ),
        (
            "window",
            "rules:\n  - { id: a, match: { tool: t }, limit: { count: tool_calls, max: 5, window: 0s }, action: deny, reason: R. }\n",
        ),
        (
            "sum",
            "rules:\n  - { id: a, match: { tool: t }, limit: { sum: tokens, max: 5, window: 1h }, action: deny, reason: R. }\n",
        ),
        (
            "uses",
            "rules:\n  - { id: a, match: { tool: t }, action: require_approval, approval: { by: [x], uses: 0, valid_for: 0s }, reason: R. }\n",
        ),
        (
            "fraction",
            "rules:\n  - { id: a, match: { tool: t }, limit: { count: tool_calls, max: 0.5, window: 1h }, action: deny, reason: R. }\n",
        ),
        (
            "price",
            "rules:\n  - { id: a, limit: { sum: usage.cost_usd, max: 5, window: 1h, prices: { otherwise: { input: -1, output: 2 } } }, action: deny, reason: R. }\n",
        ),
        (
            "free",
            "rules:\n  - { id: a, limit: { sum: usage.cost_usd, max: 5, window: 1h, prices: { otherwise: { input: 1 } } }, action: deny, reason: R. }\n",
        ),
        (
            "length",
            "rules:\n  - { id: a, match: { tool: t }, when: { args.x: { length_at_most: -1 }, args.y: { count_less_than: 0 } }, action: deny, reason: R. }\n",
        ),
        (
            "earlier",
            "rules:\n  - { id: a, match: { tool: t }, when: { earlier: { tool: u, count_at_least: 0 } }, action: deny, reason: R. }\n",
        ),
    ] {
        let policy = folder.policy(&format!("{name}.yaml"), text);
        let output = run(&["validate", &policy]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        for line in json_lines(&run(&["--json", "validate", &policy])) {
            assert!(line["help"].is_string(), "{line}");
        }
        told.push_str(&out(&output));
    }
    snapshot("bounds", &folder, &told);
}

/// The answer of `diff` with what it tells.
fn diffed(folder: &Folder, old: &str, new: &str) -> (Value, String) {
    let (old, new) = (
        folder.policy("old.yaml", old),
        folder.policy("new.yaml", new),
    );
    let difference = json_lines(&run(&["--json", "diff", &old, &new])).remove(0);
    (difference, out(&run(&["diff", &old, &new])))
}

#[test]
fn a_denial_taken_away_beside_a_limit_is_a_difference() {
    let folder = Folder::new("limits");
    let limit = "  - { id: many, match: { tool: delete_customer }, limit: { count: tool_calls, per: session, max: 5 }, action: deny, reason: Enough. }\n";
    let deny =
        "  - { id: never, match: { tool: delete_customer }, action: deny, reason: Never. }\n";
    let (difference, _) = diffed(
        &folder,
        &format!("rules:\n{limit}{deny}"),
        &format!("rules:\n{limit}"),
    );
    assert_eq!(
        (&difference["same"], &difference["keeps_refusals"]),
        (&json!("no"), &json!("no"))
    );
    assert_eq!(difference["loosens"]["new"]["action"], "allow");
    // A limit may be reached or not: nothing is proved of another one.
    let more = limit.replace("max: 5", "max: 6");
    let (difference, _) = diffed(
        &folder,
        &format!("rules:\n{limit}"),
        &format!("rules:\n{more}"),
    );
    assert_eq!(difference["same"], "unknown");
    assert_eq!(difference["keeps_refusals"], "unknown");
    // And an opening beside it is not idle.
    let policy = folder.policy("p.yaml", &format!("rules:\n{limit}  - {{ id: ask, match: {{ tool: delete_customer }}, action: require_approval, approval: {{ by: [x] }}, reason: Ask. }}\n"));
    let codes: Vec<Value> = json_lines(&run(&["--json", "lint", &policy]))
        .into_iter()
        .map(|line| line["code"].clone())
        .collect();
    assert!(!codes.contains(&json!("AG1103")), "{codes:?}");
}

#[test]
fn another_approver_form_of_redaction_or_tag_is_a_difference_that_is_shown() {
    let folder = Folder::new("effects");
    let rule = |text: &str| format!("rules:\n  - {{ id: a, {text} }}\n");
    for (old, new) in [
        (
            "match: { tool: t }, action: require_approval, approval: { by: [lead] }",
            "match: { tool: t }, action: require_approval, approval: { by: [intern] }",
        ),
        (
            "match: { event: message }, when: { text: { detects: credit_card } }, action: redact, redact: { with: last4 }",
            "match: { event: message }, when: { text: { detects: credit_card } }, action: redact, redact: { with: mask }",
        ),
        (
            "match: { tool: t }, action: tag, tags: [a]",
            "match: { tool: t }, action: tag, tags: [b]",
        ),
        (
            "match: { tool: t }, action: deny, on_deny: replace",
            "match: { tool: t }, action: deny, on_deny: error",
        ),
    ] {
        let (difference, told) = diffed(&folder, &rule(old), &rule(new));
        assert_eq!(difference["same"], "no", "{difference}");
        let [old, new] = ["old", "new"].map(|side| &difference["differs"][side]["effects"]);
        assert!(old != new && old.is_array(), "{difference}");
        assert!(told.contains(new[0].as_str().unwrap()), "{told}");
    }
}

#[test]
fn an_added_list_value_is_reported_for_any_length() {
    let folder = Folder::new("lists");
    let names: Vec<String> = (0..80).map(|number| format!("tool_{number}")).collect();
    let rules = |names: &[String]| {
        format!(
            "lists: {{ l: [{}] }}\nrules:\n  - {{ id: a, when: {{ tool: {{ in: {{ list: l }} }} }}, action: deny, reason: R. }}\n",
            names.join(", ")
        )
    };
    let mut more = names.clone();
    more.insert(40, "tool_new".to_owned());
    let (difference, told) = diffed(&folder, &rules(&names), &rules(&more));
    assert_eq!(
        (&difference["same"], &difference["adds_no_refusals"]),
        (&json!("no"), &json!("no"))
    );
    assert_eq!(
        difference["tightens"]["event"]["tool_call"]["tool"], "tool_new",
        "{difference}"
    );
    assert_eq!(
        difference["lists"],
        json!([{"list": "l", "added": ["tool_new"], "removed": []}])
    );
    assert!(told.contains("List l: +tool_new"), "{told}");
    let keyed = |models: &str| {
        format!(
            "lists: {{ m: {{ acme: [{models}], beta: [x] }} }}\nrules:\n  - {{ id: a, when: {{ model: {{ in: {{ list: m, key: tenant }} }} }}, action: deny, reason: R. }}\n"
        )
    };
    let (difference, _) = diffed(&folder, &keyed("a, b"), &keyed("a, b, c"));
    assert_eq!(difference["same"], "no", "{difference}");
    assert_eq!(difference["lists"][0]["list"], "m.acme");
}

#[test]
fn diff_finds_a_moved_bound_of_a_range_under_not_with_alternatives() {
    let folder = Folder::new("moved-bound");
    let rule = |field: &str, range: &str| {
        format!(
            "rules:\n  - {{ id: a, match: {{ tool: pay }}, when: {{ not: {{ {field}: {{ between: {range} }} }} }}, action: deny, reason: R. }}\n"
        )
    };
    for field in ["args.a", "args.a|b", "args.a|b|c"] {
        for (one, other) in [
            ("[0, 100]", "[0, 200]"),
            ("[0, 100]", "[-50, 100]"),
            ("[0, 100]", "[0, 101]"),
            ("[0.5, 1.5]", "[0.5, 9]"),
        ] {
            for (old, new) in [(one, other), (other, one)] {
                let (difference, told) = diffed(&folder, &rule(field, old), &rule(field, new));
                let answer = difference["same"].as_str();
                assert_eq!(answer, Some("no"), "{field} {old} {new}: {told}");
            }
        }
    }
}

#[test]
fn a_policy_that_decides_its_own_example_differently_is_not_built() {
    let policy = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\ndefaults: { action: allow }\n\
                  rules:\n  - id: r\n    match: { tool: t }\n    action: deny\n    reason: x\n    examples:\n      \
                  - { call: \"t {}\", expect: EXPECTED }\n";
    for (expected, code) in [("deny", 0), ("allow", 2)] {
        let policy = policy.replace("EXPECTED", expected);
        let built = run_with(&["build", "-", "--for", "json"], policy.as_bytes());
        let complaint = String::from_utf8_lossy(&built.stderr).into_owned();
        assert_eq!(built.status.code(), Some(code), "{complaint}");
        let has_output = !built.stdout.is_empty();
        assert_eq!(has_output, code == 0);
        assert_eq!(complaint.contains("AG1023"), code == 2, "{complaint}");
    }
}

#[test]
fn check_and_explain_show_what_a_shadow_policy_would_decide() {
    let policy = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\ndefaults: { action: allow }\nrules: []\n\
                  shadow:\n  defaults: { action: allow }\n  rules:\n    - { id: tried, match: { tool: t }, action: deny, reason: x }\n";
    let check = |arguments: &[&str]| run_with(arguments, policy.as_bytes());
    let checked = check(&["check", "-", "--tool", "t", "--json"]);
    assert_eq!(checked.status.code(), Some(0));
    let verdict: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(verdict["action"], "allow");
    let expected = serde_json::json!({"decision": "deny", "rules": ["shadow/tried"]});
    assert_eq!(verdict["shadow"], expected);
    let other = out(&check(&["check", "-", "--tool", "u"]));
    assert!(other.contains("shadow policy: allow\n"), "{other}");
    let explained = out(&check(&["explain", "-", "t {}"]));
    assert!(
        explained.contains("shadow policy: deny (shadow/tried)"),
        "{explained}"
    );
}

/// A streamed text is evaluated wherever something is found in it: what an earlier part decided is explained, too.
#[test]
fn what_held_in_a_part_of_a_stream_is_explained_whatever_follows() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("exchange.json");
    let words = [
        "The ",
        "capital ",
        "of the UK ",
        "is London, ",
        "and 7 more ",
        "words.",
    ];
    let frames = words.map(|word| {
        let delta = serde_json::json!({"choices": [{"index": 0, "delta": {"content": word}}]});
        format!("data: {delta}\n\n")
    });
    let exchange = serde_json::json!({
        "request": {"host": "api.openai.com", "path": "/v1/chat/completions",
            "body": {"model": "m", "stream": true, "messages": [{"role": "user", "content": "x"}]}},
        "response": {"headers": {"content-type": "text/event-stream"},
            "body": format!("{}data: [DONE]\n\n", frames.concat())},
    });
    std::fs::write(&file, exchange.to_string()).unwrap();
    let policy = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\ndefaults: { action: allow, tool_call: allow }\nrules:\n\
                  - { id: early, match: { event: response }, when: { text: { contains: capital of } }, action: redact }\n\
                  - { id: late, match: { event: response }, when: { text: { contains: London } }, action: tag, tags: [t] }\n\
                  - { id: never, match: { event: response }, when: { text: { contains: Paris } }, action: tag, tags: [t] }\n\
                  - { id: whole, match: { event: response }, when: { text: { length_at_most: 5 } }, action: tag, tags: [t] }\n\
                  - { id: digits, match: { event: response, part: [reasoning] }, when: { text: { detects: pii } }, action: tag, tags: [t] }\n";
    let explain = [
        "explain",
        "-",
        "--exchange",
        file.to_str().unwrap(),
        "--json",
    ];
    let explained: serde_json::Value =
        serde_json::from_slice(&run_with(&explain, policy.as_bytes()).stdout).unwrap();
    let ids = |rules: &serde_json::Value, is_wanted: &dyn Fn(&serde_json::Value) -> bool| {
        let rules = rules.as_array().unwrap().iter();
        let ids = rules
            .filter(|rule| is_wanted(rule))
            .map(|rule| rule["id"].clone());
        ids.collect::<Vec<_>>()
    };
    let decided = ids(&explained["verdict"]["rules"], &|_| true);
    assert_eq!(decided, ["early", "late"]);
    let mut events = explained["events"].as_array().unwrap().iter();
    let response = events.rfind(|event| event["event"] == "response");
    let held = ids(&response.unwrap()["rules"], &|rule| rule["held"] == true);
    assert_eq!(held, ["early", "late"]);
}

/// Explaining looks for more than the rules do: that is no finding of the exchange.
#[test]
fn explain_tells_the_same_result_as_replay() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("exchange.json");
    let exchange = serde_json::json!({
        "request": {"method": "GET", "host": "generativelanguage.googleapis.com", "path": "/v1beta/batches/b1"},
        "response": {"body": {"name": "batches/b1", "metadata": {"createTime": "2026-08-19T14:34:12Z",
            "endTime": "2026-08-19T14:40:30Z", "updateTime": "2026-08-19T14:40:31Z"}}},
    });
    std::fs::write(&file, exchange.to_string()).unwrap();
    let policy = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\ndefaults: { action: allow, tool_call: allow }\nrules:\n\
                  - { id: r, match: { event: response, part: reasoning }, when: { text: { detects: { types: [pii], confidence: low } } }, action: tag, tags: [t] }\n";
    let told = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&run_with(arguments, policy.as_bytes()).stdout).unwrap()
    };
    let file = file.to_str().unwrap();
    let mut replayed = told(&["replay", "--policy", "-", file, "--json"]);
    replayed.as_object_mut().unwrap().remove("id");
    let explained = told(&["explain", "-", "--exchange", file, "--json"]);
    assert_eq!(replayed["findings"]["date_of_birth"], 1);
    assert_eq!(explained["verdict"], replayed);
}
