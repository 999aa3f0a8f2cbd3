//! Names that mark their value as a secret, and the position of the value: `api_key = "…"`, `"password": "…"`,
//! `<token>…</token>`, `setProperty("TOKEN", "…")`, `--token …`, `the passphrase is …`.

use std::ops::Range;

use super::alphabet::{Alphabet, Binding};
use super::table;
use super::text::Text;

/// Maximum bytes of a name, on each side of the keyword in it.
pub(super) const NAME: usize = 48;

/// Maximum bytes of a value. A longer value counts up to this length.
pub(in crate::detect) const VALUE: usize = 512;

/// Maximum quotes within a quoted value. Each is looked for by every name before it.
const INNER_QUOTES: usize = 2;

/// Name and its value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    pub(super) link: Binding,
    pub(super) quote: u8,
}

/// Returns the length of the keyword of a name that begins at `at`, where one [may begin](begins_word); `None` if there
/// is none.
fn word(text: &Text<'_>, at: usize) -> Option<usize> {
    let behind_stem = at.wrapping_add(3);
    if behind_stem > text.len() {
        text.at(behind_stem);
        return None;
    }
    // Most positions only resemble one.
    let second = || text.at(at.wrapping_add(1)) | 0x20;
    let words: &[&str] = match text.at(at) | 0x20 {
        b'p' if second() == b'w' => &["pwd"],
        b'p' if second() == b'a' && text.follows(at, "pass") => {
            match text.at(at.wrapping_add(4)) | 0x20 {
                b'w' => &["password", "passwd", "passwort", "pass"],
                b'p' => &["passphrase", "pass"],
                b'c' => &["passcode", "pass"],
                b'o' => &["passord", "pass"],
                b'e' => &["passe"],
                _ => &["pass"],
            }
        }
        // The ends of `contraseña`, `senha` and `kennwort`
        b'r' if text.precedes(at, "cont") => &["rasena"],
        b'n' if text.precedes(at, "se") => &["nha"],
        b'n' if text.precedes(at, "ken") => &["nwort"],
        b's' => &["secret"],
        b't' => &["token"],
        b'k' => &["key"],
        b'a' => &["apikey", "auth"],
        b'c' => &["credential", "creds", "cred"],
        _ => return None,
    };
    let goes_on = |word: &&&str| text.follows(behind_stem, word.get(3..).unwrap_or_default());
    let word = words.iter().find(goes_on)?;
    // `passenger`, `keyboard`, `tokens` and `author` are different words; `accessKeyId` and `password2` contain the
    // keyword.
    let goes_on = text.at(at.wrapping_add(word.len())).is_ascii_lowercase();
    let allowed = match *word {
        "secret" | "credential" | "creds" | "cred" => true,
        "auth" => ["authoriz", "authtoken", "authkey"]
            .iter()
            .any(|longer| text.follows(at, longer)),
        "token" => text.follows(at, "tokenstring"),
        _ => false,
    };
    (!goes_on || allowed).then_some(word.len())
}

/// Returns whether a name that ends here may be at the end of a table cell.
#[inline]
pub(super) fn ends_cell(text: &Text<'_>, end: usize) -> bool {
    match text.bytes().get(end..).unwrap_or_default() {
        [b' ', next, ..] if next.is_ascii_alphanumeric() => false,
        _ => table::is_end_of_cell(text.bytes(), end),
    }
}

/// Returns whether the end of a column name marks the column's values as secrets.
pub(super) fn names_secret(name: &[u8]) -> bool {
    if !may_name_secret(name) {
        return false;
    }
    let assigned = [name, b"=x"].concat();
    let text = Text::new(&assigned);
    (0..name.len()).any(|at| {
        begins_word(name, at)
            && pair(&text, at).is_some_and(|pair| {
                // `reisepass`, `passNr` and `pass_no` name passports.
                let behind = at.wrapping_add(4);
                let number = || {
                    let rest = ["n", "_nr", "_nu", "_no"];
                    rest.iter().any(|rest| text.follows(behind, rest))
                };
                let passport = || {
                    text.follows(at, "pass")
                        && (number()
                            || pair.name.end == behind && text.before(at).is_ascii_lowercase())
                };
                pair.value.start > name.len() && pair.name.end == name.len() && !passport()
            })
    })
}

