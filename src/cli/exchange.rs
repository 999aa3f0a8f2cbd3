//! Recorded exchanges, replayed through the filter's flow without Envoy.
//!
//! One exchange per line:
//! `{"id","request":{method,host,path,headers,body,body_encoding?},"response":{status,headers,body,…}}`.

use super::check_result::CheckResult;
use super::{Failed, content_encoding, output};
use crate::author::HalfExchange;
use crate::flow::simulation::{self, Caller, HttpMessage, SimulatedResult};
use crate::flow::{EventObserver, Guard, HostEnvironment};
use crate::policy::{Node, describe_principal, load_with_zones, parse_json};
use crate::proxy::{MemoryProperties, MemorySharedData};
use crate::wire::json::Decimal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Recorded exchange.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a `request`")]
pub(super) struct Recorded {
    #[serde(default)]
    pub(super) id: Value,
    pub(super) request: RecordedRequest,
    #[serde(default)]
    pub(super) response: Option<RecordedResponse>,
    /// Peer of the connection: an address, a SPIFFE id, or `{"address", "uri_san", "dns_san", "subject"}`.
    #[serde(default)]
    pub(super) peer: Option<Value>,
    /// Envoy's properties, by their path: `{"metadata": {"filter_metadata": {…}}}`.
    #[serde(default)]
    pub(super) properties: Option<Value>,
    /// Principal, given instead of credentials.
    #[serde(default)]
    pub(super) principal: Option<Value>,
    /// Roles that have approved the exchange, given instead of tokens.
    #[serde(default)]
    pub(super) approved_by: Vec<Box<str>>,
    /// Start of the exchange, RFC 3339.
    #[serde(default)]
    pub(super) time: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a request: an object with `path`, `headers` and `body`")]
pub(super) struct RecordedRequest {
    #[serde(default = "post")]
    pub(super) method: String,
    #[serde(default)]
    pub(super) host: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) body: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) body_encoding: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a response: an object with `status`, `headers` and `body`")]
pub(super) struct RecordedResponse {
    #[serde(default = "success")]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) body: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) body_encoding: Option<String>,
}

/// Returns the default method: nearly every request to a model is a POST.
fn post() -> String {
    "POST".to_owned()
}

/// Returns the default status.
fn success() -> u16 {
    200
}

impl RecordedRequest {
    /// Returns the host; recorders that write none have it among the headers.
    fn host(&self) -> String {
        let named = |wanted: &str| {
            let mut headers = self.headers.iter();
            let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
            values_of(value).find_map(text_of)
        };
        match self.host.is_empty() {
            true => named(":authority")
                .or_else(|| named("host"))
                .unwrap_or_default(),
            false => self.host.clone(),
        }
    }
}

impl Recorded {
    /// Parses one line.
    pub(super) fn parse(line: &[u8]) -> Result<Recorded, String> {
        let recorded: Recorded =
            serde_json::from_slice(line).map_err(|error| output::json_fault(&error))?;
        // A value that is ignored or read as another one could change the decision.
        let response = recorded.response.as_ref();
        let responded = response.into_iter().flat_map(|response| &response.headers);
        for (name, value) in recorded.request.headers.iter().chain(responded) {
            if values_of(value).any(|value| text_of(value).is_none()) {
                return Err(format!("header `{name}`: write a text, or a list of texts"));
            }
        }
        match &recorded.time {
            Some(time) if moment(time).is_none() => Err(format!(
                "time `{time}`: this is no moment with its offset; write for example `2026-01-31T08:00:00Z`"
            )),
            _ => Ok(recorded),
        }
    }

    /// Returns the caller of the exchange.
    pub(super) fn caller(&self) -> Result<Caller, String> {
        let mut properties = match &self.peer {
            Some(peer) => MemoryProperties::of_peer(peer)?,
            None => MemoryProperties::default(),
        };
        properties.extend(MemoryProperties::of_json(
            self.properties.as_ref().unwrap_or(&Value::Null),
        ));
        let principal = match &self.principal {
            None => None,
            Some(principal) => {
                let node = parse_json(principal.to_string().as_bytes())
                    .map_err(|error| error.message.clone())?;
                let told = describe_principal(&node).map_err(|errors| {
                    let first = errors.first().map(ToString::to_string);
                    format!("principal: {}", first.unwrap_or_default())
                })?;
                Some(told)
            }
        };
        Ok(Caller {
            properties,
            principal,
            approved_by: self.approved_by.clone(),
        })
    }

