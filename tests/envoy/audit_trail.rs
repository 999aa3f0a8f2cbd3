//! Audit log: one event per exchange, however it ended, and a chain that connects the events.

use crate::scene::{
    Mode, answers, both_modes, case, in_every_way, in_mode, mask_cards, no_weapons, policy,
    refusal, says, sites, with,
};
use harness::{Answer, Ended, Gate, Host, Http, Request, Setup, Site, Version, wait_for};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

in_both_envoys![
    every_local_reply_of_envoy_is_recorded,
    a_client_that_goes_away_is_recorded,
    a_provider_that_goes_away_is_recorded,
    an_early_response_of_the_provider_is_recorded,
    requests_without_a_body_are_recorded,
    the_chain_is_valid_with_a_key,
    the_chain_is_valid_without_a_key,
    each_worker_has_a_chain_of_its_own,
    every_line_is_complete_and_has_no_text,
];

/// Key of the chain.
const KEY: &[u8] = b"a key of no one's";

/// Members of every event, in their order.
const ALWAYS: [&str; 7] = [
    "v", "ts", "chain", "policy", "decision", "status", "coverage",
];

#[track_caller]
fn check_line(record: &Value) {
    for key in ALWAYS.into_iter().chain(["timing"]) {
        assert!(record.get(key).is_some(), "{key} is missing in {record}");
    }
}

fn every_local_reply_of_envoy_is_recorded(version: Version) {
    let policy = policy(json!([no_weapons(), mask_cards()]));
    let mut sites = sites(&policy);
    for mode in Mode::BOTH {
        sites.push(
            Site::new(&format!("small-{}", mode.word()), &in_mode(&policy, mode))
                .buffer_limit(16 << 10),
        );
    }
    let envoy = Setup::new(version, sites).lease();
    in_every_way(&envoy, |site, mode, http| {
        let ask = |header: &str| Request::chat(says("hello")).header(header, "1");
        for (header, status) in [("x-test-no-route", 404), ("x-test-no-endpoint", 503)] {
            case(header, || {
                assert_eq!(site.send(http, &ask(header)).status, status);
                let record = site.records.next();
                check_line(&record);
                assert_eq!(record["status"], status);
                assert_eq!(record["provider"], "openai");
            });
        }
        // Larger than Envoy's connection buffer, smaller than the filter's limit. A native module raises the former.
        if Host::of_run() == Host::Native {
            return;
        }
        let small = envoy.site(&format!("small-{}", mode.word()));
        let large = Request::chat(says(&"a".repeat(1 << 20)));
        assert_eq!(small.send(http, &large).status, 413);
        let record = small.records.next();
        check_line(&record);
        assert_eq!(record["status"], 413);
        assert_eq!(record["coverage"]["reasons"], json!(["request:incomplete"]));
    });
    assert_eq!(
        envoy
            .provider
            .received()
            .iter()
            .map(|received| received.body.len())
            .sum::<usize>(),
        0
    );
    // Envoy rejects these before any filter sees their headers.
    let site = envoy.site("portable");
    for request in [
        &b"GET /v1/models HTTP/1.1\r\n\r\n"[..],
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut connection = site.raw();
        connection.send(request);
        assert_eq!(connection.response().map(|response| response.status), Some(400));
        let record = site.records.next();
        check_line(&record);
        assert_eq!(record["status"], 400);
    }
    // The VM survives a context that only saw its end.
    envoy.provider.answer_next(answers("Hello"));
    assert_eq!(
        site.send(Http::One, &Request::chat(says("hello"))).status,
        200
    );
    assert_eq!(site.records.next()["decision"], "allow");
}