/// Returns whether a [`word`] may be in a name.
pub(super) fn may_name_secret(name: &[u8]) -> bool {
    (0..name.len()).any(|at| begins_word(name, at))
}

/// The first three letters of every [`word`] in lower case, each in the place of its hash.
static STEMS: [u32; 16] = stems();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn stems() -> [u32; 16] {
    let words = [
        b"pas", b"pwd", b"ras", b"nha", b"nwo", b"sec", b"tok", b"key", b"api", b"aut", b"cre",
    ];
    let mut stems = [0; 16];
    let mut word = 0;
    while word < words.len() {
        let stem = stem(*words[word]);
        assert!(stems[place_of(stem)] == 0, "two words have the same hash");
        stems[place_of(stem)] = stem;
        word += 1;
    }
    stems
}

/// Returns three letters in lower case as one number.
const fn stem([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0]) | 0x0020_2020
}

/// Returns a hash that differs for all stems.
const fn place_of(stem: u32) -> usize {
    ((stem ^ stem >> 6) & 15) as usize
}

/// Returns whether these are the first three letters of a [`word`].
#[inline(always)]
fn is_stem(three: &[u8; 3]) -> bool {
    let stem = stem(*three);
    STEMS.get(place_of(stem)) == Some(&stem)
}

/// Returns whether a [`word`] may begin at `at`.
#[inline(never)]
pub(super) fn begins_word(text: &[u8], at: usize) -> bool {
    let three = text.get(at..).and_then(<[u8]>::first_chunk);
    three.is_some_and(is_stem)
}

/// Returns whether a [`word`] may begin at `at`, or begins there if more text follows.
#[inline]
pub(super) fn may_begin_word(text: &[u8], at: usize) -> bool {
    let three = text.get(at..).and_then(<[u8]>::first_chunk);
    three.is_none_or(is_stem)
}

/// Returns the name around the keyword at `at`, where one [may begin](begins_word), with its value. `None` if there is no
/// value, or it has not begun.
pub(super) fn pair(text: &Text<'_>, at: usize) -> Option<Pair> {
    let len = word(text, at)?;
    let is_name =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$' | b'@');
    let mut end = at.wrapping_add(len);
    if Alphabet::Name.has(text.at(end)) {
        end = text.run_of(Alphabet::Name, end, NAME);
        let next = text.at(end);
        // After a name that is too long there is no binding to a value.
        if Alphabet::Name.has(next) && next | 0x20 != b'v' {
            return None;
        }
    }
    let start = text.run_back(at, NAME, is_name);
    let name = start..end;
    if let Some(word) = word_beside(text, at, &name) {
        return Some(Pair {
            name,
            value: word,
            link: Binding::Prose,
            quote: 0,
        });
    }
    let (link, from) = link(text, &name)?;
    let (mut value, quote) = value(text, from, link)?;
    if quote == 0 && text.at(value.end) == b'&' && is_of_password(text.at(at)) {
        value.end = behind_ampersand(text, &value).unwrap_or(value.end);
    }
    Some(Pair {
        name,
        value,
        link,
        quote,
    })
}

/// Returns the word after a name and a space that has another word after it, as in prose. That word is the value,
/// whatever the binding. Excluded are the names of headers, whose values begin with a word, and words that lead on to
/// a value.
fn word_beside(text: &Text<'_>, at: usize, name: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes();
    if bytes.get(name.end) != Some(&b' ') {
        return None;
    }
    let start = name.end.wrapping_add(1);
    let rest = bytes.get(start..)?;
    let len = rest
        .iter()
        .take(LEADING)
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let [first, ..] = rest else { return None };
    let plain = text.at(at) | 0x20 != b'a'
        && !matches!(
            first | 0x20,
            b'i' | b'w' | b'o' | b'v' | b'e' | b'l' | b't' | b's' | b'c'
        )
        && (1..LEADING).contains(&len)
        && rest.get(len) == Some(&b' ')
        && rest
            .get(len.wrapping_add(1))
            .is_some_and(u8::is_ascii_alphabetic);
    plain.then(|| start..start.wrapping_add(len))
}

/// Maximum bytes of a word that may lead on to a value, plus one.
const LEADING: usize = 16;

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_blank(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'\n' | b'\r')
}

