//! Diagnostics in the formats of code hosts: SARIF 2.1.0, and GitHub's workflow commands.

use super::source::Source;
use crate::diag::codes::CODES;
use crate::diag::{Diagnostic, Severity};
use serde_json::{Value, json};

/// Returns one workflow command: `::error file=p.yaml,line=3,col=1,title=AG1004::unknown key`.
///
/// GitHub shows it beside the line of a pull request.
pub(super) fn as_github(source: &Source, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let (line, column) = source.position(diagnostic.span.start);
    format!(
        "::{level} file={},line={line},col={column},title={}::{}",
        escaped(&source.name, true),
        diagnostic.code,
        escaped(&text(diagnostic), false)
    )
}

/// Returns a text that can't end a workflow command or its properties.
fn escaped(text: &str, in_property: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '%' => out.push_str("%25"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            ':' if in_property => out.push_str("%3A"),
            ',' if in_property => out.push_str("%2C"),
            _ => out.push(letter),
        }
    }
    out
}

/// Returns a result of a SARIF run.
pub(super) fn as_sarif(source: &Source, diagnostic: &Diagnostic) -> Value {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let (line, column) = source.position(diagnostic.span.start);
    let (end_line, end_column) = source.position(diagnostic.span.end.max(diagnostic.span.start));
    json!({
        "ruleId": diagnostic.code,
        "level": level,
        "message": {"text": text(diagnostic)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&source.name)},
            "region": {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column},
        }}],
    })
}

/// Returns a SARIF log of the results.
pub(super) fn sarif_log(results: Vec<Value>) -> String {
    let is_used = |id: &str| results.iter().any(|result| result["ruleId"] == id);
    let rules: Vec<Value> = CODES
        .iter()
        .filter(|code| is_used(code.id))
        .map(|code| {
            json!({
                "id": code.id,
                "shortDescription": {"text": code.title},
                "fullDescription": {"text": code.explain},
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "agentguard", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
    .to_string()
}

fn text(diagnostic: &Diagnostic) -> String {
    match &diagnostic.help {
        Some(help) => format!("{} ({help})", diagnostic.message),
        None => diagnostic.message.clone(),
    }
}

/// Returns a file name as a relative URI reference: every byte except letters, digits and `-._~/` is
/// encoded.
fn uri(name: &str) -> String {
    let name = name.replace('\\', "/");
    let mut out = String::with_capacity(name.len());
    for byte in name.trim_start_matches("./").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_or_a_message_ends_a_workflow_command() {
        assert_eq!(
            escaped("a,b:c%\n::error::x", true),
            "a%2Cb%3Ac%25%0A%3A%3Aerror%3A%3Ax"
        );
        assert_eq!(escaped("a,b:c%\r\n", false), "a,b:c%25%0D%0A");
        assert_eq!(uri("./p q/ä.yaml"), "p%20q/%C3%A4.yaml");
    }
}
