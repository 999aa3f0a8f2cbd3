//! Table of endpoints: methods, the end of the path, the forms of request and response.

use super::{BodyForm, Endpoint, ResponseForm, RouteHead};
use crate::event::{Known, Models};
use crate::wire::http::{Path, percent_decode};
use crate::wire::letter_case;

/// Endpoint in the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteSpec {
    /// Methods, separated by spaces.
    pub(super) methods: &'static str,
    /// Last segments of the path, after any others and in any letter case; `*` is any single segment, `*:verb` one
    /// with that end.
    pub(super) path: &'static str,
    /// Name in audit events.
    pub(super) name: &'static str,
    pub(super) body: BodyForm,
    pub(super) response: ResponseForm,
}

/// Returns an endpoint with JSON in requests and responses.
pub(super) const fn json(path: &'static str, name: &'static str) -> RouteSpec {
    RouteSpec {
        methods: "POST",
        path,
        name,
        body: BodyForm::Json,
        response: ResponseForm::Json,
    }
}

/// Returns an endpoint whose requests have no body.
pub(super) const fn get(
    methods: &'static str,
    path: &'static str,
    name: &'static str,
) -> RouteSpec {
    RouteSpec {
        methods,
        path,
        name,
        body: BodyForm::Absent,
        response: ResponseForm::Json,
    }
}

impl RouteSpec {
    pub(super) const fn body(self, body: BodyForm) -> RouteSpec {
        RouteSpec { body, ..self }
    }

    pub(super) const fn response(self, response: ResponseForm) -> RouteSpec {
        RouteSpec { response, ..self }
    }

    fn fits(&self, head: &RouteHead<'_>) -> bool {
        if !may_end_with(head.path, self.path) {
            return false;
        }
        // `HEAD` requests the response of `GET` without its body.
        let context = match head.method {
            "HEAD" => "GET",
            method => method,
        };
        self.methods.split(' ').any(|method| method == context) && ends_with(head.path, self.path)
    }
}

/// Returns whether a path's last byte is that of these segments, which most endpoints of a protocol are told apart by.
fn may_end_with(path: &Path, tail: &str) -> bool {
    let end = path
        .segments
        .last()
        .and_then(|segment| segment.bytes().last());
    match (end, tail.bytes().last()) {
        (_, None | Some(b'*' | b'/')) => true,
        (end, Some(expected)) => end.is_some_and(|end| end.eq_ignore_ascii_case(&expected)),
    }
}

/// Returns whether a path ends with these segments.
pub(super) fn ends_with(path: &Path, tail: &str) -> bool {
    let mut segments = path.segments.iter().rev();
    let mut rest = Some(tail);
    while let Some(tail) = rest {
        let Some(segment) = segments.next() else {
            return false;
        };
        // Where the tail's last segment begins if it is as long as the path's.
        let begin = tail.len().checked_sub(segment.len());
        let begin = begin.filter(|begin| {
            tail.get(*begin..)
                .is_some_and(|end| end.eq_ignore_ascii_case(segment))
        });
        let is_slash = |at: usize| tail.as_bytes().get(at) == Some(&b'/');
        rest = match begin {
            Some(0) => None,
            Some(begin) if is_slash(begin.wrapping_sub(1)) && !segment.is_empty() => {
                tail.get(..begin.wrapping_sub(1))
            }
            _ => {
                let slash = tail.bytes().rposition(|byte| byte == b'/');
                let expected = slash.map_or(Some(tail), |at| tail.get(at.saturating_add(1)..));
                match expected.and_then(|expected| expected.strip_prefix('*')) {
                    Some(end) if ends_with_ignoring_case(segment, end) => {
                        slash.and_then(|at| tail.get(..at))
                    }
                    _ => return false,
                }
            }
        };
    }
    true
}

