//! A text that comes in pieces has the findings of the whole.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::detect::CustomDetector;
use crate::detect::Validator;
use crate::detect::pattern::Pattern;

/// Everything: all built-in detectors at the lowest confidence, own ones of every kind, decoding.
fn everything() -> Selection {
    let mut selection = Selection::all(Confidence::Low);
    for detector in [
        CustomDetector {
            patterns: vec![Pattern::new(r"[A-Z]{2}\d{2,9}").unwrap()],
            validator: Validator::named("random"),
            context: vec!["staff".to_owned()],
            ..CustomDetector::new("coded")
        },
        CustomDetector {
            keywords: ["red fox", "fox", "fox den", "猫", "жук", "a"]
                .map(str::to_owned)
                .to_vec(),
            ..CustomDetector::new("animals")
        },
        CustomDetector {
            patterns: vec![
                Pattern::new(r"<[^>]{1,20}>").unwrap(),
                Pattern::new(r"\bend\b.?").unwrap(),
            ],
            ..CustomDetector::new("tags")
        },
    ] {
        let name = detector.name.clone();
        selection.define(detector).unwrap();
        selection.add(&name, Confidence::Low).unwrap();
    }
    selection.decode(true);
    selection
}

static EVERYTHING: LazyLock<Scanner> = LazyLock::new(|| Scanner::new(&everything()));

/// Parts that texts are made of: values, their beginnings, what disguises them, noise.
fn part() -> impl Strategy<Value = String> {
    let samples: Vec<String> = DETECTORS
        .iter()
        .flat_map(|detector| {
            let hits = detector.hits.iter().map(|hit| hit.text.to_owned());
            hits.chain(detector.misses.iter().map(|miss| miss.text.to_owned()))
        })
        .collect();
    let noise = [
        " ",
        "\n",
        "\n\n",
        ", ",
        ": ",
        "\"",
        "{",
        "}",
        "\u{200B}",
        "\u{AD}",
        "&#",
        "&#52;",
        "%34",
        "%2534",
        "%26",
        "&amp;",
        "\\u0026",
        "#52;",
        "4, 1, 1",
        "\\u0034",
        "\\",
        "1",
        "12",
        "4111 1111",
        "4111",
        "-",
        ".",
        "@",
        "example.com",
        "card",
        "ssn ",
        "staff ",
        "é",
        "字",
        "a",
        "fox",
        "red ",
        " den",
        "猫",
        "жук",
        "жУк",
        "<",
        ">",
        "end",
        "AB12",
        "key=",
        "password: ",
        "https://",
        "a:b@",
        "jane",
        " at ",
        " [at] ",
        "(at)",
        " dot ",
        "(dot)",
        "com",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "1 2 3 - 4 5 - 6 7 8 9",
        "4-1-1-1 1-1",
        " 1 ",
        "1-",
        "SGVsbG8gamFuZUBleGFtcGxlLm9yZw==",
        "SGVsbG8g",
        "QUJDREVGR0hJSktMTU5P",
        "\u{E0041}",
        "\u{E0042}",
        "x",
    ];
    let whole = prop_oneof![
        4 => select(samples),
        4 => select(noise.map(str::to_owned).to_vec()),
        4 => "[a-z0-9 ]{1,8}",
        1 => select(TABLES.map(str::to_owned).to_vec()),
    ];
    (whole, any::<prop::sample::Index>(), 0..4u8).prop_map(|(text, cut, how)| {
        let at = text.floor_char_boundary(cut.index(text.len().max(1)));
        match how {
            0 => text[..at].to_owned(),
            _ => text,
        }
    })
}

/// Parts of tables.
const TABLES: [&str; 42] = [
    "id,laClave,1clave\n",
    "clave;id;claveNueva\n",
    "a,token b,key_id,password\n",
    "1,hunter2Xy!,kX9#mQ2vL\n",
    "id,name,ssn\n",
    "id;account;password\n",
    "ssn\tpassword\tid\n",
    "| id | ssn | api key |\n",
    "|---|---|---|\n",
    "+----+-----+\n",
    "staff,ссылка,пароль\n",
    "ssn\n",
    "INSERT INTO t (id, ssn, password) VALUES\n",
    "insert into `t` (staff, token) values (",
    "COPY t (ssn, password) FROM stdin;\n",
    "'536221234', ",
    "'O\\'x, (y', ",
    "hunter2Xy!",
    "'kX9#mQ2vL'",
    "\"kX9#, \"\"mQ2vL\"",
    "n5rAeWSpLvy4ZcF229Jemquu",
    "536221234",
    "078-05-1199",
    "AB12",
    "1,Ann,536221234\n",
    "1;12345678;hunter2Xy!\n",
    "536221234\tkX9#mQ2vL\t1\n",
    "| 1 | 536221234 | n5rAeWSpLvy4ZcF229Jemquu |\n",
    "1,x,kX9#mQ2vL\n",
    "(1, '536221234', 'hunter2Xy!'),\n",
    "(",
    "), ",
    "now()",
    ",",
    ";",
    "\t",
    " | ",
    "|",
    "\n",
    "\r\n",
    "\n\n",
    "\"",
];

