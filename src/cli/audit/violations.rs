//! Newest violations of a report, with which an auditor finds the records and, if the policy records it, the content.

use super::conversation::{RecordedText, recorded_texts};
use super::members::Facts;
use super::summary::{Cell, Section};
use serde_json::Value;
use std::collections::BTreeMap;

/// Maximum violations that are shown.
const MAX_SHOWN: usize = 20;

/// Id of their section.
pub(super) const SECTION: &str = "latest";

/// Exchange that was denied, required an approval, or would have been denied.
#[derive(Clone, Debug, Default)]
pub(super) struct Violation {
    pub(super) time: String,
    pub(super) request_id: String,
    decision: String,
    code: String,
    rules: String,
    caller: String,
    /// `redacted` or `full`; empty if no content was recorded.
    form: String,
    /// Recorded texts; empty unless content is requested.
    pub(super) texts: Vec<RecordedText>,
    /// The member `content`, for programs.
    pub(super) content: Option<Value>,
}

/// Newest of all violations.
#[derive(Debug, Default)]
pub(super) struct Violations {
    with_content: bool,
    seen: u64,
    newest: BTreeMap<(String, u64), Violation>,
}

impl Violations {
    pub(super) fn new(with_content: bool) -> Violations {
        Violations {
            with_content,
            ..Violations::default()
        }
    }

    /// Adds a record, if it is a violation. Of a stream, only the last record counts.
    pub(super) fn add(&mut self, facts: &Facts, line: &str) {
        let is_one =
            facts.is_denied() || facts.would_be_denied() || facts.decision == "require_approval";
        let is_old = self.newest.len() >= MAX_SHOWN
            && self
                .newest
                .first_key_value()
                .is_some_and(|((oldest, _), _)| facts.time < *oldest);
        if !is_one || facts.is_interim || is_old {
            return;
        }
        self.seen = self.seen.saturating_add(1);
        let rules = facts.rules.iter().map(|rule| rule.id.as_str());
        let decision = match facts.would_be_denied() {
            true => format!("{} (would deny)", facts.decision),
            false => facts.decision.clone(),
        };
        let mut violation = Violation {
            time: facts.time.clone(),
            request_id: facts.request_id.clone(),
            decision,
            code: facts.code.clone(),
            rules: rules.collect::<Vec<_>>().join(" "),
            caller: facts.caller(),
            form: facts.content.clone(),
            ..Violation::default()
        };
        if self.with_content
            && !facts.content.is_empty()
            && let Ok(record) = serde_json::from_str::<Value>(line)
        {
            violation.texts = recorded_texts(&record);
            violation.content = record.get("content").cloned();
        }
        self.newest
            .insert((facts.time.clone(), self.seen), violation);
        if self.newest.len() > MAX_SHOWN {
            self.newest.pop_first();
        }
    }

    /// Returns the violations, newest first, each with its number in the table.
    pub(super) fn newest(&self) -> Vec<(usize, &Violation)> {
        (1..).zip(self.newest.values().rev()).collect()
    }

    /// Returns the table; `None` without a violation.
    pub(super) fn section(&self) -> Option<Section> {
        let rows = self.newest().into_iter().map(|(number, violation)| {
            let mut row = vec![Cell::Count(u64::try_from(number).unwrap_or(u64::MAX))];
            row.extend(
                [
                    &violation.time,
                    &violation.request_id,
                    &violation.decision,
                    &violation.code,
                    &violation.rules,
                    &violation.caller,
                    &violation.form,
                ]
                .map(|text| Cell::Text(text.clone())),
            );
            row
        });
        let rows: Vec<Vec<Cell>> = rows.collect();
        (!rows.is_empty()).then(|| Section {
            id: SECTION,
            title: "Latest violations",
            note: "The newest exchanges that were denied, had to be approved, or would have been denied. `agentguard explain POLICY --request-id ID --audit FILE` leads to the rule. `content`: what was said is in the record; `--content` shows it here.",
            columns: vec![
                "#",
                "time",
                "request id",
                "decision",
                "code",
                "rules",
                "who",
                "content",
            ],
            rows,
            chart: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(violations: &mut Violations, line: &str) {
        violations.add(&Facts::of(line.as_bytes()).unwrap(), line);
    }

    #[test]
    fn the_newest_are_kept_in_any_order() {
        let mut violations = Violations::new(false);
        for second in (0..50).rev().chain(50..60) {
            let line = format!(
                r#"{{"ts":"2026-11-22T09:00:{second:02}Z","decision":"deny","request_id":"r{second}"}}"#
            );
            add(&mut violations, &line);
        }
        let ids = violations.newest().into_iter();
        let ids: Vec<String> = ids.map(|(_, one)| one.request_id.clone()).collect();
        let expected: Vec<String> = (40..60).rev().map(|second| format!("r{second}")).collect();
        assert_eq!(ids, expected);
    }

    #[test]
    fn what_was_allowed_and_interim_records_are_no_violations() {
        let mut violations = Violations::new(true);
        for line in [
            r#"{"ts":"t","decision":"allow"}"#,
            r#"{"ts":"t","decision":"deny","interim":true}"#,
        ] {
            add(&mut violations, line);
        }
        assert!(violations.section().is_none());
    }

    #[test]
    fn content_is_only_kept_where_it_is_asked_for() {
        let line = r#"{"ts":"t","decision":"allow","would":"deny","content":{"form":"full","request":[{"event":"message","text":"hi"}]}}"#;
        for (with_content, parts) in [(false, 0), (true, 1)] {
            let mut violations = Violations::new(with_content);
            add(&mut violations, line);
            let (_, violation) = violations.newest()[0];
            assert_eq!(violation.texts.len(), parts);
            let row = &violations.section().unwrap().rows[0];
            assert_eq!(row[3].text(), "allow (would deny)");
            assert_eq!(row[7].text(), "full");
        }
    }
}
