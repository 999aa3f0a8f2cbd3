//! One sort for all types. The standard library's own is compiled anew for each type that is sorted, into 5 to 8 KB each;
//! thirty of them would be a tenth of the filter.

use crate::wire::sorted_map::{SortedMap, SortedSet};
use std::cmp::Ordering;

/// So many items are sorted without an allocation.
const MAX_ON_STACK: usize = 16;

/// Sorts stably, as `slice::sort_by` does, but allocates a number for each of more than [`FEW`] items that aren't in order yet.
pub fn sort_by<T>(items: &mut [T], compare: impl FnMut(&T, &T) -> Ordering) {
    let count = items.len();
    if count > 1 {
        sort_items(count, &mut By { items, compare });
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
pub fn set<T: Ord>(items: impl Iterator<Item = T>) -> SortedSet<T> {
    let mut set = SortedSet::new();
    set.extend(items);
    set
}

/// A map, filled one by one: `collect` would sort the items first.
pub fn map<K: Ord, V>(items: impl Iterator<Item = (K, V)>) -> SortedMap<K, V> {
    let mut map = SortedMap::new();
    map.extend(items);
    map
}

/// Items of whatever type.
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

/// Finds out which item belongs at each place, and brings it there. Follows the circles of the permutation: the item that
/// stood at the start of a circle is handed on by each swap and ends where the circle closes.
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
