//! Streamed chat completions.

use super::*;

fn sse(payloads: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for payload in payloads {
        out.extend_from_slice(format!("data: {payload}\n\n").as_bytes());
    }
    out.extend_from_slice(b"data: [DONE]\n\n");
    out
}

fn chunk(choice: u32, delta: Value, finish: Value) -> Value {
    json!({
        "id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024",
        "choices": [{"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish}],
    })
}

fn text(part: &str) -> Value {
    chunk(0, json!({"content": part}), Value::Null)
}

fn end(finish: &str) -> Value {
    chunk(0, json!({}), json!(finish))
}

fn call(index: u32, id: &str, name: &str, arguments: &str) -> Value {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if !id.is_empty() {
        call["id"] = json!(id);
        call["type"] = json!("function");
        call["function"]["name"] = json!(name);
    }
    chunk(0, json!({"tool_calls": [call]}), Value::Null)
}

/// Returns a streamed response, cut into chunks at these offsets.
pub(super) fn streamed(body: &[u8], cuts: &[usize]) -> HttpMessage {
    let headers = [(":status", "200"), ("content-type", "text/event-stream")];
    let mut half = HttpMessage::new(&headers, b"");
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    ends.push(body.len());
    ends.sort_unstable();
    let mut start = 0;
    for end in ends {
        if end > start {
            half.chunks.push(body[start..end].to_vec());
            start = end;
        }
    }
    half
}

fn ask(guard: &Rc<Guard>, body: &[u8], cuts: &[usize]) -> SimulatedResult {
    exchange(guard, &chat_request(&says("hi")), streamed(body, cuts))
}

/// Returns the frames for the client: JSON, or the end marker.
fn frames(seen: &SimulatedResult) -> Vec<Value> {
    String::from_utf8(seen.client.body())
        .unwrap()
        .split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| {
            let data = event
                .strip_prefix("data: ")
                .unwrap_or_else(|| panic!("{event}"));
            serde_json::from_str(data).unwrap_or_else(|_| json!(data))
        })
        .collect()
}

/// Response as OpenAI's client library assembles it.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    text: String,
    refusal: String,
    calls: Vec<(String, String)>,
    finish: Option<String>,
    error: Option<String>,
    done: bool,
}

fn answer_of(frames: &[Value], choice: u64) -> Answer {
    let mut answer = Answer::default();
    for frame in frames {
        assert!(!answer.done, "nothing follows the end: {frame}");
        if frame == "[DONE]" {
            answer.done = true;
        }
        if let Some(message) = frame["error"]["message"].as_str() {
            answer.error = Some(message.to_owned());
        }
        for part in frame["choices"].as_array().into_iter().flatten() {
            if part["index"] != choice {
                continue;
            }
            let delta = &part["delta"];
            answer
                .text
                .push_str(delta["content"].as_str().unwrap_or(""));
            answer
                .refusal
                .push_str(delta["refusal"].as_str().unwrap_or(""));
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                assert!(index <= answer.calls.len(), "a gap in the numbers of calls");
                if index == answer.calls.len() {
                    answer.calls.push(Default::default());
                }
                let known = &mut answer.calls[index];
                known
                    .0
                    .push_str(call["function"]["name"].as_str().unwrap_or(""));
                known
                    .1
                    .push_str(call["function"]["arguments"].as_str().unwrap_or(""));
            }
            if let Some(finish) = part["finish_reason"].as_str() {
                answer.finish = Some(finish.to_owned());
            }
        }
    }
    answer
}

/// Rules on responses: text that is masked, text that is denied, a tool that is denied.
pub(super) const LOOKS: &str = "defaults: { action: allow }
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
  - id: no-deleting
    match: { tool: delete_customer }
    action: deny
    reason: Customers stay.
";

#[test]
fn texts_that_clients_join_are_searched_as_one() {
    let guard = guard(LOOKS);
    let of = |choice: u32, part: &str| chunk(choice, json!({"content": part}), Value::Null);
    let call = call(0, "a", "look", "{}");
    let told = |n: u32, payloads: &[Value]| {
        let question =
            json!({"model": "m", "n": n, "messages": [{"role": "user", "content": "hi"}]});
        let question = chat_request(question.to_string().as_bytes());
        let body = sse(payloads);
        let at_once = exchange(&guard, &question, streamed(&body, &[]));
        let every: Vec<usize> = (0..body.len()).collect();
        let in_pieces = exchange(&guard, &question, streamed(&body, &every));
        assert_eq!(at_once.client.body(), in_pieces.client.body());
        let findings = record(&at_once)["findings"].clone();
        let texts = frames(&at_once).into_iter();
        let texts = texts.filter_map(|frame| {
            let content = &frame["choices"][0]["delta"]["content"];
            Some(content.as_str()?.to_owned())
        });
        (texts.collect::<Vec<_>>(), findings)
    };
    // A client that requests one choice reads the first choice of each frame, whatever its number is. Released text
    // stays.
    let split = [of(0, "pay 4111 1111 "), of(1, "1111 "), of(2, "1111 now")];
    assert_eq!(
        told(1, &split),
        (
            ["pay 4111 1111 ", "1111 ", " now"]
                .map(String::from)
                .to_vec(),
            json!({"credit_card": 1})
        )
    );
    let (texts, findings) = told(3, &split);
    assert_eq!(texts.concat(), "pay 4111 1111 1111 1111 now");
    assert!(findings.is_null(), "{findings}");
    // Each finding is counted once, wherever it is.
    let twice = [
        of(0, "pay 4111 1111 1111 1111 "),
        of(1, "or 4111 1111 1111 1111"),
    ];
    let (texts, findings) = told(1, &twice);
    assert_eq!(texts.concat(), "pay [CREDIT_CARD] or [CREDIT_CARD]");
    assert_eq!(findings, json!({"credit_card": 2}));
    // A match that ends with one text does not continue in the next.
    let next = [of(0, "write to ann.lee@contoso.com"), of(1, "pany news")];
    let (texts, findings) = told(1, &next);
    assert_eq!(texts.concat(), "write to [EMAIL]pany news");
    assert_eq!(findings, json!({"email": 1}));
    // A finding whose end is a match by itself is reported in the text that contains it.
    for (first, second, kind) in [
        ("write to ann.", "lee@contoso.com now", "email"),
        ("from 1", "92.168.10.20 now", "ip_address"),
    ] {
        let (texts, findings) = told(1, &[of(0, first), of(1, second)]);
        let label = kind.to_uppercase();
        assert_eq!(texts.concat(), format!("{first}[{label}] now"));
        assert_eq!(findings, json!({kind: 1}));
    }
    // A text that continues after another one is not joined directly to its own beginning.
    let card = "pay 4111 1111 1111 1111";
    let (texts, findings) = told(1, &[of(0, card), of(1, " now"), of(0, "here")]);
    assert_eq!(texts.concat(), "pay [CREDIT_CARD] nowhere");
    assert_eq!(findings, json!({"credit_card": 1}));
    // A call separates texts.
    let (texts, _) = told(1, &[of(0, "pay 4111 1111 "), call, of(1, "1111 1111 now")]);
    assert_eq!(texts.concat(), "pay 4111 1111 1111 1111 now");
}

