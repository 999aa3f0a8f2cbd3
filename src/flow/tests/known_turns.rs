//! Conversations that grow with every request, as those of agents do: the turns that came before are passed over where the
//! policy has no say on them.

use super::conversations::{FORMATS, Format, POLICY, Said, any_turn, request};
use super::identity::{BETA, KEY, sources};
use super::known_texts::{outcome, outcome_alone};
use super::*;
use crate::protocol::known_turns_passed;

/// Rules that search texts, and none that looks at earlier turns otherwise.
const SEARCHING: &str = "
defaults: { action: allow }
rules:
  - { id: mask, match: { event: [message, tool_result] }, when: { text: { detects: [pii, secrets] } }, action: redact }
  - { id: project, match: { event: message, from: user }, when: { text: { contains: 'project basilisk' } }, action: tag, tags: [project] }
  - { id: models, match: { event: message, model: [m-1, m-2] }, when: { text: { contains: 'nobody said' } }, action: deny }
  - { id: shell, match: { event: tool_call, tool: read_secret }, action: deny }
  - { id: secret, match: { event: tool_result, tool: read_secret }, action: tag, tags: [secret] }
";

/// Rules that look at no text.
const CALLS: &str = "
defaults: { action: allow }
rules:
  - { id: shell, match: { event: tool_call, tool: read_secret }, action: deny }
";

/// Rules that ask for earlier turns, for other documents of a set, and for opaque content.
const OTHERS: [&str; 4] = [
    POLICY,
    "
defaults: { action: allow }
rules:
  - { id: twice, match: { event: tool_call }, when: { earlier: { event: tool_call, tool: search, count_at_least: 2 } }, action: tag, tags: [twice] }
",
    "
defaults: { action: allow }
rules:
  - { id: long, match: { event: message }, when: { text: { length_at_least: 150 } }, action: tag, tags: [long] }
  - { id: opaque, match: { event: uninspectable }, action: tag, tags: [opaque] }
",
    "
defaults: { action: allow, partial: deny }
rules: []
",
];

/// Returns a conversation in which no policy finds anything. `about` tells it from others.
pub(super) fn long_conversation(about: &str, count: usize) -> Vec<Said> {
    let text = |at: usize| {
        format!(
            "{at} {}",
            format!("Nobody knows why {about} is late. ").repeat(10)
        )
    };
    let turns = (0..count).map(|at| match at % 4 {
        0 => Said::User(text(at)),
        1 => Said::Call {
            id: "call_1",
            tool: "search",
            args: json!({"query": format!("{about} {at}"), "limit": at}),
        },
        2 => Said::Result {
            id: "call_1",
            text: text(at),
        },
        _ => Said::Model(text(at)),
    });
    turns.collect()
}

/// Sends a request, and returns how many turns were passed over.
fn passed(guard: &Rc<Guard>, request: &HttpMessage) -> usize {
    let before = known_turns_passed();
    let _ = outcome(guard, request);
    known_turns_passed() - before
}

/// Returns the work steps that an exchange takes.
fn steps(guard: &Rc<Guard>, request: &HttpMessage) -> u64 {
    let mut flow = Flow::new(Rc::clone(guard));
    let _ = sends_head(&mut flow, request);
    flow.work = 1 << 60;
    let _ = flow.request_body(&mut request.body().as_slice(), true, NOW);
    guard.allowance.left_of(1 << 60, flow.work)
}

/// Returns the work steps of an exchange in a new thread, whose caches are empty.
fn steps_alone(policy: &str, request: &HttpMessage) -> u64 {
    let alone = || steps(&guard(policy), request);
    std::thread::scope(|scope| scope.spawn(alone).join().unwrap())
}

#[test]
fn turns_that_come_a_third_time_are_passed_over_in_every_format() {
    for format in &FORMATS {
        for (about, policy) in [("the order", SEARCHING), ("a train", CALLS)] {
            let guard = guard(policy);
            let turns = long_conversation(about, 60);
            let counts: Vec<usize> = [52, 52, 52, 56, 60, 60]
                .iter()
                .map(|count| passed(&guard, &request(format, &turns[..*count])))
                .collect();
            assert_eq!(counts[..2], [0, 0], "{}", format.0);
            assert!(
                counts[2..].iter().all(|count| *count >= 40),
                "{counts:?} {}",
                format.0
            );
        }
    }
}

#[test]
fn turns_are_read_each_time_where_a_rule_may_ask_for_them() {
    for format in &FORMATS {
        // Calls are asked for by the first one, texts by the second one.
        for (about, policy, read) in [("it", OTHERS[1], 13), ("him", OTHERS[2], 26)] {
            let guard = guard(policy);
            let request = request(format, &long_conversation(about, 52));
            let counts = [(); 4].map(|()| passed(&guard, &request));
            assert!(counts[3] <= 52 - read, "{counts:?} {}", format.0);
        }
    }
}

