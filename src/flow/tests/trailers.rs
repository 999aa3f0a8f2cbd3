//! Problems of a request's body that the counts of Envoy's decompressors reveal. The counts come as trailers.

use super::super::Step;
use super::*;

/// Sends a request with a whole body and these trailers. Returns the last step and the audit event.
fn ended(guard: &Rc<Guard>, body: &[u8], trailers: &[(&str, &str)]) -> (Step, Value) {
    let mut flow = Flow::new(Rc::clone(guard));
    let mut request = chat_request(body);
    request
        .headers
        .retain(|(name, _)| name != b"content-length");
    let _ = sends_head(&mut flow, &request);
    let _ = flow.request_body(&mut &*body, false, NOW);
    let trailers: Vec<(&[u8], &[u8])> = trailers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    // A held body is still there, a forwarded one is not.
    let left = if guard.policy.needs.holds_requests() {
        body
    } else {
        b""
    };
    let step = flow.request_trailers(&trailers, &mut &*left, NOW);
    let end = End {
        now: NOW,
        ..End::default()
    };
    let record = serde_json::from_slice(&flow.finish(&end).line).unwrap();
    (step, record)
}

fn counted(library: &str, compressed: &str, uncompressed: &str) -> [(String, String); 2] {
    let name = |what| format!("x-envoy-decompressor-{library}-{what}-bytes");
    [
        (name("compressed"), compressed.to_owned()),
        (name("uncompressed"), uncompressed.to_owned()),
    ]
}

fn borrowed(trailers: &[(String, String)]) -> Vec<(&str, &str)> {
    trailers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

const NO_WEAPONS: &str = "defaults: { action: allow }
rules:
  - id: no-weapons
    match: { event: message, from: user }
    when: { text: { contains: forbidden } }
    action: deny
";

#[test]
fn a_body_that_grew_a_hundredfold_or_vanished_is_denied() {
    let body = says("hello");
    for library in ["gzip", "brotli", "zstd", "my-own.library"] {
        in_both_modes(NO_WEAPONS, |guard, _| {
            for (compressed, uncompressed, code) in [
                ("100", "9999", None),
                ("100", "50", None),
                ("100", "10000", Some("AG2005")),
                ("100", "18446744073709551615", Some("AG2005")),
                ("0", "5", Some("AG2005")),
                ("100", "0", Some("AG2005")),
                ("0", "0", Some("AG2005")),
            ] {
                let trailers = counted(library, compressed, uncompressed);
                let (step, record) = ended(guard, &body, &borrowed(&trailers));
                let case = format!("{library}: {compressed} -> {uncompressed}");
                assert_eq!(record.get("code").and_then(Value::as_str), code, "{case}");
                assert_eq!(
                    matches!(step.action, Action::Reply(_)),
                    code.is_some(),
                    "{case}"
                );
            }
        });
    }
}

#[test]
fn each_library_is_measured_by_its_own_counts() {
    let guard = guard(NO_WEAPONS);
    // Compressed twice: 10 bytes became 900, and those became 9,000.
    let both = [counted("gzip", "10", "900"), counted("zstd", "900", "9000")].concat();
    let (_, record) = ended(&guard, &says("hello"), &borrowed(&both));
    assert_eq!(record["decision"], "allow");
    let (_, record) = ended(&guard, &says("forbidden"), &borrowed(&both));
    assert_eq!(record["rules"][0]["id"], "no-weapons");
}

#[test]
fn other_trailers_have_no_effect() {
    let guard = guard(NO_WEAPONS);
    for trailer in [
        ("x-check", "0"),
        ("x-envoy-decompressor-gzip-uncompressed-bytes", "many"),
        ("x-envoy-decompressor-gzip-compressed-bytes", "0"),
    ] {
        let (step, record) = ended(&guard, &says("hello"), &[trailer]);
        assert_eq!(
            (step, &record["decision"]),
            (Step::go_on(), &json!("allow"))
        );
        let (_, record) = ended(&guard, &says("forbidden"), &[trailer]);
        assert_eq!(record["rules"][0]["id"], "no-weapons");
    }
}

#[test]
fn an_observed_bomb_passes_and_is_recorded() {
    let guard = guard(&format!("mode: observe\n{NO_WEAPONS}"));
    let trailers = counted("gzip", "10", "1000");
    let (step, record) = ended(&guard, &says("hello"), &borrowed(&trailers));
    assert_eq!(step, Step::go_on());
    assert_eq!(record["would"], "deny");
    assert_eq!(record["coverage"]["reasons"], json!(["request:AG2005"]));
}
