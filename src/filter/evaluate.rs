//! `POST /agentguard/evaluate`: the decision of the policies in force on a submitted exchange, with its reasons.
//!
//! The exchange runs through the code that decides on traffic, but has no lasting effect: limits, sessions and spent
//! approvals are read and stay unchanged, nothing is counted or recorded, and the approval service is not called. The
//! reply contains no more of the exchange than an audit event without content.

use super::admin::{Object, json_reply};
use crate::diag::{Diagnostic, codes, listed};
use crate::event::Principal;
use crate::flow::{
    Action, End, Flow, Guard, Reply, RequestHead, ResponseHead, ServiceAnswer, Step,
};
use crate::policy::declared_principal::principal;
use crate::policy::decode::{Decoder, PolicyPath};
use crate::policy::operators::moment;
use crate::policy::{Node, NodeValue, parse_json};
use crate::proxy::Properties;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::rc::Rc;

/// Path of the endpoint.
pub(super) const EVALUATE: &[u8] = b"/agentguard/evaluate";

/// Maximum bytes of a submitted exchange. It is held as a whole, and Envoy itself holds at most a megabyte by default.
pub const MAX_EXCHANGE_BYTES: usize = 512 << 10;

/// Returns whether a request to the administration listener submits an exchange.
pub(super) fn is_evaluation(method: &[u8], target: &[u8]) -> bool {
    method == b"POST" && target.split(|byte| *byte == b'?').next() == Some(EVALUATE)
}

/// Evaluates a submitted exchange under every policy in force. `now` is in nanoseconds since 1970.
pub fn evaluate(submitted: &[u8], policies: &[Rc<Guard>], now: u64) -> Reply {
    if submitted.len() > MAX_EXCHANGE_BYTES {
        let most = format!(
            "{} bytes, at most {MAX_EXCHANGE_BYTES} are read",
            submitted.len()
        );
        return error_reply(413, codes::AG1019, "", &most, None);
    }
    let exchange = match parse_json(submitted) {
        Ok(root) => read(&root, submitted),
        Err(diagnostic) => Err(vec![*diagnostic]),
    };
    let exchange = match exchange {
        Ok(exchange) => exchange,
        Err(diagnostics) => return first_error(&diagnostics),
    };
    if policies.is_empty() {
        let status = codes::status(codes::AG9003);
        return error_reply(status, codes::AG6018, "", "no policy is in force", None);
    }
    let is_asked = |guard: &&Rc<Guard>| {
        let name = &guard.policy.document.name;
        exchange.policy.as_ref().is_none_or(|asked| asked == name)
    };
    let asked: Vec<&Rc<Guard>> = policies.iter().filter(is_asked).collect();
    if asked.is_empty() {
        let names: Vec<&str> = policies
            .iter()
            .map(|guard| &*guard.policy.document.name)
            .collect();
        let message = "no policy in force has this name";
        let help = listed(&names).map(|names| format!("in force: {names}"));
        return error_reply(404, codes::AG1007, "policy", message, help.as_deref());
    }
    let mut out = Vec::new();
    let mut answer = Object::begin(&mut out);
    answer.list("policies", asked.into_iter(), |guard, out| {
        out.extend(exchange.evaluate(guard, exchange.time.unwrap_or(now)));
    });
    answer.end();
    json_reply(200, out)
}

/// Returns the reply to a request whose body never arrives.
pub fn missing_exchange() -> Reply {
    error_reply(
        codes::status(codes::AG9002),
        codes::AG9002,
        "",
        "no body came",
        Some(
            "set `allow_on_headers_stop_iteration: true` in the plugin of the administration filter",
        ),
    )
}

/// Returns `{"error":{"code":"AG1004","at":"request.pth","message":"unknown key `pth`","help":"did you mean
/// `path`?"}}`.
fn error_reply(status: u16, code: &str, at: &str, message: &str, help: Option<&str>) -> Reply {
    let mut out = br#"{"error":"#.to_vec();
    let mut error = Object::begin(&mut out);
    error.text("code", code);
    error.text("at", at);
    error.text("message", message);
    if let Some(help) = help {
        error.text("help", help);
    }
    error.end();
    out.push(b'}');
    json_reply(status, out)
}

