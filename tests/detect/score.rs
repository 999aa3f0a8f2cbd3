//! The goals, on the labelled texts.

use agentguard::detect::{DETECTORS, Scanner, Scratch, Selection, report};

use super::judge::{Labelled, Verdict, cases};

pub fn verdict(selection: &Selection) -> Verdict {
    let scanner = Scanner::new(selection);
    let mut scratch = Scratch::default();
    Verdict::new(&cases(), |text| -> Vec<Labelled> {
        report::spans(&scanner, text, &mut scratch)
            .iter()
            .map(|span| (span.start, span.end, span.name.to_owned()))
            .collect()
    })
}

/// Whether a type is a secret.
pub fn is_secret(name: &str) -> bool {
    DETECTORS
        .iter()
        .find(|detector| detector.name == name)
        .is_some_and(|detector| {
            detector
                .groups
                .iter()
                .any(|group| group.starts_with("secrets"))
        })
}

#[test]
fn everything_at_medium_confidence_reaches_the_goals() {
    let verdict = verdict(&Selection::all(agentguard::detect::Confidence::Medium));
    let data = verdict.together(|name| !is_secret(name));
    let secrets = verdict.together(is_secret);
    assert!(data.f1() >= 985 && data.masked() >= 985, "{data:?}");
    assert!(
        secrets.f1() >= 980 && secrets.masked() >= 980,
        "{secrets:?}"
    );
    assert!(verdict.noise() <= 100, "{:?}", verdict.benign);
    for (name, counts) in &verdict.types {
        assert!(
            counts.labelled < 5 || counts.precision() >= 900 && counts.recall() >= 900,
            "{name}: {counts:?}"
        );
    }
}

#[test]
fn the_groups_that_a_policy_would_begin_with_are_quiet() {
    let mut selection = Selection::none();
    for group in ["pii", "payment", "secrets"] {
        selection
            .add(group, agentguard::detect::Confidence::High)
            .unwrap();
    }
    let verdict = verdict(&selection);
    assert!(verdict.noise() <= 50, "{:?}", verdict.benign);
}

#[test]
fn every_labelled_type_is_a_detector() {
    for case in cases() {
        let known = DETECTORS.iter().any(|detector| detector.name == case.about);
        assert!(
            known || ["mixed_pii", "benign"].contains(&case.about.as_str()),
            "{}",
            case.about
        );
    }
}
