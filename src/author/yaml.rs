//! Parser of YAML into the tree of a document. The filter reads only JSON, so this is not part of it.
//!
//! It accepts a subset that every parser reads alike: no anchors, aliases, tags, merge keys or second documents, and no
//! plain scalar that YAML 1.1 and 1.2 read differently (`no`, `1_000`, `0x10`).

use super::advice::about_documents;
use crate::diag::{Diagnostic, Severity, codes};
use crate::policy::load::{MAX_DOCUMENT, parse_json};
use crate::policy::node::{Member, Node, NodeValue};
use crate::wire::json::Decimal;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashSet;
use std::ops::Range;

const MAX_DEPTH: usize = 64;

/// Parses YAML text to a document's tree.
///
/// # Errors
/// All errors, in the order of the text.
pub fn parse_yaml(text: &str) -> Result<Node, Vec<Diagnostic>> {
    match parse_yaml_in_part(text) {
        (Some(root), diagnostics) if diagnostics.is_empty() => Ok(root),
        (_, diagnostics) => Err(diagnostics),
    }
}

/// Parses YAML text, and returns the tree even if there are errors, as long as the structure is clear. So a bare `yes` does
/// not hide the other errors of a policy.
pub fn parse_yaml_in_part(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    if text.len() > MAX_DOCUMENT {
        let message = format!("{} bytes, at most {MAX_DOCUMENT} are allowed", text.len());
        return (None, vec![diagnostic(codes::AG1019, 0..0, message, None)]);
    }
    // JSON is valid YAML, except that characters beyond 16 bits are escaped as two surrogates.
    if text.trim_start().starts_with('{')
        && let Ok(root) = parse_json(text.as_bytes())
    {
        return (Some(root), Vec::new());
    }
    let mut loader = Loader {
        offsets: Offsets::of(text),
        text,
        diagnostics: Vec::new(),
        open: Vec::new(),
        root: None,
        words: 0,
    };
    loader.run();
    let Loader {
        root,
        mut diagnostics,
        words,
        ..
    } = loader;
    if root.is_none() && diagnostics.is_empty() {
        let message = "the document is empty".to_owned();
        diagnostics.push(diagnostic(codes::AG1001, 0..0, message, Some(EMPTY)));
    }
    let is_clear = words == diagnostics.len();
    (root.filter(|_| is_clear), diagnostics)
}

fn diagnostic(
    code: &'static str,
    span: Range<usize>,
    message: String,
    help: Option<&str>,
) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Error,
        path: String::new(),
        span,
        message,
        label: None,
        help: help.map(str::to_owned),
        fix: None,
    }
}

/// Conversion of the parser's character offsets to byte offsets, which everything else uses.
struct Offsets {
    /// Byte offset of each character; empty for ASCII text.
    bytes: Vec<usize>,
    length: usize,
}

impl Offsets {
    fn of(text: &str) -> Offsets {
        Offsets {
            bytes: if text.is_ascii() {
                Vec::new()
            } else {
                text.char_indices().map(|(byte, _)| byte).collect()
            },
            length: text.len(),
        }
    }

