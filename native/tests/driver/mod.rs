//! Exchanges through the hooks of the module as Envoy calls them: bodies cut anywhere and damaged, exchanges that end anywhere,
//! callbacks that fail, replies that end the exchange before they return.

use crate::envoy::{Buffer, Ending, Header, Stream, end};
use agentguard::approval::SigningKey;
use serde_json::{Value, json};
use std::ffi::c_void;

unsafe extern "C" {
    fn envoy_dynamic_module_on_http_filter_config_new(
        envoy: *mut c_void,
        name: Buffer,
        config: Buffer,
    ) -> *const c_void;
    fn envoy_dynamic_module_on_http_filter_config_destroy(configuration: *const c_void);
    fn envoy_dynamic_module_on_http_filter_new(
        configuration: *const c_void,
        envoy: *mut c_void,
    ) -> *mut c_void;
    fn envoy_dynamic_module_on_http_filter_request_headers(
        envoy: *mut c_void,
        exchange: *mut c_void,
        end: bool,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_request_body(
        envoy: *mut c_void,
        exchange: *mut c_void,
        end: bool,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_request_trailers(
        envoy: *mut c_void,
        exchange: *mut c_void,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_response_headers(
        envoy: *mut c_void,
        exchange: *mut c_void,
        end: bool,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_response_body(
        envoy: *mut c_void,
        exchange: *mut c_void,
        end: bool,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_response_trailers(
        envoy: *mut c_void,
        exchange: *mut c_void,
    ) -> u32;
    fn envoy_dynamic_module_on_http_filter_http_callout_done(
        envoy: *mut c_void,
        exchange: *mut c_void,
        number: u64,
        result: u32,
        headers: *const Header,
        header_count: usize,
        chunks: *const Buffer,
        chunk_count: usize,
    );
    fn envoy_dynamic_module_on_http_filter_stream_complete(
        envoy: *mut c_void,
        exchange: *mut c_void,
    );
    fn envoy_dynamic_module_on_http_filter_destroy(exchange: *mut c_void);
}

/// Source of choices: a series of numbers, or bytes that a fuzzer has chosen.
pub enum Dice<'b> {
    /// Fixed series, starting with this number.
    Series(u64),
    /// One byte for each choice, two for a choice of many. After the last byte nothing unusual happens any more.
    Bytes(std::slice::Iter<'b, u8>),
}

impl Dice<'_> {
    fn below(&mut self, limit: usize) -> usize {
        match self {
            Dice::Series(number) => {
                *number ^= *number << 13;
                *number ^= *number >> 7;
                *number ^= *number << 17;
                (*number % limit.max(1) as u64) as usize
            }
            Dice::Bytes(bytes) => {
                let mut next = || bytes.next().copied().map(usize::from);
                let high = if limit > 256 { next() } else { Some(0) };
                match (high, next()) {
                    (Some(high), Some(low)) => ((high << 8) | low) % limit.max(1),
                    _ => limit.saturating_sub(1),
                }
            }
        }
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

/// Word that the policy denies, in a client's and in a model's text.
const FORBIDDEN: &str = "forbidden";
const CARD: &str = "4111 1111 1111 1111";

/// Returns the policy, with headers that are `hold` or `portable`.
pub fn policy(headers: &str) -> Value {
    let key = |name: &str| SigningKey::from_seed(name, [2; 32]).public();
    json!({
        "apiVersion": "agentguard.dev/v1",
        "kind": "AgentPolicy",
        "metadata": {"name": "boundary"},
        "envoy": {"headers": headers},
        "defaults": {"action": "allow"},
        "approvers": {"manager": key("manager")},
        "approval_service": {"cluster": "approvals", "path": "/v1/approvals", "authority": "approvals.example"},
        "rules": [
            {"id": "no-word", "match": {"event": ["message", "response"]}, "when": {"text": {"contains": FORBIDDEN}}, "action": "deny"},
            {"id": "cards", "match": {"event": ["message", "response"]}, "when": {"text": {"detects": "credit_card"}}, "action": "redact"},
            {"id": "refunds", "match": {"tool": "refund"}, "action": "require_approval", "approval": {"by": "manager", "wait": "30s"}},
        ],
    })
}

/// Configuration in force, until it is dropped.
pub struct InForce {
    configuration: *const c_void,
    /// Whether the policy only observes.
    observes: bool,
}

impl InForce {
    /// Puts a policy in force.
    pub fn new(text: &str) -> InForce {
        let mut host = Box::new(0_u64);
        let host = (&raw mut *host).cast();
        // SAFETY: Envoy's side of a configuration is only handed back.
        let made = unsafe {
            let (name, text) = (Buffer::of(b"agentguard"), Buffer::of(text.as_bytes()));
            envoy_dynamic_module_on_http_filter_config_new(host, name, text)
        };
        assert!(!made.is_null(), "{text}");
        InForce {
            configuration: made,
            observes: text.contains(r#""mode":"observe""#),
        }
    }
}

impl Drop for InForce {
    fn drop(&mut self) {
        // SAFETY: made above, and given back once.
        unsafe { envoy_dynamic_module_on_http_filter_config_destroy(self.configuration) };
    }
}

/// One half as it is sent.
struct Message {
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    trailers: bool,
    /// Whether nothing was damaged, so that a body with denied content has to be denied.
    is_whole: bool,
}

fn chat(text: &str) -> Vec<u8> {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
        .to_string()
        .into_bytes()
}

fn completion(text: &str) -> Vec<u8> {
    let message = json!({"role": "assistant", "content": text});
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    .to_string()
    .into_bytes()
}

fn chunks_of(text: &str) -> Vec<u8> {
    let mut out = String::new();
    for word in text.split_inclusive(' ') {
        let delta = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
            "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": null}]});
        out.push_str(&format!("data: {delta}\n\n"));
    }
    out.push_str("data: [DONE]\n\n");
    out.into_bytes()
}

fn call() -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "refund", "arguments": {"amount": 250}}})
    .to_string()
    .into_bytes()
}

