//! Tables of MCP: every method with its parameters, and the objects of results.

use super::same_method;
use crate::event::{APPROVAL_KEY, DefaultGate, Part};
use crate::protocol::reader::{Row, Type};

/// Method of either side.
pub(super) struct Method {
    pub(super) name: &'static str,
    /// Default gate of the method, which applies if no rule matches.
    pub(super) gate: DefaultGate,
    pub(super) params: &'static [Row],
    /// Parameter that `Mcp-Name` mirrors (2026-07-28, "Standard Request Headers").
    pub(super) mirrored: Option<&'static str>,
}

impl Method {
    pub(super) fn is_notification(&self) -> bool {
        self.name.starts_with("notifications/")
    }
}

const fn plumbing(name: &'static str, params: &'static [Row]) -> Method {
    Method {
        name,
        gate: DefaultGate::Plumbing,
        params,
        mirrored: None,
    }
}

const fn governed(name: &'static str, params: &'static [Row]) -> Method {
    Method {
        name,
        gate: DefaultGate::Requests,
        params,
        mirrored: None,
    }
}

/// Returns the names of all methods.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|method| method.name)
}

/// Returns the method of this name.
pub(super) fn named(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// Returns the method that a lenient server would read in this name.
pub(super) fn named_like(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| same_method(name, method.name))
}

const METHODS: &[Method] = &[
    // Of the client.
    plumbing("initialize", INITIALIZE),
    plumbing("server/discover", ONLY_META),
    plumbing("ping", ONLY_META),
    plumbing("tools/list", PAGE),
    plumbing("resources/list", PAGE),
    plumbing("resources/templates/list", PAGE),
    plumbing("prompts/list", PAGE),
    // Parameters without content of their own: a level, an address to watch, a person's input into an argument. The
    // content of a resource or a prompt arrives only by `resources/read` and `prompts/get`.
    plumbing("logging/setLevel", SET_LEVEL),
    plumbing("resources/subscribe", RESOURCE),
    plumbing("resources/unsubscribe", RESOURCE),
    plumbing("subscriptions/listen", LISTEN),
    plumbing("completion/complete", COMPLETE),
    // Tasks continue an allowed request: without these methods an allowed call would have no result. The result is
    // inspected like any other.
    plumbing("tasks/list", PAGE),
    plumbing("tasks/get", TASK_ID),
    plumbing("tasks/result", TASK_ID),
    plumbing("tasks/cancel", TASK_ID),
    plumbing("tasks/update", TASK_ID),
    Method {
        name: "tools/call",
        gate: DefaultGate::Calls,
        params: TOOL_CALL,
        mirrored: Some("name"),
    },
    Method {
        name: "resources/read",
        gate: DefaultGate::Requests,
        params: RESOURCE,
        mirrored: Some("uri"),
    },
    Method {
        name: "prompts/get",
        gate: DefaultGate::Requests,
        params: PROMPT_GET,
        mirrored: Some("name"),
    },
    // Of the server.
    plumbing("roots/list", ONLY_META),
    governed("sampling/createMessage", SAMPLING),
    governed("elicitation/create", ELICITATION),
    // Of either.
    plumbing("notifications/initialized", ONLY_META),
    plumbing("notifications/cancelled", CANCELLED),
    plumbing("notifications/progress", PROGRESS),
    plumbing("notifications/message", LOG),
    plumbing("notifications/roots/list_changed", ONLY_META),
    plumbing("notifications/tools/list_changed", ONLY_META),
    plumbing("notifications/prompts/list_changed", ONLY_META),
    plumbing("notifications/resources/list_changed", ONLY_META),
    plumbing("notifications/resources/updated", UPDATED),
    plumbing("notifications/elicitation/complete", ELICITED),
    plumbing("notifications/tasks/status", TASK),
    // The extension of 2026-07-28 has a shorter name for it.
    plumbing("notifications/tasks", TASK),
    plumbing("notifications/subscriptions/acknowledged", LISTEN),
];

const LEVELS: &str = "debug|info|notice|warning|error|critical|alert|emergency";
const ROLES: &str = "user|assistant";

/// Keys of capabilities.
const CAPABILITIES: &str = "experimental|extensions|roots|sampling|elicitation|tasks|tools|prompts|\
     resources|logging|completions|context|form|url|list|cancel|requests|create|\
     createMessage|call|subscribe|listChanged|io.modelcontextprotocol/tasks|io.modelcontextprotocol/ui|\
     mimeTypes|text/html;profile=mcp-app";

