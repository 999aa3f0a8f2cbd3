//! Beginnings of arrays that have been scanned before. An agent sends its whole conversation with every request: the array of
//! its messages begins, byte for byte, with nearly all elements of the request before, and these have the same nodes again.
//!
//! A beginning is known by its bytes, all of which are compared: nothing is taken for anything else.

use super::element_cache::{depth, sizes};
use super::scan::{Node, NodeKind};
use crate::wire::slot_hash;
use crate::wire::span::{index, offset};
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// Minimum bytes from the bracket of an array to the end of its body, for its elements to be kept, and minimum elements.
/// Scanning fewer costs hardly more than finding them here.
pub const MIN_KNOWN_BYTES: usize = 8 << 10;
const MIN_ELEMENTS: usize = 8;

/// Number of bytes behind the bracket by which arrays that may begin alike are found.
const HEAD: usize = 64;

/// Maximum arrays of which anything is kept: the conversations of a worker at one time.
const ARRAYS: usize = 32;

/// Maximum elements of an array of which anything is kept.
const MAX_ELEMENTS: usize = 4_096;

/// Maximum bytes of one array with its nodes, and of all arrays together. The arrays that came least recently are forgotten
/// first.
const MAX_SIZE: usize = 2 << 20;
const CAPACITY: usize = 4 << 20;

/// Bytes that what is remembered of an element takes, beside copies of its own bytes.
const REMEMBERED: usize = 256;

/// Arrays whose beginnings are kept, the latest ones first.
pub(super) struct ArrayCache {
    arrays: Vec<CachedArray>,
}

/// Array that came before.
#[derive(Default)]
struct CachedArray {
    /// Hash of its first bytes.
    head: u64,
    /// Fingerprints of its elements when it came last. Only elements that come a second time are kept.
    seen: Vec<u64>,
    /// Its first elements.
    known: Option<Rc<KnownArray>>,
}

/// First elements of an array that came before, with their nodes. More are added when they come again; none is ever changed.
#[derive(Default)]
pub struct KnownArray {
    scanned: RefCell<ScannedElements>,
    remembered: RefCell<Option<Rc<dyn Any>>>,
}

#[derive(Default)]
struct ScannedElements {
    count: usize,
    /// Bytes from the array's bracket on, without it.
    bytes: Vec<u8>,
    /// Nodes. Their places are counted from the byte and the node behind the bracket on.
    nodes: Vec<Node>,
    /// Greatest nesting in an element: arrays and objects that are open at one place, the element included.
    depth: usize,
    /// Work steps of comparing keys.
    steps: usize,
}

/// Known beginning of an array in a document.
#[derive(Clone)]
pub(super) struct KnownBeginning {
    /// Node of the array.
    pub(super) node: u32,
    /// Number of the elements.
    pub(super) count: usize,
    /// Elements, and perhaps more.
    pub(super) array: Rc<KnownArray>,
}

/// Array that was scanned.
pub(super) struct ArrayScan<'a> {
    /// Bytes of the document.
    pub(super) bytes: &'a [u8],
    /// Nodes of the document.
    pub(super) nodes: &'a [Node],
    /// Node of the array.
    pub(super) node: u32,
    /// Beginning that was known.
    pub(super) known: Option<KnownBeginning>,
    /// Work steps of comparing keys, for each object behind that beginning.
    pub(super) steps: &'a [usize],
}

/// Element behind a known beginning.
struct NewElement {
    fingerprint: u64,
    /// Offset of the byte behind it.
    end: usize,
    /// Node behind it.
    next: usize,
    /// Work steps of comparing its keys.
    steps: usize,
}

impl std::fmt::Debug for KnownBeginning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} elements of node {}", self.count, self.node)
    }
}

impl ArrayCache {
    /// Nothing is known.
    pub(super) const NEW: ArrayCache = ArrayCache { arrays: Vec::new() };

    /// Returns the longest known beginning of an array with these bytes behind its bracket.
    #[inline(never)]
    pub(super) fn look_up(&self, rest: &[u8]) -> Option<Rc<KnownArray>> {
        let head = head(rest)?;
        let alike = self.arrays.iter().filter(|array| array.head == head);
        let known = alike.filter_map(|array| array.known.as_ref());
        let known = known.filter(|known| known.scanned.borrow().begins(rest));
        known.max_by_key(|known| known.len()).cloned()
    }

