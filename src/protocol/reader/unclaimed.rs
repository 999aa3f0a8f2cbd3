//! Unclaimed values: members that no row names, as texts of class `unknown`, and models under names that announce them.

use super::Reader;
use crate::event::{Class, Direction, Event, Form, Known, Part, TextNames};
use crate::wire::json::{self, Value};

impl Reader<'_> {
    /// Reports every unclaimed value in the current document.
    pub(super) fn report_unclaimed(&mut self) {
        // Mostly a reader has claimed all that there is.
        if self.claimed.iter().fold(true, |all, claimed| all & claimed) {
            return;
        }
        let Some(doc) = self.body() else { return };
        let from = match self.direction {
            Direction::Request => Known::Unknown,
            Direction::Response => Known::Missing,
        };
        // In a request to a model, unknown members may contain further models.
        let asks_models =
            self.direction == Direction::Request && !self.reading.models.names.is_empty();
        let mut naming = ModelNameScope::Nothing;
        let mut key = None;
        let mut group: Option<Event> = None;
        // The keys of the root's members, from this place on.
        let mut members = doc.root().members().map(|(key, _)| key.place()).peekable();
        for node in doc.root().descendants() {
            let place = node.value.place();
            while members.peek().is_some_and(|member| *member < place) {
                members.next();
            }
            if node.is_key {
                key = Some(place);
            }
            let is_claimed = self.is_claimed(place);
            let is_member = members.peek() == Some(&place);
            if asks_models && naming.names(node.is_key, node.value, is_claimed, is_member) {
                let name = node.value.text().unwrap_or_default();
                self.add_model(&name);
            }
            if is_claimed {
                // A known value ends a run of unknown ones. The run is one event.
                if let Some(event) = group.take() {
                    self.reading.add(event);
                }
                continue;
            }
            let Some(form) = Form::of(node.is_key, node.value) else {
                continue;
            };
            let name = key.filter(|key| *key != place).map(|key| key.node);
            let text = self.register(place, Class::Unknown, form, TextNames::new([name, None]));
            match &mut group {
                Some(event) => event.texts.end = text.saturating_add(1),
                None => {
                    let mut event = Event::new(self.text_kind(), self.direction, place);
                    event.from = from.clone();
                    event.part = Part::Other;
                    event.choice = self.choice_of(place);
                    event.texts = text..text.saturating_add(1);
                    group = Some(event);
                }
            }
        }
        self.reading.events.extend(group);
    }
}

/// Scope of a member whose name announces models, in a body with unknown members.
#[derive(Clone, Copy)]
enum ModelNameScope {
    Nothing,
    /// The next value is a model's name.
    Next,
    /// Every value before this node is a model's name.
    Until(u32),
}

impl ModelNameScope {
    /// Visits the next node. Returns whether it is the name of a model.
    fn names(&mut self, is_key: bool, value: Value<'_>, is_known: bool, is_member: bool) -> bool {
        let is_inside = matches!(self, ModelNameScope::Until(end) if value.place().node < *end);
        *self = match *self {
            _ if is_inside => *self,
            _ if is_known => ModelNameScope::Nothing,
            _ if is_key && is_name_of_models(value, is_member) => ModelNameScope::Next,
            ModelNameScope::Next => ModelNameScope::Until(value.end_node()),
            _ => ModelNameScope::Nothing,
        };
        !is_key
            && matches!(self, ModelNameScope::Until(_))
            && value.kind() == json::ValueKind::String
    }
}

/// Names of members that replace or change the model, at any position: TGI, LoRAX, vLLM, SGLang, Azure.
const ADAPTERS: &[&str] = &[
    "adapterid",
    "adaptername",
    "loraname",
    "loraid",
    "lorapath",
    "lorarequest",
    "deploymentid",
    "deploymentname",
    "engineid",
    "modeluri",
];

/// Names with the same effect at the top level of a body. Elsewhere they belong to a search or a tool.
const SERVED: &[&str] = &[
    "engine",
    "deployment",
    "adapter",
    "adapters",
    "lora",
    "loras",
];

/// Returns whether the name of a member announces models: `fallback_models`, `providerOptions.gateway.models`.
fn is_name_of_models(value: Value<'_>, is_member: bool) -> bool {
    let key = value.text().unwrap_or_default();
    // A list in a form: `model[]`.
    let key = key.strip_suffix("[]").unwrap_or(&key);
    let folded: String = key
        .chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if ADAPTERS.contains(&folded.as_str()) || (is_member && SERVED.contains(&folded.as_str())) {
        return true;
    }
    let key = key.as_bytes();
    [
        "model",
        "models",
        "fallbacks",
        "fallback_dict",
        "model_name",
        "model_names",
        "model_id",
    ]
    .iter()
    .any(|name| {
        let before = key.strip_suffix(name.as_bytes());
        before.is_some_and(|before| matches!(before.last(), None | Some(b'_')))
    }) || [&b"Model"[..], b"Models", b"modelName", b"modelId"]
        .iter()
        .any(|name| key.ends_with(name))
}
