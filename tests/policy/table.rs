//! What an operator says of several values, of a missing one, of one of the wrong type and of one that is not known: every
//! operator, where a condition restricts and where it loosens, on every kind of event that has a field to ask.

use super::*;

/// An operator: a value that fits, one that doesn't, one that it can't read.
struct CoverageRow {
    verb: &'static str,
    operand: &'static str,
    fits: &'static str,
    differs: &'static str,
    /// None where it reads everything, or is plainly false of another type.
    unreadable: Option<&'static str>,
    shape: Shape,
}

/// What kind of operator it is.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Positive,
    /// True of a missing value where that restricts.
    Negative,
    /// It counts over everything that a path gives.
    Count,
}

const fn row(
    verb: &'static str,
    operand: &'static str,
    fits: &'static str,
    differs: &'static str,
    unreadable: Option<&'static str>,
) -> CoverageRow {
    CoverageRow {
        verb,
        operand,
        fits,
        differs,
        unreadable,
        shape: Shape::Positive,
    }
}

const fn negative(row: CoverageRow) -> CoverageRow {
    CoverageRow {
        shape: Shape::Negative,
        ..row
    }
}

const fn count(verb: &'static str, fits: &'static str, differs: &'static str) -> CoverageRow {
    CoverageRow {
        shape: Shape::Count,
        ..row(verb, "2", fits, differs, None)
    }
}

const TABLE: &[CoverageRow] = &[
    row("equals", "1", "1.0", "2", None),
    negative(row("not_equals", "1", "2", "1", Some("x"))),
    row("in", "[a, 7]", "7", "8", None),
    negative(row("not_in", "[a, b]", "c", "a", Some("5"))),
    row("greater_than", "5", "5.01", "5", Some("many")),
    row("gt", "5", "\"9e3\"", "4", Some("true")),
    row("at_least", "5", "5", "4.99", Some("\"1,000\"")),
    row("gte", "5", "6", "-6", Some("null")),
    row("less_than", "5", "4", "5", Some("{}")),
    row("lt", "5", "-7", "7", Some("x")),
    row("at_most", "5", "5", "6", Some("\"$5\"")),
    row("lte", "5", "4", "50", Some("\"\"")),
    row("between", "[1, 3]", "3", "4", Some("x")),
    row("contains", "needle", "a needle here", "hay", None),
    row("contains_any", "[one, two]", "two", "three", None),
    row("contains_all", "[one, two]", "two and one", "one", None),
    row("starts_with", "abc", "abcd", "xabc", None),
    row("ends_with", "abc", "xabc", "abcd", None),
    row("matches", "\"^a+$\"", "aaa", "ab", None),
    row("glob", "\"a*c\"", "abbc", "abb", None),
    row(
        "detects",
        "credit_card",
        "4111 1111 1111 1111",
        "nothing",
        None,
    ),
    row(
        "domain_in",
        "[example.com]",
        "bob@example.com",
        "bob@evil.com",
        Some("true"),
    ),
    negative(row(
        "domain_not_in",
        "[example.com]",
        "bob@evil.com",
        "bob@example.com",
        Some("nobody at all"),
    )),
    row(
        "path_within",
        "[/srv/data]",
        "/srv/data/x",
        "/srv/data/../x",
        Some("\"\""),
    ),
    negative(row(
        "path_not_within",
        "[/srv/data]",
        "/etc/passwd",
        "/srv/data/x",
        Some("5"),
    )),
    row(
        "command_in",
        "[ls, cat]",
        "ls -l | cat",
        "rm -rf /",
        Some("ls `rm x`"),
    ),
    row("cidr_in", "[10.0.0.0/8]", "10.1.2.3", "8.8.8.8", Some("{}")),
    row(
        "sql_verb_in",
        "[drop]",
        "DROP TABLE a",
        "SELECT 1",
        Some("SELECT 'open"),
    ),
    row(
        "sql_table_in",
        "[users]",
        "SELECT * FROM users",
        "SELECT * FROM a",
        Some("SELECT /* open"),
    ),
    row(
        "sql_limit_greater_than",
        "10",
        "SELECT a FROM b LIMIT 11",
        "SELECT a FROM b LIMIT 10",
        Some("5"),
    ),
    count("count_greater_than", "[a, b, c]", "[a, b]"),
    count("count_at_least", "[a, b]", "[a]"),
    count("count_less_than", "[a]", "[a, b]"),
    count("count_at_most", "[a, b]", "[a, b, c]"),
    count("count_equals", "\"a@x.com, b@x.com\"", "[a]"),
    row("length_greater_than", "3", "four", "two", None),
    row("length_at_least", "3", "two", "to", None),
    row("length_less_than", "3", "to", "two", None),
    row("length_at_most", "3", "two", "four", None),
    row("length_equals", "3", "äöü", "aeoeue", None),
];

