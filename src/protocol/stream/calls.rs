//! Calls that arrive in deltas, and then again as a whole. A copy that equals the deltas is the same call: it is
//! evaluated once. A copy with another name or other arguments is another call at the same position, because some
//! clients run the deltas and some the copy.
//!
//! ```text
//! {"tool_call_delta":{"index":0,"name":"weather"}}                               begins call 0
//! {"tool_call_delta":{"index":0,"parameters":"{\"city\": "}}                     adds to it
//! {"tool_calls":[{"name":"weather","parameters":{"city":"Bern"}}]}               repeats it
//! ```

use super::{CallDelta, CallKey, MAX_TEXTS, TextPrefixHash, too_many};
use crate::protocol::Reader;
use crate::wire::json::{NodeId, Value};
use crate::wire::span::{index, offset};
use crate::wire::work;

/// Position of a call in its response, in the protocol's own numbers.
pub type CallPath = [u32; 2];

/// Call so far.
#[derive(Debug, Default)]
pub struct SnapshotCall {
    /// Position of the call.
    pub path: CallPath,
    /// Id of the call, if the call has one.
    pub id: Option<Box<str>>,
    /// Name of its tool.
    pub name: Option<Box<str>>,
    /// Its arguments.
    pub so_far: TextPrefixHash,
    /// Whether it was evaluated.
    pub has_ended: bool,
    spaces: JsonSpaces,
}

impl SnapshotCall {
    /// Returns a call that has only a position.
    pub fn at(path: CallPath) -> SnapshotCall {
        SnapshotCall {
            path,
            ..SnapshotCall::default()
        }
    }

    /// Returns the same call with an id.
    pub fn with_id(self, id: Option<&str>) -> SnapshotCall {
        let id = id.map(Into::into);
        SnapshotCall { id, ..self }
    }

    /// Returns whether the arguments so far are exactly these.
    pub fn has_arguments(&self, arguments: &str) -> bool {
        if self.so_far.length() != arguments.len() {
            return false;
        }
        // Each of many calls may be compared with each copy.
        work::spend(arguments.len().saturating_add(HASH_STEPS));
        self.so_far.begins(arguments)
    }
}

/// Work steps of a comparison by digest, beside those of its bytes.
const HASH_STEPS: usize = 256;

/// Whole call in a frame.
pub struct CallCopy<'a> {
    /// Value of the frame that contains this call and nothing else.
    pub element: NodeId,
    /// Name of the tool.
    pub name: Option<&'a str>,
    /// Arguments, as the deltas spell them.
    pub text: &'a str,
    /// Value with the arguments.
    pub arguments: Option<Value<'a>>,
}

/// Calls of a response. The `item` of a call's key is its index here.
#[derive(Debug, Default)]
pub struct SnapshotCalls {
    list: Vec<SnapshotCall>,
    /// Whether white space between the values of arguments is not compared, because copies differ in it.
    ignores_spaces: bool,
}

impl SnapshotCalls {
    /// Returns no calls so far; white space between the values of their arguments is not compared.
    pub fn ignoring_spaces() -> SnapshotCalls {
        SnapshotCalls {
            ignores_spaces: true,
            ..SnapshotCalls::default()
        }
    }

    /// Returns a call by its index.
    pub fn get(&self, number: usize) -> Option<&SnapshotCall> {
        self.list.get(number)
    }