#[test]
fn the_exchange_of_known_turns_takes_the_same_work() {
    for format in &FORMATS {
        for (about, policy) in [
            ("the order", SEARCHING),
            ("a train", CALLS),
            ("nobody", OTHERS[0]),
        ] {
            let turns = long_conversation(about, 60);
            let known = guard(policy);
            for count in [52, 52, 52, 56, 60, 60] {
                let request = request(format, &turns[..count]);
                let alone = steps_alone(policy, &request);
                assert_eq!(steps(&known, &request), alone, "{} {count}", format.0);
            }
        }
    }
}

/// Values that are split over two turns are found wherever the first of them has come before.
#[test]
fn a_value_that_begins_in_a_known_turn_and_ends_in_a_new_one_is_found() {
    for format in &FORMATS {
        let guard = guard(SEARCHING);
        let mut turns = long_conversation("it", 52);
        turns.push(Said::User("My card is 4111 1111".into()));
        for _ in 0..4 {
            let seen = outcome(&guard, &request(format, &turns));
            assert!(seen.1.get("findings").is_none(), "{}", format.0);
        }
        turns.push(Said::User("1111 1111, please.".into()));
        for _ in 0..4 {
            let seen = outcome(&guard, &request(format, &turns));
            assert_eq!(seen.1["findings"]["credit_card"], 1, "{}", format.0);
        }
    }
}

#[test]
fn another_policy_evaluates_the_same_turns_again() {
    let request = request(&FORMATS[0], &long_conversation("it", 52));
    let lenient = guard(CALLS);
    for _ in 0..4 {
        let _ = outcome(&lenient, &request);
    }
    let strict = guard(&CALLS.replace("rules:", "rules:\n  - { id: said, match: { event: message, from: assistant }, when: { text: { contains: '3 Nobody' } }, action: deny }"));
    for _ in 0..3 {
        assert_eq!(outcome(&strict, &request).1["rules"][0]["id"], "said");
    }
}

/// Sends requests one after the other, several times; each must lead to what it leads to alone.
fn are_as_alone(policy: &str, requests: &[&HttpMessage]) {
    let alone: Vec<_> = requests
        .iter()
        .map(|request| (outcome_alone(policy, request), steps_alone(policy, request)))
        .collect();
    let known = guard(policy);
    let before = known_turns_passed();
    for _ in 0..3 {
        for (at, (request, (alone, work))) in requests.iter().zip(&alone).enumerate() {
            for _ in 0..3 {
                assert_eq!(&outcome(&known, request), alone, "request {at}");
                assert_eq!(steps(&known, request), *work, "request {at}");
            }
        }
    }
    assert!(known_turns_passed() > before);
}

fn with_body(format: &Format, body: &Value) -> HttpMessage {
    with_text(format, &body.to_string())
}

/// Returns a request with this body.
pub(super) fn with_text(format: &Format, body: &str) -> HttpMessage {
    let (path, host, ..) = format;
    let headers = [
        (":method", "POST"),
        (":path", path),
        (":authority", host),
        ("content-type", "application/json"),
        ("x-request-id", "r-1"),
    ];
    HttpMessage::new(&headers, body.as_bytes())
}

/// Returns a message of the user without text, for Anthropic.
fn image_alone() -> Value {
    let source = json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="});
    json!({"role": "user", "content": [{"type": "image", "source": source}]})
}

#[test]
fn the_session_of_a_conversation_that_begins_with_an_image_stays_the_same() {
    const LIMITED: &str = "
defaults: { action: allow }
require: none
rules:
  - { id: mask, match: { event: message }, when: { text: { detects: [pii, secrets] } }, action: redact }
  - { id: many, action: deny, limit: { count: requests, per: session, max: 100, window: 24h } }
";
    let format = &FORMATS[2];
    let turns = long_conversation("it", 52);
    let mut turns: Vec<Value> = turns.iter().skip(3).map(format.3).collect();
    turns.insert(0, image_alone());
    let request = with_body(
        format,
        &json!({"model": "m-1", "max_tokens": 3, "messages": turns}),
    );
    let guard = guard(LIMITED);
    for used in 1..6 {
        assert_eq!(outcome(&guard, &request).1["limits"][0]["used"], used);
    }
    assert!(known_turns_passed() > 0);
}

