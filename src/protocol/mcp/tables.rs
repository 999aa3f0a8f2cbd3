//! What stands where: every method with its parameters, and the objects that results are made of.

use super::same_method;
use crate::event::{DefaultGate, Part};
use crate::protocol::reader::{Field, How, field};

/// A method of either side.
pub(super) struct Method {
    pub(super) name: &'static str,
    /// Who lets it pass where no rule decides.
    pub(super) gate: DefaultGate,
    pub(super) params: &'static [Field],
    /// The parameter that `Mcp-Name` mirrors (2026-07-28, "Standard Request Headers").
    pub(super) mirrored: Option<&'static str>,
}

impl Method {
    pub(super) fn is_notification(&self) -> bool {
        self.name.starts_with("notifications/")
    }
}

const fn plumbing(name: &'static str, params: &'static [Field]) -> Method {
    Method {
        name,
        gate: DefaultGate::Plumbing,
        params,
        mirrored: None,
    }
}

const fn governed(name: &'static str, params: &'static [Field]) -> Method {
    Method {
        name,
        gate: DefaultGate::Requests,
        params,
        mirrored: None,
    }
}

/// The method of that name.
pub(super) fn named(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// The method that a lenient server would take for this name.
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
    // A level, an address to watch, what a person types into an argument: none of them brings content of its own. What a
    // resource or a prompt holds comes only by `resources/read` and `prompts/get`.
    plumbing("logging/setLevel", SET_LEVEL),
    plumbing("resources/subscribe", RESOURCE),
    plumbing("resources/unsubscribe", RESOURCE),
    plumbing("subscriptions/listen", LISTEN),
    plumbing("completion/complete", COMPLETE),
    // A task is the rest of a request that was let through: without them an allowed call never comes to its result, which
    // is inspected as any other.
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
    plumbing("notifications/subscriptions/acknowledged", LISTEN),
];

const LEVELS: &[&str] = &[
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];
const ROLES: &[&str] = &["user", "assistant"];

/// Keys that capabilities are made of.
const CAPABILITIES: &[&str] = &[
    "experimental",
    "extensions",
    "roots",
    "sampling",
    "elicitation",
    "tasks",
    "tools",
    "prompts",
    "resources",
    "logging",
    "completions",
    "context",
    "form",
    "url",
    "list",
    "cancel",
    "requests",
    "create",
    "createMessage",
    "call",
    "subscribe",
    "listChanged",
];

const META: How = How::Object(&[
    field("progressToken", How::Id),
    field("io.modelcontextprotocol/protocolVersion", How::Id),
    field(
        "io.modelcontextprotocol/clientInfo",
        How::Object(IMPLEMENTATION),
    ),
    field(
        "io.modelcontextprotocol/serverInfo",
        How::Object(IMPLEMENTATION),
    ),
    field(
        "io.modelcontextprotocol/clientCapabilities",
        How::Switches(CAPABILITIES),
    ),
    field("io.modelcontextprotocol/logLevel", How::Word(LEVELS)),
    field("io.modelcontextprotocol/subscriptionId", How::Id),
    field(
        "io.modelcontextprotocol/related-task",
        How::Object(&[field("taskId", How::Id)]),
    ),
    field("traceparent", How::Id),
    field("tracestate", How::Id),
]);

const ONLY_META: &[Field] = &[field("_meta", META)];

const IMPLEMENTATION: &[Field] = &[
    field("name", How::Part(Part::Other)),
    field("title", How::Part(Part::Other)),
    field("version", How::Part(Part::Other)),
    field("description", How::Part(Part::Other)),
    field("websiteUrl", How::Reference),
    field("icons", ICONS),
];
const ICONS: How = How::List(&How::Object(&[
    field("src", How::Url),
    field("mimeType", How::MediaType),
    field("sizes", How::List(&How::Id)),
    field("theme", How::Word(&["light", "dark"])),
]));

