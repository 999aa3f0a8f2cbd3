//! Streams with contradictory events, from which clients assemble different calls. Each of these calls is evaluated, or
//! the stream ends.

use super::framing::Outcome::{Refused, Seen, Untouched};
use super::framing::{Case, SSE, asks, becomes_under};
use super::*;

const POLICY: &str = "defaults: { action: allow }
rules:
  - id: amount
    match: { tool: pay }
    when: { args.amount: { greater_than: 100 } }
    action: deny
  - { id: no-deleting, match: { tool: delete_customer }, action: deny }
";

const UNREAD: super::framing::Outcome = Refused("AG2014");

fn events(events: &[Value]) -> String {
    let event = |event: &Value| {
        let name = event["type"].as_str().unwrap_or("message");
        format!("event: {name}\ndata: {event}\n\n")
    };
    events.iter().map(event).collect()
}

#[test]
fn pieces_of_a_chat_belong_together_as_any_client_joins_them() {
    let chunk = |choice: Value| {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    let of = |deltas: &[Value]| {
        let deltas = deltas.iter();
        let mut body: String = deltas
            .map(|delta| chunk(json!({"index": 0, "delta": delta, "finish_reason": null})))
            .collect();
        body += &chunk(json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"}));
        body + "data: [DONE]\n\n"
    };
    // Returns a piece of a call; `Null` omits a member.
    let call = |index: Value, id: &str, name: &str, arguments: Value| {
        let mut call = json!({"function": {"arguments": arguments}});
        if !index.is_null() {
            call["index"] = index;
        }
        if !id.is_empty() {
            call["id"] = json!(id);
            call["type"] = json!("function");
        }
        if !name.is_empty() {
            call["function"]["name"] = json!(name);
        }
        json!({"tool_calls": [call]})
    };
    let (half, rest) = (json!("{\"amount\": 42"), json!("42}"));
    let (little, much) = (json!("{\"amount\": 1}"), json!("{\"amount\": 4242}"));
    let none = Value::Null;
    let zero = json!(0);
    let whole = call(zero.clone(), "a", "delete_customer", json!("{}"));
    let find = call(zero.clone(), "a", "find", json!("{}"));
    let first_half = call(zero.clone(), "a", "delete_", json!("{}"));
    let second_half = call(zero.clone(), "", "customer", json!(""));
    let pieces = |first: Value, second: Value| {
        of(&[
            call(first, "a", "pay", half.clone()),
            call(second, "", "", rest.clone()),
        ])
    };
    let named = |first: &str, second: &str| {
        of(&[
            call(zero.clone(), "a", first, json!("")),
            call(zero.clone(), "", second, json!("{}")),
        ])
    };
    let cases: &[Case<'_>] = &[
        (
            "as it should be",
            SSE,
            pieces(zero.clone(), zero.clone()),
            Seen,
        ),
        (
            "a harmless call",
            SSE,
            of(&[call(zero.clone(), "a", "pay", little.clone())]),
            Untouched,
        ),
        ("no numbers", SSE, pieces(none.clone(), none.clone()), Seen),
        ("one number", SSE, pieces(zero.clone(), none.clone()), Seen),
        (
            "a number with a point",
            SSE,
            pieces(json!(0.0), zero.clone()),
            Seen,
        ),
        (
            "a number in a string",
            SSE,
            pieces(json!("0"), zero.clone()),
            UNREAD,
        ),
        (
            "two calls without numbers",
            SSE,
            of(&[
                call(none.clone(), "a", "pay", little.clone()),
                call(none, "b", "pay", much.clone()),
            ]),
            Seen,
        ),
        (
            "an id under two numbers",
            SSE,
            of(&[
                call(zero.clone(), "a", "pay", half.clone()),
                call(json!(1), "a", "", rest.clone()),
            ]),
            Seen,
        ),
        (
            "two ids under a number",
            SSE,
            of(&[
                call(zero.clone(), "a", "pay", half),
                call(zero.clone(), "b", "", rest),
            ]),
            Seen,
        ),
        (
            "arguments twice",
            SSE,
            of(&[
                call(zero.clone(), "a", "pay", little),
                call(zero.clone(), "", "", much),
            ]),
            Seen,
        ),
        ("a name in pieces", SSE, named("delete_", "customer"), Seen),
        ("another name", SSE, named("find", "delete_customer"), Seen),
        // Vercel's client calls each of them.
        (
            "another name behind it",
            SSE,
            named("delete_customer", "find"),
            Seen,
        ),
        (
            "a name twice",
            SSE,
            named("delete_customer", "delete_customer"),
            Seen,
        ),
        (
            "an argument twice",
            SSE,
            of(&[call(
                zero.clone(),
                "a",
                "pay",
                json!("{\"amount\": 1, \"amount\": 4242}"),
            )]),
            Seen,
        ),
        (
            "arguments as an object",
            SSE,
            of(&[call(zero.clone(), "a", "pay", json!({"amount": 4242}))]),
            Seen,
        ),
        (
            "a number in a string argument",
            SSE,
            of(&[call(zero, "a", "pay", json!("{\"amount\": \"4242\"}"))]),
            Seen,
        ),
        (
            "a delta and a message",
            SSE,
            chunk(json!({"index": 0, "delta": {}, "message": whole, "finish_reason": "stop"})),
            Seen,
        ),
        (
            "a choice without number",
            SSE,
            chunk(json!({"delta": whole, "finish_reason": "tool_calls"})),
            Seen,
        ),
        (
            "a choice with a huge number",
            SSE,
            chunk(
                json!({"index": 99_999_999_999_u64, "delta": whole, "finish_reason": "tool_calls"}),
            ),
            Seen,
        ),
        (
            "a call that goes on in another choice",
            SSE,
            chunk(json!({"index": 0, "delta": first_half}))
                + &chunk(json!({"index": 1, "delta": second_half, "finish_reason": "tool_calls"})),
            UNREAD,
        ),
        (
            "a call in another choice",
            SSE,
            chunk(json!({"index": 0, "delta": {"content": "Well, "}}))
                + &chunk(json!({"index": 1, "delta": find, "finish_reason": "tool_calls"})),
            Untouched,
        ),
        (
            "thoughts under two names",
            SSE,
            of(&[
                json!({"reasoning": "delete", "reasoning_content": "delete"}),
                json!({"reasoning": "_it", "reasoning_content": "_it"}),
            ]),
            Untouched,
        ),
        (
            "thoughts under changing names",
            SSE,
            of(&[
                json!({"reasoning": "delete"}),
                json!({"reasoning_content": "_customer"}),
            ]),
            UNREAD,
        ),
    ];
    becomes_under(POLICY, &chat_request(&says("hi")), cases);
}

#[test]
fn blocks_of_a_message_are_assembled_as_any_client_does() {
    let start = |index: Value, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let input = |index: u32, json: &str| json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": json}});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let tool = |name: &str, input: Value| json!({"type": "tool_use", "id": "t", "name": name, "input": input});
    let message = |content: Value| {
        json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "c",
            "content": content, "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}}})
    };
    let of = |middle: &[Value]| {
        let mut all = vec![message(json!([]))];
        all.extend_from_slice(middle);
        all.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 7}}));
        all.push(json!({"type": "message_stop"}));
        events(&all)
    };
    let zero = json!(0);
    let delete = tool("delete_customer", json!({}));
    let find = tool("find", json!({}));
    let pay = tool("pay", json!({}));
    let begun = events(&[message(json!([]))]);
    let named = |name: &str, event: &Value| format!("{begun}event: {name}\ndata: {event}\n\n");
    let began = start(zero.clone(), delete.clone());
    let mut untyped = began.clone();
    untyped.as_object_mut().unwrap().remove("type");
    let mut ping = began.clone();
    ping["type"] = json!("ping");
    let cases: &[Case<'_>] = &[
        (
            "as it should be",
            SSE,
            of(&[
                start(zero.clone(), pay.clone()),
                input(0, "{\"amount\": 42"),
                json!({"type": "ping"}),
                input(0, "42}"),
                stop(0),
            ]),
            Seen,
        ),
        (
            "a harmless call",
            SSE,
            of(&[
                start(zero.clone(), pay.clone()),
                input(0, "{\"amount\": 1}"),
                stop(0),
            ]),
            Untouched,
        ),
        (
            "no end",
            SSE,
            of(&[start(zero.clone(), delete.clone())]),
            Seen,
        ),
        (
            "the end of another",
            SSE,
            of(&[start(zero.clone(), delete.clone()), stop(1)]),
            Seen,
        ),
        (
            "two at once",
            SSE,
            of(&[
                start(zero.clone(), find.clone()),
                start(json!(1), pay.clone()),
                input(1, "{\"amount\":"),
                input(0, "{\"a\":"),
                input(1, " 4242}"),
                input(0, " 1}"),
                stop(0),
                stop(1),
            ]),
            Seen,
        ),
        (
            "arguments at the start",
            SSE,
            of(&[
                start(zero.clone(), tool("pay", json!({"amount": 4242}))),
                stop(0),
            ]),
            Seen,
        ),
        (
            "arguments at the start and behind it",
            SSE,
            of(&[
                start(zero.clone(), tool("pay", json!({"amount": 1}))),
                input(0, "{\"amount\": 4242}"),
                stop(0),
            ]),
            Seen,
        ),
        (
            "arguments of a block that never began",
            SSE,
            of(&[input(0, "{\"amount\": 4242}"), stop(0)]),
            Refused("AG3005"),
        ),
        (
            "arguments behind the end",
            SSE,
            of(&[
                start(zero.clone(), find.clone()),
                input(0, "{\"a\": 1"),
                stop(0),
                input(0, ", \"amount\": 4242}"),
            ]),
            Refused("AG3005"),
        ),
        (
            "a number twice",
            SSE,
            of(&[
                start(zero.clone(), find.clone()),
                stop(0),
                start(zero.clone(), delete.clone()),
                stop(0),
            ]),
            UNREAD,
        ),
        (
            "a number in a string",
            SSE,
            of(&[start(json!("0"), delete.clone())]),
            UNREAD,
        ),
        (
            "a number with a fraction",
            SSE,
            of(&[start(json!(0.5), delete.clone())]),
            UNREAD,
        ),
        (
            "a number below zero",
            SSE,
            of(&[start(json!(-1), delete.clone())]),
            UNREAD,
        ),
        (
            "no number",
            SSE,
            of(&[start(Value::Null, delete.clone())]),
            UNREAD,
        ),
        (
            "a list of blocks",
            SSE,
            of(&[start(zero.clone(), json!([delete]))]),
            UNREAD,
        ),
        (
            "in the first event",
            SSE,
            events(&[message(json!([delete]))]),
            Seen,
        ),
        (
            "in a second first event",
            SSE,
            of(&[
                start(zero, json!({"type": "text", "text": ""})),
                stop(0),
                message(json!([delete])),
            ]),
            Seen,
        ),
        (
            "under a name that is not the type",
            SSE,
            named("ping", &began),
            UNREAD,
        ),
        (
            "a ping under another name",
            SSE,
            named("content_block_start", &ping),
            UNREAD,
        ),
        (
            "no type",
            SSE,
            named("content_block_start", &untyped),
            UNREAD,
        ),
        (
            "no name",
            SSE,
            format!("{begun}data: {began}\n\n{}", events(&[stop(0)])),
            Seen,
        ),
    ];
    let question = json!({"model": "c", "max_tokens": 5, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    becomes_under(POLICY, &asks("/v1/messages", question), cases);
}

#[test]
fn a_call_of_responses_is_evaluated_in_each_of_its_copies() {
    let call = |name: &str, arguments: &str| json!({"type": "function_call", "id": "f", "call_id": "c", "name": name, "arguments": arguments, "status": "completed"});
    let response = |kind: &str, output: Value| {
        json!({"type": format!("response.{kind}"), "response": {"id": "r", "object": "response",
        "created_at": 1, "status": kind, "model": "m", "output": output}})
    };
    let item = |what: &str, item: Value| json!({"type": format!("response.output_item.{what}"), "output_index": 0, "item": item});
    let arguments = |what: &str, member: &str, json: &str| {
        let mut event = json!({"type": format!("response.function_call_arguments.{what}"), "output_index": 0, "item_id": "f"});
        event[member] = json!(json);
        event
    };
    let (little, much) = ("{\"amount\": 1}", "{\"amount\": 4242}");
    let begun = response("created", json!([]));
    // The same call in all its copies: deltas, their end, the item, the whole response.
    let copies = |[delta, done, whole, last]: [&str; 4]| {
        events(&[
            begun.clone(),
            item("added", call("pay", "")),
            arguments("delta", "delta", delta),
            arguments("done", "arguments", done),
            item("done", call("pay", whole)),
            response("completed", json!([call("pay", last)])),
        ])
    };
    let delete = call("delete_customer", "{}");
    let find = call("find", "{}");
    let named = |[added, done, last]: [&Value; 3]| {
        events(&[
            begun.clone(),
            item("added", added.clone()),
            item("done", done.clone()),
            response("completed", json!([last])),
        ])
    };
    let of = |middle: &[Value]| {
        let end = response("completed", json!([]));
        events(&[std::slice::from_ref(&begun), middle, &[end]].concat())
    };
    let mut unnumbered = [
        item("added", call("pay", "")),
        arguments("delta", "delta", much),
        item("done", call("pay", "")),
    ];
    for event in &mut unnumbered {
        event.as_object_mut().unwrap().remove("output_index");
    }
    let mut other = arguments("delta", "delta", much);
    other["output_index"] = json!(5);
    let cases: &[Case<'_>] = &[
        ("a harmless call", SSE, copies([little; 4]), Untouched),
        (
            "in the deltas",
            SSE,
            copies([much, little, little, little]),
            Seen,
        ),
        (
            "at their end",
            SSE,
            copies([little, much, little, little]),
            Seen,
        ),
        (
            "in the item",
            SSE,
            copies([little, little, much, little]),
            Seen,
        ),
        (
            "in the whole response",
            SSE,
            copies([little, little, little, much]),
            Seen,
        ),
        ("the first name", SSE, named([&delete, &find, &find]), Seen),
        ("the second name", SSE, named([&find, &delete, &find]), Seen),
        ("the last name", SSE, named([&find, &find, &delete]), Seen),
        (
            "an item without a beginning",
            SSE,
            of(&[item("done", delete.clone())]),
            Seen,
        ),
        (
            "an item without an end",
            SSE,
            of(&[item("added", delete.clone())]),
            Seen,
        ),
        (
            "a number twice",
            SSE,
            of(&[
                item("added", find.clone()),
                item("done", find.clone()),
                item("added", delete.clone()),
            ]),
            Seen,
        ),
        ("no numbers", SSE, of(&unnumbered), Seen),
        (
            "another number with the same id",
            SSE,
            of(&[item("added", call("pay", "")), other]),
            UNREAD,
        ),
        (
            "resumed behind the beginning",
            SSE,
            events(&[
                arguments("delta", "delta", much),
                item("done", call("pay", much)),
                response("completed", json!([])),
            ]),
            Seen,
        ),
        (
            "in the first event",
            SSE,
            events(&[
                response("created", json!([delete])),
                response("completed", json!([])),
            ]),
            Seen,
        ),
        (
            "in a failed response",
            SSE,
            events(&[begun.clone(), response("failed", json!([delete]))]),
            Seen,
        ),
        (
            "in an incomplete one",
            SSE,
            events(&[begun.clone(), response("incomplete", json!([delete]))]),
            Seen,
        ),
        (
            "in an event of an unknown kind",
            SSE,
            of(&[json!({"type": "response.vendor", "output_index": 0, "item": delete})]),
            Seen,
        ),
        (
            "under a name that is not the type",
            SSE,
            format!(
                "event: response.in_progress\ndata: {}\n\n",
                item("done", delete.clone())
            ),
            UNREAD,
        ),
    ];
    let question = json!({"model": "m", "stream": true, "input": "hi"});
    becomes_under(POLICY, &asks("/v1/responses", question), cases);
}

#[test]
fn calls_in_the_results_of_a_batch_are_calls() {
    let part = |name: &str, amount: u32| json!({"functionCall": {"name": name, "args": {"amount": amount}}});
    let result = |part: Value| {
        let response =
            json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]});
        json!({"name": "batches/b", "done": true, "response": {"inlinedResponses": {"inlinedResponses": [{"response": response}]}}})
    };
    let snake = json!({"function_call": {"name": "delete_customer"}});
    let request = asks(
        "/v1beta/models/gemini-x:batchGenerateContent",
        json!({"batch": {}}),
    );
    let mut polls = asks("/v1beta/batches/b", json!({}));
    polls.headers[0].1 = b"GET".to_vec();
    polls.headers[2].1 = b"generativelanguage.googleapis.com".to_vec();
    polls.chunks.clear();
    for request in [request, polls] {
        let cases = [
            ("a denied tool", result(part("delete_customer", 1)), Seen),
            ("in the other spelling", result(snake.clone()), Seen),
            ("an argument", result(part("pay", 4242)), Seen),
            ("a harmless call", result(part("pay", 1)), Untouched),
        ];
        let cases = cases.map(|(what, body, outcome)| {
            (what, Some("application/json"), body.to_string(), outcome)
        });
        becomes_under(POLICY, &request, &cases);
    }
}