/// Returns the binding between a name and its value, and the start of the value.
fn link(text: &Text<'_>, name: &Range<usize>) -> Option<(Binding, usize)> {
    let mut at = name.end;
    if text.at(at) == b'*' {
        // `**Password**: …`
        let behind = text.run(at, 3, |byte| byte == b'*');
        if text.at(behind) == b':' {
            at = behind;
        }
    }
    let is_sign = |byte: u8| matches!(byte, b'=' | b':' | b'?' | b'.' | b'>' | b'!' | b'|' | b'~');
    if matches!(text.at(at), b'=' | b':') {
        // The usual separators after names in data.
        let from = at.wrapping_add(1);
        let next = text.at(from);
        if next == b'*' && text.goes_on_as(from, "** ") {
            // `**Password:** …`
            let behind = from.wrapping_add(3);
            return Some((Binding::Assigned, text.run(behind, 16, is_space)));
        }
        if !is_sign(next) && !is_space(next) {
            return Some((Binding::Assigned, typed(text, from)));
        }
    }
    let quoted = is_quote(text.at(at));
    at = at.wrapping_add(usize::from(quoted));
    // `secret[25]`, `config["secret"]`
    let mut array = false;
    if matches!(text.at(at), b'[' | b']') {
        let close = text.run(at, 8, |byte| byte != b']' && !is_blank(byte));
        array = !quoted && text.at(at) == b'[';
        at = if text.at(close) == b']' {
            close.wrapping_add(1)
        } else {
            return None;
        };
    }
    let spaced = text.run(at, 16, is_space);
    let operator = text.run(spaced, 4, is_sign);
    let signs = text.slice(spaced..operator);
    if operator > spaced {
        let compared = matches!(signs, b"==" | b"===" | b"!=" | b"!==");
        let assigned = signs.contains(&b'=') || signs.contains(&b':');
        if compared {
            return Some((Binding::Compared, text.run(operator, 16, is_space)));
        }
        if assigned {
            let from = typed(text, text.run(operator, 16, is_space));
            // In C a single quote encloses one character, so it does not initialise an array.
            return (!array || text.at(from) != b'\'').then_some((Binding::Assigned, from));
        }
        // `<token>` and the value, possibly on a line of its own; not the end of another tag.
        let tag = signs == b">" && text.before(name.start) == b'<' && spaced == name.end;
        // The next cell of a table.
        let cell = signs == b"|" && spaced > name.end && !is_verb(text, name);
        return match tag {
            true => Some((Binding::Assigned, text.run(operator, 64, is_blank))),
            false => cell.then(|| (Binding::Prose, text.run(operator, 16, is_space))),
        };
    }
    // `.password("…")`
    if text.at(at) == b'(' && is_quote(text.at(at.wrapping_add(1))) && !is_verb(text, name) {
        return Some((Binding::Prose, at.wrapping_add(1)));
    }
    if text.at(spaced) == b',' {
        let next = text.run(spaced.wrapping_add(1), 16, is_blank);
        if quoted && let Some(from) = as_value(text, next) {
            return Some((Binding::Assigned, from));
        }
        // A name written as a symbol: `set(:api_key, "…")`
        let named = quoted || text.before(name.start) == b':';
        return (named && is_quote(text.at(next))).then_some((Binding::Beside, next));
    }
    beside(text, name, at, spaced, quoted)
}

/// Returns the start of the value in `"name": "TOKEN", "value": "…"`, from the position after the comma.
fn as_value(text: &Text<'_>, at: usize) -> Option<usize> {
    let word = at.wrapping_add(usize::from(is_quote(text.at(at))));
    if !text.follows(word, "value") {
        return None;
    }
    let sign = text.run(word.wrapping_add(5), 4, |byte| {
        is_space(byte) || is_quote(byte)
    });
    matches!(text.at(sign), b'=' | b':').then(|| text.run(sign.wrapping_add(1), 8, is_space))
}

/// Skips a type between `:` or `=` and the value: `token: str = "…"`, or the sign of a block of YAML: `token: |-`.
fn typed(text: &Text<'_>, at: usize) -> usize {
    if matches!(text.at(at), b'|' | b'>') {
        let sign = text.run(at.wrapping_add(1), 2, |byte| {
            matches!(byte, b'-' | b'+' | b'1'..=b'9')
        });
        let from = text.run(sign, 64, is_blank);
        return match text.slice(sign..from).contains(&b'\n') {
            true => from,
            false => at,
        };
    }
    let word = text.run(at, 12, |byte| {
        byte.is_ascii_alphabetic() || matches!(byte, b'&' | b'[' | b']')
    });
    let sign = text.run(word, 4, is_space);
    if word > at && word < sign && text.at(sign) == b'=' && is_space(text.at(sign.wrapping_add(1)))
    {
        return text.run(sign.wrapping_add(1), 16, is_space);
    }
    at
}

