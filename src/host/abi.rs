//! Host calls that return their status. The SDK's calls panic on an unexpected status. A panic traps the VM with every
//! exchange in it, and Envoy returns `BadArgument` for ordinary calls in the wrong phase.
//!
//! Calls to other services use the SDK's own function, since the SDK must know their tokens.
//!
//! Source: Proxy-Wasm ABI 0.2.1.
#![expect(
    unsafe_code,
    reason = "the ABI passes pointers; every call here hands over memory that outlives it"
)]

use crate::filter::LogLevel;
use crate::proxy::UNREADABLE;
use proxy_wasm::hostcalls;
use std::ptr::null_mut;
use std::time::Duration;

/// Header map.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Map {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
    CallResponseHeaders = 6,
}

/// Buffer.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    CallResponseBody = 4,
    PluginConfiguration = 7,
}

/// Status other than OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostError(pub(super) u32);

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const SERIALIZATION_FAILURE: u32 = 3;

/// Size greater than any buffer, for "to the end".
pub(super) const ALL: usize = 1 << 30;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        size: usize,
        data: *const u8,
        data_size: usize,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
}

fn checked(status: u32) -> Result<(), HostError> {
    if status == OK {
        Ok(())
    } else {
        Err(HostError(status))
    }
}

/// Takes ownership of memory that the host allocated through the SDK's `proxy_on_memory_allocate`.
fn taken(data: *mut u8, size: usize) -> Vec<u8> {
    if data.is_null() || size == 0 {
        return Vec::new();
    }
    // SAFETY: the SDK allocates exactly `size` bytes with the global allocator as a boxed slice and leaks them to the
    // host, which fills them and gives them back here, once.
    unsafe { Vec::from_raw_parts(data, size, size) }
}

/// Returns all headers, serialised.
pub(super) fn headers(map: Map) -> Result<Vec<u8>, HostError> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both pointers are to locals that outlive the call.
    checked(unsafe { proxy_get_header_map_pairs(map as u32, &mut data, &mut size) })?;
    Ok(taken(data, size))
}

/// Replaces all headers with this name by one.
pub(super) fn set_header(map: Map, name: &str, value: &str) -> Result<(), HostError> {
    // SAFETY: the slices outlive the call.
    checked(unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes all headers with this name.
pub(super) fn remove_header(map: Map, name: &str) -> Result<(), HostError> {
    // SAFETY: the slice outlives the call.
    checked(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Returns at most `max` bytes from the start of a buffer; empty if there are none.
pub(super) fn buffer(buffer: Buffer, max: usize) -> Result<Vec<u8>, HostError> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both pointers are to locals that outlive the call.
    match unsafe { proxy_get_buffer_bytes(buffer as u32, 0, max, &mut data, &mut size) } {
        NOT_FOUND => Ok(Vec::new()),
        status => checked(status).map(|()| taken(data, size)),
    }
}

/// Replaces a whole buffer.
pub(super) fn set_buffer(buffer: Buffer, bytes: &[u8]) -> Result<(), HostError> {
    // SAFETY: the slice outlives the call.
    checked(unsafe { proxy_set_buffer_bytes(buffer as u32, 0, ALL, bytes.as_ptr(), bytes.len()) })
}

/// Returns a property; `None` if it is absent or empty, [`UNREADABLE`] if Envoy can't encode it.
pub(super) fn property(path: &[&str]) -> Option<Vec<u8>> {
    let path = path.join("\0");
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: the slice and the locals outlive the call.
    match unsafe { proxy_get_property(path.as_ptr(), path.len(), &mut data, &mut size) } {
        OK if !data.is_null() => Some(taken(data, size)),
        SERIALIZATION_FAILURE => Some(vec![UNREADABLE]),
        _ => None,
    }
}

/// Sets filter state: `name` is visible as `wasm.name`.
pub(super) fn set_property(name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: the slices outlive the call.
    checked(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Returns the value of a key of the shared data with its version; `None` if it was never set.
pub(super) fn shared_data(key: &str) -> Option<(Vec<u8>, u32)> {
    let (mut data, mut size, mut cas) = (null_mut(), 0, 0);
    // SAFETY: the slice and the locals outlive the call.
    checked(unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), &mut data, &mut size, &mut cas)
    })
    .ok()?;
    Some((taken(data, size), cas))
}

/// Sets the value of a key of the shared data if it still has this version; version 0 sets it in any case.
pub(super) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<(), HostError> {
    // SAFETY: the slices outlive the call.
    checked(unsafe {
        proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    })
}

/// Sends a local reply to the client.
pub(super) fn send_local_response(
    status: u16,
    headers: &[u8],
    body: &[u8],
) -> Result<(), HostError> {
    const NO_GRPC: i32 = -1;
    // SAFETY: the slices outlive the call.
    checked(unsafe {
        proxy_send_local_response(
            u32::from(status),
            std::ptr::null(),
            0,
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC,
        )
    })
}

/// Half of an exchange.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Half {
    Request = 0,
    Response = 1,
}

/// Closes the connection of a response.
pub(super) fn close_response() -> Result<(), HostError> {
    // SAFETY: the only argument is a number.
    checked(unsafe { proxy_close_stream(Half::Response as u32) })
}

/// Continues a paused half.
pub(super) fn continue_stream(half: Half) -> Result<(), HostError> {
    // SAFETY: the only argument is a number.
    checked(unsafe { proxy_continue_stream(half as u32) })
}

/// Calls a service behind an Envoy cluster. Returns the token of the response; `None` if the call can't be made.
pub(super) fn call_service(
    cluster: &str,
    headers: Vec<(&str, &str)>,
    body: Option<&[u8]>,
    timeout: Duration,
) -> Option<u32> {
    hostcalls::dispatch_http_call(cluster, headers, body, Vec::new(), timeout).ok()
}

/// Defines or finds a stat; `None` if the host rejects it.
pub(super) fn define_metric(kind: u32, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the slice and the local outlive the call.
    checked(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) })
        .ok()
        .map(|()| id)
}

/// Records a value of a gauge or histogram. A failure is ignored: a stat is no reason to deny a request.
pub(super) fn record_metric(id: u32, value: u64) {
    // SAFETY: no pointers.
    let _ = unsafe { proxy_record_metric(id, value) };
}

/// Adds to a counter or gauge.
pub(super) fn increment_metric(id: u32, by: i64) {
    // SAFETY: no pointers.
    let _ = unsafe { proxy_increment_metric(id, by) };
}

/// Returns nanoseconds since 1970.
pub(super) fn now() -> u64 {
    let mut time = 0;
    // SAFETY: the local outlives the call.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&mut time) };
    time
}

/// Sets the period of ticks.
pub(super) fn set_tick_period(milliseconds: u32) -> Result<(), HostError> {
    // SAFETY: no pointers.
    checked(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

/// Makes the following calls apply to another context.
pub(super) fn set_effective_context(context: u32) -> Result<(), HostError> {
    // SAFETY: no pointers.
    checked(unsafe { proxy_set_effective_context(context) })
}

/// Writes a line to Envoy's log.
pub(super) fn log(level: LogLevel, message: &str) {
    let level: u32 = match level {
        LogLevel::Info => 2,
        LogLevel::Warn => 3,
        LogLevel::Error => 4,
    };
    // SAFETY: the slice outlives the call.
    let _ = unsafe { proxy_log(level, message.as_ptr(), message.len()) };
}
