//! The tools that make a policy safe to change: `explain`, `test`, `diff`, `replay`, `fmt`, `schema`.

use super::*;

const HEAD: &str =
    "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\nrequire: none\n";

/// A file that is gone with the value.
struct Written(PathBuf);

impl Written {
    fn new(name: &str, text: &str) -> Written {
        let path = std::env::temp_dir().join(format!("agentguard-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Written(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn policy(name: &str, rules: &str) -> Written {
    Written::new(
        name,
        &format!("{HEAD}defaults: {{ action: allow }}\n{rules}"),
    )
}

fn snapshot(name: &str, output: &Output) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, out(output)));
}

#[test]
fn explain_shows_what_held_and_what_was_seen() {
    let explained = run(&[
        "explain",
        "policies/support-agent.yaml",
        "issue_refund {amount: 250}",
        "--principal",
        "{\"roles\": [\"support\"]}",
    ]);
    assert_eq!(explained.status.code(), Some(0));
    snapshot("explain_a_refund", &explained);
    let unknown = run(&[
        "explain",
        "--all",
        "policies/support-agent.yaml",
        "{call: \"issue_refund {amount: a lot}\", env: unknown, principal: anonymous}",
    ]);
    snapshot("explain_what_is_not_known", &unknown);
}

#[test]
fn explain_masks_secrets() {
    let secret = "AKIAQYLPMN5HFIQR7XYA";
    let text = format!("the key is {secret}, the card 4111 1111 1111 1111");
    for json in [&[][..], &["--json"]] {
        let mut arguments = json.to_vec();
        arguments.extend(["explain", "policies/pii-baseline.yaml", "--text", &text]);
        let output = run(&arguments);
        assert!(out(&output).contains("[AWS_ACCESS_KEY"), "{}", out(&output));
        assert!(!out(&output).contains(secret));
    }
}

#[test]
fn explain_shows_what_held_inside_the_conversation_and_a_list() {
    let rules = policy(
        "explain-inside.yaml",
        "rules:
  - id: fetched
    match: { tool: send }
    when: { earlier: { event: tool_result, tool: web_fetch, text: { contains: key } } }
    action: deny
  - id: copied
    match: { tool: send }
    when: { args.body: { overlaps: { earlier: { event: tool_result, tool: web_fetch }, length_at_least: 8 } } }
    action: deny
  - id: dear
    match: { tool: order }
    when: { args.items: { any_item: { kind: gift, price: { greater_than: 5 } } } }
    action: deny
",
    );
    let sent = run(&[
        "explain",
        rules.path(),
        "{call: \"send {body: the key is AKIAQYLPMN5HFIQR7XYA}\", earlier: [{tool_result: {tool: search, text: none}}, \
         {tool_result: {tool: web_fetch, text: the key is AKIAQYLPMN5HFIQR7XYA}}, {tool_call: {tool: web_fetch}}]}",
    ]);
    snapshot("explain_the_conversation", &sent);
    assert!(!out(&sent).contains("AKIA"), "{}", out(&sent));
    let ordered = run(&[
        "explain",
        rules.path(),
        "order {items: [{kind: book, price: 9}, {kind: gift, price: 6}, card]}",
    ]);
    snapshot("explain_a_list", &ordered);
}

#[test]
fn explain_as_json_is_the_same_tree() {
    let output = run(&[
        "--json",
        "explain",
        "policies/support-agent.yaml",
        "issue_refund {amount: 250}",
    ]);
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 1, "one object");
    let rule = lines[0]["events"][0]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .find(|rule| rule["id"] == "large-refund")
        .unwrap();
    assert_eq!(rule["held"], true);
    // The condition on the tool, and one of several on the amount.
    let asked = &rule["parts"][1]["parts"][0]["parts"][1]["parts"][0];
    assert_eq!(
        asked["asks"],
        "args..amount|total|value|sum|total_amount|refund_amount|refund_total|amount_cents|cents|grand_total greater_than 100"
    );
    assert_eq!(asked["seen"], json!(["250"]));
    assert_eq!(lines[0]["verdict"]["action"], "require_approval");
}

#[test]
fn a_failing_case_shows_the_expectation_in_every_format() {
    let rules = policy(
        "p.yaml",
        "rules:\n  - { id: a, match: { tool: t }, action: deny, reason: Because. }\n  - { id: never, match: { tool: u }, action: tag, tags: [x] }\n",
    );
    let name = rules.0.file_name().unwrap().to_str().unwrap();
    let tests = Written::new(
        "t.test.yaml",
        &format!(
            "apiVersion: agentguard.dev/v1\nkind: PolicyTest\npolicy: {name}\ntests:\n  - {{ name: right, call: t, expect: deny }}\n  - {{ name: \"wrong & <odd>\", call: t, expect: {{ action: allow, rules: [] }} }}\n"
        ),
    );
    let text = run(&["test", tests.path(), "--coverage"]);
    assert_eq!(text.status.code(), Some(1));
    assert!(
        out(&text).contains("6: wrong & <odd>: failed"),
        "{}",
        out(&text)
    );
    assert!(out(&text).contains("action: expected \"allow\", got \"deny\""));
    assert!(out(&text).contains("1 passed, 1 failed"));
    assert!(out(&text).contains("1 of 2 rules reached, not: never"));
    let tap = out(&run(&["test", tests.path(), "--format", "tap"]));
    assert!(tap.starts_with("TAP version 13\n1..2\nok 1 - "), "{tap}");
    assert!(tap.contains("\nnot ok 2 - "), "{tap}");
    let junit = out(&run(&["test", tests.path(), "--format", "junit"]));
    assert!(junit.contains("tests=\"2\" failures=\"1\""), "{junit}");
    assert!(
        junit.contains("name=\"wrong &amp; &lt;odd&gt;\""),
        "{junit}"
    );
    let lines = json_lines(&run(&["--json", "test", tests.path()]));
    assert_eq!(lines[0]["ok"], true);
    assert_eq!(lines[1]["ok"], false);
    assert_eq!(lines[1]["got"]["action"], "deny");
}

