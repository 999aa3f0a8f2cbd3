//! A policy's tests: documents of `kind: PolicyTest`, and the `examples` of its rules.
//!
//! ```yaml
//! apiVersion: agentguard.dev/v1
//! kind: PolicyTest
//! policy: support-agent.yaml            # beside this file
//! given: { env: prod }                  # facts of every case
//! tests:
//!   - { name: a small refund, call: "issue_refund {amount: 100}", expect: allow }
//!   - { name: a card, text: "4111 1111 1111 1111", expect: { action: redact, rules: [mask-cards], text: "[CREDIT_CARD]" } }
//!   - name: a whole exchange
//!     exchange:
//!       request: { host: api.openai.com, path: /v1/chat/completions, body: { model: gpt-4o, messages: [] } }
//!     expect: { action: deny, status: 400 }
//! ```

use super::sample_event::{self, EVENT_KEYS, FACT_KEYS, SampleEvent};
use crate::diag::{Diagnostic, codes, listed};
use crate::event::Facts;
use crate::policy::decode::{Decoder, PolicyPath};
use crate::policy::grammar::API_VERSION;
use crate::policy::node::{Node, NodeValue};
use crate::proxy::MemoryProperties;
use std::ops::Range;

/// Keys of a test file.
pub(super) const TOP: &[&str] = &["apiVersion", "kind", "metadata", "policy", "given", "tests"];
/// Keys of a case other than its event and its facts.
pub(super) const CASE: &[&str] = &["name", "exchange", "expect"];
/// Facts of a case about an exchange, which no bytes of it say.
const FACTS_OF_EXCHANGE: &[&str] = &["env", "principal", "time", "approved_by", "limits"];
/// Keys of what is expected of the two sides of an exchange.
const OF_SIDES: &[&str] = &["upstream", "client"];
/// Keys of an expectation.
pub(super) const EXPECT: &[&str] = &[
    "action", "would", "code", "status", "rules", "text", "reason", "upstream", "client",
];
/// Keys of a whole exchange.
pub(super) const EXCHANGE: &[&str] = &["request", "response", "peer", "properties"];
/// Keys of a whole exchange's request.
pub(super) const EXCHANGE_REQUEST: &[&str] = &["method", "host", "path", "headers", "body"];
/// Keys of a whole exchange's response.
pub(super) const EXCHANGE_RESPONSE: &[&str] = &["status", "headers", "body"];
/// Actions that a policy can decide on.
pub(super) const ACTIONS: &[&str] = &["allow", "deny", "redact", "require_approval"];

/// Value of `kind` in a test file.
pub const KIND: &str = "PolicyTest";

/// File of tests.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// File of the policy, relative to the test file.
    pub policy: Box<str>,
    /// Cases.
    pub cases: Vec<TestCase>,
}

/// Test case.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// Name of the case; for an example, the rule's id and its number.
    pub name: String,
    /// Position in the file.
    pub span: Range<usize>,
    /// Position in the document's structure.
    pub path: String,
    /// Input.
    pub subject: CaseInput,
    /// Expected outcome.
    pub expect: Expectation,
}

/// Input of a case.
#[derive(Clone, Debug)]
pub enum CaseInput {
    /// One event.
    Event(Box<SampleEvent>, Box<Facts>),
    /// A whole exchange.
    Exchange(WholeExchange),
}

/// Exchange that is processed by everything that the filter does.
#[derive(Clone, Debug)]
pub struct WholeExchange {
    /// Message of the client.
    pub request: HalfExchange,
    /// Message of the upstream.
    pub response: Option<HalfExchange>,
    /// Properties of the connection: its peer, certificates, verified tokens.
    pub properties: MemoryProperties,
    /// Name of the environment, the time, and the principal if it is given directly.
    pub facts: Box<Facts>,
}

/// Message of one side of the exchange.
#[derive(Clone, Debug, Default)]
pub struct HalfExchange {
    /// Headers, pseudo-headers included.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Expected outcome. Absent members are not compared.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Action.
    pub action: Option<Box<str>>,
    /// Action if everything were enforced.
    pub would: Option<Box<str>>,
    /// Stable code.
    pub code: Option<Box<str>>,
    /// Status that the client receives.
    pub status: Option<u64>,
    /// Ids of exactly the rules that match.
    pub rules: Option<Vec<Box<str>>>,
    /// Text after redaction; for a whole exchange, a text in what one of the sides received.
    pub text: Option<Box<str>>,
    /// Reason of the denial.
    pub reason: Option<Box<str>>,
    /// Texts that reached the upstream.
    pub upstream: Vec<Box<str>>,
    /// Texts that reached the client.
    pub client: Vec<Box<str>>,
}