/// Returns the binding of a value that follows its name without a sign.
fn beside(
    text: &Text<'_>,
    name: &Range<usize>,
    at: usize,
    spaced: usize,
    quoted: bool,
) -> Option<(Binding, usize)> {
    let blank = text.run(at, 32, is_blank);
    // `key="Password" value="…"`, `name: TOKEN` and `value: …` on the next line
    if let Some(from) = as_value(text, blank) {
        return Some((Binding::Assigned, from));
    }
    if spaced == at {
        return None;
    }
    let next = text.at(spaced);
    if is_quote(next) && !quoted {
        return Some((Binding::Beside, spaced));
    }
    // `--token …`, and in a Dockerfile `ENV TOKEN …`
    if (text.at(name.start) == b'-' || text.precedes(name.start, "ENV ")) && !quoted {
        return Some((Binding::Beside, spaced));
    }
    // `var token string = "…"`
    let word = text.run(spaced, 16, |byte| byte.is_ascii_alphanumeric());
    let sign = text.run(word, 4, is_space);
    let signs = text.run(sign, 4, |byte| matches!(byte, b'=' | b':'));
    if word > spaced && signs > sign && text.at(signs) != b'=' && !quoted {
        let known = ["string", "str", "char", "text", "String", "value"]
            .iter()
            .any(|kind| {
                text.slice(spaced..word)
                    .eq_ignore_ascii_case(kind.as_bytes())
            });
        return known.then(|| (Binding::Assigned, text.run(signs, 16, is_space)));
    }
    let leads = LEADS.iter().take(match is_verb(text, name) {
        true => VERBS,
        false => usize::MAX,
    });
    let told = leads.copied().find(|lead| text.follows(spaced, lead));
    let from = text.run(
        spaced.wrapping_add(told.map_or(0, |verb| verb.len())),
        8,
        |byte| is_space(byte) || byte == b':',
    );
    Some((Binding::Prose, from))
}

/// Returns whether the name is `pass`, which is also a verb: a test may pass, or something is passed on.
fn is_verb(text: &Text<'_>, name: &Range<usize>) -> bool {
    name.len() == 4 && text.follows(name.start, "pass")
}

/// Number of the leads that may follow `pass` where it is a noun.
const VERBS: usize = 3;

/// Words between a name and its value in prose.
const LEADS: &[&str] = &[
    "is ",
    "was ",
    "of ",
    "to ",
    "set to ",
    "changed to ",
    "ist ",
    "lautet ",
    "es ",
    "est ",
    "e ",
    "- ",
    "-> ",
];

/// Returns the value that begins at `at`, and the quote around it.
fn value(text: &Text<'_>, at: usize, link: Binding) -> Option<(Range<usize>, u8)> {
    let quote = text.at(at);
    if is_quote(quote) {
        let start = at.wrapping_add(1);
        let last = start.wrapping_add(VALUE);
        let next = |from: usize| {
            text.run(from, last.saturating_sub(from), |byte| {
                byte != quote && byte != b'\n' && byte != 0
            })
        };
        let mut end = next(start);
        // The view shows an escaped quote as it shows the last one: `"pass\"word"`.
        for _ in 0..INNER_QUOTES {
            if text.at(end) != quote || !text.at(end.wrapping_add(1)).is_ascii_alphanumeric() {
                break;
            }
            let further = next(end.wrapping_add(1));
            if text.at(further) != quote {
                break;
            }
            end = further;
        }
        if text.at(end) == quote {
            return (end > start).then_some((start..end, quote));
        }
    }
    let start = at.wrapping_add(usize::from(is_quote(quote)));
    if link == Binding::Compared && !is_quote(quote) {
        return None;
    }
    let end = text.run_of(Alphabet::Bare, start, VALUE);
    let end = without_last_marks(text, start..end);
    (end > start).then_some((start..end, 0))
}

/// Returns whether a keyword that begins with this character names a password.
pub(super) fn is_of_password(first: u8) -> bool {
    matches!(first | 0x20, b'p' | b'r' | b'n')
}

