//! Fields in conditions: their names, the kinds of events that have them, and the paths into arguments and results.

use crate::event::Kind;
use crate::wire::json::JsonPath;
use crate::wire::letter_case;

/// Set of kinds of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const EMPTY: Kinds = Kinds(0);
    pub(crate) const ALL: Kinds = Kinds(0x7F);

    pub(crate) fn of(kinds: &[Kind]) -> Kinds {
        kinds.iter().fold(Kinds::EMPTY, |set, kind| set.with(*kind))
    }

    fn bit(kind: Kind) -> u8 {
        match kind {
            Kind::Request => 1,
            Kind::Message => 2,
            Kind::ToolOffer => 4,
            Kind::ToolCall => 8,
            Kind::ToolResult => 16,
            Kind::Response => 32,
            Kind::Uninspectable => 64,
        }
    }

    pub(crate) fn with(self, kind: Kind) -> Kinds {
        Kinds(self.0 | Kinds::bit(kind))
    }

    pub(crate) fn contains(self, kind: Kind) -> bool {
        self.0 & Kinds::bit(kind) != 0
    }

    pub(crate) fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL
            .iter()
            .copied()
            .filter(move |kind| self.contains(*kind))
    }
}

/// Named value of an event or of its exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    In,
    Protocol,
    Provider,
    Server,
    Model,
    Host,
    Path,
    Method,
    Environment,
    Client,
    Tenant,
    Agent,
    Roles,
    /// `principal.NAME`
    Principal(Box<str>),
    /// `header.NAME` in lower case; `query.NAME` as `?NAME`; `*` and `?*` for all of them.
    Header(Box<str>),
    Time,
    /// `session.NAME`
    Session(Box<str>),
    /// `request.NAME`
    Request(RequestField),
    Uri,
    Params(JsonPath),
    Text,
    From,
    Part,
    Turn,
    Tool,
    Definition,
    ProviderRun,
    Unoffered,
    Args(JsonPath),
    Earlier,
    Result(JsonPath),
    Ok,
    Usage(UsageField),
    Finish,
    Code,
    Class,
    ContentType,
    /// Path into one item of a list that a condition tests item by item.
    Item(JsonPath),
}

/// `request.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestField {
    MessageCount,
    /// `request.roles.user`: number of messages by that author.
    Roles(Box<str>),
    EstimatedTokens,
    Bytes,
    Stream,
    MaxTokens,
    Tools,
    Region,
}

/// `usage.*`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsageField {
    Input,
    Output,
    Cached,
    Reasoning,
}

/// Type of a field's values, which determines how they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldType {
    /// Name: compared broadly on the deny side.
    Name,
    /// Set of names: one matching member is enough, on both sides.
    NameSet,
    /// Word of a closed list.
    Word(&'static [&'static str]),
    /// Free text.
    Text,
    /// Data of any type.
    Data,
    /// Number.
    Number,
    /// Boolean.
    Bool,
    /// Moment.
    Time,
    /// Conversation history.
    History,
}

const DIRECTIONS: &[&str] = &["request", "response"];
const AUTHORS: &[&str] = &["system", "user", "assistant", "tool"];
const PARTS: &[&str] = &[
    "text",
    "reasoning",
    "refusal",
    "arguments",
    "definition",
    "name",
    "transcript",
    "other",
];
const TURNS: &[&str] = &["latest", "earlier"];

/// Part before the first dot of a path.
pub(crate) const ROOTS: &[&str] = &[
    "args",
    "result",
    "params",
    "principal",
    "header",
    "query",
    "session",
    "request",
    "usage",
];

/// All fields without a variable part, for suggestions.
pub(crate) const NAMES: &[&str] = &[
    "in",
    "protocol",
    "provider",
    "server",
    "model",
    "host",
    "path",
    "method",
    "environment",
    "client",
    "tenant",
    "agent",
    "role",
    "time",
    "uri",
    "text",
    "from",
    "part",
    "turn",
    "tool",
    "definition",
    "provider_run",
    "unoffered",
    "args",
    "earlier",
    "result",
    "ok",
    "finish",
    "code",
    "class",
    "content_type",
    "principal.roles",
    "principal.id",
    "request.message_count",
    "request.estimated_tokens",
    "request.bytes",
    "request.stream",
    "request.max_tokens",
    "request.tools",
    "request.region",
    "usage.input_tokens",
    "usage.output_tokens",
];

