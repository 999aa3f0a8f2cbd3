//! JSON edits: removal of elements and members with their commas, and the writing of replacements.

use super::EditedText;
use super::reader::is_tag;
use super::stream::TextChanges;
use crate::wire::json::{Edits, NodeId, Value, quote};
use crate::wire::sort;
use crate::wire::span::{Span, offset};
use std::borrow::Cow;

/// Returns a short word of a response (an id, a model) for use in the replacement of the response; `otherwise` if
/// there is none, or if it could be a denied text.
pub(super) fn tag<'v>(value: Option<Value<'v>>, otherwise: &'static str) -> Cow<'v, str> {
    value
        .filter(|value| is_tag(value.raw_content()))
        .and_then(|value| value.text())
        .unwrap_or(Cow::Borrowed(otherwise))
}

/// Returns a count of a response's usage.
pub(super) fn count(usage: Option<Value<'_>>, name: &str) -> u64 {
    usage
        .and_then(|usage| usage.get(name)?.as_u64())
        .unwrap_or(0)
}

/// Returns the number in a member, such as that of a choice or a block.
pub(super) fn number(holder: Value<'_>, member: &str) -> Option<u32> {
    u32::try_from(holder.get(member)?.as_u64()?).ok()
}

/// Returns the number of a choice: its own, or its position in the list.
pub(super) fn choice_number(choice: Value<'_>, at: usize) -> u32 {
    number(choice, "index").unwrap_or(offset(at))
}

/// Returns the choices of a response with their numbers.
pub(super) fn choices<'v>(root: Value<'v>, list: &str) -> impl Iterator<Item = (u32, Value<'v>)> {
    let choices = root.get(list).into_iter();
    choices
        .flat_map(|choices| choices.elements())
        .enumerate()
        .map(|(at, choice)| (choice_number(choice, at), choice))
}

/// Returns the members of a response that its replacement repeats unchanged, each followed by a comma.
pub(super) fn raw_members(root: Value<'_>, names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        if let Some(value) = root.get(name) {
            quote(name, &mut out);
            out.push(b':');
            out.extend_from_slice(value.raw());
            out.push(b',');
        }
    }
    out
}

/// Writer of one JSON object. It needs no buffers in between, and no separate code for each kind of value.
pub(super) struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> ObjectWriter<'o> {
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        ObjectWriter { out, empty: true }
    }

    pub(super) fn member(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        value(self.begin_member(key));
    }

    #[inline(never)]
    fn begin_member(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        quote(key, self.out);
        self.out.push(b':');
        self.out
    }

    #[inline(never)]
    pub(super) fn text(&mut self, key: &str, value: &str) {
        quote(value, self.begin_member(key));
    }

    #[inline(never)]
    pub(super) fn number(&mut self, key: &str, value: u64) {
        let out = self.begin_member(key);
        out.extend_from_slice(value.to_string().as_bytes());
    }

    #[inline(never)]
    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

/// Removes the elements of an array whose positions `goes` selects. Returns their number.
pub(super) fn remove_elements(
    array: Value<'_>,
    goes: &dyn Fn(NodeId) -> bool,
    edits: &mut Edits,
) -> usize {
    let items: Vec<(Span, bool)> = array
        .elements()
        .map(|element| (element.span(), goes(element.place())))
        .collect();
    remove(array, &items, edits);
    items.iter().filter(|(_, goes)| *goes).count()
}

/// Removes the members of an object that are named in `names`.
pub(super) fn remove_members(object: Value<'_>, names: &[&str], edits: &mut Edits) {
    let items: Vec<(Span, bool)> = object
        .members()
        .map(|(key, value)| {
            let goes = names.iter().any(|name| key.is_text(name));
            (from_key_to_end(key, value), goes)
        })
        .collect();
    remove(object, &items, edits);
}

/// Replaces the value of a member, unless it is absent or `null`.
#[inline(never)]
pub(super) fn replace_present(holder: Value<'_>, name: &str, with: &[u8], edits: &mut Edits) {
    if let Some(value) = holder.get(name).filter(|value| !value.is_null()) {
        edits.replace(value, with.to_vec());
    }
}

