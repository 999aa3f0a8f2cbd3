//! Texts that are data: for example a tool's result that was written as JSON or HTML. Detectors read such a text as plain
//! text, and find a value after its key. Values whose name is elsewhere are scanned once more here, under that name.

use super::text_scan::TextScan;
use crate::detect::scan::{MAX_FINDINGS, join};
use crate::detect::{Finding, Input, Scanner, Scratch};
use crate::event::{NodeName, each_named};
use crate::wire::json::{DecodedOffsets, JsonBody, Limits, Value, ValueKind};
use crate::wire::span::index;
use std::borrow::Cow;
use std::ops::Range;

/// Maximum depth of JSON, as in bodies without `inspect.max_depth`.
const LIMITS: Limits = Limits { max_depth: 64 };

/// Maximum bytes of a value that is scanned under its name.
const MAX_NAMED_VALUE_BYTES: usize = 640;

/// Minimum bytes of a value that is found only by its name.
const MIN_VALUE_BYTES: usize = 5;

/// Maximum bytes of prose before and after data: a sentence, a code fence.
const AROUND: usize = 1_024;

/// Data in a text, with or without prose around it.
pub(crate) enum EmbeddedData {
    /// JSON in this range of the text.
    Json(Range<usize>),
    /// HTML tables, and other elements with a name.
    Markup,
}

impl EmbeddedData {
    /// Returns the data that a text seems to contain, by its first mark.
    #[inline(never)]
    pub(crate) fn of(text: &str) -> Option<EmbeddedData> {
        let bytes = text.as_bytes();
        let near = bytes.get(..AROUND).unwrap_or(bytes);
        // Shortcut: most texts have no such mark.
        let (blocks, rest) = near.as_chunks::<32>();
        if !blocks.iter().any(|block| has_mark(block)) && !has_mark(rest) {
            return None;
        }
        let marks = near.iter().enumerate().filter(|(_, byte)| is_mark(byte));
        for (start, mark) in marks {
            let rest = bytes.get(start.saturating_add(1)..).unwrap_or_default();
            let next = rest.trim_ascii_start().first();
            let end = match (mark, next) {
                (b'<', Some(b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'?')) => {
                    return Some(EmbeddedData::Markup);
                }
                (b'{', Some(b'"')) => b'}',
                (b'[', Some(b'"' | b'[' | b'{')) => b']',
                _ => continue,
            };
            let tail = bytes.iter().rev().take(AROUND);
            let behind = tail.take_while(|byte| **byte != end).count();
            return Some(EmbeddedData::Json(
                start..bytes.len().saturating_sub(behind),
            ));
        }
        None
    }

    /// Adds the findings of values under their names. Data that cannot be parsed has none.
    #[inline(never)]
    pub(crate) fn scan(
        self,
        detectors: &Scanner,
        text: &str,
        scratch: &mut Scratch,
        scan: &mut TextScan,
    ) {
        let mut search = Search {
            detectors,
            text,
            scratch,
            found: Vec::new(),
            more: Vec::new(),
            incomplete: false,
        };
        match self {
            EmbeddedData::Json(part) => search.json(part),
            EmbeddedData::Markup => search.markup(),
        }
        scan.incomplete |= search.incomplete;
        let found = &mut scan.findings;
        found.append(&mut search.more);
        join(found, &mut Vec::new());
        scan.incomplete |= found.len() > MAX_FINDINGS;
        found.truncate(MAX_FINDINGS);
    }
}

fn is_mark(byte: &u8) -> bool {
    matches!(byte, b'{' | b'[' | b'<')
}

/// Returns whether data may begin in a part of a text. It has no branch per byte, so that many
/// bytes are compared at once.
fn has_mark(part: &[u8]) -> bool {
    let marks = part.iter().map(|byte| u8::from(is_mark(byte)));
    marks.fold(0, |any, mark| any | mark) != 0
}

/// Search for findings in the values of a text under their names.
struct Search<'a> {
    detectors: &'a Scanner,
    text: &'a str,
    scratch: &'a mut Scratch,
    /// Findings of one value.
    found: Vec<Finding>,
    /// Findings of all values.
    more: Vec<Finding>,
    incomplete: bool,
}

