//! Tests of proofs with random policies and random events: every result of "proved", "never matches" or "without effect" must
//! agree with the policies' decisions. Limits may be exceeded or not, and approvals given or not: each such world is tested.

use super::relation::{FullOutcome, Proofs, rank};
use crate::author::sample_event::{SampleEvent, SampleExchange, describe};
use crate::author::{lint, parse_yaml};
use crate::policy::{Decision, EvaluationPhase, Policy, load_with_zones};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Pseudo-random numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap_or(0)
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// Returns one bit for each text in each world.
fn coin(world: u64, text: &str) -> bool {
    let mut dice = Dice(text.bytes().fold(world, |hash, byte| {
        hash.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte)
    }));
    dice.one_in(2)
}

const KINDS: &[&str] = &[
    "tool_call",
    "tool_call",
    "tool_call",
    "request",
    "message",
    "tool_result",
    "tool_offer",
    "response",
    "uninspectable",
];

/// Conditions that apply to every kind of event.
const EVERYWHERE: &[&str] = &[
    "principal.roles: lead",
    "principal.roles: { not_in: [lead, dev] }",
    "principal.roles: { in: [dev, lead] }",
    "principal.team: red",
    "principal.team: { not_equals: red }",
    "principal.id: { exists: true }",
    "tenant: acme",
    "tenant: { in: [acme, beta] }",
    "environment: prod",
    "environment: { not_in: [prod, dev] }",
    "environment: { glob: \"PR*\" }",
    "model: { glob: \"m*\" }",
    "model: m1",
    "model: { in: { list: models, key: tenant } }",
    "model: { glob: { list: models, key: tenant } }",
    "provider: openai",
    "method: { not_equals: POST }",
    "path: { starts_with: /v1 }",
    "header.x-a: \"1\"",
    "header.x-a: { exists: false }",
    "request.stream: true",
    "request.message_count: { greater_than: 2 }",
    "request.tools: { in: [t, u] }",
    "time: { outside: \"09:00-17:00\", zone: UTC }",
    "time: { inside: \"09:00-17:00\", days: mon-fri, zone: Europe/Berlin }",
    "time: { not_before: \"2026-03-11T12:00:00Z\" }",
];

const ARGUMENTS: &[&str] = &[
    "args.n: { greater_than: 1 }",
    "args.n: { greater_than: 2 }",
    "args.n: { at_least: 2 }",
    "args.n: { less_than: 2 }",
    "args.n: { at_most: 2 }",
    "args.n: { between: [1, 3] }",
    "args.n: { greater_than: 2, less_than: 1 }",
    "args.n: 2",
    "args.n: { in: [1, 2] }",
    "args.n: { not_in: [1, a] }",
    "args.n: { count_greater_than: 1 }",
    "args.n|m: { greater_than: 1 }",
    "args.s: a",
    "args.s: b",
    "args.s: [a, b]",
    "args.s: { not_equals: a }",
    "args.s: { not_in: [a, b] }",
    "args.s: { in: { list: l } }",
    "args.s: { not_in: { list: l } }",
    "args.s: { in: { list: none } }",
    "args.s: { not_in: { list: none } }",
    "args.s: { any_equals: a }",
    "args.s: { all_equals: a }",
    "args.s: { all_not_equals: a }",
    "args.s: { exists: true }",
    "args.s: { exists: false }",
    "args.s: { contains: a }",
    "args.s: a b",
    "args.s: { contains: a b }",
    "args.s: { glob: \"a *\" }",
    "args.s: { matches: \"a b\" }",
    "text: { contains: a b }",
    "text: { matches: \"a b\" }",
    "args.s: { contains_any: [a, zz] }",
    "args.s: { contains_all: [a, b] }",
    "args.s: { starts_with: a }",
    "args.s: { ends_with: b }",
    "args.s: { matches: \"^a\" }",
    "args.s: { matches: [\"^a\", \"b$\"] }",
    "args.s: { glob: \"a*\" }",
    "args.s: { glob: [\"a*\", b] }",
    "args.s: { glob: \"a?b\" }",
    "args.s: { length_at_most: 1 }",
    "args.s: { length_greater_than: 2 }",
    "args.s: { count_at_least: 2 }",
    "args.s: { detects: email }",
    "args.s: { detects: [email, credit_card] }",
    "args.s: { detects: { types: [email], confidence: high } }",
    "args.s: { equals: { path: args.o } }",
    "args.s: { not_equals: { path: args.o } }",
    "args.s: { overlaps: { path: args.o, length_at_least: 2 } }",
    "args: { contains: a }",
    "args..s: a",
    "args.to: { domain_in: [a.example] }",
    "args.to: { domain_in: [a.example, \"*.b.example\"] }",
    "args.to: { domain_not_in: [a.example] }",
    "args.to: { domain_not_in: [a.example, b.example] }",
    "args.path: { path_within: [/srv] }",
    "args.path: { path_within: [/srv, /tmp] }",
    "args.path: { path_not_within: [/srv] }",
    "args.path: { path_not_within: [/srv, /tmp] }",
    "args.cmd: { command_in: [ls] }",
    "args.cmd: { command_in: [ls, cat] }",
    "args.ip: { cidr_in: [10.0.0.0/8] }",
    "args.sql: { sql_verb_in: [delete] }",
    "args.sql: { sql_verb_in: [delete, drop] }",
    "args.sql: { sql_table_in: [users] }",
    "args.sql: { sql_limit_greater_than: 5 }",
    "args.sql: { sql_limit_greater_than: 9 }",
    "args.items: { any_item: { n: { greater_than: 1 }, s: a } }",
    "args.items: { any_item: { s: a } }",
    "\"args.items[*].n\": { greater_than: 1 }",
];

const OF_CALLS: &[&str] = &[
    "tool: t",
    "tool: [t, u]",
    "tool: { not_in: [t, u] }",
    "tool: { not_in: [t] }",
    "tool: { glob: \"t*\" }",
    "tool: { matches: \"^t\" }",
    "provider_run: true",
    "turn: earlier",
    "turn: latest",
    "earlier: { tool: u }",
    "earlier: { tool: u, count_at_least: 2 }",
    "earlier: { event: tool_result, tool: u }",
    "not: { earlier: { tool: u } }",
];