#[test]
fn the_name_of_an_unknown_member_is_a_context_word() {
    let policy = "defaults: { action: allow }
rules: [{ id: secrets, match: { event: response }, when: { text: { detects: secrets } }, action: deny, on_deny: error }]";
    // A rule that needs the whole text holds all of it.
    let whole = policy.replace(
        ", action: deny",
        ", unless: { text: { contains: of a test } }, action: deny",
    );
    let policy = policy.to_owned();
    for policy in [&policy, &whole] {
        for (name, found) in [("password", true), ("weather", false)] {
            for pieces in [vec!["hunter2-Kx9"], vec!["hunt", "er2-", "Kx9"]] {
                let said: Vec<Value> = pieces
                    .iter()
                    .map(|piece| chunk(0, json!({name: piece}), Value::Null))
                    .collect();
                let seen = ask(&guard(policy), &sse(&said), &[]);
                let code = if found { json!("AG3001") } else { Value::Null };
                assert_eq!(record(&seen)["code"], code, "{name} {pieces:?} {policy}");
            }
        }
    }
}

#[test]
fn a_message_instead_of_a_delta_continues_over_chunks() {
    let of = |members: Value| {
        let mut chunk = chunk(0, json!({}), Value::Null);
        let choice = chunk["choices"][0].as_object_mut().unwrap();
        choice.remove("delta");
        choice.extend(members.as_object().unwrap().clone());
        chunk
    };
    let say = |name: &str, part: &str| match name {
        "parts" => json!({"content": [{"type": "text", "text": part}]}),
        name => json!({name: part}),
    };
    for (name, code) in [
        ("content", Value::Null),
        ("parts", Value::Null),
        ("reasoning", Value::Null),
        ("novel", json!("AG3005")),
    ] {
        for holder in ["message", "delta"] {
            let parts = ["pay 4111 11", "11 1111 ", "1111 now"];
            let said = parts.map(|part| of(json!({holder: say(name, part)})));
            let seen = ask(&guard(LOOKS), &sse(&said), &[]);
            assert_eq!(record(&seen)["code"], code, "{holder} {name}");
            assert_eq!(record(&seen)["findings"], json!({"credit_card": 1}));
            let client = String::from_utf8(seen.client.body()).unwrap();
            assert!(!client.contains("11 1111"), "{client}");
        }
    }
    // Two pieces with the same beginning are separate pieces.
    let said = ["4", "4 is more; pay 4111 1111 1111 1111 now"];
    let said = said.map(|part| of(json!({"message": {"content": part}})));
    let seen = ask(&guard(LOOKS), &sse(&said), &[]);
    let texts = frames(&seen).into_iter();
    let texts: Vec<String> = texts
        .filter_map(|frame| {
            Some(
                frame["choices"][0]["message"]["content"]
                    .as_str()?
                    .to_owned(),
            )
        })
        .collect();
    assert_eq!(texts, ["4", "4 is more; pay [CREDIT_CARD] now"]);
    // `text` belongs to completions, but it may also continue beside a delta.
    for holder in [json!({}), json!({"delta": {"content": "a"}})] {
        let said = ["pay 4111 11", "11 1111 ", "1111 now"].map(|part| {
            let mut members = holder.clone();
            members["text"] = json!(part);
            of(members)
        });
        let seen = ask(&guard(LOOKS), &sse(&said), &[]);
        let texts = frames(&seen).into_iter();
        let texts = texts.filter_map(|frame| {
            let text = frame["choices"][0]["text"].as_str();
            text.map(str::to_owned)
        });
        assert_eq!(texts.collect::<String>(), "pay [CREDIT_CARD] now");
    }
}

#[test]
fn strings_at_one_unknown_location_are_one_text() {
    let function = |part: &str| json!({"arguments": "", "novel": part});
    for made in [
        |part: &str| json!({"novel": part}),
        |part: &str| json!({"novel": {"inside": part}}),
        |part: &str| json!({"novel": [{"index": 1, "inside": part}]}),
        |part: &str| json!({"audio": {"novel": part}}),
        |part: &str| json!({"tool_calls": [{"index": 0, "id": "a", "novel": part, "function": {"name": "find"}}]}),
    ] {
        let seen = ask(
            &guard(LOOKS),
            &sse(&["4111 1111 ", "1111 1111"].map(|part| chunk(0, made(part), Value::Null))),
            &[],
        );
        assert_eq!(record(&seen)["code"], "AG3005", "{}", made(""));
        let left = String::from_utf8(seen.client.body()).unwrap();
        assert!(!left.contains("1111 1111"), "{left}");
    }
    // The string's name is a context word, too.
    let named = chunk(
        0,
        json!({"novel": {"password": "Tr0ub4dor&3x"}}),
        Value::Null,
    );
    let seen = ask(&guard(LOOKS), &sse(&[named]), &[]);
    assert_eq!(record(&seen)["findings"], json!({"password": 1}));
    let calls = |index: u32, part: &str| {
        let call = json!({"index": index, "function": function(part)});
        chunk(0, json!({"tool_calls": [call]}), Value::Null)
    };
    // Strings of two calls are two texts, and a list of texts only grows.
    let lists =
        ["4111 1111 ", "1111 1111"].map(|part| chunk(0, json!({"novel": [part]}), Value::Null));
    let calls = [
        call(0, "a", "find", "{}"),
        call(1, "b", "find", "{}"),
        calls(0, "4111 1111 "),
        calls(1, "1111 1111"),
        end("tool_calls"),
    ];
    for body in [sse(&lists), sse(&calls)] {
        assert_eq!(ask(&guard(LOOKS), &body, &[]).client.body(), body);
    }
    // Beyond a number of locations, and for long names, each string is a separate text.
    let many: Vec<Value> = (0..300)
        .map(|at| chunk(0, json!({format!("novel{at}"): "well "}), Value::Null))
        .chain([chunk(0, json!({"n".repeat(500): "well "}), Value::Null)])
        .collect();
    let body = sse(&many);
    assert_eq!(ask(&guard(LOOKS), &body, &[]).client.body(), body);
}