fn a_client_that_goes_away_is_recorded(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons(), mask_cards()])));
    in_every_way(&envoy, |site, _, http| {
        // The client disconnects in the middle of its request.
        let request = Request::chat(says("hello")).chunks(vec![says("hello")[..10].to_vec()]);
        let before = envoy.stat(&format!("http.{}.downstream_rq_total", site.name()));
        let upload = site.begin(http, &request);
        wait_for("Envoy to begin the exchange", || {
            (envoy.stat(&format!("http.{}.downstream_rq_total", site.name())) > before)
                .then_some(())
        });
        drop(upload);
        let record = site.records.next();
        check_line(&record);
        assert_eq!(record["status"], 0);
        assert_eq!(record["decision"], "not_evaluated");
        assert_eq!(record["coverage"]["reasons"], json!(["request:incomplete"]));

        // The client disconnects while it waits for the response.
        let gate = Gate::default();
        let number = envoy.provider.count();
        envoy.provider.answer_next(answers("too late").after(&gate));
        let mut upload = site.begin(http, &Request::chat(says("hello")));
        upload.end();
        envoy.provider.whole(number);
        drop(upload);
        let record = site.records.next();
        gate.open();
        check_line(&record);
        assert_eq!(record["decision"], "allow");
        assert_eq!(record["status"], 0);
    });
}

fn a_provider_that_goes_away_is_recorded(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons(), mask_cards()])));
    let json = [
        ("content-type", "application/json"),
        ("content-length", "1000"),
    ];
    in_every_way(&envoy, |site, mode, http| {
        envoy.provider.answer_next(Answer::none());
        assert_eq!(site.send(http, &Request::chat(says("hello"))).status, 503);
        let record = site.records.next();
        check_line(&record);
        assert_eq!(
            (&record["decision"], &record["status"]),
            (&json!("allow"), &json!(503))
        );

        envoy
            .provider
            .answer_next(Answer::start(200, &json).bytes(b"{\"choices\":").hang_up());
        let response = site.try_send(http, &Request::chat(says("hello")));
        match mode {
            // Nothing was released, so that Envoy can still send its own error.
            Mode::Hold => assert_eq!(response.expect("an answer").status, 502),
            // The status was sent; unevaluated bytes of the body never are.
            Mode::Portable => {
                if let Ok(response) = response {
                    // hyper treats some of Envoy's reset reasons of HTTP/2 streams as a clean end.
                    assert!(response.broken.is_some() || http == Http::Two);
                    assert_eq!(response.body, b"");
                }
            }
        }
        let record = site.records.next();
        check_line(&record);
        assert_eq!(
            record["coverage"]["reasons"],
            json!(["response:incomplete"])
        );
    });
}

fn an_early_response_of_the_provider_is_recorded(version: Version) {
    // Headers are forwarded at once, so that the provider may reject the request while the filter still holds the body.
    let envoy = both_modes(version, &policy(json!([no_weapons(), mask_cards()])));
    let site = envoy.site("portable");
    for http in Http::BOTH {
        let body = br#"{"error":{"message":"bad key","type":"invalid_request_error"}}"#;
        envoy.provider.answer_next(Answer::json(401, body).early());
        let number = envoy.provider.count();
        let upload = site.begin(http, &Request::chat(says("hello")).chunks(Vec::new()));
        upload.send(&says("hello")[..5]);
        let response = upload.answered().expect("the provider's answer").rest();
        assert_eq!(
            (response.status, response.body.as_slice()),
            (401, &body[..])
        );
        let received = envoy.provider.ended(number);
        assert_eq!((received.ended, received.body), (Ended::Broken, Vec::new()));
        let record = site.records.next();
        check_line(&record);
        assert_eq!(record["status"], 401);
        assert_eq!(record["coverage"]["reasons"], json!(["request:incomplete"]));
    }
}

fn requests_without_a_body_are_recorded(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons(), mask_cards()])));
    envoy.provider.answer_always(Answer::new(200, &[], b""));
    in_every_way(&envoy, |site, _, http| {
        for (method, path, endpoint) in [
            ("GET", "/v1/models", "models"),
            ("HEAD", "/v1/models", "models"),
            ("OPTIONS", "/v1/chat/completions", "preflight"),
            ("GET", "/healthz", "health"),
        ] {
            case(&format!("{method} {path}"), || {
                assert_eq!(site.send(http, &Request::new(method, path)).status, 200);
                let record = site.records.next();
                check_line(&record);
                assert_eq!(record["endpoint"], endpoint);
                assert_eq!(record["decision"], "allow");
            });
        }
        // A body is evaluated even where none is expected.
        let body = says("forbidden");
        let smuggled = Request::new("GET", "/v1/models")
            .header("content-length", body.len().to_string())
            .body(body);
        refusal(&site.send(http, &smuggled), 400, "AG2007");
        assert_eq!(site.records.next()["code"], "AG2007");
    });
}