    fn byte(&self, character: usize) -> usize {
        if self.bytes.is_empty() {
            character.min(self.length)
        } else {
            self.bytes.get(character).copied().unwrap_or(self.length)
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

/// Container that is being read.
struct OpenNode {
    start: usize,
    kind: OpenKind,
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH} levels")
}

/// Returns advice for an error in the parser's own words. The text around the position often shows the cause better: the
/// parser reports a bracket in a pattern that was written without quotes.
fn way_out(info: &str, text: &str, at: usize) -> Option<&'static str> {
    let behind = text.get(at..).unwrap_or_default();
    let before = text.get(..at).unwrap_or_default();
    // What is missing at the end is missing in the last line with content.
    let before = if behind.trim().is_empty() {
        before.trim_end()
    } else {
        before
    };
    let begin = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
    let line = text.get(begin..).unwrap_or_default();
    let line = line.lines().next().unwrap_or_default();
    let above = text.get(..begin).unwrap_or_default().trim_end();
    let above = above.lines().next_back().unwrap_or_default();
    if text.contains('\0') {
        return Some("save it as UTF-8");
    }
    let is_mark = |line: &str| {
        ["<<<<<<< ", ">>>>>>> "]
            .iter()
            .any(|mark| line.starts_with(mark))
    };
    if text.lines().any(is_mark) {
        return Some("resolve the merge conflict, whose marks stand in the file");
    }
    if line.contains("{{") {
        return Some(TEMPLATE);
    }
    if before.get(begin..).unwrap_or_default().contains(is_unseen) {
        return Some(
            "before it stands a character that is no blank and looks like one, or like nothing: remove it",
        );
    }
    let goes_on = behind.starts_with(|c: char| !c.is_whitespace() && !",]}".contains(c));
    if info.contains("did not find expected ','") && before.ends_with([']', '}']) && goes_on {
        return Some("put a text that begins with a bracket in quotes, such as a pattern");
    }
    if info.contains("mapping values are not allowed") && lacks_blank(above) {
        return Some("write a blank behind the colon of the line above");
    }
    if info.contains("simple key") && above.ends_with(['|', '>', '-', '+']) {
        return Some("indent a text below `|` or `>` further than its key");
    }
    let known = [
        ("tabs disallowed", "indent with spaces"),
        (
            "found a tab",
            "indent with spaces, and write none before the line's end",
        ),
        (
            "misplaced bracket",
            "remove it: nothing is open here that it could close",
        ),
        (
            "unexpected character",
            "put a text that begins with it in quotes",
        ),
        ("anchor", "put a text that begins with `*` or `&` in quotes"),
        (
            "trailing content",
            "the quotes are closed before it: write an apostrophe twice in single quotes (`'don''t'`), or use double quotes",
        ),
        (
            "simple key",
            "write `key: value`; indent what belongs to the line above further than that line",
        ),
        (
            "only valid inside a block",
            "begin a list on a line of its own; put a text that begins with `-` in quotes",
        ),
        (
            "unprintable",
            "remove it: the character can't be seen, and no policy needs it",
        ),
        (
            "',' or '}'",
            "close the `{` with `}`, and separate its members with commas",
        ),
        (
            "',' or ']'",
            "close the `[` with `]`, and separate its items with commas",
        ),
        (
            "block collection",
            "what belongs together begins in one column",
        ),
        (
            "block mapping",
            "what belongs together begins in one column",
        ),
        (
            "mapping values are not allowed",
            "put a text that holds `: ` in quotes",
        ),
        ("unexpected end of stream", "close the quotes"),
        ("escape", "write a backslash twice, or use single quotes"),
    ];
    known
        .iter()
        .find(|(words, _)| info.contains(words))
        .map(|(_, help)| *help)
}

/// Advice for an empty file.
const EMPTY: &str = "begin with `apiVersion: agentguard.dev/v1` and its `kind`; `agentguard init` writes a first policy, `agentguard kill` a kill list";

/// Advice for a template that was not filled in.
const TEMPLATE: &str = "fill in the template first; put braces that belong to a text in quotes";

/// Returns whether a line is `key:value`, which is one word and not a member.
fn lacks_blank(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches("- ");
    let (key, value) = line.split_once(':').unwrap_or_default();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !key.is_empty() && key.chars().all(is_word) && value.starts_with(is_word)
}

/// Returns whether a character looks like a space and is none in YAML, or is invisible.
pub(super) fn is_unseen(c: char) -> bool {
    let is_format =
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    is_format || (c.is_whitespace() && !c.is_ascii())
}

/// Returns whether a text is in typographic quotation marks, which are letters in YAML.
fn is_in_letters_for_quotes(value: &str) -> bool {
    value.starts_with(['“', '”', '„', '‘', '’']) && value.ends_with(['“', '”', '‘', '’'])
}

enum OpenKind {
    List(Vec<Node>),
    Map {
        members: Vec<Member>,
        known: HashSet<Box<str>>,
        /// Key of the next value.
        key: Option<(Box<str>, Range<usize>)>,
    },
}

struct Loader<'t> {
    text: &'t str,
    offsets: Offsets,
    diagnostics: Vec<Diagnostic>,
    open: Vec<OpenNode>,
    root: Option<Node>,
    /// Number of diagnostics about single words, around which the structure is clear.
    words: usize,
}