/// What is kept of a text, and looked at, beside what is not settled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Context {
    All,
    LookBehind,
    Near,
}

fn in_pieces(scanner: &Scanner, text: &str, cuts: &[usize], context: Context) -> Vec<Finding> {
    let mut scratch = Scratch::default();
    let mut all = Vec::new();
    let (mut base, mut settled) = (0, 0);
    let mut tables = Tables::default();
    for (end, ending) in cuts
        .iter()
        .map(|cut| (*cut, Ending::Open))
        .chain([(text.len(), Ending::Final)])
    {
        if context != Context::All && settled - base > LOOK_BEHIND {
            base = text.floor_char_boundary(settled - LOOK_BEHIND);
        }
        let input = Input {
            text: &text[base..end],
            key: None,
            tables: (context != Context::All).then_some(&tables),
            settled: settled - base,
            ending,
            far: context != Context::Near || scratch.looks_far(),
        };
        let mut findings = Vec::new();
        let safe = scanner.scan(&input, &mut scratch, &mut findings) + base;
        scanner.follow(&mut tables, &text[base..end], settled - base, safe - base);
        assert!(safe >= settled && safe <= end, "{settled} {safe} {end}");
        assert!(text.is_char_boundary(safe));
        for finding in &mut findings {
            finding.start += base;
            finding.end += base;
            assert!(finding.start >= settled && finding.end <= safe);
        }
        all.extend(findings);
        settled = safe;
    }
    all
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_unstable_by_key(|f| (f.start, std::cmp::Reverse(f.end), f.detector));
    findings
}

fn whole(scanner: &Scanner, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    scanner.scan(&Input::whole(text), &mut Scratch::default(), &mut findings);
    findings
}

/// The first difference, readable.
fn difference(scanner: &Scanner, text: &str, whole: &[Finding], pieces: &[Finding]) -> String {
    let show = |f: &Finding| {
        format!(
            "{} {:?} {:?} {:?}",
            scanner.name(f.detector).unwrap(),
            f.range(),
            f.confidence,
            &text[f.range()]
        )
    };
    let only = |a: &[Finding], b: &[Finding]| -> Vec<String> {
        a.iter().filter(|f| !b.contains(f)).map(show).collect()
    };
    format!(
        "{text:?}\nonly in the whole: {:?}\nonly in pieces: {:?}",
        only(whole, pieces),
        only(pieces, whole)
    )
}

#[test]
fn a_quoted_value_that_begins_with_a_space_is_waited_for() {
    let scanner = &*EVERYTHING;
    let text = "password: \" 0532 0130 004\" and so on";
    let expected = whole(scanner, text);
    let quoted = text.find(" 0532").unwrap();
    assert!(expected.iter().any(|finding| finding.start == quoted));
    for cut in 0..=text.len() {
        let pieces = sorted(in_pieces(scanner, text, &[cut], Context::Near));
        assert_eq!(
            pieces,
            expected,
            "cut at {cut}: {}",
            difference(scanner, text, &expected, &pieces)
        );
    }
}

#[test]
fn what_comes_later_changes_nothing() {
    let scanner = &*EVERYTHING;
    for before in [
        "la clave kX9mQ2vLw3 ",
        "la claveNueva kX9mQ2vLw3 ",
        "mi clave: kX9mQ2vLw3 ",
        "id;laClave\n1;kX9#mQ2vL\n",
        "пароль kX9mQ2vLw3 ",
    ] {
        let alone = whole(scanner, before);
        for after in ["é", "字", "\u{AD}x", "\nпароль\n"] {
            let text = format!("{before}{after}");
            let mut found = whole(scanner, &text);
            found.retain(|finding| finding.end <= before.len());
            assert_eq!(found, alone, "{text:?}");
        }
    }
}

