//! Hostile texts: texts that maximise the cost of a scan, made of everything that detectors and operators search,
//! repeated.
//!
//! Only separators are listed by hand. Anchors, context words, forms and samples come from the registry of detectors,
//! and every literal from the sources of detectors and operators. So new ones are included by their existence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::DETECTORS;
use super::scan::anchor::Anchor;
use super::scan::token_form::{self, TokenPart};

/// Characters that separate, enclose or disguise values.
pub(crate) const SEPARATORS: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    "\r\n",
    "\n\n",
    ",",
    ";",
    "|",
    ":",
    "=",
    ": ",
    "= ",
    " = ",
    "=\"",
    ": \"",
    "\"",
    "'",
    "`",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "-",
    "--",
    "_",
    ".",
    "/",
    "://",
    "\\",
    "@",
    "+",
    "*",
    "**",
    "#",
    "&",
    "?",
    "%",
    "$",
    "!",
    "~",
    "^",
    "0",
    "1",
    "12",
    "1 ",
    "a",
    "a ",
    "A",
    "aB1",
    "a1B2c3D4e5F6g7H8",
    "4111",
    "0x",
    "é",
    "я",
    "中",
    "\u{200B}",
    "\u{301}",
    "\u{E0041}",
    "４",
    "&#49;",
    "%31",
    "\\u0031",
    "\\n",
    "\\\"",
    "\u{1D7D9}",
    "\u{2028}",
    "к",
    "||",
    "=>",
    ":=",
    "is ",
    "\" value=\"",
    "1.1.1.1",
    "\n1.1.1.1=",
];

/// Alphabets of runs, as one character and as several.
const RUNS: &[&str] = &[
    "0", "9", "a", "f", "A", "Z", "aB3", "x-", "x_", "x=", "x.", "x/", "x+",
];

/// Returns everything that the registered detectors, and the code around them, search.
pub(crate) fn units() -> Vec<String> {
    let mut units: BTreeSet<String> = BTreeSet::new();
    literals_in("src/detect", &mut units);
    for detector in DETECTORS {
        units.extend(detector.context.iter().map(|word| (*word).to_owned()));
        for anchor in detector.anchors {
            of_anchor(anchor, &mut |unit| {
                units.insert(unit);
            });
        }
        let samples = detector.hits.iter().map(|hit| hit.text);
        for text in samples.chain(detector.misses.iter().map(|miss| miss.text)) {
            units.insert(text.to_owned());
            // Truncated: at a third, in the middle, before the last character.
            for cut in [text.len() / 3, text.len() / 2, text.len().saturating_sub(1)] {
                let cut = text.floor_char_boundary(cut);
                units.insert(text[..cut].to_owned());
            }
            units.extend(text.split_whitespace().map(str::to_owned));
        }
    }
    short(units)
}

/// Returns everything that operators search.
pub(crate) fn units_of_operators() -> Vec<String> {
    let mut units: BTreeSet<String> = BTreeSet::new();
    literals_in("src/policy/operators", &mut units);
    short(units)
}

fn short(mut units: BTreeSet<String>) -> Vec<String> {
    units.retain(|unit| !unit.is_empty() && unit.len() <= 400);
    units.into_iter().collect()
}

fn of_anchor(anchor: &Anchor, add: &mut dyn FnMut(String)) {
    match anchor {
        Anchor::Forms(patterns, _) => {
            for pattern in *patterns {
                let bare = pattern.trim_start_matches(['?', '!']);
                for separator in ["", " ", "-", "."] {
                    let form = bare.replace(['~', '%', '_', '^'], separator);
                    for (digit, letter) in [('1', 'A'), ('9', 'Z')] {
                        let form: String = form
                            .chars()
                            .map(|symbol| match symbol {
                                '9' => digit,
                                'A' | 'a' | 'X' | 'x' => letter,
                                mark => mark,
                            })
                            .collect();
                        add(form);
                    }
                }
            }
        }
        Anchor::Number(lengths, ..) => {
            for len in [*lengths.start(), *lengths.end()] {
                add("1".repeat(len));
                add("4".repeat(len));
            }
        }
        Anchor::Mixed(lengths, ..) => {
            for len in [*lengths.start(), *lengths.end()] {
                add(format!("A{}", "1".repeat(len.saturating_sub(1))));
                add(format!("{}1", "a".repeat(len.saturating_sub(1))));
            }
        }
        Anchor::At(_) => add("a@".to_owned()),
        Anchor::Colon(_) => ["::", "a:", "1:"]
            .map(str::to_owned)
            .into_iter()
            .for_each(add),
        Anchor::Pairs(_) => ["ab:", "ab-"].map(str::to_owned).into_iter().for_each(add),
        Anchor::Url(_) => add("a://".to_owned()),
        Anchor::Dashes(_) => ["-----", "--- "]
            .map(str::to_owned)
            .into_iter()
            .for_each(add),
        Anchor::Mark(_) => ["![", "](h", "<|", "[inst", "</s"]
            .map(str::to_owned)
            .into_iter()
            .for_each(add),
        Anchor::Word(words, _) | Anchor::Token(words, _) | Anchor::Phrases(words) => {
            words.iter().map(|word| (*word).to_owned()).for_each(add);
        }
        Anchor::Beginning(tokens) => {
            for known in *tokens {
                add(known.prefix.to_owned());
                // Up to each of its parts, with the minimum and with the maximum number of characters.
                for most in [false, true] {
                    let mut token = known.prefix.to_owned();
                    for part in token_form::parts_of(known.form).unwrap() {
                        match part {
                            TokenPart::Text(text) => token.push_str(text),
                            TokenPart::Run(_, least, longest) => {
                                let len = if most {
                                    longest.min(200)
                                } else {
                                    least.saturating_sub(1)
                                };
                                token.extend("aB3dE6".chars().cycle().take(len));
                            }
                            TokenPart::Maybe(text, ..) => token.push_str(text),
                        }
                        add(token.clone());
                    }
                }
            }
        }
        Anchor::Odd(_) => ["a\u{200B}", "a\u{200B}\u{200B}", "аb"]
            .map(str::to_owned)
            .into_iter()
            .for_each(add),
        Anchor::Keyed(lengths, ..) => {
            for len in [*lengths.start(), (*lengths.end()).min(200)] {
                let value: String = "aB3dE6gH9".chars().cycle().take(len).collect();
                for name in ["password=", "api_key: ", "token=\"", "auth: "] {
                    add(format!("{name}{value}"));
                }
            }
        }
    }
}