/// Where a value is asked for: the kind of event, the path, and what else its case says.
struct Place {
    /// With `X` for the members.
    event: &'static str,
    root: &'static str,
    /// The members can be unknown.
    unknown: Option<&'static str>,
}

const PLACES: &[Place] = &[
    Place {
        event: "tool_call: { args: X }",
        root: "args",
        unknown: Some("tool_call: { args: unknown }"),
    },
    Place {
        event: "tool_result: { result: X }",
        root: "result",
        unknown: Some("tool_result: { result: unknown }"),
    },
    Place {
        event: "tool_result: { args: X }",
        root: "args",
        unknown: Some("tool_result: { args: unknown }"),
    },
    Place {
        event: "request: { params: X }",
        root: "params",
        unknown: None,
    },
];

/// One cell: what the members are, and whether the condition is true where it restricts and where it loosens.
struct Cell {
    what: &'static str,
    prefix: &'static str,
    path: &'static str,
    members: String,
    extra: &'static str,
    restricting: bool,
    loosening: bool,
}

fn cells(row: &CoverageRow) -> Vec<Cell> {
    let CoverageRow { fits, differs, .. } = row;
    let is_negative = row.shape == Shape::Negative;
    let cell = |what, path, members: String, restricting, loosening| Cell {
        what,
        prefix: "",
        path,
        members,
        extra: "",
        restricting,
        loosening,
    };
    let one = |value: &str| format!("{{ a: {value} }}");
    let two = |a: &str, b: &str| format!("{{ a: {a}, b: {b} }}");
    let missing = |what, members: &str| Cell {
        extra: "missing: true, ",
        ..cell(what, "a", members.to_owned(), is_negative, false)
    };
    let mut cells = vec![
        cell("it fits", "a", one(fits), true, true),
        cell("it differs", "a", one(differs), false, false),
        missing("missing", "{ c: 1 }"),
        Cell {
            extra: "missing: true, if_missing: apply, not_restricting: true, ",
            ..cell("missing, applied", "a", "{ c: 1 }".to_owned(), true, false)
        },
        Cell {
            extra: "missing: true, if_missing: skip, not_restricting: false, ",
            ..cell("missing, skipped", "a", "{ c: 1 }".to_owned(), false, false)
        },
    ];
    if row.shape == Shape::Count {
        return cells;
    }
    cells.extend([
        missing("an empty array", "{ a: [] }"),
        cell("two that fit", "a|b", two(fits, fits), true, true),
        cell(
            "two that differ",
            "a|b",
            two(differs, differs),
            false,
            false,
        ),
        cell("one of two", "a|b", two(differs, fits), true, false),
        cell("one of two that is there", "a|b", one(fits), true, true),
        Cell {
            prefix: "any_",
            ..cell("any of two", "a|b", two(differs, fits), true, true)
        },
        Cell {
            prefix: "all_",
            ..cell("all of two", "a|b", two(differs, fits), false, false)
        },
        Cell {
            prefix: "all_",
            ..cell("all of two that fit", "a|b", two(fits, fits), true, true)
        },
    ]);
    if let Some(other) = row.unreadable {
        cells.extend([
            cell("it can't be read", "a", one(other), true, false),
            cell(
                "one fits, one can't be read",
                "a|b",
                two(fits, other),
                true,
                false,
            ),
            cell(
                "one differs, one can't be read",
                "a|b",
                two(differs, other),
                true,
                false,
            ),
        ]);
    }
    cells
}

