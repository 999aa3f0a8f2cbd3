//! Content in disguise: bodies with another content type, calls written as text, OAuth forms, lists.

use crate::scene::{answers, both_modes, in_every_way, no_weapons, policy, says, with};
use harness::{Answer, Request, Version};
use serde_json::json;

in_both_envoys![
    a_body_is_read_whatever_its_type_and_path_say,
    a_call_that_is_written_as_text_is_denied,
    under_an_allow_list_clients_are_authorized_and_lists_pass,
];

fn a_body_is_read_whatever_its_type_and_path_say(version: Version) {
    let lenient = with(
        policy(json!([no_weapons()])),
        json!({"defaults": {"action": "allow", "uninspectable": "allow"}}),
    );
    let envoy = both_modes(version, &lenient);
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        for (path, media, text, status) in [
            (
                "/v1/chat/completions",
                "image/png",
                "the forbidden word",
                400,
            ),
            (
                "/v1/chat/completions%20",
                "application/json",
                "the forbidden word",
                400,
            ),
            ("/v1/chat/completions", "image/png", "hello", 200),
        ] {
            let request = Request::new("POST", path)
                .header("content-type", media)
                .body(says(text));
            let response = site.send(http, &request);
            assert_eq!(response.status, status, "{path} {media}");
            let record = site.records.next();
            assert_eq!(
                record["decision"],
                if status == 200 { "allow" } else { "deny" }
            );
        }
    });
}

fn a_call_that_is_written_as_text_is_denied(version: Version) {
    let no_pay = json!({"id": "no-pay", "match": {"tool": "pay"}, "action": "deny", "reason": "Nobody pays.", "on_deny": "replace"});
    let envoy = both_modes(version, &policy(json!([no_pay])));
    let text = "<tool_call>{\"name\": \"pay\", \"arguments\": {\"amount\": 500}}</tool_call>";
    envoy.provider.answer_always(answers(text));
    in_every_way(&envoy, |site, _, http| {
        let response = site.send(http, &Request::chat(says("pay")));
        assert!(!String::from_utf8_lossy(&response.body).contains("500"));
        let record = site.records.next();
        assert_eq!(record["decision"], "deny");
        assert_eq!(record["tools"], json!(["pay"]));
    });
}

fn under_an_allow_list_clients_are_authorized_and_lists_pass(version: Version) {
    let allow_list = with(
        policy(json!([{"id": "search", "match": {"tool": "search"}, "action": "allow"}])),
        json!({"defaults": {"action": "deny"}}),
    );
    let envoy = both_modes(version, &allow_list);
    let token =
        json!({"access_token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "token_type": "Bearer"});
    envoy
        .provider
        .answer_always(Answer::json(200, token.to_string().as_bytes()));
    in_every_way(&envoy, |site, _, http| {
        let form = "grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA&client_id=c";
        for request in [
            Request::new("POST", "/token")
                .authority("tools.example.com")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form),
            Request::new("GET", "/v1/models"),
            Request::new("GET", "/.well-known/oauth-authorization-server"),
        ] {
            let response = site.send(http, &request);
            assert_eq!(response.status, 200);
            assert_eq!(response.json(), token, "as it came");
            let record = site.records.next();
            assert_eq!(record["decision"], "allow");
            assert!(!record.to_string().contains("Splxl"));
        }
        let other = Request::new("POST", "/token")
            .authority("tools.example.com")
            .header("content-type", "application/json")
            .body("{\"text\": \"x\"}");
        assert_eq!(site.send(http, &other).status, 400);
        assert_eq!(site.records.next()["code"], "AG2007");
    });
}
