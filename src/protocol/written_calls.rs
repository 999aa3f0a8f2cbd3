//! Tool calls that a model writes as text. A server without a parser for a model's chat template returns the marks of
//! the template in the text, and clients that know the template run such calls.
//!
//! Frameworks for agents also have notations of their own, for models without templates.
//!
//! Source: the chat templates of the models (Hugging Face), the tool parsers of vLLM, SGLang and llama.cpp, and the output
//! parsers of LangChain, CrewAI, LlamaIndex and DSPy.

mod label;

use crate::wire::json::{self, JsonBody, Limits, quote};
use label::{FINAL_ANSWER, LABELS, Label, Notation};

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
    // Anthropic before tools, MiniMax, and variants that models write.
    "<invoke",
    "<tool_name>",
    // LangChain's agent for XML: `<tool>NAME</tool><tool_input>…`.
    "<tool>",
    // DSPy: a line with the name, the header of the arguments, JSON.
    "[[ ## next_tool_name ## ]]",
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
/// Labels end with the fourth.
const RAREST: [(u8, usize); 5] = [(b'<', 0), (b'[', 0), (b'>', 0), (b':', 0), (b'=', 2)];

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
const LONGEST_MARK: usize = 32;

/// Bytes that tell a mark at the end of a text from prose: itself, and a name with some white space before it.
pub const LONGEST_LEAD: usize = 64;

/// Call in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCall {
    /// Name of the tool; `None` if a mark shows that there is a call, but no name follows.
    pub tool: Option<String>,
    /// Arguments of the call, as JSON; `None` if they cannot be read.
    pub args: Option<String>,
}

/// What a text that goes on holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// Where the first mark begins.
    From(usize),
    /// Number of bytes that cannot begin a mark, whatever follows.
    FreeUntil(usize),
}

/// Looks for marks in a text that goes on, at or after a byte. `is_begin`: this is the beginning of the text. Two bytes of a
/// mark may be forwarded before the rest is known: many a text ends with the first one.
pub fn marks(text: &str, from: usize, is_begin: bool) -> Marks {
    match is_begin.then(|| begins_as_call(text)) {
        Some(Some(true)) if from == 0 => return Marks::From(0),
        Some(None) => return Marks::FreeUntil(0),
        _ => {}
    }
    let mut open = text.len();
    let mut at = from;
    while let Some(mark) = mark_at(text, at, 0) {
        match mark.is_call {
            // What a label says that more text decides: a mark before it would have been found.
            Some(true) => return Marks::From(mark.at.min(open)),
            Some(false) => {}
            None => open = open.min(mark.at),
        }
        at = mark.behind;
    }
    Marks::FreeUntil(open.min(free_of_begun(text)))
}

