//! Agents that run at their provider: what a client sends to a session, and what comes back, at OpenAI and at Anthropic.

use super::{answered_in, asked_in, exchange, guard, json, received, route, sent, texts, tool};
use agentguard::event::{Event, Kind, Known, Reading};
use agentguard::flow::simulation::HttpMessage;
use agentguard::protocol::Route;
use agentguard::wire::json::JsonBody;
use serde_json::{Value, json};

const ANTHROPIC: &[(&str, &str)] = &[("anthropic-version", "2023-06-01")];

fn openai(method: &str, path: &str) -> Route {
    route(method, "api.openai.com", path, &[]).unwrap_or_else(|| panic!("{path}"))
}

fn anthropic(method: &str, path: &str) -> Route {
    route(method, "llm.example", path, ANTHROPIC).unwrap_or_else(|| panic!("{path}"))
}

fn headers_for(host: &str) -> &'static [(&'static str, &'static str)] {
    match host {
        "api.openai.com" => &[],
        _ => ANTHROPIC,
    }
}

/// Returns the events of a body: kind, tool, `*` for what the provider runs, and texts.
fn told((body, reading): &(JsonBody<'_>, Reading)) -> Vec<String> {
    let shown = |event: &&Event| !event.is_duplicate;
    let events = reading.events.iter().filter(shown).map(|event| {
        let run = if event.provider_run { "*" } else { "" };
        let texts = texts(event, body, reading).join("|");
        match event.kind {
            Kind::Request => "request".to_owned(),
            Kind::ToolOffer | Kind::ToolCall | Kind::ToolResult => {
                format!("{:?}{run} {} {texts}", event.kind, tool(event))
            }
            Kind::Message => format!("{:?} {:?} {texts}", event.kind, event.from),
            kind => format!("{kind:?} {texts}"),
        }
    });
    events.collect()
}

fn asked(route: &Route, body: &Value) -> Vec<String> {
    told(&asked_in(route, &body.to_string()))
}

fn answered(route: &Route, body: &Value) -> Vec<String> {
    told(&answered_in(route, &body.to_string()))
}

fn models(route: &Route, body: &Value) -> (Vec<String>, bool) {
    let body = body.to_string();
    let (_, reading) = asked_in(route, &body);
    let names = reading.models.names.iter().map(ToString::to_string);
    (names.collect(), reading.models.unknown)
}

#[test]
fn the_agent_of_a_session_has_its_model_instructions_and_tools() {
    let tools = json!([{"type": "function", "name": "find", "description": "Finds", "parameters": {"type": "object"}},
        {"type": "mcp", "server_label": "crm", "allowed_tools": ["lookup"],
            "transport": {"type": "http", "server_url": "https://crm.example/mcp"}},
        {"type": "web_search"}]);
    let agent = json!({"model": "gpt-6", "instructions": "Be brief.", "tools": tools});
    let create = openai("POST", "/v1/agents/sessions");
    let body = json!({"agent": agent, "environment": {"type": "none"}, "input": "hi", "vault_ids": ["v_1"]});
    assert_eq!(
        asked(&create, &body),
        [
            "Message Is(System) Be brief.",
            "ToolOffer find Finds|type|object",
            "Message Is(System) crm",
            "Message Is(System) https://crm.example/mcp",
            "ToolOffer* mcp ",
            "ToolOffer* web_search ",
            "Message Is(User) hi",
            "request",
        ]
    );
    assert_eq!(models(&create, &body), (vec!["gpt-6".to_owned()], false));

    let tools = json!([{"type": "custom", "name": "find", "description": "Finds", "input_schema": {"type": "object"}},
        {"type": "mcp_toolset", "mcp_server_name": "crm", "default_config": {"enabled": false}, "configs": [{"name": "lookup"}]},
        {"type": "agent_toolset_20260401", "configs": [{"name": "bash", "enabled": false}]}]);
    let agent = json!({"name": "a", "model": {"id": "claude-opus-5", "speed": "fast"}, "system": "Be brief.", "tools": tools,
        "mcp_servers": [{"type": "url", "name": "crm", "url": "https://crm.example/mcp"}]});
    let create = anthropic("POST", "/v1/agents?beta=true");
    assert_eq!(
        models(&create, &agent),
        (vec!["claude-opus-5".to_owned()], false)
    );
    let read = asked(&create, &agent);
    for expected in [
        "Message Is(System) Be brief.",
        "ToolOffer find Finds|type|object",
        "ToolOffer* mcp_toolset ",
        "ToolOffer* agent_toolset_20260401 ",
        "Message Is(System) https://crm.example/mcp",
    ] {
        assert!(
            read.contains(&expected.to_owned()),
            "{expected} in {read:?}"
        );
    }
    // What the provider may call: what is on in each toolset.
    let text = agent.to_string();
    let (_, reading) = asked_in(&create, &text);
    let mut may_call: Vec<&str> = reading
        .events
        .iter()
        .filter(|event| event.kind == Kind::ToolCall && event.is_duplicate)
        .map(tool)
        .collect();
    may_call.sort_unstable();
    may_call.dedup();
    assert_eq!(
        may_call,
        [
            "agent_toolset_20260401",
            "crm",
            "edit",
            "glob",
            "grep",
            "lookup",
            "mcp_servers",
            "mcp_toolset",
            "read",
            "web_fetch",
            "web_search",
            "write",
        ]
    );
}

#[test]
fn an_agent_that_is_kept_has_a_model_that_the_request_does_not_contain() {
    let bodies = [
        (
            openai("POST", "/v1/agents/sessions"),
            json!({"agent_id": "a_1", "environment": {"type": "none"}, "input": "hi"}),
        ),
        (
            openai("POST", "/v1/agents/sessions/s_1/events"),
            json!({"events": []}),
        ),
        (
            anthropic("POST", "/v1/sessions"),
            json!({"agent": "agent_1", "environment_id": "e_1"}),
        ),
        (
            anthropic("POST", "/v1/sessions"),
            json!({"agent": {"type": "agent", "id": "agent_1", "version": 2}, "environment_id": "e_1"}),
        ),
        (
            anthropic("POST", "/v1/sessions/s_1/events"),
            json!({"events": []}),
        ),
    ];
    for (route, body) in &bodies {
        assert_eq!(models(route, body), (vec![], true), "{body}");
    }
    let (route, mut body) = (&bodies[0].0, bodies[0].1.clone());
    body["agent"] = json!({"model": "gpt-6"});
    assert_eq!(models(route, &body), (vec!["gpt-6".to_owned()], false));
}

#[test]
fn messages_and_results_that_a_client_sends_are_events() {
    let events = json!({"events": [
        {"type": "agent.session.input.message", "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]},
        {"type": "agent.session.input.tool_result", "turn_id": "t_1", "call_id": "c_1", "success": true, "output": "{\"rain\":true}"},
        {"type": "agent.session.input.tool_result", "turn_id": "t_1", "call_id": "c_2", "success": false, "error": "no city",
            "output": [{"type": "input_text", "text": "none"}]},
        {"type": "agent.session.input.cancel"},
    ]});
    let route = openai("POST", "/v1/agents/sessions/s_1/events");
    assert_eq!(
        asked(&route, &events),
        [
            "Message Is(User) hi",
            "ToolResult ? {\"rain\":true}",
            "Message Is(Tool) no city",
            "ToolResult ? none",
            "Uninspectable ",
            "request",
        ]
    );
    let text = events.to_string();
    let (_, reading) = asked_in(&route, &text);
    let results = reading.events.iter();
    let results = results.filter(|event| event.kind == Kind::ToolResult);
    let ok: Vec<&Known<bool>> = results.map(|event| &event.ok).collect();
    assert_eq!(ok, [&Known::Is(true), &Known::Is(false)]);

    let events = json!({"events": [
        {"type": "user.message", "content": [{"type": "text", "text": "hi"}]},
        {"type": "user.custom_tool_result", "custom_tool_use_id": "e_1", "content": [{"type": "text", "text": "rain"}]},
        {"type": "user.tool_result", "tool_use_id": "e_2", "is_error": true, "content": [{"type": "text", "text": "none"}]},
        {"type": "user.tool_confirmation", "tool_use_id": "e_3", "result": "deny", "deny_message": "Not now."},
        {"type": "user.define_outcome", "description": "Ship it.", "rubric": {"type": "text", "content": "It works."}},
        {"type": "user.interrupt"},
    ]});
    assert_eq!(
        asked(&anthropic("POST", "/v1/sessions/s_1/events"), &events),
        [
            "Message Is(User) hi",
            "ToolResult ? rain",
            "ToolResult ? none",
            "Message Is(User) Not now.",
            "Message Is(User) Ship it.",
            "Message Is(User) It works.",
            "Uninspectable ",
            "request",
        ]
    );
}

#[test]
fn calls_and_results_in_lists_are_events() {
    let items = json!({"object": "list", "has_more": false, "data": [
        {"id": "m_1", "type": "message", "role": "assistant", "status": "completed", "turn_id": "t_1",
            "content": [{"type": "output_text", "text": "Rain"}]},
        {"id": "f_1", "type": "function_call", "call_id": "c_1", "name": "find", "arguments": {"city": "Bern"}, "turn_id": "t_1"},
        {"id": "x_1", "type": "command_execution", "command": "rm -r /", "cwd": "/w", "exit_code": 0, "output": "gone", "turn_id": "t_1"},
        {"id": "o_1", "type": "mcp_call", "name": "lookup", "server_label": "crm", "arguments": {"id": 1}, "output": {"a": "b"},
            "error": null, "turn_id": "t_1"},
    ]});
    assert_eq!(
        answered(&openai("GET", "/v1/agents/sessions/s_1/items"), &items),
        [
            "Response Rain",
            "ToolCall find city|Bern",
            "Response /w",
            "Response gone",
            "ToolCall* command_execution rm -r /",
            "ToolResult* command_execution gone",
            "Response a|b",
            "ToolCall* lookup id",
            "ToolResult* lookup a|b",
        ]
    );
    // What a session waits for.
    let session = json!({"id": "s_1", "object": "agent.session", "status": "requires_action", "required_actions": [
        {"type": "function_call", "call_id": "c_1", "turn_id": "t_1", "name": "find", "arguments": {"city": "Bern"}},
        {"type": "mcp_approval_request", "request_id": "r_1", "turn_id": "t_1", "request": {"type": "mcp_tool_call",
            "name": "lookup", "arguments": {"id": 1}, "server_label": "crm", "message": "May I?"}},
        {"type": "environment_connection", "environment_id": "e_1"},
        {"type": "approval", "request": {"arguments": {"id": "swordfish"}}},
        {"type": "approval", "name": "wipe", "request": {}},
    ]});
    assert_eq!(
        answered(&openai("GET", "/v1/agents/sessions/s_1"), &session),
        [
            "ToolCall find city|Bern",
            "Response May I?",
            "ToolCall lookup id",
            "ToolCall ? id|swordfish",
            "ToolCall wipe ",
        ]
    );
    let events = json!({"data": [
        {"id": "e_1", "type": "user.message", "content": [{"type": "text", "text": "hi"}]},
        {"id": "e_2", "type": "agent.message", "content": [{"type": "text", "text": "Rain"}]},
        {"id": "e_3", "type": "agent.custom_tool_use", "name": "find", "input": {"city": "Bern"}},
        {"id": "e_4", "type": "agent.tool_use", "name": "bash", "input": {"command": "ls"}, "evaluated_permission": "allow"},
        {"id": "e_5", "type": "agent.mcp_tool_use", "name": "lookup", "mcp_server_name": "crm", "input": {}, "evaluated_permission": "ask"},
        {"id": "e_6", "type": "agent.tool_result", "tool_use_id": "e_4", "content": [{"type": "text", "text": "a.txt"}]},
    ], "next_page": null});
    assert_eq!(
        answered(&anthropic("GET", "/v1/sessions/s_1/events"), &events),
        [
            "Response hi",
            "Response Rain",
            "ToolCall find city|Bern",
            "ToolCall* bash command|ls",
            "ToolCall lookup ",
            "Response a.txt",
            "ToolResult* ? a.txt",
        ]
    );
}

#[test]
fn a_denied_tool_reaches_a_session_neither_as_a_definition_nor_as_a_call() {
    let rules = "rules:
  - { id: no-wiping, match: { event: [tool_offer, tool_call], tool: wipe }, action: deny, reason: No wiping. }
";
    let guard = guard(rules);
    let tried = |method: &str, host: &str, path: &str, question: &Value, answer: &Value| {
        let headers = headers_for(host);
        let question = if question.is_null() {
            String::new()
        } else {
            question.to_string()
        };
        let request = sent(method, host, path, headers, &question);
        let seen = exchange(&guard, &request, &received("200", &answer.to_string()));
        let told = json(&seen.client);
        assert!(told.to_string().contains("No wiping."), "{path}: {told}");
        assert!(!told.to_string().contains("everything"), "{path}: {told}");
    };
    let (openai, llm) = ("api.openai.com", "llm.example");
    tried(
        "POST",
        openai,
        "/v1/agents/sessions",
        &json!({"agent": {"model": "m", "tools": [{"type": "function", "name": "wipe"}]}, "environment": {"type": "none"}, "input": "hi"}),
        &json!({}),
    );
    tried(
        "POST",
        llm,
        "/v1/agents",
        &json!({"model": "m", "name": "a", "tools": [{"type": "custom", "name": "wipe", "input_schema": {}}]}),
        &json!({}),
    );
    let call = json!({"type": "function_call", "call_id": "c", "turn_id": "t", "name": "wipe", "arguments": {"what": "everything"}});
    tried(
        "GET",
        openai,
        "/v1/agents/sessions/s_1/items",
        &Value::Null,
        &json!({"data": [call]}),
    );
    tried(
        "GET",
        openai,
        "/v1/agents/sessions/s_1",
        &Value::Null,
        &json!({"id": "s_1", "required_actions": [call]}),
    );
    tried(
        "GET",
        llm,
        "/v1/sessions/s_1/events",
        &Value::Null,
        &json!({"data": [{"id": "e", "type": "agent.custom_tool_use", "name": "wipe", "input": {"what": "everything"}}]}),
    );
}

#[test]
fn what_a_client_sends_to_a_session_is_redacted() {
    let rules = "rules:
  - { id: mail, match: { event: [message, tool_result] }, when: { text: { detects: email } }, action: redact }
";
    let guard = guard(rules);
    let sent_on = |host: &str, path: &str, question: &Value| {
        let request = sent("POST", host, path, headers_for(host), &question.to_string());
        let seen = exchange(&guard, &request, &received("200", "{}"));
        json(&seen.upstream.unwrap())
    };
    let events = sent_on(
        "api.openai.com",
        "/v1/agents/sessions/s_1/events",
        &json!({"events": [
        {"type": "agent.session.input.message", "input": [{"role": "user", "content": [{"type": "input_text", "text": "I am a@b.example"}]}]},
        {"type": "agent.session.input.tool_result", "turn_id": "t", "call_id": "c", "success": true, "output": "c@d.example"}]}),
    );
    assert_eq!(
        events["events"][0]["input"][0]["content"][0]["text"],
        "I am [EMAIL]"
    );
    assert_eq!(events["events"][1]["output"], "[EMAIL]");
    let events = sent_on(
        "llm.example",
        "/v1/sessions/s_1/events",
        &json!({"events": [
        {"type": "user.message", "content": [{"type": "text", "text": "I am a@b.example"}]},
        {"type": "user.custom_tool_result", "custom_tool_use_id": "e", "content": [{"type": "text", "text": "c@d.example"}]}]}),
    );
    assert_eq!(events["events"][0]["content"][0]["text"], "I am [EMAIL]");
    assert_eq!(events["events"][1]["content"][0]["text"], "[EMAIL]");
}

#[test]
fn a_header_of_anthropic_s_does_not_change_how_another_provider_s_bodies_are_read() {
    let name = |host: &str, path: &str| {
        let route = route("POST", host, path, ANTHROPIC);
        route.map(|route| route.protocol.name())
    };
    for (host, path, expected) in [
        (
            "api.openai.com",
            "/v1/agents/sessions/s_1/events",
            "openai.other",
        ),
        ("api.openai.com", "/v1/agents", "openai.other"),
        ("api.openai.com", "/v1/threads/t_1/messages", "openai.other"),
        ("api.mistral.ai", "/v1/agents", "openai.other"),
        (
            "x.services.ai.azure.com",
            "/api/projects/p/agents",
            "openai.other",
        ),
        (
            "x.services.ai.azure.com",
            "/anthropic/v1/sessions",
            "anthropic.sessions",
        ),
        ("llm.example", "/v1/sessions", "anthropic.sessions"),
        ("llm.example", "/v1/agents/ag_1", "anthropic.sessions"),
        (
            "llm.example",
            "/v1/agents/sessions/s_1/events",
            "openai.other",
        ),
        ("llm.example", "/v1/agents/automations", "openai.other"),
        ("api.anthropic.com", "/v1/files", "anthropic.other"),
        (
            "gateway.ai.cloudflare.com",
            "/v1/a/g/anthropic/v1/files",
            "anthropic.other",
        ),
    ] {
        assert_eq!(name(host, path), Some(expected), "{host}{path}");
    }
}

#[test]
fn every_part_of_a_session_can_be_fetched() {
    for path in [
        "sessions/s_1/subagents/a_1",
        "sessions/s_1/subagents/a_1/turns/t_1",
        "sessions/s_1/traces",
        "sessions/s_1/artifacts",
        "sessions/s_1/artifacts/a_1",
        "sessions/s_1/artifacts/a_1/content",
        "automations/a_1/invocations/i_1",
        "environments/templates/e_1",
    ] {
        let route = openai("GET", &format!("/v1/agents/{path}"));
        assert_eq!(route.protocol.name(), "openai.other", "{path}");
    }
}

#[test]
fn a_live_session_is_opened_past_the_proxy() {
    for path in [
        "/v1/live/sessions",
        "/v1/live/sessions/s_1/accept",
        "/v1/live/sessions/s_1/fork",
    ] {
        let route = openai("POST", path);
        assert_eq!(route.endpoint.code, Some("AG2013"), "{path}");
    }
}

#[test]
fn a_turn_that_was_cancelled_holds_nothing_back() {
    let rules = "rules:
  - { id: no-wiping, match: { tool: wipe }, action: deny, reason: No wiping. }
  - { id: mail, match: { event: response }, when: { text: { detects: email } }, action: redact }
";
    let guard = guard(rules);
    let of = |kind: &str, more: Value| {
        let mut event = json!({"type": kind, "event_id": "ev", "session_id": "s_1", "turn_id": "t_1", "output_index": 0});
        let more = more.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(more);
        event
    };
    let call = json!({"id": "f_1", "type": "function_call", "call_id": "c_1", "name": "find", "arguments": {"city": "Bern"},
        "status": "in_progress", "turn_id": "t_1"});
    let at_openai = [
        of(
            "agent.session.turn.output_text.delta",
            json!({"item_id": "m_1", "content_index": 0, "delta": "Ask a@b.exam"}),
        ),
        of("agent.session.turn.item.added", json!({"item": call})),
        of(
            "agent.session.turn.cancelled",
            json!({"turn": {"id": "t_1", "status": "cancelled"}}),
        ),
    ];
    let at_anthropic = [
        json!({"type": "event_delta", "event_id": "e_1", "delta": {"type": "content_delta", "index": 0,
            "content": {"type": "text", "text": "Ask a@b.exam"}}}),
        json!({"type": "span.model_request_end", "id": "e_2", "model_request_start_id": "e_0", "is_error": true}),
    ];
    for (host, path, events) in [
        (
            "api.openai.com",
            "/v1/agents/sessions/s_1/events",
            &at_openai[..],
        ),
        (
            "llm.example",
            "/v1/sessions/s_1/events/stream",
            &at_anthropic,
        ),
    ] {
        let mut response = HttpMessage::new(
            &[(":status", "200"), ("content-type", "text/event-stream")],
            b"",
        );
        let frames = events.iter().map(|event| format!("data: {event}\n\n"));
        // The session goes on: nothing ends the stream.
        let frames = frames.chain(std::iter::once(": later\n\n".to_owned()));
        response.chunks = frames.map(String::into_bytes).collect();
        let request = sent("GET", host, path, headers_for(host), "");
        let seen = exchange(&guard, &request, &response);
        let (last, before) = seen.client.chunks.split_last().unwrap();
        assert_eq!(last, b": later\n\n", "{path}");
        let before = String::from_utf8(before.concat()).unwrap();
        assert!(before.contains("Ask [EMAIL]"), "{path}: {before}");
    }
}

#[test]
fn the_end_of_a_turn_does_not_end_the_texts_of_another() {
    let rules = "rules:
  - { id: mail, match: { event: response }, when: { text: { detects: email } }, action: redact }
";
    let piece = |turn: u32, delta: &str| {
        json!({"type": "agent.session.turn.output_text.delta", "event_id": "ev", "turn_id": format!("t_{turn}"),
            "item_id": format!("m_{turn}"), "output_index": 0, "content_index": 0, "delta": delta})
    };
    let end = json!({"type": "agent.session.turn.completed", "event_id": "ev", "turn": {"id": "t_1", "status": "completed"}});
    let events = [
        piece(1, "Yes. "),
        piece(2, "Ask a@b.e"),
        end,
        piece(2, "xample now."),
    ];
    let frames = events.map(|event| format!("data: {event}\n\n")).concat();
    let headers = [(":status", "200"), ("content-type", "text/event-stream")];
    let request = sent(
        "GET",
        "api.openai.com",
        "/v1/agents/sessions/s_1/events",
        &[],
        "",
    );
    let response = HttpMessage::new(&headers, frames.as_bytes());
    let seen = exchange(&guard(rules), &request, &response);
    let seen = String::from_utf8(seen.client.body()).unwrap();
    assert!(
        seen.contains("Ask [EMAIL]") && seen.contains(" now."),
        "{seen}"
    );
}

#[test]
fn what_an_automation_starts_has_its_model_messages_and_tools() {
    let create = openai("POST", "/v1/agents/automations");
    let body = json!({"type": "periodic", "name": "daily", "expression": "0 9 * * *", "timezone": "Europe/Zurich",
        "target": {"type": "new_session", "environment": {"type": "none"}, "vault_ids": ["v_1"],
            "agent": {"model": "gpt-6", "instructions": "Be brief.", "tools": [{"type": "function", "name": "find"}]},
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}});
    let read = asked(&create, &body);
    for expected in [
        "Message Is(System) Be brief.",
        "ToolOffer find ",
        "Message Is(User) hi",
    ] {
        assert!(
            read.contains(&expected.to_owned()),
            "{expected} in {read:?}"
        );
    }
    assert_eq!(models(&create, &body), (vec!["gpt-6".to_owned()], false));
    let body = json!({"target": {"type": "existing_session", "session_id": "s_1", "instructions": "Go on."}});
    let read = asked(&openai("POST", "/v1/agents/automations/a_1"), &body);
    assert!(
        read.contains(&"Message Is(System) Go on.".to_owned()),
        "{read:?}"
    );
    assert_eq!(models(&create, &body), (vec![], true));
}

#[test]
fn a_call_whose_name_or_arguments_a_session_withholds_is_one_of_any_tool() {
    let asked = |request: Value| {
        json!({"id": "s_1", "object": "agent.session", "required_actions": [
            {"type": "mcp_approval_request", "request_id": "r_1", "turn_id": "t_1", "request": request}]})
    };
    let route = openai("GET", "/v1/agents/sessions/s_1");
    for (request, expected) in [
        (json!({"type": "mcp_tool_call", "server_label": "crm"}), "?"),
        (
            json!({"type": "mcp_tool_call", "name": null, "arguments": null}),
            "?",
        ),
        (
            json!({"type": "mcp_tool_call", "name": "lookup", "arguments": null}),
            "lookup",
        ),
    ] {
        let text = asked(request).to_string();
        let (_, reading) = answered_in(&route, &text);
        let mut calls = reading.events.iter();
        let call = calls.find(|event| event.kind == Kind::ToolCall).unwrap();
        assert_eq!((tool(call), &call.args), (expected, &Known::Unknown));
        assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    }
}

#[test]
fn an_agent_at_anthropic_names_the_model_that_it_may_ask_and_the_agents_that_it_may_start() {
    let create = anthropic("POST", "/v1/agents");
    for multiagent in [
        json!({"type": "coordinator", "agents": ["ag_1", {"type": "agent", "id": "ag_2", "version": 3}, {"type": "self"},
            {"type": "advisor", "model": "claude-opus-5"}]}),
        json!({"type": "multiagent_20261001", "advisor": {"type": "enabled", "model": "claude-opus-5"}, "workflows": null,
            "subagents": {"type": "enabled", "inline_agents": {"type": "disabled"}, "predefined_agents": ["ag_1", {"type": "agent", "id": "ag_2"}]}}),
    ] {
        let body = json!({"model": "claude-haiku-5", "name": "a", "multiagent": multiagent});
        assert_eq!(
            asked(&create, &body),
            [
                "Message Is(System) a",
                "Uninspectable ",
                "Uninspectable ",
                "request"
            ]
        );
        let (mut names, unknown) = models(&create, &body);
        names.sort();
        assert_eq!(
            (&*names.join(" "), unknown),
            ("claude-haiku-5 claude-opus-5", false)
        );
    }
}

#[test]
fn a_session_at_anthropic_is_given_credentials_that_are_not_text() {
    let body = json!({"agent": "ag_1", "environment_id": "env_1", "resources": [
        {"type": "github_repository", "url": "https://github.com/a/b", "authorization_token": "t_secret", "mount_path": "/w",
            "checkout": {"type": "branch", "name": "main"}},
        {"type": "file", "file_id": "file_1"},
        {"type": "memory_store", "memory_store_id": "ms_1", "access": "read_only", "instructions": "Look here."}]});
    let read = asked(&anthropic("POST", "/v1/sessions"), &body);
    assert!(
        read.contains(&"Message Is(System) Look here.".to_owned()),
        "{read:?}"
    );
    for id in ["t_secret", "file_1", "ms_1"] {
        assert!(!read.concat().contains(id), "{read:?}");
    }
}

#[test]
fn what_agents_tell_one_another_is_redacted_in_lists_and_in_streams() {
    let rules = "rules:
  - { id: mail, match: { event: [response, tool_result] }, when: { text: { detects: email } }, action: redact }
  - { id: no-tasks, match: { event: tool_call, tool: create_subagent }, when: { args.content: { contains: wipe } },
      action: deny, reason: No wiping. }
";
    let guard = guard(rules);
    let said = |text: &str| json!([{"type": "output_text", "text": text, "annotations": []}, {"type": "encrypted_content", "encrypted_content": "YUBiLmV4YW1wbGU="}]);
    let message = json!({"id": "a_1", "type": "agent_message", "sender_agent_id": "ag_1", "recipient_agent_id": "a@b.example", "turn_id": "t_1",
        "content": said("Ask a@b.example")});
    let run = json!({"id": "x_1", "type": "command_execution", "command": "cat", "cwd": null, "exit_code": 0, "output": "a@b.example",
        "status": "completed", "turn_id": "t_1"});
    let task = |text: &str| {
        json!({"id": "t_1", "type": "create_subagent_call", "agent_id": "ag_1", "content": said(text),
            "status": "completed", "turn_id": "t_1"})
    };
    let listed = |item: &Value| {
        let request = sent(
            "GET",
            "api.openai.com",
            "/v1/agents/sessions/s_1/items",
            &[],
            "",
        );
        let list = json!({"object": "list", "data": [item]}).to_string();
        let seen = exchange(&guard, &request, &received("200", &list));
        String::from_utf8(seen.client.body()).unwrap()
    };
    let streamed = |events: &[Value]| {
        let request = sent(
            "GET",
            "api.openai.com",
            "/v1/agents/sessions/s_1/events",
            &[],
            "",
        );
        let frames: String = events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        let headers = [(":status", "200"), ("content-type", "text/event-stream")];
        let seen = exchange(
            &guard,
            &request,
            &HttpMessage::new(&headers, frames.as_bytes()),
        );
        String::from_utf8(seen.client.body()).unwrap()
    };
    let done = |item: &Value| json!({"type": "agent.session.turn.item.done", "event_id": "ev", "turn_id": "t_1", "output_index": 0, "item": item});
    let output = |delta: &str| json!({"type": "agent.output.command_execution_output.delta", "event_id": "ev", "item_id": "x_1", "output_index": 0, "delta": delta});
    for (seen, before) in [
        (listed(&message), "Ask "),
        (streamed(&[done(&message)]), "Ask "),
        (listed(&run), "\"output\":\""),
        (streamed(&[done(&run)]), "\"output\":\""),
        (
            streamed(&[output("See a@b"), output(".example"), done(&run)]),
            "See ",
        ),
        (listed(&task("Ask")), "Ask"),
        (streamed(&[done(&task("Ask"))]), "Ask"),
    ] {
        assert!(!seen.contains("error"), "{seen}");
        let mail = if before == "Ask" { "" } else { "[EMAIL]" };
        assert!(seen.contains(&format!("{before}{mail}")), "{seen}");
    }
    for seen in [
        listed(&task("wipe it")),
        streamed(&[done(&task("wipe it"))]),
    ] {
        assert!(
            seen.contains("No wiping.") && !seen.contains("wipe it"),
            "{seen}"
        );
    }
}

#[test]
fn arguments_in_a_session_may_be_any_json() {
    for arguments in [json!(["a"]), json!(1), json!("a"), json!(null)] {
        let item = json!({"id": "o_1", "type": "mcp_call", "name": "lookup", "server_label": "crm", "arguments": arguments,
            "output": null, "error": null, "status": "completed", "turn_id": "t_1"});
        let text = json!({"object": "list", "data": [item]}).to_string();
        let route = openai("GET", "/v1/agents/sessions/s_1/items");
        let (_, reading) = answered_in(&route, &text);
        assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    }
}