impl Loader<'_> {
    fn run(&mut self) {
        let text = self.text;
        let mut documents = 0u32;
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let at = self.offsets.byte(error.marker().index());
                    let end = self.text.len().min(at.saturating_add(1));
                    let info = error.info();
                    if info.contains("recursion limit") {
                        self.report(codes::AG1019, at..end, too_deep(), None);
                    } else {
                        self.report(
                            codes::AG1001,
                            at..end,
                            info.to_owned(),
                            way_out(info, text, at),
                        );
                    }
                    return;
                }
            };
            let range = self.offsets.range(span);
            match event {
                Event::DocumentStart(_) => {
                    documents = documents.saturating_add(1);
                    if documents == 2 {
                        let behind = text.get(range.end..).unwrap_or_default();
                        let help = about_documents(self.root.as_ref(), behind);
                        self.report(
                            codes::AG1001,
                            range,
                            "a second document begins here".to_owned(),
                            Some(&help),
                        );
                        return;
                    }
                }
                Event::Alias(_) => {
                    self.report(
                        codes::AG1001,
                        range.clone(),
                        "aliases are not read".to_owned(),
                        Some("write the value out; lists can be named under `lists`"),
                    );
                    self.push(Node {
                        span: range,
                        data: NodeValue::Null,
                    });
                }
                Event::Scalar(value, style, anchor, tag) => {
                    self.refuse_extras(&range, anchor, tag.is_some());
                    // The parser's span of an absent value is the span of the next token: `{ a, b: 1 }`.
                    let range = match (&*value, style) {
                        ("", ScalarStyle::Plain) => range.start..range.start,
                        _ => self.trimmed(range, style),
                    };
                    self.scalar(&value, style, range);
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_extras(&range, anchor, tag.is_some());
                    if !self.begin(range.start, OpenKind::List(Vec::new())) {
                        return;
                    }
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_extras(&range, anchor, tag.is_some());
                    let kind = OpenKind::Map {
                        members: Vec::new(),
                        known: HashSet::new(),
                        key: None,
                    };
                    if !self.begin(range.start, kind) {
                        return;
                    }
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(range.end),
                _ => {}
            }
        }
    }

    fn report(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: String,
        help: Option<&str>,
    ) {
        self.diagnostics.push(diagnostic(code, span, message, help));
    }

    fn refuse_extras(&mut self, range: &Range<usize>, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.report(
                codes::AG1001,
                range.clone(),
                "anchors are not read".to_owned(),
                Some("write the value out where it is needed"),
            );
        }
        if tagged {
            self.report(
                codes::AG1001,
                range.clone(),
                "tags are not read".to_owned(),
                Some("put texts in quotes"),
            );
        }
    }

    /// Returns the span of a scalar without trailing white space, which the parser's span of a plain or block scalar may
    /// include.
    fn trimmed(&self, range: Range<usize>, style: ScalarStyle) -> Range<usize> {
        let written = self.text.get(range.clone()).unwrap_or_default();
        let length = match style {
            // The parser's span of a quoted scalar may include a comment after it.
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => quoted_length(written),
            _ => written.trim_end().len(),
        };
        range.start..range.start.saturating_add(length)
    }

    fn begin(&mut self, start: usize, kind: OpenKind) -> bool {
        if self.open.len() >= MAX_DEPTH {
            self.report(codes::AG1019, start..start, too_deep(), None);
            return false;
        }
        if self.expects_key() {
            self.report(
                codes::AG1001,
                start..start,
                "a key is a text".to_owned(),
                self.text
                    .get(..start)
                    .is_some_and(|before| before.ends_with('{'))
                    .then_some(TEMPLATE),
            );
            return false;
        }
        self.open.push(OpenNode { start, kind });
        true
    }

    fn end(&mut self, end: usize) {
        let Some(open) = self.open.pop() else { return };
        let data = match open.kind {
            OpenKind::List(items) => NodeValue::List(items),
            OpenKind::Map { members, .. } => NodeValue::Map(members),
        };
        // The parser's span of a block container ends at the next token.
        let written = self.text.get(open.start..end).unwrap_or_default();
        let length = written.trim_end().len();
        self.push(Node {
            span: open.start..open.start.saturating_add(length),
            data,
        });
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(OpenNode {
                kind: OpenKind::Map { key: None, .. },
                ..
            })
        )
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, range: Range<usize>) {
        if style == ScalarStyle::Plain && is_in_letters_for_quotes(value) {
            self.words = self.words.saturating_add(1);
            self.report(
                codes::AG1001,
                range.clone(),
                format!("the quotation marks of {value} are letters of the text"),
                Some("write `\"` or `'`, also around a text that has such marks"),
            );
        }
        if self.expects_key() {
            if style == ScalarStyle::Plain
                && let Some(unseen) = value.chars().find(|&c| is_unseen(c))
            {
                self.report(
                    codes::AG1001,
                    range.clone(),
                    format!(
                        "a character in this key can't be seen: U+{:04X}",
                        u32::from(unseen)
                    ),
                    Some("write the key anew, with ordinary blanks"),
                );
            }
            if style == ScalarStyle::Plain && is_no_text_elsewhere(value) {
                self.refuse_word(value, &range);
            }
            self.key(value, range);
            return;
        }
        let data = if style == ScalarStyle::Plain {
            self.plain(value, &range)
        } else {
            NodeValue::String(value.into())
        };
        self.push(Node { span: range, data });
    }

    fn key(&mut self, name: &str, range: Range<usize>) {
        if name == "<<" {
            self.report(
                codes::AG1001,
                range.clone(),
                "merge keys are not read".to_owned(),
                Some("write the values out"),
            );
        }
        let Some(OpenNode {
            kind: OpenKind::Map { known, key, .. },
            ..
        }) = self.open.last_mut()
        else {
            return;
        };
        let twice = !known.insert(name.into());
        *key = Some((name.into(), range.clone()));
        if twice {
            self.report(
                codes::AG1002,
                range,
                format!("`{name}` stands twice in one mapping"),
                Some("remove one of the two"),
            );
        }
    }

    /// Reads a plain scalar by YAML 1.2's core schema, in JSON's grammar. A scalar that other parsers read differently is an
    /// error.
    fn plain(&mut self, value: &str, range: &Range<usize>) -> NodeValue {
        match value {
            "" | "~" | "null" | "Null" | "NULL" => return NodeValue::Null,
            "true" | "True" | "TRUE" => return NodeValue::Bool(true),
            "false" | "False" | "FALSE" => return NodeValue::Bool(false),
            _ => {}
        }
        if Decimal::parse(value).is_some() {
            return NodeValue::Number(value.into());
        }
        if is_read_differently(value) {
            self.refuse_word(value, range);
        }
        NodeValue::String(value.into())
    }

    fn refuse_word(&mut self, value: &str, range: &Range<usize>) {
        self.words = self.words.saturating_add(1);
        self.report(
            codes::AG1001,
            range.clone(),
            format!("`{value}` is a text to some YAML readers and something else to others"),
            Some("put a text in quotes; write a number in plain digits, a boolean as `true` or `false`"),
        );
    }

    fn push(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(OpenNode {
                kind: OpenKind::List(items),
                ..
            }) => items.push(node),
            Some(OpenNode {
                kind: OpenKind::Map { members, key, .. },
                ..
            }) => {
                if let Some((key, key_span)) = key.take() {
                    let is_plain = self.text.get(key_span.clone()) == Some(&*key);
                    if is_plain && node.data == NodeValue::Null && lacks_blank(&key) {
                        let message =
                            format!("`{key}` is one word: no blank stands behind the colon");
                        let help = Some(format!("write `{}`", key.replacen(':', ": ", 1)));
                        let mut word = diagnostic(codes::AG1001, key_span.clone(), message, None);
                        word.help = help;
                        self.diagnostics.push(word);
                    }
                    members.push(Member {
                        key,
                        key_span,
                        value: node,
                    });
                }
            }
        }
    }
}

