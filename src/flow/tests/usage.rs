//! Tokens mean the same whoever the provider is: all that the model read, all that it wrote.

use super::*;

fn counted(host: &str, path: &str, body: &Value, answer: &Value) -> Value {
    let guard = guard("defaults: { action: allow }\nrules: []\n");
    let request = Half::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", host),
            ("content-type", "application/json"),
        ],
        body.to_string().as_bytes(),
    );
    let headers = [(":status", "200"), ("content-type", "application/json")];
    let answer = Half::new(&headers, answer.to_string().as_bytes());
    record(&exchange(&guard, &request, answer))["usage"].clone()
}

#[test]
fn what_a_provider_counts_apart_is_counted_in() {
    let tokens = |input: u32, output: u32| json!({"input_tokens": input, "output_tokens": output});
    let asked =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    // OpenAI counts cached tokens and reasoning in.
    let chat = |usage: Value| {
        let answer = json!({"id": "c", "object": "chat.completion", "choices": [], "usage": usage});
        counted("api.openai.com", "/v1/chat/completions", &asked, &answer)
    };
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 90}, "completion_tokens_details": {"reasoning_tokens": 15}});
    assert_eq!(chat(usage), tokens(100, 20));
    // Google's compatible endpoint counts thoughts in the sum alone.
    let usage = json!({"prompt_tokens": 66, "completion_tokens": 6, "total_tokens": 100});
    assert_eq!(chat(usage), tokens(66, 34));
    // Anthropic counts neither what came from the cache nor what went into it.
    let usage = json!({"input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000, "output_tokens": 7});
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": usage});
    assert_eq!(
        counted("api.anthropic.com", "/v1/messages", &asked, &answer),
        tokens(3210, 7)
    );
    // Nor does Bedrock.
    let usage = json!({"inputTokens": 12, "outputTokens": 185, "totalTokens": 1225, "cacheReadInputTokens": 1000, "cacheWriteInputTokens": 28});
    let asked = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    let answer = json!({"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "end_turn", "usage": usage});
    let path = "/model/amazon.nova-lite-v1:0/converse";
    assert_eq!(
        counted(
            "bedrock-runtime.us-east-1.amazonaws.com",
            path,
            &asked,
            &answer
        ),
        tokens(1040, 185)
    );
    // Gemini counts cached tokens in; thoughts, and what its own tools answered, apart.
    let usage = json!({"promptTokenCount": 32, "cachedContentTokenCount": 30, "candidatesTokenCount": 234,
        "toolUsePromptTokenCount": 764, "thoughtsTokenCount": 240, "totalTokenCount": 1270});
    let asked = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    let answer = json!({"candidates": [], "usageMetadata": usage});
    let path = "/v1beta/models/gemini-2.5-pro:generateContent";
    assert_eq!(
        counted("generativelanguage.googleapis.com", path, &asked, &answer),
        tokens(796, 474)
    );
}
