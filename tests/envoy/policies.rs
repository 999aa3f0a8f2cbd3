//! Shipped policies in Envoy: each case of `policies/*.test.yaml` is sent as real traffic, and must be decided as by
//! `agentguard test`.
//!
//! A policy is deployed as its comments describe: a copy of the file, with the keys of its approvers and clients. A case that
//! describes one event is sent as an exchange with that event. Envoy's data about a case are real: the principal comes from a
//! token that `jwt_authn` verifies or from an API key, the environment from the node's metadata. Only Envoy's clock can't be
//! set. Instead, the hours of a policy are shifted by the difference between the present and the case's time.

use crate::identity::forge::{Folder, Signer};
use crate::identity::jwt_authn;
use crate::scene::{calls, case};
use agentguard::author::{
    CaseInput, Expectation, SampleEvent, TestCase, WholeExchange, parse_yaml, read_tests,
};
use agentguard::event::{Author, Facts, Kind, Known, Principal};
use agentguard::policy::Node;
use harness::{
    Answer, Configuration, Envoy, Host, Http, Listening, Request, Response, Setup, Site, Version,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};

in_both_envoys![each_case_of_a_shipped_policy_is_decided_as_its_test_says];

/// Cases that can't be sent as traffic, and the reasons.
const UNSENT: [(&str, &str, &str); 0] = [];

const ISSUER: &str = "https://login.example.com";

/// Weekly window in a policy, which is shifted for a case at another time.
const HOURS: &str = "\"09:00-17:00\", zone: America/New_York";

fn each_case_of_a_shipped_policy_is_decided_as_its_test_says(version: Version) {
    let folder = Folder::new("policies");
    let mut deployed: BTreeMap<(String, Option<u64>), Deployed> = BTreeMap::new();
    // Cases by environment, since an Envoy has only one.
    let mut environments: BTreeMap<Option<String>, Vec<(Planned, Traffic)>> = BTreeMap::new();
    let mut unsent = Vec::new();
    let mut tokens = Tokens {
        signer: Signer::new("policies"),
        known: BTreeMap::new(),
    };
    for planned in planned() {
        let number = deployed.len();
        let policy = deployed
            .entry((planned.policy.clone(), planned.time))
            .or_insert_with(|| Deployed::new(&folder, &planned, number));
        match traffic(&planned, policy, &mut tokens) {
            Ok(traffic) => {
                let cases = environments.entry(planned.environment()).or_default();
                cases.push((planned, traffic));
            }
            Err(why) => unsent.push((planned.file, planned.case.name, why)),
        }
    }
    let told: Vec<(&str, &str, &str)> = unsent
        .iter()
        .map(|(file, name, why)| (file.as_str(), name.as_str(), *why))
        .collect();
    assert_eq!(told, UNSENT);
    let (mut sent, mut differing) = (0, Vec::new());
    for (environment, cases) in &environments {
        // Envoy does not expose its node to a native module.
        if environment.is_some() && Host::of_run() == Host::Native {
            continue;
        }
        let mut sites: BTreeMap<&str, Site> = BTreeMap::new();
        for (planned, _) in cases {
            let deployed = &deployed[&(planned.policy.clone(), planned.time)];
            sites.entry(&deployed.site).or_insert_with(|| {
                Site::new(&deployed.site, &deployed.built)
                    .configured(Configuration::Text(deployed.text.clone()))
                    .behind_filters(vec![jwt_authn(&[(ISSUER, &tokens.signer)])])
            });
        }
        let envoy = Setup::new(version, sites.into_values().collect())
            .environment(environment.as_deref())
            .start();
        // All cases are sent before the first audit event is awaited.
        let exchanged: Vec<Exchanged> = cases
            .iter()
            .map(|(planned, traffic)| {
                let deployed = &deployed[&(planned.policy.clone(), planned.time)];
                traffic.exchanged(&envoy, envoy.site(&deployed.site))
            })
            .collect();
        sent += exchanged.len();
        let mut asking = Vec::new();
        for ((planned, traffic), exchanged) in cases.iter().zip(&exchanged) {
            let deployed = &deployed[&(planned.policy.clone(), planned.time)];
            let name = format!("{}: {}", planned.file, planned.case.name);
            let record = envoy.site(&deployed.site).records.next();
            let decided = catch_unwind(AssertUnwindSafe(|| {
                case(&name, || {
                    traffic.is_decided(exchanged, &record, &planned.case.expect)
                });
            }));
            // The failures of other cases are reported as well.
            if decided.is_err() {
                differing.push(name);
            } else if record["decision"] == "require_approval" {
                asking.push((name, traffic, deployed, exchanged, traffic.rules(&record)));
            }
        }
        for (name, traffic, deployed, exchanged, rules) in asking {
            let tokens = deployed.tokens(&exchanged.response, &rules);
            case(&name, || {
                traffic.passes(&envoy, envoy.site(&deployed.site), &tokens)
            });
        }
    }
    assert_eq!(differing, [""; 0]);
    assert!(sent > 400, "{sent} cases were sent");
}

