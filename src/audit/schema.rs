//! Members of audit events, declared once in the order in which they are written. The JSON Schema (draft 2020-12) and the
//! table in `docs/audit.md` are generated from them.

use crate::diag::codes::CODES;
use crate::event::{Author, Kind, PROTOCOL_NAMES, Part, Words};
use serde_json::{Map, Value, json};

/// A member of an object in an audit event.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The key.
    pub name: &'static str,
    /// Type of the value.
    pub shape: Shape,
    /// Whether the member is in every event, or in every object of its kind.
    pub is_required: bool,
    /// Description.
    pub about: &'static str,
}

/// Type of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A fixed number.
    Version(u64),
    /// A string.
    Text,
    /// A string that matches this regular expression.
    Form(&'static str),
    /// One of these strings.
    Words(&'static [&'static str]),
    /// Name of a kind of event.
    Kind,
    /// Code of a denial or problem.
    Code,
    /// Name of a protocol. Later versions may add names.
    Protocol,
    /// A whole number.
    Count,
    /// A number.
    Number,
    /// HTTP status, or 0.
    Status,
    /// `true` or `false`.
    Boolean,
    /// `true`, or the member is absent.
    True,
    /// A count for each name.
    Counts,
    /// A list of strings.
    Texts,
    /// An object.
    Object(&'static [Member]),
    /// A list of objects.
    List(&'static [Member]),
}

const fn member(name: &'static str, shape: Shape, about: &'static str) -> Member {
    Member {
        name,
        shape,
        is_required: false,
        about,
    }
}

const fn required(name: &'static str, shape: Shape, about: &'static str) -> Member {
    Member {
        name,
        shape,
        is_required: true,
        about,
    }
}

/// Decisions of a policy.
pub const DECISIONS: &[&str] = &[
    "allow",
    "deny",
    "redact",
    "require_approval",
    "not_evaluated",
];

const REASONS: &[&str] = &[
    "missing",
    "unknown",
    "expired",
    "not_yet_valid",
    "revoked",
    "duplicate",
    "malformed",
    "in_url",
    "wrong_issuer",
    "unverified",
    "contradictory",
];

/// A part of the content.
const PARTS: &[Member] = &[
    required("event", Shape::Kind, "The kind of its event."),
    member(
        "from",
        Shape::Words(Author::WORDS),
        "The author of a message.",
    ),
    member(
        "part",
        Shape::Words(Part::WORDS),
        "The part of a message or response, if it is not its visible text.",
    ),
    member("choice", Shape::Count, "The alternative response, from 1."),
    member(
        "tool",
        Shape::Text,
        "The tool that was called, or that the result is of.",
    ),
    member("text", Shape::Text, "The text."),
    member(
        "args",
        Shape::Text,
        "The arguments of a call: JSON in a string, which may be cut.",
    ),
];

/// The members of an audit event.
pub const MEMBERS: &[Member] = &[
    required("v", Shape::Version(1), "The version of this format."),
    required(
        "ts",
        Shape::Form(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
        "Start of the exchange, UTC; its end if the filter did not see its headers.",
    ),
    member(
        "request_id",
        Shape::Text,
        "`x-request-id`. Denials have it too.",
    ),
    required(
        "chain",
        Shape::Object(&[
            required(
                "id",
                Shape::Form("^[0-9a-f]{16}$"),
                "Each VM has a chain of its own.",
            ),
            required("seq", Shape::Count, "The place in the chain, from 0."),
            required(
                "prev",
                Shape::Form("^[0-9a-f]{64}$"),
                "The record before, by its MAC or SHA-256.",
            ),
            member("start", Shape::True, "The first record of the chain."),
            member(
                "mac",
                Shape::Form("^[0-9a-f]{64}$"),
                "HMAC-SHA-256 over the line without this member.",
            ),
        ]),
        "The link to the record before.",
    ),
    member(
        "traceparent",
        Shape::Form("^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"),
        "W3C trace context of the request: trace id and span id. Absent if it is not valid.",
    ),
    member(
        "interim",
        Shape::True,
        "A stream was restricted and goes on: another record follows at its end. Only in Envoy's own log.",
    ),
    required(
        "policy",
        Shape::Object(&[
            required("name", Shape::Text, "Its name."),
            required(
                "version",
                Shape::Form("^sha256:[0-9a-f]{64}$"),
                "What `agentguard build` prints.",
            ),
            required(
                "mode",
                Shape::Words(&["enforce", "observe"]),
                "Whether decisions were enforced.",
            ),
        ]),
        "The policy in force.",
    ),
    member(
        "principal",
        Shape::Object(&[
            member("id", Shape::Text, "The user or service."),
            member("agent", Shape::Text, "The agent."),
            member("client", Shape::Text, "The application or key."),
            member("tenant", Shape::Text, "The tenant."),
            member("roles", Shape::Texts, "The roles."),
            member("via", Shape::Text, "The source of the identity."),
        ]),
        "Who asked. Absent if the caller is unknown.",
    ),
    member(
        "authentication",
        Shape::Object(&[
            required(
                "source",
                Shape::Text,
                "The policy's source that recognised it; `none` if none did.",
            ),
            required("reason", Shape::Words(REASONS), "What is wrong with it."),
            member(
                "client",
                Shape::Text,
                "Whose credential it is, if that is known.",
            ),
        ]),
        "Why a credential is invalid, or that there is none and the policy requires one.",
    ),
    member(
        "client",
        Shape::Text,
        "The client's address, found as the policy's `client_address` says. Absent if it is not known.",
    ),
    member("method", Shape::Text, "The method of the request."),
    member(
        "host",
        Shape::Text,
        "The host that was asked for, without its port.",
    ),
    member(
        "path",
        Shape::Text,
        "The path. Identifiers are `{id}`, secrets and personal data a label such as `[EMAIL]`; the query is left out.",
    ),
    member(
        "protocol",
        Shape::Protocol,
        "The protocol; `unknown` if the request is of none.",
    ),
    member("provider", Shape::Text, "The provider of the model."),
    member(
        "model",
        Shape::Text,
        "The model. Several are joined by a comma.",
    ),
    member(
        "endpoint",
        Shape::Text,
        "The operation of the protocol. A method of MCP or A2A that is not known is as the client wrote it, secrets masked.",
    ),
    member(
        "stream",
        Shape::Boolean,
        "Whether the client asked for a stream.",
    ),
    required("decision", Shape::Words(DECISIONS), "What happened."),
    member(
        "would",
        Shape::Words(DECISIONS),
        "What enforcement would have done, if that differs.",
    ),
    member(
        "code",
        Shape::Code,
        "The code of a denial: `agentguard explain CODE`.",
    ),
    member(
        "kill",
        Shape::Object(&[required("generation", Shape::Count, "Of the kill list.")]),
        "The kill list that stopped the exchange or a call.",
    ),
    required(
        "status",
        Shape::Status,
        "The status sent to the client; 0 if none was.",
    ),
    member(
        "ended",
        Shape::Text,
        "Envoy's reason, where the exchange did not end with the upstream's or the filter's own response: `response_timeout`, \
         `downstream_remote_disconnect`.",
    ),
    member(
        "rules",
        Shape::List(&[
            required("id", Shape::Text, "The rule's id."),
            required(
                "action",
                Shape::Words(&[
                    "allow",
                    "deny",
                    "redact",
                    "require_approval",
                    "tag",
                    "limit",
                ]),
                "The rule's action.",
            ),
            required("event", Shape::Kind, "The kind of event that matched."),
            member(
                "at",
                Shape::Text,
                "Where the first match stood: a JSON Pointer.",
            ),
            required(
                "mode",
                Shape::Words(&["enforce", "observe"]),
                "The rule's mode.",
            ),
            member(
                "form",
                Shape::Words(&["label"]),
                "A label was written instead of a pseudonym: the provider stores the conversation, or the text is in a response.",
            ),
        ]),
        "The rules that matched, by id.",
    ),
    member(
        "undecided",
        Shape::Texts,
        "Rules on content that could not be inspected, by id. The code decided without them, because their conditions could not be \
         evaluated.",
    ),
    member("findings", Shape::Counts, "Findings of each detector."),
    member("events", Shape::Counts, "Events of each kind."),
    member("tools", Shape::Texts, "The tools that were called."),
    member("tags", Shape::Texts, "The tags that rules set."),
    required(
        "coverage",
        Shape::Object(&[
            required(
                "level",
                Shape::Words(&["full", "partial", "none", "ignored"]),
                "`ignored`: the policy does not apply.",
            ),
            required(
                "reasons",
                Shape::Texts,
                "What was not inspected: `request:AG2005`, `response:incomplete`.",
            ),
        ]),
        "How much of the exchange was inspected.",
    ),
    member(
        "usage",
        Shape::Object(&[
            member("input_tokens", Shape::Count, "Of the request."),
            member("output_tokens", Shape::Count, "Of the response."),
            member(
                "other_input_tokens",
                Shape::Count,
                "Of the request, but not among the provider's input tokens: read from its cache or written to it, from tools that it ran. Charged to limits as input.",
            ),
            member(
                "other_output_tokens",
                Shape::Count,
                "Of the response, but not among the provider's output tokens: reasoning. Charged to limits as output.",
            ),
        ]),
        "Tokens, as the provider reports them.",
    ),
    member(
        "approval",
        Shape::Object(&[
            required("id", Shape::Text, "Of the request for it."),
            required(
                "digest",
                Shape::Text,
                "Of the arguments, or of what the rule binds.",
            ),
            required(
                "state",
                Shape::Words(&["required", "approved", "invalid", "unanswered", "waiting"]),
                "What became of it.",
            ),
            member(
                "detail",
                Shape::Text,
                "What is wrong with the token that came, or with the approval service.",
            ),
        ]),
        "An approval that was asked for or given.",
    ),
    member(
        "limits",
        Shape::List(&[
            required("id", Shape::Text, "The limit's id."),
            required("used", Shape::Number, "After the last charge."),
            required("max", Shape::Number, "What is free."),
            member("exceeded", Shape::True, "Something was over the limit."),
            member(
                "session",
                Shape::Text,
                "What named the session, of a limit for each.",
            ),
        ]),
        "The limits that it was charged to, by id.",
    ),
    member(
        "shadow",
        Shape::Object(&[
            required(
                "decision",
                Shape::Words(DECISIONS),
                "What it would have done.",
            ),
            member("rules", Shape::Texts, "Its rules that matched, by id."),
        ]),
        "What the shadow policy says.",
    ),
    member(
        "truncated",
        Shape::Texts,
        "The lists of which there is more: `tools`, `coverage.reasons`.",
    ),
    member(
        "duration_ms",
        Shape::Count,
        "From the request's headers to the end of the exchange. Absent if the filter did not see its headers.",
    ),
    required(
        "timing",
        Shape::Object(&[
            required("inspect_us", Shape::Count, "Time spent in the filter."),
            required(
                "held_us",
                Shape::Count,
                "Time for which bytes waited for a decision.",
            ),
        ]),
        "What the filter cost, in microseconds.",
    ),
    member(
        "content",
        Shape::Object(&[
            required(
                "form",
                Shape::Words(&["redacted", "full"]),
                "What the policy asks for.",
            ),
            member(
                "request",
                Shape::List(PARTS),
                "What the request says that earlier ones did not.",
            ),
            member(
                "response",
                Shape::List(PARTS),
                "What the response says, as it came.",
            ),
            member(
                "truncated",
                Shape::Texts,
                "The halves of which there is more: `request`, `response`.",
            ),
        ]),
        "What was said, if the policy's `audit.content` asks for it.",
    ),
];

/// Returns the JSON Schema of one audit event. Later versions only add members, so a reader must accept unknown ones.
pub fn schema() -> Value {
    let mut schema = object(MEMBERS);
    if let Some(members) = schema.as_object_mut() {
        let draft = "https://json-schema.org/draft/2020-12/schema";
        members.insert("$schema".to_owned(), draft.into());
        let id = "https://agentguard.dev/schema/v1/audit.json";
        members.insert("$id".to_owned(), id.into());
        members.insert("title".to_owned(), "AgentGuard audit line".into());
    }
    schema
}

fn object(members: &[Member]) -> Value {
    let properties: Map<String, Value> = members
        .iter()
        .map(|member| {
            let mut value = value(member.shape);
            if let Some(keys) = value.as_object_mut() {
                keys.insert("description".to_owned(), member.about.into());
            }
            (member.name.to_owned(), value)
        })
        .collect();
    let required: Vec<&str> = members
        .iter()
        .filter(|member| member.is_required)
        .map(|member| member.name)
        .collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn value(shape: Shape) -> Value {
    let count = || json!({"type": "integer", "minimum": 0});
    match shape {
        Shape::Version(version) => json!({"const": version}),
        Shape::Text => json!({"type": "string"}),
        Shape::Form(pattern) => json!({"type": "string", "pattern": pattern}),
        Shape::Words(words) => json!({"enum": words}),
        Shape::Kind => {
            let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
            json!({"enum": kinds})
        }
        Shape::Code => {
            let codes: Vec<&str> = CODES.iter().map(|code| code.id).collect();
            json!({"enum": codes})
        }
        Shape::Protocol => {
            let names: Vec<&str> = PROTOCOL_NAMES.iter().copied().chain(["unknown"]).collect();
            json!({"type": "string", "examples": names})
        }
        Shape::Count => count(),
        Shape::Number => json!({"type": "number", "minimum": 0}),
        Shape::Status => json!({"type": "integer", "minimum": 0, "maximum": 999}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::True => json!({"const": true}),
        Shape::Counts => json!({"type": "object", "additionalProperties": count()}),
        Shape::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Shape::Object(members) => object(members),
        Shape::List(members) => json!({"type": "array", "items": object(members)}),
    }
}
