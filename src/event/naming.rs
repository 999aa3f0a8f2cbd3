//! Names of values in data. A value's name is mostly its key, but also the column of a table, the name beside it in a
//! pair, or the name of an object with this single value.
//!
//! `{"columns": ["id", "ssn"], "rows": [[1, "…"]]}`, `[["id", "ssn"], [1, "…"]]`, `{"name": "SSN", "value": "…"}`,
//! `{"ssn": {"value": "…"}}`, `{"passport": {"number": "…"}}`. One walk derives all names from the structure.

use super::name_cache::{self, Known, KnownName, KnownNames};
use super::{Class, Text};
use crate::wire::json::{Value, ValueKind, decode};
use crate::wire::work;
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// A value or a key with its name.
#[derive(Clone, Copy, Debug)]
pub struct NamedNode<'v> {
    /// The value, or the key as a string.
    pub value: Value<'v>,
    /// Whether it is an object's key.
    pub is_key: bool,
    /// The name; keys have none.
    pub name: NodeName<'v>,
}

/// The name of a value.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeName<'v> {
    /// The nearest name.
    pub nearest: Option<Value<'v>>,
    /// The outer name that qualifies a weak one: `account` for its `number`.
    pub over: Option<Value<'v>>,
    /// Whether `nearest` is the key immediately before the value in the bytes.
    pub is_own: bool,
}

impl<'v> NodeName<'v> {
    fn own(key: Value<'v>) -> Self {
        NodeName {
            nearest: Some(key),
            over: None,
            is_own: true,
        }
    }

    /// Returns the text of the name, with the outer name before a weak one.
    #[inline(never)]
    pub fn words(self) -> Option<Cow<'v, str>> {
        let nearest = ending(self.nearest?)?;
        Some(match self.over.and_then(ending) {
            Some(over) => Cow::Owned(format!("{over} {nearest}")),
            None => nearest,
        })
    }

    /// Returns the same name for a value that does not directly follow it.
    fn detached(self) -> Self {
        NodeName {
            is_own: false,
            ..self
        }
    }

    fn from_member(name: Value<'v>, over: Option<Value<'v>>) -> Self {
        NodeName {
            nearest: Some(name),
            over,
            is_own: false,
        }
    }
}

/// Maximum bytes of a name that are read, from its end. Words further before a value are no context words.
const MAX_READ_BYTES: usize = 256;

/// Returns the end of a name. Thousands of values may have the same name, and it is read for each of them.
fn ending(name: Value<'_>) -> Option<Cow<'_, str>> {
    let raw = name.raw_content();
    match raw.len().checked_sub(MAX_READ_BYTES) {
        Some(from) if name.kind() == ValueKind::String => raw.get(from..).map(decode),
        _ => name.text(),
    }
}

/// List of lower-case words that names are compared with, with their first letters and lengths: nearly every name
/// differs in one of these.
pub(crate) struct WordList {
    pub(crate) all: &'static [&'static str],
    /// The lowest five bits of each first letter, in either case.
    firsts: u32,
    /// Bit set of the words' lengths, up to 63 bytes.
    lengths: u64,
}

