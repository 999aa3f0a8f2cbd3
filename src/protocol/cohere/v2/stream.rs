//! Events of a streamed response of `POST /v2/chat`: contents, a plan, calls and citations. Each kind has numbers of its
//! own, so that a denied call becomes a content with another number, and the numbers after both move.
//!
//! ```text
//! {"id":"r","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}
//! {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}
//! {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Rain"}}}}
//! {"type":"content-end","index":0}
//! {"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"c1","type":"function","function":{"name":"weather","arguments":""}}}}}
//! {"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"city\""}}}}}
//! {"type":"tool-call-end","index":0}
//! {"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"tokens":{"input_tokens":9,"output_tokens":41}}}}
//! ```

use super::quoted;
use crate::event::Part;
use crate::protocol::cohere::ANSWER;
use crate::protocol::json_edit::{move_annotations, number, replace_present};
use crate::protocol::openai_shapes::{beside, content, error};
use crate::protocol::reader::{Row, Type};
use crate::protocol::stream::{
    CallDelta, CallKey, ChangesByText, DONE, Delta, EvaluatedCall, HeldFrame, HeldFrames,
    KeepAlive, MAX_TEXTS, OrderingGroups, StreamReader, SyntheticFrame, TextChanges, TextKey,
    UnknownTexts, is_done, too_many,
};
use crate::protocol::{CannotRemove, Denial, Origin, Reader};
use crate::wire::json::{self, Edits, Value};
use crate::wire::span::offset;

const EVENT: &[Row] = &[
    ("type", Type::Read(|reader, value| reader.claim(value))),
    ("index", Type::Number),
    ("delta", Type::Custom),
    // Of an error.
    ("message", Type::Read(error)),
    ("logprobs", Type::Tokens),
];
const DELTA: &[Row] = &[("message", Type::Custom), ("logprobs", Type::Tokens)];
const MESSAGE: &[Row] = &[
    ("role", Type::Word("assistant")),
    ("content", Type::Custom),
    ("tool_plan", Type::Custom),
    ("tool_calls", Type::Custom),
    ("citations", Type::Tree(Part::Other)),
];
const CONTENT: &[Row] = &[
    ("type", Type::Word("text|thinking")),
    ("text", Type::Custom),
    ("thinking", Type::Custom),
];
const CALL: &[Row] = &[
    ("id", Type::Id),
    ("type", Type::Word("function")),
    ("function", Type::Custom),
];

/// Number of the text of the plan.
const PLAN: u32 = u32::MAX;

/// Streamed response.
#[derive(Debug, Default)]
pub(in crate::protocol) struct V2Stream {
    has_begun: bool,
    /// Number of contents so far.
    contents: u32,
    /// Numbers of the contents with text.
    texts: Vec<u32>,
    /// Numbers of the contents after those that the filter added, as the provider counts them.
    added: Vec<u32>,
    /// Number of contents that the client has received.
    sent: u32,
    /// Number of the content that has begun and not ended, as the client counts.
    open: Option<u32>,
    /// Numbers of the calls.
    calls: Vec<u32>,
    /// Numbers of the removed calls.
    denied: Vec<u32>,
    /// Numbers of the removed citations.
    cut: Vec<u32>,
    /// Texts in unknown members of messages and contents.
    unknown: UnknownTexts,
}

fn number_of(event: Value<'_>) -> u32 {
    number(event, "index").unwrap_or(0)
}

/// Returns how many of these numbers are lower.
#[inline(never)]
fn lower(numbers: &[u32], than: u32) -> u32 {
    offset(numbers.iter().filter(|number| **number < than).count())
}

/// Adds a number once; `false` if there are too many.
fn note(numbers: &mut Vec<u32>, number: u32) -> bool {
    if numbers.contains(&number) {
        return true;
    }
    numbers.push(number);
    numbers.len() <= MAX_TEXTS
}

fn kind_of(event: Value<'_>) -> String {
    let kind = event.get("type").and_then(|kind| kind.text());
    kind.map_or_else(String::new, |kind| kind.into_owned())
}

impl V2Stream {
    fn message(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        message: Value<'_>,
        kind: &str,
    ) {
        let number = number_of(event);
        let origin = Origin::answer(0);
        let of = |item: u32, part: Part| Origin::piece(item).with_part(part);
        reader.rows(
            message,
            MESSAGE,
            &origin,
            &mut |reader, key, value| match key {
                _ if value.is_null() => reader.claim(value),
                "content" if value.kind() == json::ValueKind::Object => {
                    reader.rows(value, CONTENT, &origin, &mut |reader, key, value| {
                        let part = match key {
                            "text" => Part::Text,
                            _ => Part::Reasoning,
                        };
                        if part == Part::Text && !note(&mut self.texts, number) {
                            too_many(reader);
                        }
                        reader.text(value, &of(number, part));
                    });
                    self.unknown.read(reader, value, &[CONTENT], 0);
                }
                "content" => content(reader, value, &origin),
                "tool_plan" => {
                    reader.text(value, &of(PLAN, Part::Reasoning));
                }
                _ if value.kind() == json::ValueKind::Object => {
                    self.call(reader, event, value, number);
                }
                _ => reader.array(value, |reader, call| {
                    self.call(reader, event, call, number);
                }),
            },
        );
        // A content of an unknown kind arrives in pieces, too.
        self.unknown.read(reader, message, &[MESSAGE], 0);
        if kind == "content-start" {
            self.contents = self.contents.max(number.saturating_add(1));
        }
    }