fn ends_with_ignoring_case(segment: &str, end: &str) -> bool {
    let at = segment.len().checked_sub(end.len());
    at.and_then(|at| segment.get(at..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// Returns the first entry that matches a request, as an endpoint with the deployment in its path.
pub(super) fn endpoint(head: &RouteHead<'_>, lines: &[RouteSpec]) -> Option<Endpoint> {
    let line = lines.iter().find(|line| line.fits(head))?;
    let model: Known<Box<str>> = deployment(head.path, line.path).into();
    Some(Endpoint {
        name: line.name,
        is_deployment: model != Known::Missing,
        model,
        body: line.body,
        response: line.response,
        ..Endpoint::default()
    })
}

/// Returns the deployment or model before the tail of a path, where the server takes it from there. Azure uses
/// `/openai/deployments/NAME/…`. OpenAI used `/v1/engines/NAME/…`, which LiteLLM still accepts. Cloudflare's gateway uses
/// `/azure-openai/RESOURCE/NAME/…`, Hugging Face `/models/OWNER/NAME/v1/…`, Triton `/v2/models/NAME/generate`, also with
/// `/versions/1`. Models deployed at Vertex AI respond at `…/locations/L/endpoints/ID/…`; its own ones at `openapi`.
/// llama-swap starts the model of `/upstream/NAME/v1/…`, where a name may have slashes.
pub(super) fn deployment(path: &Path, tail: &str) -> Option<Box<str>> {
    let is = |segment: &String, word: &str| segment.eq_ignore_ascii_case(word);
    let end = path.segments.len().checked_sub(tail.split('/').count())?;
    let before = match path.segments.get(..end)? {
        [before @ .., last] if is(last, "extensions") => before,
        before => before,
    };
    let of_triton = |holder| tail.starts_with("generate") && is(holder, "models");
    match before {
        [.., holder, name] if is(holder, "deployments") || is(holder, "engines") => {
            Some(name.as_str().into())
        }
        [.., gateway, _, name] if is(gateway, "azure-openai") => Some(name.as_str().into()),
        [.., holder, name] | [.., holder, name, _, _] if of_triton(holder) => {
            Some(name.as_str().into())
        }
        [.., holder, owner, name, version] if is(holder, "models") && is(version, "v1") => {
            Some([owner, "/", name].concat().into())
        }
        _ => before
            .windows(4)
            .find_map(|part| match part {
                [place, _, holder, id]
                    if is(place, "locations") && is(holder, "endpoints") && !is(id, "openapi") =>
                {
                    Some([holder, "/", id].concat().into())
                }
                _ => None,
            })
            .or_else(|| {
                let at = before.iter().position(|segment| is(segment, "upstream"))?;
                let name = match before.get(at.saturating_add(1)..)? {
                    [name @ .., version] if is(version, "v1") => name,
                    name => name,
                };
                (!name.is_empty()).then(|| name.join("/").into())
            }),
    }
}

/// Headers that name a model or a deployment beside the body, without the `x-` or `x-portkey-` at their beginning: Azure's,
/// which draws for a conversation or responds behind an endpoint; SageMaker's; those of gateways (LiteLLM, Portkey, Higress,
/// Envoy's, OpenClaw), and that by which Kubernetes' inference gateway selects a server. Portkey takes those of clouds as its own.
const NAMING_HEADERS: &[&str] = &[
    "ms-oai-image-generation-deployment",
    "ms-model-mesh-model-name",
    "azureml-model-deployment",
    "amzn-sagemaker-target-model",
    "amzn-sagemaker-target-variant",
    "amzn-sagemaker-target-container-hostname",
    "amzn-sagemaker-inference-component",
    "amzn-sagemaker-model-name",
    "litellm-model",
    "azure-deployment-id",
    "azure-model-name",
    "azure-deployment-name",
    "aws-bedrock-model",
    "provider-model",
    "gateway-model-name",
    "gateway-model-name-rewrite",
    "higress-llm-model",
    "ai-eg-model",
    "openclaw-model",
];
/// Headers that contain or refer to the setting of a gateway (Portkey, Helicone), which may replace the model.
const HIDING_HEADERS: &[&str] = &["x-portkey-config", "helicone-fallbacks"];
/// Query parameters that name models: Azure's, LiteLLM's.
const NAMING_QUERY: &[&str] = &[
    "model",
    "deployment",
    "deployment_id",
    "engine",
    "target_model_names",
];

/// Adds the models in the headers and the query of a request. Gateways take lists with commas.
pub(super) fn add_models_beside(head: &RouteHead<'_>, models: &mut Models) {
    let is_one = |known: &[&str], name: &[u8]| {
        let mut known = known.iter();
        known.any(|known| known.as_bytes().eq_ignore_ascii_case(name))
    };
    for (name, value) in head.headers {
        if !may_name_model(name) {
            continue;
        }
        let own = ["x-portkey-", "x-"]
            .iter()
            .find_map(|prefix| without_start(name, prefix));
        if is_one(NAMING_HEADERS, own.unwrap_or(name)) {
            add_model(&String::from_utf8_lossy(value), models);
        }
        models.unknown |= is_one(HIDING_HEADERS, name);
    }
    for pair in head.path.query.split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && is_one(NAMING_QUERY, percent_decode(name).as_bytes())
        {
            add_model(&percent_decode(value), models);
        }
    }
}

/// Returns whether a header may be one of those above: hardly one of an exchange begins as they do and is as long.
fn may_name_model(header: &[u8]) -> bool {
    let first = header.first().map(u8::to_ascii_lowercase);
    header.len() > 12 && matches!(first, Some(b'a' | b'h' | b'x'))
}

/// Returns the rest of a header's name behind these letters.
fn without_start<'n>(name: &'n [u8], start: &str) -> Option<&'n [u8]> {
    let (own, rest) = name.split_at_checked(start.len())?;
    own.eq_ignore_ascii_case(start.as_bytes()).then_some(rest)
}

