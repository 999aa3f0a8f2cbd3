//! Sorted maps and sets.
//!
//! The standard library's `BTreeMap` is compiled for each pair of types, into 3 KB and more; forty copies would be a
//! twentieth of the filter. Here only comparing and moving depend on the types: entries stay in insertion order, and
//! one permutation type holds the sorted order of their indices. Keys may come from the wire in an order that an
//! attacker chooses: an insertion moves at most one block of indices.

use crate::wire::span::{index, offset};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt::{Debug, Formatter};
use std::iter::Map;

/// Maximum indices in one block of a permutation.
const MAX_BLOCK: usize = 256;

/// A map, sorted by its keys.
#[derive(Clone)]
pub struct SortedMap<K, V> {
    /// The entries in insertion order. An insertion reuses the slot of a removed entry.
    entries: Vec<Option<(K, V)>>,
    /// The sorted order. Absent while the keys were inserted in ascending order.
    order: Option<Box<Permutation>>,
}

/// The indices of a map's entries, in the order of their keys.
#[derive(Clone, Debug)]
struct Permutation {
    /// Blocks of indices, none empty.
    lists: Vec<Vec<u32>>,
    /// Indices of removed entries.
    free: Vec<u32>,
}

/// A position in the sorted order, existing or to insert at: block, and position in the block.
type Slot = (usize, usize);

/// Comparison of an entry's key, by the entry's index, with the key that is searched.
trait Compare {
    fn compare(&self, number: usize) -> Ordering;
}

impl<F: Fn(usize) -> Ordering> Compare for F {
    fn compare(&self, number: usize) -> Ordering {
        self(number)
    }
}

impl Permutation {
    /// Creates the permutation of `count` entries with ascending keys.
    fn of(count: usize) -> Box<Permutation> {
        let numbers: Vec<u32> = (0..offset(count)).collect();
        Box::new(Permutation {
            lists: numbers.chunks(MAX_BLOCK / 2).map(<[u32]>::to_vec).collect(),
            free: Vec::new(),
        })
    }

    /// Returns the slot that an index has once there is a permutation.
    fn place_in(at: usize) -> Slot {
        (at.div_euclid(MAX_BLOCK / 2), at.rem_euclid(MAX_BLOCK / 2))
    }

    fn number(order: Option<&Permutation>, (list, at): Slot) -> Option<usize> {
        match order {
            Some(order) => order.lists.get(list)?.get(at).copied().map(index),
            None => Some(at),
        }
    }

    #[inline(never)]
    fn find(order: Option<&Permutation>, count: usize, key: &dyn Compare) -> Result<Slot, Slot> {
        let lists = order.map_or(&[][..], |order| &order.lists);
        // The last block whose first key is not greater than the key.
        let before = lists.partition_point(|numbers| {
            let first = numbers.first();
            first.is_some_and(|first| key.compare(index(*first)) != Ordering::Greater)
        });
        let list = before.saturating_sub(1);
        let count = order.map_or(count, |_| lists.get(list).map_or(0, Vec::len));
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            let Some(number) = Permutation::number(order, (list, middle)) else {
                break;
            };
            match key.compare(number) {
                Ordering::Less => low = middle.saturating_add(1),
                Ordering::Equal => return Ok((list, middle)),
                Ordering::Greater => high = middle,
            }
        }
        Err((list, low))
    }

    /// Makes room at the slot where [`Permutation::find`] found a key missing. Returns the index of the new entry.
    #[inline(never)]
    fn insert(order: &mut Option<Box<Permutation>>, count: usize, place: Slot) -> usize {
        let (order, (mut list, mut at)) = match order {
            Some(order) => (order, place),
            None if place.1 == count => return count,
            None => (
                order.insert(Permutation::of(count)),
                Permutation::place_in(place.1),
            ),
        };
        let number = order.free.pop().unwrap_or(offset(count));
        let Some(numbers) = order.lists.get_mut(list) else {
            order.lists.push(vec![number]);
            return index(number);
        };
        if numbers.len() >= MAX_BLOCK {
            // An insertion at the end is most likely one of ascending keys: it starts a new block.
            let cut = if at == numbers.len() {
                at
            } else {
                MAX_BLOCK / 2
            };
            let half = numbers.split_off(cut);
            order.lists.insert(list.saturating_add(1), half);
            if at >= cut {
                list = list.saturating_add(1);
                at = at.saturating_sub(cut);
            }
        }
        if let Some(numbers) = order.lists.get_mut(list) {
            numbers.insert(at, number);
        }
        index(number)
    }

    /// Removes a slot. Returns the index of its entry.
    #[inline(never)]
    fn remove(order: &mut Option<Box<Permutation>>, count: usize, place: Slot) -> Option<usize> {
        let (order, (list, at)) = match order {
            Some(order) => (order, place),
            None => (
                order.insert(Permutation::of(count)),
                Permutation::place_in(place.1),
            ),
        };
        let numbers = order.lists.get_mut(list)?;
        let number = numbers.remove(at);
        if numbers.is_empty() {
            order.lists.remove(list);
        }
        order.free.push(number);
        Some(index(number))
    }
}

