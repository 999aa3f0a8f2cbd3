//! Cache of the way down to a value, for JSON pointers. A search among siblings continues from the previous way, so
//! that naming any number of values in the order of their bytes visits each sibling once.

use super::value::{JsonText, Value, ValueKind};
use std::cell::Cell;

/// The way to the most recently named value.
#[derive(Default)]
pub(super) struct PointerCache {
    last: Cell<Vec<CachedStep>>,
    /// Number of siblings visited.
    #[cfg(test)]
    looked_at: Cell<usize>,
}

/// An element or a member on the way.
#[derive(Clone, Copy)]
struct CachedStep {
    /// Index of its first node: of a member, the key.
    start: u32,
    value: u32,
    /// Index of the node after it.
    end: u32,
    /// Its position among its siblings.
    place: usize,
}

impl CachedStep {
    /// Returns the element or member of a container that begins at a node.
    fn of(container: Value<'_>, start: u32, place: usize) -> CachedStep {
        let is_member = container.kind() == ValueKind::Object;
        let value = start.saturating_add(u32::from(is_member));
        let end = container.doc().value(value).end_node();
        CachedStep {
            start,
            value,
            end,
            place,
        }
    }

    fn holds(&self, node: u32) -> bool {
        (self.start..self.end).contains(&node)
    }
}

impl PointerCache {
    /// Calls `step` with the key or position of each value on the way from the root to a node, the node included. A key
    /// has the name of its value.
    pub(super) fn to(
        &self,
        doc: &JsonText<'_>,
        node: u32,
        step: &mut dyn FnMut(Option<&str>, usize),
    ) {
        if node >= doc.len() {
            return;
        }
        let mut way = self.last.take();
        let shared = way.iter().take_while(|step| step.holds(node)).count();
        let mut go_on = way.get(shared).filter(|step| step.start <= node).copied();
        way.truncate(shared);
        let mut at = doc.value(way.last().map_or(0, |step| step.value));
        while at.place().node < node {
            let first = || CachedStep::of(at, at.place().node.saturating_add(1), 0);
            let mut child = go_on.take().unwrap_or_else(first);
            while child.end <= node {
                child = CachedStep::of(at, child.end, child.place.saturating_add(1));
                #[cfg(test)]
                self.looked_at.set(self.looked_at.get().wrapping_add(1));
            }
            way.push(child);
            at = doc.value(child.value);
        }
        for known in &way {
            let key = (known.start < known.value).then(|| doc.value(known.start));
            let key = key.and_then(Value::text);
            step(key.as_deref(), known.place);
        }
        self.last.set(way);
    }
}

impl std::fmt::Debug for PointerCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PointerCache")
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::json::{JsonBody, Limits};

    #[test]
    fn naming_all_values_of_a_long_list_reads_each_sibling_once() {
        let count = 2_000;
        let items = vec![r#"{"role":"user","parts":[{"text":"a"},{"text":"b"}]}"#; count];
        let body = format!(r#"{{"model":"m","messages":[{}]}}"#, items.join(","));
        let json = JsonBody::scan(body.as_bytes(), Limits { max_depth: 8 }, 0).unwrap();
        let doc = json.body().unwrap();
        let messages = doc.root().get("messages").unwrap();
        for (number, message) in messages.elements().enumerate() {
            for (part, value) in message.get("parts").unwrap().elements().enumerate() {
                let text = value.get("text").unwrap();
                let named = format!("/messages/{number}/parts/{part}/text");
                assert_eq!(json.pointer(text.place()), named);
            }
        }
        // `messages`, and for each of its items: itself, `parts`, the second part.
        assert!(doc.pointers.looked_at.get() <= 1 + 3 * count);
    }

    #[test]
    fn the_order_of_the_questions_does_not_matter() {
        let body = br#"{"a":[1,[2,{"b~/":3}],4],"c":{"d":5,"e":[]}}"#;
        let fresh = || JsonBody::scan(body, Limits { max_depth: 8 }, 0).unwrap();
        let requested = fresh();
        let doc = requested.body().unwrap();
        for first in 0..doc.len() {
            for second in 0..doc.len() {
                for node in [first, second] {
                    let place = doc.value(node).place();
                    assert_eq!(
                        requested.pointer(place),
                        fresh().pointer(place),
                        "{first} {second}"
                    );
                }
            }
        }
        let named: Vec<String> = (0..doc.len())
            .map(|node| requested.pointer(doc.value(node).place()))
            .collect();
        assert_eq!(
            named,
            [
                "",
                "/a",
                "/a",
                "/a/0",
                "/a/1",
                "/a/1/0",
                "/a/1/1",
                "/a/1/1/b~0~1",
                "/a/1/1/b~0~1",
                "/a/2",
                "/c",
                "/c",
                "/c/d",
                "/c/d",
                "/c/e",
                "/c/e"
            ]
        );
    }
}
