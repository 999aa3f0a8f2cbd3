//! Bedrock's ConverseStream and InvokeModelWithResponseStream.

use super::stream::LOOKS;
use super::stream::streamed;
use super::*;
use crate::wire::frame::{Frames, Framing, compose, compose_exception};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const NOVA: &str = "us.amazon.nova-lite-v1%3A0";

fn request(model: &str, verb: &str) -> HttpMessage {
    let path = format!("/model/{model}/{verb}");
    let body = match verb {
        "converse-stream" => json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
        _ if model.contains("nova") => {
            json!({"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": "hi"}]}]})
        }
        _ if model.contains("claude-3") => {
            json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
        }
        _ => json!({"prompt": "hi"}),
    };
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", &path),
            (":authority", "bedrock-runtime.us-east-1.amazonaws.com"),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ],
        body.to_string().as_bytes(),
    )
}

/// Events with their names, as the client library parses them from the stream.
type Events = Vec<(String, Value)>;

fn stream(events: &[(&str, Value)]) -> Vec<u8> {
    let frames = events.iter().map(|(name, payload)| {
        compose(Framing::Amazon, Some(name), payload.to_string().as_bytes())
    });
    frames.collect::<Vec<_>>().concat()
}

fn events_of(body: &[u8]) -> Events {
    let mut frames = Frames::new(Framing::Amazon, 1 << 20);
    frames.push(body);
    let mut events = Vec::new();
    while let Some(frame) = frames.next_frame().unwrap() {
        let payload = serde_json::from_slice(&frame.payload.unwrap()).unwrap();
        events.push((frame.event.unwrap(), payload));
    }
    assert_eq!(frames.held(), 0, "no half message");
    events
}

fn ask_at(guard: &Rc<Guard>, asked: &HttpMessage, body: &[u8], cuts: &[usize]) -> SimulatedResult {
    let mut response = streamed(body, cuts);
    response.headers[1].1 = b"application/vnd.amazon.eventstream".to_vec();
    exchange(guard, asked, response)
}

mod converse {
    use super::*;

    fn ask(guard: &Rc<Guard>, body: &[u8], cuts: &[usize]) -> SimulatedResult {
        ask_at(guard, &request(NOVA, "converse-stream"), body, cuts)
    }

    fn began() -> (&'static str, Value) {
        ("messageStart", json!({"role": "assistant", "p": "abcde"}))
    }

    fn delta(index: u32, delta: Value) -> (&'static str, Value) {
        let event = json!({"contentBlockIndex": index, "delta": delta, "p": "abcdefgh"});
        ("contentBlockDelta", event)
    }

    fn text(index: u32, text: &str) -> (&'static str, Value) {
        delta(index, json!({"text": text}))
    }

    fn stop(index: u32) -> (&'static str, Value) {
        (
            "contentBlockStop",
            json!({"contentBlockIndex": index, "p": "ab"}),
        )
    }

    fn call(index: u32, name: &str, parts: &[&str]) -> Vec<(&'static str, Value)> {
        let tool = json!({"toolUseId": format!("tooluse_{index}"), "name": name});
        let start = json!({"contentBlockIndex": index, "start": {"toolUse": tool}, "p": "abc"});
        let mut events = vec![("contentBlockStart", start)];
        events.extend(
            parts
                .iter()
                .map(|part| delta(index, json!({"toolUse": {"input": part}}))),
        );
        events.push(stop(index));
        events
    }

    fn ended(reason: &str) -> Vec<(&'static str, Value)> {
        vec![
            ("messageStop", json!({"stopReason": reason, "p": "abcd"})),
            (
                "metadata",
                json!({"usage": {"inputTokens": 3, "outputTokens": 7, "totalTokens": 10}, "metrics": {"latencyMs": 5}}),
            ),
        ]
    }

    /// Blocks by their numbers, as a client assembles them.
    #[derive(Debug, Default)]
    struct Answer {
        blocks: std::collections::BTreeMap<u64, Value>,
        reason: Option<String>,
        exception: Option<(String, String)>,
    }