#[test]
fn a_test_file_with_a_mistake_is_no_passing_test() {
    for (name, text) in [
        (
            "unknown-key",
            "tests: [{ name: a, call: t, expects: deny }]",
        ),
        (
            "two-events",
            "tests: [{ name: a, call: t, text: x, expect: deny }]",
        ),
        ("nothing-expected", "tests: [{ name: a, call: t }]"),
        (
            "unknown-outcome",
            "tests: [{ name: a, call: t, expect: blocked }]",
        ),
        (
            "nothing-compared",
            "tests: [{ name: a, call: t, expect: {} }]",
        ),
        (
            "sides-of-an-event",
            "tests: [{ name: a, call: t, expect: { action: deny, upstream: never } }]",
        ),
        (
            "an-event-beside-an-exchange",
            "tests: [{ name: a, call: t, exchange: { request: { path: /x } }, expect: deny }]",
        ),
        (
            "a-fact-beside-an-exchange",
            "tests: [{ name: a, model: m, exchange: { request: { path: /x } }, expect: deny }]",
        ),
        (
            "headers-in-a-list",
            "tests: [{ name: a, exchange: { request: { path: /x, headers: [x] } }, expect: deny }]",
        ),
        (
            "properties-in-a-list",
            "tests: [{ name: a, exchange: { request: { path: /x }, properties: [x] }, expect: deny }]",
        ),
    ] {
        let tests = Written::new(
            &format!("{name}.test.yaml"),
            &format!("apiVersion: agentguard.dev/v1\nkind: PolicyTest\npolicy: x.yaml\n{text}\n"),
        );
        let output = run(&["test", tests.path()]);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", out(&output));
        assert!(
            out(&output).contains("error[AG10"),
            "{name}: {}",
            out(&output)
        );
    }
    assert_eq!(
        run(&["test", "docs"]).status.code(),
        Some(2),
        "no case at all"
    );
}

/// The three answers of `diff` and its exit status.
fn compared(old: &Written, new: &Written) -> (Option<i32>, Value) {
    let output = run(&["--json", "diff", old.path(), new.path()]);
    (output.status.code(), json_lines(&output).remove(0))
}

fn answers(difference: &Value) -> [&str; 3] {
    ["same", "keeps_refusals", "adds_no_refusals"].map(|key| difference[key].as_str().unwrap())
}

#[test]
fn diff_proves_that_another_order_and_another_spelling_change_nothing() {
    let old = policy(
        "old-spelling.yaml",
        "lists: { l: [a, b] }
rules:
  - { id: one, match: { tool: [x, y] }, when: { args.n: { gt: 5, lt: 9 }, args.s: { list: l } }, action: deny }
  - { id: two, match: { event: message }, when: { text: { contains_any: [u, v] } }, action: tag, tags: [t] }
",
    );
    let new = policy(
        "new-spelling.yaml",
        "rules:
  # Now with a comment, in another order, written out, and with a reason.
  - { id: second, match: { event: message }, when: { text: { contains_any: [v, u] } }, action: tag, tags: [t] }
  - id: first
    match: { tool: [y, x] }
    when: { all: [{ args.s: [b, a] }, { args.n: { less_than: 9.0 } }, { not: { not: { args.n: { greater_than: 5 } } } }] }
    action: deny
    reason: Because.
",
    );
    let (exit, difference) = compared(&old, &new);
    assert_eq!(answers(&difference), ["yes", "yes", "yes"], "{difference}");
    assert_eq!(exit, Some(0));
}

#[test]
fn diff_proves_what_a_change_keeps_and_shows_what_it_loses() {
    let old = policy(
        "old-limit.yaml",
        "rules:\n  - { id: large, match: { tool: refund }, when: { args.amount: { greater_than: 100 } }, action: deny }\n",
    );
    let new = policy(
        "new-limit.yaml",
        "rules:\n  - { id: large, match: { tool: refund }, when: { args.amount: { greater_than: 500 } }, action: deny }\n",
    );
    let (exit, difference) = compared(&old, &new);
    assert_eq!(exit, Some(1));
    assert_eq!(answers(&difference), ["no", "no", "yes"], "{difference}");
    let witness = &difference["loosens"];
    let amount = witness["event"]["tool_call"]["args"]["amount"]
        .as_f64()
        .unwrap();
    assert!(amount > 100.0 && amount <= 500.0, "{witness}");
    assert_eq!(witness["old"]["action"], "deny");
    assert_eq!(witness["new"]["action"], "allow");
    // The other way round.
    let (_, difference) = compared(&new, &old);
    assert_eq!(answers(&difference), ["no", "yes", "no"], "{difference}");
}

/// A policy of callers with keys: who they are, and what they may do.
fn keyed(name: &str, keys: &[&str], denied: &str) -> Written {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| {
            let (digit, client) = key.split_once(' ').unwrap();
            format!("{{ sha256: {}, client: {client} }}", digit.repeat(64))
        })
        .collect();
    let keys = keys.join(", ");
    let text = format!(
        "principals: [{{ name: key, api_key: {{ header: x-agent-key, keys: [{keys}] }} }}]\n\
         rules: [{{ id: a, match: {{ tool: {denied} }}, action: deny }}]\n"
    );
    policy(name, &text)
}

#[test]
fn diff_of_another_api_key_shows_its_caller_and_proves_that_nothing_else_changes() {
    let old = keyed("old-key.yaml", &["a acme"], "t");
    let new = keyed("new-key.yaml", &["a acme", "b beta"], "t");
    let (exit, difference) = compared(&old, &new);
    assert_eq!(exit, Some(1));
    // Of a request with the key, nothing is proved.
    assert_eq!(answers(&difference), ["unknown"; 3], "{difference}");
    let others = &difference["without_keys"];
    assert_eq!(answers(others), ["yes"; 3], "{difference}");
    assert_eq!(
        difference["keys"],
        json!([{"source": "key", "sha256": "b".repeat(64), "old": null, "new": "client beta"}])
    );
    let told = out(&run(&["diff", old.path(), new.path()]));
    assert_eq!(
        told,
        "The callers with these API keys change, and their requests may be decided differently:
    key bbbbbbbbbbbb…: unknown → client beta
Of all other requests:
Does every event have the same decision? yes (proved)
Is everything still denied that was denied? yes (proved)
Is nothing denied that was not denied? yes (proved)
Different settings: principals
"
    );
}

