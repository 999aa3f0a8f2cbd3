//! Functions of Envoy that a dynamic module may call, in a safe form.
//!
//! Source: `source/extensions/dynamic_modules/abi/abi.h` of Envoy. Every function here is in Envoy 1.38; newer ones are
//! looked up when they are needed, because a missing one would make Envoy reject the whole file.
#![expect(
    unsafe_code,
    reason = "the ABI passes pointers; every call here hands over memory that outlives it"
)]

use agentguard::flow::{HeaderEdit, Reply, ServiceAnswer};
use agentguard::metrics::METRICS;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::sync::OnceLock;

/// Bytes that the module lends to Envoy for one call, or Envoy to the module.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Buffer {
    data: *const u8,
    size: usize,
}

/// Header.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Header {
    name: Buffer,
    value: Buffer,
}

impl Buffer {
    const NULL: Buffer = Buffer {
        data: std::ptr::null(),
        size: 0,
    };

    fn of(bytes: &[u8]) -> Buffer {
        Buffer {
            data: bytes.as_ptr(),
            size: bytes.len(),
        }
    }

    /// Returns the bytes. Envoy writes an empty buffer as a null pointer.
    ///
    /// # Safety
    /// Envoy has written the buffer, and its bytes live as long as `'b`.
    pub(super) unsafe fn bytes<'b>(self) -> &'b [u8] {
        if self.data.is_null() || self.size == 0 {
            return &[];
        }
        // SAFETY: by the contract of this function; null and empty were excluded.
        unsafe { std::slice::from_raw_parts(self.data, self.size) }
    }
}