#[test]
fn a_value_that_begins_before_the_conversation_and_ends_in_a_known_turn_is_found() {
    let format = &FORMATS[2];
    let mut turns = vec![
        image_alone(),
        json!({"role": "system", "content": "1111 1111, please."}),
    ];
    turns.extend(long_conversation("it", 52).iter().skip(3).map(format.3));
    let plain = json!({"model": "m-1", "max_tokens": 3, "messages": turns}).to_string();
    let split = plain.replacen('{', r#"{"system":"My card is 4111 1111","#, 1);
    let (plain, split) = (with_text(format, &plain), with_text(format, &split));
    let found = outcome_alone(SEARCHING, &split);
    assert_eq!(found.1["findings"]["credit_card"], 1);
    are_as_alone(SEARCHING, &[&plain, &split]);
}

#[test]
fn turns_without_text_start_no_search() {
    const OF_RESULTS: &str = "
defaults: { action: allow }
rules:
  - { id: mask, match: { event: tool_result }, when: { text: { detects: [pii, secrets] } }, action: redact }
";
    let format = &FORMATS[2];
    let mut turns = Vec::new();
    for at in 0..60 {
        let id = format!("call_{at}");
        turns.push(json!({"role": "user", "content": [{"type": "text", "text": "My card is 4111 1111"}, {"type": "text", "text": "1111 1111, please."}]}));
        turns.push(json!({"role": "assistant", "content": [{"type": "text", "text": "I look for it."}, {"type": "tool_use", "id": id, "name": "search", "input": {}}]}));
        turns.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": []}]}));
    }
    let body = |turns: &[Value]| {
        with_body(
            format,
            &json!({"model": "m-1", "max_tokens": 3, "messages": turns}),
        )
    };
    let short = body(&turns);
    turns.push(json!({"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "search", "input": {}}]}));
    turns.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "It was found."}]}));
    let long = body(&turns);
    are_as_alone(OF_RESULTS, &[&long, &short]);
}

/// Names of all values of a body are found for the first identifier, which is in a new turn of each request.
#[test]
fn identifiers_of_known_turns_take_the_same_work() {
    let format = &FORMATS[2];
    let mut turns = vec![json!({"role": "user", "content": "Find it."})];
    let known = guard(SEARCHING);
    for at in 0..40 {
        let id = format!("toolu_01A09q90qw90lq917835lq{at:02}");
        turns.push(json!({"role": "assistant", "content": [{"type": "text", "text": "It is late. ".repeat(20)}, {"type": "tool_use", "id": id, "name": "search", "input": {"at": at}}]}));
        turns.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "Nobody knows. ".repeat(20)}]}));
        if at >= 30 {
            let request = with_body(
                format,
                &json!({"model": "m-1", "max_tokens": 3, "messages": turns}),
            );
            let alone = steps_alone(SEARCHING, &request);
            for _ in 0..3 {
                assert_eq!(steps(&known, &request), alone);
            }
        }
    }
    assert!(known_turns_passed() > 0);
}

#[test]
fn json_in_strings_of_known_turns_counts_for_the_whole_body() {
    const OF_CALLS: &str = "
defaults: { action: allow }
rules:
  - { id: mask, match: { event: tool_call, turn: [latest, earlier] }, when: { text: { contains: 'project basilisk' } }, action: tag, tags: [basilisk] }
";
    let format = &FORMATS[2];
    let said = |text: &str| json!({"role": "user", "content": text});
    let call = |input: &Value| json!({"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "search", "input": input}]});
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "It was found."}]});
    let many: Vec<&str> = vec!["{}"; 300];
    let mut turns = vec![said("Find it.")];
    for _ in 0..12 {
        turns.push(call(&json!({"all": many})));
        turns.push(result.clone());
        turns.push(json!({"role": "assistant", "content": "It was found."}));
        turns.push(said("Find more."));
    }
    let body = |turns: &[Value]| {
        with_body(
            format,
            &json!({"model": "m-1", "max_tokens": 3, "messages": turns}),
        )
    };
    let short = body(&turns);
    for _ in 0..2 {
        turns.push(call(&json!({"all": many})));
        turns.push(result.clone());
    }
    turns.push(call(&json!({"command": "[\"project\", \"basilisk\"]"})));
    turns.push(result.clone());
    let long = body(&turns);
    let few = body(&turns[turns.len() - 2..]);
    assert_eq!(outcome_alone(OF_CALLS, &few).1["tags"][0], "basilisk");
    assert!(outcome_alone(OF_CALLS, &long).1.get("tags").is_none());
    are_as_alone(OF_CALLS, &[&short, &long]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// A conversation leads to the same decision as alone, whatever shorter and other ones came before.
    #[test]
    fn the_decision_on_a_growing_conversation_does_not_depend_on_earlier_ones(
        turns in prop::collection::vec(any_turn(), 30..60),
        lengths in prop::collection::vec(20..60usize, 4),
        fork in (0..30usize, prop::collection::vec(any_turn(), 1..8)),
        format in 0..FORMATS.len(),
        policy in 0..6usize,
    ) {
        let policy = match policy {
            0 => SEARCHING,
            1 => CALLS,
            other => OTHERS[other - 2],
        };
        let format: &Format = &FORMATS[format];
        let mut conversations: Vec<Vec<Said>> = lengths
            .iter()
            .map(|length| turns[..(*length).min(turns.len())].to_vec())
            .collect();
        let (from, others) = fork;
        conversations.push([&turns[..from], &others, &turns[from..]].concat());
        let requests: Vec<HttpMessage> = conversations.iter().map(|turns| request(format, turns)).collect();
        let alone: Vec<_> = requests
            .iter()
            .map(|request| (outcome_alone(policy, request), steps_alone(policy, request)))
            .collect();
        let known = guard(policy);
        for _ in 0..4 {
            for (request, (alone, work)) in requests.iter().zip(&alone) {
                prop_assert_eq!(&outcome(&known, request), alone);
                prop_assert_eq!(steps(&known, request), *work);
            }
        }
    }
}

