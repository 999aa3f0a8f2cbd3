//! Counts what was found of what is labelled, as `tests/detect/README.md` says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::Deserialize;

/// What is labelled in texts of the type `mixed_pii`.
const MIXED: [&str; 6] = [
    "credit_card",
    "iban",
    "us_ssn",
    "phone",
    "email",
    "ip_address",
];

/// Start, end, type.
pub type Labelled = (usize, usize, String);

#[derive(Debug, Deserialize)]
pub struct Case {
    #[serde(rename = "type")]
    pub about: String,
    pub tier: String,
    pub text: String,
    pub spans: Vec<Labelled>,
    pub negative: bool,
}

pub fn cases() -> Vec<Case> {
    let packed = include_bytes!("dev.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Counts of one type, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub labelled: usize,
    pub found: usize,
    /// Labelled spans that some finding overlaps, and findings that overlap one.
    pub hit: usize,
    pub right: usize,
    pub exact: usize,
    /// Labelled spans of which each character is in some finding, of whatever type.
    pub covered: usize,
    /// Texts that only look as if there were something, and those where something was found.
    pub decoys: usize,
    pub fooled: usize,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.labelled += other.labelled;
        self.found += other.found;
        self.hit += other.hit;
        self.right += other.right;
        self.exact += other.exact;
        self.covered += other.covered;
        self.decoys += other.decoys;
        self.fooled += other.fooled;
    }

    /// Of 1,000 findings, how many are right.
    pub fn precision(&self) -> usize {
        share(self.right, self.found)
    }

    /// Of 1,000 labelled spans, how many are found.
    pub fn recall(&self) -> usize {
        share(self.hit, self.labelled)
    }

    pub fn f1(&self) -> usize {
        let (p, r) = (self.precision(), self.recall());
        (2 * p * r).checked_div(p + r).unwrap_or(0)
    }

    pub fn masked(&self) -> usize {
        share(self.covered, self.labelled)
    }
}

/// Thousandths; of nothing, all.
fn share(part: usize, of: usize) -> usize {
    (1_000 * part).checked_div(of).unwrap_or(1_000)
}

#[derive(Debug, Default)]
pub struct Verdict {
    pub types: BTreeMap<String, Counts>,
    pub benign_bytes: usize,
    /// Findings in texts without any, by type.
    pub benign: BTreeMap<String, usize>,
}

impl Verdict {
    /// Judges what `find` finds.
    pub fn new(cases: &[Case], mut find: impl FnMut(&str) -> Vec<Labelled>) -> Self {
        let mut verdict = Self::default();
        for case in cases {
            let found: BTreeSet<Labelled> = find(&case.text).into_iter().collect();
            verdict.count(case, &found);
        }
        verdict
    }

    fn count(&mut self, case: &Case, found: &BTreeSet<Labelled>) {
        if case.about == "benign" {
            self.benign_bytes += case.text.len();
            for (_, _, name) in found {
                *self.benign.entry(name.clone()).or_default() += 1;
            }
            return;
        }
        let judged: &[&str] = if case.about == "mixed_pii" {
            &MIXED
        } else {
            &[&case.about]
        };
        if case.tier == "weak" {
            return;
        }
        for name in judged {
            let of = |spans: &mut dyn Iterator<Item = &Labelled>| -> Vec<Labelled> {
                spans.filter(|span| span.2 == *name).cloned().collect()
            };
            let labelled = of(&mut case.spans.iter());
            let mine = of(&mut found.iter());
            let overlaps = |a: &Labelled, b: &Labelled| a.0 < b.1 && b.0 < a.1;
            let counts = self.types.entry((*name).to_owned()).or_default();
            counts.add(&Counts {
                labelled: labelled.len(),
                found: mine.len(),
                hit: labelled
                    .iter()
                    .filter(|a| mine.iter().any(|b| overlaps(a, b)))
                    .count(),
                right: mine
                    .iter()
                    .filter(|a| labelled.iter().any(|b| overlaps(a, b)))
                    .count(),
                exact: labelled.iter().filter(|a| mine.contains(a)).count(),
                covered: labelled.iter().filter(|a| is_covered(a, found)).count(),
                decoys: usize::from(case.negative),
                fooled: usize::from(case.negative && !mine.is_empty()),
            });
        }
    }

    /// The counts of some types together.
    pub fn together(&self, of: impl Fn(&str) -> bool) -> Counts {
        let mut all = Counts::default();
        for (name, counts) in &self.types {
            if of(name) {
                all.add(counts);
            }
        }
        all
    }

    /// False findings in texts without any, for each 10 MB: hundredths for each 100 kB.
    pub fn noise(&self) -> usize {
        let found: usize = self.benign.values().sum();
        found * 10_000_000 / self.benign_bytes.max(1)
    }
}

fn is_covered(labelled: &Labelled, found: &BTreeSet<Labelled>) -> bool {
    (labelled.0..labelled.1).all(|at| {
        found
            .iter()
            .any(|(start, end, _)| (*start..*end).contains(&at))
    })
}