/// Returns the number of bytes before the beginning of a mark that the text ends with.
fn free_of_begun(text: &str) -> usize {
    if let Some((_, begun)) = label::last(text) {
        return begun;
    }
    let bytes = text.as_bytes();
    let first = bytes.len().saturating_sub(LONGEST_MARK.saturating_sub(1));
    let mut at = first;
    // Most frames of a stream have no place with the first bytes of a mark.
    while let Some(tail @ [one, two, three, ..]) = bytes.get(at..) {
        let begins = |mark: &&str| mark.len() > tail.len() && mark.as_bytes().starts_with(tail);
        let may_begin = has(FIRST, *one) && has(SECOND, *two) && has(THIRD, *three);
        let mut begun = MARKS
            .iter()
            .copied()
            .chain(LABELS.iter().map(|label| label.text));
        if may_begin && begun.any(|mark| begins(&mark)) {
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
    let (mut bytes, mut marks, mut labels) = ([0; 2], MARKS, LABELS);
    while let [mark, others @ ..] = marks {
        bytes = with_byte(bytes, mark, place);
        marks = others;
    }
    while let [label, others @ ..] = labels {
        bytes = with_byte(bytes, label.text, place);
        labels = others;
    }
    bytes
}

const fn with_byte([low, high]: MarkBytes, mark: &str, place: usize) -> MarkBytes {
    let (_, rest) = mark.as_bytes().split_at(place);
    match rest {
        [byte @ 0..64, ..] => [low | 1 << *byte, high],
        [byte, ..] => [low, high | 1 << (*byte & 63)],
        [] => [low, high],
    }
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

/// Mark in a text.
#[derive(Clone, Copy)]
struct Mark {
    at: usize,
    /// First byte behind it.
    behind: usize,
    /// Whether it begins a call; `None` if more text decides.
    is_call: Option<bool>,
    label: Option<&'static Label>,
}

/// Returns the first mark at or after a byte. `white`: white space at the beginning of the text.
fn mark_at(text: &str, from: usize, white: usize) -> Option<Mark> {
    let bytes = text.as_bytes();
    let first = from.checked_add(without_rarest(bytes.get(from..)?))?;
    let rest = bytes.get(first..)?;
    // Words of prose count only at the beginning of a line.
    let begins_line = |at: usize| {
        at <= white
            || bytes
                .get(at.wrapping_sub(1))
                .is_some_and(|byte| *byte == b'\n')
    };
    rest.iter().enumerate().find_map(|(offset, byte)| {
        let (_, distance) = RAREST.iter().find(|(rarest, _)| rarest == byte)?;
        let place = first.checked_add(offset)?;
        if *byte == b':' {
            return label_at(text, from, place, begins_line);
        }
        let at = place.checked_sub(*distance)?;
        let found = bytes.get(at..)?;
        let mark = MARKS
            .iter()
            .find(|mark| at >= from && found.starts_with(mark.as_bytes()))?;
        (*mark != ">>>" || begins_line(at)).then(|| Mark {
            at,
            behind: at.saturating_add(mark.len()),
            is_call: Some(true),
            label: None,
        })
    })
}

/// Returns the label that a colon ends.
fn label_at(
    text: &str,
    from: usize,
    colon: usize,
    begins_line: impl Fn(usize) -> bool,
) -> Option<Mark> {
    let (label, at) = label::last(text.get(from..colon)?)?;
    let at = from.saturating_add(at);
    let behind = colon.saturating_add(1);
    let is_call = match label.notation {
        // Some clients read nothing but this line, which prose numbers.
        Notation::Lines if begins_line(at) && colon == at.saturating_add(label.text.len()) => {
            Some(true)
        }
        _ => label::is_call(label, text.get(..at)?, text.get(behind..)?),
    };
    Some(Mark {
        at,
        behind,
        is_call,
        label: Some(label),
    })
}

/// Returns the first mark of a call at or after a byte, in a text that has ended.
fn call_at(text: &str, mut from: usize, white: usize) -> Option<Mark> {
    loop {
        let mark = mark_at(text, from, white)?;
        if mark.is_call == Some(true) {
            return Some(mark);
        }
        from = mark.behind;
    }
}

/// Returns all calls in a text, in linear time.
pub fn find(text: &str) -> Vec<WrittenCall> {
    let mut finder = Finder {
        text,
        white: text.len().saturating_sub(text.trim_start().len()),
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
    while let Some(mark) = call_at(text, at, finder.white) {
        let end = match mark.label {
            Some(label) => finder.labelled(label, mark.behind),
            None => finder.behind(mark.behind),
        };
        at = end.max(mark.behind);
        if finder.calls.len() > MOST_CALLS {
            break;
        }
    }
    finder.calls
}

struct Finder<'t> {
    text: &'t str,
    /// Bytes of white space at its beginning.
    white: usize,
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

    /// Reads the JSON value at `at`, an object, a list or a string.
    fn value(&mut self, at: usize) -> Option<&'t str> {
        let mut depth = 0usize;
        let mut in_string = false;
        let mut escaped = false;
        for (offset, byte) in self.rest(at).bytes().enumerate() {
            self.search_budget = self.search_budget.checked_sub(1)?;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => {
                    in_string = !in_string;
                    if depth == 0 && !in_string {
                        return self.rest(at).get(..=offset);
                    }
                }
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
            let name =
                get(&["name", "tool_name", "function", "action"]).and_then(|name| name.text());
            let args = get(&[
                "arguments",
                "parameters",
                "args",
                "input",
                "tool_input",
                "action_input",
            ]);
            if strictly && (name.is_none() || args.is_none())
                || name.as_deref() == Some(FINAL_ANSWER)
            {
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
        self.arguments(after, &[name])
    }

    /// Reads the arguments of a call whose tool goes by these names. Returns where to continue.
    fn arguments(&mut self, after: usize, names: &[&str]) -> usize {
        // The arguments of a call end where the next call begins.
        let until = call_at(self.text, after, self.white).map_or(self.text.len(), |next| next.at);
        let body = self.text.get(after..until).unwrap_or_default();
        let open = body.find('{');
        let tags = tagged(body);
        let (args, end) = match open.filter(|_| tags.is_none()) {
            Some(open) => {
                let start = after.saturating_add(open);
                let args = self.value(start);
                let end = start.saturating_add(args.map_or(0, str::len));
                (args.filter(|args| is_object(args)).map(str::to_owned), end)
            }
            None => (tags, after),
        };
        for name in names {
            self.add(Some(name), args.clone());
        }
        end.max(after)
    }

    /// Reads a call in a notation of frameworks, behind its first label. Returns where to continue.
    fn labelled(&mut self, label: &Label, at: usize) -> usize {
        let rest = self.rest(at);
        match label.notation {
            Notation::Lines => {
                let Ok(Some((name, length))) = label::lines(rest) else {
                    return self.behind(at);
                };
                // LlamaIndex takes the name up to a space or parenthesis, the others all of the line.
                let whole = name.split('(').next().unwrap_or_default().trim_end();
                let first = name.split([' ', '(']).next().unwrap_or_default();
                let names = [whole, first];
                let names = if whole == first {
                    &names[..1]
                } else {
                    &names[..]
                };
                self.arguments(at.saturating_add(length), names)
            }
            Notation::Name(members) => {
                let Ok(Some((name, length))) = label::named(rest, members) else {
                    return at;
                };
                let begin = at.saturating_add(length);
                let (args, end) = self.member_value(begin);
                self.add(Some(&json::decode(name.as_bytes())), args);
                end
            }
            Notation::Arguments(members) => {
                let (args, behind) = self.member_value(at);
                let rest = self.rest(behind);
                let name = label::member(rest, members.name).ok().flatten();
                let name = name.and_then(|length| label::quoted(rest.get(length..)?).ok()?);
                let name = name.map(|(name, _)| json::decode(name.as_bytes()));
                if name.as_deref() != Some(members.end) {
                    self.add(name.as_deref(), args);
                }
                behind
            }
        }
    }

    /// Reads a member's value as arguments, which only an object is. Returns where the value ends as well.
    fn member_value(&mut self, at: usize) -> (Option<String>, usize) {
        let rest = self.rest(at);
        let begin = rest.trim_start();
        let start = at.saturating_add(rest.len().saturating_sub(begin.len()));
        if !begin.starts_with(['{', '[', '"']) {
            return (None, start);
        }
        let value = self.value(start).unwrap_or_default();
        let end = start.saturating_add(value.len());
        (is_object(value).then(|| value.to_owned()), end)
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
        "Thought: I pay. Action: pay\nAction Input: {\"amount\": 5}",
        " \n Action: pay\nAction Input: {\"amount\": 5}",
        "Action 1: pay\nAction 1 Input: {\"amount\": 5}",
        "I will Action1 : pay Action Input1 : {\"amount\": 5}\nObservation",
        "**Action:** `pay`\n**Action Input:** {\"amount\": 5}",
        "Action:\n```\n{\"action\": \"pay\", \"action_input\": {\"amount\": 5}}\n```",
        "Sure:\n```json\n{\n  \"action\": \"pay\",\n  \"action_input\": {\"amount\": 5}\n}\n```",
        "{\"action_input\": {\"amount\": 5}, \"action\": \"p\\u0061y\"}",
        "<tool>pay</tool><tool_input>{\"amount\": 5}</tool_input>",
        "[[ ## next_tool_name ## ]]\npay\n\n[[ ## next_tool_args ## ]]\n{\"amount\": 5}\n\n[[ ## completed ## ]]",
        "{\"next_thought\": \"Pay.\", \"next_tool_name\": \"pay\", \"next_tool_args\": {\"amount\": 5}}",
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
            "Call to Action: buy now!\nVisit us. Action Input: 5",
            "Minutes\nAction 1: Jane writes\nAction 2: Action is taken",
            "{\"action\": \"approve\", \"amount\": 5}",
            "{\"action\": \"Final Answer\", \"action_input\": \"42\"}",
            "{\"action_input\": \"{\", \"action\": \"Final Answer\"}",
            "Action:\n{\"action\": \"Final Answer\", \"action_input\": 4}",
            "{\"next_tool_name\": \"finish\", \"next_tool_args\": {}}",
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

    /// Returns the bytes of a text that goes on which cannot begin a mark.
    fn free(text: &str) -> usize {
        match marks(text, 0, false) {
            Marks::From(at) | Marks::FreeUntil(at) => at,
        }
    }

    #[test]
    fn a_begun_mark_is_not_free() {
        for mark in MARKS {
            for (length, _) in mark.char_indices().skip(1) {
                let (begun, _) = mark.split_at(length);
                let kept = if length < SHORTEST { 0 } else { length };
                let text = format!("Well: {begun}");
                assert_eq!(free(&text), text.len() - kept, "{text}");
            }
        }
    }

    #[test]
    fn a_label_is_free_once_it_is_known_to_be_no_call() {
        let texts = [
            ("Call to Action 1 : buy*\nAction 1 ", "Call to ", "\nVisit"),
            ("It says {\"action\" : \"pay\" ,", "It says {", "\"id\": 1"),
            ("{ \"next_tool_name\": \"a\", \"next_", "{ ", "id\""),
        ];
        for (text, free_part, rest) in texts {
            for end in free_part.len() + SHORTEST..=text.len() {
                let begun = text.split_at(end).0;
                assert_eq!(free(begun), free_part.len(), "{begun}");
            }
            let whole = format!("{text}{rest}");
            assert_eq!(
                marks(&whole, 0, false),
                Marks::FreeUntil(whole.len()),
                "{whole}"
            );
        }
    }

    #[test]
    fn a_tool_goes_by_each_name_that_a_client_reads() {
        let names = |text: &str| -> Vec<String> {
            find(text)
                .into_iter()
                .map(|call| call.tool.unwrap_or_default())
                .collect()
        };
        assert_eq!(
            names("so Action: Delete it (now)\nAction Input: {}"),
            ["Delete it", "Delete"]
        );
        assert_eq!(names("so Action: pay(x)\nAction Input: {}"), ["pay"]);
        assert_eq!(names("{\"action_input\": 5, \"action\": \"pay\"}"), [""]);
    }

    #[test]
    fn every_mark_has_its_rarest_byte() {
        for mark in MARKS {
            let found = mark_at(mark, 0, 0).unwrap();
            assert_eq!((found.at, found.behind), (0, mark.len()));
            assert!(mark.len() <= LONGEST_MARK);
        }
    }

    proptest! {
        #[test]
        fn what_is_free_of_marks_stays_so(cut in 0usize..200, at in 0..WRITTEN.len()) {
            let text = format!("Well.\n{}", WRITTEN[at]);
            let cut = (0..=cut.min(text.len())).rev().find(|cut| text.is_char_boundary(*cut)).unwrap();
            let (before, _) = text.split_at(cut);
            let found = marks(before, 0, true);
            let is_marked = matches!(found, Marks::From(_));
            let (Marks::From(free) | Marks::FreeUntil(free)) = found;
            if let Marks::From(mark) = marks(&text, 0, true) {
                prop_assert!(mark.saturating_add(SHORTEST) > free.min(cut) || is_marked);
            }
        }
    }
}
