//! The coverage table of the documentation is what the code says, and says something of everything.
//!
//! `UPDATE_DOCS=1 cargo test --test coverage` writes it.
#![expect(clippy::unwrap_used, reason = "test code: a failure is a panic")]

use agentguard::diag::codes;
use agentguard::protocol::{self, CoverageRow, Inspected, OTHER_ROUTES};
use std::fmt::Write;
use std::path::PathBuf;

const INTRODUCTION: &str = "# Coverage

What the filter inspects of each route, in each direction. A cell lists the kinds of events that rules can match there.
Content that can't be read is an `uninspectable` event as well: always in a request, and in a response if a rule can match
one of the kinds in its cell. A code in a cell means that nothing is inspected there: a stream with `AG2014` is denied if a
rule inspects responses, and passes uninspected otherwise.

Only bodies are inspected as text. Rules read headers and the query of the URL as `header.NAME` and `query.NAME`, and the
models that these name are in the set of models. `authorization` and `cookie` are read by identity sources only.

Envoy's retries, shadow traffic (`request_mirror_policies`) and internal redirects begin after the filter. A retry or a mirrored
request is the inspected request again, with the filter's edits; the response that is inspected is the one that the client gets,
and Envoy drops the response to a mirrored request. An internal redirect (`internal_redirect_policy`) runs the filters again for
the new address: the client never sees the first response, and each of the two requests has its own audit event.

This page is written from the code (`UPDATE_DOCS=1 cargo test --test coverage`).
";

fn cell(evaluated: Inspected) -> String {
    match evaluated {
        Inspected::As(kinds) => {
            let words: Vec<String> = kinds
                .iter()
                .map(|kind| format!("`{}`", kind.word()))
                .collect();
            words.join(", ")
        }
        Inspected::Not(why) if codes::find(why).is_some() => format!("`{why}`"),
        Inspected::Not(why) => why.to_owned(),
    }
}

fn section(page: &mut String, name: &str, rows: &[CoverageRow]) {
    writeln!(
        page,
        "\n## {name}\n\n| route | request | response | streamed response |\n|---|---|---|---|"
    )
    .unwrap();
    for row in rows {
        let cells = [
            row.route.to_owned(),
            cell(row.request),
            cell(row.response),
            cell(row.stream),
        ];
        for cell in &cells {
            assert!(
                !cell.trim().is_empty(),
                "{name}: {} has an empty cell",
                row.route
            );
            assert!(!cell.contains('|'), "{name}: {cell}");
        }
        writeln!(page, "| {} |", cells.join(" | ")).unwrap();
    }
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for protocol in protocol::all() {
        assert!(!protocol.coverage().is_empty(), "{}", protocol.name());
        section(&mut page, protocol.name(), protocol.coverage());
    }
    section(&mut page, "Everything else", OTHER_ROUTES);
    page
}

#[test]
fn the_coverage_table_is_what_the_code_says_and_no_cell_is_empty() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/coverage.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written == page,
        "docs/coverage.md is out of date: UPDATE_DOCS=1 cargo test --test coverage"
    );
}
