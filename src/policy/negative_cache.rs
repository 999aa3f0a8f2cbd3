//! Cache of texts in which nothing was found. An agent sends its whole conversation with every request: instructions,
//! tools' schemas and all turns but the last have been scanned before, and need not be scanned again.
//!
//! Short texts are kept as they are, longer ones as a [keyed hash](TextHash). A cached text costs an exchange as many steps
//! of its work budget as its scan took, so that the same exchange always gets the same decision.

use super::scalar::Spelling;
use super::text_hash::TextHash;
use super::text_scan::MatchKinds;
use crate::event::{Direction, Event, Form, Reading, Text, TextGroup};
use crate::wire::json::{JsonBody, NodeId};
use crate::wire::slot_hash;
use crate::wire::span::Span;
use std::ops::Range;

/// Bytes of a slot without its steps. With them a slot fills one cache line of the processor.
const BYTES: usize = 60;

/// Bytes of the flags and the two lengths.
const HEAD: usize = 3;

/// Bytes of a text's hash with its length.
const HASH: usize = 24;

/// Maximum distance of values and keys between which several texts may lie, a number of 20 bits; and the bit after these,
/// which marks that there is a name.
const VALUES: u32 = 1 << 20;
const IS_NAMED: u64 = 1 << 20;

/// Mark beside the number of several texts: they are known data.
const IS_KNOWN: u64 = 1 << 63;

/// Flag of several texts, which no single text has.
const TOGETHER: u8 = 0x80;

/// Flag of a text that was not decoded. It shares a byte with the length of the name, which is shorter than a slot.
const ESCAPED: u8 = 0x80;

/// Number of sets, and of slots in a set: about the different texts of the tools and turns of some dozens of conversations.
/// Together they take 128 KiB.
const SETS: usize = 512;
const WAYS: usize = 4;

/// Texts in which the scans of one policy found nothing, in sets by hash, the latest ones first. The oldest text of a full
/// set is dropped.
#[derive(Debug)]
pub(crate) struct NegativeCache {
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    text: CachedMiss,
    /// Steps that the scan of the text took.
    steps: u32,
}

/// Key of the cache. For one text: flags, the lengths of the text and of its name, the text or its hash, the name, zeros.
/// For several texts that lie together: flags, two zero bytes, the hash of what identifies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CachedMiss([u8; BYTES]);

impl Default for NegativeCache {
    fn default() -> Self {
        Self {
            slots: vec![
                Slot {
                    text: CachedMiss([0; BYTES]),
                    steps: 0
                };
                SETS.saturating_mul(WAYS)
            ],
        }
    }
}

impl NegativeCache {
    /// Returns the steps that the scan of a text took, if it is known.
    pub(crate) fn steps_of(&self, text: &CachedMiss) -> Option<u64> {
        let mut set = self.slots.get(text.set())?.iter();
        let slot = set.find(|slot| slot.text == *text)?;
        Some(slot.steps.into())
    }

    pub(crate) fn keep(&mut self, text: CachedMiss, steps: u64) {
        if let Some(set) = self.slots.get_mut(text.set())
            && let Ok(steps) = u32::try_from(steps)
        {
            slot_hash::push(set, Slot { text, steps });
        }
    }
}