#[test]
fn a_long_local_part_before_a_bracketed_at_is_waited_for() {
    let scanner = &*EVERYTHING;
    let text = format!("mail {}(at)example.com", "j".repeat(64));
    let expected = whole(scanner, &text);
    assert!(expected.iter().any(|finding| finding.start == 5));
    in_steps(&text, 1).unwrap();
}

#[test]
fn a_long_word_of_two_scripts_begins_near_its_second_one() {
    let scanner = &*EVERYTHING;
    let text = format!("say {}а now", "x".repeat(100));
    let expected = whole(scanner, &text);
    assert!(
        expected.iter().any(|finding| finding.range() == (40..106)),
        "{expected:?}"
    );
    in_steps(&text, 1).unwrap();
}

#[test]
fn a_long_member_of_a_statement_may_be_cut_at_any_quote() {
    let scanner = &*EVERYTHING;
    let text = format!(
        "INSERT INTO t (note, password) VALUES ('{}''it''s', 'kX9#mQ2vL'), ('b', 'hunter2Xy!')",
        "no ".repeat(300)
    );
    let expected = whole(scanner, &text);
    assert_eq!(expected.len(), 2, "{expected:?}");
    for cut in 900..text.len() {
        let pieces = sorted(in_pieces(scanner, &text, &[cut], Context::LookBehind));
        assert_eq!(pieces, expected, "cut at {cut}");
    }
}

#[test]
fn a_token_that_ends_behind_the_longest_value_is_not_in_it() {
    let scanner = &*EVERYTHING;
    for (text, expected) in [
        ("пароль: my-own/kX9mQ2vLw3\n", true),
        (
            "пароль https://discord.com/api/webhooks/TOKEN=npm_hwt79fr6p36uaydft2z7x1u8ufjftytfd5m5\n",
            false,
        ),
    ] {
        let found = whole(scanner, text);
        let is_password = |finding: &Finding| scanner.name(finding.detector) == Some("password");
        assert_eq!(found.iter().any(is_password), expected, "{text}: {found:?}");
        for step in 1..70 {
            in_steps(text, step).unwrap();
        }
    }
}

#[test]
fn a_match_inside_a_word_leaves_the_word_one() {
    let scanner = &*EVERYTHING;
    for (text, expected) in [
        (
            "staff PAN: NQOPD6585KAA0123456B and AB0123456C",
            Confidence::High,
        ),
        ("staff b жукAA0123456B and AB0123456C", Confidence::High),
        ("staff b c d e f g AB0123456C", Confidence::Low),
    ] {
        let value = text.rfind("AB0123456").unwrap();
        let coded: Vec<_> = whole(scanner, text)
            .into_iter()
            .filter(|f| f.start == value && scanner.name(f.detector) == Some("coded"))
            .map(|finding| finding.confidence)
            .collect();
        assert_eq!(coded, [expected], "{text}");
    }
}

/// Whether a text in pieces of so many bytes has the findings of the whole.
fn in_steps(text: &str, step: usize) -> Result<(), TestCaseError> {
    let scanner = &*EVERYTHING;
    let expected = whole(scanner, text);
    let mut cuts: Vec<usize> = (0..text.len())
        .step_by(step)
        .map(|cut| text.floor_char_boundary(cut))
        .collect();
    cuts.dedup();
    for context in [Context::All, Context::LookBehind, Context::Near] {
        let pieces = sorted(in_pieces(scanner, text, &cuts, context));
        prop_assert!(
            pieces == expected,
            "steps of {step}, {context:?}: {}",
            difference(scanner, text, &expected, &pieces)
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_text_cut_anywhere_has_the_findings_of_the_whole(
        parts in prop::collection::vec(part(), 1..12),
    ) {
        let scanner = &*EVERYTHING;
        let text = parts.concat();
        let expected = whole(scanner, &text);
        for finding in &expected {
            prop_assert!(text.is_char_boundary(finding.start) && text.is_char_boundary(finding.end));
        }
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let pieces = sorted(in_pieces(scanner, &text, &[cut], Context::Near));
            prop_assert!(
                pieces == expected,
                "cut at {cut}: {}", difference(scanner, &text, &expected, &pieces)
            );
        }
    }

    #[test]
    fn a_text_in_many_pieces_has_the_findings_of_the_whole(
        parts in prop::collection::vec(part(), 1..80),
        step in 1..60usize,
    ) {
        in_steps(&parts.concat(), step)?;
    }

    #[test]
    fn a_table_in_many_pieces_has_the_findings_of_the_whole(
        parts in prop::collection::vec(select(TABLES.to_vec()), 1..160),
        step in 1..600usize,
    ) {
        in_steps(&parts.concat(), step)?;
    }
}
