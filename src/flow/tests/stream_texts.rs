//! Streams of texts without a conversation: legacy completions, servers' own formats, transcripts, speech, pictures.

use super::*;

const LOOKS: &str = "defaults: { action: allow }
rules:
  - id: pii
    match: { event: response }
    when: { text: { detects: [pii, secrets] } }
    action: redact
  - id: swan
    match: { event: response }
    when: { text: { contains: forbidden word } }
    action: deny
    reason: Not that word.
";

fn asks(path: &str, body: Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", "llm.internal"),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ],
        body.to_string().as_bytes(),
    )
}

fn sse(events: &[Value], is_marked: bool) -> Vec<u8> {
    let mut out: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    if is_marked {
        out.push_str("data: [DONE]\n\n");
    }
    out.into_bytes()
}

fn ask(guard: &Rc<Guard>, request: &HttpMessage, body: &[u8]) -> SimulatedResult {
    let answered = |size: usize| {
        let headers = [(":status", "200"), ("content-type", "text/event-stream")];
        let mut half = HttpMessage::new(&headers, b"");
        half.chunks = body.chunks(size).map(<[u8]>::to_vec).collect();
        exchange(guard, request, half)
    };
    let (at_once, in_pieces) = (answered(body.len()), answered(9));
    assert_eq!(
        String::from_utf8(at_once.client.body()),
        String::from_utf8(in_pieces.client.body())
    );
    at_once
}

fn events(seen: &SimulatedResult) -> Vec<Value> {
    let body = String::from_utf8(seen.client.body()).unwrap();
    body.split("\n\n")
        .filter_map(|event| event.split_once("data: "))
        .filter(|(_, data)| *data != "[DONE]")
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect()
}

mod completions {
    use super::*;

    fn request() -> HttpMessage {
        asks(
            "/v1/completions",
            json!({"model": "davinci", "prompt": "hi", "stream": true, "n": 2}),
        )
    }

    fn part(choice: u32, text: &str, finish: Value) -> Value {
        json!({
            "id": "cmpl-1", "object": "text_completion", "created": 7, "model": "davinci-002",
            "choices": [{"text": text, "index": choice, "logprobs": {"tokens": [text]}, "finish_reason": finish}],
        })
    }

