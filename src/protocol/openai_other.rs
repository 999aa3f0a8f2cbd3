//! Endpoints for what the provider keeps: files, uploads, batches, assistants and their threads, stored responses,
//! conversations, vector stores, containers, videos, fine-tuning; and the smaller endpoints of compatible servers.
//! Anthropic's and Google's files and batches have the same paths.
//!
//! One table reads all of their bodies, because a member's name has the same meaning in each of them. Everything else
//! is unknown text, and evaluated.

mod batch;
mod entries;
mod kept;
mod sessions;
mod stored;
mod stream;

use super::coverage::{RESPONSE_WITH_RESULTS, shown};
use super::openai_responses::{self, ResponsesStream};
use super::reader::Reader;
use super::routes::{self, RouteSpec, get, json};
use super::stream::StreamReader;
use super::{
    BodyForm, CONVERSATION, CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format,
    Inspected, MINTED, Protocol, RequestContext, ResponseEdit, ResponseForm, RouteHead,
    TEXT_RESPONSE, TEXTS, provider_of,
};
use crate::diag::codes;
use crate::event::Pending;
use crate::wire::json::{Edits, Value, quote};

/// Protocol of these endpoints.
pub(super) struct OpenAiOther;

/// Names of endpoints whose bodies are those of Responses.
const COUNT_TOKENS: &str = "responses.input_tokens";
const COMPACT: &str = "responses.compact";
const RETRIEVED: &str = "responses.retrieve";
const INPUT_ITEMS: &str = "responses.input_items";
/// Names of endpoints whose bodies contain requests or responses of other endpoints.
const FILE_CONTENT: &str = "files.content";
const UPLOADED: &str = "files.create";
const BATCH_REQUESTS: &str = "batches.requests";
const BATCH_RESULTS: &str = "batches.results";
const BATCH_CREATE: &str = "batches.create";
const BATCH_GENERATE: &str = "batches.generate";
const BATCH_EMBED: &str = "batches.embed";
/// Names of endpoints whose responses are those of Chat Completions.
const STORED_CHAT: &str = "chat.completions.retrieve";

/// Names of endpoints of sessions, in which an agent runs at OpenAI.
const SESSIONS: &str = "agents.sessions";
const SESSION_EVENTS: &str = "agents.sessions.events";

/// Names of endpoints that receive content and start no model of the client's choosing.
const TRACES: &str = "traces";
const OCR: &str = "ocr";
const EVALS: &str = "evals";
/// Name of endpoints that search: xAI's collections, and the web, by Perplexity and LiteLLM.
const SEARCH: &str = "search";

const fn form(path: &'static str, name: &'static str) -> RouteSpec {
    json(path, name).body(BodyForm::Multipart)
}

/// A change of what is kept, for which OpenAI has `POST`, and Mistral and Google other methods.
const fn action(path: &'static str, name: &'static str) -> RouteSpec {
    let route = json(path, name).body(BodyForm::JsonOrNothing);
    RouteSpec {
        methods: "POST PUT PATCH",
        ..route
    }
}

