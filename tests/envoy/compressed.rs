//! Compressed requests, after the decompressors in the Envoy configuration of `agentguard build --bootstrap`.

use crate::scene::{
    Mode, answers, case, in_every_way, in_mode, mask_cards, no_weapons, policy, refusal,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use harness::{Envoy, Request, Setup, Site, Version};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Command;

in_both_envoys![
    compressed_requests_are_evaluated_and_redacted_like_others,
    broken_and_empty_bodies_are_denied,
    a_decompression_bomb_is_denied,
    unsupported_encodings_are_denied,
];

/// A request with the forbidden word, one with a card number, and one of 1,000,000 equal letters, compressed by
/// Python's `brotli` 1.2 and `zstandard` 0.25.
const BR: Packed = Packed {
    forbidden: "G00AgJwFdjtyLxcWpN1K4X0psrXXNGdvcJpFp6tPi7SI0XXKAXNpHgTaAjnRwSEneuiLsrxCY4OPruS1mWJKoHdIXQcfwPFHBg==",
    card: "G1IAgCyLd8FKDtsrKQlaaqwFbr4W2cvbmjEiIEGTcGdhydL1Vjp9LQLSQhcccsCcSHDQFkjgVhcwnQ9nqCzyhx4CMw/6MaISs28B",
    bomb: "W3tCD0MRKh0ib6lffk36VE2w+SnsDZIBhxy4HfCLOBALnKoGjHSAifPRBU14dJ6f80AxIyzvhnK3LX4WhlfrV5snROcD",
};
const ZSTD: Packed = Packed {
    forbidden: "KLUv/SBORQIA4gQRGICpbRP6cg+FfBDksw9RoEnw0EeBdBO6C8toFHswNp8fIhfAcl4RNv9guvgSEyT9ziBIJJAX1uZN34QDq8OsNwHVI6sA",
    card: "KLUv/SBTNQIAYoQPF5CnGgO2FtUGSsMW8uFn9yMHhoCQdxdNxVqGts44yoGmSaCY5RLGEymbfOPuyiiYNd5UNqWCCQC+ecxupokBAMNRng==",
    bomb: "KLUv/aB8Qg8AFAEA0HsibWVzc2FnZXMiOlt7ImNvbnRlbnQiOiJhAQCO/+dgDAIAEGECABBhAgAQYQIAEGECABBhAgAQYWUBADQCIiwicm9sZSI6InVzZXIifV0sIm1vZGVsIjoiZ3B0LTRvIn0BAFZCOQAC",
};

struct Packed {
    forbidden: &'static str,
    card: &'static str,
    bomb: &'static str,
}

/// Returns a request before compression.
fn asks(text: &str) -> Vec<u8> {
    format!(r#"{{"messages":[{{"content":"{text}","role":"user"}}],"model":"gpt-4o"}}"#)
        .into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("memory takes all");
    packer.finish().expect("memory takes all")
}

/// Returns a compressed request in each encoding that clients use.
fn each(of: fn(&Packed) -> &'static str, text: &str) -> [(&'static str, Vec<u8>); 3] {
    let unwrapped = |packed: &Packed| STANDARD.decode(of(packed)).expect("Base64");
    [
        ("gzip", gzip(&asks(text))),
        ("br", unwrapped(&BR)),
        ("zstd", unwrapped(&ZSTD)),
    ]
}

fn packed(encoding: &str, body: Vec<u8>) -> Request {
    Request::chat(body).header("content-encoding", encoding)
}

/// Returns the filters before AgentGuard in the configuration of `agentguard build --bootstrap`.
fn shipped() -> Vec<Value> {
    let built = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args([
            "build",
            "policies/getting-started.yaml",
            "--for",
            "envoy",
            "--bootstrap",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the command");
    let bootstrap: Value = serde_json::from_slice(&built.stdout).expect("a bootstrap");
    let filters = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
        ["typed_config"]["http_filters"]
        .as_array()
        .expect("filters");
    filters
        .iter()
        .take_while(|filter| filter["name"] != "agentguard")
        .cloned()
        .collect()
}

fn envoy(version: Version) -> Envoy {
    let policy = policy(json!([no_weapons(), mask_cards()]));
    let sites = Mode::BOTH
        .map(|mode| Site::new(mode.word(), &in_mode(&policy, mode)).behind_filters(shipped()));
    let envoy = Setup::new(version, sites.to_vec()).lease();
    envoy.provider.answer_always(answers("Hello"));
    envoy
}

/// Asserts that each request is denied as unreadable, and that no byte reaches the provider.
fn assert_all_denied(version: Version, requests: &[(&str, Request)]) {
    let envoy = envoy(version);
    in_every_way(&envoy, |site, _, http| {
        for (name, request) in requests {
            case(name, || {
                refusal(&site.send(http, request), 415, "AG2005");
                let record = site.records.next();
                assert_eq!(record["decision"], "deny");
                assert_eq!(record["code"], "AG2005");
                assert_eq!(record["coverage"]["reasons"], json!(["request:AG2005"]));
            });
        }
    });
    let received = envoy.provider.received();
    assert!(received.iter().all(|received| received.body.is_empty()));
}

fn compressed_requests_are_evaluated_and_redacted_like_others(version: Version) {
    let envoy = envoy(version);
    in_every_way(&envoy, |site, _, http| {
        for (encoding, body) in each(|packed| packed.forbidden, "the forbidden word") {
            case(encoding, || {
                refusal(&site.send(http, &packed(encoding, body)), 400, "AG3001");
                assert_eq!(site.records.next()["rules"][0]["id"], "no-weapons");
            });
        }
        for (encoding, body) in each(|packed| packed.card, "pay 4111 1111 1111 1111") {
            case(encoding, || {
                let response = site.send(http, &packed(encoding, body));
                assert_eq!(response.status, 200);
                let received = envoy.provider.last();
                assert_eq!(received.header("content-encoding"), None);
                assert_eq!(
                    String::from_utf8_lossy(&received.body),
                    String::from_utf8_lossy(&asks("pay [CREDIT_CARD]"))
                );
                assert_eq!(site.records.next()["decision"], "redact");
            });
        }
        // Repetitive content is no bomb yet.
        let text = "hello ".repeat(500);
        let response = site.send(http, &packed("gzip", gzip(&asks(&text))));
        assert_eq!(response.status, 200);
        assert_eq!(envoy.provider.last().body, asks(&text));
        assert_eq!(site.records.next()["coverage"]["level"], "full");
    });
}

fn broken_and_empty_bodies_are_denied(version: Version) {
    let requests: Vec<(&str, Request)> = ["gzip", "br", "zstd"]
        .into_iter()
        .flat_map(|encoding| {
            [
                (
                    encoding,
                    packed(encoding, b"\xff\xff not packed at all".to_vec()),
                ),
                (encoding, packed(encoding, Vec::new())),
            ]
        })
        .chain([("nothing, packed", packed("gzip", gzip(b"")))])
        .collect();
    assert_all_denied(version, &requests);
}

fn a_decompression_bomb_is_denied(version: Version) {
    let bombs = each(|packed| packed.bomb, &"a".repeat(1_000_000));
    let in_pieces = bombs.clone().map(|(encoding, body)| {
        let pieces = body.chunks(20).map(<[u8]>::to_vec).collect();
        let request = packed(encoding, Vec::new()).without("content-length");
        (encoding, request.chunks(pieces))
    });
    let whole = bombs.map(|(encoding, body)| (encoding, packed(encoding, body)));
    assert_all_denied(version, &[whole, in_pieces].concat());
}

fn unsupported_encodings_are_denied(version: Version) {
    let body = || gzip(&asks("hello"));
    assert_all_denied(
        version,
        &[
            ("deflate", packed("deflate", body())),
            ("a name that nobody knows", packed("x-own", body())),
            ("packed twice", packed("br, gzip", body())),
            (
                "two headers",
                packed("br", body()).header("content-encoding", "gzip"),
            ),
        ],
    );
}
