//! Paths into JSON: which values they lead to, both under the names that the policy writes and under names that another
//! reader of the same bytes may take for them.
//!
//! `{"amount": 5, "Amount": 500}` has the amount 500 for Go's `encoding/json` and for .NET's web decoders, which ignore
//! case and let the last key win; Go's second version and others also ignore `_` and `-`. `{"x": "{\"amount\": 500}"}`
//! has `x.amount` for a tool that decodes `x`. A list of one value and the value alone are the same for Jackson
//! (`ACCEPT_SINGLE_VALUE_AS_ARRAY`, `UNWRAP_SINGLE_VALUE_ARRAYS`), and a query such as MongoDB's goes through any list.
//! Deny-side tests see all of these values; allow-side tests are false if there are any. The same rule applies to every
//! path: arguments, results, parameters, items of lists, operands.
//!
//! `["rm", "-rf", "/"]` is the line `rm -rf /` for the program that runs it. So deny-side text searches also search the
//! values of a list joined with blanks.

use crate::detect::fold_name;
use crate::wire::json::{Inside, JsonBody, JsonPath, NodeId, PathStep, Value, ValueKind};
use crate::wire::sort;
use crate::wire::work;
use std::borrow::Cow;

/// Work steps for a value or member on the way.
const VISITED: usize = 4;

/// Work steps for each byte of a key that is folded.
const FOLDED: usize = 12;

/// Value that a path leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReachedValue<'a> {
    pub(crate) value: Value<'a>,
    /// Whether every name on the way is as the policy writes it, lists are where the path has them, and no string was
    /// opened.
    pub(crate) as_named: bool,
}

/// Calls `reached` with every value that a path leads to. Returns whether a string on the way could not be read.
pub(crate) fn each<'a>(
    root: Value<'a>,
    path: &JsonPath,
    json: &'a JsonBody<'a>,
    reached: &mut dyn FnMut(ReachedValue<'a>),
) -> bool {
    let has_several = path.ways.len() > 1
        || path
            .ways
            .iter()
            .any(|way| way.iter().any(|step| matches!(step, PathStep::Anywhere(_))));
    if path.is_whole() {
        reached(ReachedValue {
            value: root,
            as_named: true,
        });
        return false;
    }
    if !has_several {
        let mut walk = PathWalk {
            json,
            reached,
            unread: false,
        };
        for way in &path.ways {
            walk.on(root, way, true);
        }
        return walk.unread;
    }
    // A value that one way reaches by name, and another by a different spelling, counts as named.
    let mut named: Vec<NodeId> = Vec::new();
    let mut others: Vec<Value<'a>> = Vec::new();
    let mut walk = PathWalk {
        json,
        reached: &mut |found: ReachedValue<'a>| match found.as_named {
            true => {
                named.push(found.value.place());
                reached(found);
            }
            false => others.push(found.value),
        },
        unread: false,
    };
    for way in &path.ways {
        walk.on(root, way, true);
    }
    let unread = walk.unread;
    if !others.is_empty() {
        sort::sort(&mut named);
        sort::sort_by_key(&mut others, |value| value.place());
        others.dedup_by_key(|value| value.place());
        others.retain(|value| named.binary_search(&value.place()).is_err());
    }
    for value in others {
        reached(ReachedValue {
            value,
            as_named: false,
        });
    }
    unread
}

/// Calls `found` with each list in a value that is also read as one text, including lists in strings.
pub(crate) fn each_line<'a>(
    value: Value<'a>,
    json: &'a JsonBody<'a>,
    found: &mut dyn FnMut(Value<'a>),
) {
    for node in value.descendants() {
        work::spend(VISITED);
        match node.value.kind() {
            _ if node.is_key => {}
            ValueKind::Array if words(node.value).nth(1).is_some() => found(node.value),
            ValueKind::String => {
                if let Inside::Json(inner) = json.inside(node.value) {
                    each_line(inner, json, found);
                }
            }
            _ => {}
        }
    }
}

/// Returns the values of a list as one text.
pub(crate) fn line(list: Value<'_>) -> String {
    let mut line = String::new();
    for (at, word) in words(list).enumerate() {
        work::spend(VISITED);
        if at > 0 {
            line.push(' ');
        }
        line.push_str(&word);
    }
    line
}

