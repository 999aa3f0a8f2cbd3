//! Corrections of events beside their texts: what repeats an edited text or points into it, denied items in the whole
//! response, and its id.

use super::super::items::{self};
use super::super::mark::{self, OpenCall};
use super::super::removal::{OUTPUT_TEXT, explaining_id, message_item};
use super::{CONTENT, ResponsesStream};
use crate::protocol::json_edit::{move_annotations, replace_present};
use crate::protocol::stream::{ChangesByText, TextPath};
use crate::wire::json::{Edits, Value, quote};
use crate::wire::span::offset;

impl ResponsesStream {
    /// Corrects the members of a part that depend on its text: token probabilities repeat it, annotations point into
    /// it.
    pub(super) fn correct_part(
        &self,
        part: Value<'_>,
        path: TextPath,
        edits: &mut Edits,
        changes: &ChangesByText,
    ) {
        let Some(changes) = self.texts.changes_at(path, changes) else {
            return;
        };
        replace_present(part, "logprobs", b"[]", edits);
        if let Some(annotations) = part.get("annotations") {
            move_annotations(annotations, edits, changes);
        }
    }

    pub(super) fn correct_item(
        &self,
        item: Value<'_>,
        number: u32,
        edits: &mut Edits,
        changes: &ChangesByText,
    ) {
        let parts = item.get("content").into_iter();
        for (at, part) in parts.flat_map(|content| content.elements()).enumerate() {
            let path = [number, CONTENT, offset(at)];
            self.correct_part(part, path, edits, changes);
        }
    }

    /// Returns the id of a response that the provider stores, with its open calls if the id can contain them.
    pub(super) fn id_with_open_calls(&self, id: &str) -> Option<String> {
        let open: Vec<Option<OpenCall>> = self
            .items
            .iter()
            .filter(|item| item.denied.is_some())
            .map(|item| item.marked.as_ref().and_then(|(_, call)| call.clone()))
            .collect();
        let is_kept = self.kept.unwrap_or(!self.context.unstored);
        mark::response_id(id, &open).filter(|_| is_kept && !open.is_empty())
    }

    /// Replaces the id of a response that the provider stores by one that contains its open calls.
    pub(super) fn name_open_calls(&self, response: Value<'_>, edits: &mut Edits) {
        let id = response.get("id");
        if let (Some(id), Some(sent)) = (id, &self.sent_id)
            && id.text().is_some_and(|id| *id != **sent)
        {
            let mut with = Vec::new();
            quote(sent, &mut with);
            edits.replace(id, with);
        }
    }

    pub(super) fn correct_event(
        &self,
        event: Value<'_>,
        kind: &str,
        edits: &mut Edits,
        changes: &ChangesByText,
    ) {
        let about = self.about(event);
        let path = [about.item, CONTENT, about.at];
        match kind {
            "output_text.annotation.added" => {
                if let (Some(annotation), Some(changes)) = (
                    event.get("annotation"),
                    self.texts.changes_at(path, changes),
                ) {
                    move_annotations(annotation, edits, changes);
                }
            }
            "output_item.done" => {
                if let Some(item) = event.get("item") {
                    self.correct_item(item, about.item, edits, changes);
                }
            }
            "output_text.delta" if edits.is_empty() => {}
            "output_text.delta" => replace_present(event, "logprobs", b"[]", edits),
            _ => {
                let part = event.get("part").unwrap_or(event);
                self.correct_part(part, path, edits, changes);
            }
        }
        if let Some(response) = event.get("response") {
            self.name_open_calls(response, edits);
        }
        let output = event
            .get("response")
            .and_then(|response| response.get("output"));
        let items = output.into_iter().flat_map(|output| output.elements());
        for (at, item) in items.enumerate() {
            let id = item.get("id").and_then(|id| id.text());
            let number = self.number_of(id.as_deref(), Some(offset(at)));
            let known = self.item(number);
            match known.and_then(|item| item.denied.as_ref()) {
                Some(text) if items::is_call(&items::kind_of(item)) => {
                    let mut with = Vec::new();
                    let marked = known.and_then(|item| item.marked.as_ref());
                    let id =
                        marked.map_or_else(|| explaining_id(item, false), |(id, _)| id.clone());
                    message_item(&id, OUTPUT_TEXT, text, &mut with);
                    edits.replace(item, with);
                }
                _ => self.correct_item(item, number, edits, changes),
            }
        }
    }
}
