//! What holds of reading whatever the body is: no panic, nothing unseen, the order of keys means nothing, linear work.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

const BOUNDS: Bounds = Bounds {
    max_depth: 64,
    nested_json: 4,
    results: true,
    result_args: true,
    repeats: None,
};

const MARK: &str = "a text that nobody knows";

fn route(name: &str, endpoint: &'static str) -> Route {
    Route {
        protocol: named(name).unwrap(),
        endpoint: Endpoint::named(endpoint),
    }
}

/// Bodies of requests and of the responses to them, each with what they were sent to.
fn bodies() -> Vec<(Route, Json, Json)> {
    let rpc = |method: &str, params: Json| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = |result: Json| json!({"jsonrpc": "2.0", "id": 1, "result": result});
    let mcp = |method: &str, params: Json, result: Json| {
        (route("mcp", "message"), rpc(method, params), answer(result))
    };
    let meta = json!({"progressToken": 1, "io.modelcontextprotocol/clientInfo": {"name": "n", "icons": [{"src": "https://x"}]}});
    let message = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}, {"data": {"a": [1, "b"]}},
        {"raw": "AAAA", "filename": "f"}, {"file": {"uri": "https://x", "name": "n"}}], "metadata": {"k": "v"}});
    let task = json!({"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED", "message": message},
        "artifacts": [{"artifactId": "a", "name": "n", "parts": [{"text": "x"}]}], "history": [message]});
    vec![
        mcp(
            "tools/call",
            json!({"name": "t", "arguments": {"a": {"b": ["c", 1]}}, "_meta": meta,
                "inputResponses": {"k": {"action": "accept", "content": {"x": "y"}}}, "requestState": "s"}),
            json!({"content": [{"type": "text", "text": "x", "annotations": {"audience": ["user"]}},
                {"type": "image", "data": "AAAA", "mimeType": "image/png"},
                {"type": "resource_link", "uri": "x:", "name": "n", "icons": [{"src": "data:,x"}]},
                {"type": "resource", "resource": {"uri": "x:", "mimeType": "text/plain", "blob": "aGk="}}],
                "structuredContent": {"r": [{"s": "t"}]}, "isError": false, "_meta": {}}),
        ),
        mcp(
            "tools/list",
            json!({"cursor": "c"}),
            json!({"tools": [{"name": "t", "description": "d",
            "inputSchema": {"type": "object", "properties": {"q": {"type": "string"}}}, "annotations": {"title": "x"}}],
            "nextCursor": "n"}),
        ),
        mcp(
            "initialize",
            json!({"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": {"name": "c"}}),
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s"}, "instructions": "i"}),
        ),
        mcp(
            "resources/read",
            json!({"uri": "x:"}),
            json!({"contents": [{"uri": "x:", "text": "t"}]}),
        ),
        mcp(
            "prompts/get",
            json!({"name": "p", "arguments": {"a": "b"}}),
            json!({"description": "d", "messages": [{"role": "user", "content": {"type": "text", "text": "t"}}]}),
        ),
        mcp(
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "v"}}),
            json!({"completion": {"values": ["v"], "total": 1}}),
        ),
        mcp(
            "tools/call",
            json!({"name": "t"}),
            json!({"resultType": "input_required", "requestState": "s", "inputRequests": {
            "a": {"method": "elicitation/create", "params": {"message": "m", "requestedSchema": {"type": "object"}}},
            "b": {"method": "sampling/createMessage", "params": {"messages": [{"role": "user", "content": [
                {"type": "tool_use", "id": "i", "name": "n", "input": {"a": "b"}},
                {"type": "tool_result", "toolUseId": "i", "content": [{"type": "text", "text": "r"}]}]}],
                "tools": [{"name": "n"}], "systemPrompt": "s"}}}}),
        ),
        (
            route("mcp", "message"),
            json!({"jsonrpc": "2.0", "id": 0, "result": {"role": "assistant", "model": "m",
            "content": {"type": "text", "text": "t"}}}),
            json!({}),
        ),
        (
            route("mcp", "message"),
            json!([rpc("ping", json!({})), {"jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": {"requestId": 1, "reason": "r"}}]),
            json!([answer(json!({})), {"jsonrpc": "2.0", "id": 2, "error": {"code": 1, "message": "m", "data": {"d": 1}}}]),
        ),
        (
            route("mcp", "message"),
            rpc("vendor/x", json!({"a": {"b": "c"}})),
            answer(json!({"d": ["e"]})),
        ),
        (
            route("a2a", "message"),
            rpc(
                "SendMessage",
                json!({"message": message, "configuration": {"blocking": true,
            "pushNotificationConfig": {"url": "https://x", "token": "t"}}}),
            ),
            answer(json!({"task": task})),
        ),
        (
            route("a2a", "message"),
            rpc("tasks/get", json!({"id": "t"})),
            answer(task.clone()),
        ),
        (
            route("a2a", "message.send"),
            json!({"request": message}),
            json!({"message": message}),
        ),
        (route("a2a", "tasks.get"), json!({}), task),
        (
            route("a2a", "agent.card"),
            json!({}),
            json!({"name": "n", "skills": [{"id": "i", "description": "d"}]}),
        ),
        (
            route("generic", "generic"),
            json!({"a": {"b": ["c"]}}),
            json!({"d": 1}),
        ),
    ]
}

