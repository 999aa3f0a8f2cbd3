//! APIs of Anthropic, AWS and Google beside their models: files, agents, sessions, knowledge bases, batches, caches,
//! administration. They are recognised, but their members have no known meaning: every string is evaluated as text, and
//! the model and the content that the provider keeps are unknown.
//!
//! Source: the paths of the published SDKs and of AWS's service models.

use super::anthropic_shapes::add_request_event;
use super::coverage::{MODEL_RESPONSE, TEXT_RESPONSE, TEXTS, shown};
use super::jsonrpc;
use super::provider::provider_of;
use super::reader::{Reader, Type};
use super::{
    BodyForm, CoverageRow, Dialect, Endpoint, Format, Inspected, Protocol, RequestContext,
    RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Direction, Event, Kind, Known, Part};
use crate::protocol::reader::Origin;
use crate::wire::http::{ContentType, MediaType, percent_decode};
use crate::wire::json::{self, Value};

/// API of one provider.
pub(super) struct ProviderApi {
    format: &'static Format,
    /// First words of its paths after the version; they are the names of endpoints in audit events.
    resources: &'static [&'static str],
    /// Whether a request goes to this provider, determined by more than the first word.
    is_asked: fn(&RouteHead<'_>) -> bool,
}

/// API of Anthropic.
pub(super) const ANTHROPIC: ProviderApi = ProviderApi {
    format: &Format {
        name: "anthropic.other",
        dialect: Dialect::Anthropic,
        routes: &[],
        coverage: &[CoverageRow {
            route: shown(
                "what Anthropic serves beside its models and sessions: files, skills, environments, administration",
            ),
            request: TEXTS,
            response: MODEL_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        }],
    },
    resources: &[
        "files",
        "skills",
        "agents",
        "sessions",
        "environments",
        "memory_stores",
        "vaults",
        "deployments",
        "deployment_runs",
        "dreams",
        "user_profiles",
        "tunnels",
        "organizations",
        "mcp_servers",
        "environment_providers",
    ],
    is_asked: is_of_anthropic,
};

/// Returns whether a request goes to Anthropic, or to a server of its API. At another provider its headers mean nothing:
/// with one of them a client could have that provider's bodies read as Anthropic's, and so at an unknown host with the
/// paths of OpenAI's agents.
pub(super) fn is_of_anthropic(head: &RouteHead<'_>) -> bool {
    let names = ["anthropic-version", "anthropic-beta"];
    let has_header = || names.iter().any(|name| head.header(name).is_some());
    let mut segments = head.path.segments.iter();
    match provider_of(head.host) {
        "anthropic" => true,
        "other" => {
            let is_openai = segments.any(|segment| segment.eq_ignore_ascii_case("agents"))
                && segments.next().is_some_and(|kind| {
                    let of_openai = ["sessions", "automations", "environments"];
                    of_openai.iter().any(|it| kind.eq_ignore_ascii_case(it))
                });
            has_header() && !is_openai
        }
        _ => segments.any(|segment| segment.eq_ignore_ascii_case("anthropic")) && has_header(),
    }
}

/// API of Bedrock's agents, flows, knowledge bases and guardrails.
pub(super) const BEDROCK: ProviderApi = ProviderApi {
    format: &Format {
        name: "bedrock.other",
        dialect: Dialect::Aws,
        routes: &[],
        coverage: &[CoverageRow {
            route: shown("Bedrock's agents, flows, knowledge bases, guardrails"),
            request: TEXTS,
            response: TEXT_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        }],
    },
    resources: &[
        "agents",
        "flows",
        "knowledgebases",
        "retrieveAndGenerate",
        "retrieveAndGenerateStream",
        "rerank",
        "generateQuery",
        "optimize-prompt",
        "sessions",
        "invocations",
        "guardrail",
        "guardrail-checks",
        "async-invoke",
        "guardrails",
        "prompts",
        "prompt-routers",
        "custom-models",
        "imported-models",
        "model-customization-jobs",
        "model-invocation-job",
        "model-invocation-jobs",
        "provisioned-model-throughputs",
    ],
    is_asked: |head| head.host.starts_with("bedrock"),
};

/// API of Gemini and Vertex AI.
pub(super) const GOOGLE: ProviderApi = ProviderApi {
    format: &Format {
        name: "gemini.other",
        dialect: Dialect::Google,
        routes: &[],
        coverage: &[CoverageRow {
            route: shown(
                "what Google serves beside its models: files, caches, tuned models, corpora, agents; `auth_tokens` and starts of uploads are AG2013",
            ),
            request: TEXTS,
            response: MODEL_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        }],
    },
    resources: &[
        "auth_tokens",
        "files",
        "cachedContents",
        "batches",
        "operations",
        "tunedModels",
        "tuningJobs",
        "fileSearchStores",
        "corpora",
        "batchPredictionJobs",
        "reasoningEngines",
        "agents",
        "credentials",
        "decisions",
        "environments",
        "triggers",
        "voices",
        "webhooks",
        "ragCorpora",
    ],
    is_asked: |head| {
        matches!(provider_of(head.host), "gemini" | "vertex")
            || head.path.segments.iter().any(|segment| {
                ["v1beta", "v1alpha", "v1beta1"]
                    .iter()
                    .any(|version| segment.eq_ignore_ascii_case(version))
            })
    },
};

