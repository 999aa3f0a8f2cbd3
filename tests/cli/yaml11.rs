//! What is written, as readers of YAML 1.1 take it: those of Kubernetes and Helm (go-yaml), and Python's.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code: a failure is a panic"
)]

use super::{out, policies, run};
use saphyr_parser::{Event, Parser, ScalarStyle};

/// What a plain scalar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    /// Only in YAML 1.1: a date, a merge key, a number in another base.
    Elsewhere,
}

fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let has_zero = unsigned.len() > 1 && unsigned.starts_with('0');
    let is_number = serde_json::from_str::<serde_json::Number>(text).is_ok();
    is_number && (!has_zero || unsigned.starts_with("0.") || unsigned.starts_with("0e"))
}

/// YAML 1.2 with the numbers of JSON: how the command reads.
fn of_ours(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Boolean,
        _ if is_decimal(text) => Kind::Number,
        _ => Kind::Text,
    }
}

fn is_date(text: &str) -> bool {
    let day = text.split(['T', 't', ' ']).next().unwrap();
    let parts: Vec<&str> = day.split('-').collect();
    let is_digits = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 3
        && parts.iter().all(is_digits)
        && parts[0].len() == 4
        && parts[1..].iter().all(|part| part.len() <= 2)
}

/// A number of YAML 1.1 that is none of JSON: `0x1f`, `0o17`, `0b1`, `017`, `1_000`, `+1`, `.5`, `1.`, `1:30`, `.inf`.
fn is_other_number(text: &str) -> bool {
    let unsigned = text
        .strip_prefix(['+', '-'])
        .unwrap_or(text)
        .to_ascii_lowercase();
    if unsigned == ".inf" || unsigned == ".nan" {
        return true;
    }
    let plain = unsigned.replace('_', "");
    let of = |prefix: &str, radix: u32| {
        let digits = plain.strip_prefix(prefix);
        digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)))
    };
    let by_sixty = plain.contains(':')
        && plain
            .split(':')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '.'));
    let begins = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_float = begins && plain.parse::<f64>().is_ok();
    of("0x", 16) || of("0o", 8) || of("0b", 2) || by_sixty || is_float
}

fn of_others(text: &str) -> Kind {
    let lower = text.to_ascii_lowercase();
    match &*lower {
        "" | "~" | "null" => return Kind::Null,
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" => return Kind::Boolean,
        "=" | "<<" => return Kind::Elsewhere,
        _ => {}
    }
    match (is_decimal(text), is_date(text) || is_other_number(text)) {
        (true, _) => Kind::Number,
        (false, true) => Kind::Elsewhere,
        (false, false) => Kind::Text,
    }
}

/// The plain scalars of a file that are something else to readers of YAML 1.1.
fn read_differently(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    // Whether each open collection is in brackets.
    let mut open = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.unwrap();
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                let first = chars.get(span.start.index());
                open.push(first.is_some_and(|c| matches!(c, '{' | '[')));
            }
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
            }
            Event::Scalar(value, ScalarStyle::Plain, ..) => {
                let in_flow = open.last() == Some(&true);
                // `[?a]`, `[-a]` and `[:a]` are no texts to all of them, and libyaml ends a plain text at `?`.
                let is_cut = in_flow
                    && (value.starts_with(['-', ':']) && of_ours(&value) == Kind::Text
                        || value.contains('?'));
                if is_cut || of_ours(&value) != of_others(&value) {
                    found.push(value.into_owned());
                }
            }
            Event::Alias(..) => found.push("an alias".to_owned()),
            _ => {}
        }
    }
    assert!(open.is_empty());
    found
}

#[test]
fn what_yaml_1_1_takes_for_something_else_is_found() {
    for word in [
        "y",
        "N",
        "yes",
        "No",
        "oN",
        "OFF",
        "tRue",
        "nUll",
        "0x1f",
        "0o17",
        "0b11",
        "017",
        "08",
        "1_000",
        "0_x1f",
        "+_1",
        "+1",
        ".5",
        "1.",
        "1:30",
        ".inf",
        "-.Inf",
        ".NaN",
        "2026-11-27",
        "2026-1-2",
        "2026-11-27T10:00:00Z",
        "=",
        "<<",
        "1.5_0",
    ] {
        assert_eq!(read_differently(&format!("a: {word}\n")), [word], "{word}");
        assert_eq!(
            read_differently(&format!("a: [{word}]\n")),
            [word],
            "{word}"
        );
        let quoted = format!("a: \"{word}\"\nb: ['{word}']\nc: |-\n  {word}\n");
        assert_eq!(read_differently(&quoted), [""; 0], "{word}");
    }
    for word in ["-a", ":a", "a?"] {
        assert_eq!(
            read_differently(&format!("a: [{word}]\n")),
            [word],
            "{word}"
        );
    }
    let same = "a: { b: 1, c: -1.5, d: 1e3, e: true, f: null, g: text, h: a-b, i: 1.2.3, j: 10.0.0.1, k: 64KiB, l: v1_2 }\n---\nb: a?\n";
    assert_eq!(read_differently(same), [""; 0]);
}

