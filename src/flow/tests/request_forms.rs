//! Requests in forms that some servers read and others don't. Everything that any server would read is evaluated, and a
//! request that can't be read is denied with its code. Neither reaches the upstream.

use super::*;

const POLICY: &str = "defaults: { action: allow }
rules:
  - id: word
    match: { event: message }
    when: { text: { contains: forbidden word } }
    action: deny
  - { id: model, match: { model: 'gpt-bad*' }, action: deny }
";

const CHAT: &str = "/v1/chat/completions";

/// Code of a denial by a rule.
const SEEN: &str = "AG3001";

/// Sends a request at once and byte by byte. Returns the code of the denial.
fn code_of(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
    let mut head = vec![(":method", method), (":path", path), (":authority", "x")];
    head.extend_from_slice(headers);
    let guard = guard(POLICY);
    let [whole, pieces] = [body.len().max(1), 1].map(|size| {
        let mut request = HttpMessage::new(&head, b"");
        request.chunks = body.chunks(size).map(<[u8]>::to_vec).collect();
        let seen = exchange(&guard, &request, hello());
        let record = record(&seen);
        let upstream = seen.upstream.map(|upstream| upstream.body());
        if record["decision"] == "deny" {
            assert!(upstream.is_none_or(|body| body.is_empty()), "{head:?}");
        } else {
            assert_eq!(upstream.as_deref(), Some(body), "{head:?}");
        }
        record["code"].as_str().unwrap_or("").to_owned()
    });
    assert_eq!(whole, pieces, "{head:?}");
    whole
}

#[test]
fn a_body_is_read_whatever_its_type_or_denied() {
    for (media, code) in [
        (None, SEEN),
        (Some(""), SEEN),
        (Some("text/plain"), SEEN),
        (Some("APPLICATION/JSON ; Charset=\"UTF-8\""), SEEN),
        (Some("application/vnd.api+json"), SEEN),
        (Some("application/json; charset=utf-16"), "AG2009"),
        (
            Some("application/json; charset=utf-8; charset=utf-7"),
            "AG2009",
        ),
        (Some("application/json, text/plain"), "AG2006"),
        (Some("application/octet-stream"), "AG2006"),
        (Some("application/x-ndjson"), "AG2006"),
        (Some("application/x-www-form-urlencoded"), "AG2006"),
        (Some("multipart/form-data; boundary=x"), "AG2006"),
        (Some("application/cbor"), "AG2006"),
    ] {
        let headers: Vec<_> = media.iter().map(|media| ("content-type", *media)).collect();
        let body = says("the forbidden word");
        assert_eq!(code_of("POST", CHAT, &headers, &body), code, "{media:?}");
    }
}

#[test]
fn a_body_that_any_header_declares_encoded_is_denied() {
    let body = says("the forbidden word");
    for (coding, code) in [
        ("", SEEN),
        (" Identity ", SEEN),
        ("None", SEEN),
        ("none, gzip", "AG2005"),
        ("gzip", "AG2005"),
        ("GZIP", "AG2005"),
        ("x-gzip", "AG2005"),
        ("br", "AG2005"),
        ("zstd", "AG2005"),
        ("deflate", "AG2005"),
        ("identity, gzip", "AG2005"),
        ("gzip, identity", "AG2005"),
        ("aws-chunked", "AG2005"),
        (",", "AG2005"),
    ] {
        let headers = [("content-encoding", coding)];
        assert_eq!(code_of("POST", CHAT, &headers, &body), code, "{coding:?}");
    }
    for two in [["identity", "gzip"], ["gzip", "identity"]] {
        let headers = two.map(|coding| ("content-encoding", coding));
        assert_eq!(code_of("POST", CHAT, &headers, &body), "AG2005", "{two:?}");
    }
}