    /// Notes an array that was scanned, so that its elements are known when they come again. Returns the beginning that is
    /// known now.
    #[inline(never)]
    pub(super) fn note(&mut self, scan: &ArrayScan<'_>) -> Option<KnownBeginning> {
        let start = index(scan.nodes.get(index(scan.node))?.span.start).saturating_add(1);
        let head = head(scan.bytes.get(start..)?)?;
        let new = scan.new_elements();
        if scan.known.is_none() && new.len() < MIN_ELEMENTS {
            return None;
        }
        let fingerprints = || new.iter().map(|element| element.fingerprint);
        if let Some(known) = &scan.known {
            let is_it = |array: &CachedArray| array.holds(&known.array);
            let at = self.arrays.iter().position(is_it)?;
            let array = self.move_to_front(at)?;
            let again = common(array.seen.get(known.count..)?, fingerprints());
            array.seen.truncate(known.count);
            array.seen.extend(fingerprints());
            let count = scan.extend(&known.array, new.get(..again)?);
            self.shrink();
            return Some(KnownBeginning {
                count,
                ..known.clone()
            });
        }
        let alike = self.arrays.iter().enumerate();
        let alike = alike.filter(|(_, array)| array.head == head);
        let again = alike.map(|(at, array)| (common(&array.seen, fingerprints()), at));
        let (again, at) = again.max().unwrap_or_default();
        // An array that goes on otherwise than a known one is another conversation.
        let is_same = |array: &CachedArray| again > 0 && array.known.is_none();
        let at = match self.arrays.get(at).is_some_and(is_same) {
            true => at,
            false => {
                self.arrays.truncate(ARRAYS.saturating_sub(1));
                self.arrays.push(CachedArray::default());
                self.arrays.len().saturating_sub(1)
            }
        };
        let array = self.move_to_front(at)?;
        array.head = head;
        array.seen.clear();
        array.seen.extend(fingerprints());
        if again == 0 {
            return None;
        }
        let known = Rc::new(KnownArray::default());
        let count = scan.extend(&known, new.get(..again)?);
        array.known = Some(Rc::clone(&known));
        self.shrink();
        Some(KnownBeginning {
            node: scan.node,
            count,
            array: known,
        })
    }

    /// Moves an array before all others.
    fn move_to_front(&mut self, at: usize) -> Option<&mut CachedArray> {
        self.arrays.get_mut(..=at)?.rotate_right(1);
        self.arrays.first_mut()
    }

    /// Forgets arrays until the others are small enough together.
    fn shrink(&mut self) {
        let mut all = 0usize;
        self.arrays.retain(|array| {
            all = all.saturating_add(array.size());
            all <= CAPACITY
        });
    }
}

impl CachedArray {
    fn holds(&self, known: &Rc<KnownArray>) -> bool {
        self.known
            .as_ref()
            .is_some_and(|own| Rc::ptr_eq(own, known))
    }

    fn size(&self) -> usize {
        let known = self.known.as_ref();
        let known = known.map_or(0, |known| known.scanned.borrow().size());
        known.saturating_add(size_of_val(&*self.seen))
    }
}

impl KnownArray {
    /// Returns the number of elements.
    pub(super) fn len(&self) -> usize {
        self.scanned.borrow().count
    }

    /// Adds the nodes of the elements to a tape whose last node is the array's, at a byte behind its bracket. Returns the bytes
    /// of the elements and the work steps of comparing their keys; `None` if they are nested deeper than `max_depth`.
    pub(super) fn add_to(
        &self,
        at: usize,
        max_depth: usize,
        nodes: &mut Vec<Node>,
    ) -> Option<(usize, usize)> {
        let scanned = self.scanned.borrow();
        if scanned.depth > max_depth {
            return None;
        }
        let (start, first) = (offset(at), offset(nodes.len()));
        nodes.extend(scanned.nodes.iter().map(|node| node.moved(start, first)));
        Some((scanned.bytes.len(), scanned.steps))
    }

    /// Returns what is remembered of the elements.
    pub fn recall<T: Any>(&self) -> Option<Rc<T>> {
        let remembered = self.remembered.borrow();
        remembered.as_ref().map(Rc::clone)?.downcast().ok()
    }

    /// Remembers something that follows from the bytes of the elements, in place of what was remembered before.
    pub fn remember<T: Any>(&self, what: Rc<T>) {
        *self.remembered.borrow_mut() = Some(what);
    }
}

impl ScannedElements {
    /// Returns whether an array with these bytes behind its bracket begins with the elements.
    fn begins(&self, rest: &[u8]) -> bool {
        // Conversations of one agent begin alike: most are told apart by their ends.
        let of_rest = rest.get(..self.bytes.len());
        of_rest.is_some_and(|rest| {
            rest.last_chunk::<16>() == self.bytes.last_chunk::<16>() && rest == &*self.bytes
        })
    }