/// Returns whether parsers that convert a manifest to JSON read a key as `true` or `false`.
fn is_no_text_elsewhere(key: &str) -> bool {
    ["yes", "no", "on", "off"]
        .iter()
        .any(|word| key.eq_ignore_ascii_case(word))
}

/// Returns whether a plain scalar is a string in YAML 1.2's core schema and a boolean or number in 1.1, or the other way
/// round. Times (`09:00`) and dates are strings here, because a policy has no value that they could be mistaken for.
fn is_read_differently(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    if matches!(&*lower, "yes" | "no" | "on" | "off" | ".nan") {
        return true;
    }
    let unsigned = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    if unsigned == ".inf" {
        return true;
    }
    let mut bytes = unsigned.bytes();
    let first = bytes.next();
    let second = bytes.next();
    let begins_as_number = matches!(
        (first, second),
        (Some(b'0'..=b'9'), _) | (Some(b'.'), Some(b'0'..=b'9'))
    );
    begins_as_number
        && (unsigned.strip_prefix("0x").is_some_and(is_digits(16))
            || unsigned.strip_prefix("0o").is_some_and(is_digits(8))
            || unsigned.strip_prefix("0b").is_some_and(is_digits(2))
            || unsigned
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'e' | b'+' | b'-'))
                && unsigned.bytes().filter(|b| *b == b'.').count() <= 1
                && !unsigned.contains('-')
            || unsigned
                .split_once('e')
                .is_some_and(|(mantissa, exponent)| {
                    is_digits(10)(&mantissa.replace('.', ""))
                        && is_digits(10)(exponent.trim_start_matches(['+', '-']))
                }))
}

