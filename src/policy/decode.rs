//! Strict decoder of a document: unknown keys and wrong types are errors, each reported with its place and a suggested fix.

use super::grammar::Keys;
use super::node::{Member, Node, NodeValue};
use crate::diag::{Diagnostic, Fix, Severity, codes, listed, nearest};
use crate::event::Words;
use crate::wire::letter_case;
use std::fmt::Write;
use std::ops::Range;

/// Path into the document while it is read. It is written out only when needed.
#[derive(Clone, Copy)]
pub(crate) struct PolicyPath<'a> {
    parent: Option<&'a PolicyPath<'a>>,
    step: PathSegment<'a>,
}

#[derive(Clone, Copy)]
enum PathSegment<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> PolicyPath<'a> {
    pub(crate) fn root() -> PolicyPath<'static> {
        PolicyPath {
            parent: None,
            step: PathSegment::Root,
        }
    }

    pub(crate) fn key(&'a self, key: &'a str) -> PolicyPath<'a> {
        PolicyPath {
            parent: Some(self),
            step: PathSegment::Key(key),
        }
    }

    pub(crate) fn index(&'a self, index: usize) -> PolicyPath<'a> {
        PolicyPath {
            parent: Some(self),
            step: PathSegment::Index(index),
        }
    }

    /// Returns the path as text: `rules[2].when["args.amount"]`.
    pub(crate) fn path(&self) -> String {
        // Every part of a policy stores its path, so avoid reallocations.
        let mut path = String::with_capacity(48);
        self.write(&mut path);
        path
    }

    fn write(&self, path: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(path);
        }
        match self.step {
            PathSegment::Root => {}
            PathSegment::Index(index) => {
                // Writing to a String can't fail.
                let _ = write!(path, "[{index}]");
            }
            PathSegment::Key(key) => {
                let plain = !key.is_empty()
                    && key
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                let needs_no_escape = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
                if !plain && key.bytes().all(needs_no_escape) {
                    path.push_str("[\"");
                    path.push_str(key);
                    path.push_str("\"]");
                } else if !plain {
                    path.push_str(&format!("[{key:?}]"));
                } else {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(key);
                }
            }
        }
    }
}

#[cfg(test)]
impl PolicyPath<'_> {
    /// Returns the path without the numbers of list items: `rules[].when`.
    fn pattern(&self) -> String {
        self.path()
            .split_inclusive(['[', ']'])
            .map(|part| match part.strip_suffix(']') {
                Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => "]",
                _ => part,
            })
            .collect()
    }
}

/// Keys of other policy languages, with the key of the same meaning here.
const FOREIGN: &[(&str, &str)] = &[
    ("tool_name", "tool"),
    ("outcome", "action"),
    ("effect", "action"),
    ("decision", "action"),
    ("conditions", "when"),
    ("condition", "when"),
    ("if", "when"),
    ("exceptions", "unless"),
    ("except", "unless"),
    ("approver_role", "approval"),
    ("approvers", "approval"),
    ("enforcement", "mode"),
    ("default_action", "defaults"),
    ("default", "defaults"),
    ("message", "reason"),
    ("name", "id"),
    ("rate_limits", "limit"),
];

/// Decoder that collects diagnostics.
#[derive(Default)]
pub(crate) struct Decoder {
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Words that were expected, by the path of their key, to be compared with the grammar.
    #[cfg(test)]
    pub(crate) asked_words: Vec<(String, Vec<String>)>,
}

impl Decoder {
    /// Returns whether an error was noted, and not only warnings.
    pub(crate) fn has_errors(&self) -> bool {
        let mut noted = self.diagnostics.iter();
        noted.any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Adds a diagnostic and returns it, so that the caller can complete it.
    #[inline(never)]
    pub(crate) fn report(
        &mut self,
        severity: Severity,
        code: &'static str,
        at: &PolicyPath<'_>,
        span: Range<usize>,
        message: String,
    ) -> Option<&mut Diagnostic> {
        self.diagnostics.push(Diagnostic {
            code,
            severity,
            path: at.path(),
            span,
            message,
            label: None,
            help: None,
            fix: None,
        });
        self.diagnostics.last_mut()
    }

    /// Adds an error with a suggested fix.
    #[inline(never)]
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        at: &PolicyPath<'_>,
        span: &Range<usize>,
        message: &str,
        help: &str,
    ) {
        let report = self.report(Severity::Error, code, at, span.clone(), message.to_owned());
        if let Some(diagnostic) = report.filter(|_| !help.is_empty()) {
            diagnostic.help = Some(help.to_owned());
        }
    }

    /// Adds an error for a value of the wrong type.
    pub(crate) fn wrong_type(&mut self, at: &PolicyPath<'_>, node: &Node, expected: &str) {
        self.error(
            codes::AG1005,
            at,
            &node.span,
            &format!("{expected} is expected here, not {}", node.kind()),
            "",
        );
    }

