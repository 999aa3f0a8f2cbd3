//! The schema of `principals`.

use super::{Builder, about, either, text, texts};
use serde_json::{Map, Value, json};

/// Names of a principal's members that every source may give.
const MEMBERS: &[(&str, &str)] = &[
    ("id", "The user or service account."),
    ("agent", "The agent."),
    ("client", "The client application."),
    ("tenant", "The tenant."),
    ("roles", "The roles."),
    ("ticket", "`principal.ticket`."),
    ("environment", "For `environment: { from: principal }`."),
];

/// The members with the same schema each.
fn members(schema: impl Fn(&str) -> Value) -> Map<String, Value> {
    let named = MEMBERS.iter();
    named
        .map(|(name, about)| ((*name).to_owned(), schema(about)))
        .collect()
}

/// More members, each under its own name.
fn claims(value: Value) -> Value {
    json!({"type": "object", "additionalProperties": value, "description": "Further members: `principal.NAME`."})
}

fn with(mut members: Map<String, Value>, more: Value) -> Value {
    if let Value::Object(more) = more {
        members.extend(more);
    }
    Value::Object(members)
}

pub(super) fn principals(b: &mut Builder) -> Value {
    let api_key = api_key(b);
    let jwt = jwt(b);
    let mtls = b.object(
        "principals[].mtls",
        json!({
            "uri_san": texts("Patterns of the first URI SAN: `spiffe://*/ns/{tenant}/sa/{agent}`."),
            "dns_san": texts("Patterns of the first DNS SAN: `{agent}.agents.example.com`."),
            "subject": texts("Patterns of the subject: `CN={client},O=Acme`."),
        }),
        &[],
    );
    let header = b.object(
        "principals[].header",
        with(
            members(text),
            json!({
                "claims": claims(text("A header.")),
                "trusted": texts("The proxies that may set these headers: addresses, networks and SPIFFE ids."),
            }),
        ),
        &["trusted"],
    );
    let source = b.object(
        "principals[]",
        json!({
            "name": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "description": "Audit events and metrics name the source by it."},
            "api_key": about(api_key, "API keys, as hashes."),
            "jwt": about(jwt, "Claims of a token that Envoy's `jwt_authn` has verified."),
            "mtls": about(mtls, "The client certificate that Envoy has verified."),
            "header": about(header, "Headers that a trusted proxy sets."),
            "combine": texts("Sources whose members are added."),
        }),
        &["name"],
    );
    json!({
        "type": "array", "minItems": 1, "maxItems": 16, "items": source,
        "description": "The sources that say who is asking; the first one that finds its credential decides.",
    })
}

pub(super) fn client_address(b: &mut Builder) -> Value {
    let direct = b.words("client_address", &["direct"]);
    let hops = b.object(
        "client_address",
        json!({"xff_hops": {"type": "integer", "minimum": 1, "maximum": 16, "description": "Trusted proxies in front of this one."}}),
        &["xff_hops"],
    );
    about(
        either(&[direct, hops]),
        "Whose address a request comes from: the connection's peer, or what trusted proxies wrote into `x-forwarded-for`.",
    )
}

fn api_key(b: &mut Builder) -> Value {
    let hash = || json!({"type": "string", "pattern": "^(sha256:)?[0-9A-Fa-f]{64}$", "description": "SHA-256 of the key."});
    let moment =
        |about: &str| json!({"type": "string", "format": "date-time", "description": about});
    let key = b.object(
        "principals[].api_key.keys[]",
        with(
            members(text),
            json!({
                "roles": texts("The roles."),
                "sha256": hash(),
                "env": text("The proxy's environment variable that holds the key."),
                "file": text("A file that holds the key; `agentguard build` writes its hash."),
                "claims": claims(texts("Its values.")),
                "not_before": moment("From when on the key is valid."),
                "not_after": moment("Until when the key is valid."),
            }),
        ),
        &[],
    );
    b.object(
        "principals[].api_key",
        json!({
            "header": texts("The headers that carry a key."),
            "prefix": text("What stands before the key; `Bearer` for `authorization`."),
            "starts_with": text("How every key of this source begins; other values are left to whom they belong."),
            "keys": {"type": "array", "items": key, "maxItems": 10_000, "description": "The keys."},
            "revoked": {"type": ["string", "array"], "items": hash(), "description": "Keys that are valid no longer."},
        }),
        &["header", "keys"],
    )
}

fn jwt(b: &mut Builder) -> Value {
    let kinds = b.words(
        "principals[].jwt.id.type",
        &["text", "words", "number", "boolean"],
    );
    let path = texts("A claim: `org.id`, or a list of names where names have dots.");
    let written = b.object(
        "principals[].jwt.id",
        json!({"claim": path.clone(), "type": kinds}),
        &["claim"],
    );
    let claim = either(&[path, written]);
    b.object(
        "principals[].jwt",
        with(
            members(|meaning| about(claim.clone(), meaning)),
            json!({
                "payload": text("`payload_in_metadata` of the provider in `jwt_authn`."),
                "failed": text("Its `failed_status_in_metadata`."),
                "issuer": texts("Who may have issued the token."),
                "claims": claims(claim.clone()),
            }),
        ),
        &["payload"],
    )
}
