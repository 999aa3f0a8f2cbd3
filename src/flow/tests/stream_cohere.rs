//! Cohere's streamed chat: events of its second version, lines of its first.

use super::stream::LOOKS;
use super::*;

fn asks(path: &str, body: Value) -> HttpMessage {
    HttpMessage::new(
        &[
            (":method", "POST"),
            (":path", path),
            (":authority", "api.cohere.com"),
            ("content-type", "application/json"),
            ("x-request-id", "r-1"),
        ],
        body.to_string().as_bytes(),
    )
}

fn answered(body: &[u8], media: &str, size: usize) -> HttpMessage {
    let mut half = HttpMessage::new(&[(":status", "200"), ("content-type", media)], b"");
    half.chunks = body.chunks(size.max(1)).map(<[u8]>::to_vec).collect();
    half
}

fn ask(guard: &Rc<Guard>, request: &HttpMessage, media: &str, body: &[u8]) -> SimulatedResult {
    let at_once = exchange(guard, request, answered(body, media, body.len()));
    let in_pieces = exchange(guard, request, answered(body, media, 7));
    assert_eq!(
        String::from_utf8(at_once.client.body()),
        String::from_utf8(in_pieces.client.body())
    );
    at_once
}

mod v2 {
    use super::*;

    fn sse(events: &[Value]) -> Vec<u8> {
        let mut out = String::new();
        for event in events {
            let name = event["type"].as_str().unwrap();
            out.push_str(&format!("event: {name}\ndata: {event}\n\n"));
        }
        out.push_str("data: [DONE]\n\n");
        out.into_bytes()
    }

    fn start() -> Value {
        json!({
            "id": "c-1", "type": "message-start",
            "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}},
        })
    }

    fn of(kind: &str, index: u32, message: Value) -> Value {
        json!({"type": kind, "index": index, "delta": {"message": message}})
    }

    fn content(index: u32, parts: &[&str]) -> Vec<Value> {
        let mut events = vec![of(
            "content-start",
            index,
            json!({"content": {"type": "text", "text": ""}}),
        )];
        for part in parts {
            events.push(of(
                "content-delta",
                index,
                json!({"content": {"text": part}}),
            ));
        }
        events.push(json!({"type": "content-end", "index": index}));
        events
    }

    fn call(index: u32, name: &str, parts: &[&str]) -> Vec<Value> {
        let of = |kind: &str, call: Value| of(kind, index, json!({"tool_calls": call}));
        let mut events = vec![of(
            "tool-call-start",
            json!({"id": format!("{name}_1"), "type": "function", "function": {"name": name, "arguments": ""}}),
        )];
        for part in parts {
            events.push(of(
                "tool-call-delta",
                json!({"function": {"arguments": part}}),
            ));
        }
        events.push(json!({"type": "tool-call-end", "index": index}));
        events
    }

    fn end(reason: &str) -> Value {
        json!({
            "type": "message-end",
            "delta": {"finish_reason": reason, "usage": {"tokens": {"input_tokens": 3, "output_tokens": 4}}},
        })
    }

    fn whole(parts: &[Vec<Value>], reason: &str) -> Vec<Value> {
        let mut events = vec![start()];
        events.extend(parts.iter().flatten().cloned());
        events.push(end(reason));
        events
    }

    fn ask(guard: &Rc<Guard>, body: &[u8]) -> SimulatedResult {
        let request = asks(
            "/v2/chat",
            json!({"model": "command-a", "stream": true, "messages": [{"role": "user", "content": "hi"}]}),
        );
        super::ask(guard, &request, "text/event-stream", body)
    }

    fn events(seen: &SimulatedResult) -> Vec<Value> {
        let body = String::from_utf8(seen.client.body()).unwrap();
        let events = body.split("\n\n").filter(|event| !event.is_empty());
        events
            .filter_map(|event| {
                let data = event.split_once("data: ").unwrap().1;
                (data != "[DONE]").then(|| {
                    let data: Value = serde_json::from_str(data).unwrap();
                    let name = event.lines().next().unwrap().strip_prefix("event: ");
                    assert_eq!(name, data["type"].as_str());
                    data
                })
            })
            .collect()
    }

