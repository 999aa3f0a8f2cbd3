//! Tools that come with every request, as those of agents do: they are passed over where the policy has no say on them.

use super::conversations::{FORMATS, Format, Said};
use super::identity::{BETA, KEY};
use super::known_texts::{outcome, outcome_alone};
use super::known_turns::{
    all_of, alone_within, any_policy, any_written, long_conversation, with_fixed_budget, with_text,
};
use super::*;
use crate::protocol::known_tools_passed;

/// Rules that search texts, of tools as well, and one that denies a tool.
const SEARCHING: &str = "
defaults: { action: allow }
rules:
  - { id: mask, match: { event: [message, tool_result] }, when: { text: { detects: [pii, secrets] } }, action: redact }
  - { id: basilisk, match: { event: tool_offer }, when: { text: { contains: 'project basilisk' } }, action: deny }
  - { id: secret, match: { event: tool_offer, tool: read_secret }, action: deny }
";

/// Tool of a client.
#[derive(Clone, Debug)]
struct Tool {
    name: &'static str,
    about: &'static str,
}

impl Tool {
    /// Returns the tool as a format has it.
    fn written(&self, format: &Format) -> Value {
        let (name, about) = (self.name, self.about);
        let about = format!("{about} It takes a while, and nobody knows why. ");
        let id = json!({"type": "string", "description": about});
        let schema = json!({"type": "object", "properties": {"id": id}, "required": ["id"]});
        match format.0 {
            "/v1/chat/completions" => {
                json!({"type": "function", "function": {"name": name, "description": about, "parameters": schema}})
            }
            "/v1/responses" => {
                json!({"type": "function", "name": name, "description": about, "parameters": schema})
            }
            "/v1/messages" => json!({"name": name, "description": about, "input_schema": schema}),
            path if path.starts_with("/model") => {
                json!({"toolSpec": {"name": name, "description": about, "inputSchema": {"json": schema}}})
            }
            _ => {
                json!({"functionDeclarations": [{"name": name, "description": about, "parameters": schema}]})
            }
        }
    }
}

/// Returns tools in which no policy finds anything.
fn plain_tools() -> Vec<Tool> {
    let names = ["search", "list_files", "write_file", "run_tests", "fetch"];
    names
        .map(|name| Tool {
            name,
            about: "Does it.",
        })
        .into()
}

/// Returns a request with tools before the turns or behind them.
fn request_with(format: &Format, tools: &[Value], turns: &[Value], are_first: bool) -> HttpMessage {
    request_of(format, tools, turns, are_first, "red")
}

