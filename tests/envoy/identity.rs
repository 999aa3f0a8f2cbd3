//! Identity that Envoy verifies: API keys, tokens of `jwt_authn`, client certificates, headers of a trusted proxy; and
//! attacks on each.

pub(crate) mod forge;

use crate::scene::{
    Mode, answers, both_modes, in_every_way, in_mode, policy, refusal, says, sites, with,
};
use forge::{Authority, Folder, Signer};
use harness::{
    Ended, Envoy, Host, Http, Listening, Request, Response, Setup, Site, Version, wait_for,
};
use serde_json::{Value, json};

in_both_envoys![
    a_key_names_its_client_and_stays_here,
    an_invalid_key_is_refused_and_only_the_operator_learns_why,
    no_spelling_of_a_key_passes_for_another_or_leaves,
    a_key_of_the_environment_is_as_good_as_one_of_the_policy,
    a_key_is_replaced_without_a_dropped_request,
    the_provider_s_key_is_put_in_by_envoy,
    a_verified_token_names_its_user,
    a_forged_token_names_nobody,
    a_certificate_names_its_workload,
    headers_of_a_trusted_proxy_count_and_others_are_taken_out,
    trailers_name_nobody_and_carry_no_identity_upstream,
    an_address_that_a_client_wrote_is_nobody_s_address,
    envoy_accepts_what_the_documentation_shows,
];

const KEY: &str = "agk_0123456789abcdef";
const BETA: &str = "agk_fedcba9876543210";
const OLD: &str = "agk_oooooooooooooooo";
const GONE: &str = "agk_gggggggggggggggg";

fn keys() -> Value {
    json!([{"name": "key", "api_key": {
        "header": ["x-agent-key", "authorization"],
        "keys": [
            {"sha256": forge::hash(KEY), "client": "acme", "tenant": "a", "roles": ["agent"]},
            {"sha256": forge::hash(BETA), "client": "beta"},
            {"sha256": forge::hash(OLD), "client": "acme", "not_after": "2020-01-01T00:00:00Z"},
        ],
        "revoked": [forge::hash(GONE)],
    }}])
}

fn closed(principals: Value) -> Value {
    with(
        policy(json!([])),
        json!({"require": "identity", "principals": principals}),
    )
}

/// Returns a listener that routes requests with a key to this route. Its policy applies to the cluster of all other requests.
fn routed_by_its_key(name: &str, own: Value, open: &Value) -> Site {
    let applies = json!({"applies_to": {"clusters": ["provider"]}});
    let mut with_key = own;
    with_key["match"] =
        json!({"prefix": "/", "headers": [{"name": "x-agent-key", "present_match": true}]});
    let routes = json!([
        with_key,
        {"match": {"prefix": "/"}, "route": {"cluster": "provider"}},
    ]);
    let hosts = json!([{"name": "all", "domains": ["*"], "routes": routes}]);
    Site::new(name, &with(open.clone(), applies))
        .manager(json!({"route_config": {"virtual_hosts": hosts}}))
}

fn labelled(version: Version, sites: Vec<Site>) -> Envoy {
    let labels = vec![
        "provider",
        "model",
        "status",
        "client_id",
        "source",
        "reason",
    ];
    let envoy = Setup::new(version, sites).labels(labels).lease();
    envoy.provider.answer_always(answers("Hello"));
    envoy
}

fn hello() -> Request {
    Request::chat(says("hello"))
}

/// Returns the response to a request and its audit event. Every request of a site is sent this way, since events come later.
fn exchange(site: &Listening, http: Http, request: &Request) -> (Response, Value) {
    let before = site.records.lines().len();
    let response = site.send(http, request);
    let record = wait_for("the audit event", || {
        site.records.lines().get(before).cloned()
    });
    (response, serde_json::from_str(&record).expect("JSON"))
}

/// Returns the status of a request and its audit event.
fn ask(site: &Listening, http: Http, request: &Request) -> (u16, Value) {
    let (response, record) = exchange(site, http, request);
    (response.status, record)
}