/// Case of a test file.
struct Planned {
    file: String,
    policy: String,
    /// Time of the case, in nanoseconds since 1970, if the policy depends on the time.
    time: Option<u64>,
    /// Claims of the token that `jwt_authn` has verified, if the case has any.
    claims: Option<Value>,
    case: TestCase,
}

/// Returns all cases of all shipped policies.
fn planned() -> Vec<Planned> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut files: Vec<String> = std::fs::read_dir(&root)
        .expect("the policies")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into())
        .collect();
    files.sort();
    let is_test = |file: &&String| file.ends_with(".test.yaml");
    let tested: Vec<String> = files.iter().filter(is_test).cloned().collect();
    let mut all = Vec::new();
    for file in tested {
        let text = std::fs::read_to_string(root.join(&file)).expect("a test file");
        let node = parse_yaml(&text).expect("YAML");
        let written = json_of(&node);
        let tests = read_tests(&node).expect("tests");
        let policy = std::fs::read_to_string(root.join(&*tests.policy)).expect("a policy");
        for (number, case) in tests.cases.into_iter().enumerate() {
            let claims = &written["tests"][number]["exchange"]["properties"]["metadata"]["filter_metadata"]
                ["envoy.filters.http.jwt_authn"]["jwt"];
            let time = match &case.subject {
                CaseInput::Event(_, facts) => facts.time,
                CaseInput::Exchange(exchange) => exchange.facts.time,
            };
            all.push(Planned {
                file: file.clone(),
                policy: tests.policy.to_string(),
                time: time.filter(|_| policy.contains(HOURS)),
                claims: claims.is_object().then(|| claims.clone()),
                case,
            });
        }
    }
    let covered = |policy: &&String| all.iter().any(|planned| planned.policy == **policy);
    let untested: Vec<&String> = files
        .iter()
        .filter(|file| file.ends_with(".yaml") && !is_test(file))
        .filter(|policy| !covered(policy))
        .collect();
    assert!(untested.is_empty(), "without a case: {untested:?}");
    all
}

impl Planned {
    fn facts(&self) -> &Facts {
        match &self.case.subject {
            CaseInput::Event(_, facts) => facts,
            CaseInput::Exchange(exchange) => &exchange.facts,
        }
    }

    fn environment(&self) -> Option<String> {
        self.facts()
            .environment
            .value()
            .map(|name| name.to_string())
    }
}

/// Deployed policy.
struct Deployed {
    site: String,
    text: String,
    built: Value,
    /// API keys of clients.
    keys: BTreeMap<String, String>,
    /// Paths of the approvers' keys, with `ROLE` for the role.
    approver: String,
}