const INITIALIZE: &[Field] = &[
    field("protocolVersion", How::Id),
    field("capabilities", How::Switches(CAPABILITIES)),
    field("clientInfo", How::Object(IMPLEMENTATION)),
    field("_meta", META),
];
const PAGE: &[Field] = &[field("cursor", How::Id), field("_meta", META)];
const TOOL_CALL: &[Field] = &[
    field("name", How::Own),
    field("arguments", How::Own),
    field("task", How::Object(&[field("ttl", How::Number)])),
    field("inputResponses", How::Own),
    field("requestState", How::Opaque),
    field("_meta", META),
];
const RESOURCE: &[Field] = &[
    field("uri", How::Reference),
    field("inputResponses", How::Own),
    field("requestState", How::Opaque),
    field("_meta", META),
];
const PROMPT_GET: &[Field] = &[
    field("name", How::Name),
    field("arguments", How::Tree(Part::Arguments)),
    field("inputResponses", How::Own),
    field("requestState", How::Opaque),
    field("_meta", META),
];
const COMPLETE: &[Field] = &[
    field(
        "ref",
        How::Object(&[
            field("type", How::Word(&["ref/prompt", "ref/resource"])),
            field("name", How::Name),
            field("title", How::Part(Part::Other)),
            field("uri", How::Reference),
        ]),
    ),
    field(
        "argument",
        How::Object(&[
            field("name", How::Name),
            field("value", How::Part(Part::Other)),
        ]),
    ),
    field(
        "context",
        How::Object(&[field("arguments", How::Tree(Part::Arguments))]),
    ),
    field("_meta", META),
];
const SET_LEVEL: &[Field] = &[field("level", How::Word(LEVELS)), field("_meta", META)];
const LISTEN: &[Field] = &[
    field(
        "notifications",
        How::Object(&[
            field("toolsListChanged", How::Flag),
            field("promptsListChanged", How::Flag),
            field("resourcesListChanged", How::Flag),
            field("resourceSubscriptions", How::List(&How::Reference)),
            field("taskIds", How::List(&How::Id)),
        ]),
    ),
    field("_meta", META),
];
const TASK_ID: &[Field] = &[
    field("taskId", How::Id),
    field("inputResponses", How::Own),
    field("requestState", How::Opaque),
    field("_meta", META),
];
const SAMPLING: &[Field] = &[
    field("messages", How::Own),
    field(
        "modelPreferences",
        How::Object(&[
            field(
                "hints",
                How::List(&How::Object(&[field("name", How::Name)])),
            ),
            field("costPriority", How::Number),
            field("speedPriority", How::Number),
            field("intelligencePriority", How::Number),
        ]),
    ),
    field("systemPrompt", How::Part(Part::Other)),
    field(
        "includeContext",
        How::Word(&["none", "thisServer", "allServers"]),
    ),
    field("temperature", How::Number),
    field("maxTokens", How::Number),
    field("stopSequences", How::List(&How::Part(Part::Other))),
    field("metadata", How::Tree(Part::Other)),
    field("tools", How::Own),
    field(
        "toolChoice",
        How::Object(&[field("mode", How::Word(&["auto", "required", "none"]))]),
    ),
    field("task", How::Object(&[field("ttl", How::Number)])),
    field("_meta", META),
];
const ELICITATION: &[Field] = &[
    field("mode", How::Word(&["form", "url"])),
    field("message", How::Part(Part::Other)),
    field("requestedSchema", How::Tree(Part::Definition)),
    field("url", How::Reference),
    field("elicitationId", How::Id),
    field("task", How::Object(&[field("ttl", How::Number)])),
    field("_meta", META),
];
const CANCELLED: &[Field] = &[
    field("requestId", How::Id),
    field("reason", How::Part(Part::Other)),
    field("_meta", META),
];
const PROGRESS: &[Field] = &[
    field("progressToken", How::Id),
    field("progress", How::Number),
    field("total", How::Number),
    field("message", How::Part(Part::Other)),
    field("_meta", META),
];
const LOG: &[Field] = &[
    field("level", How::Word(LEVELS)),
    field("logger", How::Part(Part::Other)),
    field("data", How::Tree(Part::Other)),
    field("_meta", META),
];
const UPDATED: &[Field] = &[field("uri", How::Reference), field("_meta", META)];
const ELICITED: &[Field] = &[field("elicitationId", How::Id), field("_meta", META)];

const STATES: &[&str] = &[
    "working",
    "input_required",
    "completed",
    "failed",
    "cancelled",
];
const TASK: &[Field] = &[
    field("taskId", How::Id),
    field("status", How::Word(STATES)),
    field("statusMessage", How::Part(Part::Other)),
    field("createdAt", How::Id),
    field("lastUpdatedAt", How::Id),
    field("ttl", How::Number),
    field("pollInterval", How::Number),
    field("_meta", META),
];

/// What a client answers to a request of the server: to an elicitation, to a sampling, to `roots/list`.
pub(super) const CLIENT_RESULT: &[Field] = &[
    field("action", How::Word(&["accept", "decline", "cancel"])),
    field("content", How::Own),
    field("role", How::Word(ROLES)),
    field("model", How::Name),
    field("stopReason", How::Id),
    field(
        "roots",
        How::List(&How::Object(&[
            field("uri", How::Reference),
            field("name", How::Part(Part::Other)),
            field("_meta", META),
        ])),
    ),
    field("task", How::Object(TASK)),
    field("_meta", META),
];