/// Returns the end of a password that contains an `&`. The `&` is not part of the password if another name follows
/// it, as in a query, a reference, or another command.
fn behind_ampersand(text: &Text<'_>, value: &Range<usize>) -> Option<usize> {
    let rest = value.end.wrapping_add(1);
    let most = VALUE.saturating_sub(rest.wrapping_sub(value.start));
    let end = text.run(rest, most, |byte| Alphabet::Bare.has(byte));
    let other = |byte: &u8| matches!(byte, b'=' | b'$' | b'{');
    let amid = end > rest && !Alphabet::Bare.has(text.at(end));
    (amid && !text.slice(rest..end).iter().any(other)).then(|| without_last_marks(text, rest..end))
}

/// Returns the end of an unquoted value without the marks at its end.
fn without_last_marks(text: &Text<'_>, value: Range<usize>) -> usize {
    text.run_back_in(value, |byte| {
        matches!(byte, b'.' | b')' | b']' | b'}' | b':' | b'\\')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(source: &str) -> Vec<(String, String)> {
        let text = Text::new(source.as_bytes());
        let mut found: Vec<(String, String)> = Vec::new();
        for at in 0..source.len() {
            if begins_word(source.as_bytes(), at)
                && let Some(pair) = pair(&text, at)
            {
                let part = |range: Range<usize>| source.get(range).unwrap().to_owned();
                let pair = (part(pair.name), part(pair.value));
                if found.last() != Some(&pair) {
                    found.push(pair);
                }
            }
        }
        found
    }

    #[test]
    fn a_value_is_found_behind_every_usual_link() {
        for text in [
            "api_key = \"v4lue\"",
            "api_key=v4lue",
            "\"api_key\": \"v4lue\"",
            "api_key := `v4lue`",
            "api_key => 'v4lue'",
            "api_key :::= \"v4lue\"",
            "api_key ?= \"v4lue\"",
            "$api_key .= \"v4lue\"",
            "'api_key'  =>  'v4lue',",
            "f(\"api_key\", \"v4lue\")",
            "<api_key>\n  v4lue\n</api_key>",
            "--api_key v4lue",
            "var api_key string = \"v4lue\"",
            "api_key: str = \"v4lue\"",
            "config[\"api_key\"] = \"v4lue\"",
            "char api_key[25] = \"v4lue\";",
            "api_key is v4lue.",
            "<add key=\"api_key\" value=\"v4lue\" />",
            "- name: api_key\n  value: \"v4lue\"",
            "api_key v4lue",
            "?api_key=v4lue&b=1",
            "if (api_key === \"v4lue\") {",
            "api_key: v4lue}",
            "api_key \"v4lue\"",
            "[{\"name\": \"api_key\", \"value\": \"v4lue\"}]",
            "set(:api_key, \"v4lue\")",
            "ENV api_key v4lue",
            "**api_key**: v4lue",
            "- **api_key:** `v4lue`",
            "api_key: |\n  v4lue\n",
            "api_key = \"v4lue\"x",
            "  api_key: >2-\r\n    v4lue",
        ] {
            let found = pairs(text);
            assert!(
                found
                    .iter()
                    .any(|(name, value)| name.ends_with("api_key") && value == "v4lue"),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn a_quote_within_a_value_does_not_end_it() {
        for (text, value) in [
            ("\"password\":\"v4\"lue\"}", "v4\"lue"),
            ("password='v4'l'ue', x='y'", "v4'l'ue"),
            ("password=\"v4lue\"x\n\"y\"", "v4lue"),
            ("password=\"v4lue\",x=\"y\"", "v4lue"),
        ] {
            assert_eq!(
                pairs(text),
                [("password".to_owned(), value.to_owned())],
                "{text}"
            );
        }
    }

    #[test]
    fn words_that_only_begin_like_one_are_passed_over() {
        for text in [
            "passenger: Ann",
            "author = \"Ann\"",
            "max_tokens: 4096",
            "keyboard = us",
            "tokenizer: \"cl100k\"",
        ] {
            assert_eq!(pairs(text), [], "{text}");
        }
    }

    #[test]
    fn no_value_is_none() {
        for text in [
            "password",
            "password:",
            "password = \"\"",
            "password\n",
            "token ==",
            "secret[",
            "secret[",
        ] {
            assert_eq!(pairs(text), [], "{text}");
        }
    }
}