const OF_TEXTS: &[&str] = &[
    "text: { contains: secret }",
    "text: { contains_any: [secret, card] }",
    "text: { contains_all: [secret, card] }",
    "text: { matches: \"s[e3]cret\" }",
    "text: { detects: email }",
    "text: { detects: [email, credit_card] }",
    "text: { glob: \"*secret*\" }",
    "text: { length_greater_than: 8 }",
    "text: { starts_with: secret }",
];

fn leaves(kind: &str) -> Vec<&'static str> {
    let own: &[&[&str]] = match kind {
        "tool_call" => &[ARGUMENTS, OF_CALLS, ARGUMENTS],
        "tool_result" => &[
            OF_TEXTS,
            &[
                "tool: t",
                "ok: true",
                "result.n: { greater_than: 1 }",
                "result.s: a",
                "args.s: a",
            ],
        ],
        "tool_offer" => &[&[
            "tool: t",
            "tool: { not_in: [t] }",
            "definition: { contains: secret }",
            "provider_run: true",
        ]],
        "message" => &[
            OF_TEXTS,
            OF_TEXTS,
            &["from: user", "from: { not_in: [user] }", "turn: latest"],
        ],
        "response" => &[
            OF_TEXTS,
            OF_TEXTS,
            &[
                "part: text",
                "usage.input_tokens: { greater_than: 5 }",
                "finish: stop",
            ],
        ],
        "uninspectable" => &[&[
            "code: AG2007",
            "class: attachment",
            "code: { not_in: [AG2001] }",
        ]],
        _ => &[&[
            "params.temperature: { greater_than: 1 }",
            "request.max_tokens: { at_most: 10 }",
        ]],
    };
    own.iter()
        .copied()
        .chain([EVERYWHERE])
        .flatten()
        .copied()
        .collect()
}

fn condition(dice: &mut Dice, kind: &str, depth: usize) -> String {
    if depth > 0 && dice.one_in(3) {
        let mut inner = || condition(dice, kind, depth - 1);
        let (one, other) = (inner(), inner());
        return match dice.roll(5) {
            0 => format!("{{ all: [{one}, {other}] }}"),
            1 => format!("{{ any: [{one}, {other}] }}"),
            2 => format!("{{ any: [{one}] }}"),
            _ => format!("{{ not: {one} }}"),
        };
    }
    format!("{{ {} }}", dice.pick(&leaves(kind)))
}

/// Rule, in parts that can be changed one by one.
#[derive(Clone, Debug, PartialEq)]
struct RandomRule {
    kind: &'static str,
    matches: Vec<&'static str>,
    when: Option<String>,
    unless: Option<String>,
    if_missing: &'static str,
    action: &'static str,
    approval: &'static str,
    limit: &'static str,
    redact: &'static str,
    tags: &'static str,
    on_deny: &'static str,
    mode: &'static str,
}

const MATCHES: &[&str] = &[
    "environment: prod",
    "environment: [prod, dev]",
    "environment: \"P*\"",
    "tenant: acme",
    "role: lead",
    "client: c",
    "model: m1",
    "model: \"m*\"",
    "provider: openai",
    "host: a.example",
    "path: \"/v1/*\"",
    "method: POST",
    "protocol: mcp",
    "server: s",
    "agent: a",
];

impl RandomRule {
    fn any(dice: &mut Dice) -> RandomRule {
        let kind = dice.pick(KINDS);
        let mut rule = RandomRule {
            kind,
            matches: Vec::new(),
            when: None,
            unless: None,
            if_missing: "",
            action: "deny",
            approval: "",
            limit: "",
            redact: "",
            tags: "",
            on_deny: "",
            mode: "",
        };
        for part in 0..10 {
            rule.change(dice, part);
        }
        rule
    }

    /// Replaces one part by a random one.
    fn change(&mut self, dice: &mut Dice, part: usize) {
        let kind = self.kind;
        match part {
            0 => {
                let own: &[&str] = match kind {
                    "tool_call" | "tool_offer" | "tool_result" => &[
                        "tool: t",
                        "tool: [t, u]",
                        "tool: \"t*\"",
                        "tool: \"*\"",
                        "tool: T",
                        "tool: s/t",
                    ],
                    "message" => &["from: user", "from: [user, tool]"],
                    "response" => &["part: text", "part: [text, reasoning]"],
                    "uninspectable" => &["code: AG2001", "code: AG2007", "code: [AG2001, AG2007]"],
                    _ => &["model: m1", "model: [m1, m2]"],
                };
                self.matches = Vec::new();
                if !dice.one_in(3) {
                    self.matches.push(dice.pick(own));
                }
                let other = dice.pick(MATCHES);
                let key = |item: &str| item.split(':').next().map(str::to_owned);
                let is_new = self.matches.iter().all(|item| key(item) != key(other));
                if is_new && dice.one_in(4) {
                    self.matches.push(other);
                }
                if kind == "tool_call" && dice.one_in(10) {
                    self.matches
                        .push(dice.pick(&["turn: earlier", "turn: [earlier, latest]"]));
                }
            }
            1 => self.when = (!dice.one_in(3)).then(|| condition(dice, kind, 2)),
            2 => self.unless = dice.one_in(4).then(|| condition(dice, kind, 1)),
            3 => {
                self.if_missing =
                    dice.pick(&["", "", "", "if_missing: apply, ", "if_missing: skip, "])
            }
            4 => {
                self.action = dice.pick(match kind {
                    "tool_call" => {
                        &["deny", "deny", "allow", "require_approval", "redact", "tag"][..]
                    }
                    "request" => &["deny", "allow", "require_approval", "tag"],
                    "tool_offer" | "uninspectable" => &["deny", "allow", "tag"],
                    _ => &["deny", "redact", "tag"],
                });
            }
            5 => {
                self.approval = dice.pick(&[
                    "",
                    "approval: { by: [x] }, ",
                    "approval: { by: [y, x] }, ",
                    "approval: { by: [x], needed: 2 }, ",
                    "approval: { by: [x], uses: 3, valid_for: 1h }, ",
                    "approval: { by: [x], bind: [tenant] }, ",
                ]);
            }
            6 => {
                self.limit = dice.pick(&[
                    "",
                    "",
                    "",
                    "",
                    "limit: { count: requests, per: [tenant], max: 5, window: 1h }, ",
                    "limit: { count: requests, max: 5, window: 1h }, ",
                    "limit: { count: requests, per: session, max: 5 }, ",
                ]);
            }
            7 => {
                let what = if kind == "tool_call" {
                    "what: args.s, "
                } else {
                    "what: text, "
                };
                let form = dice.pick(&["label", "mask", "last4", "remove"]);
                self.redact =
                    Box::leak(format!("redact: {{ {what}with: {form} }}, ").into_boxed_str());
                if kind != "tool_call" && dice.one_in(2) {
                    self.redact =
                        Box::leak(format!("redact: {{ with: {form} }}, ").into_boxed_str());
                }
            }
            8 => {
                self.tags = dice.pick(&["", "", "tags: [x], ", "tags: [x, y], "]);
                self.on_deny = dice.pick(&["", "", "", "on_deny: error, ", "on_deny: replace, "]);
            }
            _ => self.mode = dice.pick(&["", "", "", "mode: observe, ", "mode: enforce, "]),
        }
    }

