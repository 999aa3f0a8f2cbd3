//! Functions that Envoy calls. None lets a panic out, none returns null instead of an exchange, and every failure
//! denies.
//!
//! The order for an exchange: `new`, the messages' parts, `stream_complete` (before the access log), `destroy`. A reply
//! may destroy the exchange before the call returns; it is therefore sent when nothing of the exchange is borrowed any
//! more.
#![expect(
    unsafe_code,
    reason = "the ABI passes pointers; each hook says what Envoy promises of them"
)]

use super::callbacks::{Answer, Buffer, Half, Header, Host, Level, Stream, log};
use crate::configuration::{Configuration, RoutePolicy};
use crate::exchange::{Exchange, Outcome};
use agentguard::approval::MAX_ANSWER_BYTES;
use agentguard::flow::Reply;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Version of the ABI: that of Envoy 1.40. An older Envoy logs a warning and loads the module.
const VERSION: &CStr = c"v0.2.0";

/// Return values for a part of a message.
struct Answers {
    proceed: u32,
    hold: u32,
    stop: u32,
}

/// Headers: `Continue`; `StopIteration`, after which the body still arrives.
const HEADERS: Answers = Answers {
    proceed: 0,
    hold: 1,
    stop: 1,
};

/// Bodies: `Continue`, `StopIterationAndBuffer`, `StopIterationNoBuffer`.
const BODY: Answers = Answers {
    proceed: 0,
    hold: 1,
    stop: 3,
};

/// Trailers: `Continue`, `StopIteration`.
const TRAILERS: Answers = Answers {
    proceed: 0,
    hold: 1,
    stop: 1,
};

