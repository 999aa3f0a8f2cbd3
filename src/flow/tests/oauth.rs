//! OAuth for MCP servers, and lists that belong to a host and to no conversation.

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";
const ALLOW_LIST: &str = "defaults: { action: deny }
protocols:
  - { paths: [/mcp/github], protocol: mcp, server: github }
rules:
  - { id: search, match: { tool: github/search }, action: allow }
";
const STRICT: &str = "defaults: { action: allow }
rules:
  - { id: secrets, match: { event: [message, response] }, when: { text: { detects: secrets } }, action: deny }
  - { id: mail, match: { event: [message, response] }, when: { text: { detects: email } }, action: redact }
  - { id: words, match: { event: [message, response] }, when: { text: { contains: forbidden } }, action: deny }
";
/// Tokens as servers issue them. Some match a detector of secrets.
const SECRETS: [&str; 6] = [
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "SplxlOBeZQQYbYS6WxSbIA",
    "dBjftJeZ4CVP-mBo7cRi4Y9oG4u2ePZ",
    "correct-horse.battery~staple",
    "sk-ant-api03-x9dK2",
];

fn ask(method: &str, host: &str, path: &str, media: &str, body: &str) -> HttpMessage {
    let mut headers = vec![(":method", method), (":path", path), (":authority", host)];
    if !media.is_empty() {
        headers.push(("content-type", media));
    }
    HttpMessage::new(&headers, body.as_bytes())
}

