//! Key `approvers`: the public keys or shared secrets of approvers, by role.
//!
//! ```yaml
//! approvers:
//!   support-manager:
//!     - "ed25519:MCowBQ…"
//!     - { key: "ed25519:…", principal: alice }
//!   on-call: [{ hmac: "env:ON_CALL_KEY" }]
//! ```

use super::decode::{Decoder, PolicyPath};
use super::grammar::ApproverMemberKey;
use super::node::{Node, NodeValue};
use crate::diag::codes;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Maximum number of keys. Each one is compared with the key of each token.
const MAX_KEYS: usize = 1_000;

/// Key of an approver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// The role that the key gives.
    pub role: Box<str>,
    /// Principal that holds the key, if the policy names one.
    pub principal: Option<Box<str>>,
    /// The key.
    pub key: ApproverKey,
}

/// Key that verifies the tokens of an approver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApproverKey {
    /// Ed25519 public key.
    Ed25519([u8; 32]),
    /// Environment variable that contains a shared secret. Whoever can verify with it can also approve with it.
    Hmac(Box<str>),
}

/// Reads the key `approvers`.
pub(super) fn read_all(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Vec<Approver> {
    let NodeValue::Map(members) = &node.data else {
        decoder.wrong_type(at, node, "a mapping of roles to keys");
        return Vec::new();
    };
    let mut approvers: Vec<Approver> = Vec::new();
    for member in members {
        let role = &member.key;
        let at = at.key(role);
        let value = &member.value;
        let items = match &value.data {
            NodeValue::List(items) if items.is_empty() => {
                let help = "`agentguard keygen --approver ROLE` makes a key";
                decoder.error(codes::AG1006, &at, &value.span, "the role has no key", help);
                continue;
            }
            NodeValue::List(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for (number, item) in items.iter().enumerate() {
            let at = at.index(number);
            let Some((key, principal)) = read_key(decoder, &at, item) else {
                continue;
            };
            // Two tokens of one key would count as two approvals.
            if let Some(other) = approvers.iter().find(|other| other.key == key) {
                let message = format!("role `{}` has the same key", other.role);
                let help = "the role of an approval is believed from its key alone: give each holder and each role a key of its own";
                decoder.error(codes::AG1008, &at, &item.span, &message, help);
                continue;
            }
            approvers.push(Approver {
                role: role.clone(),
                principal,
                key,
            });
        }
    }
    if approvers.len() > MAX_KEYS {
        let message = format!("{} keys, at most {MAX_KEYS} are allowed", approvers.len());
        decoder.error(codes::AG1019, at, &node.span, &message, "");
    }
    approvers
}

fn read_key(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<(ApproverKey, Option<Box<str>>)> {
    if let NodeValue::String(text) = &node.data {
        return Some((public_key(decoder, at, node, text)?, None));
    }
    let (mut key, mut principal) = (None, None);
    for (kind, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let text = decoder.text(&at, &member.value)?;
        match kind {
            ApproverMemberKey::Principal => principal = Some(text),
            ApproverMemberKey::Key | ApproverMemberKey::Hmac => {
                if key.is_some() {
                    let message = "one key has one kind: `key` or `hmac`";
                    decoder.error(codes::AG1002, &at, &member.key_span, message, "");
                    return None;
                }
                key = Some(match kind {
                    ApproverMemberKey::Hmac => variable(decoder, &at, &member.value, &text)?,
                    _ => public_key(decoder, &at, &member.value, &text)?,
                });
            }
        }
    }
    if key.is_none() {
        let help = "write `{ key: \"ed25519:…\" }` or `{ hmac: env:NAME }`";
        decoder.error(codes::AG1006, at, &node.span, "the key is missing", help);
    }
    Some((key?, principal))
}

/// Reads `ed25519:` and the Base64 of 32 bytes, in the standard or the URL-safe alphabet.
fn public_key(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    text: &str,
) -> Option<ApproverKey> {
    let encoded = text.strip_prefix("ed25519:");
    let bytes = encoded.and_then(|encoded| {
        let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD];
        engines
            .iter()
            .find_map(|engine| engine.decode(encoded).ok())
    });
    let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if key.is_none() {
        let help = "`ed25519:` and the Base64 of the 32 bytes of a public key; `agentguard keygen --approver ROLE` \
                    writes it";
        decoder.error(codes::AG1005, at, &node.span, "this is no public key", help);
    }
    key.map(ApproverKey::Ed25519)
}

fn variable(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    text: &str,
) -> Option<ApproverKey> {
    match text.strip_prefix("env:").filter(|name| !name.is_empty()) {
        Some(name) => Some(ApproverKey::Hmac(name.into())),
        None => {
            let message = "a secret does not stand in a policy";
            let help = "name the environment variable of the proxy that holds it: `hmac: env:NAME`";
            decoder.error(codes::AG1005, at, &node.span, message, help);
            None
        }
    }
}