    /// Returns the rule's text without its id and its limit.
    fn body(&self) -> String {
        let part = |key: &str, value: &Option<String>| {
            value
                .as_ref()
                .map_or(String::new(), |value| format!("{key}: {value}, "))
        };
        let only = |text: &'static str, fits: bool| if fits { text } else { "" };
        let restricts = matches!(self.action, "deny" | "require_approval");
        let tags = match (self.action, self.tags) {
            ("tag", "") => "tags: [x], ",
            (_, tags) => tags,
        };
        format!(
            "match: {{ {} }}, {}{}{}{}{}{}{}{}action: {}",
            std::iter::once(format!("event: {}", self.kind))
                .chain(self.matches.iter().map(ToString::to_string))
                .collect::<Vec<_>>()
                .join(", "),
            part("when", &self.when),
            part("unless", &self.unless),
            self.if_missing,
            only(self.approval, self.action == "require_approval"),
            only(self.redact, self.action == "redact"),
            tags,
            only(self.on_deny, restricts),
            self.mode,
            self.action,
        )
    }

    fn limit(&self) -> &'static str {
        match self.action {
            "deny" | "require_approval" | "tag" => self.limit,
            _ => "",
        }
    }

    fn text(&self) -> String {
        format!("{}{}", self.limit(), self.body())
    }
}

/// Document, in parts that can be changed one by one.
#[derive(Clone, Debug, PartialEq)]
struct RandomDocument {
    mode: &'static str,
    defaults: Vec<String>,
    whom: &'static str,
    applies_to: &'static str,
    list: &'static str,
    rules: Vec<RandomRule>,
}

impl RandomDocument {
    fn any(dice: &mut Dice, rules: usize) -> RandomDocument {
        let count = dice.roll(rules) + 1;
        let mut document = RandomDocument {
            mode: dice.pick(&["", "", "", "mode: observe, ", "mode: { all: observe }, "]),
            defaults: Vec::new(),
            whom: dice.pick(&[
                "",
                "",
                "",
                "for: { tenant: acme }, ",
                "for: { tenant: [acme, beta] }, ",
                "for: { role: lead }, ",
            ]),
            applies_to: dice.pick(&["", "", "", "applies_to: { paths: [\"/v1/*\"] }, "]),
            list: dice.pick(&["a", "a, b", "b, c"]),
            rules: (0..count).map(|_| RandomRule::any(dice)).collect(),
        };
        document.change_defaults(dice);
        document
    }

    fn change_defaults(&mut self, dice: &mut Dice) {
        self.defaults = vec![format!("action: {}", dice.pick(&["allow", "deny"]))];
        for gate in [
            "request",
            "tool_call",
            "tool_offer",
            "uninspectable",
            "partial",
        ] {
            if !dice.one_in(5) {
                continue;
            }
            let action = match gate {
                "tool_offer" => dice.pick(&["allow", "deny", "hide"]),
                _ => dice.pick(&["allow", "deny"]),
            };
            let mode = dice.pick(&["", ", mode: observe", ", mode: enforce"]);
            self.defaults
                .push(format!("{gate}: {{ action: {action}{mode} }}"));
        }
    }

    fn change(&mut self, dice: &mut Dice) {
        let at = dice.roll(self.rules.len().max(1));
        match dice.roll(12) {
            0 => self.rules.push(RandomRule::any(dice)),
            1 => self.change_defaults(dice),
            2 => self.list = dice.pick(&["a", "a, b", "b, c"]),
            3 => self.mode = dice.pick(&["", "mode: observe, "]),
            4 => {
                self.whom = dice.pick(&[
                    "",
                    "for: { tenant: acme }, ",
                    "for: { tenant: [acme, beta] }, ",
                ])
            }
            5 => self.rules.reverse(),
            6 | 7 if !self.rules.is_empty() => {
                self.rules.remove(at);
            }
            8 if !self.rules.is_empty() => {
                let mut more = self.rules[at].clone();
                let part = dice.roll(10);
                more.change(dice, part);
                self.rules.push(more);
            }
            _ => {
                if let Some(rule) = self.rules.get_mut(at) {
                    let part = dice.roll(10);
                    rule.change(dice, part);
                }
            }
        }
    }

    /// Returns the document in one world: without the rules whose limit is not exceeded there, and without limits on the others.
    fn inner(&self, number: usize, exceeded: Option<&Exceeded>) -> String {
        let document = number;
        let rules: Vec<String> = self
            .rules
            .iter()
            .enumerate()
            .filter_map(|(number, rule)| {
                let body = match exceeded {
                    None => rule.text(),
                    Some(_) if rule.limit().is_empty() => rule.body(),
                    Some(exceeded) if exceeded.contains(&(document, number)) => rule.body(),
                    Some(_) => return None,
                };
                Some(format!("{{ id: r{number}, {body} }}"))
            })
            .collect();
        format!(
            "defaults: {{ {} }}, {}{}lists: {{ l: [{}], none: [], models: {{ acme: [m1], beta: [\"m*\"] }} }}, rules: [{}]",
            self.defaults.join(", "),
            self.mode,
            self.applies_to,
            self.list,
            rules.join(", ")
        )
    }
}

/// Rules whose limit is exceeded in a world: the number of the document, and of the rule in it.
type Exceeded = BTreeSet<(usize, usize)>;

/// Returns the numbers of the document and the rule of an id: `r2`, or `d1/r2` in a set.
fn numbers(id: &str) -> (usize, usize) {
    let (document, rule) = id.split_once('/').unwrap_or(("d0", id));
    let number = |name: &str| name.get(1..).and_then(|digits| digits.parse().ok());
    (number(document).unwrap(), number(rule).unwrap())
}

/// Earlier events that limits count. They are the same in every world.
struct History(Vec<(SampleEvent, crate::event::Facts)>);

