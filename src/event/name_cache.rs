//! Cache of the names of values in data. An agent sends the schemas of its tools, and the arguments and results of
//! earlier calls, with every request. The names of their values are derived once.
//!
//! Known data is recognised by its element of the body, if the element has come before, or by all its bytes: data is
//! never mistaken for other data.

use super::naming::{NamedNode, NodeName};
use super::{Class, Form, Text, TextNames};
use crate::wire::json::{NodeId, ScannedElement, Value};
use crate::wire::slot_hash;
use crate::wire::span::index;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Maximum bytes of cached data, and maximum number of its values and keys. Larger data is named each time: it seldom
/// comes again.
const MAX_BYTES: usize = 64 << 10;
const MAX_NODES: usize = 8_192;

/// Number of slots, enough for the tools and calls of several conversations.
const SLOTS: usize = 512;

/// Maximum bytes of all cached data. Beyond it the cache is cleared.
const CAPACITY: usize = 2 << 20;

/// No name.
const NONE: u16 = u16::MAX;

/// Next number of cached data. Numbers are unique in the process, so that data of another worker never has the same
/// number.
static NUMBERED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static CACHE: RefCell<NameCache> = RefCell::default();
}

/// Cached data with the names of its values. New data replaces other data in its slot.
#[derive(Default)]
struct NameCache {
    slots: Vec<Slot>,
    /// Bytes of all cached data.
    held: usize,
}

#[derive(Clone, Default)]
struct Slot {
    /// Fingerprint of the last data. Only data that comes a second time is cached.
    fingerprint: u64,
    known: Option<Rc<KnownNames>>,
}

/// Names of one value and of all values inside it, in the order of the bytes.
pub(super) struct KnownNames {
    /// Unique number of the data.
    pub(super) id: u64,
    /// Bytes of the data; empty if it is recognised by its element.
    bytes: Box<[u8]>,
    names: Box<[KnownName]>,
    /// Number of values that are texts.
    texts: usize,
    /// Bytes of these texts as they are written, strings with their quotes.
    pub(super) length: usize,
    /// Work steps that deriving the names took.
    pub(super) steps: u64,
}

/// Name of a value, as positions of its parts relative to the outermost value.
#[derive(Clone, Copy)]
pub(super) struct KnownName {
    nearest: u16,
    over: u16,
    is_own: bool,
    /// The form in which the value itself contains text.
    form: Option<Form>,
}

impl KnownName {
    /// Returns the position of a name; `None` if it is before `root`, or too far after it for a `u16`.
    pub(super) fn of(named: NamedNode<'_>, root: Value<'_>) -> Option<KnownName> {
        let name = named.name;
        let place = |part: Option<Value<'_>>| match part {
            Some(part) => {
                let at = part.place().node.checked_sub(root.place().node)?;
                u16::try_from(at).ok().filter(|at| *at != NONE)
            }
            None => Some(NONE),
        };
        Some(KnownName {
            nearest: place(name.nearest)?,
            over: place(name.over)?,
            is_own: name.is_own,
            form: Form::of(named.is_key, named.value),
        })
    }

    /// Returns the same name in data with the same bytes.
    pub(super) fn in_data(self, root: Value<'_>) -> NodeName<'_> {
        let part = |at: u16| {
            let node = root.place().node.saturating_add(u32::from(at));
            (at != NONE).then(|| root.doc().value(node))
        };
        NodeName {
            nearest: part(self.nearest),
            over: part(self.over),
            is_own: self.is_own,
        }
    }
}

impl KnownNames {
    /// Returns the bytes of the cached data.
    fn size(&self) -> usize {
        self.bytes.len().saturating_add(size_of_val(&*self.names))
    }

    /// Returns the names, one for each value and key.
    pub(super) fn names(&self) -> &[KnownName] {
        &self.names
    }

    /// Adds the texts of data with the same bytes, each with its names.
    pub(super) fn add_texts(&self, root: NodeId, class: Class, texts: &mut Vec<Text>) {
        let place = |at: u32| NodeId {
            node: root.node.wrapping_add(at),
            ..root
        };
        let part = |at: u16| (at != NONE).then(|| place(u32::from(at)).node);
        texts.reserve(self.texts);
        for (at, name) in (0u32..).zip(&self.names) {
            if let Some(form) = name.form {
                texts.push(Text {
                    place: place(at),
                    class,
                    form,
                    names: TextNames::new([name.nearest, name.over].map(part)),
                    is_data: false,
                });
            }
        }
    }
}