impl Search<'_> {
    /// Scans a part of the text under its name. `whole` is the value if the text spells it in another way (`536225189.0`).
    #[inline(never)]
    fn value(&mut self, part: Range<usize>, whole: Option<&str>, name: &str) {
        if !(MIN_VALUE_BYTES..=MAX_NAMED_VALUE_BYTES).contains(&part.len())
            || self.more.len() > MAX_FINDINGS
        {
            return;
        }
        // Detectors decode escapes, as in the surrounding text.
        let read = whole.or_else(|| self.text.get(part.clone()));
        let input = Input::whole(read.unwrap_or_default()).under(Some(name));
        self.found.clear();
        self.detectors.scan(&input, self.scratch, &mut self.found);
        self.incomplete |= self.scratch.is_incomplete();
        self.more.extend(self.found.iter().map(|finding| {
            let within = |at: usize| part.start.saturating_add(at);
            let (start, end) = match whole {
                Some(_) => (part.start, part.end),
                None => (within(finding.start), within(finding.end)),
            };
            Finding {
                start,
                end,
                ..*finding
            }
        }));
    }

    #[inline(never)]
    fn json(&mut self, part: Range<usize>) {
        let start = part.start;
        let body = self.text.get(part).unwrap_or_default();
        let Ok(json) = JsonBody::scan(body.as_bytes(), LIMITS, 0) else {
            return;
        };
        let Some(body) = json.body() else { return };
        let mut cache = [(0, 0, false); CACHED_NAMES];
        each_named(body.root(), &mut |named| {
            let value = named.value;
            if !matches!(value.kind(), ValueKind::String | ValueKind::Number) {
                return;
            }
            let whole = whole(value);
            if named.name.is_own && whole.is_none() {
                return;
            }
            if let Some(name) = self.context_words(named.name, &mut cache) {
                let span = value.content_span().range();
                let part = span.start.saturating_add(start)..span.end.saturating_add(start);
                self.value(part, whole.as_deref(), &name);
            }
        });
    }

    /// Returns the words of a name, if some detector uses one as a context word. `cache` has earlier results for the names
    /// of columns.
    #[inline(never)]
    fn context_words<'v>(
        &self,
        name: NodeName<'v>,
        cache: &mut [(u32, u32, bool); CACHED_NAMES],
    ) -> Option<Cow<'v, str>> {
        let [nearest, over] =
            [name.nearest, name.over].map(|name| name.map_or(0, |name| name.place().node));
        let slot = index(nearest) & CACHED_NAMES.wrapping_sub(1);
        let slot = cache.get_mut(slot)?;
        let is_known = (slot.0, slot.1) == (nearest, over);
        if is_known && !slot.2 {
            return None;
        }
        let words = name.words()?;
        if !is_known {
            *slot = (nearest, over, self.detectors.name_is_context(&words));
        }
        slot.2.then_some(words)
    }

    /// Scans `<th>` over or before `<td>`, `<dt>` before `<dd>`, and `<field name="…">`.
    #[inline(never)]
    fn markup(&mut self) {
        let bytes = self.text.as_bytes();
        let mut heads: Vec<&str> = Vec::new();
        let mut row: Vec<&str> = Vec::new();
        // Name before the next cell in the row or list.
        let mut before = None;
        let mut at = 0usize;
        while let Some(tag) = next_of(bytes, at, b'<') {
            at = tag.saturating_add(1);
            let rest = self.text.get(at..).unwrap_or_default();
            let tag = Tag::of(rest.as_bytes());
            if tag == Tag::Other {
                continue;
            }
            if matches!(tag, Tag::Table | Tag::Row) {
                // A row of names applies to the rows after it.
                if heads.is_empty() {
                    heads = std::mem::take(&mut row);
                }
                if tag == Tag::Table {
                    heads.clear();
                }
                row.clear();
                before = None;
                continue;
            }
            let Some(end) = next_of(bytes, at, b'>') else {
                break;
            };
            at = end;
            let start = end.saturating_add(1);
            let part = start..end_of_cell(bytes, start, tag);
            let content = self.text.get(part.clone()).unwrap_or_default();
            let name = match tag {
                Tag::Head => None,
                Tag::Named => attribute(rest),
                _ => before.or_else(|| heads.get(row.len()).copied()),
            };
            if let Some(name) = name.filter(|name| name.len() <= MAX_NAMED_VALUE_BYTES) {
                self.value(part, None, name);
            }
            if tag == Tag::Head {
                before = Some(content);
            }
            if tag != Tag::Named && row.len() < MOST_COLUMNS {
                row.push(content);
            }
        }
    }
}

/// Kind of an HTML tag, by its role in naming values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Table,
    Row,
    Head,
    Cell,
    Named,
    Other,
}

