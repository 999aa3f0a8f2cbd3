//! The coverage table of the documentation is what the code says, and says something of everything.
//!
//! `UPDATE_DOCS=1 cargo test --test coverage` writes it.
#![expect(clippy::unwrap_used, reason = "test code: a failure is a panic")]

use agentguard::diag::codes;
use agentguard::protocol::{self, CoverageRow, Inspected, OTHER_ROUTES};
use std::fmt::Write;
use std::path::PathBuf;

const INTRODUCTION: &str = "# What is judged

One row for each route, and what is judged of it in each direction. The words are the kinds of events that rules are about.
Beside them, everything that can't be read is an `uninspectable` event: in a request always, in an answer where a rule looks
at one of the kinds that its row names. A code in place of the words says why nothing is judged: `AG2014` means that such
a stream is refused where a rule looks at answers, and passes unread where none does.

What is judged is bodies. Headers and the query of the URL are no texts: rules read them as `header.NAME` and `query.NAME`, and
models that they name are in the set of models. `authorization` and `cookie` are read by identity sources only.

Retries, shadow traffic (`request_mirror_policies`) and internal redirects of Envoy begin behind the filter: a retry and a mirrored
request are the judged request once more, edits included, and the answer that is judged is the one that the client gets. What a mirror
answers is dropped by Envoy. An internal redirect (`internal_redirect_policy`) runs the filters again for the new address; the first
answer is never seen by the client, and each of the two has its own record.

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
        "\n## {name}\n\n| route | request | answer | streamed answer |\n|---|---|---|---|"
    )
    .unwrap();
    for row in rows {
        let cells = [
            row.route.to_owned(),
            cell(row.request),
            cell(row.answer),
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