/// Rules of every kind, of which a policy has some.
const RULES: &[&str] = &[
    "{ id: mask, match: { event: [message, tool_result] }, when: { text: { detects: [pii, secrets] } }, action: redact }",
    "{ id: mask-user, match: { event: message, from: user }, when: { text: { detects: pii } }, action: redact, redact: { with: pseudonym } }",
    "{ id: mask-args, match: { event: tool_call, turn: [latest, earlier] }, when: { args: { detects: [pii, secrets] } }, action: redact, redact: { what: args } }",
    "{ id: args, match: { event: tool_call, turn: [latest, earlier] }, when: { args: { contains_any: ['project basilisk', nobody knows] } }, action: tag, tags: [args] }",
    "{ id: project, match: { event: message, from: user }, when: { text: { contains: 'project basilisk' } }, action: tag, tags: [project] }",
    "{ id: said, match: { event: message, from: assistant }, when: { text: { contains: basilisk } }, action: tag, tags: [said] }",
    "{ id: models, match: { event: message, model: [m-2, m-3] }, when: { text: { contains: 'nobody knows' } }, action: tag, tags: [models] }",
    "{ id: model, match: { event: message, model: m-2 }, action: tag, tags: [model] }",
    "{ id: models-results, match: { event: tool_result, model: m-2 }, when: { text: { detects: pii } }, action: deny }",
    "{ id: of-search, match: { event: tool_result, tool: search }, when: { text: { contains: basilisk } }, action: tag, tags: [of-search] }",
    "{ id: shell, match: { event: tool_call, tool: read_secret }, action: deny }",
    "{ id: earlier-shell, match: { event: tool_call, tool: read_secret, turn: earlier }, action: tag, tags: [earlier] }",
    "{ id: result, match: { event: tool_result, tool: read_secret }, action: tag, tags: [secret] }",
    "{ id: unknown, match: { event: tool_result }, when: { tool: { exists: false } }, action: tag, tags: [unknown] }",
    "{ id: data, match: { event: tool_result }, when: { 'result.name': { exists: true } }, action: tag, tags: [data] }",
    "{ id: opaque, match: { event: uninspectable }, action: tag, tags: [opaque] }",
    "{ id: attachment, match: { event: uninspectable }, when: { class: attachment }, action: deny }",
    "{ id: long, match: { event: request }, when: { request.message_count: { at_least: 40 } }, action: tag, tags: [long] }",
    "{ id: team, match: { event: message }, when: { header.x-team: red, text: { contains: 'nobody knows' } }, action: tag, tags: [team] }",
    "{ id: team-calls, match: { event: [tool_call, tool_result] }, when: { header.x-team: red }, action: tag, tags: [team-calls] }",
    "{ id: unless, match: { event: message }, when: { text: { contains: basilisk } }, unless: { header.x-team: red }, action: deny }",
    "{ id: unless-text, match: { event: message }, when: { text: { detects: pii } }, unless: { text: { contains: basilisk } }, action: deny }",
    "{ id: observed, mode: observe, match: { event: message }, when: { text: { contains: 'where is it' } }, action: deny }",
    "{ id: unoffered, match: { event: tool_call }, when: { unoffered: true }, action: tag, tags: [unoffered] }",
    "{ id: twice, match: { event: tool_call }, when: { earlier: { event: tool_call, tool: search, count_at_least: 2 } }, action: tag, tags: [twice] }",
    "{ id: ask, match: { event: tool_call, tool: search }, action: require_approval, approval: { by: [boss] } }",
    "{ id: system, match: { event: message, from: system }, when: { text: { contains: 'be kind' } }, action: tag, tags: [system] }",
    "{ id: parts, match: { event: message, part: other }, when: { text: { contains: picture } }, action: tag, tags: [parts] }",
    "{ id: offer, match: { event: tool_offer, tool: read_secret }, action: deny }",
    "{ id: offer-tag, match: { event: tool_offer, tool: search }, action: tag, tags: [offer] }",
    "{ id: offer-text, match: { event: tool_offer }, when: { definition: { contains: basilisk } }, action: tag, tags: [offer-text] }",
    "{ id: orders, match: { event: tool_offer }, when: { definition: { detects: [instruction_override, credit_card], matches: 'bas[il]+isk' } }, action: tag, tags: [orders] }",
    "{ id: wordy, match: { event: message }, when: { text: { length_at_least: 420 } }, action: tag, tags: [wordy] }",
    "{ id: limited-args, match: { event: tool_call, turn: [latest, earlier] }, when: { args.limit: { at_least: 30 } }, action: tag, tags: [limited-args] }",
    "{ id: some-args, match: { event: tool_call, turn: [latest, earlier] }, when: { args.query: { exists: true } }, unless: { args: { contains: it } }, action: tag, tags: [some-args] }",
    "{ id: offer-hides, match: { event: tool_offer }, when: { definition: { detects: pii } }, action: deny, on_deny: hide }",
    "{ id: offer-model, match: { event: tool_offer, model: m-2 }, when: { text: { contains: 'nobody knows' } }, action: tag, tags: [offer-model] }",
    "{ id: models-denied, match: { event: request }, when: { model: m-2 }, action: deny }",
    "{ id: names-hit, match: { event: tool_offer, tool: search }, when: { definition: { contains: 'nobody knows' } }, action: tag, tags: [names-hit] }",
    "{ id: team-offer, match: { event: tool_offer }, when: { header.x-team: red, definition: { contains: 'nobody knows' } }, action: tag, tags: [team-offer] }",
    "{ id: names, match: { event: message, part: name }, action: tag, tags: [names] }",
    "{ id: defined, match: { event: message, part: definition }, when: { text: { contains: basilisk } }, action: tag, tags: [defined] }",
    "{ id: tools, match: { event: request }, when: { request.tools: { in: [read_secret] } }, action: tag, tags: [tools] }",
    "{ id: many, action: deny, match: { event: request }, limit: { count: requests, per: session, max: 100000, window: 24h } }",
];

