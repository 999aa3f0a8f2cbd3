//! Recorded exchanges under policies that are chosen at random: in whatever pieces a message arrives, and whenever request headers
//! leave, the exchange is decided alike, each side receives the same bytes, and the audit event is the same.

use super::dice::Dice;
use super::recorded;
use super::streams::{in_pieces, messages};
use agentguard::author::{evaluate_record, parse_yaml};
use agentguard::flow::simulation::{self, HttpMessage, SimulatedResult, run};
use agentguard::policy::{Policy, load, parse_json};
use serde_json::Value;

/// Number of policies, and of exchanges with each of them.
const POLICIES: u64 = 12;
const EXCHANGES: usize = 4;

const TEXTS: &[&str] = &[
    "text: { matches: '[aeiou]{2}' }",
    "text: { matches: 'th[a-z]+ ' }",
    "text: { contains_any: [the, you, is] }",
    "text: { contains: weather }",
    "text: { contains: capital of }",
    "text: { starts_with: The }",
    "text: { ends_with: '.' }",
    "text: { length_greater_than: 40 }",
    "text: { length_at_most: 12 }",
    "text: { glob: '*a*' }",
    "text: { detects: pii }",
    "text: { detects: { types: [pii, secrets, injection], confidence: low } }",
    "text: { detects: [word, term] }",
    "text: { detects: { types: [word], confidence: low } }",
    "not: { text: { contains: a } }",
    "any: [{ text: { contains: qqq } }, { text: { matches: '\\d' } }]",
    "text: { overlaps: { earlier: { event: message }, length_at_least: 12 } }",
    "turn: latest",
];

const CALLS: &[&str] = &[
    "args: { matches: '[aeiou]{2}' }",
    "args: { contains: a }",
    "args: { detects: pii }",
    "args: { exists: true }",
    "args.location|city|country|query: { exists: true }",
    "args..location: { matches: '[A-Z]' }",
    "args.x: { exists: false }",
    "args.a|x|number: { greater_than: 1 }",
    "unoffered: true",
    "unoffered: false",
    "provider_run: true",
    "in: response",
    "earlier: { event: tool_call }",
    "earlier: { event: message, count_at_least: 2 }",
    "not: { earlier: { event: tool_result, ok: true } }",
    "request.message_count: { greater_than: 2 }",
    "request.stream: true",
    "text: { contains: a }",
];

const ANYWHERE: &[&str] = &[
    "request.stream: true",
    "request.message_count: { at_least: 2 }",
    "request.tools: { exists: true }",
    "request.bytes: { greater_than: 600 }",
    "request.estimated_tokens: { greater_than: 100 }",
    "model: { glob: '*4*' }",
    "provider: [openai, anthropic]",
    "header.content-type: { contains: json }",
    "principal.id: { exists: true }",
    "principal.roles: lead",
    "time: { inside: '00:00-12:00', zone: UTC }",
    "path: { contains: v1 }",
    "environment: prod",
];