fn a_key_names_its_client_and_stays_here(version: Version) {
    let envoy = labelled(version, sites(&closed(keys())));
    in_every_way(&envoy, |site, _, http| {
        for (name, value) in [
            ("x-agent-key", KEY.to_owned()),
            ("authorization", format!("Bearer {KEY}")),
        ] {
            let (status, record) = ask(site, http, &hello().header(name, &value));
            assert_eq!(status, 200, "{name}");
            assert_eq!(
                record["principal"],
                json!({"client": "acme", "tenant": "a", "roles": ["agent"], "via": "key"})
            );
            assert!(!record.to_string().contains(KEY));
            assert_eq!(
                envoy.provider.last().header(name),
                None,
                "{name} went upstream"
            );
        }
        let (response, _) = exchange(site, http, &hello());
        let error = refusal(&response, 401, "AG4001");
        assert_eq!(error["message"], "Authentication required.");
        assert_eq!(
            response.header("www-authenticate"),
            Some(r#"ApiKey realm="agentguard", header="x-agent-key", Bearer realm="agentguard""#)
        );
    });
    let counted = wait_for("the client in the metrics", || {
        let samples = envoy.samples();
        let mut requests = samples.into_iter().filter(|sample| {
            sample.name == "agentguard_requests_total"
                && sample.labels["client_id"] == "acme"
                && sample.value > 0.0
        });
        requests.next()
    });
    assert_eq!(counted.labels["status"], "allow");
}

fn an_invalid_key_is_refused_and_only_the_operator_learns_why(version: Version) {
    let envoy = labelled(
        version,
        sites(&with(closed(keys()), json!({"require": "none"}))),
    );
    let observed = with(closed(keys()), json!({"mode": "observe"}));
    in_every_way(&envoy, |site, _, http| {
        let mut told = Vec::new();
        for (key, reason) in [
            ("agk_stranger", "unknown"),
            (OLD, "expired"),
            (GONE, "revoked"),
        ] {
            let received = envoy.provider.count();
            let request = hello().header("x-agent-key", key);
            let (response, record) = exchange(site, http, &request);
            let status = response.status;
            assert_eq!((status, &record["code"]), (401, &json!("AG4002")));
            assert_eq!(record["authentication"]["source"], "key");
            assert_eq!(record["authentication"]["reason"], reason);
            assert_eq!(envoy.provider.count(), received, "the provider was asked");
            let mut error = response.json();
            error["error"]["agentguard"]["request_id"] = Value::Null;
            told.push(error);
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
    });
    wait_for("the reasons in the metrics", || {
        let samples = envoy.samples();
        let reasons: Vec<&str> = samples
            .iter()
            .filter(|sample| {
                sample.name == "agentguard_authentication_failures_total" && sample.value > 0.0
            })
            .map(|sample| sample.labels["reason"].as_str())
            .collect();
        ["unknown", "expired", "revoked"]
            .iter()
            .all(|reason| reasons.contains(reason))
            .then_some(())
    });
    let envoy = labelled(version, sites(&observed));
    in_every_way(&envoy, |site, _, http| {
        for key in [OLD, GONE, KEY] {
            let (status, record) = ask(site, http, &hello().header("x-agent-key", key));
            assert_eq!(status, 200);
            assert_eq!(record["would"] == "deny", key != KEY, "{record}");
            assert_eq!(envoy.provider.last().header("x-agent-key"), None, "{key}");
        }
    });
}

fn no_spelling_of_a_key_passes_for_another_or_leaves(version: Version) {
    let envoy = both_modes(version, &closed(keys()));
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        for (request, reason) in [
            (
                hello()
                    .header("x-agent-key", KEY)
                    .header("x-agent-key", BETA),
                "duplicate",
            ),
            (
                hello()
                    .header("x-agent-key", KEY)
                    .header("x-agent-key", KEY),
                "duplicate",
            ),
            (
                hello().header("x-agent-key", format!("{KEY},{BETA}")),
                "unknown",
            ),
            (hello().header("x-agent-key", KEY.to_uppercase()), "unknown"),
            (
                hello()
                    .header("x-agent-key", KEY)
                    .header("authorization", format!("Bearer {BETA}")),
                "contradictory",
            ),
            (hello().header("authorization", KEY), "malformed"),
            (hello().header("x_agent_key", KEY), "missing"),
            (hello().header("x-api-key", KEY), "missing"),
            (
                hello().path(&format!("/v1/chat/completions?key={KEY}")),
                "in_url",
            ),
            (
                hello()
                    .header("x-agent-key", KEY)
                    .path(&format!("/v1/chat/completions?api_key={BETA}")),
                "in_url",
            ),
        ] {
            let received = envoy.provider.count();
            let (status, record) = ask(site, http, &request);
            assert_eq!(status, 401, "{request:?}");
            assert_eq!(record["authentication"]["reason"], reason, "{request:?}");
            assert_eq!(envoy.provider.count(), received, "the provider was asked");
        }
    });
    // Over HTTP/1.1, header names are case-insensitive.
    for mode in Mode::BOTH {
        let site = envoy.site(mode.word());
        let mut connection = site.raw();
        connection.send(&hello().header("X-AGENT-KEY", KEY).bytes());
        assert_eq!(connection.response().expect("an answer").status, 200);
        assert_eq!(envoy.provider.last().header("x-agent-key"), None);
    }
    // Without `require`, a request without a credential passes, and no key is forwarded.
    let mut own = keys();
    own[0]["api_key"]["starts_with"] = json!("agk_");
    let open = with(closed(own), json!({"require": "none"}));
    let mut all = sites(&open);
    // Routes of the native host, which doesn't make Envoy select the route again.
    let elsewhere = [
        ("nowhere", json!({"route": {"cluster": "nowhere"}}), 503),
        ("direct", json!({"direct_response": {"status": 204}}), 204),
    ];
    for (name, route, _) in &elsewhere {
        all.push(routed_by_its_key(name, route.clone(), &open));
    }
    let envoy = Setup::new(version, all).lease();
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        let bearer = |key: &str| format!("Bearer {key}");
        for values in [
            // Envoy joins the lines of this header with commas.
            &[bearer("of-the-provider"), bearer(KEY)][..],
            &[bearer(&bearer(KEY))],
            &[format!("Basic {KEY}")],
        ] {
            let request = values.iter().fold(hello(), |request, value| {
                request.header("authorization", value)
            });
            let received = envoy.provider.count();
            let (status, record) = ask(site, http, &request);
            assert_eq!(status, 401, "{values:?}");
            assert_eq!(record["authentication"]["reason"], "malformed");
            assert_eq!(envoy.provider.count(), received, "the provider was asked");
        }
        for (name, value) in [("x_agent_key", KEY), ("x-api-key", KEY), ("api-key", OLD)] {
            let (status, record) = ask(site, http, &hello().header(name, value));
            assert_eq!(status, 200, "{name}");
            assert_eq!(record["principal"], Value::Null);
            let upstream = envoy.provider.last();
            assert_eq!(upstream.header(name), None, "{name}");
        }
        ask(site, http, &hello().header("x-api-key", "of-the-provider"));
        let upstream = envoy.provider.last();
        assert_eq!(upstream.header("x-api-key"), Some("of-the-provider"));
    });
    // The request's headers are forwarded when Envoy reports the cluster; the body is not.
    let both = |other| Http::BOTH.map(|http| (other, http));
    for ((name, _, unchanged), http) in elsewhere.iter().flat_map(both) {
        let site = envoy.site(name);
        let (status, record) = ask(site, http, &hello().header("x-agent-key", KEY));
        let coverage = &record["coverage"];
        if Host::of_run() == Host::Wasm || record["code"] == "AG2012" {
            assert_eq!((status, &record["code"]), (400, &json!("AG2012")));
            assert_eq!(coverage["reasons"], json!(["request:AG2012"]));
        } else {
            // Before 1.40, Envoy does not report the cluster to the native host.
            let is_ignored = coverage["level"] == "ignored";
            let expected = (*unchanged, version == Version::Newest);
            assert_eq!((status, is_ignored), expected, "{name}");
        }
        let (status, record) = ask(site, http, &hello());
        assert_eq!(
            (status, &record["coverage"]["level"]),
            (200, &json!("full"))
        );
        // Trailers behind the headers are the first that tells of the other cluster.
        if Host::of_run() == Host::Wasm && http == Http::Two {
            let trailers = Request::new("GET", "/v1/models").trailer("x-last", "1");
            let received = envoy.provider.count();
            let (status, record) = ask(site, http, &trailers.header("x-agent-key", KEY));
            assert_eq!((status, &record["code"]), (400, &json!("AG2012")));
            // Its headers may have been forwarded.
            if envoy.provider.count() > received {
                let ended = wait_for("its end at the provider", || {
                    Some(envoy.provider.last().ended).filter(|ended| *ended != Ended::Not)
                });
                assert_eq!(ended, Ended::Broken);
            }
        }
    }
}

