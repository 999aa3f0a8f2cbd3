//! Module, loaded as Envoy loads it, and an exchange through it.
#![expect(unsafe_code, reason = "the ABI is pointers")]

use crate::envoy::{Buffer, Ending, Stream, end};
use std::ffi::{CStr, CString, c_char, c_int, c_void};

type ConfigNew = unsafe extern "C" fn(*mut c_void, Buffer, Buffer) -> *const c_void;
type ConfigDestroy = unsafe extern "C" fn(*const c_void);
type New = unsafe extern "C" fn(*const c_void, *mut c_void) -> *mut c_void;
type Complete = unsafe extern "C" fn(*mut c_void, *mut c_void);
type Destroy = unsafe extern "C" fn(*mut c_void);
type Part = unsafe extern "C" fn(*mut c_void, *mut c_void, bool) -> u32;

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// Exchange as it passes through a proxy.
pub struct Exchange {
    /// Headers of the request.
    pub request: Vec<(String, String)>,
    /// Body of the request, in the parts in which it arrives.
    pub question: Vec<Vec<u8>>,
    /// Headers of the response.
    pub response: Vec<(String, String)>,
    /// Body of the response, in the parts in which it arrives.
    pub answer: Vec<Vec<u8>>,
}

/// Hooks of one half of the exchange, and the positions of its parts.
struct Side {
    headers: Part,
    body: Part,
    map: usize,
    received: usize,
}

/// Hooks of a module.
pub struct Module {
    config_new: ConfigNew,
    config_destroy: ConfigDestroy,
    new: New,
    ending: Ending,
    sides: [Side; 2],
}

/// Returns a hook of a module, by its name.
macro_rules! hook {
    ($library:expr, $name:literal, $type:ty) => {{
        let name = concat!("envoy_dynamic_module_on_http_filter_", $name, "\0");
        let name = CStr::from_bytes_with_nul(name.as_bytes()).expect("a name");
        // SAFETY: the name ends with a NUL.
        let hook = unsafe { dlsym($library, name.as_ptr()) };
        assert!(!hook.is_null(), "the module has no {name:?}");
        // SAFETY: the ABI has a function of this type under this name.
        unsafe { std::mem::transmute::<*mut c_void, $type>(hook) }
    }};
}

impl Module {
    /// Loads a module from a file.
    pub fn load(file: &str) -> Module {
        const RTLD_NOW: c_int = 2;
        let path = CString::new(file).expect("a path");
        // SAFETY: the path ends with a NUL. Loading the module only allocates.
        let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
        if library.is_null() {
            // SAFETY: the loader has failed, so that it has a text that ends with a NUL.
            let why = unsafe { CStr::from_ptr(dlerror()) };
            panic!("{file}: {}", why.to_string_lossy());
        }
        Module {
            config_new: hook!(library, "config_new", ConfigNew),
            config_destroy: hook!(library, "config_destroy", ConfigDestroy),
            new: hook!(library, "new", New),
            ending: Ending {
                complete: hook!(library, "stream_complete", Complete),
                destroy: hook!(library, "destroy", Destroy),
            },
            sides: [
                Side {
                    headers: hook!(library, "request_headers", Part),
                    body: hook!(library, "request_body", Part),
                    map: 0,
                    received: 0,
                },
                Side {
                    headers: hook!(library, "response_headers", Part),
                    body: hook!(library, "response_body", Part),
                    map: 2,
                    received: 2,
                },
            ],
        }
    }

    /// Puts a policy in force.
    pub fn put_in_force(&self, policy: &str) -> InForce<'_> {
        let mut host = Box::new(0_u64);
        let place = (&raw mut *host).cast();
        let (name, text) = (Buffer::of(b"agentguard"), Buffer::of(policy.as_bytes()));
        // SAFETY: the borrowed values outlive the call. The module only passes Envoy's pointer back.
        let configuration = unsafe { (self.config_new)(place, name, text) };
        assert!(!configuration.is_null(), "a policy is refused: {policy}");
        InForce {
            module: self,
            configuration,
            _host: host,
        }
    }
}

/// Policy in force, until it is dropped.
pub struct InForce<'m> {
    module: &'m Module,
    configuration: *const c_void,
    _host: Box<u64>,
}

impl Drop for InForce<'_> {
    fn drop(&mut self) {
        // SAFETY: the module created it, and it is destroyed once.
        unsafe { (self.module.config_destroy)(self.configuration) };
    }
}

impl InForce<'_> {
    /// Runs an exchange. Returns whether all of it passed.
    pub fn run(&self, exchange: &Exchange) -> bool {
        let stream = Box::into_raw(Box::new(Stream::default()));
        // SAFETY: the configuration is in force, and the stream lives until the end of this function.
        unsafe {
            let made = (self.module.new)(self.configuration, stream.cast());
            (*stream).exchange = Some(made);
            (*stream).ending = Some(self.module.ending);
        }
        let [request, response] = &self.module.sides;
        let passed = send(stream, request, &exchange.request, &exchange.question)
            && send(stream, response, &exchange.response, &exchange.answer);
        end(stream);
        // SAFETY: the module's part was destroyed, and there is no other reference.
        drop(unsafe { Box::from_raw(stream) });
        passed
    }
}

/// Sends one half. Returns `false` if the exchange ends before the end of that half.
fn send(stream: *mut Stream, side: &Side, headers: &[(String, String)], parts: &[Vec<u8>]) -> bool {
    let own = |text: &String| text.as_bytes().into();
    let headers = headers.iter().map(|(name, value)| (own(name), own(value)));
    // SAFETY: the driver owns the stream, and no hook runs; so it is below.
    unsafe { (*stream).maps[side.map] = Some(headers.collect()) };
    if call(stream, side.headers, parts.is_empty()).is_none() {
        return false;
    }
    for (number, part) in parts.iter().enumerate() {
        // SAFETY: as above.
        unsafe { (*stream).bodies[side.received].push(part.as_slice().into()) };
        let Some(status) = call(stream, side.body, number + 1 == parts.len()) else {
            return false;
        };
        // SAFETY: as above.
        let bodies = unsafe { &mut (*stream).bodies };
        let received = std::mem::take(&mut bodies[side.received]);
        match status {
            0 => bodies[side.received + 1].clear(),
            1 => bodies[side.received + 1].extend(received),
            _ => {}
        }
    }
    // SAFETY: as above.
    unsafe { (*stream).reply.is_none() && !(*stream).is_reset }
}

/// Calls a hook, unless the exchange has ended.
fn call(stream: *mut Stream, hook: Part, is_last: bool) -> Option<u32> {
    // SAFETY: the driver owns the stream, and no hook runs.
    let envoys = unsafe { &*stream };
    if envoys.reply.is_some() || envoys.is_reset {
        return None;
    }
    // SAFETY: the hook is the module's, called with its own exchange.
    Some(unsafe { hook(stream.cast(), envoys.exchange?, is_last) })
}
