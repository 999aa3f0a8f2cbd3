use super::*;

/// A request to Azure, with one more header.
fn asked(path: &str, header: (&str, &str), body: &Value) -> Half {
    Half::new(
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
fn a_model_beside_the_body_stands_in_for_none_that_the_body_needs() {
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
    // The one that is asked is named first.
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
fn a_name_of_models_is_read_however_its_key_is_written() {
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
fn of_very_many_models_some_may_be_any() {
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
fn a_router_may_ask_any_model() {
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