#[test]
fn a_path_is_the_same_in_every_spelling_or_unknown() {
    let body = says("the forbidden word");
    for path in [
        "//v1/chat/completions",
        "/v1//chat/./completions/",
        "/v1/%2e/chat/completions",
        "/v1/%2e%2e/v1/chat/completions",
        "/v1/models/../chat/completions",
        "/v1/models;/../chat/completions",
        "/v1/chat/completions;x=y",
        "/V1/CHAT/COMPLETIONS",
        "/v1/chat%2fcompletions",
        "/v1/chat%252fcompletions",
        "/v1/chat/completions%3f",
        "/v1/chat/completions%00",
        "/v1/chat/completions#x",
        "/v1\\chat\\completions",
        "v1/chat/completions",
        "http://x/v1/chat/completions",
        "/openai/v1/chat/completions?/v1/models",
    ] {
        assert_eq!(code_of("POST", path, &[], &body), SEEN, "{path}");
    }
    for path in [
        "",
        "*",
        "/v1/models",
        "/v1/models?/v1/chat/completions",
        "/v1/models%3f/../chat/completions",
        "/v1/chat/completions.json",
        "/v1/chat/completion\u{17F}",
    ] {
        assert_eq!(code_of("POST", path, &[], &body), "AG2007", "{path}");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "post"] {
        assert_eq!(code_of(method, CHAT, &[], &body), "AG2007", "{method}");
    }
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x_http_method_override",
        "x-http_method-override",
    ] {
        for path in [CHAT, "/v1/models"] {
            let code = code_of("GET", path, &[(name, "POST")], &body);
            assert_eq!(code, "AG2012", "{name} {path}");
        }
    }
}

/// Google's front end runs a `GET` as the `POST` that its query names, with the body in the query.
#[test]
fn a_query_asks_for_no_other_method_type_or_body() {
    let gemini = "/v1beta/models/gemini-2.5-pro:generateContent";
    let vertex =
        "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent";
    let asks = br#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    for query in [
        "$httpMethod=POST",
        "%24httpMethod=POST&%24req=e30",
        "key=k&$HTTPMETHOD=POST",
        "$httpHeaders=X-HTTP-Method-Override%3APOST",
        "$ct=application/x-protobuf",
        "alt=sse&%24%63t=application/x-protobuf",
        "$req=e30",
        "_method=POST",
        "X-HTTP-Method-Override=POST",
    ] {
        for path in [gemini, vertex, "/v1beta/models", "/health"] {
            let path = format!("{path}?{query}");
            assert_eq!(code_of("GET", &path, &[], b""), "AG2012", "{path}");
        }
        let path = format!("{gemini}?{query}");
        assert_eq!(code_of("POST", &path, &[], asks), "AG2012", "{path}");
    }
    for query in [
        "$alt=json;enum-encoding=int",
        "$fields=candidates",
        "$.xgafv=2",
        "q=$ct=x",
        "method=x",
    ] {
        let path = format!("{gemini}?{query}");
        assert_eq!(code_of("POST", &path, &[], asks), "", "{path}");
        assert_eq!(code_of("GET", &path, &[], b""), "", "{path}");
    }
}

#[test]
fn a_model_counts_wherever_a_server_may_take_it_from() {
    let asks = |model: &str| {
        let messages = json!([{"role": "user", "content": "hi"}]);
        let body = json!({"model": model, "messages": messages, "extra_body": {}});
        body.to_string().into_bytes()
    };
    assert_eq!(code_of("POST", CHAT, &[], &asks("gpt-4o")), "");
    for path in [
        "/v1/chat/completions?model=gpt-bad",
        "/v1/chat/completions?%6dodel=gpt-bad",
        "/openai/deployments/gpt-bad/chat/completions?api-version=1",
        "/openai/deployments/gpt%2Dbad/chat/completions",
        "/openai/deployments/good/deployments/gpt-bad/chat/completions",
        "/openai/deployments/GPT-BAD/chat/completions",
    ] {
        assert_eq!(code_of("POST", path, &[], &asks("gpt-4o")), SEEN, "{path}");
    }
    let deployed = "/openai/deployments/good/chat/completions";
    assert_eq!(code_of("POST", deployed, &[], &asks("gpt-bad")), SEEN);
    let header = [("azureml-model-deployment", "gpt-bad")];
    assert_eq!(code_of("POST", CHAT, &header, &asks("gpt-4o")), SEEN);
}

