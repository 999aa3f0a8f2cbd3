//! Policies as they are written elsewhere: three scenarios load as they stand, and every form has its meaning.

use super::*;
use agentguard::diag::Severity;
use agentguard::policy::{Loaded, desugar, load};

fn loaded(text: &str) -> Loaded {
    load_with_zones(&parse_yaml(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}")))
}

fn policy(text: &str) -> Policy {
    let loaded = loaded(text);
    let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
    loaded
        .policy
        .unwrap_or_else(|| panic!("{text}: {errors:?}"))
}

fn scenario(name: &str) -> Policy {
    policy(&std::fs::read_to_string(folder().join("terse").join(name)).unwrap())
}

/// What a policy decides of a call, and by which rule.
fn decision(policy: &Policy, event: &str) -> (&'static str, String) {
    let node = parse_yaml(event).unwrap();
    let evaluation = evaluate(policy, &Given::of(&node)).remove(0);
    let rule = evaluation.ruling.rule.and_then(|rule| policy.rule(rule));
    let rule = rule.map(|rule| rule.id.to_string()).unwrap_or_default();
    (word(Some(evaluation.ruling.decision)), rule)
}

fn call(tool: &str, args: &str, given: &str) -> String {
    format!("{{ tool_call: {{ tool: {tool}, args: {args} }}, given: {{ {given} }} }}")
}

#[test]
fn the_support_agent() {
    let policy = scenario("support-agent.json");
    for (tool, args, given, decided, rule) in [
        (
            "delete_customer",
            "{ id: 1 }",
            "env: dev",
            "deny",
            "deny-delete-customer",
        ),
        ("issue_refund", "{ amount: 100 }", "env: prod", "allow", ""),
        (
            "issue_refund",
            "{ amount: 100.01 }",
            "env: prod",
            "require_approval",
            "approve-large-refund",
        ),
        ("issue_refund", "{ amount: 500 }", "env: dev", "allow", ""),
        (
            "issue_refund",
            "{ amount: \"a lot\" }",
            "env: prod",
            "require_approval",
            "approve-large-refund",
        ),
        (
            "update_account",
            "{}",
            "env: prod",
            "require_approval",
            "approve-account-change",
        ),
        ("search", "{}", "env: prod", "allow", ""),
    ] {
        let expected = (decided, rule.to_owned());
        assert_eq!(
            decision(&policy, &call(tool, args, given)),
            expected,
            "{tool} {args}"
        );
    }
    let approval = policy
        .rules()
        .iter()
        .find_map(|rule| rule.approval.clone())
        .unwrap();
    assert_eq!(approval.by, ["support-lead".into()]);
}

#[test]
fn the_analytics_agent() {
    let policy = scenario("analytics-agent.json");
    let lead = "env: prod, principal: { id: a, roles: [data-governance-lead] }";
    let dev = "env: prod, principal: { id: a, roles: [dev] }";
    for (query, given, decided, rule) in [
        ("SELECT name FROM plans LIMIT 10", dev, "allow", ""),
        ("SELECT * FROM plans LIMIT 10", dev, "deny", "no-bulk-reads"),
        (
            "SELECT name FROM plans LIMIT 1001",
            dev,
            "deny",
            "no-bulk-reads",
        ),
        ("SELECT name FROM plans LIMIT 1000", dev, "allow", ""),
        (
            "SELECT export FROM plans LIMIT 1",
            dev,
            "deny",
            "no-bulk-reads",
        ),
        ("drop table plans", dev, "deny", "read-only"),
        (
            "SELECT name FROM users LIMIT 1",
            dev,
            "deny",
            "personal-data",
        ),
        (
            "SELECT name FROM app.Users LIMIT 1",
            dev,
            "deny",
            "personal-data",
        ),
        ("SELECT name FROM users LIMIT 1", lead, "allow", ""),
        (
            "SELECT name FROM users LIMIT 1",
            "env: prod",
            "deny",
            "personal-data",
        ),
        ("SELECT * FROM users", "env: dev", "allow", ""),
    ] {
        let args = format!("{{ query: \"{query}\" }}");
        let expected = (decided, rule.to_owned());
        let event = call("query_database", &args, given);
        // Several rules may hold; the first by its id is told.
        let (decision, by) = decision(&policy, &event);
        assert_eq!(decision, expected.0, "{query}");
        if decided == "allow" || rule == "personal-data" && query.contains("name FROM users") {
            assert_eq!(by, expected.1, "{query}");
        }
    }
}

#[test]
fn the_marketing_agent() {
    let policy = scenario("marketing-agent.json");
    let to = |count: usize, domain: &str| {
        let list: Vec<String> = (0..count)
            .map(|number| format!("c{number}@{domain}"))
            .collect();
        format!("{{ to: [{}] }}", list.join(", "))
    };
    // 15:00 and 23:00 in New York, in summer.
    let day = "env: prod, time: \"2026-07-01T19:00:00Z\"";
    let night = "env: prod, time: \"2026-07-02T03:00:00Z\"";
    for (args, given, decided, rule) in [
        (to(5, "example.com"), day, "allow", ""),
        (to(100, "mail.example.com"), day, "allow", ""),
        (
            to(101, "example.com"),
            day,
            "require_approval",
            "many-recipients",
        ),
        (to(1, "evil.com"), day, "deny", "strangers"),
        (to(10, "example.com"), night, "allow", ""),
        (
            to(11, "example.com"),
            night,
            "require_approval",
            "after-hours",
        ),
        (to(11, "example.com"), day, "allow", ""),
        (
            "{ recipient: \"Eve <eve@evil.com>\" }".to_owned(),
            day,
            "deny",
            "strangers",
        ),
    ] {
        let expected = (decided, rule.to_owned());
        assert_eq!(
            decision(&policy, &call("send_email", &args, given)),
            expected,
            "{args}"
        );
    }
}

#[test]
fn the_filter_says_what_only_build_can_add() {
    let text = std::fs::read_to_string(folder().join("terse/marketing-agent.json")).unwrap();
    let loaded = load(&parse_yaml(&text).unwrap());
    let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
    assert!(
        errors.iter().any(|error| error.starts_with("AG1016")),
        "{errors:?}"
    );
}

#[test]
fn a_terse_document_and_its_modern_form_are_the_same_policy() {
    for name in [
        "support-agent.json",
        "analytics-agent.json",
        "marketing-agent.json",
    ] {
        let text = std::fs::read_to_string(folder().join("terse").join(name)).unwrap();
        let terse = parse_yaml(&text).unwrap();
        let modern = desugar(&terse).unwrap();
        assert!(agentguard::policy::desugar(&modern.root).is_none());
        let written = parse_yaml(&written(&modern.root)).unwrap();
        let again = load_with_zones(&written);
        assert!(
            again.diagnostics.is_empty(),
            "{name}: {:?}",
            again.diagnostics
        );
        assert_eq!(
            again.policy.unwrap().version,
            load_with_zones(&terse).policy.unwrap().version
        );
    }
}

#[test]
fn every_form_has_its_meaning() {
    // A document, a call, and what is decided.
    for (document, event, decided) in [
        (
            "{ rules: [], default_action: deny }",
            "{ args: {} }",
            "deny",
        ),
        ("{ rules: [] }", "{ args: {} }", "allow"),
        (
            "{ rules: [], defaults: { outcome: DENY } }",
            "{ args: {} }",
            "deny",
        ),
        (
            "{ rules: [], default_action: deny, enforcement: log_only }",
            "{ args: {} }",
            "allow",
        ),
        (
            "{ rules: [{ match: { tool_name: \"delete_*\" }, outcome: BLOCK }] }",
            "{ tool_call: { tool: delete_all, args: {} } }",
            "deny",
        ),
        (
            "{ rules: [{ when: { amount: { greater_than: 5 } }, outcome: deny }] }",
            "{ args: { amount: 6 } }",
            "deny",
        ),
        (
            "{ rules: [{ when: { amount_gt: 5, currency: EUR }, outcome: deny }] }",
            "{ args: { amount: 6, currency: EUR } }",
            "deny",
        ),
        (
            "{ rules: [{ when: { amount_gt: 5, currency: EUR }, outcome: deny }] }",
            "{ args: { amount: 6, currency: USD } }",
            "allow",
        ),
        (
            "{ rules: [{ when: { any: [{ a_equals: 1 }, { b_equals: 2 }] }, outcome: deny }] }",
            "{ args: { b: 2 } }",
            "deny",
        ),
        (
            "{ rules: [{ when: { not: { path_within: [/srv] } }, outcome: deny }] }",
            "{ args: { path: /etc/passwd } }",
            "deny",
        ),
        (
            "{ rules: [{ match: { tool_name: t }, enforcement: log_only, outcome: deny }] }",
            "{ tool_call: { tool: t, args: {} } }",
            "allow",
        ),
        (
            "{ rules: [{ when: { recipient_domain_in: [evil.com] }, outcome: deny }] }",
            "{ args: { cc: a@evil.com } }",
            "deny",
        ),
        (
            "{ rules: [{ when: { contains_any: [secret] }, outcome: deny }] }",
            "{ args: { a: { b: \"a Secret\" } } }",
            "deny",
        ),
        (
            "{ rules: [{ when: { path_not_within: [/srv] }, outcome: deny }] }",
            "{ args: { path: /etc/passwd } }",
            "deny",
        ),
        (
            "{ rules: [{ message_content: { pattern: \"(?i)bomb\" }, outcome: deny }] }",
            "{ text: a BOMB }",
            "deny",
        ),
        (
            "{ rules: [{ when: { \"message_content.pattern\": \"(?i)bomb\" }, outcome: deny }] }",
            "{ text: a BOMB }",
            "deny",
        ),
        (
            "{ rules: [{ when: { message_count: { gt: 3 } }, outcome: deny }] }",
            "{ request: {}, given: { request: { message_count: 4 } } }",
            "deny",
        ),
        (
            "{ rules: [{ match: { message_count: { gt: 3 } }, outcome: deny }] }",
            "{ request: {}, given: { request: { message_count: 4 } } }",
            "deny",
        ),
        (
            "{ rules: [{ match: { message_count_greater_than: 3 }, outcome: deny }] }",
            "{ request: {}, given: { request: { message_count: 3 } } }",
            "allow",
        ),
        (
            "{ rules: [{ match: { tool_name: t, amount: { gt: 3 } }, outcome: deny }] }",
            "{ tool_call: { tool: t, args: { amount: 4 } } }",
            "deny",
        ),
        (
            "{ deny: [{ action: read file, resource: \"/etc/*\" }] }",
            "{ tool_call: { tool: readFile, args: { path: /etc/passwd } } }",
            "deny",
        ),
        (
            "{ deny: [{ action: read file, resource: \"/etc/*\" }] }",
            "{ tool_call: { tool: readFile, args: { path: /srv/x } } }",
            "allow",
        ),
        (
            "{ deny: [{ action: read file, resource: \"/etc/*\" }] }",
            "{ tool_call: { tool: readFile, args: {} } }",
            "deny",
        ),
        (
            "{ default_action: deny, allow: [{ action: \"read:file\", resource: \"*\" }] }",
            "{ tool_call: { tool: read_file, args: {} } }",
            "allow",
        ),
        (
            "{ default_action: deny, allow: [{ action: \"read:file\", resource: \"/srv/**\" }] }",
            "{ tool_call: { tool: read-file, args: { path: /srv/a/b } } }",
            "allow",
        ),
        (
            "{ default_action: deny, allow: [{ action: \"read:file\", resource: \"/srv/**\" }] }",
            "{ tool_call: { tool: read-file, args: {} } }",
            "deny",
        ),
        (
            "{ default_action: deny, allow: [{ action: \"read:file\" }] }",
            "{ tool_call: { tool: write_file, args: {} } }",
            "deny",
        ),
        (
            "{ rules: [{ match: { tool_name: t, role: intern }, outcome: deny }] }",
            "{ args: {}, given: { principal: { roles: [intern] } } }",
            "deny",
        ),
        (
            "{ rules: [{ match: { tool_name: t }, outcome: deny, exceptions: { role: lead, env: dev } }] }",
            "{ args: {}, given: { env: dev, principal: { roles: [] } } }",
            "allow",
        ),
    ] {
        let document = document.replacen('{', "{ name: p, ", 1);
        assert_eq!(
            decision(&policy(&document), event).0,
            decided,
            "{document} of {event}"
        );
    }
}

#[test]
fn what_can_t_be_read_is_said_and_never_guessed() {
    for (document, code) in [
        (
            "{ rules: [{ outcome: MAYBE, match: { tool_name: t } }] }",
            "AG1007",
        ),
        ("{ rules: [{ match: { tool_name: t } }] }", "AG1006"),
        ("{ rules: [{ outcome: DENY, wenn: { a: 1 } }] }", "AG1004"),
        ("{ rules: [], default_action: sometimes }", "AG1007"),
        ("{ rules: [], defaults: {} }", "AG1006"),
        ("{ rules: [], default_action: require_approval }", "AG1007"),
        ("{ rules: [], settings: { a: 1 } }", "AG1004"),
        (
            "{ rules: [{ when: { time_outside: lunch }, outcome: DENY }] }",
            "AG1011",
        ),
        (
            "{ rules: [{ when: { time_outside: 9am-5pm XYZ }, outcome: DENY }] }",
            "AG1007",
        ),
        (
            "{ rules: [{ when: { recipient_domain_not_in: [customer_domains] }, outcome: DENY }] }",
            "AG1012",
        ),
        (
            "{ rules: [{ when: { greater_than: 5 }, outcome: DENY }] }",
            "AG1010",
        ),
        (
            "{ rules: [{ when: { any: [{ message_content: { pattern: a } }] }, outcome: DENY }] }",
            "AG1011",
        ),
        ("{ deny: [{ action: 5 }] }", "AG1005"),
        ("{ rate_limits: [{ requests_per_fortnight: 5 }] }", "AG1004"),
        // What would be left out: a rule without its conditions, a policy without its rules.
        (
            "{ policy: support, rules: [{ match: { tool_name: t }, outcome: DENY }] }",
            "AG1005",
        ),
        (
            "{ policy: { name: a }, rules: [{ match: { tool_name: t }, outcome: DENY }] }",
            "AG1004",
        ),
        (
            "{ rules: [{ match: [{ tool_name: t }], outcome: ALLOW }] }",
            "AG1005",
        ),
        (
            "{ rules: [{ when: [{ amount_lt: 5 }], outcome: ALLOW }] }",
            "AG1005",
        ),
        (
            "{ rules: [{ when: amount < 5, outcome: ALLOW }] }",
            "AG1005",
        ),
        (
            "{ rules: [{ when: { any: [{ a_lt: 5 }, a > 9] }, outcome: DENY }] }",
            "AG1005",
        ),
        (
            "{ rules: [{ unless: [{ amount_gt: 5 }], outcome: ALLOW }] }",
            "AG1005",
        ),
        (
            "{ rules: [{ exceptions: [admin], outcome: DENY }] }",
            "AG1005",
        ),
        ("{ rules: [{ outcome: ALLOW, action: DENY }] }", "AG1002"),
        (
            "{ rules: [{ enforcement: sometimes, outcome: DENY }] }",
            "AG1007",
        ),
        ("{ rules: [], mode: shadow }", "AG1007"),
        (
            "{ rules: [], default_action: allow, defaults: { outcome: DENY } }",
            "AG1002",
        ),
        (
            "{ rules: [], defaults: { outcome: ALLOW, tool_call: DENY } }",
            "AG1004",
        ),
        ("{ rules: [], defaults: [DENY] }", "AG1006"),
        ("{ rules: [], default_action: [deny] }", "AG1006"),
        ("{ rules: [], lists: vips }", "AG1005"),
        ("{ rate_limits: [{ tool: t }] }", "AG1006"),
        (
            "{ rate_limits: [{ model: m, max: 10, window: 1h }] }",
            "AG1004",
        ),
        (
            "{ rate_limits: [{ max: 10, limit: 5, window: 1h }] }",
            "AG1002",
        ),
        (
            "{ apiVersion: agentguard.dev/v1, kind: AgentPolicy, metadata: { name: a }, defaults: { outcome: DENY } }",
            "AG1004",
        ),
        (
            "{ apiVersion: agentguard.dev/v1, kind: AgentPolicy, metadata: { name: a }, defaults: { action: deny }, rules: [{ id: a, match: { tool_name: x }, action: deny }] }",
            "AG1004",
        ),
    ] {
        let loaded = loaded(document);
        let codes: Vec<&str> = loaded.errors().map(|error| error.code).collect();
        assert!(
            codes.contains(&code),
            "{document}: {:?}",
            loaded.diagnostics
        );
    }
}

#[test]
fn it_says_what_it_assumed() {
    let told = |document: &str| -> Vec<(Severity, String)> {
        let diagnostics = loaded(document).diagnostics;
        diagnostics
            .into_iter()
            .map(|one| (one.severity, one.message))
            .collect()
    };
    assert_eq!(
        told("{ rules: [], default_action: deny }"),
        [(
            Severity::Note,
            "this is the terse form of a policy".to_owned()
        )]
    );
    let zone = told(
        "{ rules: [{ match: { tool_name: t }, when: { time_outside: 9am-5pm EST }, outcome: DENY }] }",
    );
    assert!(
        zone.iter()
            .any(|(severity, message)| *severity == Severity::Warning
                && message.contains("America/New_York"))
    );
    // Tokens are those of a request, not of a tool's call.
    let limit = told("{ rate_limits: { tokens_per_minute: 60, tool_name: send_email } }");
    assert!(
        limit.iter().any(
            |(severity, message)| *severity == Severity::Warning && message.contains("limit-1")
        ),
        "{limit:?}"
    );
}

#[test]
fn limits_keep_their_own_names_and_others_are_numbered_among_limits() {
    let policy = policy(
        "{ rules: [{ id: a, tool_name: t, outcome: DENY }, { id: b, tool_name: u, outcome: DENY }],
           rate_limits: [{ id: everyone, requests_per_minute: 60, tokens_per_day: 9 },
                         { requests_per_hour: 600 },
                         { name: mails, tool: send_email, max: 5, window: 1h, per: [client], reason: Enough mail., tool_calls_per_day: 9 }] }",
    );
    let told = |id: &str| {
        let rule = policy.rules().iter().find(|rule| &*rule.id == id);
        rule.map(|rule| (rule.limit.is_some(), rule.reason.as_deref()))
    };
    assert_eq!(told("a"), Some((false, None)));
    for id in ["everyone", "everyone-2", "limit-2"] {
        assert_eq!(told(id), Some((true, None)), "{id}");
    }
    for id in ["mails", "mails-2"] {
        assert_eq!(told(id), Some((true, Some("Enough mail."))), "{id}");
    }
    assert_eq!(policy.rules().len(), 7);
}