fn answers(body: &Value) -> HttpMessage {
    HttpMessage::new(
        &[(":status", "200"), ("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

fn registration() -> Value {
    json!({"redirect_uris": ["http://localhost:6274/oauth/callback"], "client_name": "MCP Inspector",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none", "client_uri": "https://github.com/modelcontextprotocol/inspector",
        "scope": "read write", "contacts": ["dev@example.com"]})
}

/// Returns the requests of an MCP client to the server's origin before it can call a tool, in their order, with the
/// responses.
fn authorization() -> Vec<(HttpMessage, Value)> {
    let [access, id, code, verifier, secret, refresh] = SECRETS;
    let host = "tools.example.com";
    let mut registered = registration();
    registered["client_id"] = json!("c-1");
    registered["client_secret"] = json!(secret);
    registered["registration_access_token"] = json!(access);
    let form = |path: &str, body: String| ask("POST", host, path, FORM, &body);
    let tokens = json!({"access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": refresh,
        "id_token": id, "scope": "read"});
    vec![
        (
            ask(
                "GET",
                host,
                "/.well-known/oauth-protected-resource/mcp/github",
                "",
                "",
            ),
            json!({"resource": "https://tools.example.com/mcp/github"}),
        ),
        (
            ask(
                "GET",
                host,
                "/.well-known/oauth-authorization-server",
                "",
                "",
            ),
            json!({"issuer": "https://tools.example.com"}),
        ),
        (
            ask(
                "POST",
                host,
                "/register",
                "application/json",
                &registration().to_string(),
            ),
            registered,
        ),
        (
            ask(
                "GET",
                host,
                "/authorize?response_type=code&client_id=c-1&code_challenge=x&state=y",
                "",
                "",
            ),
            json!({}),
        ),
        (
            form(
                "/token",
                format!(
                    "grant_type=authorization_code&code={code}&code_verifier={verifier}&client_id=c-1&redirect_uri=http%3A%2F%2Flocalhost%3A6274%2F&resource=https%3A%2F%2Ftools.example.com%2Fmcp%2Fgithub"
                ),
            ),
            tokens.clone(),
        ),
        (
            form(
                "/oauth2/token",
                format!(
                    "grant_type=refresh_token&refresh_token={refresh}&client_secret={secret}&resource=a&resource=b"
                ),
            ),
            tokens,
        ),
        (
            form(
                "/revoke",
                format!("token={access}&token_type_hint=access_token"),
            ),
            json!({}),
        ),
        (
            form("/introspect", format!("token={access}")),
            json!({"active": true, "sub": "u"}),
        ),
        (
            form(
                "/device_authorization",
                "client_id=c-1&scope=read".to_owned(),
            ),
            json!({"device_code": code, "user_code": "WDJB-MJHT", "verification_uri": "https://tools.example.com/device",
                "expires_in": 1800, "interval": 5}),
        ),
        (
            ask("GET", host, "/.well-known/jwks.json", "", ""),
            json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}),
        ),
    ]
}

#[test]
fn a_client_of_mcp_is_authorized_at_the_server_s_origin() {
    // By default, under an allow-list of a server's tools, and with a search for secrets.
    for policy in [ALLOW, ALLOW_LIST, STRICT] {
        in_both_modes(policy, |guard, _| {
            for (request, answer) in authorization() {
                let seen = exchange(guard, &request, answers(&answer));
                let line = record(&seen);
                let path = String::from_utf8_lossy(request.header(":path").unwrap()).into_owned();
                assert!(seen.upstream_complete, "{path}: {line}");
                assert_eq!(line["decision"], "allow", "{path}: {line}");
                assert_eq!(line["coverage"]["level"], "full", "{path}");
                let upstream = seen.upstream.clone().unwrap();
                assert_eq!(upstream.body(), request.body(), "{path}");
                assert_eq!(seen.client.body(), answer.to_string().as_bytes(), "{path}");
                let told = String::from_utf8_lossy(&seen.finished.line).into_owned();
                for secret in SECRETS {
                    assert!(!told.contains(secret), "{path}: {told}");
                }
            }
        });
    }
}

#[test]
fn the_endpoints_of_other_authorization_servers_are_known() {
    let host = "login.example.com";
    for path in [
        "/realms/x/protocol/openid-connect/token",
        "/oauth2/v1/token",
        "/oauth/token",
        "/tenant/oauth2/v2.0/token",
        "/login/oauth/access_token",
        "/TOKEN/",
    ] {
        let body = "grant_type=client_credentials&client_id=a&client_secret=b";
        let request = ask("POST", host, path, FORM, body);
        let seen = exchange(&guard(ALLOW), &request, answers(&json!({})));
        assert_eq!(record(&seen)["endpoint"], "oauth.token", "{path}");
        assert_eq!(record(&seen)["protocol"], "oauth", "{path}");
        assert_eq!(record(&seen)["decision"], "allow", "{path}");
    }
}

#[test]
fn content_that_is_no_secret_in_such_a_body_is_inspected() {
    let denied = |request: &HttpMessage| {
        let seen = exchange(&guard(STRICT), request, answers(&json!({})));
        assert!(!seen.upstream_complete);
        let body = client_json(&seen);
        assert_eq!(
            body["error"], "access_denied",
            "as clients of OAuth read it"
        );
        assert!(body["error_description"].is_string());
        body["agentguard"]["code"].clone()
    };
    let host = "tools.example.com";
    for body in [
        "grant_type=client_credentials&note=a+forbidden+word",
        "grant_type=client_credentials&note=%66orbidden",
        "grant_type=client_credentials&forbidden=1",
        // The member has a secret's name, but its value can't be a secret.
        "grant_type=authorization_code&code=a+forbidden+word",
    ] {
        assert_eq!(
            denied(&ask("POST", host, "/token", FORM, body)),
            "AG3001",
            "{body}"
        );
    }
    let mut named = registration();
    named["client_name"] = json!("the forbidden client");
    let request = ask(
        "POST",
        host,
        "/register",
        "application/json",
        &named.to_string(),
    );
    assert_eq!(denied(&request), "AG3001");
}

#[test]
fn a_person_s_data_from_a_server_is_edited() {
    let request = ask("GET", "tools.example.com", "/oauth2/v1/userinfo", "", "");
    let person = json!({"sub": "1", "email": "jane@example.com", "address": {"street": "forbid"}});
    let seen = exchange(&guard(STRICT), &request, answers(&person));
    assert_eq!(client_json(&seen)["email"], "[EMAIL]");
}

#[test]
fn another_body_at_an_oauth_path_is_unknown() {
    let host = "tools.example.com";
    for (path, media, body, code) in [
        ("/token", "application/json", "{\"text\": \"x\"}", "AG2007"),
        ("/token", FORM, "room=1", "AG2007"),
        (
            "/register",
            "application/json",
            "{\"email\": \"x\"}",
            "AG2007",
        ),
        ("/revoke", FORM, "x=1", "AG2007"),
        ("/token", FORM, "grant_type=a&grant_type=b", "AG2002"),
        ("/token", FORM, "grant_type=a&%67rant_type=b", "AG2002"),
        ("/token", FORM, "grant_type=a&Client_id=b", "AG2002"),
        (
            "/token",
            "application/json",
            "{\"grant_type\": [1]}",
            "AG2001",
        ),
        (
            "/token",
            "application/json",
            "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"tools/call\", \"params\": {\"name\": \"x\"}, \"grant_type\": \"a\"}",
            "AG2012",
        ),
    ] {
        let request = ask("POST", host, path, media, body);
        let seen = exchange(&guard(ALLOW), &request, answers(&json!({})));
        assert_eq!(
            client_json(&seen)["agentguard"]["code"],
            code,
            "{path} {body}"
        );
        assert!(!seen.upstream_complete, "{path} {body}");
    }
    let page = ask("GET", host, "/authorize", "", "");
    let seen = exchange(&guard(ALLOW), &page, answers(&json!({})));
    assert_eq!(record(&seen)["code"], "AG2007");
}

#[test]
fn requests_for_keys_to_models_are_denied() {
    // These endpoints issue credentials that bypass the proxy.
    for (host, path, body, code) in [
        (
            "api.openai.com",
            "/v1/realtime/client_secrets",
            "{}",
            "AG2013",
        ),
        (
            "openrouter.ai",
            "/api/v1/auth/keys",
            "{\"grant_type\": \"x\"}",
            "AG2013",
        ),
        (
            "litellm.internal",
            "/key/generate",
            "{\"grant_type\": \"x\"}",
            "AG2013",
        ),
        (
            "api.anthropic.com",
            "/v1/oauth/token",
            "{\"grant_type\": \"x\"}",
            "AG2007",
        ),
        (
            "oauth2.googleapis.com",
            "/token",
            "{\"grant_type\": \"x\"}",
            "AG2007",
        ),
        (
            "sts.googleapis.com:443",
            "/v1/token",
            "{\"grant_type\": \"x\"}",
            "AG2007",
        ),
        (
            "oidc.us-east-1.amazonaws.com",
            "/token",
            "{\"grant_type\": \"x\"}",
            "AG2007",
        ),
    ] {
        let request = ask("POST", host, path, "application/json", body);
        let seen = exchange(&guard(ALLOW), &request, answers(&json!({})));
        assert_eq!(record(&seen)["code"], code, "{host}{path}");
    }
}

#[test]
fn an_allow_list_of_another_host_allows_no_authorization() {
    let policy = "defaults: { action: deny }
rules:
  - { id: search, match: { tool: search, host: tools.example.com }, action: allow }
";
    let guard = guard(policy);
    for (host, decision) in [
        ("tools.example.com", "allow"),
        ("other.example.com", "deny"),
    ] {
        let body = "grant_type=client_credentials";
        let request = ask("POST", host, "/token", FORM, body);
        let seen = exchange(&guard, &request, answers(&json!({})));
        assert_eq!(record(&seen)["decision"], decision, "{host}");
    }
}