    /// Response as a client assembles it: contents and calls by their numbers, which have no gaps.
    #[derive(Debug, Default, PartialEq)]
    struct Answer {
        contents: Vec<String>,
        calls: Vec<(String, String)>,
        citations: Vec<(u64, u64)>,
        finish: Option<String>,
        error: Option<String>,
    }

    fn answer_of(events: &[Value]) -> Answer {
        let mut answer = Answer::default();
        assert_eq!(events[0]["type"], "message-start");
        let mut open = None;
        for event in events {
            assert!(answer.finish.is_none(), "nothing follows the end: {event}");
            let at = usize::try_from(event["index"].as_u64().unwrap_or(0)).unwrap();
            let message = &event["delta"]["message"];
            match event["type"].as_str().unwrap() {
                "content-start" => {
                    assert_eq!(at, answer.contents.len(), "{event}");
                    assert_eq!(open.replace(at), None, "{event}");
                    answer.contents.push(String::new());
                }
                "content-delta" => {
                    assert_eq!(open, Some(at), "{event}");
                    let content = &message["content"];
                    let part = content["text"].as_str().or(content["thinking"].as_str());
                    answer.contents[at].push_str(part.unwrap());
                }
                "content-end" => assert_eq!(open.take(), Some(at), "{event}"),
                "tool-call-start" => {
                    assert_eq!(at, answer.calls.len(), "{event}");
                    let name = message["tool_calls"]["function"]["name"].as_str().unwrap();
                    answer.calls.push((name.to_owned(), String::new()));
                }
                "tool-call-delta" => {
                    let part = &message["tool_calls"]["function"]["arguments"];
                    answer.calls[at].1.push_str(part.as_str().unwrap());
                }
                "citation-start" => {
                    assert_eq!(at, answer.citations.len(), "{event}");
                    let citation = &message["citations"];
                    answer.citations.push((
                        citation["start"].as_u64().unwrap(),
                        citation["end"].as_u64().unwrap(),
                    ));
                }
                "message-end" => {
                    answer.finish = event["delta"]["finish_reason"].as_str().map(str::to_owned);
                    answer.error = event["delta"]["error"].as_str().map(str::to_owned);
                }
                _ => {}
            }
        }
        answer
    }

    #[test]
    fn an_edited_text_moves_its_citations() {
        let guard = guard(LOOKS);
        let cites = |index: u32, start: u32, end: u32, text: &str| {
            [
                of(
                    "citation-start",
                    index,
                    json!({"citations": {"start": start, "end": end, "text": text, "sources": []}}),
                ),
                json!({"type": "citation-end", "index": index}),
            ]
        };
        // `äöü anna@example.com wrote it here`
        let mut text = content(0, &["äöü anna@ex", "ample.com wrote", " it here"]);
        let at = text.len() - 1;
        let citations = [
            cites(0, 0, 3, "äöü"),
            cites(1, 4, 20, "someone"),
            cites(2, 21, 26, "wrote"),
        ];
        text.splice(at..at, citations.into_iter().flatten());
        let seen = ask(&guard, &sse(&whole(&[text], "COMPLETE")));
        let answer = answer_of(&events(&seen));
        assert_eq!(answer.contents, ["äöü [EMAIL] wrote it here"]);
        assert_eq!(answer.citations, [(0, 3), (12, 17)]);
        assert_eq!(record(&seen)["rules"][0]["at"], "#content/0");
    }

    fn cites(index: u32, citation: Value) -> [Value; 2] {
        let mut cited = json!({"sources": []});
        let members = citation.as_object().unwrap().clone();
        cited.as_object_mut().unwrap().extend(members);
        [
            of("citation-start", index, json!({"citations": cited})),
            json!({"type": "citation-end", "index": index}),
        ]
    }

