//! Keys that verify tokens, each with the role that the policy assigns to it.

use super::encoding::base64url;
use super::token::{SignedToken, Token};
use crate::approval::check::Invalid;
use crate::detect::fold_name;
use crate::policy::{Approver, ApproverKey};
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Number of bytes of a key's id.
const ID_BYTES: usize = 8;

/// Prefix of the bytes whose hash is the key's id.
const ID_LABEL: &[u8] = b"agentguard approver key\0";

/// Minimum bytes of a shared secret: the length of its HMAC.
pub const MIN_SECRET: usize = 32;

/// Reason why a shared secret can't be used, with its environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// The variable is not set, or it is empty.
    Missing(Box<str>),
    /// The secret is shorter than [`MIN_SECRET`] bytes: the holder of one token could find it by trying.
    Short(Box<str>),
}

/// Signer of a token, as the policy declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signer {
    /// Id of the key.
    pub(super) key: String,
    /// Role of the key.
    pub(super) role: Box<str>,
    /// Holder of the key, if the policy names one.
    pub(super) principal: Option<Box<str>>,
}

/// Returns whether two names may denote one person or role. The comparison is loose, as on the deny side: it ignores
/// letter case.
pub(super) fn is_same_name(one: &str, other: &str) -> bool {
    fold_name(one) == fold_name(other)
}

impl Signer {
    /// Returns whether two tokens are from the same approver: signed with one key, or with two keys of one principal.
    pub(super) fn is_same_person(&self, other: &Signer) -> bool {
        self.key == other.key
            || match (&self.principal, &other.principal) {
                (Some(one), Some(other)) => is_same_name(one, other),
                _ => false,
            }
    }
}

/// Key of an approver.
#[derive(Clone)]
struct Key {
    signer: Arc<Signer>,
    kind: Kind,
}

/// Token whose signature is valid. The signature check costs more than everything else, so a token is verified once,
/// however many calls it is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The token.
    pub(super) token: Token,
    pub(super) signer: Arc<Signer>,
}

#[derive(Clone)]
enum Kind {
    Ed25519(VerifyingKey),
    Hmac(Hmac<Sha256>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({} {})", self.signer.role, self.signer.key)
    }
}

/// Keys of a policy's `approvers`.
#[derive(Clone, Debug, Default)]
pub struct VerifyingKeys {
    keys: Vec<Key>,
}

impl VerifyingKeys {
    /// Prepares the keys of a policy. `variable` reads an environment variable.
    ///
    /// # Errors
    /// The secret of a key is not set, or too short.
    pub fn new(
        approvers: &[Approver],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<VerifyingKeys, SecretError> {
        let mut keys = Vec::with_capacity(approvers.len());
        for approver in approvers {
            let (id, kind) = match &approver.key {
                ApproverKey::Ed25519(bytes) => match VerifyingKey::from_bytes(bytes) {
                    Ok(key) => (id_of_public(bytes), Kind::Ed25519(key)),
                    // Some 32-byte values are no point on the curve, so they have no secret half.
                    Err(_) => continue,
                },
                ApproverKey::Hmac(name) => {
                    let secret = variable(name).filter(|secret| !secret.is_empty());
                    let secret = secret.ok_or_else(|| SecretError::Missing(name.clone()))?;
                    if secret.len() < MIN_SECRET {
                        return Err(SecretError::Short(name.clone()));
                    }
                    let Ok(key) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
                        continue;
                    };
                    (id_of_secret(&key), Kind::Hmac(key))
                }
            };
            let signer = Signer {
                key: id,
                role: approver.role.clone(),
                principal: approver.principal.clone(),
            };
            keys.push(Key {
                signer: Arc::new(signer),
                kind,
            });
        }
        Ok(VerifyingKeys { keys })
    }

    /// Returns whether a key has one of these roles.
    pub fn has_role(&self, roles: &[Box<str>]) -> bool {
        self.keys.iter().any(|key| roles.contains(&key.signer.role))
    }

    /// Parses a token and verifies its signature.
    ///
    /// # Errors
    /// The text is no token, or no key of the policy has signed it.
    pub fn read(&self, text: &str) -> Result<VerifiedToken, Invalid> {
        self.verify(SignedToken::parse(text)?)
    }

    /// Verifies the signature of a token.
    ///
    /// # Errors
    /// No key of the policy has signed the token.
    pub fn verify(&self, signed: SignedToken) -> Result<VerifiedToken, Invalid> {
        let mut keys = self.keys.iter();
        let key = keys.find(|key| *key.signer.key == *signed.token.key);
        let key = key.ok_or(Invalid::UnknownKey)?;
        #[cfg(test)]
        VERIFICATIONS.set(VERIFICATIONS.get() + 1);
        let is_right = match &key.kind {
            Kind::Ed25519(public) => Signature::from_slice(&signed.signature)
                .is_ok_and(|signature| public.verify_strict(&signed.signed, &signature).is_ok()),
            Kind::Hmac(secret) => {
                let mut mac = secret.clone();
                mac.update(&signed.signed);
                mac.verify_slice(&signed.signature).is_ok()
            }
        };
        match is_right {
            true => Ok(VerifiedToken {
                token: signed.token,
                signer: Arc::clone(&key.signer),
            }),
            false => Err(Invalid::BadSignature),
        }
    }
}

#[cfg(test)]
thread_local! {
    /// Number of signatures that this thread has verified.
    pub(crate) static VERIFICATIONS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Returns the id of a public key.
pub(super) fn id_of_public(key: &[u8; 32]) -> String {
    let hash = Sha256::new_with_prefix(ID_LABEL)
        .chain_update(key)
        .finalize();
    base64url(hash.get(..ID_BYTES).unwrap_or_default())
}

/// Returns the id of a shared secret. It reveals nothing about the secret.
pub(super) fn id_of_secret(key: &Hmac<Sha256>) -> String {
    let mut mac = key.clone();
    mac.update(ID_LABEL);
    let hash = mac.finalize().into_bytes();
    base64url(hash.get(..ID_BYTES).unwrap_or_default())
}
