//! What stands where, in both versions and both spellings: JSON has `messageId`, the SDK's HTTP+JSON of 0.3 also
//! `message_id`.

use crate::event::Part;
use crate::protocol::reader::{Field, How, field};

const STATES: &[&str] = &[
    "submitted",
    "working",
    "input-required",
    "completed",
    "canceled",
    "failed",
    "rejected",
    "auth-required",
    "unknown",
    "TASK_STATE_UNSPECIFIED",
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_CANCELLED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_AUTH_REQUIRED",
];
const KINDS: &[&str] = &[
    "message",
    "task",
    "status-update",
    "artifact-update",
    "text",
    "file",
    "data",
];

const ROLE: How = How::Word(&[
    "user",
    "agent",
    "ROLE_USER",
    "ROLE_AGENT",
    "ROLE_UNSPECIFIED",
]);

const META: How = How::Tree(Part::Other);

/// Something that one side says.
pub(super) const MESSAGE: &[Field] = &[
    field("messageId", How::Id),
    field("message_id", How::Id),
    field("contextId", How::Id),
    field("context_id", How::Id),
    field("taskId", How::Id),
    field("task_id", How::Id),
    field("role", ROLE),
    field("kind", How::Word(KINDS)),
    field("parts", How::Own),
    field("content", How::Own),
    field("metadata", META),
    field("extensions", How::List(&How::Reference)),
    field("referenceTaskIds", How::List(&How::Id)),
    field("reference_task_ids", How::List(&How::Id)),
];

/// A part of it: text, file, data.
pub(super) const PART: &[Field] = &[
    field("kind", How::Word(KINDS)),
    field("type", How::Word(KINDS)),
    field("text", How::Own),
    field("raw", How::Own),
    field("url", How::Url),
    field("filename", How::Part(Part::Other)),
    field("mediaType", How::MediaType),
    field("media_type", How::MediaType),
    field("data", How::Tree(Part::Other)),
    field("file", How::Object(FILE)),
    field("metadata", META),
];

const FILE: &[Field] = &[
    field("bytes", How::Own),
    field("fileWithBytes", How::Own),
    field("file_with_bytes", How::Own),
    field("uri", How::Url),
    field("fileWithUri", How::Url),
    field("file_with_uri", How::Url),
    field("mimeType", How::MediaType),
    field("mime_type", How::MediaType),
    field("name", How::Part(Part::Other)),
];

const STATUS: How = How::Object(&[
    field("state", How::Word(STATES)),
    field("message", How::Own),
    field("update", How::Own),
    field("timestamp", How::Id),
]);

const ARTIFACT: How = How::Object(&[
    field("artifactId", How::Id),
    field("artifact_id", How::Id),
    field("name", How::Part(Part::Other)),
    field("description", How::Part(Part::Other)),
    field("parts", How::Own),
    field("metadata", META),
    field("extensions", How::List(&How::Reference)),
]);

/// What an agent answers, whatever was asked: a message, a task, an update of one, a list; each bare or under its name.
pub(super) const RESULT: &[Field] = &[
    field("message", How::Own),
    field("msg", How::Own),
    field("task", How::Object(TASK)),
    field("statusUpdate", How::Object(UPDATE)),
    field("status_update", How::Object(UPDATE)),
    field("artifactUpdate", How::Object(UPDATE)),
    field("artifact_update", How::Object(UPDATE)),
    field("tasks", How::List(&How::Object(TASK))),
    field("nextPageToken", How::Id),
    field("next_page_token", How::Id),
    field("pageSize", How::Number),
    field("totalSize", How::Number),
    field("configs", How::List(&How::Object(CONFIG))),
    // Of a bare message, task or update.
    field("id", How::Id),
    field("messageId", How::Id),
    field("message_id", How::Id),
    field("contextId", How::Id),
    field("context_id", How::Id),
    field("taskId", How::Id),
    field("task_id", How::Id),
    field("role", ROLE),
    field("kind", How::Word(KINDS)),
    field("parts", How::Own),
    field("content", How::Own),
    field("status", STATUS),
    field("artifact", ARTIFACT),
    field("artifacts", How::List(&ARTIFACT)),
    field("history", How::Own),
    field("metadata", META),
    field("extensions", How::List(&How::Reference)),
    field("referenceTaskIds", How::List(&How::Id)),
    field("append", How::Flag),
    field("lastChunk", How::Flag),
    field("last_chunk", How::Flag),
    field("final", How::Flag),
    // Of a bare push notification.
    field("url", How::Reference),
    field("token", How::Id),
    field("tenant", How::Id),
    field("authentication", AUTHENTICATION),
    field("pushNotificationConfig", How::Object(CONFIG)),
    field("push_notification_config", How::Object(CONFIG)),
    field("name", How::Part(Part::Other)),
];

