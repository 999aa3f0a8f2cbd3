use super::*;

/// Returns a request to Azure with an additional header.
fn asked(path: &str, header: (&str, &str), body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", "x.openai.azure.com"),
            ("content-type", "application/json"),
            header,
        ],
        body.to_string().as_bytes(),
    )
}

const NO_HEADER: (&str, &str) = ("x-other", "gpt-image-1");

#[test]
fn a_model_is_seen_wherever_azure_takes_one_from() {
    let denying = guard(
        "defaults: { action: allow }\nrules:\n  - { id: that, match: { model: gpt-image-1 }, action: deny }",
    );
    let input = json!({"model": "gpt-4o", "input": "a fish"});
    let chat = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "a fish"}]});
    let draws = ("x-ms-oai-image-generation-deployment", "gpt-image-1");
    for (path, header, body) in [
        ("/openai/v1/responses", draws, &input),
        ("/openai/v1/responses?model=gpt-image-1", NO_HEADER, &input),
        (
            "/openai/v1/chat/completions?api-version=preview&deployment=gpt-image-1",
            NO_HEADER,
            &chat,
        ),
        (
            "/openai/deployments/gpt-image-1/chat/completions",
            NO_HEADER,
            &chat,
        ),
        (
            "/models/chat/completions",
            ("azureml-model-deployment", "gpt-image-1"),
            &chat,
        ),
    ] {
        let seen = exchange(&denying, &asked(path, header, body), hello());
        assert_eq!(record(&seen)["decision"], "deny", "{path}");
    }
    let other = asked("/openai/v1/responses", NO_HEADER, &input);
    assert_eq!(
        record(&exchange(&denying, &other, hello()))["decision"],
        "allow"
    );
}

#[test]
fn a_model_in_the_path_counts_whatever_the_body_names() {
    let denying = guard(
        "defaults: { action: allow }\nrules:\n  - { id: that, match: { model: big }, action: deny }",
    );
    let only = guard(
        "defaults: { action: deny }\nrules:\n  - { id: that, match: { model: small }, action: allow }",
    );
    let chat = json!({"model": "small", "messages": [{"role": "user", "content": "hi"}]});
    let text = json!({"model": "small", "text_input": "hi"});
    let vertex = "/v1/projects/p/locations/l/endpoints";
    for (path, body) in [
        ("/v2/models/big/generate", &text),
        ("/v2/models/big/versions/1/generate_stream", &text),
        ("/hf-inference/models/org/big/v1/chat/completions", &chat),
        ("/serving-endpoints/x/served-models/big/invocations", &chat),
        ("/serving-endpoints/big/served-models/x/invocations", &chat),
        ("/upstream/big/v1/chat/completions", &chat),
        ("/upstream/org/big/v1/chat/completions", &chat),
        ("/upstream/big/v1/messages", &chat),
        ("/upstream/big/v1/messages/count_tokens", &chat),
        // Only the account knows which model is deployed at an endpoint.
        (&format!("{vertex}/42/chat/completions"), &chat),
        (&format!("{vertex}/42/invoke/v1/chat/completions"), &chat),
    ] {
        for guard in [&denying, &only] {
            let seen = exchange(guard, &asked(path, NO_HEADER, body), hello());
            assert_eq!(record(&seen)["decision"], "deny", "{path}");
        }
    }
    for (path, body) in [
        ("/v2/models/small/generate", &text),
        ("/openai/v1/chat/completions", &chat),
        (&format!("{vertex}/openapi/chat/completions"), &chat),
    ] {
        for guard in [&denying, &only] {
            let seen = exchange(guard, &asked(path, NO_HEADER, body), hello());
            assert_eq!(record(&seen)["decision"], "allow", "{path}");
        }
    }
}

#[test]
fn a_model_that_a_gateway_writes_into_the_request_counts() {
    let denying = guard(
        "defaults: { action: allow }\nrules:\n  - { id: that, match: { model: big }, action: deny }\n  - { id: word, match: { event: message }, when: { text: { contains: secret } }, action: deny }",
    );
    for (changes, decision) in [
        (json!([{"pointer": "/model", "value": "big"}]), "deny"),
        (
            json!([{"pointer": "/top_k", "value": 1}, {"variant_name": "v", "pointer": "/request/model", "value": "big"}]),
            "deny",
        ),
        (
            json!([{"pointer": "/messages/0/content", "value": "the secret"}]),
            "deny",
        ),
        (json!([{"pointer": "/model", "value": "small"}]), "allow"),
        (json!([{"pointer": "/model", "delete": true}]), "allow"),
        (json!([{"pointer": "/seed", "value": "big"}]), "allow"),
    ] {
        let body = json!({"model": "small", "messages": [{"role": "user", "content": "hi"}], "tensorzero::extra_body": changes});
        let path = "/openai/v1/chat/completions";
        let seen = exchange(&denying, &asked(path, NO_HEADER, &body), hello());
        assert_eq!(record(&seen)["decision"], decision, "{changes}");
    }
}

