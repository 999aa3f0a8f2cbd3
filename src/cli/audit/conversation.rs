//! Readable form of a record's content.
//!
//! ```text
//!   request, message of user
//!   | Refund jane: [EMAIL]
//!   response, tool_call refund
//!   | {"amount":5}
//! ```

use super::super::output::visible;
use serde_json::Value;

/// Recorded message, call or result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RecordedText {
    /// Half of the exchange, kind of event, author. Safe for a terminal.
    pub(super) title: String,
    /// Text as it was recorded.
    pub(super) text: String,
}

/// Returns the recorded texts of an exchange, in its order; empty if the record has none.
pub(super) fn recorded_texts(record: &Value) -> Vec<RecordedText> {
    let mut all = Vec::new();
    let Some(content) = record.get("content") else {
        return all;
    };
    let list = |name: &str| content.get(name).and_then(Value::as_array);
    for half in ["request", "response"] {
        for part in list(half).into_iter().flatten() {
            let text = |name: &str| part.get(name).and_then(Value::as_str);
            let mut title = format!("{half}, {}", visible(text("event").unwrap_or_default()));
            if let Some(author) = text("from") {
                title.push_str(&format!(" of {}", visible(author)));
            }
            for name in ["part", "tool"] {
                if let Some(word) = text(name) {
                    title.push_str(&format!(" {}", visible(word)));
                }
            }
            let text = text("text").or_else(|| text("args")).unwrap_or_default();
            all.push(RecordedText {
                title,
                text: text.to_owned(),
            });
        }
        let mut truncated = list("truncated").into_iter().flatten();
        if truncated.any(|word| word == half) {
            all.push(RecordedText {
                title: format!("the {half} has more"),
                text: String::new(),
            });
        }
    }
    all
}

/// Returns the recorded texts for a terminal. Each line of a text begins with a bar, so that no text can imitate other
/// output.
pub(in crate::cli) fn conversation(record: &Value) -> String {
    as_text(&recorded_texts(record))
}

/// Returns the recorded texts for a terminal.
pub(super) fn as_text(texts: &[RecordedText]) -> String {
    let mut out = String::new();
    for RecordedText { title, text } in texts {
        out.push_str(&format!("  {title}\n"));
        for line in text.lines() {
            out.push_str(&format!("  | {}\n", visible(line)));
        }
    }
    out
}

/// Returns a record without its recorded texts. Its MAC and the digest in the next record no longer match.
pub(super) fn without_content(line: &str) -> String {
    match serde_json::from_str(line) {
        Ok(Value::Object(mut members)) if members.contains_key("content") => {
            members.shift_remove("content");
            Value::Object(members).to_string()
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_look_like_another_part() {
        let record = serde_json::json!({"content": {"form": "redacted",
            "request": [{"event": "message", "from": "user", "text": "hi\nresponse, message\u{1b}[2K"}],
            "response": [{"event": "tool_call", "tool": "pay", "args": "{}"}],
            "truncated": ["response"]}});
        assert_eq!(
            conversation(&record),
            "  request, message of user\n  | hi\n  | response, message\\u{1b}[2K\n  response, tool_call pay\n  | {}\n  the response has more\n"
        );
        assert_eq!(conversation(&serde_json::json!({})), "");
    }

    #[test]
    fn nothing_but_the_content_is_taken_out() {
        let line = r#"{"v":1,"content":{"request":[]},"z":[1.5,"é"],"a":null}"#;
        assert_eq!(without_content(line), r#"{"v":1,"z":[1.5,"é"],"a":null}"#);
        for other in [r#"{"v":1, "host":"content"}"#, "-", ""] {
            assert_eq!(without_content(other), other);
        }
    }
}
