//! Sorted maps and sets: B-trees of two levels.
//!
//! The standard library's own are compiled anew for each pair of types, into 3 KB and more; forty of them would be a
//! twentieth of the filter. These take a fourth of that, and what differs between types is no more than comparing and
//! moving. Up to 64 entries stand in one vector; beyond that in several, so that an insertion moves few of however many
//! there are: keys may come from the wire, in the order that an attacker likes.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt::{Debug, Formatter};
use std::iter::{Chain, Flatten, Map};
use std::{slice, vec};

/// Most entries of one vector.
const MOST: usize = 64;

type Parts<'m, E> = Chain<slice::Iter<'m, E>, Flatten<slice::Iter<'m, Vec<E>>>>;

/// The entries of a map in the keys' order.
pub type Iter<'m, K, V> = Map<Parts<'m, (K, V)>, fn(&'m (K, V)) -> (&'m K, &'m V)>;

/// A map, sorted by its keys.
#[derive(Clone)]
pub struct BTreeMap<K, V> {
    first: Vec<(K, V)>,
    /// More of them, none empty.
    rest: Vec<Vec<(K, V)>>,
}

/// Where an entry stands, or where it would: which vector, and which entry of it.
type Place = (usize, usize);

impl<K, V> BTreeMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        BTreeMap {
            first: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.rest
            .iter()
            .fold(self.first.len(), |sum, list| sum.saturating_add(list.len()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.rest.is_empty()
    }

    /// The entries, in the keys' order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        let rest = self.rest.iter().flatten();
        let all = self.first.iter().chain(rest);
        all.map(|(key, value)| (key, value))
    }

    /// The entries with their values to change, in the keys' order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let rest = self.rest.iter_mut().flatten();
        let all = self.first.iter_mut().chain(rest);
        all.map(|(key, value)| (&*key, value))
    }

    /// The keys in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the keys' order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// The values, to change, in the keys' order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.iter_mut().map(|(_, value)| value)
    }

    /// The values themselves, in the keys' order.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.into_iter().map(|(_, value)| value)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        *self = BTreeMap::new();
    }

    fn list(&self, at: usize) -> Option<&Vec<(K, V)>> {
        match at.checked_sub(1) {
            None => Some(&self.first),
            Some(at) => self.rest.get(at),
        }
    }

    fn list_mut(&mut self, at: usize) -> Option<&mut Vec<(K, V)>> {
        match at.checked_sub(1) {
            None => Some(&mut self.first),
            Some(at) => self.rest.get_mut(at),
        }
    }

    fn at_mut(&mut self, (list, at): Place) -> Option<&mut V> {
        let (_, value) = self.list_mut(list)?.get_mut(at)?;
        Some(value)
    }

    /// Puts an entry where [`BTreeMap::find`] says that it is missing; gives where it stands then.
    fn put(&mut self, (mut list, mut at): Place, key: K, value: V) -> Place {
        let Some(entries) = self.list_mut(list) else {
            return (list, at);
        };
        if entries.len() >= MOST {
            // At its end, most likely, as with keys that come in order: then the new one begins another.
            let cut = if at == entries.len() { at } else { MOST / 2 };
            let half = entries.split_off(cut);
            self.rest.insert(list, half);
            if at >= cut {
                list = list.saturating_add(1);
                at = at.saturating_sub(cut);
            }
        }
        if let Some(entries) = self.list_mut(list) {
            entries.insert(at, (key, value));
        }
        (list, at)
    }
}

impl<K: Ord, V> BTreeMap<K, V> {
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
    {
        let list = if self.rest.is_empty() {
            0
        } else {
            // The last one that begins at the key or before it.
            self.rest.partition_point(|entries| {
                let first = entries.first();
                first.is_some_and(|(first, _)| first.borrow() <= key)
            })
        };
        let entries = self.list(list).map_or(&[][..], Vec::as_slice);
        let (mut low, mut high) = (0, entries.len());
        while low < high {
            let middle = low.midpoint(high);
            let Some((known, _)) = entries.get(middle) else {
                break;
            };
            match known.borrow().cmp(key) {
                Ordering::Less => low = middle.saturating_add(1),
                Ordering::Equal => return Ok((list, middle)),
                Ordering::Greater => high = middle,
            }
        }
        Err((list, low))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (list, at) = self.find(key).ok()?;
        let (_, value) = self.list(list)?.get(at)?;
        Some(value)
    }