    /// Returns the client's message.
    pub(super) fn request(&self) -> Result<HttpMessage, String> {
        let request = &self.request;
        let body = bytes_of(&request.body, &request.body_encoding)?;
        let mut headers = vec![
            (":method".to_owned(), request.method.clone()),
            (":path".to_owned(), request.path.clone()),
            (":authority".to_owned(), request.host()),
        ];
        headers.extend(as_it_travelled(
            &request.headers,
            &body,
            &request.body_encoding,
        ));
        headers.extend(media_of(&request.body, &request.headers));
        // Envoy's decompressors stand before the filter.
        Ok(content_encoding::decode(
            half(&headers, &body),
            content_encoding::OF_REQUESTS,
        ))
    }

    /// Returns the upstream's message.
    pub(super) fn response(&self) -> Result<HttpMessage, String> {
        let Some(response) = &self.response else {
            return Ok(half(&[(":status".to_owned(), "200".to_owned())], b""));
        };
        let body = bytes_of(&response.body, &response.body_encoding)?;
        let mut headers = vec![(":status".to_owned(), response.status.to_string())];
        headers.extend(as_it_travelled(
            &response.headers,
            &body,
            &response.body_encoding,
        ));
        headers.extend(media_of(&response.body, &response.headers));
        Ok(half(&headers, &body))
    }
}

/// Returns the media type of a JSON body, if no header contains one.
fn media_of(
    body: &Option<Box<RawValue>>,
    headers: &BTreeMap<String, Value>,
) -> Option<(String, String)> {
    let is_named = headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("content-type"));
    let is_json = body.as_deref().is_some_and(is_inline);
    (is_json && !is_named).then(|| ("content-type".to_owned(), "application/json".to_owned()))
}

/// Returns recorded headers adjusted to the recorded body: recorders decode bodies without changing the headers.
fn as_it_travelled(
    headers: &BTreeMap<String, Value>,
    body: &[u8],
    encoding: &Option<String>,
) -> Vec<(String, String)> {
    let mut list = header_list(headers);
    list.retain(|(name, _)| {
        !name.starts_with(':')
            && !matches!(
                name.as_str(),
                "content-length" | "transfer-encoding" | "host"
            )
            && (name != "content-encoding" || encoding.is_some())
    });
    if !body.is_empty() {
        list.push(("content-length".to_owned(), body.len().to_string()));
    }
    list
}

fn half(headers: &[(String, String)], body: &[u8]) -> HttpMessage {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    HttpMessage::new(&headers, body)
}

impl From<&HalfExchange> for HttpMessage {
    fn from(described: &HalfExchange) -> HttpMessage {
        let mut headers = described.headers.clone();
        if !described.body.is_empty() && !headers.iter().any(|(name, _)| name == "content-length") {
            let length = described.body.len().to_string();
            headers.push(("content-length".to_owned(), length));
        }
        half(&headers, &described.body)
    }
}

/// Returns whether a recorded body is JSON itself, not a string that contains it.
fn is_inline(body: &RawValue) -> bool {
    body.get().starts_with(['{', '['])
}

/// Returns the bytes of a recorded body.
pub(super) fn bytes_of(
    body: &Option<Box<RawValue>>,
    encoding: &Option<String>,
) -> Result<Vec<u8>, String> {
    let Some(body) = body else {
        return Ok(Vec::new());
    };
    // Inline JSON, as in tests, is used byte for byte: serialising it again would lose a repeated key or a digit.
    if is_inline(body) && encoding.is_none() {
        return Ok(body.get().as_bytes().to_vec());
    }
    let text = serde_json::from_str(body.get()).map_err(|error| output::json_fault(&error))?;
    match (text, encoding.as_deref()) {
        (Value::Null, _) => Ok(Vec::new()),
        (Value::String(body), None) => Ok(body.into_bytes()),
        (Value::String(body), Some("base64")) => STANDARD
            .decode(body)
            .map_err(|error| format!("the body is not base64: {error}")),
        (Value::String(_), Some(other)) => Err(format!(
            "body_encoding `{other}` is not known; it is `base64` or absent"
        )),
        _ => Err("a body is a text, or JSON: an object or a list".to_owned()),
    }
}

/// Converts recorded headers. Each value is a string or a list of strings.
pub(super) fn header_list(headers: &BTreeMap<String, Value>) -> Vec<(String, String)> {
    let mut list = Vec::new();
    for (name, value) in headers {
        for value in values_of(value).filter_map(text_of) {
            list.push((name.to_ascii_lowercase(), value));
        }
    }
    list
}