/// Returns the first error. Others show once it is fixed.
fn first_error(diagnostics: &[Diagnostic]) -> Reply {
    match diagnostics.first() {
        Some(first) => error_reply(
            400,
            first.code,
            &first.path,
            &first.message,
            first.help.as_deref(),
        ),
        None => error_reply(400, codes::AG1001, "", "not an exchange", None),
    }
}

/// Submitted exchange.
struct EvaluatedExchange {
    /// Name of the only policy to evaluate.
    policy: Option<Box<str>>,
    request: Half,
    response: Half,
    principal: Option<Principal>,
    peer: Peer,
    /// Start of the exchange, in nanoseconds since 1970.
    time: Option<u64>,
}

/// One half of the exchange.
#[derive(Default)]
struct Half {
    headers: Vec<(Box<str>, Box<str>)>,
    body: Vec<u8>,
}

const REQUEST_KEYS: &[&str] = &["method", "host", "path", "headers", "body", "body_encoding"];
const RESPONSE_KEYS: &[&str] = &["status", "headers", "body", "body_encoding"];
const EXCHANGE_KEYS: &[&str] = &[
    "id",
    "policy",
    "request",
    "response",
    "principal",
    "peer",
    "time",
];

/// Reads an exchange in the format of `agentguard replay`, or a request alone.
fn read(root: &Node, text: &[u8]) -> Result<EvaluatedExchange, Vec<Diagnostic>> {
    let mut decoder = Decoder::default();
    let exchange = read_exchange(&mut decoder, root, text);
    match exchange {
        Some(exchange) if decoder.diagnostics.is_empty() => Ok(exchange),
        _ => Err(decoder.diagnostics),
    }
}

fn read_exchange(decoder: &mut Decoder, root: &Node, text: &[u8]) -> Option<EvaluatedExchange> {
    let at = PolicyPath::root();
    let is_plain = root.get("request").is_none() && root.get("path").is_some();
    let known: Vec<&str> = match is_plain {
        true => EXCHANGE_KEYS.iter().chain(REQUEST_KEYS).copied().collect(),
        false => EXCHANGE_KEYS.to_vec(),
    };
    decoder.mapping(&at, root, &known)?;
    let policy = match root.get("policy") {
        Some(name) => Some(decoder.text(&at.key("policy"), name)?),
        None => None,
    };
    let request = match root.get("request") {
        Some(request) => {
            let at = at.key("request");
            decoder.mapping(&at, request, REQUEST_KEYS)?;
            read_request(decoder, &at, request, text)?
        }
        None if is_plain => read_request(decoder, &at, root, text)?,
        None => {
            missing(decoder, &at.key("request"), root);
            return None;
        }
    };
    let response = match root.get("response") {
        Some(response) => {
            let at = at.key("response");
            decoder.mapping(&at, response, RESPONSE_KEYS)?;
            let status = match response.get("status") {
                Some(status) => decoder.count(&at.key("status"), status)?,
                None => 0,
            };
            let first = vec![(":status".into(), status.to_string().into())];
            read_half(decoder, &at, response, first, text)?
        }
        None => Half {
            headers: vec![(":status".into(), "200".into())],
            body: Vec::new(),
        },
    };
    Some(EvaluatedExchange {
        policy,
        request,
        response,
        principal: match root.get("principal") {
            Some(node) => Some(principal(decoder, &at.key("principal"), node)?),
            None => None,
        },
        peer: match root.get("peer") {
            Some(peer) => Peer::read(decoder, &at.key("peer"), peer)?,
            None => Peer::default(),
        },
        time: match root.get("time") {
            Some(time) => Some(read_time(decoder, &at.key("time"), time)?),
            None => None,
        },
    })
}

fn missing(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) {
    decoder.error(
        codes::AG1003,
        at,
        &node.span,
        "the request is missing",
        "write `{\"request\": {\"path\": …, \"headers\": …, \"body\": …}}`, or these members alone",
    );
}