/// Adds every text between quotes in the Rust files of a folder, without tests.
fn literals_in(folder: &str, units: &mut BTreeSet<String>) {
    literals_within(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), units);
}

fn literals_within(folder: &Path, units: &mut BTreeSet<String>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_data = matches!(
            name,
            "tests"
                | "tests.rs"
                | "tables"
                | "hostile.rs"
                | "families.rs"
                | "reference.rs"
                | "idna"
        );
        if path.is_dir() && !is_data {
            literals_within(&path, units);
        } else if name.ends_with(".rs") && !is_data {
            let source = std::fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]").next().unwrap();
            let lines = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            for line in lines {
                literals_of(line, units);
            }
        }
    }
}

/// Adds the texts between double quotes of a line, and characters between single ones.
fn literals_of(line: &str, units: &mut BTreeSet<String>) {
    let mut rest = line;
    while let Some(start) = rest.find(['"', '\'']) {
        let quote = rest[start..].chars().next().unwrap();
        let mut literal = String::new();
        let mut characters = rest[start + 1..].char_indices();
        let mut end = None;
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => match characters.next() {
                    Some((_, 'n')) => literal.push('\n'),
                    Some((_, 't')) => literal.push('\t'),
                    Some((_, 'r')) => literal.push('\r'),
                    Some((_, other)) => literal.push(other),
                    None => break,
                },
                c if c == quote => {
                    end = Some(start + 1 + at + 1);
                    break;
                }
                c => literal.push(c),
            }
        }
        // Single quotes also begin lifetimes.
        let is_whole = quote == '"' || literal.chars().count() == 1;
        match end.filter(|_| is_whole) {
            Some(end) => {
                // Sentences are documentation of detectors.
                let is_sentence = literal.ends_with('.') && literal.contains(' ');
                if !literal.is_empty() && !is_sentence {
                    units.insert(literal);
                }
                rest = &rest[end..];
            }
            None => rest = &rest[start + 1..],
        }
    }
}

/// Returns the share of all texts to test.
#[expect(
    clippy::disallowed_methods,
    reason = "a test is asked for more by a variable"
)]
pub(crate) fn share() -> Option<usize> {
    std::env::var("AGENTGUARD_WORK").ok()?.parse().ok()
}

/// Hostile text of a given length: a unit alone, two in turns, one inside the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostileText {
    /// `ababab…`
    InTurns(String, String),
    /// `aaaa…bbbb…`: all the beginnings, then something that could have ended them.
    Apart(String, String),
    /// `abbb…abbb…`: one beginning, and the other repeated within its lookahead.
    Within(String, String),
}

impl HostileText {
    pub(crate) fn text(&self, len: usize) -> String {
        match self {
            Self::InTurns(a, b) => filled(&format!("{a}{b}"), len),
            Self::Apart(a, b) => filled(a, len / 2) + &filled(b, len / 2),
            Self::Within(a, b) => filled(&format!("{a}{}\n", filled(b, 480)), len),
        }
    }
}

fn filled(unit: &str, len: usize) -> String {
    unit.repeat(len.div_ceil(unit.len().max(1)))
}

/// Pseudo-random numbers that are always the same: xorshift64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Returns a number that depends on this text alone: FNV-1a.
fn number_of(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |number, byte| {
        (number ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Returns every unit alone and with each separator, or `1/share` of these, and the same number of pairs of units.
///
/// What is chosen for a unit depends on that unit, and on few others. So a new literal somewhere in the code adds its own
/// texts, and a failure is about what was changed.
pub(crate) fn texts(units: &[String], share: usize) -> Vec<HostileText> {
    let mut ring: Vec<(u64, &String)> = units.iter().map(|unit| (number_of(unit), unit)).collect();
    ring.sort_unstable();
    let mut made = Vec::new();
    for unit in units {
        let mut numbers = Numbers(number_of(unit) | 1);
        let before = made.len();
        made.push(HostileText::InTurns(unit.clone(), String::new()));
        for separator in SEPARATORS.iter().skip(1) {
            if numbers.below(share) == 0 {
                made.push(HostileText::InTurns(unit.clone(), (*separator).to_owned()));
            }
        }
        for run in RUNS {
            if numbers.below(share) == 0 {
                made.push(HostileText::Within(unit.clone(), (*run).to_owned()));
            }
        }
        for _ in before..made.len() {
            let kind = numbers.below(4);
            let at = ring.partition_point(|(number, _)| *number < numbers.0);
            let (_, other) = ring[at % ring.len()];
            let (unit, other) = (unit.clone(), other.clone());
            made.push(match kind {
                0 => HostileText::Apart(unit, other),
                1 => HostileText::Within(unit, other),
                _ => HostileText::InTurns(unit, other),
            });
        }
    }
    made
}
