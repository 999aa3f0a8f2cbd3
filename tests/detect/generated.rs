//! Valid values are found, in prose, data, programs and logs and in every disguise; with one digit changed they are not.

use agentguard::detect::{Confidence, Input, Scanner, Scratch, Selection};

use super::values::{Dice, KINDS, Kind, TOKENS};

/// Values of each kind.
const DRAWS: usize = 25;

struct Finder {
    scanner: Scanner,
    scratch: Scratch,
}

impl Finder {
    fn new(name: &str) -> Self {
        let mut selection = Selection::none();
        selection.add(name, Confidence::Medium).unwrap();
        Self {
            scanner: Scanner::new(&selection),
            scratch: Scratch::default(),
        }
    }

    /// Whether one finding is exactly this part of the text, if there is one, else whether there is no finding.
    fn finds_only(&mut self, text: &str, part: Option<&str>) -> bool {
        let mut findings = Vec::new();
        self.scanner
            .scan(&Input::whole(text), &mut self.scratch, &mut findings);
        let found: Vec<&str> = findings
            .iter()
            .map(|f| text.get(f.range()).unwrap())
            .collect();
        found == part.as_slice()
    }
}

fn each_value(mut check: impl FnMut(&Kind, &mut Finder, &str, &mut Dice, &mut Vec<String>)) {
    let mut wrong = Vec::new();
    for kind in KINDS {
        let mut finder = Finder::new(kind.name);
        let mut dice = Dice(7);
        for _ in 0..DRAWS {
            let value = kind.value(&mut dice);
            check(kind, &mut finder, &value, &mut dice, &mut wrong);
        }
    }
    let shown = wrong
        .iter()
        .take(40)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(wrong.is_empty(), "{} wrong\n{shown}", wrong.len());
}

/// Texts in which a value stands behind its word.
fn carriers(word: &str, value: &str) -> Vec<String> {
    let name = word.replace([' ', '-'], "_");
    vec![
        format!("Hello, my {word} is {value}, could you check it? Thanks."),
        format!("{word}: {value}"),
        format!("{{\"name\": \"Ann\", \"{name}\": \"{value}\", \"active\": true}}"),
        format!("{{\"{name}\":\"{value}\"}}"),
        format!("const {name} = \"{value}\";\nsend({name});"),
        format!("INSERT INTO t ({name}) VALUES ('{value}');"),
        format!("2026-03-01T10:11:12.345Z INFO worker-7 {name}={value} status=200 took=12ms"),
        format!("<{name}>{value}</{name}>"),
        format!("- {name}: {value}\n- other: 1\n"),
        format!("# User\n\n| {word} | {value} |\n"),
        format!("?{name}={value}&next=1"),
    ]
}

#[test]
fn valid_values_are_found_in_every_kind_of_text() {
    each_value(|kind, finder, value, _, wrong| {
        for text in carriers(kind.word, value) {
            if !finder.finds_only(&text, Some(value)) {
                wrong.push(format!("{}: {text}", kind.name));
            }
        }
    });
}

#[test]
fn with_one_digit_changed_a_value_is_none() {
    each_value(|kind, finder, value, dice, wrong| {
        // Numbers with a wrong check character are in use, at medium confidence: people copy them from guides.
        if kind.name == "in_gstin" {
            return;
        }
        for place in (0..value.len()).filter(|at| value.as_bytes()[*at].is_ascii_digit()) {
            let digit = value.as_bytes()[place] - b'0';
            let other = (usize::from(digit) + 1 + dice.below(9)) % 10;
            let changed = format!("{}{other}{}", &value[..place], &value[place + 1..]);
            if (kind.valid)(&changed) {
                continue;
            }
            let text = format!("my {} is {changed}, ok", kind.word);
            if !finder.finds_only(&text, None) {
                wrong.push(format!("{}: {text} (of {value})", kind.name));
            }
        }
    });
}