fn add_model(name: &str, models: &mut Models) {
    if !name.trim().is_empty() {
        models.add(name.trim());
    }
}

/// Returns the name of a server with a single model: `/serving-endpoints/NAME/invocations` (Databricks),
/// `/endpoints/NAME/invocations` (SageMaker). Only the server knows which model that is. Databricks calls one of several as
/// `/serving-endpoints/NAME/served-models/MODEL/invocations`, which is `NAME/MODEL`.
pub(super) fn served_model(path: &Path) -> Known<Box<str>> {
    let is_server = |holder: &String| letter_case::ascii_lower(holder).ends_with("endpoints");
    match path.segments.as_slice() {
        [.., holder, name, _] if is_server(holder) => Known::Is(name.as_str().into()),
        [.., server, holder, name, _] if holder.eq_ignore_ascii_case("served-models") => {
            Known::Is([server, "/", name].concat().into())
        }
        _ => Known::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_path_ends_with_the_segments_of_its_tail(
            segments in prop::collection::vec("[abAB*:]{1,3}", 0..4),
            tail in prop::collection::vec("\\*?[ab:]{0,3}", 1..4),
        ) {
            let path = Path {
                segments: segments.clone(),
                query: String::new(),
                is_odd: false,
            };
            let fits = |(segment, expected): (&String, &String)| match expected.strip_prefix('*') {
                Some(end) => segment.to_ascii_lowercase().ends_with(end),
                None => segment.eq_ignore_ascii_case(expected),
            };
            let by_segments = segments.len() >= tail.len()
                && segments.iter().rev().zip(tail.iter().rev()).all(fits);
            prop_assert_eq!(ends_with(&path, &tail.join("/")), by_segments);
        }
    }

    #[test]
    fn the_deployment_in_a_path_is_a_model() {
        for target in [
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            "//OpenAI/Deployments/gpt-4o/chat/completions/",
            "/openai/deployments/gpt-4o/extensions/chat/completions",
            "/openai%2Fdeployments/gpt%2D4o/chat/completions",
            "/v1/engines/gpt-4o/chat/completions",
            "/v1/account/gateway/azure-openai/resource/gpt-4o/chat/completions",
            "/v1/azure-openai/resource/gpt-4o/extensions/chat/completions",
        ] {
            let found = deployment(&Path::parse(target), "chat/completions");
            assert_eq!(found.as_deref(), Some("gpt-4o"), "{target}");
        }
        for (target, model) in [
            (
                "/hf-inference/models/org/llama/v1/chat/completions",
                "org/llama",
            ),
            ("/Models/org/llama/V1/chat/completions", "org/llama"),
            (
                "/v1/projects/p/locations/l/endpoints/42/chat/completions",
                "endpoints/42",
            ),
            (
                "/v1/projects/p/locations/l/endpoints/42/deployedModels/7/invoke/v1/chat/completions",
                "endpoints/42",
            ),
        ] {
            let found = deployment(&Path::parse(target), "chat/completions");
            assert_eq!(found.as_deref(), Some(model), "{target}");
        }
        for target in [
            "/v2/models/llama/generate",
            "/v2/models/llama/versions/1/generate",
        ] {
            let found = deployment(&Path::parse(target), "generate");
            assert_eq!(found.as_deref(), Some("llama"), "{target}");
        }
        for (target, tail, model) in [
            (
                "/upstream/qwen/v1/chat/completions",
                "chat/completions",
                "qwen",
            ),
            (
                "/Upstream/qwen/chat/completions",
                "chat/completions",
                "qwen",
            ),
            (
                "/swap/upstream/org/qwen/v1/messages",
                "v1/messages",
                "org/qwen",
            ),
            ("/upstream/qwen/completion", "completion", "qwen"),
        ] {
            let found = deployment(&Path::parse(target), tail);
            assert_eq!(found.as_deref(), Some(model), "{target}");
        }
        for target in [
            "/v1/chat/completions",
            "/upstream/chat/completions",
            "/upstream/v1/chat/completions",
            "/openai/v1/chat/completions",
            "/deployments/chat/completions",
            "/models/chat/completions",
            "/models/v1/chat/completions",
            "/models/llama/chat/completions",
            "/serving-endpoints/chat/completions",
            "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
        ] {
            assert_eq!(
                deployment(&Path::parse(target), "chat/completions"),
                None,
                "{target}"
            );
        }
    }

    #[test]
    fn headers_and_query_name_models() {
        let beside = |target: &str, headers: &[(&[u8], &[u8])]| -> Vec<String> {
            let mut models = Models::default();
            let path = Path::parse(target);
            let head = RouteHead {
                method: "POST",
                host: "x.openai.azure.com",
                path: &path,
                headers,
            };
            add_models_beside(&head, &mut models);
            let unknown = models.unknown.then(|| "?".to_owned());
            let names = models.names.iter().map(ToString::to_string);
            names.chain(unknown).collect()
        };
        let draws: &[(&[u8], &[u8])] =
            &[(b"x-ms-oai-image-generation-deployment", b" gpt-image-1 ")];
        assert_eq!(beside("/openai/v1/responses", draws), ["gpt-image-1"]);
        let target =
            "/openai/v1/responses?api-version=preview&Model=gpt%2D4o&model=o3&deployment=x";
        assert_eq!(beside(target, &[]), ["gpt-4o", "o3", "x"]);
        assert!(beside("/v1/responses?model=&models=a&model", &[]).is_empty());
        let gateways: &[(&[u8], &[u8])] = &[
            (b"x-litellm-model", b"a"),
            (b"X-Portkey-Azure-Model-Name", b"b"),
            (b"x-portkey-config", b"pc-1"),
        ];
        assert_eq!(beside("/v1/responses", gateways), ["a", "b", "?"]);
        for header in NAMING_HEADERS {
            let header = format!("x-{header}");
            assert_eq!(beside("/v1/responses", &[(header.as_bytes(), b"m")]), ["m"]);
        }
        for (header, model) in [
            ("x-amzn-sagemaker-target-variant", "m"),
            ("x-ms-model-mesh-model-name", "m"),
            ("x-openclaw-model", "m"),
            ("x-portkey-amzn-sagemaker-target-model", "m"),
            ("x-portkey-aws-bedrock-model", "m"),
        ] {
            assert_eq!(
                beside("/v1/responses", &[(header.as_bytes(), b"m")]),
                [model]
            );
        }
        assert!(beside("/v1/responses", &[(b"x-y-openclaw-model", b"m")]).is_empty());
        for header in HIDING_HEADERS {
            assert_eq!(beside("/v1/responses", &[(header.as_bytes(), b"m")]), ["?"]);
        }
    }

    #[test]
    fn a_star_is_one_segment() {
        let path = Path::parse("/x/v1/Files/abc/content/");
        assert!(ends_with(&path, "files/*/content"));
        assert!(!ends_with(&path, "files/content"));
        assert!(!ends_with(
            &Path::parse("/files/content"),
            "*/files/content"
        ));
        let verb = Path::parse("/files/a%3ADownload");
        assert!(ends_with(&verb, "files/*:download"));
        assert!(!ends_with(
            &Path::parse("/files/download"),
            "files/*:download"
        ));
    }
}
