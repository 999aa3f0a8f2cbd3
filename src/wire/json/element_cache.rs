//! Elements of arrays that have been scanned before. An agent sends its tools and all turns of its conversation with every
//! request: objects in `tools` or `messages` whose bytes have come before have the same nodes again, only elsewhere.
//!
//! An element is known by its bytes, all of which are compared: nothing is taken for anything else.

use super::scan::{Node, NodeKind};
use crate::wire::slot_hash;
use crate::wire::span::{index, offset};
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// Number of bytes by which the set of an element is chosen, since its end is not known when it begins. A tool's name or a call's
/// id is in them: `{"type":"function","function":{"name":"read_file"`.
const HEAD: usize = 128;

/// Maximum bytes of an element that is kept, and minimum nodes. Scanning few nodes costs no more than finding them here.
const MAX_BYTES: usize = u16::MAX as usize;
const MIN_NODES: usize = 12;

/// Number of sets, enough for the tools and turns of some dozens of conversations, and of elements in each.
const SETS: usize = 256;
const WAYS: usize = 4;

/// Number of other elements that must come to a full set before one of them is kept. Where many of one hash come again and
/// again, the first ones are found each time, and the others cost no more than before.
const PATIENCE: u8 = 64;

/// Maximum bytes of all elements. Beyond it everything is forgotten.
const CAPACITY: usize = 2 << 20;

/// Maximum values of an element of which anything is remembered.
const MAX_REMEMBERED: usize = 64;

/// Elements with their nodes.
pub(super) struct ElementCache {
    sets: Vec<Set>,
    /// Bytes of all that is kept.
    held: usize,
}

impl Default for ElementCache {
    fn default() -> ElementCache {
        ElementCache::NEW
    }
}

/// Elements of one hash, the latest ones first.
#[derive(Default)]
struct Set {
    known: [Way; WAYS],
    /// Fingerprints of what came last. Only what comes a second time is kept.
    seen: [u64; WAYS],
    /// Others that came since one of them was found.
    others: u8,
}

#[derive(Default)]
struct Way {
    /// The hash of its first bytes.
    head: u64,
    element: Option<Rc<ScannedElement>>,
}

/// An element with its nodes: their places are counted from its first byte and node on.
pub struct ScannedElement {
    bytes: Box<[u8]>,
    nodes: Box<[Node]>,
    /// Greatest nesting: arrays and objects that are open at one place, the element included.
    pub(super) depth: usize,
    /// Work steps of comparing its keys.
    pub(super) steps: usize,
    remembered: RefCell<Remembered>,
}

/// What the readers of an element remember of values in it.
#[derive(Default)]
struct Remembered {
    /// For each value: its place, the bytes that what is remembered takes, and that itself.
    of: Vec<(u32, usize, Rc<dyn Any>)>,
    /// Bytes that all of it takes.
    held: usize,
}

impl std::fmt::Debug for ScannedElement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "element of {} bytes", self.bytes.len())
    }
}

/// What is kept of an element.
pub(super) enum Noted {
    /// Nothing, for its size.
    Nothing,
    /// That it came.
    Fingerprint,
    /// All of it.
    Element(Rc<ScannedElement>),
}

impl ElementCache {
    /// Nothing is known.
    pub(super) const NEW: ElementCache = ElementCache {
        sets: Vec::new(),
        held: 0,
    };

    /// Returns the element with which these bytes begin, if it is known.
    pub(super) fn look_up(&mut self, rest: &[u8]) -> Option<Rc<ScannedElement>> {
        let head = head(rest)?;
        let set = self.sets.get_mut(slot_hash::slot(head, SETS))?;
        let mut ways = set.known.iter().filter(|way| way.head == head);
        let known = ways.find_map(|way| {
            let element = way.element.as_ref();
            element.filter(|element| rest.starts_with(&element.bytes))
        })?;
        set.others = 0;
        Some(Rc::clone(known))
    }