/// Routes; the more specific path comes before the more general one.
const ROUTES: &[RouteSpec] = &[
    json("responses/input_tokens", COUNT_TOKENS),
    json("responses/compact", COMPACT),
    action("responses/*/cancel", RETRIEVED),
    get("GET", "responses/*/input_items", INPUT_ITEMS),
    get("GET DELETE", "responses/*", RETRIEVED),
    get("GET", "chat/completions/*/messages", STORED_CHAT),
    get("GET", "chat/completions", STORED_CHAT),
    // xAI.
    get("GET", "chat/deferred-completion/*", STORED_CHAT),
    get("GET DELETE", "chat/completions/*", STORED_CHAT),
    json("chat/completions/*", STORED_CHAT),
    json("conversations/*/items", "conversations.items"),
    get("GET", "conversations/*/items", "conversations.items"),
    get(
        "GET DELETE",
        "conversations/*/items/*",
        "conversations.items",
    ),
    // Mistral.
    json("conversations/*/restart", "conversations"),
    get("GET", "conversations/*/history", "conversations"),
    get("GET", "conversations/*/messages", "conversations"),
    action("conversations/*", "conversations"),
    get("GET DELETE", "conversations/*", "conversations"),
    action("conversations", "conversations"),
    get("GET", "conversations", "conversations"),
    get("GET", "files/*/content", FILE_CONTENT).response(ResponseForm::File),
    get("GET", "containers/*/files/*/content", FILE_CONTENT).response(ResponseForm::File),
    form("containers/*/files", "containers.files"),
    get("GET", "containers/*/files", "containers.files"),
    get("GET DELETE", "containers/*/files/*", "containers.files"),
    action("containers", "containers"),
    get("GET", "containers", "containers"),
    get("GET DELETE", "containers/*", "containers"),
    action("vector_stores/*/search", "vector_stores.search"),
    action("vector_stores/*/files", "vector_stores.files"),
    action("vector_stores/*/files/*", "vector_stores.files"),
    get("GET", "vector_stores/*/files", "vector_stores.files"),
    get(
        "GET",
        "vector_stores/*/files/*/content",
        "vector_stores.files",
    ),
    get(
        "GET DELETE",
        "vector_stores/*/files/*",
        "vector_stores.files",
    ),
    action("vector_stores/*/file_batches", "vector_stores.files"),
    action(
        "vector_stores/*/file_batches/*/cancel",
        "vector_stores.files",
    ),
    get(
        "GET",
        "vector_stores/*/file_batches/*",
        "vector_stores.files",
    ),
    get(
        "GET",
        "vector_stores/*/file_batches/*/files",
        "vector_stores.files",
    ),
    action("vector_stores", "vector_stores"),
    action("vector_stores/*", "vector_stores"),
    get("GET", "vector_stores", "vector_stores"),
    get("GET DELETE", "vector_stores/*", "vector_stores"),
    form("uploads/*/parts", "uploads.parts"),
    action("uploads/*/complete", "uploads"),
    action("uploads/*/cancel", "uploads"),
    action("uploads", "uploads"),
    // Google's resumable uploads contain only the bytes of the file.
    json("upload/*/files", UPLOADED).body(BodyForm::File),
    form("files", UPLOADED),
    get("GET", "files", "files"),
    get("GET", "files/*:download", FILE_CONTENT).response(ResponseForm::Media),
    get("GET DELETE", "files/*", "files"),
    json("batches/*/requests", BATCH_REQUESTS),
    get("GET", "batches/*/requests", BATCH_REQUESTS),
    get("GET", "batches/*/results", BATCH_RESULTS),
    // Mistral.
    action("batch/jobs/*/cancel", "batches"),
    json("batch/jobs", BATCH_CREATE),
    get("GET", "batch/jobs", "batches"),
    get("GET DELETE", "batch/jobs/*", "batches"),
    action("batches/*/cancel", "batches"),
    action("batches/*:cancel", "batches"),
    json("batches", BATCH_CREATE),
    get("GET", "batches", "batches"),
    get("GET DELETE", "batches/*", "batches"),
    action("threads/*/runs/*/submit_tool_outputs", "threads.runs"),
    action("threads/*/runs/*/cancel", "threads.runs"),
    get("GET", "threads/*/runs/*/steps", "threads.runs"),
    get("GET", "threads/*/runs/*/steps/*", "threads.runs"),
    action("threads/*/runs/*", "threads.runs"),
    get("GET", "threads/*/runs/*", "threads.runs"),
    json("threads/*/runs", "threads.runs"),
    get("GET", "threads/*/runs", "threads.runs"),
    json("threads/runs", "threads.runs"),
    json("threads/*/messages", "threads.messages"),
    get("GET", "threads/*/messages", "threads.messages"),
    action("threads/*/messages/*", "threads.messages"),
    get("GET DELETE", "threads/*/messages/*", "threads.messages"),
    get("GET", "threads/*/items", "threads.messages"),
    action("threads", "threads"),
    action("threads/*", "threads"),
    get("GET", "threads", "threads"),
    get("GET DELETE", "threads/*", "threads"),
    // OpenAI.
    json("agents/sessions/*/events", SESSION_EVENTS),
    get("GET", "agents/sessions/*/events", SESSION_EVENTS),
    get("GET", "agents/sessions/*/items", SESSIONS),
    get("GET", "agents/sessions/*/turns", SESSIONS),
    get("GET", "agents/sessions/*/turns/*", SESSIONS),
    get("GET", "agents/sessions/*/turns/*/items", SESSIONS),
    get("GET", "agents/sessions/*/subagents", SESSIONS),
    get("GET", "agents/sessions/*/subagents/*", SESSIONS),
    get("GET", "agents/sessions/*/subagents/*/items", SESSIONS),
    get("GET", "agents/sessions/*/subagents/*/turns", SESSIONS),
    get("GET", "agents/sessions/*/subagents/*/turns/*", SESSIONS),
    get(
        "GET",
        "agents/sessions/*/subagents/*/turns/*/items",
        SESSIONS,
    ),
    get("GET", "agents/sessions/*/traces", SESSIONS),
    get("GET", "agents/sessions/*/artifacts", SESSIONS),
    get("GET DELETE", "agents/sessions/*/artifacts/*", SESSIONS),
    get("GET", "agents/sessions/*/artifacts/*/content", FILE_CONTENT).response(ResponseForm::File),
    action("agents/sessions", SESSIONS),
    action("agents/sessions/*", SESSIONS),
    get("GET", "agents/sessions", SESSIONS),
    get("GET DELETE", "agents/sessions/*", SESSIONS),
    action("agents/automations", SESSIONS),
    action("agents/automations/*", SESSIONS),
    action("agents/automations/*/pause", SESSIONS),
    action("agents/automations/*/resume", SESSIONS),
    action("agents/automations/*/invocations", SESSIONS),
    get("GET", "agents/automations", SESSIONS),
    get("GET", "agents/automations/*/invocations", SESSIONS),
    get("GET", "agents/automations/*/invocations/*", SESSIONS),
    get("GET DELETE", "agents/automations/*", SESSIONS),
    action("agents/environments", "agents.environments"),
    action("agents/environments/templates", "agents.environments"),
    get("GET", "agents/environments", "agents.environments"),
    get(
        "GET",
        "agents/environments/templates",
        "agents.environments",
    ),
    action("agents/environments/templates/*", "agents.environments"),
    get(
        "GET DELETE",
        "agents/environments/templates/*",
        "agents.environments",
    ),
    get("GET DELETE", "agents/environments/*", "agents.environments"),
    json("decisions", "decisions"),
    // The same at Ollama and OpenRouter.
    json("systemone", "decisions"),
    // Mistral, and Azure with versions.
    action("agents", "agents"),
    action("agents/*", "agents"),
    action("agents/*/versions", "agents"),
    get("GET", "agents", "agents"),
    get("GET DELETE", "agents/*", "agents"),
    get("GET", "agents/*/versions", "agents"),
    get("GET DELETE", "agents/*/versions/*", "agents"),
    action("libraries", "libraries"),
    action("libraries/*", "libraries"),
    form("libraries/*/documents", UPLOADED),
    get("GET", "libraries", "libraries"),
    get("GET DELETE", "libraries/*", "libraries"),
    get("GET", "libraries/*/documents", "libraries"),
    get("GET DELETE", "libraries/*/documents/*", "libraries"),
    get("GET", "libraries/*/documents/*/text_content", "libraries"),
    json("assistants", "assistants"),
    action("assistants/*", "assistants"),
    get("GET", "assistants", "assistants"),
    get("GET DELETE", "assistants/*", "assistants"),
    get("GET", "videos/*/content", FILE_CONTENT).response(ResponseForm::Media),
    form("videos/*/remix", "videos"),
    form("videos/generations", "videos"),
    form("videos/edits", "videos"),
    form("videos/extensions", "videos"),
    form("videos", "videos"),
    // Azure.
    form("video/generations/jobs", "videos"),
    get("GET", "video/generations/jobs", "videos"),
    get("GET DELETE", "video/generations/jobs/*", "videos"),
    get("GET", "video/generations/*/content/video", FILE_CONTENT).response(ResponseForm::Media),
    get("GET", "videos", "videos"),
    get("GET DELETE", "videos/*", "videos"),
    get("GET", "fine_tuning/jobs/*/events", "fine_tuning"),
    get("GET", "fine_tuning/jobs/*/checkpoints", "fine_tuning"),
    action("fine_tuning/jobs/*/cancel", "fine_tuning"),
    action("fine_tuning/jobs/*/pause", "fine_tuning"),
    action("fine_tuning/jobs/*/resume", "fine_tuning"),
    json("graders/run", EVALS),
    json("graders/validate", EVALS),
    // Together.
    action("fine-tunes/*/cancel", "fine_tuning"),
    json("fine-tunes", "fine_tuning"),
    get("GET", "fine-tunes", "fine_tuning"),
    get("GET", "fine-tunes/*", "fine_tuning"),
    get("GET", "fine-tunes/*/events", "fine_tuning"),
    json("fine_tuning/jobs", "fine_tuning"),
    get("GET", "fine_tuning/jobs", "fine_tuning"),
    get("GET", "fine_tuning/jobs/*", "fine_tuning"),
    get("GET", "checkpoints/*/permissions", "fine_tuning"),
    form("skills", "skills"),
    form("skills/*/versions", "skills"),
    // Perplexity replaces a skill by a form.
    RouteSpec {
        methods: "POST PUT PATCH",
        ..form("skills/*", "skills")
    },
    get("GET", "skills", "skills"),
    get("GET DELETE", "skills/*", "skills"),
    get("GET", "skills/*/content", FILE_CONTENT).response(ResponseForm::File),
    get("GET", "skills/*/versions", "skills"),
    get("GET DELETE", "skills/*/versions/*", "skills"),
    get("GET", "skills/*/versions/*/content", FILE_CONTENT).response(ResponseForm::File),
    get("DELETE", "models/*", "models.delete"),
    // llama.cpp and LM Studio.
    json("models/load", "models.load"),
    json("models/unload", "models.load"),
    json("models/download", "models.load"),
    // Agents SDK; Claude Code.
    json("traces/ingest", TRACES),
    json("event_logging/batch", TRACES),
    json("claude_code/metrics", TRACES),
    json("claude_cli_feedback", TRACES),
    get("GET", "claude_code/*", "settings"),
    get("GET", "claude_cli/*", "settings"),
    get("GET", "api/claude_code_grove", "settings"),
    get("GET", "api/claude_code_penguin_mode", "settings"),
    get("GET", "oauth/profile", "settings"),
    get("GET", "oauth/usage", "settings"),
    // codex.
    json("analytics-events/events", TRACES),
    // Mistral.
    json("ocr", OCR),
    json("evals/*/runs", EVALS),
    action("evals/*/runs/*", EVALS),
    action("evals/*/runs/*/cancel", EVALS),
    get("GET", "evals/*/runs", EVALS),
    get("GET DELETE", "evals/*/runs/*", EVALS),
    get("GET", "evals/*/runs/*/output_items", EVALS),
    get("GET", "evals/*/runs/*/output_items/*", EVALS),
    json("evals", EVALS),
    json("evals/*", EVALS),
    get("GET", "evals", EVALS),
    get("GET DELETE", "evals/*", EVALS),
    // llama.cpp: the requests in work, with their prompts.
    get("GET", "slots", "slots"),
    // vLLM, SGLang and llama.cpp.
    json("tokenize", "tokenize"),
    json("detokenize", "detokenize"),
    json("apply-template", "tokenize"),
    json("score", "score"),
    json("pooling", "pooling"),
    json("classify", "classify"),
    json("embedding", "pooling"),
    // SGLang; Text Embeddings Inference and Text Generation Inference of Hugging Face.
    json("encode", "pooling"),
    json("embed", "pooling"),
    json("embed_all", "pooling"),
    json("embed_sparse", "pooling"),
    json("similarity", "pooling"),
    json("decode", "detokenize"),
    json("chat_tokenize", "tokenize"),
    // Voyage, Jina, LiteLLM, xAI.
    json("multimodalembeddings", "pooling"),
    json("contextualizedembeddings", "pooling"),
    json("v1/segment", "tokenize"),
    json("utils/token_counter", "tokenize"),
    json("tokenize-text", "tokenize"),
    json("documents/search", SEARCH),
    json("v1/search/*", SEARCH),
    // Google's batches.
    json("*:batchGenerateContent", BATCH_GENERATE),
    json("*:asyncBatchEmbedContent", BATCH_EMBED),
];