    fn put_together(events: &Events) -> Answer {
        let mut answer = Answer::default();
        let mut open = None;
        for (name, event) in events {
            let index = event["contentBlockIndex"].as_u64();
            assert!(answer.exception.is_none());
            match name.as_str() {
                "messageStart" => assert_eq!(event["role"], "assistant"),
                "contentBlockStart" => {
                    assert_eq!(open, None);
                    open = index;
                    let call = json!({"name": event["start"]["toolUse"]["name"], "input": ""});
                    assert!(answer.blocks.insert(index.unwrap(), call).is_none());
                }
                "contentBlockDelta" => {
                    assert!(open.is_none() || open == index, "{event}");
                    open = index;
                    let delta = &event["delta"];
                    let block = answer.blocks.entry(index.unwrap()).or_insert(json!({}));
                    for (member, more) in [
                        ("text", &delta["text"]),
                        ("input", &delta["toolUse"]["input"]),
                    ] {
                        if let Some(more) = more.as_str() {
                            let known = block[member].as_str().unwrap_or("");
                            block[member] = json!(format!("{known}{more}"));
                        }
                    }
                }
                "contentBlockStop" => assert_eq!(open.take(), index),
                "messageStop" => {
                    assert_eq!(open, None);
                    answer.reason = event["stopReason"].as_str().map(str::to_owned);
                }
                "metadata" => {}
                _ => {
                    let message = event["message"].as_str().unwrap().to_owned();
                    answer.exception = Some((name.clone(), message));
                }
            }
        }
        answer
    }

    fn answer_of(seen: &SimulatedResult) -> Answer {
        put_together(&events_of(&seen.client.body()))
    }

    #[test]
    fn a_text_continues_from_block_to_block() {
        let mut events = vec![began()];
        for (index, part) in (0..).zip(["pay 41", "11 11", "11 1111 ", "1111 to", "day"]) {
            events.extend([text(index, part), stop(index)]);
        }
        events.extend(ended("end_turn"));
        let seen = ask(&guard(LOOKS), &stream(&events), &[100]);
        let answer = answer_of(&seen);
        let texts: Vec<&str> = answer
            .blocks
            .values()
            .map(|block| block["text"].as_str().unwrap())
            .collect();
        assert_eq!(texts, ["pay [CREDIT_CARD]", "", "", " to", "day"]);
        assert_eq!(answer.reason.as_deref(), Some("end_turn"));
        assert_eq!(record(&seen)["findings"], json!({"credit_card": 1}));
        assert_eq!(record(&seen)["rules"][0]["at"], "#text/0");
    }

    #[test]
    fn a_denied_text_ends_the_stream_as_a_guardrail_does() {
        let filler =
            "a b c d e f g h i j k l m n o p q r s t u v w x y z and so on it goes for a while. ";
        let cases = [
            vec![text(0, "the forbid"), text(0, "den word"), stop(0)],
            vec![
                text(0, "Well, "),
                text(0, filler),
                text(0, filler),
                stop(0),
                text(1, "the forbidden word"),
                stop(1),
            ],
        ];
        for (number, parts) in cases.into_iter().enumerate() {
            let body = stream(&[vec![began()], parts, ended("end_turn")].concat());
            let seen = ask(&guard(LOOKS), &body, &[]);
            let answer = answer_of(&seen);
            assert_eq!(answer.blocks.len(), number + 1);
            let last = answer.blocks.values().last().unwrap();
            assert_eq!(last["text"], "Not that word.");
            assert_eq!(answer.reason.as_deref(), Some("guardrail_intervened"));
            assert!(!String::from_utf8_lossy(&seen.client.body()).contains("forb"));
        }
    }

    #[test]
    fn an_error_is_an_exception() {
        let policy = LOOKS.replace("    reason: Not that word.\n", "    on_deny: error\n");
        let body = stream(
            &[
                vec![began(), text(0, "the forbidden word")],
                ended("end_turn"),
            ]
            .concat(),
        );
        let answer = answer_of(&ask(&guard(&policy), &body, &[]));
        let expected = (
            "validationException".to_owned(),
            "Blocked by rule `swan`.".to_owned(),
        );
        assert_eq!(answer.exception, Some(expected));
    }

    #[test]
    fn signed_content_is_denied_where_it_would_have_to_be_edited() {
        let reasoning = |text: &str| delta(0, json!({"reasoningContent": {"text": text}}));
        let body = stream(&[
            began(),
            reasoning("the card 4111 1111 "),
            reasoning("1111 1111 is it"),
            stop(0),
        ]);
        let seen = ask(&guard(LOOKS), &body, &[]);
        assert_eq!(record(&seen)["code"], "AG3005");
        assert!(!String::from_utf8_lossy(&seen.client.body()).contains("1111"));
    }

