//! All sources, from a request's headers and properties to the principal.

use super::*;
use crate::policy::load_json;
use crate::proxy::MemoryProperties;
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z
const NOW: u64 = 1_767_225_600_000_000_000;

const KEY: &str = "agk_0123456789abcdef";
const OTHER: &str = "agk_fedcba9876543210";
const STRANGE: &str = "agk_aaaaaaaaaaaaaaaa";

fn hash(key: &str) -> String {
    crate::wire::hex::encode(&crate::policy::digest(key.as_bytes()))
}

fn sources(principals: Value) -> Vec<IdentitySource> {
    let document = json!({
        "apiVersion": "agentguard.dev/v1", "kind": "AgentPolicy", "metadata": {"name": "test"},
        "defaults": {"action": "allow"}, "principals": principals,
    });
    let loaded = load_json(document.to_string().as_bytes());
    let wrong: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    loaded
        .policy
        .unwrap_or_else(|| panic!("{wrong:?}"))
        .document
        .principals
}

/// Identifies a request. Returns the principal's members, or the reason of the failure, and the whole
/// result.
fn read(
    principals: &Value,
    headers: &[(&str, &str)],
    properties: &MemoryProperties,
) -> (String, Identified) {
    let sources = sources(principals.clone());
    let variable = |name: &str| (name == "AGENT_KEY").then(|| format!("{OTHER}\n"));
    let keys = KeyTable::new(&sources, &variable).unwrap();
    let headers: Vec<(&[u8], &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let identified = identify(
        &sources,
        &keys,
        &Credentials {
            headers: &headers,
            properties,
            now: NOW,
        },
    );
    (told(&identified), identified)
}

fn told(identified: &Identified) -> String {
    if let Some(failure) = &identified.failure {
        assert!(
            identified.principal.is_anonymous(),
            "a failure names nobody"
        );
        return format!("{} {}", failure.source, failure.reason.word());
    }
    let principal = &identified.principal;
    let Some(via) = &principal.via else {
        return "anonymous".to_owned();
    };
    let mut told = via.to_string();
    for member in ["id", "agent", "client", "tenant"] {
        match principal.claim(member) {
            Known::Is(values) => told += &format!(" {member}={}", values.join(",")),
            Known::Unknown => told += &format!(" {member}=?"),
            Known::Missing => {}
        }
    }
    match &principal.roles {
        Known::Is(roles) => told += &format!(" roles={}", roles.join(",")),
        Known::Unknown => told += " roles=?",
        Known::Missing => {}
    }
    for (name, values) in &principal.claims {
        match values {
            Known::Is(values) => told += &format!(" {name}={}", values.join(",")),
            Known::Unknown => told += &format!(" {name}=?"),
            Known::Missing => {}
        }
    }
    told
}

fn says(principals: &Value, headers: &[(&str, &str)]) -> String {
    read(principals, headers, &MemoryProperties::default()).0
}

mod api_keys {
    use super::*;

    fn policy() -> Value {
        json!([{"name": "key", "api_key": {
            "header": "x-agent-key",
            "keys": [
                {"sha256": hash(KEY), "client": "acme", "tenant": "a", "roles": ["agent"]},
                {"env": "AGENT_KEY", "client": "beta"},
                {"sha256": hash("old"), "client": "acme", "not_after": "2025-12-31T00:00:00Z"},
                {"sha256": hash("new"), "client": "acme", "not_before": "2026-12-31T00:00:00+01:00"},
                {"sha256": hash("ends"), "client": "acme", "not_after": "2026-01-01T00:00:00Z"},
                {"sha256": hash("begins"), "client": "acme", "not_before": "2026-01-01T00:00:00Z"},
                {"sha256": hash("stolen"), "client": "acme"},
            ],
            "revoked": [hash("stolen"), hash("gone")],
        }}])
    }

    #[test]
    fn a_key_names_its_client() {
        let say = |key: &str| says(&policy(), &[("x-agent-key", key)]);
        assert_eq!(say(KEY), "key client=acme tenant=a roles=agent");
        assert_eq!(
            say(&format!("  {KEY} ")),
            "key client=acme tenant=a roles=agent"
        );
        assert_eq!(say(OTHER), "key client=beta");
        assert_eq!(say("begins"), "key client=acme");
        assert_eq!(says(&policy(), &[]), "anonymous");
        assert_eq!(say(""), "anonymous");
    }

    #[test]
    fn reasons_for_an_invalid_key_are_distinguished() {
        for (key, reason) in [
            (STRANGE, "unknown"),
            ("old", "expired"),
            ("ends", "expired"),
            ("new", "not_yet_valid"),
            ("stolen", "revoked"),
            ("gone", "revoked"),
            (&KEY.to_uppercase(), "unknown"),
            (&format!("{KEY}, {KEY}"), "unknown"),
            (&"k".repeat(5_000), "unknown"),
        ] {
            let said = says(&policy(), &[("x-agent-key", key)]);
            assert_eq!(said, format!("key {reason}"), "{key}");
        }
    }

    #[test]
    fn a_duplicate_key_is_invalid() {
        let twice = [("x-agent-key", KEY), ("x-agent-key", KEY)];
        assert_eq!(says(&policy(), &twice), "key duplicate");
    }

    #[test]
    fn another_spelling_of_the_header_is_no_credential_and_is_not_forwarded() {
        let (said, identified) = read(
            &policy(),
            &[("x_agent_key", KEY)],
            &MemoryProperties::default(),
        );
        assert_eq!(said, "anonymous");
        assert_eq!(identified.keys, ["x_agent_key"]);
    }

    #[test]
    fn no_key_of_the_policy_reaches_the_upstream_wherever_it_is() {
        for (name, value) in [
            ("x-agent-key", KEY.to_owned()),
            ("x-agent-key", "old".to_owned()),
            ("x-agent-key", "gone".to_owned()),
            ("authorization", format!("Bearer {KEY}")),
            ("authorization", format!("bearer\t {KEY}")),
            ("authorization", KEY.to_owned()),
            ("x-api-key", KEY.to_owned()),
            ("x-goog-api-key", KEY.to_owned()),
        ] {
            let headers = [(name, value.as_str())];
            let (_, identified) = read(&policy(), &headers, &MemoryProperties::default());
            assert_eq!(identified.keys, [name], "{name}: {value}");
        }
        // Other keys belong to the provider.
        let headers = [
            ("authorization", "Bearer sk-provider"),
            ("x-agent-key", STRANGE),
        ];
        let (_, identified) = read(&policy(), &headers, &MemoryProperties::default());
        assert_eq!(identified.keys, Vec::<String>::new());
    }

    #[test]
    fn a_key_in_the_url_is_invalid_and_removed() {
        for (path, rest) in [
            (format!("/v1/models?key={KEY}"), "/v1/models"),
            (
                format!("/v1/models?a=1&key={KEY}&b=2"),
                "/v1/models?a=1&b=2",
            ),
            (format!("/v1/models?{KEY}"), "/v1/models"),
            (
                format!("/v1/models?key={}", KEY.replace('_', "%5F")),
                "/v1/models",
            ),
        ] {
            let headers = [(":path", path.as_str())];
            let (said, identified) = read(&policy(), &headers, &MemoryProperties::default());
            assert_eq!(said, "key in_url", "{path}");
            assert_eq!(identified.path.as_deref(), Some(rest), "{path}");
        }
        let (said, identified) = read(
            &policy(),
            &[(":path", "/v1/models?key=AIzaSyProviderProvider")],
            &MemoryProperties::default(),
        );
        assert_eq!((said.as_str(), identified.path), ("anonymous", None));
    }

    #[test]
    fn a_bearer_key_follows_its_scheme() {
        let policy = json!([{"name": "key", "api_key": {
            "header": ["authorization", "x-api-key"], "starts_with": "agk_",
            "keys": [{"sha256": hash(KEY), "client": "acme"}, {"sha256": hash(OTHER), "client": "beta"}],
        }}]);
        let say = |headers: &[(&str, &str)]| says(&policy, headers);
        let bearer = format!("Bearer {KEY}");
        assert_eq!(say(&[("authorization", &bearer)]), "key client=acme");
        assert_eq!(
            say(&[("authorization", &bearer.to_lowercase())]),
            "key client=acme"
        );
        assert_eq!(say(&[("x-api-key", KEY)]), "key client=acme");
        assert_eq!(
            say(&[("authorization", &bearer), ("x-api-key", KEY)]),
            "key client=acme"
        );
        assert_eq!(
            say(&[("authorization", &bearer), ("x-api-key", OTHER)]),
            "key contradictory"
        );
        // Keys of a provider, or of another scheme.
        assert_eq!(say(&[("authorization", "Bearer sk-1")]), "anonymous");
        assert_eq!(say(&[("authorization", "Basic YTpi")]), "anonymous");
        let glued = format!("Bearer{KEY}");
        assert_eq!(say(&[("authorization", &glued)]), "anonymous");
        assert_eq!(
            say(&[("authorization", "Bearer sk-1"), ("x-api-key", KEY)]),
            "key client=acme"
        );
        // Keys that are recognised and not valid.
        assert_eq!(say(&[("authorization", KEY)]), "key malformed");
        assert_eq!(say(&[("authorization", "Bearer")]), "key malformed");
        assert_eq!(
            say(&[("authorization", &format!("Bearer {STRANGE}"))]),
            "key unknown"
        );
    }

    #[test]
    fn a_key_in_a_form_that_is_not_accepted_is_malformed_and_not_forwarded() {
        let policy = json!([
            {"name": "key", "api_key": {
                "header": ["authorization", "x-agent-key"], "starts_with": "agk_",
                "keys": [{"sha256": hash(KEY), "client": "acme"}], "revoked": [hash(OTHER)],
            }},
            {"name": "site", "api_key": {
                "header": "authorization", "prefix": "Site",
                "keys": [{"sha256": hash(STRANGE), "client": "site"}],
            }},
        ]);
        for (name, value) in [
            // Two schemes, another scheme, quotes, a parameter.
            ("authorization", format!("Bearer bearer {KEY}")),
            ("authorization", format!("Basic {KEY}")),
            ("authorization", format!("Bearer \"{KEY}\"")),
            ("authorization", format!("Token token='{KEY}'")),
            ("x-agent-key", format!("Bearer {KEY}")),
            ("x-agent-key", format!("key={KEY};v=1")),
            // Envoy joins the lines of this header.
            ("authorization", format!("Bearer sk-provider,Bearer {KEY}")),
            (
                "authorization",
                format!("Bearer sk-provider,Bearer {OTHER}"),
            ),
        ] {
            let none = MemoryProperties::default();
            let (said, identified) = read(&policy, &[(name, &value)], &none);
            assert_eq!(said, "key malformed", "{name}: {value}");
            assert_eq!(identified.keys, [name], "{name}: {value}");
        }
        // Each source knows only its own keys, and a provider's credentials are forwarded.
        for (value, expected, kept) in [
            (format!("Site {STRANGE}"), "site client=site", false),
            (format!("Bearer {STRANGE}"), "site malformed", false),
            (
                "Bearer sk-provider,Bearer sk-other".to_owned(),
                "anonymous",
                true,
            ),
            (
                "Digest username=\"a\", uri=\"/v1/chat/completions\"".to_owned(),
                "anonymous",
                true,
            ),
        ] {
            let none = MemoryProperties::default();
            let (said, identified) = read(&policy, &[("authorization", &value)], &none);
            assert_eq!(said, expected, "{value}");
            assert_eq!(identified.keys.is_empty(), kept, "{value}");
        }
    }

    #[test]
    fn a_key_behind_many_words_costs_no_more_than_a_few() {
        let value = format!("{}{KEY}", "a-word-of-17-byte ".repeat(16));
        let headers = [("x-api-key", value.as_str())];
        let (_, identified) = read(&policy(), &headers, &MemoryProperties::default());
        assert_eq!(identified.keys, Vec::<String>::new());
    }

    #[test]
    fn sources_may_share_a_header() {
        let policy = json!([
            {"name": "a", "api_key": {"header": "x-key", "keys": [{"sha256": hash(KEY), "client": "acme"}]}},
            {"name": "b", "api_key": {"header": "x-key", "keys": [{"sha256": hash(OTHER), "client": "beta"}]}},
        ]);
        assert_eq!(says(&policy, &[("x-key", KEY)]), "a client=acme");
        assert_eq!(says(&policy, &[("x-key", OTHER)]), "b client=beta");
        assert_eq!(says(&policy, &[("x-key", STRANGE)]), "a unknown");
    }

    #[test]
    fn a_variable_that_is_not_set_or_short_is_an_error() {
        let sources = sources(policy());
        let key = |value: Option<&str>| {
            let value = value.map(str::to_owned);
            KeyTable::new(&sources, &|_| value.clone()).map(|_| ())
        };
        assert_eq!(key(None), Err(KeyError::Absent("AGENT_KEY".into())));
        assert_eq!(key(Some(" ")), Err(KeyError::Absent("AGENT_KEY".into())));
        assert_eq!(key(Some("short")), Err(KeyError::Short("AGENT_KEY".into())));
    }
}

mod tokens {
    use super::*;

    fn payload() -> MemoryProperties {
        MemoryProperties::of_json(&json!({"metadata": {"filter_metadata": {
            "envoy.filters.http.jwt_authn": {"jwt": {
                "iss": "https://issuer", "sub": "user-1", "azp": "acme", "org": {"id": "t-1", "number": 42},
                "scope": "read write", "realm_access": {"roles": ["sre", "dev"]}, "empty": [],
                "https://acme.com/claims": {"department": "ops"}, "admin": true, "one": ["only"], "two": ["a", "b"],
            }},
        }}}))
    }

    fn say(jwt: Value) -> String {
        read(&json!([{"name": "user", "jwt": jwt}]), &[], &payload()).0
    }

    #[test]
    fn claims_become_members() {
        assert_eq!(
            say(json!({
                "payload": "jwt", "id": "sub", "client": "azp", "tenant": "org.id", "roles": "realm_access.roles",
                "claims": {
                    "department": ["https://acme.com/claims", "department"],
                    "admin": {"claim": "admin", "type": "boolean"},
                    "number": {"claim": "org.number", "type": "number"},
                    "scopes": {"claim": "scope", "type": "words"},
                    "absent": "nothing.there",
                },
            })),
            "user id=user-1 client=acme tenant=t-1 roles=sre,dev admin=true department=ops number=42 scopes=read,write"
        );
    }

    #[test]
    fn roles_are_a_list_or_words() {
        let roles = |claim: &str| say(json!({"payload": "jwt", "id": "sub", "roles": claim}));
        assert_eq!(roles("scope"), "user id=user-1 roles=read,write");
        assert_eq!(roles("realm_access.roles"), "user id=user-1 roles=sre,dev");
        assert_eq!(roles("empty"), "user id=user-1 roles=");
        assert_eq!(roles("absent"), "user id=user-1");
        assert_eq!(
            roles("org"),
            "user id=user-1 roles=?",
            "an object is no role"
        );
        let many = |count: usize| {
            let jwt = json!({"sub": "user-1", "roles": vec!["dev"; count]});
            let properties = MemoryProperties::of_json(&json!({"metadata": {"filter_metadata": {
                "envoy.filters.http.jwt_authn": {"jwt": jwt},
            }}}));
            let source =
                json!([{"name": "user", "jwt": {"payload": "jwt", "id": "sub", "roles": "roles"}}]);
            read(&source, &[], &properties).0
        };
        assert!(many(255).ends_with(",dev"));
        assert_eq!(
            many(300),
            "user id=user-1 roles=?",
            "not the first ones alone"
        );
    }

    /// Envoy encodes nothing that contains a null, and an empty text as if it were absent.
    #[test]
    fn a_token_with_a_null_counts_and_the_claims_around_it_are_unknown() {
        let source = json!([{"name": "user", "jwt": {"payload": "jwt", "id": "sub", "tenant": "org.id", "roles": "roles"}}]);
        for (claims, expected) in [
            (json!({"nickname": null}), ""),
            (json!({"nickname": [{"a": null}]}), ""),
            (json!({"org": null}), ""),
            (json!({"org": {"id": "acme", "plan": null}}), " tenant=acme"),
            (json!({"org": {"id": null}}), " tenant=?"),
            (json!({"roles": null}), " roles=?"),
            (json!({"roles": ["dev", null, "contractor"]}), " roles=?"),
            (json!({"roles": [null, "contractor"]}), " roles=?"),
            (json!({"roles": ["dev", "", "contractor"]}), " roles=?"),
            (json!({"roles": ["", "contractor"]}), " roles=?"),
            (json!({"roles": [""]}), " roles=?"),
            (json!({"roles": ["dev", ""]}), " roles=?"),
            (json!({"roles": []}), " roles="),
            (json!({"roles": ""}), ""),
            (
                json!({"roles": {"0": "dev", "2": "contractor"}}),
                " roles=?",
            ),
            (
                json!({"roles": ["dev", "contractor"]}),
                " roles=dev,contractor",
            ),
        ] {
            let mut jwt = claims.clone();
            jwt["sub"] = "user-1".into();
            let properties = MemoryProperties::of_json(&json!({"metadata": {"filter_metadata": {
                "envoy.filters.http.jwt_authn": {"jwt": jwt},
            }}}));
            let told = read(&source, &[], &properties).0;
            assert_eq!(told, format!("user id=user-1{expected}"), "{claims}");
        }
    }

    #[test]
    fn a_claim_of_another_type_is_unknown() {
        let id = |claim: Value| say(json!({"payload": "jwt", "id": claim}));
        assert_eq!(id(json!("org.number")), "user id=?");
        assert_eq!(id(json!("admin")), "user id=?");
        assert_eq!(id(json!("org")), "user id=?");
        assert_eq!(id(json!("one")), "user id=only");
        assert_eq!(
            id(json!("two")),
            "user id=?",
            "which of the two is not known"
        );
        assert_eq!(id(json!({"claim": "sub", "type": "number"})), "user id=?");
    }

    #[test]
    fn a_further_member_that_can_t_be_read_is_unknown_and_not_missing() {
        let claims = json!({"scope": "org", "level": {"claim": "org.id", "type": "number"}, "absent": "nothing.there"});
        let jwt = json!({"payload": "jwt", "id": "sub", "environment": "two", "claims": claims});
        let several = "user id=user-1 environment=a,b level=? scope=?";
        assert_eq!(say(jwt), several);
        let groups = json!({"sub": "user-1", "groups": vec!["staff"; 300]});
        let properties = MemoryProperties::of_json(&json!({"metadata": {"filter_metadata": {
            "envoy.filters.http.jwt_authn": {"jwt": groups},
        }}}));
        let source = json!([{"name": "user", "jwt": {"payload": "jwt", "id": "sub", "claims": {"groups": "groups"}}}]);
        assert_eq!(read(&source, &[], &properties).0, "user id=user-1 groups=?");
    }

    #[test]
    fn an_unverified_token_does_not_count_as_absent() {
        let policy =
            json!([{"name": "user", "jwt": {"payload": "jwt", "failed": "failure", "id": "sub"}}]);
        let failed = |message: &str| {
            let properties = MemoryProperties::of_json(&json!({"metadata": {"filter_metadata": {
                "envoy.filters.http.jwt_authn": {"failure": {"code": 5, "message": message}},
            }}}));
            read(&policy, &[], &properties).0
        };
        // The fault is in the issuer's list of keys.
        assert_eq!(
            failed("[n] field is missing for a RSA key"),
            "user unverified"
        );
    }

    #[test]
    fn without_a_verified_token_no_caller_is_identified() {
        let policy =
            json!([{"name": "user", "jwt": {"payload": "jwt", "failed": "failure", "id": "sub"}}]);
        // A payload in a client's header is no token.
        let headers = [
            ("x-jwt-payload", "eyJzdWIiOiJyb290In0"),
            ("authorization", "Bearer eyJ.eyJ."),
        ];
        assert_eq!(says(&policy, &headers), "anonymous");
        for (message, reason) in [
            ("Jwt is expired", "expired"),
            ("Jwt issuer is not configured", "wrong_issuer"),
            ("Jwt verification fails", "unverified"),
        ] {
            let failed = MemoryProperties::of_json(&json!({"metadata": {"filter_metadata": {
                "envoy.filters.http.jwt_authn": {"failure": {"code": 5, "message": message}},
            }}}));
            assert_eq!(read(&policy, &[], &failed).0, format!("user {reason}"));
        }
        let missing = MemoryProperties::of_json(&json!({"metadata": {"filter_metadata": {
            "envoy.filters.http.jwt_authn": {"failure": {"code": 1, "message": "Jwt is missing"}},
        }}}));
        assert_eq!(read(&policy, &[], &missing).0, "anonymous");
    }

    #[test]
    fn the_issuer_is_one_of_those_named() {
        let issuer = |issuer: &str| say(json!({"payload": "jwt", "issuer": issuer, "id": "sub"}));
        assert_eq!(issuer("https://issuer"), "user id=user-1");
        assert_eq!(issuer("https://other"), "user wrong_issuer");
        assert_eq!(issuer("https://issuer/"), "user wrong_issuer");
    }

    #[test]
    fn a_token_belongs_to_the_source_with_its_issuer() {
        let source = |name: &str, issuer: &str| json!({"name": name, "jwt": {"payload": "jwt", "issuer": issuer, "id": "sub"}});
        let two = json!([source("a", "https://other"), source("b", "https://issuer")]);
        assert_eq!(read(&two, &[], &payload()).0, "b id=user-1");
        let neither = json!([source("a", "https://other"), source("b", "https://another")]);
        assert_eq!(read(&neither, &[], &payload()).0, "a wrong_issuer");
    }
}

mod peers {
    use super::*;

    fn from(address: &str) -> MemoryProperties {
        MemoryProperties::default().with(&["source", "address"], address)
    }

    fn with_uri(uri: &str) -> MemoryProperties {
        MemoryProperties::default()
            .with(&["connection", "mtls"], vec![1])
            .with(&["connection", "uri_san_peer_certificate"], uri)
    }

    fn edge() -> Value {
        json!([{"name": "edge", "header": {
            "id": "x-user", "roles": "x-roles",
            "trusted": ["10.0.0.0/8", "spiffe://mesh/ns/edge/sa/gateway"],
        }}])
    }

    #[test]
    fn a_certificate_names_a_workload() {
        let mesh =
            json!([{"name": "mesh", "mtls": {"uri_san": "spiffe://*/ns/{tenant}/sa/{agent}"}}]);
        let say = |properties: &MemoryProperties| read(&mesh, &[], properties).0;
        let uri = "spiffe://cluster.local/ns/acme/sa/bot";
        assert_eq!(
            say(&with_uri(uri)),
            format!("mesh id={uri} agent=bot tenant=acme")
        );
        assert_eq!(
            say(&with_uri("spiffe://cluster.local/ns/acme/x/bot")),
            "anonymous"
        );
        assert_eq!(say(&with_uri("")), "anonymous");
        // The name alone, from a connection without a verified certificate.
        let unproven =
            MemoryProperties::default().with(&["connection", "uri_san_peer_certificate"], uri);
        assert_eq!(say(&unproven), "anonymous");
    }

    #[test]
    fn headers_count_from_trusted_peers_only() {
        let headers = [("x-user", "ann"), ("x-roles", "dev, sre")];
        let trusted = ["10.1.2.3:5000", "[::ffff:10.1.2.3]:5000"];
        for peer in trusted {
            let (said, identified) = read(&edge(), &headers, &from(peer));
            assert_eq!(said, "edge id=ann roles=dev,sre", "{peer}");
            assert_eq!(identified.untrusted, Vec::<String>::new());
        }
        let by_certificate = with_uri("spiffe://mesh/ns/edge/sa/gateway");
        assert_eq!(
            read(&edge(), &headers, &by_certificate).0,
            "edge id=ann roles=dev,sre"
        );
        let many = "dev ".repeat(300) + "suspended";
        let (said, _) = read(
            &edge(),
            &[("x-user", "ann"), ("x-roles", many.as_str())],
            &from("10.1.2.3:5000"),
        );
        assert_eq!(said, "edge id=ann roles=?", "not the first ones alone");
        for peer in ["11.0.0.1:5000", "10.1.2.3:0", "10.1.2.3", "", "nonsense"] {
            let (said, identified) = read(&edge(), &headers, &from(peer));
            assert_eq!(said, "anonymous", "{peer}");
            assert_eq!(identified.untrusted, ["x-user", "x-roles"], "{peer}");
        }
        assert_eq!(
            read(
                &edge(),
                &headers,
                &with_uri("spiffe://mesh/ns/other/sa/gateway")
            )
            .0,
            "anonymous"
        );
    }

    #[test]
    fn duplicate_and_misspelt_headers_of_a_trusted_proxy_do_not_count() {
        let peer = from("10.1.2.3:5000");
        let twice = [("x-user", "ann"), ("x-user", "root")];
        assert_eq!(read(&edge(), &twice, &peer).0, "edge duplicate");
        let (said, identified) = read(&edge(), &[("x-user", "ann"), ("x_user", "root")], &peer);
        assert_eq!(said, "edge id=ann");
        assert_eq!(identified.untrusted, ["x_user"]);
        assert_eq!(
            read(&edge(), &[("x-user", "a\u{1}b")], &peer).0,
            "edge malformed"
        );
        assert_eq!(read(&edge(), &[("x-user", " ")], &peer).0, "anonymous");
    }

    #[test]
    fn a_header_of_two_sources_is_forwarded_if_one_of_them_trusts_the_peer() {
        let source = |name: &str, trusted: &str| json!({"name": name, "header": {"id": "x-user", "trusted": [trusted]}});
        let sources = json!([source("a", "10.0.0.0/8"), source("b", "192.168.0.0/16")]);
        for (peer, expected, untrusted) in [
            ("10.1.2.3:5000", "a id=ann", &[][..]),
            ("192.168.0.1:5000", "b id=ann", &[]),
            ("11.0.0.1:5000", "anonymous", &["x-user"]),
        ] {
            let (said, identified) = read(&sources, &[("x-user", "ann")], &from(peer));
            assert_eq!(said, expected, "{peer}");
            assert_eq!(identified.untrusted, untrusted, "{peer}");
        }
    }
}

mod addresses {
    use super::*;
    use crate::policy::ClientAddress;

    fn address(hops: u8, peer: &str, forwarded: &[&str]) -> String {
        let rule = match hops {
            0 => ClientAddress::Direct,
            hops => ClientAddress::XffHops(hops),
        };
        let headers: Vec<(&[u8], &[u8])> = forwarded
            .iter()
            .map(|value| (b"x-forwarded-for".as_slice(), value.as_bytes()))
            .collect();
        let properties = MemoryProperties::default().with(&["source", "address"], peer);
        let found = client_address(
            rule,
            &Credentials {
                headers: &headers,
                properties: &properties,
                now: NOW,
            },
        );
        found.map_or("?".to_owned(), |address| address.to_string())
    }

    #[test]
    fn the_peer_is_the_client_unless_the_policy_says_otherwise() {
        assert_eq!(address(0, "192.0.2.1:5000", &["10.0.0.1"]), "192.0.2.1");
        assert_eq!(address(0, "[2001:db8::1]:5000", &[]), "2001:db8::1");
        // Envoy has this address from a header.
        assert_eq!(address(0, "10.0.0.1:0", &["10.0.0.1"]), "?");
        assert_eq!(address(0, "", &[]), "?");
    }

    #[test]
    fn trusted_proxies_write_the_client_from_the_right() {
        // Without `use_remote_address`, Envoy takes the last address for the peer. With it, Envoy appends
        // the peer.
        for (peer, own) in [("192.0.2.1:0", ""), ("10.0.0.9:5000", ", 10.0.0.9")] {
            let seen = |hops, list: &str| address(hops, peer, &[&format!("{list}{own}")]);
            assert_eq!(seen(1, "192.0.2.1"), "192.0.2.1");
            assert_eq!(seen(1, "6.6.6.6, 192.0.2.1"), "192.0.2.1");
            assert_eq!(seen(2, "6.6.6.6, 192.0.2.7, 192.0.2.1"), "192.0.2.7");
            assert_eq!(seen(2, "192.0.2.1"), "?", "a proxy is missing");
            assert_eq!(seen(1, "nonsense"), "?");
            assert_eq!(seen(1, "192.0.2.1:4000"), "192.0.2.1");
        }
        assert_eq!(
            address(1, "10.0.0.9:5000", &["6.6.6.6", "192.0.2.1, 10.0.0.9"]),
            "192.0.2.1"
        );
        assert_eq!(address(1, "10.0.0.9:5000", &[]), "?");
    }
}

mod several {
    use super::*;

    fn sources(combine: Value) -> Value {
        let mut key = json!({"name": "key", "api_key": {"header": "x-key", "keys": [
            {"sha256": hash(KEY), "client": "acme", "roles": ["agent"]},
            {"sha256": hash(OTHER), "client": "beta", "tenant": "t-2"},
        ]}});
        if let (Some(members), Value::Object(combine)) = (key.as_object_mut(), combine) {
            members.extend(combine);
        }
        json!([key, {"name": "user", "jwt": {
            "payload": "jwt", "id": "sub", "client": "azp", "tenant": "org", "roles": "roles",
        }}])
    }

    fn token() -> MemoryProperties {
        MemoryProperties::of_json(
            &json!({"metadata": {"filter_metadata": {"envoy.filters.http.jwt_authn": {
                "jwt": {"sub": "ann", "azp": "acme", "org": "t-1", "roles": ["dev"]},
            }}}}),
        )
    }

    #[test]
    fn the_first_source_decides() {
        let said = |headers: &[(&str, &str)]| read(&sources(json!({})), headers, &token()).0;
        assert_eq!(said(&[("x-key", KEY)]), "key client=acme roles=agent");
        assert_eq!(said(&[]), "user id=ann client=acme tenant=t-1 roles=dev");
    }

    #[test]
    fn sources_are_united_where_the_policy_combines_them() {
        let combined = sources(json!({"combine": ["user"]}));
        let said = |headers: &[(&str, &str)]| read(&combined, headers, &token()).0;
        assert_eq!(
            said(&[("x-key", KEY)]),
            "key+user id=ann client=acme tenant=t-1 roles=agent,dev"
        );
    }

    #[test]
    fn united_roles_are_unknown_if_some_of_them_are() {
        let combined = sources(json!({"combine": ["user"]}));
        let many = MemoryProperties::of_json(
            &json!({"metadata": {"filter_metadata": {"envoy.filters.http.jwt_authn": {
                "jwt": {"sub": "ann", "azp": "acme", "roles": vec!["dev"; 300]},
            }}}}),
        );
        assert_eq!(
            read(&combined, &[("x-key", KEY)], &many).0,
            "key+user id=ann client=acme roles=?"
        );
    }

    #[test]
    fn two_clients_contradict_each_other_combined_or_not() {
        for combine in [json!({}), json!({"combine": "user"})] {
            let said = read(&sources(combine), &[("x-key", OTHER)], &token()).0;
            assert_eq!(said, "key+user contradictory");
        }
    }

    #[test]
    fn two_tenants_contradict_each_other_where_they_are_combined() {
        let said = |combine: Value| {
            let mut sources = sources(combine);
            sources[0]["api_key"]["keys"][1]["client"] = "acme".into();
            read(&sources, &[("x-key", OTHER)], &token()).0
        };
        assert_eq!(said(json!({"combine": "user"})), "key+user contradictory");
        assert_eq!(said(json!({})), "key client=acme tenant=t-2");
    }

    #[test]
    fn an_invalid_credential_is_not_ignored_for_another_one() {
        let said = read(&sources(json!({})), &[("x-key", STRANGE)], &token()).0;
        assert_eq!(said, "key unknown");
    }
}

mod challenges {
    use super::*;

    #[test]
    fn the_challenge_names_the_credentials_of_the_sources() {
        let asked = |principals: Value| challenge(&sources(principals));
        let keys = json!([{"sha256": hash(KEY), "client": "acme"}]);
        assert_eq!(
            asked(json!([
                {"name": "user", "jwt": {"payload": "jwt", "id": "sub"}},
                {"name": "key", "api_key": {"header": ["authorization", "x-agent-key"], "keys": keys}},
            ])),
            r#"Bearer realm="agentguard", ApiKey realm="agentguard", header="x-agent-key""#
        );
        assert_eq!(
            asked(json!([{"name": "mesh", "mtls": {"uri_san": "spiffe://td/{agent}"}}])),
            r#"ClientCertificate realm="agentguard""#
        );
        assert_eq!(challenge(&[]), "Bearer");
    }
}
