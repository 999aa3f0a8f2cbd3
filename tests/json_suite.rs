//! The scanner against the public parsing cases. It is stricter than RFC 8259 on purpose, wherever two readers of the same
//! bytes could disagree; each such case is named here with its reason.
#![expect(clippy::unwrap_used, reason = "test code: a failure is a panic")]

use agentguard::wire::json::{Limits, ScanErrorKind, Tape, scan};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::io::Read;

/// Cases that the RFC accepts and the scanner refuses.
const STRICTER: &[(&str, ScanErrorKind)] = &[
    // Servers take the first or the last of two; the policy would judge one and the server might use the other.
    ("y_object_duplicated_key", ScanErrorKind::DuplicateKey),
    (
        "y_object_duplicated_key_and_value",
        ScanErrorKind::DuplicateKey,
    ),
];

/// Cases that the RFC leaves open: what the scanner does with them. All others of these it refuses.
const ACCEPTED_OF_THE_OPEN: &[&str] = &[
    // Numbers are kept as written and compared as exact decimals; none is too large or too precise.
    "i_number_double_huge_neg_exp",
    "i_number_huge_exp",
    "i_number_neg_int_huge_exp",
    "i_number_pos_double_huge_exp",
    "i_number_real_neg_overflow",
    "i_number_real_pos_overflow",
    "i_number_real_underflow",
    "i_number_too_big_neg_int",
    "i_number_too_big_pos_int",
    "i_number_very_big_negative_int",
    // Surrogates without a partner: read as U+FFFD in a text and forwarded as they came.
    "i_string_1st_surrogate_but_2nd_missing",
    "i_string_1st_valid_surrogate_2nd_invalid",
    "i_string_incomplete_surrogate_and_escape_valid",
    "i_string_incomplete_surrogate_pair",
    "i_string_incomplete_surrogates_escape_valid",
    "i_string_invalid_lonely_surrogate",
    "i_string_invalid_surrogate",
    "i_string_inverted_surrogates_U+1D11E",
    "i_string_lone_second_surrogate",
];

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    expect: String,
    body_base64: String,
}

fn cases() -> Vec<Case> {
    let packed = include_bytes!("json-suite/parsing.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_public_case_is_read_as_the_rfc_says_or_as_listed_here() {
    let stricter: BTreeMap<&str, ScanErrorKind> = STRICTER.iter().copied().collect();
    let mut seen = 0;
    for case in cases() {
        seen += 1;
        let body = STANDARD.decode(&case.body_base64).unwrap();
        let read =
            scan(&body, Limits { max_depth: 64 }, &mut Tape::default()).map_err(|error| error.kind);
        let name = case.name.trim_end_matches(".json");
        match (case.expect.as_str(), stricter.get(name)) {
            (_, Some(reason)) => assert_eq!(read, Err(*reason), "{name}"),
            ("accept", None) => assert!(read.is_ok(), "{name}: {read:?}"),
            ("reject", None) => assert!(read.is_err(), "{name}"),
            ("either", None) => {
                assert_eq!(
                    read.is_ok(),
                    ACCEPTED_OF_THE_OPEN.contains(&name),
                    "{name}: {read:?}"
                );
            }
            (other, None) => panic!("{name} expects {other}"),
        }
    }
    assert!(seen > 300, "only {seen} cases were found");
}

#[test]
fn deeper_than_the_limit_is_refused_whatever_the_rfc_allows() {
    for case in cases()
        .iter()
        .filter(|case| case.name.contains("100000_opening_arrays"))
    {
        let body = STANDARD.decode(&case.body_base64).unwrap();
        let read = scan(&body, Limits { max_depth: 64 }, &mut Tape::default());
        assert_eq!(
            read.map_err(|error| error.kind),
            Err(ScanErrorKind::TooDeep)
        );
    }
}