const TASK: &[Field] = &[
    field("id", How::Id),
    field("contextId", How::Id),
    field("context_id", How::Id),
    field("kind", How::Word(KINDS)),
    field("status", STATUS),
    field("artifacts", How::List(&ARTIFACT)),
    field("history", How::Own),
    field("metadata", META),
];

const UPDATE: &[Field] = &[
    field("taskId", How::Id),
    field("task_id", How::Id),
    field("contextId", How::Id),
    field("context_id", How::Id),
    field("kind", How::Word(KINDS)),
    field("status", STATUS),
    field("artifact", ARTIFACT),
    field("append", How::Flag),
    field("lastChunk", How::Flag),
    field("last_chunk", How::Flag),
    field("final", How::Flag),
    field("metadata", META),
];

const AUTHENTICATION: How = How::Object(&[
    field("schemes", How::List(&How::Id)),
    field("scheme", How::Id),
    field("credentials", How::Id),
]);

/// Where a server shall post updates.
const CONFIG: &[Field] = &[
    field("id", How::Id),
    field("name", How::Id),
    field("taskId", How::Id),
    field("task_id", How::Id),
    field("tenant", How::Id),
    field("url", How::Reference),
    field("token", How::Id),
    field("authentication", AUTHENTICATION),
    field(
        "pushNotificationConfig",
        How::Object(&[
            field("id", How::Id),
            field("url", How::Reference),
            field("token", How::Id),
            field("authentication", AUTHENTICATION),
        ]),
    ),
];

/// Parameters of every request, the same in JSON-RPC's `params` and in the body of HTTP+JSON.
pub(super) const PARAMS: &[Field] = &[
    field("message", How::Own),
    // The SDK's HTTP+JSON of 0.3.
    field("request", How::Own),
    field(
        "configuration",
        How::Object(&[
            field("acceptedOutputModes", How::List(&How::Id)),
            field("accepted_output_modes", How::List(&How::Id)),
            field("blocking", How::Flag),
            field("returnImmediately", How::Flag),
            field("return_immediately", How::Flag),
            field("historyLength", How::Number),
            field("history_length", How::Number),
            field("pushNotificationConfig", How::Object(CONFIG)),
            field("push_notification_config", How::Object(CONFIG)),
            field("push_notification", How::Object(CONFIG)),
            field("taskPushNotificationConfig", How::Object(CONFIG)),
            field("task_push_notification_config", How::Object(CONFIG)),
        ]),
    ),
    field("metadata", META),
    field("tenant", How::Id),
    field("id", How::Id),
    field("name", How::Id),
    field("parent", How::Id),
    field("taskId", How::Id),
    field("task_id", How::Id),
    field("configId", How::Id),
    field("config_id", How::Id),
    field("config", How::Object(CONFIG)),
    field("pushNotificationConfig", How::Object(CONFIG)),
    field("pushNotificationConfigId", How::Id),
    field("contextId", How::Id),
    field("status", How::Word(STATES)),
    field("historyLength", How::Number),
    field("history_length", How::Number),
    field("pageSize", How::Number),
    field("pageToken", How::Id),
    field("includeArtifacts", How::Flag),
    field("statusTimestampAfter", How::Id),
    field("url", How::Reference),
    field("token", How::Id),
    field("authentication", AUTHENTICATION),
];

/// An error of HTTP+JSON: `google.rpc.Status`.
pub(super) const ERROR: &[Field] = &[
    field("code", How::Number),
    field("status", How::Id),
    field("message", How::Part(Part::Other)),
    field("details", How::Tree(Part::Other)),
];