#[test]
fn diff_tells_a_change_of_rules_beside_a_change_of_keys() {
    let old = keyed("old-key-rule.yaml", &["a acme"], "[t, u]");
    let new = keyed("new-key-rule.yaml", &["a beta"], "t");
    let (_, difference) = compared(&old, &new);
    assert_eq!(answers(&difference["without_keys"]), ["no", "no", "yes"]);
    assert_eq!(answers(&difference), ["no", "no", "unknown"]);
    assert_eq!(difference["loosens"]["event"]["tool_call"]["tool"], "u");
    assert_eq!(difference["keys"][0]["old"], "client acme");
    assert_eq!(difference["keys"][0]["new"], "client beta");
}

#[test]
fn diff_prefers_a_caller_whom_both_policies_know_and_says_of_another_that_only_one_does() {
    let of = |name: &str, keys: &[&str], clients: &str| {
        let keys = keys.iter().map(|key| {
            let (digit, client) = key.split_once(' ').unwrap();
            format!(
                "{{ sha256: {}, client: {client}, roles: [r, s] }}",
                digit.repeat(64)
            )
        });
        let keys = keys.collect::<Vec<_>>().join(", ");
        let text = format!(
            "principals: [{{ name: key, api_key: {{ header: x-agent-key, keys: [{keys}] }} }}]\n\
             rules: [{{ id: a, match: {{ tool: t, client: {clients}, role: r }}, action: deny }}]\n"
        );
        policy(name, &text)
    };
    // Only the new policy's keys know beta.
    let old = of("old-caller.yaml", &["a acme"], "zeta");
    let new = of("new-caller.yaml", &["a acme", "b beta"], "[zeta, beta]");
    let (exit, difference) = compared(&old, &new);
    assert_eq!(exit, Some(1));
    assert_eq!(
        answers(&difference),
        ["unknown", "unknown", "unknown"],
        "{difference}"
    );
    assert_eq!(answers(&difference["without_keys"])[2], "unknown");
    let witness = &difference["tightens"];
    assert_eq!(witness["event"]["principal"]["client"], "beta", "{witness}");
    assert_eq!(witness["caller_only_in"], "new");
    let told = out(&run(&["diff", old.path(), new.path()]));
    assert!(
        told.contains(
            "Only API keys of the new policy name this caller: the other one never meets it."
        ),
        "{told}"
    );
    let (_, difference) = compared(&new, &old);
    assert_eq!(
        difference["loosens"]["caller_only_in"], "old",
        "{difference}"
    );
    // Both know acme, which comes later.
    let new = of("both-callers.yaml", &["a acme", "b beta"], "[beta, acme]");
    let (_, difference) = compared(&old, &new);
    let witness = &difference["tightens"];
    assert_eq!(witness["event"]["principal"]["client"], "acme", "{witness}");
    assert!(witness.get("caller_only_in").is_none(), "{witness}");
    assert_eq!(answers(&difference["without_keys"])[2], "no");
}

#[test]
fn the_order_of_api_keys_is_no_difference() {
    let [old, new] = [("a", ["a acme", "b beta"]), ("b", ["b beta", "a acme"])]
        .map(|(name, keys)| keyed(&format!("order-{name}.yaml"), &keys, "t"));
    let (exit, difference) = compared(&old, &new);
    assert_eq!((exit, answers(&difference)), (Some(0), ["yes"; 3]));
}

#[test]
fn a_witness_of_diff_is_a_case_that_can_be_pasted_into_a_test() {
    let old = policy(
        "old-paste.yaml",
        "rules:\n  - { id: a, match: { tool: send }, when: { args.to: { domain_in: [evil.example] } }, action: deny }\n",
    );
    let new = policy("new-paste.yaml", "rules: []\n");
    let (_, difference) = compared(&old, &new);
    let event = difference["loosens"]["event"].to_string();
    for (policy, expected) in [(&old, "deny"), (&new, "allow")] {
        let output = run(&["--json", "explain", policy.path(), &event]);
        let lines = json_lines(&output);
        assert_eq!(
            lines.last().unwrap()["verdict"]["action"],
            expected,
            "{event}"
        );
    }
}

#[test]
fn diff_reports_unknown_without_proof_or_counterexample() {
    // The same language in two regular expressions: true, and beyond what is proved.
    let with = |pattern: &str, name: &str| {
        policy(
            name,
            &format!(
                "rules:\n  - {{ id: a, match: {{ event: message }}, when: {{ text: {{ matches: '{pattern}' }} }}, action: deny }}\n"
            ),
        )
    };
    let (exit, difference) = compared(&with("ab|ac", "u1.yaml"), &with("a[bc]", "u2.yaml"));
    assert_eq!(exit, Some(1), "what is not proved may differ");
    assert_eq!(answers(&difference), ["unknown", "unknown", "unknown"]);
    let output = run(&[
        "diff",
        "policies/getting-started.yaml",
        "policies/getting-started.yaml",
    ]);
    assert_eq!(
        out(&output),
        "The same: every event is decided alike (proved).\n"
    );
}

#[test]
fn diff_sees_defaults_modes_redactions_and_settings() {
    let rule = "rules:\n  - { id: a, match: { event: message }, when: { text: { detects: iban } }, action: redact, redact: { with: FORM } }\n";
    let old = policy("old-form.yaml", &rule.replace("FORM", "label"));
    let new = policy("new-form.yaml", &rule.replace("FORM", "mask"));
    let (_, difference) = compared(&old, &new);
    assert_eq!(difference["same"], "no", "{difference}");
    let closed = Written::new(
        "closed.yaml",
        &format!(
            "{HEAD}defaults: {{ action: allow, tool_call: deny }}\n{}",
            rule.replace("FORM", "label")
        ),
    );
    let (_, difference) = compared(&old, &closed);
    assert_eq!(answers(&difference), ["no", "yes", "no"], "{difference}");
    let observed = Written::new(
        "observed.yaml",
        &format!(
            "{HEAD}mode: observe\ndefaults: {{ action: allow, tool_call: deny }}\n{}",
            rule.replace("FORM", "label")
        ),
    );
    let (_, difference) = compared(&closed, &observed);
    assert_eq!(answers(&difference)[1], "no", "{difference}");
    assert_eq!(difference["loosens"]["new"]["would"], "deny");
    let smaller = Written::new(
        "smaller.yaml",
        &format!(
            "{HEAD}inspect: {{ max_body: 1KiB }}\ndefaults: {{ action: allow }}\n{}",
            rule.replace("FORM", "label")
        ),
    );
    let (_, difference) = compared(&old, &smaller);
    assert_eq!(difference["same"], "unknown");
    assert_eq!(difference["settings"], json!(["inspect"]));
}