/// Members of a policy beside its rules and defaults.
const SETTINGS: &[&str] = &[
    "",
    "",
    "inspect: { max_text: 14000 }\n",
    "inspect: { nested_json: 0 }\n",
    "mode: observe\n",
    "shadow: { defaults: { action: deny }, rules: [{ id: s, match: { event: message }, when: { text: { contains: basilisk } }, action: deny }, { id: r, match: { event: tool_result }, when: { text: { detects: pii } }, action: redact }] }\n",
];

const DEFAULTS: &[&str] = &[
    "{ action: allow }",
    "{ action: allow, partial: deny }",
    "{ action: allow, partial: { action: deny, mode: observe } }",
    "{ action: allow, tool_offer: hide }",
    "{ action: deny }",
];

/// Returns a policy, or a set of three of which two apply to one tenant each.
pub(super) fn any_policy() -> impl Strategy<Value = String> {
    let rules = prop::sample::subsequence(RULES, 0..5);
    let settings = prop::sample::select(SETTINGS);
    let defaults = prop::sample::select(DEFAULTS);
    (rules, settings, defaults, 0..4usize).prop_map(|(rules, settings, defaults, kind)| {
        let list = |of: &dyn Fn(usize) -> bool| {
            let rules = rules.iter().enumerate().filter(|(at, _)| of(*at));
            let rules: Vec<&str> = rules.map(|(_, rule)| *rule).collect();
            format!("[{}]", rules.join(", "))
        };
        if kind > 0 {
            let rules = list(&|_| true);
            return format!("kind: AgentPolicy\nmetadata: {{ name: test }}\nrequire: none\ndefaults: {defaults}\n{settings}rules: {rules}\n");
        }
        let mut policies = String::new();
        for (part, who) in ["for: { tenant: a }, ", "for: { tenant: b }, ", ""].iter().enumerate() {
            let rules = list(&|at| at % 3 == part);
            policies += &format!("  - {{ metadata: {{ name: p-{part} }}, {who}defaults: {defaults}, rules: {rules} }}\n");
        }
        format!("kind: AgentPolicySet\nmetadata: {{ name: all }}\nrequire: none\n{}policies:\n{policies}", sources())
    })
}