/// Lowers a number by that of the elements before it that were removed: clients use it as an index of a list.
pub(super) fn lower_number(number: Option<Value<'_>>, by: u32, edits: &mut Edits) {
    if let Some((value, at)) = number.and_then(|value| Some((value, value.as_u64()?)))
        && by > 0
    {
        let number = at.saturating_sub(u64::from(by));
        edits.replace(value, number.to_string().into_bytes());
    }
}

/// Returns the bytes of a member, from its key to the end of its value.
pub(super) fn member_span(object: Value<'_>, name: &str) -> Option<Span> {
    object
        .members()
        .find(|(key, _)| key.is_text(name))
        .map(|(key, value)| from_key_to_end(key, value))
}

fn from_key_to_end(key: Value<'_>, value: Value<'_>) -> Span {
    Span {
        start: key.span().start,
        end: value.span().end,
    }
}

/// Removes items of a container. `items` are the spans of all items in order, each with whether it is removed.
fn remove(container: Value<'_>, items: &[(Span, bool)], edits: &mut Edits) {
    let mut kept_before = false;
    let mut previous_end = None;
    for (at, (span, goes)) in items.iter().enumerate() {
        if *goes {
            // After a kept item the comma before is removed; before the first kept one, the comma after.
            let cut = match (kept_before, previous_end) {
                (true, Some(end)) => Span {
                    start: end,
                    end: span.end,
                },
                _ => Span {
                    start: span.start,
                    end: items
                        .get(at.saturating_add(1))
                        .map_or(span.end, |(next, _)| next.start),
                },
            };
            edits.splice(container.doc(), cut, Vec::new());
        } else {
            kept_before = true;
        }
        previous_end = Some(span.end);
    }
}

/// Names of members that point into a text, counted in characters, and whether they point to the end of their part.
const INDICES: &[(&str, bool)] = &[
    ("start_index", false),
    ("start", false),
    ("index", false),
    ("end_index", true),
    ("end", true),
];

/// Changes in a text, in characters, for a single walk over it.
fn changes_of(text: &str, edited: &EditedText) -> TextChanges {
    let mut changes = TextChanges::default();
    let (mut characters, mut byte) = (0u64, 0usize);
    let mut advance = |to: usize| {
        let passed = text.get(byte..to).unwrap_or_default();
        characters = characters.saturating_add(characters_of(passed));
        byte = to;
        characters
    };
    for (range, with) in &edited.changes {
        let start = advance(range.start);
        changes.add(range.clone(), start..advance(range.end), with.clone());
    }
    changes
}

