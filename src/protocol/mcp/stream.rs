//! MCP responses and streams of server-sent events: every event is a whole message, which is read, evaluated and
//! denied as one. Source: the specification, "Streamable HTTP" of each version, and "HTTP with SSE" of 2024-11-05.
//!
//! ```text
//! {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5,"message":"Half"}}
//! {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"Rain"}],"isError":false}}
//! ```

use super::denial::{self, begin_unknown, write_denied};
use super::{STREAM, response};
use crate::event::{Kind, Part};
use crate::protocol::json_edit::ObjectWriter;
use crate::protocol::jsonrpc::PendingRpc;
use crate::protocol::reader::{Origin, Reader};
use crate::protocol::stream::{
    ChangesByText, HeldFrame, KeepAlive, OrderingGroups, StreamReader, SyntheticFrame,
};
use crate::protocol::{CannotRemove, Denial, RemovalMethod, Removals, RequestContext};
use crate::wire::json::{self, Value, quote};
use crate::wire::sort;
use crate::wire::sorted_map::SortedSet;
use crate::wire::span::index;

/// Messages of a server, one after the other.
pub(super) struct McpStream {
    context: RequestContext,
    waiting: PendingRpc,
    /// Client requests without an answer so far, by their numbers.
    open: SortedSet<u32>,
    /// Requests that the current event answers. The event may still be denied.
    answering: Vec<u32>,
    /// Requests that the filter answered before the server did.
    ended: SortedSet<u32>,
    /// Whether the current event contains several messages.
    is_batch: bool,
}

impl McpStream {
    pub(super) fn new(context: &RequestContext) -> McpStream {
        let waiting = PendingRpc::of(context);
        McpStream {
            context: context.clone(),
            open: sort::set(waiting.numbers()),
            waiting,
            answering: Vec::new(),
            ended: SortedSet::new(),
            is_batch: false,
        }
    }

    /// Marks the requests that the event answers as answered.
    fn note_answers(&mut self) {
        for answered in std::mem::take(&mut self.answering) {
            self.open.remove(&answered);
        }
    }

    /// Returns an answer that the filter creates for a client request.
    fn denied_text(&self, number: u32, denial: &Denial) -> Option<SyntheticFrame> {
        let message = self.context.rpc.get(index(number))?;
        let mut out = Vec::with_capacity(512);
        write_denied(&mut out, message.id.as_deref(), Some(message), denial);
        Some(SyntheticFrame::new(Some("message"), out))
    }

    /// Replaces a message by a harmless one. A denied request of the server ends the client requests, because they
    /// cannot be carried out without it.
    fn replace(
        &mut self,
        frame: &mut HeldFrame,
        message: Value<'_>,
        denial: &Denial,
    ) -> Result<(), CannotRemove> {
        let id = message.get("id");
        let mut with = Vec::with_capacity(512);
        if message.get("method").is_none() && id.is_some() {
            let question = self.waiting.request(&self.context, id);
            write_denied(&mut with, id.map(|id| id.raw()), question, denial);
            frame.edits.replace(message, with);
            return Ok(());
        }
        let Some(id) = id.filter(|_| message.get("method").is_some()) else {
            // A notification has no answer.
            frame.dropped = true;
            return if self.is_batch {
                Err(CannotRemove)
            } else {
                Ok(())
            };
        };
        write_denied_request(&mut with, id.raw(), denial);
        frame.edits.replace(message, with);
        self.note_answers();
        for number in std::mem::take(&mut self.open) {
            frame.after.extend(self.denied_text(number, denial));
            self.ended.insert(number);
        }
        Ok(())
    }
}

fn write_denied_request(out: &mut Vec<u8>, id: &[u8], denial: &Denial) {
    let mut outer = begin_unknown(out, Some(id));
    outer.member("params", |out| {
        let mut params = ObjectWriter::begin(out);
        params.text("message", &denial.message());
        params.member("agentguard", |out| denial.details(out));
        params.end();
    });
    outer.end();
}

/// Returns the messages of an event.
fn messages(root: Value<'_>) -> Vec<Value<'_>> {
    match root.kind() {
        json::ValueKind::Array => root.elements().collect(),
        _ => vec![root],
    }
}

impl StreamReader for McpStream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, event: Option<&str>) {
        self.answering.clear();
        self.is_batch = root.kind() == json::ValueKind::Array;
        reader.frame.lanes = OrderingGroups::ALL;
        if root.kind() == json::ValueKind::String {
            self.address(reader, root, event);
            return;
        }
        let answers = messages(root)
            .into_iter()
            .filter(|message| message.get("method").is_none())
            .filter_map(|message| self.waiting.number(message.get("id")));
        self.answering.extend(answers);
        response::read(reader, root, &self.context, &self.waiting);
    }

    fn passed(&mut self) {
        self.note_answers();
    }

    /// HTTP+SSE begins with an address, which is not JSON.
    fn wraps(&self) -> bool {
        true
    }

    fn unwrap(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(payload).ok()?;
        let is_address = self.context.endpoint.name == STREAM
            && !text.trim_start().starts_with(['{', '[', '"'])
            && !text.contains(char::is_whitespace);
        if !is_address {
            return Some(payload.to_vec());
        }
        let mut quoted = Vec::with_capacity(text.len().saturating_add(2));
        quote(text, &mut quoted);
        Some(quoted)
    }

    fn removal(&self, kind: Kind) -> RemovalMethod {
        match kind {
            Kind::ToolOffer => RemovalMethod::Offer,
            // It is unknown which of several messages cannot be read.
            Kind::Uninspectable if self.is_batch => RemovalMethod::Whole,
            _ => RemovalMethod::Message,
        }
    }

    fn can_skip(&self) -> bool {
        self.open.is_empty()
    }

    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        let json = frame.json.take().ok_or(CannotRemove)?;
        let body = json.body().ok_or(CannotRemove)?;
        let messages = messages(body.root());
        for (choice, denial) in &removals.denials {
            let message = messages.get(index(*choice)).ok_or(CannotRemove)?;
            self.replace(frame, *message, denial)?;
        }
        let rest = Removals {
            denials: Vec::new(),
            ..removals.clone()
        };
        denial::remove_from_response(&json, &self.context, &rest, &mut frame.edits)?;
        drop(messages);
        frame.json = Some(json);
        Ok(())
    }

    /// A late answer to a request that the filter has answered is dropped.
    fn correct(&mut self, frame: &mut HeldFrame, _: &ChangesByText) {
        let Some(body) = frame.body() else {
            return;
        };
        let root = body.root();
        let is_late = root.get("method").is_none()
            && self
                .waiting
                .number(root.get("id"))
                .is_some_and(|number| self.ended.contains(&number));
        frame.dropped |= is_late;
    }

    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        let open = std::mem::take(&mut self.open);
        open.into_iter()
            .filter_map(|number| self.denied_text(number, denial))
            .collect()
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}

impl McpStream {
    /// Reads the address at which a client of HTTP+SSE posts its messages. Clients reject an address at another host.
    fn address(&self, reader: &mut Reader<'static>, root: Value<'_>, event: Option<&str>) {
        if event == Some("endpoint") {
            reader.reference(root, &Origin::answer(0).with_part(Part::Other));
        } else {
            reader.wrong_type(root, "a message");
        }
    }
}
