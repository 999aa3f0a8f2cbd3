//! Keys and callers, from `keygen` to a decision.

use super::author::Folder;
use super::*;

fn key_of(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0));
    json_lines(&output).remove(0)
}

#[test]
fn keygen_prints_a_key_once_and_the_entry_that_knows_it() {
    let arguments = ["--json", "keygen", "--client", "acme", "--role", "agent"];
    let first = key_of(&arguments);
    let key = first["key"].as_str().unwrap();
    assert!(key.starts_with("agk_") && key.len() >= 46, "{key}");
    assert_ne!(first["key"], key_of(&arguments)["key"]);
    let entry = first["entry"].as_str().unwrap();
    let hash = first["sha256"].as_str().unwrap();
    assert_eq!(
        entry,
        format!(r#"{{ sha256: {hash}, client: "acme", roles: ["agent"] }}"#)
    );
    assert!(!entry.contains(key));
    let text = out(&run(&["keygen", "--tenant", "a: b"]));
    assert!(text.contains(r#"tenant: "a: b" }"#), "{text}");
    // The same key from a file, with its line end.
    let folder = Folder::new("keygen");
    let file = folder.file("key.txt", &format!("{key}\n"));
    let again = key_of(&["--json", "keygen", "--client", "acme", "--key", &file]);
    assert_eq!(again["sha256"], first["sha256"]);
    assert_eq!(again["key"], Value::Null);
}

#[test]
fn keygen_asks_whose_key_it_is_and_until_when() {
    for wrong in [
        &["keygen"][..],
        &["keygen", "--client", "a", "--not-after", "tomorrow"],
        &[
            "keygen",
            "--client",
            "a",
            "--not-after",
            "2020-01-01T00:00:00Z",
        ],
        &["keygen", "--client", ""],
        &["keygen", "--client", "a", "--role", " "],
    ] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert_eq!(out(&output), "");
    }
}

#[test]
fn build_refuses_a_secret_and_hashes_a_key_in_a_file() {
    let folder = Folder::new("secrets");
    let with = |name: &str, keys: &str| {
        folder.file(
            name,
            &format!(
                "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: t }}\ndefaults: {{ action: allow }}\nrequire: identity
principals: [{{ name: key, api_key: {{ header: x-agent-key, keys: [{{ {keys}, client: acme }}] }} }}]
"
            ),
        )
    };
    let key = "agk_0123456789abcdef";
    folder.file("acme.key", &format!("{key}\n"));
    let built = run(&[
        "build",
        &with("file.yaml", "file: acme.key"),
        "--for",
        "json",
    ]);
    assert_eq!(built.status.code(), Some(0));
    let document: Value = serde_json::from_str(&out(&built)).unwrap();
    let file = folder.file("again.key", key);
    let known = key_of(&["--json", "keygen", "--client", "acme", "--key", &file]);
    let entry = &document["principals"][0]["api_key"]["keys"][0];
    assert_eq!(entry["sha256"], known["sha256"]);
    assert!(!out(&built).contains(key));
    let plain = run(&[
        "build",
        &with("plain.yaml", &format!("key: {key}")),
        "--for",
        "json",
    ]);
    assert_eq!((plain.status.code(), out(&plain)), (Some(2), String::new()));
    let hidden = folder.policy(
        "hidden.yaml",
        "rules: [{ id: a, match: { event: request }, when: { header.x-key: AKIAQYLPMN5HFIQR7XYA }, action: deny, reason: No. }]\n",
    );
    let built = run(&["build", &hidden, "--for", "envoy"]);
    assert_eq!((built.status.code(), out(&built)), (Some(2), String::new()));
    let told = String::from_utf8(built.stderr).unwrap();
    assert!(told.contains("AG1025 rules[0].when.header.x-key"), "{told}");
    assert!(!told.contains("AKIA"), "{told}");
}

#[test]
fn a_recorded_exchange_brings_its_own_caller() {
    let folder = Folder::new("caller");
    let policy = folder.file(
        "p.yaml",
        "apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: t }
require: identity
principals:
  - { name: user, jwt: { payload: jwt, id: sub } }
  - { name: mesh, mtls: { uri_san: \"spiffe://td/ns/{tenant}/sa/{agent}\" } }
  - { name: edge, header: { id: x-user, trusted: [10.0.0.0/8] } }
defaults: { action: allow }
rules: [{ id: no-ann, match: { event: request }, when: { principal.id: ann }, action: deny, reason: Not ann. }]
",
    );
    let request = |headers: Value| {
        json!({"host": "api.openai.com", "path": "/v1/chat/completions", "headers": headers,
               "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}})
    };
    let token = |sub: &str| json!({"metadata": {"filter_metadata": {"envoy.filters.http.jwt_authn": {"jwt": {"sub": sub}}}}});
    let user = json!({"x-user": "ann"});
    let lines = [
        (json!({"request": request(json!({}))}), "AG4001"),
        (
            json!({"request": request(json!({})), "properties": token("bob")}),
            "",
        ),
        (
            json!({"request": request(json!({})), "properties": token("ann")}),
            "AG3001",
        ),
        (
            json!({"request": request(json!({})), "peer": "spiffe://td/ns/a/sa/b"}),
            "",
        ),
        (
            json!({"request": request(json!({})), "peer": "spiffe://other/ns/a/sa/b"}),
            "AG4001",
        ),
        (
            json!({"request": request(user.clone()), "peer": "10.0.0.7"}),
            "AG3001",
        ),
        (
            json!({"request": request(user), "peer": "192.0.2.1:5000"}),
            "AG4001",
        ),
        (
            json!({"request": request(json!({})), "principal": {"id": "ann"}}),
            "AG3001",
        ),
    ];
    let text: Vec<String> = lines.iter().map(|(line, _)| line.to_string()).collect();
    let file = folder.file("traffic.jsonl", &text.join("\n"));
    let replayed = json_lines(&run(&["--json", "replay", "--policy", &policy, &file]));
    let codes: Vec<&str> = replayed
        .iter()
        .take(lines.len())
        .map(|line| line["code"].as_str().unwrap_or_default())
        .collect();
    let expected: Vec<&str> = lines.iter().map(|(_, code)| *code).collect();
    assert_eq!(codes, expected);
    // An event alone, of nobody and of somebody.
    let check = |more: &[&str]| {
        let arguments = [&["--json", "check", &policy, "--model", "gpt-4o"][..], more].concat();
        json_lines(&run(&arguments)).remove(0)["code"].clone()
    };
    assert_eq!(check(&[]), "AG4001");
    assert_eq!(check(&["--principal", r#"{"id": "bob"}"#]), Value::Null);
}