fn characters_of(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// Moves annotations that point into an edited text. An index inside an edited part moves to its edge.
pub(super) fn move_indices(
    text: Value<'_>,
    annotations: Value<'_>,
    edited: &EditedText,
    edits: &mut Edits,
) {
    if let Some(text) = text.text() {
        move_annotations(annotations, edits, &changes_of(&text, edited));
    }
}

/// Moves the character indices of annotations to their positions in the edited text.
pub(super) fn move_annotations(annotations: Value<'_>, edits: &mut Edits, changes: &TextChanges) {
    for annotation in annotations.descendants() {
        for (name, is_end) in INDICES {
            let index = annotation.value.get(name);
            let Some((value, at)) = index.and_then(|value| Some((value, value.as_u64()?))) else {
                continue;
            };
            let moved = changes.moved(at, *is_end);
            if moved != at {
                edits.replace(value, moved.to_string().into_bytes());
            }
        }
    }
}

/// Corrects citations, which repeat the part of the text that they cite. Citations that overlap an edit are removed,
/// the others are moved.
pub(super) fn move_citations(
    text: Value<'_>,
    citations: Value<'_>,
    edited: &EditedText,
    edits: &mut Edits,
) {
    if let Some(text) = text.text() {
        cite(citations, &changes_of(&text, edited), edits);
    }
}

/// Corrects citations in the same way for given changes of a text.
pub(super) fn cite(citations: Value<'_>, changes: &TextChanges, edits: &mut Edits) {
    let number = |citation: Value<'_>, name: &str| citation.get(name)?.as_u64();
    let touched = citations.elements().filter(|citation| {
        match (number(*citation, "start"), number(*citation, "end")) {
            (Some(start), Some(end)) => changes.touch(start..end),
            _ => true,
        }
    });
    let gone = sort::set(touched.map(|citation| citation.place()));
    remove_elements(citations, &|place| gone.contains(&place), edits);
    move_annotations(citations, edits, changes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::edit::apply;
    use crate::wire::json::{JsonBody, Limits};

    fn without(body: &str, gone: &[usize]) -> String {
        let json = JsonBody::scan(body.as_bytes(), Limits { max_depth: 8 }, 0).unwrap();
        let doc = json.body().unwrap();
        let mut edits = Edits::default();
        let root = doc.root();
        let places: crate::wire::sorted_map::SortedSet<_> = root
            .elements()
            .enumerate()
            .filter(|(at, _)| gone.contains(at))
            .map(|(_, element)| element.place())
            .collect();
        let names: Vec<_> = gone.iter().map(|at| format!("k{at}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        remove_elements(root, &|place| places.contains(&place), &mut edits);
        remove_members(root, &names, &mut edits);
        String::from_utf8(apply(body.as_bytes(), &json.flatten(edits))).unwrap()
    }

    #[test]
    fn indices_move_with_the_text_that_they_point_into() {
        //                  0123456789
        let body = r#"["äbcdefghij",[{"start_index":0,"end_index":2},{"start_index":3,"end_index":5},{"a":{"start_index":4,"end_index":10}},{"start_index":99}]]"#;
        let json = JsonBody::scan(body.as_bytes(), Limits { max_depth: 8 }, 0).unwrap();
        let doc = json.body().unwrap();
        let (text, annotations) = (
            doc.root().element(0).unwrap(),
            doc.root().element(1).unwrap(),
        );
        let mut edits = Edits::default();
        // `c` is removed, `ef` (bytes 5 and 6) becomes `[EMAIL]`.
        let edited = EditedText {
            choice: 0,
            at: text.place(),
            changes: vec![(3..4, String::new()), (5..7, "[EMAIL]".to_owned())],
        };
        edits.replace_text(
            text,
            edited
                .changes
                .iter()
                .map(|(range, with)| (range.clone(), with.as_str())),
        );
        move_indices(text, annotations, &edited, &mut edits);
        let after: serde_json::Value =
            serde_json::from_slice(&json.edited(body.as_bytes(), edits)).unwrap();
        assert_eq!(
            after,
            serde_json::json!(["äbd[EMAIL]ghij", [
                {"start_index": 0, "end_index": 2},
                {"start_index": 2, "end_index": 10},
                {"a": {"start_index": 3, "end_index": 14}},
                {"start_index": 103},
            ]])
        );
    }

    #[test]
    fn whatever_is_removed_the_rest_is_valid_json_with_the_others_in_order() {
        for mask in 0u32..16 {
            let gone: Vec<usize> = (0..4).filter(|at| mask & (1 << at) != 0).collect();
            let kept: Vec<u32> = (0..4).filter(|at| mask & (1 << at) == 0).collect();
            let array: Vec<u32> = serde_json::from_str(&without("[ 0 , 1,2 ,3 ]", &gone)).unwrap();
            assert_eq!(array, kept);
            let object = without(r#"{ "k0" : 0 , "k1":1,"k2":2 ,"k3":3 }"#, &gone);
            let object: serde_json::Value = serde_json::from_str(&object).unwrap();
            assert_eq!(object.as_object().unwrap().len(), kept.len());
            assert!(kept.iter().all(|n| object[format!("k{n}")] == *n));
        }
    }

    #[test]
    fn the_bytes_of_what_is_kept_do_not_change() {
        assert_eq!(without("[0, 1 ,  2]", &[1]), "[0 ,  2]");
        assert_eq!(without("[0, 1 ,  2]", &[0]), "[1 ,  2]");
        assert_eq!(without("[ 7 ]", &[0]), "[  ]");
    }
}