    #[test]
    fn a_provider_run_call_is_denied_with_the_response() {
        let start = json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "delete_customer", "type": "server_tool_use"}}});
        let body = stream(&[began(), ("contentBlockStart", start), stop(0)]);
        let answer = answer_of(&ask(&guard(LOOKS), &body, &[]));
        assert!(
            answer.exception.is_some() && answer.blocks.is_empty(),
            "{answer:?}"
        );
        // The pieces of a result are evaluated as one text.
        let start = json!({"contentBlockIndex": 0, "start": {"toolResult": {"toolUseId": "t", "status": "success", "type": "x"}}});
        let result = |text: &str| delta(0, json!({"toolResult": [{"text": text}]}));
        let body = stream(&[
            began(),
            ("contentBlockStart", start),
            result("the forbid"),
            result("den word"),
            stop(0),
        ]);
        let answer = answer_of(&ask(&guard(LOOKS), &body, &[]));
        assert_eq!(answer.reason.as_deref(), Some("guardrail_intervened"));
    }

    #[test]
    fn a_trace_repeats_nothing_of_an_edited_text() {
        let mut metadata = ended("end_turn");
        metadata[1].1["trace"] = json!({"guardrail": {"modelOutput": ["write to the address"]}});
        let trace = |body: &[u8]| {
            let seen = ask(&guard(LOOKS), body, &[]);
            events_of(&seen.client.body()).last().unwrap().1["trace"].clone()
        };
        let said = |words: &str| {
            stream(&[vec![began(), text(0, words), stop(0)], metadata.clone()].concat())
        };
        assert_ne!(trace(&said("write to them")), Value::Null);
        assert_eq!(trace(&said("write to anna@example.com ok")), Value::Null);
    }

    fn is_broken(body: &[u8]) {
        let seen = ask(&guard(LOOKS), body, &[]);
        let answer = answer_of(&seen);
        assert!(answer.exception.is_some(), "{answer:?}");
        assert_eq!(record(&seen)["code"], "AG2014");
    }

    #[test]
    fn faults_of_the_stream_end_it() {
        let good = stream(&[began(), text(0, "Hello")]);
        let mut wrong = good.clone();
        let last = wrong.len() - 1;
        wrong[last] ^= 1;
        is_broken(&wrong);
        is_broken(&good[..good.len() - 3]);
        let nameless = compose(
            Framing::Amazon,
            Some("contentBlockDelta"),
            b"{\"delta\":{\"text\":\"x\"}}",
        );
        is_broken(&nameless);
        let mut cut = call(0, "find", &["{\"q\":"]);
        cut.pop();
        is_broken(&stream(&cut));
        let twice = [call(0, "run", &["{}"]), call(0, "find", &["{}"])].concat();
        is_broken(&stream(&twice));
    }

    #[test]
    fn texts_of_blocks_that_alternate_are_an_error() {
        let parts = [
            (0, "forbid"),
            (1, "forbid"),
            (0, "den word"),
            (1, "den word"),
        ];
        is_broken(&stream(&parts.map(|(index, part)| text(index, part))));
        let thought = delta(0, json!({"reasoningContent": {"text": "hm"}}));
        is_broken(&stream(&[text(0, "forbid"), thought, text(0, "den word")]));
    }

    #[test]
    fn a_text_continues_after_the_end_of_its_message() {
        let mut events = vec![began(), text(0, "the forbid"), stop(0)];
        events.push(ended("end_turn")[0].clone());
        events.push(text(0, "den word"));
        let seen = ask(&guard(LOOKS), &stream(&events), &[]);
        assert_eq!(record(&seen)["rules"][0]["id"], "swan");
        let left = String::from_utf8_lossy(&seen.client.body()).into_owned();
        assert!(!left.contains("den word"), "{left}");
    }

    #[test]
    fn a_client_of_aws_reads_its_own_framing_whatever_the_header() {
        let body = stream(
            &[
                vec![began()],
                call(0, "delete_customer", &["{}"]),
                ended("tool_use"),
            ]
            .concat(),
        );
        for media in ["text/event-stream", "application/x-ndjson"] {
            let mut response = streamed(&body, &[7, 90]);
            response.headers[1].1 = media.as_bytes().to_vec();
            let seen = exchange(&guard(LOOKS), &request(NOVA, "converse-stream"), response);
            assert_eq!(
                record(&seen)["tools"],
                json!(["delete_customer"]),
                "{media}"
            );
            assert_eq!(answer_of(&seen).blocks[&0]["text"], "Customers stay.");
        }
        // No other client reads this format.
        let mut response = streamed(&body, &[]);
        response.headers[1].1 = b"application/vnd.amazon.eventstream".to_vec();
        let seen = exchange(&guard(LOOKS), &chat_request(&says("hi")), response);
        assert_eq!(record(&seen)["code"], "AG2014");
    }

    #[test]
    fn an_exception_of_the_provider_passes() {
        let mut body = stream(&[began(), text(0, "Hello")]);
        body.extend(compose_exception(
            "modelStreamErrorException",
            b"{\"message\":\"Oh.\"}",
        ));
        let seen = ask(&guard(LOOKS), &body, &[]);
        assert_eq!(seen.client.body(), body);
        assert!(format!("{:?}", seen.counts).contains("modelStreamErrorException"));
    }
}