    #[test]
    fn a_citation_moves_with_the_text_that_it_points_into() {
        let plan = |part: &str| of("tool-plan-delta", 0, json!({"tool_plan": part}));
        let thought = |part: &str| {
            let mut thought = content(0, &[]);
            thought[0] = of("content-start", 0, json!({"content": {"type": "thinking"}}));
            let delta = json!({"content": {"thinking": part}});
            thought.insert(1, of("content-delta", 0, delta));
            thought
        };
        let (mail, words) = ("bob@example.com sent it", json!([16, 20, "sent"]));
        let cite = |index: u32, kind: &str, at: Option<u32>, words: &Value| {
            let mut citation = json!({"start": words[0], "end": words[1], "text": words[2]});
            if !kind.is_empty() {
                citation["type"] = json!(kind);
            }
            if let Some(at) = at {
                citation["content_index"] = json!(at);
            }
            cites(index, citation).to_vec()
        };
        let (same, moved) = ((16, 20), (8, 12));
        let plain = "one two three four five";
        let plan_only = vec![plan(mail)];
        for (parts, kind, at, expected) in [
            (
                [plan_only.clone(), content(0, &[plain])],
                "PLAN",
                None,
                moved,
            ),
            (
                [plan_only, content(0, &[plain])],
                "TEXT_CONTENT",
                Some(0),
                same,
            ),
            ([vec![plan(plain)], content(0, &[mail])], "PLAN", None, same),
            ([vec![plan(plain)], content(0, &[mail])], "", None, moved),
            (
                [thought(mail), content(1, &[plain])],
                "THINKING_CONTENT",
                Some(0),
                moved,
            ),
            ([thought(mail), content(1, &[plain])], "", Some(0), moved),
            ([thought(mail), content(1, &[plain])], "", Some(1), same),
            (
                [thought(plain), content(1, &[mail])],
                "THINKING_CONTENT",
                Some(0),
                same,
            ),
            (
                [thought(plain), content(1, &[mail])],
                "TEXT_CONTENT",
                Some(1),
                moved,
            ),
        ] {
            let [first, second] = parts;
            let events = whole(&[first, second, cite(0, kind, at, &words)], "COMPLETE");
            let seen = ask(&guard(LOOKS), &sse(&events));
            let told = answer_of(&super::v2::events(&seen)).citations;
            assert_eq!(told, [expected], "{kind} {at:?} {events:?}");
        }
    }

    #[test]
    fn a_finding_across_contents_changes_no_other_content() {
        // Longer than the searched end of a text.
        let long = "All is well here. ".repeat(40);
        let parts = [
            format!("{long}pay 4111 1111 "),
            format!("1111 1111 now. {long}"),
            "Nothing of this is changed.".to_owned(),
        ];
        let mut events: Vec<Vec<Value>> = Vec::new();
        for (at, part) in (0..).zip(&parts) {
            events.push(content(at, &[part]));
        }
        events.push(cites(0, json!({"start": 10, "end": 13, "content_index": 1})).to_vec());
        let seen = ask(&guard(LOOKS), &sse(&whole(&events, "COMPLETE")));
        let answer = answer_of(&super::v2::events(&seen));
        let [first, second, third] = parts;
        let second = second.strip_prefix("1111 1111").unwrap();
        assert_eq!(answer.contents, [&first, second, &third]);
        // How far the cited text has moved is unknown.
        assert_eq!(answer.citations, []);
    }

    #[test]
    fn a_text_that_continues_after_its_end_is_searched_as_a_whole() {
        let mut text = content(0, &["the forbid"]);
        let goes_on = content(0, &["den word"]).remove(1);
        text.push(goes_on);
        let seen = ask(&guard(LOOKS), &sse(&whole(&[text], "COMPLETE")));
        assert_eq!(record(&seen)["decision"], "deny");
        let client = String::from_utf8(seen.client.body()).unwrap();
        assert!(!client.contains("den word"), "{client}");
    }

    #[test]
    fn words_of_an_unknown_member_are_one_text() {
        let parts = ["the forbid", "den wo", "rd"];
        let in_content =
            parts.map(|part| of("content-delta", 0, json!({"content": {"verse": part}})));
        let in_message = parts.map(|part| of("content-delta", 0, json!({"verse": part})));
        for body in [in_content.to_vec(), in_message.to_vec()] {
            let seen = ask(&guard(LOOKS), &sse(&whole(&[body], "COMPLETE")));
            assert_eq!(record(&seen)["decision"], "deny");
            let left = String::from_utf8(seen.client.body()).unwrap();
            assert!(!left.contains("den wo"), "{left}");
        }
    }