#[test]
fn a_model_that_a_gateway_takes_from_outside_the_body_counts() {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let chat = json!({"model": "gpt-4o", "messages": messages});
    let told = json!({"model": "gpt-4o", "max_tokens": 9, "messages": messages});
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let gemini = "/v1beta/models/gemini-2.5-pro:generateContent";
    for (path, body) in [(CHAT, &chat), ("/v1/messages", &told), (gemini, &contents)] {
        let body = body.to_string().into_bytes();
        assert_eq!(code_of("POST", path, &[], &body), "", "{path}");
        let harmless = [
            ("x-litellm-tags", "gpt-bad"),
            ("x-portkey-trace-id", "gpt-bad"),
        ];
        assert_eq!(code_of("POST", path, &harmless, &body), "", "{path}");
        for name in [
            "x-litellm-model",
            "x-portkey-azure-deployment-id",
            "x-portkey-azure-model-name",
            "x-amzn-sagemaker-target-model",
            "x-gateway-model-name",
            "x-higress-llm-model",
            "x-ai-eg-model",
            "x-ms-model-mesh-model-name",
            "x-openclaw-model",
            "x-amzn-sagemaker-target-variant",
            "x-portkey-amzn-sagemaker-target-model",
            "x-portkey-provider-model",
        ] {
            for value in ["gpt-bad", "openai/gpt-bad", "gpt-4o,gpt-bad", " GPT-BAD"] {
                let header = [(name, value)];
                assert_eq!(
                    code_of("POST", path, &header, &body),
                    SEEN,
                    "{path} {name}: {value}"
                );
            }
        }
        // The model of a stored configuration is unknown: a rule that denies a model may apply to it.
        for name in ["x-portkey-config", "helicone-fallbacks"] {
            let header = [(name, "pc-1")];
            assert_eq!(code_of("POST", path, &header, &body), SEEN, "{path} {name}");
        }
        for query in [
            "model=gpt-bad",
            "deployment_id=gpt-bad",
            "Engine=gpt-bad",
            "target_model_names=gpt-4o%2Cgpt-bad",
        ] {
            let path = format!("{path}?{query}");
            assert_eq!(code_of("POST", &path, &[], &body), SEEN, "{path}");
        }
    }
    for more in [
        json!({"models": ["gpt-4o", "gpt-bad"]}),
        json!({"route": "fallback", "models": ["gpt-bad"]}),
        json!({"fallbacks": ["gpt-bad"]}),
        json!({"fallbacks": [{"gpt-4o": ["gpt-bad"]}]}),
        json!({"fallbacks": [{"model": "gpt-bad", "messages": []}]}),
        json!({"context_window_fallbacks": [{"gpt-4o": ["gpt-bad"]}]}),
        json!({"content_policy_fallbacks": [{"gpt-4o": ["gpt-bad"]}]}),
        json!({"default_fallbacks": ["gpt-bad"]}),
        json!({"context_window_fallback_dict": {"gpt-4o": "gpt-bad"}}),
        json!({"fallback_models": ["gpt-bad"]}),
        json!({"fallback": {"models": ["gpt-bad"]}}),
        json!({"metadata": {"model": "gpt-bad"}, "extra_body": {"model": "gpt-bad"}}),
        json!({"provider": {"order": ["openai"]}, "models": ["openai/gpt-bad"]}),
        json!({"providerOptions": {"gateway": {"models": ["openai/gpt-bad"]}}}),
        json!({"model_list": [{"model_name": "gpt-4o", "litellm_params": {"model": "gpt-bad"}}]}),
        json!({"plugins": [{"id": "auto-router", "allowed_models": ["gpt-bad"]}]}),
        json!({"plugins": [{"id": "fusion", "models": ["gpt-bad"]}]}),
        json!({"speculative_model": "gpt-bad"}),
        json!({"draft_model": "gpt-bad"}),
        json!({"base_model": "gpt-bad"}),
        json!({"target_model_names": "gpt-bad"}),
        json!({"targets": [{"override_params": {"model": "gpt-bad"}}]}),
    ] {
        let mut body = chat.clone();
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let body = body.to_string().into_bytes();
        let code = code_of("POST", CHAT, &[], &body);
        assert_eq!(code, SEEN, "{more}");
    }
}

