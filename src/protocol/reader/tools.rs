//! Tools in every protocol: tool definitions, calls with their arguments, results.

use super::embedded::begins_data_url;
use super::{Origin, Reader, Row, Type, code_of};
use crate::event::{Attachments, Author, Class, Direction, Event, Kind, Known, Part, Turn};
use crate::wire::json::{self, NodeId, ScanError, ScanErrorKind, Value};
use crate::wire::sort;
use crate::wire::span::index;
use std::ops::Range;

/// Description in the definition of a tool: a text of the definition's event.
pub(in crate::protocol) const DESCRIPTION: Type = Type::Read(|reader, value| {
    reader.register_text(value, Class::Text);
});

/// Schema, or other free structure, in the definition of a tool: its strings are texts of the definition's event.
pub(in crate::protocol) const SCHEMA: Type = Type::Read(|reader, value| {
    reader.tree(value);
});

/// Builder of a tool call: its event, and the position of its arguments.
pub(in crate::protocol) struct CallBuilder<'v> {
    /// Event; its arguments are set by the methods below.
    pub(in crate::protocol) event: Event,
    holder: Option<Value<'v>>,
}

impl<'v> CallBuilder<'v> {
    /// Starts a call of a tool without a name so far; `at` is the whole value that a denial removes.
    pub(in crate::protocol) fn at(reader: &Reader<'_>, at: Value<'_>) -> CallBuilder<'v> {
        let mut event = Event::new(Kind::ToolCall, reader.direction, at.place());
        event.tool = Known::Unknown;
        CallBuilder {
            event,
            holder: None,
        }
    }

    /// Sets the name of the tool.
    pub(in crate::protocol) fn name(&mut self, reader: &mut Reader<'_>, value: Value<'_>) {
        if let Some(name) = reader.name(value) {
            self.event.tool = Known::Is(name.into());
        }
    }

    /// Reads arguments in an object, or in a string that contains one.
    pub(in crate::protocol) fn arguments(&mut self, reader: &mut Reader<'_>, value: Value<'v>) {
        let given = reader.arguments(value);
        self.given(reader, value, given);
    }

    /// Reads one free text in place of arguments.
    pub(in crate::protocol) fn free_text(&mut self, reader: &mut Reader<'_>, value: Value<'v>) {
        let texts = reader.register_text(value, Class::Text);
        self.given(reader, value, (Known::Unknown, texts));
    }

    /// Sets arguments that are in `value`. If there are some already, the tool may be called with either. The texts
    /// of both are evaluated, and conditions on the arguments are unknown.
    pub(in crate::protocol) fn given(
        &mut self,
        reader: &mut Reader<'_>,
        value: Value<'v>,
        (args, texts): (Known<NodeId>, Range<u32>),
    ) {
        let Some(first) = self.holder.filter(|first| !first.is_null()) else {
            self.holder = Some(value);
            self.event.args = args;
            self.event.texts = texts;
            return;
        };
        if value.is_null() {
            return;
        }
        if self.event.args != args {
            reader.uninspectable(first, "arguments");
            self.event.args = Known::Unknown;
        }
        self.event.texts = match (self.event.texts.is_empty(), texts.is_empty()) {
            (true, _) => texts,
            (_, true) => self.event.texts.clone(),
            _ => self.event.texts.start..texts.end,
        };
    }

    /// Adds the event. Returns the name of the tool.
    pub(in crate::protocol) fn add(self, reader: &mut Reader<'_>) -> Option<Box<str>> {
        reader.call(self.event, self.holder)
    }
}

