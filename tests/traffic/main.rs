//! What `agentguard inspect` sees in recorded exchanges, against what a correct reader finds in them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "test code: a failure is a panic"
)]

mod chosen;
mod dice;
mod golden;
mod lag;
mod order;
mod readings;
mod record;
mod streams;
mod whole;

use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where the recorded expectation is wrong: the exchange, the member, and why.
const DISPUTED: &[(&str, &str, &str)] = &[
    (
        "openinference/python/instrumentation/openinference-instrumentation-anthropic/tests/openinference/anthropic/cassettes/test_instrumentor/test_anthropic_instrumentation_async_completions_streaming.yaml#0",
        "response_text_chars",
        r#"`"completion":" Light"`, `"completion":" sc"`, …"#,
    ),
    (
        "openinference/python/instrumentation/openinference-instrumentation-anthropic/tests/openinference/anthropic/cassettes/test_instrumentor/test_anthropic_instrumentation_async_completions_streaming.yaml#0",
        "finish",
        r#"the last event says `"stop_reason":"stop_sequence"`"#,
    ),
    (
        "dd-trace-py/tests/contrib/botocore/bedrock_cassettes/anthropic_invoke_stream.yaml#0",
        "finish",
        r#"`"completion":"","stop_reason":"stop_sequence"`"#,
    ),
    (
        "dd-trace-py/tests/contrib/botocore/bedrock_cassettes/amazon_invoke_stream.yaml#0",
        "finish",
        r#"`"completionReason":"LENGTH"`"#,
    ),
    (
        "dd-trace-py/tests/contrib/botocore/bedrock_cassettes/cohere_invoke_stream_single_output.yaml#0",
        "finish",
        r#"`"finish_reason":"MAX_TOKENS","is_finished":true`"#,
    ),
    (
        "dd-trace-py/tests/contrib/botocore/bedrock_cassettes/cohere_invoke_stream_multi_output.yaml#0",
        "finish",
        r#"`"finish_reason":"MAX_TOKENS","is_finished":true`"#,
    ),
    (
        "otel-python-contrib/instrumentation/opentelemetry-instrumentation-botocore/tests/cassettes/test_invoke_model_with_response_stream_handles_stream_error.yaml#0",
        "finish",
        r#"`"completionReason":"LENGTH"`"#,
    ),
    (
        "openllmetry/packages/opentelemetry-instrumentation-openai/tests/traces/cassettes/test_azure/\
         test_prompt_content_filtering.yaml#0",
        "error",
        "status 200 with a body that is nothing but `{\"error\": {…, \"code\": \"content_filter\"}}`",
    ),
    (
        "openinference/python/instrumentation/openinference-instrumentation-portkey/tests/cassettes/\
         test_prompt_template.yaml#0",
        "response_text_chars",
        "`/v1/prompts/…/completions` answers `\"choices\":[{…\"message\":{\"role\":\"assistant\",\"content\":\"I don’t have …`",
    ),
    (
        "ruby_llm/spec/fixtures/vcr_cassettes/transcription_basic_functionality_openai_gpt-4o-transcribe-diarize_\
         streams_segments_labelled_with_speakers.yml#0",
        "stream",
        "the form says `name=\"stream\"\\r\\n\\r\\ntrue`, and the answer is a stream",
    ),
    (
        "ruby_llm/spec/fixtures/vcr_cassettes/batch_with_anthropic_claude-haiku-4-5_answers_staged_chats_and_appends_the_answers_to_their_conversations.yml#0",
        "user_text_chars",
        r#"each of `requests[].params` is a whole request: `"What is 2 + 2?"`, `"system":[{"text":"Be terse."`"#,
    ),
    (
        "ruby_llm/spec/fixtures/vcr_cassettes/batch_with_anthropic_claude-haiku-4-5_answers_staged_chats_and_appends_the_answers_to_their_conversations.yml#0",
        "system_text_chars",
        r#"each of `requests[].params` is a whole request: `"What is 2 + 2?"`, `"system":[{"text":"Be terse."`"#,
    ),
    (
        "ruby_llm/spec/fixtures/vcr_cassettes/batch_with_anthropic_claude-haiku-4-5_reloads_a_batch_by_id_and_collects_messages_without_the_chats.yml#0",
        "user_text_chars",
        r#"`requests[0].params.messages[0]`: `"What is 3 + 3? Just the number."`"#,
    ),
    (
        "openinference/python/instrumentation/openinference-instrumentation-anthropic/tests/openinference/anthropic/cassettes/test_instrumentor/test_anthropic_instrumentation_context_attributes_existence.yaml#0",
        "response_text_chars",
        r#"`"completion":" A court case can reach…"` and `"stop_reason":"stop_sequence"`"#,
    ),
    (
        "openinference/python/instrumentation/openinference-instrumentation-anthropic/tests/openinference/anthropic/cassettes/test_instrumentor/test_anthropic_instrumentation_context_attributes_existence.yaml#0",
        "finish",
        r#"`"completion":" A court case can reach…"` and `"stop_reason":"stop_sequence"`"#,
    ),
    (
        "dd-trace-py/tests/contrib/botocore/bedrock_cassettes/cohere_invoke_single_output.yaml#0",
        "finish",
        r#"`"generations":[{"finish_reason":"MAX_TOKENS"`"#,
    ),
    (
        "openllmetry/packages/opentelemetry-instrumentation-bedrock/tests/traces/cassettes/test_ai21/test_ai21_j2_completion_string_content.yaml#0",
        "finish",
        r#"`"completions":[{"data":{"text":"\n'Amazon Bedrock es…"`, `"finishReason":{"reason":"endoftext"}`"#,
    ),
    (
        "openllmetry/packages/opentelemetry-instrumentation-bedrock/tests/traces/cassettes/test_ai21/test_ai21_j2_completion_string_content.yaml#0",
        "response_text_chars",
        r#"`"completions":[{"data":{"text":"\n'Amazon Bedrock es…"`, `"finishReason":{"reason":"endoftext"}`"#,
    ),
    (
        "openllmetry/packages/opentelemetry-instrumentation-bedrock/tests/traces/cassettes/test_imported_model/test_imported_model_completion.yaml#0",
        "finish",
        r#"`"choices":[{"index":0,"text":" I'm a high school student…",…,"finish_reason":"length"`"#,
    ),
    (
        "openllmetry/packages/opentelemetry-instrumentation-bedrock/tests/traces/cassettes/test_imported_model/test_imported_model_completion.yaml#0",
        "response_text_chars",
        r#"`"choices":[{"index":0,"text":" I'm a high school student…",…,"finish_reason":"length"`"#,
    ),
    (
        "openllmetry/packages/opentelemetry-instrumentation-bedrock/tests/traces/cassettes/test_titan/test_titan_completion.yaml#0",
        "finish",
        r#"`"results":[{…,"completionReason":"FINISH"`"#,
    ),
    (
        "otel-python-contrib/instrumentation/opentelemetry-instrumentation-botocore/tests/cassettes/test_invoke_model_with_content[cohere.command-r].yaml#0",
        "finish",
        r#"`"finish_reason":"MAX_TOKENS"`"#,
    ),
    (
        "pydantic-ai/tests/models/cassettes/test_anthropic_bedrock_count_tokens/test_anthropic_bedrock_count_tokens_real_api.yaml#0",
        "user_text_chars",
        r#"the base64 of `invokeModel.body` holds `"How many tokens is this sentence?"` and `"system":"You are helpful."`"#,
    ),
    (
        "pydantic-ai/tests/models/cassettes/test_anthropic_bedrock_count_tokens/test_anthropic_bedrock_count_tokens_real_api.yaml#0",
        "system_text_chars",
        r#"the base64 of `invokeModel.body` holds `"How many tokens is this sentence?"` and `"system":"You are helpful."`"#,
    ),
    (
        "pydantic-ai/tests/models/cassettes/test_bedrock/test_bedrock_count_tokens_additional_model_requests_fields.yaml#0",
        "user_text_chars",
        r#"`input.converse.messages[0].content[0]`: `{"text": "Hello, world!"}`"#,
    ),
    (
        "pydantic-ai/tests/models/cassettes/test_bedrock/test_bedrock_model_with_code_execution_tool.yaml#1",
        "history_tool_calls",
        r#"`"toolUse": {"name": "nova_code_interpreter", …, "type": "server_tool_use"}`: the provider ran it"#,
    ),
    (
        "ruby_llm/spec/fixtures/vcr_cassettes/chat_citations_with_bedrock_claude-haiku-4-5_cites_tool_results_returned_as_search_results.yml#1",
        "response_text_chars",
        r#"`"citationsContent":{…,"content":[{"text":"Ruby was created by Yukihiro Matsumoto …"}]`: the answer itself"#,
    ),
    (
        "ruby_llm/spec/fixtures/vcr_cassettes/chat_count_tokens_with_gemini_gemini-3_5-flash_counts_the_next_request_as_configured.yml#1",
        "user_text_chars",
        r#"`generateContentRequest` holds the whole request: contents, `systemInstruction`, `functionDeclarations`"#,
    ),
    (
        "ruby_llm/spec/fixtures/vcr_cassettes/chat_count_tokens_with_gemini_gemini-3_5-flash_counts_the_next_request_as_configured.yml#1",
        "system_text_chars",
        r#"`generateContentRequest` holds the whole request: contents, `systemInstruction`, `functionDeclarations`"#,
    ),
    (
        "ruby_llm/spec/fixtures/vcr_cassettes/chat_count_tokens_with_gemini_gemini-3_5-flash_counts_the_next_request_as_configured.yml#1",
        "tools_offered",
        r#"`generateContentRequest` holds the whole request: contents, `systemInstruction`, `functionDeclarations`"#,
    ),
    (
        "ruby_llm/spec/fixtures/vcr_cassettes/embedding_multimodal_embeddings_gemini_gemini-embedding-2_embeds_an_image_alongside_text.yml#0",
        "images",
        r#"`requests[0].content.parts[1]`: `{"inline_data":{"mime_type":"image/png"`"#,
    ),
];

