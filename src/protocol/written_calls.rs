//! Tool calls that a model writes as text. A server without a parser for a model's chat template returns the marks of
//! the template in the text, and clients that know the template run such calls.
//!
//! Source: the chat templates of the models (Hugging Face), and the tool parsers of vLLM, SGLang and llama.cpp.

use crate::wire::json::{self, JsonBody, Limits, quote};

/// Maximum calls of one text. A further one counts as a call of an unknown tool.
const MOST_CALLS: usize = 64;

/// Maximum bytes that are searched for the ends of arguments, as a multiple of the text's bytes.
const SEARCHED_PER_BYTE: usize = 4;

/// Maximum bytes of a tool's name.
const LONGEST_NAME: usize = 128;

/// Marks at the beginning of calls, with the models whose templates use them. After a mark comes JSON with name and
/// arguments, or a name and then arguments as JSON or as tags.
const MARKS: &[&str] = &[
    // Hermes, Qwen (JSON; Qwen3-Coder: `<function=NAME>`), GLM (a name and `<arg_key>`), Granite.
    "<tool_call>",
    // Granite, Phi-4.
    "<|tool_call|>",
    // Llama 3.1 (custom tools), Functionary 3.1, Qwen3-Coder.
    "<function=",
    // Llama 3.1: JSON, or `NAME.call(…)`.
    "<|python_tag|>",
    // Mistral: a list, or `NAME[ARGS]{…}`.
    "[TOOL_CALLS]",
    // DeepSeek V3, R1: `function<｜tool▁sep｜>NAME` and a block of JSON; V3.1: `NAME<｜tool▁sep｜>{…}`.
    "<｜tool▁call▁begin｜>",
    // Functionary 2 and 3.
    "<|recipient|>",
    ">>>",
    // Command R7B and A.
    "<|START_ACTION|>",
    // Command R (a block of JSON), ReAct (`Action: NAME`, `Action Input: {…}`).
    "Action:",
    // Anthropic before tools, MiniMax, and variants that models write.
    "<invoke",
    "<tool_name>",
    // gpt-oss (harmony): `to=functions.NAME <|constrain|>json<|message|>{…}`.
    "to=functions.",
    // Kimi K2: `functions.NAME:0<|tool_call_argument_begin|>{…}`.
    "<|tool_call_begin|>",
    // InternLM, Jamba.
    "<|plugin|>",
    "<tool_calls>",
    // Granite 20B, Nemotron, LongCat.
    "<function_call>",
    "<TOOLCALL>",
    "<longcat_tool_call>",
    // Calls as in Python: Llama 4, LFM2, OLMo 3.
    "<|python_start|>",
    "<|tool_call_start|>",
    "<function_calls>",
    // Anthropic's tags with a prefix: DeepSeek V3.2, Step 3.
    "<｜DSML｜invoke",
    "<steptml:invoke",
    // FunctionGemma: `call:NAME{key:<escape>text<escape>}`.
    "<start_function_call>call:",
];

/// Bytes that separate the marks from other text, each with its distance from the beginning of the mark.
const RAREST: [(u8, usize); 5] = [(b'<', 0), (b'[', 0), (b'>', 0), (b':', 6), (b'=', 2)];

/// Beginnings of texts that contain only a call (Llama 3, xLAM; Phi-4-mini and Firefunction), without white space.
const BEGINNINGS: &[&str] = &[
    "{\"name\":",
    "[{\"name\":",
    "{\"type\":\"function\"",
    "{\"function\":",
    "{\"tool_name\":",
    "[{\"tool_name\":",
    "{\"parameters\":",
    "{\"arguments\":",
    "functools[{",
];

/// Fences in front of calls at the beginning of a text: JSON, and Gemma's Python.
const FENCES: [&str; 2] = ["```json", "```tool_code"];

/// Bytes of the longest mark.
pub const LONGEST_MARK: usize = 32;

/// Call in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCall {
    /// Name of the tool; `None` if a mark shows that there is a call, but no name follows.
    pub tool: Option<String>,
    /// Arguments of the call, as JSON; `None` if they cannot be read.
    pub args: Option<String>,
}

