//! One stable sort for all types. The standard library's sort is compiled for each sorted type, into 5 to 8 KB each;
//! thirty copies would be a tenth of the filter.

use crate::wire::sorted_map::{SortedMap, SortedSet};
use std::cmp::Ordering;

/// Maximum items that are sorted without an allocation.
const MAX_ON_STACK: usize = 16;

/// Sorts stably, like `slice::sort_by`. Allocates one index per item if more than [`MAX_ON_STACK`] items are out of
/// order.
pub fn sort_by<T>(items: &mut [T], compare: impl FnMut(&T, &T) -> Ordering) {
    let count = items.len();
    if count > 1 {
        sort_items(count, &mut By { items, compare });
    }
}

/// Sorts stably by a key that is cheap to compute.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], mut key: impl FnMut(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// Sorts stably in the items' own order.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Builds a set item by item. `collect` would sort the items first.
pub fn set<T: Ord>(items: impl Iterator<Item = T>) -> SortedSet<T> {
    let mut set = SortedSet::new();
    set.extend(items);
    set
}

/// Builds a map entry by entry. `collect` would sort the entries first.
pub fn map<K: Ord, V>(items: impl Iterator<Item = (K, V)>) -> SortedMap<K, V> {
    let mut map = SortedMap::new();
    map.extend(items);
    map
}

/// A sequence of items of any type.
trait Sortable {
    fn compare(&mut self, a: usize, b: usize) -> Ordering;
    fn swap(&mut self, a: usize, b: usize);
}

struct By<'i, T, F> {
    items: &'i mut [T],
    compare: F,
}

impl<T, F: FnMut(&T, &T) -> Ordering> Sortable for By<'_, T, F> {
    fn compare(&mut self, a: usize, b: usize) -> Ordering {
        match (self.items.get(a), self.items.get(b)) {
            (Some(a), Some(b)) => (self.compare)(a, b),
            _ => Ordering::Equal,
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.items.swap(a, b);
    }
}

/// Computes the item of each position and moves it there. Follows the cycles of the permutation: each swap moves the
/// first item of a cycle on, until the cycle closes.
#[inline(never)]
fn sort_items(count: usize, items: &mut dyn Sortable) {
    if (1..count).all(|at| items.compare(at.saturating_sub(1), at) != Ordering::Greater) {
        return;
    }
    let mut few: [usize; MAX_ON_STACK] = std::array::from_fn(|place| place);
    let mut many = Vec::new();
    let sorted = match few.get_mut(..count) {
        Some(few) => few,
        None => {
            many.extend(0..count);
            many.as_mut_slice()
        }
    };
    sorted.sort_by(|a, b| items.compare(*a, *b));
    for start in 0..count {
        let mut at = start;
        while let Some(slot) = sorted.get_mut(at) {
            let from = std::mem::replace(slot, at);
            if from == start || from == at {
                break;
            }
            items.swap(at, from);
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