/// Members that were not looked for in a protocol, so that nothing was found: the protocol, the member, and where it stands.
const NOT_LOOKED_FOR: &[(&str, &str, &str)] = &[
    (
        "cohere.v2",
        "history_tool_calls",
        "`messages[]{\"role\":\"assistant\",\"tool_calls\":[{…\"function\":{\"name\":\"get_time\"…`",
    ),
    (
        "cohere.v1",
        "system_text_chars",
        "`chat_history[]{\"role\":\"SYSTEM\",\"message\":\"You are designed to help …`",
    ),
];

/// Protocols of which only what has the shape of a chat was looked for: what is stored, batched or retrieved was not.
const BARELY_READ: &[&str] = &["openai.other", "anthropic.batches"];

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Array(values) => values.iter().all(is_empty),
        _ => false,
    }
}

/// Whether an expectation says nothing about an exchange.
fn is_disputed(exchange: &Value, member: &str, expected: &Value) -> bool {
    let id = exchange["id"].as_str().unwrap();
    let protocol = exchange["protocol"].as_str().unwrap();
    let names = |list: &[(&str, &str, &str)], what: &str| {
        list.iter()
            .any(|(known, name, _)| *known == what && *name == member)
    };
    names(DISPUTED, id)
        || (is_empty(expected)
            && (names(NOT_LOOKED_FOR, protocol) || BARELY_READ.contains(&protocol)))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traffic")
}