fn a_key_of_the_environment_is_as_good_as_one_of_the_policy(version: Version) {
    let by_name = json!([{"name": "key", "api_key": {
        "header": "x-agent-key", "keys": [{"env": "IDENTITY_TEST_KEY", "client": "acme"}],
    }}]);
    let sites = Mode::BOTH
        .map(|mode| {
            Site::new(mode.word(), &in_mode(&closed(by_name.clone()), mode))
                .variable("IDENTITY_TEST_KEY")
        })
        .to_vec();
    let envoy = Setup::new(version, sites.clone())
        .variable("IDENTITY_TEST_KEY", KEY)
        .start();
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        let (status, record) = ask(site, http, &hello().header("x-agent-key", KEY));
        assert_eq!(
            (status, &record["principal"]["client"]),
            (200, &json!("acme"))
        );
        let other = hello().header("x-agent-key", BETA);
        assert_eq!(ask(site, http, &other).0, 401);
    });
    assert!(
        !envoy.get("/config_dump").contains(KEY),
        "the key is in the configuration dump"
    );
    let (_, printed) = Setup::new(version, sites).fail_to_start();
    assert!(printed.contains("AG1022"), "{printed}");
}

fn a_key_is_replaced_without_a_dropped_request(version: Version) {
    let with_keys = |keys: Value| {
        closed(json!([{"name": "key", "api_key": {"header": "x-agent-key", "keys": keys}}]))
    };
    let (old, new) = (forge::hash(KEY), forge::hash(BETA));
    let steps = [
        json!([{"sha256": old, "client": "acme"}]),
        json!([{"sha256": old, "client": "acme"}, {"sha256": new, "client": "acme"}]),
        json!([{"sha256": new, "client": "acme"}]),
    ];
    let site = |keys: &Value| Site::new("watched", &with_keys(keys.clone())).watched();
    let mut envoy = Setup::new(version, vec![site(&steps[0])]).lease();
    envoy.provider.answer_always(answers("Hello"));
    let send = |envoy: &Envoy, key: &str| {
        let request = hello().header("x-agent-key", key);
        envoy.site("watched").send(Http::One, &request).status
    };
    let mut key = KEY;
    for step in &steps[1..] {
        let before = envoy.discovery_stat("watched", "update_success");
        envoy.replace(site(step));
        wait_for("the new policy", || {
            // A client that uses the new key is never denied while the policy changes.
            assert_eq!(send(&envoy, key), 200);
            (envoy.discovery_stat("watched", "update_success") > before).then_some(())
        });
        wait_for("the new policy to be in force", || {
            assert_eq!(send(&envoy, key), 200);
            let other = if step == &steps[2] { KEY } else { BETA };
            let expected = if step == &steps[2] { 401 } else { 200 };
            (send(&envoy, other) == expected).then_some(())
        });
        key = BETA;
    }
}

