#![expect(clippy::string_slice, reason = "tests cut ASCII and known texts")]

use super::*;
use proptest::prelude::*;

fn spans(pattern: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let pattern = Pattern::new(pattern).unwrap();
    pattern.spans(text, 0, &mut Scratch::default(), &mut |span| {
        found.push(text[span].to_owned())
    });
    found
}

fn is_match(pattern: &str, text: &str) -> bool {
    Pattern::new(pattern)
        .unwrap()
        .is_match(text, &mut Scratch::default())
}

fn error(pattern: &str) -> (String, String) {
    let error = Pattern::new(pattern).unwrap_err();
    (error.message, pattern[error.span].to_owned())
}

#[test]
fn dot_and_negated_classes_are_whole_characters() {
    assert_eq!(spans("a.b", "aéb a😀b a\nb"), ["aéb", "a😀b"]);
    assert_eq!(spans("[^a-z ]+", "ab ÄÖ😀 c"), ["ÄÖ😀"]);
    assert_eq!(spans(r"\W", "aé"), ["é"]);
    assert_eq!(spans(r"[^\d]", "1é2"), ["é"]);
}

#[test]
fn letters_digits_and_word_edges_are_ascii() {
    assert!(!is_match(r"\d", "٣"));
    assert!(!is_match(r"\w", "é"));
    assert_eq!(spans(r"\bab\b", "éab ab xab"), ["ab", "ab"]);
    assert_eq!(spans(r"[\w.-]+@\w+", "a.b-c@d"), ["a.b-c@d"]);
    assert_eq!(spans(r"[[:upper:]]{2}", "abCDe"), ["CD"]);
}

#[test]
fn case_is_ignored_where_the_flag_stands() {
    assert_eq!(
        spans("(?i)straße", "STRAßE Straße STRASSE"),
        ["STRAßE", "Straße"]
    );
    assert_eq!(spans("a(?i:b)c", "aBc ABc aBC"), ["aBc"]);
    assert_eq!(spans("a(?i)b|c", "aB C AB"), ["aB", "C"]);
    assert_eq!(spans("(?i)[x-z]", "Xy"), ["X", "y"]);
    assert_eq!(spans("(?i)[^a]", "aAb"), ["b"]);
    assert!(!is_match("(?i)k", "\u{212A}"), "the sign of kelvin");
    assert_eq!(
        spans("(?i)секрет", "СЕКРЕТ секрет СеКрЕт"),
        ["СЕКРЕТ", "секрет", "СеКрЕт"]
    );
    assert_eq!(spans("(?i)[а-г]+", "АбВ ж"), ["АбВ"]);
    assert_eq!(spans("(?i)[^а]+", "бАв"), ["б", "в"]);
    assert_eq!(spans("(?i)ǅ", "Ǆǅǆ"), ["Ǆ", "ǅ", "ǆ"]);
    assert_eq!(spans("секрет", "СЕКРЕТ"), [""; 0]);
}

#[test]
fn anchors_mean_the_whole_text_unless_multi_line() {
    assert!(!is_match("^b", "a\nb"));
    assert!(is_match("(?m)^b$", "a\nb\nc"));
    assert!(!is_match("a$", "a\n"));
    assert!(is_match("(?s)a.b", "a\nb"));
}

#[test]
fn spans_are_leftmost_not_empty_and_do_not_overlap() {
    assert_eq!(spans("a*", "aabé a"), ["aa", "a"]);
    assert_eq!(spans("ab|abc", "abc"), ["ab"]);
    assert_eq!(spans("a+?", "aa"), ["a", "a"]);
    assert_eq!(spans("(?U)a+", "aa"), ["a", "a"]);
    assert_eq!(spans("x*", "héllo"), Vec::<String>::new());
}

#[test]
fn reach_is_counted_in_characters() {
    let reach = |pattern: &str| Pattern::new(pattern).unwrap().reach();
    assert_eq!(reach("äöü"), Some(3));
    assert_eq!(reach(r"(a|bcd)?\d{2,4}\b"), Some(7));
    assert_eq!(reach("a+"), None);
    assert_eq!(reach("(?:)*"), Some(0));
    assert_eq!(reach("a{0}"), Some(0));
    assert!(Pattern::new("a?|b").unwrap().matches_empty());
    assert!(!Pattern::new("a").unwrap().matches_empty());
}

#[test]
fn errors_point_at_the_place_and_say_what_to_do() {
    assert_eq!(error("a(b"), ("unclosed group".to_owned(), "(".to_owned()));
    assert_eq!(error(r"a\p{L}b").1, r"\p{L}");
    assert_eq!(error("(?=a)").1, "(?=");
    assert_eq!(error(r"(a)\1").1, r"\1");
    assert_eq!(error("(?-u)a").1, "u");
    assert_eq!(error("[z-a]").1, "z-a");
    assert!(
        error(r"(\w{100}){100}")
            .0
            .starts_with("the compiled pattern is larger")
    );
    assert!(Pattern::new(&"a".repeat(MAX_PATTERN_BYTES + 1)).is_err());
    assert!(Pattern::new(&"(".repeat(4_000)).is_err());
    assert!(Pattern::new("*").unwrap_err().help.is_some());
}

