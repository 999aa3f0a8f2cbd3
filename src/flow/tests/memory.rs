//! Memory budget that all exchanges of one VM share.

use super::stream::streamed;
use super::*;

#[test]
fn a_stream_is_denied_only_while_the_memory_of_the_vm_is_used_up() {
    let guard = guard(
        "defaults: { action: allow }
rules: [{ id: word, match: { event: response }, when: { text: { contains: forbidden } }, action: deny }]
",
    );
    let request = chat_request(
        br#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
    );
    // An incomplete frame has to be held.
    let beginning = b"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel";
    let streams = || exchange(&guard, &request, streamed(beginning, &[10]));
    assert!(guard.reserve(256 << 20));
    let seen = streams();
    assert_eq!(record(&seen)["code"], "AG2011");
    let client = seen.client.body();
    let client = String::from_utf8_lossy(&client);
    assert!(client.contains("AG2011"), "{client}");
    assert!(!client.contains("Hel"), "{client}");

    guard.release(256 << 20);
    assert_ne!(record(&streams())["code"], "AG2011");
}