impl History {
    fn any(seed: u64) -> History {
        let dice = &mut Dice(!seed);
        let events = (0..EVENTS * 2).map(|_| described(&event(dice)));
        History(events.collect())
    }

    /// Returns the events that each limit of a policy counts, as the policy itself evaluates each event. Rules that have the
    /// same meaning in other words count the same events.
    fn counted_by(&self, policy: &Policy) -> BTreeMap<(usize, usize), Vec<usize>> {
        let mut counted: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let limited = policy.rules().iter().filter(|rule| rule.limit.is_some());
        counted.extend(limited.map(|rule| (numbers(&rule.id), Vec::new())));
        if counted.is_empty() {
            return counted;
        }
        for (at, (event, facts)) in self.0.iter().enumerate() {
            let Ok(case) = SampleExchange::new(std::slice::from_ref(event), facts.clone(), policy)
            else {
                continue;
            };
            case.seen_by(policy, |context| {
                let event = &case.reading.events[0];
                let evaluation = policy.evaluate(event, context, EvaluationPhase::Whole);
                for limited in &evaluation.limited {
                    let id = &policy.rule(limited.rule).unwrap().id;
                    counted.entry(numbers(id)).or_default().push(at);
                }
            });
        }
        counted
    }
}

/// One document, or several.
#[derive(Clone, Debug, PartialEq)]
struct Policies(Vec<RandomDocument>);

impl Policies {
    fn any(dice: &mut Dice) -> Policies {
        let count = dice.pick(&[1, 1, 1, 2, 3]);
        Policies(
            (0..count)
                .map(|_| RandomDocument::any(dice, if count == 1 { 4 } else { 2 }))
                .collect(),
        )
    }

    fn changed(&self, dice: &mut Dice) -> Policies {
        let mut other = self.clone();
        for _ in 0..=dice.roll(2) {
            let at = dice.roll(other.0.len());
            match dice.roll(10) {
                0 if other.0.len() > 1 => {
                    other.0.remove(at);
                }
                1 if other.0.len() > 1 => other.0.push(RandomDocument::any(dice, 2)),
                _ => other.0[at].change(dice),
            }
        }
        other
    }

    fn text(&self, exceeded: Option<&Exceeded>) -> String {
        const HEAD: &str = "apiVersion: agentguard.dev/v1, metadata: { name: p }, require: none, ";
        match self.0.as_slice() {
            [one] => format!(
                "{{ {HEAD}environment: prod, kind: AgentPolicy, {} }}",
                one.inner(0, exceeded)
            ),
            several => {
                let several: Vec<String> = several
                    .iter()
                    .enumerate()
                    .map(|(number, one)| {
                        // Only a document of a set has an audience.
                        format!(
                            "{{ metadata: {{ name: d{number} }}, {}{} }}",
                            one.whom,
                            one.inner(number, exceeded)
                        )
                    })
                    .collect();
                format!(
                    "{{ {HEAD}environment: prod, kind: AgentPolicySet, policies: [{}] }}",
                    several.join(", ")
                )
            }
        }
    }

    /// Returns the policy; `None` if the random text is not a valid policy.
    fn load(&self, exceeded: Option<&Exceeded>) -> Option<Policy> {
        let root = parse_yaml(&self.text(exceeded))
            .unwrap_or_else(|errors| panic!("{errors:?}\n{}", self.text(exceeded)));
        load_with_zones(&root).policy
    }

    /// Returns the policy in one world, in which some limits are exceeded. Two limits that count the same events up to the same
    /// number are exceeded together, and all others independently.
    fn in_world(&self, world: u64, counted: &BTreeMap<(usize, usize), Vec<usize>>) -> Policy {
        let is_exceeded = |&(document, rule): &(usize, usize)| {
            let limit = self.0[document].rules[rule].limit();
            coin(world, &format!("{limit} {:?}", counted[&(document, rule)]))
        };
        let exceeded: Exceeded = counted.keys().copied().filter(is_exceeded).collect();
        self.load(Some(&exceeded))
            .unwrap_or_else(|| panic!("{}", self.text(Some(&exceeded))))
    }
}

const ARGS: &[&str] = &[
    "n: 0",
    "n: 1",
    "n: 2",
    "n: 3",
    "n: 1.5",
    "n: \"2\"",
    "n: x",
    "n: [1, 5]",
    "n: []",
    "n: null",
    "m: 4",
    "s: a",
    "s: A",
    "s: b",
    "s: ab",
    "s: axb",
    "s: \"a b\"",
    "s: [a, b]",
    "s: [a, a]",
    "s: [a, \"a b\"]",
    "s: { s: [a, b] }",
    "s: \"[\\\"a\\\", \\\"b\\\"]\"",
    "s: 7",
    "s: { s: a }",
    "s: \"ann@a.example\"",
    "s: \"\"",
    "o: a",
    "o: abc",
    "to: ann@a.example",
    "to: [ann@a.example, bob@c.example]",
    "to: nobody",
    "to: x@y.b.example",
    "path: /srv/x",
    "path: /srv/../etc",
    "path: /tmp",
    "path: \"\"",
    "cmd: ls",
    "cmd: \"ls; rm x\"",
    "cmd: \"$(x)\"",
    "ip: 10.1.2.3",
    "ip: x",
    "sql: \"DELETE FROM users\"",
    "sql: \"SELECT a FROM t LIMIT 7\"",
    "sql: \"SELECT 'a\"",
    "items: [{ n: 2, s: a }]",
    "items: [{ n: 0, s: a }, { n: 2, s: b }]",
    "items: [1]",
    "items: []",
];

const TEXTS: &[&str] = &[
    "secret",
    "s3cret card",
    "Secret card",
    "ann@a.example",
    "4111 1111 1111 1111",
    "hello",
    "a secret thing",
];

