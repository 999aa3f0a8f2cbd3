//! Streams of servers' own formats: TGI sends tokens and then all of the text, llama.cpp deltas, SGLang the text so far.
//!
//! ```text
//! {"index":1,"token":{"id":7,"text":"Rain","logprob":-0.1,"special":false},"generated_text":null,"details":null}    TGI
//! {"content":"Rain","stop":false,"tokens":[7]}                                                                       llama.cpp
//! {"text":"Rain to","meta_info":{"id":"1","finish_reason":null}}                                                     SGLang
//! ```

use super::{RESPONSE, TOKENS, denied_response};
use crate::event::Part;
use crate::protocol::json_edit::{number, replace_present};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{SyntheticFrame, TextDelta, TextSpec, Update};
use crate::protocol::{Denial, Dialect};
use crate::wire::json::{Edits, Value, quote};

/// Members of an event that no whole response has.
const FRAME: &[Row] = &[
    ("token", Type::Object(TOKEN)),
    ("top_tokens", Type::Tokens),
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

/// Number of the text in which the marks of the end are: tokens, but not part of the response.
const SPECIAL: u32 = 1;

/// Streamed response of TGI, llama.cpp or SGLang.
pub(in crate::protocol) const NATIVE_STREAM: &TextSpec = &TextSpec {
    // TGI has a count of tokens under the same name.
    choice: |event| {
        let index = number(event, "index").filter(|_| event.get("token").is_none());
        index.unwrap_or(0)
    },
    read: |_, reader, event, _, origin| {
        let tables = [FRAME, RESPONSE];
        reader.row_lists(event, &tables, origin, &mut |_, _, _| {});
    },
    update: Some(update),
    ends: |event| {
        let is_present = |holder: Option<Value<'_>>, name: &str| {
            let value = holder.and_then(|holder| holder.get(name));
            value.is_some_and(|value| !value.is_null())
        };
        is_present(Some(event), "generated_text")
            || is_set(event, "stop")
            || is_present(event.get("meta_info"), "finish_reason")
    },
    text_at: |text_key, _| format!("#choice/{}", text_key.choice),
    remove_copies,
    denied: Some(|_, denial| vec![denied_event(denial)]),
    error: |denial| SyntheticFrame::new(None, Dialect::OpenAi.body(denial)),
    ..TextSpec::OPENAI
};

fn is_set(holder: Value<'_>, name: &str) -> bool {
    holder.get(name).and_then(|flag| flag.as_bool()) == Some(true)
}

fn update(event: Value<'_>, piece: &TextDelta) -> (u32, Update) {
    let token = event.get("token");
    let more = match token {
        Some(token) => token.get("text"),
        None => event.get("content"),
    };
    let is_special = token.is_some_and(|token| is_set(token, "special"));
    match piece.text_key.part {
        Part::Text if more.is_some_and(|text| text.place() == piece.place) => {
            let number = if is_special { SPECIAL } else { 0 };
            (number, Update::Delta)
        }
        Part::Text => (0, Update::Whole),
        // Settings and the prompt, which no other event continues.
        _ => (piece.text_key.item, Update::Whole),
    }
}

/// Removes the tokens, which repeat the text.
fn remove_copies(event: Value<'_>, edits: &mut Edits) {
    if let Some(id) = event.get("token").and_then(|token| token.get("id")) {
        edits.replace(id, b"0".to_vec());
    }
    for name in ["top_tokens", "tokens", "output_ids"] {
        replace_present(event, name, b"[]", edits);
    }
    for details in ["details", "meta_info"] {
        let Some(details) = event.get(details) else {
            continue;
        };
        for name in TOKENS {
            replace_present(details, name, b"[]", edits);
        }
    }
}

/// Returns an event that contains only a denial, in the members of all these servers.
fn denied_event(denial: &Denial) -> SyntheticFrame {
    let answer = denied_response(denial);
    let mut out = br#"{"index":0,"token":{"id":0,"text":"#.to_vec();
    quote(&denial.message(), &mut out);
    out.extend_from_slice(br#","logprob":0,"special":false},"details":null,"stop":true,"#);
    out.extend_from_slice(answer.get(1..).unwrap_or_default());
    SyntheticFrame::new(None, out)
}
