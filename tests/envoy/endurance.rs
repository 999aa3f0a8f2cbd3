//! Ten thousand bad requests later.

use crate::bad_input::small;
use crate::scene::{
    Mode, answers, both_modes, forbidden, mask_cards, no_weapons, policy, refusal, says,
};
use harness::{Envoy, Http, Listening, Raw, Request, Version};
use serde_json::{Value, json};

in_both_envoys![after_ten_thousand_bad_requests_it_serves_and_its_memory_is_flat];

const WARM_UP: usize = 2_000;
const BAD_REQUESTS: usize = 10_000;

/// By how much Envoy's memory may grow: a hundred kilobytes come and go. A leak of 256 bytes for each request would be
/// more than that.
const MARGIN: u64 = 2 << 20;

/// Sends bad requests of every kind, one after the other, over connections that are kept as long as Envoy keeps them.
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
    let envoy = both_modes(version, &policy(json!([no_weapons(), mask_cards()])));
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
    // One line each, one chain, no VM that died on the way.
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
        refusal(&site.send(Http::Two, &forbidden()), 403, "AG3001");
        envoy.provider.answer_always(answers("4111 1111 1111 1111"));
        let response = site.send(Http::One, &Request::chat(says("hello")));
        assert_eq!(response.status, 200);
        assert!(String::from_utf8_lossy(&response.body).contains("[CREDIT_CARD]"));
    }
}