    fn call(
        &mut self,
        reader: &mut Reader<'static>,
        event: Value<'_>,
        call: Value<'_>,
        number: u32,
    ) {
        if !note(&mut self.calls, number) {
            too_many(reader);
            return;
        }
        let origin = beside();
        reader.rows(call, CALL, &origin, &mut |reader, _, function| {
            reader.object(function, &["name", "arguments"], |reader, member, value| {
                reader.claim_all(value);
                if value.is_null() {
                    return;
                }
                let what = match member {
                    "name" => CallDelta::Name(value.place()),
                    _ => CallDelta::Arguments(value.place()),
                };
                reader.call_piece(event.place(), CallKey::block(number), what);
            });
        });
    }

    /// Returns the number of a content as the client counts.
    fn content_number(&self, number: u32) -> u32 {
        let before = self.added.iter().filter(|added| **added <= number).count();
        number.saturating_add(offset(before))
    }

    /// Returns the events of a content that the filter adds.
    fn content(number: u32, text: &str) -> [SyntheticFrame; 3] {
        let begun = format!(
            r#"{{"type":"content-start","index":{number},"delta":{{"message":{{"content":{{"type":"text","text":""}}}}}}}}"#
        );
        let mut delta = format!(
            r#"{{"type":"content-delta","index":{number},"delta":{{"message":{{"content":{{"text":"#
        )
        .into_bytes();
        delta.extend_from_slice(&quoted(text));
        delta.extend_from_slice(b"}}}}");
        [
            SyntheticFrame::new(Some("content-start"), begun.into_bytes()),
            SyntheticFrame::new(Some("content-delta"), delta),
            content_end(number),
        ]
    }

    /// Returns the changes in the text of a citation.
    fn cited<'c>(&self, citation: Value<'_>, changes: &'c ChangesByText) -> Cited<'c> {
        let named = number(citation, "content_index");
        let is_in = |kind: &str| citation.get("type").is_some_and(|it| it.is_text(kind));
        let key = match (named, self.texts.as_slice()) {
            _ if is_in("PLAN") => TextKey::block(PLAN, Part::Reasoning),
            (Some(number), texts) if is_in("THINKING_CONTENT") || !texts.contains(&number) => {
                TextKey::block(number, Part::Reasoning)
            }
            (Some(number), _) => TextKey::block(number, Part::Text),
            (None, [only]) => TextKey::block(*only, Part::Text),
            // It is unknown which of several texts it points into.
            (None, _) if changes.is_empty() => return Cited::Unchanged,
            _ => return Cited::Unclear,
        };
        // Where the beginning of a text went with the end of the one before, its changes don't tell how much.
        if changes.contains_key(&key.across()) {
            return Cited::Unclear;
        }
        changes.get(&key).map_or(Cited::Unchanged, Cited::Changed)
    }

    /// Moves a citation with its text; `false` if it repeats a changed part.
    fn cite(&self, citation: Value<'_>, edits: &mut Edits, changes: &ChangesByText) -> bool {
        let number = |name: &str| citation.get(name)?.as_u64();
        match self.cited(citation, changes) {
            Cited::Unchanged => true,
            Cited::Unclear => false,
            Cited::Changed(changes) => match (number("start"), number("end")) {
                (Some(start), Some(end)) if !changes.touch(start..end) => {
                    move_annotations(citation, edits, changes);
                    true
                }
                _ => false,
            },
        }
    }

