//! What is evaluated of each route, as a table. The table in the documentation is written from it, and what a policy has to
//! look at in a response follows from it.

use super::Protocol;
use crate::event::Kind;

/// One route. No cell may be empty: what is not evaluated says why.
#[derive(Clone, Copy, Debug)]
pub struct CoverageRow {
    /// Method and path, or what else the route is recognised by.
    pub route: &'static str,
    /// What the client sends.
    pub request: Inspected,
    /// What comes back in one piece.
    pub answer: Inspected,
    /// What comes back as a stream.
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

/// What is evaluated of one direction.
#[derive(Clone, Copy, Debug)]
pub enum Inspected {
    /// Events of these kinds; and `uninspectable` for whatever can't be read.
    As(&'static [Kind]),
    /// Nothing, for this reason.
    Not(&'static str),
}

impl Inspected {
    /// Streams are not read yet: they count as unreadable where a rule looks at answers.
    pub const UNREAD_STREAM: Inspected = Inspected::Not("AG2014");

    /// The kinds of events.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Inspected::As(kinds) => kinds,
            Inspected::Not(_) => &[],
        }
    }
}

/// Everything that a request of a conversation with tools can hold.
pub const CONVERSATION: Inspected = Inspected::As(&[
    Kind::Request,
    Kind::Message,
    Kind::ToolOffer,
    Kind::ToolCall,
    Kind::ToolResult,
]);
/// A request that holds texts.
pub const TEXTS: Inspected = Inspected::As(&[Kind::Request, Kind::Message]);
/// A request that is only asked.
pub const ASKED: Inspected = Inspected::As(&[Kind::Request]);
/// What models answer.
pub const MODEL_ANSWER: Inspected = Inspected::As(&[Kind::Response, Kind::ToolCall]);
/// What models answer whose provider runs tools, and tells what these gave.
pub const ANSWER_WITH_RESULTS: Inspected =
    Inspected::As(&[Kind::Response, Kind::ToolCall, Kind::ToolResult]);
/// A response without calls.
pub const TEXT_ANSWER: Inspected = Inspected::As(&[Kind::Response]);
/// A request that is never let through.
pub const MINTED: Inspected = Inspected::Not("AG2013");

/// Routes that belong to no protocol.
pub const OTHER_ROUTES: &[CoverageRow] = &[
    CoverageRow {
        route: shown("`OPTIONS` anything (CORS preflight)"),
        request: ASKED,
        answer: Inspected::Not("holds no content"),
        stream: Inspected::Not("holds no content"),
    },
    CoverageRow {
        route: shown(
            "`GET`, `HEAD` of lists of models and deployments (`…/models`, `…/openai/deployments`, `/foundation-models`), of keys' limits and costs (`…/v1/key`, `…/v1/credits`, `…/organization/costs`), of a server's state (`/props`, `/metrics`), health checks, `/`",
        ),
        request: ASKED,
        answer: Inspected::Not("holds no content"),
        stream: Inspected::Not("holds no content"),
    },
    CoverageRow {
        route: shown("anything else"),
        request: Inspected::Not("AG2007"),
        answer: Inspected::Not("AG2007"),
        stream: Inspected::Not("AG2007"),
    },
];

/// What answers in a protocol can hold, whichever route was taken.
pub fn answers_of(protocol: &dyn Protocol) -> impl Iterator<Item = Kind> {
    protocol
        .coverage()
        .iter()
        .flat_map(|row| [row.answer, row.stream])
        .flat_map(|evaluated| evaluated.kinds().iter().copied())
}