impl Reader<'_> {
    /// Reads the definition of a tool that the client runs, `{"name": "get_weather", "description": "…", "parameters":
    /// {…}}`; its custom member is its name. `tool` is the entry that contains the definition, or the definition itself.
    pub(in crate::protocol) fn definition(
        &mut self,
        tool: Value<'_>,
        definition: Value<'_>,
        members: &'static [Row],
    ) {
        let origin = Origin::of(Author::System, Part::Definition);
        let mut name = Known::Unknown;
        let start = self.text_count();
        self.rows(definition, members, &origin, &mut |reader, _, value| {
            if let Some(text) = reader.name(value) {
                name = Known::Is(text.into());
            }
        });
        let texts = start..self.text_count();
        self.offer(tool, name, texts);
    }

    /// Adds the definition of a tool that the client runs: its name and the texts of its definition.
    pub fn offer(&mut self, tool: Value<'_>, name: Known<Box<str>>, texts: Range<u32>) {
        let mut event = Event::new(Kind::ToolOffer, self.direction, tool.place());
        event.tool = name;
        event.texts = texts.clone();
        self.reading.add(event);
        self.emit_duplicate(tool, texts, &Origin::of(Author::System, Part::Definition));
    }

    /// Adds the same tool under another name that rules may use.
    pub fn offer_again(&mut self, tool: Value<'_>, name: String) {
        let mut event = Event::new(Kind::ToolOffer, self.direction, tool.place());
        event.tool = Known::Is(name.into());
        event.is_duplicate = true;
        self.reading.add(event);
    }

    /// Adds the definition of a tool that the provider runs. Its calls never pass through the proxy, so the
    /// definition is all that can be evaluated. It counts as a definition and as a call with unreadable arguments.
    /// The tool may have several names; the first is its own.
    pub fn provider_run_offer(&mut self, tool: Value<'_>, names: &[&str]) {
        if tool.kind() == json::ValueKind::Object {
            self.claim(tool);
        }
        // Files in its settings (the mask of an image) are not there for the model alone to read.
        let origin = Origin::of(Author::System, Part::Definition);
        for node in tool.descendants() {
            let is_file = !node.is_key
                && node.value.kind() == json::ValueKind::String
                && is_data_url(node.value);
            if is_file && !self.data_text(node.value, &origin) {
                self.uninspectable(node.value, "attachment");
            }
        }
        for (number, name) in names.iter().enumerate() {
            for kind in [Kind::ToolOffer, Kind::ToolCall] {
                let mut event = Event::new(kind, self.direction, tool.place());
                event.tool = Known::Is((*name).into());
                event.provider_run = true;
                event.is_duplicate = number > 0 || kind == Kind::ToolCall;
                if kind == Kind::ToolCall {
                    event.args = Known::Unknown;
                }
                self.reading.add(event);
            }
        }
    }

    /// Adds a tool behind another one (a tool of a server that the provider calls). It is evaluated like that one,
    /// and reported once. If the request does not list the tools, the name may be any.
    pub fn provider_may_call(&mut self, holder: Value<'_>, name: Known<Box<str>>) {
        for kind in [Kind::ToolOffer, Kind::ToolCall] {
            let mut event = Event::new(kind, self.direction, holder.place());
            event.tool = name.clone();
            event.provider_run = true;
            event.is_duplicate = true;
            event.args = Known::Unknown;
            self.reading.add(event);
        }
    }

    /// Adds the tools of a server that the provider may call: those of a list, or any where there is no list. An empty list
    /// is none to LiteLLM, and vLLM's `*` is every tool.
    pub fn provider_may_call_listed(&mut self, holder: Value<'_>, list: Option<Value<'_>>) {
        let names = list.into_iter().flat_map(|list| list.elements());
        let mut names = names.filter_map(|name| name.text()).peekable();
        if names.peek().is_none() {
            self.provider_may_call(holder, Known::Unknown);
        }
        for name in names {
            self.provider_may_call(
                holder,
                match &*name {
                    "*" => Known::Unknown,
                    name => Known::Is(name.into()),
                },
            );
        }
    }

    /// Adds a call and returns the name of the tool; `holder` is the value whose texts are its arguments. Servers that send
    /// empty structures instead of none send calls with an empty name and without arguments; these are ignored. With
    /// arguments, such a call is one of an unknown tool.
    pub fn call(&mut self, mut event: Event, holder: Option<Value<'_>>) -> Option<Box<str>> {
        let mut name = event.tool.value().cloned();
        if name.as_deref() == Some("") {
            if !self.has_arguments(&event) {
                return None;
            }
            name = None;
            event.tool = Known::Unknown;
        }
        let origin = Origin {
            choice: event.choice,
            ..Origin::new(self.author(Author::Assistant), Part::Arguments, event.turn)
        };
        let texts = event.texts.clone();
        let inner = match holder {
            Some(_) => self.look_into_all(texts.clone()),
            None => self.no_texts(),
        };
        // Decoded content of the arguments belongs to the call, too.
        if !inner.is_empty() {
            event.texts.end = inner.end;
        }
        self.reading.add(event);
        if let Some(holder) = holder {
            self.emit_duplicate(holder, texts, &origin);
            self.emit_duplicate(holder, inner, &origin);
        }
        name
    }

    /// Returns whether a call has arguments, other than an empty object or list.
    fn has_arguments(&self, call: &Event) -> bool {
        let is_empty = |place: NodeId| {
            let value = self.json.value(place);
            value.is_none_or(|value| value.is_null() || value.raw_content().trim_ascii().is_empty())
        };
        let mut texts = self.reading.texts.of(call.texts.clone()).iter();
        let holds_members = |place: NodeId| {
            let value = self.json.value(place);
            value.is_some_and(|value| {
                value.elements().next().is_some() || value.members().next().is_some()
            })
        };
        texts.any(|text| !is_empty(text.place))
            || call.args.value().is_some_and(|place| holds_members(*place))
    }

    /// Adds the result of a tool; `holder` is the value that contains it. Decoded content of its texts (JSON with
    /// escapes, base64) is reported in addition, and so is what no row names in it.
    pub fn result(&mut self, event: Event, holder: Option<Value<'_>>) {
        let inner = self.look_into_all(event.texts.clone());
        let origin = Origin {
            choice: event.choice,
            ..Origin::new(event.from.clone(), event.part, event.turn)
        };
        let beside = event.clone();
        self.reading.add(event);
        if let Some(holder) = holder {
            self.emit_duplicate(holder, inner.clone(), &origin);
            self.result_beside(&beside, inner);
            self.rest_of_result(&beside, holder);
        }
    }

    /// Adds what no row names in a value that belongs to a result: to it, and as a text of an unknown author like any other
    /// that no row names.
    pub fn rest_of_result(&mut self, event: &Event, holder: Value<'_>) {
        let texts = self.rest(holder);
        let from = match self.direction {
            Direction::Request => Known::Unknown,
            Direction::Response => Known::Missing,
        };
        let origin = Origin {
            choice: event.choice,
            ..Origin::new(from, Part::Other, Turn::Latest)
        };
        self.emit_text(holder, texts.clone(), &origin);
        self.result_beside(event, texts);
    }

    /// Adds texts that belong to a result but are reported elsewhere: the content of its files.
    pub fn result_beside(&mut self, event: &Event, texts: Range<u32>) {
        if !texts.is_empty() {
            self.reading.add(Event {
                texts,
                is_duplicate: true,
                ..event.clone()
            });
        }
    }

    /// Reads the arguments of a call, an object or JSON in a string. Returns them with the numbers of their texts. In
    /// a request, arguments that are not JSON are AG2001, because it is unknown what was executed. In a response, the
    /// call is evaluated with unknown arguments.
    pub fn arguments(&mut self, value: Value<'_>) -> (Known<NodeId>, Range<u32>) {
        let none = 0..0;
        match value.kind() {
            // No arguments: nothing is found in the value that represents them.
            json::ValueKind::Null => {
                self.claim(value);
                (Known::Is(value.place()), none)
            }
            json::ValueKind::Object => {
                let texts = self.tree(value);
                (Known::Is(value.place()), texts)
            }
            json::ValueKind::String => match self.open(value) {
                Ok(None) => (Known::Is(value.place()), none),
                Ok(Some(doc)) => self.opened_arguments(value, doc.root()),
                Err(error) if self.direction == Direction::Request => {
                    self.problem(
                        code_of(error),
                        value,
                        &format!("arguments of a call: {error}"),
                    );
                    (Known::Unknown, none)
                }
                Err(_) => {
                    self.uninspectable(value, "arguments");
                    (Known::Unknown, self.register_text(value, Class::Text))
                }
            },
            _ => {
                self.wrong_type(value, "an object, or a string that holds JSON");
                (Known::Unknown, none)
            }
        }
    }

    /// Reads the content of a string as arguments. Some models encode twice, and their clients decode twice. A final
    /// value that is not an object has no names for a rule, and what the tool makes of it is unknown.
    fn opened_arguments(
        &mut self,
        holder: Value<'_>,
        root: Value<'_>,
    ) -> (Known<NodeId>, Range<u32>) {
        match root.kind() {
            json::ValueKind::Object => {
                let texts = self.tree(root);
                (Known::Is(root.place()), texts)
            }
            json::ValueKind::Null => (Known::Is(root.place()), 0..0),
            json::ValueKind::String if root.is_text("") => (Known::Is(root.place()), 0..0),
            json::ValueKind::String => match self.json.open(root) {
                Ok(inner) => self.opened_arguments(holder, inner.root()),
                Err(error) if error.kind == ScanErrorKind::TooDeep => {
                    self.problem(
                        code_of(error),
                        holder,
                        &format!("arguments of a call: {error}"),
                    );
                    (Known::Unknown, self.tree(root))
                }
                Err(_) => {
                    self.uninspectable(holder, "arguments");
                    (Known::Unknown, self.tree(root))
                }
            },
            _ => {
                self.uninspectable(holder, "arguments");
                (Known::Unknown, self.tree(root))
            }
        }
    }

    /// Reads arguments that may be any JSON. Arguments that are not an object have no names for a rule, and what the
    /// tool makes of them is unknown.
    pub(in crate::protocol) fn any_arguments(
        &mut self,
        value: Value<'_>,
    ) -> (Known<NodeId>, Range<u32>) {
        match value.kind() {
            json::ValueKind::Null | json::ValueKind::Object | json::ValueKind::String => {
                self.arguments(value)
            }
            _ => {
                self.uninspectable(value, "arguments");
                (Known::Unknown, self.tree(value))
            }
        }
    }

    /// Returns the result of a tool as data: the value itself if it is structured, or the JSON in a text. Text that
    /// is meant as JSON but is invalid (a duplicate key, Python's `NaN`, a truncated end) has an unknown value.
    #[inline(never)]
    pub fn structured_result(&mut self, value: Value<'_>) -> Known<NodeId> {
        if !self.results {
            return Known::Missing;
        }
        match value.kind() {
            json::ValueKind::String => {
                let text = value.text().unwrap_or_default();
                let text = text.trim_ascii_start();
                if !text.starts_with(['{', '[']) {
                    return Known::Missing;
                }
                match self.json.open(value) {
                    Ok(doc) => Known::Is(doc.root().place()),
                    Err(ScanError {
                        kind: ScanErrorKind::Syntax | ScanErrorKind::Trailing,
                        ..
                    }) if !begins_like_json(text) => Known::Missing,
                    Err(_) => Known::Unknown,
                }
            }
            json::ValueKind::Null => Known::Missing,
            _ => Known::Is(value.place()),
        }
    }

    /// Adds a tool that the provider runs, by its type. Rules may also use the name without vendor, version and stage
    /// (`openrouter:web_search`, `web_search_preview_2025_03_11` are `web_search`).
    pub fn provider_tool(&mut self, tool: Value<'_>, kind: &str) {
        let family = tool_family(kind);
        if family == kind {
            self.provider_run_offer(tool, &[kind]);
        } else {
            self.provider_run_offer(tool, &[kind, family]);
        }
    }

    /// Adds the result of a tool with its value: the value, its texts, and further texts beside them. A result
    /// without a value is a result, too.
    pub(in crate::protocol) fn said_result<'v>(
        &mut self,
        mut event: Event,
        said: Option<(Value<'v>, Range<u32>, Range<u32>)>,
        text_of: &dyn Fn(Value<'v>) -> Option<Value<'v>>,
    ) {
        let Some((value, texts, beside)) = said else {
            self.reading.add(event);
            return;
        };
        event.at = value.place();
        event.texts = texts;
        event.result = self.structured_result(value);
        self.result_beside(&event, beside);
        self.add_result(event, value, text_of);
    }

    /// Adds the result of a tool that the provider ran, a text or JSON, which the model may repeat: also as a text of this origin.
    pub(in crate::protocol) fn provider_result(
        &mut self,
        value: Value<'_>,
        tool: Known<Box<str>>,
        origin: &Origin,
    ) {
        let mut event = Event::new(Kind::ToolResult, self.direction(), value.place());
        event.tool = tool;
        event.provider_run = true;
        event.texts = match value.kind() {
            json::ValueKind::String => self.register_text(value, Class::Text),
            _ => self.tree(value),
        };
        self.emit_text(value, event.texts.clone(), origin);
        self.add_result(event, value, &|element| element.get("text"));
    }

    /// Adds the result of a tool with its data. Content that is a list of parts may contain JSON in several texts
    /// (`text_of` returns the text of a part): each is a result of its own.
    pub(in crate::protocol) fn add_result<'v>(
        &mut self,
        mut event: Event,
        content: Value<'v>,
        text_of: &dyn Fn(Value<'v>) -> Option<Value<'v>>,
    ) {
        if content.kind() != json::ValueKind::Array {
            event.result = self.structured_result(content);
            self.result(event, Some(content));
            return;
        }
        let numbers = event.texts.clone();
        let numbers = sort::map(numbers.filter_map(|number| {
            let text = self.reading.texts.get(index(number))?;
            Some((text.place, number))
        }));
        let mut is_first = true;
        let mut others = Vec::new();
        for text in content.elements().filter_map(text_of) {
            let result = self.structured_result(text);
            if result == Known::Missing {
                continue;
            }
            if std::mem::take(&mut is_first) {
                event.result = result;
                continue;
            }
            let texts = numbers
                .get(&text.place())
                .map_or(0..0, |number| *number..number.saturating_add(1));
            others.push(Event {
                result,
                texts,
                is_duplicate: true,
                ..event.clone()
            });
        }
        self.result(event, Some(content));
        self.reading.events.extend(others);
    }

    /// Reads the bytes of a file in base64. Bytes of a text type are read; others are uninspectable.
    pub(in crate::protocol) fn file_bytes(
        &mut self,
        bytes: Value<'_>,
        is_textual: bool,
        file: Value<'_>,
        count: fn(&mut Attachments) -> &mut u32,
        origin: &Origin,
    ) {
        if is_textual && self.base64_text(bytes, origin) {
            self.count_attachment(count);
        } else {
            self.media(bytes);
            self.attachment(file, count);
        }
    }

    /// Reads a media type: `image/png`. Any other content is evaluated as text.
    pub(in crate::protocol) fn media_type(&mut self, value: Value<'_>) {
        match value.kind() {
            json::ValueKind::String if is_media_type(value.raw_content()) => self.claim(value),
            json::ValueKind::String => {}
            json::ValueKind::Null => self.claim(value),
            _ => self.wrong_type(value, "a string"),
        }
    }

    /// Reads a URL of an attachment. A `data:` URL is the medium itself. Any other URL is a reference that may
    /// exfiltrate text.
    pub fn url(&mut self, value: Value<'_>, origin: &Origin) {
        if is_data_url(value) || value.kind() != json::ValueKind::String {
            self.media(value);
        } else {
            self.reference(value, &origin.with_part(Part::Other));
        }
    }
}