impl CachedMiss {
    /// Returns the key of a text; `None` if it is too long. `is_data`: if the text is JSON or HTML, its values are scanned
    /// under their names.
    pub(crate) fn new(
        spelling: &Spelling<'_>,
        key: Option<&str>,
        is_data: bool,
        wants: MatchKinds,
        hash: Option<&TextHash>,
    ) -> Option<Self> {
        let (text, is_escaped) = (spelling.bytes(), matches!(spelling, Spelling::Escaped(_)));
        let name = key.unwrap_or_default();
        let is_long = HEAD.saturating_add(text.len()).saturating_add(name.len()) > BYTES;
        let hashed;
        let bytes = match hash {
            Some(hash) if is_long => {
                hashed = hash.of(text);
                &hashed
            }
            _ => text,
        };
        let flags = [true, is_long, key.is_some(), is_data];
        let flags =
            flags.iter().fold(0, |all, flag| all << 1 | u8::from(*flag)) << 3 | wants.flags();
        let mut slot = [0; BYTES];
        let (head, rest) = slot.split_first_chunk_mut::<HEAD>()?;
        *head = [
            flags,
            u8::try_from(bytes.len()).ok()?,
            u8::try_from(name.len()).ok()? | if is_escaped { ESCAPED } else { 0 },
        ];
        let (place, rest) = rest.split_at_mut_checked(bytes.len())?;
        place.copy_from_slice(bytes);
        rest.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self(slot))
    }

    /// Returns the key of several texts. Texts of [known data](crate::event::KnownTexts) are identified by its number,
    /// others by the bytes that contain them and their names, and by which values in these bytes they are. Returns `None`
    /// if the others are not in one document, or their bytes exceed `most`, which is reduced by these bytes.
    pub(crate) fn of_texts(
        event: &Event,
        reading: &Reading,
        json: &JsonBody<'_>,
        wants: MatchKinds,
        hash: &TextHash,
        words: &mut Vec<[u8; 8]>,
        most: &mut usize,
    ) -> Option<Self> {
        words.clear();
        let mut are_known = true;
        reading.texts.each_group(event.texts.clone(), &mut |group| {
            let others = match group {
                TextGroup::Known(known) => {
                    let is_data = u64::from(known.class.may_be_data(event.direction)) << 32;
                    let count = u64::try_from(known.texts.len()).unwrap_or_default();
                    let head = IS_KNOWN | is_data | count;
                    return words.extend([head, known.data].map(u64::to_le_bytes));
                }
                TextGroup::Others(texts) => reading.texts.of(texts),
            };
            are_known =
                are_known && add_words(others, json, event.direction, hash, words, most).is_some();
        });
        if !are_known {
            return None;
        }
        let mut slot = [0; BYTES];
        let (head, rest) = slot.split_first_chunk_mut::<HEAD>()?;
        head[0] = TOGETHER | wants.flags();
        rest.get_mut(..HASH)?
            .copy_from_slice(&hash.of(words.as_flattened()));
        Some(Self(slot))
    }

    /// Returns the range of the slots of the key's set.
    fn set(&self) -> Range<usize> {
        // The last four bytes are not part of the hash; few texts reach them.
        let (words, _) = self.0.as_chunks::<8>();
        let set = slot_hash::slot(slot_hash::mix(0, words.iter()), SETS);
        let first = set.saturating_mul(WAYS);
        first..first.saturating_add(WAYS)
    }
}