/// Perplexity's search. Other services have such a path, too.
const WEB_SEARCH: RouteSpec = json("search", SEARCH);

/// Endpoints that return a key, a session or a signed URL, with which traffic bypasses the proxy.
const MINTING: &[RouteSpec] = &[
    action("realtime/client_secrets", "realtime.client_secrets"),
    action(
        "realtime/translations/client_secrets",
        "realtime.client_secrets",
    ),
    action("realtime/sessions", "realtime.sessions"),
    action("realtime/transcription_sessions", "realtime.sessions"),
    action("realtimeapi/sessions", "realtime.sessions"),
    json("realtime/calls", "realtime.calls").body(BodyForm::File),
    json("realtimertc", "realtime.calls").body(BodyForm::File),
    action("realtime/calls/*/accept", "realtime.calls"),
    action("realtime/calls/*/refer", "realtime.calls"),
    action("live/sessions", "live.sessions"),
    action("live/sessions/*/accept", "live.sessions"),
    action("live/sessions/*/fork", "live.sessions"),
    action("live/sessions/*/refer", "live.sessions"),
    action("chatkit/sessions", "chatkit.sessions"),
    get("GET", "files/*/url", "files.url"),
    action("organization/admin_api_keys", "organization.keys"),
    action(
        "organization/projects/*/service_accounts",
        "organization.keys",
    ),
    action("auth/keys", "keys"),
    action("auth/keys/code", "keys"),
    action("api/v1/keys", "keys"),
    // LiteLLM.
    action("key/generate", "keys"),
    action("key/service-account/generate", "keys"),
    action("key/regenerate", "keys"),
    action("key/*/regenerate", "keys"),
    action("user/new", "keys"),
    // Claude Code.
    action("claude_cli/create_api_key", "keys"),
];

