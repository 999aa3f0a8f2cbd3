use super::*;
use crate::author::parse_yaml;
use crate::policy::load;
use proptest::prelude::*;

/// Returns a policy. `patterns` is a list of regular expressions in YAML.
fn policy(patterns: &str) -> Policy {
    let text = r#"
apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: test }
defaults: { action: allow }
rules:
  - { id: pii, match: { event: response }, when: { text: { detects: [pii, secrets, injection] } }, action: redact }
  - { id: words, match: { event: response }, when: { text: { contains_any: [forbidden, "swan lake", "swan lakeside", Straße, "\n\n", " end  ", Секретный код] } }, action: redact }
  - { id: regex, match: { event: response }, when: { text: { matches: [PATTERNS] } }, action: redact }
"#;
    let text = text.replace("PATTERNS", patterns);
    let loaded = load(&parse_yaml(&text).unwrap());
    loaded
        .policy
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

/// Watch without any strings.
struct Nothing;

impl Watch for Nothing {
    fn restored(&self, _: &str) -> Option<String> {
        None
    }

    fn cut(&self, _: &str, at: usize) -> usize {
        at
    }
}

/// All matches: kind (detector, pattern, literal, or literal exactly as written), number, start and end.
type All = Vec<(u8, u32, usize, usize)>;

fn all_of(scan: &TextScan, start: usize, all: &mut All) {
    let at = |range: &Range<usize>| (range.start + start, range.end + start);
    for finding in &scan.findings {
        let (from, to) = at(&finding.range());
        all.push((0, u32::from(finding.detector), from, to));
    }
    let spans = scan.spans.as_deref().cloned().unwrap_or_default();
    for (pattern, range) in &spans.patterns {
        let (from, to) = at(range);
        all.push((1, *pattern, from, to));
    }
    for (literal, range, exact) in &spans.literals {
        let (from, to) = at(range);
        all.push((2, *literal, from, to));
        if *exact {
            all.push((3, *literal, from, to));
        }
    }
}

/// Returns what is found in a text that comes in these pieces, and the maximum that was held back after any of them.
fn found(policy: &Policy, pieces: &[&str]) -> (All, usize) {
    let mut window = HoldbackBuffer::default();
    let mut scratch = ScanScratch::default();
    let mut all = Vec::new();
    let mut most = 0;
    for (number, piece) in pieces.iter().enumerate() {
        let ending = if number + 1 == pieces.len() {
            Ending::Final
        } else {
            Ending::Open
        };
        let before = window.settled();
        let settled = window.push(policy, piece, ending, &Nothing, &mut scratch);
        assert!(window.settled() >= before);
        if let Some(settled) = settled {
            assert!(
                settled.start >= before && settled.start + settled.text.len() <= window.settled()
            );
            all_of(settled.scan.scan(), settled.start, &mut all);
        }
        most = most.max(window.length() - window.settled());
    }
    all.sort();
    all.dedup();
    (all, most)
}

fn cut<'t>(text: &'t str, cuts: &[usize]) -> Vec<&'t str> {
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|cut| text.floor_char_boundary(cut % (text.len() + 1)))
        .collect();
    ends.push(text.len());
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter()
        .map(|end| {
            let piece = text.get(start..end).unwrap();
            start = end;
            piece
        })
        .collect()
}