/// Returns the endpoint of a request for tokens with which a client bypasses the proxy.
const MINTING: &[&str] = &["auth_tokens", "reveal_token", "rotate_token"];

impl ProviderApi {
    fn resource(&self, head: &RouteHead<'_>) -> Option<&'static str> {
        head.path.segments.iter().find_map(|segment| {
            // Google's verbs are behind the resource: `files:register`.
            let word = segment.split(':').next().unwrap_or_default();
            self.resources
                .iter()
                .find(|resource| resource.eq_ignore_ascii_case(word))
                .copied()
        })
    }

    /// Returns the endpoint of a request, whatever its body has.
    fn found(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        if !(self.is_asked)(head) {
            return None;
        }
        let resource = self.resource(head)?;
        let body = match head.method {
            "GET" | "HEAD" | "DELETE" => BodyForm::Absent,
            // Files and skills at Anthropic.
            "POST" if is_form(head) => BodyForm::Multipart,
            "POST" | "PUT" | "PATCH" => BodyForm::JsonOrNothing,
            _ => return None,
        };
        Some(Endpoint {
            body,
            code: (body != BodyForm::Absent && mints(head)).then_some(codes::AG2013),
            model: Known::Unknown,
            ..Endpoint::named(resource)
        })
    }
}

fn is_form(head: &RouteHead<'_>) -> bool {
    ContentType::parse(head.header("content-type")).media == MediaType::Multipart
}

fn mints(head: &RouteHead<'_>) -> bool {
    let by_path = head.path.segments.iter().any(|segment| {
        MINTING
            .iter()
            .any(|word| word.eq_ignore_ascii_case(segment))
    });
    // A resumable upload begins with a URL, to which the bytes are then sent.
    let begins_upload = head.header("x-goog-upload-command").is_some_and(|command| {
        command
            .split(|b| *b == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"start"))
    });
    // The same in Google's older APIs.
    let query = percent_decode(&head.path.query);
    let asks_for_url = query.split('&').any(|pair| {
        ["uploadtype=resumable", "upload_protocol=resumable"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(pair))
    });
    by_path || begins_upload || asks_for_url
}

impl Protocol for ProviderApi {
    fn format(&self) -> &'static Format {
        self.format
    }

    /// AgentCore has servers of MCP and agents of A2A at the path of its other agents (`/runtimes/ARN/invocations`).
    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let found = self.found(head)?;
        (found.name != "invocations" || !jsonrpc::is_expected(head)).then_some(found)
    }

    fn endpoint_by_body(&self, head: &RouteHead<'_>, body: Value<'_>) -> Option<Endpoint> {
        self.found(head).filter(|_| !jsonrpc::is_message(body))
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        let origin = Origin::of(Author::User, Part::Text);
        if endpoint.body == BodyForm::Multipart {
            for (_, field) in root.members() {
                reader.file(field);
            }
        }
        for node in root.descendants() {
            for name in ["model", "modelId", "modelArn", "foundationModel"] {
                let model = node.value.get(name);
                if let Some(model) = model.filter(|model| model.kind() == json::ValueKind::String) {
                    reader.model(model);
                }
            }
        }
        // Input of an agent.
        for name in ["inputText", "input_text"] {
            if let Some(text) = root.get(name) {
                reader.value(text, Type::Text(Part::Text), &origin);
            }
        }
        reader.uninspectable(root, "provider_state");
        add_request_event(reader, root);
    }

    /// Claims nothing: everything is unknown text. Only calls are known.
    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        calls_inside(reader, root);
    }
}

/// Reads the calls anywhere inside a response: actions of agents, and actions for their client (`{type:
/// "agent.custom_tool_use", name, input}`), and what models call in the results of Google's batches (`functionCall: {name,
/// args}`).
pub(super) fn calls_inside(reader: &mut Reader<'_>, root: Value<'_>) {
    for node in root.descendants() {
        let value = node.value;
        let kind = value.get("type").and_then(|kind| kind.text());
        let kind = kind.as_deref().filter(|kind| kind.ends_with("tool_use"));
        let called = value.get("functionCall");
        let called = called.or_else(|| value.get("function_call"));
        let (call, args, provider_run) = match (called, kind) {
            (Some(call), _) => (call, "args", false),
            (None, Some(kind)) => (value, "input", !kind.ends_with("custom_tool_use")),
            (None, None) => continue,
        };
        let Some(name) = call.get("name").and_then(|name| name.text()) else {
            continue;
        };
        let mut event = Event::new(Kind::ToolCall, Direction::Response, value.place());
        event.tool = Known::Is(name.into());
        event.provider_run = provider_run;
        event.args = match call.get(args) {
            Some(args) if args.kind() == json::ValueKind::Object => Known::Is(args.place()),
            _ => Known::Unknown,
        };
        reader.reading.add(event);
    }
}
