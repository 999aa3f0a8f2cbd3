//! Tests of what a kill list denies.

use super::*;
use crate::event::{Direction, Facts, Known, Principal, Reading};
use crate::wire::json::{JsonBody, Limits, NodeId};

fn list(entries: &str) -> KillList {
    let text = format!(
        "{{\"apiVersion\":\"agentguard.dev/v1\",\"kind\":\"AgentKill\",\"generation\":7,\"kill\":[{entries}]}}"
    );
    KillList::from_json(text.as_bytes()).unwrap()
}

fn wrong(text: &str) -> String {
    let diagnostics = KillList::from_json(text.as_bytes()).unwrap_err();
    let lines: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn known(agent: &str) -> Principal {
    Principal {
        agent: Known::Is(agent.into()),
        client: Known::Is("acme".into()),
        tenant: Known::Missing,
        id: Known::Is("user-1".into()),
        roles: Known::Missing,
        via: Some("key".into()),
        ..Principal::anonymous()
    }
}

/// Returns the reason why an event is denied.
fn reason(list: &KillList, principal: Principal, event: &Event) -> Option<String> {
    let facts = Facts {
        principal,
        time: Some(1_800_000_000_000_000_000),
        ..Facts::unknown()
    };
    let json = JsonBody::scan(b"null", Limits { max_depth: 1 }, 0).unwrap();
    let (reading, scans, scratch) = (Reading::new(), RefCell::default(), RefCell::default());
    let context = Context {
        policy: &list.rules,
        facts: &facts,
        reading: &reading,
        json: &json,
        scans: &scans,
        scratch: &scratch,
    };
    let killed = list.stops(event, &context)?;
    assert_eq!(killed.generation, 7);
    Some(killed.reason.into())
}

fn request() -> Event {
    Event::new(Kind::Request, Direction::Request, NodeId::default())
}

fn call(tool: &str) -> Event {
    let mut event = Event::new(Kind::ToolCall, Direction::Response, NodeId::default());
    event.tool = Known::Is(tool.into());
    event
}

#[test]
fn an_agent_is_stopped_in_every_spelling_and_by_globs() {
    let list = list(r#"{"agents":["support-*"],"reason":"refunds"}"#);
    for agent in ["support-bot", "Support-Bot", "ｓupport-bot"] {
        assert_eq!(
            reason(&list, known(agent), &request()).as_deref(),
            Some("refunds"),
            "{agent}"
        );
    }
    assert_eq!(reason(&list, known("sales-bot"), &request()), None);
    assert!(!list.stops_tools());
}

#[test]
fn a_name_with_brackets_is_stopped_as_it_stands_and_as_a_glob() {
    let list = list(r#"{"agents":["bot[12]"],"reason":"r"}"#);
    for agent in ["bot[12]", "Bot[12]", "bot1", "bot2"] {
        assert!(reason(&list, known(agent), &request()).is_some(), "{agent}");
    }
    assert_eq!(reason(&list, known("bot3"), &request()), None);
}

#[test]
fn white_space_around_a_name_changes_nothing() {
    let list = list(r#"{"agents":[" support-bot\n"],"reason":"r"}"#);
    assert!(reason(&list, known("support-bot"), &request()).is_some());
    assert_eq!(reason(&list, known("sales-bot"), &request()), None);
}

#[test]
fn whoever_does_not_say_who_it_is_could_be_the_one() {
    let list = list(r#"{"agents":["support-bot"],"reason":"refunds"}"#);
    assert!(reason(&list, Principal::anonymous(), &request()).is_some());
    let no_agent = Principal {
        agent: Known::Missing,
        ..known("")
    };
    assert_eq!(reason(&list, no_agent, &request()), None);
}

#[test]
fn clients_tenants_and_principals_are_stopped_by_their_names() {
    for (entry, is_stopped) in [
        (r#"{"clients":"acme","reason":"r"}"#, true),
        (r#"{"clients":"beta","reason":"r"}"#, false),
        (r#"{"principals":["user-1"],"reason":"r"}"#, true),
        (r#"{"principals":["user-2"],"reason":"r"}"#, false),
        (r#"{"tenants":["acme"],"reason":"r"}"#, false),
        (r#"{"all":true,"reason":"r"}"#, true),
    ] {
        let found = reason(&list(entry), known("a"), &request());
        assert_eq!(found.is_some(), is_stopped, "{entry}");
    }
}

#[test]
fn a_tool_is_stopped_by_its_calls_and_nothing_else() {
    let list = list(r#"{"tools":["issue_refund"],"reason":"attack"}"#);
    assert!(list.stops_tools());
    assert!(reason(&list, known("a"), &call("Issue_Refund")).is_some());
    assert_eq!(reason(&list, known("a"), &call("lookup")), None);
    assert_eq!(reason(&list, known("a"), &request()), None);
}

#[test]
fn an_entry_ends_by_itself() {
    for (until, is_stopped) in [
        ("2027-01-15T08:00:00Z", true),
        ("2027-01-15T07:59:59Z", false),
    ] {
        let list = list(&format!(r#"{{"all":true,"reason":"r","until":"{until}"}}"#));
        assert_eq!(
            reason(&list, known("a"), &request()).is_some(),
            is_stopped,
            "{until}"
        );
    }
}

#[test]
fn what_the_file_or_its_feed_stops_is_stopped() {
    let file = r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":7,"feed":{"cluster":"c"},"kill":[{"agents":["a"],"reason":"file"}]}"#;
    let file = KillList::from_json(file.as_bytes()).unwrap();
    let feed = list(r#"{"agents":["b"],"reason":"feed"},{"tools":["t"],"reason":"feed"}"#);
    assert!(!file.stops_tools());
    let both = file.with_feed(Rc::new(feed));
    assert!(both.stops_tools());
    assert_eq!(both.in_force().count(), 3);
    for (agent, expected) in [("a", Some("file")), ("b", Some("feed")), ("c", None)] {
        let found = reason(&both, known(agent), &request());
        assert_eq!(found.as_deref(), expected, "{agent}");
    }
    assert!(reason(&both, known("c"), &call("t")).is_some());
}

#[test]
fn a_feed_has_usual_values_and_says_what_is_wrong() {
    let of = |feed: &str| {
        let text = format!(
            r#"{{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":1,"feed":{feed},"kill":[]}}"#
        );
        KillList::from_json(text.as_bytes()).map(|list| list.feed.unwrap())
    };
    let usual = of(r#"{"cluster":"c"}"#).unwrap();
    assert_eq!((&*usual.path, &*usual.authority), ("/", "c"));
    assert_eq!((usual.every, usual.grace), (1, 30));
    assert_eq!(of(r#"{"cluster":"c","every":"20s"}"#).unwrap().grace, 60);
    let wrong = |feed: &str| {
        let found = of(feed).unwrap_err();
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    insta::assert_snapshot!([
        wrong("[]"),
        wrong("{}"),
        wrong(r#"{"path":"/"}"#),
        wrong(r#"{"cluster":"a b"}"#),
        wrong(r#"{"cluster":"c","path":"kill.json"}"#),
        wrong(r#"{"cluster":"c","authority":""}"#),
        wrong(r#"{"cluster":"c","url":"http://x"}"#),
        wrong(r#"{"cluster":"c","every":"0s"}"#),
        wrong(r#"{"cluster":"c","every":"2m"}"#),
        wrong(r#"{"cluster":"c","grace":"2d"}"#),
        wrong(r#"{"cluster":"c","every":"5s","grace":"5s"}"#),
    ]
    .join("\n---\n"), @r#"
    AG1005 feed: a mapping is expected here, not a list
    ---
    AG1006 feed: `cluster` is missing; name a cluster of Envoy's: `feed: { cluster: kill-feed, path: /kill.json }`
    ---
    AG1006 feed: `cluster` is missing; name a cluster of Envoy's: `feed: { cluster: kill-feed, path: /kill.json }`
    ---
    AG1005 feed.cluster: this is no cluster; for example `{ cluster: kill-feed, path: /kill.json, authority: ops.example.com }`
    ---
    AG1005 feed.path: this is no path; for example `{ cluster: kill-feed, path: /kill.json, authority: ops.example.com }`
    ---
    AG1005 feed.authority: this is no authority; for example `{ cluster: kill-feed, path: /kill.json, authority: ops.example.com }`
    ---
    AG1004 feed.url: unknown key `url`; known are `cluster`, `path`, `authority`, `every`, `grace`
    ---
    AG1011 feed.every: between one second and 60 seconds are allowed; for example `every: 1s` and `grace: 30s`
    ---
    AG1011 feed.every: between one second and 60 seconds are allowed; for example `every: 1s` and `grace: 30s`
    ---
    AG1011 feed.grace: between one second and 86400 seconds are allowed; for example `every: 1s` and `grace: 30s`
    ---
    AG1011 feed: the list is read every 5 seconds, and kept for 5; write a longer `grace`, or a shorter `every`
    "#);
}

#[test]
fn a_list_has_at_most_a_thousand_entries() {
    let entries = |count| vec![r#"{"agents":"a","reason":"r"}"#; count].join(",");
    assert_eq!(list(&entries(MAX_KILLS)).kills.len(), 1_000);
    let head = r#""apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":1"#;
    assert_eq!(
        wrong(&format!("{{{head},\"kill\":[{}]}}", entries(MAX_KILLS + 1))),
        "AG1019 kill: 1001 entries, at most 1000 are allowed; name several in one entry, or use globs"
    );
}

#[test]
fn mistakes_are_told_with_their_place_and_a_way_out() {
    let head = r#""apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":1"#;
    let entry = |entry: &str| wrong(&format!("{{{head},\"kill\":[{entry}]}}"));
    insta::assert_snapshot!([
        wrong("[]"),
        wrong("{}"),
        wrong(&format!("{{{head}}}")),
        entry(r#"{"agents":[],"reason":"r"}"#),
        entry(r#"{"agents":[""],"reason":"r"}"#),
        entry(r#"{"agents":"a","tools":"t","reason":"r"}"#),
        entry(r#"{"agents":"a"}"#),
        entry(r#"{"agent":"a","reason":"r"}"#),
        entry(r#"{"all":false,"reason":"r"}"#),
        entry(r#"{"all":true,"reason":"r"},{"all":true,"reason":"r","until":"tomorrow"}"#),
        entry(r#"{"agents":"[a","reason":"r"}"#),
    ]
    .join("\n---\n"), @r#"
    AG1005: a mapping is expected here, not a list
    ---
    AG1003 apiVersion: this is no kill list; write `apiVersion: agentguard.dev/v1`
    AG1003 kind: this is no kill list; write `kind: AgentKill`
    AG1006: `generation` is missing; write a number that grows with each change: `generation: 1`
    AG1006: `kill` is missing; write the entries, or `kill: []` where nothing is stopped
    ---
    AG1006: `kill` is missing; write the entries, or `kill: []` where nothing is stopped
    ---
    AG1006 kill[0].agents: the list is empty
    ---
    AG1011 kill[0].agents: an empty name matches no caller; write `all: true` to stop everything
    ---
    AG1006 kill[0]: an entry stops one kind of thing; write one of `agents`, `clients`, `tenants`, `principals`, `tools` or `all: true`; an entry for each
    ---
    AG1006 kill[0]: `reason` is missing; say why: whoever is stopped reads it
    ---
    AG1004 kill[0].agent: unknown key `agent`; did you mean `agents`?
    ---
    AG1007 kill[0].all: this stops nothing; remove the entry, or write `all: true`
    ---
    AG1011 kill[1].until: `until` takes a moment with its offset; write for example `2026-01-31T09:00:00+01:00` or `2026-01-31T08:00:00Z`
    ---
    AG1013 kill[0]: `[` is not closed in `[a`; globs know `*`, `**`, `?` and `[abc]`
    "#);
}