fn recorded() -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .iter()
        .flat_map(|file| {
            std::fs::read_to_string(file)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect::<Vec<Value>>()
        })
        .collect()
}

fn inspect(exchanges: &[Value]) -> Vec<Value> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["--json", "inspect"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = exchanges
        .iter()
        .map(|exchange| format!("{exchange}\n"))
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn events<'v>(seen: &'v Value, kind: &str, direction: &str) -> impl Iterator<Item = &'v Value> {
    seen["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(move |event| event["event"] == kind && event["in"] == direction)
}

/// Characters of the texts of a kind, of one author if one is named; reasoning, refusals and metadata apart.
fn characters(seen: &Value, kind: &str, from: Option<&str>) -> Value {
    let count: usize = seen["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["event"] == kind && event.get("channel").is_none())
        .filter(|event| from.is_none_or(|from| event["from"] == from))
        .map(|event| event["text"].as_str().unwrap_or_default().chars().count())
        .sum();
    json!(count)
}

/// What `path` leads to, or null.
fn at(value: &Value, path: &str) -> Value {
    value.pointer(path).cloned().unwrap_or_default()
}

/// Whether the client calls tools itself: what the others call a history is the call.
fn is_rpc(exchange: &Value) -> bool {
    exchange["protocol"] == "mcp" || exchange["protocol"] == "a2a"
}

/// Calls of one half: name and arguments, parsed or as text.
fn calls(seen: &Value, direction: &str) -> Value {
    events(seen, "tool_call", direction)
        .filter(|event| event["runs"] != "provider")
        .map(|event| {
            let arguments = event.get("args").or_else(|| event.get("args_text"));
            json!([event["tool"], arguments])
        })
        .collect()
}

fn expected_calls(calls: &Value) -> Value {
    calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| json!([call["name"], call["arguments"]]))
        .collect()
}