/// A rule without its id.
fn rule(dice: &mut Dice) -> String {
    let event = dice.pick(&[
        "request",
        "message",
        "message",
        "tool_offer",
        "tool_call",
        "tool_call",
        "tool_call",
        "tool_result",
        "response",
        "response",
        "response",
        "uninspectable",
    ]);
    let mut actions = vec!["deny", "deny", "tag", "redact", "redact"];
    match event {
        "request" => actions = vec!["deny", "allow", "tag", "require_approval"],
        "tool_call" => actions.extend(["allow", "require_approval"]),
        "tool_offer" => actions = vec!["deny", "allow", "tag", "redact"],
        "uninspectable" => actions = vec!["allow", "deny", "tag"],
        _ => {}
    }
    let action = dice.pick(&actions);
    let mut matches = format!("event: {event}");
    match event {
        "tool_call" | "tool_offer" | "tool_result" if dice.below(2) == 0 => {
            matches.push_str(dice.pick(&[
                ", tool: '*'",
                ", tool: 'get*'",
                ", tool: '*_*'",
                ", tool: [weather, add, search]",
            ]));
        }
        "message" => matches.push_str(dice.pick(&[
            "",
            "",
            ", from: user",
            ", from: [assistant, tool]",
            ", part: [text, other]",
            ", turn: latest",
        ])),
        "response" => matches.push_str(dice.pick(&[
            "",
            "",
            ", part: text",
            ", part: [text, arguments]",
            ", part: [reasoning, refusal, other]",
        ])),
        _ => {}
    }
    if event == "tool_call" {
        matches.push_str(dice.pick(&["", "", ", turn: [latest, earlier]", ", turn: latest"]));
    }
    let own: &[&str] = match event {
        "message" | "response" => TEXTS,
        "tool_call" => CALLS,
        "tool_result" => &[
            "text: { matches: '[aeiou]{2}' }",
            "text: { contains: a }",
            "ok: false",
            "result: { exists: true }",
            "result.x: { exists: false }",
            "result: { detects: pii }",
            "args: { exists: true }",
            "text: { length_greater_than: 20 }",
        ],
        "tool_offer" => &[
            "definition: { contains: a }",
            "text: { matches: '[aeiou]{2}' }",
            "provider_run: true",
        ],
        "uninspectable" => &[
            "class: attachment",
            "class: { not_equals: attachment }",
            "code: AG2001",
        ],
        _ => &["request.message_count: { at_least: 2 }"],
    };
    let condition = |dice: &mut Dice, own: &[&str]| match dice.below(4) {
        0 => format!("{{ {} }}", dice.pick(ANYWHERE)),
        1 => format!(
            "{{ all: [{{ {} }}, {{ {} }}] }}",
            dice.pick(own),
            dice.pick(own)
        ),
        _ => format!("{{ {} }}", dice.pick(own)),
    };
    let mut out = format!("match: {{ {matches} }}, action: {action}");
    let needs_text = action == "redact";
    if needs_text {
        let what = match event {
            "message" | "response" => format!("{{ {} }}", dice.pick(&TEXTS[..13])),
            "tool_result" => "{ text: { matches: '[aeiou]{2}' } }".to_owned(),
            "tool_offer" => "{ text: { matches: '[aeiou]{2}' } }".to_owned(),
            _ => format!("{{ {} }}", dice.pick(&CALLS[..3])),
        };
        out.push_str(&format!(", when: {what}"));
        let with = dice.pick(&[
            "with: label",
            "with: mask",
            "with: last4",
            "with: hash",
            "with: remove",
            "label: numbered",
            "label: '<é>'",
            "with: pseudonym",
            "with: pseudonym, restore: ['*']",
        ]);
        let what = if event == "tool_call" {
            ", what: args"
        } else {
            ""
        };
        out.push_str(&format!(", redact: {{ {with}{what} }}"));
    } else if dice.below(4) != 0 {
        out.push_str(&format!(", when: {}", condition(dice, own)));
    }
    if dice.below(4) == 0 {
        out.push_str(&format!(", unless: {}", condition(dice, own)));
    }
    out.push_str(dice.pick(&[
        "",
        "",
        "",
        ", mode: observe",
        ", if_missing: apply",
        ", if_missing: skip",
    ]));
    if action == "deny" {
        out.push_str(dice.pick(&[
            "",
            "",
            ", on_deny: replace",
            ", on_deny: error",
            ", reason: Not here., remedy: Ask.",
        ]));
        if event == "tool_offer" {
            out.push_str(", tags: [a]");
        }
    }
    if action == "tag" {
        out.push_str(", tags: [seen]");
    }
    if matches!(action, "deny" | "tag")
        && matches!(event, "request" | "tool_call")
        && dice.below(5) == 0
    {
        let count = match event {
            "request" => dice.pick(&["requests", "tokens", "output_tokens", "bytes"]),
            _ => dice.pick(&[
                "tool_calls",
                "tool_call_attempts",
                "identical_tool_calls",
                "distinct_tools",
            ]),
        };
        out.push_str(&format!(
            ", limit: {{ count: {count}, max: {}, window: 1h }}",
            dice.pick(&["1", "2", "60"])
        ));
    }
    if action != "tag" && dice.below(6) == 0 {
        out.push_str(", audit: { content: redacted }");
    }
    out
}

fn policy(dice: &mut Dice) -> String {
    let count = 1 + dice.below(5);
    let rules: Vec<String> = (0..count)
        .map(|number| format!("  - {{ id: r{number}, {} }}\n", rule(dice)))
        .collect();
    let default = dice.pick(&[
        "action: allow",
        "action: allow",
        "action: allow",
        "action: deny",
        "action: allow, tool_call: deny",
    ]);
    let more = dice.pick(&[
        "",
        "",
        ", tool_offer: hide",
        ", tool_offer: deny",
        ", uninspectable: allow",
        ", partial: deny",
        ", uninspectable: allow, partial: deny",
    ]);
    let mode = dice.pick(&[
        "",
        "",
        "mode: observe\n",
        "stream: { on_deny: reset }\n",
        "disclose: code\n",
        "audit: { content: full, max_content: 1KiB }\n",
        "inspect: { decode: true, max_text: 2KiB }\n",
    ]);
    let shadow = match dice.below(4) {
        0 => format!(
            "shadow:\n  defaults: {{ action: allow, tool_call: deny }}\n  rules:\n    - {{ id: s0, {} }}\n",
            rule(dice)
        ),
        _ => String::new(),
    };
    format!(
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: test }}\nrequire: none\nenvoy: {{ headers: portable }}\n{mode}\
         defaults: {{ {default}{more} }}\ndetectors:\n  word: {{ pattern: '[A-Z][a-z]+', context: [in, of] }}\n  term: {{ keywords: [weather, capital, answer] }}\nrules:\n{}{shadow}",
        rules.concat()
    )
}

/// What came of an exchange, without what differs between two runs: what each side received, and the audit event.
fn outcome(seen: &SimulatedResult) -> String {
    format!(
        "== client\n{}\n{}",
        written(&seen.client),
        decision(seen, true)
    )
}