    /// Returns a call by its index, to change it.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut SnapshotCall> {
        self.list.get_mut(number)
    }

    /// Returns the call of a key.
    pub fn of(&self, key: &CallKey) -> Option<&SnapshotCall> {
        self.list.get(index(key.item))
    }

    /// Returns the index of the last call that a function selects.
    pub fn last(&self, is_it: &dyn Fn(&SnapshotCall) -> bool) -> Option<usize> {
        work::spend(self.list.len());
        self.list.iter().rposition(is_it)
    }

    /// Adds a call and returns its index, unless there are too many.
    pub fn add(&mut self, reader: &mut Reader<'static>, call: SnapshotCall) -> Option<usize> {
        if self.list.len() >= MAX_TEXTS {
            too_many(reader);
            return None;
        }
        self.list.push(call);
        Some(self.list.len().saturating_sub(1))
    }

    /// Adds a call that begins in this element of the frame.
    pub fn begin(
        &mut self,
        reader: &mut Reader<'static>,
        call: SnapshotCall,
        element: NodeId,
    ) -> Option<usize> {
        let number = self.add(reader, call)?;
        reader.call_piece(element, key(number), CallDelta::BEGIN);
        Some(number)
    }

    /// Reads the name of a call, or more of it.
    pub fn name(
        &mut self,
        reader: &mut Reader<'static>,
        number: usize,
        element: NodeId,
        value: Value<'_>,
    ) {
        let Some(call) = self.list.get_mut(number) else {
            return;
        };
        let text = value.text().unwrap_or_default();
        let mut name = call.name.take().map_or_else(String::new, String::from);
        name.push_str(&text);
        call.name = Some(name.into());
        reader.call_piece(element, key(number), CallDelta::Name(value.place()));
    }

    /// Reads more of the arguments of a call, JSON in a string.
    pub fn arguments(
        &mut self,
        reader: &mut Reader<'static>,
        number: usize,
        element: NodeId,
        value: Value<'_>,
    ) {
        let Some(call) = self.list.get_mut(number) else {
            return;
        };
        let text = value.text().unwrap_or_default();
        match self.ignores_spaces {
            true => call.so_far.push(&call.spaces.without(&text)),
            false => call.so_far.push(&text),
        }
        reader.call_piece(element, key(number), CallDelta::Arguments(value.place()));
    }

    /// Reads a copy: it repeats the last call that `is_it` selects by its index and its content, if name and arguments
    /// are the same. Otherwise it is `another` call.
    pub fn copy(
        &mut self,
        reader: &mut Reader<'static>,
        copy: &CallCopy<'_>,
        is_it: &dyn Fn(usize, &SnapshotCall) -> bool,
        another: SnapshotCall,
    ) {
        let without = self
            .ignores_spaces
            .then(|| JsonSpaces::default().without(copy.text));
        let text = without.as_deref().unwrap_or(copy.text);
        work::spend(self.list.len());
        let mut calls = self.list.iter().enumerate().rev();
        let known = calls.find(|(number, call)| {
            is_it(*number, call) && call.name.as_deref() == copy.name && call.has_arguments(text)
        });
        if let Some((number, _)) = known {
            if let Some(arguments) = copy.arguments.filter(|_| !text.is_empty()) {
                let what = CallDelta::ArgumentsWhole(arguments.place());
                reader.call_piece(copy.element, key(number), what);
            }
            return;
        }
        let Some(number) = self.begin(reader, another, copy.element) else {
            return;
        };
        if let Some(call) = self.list.get_mut(number) {
            call.so_far.push(text);
            call.name = copy.name.map(Into::into);
        }
        let name = copy.name.map(|name| CallDelta::Named(name.into()));
        let arguments = copy
            .arguments
            .map(|value| CallDelta::Arguments(value.place()));
        for what in name.into_iter().chain(arguments) {
            reader.call_piece(copy.element, key(number), what);
        }
    }

    /// Returns the keys of the calls that a function selects and that have not ended.
    pub fn open(&self, which: &dyn Fn(&SnapshotCall) -> bool) -> Vec<CallKey> {
        let calls = self.list.iter().enumerate();
        let open = calls.filter(|(_, call)| which(call) && !call.has_ended);
        open.map(|(number, _)| key(number)).collect()
    }

    /// Ends the calls that a function selects and that have not ended, and returns their keys.
    pub fn end(&mut self, which: &dyn Fn(&SnapshotCall) -> bool) -> Vec<CallKey> {
        let mut ended = Vec::new();
        for (number, call) in self.list.iter_mut().enumerate() {
            if which(call) && !std::mem::replace(&mut call.has_ended, true) {
                ended.push(key(number));
            }
        }
        ended
    }
}

fn key(number: usize) -> CallKey {
    CallKey::block(offset(number))
}

/// White space outside of strings, in JSON that arrives in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct JsonSpaces {
    in_string: bool,
    is_escaped: bool,
}

impl JsonSpaces {
    /// Returns a piece without its white space.
    fn without(&mut self, json: &str) -> String {
        let stays = |c: &char| {
            if self.in_string {
                let is_end = *c == '"' && !self.is_escaped;
                self.is_escaped = *c == '\\' && !self.is_escaped;
                self.in_string = !is_end;
                true
            } else {
                self.in_string = *c == '"';
                !c.is_ascii_whitespace()
            }
        };
        json.chars().filter(stays).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::JsonSpaces;

    #[test]
    fn white_space_outside_of_strings_goes_wherever_the_pieces_end() {
        let json = "{ \"a b\" : [1, \"c\\\" d\\\\\"] , \"e\":\t\"\" }";
        let expected = "{\"a b\":[1,\"c\\\" d\\\\\"],\"e\":\"\"}";
        assert_eq!(JsonSpaces::default().without(json), expected);
        for cut in 0..json.len() {
            let mut spaces = JsonSpaces::default();
            let (begin, end) = json.split_at(cut);
            let joined = spaces.without(begin) + &spaces.without(end);
            assert_eq!(joined, expected, "{cut}");
        }
    }
}