/// Tools that are offered in one place of a request: among its settings, or on the way in its input.
fn offers(seen: &Value, by_provider: bool, in_input: bool) -> Value {
    events(seen, "tool_offer", "request")
        .filter(|event| (event["runs"] == "provider") == by_provider)
        .filter(|event| event["at"].as_str().unwrap().starts_with("/input/") == in_input)
        .map(|event| event["tool"].clone())
        .collect()
}

/// Names under which the client runs what is no function.
const CLIENT_TOOLS: &[&str] = &["computer", "local_shell", "shell", "apply_patch"];

/// Items of an answer that are calls and no function's, in the words of their types.
fn item_calls(seen: &Value) -> Value {
    events(seen, "tool_call", "response")
        .filter(|event| {
            event["runs"] == "provider" || CLIENT_TOOLS.contains(&event["tool"].as_str().unwrap())
        })
        .map(|event| json!(format!("{}_call", event["tool"].as_str().unwrap())))
        .collect()
}

/// Every member of `expected` that this reader claims to see, beside what it saw.
fn comparisons(exchange: &Value, seen: &Value) -> Vec<(&'static str, Value, Value)> {
    let expected = &exchange["expected"];
    let mut pairs = vec![(
        "provider",
        exchange["provider"].clone(),
        seen["provider"].clone(),
    )];
    // The recordings call whatever is no model's endpoint by one name, whoever serves it.
    let is_of_others = exchange["protocol"] == "openai.other"
        && matches!(
            exchange["provider"].as_str(),
            Some("anthropic" | "bedrock" | "gemini" | "vertex")
        );
    if !is_of_others {
        pairs.push((
            "protocol",
            exchange["protocol"].clone(),
            seen["protocol"].clone(),
        ));
    }
    let mut compare = |name: &'static str, actual: Value| {
        if let Some(value) = expected.get(name) {
            pairs.push((name, value.clone(), actual));
        }
    };
    compare("agent", seen["agent"].clone());
    if !expected["model"].is_null() {
        compare("model", seen["model"].clone());
    }
    compare("stream", seen["stream"].clone());
    compare("tools_offered", offers(seen, false, false));
    compare("provider_tools", offers(seen, true, false));
    compare("tools_in_input", offers(seen, false, true));
    compare("deployment", seen["deployment"].clone());
    compare("user_text_chars", characters(seen, "message", Some("user")));
    compare(
        "system_text_chars",
        characters(seen, "message", Some("system")),
    );
    if !is_rpc(exchange) {
        compare(
            "tool_result_text_chars",
            characters(seen, "tool_result", None),
        );
    }
    compare("response_text_chars", characters(seen, "response", None));
    compare("images", seen["attachments"]["image"].clone());
    compare("files", seen["attachments"]["file"].clone());
    compare("audio", seen["attachments"]["audio"].clone());
    compare("error", seen["error"].clone());
    let halves: &[(&'static str, &str)] = if is_rpc(exchange) {
        &[
            ("tool_calls", "request"),
            ("history_tool_calls", "response"),
        ]
    } else {
        &[
            ("tool_calls", "response"),
            ("history_tool_calls", "request"),
        ]
    };
    for (name, direction) in halves {
        if let Some(value) = expected.get(name) {
            pairs.push((name, expected_calls(value), calls(seen, direction)));
        }
    }
    if let Some(mcp) = expected.get("mcp") {
        pairs.extend(mcp_comparisons(mcp, seen));
    }
    if let Some(method) = at(expected, "/a2a/method").as_str() {
        pairs.push(("a2a.method", json!([method]), methods(seen, "request")));
    }
    if let Some(reasons) = expected.get("finish").and_then(Value::as_array) {
        pairs.push(("finish", json!(reasons), seen["finish"].clone()));
    }
    if exchange["protocol"] == "openai.responses" {
        // A list of tools is no call; calls of a hosted server carry the tool's own name.
        let calls: Value = expected["provider_calls"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|kind| *kind != "mcp_list_tools" && *kind != "mcp_call")
            .cloned()
            .collect();
        pairs.push(("provider_calls", calls, item_calls(seen)));
    }
    for name in ["usage_headers", "usage_invocation_metrics"] {
        let Some(usage) = expected.get(name).filter(|usage| usage.is_object()) else {
            continue;
        };
        let counts = &seen[name];
        let output = counts.get("output_tokens").cloned().unwrap_or(json!(0));
        pairs.push((
            name,
            json!([usage["input"], usage["output"]]),
            json!([counts["input_tokens"], output]),
        ));
    }
    if let Some(usage) = expected.get("usage").filter(|usage| usage.is_object()) {
        pairs.push((
            "usage",
            json!([usage["input"], usage["output"]]),
            json!([
                at(seen, "/usage/input_tokens"),
                at(seen, "/usage/output_tokens")
            ]),
        ));
    }
    pairs
}