    fn texts(events: &[Value], choice: u64) -> String {
        let choices = events
            .iter()
            .flat_map(|event| event["choices"].as_array().into_iter().flatten());
        choices
            .filter(|of| of["index"] == choice)
            .map(|of| of["text"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn each_choice_is_a_text() {
        let guard = guard(LOOKS);
        let parts = [
            part(0, "mail anna@ex", Value::Null),
            part(1, "pay 4111 1111", Value::Null),
            part(0, "ample.com now", json!("stop")),
            part(1, " 1111 1111 now", json!("length")),
        ];
        let seen = ask(&guard, &request(), &sse(&parts, true));
        let events = events(&seen);
        assert_eq!(texts(&events, 0), "mail [EMAIL] now");
        assert_eq!(texts(&events, 1), "pay [CREDIT_CARD] now");
        assert_eq!(events[0]["choices"][0]["logprobs"], Value::Null);
        let untouched = sse(&[part(0, "Hello", json!("stop"))], true);
        assert_eq!(ask(&guard, &request(), &untouched).client.body(), untouched);
    }
}

mod servers {
    use super::*;

    fn generate(path: &str) -> HttpMessage {
        asks(path, json!({"inputs": "hi", "stream": true}))
    }

    fn token(number: u32, text: &str, whole: Value) -> Value {
        json!({
            "index": number, "token": {"id": 1234 + number, "text": text, "logprob": -0.1, "special": text == "</s>"},
            "generated_text": whole, "details": null,
        })
    }

    #[test]
    fn tokens_and_all_of_them_at_the_end_are_one_text() {
        let guard = guard(LOOKS);
        let answer = |parts: &[&str]| {
            let mut events: Vec<Value> = (1..)
                .zip(parts)
                .map(|(number, part)| token(number, part, Value::Null))
                .collect();
            events.push(token(9, "</s>", json!(parts.concat())));
            sse(&events, false)
        };
        let untouched = answer(&["Good", " morning"]);
        let request = generate("/generate_stream");
        assert_eq!(ask(&guard, &request, &untouched).client.body(), untouched);
        let seen = ask(
            &guard,
            &request,
            &answer(&["to anna", "@example", ".com", " now"]),
        );
        let events = events(&seen);
        let texts = events
            .iter()
            .filter_map(|event| event["token"]["text"].as_str());
        assert_eq!(texts.collect::<String>(), "to [EMAIL] now</s>");
        assert_eq!(events[4]["generated_text"], "to [EMAIL] now");
        assert_eq!(events[0]["token"]["id"], 0, "it would tell the text");
        assert_eq!(record(&seen)["findings"], json!({"email": 1}));
        let seen = ask(&guard, &request, &answer(&["Well, ", "the forbidden word"]));
        let last = super::events(&seen).pop().unwrap();
        assert_eq!(last["generated_text"], "Not that word.");
        assert_eq!(last["token"]["text"], "Not that word.");
    }

    #[test]
    fn texts_so_far_are_one_text() {
        let guard = guard(LOOKS);
        let so_far = |text: &str, reason: Value| json!({"text": text, "meta_info": {"finish_reason": reason, "prompt_tokens": 3, "completion_tokens": 4}});
        let end = json!({"type": "stop"});
        let body = sse(
            &[
                so_far("to anna", Value::Null),
                so_far("to anna@example", Value::Null),
                so_far("to anna@example.com", Value::Null),
                so_far("to anna@example.com now", end),
            ],
            true,
        );
        let seen = ask(&guard, &generate("/generate"), &body);
        let last = events(&seen).pop().unwrap();
        assert_eq!(last["text"], "to [EMAIL] now");
        assert!(
            !String::from_utf8(seen.client.body())
                .unwrap()
                .contains("anna")
        );
        assert_eq!(record(&seen)["findings"], json!({"email": 1}));
    }

    #[test]
    fn parts_without_a_whole_are_one_text() {
        let guard = guard(LOOKS);
        let request = asks("/completion", json!({"prompt": "hi", "stream": true}));
        let part = |text: &str, stop: bool| json!({"index": 0, "content": text, "stop": stop, "tokens": [5, 6]});
        let body = sse(
            &[
                part("to anna@ex", false),
                part("ample.com", false),
                part("", true),
            ],
            false,
        );
        let seen = events(&ask(&guard, &request, &body));
        let texts: String = seen
            .iter()
            .filter_map(|event| event["content"].as_str())
            .collect();
        assert_eq!(texts, "to [EMAIL]");
        assert_eq!(seen[1]["tokens"], json!([]));
        assert_eq!(seen[2]["tokens"], json!([5, 6]));
    }
}

mod media {
    use super::*;

    #[test]
    fn a_transcript_is_one_text_and_so_are_its_segments() {
        let guard = guard(LOOKS);
        let request = asks(
            "/v1/audio/transcriptions",
            json!({"model": "gpt-4o-transcribe", "stream": true}),
        );
        let delta = |text: &str| json!({"type": "transcript.text.delta", "delta": text, "logprobs": [{"token": text, "logprob": -0.1}]});
        let segment = |text: &str| json!({"type": "transcript.text.segment", "id": "s", "start": 0.0, "end": 1.0, "speaker": "A", "text": text});
        let done = |text: &str| json!({"type": "transcript.text.done", "text": text, "usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 4}});
        let untouched = sse(&[delta("Hello"), segment("Hello"), done("Hello")], false);
        let seen = ask(&guard, &request, &untouched);
        assert_eq!(seen.client.body(), untouched);
        assert_eq!(
            record(&seen)["usage"],
            json!({"input_tokens": 3, "output_tokens": 4})
        );
        let body = sse(
            &[
                delta("call anna@ex"),
                delta("ample.com now"),
                segment(" call anna@"),
                segment("example.com now"),
                done("call anna@example.com now"),
            ],
            false,
        );
        let seen = events(&ask(&guard, &request, &body));
        let texts: Vec<&str> = seen
            .iter()
            .filter_map(|event| event["delta"].as_str().or(event["text"].as_str()))
            .collect();
        assert_eq!(
            texts,
            [
                "call [EMAIL]",
                " now",
                " call [EMAIL]",
                " now",
                "call [EMAIL] now"
            ]
        );
        assert_eq!(seen[0]["logprobs"], json!([]));
    }

    #[test]
    fn opaque_content_is_reported_once() {
        let policy = "defaults: { action: allow }
rules:
  - id: pii
    match: { event: response }
    when: { text: { detects: email } }
    action: redact
";
        let guard = guard(policy);
        let speech = asks(
            "/v1/audio/speech",
            json!({"model": "tts", "input": "hi", "voice": "a", "stream_format": "sse"}),
        );
        let body = sse(
            &[
                json!({"type": "speech.audio.delta", "audio": "AAAA"}),
                json!({"type": "speech.audio.delta", "audio": "BBBB"}),
                json!({"type": "speech.audio.done", "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}),
            ],
            false,
        );
        let seen = ask(&guard, &speech, &body);
        assert_eq!(seen.client.body(), body);
        assert_eq!(record(&seen)["events"]["uninspectable"], 1);
        let images = asks(
            "/v1/images/generations",
            json!({"model": "gpt-image-1", "prompt": "a cat", "stream": true, "partial_images": 1}),
        );
        let picture = |kind: &str| {
            json!({
                "type": kind, "b64_json": "AAAA", "created_at": 7, "size": "1024x1024", "quality": "high",
                "background": "transparent", "output_format": "png", "partial_image_index": 0,
            })
        };
        let body = sse(
            &[
                picture("image_generation.partial_image"),
                picture("image_generation.completed"),
            ],
            false,
        );
        let seen = ask(&guard, &images, &body);
        assert_eq!(seen.client.body(), body);
        assert_eq!(record(&seen)["coverage"]["level"], "partial");
    }
}

#[test]
fn a_response_that_is_fetched_later_streams_alike() {
    let guard = guard(LOOKS);
    let request = HttpMessage::new(
        &[
            (":method", "GET"),
            (":path", "/v1/responses/resp_1?stream=true&starting_after=4"),
            (":authority", "api.openai.com"),
        ],
        b"",
    );
    let delta = |number: u32, text: &str| {
        json!({
            "type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "m", "delta": text,
            "sequence_number": number,
        })
    };
    let done = json!({
        "type": "response.output_text.done", "output_index": 0, "content_index": 0, "item_id": "m",
        "text": "Hello, mail anna@example.com", "sequence_number": 7,
    });
    // The earlier deltas were received in another response, so that the whole text has more than the deltas here.
    let body = sse(
        &[delta(5, "mail anna@ex"), delta(6, "ample.com"), done],
        false,
    );
    let seen = events(&ask(&guard, &request, &body));
    assert_eq!(seen[0]["delta"], "mail [EMAIL]");
    assert_eq!(seen[2]["text"], "Hello, mail [EMAIL]");
    assert_eq!(seen[2]["sequence_number"], 7);
}