static FORMAT: Format = Format {
    name: "openai.other",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[
        CoverageRow {
            route: shown("`POST …/responses/input_tokens`, `…/responses/compact`"),
            request: CONVERSATION,
            response: RESPONSE_WITH_RESULTS,
            stream: Inspected::UNREAD_STREAM,
        },
        CoverageRow {
            route: shown(
                "what is kept at the provider: stored answers, conversations, agents and their sessions, libraries, assistants, threads, runs, files, containers, vector stores, batches (streamed: answers, runs, sessions, Mistral's conversations; other streams are AG2014)",
            ),
            request: CONVERSATION,
            response: RESPONSE_WITH_RESULTS,
            stream: RESPONSE_WITH_RESULTS,
        },
        CoverageRow {
            route: shown(
                "`POST …/ocr`, `…/evals…`, `…/graders/run`, `…/traces/ingest`, `…/event_logging/batch`, `…/claude_code/metrics`, `…/analytics-events/events`; `GET …/evals…`, `…/slots`, `…/claude_code/settings` and other settings of Claude Code",
            ),
            request: TEXTS,
            response: TEXT_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        },
        CoverageRow {
            route: shown(
                "`POST …/tokenize`, `…/detokenize`, `…/token_counter`, `…/apply-template`; `…/embed`, `…/embedding`, `…/multimodalembeddings`, `…/pooling`, `…/encode`, `…/score`, `…/similarity`, `…/classify`; `…/documents/search`, `…/v1/search/NAME`, Perplexity's `/search`; `…/models/load`, `…/models/unload`, `…/models/download`",
            ),
            request: TEXTS,
            response: TEXT_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        },
        CoverageRow {
            route: shown("endpoints that hand out access past the proxy"),
            request: MINTED,
            response: TEXT_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        },
    ],
};