/// The ways to hide a value from a search, each with its name.
pub fn disguises(value: &str) -> Vec<(&'static str, String)> {
    let each = |map: &dyn Fn(char) -> String| value.chars().map(map).collect::<String>();
    let joined = |mark: char| {
        let mut text = String::new();
        for (place, c) in value.chars().enumerate() {
            if place > 0 {
                text.push(mark);
            }
            text.push(c);
        }
        text
    };
    let shifted = |first: u32, zero: char| {
        each(&|c| match c.to_digit(10) {
            Some(digit) => char::from_u32(first + digit).unwrap().to_string(),
            None if c == zero => c.to_string(),
            None => c.to_string(),
        })
    };
    let looks = [
        ('A', 'А'),
        ('B', 'В'),
        ('C', 'С'),
        ('E', 'Е'),
        ('H', 'Н'),
        ('K', 'К'),
        ('M', 'М'),
        ('O', 'О'),
        ('P', 'Р'),
        ('T', 'Т'),
        ('X', 'Х'),
    ];
    vec![
        (
            "full width",
            each(&|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap().to_string()),
        ),
        ("mathematical digits", shifted(0x1D7CE, ' ')),
        ("Arabic digits", shifted(0x660, ' ')),
        ("Devanagari digits", shifted(0x966, ' ')),
        (
            "Cyrillic letters",
            each(&|c| {
                looks
                    .iter()
                    .find(|(latin, _)| *latin == c)
                    .map_or(c, |(_, other)| *other)
                    .to_string()
            }),
        ),
        ("zero width spaces", joined('\u{200B}')),
        ("zero width joiners", joined('\u{200D}')),
        ("word joiners", joined('\u{2060}')),
        ("soft hyphens", joined('\u{AD}')),
        ("grapheme joiners", joined('\u{34F}')),
        ("variation selectors", joined('\u{FE0F}')),
        ("isolates", joined('\u{2066}')),
        ("byte order marks", joined('\u{FEFF}')),
        ("strokes through", joined('\u{336}')),
        (
            "tag characters",
            each(&|c| char::from_u32(u32::from(c) + 0xE0000).unwrap().to_string()),
        ),
        ("tag characters between", joined('\u{E0041}')),
        (
            "full width with soft hyphens",
            joined('\u{AD}')
                .chars()
                .map(|c| match c.is_ascii() {
                    true => char::from_u32(u32::from(c) + 0xFEE0).unwrap(),
                    false => c,
                })
                .collect(),
        ),
        (
            "entities in percent escapes",
            each(&|c| format!("%26%23{}%3B", u32::from(c))),
        ),
        (
            "decimal entities",
            each(&|c| format!("&#{};", u32::from(c))),
        ),
        (
            "hexadecimal entities",
            each(&|c| format!("&#x{:x};", u32::from(c))),
        ),
        (
            "percent escapes",
            each(&|c| format!("%{:02X}", u32::from(c))),
        ),
        (
            "escapes of JSON",
            each(&|c| format!("\\u{:04x}", u32::from(c))),
        ),
        (
            "escapes of C",
            each(&|c| format!("\\x{:02x}", u32::from(c))),
        ),
    ]
}

#[test]
fn valid_values_are_found_in_every_disguise_with_their_own_bytes() {
    each_value(|kind, finder, value, _, wrong| {
        for (how, hidden) in disguises(value) {
            let text = format!("my {} is {hidden}, ok", kind.word);
            if !finder.finds_only(&text, Some(&hidden)) {
                wrong.push(format!("{} in {how}: {text}", kind.name));
            }
        }
    });
}

#[test]
fn valid_values_are_found_where_they_are_spelled() {
    each_value(|kind, finder, value, _, wrong| {
        for between in [" ", "-", "  ", ", "] {
            // Three separators at most: `5  -  6` has more.
            if between.len() > 1 && !value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                continue;
            }
            let letters: Vec<String> = value.chars().map(String::from).collect();
            let spelled = letters.join(between);
            let text = format!("my {} is {spelled}, ok", kind.word);
            if !finder.finds_only(&text, Some(&spelled)) {
                wrong.push(format!("{}: {text}", kind.name));
            }
        }
    });
}

#[test]
fn tokens_are_found_in_every_kind_of_text_and_in_every_disguise() {
    let mut wrong = Vec::new();
    for token in TOKENS {
        let mut finder = Finder::new(token.name);
        let mut dice = Dice(11);
        for _ in 0..DRAWS {
            let value = token.value(&mut dice);
            let plain = carriers("token", &value)
                .into_iter()
                .map(|text| (text, value.clone()));
            let hidden = disguises(&value)
                .into_iter()
                .map(|(_, hidden)| (format!("my token is {hidden}, ok"), hidden));
            for (text, value) in plain.chain(hidden) {
                if !finder.finds_only(&text, Some(&value)) {
                    wrong.push(format!("{}: {text}", token.name));
                }
            }
        }
    }
    let shown = wrong
        .iter()
        .take(40)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(wrong.is_empty(), "{} wrong\n{shown}", wrong.len());
}