#[test]
fn diff_compares_recorded_exchanges() {
    let output = run(&[
        "--json",
        "diff",
        "policies/getting-started.yaml",
        "policies/pii-baseline.yaml",
        "--traffic",
        "tests/traffic/openai.chat.jsonl",
    ]);
    let lines = json_lines(&output);
    assert!(lines.len() > 1, "some exchange ends differently");
    for line in lines.iter().skip(1) {
        assert_ne!(line["old"], line["new"], "{line}");
    }
}

#[test]
fn replay_evaluates_recorded_exchanges_of_every_protocol() {
    let deny = policy(
        "deny-all.yaml",
        "rules:\n  - { id: all, match: { event: request }, action: deny, reason: Because. }\n",
    );
    for file in std::fs::read_dir(root().join("tests/traffic")).unwrap() {
        let file = file.unwrap().path();
        if file
            .extension()
            .is_none_or(|extension| extension != "jsonl")
        {
            continue;
        }
        let file = file.to_str().unwrap();
        let lines = json_lines(&run(&["--json", "replay", "--policy", deny.path(), file]));
        assert!(!lines.is_empty(), "{file}");
        for line in lines {
            assert_eq!(line["action"], "deny", "{file}: {line}");
            assert!(line.get("was").is_none(), "nothing was decided then");
        }
    }
}

#[test]
fn replay_compares_with_another_policy() {
    let open = policy("open.yaml", "rules: []\n");
    let closed = policy(
        "no-gpt-4.yaml",
        "rules:\n  - { id: a, match: { model: \"gpt-4*\" }, action: deny, reason: Because. }\n",
    );
    let replay = |policy: &Written, against: &Written| {
        run(&[
            "--json",
            "replay",
            "--policy",
            policy.path(),
            "--against",
            against.path(),
            "tests/traffic/openai.chat.jsonl",
        ])
    };
    let same = replay(&open, &open);
    assert_eq!(same.status.code(), Some(0));
    let output = replay(&closed, &open);
    assert_eq!(output.status.code(), Some(1));
    let lines = json_lines(&output);
    let differing: Vec<&Value> = lines
        .iter()
        .filter(|line| line["differs"] == true)
        .collect();
    assert!(!differing.is_empty());
    for line in differing {
        assert_eq!(
            (&line["was"], &line["action"]),
            (&json!("allow"), &json!("deny"))
        );
        assert_eq!(line["rules"][0]["id"], "a");
    }
}

/// An audit line as the filter writes it.
fn record(decision: &str, more: &str) -> String {
    format!(
        "{{\"v\":1,\"ts\":\"2026-01-05T12:00:00.000Z\",\"request_id\":\"r-1\",\"chain\":{{\"id\":\"0123456789abcdef\",\"seq\":0,\"prev\":\"{0}\",\"start\":true}},\"policy\":{{\"name\":\"p\",\"version\":\"sha256:{0}\",\"mode\":\"enforce\"}},\"protocol\":\"openai.chat\",\"provider\":\"openai\",\"model\":\"gpt-4o\",\"decision\":\"{decision}\",\"status\":200,{more}\"coverage\":{{\"level\":\"full\",\"reasons\":[]}},\"timing\":{{\"inspect_us\":1,\"held_us\":0}}}}\n",
        "0".repeat(64)
    )
}

#[test]
fn two_policies_that_redact_otherwise_differ_in_replay_as_in_diff() {
    let exchange = json!({
        "id": "r",
        "request": {
            "host": "api.openai.com", "path": "/v1/chat/completions", "headers": {},
            "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "a@b.de 4111 1111 1111 1111"}]},
        },
    })
    .to_string();
    let rule = |name: &str, mode: &str, detects: &str, action: &str| {
        policy(
            name,
            &format!(
                "rules:\n  - {{ id: a, mode: {mode}, match: {{ event: message }}, when: {{ text: {{ detects: {detects} }} }}, action: {action} }}\n"
            ),
        )
    };
    let compare = |policy: &Written, against: &Written| {
        let arguments = [
            "replay",
            "--policy",
            policy.path(),
            "--against",
            against.path(),
            "-",
        ];
        let output = run_with(&arguments, exchange.as_bytes());
        let text = out(&output);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (
            output.status.code(),
            lines[0].clone(),
            lines[lines.len() - 1].clone(),
        )
    };
    let told = |code: i32, first: &str, last: &str| (Some(code), first.to_owned(), last.to_owned());
    let both = rule("both.yaml", "enforce", "[email, credit_card]", "redact");
    let mails = rule("mails.yaml", "enforce", "email", "redact");
    assert_eq!(
        compare(&both, &both),
        told(0, "r: redact  a", "1 evaluated, 0 differ")
    );
    assert_eq!(
        compare(&both, &mails),
        told(
            1,
            "r: redact  a   was redact with other content",
            "1 evaluated, 1 differ"
        )
    );
    let observed = rule("observed.yaml", "observe", "email", "deny");
    let nothing = policy("nothing.yaml", "rules: []\n");
    assert_eq!(
        compare(&nothing, &observed),
        told(
            1,
            "r: allow     was allow (would deny)",
            "1 evaluated, 1 differ"
        )
    );
}

