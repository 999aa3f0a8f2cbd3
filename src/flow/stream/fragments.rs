//! Arguments of a call that are sent one by one, each with its path, and assembled as the client does it.
//!
//! Gemini: `{"jsonPath":"$.amount","numberValue":5}` and `{"jsonPath":"$.to.name","stringValue":"An"}` are
//! `{"amount":5,"to":{"name":"An"}}`.

use super::call::{put, put_in_first};
use super::queue::Queue;
use crate::protocol::stream::{ArgumentStep, Extent};
use crate::wire::json::{self, JsonBody, Limits, NodeId, Value, quote};
use crate::wire::work;

/// Maximum arguments of one call. Further ones are treated as a text.
const MAX_FRAGMENTS: usize = 1_024;

/// Maximum depth of an argument. A deeper one is treated as a text.
const MAX_DEPTH: usize = 64;

/// State of one argument.
#[derive(Clone, Debug)]
struct Argument {
    path: Box<[ArgumentStep]>,
    is_text: bool,
    /// Its text, or its JSON if it is not a text.
    text: String,
    has_ended: bool,
    /// Deltas of the argument: frame and location.
    parts: Vec<(u64, NodeId)>,
    /// Locations that repeat the complete argument.
    wholes: Vec<(u64, NodeId)>,
}

/// Arguments of a call that were sent one by one, sorted by path.
#[derive(Clone, Debug, Default)]
pub(super) struct ArgumentFragments {
    arguments: Vec<Argument>,
    size: usize,
    /// Whether clients may assemble the arguments in different ways, or not at all.
    is_ambiguous: bool,
    /// Content that was sent while the arguments were ambiguous.
    ambiguous_text: String,
}

impl ArgumentFragments {
    pub(super) fn is_empty(&self) -> bool {
        self.arguments.is_empty() && !self.is_ambiguous
    }

    /// Returns the number of bytes of all arguments.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Adds the delta of a frame.
    pub(super) fn add(
        &mut self,
        frame: u64,
        place: NodeId,
        value: Value<'_>,
        path: &[ArgumentStep],
        extent: Extent,
    ) {
        let is_text = value.kind() == json::ValueKind::String && extent != Extent::Null;
        let delta = match value.text().filter(|_| is_text) {
            Some(text) => text.into_owned(),
            None if extent == Extent::Null => "null".to_owned(),
            None => String::from_utf8_lossy(value.raw()).into_owned(),
        };
        self.size = self.size.saturating_add(delta.len());
        let at = self
            .arguments
            .binary_search_by(|known| known.path.as_ref().cmp(path));
        let at = at.unwrap_or_else(|at| {
            if self.arguments.len() < MAX_FRAGMENTS && path.len() <= MAX_DEPTH {
                let argument = Argument {
                    path: path.into(),
                    is_text,
                    text: String::new(),
                    has_ended: false,
                    parts: Vec::new(),
                    wholes: Vec::new(),
                };
                self.arguments.insert(at, argument);
            }
            at
        });
        let fits = |known: &&mut Argument| known.path.as_ref() == path;
        let Some(argument) = self.arguments.get_mut(at).filter(fits) else {
            self.is_ambiguous = true;
            write_line(path, &delta, &mut self.ambiguous_text);
            return;
        };
        self.is_ambiguous |= argument.is_text != is_text;
        if extent == Extent::Whole && !argument.text.is_empty() {
            if argument.text != delta {
                self.is_ambiguous = true;
                write_line(path, &delta, &mut self.ambiguous_text);
            }
            argument.wholes.push((frame, place));
        } else {
            self.is_ambiguous |= argument.has_ended || (!is_text && !argument.text.is_empty());
            argument.text.push_str(&delta);
            // Edited arguments are written to a delta that is not empty.
            if !delta.is_empty() {
                argument.parts.push((frame, place));
            }
        }
        argument.has_ended |= extent != Extent::Part;
    }

