//! Signing of tokens, for approvers. The filter only verifies.

use super::encoding::{base64url, from_base64url};
use super::keys::{id_of_public, id_of_secret};
use super::request::ApprovalRequest;
use super::token::Token;
use ed25519_dalek::Signer;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// First line of a key file.
const HEADER: &str = "agentguard approver key v1";

/// Reason why a key file can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFileError(pub &'static str);

impl std::fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for KeyFileError {}

/// Secret half of an approver's key.
#[derive(Clone)]
pub struct SigningKey {
    /// Role for which the key was made. The policy decides which role the key has.
    pub role: Box<str>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Hmac(Box<Hmac<Sha256>>),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.role)
    }
}

impl SigningKey {
    /// Creates an Ed25519 key from 32 random bytes.
    pub fn from_seed(role: &str, seed: [u8; 32]) -> SigningKey {
        SigningKey {
            role: role.into(),
            kind: Kind::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed))),
        }
    }

    /// Creates a key from a shared secret; `None` if it is shorter than [`MIN_SECRET`](super::MIN_SECRET).
    pub fn from_secret(role: &str, secret: &[u8]) -> Option<SigningKey> {
        let key = Hmac::new_from_slice(secret).ok();
        Some(SigningKey {
            role: role.into(),
            kind: Kind::Hmac(Box::new(key.filter(|_| secret.len() >= super::MIN_SECRET)?)),
        })
    }

    /// Parses a key file.
    ///
    /// # Errors
    /// The text is no key file.
    pub fn from_file(text: &str) -> Result<SigningKey, KeyFileError> {
        let mut lines = text.lines();
        if lines.next().map(str::trim) != Some(HEADER) {
            return Err(KeyFileError(
                "this is no approver key; `agentguard keygen --approver ROLE` makes one",
            ));
        }
        let (mut role, mut seed) = (None, None);
        for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
            match line.split_once(": ") {
                Some(("role", name)) => role = Some(name),
                Some(("ed25519-seed", bytes)) => seed = from_base64url(bytes).ok(),
                _ => return Err(KeyFileError("the key file has an unknown line")),
            }
        }
        let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        match (role, seed) {
            (Some(role), Some(seed)) => Ok(SigningKey::from_seed(role, seed)),
            _ => Err(KeyFileError("the key file is incomplete")),
        }
    }

    /// Returns the text of a key file; `None` for a shared secret, which is not stored in a file.
    pub fn to_file(&self) -> Option<String> {
        match &self.kind {
            Kind::Ed25519(key) => Some(format!(
                "{HEADER}\nrole: {}\ned25519-seed: {}\n",
                self.role,
                base64url(&key.to_bytes())
            )),
            Kind::Hmac(_) => None,
        }
    }

    /// Returns the public half in the form for a policy; `None` for a shared secret.
    pub fn public(&self) -> Option<String> {
        match &self.kind {
            Kind::Ed25519(key) => Some(format!(
                "ed25519:{}",
                base64url(key.verifying_key().as_bytes())
            )),
            Kind::Hmac(_) => None,
        }
    }

    fn id(&self) -> String {
        match &self.kind {
            Kind::Ed25519(key) => id_of_public(key.verifying_key().as_bytes()),
            Kind::Hmac(key) => id_of_secret(key),
        }
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.kind {
            Kind::Ed25519(key) => key.sign(bytes).to_bytes().to_vec(),
            Kind::Hmac(key) => {
                let mut mac = (**key).clone();
                mac.update(bytes);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    /// Signs a token, after setting its key id to this key's.
    pub fn sign_token(&self, mut token: Token) -> String {
        token.key = self.id().into();
        let signed = token.signed_bytes();
        Token::with_signature(&signed, &self.sign(signed.as_bytes()))
    }
}

/// Returns random bytes as a token's nonce.
pub fn nonce(random: &[u8]) -> Box<str> {
    base64url(random).into()
}

/// Returns a signed token for a request. `now` is in seconds since 1970. The token is valid for as long as the
/// request asks.
pub fn mint(request: &ApprovalRequest, key: &SigningKey, now: u64, nonce: Box<str>) -> String {
    key.sign_token(Token {
        id: request.id.clone(),
        subject: request.subject.clone(),
        rules: request.rules.clone(),
        from: now,
        until: now.saturating_add(request.valid_for),
        uses: request.uses,
        nonce,
        key: Box::default(),
    })
}
