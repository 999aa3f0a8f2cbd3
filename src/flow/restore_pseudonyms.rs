//! Pseudonyms in an exchange: where they are created and restored.

use super::Flow;
use crate::event::{Class, Direction, Event, Form, Kind, Known, Part, Reading};
use crate::policy::{CompiledRule, Watch};
use crate::protocol::{self, Protocol};
use crate::redact::{self, Edited, Pseudonyms};
use crate::wire::json::{self, Edits, JsonBody};
use crate::wire::sorted_map::SortedSet;
use crate::wire::span::{Span, index};

/// Protocols whose providers store requests by default.
const STORING_BY_DEFAULT: [&str; 2] = ["openai.responses", "gemini.interactions"];

/// Ends of the names of protocols that store content for later. The response to it comes in another exchange.
const STORED_FOR_LATER: [&str; 3] = [".other", ".batches", "a2a"];

/// Use of pseudonyms in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PseudonymUse {
    /// Labels instead of pseudonyms, since a later exchange could not restore pseudonyms.
    #[default]
    Labels,
    /// Labels, unless a rule has the filter set `store: false` in the request.
    IfUnstored,
    /// Pseudonyms, which are restored in the response.
    Pseudonyms,
}

impl Watch for Pseudonyms {
    fn restored(&self, text: &str) -> Option<String> {
        let found = self.found(text, None);
        (!found.is_empty()).then(|| redact::replaced(text, &found))
    }

    fn cut(&self, text: &str, at: usize) -> usize {
        Pseudonyms::cut(self, text, at)
    }
}

impl Flow {
    /// Returns whether pseudonyms of this request can be restored.
    pub(super) fn pseudonym_use(&self, json: &JsonBody<'_>, reading: &Reading) -> PseudonymUse {
        let protocol = self.protocol.map(|protocol| protocol.name());
        let Some(protocol) = protocol.filter(|_| !keeps(json, reading)) else {
            return PseudonymUse::Labels;
        };
        if STORED_FOR_LATER.iter().any(|end| protocol.ends_with(end)) {
            return PseudonymUse::Labels;
        }
        match STORING_BY_DEFAULT.contains(&protocol) && !disables_storage(json, reading) {
            true => PseudonymUse::IfUnstored,
            false => PseudonymUse::Pseudonyms,
        }
    }

    /// Returns whether a rule's pseudonyms in texts of this half are replaced by labels.
    pub(super) fn labels(&self, rule: &CompiledRule, direction: Direction) -> bool {
        rule.makes_pseudonyms()
            && match (direction, self.pseudonyms) {
                (Direction::Response, _) | (_, PseudonymUse::Labels) => true,
                (_, PseudonymUse::IfUnstored) => !rule.unstores(),
                (_, PseudonymUse::Pseudonyms) => false,
            }
    }