const META: Type = Type::Object(&[
    ("progressToken", Type::PeerId),
    ("io.modelcontextprotocol/protocolVersion", Type::PeerId),
    (
        "io.modelcontextprotocol/clientInfo",
        Type::Object(IMPLEMENTATION),
    ),
    (
        "io.modelcontextprotocol/serverInfo",
        Type::Object(IMPLEMENTATION),
    ),
    (
        "io.modelcontextprotocol/clientCapabilities",
        Type::Switches(CAPABILITIES),
    ),
    ("io.modelcontextprotocol/logLevel", Type::Word(LEVELS)),
    ("io.modelcontextprotocol/subscriptionId", Type::PeerId),
    (
        "io.modelcontextprotocol/related-task",
        Type::Object(&[("taskId", Type::PeerId)]),
    ),
    (
        "io.modelcontextprotocol/relatedTaskIds",
        Type::List(&Type::PeerId),
    ),
    (APPROVAL_KEY, Type::Id),
    (
        "io.modelcontextprotocol/model-immediate-response",
        Type::Text(Part::Other),
    ),
    ("traceparent", Type::PeerId),
    ("tracestate", Type::PeerId),
    ("baggage", Type::Text(Part::Other)),
]);

const ONLY_META: &[Row] = &[("_meta", META)];

const IMPLEMENTATION: &[Row] = &[
    ("name", Type::Text(Part::Other)),
    ("title", Type::Text(Part::Other)),
    ("version", Type::Text(Part::Other)),
    ("description", Type::Text(Part::Other)),
    ("websiteUrl", Type::Reference),
    ("icons", ICONS),
];
const ICONS: Type = Type::List(&Type::Object(&[
    ("src", Type::Url),
    ("mimeType", Type::Mime),
    ("sizes", Type::List(&Type::PeerId)),
    ("theme", Type::Word("light|dark")),
]));

const INITIALIZE: &[Row] = &[
    ("protocolVersion", Type::PeerId),
    ("capabilities", Type::Switches(CAPABILITIES)),
    ("clientInfo", Type::Object(IMPLEMENTATION)),
    ("_meta", META),
];
const PAGE: &[Row] = &[("cursor", Type::PeerId), ("_meta", META)];
const TOOL_CALL: &[Row] = &[
    ("name", Type::Custom),
    ("arguments", Type::Custom),
    ("task", Type::Object(&[("ttl", Type::Number)])),
    ("inputResponses", Type::Custom),
    ("requestState", Type::Opaque),
    ("_meta", META),
];
const RESOURCE: &[Row] = &[
    ("uri", Type::Reference),
    ("inputResponses", Type::Custom),
    ("requestState", Type::Opaque),
    ("_meta", META),
];
const PROMPT_GET: &[Row] = &[
    ("name", Type::Label),
    ("arguments", Type::Tree(Part::Arguments)),
    ("inputResponses", Type::Custom),
    ("requestState", Type::Opaque),
    ("_meta", META),
];
const COMPLETE: &[Row] = &[
    (
        "ref",
        Type::Object(&[
            ("type", Type::Word("ref/prompt|ref/resource")),
            ("name", Type::Label),
            ("title", Type::Text(Part::Other)),
            ("uri", Type::Reference),
        ]),
    ),
    (
        "argument",
        Type::Object(&[("name", Type::Label), ("value", Type::Text(Part::Other))]),
    ),
    (
        "context",
        Type::Object(&[("arguments", Type::Tree(Part::Arguments))]),
    ),
    ("_meta", META),
];
const SET_LEVEL: &[Row] = &[("level", Type::Word(LEVELS)), ("_meta", META)];
const LISTEN: &[Row] = &[
    (
        "notifications",
        Type::Object(&[
            ("toolsListChanged", Type::Flag),
            ("promptsListChanged", Type::Flag),
            ("resourcesListChanged", Type::Flag),
            ("resourceSubscriptions", Type::List(&Type::Reference)),
            ("taskIds", Type::List(&Type::PeerId)),
        ]),
    ),
    ("_meta", META),
];
const TASK_ID: &[Row] = &[
    ("taskId", Type::PeerId),
    ("inputResponses", Type::Custom),
    ("requestState", Type::Opaque),
    ("_meta", META),
];
const SAMPLING: &[Row] = &[
    ("messages", Type::Custom),
    (
        "modelPreferences",
        Type::Object(&[
            ("hints", Type::List(&Type::Object(&[("name", Type::Label)]))),
            ("costPriority", Type::Number),
            ("speedPriority", Type::Number),
            ("intelligencePriority", Type::Number),
        ]),
    ),
    ("systemPrompt", Type::Text(Part::Other)),
    ("includeContext", Type::Word("none|thisServer|allServers")),
    ("temperature", Type::Number),
    ("maxTokens", Type::Number),
    ("stopSequences", Type::List(&Type::Text(Part::Other))),
    ("metadata", Type::Tree(Part::Other)),
    ("tools", Type::Custom),
    (
        "toolChoice",
        Type::Object(&[("mode", Type::Word("auto|required|none"))]),
    ),
    ("task", Type::Object(&[("ttl", Type::Number)])),
    ("_meta", META),
];
const ELICITATION: &[Row] = &[
    ("mode", Type::Word("form|url")),
    ("message", Type::Text(Part::Other)),
    ("requestedSchema", Type::Tree(Part::Definition)),
    ("url", Type::Reference),
    ("elicitationId", Type::PeerId),
    ("task", Type::Object(&[("ttl", Type::Number)])),
    ("_meta", META),
];
const CANCELLED: &[Row] = &[
    ("requestId", Type::PeerId),
    ("reason", Type::Text(Part::Other)),
    ("_meta", META),
];
const PROGRESS: &[Row] = &[
    ("progressToken", Type::PeerId),
    ("progress", Type::Number),
    ("total", Type::Number),
    ("message", Type::Text(Part::Other)),
    ("_meta", META),
];
const LOG: &[Row] = &[
    ("level", Type::Word(LEVELS)),
    ("logger", Type::Text(Part::Other)),
    ("data", Type::Tree(Part::Other)),
    ("_meta", META),
];
const UPDATED: &[Row] = &[("uri", Type::Reference), ("_meta", META)];
const ELICITED: &[Row] = &[("elicitationId", Type::PeerId), ("_meta", META)];