/// Turns of every kind, and with halves of values.
pub(super) fn any_written(format: &'static Format) -> impl Strategy<Value = Value> {
    let half = prop::sample::select(vec![
        "My card is 4111 1111",
        "1111 1111, please.",
        "",
        "project",
        "basilisk",
        "ghp_Zx81mKq07RtYw3Lb",
        "Nv5Js9Dc2Fh6Gp4TaQe0",
        "Nobody knows.",
    ]);
    let said = any_turn().prop_map(|said| (format.3)(&said));
    let plain = (0..4usize, 0..60usize)
        .prop_map(move |(kind, at)| (format.3)(&long_conversation("it", 60)[at / 4 * 4 + kind]));
    let halves = (half.clone(), 0..5usize).prop_map(move |(half, kind)| match kind {
        0 => (format.3)(&Said::User(half.into())),
        1 => (format.3)(&Said::Model(half.into())),
        2 => (format.3)(&Said::Result {
            id: "call_1",
            text: half.into(),
        }),
        3 => (format.3)(&Said::Call {
            id: "call_2",
            tool: "search",
            args: json!({"a": half, "b": ["project", "basilisk"], "c": format!("[\"{half}\", 1]")}),
        }),
        _ => with_role(format, half, "system"),
    });
    let special = (half, 0..8usize).prop_map(move |(half, kind)| special(format, half, kind));
    prop_oneof![3 => said, 12 => plain, 4 => halves, 3 => special]
}

fn with_role(format: &Format, text: &str, role: &str) -> Value {
    match format.2 {
        "contents" => json!({"role": role, "parts": [{"text": text}]}),
        _ if format.0.starts_with("/model") => json!({"role": role, "content": [{"text": text}]}),
        _ => json!({"role": role, "content": text}),
    }
}

fn special(format: &Format, text: &str, kind: usize) -> Value {
    match (kind, format.0) {
        (0, "/v1/messages") => image_alone(),
        (1, "/v1/messages") => {
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": []}]})
        }
        (2, "/v1/messages") => {
            json!({"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "search", "input": {"x": text}}, {"type": "text", "text": text}, {"type": "tool_use", "id": "call_2", "name": "read_secret", "input": {}}]})
        }
        (3, "/v1/messages") => {
            json!({"role": "user", "content": [{"type": "mid_conv_system", "content": text}, {"type": "document", "title": text, "source": {"type": "text", "media_type": "text/plain", "data": text}}]})
        }
        (4, "/v1/messages") => {
            json!({"role": "assistant", "content": [{"type": "fallback", "from": {"model": "m-1"}, "to": {"model": "m-2"}}, {"type": "text", "text": text}]})
        }
        (5, "/v1/messages") => {
            json!({"role": "user", "content": [{"type": "text", "text": text}, {"type": "text", "text": "1111 1111"}]})
        }
        (0, "/v1/responses") => json!({"type": "item_reference", "id": "msg_1"}),
        (1, "/v1/responses") => {
            json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}], "encrypted_content": "Zm9v"})
        }
        (2, "/v1/responses") => {
            json!({"type": "message", "role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]})
        }
        (3, "/v1/responses") => {
            json!({"type": "function_call_output", "call_id": "call_1", "output": []})
        }
        (4, "/v1/responses") => json!({"type": "compaction", "encrypted_content": "Zm9v"}),
        (5, "/v1/responses") => {
            json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": text}})
        }
        (0, "/v1/chat/completions") => {
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]})
        }
        (1, "/v1/chat/completions") => {
            json!({"role": "tool", "tool_call_id": "call_1", "content": null})
        }
        (2, "/v1/chat/completions") => json!({"role": "assistant", "content": text, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{\"a\": \"[1, 2]\"}"}},
            {"id": "call_2", "type": "function", "function": {"name": "read_secret", "arguments": "[]"}},
        ]}),
        (3, "/v1/chat/completions") => {
            json!({"role": "function", "name": "search", "content": text})
        }
        (4, "/v1/chat/completions") => {
            json!({"role": "user", "name": "ghp_Zx81mKq07RtYw3LbNv5Js9Dc2Fh6Gp4TaQe0", "content": text})
        }
        (5, "/v1/chat/completions") => {
            json!({"role": "assistant", "refusal": text, "content": null})
        }
        (0, "/v1beta/models/gemini-2.5-pro:generateContent") => {
            json!({"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]})
        }
        (1, "/v1beta/models/gemini-2.5-pro:generateContent") => {
            json!({"role": "model", "parts": [{"executableCode": {"language": "PYTHON", "code": text}}, {"text": text}]})
        }
        (2, "/v1beta/models/gemini-2.5-pro:generateContent") => {
            json!({"parts": [{"functionResponse": {"name": "search", "response": {}}}, {"text": text}]})
        }
        (6, "/v1/responses") => {
            json!({"type": "additional_tools", "tools": [{"type": "function", "name": "late", "description": text, "parameters": {"type": "object", "properties": {"id": {"type": "string", "description": format!("{text} {}", "-".repeat(100))}}}}]})
        }
        (6, "/v1/messages") => {
            json!({"role": "user", "content": [{"type": "tool_addition", "tool": {"name": "late", "description": text, "input_schema": {"type": "object", "properties": {"id": {"type": "string"}}}}}]})
        }
        (6, _) => with_role(format, text, "nobody"),
        _ => with_role(format, text, "user"),
    }
}

