//! Paths, methods and headers: which protocol, which model, streamed or not.

use super::{Known, route};
use agentguard::event::Models;

fn seen(method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> String {
    match route(method, host, path, headers) {
        Some(route) => format!("{} {}", route.protocol.name(), route.endpoint.name),
        None => "-".to_owned(),
    }
}

#[test]
fn an_endpoint_is_recognised_in_every_spelling_of_its_path() {
    for (path, expected) in [
        ("/v1/messages", "anthropic.messages messages"),
        ("/v1/messages?beta=true", "anthropic.messages messages"),
        ("//api//V1/Messages/", "anthropic.messages messages"),
        ("/anthropic/v1/%6Dessages", "anthropic.messages messages"),
        (
            "/v1/messages/count_tokens",
            "anthropic.count_tokens messages.count_tokens",
        ),
        ("/v1/messages/batches", "anthropic.batches messages.batches"),
        (
            "/v1/messages/batches/b1/cancel",
            "anthropic.batches messages.batches.cancel",
        ),
        ("/v1/complete", "anthropic.complete complete"),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@1:rawPredict",
            "anthropic.messages messages",
        ),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
            "anthropic.count_tokens messages.count_tokens",
        ),
        (
            "/v1/projects/p/locations/l/publishers/mistralai/models/mistral-x:rawPredict",
            "openai.chat raw_predict",
        ),
        (
            "/model/amazon.nova-lite-v1%3A0/converse",
            "bedrock.converse converse",
        ),
        (
            "/model/amazon.nova-lite-v1:0/Converse-Stream",
            "bedrock.converse converse_stream",
        ),
        ("/model/x/invoke", "bedrock.invoke invoke"),
        (
            "/model/x/invoke-with-response-stream",
            "bedrock.invoke invoke_stream",
        ),
        ("/model/x/count-tokens", "bedrock.count_tokens count_tokens"),
        (
            "/v1beta/models/g:generateContent",
            "gemini.generate generate_content",
        ),
        (
            "/v1beta/models/g%3AgenerateContent",
            "gemini.generate generate_content",
        ),
        (
            "/v1beta/models/g:streamGenerateContent?alt=sse",
            "gemini.generate stream_generate_content",
        ),
        (
            "/v1beta/models/g:batchGenerateContent",
            "gemini.generate batch_generate_content",
        ),
        ("/v1beta/cachedContents", "gemini.generate cached_contents"),
        (
            "/v1beta/models/g:countTokens",
            "gemini.count_tokens count_tokens",
        ),
        (
            "/v1beta/models/g:embedContent",
            "gemini.embed_or_predict embed_content",
        ),
        (
            "/v1beta/models/g:batchEmbedContents",
            "gemini.embed_or_predict batch_embed_contents",
        ),
        (
            "/v1/publishers/google/models/g:predict",
            "gemini.embed_or_predict predict",
        ),
        ("/v1beta/interactions", "gemini.interactions interactions"),
        ("/v1beta/files", "gemini.other files"),
        ("/v1beta/files:register", "gemini.other files"),
    ] {
        assert_eq!(seen("POST", "gateway", path, &[]), expected, "{path}");
    }
    for (path, expected) in [
        (
            "/v1/messages/batches",
            "anthropic.batches messages.batches.list",
        ),
        (
            "/v1/messages/batches/b1",
            "anthropic.batches messages.batches.get",
        ),
        (
            "/v1/messages/batches/b1/results",
            "anthropic.batches messages.batches.results",
        ),
        (
            "/v1beta/interactions/i1",
            "gemini.interactions interactions.get",
        ),
        ("/v1beta/batches/b1", "gemini.other batches"),
    ] {
        assert_eq!(seen("GET", "gateway", path, &[]), expected, "{path}");
    }
}