impl WordList {
    const fn new(all: &'static [&'static str]) -> WordList {
        let mut words = WordList {
            all,
            firsts: 0,
            lengths: 0,
        };
        let mut rest = all;
        while let [word, others @ ..] = rest {
            if let [first, ..] = word.as_bytes() {
                words.firsts |= WordList::first(*first);
            }
            words.lengths |= 1 << word.len();
            rest = others;
        }
        words
    }

    const fn first(letter: u8) -> u32 {
        1u32.wrapping_shl((letter & 0x1F) as u32)
    }

    /// Returns whether a word may begin with this letter.
    fn may_begin(&self, letter: u8) -> bool {
        self.firsts & WordList::first(letter) != 0
    }

    /// Returns the index of the word that equals a key, ignoring case.
    #[inline(never)]
    fn rank(&self, key: Value<'_>) -> Option<usize> {
        let key = key.raw_content();
        let [first, ..] = key else { return None };
        let length = u32::try_from(key.len()).ok()?;
        if !self.may_begin(*first)
            || self
                .lengths
                .checked_shr(length)
                .is_none_or(|rest| rest & 1 == 0)
        {
            return None;
        }
        let first = first | 0x20;
        self.all.iter().position(|word| {
            word.len() == key.len()
                && word.as_bytes().first() == Some(&first)
                && key.eq_ignore_ascii_case(word.as_bytes())
        })
    }

    fn holds(&self, key: Value<'_>) -> bool {
        self.rank(key).is_some()
    }

    /// Returns whether a name contains one of the words, ignoring case. Longer texts than names are not searched: each
    /// nested list searches the name around it.
    #[inline(never)]
    fn part_of(&self, name: Value<'_>) -> bool {
        let name = name.raw_content();
        if name.len() > MAX_NAME_BYTES {
            return false;
        }
        work::spend(name.len().saturating_mul(self.all.len()));
        (0..name.len()).any(|at| {
            let rest = name.get(at..).unwrap_or_default();
            rest.first().is_some_and(|byte| self.may_begin(*byte))
                && self.all.iter().any(|word| {
                    let first = rest.first().map(|byte| byte | 0x20);
                    word.as_bytes().first() == first.as_ref()
                        && rest
                            .get(..word.len())
                            .is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
                })
        })
    }
}

/// Members that name the value beside them. Of several, the first in this list counts.
pub(crate) static NAME_MEMBERS: WordList = WordList::new(&[
    "label",
    "title",
    "question",
    "displayname",
    "name",
    "column_name",
    "key",
    "field",
    "property",
    "attribute",
    "variable",
    "column",
    "code",
    "id",
    "type",
    "system",
]);

/// Index of the first weak member name. Weak names give way to the name of the object around them.
const FIRST_WEAK_MEMBER: usize = 12;

/// Members that hold the value of a pair, or the single value of the object around them.
static VALUE_MEMBERS: WordList = WordList::new(&[
    "value",
    "values",
    "val",
    "v",
    "answer",
    "response",
    "text",
    "content",
    "plain_text",
    "raw",
    "s",
    "n",
    "stringvalue",
    "integervalue",
    "longvalue",
    "varcharvalue",
    "rich_text",
    "#text",
    "$t",
]);

/// Weak names, which need the name of the object around them.
static WEAK_NAMES: WordList = WordList::new(&["number", "no", "num"]);

/// Parts of the names of members that list the columns of a table.
static COLUMN_WORDS: WordList = WordList::new(&[
    "column", "field", "header", "schema", "cols", "names", "titles", "rowtype", "meta",
]);
/// Parts of the names of members that list the rows of a table.
static ROW_WORDS: WordList = WordList::new(&["row", "value", "data", "cell", "record", "table"]);

/// Maximum bytes of a name.
const MAX_NAME_BYTES: usize = 80;
/// Maximum columns of a table with names.
const MAX_COLUMNS: usize = 256;
/// Maximum members of an object that are searched for a name.
const MAX_SEARCHED_MEMBERS: usize = 16;
/// Maximum depth of the member that lists the columns: `manifest.schema.columns`.
const MAX_SEARCH_DEPTH: usize = 3;

/// The member that names the values of an object, and its index in [`NAME_MEMBERS`].
type NameMember<'v> = Option<(usize, Value<'v>)>;

/// Work steps for naming a value.
const NAMED: usize = 8;

/// Container that the walk is inside of.
struct WalkedContainer<'v> {
    /// Index of the node after it.
    end: u32,
    /// The name of the container.
    name: NodeName<'v>,
    /// The name of the next value in it, if it is an object.
    next: NodeName<'v>,
    /// The container itself.
    value: Value<'v>,
    /// Member that names its values, once it was looked up.
    told: Option<NameMember<'v>>,
    /// The range of its columns among all column names, and the number of columns outside it.
    columns: Range<usize>,
    names: usize,
    is_array: bool,
    /// Index of the next cell, if the container is a row.
    cell: Option<usize>,
    /// Whether its elements are pairs of a name and a value.
    has_pairs: bool,
    /// Whether it is inside an array that may contain rows of the table.
    is_below: bool,
}

