//! Rows: the members of an object with their types. One loop reads a hundred members as a hundred rows of data. Only
//! members with a meaning of their own have code: models, tool definitions, calls, results.

use super::tools::is_data_url;
use super::{Emit, Names, Origin, Reader, VisitField};
use crate::event::{Author, Class, Direction, Part};
use crate::wire::json::{self, Value};

/// Member of an object: its key and its type.
pub(in crate::protocol) type Row = (&'static str, Type);

/// Words of a format for the authors of messages.
pub(in crate::protocol) type Roles = &'static [(&'static str, Author)];

/// Keys of a format's token counts. A dot leads into an object, and a bar separates the names of different servers:
/// `"prompt_tokens|input_tokens"`.
#[derive(Debug)]
pub(in crate::protocol) struct UsageKeys {
    /// Input tokens.
    pub(in crate::protocol) input: &'static str,
    /// Output tokens.
    pub(in crate::protocol) output: &'static str,
    /// Input tokens from a cache.
    pub(in crate::protocol) cached: &'static str,
    /// Output tokens of the model's reasoning.
    pub(in crate::protocol) reasoning: &'static str,
    /// Input tokens that `input` doesn't count, with a plus between counts that are added.
    pub(in crate::protocol) other_input: &'static str,
    /// Output tokens that `output` doesn't count.
    pub(in crate::protocol) other_output: &'static str,
    /// All tokens, for formats whose servers differ in what their input and output count; else empty.
    pub(in crate::protocol) total: &'static str,
}

/// Function that reads a value.
pub(in crate::protocol) type ReadValue = fn(&mut Reader<'_>, Value<'_>);

/// Function that reads a value in the context of its object.
pub(in crate::protocol) type ReadValueOf = fn(&mut Reader<'_>, Value<'_>, &Origin);

