//! Rows of both versions, in both spellings: JSON has `messageId`, the SDK's HTTP+JSON of 0.3 also
//! `message_id`.

use crate::event::Part;
use crate::protocol::reader::{Row, Type};

const STATES: &str = "submitted|working|input-required|completed|canceled|failed|rejected|\
     auth-required|unknown|TASK_STATE_UNSPECIFIED|TASK_STATE_SUBMITTED|\
     TASK_STATE_WORKING|TASK_STATE_COMPLETED|TASK_STATE_FAILED|TASK_STATE_CANCELED|\
     TASK_STATE_CANCELLED|TASK_STATE_REJECTED|TASK_STATE_INPUT_REQUIRED|\
     TASK_STATE_AUTH_REQUIRED";
const KINDS: &str = "message|task|status-update|artifact-update|text|file|data";

const ROLE: Type = Type::Word("user|agent|ROLE_USER|ROLE_AGENT|ROLE_UNSPECIFIED");

const META: Type = Type::Tree(Part::Other);

/// Message of either side.
pub(super) const MESSAGE: &[Row] = &[
    ("messageId", Type::PeerId),
    ("message_id", Type::PeerId),
    ("contextId", Type::PeerId),
    ("context_id", Type::PeerId),
    ("taskId", Type::PeerId),
    ("task_id", Type::PeerId),
    ("role", ROLE),
    ("kind", Type::Word(KINDS)),
    ("parts", Type::Custom),
    ("content", Type::Custom),
    ("metadata", META),
    ("extensions", Type::List(&Type::Reference)),
    ("referenceTaskIds", Type::List(&Type::PeerId)),
    ("reference_task_ids", Type::List(&Type::PeerId)),
];

/// A part of it: text, file, data.
pub(super) const PART: &[Row] = &[
    ("kind", Type::Word(KINDS)),
    ("type", Type::Word(KINDS)),
    ("text", Type::Custom),
    ("raw", Type::Custom),
    ("url", Type::Url),
    ("filename", Type::Text(Part::Other)),
    ("mediaType", Type::Mime),
    ("media_type", Type::Mime),
    ("data", Type::Tree(Part::Other)),
    ("file", Type::Object(FILE)),
    ("metadata", META),
];

const FILE: &[Row] = &[
    ("bytes", Type::Custom),
    ("fileWithBytes", Type::Custom),
    ("file_with_bytes", Type::Custom),
    ("uri", Type::Url),
    ("fileWithUri", Type::Url),
    ("file_with_uri", Type::Url),
    ("mimeType", Type::Mime),
    ("mime_type", Type::Mime),
    ("name", Type::Text(Part::Other)),
];

const STATUS: Type = Type::Object(&[
    ("state", Type::Word(STATES)),
    ("message", Type::Custom),
    ("update", Type::Custom),
    ("timestamp", Type::PeerId),
]);

const ARTIFACT: Type = Type::Object(&[
    ("artifactId", Type::PeerId),
    ("artifact_id", Type::PeerId),
    ("name", Type::Text(Part::Other)),
    ("description", Type::Text(Part::Other)),
    ("parts", Type::Custom),
    ("metadata", META),
    ("extensions", Type::List(&Type::Reference)),
]);

/// Result of any method: a message, a task, an update of one, a list; each bare or under its name.
pub(super) const RESULT: &[Row] = &[
    ("message", Type::Custom),
    ("msg", Type::Custom),
    ("task", Type::Object(TASK)),
    ("statusUpdate", Type::Object(UPDATE)),
    ("status_update", Type::Object(UPDATE)),
    ("artifactUpdate", Type::Object(UPDATE)),
    ("artifact_update", Type::Object(UPDATE)),
    ("tasks", Type::List(&Type::Object(TASK))),
    ("nextPageToken", Type::PeerId),
    ("next_page_token", Type::PeerId),
    ("pageSize", Type::Number),
    ("totalSize", Type::Number),
    ("configs", Type::List(&Type::Object(CONFIG))),
    // Of a bare message, task or update.
    ("id", Type::PeerId),
    ("messageId", Type::PeerId),
    ("message_id", Type::PeerId),
    ("contextId", Type::PeerId),
    ("context_id", Type::PeerId),
    ("taskId", Type::PeerId),
    ("task_id", Type::PeerId),
    ("role", ROLE),
    ("kind", Type::Word(KINDS)),
    ("parts", Type::Custom),
    ("content", Type::Custom),
    ("status", STATUS),
    ("artifact", ARTIFACT),
    ("artifacts", Type::List(&ARTIFACT)),
    ("history", Type::Custom),
    ("metadata", META),
    ("extensions", Type::List(&Type::Reference)),
    ("referenceTaskIds", Type::List(&Type::PeerId)),
    ("append", Type::Flag),
    ("lastChunk", Type::Flag),
    ("last_chunk", Type::Flag),
    ("final", Type::Flag),
    // Of a bare push notification.
    ("url", Type::Reference),
    ("token", Type::PeerId),
    ("tenant", Type::PeerId),
    ("authentication", AUTHENTICATION),
    ("pushNotificationConfig", Type::Object(CONFIG)),
    ("push_notification_config", Type::Object(CONFIG)),
    ("name", Type::Text(Part::Other)),
];