/// The remaining slots of an iteration from both ends.
#[derive(Clone, Debug)]
struct Rest {
    front: Slot,
    /// The slot after the last one.
    back: Slot,
    left: usize,
}

impl Rest {
    #[inline(never)]
    fn next(&mut self, order: Option<&Permutation>) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        if order
            .is_some_and(|order| order.lists.get(self.front.0).map(Vec::len) == Some(self.front.1))
        {
            self.front = (self.front.0.saturating_add(1), 0);
        }
        let number = Permutation::number(order, self.front);
        self.front.1 = self.front.1.saturating_add(1);
        number
    }

    #[inline(never)]
    fn next_back(&mut self, order: Option<&Permutation>) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        if self.back.1 == 0 {
            self.back.0 = self.back.0.saturating_sub(1);
            self.back.1 = order?.lists.get(self.back.0)?.len();
        }
        self.back.1 = self.back.1.saturating_sub(1);
        Permutation::number(order, self.back)
    }
}

/// Iterator over the entries of a map, in the order of their keys.
#[derive(Debug)]
pub struct Iter<'m, K, V> {
    entries: &'m [Option<(K, V)>],
    order: Option<&'m Permutation>,
    rest: Rest,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Iter {
            rest: self.rest.clone(),
            ..*self
        }
    }
}

impl<'m, K, V> Iter<'m, K, V> {
    fn entry(&self, number: usize) -> Option<(&'m K, &'m V)> {
        let (key, value) = self.entries.get(number)?.as_ref()?;
        Some((key, value))
    }
}

impl<'m, K, V> Iterator for Iter<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.rest.next(self.order)?;
        self.entry(number)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest.left, Some(self.rest.left))
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let number = self.rest.next_back(self.order)?;
        self.entry(number)
    }
}

/// Iterator over the owned entries of a map, in the order of their keys.
#[derive(Debug)]
pub struct IntoIter<K, V> {
    map: SortedMap<K, V>,
    rest: Rest,
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.rest.next(self.map.order.as_deref())?;
        self.map.entries.get_mut(number)?.take()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest.left, Some(self.rest.left))
    }
}