fn is_digits(radix: u32) -> impl Fn(&str) -> bool {
    move |text| !text.is_empty() && text.chars().all(|c| c.is_digit(radix) || c == '_')
}

/// Returns the length of a text with its quotes: `"a \" b"`, `'it''s'`.
fn quoted_length(written: &str) -> usize {
    let mut chars = written.char_indices();
    let Some((_, quote)) = chars.next() else {
        return 0;
    };
    while let Some((at, c)) = chars.next() {
        let rest = written.get(at.saturating_add(1)..).unwrap_or_default();
        if c == quote && (quote == '"' || !rest.starts_with(quote)) {
            return at.saturating_add(1);
        }
        // An escaped quote does not end the text.
        if c == quote || (quote == '"' && c == '\\') {
            chars.next();
        }
    }
    written.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load::parse_json;

    fn message(text: &str) -> String {
        let diagnostics = parse_yaml(text).expect_err(text);
        format!("{} {}", diagnostics[0].code, diagnostics[0].message)
    }

    /// Returns a tree without its positions.
    fn shape(node: &Node) -> String {
        match &node.data {
            NodeValue::Null => "null".to_owned(),
            NodeValue::Bool(value) => value.to_string(),
            NodeValue::Number(text) => text.to_string(),
            NodeValue::String(text) => format!("{text:?}"),
            NodeValue::List(items) => format!(
                "[{}]",
                items.iter().map(shape).collect::<Vec<_>>().join(",")
            ),
            NodeValue::Map(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|member| format!("{:?}:{}", member.key, shape(&member.value)))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    #[test]
    fn yaml_and_json_give_the_same_tree() {
        let yaml = "a: 1\nb: [x, 'y', \"z\", true, ~]\nc:\n  - d: 0.10\n    e: |\n      two\n      lines\nf: {}\n";
        let json =
            r#"{"a":1,"b":["x","y","z",true,null],"c":[{"d":0.10,"e":"two\nlines\n"}],"f":{}}"#;
        assert_eq!(
            shape(&parse_yaml(yaml).unwrap()),
            shape(&parse_json(json.as_bytes()).unwrap())
        );
        assert_eq!(
            shape(&parse_yaml(json).unwrap()),
            shape(&parse_json(json.as_bytes()).unwrap())
        );
    }

    #[test]
    fn places_are_bytes_also_behind_other_letters() {
        let text = "é: ü\nkey: value # comment\n";
        let root = parse_yaml(text).unwrap();
        let member = &root.members()[1];
        assert_eq!(text.get(member.key_span.clone()), Some("key"));
        assert_eq!(text.get(member.value.span.clone()), Some("value"));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            "no", "Yes", "off", "0x10", "0o17", "1_000", "+1", ".5", "0123", "1.", "-.inf", ".nan",
            "1e3.", "0b11",
        ] {
            assert!(
                message(&format!("a: {text}")).contains("some YAML readers"),
                "{text}"
            );
        }
        for text in [
            "none",
            "north",
            "v1",
            "09:00",
            "2026-11-20",
            "1.2.3",
            "10m",
            "8MiB",
            "gpt-4o",
            "e3",
        ] {
            assert!(parse_yaml(&format!("a: {text}")).is_ok(), "{text}");
            assert!(parse_yaml(&format!("a: '{text}'")).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_makes_a_document_hard_to_read_is_refused() {
        assert!(message("a: &x 1\nb: *x").starts_with("AG1001 anchors"));
        assert!(message("a: !!str 1").starts_with("AG1001 tags"));
        assert!(message("a: {<<: {b: 1}}").starts_with("AG1001 merge keys"));
        assert!(message("a: 1\n---\nb: 2").starts_with("AG1001 a second document"));
        assert!(message("a: 1\na: 2").starts_with("AG1002"));
        assert!(message("? [a]\n: 1").starts_with("AG1001 a key"));
        assert!(message("a: [").starts_with("AG1001"));
        assert!(message("a:\n\tb: 1").starts_with("AG1001"));
        assert!(message("").starts_with("AG1001 the document is empty"));
        assert!(message(&"[".repeat(100)).starts_with("AG1019"));
    }
}
