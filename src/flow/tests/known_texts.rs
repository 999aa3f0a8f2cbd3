//! Texts in which nothing was found before, under the same policy.

use super::work::{MATCHES, chat, letters};
use super::*;

const POLICY: &str = "
defaults: { action: allow }
rules:
  - { id: mask, match: { event: [message, response] }, when: { text: { detects: [pii, secrets] } }, action: redact }
  - { id: project, match: { event: message }, when: { text: { contains: 'project basilisk' } }, action: deny }
";

/// Text of any length in which nothing is found.
fn prose(length: usize) -> String {
    let mut text =
        "The order has not left the warehouse yet; nobody knows why. ".repeat(length / 60 + 1);
    text.truncate(length);
    text
}

fn asking(texts: &[&str]) -> HttpMessage {
    chat_request(&chat(texts))
}

#[test]
fn what_was_clean_and_has_one_more_thing_in_it_is_found() {
    let guard = guard(POLICY);
    for length in [10, 57, 58, 100, 1_024, 1_025, 5_000, 70_000] {
        let clean = prose(length);
        for _ in 0..3 {
            let seen = run(&guard, &asking(&[&clean]), |_| hello(), NOW);
            assert_eq!(
                seen.upstream.unwrap().body(),
                asking(&[&clean]).body(),
                "{length}"
            );
        }
        for at in [0, length / 2, length] {
            let (before, after) = clean.split_at(at);
            let card = format!("{before} 4111 1111 1111 1111 {after}");
            for _ in 0..2 {
                let seen = run(&guard, &asking(&[&clean, &card]), |_| hello(), NOW);
                let body = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
                assert!(body.contains("[CREDIT_CARD]"), "{length} {at}");
                assert!(!body.contains("4111"), "{length} {at}");
            }
            let project = format!("{before} Project Basilisk {after}");
            for _ in 0..2 {
                let seen = run(&guard, &asking(&[&clean, &project]), |_| hello(), NOW);
                assert_eq!(record(&seen)["rules"][0]["id"], "project", "{length} {at}");
            }
        }
    }
}

#[test]
fn json_in_a_text_is_known_apart_from_the_same_text_elsewhere() {
    let guard = guard(POLICY);
    // The name beside it makes a password of the value.
    let data = json!({"padding": prose(200), "password": "hunter2-Kx9"}).to_string();
    for _ in 0..2 {
        let seen = run(&guard, &asking(&[&data]), |_| hello(), NOW);
        let body = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
        assert!(!body.contains("hunter2"), "{body}");
    }
}

#[test]
fn what_costs_too_much_is_denied_again_when_a_part_of_it_is_known() {
    let guard = guard(MATCHES);
    // Together they cost more than an exchange may, each alone does not.
    let text = letters(40_000);
    let (first, second) = text.split_at(20_000);
    for _ in 0..2 {
        for text in [first, second] {
            let seen = run(&guard, &asking(&[text]), |_| hello(), NOW);
            assert_eq!(record(&seen)["decision"], "allow");
        }
        let seen = run(&guard, &asking(&[first, second]), |_| hello(), NOW);
        assert_eq!(record(&seen)["code"], "AG2015");
    }
}