/// Returns where the first mark of a text begins, at or after a byte. `is_begin`: this is the beginning of the text.
pub fn first_mark(text: &str, from: usize, is_begin: bool) -> Option<usize> {
    if is_begin && from == 0 && begins_as_call(text) == Some(true) {
        return Some(0);
    }
    mark_at(text, from).map(|(at, _)| at)
}

/// Returns the number of bytes of a text that cannot begin a mark, whatever follows. Two bytes of a mark may be forwarded
/// before the rest is known: many a text ends with the first one.
pub fn free_of_marks(text: &str, is_begin: bool) -> usize {
    if is_begin && begins_as_call(text).is_none() {
        return 0;
    }
    let bytes = text.as_bytes();
    let first = bytes.len().saturating_sub(LONGEST_MARK.saturating_sub(1));
    let mut at = first;
    // Most frames of a stream have no place with the first bytes of a mark.
    while let Some(tail @ [one, two, three, ..]) = bytes.get(at..) {
        let begins = |mark: &&str| mark.len() > tail.len() && mark.as_bytes().starts_with(tail);
        let may_begin = has(FIRST, *one) && has(SECOND, *two) && has(THIRD, *three);
        if may_begin && MARKS.iter().any(begins) {
            return at;
        }
        at = at.saturating_add(1);
    }
    bytes.len()
}

/// Bytes that marks have at one place: a bit for each of ASCII, which those outside it share. Two numbers, since WebAssembly
/// shifts one of 128 bits by a call.
type MarkBytes = [u64; 2];

const FIRST: MarkBytes = mark_bytes(0);
const SECOND: MarkBytes = mark_bytes(1);
const THIRD: MarkBytes = mark_bytes(2);

const fn mark_bytes(place: usize) -> MarkBytes {
    let (mut low, mut high, mut marks) = (0u64, 0u64, MARKS);
    while let [mark, others @ ..] = marks {
        let (_, rest) = mark.as_bytes().split_at(place);
        if let [byte, ..] = rest {
            match *byte {
                0..64 => low |= 1 << *byte,
                _ => high |= 1 << (*byte & 63),
            }
        }
        marks = others;
    }
    [low, high]
}

/// Returns whether a byte may be one of these.
#[inline(always)]
fn has([low, high]: MarkBytes, byte: u8) -> bool {
    let bits = if byte < 64 { low } else { high };
    bits >> (byte & 63) & 1 != 0
}

/// Returns how many bytes, of sixteen each, have none that separates marks from other text.
fn without_rarest(bytes: &[u8]) -> usize {
    let [a, b, c, d, e] = RAREST.map(|(byte, _)| byte);
    let has_none = |block: &&[u8; 16]| {
        let mut rarest = [0; 16];
        // Without a branch for each byte, so that all are looked at together.
        for (is_rarest, byte) in rarest.iter_mut().zip(*block) {
            let is = (*byte == a) | (*byte == b) | (*byte == c) | (*byte == d) | (*byte == e);
            *is_rarest = u8::from(is);
        }
        u128::from_ne_bytes(rarest) == 0
    };
    let blocks = bytes.as_chunks::<16>().0.iter();
    blocks.take_while(has_none).count().saturating_mul(16)
}