const FACTS: &[&[&str]] = &[
    &["env: prod", "env: dev", "env: unknown", "env: Prod"],
    &[
        "principal: anonymous",
        "principal: { id: i, tenant: acme, client: c, agent: a, roles: [lead], team: red }",
        "principal: { id: i, tenant: acme, roles: [dev, lead] }",
        "principal: { id: i, tenant: beta, roles: [] }",
        "principal: { id: i, tenant: Acme, roles: [LEAD], team: [red, blue] }",
        "principal: { id: i }",
    ],
    &[
        "time: \"2026-03-11T12:00:00Z\"",
        "time: \"2026-03-11T03:00:00Z\"",
        "time: \"2026-03-14T12:00:00Z\"",
    ],
    &["host: a.example", "host: unknown"],
    &["path: /v1/x", "path: /v2/x"],
    &["method: POST", "method: GET"],
    &["provider: openai", "provider: unknown"],
    &["protocol: mcp"],
    &["server: s"],
    &[
        "model: m1",
        "model: [m1, x]",
        "model: unknown",
        "model: M1",
        "model: \"m/1\"",
    ],
    &["headers: { x-a: \"1\" }"],
    &[
        "earlier: []",
        "earlier: [{ tool_call: { tool: u } }, { tool_result: { tool: u, ok: true } }]",
        "earlier: [{ tool_call: { tool: u } }, { tool_call: { tool: u } }]",
    ],
];

fn event(dice: &mut Dice) -> String {
    let tool = dice.pick(&[
        "t",
        "u",
        "T",
        "tx",
        "s/t",
        "mcp__s__t",
        "s.u",
        "unknown",
        "other",
    ]);
    let args = match dice.roll(12) {
        0 => "unknown".to_owned(),
        _ => {
            let mut keys = BTreeSet::new();
            let mut args: Vec<&str> = (0..dice.roll(4)).map(|_| dice.pick(ARGS)).collect();
            args.retain(|arg| keys.insert(arg.split(':').next()));
            format!("{{ {} }}", args.join(", "))
        }
    };
    let text = dice.pick(TEXTS);
    let what = match dice.pick(KINDS) {
        "tool_call" => {
            let rest = dice.pick(&[
                "",
                "",
                "",
                ", turn: earlier, in: request",
                ", in: request",
                ", provider_run: true",
            ]);
            format!("tool_call: {{ tool: {tool}, args: {args}{rest} }}")
        }
        "message" => format!(
            "message: {{ text: \"{text}\", from: {} }}",
            dice.pick(&["user", "tool", "system", "unknown"])
        ),
        "tool_result" => format!(
            "tool_result: {{ tool: {tool}, {} }}",
            match dice.roll(3) {
                0 => format!("text: \"{text}\", ok: true"),
                1 => "result: { n: 2, s: a }, args: { s: a }".to_owned(),
                _ => format!("text: \"{text}\", result: unknown, ok: unknown"),
            }
        ),
        "tool_offer" => format!("tool_offer: {{ tool: {tool}, text: \"{text}\" }}"),
        "response" => format!(
            "response: {{ text: \"{text}\", part: {}, usage: {{ input_tokens: {} }}, finish: stop }}",
            dice.pick(&["text", "reasoning"]),
            dice.pick(&["1", "9"])
        ),
        "uninspectable" => format!(
            "uninspectable: {{ {} }}",
            dice.pick(&[
                "code: AG2001",
                "code: AG2007",
                "code: AG2006",
                "class: attachment",
                "class: opaque"
            ])
        ),
        _ => format!(
            "request: {{ model: {}, params: {{ temperature: {} }}, message_count: {}, stream: {}, tools: [{}] }}",
            dice.pick(&["m1", "m2", "unknown"]),
            dice.pick(&["0.5", "2", "x"]),
            dice.pick(&["1", "5"]),
            dice.pick(&["true", "false"]),
            dice.pick(&["t", "t, x", ""]),
        ),
    };
    let is_request = what.starts_with("request:");
    let mut parts = vec![what];
    for facts in FACTS {
        if dice.one_in(2) && !(is_request && facts[0].starts_with("model")) {
            parts.push(dice.pick(facts).to_owned());
        }
    }
    format!("{{ {} }}", parts.join(", "))
}