    /// Sets `"store": false` in the request.
    pub(super) fn unstore(&mut self, json: &JsonBody<'_>, edits: &mut Edits) {
        let Some(body) = json.body() else { return };
        let root = body.root();
        self.request_context.unstored = true;
        match root.get("store") {
            Some(store) => edits.replace(store, b"false".to_vec()),
            None => {
                let start = root.span().start;
                let brace = Span {
                    start,
                    end: start.saturating_add(1),
                };
                edits.splice(root.doc(), brace, br#"{"store":false,"#.to_vec());
            }
        }
    }

    /// Enables pseudonyms if they can be restored. If the provider stored the conversation, a later exchange would
    /// contain pseudonyms that it did not create.
    pub(super) fn enable_pseudonyms(&mut self) {
        match self.pseudonyms {
            PseudonymUse::Pseudonyms => {}
            PseudonymUse::IfUnstored if self.disables_storage => {}
            PseudonymUse::IfUnstored | PseudonymUse::Labels => return,
        }
        let principal = &self.facts.principal;
        let mut scope = Vec::new();
        for known in [&principal.tenant, &principal.id] {
            if let Known::Is(name) = known {
                scope.extend_from_slice(name.as_bytes());
            }
            scope.push(0);
        }
        self.redactions.pseudonyms.open(scope);
    }

    /// Returns a response with its pseudonyms restored; `Some(Err)` if its copies cannot be made consistent, `None` if
    /// it has no pseudonyms.
    pub(super) fn with_pseudonyms_restored(
        &self,
        protocol: &'static dyn Protocol,
        bytes: &[u8],
        json: &JsonBody<'_>,
        reading: &Reading,
    ) -> Option<Result<Vec<u8>, ()>> {
        let mut edits = Edits::default();
        let edited = self.restore_pseudonyms(json, reading, &|_| true, &mut edits);
        if edited.is_empty() {
            return None;
        }
        let removals = self.removals(protocol, &[], edited, json);
        let copies = match protocol::is_one_text(json) {
            true => Ok(()),
            false => protocol::remove_from_response(
                protocol,
                json,
                &self.request_context,
                &removals,
                &mut edits,
            ),
        };
        Some(match copies {
            Ok(()) => Ok(json.edited(bytes, edits)),
            Err(_) => Err(()),
        })
    }

    /// Restores the pseudonyms in texts of a response and in arguments of tools that a rule names, at locations
    /// accepted by `is_free`. Signed content is never changed.
    pub(super) fn restore_pseudonyms(
        &self,
        json: &JsonBody<'_>,
        reading: &Reading,
        is_free: &dyn Fn(json::NodeId) -> bool,
        edits: &mut Edits,
    ) -> Vec<Edited> {
        let pseudonyms = &self.redactions.pseudonyms;
        let mut all = Vec::new();
        if pseudonyms.is_empty() {
            return all;
        }
        let mut done = SortedSet::new();
        for event in &reading.events {
            let names = self.names(event);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let tool = match event.kind {
                Kind::ToolCall => Some(names.as_slice()),
                Kind::Response if event.part == Part::Arguments => continue,
                Kind::Response | Kind::ToolResult => None,
                _ => continue,
            };
            for number in event.texts.clone() {
                let Some(text) = reading.texts.get(index(number)) else {
                    continue;
                };
                let place = text.place;
                let editable = text.class == Class::Text
                    && text.form == Form::String
                    && json.is_editable(place)
                    && !reading.sealed.contains(&place)
                    && is_free(place);
                let Some(value) = json.value(place).filter(|_| editable) else {
                    continue;
                };
                let changes = pseudonyms.found(&value.text().unwrap_or_default(), tool);
                if changes.is_empty() || !done.insert(number) {
                    continue;
                }
                let parts = changes.iter();
                edits.replace_text(
                    value,
                    parts.map(|(range, with)| (range.clone(), with.as_str())),
                );
                all.push(Edited {
                    place,
                    choice: event.choice,
                    changes,
                });
            }
        }
        all
    }

    /// Returns the names by which a rule may refer to the tool of an event.
    fn names(&self, event: &Event) -> Vec<String> {
        let Known::Is(tool) = &event.tool else {
            return Vec::new();
        };
        let qualified = self.facts.qualified(tool);
        std::iter::once(tool.to_string()).chain(qualified).collect()
    }
}

/// Combines the replacements in a text: first the restored pseudonyms, then the findings in the restored text.
pub(super) fn composed(
    part: &str,
    turned: Vec<(std::ops::Range<usize>, String)>,
    changes: Vec<(std::ops::Range<usize>, String)>,
) -> Vec<(std::ops::Range<usize>, String)> {
    if turned.is_empty() {
        return changes;
    }
    if changes.is_empty() {
        return turned;
    }
    let real = redact::replaced(part, &turned);
    vec![(0..part.len(), redact::replaced(&real, &changes))]
}

/// Returns whether a request continues content that the provider stores, or is not a JSON object.
fn keeps(json: &JsonBody<'_>, reading: &Reading) -> bool {
    let is_kept = |event: &Event| event.opacity == Some("provider_state");
    let is_json = json
        .body()
        .is_some_and(|body| body.root().kind() == json::ValueKind::Object);
    !is_json || reading.continues_elsewhere || reading.events.iter().any(is_kept)
}

fn disables_storage(json: &JsonBody<'_>, reading: &Reading) -> bool {
    let params = reading.params.and_then(|place| json.value(place));
    let store = params.and_then(|params| params.get("store"));
    store.is_some_and(|store| store.kind() == json::ValueKind::Bool(false))
}