#[test]
fn reasoning_of_litellm_is_a_text_in_pieces() {
    let thinks = |part: &str, signature: Value| {
        let block = json!({"type": "thinking", "thinking": part, "signature": signature});
        let delta = json!({"reasoning_content": part, "thinking_blocks": [block]});
        chunk(0, delta, Value::Null)
    };
    let parts = ["they pay 4111 11", "11 1111 11", "11 then"];
    let mut payloads: Vec<Value> = parts.map(|part| thinks(part, Value::Null)).to_vec();
    payloads.push(thinks("", json!("c2lnbmVk")));
    payloads.push(end("stop"));
    let seen = ask(&guard(LOOKS), &sse(&payloads), &[]);
    let frames = frames(&seen);
    for at in ["/reasoning_content", "/thinking_blocks/0/thinking"] {
        let at = format!("/choices/0/delta{at}");
        let parts = frames
            .iter()
            .filter_map(|frame| frame.pointer(&at)?.as_str());
        let text: String = parts.collect();
        assert_eq!(text, "they pay [CREDIT_CARD] then", "{at}");
    }
    assert_eq!(record(&seen)["decision"], "redact");
}

#[test]
fn reading_each_half_of_a_character_with_each_other_is_counted_work() {
    let guard = guard(LOOKS);
    let says = |half: u32| {
        let delta = format!(r#"{{"content":"\u{half:04x}"}}"#);
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n"
        )
    };
    let firsts: String = (0xD840..0xDB40).map(says).collect();
    let second = says(0xDC69);
    for (seconds, code) in [(1, Value::Null), (1_000, json!("AG2015"))] {
        let answer = firsts.clone() + &second.repeat(seconds) + "data: [DONE]\n\n";
        let seen = ask(&guard, answer.as_bytes(), &[]);
        assert_eq!(record(&seen)["code"], code, "{seconds}");
    }
}