/// Runs the command. Returns its output.
fn agentguard(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let mut stdin = child.stdin.take().expect("its standard input");
    let _ = std::io::Write::write_all(&mut stdin, input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the command");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Deployed {
    /// Deploys a copy of a policy with the keys that it requires.
    fn new(folder: &Folder, planned: &Planned, number: usize) -> Deployed {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let mut text = std::fs::read_to_string(root.join(&planned.policy)).expect("a policy");
        let policy = json_of(&parse_yaml(&text).expect("YAML"));
        let rules = policy["rules"].as_array().expect("rules");
        let named = |path: &str| -> Vec<String> {
            let mut names: Vec<String> = rules
                .iter()
                .filter_map(|rule| rule.pointer(path)?.as_array())
                .flatten()
                .map(|name| name.as_str().expect("a name").to_owned())
                .collect();
            names.sort();
            names.dedup();
            names
        };
        let roles = named("/approval/by");
        if !roles.is_empty() {
            text.push_str("approvers:\n");
        }
        for role in &roles {
            let key = format!("{}/{role}.{number}.key", folder.root());
            let printed = agentguard(&["keygen", "--approver", role, "--output", &key], "");
            let (_, entry) = printed.split_once('{').expect("an entry");
            let (entry, _) = entry.rsplit_once('}').expect("an entry");
            text.push_str(&format!("  {}\n", entry.trim()));
        }
        let mut keys = BTreeMap::new();
        let clients = named("/match/client");
        if !clients.is_empty() && policy["principals"].is_null() {
            text.push_str("principals:\n  - name: key\n    api_key:\n      header: x-agent-key\n      keys:\n");
            for client in clients {
                let printed = agentguard(&["keygen", "--client", &client], "");
                let key = printed.lines().find(|line| line.trim().starts_with("agk_"));
                let entry = printed.lines().find(|line| line.contains("sha256:"));
                text.push_str(&format!("      {}\n", entry.expect("an entry")));
                keys.insert(client, key.expect("a key").trim().to_owned());
            }
        }
        if let Some(time) = planned.time {
            assert!(text.contains(HOURS));
            text = text.replace(HOURS, &moved_hours(time));
        }
        let path = folder.write(&format!("{number}.yaml"), &text);
        let text = agentguard(&["build", &path, "--for", "json"], "");
        Deployed {
            site: format!("{}-{number}", planned.policy.trim_end_matches(".yaml")),
            built: serde_json::from_str(&text).expect("JSON"),
            text,
            keys,
            approver: format!("{}/ROLE.{number}.key", folder.root()),
        }
    }

    /// Returns the tokens of these rules' approvers for the requests in a denial.
    fn tokens(&self, denial: &Response, asking: &[Box<str>]) -> String {
        let denial = String::from_utf8_lossy(&denial.body).into_owned();
        let rules = self.built["rules"].as_array().into_iter().flatten();
        let tokens: Vec<String> = rules
            .filter(|rule| asking.iter().any(|id| rule["id"] == **id))
            .filter_map(|rule| rule["approval"]["by"][0].as_str())
            .map(|role| {
                let key = self.approver.replace("ROLE", role);
                let printed = agentguard(&["approve", "-", "--key", &key, "--yes"], &denial);
                printed.lines().last().unwrap_or_default().trim().to_owned()
            })
            .collect();
        assert!(!tokens.is_empty());
        tokens.join(",")
    }
}

/// Returns [`HOURS`], shifted so that the present is in the same position as the case's time in the policy's hours.
fn moved_hours(time: u64) -> String {
    let minutes = |time: jiff::Timestamp| {
        let there = time.in_tz("America/New_York").expect("a zone");
        i64::from(there.hour()) * 60 + i64::from(there.minute())
    };
    let meant = jiff::Timestamp::from_nanosecond(time.into()).expect("a moment");
    let ahead = minutes(jiff::Timestamp::now()) - minutes(meant);
    let moved = |hour: i64| {
        let minutes = (hour * 60 + ahead).rem_euclid(1_440);
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    };
    // At once: the moved beginning may be 17:00.
    HOURS.replace("09:00-17:00", &format!("{}-{}", moved(9), moved(17)))
}

fn json_of(node: &Node) -> Value {
    let mut text = Vec::new();
    node.write_json(&mut text);
    serde_json::from_slice(&text).expect("JSON")
}

fn text_of(node: &Known<Node>) -> String {
    let mut text = Vec::new();
    if let Known::Is(node) = node {
        node.write_json(&mut text);
    }
    String::from_utf8(text).expect("JSON")
}

/// Case in the form of traffic.
struct Traffic {
    request: Request,
    sent: Vec<u8>,
    answer: Answer,
    answered: Vec<u8>,
    /// Kind of event that the expected rules apply to; `None` for the whole exchange.
    kind: Option<&'static str>,
}

/// What both sides received.
struct Exchanged {
    response: Response,
    upstream: Vec<u8>,
}

/// Returns the traffic of a case, or the reason why it can't be sent.
fn traffic(
    planned: &Planned,
    deployed: &Deployed,
    tokens: &mut Tokens,
) -> Result<Traffic, &'static str> {
    let mut traffic = match &planned.case.subject {
        CaseInput::Exchange(exchange) => of_exchange(exchange),
        CaseInput::Event(event, facts) => {
            let mcp = deployed.built["protocols"][0]["paths"][0].as_str();
            Traffic {
                kind: Some(event.kind.word()),
                ..of_event(event, facts, mcp)?
            }
        }
    };
    if let Some((name, value)) = credentials(planned, deployed, tokens)? {
        traffic.request = traffic.request.header(name, value);
    }
    Ok(traffic)
}