    /// Returns the bytes that the elements take, with what is remembered of each.
    fn size(&self) -> usize {
        let remembered = self.count.saturating_mul(REMEMBERED);
        let bytes = self.bytes.len().saturating_mul(2);
        let nodes = size_of_val(&*self.nodes);
        bytes.saturating_add(nodes).saturating_add(remembered)
    }
}

impl ArrayScan<'_> {
    /// Returns the objects behind the known beginning, up to the first element that is no object.
    fn new_elements(&self) -> Vec<NewElement> {
        let first = self.node.saturating_add(1);
        let (known, nodes) = match &self.known {
            Some(known) => (known.count, known.array.scanned.borrow().nodes.len()),
            None => (0, 0),
        };
        let mut at = index(first).saturating_add(nodes);
        let end = self
            .nodes
            .get(index(self.node))
            .map_or(0, |array| index(array.next));
        let mut steps = self.steps.iter();
        let mut found = Vec::new();
        while at < end
            && found.len() < MAX_ELEMENTS.saturating_sub(known)
            && let Some(node) = self
                .nodes
                .get(at)
                .filter(|node| node.kind == NodeKind::Object)
            && let Some(steps) = steps.next()
        {
            at = index(node.next);
            found.push(NewElement {
                fingerprint: slot_hash::fingerprint(node.span.of(self.bytes)),
                end: index(node.span.end),
                next: at,
                steps: *steps,
            });
        }
        found
    }

    /// Adds elements to those before them until there is no space for another. Returns how many elements there are then.
    fn extend(&self, known: &KnownArray, new: &[NewElement]) -> usize {
        let mut scanned = known.scanned.borrow_mut();
        let Some(start) = self.nodes.get(index(self.node)) else {
            return scanned.count;
        };
        let (start, first) = (
            start.span.start.saturating_add(1),
            self.node.saturating_add(1),
        );
        for element in new {
            let bytes = index(start).saturating_add(scanned.bytes.len())..element.end;
            let at = index(first).saturating_add(scanned.nodes.len());
            let nodes = self.nodes.get(at..element.next);
            let (Some(bytes), Some(nodes)) = (self.bytes.get(bytes), nodes) else {
                break;
            };
            let more = bytes.len().saturating_add(size_of_val(nodes));
            if scanned.size().saturating_add(more.saturating_mul(2)) > MAX_SIZE {
                break;
            }
            scanned.bytes.extend_from_slice(bytes);
            let moved = nodes.iter().map(|node| node.moved_back(start, first));
            scanned.nodes.extend(moved);
            scanned.depth = scanned.depth.max(depth(sizes(nodes, at)));
            scanned.steps = scanned.steps.saturating_add(element.steps);
            scanned.count = scanned.count.saturating_add(1);
        }
        scanned.count
    }
}

/// Returns the hash of an array's first bytes; `None` if there are too few.
fn head(rest: &[u8]) -> Option<u64> {
    let head = rest.first_chunk::<HEAD>()?;
    Some(slot_hash::mix(0, head.as_chunks::<8>().0.iter()))
}

/// Returns how many fingerprints two arrays have in common at their beginnings.
fn common(seen: &[u64], new: impl Iterator<Item = u64>) -> usize {
    seen.iter()
        .zip(new)
        .take_while(|(seen, new)| *seen == new)
        .count()
}

#[cfg(test)]
mod tests {
    use super::super::scan::{Limits, Tape, scan};
    use super::*;
    use crate::wire::work;
    use proptest::prelude::*;