/// Returns the digest that the next line must contain; `None` if the line's MAC is wrong.
fn link(line: &str, key: Option<&[u8]>) -> Option<String> {
    let record: Value = serde_json::from_str(line).ok()?;
    let mac = record["chain"].get("mac").and_then(Value::as_str);
    let Some(key) = key else {
        return mac
            .is_none()
            .then(|| agentguard::wire::hex::encode(&Sha256::digest(line)));
    };
    let without = line.replacen(&format!(",\"mac\":\"{}\"", mac?), "", 1);
    let mut expected = Hmac::<Sha256>::new_from_slice(key).ok()?;
    expected.update(without.as_bytes());
    let expected = agentguard::wire::hex::encode(&expected.finalize().into_bytes());
    (mac == Some(expected.as_str())).then_some(expected)
}

/// Verifies the chains whose lines are mixed in one log. Returns the number of chains, or the first invalid line.
fn verify(lines: &[String], key: Option<&[u8]>) -> Result<usize, String> {
    let mut ends: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for line in lines {
        let broken = || format!("this line does not fit: {line}");
        let record: Value = serde_json::from_str(line).map_err(|_| broken())?;
        let chain = &record["chain"];
        let id = chain["id"].as_str().ok_or_else(broken)?;
        let (seq, prev) = ends.remove(id).unwrap_or((0, "0".repeat(64)));
        let fits = chain["seq"] == seq
            && chain["prev"] == prev.as_str()
            && chain.get("start").is_some() == (seq == 0);
        let link = link(line, key).filter(|_| fits).ok_or_else(broken)?;
        ends.insert(id.to_owned(), (seq + 1, link));
    }
    Ok(ends.len())
}

/// Sends exchanges of every kind.
fn mixed_traffic(envoy: &harness::Envoy) {
    in_every_way(envoy, |site, _, http| {
        envoy.provider.answer_next(answers("4111 1111 1111 1111"));
        site.send(http, &Request::chat(says("hello")));
        site.send(http, &Request::chat(says("the forbidden word")));
        site.send(http, &Request::chat(b"{".to_vec()));
        site.send(
            http,
            &Request::chat(says("hello")).header("x-test-no-route", "1"),
        );
        envoy.provider.answer_next(Answer::none());
        site.send(http, &Request::chat(says("hello")));
        site.send(http, &Request::new("GET", "/v1/models"));
    });
}

/// Returns the output of `agentguard audit verify` for a trail.
fn verified_by_command(lines: &[String], has_key: bool) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentguard"));
    command.args(["audit", "verify", "-"]);
    if has_key {
        command.args(["--key", "env:AUDIT_KEY"]);
        command.env("AUDIT_KEY", String::from_utf8_lossy(KEY).as_ref());
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command");
    let text = lines.join("\n") + "\n";
    let mut stdin = child.stdin.take().expect("an input");
    stdin.write_all(text.as_bytes()).expect("an input");
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn the_chain_is_valid_with_a_key(version: Version) {
    let keyed = with(
        policy(json!([no_weapons(), mask_cards()])),
        json!({"audit": {"key": "env:AUDIT_KEY"}}),
    );
    let sites = Mode::BOTH
        .map(|mode| Site::new(mode.word(), &in_mode(&keyed, mode)).variable("AUDIT_KEY"))
        .to_vec();
    let envoy = Setup::new(version, sites)
        .variable("AUDIT_KEY", &String::from_utf8_lossy(KEY))
        .start();
    mixed_traffic(&envoy);
    for mode in Mode::BOTH {
        let records = &envoy.site(mode.word()).records;
        records.skip_to(12);
        let lines = records.lines();
        assert_eq!(verify(&lines, Some(KEY)), Ok(1));
        let said = verified_by_command(&lines, true);
        assert!(
            said.contains("in 1 chain") && said.contains(": no fault"),
            "{said}"
        );
        for spoilt in [
            vec![
                lines[0].clone(),
                lines[1].replacen("\"status\":", "\"status\":1", 1),
            ],
            vec![lines[0].clone(), lines[2].clone()],
            lines[1..].to_vec(),
        ] {
            assert!(verify(&spoilt, Some(KEY)).is_err());
        }
        assert!(verify(&lines, Some(b"another key")).is_err());
    }
}

fn the_chain_is_valid_without_a_key(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons(), mask_cards()])));
    mixed_traffic(&envoy);
    for mode in Mode::BOTH {
        let records = &envoy.site(mode.word()).records;
        records.skip_to(12);
        assert_eq!(verify(&records.lines(), None), Ok(1));
    }
}