fn the_provider_s_key_is_put_in_by_envoy(version: Version) {
    let folder = Folder::new("credential");
    let secret = folder.write(
        "provider.json",
        &json!({"resources": [{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": "provider-key",
            "generic_secret": {"secret": {"inline_string": "Bearer sk-of-the-provider"}},
        }]})
        .to_string(),
    );
    let injector = json!({
        "name": "envoy.filters.http.credential_injector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
            "overwrite": true,
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
                    "credential": {
                        "name": "provider-key",
                        "sds_config": {"path_config_source": {"path": secret}, "resource_api_version": "V3"},
                    },
                    "header": "authorization",
                },
            },
        },
    });
    let sites = Mode::BOTH
        .map(|mode| {
            Site::new(mode.word(), &in_mode(&closed(keys()), mode))
                .filters_after(vec![injector.clone()])
        })
        .to_vec();
    let envoy = labelled(version, sites);
    in_every_way(&envoy, |site, _, http| {
        let key = format!("Bearer {KEY}");
        let response = site.send(http, &hello().header("authorization", &key));
        assert_eq!(response.status, 200);
        let upstream = envoy.provider.last();
        let sent: Vec<&(String, Vec<u8>)> = upstream
            .headers
            .iter()
            .filter(|(name, _)| name == "authorization")
            .collect();
        assert_eq!(sent.len(), 1);
        assert_eq!(
            upstream.header("authorization"),
            Some("Bearer sk-of-the-provider")
        );
    });
}