/// Adds what identifies the texts beside known data: their number, their values, counted from the first, and the hash of
/// the bytes that contain them and their names.
fn add_words(
    texts: &[Text],
    json: &JsonBody<'_>,
    direction: Direction,
    hash: &TextHash,
    words: &mut Vec<[u8; 8]>,
    most: &mut usize,
) -> Option<()> {
    let Some(reference) = texts.first().map(|text| text.place) else {
        return Some(());
    };
    let (mut first, mut last) = (reference.node, reference.node);
    let mut is_one_document = true;
    let mut at = |place: NodeId| {
        is_one_document &= place.doc == reference.doc;
        first = first.min(place.node);
        last = last.max(place.node);
        u64::from(place.node.wrapping_sub(reference.node) & (VALUES - 1))
    };
    words.push(u64::try_from(texts.len()).ok()?.to_le_bytes());
    words.extend(texts.iter().map(|text| {
        let mut value = at(text.place);
        if let Some(key) = text.key() {
            value |= IS_NAMED << 20 | at(key) << 20;
        }
        if let Some(over) = text.over() {
            value |= IS_NAMED << 41 | at(over) << 41;
        }
        value |= u64::from(text.form == Form::Number) << 62;
        value |= u64::from(text.may_be_data(direction)) << 63;
        value.to_le_bytes()
    }));
    if !is_one_document || last.checked_sub(first)? >= VALUES {
        return None;
    }
    let doc = json.doc(reference.doc)?;
    let bytes = Span {
        start: doc.value(first).span().start,
        end: doc.value(last).span().end,
    };
    *most = most.checked_sub(bytes.len())?;
    words.extend_from_slice(hash.of(bytes.of(doc.bytes())).as_chunks().0);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Spelling<'_> {
        Spelling::Plain(text.into())
    }

    #[test]
    fn a_text_is_kept_with_its_name_and_with_what_was_looked_for() {
        let new =
            |text, key, wants| CachedMiss::new(&plain(text), key, false, wants, None).unwrap();
        let kept = new("string", Some("type"), MatchKinds::LITERALS);
        let mut blanks = NegativeCache::default();
        assert!(blanks.steps_of(&kept).is_none());
        blanks.keep(kept, 7);
        assert_eq!(blanks.steps_of(&kept), Some(7));
        let others = [
            ("string", Some("type"), MatchKinds::DETECTORS),
            ("string", Some("kind"), MatchKinds::LITERALS),
            ("string", None, MatchKinds::LITERALS),
            ("strin", Some("gtype"), MatchKinds::LITERALS),
            ("string\0", Some("type"), MatchKinds::LITERALS),
            ("", None, MatchKinds::default()),
        ];
        for (text, key, wants) in others {
            let other = new(text, key, wants);
            assert!(
                blanks.steps_of(&other).is_none(),
                "{text:?} {key:?} {wants:?}"
            );
        }
        let data = CachedMiss::new(
            &plain("string"),
            Some("type"),
            true,
            MatchKinds::LITERALS,
            None,
        );
        assert!(blanks.steps_of(&data.unwrap()).is_none());
        let escaped = Spelling::Escaped(b"string");
        let escaped = CachedMiss::new(&escaped, Some("type"), false, MatchKinds::LITERALS, None);
        assert!(blanks.steps_of(&escaped.unwrap()).is_none());
    }

    #[test]
    fn what_takes_another_s_slot_is_not_taken_for_it() {
        let mut blanks = NegativeCache::default();
        for number in 0..10 * SETS * WAYS {
            let text = number.to_string();
            let blank =
                CachedMiss::new(&plain(&text), None, false, MatchKinds::DETECTORS, None).unwrap();
            assert!(blanks.steps_of(&blank).is_none(), "{number}");
            blanks.keep(blank, number as u64);
            assert_eq!(blanks.steps_of(&blank), Some(number as u64));
        }
    }

    #[test]
    fn long_texts_are_kept_as_their_hash() {
        let hash = TextHash::new(&[7; 32]);
        let new = |text: &str, key| {
            CachedMiss::new(&plain(text), key, false, MatchKinds::DETECTORS, Some(&hash)).unwrap()
        };
        let long = "a".repeat(100 * BYTES);
        let mut blanks = NegativeCache::default();
        for length in 0..=long.len() {
            let text = "a".repeat(length);
            let kept = new(&text, Some("content"));
            assert!(blanks.steps_of(&kept).is_none(), "{length}");
            blanks.keep(kept, 7);
            assert!(
                blanks.steps_of(&new(&text, Some("content"))).is_some(),
                "{length}"
            );
            assert!(blanks.steps_of(&new(&text, None)).is_none(), "{length}");
        }
        // The key of a long text must not equal that of a short text with the same bytes.
        let length = usize::from(new(&long, None).0[1]);
        let twin: String = new(&long, None).0[HEAD..HEAD + length]
            .iter()
            .map(|byte| char::from(byte & 0x7F))
            .collect();
        assert_ne!(new(&long, None).0[0], new(&twin, None).0[0]);
    }

    #[test]
    fn long_texts_are_not_kept_without_a_hash_and_under_long_names() {
        let long = "a".repeat(BYTES);
        let hash = TextHash::new(&[7; 32]);
        let is_kept = |text: &str, key, hash| {
            CachedMiss::new(&plain(text), key, false, MatchKinds::DETECTORS, hash).is_some()
        };
        for len in 0..=BYTES {
            assert_eq!(
                is_kept(&"a".repeat(len), None, None),
                len <= BYTES - HEAD,
                "{len}"
            );
        }
        assert!(!is_kept("a", Some(&long), None));
        assert!(!is_kept("a", Some(&long), Some(&hash)));
        assert!(!is_kept(&long, Some(&long), Some(&hash)));
        assert!(is_kept(&long, Some("a"), Some(&hash)));
    }
}