fn each_worker_has_a_chain_of_its_own(version: Version) {
    let envoy = Setup::new(version, sites(&policy(json!([no_weapons()]))))
        .workers(4)
        .lease_apart();
    envoy.provider.answer_always(answers("Hello"));
    let site = envoy.site("hold");
    // The kernel distributes connections to workers; eventually all have had some.
    let mut sent = 0;
    wait_for("all workers to serve", || {
        for text in ["hello", "the forbidden word"] {
            let expected = if text == "hello" { 200 } else { 400 };
            assert_eq!(
                site.send(Http::One, &Request::chat(says(text))).status,
                expected
            );
            sent += 1;
        }
        site.records.skip_to(sent);
        (verify(&site.records.lines(), None) == Ok(4)).then_some(())
    });
    let said = verified_by_command(&site.records.lines(), false);
    assert!(
        said.contains("in 4 chains") && said.contains(": no fault"),
        "{said}"
    );
}

fn every_line_is_complete_and_has_no_text(version: Version) {
    let envoy = both_modes(version, &policy(json!([no_weapons(), mask_cards()])));
    in_every_way(&envoy, |site, _, http| {
        envoy
            .provider
            .answer_next(answers("mellon is the answer, 4111 1111 1111 1111"));
        let request = Request::chat(says("swordfish 5500 0000 0000 0004"))
            .header("authorization", "Bearer sk-opensesame")
            .header("user-agent", "quote\"and\\backslash");
        site.send(http, &request);
        let line = site.records.next_line();
        let record: Value = serde_json::from_str(&line).expect("a line is JSON");
        // Four digits eventually occur in random or hashed values.
        let drawn = ["/request_id", "/chain/id", "/chain/prev", "/policy/version"];
        let told = drawn.iter().fold(line.clone(), |line, at| {
            let value = record.pointer(at).and_then(Value::as_str);
            line.replace(value.expect("each line has it"), "")
        });
        for secret in ["swordfish", "mellon", "5500", "4111", "opensesame"] {
            assert!(!told.contains(secret), "{line}");
        }
        // serde_json sorts the keys of a map; this compares the order in the line itself.
        let mut rest = line.as_str();
        for key in [
            "v",
            "ts",
            "request_id",
            "chain",
            "policy",
            "protocol",
            "provider",
            "model",
            "endpoint",
            "stream",
            "decision",
            "status",
            "rules",
            "findings",
            "events",
            "coverage",
            "usage",
            "timing",
        ] {
            let (_, after) = rest.split_once(&format!("\"{key}\":")).expect(key);
            rest = after;
        }
        assert_eq!(record["protocol"], "openai.chat");
        assert_eq!(record["provider"], "openai");
        assert_eq!(record["model"], "gpt-4o");
        assert_eq!(record["endpoint"], "chat.completions");
        assert_eq!(record["stream"], false);
        assert_eq!(
            record["usage"],
            json!({"input_tokens": 3, "output_tokens": 4})
        );
        assert_eq!(record["events"]["message"], 1);
        assert_eq!(record["events"]["response"], 1);
        let version = record["policy"]["version"].as_str().expect("a version");
        assert!(
            version.starts_with("sha256:") && version.len() == 71,
            "{version}"
        );
    });
}