#[test]
fn a_prompt_that_is_no_text_is_named() {
    let denying = guard(
        "defaults: { action: allow }\nrules:\n  - { id: tokens, match: { event: uninspectable }, when: { class: token_ids }, action: deny }",
    );
    let messages = json!([{"role": "user", "content": "hi"}]);
    for (path, body) in [
        (
            "/inference/v1/generate",
            json!({"model": "m", "token_ids": [1, 2]}),
        ),
        ("/generate", json!({"input_embeds": [[0.5, 1]]})),
        (
            "/v1/completions",
            json!({"model": "m", "prompt_embeds": "AAAA"}),
        ),
        (
            "/v1/completions",
            json!({"model": "m", "prompt_embeds": ["AAAA", "BBBB"]}),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "m", "messages": messages, "prompt_token_ids": [1]}),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "m", "messages": messages, "nvext": {"token_data": [1, 2], "zz": 1}}),
        ),
    ] {
        let seen = exchange(&denying, &asked(path, NO_HEADER, &body), hello());
        assert_eq!(record(&seen)["decision"], "deny", "{body}");
        assert_eq!(record(&seen)["coverage"]["level"], "partial", "{body}");
    }
    let plain = json!({"model": "m", "messages": messages, "stop_token_ids": [1], "prompt_embeds": null, "nvext": {"annotations": ["x"], "token_data": null}});
    let seen = exchange(
        &denying,
        &asked("/v1/chat/completions", NO_HEADER, &plain),
        hello(),
    );
    assert_eq!(record(&seen)["decision"], "allow");
}

#[test]
fn a_chat_that_a_deployed_model_predicts_is_read_as_one() {
    let rules = "defaults: { action: allow }
rules:
  - { id: offer, match: { event: tool_offer, tool: bad }, action: deny }
  - { id: call, match: { event: tool_call, tool: rm }, action: deny }
  - { id: word, match: { event: message, from: system }, when: { text: { contains: secret } }, action: deny }";
    let denying = guard(rules);
    let chat = |tool: &str, system: &str| {
        json!({"instances": [{
            "@requestFormat": "chatCompletions",
            "max_tokens": 9,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": "secret"}],
            "tools": [{"type": "function", "function": {"name": tool, "parameters": {}}}],
        }]})
    };
    let answer = |tool: &str| {
        json!({"id": "x", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": null,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": tool, "arguments": "{}"}}]}}]})
    };
    let path = "/v1/projects/p/locations/l/endpoints/42:predict";
    let decided = |body: &Value, predictions: Value| {
        let answered = json!({"predictions": predictions, "deployedModelId": "1"});
        let headers = [(":status", "200"), ("content-type", "application/json")];
        let response = HttpMessage::new(&headers, answered.to_string().as_bytes());
        record(&exchange(&denying, &asked(path, NO_HEADER, body), response))["decision"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    };
    let fine = chat("ls", "be kind");
    assert_eq!(decided(&fine, answer("ls")), "allow");
    assert_eq!(decided(&fine, json!([answer("ls")])), "allow");
    assert_eq!(decided(&fine, answer("rm")), "deny");
    assert_eq!(decided(&fine, json!([answer("rm")])), "deny");
    assert_eq!(decided(&chat("bad", "be kind"), answer("ls")), "deny");
    assert_eq!(decided(&chat("ls", "secret"), answer("ls")), "deny");
}