/// Returns whether a text begins like one that contains only a call; `None` if that is not known yet.
fn begins_as_call(text: &str) -> Option<bool> {
    // Nearly all texts begin with a letter, before which there is nothing to trim.
    let text = match text.as_bytes().first() {
        Some(first) if first.is_ascii_alphanumeric() => text,
        _ => text.trim_start(),
    };
    let may_begin = |first: &u8| {
        *first == b'`'
            || BEGINNINGS
                .iter()
                .any(|begin| begin.as_bytes().first() == Some(first))
    };
    if !text.as_bytes().first().is_none_or(may_begin) {
        return Some(false);
    }
    let fence = FENCES.into_iter().find(|fence| text.starts_with(fence));
    let text = fence
        .and_then(|fence| text.strip_prefix(fence))
        .unwrap_or(text);
    if fence == Some("```tool_code") || text.starts_with('[') {
        match begins_as_python(text) {
            Some(true) => return Some(true),
            None if text.len() <= LONGEST_NAME.saturating_mul(3) => return None,
            Some(false) | None => {}
        }
    }
    let longest = BEGINNINGS
        .iter()
        .map(|begin| begin.len())
        .max()
        .unwrap_or_default();
    let compact: String = text
        .chars()
        .take(LONGEST_NAME)
        .filter(|c| !c.is_whitespace())
        .take(longest)
        .collect();
    if BEGINNINGS.iter().any(|begin| compact.starts_with(begin)) {
        return Some(true);
    }
    let may_be = BEGINNINGS.iter().any(|begin| begin.starts_with(&*compact))
        || FENCES.iter().any(|fence| fence.starts_with(&*compact));
    (!may_be || text.len() > LONGEST_NAME).then_some(false)
}

/// Returns whether a character may stand in the name of a tool.
fn is_named(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')
}

/// Returns the name of a tool that Llama 3.1 calls by `NAME.call(…)`.
fn without_call(name: &str) -> &str {
    name.strip_suffix(".call").unwrap_or(name)
}

