//! The administration filter in its VM: it answers about the policies that other configurations put in force there.

use super::abi;
use super::exchange::REQUEST;
use super::headers;
use super::policies;
use super::root::send;
use crate::filter::{LogLevel, administer};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

/// The stream context of one request to the administration listener.
pub(super) struct AdminExchange;

impl Context for AdminExchange {}

impl HttpContext for AdminExchange {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let map = abi::headers(REQUEST.map).unwrap_or_default();
        let headers = headers::parse(&map);
        let header = |name: &[u8]| {
            let found = headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value).unwrap_or_default()
        };
        // Without headers nothing is found, which is also an answer.
        match administer(header(b":method"), header(b":path"), &policies::in_force()) {
            None => Action::Continue,
            Some(reply) => {
                if send(&reply).is_err() {
                    abi::log(
                        LogLevel::Error,
                        "agentguard: AG9001 an answer could not be sent",
                    );
                }
                Action::Pause
            }
        }
    }
}
