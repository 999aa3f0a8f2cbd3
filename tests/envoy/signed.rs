//! AWS signatures (Signature Version 4): they cover a hash of the body, so the request must be signed after
//! it is edited.

use crate::scene::{Mode, case, in_every_way, in_mode, mask_cards, no_weapons, policy};
use harness::{Answer, Envoy, Request, Setup, Site, Version};
use serde_json::json;
use sha2::{Digest, Sha256};

in_both_envoys![
    envoy_signs_the_body_that_the_filter_edited,
    a_request_that_its_client_signed_is_denied_rather_than_edited,
];

const PATH: &str = "/model/amazon.nova-lite-v1:0/converse";

fn asks(text: &str) -> Vec<u8> {
    json!({"messages": [{"role": "user", "content": [{"text": text}]}]})
        .to_string()
        .into_bytes()
}

fn converse(text: &str) -> Request {
    Request::new("POST", PATH)
        .header("content-type", "application/json")
        .body(asks(text))
}

/// Starts an Envoy that signs forwarded requests if `signs` is set.
fn envoy(version: Version, signs: bool) -> Envoy {
    let policy = policy(json!([mask_cards(), no_weapons()]));
    let signing = json!({
        "name": "envoy.filters.http.aws_request_signing",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.aws_request_signing.v3.AwsRequestSigning",
            "service_name": "bedrock",
            "region": "us-east-1",
        },
    });
    let sites = Mode::BOTH.map(|mode| {
        let site = Site::new(mode.word(), &in_mode(&policy, mode));
        site.filters_after(if signs {
            vec![signing.clone()]
        } else {
            Vec::new()
        })
    });
    let envoy = Setup::new(version, sites.to_vec())
        .variable("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .variable(
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        )
        .start();
    let answer = json!({
        "output": {"message": {"role": "assistant", "content": [{"text": "Done."}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
    });
    envoy
        .provider
        .answer_always(Answer::json(200, answer.to_string().as_bytes()));
    envoy
}

fn sha256(bytes: &[u8]) -> String {
    agentguard::wire::hex::encode(&Sha256::digest(bytes))
}

fn envoy_signs_the_body_that_the_filter_edited(version: Version) {
    let envoy = envoy(version, true);
    in_every_way(&envoy, |site, _, http| {
        for (asked, sent) in [
            ("how are you?", "how are you?"),
            ("pay 4111 1111 1111 1111", "pay [CREDIT_CARD]"),
        ] {
            case(asked, || {
                let response = site.send(http, &converse(asked));
                assert_eq!(response.status, 200, "{}", response.json());
                let received = envoy.provider.last();
                assert_eq!(
                    String::from_utf8_lossy(&received.body),
                    String::from_utf8_lossy(&asks(sent))
                );
                assert_eq!(
                    received.header("x-amz-content-sha256"),
                    Some(&*sha256(&received.body))
                );
                let signature = received.header("authorization").unwrap_or_default();
                assert!(
                    signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
                    "{signature}"
                );
                assert!(signature.contains("x-amz-content-sha256"), "{signature}");
                assert_eq!(site.records.next()["protocol"], "bedrock.converse");
            });
        }
        let before = envoy.provider.count();
        let response = site.send(http, &converse("the forbidden word"));
        assert_eq!(response.status, 400);
        assert_eq!(
            response.header("x-amzn-errortype"),
            Some("ValidationException")
        );
        assert_eq!(site.records.next()["decision"], "deny");
        assert!(
            envoy.provider.received()[before..]
                .iter()
                .all(|received| received.body.is_empty())
        );
    });
}

fn a_request_that_its_client_signed_is_denied_rather_than_edited(version: Version) {
    let envoy = envoy(version, false);
    in_every_way(&envoy, |site, _, http| {
        let signed = |text| {
            converse(text).header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/us-east-1/bedrock/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature=00",
            )
        };
        let response = site.send(http, &signed("how are you?"));
        assert_eq!(response.status, 200);
        assert_eq!(envoy.provider.last().body, asks("how are you?"));
        assert_eq!(site.records.next()["decision"], "allow");

        let response = site.send(http, &signed("pay 4111 1111 1111 1111"));
        assert_eq!(response.status, 400);
        assert_eq!(response.header("x-agentguard-code"), Some("AG3005"));
        let record = site.records.next();
        assert_eq!(
            (&record["decision"], &record["code"]),
            (&json!("deny"), &json!("AG3005"))
        );
    });
}