/// A condition and an event, for the page of an operator.
pub struct Example {
    /// What the value is.
    pub what: &'static str,
    /// A case with both.
    pub case: String,
}

/// The condition that most examples of an operator ask, and the examples.
pub fn examples(verb: &str) -> (String, Vec<Example>) {
    let Some(row) = TABLE.iter().find(|row| row.verb == verb) else {
        return examples_elsewhere(verb);
    };
    let asked = [
        ("it fits", "fits"),
        ("it differs", "does not fit"),
        ("two that fit", "several that fit"),
        ("one of two", "several, of which one fits"),
        ("any of two", "the same, asked with `any_`"),
        ("all of two", "the same, asked with `all_`"),
        ("it can't be read", "can't be read"),
        ("missing", "is missing"),
        ("missing, applied", "is missing"),
        ("missing, skipped", "is missing"),
        ("an empty array", "is an empty array"),
    ];
    let cells = cells(row);
    let mut examples: Vec<Example> = asked
        .iter()
        .filter_map(|(cell, what)| Some((cells.iter().find(|known| known.what == *cell)?, *what)))
        .map(|(cell, what)| Example {
            what,
            case: format!(
                "{{ when: {{ \"args.{}\": {{ {}{}: {} }} }}, args: {}, {} }}",
                cell.path, cell.prefix, row.verb, row.operand, cell.members, cell.extra
            ),
        })
        .collect();
    examples.push(Example {
        what: "is not known",
        case: format!(
            "{{ when: {{ args.a: {{ {}: {} }} }}, args: unknown }}",
            row.verb, row.operand
        ),
    });
    let condition = format!("args.a: {{ {}: {} }}", row.verb, row.operand);
    (condition, examples)
}

/// Those of operators whose operands are no values.
fn examples_elsewhere(verb: &str) -> (String, Vec<Example>) {
    const IN_HOURS: &str = "given: { time: \"2026-03-10T12:00:00Z\" }, args: {}";
    const AT_NIGHT: &str = "given: { time: \"2026-03-10T22:00:00Z\" }, args: {}";
    const NEVER: &str = "args: {}";
    const SHARED: &str = "args: { a: the key is 8f3a-99c1-77de, b: 8f3a-99c1-77de }";
    const FETCHED: &str = "earlier: [{ tool_result: { tool: web_fetch, text: x } }], args: {}";
    const READ: &str = "earlier: [{ tool_result: { tool: read_file, text: x } }], args: {}";
    let (condition, rows): (&str, &[(&str, &str)]) = match verb {
        "exists" => (
            "args.a: { exists: true }",
            &[
                ("is there", "args: { a: 1 }"),
                ("is `null`", "args: { a: null }"),
                ("is missing", "args: {}"),
                ("is an empty array", "args: { a: [] }"),
                ("is not known", "args: unknown"),
            ],
        ),
        "overlaps" => (
            "args.a: { overlaps: { path: args.b } }",
            &[
                ("holds a part of the other", SHARED),
                (
                    "is a part of the other",
                    "args: { a: 8f3a-99c1-77de, b: the key is 8f3a-99c1-77de }",
                ),
                (
                    "shares nothing",
                    "args: { a: good morning, b: 8f3a-99c1-77de }",
                ),
                ("is missing", "args: { b: 8f3a-99c1-77de }"),
                (
                    "is there, the other is missing",
                    "args: { a: 8f3a-99c1-77de }",
                ),
                ("is not known", "args: unknown"),
            ],
        ),
        "inside" => (
            "time: { inside: \"09:00-17:00\", zone: UTC }",
            &[
                ("is within", IN_HOURS),
                ("is outside", AT_NIGHT),
                ("is not known", NEVER),
            ],
        ),
        "outside" => (
            "time: { outside: \"09:00-17:00\", zone: UTC }",
            &[
                ("is within", IN_HOURS),
                ("is outside", AT_NIGHT),
                ("is not known", NEVER),
            ],
        ),
        "schedule" => (
            "time: { schedule: [\"mon-fri 09:00-17:00\"], zone: UTC }",
            &[
                ("is within", IN_HOURS),
                ("is outside", AT_NIGHT),
                ("is not known", NEVER),
            ],
        ),
        "not_before" => (
            "time: { not_before: \"2026-03-10T15:00:00Z\" }",
            &[
                ("is later", AT_NIGHT),
                ("is earlier", IN_HOURS),
                ("is not known", NEVER),
            ],
        ),
        "not_after" => (
            "time: { not_after: \"2026-03-10T15:00:00Z\" }",
            &[
                ("is later", AT_NIGHT),
                ("is earlier", IN_HOURS),
                ("is not known", NEVER),
            ],
        ),
        "any_item" => (
            "args.a: { any_item: { price: { greater_than: 100 } } }",
            &[
                (
                    "has an item that fits",
                    "args: { a: [{ price: 1 }, { price: 101 }] }",
                ),
                ("has none", "args: { a: [{ price: 1 }] }"),
                (
                    "has an item that can't be read",
                    "args: { a: [{ price: many }] }",
                ),
                ("is missing", "args: {}"),
                ("is not known", "args: unknown"),
            ],
        ),
        "earlier" => (
            "earlier: { event: tool_result, tool: web_fetch }",
            &[
                ("holds such an event", FETCHED),
                ("holds others", READ),
                ("is empty", "earlier: [], args: {}"),
                (
                    "holds others and is known only in part",
                    "earlier: [{ tool_result: { tool: read_file, text: x } }], history: incomplete, args: {}",
                ),
                ("is not known", "args: {}"),
            ],
        ),
        other => panic!(
            "`{other}` has no examples: add a row for it to `TABLE` in tests/policy/table.rs"
        ),
    };
    let examples = rows.iter().map(|(what, event)| Example {
        what,
        case: format!("{{ when: {{ {condition} }}, {event} }}"),
    });
    (condition.to_owned(), examples.collect())
}

