//! Streams of servers' own formats: TGI sends tokens and at the end all of them, llama.cpp what goes on, SGLang the text so
//! far.
//!
//! ```text
//! {"index":1,"token":{"id":7,"text":"Rain","logprob":-0.1,"special":false},"generated_text":null,"details":null}    TGI
//! {"content":"Rain","stop":false,"tokens":[7]}                                                                       llama.cpp
//! {"text":"Rain to","meta_info":{"id":"1","finish_reason":null}}                                                     SGLang
//! ```

use super::{RESPONSE, TOKENS, denied_response, response_member};
use crate::event::Part;
use crate::protocol::json_edit::number;
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    CallKey, ChangesByText, Delta, HeldFrame, KeepAlive, OrderingGroups, SnapshotTexts,
    StreamReader, SyntheticFrame, TextKey, Update, is_done,
};
use crate::protocol::{Denial, Dialect, Origin, Reader};
use crate::wire::json::{Edits, Value};

/// Members of a frame that no whole response has.
const FRAME: &[Row] = &[
    ("token", Type::Object(TOKEN)),
    ("top_tokens", Type::Custom),
    ("index", Type::Number),
    ("id_slot", Type::Number),
    ("tokens", Type::Numbers),
    ("output_ids", Type::Numbers),
    ("generation_settings", Type::Tree(Part::Other)),
];
const TOKEN: &[Row] = &[
    ("id", Type::Number),
    ("text", Type::Text(Part::Text)),
    ("logprob", Type::Number),
    ("special", Type::Flag),
];

/// A streamed response.
#[derive(Debug, Default)]
pub(in crate::protocol) struct NativeStream {
    texts: SnapshotTexts,
}

/// Which of several answers a frame is about. TGI counts tokens under the same name.
fn choice_of(frame: Value<'_>) -> u32 {
    let index = number(frame, "index").filter(|_| frame.get("token").is_none());
    index.unwrap_or(0)
}

impl StreamReader for NativeStream {
    fn read(&mut self, reader: &mut Reader<'static>, _: Option<&str>) {
        let Some(body) = reader.body() else { return };
        let root = body.root();
        reader.frame.lanes = OrderingGroups::ALL;
        let choice = choice_of(root);
        let origin = Origin {
            piece_of: Some(0),
            ..Origin::answer(choice)
        };
        let first = reader.frame.pieces.len();
        let tables = [FRAME, RESPONSE];
        reader.row_lists(
            root,
            &tables,
            &origin,
            &mut |reader, key, value| match key {
                _ if value.is_null() => reader.claim(value),
                "top_tokens" => reader.claim_all(value),
                _ => response_member(reader, key, value),
            },
        );
        let token = root.get("token");
        // What marks the end is a token, but no part of the text.
        let is_special = token.is_some_and(|token| {
            let special = token.get("special").and_then(|special| special.as_bool());
            special == Some(true)
        });
        let more = match token {
            Some(token) => token.get("text"),
            None => root.get("content"),
        };
        let more = more.map(|text| text.place());
        for piece in reader.frame.pieces.split_off(first) {
            let Delta::Text(piece) = piece else {
                reader.piece(piece);
                continue;
            };
            let (how, which) = match piece.channel.part {
                Part::Text if more == Some(piece.place) => (Update::Delta, u32::from(is_special)),
                Part::Text => (Update::Whole, 0),
                // Settings and the prompt stand there for themselves.
                _ => (Update::Whole, piece.channel.item),
            };
            self.texts.piece(reader, piece, [choice, which, 0], how);
        }
        let is_told = |name: &str| root.get(name).is_some_and(|value| !value.is_null());
        let has_stopped = root.get("stop").and_then(|stop| stop.as_bool()) == Some(true);
        let info = root.get("meta_info");
        let reason = info.and_then(|info| info.get("finish_reason"));
        if is_told("generated_text") || has_stopped || reason.is_some_and(|it| !it.is_null()) {
            self.texts.end(reader, &|[of, ..]| of == choice);
        }
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        is_done(payload)
    }

    fn text_at(&self, channel: &TextKey) -> String {
        format!("#choice/{}", channel.choice)
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#choice/{}", key.choice)
    }

    /// Tokens say once more what was edited.
    fn correct(&mut self, frame: &mut HeldFrame, _: &ChangesByText) {
        let Some(body) = frame.body() else {
            return;
        };
        if frame.edits.is_empty() {
            return;
        }
        let root = body.root();
        if let Some(id) = root.get("token").and_then(|token| token.get("id")) {
            frame.edits.replace(id, b"0".to_vec());
        }
        for name in ["top_tokens", "tokens", "output_ids"] {
            remove(root.get(name), &mut frame.edits);
        }
        for details in ["details", "meta_info"] {
            let details = root.get(details);
            for (key, member) in details.into_iter().flat_map(|details| details.members()) {
                if TOKENS.iter().any(|name| key.is_text(name)) {
                    remove(Some(member), &mut frame.edits);
                }
            }
        }
    }

    /// In the members of all these servers.
    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        if as_error {
            return vec![SyntheticFrame::new(None, Dialect::OpenAi.body(denial))];
        }
        let answer = denied_response(denial);
        let mut out = br#"{"index":0,"token":{"id":0,"text":"#.to_vec();
        crate::wire::json::quote(&denial.message(), &mut out);
        out.extend_from_slice(br#","logprob":0,"special":false},"details":null,"stop":true,"#);
        out.extend_from_slice(answer.get(1..).unwrap_or_default());
        vec![SyntheticFrame::new(None, out)]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}

fn remove(copy: Option<Value<'_>>, edits: &mut Edits) {
    if let Some(copy) = copy.filter(|copy| !copy.is_null()) {
        edits.replace(copy, b"[]".to_vec());
    }
}