#[test]
fn a_host_or_a_header_tells_whose_files_they_are() {
    let version = [("anthropic-version", "2023-06-01")];
    assert_eq!(
        seen("POST", "x", "/v1/files", &version),
        "anthropic.other files"
    );
    assert_eq!(
        seen("POST", "api.anthropic.com", "/v1/files", &[]),
        "anthropic.other files"
    );
    assert_eq!(
        seen("POST", "x", "/v1/files", &[]),
        "openai.other files.create"
    );
    assert_eq!(
        seen("POST", "x", "/messages", &version),
        "anthropic.messages messages"
    );
    assert_eq!(seen("POST", "x", "/messages", &[]), "-");
    let agents = "/agents/A/agentAliases/B/sessions/C/text";
    assert_eq!(
        seen(
            "POST",
            "bedrock-agent-runtime.us-east-1.amazonaws.com",
            agents,
            &[]
        ),
        "bedrock.other agents"
    );
}

#[test]
fn another_method_is_another_endpoint_or_none() {
    for path in [
        "/v1/messages",
        "/model/x/invoke",
        "/v1beta/models/g:generateContent",
    ] {
        for method in ["GET", "PUT", "DELETE", "post"] {
            let expected = match method {
                "DELETE" if path.contains("/models/") => "openai.other models.delete",
                _ => "-",
            };
            assert_eq!(seen(method, "x", path, &[]), expected, "{method} {path}");
        }
    }
}

#[test]
fn what_mints_access_is_named_as_such() {
    for (path, headers) in [
        ("/v1alpha/auth_tokens", &[][..]),
        (
            "/upload/v1beta/files",
            &[("x-goog-upload-command", "start")][..],
        ),
        (
            "/upload/v1beta/files",
            &[("x-goog-upload-command", "start, query")],
        ),
        ("/upload/v1beta/files?uploadType=resumable", &[]),
        (
            "/upload/v1beta/files?alt=json&upload%5Fprotocol=resumable",
            &[],
        ),
    ] {
        let route = route("POST", "generativelanguage.googleapis.com", path, headers).unwrap();
        assert_eq!(route.endpoint.code, Some("AG2013"), "{path}");
    }
    let upload = route(
        "POST",
        "generativelanguage.googleapis.com",
        "/v1beta/files",
        &[],
    )
    .unwrap();
    assert_eq!(upload.endpoint.code, None);
}

#[test]
fn the_path_tells_the_models_and_the_stream() {
    let look = |path: &str| {
        let endpoint = route("POST", "x", path, &[]).unwrap().endpoint;
        (endpoint.models(), endpoint.stream)
    };
    let models = |names: &[&str], unknown: bool| Models {
        unknown,
        ..Models::of(names.iter().copied())
    };
    for (path, names, unknown, stream) in [
        (
            "/model/us.anthropic.claude-x-v1%3A0/converse",
            &["us.anthropic.claude-x-v1:0"][..],
            false,
            Some(false),
        ),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fp/converse-stream",
            &["arn:aws:bedrock:us-east-1:1:application-inference-profile/p"],
            true,
            Some(true),
        ),
        (
            "/model/arn:aws:bedrock:us-east-1::foundation-model%2Fanthropic.claude-v2/invoke",
            &[
                "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2",
                "anthropic.claude-v2",
            ],
            false,
            Some(false),
        ),
        (
            "/v1beta/models/gemini-x:streamGenerateContent",
            &["gemini-x"],
            false,
            Some(true),
        ),
        (
            "/v1beta/tunedModels/mine:generateContent",
            &["tunedModels/mine"],
            true,
            Some(false),
        ),
        (
            "/v1/projects/p/locations/l/endpoints/42:generateContent",
            &["endpoints/42"],
            true,
            Some(false),
        ),
        (
            "/v1/publishers/anthropic/models/claude-x:streamRawPredict",
            &["claude-x"],
            false,
            Some(true),
        ),
        (
            "/v1/publishers/anthropic/models/count-tokens:rawPredict",
            &[],
            false,
            None,
        ),
    ] {
        assert_eq!(look(path), (models(names, unknown), stream), "{path}");
    }
    let hidden = route("POST", "x", "/v1beta/agents", &[]).unwrap().endpoint;
    assert_eq!(hidden.model, Known::Unknown);
}