const REQUEST_FIELDS: &[&str] = &[
    "message_count",
    "roles.user",
    "roles.system",
    "roles.assistant",
    "roles.tool",
    "estimated_tokens",
    "bytes",
    "stream",
    "max_tokens",
    "tools",
    "region",
];
const USAGE_FIELDS: &[&str] = &[
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
];

/// Reason why a name is not a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldError {
    /// Unknown name.
    Unknown,
    /// Unknown part after the first dot, with the known ones.
    UnknownPart(&'static [&'static str]),
    /// Malformed path after the field, with a description.
    BadPath(String),
}

/// Fields without a path or parameter.
const SIMPLE: &[(&str, Field)] = &[
    ("in", Field::In),
    ("protocol", Field::Protocol),
    ("provider", Field::Provider),
    ("server", Field::Server),
    ("model", Field::Model),
    ("host", Field::Host),
    ("path", Field::Path),
    ("method", Field::Method),
    ("environment", Field::Environment),
    ("client", Field::Client),
    ("principal.client", Field::Client),
    ("tenant", Field::Tenant),
    ("principal.tenant", Field::Tenant),
    ("agent", Field::Agent),
    ("principal.agent", Field::Agent),
    ("role", Field::Roles),
    ("principal.role", Field::Roles),
    ("principal.roles", Field::Roles),
    ("time", Field::Time),
    ("uri", Field::Uri),
    ("text", Field::Text),
    ("from", Field::From),
    ("part", Field::Part),
    ("turn", Field::Turn),
    ("tool", Field::Tool),
    ("definition", Field::Definition),
    ("provider_run", Field::ProviderRun),
    ("unoffered", Field::Unoffered),
    ("earlier", Field::Earlier),
    ("ok", Field::Ok),
    ("finish", Field::Finish),
    ("code", Field::Code),
    ("class", Field::Class),
    ("content_type", Field::ContentType),
];

impl Field {
    /// Parses the left side of a condition.
    pub(crate) fn parse(name: &str) -> Result<Field, FieldError> {
        if let Some((_, field)) = SIMPLE.iter().find(|(simple, _)| *simple == name) {
            return Ok(field.clone());
        }
        for (root, make) in [
            ("args", Field::Args as fn(JsonPath) -> Field),
            ("result", Field::Result),
            ("params", Field::Params),
        ] {
            if let Some(rest) = name.strip_prefix(root)
                && (rest.is_empty() || rest.starts_with(['.', '[', '$']))
            {
                return JsonPath::parse(rest).map(make).map_err(FieldError::BadPath);
            }
        }
        let Some((root, rest)) = name.split_once('.') else {
            return Err(FieldError::Unknown);
        };
        match root {
            _ if rest.is_empty() => Err(FieldError::BadPath(
                "a name is missing after the dot".to_owned(),
            )),
            "principal" => match rest.strip_prefix("claims.") {
                Some(claim) => Err(FieldError::BadPath(format!(
                    "a claim is a member beside the others: `principal.{claim}`"
                ))),
                None => Ok(Field::Principal(rest.into())),
            },
            "header" => Ok(Field::Header(letter_case::ascii_lower(rest).into())),
            "query" => Ok(Field::Header(
                format!("?{}", letter_case::ascii_lower(rest)).into(),
            )),
            "session" => Ok(Field::Session(rest.into())),
            "request" => match rest {
                "message_count" => Ok(RequestField::MessageCount),
                "estimated_tokens" => Ok(RequestField::EstimatedTokens),
                "bytes" => Ok(RequestField::Bytes),
                "stream" => Ok(RequestField::Stream),
                "max_tokens" => Ok(RequestField::MaxTokens),
                "tools" => Ok(RequestField::Tools),
                "region" => Ok(RequestField::Region),
                _ => match rest.strip_prefix("roles.") {
                    Some(role) if AUTHORS.contains(&role) => Ok(RequestField::Roles(role.into())),
                    _ => Err(FieldError::UnknownPart(REQUEST_FIELDS)),
                },
            }
            .map(Field::Request),
            "usage" => match rest {
                "input_tokens" => Ok(UsageField::Input),
                "output_tokens" => Ok(UsageField::Output),
                "cached_tokens" => Ok(UsageField::Cached),
                "reasoning_tokens" => Ok(UsageField::Reasoning),
                _ => Err(FieldError::UnknownPart(USAGE_FIELDS)),
            }
            .map(Field::Usage),
            _ => Err(FieldError::Unknown),
        }
    }

