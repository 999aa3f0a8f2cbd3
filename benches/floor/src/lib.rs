//! Baseline filter: waits until a body is complete, copies it into its memory and forwards it. The cost of AgentGuard
//! is reported as a multiple of this.
//!
//! For streamed responses its configuration selects the handling of each part: `{"stream":"read"}` copies the part into
//! its memory and forwards it, `{"stream":"rewrite"}` also replaces it with the same bytes.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use std::cell::Cell;
use std::hint::black_box;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { parts: Cell::new(Parts::Wait) }));
}}

/// The handling of a part of a response.
#[derive(Clone, Copy, PartialEq)]
enum Parts {
    /// The part is held until the end.
    Wait,
    Read,
    Rewrite,
}

struct Root {
    parts: Cell<Parts>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        let says = |word: &[u8]| configuration.windows(word.len()).any(|part| part == word);
        self.parts.set(if says(b"rewrite") {
            Parts::Rewrite
        } else if says(b"read") {
            Parts::Read
        } else {
            Parts::Wait
        });
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Exchange {
            parts: self.parts.get(),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Exchange {
    parts: Parts,
}

impl Context for Exchange {}

impl HttpContext for Exchange {
    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        black_box(self.get_http_request_body(0, size));
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if !end && self.parts == Parts::Wait {
            return Action::Pause;
        }
        let body = black_box(self.get_http_response_body(0, size));
        if let Some(body) = body.filter(|_| self.parts == Parts::Rewrite) {
            self.set_http_response_body(0, size, &body);
        }
        Action::Continue
    }
}