fn users() -> Value {
    json!([{"name": "user", "jwt": {
        "payload": "jwt", "failed": "jwt_failed", "issuer": "https://login.example.com",
        "id": "sub", "client": "azp", "tenant": "org.id", "roles": "realm_access.roles",
        "claims": {
            "team": ["https://acme.com/claims", "team"],
            "level": {"claim": "level", "type": "number"},
            "scope": {"claim": "scope", "type": "words"},
        },
    }}])
}

/// Returns `jwt_authn` with the keys of these signers. It forwards requests without a valid token.
pub(crate) fn jwt_authn(signers: &[(&str, &Signer)]) -> Value {
    let provider = |issuer: &str, signer: &Signer| {
        json!({
            "issuer": issuer,
            "local_jwks": {"inline_string": signer.key_set().to_string()},
            "payload_in_metadata": "jwt",
            "failed_status_in_metadata": "jwt_failed",
            "forward": false,
        })
    };
    let providers: serde_json::Map<String, Value> = signers
        .iter()
        .enumerate()
        .map(|(number, (issuer, signer))| (format!("p{number}"), provider(issuer, signer)))
        .collect();
    let mut any: Vec<Value> = providers
        .keys()
        .map(|name| json!({"provider_name": name}))
        .collect();
    any.push(json!({"allow_missing_or_failed": {}}));
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": providers,
            "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": any}}}],
        },
    })
}

fn behind_jwt_authn(version: Version, signers: &[(&str, &Signer)]) -> Envoy {
    let sites = Mode::BOTH
        .map(|mode| {
            Site::new(mode.word(), &in_mode(&closed(users()), mode))
                .behind_filters(vec![jwt_authn(signers)])
        })
        .to_vec();
    labelled(version, sites)
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example.com", "sub": "ann", "azp": "acme", "exp": 4_102_444_800_u64,
        "org": {"id": "t-1"}, "realm_access": {"roles": ["sre", "dev"]}, "scope": "read write", "level": 3,
        "https://acme.com/claims": {"team": "blue"},
    })
}