/// Returns the name of a provider's tool without its vendor, its version and its stage.
fn tool_family(kind: &str) -> &str {
    let name = kind.rsplit_once(':').map_or(kind, |(_, name)| name);
    let is_version = |part: &str| part.len() >= 2 && part.bytes().all(|b| b.is_ascii_digit());
    let mut family = name;
    while let Some((before, last)) = family.rsplit_once(['_', '-'])
        && (is_version(last) || last == "preview")
        && !before.is_empty()
    {
        family = before;
    }
    family
}

/// Returns whether a URL is the medium itself.
pub(in crate::protocol) fn is_data_url(value: Value<'_>) -> bool {
    begins_data_url(value.raw_content())
}

/// Returns whether a value is `type/subtype`, at most with a `charset`: nothing that could contain a sentence.
fn is_media_type(raw: &[u8]) -> bool {
    let is_token = |token: &[u8]| {
        !token.is_empty()
            && token.len() <= 64
            && token
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b".+-".contains(b))
    };
    let mut parts = raw.split(|b| *b == b';').map(|part| part.trim_ascii());
    let essence = parts.next().unwrap_or_default();
    let mut names = essence.split(|b| *b == b'/');
    let is_essence = names.next().is_some_and(is_token)
        && names.next().is_some_and(is_token)
        && names.next().is_none();
    is_essence && parts.all(|part| part.strip_prefix(b"charset=").is_some_and(is_token))
}