#[test]
fn a_recorded_exchange_may_have_its_host_among_its_headers_and_no_status() {
    let policy = policy(
        "host.yaml",
        "rules:\n  - { id: a, match: { event: request, host: api.openai.com }, action: deny, reason: x }\n",
    );
    let decided = |host: &str, headers: Value| {
        let mut request = json!({"path": "/v1/chat/completions", "headers": headers, "body": {"model": "m", "messages": []}});
        if !host.is_empty() {
            request["host"] = json!(host);
        }
        let line = json!({"request": request, "response": {"body": {"choices": []}}}).to_string();
        let arguments = ["--json", "replay", "--policy", policy.path(), "-"];
        let told = json_lines(&run_with(&arguments, line.as_bytes())).remove(0);
        (told["action"].clone(), told["status"].clone())
    };
    let denied = (json!("deny"), json!(400));
    assert_eq!(decided("api.openai.com", json!({})), denied);
    assert_eq!(decided("", json!({"Host": "api.openai.com"})), denied);
    assert_eq!(decided("", json!({":authority": "api.openai.com"})), denied);
    let other = decided("other.example", json!({"Host": "api.openai.com"}));
    assert_eq!(other, (json!("allow"), json!(200)));
}

#[test]
fn replay_of_audit_events_uses_only_their_facts() {
    let replay = |rules: &str, line: &str| {
        let policy = policy("audit.yaml", rules);
        let output = run_with(
            &["--json", "replay", "--policy", policy.path(), "-"],
            line.as_bytes(),
        );
        let line = json_lines(&output).remove(0);
        (
            output.status.code(),
            line["action"].as_str().unwrap().to_owned(),
        )
    };
    let line = record(
        "allow",
        "\"events\":{\"message\":1,\"request\":1,\"tool_call\":1},\"tools\":[\"refund\"],",
    );
    let told = |action: &str| action.to_owned();
    assert_eq!(replay("rules: []\n", &line), (Some(0), told("allow")));
    assert_eq!(
        replay(
            "rules:\n  - { id: a, match: { model: \"gpt-4*\" }, action: deny }\n",
            &line
        ),
        (Some(1), told("deny")),
    );
    assert_eq!(
        replay(
            "rules:\n  - { id: a, match: { tool: refund }, action: deny }\n",
            &line
        ),
        (Some(1), told("deny")),
    );
    assert_eq!(
        replay(
            "rules:\n  - { id: a, match: { tool: refund }, when: { args.n: 1 }, action: deny }\n",
            &line
        ),
        (Some(0), told("unknown")),
        "arguments are in no record",
    );
    assert_eq!(
        replay(
            "rules:\n  - { id: a, match: { tool: other }, when: { args.n: 1 }, action: deny }\n",
            &line
        ),
        (Some(0), told("allow")),
        "of another tool they would not matter",
    );
    assert_eq!(
        replay(
            "rules:\n  - { id: a, match: { event: message }, when: { text: { contains: abc } }, action: deny }\n",
            &line
        ),
        (Some(0), told("unknown")),
        "neither are texts",
    );
}