/// Returns whether a document is a file of tests.
pub fn is_test_file(root: &Node) -> bool {
    root.get("kind").and_then(Node::text) == Some(KIND)
}

/// Parses a file of tests.
///
/// # Errors
/// All errors of the file.
pub fn read_tests(root: &Node) -> Result<TestFile, Vec<Diagnostic>> {
    let mut decoder = Decoder::default();
    let file = read_file(&mut decoder, root);
    match file {
        Some(file) if decoder.diagnostics.is_empty() => Ok(file),
        _ => Err(decoder.diagnostics),
    }
}

/// Parses the examples of a policy's rules; of a set, those of all its documents.
///
/// # Errors
/// All errors of the examples.
pub fn read_examples(root: &Node) -> Result<Vec<TestCase>, Vec<Diagnostic>> {
    let mut decoder = Decoder::default();
    let mut cases = Vec::new();
    let top = PolicyPath::root();
    let spec = top.key("spec");
    let (at, inner) = match root.get("spec") {
        Some(spec_of_root) => (&spec, spec_of_root),
        None => (&top, root),
    };
    examples_of(&mut decoder, at, inner, "", &mut cases);
    let at = at.key("policies");
    let documents = inner.get("policies").map_or(&[][..], Node::items);
    for (number, document) in documents.iter().enumerate() {
        let at = at.index(number);
        let name = document.get("metadata").and_then(|data| data.get("name"));
        let before = format!("{}/", name.and_then(Node::text).unwrap_or_default());
        examples_of(&mut decoder, &at, document, &before, &mut cases);
    }
    if decoder.diagnostics.is_empty() {
        Ok(cases)
    } else {
        Err(decoder.diagnostics)
    }
}

/// Adds the examples of one document, whose rules have `before` in front of their ids.
fn examples_of(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    document: &Node,
    before: &str,
    cases: &mut Vec<TestCase>,
) {
    let at = at.key("rules");
    let rules = document.get("rules").map_or(&[][..], Node::items);
    for (number, rule) in rules.iter().enumerate() {
        let at = at.index(number);
        let at = at.key("examples");
        let Some(examples) = rule.get("examples") else {
            continue;
        };
        let id = rule.get("id").and_then(Node::text).unwrap_or_default();
        let NodeValue::List(examples) = &examples.data else {
            decoder.wrong_type(&at, examples, "a list of cases");
            continue;
        };
        for (number, example) in examples.iter().enumerate() {
            let name = format!("{before}{id} example {}", number.saturating_add(1));
            let at = at.index(number);
            cases.extend(read_case(decoder, &at, example, &Facts::unknown(), name));
        }
    }
}

fn read_file(decoder: &mut Decoder, root: &Node) -> Option<TestFile> {
    let at = PolicyPath::root();
    let members = decoder.mapping(&at, root, TOP)?;
    for (key, value) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if root.get(key).and_then(Node::text) != Some(value) {
            let span = root.get(key).map_or(0..0, |node| node.span.clone());
            decoder.error(
                codes::AG1003,
                &at.key(key),
                &span,
                &format!("a file of tests says `{key}: {value}`"),
                "",
            );
        }
    }
    let mut policy = None;
    let mut facts = Facts::unknown();
    let mut tests = None;
    for member in members {
        let at = at.key(&member.key);
        match &*member.key {
            "policy" => policy = decoder.text(&at, &member.value),
            "given" => {
                decoder.mapping(&at, &member.value, FACT_KEYS);
                sample_event::read_facts(decoder, &at, &member.value, &mut facts);
            }
            "tests" => tests = Some(&member.value),
            _ => {}
        }
    }
    for (key, is_there) in [("policy", policy.is_some()), ("tests", tests.is_some())] {
        if !is_there && root.get(key).is_none() {
            let help = match key {
                "policy" => "name the policy's file, relative to this one",
                _ => {
                    "for example `- { name: a refund, call: \"issue_refund {amount: 5}\", expect: allow }`"
                }
            };
            decoder.error(
                codes::AG1006,
                &at,
                &(root.span.start..root.span.start),
                &format!("`{key}` is missing"),
                help,
            );
        }
    }
    let at = at.key("tests");
    let tests = tests?;
    let NodeValue::List(items) = &tests.data else {
        decoder.wrong_type(&at, tests, "a list of cases");
        return None;
    };
    let mut cases = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let name = format!("case {}", number.saturating_add(1));
        cases.extend(read_case(decoder, &at.index(number), item, &facts, name));
    }
    Some(TestFile {
        policy: policy?,
        cases,
    })
}

