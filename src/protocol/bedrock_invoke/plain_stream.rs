//! Answers of a prompt that stream: each frame holds a piece of the text, in the words of the model's family.
//!
//! ```text
//! {"outputText":"Rain","index":0,"totalOutputTextTokenCount":null,"completionReason":null,"inputTextTokenCount":4}
//! {"generation":"Rain","prompt_token_count":4,"generation_token_count":1,"stop_reason":null}
//! {"outputs":[{"text":"Rain","stop_reason":null}]}
//! ```

use super::plain;
use crate::event::Part;
use crate::protocol::json_edit::number;
use crate::protocol::reader::{Origin, Reader};
use crate::protocol::stream::{
    CallKey, ChangesByText, HeldFrame, OrderingGroups, StreamReader, SyntheticFrame, TextKey,
};
use crate::protocol::{CannotRemove, Denial, Removals};
use crate::wire::json::quote;

/// Where texts beside a list of responses are counted from.
const BESIDE: u32 = 0;

/// A streamed response.
#[derive(Debug)]
pub(super) struct PlainStream {
    /// The member that holds the text.
    member: &'static str,
}

impl PlainStream {
    pub(super) fn new(model: &str) -> PlainStream {
        PlainStream {
            member: plain::member_of(model).unwrap_or("completion"),
        }
    }
}

/// Members that hold a piece of the text, each with that which holds the text of a whole response.
const MEMBERS: &[(&str, &str)] = &[
    ("outputText", "results"),
    ("generation", "generation"),
    ("outputs", "outputs"),
    ("completion", "completion"),
    ("choices", "choices"),
    ("text", "text"),
];

impl StreamReader for PlainStream {
    fn read(&mut self, reader: &mut Reader<'static>, _: Option<&str>) {
        reader.frame.lanes = OrderingGroups::of(0);
        let Some(body) = reader.body() else { return };
        let root = body.root();
        let says = MEMBERS.iter().find(|(name, _)| root.get(name).is_some());
        if let Some((_, member)) = says {
            self.member = member;
        }
        let origin = Origin {
            piece_of: Some(BESIDE),
            ..Origin::answer(number(root, "index").unwrap_or(0))
        };
        plain::read(reader, root, &origin);
    }

    fn text_at(&self, channel: &TextKey) -> String {
        match channel.part {
            Part::Text => format!("#choice/{}", channel.choice),
            part => format!("#choice/{}/{}", channel.choice, part.word()),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#choice/{}/tool_calls/{}", key.choice, key.item)
    }

    fn remove_from_response(
        &mut self,
        frame: &mut HeldFrame,
        removals: &Removals,
    ) -> Result<(), CannotRemove> {
        let body = frame.body().ok_or(CannotRemove)?;
        plain::remove_from_response(body.root(), removals, &mut frame.edits)
    }

    fn correct(&mut self, frame: &mut HeldFrame, _: &ChangesByText) {
        if frame.edits.is_empty() {
            return;
        }
        if let Some(body) = frame.body() {
            plain::drop_copies(body.root(), &mut frame.edits);
        }
    }

    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        let text = denial.message();
        let piece = |before: &str, after: &str| {
            let mut out = before.as_bytes().to_vec();
            quote(&text, &mut out);
            out.extend_from_slice(after.as_bytes());
            SyntheticFrame::new(None, out)
        };
        match self.member {
            "results" => vec![piece(
                r#"{"outputText":"#,
                r#","index":0,"totalOutputTextTokenCount":0,"completionReason":"CONTENT_FILTERED","inputTextTokenCount":0}"#,
            )],
            "text" | "generations" => vec![
                piece(r#"{"is_finished":false,"text":"#, "}"),
                SyntheticFrame::new(
                    None,
                    br#"{"is_finished":true,"finish_reason":"COMPLETE"}"#.to_vec(),
                ),
            ],
            member => plain::denied_text(member, &text)
                .map(|denied_text| SyntheticFrame::new(None, denied_text))
                .into_iter()
                .collect(),
        }
    }
}