/// What was decided: what the provider received if the request was complete, and the audit event. Where headers are held, a denial
/// has a status of its own.
fn decision(seen: &SimulatedResult, has_status: bool) -> String {
    let mut record: Value = serde_json::from_slice(&seen.finished.line).unwrap();
    let status = (!has_status).then_some("status");
    let times = ["ts", "chain", "timing", "duration_ms", "policy"];
    for key in times.into_iter().chain(status) {
        record.as_object_mut().unwrap().remove(key);
    }
    let upstream = seen.upstream.as_ref().filter(|_| seen.upstream_complete);
    let upstream = upstream.map(|message| message.body().escape_ascii().to_string());
    format!("== upstream\n{upstream:?}\n== record\n{record:#}")
}

fn written(message: &HttpMessage) -> String {
    let mut out = String::new();
    for (name, value) in &message.headers {
        let [name, value] = [name, value].map(|text| String::from_utf8_lossy(text));
        out.push_str(&format!("{name}: {value}\n"));
    }
    format!("{out}\n{}", message.body().escape_ascii())
}

/// Calls `check` with exchanges and policies for them: how many are tried is enough to meet most kinds of rules.
fn each_chosen(check: &mut dyn FnMut(&Chosen<'_>)) {
    let exchanges = recorded();
    for seed in 0..POLICIES {
        let mut dice = Dice(seed);
        let [policy, other] = [(); 2].map(|()| {
            loop {
                let text = policy(&mut dice);
                if loaded(&text).is_some() {
                    break text;
                }
            }
        });
        for _ in 0..EXCHANGES {
            let exchange = &exchanges[dice.below(exchanges.len())];
            let (request, response) = messages(exchange);
            let sizes =
                [&[7, 1, 100, 33][..], &[1, 2, 3], &[4_096], &[3, 50, 1_000]][dice.below(4)];
            check(&Chosen {
                policy: &policy,
                other: &other,
                id: exchange["id"].to_string(),
                request,
                response,
                sizes,
                ending: dice.below(4),
            });
        }
    }
}

fn loaded(text: &str) -> Option<Policy> {
    load(&parse_yaml(text).unwrap()).policy
}

/// A recorded exchange, and what is tried with it.
struct Chosen<'t> {
    policy: &'t str,
    other: &'t str,
    id: String,
    request: HttpMessage,
    response: HttpMessage,
    sizes: &'t [usize],
    ending: usize,
}

impl Chosen<'_> {
    /// Runs the exchange for the first time under a policy.
    fn run(&self, policy: &str, is_cut: bool) -> SimulatedResult {
        let guard = simulation::guard(loaded(policy).unwrap()).unwrap();
        let (mut request, mut response) = (self.request.clone(), self.response.clone());
        if is_cut {
            request = in_pieces(&request, self.sizes);
            response = in_pieces(&response, self.sizes);
            // Envoy marks the end of a body by an empty piece, or by trailers.
            match self.ending {
                0 if !response.chunks.is_empty() => response.chunks.push(Vec::new()),
                1 if !request.chunks.is_empty() => request.chunks.push(Vec::new()),
                2 if !request.chunks.is_empty() => request.trailers = true,
                _ => {}
            }
        }
        run(&guard, &request, |_| response, 1_763_622_245_000_000_000)
    }
}

#[test]
fn an_exchange_is_decided_alike_in_whatever_pieces_it_arrives() {
    each_chosen(&mut |chosen| {
        let held = chosen.policy.replace("headers: portable", "headers: hold");
        let mut decided = Vec::new();
        for policy in [chosen.policy, &held] {
            let [whole, cut] = [false, true].map(|is_cut| chosen.run(policy, is_cut));
            assert_eq!(outcome(&whole), outcome(&cut), "{}\n{policy}", chosen.id);
            decided.push(decision(&whole, false));
        }
        assert_eq!(decided[0], decided[1], "{}\n{held}", chosen.id);
    });
}

/// What `replay` says of an audit event is what the policy would have decided: that of its own exchanges, and of another's.
#[test]
fn what_is_told_of_an_audit_event_is_what_would_have_been_decided() {
    let mut told = 0_u64;
    each_chosen(&mut |chosen| {
        let own = chosen.run(chosen.policy, false).finished.line;
        let truth: Value = serde_json::from_slice(&own).unwrap();
        let policy = loaded(chosen.policy).unwrap();
        for line in [own, chosen.run(chosen.other, false).finished.line] {
            let found = evaluate_record(&policy, &parse_json(&line).unwrap(), None);
            let about = || {
                let line = String::from_utf8_lossy(&line);
                format!("{}\n{}\n{line}\n{}", chosen.id, chosen.policy, chosen.other)
            };
            if let Some(action) = found.action {
                told += 1;
                assert_eq!(truth["decision"], action, "{}", about());
            }
            if let Some(code) = found.code {
                assert_eq!(truth["code"], code, "{}", about());
            }
        }
    });
    assert!(told > 2 * POLICIES, "{told}");
}