fn read_case(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    shared: &Facts,
    name: String,
) -> Option<TestCase> {
    let known: Vec<&str> = CASE
        .iter()
        .chain(EVENT_KEYS)
        .chain(FACT_KEYS)
        .copied()
        .collect();
    decoder.mapping(at, node, &known)?;
    let name = match node.get("name") {
        Some(name) => decoder.text(&at.key("name"), name)?.into(),
        None => name,
    };
    let subject = match node.get("exchange") {
        Some(exchange) => {
            refuse_what_is_sent(decoder, at, node);
            let mut facts = shared.clone();
            sample_event::read_facts(decoder, at, node, &mut facts);
            CaseInput::Exchange(read_exchange(
                decoder,
                &at.key("exchange"),
                exchange,
                facts,
            )?)
        }
        None => {
            let (event, facts) = sample_event::read(decoder, at, node, shared)?;
            CaseInput::Event(Box::new(event), Box::new(facts))
        }
    };
    let Some(expect) = node.get("expect") else {
        decoder.error(
            codes::AG1006,
            at,
            &node.span,
            "`expect` is missing",
            "for example `expect: deny` or `expect: { action: redact, rules: [mask-cards] }`",
        );
        return None;
    };
    let at_expect = at.key("expect");
    if matches!(subject, CaseInput::Event(..)) {
        for key in OF_SIDES {
            if let Some(value) = expect.get(key) {
                decoder.error(
                    codes::AG1004,
                    &at_expect.key(key),
                    &value.span,
                    &format!("an event alone is sent to nobody, so that `{key}` means nothing"),
                    "write the case as an `exchange`, or compare the `text` of the event",
                );
            }
        }
    }
    let expect = read_expect(decoder, &at_expect, expect)?;
    Some(TestCase {
        name,
        span: node.span.clone(),
        path: at.path(),
        subject,
        expect,
    })
}

/// Reports facts and events beside an exchange that its bytes themselves say: they would change nothing.
fn refuse_what_is_sent(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) {
    let beside = EVENT_KEYS.iter().chain(FACT_KEYS);
    for key in beside.filter(|key| !FACTS_OF_EXCHANGE.contains(key)) {
        if let Some(value) = node.get(key) {
            decoder.error(
                codes::AG1004,
                &at.key(key),
                &value.span,
                &format!("`{key}` is read out of the exchange, so that it means nothing here"),
                "write it as it is sent: in the host, path, headers or body under `exchange`",
            );
        }
    }
}