/// Type of a value. `null` always counts as absent, except under [`Type::Custom`].
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) enum Type {
    /// Value that its object reads itself, together with others.
    Custom,
    /// Value with a reader of its own, independent of the object around it.
    Read(ReadValue),
    /// Value with a reader of its own, whose texts have the author and the part of the object.
    ReadOf(ReadValueOf),
    /// Number.
    Number,
    /// Boolean.
    Flag,
    /// Number or boolean: servers differ.
    Setting,
    /// Word of a closed list, `"auto|any|none"`. Another word is evaluated as text.
    Word(&'static str),
    /// Word for an author. Another word is evaluated as text.
    Role(Roles),
    /// Constant of an enumeration that grows: capitals, digits and underscores. Any other value is evaluated as text.
    Constant,
    /// Media type, `text/plain; charset=utf-8`. Any other value is evaluated as text.
    Mime,
    /// Identifier, version or date: a string or a number. Only unmistakable secrets are found in it.
    Id,
    /// Identifier in MCP, A2A or OAuth. The peer is not a provider but anyone, so that an unmistakable secret in it is
    /// found in a response, too, and that one with a blank is evaluated as text.
    PeerId,
    /// Identifier of content that the provider keeps: the model reads it, and AgentGuard does not.
    State,
    /// Name that is compared: a tool's, a model's.
    Name,
    /// Name of a prompt or of a template, chosen by an author: evaluated as text of the part `name`, never edited.
    Label,
    /// Model that may respond, or that did.
    Model,
    /// Whether the response is streamed.
    Stream,
    /// Maximum tokens of the response. Of several such members the largest counts.
    MaxTokens,
    /// Why the response ended: a word of a closed list. Another word is evaluated as text.
    Finish(&'static str),
    /// Tokens of a response, among other counts.
    Usage(&'static UsageKeys),
    /// Text of the context's own part.
    Spoken,
    /// Text of this part.
    Text(Part),
    /// Free structure: every string in it is a text of this part, and all of them are one event.
    Tree(Part),
    /// Location of content that is not in the body: evaluated as text, never edited. A `data:` URL is the content
    /// itself.
    Url,
    /// URI or path: evaluated as text, never edited.
    Reference,
    /// Signed, encrypted or otherwise unreadable string.
    Opaque,
    /// Code, token or password, if the value can be one: not a text of any event.
    Secret,
    /// Bytes of an image, of audio or of a file.
    Media,
    /// Counts: numbers and flags under names that differ from version to version. In a response, a short word among
    /// them (a tier, a region) is an identifier; other strings are evaluated as text.
    Counts,
    /// Numbers, also as keys (`logit_bias` has tokens as keys).
    Numbers,
    /// Copy of a text, token by token, with probabilities: removed as a whole when the text is edited, evaluated if it is another one.
    Tokens,
    /// Objects of booleans and of words of a closed list.
    Switches(&'static str),
    /// Object with these members.
    Object(&'static [Row]),
    /// List of values of one type.
    List(&'static Type),
}

/// Callback for the rows that are [`Type::Custom`], with the key and the value.
type CustomRow<'b, 'v, 'f> = &'f mut (dyn VisitField<'b, 'v, &'static str> + 'f);

impl<'b> Reader<'b> {
    /// Reads an object by its rows; `custom` receives the members that the format reads itself. A key that some servers
    /// read as a known one (letter case, escapes, both spellings at once) is AG2002.
    #[inline(always)]
    pub(in crate::protocol) fn rows<'v, F: FnMut(&mut Self, &'static str, Value<'v>)>(
        &mut self,
        value: Value<'v>,
        rows: &'static [Row],
        origin: &Origin,
        custom: &mut F,
    ) {
        self.rows_by(value, &[rows], origin, custom);
    }

    /// Reads an object by several lists of rows.
    #[inline(always)]
    pub(in crate::protocol) fn row_lists<'v, F: FnMut(&mut Self, &'static str, Value<'v>)>(
        &mut self,
        value: Value<'v>,
        lists: &[&'static [Row]],
        origin: &Origin,
        custom: &mut F,
    ) {
        self.rows_by(value, lists, origin, custom);
    }

    /// Reads an object without custom rows.
    pub(in crate::protocol) fn plain_rows(
        &mut self,
        value: Value<'_>,
        rows: &'static [Row],
        origin: &Origin,
    ) {
        self.rows(value, rows, origin, &mut |_, _, _| {});
    }

    /// Reads one value by its type.
    pub(in crate::protocol) fn value<'v>(&mut self, value: Value<'v>, of: Type, origin: &Origin) {
        let mut nothing = |_: &mut Self, _: &'static str, _: Value<'v>| {};
        self.typed(value, ("", of), origin, &mut nothing);
    }

    #[inline(never)]
    fn rows_by<'v>(
        &mut self,
        value: Value<'v>,
        lists: &[&'static [Row]],
        origin: &Origin,
        custom: CustomRow<'b, 'v, '_>,
    ) {
        if !matches!(
            value.kind(),
            json::ValueKind::Object | json::ValueKind::Null
        ) {
            self.mistyped(value, "an object");
            return;
        }
        let names = Names::Rows(lists);
        let mut read = |reader: &mut Self, at: usize, value: Value<'v>| {
            let Some(row) = names.row(at) else { return };
            if origin.piece_of.is_some() {
                reader.typed(value, row, &origin.member(at), custom);
            } else {
                reader.typed(value, row, origin, custom);
            }
        };
        self.members(value, names, &mut read);
    }

    /// Reads one member by its row.
    fn typed<'v>(
        &mut self,
        value: Value<'v>,
        (key, of): Row,
        origin: &Origin,
        custom: CustomRow<'b, 'v, '_>,
    ) {
        if matches!(of, Type::Custom) {
            custom.take(self, key, value);
            return;
        }
        if value.is_null() {
            self.claim(value);
            return;
        }
        if let Some(expected) = self.expected(value.kind(), of) {
            self.mistyped(value, expected);
            return;
        }
        match of {
            Type::Custom => {}
            Type::Read(read) => read(self, value),
            Type::ReadOf(read) => read(self, value, origin),
            // Digits in a string are evaluated as text.
            Type::Number if self.proto_json && value.kind() == json::ValueKind::String => {}
            Type::Number => {
                self.number(value);
            }
            Type::Setting if value.kind() == json::ValueKind::Number => self.claim(value),
            Type::Setting if self.is_form && self.number(value).is_some() => {}
            Type::Flag | Type::Setting => {
                self.boolean(value);
            }
            Type::Word(words) => self.word(value, words),
            Type::Stream => self.reading.stream |= self.boolean(value).unwrap_or(false),
            Type::MaxTokens => self.max_tokens(value),
            Type::Finish(reasons) => self.finish_reason(value, reasons),
            Type::Usage(keys) => self.usage(value, keys),
            Type::Role(roles) => self.role(value, roles),
            Type::Constant => self.constant(value),
            Type::Mime if is_media_type(value) => self.claim(value),
            Type::Secret if could_grant_access(value) => self.claim(value),
            Type::Id | Type::PeerId if value.kind() != json::ValueKind::String => self.claim(value),
            // Words are no identifier, and a peer may pass all of them to a model.
            Type::PeerId if !is_one_word(value) => {}
            Type::PeerId if origin.emit != Emit::Never => self.emit_identifier(value, origin),
            Type::Id | Type::PeerId => self.id(value),
            Type::State => self.state(value),
            Type::Label => self.text_of(value, Class::Name, &origin.with_part(Part::Name)),
            Type::Name => {
                self.name(value);
            }
            Type::Model => self.model(value),
            Type::Spoken => self.text_of(value, Class::Text, origin),
            Type::Text(part) => self.text_of(value, Class::Text, &origin.with_part(part)),
            Type::Tree(part) => {
                let texts = self.tree(value);
                self.emit_text(value, texts, &origin.with_part(part).whole());
            }
            Type::Url if is_data_url(value) => self.media(value),
            Type::Url | Type::Reference | Type::Mime | Type::Secret => {
                self.text_of(
                    value,
                    Class::Unknown,
                    &origin.with_part(Part::Other).whole(),
                );
            }
            Type::Opaque if value.is_text("") => self.claim(value),
            Type::Opaque => self.opaque(value, "opaque"),
            Type::Media => self.media(value),
            Type::Counts => self.counts(value),
            Type::Numbers => self.claim_numbers(value),
            Type::Tokens => self.tokens(value, origin),
            Type::Switches(words) => self.switches(value, words),
            Type::Object(rows) => self.rows_by(value, &[rows], origin, custom),
            Type::List(of) => {
                self.claim(value);
                for element in value.elements() {
                    self.typed(element, (key, *of), origin, custom);
                }
            }
        }
    }

    /// Returns the expected kind if a value of this kind cannot have that type.
    fn expected(&self, kind: json::ValueKind, of: Type) -> Option<&'static str> {
        let is_string = kind == json::ValueKind::String;
        let is_number = kind == json::ValueKind::Number;
        let is_flag = matches!(kind, json::ValueKind::Bool(_));
        let (fits, expected) = match of {
            Type::Number | Type::MaxTokens => (
                is_number || (is_string && (self.is_form || self.proto_json)),
                "a number",
            ),
            Type::Flag | Type::Stream => (is_flag || (is_string && self.is_form), "a boolean"),
            Type::Setting => (
                is_flag || is_number || (is_string && self.is_form),
                "a boolean",
            ),
            Type::Id | Type::PeerId => (is_string || is_number, "a string"),
            Type::Mime
            | Type::State
            | Type::Name
            | Type::Label
            | Type::Model
            | Type::Spoken
            | Type::Text(_)
            | Type::Url
            | Type::Reference
            | Type::Opaque
            | Type::Secret
            | Type::Media
            | Type::Role(_) => (is_string, "a string"),
            Type::Object(_) => (kind == json::ValueKind::Object, "an object"),
            Type::List(_) => (kind == json::ValueKind::Array, "an array"),
            Type::Custom
            | Type::Read(_)
            | Type::ReadOf(_)
            | Type::Finish(_)
            | Type::Word(_)
            | Type::Constant
            | Type::Tree(_)
            | Type::Counts
            | Type::Usage(_)
            | Type::Numbers
            | Type::Tokens
            | Type::Switches(_) => (true, ""),
        };
        (!fits).then_some(expected)
    }

    /// Reports a value of another type than its row's. In a request it is AG2001, because two readers could disagree
    /// about it. In a response it stays unclaimed and is evaluated as unknown text: clients accept `"42"` as a count,
    /// and such a value of a provider must not end every response.
    pub(super) fn mistyped(&mut self, value: Value<'_>, expected: &str) {
        if self.direction == Direction::Request {
            self.wrong_type(value, expected);
        }
    }

    fn text_of(&mut self, value: Value<'_>, class: Class, origin: &Origin) {
        let texts = self.register_text(value, class);
        self.emit_text(value, texts, origin);
    }
}

/// Returns whether a value is one of the words of a list, `"auto|any|none"`.
pub(super) fn is_one_of(value: Value<'_>, words: &str) -> bool {
    words.split('|').any(|word| value.is_text(word))
}

/// Returns whether a string is one word of visible ASCII, however it is escaped: it has nothing that separates words, and no
/// letters of a script that does without.
pub(in crate::protocol) fn is_one_word(value: Value<'_>) -> bool {
    let text = value.text().unwrap_or_default();
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns whether a value has the form of a token in RFC 6749, appendix A: visible characters. A number as long as
/// that of a card has not.
fn could_grant_access(value: Value<'_>) -> bool {
    const SHORTEST_NUMBER: usize = 12;
    let text = value.raw_content();
    value.kind() == json::ValueKind::String
        && text.iter().all(u8::is_ascii_graphic)
        && (text.len() < SHORTEST_NUMBER || text.iter().any(u8::is_ascii_alphabetic))
}

/// Returns whether a value has the form of RFC 9110 §8.3.1 without quoted parameters, which no sentence has.
fn is_media_type(value: Value<'_>) -> bool {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$&^_.+-/;=".contains(b);
    let text = value.raw_content();
    let compact: Vec<u8> = text.iter().copied().filter(|b| *b != b' ').collect();
    value.kind() == json::ValueKind::String
        && text.len() <= 100
        && text.len().saturating_sub(compact.len()) <= 2
        && compact.contains(&b'/')
        && compact.iter().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Kind, Known, Reading};
    use crate::protocol::reader::Bounds;

    const ROWS: &[Row] = &[
        ("count", Type::Number),
        ("flag", Type::Flag),
        ("id", Type::Id),
        ("text", Type::Text(Part::Text)),
        ("name", Type::Name),
        ("signature", Type::Opaque),
        ("list", Type::List(&Type::Number)),
        ("object", Type::Object(&[("count", Type::Number)])),
        ("usage", Type::Counts),
        ("label", Type::Label),
        ("cursor", Type::PeerId),
        ("own", Type::Read(|reader, value| reader.model(value))),
        (
            "spoken",
            Type::ReadOf(|reader, value, origin| reader.value(value, Type::Spoken, origin)),
        ),
        ("reason", Type::Finish("stop|length")),
    ];

    fn read(body: &str, direction: Direction) -> Reading {
        let bounds = Bounds {
            max_depth: 9,
            nested_json: 0,
            results: false,
            result_args: false,
            repeats: None,
        };
        let mut reader = Reader::new(body.as_bytes(), direction, bounds).unwrap();
        let body = reader.body().unwrap();
        let origin = Origin::of(Author::User, Part::Text);
        reader.plain_rows(body.root(), ROWS, &origin);
        reader.finish().1
    }

    fn codes(body: &str, direction: Direction) -> Vec<&'static str> {
        let problems = read(body, direction).problems;
        problems.iter().map(|problem| problem.code).collect()
    }

    /// Number of texts of class `unknown`.
    fn unknown_texts(body: &str, direction: Direction) -> usize {
        let texts = read(body, direction).texts;
        texts
            .iter()
            .filter(|text| text.class == Class::Unknown)
            .count()
    }

    const MISTYPED: &[&str] = &[
        r#"{"count": "many words"}"#,
        r#"{"flag": "yes please"}"#,
        r#"{"id": ["a b"]}"#,
        r#"{"text": {"said": "hello"}}"#,
        r#"{"name": ["hello"]}"#,
        r#"{"signature": ["hello"]}"#,
        r#"{"list": "hello"}"#,
        r#"{"list": ["hello"]}"#,
        r#"{"object": "hello"}"#,
        r#"{"object": {"count": "hello"}}"#,
    ];

    #[test]
    fn a_wrong_type_in_a_request_is_a_problem() {
        for body in MISTYPED {
            assert_eq!(
                codes(body, Direction::Request),
                [crate::diag::codes::AG2001],
                "{body}"
            );
        }
    }

    #[test]
    fn a_wrong_type_in_a_response_is_evaluated_as_unknown_text() {
        for body in MISTYPED {
            assert_eq!(codes(body, Direction::Response), [""; 0], "{body}");
            assert_ne!(unknown_texts(body, Direction::Response), 0, "{body}");
        }
    }

    #[test]
    fn an_identifier_is_a_string_or_a_number() {
        for id in [r#""msg_1""#, "17", "1700000000"] {
            let reading = read(&format!("{{\"id\": {id}}}"), Direction::Request);
            assert!(
                reading.problems.is_empty() && reading.events.is_empty(),
                "{id}"
            );
        }
        for other in ["true", "{}", "[]"] {
            let found = codes(&format!("{{\"id\": {other}}}"), Direction::Request);
            assert_eq!(found, [crate::diag::codes::AG2001], "{other}");
        }
    }

    #[test]
    fn an_empty_string_is_nothing_opaque() {
        let opaque = |body: &str| read(body, Direction::Request).events.len();
        assert_eq!(opaque(r#"{"signature": ""}"#), 0);
        assert_eq!(opaque(r#"{"signature": "EqQB"}"#), 1);
    }

    #[test]
    fn a_short_word_among_the_counts_of_a_response_is_an_identifier() {
        let usage =
            |text: &str| format!("{{\"usage\": {{\"tokens\": 7, \"service_tier\": \"{text}\"}}}}");
        assert_eq!(unknown_texts(&usage("standard"), Direction::Response), 0);
        assert_eq!(
            unknown_texts(&usage("ask me anything"), Direction::Response),
            1
        );
        assert_eq!(unknown_texts(&usage("standard"), Direction::Request), 1);
    }

    #[test]
    fn a_name_is_no_text_and_a_label_is_one_of_the_part_name() {
        let parts = |body: &str| {
            let events = read(body, Direction::Request).events;
            events.iter().map(|event| event.part).collect::<Vec<_>>()
        };
        assert_eq!(parts(r#"{"name": "get_weather"}"#), []);
        assert_eq!(parts(r#"{"label": "code_review"}"#), [Part::Name]);
    }

    #[test]
    fn a_long_identifier_of_a_peer_has_an_event_in_a_response() {
        let events = |body: &str, direction| read(body, direction).events.len();
        let long = r#"{"cursor": "eyJvZmZzZXQiOiA0Mn0="}"#;
        assert_eq!(events(long, Direction::Request), 0);
        assert_eq!(events(long, Direction::Response), 1);
        assert_eq!(events(r#"{"cursor": "42"}"#, Direction::Response), 0);
        assert_eq!(
            events(r#"{"id": "eyJvZmZzZXQiOiA0Mn0="}"#, Direction::Response),
            0
        );
    }

    #[test]
    fn tokens_are_counted_under_any_of_their_names() {
        const KEYS: UsageKeys = UsageKeys {
            input: "prompt_tokens|input_tokens",
            output: "output_tokens",
            cached: "details.cached",
            reasoning: "",
            other_input: "",
            other_output: "",
            total: "",
        };
        let body = br#"{"input_tokens": 7, "output_tokens": "9", "details": {"cached": 3}}"#;
        let bounds = Bounds {
            max_depth: 9,
            nested_json: 0,
            results: false,
            result_args: false,
            repeats: None,
        };
        let mut reader = Reader::new(body, Direction::Response, bounds).unwrap();
        let body = reader.body().unwrap();
        reader.usage(body.root(), &KEYS);
        let usage = reader.finish().1.usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(7), None));
        assert_eq!(
            (usage.cached_tokens, usage.reasoning_tokens),
            (Some(3), None)
        );
    }

    #[test]
    fn a_row_may_name_the_function_that_reads_its_value() {
        let reading = read(r#"{"own": "m-1", "spoken": "Hello"}"#, Direction::Request);
        assert_eq!(reading.models.names, ["m-1".into()]);
        assert_eq!(reading.events.len(), 1);
        assert_eq!(reading.events[0].from, Known::Is(Author::User));
    }

    #[test]
    fn the_end_of_a_response_has_a_reason_of_a_list() {
        let known = read(r#"{"reason": "stop"}"#, Direction::Response);
        assert_eq!(known.finish, ["stop".into()]);
        assert!(known.texts.is_empty());
        let other = read(r#"{"reason": "ask me"}"#, Direction::Response);
        assert_eq!(other.finish, ["ask me".into()]);
        assert_eq!(
            unknown_texts(r#"{"reason": "ask me"}"#, Direction::Response),
            1
        );
    }

    #[test]
    fn a_list_of_rows_in_front_shadows_the_next_one() {
        const IN_FRONT: &[Row] = &[("name", Type::Custom)];
        let bounds = Bounds {
            max_depth: 9,
            nested_json: 0,
            results: false,
            result_args: false,
            repeats: None,
        };
        let body = br#"{"name": "a", "own": "m-1"}"#;
        let mut reader = Reader::new(body, Direction::Response, bounds).unwrap();
        let body = reader.body().unwrap();
        let mut custom = Vec::new();
        let origin = Origin::answer(0);
        reader.row_lists(body.root(), &[IN_FRONT, ROWS], &origin, &mut |_, key, _| {
            custom.push(key);
        });
        assert_eq!(custom, ["name"]);
        assert_eq!(reader.finish().1.models.names, ["m-1".into()]);
    }

    #[test]
    fn null_is_an_absent_member() {
        for (key, _) in ROWS {
            let body = format!("{{\"{key}\": null}}");
            let reading = read(&body, Direction::Request);
            assert!(
                reading.problems.is_empty() && reading.texts.is_empty(),
                "{body}"
            );
            assert!(
                reading
                    .events
                    .iter()
                    .all(|event| event.kind != Kind::Uninspectable),
                "{body}"
            );
        }
    }
}
