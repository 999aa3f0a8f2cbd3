//! The pages of `docs/operators/`: what the registry says of each operator, what the code answers, and its cases.

use super::table;
use super::*;
use agentguard::policy::{OPERATORS, OperatorFamily, Reference, operator_words};
use std::collections::BTreeMap;
use std::fmt::Write;

const INDEX: &str = "\
# Operators

What a condition can ask: `path: { operator: operand }`. [The policy](../policy.md#conditions) says what paths and operands are. Each
page is made of the code's own description, of what the code answers, and of the cases in `tests/policy/`, which are run by the tests;
one of them fails when a page is out of date (`UPDATE_DOCS=1 cargo test --test policy` writes them anew).

A condition *restricts* in `match` and `when` of a deny, an approval, a redaction or a tag, and in `unless` of an allow; there it is read
broadly, so that nothing slips through. Everywhere else it *loosens* and is read narrowly, so that nothing talks itself out. Under
`not` it changes sides. So each page has two columns of answers.

`any_` and `all_` before an operator say how many of several values must fit: `all_contains`, `any_path_within`.
";

/// A file of cases.
struct Source {
    text: String,
    node: Node,
}

impl Source {
    fn read(name: &str) -> Source {
        Source::of(std::fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap())
    }

    fn of(text: String) -> Source {
        let node = parse_yaml(&text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        Source { text, node }
    }

    fn cases(&self) -> &[Node] {
        match self.node.get("cases").map(|cases| &cases.data) {
            Some(NodeValue::List(cases)) => cases,
            other => panic!("{other:?}"),
        }
    }

    /// A value as it is written there; of a mapping what stands inside.
    fn written(&self, node: &Node) -> &str {
        let text = self.text[node.span.clone()].trim();
        match node.data {
            NodeValue::Map(_) => text
                .strip_prefix('{')
                .and_then(|text| text.strip_suffix('}'))
                .map_or(text, str::trim),
            _ => text,
        }
    }

    /// The last comment before a case, if it is a heading: a few words.
    fn heading(&self, case: &Node) -> Option<&str> {
        let before = &self.text[..case.span.start];
        let comment = before.lines().rev().find_map(|line| {
            let comment = line.strip_prefix("  # ")?;
            comment.strip_suffix('.')
        })?;
        (comment.split(' ').count() <= 5).then_some(comment)
    }
}

/// The operators that a condition is written with: those that a bare value and a bare list stand for too.
fn operators_of(condition: &Node) -> Vec<&'static str> {
    let mut found = Vec::new();
    for member in condition.members() {
        match (&*member.key, &member.value.data) {
            ("all" | "any", NodeValue::List(list)) => {
                found.extend(list.iter().flat_map(operators_of));
            }
            ("not", _) => found.extend(operators_of(&member.value)),
            ("earlier", _) => found.push("earlier"),
            (_, NodeValue::List(_)) => found.push("in"),
            (_, NodeValue::Map(tests)) if tests.iter().any(|test| &*test.key == "list") => {
                found.push("in");
            }
            (_, NodeValue::Map(tests)) => {
                let path = tests.iter().filter(|test| &*test.key == "path");
                found.extend(path.map(|_| "equals"));
                found.extend(tests.iter().filter_map(|test| operator(&test.key)));
            }
            _ => found.push("equals"),
        }
    }
    found
}

fn operator(key: &str) -> Option<&'static str> {
    let named = |key: &str| {
        let key = match key {
            "gt" => "greater_than",
            "gte" => "at_least",
            "lt" => "less_than",
            "lte" => "at_most",
            _ => key,
        };
        let all = OPERATORS.iter().flat_map(|family| family.operators);
        all.map(|operator| operator.word).find(|word| *word == key)
    };
    let counted = ["count_", "length_"].iter().find_map(|prefix| {
        let rest = named(key.strip_prefix(prefix)?)?;
        named(&format!("{prefix}{rest}"))
    });
    let quantified = || {
        let rest = key.strip_prefix("any_").or(key.strip_prefix("all_"))?;
        operator(rest)
    };
    named(key).or(counted).or_else(quantified)
}