impl Tag {
    /// Returns the kind of the tag that begins before `rest`, after its `<`.
    #[inline(never)]
    fn of(rest: &[u8]) -> Tag {
        let is_end = |at: usize| {
            rest.get(at)
                .is_none_or(|byte| !byte.is_ascii_alphanumeric())
        };
        let Some([first, second, third]) = rest.first_chunk() else {
            return Tag::Other;
        };
        match [first | 0x20, second | 0x20] {
            [b't', b'h'] | [b'd', b't'] if is_end(2) => Tag::Head,
            [b't' | b'd', b'd'] if is_end(2) => Tag::Cell,
            [b't', b'r'] if is_end(2) => Tag::Row,
            [b'/', b't'] if third | 0x20 == b'r' => Tag::Row,
            [b't', b'a'] => Tag::Table,
            _ => {
                let name = rest.iter().take(LONGEST_TAG);
                let len = name.take_while(|byte| byte.is_ascii_alphanumeric()).count();
                let behind = rest.get(len..).unwrap_or_default();
                match behind.starts_with(b" name=\"") {
                    true => Tag::Named,
                    false => Tag::Other,
                }
            }
        }
    }
}

/// Returns the value of an element's first attribute, which is in quotes: ` name="password">`.
fn attribute(rest: &str) -> Option<&str> {
    let bytes = rest.as_bytes();
    let start = next_of(bytes, 0, b'"')?.saturating_add(1);
    rest.get(start..next_of(bytes, start, b'"')?)
}

/// Maximum bytes of the name of an element whose attribute may name its content.
const LONGEST_TAG: usize = 16;

/// Maximum columns of a table that get a name.
const MOST_COLUMNS: usize = 256;

/// Number of slots in the cache of names; a power of two.
const CACHED_NAMES: usize = 64;

#[inline(never)]
fn next_of(bytes: &[u8], from: usize, byte: u8) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let place = rest.iter().position(|other| *other == byte)?;
    Some(from.saturating_add(place))
}

/// Returns the end of a tag's content: the end of the cell or the beginning of the next one, for named elements any tag.
/// Content of more than [`MAX_NAMED_VALUE_BYTES`] is empty.
#[inline(never)]
fn end_of_cell(bytes: &[u8], from: usize, tag: Tag) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let end = rest
        .windows(3)
        .take(MAX_NAMED_VALUE_BYTES)
        .position(|next| match next {
            [b'<', ..] if tag == Tag::Named => true,
            [b'<', b'/', _] => true,
            [b'<', first, second] => {
                matches!(first | 0x20, b't' | b'd') && second.is_ascii_alphabetic()
            }
            _ => false,
        });
    from.saturating_add(end.unwrap_or(0))
}

/// Maximum nesting of JSON in strings of JSON.
const LEVELS: usize = 4;

/// Returns the ranges of numbers and keys in the JSON of a text and of its strings, in order. A replacement of such a range
/// would not be JSON, or would be another member.
pub(crate) fn fixed_parts(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    add_fixed_parts(text, LEVELS, &mut parts);
    parts
}

fn add_fixed_parts(text: &str, levels: usize, parts: &mut Vec<Range<usize>>) {
    if !text.trim_ascii_start().starts_with(['{', '[']) {
        return;
    }
    let json = JsonBody::scan(text.as_bytes(), LIMITS, 0).ok();
    let Some(body) = json.as_ref().and_then(JsonBody::body) else {
        return;
    };
    for node in body.root().descendants() {
        let span = node.value.content_span().range();
        match (node.value.text(), levels.checked_sub(1)) {
            (Some(inner), Some(levels)) if !node.is_key => {
                let known = parts.len();
                add_fixed_parts(&inner, levels, parts);
                let mut offsets = DecodedOffsets::new(node.value.raw_content());
                for part in parts.iter_mut().skip(known) {
                    let raw = offsets.range(part.clone());
                    let within = |at: usize| span.start.saturating_add(at);
                    *part = within(raw.start)..within(raw.end);
                }
            }
            _ if node.is_key || node.value.kind() == ValueKind::Number => parts.push(span),
            _ => {}
        }
    }
}