const STATES: &str = "working|input_required|completed|failed|cancelled";
/// Task. Since 2026-07-28 it contains the outcome of the request that it continues, or the input that it waits for.
pub(super) const TASK: &[Row] = &[
    ("taskId", Type::PeerId),
    ("status", Type::Word(STATES)),
    ("statusMessage", Type::Text(Part::Other)),
    ("createdAt", Type::PeerId),
    ("lastUpdatedAt", Type::PeerId),
    ("ttl", Type::Number),
    ("ttlMs", Type::Number),
    ("pollInterval", Type::Number),
    ("pollIntervalMs", Type::Number),
    ("result", Type::Custom),
    ("error", Type::Custom),
    ("inputRequests", Type::Custom),
    ("requestState", Type::Opaque),
    ("_meta", META),
];

/// Members of a client's result for a request of the server: elicitation, sampling, `roots/list`, tasks.
pub(super) const CLIENT_RESULT: &[Row] = &[
    ("action", Type::Word("accept|decline|cancel")),
    ("content", Type::Custom),
    ("role", Type::Word(ROLES)),
    ("model", Type::Label),
    ("stopReason", Type::PeerId),
    (
        "roots",
        Type::List(&Type::Object(&[
            ("uri", Type::Reference),
            ("name", Type::Text(Part::Other)),
            ("_meta", META),
        ])),
    ),
    ("task", Type::Object(TASK)),
    ("tasks", Type::List(&Type::Object(TASK))),
    ("nextCursor", Type::PeerId),
    ("taskId", Type::PeerId),
    ("status", Type::Word(STATES)),
    ("statusMessage", Type::Text(Part::Other)),
    ("createdAt", Type::PeerId),
    ("lastUpdatedAt", Type::PeerId),
    ("ttl", Type::Number),
    ("pollInterval", Type::Number),
    ("_meta", META),
];

/// Members of a server's results, for any request: each member has one meaning, so that a result for another request is
/// read, too. A result may also be a [task](TASK).
pub(super) const RESULT: &[Row] = &[
    ("resultType", Type::Word("complete|input_required|task")),
    ("nextCursor", Type::PeerId),
    ("cacheScope", Type::Word("private|public")),
    ("tools", Type::Custom),
    ("content", Type::Custom),
    ("structuredContent", Type::Custom),
    ("isError", Type::Flag),
    ("resources", Type::List(&Type::Object(LISTED))),
    ("resourceTemplates", Type::List(&Type::Object(LISTED))),
    ("prompts", Type::List(&Type::Object(LISTED))),
    ("contents", Type::Custom),
    ("messages", Type::Custom),
    ("description", Type::Text(Part::Definition)),
    ("instructions", Type::Text(Part::Other)),
    ("serverInfo", Type::Object(IMPLEMENTATION)),
    ("capabilities", Type::Switches(CAPABILITIES)),
    ("protocolVersion", Type::PeerId),
    ("supportedVersions", Type::List(&Type::PeerId)),
    (
        "completion",
        Type::Object(&[
            ("values", Type::List(&Type::Text(Part::Other))),
            ("total", Type::Number),
            ("hasMore", Type::Flag),
        ]),
    ),
    ("task", Type::Object(TASK)),
    ("tasks", Type::List(&Type::Object(TASK))),
];

