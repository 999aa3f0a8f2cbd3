//! Streamed responses of LM Studio: what the model says in deltas, each call with its arguments and then with its result, and at
//! the end the whole response.
//!
//! ```text
//! {"type":"chat.start","model_instance_id":"qwen3-8b"}
//! {"type":"message.start"}
//! {"type":"message.delta","content":"Rain"}
//! {"type":"message.end"}
//! {"type":"tool_call.start","tool":"forecast","provider_info":{"type":"plugin","plugin_id":"mcp/weather"}}
//! {"type":"tool_call.arguments","tool":"forecast","arguments":{"city":"Bern"},"provider_info":{…}}
//! {"type":"tool_call.success","tool":"forecast","arguments":{"city":"Bern"},"output":"rain","provider_info":{…}}
//! {"type":"chat.end","result":{"model_instance_id":"qwen3-8b","output":[…],"stats":{…},"response_id":"resp_1"}}
//! ```

use super::{ITEM, answer, denied_text, item, result};
use crate::diag::codes;
use crate::event::{Known, Part};
use crate::protocol::json_edit::ObjectWriter;
use crate::protocol::openai_shapes::{beside, error};
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::protocol::stream::{
    CallDelta, CallKey, Delta, KeepAlive, OrderingGroups, SnapshotTexts, StreamReader,
    SyntheticFrame, TextKey, UnknownTexts, Update,
};
use crate::protocol::{Denial, Dialect, RequestContext};
use crate::wire::json::Value;

/// Members of an event beside those of an item.
const EVENT: &[Row] = &[
    ("type", Type::Id),
    ("model_instance_id", Type::Model),
    ("progress", Type::Number),
    ("load_time_seconds", Type::Number),
    ("result", Type::Custom),
    ("error", Type::Read(error)),
];
/// The type of an event is in the first table that has it.
const TABLES: &[&[Row]] = &[EVENT, ITEM];

/// Streamed response.
pub(super) struct ChatEvents {
    model: String,
    /// Number of the text or call that began last.
    item: u32,
    /// Whether the call that began last waits for its arguments.
    is_calling: bool,
    /// Tool that was called last.
    tool: Option<Box<str>>,
    texts: SnapshotTexts,
    unknown: UnknownTexts,
}

impl ChatEvents {
    pub(super) fn new(context: &RequestContext) -> ChatEvents {
        let model = context.models.names.first();
        ChatEvents {
            model: model.map_or_else(String::new, |model| model.to_string()),
            item: 0,
            is_calling: false,
            tool: None,
            texts: SnapshotTexts::default(),
            unknown: UnknownTexts::default(),
        }
    }

    fn begin_call(&mut self, reader: &mut Reader<'static>, event: Value<'_>) {
        self.is_calling = true;
        self.tool = None;
        let provider_run = true;
        self.call(reader, event, CallDelta::Begin { provider_run });
    }

    fn call(&self, reader: &mut Reader<'static>, event: Value<'_>, what: CallDelta) {
        reader.call_piece(event.place(), CallKey::block(self.item), what);
    }

    /// Reads the name of a tool, which each event of a call repeats.
    fn tool(&mut self, reader: &mut Reader<'static>, event: Value<'_>, value: Value<'_>) {
        let name = reader.name(value).map(Box::<str>::from);
        if self.tool.is_none() && self.is_calling {
            self.call(reader, event, CallDelta::Name(value.place()));
            self.tool = name;
        } else if self.tool != name {
            let what = "a call that goes on with another tool";
            reader.problem(codes::AG2014, value, what);
        }
    }

    fn members(&mut self, reader: &mut Reader<'static>, root: Value<'_>, part: Part) {
        let said = Origin::piece(self.item).with_part(part);
        let mut update = Update::Delta;
        let first = reader.frame.pieces.len();
        reader.row_lists(
            root,
            TABLES,
            &beside(),
            &mut |reader, key, value| match key {
                "content" => {
                    reader.text(value, &said);
                }
                "tool" => self.tool(reader, root, value),
                "arguments" => {
                    reader.claim_all(value);
                    self.call(reader, root, CallDelta::Arguments(value.place()));
                }
                "output" => {
                    let tool = self.tool.clone();
                    result(reader, value, tool.map_or(Known::Unknown, Known::Is));
                }
                // All of it once more.
                _ => {
                    let first = reader.reading.events.len();
                    // The first thing that is said or called has the number 1.
                    let said = |at: u32| Origin::piece(at.saturating_add(1));
                    answer(reader, value, &said);
                    reader.mark_copies(first);
                    update = Update::Whole;
                }
            },
        );
        self.texts.assign(reader, first, &mut |piece| {
            ([piece.text_key.item, 0, 0], update)
        });
    }

    fn event(
        &self,
        kind: &'static str,
        rest: impl FnOnce(&mut ObjectWriter<'_>),
    ) -> SyntheticFrame {
        let mut out = Vec::new();
        let mut event = ObjectWriter::begin(&mut out);
        event.text("type", kind);
        rest(&mut event);
        event.end();
        SyntheticFrame::new(Some(kind), out)
    }
}

impl StreamReader for ChatEvents {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, name: Option<&str>) {
        reader.frame.lanes = OrderingGroups::ALL;
        let kind = reader.event_type(name);
        let (of, step) = kind.split_once('.').unwrap_or((&kind, ""));
        let part = match of {
            "reasoning" => Part::Reasoning,
            _ => Part::Text,
        };
        let is_call = of == "tool_call";
        let has_arguments = is_call && root.get("arguments").is_some();
        let is_new = match (of, step) {
            ("message" | "reasoning" | "tool_call", "start") => true,
            // The arguments of a call that has not begun are those of another one.
            _ => has_arguments && !self.is_calling && root.get("output").is_none(),
        };
        if is_new {
            self.item = self.item.saturating_add(1);
            if is_call {
                self.begin_call(reader, root);
            }
        }
        if has_arguments && !self.is_calling {
            item(reader, root, TABLES, &Origin::answer(0), true);
        } else {
            self.members(reader, root, part);
        }
        self.unknown.read(reader, root, TABLES, 0);
        match (of, step) {
            ("message" | "reasoning", "end") => {
                let ended = self.item;
                self.texts.end(reader, &|[item, ..]| item == ended);
            }
            ("tool_call", step) if step != "start" && self.is_calling => {
                self.is_calling = false;
                reader.piece(Delta::CallsEnd(vec![CallKey::block(self.item)]));
            }
            ("chat", "end") => {
                reader.piece(Delta::End(None));
                reader.frame.last = true;
            }
            _ => {}
        }
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        let path = self.texts.path(text_key);
        format!("#output/{}", path.map_or(0, |[item, ..]| item))
    }

    fn call_at(&self, key: &CallKey) -> String {
        format!("#output/{}", key.item)
    }

    fn denial_frames(&mut self, denial: &Denial, as_error: bool) -> Vec<SyntheticFrame> {
        if as_error {
            let dialect = Dialect::OpenAi;
            return vec![SyntheticFrame::typed_error(
                Some("error"),
                "type",
                dialect,
                denial,
            )];
        }
        let text = denial.message();
        vec![
            self.event("message.start", |_| {}),
            self.event("message.delta", |event| event.text("content", &text)),
            self.event("message.end", |_| {}),
            self.event("chat.end", |event| {
                event.member("result", |out| {
                    out.extend_from_slice(&denied_text(&text, &self.model));
                });
            }),
        ]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
