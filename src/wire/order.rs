//! One sort for all types. The standard library's own is compiled anew for each type that is sorted, into 5 to 8 KB each;
//! thirty of them would be a tenth of the filter.

use crate::wire::btree::{BTreeMap, BTreeSet};
use std::cmp::Ordering;

/// So many items are sorted without an allocation.
const FEW: usize = 16;

/// Sorts stably, as `slice::sort_by` does, but allocates a number for each of more than [`FEW`] items that aren't in order yet.
pub fn sort_by<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    if items.len() < 2 {
        return;
    }
    let sorted = order(
        items.len(),
        &mut |a, b| match (items.get(a), items.get(b)) {
            (Some(a), Some(b)) => compare(a, b),
            _ => Ordering::Equal,
        },
    );
    if let Some(sorted) = sorted {
        arrange(sorted, &mut |a, b| items.swap(a, b));
    }
}

/// Sorts stably by a key that costs little to make.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], mut key: impl FnMut(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// Sorts stably in the items' own order.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// A set, filled one by one: `collect` would sort the items first.
pub fn set<T: Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(items);
    set
}

/// A map, filled one by one: `collect` would sort the items first.
pub fn map<K: Ord, V>(items: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(items);
    map
}

/// Which item stands at each place.
enum Sorted {
    Few([usize; FEW]),
    Many(Vec<usize>),
}

/// Which item stands at each place once `count` of them are sorted; `None` if they are.
#[inline(never)]
fn order(count: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Option<Sorted> {
    if (1..count).all(|at| compare(at.saturating_sub(1), at) != Ordering::Greater) {
        return None;
    }
    let mut few = std::array::from_fn(|place| place);
    if let Some(sorted) = few.get_mut(..count) {
        sorted.sort_by(|a, b| compare(*a, *b));
        return Some(Sorted::Few(few));
    }
    let mut many: Vec<usize> = (0..count).collect();
    many.sort_by(|a, b| compare(*a, *b));
    Some(Sorted::Many(many))
}

/// Brings each item to its place. Follows the circles of the permutation: the item that stood at the start of a circle is
/// handed on by each swap and ends where the circle closes.
#[inline(never)]
fn arrange(mut sorted: Sorted, swap: &mut dyn FnMut(usize, usize)) {
    let sorted = match &mut sorted {
        Sorted::Few(few) => few.as_mut_slice(),
        Sorted::Many(many) => many,
    };
    for start in 0..sorted.len() {
        let mut at = start;
        while let Some(slot) = sorted.get_mut(at) {
            let from = std::mem::replace(slot, at);
            if from == start || from == at {
                break;
            }
            swap(at, from);
            at = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorts_as_the_standard_library_does(numbers in prop::collection::vec(0_u8..20, 0..200)) {
            let mut ours: Vec<(u8, usize)> = numbers.into_iter().zip(0..).collect();
            let mut theirs = ours.clone();
            sort_by_key(&mut ours, |(number, _)| *number);
            theirs.sort_by_key(|(number, _)| *number);
            prop_assert_eq!(&ours, &theirs);
            sort_by(&mut ours, |a, b| b.cmp(a));
            theirs.sort_by(|a, b| b.cmp(a));
            prop_assert_eq!(&ours, &theirs);
            sort(&mut ours);
            theirs.sort();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn sorts_what_owns_memory() {
        let mut words: Vec<String> = ["pear", "fig", "apple", "fig"].map(str::to_owned).to_vec();
        sort(&mut words);
        assert_eq!(words, ["apple", "fig", "fig", "pear"]);
    }
}