/// Returns the values of a list that are read as texts.
fn words<'a>(list: Value<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    list.elements().filter_map(|element| match element.kind() {
        ValueKind::String => element.text(),
        ValueKind::Number => element.number().map(Cow::Borrowed),
        ValueKind::Bool(true) => Some("true".into()),
        ValueKind::Bool(false) => Some("false".into()),
        ValueKind::Null | ValueKind::Array | ValueKind::Object => None,
    })
}

struct PathWalk<'w, 'a> {
    json: &'a JsonBody<'a>,
    reached: &'w mut dyn FnMut(ReachedValue<'a>),
    unread: bool,
}

impl<'a> PathWalk<'_, 'a> {
    fn on(&mut self, value: Value<'a>, way: &[PathStep], as_named: bool) {
        let Some((step, rest)) = way.split_first() else {
            (self.reached)(ReachedValue { value, as_named });
            return;
        };
        if work::is_exhausted() {
            self.unread = true;
            return;
        }
        if is_lone_item(value.kind(), step, rest) {
            self.on(value, rest, false);
        }
        if value.kind() == ValueKind::String {
            return self.into(value, way);
        }
        match step {
            PathStep::Key(_) if value.kind() == ValueKind::Array => {
                self.elements(value, way, false);
            }
            PathStep::Key(name) => self.members(value, name, rest, as_named),
            PathStep::Index(index) => {
                work::spend(*index);
                if let Some(element) = value.element(*index) {
                    self.on(element, rest, as_named);
                }
            }
            PathStep::Every => {
                self.elements(value, rest, as_named);
                for (_, member) in value.members() {
                    work::spend(VISITED);
                    self.on(member, rest, as_named);
                }
            }
            PathStep::Anywhere(name) => {
                for node in value.descendants() {
                    work::spend(VISITED);
                    match node.value.kind() {
                        _ if node.is_key => {}
                        ValueKind::Object => self.members(node.value, name, rest, as_named),
                        ValueKind::String => self.into(node.value, way),
                        _ => {}
                    }
                }
            }
        }
    }

    fn elements(&mut self, list: Value<'a>, way: &[PathStep], as_named: bool) {
        for element in list.elements() {
            work::spend(VISITED);
            self.on(element, way, as_named);
        }
    }

    fn members(&mut self, object: Value<'a>, name: &str, rest: &[PathStep], as_named: bool) {
        for (key, member) in object.members() {
            work::spend(VISITED);
            if key.is_text(name) {
                self.on(member, rest, as_named);
            } else if is_spelling(key, name) {
                self.on(member, rest, false);
            }
        }
    }

    /// Continues in the JSON that a string contains.
    fn into(&mut self, string: Value<'a>, way: &[PathStep]) {
        match self.json.inside(string) {
            Inside::Nothing => {}
            Inside::Json(inner) => self.on(inner, way, false),
            Inside::Unread => self.unread = true,
        }
    }
}

/// Returns whether some reader takes a value that is not a list for a list with this value alone, so that the step leads to
/// the value. `.*` of an object leads to its members, and to the object itself only if a name follows in the path.
fn is_lone_item(kind: ValueKind, step: &PathStep, rest: &[PathStep]) -> bool {
    match (kind, step) {
        (ValueKind::Array | ValueKind::Null, _) => false,
        (ValueKind::Object, PathStep::Every) => {
            matches!(rest, [PathStep::Key(_) | PathStep::Anywhere(_), ..])
        }
        (_, step) => matches!(step, PathStep::Every | PathStep::Index(0)),
    }
}

/// Returns whether some reader takes a key for this name: with letters in any case or disguise, with or without `_`, `-`
/// and blanks.
#[inline(never)]
pub(crate) fn is_spelling(key: Value<'_>, name: &str) -> bool {
    let is_plain = |text: &[u8]| {
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
        text.iter().all(plain)
    };
    let raw = key.raw_content();
    if is_plain(raw) && is_plain(name.as_bytes()) {
        return letters(raw).eq(letters(name.as_bytes()));
    }
    work::spend(raw.len().saturating_mul(FOLDED));
    let key = key.text().unwrap_or_default();
    letters(fold_name(&key).as_bytes()).eq(letters(fold_name(name).as_bytes()))
}

/// Returns a name without the characters that join its words, in lower case: `filePath`, `file_path` and `File-Path` are
/// the same.
fn letters(name: &[u8]) -> impl Iterator<Item = u8> {
    let joints = |byte: &u8| matches!(byte, b'_' | b'-' | b' ');
    let kept = name.iter().filter(move |byte| !joints(byte));
    kept.map(u8::to_ascii_lowercase)
}