const TASK: &[Row] = &[
    ("id", Type::PeerId),
    ("contextId", Type::PeerId),
    ("context_id", Type::PeerId),
    ("kind", Type::Word(KINDS)),
    ("status", STATUS),
    ("artifacts", Type::List(&ARTIFACT)),
    ("history", Type::Custom),
    ("metadata", META),
];

const UPDATE: &[Row] = &[
    ("taskId", Type::PeerId),
    ("task_id", Type::PeerId),
    ("contextId", Type::PeerId),
    ("context_id", Type::PeerId),
    ("kind", Type::Word(KINDS)),
    ("status", STATUS),
    ("artifact", ARTIFACT),
    ("append", Type::Flag),
    ("lastChunk", Type::Flag),
    ("last_chunk", Type::Flag),
    ("final", Type::Flag),
    ("metadata", META),
];

const AUTHENTICATION: Type = Type::Object(&[
    ("schemes", Type::List(&Type::PeerId)),
    ("scheme", Type::PeerId),
    ("credentials", Type::PeerId),
]);

/// Webhook for updates.
const CONFIG: &[Row] = &[
    ("id", Type::PeerId),
    ("name", Type::PeerId),
    ("taskId", Type::PeerId),
    ("task_id", Type::PeerId),
    ("tenant", Type::PeerId),
    ("url", Type::Reference),
    ("token", Type::PeerId),
    ("authentication", AUTHENTICATION),
    (
        "pushNotificationConfig",
        Type::Object(&[
            ("id", Type::PeerId),
            ("url", Type::Reference),
            ("token", Type::PeerId),
            ("authentication", AUTHENTICATION),
        ]),
    ),
];

/// Parameters of every request, the same in JSON-RPC's `params` and in the body of HTTP+JSON.
pub(super) const PARAMS: &[Row] = &[
    ("message", Type::Custom),
    // The SDK's HTTP+JSON of 0.3.
    ("request", Type::Custom),
    (
        "configuration",
        Type::Object(&[
            ("acceptedOutputModes", Type::List(&Type::PeerId)),
            ("accepted_output_modes", Type::List(&Type::PeerId)),
            ("blocking", Type::Flag),
            ("returnImmediately", Type::Flag),
            ("return_immediately", Type::Flag),
            ("historyLength", Type::Number),
            ("history_length", Type::Number),
            ("pushNotificationConfig", Type::Object(CONFIG)),
            ("push_notification_config", Type::Object(CONFIG)),
            ("push_notification", Type::Object(CONFIG)),
            ("taskPushNotificationConfig", Type::Object(CONFIG)),
            ("task_push_notification_config", Type::Object(CONFIG)),
        ]),
    ),
    ("metadata", META),
    ("tenant", Type::PeerId),
    ("id", Type::PeerId),
    ("name", Type::PeerId),
    ("parent", Type::PeerId),
    ("taskId", Type::PeerId),
    ("task_id", Type::PeerId),
    ("configId", Type::PeerId),
    ("config_id", Type::PeerId),
    ("config", Type::Object(CONFIG)),
    ("pushNotificationConfig", Type::Object(CONFIG)),
    ("pushNotificationConfigId", Type::PeerId),
    ("contextId", Type::PeerId),
    ("status", Type::Word(STATES)),
    ("historyLength", Type::Number),
    ("history_length", Type::Number),
    ("pageSize", Type::Number),
    ("pageToken", Type::PeerId),
    ("includeArtifacts", Type::Flag),
    ("statusTimestampAfter", Type::PeerId),
    ("url", Type::Reference),
    ("token", Type::PeerId),
    ("authentication", AUTHENTICATION),
];

/// An error of HTTP+JSON: `google.rpc.Status`.
pub(super) const ERROR: &[Row] = &[
    ("code", Type::Number),
    ("status", Type::PeerId),
    ("message", Type::Text(Part::Other)),
    ("details", Type::Tree(Part::Other)),
];
