//! Bodies inside a body: the records of a batch, each a request or a response of its own.

use super::{Reader, code_of};
use crate::wire::json::{JsonText, Value};
use crate::wire::span::index;

impl Reader<'_> {
    /// Reads a value as a body of its own: `read` sees it as [`body`](Reader::body), and what it does not claim is found
    /// as unknown there. Edits in it reach the bytes. What it says of the exchange as a whole (a stream, settings, a
    /// forced tool) is about itself and forgotten; its models count.
    pub fn record(&mut self, value: Value<'_>, read: &mut dyn FnMut(&mut Self)) {
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

    /// Reads a document inside the body: `read` sees it as [`body`](Reader::body), and what it does not claim is found as
    /// unknown there.
    pub(super) fn inside(&mut self, doc: &JsonText<'_>, read: &mut dyn FnMut(&mut Self)) {
        let outer = std::mem::replace(&mut self.current, doc.root().place().doc);
        let claimed = std::mem::replace(&mut self.claimed, vec![false; index(doc.len())]);
        read(self);
        self.report_unclaimed();
        self.current = outer;
        self.claimed = claimed;
    }
}
