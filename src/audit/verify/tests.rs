//! Trails that were tampered with.

use super::super::chain::Chain;
use super::*;
use proptest::prelude::*;

const KEY: &[u8] = b"a key of no one's";

/// The lines of a chain.
fn chain(id: u8, records: usize, key: Option<&[u8]>) -> Vec<Vec<u8>> {
    let mut chain = Chain::new([id; 8], key.and_then(ChainKey::new));
    (0..records)
        .map(|number| {
            let start = format!(
                r#"{{"v":1,"ts":"2026-01-01T00:00:00.000Z","request_id":"r-{number}","chain":"#
            );
            let mut line = start.into_bytes();
            chain.write(&mut line);
            let chain_end = line.len();
            line.extend_from_slice(br#","decision":"allow","status":200}"#);
            chain.seal(&mut line, chain_end);
            line
        })
        .collect()
}

fn verified(files: &[Vec<Vec<u8>>], keys: &[&[u8]]) -> Report {
    let keys = keys.iter().filter_map(|key| ChainKey::new(key)).collect();
    verified_by(Verifier::new(keys), files)
}

fn verified_by(mut verifier: Verifier, files: &[Vec<Vec<u8>>]) -> Report {
    for (file, lines) in files.iter().enumerate() {
        for (line, number) in lines.iter().zip(1..) {
            verifier.line(line, Place { file, line: number }, true);
        }
    }
    verifier.finish()
}

fn told(report: &Report) -> Vec<String> {
    let name = |place: Place| format!("{}:{}", place.file, place.line);
    let faults = report.faults.iter();
    faults
        .map(|fault| {
            format!(
                "{} {}",
                name(fault.place().unwrap_or_default()),
                fault.word()
            )
        })
        .collect()
}

#[test]
fn a_record_without_a_timestamp_is_reported_even_if_its_mac_is_right() {
    for (time, is_sound) in [
        ("2028-02-29T23:59:59.999Z", true),
        ("2026-02-29T00:00:00.000Z", false),
        ("2026-13-01T00:00:00.000Z", false),
        ("2026-00-01T00:00:00.000Z", false),
        ("2026-04-31T00:00:00.000Z", false),
        ("2026-04-00T00:00:00.000Z", false),
        ("2026-01-01T24:00:00.000Z", false),
        ("2026-01-01T00:60:00.000Z", false),
        ("2026-01-01T00:00:60.000Z", false),
        ("2026-01-01 00:00:00.000Z", false),
        ("2026-01-01T00:00:00.000+01:00", false),
        ("2026-01-01T00:00:00.000Z\\n", false),
        ("yesterday", false),
        ("", false),
    ] {
        // The second record is written with the key, so that the timestamp is the only fault.
        let mut chain = Chain::new([1; 8], ChainKey::new(KEY));
        let lines = ["2026-01-01T00:00:00.000Z", time, "2025-01-01T00:00:00.000Z"].map(|time| {
            let mut line = format!(r#"{{"v":1,"ts":"{time}","chain":"#).into_bytes();
            chain.write(&mut line);
            let chain_end = line.len();
            line.extend_from_slice(br#","decision":"allow"}"#);
            chain.seal(&mut line, chain_end);
            line
        });
        let report = verified(&[lines.to_vec()], &[KEY]);
        let expected: &[&str] = if is_sound { &[] } else { &["0:2 no_time"] };
        assert_eq!(told(&report), expected, "{time}");
    }
}

#[test]
fn a_sound_trail_has_no_faults_wherever_it_was_rotated_and_however_its_chains_interleave() {
    for key in [None, Some(KEY)] {
        let keys: Vec<&[u8]> = key.into_iter().collect();
        let (one, other) = (chain(1, 6, key), chain(2, 3, key));
        let mut lines = Vec::new();
        for (number, line) in one.into_iter().enumerate() {
            lines.push(line);
            lines.extend(other.get(number).cloned());
        }
        lines.insert(3, b"-".to_vec());
        let report = verified(std::slice::from_ref(&lines), &keys);
        assert_eq!(told(&report), [""; 0]);
        assert_eq!((report.records, report.not_evaluated), (9, 1));
        assert_eq!(report.heads.len(), 2);
        // The newer file first, as a shell lists them.
        let (old, new) = lines.split_at(5);
        assert_eq!(
            told(&verified(&[new.to_vec(), old.to_vec()], &keys)),
            [""; 0]
        );
    }
}

#[test]
fn a_changed_record_is_found_by_its_mac_and_without_a_key_by_its_successor() {
    let change = |mut lines: Vec<Vec<u8>>| {
        let text = String::from_utf8(lines[2].clone()).unwrap();
        lines[2] = text.replace("\"r-2\"", "\"r-3\"").into_bytes();
        lines
    };
    let report = verified(&[change(chain(1, 5, Some(KEY)))], &[KEY]);
    assert_eq!(told(&report), ["0:3 changed"]);
    assert!(report.authenticated);
    let report = verified(&[change(chain(1, 5, None))], &[]);
    assert_eq!(told(&report), ["0:4 unlinked"]);
    assert!(!report.authenticated);
    // The MAC is not checked without its key.
    assert_eq!(
        told(&verified(&[change(chain(1, 5, Some(KEY)))], &[])),
        [""; 0]
    );
}

#[test]
fn a_trail_without_macs_does_not_pass_for_one_with_them() {
    let report = verified(&[chain(1, 2, None)], &[KEY]);
    assert_eq!(told(&report), ["0:1 no_mac", "0:2 no_mac"]);
    let report = verified(&[chain(1, 2, Some(b"another key of no one"))], &[KEY]);
    assert_eq!(told(&report), ["0:1 changed", "0:2 changed"]);
    // Keys are rotated: every record needs the MAC of one of them.
    let rotated = [
        chain(1, 2, Some(b"another key of no one")),
        chain(2, 2, Some(KEY)),
    ];
    assert_eq!(
        told(&verified(&rotated, &[KEY, b"another key of no one"])),
        [""; 0]
    );
}

#[test]
fn missing_inserted_and_reordered_records_are_found_where_they_are() {
    let lines = chain(1, 6, Some(KEY));
    let mut missing = lines.clone();
    missing.drain(2..4);
    assert_eq!(told(&verified(&[missing], &[KEY])), ["0:3 missing"]);
    let beginning = lines[2..].to_vec();
    assert_eq!(told(&verified(&[beginning], &[KEY])), ["0:1 missing"]);
    let mut inserted = lines.clone();
    inserted.insert(4, lines[1].clone());
    assert_eq!(told(&verified(&[inserted], &[KEY])), ["0:5 repeated"]);
    let mut reordered = lines.clone();
    reordered.swap(2, 3);
    let found = told(&verified(&[reordered], &[KEY]));
    assert!(
        found.iter().any(|fault| fault.ends_with("reordered")),
        "{found:?}"
    );
}

#[test]
fn a_truncated_line_is_distinguished_from_one_that_is_no_record() {
    let lines = chain(1, 2, None);
    let mut verifier = Verifier::new(Vec::new());
    let place = |line| Place { file: 0, line };
    verifier.line(&lines[0], place(1), true);
    verifier.line(b"GET / 200", place(2), true);
    verifier.line(&lines[1][..80], place(3), false);
    assert_eq!(told(&verifier.finish()), ["0:2 no_record", "0:3 truncated"]);
}

#[test]
fn a_trail_continues_after_the_heads_of_an_earlier_one() {
    let lines = chain(1, 8, Some(KEY));
    let (old, new) = lines.split_at(5);
    let heads = verified(&[old.to_vec()], &[KEY]).heads;
    let shown = heads[&[1; 8]].to_string();
    assert_eq!(Head::parse(&shown), Some(heads[&[1; 8]]));
    let behind = || Verifier::new(ChainKey::new(KEY).into_iter().collect()).behind(heads.clone());
    assert_eq!(told(&verified_by(behind(), &[new.to_vec()])), [""; 0]);
    // Records before the heads may be present too.
    assert_eq!(
        told(&verified_by(behind(), std::slice::from_ref(&lines))),
        [""; 0]
    );
    assert_eq!(
        told(&verified_by(behind(), &[new[1..].to_vec()])),
        ["0:1 missing"]
    );
    let other = chain(1, 8, Some(b"another key of no one"));
    let report = verified_by(
        Verifier::default().behind(heads.clone()),
        &[other[5..].to_vec()],
    );
    assert_eq!(told(&report), ["0:1 unlinked"]);
}

/// Returns seven records of a chain with another chain's id and other contents, whose links are all
/// right.
fn written_anew(key: Option<&[u8]>) -> Vec<Vec<u8>> {
    let mut chain = Chain::new([1; 8], key.and_then(ChainKey::new));
    let record = |_| {
        let mut line = br#"{"v":1,"ts":"2026-01-01T00:00:00.000Z","chain":"#.to_vec();
        chain.write(&mut line);
        let chain_end = line.len();
        line.extend_from_slice(br#","decision":"allow","status":200}"#);
        chain.seal(&mut line, chain_end);
        line
    };
    (0..7).map(record).collect()
}

#[test]
fn the_heads_reveal_a_chain_that_was_rewritten_before_them() {
    // Once without a key, and once by a holder of the key.
    for key in [None, Some(KEY)] {
        let keys: Vec<&[u8]> = key.into_iter().collect();
        let heads = verified(&[chain(1, 5, key)], &keys).heads;
        let behind = || {
            let keys = key.and_then(ChainKey::new);
            Verifier::new(keys.into_iter().collect()).behind(heads.clone())
        };
        let forged = written_anew(key);
        // The forged chain is longer than the heads, ends at the heads, and ends before them.
        for (records, faults) in [
            (7, &["0:5 rewritten"][..]),
            (5, &["0:5 rewritten"]),
            (4, &["0:0 cut_off"]),
        ] {
            let report = verified_by(behind(), &[forged[..records].to_vec()]);
            assert_eq!(told(&report), faults, "{records}");
        }
    }
}

#[test]
fn only_the_order_that_the_filter_writes_is_a_record() {
    let line = String::from_utf8(chain(1, 1, Some(KEY)).remove(0)).unwrap();
    for (from, to) in [
        ("{\"v\":1", "{\"v\":2"),
        ("\"start\":true,", ""),
        ("\"seq\":0", "\"seq\":00x"),
        ("\"prev\":\"0", "\"prev\":\"g"),
        ("\"chain\":{", "\"chain\": {"),
        ("200}", "200"),
    ] {
        let changed = line.replacen(from, to, 1);
        assert_ne!(changed, line, "{from}");
        assert!(Link::parse(changed.as_bytes()).is_none(), "{changed}");
    }
    assert!(Link::parse(line.as_bytes()).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// With the key, no byte can be changed, and no record can be moved, repeated or removed except at
    /// the end.
    #[test]
    fn no_change_goes_unnoticed(at in 0usize..7, to in 0usize..7, byte in 0usize..1_000, bit in 0u8..8, how in 0u8..4) {
        let mut lines = chain(1, 8, Some(KEY));
        let sound = lines.clone();
        match how {
            0 => {
                let place = byte % lines[at].len();
                lines[at][place] ^= 1 << bit;
            }
            1 => drop(lines.remove(at)),
            2 => lines.insert(to, sound[at].clone()),
            _ => lines.swap(at, to),
        }
        let report = verified(std::slice::from_ref(&lines), &[KEY]);
        prop_assert_eq!(report.faults.is_empty(), lines == sound, "{:?}", told(&report));
    }
}

#[test]
fn a_checkpoint_reveals_a_cut_a_rewritten_and_a_missing_chain() {
    let lines = chain(1, 5, None);
    let report = verified(std::slice::from_ref(&lines), &[]);
    let checkpoint = report.heads.clone();
    let against = |lines: &[Vec<u8>]| {
        let verifier = Verifier::new(Vec::new()).anchored(&checkpoint);
        verified_by(verifier, &[lines.to_vec()])
    };
    let sound = against(&lines);
    assert_eq!((sound.anchored, told(&sound)), (1, Vec::new()));
    assert_eq!(told(&against(&lines[..3])), ["0:0 cut_off"]);
    assert_eq!(told(&against(&chain(2, 5, None))), ["0:0 cut_off"]);
    // A rewritten chain with other contents, whose links are all right.
    let forged = written_anew(None);
    assert!(
        verified(std::slice::from_ref(&forged), &[])
            .faults
            .is_empty()
    );
    assert_eq!(told(&against(&forged)), ["0:5 rewritten"]);
}

#[test]
fn a_checkpoint_from_before_the_start_is_counted_and_not_proven() {
    let lines = chain(1, 5, None);
    let early = verified(&[lines[..2].to_vec()], &[]).heads;
    let start = verified(&[lines[..3].to_vec()], &[]).heads;
    let verifier = |start: &BTreeMap<_, _>| {
        Verifier::new(Vec::new())
            .behind(start.clone())
            .anchored(&early)
    };
    let report = verified_by(verifier(&start), &[lines[3..].to_vec()]);
    assert_eq!((report.anchored, report.before_start), (0, 1));
    assert!(report.faults.is_empty());
    let report = verified_by(verifier(&early), &[lines[2..].to_vec()]);
    // Not even the record of the checkpoint is present.
    assert_eq!((report.anchored, report.before_start), (0, 1));
    // It is present, and those before it are not, or they are.
    let report = verified_by(verifier(&start), &[lines[1..].to_vec()]);
    assert_eq!((report.anchored, report.before_start), (0, 1));
    let report = verified_by(verifier(&start), std::slice::from_ref(&lines));
    assert_eq!((report.anchored, report.before_start), (1, 0));
}

#[test]
fn records_before_the_heads_are_in_order_and_there_once() {
    for key in [None, Some(KEY)] {
        let keys: Vec<&[u8]> = key.into_iter().collect();
        let lines = chain(1, 8, key);
        let heads = verified(&[lines[..5].to_vec()], &keys).heads;
        let told = |lines: &[&[Vec<u8>]]| {
            let keys = key.and_then(ChainKey::new);
            let verifier = Verifier::new(keys.into_iter().collect()).behind(heads.clone());
            told(&verified_by(verifier, &[lines.concat()]))
        };
        // Older records may be deleted, and nothing new may have come.
        for sound in [
            &lines[..],
            &lines[3..],
            &lines[4..],
            &lines[5..],
            &lines[2..5],
            &[],
        ] {
            assert_eq!(told(&[sound]), [""; 0]);
        }
        // Two were repeated, alone and behind the others; one of another content was inserted.
        assert_eq!(
            told(&[&lines[5..], &lines[1..3]]),
            ["0:1 missing", "0:5 reordered"]
        );
        assert_eq!(told(&[&lines[..], &lines[1..3]]), ["0:9 repeated"]);
        let forged = written_anew(key);
        assert_eq!(told(&[&lines[..], &forged[2..3]]), ["0:9 repeated"]);
        let instead = told(&[&lines[..2], &forged[2..3], &lines[3..]]);
        assert_eq!(instead, ["0:3 unlinked", "0:4 unlinked"]);
        // The end was cut off before the heads.
        assert_eq!(told(&[&lines[..3]]), ["0:0 cut_off"]);
    }
}

#[test]
fn records_that_change_places_in_a_file_are_found_although_one_of_another_file_is_between_them() {
    let lines = chain(1, 3, Some(KEY));
    let file = |numbers: &[usize]| numbers.iter().map(|at| lines[*at].clone()).collect();
    let report = verified(&[file(&[2, 0]), file(&[1])], &[KEY]);
    assert_eq!(told(&report), ["0:2 reordered"]);
    assert_eq!(
        told(&verified(&[file(&[1, 2]), file(&[0])], &[KEY])),
        [""; 0]
    );
}

#[test]
fn a_chain_has_one_key_or_none() {
    // The former SHA-256 of a changed record is not accepted as its MAC.
    let mut lines = chain(1, 5, None);
    let digest = hex::encode(&Sha256::digest(&lines[2]));
    let text = String::from_utf8(lines[2].clone()).unwrap();
    let forged = text.replace(
        r#""},"decision":"allow""#,
        &format!(r#"","mac":"{digest}"}},"decision":"deny""#),
    );
    assert_ne!(forged, text);
    lines[2] = forged.into_bytes();
    let report = verified(std::slice::from_ref(&lines), &[]);
    assert_eq!(
        (told(&report), report.unchecked_macs),
        (vec!["0:3 mixed_macs".to_owned()], 1)
    );
    // The record after the first is written with a former key.
    let former: &[u8] = b"another key of no one";
    let lines = vec![
        chain(1, 1, Some(KEY)).remove(0),
        chain(1, 2, Some(former)).remove(1),
    ];
    let found = told(&verified(&[lines], &[KEY, former]));
    assert!(found.contains(&"0:2 other_key".to_owned()), "{found:?}");
}

#[test]
fn a_digest_that_was_kept_as_a_hash_is_not_accepted_as_a_mac() {
    // Whoever can write the files changes the last record, and gives it its former SHA-256 as a MAC.
    let lines = chain(1, 1, None);
    let digest = hex::encode(&Sha256::digest(&lines[0]));
    let kept = verified(std::slice::from_ref(&lines), &[]).heads;
    assert_eq!(kept[&[1; 8]].to_string(), format!("0:sha256:{digest}"));
    let forged = String::from_utf8(lines[0].clone()).unwrap().replace(
        r#","start":true},"decision":"allow""#,
        &format!(r#","start":true,"mac":"{digest}"}},"decision":"deny""#),
    );
    let verify = |heads: BTreeMap<ChainId, Head>| {
        let lines = [forged.as_bytes()];
        let behind = Verifier::default().behind(heads.clone()).lines(lines);
        let anchored = Verifier::default().anchored(&heads).lines(lines);
        [told(&behind), told(&anchored)]
    };
    assert_eq!(verify(kept.clone()), [["0:1 rewritten"], ["0:1 rewritten"]]);
    // Heads that an earlier version wrote have no kind. They are accepted as before.
    let old = Head::parse(&format!("0:{digest}")).unwrap();
    assert_eq!(old.to_string(), format!("0:{digest}"));
    assert_eq!(verify(BTreeMap::from([([1; 8], old)])), [[""; 0], [""; 0]]);
    let mac = verified(&[chain(1, 1, Some(KEY))], &[KEY]).heads[&[1; 8]].to_string();
    assert!(mac.starts_with("0:hmac-sha256:"), "{mac}");
    for wrong in ["0:md5:", "0:sha256:sha256:"] {
        assert_eq!(Head::parse(&format!("{wrong}{digest}")), None);
    }
}

#[test]
fn a_last_line_that_was_cut_after_an_inner_brace_is_no_record() {
    let mut lines = chain(1, 2, None);
    let last = lines.pop().unwrap();
    let inner = [&last[..last.len() - 1], br#","timing":{"held_us":1}"#].concat();
    let mut verifier = Verifier::new(Vec::new());
    verifier.line(&lines[0], Place { file: 0, line: 1 }, true);
    verifier.line(&inner, Place { file: 0, line: 2 }, false);
    assert_eq!(told(&verifier.finish()), ["0:2 truncated"]);
}

#[test]
fn a_copy_of_a_file_is_reported_as_one() {
    let lines = chain(1, 3, None);
    let report = verified(&[lines.clone(), lines], &[]);
    assert!(matches!(
        report.faults.as_slice(),
        [Fault::Repeated { is_copy: true, .. }]
    ));
}

#[test]
fn a_repeated_end_of_a_file_is_a_copy_too() {
    let lines = chain(1, 5, None);
    let end = lines[2..].to_vec();
    let report = verified(&[lines.clone(), end.clone()], &[]);
    assert!(matches!(
        report.faults.as_slice(),
        [Fault::Repeated { is_copy: true, .. }]
    ));
    let twice = verified(&[[lines, end].concat()], &[]);
    let told = twice.faults[0].describe(&|place| place.line.to_string());
    assert!(told.ends_with("they stand in this file twice"), "{told}");
}

#[test]
fn faults_are_bounded() {
    let mut verifier = Verifier::new(Vec::new());
    for line in 0..=u64::try_from(MAX_FAULTS).unwrap() {
        verifier.line(b"noise", Place { file: 0, line }, true);
    }
    let report = verifier.finish();
    assert_eq!(report.faults.len(), MAX_FAULTS);
    assert!(report.is_incomplete);
}