mod invoke {
    use super::*;

    fn chunk(event: &Value) -> Vec<u8> {
        let bytes = STANDARD.encode(event.to_string());
        let payload = json!({"bytes": bytes, "p": "abcdef"}).to_string();
        compose(Framing::Amazon, Some("chunk"), payload.as_bytes())
    }

    fn chunks(events: &[Value]) -> Vec<u8> {
        events.iter().flat_map(chunk).collect()
    }

    fn ask(model: &str, events: &[Value]) -> SimulatedResult {
        let asked = request(model, "invoke-with-response-stream");
        ask_at(&guard(LOOKS), &asked, &chunks(events), &[90, 91, 500])
    }

    /// Returns the events inside the chunks.
    fn inner(seen: &SimulatedResult) -> Vec<Value> {
        let events = events_of(&seen.client.body());
        events
            .into_iter()
            .map(|(name, payload)| {
                assert_eq!(name, "chunk", "{payload}");
                let bytes = STANDARD.decode(payload["bytes"].as_str().unwrap()).unwrap();
                serde_json::from_slice(&bytes).unwrap()
            })
            .collect()
    }

    const CLAUDE: &str = "anthropic.claude-3-haiku";

    fn claude(parts: &[Value], reason: &str) -> Vec<Value> {
        let mut events = vec![json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-3", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1},
        }})];
        events.extend_from_slice(parts);
        events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 7}}));
        events.push(json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 7}}));
        events
    }

    #[test]
    fn claude_is_edited_inside_its_base64() {
        let delta = |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
        let call = json!({"type": "tool_use", "id": "t", "name": "delete_customer", "input": {}});
        let events = claude(
            &[
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                delta("pay 4111 1111"),
                delta(" 1111 1111 now"),
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "content_block_start", "index": 1, "content_block": call}),
                json!({"type": "content_block_stop", "index": 1}),
            ],
            "tool_use",
        );
        let seen = ask(CLAUDE, &events);
        let said = inner(&seen);
        assert_eq!(said[2]["delta"]["text"], "pay [CREDIT_CARD]");
        assert_eq!(said[3]["delta"]["text"], " now");
        assert_eq!(
            said[5]["content_block"],
            json!({"type": "text", "text": ""})
        );
        assert_eq!(said[6]["delta"]["text"], "Customers stay.");
        assert_eq!(said[8]["delta"]["stop_reason"], "end_turn");
        // Members around an edited event stay.
        assert_eq!(events_of(&seen.client.body())[2].1["p"], "abcdef");
    }

    #[test]
    fn nova_s_events_are_under_their_names() {
        let events = [
            json!({"messageStart": {"role": "assistant"}}),
            json!({"contentBlockStart": {"start": {"toolUse": {"name": "delete_customer", "toolUseId": "t"}}, "contentBlockIndex": 0}}),
            json!({"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": 0}}),
            json!({"contentBlockStop": {"contentBlockIndex": 0}}),
            json!({"messageStop": {"stopReason": "tool_use"}}),
        ];
        let said = inner(&ask(NOVA, &events));
        assert_eq!(
            said,
            [
                json!({"messageStart": {"role": "assistant"}}),
                json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Customers stay."}}}),
                json!({"contentBlockStop": {"contentBlockIndex": 0}}),
                json!({"messageStop": {"stopReason": "end_turn"}}),
            ]
        );
        let events = [
            json!({"messageStart": {"role": "assistant"}}),
            json!({"contentBlockDelta": {"delta": {"text": "the forbidden word"}, "contentBlockIndex": 0}}),
        ];
        let said = inner(&ask(NOVA, &events));
        assert_eq!(
            said.last().unwrap(),
            &json!({"messageStop": {"stopReason": "guardrail_intervened"}})
        );
    }

    /// Model, a piece of the text, and the text's pointer.
    type Spoken = (&'static str, fn(&str) -> Value, &'static str);

    const FAMILIES: &[Spoken] = &[
        (
            "amazon.titan-text-lite-v1",
            |text| json!({"outputText": text, "index": 0, "completionReason": null}),
            "/outputText",
        ),
        (
            "meta.llama3-8b",
            |text| json!({"generation": text, "prompt_token_count": null, "stop_reason": null}),
            "/generation",
        ),
        (
            "mistral.mistral-7b",
            |text| json!({"outputs": [{"text": text, "stop_reason": null}]}),
            "/outputs/0/text",
        ),
        (
            "cohere.command-text-v14",
            |text| json!({"is_finished": false, "text": text}),
            "/text",
        ),
        (
            "cohere.command-r-v1:0",
            |text| json!({"event_type": "text-generation", "is_finished": false, "text": text}),
            "/text",
        ),
        (
            "anthropic.claude-v2",
            |text| json!({"completion": text, "stop_reason": null, "stop": null}),
            "/completion",
        ),
        (
            "deepseek.r1",
            |text| json!({"choices": [{"text": text, "stop_reason": null}]}),
            "/choices/0/text",
        ),
        (
            "mistral.mistral-large",
            |text| json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "stop_reason": null}]}),
            "/choices/0/message/content",
        ),
        (
            "openai.gpt-oss-20b",
            |text| {
                json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
            },
            "/choices/0/delta/content",
        ),
    ];

    #[test]
    fn every_family_is_read_in_its_own_format() {
        for (model, piece, at) in FAMILIES {
            let clean = [piece("Hello"), piece(" there")];
            let seen = ask(model, &clean);
            assert_eq!(inner(&seen), clean, "{model}");
            assert_eq!(
                record(&seen)["coverage"],
                json!({"level": "full", "reasons": []}),
                "{model}"
            );
            let card = [piece("pay 4111 1111"), piece(" 1111 1111 now"), piece(".")];
            let said = inner(&ask(model, &card));
            let texts: Vec<&str> = said
                .iter()
                .map(|event| event.pointer(at).unwrap().as_str().unwrap())
                .collect();
            assert_eq!(texts, ["pay [CREDIT_CARD]", " now", "."], "{model}");
            let denied = [piece("the forbidden"), piece(" word")];
            let said = inner(&ask(model, &denied));
            let told = Value::Array(said).to_string();
            assert!(
                told.contains("Not that word.") && !told.contains("forbidden"),
                "{model}: {told}"
            );
        }
    }

    #[test]
    fn an_event_in_the_formats_of_several_models_is_denied() {
        let call = json!({"type": "tool_use", "id": "t", "name": "delete_customer", "input": {}});
        let claude = json!({"type": "content_block_start", "index": 0, "content_block": call});
        let nova = json!({"start": {"toolUse": {"name": "delete_customer", "toolUseId": "t"}}, "contentBlockIndex": 0});
        let chat = json!({"tool_calls": [{"index": 0, "id": "t", "type": "function", "function": {"name": "delete_customer", "arguments": "{}"}}]});
        let cohere = json!([{"name": "delete_customer", "parameters": {}}]);
        for (first, name, second) in [
            (
                json!({"type": "x", "contentBlockStart": nova}),
                "",
                Value::Null,
            ),
            (
                json!({"type": "x", "choices": [{"index": 0, "delta": chat}]}),
                "",
                Value::Null,
            ),
            (json!({"type": "x", "tool_calls": cohere}), "", Value::Null),
            (claude.clone(), "messageStart", json!({"role": "assistant"})),
        ] {
            let mut event = first;
            if !name.is_empty() {
                event[name] = second;
            }
            let seen = ask(CLAUDE, &[event.clone(), event.clone()]);
            assert_eq!(record(&seen)["code"], "AG2014", "{event}");
            assert_eq!(events_of(&seen.client.body())[0].0, "validationException");
        }
        // A member of the plain text format changes nothing.
        let mut event = claude;
        event["completion"] = json!("");
        let stop = json!({"type": "content_block_stop", "index": 0, "completion": ""});
        let choices = json!([{"index": 1, "text": ""}, {"index": 0, "delta": chat, "finish_reason": "tool_calls"}]);
        for events in [vec![event, stop], vec![json!({"choices": choices})]] {
            let seen = ask(CLAUDE, &events);
            let record = record(&seen);
            assert_eq!(record["tools"], json!(["delete_customer"]), "{events:?}");
            assert_eq!(record["decision"], "deny");
        }
    }

    #[test]
    fn a_whole_response_is_read_by_its_content() {
        let block = json!({"type": "tool_use", "id": "t", "name": "delete_customer", "input": {}});
        let nova = json!({"message": {"role": "assistant", "content": [{"toolUse": {"name": "delete_customer", "toolUseId": "t", "input": {}}}]}});
        let asked = request(CLAUDE, "invoke");
        let answers = |body: &Value| {
            let headers = [(":status", "200"), ("content-type", "application/json")];
            let half = HttpMessage::new(&headers, body.to_string().as_bytes());
            record(&exchange(&guard(LOOKS), &asked, half))
        };
        for body in [
            json!({"role": "assistant", "content": [block]}),
            json!({"type": "Message", "role": "assistant", "content": [block], "stop_reason": "tool_use"}),
            json!({"output": nova, "stopReason": "tool_use"}),
        ] {
            let record = answers(&body);
            assert_eq!(
                (&record["decision"], &record["tools"]),
                (&json!("deny"), &json!(["delete_customer"])),
                "{body}"
            );
        }
        for body in [
            json!({"type": "message", "content": [], "output": nova}),
            json!({"content": [block], "output": {}}),
            json!({"type": "message", "content": [], "tool_calls": [{"name": "delete_customer", "parameters": {}}]}),
        ] {
            assert_eq!(answers(&body)["code"], "AG2002", "{body}");
        }
    }

    #[test]
    fn parallel_responses_are_separate_texts() {
        let piece =
            |index: u32, text: &str| json!({"index": index, "is_finished": false, "text": text});
        let events = [
            piece(0, "pay 4111 1111"),
            piece(1, "or "),
            piece(0, " 1111 1111 now"),
            piece(1, "don't"),
            json!({"finish_reason": "COMPLETE", "is_finished": true}),
        ];
        let said = inner(&ask("cohere.command-light-text-v14", &events));
        let texts: Vec<&Value> = said.iter().map(|event| &event["text"]).collect();
        assert_eq!(texts[..4], ["pay [CREDIT_CARD]", "or ", " now", "don't"]);
    }

    #[test]
    fn a_last_event_that_repeats_the_response_is_edited_alike() {
        let piece = |text: &str| json!({"event_type": "text-generation", "is_finished": false, "text": text});
        let events = [
            piece("write to anna@"),
            piece("example.com"),
            json!({"event_type": "stream-end", "is_finished": true, "finish_reason": "COMPLETE",
                "response": {"response_id": "r", "text": "write to anna@example.com", "chat_history": [{"role": "USER", "message": "hi"}], "finish_reason": "COMPLETE"}}),
        ];
        let said = inner(&ask("cohere.command-r-v1:0", &events));
        assert_eq!(said[2]["response"]["text"], "write to [EMAIL]");
    }

    #[test]
    fn members_around_an_event_contain_no_text() {
        let model = "meta.llama3-8b";
        let event = STANDARD.encode(json!({"generation": "Hello"}).to_string());
        let asked = request(model, "invoke-with-response-stream");
        for payload in [
            json!({"bytes": event, "note": "the forbidden word"}),
            json!({"bytes": event, "p": "the forbidden word"}),
            json!({"bytes": "not base64!"}),
            json!({"bytes": event.trim_end_matches('=')}),
            json!({"bytes": 7}),
            // Go's client reads it as `bytes`.
            json!({"Bytes": event}),
            json!({"byteſ": event}),
            // Deeper than any member around an event.
            json!({"bytes": event, "p": [[[[[[[["x"]]]]]]]]}),
        ] {
            let body = compose(
                Framing::Amazon,
                Some("chunk"),
                payload.to_string().as_bytes(),
            );
            let seen = ask_at(&guard(LOOKS), &asked, &body, &[]);
            let events = events_of(&seen.client.body());
            assert_eq!(events[0].0, "validationException", "{payload}");
            assert_eq!(record(&seen)["code"], "AG2014");
        }
        // An event of another model family in the same stream.
        let body = chunks(&[
            json!({"generation": "Hello"}),
            json!({"contentBlockDelta": {"delta": {"text": "x"}, "contentBlockIndex": 0}}),
        ]);
        let seen = ask_at(&guard(LOOKS), &asked, &body, &[]);
        assert_eq!(record(&seen)["code"], "AG2014");
    }
}
