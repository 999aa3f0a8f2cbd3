//! Envoy's callbacks, each handed to the configuration or the exchange that it names.
//!
//! In place of the SDK's dispatcher, which serves TCP, gRPC, queues and calls as well: a fortieth of the filter that nothing
//! here ever runs. Envoy leaves out what a module doesn't export.
//!
//! Source: Proxy-Wasm ABI 0.2.1.
#![expect(
    unsafe_code,
    reason = "Envoy finds the callbacks by their names, which must be those of the ABI"
)]

use super::abi::{self, Level};
use super::exchange::{HttpExchange, Next};
use super::root::Root;
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// In how many lists the exchanges are kept. Envoy numbers contexts one by one, so that they spread evenly.
const LISTS: u32 = 256;

/// All that lives in one VM, which has one thread.
struct Contexts {
    roots: RefCell<Vec<(u32, Root)>>,
    exchanges: RefCell<[Vec<(u32, Box<HttpExchange>)>; LISTS as usize]>,
}

thread_local! {
    static CONTEXTS: Contexts = const {
        Contexts {
            roots: RefCell::new(Vec::new()),
            exchanges: RefCell::new([const { Vec::new() }; LISTS as usize]),
        }
    };
}

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Called once, before anything else.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: a module without a `main` has to call its constructors itself, once.
    unsafe { __wasm_call_ctors() };
    std::panic::set_hook(Box::new(|panic| {
        abi::log(Level::Critical, &panic.to_string());
    }));
}

/// Which version of the ABI the module speaks.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Memory for what the host hands over. Comes back to [`abi`], once.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(Box::<[u8]>::new_uninit_slice(size))
        .cast::<MaybeUninit<u8>>()
        .cast()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    CONTEXTS.with(|contexts| {
        if root == 0 {
            let mut roots = contexts.roots.borrow_mut();
            roots.push((context, Root::default()));
            return;
        }
        let roots = contexts.roots.borrow();
        let made = roots
            .iter()
            .find(|(id, _)| *id == root)
            .and_then(|(_, root)| root.exchange(context));
        let mut exchanges = contexts.exchanges.borrow_mut();
        match (exchanges.get_mut(list(context)), made) {
            (Some(list), Some(made)) => list.push((context, Box::new(made))),
            // Envoy opens no exchange under a configuration that was refused; if it did, a trap refuses it.
            _ => trap(),
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, _size: usize) -> u32 {
    let mut accepted = false;
    with_root(root, &mut |root| accepted = root.configure());
    u32::from(accepted)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    with_root(root, &mut |root| root.tell_policy());
    let now = abi::now();
    CONTEXTS.with(|contexts| {
        for (_, exchange) in contexts.exchanges.borrow_mut().iter_mut().flatten() {
            exchange.tick(now);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _count: usize, end: u32) -> u32 {
    with_exchange(context, &mut |exchange| exchange.request_headers(end != 0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: usize, end: u32) -> u32 {
    with_exchange(context, &mut |exchange| {
        exchange.request_body(size, end != 0)
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, _count: usize) -> u32 {
    with_exchange(context, &mut |exchange| exchange.request_trailers())
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _count: usize, end: u32) -> u32 {
    with_exchange(context, &mut |exchange| exchange.response_headers(end != 0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, size: usize, end: u32) -> u32 {
    with_exchange(context, &mut |exchange| {
        exchange.response_body(size, end != 0)
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context: u32, _count: usize) -> u32 {
    with_exchange(context, &mut |exchange| exchange.response_body(0, true))
}

/// Called for exchanges, and for a configuration that goes.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    CONTEXTS.with(|contexts| {
        if let Some(exchange) = find(&mut *contexts.exchanges.borrow_mut(), context) {
            exchange.log();
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    CONTEXTS.with(|contexts| {
        if let Some(list) = contexts.exchanges.borrow_mut().get_mut(list(context))
            && let Some(at) = list.iter().position(|(id, _)| *id == context)
        {
            list.swap_remove(at);
            return;
        }
        let mut roots = contexts.roots.borrow_mut();
        roots.retain(|(id, _)| *id != context);
    });
}

fn list(context: u32) -> usize {
    crate::wire::span::index(context % LISTS)
}

fn find(
    exchanges: &mut [Vec<(u32, Box<HttpExchange>)>],
    context: u32,
) -> Option<&mut HttpExchange> {
    let list = exchanges.get_mut(list(context))?;
    let (_, exchange) = list.iter_mut().find(|(id, _)| *id == context)?;
    Some(exchange)
}

fn with_exchange(context: u32, run: &mut dyn FnMut(&mut HttpExchange) -> Next) -> u32 {
    CONTEXTS.with(
        |contexts| match find(&mut *contexts.exchanges.borrow_mut(), context) {
            Some(exchange) => run(exchange) as u32,
            None => trap(),
        },
    )
}

fn with_root(context: u32, run: &mut dyn FnMut(&mut Root)) {
    CONTEXTS.with(|contexts| {
        let mut roots = contexts.roots.borrow_mut();
        match roots.iter_mut().find(|(id, _)| *id == context) {
            Some((_, root)) => run(root),
            None => trap(),
        }
    });
}

/// Ends the VM, and Envoy every exchange in it: for calls that contradict the ABI.
fn trap() -> ! {
    std::arch::wasm32::unreachable()
}