#[test]
fn servers_of_mcp_at_agentcore_are_read_as_such() {
    let allowing = guard(
        "defaults: { action: allow }\nrules:\n  - { id: that, match: { tool: rm }, action: deny }",
    );
    let told = |accept: &str, body: &Value| {
        let path = "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3A1%3Aruntime%2Fx/invocations?qualifier=DEFAULT";
        let request = HttpMessage::new(
            &[
                (":method", "POST"),
                (":path", path),
                (":authority", "bedrock-agentcore.us-west-2.amazonaws.com"),
                ("content-type", "application/json"),
                ("accept", accept),
            ],
            body.to_string().as_bytes(),
        );
        let record = record(&exchange(&allowing, &request, hello()));
        [&record["protocol"], &record["decision"]]
            .map(|value| value.as_str().unwrap_or("").to_owned())
    };
    let call = |name: &str| json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}});
    let of_mcp = "application/json, text/event-stream";
    assert_eq!(told(of_mcp, &call("ls")), ["mcp", "allow"]);
    assert_eq!(told(of_mcp, &call("rm")), ["mcp", "deny"]);
    // Agents that take anything else, and a call of no client of MCP.
    let query = json!({"query": "hi"});
    assert_eq!(told(of_mcp, &query), ["bedrock.other", "allow"]);
    assert_eq!(told("*/*", &query), ["bedrock.other", "allow"]);
    assert_eq!(told("*/*", &call("ls")), ["bedrock.other", "deny"]);
}

#[test]
fn a_model_outside_the_body_does_not_replace_one_that_the_body_needs() {
    let only = guard(
        "defaults: { action: deny }\nrules:\n  - { id: that, match: { model: gpt-4o }, action: allow }",
    );
    let named = json!({"model": "gpt-4o", "input": "a fish"});
    let unnamed = json!({"input": "a fish"});
    let path = "/openai/v1/responses?model=gpt-4o";
    let seen = exchange(&only, &asked(path, NO_HEADER, &named), hello());
    assert_eq!(record(&seen)["decision"], "allow");
    let seen = exchange(&only, &asked(path, NO_HEADER, &unnamed), hello());
    assert_eq!(record(&seen)["decision"], "deny");
    // The model that handles the request is named first.
    let draws = ("x-ms-oai-image-generation-deployment", "gpt-image-1");
    let seen = exchange(
        &only,
        &asked("/openai/v1/responses", draws, &named),
        hello(),
    );
    assert_eq!(record(&seen)["model"], "gpt-4o,gpt-image-1");
    assert_eq!(record(&seen)["decision"], "deny");
}

#[test]
fn a_member_with_a_model_is_read_however_its_key_is_written() {
    let denying = guard(
        "defaults: { action: allow }\nrules:\n  - { id: that, match: { model: gpt-5 }, action: deny }",
    );
    for member in [
        r#""fallback_models": ["gpt-5"]"#,
        r#""fallback_mod\u0065ls": ["gpt-5"]"#,
        r#""providerOptions": {"gateway": {"\u006dodels": ["gpt-5"]}}"#,
    ] {
        let body = format!(
            r#"{{"model": "gpt-4o", "messages": [{{"role": "user", "content": "hi"}}], {member}}}"#
        );
        let seen = exchange(&denying, &chat_request(body.as_bytes()), hello());
        assert_eq!(record(&seen)["decision"], "deny", "{member}");
    }
}

#[test]
fn very_many_models_may_include_any() {
    let denying = guard(
        "defaults: { action: allow }\nrules:\n  - { id: that, match: { model: gpt-5 }, action: deny }",
    );
    for (count, decision) in [(1_000, "allow"), (200_000, "deny")] {
        let models: Vec<String> = (0..count).map(|number| format!("m{number}")).collect();
        let body = json!({"models": models, "messages": [{"role": "user", "content": "hi"}]});
        let request = chat_request(body.to_string().as_bytes());
        let record = record(&exchange(&denying, &request, hello()));
        assert_eq!(record["decision"], decision, "{count}");
    }
}

#[test]
fn a_router_may_use_any_model() {
    let denying = guard(
        "defaults: { action: allow }\nrules:\n  - { id: that, match: { model: gpt-5 }, action: deny }",
    );
    for (model, decision) in [
        ("openrouter/auto", "deny"),
        ("OpenRouter/Auto", "deny"),
        ("openrouter/auto:nitro", "deny"),
        ("openrouter/free", "deny"),
        ("openai/gpt-4o:nitro", "allow"),
    ] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let request = chat_request(body.to_string().as_bytes());
        let seen = exchange(&denying, &request, hello());
        assert_eq!(record(&seen)["decision"], decision, "{model}");
    }
}

/// Returns a request to a provider's host at a path with a body.
fn posted(host: &str, path: &str, media: &str, body: &str) -> HttpMessage {
    let headers = [
        (":method", "POST"),
        (":path", path),
        (":authority", host),
        ("content-type", media),
    ];
    HttpMessage::new(&headers, body.as_bytes())
}

fn decided(guard: &Rc<Guard>, request: &HttpMessage) -> Value {
    record(&exchange(guard, request, hello()))["decision"].clone()
}

