//! Names of members: comparison of the keys of an object with the names in its format.

use super::{Reader, Row, Type, VisitField};
use crate::diag::codes;
use crate::wire::json::{self, Value};
use crate::wire::work;

/// Work steps for looking up the name of a member, and for comparing one that is not known with all of them.
const KNOWN: usize = 16;
const UNKNOWN: usize = 100;

/// Names of the members of an object, as a plain list or as rows.
#[derive(Clone, Copy)]
pub(super) enum Names<'k> {
    Keys(&'k [&'static str]),
    Rows(&'k [&'static [Row]]),
}

impl Names<'_> {
    /// Returns the row with this number, counted over all lists.
    pub(super) fn row(self, mut at: usize) -> Option<Row> {
        match self {
            Names::Keys(keys) => keys.get(at).map(|key| (*key, Type::Custom)),
            Names::Rows(lists) => lists.iter().find_map(|rows| {
                let row = rows.get(at).copied();
                at = at.saturating_sub(rows.len());
                row
            }),
        }
    }

    fn position(self, mut is_it: impl FnMut(&'static str) -> bool) -> Option<usize> {
        match self {
            Names::Keys(keys) => keys.iter().position(|key| is_it(key)),
            Names::Rows(lists) => {
                let mut before: usize = 0;
                lists.iter().find_map(|rows| {
                    let at = rows.iter().position(|(key, _)| is_it(key));
                    let found = at.map(|at| before.saturating_add(at));
                    before = before.saturating_add(rows.len());
                    found
                })
            }
        }
    }
}

impl<'b> Reader<'b> {
    /// Reads an object member by member; `null` counts as absent. `keys` are all names of its format; only those are
    /// passed to `read`. A key in another letter case or with escapes is AG2002, because some servers fold case, so
    /// that two readers differ.
    pub fn object<'v>(
        &mut self,
        value: Value<'v>,
        keys: &[&'static str],
        mut read: impl FnMut(&mut Self, &'static str, Value<'v>),
    ) {
        let mut read = |reader: &mut Self, at: usize, value: Value<'v>| {
            if let Some(key) = keys.get(at) {
                read(reader, key, value);
            }
        };
        self.members(value, Names::Keys(keys), &mut read);
    }

    /// Reads an object in the same way with any list of names; `read` receives the number of the name. Compiled once,
    /// for all objects.
    pub(super) fn members<'v>(
        &mut self,
        value: Value<'v>,
        names: Names<'_>,
        read: &mut dyn VisitField<'b, 'v, usize>,
    ) {
        if !matches!(
            value.kind(),
            json::ValueKind::Object | json::ValueKind::Null
        ) {
            self.wrong_type(value, "an object");
            return;
        }
        self.claim(value);
        let mut seen = 0u64;
        for (key, member) in value.members() {
            work::spend(KNOWN);
            let written = key.raw_content();
            let known = if key.has_escapes() {
                None
            } else if self.proto_json {
                names.position(|name| self.is_spelling(written, name))
            } else {
                // Most names have another length, and most that are as long begin otherwise.
                let first = written.first();
                names.position(|name| {
                    name.len() == written.len()
                        && name.as_bytes().first() == first
                        && name.as_bytes() == written
                })
            };
            let Some(at) = known else {
                self.report_variant(key, names);
                continue;
            };
            if self.proto_json {
                self.report_second_spelling(key, names, at, &mut seen);
            }
            self.claim(key);
            read.take(self, at, member);
        }
    }

    /// Returns the member with this name, in any of its known spellings.
    pub(in crate::protocol) fn get<'v>(&self, value: Value<'v>, name: &str) -> Option<Value<'v>> {
        value
            .members()
            .find(|(key, _)| !key.has_escapes() && self.is_spelling(key.raw_content(), name))
            .map(|(_, member)| member)
    }

    fn is_spelling(&self, key: &[u8], name: &str) -> bool {
        key == name.as_bytes() || (self.proto_json && is_snake_case_of(key, name))
    }

    fn report_second_spelling(
        &mut self,
        key: Value<'_>,
        names: Names<'_>,
        at: usize,
        seen: &mut u64,
    ) {
        let bit = u32::try_from(at).ok().and_then(|at| 1u64.checked_shl(at));
        if bit.is_some_and(|bit| *seen & bit != 0)
            && let Some((name, _)) = names.row(at)
        {
            let what = format!("`{name}` stands here in two spellings");
            self.problem(codes::AG2002, key, &what);
        }
        *seen |= bit.unwrap_or(0);
    }

    fn report_variant(&mut self, key: Value<'_>, names: Names<'_>) {
        work::spend(key.raw_content().len().saturating_add(UNKNOWN));
        let Some(text) = key.text() else { return };
        let joined = self.proto_json.then(|| text.replace('_', ""));
        let joined = joined.as_deref();
        let variant = names.position(|name| {
            is_case_variant(&text, name)
                || joined.is_some_and(|joined| is_case_variant(joined, name))
        });
        if let Some((name, _)) = variant.and_then(|at| names.row(at)) {
            let what = format!("a key that some servers read as `{name}`");
            self.problem(codes::AG2002, key, &what);
        }
    }
}

/// Returns whether any JSON library would accept `key` for `name`. Go's folds case by Unicode's simple folding, in
/// which `ſ` (U+017F) is `s` and `K` (U+212A) is `k`. A key equal after decoding counts, too: it was written with
/// escapes.
pub(in crate::protocol) fn is_case_variant(key: &str, name: &str) -> bool {
    key.chars()
        .map(|c| match c {
            '\u{17F}' => 's',
            '\u{212A}' => 'k',
            _ => c.to_ascii_lowercase(),
        })
        .eq(name.chars().map(|c| c.to_ascii_lowercase()))
}

/// Returns whether `key` is the snake_case spelling of a camelCase `name`: `inline_data` of `inlineData`.
fn is_snake_case_of(key: &[u8], name: &str) -> bool {
    let mut rest = key;
    for byte in name.bytes() {
        let expected: &[u8] = &[b'_', byte.to_ascii_lowercase()];
        let expected = if byte.is_ascii_uppercase() {
            expected
        } else {
            expected.get(1..).unwrap_or_default()
        };
        match rest.strip_prefix(expected) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_two_spellings_and_no_more() {
        assert!(is_snake_case_of(b"inline_data", "inlineData"));
        assert!(is_snake_case_of(b"top_k", "topK"));
        assert!(is_snake_case_of(b"text", "text"));
        for key in [
            "inlineData",
            "inline__data",
            "inline_dat",
            "inline_data_",
            "_inline_data",
        ] {
            assert!(!is_snake_case_of(key.as_bytes(), "inlineData"), "{key}");
        }
    }
}