fn read_expect(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Expectation> {
    let mut expect = Expectation::default();
    if node.text().is_some() {
        expect.action = action(decoder, at, node);
        return expect.action.is_some().then_some(expect);
    }
    let members = decoder.mapping(at, node, EXPECT)?;
    if node.members().is_empty() {
        let help = "for example `expect: deny`";
        decoder.error(codes::AG1006, at, &node.span, "nothing is expected", help);
        return None;
    }
    for member in members {
        let at = at.key(&member.key);
        let value = &member.value;
        match &*member.key {
            "action" => expect.action = Some(action(decoder, &at, value)?),
            "would" => expect.would = Some(action(decoder, &at, value)?),
            "code" => expect.code = Some(decoder.text(&at, value)?),
            "status" => expect.status = Some(decoder.count(&at, value)?),
            "rules" => {
                let mut rules = decoder.texts(&at, value)?;
                rules.sort();
                expect.rules = Some(rules);
            }
            "text" => expect.text = Some(decoder.text(&at, value)?),
            "reason" => expect.reason = Some(decoder.text(&at, value)?),
            "upstream" => expect.upstream = decoder.texts(&at, value)?,
            _ => expect.client = decoder.texts(&at, value)?,
        }
    }
    Some(expect)
}

fn action(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Box<str>> {
    let text = decoder.text(at, node)?;
    if ACTIONS.contains(&&*text) {
        return Some(text);
    }
    let known = listed(ACTIONS).unwrap_or_default();
    decoder.unknown(codes::AG1007, at, &node.span, "outcome", &text, ACTIONS);
    if let Some(diagnostic) = decoder.diagnostics.last_mut()
        && diagnostic.help.is_none()
    {
        diagnostic.help = Some(format!("known are {known}"));
    }
    None
}

fn read_exchange(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    facts: Facts,
) -> Option<WholeExchange> {
    let members = decoder.mapping(at, node, EXCHANGE)?;
    let mut request = None;
    let mut response = None;
    let mut properties = MemoryProperties::default();
    for member in members {
        let at = at.key(&member.key);
        match &*member.key {
            "request" => request = Some(read_half(decoder, &at, &member.value, EXCHANGE_REQUEST)?),
            "response" => {
                response = Some(read_half(decoder, &at, &member.value, EXCHANGE_RESPONSE)?);
            }
            "peer" => match MemoryProperties::of_peer(&as_json(&member.value)) {
                Ok(peer) => properties.extend(peer),
                Err(what) => {
                    let help = "for example `peer: 10.0.0.7` or `peer: spiffe://td/ns/acme/sa/bot`";
                    decoder.error(codes::AG1005, &at, &member.value.span, &what, help);
                    return None;
                }
            },
            _ if !matches!(member.value.data, NodeValue::Map(_)) => {
                decoder.wrong_type(&at, &member.value, "a mapping of properties");
                return None;
            }
            _ => properties.extend(MemoryProperties::of_json(&as_json(&member.value))),
        }
    }
    if request.is_none() {
        decoder.error(codes::AG1006, at, &node.span, "`request` is missing", "");
    }
    Some(WholeExchange {
        request: request?,
        response,
        properties,
        facts: Box::new(facts),
    })
}

fn as_json(node: &Node) -> serde_json::Value {
    let mut text = Vec::new();
    node.write_json(&mut text);
    serde_json::from_slice(&text).unwrap_or_default()
}

fn read_half(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    known: &[&str],
) -> Option<HalfExchange> {
    let mut half = HalfExchange::default();
    let mut others = Vec::new();
    let mut method: Box<str> = "POST".into();
    let mut host: Box<str> = "".into();
    let mut path = None;
    let mut status = 200;
    for member in decoder.mapping(at, node, known)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match &*member.key {
            "method" => method = decoder.text(&at, value)?,
            "host" => host = decoder.text(&at, value)?,
            "path" => path = Some(decoder.text(&at, value)?),
            "status" => status = decoder.count(&at, value)?,
            "headers" => {
                if !matches!(value.data, NodeValue::Map(_)) {
                    decoder.wrong_type(&at, value, "a mapping of headers");
                    return None;
                }
                for header in value.members() {
                    let text = decoder.text(&at.key(&header.key), &header.value)?;
                    others.push((header.key.to_ascii_lowercase(), text.into()));
                }
            }
            _ => match &value.data {
                // Sent as it is, so that a test can send invalid JSON.
                NodeValue::String(text) => half.body = text.as_bytes().to_vec(),
                NodeValue::Null => {}
                _ => value.write_json(&mut half.body),
            },
        }
    }
    if known == EXCHANGE_REQUEST {
        let Some(path) = path else {
            decoder.error(
                codes::AG1006,
                at,
                &node.span,
                "`path` is missing",
                "for example `path: /v1/chat/completions`",
            );
            return None;
        };
        half.headers = vec![
            (":method".to_owned(), method.into()),
            (":path".to_owned(), path.into()),
            (":authority".to_owned(), host.into()),
        ];
    } else {
        half.headers = vec![(":status".to_owned(), status.to_string())];
    }
    if !half.body.is_empty() && !others.iter().any(|(name, _)| name == "content-type") {
        let kind = "application/json".to_owned();
        half.headers.push(("content-type".to_owned(), kind));
    }
    half.headers.extend(others);
    Some(half)
}
