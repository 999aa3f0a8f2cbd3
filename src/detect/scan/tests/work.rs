//! No text costs many times as much as others of its length: the work of detectors is counted over texts that are made of
//! everything that they look for.
//!
//! `AGENTGUARD_WORK=1 cargo test --lib made_of_what -- --nocapture` tries every unit with every separator, some million
//! texts, and prints those that cost most; with 20 a twentieth of them, and so on.

use super::*;
use crate::detect::hostile::{HostileText, share, texts, units};
use crate::wire::work;

/// Most steps for each byte of a whole text. What is spelled costs so much; an exchange with more of it than a little is
/// denied.
const MOST: u64 = 150;

/// And of what most traffic is made of.
const USUAL: u64 = 12;

/// Texts are first tried so short, and those that cost most once more, so long.
const SHORT: usize = 1_024;
const LONG: usize = 64 << 10;

/// So many of them.
const AGAIN: usize = 40;

/// One of so many separators is tried with each unit.
const SHARE: usize = 300;

fn scanner() -> Scanner {
    let mut selection = Selection::all(Confidence::Low);
    selection.decode(true);
    Scanner::new(&selection)
}

/// Steps for a hundred bytes.
fn steps(scanner: &Scanner, scratch: &mut Scratch, text: &str) -> u64 {
    let mut findings = Vec::new();
    let (_, steps) = work::count(|| scanner.scan(&Input::whole(text), scratch, &mut findings));
    steps.saturating_mul(100) / u64::try_from(text.len().max(1)).unwrap()
}

/// The costliest texts, each with its steps for a hundred bytes.
fn worst(share: usize) -> Vec<(u64, HostileText)> {
    let scanner = scanner();
    let mut scratch = Scratch::default();
    let mut of = |made: Vec<HostileText>, len: usize| {
        let mut tried: Vec<(u64, HostileText)> = made
            .into_iter()
            .map(|made| (steps(&scanner, &mut scratch, &made.text(len)), made))
            .collect();
        tried.sort_by_key(|(steps, _)| std::cmp::Reverse(*steps));
        tried
    };
    let tried = of(texts(&units(), share), SHORT);
    let again = tried.into_iter().take(AGAIN).map(|(_, made)| made);
    of(again.collect(), LONG)
}

#[test]
fn no_text_made_of_what_detectors_look_for_costs_much_more_than_others() {
    let share = share();
    let worst = worst(share.unwrap_or(SHARE));
    if share.is_some() {
        for (steps, made) in &worst {
            println!("{:>8}.{:02} {made:?}", steps / 100, steps % 100);
        }
    }
    let over: Vec<_> = worst
        .iter()
        .filter(|(steps, _)| *steps > MOST * 100)
        .collect();
    assert!(over.is_empty(), "{over:#?}");
}

#[test]
fn a_beginning_of_a_private_key_over_and_over_is_read_once() {
    let scanner = scanner();
    let mut scratch = Scratch::default();
    for unit in [
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAwhlLvNcc0xqVXW63T40Z\n",
        "-----BEGIN RSA PRIVATE KEY-----\n-----END ",
        "-----BEGIN PRIVATE KEY----- a b",
    ] {
        let of = |len: usize, scratch: &mut Scratch| {
            steps(&scanner, scratch, &unit.repeat(len / unit.len()))
        };
        let [short, long] = [20_000, 200_000].map(|len| of(len, &mut scratch));
        assert!(long < 3_000 && long < short * 2, "{unit}: {short} {long}");
    }
}

#[test]
fn prose_code_and_data_cost_little() {
    let scanner = scanner();
    let mut scratch = Scratch::default();
    for text in [
        "The committee met on a grey morning and agreed, after some debate, that the bridge should be repaired. ",
        "fn next(&mut self) -> Option<Token> {\n    let start = self.position;\n    while let Some(c) = self.peek() {\n",
        "{\"id\":\"msg_01XFDUDYJgAACzvnptvVoYEL\",\"usage\":{\"input_tokens\":2095,\"output_tokens\":503}},\n",
        "[0.491410177,-0.416474496,17512453441,20240309110241,\"2024-03-09T11:02:41Z\"],",
        "委员会在一个灰蒙蒙的早晨开会，经过一番辩论后一致认为，应该在冬天来临之前修好这座桥。",
        "Комитет собрался серым утром и после некоторых споров решил, что мост надо починить до зимы. ",
        "id,name,email,city\n1042,Ann Lee,ann.lee@example.com,Springfield\n1043,Bob Roe,bob@example.org,Shelbyville\n",
    ] {
        let steps = steps(&scanner, &mut scratch, &text.repeat(30_000 / text.len()));
        assert!(steps < USUAL * 100, "{steps} for 100 bytes: {text}");
    }
}

/// A search that goes on when nothing is left would hold the worker for good.
#[test]
fn a_scan_ends_wherever_its_budget_ends() {
    let scanner = scanner();
    let text = [
        "4.1.1.1\n1.1.1.1=",
        "password: hunter2hunter2 ",
        "{\"a\": \"bXlwYXNzd29yZA==\"}, ",
    ]
    .map(|unit| unit.repeat(400))
    .concat();
    let mut scratch = Scratch::default();
    let mut scan = |budget: u64| {
        let before = work::allow(budget);
        scanner.scan(&Input::whole(&text), &mut scratch, &mut Vec::new());
        let is_exhausted = work::is_exhausted();
        work::allow(before);
        is_exhausted
    };
    let mut budget = 1;
    while scan(budget) {
        budget += budget / 16 + 97;
    }
    assert!(budget > 10_000, "{budget}");
}