/// Returns the digits of a whole number that is written with a point or an exponent: `123456789.0`.
#[inline(never)]
pub(crate) fn whole(value: Value<'_>) -> Option<String> {
    let number = value.number()?;
    // Most numbers with a point are not whole, and there may be thousands of them.
    let may_be = number.ends_with(".0") || number.contains(['e', 'E']);
    let whole = (may_be && number.len() >= MIN_VALUE_BYTES).then(|| value.as_u64());
    whole.flatten().map(|whole| whole.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::parse_yaml;
    use crate::policy::scalar::Spelling;
    use crate::policy::scan::ScanScratch;
    use crate::policy::text_scan::MatchKinds;
    use crate::policy::{Policy, load};

    fn policy() -> Policy {
        let text = "
apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: test }
defaults: { action: allow }
rules:
  - { id: pii, match: { event: message }, when: { text: { detects: [pii, payment, secrets] } }, action: redact }
";
        let loaded = load(&parse_yaml(text).unwrap());
        loaded
            .policy
            .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    }

    /// Returns what is found in a text that is data, and in the same text that is not.
    fn found(text: &str) -> [Vec<(String, String)>; 2] {
        let policy = policy();
        [true, false].map(|is_data| {
            let mut scan = TextScan::default();
            let mut scratch = ScanScratch::default();
            policy.matcher.scan(
                &Spelling::Plain(text.into()),
                None,
                is_data,
                MatchKinds::DETECTORS,
                &mut scratch,
                &mut scan,
            );
            let findings = scan.findings.iter();
            findings
                .map(|finding| {
                    let name = policy.matcher.detectors.name(finding.detector).unwrap();
                    (
                        name.to_owned(),
                        text.get(finding.range()).unwrap().to_owned(),
                    )
                })
                .collect()
        })
    }

    #[test]
    fn a_value_is_found_by_a_name_that_stands_elsewhere() {
        for (text, found_as, value) in [
            (
                r#"{"columns":["id","name","ssn"],"rows":[[1,"Jane","x"],[2,"Omar","y"],[3,"Li Wei from the far end of a long street","536225189"]]}"#,
                "us_ssn",
                "536225189",
            ),
            (
                "The result is:\n```json\n{\n  \"fields\": [{\"name\": \"id\"}, {\"name\": \"ssn\"}],\n  \"rows\": [[1, 536225189]]\n}\n```\n",
                "us_ssn",
                "536225189",
            ),
            (
                r#"[{"value":"536225189","type":"text","name":"ssn"}]"#,
                "us_ssn",
                "536225189",
            ),
            (r#"{"ssn": 536225189.0}"#, "us_ssn", "536225189.0"),
            (
                r#"{"ssn":{"type":"string","value":"536225189"}}"#,
                "us_ssn",
                "536225189",
            ),
            (
                r#"{"Items":[{"password":{"S":"kX9#mQ2vL"}}]}"#,
                "password",
                "kX9#mQ2vL",
            ),
            (
                r#"[{"label":"Aws Secret Access Key","answer":"dGk4f8Wq/3yLmB1zRt6Uo9Xc2VnEaPs5HjKb7Qwe"}]"#,
                "aws_secret_key",
                "dGk4f8Wq/3yLmB1zRt6Uo9Xc2VnEaPs5HjKb7Qwe",
            ),
            (
                "<table><thead><tr><th>ID</th><th>SSN</th></tr></thead><tbody><tr><td>1</td><td>x</td></tr><tr><td class=\"c\">2</td><td><b>536225189</b></td></tr></tbody></table>",
                "us_ssn",
                "536225189",
            ),
            (
                "<html><body>\n<table>\n<tr><td>ID</td>\n<td>SSN</td></tr>\n<tr><td>1</td>\n<td>536225189</td></tr></table>",
                "us_ssn",
                "536225189",
            ),
            (
                "<dl><dt>Password</dt><dd>kX9#mQ2vL</dd></dl>",
                "password",
                "kX9#mQ2vL",
            ),
            (
                "<config><property name=\"password\">kX9#mQ2vL</property></config>",
                "password",
                "kX9#mQ2vL",
            ),
        ] {
            let [data, text_alone] = found(text);
            let expected = (found_as.to_owned(), value.to_owned());
            assert!(data.contains(&expected), "{text}: {data:?}");
            assert!(!text_alone.contains(&expected), "{text}");
        }
    }

    #[test]
    fn other_values_are_found_no_more_than_in_the_text() {
        for text in [
            r#"{"columns":["id","ssn","order"],"rows":[[536225188,null,"536225189"],["536225187","","536225186"]]}"#,
            r#"{"ssn":{"checked":"2024-01-01","order":"536225189"}}"#,
            r#"[{"name":"order","value":"536225189"},{"name":"ssn","value":null}]"#,
            r#"{"columns":["version","commit"],"rows":[["1.2.3.4","9fceb02d0ae598e95dc970b74767f19372d61af8"]]}"#,
            r#"{"data":[{"embedding":[0.536225189,-0.123456789,536225189.5]}]}"#,
            r#"{"usage":{"value":536225189},"score":{"value":1e9}}"#,
            r#"{"columns":["id","ssn"],"rows":[["536225189""#,
            "<table><tr><th>Order</th></tr><tr><td>536225189</td></tr></table><p>SSN</p><table><tr><td>536225189</td></tr></table>",
            "if a <b && c[\"x\"] { \"ssn\" }",
        ] {
            let [data, text_alone] = found(text);
            assert_eq!(data, text_alone, "{text}");
        }
    }

    #[test]
    fn nothing_is_found_twice() {
        let text =
            r#"[{"name":"ssn","value":"536-22-5189"},{"name":"mail","value":"anna@example.com"}]"#;
        let [data, text_alone] = found(text);
        assert_eq!(data, text_alone);
        assert_eq!(data.len(), 2, "{data:?}");
    }
}
