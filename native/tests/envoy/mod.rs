//! Fake Envoy: its callbacks work on the test's own memory, which is freed as soon as Envoy's would be.
//!
//! What a module borrows is valid until the hook returns or the borrowed value is changed. All of it is therefore
//! allocated again for each hook, so that AddressSanitizer finds every reference that is kept for longer.

use std::collections::BTreeMap;
use std::ffi::c_void;

/// Bytes lent for one call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Buffer {
    data: *const u8,
    size: usize,
}

impl Buffer {
    /// Lends bytes.
    pub fn of(bytes: &[u8]) -> Buffer {
        let data = match bytes.is_empty() {
            true => std::ptr::null(),
            false => bytes.as_ptr(),
        };
        Buffer {
            data,
            size: bytes.len(),
        }
    }

    unsafe fn bytes(self) -> Vec<u8> {
        match self.data.is_null() {
            true => Vec::new(),
            // SAFETY: the module lends `size` bytes for the call.
            false => unsafe { std::slice::from_raw_parts(self.data, self.size) }.to_vec(),
        }
    }
}

/// Header.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Header {
    /// Name in lower case.
    pub name: Buffer,
    /// Value.
    pub value: Buffer,
}

type Map = Vec<(Box<[u8]>, Box<[u8]>)>;

/// One exchange.
#[derive(Default)]
pub struct Stream {
    /// Headers and trailers of both halves, in the order of the ABI.
    pub maps: [Option<Map>; 4],
    /// Received and buffered bytes of the request, then of the response.
    pub bodies: [Vec<Box<[u8]>>; 4],
    /// Filter state.
    pub state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Number of audit lines.
    pub lines: usize,
    /// Status of the reply.
    pub reply: Option<u32>,
    /// Value of its header `grpc-status`.
    pub grpc_status: Option<Vec<u8>>,
    /// Whether a later filter holds in the common buffer what the module has forwarded.
    pub is_held_behind: bool,
    /// Whether the module reset it.
    pub is_reset: bool,
    /// Whether the module has continued a held half.
    pub goes_on: bool,
    /// Numbers of calls without a response.
    pub calls: Vec<u64>,
    /// Number of the first of the callbacks that fail; 0 for none.
    pub fails_at: usize,
    /// Number of callbacks so far.
    pub called: usize,
    /// Whether a reply ends the exchange before it returns.
    pub ends_within_reply: bool,
    /// Module's part of the exchange, until it is destroyed.
    pub exchange: Option<*mut c_void>,
    /// Hooks that end it.
    pub ending: Option<Ending>,
}

/// Hooks that end an exchange.
#[derive(Clone, Copy)]
pub struct Ending {
    /// Reports the end of the exchange.
    pub complete: unsafe extern "C" fn(*mut c_void, *mut c_void),
    /// Destroys the module's part of it.
    pub destroy: unsafe extern "C" fn(*mut c_void),
}

/// Ends an exchange as Envoy does: reports it to the module, then destroys the module's part.
pub fn end(stream: *mut Stream) {
    // SAFETY: the driver owns the stream until the end of the exchange, and borrows nothing of it while a hook runs.
    unsafe {
        if let Some(exchange) = (*stream).exchange.take() {
            let ending = (*stream).ending.expect("the module's hooks");
            (ending.complete)(stream.cast(), exchange);
            (ending.destroy)(exchange);
        }
    }
}

impl Stream {
    /// Moves everything that can be borrowed to another place.
    pub fn move_house(&mut self) {
        for map in self.maps.iter_mut().flatten() {
            *map = map.clone();
        }
        self.bodies = self.bodies.clone();
        self.state = self.state.clone();
    }

    fn fails(&mut self) -> bool {
        self.called += 1;
        self.fails_at != 0 && self.called >= self.fails_at
    }
}

fn of<'s>(envoy: *mut c_void) -> &'s mut Stream {
    // SAFETY: the driver hands over a stream of its own and does not use it while a hook runs.
    unsafe { &mut *envoy.cast::<Stream>() }
}

macro_rules! callbacks {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)+) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? $body
    )+};
}

type Update = u32;