/// The files of YAML in what was built: itself, the part of a mesh's configuration in its comments, and what is a text in it.
fn files(text: &str) -> Vec<String> {
    let comment = text.lines().skip_while(|line| *line != "#   meshConfig:");
    let comment: String = comment
        .map_while(|line| line.strip_prefix("#   "))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut files = vec![text.to_owned(), comment];
    for event in Parser::new_from_str(text) {
        if let (Event::Scalar(value, ScalarStyle::Literal, ..), _) = event.unwrap()
            && (value.starts_with("stats_config:") || value.starts_with("layered_runtime:"))
        {
            files.push(value.into_owned());
        }
    }
    files.retain(|file| !file.is_empty());
    files
}

const BUILDS: &[&[&str]] = &[
    &["k8s"],
    &["istio", "--selector", "app=y"],
    &[
        "istio",
        "--selector",
        "app=y",
        "--kind",
        "TrafficExtension",
        "--context",
        "outbound",
    ],
    &[
        "istio",
        "--gateway",
        "g",
        "--kind",
        "EnvoyFilter",
        "--context",
        "inbound",
    ],
    &["helm", "--selector", "app=2026-11-27"],
    &["helm", "--gateway", "g", "--kind", "EnvoyFilter"],
    &[
        "envoy-gateway",
        "--gateway",
        "g",
        "--jwt-issuer",
        "https://idp",
        "--jwks",
        "https://idp/keys",
        "--client-ca",
        "no",
    ],
    &[
        "envoy-gateway",
        "--gateway",
        "g",
        "--kind",
        "EnvoyPatchPolicy",
        "--listener",
        "on",
    ],
    &["envoy-gateway", "--gateway", "g", "--host", "native"],
    &[
        "envoy-gateway",
        "--gateway",
        "g",
        "--host",
        "native",
        "--kind",
        "EnvoyPatchPolicy",
    ],
];

/// Builds everything for a policy, and returns how many were built.
fn every_build_is_read_alike(policy: &str) -> usize {
    let mut count = 0;
    for options in BUILDS {
        let common = [
            "build",
            policy,
            "--fail-closed",
            "--image",
            "r.io/a:1",
            "--for",
        ];
        let built = run(&[&common[..], options].concat());
        // Some ask for what the native module or the kind of resource does not have.
        if built.status.code() != Some(0) {
            continue;
        }
        for file in files(&out(&built)) {
            let found = read_differently(&file);
            assert!(found.is_empty(), "{policy} {options:?}: {found:?}");
        }
        count += 1;
    }
    count
}

#[test]
fn what_is_built_is_the_same_to_readers_of_yaml_1_1() {
    for policy in policies() {
        let built = every_build_is_read_alike(&policy);
        assert!(built >= 6, "{policy}: {built}");
    }
    let words = "[\"y\", \"Off\", \"017\", \"1_000\", \"0_x1f\", \"+_1\", \"2026-11-27\", \"2026-1-2\", \"=\", \"<<\", \"-a\", \":a\", \"?a\", \"~\", \".5\", \"1:30\"]";
    let policy = format!(
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: \"2026-11-27\", description: \"017\" }}\ndefaults: {{ action: allow }}\n\
         lists:\n  \"y\": {words}\nrules:\n  - id: \"no\"\n    match: {{ tool: t }}\n    when: {{ args.a: {{ in: {words} }}, args.b: {{ equals: \"2026-11-27\" }} }}\n    \
         action: deny\n    reason: \"yes\"\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, policy).unwrap();
    let file = file.to_str().unwrap();
    let said = run(&["build", file, "--for", "json"]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert_eq!(every_build_is_read_alike(file), BUILDS.len());
}