impl<K, V> SortedMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        SortedMap {
            entries: Vec::new(),
            order: None,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        let free = self.order.as_ref().map_or(0, |order| order.free.len());
        self.entries.len().saturating_sub(free)
    }

    /// Returns whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn rest(&self) -> Rest {
        Rest {
            front: (0, 0),
            back: match &self.order {
                Some(order) => (order.lists.len(), 0),
                None => (0, self.entries.len()),
            },
            left: self.len(),
        }
    }

    /// Iterates over the entries, in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter {
            entries: &self.entries,
            order: self.order.as_deref(),
            rest: self.rest(),
        }
    }

    /// Iterates over the keys in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// Iterates over the values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// Converts the map to its values, in the order of their keys.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.into_iter().map(|(_, value)| value)
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        *self = SortedMap::new();
    }

    fn at(&self, number: usize) -> Option<&(K, V)> {
        self.entries.get(number)?.as_ref()
    }

    fn at_mut(&mut self, number: usize) -> Option<&mut V> {
        let (_, value) = self.entries.get_mut(number)?.as_mut()?;
        Some(value)
    }

    /// Inserts an entry at the slot where [`SortedMap::find`] found its key missing. Returns its index.
    fn put(&mut self, place: Slot, key: K, value: V) -> usize {
        let number = Permutation::insert(&mut self.order, self.entries.len(), place);
        match self.entries.get_mut(number) {
            Some(entry) => *entry = Some((key, value)),
            None => self.entries.push(Some((key, value))),
        }
        number
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Slot, Slot>
    where
        K: Borrow<Q>,
    {
        let compare = |number: usize| match self.at(number) {
            Some((known, _)) => known.borrow().cmp(key),
            None => Ordering::Equal,
        };
        Permutation::find(self.order.as_deref(), self.entries.len(), &compare)
    }

    fn number<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key).ok()?;
        Permutation::number(self.order.as_deref(), place)
    }

    /// Returns the value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let number = self.number(key)?;
        self.at(number).map(|(_, value)| value)
    }

    /// Returns the value of a key for modification.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let number = self.number(key)?;
        self.at_mut(number)
    }

    /// Returns whether the map has this key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets the value of a key. Returns the previous value.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(place) => {
                let number = Permutation::number(self.order.as_deref(), place)?;
                self.at_mut(number)
                    .map(|known| std::mem::replace(known, value))
            }
            Err(place) => {
                self.put(place, key, value);
                None
            }
        }
    }

    /// Removes a key. Returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key).ok()?;
        let number = Permutation::remove(&mut self.order, self.entries.len(), place)?;
        let (_, value) = self.entries.get_mut(number)?.take()?;
        Some(value)
    }

    /// Returns the entry of a key, existing or not.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        let found = self.find(&key);
        Entry {
            map: self,
            key,
            found,
        }
    }
}

/// The entry of a key, existing or not.
#[derive(Debug)]
pub struct Entry<'m, K, V> {
    map: &'m mut SortedMap<K, V>,
    key: K,
    found: Result<Slot, Slot>,
}

impl<'m, K, V> Entry<'m, K, V> {
    /// Returns the key's value; inserts the result of `make` if there is none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'m mut V {
        let number = match self.found {
            Ok(place) => Permutation::number(self.map.order.as_deref(), place),
            Err(place) => Some(self.map.put(place, self.key, make())),
        };
        match number.and_then(|number| self.map.at_mut(number)) {
            Some(value) => value,
            // Unreachable: `put` has just inserted the entry.
            None => std::process::abort(),
        }
    }

    /// Returns the key's value; inserts `value` if there is none.
    pub fn or_insert(self, value: V) -> &'m mut V {
        self.or_insert_with(|| value)
    }

    /// Returns the key's value; inserts the default if there is none.
    pub fn or_default(self) -> &'m mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SortedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for SortedMap<K, V> {}

impl<K: Debug, V: Debug> Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        SortedMap::new()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        let rest = self.rest();
        IntoIter { map: self, rest }
    }
}

impl<'m, K, V> IntoIterator for &'m SortedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, items: I) {
        for (key, value) in items {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let mut map = SortedMap::new();
        map.extend(items);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(items: [(K, V); N]) -> Self {
        items.into_iter().collect()
    }
}

/// Iterator over the items of a set, in their order.
pub type SetItems<'s, T> = Map<Iter<'s, T, ()>, fn((&'s T, &'s ())) -> &'s T>;

/// A sorted set.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedSet<T> {
    map: SortedMap<T, ()>,
}