    /// The value of a key, to change.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key).ok()?;
        self.at_mut(place)
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets the value of a key; gives the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(place) => self
                .at_mut(place)
                .map(|known| std::mem::replace(known, value)),
            Err(place) => {
                self.put(place, key, value);
                None
            }
        }
    }

    /// Takes out a key.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (list, at) = self.find(key).ok()?;
        let entries = self.list_mut(list)?;
        let (_, value) = entries.remove(at);
        if entries.is_empty()
            && let Some(list) = list.checked_sub(1)
        {
            self.rest.remove(list);
        }
        Some(value)
    }

    /// The entry of a key, there or not.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        let found = self.find(&key);
        Entry {
            map: self,
            key,
            found,
        }
    }
}

/// The entry of a key, there or not.
#[derive(Debug)]
pub struct Entry<'m, K, V> {
    map: &'m mut BTreeMap<K, V>,
    key: K,
    found: Result<Place, Place>,
}

impl<'m, K, V> Entry<'m, K, V> {
    /// The key's value; the one that is made, where there was none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'m mut V {
        let place = match self.found {
            Ok(place) => place,
            Err(place) => self.map.put(place, self.key, make()),
        };
        match self.map.at_mut(place) {
            Some(value) => value,
            // `put` has just put it there.
            None => std::process::abort(),
        }
    }

    /// The key's value; the given one, where there was none.
    pub fn or_insert(self, value: V) -> &'m mut V {
        self.or_insert_with(|| value)
    }

    /// The key's value; an empty one, where there was none.
    pub fn or_default(self) -> &'m mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for BTreeMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for BTreeMap<K, V> {}

impl<K: Debug, V: Debug> Debug for BTreeMap<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V> Default for BTreeMap<K, V> {
    fn default() -> Self {
        BTreeMap::new()
    }
}

impl<K, V> IntoIterator for BTreeMap<K, V> {
    type Item = (K, V);
    type IntoIter = Chain<vec::IntoIter<(K, V)>, Flatten<vec::IntoIter<Vec<(K, V)>>>>;

    fn into_iter(self) -> Self::IntoIter {
        let rest = self.rest.into_iter().flatten();
        self.first.into_iter().chain(rest)
    }
}

impl<'m, K, V> IntoIterator for &'m BTreeMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord, V> Extend<(K, V)> for BTreeMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, items: I) {
        for (key, value) in items {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for BTreeMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let mut map = BTreeMap::new();
        map.extend(items);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for BTreeMap<K, V> {
    fn from(items: [(K, V); N]) -> Self {
        items.into_iter().collect()
    }
}

/// The items of a set in their order.
pub type Items<'s, T> = Map<Iter<'s, T, ()>, fn((&'s T, &'s ())) -> &'s T>;

/// A set, sorted.
#[derive(Clone, PartialEq, Eq)]
pub struct BTreeSet<T> {
    map: BTreeMap<T, ()>,
}

impl<T> BTreeSet<T> {
    /// An empty set.
    pub const fn new() -> Self {
        BTreeSet {
            map: BTreeMap::new(),
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The items in their order.
    pub fn iter(&self) -> Items<'_, T> {
        self.map.iter().map(|(item, ())| item)
    }

    /// The least.
    pub fn first(&self) -> Option<&T> {
        self.iter().next()
    }
}

impl<T: Ord> BTreeSet<T> {
    /// Whether it holds an item.
    pub fn contains<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.contains_key(item)
    }

    /// Puts an item in; whether it was missing.
    pub fn insert(&mut self, item: T) -> bool {
        self.map.insert(item, ()).is_none()
    }

    /// Takes an item out; whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.remove(item).is_some()
    }
}

impl<T: Debug> Debug for BTreeSet<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T> Default for BTreeSet<T> {
    fn default() -> Self {
        BTreeSet::new()
    }
}

impl<T> IntoIterator for BTreeSet<T> {
    type Item = T;
    type IntoIter = Map<<BTreeMap<T, ()> as IntoIterator>::IntoIter, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.map.into_iter().map(|(item, ())| item)
    }
}

impl<'s, T> IntoIterator for &'s BTreeSet<T> {
    type Item = &'s T;
    type IntoIter = Items<'s, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Ord> Extend<T> for BTreeSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.insert(item);
        }
    }
}

impl<T: Ord> FromIterator<T> for BTreeSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut set = BTreeSet::new();
        set.extend(items);
        set
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for BTreeSet<T> {
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
            let (mut ours, mut theirs) = (BTreeMap::new(), Known::new());
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
            let map: BTreeMap<u32, u32> = (0..count).map(|n| (key(n), n)).collect();
            assert_eq!(map.len(), 200_000);
            assert!((0..count).all(|n| map.get(&key(n)) == Some(&n)));
        }
    }
}
