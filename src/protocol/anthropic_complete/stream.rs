//! A text completion that streams: events that each hold a piece of the text.
//!
//! ```text
//! {"type":"completion","id":"compl_1","completion":" Rain","stop_reason":null,"model":"claude-2.1"}
//! {"type":"completion","id":"compl_1","completion":"","stop_reason":"stop_sequence","model":"claude-2.1"}
//! ```

use super::{answer, denied_text};
use crate::diag::codes;
use crate::event::Part;
use crate::protocol::json_edit::tag;
use crate::protocol::reader::{Origin, Reader};
use crate::protocol::stream::{
    KeepAlive, OrderingGroups, StreamReader, SyntheticFrame, TextKey, is_done,
};
use crate::protocol::{Denial, Dialect, RequestContext};

/// A streamed completion.
#[derive(Debug)]
pub(super) struct CompletionStream {
    /// What a refusal repeats.
    id: String,
    model: String,
}

impl CompletionStream {
    pub(super) fn new(context: &RequestContext) -> CompletionStream {
        let model = context
            .models
            .names
            .first()
            .map_or("unknown", |model| model);
        CompletionStream {
            id: "agentguard".to_owned(),
            model: model.to_owned(),
        }
    }
}

impl StreamReader for CompletionStream {
    fn read(&mut self, reader: &mut Reader<'static>, name: Option<&str>) {
        reader.frame.lanes = OrderingGroups::of(0);
        let Some(body) = reader.body() else { return };
        let root = body.root();
        // Older versions of the API have neither names nor types.
        let kind = root.get("type").and_then(|kind| kind.text());
        if let (Some(name), Some(kind)) = (name, kind)
            && name != kind
        {
            let what = "an event whose name is not its type";
            reader.problem(codes::AG2014, root, what);
        }
        let is_piece = root.get("completion").is_some();
        if is_piece {
            self.id = tag(root.get("id").or(root.get("log_id")), "agentguard").into_owned();
            self.model = tag(root.get("model"), "unknown").into_owned();
        }
        let said = Origin {
            piece_of: Some(0),
            ..Origin::answer(0)
        };
        answer(reader, root, &said);
        let reason = root.get("stop_reason");
        reader.frame.last = is_piece && reason.is_some_and(|reason| !reason.is_null());
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        is_done(payload)
    }

    fn text_at(&self, channel: &TextKey) -> String {
        match channel.part {
            Part::Text => "#completion".to_owned(),
            part => format!("#{}", part.word()),
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        vec![if as_error {
            SyntheticFrame::error(Dialect::Anthropic, denial)
        } else {
            let denied_text = denied_text(&denial.message(), &self.id, &self.model);
            SyntheticFrame::new(Some("completion"), denied_text)
        }]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        let ping = SyntheticFrame::new(Some("ping"), br#"{"type": "ping"}"#.to_vec());
        Some(KeepAlive::Frame(ping))
    }
}