fn a_verified_token_names_its_user(version: Version) {
    let signer = Signer::new("verified");
    let envoy = behind_jwt_authn(version, &[("https://login.example.com", &signer)]);
    in_every_way(&envoy, |site, _, http| {
        let token = signer.token(&claims());
        let request = hello().header("authorization", format!("Bearer {token}"));
        let (status, record) = ask(site, http, &request);
        assert_eq!(status, 200, "{record}");
        assert_eq!(
            record["principal"],
            json!({"id": "ann", "client": "acme", "tenant": "t-1", "roles": ["sre", "dev"], "via": "user"})
        );
        assert_eq!(envoy.provider.last().header("authorization"), None);
        assert_eq!(ask(site, http, &hello()).0, 401);
    });
    // Further claims, as rules see them.
    let rules = json!([{
        "id": "blue-only", "match": {"event": "request"}, "action": "deny",
        "unless": {"all": [{"principal.team": "blue"}, {"principal.level": "3"}, {"principal.scope": "write"}]},
    }]);
    let asking = with(closed(users()), json!({"rules": rules}));
    let envoy = labelled(
        version,
        vec![
            Site::new("portable", &asking)
                .behind_filters(vec![jwt_authn(&[("https://login.example.com", &signer)])]),
        ],
    );
    let site = envoy.site("portable");
    for (claim, value, expected) in [
        ("level", json!(3), 200),
        ("level", json!(4), 400),
        ("level", json!("3"), 400),
        ("scope", json!("read"), 400),
        ("scope", json!(["read", "write"]), 200),
    ] {
        let token = signer.token(&with(claims(), json!({claim: value})));
        let request = hello().header("authorization", format!("Bearer {token}"));
        assert_eq!(
            site.send(Http::One, &request).status,
            expected,
            "{claim}: {value}"
        );
    }
}

fn a_forged_token_names_nobody(version: Version) {
    let signer = Signer::new("forged");
    let stranger = Signer::new("stranger");
    let issuer = "https://login.example.com";
    let envoy = behind_jwt_authn(version, &[(issuer, &signer)]);
    let expired = signer.token(&with(claims(), json!({"exp": 1_000_000_000})));
    let elsewhere = json!({"iss": "https://other.example.com"});
    in_every_way(&envoy, |site, _, http| {
        for (token, reason) in [
            (expired.clone(), "expired"),
            // From an issuer that `jwt_authn` does not know.
            (
                stranger.token(&with(claims(), elsewhere.clone())),
                "wrong_issuer",
            ),
            // Signed with another key, in the issuer's name.
            (stranger.token(&claims()), "unverified"),
            (forge::unsigned(&claims()), "unverified"),
            (signer.signed_with_public_key(&claims()), "unverified"),
        ] {
            let request = hello().header("authorization", format!("Bearer {token}"));
            let (status, record) = ask(site, http, &request);
            assert_eq!(status, 401, "{reason}: {record}");
            assert_eq!(record["code"], "AG4002", "{record}");
            assert_eq!(record["principal"], Value::Null);
            assert_eq!(record["authentication"]["reason"], reason, "{record}");
        }
        // A payload that the client writes is not one that `jwt_authn` has verified.
        let payload = forge::encoded(claims().to_string().as_bytes());
        let (status, record) = ask(
            site,
            http,
            &hello()
                .header("x-jwt-payload", &payload)
                .header("x-envoy-jwt", &payload)
                .header("jwt", &payload),
        );
        assert_eq!((status, &record["code"]), (401, &json!("AG4001")));
    });
    // Verified by `jwt_authn`, from an issuer that the policy does not name.
    let signers = [(issuer, &signer), ("https://other.example.com", &stranger)];
    let envoy = behind_jwt_authn(version, &signers);
    in_every_way(&envoy, |site, _, http| {
        let token = stranger.token(&with(claims(), elsewhere.clone()));
        let request = hello().header("authorization", format!("Bearer {token}"));
        let (status, record) = ask(site, http, &request);
        assert_eq!(status, 401, "{record}");
        assert_eq!(record["authentication"]["reason"], "wrong_issuer");
        let token = signer.token(&claims());
        let request = hello().header("authorization", format!("Bearer {token}"));
        assert_eq!(ask(site, http, &request).0, 200);
    });
}