/// Everything that events tell of, in an order of its own.
fn texts_of(json: &JsonBody<'_>, reading: &Reading) -> Vec<String> {
    let mut all: Vec<String> = reading
        .events
        .iter()
        .flat_map(|event| {
            event.texts.clone().map(|number| {
                let text = &reading.texts[usize::try_from(number).unwrap()];
                let value = json.value(text.place).unwrap();
                let said = value
                    .text()
                    .unwrap_or_else(|| value.number().unwrap_or_default().into());
                format!("{:?} {:?} {:?} {said}", event.kind, event.part, event.tool)
            })
        })
        .chain(reading.events.iter().map(|event| {
            format!(
                "{:?} {:?} {:?} {:?}",
                event.kind, event.tool, event.opacity, event.ok
            )
        }))
        .collect();
    all.sort();
    all
}

fn read(
    route: &Route,
    body: &[u8],
    context: Option<&RequestContext>,
) -> Result<Vec<String>, Problem> {
    let (json, reading) = match context {
        None => read_request(route, body, BOUNDS)?,
        Some(context) => read_response(route.protocol, context, body, BOUNDS)?,
    };
    assert!(
        reading
            .events
            .iter()
            .all(|event| json.value(event.at).is_some())
    );
    match reading.problems.first() {
        Some(problem) => Err(problem.clone()),
        None => Ok(texts_of(&json, &reading)),
    }
}

fn context(route: &Route, request: &Json) -> RequestContext {
    let mut context = RequestContext::at(route.endpoint.clone());
    let body = request.to_string();
    let (_, reading) = read_request(route, body.as_bytes(), BOUNDS).unwrap();
    context.learn(&reading);
    context
}

/// Objects in a value, counted from the outside.
fn objects(value: &Json) -> usize {
    match value {
        Json::Object(members) => 1 + members.values().map(objects).sum::<usize>(),
        Json::Array(elements) => elements.iter().map(objects).sum(),
        _ => 0,
    }
}

/// Puts a member into the object of that number.
fn plant(value: &mut Json, number: &mut usize, key: &str, planted: &Json) {
    match value {
        Json::Object(members) => {
            if *number == 0 {
                members.insert(key.to_owned(), planted.clone());
            }
            *number = number.wrapping_sub(1);
            for member in members.values_mut() {
                plant(member, number, key, planted);
            }
        }
        Json::Array(elements) => {
            for element in elements {
                plant(element, number, key, planted);
            }
        }
        _ => {}
    }
}