#[test]
fn what_an_audit_event_leaves_out_is_unknown() {
    let action = |rules: &str, line: &str, options: &[&str]| {
        let head = match rules.starts_with("require:") {
            true => HEAD.replace("require: none\n", ""),
            false => HEAD.to_owned(),
        };
        let text = format!("{head}defaults: {{ action: allow }}\n{rules}");
        let policy = Written::new("left-out.yaml", &text);
        let mut arguments = vec!["--json", "replay", "--policy", policy.path(), "-"];
        arguments.extend(options);
        let output = run_with(&arguments, line.as_bytes());
        json_lines(&output).remove(0)["action"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let of_tools = |tools: &[String]| {
        let members = format!(
            "\"events\":{{\"request\":1,\"tool_call\":{}}},\"tools\":{},",
            tools.len(),
            json!(tools)
        );
        record("allow", &members)
    };
    let stop = |tool: &str| {
        format!("rules:\n  - {{ id: a, match: {{ tool: {tool} }}, action: deny, reason: x }}\n")
    };
    // An event has the first 64 tools, and the first 256 bytes of a name.
    let many: Vec<String> = (0..64).map(|number| format!("t{number}")).collect();
    assert_eq!(action(&stop("t7"), &of_tools(&many), &[]), "deny");
    assert_eq!(action(&stop("zz"), &of_tools(&many), &[]), "unknown");
    assert_eq!(action(&stop("zz"), &of_tools(&many[..63]), &[]), "allow");
    let long = [format!("{}é", "a".repeat(254))];
    assert_eq!(
        action(&stop(&"a".repeat(300)), &of_tools(&long), &[]),
        "unknown"
    );
    // A call without a name is none of the tools that are named.
    let unnamed = record("allow", "\"events\":{\"request\":1,\"tool_call\":1},");
    assert_eq!(action(&stop("zz"), &unnamed, &[]), "unknown");
    // Which half a call stands in is known where none has a result.
    let half = |half: &str| {
        format!(
            "rules:\n  - {{ id: a, match: {{ tool: t }}, when: {{ in: {half} }}, action: deny, reason: x }}\n"
        )
    };
    let called = record(
        "allow",
        "\"events\":{\"request\":1,\"tool_call\":1},\"tools\":[\"t\"],",
    );
    assert_eq!(action(&half("response"), &called, &[]), "deny");
    assert_eq!(action(&half("request"), &called, &[]), "allow");
    let answered = record(
        "allow",
        "\"events\":{\"request\":1,\"tool_call\":1,\"tool_result\":1},\"tools\":[\"t\"],",
    );
    assert_eq!(action(&half("response"), &answered, &[]), "unknown");
    assert_eq!(action(&half("request"), &answered, &[]), "unknown");
    // The environment is in no event; `--env` names it.
    let in_prod = "environment: { from: node }\nrules:\n  - { id: a, match: { model: \"*\", environment: prod }, action: deny, reason: x }\n";
    assert_eq!(action(in_prod, &called, &[]), "unknown");
    assert_eq!(action(in_prod, &called, &["--env", "prod"]), "deny");
    assert_eq!(action(in_prod, &called, &["--env", "dev"]), "allow");
    // An event without a principal is of an anonymous caller.
    assert_eq!(
        action("require: identity\nrules: []\n", &called, &[]),
        "deny"
    );
    // What is only tried out decides nothing.
    let tried_out = "rules: []\nshadow:\n  metadata: { name: s }\n  defaults: { action: allow }\n  rules:\n    - { id: a, match: { event: message }, action: deny, reason: x }\n";
    let said = record("allow", "\"events\":{\"request\":1,\"message\":1},");
    assert_eq!(action(tried_out, &said, &[]), "allow");
    // What a denied request would have been answered was never said.
    let denied = record("deny", "\"events\":{\"request\":1,\"message\":1},");
    assert_eq!(action("rules: []\n", &denied, &[]), "allow");
    assert_eq!(action(&stop("zz"), &denied, &[]), "unknown");
}

#[test]
fn fmt_keeps_the_meaning_of_a_policy() {
    for file in files("policies")
        .into_iter()
        .chain(files("tests/cli/lint"))
        .chain(files("tests/policy"))
    {
        let once = run(&["fmt", &file]);
        assert_eq!(once.status.code(), Some(0), "{file}: {:?}", once.stderr);
        let twice = run_with(&["fmt", "-"], &once.stdout);
        assert_eq!(out(&once), out(&twice), "{file}");
    }
}

#[test]
fn fmt_checks_and_writes() {
    let file = policy(
        "messy.yaml",
        "rules:   # all\n    - {id: a, match: {tool: t},action: deny}\n",
    );
    assert_eq!(run(&["fmt", "--check", file.path()]).status.code(), Some(1));
    assert_eq!(run(&["fmt", "--write", file.path()]).status.code(), Some(0));
    assert_eq!(run(&["fmt", "--check", file.path()]).status.code(), Some(0));
    let text = std::fs::read_to_string(&file.0).unwrap();
    assert!(
        text.ends_with("rules: # all\n  - { id: a, match: { tool: t }, action: deny }\n"),
        "{text}"
    );
    let broken = Written::new("broken.yaml", "a: [1\n");
    assert_eq!(run(&["fmt", broken.path()]).status.code(), Some(2));
}

/// A validator of one of the schemas.
fn validator(option: &[&str]) -> jsonschema::Validator {
    let mut arguments = vec!["--json", "schema"];
    arguments.extend(option);
    let schema = json_lines(&run(&arguments)).remove(0);
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// A YAML document as JSON.
pub(super) fn as_json(file: &str) -> Option<Value> {
    let text = std::fs::read_to_string(root().join(file)).ok()?;
    let node = agentguard::author::parse_yaml(&text).ok()?;
    let mut json = Vec::new();
    node.write_json(&mut json);
    serde_json::from_slice(&json).ok()
}

#[test]
fn the_schema_accepts_valid_policies_and_rejects_misspelt_keys_and_words() {
    let validator = validator(&[]);
    for file in policies().into_iter().chain(files("tests/cli/lint")) {
        let document = as_json(&file).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{file}: {errors:#?}");
    }
    let mut refused = 0;
    for file in files("tests/cli/wrong") {
        let Some(document) = as_json(&file) else {
            continue;
        };
        let codes: Vec<String> = json_lines(&run(&["--json", "validate", &file]))
            .iter()
            .map(|line| line["code"].as_str().unwrap().to_owned())
            .collect();
        // Keys, operators and closed lists of words are in the schema; what they mean together is not.
        let in_schema = codes
            .iter()
            .any(|code| matches!(code.as_str(), "AG1004" | "AG1010"));
        if in_schema {
            assert!(!validator.is_valid(&document), "{file} passes the schema");
            refused += 1;
        }
    }
    assert!(refused >= 9, "{refused}");
}

#[test]
fn the_schema_of_tests_takes_the_tests_that_ship() {
    let validator = validator(&["--test"]);
    for file in files("policies")
        .into_iter()
        .filter(|file| file.ends_with(".test.yaml"))
    {
        let document = as_json(&file).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{file}: {errors:#?}");
    }
    let misspelt = json!({
        "apiVersion": "agentguard.dev/v1", "kind": "PolicyTest", "policy": "x.yaml",
        "tests": [{"call": "t", "expects": "deny"}],
    });
    assert!(!validator.is_valid(&misspelt));
}

#[test]
fn the_schema_of_audit_lines_takes_a_line() {
    let validator = validator(&["--audit"]);
    let line: Value = serde_json::from_str(&record("allow", "")).unwrap();
    assert!(validator.is_valid(&line));
    let mut without = line.clone();
    without.as_object_mut().unwrap().remove("decision");
    assert!(!validator.is_valid(&without));
}

#[test]
fn short_syntax_means_what_fmt_writes() {
    for name in ["support-agent", "analytics-agent", "marketing-agent"] {
        let terse = format!("policies/terse/{name}.json");
        let validated = run(&["--json", "validate", &terse]);
        assert_eq!(
            validated.status.code(),
            Some(0),
            "{terse}: {}",
            out(&validated)
        );
        assert_eq!(json_lines(&validated).last().unwrap()["code"], "AG1024");
        let written = run(&["fmt", &terse]);
        assert!(out(&written).starts_with("apiVersion: agentguard.dev/v1\n"));
        let modern = Written::new(&format!("{name}-modern.yaml"), &out(&written));
        let difference = json_lines(&run(&["--json", "diff", &terse, modern.path()])).remove(0);
        assert_eq!(difference["same"], "yes", "{difference}");
        // What is built is in full; the filter is given that.
        let built = run(&["build", &terse, "--for", "json", "--fail-closed"]);
        let document: Value = serde_json::from_slice(&built.stdout).unwrap();
        assert_eq!(document["apiVersion"], "agentguard.dev/v1");
    }
}

#[test]
fn every_form_of_the_short_syntax_is_read() {
    let file = Written::new(
        "terse.yaml",
        "name: t
default_action: deny
enforcement: log_only
allow:
  - { action: read file, resource: \"/data/*\" }
  - list-files
deny: [{ action: \"delete:file\", resource: \"*\" }]
rate_limits: { requests_per_minute: 60 }
rules:
  - name: secrets in messages
    match: { message_content: { pattern: \"(?i)password\" } }
    outcome: Redact
  - { id: long, when: { message_count: { gt: 400 } }, outcome: BLOCK, reason: Too long. }
  - { id: seen, tool_name: search, outcome: LOG }
  - id: two-exceptions
    tool_name: t
    exceptions: [{ role: a }, { approver_role: b }]
    outcome: deny
",
    );
    let written = out(&run(&["fmt", file.path()]));
    snapshot("terse_in_full", &run(&["fmt", file.path()]));
    let lines = json_lines(&run(&["--json", "validate", file.path()]));
    let errors = lines
        .iter()
        .filter(|line| line["severity"] == "error")
        .count();
    assert_eq!(errors, 0, "{lines:?}\n{written}");
}

#[test]
fn the_examples_of_the_page_about_limits_work() {
    let text = std::fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let blocks: Vec<&str> = text
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let folder = std::env::temp_dir().join(format!("agentguard-limits-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let policy = folder.join("support-agent.yaml");
    std::fs::write(&policy, blocks[0]).unwrap();
    let tests = folder.join("support-agent.test.yaml");
    std::fs::write(&tests, blocks[1]).unwrap();
    let approved = folder.join("approved.yaml");
    std::fs::write(&approved, blocks[2]).unwrap();
    let approved = approved.to_str().unwrap();
    let validated = run(&["validate", "--strict", "--for", "envoy", approved]);
    assert_eq!(validated.status.code(), Some(0), "{}", out(&validated));
    let beyond = |more: &[&str]| {
        let call = ["check", approved, "--tool", "issue_refund", "--args"];
        let rest = [
            "{\"customer_id\": 7, \"amount\": 80}",
            "--used",
            "refunds-per-customer=240",
        ];
        out(&run(&[&call[..], &rest, more].concat()))
    };
    let asked = beyond(&[]);
    assert!(
        asked.starts_with("require_approval (HTTP 400) AG3003"),
        "{asked}"
    );
    assert!(asked.contains("More needs an approval."), "{asked}");
    let given = beyond(&["--approved-by", "support-manager"]);
    assert!(given.starts_with("allow (HTTP 200)"), "{given}");
    let (policy, tests) = (policy.to_str().unwrap(), tests.to_str().unwrap());
    let validated = run(&["validate", "--strict", "--for", "envoy", policy]);
    assert_eq!(validated.status.code(), Some(0), "{}", out(&validated));
    assert_eq!(out(&run(&["test", tests])), "2 passed, 0 failed\n");
    let arguments = ["--tool", "issue_refund", "--args", "{\"customer_id\": 7}"];
    let check = |used: &str| {
        let used = format!("refunds-per-customer={used}");
        let options = [&["check", policy][..], &arguments[..], &["--used", &used]].concat();
        run(&options).status.code()
    };
    assert_eq!(check("2"), Some(0));
    assert_eq!(check("3"), Some(1));
    // Where the name of a limit is misspelt the case would hold by accident.
    let said = |used: &str| {
        let options = [&["check", policy][..], &arguments[..], &["--used", used]].concat();
        let checked = run(&options);
        assert_eq!(checked.status.code(), Some(2));
        String::from_utf8(checked.stderr).unwrap()
    };
    let meant =
        "`refund-per-customer` is no limit of the policy; did you mean `refunds-per-customer`?";
    assert!(said("refund-per-customer=3").contains(meant));
    let known = "its limits are `busy`, `refunds-per-customer`, `requests-per-client`";
    assert!(said("x=3").contains(known), "{}", said("x=3"));
    for case in [
        "call: \"issue_refund {customer_id: 7}\"",
        "exchange: { request: { host: api.openai.com, path: /v1/models, method: GET } }",
    ] {
        let text = blocks[1].split("tests:").next().unwrap();
        let cases =
            "tests:\n  - { name: one, CASE, limits: { refund-per-customer: 3 }, expect: deny }\n";
        let cases = cases.replace("CASE", case);
        std::fs::write(tests, format!("{text}{cases}")).unwrap();
        let tested = run(&["test", tests]);
        assert_eq!(tested.status.code(), Some(2), "{}", out(&tested));
        let said = String::from_utf8(tested.stderr).unwrap();
        assert!(said.contains(&format!("one: {meant}")), "{said}");
    }
    let example = "    examples: [{ call: \"issue_refund {}\", limits: { refund-per-customer: 3 }, expect: deny }]\n";
    let rule = "    reason: A customer gets three refunds a day.\n";
    let text = blocks[0].replacen(rule, &format!("{rule}{example}"), 1);
    std::fs::write(policy, text).unwrap();
    let linted = out(&run(&["lint", policy]));
    assert!(
        linted.contains("AG1023") && linted.contains(meant),
        "{linted}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_test_gives_a_stream_as_the_text_of_its_frames_also_one_that_breaks() {
    let folder = super::audit::Folder::new("stream-tests");
    let policy = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\ndefaults: { action: allow }\n\
                  rules: [{ id: r, match: { event: response }, when: { text: { contains: weapon } }, action: deny }]\n";
    folder.write("policy.yaml", policy.as_bytes());
    let frame = |text: &str| {
        let delta = json!({"index": 0, "delta": {"content": text}});
        format!(
            "data: {}\n\n",
            json!({"id": "c", "object": "chat.completion.chunk", "choices": [delta]})
        )
    };
    let request = json!({"host": "api.openai.com", "path": "/v1/chat/completions",
        "body": {"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi"}]}});
    let case = |name: &str, frames: &[&str], expect: Value| {
        let response =
            json!({"headers": {"content-type": "text/event-stream"}, "body": frames.concat()});
        json!({"name": name, "exchange": {"request": request, "response": response}, "expect": expect})
    };
    let (hello, weapon) = (frame("Hello "), frame("a weapon"));
    let done = "data: [DONE]\n\n";
    let tests = json!({"apiVersion": "agentguard.dev/v1", "kind": "PolicyTest", "policy": "policy.yaml", "tests": [
        case("whole", &[&hello, done], json!({"action": "allow", "client": "Hello "})),
        case("denied", &[&hello, &weapon, done], json!({"action": "deny", "code": "AG3001", "client": "Hello "})),
        case("broken", &[&hello, "data: {\"choices\": [{\n\n", &weapon], json!({"action": "deny", "code": "AG2014"})),
    ]});
    let tests = folder.write("p.test.yaml", tests.to_string().as_bytes());
    let tested = run(&["test", &tests]);
    assert_eq!(out(&tested), "3 passed, 0 failed\n");
}

#[test]
fn the_reference_s_examples_work_and_name_every_operator() {
    let text = std::fs::read_to_string(root().join("docs/policy.md")).unwrap();
    let blocks: Vec<&str> = text
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let folder = std::env::temp_dir().join(format!("agentguard-docs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let policy = folder.join("support.yaml");
    std::fs::write(&policy, blocks[0]).unwrap();
    std::fs::write(folder.join("support.test.yaml"), blocks[1]).unwrap();
    let policy = policy.to_str().unwrap();
    // It asks for an approval and for roles, and names neither approvers nor principals; it knows one spelling of its tools.
    let linted = json_lines(&run(&["--json", "lint", policy]));
    let is_known = |line: &Value| line["code"] == "AG1017" || line["severity"] == "note";
    assert!(linted.iter().all(is_known), "{linted:?}");
    let tested = run(&["test", policy]);
    assert_eq!(out(&tested), "3 passed, 0 failed\n");
    // The picture of `explain` is what it prints.
    let picture = text
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let explained = out(&run(&["explain", policy, "issue_refund {amount: 250}"]));
    assert!(explained.starts_with(picture), "{explained}");
    std::fs::remove_dir_all(&folder).unwrap();
    for word in agentguard::policy::operator_words() {
        let family = ["count_", "length_"]
            .iter()
            .any(|family| word.starts_with(family));
        assert!(
            family || text.contains(word),
            "docs/policy.md does not name the operator `{word}`"
        );
    }
}

#[test]
fn a_whole_configuration_has_only_addresses_and_files_that_envoy_takes() {
    let built = |option: &str, value: &str| {
        let option = format!("{option}={value}");
        run(&[
            "build",
            "policies/getting-started.yaml",
            "--for",
            "envoy",
            "--bootstrap",
            &option,
        ])
    };
    let long = "a".repeat(64);
    for (option, taken, refused) in [
        (
            "--upstream",
            &[
                "https://api.openai.com",
                "HTTPS://Api.example.com:8443/",
                "http://127.0.0.1:11434",
                "http://localhost",
                "http://[::1]:80",
                "https://[2001:db8::1]",
                "https://model_server.internal",
                "https://xn--mnchen-3ya.de",
            ][..],
            &[
                "",
                "api.openai.com",
                "ftp://a",
                "https://",
                "https://a b",
                "https://a\"b",
                "https://a\nb",
                "https://a,b",
                "https://a%20b",
                "https://*.a",
                "https://-a",
                "https://a..b",
                "https://münchen.de",
                "https://a:0",
                "https://a:",
                "https://a:65536",
                "https://a:b:1",
                "http://::1",
                "http://[::1",
                "http://[a]",
                "http://[1.2.3.4]",
                "http://1.2.3.256",
                "http://1.2.3",
                "https://user@a",
                "https://a/v1",
                &format!("https://{long}"),
            ][..],
        ),
        (
            "--listen",
            &["0.0.0.0:10000", "[::]:10000", "127.0.0.1:0"],
            &[
                "",
                "localhost:1",
                ":1",
                "a b:1",
                "1.2.3.4",
                "::1:80",
                "1.2.3.4:65536",
                "/run/envoy",
                "127.0.0.1:9901",
            ],
        ),
        (
            "--admin",
            &["127.0.0.1:1", "[::1]:1"],
            &["", "localhost:1", "127.0.0.1:10000"],
        ),
        (
            "--health",
            &["127.0.0.1:9902"],
            &["", "localhost:1", "127.0.0.1:10000", "127.0.0.1:9901"],
        ),
        ("--audit-log", &["audit.jsonl"], &[""]),
        ("--trusted-ca", &["ca.pem"], &[""]),
        (
            "--wasm",
            &["agentguard.wasm"],
            &["", "https://a/agentguard.wasm", "oci://a/b"],
        ),
        ("--watch", &["policy.json"], &[""]),
        ("--kill-list", &["kill.json"], &[""]),
    ] {
        for value in taken {
            let ran = built(option, value);
            assert_eq!(ran.status.code(), Some(0), "{option} {value} {ran:?}");
        }
        for value in refused {
            let ran = built(option, value);
            let told = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert_eq!(ran.status.code(), Some(2), "{option} {value} {told}");
            assert!(ran.stdout.is_empty(), "{option} {value}");
            assert!(
                told.starts_with("agentguard: AG9012: ") && told.contains(option),
                "{told}"
            );
        }
    }
    let told = built("--upstream", "https://user:hunter2@a.example").stderr;
    let told = String::from_utf8(told).unwrap();
    assert!(
        !told.contains("hunter2") && told.contains("…@a.example"),
        "{told}"
    );
    // What clients send as `Host`.
    for (upstream, host) in [
        ("https://a.example", "a.example"),
        ("https://a.example:443", "a.example"),
        ("https://a.example:80", "a.example:80"),
        ("http://ollama:11434", "ollama:11434"),
        ("http://[::1]", "[::1]"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ] {
        let built = String::from_utf8(built("--upstream", upstream).stdout).unwrap();
        let rewritten = format!("\"host_rewrite_literal\": \"{host}\"");
        assert!(built.contains(&rewritten), "{upstream} {built}");
    }
    // A certificate has an address as an address, and TLS does not announce one.
    let cluster = |upstream: &str| -> serde_json::Value {
        let config: serde_json::Value =
            serde_json::from_slice(&built("--upstream", upstream).stdout).unwrap();
        let tls = config
            .pointer("/static_resources/clusters/0/transport_socket/typed_config")
            .unwrap();
        let verified =
            "/common_tls_context/validation_context/match_typed_subject_alt_names/0/san_type";
        serde_json::json!([tls["sni"], tls.pointer(verified)])
    };
    assert_eq!(
        cluster("https://a.example"),
        serde_json::json!(["a.example", "DNS"])
    );
    assert_eq!(
        cluster("https://10.0.0.1"),
        serde_json::json!(["", "IP_ADDRESS"])
    );
    assert_eq!(
        cluster("https://[2001:db8::1]"),
        serde_json::json!(["", "IP_ADDRESS"])
    );
}
