//! One file for each format: where models, texts, tools, calls, results and usage stand in it, and how to refuse in it.
//!
//! To add a protocol: one file here with a [`Protocol`], one line in [`PROTOCOLS`].

mod openai_chat;
mod provider;
mod reader;
mod refusal;
mod surgery;

pub use provider::provider_of;
pub use reader::{Bounds, Origin, Reader, code_of};
pub use refusal::{Denial, Dialect};

use crate::event::{Direction, Problem, Reading};
use crate::wire::http::Path;
use crate::wire::json::{Edits, Nest, Place};
use std::ops::Range;

/// The start of a request, as far as it tells which protocol it speaks.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// Method, as it came.
    pub method: &'a str,
    /// Authority, lower case.
    pub host: &'a str,
    /// Path, normalised for comparing.
    pub path: &'a Path,
}

/// What is asked of a whole response when a part of it may not pass.
#[derive(Clone, Debug, Default)]
pub struct Withholding {
    /// Calls that are taken out: which choice, where the call stands, the text that explains it.
    pub calls: Vec<WithheldCall>,
    /// Choices whose text may not pass, each with the text that takes its place.
    pub choices: Vec<(u32, String)>,
    /// Texts that were edited: their places and which parts of the decoded text changed by how much.
    pub edited: Vec<EditedText>,
    /// The caller asked for a schema's shape, and its SDK fails on a content filter's finish reason.
    pub structured_output: bool,
}

/// A call of a response that is taken out.
#[derive(Clone, Debug)]
pub struct WithheldCall {
    /// Its choice.
    pub choice: u32,
    /// Where the call stands.
    pub at: Place,
    /// What the reader is told.
    pub text: String,
}

/// A text of a response that was redacted.
#[derive(Clone, Debug)]
pub struct EditedText {
    /// Its choice.
    pub choice: u32,
    /// Where it stands.
    pub at: Place,
    /// What was replaced, in bytes of the decoded text, and the length of what took its place.
    pub changes: Vec<(Range<usize>, String)>,
}

/// One format.
pub trait Protocol: Sync {
    /// Its name in policies and records: `openai.chat`.
    fn name(&self) -> &'static str;

    /// The endpoint that a request asks for, if this is its protocol: `chat.completions`.
    fn endpoint(&self, head: &Head<'_>) -> Option<&'static str>;

    /// How it refuses.
    fn dialect(&self) -> Dialect;

    /// Reads the body of a request.
    fn read_request(&self, reader: &mut Reader<'_>);

    /// Reads the whole body of a response, whatever its status.
    fn read_response(&self, reader: &mut Reader<'_>);

    /// A whole answer that is nothing but a refusal, for a client that has already been sent a successful status.
    fn refused_answer(&self, denial: &Denial, model: &str, structured_output: bool) -> Vec<u8>;

    /// Edits a whole response so that what is withheld is gone and what is left is valid for its schema and its SDK.
    ///
    /// # Errors
    /// When that can't be done; the response is then refused as a whole.
    fn withhold(
        &self,
        nest: &Nest<'_>,
        withholding: &Withholding,
        edits: &mut Edits,
    ) -> Result<(), CannotWithhold>;
}

/// A response can't be edited in the way that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotWithhold;

/// All protocols, the more specific before the more general.
pub const PROTOCOLS: &[&dyn Protocol] = &[&openai_chat::OpenAiChat];

/// What a request was recognised as.
#[derive(Clone, Copy)]
pub enum Recognised {
    /// A protocol whose bodies are read.
    Protocol {
        /// The format.
        protocol: &'static dyn Protocol,
        /// The endpoint within it.
        endpoint: &'static str,
    },
    /// Something known to carry no content of a conversation: model lists, health checks, CORS preflights. Harmless
    /// only without a body.
    Harmless {
        /// What it is.
        endpoint: &'static str,
    },
    /// None of those: AG2007.
    Unknown,
}

/// Which protocol a request speaks, by its start.
pub fn recognise(head: &Head<'_>) -> Recognised {
    for protocol in PROTOCOLS {
        if let Some(endpoint) = protocol.endpoint(head) {
            return Recognised::Protocol {
                protocol: *protocol,
                endpoint,
            };
        }
    }
    match harmless(head) {
        Some(endpoint) => Recognised::Harmless { endpoint },
        None => Recognised::Unknown,
    }
}

fn harmless(head: &Head<'_>) -> Option<&'static str> {
    if head.method == "OPTIONS" {
        return Some("preflight");
    }
    if !matches!(head.method, "GET" | "HEAD") {
        return None;
    }
    let segments: Vec<String> = head
        .path
        .segments
        .iter()
        .map(|segment| segment.to_ascii_lowercase())
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        []
        | [
            "health" | "healthz" | "livez" | "readyz" | "ready" | "live" | "ping" | "version"
            | "favicon.ico" | "robots.txt",
        ] => Some("health"),
        [.., "models"] | [.., "v1", "models", _] => Some("models"),
        _ => None,
    }
}

/// Reads a body with a protocol.
///
/// # Errors
/// The problem that makes the whole body unreadable.
pub fn read<'b>(
    protocol: &dyn Protocol,
    direction: Direction,
    body: &'b [u8],
    bounds: Bounds,
) -> Result<(Nest<'b>, Reading), Problem> {
    let mut reader = Reader::new(body, direction, bounds)?;
    match direction {
        Direction::Request => protocol.read_request(&mut reader),
        Direction::Response => protocol.read_response(&mut reader),
    }
    Ok(reader.finish())
}