/// What a request has beside tools and turns.
#[derive(Clone, Debug)]
struct Beside {
    model: &'static str,
    /// Members before the first one of the two, between them and behind them.
    members: [&'static str; 3],
    team: &'static str,
}

/// Members of a body, some of which begin a value or end it.
const MEMBERS: &[&str] = &[
    "",
    "",
    "",
    r#""system":"My card is 4111 1111","#,
    r#""system":"1111 1111, please.","#,
    r#""instructions":"My card is 4111 1111","#,
    r#""systemInstruction":{"parts":[{"text":"My card is 4111 1111"}]},"#,
    r#""prompt":"1111 1111, please.","#,
    r#""previous_response_id":"resp_1","#,
    r#""tool_choice":{"type":"function","name":"read_secret"},"#,
    r#""tool_choice":"required","#,
    r#""response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"description":"1111 1111"}}},"#,
    r#""stream":true,"#,
    r#""models":["m-2"],"#,
    r#""unheard_of":{"model":"m-3","text":"4111 1111 1111 1111"},"#,
];

fn any_beside() -> impl Strategy<Value = Beside> {
    let model = prop::sample::select(vec![
        "m-1",
        "m-2",
        "ghp_Zx81mKq07RtYw3LbNv5Js9Dc2Fh6Gp4TaQe0",
    ]);
    let members = prop::sample::subsequence(MEMBERS, 3);
    let team = prop::sample::select(vec!["red", "blue"]);
    (model, members.prop_shuffle(), team).prop_map(|(model, members, team)| Beside {
        model,
        members: [members[0], members[1], members[2]],
        team,
    })
}

/// Returns the request of a team.
fn request_of(
    format: &Format,
    tools: &[Value],
    turns: &[Value],
    are_first: bool,
    team: &'static str,
) -> HttpMessage {
    let beside = Beside {
        model: "m-1",
        members: [""; 3],
        team,
    };
    request_beside(format, tools, turns, are_first, &beside)
}

/// Returns a request with tools and turns among other members.
fn request_beside(
    format: &Format,
    tools: &[Value],
    turns: &[Value],
    are_first: bool,
    beside: &Beside,
) -> HttpMessage {
    let (path, host, member, _) = format;
    let is_named = !path.starts_with("/v1beta") && !path.starts_with("/model");
    let model = match is_named {
        true => format!(r#""model":"{}","#, beside.model),
        false => String::new(),
    };
    let tools = Value::Array(tools.to_vec());
    let tools = match path.starts_with("/model") {
        true => format!(r#""toolConfig":{{"tools":{tools}}}"#),
        false => format!(r#""tools":{tools}"#),
    };
    let turns = format!(r#""{member}":{}"#, Value::Array(turns.to_vec()));
    let [first, last] = match are_first {
        true => [&tools, &turns],
        false => [&turns, &tools],
    };
    let padding = "-".repeat(1_024);
    let [before, between, behind] = beside.members;
    let body = format!(
        r#"{{{model}{before}{first},{between}{last},{behind}"metadata":{{"padding":"{padding}"}}}}"#
    );
    let headers = [
        (":method", "POST"),
        (":path", path),
        (":authority", host),
        ("content-type", "application/json"),
        ("x-request-id", "r-1"),
        ("x-team", beside.team),
        ("x-agent-key", if beside.team == "red" { KEY } else { BETA }),
    ];
    HttpMessage::new(&headers, body.as_bytes())
}

fn turns(format: &Format, count: usize) -> Vec<Value> {
    let turns = long_conversation("it", count);
    turns.iter().map(format.3).collect()
}

fn written(format: &Format, tools: &[Tool]) -> Vec<Value> {
    tools.iter().map(|tool| tool.written(format)).collect()
}

/// Sends a request, and returns how many tools were passed over.
fn passed(guard: &Rc<Guard>, request: &HttpMessage) -> usize {
    let before = known_tools_passed();
    let _ = outcome(guard, request);
    known_tools_passed() - before
}

#[test]
fn tools_that_come_a_third_time_are_passed_over_in_every_format() {
    for format in &FORMATS {
        let guard = guard(SEARCHING);
        let tools = written(format, &plain_tools());
        for (time, expected) in [(1, 0), (2, 0), (3, 5), (4, 5), (5, 5)] {
            let turns = turns(format, 4 * time);
            let request = request_with(format, &tools, &turns, time % 2 == 0);
            assert_eq!(passed(&guard, &request), expected, "{} {time}", format.0);
        }
    }
}

#[test]
fn a_tool_on_which_a_rule_has_a_say_is_read_each_time() {
    for format in &FORMATS {
        let guard = guard(SEARCHING);
        let mut tools = plain_tools();
        tools[1].name = "read_secret";
        tools[3].about = "Helps with project basilisk.";
        let tools = written(format, &tools);
        let request = request_with(format, &tools, &turns(format, 4), true);
        for _ in 0..5 {
            let seen = outcome(&guard, &request).1;
            assert_eq!(seen["rules"].as_array().unwrap().len(), 2, "{}", format.0);
        }
        assert_eq!(passed(&guard, &request), 3, "{}", format.0);
    }
}

#[test]
fn a_rule_that_asks_only_for_what_a_tool_says_lets_the_others_be_passed_over() {
    const DEFINITIONS: &str = "
defaults: { action: allow }
rules:
  - { id: orders, match: { event: tool_offer }, when: { definition: { detects: [instruction_override, credit_card], contains_any: ['<system'] } }, action: deny }
  - { id: basilisk, match: { event: tool_offer }, when: { any: [{ definition: { contains: 'project basilisk' } }, { definition: { matches: 'bas[il]+isk' } }] }, action: tag, tags: [basilisk] }
  - { id: long, match: { event: tool_offer, tool: [search, fetch] }, when: { text: { length_at_least: 100000 } }, action: deny }
";
    for format in &FORMATS {
        let guard = guard(DEFINITIONS);
        let mut tools = plain_tools();
        tools[1].about = "Pays with 4111 1111 1111 1111.";
        tools[3].about = "Helps with project basilisk.";
        let tools = written(format, &tools);
        let request = request_with(format, &tools, &turns(format, 4), true);
        let alone = outcome_alone(DEFINITIONS, &request);
        assert_eq!(alone.1["tags"][0], "basilisk");
        assert!(alone.1["findings"]["credit_card"].as_u64() > Some(0));
        for _ in 0..5 {
            assert_eq!(outcome(&guard, &request), alone, "{}", format.0);
            let work = 1 << 40;
            let alone = || all_of(&self::guard(DEFINITIONS), &request, work);
            let alone = std::thread::scope(|scope| scope.spawn(alone).join().unwrap());
            assert_eq!(all_of(&guard, &request, work), alone, "{}", format.0);
        }
        assert_eq!(passed(&guard, &request), 3, "{}", format.0);
    }
}

#[test]
fn the_names_of_known_tools_are_known_to_rules_in_their_order() {
    const NAMES: &str = "
defaults: { action: allow }
rules:
  - { id: named, match: { event: request }, when: { request.tools: { in: [run_tests] } }, action: tag, tags: [named] }
";
    for format in &FORMATS {
        let guard = guard(NAMES);
        let tools = written(format, &plain_tools());
        for others in [0, 0, 0, 1, 2, 3] {
            let request = request_with(format, &tools[others..], &turns(format, 4), true);
            let alone = outcome_alone(NAMES, &request);
            assert_eq!(alone.1["tags"][0], "named");
            assert_eq!(outcome(&guard, &request), alone, "{}", format.0);
        }
        assert!(known_tools_passed() > 0);
    }
}

#[test]
fn another_policy_evaluates_the_same_tools_again() {
    let format = &FORMATS[0];
    let tools = written(format, &plain_tools());
    let request = request_with(format, &tools, &turns(format, 4), true);
    let lenient = guard(SEARCHING);
    for _ in 0..4 {
        let _ = outcome(&lenient, &request);
    }
    let strict = guard(&SEARCHING.replace("read_secret", "fetch"));
    for _ in 0..3 {
        assert_eq!(outcome(&strict, &request).1["rules"][0]["id"], "secret");
    }
    // Two policies in turn stay as they are.
    for _ in 0..3 {
        assert_eq!(outcome(&lenient, &request).1["decision"], "allow");
        assert_eq!(outcome(&strict, &request).1["decision"], "deny");
    }
}

/// Which tools are hidden depends on what the caller may call.
#[test]
fn tools_are_hidden_from_one_caller_and_not_from_another() {
    const HIDING: &str = "
defaults: { action: deny, request: allow, tool_offer: hide }
rules:
  - { id: red, match: { tool: search }, when: { header.x-team: red }, action: allow }
";
    for format in &FORMATS {
        let guard = guard(HIDING);
        let tools = written(format, &plain_tools());
        for team in ["red", "blue", "red", "blue", "red", "blue", "red", "blue"] {
            let request = request_of(format, &tools, &turns(format, 4), true, team);
            let alone = outcome_alone(HIDING, &request);
            assert_eq!(outcome(&guard, &request), alone, "{} {team}", format.0);
        }
    }
}

/// The definitions of tools end what is read together, whether they are passed over or not.
#[test]
fn texts_before_and_behind_known_tools_are_read_apart() {
    let format = &FORMATS[2];
    let tools = Value::Array(written(format, &plain_tools())).to_string();
    let system = r#""system":"My card is 4111 1111""#;
    let turns = r#""messages":[{"role":"system","content":"1111 1111, please."},{"role":"user","content":"Do it."}]"#;
    let padding = format!(r#""metadata":{{"padding":"{}"}}"#, "-".repeat(1_024));
    for body in [
        format!(r#"{{"model":"m-1",{system},"tools":{tools},{turns},{padding}}}"#),
        format!(r#"{{"model":"m-1","tools":{tools},{system},{turns},{padding}}}"#),
    ] {
        let request = with_text(format, &body);
        let alone = outcome_alone(SEARCHING, &request);
        let guard = guard(SEARCHING);
        for _ in 0..5 {
            assert_eq!(outcome(&guard, &request), alone, "{body}");
        }
    }
    assert!(known_tools_passed() > 0);
}

/// A tool may name a model, which is then one of the request's, even if the request named it before.
#[test]
fn a_model_that_a_known_tool_names_is_one_of_the_request() {
    const MODELS: &str = "
defaults: { action: allow }
rules:
  - { id: dear, match: { event: request, model: m-2 }, action: tag, tags: [dear] }
";
    let format = &FORMATS[2];
    let mut tools = written(format, &plain_tools());
    for tool in &mut tools {
        tool["model"] = json!("m-2");
    }
    let with_model = |model| {
        let beside = Beside {
            model,
            members: [""; 3],
            team: "red",
        };
        request_beside(format, &tools, &turns(format, 4), true, &beside)
    };
    let guard = guard(MODELS);
    for model in ["m-2", "m-2", "m-2", "m-1", "m-1"] {
        let seen = outcome(&guard, &with_model(model)).1;
        assert_eq!(seen["tags"][0], "dear", "{model}");
    }
}

#[test]
fn a_known_namespace_without_tools_offers_none() {
    let format = &FORMATS[1];
    let about = "Nobody knows why it is so. ".repeat(6);
    let inner = json!({"type": "namespace", "name": "inner", "description": about, "tools": []});
    let outer = json!({"type": "namespace", "name": "all", "description": about, "tools": [inner]});
    let request = request_with(format, &[outer], &turns(format, 1), true);
    let policy = format!("kind: AgentPolicy\nmetadata: {{ name: test }}{SEARCHING}");
    let guard = with_fixed_budget(&policy);
    let first = all_of(&guard, &request, 1 << 40);
    for _ in 0..4 {
        assert_eq!(all_of(&guard, &request, 1 << 40), first);
    }
    assert!(known_tools_passed() > 0);
}

/// Sends requests one after the other; all that is known of each is the same as alone, its work as well.
fn are_as_alone(policy: &str, requests: &[&HttpMessage]) {
    let policy = format!("kind: AgentPolicy\nmetadata: {{ name: test }}\nrequire: none{policy}");
    let (known, full) = (with_fixed_budget(&policy), 1 << 40);
    let before = known_tools_passed();
    for (at, request) in requests.iter().enumerate() {
        let (_, alone) = alone_within(&policy, request, 0);
        assert_eq!(all_of(&known, request, full), alone, "request {at}");
    }
    assert!(known_tools_passed() > before);
}

/// No rule is about offers, and the default for them depends on rules about calls.
#[test]
fn tools_are_hidden_by_rules_about_calls_that_name_no_tool() {
    const HIDING: &str = "
defaults: { action: deny, request: allow, tool_offer: hide }
rules:
  - { id: red, match: { event: tool_call }, when: { header.x-team: red }, action: allow }
";
    for format in &FORMATS {
        let guard = guard(HIDING);
        let tools = written(format, &plain_tools());
        for team in ["red", "red", "red", "blue", "red", "blue"] {
            let request = request_of(format, &tools, &turns(format, 4), true, team);
            let alone = outcome_alone(HIDING, &request);
            assert_eq!(outcome(&guard, &request), alone, "{} {team}", format.0);
        }
    }
}

#[test]
fn known_tools_take_the_same_work_and_are_as_long() {
    const OF_TOOLS: &str = "
defaults: { action: allow }
rules:
  - { id: basilisk, match: { event: tool_offer }, when: { text: { contains: 'project basilisk' } }, action: deny }
";
    for format in &FORMATS {
        let mut tools = plain_tools();
        tools[0].name = "list_all_of_the_files";
        tools[1].about = "Takes {\"id\": \"[1, {}]\"}.";
        let tools = written(format, &tools);
        let said = |text: &str| (format.3)(&Said::User(text.into()));
        let turns = [said("Write it down."), said("And do it soon.")];
        let request = request_with(format, &tools, &turns, true);
        for policy in [SEARCHING, OF_TOOLS] {
            are_as_alone(policy, &[&request; 5]);
        }
    }
}

#[test]
fn a_secret_in_the_name_of_a_known_tool_is_found_each_time() {
    for format in &FORMATS {
        let mut tools = plain_tools();
        tools[1].name = "ghp_Zx81mKq07RtYw3LbNv5Js9Dc2Fh6Gp4TaQe0";
        let tools = written(format, &tools);
        let request = request_with(format, &tools, &turns(format, 4), true);
        are_as_alone(SEARCHING, &[&request; 5]);
    }
}

#[test]
fn members_of_known_tools_that_no_format_has_are_read_each_time() {
    for format in &FORMATS {
        let mut tools = written(format, &plain_tools());
        tools[1]["unheard_of"] = json!({"text": "My card is 4111 1111 1111 1111."});
        let request = request_with(format, &tools, &turns(format, 4), true);
        are_as_alone(SEARCHING, &[&request; 5]);
    }
}

/// What one format knows is unknown in another, and an event of its own.
#[test]
fn the_same_tool_is_read_again_in_another_format() {
    let about = "Nobody knows why it is so. ".repeat(6);
    let tool = json!({"type": "custom", "name": "search", "description": about, "format": {"type": "grammar", "definition": about}});
    let [chat, anthropic] = [0, 2].map(|at| {
        let format = &FORMATS[at];
        request_with(format, std::slice::from_ref(&tool), &turns(format, 1), true)
    });
    let requests = [&chat, &chat, &chat, &chat, &anthropic, &anthropic];
    are_as_alone(SEARCHING, &requests);
}

#[test]
fn names_of_new_tools_stand_among_those_of_known_ones() {
    const NAMES: &str = "
defaults: { action: allow }
rules:
  - { id: named, match: { event: request }, when: { request.tools: { in: [fetch, late] } }, action: tag, tags: [named] }
";
    let late = Tool {
        name: "late",
        about: "Comes late.",
    };
    for format in &FORMATS {
        let mut tools = plain_tools();
        let known = request_with(format, &written(format, &tools), &turns(format, 4), false);
        tools.insert(2, late.clone());
        let new = request_with(format, &written(format, &tools), &turns(format, 4), false);
        are_as_alone(NAMES, &[&known, &known, &known, &known, &new, &new]);
    }
    // Nothing stands behind the tools.
    let format = &FORMATS[0];
    let [tools, turns] = [written(format, &plain_tools()), turns(format, 4)].map(Value::Array);
    let request = with_text(
        format,
        &format!(r#"{{"model":"m-1","messages":{turns},"tools":{tools}}}"#),
    );
    are_as_alone(NAMES, &[&request; 5]);
}

/// A namespace is remembered with its tools, even if these were known before.
#[test]
fn a_new_namespace_of_known_tools_offers_them() {
    const NAMES: &str = "
defaults: { action: allow }
rules:
  - { id: named, match: { event: request }, when: { request.tools: { in: [fetch] } }, action: tag, tags: [named] }
";
    let format = &FORMATS[1];
    let tools = written(format, &plain_tools());
    let requests = [1, 2, 3, 4, 0, 0, 0, 0].map(|at| {
        let all = json!({"type": "namespace", "name": "all", "description": format!("All of {at}."), "tools": tools});
        request_with(format, &[all], &turns(format, 1), true)
    });
    are_as_alone(NAMES, &requests.each_ref());
}

#[test]
fn tools_in_known_turns_are_offered() {
    const NAMES: &str = "
defaults: { action: allow }
rules:
  - { id: named, match: { event: request }, when: { request.tools: { in: [fetch] } }, action: tag, tags: [named] }
";
    let format = &FORMATS[1];
    let tools = written(format, &plain_tools());
    let mut turns = turns(format, 52);
    turns.insert(3, json!({"type": "additional_tools", "tools": tools}));
    let request = request_with(format, &tools[..2], &turns, true);
    are_as_alone(NAMES, &[&request; 5]);
}

/// A tool without text doesn't end what is read together, so that it is read each time.
#[test]
fn texts_before_and_behind_a_tool_without_text_are_read_together() {
    let format = &FORMATS[2];
    let computer = json!({"type": "computer_20250124", "name": "computer", "display_width_px": 1, "display_height_px": 1, "display_number": 1, "enable_zoom": true, "strict": true, "defer_loading": false});
    let tools = |tools: &[Value]| Value::Array(tools.to_vec());
    let request = |tools: Value| {
        let padding = "-".repeat(1_024);
        with_text(
            format,
            &format!(
                r#"{{"model":"m-1","system":"My card is 4111 1111","tools":{tools},"messages":[{{"role":"system","content":"1111 1111, please."}},{{"role":"user","content":"Do it."}}],"metadata":{{"padding":"{padding}"}}}}"#
            ),
        )
    };
    let split = request(tools(&[computer]));
    let found = outcome_alone(SEARCHING, &split);
    assert_eq!(found.1["findings"]["credit_card"], 1);
    let apart = request(tools(&written(format, &plain_tools())));
    are_as_alone(
        SEARCHING,
        &[&split, &split, &split, &split, &apart, &apart, &apart],
    );
}

/// Whether a turn is read together with texts before the conversation is remembered for requests without tools as well.
#[test]
fn known_tools_before_a_conversation_do_not_tell_its_turns_apart() {
    let format = &FORMATS[2];
    let image = json!({"type": "image", "source": {"type": "url", "url": "https://example.com/picture.png"}});
    let mut all = vec![
        json!({"role": "user", "content": [image]}),
        json!({"role": "system", "content": "1111 1111, please."}),
    ];
    all.extend(turns(format, 52).into_iter().skip(3));
    let all = Value::Array(all);
    let short = Value::Array(turns(format, 1));
    let tools = Value::Array(written(format, &plain_tools()));
    let request = |tools: &str, turns: &Value| {
        let padding = "-".repeat(1_024);
        with_text(
            format,
            &format!(
                r#"{{"model":"m-1","system":"My card is 4111 1111",{tools}"messages":{turns},"metadata":{{"padding":"{padding}"}}}}"#
            ),
        )
    };
    let tools = format!(r#""tools":{tools},"#);
    let (first, apart, split) = (
        request(&tools, &short),
        request(&tools, &all),
        request("", &all),
    );
    let found = outcome_alone(SEARCHING, &split);
    assert_eq!(found.1["findings"]["credit_card"], 1);
    are_as_alone(
        SEARCHING,
        &[
            &first, &first, &first, &apart, &apart, &apart, &split, &split, &apart,
        ],
    );
}

/// A request that came to its budget was read again. Others with the same tools don't pay for it for ever.
#[test]
fn tools_are_read_for_a_while_after_a_request_that_was_read_again() {
    let policy = format!("kind: AgentPolicy\nmetadata: {{ name: test }}{SEARCHING}");
    let (guard, full) = (with_fixed_budget(&policy), 1 << 40);
    let format = &FORMATS[0];
    let tools = written(format, &plain_tools());
    let request = request_with(format, &tools, &turns(format, 4), true);
    let passed = |work| {
        let before = known_tools_passed();
        let left = all_of(&guard, &request, work).1;
        (known_tools_passed() - before, work - left)
    };
    let (_, used) = [(); 3].map(|()| passed(full))[2];
    assert_eq!(passed(full).0, 5);
    assert_eq!(passed(used / 2).0, 5);
    for _ in 0..64 {
        assert_eq!(passed(full).0, 0);
    }
    assert_eq!(passed(full), (5, used));
}

/// Tools of every kind, some of which a policy has a say on.
fn any_tool(format: &'static Format) -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "search",
        "read_secret",
        "list_all_of_the_files",
        "ghp_Zx81mKq07RtYw3LbNv5Js9Dc2Fh6Gp4TaQe0",
    ]);
    let about = prop::sample::select(vec![
        "Does it.",
        "Does it.",
        "Helps with project basilisk.",
        "Pays with 4111 1111 1111 1111.",
        "Takes {\\\"card\\\": \\\"4111 1111\\\"}.",
    ]);
    let tool = (name, about).prop_map(|(name, about)| Tool { name, about });
    let plain = tool.clone().prop_map(|tool| tool.written(format));
    let special = (tool, 0..8usize).prop_map(|(tool, kind)| special(format, &tool, kind));
    prop_oneof![3 => plain, 1 => special]
}

fn special(format: &Format, tool: &Tool, kind: usize) -> Value {
    let mut written = tool.written(format);
    let long = "Nobody knows why it is so. ".repeat(6);
    match (kind, format.0) {
        (0, _) => written["unheard_of"] = json!({"text": tool.about}),
        (1, _) => written["Name"] = json!(tool.name),
        (2, "/v1/chat/completions") => {
            return json!({"type": "web_search", "a": [1, 2, 3], "model": "m-2", "about": long, "b": [1, 2, 3]});
        }
        (3, "/v1/chat/completions") => written["name"] = json!("another_one"),
        (2, "/v1/responses") => {
            return json!({"type": "namespace", "name": "all", "description": long, "tools": [written]});
        }
        (3, "/v1/responses") => {
            return json!({"type": "mcp", "server_label": "all", "server_url": "https://example.com", "allowed_tools": ["search", "fetch"], "server_description": long, "headers": {"a": "b"}});
        }
        (2, "/v1/messages") => {
            return json!({"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.example", "b.example"], "blocked_domains": [], "user_location": {"type": "approximate", "city": long}});
        }
        (3, "/v1/messages") => {
            return json!({"type": "bash_20250124", "name": "bash", "cache_control": {"type": "ephemeral", "ttl": "1h"}, "unheard_of": [long, 1, 2, 3]});
        }
        (2 | 3, "/v1beta/models/gemini-2.5-pro:generateContent") => {
            let one = written["functionDeclarations"][0].clone();
            written["functionDeclarations"] = json!([one, one, {"name": "bare"}]);
        }
        (4, "/v1beta/models/gemini-2.5-pro:generateContent") => written["googleSearch"] = json!({}),
        (5, "/v1beta/models/gemini-2.5-pro:generateContent") => {
            return json!({"functionDeclarations": [{"functionDeclarations": [written.clone()], "name": "inner", "description": long}], "computerUse": {"environment": "ENVIRONMENT_BROWSER", "a": [1, 2]}});
        }
        (5, "/v1/responses") => {
            let inner =
                json!({"type": "namespace", "name": "inner", "description": long, "tools": []});
            return json!({"type": "namespace", "name": "all", "description": tool.about, "tools": [inner]});
        }
        (4, "/v1/responses") => {
            return json!({"type": "namespace", "name": "all", "description": tool.about, "tools": [written, written]});
        }
        (5, "/v1/messages") => {
            return json!({"type": "memory_20250818", "name": "memory", "input_examples": [long, 1, 2, 3], "defer_loading": true});
        }
        (6, "/v1/messages") => {
            written["description"] = json!(format!(
                "data:text/plain;base64,NDExMSAxMTExIDExMTEgMTExMQ== {}",
                tool.about
            ));
            written["input_examples"] =
                json!([{"a": "{\"a\": \"[1, {\\\"b\\\": 2}]\"}", "c": "4111 1111"}]);
        }
        (7, "/v1/messages" | "/v1/chat/completions") => written["model"] = json!("m-2"),
        (5 | 6, "/v1/chat/completions") => {
            written["function"]["parameters"]["properties"] = json!({"ghp_Zx81mKq07RtYw3LbNv5Js9Dc2Fh6Gp4TaQe0": {"type": "string"}, "password": {"default": "hunter2-and-more"}});
        }
        (6, "/v1beta/models/gemini-2.5-pro:generateContent") => {
            let one = written["functionDeclarations"][0].clone();
            return json!({"function_declarations": [one, written["functionDeclarations"][0], {"name": "a_bare_name_that_is_long", "description": long}]});
        }
        (4, _) => return json!({"a": long, "b": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}),
        _ => {}
    }
    written
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Under any policy, a request with tools leads to the same as alone, whatever came before.
    #[test]
    fn what_a_request_with_tools_leads_to_does_not_depend_on_earlier_ones(
        (format, tools, others) in (0..FORMATS.len()).prop_flat_map(|format| {
            let format = (format, &FORMATS[format]);
            let others = prop::collection::vec(any_written(format.1), 0..30);
            (Just(format.0), prop::collection::vec(any_tool(format.1), 2..8), others)
        }),
        requests in prop::collection::vec((0..8usize, 0..8usize, prop::sample::select(vec![1usize, 2, 4, 7, 30, 50]), any::<bool>(), any_beside()), 1..6),
        policies in prop::collection::vec(any_policy(), 2),
        shortage in prop_oneof![2 => Just(0), 1 => 1..100u64],
    ) {
        let format = &FORMATS[format];
        let requests: Vec<HttpMessage> = requests
            .iter()
            .map(|(from, until, count, are_first, beside)| {
                let (from, until) = (*from.min(until), *from.max(until));
                let tools = &tools[from.min(tools.len())..until.min(tools.len())];
                let others = &others[..(*count / 2).min(others.len())];
                let turns = [&turns(format, *count), others].concat();
                request_beside(format, tools, &turns, *are_first, beside)
            })
            .collect();
        let expected: Vec<Vec<_>> = policies
            .iter()
            .map(|policy| {
                let of = |request: &HttpMessage| alone_within(policy, request, shortage);
                requests.iter().map(of).collect()
            })
            .collect();
        let guards: Vec<_> = policies.iter().map(|policy| with_fixed_budget(policy)).collect();
        for _ in 0..2 {
            for (guard, expected) in guards.iter().zip(&expected) {
                for _ in 0..3 {
                    for (request, (work, alone)) in requests.iter().zip(expected) {
                        prop_assert_eq!(&all_of(guard, request, *work), alone);
                    }
                }
            }
        }
    }
}