/// Calls `visit` with a value and with all values and keys inside it, in the order of the bytes.
pub fn each_named<'v>(root: Value<'v>, visit: &mut dyn FnMut(NamedNode<'v>)) {
    let Some(known) = known_names(root) else {
        return walk(root, visit);
    };
    for (node, name) in root.descendants().zip(known.names()) {
        visit(NamedNode {
            value: node.value,
            is_key: node.is_key,
            name: name.in_data(root),
        });
    }
}

/// Adds the texts in a value, each with its names. `class` is the class of the value's location. If the value has come
/// before, returns the number of the data and the length of its texts.
pub(super) fn add_texts(
    root: Value<'_>,
    class: Class,
    texts: &mut Vec<Text>,
) -> Option<(u64, usize)> {
    let Some(known) = known_names(root) else {
        walk(root, &mut |named| texts.extend(Text::named(named, class)));
        return None;
    };
    known.add_texts(root.place(), class, texts);
    Some((known.id, known.length))
}

/// Returns the names in a value that has come before.
fn known_names(root: Value<'_>) -> Option<Rc<KnownNames>> {
    let known = match name_cache::look_up(root) {
        Known::Names(known) => known,
        Known::Again(again) => {
            let mut names = Vec::new();
            let ((), steps) = work::count(|| {
                walk(root, &mut |named| names.extend(KnownName::of(named, root)));
            });
            name_cache::keep(root, again, names, steps)?
        }
        Known::Nothing => return None,
    };
    work::spend_known(known.steps);
    Some(known)
}

/// Derives the names from the structure.
pub(super) fn walk<'v>(root: Value<'v>, visit: &mut dyn FnMut(NamedNode<'v>)) {
    let mut columns: Vec<Value<'v>> = Vec::new();
    let mut around: Vec<WalkedContainer<'v>> = Vec::new();
    let lists_columns = may_list_columns(root);
    for node in root.descendants() {
        work::spend(NAMED);
        let value = node.value;
        let at = value.place().node;
        while let Some(outer) = around.pop_if(|outer| outer.end <= at) {
            columns.truncate(outer.names);
        }
        let mut outer = around.last_mut();
        if node.is_key {
            if let Some(object) = &mut outer {
                object.next = object.name_under(value);
            }
            visit(NamedNode {
                value,
                is_key: true,
                name: NodeName::default(),
            });
            continue;
        }
        let name = match &mut outer {
            Some(outer) => outer.name_of_next(&columns),
            None => NodeName::default(),
        };
        visit(NamedNode {
            value,
            is_key: false,
            name,
        });
        let inner = match value.kind() {
            ValueKind::Object => {
                let first = columns.len();
                let mut object = WalkedContainer::new(value, name, outer.as_deref(), first);
                if lists_columns && list_columns(value, MAX_SEARCH_DEPTH, &mut columns) {
                    object.columns = first..columns.len();
                    object.is_below = false;
                }
                object
            }
            ValueKind::Array => WalkedContainer::array(value, name, outer.as_deref(), &mut columns),
            _ => continue,
        };
        around.push(inner);
    }
}

impl<'v> WalkedContainer<'v> {
    fn new(value: Value<'v>, name: NodeName<'v>, outer: Option<&Self>, names: usize) -> Self {
        WalkedContainer {
            end: value.end_node(),
            name: name.detached(),
            next: NodeName::default(),
            value,
            told: None,
            columns: outer.map_or(0..0, |outer| outer.columns.clone()),
            names,
            is_array: false,
            cell: None,
            has_pairs: false,
            is_below: outer.is_some_and(|outer| outer.is_below),
        }
    }