fn text(dice: &mut Dice<'_>) -> String {
    let words = [
        "hello ",
        FORBIDDEN,
        " and ",
        CARD,
        " ",
        "a\u{200b}b ",
        "💳 ",
    ];
    (0..1 + dice.below(6))
        .map(|_| words[dice.below(words.len())])
        .collect::<Vec<_>>()
        .join(", ")
}

fn damaged(mut body: Vec<u8>, dice: &mut Dice<'_>) -> Vec<u8> {
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(body.len().max(1));
        match dice.below(3) {
            0 => body.truncate(at),
            1 if !body.is_empty() => body[at] = dice.below(256) as u8,
            _ => body.insert(at.min(body.len()), b"{}[]\",:\\\n\0"[dice.below(10)]),
        }
    }
    body
}

impl Message {
    fn request(dice: &mut Dice<'_>) -> Message {
        let is_call = dice.one_in(5);
        let body = match is_call {
            true => call(),
            false => chat(&text(dice)),
        };
        let path = match is_call {
            true => "/mcp",
            false => "/v1/chat/completions",
        };
        let mut headers = vec![
            (":method", "POST".to_owned()),
            (":path", path.to_owned()),
            (":authority", "api.openai.com".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("x-request-id", "b0".to_owned()),
        ];
        if is_call {
            headers.push(("accept", "application/json, text/event-stream".to_owned()));
            headers.push(("mcp-protocol-version", "2025-06-18".to_owned()));
        }
        Message::with(headers, body, dice)
    }

    fn response(dice: &mut Dice<'_>) -> Message {
        let (kind, body) = match dice.one_in(2) {
            true => ("application/json", completion(&text(dice))),
            false => ("text/event-stream", chunks_of(&text(dice))),
        };
        let headers = vec![
            (":status", "200".to_owned()),
            ("content-type", kind.to_owned()),
        ];
        Message::with(headers, body, dice)
    }

    fn with(
        mut headers: Vec<(&'static str, String)>,
        mut body: Vec<u8>,
        dice: &mut Dice<'_>,
    ) -> Message {
        let is_whole = !dice.one_in(3);
        if !is_whole {
            body = damaged(body, dice);
        }
        if dice.one_in(2) {
            headers.push(("content-length", body.len().to_string()));
        }
        Message {
            headers,
            body,
            trailers: dice.one_in(4),
            is_whole,
        }
    }
}

type HeadersHook = unsafe extern "C" fn(*mut c_void, *mut c_void, bool) -> u32;
type TrailersHook = unsafe extern "C" fn(*mut c_void, *mut c_void) -> u32;

/// Hooks of one half, and the indices of its parts.
struct Side {
    headers: HeadersHook,
    body: HeadersHook,
    trailers: TrailersHook,
    map: usize,
    received: usize,
}

const REQUEST: Side = Side {
    headers: envoy_dynamic_module_on_http_filter_request_headers,
    body: envoy_dynamic_module_on_http_filter_request_body,
    trailers: envoy_dynamic_module_on_http_filter_request_trailers,
    map: 0,
    received: 0,
};

const RESPONSE: Side = Side {
    headers: envoy_dynamic_module_on_http_filter_response_headers,
    body: envoy_dynamic_module_on_http_filter_response_body,
    trailers: envoy_dynamic_module_on_http_filter_response_trailers,
    map: 2,
    received: 2,
};

/// Runs `hook`, unless the exchange has ended. Envoy then calls no hook any more.
fn hook(stream: *mut Stream, hook: impl FnOnce(*mut c_void, *mut c_void) -> u32) -> Option<u32> {
    // SAFETY: the driver owns the stream, and no hook runs.
    let envoys = unsafe { &mut *stream };
    if envoys.reply.is_some() || envoys.is_reset {
        return None;
    }
    let exchange = envoys.exchange?;
    envoys.move_house();
    let status = hook(stream.cast(), exchange);
    // SAFETY: as above.
    unsafe { &mut *stream }.move_house();
    Some(status)
}

/// Forwards everything that is at hand. A later filter that holds it has it in the buffer of all filters until the end.
fn forward(stream: *mut Stream, side: &Side, out: &mut Vec<u8>, is_end: bool) {
    // SAFETY: the driver owns the stream, and no hook runs.
    let (bodies, is_held) = unsafe { (&mut (*stream).bodies, (*stream).is_held_behind) };
    if is_held && !is_end {
        let received = std::mem::take(&mut bodies[side.received]);
        bodies[side.received + 1].extend(received);
        return;
    }
    for body in [side.received + 1, side.received] {
        for chunk in bodies[body].drain(..) {
            out.extend_from_slice(&chunk);
        }
    }
}

/// Responds to the calls that the exchange has made, in any way.
fn answer_calls(
    stream: *mut Stream,
    side: &Side,
    out: &mut Vec<u8>,
    dice: &mut Dice<'_>,
    is_end: bool,
) {
    // SAFETY: the driver owns the stream, and no hook runs.
    while let Some(number) = unsafe { (*stream).calls.pop() } {
        let bodies: [&[u8]; 3] = [b"{\"decision\":\"deny\"}", b"{", b""];
        let body = Box::<[u8]>::from(bodies[dice.below(3)]);
        let (name, status) = (Box::<[u8]>::from(*b":status"), Box::<[u8]>::from(*b"200"));
        let result = dice.below(3) as u32;
        hook(stream, |stream, exchange| {
            let header = Header {
                name: Buffer::of(&name),
                value: Buffer::of(&status),
            };
            let chunk = Buffer::of(&body);
            // SAFETY: what is lent outlives the call.
            unsafe {
                envoy_dynamic_module_on_http_filter_http_callout_done(
                    stream,
                    exchange,
                    number,
                    result,
                    &raw const header,
                    1,
                    &raw const chunk,
                    1,
                );
            }
            0
        });
        // SAFETY: as above.
        if std::mem::take(unsafe { &mut (*stream).goes_on }) {
            forward(stream, side, out, is_end);
        }
    }
}

/// Sends one half. Returns the forwarded bytes; `None` if the exchange has ended before the end of the half.
fn send(
    stream: *mut Stream,
    side: &Side,
    message: &Message,
    dice: &mut Dice<'_>,
) -> (Vec<u8>, Option<()>) {
    let mut out = Vec::new();
    let ended = send_into(stream, side, message, &mut out, dice);
    (out, ended)
}

fn send_into(
    stream: *mut Stream,
    side: &Side,
    message: &Message,
    out: &mut Vec<u8>,
    dice: &mut Dice<'_>,
) -> Option<()> {
    let headers = message
        .headers
        .iter()
        .map(|(name, value)| (name.as_bytes().into(), Box::<[u8]>::from(value.as_bytes())));
    // SAFETY: the driver owns the stream, and no hook runs.
    unsafe { (*stream).maps[side.map] = Some(headers.collect()) };
    let has_no_body = message.body.is_empty() && !message.trailers;
    // SAFETY: the hooks are the module's, called with its own exchange; so it is below.
    hook(stream, |envoy, exchange| unsafe {
        (side.headers)(envoy, exchange, has_no_body)
    })?;
    answer_calls(stream, side, out, dice, has_no_body);
    let mut rest = message.body.as_slice();
    while !rest.is_empty() {
        if dice.one_in(60) {
            return None;
        }
        let (chunk, later) = rest.split_at(1 + dice.below(rest.len()));
        rest = later;
        // SAFETY: as above.
        unsafe { (*stream).bodies[side.received].push(chunk.into()) };
        let is_last = rest.is_empty() && !message.trailers;
        let status = hook(stream, |envoy, exchange| unsafe {
            (side.body)(envoy, exchange, is_last)
        })?;
        // SAFETY: as above.
        let bodies = unsafe { &mut (*stream).bodies };
        match status {
            0 => forward(stream, side, out, is_last),
            1 => {
                let received = std::mem::take(&mut bodies[side.received]);
                bodies[side.received + 1].extend(received);
            }
            3 => bodies[side.received].clear(),
            other => panic!("an answer that no Envoy knows: {other}"),
        }
        answer_calls(stream, side, out, dice, is_last);
    }
    if message.trailers {
        // SAFETY: as above.
        unsafe {
            (*stream).maps[side.map + 1] =
                Some(vec![(b"x-sum".to_vec().into(), b"1".to_vec().into())])
        };
        let status = hook(stream, |envoy, exchange| unsafe {
            (side.trailers)(envoy, exchange)
        })?;
        if status == 0 {
            forward(stream, side, out, true);
        }
        answer_calls(stream, side, out, dice, true);
    }
    // SAFETY: as above.
    let has_ended = unsafe { (*stream).reply.is_some() || (*stream).is_reset };
    (!has_ended).then_some(())
}

fn has(bytes: &[u8], word: &str) -> bool {
    bytes
        .windows(word.len())
        .any(|window| window == word.as_bytes())
}

/// Checks that the forwarded bytes of a whole message contain nothing denied, whatever failed and wherever it was cut.
fn check(what: &str, message: &Message, out: &[u8]) {
    if message.is_whole
        && message
            .headers
            .iter()
            .any(|(_, value)| value == "application/json")
    {
        assert!(
            !has(out, FORBIDDEN),
            "{what}: {}",
            String::from_utf8_lossy(out)
        );
        assert!(!has(out, CARD), "{what}: {}", String::from_utf8_lossy(out));
    }
    if message.is_whole && message.headers.iter().any(|(_, value)| value == "/mcp") {
        assert!(out.is_empty(), "{what}: nobody has approved it");
    }
}

/// Exchange that has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// Forwarded request, if all of it was.
    pub request: Option<String>,
    /// Forwarded response, if all of it was.
    pub response: Option<String>,
    /// Members of the audit event about what was read.
    pub event: [Value; 4],
    /// Value of the header `grpc-status` of the reply.
    pub grpc_status: Option<Vec<u8>>,
}

/// Runs one exchange.
pub fn exchange(in_force: &InForce, dice: &mut Dice<'_>) -> Ended {
    exchange_before(in_force, dice, false)
}

/// Runs one exchange, before another filter that may hold what the module forwards.
pub fn exchange_before(in_force: &InForce, dice: &mut Dice<'_>, is_held_behind: bool) -> Ended {
    let request = Message::request(dice);
    exchange_of(in_force, dice, request, is_held_behind)
}

/// Runs an exchange whose request has this content type.
pub fn exchange_as(in_force: &InForce, content_type: &str) -> Ended {
    let mut dice = Dice::Bytes([].iter());
    let mut request = Message::request(&mut dice);
    for (name, value) in &mut request.headers {
        if *name == "content-type" {
            content_type.clone_into(value);
        }
    }
    exchange_of(in_force, &mut dice, request, false)
}

fn exchange_of(
    in_force: &InForce,
    dice: &mut Dice<'_>,
    request: Message,
    is_held_behind: bool,
) -> Ended {
    let stream = Box::into_raw(Box::new(Stream {
        is_held_behind,
        fails_at: if dice.one_in(4) {
            1 + dice.below(30)
        } else {
            0
        },
        ends_within_reply: dice.one_in(2),
        ending: Some(Ending {
            complete: envoy_dynamic_module_on_http_filter_stream_complete,
            destroy: envoy_dynamic_module_on_http_filter_destroy,
        }),
        ..Stream::default()
    }));
    // SAFETY: the configuration is in force, and the stream lives until the end of this function.
    unsafe {
        let made = envoy_dynamic_module_on_http_filter_new(in_force.configuration, stream.cast());
        assert!(!made.is_null());
        (*stream).exchange = Some(made);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (sent, passed) = send(stream, &REQUEST, &request, dice);
    let check = |what: &str, message: &Message, out: &[u8]| {
        if !in_force.observes {
            check(what, message, out);
        }
    };
    check("request", &request, &sent);
    let mut answered = None;
    if passed.is_some() {
        let response = Message::response(dice);
        let (out, passed) = send(stream, &RESPONSE, &response, dice);
        check("response", &response, &out);
        answered = passed.map(|()| text(&out));
    }
    end(stream);
    // SAFETY: the module's part was destroyed, and no other reference exists.
    let stream = unsafe { Box::from_raw(stream) };
    assert_eq!(stream.lines, 1, "each exchange has one audit line");
    let line = stream
        .state
        .get(b"wasm.agentguard".as_slice())
        .expect("a line");
    let line: Value = serde_json::from_slice(line).expect("JSON");
    assert!(line["decision"].is_string(), "{line}");
    let event = ["decision", "rules", "findings", "coverage"];
    Ended {
        request: passed.map(|()| text(&sent)),
        response: answered,
        event: event.map(|member| line[member].clone()),
        grpc_status: stream.grpc_status,
    }
}
