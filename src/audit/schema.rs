//! JSON Schema (draft 2020-12) of audit events. Later versions only add members, so that a reader must accept unknown
//! ones.

use crate::diag::codes::CODES;
use crate::event::{Kind, PROTOCOL_NAMES};
use serde_json::{Value, json};

/// Returns the schema of one audit event.
pub fn schema() -> Value {
    let count = json!({"type": "integer", "minimum": 0});
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let counts = json!({"type": "object", "additionalProperties": count});
    let actions = ["allow", "deny", "redact", "require_approval"];
    let decisions = [
        "allow",
        "deny",
        "redact",
        "require_approval",
        "not_evaluated",
    ];
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    let codes: Vec<&str> = CODES.iter().map(|code| code.id).collect();
    let protocols: Vec<&str> = PROTOCOL_NAMES.iter().copied().chain(["unknown"]).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://agentguard.dev/schema/v1/audit.json",
        "title": "AgentGuard audit line",
        "type": "object",
        "properties": {
            "v": {"const": 1},
            "ts": {"type": "string", "pattern": "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$", "description": "Start of the exchange, UTC."},
            "request_id": {"type": "string"},
            "chain": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "Each VM has a chain of its own."},
                    "seq": count,
                    "prev": {"type": "string", "description": "The record before, by its MAC or SHA-256."},
                    "start": {"const": true},
                    "mac": {"type": "string", "description": "HMAC-SHA-256 over the line without this member."},
                },
                "required": ["id", "seq", "prev"],
            },
            "policy": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "version": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                    "mode": {"enum": ["enforce", "observe"]},
                },
                "required": ["name", "version", "mode"],
            },
            "principal": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "agent": {"type": "string"},
                    "client": {"type": "string"},
                    "tenant": {"type": "string"},
                    "roles": texts,
                    "via": {"type": "string", "description": "The source that said so."},
                },
            },
            "authentication": {
                "type": "object",
                "description": "Why a credential is invalid, or that there is none and the policy requires one.",
                "properties": {
                    "source": {"type": "string", "description": "The policy's source that recognised it; `none` if none did."},
                    "reason": {"enum": ["missing", "unknown", "expired", "not_yet_valid", "revoked", "duplicate", "malformed", "in_url", "wrong_issuer", "unverified", "contradictory"]},
                    "client": {"type": "string", "description": "Whose credential it is, if that is known."},
                },
                "required": ["source", "reason"],
            },
            "protocol": {"examples": protocols, "type": "string"},
            "provider": {"type": "string"},
            "model": {"type": "string", "description": "Several are joined by a comma."},
            "endpoint": {"type": "string"},
            "stream": {"type": "boolean"},
            "decision": {"enum": decisions, "description": "What happened."},
            "would": {"enum": decisions, "description": "What enforcement would have done, if that differs."},
            "code": {"enum": codes},
            "kill": {
                "type": "object",
                "description": "The kill list that stopped the exchange or a call.",
                "properties": {"generation": count},
                "required": ["generation"],
            },
            "status": {"type": "integer", "minimum": 0, "maximum": 999, "description": "Sent to the client; 0 if none was."},
            "rules": {"type": "array", "description": "All that held, by id.", "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "action": {"enum": [actions[0], actions[1], actions[2], actions[3], "tag"]},
                    "event": {"enum": kinds},
                    "at": {"type": "string", "description": "Where it first stood."},
                    "mode": {"enum": ["enforce", "observe"]},
                    "form": {"const": "label", "description": "A label was written instead of a pseudonym: the provider stores the conversation, or the text is in a response."},
                },
                "required": ["id", "action", "event", "mode"],
            }},
            "undecided": {"type": "array", "items": {"type": "string"}, "description": "Rules on content that could not be inspected, by id. The code decided without them, because their conditions could not be evaluated."},
            "findings": counts,
            "events": counts,
            "tools": texts,
            "tags": texts,
            "coverage": {
                "type": "object",
                "properties": {
                    "level": {"enum": ["full", "partial", "none", "ignored"]},
                    "reasons": texts,
                },
                "required": ["level", "reasons"],
            },
            "usage": {"type": "object", "properties": {"input_tokens": count, "output_tokens": count}},
            "approval": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "Of the request for it."},
                    "digest": {"type": "string", "description": "Of the arguments, or of what the rule binds."},
                    "state": {"enum": ["required", "approved", "invalid"]},
                    "detail": {"type": "string", "description": "What is wrong with the token that came."},
                },
                "required": ["id", "digest", "state"],
            },
            "limits": limits(),
            "timing": {
                "type": "object",
                "properties": {"inspect_us": count, "held_us": count},
                "required": ["inspect_us", "held_us"],
            },
        },
        "required": ["v", "ts", "chain", "policy", "decision", "status", "coverage", "timing"],
    })
}

fn limits() -> Value {
    json!({"type": "array", "description": "The limits that it was charged to, by id.", "items": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "used": {"type": "number", "minimum": 0, "description": "After the last charge."},
            "max": {"type": "number", "minimum": 0},
            "session": {"type": "string", "description": "What named the session, of a limit for each."},
            "exceeded": {"const": true, "description": "Something was over the limit."},
        },
        "required": ["id", "used", "max"],
    }})
}