/// State of a value in the cache.
pub(super) enum Known<'v> {
    /// The value has come before, and these are its names.
    Names(Rc<KnownNames>),
    /// The value has come before, but its names are not cached yet.
    Again(Again<'v>),
    /// The value is new, or too large to be cached.
    Nothing,
}

/// Key of data that has come before.
#[derive(Clone, Copy)]
pub(super) enum Again<'v> {
    /// Element that contains the data, and the data's position in it.
    InElement(&'v ScannedElement, u32),
    /// Fingerprint of the data's bytes, which determines the slot.
    Bytes(u64),
}

/// Looks up a value. An unknown value counts as seen from then on.
pub(super) fn look_up(root: Value<'_>) -> Known<'_> {
    let bytes = root.raw();
    if bytes.len() > MAX_BYTES || node_count(root) > MAX_NODES {
        return Known::Nothing;
    }
    if let Some((element, at)) = root.known_element() {
        match element.recall(at) {
            Some(known) => return Known::Names(known),
            None if element.can_remember(bytes_of(node_count(root))) => {
                return Known::Again(Again::InElement(element, at));
            }
            None => {}
        }
    }
    CACHE.with_borrow_mut(|cache| {
        let fingerprint = slot_hash::fingerprint(bytes);
        let Some(slot) = cache.slot(fingerprint) else {
            return Known::Nothing;
        };
        match &slot.known {
            Some(known) if *known.bytes == *bytes => Known::Names(Rc::clone(known)),
            _ if slot.fingerprint == fingerprint => Known::Again(Again::Bytes(fingerprint)),
            _ => {
                slot.fingerprint = fingerprint;
                Known::Nothing
            }
        }
    })
}

/// Caches the names of a value that came again. Returns `None` unless there is one name for each value and key in it.
pub(super) fn keep(
    root: Value<'_>,
    again: Again<'_>,
    names: Vec<KnownName>,
    steps: u64,
) -> Option<Rc<KnownNames>> {
    if names.len() != node_count(root) {
        return None;
    }
    let values = (root.place().node..).map(|node| root.doc().value(node));
    let texts = values.zip(&names).filter(|(_, name)| name.form.is_some());
    let lengths: Vec<usize> = texts.map(|(value, _)| value.span().len()).collect();
    let known = Rc::new(KnownNames {
        id: NUMBERED.fetch_add(1, Ordering::Relaxed),
        bytes: match again {
            Again::InElement(..) => Box::default(),
            Again::Bytes(_) => root.raw().into(),
        },
        texts: lengths.len(),
        length: lengths.iter().sum(),
        names: names.into(),
        steps,
    });
    match again {
        Again::InElement(element, at) => element.remember(at, &known, known.size()),
        Again::Bytes(fingerprint) => {
            CACHE.with_borrow_mut(|cache| cache.keep(fingerprint, &known));
        }
    }
    Some(known)
}

/// Returns the bytes of this many names.
fn bytes_of(names: usize) -> usize {
    names.saturating_mul(size_of::<KnownName>())
}

/// Returns the number of values and keys in a value, including itself.
fn node_count(root: Value<'_>) -> usize {
    index(root.end_node().saturating_sub(root.place().node))
}

impl NameCache {
    fn slot(&mut self, fingerprint: u64) -> Option<&mut Slot> {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::default());
        }
        self.slots.get_mut(slot_hash::slot(fingerprint, SLOTS))
    }

    fn keep(&mut self, fingerprint: u64, known: &Rc<KnownNames>) {
        let more = known.size();
        if self.held.saturating_add(more) > CAPACITY {
            *self = NameCache::default();
        }
        if let Some(slot) = self.slot(fingerprint) {
            let before = slot.known.replace(Rc::clone(known));
            let less = before.map_or(0, |before| before.size());
            self.held = self.held.saturating_add(more).saturating_sub(less);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NamedNode;
    use crate::event::naming::{add_texts, each_named, walk};
    use crate::wire::json::{JsonBody, Limits};
    use crate::wire::work;
    use proptest::prelude::*;

    /// Returns the names in a value, as they are visited, and the steps of the visit. `at` is the member before the value.
    fn names_by(
        json: &str,
        at: &str,
        each: for<'v> fn(Value<'v>, &mut dyn FnMut(NamedNode<'v>)),
    ) -> (Vec<String>, u64) {
        let body = format!(r#"{{"{at}":1,"data":{json}}}"#);
        let body = JsonBody::scan(body.as_bytes(), Limits { max_depth: 32 }, 0).unwrap();
        let body = body.body().unwrap();
        let root = body.root().get("data").unwrap();
        let mut names = Vec::new();
        let ((), steps) = work::count(|| {
            each(root, &mut |named| {
                let start = root.span().start;
                let place = |part: Value<'_>| (part.span().start - start, part.raw().to_vec());
                let NodeName {
                    nearest,
                    over,
                    is_own,
                } = named.name;
                let parts = [Some(named.value), nearest, over].map(|part| part.map(place));
                names.push(format!("{parts:?} {} {is_own}", named.is_key));
            });
        });
        (names, steps)
    }

    fn any_data() -> impl Strategy<Value = String> {
        let word =
            || prop::sample::select(vec!["ssn", "name", "value", "columns", "rows", "number"]);
        let leaf = prop_oneof![
            word().prop_map(|word| format!("\"{word}\"")),
            Just("7".to_owned()),
            Just("7654321".to_owned()),
            "[a-z ]{0,60}".prop_map(|text| format!("\"{text}\"")),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|all| format!("[{}]", all.join(","))),
                prop::collection::btree_map(word(), inner, 0..4).prop_map(|members| {
                    let members = members
                        .iter()
                        .map(|(name, value)| format!("\"{name}\":{value}"));
                    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn names_that_are_kept_are_those_that_were_found(all in prop::collection::vec(any_data(), 1..6)) {
            for place in ["a", "another", "a", "b"] {
                for json in &all {
                    prop_assert_eq!(names_by(json, place, each_named), names_by(json, place, walk));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn texts_of_names_that_are_kept_are_those_that_were_found(json in any_data()) {
            let body = format!("[0,{json}]");
            let body = JsonBody::scan(body.as_bytes(), Limits { max_depth: 32 }, 0).unwrap();
            let body = body.body().unwrap();
            let root = body.root().element(1).unwrap();
            let mut found = Vec::new();
            walk(root, &mut |named| found.extend(Text::named(named, Class::Unknown)));
            for _ in 0..3 {
                let mut texts = Vec::new();
                add_texts(root, Class::Unknown, &mut texts);
                prop_assert_eq!(&texts, &found);
            }
        }
    }

    #[test]
    fn data_is_cached_when_it_comes_again() {
        let json = r#"{"type":"object","properties":{"path":{"type":"string"}}}"#;
        let body = JsonBody::scan(json.as_bytes(), Limits { max_depth: 32 }, 0).unwrap();
        let text = body.body().unwrap();
        let root = text.root();
        assert!(matches!(look_up(root), Known::Nothing));
        assert!(matches!(look_up(root), Known::Again(_)));
        each_named(root, &mut |_| {});
        assert!(matches!(look_up(root), Known::Names(_)));
    }

    #[test]
    fn large_data_and_more_than_two_mebibytes_are_not_cached() {
        let large = format!("\"{}\"", "a".repeat(MAX_BYTES));
        let many = format!("[{}1]", "1,".repeat(MAX_NODES));
        for json in [large, many] {
            let body = JsonBody::scan(json.as_bytes(), Limits { max_depth: 32 }, 0).unwrap();
            let text = body.body().unwrap();
            let root = text.root();
            for _ in 0..3 {
                assert!(matches!(look_up(root), Known::Nothing));
            }
        }
        for number in 0..100 {
            let json = format!("\"{number} {}\"", "a".repeat(MAX_BYTES - 10));
            let body = JsonBody::scan(json.as_bytes(), Limits { max_depth: 32 }, 0).unwrap();
            let text = body.body().unwrap();
            let root = text.root();
            for _ in 0..2 {
                each_named(root, &mut |_| {});
            }
            CACHE.with_borrow(|cache| {
                let held: usize = cache
                    .slots
                    .iter()
                    .filter_map(|slot| slot.known.as_ref())
                    .map(|known| known.size())
                    .sum();
                assert_eq!(held, cache.held, "{number}");
                assert!(held <= CAPACITY, "{number}");
            });
        }
    }
}