    #[test]
    fn reasoning_and_plans_are_read() {
        let guard = guard(LOOKS);
        let plan = |part: &str| of("tool-plan-delta", 0, json!({"tool_plan": part}));
        let thinks = |part: &str| of("content-delta", 0, json!({"content": {"thinking": part}}));
        let begin = of(
            "content-start",
            0,
            json!({"content": {"type": "thinking", "thinking": ""}}),
        );
        let parts = vec![
            begin,
            thinks("bob@ex"),
            thinks("ample.com"),
            json!({"type": "content-end", "index": 0}),
            plan("ask anna@ex"),
            plan("ample.com"),
        ];
        let seen = events(&ask(&guard, &sse(&whole(&[parts], "COMPLETE"))));
        let texts: String = seen
            .iter()
            .map(|event| {
                let message = &event["delta"]["message"];
                let plan = message["tool_plan"].as_str().unwrap_or_default();
                let thought = message["content"]["thinking"].as_str().unwrap_or_default();
                format!("{plan}{thought}")
            })
            .collect();
        assert_eq!(texts, "[EMAIL]ask [EMAIL]");
    }

    #[test]
    fn a_denied_call_becomes_a_content_and_the_others_are_numbered_without_a_gap() {
        let guard = guard(LOOKS);
        let body = sse(&whole(
            &[
                content(0, &["Let me see."]),
                call(0, "delete_customer", &["{\"id\"", ":1}"]),
                call(1, "find", &["{\"q\":\"x\"}"]),
                content(1, &["And more."]),
            ],
            "TOOL_CALL",
        ));
        let seen = ask(&guard, &body);
        let answer = answer_of(&events(&seen));
        assert_eq!(
            answer.contents,
            ["Let me see.", "Customers stay.", "And more."]
        );
        assert_eq!(
            answer.calls,
            [("find".to_owned(), "{\"q\":\"x\"}".to_owned())]
        );
        assert_eq!(answer.finish.as_deref(), Some("TOOL_CALL"));
        assert_eq!(record(&seen)["rules"][0]["at"], "#tool_calls/0");
        // Without any call, the response is an ordinary text.
        let body = sse(&whole(&[call(0, "delete_customer", &[])], "TOOL_CALL"));
        let answer = answer_of(&events(&ask(&guard, &body)));
        assert_eq!(answer.contents, ["Customers stay."]);
        assert_eq!(answer.calls, []);
        assert_eq!(answer.finish.as_deref(), Some("COMPLETE"));
    }
}

mod v1 {
    use super::*;

    fn lines(events: &[Value]) -> Vec<u8> {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        lines.into_bytes()
    }

    fn of(kind: &str, more: Value) -> Value {
        let mut event = json!({"is_finished": kind == "stream-end", "event_type": kind});
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        event
    }

    fn text(part: &str) -> Value {
        of("text-generation", json!({"text": part}))
    }

    fn end(text: &str, more: Value) -> Value {
        let mut response = json!({
            "response_id": "r", "generation_id": "g", "text": text, "finish_reason": "COMPLETE",
            "chat_history": [{"role": "USER", "message": "hi"}, {"role": "CHATBOT", "message": text}],
            "meta": {"tokens": {"input_tokens": 3, "output_tokens": 4}},
        });
        response
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        of(
            "stream-end",
            json!({"finish_reason": "COMPLETE", "response": response}),
        )
    }

    fn start() -> Value {
        of("stream-start", json!({"generation_id": "g"}))
    }

    fn ask(guard: &Rc<Guard>, events: &[Value]) -> SimulatedResult {
        let request = asks(
            "/v1/chat",
            json!({"model": "command-r", "stream": true, "message": "hi"}),
        );
        super::ask(guard, &request, "application/stream+json", &lines(events))
    }

