//! Conversations that grow with every request, as those of agents do: the turns that came before are passed over where the
//! policy has no say on them.

use super::conversations::{FORMATS, Format, POLICY, Said, any_turn, request};
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
fn long_conversation(about: &str, count: usize) -> Vec<Said> {
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
    let headers: Vec<(&[u8], &[u8])> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    let _ = flow.request_headers(&RequestHead {
        headers: &headers,
        end: false,
        properties: &crate::proxy::MemoryProperties::default(),
        now: NOW,
    });
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