#[test]
fn a_set_tells_in_one_pass_which_patterns_match() {
    let set = PatternSet::new(
        ["abc", r"\d+", "^x", ""]
            .iter()
            .map(|p| Pattern::new(p).unwrap())
            .collect(),
    )
    .unwrap();
    let mut scratch = Scratch::default();
    let mut which = |text: &str| {
        let mut found = Vec::new();
        set.matching(text, &mut scratch, &mut |index| found.push(index));
        found
    };
    assert_eq!(which("zabc7"), [0, 1, 3]);
    assert_eq!(which("x"), [2, 3]);
    assert_eq!(which(""), [3]);
    let mut none = Vec::new();
    PatternSet::new(Vec::new())
        .unwrap()
        .matching("x", &mut scratch, &mut |index| none.push(index));
    assert!(none.is_empty());
}

#[test]
fn one_scratch_serves_many_patterns_in_turn() {
    let mut scratch = Scratch::default();
    for round in 0..3 {
        for n in 0..CACHED_PATTERNS + 3 {
            let pattern = Pattern::new(&format!("x{n}y")).unwrap();
            assert!(
                pattern.is_match(&format!("a x{n}y"), &mut scratch),
                "{round} {n}"
            );
            assert!(!pattern.is_match("a xy", &mut scratch));
        }
    }
}

#[test]
fn a_quadratic_search_for_spans_ends_in_one_long_span() {
    let text = "a".repeat(200_000);
    let pattern = Pattern::new("a[^z]*z|a").unwrap();
    let mut spans = Vec::new();
    pattern.spans(&text, 0, &mut Scratch::default(), &mut |span| {
        spans.push(span)
    });
    assert!(spans.len() < 100);
    assert_eq!(spans.last().unwrap().end, text.len());
}

#[test]
fn begun_is_where_more_text_could_complete_a_match() {
    let begun = |pattern: &str, text: &str| {
        Pattern::new(pattern)
            .unwrap()
            .begun(text, 0, &mut Scratch::default())
    };
    assert_eq!(begun("secret", "my secr"), 3);
    assert_eq!(begun("secret", "my secrx"), 8);
    assert_eq!(begun(r"\bid-\d{4}\b", "an id-1234"), 3);
    assert_eq!(begun(r"\bid-\d{4}\b", "an id-1234 "), 11);
    assert_eq!(begun("a.*", "xxaxx"), 2);
    assert_eq!(begun("é😀!", "xé😀"), 1);
    assert_eq!(begun(r"(?:ab){3}c", "xabab"), 1);
    assert_eq!(begun("a$", "aa"), 1);
}

/// Matches of the text fed piece by piece, holding back what has begun.
fn fed(pattern: &Pattern, text: &str, cut: usize) -> Vec<Range<usize>> {
    let mut scratch = Scratch::default();
    let mut found = Vec::new();
    let begun = pattern.begun(&text[..cut], 0, &mut scratch);
    let mut safe = begun;
    pattern.spans(&text[..cut], 0, &mut scratch, &mut |span| {
        if span.start < begun {
            safe = safe.max(span.end);
            found.push(span);
        }
    });
    pattern.spans(text, safe, &mut scratch, &mut |span| found.push(span));
    found
}

proptest! {
    #[test]
    fn text_fed_in_two_pieces_has_the_same_matches(
        pattern in prop::sample::select(vec!["ab", "a[bc]{2,4}d", r"\b\w{3}\b", "a|abc", "é+b?", "(?i)ab+c?", "b$"]),
        text in "[abcdAB é]{0,24}",
    ) {
        let compiled = Pattern::new(pattern).unwrap();
        let mut whole = Vec::new();
        compiled.spans(&text, 0, &mut Scratch::default(), &mut |span| whole.push(span));
        for cut in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            prop_assert_eq!(&fed(&compiled, &text, cut), &whole, "{} cut at {}", text, cut);
        }
    }

    #[test]
    fn no_pattern_panics_and_a_set_agrees_with_its_patterns(
        pattern in "[ab()\\[\\]{}|*+?.^$\\\\wd0-9,-]{0,12}",
        text in "[ab09 é]{0,16}",
    ) {
        if let Ok(compiled) = Pattern::new(&pattern) {
            let mut scratch = Scratch::default();
            let alone = compiled.is_match(&text, &mut scratch);
            let mut in_set = false;
            let set = PatternSet::new(vec![compiled.clone()]).unwrap();
            set.matching(&text, &mut scratch, &mut |_| in_set = true);
            prop_assert_eq!(alone, in_set);
            compiled.spans(&text, 0, &mut scratch, &mut |span| assert!(text.get(span).is_some()));
            prop_assert!(compiled.begun(&text, 0, &mut scratch) <= text.len());
        }
    }
}

#[test]
fn what_is_called_small_is_never_larger_than_allowed() {
    for source in [
        "a",
        "(?i)project-17-[0-9]{2,4}",
        ".*",
        "[^,]+",
        "[α-ω]{3}",
        "[^\\x00-\\x7F]{20}",
        "(a|b|cd)*x?",
        "\\w{100}\\b",
        "(\\d{3}-){4}",
        "((ab)?c){9}",
        "[\\x{80}-\\x{10FFFF}]",
        "^$",
    ] {
        let hir = translate::translate(source).unwrap();
        let bytes = compile(&[&hir], false, usize::MAX).unwrap().memory_usage();
        // Whatever the pattern, an automaton has a few states of its own.
        let states = translate::states(&hir) + 8;
        assert!(
            bytes <= states * 128,
            "{source}: {bytes} bytes, {states} states"
        );
    }
}