/// Returns whether a text begins with calls as in Python, `[NAME(key=…)]` or `NAME()`; `None` if that is not known yet.
fn begins_as_python(text: &str) -> Option<bool> {
    let text = text.trim_start();
    let text = text.strip_prefix('[').unwrap_or(text).trim_start();
    let word = |text: &str| text.find(|c| !is_named(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(word(text))?;
    if name.is_empty() || name.len() > LONGEST_NAME {
        return (!text.is_empty()).then_some(false);
    }
    if rest.is_empty() {
        return None;
    }
    let Some(inside) = rest.strip_prefix('(').map(str::trim_start) else {
        return Some(false);
    };
    let (key, rest) = inside.split_at_checked(word(inside))?;
    match rest.trim_start().chars().next() {
        None if inside.len() <= LONGEST_NAME => None,
        Some(')') => Some(key.is_empty()),
        // Gemma: `print(NAME(key=…))`.
        Some('=' | '(') => Some(!key.is_empty()),
        _ => Some(false),
    }
}

fn mark_at(text: &str, from: usize) -> Option<(usize, &'static str)> {
    let bytes = text.as_bytes();
    let first = from.checked_add(without_rarest(bytes.get(from..)?))?;
    let rest = bytes.get(first..)?;
    rest.iter().enumerate().find_map(|(offset, byte)| {
        let (_, distance) = RAREST.iter().find(|(rarest, _)| rarest == byte)?;
        let at = first.checked_add(offset)?.checked_sub(*distance)?;
        if at < from {
            return None;
        }
        let mark = MARKS.iter().find(|mark| {
            bytes
                .get(at..)
                .is_some_and(|text| text.starts_with(mark.as_bytes()))
        })?;
        // Words of prose count only at the beginning of a line.
        let is_line = matches!(*mark, "Action:" | ">>>");
        let begins_line = at == 0 || bytes.get(at.wrapping_sub(1)) == Some(&b'\n');
        (!is_line || begins_line).then_some((at, *mark))
    })
}

/// Returns all calls in a text, in linear time.
pub fn find(text: &str) -> Vec<WrittenCall> {
    let mut finder = Finder {
        text,
        calls: Vec::new(),
        search_budget: text.len().saturating_mul(SEARCHED_PER_BYTE),
    };
    let mut at = 0;
    if begins_as_call(text) == Some(true) {
        let open = text.find(['{', '[']).unwrap_or_default();
        let start = finder.skip(0);
        at = match begins_as_python(finder.rest(start)) {
            Some(true) => finder.pythonic(start),
            _ => finder.listed(open, true).unwrap_or_default(),
        };
    }
    while let Some((start, mark)) = mark_at(text, at) {
        let behind = start.saturating_add(mark.len());
        at = finder.behind(behind).max(behind);
        if finder.calls.len() > MOST_CALLS {
            break;
        }
    }
    finder.calls
}

struct Finder<'t> {
    text: &'t str,
    calls: Vec<WrittenCall>,
    /// Bytes that may still be searched.
    search_budget: usize,
}

impl<'t> Finder<'t> {
    fn rest(&self, at: usize) -> &'t str {
        self.text.get(at..).unwrap_or_default()
    }

    fn add(&mut self, tool: Option<&str>, args: Option<String>) {
        let tool = tool.map(|tool| match self.calls.len() >= MOST_CALLS {
            true => None,
            false => Some(tool.to_owned()),
        });
        self.calls.push(WrittenCall {
            tool: tool.flatten(),
            args,
        });
    }

    /// Skips what templates write between a mark and its content: white space, fences, names of other marks.
    fn skip(&self, mut at: usize) -> usize {
        const BETWEEN: &[&str] = &[
            "```json",
            "```tool_code",
            "```",
            "<|constrain|>json",
            "<|message|>",
            "<|content|>",
            "<|plugin|>",
            "json",
            "tool_call",
        ];
        // No template writes more of them, and the text after each mark is parsed again.
        for _ in BETWEEN {
            let rest = self.rest(at);
            let trimmed = rest.trim_start();
            let skipped = BETWEEN.iter().find_map(|word| trimmed.strip_prefix(word));
            let left = skipped.unwrap_or(trimmed);
            at = self.text.len().saturating_sub(left.len());
            if skipped.is_none() {
                break;
            }
        }
        at
    }

    /// Reads the text after a mark. Returns where to continue.
    fn behind(&mut self, at: usize) -> usize {
        let start = self.skip(at);
        if begins_as_python(self.rest(start)) == Some(true) {
            return self.pythonic(start);
        }
        match self.rest(start).as_bytes().first() {
            Some(b'{' | b'[') => self.listed(start, false).unwrap_or(start),
            _ => self.named(at),
        }
    }

    /// Reads calls as in Python, in a list or on lines, and those in their arguments: their names alone. Returns where they end.
    fn pythonic(&mut self, at: usize) -> usize {
        let rest = self.rest(at);
        let mut depth = 0usize;
        let mut name = None;
        let mut quoted = None;
        let mut escaped = false;
        // End of the white space behind the last line that was looked at: what follows all of its line ends is the same.
        let mut white_until = 0;
        for (offset, c) in rest.char_indices() {
            self.search_budget = self.search_budget.saturating_sub(1);
            let is_over = self.search_budget == 0 || self.calls.len() > MOST_CALLS;
            match c {
                _ if is_over => return at.saturating_add(offset),
                _ if escaped => escaped = false,
                '\\' if quoted.is_some() => escaped = true,
                _ if quoted == Some(c) => quoted = None,
                _ if quoted.is_some() => {}
                '"' | '\'' => quoted = Some(c),
                '(' => {
                    let called = name.take().and_then(|from| rest.get(from..offset));
                    if let Some(called) = called.filter(|name| name.len() <= LONGEST_NAME) {
                        self.add(Some(without_call(called)), None);
                    }
                    depth = depth.saturating_add(1);
                }
                '[' | '{' => depth = depth.saturating_add(1),
                ')' | ']' | '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && c == ']' {
                        return at.saturating_add(offset);
                    }
                }
                _ if is_named(c) => {
                    name.get_or_insert(offset);
                    continue;
                }
                // What follows the last call is another mark, the end of a fence, or prose.
                '\n' if depth == 0 && offset >= white_until => {
                    let behind = rest.get(offset..).unwrap_or_default().trim_start();
                    white_until = rest.len().saturating_sub(behind.len());
                    if begins_as_python(behind) != Some(true) {
                        return at.saturating_add(offset);
                    }
                }
                '<' | '`' if depth == 0 => return at.saturating_add(offset),
                _ => {}
            }
            name = None;
        }
        self.text.len()
    }

    /// Reads the JSON value at `at`, an object or a list.
    fn value(&mut self, at: usize) -> Option<&'t str> {
        let mut depth = 0usize;
        let mut in_string = false;
        let mut escaped = false;
        for (offset, byte) in self.rest(at).bytes().enumerate() {
            self.search_budget = self.search_budget.checked_sub(1)?;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return self.rest(at).get(..=offset);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Reads calls as JSON: an object, a list of them, or several in a row (with `;` in Llama's template).
    fn listed(&mut self, mut at: usize, strictly: bool) -> Option<usize> {
        let mut end = None;
        loop {
            let Some(value) = self.value(at) else {
                // Truncated, or not JSON: a name in it still counts.
                if !strictly || end.is_some() {
                    let rest = self.rest(at);
                    let name = ["\"name\"", "\"tool_name\""]
                        .iter()
                        .find_map(|key| rest.split_once(key)?.1.split('"').nth(1));
                    self.add(name.filter(|name| name.len() <= LONGEST_NAME), None);
                }
                return end;
            };
            self.each_in(value, strictly);
            at = at.saturating_add(value.len());
            end = Some(at);
            let next = self
                .rest(at)
                .trim_start_matches([';', ',', ' ', '\n', '\r', '\t']);
            if self.calls.len() > MOST_CALLS || !next.starts_with('{') {
                return end;
            }
            at = self.text.len().saturating_sub(next.len());
        }
    }

    fn each_in(&mut self, value: &str, strictly: bool) {
        let limits = Limits { max_depth: 64 };
        let Ok(json) = JsonBody::scan(value.as_bytes(), limits, 0) else {
            self.add(None, None);
            return;
        };
        let Some(doc) = json.body() else { return };
        let root = doc.root();
        let list: Vec<json::Value<'_>> = match root.kind() {
            json::ValueKind::Array => root.elements().take(MOST_CALLS.saturating_add(1)).collect(),
            _ => vec![root],
        };
        for call in list {
            let inner = call
                .get("function")
                .filter(|inner| inner.kind() == json::ValueKind::Object);
            let call = inner.unwrap_or(call);
            let get = |names: &[&str]| names.iter().find_map(|name| call.get(name));
            let name = get(&["name", "tool_name", "function"]).and_then(|name| name.text());
            let args = get(&["arguments", "parameters", "args", "input", "tool_input"]);
            if strictly && (name.is_none() || args.is_none()) {
                continue;
            }
            let args = match args {
                Some(args) if args.kind() == json::ValueKind::Object => {
                    Some(String::from_utf8_lossy(args.raw()).into_owned())
                }
                Some(args) => args
                    .text()
                    .filter(|text| is_object(text))
                    .map(|text| text.into()),
                None => None,
            };
            self.add(name.as_deref(), args);
        }
    }

    /// Reads a name, and then its arguments.
    fn named(&mut self, at: usize) -> usize {
        let rest = self.rest(at);
        let begin =
            rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '='));
        let begin = begin
            .strip_prefix("name=")
            .unwrap_or(begin)
            .trim_start_matches(['"', '\'']);
        let begin = begin
            .strip_prefix("function<｜tool▁sep｜>")
            .unwrap_or(begin);
        let begin = begin.strip_prefix("functions.").unwrap_or(begin);
        let length = begin.find(|c| !is_named(c)).unwrap_or(begin.len());
        let name = without_call(begin.get(..length).unwrap_or_default());
        let after = self
            .text
            .len()
            .saturating_sub(begin.len())
            .saturating_add(length);
        // `all`: text of Functionary for all recipients.
        if name.is_empty() || name.len() > LONGEST_NAME || name == "all" {
            return at;
        }
        // The arguments of a call end where the next call begins.
        let until = mark_at(self.text, after).map_or(self.text.len(), |(next, _)| next);
        let body = self.text.get(after..until).unwrap_or_default();
        let open = body.find('{');
        let tags = tagged(body);
        match open.filter(|_| tags.is_none()) {
            Some(open) => {
                let start = after.saturating_add(open);
                let args = self.value(start);
                let end = start.saturating_add(args.map_or(0, str::len));
                let args = args.filter(|args| is_object(args)).map(str::to_owned);
                self.add(Some(name), args);
                end.max(after)
            }
            None => {
                self.add(Some(name), tags);
                after
            }
        }
    }
}