    /// Returns the kinds of events that have the field.
    pub(crate) fn kinds(&self) -> Kinds {
        use Kind::*;
        match self {
            Field::Uri | Field::Params(_) => Kinds::of(&[Request]),
            Field::Text => Kinds::of(&[Message, ToolOffer, ToolCall, ToolResult, Response]),
            Field::From => Kinds::of(&[Message]),
            Field::Part => Kinds::of(&[Message, Response]),
            Field::Turn => Kinds::of(&[Message, ToolCall, ToolResult]),
            Field::Tool => Kinds::of(&[ToolOffer, ToolCall, ToolResult]),
            Field::Definition => Kinds::of(&[ToolOffer]),
            Field::ProviderRun => Kinds::of(&[ToolOffer, ToolCall]),
            Field::Unoffered => Kinds::of(&[ToolCall]),
            Field::Args(_) => Kinds::of(&[ToolCall, ToolResult]),
            Field::Earlier => Kinds::of(&[ToolCall, Response]),
            Field::Result(_) | Field::Ok => Kinds::of(&[ToolResult]),
            Field::Usage(_) | Field::Finish => Kinds::of(&[Response]),
            Field::Code | Field::Class | Field::ContentType => Kinds::of(&[Uninspectable]),
            _ => Kinds::ALL,
        }
    }

    /// Returns the type of the field's values.
    pub(crate) fn nature(&self) -> FieldType {
        match self {
            Field::In => FieldType::Word(DIRECTIONS),
            Field::From => FieldType::Word(AUTHORS),
            Field::Part => FieldType::Word(PARTS),
            Field::Turn => FieldType::Word(TURNS),
            // A tool may have two names (`tool`, `server/tool`).
            Field::Roles | Field::Tool => FieldType::NameSet,
            Field::Request(RequestField::Tools) => FieldType::NameSet,
            Field::Protocol
            | Field::Provider
            | Field::Server
            | Field::Model
            | Field::Host
            | Field::Path
            | Field::Method
            | Field::Environment
            | Field::Client
            | Field::Tenant
            | Field::Agent
            | Field::Finish
            | Field::Code
            | Field::Class
            | Field::ContentType
            | Field::Request(RequestField::Region) => FieldType::Name,
            Field::Text | Field::Definition | Field::Uri | Field::Header(_) => FieldType::Text,
            Field::Time => FieldType::Time,
            Field::Earlier => FieldType::History,
            Field::Request(RequestField::Stream)
            | Field::ProviderRun
            | Field::Unoffered
            | Field::Ok => FieldType::Bool,
            Field::Request(_) | Field::Usage(_) => FieldType::Number,
            Field::Principal(_)
            | Field::Session(_)
            | Field::Params(_)
            | Field::Args(_)
            | Field::Result(_)
            | Field::Item(_) => FieldType::Data,
        }
    }

    /// Returns the kind of event that a rule without `event` applies to if it names this field; `None`: any kind.
    pub(crate) fn only_kind(&self) -> Option<Kind> {
        match self {
            Field::Definition => Some(Kind::ToolOffer),
            Field::Result(_) | Field::Ok => Some(Kind::ToolResult),
            Field::Tool | Field::Unoffered | Field::Args(_) | Field::Earlier => {
                Some(Kind::ToolCall)
            }
            Field::Usage(_) | Field::Finish => Some(Kind::Response),
            Field::Code | Field::Class | Field::ContentType => Some(Kind::Uninspectable),
            _ => None,
        }
    }