    /// A message of a conversation, of several hundred bytes.
    fn message(number: usize) -> String {
        let text = "word ".repeat(40 + number % 7);
        let members: String = (0..number % 20)
            .map(|at| format!(r#""{at}":{at},"#))
            .collect();
        match number % 3 {
            0 => format!(r#"{{"role":"user","content":"{number} {text}"}}"#),
            1 => format!(
                r#"{{"role":"assistant","input":{{{members}"a":[{{"b":"{text}"}}]}},"n":{number}}}"#
            ),
            _ => format!(
                r#"{{"role":"tool","content":[{{"type":"text","text":"{number}é{text}"}},[1,2]]}}"#
            ),
        }
    }

    fn body(messages: &[usize], before: &str) -> String {
        let messages: Vec<String> = messages.iter().map(|number| message(*number)).collect();
        let messages = messages.join(", ");
        format!(
            r#"{{{before}"messages":[ {messages} ],"tail":"{}"}}"#,
            "x".repeat(MIN_KNOWN_BYTES)
        )
    }

    type Scan = (Vec<(u32, u32, u32, NodeKind, u8)>, u64);

    fn scanned(body: &str, max_depth: u16) -> Result<(Scan, usize), super::super::ScanError> {
        let mut tape = Tape::default();
        let (result, steps) =
            work::count(|| scan(body.as_bytes(), Limits { max_depth }, &mut tape));
        result?;
        let known = tape.known_beginning(2).or(tape.known_beginning(4));
        let known = known.map_or(0, |(_, count)| count);
        let nodes = tape.nodes.iter();
        let nodes = nodes.map(|node| {
            (
                node.span.start,
                node.span.end,
                node.next,
                node.kind,
                node.flags,
            )
        });
        Ok(((nodes.collect(), steps), known))
    }

    /// Returns the number of elements that are known after each scan, all of which are as those of a thread that has scanned
    /// nothing.
    fn known(bodies: &[String]) -> Vec<usize> {
        let on_its_own = |body: &String| {
            std::thread::scope(|scope| scope.spawn(|| scanned(body, 64).unwrap().0).join().unwrap())
        };
        let expected: Vec<Scan> = bodies.iter().map(on_its_own).collect();
        let all = || {
            let scans = bodies.iter().zip(&expected).map(|(body, expected)| {
                let (scan, known) = scanned(body, 64).unwrap();
                assert!(scan == *expected, "{body}");
                known
            });
            scans.collect()
        };
        std::thread::scope(|scope| scope.spawn(all).join().unwrap())
    }

    #[test]
    fn what_comes_a_second_time_is_known_and_what_follows_it_is_scanned() {
        let messages: Vec<usize> = (0..60).collect();
        let bodies: Vec<String> = [30, 40, 50, 50, 60]
            .iter()
            .map(|count| body(&messages[..*count], ""))
            .collect();
        assert_eq!(known(&bodies), [0, 30, 40, 50, 50]);
    }

    #[test]
    fn conversations_that_begin_alike_are_known_apart() {
        let one: Vec<usize> = (0..40).collect();
        let other: Vec<usize> = (0..20).chain(100..120).collect();
        let [one, other] = [one, other].map(|messages| body(&messages, ""));
        let bodies = [&one, &one, &other, &other, &one, &other].map(String::clone);
        assert_eq!(known(&bodies), [0, 40, 20, 40, 40, 40]);
    }

    #[test]
    fn a_beginning_is_known_wherever_the_array_stands() {
        let messages: Vec<usize> = (0..40).collect();
        let bodies = ["", r#""model":"m","#, r#""model": "another one","#, ""];
        assert_eq!(
            known(&bodies.map(|before| body(&messages, before))),
            [0, 40, 40, 40]
        );
    }

    #[test]
    fn a_beginning_that_is_nested_too_deep_here_is_not_taken() {
        let body = body(&(0..40).collect::<Vec<_>>(), "");
        for _ in 0..3 {
            assert!(scanned(&body, 6).is_ok());
        }
        assert!(scanned(&body, 5).is_err());
    }

    #[test]
    fn arrays_of_other_elements_are_known_up_to_the_first_that_is_no_object() {
        let messages: Vec<String> = (0..40).map(message).collect();
        let body = format!(
            r#"{{"input":[{},7,{}]}}"#,
            messages[..30].join(","),
            messages.join(",")
        );
        assert_eq!(known(&[body.clone(), body.clone(), body]), [0, 30, 30]);
    }

    #[test]
    fn what_is_kept_stays_within_its_bounds() {
        let long = "x".repeat(100_000);
        for number in 0..100 {
            let messages: Vec<String> = (0..8)
                .map(|at| format!(r#"{{"n":{number},"at":{at},"text":"{long}"}}"#))
                .collect();
            let body = format!(r#"{{"input":[{}]}}"#, messages.join(","));
            for _ in 0..2 {
                scanned(&body, 64).unwrap();
            }
            super::super::scan::with_arrays(|arrays| {
                let sizes = arrays.arrays.iter().map(CachedArray::size);
                assert!(sizes.clone().all(|size| size <= MAX_SIZE + (8 << 10)));
                assert!(sizes.sum::<usize>() <= CAPACITY);
                assert!(arrays.arrays.len() <= ARRAYS);
            });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn conversations_in_any_order_are_scanned_as_if_they_came_first(
            bodies in prop::collection::vec((prop::collection::vec(0..6usize, 0..6), 0..60usize, 0..40usize, 0..2usize), 1..12)
        ) {
            let bodies: Vec<String> = bodies.iter().map(|(others, from, count, before)| {
                let mut messages: Vec<usize> = (0..*from).collect();
                messages.extend(others.iter().map(|other| 100 + other));
                messages.extend(*from..from + count);
                body(&messages, ["", r#""model":"m","#][*before])
            }).collect();
            known(&bodies);
        }
    }
}
