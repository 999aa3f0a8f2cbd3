//! Coverage of each route: what is evaluated there. The page of routes is generated from it, and the responses that a
//! policy has to evaluate follow from it.

use super::Protocol;
use crate::event::Kind;

/// Coverage of one route. No cell is empty: for what is not evaluated, it contains the reason.
#[derive(Clone, Copy, Debug)]
pub struct CoverageRow {
    /// Method and path, or other features that identify the route.
    pub route: &'static str,
    /// Request.
    pub request: Inspected,
    /// Whole response.
    pub response: Inspected,
    /// Streamed response.
    pub stream: Inspected,
}

/// A text that only the page of routes shows: none of it is in the filter.
pub const fn shown(text: &'static str) -> &'static str {
    if cfg!(target_arch = "wasm32") {
        ""
    } else {
        text
    }
}

/// Evaluated events of one direction.
#[derive(Clone, Copy, Debug)]
pub enum Inspected {
    /// Events of these kinds, and `uninspectable` for content that cannot be read.
    As(&'static [Kind]),
    /// Nothing, for this reason.
    Not(&'static str),
}

impl Inspected {
    /// Unread streams. They are unreadable for rules about responses.
    pub const UNREAD_STREAM: Inspected = Inspected::Not("AG2014");

    /// The kinds of events.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Inspected::As(kinds) => kinds,
            Inspected::Not(_) => &[],
        }
    }
}

/// Events of a request with a conversation and tools.
pub const CONVERSATION: Inspected = Inspected::As(&[
    Kind::Request,
    Kind::Message,
    Kind::ToolOffer,
    Kind::ToolCall,
    Kind::ToolResult,
]);
/// Events of a request with texts.
pub const TEXTS: Inspected = Inspected::As(&[Kind::Request, Kind::Message]);
/// Event of a request without content.
pub const ASKED: Inspected = Inspected::As(&[Kind::Request]);
/// Events of a model's response.
pub const MODEL_RESPONSE: Inspected = Inspected::As(&[Kind::Response, Kind::ToolCall]);
/// Events of a model's response whose provider runs tools and reports their results.
pub const RESPONSE_WITH_RESULTS: Inspected =
    Inspected::As(&[Kind::Response, Kind::ToolCall, Kind::ToolResult]);
/// Events of a response without calls.
pub const TEXT_RESPONSE: Inspected = Inspected::As(&[Kind::Response]);
/// Request that is always denied.
pub const MINTED: Inspected = Inspected::Not("AG2013");

/// Routes that belong to no protocol.
pub const OTHER_ROUTES: &[CoverageRow] = &[
    CoverageRow {
        route: shown("`OPTIONS` anything (CORS preflight)"),
        request: ASKED,
        response: Inspected::Not("holds no content"),
        stream: Inspected::Not("holds no content"),
    },
    CoverageRow {
        route: shown(
            "`GET`, `HEAD` of lists of models and deployments (`…/models`, `…/openai/deployments`, `/foundation-models`), of keys' limits and costs (`…/v1/key`, `…/v1/credits`, `…/organization/costs`), of a server's state (`/props`, `/metrics`), health checks, `/`",
        ),
        request: ASKED,
        response: Inspected::Not("holds no content"),
        stream: Inspected::Not("holds no content"),
    },
    CoverageRow {
        route: shown("anything else"),
        request: Inspected::Not("AG2007"),
        response: Inspected::Not("AG2007"),
        stream: Inspected::Not("AG2007"),
    },
];

/// Returns the kinds of events in responses of a protocol, over all of its routes.
pub fn responses_of(protocol: &dyn Protocol) -> impl Iterator<Item = Kind> {
    protocol
        .coverage()
        .iter()
        .flat_map(|row| [row.response, row.stream])
        .flat_map(|evaluated| evaluated.kinds().iter().copied())
}