const GOOGLE: &str = "generativelanguage.googleapis.com";

#[test]
fn a_denied_model_is_denied_in_every_spelling_that_an_endpoint_accepts() {
    let chat = |name: &str| {
        json!({"model": name, "messages": [{"role": "user", "content": "hi"}]}).to_string()
    };
    for (denied, host, path, written) in [
        (
            "gemini-2.5-pro",
            GOOGLE,
            "/v1beta/openai/chat/completions",
            "models/gemini-2.5-pro",
        ),
        (
            "gemini-2.5-pro",
            "us-central1-aiplatform.googleapis.com",
            "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
            "google/gemini-2.5-pro",
        ),
        (
            "gpt-4o",
            "openrouter.ai",
            "/api/v1/chat/completions",
            "openai/gpt-4o:online",
        ),
        (
            "openai/gpt-4o",
            "openrouter.ai",
            "/api/v1/chat/completions",
            "openai/gpt-4o:free",
        ),
        (
            "gpt-4o",
            "litellm.internal",
            "/v1/chat/completions",
            "azure/gpt-4o",
        ),
        (
            "gpt-4*",
            "litellm.internal",
            "/v1/chat/completions",
            "openai/gpt-4o",
        ),
        (
            "anthropic.claude-3-haiku-20240307-v1:0",
            "litellm.internal",
            "/v1/chat/completions",
            "bedrock/eu.anthropic.claude-3-haiku-20240307-v1:0",
        ),
        (
            "gpt-4o-mini-2024-07-18",
            "api.openai.com",
            "/v1/chat/completions",
            "ft:gpt-4o-mini-2024-07-18:acme::id",
        ),
        // LangChain, Pydantic AI and aisuite put the provider before a colon.
        (
            "gpt-4o*",
            "llm.internal",
            "/v1/chat/completions",
            "openai:gpt-4o",
        ),
        (
            "gpt-4o*",
            "llm.internal",
            "/v1/chat/completions",
            "google_genai:gemini-2.5-pro, gpt-4o/azure",
        ),
    ] {
        let policy = format!(
            "defaults: {{ action: allow }}\nrules:\n  - {{ id: that, match: {{ model: '{denied}' }}, action: deny }}"
        );
        let guard = guard(&policy);
        let sent = posted(host, path, "application/json", &chat(written));
        assert_eq!(decided(&guard, &sent), "deny", "{denied}: {written}");
        let other = posted(host, path, "application/json", &chat("other/model-1.5"));
        assert_eq!(decided(&guard, &other), "allow", "{denied}");
    }
    // The model is in the path.
    let guard = guard(
        "defaults: { action: allow }\nrules:\n  - { id: that, match: { model: claude-3-haiku-20240307 }, action: deny }",
    );
    let body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).to_string();
    let path = "/model/us.anthropic.claude-3-haiku-20240307-v1%3A0/converse";
    let sent = posted(
        "bedrock-runtime.us-east-1.amazonaws.com",
        path,
        "application/json",
        &body,
    );
    assert_eq!(decided(&guard, &sent), "deny");
}

#[test]
fn a_denied_model_is_found_in_every_member_with_a_model() {
    let guard = guard(
        "defaults: { action: allow }\nrules:\n  - { id: that, match: { model: 'secret-*' }, action: deny }",
    );
    let with = |member: Value| {
        let mut body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
        for (key, value) in member.as_object().unwrap() {
            body[key] = value.clone();
        }
        posted(
            "llm.internal",
            "/v1/chat/completions",
            "application/json",
            &body.to_string(),
        )
    };
    for member in [
        json!({"deployment_id": "secret-1"}),
        json!({"deploymentId": "secret-1"}),
        json!({"engine": "secret-1"}),
        json!({"adapter_id": "secret-1"}),
        json!({"lora_request": {"lora_name": "secret-1", "lora_int_id": 1, "lora_path": "/x"}}),
        json!({"lora_path": ["secret-1"]}),
        json!({"parameters": {"adapter_id": "secret-1"}}),
        json!({"models": ["gpt-4o", "secret-1:free"]}),
        json!({"fallbacks": [{"gpt-4o": ["secret-1"]}]}),
    ] {
        assert_eq!(decided(&guard, &with(member.clone())), "deny", "{member}");
    }
    // The engine of a search is not a model.
    for member in [
        json!({"engine": "other"}),
        json!({"vendor": {"engine": "secret-1"}}),
    ] {
        assert_eq!(decided(&guard, &with(member.clone())), "allow", "{member}");
    }
    let form = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n\
        --b\r\ncontent-disposition: form-data; name=\"model[]\"\r\n\r\nsecret-1\r\n\
        --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nx\r\n--b--\r\n";
    let sent = posted(
        "llm.internal",
        "/v1/audio/transcriptions",
        "multipart/form-data; boundary=b",
        form,
    );
    assert_eq!(decided(&guard, &sent), "deny");
    for modelfile in [
        "FROM secret-1\nSYSTEM hi",
        "# x\n  from \"secret-1\"",
        "FROM a\nADAPTER secret-1",
    ] {
        let body = json!({"model": "mine", "modelfile": modelfile}).to_string();
        let sent = posted(
            "ollama.internal:11434",
            "/api/create",
            "application/json",
            &body,
        );
        assert_eq!(decided(&guard, &sent), "deny", "{modelfile}");
    }
}