fn run(why: &str, text: &str) -> Vec<String> {
    let node = parse_yaml(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let case = Case {
        file: &node,
        node: &node,
    };
    let wrong = case.run().into_iter();
    wrong.map(|what| format!("{why}: {what}")).collect()
}

#[test]
fn every_operator_answers_every_cell_of_the_table() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in TABLE {
        for place in PLACES {
            for cell in cells(row) {
                count += 1;
                let text = format!(
                    "{{ why: x, when: {{ \"{}.{}\": {{ {}{}: {} }} }}, {}, {}restricting: {}, loosening: {} }}",
                    place.root,
                    cell.path,
                    cell.prefix,
                    row.verb,
                    row.operand,
                    place.event.replace('X', &cell.members),
                    cell.extra,
                    cell.restricting,
                    cell.loosening,
                );
                let why = format!("{} of {}, {}", row.verb, place.root, cell.what);
                wrong.extend(run(&why, &text));
            }
            if let Some(unknown) = place.unknown {
                count += 1;
                let text = format!(
                    "{{ why: x, when: {{ {}.a: {{ {}: {} }} }}, {unknown}, restricting: true, loosening: false }}",
                    place.root, row.verb, row.operand,
                );
                wrong.extend(run(&format!("{} of what is unknown", row.verb), &text));
            }
        }
    }
    println!("{count} cells");
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Operators that read texts, on the kinds of events that are texts.
#[test]
fn operators_on_texts_answer_for_every_kind_of_text() {
    let mut wrong = Vec::new();
    let is_of_text = |row: &&CoverageRow| {
        let reads = row.verb.contains("contains")
            || row.verb.contains("with")
            || row.verb.contains("length");
        (reads && !row.verb.starts_with("path"))
            || ["matches", "glob", "detects"].contains(&row.verb)
    };
    for row in TABLE.iter().filter(is_of_text) {
        for kind in ["message", "response", "tool_result", "tool_call"] {
            for (value, holds) in [(row.fits, true), (row.differs, false)] {
                let event = match kind {
                    "tool_call" => format!("tool_call: {{ args: {{ z1: {value} }} }}"),
                    _ => format!("{kind}: {{ text: {value} }}"),
                };
                let text = format!(
                    "{{ why: x, when: {{ text: {{ {}: {} }} }}, {event}, restricting: {holds}, loosening: {holds} }}",
                    row.verb, row.operand,
                );
                wrong.extend(run(&format!("{} of the text of a {kind}", row.verb), &text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every verb that the language knows stands in the table, but those whose operands are no values.
#[test]
fn no_operator_is_missing_from_the_table() {
    let elsewhere = [
        "exists",
        "overlaps",
        "inside",
        "outside",
        "schedule",
        "not_before",
        "not_after",
    ];
    for verb in agentguard::policy::operator_words() {
        let stands = TABLE.iter().any(|row| row.verb == verb) || elsewhere.contains(&verb);
        assert!(
            stands,
            "`{verb}` has no row: add what fits, what does not and what can't be read to `TABLE` in tests/policy/table.rs"
        );
    }
}

/// Each kind of event has its own keys of `match` and the exchange's; every other key is refused with its name.
#[test]
fn every_key_of_match_is_taken_where_it_belongs_and_refused_elsewhere() {
    let everywhere = [
        "model",
        "provider",
        "protocol",
        "server",
        "host",
        "path",
        "method",
        "environment",
        "client",
        "tenant",
        "agent",
        "role",
    ];
    let own: [(&str, &[&str]); 7] = [
        ("request", &[]),
        ("message", &["from", "turn", "part"]),
        ("tool_offer", &["tool"]),
        ("tool_call", &["tool", "turn"]),
        ("tool_result", &["tool", "turn"]),
        ("response", &["part"]),
        ("uninspectable", &["code"]),
    ];
    let value = |key: &str| match key {
        "from" => "user",
        "turn" => "latest",
        "part" => "text",
        "code" => "AG2005",
        _ => "x",
    };
    for (event, keys) in own {
        for key in everywhere
            .iter()
            .chain(&["tool", "from", "turn", "part", "code"])
        {
            let fits = everywhere.contains(key) || keys.contains(key);
            let asks = if fits { "right_rule" } else { "wrong_rule" };
            let says = if fits { "" } else { ", says: AG1009" };
            let text = format!(
                "{{ why: x, {asks}: {{ match: {{ event: {event}, {key}: {} }}, action: tag, tags: [a] }}{says} }}",
                value(key)
            );
            assert_eq!(run(&format!("{key} of {event}"), &text), [""; 0]);
        }
    }
}

/// Where the fields of the exchange are known, rules of every kind of event find them, broadly and narrowly.
#[test]
fn every_key_of_match_means_the_same_on_every_kind_of_event() {
    let given = "given: { env: prod, host: api.example.com, method: POST, provider: openai, server: github, \
                 path: [/v1/x], model: gpt-4o, principal: { client: c1, tenant: acme, agent: bot, roles: [dev, lead] } }";
    let keys = [
        ("environment", "prod", "PROD"),
        ("host", "api.example.com", "API.example.com"),
        ("method", "POST", "post"),
        ("provider", "openai", "OpenAI"),
        ("server", "github", "GitHub"),
        ("path", "/v1/x", "/V1/x"),
        ("model", "gpt-4o", "GPT-4o"),
        ("client", "c1", "C1"),
        ("tenant", "acme", "Acme"),
        ("agent", "bot", "Bot"),
        ("role", "lead", "LEAD"),
    ];
    let events = [
        "request: {}",
        "message: { text: x }",
        "tool_offer: { text: x }",
        "tool_call: { args: {} }",
        "tool_result: { text: x }",
        "response: { text: x }",
        "uninspectable: { code: AG2005 }",
    ];
    for event in events {
        let kind = event.split(':').next().unwrap();
        for (key, value, other) in keys {
            for (written, action, holds) in [
                (value, "tag", true),
                (other, "tag", true),
                ("nothing", "tag", false),
                (value, "allow", true),
                (other, "allow", false),
            ] {
                if action == "allow" && !matches!(kind, "request" | "tool_call") {
                    continue;
                }
                let held = if holds { "[r]" } else { "[]" };
                let text = format!(
                    "{{ why: x, defaults: {{ action: deny }}, rules: [{{ id: r, match: {{ event: {kind}, {key}: {written} }}, \
                     action: {action}, tags: [a] }}], {event}, {given}, expect: {{ held: {held} }} }}",
                );
                let why = format!("{key}: {written} under {action} on {kind}");
                assert_eq!(run(&why, &text), [""; 0]);
            }
        }
    }
}