/// Returns the endpoint that returns access past the proxy. It is matched before all protocols, because `/key/generate`
/// ends like a server's `/generate`.
pub(super) fn minting(head: &RouteHead<'_>) -> Option<Endpoint> {
    routes::endpoint(head, MINTING).map(|endpoint| Endpoint {
        code: Some(codes::AG2013),
        ..endpoint
    })
}

impl Protocol for OpenAiOther {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        if let Some(endpoint) = minting(head) {
            return Some(endpoint);
        }
        let endpoint = routes::endpoint(head, ROUTES).or_else(|| {
            let found = routes::endpoint(head, &[WEB_SEARCH]);
            found.filter(|_| provider_of(head.host) == "perplexity")
        })?;
        if matches!(endpoint.name, SESSIONS | SESSION_EVENTS) {
            let streams = endpoint.name == SESSION_EVENTS && endpoint.body == BodyForm::Absent;
            return Some(Endpoint {
                stream: streams.then_some(true),
                // A session waits for the results of all its calls.
                pending: Some(Pending::Stuck),
                ..endpoint
            });
        }
        if !matches!(endpoint.name, BATCH_GENERATE | BATCH_EMBED) {
            return Some(endpoint);
        }
        // `models/NAME:batchGenerateContent`
        let model = head.path.segments.last()?.split(':').next();
        Some(Endpoint {
            model: model.map(Into::into).into(),
            ..endpoint
        })
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        match endpoint.name {
            COUNT_TOKENS | COMPACT => openai_responses::read_request(reader, root, endpoint),
            BATCH_REQUESTS => batch::read_requests(reader, root),
            TRACES | OCR | EVALS => kept::read_request(reader, root, endpoint.name),
            BATCH_GENERATE | BATCH_EMBED => batch::read_generate(reader, root, endpoint),
            _ => stored::read_request(reader, root, endpoint),
        }
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        match context.endpoint.name {
            COUNT_TOKENS | COMPACT | RETRIEVED | INPUT_ITEMS => {
                openai_responses::read_response(reader, root);
            }
            FILE_CONTENT | BATCH_RESULTS => batch::read_results(reader, root),
            OCR => kept::read_pages(reader, root),
            _ => stored::read_response(reader, root),
        }
    }

    /// Returns an object with a final status: clients poll an object until it has one, and would poll a denial without
    /// a status forever.
    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        match context.endpoint.name {
            COMPACT | RETRIEVED => return openai_responses::denied_response(denial, context),
            _ => {}
        }
        let error = Dialect::OpenAi.body(denial);
        let inner = error
            .strip_prefix(b"{")
            .and_then(|rest| rest.strip_suffix(b"}"))
            .unwrap_or_default();
        let mut out = br#"{"id":"#.to_vec();
        quote(&format!("agentguard-{}", denial.request_id), &mut out);
        out.extend_from_slice(
            br#","status":"failed","last_error":{"code":"server_error","message":"#,
        );
        quote(&denial.message(), &mut out);
        out.extend_from_slice(br#"},"data":[],"#);
        out.extend_from_slice(inner);
        out.push(b'}');
        out
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        match edit.context.endpoint.name {
            COMPACT | RETRIEVED | INPUT_ITEMS => openai_responses::remove_from_response(
                edit.root,
                edit.context,
                edit.removals,
                edit.edits,
            ),
            // Only the record's protocol knows the copies of an edited text in it.
            FILE_CONTENT | BATCH_RESULTS if edit.removals.edited.iter().any(|e| e.at.doc > 0) => {
                Err(CannotRemove)
            }
            STORED_CHAT => {
                stored::remove_from_chat(edit.root, edit.context, edit.removals, edit.edits)
            }
            _ => stored::remove_from_response(edit.root, edit.removals, edit.edits),
        }
    }

    fn restores(&self, endpoint: &Endpoint) -> bool {
        matches!(endpoint.name, COUNT_TOKENS | COMPACT | "conversations")
    }

    fn restore(&self, root: Value<'_>, edits: &mut Edits) {
        openai_responses::restore(root, edits);
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        match context.endpoint.name {
            // The rest of a response whose beginning was received elsewhere.
            RETRIEVED => Some(Box::new(ResponsesStream::new(context))),
            "threads.runs" => Some(Box::new(stream::RunStream::default())),
            "conversations" => Some(Box::new(entries::EntryStream::default())),
            SESSIONS | SESSION_EVENTS => Some(Box::new(sessions::SessionStream::new(context))),
            _ => None,
        }
    }
}
