//! A policy's own detectors, allow-lists, and what stands in encoded runs.

use super::*;
use crate::detect::allow;
use crate::detect::pattern::Pattern;
use crate::detect::{AllowList, CustomDetector, Validator};

fn scan(selection: &Selection, input: &Input<'_>) -> Vec<(String, String, Confidence)> {
    let scanner = Scanner::new(selection);
    let mut findings = Vec::new();
    scanner.scan(input, &mut Scratch::default(), &mut findings);
    findings
        .iter()
        .map(|finding| {
            (
                scanner.name(finding.detector).unwrap().to_owned(),
                input.text[finding.range()].to_owned(),
                finding.confidence,
            )
        })
        .collect()
}

fn values(selection: &Selection, text: &str) -> Vec<String> {
    scan(selection, &Input::whole(text))
        .into_iter()
        .map(|(_, value, _)| value)
        .collect()
}

fn with(detector: CustomDetector, at_least: Confidence) -> Selection {
    let mut selection = Selection::none();
    let name = detector.name.clone();
    selection.define(detector).unwrap();
    selection.add(&name, at_least).unwrap();
    selection
}

fn staff() -> CustomDetector {
    CustomDetector {
        patterns: vec![Pattern::new(r"\bEMP-\d{6}\b").unwrap()],
        ..CustomDetector::new("staff")
    }
}

#[test]
fn a_pattern_is_found_as_written_and_as_read() {
    let selection = with(staff(), Confidence::Medium);
    assert_eq!(
        values(
            &selection,
            "EMP-123456, EMP-12345, ＥＭＰ-６５４３２１, E\u{200B}MP-11\u{AD}1111"
        ),
        [
            "EMP-123456",
            "ＥＭＰ-６５４３２１",
            "E\u{200B}MP-11\u{AD}1111"
        ]
    );
    let cyrillic = CustomDetector {
        patterns: vec![Pattern::new("паспорт [0-9]+").unwrap()],
        ..CustomDetector::new("passport_note")
    };
    assert_eq!(
        values(&with(cyrillic, Confidence::Low), "мой паспорт 4510"),
        ["паспорт 4510"]
    );
}

#[test]
fn keywords_are_whole_words_in_any_case_and_disguise() {
    let projects = CustomDetector {
        keywords: ["Project Nightingale", "Жук", "猫", "naïve"]
            .map(str::to_owned)
            .to_vec(),
        ..CustomDetector::new("projects")
    };
    let selection = with(projects, Confidence::Low);
    assert_eq!(
        values(
            &selection,
            "project nightingale, PROJECT\u{A0}NIGHTINGALES, жук, ЖУК, жуки, 黒猫だ, Naive, nаïve"
        ),
        ["project nightingale", "жук", "ЖУК", "猫", "Naive", "nаïve"]
    );
    assert_eq!(
        values(
            &selection,
            "жУк, ж\u{200B}УК, жУки, nAÏve, NaÏve, pRoject %4EightinGale"
        ),
        [
            "жУк",
            "ж\u{200B}УК",
            "nAÏve",
            "NaÏve",
            "pRoject %4EightinGale"
        ]
    );
}

#[test]
fn fifty_thousand_keywords_are_found() {
    let words = CustomDetector {
        keywords: (0..50_000).map(|n| format!("codename{n}")).collect(),
        ..CustomDetector::new("codenames")
    };
    assert_eq!(
        values(
            &with(words, Confidence::Low),
            "CodeName49999 codename50000 codename7"
        ),
        ["CodeName49999", "codename7"]
    );
}

#[test]
fn a_validator_and_an_allow_list_take_findings_away() {
    let member = CustomDetector {
        patterns: vec![Pattern::new(r"\d{4} ?\d{4}").unwrap()],
        validator: Validator::named("luhn"),
        allow: AllowList::new(["4242 4242"]),
        ..CustomDetector::new("member")
    };
    assert_eq!(
        values(
            &with(member, Confidence::Low),
            "1234 5674 and 12345675 and 4242 4242, 42424242"
        ),
        ["1234 5674"]
    );
}