#[test]
fn an_allowed_model_is_allowed_as_it_is_written() {
    let policy = |model: &str| {
        format!(
            "defaults: {{ action: deny }}\nrules:\n  - {{ id: that, match: {{ model: '{model}' }}, action: allow }}"
        )
    };
    let ask = |name: &str| {
        let body = json!({"model": name, "messages": [{"role": "user", "content": "hi"}]});
        posted(
            "llm.internal",
            "/v1/chat/completions",
            "application/json",
            &body.to_string(),
        )
    };
    for (allowed, written, decision) in [
        ("openai/gpt-4o", "openai/gpt-4o", "allow"),
        ("openai/gpt-4o:free", "openai/gpt-4o:free", "allow"),
        ("llama3:latest", "llama3:latest", "allow"),
        (
            "claude-sonnet-4@20250514",
            "claude-sonnet-4@20250514",
            "allow",
        ),
        ("gpt-4o", "openai/gpt-4o", "deny"),
        ("gpt-4o", "evil/gpt-4o", "deny"),
        ("gpt-4o", "gpt-4o:online", "deny"),
        ("gpt-4o", "openai:gpt-4o", "deny"),
        ("openai:gpt-4o", "openai:gpt-4o", "allow"),
        ("llama3:8b", "llama3:8b", "allow"),
        ("8b", "llama3:8b", "deny"),
        ("llama3", "llama3:8b", "deny"),
        // The name does not reveal the model behind it.
        ("tunedModels/x", "tunedModels/x", "deny"),
    ] {
        assert_eq!(
            decided(&guard(&policy(allowed)), &ask(written)),
            decision,
            "{allowed}: {written}"
        );
    }
    // An allow-list, written as a denial of everything else.
    let others = guard(
        "defaults: { action: allow }\nrules:\n  - { id: others, when: { model: { not_in: [openai/gpt-4o, 'llama3:latest'] } }, action: deny }",
    );
    assert_eq!(decided(&others, &ask("openai/gpt-4o")), "allow");
    assert_eq!(decided(&others, &ask("llama3:latest")), "allow");
    assert_eq!(decided(&others, &ask("openai/o3")), "deny");
}

#[test]
fn rules_read_headers_and_the_query_where_they_name_them() {
    let policy = "defaults: { action: allow }
rules:
  - { id: secrets, match: { event: request }, when: { query.*: { detects: secrets } }, action: deny }
  - { id: tags, match: { event: request }, when: { header.*: { contains: forbidden } }, action: deny }
  - { id: version, match: { event: request }, when: { query.api-version: { starts_with: '2023' } }, action: deny }
";
    let guard = guard(policy);
    let key = concat!("AKIA", "Z7QX3N5PLM2RT6VD");
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
    for (query, header, decision) in [
        ("", ("x-tag", "fine"), "allow"),
        ("?note=hello", ("x-tag", "fine"), "allow"),
        (&*format!("?note={key}"), ("x-tag", "fine"), "deny"),
        (
            &*format!("?a=1&note=my+{}%44", key.strip_suffix('D').unwrap_or(key)),
            ("x-tag", "fine"),
            "deny",
        ),
        ("?API-version=2023-05-15", ("x-tag", "fine"), "deny"),
        (
            "?api-version=2024-10-21",
            ("x-tag", "a FORBIDDEN tag"),
            "deny",
        ),
        ("", ("authorization", "Bearer forbidden"), "allow"),
        ("", ("cookie", "forbidden"), "allow"),
    ] {
        let path = format!("/v1/chat/completions{query}");
        let sent = asked(&path, header, &body);
        assert_eq!(decided(&guard, &sent), decision, "{query} {header:?}");
    }
}
