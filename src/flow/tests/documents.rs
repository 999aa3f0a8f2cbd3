//! Several documents, and one that is only tried out.

use super::*;

fn set(text: &str) -> Rc<Guard> {
    guard_of(&format!(
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicySet\nmetadata: {{ name: all }}\n{text}"
    ))
}

const TWO: &str = "require: none
policies:
  - metadata: { name: security }
    defaults: { action: allow }
    rules:
      - { id: words, match: { event: message }, when: { text: { contains: forbidden } }, action: deny }
  - metadata: { name: privacy }
    applies_to: { paths: [/v1/chat/*] }
    defaults: { action: allow }
    rules:
      - { id: cards, match: { event: message }, when: { text: { detects: credit_card } }, action: redact }
";

#[test]
fn each_document_decides_and_the_strictest_wins() {
    let guard = set(TWO);
    let seen = exchange(
        &guard,
        &chat_request(&says("forbidden 4111 1111 1111 1111")),
        hello(),
    );
    assert_eq!(seen.client.status(), Some(400));
    let record = record(&seen);
    assert_eq!(record["decision"], "deny");
    assert_eq!(record["policy"]["name"], "all");
    let ids: Vec<&Value> = record["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["id"])
        .collect();
    assert_eq!(ids, ["privacy/cards", "security/words"]);
    let seen = exchange(
        &guard,
        &chat_request(&says("card 4111 1111 1111 1111")),
        hello(),
    );
    let upstream = String::from_utf8(seen.upstream.unwrap().body()).unwrap();
    assert!(upstream.contains("card [CREDIT_CARD]"), "{upstream}");
}

#[test]
fn a_document_takes_no_part_in_what_it_does_not_apply_to() {
    let guard = set(&TWO.replace("/v1/chat/*", "/elsewhere/*"));
    let body = says("card 4111 1111 1111 1111");
    let seen = exchange(&guard, &chat_request(&body), hello());
    assert_eq!(seen.upstream.unwrap().body(), body);
    let guard = set(&TWO
        .replace(
            "    defaults",
            "    applies_to: { hosts: [elsewhere] }\n    defaults",
        )
        .replacen("    applies_to: { paths: [/v1/chat/*] }\n", "", 1));
    let seen = exchange(&guard, &chat_request(&body), hello());
    let record = record(&seen);
    assert_eq!(record["coverage"]["level"], "ignored");
}

#[test]
fn a_caller_to_whom_no_document_applies_is_denied() {
    let guard = set("require: none
policies:
  - { metadata: { name: a }, for: { tenant: acme }, defaults: { action: allow }, rules: [] }
  - { metadata: { name: b }, for: { tenant: beta }, defaults: { action: allow }, rules: [] }
");
    let seen = exchange(&guard, &chat_request(&says("hi")), hello());
    assert_eq!(seen.client.status(), Some(400));
    assert_eq!(record(&seen)["code"], "AG3002");
}

#[test]
fn a_shadow_document_changes_nothing_and_is_recorded_separately() {
    in_both_modes("defaults: { action: allow }
rules:
  - { id: seen, match: { event: message }, when: { text: { contains: hello } }, action: tag, tags: [greeting] }
shadow:
  defaults: { action: deny }
  rules:
    - { id: cards, match: { event: [message, response] }, when: { text: { detects: credit_card } }, action: redact }
    - { id: words, match: { event: message }, when: { text: { contains: forbidden } }, action: deny }
    - { id: models, match: { event: request }, when: { model: gpt-4o }, action: allow }
", |guard, _| {
        let ask = |text: &str| {
            let body = says(text);
            let seen = exchange(guard, &chat_request(&body), hello());
            assert_eq!(seen.upstream.clone().unwrap().body(), body);
            assert_eq!(seen.client.body(), hello().body());
            record(&seen)
        };
        let record = ask("hello 4111 1111 1111 1111");
        assert_eq!(record["decision"], "allow");
        assert!(record.get("would").is_none());
        assert_eq!(record["tags"], json!(["greeting"]));
        assert_eq!(record["rules"].as_array().unwrap().len(), 1);
        assert_eq!(
            record["shadow"],
            json!({"decision": "redact", "rules": ["shadow/cards", "shadow/models"]})
        );
        let record = ask("forbidden");
        assert_eq!(
            record["shadow"],
            json!({"decision": "deny", "rules": ["shadow/models", "shadow/words"]})
        );
        assert_eq!(ask("good morning")["shadow"], json!({"decision": "allow", "rules": ["shadow/models"]}));
    });
}

/// Detectors stand at the top, where a shadow policy cannot write them again.
#[test]
fn what_a_detector_excepts_is_excepted_in_a_shadow_policy_too() {
    let mails = "rules: [{ id: mails, match: { event: message }, when: { text: { detects: email } }, action: deny }]";
    let policy = format!(
        "require: none
defaults: {{ action: allow }}
lists: {{ ours: [example.com] }}
detectors: {{ email: {{ allow: {{ list: ours }} }} }}
{mails}
shadow:
  defaults: {{ action: allow }}
  {mails}
"
    );
    in_both_modes(&policy, |guard, _| {
        for (text, decision) in [
            ("mail a@example.com", "allow"),
            ("mail a@contoso.com", "deny"),
        ] {
            let record = record(&exchange(guard, &chat_request(&says(text)), hello()));
            assert_eq!(record["decision"], decision, "{text}");
            let shadow = match decision {
                "deny" => json!({"decision": "deny", "rules": ["shadow/mails"]}),
                allow => json!({ "decision": allow }),
            };
            assert_eq!(record["shadow"], shadow, "{text}");
        }
    });
}

#[test]
fn a_redaction_that_finds_nothing_to_replace_is_neither_done_nor_recorded_as_wanted() {
    let shadow = "defaults: { action: allow, tool_call: allow }
rules: []
shadow:
  defaults: { action: allow, tool_call: allow }
  rules:
    - { id: card, match: { event: tool_call }, action: redact, redact: { what: args.card } }
";
    let observed = "mode: observe
defaults: { action: allow, tool_call: allow }
rules:
  - { id: card, match: { event: tool_call }, action: redact, redact: { what: args.card } }
";
    let call = |arguments: &str| {
        let call = json!({"id": "c", "type": "function", "function": {"name": "pay", "arguments": arguments}});
        answer(
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            "tool_calls",
        )
    };
    let (without, with) = (r#"{"amount": 5}"#, r#"{"card": "4111"}"#);
    in_both_modes(shadow, |guard, _| {
        let ask = |arguments| {
            let seen = exchange(guard, &chat_request(&says("pay")), call(arguments));
            assert_eq!(seen.client.body(), call(arguments).body());
            record(&seen)["shadow"].clone()
        };
        assert_eq!(ask(without)["decision"], "allow");
        assert_eq!(ask(with)["decision"], "redact");
    });
    in_both_modes(observed, |guard, _| {
        let ask = |arguments| {
            record(&exchange(
                guard,
                &chat_request(&says("pay")),
                call(arguments),
            ))
        };
        assert!(ask(without).get("would").is_none());
        assert_eq!(ask(with)["would"], "redact");
    });
}