    /// Returns the JSON of all arguments; `None` if they are inconsistent.
    pub(super) fn assembled(&self) -> Option<String> {
        let mut out = Vec::new();
        if self.is_ambiguous {
            return None;
        }
        write(&self.arguments, 0, &mut out)?;
        String::from_utf8(out).ok()
    }

    /// Returns whether the complete arguments, as JSON, have the same values.
    pub(super) fn agrees_with(&self, arguments: &str) -> bool {
        !self.is_ambiguous
            && self.each_in(arguments, |argument, value| {
                (argument.text_of(value)? == argument.text).then_some(())
            })
    }

    /// Returns all content of ambiguous arguments, one delta or argument per line.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for argument in &self.arguments {
            write_line(&argument.path, &argument.text, &mut text);
        }
        text.push_str(&self.ambiguous_text);
        text
    }

    /// Writes the values of edited arguments to their deltas. `None` if that is impossible.
    pub(super) fn edit(&self, arguments: &str, queue: &mut Queue) -> Option<()> {
        self.each_in(arguments, |argument, value| {
            let says = argument.text_of(value)?;
            if says == argument.text {
                return Some(());
            }
            if !argument.is_text {
                return None;
            }
            put_in_first(&argument.parts, &says, queue)?;
            for (frame, place) in &argument.wholes {
                put(*frame, *place, &says, queue)?;
            }
            Some(())
        })
        .then_some(())
    }

    /// Returns whether `arguments`, as JSON, has every argument, and `visit` succeeds for all of them.
    fn each_in(
        &self,
        arguments: &str,
        mut visit: impl FnMut(&Argument, Value<'_>) -> Option<()>,
    ) -> bool {
        let limits = Limits {
            max_depth: u16::MAX,
        };
        let json = JsonBody::scan(arguments.as_bytes(), limits, 0);
        let Some(body) = json.as_ref().ok().and_then(|json| json.body()) else {
            return false;
        };
        self.arguments.iter().all(|argument| {
            let mut path = argument.path.iter();
            let value = path.try_fold(body.root(), |value, step| match step {
                ArgumentStep::Name(name) => value.get(name),
                ArgumentStep::Index(index) => {
                    work::spend(*index);
                    value.elements().nth(*index)
                }
            });
            value.and_then(|value| visit(argument, value)).is_some()
        })
    }
}

impl Argument {
    /// Returns the text of a value, if it has the same type as the argument.
    fn text_of(&self, value: Value<'_>) -> Option<String> {
        match value.kind() {
            json::ValueKind::String if self.is_text => Some(value.text()?.into_owned()),
            json::ValueKind::String => None,
            _ if self.is_text => None,
            _ => Some(String::from_utf8_lossy(value.raw()).into_owned()),
        }
    }
}

fn write_line(path: &[ArgumentStep], delta: &str, text: &mut String) {
    for step in path {
        if let ArgumentStep::Name(name) = step {
            text.push_str(name);
            text.push(' ');
        }
    }
    text.push_str(delta);
    text.push('\n');
}

/// Writes the arguments that share the first `depth` steps of their paths.
fn write(arguments: &[Argument], depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let step = |argument: &Argument| argument.path.get(depth).cloned();
    let first = arguments.first()?;
    let Some(kind) = step(first) else {
        if arguments.len() > 1 {
            return None;
        }
        match first.is_text {
            true => quote(&first.text, out),
            false => out.extend_from_slice(first.text.as_bytes()),
        }
        return Some(());
    };
    let is_list = matches!(kind, ArgumentStep::Index(_));
    out.push(if is_list { b'[' } else { b'{' });
    let groups = arguments.chunk_by(|one, next| step(one) == step(next));
    for (number, group) in groups.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        match step(group.first()?)? {
            ArgumentStep::Index(index) if is_list && index == number => {}
            ArgumentStep::Name(name) if !is_list => {
                quote(&name, out);
                out.push(b':');
            }
            _ => return None,
        }
        write(group, depth.saturating_add(1), out)?;
    }
    out.push(if is_list { b']' } else { b'}' });
    Some(())
}