fn a_certificate_names_its_workload(version: Version) {
    let authority = Authority::new("mesh");
    let stranger = Authority::new("elsewhere");
    let mesh = json!([{"name": "mesh", "mtls": {"uri_san": "spiffe://td/ns/{tenant}/sa/{agent}"}}]);
    let site = |mode: Mode| {
        Site::new(mode.word(), &in_mode(&closed(mesh.clone()), mode))
            .tls(authority.server_context())
    };
    let envoy = labelled(version, Mode::BOTH.map(site).to_vec());
    let bot = "URI:spiffe://td/ns/acme/sa/bot";
    for mode in Mode::BOTH {
        let site = envoy.site(mode.word());
        let send = |certificate: Option<&forge::Certificate>| {
            forge::send(site.address, &authority, certificate, &hello())
        };
        let count = site.records.lines().len();
        assert_eq!(send(Some(&authority.certificate("bot", bot))), Some(200));
        let record = wait_for("the audit event", || {
            site.records.lines().get(count).cloned()
        });
        let record: Value = serde_json::from_str(&record).expect("JSON");
        assert_eq!(
            record["principal"],
            json!({"id": "spiffe://td/ns/acme/sa/bot", "agent": "bot", "tenant": "acme", "via": "mesh"})
        );
        // Names that only look alike. Envoy reports the first of several.
        for (name, sans) in [
            ("longer", "URI:spiffe://td/ns/acme/sa/bot/extra"),
            ("domain", "URI:spiffe://td.evil/ns/acme/sa/bot"),
            (
                "second",
                "URI:https://evil.example.com,URI:spiffe://td/ns/acme/sa/bot",
            ),
            ("dns", "DNS:spiffe.td"),
        ] {
            assert_eq!(
                send(Some(&authority.certificate(name, sans))),
                Some(401),
                "{name}"
            );
        }
        assert_eq!(send(None), Some(401));
        // From another authority: Envoy accepts no connection.
        assert_eq!(send(Some(&stranger.certificate("bot", bot))), None);
    }
}

fn edge() -> Value {
    json!([{"name": "edge", "header": {"id": "x-user", "roles": "x-roles", "trusted": ["127.0.0.0/8"]}}])
}

fn headers_of_a_trusted_proxy_count_and_others_are_taken_out(version: Version) {
    let envoy = both_modes(version, &closed(edge()));
    envoy.provider.answer_always(answers("Hello"));
    in_every_way(&envoy, |site, _, http| {
        let request = hello().header("x-user", "ann").header("x-roles", "dev,sre");
        let (status, record) = ask(site, http, &request);
        assert_eq!(status, 200);
        assert_eq!(
            record["principal"],
            json!({"id": "ann", "roles": ["dev", "sre"], "via": "edge"})
        );
        let (status, record) = ask(site, http, &request.header("x-user", "root"));
        assert_eq!(
            (status, &record["authentication"]["reason"]),
            (401, &json!("duplicate"))
        );
        let mixed = hello().header("x-user", "ann").header("x_user", "root");
        let (status, record) = ask(site, http, &mixed);
        assert_eq!((status, &record["principal"]["id"]), (200, &json!("ann")));
        assert_eq!(envoy.provider.last().header("x_user"), None);
    });
    let elsewhere =
        json!([{"name": "edge", "header": {"id": "x-user", "trusted": ["192.0.2.0/24"]}}]);
    for mode in ["enforce", "observe"] {
        let open = json!({"require": "none", "mode": mode});
        let envoy = both_modes(version, &with(closed(elsewhere.clone()), open));
        envoy.provider.answer_always(answers("Hello"));
        in_every_way(&envoy, |site, _, http| {
            let (status, record) = ask(site, http, &hello().header("x-user", "root"));
            assert_eq!((status, &record["principal"]), (200, &Value::Null));
            assert_eq!(envoy.provider.last().header("x-user"), None);
        });
    }
}

fn trailers_name_nobody_and_carry_no_identity_upstream(version: Version) {
    // Every peer is trusted, but trailers are not.
    let edge = json!({"name": "edge", "header": {"id": "x-user", "roles": "x-roles", "trusted": ["127.0.0.0/8"]}});
    let mut principals = keys();
    principals.as_array_mut().expect("a list").push(edge);
    let envoy = labelled(
        version,
        sites(&with(closed(principals), json!({"require": "none"}))),
    );
    in_every_way(&envoy, |site, _, http| {
        let request = hello()
            .trailer("x-user", "root")
            .trailer("x_roles", "admin")
            .trailer("x-agentguard-approval", "agat1.x")
            .trailer("x-agent-key", KEY)
            .trailer("x-check", "7");
        let (status, record) = ask(site, http, &request);
        assert_eq!(status, 200);
        assert_eq!(record["principal"], Value::Null, "{record}");
        let received = envoy.provider.last();
        assert_eq!(received.trailers, [("x-check".into(), b"7".to_vec())]);
    });
}