    /// Notes an element that was scanned: its bytes, and its nodes as they stand in the tape behind `before` others. `steps` were
    /// spent to compare its keys.
    pub(super) fn note(
        &mut self,
        bytes: &[u8],
        nodes: &[Node],
        before: usize,
        steps: usize,
    ) -> Noted {
        if nodes.len() < MIN_NODES || bytes.len() > MAX_BYTES {
            return Noted::Nothing;
        }
        let Some(head) = head(bytes) else {
            return Noted::Nothing;
        };
        let Some(set) = self.set(head) else {
            return Noted::Nothing;
        };
        let is_full = set.known.iter().all(|way| way.element.is_some());
        if is_full && set.others < PATIENCE {
            set.others = set.others.saturating_add(1);
            return Noted::Fingerprint;
        }
        let fingerprint = slot_hash::fingerprint(bytes);
        if !set.seen.contains(&fingerprint) {
            slot_hash::push(&mut set.seen, fingerprint);
            return Noted::Fingerprint;
        }
        let known = ScannedElement::new(bytes, nodes, before, steps);
        known.map_or(Noted::Nothing, |known| self.keep(head, Rc::new(known)))
    }

    #[inline(never)]
    fn keep(&mut self, head: u64, element: Rc<ScannedElement>) -> Noted {
        let more = element.size();
        if self.held.saturating_add(more) > CAPACITY {
            *self = ElementCache::NEW;
        }
        if let Some(set) = self.set(head) {
            set.others = 0;
            let way = Way {
                head,
                element: Some(Rc::clone(&element)),
            };
            let replaced = slot_hash::push(&mut set.known, way).and_then(|way| way.element);
            let less = replaced.map_or(0, |replaced| replaced.size());
            self.held = self.held.saturating_add(more).saturating_sub(less);
        }
        Noted::Element(element)
    }

    fn set(&mut self, head: u64) -> Option<&mut Set> {
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Set::default);
        }
        self.sets.get_mut(slot_hash::slot(head, SETS))
    }
}

impl ScannedElement {
    #[inline(never)]
    fn new(bytes: &[u8], nodes: &[Node], before: usize, steps: usize) -> Option<ScannedElement> {
        let (start, first) = (nodes.first()?.span.start, offset(before));
        let nodes = nodes.iter().map(|node| node.moved_back(start, first));
        let nodes: Box<[Node]> = nodes.collect();
        Some(ScannedElement {
            bytes: bytes.into(),
            depth: depth(sizes(&nodes, 0)),
            nodes,
            steps,
            remembered: RefCell::default(),
        })
    }

    /// Length in bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the nodes of the same element at another place, `at` bytes behind the document's first.
    pub(super) fn add_to(&self, at: usize, nodes: &mut Vec<Node>) {
        let (start, first) = (offset(at), offset(nodes.len()));
        nodes.extend(self.nodes.iter().map(|node| node.moved(start, first)));
    }

    /// Returns what is remembered of the value at a place.
    pub fn recall<T: Any>(&self, at: u32) -> Option<Rc<T>> {
        let remembered = self.remembered.borrow();
        let (.., what) = remembered.of.iter().find(|(place, ..)| *place == at)?;
        Rc::clone(what).downcast().ok()
    }

    /// Returns whether `bytes` more may be remembered of one more value. All values together may take the size of the element.
    pub fn can_remember(&self, bytes: usize) -> bool {
        let remembered = self.remembered.borrow();
        let held = remembered.held.saturating_add(bytes);
        remembered.of.len() < MAX_REMEMBERED && held <= self.size()
    }

    /// Remembers something of the value at a place, in place of what was remembered there before. It takes `bytes`.
    pub fn remember<T: Any>(&self, at: u32, what: &Rc<T>, bytes: usize) {
        let what = Rc::clone(what);
        let remembered = &mut *self.remembered.borrow_mut();
        remembered.held = remembered.held.saturating_add(bytes);
        let mut before = remembered.of.iter_mut();
        match before.find(|(place, ..)| *place == at) {
            Some(before) => {
                remembered.held = remembered.held.saturating_sub(before.1);
                *before = (at, bytes, what);
            }
            None => remembered.of.push((at, bytes, what)),
        }
    }