const FRAGMENTS: &[&str] = &[
    " ",
    "\n",
    "a",
    "the ",
    "4111 1111 1111 1111",
    "4111111111111111",
    "078-05-1120",
    "anna@example.com",
    "@",
    "forbidden",
    "forBIDDEN",
    "for\u{200b}bidden",
    "f&#111;rbidden",
    "ｆｏｒｂｉｄｄｅｎ",
    "swan lake",
    "swan ",
    "swan\t\r\n  lake",
    "\u{2028}",
    "\u{a0}  ",
    "    ",
    "ignore ",
    "previous\n",
    "instructions",
    "lakeside",
    "AB-1234",
    "AB-",
    "9999",
    "xx",
    "y",
    "end",
    "ssn ",
    "Straße",
    "STRASSE",
    "СЕКРЕТНЫЙ",
    "секрет",
    "ный ",
    " КоД",
    "é",
    "\u{301}",
    "\u{200d}",
    "AKIAIOSFODNN7EXAMPLE",
    "sk-ant-api03-",
    "password: hunter2hunter2",
    "+49 30 1234567",
    "DE89370400440532013000",
    "\\u0066orbidden",
    ".",
    ",",
    "https://x.io/?q=",
    "-----BEGIN RSA PRIVATE KEY-----",
    "MIIEow",
    "==",
    "Zm9yYmlkZGVu",
    "192.168.0.1",
    "0",
    "1",
    "name,ssn,password\n",
    "Ann,536221234,kX9#mQ2vL\n",
    "Ann,536221234,kX9#mQ2vL\nBob,536221235,kX9#mQ2vM\n",
    "| ssn | token |\n|---|---|\n",
    "| 536221234 | n5rAeWSpLvy4ZcF229Jemquu |\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn pieces_have_the_findings_of_the_whole(
        parts in prop::collection::vec(0..FRAGMENTS.len(), 0..14),
        cuts in prop::collection::vec(0usize..400, 0..10),
    ) {
        let policy = policy(r#""AB-[0-9]{4,9}", "x+y", "\\bend\\b", "end$", "^swan", "a[^b]*b""#);
        let text: String = parts.iter().map(|part| FRAGMENTS[*part]).collect();
        let (whole, _) = found(&policy, &[&text]);
        let (pieces, _) = found(&policy, &cut(&text, &cuts));
        prop_assert_eq!(&pieces, &whole, "{:?}", text);
        let letters: Vec<&str> = text.split_inclusive(|_: char| true).collect();
        if !letters.is_empty() {
            let (pieces, _) = found(&policy, &letters);
            prop_assert_eq!(&pieces, &whole, "{:?}", text);
        }
    }
}