callbacks! {
    envoy_dynamic_module_callback_log(_level: u32, message: Buffer) {
        // SAFETY: as lent.
        let message = String::from_utf8(unsafe { message.bytes() }).expect("a log line is text");
        assert!(!message.contains("AG9006"), "{message}");
    }
    envoy_dynamic_module_callback_get_concurrency() -> u32 { 1 }
    envoy_dynamic_module_callback_http_filter_config_define_counter(_config: *mut c_void, _name: Buffer, _labels: *const Buffer, _count: usize, id: *mut usize) -> u32 {
        // SAFETY: the module lends the place.
        unsafe { *id = 1 };
        0
    }
    envoy_dynamic_module_callback_http_filter_config_define_gauge(_config: *mut c_void, _name: Buffer, _labels: *const Buffer, _count: usize, id: *mut usize) -> u32 {
        // SAFETY: the module lends the place.
        unsafe { *id = 2 };
        0
    }
    envoy_dynamic_module_callback_http_filter_config_define_histogram(_config: *mut c_void, _name: Buffer, _labels: *const Buffer, _count: usize, id: *mut usize) -> u32 {
        // SAFETY: the module lends the place.
        unsafe { *id = 3 };
        0
    }
    envoy_dynamic_module_callback_http_filter_increment_counter(_stream: *mut c_void, _id: usize, values: *const Buffer, count: usize, _by: u64) -> Update {
        read_all(values, count)
    }
    envoy_dynamic_module_callback_http_filter_set_gauge(_stream: *mut c_void, _id: usize, values: *const Buffer, count: usize, _value: u64) -> Update {
        read_all(values, count)
    }
    envoy_dynamic_module_callback_http_filter_record_histogram_value(_stream: *mut c_void, _id: usize, values: *const Buffer, count: usize, _value: u64) -> Update {
        read_all(values, count)
    }
    envoy_dynamic_module_callback_http_get_headers_size(stream: *mut c_void, map: u32) -> usize {
        of(stream).maps[map as usize].as_ref().map_or(0, Vec::len)
    }
    envoy_dynamic_module_callback_http_get_headers(stream: *mut c_void, map: u32, headers: *mut Header) -> bool {
        let stream = of(stream);
        if stream.fails() {
            return false;
        }
        let Some(map) = &stream.maps[map as usize] else { return false };
        for (at, (name, value)) in map.iter().enumerate() {
            let header = Header { name: Buffer::of(name), value: Buffer::of(value) };
            // SAFETY: the module has room for all of them.
            unsafe { headers.add(at).write(header) };
        }
        true
    }
    envoy_dynamic_module_callback_http_set_header(stream: *mut c_void, map: u32, name: Buffer, value: Buffer) -> bool {
        let stream = of(stream);
        if stream.fails() {
            return false;
        }
        // SAFETY: as lent.
        let (name, removes) = (unsafe { name.bytes() }, value.data.is_null());
        // SAFETY: as lent.
        let value = unsafe { value.bytes() };
        let Some(map) = &mut stream.maps[map as usize] else { return false };
        map.retain(|(known, _)| **known != *name);
        if !removes {
            map.push((name.into(), value.into()));
        }
        // A changed map is at another place.
        *map = map.clone();
        true
    }
    envoy_dynamic_module_callback_http_send_response(stream: *mut c_void, status: u32, headers: *const Header, count: usize, body: Buffer, details: Buffer) {
        let place = stream.cast::<Stream>();
        let stream = of(stream);
        // SAFETY: as lent.
        unsafe {
            for at in 0..count {
                let header = *headers.add(at);
                let (name, value) = (header.name.bytes(), header.value.bytes());
                if name == b"grpc-status" {
                    stream.grpc_status = Some(value);
                }
            }
            let _ = (body.bytes(), details.bytes());
        }
        assert_eq!(stream.reply, None, "two replies");
        stream.reply = Some(status);
        if stream.ends_within_reply {
            end(place);
        }
    }
    envoy_dynamic_module_callback_http_filter_reset_stream(stream: *mut c_void, _reason: u32, _details: Buffer) {
        of(stream).is_reset = true;
    }
    envoy_dynamic_module_callback_http_get_body_size(stream: *mut c_void, body: u32) -> usize {
        of(stream).bodies[body as usize].iter().map(|chunk| chunk.len()).sum()
    }
    envoy_dynamic_module_callback_http_get_body_chunks_size(stream: *mut c_void, body: u32) -> usize {
        of(stream).bodies[body as usize].len()
    }
    envoy_dynamic_module_callback_http_get_body_chunks(stream: *mut c_void, body: u32, chunks: *mut Buffer) -> bool {
        let stream = of(stream);
        if stream.fails() {
            return false;
        }
        for (at, chunk) in stream.bodies[body as usize].iter().enumerate() {
            // SAFETY: the module has room for all of them.
            unsafe { chunks.add(at).write(Buffer::of(chunk)) };
        }
        true
    }
    envoy_dynamic_module_callback_http_append_body(stream: *mut c_void, body: u32, bytes: Buffer) -> bool {
        let stream = of(stream);
        if stream.fails() {
            return false;
        }
        // SAFETY: as lent.
        stream.bodies[body as usize].push(unsafe { bytes.bytes() }.into());
        true
    }
    envoy_dynamic_module_callback_http_drain_body(stream: *mut c_void, body: u32, size: usize) -> bool {
        assert_eq!(size, usize::MAX);
        of(stream).bodies[body as usize].clear();
        true
    }
    envoy_dynamic_module_callback_http_received_buffered_request_body(_stream: *mut c_void) -> bool { false }
    envoy_dynamic_module_callback_http_received_buffered_response_body(_stream: *mut c_void) -> bool { false }
    envoy_dynamic_module_callback_http_set_filter_state_bytes(stream: *mut c_void, name: Buffer, value: Buffer) -> bool {
        let stream = of(stream);
        // SAFETY: as lent.
        let (name, value) = unsafe { (name.bytes(), value.bytes()) };
        stream.lines += usize::from(name == b"wasm.agentguard");
        // Envoy 1.38 keeps the first value, and writes a stack trace to its log.
        let known = stream.state.insert(name, value);
        assert_eq!(known, None, "filter state is written twice");
        true
    }
    envoy_dynamic_module_callback_http_get_filter_state_bytes(stream: *mut c_void, name: Buffer, value: *mut Buffer) -> bool {
        // SAFETY: as lent.
        let Some(found) = of(stream).state.get(&unsafe { name.bytes() }) else { return false };
        // SAFETY: the module lends the place.
        unsafe { *value = Buffer::of(found) };
        true
    }
    envoy_dynamic_module_callback_http_filter_get_attribute_string(stream: *mut c_void, attribute: u32, value: *mut Buffer) -> bool {
        let text: &[u8] = match attribute {
            24 => b"10.0.0.7:51234",
            57 => b"model",
            _ => return false,
        };
        if of(stream).fails() {
            return false;
        }
        // SAFETY: the module lends the place.
        unsafe { *value = Buffer::of(text) };
        true
    }
    envoy_dynamic_module_callback_http_filter_get_attribute_int(stream: *mut c_void, _attribute: u32, value: *mut u64) -> bool {
        let status = of(stream).reply.unwrap_or(200);
        // SAFETY: the module lends the place.
        unsafe { *value = u64::from(status) };
        true
    }
    envoy_dynamic_module_callback_http_filter_get_attribute_bool(_stream: *mut c_void, _attribute: u32, _value: *mut bool) -> bool { false }
    envoy_dynamic_module_callback_get_most_specific_route_config(_stream: *mut c_void) -> *const c_void { std::ptr::null() }
    envoy_dynamic_module_callback_http_filter_http_callout(stream: *mut c_void, number: *mut u64, cluster: Buffer, headers: *const Header, count: usize, body: Buffer, _milliseconds: u64) -> u32 {
        // SAFETY: as lent.
        unsafe {
            for at in 0..count {
                let header = *headers.add(at);
                let _ = (header.name.bytes(), header.value.bytes());
            }
            let _ = (cluster.bytes(), body.bytes());
        }
        let stream = of(stream);
        if stream.fails() {
            return 1;
        }
        let next = stream.calls.len() as u64 + 7;
        stream.calls.push(next);
        // SAFETY: the module lends the place.
        unsafe { *number = next };
        0
    }
    envoy_dynamic_module_callback_http_filter_config_http_callout(_config: *mut c_void, _number: *mut u64, _cluster: Buffer, _headers: *const Header, _count: usize, _body: Buffer, _milliseconds: u64) -> u32 { 1 }
    envoy_dynamic_module_callback_http_filter_continue_decoding(stream: *mut c_void) { of(stream).goes_on = true; }
    envoy_dynamic_module_callback_http_filter_continue_encoding(stream: *mut c_void) { of(stream).goes_on = true; }
    envoy_dynamic_module_callback_http_filter_config_scheduler_new(_config: *mut c_void) -> *mut c_void { Box::into_raw(Box::new(0_u64)).cast() }
    envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: *mut c_void) {
        // SAFETY: it was made above, and is given back once.
        drop(unsafe { Box::from_raw(scheduler.cast::<u64>()) });
    }
    envoy_dynamic_module_callback_http_filter_config_scheduler_commit(_scheduler: *mut c_void, _event: u64) {}
    envoy_dynamic_module_callback_http_get_buffer_limit(_stream: *mut c_void) -> u64 { 1 << 20 }
    envoy_dynamic_module_callback_http_set_buffer_limit(_stream: *mut c_void, bytes: u64) { assert!(bytes > 1 << 20); }
}

fn read_all(values: *const Buffer, count: usize) -> u32 {
    for at in 0..count {
        // SAFETY: as lent.
        let _ = unsafe { (*values.add(at)).bytes() };
    }
    0
}
