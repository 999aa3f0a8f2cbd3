//! The signs of injection on texts that were written for them: `injection.jsonl`, one object a line with the `sign` that
//! the text has (empty: it only looks as if it had one), its `language` and the `text`. Paraphrases are among them that
//! no sign is made for: they show what such signs are worth.

use std::collections::BTreeMap;

use agentguard::detect::{Confidence, Scanner, Scratch, Selection, report};
use serde::Deserialize;

#[derive(Deserialize)]
struct Sample {
    sign: String,
    text: String,
}

/// What became of the texts with one sign.
#[derive(Debug, Default)]
pub struct Tally {
    pub texts: usize,
    /// Those in which it was found.
    pub found: usize,
    /// Texts without any sign in which it was found.
    pub fooled: usize,
}

/// By sign; and how many texts have none.
pub fn tallies() -> (BTreeMap<String, Tally>, usize) {
    let mut selection = Selection::none();
    selection.add("injection", Confidence::Medium).unwrap();
    let scanner = Scanner::new(&selection);
    let mut scratch = Scratch::default();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut decoys = 0;
    for line in include_str!("injection.jsonl").lines() {
        let sample: Sample = serde_json::from_str(line).unwrap();
        let found = report::spans(&scanner, &sample.text, &mut scratch);
        if sample.sign.is_empty() {
            decoys += 1;
            for span in found {
                tallies.entry(span.name.to_owned()).or_default().fooled += 1;
            }
        } else {
            let tally = tallies.entry(sample.sign.clone()).or_default();
            tally.texts += 1;
            tally.found += usize::from(found.iter().any(|span| span.name == sample.sign));
        }
    }
    (tallies, decoys)
}

#[test]
fn most_signs_are_found_and_what_looks_like_one_is_not() {
    let (tallies, _) = tallies();
    for (sign, least) in [
        ("exfiltration_link", 650),
        ("hidden_text", 600),
        ("homoglyphs", 700),
        ("instruction_override", 750),
        ("role_markers", 700),
    ] {
        let tally = &tallies[sign];
        assert!(
            1_000 * tally.found >= least * tally.texts,
            "{sign}: {tally:?}"
        );
        assert_eq!(tally.fooled, 0, "{sign}");
    }
}