fn read_time(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<u64> {
    let text = decoder.text(at, node)?;
    let time = moment(&text).and_then(|time| u64::try_from(time).ok());
    if time.is_none() {
        decoder.wrong_type(at, node, "a moment such as `2026-03-09T14:00:00Z`");
    }
    time
}

fn read_request(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    text: &[u8],
) -> Option<Half> {
    let mut first = Vec::with_capacity(3);
    for (name, key, otherwise) in [
        (":method", "method", Some("POST")),
        (":path", "path", None),
        (":authority", "host", Some("")),
    ] {
        let value = match (node.get(key), otherwise) {
            (Some(value), _) => decoder.text(&at.key(key), value)?,
            (None, Some(otherwise)) => otherwise.into(),
            (None, None) => {
                missing(decoder, &at.key(key), node);
                return None;
            }
        };
        first.push((name.into(), value));
    }
    read_half(decoder, at, node, first, text)
}

/// Reads headers and body, and makes the headers fit the body: recorders decode bodies without changing the headers.
fn read_half(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    mut headers: Vec<(Box<str>, Box<str>)>,
    text: &[u8],
) -> Option<Half> {
    let encoding = match node.get("body_encoding") {
        Some(encoding) => {
            let at = at.key("body_encoding");
            Some(decoder.word(&at, encoding, &[("base64", ())])?)
        }
        None => None,
    };
    let mut is_json = false;
    let at_body = at.key("body");
    let body = match node.get("body") {
        None => Vec::new(),
        Some(body) => match (&body.data, encoding) {
            (NodeValue::Null, _) => Vec::new(),
            (NodeValue::String(text), None) => text.as_bytes().to_vec(),
            (NodeValue::String(text), Some(())) => match STANDARD.decode(text.as_bytes()) {
                Ok(bytes) => bytes,
                Err(_) => {
                    decoder.wrong_type(&at_body, body, "base64, as `body_encoding` says,");
                    return None;
                }
            },
            (NodeValue::Map(_) | NodeValue::List(_), None) => {
                is_json = true;
                text.get(body.span.clone()).unwrap_or_default().to_vec()
            }
            _ => {
                decoder.wrong_type(&at_body, body, "a text, or JSON: an object or a list,");
                return None;
            }
        },
    };
    let at_headers = at.key("headers");
    if let Some(listed) = node.get("headers") {
        let NodeValue::Map(members) = &listed.data else {
            decoder.wrong_type(&at_headers, listed, "a mapping");
            return None;
        };
        for member in members {
            let name = member.key.to_ascii_lowercase();
            let is_kept = !matches!(&*name, "content-length" | "transfer-encoding" | "host")
                && !name.starts_with(':')
                && (name != "content-encoding" || encoding.is_some());
            is_json &= name != "content-type";
            let values = decoder.texts(&at_headers.key(&member.key), &member.value)?;
            let values = values.into_iter().filter(|_| is_kept);
            headers.extend(values.map(|value| (name.as_str().into(), value)));
        }
    }
    if !body.is_empty() {
        headers.push(("content-length".into(), body.len().to_string().into()));
    }
    if is_json {
        headers.push(("content-type".into(), "application/json".into()));
    }
    Some(Half { headers, body })
}

/// Declared peer of the connection, as Envoy's properties.
#[derive(Default)]
struct Peer(Vec<([&'static str; 2], Vec<u8>)>);

impl Peer {
    /// Reads an address, a SPIFFE id, or `{"address", "uri_san", "dns_san", "subject"}`.
    fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Peer> {
        let mut peer = Peer::default();
        if let Some(text) = node.text() {
            let name = match text.contains("://") {
                true => "uri_san",
                false => "address",
            };
            peer.add(name, text);
            return Some(peer);
        }
        let known = ["address", "uri_san", "dns_san", "subject"];
        for member in decoder.mapping(at, node, &known)? {
            let text = decoder.text(&at.key(&member.key), &member.value)?;
            peer.add(&member.key, &text);
        }
        Some(peer)
    }

    fn add(&mut self, name: &str, text: &str) {
        let property = match name {
            "uri_san" => "uri_san_peer_certificate",
            "dns_san" => "dns_san_peer_certificate",
            "subject" => "subject_peer_certificate",
            _ => {
                // Without a port it would be read as an address from a header.
                let address = match text.parse::<std::net::IpAddr>() {
                    Ok(address) if address.is_ipv6() => ["[", text, "]:1"].concat(),
                    Ok(_) => [text, ":1"].concat(),
                    Err(_) => text.to_owned(),
                };
                self.0.push((["source", "address"], address.into_bytes()));
                return;
            }
        };
        self.0.push((["connection", "mtls"], vec![1]));
        self.0
            .push((["connection", property], text.as_bytes().to_vec()));
    }
}

impl Properties for Peer {
    fn get(&self, path: &[&str]) -> Option<Vec<u8>> {
        let found = self.0.iter().find(|(known, _)| known == path);
        found.map(|(_, value)| value.clone())
    }
}

impl Half {
    fn borrowed(&self) -> Vec<(&[u8], &[u8])> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect()
    }
}

impl EvaluatedExchange {
    /// Runs the exchange under a policy. Returns the decision with its reasons.
    fn evaluate(&self, guard: &Guard, now: u64) -> Vec<u8> {
        let mut flow = Flow::new(Rc::new(guard.apart()));
        if let Some(principal) = &self.principal {
            flow.asked_by(principal.clone());
        }
        let mut run = Run { flow, now };
        if run.request(&self.request, &self.peer) {
            run.response(&self.response);
        }
        let end = End {
            now: run.now,
            ..End::default()
        };
        run.flow.explain(&end)
    }
}

/// One exchange under one policy.
struct Run {
    flow: Flow,
    now: u64,
}

impl Run {
    /// Returns whether the request passes.
    fn request(&mut self, half: &Half, peer: &Peer) -> bool {
        let step = self.flow.request_headers(&RequestHead {
            headers: &half.borrowed(),
            end: half.body.is_empty(),
            properties: peer,
            now: self.now,
        });
        self.passes(step, &[])
            && (half.body.is_empty() || {
                let step = self
                    .flow
                    .request_body(&mut half.body.as_slice(), true, self.now);
                self.passes(step, &half.body)
            })
    }

    fn response(&mut self, half: &Half) {
        let step = self.flow.response_headers(&ResponseHead {
            headers: &half.borrowed(),
            end: half.body.is_empty(),
            now: self.now,
        });
        if self.passes(step, &[]) && !half.body.is_empty() {
            let step = self
                .flow
                .response_body(&mut half.body.as_slice(), true, self.now);
            self.passes(step, &half.body);
        }
    }

    /// Returns whether a half goes on. The approval service is not called: its calls time out.
    fn passes(&mut self, mut step: Step, body: &[u8]) -> bool {
        while let Some(call) = step.calls.iter().find(|call| call.is_awaited) {
            let wait = call.timeout.saturating_mul(1_000_000_000);
            self.now = self.now.saturating_add(wait);
            let mut held = match step.action {
                Action::Take => &[],
                _ => body,
            };
            let answer = ServiceAnswer::Received {
                status: 504,
                body: &[],
            };
            let number = call.number;
            let next = self
                .flow
                .service_answered(number, &answer, &mut held, self.now);
            match next {
                Some(resumed) => step = resumed.step,
                None => break,
            }
        }
        !matches!(step.action, Action::Reply(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::HostEnvironment;
    use crate::proxy::MemorySharedData;
    use serde_json::{Value, json};

    const NOW: u64 = 1_800_000_000_000_000_000;

    const POLICY: &str = r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentPolicy","metadata":{"name":"demo"},
        "audit":{"content":"full"},"defaults":{"action":"allow"},"rules":[
        {"id":"no-pay","match":{"tool":"pay"},"action":"deny","reason":"Nobody pays.","remedy":"Ask finance."},
        {"id":"cards","match":{"event":"message"},"when":{"text":{"detects":["pii"]}},"action":"redact"},
        {"id":"few","match":{"event":"request"},"action":"deny","limit":{"count":"requests","per":"client","max":2,"window":"1m"}}]}"#;

    fn in_force(policy: &str) -> Rc<Guard> {
        let policy = crate::policy::load_json(policy.as_bytes());
        let surroundings = HostEnvironment {
            variable: &|_| None,
            node_environment: &|| None,
            seed: [7; 40],
            shared_data: Rc::new(MemorySharedData::default()),
            kill: Rc::default(),
        };
        let policy = policy.policy.expect("a policy");
        Rc::new(Guard::new(policy, &surroundings).expect("a guard"))
    }

    fn evaluated(exchange: &Value, guard: &Rc<Guard>) -> (u16, Value) {
        let reply = evaluate(exchange.to_string().as_bytes(), &[Rc::clone(guard)], NOW);
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    fn chat(text: &str) -> Value {
        json!({"request": {
            "host": "api.openai.com",
            "path": "/v1/chat/completions",
            "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]},
        }})
    }

    fn decision(exchange: &Value, guard: &Rc<Guard>) -> Value {
        let (status, mut answer) = evaluated(exchange, guard);
        assert_eq!(status, 200, "{answer}");
        answer["policies"][0].take()
    }

    #[test]
    fn an_exchange_is_decided_with_its_reasons() {
        let guard = in_force(POLICY);
        let mut paying = chat("pay");
        paying["response"] = json!({"status": 200, "body": {"choices": [{"index": 0, "message": {"role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "pay", "arguments": "{}"}}]}}]}});
        paying["principal"] = json!({"client": "ci", "roles": ["dev"]});
        let decided = decision(&paying, &guard);
        assert_eq!(decided["decision"], "deny");
        assert_eq!(decided["code"], "AG3001");
        assert_eq!(decided["policy"]["version"], *guard.policy.version);
        assert_eq!(decided["principal"]["client"], "ci");
        assert_eq!(decided["rules"][0]["event"], "tool_call");
        assert_eq!(
            decided["why"][0],
            json!({"rule": "no-pay", "reason": "Nobody pays.", "remedy": "Ask finance."})
        );
        assert_eq!(decided["means"], codes::find("AG3001").unwrap().explain);
        // This is the request alone, without an envelope.
        let plain = paying["request"].clone();
        assert_eq!(decision(&plain, &guard)["decision"], "allow");
    }

    #[test]
    fn an_evaluation_reads_the_counters_of_traffic_and_changes_nothing() {
        let guard = in_force(POLICY);
        for _ in 0..5 {
            let decided = decision(&chat("hi"), &guard);
            assert_eq!(decided["decision"], "allow", "{decided}");
            assert_eq!(decided["limits"][0]["used"], 1);
        }
        assert_eq!(guard.chain.borrow().next_seq(), 0);
        let asked: Value = chat("hi");
        let body = asked["request"]["body"].to_string();
        let request = crate::flow::simulation::HttpMessage::new(
            &[
                (":method", "POST"),
                (":path", "/v1/chat/completions"),
                (":authority", "api.openai.com"),
                ("content-type", "application/json"),
            ],
            body.as_bytes(),
        );
        for _ in 0..2 {
            let _ = crate::flow::simulation::run(&guard, &request, |_| request.clone(), NOW);
        }
        let decided = decision(&chat("hi"), &guard);
        assert_eq!(decided["code"], "AG5001", "{decided}");
        assert_eq!(guard.chain.borrow().next_seq(), 2);
    }

    #[test]
    fn no_content_is_repeated() {
        let guard = in_force(POLICY);
        let planted = "4111 1111 1111 1111";
        let mut exchange = chat(&format!("my card is {planted}"));
        exchange["request"]["headers"] = json!({"authorization": "Bearer planted-token"});
        let reply = evaluate(exchange.to_string().as_bytes(), &[guard], NOW);
        let text = String::from_utf8(reply.body).unwrap();
        assert!(text.contains(r#""decision":"redact""#), "{text}");
        for secret in [planted, "my card", "planted-token"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn an_expensive_exchange_ends_at_its_bound() {
        let guard = in_force(
            r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentPolicy","metadata":{"name":"slow"},"defaults":{"action":"allow"},
            "rules":[{"id":"pattern","match":{"event":"message"},"when":{"text":{"matches":"[ab]*a[ab]{20}c"}},"action":"deny"}]}"#,
        );
        // Random letters: hardly any two positions have the same text before them.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let letters: String = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state >> 40 & 1 == 0 { 'a' } else { 'b' }
        })
        .take(240_000)
        .collect();
        let decided = decision(&chat(&letters), &guard);
        assert_eq!(decided["code"], "AG2015", "{decided}");
        assert_eq!(decision(&chat("abab"), &guard)["decision"], "allow");
    }

    #[test]
    fn errors_are_reported_with_their_location() {
        let guard = in_force(POLICY);
        for (told, status, code, at) in [
            (json!([]), 400, "AG1005", ""),
            (json!({}), 400, "AG1003", "request"),
            (json!({"request": {}}), 400, "AG1003", "request.path"),
            (
                json!({"request": {"pth": "/"}}),
                400,
                "AG1004",
                "request.pth",
            ),
            (json!({"path": 5}), 400, "AG1005", "path"),
            (json!({"path": "/", "body": 5}), 400, "AG1005", "body"),
            (
                json!({"path": "/", "body": "?", "body_encoding": "base64"}),
                400,
                "AG1005",
                "body",
            ),
            (
                json!({"path": "/", "body_encoding": "gzip"}),
                400,
                "AG1007",
                "body_encoding",
            ),
            (
                json!({"path": "/", "headers": {"a": 1}}),
                400,
                "AG1005",
                "headers.a",
            ),
            (json!({"path": "/", "time": "now"}), 400, "AG1005", "time"),
            (
                json!({"path": "/", "principal": "root"}),
                400,
                "AG1005",
                "principal",
            ),
            (json!({"path": "/", "peer": 1}), 400, "AG1005", "peer"),
            (json!({"policy": 5}), 400, "AG1005", "policy"),
            (
                json!({"path": "/", "policy": "other"}),
                404,
                "AG1007",
                "policy",
            ),
            (
                json!({"path": "/", "properties": {}}),
                400,
                "AG1004",
                "properties",
            ),
        ] {
            let (answered, body) = super::tests::evaluated(&told, &guard);
            let error = &body["error"];
            assert_eq!(
                (answered, &error["code"], &error["at"]),
                (status, &json!(code), &json!(at)),
                "{body}"
            );
            assert!(!error["message"].as_str().unwrap().is_empty());
        }
        for (text, status) in [
            (&b""[..], 400),
            (b"{", 400),
            (b"{\"path\":\"/\",\"path\":\"/\"}", 400),
            (b"\xff", 400),
            (&[b' '; MAX_EXCHANGE_BYTES + 1], 413),
        ] {
            let reply = evaluate(text, &[Rc::clone(&guard)], NOW);
            assert_eq!(reply.status, status);
            assert!(
                serde_json::from_slice::<Value>(&reply.body).unwrap()["error"]["code"].is_string()
            );
        }
        let unread = evaluate(br#"{"path":"/"}"#, &[], NOW);
        assert_eq!(unread.status, 503);
    }

    #[test]
    fn only_a_post_submits_an_exchange() {
        assert!(is_evaluation(b"POST", b"/agentguard/evaluate?x"));
        for (method, target) in [
            (&b"GET"[..], &b"/agentguard/evaluate"[..]),
            (b"POST", b"/agentguard/evaluate/"),
            (b"POST", b"/agentguard/policy"),
            (b"PUT", b"/agentguard/evaluate"),
        ] {
            assert!(!is_evaluation(method, target));
        }
        assert_eq!(missing_exchange().status, 503);
    }
}