    fn size(&self) -> usize {
        self.bytes.len().saturating_add(size_of_val(&*self.nodes))
    }
}

/// Returns the hash of an element's first bytes; `None` if it is too short to be kept.
fn head(bytes: &[u8]) -> Option<u64> {
    let head = bytes.first_chunk::<HEAD>()?;
    Some(slot_hash::mix(0, head.as_chunks::<8>().0.iter()))
}

/// Returns the number of nodes in each node, itself included, and its kind. The first one is at `at`.
pub(super) fn sizes(nodes: &[Node], at: usize) -> impl Iterator<Item = (usize, NodeKind)> {
    let nodes = nodes.iter().zip(at..);
    nodes.map(|(node, at)| (index(node.next).saturating_sub(at), node.kind))
}

/// Returns the greatest nesting of nodes, given the number of nodes in each, itself included, and its kind.
pub(super) fn depth(nodes: impl Iterator<Item = (usize, NodeKind)>) -> usize {
    let mut ends: Vec<usize> = Vec::new();
    let mut depth = 0;
    for (at, (size, kind)) in nodes.enumerate() {
        while ends.pop_if(|end| *end <= at).is_some() {}
        if matches!(kind, NodeKind::Array | NodeKind::Object) {
            ends.push(at.saturating_add(size));
            depth = depth.max(ends.len());
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::{JsonBody, Limits};

    /// An element of some size; all begin alike.
    fn element(number: usize, length: usize) -> String {
        let members: Vec<String> = (0..MIN_NODES).map(|at| format!("\"{at}\":{at}")).collect();
        let members = members.join(",");
        format!("{{\"about\":\"{}{number}\",{members}}}", "-".repeat(length))
    }

    fn note(cache: &mut ElementCache, element: &str) -> Noted {
        let body = JsonBody::scan(element.as_bytes(), Limits { max_depth: 8 }, 0).unwrap();
        let body = body.body().unwrap();
        cache.note(element.as_bytes(), &body.tape.nodes, 0, 0)
    }

    fn known(cache: &mut ElementCache, elements: &[String]) -> usize {
        let known = elements.iter().filter(|element| {
            let found = cache.look_up(element.as_bytes());
            found.is_some_and(|found| *found.bytes == *element.as_bytes())
        });
        known.count()
    }

    #[test]
    fn elements_that_begin_alike_do_not_drive_each_other_out_while_they_come() {
        let elements: Vec<String> = (10..30).map(|number| element(number, 2 * HEAD)).collect();
        let mut cache = ElementCache::NEW;
        for round in 0..20 {
            for element in &elements {
                if cache.look_up(element.as_bytes()).is_none() {
                    note(&mut cache, element);
                }
            }
            assert!(round < 2 || known(&mut cache, &elements) == WAYS, "{round}");
        }
        // When they come no more, others take their places.
        let others: Vec<String> = (100..104).map(|number| element(number, 2 * HEAD)).collect();
        for _ in 0..=usize::from(PATIENCE) {
            for element in &others {
                if cache.look_up(element.as_bytes()).is_none() {
                    note(&mut cache, element);
                }
            }
        }
        assert!(known(&mut cache, &others) > 0);
    }

    #[test]
    fn short_and_large_elements_and_more_than_two_mebibytes_are_not_kept() {
        let mut cache = ElementCache::NEW;
        let short = r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}"#.to_owned();
        for element in [short, element(1, MAX_BYTES)] {
            for _ in 0..3 {
                assert!(matches!(note(&mut cache, &element), Noted::Nothing));
            }
        }
        for number in 0..200 {
            let about = format!("about {number}");
            let element = element(number, 60_000).replacen("about", &about, 1);
            note(&mut cache, &element);
            note(&mut cache, &element);
            let ways = cache.sets.iter().flat_map(|set| &set.known);
            let held: usize = ways
                .filter_map(|way| way.element.as_ref())
                .map(|known| known.size())
                .sum();
            assert_eq!(held, cache.held, "{number}");
            assert!(held <= CAPACITY, "{number}");
            assert_eq!(known(&mut cache, &[element]), 1, "{number}");
        }
    }
}
