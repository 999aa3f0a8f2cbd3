//! Taking elements and members out of JSON with the comma that belongs to them.

use crate::wire::json::{Edits, Place, Value};
use crate::wire::span::Span;

/// Removes the elements of an array that stand at `places`.
pub(super) fn remove_elements(array: Value<'_>, places: &[Place], edits: &mut Edits) {
    let items: Vec<(Span, bool)> = array
        .elements()
        .map(|element| (element.span(), places.contains(&element.place())))
        .collect();
    remove(array, &items, edits);
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

/// The bytes of a member, from its key to the end of its value.
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

/// `items` are all spans inside the container in order, each with whether it goes.
fn remove(container: Value<'_>, items: &[(Span, bool)], edits: &mut Edits) {
    let mut kept_before = false;
    let mut previous_end = None;
    for (at, (span, goes)) in items.iter().enumerate() {
        if *goes {
            // After a kept item the comma before goes; before the first kept one, the comma after.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::edit::apply;
    use crate::wire::json::{Limits, Nest};

    fn without(body: &str, gone: &[usize]) -> String {
        let nest = Nest::scan(body.as_bytes(), Limits { max_depth: 8 }, 0).unwrap();
        let doc = nest.body().unwrap();
        let mut edits = Edits::default();
        let root = doc.root();
        let places: Vec<_> = root
            .elements()
            .enumerate()
            .filter(|(at, _)| gone.contains(at))
            .map(|(_, element)| element.place())
            .collect();
        let names: Vec<_> = gone.iter().map(|at| format!("k{at}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        remove_elements(root, &places, &mut edits);
        remove_members(root, &names, &mut edits);
        String::from_utf8(apply(body.as_bytes(), &nest.flatten(edits))).unwrap()
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