unsafe extern "C" {
    fn envoy_dynamic_module_callback_log(level: u32, message: Buffer);
    fn envoy_dynamic_module_callback_get_concurrency() -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: *mut c_void,
        name: Buffer,
        labels: *const Buffer,
        count: usize,
        id: *mut usize,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_define_gauge(
        config: *mut c_void,
        name: Buffer,
        labels: *const Buffer,
        count: usize,
        id: *mut usize,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
        config: *mut c_void,
        name: Buffer,
        labels: *const Buffer,
        count: usize,
        id: *mut usize,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_increment_counter(
        stream: *mut c_void,
        id: usize,
        values: *const Buffer,
        count: usize,
        by: u64,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_set_gauge(
        stream: *mut c_void,
        id: usize,
        values: *const Buffer,
        count: usize,
        value: u64,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_record_histogram_value(
        stream: *mut c_void,
        id: usize,
        values: *const Buffer,
        count: usize,
        value: u64,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_get_headers_size(stream: *mut c_void, map: u32) -> usize;
    fn envoy_dynamic_module_callback_http_get_headers(
        stream: *mut c_void,
        map: u32,
        headers: *mut Header,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_set_header(
        stream: *mut c_void,
        map: u32,
        name: Buffer,
        value: Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_send_response(
        stream: *mut c_void,
        status: u32,
        headers: *const Header,
        count: usize,
        body: Buffer,
        details: Buffer,
    );
    fn envoy_dynamic_module_callback_http_filter_reset_stream(
        stream: *mut c_void,
        reason: u32,
        details: Buffer,
    );
    fn envoy_dynamic_module_callback_http_get_body_size(stream: *mut c_void, body: u32) -> usize;
    fn envoy_dynamic_module_callback_http_get_body_chunks_size(
        stream: *mut c_void,
        body: u32,
    ) -> usize;
    fn envoy_dynamic_module_callback_http_get_body_chunks(
        stream: *mut c_void,
        body: u32,
        chunks: *mut Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_append_body(
        stream: *mut c_void,
        body: u32,
        bytes: Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_drain_body(
        stream: *mut c_void,
        body: u32,
        size: usize,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_received_buffered_request_body(
        stream: *mut c_void,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_received_buffered_response_body(
        stream: *mut c_void,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        stream: *mut c_void,
        name: Buffer,
        value: Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
        stream: *mut c_void,
        name: Buffer,
        value: *mut Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        stream: *mut c_void,
        attribute: u32,
        value: *mut Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
        stream: *mut c_void,
        attribute: u32,
        value: *mut u64,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_filter_get_attribute_bool(
        stream: *mut c_void,
        attribute: u32,
        value: *mut bool,
    ) -> bool;
    fn envoy_dynamic_module_callback_get_most_specific_route_config(
        stream: *mut c_void,
    ) -> *const c_void;
    fn envoy_dynamic_module_callback_http_filter_http_callout(
        stream: *mut c_void,
        number: *mut u64,
        cluster: Buffer,
        headers: *const Header,
        count: usize,
        body: Buffer,
        milliseconds: u64,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_http_callout(
        config: *mut c_void,
        number: *mut u64,
        cluster: Buffer,
        headers: *const Header,
        count: usize,
        body: Buffer,
        milliseconds: u64,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_continue_decoding(stream: *mut c_void);
    fn envoy_dynamic_module_callback_http_filter_continue_encoding(stream: *mut c_void);
    fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(
        config: *mut c_void,
    ) -> *mut c_void;
    fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: *mut c_void);
    fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
        scheduler: *mut c_void,
        event: u64,
    );
    fn envoy_dynamic_module_callback_http_get_buffer_limit(stream: *mut c_void) -> u64;
    fn envoy_dynamic_module_callback_http_set_buffer_limit(stream: *mut c_void, bytes: u64);

    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Details of the module's own replies and resets in access logs.
const REPLY: &[u8] = b"agentguard";

/// Level of a log line.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// Writes a line to Envoy's log, for its component `dynamic_modules`.
pub(crate) fn log(level: Level, message: &str) {
    // SAFETY: the message outlives the call.
    unsafe { envoy_dynamic_module_callback_log(level as u32, Buffer::of(message.as_bytes())) };
}

/// Returns the number of workers. Called only on the main thread.
pub(crate) fn workers() -> usize {
    // SAFETY: no pointers.
    let workers = unsafe { envoy_dynamic_module_callback_get_concurrency() };
    usize::try_from(workers).unwrap_or(1)
}

/// Header map.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Map {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
}

/// One half of an exchange.
#[derive(Clone, Copy)]
pub(crate) enum Half {
    Request,
    Response,
}

impl Half {
    pub(crate) fn headers(self) -> Map {
        match self {
            Half::Request => Map::RequestHeaders,
            Half::Response => Map::ResponseHeaders,
        }
    }

    /// Returns Envoy's numbers of the received and of the buffered body.
    fn buffers(self) -> (u32, u32) {
        match self {
            Half::Request => (0, 1),
            Half::Response => (2, 3),
        }
    }
}

/// Bytes of a half that this filter has in hand. All filters of a stream share the buffer, so that it may also have bytes
/// which this filter has forwarded and a later one holds.
#[derive(Clone, Copy)]
pub(crate) struct AtHand {
    /// Whether a part of the body has just arrived.
    pub(crate) received: bool,
    /// Whether the buffer has bytes that this filter holds.
    pub(crate) buffered: bool,
}

/// Properties that Envoy has of an exchange, as texts.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Attribute {
    SourceAddress = 24,
    SubjectPeerCertificate = 33,
    DnsSanPeerCertificate = 35,
    UriSanPeerCertificate = 37,
    ClusterName = 57,
}

/// Exchange of the current hook. It can't outlive the hook, and what is borrowed from it can't outlive the next change,
/// which is how long Envoy keeps it.
pub(crate) struct Stream<'h> {
    envoy: *mut c_void,
    hook: PhantomData<&'h mut ()>,
}

impl Stream<'_> {
    /// Returns the exchange with which Envoy has called a hook.
    ///
    /// # Safety
    /// Envoy has passed the pointer to the current hook, on this thread.
    pub(super) unsafe fn of_hook(envoy: *mut c_void) -> Self {
        Stream {
            envoy,
            hook: PhantomData,
        }
    }

    /// Returns all headers of a map in their order.
    pub(crate) fn headers(&self, map: Map) -> Option<Vec<(&[u8], &[u8])>> {
        // SAFETY: `envoy` is valid during the hook, by `of_hook`; this holds for all calls below.
        let count =
            unsafe { envoy_dynamic_module_callback_http_get_headers_size(self.envoy, map as u32) };
        let empty = Header {
            name: Buffer::NULL,
            value: Buffer::NULL,
        };
        let mut headers = vec![empty; count];
        // SAFETY: there is room for `count` headers.
        let is_known = unsafe {
            envoy_dynamic_module_callback_http_get_headers(
                self.envoy,
                map as u32,
                headers.as_mut_ptr(),
            )
        };
        // SAFETY: Envoy has written the headers and keeps them until they are changed, for which `self` is borrowed.
        let read = |header: Header| unsafe { (header.name.bytes(), header.value.bytes()) };
        // In the memory of the first list.
        is_known.then(|| headers.into_iter().map(read).collect())
    }

    /// Applies edits to headers or trailers. Returns `false` if one fails.
    pub(crate) fn edit(&mut self, map: Map, edits: &[HeaderEdit]) -> bool {
        edits.iter().all(|edit| {
            let (name, value) = match edit {
                HeaderEdit::Remove(name) => (name, Buffer::NULL),
                HeaderEdit::Set(name, value) => (name, Buffer::of(value.as_bytes())),
            };
            // SAFETY: the texts outlive the call.
            unsafe {
                envoy_dynamic_module_callback_http_set_header(
                    self.envoy,
                    map as u32,
                    Buffer::of(name.as_bytes()),
                    value,
                )
            }
        })
    }

    /// Returns whether the bytes that have just arrived are those that an earlier filter had buffered.
    fn is_received_buffered(&self, half: Half) -> bool {
        // SAFETY: no pointers but the exchange.
        unsafe {
            match half {
                Half::Request => {
                    envoy_dynamic_module_callback_http_received_buffered_request_body(self.envoy)
                }
                Half::Response => {
                    envoy_dynamic_module_callback_http_received_buffered_response_body(self.envoy)
                }
            }
        }
    }

    /// Returns the buffers with the bytes of a half that are at hand, in their order.
    fn buffers(&self, half: Half, at_hand: AtHand) -> impl Iterator<Item = u32> + use<> {
        let (received, buffered) = half.buffers();
        let is_one = at_hand.received && at_hand.buffered && self.is_received_buffered(half);
        let buffered = (at_hand.buffered && !is_one).then_some(buffered);
        let received = at_hand.received.then_some(received);
        buffered.into_iter().chain(received)
    }

    /// Returns the number of bytes of a half that are at hand.
    pub(crate) fn body_size(&self, half: Half, at_hand: AtHand) -> usize {
        let buffers = self.buffers(half, at_hand);
        // SAFETY: no pointers but the exchange.
        let sizes = buffers.map(|buffer| unsafe {
            envoy_dynamic_module_callback_http_get_body_size(self.envoy, buffer)
        });
        sizes.fold(0, usize::saturating_add)
    }

    /// Returns the first bytes of a half that are at hand, at most `max`; `None` if Envoy doesn't provide them.
    pub(crate) fn body(&self, half: Half, at_hand: AtHand, max: usize) -> Option<Vec<u8>> {
        let mut whole = Vec::with_capacity(self.body_size(half, at_hand).min(max));
        for buffer in self.buffers(half, at_hand) {
            // SAFETY: no pointers but the exchange.
            let count = unsafe {
                envoy_dynamic_module_callback_http_get_body_chunks_size(self.envoy, buffer)
            };
            if count == 0 {
                continue;
            }
            let mut chunks = vec![Buffer::NULL; count];
            // SAFETY: there is room for `count` chunks.
            let is_known = unsafe {
                envoy_dynamic_module_callback_http_get_body_chunks(
                    self.envoy,
                    buffer,
                    chunks.as_mut_ptr(),
                )
            };
            if !is_known {
                return None;
            }
            for chunk in chunks {
                // SAFETY: Envoy has written the chunks and keeps them until they are changed.
                let bytes = unsafe { chunk.bytes() };
                let rest = max.saturating_sub(whole.len());
                whole.extend_from_slice(bytes.get(..rest).unwrap_or(bytes));
            }
        }
        Some(whole)
    }

    /// Drops the bytes of a half that are at hand.
    pub(crate) fn drop_body(&mut self, half: Half, at_hand: AtHand) {
        for buffer in self.buffers(half, at_hand) {
            // SAFETY: no pointers but the exchange.
            unsafe {
                // If there is no such buffer, there is nothing to drain.
                envoy_dynamic_module_callback_http_drain_body(self.envoy, buffer, usize::MAX);
            }
        }
    }

    /// Replaces the bytes of a half that are at hand. Without any, the new ones follow those that another filter has buffered.
    pub(crate) fn replace_body(&mut self, half: Half, at_hand: AtHand, bytes: &[u8]) -> bool {
        self.drop_body(half, at_hand);
        let (received, buffered) = half.buffers();
        let last = if at_hand.received { received } else { buffered };
        // SAFETY: the bytes outlive the call.
        unsafe {
            envoy_dynamic_module_callback_http_append_body(self.envoy, last, Buffer::of(bytes))
        }
    }

    /// Sets filter state, which access logs read as `%FILTER_STATE(name:PLAIN)%`.
    pub(crate) fn set_filter_state(&mut self, name: &str, value: &[u8]) -> bool {
        // SAFETY: name and value outlive the call.
        unsafe {
            envoy_dynamic_module_callback_http_set_filter_state_bytes(
                self.envoy,
                Buffer::of(name.as_bytes()),
                Buffer::of(value),
            )
        }
    }

    /// Returns filter state that another filter has set.
    pub(crate) fn filter_state(&self, name: &str) -> Option<&[u8]> {
        let mut value = Buffer::NULL;
        // SAFETY: the name outlives the call, and so does the place for the value.
        let is_known = unsafe {
            envoy_dynamic_module_callback_http_get_filter_state_bytes(
                self.envoy,
                Buffer::of(name.as_bytes()),
                &raw mut value,
            )
        };
        // SAFETY: Envoy has written the value and keeps it until it is changed.
        is_known.then(|| unsafe { value.bytes() })
    }

    /// Returns a property of the exchange.
    pub(crate) fn attribute(&self, attribute: Attribute) -> Option<&[u8]> {
        let mut value = Buffer::NULL;
        // SAFETY: the place for the value outlives the call.
        let is_known = unsafe {
            envoy_dynamic_module_callback_http_filter_get_attribute_string(
                self.envoy,
                attribute as u32,
                &raw mut value,
            )
        };
        // SAFETY: Envoy has written the value and keeps it during the hook.
        is_known.then(|| unsafe { value.bytes() })
    }

    /// Returns whether the client has presented a certificate that Envoy has verified.
    pub(crate) fn is_mutual_tls(&self) -> Option<bool> {
        const CONNECTION_MTLS: u32 = 29;
        let mut value = false;
        // SAFETY: the place for the value outlives the call.
        let is_known = unsafe {
            envoy_dynamic_module_callback_http_filter_get_attribute_bool(
                self.envoy,
                CONNECTION_MTLS,
                &raw mut value,
            )
        };
        is_known.then_some(value)
    }

    /// Returns the status sent to the client.
    pub(crate) fn status(&self) -> Option<u16> {
        const RESPONSE_CODE: u32 = 15;
        let mut value = 0;
        // SAFETY: the place for the value outlives the call.
        let is_known = unsafe {
            envoy_dynamic_module_callback_http_filter_get_attribute_int(
                self.envoy,
                RESPONSE_CODE,
                &raw mut value,
            )
        };
        is_known.then(|| u16::try_from(value).ok()).flatten()
    }

    /// Returns Envoy's response code details. Empty for the module's own replies, and before Envoy 1.40, which would
    /// log an error for the call.
    pub(crate) fn details(&self) -> Vec<u8> {
        const RESPONSE_CODE_DETAILS: u32 = 16;
        let mut value = Buffer::NULL;
        let is_known = is_1_40()
            // SAFETY: the place for the value outlives the call.
            && unsafe {
                envoy_dynamic_module_callback_http_filter_get_attribute_string(
                    self.envoy,
                    RESPONSE_CODE_DETAILS,
                    &raw mut value,
                )
            };
        if !is_known {
            return Vec::new();
        }
        // SAFETY: Envoy has written the value and keeps it during the hook.
        match unsafe { value.bytes() } {
            REPLY => Vec::new(),
            details => details.to_vec(),
        }
    }

    /// Raises the limit of the bytes that Envoy buffers for this exchange.
    pub(crate) fn raise_buffer_limit(&mut self, bytes: u64) {
        // SAFETY: no pointers but the exchange.
        unsafe {
            let limit = envoy_dynamic_module_callback_http_get_buffer_limit(self.envoy);
            // A limit of 0 means none.
            if limit != 0 && limit < bytes {
                envoy_dynamic_module_callback_http_set_buffer_limit(self.envoy, bytes);
            }
        }
    }

    /// Returns the address of the configuration of the exchange's route. It identifies the configuration, and is never
    /// read.
    pub(crate) fn route(&self) -> Option<usize> {
        // SAFETY: no pointers but the exchange.
        let route =
            unsafe { envoy_dynamic_module_callback_get_most_specific_route_config(self.envoy) };
        (!route.is_null()).then(|| route.addr())
    }

    /// Updates a stat with these values of its labels. Their number must be that of its definition.
    pub(crate) fn update(&mut self, stat: Stat, values: &[impl AsRef<[u8]>], by: u64) {
        let mut lent = [Buffer::NULL; MAX_LABELS];
        for (place, value) in lent.iter_mut().zip(values) {
            *place = Buffer::of(value.as_ref());
        }
        let (data, count) = (lent.as_ptr(), values.len().min(MAX_LABELS));
        // A failure is ignored: a stat is no reason to deny a request.
        // SAFETY: the values outlive the call.
        let _ = unsafe {
            match stat.kind {
                StatKind::Counter => envoy_dynamic_module_callback_http_filter_increment_counter(
                    self.envoy, stat.id, data, count, by,
                ),
                StatKind::Gauge => envoy_dynamic_module_callback_http_filter_set_gauge(
                    self.envoy, stat.id, data, count, by,
                ),
                StatKind::Histogram => {
                    envoy_dynamic_module_callback_http_filter_record_histogram_value(
                        self.envoy, stat.id, data, count, by,
                    )
                }
            }
        };
    }

    /// Calls a service on behalf of the exchange. Returns Envoy's number of the call; `None` if it can't be made. Envoy
    /// may respond before this returns.
    pub(super) fn call(&self, callout: &Callout) -> Option<u64> {
        callout.send(|number, cluster, headers, count, body, milliseconds| {
            // SAFETY: what is handed over outlives the call, which copies it.
            unsafe {
                envoy_dynamic_module_callback_http_filter_http_callout(
                    self.envoy,
                    number,
                    cluster,
                    headers,
                    count,
                    body,
                    milliseconds,
                )
            }
        })
    }

    /// Continues a half that was held. Envoy may destroy the exchange before this returns.
    pub(super) fn go_on(self, half: Half) {
        // SAFETY: no pointers but the exchange.
        unsafe {
            match half {
                Half::Request => {
                    envoy_dynamic_module_callback_http_filter_continue_decoding(self.envoy);
                }
                Half::Response => {
                    envoy_dynamic_module_callback_http_filter_continue_encoding(self.envoy);
                }
            }
        }
    }

    /// Returns whether the request is gRPC to Envoy, whose clients ignore the status of HTTP: `application/grpc`, or with `+proto`
    /// and the like behind it. `application/grpc-web` is not.
    fn is_grpc(&self) -> bool {
        let headers = self.headers(Map::RequestHeaders).unwrap_or_default();
        headers.iter().any(|(name, value)| {
            let rest = value.strip_prefix(b"application/grpc");
            *name == b"content-type" && rest.is_some_and(|rest| matches!(rest, [] | [b'+', ..]))
        })
    }

    /// Sends a local reply. Envoy may destroy the exchange before this returns.
    pub(super) fn send(self, reply: &Reply) {
        let own = reply.headers.iter();
        let own = own.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let headers: Vec<Header> = own
            .chain(self.is_grpc().then(|| grpc_status(reply.status)))
            .map(|(name, value)| Header {
                name: Buffer::of(name),
                value: Buffer::of(value),
            })
            .collect();
        // SAFETY: the reply outlives the call.
        unsafe {
            envoy_dynamic_module_callback_http_send_response(
                self.envoy,
                u32::from(reply.status),
                headers.as_ptr(),
                headers.len(),
                Buffer::of(&reply.body),
                Buffer::of(REPLY),
            );
        }
    }

    /// Resets the exchange. Envoy may destroy it before this returns.
    pub(super) fn reset(self) {
        const LOCAL_RESET: u32 = 0;
        // SAFETY: the text outlives the call.
        unsafe {
            envoy_dynamic_module_callback_http_filter_reset_stream(
                self.envoy,
                LOCAL_RESET,
                Buffer::of(REPLY),
            );
        }
    }
}

/// Returns the header with the status of gRPC for a reply. Without it Envoy writes the one of success for a module, and for
/// a Wasm filter this one.
fn grpc_status(status: u16) -> (&'static [u8], &'static [u8]) {
    let status: &[u8] = match status {
        // Internal, unauthenticated, permission denied, unimplemented, unavailable, unknown.
        400 => b"13",
        401 => b"16",
        403 => b"7",
        404 => b"12",
        429 | 502 | 503 | 504 => b"14",
        _ => b"2",
    };
    (b"grpc-status", status)
}

/// Maximum labels of a metric.
const MAX_LABELS: usize = 4;

const _: () = {
    let mut metrics = METRICS;
    while let [metric, rest @ ..] = metrics {
        assert!(metric.labels.len() <= MAX_LABELS);
        metrics = rest;
    }
};

/// Kind of a stat.
#[derive(Clone, Copy)]
pub(crate) enum StatKind {
    Counter,
    Gauge,
    Histogram,
}

/// Stat that a configuration has defined.
#[derive(Clone, Copy)]
pub(crate) struct Stat {
    id: usize,
    kind: StatKind,
}

/// Request to a service behind an Envoy cluster.
pub(crate) struct Callout {
    /// Name of the cluster.
    pub(crate) cluster: Box<str>,
    /// Headers, including method, path and authority.
    pub(crate) headers: Vec<(&'static str, Box<str>)>,
    /// Body; empty if there is none.
    pub(crate) body: Vec<u8>,
    /// Timeout in seconds.
    pub(crate) seconds: u64,
}

impl Callout {
    /// Sends the request by a function of Envoy. Returns Envoy's number of it; `None` if it was not sent.
    fn send(
        &self,
        send: impl FnOnce(*mut u64, Buffer, *const Header, usize, Buffer, u64) -> u32,
    ) -> Option<u64> {
        let headers: Vec<Header> = self
            .headers
            .iter()
            .map(|(name, value)| Header {
                name: Buffer::of(name.as_bytes()),
                value: Buffer::of(value.as_bytes()),
            })
            .collect();
        let mut number = 0;
        let result = send(
            &raw mut number,
            Buffer::of(self.cluster.as_bytes()),
            headers.as_ptr(),
            headers.len(),
            Buffer::of(&self.body),
            self.seconds.saturating_mul(1_000),
        );
        (result == 0).then_some(number)
    }
}

/// Result of a call, as Envoy lends it for one hook.
pub(crate) struct Answer<'h> {
    status: Option<u16>,
    chunks: Vec<&'h [u8]>,
}

impl<'h> Answer<'h> {
    /// Returns the result with which Envoy has called a hook.
    ///
    /// # Safety
    /// Envoy has written this many headers and chunks, which live as long as `'h`.
    pub(super) unsafe fn of_hook(
        result: u32,
        headers: *const Header,
        count: usize,
        chunks: *const Buffer,
        chunk_count: usize,
    ) -> Answer<'h> {
        const SUCCESS: u32 = 0;
        // SAFETY: by the contract of this function; null stands for nothing.
        let (headers, chunks) = unsafe { (lent(headers, count), lent(chunks, chunk_count)) };
        let status = headers.iter().find_map(|header| {
            // SAFETY: by the contract of this function.
            let (name, value) = unsafe { (header.name.bytes(), header.value.bytes()) };
            let text = std::str::from_utf8(value)
                .ok()
                .filter(|_| name == b":status")?;
            text.parse().ok()
        });
        Answer {
            status: status.filter(|_| result == SUCCESS),
            // SAFETY: by the contract of this function.
            chunks: chunks
                .iter()
                .map(|chunk| unsafe { chunk.bytes() })
                .collect(),
        }
    }

    /// Calls `read` with the result. Its body is cut one byte after `most`, which shows that it is too long.
    pub(crate) fn with<T>(&self, most: usize, read: impl FnOnce(&ServiceAnswer<'_>) -> T) -> T {
        let Some(status) = self.status else {
            return read(&ServiceAnswer::Unreachable);
        };
        let bytes = self.chunks.iter().copied().flatten().copied();
        let body: Vec<u8> = bytes.take(most.saturating_add(1)).collect();
        read(&ServiceAnswer::Received {
            status,
            body: &body,
        })
    }
}

/// Returns the values that Envoy lends; null means none.
///
/// # Safety
/// Envoy has written this many values, which live as long as `'h`.
unsafe fn lent<'h, T>(first: *const T, count: usize) -> &'h [T] {
    if first.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: by the contract of this function; null and none were excluded.
    unsafe { std::slice::from_raw_parts(first, count) }
}

/// Handle that posts events to Envoy's main thread, from any thread. Events after the end of the configuration are
/// dropped.
pub(crate) struct Scheduler(*mut c_void);

// SAFETY: Envoy only puts events into the queue of its main thread through it, which it locks.
unsafe impl Send for Scheduler {}
// SAFETY: as above.
unsafe impl Sync for Scheduler {}

impl Scheduler {
    /// Makes the main thread call the configuration's hook with this number.
    pub(crate) fn post(&self, event: u64) {
        // SAFETY: the scheduler lives until it is dropped.
        unsafe {
            envoy_dynamic_module_callback_http_filter_config_scheduler_commit(self.0, event);
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: Envoy has made it for this value, and nothing uses it any more.
        unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_delete(self.0) };
    }
}

/// Envoy's side of a configuration.
#[derive(Clone)]
pub(crate) struct Host(*mut c_void);

// SAFETY: any thread reads nothing but the configuration's scope of stats through it, which Envoy's own workers share. What
// only the main thread may do, its hooks do.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

type UpdateOfConfiguration =
    unsafe extern "C" fn(*mut c_void, usize, *const Buffer, usize, u64) -> u32;

impl Host {
    /// Returns the configuration with which Envoy has called a hook.
    ///
    /// # Safety
    /// Envoy has passed the pointer, and the value is dropped before Envoy has destroyed the configuration.
    pub(super) unsafe fn of_hook(envoy: *mut c_void) -> Host {
        Host(envoy)
    }

    /// Defines a stat. Envoy allows that only while it creates the configuration.
    pub(crate) fn define(&self, kind: StatKind, name: &str, labels: &[&str]) -> Option<Stat> {
        let labels: Vec<Buffer> = labels
            .iter()
            .map(|label| Buffer::of(label.as_bytes()))
            .collect();
        let (name, data, count) = (Buffer::of(name.as_bytes()), labels.as_ptr(), labels.len());
        let mut id = 0;
        // SAFETY: the texts and the place for the id outlive the call.
        let result = unsafe {
            match kind {
                StatKind::Counter => {
                    envoy_dynamic_module_callback_http_filter_config_define_counter(
                        self.0,
                        name,
                        data,
                        count,
                        &raw mut id,
                    )
                }
                StatKind::Gauge => envoy_dynamic_module_callback_http_filter_config_define_gauge(
                    self.0,
                    name,
                    data,
                    count,
                    &raw mut id,
                ),
                StatKind::Histogram => {
                    envoy_dynamic_module_callback_http_filter_config_define_histogram(
                        self.0,
                        name,
                        data,
                        count,
                        &raw mut id,
                    )
                }
            }
        };
        (result == 0).then_some(Stat { id, kind })
    }

    /// Creates a handle that posts events to the main thread.
    pub(crate) fn scheduler(&self) -> Scheduler {
        // SAFETY: no pointers but the configuration.
        Scheduler(unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_new(self.0) })
    }

    /// Calls a service on behalf of the configuration. Returns Envoy's number of the call; `None` if it can't be made.
    /// Called only on the main thread. Envoy may respond before this returns.
    pub(crate) fn call(&self, callout: &Callout) -> Option<u64> {
        callout.send(|number, cluster, headers, count, body, milliseconds| {
            // SAFETY: what is handed over outlives the call, which copies it.
            unsafe {
                envoy_dynamic_module_callback_http_filter_config_http_callout(
                    self.0,
                    number,
                    cluster,
                    headers,
                    count,
                    body,
                    milliseconds,
                )
            }
        })
    }

    /// Updates a stat without an exchange. Returns `false` if this Envoy is too old for that.
    pub(crate) fn update(&self, stat: Stat, values: &[&[u8]], by: u64) -> bool {
        let name = match stat.kind {
            StatKind::Counter => {
                c"envoy_dynamic_module_callback_http_filter_config_increment_counter"
            }
            StatKind::Gauge => c"envoy_dynamic_module_callback_http_filter_config_set_gauge",
            StatKind::Histogram => return false,
        };
        let Some(update) = younger(name) else {
            return false;
        };
        let values: Vec<Buffer> = values.iter().map(|value| Buffer::of(value)).collect();
        // SAFETY: the function has this type since it exists (Envoy 1.40), and the values outlive the call.
        unsafe { update(self.0, stat.id, values.as_ptr(), values.len(), by) == 0 }
    }
}

/// Returns a callback that Envoy 1.38 and 1.39 lack; `None` in these versions.
fn younger(name: &CStr) -> Option<UpdateOfConfiguration> {
    // SAFETY: the name ends with a NUL; null means every library of the process.
    let found = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: all names that are asked for are functions of this type.
    Some(unsafe { std::mem::transmute::<*mut c_void, UpdateOfConfiguration>(found) })
}

/// Returns whether Envoy is 1.40 or later, by the presence of a callback.
pub(crate) fn is_1_40() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        younger(c"envoy_dynamic_module_callback_http_filter_config_increment_counter").is_some()
    })
}