#[test]
fn a_body_has_one_reading() {
    for (body, code) in [
        (
            r#"{"model":"gpt-4o","model":"gpt-bad","messages":[]}"#,
            "AG2002",
        ),
        (
            r#"{"model":"gpt-4o","mod\u0065l":"gpt-bad","messages":[]}"#,
            "AG2002",
        ),
        (r#"{"mod\u0065l":"gpt-bad","messages":[]}"#, "AG2002"),
        (
            r#"{"model":"gpt-4o","MODEL":"gpt-bad","messages":[]}"#,
            "AG2002",
        ),
        (
            r#"{"model":"gpt-4o","messages":[],"messages":[{"role":"user","content":"x"}]}"#,
            "AG2002",
        ),
        (
            r#"{"model":"gpt-4o","messages":[{"role":"user","content":"a","content":"b"}]}"#,
            "AG2002",
        ),
        (r#"{"model":"gpt\u002dbad","messages":[]}"#, SEEN),
        (r#"{"model":" gpt-bad","messages":[]}"#, SEEN),
        (r#"{"model":"gpt-bad\u0000","messages":[]}"#, SEEN),
        (
            r#"{"model":"gpt-4o","messages":[],"extra_body":{"model":"gpt-bad"}}"#,
            SEEN,
        ),
        (r#"{"model":{"id":"gpt-bad"},"messages":[]}"#, "AG2001"),
        (r#"{"model":"gpt-4o\ud800","messages":[]}"#, "AG2001"),
        (
            r#"{"model":"gpt-4o","messages":[]}{"model":"gpt-bad"}"#,
            "AG2001",
        ),
        (r#"{"model":"gpt-bad","messages":[],}"#, "AG2001"),
        (r#"/*x*/{"model":"gpt-bad","messages":[]}"#, "AG2001"),
        (r#"[{"model":"gpt-bad","messages":[]}]"#, "AG2001"),
        (
            "data: {\"model\":\"gpt-bad\",\"messages\":[]}\n\n",
            "AG2001",
        ),
        ("\u{1E}{\"model\":\"gpt-bad\",\"messages\":[]}", "AG2001"),
        ("{\"model\":\"gpt-bad\0\",\"messages\":[]}", "AG2001"),
        ("\u{FEFF}{\"model\":\"gpt-bad\",\"messages\":[]}", "AG2009"),
        ("model=gpt-bad&messages=x", "AG2001"),
        (r#"{"model":"gpt-4o","messages":[],"n":1e400}"#, ""),
    ] {
        assert_eq!(code_of("POST", CHAT, &[], body.as_bytes()), code, "{body}");
    }
    let utf16 = says("the forbidden word");
    let utf16 = utf16.iter().flat_map(|byte| [*byte, 0]);
    let utf16: Vec<u8> = utf16.collect();
    assert_eq!(code_of("POST", CHAT, &[], &utf16), "AG2009");
    let latin = b"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"\xFF\"}]}";
    assert_eq!(code_of("POST", CHAT, &[], latin), "AG2009");
}

#[test]
fn a_body_with_the_conversations_of_two_formats_has_no_format() {
    let (message, messages) = (
        json!("hello"),
        json!([{"role": "user", "content": "hello"}]),
    );
    for (body, code) in [
        (json!({"model": "m", "message": message}), ""),
        (json!({"model": "m", "messages": messages}), ""),
        // Cohere reads one of them and Writer the other, each with its own form of calls.
        (
            json!({"model": "m", "message": message, "messages": messages}),
            "AG2007",
        ),
        (
            json!({"model": "m", "message": null, "messages": messages}),
            "AG2007",
        ),
    ] {
        let sent = body.to_string();
        let headers = [("content-type", "application/json")];
        assert_eq!(
            code_of("POST", "/v1/chat", &headers, sent.as_bytes()),
            code,
            "{body}"
        );
    }
}

#[test]
fn an_upload_has_the_parts_that_every_parser_finds() {
    let field = |head: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
    };
    let bad = field("name=\"model\"", "gpt-bad");
    let good = field("name=\"model\"", "whisper");
    let file = field("name=\"file\"; filename=\"a.wav\"", "RIFF");
    let end = "--x--\r\n";
    let form = "multipart/form-data; boundary=x";
    let coded = |header: &str| bad.replace("\r\n\r\n", &format!("\r\n{header}\r\n\r\n"));
    for (what, media, body, code) in [
        ("a field", form, format!("{bad}{file}{end}"), SEEN),
        (
            "LF",
            form,
            format!("{bad}{file}{end}").replace('\r', ""),
            SEEN,
        ),
        (
            "a name without quotes",
            form,
            field("name=model", "gpt-bad") + &file + end,
            SEEN,
        ),
        (
            "an element of a list",
            form,
            good.clone() + &field("name=\"model[]\"", "gpt-bad") + &file + end,
            SEEN,
        ),
        (
            "a quoted boundary",
            "Multipart/Form-Data; Boundary=\"x\"",
            format!("{bad}{file}{end}"),
            SEEN,
        ),
        (
            "two fields",
            form,
            format!("{good}{bad}{file}{end}"),
            "AG2002",
        ),
        (
            "other letters",
            form,
            good.clone() + &field("name=\"Model\"", "gpt-bad") + &file + end,
            "AG2002",
        ),
        (
            "two names",
            form,
            field("name=\"a\"; name=\"model\"", "gpt-bad") + &file + end,
            "AG2002",
        ),
        (
            "two boundaries",
            "multipart/form-data; boundary=y; boundary=x",
            format!("{bad}{file}{end}"),
            "AG2002",
        ),
        (
            "a coded name",
            form,
            field("name=\"a\"; name*=utf-8''model", "gpt-bad") + &file + end,
            "AG2001",
        ),
        (
            "a coded boundary",
            "multipart/form-data; boundary=y; boundary*=x",
            format!("{bad}{file}{end}"),
            "AG2001",
        ),
        (
            "something before",
            form,
            format!("x\r\n{bad}{file}{end}"),
            "AG2001",
        ),
        (
            "something behind",
            form,
            format!("{good}{file}{end}{bad}{end}"),
            "AG2001",
        ),
        (
            "no boundary",
            "multipart/form-data",
            format!("{bad}{file}{end}"),
            "AG2001",
        ),
        (
            "JSON",
            "application/json",
            format!("{bad}{file}{end}"),
            "AG2001",
        ),
        (
            "another multipart",
            "multipart/mixed; boundary=x",
            format!("{bad}{file}{end}"),
            "AG2006",
        ),
        (
            "base64",
            form,
            coded("Content-Transfer-Encoding: base64") + &file + end,
            "AG2005",
        ),
        (
            "another charset",
            form,
            coded("Content-Type: text/plain; charset=utf-16") + &file + end,
            "AG2009",
        ),
    ] {
        let headers = [("content-type", media)];
        let found = code_of(
            "POST",
            "/v1/audio/transcriptions",
            &headers,
            body.as_bytes(),
        );
        assert_eq!(found, code, "{what}");
    }
}

#[test]
fn a_batch_that_is_no_json_lines_is_denied_text_or_not() {
    let line = json!({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": "gpt-bad", "messages": [{"role": "user", "content": "x"}]}})
    .to_string();
    let upload = |name: &str, content: &str| {
        format!(
            "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
             --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n--x--\r\n"
        )
    };
    let headers = [("content-type", "multipart/form-data; boundary=x")];
    for (body, code) in [
        (upload("a.jsonl", &line), SEEN),
        (upload("a.txt", &line), "AG2001"),
        (upload("a.jsonl", &format!("{line}\nNaN")), "AG2001"),
        // Neither text.
        (upload("a.jsonl", &format!("{line}\n\0")), "AG2001"),
    ] {
        let found = code_of("POST", "/v1/files", &headers, body.as_bytes());
        assert_eq!(found, code, "{body}");
    }
}

#[test]
fn text_that_is_declared_as_bytes_or_sealed_is_read() {
    let chat =
        |part: Value| json!({"model": "m", "messages": [{"role": "user", "content": [part]}]});
    let told = |block: Value| json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [block]}]});
    // `a forbidden word in here`, and a picture.
    let (words, picture) = (
        "YSBmb3JiaWRkZW4gd29yZCBpbiBoZXJl",
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB",
    );
    let file = |data: &str| {
        chat(json!({"type": "file", "file": {"filename": "a.txt", "file_data": data}}))
    };
    let thought = |data: &str| told(json!({"type": "redacted_thinking", "data": data}));
    for (path, body, code) in [
        (CHAT, file(words), SEEN),
        (CHAT, file(&format!("data:text/plain;base64,{words}")), SEEN),
        (CHAT, file("a forbidden word"), SEEN),
        (CHAT, file(picture), ""),
        ("/v1/messages", thought("a forbidden word"), SEEN),
        (
            "/v1/messages",
            thought("EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIw"),
            "",
        ),
    ] {
        let code_seen = code_of("POST", path, &[], body.to_string().as_bytes());
        assert_eq!(code_seen, code, "{body}");
    }
}