fn values_of(header: &Value) -> impl Iterator<Item = &Value> {
    match header {
        Value::Array(values) => values.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

/// Returns a header's value as text. Recorders write lengths as numbers.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Policy in force without a proxy.
pub(super) struct OfflineProxy {
    guard: Rc<Guard>,
}

/// Result of a replayed exchange.
pub(super) struct ReplayResult {
    /// Decision in the audit event.
    pub(super) result: CheckResult,
    /// Messages that each side received.
    pub(super) seen: SimulatedResult,
}

impl ReplayResult {
    /// Returns whether another policy did the same with the exchange: the decision, the one without `observe`, and what
    /// each side received.
    pub(super) fn is_same(&self, other: &ReplayResult) -> bool {
        let upstream = |result: &ReplayResult| result.seen.upstream.as_ref().map(HttpMessage::body);
        self.result.action == other.result.action
            && self.result.would == other.result.would
            && self.seen.client == other.seen.client
            && upstream(self) == upstream(other)
    }
}

impl OfflineProxy {
    /// Puts a policy in force. `environment` is the name that a proxy would provide.
    pub(super) fn new(root: &Node, environment: Option<&str>) -> Result<OfflineProxy, Failed> {
        let Some(policy) = load_with_zones(root).policy else {
            return Err(output::print_error("the policy is not valid"));
        };
        let key = policy.document.audit.key.clone();
        let document = &policy.document;
        let keys = document
            .key_variables()
            .chain(document.approver_variables());
        let keys: Vec<Box<str>> = keys.map(Box::from).collect();
        let surroundings = HostEnvironment {
            // The key of the chain's MAC has no effect on decisions. A proxy would provide all other variables.
            variable: &|name| match key.as_deref() {
                Some(key) if key == name => Some("agentguard".to_owned()),
                _ if keys.iter().any(|key| **key == *name) => Some(key_in(name)),
                _ => environment.map(str::to_owned),
            },
            node_environment: &|| environment.map(str::to_owned),
            seed: [0; 40],
            shared_data: Rc::new(MemorySharedData::default()),
            kill: Rc::default(),
        };
        match Guard::new(policy, &surroundings) {
            Ok(guard) => Ok(OfflineProxy {
                guard: Rc::new(guard),
            }),
            Err(error) => Err(output::print_error(&format!(
                "{}: {}",
                error.code, error.message
            ))),
        }
    }

    /// Sets the amount with which the counters of a rule's limit begin.
    pub(super) fn begin_with(&self, rule: &str, used: &Decimal) {
        self.guard.begin_with(rule, used);
    }

    /// Replays an exchange at a time in nanoseconds since 1970.
    pub(super) fn evaluate(
        &self,
        caller: &Caller,
        request: &HttpMessage,
        response: HttpMessage,
        now: u64,
    ) -> ReplayResult {
        self.evaluate_watched(caller, request, response, now, None)
    }

    /// Replays an exchange like [`evaluate`](OfflineProxy::evaluate), with an observer of each evaluated event.
    pub(super) fn evaluate_watched(
        &self,
        caller: &Caller,
        request: &HttpMessage,
        response: HttpMessage,
        now: u64,
        watcher: Option<EventObserver>,
    ) -> ReplayResult {
        let answer = |asked: &HttpMessage| match asked.header("accept-encoding") {
            // A provider that is asked for an uncompressed response sends one.
            Some(b"identity") => content_encoding::decode(response, content_encoding::OF_RESPONSES),
            _ => response,
        };
        let seen = simulation::run_as(caller, &self.guard, request, answer, now, watcher);
        let record: Value = serde_json::from_slice(&seen.finished.line).unwrap_or_default();
        ReplayResult {
            result: CheckResult::of_record(&record, &self.guard.policy),
            seen,
        }
    }
}

/// Returns an API key from the environment. For a variable that is not set, returns a placeholder that no request
/// contains.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is where the environment comes in, as in the proxy"
)]
fn key_in(name: &str) -> String {
    let set = std::env::var(name).ok().filter(|key| !key.is_empty());
    set.unwrap_or_else(|| format!("the variable {name} is not set here"))
}

/// Returns the current time in nanoseconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default()
}

/// Parses a time to nanoseconds since 1970.
pub(super) fn moment(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}