    #[inline(never)]
    fn array(
        value: Value<'v>,
        name: NodeName<'v>,
        outer: Option<&Self>,
        columns: &mut Vec<Value<'v>>,
    ) -> Self {
        let first = columns.len();
        let mut array = WalkedContainer::new(value, name, outer, first);
        array.is_array = true;
        array.is_below = true;
        let holds_rows = name.nearest.is_none_or(|name| ROW_WORDS.part_of(name));
        let is_inside = outer.is_some_and(|outer| outer.is_below) || holds_rows;
        let count = value.elements().count();
        if count == array.columns.len() && count > 0 && is_inside {
            array.cell = Some(array.columns.start);
            return array;
        }
        let mut elements = value.elements();
        if outer.is_some_and(|outer| outer.has_pairs)
            && count == 2
            && let Some(name) = value.element(0).filter(|head| is_name(*head))
        {
            array.cell = Some(first);
            columns.extend([name, name]);
            array.columns = first..columns.len();
            return array;
        }
        // The first row may name the columns.
        if let (Some(head), Some(row)) = (elements.next(), elements.next()) {
            let width = row.elements().count();
            let is_known = width == array.columns.len();
            if (2..=MAX_COLUMNS).contains(&width) && !is_known && head.elements().count() == width {
                array.has_pairs = width == 2 && !holds_rows;
                if !array.has_pairs && head.elements().all(is_name) {
                    columns.extend(head.elements());
                    array.columns = first..columns.len();
                }
            }
        }
        array
    }

