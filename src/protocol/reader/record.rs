//! Bodies inside a body: the records of a batch, each a request or a response of its own.

use super::{Reader, code_of};
use crate::wire::json::{JsonText, Value};
use crate::wire::span::index;

impl Reader<'_> {
    /// Reads a value as a body of its own, which is the reader's [`body`](Reader::body) inside `read`. Its unclaimed
    /// values become unknown texts. Edits in it reach the bytes. Its settings (stream, parameters, a forced tool) are
    /// not those of the exchange; its models are.
    pub fn record(&mut self, value: Value<'_>, read: &mut dyn FnMut(&mut Self, Value<'_>)) {
        let doc = match self.json.detach(value) {
            Ok(doc) => doc,
            Err(error) => {
                let what = format!("a record of a batch: {error}");
                self.problem(code_of(error), value, &what);
                return;
            }
        };
        self.claim_all(value);
        let (params, stream) = (self.reading.params, self.reading.stream);
        let usage = std::mem::take(&mut self.reading.usage);
        let (forces, structured) = (self.reading.forces_tool, self.reading.structured_output);
        self.inside(&doc, read);
        self.reading.usage.add(usage);
        self.reading.params = params;
        self.reading.stream = stream;
        self.reading.forces_tool = forces;
        self.reading.structured_output = structured;
    }

    /// Reads a document inside the body, which is the reader's [`body`](Reader::body) inside `read`. Its unclaimed
    /// values become unknown texts.
    pub(super) fn inside(
        &mut self,
        doc: &JsonText<'_>,
        read: &mut dyn FnMut(&mut Self, Value<'_>),
    ) {
        let outer = std::mem::replace(&mut self.current, doc.root().place().doc);
        let claimed = std::mem::replace(&mut self.claimed, vec![false; index(doc.len())]);
        read(self, doc.root());
        self.report_unclaimed();
        self.current = outer;
        self.claimed = claimed;
    }
}
