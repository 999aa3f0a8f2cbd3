//! Texts of a body. The texts of known data, which has come before, form a group: their values and names are the same
//! again, so that they can be processed together.

use super::{Class, Text, naming};
use crate::wire::json::{JsonBody, Value};
use crate::wire::span::{index, offset};
use std::ops::{Deref, Range};

/// All texts of a body, in the order of their bytes.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    all: Vec<Text>,
    known: Vec<KnownTexts>,
}

/// Texts of data that has come before.
#[derive(Clone, Debug)]
pub struct KnownTexts {
    /// Indices of the texts.
    pub texts: Range<u32>,
    /// Number of the data. The same number means the same values and names.
    pub data: u64,
    /// Class of each text.
    pub class: Class,
    length: usize,
    is_changed: bool,
}

/// Consecutive texts of a body.
#[derive(Clone, Debug)]
pub enum TextGroup<'t> {
    /// Texts of data that has come before.
    Known(&'t KnownTexts),
    /// Other texts, by their indices.
    Others(Range<u32>),
}

impl Texts {
    /// Reserves capacity for more texts.
    pub fn reserve(&mut self, more: usize) {
        self.all.reserve(more);
    }

    /// Adds a text.
    #[inline]
    pub fn push(&mut self, text: Text) {
        self.all.push(text);
    }

    /// Adds the texts in a value, each with its names, and returns them. `class` is the class of the value's location.
    pub fn add(&mut self, value: Value<'_>, class: Class) -> &[Text] {
        let before = self.all.len();
        if let Some((data, length)) = naming::add_texts(value, class, &mut self.all) {
            self.known.push(KnownTexts {
                texts: offset(before)..offset(self.all.len()),
                data,
                class,
                length,
                is_changed: false,
            });
        }
        self.all.get(before..).unwrap_or_default()
    }

    /// Changes a text. Its data's texts are no longer a known group.
    pub fn change<T>(&mut self, number: u32, change: impl FnOnce(&mut Text) -> T) -> Option<T> {
        let text = self.all.get_mut(index(number))?;
        let is_before = |known: &KnownTexts| known.texts.start <= number;
        let after = self.known.partition_point(is_before);
        let known = after.checked_sub(1).and_then(|at| self.known.get_mut(at));
        if let Some(known) = known {
            known.is_changed |= known.texts.contains(&number);
        }
        Some(change(text))
    }

    /// Returns the texts with these numbers.
    pub fn of(&self, numbers: Range<u32>) -> &[Text] {
        let texts = self.all.get(index(numbers.start)..index(numbers.end));
        texts.unwrap_or_default()
    }

    /// Visits the texts with these numbers in groups of known data and of other texts.
    pub fn each_group(&self, numbers: Range<u32>, visit: &mut dyn FnMut(TextGroup<'_>)) {
        let is_before = |known: &KnownTexts| known.texts.start < numbers.start;
        let first = self.known.partition_point(is_before);
        let mut at = numbers.start;
        let known = self.known.iter().skip(first);
        let inside = known.take_while(|known| known.texts.end <= numbers.end);
        for known in inside.filter(|known| !known.is_changed) {
            visit(TextGroup::Others(at..known.texts.start));
            visit(TextGroup::Known(known));
            at = known.texts.end;
        }
        visit(TextGroup::Others(at..numbers.end));
    }

    /// Returns the length of all texts in bytes; strings count with their quotes.
    pub fn length(&self, json: &JsonBody<'_>) -> usize {
        let mut length = 0usize;
        self.each_group(0..offset(self.all.len()), &mut |group| {
            length = length.saturating_add(match group {
                TextGroup::Known(known) => known.length,
                TextGroup::Others(texts) => {
                    json.length(self.of(texts).iter().map(|text| text.place))
                }
            });
        });
        length
    }
}

impl Deref for Texts {
    type Target = [Text];

    fn deref(&self) -> &[Text] {
        &self.all
    }
}

impl<'t> IntoIterator for &'t Texts {
    type Item = &'t Text;
    type IntoIter = std::slice::Iter<'t, Text>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Limits;

    /// Returns the texts of a value that has come before, between two others.
    fn texts() -> Texts {
        let json = format!(
            "{{\"ssn\":\"{}\",\"path\":[\"a\",1234567]}}",
            "-".repeat(100)
        );
        let body = JsonBody::scan(json.as_bytes(), Limits { max_depth: 8 }, 0).unwrap();
        let body = body.body().unwrap();
        let mut texts = Texts::default();
        for _ in 0..3 {
            texts = Texts::default();
            let other = body.root().get("ssn").unwrap();
            texts.add(other, Class::Name);
            texts.add(body.root(), Class::Text);
            texts.add(other, Class::Name);
        }
        texts
    }

    fn groups(texts: &Texts, numbers: Range<u32>) -> Vec<String> {
        let mut groups = Vec::new();
        texts.each_group(numbers, &mut |group| match group {
            TextGroup::Known(known) => groups.push(format!("known {:?}", known.texts)),
            TextGroup::Others(others) if others.is_empty() => {}
            TextGroup::Others(others) => groups.push(format!("{others:?}")),
        });
        groups
    }

    #[test]
    fn texts_of_known_data_are_a_group_unless_one_was_changed() {
        let mut texts = texts();
        assert_eq!(texts.len(), 7);
        assert_eq!(
            groups(&texts, 0..7),
            ["known 0..1", "known 1..6", "known 6..7"]
        );
        assert_eq!(groups(&texts, 1..5), ["1..5"]);
        assert_eq!(groups(&texts, 2..7), ["2..6", "known 6..7"]);
        texts.change(3, |text| text.is_data = true);
        assert_eq!(groups(&texts, 0..7), ["known 0..1", "1..6", "known 6..7"]);
        assert!(texts.change(7, |_| ()).is_none());
    }

    #[test]
    fn the_length_of_known_texts_is_that_of_each() {
        let json = r#"{"ssn":"536-22-8726","path":["a",1234567,true]}"#;
        let body = JsonBody::scan(json.as_bytes(), Limits { max_depth: 8 }, 0).unwrap();
        let root = body.body().unwrap();
        let lengths = [(); 3].map(|()| {
            let mut texts = Texts::default();
            texts.add(root.root(), Class::Text);
            texts.length(&body)
        });
        let each: usize = ["\"ssn\"", "\"536-22-8726\"", "\"path\"", "\"a\"", "1234567"]
            .iter()
            .map(|text| text.len())
            .sum();
        assert_eq!(lengths, [each; 3]);
    }
}
