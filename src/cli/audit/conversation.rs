//! The content of a record as people read it.
//!
//! ```text
//!   request, message of user
//!   | Refund jane: [EMAIL]
//!   response, tool_call refund
//!   | {"amount":5}
//! ```

use super::super::output::visible;
use serde_json::Value;

/// What was said in an exchange; empty if the record has none of it. Each line of it begins with a bar, so that no text can
/// look like something else.
pub(in crate::cli) fn conversation(record: &Value) -> String {
    let mut out = String::new();
    let Some(content) = record.get("content") else {
        return out;
    };
    let list = |name: &str| content.get(name).and_then(Value::as_array);
    for half in ["request", "response"] {
        for part in list(half).into_iter().flatten() {
            let text = |name: &str| part.get(name).and_then(Value::as_str);
            let mut title = format!("  {half}, {}", visible(text("event").unwrap_or_default()));
            if let Some(author) = text("from") {
                title.push_str(&format!(" of {}", visible(author)));
            }
            for name in ["part", "tool"] {
                if let Some(word) = text(name) {
                    title.push_str(&format!(" {}", visible(word)));
                }
            }
            out.push_str(&title);
            out.push('\n');
            let said = text("text").or_else(|| text("args")).unwrap_or_default();
            for line in said.lines() {
                out.push_str(&format!("  | {}\n", visible(line)));
            }
        }
        let mut truncated = list("truncated").into_iter().flatten();
        if truncated.any(|word| word == half) {
            out.push_str(&format!("  the {half} has more\n"));
        }
    }
    out
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
}