fn reversed(value: &Json) -> Json {
    match value {
        Json::Object(members) => {
            let turned: Map<String, Json> = members
                .iter()
                .rev()
                .map(|(key, member)| (key.clone(), reversed(member)))
                .collect();
            Json::Object(turned)
        }
        Json::Array(elements) => elements.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_text_in_a_member_that_nobody_knows_is_told_of_wherever_it_stands() {
    for (route, request, answer) in bodies() {
        let context = context(&route, &request);
        for (body, context) in [(&request, None), (&answer, Some(&context))] {
            for number in 0..objects(body) {
                for planted in [json!(MARK), json!({"deep": [MARK]}), json!({MARK: 1})] {
                    let mut body = body.clone();
                    plant(&mut body, &mut number.clone(), "zz", &planted);
                    // In a map of the other side's own keys it is a value of the wrong type.
                    let Ok(texts) = read(&route, body.to_string().as_bytes(), context) else {
                        continue;
                    };
                    assert!(
                        texts.iter().any(|text| text.ends_with(MARK)),
                        "{route:?} object {number}: {body}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_order_of_keys_changes_nothing() {
    for (route, request, answer) in bodies() {
        let context = context(&route, &request);
        for (body, context) in [(&request, None), (&answer, Some(&context))] {
            let plain = read(&route, body.to_string().as_bytes(), context).unwrap();
            let turned = read(&route, reversed(body).to_string().as_bytes(), context).unwrap();
            assert_eq!(plain, turned, "{route:?} {body}");
        }
    }
}

#[test]
fn a_member_of_another_type_is_a_problem_or_told_of_and_never_skipped() {
    for (route, request, answer) in bodies() {
        let context = context(&route, &request);
        for (body, context) in [(&request, None), (&answer, Some(&context))] {
            for pointer in pointers(body) {
                for wrong in [json!(MARK), json!([MARK]), json!({"x": MARK})] {
                    let mut body = body.clone();
                    *body.pointer_mut(&pointer).unwrap() = wrong;
                    let Ok(texts) = read(&route, body.to_string().as_bytes(), context) else {
                        continue;
                    };
                    let is_found = texts.iter().any(|text| text.ends_with(MARK));
                    assert!(
                        is_found || is_identifier(&pointer),
                        "{route:?} {pointer}: {body}"
                    );
                }
            }
        }
    }
}

/// Members that hold identifiers, names that are compared, and media: no prose is looked for in them.
fn is_identifier(pointer: &str) -> bool {
    let last = pointer
        .rsplit('/')
        .find(|part| part.parse::<u32>().is_err());
    matches!(
        last,
        Some(
            "id" | "method"
                | "name"
                | "cursor"
                | "nextCursor"
                | "requestState"
                | "progressToken"
                | "protocolVersion"
                | "data"
                | "blob"
                | "toolUseId"
                | "messageId"
                | "contextId"
                | "artifactId"
                | "raw"
                | "requestId"
                | "token"
                | "taskId"
        )
    )
}

fn pointers(value: &Json) -> Vec<String> {
    let mut all = Vec::new();
    let mut step = |name: String, inner: &Json| {
        all.push(format!("/{name}"));
        all.extend(pointers(inner).iter().map(|rest| format!("/{name}{rest}")));
    };
    match value {
        Json::Object(members) => {
            for (key, inner) in members {
                step(key.replace('~', "~0").replace('/', "~1"), inner);
            }
        }
        Json::Array(elements) => {
            for (at, inner) in elements.iter().enumerate() {
                step(at.to_string(), inner);
            }
        }
        _ => {}
    }
    all
}

#[test]
fn hostile_bodies_take_linear_time() {
    let many = |n: usize, item: &dyn Fn(usize) -> String| {
        let items: Vec<String> = (0..n).map(item).collect();
        items.join(",")
    };
    let n = 30_000;
    let ping = |id: usize| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    let text = |_: usize| r#"{"type":"text","text":"x"}"#.to_owned();
    let cases: Vec<(Route, String, Option<String>)> = vec![
        (
            route("mcp", "message"),
            format!("[{}]", many(n, &ping)),
            None,
        ),
        (
            route("mcp", "message"),
            format!("[{}]", many(n, &ping)),
            Some(format!(
                "[{}]",
                many(n, &|id| format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{"x":"y"}}}}"#
                ))
            )),
        ),
        (
            route("mcp", "message"),
            ping(1),
            Some(format!(
                r#"{{"id":1,"result":{{"content":[{}]}}}}"#,
                many(n, &text)
            )),
        ),
        (
            route("mcp", "message"),
            ping(1),
            Some(format!(
                r#"{{"id":1,"result":{{"tools":[{}]}}}}"#,
                many(n, &|at| format!(r#"{{"name":"t{at}","x":{{}}}}"#))
            )),
        ),
        (
            route("mcp", "message"),
            ping(1),
            Some(format!(
                r#"{{"id":1,"result":{{"inputRequests":{{{}}}}}}}"#,
                many(n, &|at| format!(
                    r#""k{at}":{{"method":"roots/list","z":"z"}}"#
                ))
            )),
        ),
        (
            route("mcp", "message"),
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{{"a":[{}]}}}}}}"#,
                many(n, &|_| r#""x""#.to_owned())
            ),
            None,
        ),
        (
            route("a2a", "message.send"),
            format!(
                r#"{{"message":{{"role":"user","parts":[{}]}}}}"#,
                many(n, &text)
            ),
            None,
        ),
        (
            route("generic", "generic"),
            format!("[{}]", many(n, &text)),
            None,
        ),
    ];
    for (mut route, request, answer) in cases {
        route.endpoint.headers = vec![("mcp-param-x".into(), b"x".as_slice().into())];
        let (_, reading) = read_request(&route, request.as_bytes(), BOUNDS).unwrap();
        let mut context = RequestContext::at(route.endpoint.clone());
        context.learn(&reading);
        if let Some(answer) = &answer {
            read_response(route.protocol, &context, answer.as_bytes(), BOUNDS).unwrap();
        }
    }
}

/// JSON out of the words of these protocols.
fn any_json() -> impl Strategy<Value = Json> {
    let word = prop_oneof![
        Just("jsonrpc"),
        Just("id"),
        Just("method"),
        Just("params"),
        Just("result"),
        Just("error"),
        Just("name"),
        Just("arguments"),
        Just("content"),
        Just("structuredContent"),
        Just("type"),
        Just("text"),
        Just("tools"),
        Just("inputRequests"),
        Just("inputResponses"),
        Just("requestState"),
        Just("messages"),
        Just("role"),
        Just("parts"),
        Just("task"),
        Just("history"),
        Just("status"),
        Just("message"),
        Just("resource"),
        Just("blob"),
        Just("mimeType"),
        Just("_meta"),
        Just("uri"),
        Just("input"),
        Just("data"),
        Just("contents"),
        Just("Name"),
        Just("x"),
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(1)),
        Just(json!(1.5)),
        Just(json!("2.0")),
        Just(json!("tools/call")),
        Just(json!("tools/list")),
        Just(json!("SendMessage")),
        Just(json!("tool_use")),
        Just(json!("tool_result")),
        Just(json!("text/plain")),
        Just(json!("aGk=")),
        Just(json!("{\"a\":1}")),
        "[a-z]{0,3}".prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(word.clone(), inner, 0..6).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_body_makes_a_reader_panic_and_every_denial_of_it_is_json(request in any_json(), answer in any_json()) {
        for (route, _, _) in bodies() {
            let sent = request.to_string();
            let (json, reading) = read_request(&route, sent.as_bytes(), BOUNDS).unwrap();
            drop(json);
            let mut context = RequestContext::at(route.endpoint.clone());
            context.learn(&reading);
            let came = answer.to_string();
            let (json, reading) = read_response(route.protocol, &context, came.as_bytes(), BOUNDS).unwrap();
            for is_answer in [false, true] {
                let denial = Denial { status: 400, code: "AG3001", reason: "No.".to_owned(), is_answer, ..Denial::default() };
                let body = route.protocol.denial_reply(&denial, &context).body;
                prop_assert!(body.is_empty() || serde_json::from_slice::<Json>(&body).is_ok());
                let body = route.protocol.denied_response(&denial, &context);
                prop_assert!(body.is_empty() || serde_json::from_slice::<Json>(&body).is_ok());
            }
            // Whatever is taken out, what is left is JSON.
            let mut removals = Removals::default();
            for event in &reading.events {
                match route.protocol.removal(event.kind) {
                    RemovalMethod::Offer => removals.offers.push(event.at),
                    RemovalMethod::Message => {
                        let denial = Denial { code: "AG3001", ..Denial::default() };
                        if removals.denials.iter().all(|(choice, _)| *choice != event.choice) {
                            removals.denials.push((event.choice, denial));
                        }
                    }
                    _ => {}
                }
            }
            let mut edits = Edits::default();
            if remove_from_response(route.protocol, &json, &context, &removals, &mut edits).is_ok() {
                let edited = crate::wire::edit::apply(came.as_bytes(), &json.flatten(edits));
                prop_assert!(serde_json::from_slice::<Json>(&edited).is_ok(), "{}", String::from_utf8_lossy(&edited));
            }
        }
    }
}

#[test]
fn every_protocol_has_a_name_that_policies_may_write() {
    let mut names: Vec<&str> = Vec::new();
    // Chat bodies at Vertex AI's own paths are a protocol of their own with the name of what they hold.
    for name in all().map(|protocol| protocol.name()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    assert_eq!(
        names.as_slice(),
        crate::event::PROTOCOL_NAMES,
        "src/event/names.rs has the names of `PROTOCOLS` in its order"
    );
    for name in names {
        assert_eq!(named(name).unwrap().name(), name);
    }
}

#[test]
fn every_protocol_says_what_it_judges() {
    for protocol in all() {
        assert!(
            responses_of(protocol).next().is_some(),
            "{}",
            protocol.name()
        );
    }
}