/// Methods of the JSON-RPC requests and notifications of one half.
fn methods(seen: &Value, direction: &str) -> Value {
    events(seen, "request", direction)
        .filter_map(|event| event.get("method").cloned())
        .collect()
}

fn mcp_comparisons(mcp: &Value, seen: &Value) -> Vec<(&'static str, Value, Value)> {
    let answers = events(seen, "request", "request")
        .filter(|event| event.get("method").is_none())
        .count();
    let results: Vec<&Value> = events(seen, "tool_result", "response")
        .filter(|event| event.get("channel").is_none())
        .collect();
    let failed: Value = results
        .iter()
        .map(|event| json!(event["ok"] == false))
        .collect();
    let length: usize = results
        .iter()
        .map(|event| event["text"].as_str().unwrap_or_default().chars().count())
        .sum();
    let listed: Value = events(seen, "tool_offer", "response")
        .map(|event| event["tool"].clone())
        .collect();
    let mut pairs = vec![
        ("mcp.methods", at(mcp, "/methods"), methods(seen, "request")),
        (
            "mcp.client_responses",
            at(mcp, "/client_responses"),
            json!(answers),
        ),
        (
            "mcp.server_requests",
            at(mcp, "/server_requests"),
            methods(seen, "response"),
        ),
        ("mcp.tools_listed", at(mcp, "/tools_listed"), listed),
        (
            "mcp.result_text_chars",
            at(mcp, "/result_text_chars"),
            json!(length),
        ),
        ("mcp.is_error", at(mcp, "/is_error"), failed),
    ];
    let has_errors = at(mcp, "/rpc_errors")
        .as_array()
        .is_some_and(|errors| !errors.is_empty());
    pairs.push((
        "mcp.rpc_errors",
        json!(has_errors),
        json!(seen["error"] == true),
    ));
    pairs
}

#[test]
fn every_recorded_exchange_is_seen_as_it_is() {
    let exchanges = recorded();
    let seen = inspect(&exchanges);
    assert_eq!(seen.len(), exchanges.len());
    let mut wrong = Vec::new();
    for (exchange, seen) in exchanges.iter().zip(&seen) {
        let id = exchange["id"].as_str().unwrap();
        for (name, expected, actual) in comparisons(exchange, seen) {
            if expected != actual && !is_disputed(exchange, name, &expected) {
                wrong.push(format!("{id}: {name} is {expected}, seen {actual}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