fn described(text: &str) -> (SampleEvent, crate::event::Facts) {
    let node = parse_yaml(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    describe(&node).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

/// Returns a policy's outcome for an event if approvals are given to some rules.
fn outcome(
    policy: &Policy,
    described: &(SampleEvent, crate::event::Facts),
    granted: Option<(u64, &Policies)>,
) -> Option<FullOutcome> {
    let (event, facts) = described.clone();
    let case = SampleExchange::new(&[event], facts, policy).ok()?;
    case.seen_by(policy, |context| {
        let mut outcome = FullOutcome::under(policy, &case, context)?;
        let Some((world, written)) = granted else {
            return Some(outcome);
        };
        // With a token, an approval rule opens the decision point instead of asking.
        let event = case.reading.events.first()?;
        let evaluation = policy.evaluate(event, context, EvaluationPhase::Whole);
        let asks = |only_enforced: bool| -> Vec<bool> {
            evaluation
                .held
                .iter()
                .filter(|held| held.enforced || !only_enforced)
                .filter_map(|held| policy.rule(held.rule))
                .filter(|rule| rule.action == crate::policy::Action::RequireApproval)
                .map(|rule| {
                    let number: usize = rule.id.trim_start_matches('r').parse().unwrap();
                    coin(world, written.0[0].rules[number].approval)
                })
                .collect()
        };
        for (only_enforced, decision) in [
            (true, evaluation.ruling.decision),
            (false, evaluation.would.decision),
        ] {
            let asks = asks(only_enforced);
            if decision == Decision::RequireApproval && asks.iter().all(|granted| *granted) {
                match only_enforced {
                    true => outcome.reported.action = "allow",
                    false => outcome.reported.would = "allow",
                }
            }
        }
        Some(outcome)
    })?
}

/// Returns the rank of an action that stops something; 0 for other actions.
fn strictness(action: &str) -> usize {
    if rank(action) >= 2 { rank(action) } else { 0 }
}

/// Returns whether one outcome denies at least as strictly as another.
fn is_as_strict(one: &FullOutcome, other: &FullOutcome) -> bool {
    strictness(one.reported.action) >= strictness(other.reported.action)
        && strictness(one.reported.would) >= strictness(other.reported.would)
}

fn is_alike(one: &FullOutcome, other: &FullOutcome) -> bool {
    one.reported.action == other.reported.action
        && one.reported.would == other.reported.would
        && one.reported.effects == other.reported.effects
        && (one.reported.action != "redact" || one.redactions == other.redactions)
}

const EVENTS: usize = 30;
const WORLDS: u64 = 2;

/// Checks the proofs about a policy and a changed copy.
fn proofs_agree(seed: u64) -> Result<(), TestCaseError> {
    let dice = &mut Dice(seed);
    let old = Policies::any(dice);
    let new = old.changed(dice);
    let (Some(one), Some(other)) = (old.load(None), new.load(None)) else {
        return Ok(());
    };
    let proofs = Proofs::of(&one, &other);
    if !proofs.same && !proofs.keeps && !proofs.adds_nothing {
        return Ok(());
    }
    let can_grant = old.0.len() == 1 && new.0.len() == 1;
    let history = History::any(seed);
    let counted = [&one, &other].map(|policy| history.counted_by(policy));
    for world in 0..WORLDS {
        let world = world.wrapping_mul(7919).wrapping_add(seed);
        let one = old.in_world(world, &counted[0]);
        let other = new.in_world(world, &counted[1]);
        for _ in 0..EVENTS {
            let text = event(dice);
            let described = described(&text);
            for granted in [None, Some(world)]
                .into_iter()
                .take(1 + usize::from(can_grant))
            {
                let (Some(was), Some(is)) = (
                    outcome(&one, &described, granted.map(|world| (world, &old))),
                    outcome(&other, &described, granted.map(|world| (world, &new))),
                ) else {
                    continue;
                };
                let shown = || {
                    format!(
                        "seed {seed}\nold {}\nnew {}\nevent {text}\nold: {:?}\nnew: {:?} granted: {granted:?}",
                        old.text(None),
                        new.text(None),
                        was.reported,
                        is.reported
                    )
                };
                prop_assert!(
                    !proofs.same || is_alike(&was, &is),
                    "called the same\n{}",
                    shown()
                );
                prop_assert!(
                    !proofs.keeps || is_as_strict(&is, &was),
                    "called as strict as before\n{}",
                    shown()
                );
                prop_assert!(
                    !proofs.adds_nothing || is_as_strict(&was, &is),
                    "called no stricter\n{}",
                    shown()
                );
            }
        }
    }
    Ok(())
}

/// Returns the names in backquotes in a message.
fn quoted(message: &str) -> Vec<usize> {
    let names = message.split('`').skip(1).step_by(2);
    names
        .filter_map(|name| name.strip_prefix('r')?.parse().ok())
        .collect()
}

/// Checks rules that lint reports as never matching, repeated or without effect.
fn lint_agrees(seed: u64) -> Result<(), TestCaseError> {
    let dice = &mut Dice(seed);
    let mut document = RandomDocument::any(dice, 4);
    document.mode = "";
    // Lint reports rules that are nearly the same.
    if dice.one_in(2) {
        let mut more = document.rules[0].clone();
        for _ in 0..dice.roll(3) {
            let part = dice.roll(10);
            more.change(dice, part);
        }
        document.rules.push(more);
    }
    let whole = Policies(vec![document]);
    let Some(policy) = whole.load(None) else {
        return Ok(());
    };
    let root = parse_yaml(&whole.text(None)).unwrap();
    let findings: Vec<_> = lint(&policy, &root)
        .into_iter()
        .filter(|finding| matches!(finding.code, "AG1101" | "AG1102" | "AG1103"))
        .filter(|finding| !finding.message.contains("holds only where that is"))
        .collect();
    let history = History::any(seed);
    for finding in &findings {
        let Some(&number) = quoted(&finding.message).first() else {
            continue;
        };
        let mut without = whole.clone();
        let rule = without.0[0].rules.remove(number);
        // Ids are numbers, so the ids of later rules change.
        let Some(fewer) = without.load(None) else {
            continue;
        };
        let counted = [&policy, &fewer].map(|policy| history.counted_by(policy));
        for world in 0..WORLDS {
            let world = world.wrapping_mul(7919).wrapping_add(seed);
            let with = whole.in_world(world, &counted[0]);
            let without = without.in_world(world, &counted[1]);
            for _ in 0..EVENTS {
                let text = event(dice);
                let described = described(&text);
                // The filter knows no environment other than the policy's own.
                if text.contains("env: ") && finding.message.contains("never holds here") {
                    continue;
                }
                let (Some(was), Some(is)) = (
                    outcome(&with, &described, None),
                    outcome(&without, &described, None),
                ) else {
                    continue;
                };
                let shown = || {
                    format!(
                        "seed {seed}\n{}\n{}\nevent {text}\nwith: {:?}\nwithout: {:?}",
                        finding.message,
                        whole.text(None),
                        was.reported,
                        is.reported
                    )
                };
                // An allow also lets messages that only continue a conversation pass, and tool definitions, if they belong to
                // calls that it might allow, whether or not it ever allows one. So does an approval.
                let opens = finding.code == "AG1101"
                    && (rule.action == "allow" || rule.action == "require_approval")
                    && !text.starts_with(&format!("{{ {}:", rule.kind));
                prop_assert!(
                    opens || is_alike(&was, &is),
                    "taking it out changes something\n{}",
                    shown()
                );
                let held = was
                    .reported
                    .rules
                    .iter()
                    .any(|rule| **rule == *format!("r{number}"));
                prop_assert!(finding.code != "AG1101" || !held, "it holds\n{}", shown());
                if let ("AG1102", true, Some(other)) =
                    (finding.code, held, quoted(&finding.message).get(1))
                {
                    prop_assert!(
                        was.reported
                            .rules
                            .iter()
                            .any(|rule| **rule == *format!("r{other}")),
                        "the other does not hold\n{}",
                        shown()
                    );
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(300), max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    /// Compares a policy with a changed copy, over every construct of the language.
    #[test]
    fn what_is_proved_of_a_change_agrees_with_every_event(seed in any::<u64>()) {
        proofs_agree(seed)?;
    }

    /// Checks rules that are reported as never matching, as repetitions, or as deciding nothing.
    #[test]
    fn what_lint_calls_without_effect_has_none(seed in any::<u64>()) {
        lint_agrees(seed)?;
    }
}

#[test]
fn what_random_policies_once_showed_of_proofs_holds() {
    // A limit on the same calls, with its condition written twice.
    proofs_agree(3_178_338_924_572_054_780).unwrap();
}

#[test]
fn what_random_policies_once_showed_of_lint_holds() {
    for seed in [
        14_659_430_484_846_834_273,
        11_927_358_912_098_862_702,
        3_195_657_442_158_684_065,
        // A tool definition passes, because an approval in another environment could let its calls pass.
        3_459_896_393_064_261_043,
    ] {
        lint_agrees(seed).unwrap();
    }
}

#[test]
fn the_dice_write_policies_that_load_and_proofs_of_each_sort() {
    let (mut loaded, mut same, mut one_way, mut linted) = (0, 0, 0, 0);
    for seed in 0..400 {
        let dice = &mut Dice(seed);
        let old = Policies::any(dice);
        let new = old.changed(dice);
        let (Some(one), Some(other)) = (old.load(None), new.load(None)) else {
            continue;
        };
        loaded += 1;
        let proofs = Proofs::of(&one, &other);
        same += usize::from(proofs.same);
        one_way += usize::from(proofs.keeps != proofs.adds_nothing);
        let root = parse_yaml(&old.text(None)).unwrap();
        let codes = ["AG1101", "AG1102", "AG1103"];
        linted += usize::from(
            lint(&one, &root)
                .iter()
                .any(|finding| codes.contains(&finding.code)),
        );
    }
    let told = format!("loaded {loaded}, same {same}, one way {one_way}, linted {linted}");
    assert!(
        loaded >= 200 && same >= 10 && one_way >= 40 && linted >= 20,
        "{told}"
    );
}

fn loaded(text: &str) -> (Policy, crate::policy::Node) {
    let text = format!(
        "{{ apiVersion: agentguard.dev/v1, kind: AgentPolicy, metadata: {{ name: p }}, require: none, {text} }}"
    );
    let root = parse_yaml(&text).unwrap_or_else(|errors| panic!("{errors:?}"));
    let policy = load_with_zones(&root).policy;
    (policy.unwrap_or_else(|| panic!("{text}")), root)
}

/// Returns what is proved about two policies: they are the same, the new one keeps all denials, it adds none.
fn proved(old: &str, new: &str) -> [bool; 3] {
    let proofs = Proofs::of(&loaded(old).0, &loaded(new).0);
    [proofs.same, proofs.keeps, proofs.adds_nothing]
}

#[test]
fn a_limit_covers_nothing_but_the_same_limit() {
    let limit = |max: u32, tool: &str, rest: &str| {
        format!(
            "{{ id: l{max}, match: {{ tool: {tool} }}, limit: {{ count: tool_calls, per: session, max: {max} }}, action: deny{rest} }}"
        )
    };
    let deny = "{ id: d, match: { tool: t }, action: deny }";
    let policy = |rules: &[&str]| {
        format!(
            "defaults: {{ action: allow }}, rules: [{}]",
            rules.join(", ")
        )
    };
    let five = limit(5, "t", "");
    assert_eq!(
        proved(&policy(&[deny, &five]), &policy(&[&five])),
        [false, false, true]
    );
    assert_eq!(
        proved(&policy(&[&five]), &policy(&[deny])),
        [false, true, false]
    );
    assert_eq!(
        proved(&policy(&[&five]), &policy(&[&limit(6, "t", "")])),
        [false; 3]
    );
    // The counted events are part of a limit: a limit on more tools is a different one.
    assert_eq!(
        proved(&policy(&[&five]), &policy(&[&limit(5, "[t, u]", "")])),
        [false; 3]
    );
    let again = five.replace("l5", "other");
    assert_eq!(proved(&policy(&[&five]), &policy(&[&again])), [true; 3]);
    // However the condition is written.
    let twice = limit(5, "t", ", when: { any: [{ tool: t }] }");
    assert_eq!(proved(&policy(&[&five]), &policy(&[&twice])), [true; 3]);
    // So are the sessions that it keeps apart, what models cost, and the field that it adds up.
    let of_sessions = five.replace("max", "session: [conversation], max");
    assert_eq!(
        proved(&policy(&[&five]), &policy(&[&of_sessions])),
        [false; 3]
    );
    let cost = |price: u32| {
        policy(&[&format!(
            "{{ id: c, match: {{ event: response }}, limit: {{ sum: usage.cost_usd, max: 5, window: 1h, prices: {{ otherwise: {{ input: {price}, output: 1 }} }} }}, action: deny }}"
        )])
    };
    assert_eq!(proved(&cost(1), &cost(1)), [true; 3]);
    assert_eq!(proved(&cost(1), &cost(2)), [false; 3]);
    let sum = |field: &str| {
        policy(&[&format!(
            "{{ id: s, match: {{ tool: t }}, limit: {{ sum: {field}, max: 5, window: 1h }}, action: deny }}"
        )])
    };
    assert_eq!(proved(&sum("args.a"), &sum("args.b")), [false; 3]);
}

#[test]
fn an_approval_by_somebody_else_is_another_one() {
    let ask = |approval: &str| {
        format!(
            "defaults: {{ action: allow }}, rules: [{{ id: a, match: {{ tool: t }}, action: require_approval{approval} }}]"
        )
    };
    let by = |who: &str| ask(&format!(", approval: {{ {who} }}"));
    for (one, other) in [
        ("by: [lead]", "by: [intern]"),
        ("by: [lead]", "by: [lead, intern]"),
        ("by: [lead], needed: 2", "by: [lead]"),
        ("by: [lead], uses: 1", "by: [lead], uses: 9"),
        ("by: [lead]", "by: [lead], valid_for: 24h"),
        ("by: [lead], bind: [args.amount]", "by: [lead]"),
    ] {
        assert_eq!(proved(&by(one), &by(other)), [false; 3], "{one} {other}");
    }
    assert_eq!(
        proved(&by("by: [b, a], uses: 1"), &by("by: [a, b]")),
        [true; 3]
    );
    // A denial is stricter than any approval.
    let deny = ask("").replace("require_approval", "deny");
    assert_eq!(proved(&by("by: [lead]"), &deny), [false, true, false]);
}

#[test]
fn what_no_default_lets_pass_counts_for_every_default() {
    let policy = |defaults: &str, rules: &str| {
        format!("defaults: {{ action: allow, {defaults} }}, rules: [{rules}]")
    };
    let open = policy("uninspectable: allow", "");
    // A code that no default relaxes is relaxed by a rule that names it, and by a mode.
    let named = policy(
        "uninspectable: allow",
        "{ id: a, match: { event: uninspectable, code: AG2001 }, action: allow }",
    );
    assert!(!proved(&open, &named)[1]);
    let observed = policy("uninspectable: { action: allow, mode: observe }", "");
    assert!(!proved(&open, &observed)[1]);
    assert_eq!(lint_codes(&named), [] as [&str; 0]);
}

#[test]
fn hiding_an_offer_is_less_than_denying_it() {
    let policy = |offers: &str, rules: &str| {
        format!("defaults: {{ action: allow, tool_offer: {offers} }}, rules: [{rules}]")
    };
    assert_eq!(
        proved(&policy("deny", ""), &policy("hide", "")),
        [false, false, true]
    );
    // Which tool definitions are hidden depends on the denials of their calls as they are written.
    let deny = "{ id: a, match: { tool: t }, action: deny }";
    let wider = "{ id: a, when: { any: [{ tool: t }, { args.x: 1 }] }, action: deny }";
    assert!(!proved(&policy("hide", deny), &policy("hide", wider))[1]);
}

#[test]
fn what_is_tried_out_and_what_the_record_needs_are_settings() {
    let policy = |rest: &str| format!("defaults: {{ action: allow }}, rules: [], {rest}");
    for (one, other) in [
        (
            "shadow: { defaults: { action: allow }, rules: [] }",
            "shadow: { defaults: { action: deny }, rules: [] }",
        ),
        ("audit: { key: env:A }", "audit: { key: env:B }"),
    ] {
        assert_eq!(proved(&policy(one), &policy(other)), [false; 3], "{one}");
        assert_eq!(
            proved(&policy(one), &policy(&format!("{one}, mode: enforce"))),
            [true; 3]
        );
    }
}

#[test]
fn what_a_rule_records_is_a_setting() {
    let policy = |name: &str, audit: &str| {
        format!(
            "defaults: {{ action: allow }}, rules: [{{ id: {name}, match: {{ tool: t }}, action: deny{audit} }}]"
        )
    };
    let full = policy("a", ", audit: { content: full }");
    let redacted = policy("a", ", audit: { content: redacted }");
    assert_eq!(proved(&policy("a", ""), &full), [false; 3]);
    assert_eq!(proved(&full, &redacted), [false; 3]);
    assert_eq!(proved(&policy("a", ""), &policy("b", "")), [true; 3]);
}

#[test]
fn who_is_asking_and_who_approves_are_settings() {
    let policy = |rest: &str| format!("defaults: {{ action: allow }}, rules: [], {rest}");
    let source = |trusted: &str| {
        format!("principals: [{{ name: e, header: {{ id: x-user, trusted: [{trusted}] }} }}]")
    };
    let keys = [
        "cS7MZjW5cjWZqON5cyTS437Dj2p8pBiIvRHrndBXQdU",
        "vsJsT03rkNS-AIlBEqpR7na1ewU6Iu-geP-3QLfvOUU",
    ];
    let approvers = |keys: &[&str]| {
        let keys: Vec<String> = keys
            .iter()
            .map(|key| format!("\"ed25519:{key}\""))
            .collect();
        format!("approvers: {{ x: [{}] }}", keys.join(", "))
    };
    let service = |path: &str| {
        format!(
            "{}, approval_service: {{ cluster: c, path: {path} }}",
            approvers(&keys)
        )
    };
    for (one, other) in [
        (source("10.0.0.0/8"), source("10.0.0.0/9")),
        (
            "client_address: direct".to_owned(),
            "client_address: { xff_hops: 1 }".to_owned(),
        ),
        (approvers(&keys[..1]), approvers(&keys[1..])),
        (approvers(&keys), approvers(&keys[..1])),
        (service("/a"), service("/b")),
    ] {
        let (one, other) = (policy(&one), policy(&other));
        assert_eq!(proved(&one, &other), [false; 3], "{one} {other}");
    }
    let [first, second] = keys;
    let turned = approvers(&[second, first]);
    assert_eq!(
        proved(&policy(&approvers(&keys)), &policy(&turned)),
        [true; 3]
    );
}

/// Returns the codes of rules that lint reports as without effect.
fn lint_codes(text: &str) -> Vec<&'static str> {
    let (policy, root) = loaded(text);
    let findings = lint(&policy, &root).into_iter().map(|finding| finding.code);
    findings
        .filter(|code| matches!(*code, "AG1101" | "AG1102" | "AG1103"))
        .collect()
}

fn lint_messages(text: &str) -> Vec<String> {
    let (policy, root) = loaded(text);
    let findings = lint(&policy, &root).into_iter();
    findings
        .filter(|finding| finding.code == "AG1101")
        .map(|finding| finding.message)
        .collect()
}

#[test]
fn only_what_is_read_narrowly_can_never_hold() {
    let rule = |action: &str, default: &str| {
        format!(
            "defaults: {{ action: {default} }}, rules: [{{ id: a, match: {{ tool: t }}, when: {{ args.n: {{ greater_than: 5, less_than: 3 }} }}, action: {action} }}]"
        )
    };
    let denied = lint_messages(&rule("deny", "allow"));
    assert!(
        denied[0].contains("holds only where that is unknown"),
        "{denied:?}"
    );
    let allowed = lint_messages(&rule("allow", "deny"));
    assert!(allowed[0].contains("can never hold"), "{allowed:?}");
    // On the deny side, another letter case is the same environment.
    let folded = "environment: prod, defaults: { action: allow }, rules: [{ id: a, match: { tool: t, environment: \"PR*\" }, action: deny }]";
    assert_eq!(lint_messages(folded), [] as [&str; 0]);
}

#[test]
fn what_sets_a_tag_or_replaces_more_is_not_without_effect() {
    let tagged = "defaults: { action: allow }, rules: [{ id: a, match: { tool: t }, action: allow, tags: [x] }]";
    assert_eq!(lint_codes(tagged), [] as [&str; 0]);
    let narrower = "defaults: { action: allow }, rules: [{ id: a, match: { event: message }, when: { text: { contains: x } }, action: redact }, { id: b, match: { event: message }, when: { all: [{ text: { contains: x } }, { text: { contains: y } }] }, action: redact }]";
    assert_eq!(lint_codes(narrower), [] as [&str; 0]);
}

#[test]
fn the_documents_of_a_set_are_looked_through_in_any_order() {
    let text = "{ apiVersion: agentguard.dev/v1, kind: AgentPolicySet, metadata: { name: s }, require: none, policies: [
        { metadata: { name: z }, defaults: { action: allow }, rules: [{ id: one, match: { tool: t }, action: allow }] },
        { metadata: { name: a }, defaults: { action: allow }, rules: [] } ] }";
    let root = parse_yaml(text).unwrap();
    let policy = load_with_zones(&root).policy.unwrap();
    let found = lint(&policy, &root);
    let places: Vec<&str> = found
        .iter()
        .filter(|finding| finding.code == "AG1103")
        .map(|finding| &*finding.path)
        .collect();
    assert_eq!(places, ["policies[0].rules[0].action"]);
}