    /// Returns the name of the value of a key in this object.
    #[inline(never)]
    fn name_under(&mut self, key: Value<'v>) -> NodeName<'v> {
        let over = self.name.nearest;
        if VALUE_MEMBERS.holds(key) {
            let object = self.value;
            let told = *self.told.get_or_insert_with(|| name_member(object, 1));
            return match (told, over) {
                (Some((FIRST_WEAK_MEMBER.., told)), Some(name)) => {
                    NodeName::from_member(name, Some(told))
                }
                (Some((_, told)), _) => NodeName::from_member(told, over),
                (None, Some(_)) => self.name,
                (None, None) => NodeName::own(key),
            };
        }
        let is_number = || key.raw_content().iter().all(u8::is_ascii_digit);
        match over {
            Some(_) if is_number() => self.name,
            Some(_) if WEAK_NAMES.holds(key) => NodeName::from_member(key, over),
            _ => NodeName::own(key),
        }
    }

    fn name_of_next(&mut self, columns: &[Value<'v>]) -> NodeName<'v> {
        if !self.is_array {
            return self.next;
        }
        let Some(cell) = self.cell else {
            return self.name;
        };
        self.cell = Some(cell.saturating_add(1));
        columns
            .get(cell)
            .map_or(self.name, |name| NodeName::from_member(*name, None))
    }
}

/// Returns the member that names the values of an object; also from an inner object, as in `"field": {"title": "SSN"}`.
#[inline(never)]
fn name_member(object: Value<'_>, levels: usize) -> NameMember<'_> {
    let mut best: NameMember<'_> = None;
    for (key, value) in object.members().take(MAX_SEARCHED_MEMBERS) {
        work::spend(NAMED);
        let Some(place) = NAME_MEMBERS.rank(key) else {
            continue;
        };
        let named = match levels.checked_sub(1) {
            Some(levels) if value.kind() == ValueKind::Object => {
                name_member(value, levels).map(|(_, name)| name)
            }
            _ => Some(value).filter(|value| is_name(*value)),
        };
        if let Some(named) = named
            && best.is_none_or(|(other, _)| place < other)
        {
            best = Some((place, named));
        }
    }
    best
}

/// Returns whether a value may contain the columns of a table. Most values have no such member and are skipped at once.
fn may_list_columns(root: Value<'_>) -> bool {
    let mut key = None;
    root.descendants().any(|node| {
        let before = std::mem::replace(&mut key, node.is_key.then_some(node.value));
        node.value.kind() == ValueKind::Array && before.is_some_and(|key| COLUMN_WORDS.part_of(key))
    })
}

/// Adds the names of a table's columns if the object, or an object inside it, lists them. Returns whether one does.
#[inline(never)]
fn list_columns<'v>(object: Value<'v>, levels: usize, columns: &mut Vec<Value<'v>>) -> bool {
    let first = columns.len();
    for (key, list) in object.members().take(MAX_SEARCHED_MEMBERS) {
        if list.kind() != ValueKind::Array || !COLUMN_WORDS.part_of(key) {
            continue;
        }
        for column in list.elements().take(MAX_COLUMNS) {
            let name = match column.kind() {
                ValueKind::Object => name_member(column, 0).map(|(_, name)| name),
                _ => Some(column).filter(|column| is_name(*column)),
            };
            match name {
                Some(name) => columns.push(name),
                None => break,
            }
        }
        if columns.len() > first && columns.len().saturating_sub(first) == list.elements().count() {
            return true;
        }
        columns.truncate(first);
    }
    let Some(levels) = levels.checked_sub(1) else {
        return false;
    };
    let mut members = object.members().take(MAX_SEARCHED_MEMBERS);
    members.any(|(_, member)| {
        member.kind() == ValueKind::Object && list_columns(member, levels, columns)
    })
}

#[inline(never)]
fn is_name(value: Value<'_>) -> bool {
    value.kind() == ValueKind::String && (1..=MAX_NAME_BYTES).contains(&value.raw_content().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::{JsonBody, Limits};

    /// Returns the names of the values that start with `#`, and whether each name is the key immediately before its
    /// value.
    fn names(json: &str) -> Vec<(String, bool)> {
        let json = JsonBody::scan(json.as_bytes(), Limits { max_depth: 32 }, 0).unwrap();
        let body = json.body().unwrap();
        let mut names = Vec::new();
        each_named(body.root(), &mut |named| {
            if !named.is_key && named.value.text().is_some_and(|text| text.starts_with('#')) {
                let words = named.name.words().map(Cow::into_owned);
                names.push((words.unwrap_or_default(), named.name.is_own));
            }
        });
        names
    }

    #[test]
    fn a_value_is_named_by_the_key_before_it() {
        for json in [
            r##"{"ssn": "#"}"##,
            r##"{"customer": {"id": 7, "ssn": "#", "name": "Ann"}}"##,
            r##"[{"id": 7, "ssn": "#"}]"##,
            r##"{"name": "Ann", "ssn": "#"}"##,
            r##"{"value": {"ssn": "#"}}"##,
        ] {
            assert_eq!(names(json), [("ssn".to_owned(), true)], "{json}");
        }
    }

    #[test]
    fn a_value_is_named_by_a_member_beside_it() {
        for json in [
            // Lists and objects with the value as their only content.
            r##"{"ssn": ["#"]}"##,
            r##"{"ssn": {"value": "#"}}"##,
            r##"{"ssn": {"0": "#"}}"##,
            r##"{"ssn": {"S": "#"}}"##,
            r##"{"fields": {"ssn": {"stringValue": "#"}}}"##,
            r##"{"ssn": {"value": {"raw": "#"}}}"##,
            // Tables, with the names of their columns before the rows, after them, in them.
            r##"{"columns": ["id", "ssn"], "rows": [[1, "#"]]}"##,
            r##"{"rows": [[1, "#"]], "columns": ["id", "ssn"]}"##,
            r##"{"columns": ["ssn"], "rows": [["#"]]}"##,
            r##"{"columns": ["id", "ssn"], "index": [0, 1], "data": [[1, "#"]]}"##,
            r##"{"fields": [{"name": "id"}, {"name": "ssn"}], "rows": [[1, "#"]]}"##,
            r##"{"meta": [{"name": "id", "type": "Int8"}, {"name": "ssn", "type": "String"}], "data": [[1, "#"]]}"##,
            r##"{"manifest": {"schema": {"columns": [{"name": "id"}, {"name": "ssn"}]}}, "result": {"data_array": [[1, "#"]]}}"##,
            r##"{"schema": {"fields": [{"name": "id"}, {"name": "ssn"}]}, "rows": [{"f": [{"v": "1"}, {"v": "#"}]}]}"##,
            r##"{"columnMetadata": [{"name": "id"}, {"name": "ssn"}], "records": [[{"longValue": 1}, {"stringValue": "#"}]]}"##,
            r##"{"table": {"headers": ["id", "ssn"], "rows": [{"cells": [1, "#"]}]}}"##,
            r##"{"values": [["id", "ssn"], ["1", "#"]]}"##,
            r##"[["id", "name", "ssn"], [1, "Ann", "#"]]"##,
            // Pairs.
            r##"[["id", 1], ["ssn", 2], ["x", {"ssn": {"value": "#"}}]]"##,
            r##"[{"name": "ssn", "value": "#"}]"##,
            r##"[{"value": "#", "name": "ssn"}]"##,
            r##"[{"id": 36000, "label": "ssn", "name": "c7", "type": "text", "value": "#"}]"##,
            r##"[{"question": "ssn", "answer": "#"}]"##,
            r##"[{"field": {"id": "a7", "type": "short_text", "title": "ssn"}, "type": "text", "text": "#"}]"##,
        ] {
            assert_eq!(names(json), [("ssn".to_owned(), false)], "{json}");
        }
    }

    #[test]
    fn a_weak_name_is_qualified_by_the_outer_one() {
        for (json, words) in [
            (r##"{"account": {"number": "#"}}"##, "account number"),
            (
                r##"{"phones": [{"type": "work", "value": "#"}]}"##,
                "work phones",
            ),
            (
                r##"{"telecom": [{"system": "phone", "value": "#"}]}"##,
                "phone telecom",
            ),
            (r##"{"env": [{"name": "KEY", "value": "#"}]}"##, "env KEY"),
            (r##"{"entries": [["ssn", "#"]]}"##, "entries"),
            (r##"{"entries": [["id", "7"], ["ssn", "#"]]}"##, "ssn"),
        ] {
            assert_eq!(names(json), [(words.to_owned(), false)], "{json}");
        }
    }

    #[test]
    fn names_of_tables_and_pairs_are_not_given_to_other_values() {
        for (json, words) in [
            // Other lists than tables, and rows of another length.
            (
                r##"{"columns": ["id", "ssn"], "tags": ["a", "#"]}"##,
                "tags",
            ),
            (
                r##"{"columns": ["id", "ssn"], "rows": [[1, 2, "#"]]}"##,
                "rows",
            ),
            (r##"{"columns": ["id", "ssn"], "rows": [["#", 2]]}"##, "id"),
            (
                r##"{"a": {"columns": ["id", "ssn"]}, "rows": [{"x": [1, "#"]}], "b": 1}"##,
                "ssn",
            ),
            (
                r##"[{"columns": ["id", "ssn"]}, {"rows": [[1, "#"]]}]"##,
                "rows",
            ),
            (r##"[[1, "ssn"], [2, "#"]]"##, ""),
            // Objects with other content.
            (r##"{"ssn": {"id": "#"}}"##, "id"),
            (r##"{"ssn": {"value": 1, "order": "#"}}"##, "order"),
            (r##"[{"name": "ssn", "id": "#"}]"##, "id"),
            (
                r##"[{"name": "ssn", "value": 1}, {"value": "#"}]"##,
                "value",
            ),
            (r##"{"name": {"long": [1]}, "value": "#"}"##, "value"),
            (r##"{"label": "phone orders", "data": ["#"]}"##, "data"),
            (r##"["#"]"##, ""),
            (r##""#""##, ""),
        ] {
            let names: Vec<String> = names(json).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, [words], "{json}");
        }
    }

    #[test]
    fn tables_within_tables_have_their_own_names() {
        let json = r##"{"columns": ["a", "b"], "rows": [["#", {"columns": ["c", "d", "e"], "rows": [["#", 1, "#"]]}], ["#", "#"]]}"##;
        let names: Vec<String> = names(json).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "c", "e", "a", "b"]);
    }
}
