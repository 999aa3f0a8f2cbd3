//! Streamed responses to a prompt: each frame contains a piece of the text, in the members of the model's family.
//!
//! ```text
//! {"outputText":"Rain","index":0,"totalOutputTextTokenCount":null,"completionReason":null,"inputTextTokenCount":4}
//! {"generation":"Rain","prompt_token_count":4,"generation_token_count":1,"stop_reason":null}
//! {"outputs":[{"text":"Rain","stop_reason":null}]}
//! ```

use super::plain;
use crate::event::Part;
use crate::protocol::bedrock_shapes::exception;
use crate::protocol::json_edit::number;
use crate::protocol::stream::{OrderingGroups, SyntheticFrame, TextSpec, TextStream};
use crate::protocol::{Denial, RequestContext};
use crate::wire::json::quote;

/// Members that contain a piece of the text, each with the member that contains the text of a whole response.
const MEMBERS: &[(&str, &str)] = &[
    ("outputText", "results"),
    ("generation", "generation"),
    ("outputs", "outputs"),
    ("completion", "completion"),
    ("choices", "choices"),
    ("text", "text"),
];

/// Streamed response to a prompt.
const PLAIN_STREAM: &TextSpec = &TextSpec {
    lanes: OrderingGroups(1),
    choice: |event| number(event, "index").unwrap_or(0),
    read: |stream, reader, event, _, origin| {
        let known = MEMBERS.iter().find(|(name, _)| event.get(name).is_some());
        if let Some((_, member)) = known {
            stream.member = member;
        }
        plain::read(reader, event, origin);
    },
    text_at: |text_key, _| match text_key.part {
        Part::Text => format!("#choice/{}", text_key.choice),
        part => format!("#choice/{}/{}", text_key.choice, part.word()),
    },
    has_done: false,
    remove: plain::remove_from_response,
    remove_copies: plain::drop_copies,
    denied: Some(denied),
    error: exception,
    keep_alive: || None,
    ..TextSpec::OPENAI
};

/// Returns a reader of the response of a model.
pub(super) fn plain_stream(model: &str, context: &RequestContext) -> TextStream {
    let mut stream = TextStream::new(PLAIN_STREAM, context);
    stream.member = plain::member_of(model).unwrap_or("completion");
    stream
}

fn denied(stream: &TextStream, denial: &Denial) -> Vec<SyntheticFrame> {
    let text = denial.message();
    let piece = |before: &str, after: &str| {
        let mut out = before.as_bytes().to_vec();
        quote(&text, &mut out);
        out.extend_from_slice(after.as_bytes());
        SyntheticFrame::new(None, out)
    };
    match stream.member {
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