    fn correct_event(
        &mut self,
        event: Value<'_>,
        edits: &mut Edits,
        changes: &ChangesByText,
    ) -> bool {
        let kind = kind_of(event);
        let number = number_of(event);
        let delta = event.get("delta");
        let moved = match kind.as_str() {
            "message-start" => {
                self.has_begun = true;
                number
            }
            "content-start" | "content-delta" | "content-end" => {
                for holder in [Some(event), delta].into_iter().flatten() {
                    if !edits.is_empty() {
                        replace_present(holder, "logprobs", b"null", edits);
                    }
                }
                let moved = self.content_number(number);
                match kind.as_str() {
                    "content-start" => {
                        self.open = Some(moved);
                        self.sent = self.sent.max(moved.saturating_add(1));
                    }
                    "content-end" => self.open = None,
                    _ => {}
                }
                moved
            }
            "tool-call-start" | "tool-call-delta" | "tool-call-end" => {
                number.saturating_sub(lower(&self.denied, number))
            }
            "citation-start" => {
                let message = delta.and_then(|delta| delta.get("message"));
                let citations = message.and_then(|message| message.get("citations"));
                let stays = citations
                    .into_iter()
                    .all(|citation| self.cite(citation, edits, changes));
                if !stays {
                    self.cut.push(number);
                    return false;
                }
                number.saturating_sub(lower(&self.cut, number))
            }
            "citation-end" if self.cut.contains(&number) => return false,
            "citation-end" => number.saturating_sub(lower(&self.cut, number)),
            "message-end" => {
                let reason = delta.and_then(|delta| delta.get("finish_reason"));
                let none_left = !self.denied.is_empty()
                    && self.calls.iter().all(|call| self.denied.contains(call));
                if let Some(reason) = reason.filter(|_| none_left) {
                    edits.replace(reason, br#""COMPLETE""#.to_vec());
                }
                number
            }
            _ => number,
        };
        if let Some(index) = event.get("index").filter(|_| moved != number) {
            edits.replace(index, moved.to_string().into_bytes());
        }
        true
    }
}

/// Changes in the text of a citation.
enum Cited<'c> {
    Unchanged,
    Changed(&'c TextChanges),
    /// A text was changed, and it is unknown whether it is this one.
    Unclear,
}

fn content_end(number: u32) -> SyntheticFrame {
    let end = format!(r#"{{"type":"content-end","index":{number}}}"#);
    SyntheticFrame::new(Some("content-end"), end.into_bytes())
}

impl StreamReader for V2Stream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, event: Option<&str>) {
        let kind = reader.event_type(event);
        let number = number_of(root);
        reader.frame.lanes = OrderingGroups::ALL;
        if kind.starts_with("tool-call") {
            reader.call_piece(root.place(), CallKey::block(number), CallDelta::BEGIN);
        }
        let tables = [EVENT, ANSWER];
        reader.row_lists(root, &tables, &beside(), &mut |reader, _, delta| {
            let tables = [DELTA, ANSWER];
            reader.row_lists(
                delta,
                &tables,
                &beside(),
                &mut |reader, _, message| match message.is_null() {
                    true => reader.claim(message),
                    false => self.message(reader, root, message, &kind),
                },
            );
        });
        match kind.as_str() {
            "content-end" => {
                for part in [Part::Text, Part::Reasoning] {
                    reader.piece(Delta::TextEnd(TextKey::block(number, part)));
                }
            }
            "tool-call-end" => reader.piece(Delta::CallsEnd(vec![CallKey::block(number)])),
            "message-end" => reader.frame.last = true,
            _ => {}
        }
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        is_done(payload)
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        match (text_key.item, text_key.part) {
            (PLAN, _) => "#tool_plan".to_owned(),
            (_, Part::Other) => "#content/other".to_owned(),
            (item, _) => format!("#content/{item}"),
        }
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#tool_calls/{}", key.item)
    }

    /// Replaces a call by a content with the reason.
    fn remove_calls(
        &mut self,
        calls: &[EvaluatedCall],
        _: u64,
        frames: &mut dyn HeldFrames,
    ) -> Result<(), CannotRemove> {
        for call in calls {
            let Some(text) = &call.denied else { continue };
            let number = self.contents.saturating_add(offset(self.added.len()));
            let mut explanation = Some(V2Stream::content(number, text));
            for (frame, _) in &call.pieces {
                let frame = frames.get(*frame).ok_or(CannotRemove)?;
                frame.dropped = true;
                frame
                    .before
                    .extend(explanation.take().into_iter().flatten());
            }
            self.added.push(self.contents);
            self.denied.push(call.key.item);
        }
        Ok(())
    }

    /// Returns `true`: contents, calls and citations have numbers.
    fn counts_frames(&self) -> bool {
        true
    }

    fn correct(&mut self, frame: &mut HeldFrame, changes: &ChangesByText) {
        let Some(body) = frame.body() else {
            return;
        };
        if !frame.dropped {
            frame.dropped = !self.correct_event(body.root(), &mut frame.edits, changes);
        } else {
            // Contents in place of calls.
            let begun = |made: &&SyntheticFrame| made.event == Some("content-start");
            let begun = frame.before.iter().filter(begun).count();
            self.sent = self.sent.saturating_add(offset(begun));
        }
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        let mut frames = Vec::new();
        let text = denial.message();
        if !self.has_begun {
            let mut begun = br#"{"id":"#.to_vec();
            begun.extend_from_slice(&quoted(&format!("agentguard-{}", denial.request_id)));
            begun.extend_from_slice(
                br#","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
            );
            frames.push(SyntheticFrame::new(Some("message-start"), begun));
        }
        frames.extend(self.open.take().map(content_end));
        let mut end = br#"{"type":"message-end","delta":{"finish_reason":"#.to_vec();
        if as_error {
            end.extend_from_slice(br#""ERROR","error":"#);
            end.extend_from_slice(&quoted(&text));
        } else {
            frames.extend(V2Stream::content(self.sent, &text));
            end.extend_from_slice(br#""COMPLETE""#);
        }
        end.extend_from_slice(b"}}");
        frames.push(SyntheticFrame::new(Some("message-end"), end));
        frames.push(SyntheticFrame::new(None, DONE.to_vec()));
        frames
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