#[test]
fn a_character_that_is_cut_in_two_halves_hides_nothing() {
    let policy = format!(
        "{LOOKS}  - {{ id: to, match: {{ tool: send }}, when: {{ args.to: {{ contains: swans }} }}, action: deny }}\n"
    );
    let guard = guard(&policy);
    let of = |delta: &str| {
        format!(
            r#"data: {{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}{}"#,
            "\n\n"
        )
    };
    let ends = format!("data: {}\n\ndata: [DONE]\n\n", end("stop"));
    let says = |part: &str| of(&format!(r#"{{"content":"{part}"}}"#));
    let sends = |first: &str, second: &str| {
        let call = |head: &str, part: &str| {
            of(&format!(
                r#"{{"tool_calls":[{{"index":0,{head}"arguments":"{part}"}}}}]}}"#
            ))
        };
        let head = r#""id":"a","type":"function","function":{"name":"send","#;
        call(head, first) + &call(r#""function":{"#, second)
    };
    for (answer, code) in [
        // An invisible character.
        (
            says(r"the forb\udb40") + &says(r"\udc69idden word"),
            "AG2014",
        ),
        // A letter in bold.
        (
            says(r"the forb\uD835") + &says("") + &says(r"\uDC22dden word"),
            "AG2014",
        ),
        (sends(r#"{\"to\":\"sw\udb40"#, r#"\udc69ans\"}"#), "AG3001"),
        (sends(r#"{\"to\":\"sw\ud835"#, r#"\udc1ans\"}"#), "AG3001"),
    ] {
        let seen = ask(&guard, (answer + &ends).as_bytes(), &[]);
        assert_eq!(record(&seen)["code"], code);
        let client = String::from_utf8(seen.client.body()).unwrap();
        assert!(
            !client.contains("dden") && !client.contains("ans"),
            "{client}"
        );
    }
    let emoji = says(r"Well \ud83d") + &says(r"\ude00, and \\ud83d") + &says("done") + &ends;
    let call = sends(r#"{\"to\":\"\ud83d"#, r#"\ude00\"}"#) + &ends;
    for answer in [emoji, call] {
        let seen = ask(&guard, answer.as_bytes(), &[]);
        assert_eq!(String::from_utf8(seen.client.body()).unwrap(), answer);
    }
}

#[test]
fn beside_a_character_that_is_cut_in_two_everything_is_found() {
    let of = |part: &str| {
        format!(
            r#"data: {{"choices":[{{"index":0,"delta":{{"content":"{part}"}},"finish_reason":null}}]}}{}"#,
            "\n\n"
        )
    };
    let ends = format!("data: {}\n\ndata: [DONE]\n\n", end("stop"));
    let label = "[CREDIT_CARD]";
    let card = "4111 1111 1111 1111";
    for parts in [
        [r"pay C\ud83d", r"\ude00 ok", ""],
        [r"pay C \uD83D", r"\uDE00 ok", ""],
        [r"pay C \ud83d", "", r"\ude00 ok"],
        [r"pay \ud83d", r"\ude00C ok", ""],
        [r"\ud83d", r"\ude00 C \ud83d", r"\ude00"],
        [r"C\ud83d", r"\ude00C\ud83d\udc68\u200d\ud83d", r"\udc69 ok"],
        [r"C \ud83d", "and no second half", ""],
    ] {
        let with = |value: &str| parts.map(|part| of(&part.replace('C', value))).concat() + &ends;
        let sent = with(card);
        let every: Vec<usize> = (0..sent.len()).collect();
        for cuts in [&[][..], &every] {
            let seen = ask(&guard(LOOKS), sent.as_bytes(), cuts);
            let client = String::from_utf8(seen.client.body()).unwrap();
            assert_eq!(client, with(label));
        }
        let seen = ask(&guard(LOOKS), with("forbidden word").as_bytes(), &[]);
        assert_eq!(record(&seen)["decision"], "deny");
    }
}

#[test]
fn text_is_released_as_soon_as_nothing_can_match_it_any_more() {
    let guard = guard(LOOKS);
    let sentence = "The quick brown fox jumps over the lazy dog, and nobody minds at all. ";
    let words: Vec<&str> = sentence.split_inclusive(' ').cycle().take(200).collect();
    let mut half = streamed(b"", &[]);
    half.chunks = words
        .iter()
        .map(|word| format!("data: {}\n\n", text(word)).into_bytes())
        .collect();
    let mut flow = Flow::new(Rc::clone(&guard));
    let behind = behind(&mut flow, &half);
    assert!(behind <= 64, "{behind} characters behind");
}

fn behind(flow: &mut Flow, response: &HttpMessage) -> usize {
    let text = |event: &str| {
        let frame: Value = serde_json::from_str(event.strip_prefix("data: ")?).ok()?;
        let content = frame["choices"][0]["delta"]["content"].as_str()?;
        Some(content.chars().count())
    };
    let request = chat_request(&says("hi"));
    most_behind(flow, &request, response, &text)
}

/// Returns the maximum number of characters that the client is behind the upstream after any chunk; `characters` counts
/// the characters of one event.
pub(super) fn most_behind(
    flow: &mut Flow,
    request: &HttpMessage,
    response: &HttpMessage,
    characters: &dyn Fn(&str) -> Option<usize>,
) -> usize {
    let _ = sends_head(flow, request);
    let _ = flow.request_body(&mut request.body().as_slice(), true, NOW);
    let came = response.header_slices();
    let _ = flow.response_headers(&ResponseHead {
        headers: &came,
        end: false,
        now: NOW,
    });
    let count = |bytes: &[u8]| -> usize {
        let text = String::from_utf8_lossy(bytes);
        text.split("\n\n").filter_map(characters).sum()
    };
    let (mut came, mut left, mut most) = (0, 0, 0);
    for chunk in &response.chunks {
        came += count(chunk);
        let step = flow.response_body(&mut chunk.as_slice(), false, NOW);
        left += match &step.action {
            Action::Continue => count(chunk),
            Action::Replace(bytes) => count(bytes),
            other => panic!("{other:?}"),
        };
        most = most.max(came - left);
    }
    most
}

#[test]
fn findings_are_counted_once_where_a_rule_records_the_whole_text() {
    let rules = |more: &str| {
        format!(
            "defaults: {{ action: allow }}
rules:
  - {{ id: pii, match: {{ event: response }}, when: {{ text: {{ detects: email }} }}, action: redact }}
{more}"
        )
    };
    let long =
        "  - { id: long, match: { event: response }, when: { text: { length_greater_than: 5 } }, \
                action: tag, tags: [long] }
";
    let body = sse(&[text("write to anna@exam"), text("ple.com now"), end("stop")]);
    for more in ["", long] {
        let seen = ask(&guard(&rules(more)), &body, &[]);
        let record = record(&seen);
        assert_eq!(record["findings"], json!({"email": 1}), "{record}");
        assert_eq!(record["tags"].is_null(), more.is_empty(), "{record}");
    }
}

#[test]
fn a_policy_may_configure_an_error_or_a_cut() {
    let policy = LOOKS.replace("    reason: Not that word.\n", "    on_deny: error\n")
        + "stream: { on_deny: reset }\n";
    let guard = guard(&policy);
    let more = " and more of it, on and on, until it ends after all that was said";
    let body = sse(&[text("the forbidden word"), text(more), end("stop")]);
    let seen = ask(
        &guard,
        &body,
        &(0..body.len()).step_by(40).collect::<Vec<_>>(),
    );
    let answer = answer_of(&frames(&seen), 0);
    assert_eq!(answer.error.as_deref(), Some("Blocked by rule `swan`."));
    assert!(seen.cut, "{}", String::from_utf8_lossy(&seen.client.body()));
}

#[test]
fn text_flows_while_a_call_is_held() {
    let guard = guard(LOOKS);
    let other = |part: &str| chunk(1, json!({"content": part}), Value::Null);
    let body = sse(&[
        call(0, "call_1", "find", "{"),
        other("The other answer goes on and on and on and on and on and on and on. "),
        other("It does. "),
        call(0, "", "", "}"),
    ]);
    let body = &body[..body.len() - b"data: [DONE]\n\n".len()];
    let mut half = streamed(body, &[]);
    half.chunks.push(Vec::new());
    let mut flow = Flow::new(Rc::clone(&guard));
    half.chunks.pop();
    let text_behind = behind(&mut flow, &half);
    assert!(text_behind <= 64, "{text_behind}");
}

#[test]
fn repeated_names_are_sent_once() {
    let guard = guard(LOOKS);
    let body = sse(&[
        call(0, "call_1", "find", "{"),
        call(0, "call_1", "find", "}"),
        end("tool_calls"),
    ]);
    let answer = answer_of(&frames(&ask(&guard, &body, &[])), 0);
    assert_eq!(answer.calls, [("find".to_owned(), "{}".to_owned())]);
}

#[test]
fn a_number_in_json_within_arguments_is_not_replaced() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: cards, match: { event: response, part: arguments }, when: { text: { detects: credit_card } }, action: redact }
",
    );
    let arguments = |card: &str| {
        let arguments = json!({"inner": format!("{{\"n\":7,\"card\":{card}}}")}).to_string();
        let (begun, rest) = arguments.split_at(30);
        let body = sse(&[
            call(0, "call_1", "pay", begun),
            call(0, "", "", rest),
            end("tool_calls"),
        ]);
        let seen = ask(&guard, &body, &[]);
        (answer_of(&frames(&seen), 0).calls, record(&seen))
    };
    let (calls, _) = arguments("\"4111 1111 1111 1111\"");
    let redacted = json!({"inner": "{\"n\":7,\"card\":\"[CREDIT_CARD]\"}"}).to_string();
    assert_eq!(calls, [("pay".to_owned(), redacted)]);
    let (calls, record) = arguments("4111111111111111");
    assert_eq!(calls, []);
    assert_eq!(record["decision"], "deny");
}

mod faults {
    use super::*;

    fn denied(body: &[u8]) -> (Answer, Value) {
        let guard = guard(LOOKS);
        let seen = ask(&guard, body, &[]);
        (answer_of(&frames(&seen), 0), record(&seen))
    }

    fn is_broken(body: &[u8]) -> Answer {
        let (answer, record) = denied(body);
        assert!(answer.error.is_some(), "{answer:?}");
        assert_eq!(record["code"], "AG2014", "{record}");
        assert_eq!(record["decision"], "deny");
        assert!(
            record["coverage"]["reasons"]
                .as_array()
                .unwrap()
                .contains(&json!("response:AG2014"))
        );
        answer
    }

    #[test]
    fn a_payload_that_only_some_clients_read_is_an_error() {
        let denied = call(0, "c-1", "delete_customer", "{}");
        for name in [
            "DATA",
            "Data",
            " data",
            "\tdata",
            "data ",
            "\u{FEFF}data",
            "\u{a0}data",
        ] {
            let body = format!("data: {}\n\n{name}: {denied}\n\n", text("Good morning"));
            let answer = is_broken(body.as_bytes());
            assert!(answer.calls.is_empty(), "{name:?}");
        }
        // All clients ignore other fields.
        let guard = guard(LOOKS);
        let body = format!(
            "dat: a\ndatabase: b\ndata: {}\n\ndata: {}\n\n",
            text("Good morning"),
            end("stop")
        );
        assert_eq!(
            ask(&guard, body.as_bytes(), &[]).client.body(),
            body.as_bytes()
        );
    }

    #[test]
    fn an_end_in_the_middle_of_a_character_is_an_error() {
        let body = sse(&[text("Good morning \u{1F600}")]);
        let at = body.iter().position(|byte| *byte == 0xF0).unwrap();
        let mut broken = body[..at + 2].to_vec();
        broken.extend_from_slice(b"\"}}]}\n\n");
        is_broken(&broken);
    }

    #[test]
    fn an_event_over_the_limit_ends_the_stream() {
        let guard = guard(&format!("inspect: {{ max_body: 64KiB }}\n{LOOKS}"));
        let body = sse(&[text(&"a".repeat(100_000)), end("stop")]);
        let seen = ask(&guard, &body, &[50_000, 90_000]);
        assert!(answer_of(&frames(&seen), 0).error.is_some());
        assert_eq!(record(&seen)["code"], "AG2014");
    }

    /// What is held back at one moment is bounded, also if all of it arrives at once and could leave at once.
    #[test]
    fn a_stream_that_holds_back_too_much_ends_however_it_is_cut() {
        let guard = guard(&format!("inspect: {{ max_body: 8KiB }}\n{LOOKS}"));
        let mut long = vec![call(0, "c-1", "lookup", "{")];
        for number in 0..200 {
            let part = format!("\"k{number}\":\"{}\",", "v".repeat(40));
            let part = json!({"tool_calls": [{"index": 0, "function": {"arguments": part}}]});
            long.push(chunk(0, part, Value::Null));
        }
        long.push(call(0, "", "", "\"last\":1}"));
        long.push(end("tool_calls"));
        let body = sse(&long);
        for step in [body.len(), 5_000, 61] {
            let cuts: Vec<usize> = (step..body.len()).step_by(step).collect();
            let seen = ask(&guard, &body, &cuts);
            assert_eq!(record(&seen)["code"], "AG2014", "{step}");
            let answer = answer_of(&frames(&seen), 0);
            assert!(answer.calls.is_empty() && answer.error.is_some(), "{step}");
        }
    }

    /// Frames of one choice overtake those of another whose call is held. Their places are memory, too.
    #[test]
    fn a_held_frame_is_not_overtaken_for_ever() {
        let guard = guard(&format!("inspect: {{ max_body: 64KiB }}\n{LOOKS}"));
        let other = chunk(1, json!({"content": "Good morning. "}), Value::Null);
        let ends = |count: usize| {
            let mut payloads = vec![call(0, "c-1", "lookup", "{")];
            payloads.extend(std::iter::repeat_n(other.clone(), count));
            let question = json!({"model": "gpt-4o", "n": 2, "stream": true,
                                  "messages": [{"role": "user", "content": "Hello"}]});
            let question = chat_request(question.to_string().as_bytes());
            let body = sse(&payloads);
            let body = &body[..body.len() - 14];
            let seen = run(&guard, &question, |_| streamed(body, &[]), NOW);
            let passed = String::from_utf8(seen.client.body()).unwrap();
            let passed = passed.matches("Good morning").count();
            (passed, record(&seen)["code"].clone())
        };
        // The end in the middle of the call is noticed in both.
        // The last text may still become a part of a match.
        assert_eq!(ends(60), (59, json!("AG2014")));
        assert!(ends(5_000).0 < 1_000);
    }

    #[test]
    fn an_error_of_the_provider_passes() {
        let guard = guard(LOOKS);
        let mut body = sse(&[text("Well, ")]);
        body.truncate(body.len() - 14);
        body.extend_from_slice(
            b"data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":null}}\n\n",
        );
        let seen = ask(&guard, &body, &[]);
        assert_eq!(seen.client.body(), body);
        let errors: Vec<_> = seen
            .counts
            .iter()
            .filter(|(name, ..)| *name == "agentguard_provider_errors_total")
            .collect();
        assert_eq!(errors.len(), 1);
        assert!(
            errors[0].1.contains(&"server_error".to_owned()),
            "{errors:?}"
        );
    }

    #[test]
    fn a_missing_or_duplicate_end_has_no_effect() {
        let guard = guard(LOOKS);
        let mut body = sse(&[text("Hello"), end("stop")]);
        let missing = &body[..body.len() - 14];
        assert_eq!(ask(&guard, missing, &[]).client.body(), missing);
        body.extend_from_slice(b"data: [DONE]\n\n");
        assert_eq!(ask(&guard, &body, &[]).client.body(), body);
    }

    #[test]
    fn data_after_the_end_is_dropped() {
        let guard = guard(LOOKS);
        let mut body = sse(&[text("Hello"), end("stop")]);
        let complete = body.clone();
        body.extend_from_slice(format!("data: {}\n\n", text("forbidden word")).as_bytes());
        let seen = ask(&guard, &body, &[]);
        assert_eq!(seen.client.body(), complete);
        assert_eq!(
            record(&seen)["coverage"]["reasons"],
            json!(["response:after_end"])
        );
    }

    #[test]
    fn a_policy_may_allow_an_unreadable_event() {
        // No default allows it: a client may read more in such an event than the filter.
        let named = "rules:
  - { id: broken, match: { event: uninspectable, code: AG2014 }, action: allow }
";
        let guard = guard(&LOOKS.replace("rules:\n", named));
        let mut body = sse(&[text("Hello")]);
        body.truncate(body.len() - 14);
        body.extend_from_slice(b"data: not json\n\n");
        body.extend(sse(&[text(" there"), end("stop")]));
        let seen = ask(&guard, &body, &[]);
        assert_eq!(seen.client.body(), body);
        assert_eq!(record(&seen)["coverage"]["level"], "none");
    }

    #[test]
    fn many_tiny_deltas_leave_nothing_behind() {
        let guard = guard(LOOKS);
        let mut flow = begun(&guard);
        let frames: Vec<String> = ["a", "b", " "]
            .map(|part| format!("data: {}\n\n", text(part)))
            .to_vec();
        let (mut came, mut left) = (0, 0);
        // Without optimisation, each frame takes a tenth of a millisecond or more.
        let count = if cfg!(debug_assertions) {
            5_000
        } else {
            100_000
        };
        for frame in frames.iter().cycle().take(count) {
            let step = flow.response_body(&mut frame.as_bytes(), false, NOW);
            came += frame.len();
            left += match step.action {
                Action::Continue => frame.len(),
                Action::Replace(bytes) => bytes.len(),
                other => panic!("{other:?}"),
            };
            // If a client reads slowly, Envoy stops reading from the upstream; released bytes are in Envoy's buffers.
            assert!(guard.taken_memory() <= 64 << 10, "{}", guard.taken_memory());
            assert!(came - left <= 64 * frame.len());
        }
        let step = flow.response_body(&mut &b"data: [DONE]\n\n"[..], true, NOW);
        let Action::Replace(rest) = step.action else {
            panic!("what waited for the next delta leaves now");
        };
        assert_eq!(left + rest.len(), came + b"data: [DONE]\n\n".len());
        assert_eq!(guard.taken_memory(), 0);
    }

    #[test]
    fn one_delta_of_five_megabytes() {
        let guard = super::guard(&format!("inspect: {{ max_text: 8MiB }}\n{LOOKS}"));
        let body = sse(&[text(&"lorem ipsum ".repeat(440_000)), end("stop")]);
        assert_eq!(ask(&guard, &body, &[1_000]).client.body(), body);
    }

    /// Returns an exchange whose response is about to stream.
    fn begun(guard: &Rc<Guard>) -> Flow {
        let mut flow = Flow::new(Rc::clone(guard));
        behind(&mut flow, &streamed(b"", &[]));
        flow
    }

    #[test]
    fn comments_pass_for_an_hour() {
        let guard = guard(LOOKS);
        let mut flow = begun(&guard);
        for seconds in (0..3_600).step_by(15) {
            let now = NOW + seconds * 1_000_000_000;
            let step = flow.response_body(&mut &b": OPENROUTER PROCESSING\n\n"[..], false, now);
            assert_eq!(step.action, Action::Continue);
            assert_eq!(guard.taken_memory(), 0);
        }
    }

    #[test]
    fn a_call_may_take_an_hour() {
        let guard = guard(LOOKS);
        let mut flow = begun(&guard);
        let frame = |arguments: &str, name: &str| {
            let call = call(
                0,
                if name.is_empty() { "" } else { "call_1" },
                name,
                arguments,
            );
            format!("data: {call}\n\n")
        };
        let (first, last) = (frame("{", "find"), frame("}", ""));
        let step = flow.response_body(&mut first.as_bytes(), false, NOW);
        assert_eq!(step.action, Action::Replace(Vec::new()));
        let mut told = 0;
        for seconds in (15..3_600).step_by(15) {
            let now = NOW + seconds * 1_000_000_000;
            let step = flow.response_body(&mut &b": wait\n\n"[..], false, now);
            assert_eq!(step.action, Action::Replace(b": keep-alive\n\n".to_vec()));
            told += 1;
        }
        assert!(guard.taken_memory() <= 64 << 10, "{}", guard.taken_memory());
        let end = format!("{last}data: {}\n\ndata: [DONE]\n\n", end("tool_calls"));
        let step = flow.response_body(&mut end.as_bytes(), true, NOW + 3_600_000_000_000);
        let expected = format!("{first}{}{end}", ": wait\n\n".repeat(told));
        let Action::Replace(released) = step.action else {
            panic!("all that waited leaves now");
        };
        assert_eq!(String::from_utf8(released).unwrap(), expected);
    }

    #[test]
    fn held_bytes_are_never_sent_after_a_reset() {
        let guard = guard(LOOKS);
        let mut flow = begun(&guard);
        let said = format!(
            "data: {}\n\ndata: {}\n\n",
            text(
                "Let me see. And then, after all of that, look for it in every place there is, again. "
            ),
            call(0, "call_1", "find", "{")
        );
        let step = flow.response_body(&mut said.as_bytes(), false, NOW);
        assert!(
            matches!(&step.action, Action::Replace(bytes) if !String::from_utf8_lossy(bytes).contains("find"))
        );
        let finished = flow.finish(&End {
            now: NOW,
            ..End::default()
        });
        let record: Value = serde_json::from_slice(&finished.line).unwrap();
        assert_eq!(record["decision"], "allow");
        assert_eq!(record["tools"], Value::Null);
        assert_eq!(
            record["coverage"],
            json!({"level": "none", "reasons": ["response:incomplete"]})
        );
        drop(flow);
        assert_eq!(guard.taken_memory(), 0);
    }

    #[test]
    fn an_error_of_the_provider_in_the_middle_of_a_call_drops_the_call() {
        let guard = guard(LOOKS);
        let error =
            json!({"error": {"message": "overloaded", "type": "server_error", "code": null}});
        let body = sse(&[text("Let me see."), call(0, "call_1", "find", "{"), error]);
        let seen = ask(&guard, &body[..body.len() - 14], &[]);
        let answer = answer_of(&frames(&seen), 0);
        assert_eq!(answer.calls, []);
        assert!(answer.error.is_some(), "{answer:?}");
    }

    #[test]
    fn a_stream_may_be_empty() {
        let guard = guard(LOOKS);
        for nothing in [
            "",
            ": hello\n\n",
            "data: [DONE]\n\n",
            "\n\n\n",
            "event: ping\ndata:\n\n",
        ] {
            let seen = ask(&guard, nothing.as_bytes(), &[]);
            assert_eq!(String::from_utf8(seen.client.body()).unwrap(), nothing);
            assert_eq!(record(&seen)["decision"], "allow");
        }
    }

    #[test]
    fn a_keep_alive_is_sent_while_bytes_are_held_too_long() {
        let guard = guard(LOOKS);
        let mut flow = begun(&guard);
        let fragment = format!("data: {}\n\n", call(0, "call_1", "find", "{"));
        let mut at = |seconds: u64| {
            let step = flow.response_body(
                &mut fragment.as_bytes(),
                false,
                NOW + seconds * 1_000_000_000,
            );
            step.action
        };
        assert_eq!(at(1), Action::Replace(Vec::new()));
        assert_eq!(at(12), Action::Replace(b": keep-alive\n\n".to_vec()));
        assert_eq!(at(13), Action::Replace(Vec::new()));
        assert_eq!(at(23), Action::Replace(b": keep-alive\n\n".to_vec()));
    }
}

mod ends_that_are_none {
    use super::*;

    #[test]
    fn a_text_continues_after_its_choice_has_ended() {
        let guard = guard(LOOKS);
        // Some servers send a finish reason with each frame.
        let ended = |part: &str| chunk(0, json!({"content": part}), json!("stop"));
        let denied = [ended("the forbid"), ended("den word")];
        let seen = ask(&guard, &sse(&denied), &[]);
        assert!(!answer_of(&frames(&seen), 0).text.contains("den word"));
        assert_eq!(record(&seen)["decision"], "deny");
        let masked = [ended("pay 4111 1111"), ended(" 1111 1111 to"), ended("day")];
        let seen = ask(&guard, &sse(&masked), &[]);
        // The part that was released before it matched stays.
        assert_eq!(
            answer_of(&frames(&seen), 0).text,
            "pay 4111 1111[CREDIT_CARD] today"
        );
        assert_eq!(record(&seen)["findings"], json!({"credit_card": 1}));
        let clean = sse(&[ended("Good "), ended("morning, "), ended("all")]);
        assert_eq!(ask(&guard, &clean, &[]).client.body(), clean);
    }

    #[test]
    fn a_finding_at_an_end_is_not_found_again_when_the_text_continues() {
        let guard = guard(LOOKS);
        let ended = |part: &str| chunk(0, json!({"content": part}), json!("stop"));
        let body = sse(&[ended("mail anna@example.com"), ended(" or bob@example.com")]);
        let seen = ask(&guard, &body, &[]);
        assert_eq!(answer_of(&frames(&seen), 0).text, "mail [EMAIL] or [EMAIL]");
        assert_eq!(record(&seen)["findings"], json!({"email": 2}));
    }

    #[test]
    fn a_text_that_is_evaluated_as_a_whole_is_evaluated_again() {
        let guard = guard(
            "defaults: { action: allow }
rules:
  - { id: short, match: { event: response }, when: { text: { length_greater_than: 12 } }, action: deny, reason: Too long. }
",
        );
        let ended = |part: &str| chunk(0, json!({"content": part}), json!("stop"));
        let seen = ask(&guard, &sse(&[ended("0123456"), ended("7890123")]), &[]);
        assert_eq!(record(&seen)["decision"], "deny");
        assert!(!answer_of(&frames(&seen), 0).text.contains("7890123"));
        let short = sse(&[ended("0123"), ended("456")]);
        assert_eq!(ask(&guard, &short, &[]).client.body(), short);
    }

    #[test]
    fn a_call_that_continues_after_its_choice_is_denied() {
        let guard = guard(LOOKS);
        for (first, more) in [
            (
                call(0, "call_1", "delete_", ""),
                call(0, "", "customer", "{}"),
            ),
            (
                chunk(
                    0,
                    json!({"function_call": {"name": "delete_", "arguments": ""}}),
                    Value::Null,
                ),
                chunk(
                    0,
                    json!({"function_call": {"name": "customer"}}),
                    Value::Null,
                ),
            ),
        ] {
            let mut more = more;
            if let Some(calls) = more["choices"][0]["delta"]["tool_calls"].as_array_mut() {
                calls[0]["function"]["name"] = json!("customer");
            }
            let seen = ask(&guard, &sse(&[first, end("tool_calls"), more]), &[]);
            assert_eq!(record(&seen)["code"], "AG2014");
            assert!(
                !String::from_utf8(seen.client.body())
                    .unwrap()
                    .contains("customer")
            );
        }
        // Another call may follow.
        let body = sse(&[
            call(0, "call_1", "find", "{}"),
            end("tool_calls"),
            call(0, "call_2", "find", "{}"),
        ]);
        assert_eq!(ask(&guard, &body, &[]).client.body(), body);
    }
}

#[test]
fn numbers_of_calls_mean_the_same_however_they_are_written() {
    let guard = guard(LOOKS);
    let named = |index: Value, name: &str| {
        let call = json!({"index": index, "id": "c", "function": {"name": name, "arguments": ""}});
        chunk(0, json!({"tool_calls": [call]}), Value::Null)
    };
    let float: Value = serde_json::from_str("0.0").unwrap();
    let body = sse(&[
        named(float, "delete_"),
        named(json!(0), "customer"),
        end("tool_calls"),
    ]);
    let seen = ask(&guard, &body, &[]);
    assert_eq!(record(&seen)["rules"][0]["id"], "no-deleting");
    for odd in [json!("0"), json!(-1), json!(0.5)] {
        let seen = ask(&guard, &sse(&[named(odd, "find"), end("tool_calls")]), &[]);
        assert_eq!(record(&seen)["code"], "AG2014");
    }
}

#[test]
fn more_than_64_hidden_characters_in_a_row_are_a_finding_over_many_deltas() {
    let guard = guard(
        "defaults: { action: allow }
rules:
  - { id: hidden, match: { event: response }, when: { text: { detects: hidden_text } }, action: redact }
",
    );
    let said = |count: usize| {
        let mut parts = vec![text("before ")];
        // Characters of three bytes, cut at any byte.
        parts.extend((0..count / 7).map(|_| text(&"\u{200b}".repeat(7))));
        parts.push(text(&"\u{200b}".repeat(count % 7)));
        parts.push(text(" behind"));
        parts.push(end("stop"));
        sse(&parts)
    };
    for count in [65, 100, 1_000] {
        let seen = ask(&guard, &said(count), &[]);
        let text = answer_of(&frames(&seen), 0).text;
        assert!(!text.contains('\u{200b}'), "{count}: {text:?}");
        assert!(
            text.starts_with("before [") && text.ends_with("] behind"),
            "{text}"
        );
        assert_eq!(record(&seen)["decision"], "redact");
    }
    let few = said(7);
    assert_eq!(ask(&guard, &few, &[]).client.body(), few);
}

#[test]
fn a_match_beyond_its_lookahead_extends_to_the_end() {
    let guard = guard(
        "defaults: { action: allow }
detectors:
  note: { pattern: 'BEGIN[^#]*#', reach: 40 }
rules:
  - { id: notes, match: { event: response }, when: { text: { detects: note } }, action: redact }
",
    );
    let said = |inside: &str, last: &str| {
        let mut parts = vec![text("Well, BEG"), text("IN of ")];
        parts.extend(inside.split_inclusive(' ').map(text));
        parts.push(text(last));
        parts.push(text(" and more"));
        parts.push(end("stop"));
        sse(&parts)
    };
    // Within its lookahead, the match is the same as in a whole text.
    let seen = ask(&guard, &said("a few words ", "so #"), &[]);
    assert_eq!(answer_of(&frames(&seen), 0).text, "Well, [NOTE] and more");
    let seen = ask(&guard, &said("a few words ", "so"), &[]);
    assert_eq!(record(&seen)["decision"], "allow");
    // Beyond it, the text counts as a match whatever follows, and none of it is released.
    let long = "secret ".repeat(30);
    for last in ["so #", "so"] {
        let seen = ask(&guard, &said(&long, last), &[]);
        let text = answer_of(&frames(&seen), 0).text;
        assert!(text.starts_with("Well, [NOTE]"), "{text}");
        assert_eq!(text.replace("[NOTE]", ""), "Well, ");
        assert_eq!(record(&seen)["decision"], "redact");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_chunking_gives_the_same_bytes_decision_and_audit_event(
        parts in prop::collection::vec((0u32..4, 0usize..14, 0u32..2), 1..12),
        cuts in prop::collection::vec(0usize..6_000, 0..12),
    ) {
        const TEXTS: &[&str] = &["Hello ", "4111 1111", " 1111 1111", "", "anna@", "example.com ", "forbidden ", "word",
            "\u{1F600}", "a b c ", "AKIAIOSFODNN7", "EXAMPLE", ". ", "forb\u{200b}idden wo"];
        const NAMES: &[&str] = &["find", "delete_customer"];
        let mut payloads = Vec::new();
        let mut calls = 0;
        let mut whole = [String::new(), String::new()];
        for (kind, which, choice) in parts {
            match kind {
                0 | 1 => {
                    whole[usize::try_from(choice).unwrap()].push_str(TEXTS[which]);
                    payloads.push(chunk(choice, json!({"content": TEXTS[which]}), Value::Null));
                }
                2 => {
                    payloads.push(call(calls, &format!("call_{calls}"), NAMES[which % 2], "{\"a\":"));
                    calls += 1;
                }
                _ if calls > 0 => payloads.push(call(calls - 1, "", "", TEXTS[which])),
                _ => {}
            }
        }
        payloads.push(end(if calls > 0 { "tool_calls" } else { "stop" }));
        payloads.push(chunk(1, json!({}), json!("stop")));
        let body = sse(&payloads);
        let guard = guard(LOOKS);
        let question = json!({"model": "m", "n": 2, "messages": [{"role": "user", "content": "hi"}]});
        let question = chat_request(question.to_string().as_bytes());
        let at_once = exchange(&guard, &question, streamed(&body, &[]));
        let in_pieces = exchange(&guard, &question, streamed(&body, &cuts));
        prop_assert_eq!(
            String::from_utf8(at_once.client.body()),
            String::from_utf8(in_pieces.client.body())
        );
        let stripped = |seen: &SimulatedResult| {
            let mut record = record(seen);
            for key in ["ts", "chain", "timing", "request_id"] {
                record.as_object_mut().unwrap().remove(key);
            }
            record
        };
        prop_assert_eq!(stripped(&at_once), stripped(&in_pieces));
        // The released text is the redacted whole, or its beginning if the stream was denied.
        let frames = frames(&at_once);
        let answers = [answer_of(&frames, 0), answer_of(&frames, 1)];
        let is_denied = answers.iter().any(|seen| !seen.refusal.is_empty() || seen.error.is_some());
        for (seen, whole) in answers.iter().zip(&whole) {
            let message = json!({"role": "assistant", "content": whole});
            let reference = exchange(&guard, &chat_request(&says("hi")), answer(message, "stop"));
            let reference: Value = serde_json::from_slice(&reference.client.body()).unwrap();
            let released = ["Customers stay.", "Not that word.", "\n"]
                .iter()
                .fold(seen.text.clone(), |text, told| text.replace(told, ""));
            match reference["choices"][0]["message"]["content"].as_str() {
                Some(redacted) if is_denied => prop_assert!(redacted.starts_with(&released)),
                Some(redacted) => prop_assert_eq!(released, redacted),
                None => prop_assert!(is_denied),
            }
        }
    }
}

#[test]
fn a_stream_with_more_text_than_detectors_may_inspect_ends_however_it_is_cut() {
    let policy = format!("inspect: {{ max_text: 300 }}\n{LOOKS}");
    let guard = guard(&policy);
    let words: Vec<Value> = (0..100)
        .map(|number| text(&format!("word {number} ")))
        .collect();
    let body = sse(&words);
    let whole = ask(&guard, &body, &[]);
    assert_eq!(record(&whole)["code"], "AG2014");
    let said = answer_of(&frames(&whole), 0).text;
    assert!(said.starts_with("word 0 ") && said.len() <= 300, "{said}");
    for step in [1, 7, 100, 1_000] {
        let cuts: Vec<usize> = (0..body.len()).step_by(step).collect();
        assert_eq!(ask(&guard, &body, &cuts).client.body(), whole.client.body());
    }
}