/// What a server answers, whatever was asked: the members have one meaning each, so that an answer to another question
/// than the one that was asked is read all the same.
pub(super) const RESULT: &[Field] = &[
    field(
        "resultType",
        How::Word(&["complete", "input_required", "task"]),
    ),
    field("_meta", META),
    field("nextCursor", How::Id),
    field("ttlMs", How::Number),
    field("cacheScope", How::Word(&["private", "public"])),
    field("tools", How::Own),
    field("content", How::Own),
    field("structuredContent", How::Own),
    field("isError", How::Flag),
    field("resources", How::List(&How::Object(LISTED))),
    field("resourceTemplates", How::List(&How::Object(LISTED))),
    field("prompts", How::List(&How::Object(LISTED))),
    field("contents", How::Own),
    field("messages", How::Own),
    field("description", How::Part(Part::Definition)),
    field("instructions", How::Part(Part::Other)),
    field("serverInfo", How::Object(IMPLEMENTATION)),
    field("capabilities", How::Switches(CAPABILITIES)),
    field("protocolVersion", How::Id),
    field("supportedVersions", How::List(&How::Id)),
    field(
        "completion",
        How::Object(&[
            field("values", How::List(&How::Part(Part::Other))),
            field("total", How::Number),
            field("hasMore", How::Flag),
        ]),
    ),
    field("task", How::Object(TASK)),
    field("tasks", How::List(&How::Object(TASK))),
    field("taskId", How::Id),
    field("status", How::Word(STATES)),
    field("statusMessage", How::Part(Part::Other)),
    field("createdAt", How::Id),
    field("lastUpdatedAt", How::Id),
    field("ttl", How::Number),
    field("pollInterval", How::Number),
    field("inputRequests", How::Own),
    field("requestState", How::Opaque),
];

/// Resources, templates of resources, and prompts, as lists describe them.
const LISTED: &[Field] = &[
    field("uri", How::Reference),
    field("uriTemplate", How::Reference),
    field("name", How::Part(Part::Definition)),
    field("title", How::Part(Part::Definition)),
    field("description", How::Part(Part::Definition)),
    field("mimeType", How::MediaType),
    field("size", How::Number),
    field(
        "arguments",
        How::List(&How::Object(&[
            field("name", How::Part(Part::Definition)),
            field("title", How::Part(Part::Definition)),
            field("description", How::Part(Part::Definition)),
            field("required", How::Flag),
        ])),
    ),
    field("icons", ICONS),
    field("annotations", ANNOTATIONS),
    field("_meta", META),
];

const ANNOTATIONS: How = How::Object(&[
    field("audience", How::List(&How::Word(ROLES))),
    field("priority", How::Number),
    field("lastModified", How::Id),
]);

/// A tool as `tools/list` and sampling offer it.
pub(super) const TOOL: &[Field] = &[
    field("name", How::Own),
    field("title", How::Part(Part::Definition)),
    field("description", How::Part(Part::Definition)),
    field("inputSchema", How::Tree(Part::Definition)),
    field("outputSchema", How::Tree(Part::Definition)),
    field(
        "annotations",
        How::Object(&[
            field("title", How::Part(Part::Definition)),
            field("readOnlyHint", How::Flag),
            field("destructiveHint", How::Flag),
            field("idempotentHint", How::Flag),
            field("openWorldHint", How::Flag),
        ]),
    ),
    field(
        "execution",
        How::Object(&[field(
            "taskSupport",
            How::Word(&["forbidden", "optional", "required"]),
        )]),
    ),
    field("icons", ICONS),
    field("_meta", META),
];

/// A block of content: text, image, audio, a link to a resource, a resource, and in sampling calls and results of tools.
pub(super) const CONTENT: &[Field] = &[
    field(
        "type",
        How::Word(&[
            "text",
            "image",
            "audio",
            "resource_link",
            "resource",
            "tool_use",
            "tool_result",
        ]),
    ),
    field("text", How::Text),
    field("data", How::Own),
    field("mimeType", How::MediaType),
    field("uri", How::Reference),
    field("name", How::Own),
    field("title", How::Part(Part::Other)),
    field("description", How::Part(Part::Other)),
    field("size", How::Number),
    field("icons", ICONS),
    field("resource", How::Own),
    field("id", How::Id),
    field("input", How::Own),
    field("toolUseId", How::Id),
    field("content", How::Own),
    field("structuredContent", How::Own),
    field("isError", How::Flag),
    field("annotations", ANNOTATIONS),
    field("_meta", META),
];

/// The contents of a resource.
pub(super) const RESOURCE_CONTENTS: &[Field] = &[
    field("uri", How::Reference),
    field("name", How::Part(Part::Other)),
    field("title", How::Part(Part::Other)),
    field("mimeType", How::MediaType),
    field("text", How::Text),
    field("blob", How::Own),
    field("annotations", ANNOTATIONS),
    field("_meta", META),
];

/// A message of a prompt or of a sampling.
pub(super) const SPOKEN: &[Field] = &[
    field("role", How::Word(ROLES)),
    field("content", How::Own),
    field("_meta", META),
];

/// A request of the server inside a result (2026-07-28, "Multi Round-Trip Requests").
pub(super) const INPUT_REQUEST: &[Field] = &[field("method", How::Own), field("params", How::Own)];