/// Returns the header that identifies the caller.
fn credentials(
    planned: &Planned,
    deployed: &Deployed,
    tokens: &mut Tokens,
) -> Result<Option<(&'static str, String)>, &'static str> {
    let principal = &planned.facts().principal;
    let claims = match &planned.claims {
        Some(claims) => claims.clone(),
        None if principal.is_anonymous() => return Ok(None),
        None => claims_of(principal),
    };
    if !deployed.built["principals"][0]["jwt"].is_null() {
        let mut token = json!({"iss": ISSUER, "exp": 4_102_444_800_u64});
        for (name, value) in claims.as_object().into_iter().flatten() {
            token[name] = value.clone();
        }
        return Ok(Some((
            "authorization",
            format!("Bearer {}", tokens.of(&token)),
        )));
    }
    let client = principal.client.value().map(|client| &**client);
    match client.and_then(|client| deployed.keys.get(client)) {
        Some(key) => Ok(Some(("x-agent-key", key.clone()))),
        None => Err("the policy has no source of this principal"),
    }
}

/// Issued tokens, by their claims.
struct Tokens {
    signer: Signer,
    known: BTreeMap<String, String>,
}

impl Tokens {
    fn of(&mut self, claims: &Value) -> String {
        let known = self.known.entry(claims.to_string());
        known.or_insert_with(|| self.signer.token(claims)).clone()
    }
}

fn claims_of(principal: &Principal) -> Value {
    let mut claims = json!({});
    if let Some(id) = principal.id.value() {
        claims["sub"] = json!(id);
    }
    if let Some(roles) = principal.roles.value() {
        claims["roles"] = json!(roles);
    }
    for (name, values) in principal.claims.iter() {
        claims[&**name] = json!(values.value().and_then(|values| values.first()));
    }
    claims
}

fn of_exchange(exchange: &WholeExchange) -> Traffic {
    let header = |headers: &[(String, String)], name: &str| {
        let found = headers.iter().find(|(known, _)| known == name);
        found.map_or_else(String::new, |(_, value)| value.clone())
    };
    let asked = &exchange.request;
    let mut request = Request::new(
        &header(&asked.headers, ":method"),
        &header(&asked.headers, ":path"),
    )
    .authority(&header(&asked.headers, ":authority"));
    for (name, value) in asked
        .headers
        .iter()
        .filter(|(name, _)| !name.starts_with(':'))
    {
        request = request.header(name, value);
    }
    let (answer, answered) = match &exchange.response {
        None => (Answer::new(200, &[], b""), Vec::new()),
        Some(response) => {
            let status = header(&response.headers, ":status")
                .parse()
                .expect("a status");
            let headers: Vec<(&str, &str)> = response
                .headers
                .iter()
                .filter(|(name, _)| !name.starts_with(':'))
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let answer = Answer::new(status, &headers, &response.body);
            (answer, response.body.clone())
        }
    };
    Traffic {
        request: with_body(request, &asked.body),
        sent: asked.body.clone(),
        answer,
        answered,
        kind: None,
    }
}

fn with_body(request: Request, body: &[u8]) -> Request {
    if body.is_empty() {
        return request;
    }
    request
        .header("content-length", body.len().to_string())
        .body(body)
}

/// Returns an exchange with an event: with a model, or with a tool server at this path.
fn of_event(
    event: &SampleEvent,
    facts: &Facts,
    mcp: Option<&str>,
) -> Result<Traffic, &'static str> {
    let tool = event.tool.value().map_or("", |tool| tool);
    let text = event.texts.first().map_or("", |text| text);
    let asks =
        |body: Value| (chat(facts, &body)).map(|request| (request, body.to_string().into_bytes()));
    let user = json!({"role": "user", "content": "Go on."});
    let plain = json!({"model": "gpt-4o", "messages": [user]});
    let hello = json!({"role": "assistant", "content": "Hello", "refusal": null});
    let ((request, sent), message) = match event.kind {
        Kind::Message if event.from == Known::Is(Author::User) => {
            let messages = json!([{"role": "user", "content": text}]);
            (
                asks(json!({"model": "gpt-4o", "messages": messages}))?,
                hello,
            )
        }
        Kind::Request => {
            let mut names = facts.models.names.iter();
            let messages = vec![
                user;
                usize::try_from(facts.request.message_count.unwrap_or(1))
                    .expect("a number")
            ];
            let mut body = json!({"model": names.next(), "messages": messages});
            let others: Vec<_> = names.collect();
            if !others.is_empty() {
                body["models"] = json!(others);
            }
            if facts.models.unknown {
                body["preset"] = json!("@preset/other");
            }
            if let Some(tokens) = facts.request.max_tokens {
                body["max_tokens"] = json!(tokens);
            }
            (asks(body)?, hello)
        }
        // The arguments of a tool that the provider runs are not visible, so the rules apply to its definition.
        Kind::ToolCall if event.provider_run => {
            let mut offer = json!({"type": tool});
            if tool == "shell" {
                // Without it, the client runs the tool.
                offer["environment"] = json!({"type": "container_auto"});
            }
            let body = json!({"model": "gpt-5", "input": "Go on.", "tools": [offer]});
            let (request, sent) = asks(body)?;
            ((request.path("/v1/responses"), sent), hello)
        }
        Kind::ToolCall => {
            let arguments = text_of(&event.args);
            let answer = calls(&[(tool, &arguments)]);
            let (request, sent) = asks(plain)?;
            return Ok(Traffic {
                request,
                sent,
                answer,
                answered: b"a call".to_vec(),
                kind: None,
            });
        }
        Kind::ToolResult if mcp.is_some() => {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}});
            let result = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}]}});
            let (sent, answered) = (
                body.to_string().into_bytes(),
                result.to_string().into_bytes(),
            );
            let request = Request::new("POST", mcp.unwrap_or_default())
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream");
            return Ok(Traffic {
                request: with_body(request, &sent),
                sent,
                answer: Answer::json(200, &answered),
                answered,
                kind: None,
            });
        }
        Kind::ToolResult => {
            // The case does not describe the call; no policy denies these arguments.
            let arguments = json!({"command": "ls", "url": "https://arxiv.org/"}).to_string();
            let call = json!({"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments}});
            let messages = json!([
                user,
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": text},
            ]);
            (
                asks(json!({"model": "gpt-4o", "messages": messages}))?,
                hello,
            )
        }
        Kind::Response => {
            let message = json!({"role": "assistant", "content": text, "refusal": null});
            (asks(plain)?, message)
        }
        _ => return Err("no exchange has only this event"),
    };
    let answered = crate::scene::completion(message, "stop");
    let answer = Answer::json(200, &answered);
    Ok(Traffic {
        request,
        sent,
        answer,
        answered,
        kind: None,
    })
}