/// Members of a body before the conversation and behind it.
const BESIDE: &[&str] = &[
    "",
    r#""system":"My card is 4111 1111","#,
    r#""system":[{"type":"text","text":"Be kind."}],"#,
    r#""instructions":"My card is 4111 1111","#,
    r#""systemInstruction":{"parts":[{"text":"My card is 4111 1111"}]},"#,
    r#""prompt":"My card is 4111 1111","#,
    r#""previous_response_id":"resp_1","#,
    r#""tools":[{"name":"search","description":"Finds it.","input_schema":{"type":"object"}}],"#,
    r#""stream":true,"#,
    r#""models":["m-2"],"#,
    r#""unheard_of":{"model":"m-3","text":"4111 1111 1111 1111"},"#,
];

#[derive(Clone, Debug)]
struct Around {
    before: &'static str,
    behind: &'static str,
    model: &'static str,
    team: &'static str,
}

fn any_around() -> impl Strategy<Value = Around> {
    let beside = || prop_oneof![2 => Just(""), 1 => prop::sample::select(BESIDE)];
    let model = prop::sample::select(vec!["m-1", "m-2"]);
    let team = prop::sample::select(vec!["red", "blue"]);
    (beside(), beside(), model, team).prop_map(|(before, behind, model, team)| Around {
        before,
        behind,
        model,
        team,
    })
}