/// Returns whether a text that is not JSON is meant as JSON, by its first two characters.
fn begins_like_json(text: &str) -> bool {
    let mut begins = text.bytes().filter(|b| !b.is_ascii_whitespace());
    match begins.next() {
        Some(b'{') => matches!(begins.next(), Some(b'"')),
        Some(b'[') => matches!(begins.next(), Some(b'{' | b'[' | b'"')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_media_type, tool_family};

    #[test]
    fn a_tool_of_a_provider_has_one_family_name() {
        for kind in [
            "web_search",
            "web_search_preview",
            "web_search_2025_08_26",
            "web_search_preview_2025_03_11",
            "openrouter:web_search",
            "web_search_20250305",
        ] {
            assert_eq!(tool_family(kind), "web_search", "{kind}");
        }
        assert_eq!(tool_family("computer_use_preview"), "computer_use");
        assert_eq!(tool_family("mcp"), "mcp");
        assert_eq!(tool_family(""), "");
        assert_eq!(tool_family("_1234"), "_1234");
    }

    #[test]
    fn a_media_type_is_no_place_for_a_sentence() {
        for kind in [
            "image/png",
            "text/plain; charset=utf-8",
            "application/vnd.ms-excel",
        ] {
            assert!(is_media_type(kind.as_bytes()), "{kind}");
        }
        for kind in [
            "",
            "png",
            "a/b/c",
            "text/ignore all rules",
            "text/plain; x=y",
            "a/",
        ] {
            assert!(!is_media_type(kind.as_bytes()), "{kind}");
        }
    }
}