#[test]
fn without_its_words_a_match_is_uncertain() {
    let member = |least| {
        with(
            CustomDetector {
                context: vec!["member".to_owned(), "numéro de client".to_owned()],
                ..staff()
            },
            least,
        )
    };
    let found = scan(
        &member(Confidence::Low),
        &Input::whole(
            "EMP-111111 x x x x x x x member: EMP-222222. Votre numero de client EMP-333333",
        ),
    );
    let confidences: Vec<Confidence> = found.iter().map(|(_, _, c)| *c).collect();
    assert_eq!(
        confidences,
        [Confidence::Low, Confidence::High, Confidence::High]
    );
    assert_eq!(values(&member(Confidence::Medium), "EMP-111111"), [""; 0]);
    let keyed = Input::whole("EMP-111111").under(Some("memberId"));
    assert_eq!(scan(&member(Confidence::Medium), &keyed).len(), 1);
}

#[test]
fn groups_may_hold_a_policys_own_detectors() {
    let mut selection = Selection::none();
    let index = selection
        .define(CustomDetector {
            groups: vec!["pii.staff".to_owned()],
            ..staff()
        })
        .unwrap();
    assert_eq!(usize::from(index), DETECTORS.len());
    assert!(selection.members("pii").unwrap().contains(&index));
    assert_eq!(selection.members("pii.staff").unwrap(), [index]);
    assert_eq!(selection.name(index), Some("staff"));
    assert!(!selection.members("secrets").unwrap().contains(&index));
    let unknown = selection.members("stuff").unwrap_err();
    assert!(unknown.suggestions.contains(&"staff".to_owned()));
    assert!(
        values(&selection, "EMP-123456").is_empty(),
        "defined, not added"
    );
}

#[test]
fn allowed_values_are_no_findings_of_the_detectors_they_are_for() {
    let mut selection = Selection::all(Confidence::Medium);
    selection
        .allow(
            Some("email"),
            AllowList::new(["*.example.com", "ann@example.org"]),
        )
        .unwrap();
    selection
        .allow(
            Some("payment"),
            AllowList::new(allow::known("test_cards").unwrap().iter().copied()),
        )
        .unwrap();
    selection
        .allow(None, AllowList::new(["123-45-6789"]))
        .unwrap();
    assert!(
        selection
            .allow(Some("nothing"), AllowList::default())
            .is_err()
    );
    assert_eq!(
        values(
            &selection,
            "bob@mail.example.com, ann@example.org, bob@example.org, 4111-1111-1111-1111, \
             ４１１１ 1111 1111 1111, 4539 1488 0343 6467"
        ),
        ["bob@example.org", "4539 1488 0343 6467"]
    );
}

#[test]
fn what_is_encoded_is_found_as_the_whole_run_if_asked_for() {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let mut selection = Selection::none();
    for name in ["email", "credit_card"] {
        selection.add(name, Confidence::Medium).unwrap();
    }
    let once = encode("mail to jane@example.org and bob@example.org");
    let text = format!("data: {once}; end");
    assert!(values(&selection, &text).is_empty());
    selection.decode(true);
    assert_eq!(values(&selection, &text), [once.as_str()]);
    let twice = encode(&format!("see {once}"));
    assert_eq!(values(&selection, &twice), [twice.as_str()]);
    let thrice = encode(&format!("see {twice}"));
    assert!(
        values(&selection, &thrice).is_empty(),
        "two levels are undone"
    );
    let hexadecimal: String = "card 4111111111111111"
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(values(&selection, &hexadecimal), [hexadecimal.as_str()]);
    let disguised = once.replace('b', "%62").replace('Z', "\u{200B}Z");
    assert_eq!(values(&selection, &disguised).len(), 1);
}

#[test]
fn more_findings_than_fit_are_noticed() {
    let scanner = Scanner::new(&Selection::all(Confidence::Medium));
    let mut scratch = Scratch::default();
    let mut findings = Vec::new();
    scanner.scan(&Input::whole("a@b.co"), &mut scratch, &mut findings);
    assert!(!scratch.is_incomplete());
    findings.clear();
    let many = "a@b.co ".repeat(MAX_FINDINGS + 1);
    scanner.scan(&Input::whole(&many), &mut scratch, &mut findings);
    assert!(scratch.is_incomplete());
    assert_eq!(findings.len(), MAX_FINDINGS);
    scanner.scan(&Input::whole(""), &mut scratch, &mut findings);
    assert!(!scratch.is_incomplete());
}