impl<T> SortedSet<T> {
    /// An empty set.
    pub const fn new() -> Self {
        SortedSet {
            map: SortedMap::new(),
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Iterates over the items in their order.
    pub fn iter(&self) -> SetItems<'_, T> {
        self.map.iter().map(|(item, ())| item)
    }

    /// The smallest item.
    pub fn first(&self) -> Option<&T> {
        self.iter().next()
    }
}

impl<T: Ord> SortedSet<T> {
    /// Returns whether the set contains an item.
    pub fn contains<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.contains_key(item)
    }

    /// Inserts an item. Returns whether it was missing.
    pub fn insert(&mut self, item: T) -> bool {
        self.map.insert(item, ()).is_none()
    }

    /// Removes an item. Returns whether it was in the set.
    pub fn remove<Q: Ord + ?Sized>(&mut self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.remove(item).is_some()
    }
}

impl<T: Debug> Debug for SortedSet<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        SortedSet::new()
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = Map<<SortedMap<T, ()> as IntoIterator>::IntoIter, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.map.into_iter().map(|(item, ())| item)
    }
}

impl<'s, T> IntoIterator for &'s SortedSet<T> {
    type Item = &'s T;
    type IntoIter = SetItems<'s, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.insert(item);
        }
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut set = SortedSet::new();
        set.extend(items);
        set
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for SortedSet<T> {
    fn from(items: [T; N]) -> Self {
        items.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap as Known;

    #[derive(Clone, Debug)]
    enum Change {
        Insert(u16, u8),
        Remove(u16),
        Add(u16),
    }

    fn change() -> impl Strategy<Value = Change> {
        let key = 0_u16..400;
        prop_oneof![
            4 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Change::Insert(key, value)),
            1 => key.clone().prop_map(Change::Remove),
            1 => key.prop_map(Change::Add),
        ]
    }

    proptest! {
        #[test]
        fn does_what_the_standard_library_does(changes in prop::collection::vec(change(), 0..1_500)) {
            let (mut ours, mut theirs) = (SortedMap::new(), Known::new());
            for change in changes {
                match change {
                    Change::Insert(key, value) => prop_assert_eq!(ours.insert(key, value), theirs.insert(key, value)),
                    Change::Remove(key) => prop_assert_eq!(ours.remove(&key), theirs.remove(&key)),
                    Change::Add(key) => {
                        let ours = ours.entry(key).or_default();
                        let theirs = theirs.entry(key).or_default();
                        *ours = ours.wrapping_add(1);
                        *theirs = theirs.wrapping_add(1);
                        prop_assert_eq!(ours, theirs);
                    }
                }
            }
            prop_assert_eq!(ours.len(), theirs.len());
            prop_assert_eq!(ours.is_empty(), theirs.is_empty());
            for key in 0..400 {
                prop_assert_eq!(ours.get(&key), theirs.get(&key));
                prop_assert_eq!(ours.get_mut(&key), theirs.get_mut(&key));
            }
            prop_assert!(ours.iter().eq(theirs.iter()));
            prop_assert!(ours.iter().rev().eq(theirs.iter().rev()));
            prop_assert!(ours.into_iter().eq(theirs));
        }
    }

    #[test]
    fn many_keys_in_any_order_cost_no_more_than_their_number() {
        let count = 200_000_u32;
        for key in [
            |n| n,
            |n: u32| u32::MAX - n,
            |n: u32| n.wrapping_mul(2_654_435_761),
        ] {
            let map: SortedMap<u32, u32> = (0..count).map(|n| (key(n), n)).collect();
            assert_eq!(map.len(), 200_000);
            assert!((0..count).all(|n| map.get(&key(n)) == Some(&n)));
        }
    }
}