fn an_address_that_a_client_wrote_is_nobody_s_address(version: Version) {
    let trusted =
        json!([{"name": "edge", "header": {"id": "x-user", "trusted": ["192.0.2.0/24"]}}]);
    // By default, Envoy takes the last address of `x-forwarded-for` for the peer.
    for keys in [json!({}), json!({"use_remote_address": true})] {
        let sites = Mode::BOTH
            .map(|mode| {
                Site::new(mode.word(), &in_mode(&closed(trusted.clone()), mode))
                    .manager(keys.clone())
            })
            .to_vec();
        let envoy = labelled(version, sites);
        in_every_way(&envoy, |site, _, http| {
            for forged in ["192.0.2.7", "10.0.0.1, 192.0.2.7", "192.0.2.7:5000"] {
                let request = hello()
                    .header("x-user", "root")
                    .header("x-forwarded-for", forged);
                let (status, record) = ask(site, http, &request);
                assert_eq!(status, 401, "{forged}: {record}");
            }
        });
    }
    // The real peer counts if Envoy reports it.
    let site = Site::new("portable", &closed(edge())).manager(json!({"use_remote_address": true}));
    let envoy = labelled(version, vec![site]);
    let request = hello()
        .header("x-user", "ann")
        .header("x-forwarded-for", "192.0.2.7");
    assert_eq!(envoy.site("portable").send(Http::One, &request).status, 200);
}

/// Returns the YAML blocks of docs/identity.md as JSON, with their files in this folder.
fn documented(folder: &Folder) -> Vec<Value> {
    let page = std::fs::read_to_string("docs/identity.md").expect("the page");
    let blocks = page.split("```yaml\n").skip(1);
    blocks
        .map(|block| {
            let text = block.split("```").next().expect("a block");
            let text = text.replace("/etc/envoy", &folder.root());
            let node = agentguard::author::parse_yaml(&text).expect(&text);
            let mut json = Vec::new();
            node.write_json(&mut json);
            serde_json::from_slice(&json).expect("JSON")
        })
        .collect()
}

fn envoy_accepts_what_the_documentation_shows(version: Version) {
    let authority = Authority::new("docs");
    let folder = authority.folder();
    authority.certificate("server", "DNS:localhost");
    folder.copy("ca.pem", "clients-ca.pem");
    let blocks = documented(folder);
    let mut filters: Vec<Value> = blocks
        .iter()
        .filter_map(Value::as_array)
        .flatten()
        .filter(|filter| filter["typed_config"].is_object())
        .cloned()
        .collect();
    assert_eq!(filters.len(), 2, "jwt_authn and the injector: {filters:?}");
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    let find = |key: &str| {
        let found = blocks.iter().find(|block| !block[key].is_null());
        found.expect(key).clone()
    };
    folder.write("provider-key.yaml", &find("resources").to_string());
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let node = json!({"id": "agents", "cluster": "agents"});
    let config = json!({"node": node, "static_resources": {
        "listeners": [{"name": "l", "address": address(0), "filter_chains": [{
            "transport_socket": find("transport_socket")["transport_socket"],
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "s", "http_filters": filters, "route_config": {"virtual_hosts": []},
            }}],
        }]}],
        "clusters": [{"name": "login", "type": "STATIC", "load_assignment": {
            "cluster_name": "login",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(9)}}]}],
        }}],
    }});
    let file = folder.write("bootstrap.json", &config.to_string());
    assert_eq!(version.refuses(std::path::Path::new(&file)), None);
    // The policy of the page is valid as well.
    let policy = find("principals").to_string();
    let loaded = agentguard::policy::load_json(policy.as_bytes());
    assert!(loaded.policy.is_some(), "{:?}", loaded.diagnostics);
}