/// Text of a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Code of a cell.
fn code(text: &str) -> String {
    if text.is_empty() {
        return "`{}`".to_owned();
    }
    let text = cell(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

/// What a condition is on both sides; in bold where they differ.
fn sides(restricting: Option<bool>, loosening: Option<bool>) -> String {
    let differ = matches!((restricting, loosening), (Some(a), Some(b)) if a != b);
    let one = |side: Option<bool>| match (side, differ) {
        (None, _) => String::new(),
        (Some(side), true) => format!("**{side}**"),
        (Some(side), false) => side.to_string(),
    };
    format!("{} | {}", one(restricting), one(loosening))
}

/// What a case gives besides its condition.
fn event(source: &Source, case: &Case<'_>) -> String {
    let mut parts = Vec::new();
    for member in case.node.members() {
        let written = source.written(&member.value);
        match &*member.key {
            "why" | "when" | "restricting" | "loosening" | "not_restricting" | "missing" => {}
            "args" if written.is_empty() => parts.push("args: {}".to_owned()),
            "args" if written == "unknown" => parts.push("args: unknown".to_owned()),
            "args" | "given" => parts.push(written.to_owned()),
            key if written.is_empty() => parts.push(format!("{key}: {{}}")),
            key if matches!(member.value.data, NodeValue::Map(_)) => {
                parts.push(format!("{key}: {{ {written} }}"));
            }
            key => parts.push(format!("{key}: {written}")),
        }
    }
    // That there are no arguments says nothing where something else is given.
    if parts.len() > 1 {
        parts.retain(|part| part != "args: {}");
    }
    parts.join(", ")
}

fn title(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// The cases of an operator under their headings, and what is refused. Gives which of the files have some.
fn cases(page: &mut String, word: &str, sources: &[(&Source, Option<&str>)]) -> Vec<bool> {
    let mut refused = Vec::new();
    let mut are_asked = Vec::new();
    for (source, whole) in sources {
        let before = page.len() + refused.len();
        let mut last = None;
        for node in source.cases() {
            let case = Case {
                file: &source.node,
                node,
            };
            let why = case.get("why").and_then(Node::text).unwrap();
            let asks = |key: &str| {
                let condition = case.get(key)?;
                operators_of(condition).contains(&word).then_some(condition)
            };
            if let Some(condition) = asks("wrong") {
                let rule = case.rule("deny", "when", condition);
                let allow = map(vec![("action", text("allow"))]);
                let error = compiled(&case.document(vec![rule], allow)).unwrap_err();
                refused.push((source.written(condition), error));
            }
            let Some(condition) = asks("when") else {
                continue;
            };
            let heading = whole
                .or(source.heading(node))
                .map_or_else(|| "Cases".to_owned(), title);
            if last.as_ref() != Some(&heading) {
                write!(
                    page,
                    "\n## {heading}\n\n| case | condition | event | restricting | loosening |\n|---|---|---|---|---|\n"
                )
                .unwrap();
                last = Some(heading);
            }
            writeln!(
                page,
                "| {} | {} | {} | {} |",
                cell(why),
                code(source.written(condition)),
                code(&event(source, &case)),
                sides(case.flag("restricting"), case.flag("loosening")),
            )
            .unwrap();
        }
        are_asked.push(page.len() + refused.len() > before);
    }
    if !refused.is_empty() {
        page.push_str("\n## Refused when the policy is loaded\n\n| condition | why |\n|---|---|\n");
        for (condition, error) in refused {
            writeln!(page, "| {} | {} |", code(condition), cell(&error)).unwrap();
        }
    }
    are_asked
}

/// What the code answers for the values that the table of tests has for every operator.
fn answers(page: &mut String, word: &str) {
    let (condition, examples) = table::examples(word);
    let subject = match condition.split_once(':') {
        Some(("time", _)) => "the time",
        Some(("earlier", _)) => "the conversation",
        _ => "the value",
    };
    write!(page, "\n## What it says\n\nOf `{condition}`").unwrap();
    if examples.iter().any(|example| example.case.contains("a|b")) {
        page.push_str(", and of `args.a|b` where there are several:");
    } else {
        page.push(':');
    }
    write!(
        page,
        "\n\n| {subject} | for example | restricting | loosening |\n|---|---|---|---|\n"
    )
    .unwrap();
    for example in examples {
        let source = Source::of(example.case);
        let case = Case {
            file: &source.node,
            node: &source.node,
        };
        let when = case.get("when").unwrap();
        let side = |action: &str| case.holds(action, "when", when).unwrap();
        writeln!(
            page,
            "| {} | {} | {} |",
            cell(example.what),
            code(&event(&source, &case)),
            sides(Some(side("deny")), Some(side("allow"))),
        )
        .unwrap();
    }
}

/// Whether an operator compares with what another field holds.
fn takes_field(word: &str) -> bool {
    let rule = format!(
        "{{ match: {{ event: tool_call }}, when: {{ args.a: {{ {word}: {{ path: args.b }} }} }}, action: deny }}"
    );
    let rule = parse_yaml(&rule).unwrap_or_else(|errors| panic!("{errors:?}"));
    let case = Case {
        file: &rule,
        node: &rule,
    };
    word != "any_item" && word != "earlier" && compiled(&case.around(&rule)).is_ok()
}

/// Lists that the cases of a page name.
fn lists(page: &mut String, sources: &[(&Source, Option<&str>)]) {
    let mut named = BTreeMap::new();
    for (source, _) in sources {
        for list in source.node.get("lists").into_iter().flat_map(Node::members) {
            let using = format!("list: {}", list.key);
            if page.contains(&format!("{using} ")) || page.contains(&format!("{using},")) {
                named.insert(&*list.key, source.written(&list.value));
            }
        }
    }
    if !named.is_empty() {
        page.push_str("\nLists that these cases name:\n\n```yaml\nlists:\n");
        for (name, list) in named {
            match list.starts_with('[') {
                true => writeln!(page, "  {name}: {list}").unwrap(),
                false => writeln!(page, "  {name}: {{ {list} }}").unwrap(),
            }
        }
        page.push_str("```\n");
    }
}

fn page(
    family: &OperatorFamily,
    operator: &Reference,
    sources: &BTreeMap<String, Source>,
) -> String {
    let mut page = format!(
        "# `{}`\n\n{}\n\n```yaml\nwhen: {{ {} }}\n```\n\nIt takes {}",
        operator.word, operator.holds, operator.example, operator.takes
    );
    if operator.takes.contains("list of") {
        page.push_str("; `{ list: NAME }`");
    }
    if operator.word != "overlaps" && takes_field(operator.word) {
        page.push_str("; `{ path: PATH }`: what another field of the event holds");
    }
    page.push_str(".\n");
    let others: Vec<String> = family
        .operators
        .iter()
        .filter(|other| other.word != operator.word)
        .map(|other| format!("[`{0}`]({0}.md)", other.word))
        .collect();
    if !others.is_empty() {
        write!(page, "\nIts family: {}.\n", others.join(", ")).unwrap();
    }
    if !family.reading.is_empty() {
        write!(page, "\n{}\n", family.reading).unwrap();
    }
    answers(&mut page, operator.word);
    let files = [
        (family.cases, None),
        ("names", Some("Names")),
        ("path_operand", Some("Compared with another field")),
        (
            "spelling",
            Some("Names in another spelling, JSON in strings, and lists of one value"),
        ),
    ];
    let from = files.map(|(name, heading)| (&sources[name], heading));
    let are_asked = cases(&mut page, operator.word, &from);
    lists(&mut page, &from);
    let named: Vec<String> = files
        .iter()
        .zip(are_asked)
        .filter(|(_, is_asked)| *is_asked)
        .map(|((name, _), _)| format!("[`{name}.yaml`](../../tests/policy/{name}.yaml)"))
        .collect();
    writeln!(
        page,
        "\nThe cases stand in {} and are run by the tests. [All operators](README.md)",
        named.join(", ")
    )
    .unwrap();
    page
}

fn index() -> String {
    let mut index = INDEX.to_owned();
    for family in OPERATORS {
        write!(
            index,
            "\n## {}\n\n| operator | true if |\n|---|---|\n",
            family.title
        )
        .unwrap();
        for operator in family.operators {
            // The first sentence; a full stop inside of code ends none.
            let first = operator.holds.split(". ").next().unwrap_or_default();
            let first = first.trim_end_matches('.').replace('\n', " ");
            writeln!(
                index,
                "| [`{0}`]({0}.md) | {first} |",
                operator.word,
                first = cell(&first)
            )
            .unwrap();
        }
    }
    index
}

#[test]
fn every_operator_has_its_page_and_no_page_is_out_of_date() {
    let sources: BTreeMap<String, Source> = OPERATORS
        .iter()
        .map(|family| family.cases)
        .chain(["names", "path_operand", "spelling"])
        .map(|name| (name.to_owned(), Source::read(name)))
        .collect();
    let mut pages = vec![("README".to_owned(), index())];
    for family in OPERATORS {
        for operator in family.operators {
            pages.push((operator.word.to_owned(), page(family, operator, &sources)));
        }
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/operators");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, page) in &pages {
            std::fs::write(folder.join(format!("{name}.md")), page).unwrap();
        }
    }
    let mut written: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort();
    let mut expected: Vec<String> = pages.iter().map(|(name, _)| format!("{name}.md")).collect();
    expected.sort();
    let stale = pages.iter().find(|(name, page)| {
        let file = folder.join(format!("{name}.md"));
        std::fs::read_to_string(file).unwrap_or_default() != *page
    });
    assert!(
        written == expected && stale.is_none(),
        "docs/operators/{}.md is out of date: run `UPDATE_DOCS=1 cargo test --test policy`",
        stale.map_or("", |(name, _)| name)
    );
}

#[test]
fn the_registry_has_every_operator_once_and_its_examples_are_policies() {
    let mut words: Vec<&str> = Vec::new();
    for family in OPERATORS {
        for operator in family.operators {
            words.push(operator.word);
            let rule = format!(
                "{{ match: {{ event: {} }}, when: {{ {} }}, action: deny }}",
                if operator.example.starts_with("text:") {
                    "message"
                } else {
                    "tool_call"
                },
                operator.example
            );
            let rule = parse_yaml(&rule).unwrap_or_else(|errors| panic!("{errors:?}"));
            let case = Case {
                file: &rule,
                node: &rule,
            };
            let wrong = Case::right_case(&case.around(&rule));
            assert!(wrong.is_empty(), "{}: {wrong:?}", operator.word);
            let when = rule.get("when").unwrap();
            assert!(
                operators_of(when).contains(&operator.word),
                "{}",
                operator.word
            );
        }
    }
    for word in operator_words() {
        let count = words.iter().filter(|known| **known == word).count();
        assert_eq!(count, 1, "{word}");
    }
}
