//! Streamed text completions: each event contains a piece of the text.
//!
//! ```text
//! {"type":"completion","id":"compl_1","completion":" Rain","stop_reason":null,"model":"claude-2.1"}
//! {"type":"completion","id":"compl_1","completion":"","stop_reason":"stop_sequence","model":"claude-2.1"}
//! ```

use super::{answer, denied_text};
use crate::diag::codes;
use crate::event::Part;
use crate::protocol::Dialect;
use crate::protocol::json_edit::tag;
use crate::protocol::reader::{Origin, Reader};
use crate::protocol::stream::{KeepAlive, OrderingGroups, SyntheticFrame, TextSpec, TextStream};
use crate::wire::json::Value;

/// Streamed completion.
pub(super) const COMPLETION_STREAM: &TextSpec = &TextSpec {
    lanes: OrderingGroups(1),
    read,
    text_at: |text_key, _| match text_key.part {
        Part::Text => "#completion".to_owned(),
        part => format!("#{}", part.word()),
    },
    denied: Some(|stream, denial| {
        let event = denied_text(&denial.message(), &stream.id, &stream.model);
        vec![SyntheticFrame::new(Some("completion"), event)]
    }),
    error: |denial| SyntheticFrame::error(Dialect::Anthropic, denial),
    keep_alive: || Some(KeepAlive::ping()),
    ..TextSpec::OPENAI
};

fn read(
    stream: &mut TextStream,
    reader: &mut Reader<'static>,
    event: Value<'_>,
    name: Option<&str>,
    origin: &Origin,
) {
    // Older versions of the API have neither names nor types.
    let kind = event.get("type").and_then(|kind| kind.text());
    if let (Some(name), Some(kind)) = (name, kind)
        && name != kind
    {
        let what = "an event whose name is not its type";
        reader.problem(codes::AG2014, event, what);
    }
    let is_piece = event.get("completion").is_some();
    if is_piece {
        stream.id = tag(event.get("id").or(event.get("log_id")), "agentguard").into_owned();
        stream.model = tag(event.get("model"), "unknown").into_owned();
    }
    answer(reader, event, origin);
    let reason = event.get("stop_reason");
    reader.frame.last = is_piece && reason.is_some_and(|reason| !reason.is_null());
}
