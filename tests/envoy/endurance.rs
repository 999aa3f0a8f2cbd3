//! Endurance: ten thousand bad requests, and a stream that no client reads.

use crate::bad_input::small;
use crate::scene::{
    Mode, answers, case, forbidden, in_mode, mask_cards, no_weapons, policy, refusal, says, sites,
    with,
};
use harness::{Answer, Envoy, Host, Http, Listening, Raw, Request, Setup, Site, Version, wait_for};
use serde_json::{Value, json};

in_both_envoys![
    after_ten_thousand_bad_requests_it_serves_and_its_memory_is_flat,
    a_client_that_does_not_read_slows_the_provider_down,
];

const WARM_UP: usize = 2_000;
const BAD_REQUESTS: usize = 10_000;

/// Maximum growth of Envoy's memory in bytes: about a hundred kilobytes are normal. A leak of 256 bytes per request would
/// exceed it.
const MARGIN: u64 = 2 << 20;

/// Sends bad requests of every kind in turn, over connections that are kept as long as Envoy keeps them.
fn torment(site: &Listening, requests: &[(Vec<u8>, u16)], count: usize) {
    let mut connection: Option<Raw> = None;
    for (bytes, status) in requests.iter().cycle().take(count) {
        let mut raw = connection.take().unwrap_or_else(|| site.raw());
        raw.send(bytes);
        let response = raw.response().expect("every request is answered");
        assert_eq!(response.status, *status);
        if response.header("connection") != Some("close") {
            connection = Some(raw);
        }
    }
}

fn memory(envoy: &Envoy) -> [(&'static str, u64); 2] {
    let (allocated, resident) = envoy.memory();
    [("allocated", allocated), ("resident", resident)]
}

fn after_ten_thousand_bad_requests_it_serves_and_its_memory_is_flat(version: Version) {
    let policy = policy(json!([no_weapons(), mask_cards()]));
    let envoy = Setup::new(version, sites(&policy)).start();
    let requests: Vec<(Vec<u8>, u16)> = small()
        .into_iter()
        .map(|bad| (bad.request.bytes(), bad.status))
        .collect();
    let sites = Mode::BOTH.map(|mode| envoy.site(mode.word()));
    for site in sites {
        torment(site, &requests, WARM_UP / 2);
    }
    envoy.provider.forget();
    let before = memory(&envoy);
    for site in sites {
        torment(site, &requests, BAD_REQUESTS / 2);
    }
    let after = memory(&envoy);
    for ((what, before), (_, after)) in before.into_iter().zip(after) {
        assert!(before > 0);
        assert!(
            after.saturating_sub(before) < MARGIN,
            "{what}: {before} bytes before, {after} after"
        );
    }
    // One line for each request, one chain, and no VM that failed.
    for site in sites {
        let count = (WARM_UP + BAD_REQUESTS) / 2;
        site.records.skip_to(count);
        let lines = site.records.lines();
        assert_eq!(lines.len(), count);
        for (number, line) in lines.iter().enumerate() {
            let record: Value = serde_json::from_str(line).expect("a record");
            assert_eq!(record["chain"]["seq"], number);
            assert_eq!(record["decision"], "deny");
        }
        refusal(&site.send(Http::Two, &forbidden()), 400, "AG3001");
        envoy.provider.answer_always(answers("4111 1111 1111 1111"));
        let response = site.send(Http::One, &Request::chat(says("hello")));
        assert_eq!(response.status, 200);
        assert!(String::from_utf8_lossy(&response.body).contains("[CREDIT_CARD]"));
    }
}

/// All buffers are full long before a stream of 36 MB has ended: Envoy stops reading, and released bytes don't accumulate
/// in memory. Once the client reads again, nothing is lost.
fn a_client_that_does_not_read_slows_the_provider_down(version: Version) {
    const FRAMES: usize = 36_000;
    /// More than Envoy's buffers of up to 10 MiB and the socket buffers around it.
    const FULL: u64 = 20 << 20;
    let lasting = with(
        policy(json!([mask_cards()])),
        json!({"inspect": {"max_text": "64MiB"}}),
    );
    let sites = Mode::BOTH
        .map(|mode| Site::new(mode.word(), &in_mode(&lasting, mode)).buffer_limit(1 << 20));
    let envoy = Setup::new(version, sites.to_vec()).start();
    let text = "Nobody had thought to ask who would pay for it. ".repeat(19);
    let chunk =
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    let stream = format!("data: {chunk}\n\n").repeat(FRAMES) + "data: [DONE]\n\n";
    let sent = u64::try_from(stream.len()).expect("a size");
    assert!(sent > FULL * 3 / 2);
    let answer = stream
        .as_bytes()
        .chunks(1 << 16)
        .fold(
            Answer::chunked(200, &[("content-type", "text/event-stream")]),
            Answer::chunk,
        )
        .end();
    let question =
        json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    for mode in Mode::BOTH {
        case(&format!("{mode:?}"), || {
            let site = envoy.site(mode.word());
            envoy.provider.answer_next(answer.clone());
            let came = || envoy.stat("cluster.provider.upstream_cx_rx_bytes_total");
            let (begun, (memory, _)) = (came(), envoy.memory());
            let mut raw = site.raw();
            raw.send(&Request::chat(question.to_string()).bytes());
            let (mut last, mut still) = (begun, 0);
            wait_for("Envoy to take no more", || {
                let now = came();
                still = if now == last { still + 1 } else { 0 };
                last = now;
                (now > begun && still >= 100).then_some(())
            });
            let (taken, (grown, _)) = (last - begun, envoy.memory());
            assert!(taken < FULL, "{taken} bytes were taken of {sent}");
            let grown = grown.saturating_sub(memory);
            // The filter's state for a text is in the VM's memory, which Envoy doesn't count, or natively in Envoy's own.
            let most = match Host::of_run() {
                Host::Wasm => FULL * 3 / 4,
                Host::Native => FULL * 2,
            };
            assert!(grown < most, "{grown} bytes more memory");
            let response = raw.response().expect("an answer");
            assert_eq!(response.status, 200);
            assert!(response.body == stream.as_bytes(), "the answer differs");
            let record = site.records.next();
            assert_eq!(record["decision"], "allow");
            assert_eq!(record["coverage"]["level"], "full");
        });
    }
}