/// Members of resources, templates of resources, and prompts in lists.
const LISTED: &[Row] = &[
    ("uri", Type::Reference),
    ("uriTemplate", Type::Reference),
    ("name", Type::Text(Part::Definition)),
    ("title", Type::Text(Part::Definition)),
    ("description", Type::Text(Part::Definition)),
    ("mimeType", Type::Mime),
    ("size", Type::Number),
    (
        "arguments",
        Type::List(&Type::Object(&[
            ("name", Type::Text(Part::Definition)),
            ("title", Type::Text(Part::Definition)),
            ("description", Type::Text(Part::Definition)),
            ("required", Type::Flag),
        ])),
    ),
    ("icons", ICONS),
    ("annotations", ANNOTATIONS),
    ("_meta", META),
];

const ANNOTATIONS: Type = Type::Object(&[
    ("audience", Type::List(&Type::Word(ROLES))),
    ("priority", Type::Number),
    ("lastModified", Type::Text(Part::Other)),
]);

/// Members of a server's card or of a domain's catalog. Older cards list tools.
pub(super) const CARD: &[Row] = &[
    ("tools", Type::Custom),
    ("$schema", Type::Reference),
    ("name", Type::Text(Part::Definition)),
    ("title", Type::Text(Part::Definition)),
    ("description", Type::Text(Part::Definition)),
    ("version", Type::PeerId),
    ("websiteUrl", Type::Reference),
    ("repository", Type::Tree(Part::Definition)),
    ("icons", ICONS),
    ("remotes", Type::Tree(Part::Definition)),
    ("specVersion", Type::PeerId),
    ("host", Type::Tree(Part::Definition)),
    ("entries", Type::Tree(Part::Definition)),
    ("serverInfo", Type::Object(IMPLEMENTATION)),
    ("protocolVersion", Type::PeerId),
    ("supportedVersions", Type::List(&Type::PeerId)),
    ("capabilities", Type::Switches(CAPABILITIES)),
    ("transport", Type::Tree(Part::Definition)),
    ("instructions", Type::Text(Part::Other)),
    ("resources", Type::Tree(Part::Definition)),
    ("prompts", Type::Tree(Part::Definition)),
    ("_meta", META),
];

/// Members of a tool in `tools/list` and in sampling.
pub(super) const TOOL: &[Row] = &[
    ("name", Type::Custom),
    ("title", Type::Text(Part::Definition)),
    ("description", Type::Text(Part::Definition)),
    ("inputSchema", Type::Tree(Part::Definition)),
    ("outputSchema", Type::Tree(Part::Definition)),
    (
        "annotations",
        Type::Object(&[
            ("title", Type::Text(Part::Definition)),
            ("readOnlyHint", Type::Flag),
            ("destructiveHint", Type::Flag),
            ("idempotentHint", Type::Flag),
            ("openWorldHint", Type::Flag),
        ]),
    ),
    (
        "execution",
        Type::Object(&[("taskSupport", Type::Word("forbidden|optional|required"))]),
    ),
    ("icons", ICONS),
    ("_meta", META),
];

/// Members of a content block: text, image, audio, a link to a resource, a resource, and in sampling calls and results
/// of tools.
pub(super) const CONTENT: &[Row] = &[
    (
        "type",
        Type::Word("text|image|audio|resource_link|resource|tool_use|tool_result"),
    ),
    ("text", Type::Spoken),
    ("data", Type::Custom),
    ("mimeType", Type::Mime),
    ("uri", Type::Reference),
    ("name", Type::Custom),
    ("title", Type::Text(Part::Other)),
    ("description", Type::Text(Part::Other)),
    ("size", Type::Number),
    ("icons", ICONS),
    ("resource", Type::Custom),
    ("id", Type::PeerId),
    ("input", Type::Custom),
    ("toolUseId", Type::PeerId),
    ("content", Type::Custom),
    ("structuredContent", Type::Custom),
    ("isError", Type::Flag),
    ("annotations", ANNOTATIONS),
    ("_meta", META),
];

/// Members of the content of a resource.
pub(super) const RESOURCE_CONTENTS: &[Row] = &[
    ("uri", Type::Reference),
    ("name", Type::Text(Part::Other)),
    ("title", Type::Text(Part::Other)),
    ("mimeType", Type::Mime),
    ("text", Type::Spoken),
    ("blob", Type::Custom),
    ("annotations", ANNOTATIONS),
    ("_meta", META),
];

/// Members of a message of a prompt or of a sampling.
pub(super) const SPOKEN: &[Row] = &[
    ("role", Type::Word(ROLES)),
    ("content", Type::Custom),
    ("_meta", META),
];

/// Members of a request of the server inside a result (2026-07-28, "Multi Round-Trip Requests").
pub(super) const INPUT_REQUEST: &[Row] = &[("method", Type::Custom), ("params", Type::Custom)];