/// Returns a request to the case's provider.
fn chat(facts: &Facts, body: &Value) -> Result<Request, &'static str> {
    let request = Request::chat(body.to_string().into_bytes());
    match facts.provider.value().map(|name| &**name) {
        None | Some("openai") => Ok(request),
        Some("groq") => Ok(request
            .authority("api.groq.com")
            .path("/openai/v1/chat/completions")),
        Some(_) => Err("the test doesn't know this provider's host"),
    }
}

impl Traffic {
    fn exchanged(&self, envoy: &Envoy, site: &Listening) -> Exchanged {
        envoy.provider.answer_always(self.answer.clone());
        let before = envoy.provider.count();
        let response = site.send(Http::One, &self.request);
        // The headers of a denied request are forwarded at once, and may arrive after the next request; its body is never
        // forwarded.
        let received = envoy.provider.received();
        let mut bodies = received
            .into_iter()
            .skip(before)
            .map(|request| request.body);
        let upstream = bodies.rfind(|body| !body.is_empty()).unwrap_or_default();
        Exchanged { response, upstream }
    }

    /// Compares the outcome with the expected one.
    fn is_decided(&self, exchanged: &Exchanged, record: &Value, expect: &Expectation) {
        let response = &exchanged.response;
        let said = |what: &str| record[what].as_str().map(str::to_owned);
        let wanted = |what: &Option<Box<str>>| what.as_ref().map(|what| what.to_string());
        if expect.action.is_some() {
            assert_eq!(said("decision"), wanted(&expect.action), "{record}");
        }
        if expect.code.is_some() {
            assert_eq!(said("code"), wanted(&expect.code), "{record}");
        }
        if let Some(status) = expect.status {
            assert_eq!(u64::from(response.status), status, "{record}");
        }
        if let Some(rules) = &expect.rules {
            assert_eq!(self.rules(record), *rules, "{record}");
        }
        let client = String::from_utf8_lossy(&response.body).into_owned();
        let upstream = String::from_utf8_lossy(&exchanged.upstream).into_owned();
        for text in &expect.client {
            assert!(client.contains(&**text), "{text:?} is not in {client}");
        }
        for text in &expect.upstream {
            assert!(upstream.contains(&**text), "{text:?} is not in {upstream}");
        }
        if let Some(text) = &expect.text {
            assert!(
                client.contains(&**text) || upstream.contains(&**text),
                "{text:?}"
            );
        }
        if let Some(reason) = &expect.reason {
            assert!(client.contains(&**reason), "{reason:?} is not in {client}");
        }
        let is_call = client.contains("\"tool_calls\"");
        match expect.action.as_deref() {
            Some("allow") if self.calls() => assert!(is_call, "{client}"),
            Some("allow") => {
                assert_eq!(upstream.as_bytes(), self.sent);
                assert_eq!(response.body, self.answered);
            }
            Some("redact") => {
                let is_same = upstream.as_bytes() == self.sent && response.body == self.answered;
                assert!(!is_same, "nothing was changed");
            }
            Some(_) if self.calls() => assert!(!is_call, "{client}"),
            Some(_) => assert_ne!(response.body, self.answered),
            None => {}
        }
    }

    fn calls(&self) -> bool {
        self.answered == b"a call"
    }

    /// Returns the rules of the record that apply to the case's event.
    fn rules(&self, record: &Value) -> Vec<Box<str>> {
        let of_kind = |rule: &&Value| self.kind.is_none_or(|kind| rule["event"] == kind);
        let rules = record["rules"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(of_kind);
        let mut rules: Vec<Box<str>> = rules
            .map(|rule| rule["id"].as_str().expect("an id").into())
            .collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// Checks that the request passes with its approvals.
    fn passes(&self, envoy: &Envoy, site: &Listening, tokens: &str) {
        envoy.provider.answer_always(self.answer.clone());
        let request = self.request.clone().header("x-agentguard-approval", tokens);
        let response = site.send(Http::One, &request);
        let record = site.records.next();
        assert_eq!(record["decision"], "allow", "{record}");
        let client = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(client.contains("\"tool_calls\""), self.calls(), "{client}");
    }
}