    /// Returns whether the field is a property of the exchange, the same for all of its events.
    pub(crate) fn is_of_exchange(&self) -> bool {
        self.is_identity()
            || matches!(
                self,
                Field::Protocol
                    | Field::Provider
                    | Field::Server
                    | Field::Model
                    | Field::Host
                    | Field::Path
                    | Field::Environment
                    | Field::Header(_)
                    | Field::Request(_)
            )
    }

    /// Returns whether the value is told by the event itself, so that it is the same in every exchange that has the event. What
    /// values in arguments and results go by is looked for in the whole body.
    pub(crate) fn is_of_event(&self) -> bool {
        matches!(
            self,
            Field::In
                | Field::Text
                | Field::From
                | Field::Part
                | Field::Turn
                | Field::Tool
                | Field::Definition
                | Field::ProviderRun
                | Field::Class
        )
    }

    /// Returns whether all requests of one client to one host have the same value.
    pub(crate) fn is_of_origin(&self) -> bool {
        self.is_identity()
            || matches!(
                self,
                Field::Provider | Field::Host | Field::Environment | Field::Header(_)
            )
    }

    /// Returns whether the field is known before the body is: from the headers, the configuration or the clock. A model in
    /// the path is known, one that only the body names is unknown.
    pub(crate) fn is_of_head(&self) -> bool {
        self.is_of_exchange() && !matches!(self, Field::Request(_))
            || matches!(self, Field::Method | Field::Time | Field::In)
    }

    /// Returns whether the field identifies the caller.
    pub(crate) fn is_identity(&self) -> bool {
        matches!(
            self,
            Field::Client | Field::Tenant | Field::Agent | Field::Roles | Field::Principal(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::PathStep;

    fn ways(path: &str) -> Vec<Vec<PathStep>> {
        match Field::parse(path) {
            Ok(Field::Args(path)) => path.ways,
            other => panic!("{path}: {other:?}"),
        }
    }

    fn key(name: &str) -> PathStep {
        PathStep::Key(name.into())
    }

    #[test]
    fn paths_into_arguments_are_read_in_every_form() {
        assert_eq!(ways("args"), Vec::<Vec<PathStep>>::new());
        assert_eq!(ways("args.a.b"), [[key("a"), key("b")]]);
        assert_eq!(
            ways("args.items[*].price"),
            [[key("items"), PathStep::Every, key("price")]]
        );
        assert_eq!(ways("args..email"), [[PathStep::Anywhere("email".into())]]);
        assert_eq!(ways("args[\"a.b\"]"), [[key("a.b")]]);
        assert_eq!(ways("args['a|b'].c"), [[key("a|b"), key("c")]]);
        assert_eq!(ways("args[0]"), [[PathStep::Index(0)]]);
        assert_eq!(ways("args.$.a[0]"), [[key("a"), PathStep::Index(0)]]);
        assert_eq!(
            ways("args.to|cc|bcc"),
            [[key("to")], [key("cc")], [key("bcc")]]
        );
        assert_eq!(
            ways("args.a.to|cc"),
            [[key("a"), key("to")], [key("a"), key("cc")]]
        );
        assert_eq!(
            ways("args..to|cc"),
            [
                [PathStep::Anywhere("to".into())],
                [PathStep::Anywhere("cc".into())]
            ]
        );
        assert_eq!(ways("args.*"), [[PathStep::Every]]);
    }

    #[test]
    fn a_malformed_path_says_what_is_wrong() {
        for path in [
            "args.",
            "args[x]",
            "args[\"a]",
            "args[0",
            "args.a|",
            "args..",
            "header.",
        ] {
            assert!(
                matches!(Field::parse(path), Err(FieldError::BadPath(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn a_name_that_is_no_field_is_refused() {
        for path in [
            "arg.x",
            "argsx",
            "request.foo",
            "usage.x",
            "tools",
            "foo.bar",
        ] {
            assert!(
                matches!(
                    Field::parse(path),
                    Err(FieldError::Unknown | FieldError::UnknownPart(_))
                ),
                "{path}"
            );
        }
    }
}