fn is_object(text: &str) -> bool {
    let json = JsonBody::scan(text.as_bytes(), Limits { max_depth: 64 }, 0);
    json.is_ok_and(|json| {
        json.body()
            .is_some_and(|doc| doc.root().kind() == json::ValueKind::Object)
    })
}

/// Tags of arguments: before the key, between key and value, after the value.
const TAGS: &[(&str, &str, &str)] = &[
    ("<parameter=", ">", "</parameter>"),
    ("<parameter name=\"", ">", "</parameter>"),
    ("<｜DSML｜parameter name=\"", ">", "</｜DSML｜parameter>"),
    ("<steptml:parameter name=\"", ">", "</steptml:parameter>"),
    ("<arg_key>", "</arg_key>", "</arg_value>"),
];

/// Reads arguments in tags, as an object; `None` if there are none.
fn tagged(body: &str) -> Option<String> {
    let mut out = b"{".to_vec();
    let (before, between, behind) = TAGS
        .iter()
        .filter_map(|tags| Some((body.find(tags.0)?, *tags)))
        .min_by_key(|(at, _)| *at)
        .map(|(_, tags)| tags)
        .or_else(|| body.contains("<parameters>").then_some(("<", ">", "</")))?;
    let mut rest = match before {
        "<" => body.split_once("<parameters>").map_or("", |(_, rest)| rest),
        _ => body,
    };
    while let Some((key, after)) = rest
        .split_once(before)
        .and_then(|(_, rest)| rest.split_once(between))
    {
        if key.starts_with('/') {
            break;
        }
        let (value, next) = after.split_once(behind).unwrap_or((after, ""));
        let value = value.trim_start();
        let value = value.strip_prefix("<arg_value>").unwrap_or(value);
        rest = match before {
            // The rest of the closing tag.
            "<" => next.split_once('>').map_or("", |(_, rest)| rest),
            _ => next,
        };
        if out.len() > 1 {
            out.push(b',');
        }
        quote(key.split('"').next().unwrap_or_default().trim(), &mut out);
        out.push(b':');
        let value = value.trim();
        let is_json = value.starts_with(['{', '[', '-'])
            || value.starts_with(|c: char| c.is_ascii_digit())
            || matches!(value, "true" | "false" | "null");
        let is_value =
            is_json && JsonBody::scan(value.as_bytes(), Limits { max_depth: 64 }, 0).is_ok();
        if is_value {
            out.extend_from_slice(value.as_bytes());
        } else {
            quote(value, &mut out);
        }
    }
    out.push(b'}');
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes of a mark from which on its beginning is not forwarded.
    const SHORTEST: usize = 3;

    fn calls(text: &str) -> Vec<(String, serde_json::Value)> {
        find(text)
            .into_iter()
            .map(|call| {
                let args = call.args.map_or(serde_json::Value::Null, |args| {
                    serde_json::from_str(&args).unwrap()
                });
                (call.tool.unwrap_or_else(|| "?".to_owned()), args)
            })
            .collect()
    }

    /// Returns the same call in each of the templates.
    pub(crate) const WRITTEN: &[&str] = &[
        "<tool_call>\n{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}\n</tool_call>",
        "Sure.\n<tool_call>{\"arguments\": {\"amount\": 5}, \"name\": \"pay\"}</tool_call>",
        "<tool_call>\n<function=pay>\n<parameter=amount>\n5\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>pay\n<arg_key>amount</arg_key>\n<arg_value>5</arg_value>\n</tool_call>",
        "<|tool_call|>[{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}]",
        "<|tool_call|>[{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}]<|/tool_call|>",
        "<function=pay>{\"amount\": 5}</function>",
        "<|python_tag|>{\"name\": \"pay\", \"parameters\": {\"amount\": 5}}",
        "{\"name\": \"pay\", \"parameters\": {\"amount\": 5}}",
        "{\"type\": \"function\", \"name\": \"pay\", \"parameters\": {\"amount\": 5}}",
        "[{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}]",
        "```json\n{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}\n```",
        "[TOOL_CALLS][{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}]",
        "[TOOL_CALLS]pay{\"amount\": 5}",
        "[TOOL_CALLS]pay[ARGS]{\"amount\": 5}",
        "[TOOL_CALLS]pay[CALL_ID]abc123456[ARGS]{\"amount\": 5}",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>pay\n```json\n{\"amount\": 5}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>pay<｜tool▁sep｜>{\"amount\": 5}<｜tool▁call▁end｜>",
        "<|from|>assistant\n<|recipient|>pay\n<|content|>{\"amount\": 5}",
        ">>>pay\n{\"amount\": 5}",
        "Action: ```json\n[{\"tool_name\": \"pay\", \"parameters\": {\"amount\": 5}}]\n```",
        "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"pay\", \"parameters\": {\"amount\": 5}}]<|END_ACTION|>",
        "Thought: pay\nAction: pay\nAction Input: {\"amount\": 5}",
        "<function_calls>\n<invoke name=\"pay\">\n<parameter name=\"amount\">5</parameter>\n</invoke>\n</function_calls>",
        "<function_calls><invoke><tool_name>pay</tool_name><parameters><amount>5</amount></parameters></invoke></function_calls>",
        "<|channel|>commentary to=functions.pay <|constrain|>json<|message|>{\"amount\": 5}<|call|>",
        "<|start|>assistant to=functions.pay<|channel|>commentary json<|message|>{\"amount\": 5}",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.pay:0<|tool_call_argument_begin|>{\"amount\": 5}<|tool_call_end|>",
        "<|action_start|><|plugin|>\n{\"name\": \"pay\", \"parameters\": {\"amount\": 5}}<|action_end|>",
        "<tool_calls>[{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}]</tool_calls>",
        "<tool_call>{\"name\": \"pay\", \"arguments\": \"{\\\"amount\\\": 5}\"}</tool_call>",
        "<function_call> {\"name\": \"pay\", \"arguments\": {\"amount\": 5}}",
        "<TOOLCALL>[{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}]</TOOLCALL>",
        "<longcat_tool_call>{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}</longcat_tool_call>",
        "functools[{\"name\": \"pay\", \"arguments\": {\"amount\": 5}}]",
        "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"pay\">\n<｜DSML｜parameter name=\"amount\" string=\"false\">5</｜DSML｜parameter>\n</｜DSML｜invoke>",
        "<｜tool_sep｜><steptml:invoke name=\"pay\"><steptml:parameter name=\"amount\">5</steptml:parameter></steptml:invoke>",
    ];

    /// Templates of which the name alone is read.
    const WITHOUT_ARGUMENTS: &[&str] = &[
        "[pay(amount=5)]",
        "[pay(amount=[1, 2], to='a)b')]",
        "<|python_start|>[pay(amount=5)]<|python_end|>",
        "<|tool_call_start|>[pay(amount=5)]<|tool_call_end|>",
        "<function_calls>\npay(amount=5)\n</function_calls>",
        "```tool_code\npay(amount=5)\n```\nThat was pay().",
        "<start_function_call>call:pay{to:<escape>x<escape>}<end_function_call>",
        "<|python_tag|>pay.call(amount=\"5\")",
    ];

    #[test]
    fn calls_as_in_python_have_arguments_that_nobody_knows() {
        for text in WITHOUT_ARGUMENTS {
            let found = calls(text);
            assert_eq!(
                found,
                [("pay".to_owned(), serde_json::Value::Null)],
                "{text}"
            );
        }
        let names =
            |text: &str| -> Vec<String> { calls(text).into_iter().map(|(name, _)| name).collect() };
        assert_eq!(names("[a(x=1), b.c(y=\"]\")] and d()"), ["a", "b.c"]);
        assert_eq!(
            names("<function_calls>\na(x=1)\nb()\n</function_calls> c()"),
            ["a", "b"]
        );
        assert_eq!(
            names("```tool_code\nprint(pay(amount=5))\n```"),
            ["print", "pay"]
        );
    }

    #[test]
    fn a_call_is_found_in_every_template() {
        for text in WRITTEN {
            assert_eq!(
                calls(text),
                [("pay".to_owned(), serde_json::json!({"amount": 5}))],
                "{text}"
            );
        }
    }

    #[test]
    fn calls_behind_one_another_are_all_found() {
        let one = "<tool_call>{\"name\": \"a\", \"arguments\": {}}</tool_call>";
        let two = one.replace("\"a\"", "\"b\"");
        let names = |text: &str| {
            calls(text)
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&format!("{one}\n{two} and {one}")), ["a", "b", "a"]);
        assert_eq!(
            names(
                "<|python_tag|>{\"name\":\"a\",\"parameters\":{}}; {\"name\":\"b\",\"parameters\":{}}"
            ),
            ["a", "b"]
        );
        assert_eq!(names("[TOOL_CALLS]a{\"x\":1}[TOOL_CALLS]b{}"), ["a", "b"]);
        assert_eq!(names(">>>a\n{}\n>>>b\n{}"), ["a", "b"]);
    }

    #[test]
    fn a_call_that_is_cut_off_or_malformed_is_one_with_arguments_that_nobody_knows() {
        for text in [
            "<tool_call>{\"name\": \"pay\", \"arguments\": {\"amount\": 5",
            "<tool_call>{\"name\": \"pay\", \"arguments\": {\"amount\": 5}",
            "[TOOL_CALLS]pay{\"amount\":",
            "<|python_tag|>pay.call(amount=\"5\")",
        ] {
            assert_eq!(
                calls(text),
                [("pay".to_owned(), serde_json::Value::Null)],
                "{text}"
            );
        }
    }

    #[test]
    fn prose_and_data_are_no_calls() {
        for text in [
            "Call it like <b>this</b>: a[0] >> b, x=1",
            "The action: pay him. Next Action: none",
            "{\"name\": \"Jane\", \"age\": 5}",
            "{\"result\": [1, 2]}",
            "Use `to=` and `<function` in HTML",
            "a >>> b",
            "[docs](https://a.example/x(y=1)) say so",
            "[see(below)] it works",
            "[1] first",
            "functools.partial(x)",
            "[",
            "",
        ] {
            assert_eq!(calls(text), [], "{text}");
        }
    }

    #[test]
    fn many_marks_are_no_more_calls_than_are_told() {
        for mark in MARKS {
            for unit in [
                mark.to_string(),
                format!("{mark}{{"),
                format!("{mark}a{{\""),
                format!("{mark}[["),
            ] {
                let text = unit.repeat(5_000);
                assert!(find(&text).len() <= MOST_CALLS + 2, "{unit}");
            }
        }
    }

    #[test]
    fn a_begun_mark_is_not_free() {
        for mark in MARKS {
            for (length, _) in mark.char_indices().skip(1) {
                let (begun, _) = mark.split_at(length);
                let kept = if length < SHORTEST { 0 } else { length };
                let text = format!("Well: {begun}");
                assert_eq!(free_of_marks(&text, false), text.len() - kept, "{text}");
            }
        }
    }

    #[test]
    fn every_mark_has_its_rarest_byte() {
        for mark in MARKS {
            assert_eq!(mark_at(mark, 0), Some((0, *mark)));
            assert!(mark.len() <= LONGEST_MARK);
        }
    }

    proptest! {
        #[test]
        fn what_is_free_of_marks_stays_so(cut in 0usize..200, at in 0..WRITTEN.len()) {
            let text = format!("Well.\n{}", WRITTEN[at]);
            let cut = (0..=cut.min(text.len())).rev().find(|cut| text.is_char_boundary(*cut)).unwrap();
            let (before, _) = text.split_at(cut);
            let free = free_of_marks(before, true);
            if let Some(mark) = first_mark(&text, 0, true) {
                prop_assert!(mark.saturating_add(SHORTEST) > free.min(cut) || first_mark(before, 0, true).is_some());
            }
        }
    }
}
