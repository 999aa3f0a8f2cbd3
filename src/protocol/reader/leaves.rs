//! Leaves: values that contain no other known object, with the reader of each type.

use super::{Origin, Reader, Roles, UsageKeys, is_one_of};
use crate::diag::codes;
use crate::event::{Class, Direction, Known, Part, Text, Usage, each_named};
use crate::wire::json::{self, Value};
use crate::wire::span::index;
use std::ops::Range;

/// Minimum bytes of an identifier that can contain an unmistakable secret.
const SHORTEST_SECRET: usize = 16;

impl Reader<'_> {
    /// Reads an identifier of a peer. In a response it has an event of its own, so that a secret in it is found; in a
    /// request the evaluation finds secrets in all identifiers.
    pub(super) fn emit_identifier(&mut self, value: Value<'_>, origin: &Origin) {
        let start = self.text_count();
        self.id(value);
        if self.direction == Direction::Response && value.raw_content().len() >= SHORTEST_SECRET {
            let texts = start..self.text_count();
            self.emit_duplicate(value, texts, &origin.with_part(Part::Other));
        }
    }

    /// Reads an identifier of something that the provider stores.
    pub(in crate::protocol) fn state(&mut self, value: Value<'_>) {
        self.id(value);
        if !value.is_null() {
            self.uninspectable(value, "provider_state");
        }
    }

    /// Reads a model that may respond, or that did.
    pub(in crate::protocol) fn model(&mut self, value: Value<'_>) {
        if let Some(model) = self.name(value) {
            self.add_model(&model);
        }
    }

    /// Adds a model that may respond.
    pub(in crate::protocol) fn add_model(&mut self, name: &str) {
        self.models = self.models.saturating_add(1);
        self.reading.models.add(name);
    }

    /// Reads a model in the body, where the path may name one, too. If they differ, it depends on the server which
    /// one responds.
    pub(in crate::protocol) fn model_beside_path(
        &mut self,
        value: Value<'_>,
        path: &Known<Box<str>>,
    ) {
        let Some(model) = self.name(value) else {
            return;
        };
        // Google's resource names: `models/x`, `projects/p/locations/l/publishers/google/models/x`.
        let model = match model.rsplit_once("models/") {
            Some((_, short)) if self.proto_json => short,
            _ => &model,
        };
        if let Known::Is(path) = path
            && **path != *model
        {
            let what = "another model than the path names";
            self.problem(codes::AG2012, value, what);
        }
        self.add_model(model);
    }

    /// Reads the maximum tokens that may be generated. Google's JSON may also contain the number as a string.
    pub(super) fn max_tokens(&mut self, value: Value<'_>) {
        let tokens = match value.kind() {
            json::ValueKind::String if self.proto_json => {
                value.text().and_then(|text| text.parse().ok())
            }
            // Ollama and llama.cpp take a negative number for no limit.
            json::ValueKind::Number => self.number(value).or(Some(u64::MAX)),
            _ => self.number(value),
        };
        self.reading.max_tokens = self.reading.max_tokens.max(tokens);
    }

    /// Reads why a response ended: one of the words of a list.
    pub(super) fn finish_reason(&mut self, value: Value<'_>, reasons: &'static str) {
        if let Some(reason) = value.text() {
            self.reading.finish.push(reason.into());
        }
        self.word(value, reasons);
    }

    /// Reads the tokens of a response.
    pub(in crate::protocol) fn usage(&mut self, value: Value<'_>, keys: &UsageKeys) {
        self.counts(value);
        let count = |path: &str| {
            path.split('|').find_map(|path| {
                let found = path.split('.').try_fold(value, |at, key| self.get(at, key));
                found?.as_u64()
            })
        };
        let [input_tokens, output_tokens] = [keys.input, keys.output].map(count);
        let [cached_tokens, reasoning_tokens] = [keys.cached, keys.reasoning].map(count);
        let sum = |paths: &str| {
            let counts = paths.split('+').filter_map(count);
            counts.fold(0, u64::saturating_add)
        };
        let (mut other_input, mut other_output) = (0, 0);
        if keys.total.is_empty() {
            other_input = sum(keys.other_input);
            other_output = sum(keys.other_output);
        } else if let Some(total) = count(keys.total) {
            let told = [input_tokens, output_tokens].into_iter().flatten();
            let rest = total.saturating_sub(told.fold(0, u64::saturating_add));
            // Some servers count reasoning or what a cache had only among all tokens.
            other_input = match output_tokens {
                Some(_) if rest > 0 => rest.min(sum(keys.other_input)),
                _ => rest,
            };
            other_output = rest.saturating_sub(other_input);
        }
        self.reading.usage = Usage {
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            other_input,
            other_output,
        };
    }

    /// Reads the word for an author.
    pub(in crate::protocol) fn role(&mut self, value: Value<'_>, roles: Roles) {
        if roles.iter().any(|(role, _)| value.is_text(role)) {
            self.claim(value);
        }
    }

    /// Reports a message without a role, because servers differ in its author.
    pub(in crate::protocol) fn role_is_needed(&mut self, message: Value<'_>) {
        let is_missing = message.get("role").is_none_or(Value::is_null);
        if is_missing && message.kind() == json::ValueKind::Object {
            self.problem(codes::AG2001, message, "`role` is missing");
        }
    }

    pub(super) fn constant(&mut self, value: Value<'_>) {
        let raw = value.raw_content();
        let is_constant = raw.len() <= 64
            && raw
                .iter()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
        if value.kind() != json::ValueKind::String || is_constant {
            self.claim(value);
        }
    }

    /// Reads structure without text: numbers and flags under names that the provider chooses. In a response, a short
    /// word among them is an identifier (`"service_tier": "standard"`). Other strings are evaluated as text.
    pub fn counts(&mut self, value: Value<'_>) {
        for node in value.descendants() {
            if node.is_key || node.value.kind() != json::ValueKind::String {
                self.claim(node.value);
            } else if self.direction == Direction::Response && is_tag(node.value.raw_content()) {
                self.id(node.value);
            }
        }
    }

    pub(super) fn switches(&mut self, value: Value<'_>, words: &str) {
        for node in value.descendants() {
            let is_known = match node.value.kind() {
                json::ValueKind::String => is_one_of(node.value, words),
                // A long number is evaluated like one without a row.
                json::ValueKind::Number => false,
                _ => true,
            };
            if is_known {
                self.claim(node.value);
            }
        }
    }

    /// Registers the unclaimed parts of a value as text of class `unknown` at once, because they belong to the value.
    /// Returns the numbers of these texts.
    #[inline(never)]
    pub fn rest(&mut self, value: Value<'_>) -> Range<u32> {
        let start = self.text_count();
        let place = value.place();
        let nodes = index(place.node)..index(value.end_node());
        let is_read = self
            .claimed
            .get(nodes)
            .is_some_and(|nodes| nodes.iter().fold(true, |all, claimed| all & claimed));
        if is_read || place.doc != self.current {
            return start..start;
        }
        each_named(value, &mut |named| {
            if self.is_claimed_value(named.value) {
                return;
            }
            self.claim(named.value);
            if let Some(text) = Text::named(named, Class::Unknown) {
                self.add_text(text);
            }
        });
        start..self.text_count()
    }
}

/// Returns whether a value is a word without spaces, such as a tier, a region, a model or an id, which cannot contain
/// a sentence.
pub(in crate::protocol) fn is_tag(raw: &[u8]) -> bool {
    raw.len() <= 128
        && raw
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._:/@-".contains(b))
}
