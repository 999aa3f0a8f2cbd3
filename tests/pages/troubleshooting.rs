//! docs/troubleshooting.md: every code with the text of `agentguard explain CODE`.

use super::hold;
use agentguard::diag::codes::CODES;
use std::fmt::Write;

const INTRODUCTION: &str = "# Troubleshooting by code

Every error, denial and finding has a code that never changes its meaning. `agentguard explain AG2001` prints the same text as this
page, which is written from the code (`UPDATE_DOCS=1 cargo test --test pages`).

| where a code is | what to do |
|---|---|
| in a denial: the header `x-agentguard-code` and the error's `agentguard.code` | read its section, then the request's audit event (`request_id`) |
| in an audit event: `code`, and `coverage.reasons` | read its section |
| before an error of the command: `agentguard: AG9011: audit.db can't be written: …` | the message says what to do |
| in Envoy's log: `agentguard: … AG1017 …` | the policy or the configuration is wrong: `agentguard validate --for envoy POLICY` |
| nowhere: something doesn't work as it should | `agentguard doctor --admin http://127.0.0.1:9901` examines a running Envoy, `agentguard doctor envoy.yaml` a file |
";

/// The families of codes, by their first digits.
const FAMILIES: [(&str, &str); 9] = [
    ("AG10", "The policy is invalid"),
    ("AG11", "Warnings of lint"),
    ("AG2", "Content that can't be inspected"),
    ("AG3", "Denied by the policy"),
    ("AG4", "Identity"),
    ("AG5", "Limits"),
    ("AG60", "Envoy's configuration: findings of doctor"),
    ("AG900", "Faults of the filter"),
    ("AG901", "Files and options of the command"),
];

#[test]
fn the_page_about_codes_is_what_the_code_says() {
    let mut page = INTRODUCTION.to_owned();
    let mut told = 0;
    for (prefix, title) in FAMILIES {
        write!(page, "\n## {title}\n").unwrap();
        for code in CODES.iter().filter(|code| code.id.starts_with(prefix)) {
            told += 1;
            write!(page, "\n### {}: {}\n\n", code.id, code.title).unwrap();
            if code.status != 0 {
                write!(page, "HTTP status {}. ", code.status).unwrap();
            }
            writeln!(page, "{}", code.explain).unwrap();
        }
    }
    assert_eq!(told, CODES.len(), "a family of codes has no section");
    hold("docs/troubleshooting.md", &page);
}