#[test]
fn what_is_read_as_a_blank_is_so_wherever_the_text_is_cut() {
    let policy = policy(r#""\\bend\\b""#);
    for hidden in ["\u{200d}", "\u{200b}\u{200d}", "\u{ad}"] {
        for blanks in [" ", "  ", "   ", "\u{a0}  ", "     x"] {
            let text = format!("s{hidden}end{blanks}");
            let (whole, _) = found(&policy, &[&text]);
            let letters: Vec<&str> = text.split_inclusive(|_: char| true).collect();
            assert_eq!(found(&policy, &letters).0, whole, "{text:?}");
        }
    }
}

#[test]
fn of_clean_text_little_is_held_back() {
    let policy = policy(r#""AB-[0-9]{4,9}", "x{1,50}y""#);
    let text = "The quick brown fox, aged 7, jumped over 13 lazy dogs on 2026-11-20; it cost $12.50 and nobody minded. "
        .repeat(40);
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let (found, most) = found(&policy, &words);
    assert_eq!(found, Vec::new());
    assert!(most <= 64, "{most}");
}

#[test]
fn a_heading_stands_over_rows_that_come_long_after_it_has_left() {
    let policy = policy(r#""AB-[0-9]{4,9}""#);
    let mut text = "name,ssn,password\n".to_owned();
    for number in 0..400 {
        text.push_str(&format!(
            "Ann Lee,536221{:03},kX9#mQ2v{number}\n",
            number % 1000
        ));
    }
    let (whole, _) = found(&policy, &[&text]);
    assert_eq!(whole.len(), 800);
    for size in [1, 7, 64, 1_500] {
        let cuts: Vec<usize> = (0..text.len()).step_by(size).collect();
        let (pieces, most) = found(&policy, &cut(&text, &cuts));
        assert_eq!(pieces, whole, "pieces of {size}");
        assert!(most <= 64 + size, "{most} of pieces of {size}");
    }
}

#[test]
fn white_space_between_two_words_is_one_blank_however_long_and_wherever_it_is_cut() {
    let policy = policy(r#""AB-[0-9]{4,9}""#);
    let texts = [
        "a swan\tlake",
        "a swan\r\nlake",
        "a swan  lake",
        "a swan\u{85}lake",
        "a swan\u{2028}\u{2029} lake",
        "a swan\u{a0}\u{3000}lake",
        "a swan\u{200b} \u{2003}\\nlake",
        "a swan &#32; &#108;ake",
    ];
    let long = format!("a swan{}lake", " \t\r\n".repeat(5_000));
    for text in texts.into_iter().chain([long.as_str()]) {
        let expected = vec![(2, 1, 2, text.len())];
        let inexact = |text: &str| {
            let letters: Vec<&str> = text.split_inclusive(|_: char| true).collect();
            [found(&policy, &[text]).0, found(&policy, &letters).0]
        };
        let blanks = |all: &All| {
            all.iter()
                .filter(|(kind, number, ..)| (*kind, *number) == (2, 1))
                .copied()
                .collect::<Vec<_>>()
        };
        for all in inexact(text) {
            assert_eq!(blanks(&all), expected, "{text:?}");
        }
    }
}

#[test]
fn what_is_held_back_for_long_is_not_looked_through_with_each_piece() {
    let policy = policy(r#""start.*end""#);
    let mut window = HoldbackBuffer::default();
    let mut scratch = ScanScratch::default();
    let mut push = |window: &mut HoldbackBuffer, piece: &str, ending| {
        window.push(&policy, piece, ending, &Nothing, &mut scratch)
    };
    assert!(push(&mut window, "at the start ", Ending::Open).is_none());
    let mut looks = 0;
    for _ in 0..20_000 {
        let before = window.patience;
        assert!(push(&mut window, "word ", Ending::Open).is_none());
        looks += usize::from(before == 0 || window.patience != before);
    }
    assert!(looks < EACH_PIECE / 5 + 50, "{looks}");
    assert_eq!(window.settled(), "at the ".len());
    let settled = push(&mut window, "end", Ending::Final).unwrap();
    assert_eq!(settled.start, "at the ".len());
    assert_eq!(window.settled(), "at the start end".len() + 20_000 * 5);
}

#[test]
fn a_long_text_in_pieces_has_the_findings_of_the_whole() {
    let policy = policy(r#""start.*end""#);
    let words = "word ".repeat(2_000);
    let text = format!("start {words}\n{words} start {words} end, john@corp.io\nforbidden {words}");
    let pieces: Vec<&str> = text.split_inclusive(' ').collect();
    let (whole, _) = found(&policy, &[&text]);
    assert!(whole.len() >= 3);
    assert_eq!(found(&policy, &pieces).0, whole);
}

/// Maximum steps for a frame of a few bytes, on average over a text. An exchange earns about 21,000 steps with each frame.
/// A few texts of one unit cost more (`A3-A3-…`, where a hardware address may begin at each place): an exchange may have
/// about 900 frames of such a text before its work budget is exhausted.
const MOST: u64 = 30_000;

/// Maximum steps for flags that are written in tag characters, which are read in three ways: an exchange may have about 450
/// frames of nothing but such flags.
const MOST_OF_TAGS: u64 = 40_000;

fn most(text: &str) -> u64 {
    let is_tag = |c| matches!(c, '\u{E0000}'..='\u{E007F}');
    match text.contains(is_tag) {
        true => MOST_OF_TAGS,
        false => MOST,
    }
}

/// Returns the average steps for a piece of a text.
fn steps(policy: &Policy, text: &str, piece: usize) -> u64 {
    let mut window = HoldbackBuffer::default();
    let mut scratch = ScanScratch::default();
    let mut rest = text;
    let mut pieces = 0;
    let ((), steps) = crate::wire::work::count(|| {
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.ceil_char_boundary(piece.min(rest.len())));
            rest = later;
            pieces += 1;
            window.push(policy, now, Ending::Open, &Nothing, &mut scratch);
        }
    });
    steps / pieces
}

#[test]
fn no_stream_made_of_what_is_looked_for_costs_much_more_than_others() {
    let share = crate::detect::hostile::share();
    let policy = policy("'(?i)ignore.{0,40}instructions', 'a[ab]{6}c'");
    let made = crate::detect::hostile::texts(&crate::detect::hostile::units(), 1_000);
    let step = share.unwrap_or(made.len() / 300);
    let mut tried: Vec<_> = made
        .iter()
        .step_by(step)
        .map(|made| (steps(&policy, &made.text(2_000), 16), made))
        .collect();
    tried.sort_by_key(|(steps, _)| std::cmp::Reverse(*steps));
    if share.is_some() {
        for (steps, made) in tried.iter().take(40) {
            println!("{steps} {made:?}");
        }
    }
    let over: Vec<_> = tried
        .iter()
        .filter(|(steps, made)| *steps > most(&made.text(2_000)))
        .collect();
    assert!(
        over.is_empty(),
        "{} {:#?}",
        over.len(),
        over.iter().take(20).collect::<Vec<_>>()
    );
}