    fn events(seen: &SimulatedResult) -> Vec<Value> {
        let body = String::from_utf8(seen.client.body()).unwrap();
        body.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn said(events: &[Value]) -> String {
        let texts = events
            .iter()
            .filter(|event| event["event_type"] != "tool-calls-generation");
        texts.filter_map(|event| event["text"].as_str()).collect()
    }

    #[test]
    fn an_edited_text_is_edited_in_the_last_event_too() {
        let guard = guard(LOOKS);
        let whole = "äöü anna@example.com wrote it here";
        let citations = json!([
            {"start": 4, "end": 20, "text": "someone", "document_ids": ["d"]},
            {"start": 21, "end": 26, "text": "wrote", "document_ids": ["d"]},
        ]);
        let seen = ask(
            &guard,
            &[
                start(),
                text("äöü anna@ex"),
                text("ample.com wrote it here"),
                of("citation-generation", json!({"citations": citations})),
                end(whole, json!({"citations": citations})),
            ],
        );
        let events = events(&seen);
        let expected = "äöü [EMAIL] wrote it here";
        assert_eq!(said(&events), expected);
        let response = &events[4]["response"];
        assert_eq!(response["text"], expected);
        assert_eq!(response["chat_history"][1]["message"], expected);
        let kept = json!([{"start": 12, "end": 17, "text": "wrote", "document_ids": ["d"]}]);
        assert_eq!(response["citations"], kept);
        assert_eq!(events[3]["citations"], kept);
        assert_eq!(record(&seen)["findings"], json!({"email": 1}));
    }

    #[test]
    fn denied_calls_are_removed_from_every_event() {
        let guard = guard(LOOKS);
        let calls = json!([
            {"name": "delete_customer", "parameters": {"id": 1}},
            {"name": "find", "parameters": {"q": "x"}},
        ]);
        let delta = |delta: Value| of("tool-calls-chunk", json!({"tool_call_delta": delta}));
        let seen = ask(
            &guard,
            &[
                start(),
                of("tool-calls-chunk", json!({"text": "I will look."})),
                delta(json!({"index": 0, "name": "delete_customer"})),
                delta(json!({"index": 0, "parameters": "{\"id\":1}"})),
                delta(json!({"index": 1, "name": "find"})),
                delta(json!({"index": 1, "parameters": "{\"q\":\"x\"}"})),
                of(
                    "tool-calls-generation",
                    json!({"text": "I will look.", "tool_calls": calls}),
                ),
                end("I will look.", json!({"tool_calls": calls})),
            ],
        );
        let events = events(&seen);
        let kept = json!([{"name": "find", "parameters": {"q": "x"}}]);
        assert_eq!(said(&events), "I will look.\n\nCustomers stay.");
        let response = &events.last().unwrap()["response"];
        assert_eq!(response["text"], "I will look.\n\nCustomers stay.");
        assert_eq!(response["tool_calls"], kept);
        assert_eq!(response["chat_history"], json!([]));
        let deltas: Vec<u64> = events
            .iter()
            .filter_map(|event| event["tool_call_delta"]["index"].as_u64())
            .collect();
        assert_eq!(deltas, [0, 0]);
        let generation = events
            .iter()
            .find(|event| event["event_type"] == "tool-calls-generation");
        assert_eq!(generation.unwrap()["tool_calls"], kept);
        assert!(
            !String::from_utf8(seen.client.body())
                .unwrap()
                .contains("delete_customer")
        );
    }

    #[test]
    fn a_call_that_only_the_last_event_has_is_evaluated() {
        let guard = guard(LOOKS);
        let calls = json!([{"name": "delete_customer", "parameters": {"id": 1}}]);
        let seen = ask(
            &guard,
            &[
                start(),
                text("Hello"),
                end("Hello", json!({"tool_calls": calls})),
            ],
        );
        let events = events(&seen);
        assert_eq!(said(&events), "Hello\n\nCustomers stay.");
        assert_eq!(events.last().unwrap()["response"]["tool_calls"], json!([]));
    }

    #[test]
    fn texts_that_are_continued_stream_too() {
        let guard = guard(LOOKS);
        let request = asks(
            "/v1/generate",
            json!({"model": "command", "stream": true, "prompt": "hi"}),
        );
        let part = |text: &str| json!({"text": text, "is_finished": false});
        let body = lines(&[
            part("mail anna@ex"),
            part("ample.com now"),
            json!({
                "is_finished": true, "finish_reason": "COMPLETE",
                "response": {"id": "i", "prompt": "hi", "generations": [{"id": "g", "text": "mail anna@example.com now"}]},
            }),
        ]);
        let seen = super::ask(&guard, &request, "application/stream+json", &body);
        let events = events(&seen);
        assert_eq!(said(&events), "mail [EMAIL] now");
        assert_eq!(
            events[2]["response"]["generations"][0]["text"],
            "mail [EMAIL] now"
        );
    }
}