/// Runs code that may panic. Returns `None` if it did.
fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    // After a panic, callers use nothing that the panic may have left half changed.
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// Runs a part of an exchange. Returns the status for Envoy.
fn part(
    envoy: *mut c_void,
    exchange: *mut c_void,
    answers: &Answers,
    run: impl FnOnce(&mut Exchange, &mut Stream<'_>) -> Outcome,
) -> u32 {
    let place = exchange.cast::<Exchange>();
    // SAFETY: Envoy hands over the exchange that `new` made and that `destroy` has not ended, on its own thread, and calls
    // no hook of it while another one runs, unless for a reply or a call, which are made below.
    let Some(exchange) = (unsafe { place.as_mut() }) else {
        return answers.stop;
    };
    // SAFETY: Envoy hands over the stream of the hook that runs.
    let mut stream = unsafe { Stream::of_hook(envoy) };
    let outcome = run_part(exchange, &mut stream, |exchange, stream| {
        Some(run(exchange, stream))
    });
    // The exchange is not borrowed from here on.
    let outcome = call_out(&mut stream, place, outcome.unwrap_or(Outcome::Reset));
    match outcome {
        Outcome::Continue => return answers.proceed,
        Outcome::Hold => return answers.hold,
        Outcome::Stop => {}
        Outcome::Reply(reply) => send(stream, &reply),
        Outcome::Reset => reset(stream),
    }
    answers.stop
}

/// Runs code that may panic. If it does, the exchange is denied.
fn run_part(
    exchange: &mut Exchange,
    stream: &mut Stream<'_>,
    run: impl FnOnce(&mut Exchange, &mut Stream<'_>) -> Option<Outcome>,
) -> Option<Outcome> {
    caught(|| run(exchange, stream)).unwrap_or_else(|| {
        let denial = caught(|| exchange.after_panic(stream));
        Some(denial.unwrap_or(Outcome::Reset))
    })
}

/// Makes the calls of an exchange. Returns the action for the bytes at hand after them. Envoy may respond to a call
/// before it has made it, by a hook of the same exchange; nothing is borrowed meanwhile.
fn call_out(stream: &mut Stream<'_>, exchange: *mut Exchange, mut outcome: Outcome) -> Outcome {
    loop {
        // SAFETY: the exchange lives as long as the hook that hands it over, and is not borrowed elsewhere.
        let call = match unsafe { exchange.as_mut() } {
            Some(exchange) => caught(|| exchange.next_call()).flatten(),
            None => None,
        };
        let Some((number, callout)) = call else {
            return outcome;
        };
        let envoys = stream.call(&callout);
        // SAFETY: as above.
        if let Some(exchange) = unsafe { exchange.as_mut() }
            && let Some(next) = run_part(exchange, stream, |exchange, stream| {
                exchange.called(stream, number, envoys)
            })
        {
            outcome = next;
        }
    }
}

fn send(stream: Stream<'_>, reply: &Reply) {
    if caught(|| stream.send(reply)).is_none() {
        log(Level::Error, "agentguard: AG9006 a reply panicked");
    }
}

fn reset(stream: Stream<'_>) {
    if caught(|| stream.reset()).is_none() {
        log(Level::Error, "agentguard: AG9006 a reset panicked");
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    VERSION.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    envoy: *mut c_void,
    name: Buffer,
    config: Buffer,
) -> *const c_void {
    // SAFETY: Envoy lends name and configuration for this call, and destroys the module's configuration before its own.
    let (host, name, config) = unsafe { (Host::of_hook(envoy), name.bytes(), config.bytes()) };
    let made = caught(|| Configuration::new(host, name, config));
    if made.is_none() {
        log(
            Level::Error,
            "agentguard: AG9006 the configuration was rejected because reading it panicked",
        );
    }
    match made.flatten() {
        Some(configuration) => Arc::into_raw(Arc::new(configuration)).cast(),
        None => std::ptr::null(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(configuration: *const c_void) {
    if configuration.is_null() {
        return;
    }
    // SAFETY: the pointer came from `config_new`, and Envoy gives it back once.
    let configuration = unsafe { Arc::from_raw(configuration.cast::<Configuration>()) };
    let _ = caught(move || {
        configuration.retire();
        drop(configuration);
    });
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    _name: Buffer,
    config: Buffer,
) -> *const c_void {
    // SAFETY: Envoy lends the configuration for this call.
    let config = unsafe { config.bytes() };
    match caught(|| RoutePolicy::new(config)).flatten() {
        Some(route) => Box::into_raw(route).cast_const().cast(),
        None => std::ptr::null(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(route: *const c_void) {
    if route.is_null() {
        return;
    }
    // SAFETY: the pointer came from `per_route_config_new`, and Envoy gives it back once.
    let route = unsafe { Box::from_raw(route.cast_mut().cast::<RoutePolicy>()) };
    let _ = caught(move || drop(route));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_new(
    configuration: *const c_void,
    _envoy: *mut c_void,
) -> *const c_void {
    let configuration = configuration.cast::<Configuration>();
    let configuration = (!configuration.is_null()).then(|| {
        // SAFETY: the pointer came from `config_new`, and Envoy keeps the configuration while it makes an exchange of it.
        unsafe {
            Arc::increment_strong_count(configuration);
            Arc::from_raw(configuration)
        }
    });
    // The pointer is never null: Envoy 1.38 and 1.39 would call the hooks with it.
    let exchange = configuration
        .and_then(|configuration| caught(|| Exchange::new(configuration)))
        .unwrap_or_else(Exchange::denying);
    Box::into_raw(Box::new(exchange)).cast_const().cast()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    envoy: *mut c_void,
    exchange: *mut c_void,
    end: bool,
) -> u32 {
    part(envoy, exchange, &HEADERS, |exchange, stream| {
        exchange.request_headers(stream, end)
    })
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    envoy: *mut c_void,
    exchange: *mut c_void,
    end: bool,
) -> u32 {
    part(envoy, exchange, &BODY, |exchange, stream| {
        exchange.request_body(stream, end)
    })
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    envoy: *mut c_void,
    exchange: *mut c_void,
) -> u32 {
    part(envoy, exchange, &TRAILERS, Exchange::request_trailers)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    envoy: *mut c_void,
    exchange: *mut c_void,
    end: bool,
) -> u32 {
    part(envoy, exchange, &HEADERS, |exchange, stream| {
        exchange.response_headers(stream, end)
    })
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    envoy: *mut c_void,
    exchange: *mut c_void,
    end: bool,
) -> u32 {
    part(envoy, exchange, &BODY, |exchange, stream| {
        exchange.response_body(stream, end)
    })
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    envoy: *mut c_void,
    exchange: *mut c_void,
) -> u32 {
    part(envoy, exchange, &TRAILERS, Exchange::response_trailers)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(
    envoy: *mut c_void,
    exchange: *mut c_void,
) {
    let exchange = exchange.cast::<Exchange>();
    // SAFETY: as in `part`. A reply that ends the exchange comes here from `part`, which borrows nothing of it then.
    let Some(exchange) = (unsafe { exchange.as_mut() }) else {
        return;
    };
    // SAFETY: Envoy hands over the stream of the hook that runs.
    let mut stream = unsafe { Stream::of_hook(envoy) };
    if caught(|| exchange.complete(&mut stream)).is_none() {
        let _ = caught(|| exchange.after_panic(&mut stream));
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_destroy(exchange: *mut c_void) {
    if exchange.is_null() {
        return;
    }
    // SAFETY: the pointer came from `new`, and Envoy gives it back once, as its last use.
    let exchange = unsafe { Box::from_raw(exchange.cast::<Exchange>()) };
    let _ = caught(move || drop(exchange));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(
    _envoy: *mut c_void,
    _exchange: *mut c_void,
    _status: u32,
    _details: Buffer,
    _resets: bool,
) -> u32 {
    const CONTINUE: u32 = 0;
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_http_callout_done(
    envoy: *mut c_void,
    exchange: *mut c_void,
    number: u64,
    result: u32,
    headers: *const Header,
    header_count: usize,
    chunks: *const Buffer,
    chunk_count: usize,
) {
    let place = exchange.cast::<Exchange>();
    // SAFETY: as in `part`. While a call is made nothing of the exchange is borrowed.
    let Some(exchange) = (unsafe { place.as_mut() }) else {
        return;
    };
    // SAFETY: Envoy passes the stream of the current hook, and lends the response for it.
    let (mut stream, answer) = unsafe {
        let answer = Answer::of_hook(result, headers, header_count, chunks, chunk_count);
        (Stream::of_hook(envoy), answer)
    };
    let mut waited = Half::Request;
    let outcome = run_part(exchange, &mut stream, |exchange, stream| {
        let (half, outcome) = answer.with(MAX_ANSWER_BYTES, |answer| {
            exchange.answered(stream, number, answer)
        })?;
        waited = half;
        Some(outcome)
    });
    // The exchange is not borrowed from here on.
    let Some(outcome) = outcome else {
        return;
    };
    match call_out(&mut stream, place, outcome) {
        Outcome::Continue => stream.go_on(waited),
        Outcome::Hold | Outcome::Stop => {}
        Outcome::Reply(reply) => send(stream, &reply),
        Outcome::Reset => reset(stream),
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    _envoy: *mut c_void,
    configuration: *const c_void,
    event: u64,
) {
    // SAFETY: Envoy hands over what `config_new` made, and keeps the configuration meanwhile.
    let Some(configuration) = (unsafe { configuration.cast::<Configuration>().as_ref() }) else {
        return;
    };
    if caught(|| configuration.scheduled(event)).is_none() {
        let _ = caught(|| configuration.after_panic());
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
    _envoy: *mut c_void,
    configuration: *const c_void,
    number: u64,
    result: u32,
    headers: *const Header,
    header_count: usize,
    chunks: *const Buffer,
    chunk_count: usize,
) {
    // SAFETY: Envoy hands over what `config_new` made. `config_destroy` waits for the end of the call below.
    let Some(configuration) = (unsafe { configuration.cast::<Configuration>().as_ref() }) else {
        return;
    };
    // SAFETY: Envoy lends the response for this hook.
    let answer = unsafe { Answer::of_hook(result, headers, header_count, chunks, chunk_count) };
    let calls = Arc::clone(&configuration.calls);
    if caught(|| configuration.answered(number, &answer)).is_none() {
        let _ = caught(|| configuration.after_panic());
    }
    calls.end(number);
}

/// Hooks that Envoy requires and never calls here: the module opens no streams, and terminates nothing.
macro_rules! unused {
    ($($name:ident($($argument:ty),*);)+) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name($(_: $argument),*) {}
    )+};
}

unused! {
    envoy_dynamic_module_on_http_filter_http_stream_headers(
        *mut c_void, *mut c_void, u64, *mut c_void, usize, bool
    );
    envoy_dynamic_module_on_http_filter_http_stream_data(
        *mut c_void, *mut c_void, u64, *const c_void, usize, bool
    );
    envoy_dynamic_module_on_http_filter_http_stream_trailers(
        *mut c_void, *mut c_void, u64, *mut c_void, usize
    );
    envoy_dynamic_module_on_http_filter_http_stream_complete(*mut c_void, *mut c_void, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(*mut c_void, *mut c_void, u64, u32);
    envoy_dynamic_module_on_http_filter_scheduled(*mut c_void, *mut c_void, u64);
    envoy_dynamic_module_on_http_filter_config_http_stream_headers(
        *mut c_void, *mut c_void, u64, *mut c_void, usize, bool
    );
    envoy_dynamic_module_on_http_filter_config_http_stream_data(
        *mut c_void, *mut c_void, u64, *const c_void, usize, bool
    );
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers(
        *mut c_void, *mut c_void, u64, *mut c_void, usize
    );
    envoy_dynamic_module_on_http_filter_config_http_stream_complete(
        *mut c_void, *mut c_void, u64
    );
    envoy_dynamic_module_on_http_filter_config_http_stream_reset(
        *mut c_void, *mut c_void, u64, u32
    );
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(
        *mut c_void, *mut c_void
    );
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(
        *mut c_void, *mut c_void
    );
}