/// In a document with `apiVersion` the words of other languages are mistakes, each with the word that is meant.
#[test]
fn the_language_itself_has_one_spelling() {
    let head = "apiVersion: agentguard.dev/v1, kind: AgentPolicy, metadata: { name: a }, defaults: { action: deny }";
    for (rest, meant) in [
        ("default_action: deny", "did you mean `defaults`?"),
        ("enforcement: log_only", "did you mean `mode`?"),
        (
            "rules: [{ id: a, match: { tool_name: x }, action: deny }]",
            "did you mean `tool`?",
        ),
        (
            "rules: [{ id: a, match: { tool: x }, outcome: DENY }]",
            "did you mean `action`?",
        ),
        (
            "rules: [{ id: a, match: { tool: x }, action: DENY }]",
            "did you mean `deny`?",
        ),
        (
            "rules: [{ id: a, match: { tool: x }, action: deny, exceptions: { role: a } }]",
            "did you mean `unless`?",
        ),
        (
            "rules: [{ id: a, match: { tool: x }, action: require_approval, approver_role: a }]",
            "did you mean `approval`?",
        ),
        (
            "rules: [{ id: a, match: { tool: x }, when: { amount_greater_than: 5 }, action: deny }]",
            "did you mean `args.amount: { greater_than: … }`?",
        ),
    ] {
        let loaded = loaded(&format!("{{ {head}, {rest} }}"));
        let help: Vec<&str> = loaded
            .errors()
            .filter_map(|error| error.help.as_deref())
            .collect();
        assert!(help.contains(&meant), "{rest}: {:?}", loaded.diagnostics);
    }
}
