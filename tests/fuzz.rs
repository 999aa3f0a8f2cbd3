//! Every fuzz target of `fuzz/targets.rs`, over bodies of real exchanges that are damaged in ways that a fixed sequence of
//! numbers chooses: the same in every run. `FUZZ_CASES=100000` runs more of them, `FUZZ_INPUT=FILE` one input again.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    reason = "test code: a failure is a panic"
)]

#[path = "../fuzz/targets.rs"]
mod targets;

use serde_json::Value;
use std::path::{Path, PathBuf};
use targets::{ROUTES, TARGETS};

/// How many inputs each target is given, beside those that it begins with.
const CASES: usize = 300;

/// Larger bodies take long and show nothing that smaller ones don't.
const LARGEST_SEED: usize = 6_000;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// What formats are made of.
const PIECES: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"\n\n",
    b"data: ",
    b"data:",
    b"event: x\n",
    b"id: 4\n",
    b": c\n\n",
    b"\xEF\xBB\xBF",
    b"[DONE]",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"null",
    b"true",
    b"1e999",
    b"-",
    b"0",
    b"\x00",
    b"\xF0\x9F",
    b"\xC0\x80",
    b"\xFF",
    b"{}",
    b"[]",
    b"\"\"",
    b"[[[[[[[[",
    b"{\"jsonrpc\":\"2.0\",\"id\":1}",
    b"4111 1111 1111 1111",
    b"forbidden word",
    b"delete_customer",
    b"\"index\":0,",
    b"\"type\":\"text\",",
    b"\x00\x00\x00\x10\x00\x00\x00\x00",
];

/// Damages an input in a few places.
fn damaged(seed: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + 1 + dice.below(40)).min(bytes.len());
        match dice.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..end.max(at), [])),
            2 => {
                let again = bytes[at..end.max(at)].to_vec();
                bytes.splice(at..at, again);
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            4 if !other.is_empty() => {
                let from = dice.below(other.len());
                let to = (from + dice.below(200)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let piece = PIECES[dice.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

fn body(message: &Value) -> Vec<u8> {
    use base64::Engine;
    let body = message["body"].as_str().unwrap_or_default();
    match message["body_encoding"].as_str() {
        Some("base64") => base64::engine::general_purpose::STANDARD
            .decode(body)
            .unwrap(),
        _ => body.as_bytes().to_vec(),
    }
}

fn recorded() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traffic");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    texts
        .flat_map(|text| {
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect::<Vec<Value>>()
        })
        .collect()
}

/// What a target begins with: bodies of real exchanges, with the bytes before them that say what they are.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for exchange in recorded() {
        let is_stream = exchange["response"]["headers"]["content-type"]
            .as_str()
            .is_some_and(|media| media.contains("stream") || media.contains("ndjson"));
        let number = ROUTES
            .iter()
            .position(|(protocol, ..)| exchange["protocol"] == *protocol);
        let with = |choice: usize, message: &str| -> Vec<u8> {
            let size = 7;
            [
                vec![u8::try_from(choice).unwrap(), size],
                body(&exchange[message]),
            ]
            .concat()
        };
        seeds.extend(match (target, number) {
            ("frames", _) if is_stream => {
                let media = exchange["response"]["headers"]["content-type"]
                    .as_str()
                    .unwrap();
                let framing = match media {
                    media if media.contains("amazon") => 3,
                    media if media.contains("ndjson") => 1,
                    _ => 0,
                };
                Some(with(framing, "response"))
            }
            ("json" | "approvals", _) => Some(body(&exchange["request"])),
            ("requests", Some(number)) => Some(with(number, "request")),
            ("answers", Some(number)) if !is_stream => Some(with(number, "response")),
            ("streams", Some(number)) if is_stream => Some(with(number, "response")),
            ("texts" | "calls", _) => {
                Some(body(&exchange["response"]).into_iter().take(120).collect())
            }
            _ => None,
        });
    }
    if target == "approvals" {
        let members = r#""id":"a","policy":"p","event":"tool_call","what":"t","args":"x","principal":"a","tenant":"b","session":"c""#;
        let rules = r#""rules":[{"id":"a","by":["b"],"needed":1}],"uses":1,"until":600"#;
        let request = format!(r#"{{{members},{rules},"valid_for":600}}"#);
        let token = format!(r#"{{{members},{rules},"from":0,"nonce":"n","key":"k"}}"#);
        for _ in 0..40 {
            seeds.extend([request.clone().into_bytes(), token.clone().into_bytes()]);
        }
    }
    seeds.retain(|seed| seed.len() <= LARGEST_SEED);
    seeds
}

/// Gives a target one input. If it fails, the input is kept.
fn give(name: &str, run: fn(&[u8]), input: &[u8]) {
    let result = std::panic::catch_unwind(|| run(input));
    if let Err(panic) = result {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        std::fs::write(&file, input).unwrap();
        eprintln!(
            "once more: FUZZ_INPUT={} cargo test --test fuzz {name}",
            file.display()
        );
        std::panic::resume_unwind(panic);
    }
}

fn fuzz(name: &str) {
    let (_, run) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    if let Some(file) = std::env::var_os("FUZZ_INPUT") {
        run(&std::fs::read(file).unwrap());
        return;
    }
    let seeds = seeds(name);
    assert!(seeds.len() > 10, "{}", seeds.len());
    if let Some(folder) = std::env::var_os("FUZZ_CORPUS") {
        let folder = Path::new(&folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(number.to_string()), seed).unwrap();
        }
    }
    let cases = std::env::var_os("FUZZ_CASES");
    let cases = cases.map_or(CASES, |cases| cases.to_str().unwrap().parse().unwrap());
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for _ in 0..cases {
        let seed = &seeds[dice.below(seeds.len())];
        let other = &seeds[dice.below(seeds.len())];
        give(name, *run, &damaged(seed, other, &mut dice));
    }
}

macro_rules! all {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                fuzz(stringify!($name));
            }
        )+

        #[test]
        fn every_target_is_run_here_and_by_cargo_fuzz() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),+]);
            let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = std::fs::read_to_string(project.join("Cargo.toml")).unwrap();
            for name in names {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
                assert!(project.join(format!("fuzz_targets/{name}.rs")).exists(), "{name}");
            }
        }
    };
}

all![
    frames, json, requests, answers, streams, texts, calls, approvals
];
