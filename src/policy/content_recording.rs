//! Content of audit events: its form, its size and what is masked in it.

use super::compiled::CompiledRule;
use super::document::Document;
use super::embedded_data::EmbeddedData;
use super::text_scan::TextScan;
use super::words::ContentForm;
use crate::detect::{Confidence, Input, Scanner, Scratch, Selection};
use crate::wire::work;
use std::cell::RefCell;
use std::ops::Range;

/// Settings and scanner for the content of audit events.
#[derive(Debug)]
pub struct ContentRecording {
    /// Form, unless a matching rule names another.
    form: ContentForm,
    /// Maximum bytes of a request, and of a response.
    pub max_bytes: usize,
    /// Scanner with every detector; `None` if no content is recorded in redacted form.
    scanner: Option<Scanner>,
    scratch: RefCell<Scratch>,
}

impl ContentRecording {
    /// Returns `None` if no exchange has content in its audit event.
    pub(crate) fn of(
        document: &Document,
        rules: &[CompiledRule],
        definitions: &Selection,
    ) -> Option<ContentRecording> {
        let settings = &document.audit;
        let of_rules = rules.iter().filter_map(|rule| rule.content);
        let forms: Vec<ContentForm> = of_rules.chain([settings.content]).collect();
        forms.iter().find(|form| **form != ContentForm::None)?;
        let scanner = forms.contains(&ContentForm::Redacted).then(|| {
            let mut selection = definitions.clone();
            // A false positive costs a reader of the audit event one word; a missed secret is a leak.
            selection.add_all(Confidence::Low);
            selection.decode(true);
            Scanner::new(&selection)
        });
        Some(ContentRecording {
            form: settings.content,
            max_bytes: settings.max_content,
            scanner,
            scratch: RefCell::default(),
        })
    }

    /// Returns the form for an exchange that these rules match. The strictest form decides.
    pub fn form<'r>(&self, rules: impl Iterator<Item = &'r CompiledRule>) -> ContentForm {
        let least = rules.filter_map(|rule| rule.content).min();
        least.unwrap_or(self.form)
    }

    /// Returns the ranges to mask in a text, each with its label, in no order; `None` if the scan is incomplete, or if nothing
    /// is recorded in redacted form. `is_cut`: the text is only the beginning of a longer one.
    pub fn masked(&self, text: &str, is_cut: bool) -> Option<Vec<(Range<usize>, String)>> {
        let scanner = self.scanner.as_ref()?;
        let scratch = &mut *self.scratch.borrow_mut();
        let mut scan = TextScan::default();
        work::aside(|| {
            scanner.scan(&Input::whole(text), scratch, &mut scan.findings);
            scan.incomplete = scratch.is_incomplete();
            scan.findings.extend(scratch.endless());
            // Only whole JSON can be parsed for values whose name is in another place.
            let closed = is_cut.then(|| closed_json(text)).flatten();
            let data = closed.as_deref().unwrap_or(text);
            if let Some(embedded) = EmbeddedData::of(data) {
                embedded.scan(scanner, data, scratch, &mut scan);
            }
        });
        if scan.incomplete {
            return None;
        }
        let label = |detector| {
            let name = scanner.name(detector).unwrap_or("secret");
            format!("[{}]", name.to_uppercase())
        };
        let findings = scan.findings.iter();
        Some(
            findings
                .map(|finding| (finding.range(), label(finding.detector)))
                .collect(),
        )
    }
}

/// Returns a truncated JSON text up to its last complete value, with its objects and lists closed. Offsets stay the same.
fn closed_json(text: &str) -> Option<String> {
    if !text.trim_ascii_start().starts_with(['{', '[']) {
        return None;
    }
    let mut open = Vec::new();
    let (mut is_string, mut is_escaped) = (false, false);
    let mut end = (0, 0);
    for (at, byte) in text.bytes().enumerate() {
        if is_string {
            is_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => is_string = true,
            b'{' => open.push('}'),
            b'[' => open.push(']'),
            b'}' | b']' => {
                open.pop();
                end = (at.saturating_add(1), open.len());
            }
            b',' => end = (at, open.len()),
            _ => {}
        }
    }
    let (at, depth) = end;
    let mut closed = text.get(..at)?.to_owned();
    closed.extend(open.get(..depth)?.iter().rev());
    (!closed.is_empty()).then_some(closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_json_ends_with_its_last_complete_value() {
        for (cut, closed) in [
            (r#"{"a":1,"b":[2,{"c":3},"d"#, r#"{"a":1,"b":[2,{"c":3}]}"#),
            (r#"[["a","b\",],"],["536225"#, r#"[["a","b\",],"]]"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#),
            (r#" [1,2"#, " [1]"),
        ] {
            assert_eq!(closed_json(cut).as_deref(), Some(closed), "{cut}");
        }
        for cut in ["", "prose, and more", r#"{"a":"b"#, "]"] {
            assert_eq!(closed_json(cut), None, "{cut}");
        }
    }
}