fn written_request(format: &Format, turns: &[Value], around: &Around) -> HttpMessage {
    let (path, host, member, _) = format;
    let model = match path.starts_with("/v1beta") || path.starts_with("/model") {
        true => String::new(),
        false => format!(r#""model":"{}","#, around.model),
    };
    let behind = match around.behind == around.before {
        true => "",
        false => around.behind,
    };
    let turns = Value::Array(turns.to_vec());
    let padding = "-".repeat(8_192);
    let body = format!(
        r#"{{{model}{}"{member}":{turns},{behind}"metadata":{{"padding":"{padding}"}}}}"#,
        around.before
    );
    let headers = [
        (":method", "POST"),
        (":path", path),
        (":authority", host),
        ("content-type", "application/json"),
        ("x-request-id", "r-1"),
        ("x-team", around.team),
        ("x-agent-key", if around.team == "red" { KEY } else { BETA }),
    ];
    // As long as those of the providers.
    let body = body.replace("\"call_2\"", "\"call_01A09q90qw90lq917835lq9\"");
    HttpMessage::new(&headers, body.as_bytes())
}

/// Returns everything that an exchange leads to within a budget, and the steps that are left.
pub(super) fn all_of(guard: &Rc<Guard>, request: &HttpMessage, work: u64) -> (String, u64) {
    let mut flow = Flow::new(Rc::clone(guard));
    let head = sends_head(&mut flow, request);
    flow.work = work;
    let step = flow.request_body(&mut request.body().as_slice(), true, NOW);
    let seen = format!(
        "{head:?} {step:?} {:?} {:?} {:?} {:?}",
        flow.exchange, flow.facts, flow.pseudonyms, flow.request_context
    );
    // A limit counts the requests before.
    let mut parts = seen.split("used: ");
    let mut seen = parts.next().unwrap_or_default().to_owned();
    seen.extend(parts.map(|part| part.trim_start_matches(|digit: char| digit.is_ascii_digit())));
    (seen, flow.work)
}

/// Returns a policy whose budget does not grow with the body.
pub(super) fn with_fixed_budget(policy: &str) -> Rc<Guard> {
    let mut guard = guard_of(&format!("apiVersion: agentguard.dev/v1\n{policy}"));
    let allowance = guard.allowance.fixed();
    Rc::get_mut(&mut guard).unwrap().allowance = allowance;
    guard
}

/// Returns everything that an exchange leads to in a new thread, whose caches are empty, and its budget: in percent of the steps
/// that it takes, or more than enough if that is 0.
pub(super) fn alone_within(
    policy: &str,
    request: &HttpMessage,
    shortage: u64,
) -> (u64, (String, u64)) {
    let alone = |work| {
        let alone = || all_of(&with_fixed_budget(policy), request, work);
        std::thread::scope(|scope| scope.spawn(alone).join().unwrap())
    };
    let full = 1 << 40;
    let whole = alone(full);
    if shortage == 0 {
        return (full, whole);
    }
    let work = (full - whole.1) * shortage / 100 + 1;
    (work, alone(work))
}

#[test]
fn an_exhausted_budget_ends_the_search_where_it_does_alone() {
    let policy = format!("kind: AgentPolicy\nmetadata: {{ name: test }}{SEARCHING}");
    for format in &FORMATS {
        let mut turns = long_conversation("it", 52);
        turns.insert(2, Said::User("My card is 4111 1111 1111 1111.".into()));
        turns.push(Said::User("Write to anna@example.com.".into()));
        let request = request(format, &turns);
        for share in [20, 40, 60, 80, 95, 99] {
            let (known, full) = (with_fixed_budget(&policy), 1 << 40);
            for _ in 0..3 {
                let _ = all_of(&known, &request, full);
            }
            let used = full - all_of(&known, &request, full).1;
            let work = used * share / 100;
            let alone = || all_of(&with_fixed_budget(&policy), &request, work);
            let alone = std::thread::scope(|scope| scope.spawn(alone).join().unwrap());
            for _ in 0..2 {
                assert_eq!(
                    all_of(&known, &request, work),
                    alone,
                    "{} {share}",
                    format.0
                );
            }
        }
    }
}

/// To find out whether a document applies costs more for some callers than for others.
#[test]
fn turns_of_one_caller_take_the_work_of_another_caller() {
    let defaults = "defaults: { action: allow }, rules: []";
    let policy = format!(
        "kind: AgentPolicySet\nmetadata: {{ name: all }}\nrequire: none\n{}policies:\n  - {{ metadata: {{ name: a }}, for: {{ agent: nobody }}, {defaults} }}\n  - {{ metadata: {{ name: b }}, {defaults} }}\n",
        sources()
    );
    let format = &FORMATS[0];
    let turns = long_conversation("it", 52);
    let turns: Vec<Value> = turns.iter().map(format.3).collect();
    let (known, full) = (with_fixed_budget(&policy), 1 << 40);
    for team in ["red", "blue", "red", "blue"] {
        let around = Around {
            before: "",
            behind: "",
            model: "m-1",
            team,
        };
        let request = written_request(format, &turns, &around);
        let alone = || all_of(&with_fixed_budget(&policy), &request, full);
        let alone = std::thread::scope(|scope| scope.spawn(alone).join().unwrap());
        for _ in 0..4 {
            assert_eq!(all_of(&known, &request, full), alone, "{team}");
        }
    }
    assert!(known_turns_passed() > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Under any policy, a request leads to the same as alone, whatever came before.
    #[test]
    fn what_a_request_leads_to_does_not_depend_on_earlier_ones(
        (format, turns, others) in (0..FORMATS.len()).prop_flat_map(|format| {
            let turn = || any_written(&FORMATS[format]);
            (Just(format), prop::collection::vec(turn(), 15..60), prop::collection::vec(turn(), 1..8))
        }),
        cuts in prop::collection::vec((8..60usize, 0..4usize), 4),
        fork in 0..30usize,
        arounds in prop::collection::vec(any_around(), 3),
        policies in prop::collection::vec(any_policy(), 2),
        shortage in prop_oneof![2 => Just(0), 1 => 1..100u64],
    ) {
        let format = &FORMATS[format];
        let requests: Vec<HttpMessage> = cuts
            .iter()
            .map(|(length, kind)| {
                let until = &turns[..(*length).min(turns.len())];
                let written = match kind {
                    0 | 1 => until.to_vec(),
                    2 => [&turns[..fork.min(turns.len())], &others, &turns[fork.min(turns.len())..]].concat(),
                    _ => [until, &others].concat(),
                };
                written_request(format, &written, &arounds[length % arounds.len()])
            })
            .collect();
        let known: Vec<_> = policies.iter().map(|policy| with_fixed_budget(policy)).collect();
        let alone: Vec<_> = requests
            .iter()
            .map(|request| {
                let of = |policy: &String| alone_within(policy, request, shortage);
                policies.iter().map(of).collect::<Vec<_>>()
            })
            .collect();
        for _ in 0..2 {
            for (at, guard) in known.iter().enumerate() {
                for _ in 0..3 {
                    for (request, alone) in requests.iter().zip(&alone) {
                        let (work, alone) = &alone[at];
                        let seen = all_of(guard, request, *work);
                        prop_assert_eq!(&seen, alone);
                    }
                }
            }
        }
    }
}