    /// Adds an error for an unknown name, with the nearest known one.
    pub(crate) fn unknown(
        &mut self,
        code: &'static str,
        at: &PolicyPath<'_>,
        span: &Range<usize>,
        what: &str,
        name: &str,
        known: &[&str],
    ) {
        let message = format!("unknown {what} `{name}`");
        let lower = letter_case::ascii_lower(name);
        let same = known.iter().copied().find(|known| **known == *lower);
        let meant = same.or_else(|| nearest(name, known));
        let Some(diagnostic) = self.report(Severity::Error, code, at, span.clone(), message) else {
            return;
        };
        match meant {
            Some(meant) => {
                diagnostic.help = Some(format!("did you mean `{meant}`?"));
                diagnostic.fix = Some(Fix {
                    span: span.clone(),
                    with: meant.to_owned(),
                });
            }
            None => diagnostic.help = listed(known).map(|names| format!("known are {names}")),
        }
    }

    /// Returns the members of a mapping whose keys are declared. Others are reported and left out.
    pub(crate) fn keys<'n, K: Keys>(
        &mut self,
        at: &PolicyPath<'_>,
        node: &'n Node,
    ) -> Option<impl Iterator<Item = (K, &'n Member)> + use<'n, K>> {
        let members = self.mapping(at, node, K::NAMES)?;
        Some(
            members
                .into_iter()
                .filter_map(|member| Some((K::of(&member.key)?, member))),
        )
    }

    /// Returns whether all required keys exist, and reports those that are missing.
    pub(crate) fn has_required<K: Keys>(
        &mut self,
        at: &PolicyPath<'_>,
        node: &Node,
        span: &Range<usize>,
    ) -> bool {
        let mut has_all = true;
        for (key, help) in K::REQUIRED {
            if node.get(key).is_none() {
                self.error(
                    codes::AG1006,
                    at,
                    span,
                    &format!("`{key}` is missing"),
                    help,
                );
                has_all = false;
            }
        }
        has_all
    }

    /// Returns the members of a mapping whose keys are in `known`. Others are reported and left out.
    pub(crate) fn mapping<'n>(
        &mut self,
        at: &PolicyPath<'_>,
        node: &'n Node,
        known: &[&str],
    ) -> Option<Vec<&'n Member>> {
        let NodeValue::Map(members) = &node.data else {
            self.wrong_type(at, node, "a mapping");
            return None;
        };
        let mut kept = Vec::with_capacity(members.len());
        for member in members {
            if known.contains(&&*member.key) {
                kept.push(member);
            } else {
                self.unknown(
                    codes::AG1004,
                    &at.key(&member.key),
                    &member.key_span,
                    "key",
                    &member.key,
                    known,
                );
                self.translate(&member.key, known);
            }
        }
        Some(kept)
    }

    /// Adds a suggested fix to the last error, if the key is one of another policy language.
    fn translate(&mut self, key: &str, known: &[&str]) {
        let here = FOREIGN
            .iter()
            .find(|(foreign, own)| *foreign == key && known.contains(own));
        if let (Some((_, own)), Some(diagnostic)) = (here, self.diagnostics.last_mut()) {
            diagnostic.help = Some(format!("did you mean `{own}`?"));
            diagnostic.fix = Some(Fix {
                span: diagnostic.span.clone(),
                with: (*own).to_owned(),
            });
        }
    }

    /// Reads a text.
    #[inline(never)]
    pub(crate) fn text(&mut self, at: &PolicyPath<'_>, node: &Node) -> Option<Box<str>> {
        match &node.data {
            NodeValue::String(text) => Some(text.clone()),
            _ => {
                self.wrong_type(at, node, "a text");
                if let (Some(diagnostic), NodeValue::Number(_) | NodeValue::Bool(_)) =
                    (self.diagnostics.last_mut(), &node.data)
                {
                    diagnostic.help = Some("put it in quotes".to_owned());
                }
                None
            }
        }
    }

    /// Reads a boolean.
    pub(crate) fn boolean(&mut self, at: &PolicyPath<'_>, node: &Node) -> Option<bool> {
        match &node.data {
            NodeValue::Bool(value) => Some(*value),
            _ => {
                self.wrong_type(at, node, "true or false");
                None
            }
        }
    }

    /// Reads a word of a closed list and returns its value.
    pub(crate) fn word<T: Copy>(
        &mut self,
        at: &PolicyPath<'_>,
        node: &Node,
        words: &[(&str, T)],
    ) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let place = self.place_in(at, node, &known)?;
        words.get(place).map(|(_, value)| *value)
    }

    /// Reads a word of a closed list that a type declares.
    pub(crate) fn one_of<T: Words>(&mut self, at: &PolicyPath<'_>, node: &Node) -> Option<T> {
        let place = self.place_in(at, node, T::WORDS)?;
        T::VALUES.get(place).copied()
    }

    /// Returns the place of a word in a closed list. Not generic, so that it is compiled only once.
    fn place_in(&mut self, at: &PolicyPath<'_>, node: &Node, words: &[&str]) -> Option<usize> {
        #[cfg(test)]
        self.asked_words.push((
            at.pattern(),
            words.iter().map(|word| (*word).to_owned()).collect(),
        ));
        let NodeValue::String(text) = &node.data else {
            let names = listed(words).unwrap_or_default();
            self.wrong_type(at, node, &format!("one of {names}"));
            return None;
        };
        let found = words.iter().position(|word| *word == &**text);
        if found.is_none() {
            self.unknown(codes::AG1007, at, &node.span, "value", text, words);
        }
        found
    }

    /// Reads a list of texts; a single text is a list of one.
    #[inline(never)]
    pub(crate) fn texts(&mut self, at: &PolicyPath<'_>, node: &Node) -> Option<Vec<Box<str>>> {
        match &node.data {
            NodeValue::String(text) => Some(vec![text.clone()]),
            NodeValue::List(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for (number, item) in items.iter().enumerate() {
                    texts.push(self.text(&at.index(number), item)?);
                }
                Some(texts)
            }
            _ => {
                self.wrong_type(at, node, "a text or a list of texts");
                None
            }
        }
    }

    /// Reads a list of at least one text.
    pub(crate) fn names(&mut self, at: &PolicyPath<'_>, node: &Node) -> Option<Vec<Box<str>>> {
        let texts = self.texts(at, node)?;
        if texts.is_empty() {
            self.error(codes::AG1006, at, &node.span, "the list is empty", "");
            return None;
        }
        Some(texts)
    }

    /// Reads a whole number that is not negative.
    pub(crate) fn count(&mut self, at: &PolicyPath<'_>, node: &Node) -> Option<u64> {
        match &node.data {
            NodeValue::Number(text) => match whole(text) {
                Some(count) => Some(count),
                None => {
                    self.error(
                        codes::AG1005,
                        at,
                        &node.span,
                        "a whole number is expected here",
                        "",
                    );
                    None
                }
            },
            _ => {
                self.wrong_type(at, node, "a number");
                None
            }
        }
    }

    /// Reads a whole number from 1 to [`u32::MAX`].
    pub(crate) fn positive(&mut self, at: &PolicyPath<'_>, node: &Node) -> Option<u32> {
        let count = self.count(at, node)?;
        let count = u32::try_from(count).ok().filter(|count| *count > 0);
        if count.is_none() {
            let message = "a number from 1 to 4294967295 is expected here";
            let help = "write `1` or more, or leave it out";
            self.error(codes::AG1011, at, &node.span, message, help);
        }
        count
    }

    /// Reads a number of bytes: `8MiB`, `64KiB`, `500kB`, or a whole number.
    pub(crate) fn bytes(&mut self, at: &PolicyPath<'_>, node: &Node) -> Option<u64> {
        let parsed = match &node.data {
            NodeValue::Number(text) => whole(text),
            NodeValue::String(text) => size(text),
            _ => None,
        };
        if parsed.is_none() {
            self.error(
                codes::AG1005,
                at,
                &node.span,
                "a size is expected here",
                "write for example `8MiB`, `64KiB` or `1048576`",
            );
        }
        parsed
    }

    /// Reads a time span and returns its seconds: `30s`, `10m`, `24h`, `7d`.
    pub(crate) fn seconds(&mut self, at: &PolicyPath<'_>, node: &Node) -> Option<u64> {
        let parsed = node.text().and_then(duration);
        let parsed = parsed.filter(|seconds| *seconds <= LONGEST);
        if parsed.is_none() {
            self.error(
                codes::AG1005,
                at,
                &node.span,
                "a span of time up to 36500d is expected here",
                "write for example `30s`, `10m`, `24h` or `7d`",
            );
        }
        parsed
    }
}

/// Maximum seconds of a time span, a hundred years. A longer one is a slip of the pen, and no counter lives as long.
const LONGEST: u64 = 36_500 * 86_400;

/// Parses a whole number. A protobuf Struct writes `64` as `64.0`.
fn whole(text: &str) -> Option<u64> {
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn duration(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_of_time_are_read_with_their_unit() {
        assert_eq!(size("8MiB"), Some(8 << 20));
        assert_eq!(size("64 KiB"), Some(64 << 10));
        assert_eq!(size("10"), Some(10));
        assert_eq!(size("8 MiBs"), None);
        assert_eq!(size("99999999999GiB"), None);
        assert_eq!(duration("10m"), Some(600));
        assert_eq!(duration("1h30m"), None);
        assert_eq!(duration("m"), None);
    }

    #[test]
    fn a_path_is_written_as_a_person_would() {
        let root = PolicyPath::root();
        let rules = root.key("rules");
        let rule = rules.index(2);
        let when = rule.key("when");
        assert_eq!(
            when.key("args.amount").path(),
            "rules[2].when[\"args.amount\"]"
        );
        assert_eq!(when.key("text").path(), "rules[2].when.text");
    }
}
