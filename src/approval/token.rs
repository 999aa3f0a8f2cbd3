//! Token that grants an approval: `agat1.`, the base64url of a JSON object, a dot, and the base64url of its signature.
//!
//! ```json
//! {"id":"3q2-7w","policy":"support-agent","event":"tool_call","what":"issue_refund","args":"x4f…","tenant":"acme",
//!  "rules":[{"id":"approve-large-refund","by":["support-manager"],"needed":1}],"from":1795000000,"until":1795000600,"uses":1,"nonce":"q83v","key":"9sJ2…"}
//! ```
//!
//! The signature covers the bytes before the last dot, so that the verifier need not encode the object again. `key` is the
//! key's id; the role of the key is in the policy.

use super::check::Invalid;
use super::encoding::{EncodingError, PayloadReader, from_base64url, payload};
#[cfg(not(target_arch = "wasm32"))]
use super::encoding::{PayloadWriter, base64url};
#[cfg(not(target_arch = "wasm32"))]
use super::request::write_rules;
use super::request::{RequestedRule, read_rules};
use super::subject::Subject;

/// Prefix with the version.
const PREFIX: &str = "agat1.";

/// Maximum bytes of a token.
pub(super) const MAX_BYTES: usize = 8 << 10;

/// Contents of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Id of the approval request.
    pub id: Box<str>,
    /// Call or request that is approved.
    pub subject: Subject,
    /// Rules that the token satisfies, as they were described to the approver.
    pub rules: Vec<RequestedRule>,
    /// Start of its validity, in seconds since 1970.
    pub from: u64,
    /// End of its validity.
    pub until: u64,
    /// Maximum uses.
    pub uses: u32,
    /// Random text that makes each token unique.
    pub nonce: Box<str>,
    /// Id of the key.
    pub key: Box<str>,
}

/// Token with its signature, which is not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedToken {
    /// The token.
    pub token: Token,
    /// The signed bytes.
    pub(super) signed: Box<[u8]>,
    pub(super) signature: Box<[u8]>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Token {
    /// Returns the bytes that are signed.
    pub(super) fn signed_bytes(&self) -> String {
        let mut out = PayloadWriter::new();
        out.text("id", &self.id);
        self.subject.write(&mut out);
        write_rules(out.key("rules"), &self.rules);
        out.number("from", self.from);
        out.number("until", self.until);
        out.number("uses", u64::from(self.uses));
        out.text("nonce", &self.nonce);
        out.text("key", &self.key);
        format!("{PREFIX}{}", base64url(&out.end()))
    }

    /// Returns the text of the token.
    pub(super) fn with_signature(signed: &str, signature: &[u8]) -> String {
        format!("{signed}.{}", base64url(signature))
    }
}

impl SignedToken {
    /// Parses a token without verifying its signature.
    ///
    /// # Errors
    /// [`Invalid::Malformed`].
    pub fn parse(text: &str) -> Result<SignedToken, Invalid> {
        read(text.trim()).map_err(|_| Invalid::Malformed)
    }
}

fn read(text: &str) -> Result<SignedToken, EncodingError> {
    if text.len() > MAX_BYTES {
        return Err(EncodingError::TooLong);
    }
    let (signed, signature) = text.rsplit_once('.').ok_or(EncodingError::Prefix)?;
    let content = signed.strip_prefix(PREFIX).ok_or(EncodingError::Prefix)?;
    let bytes = from_base64url(content)?;
    let json = payload(&bytes)?;
    let body = json.body().ok_or(EncodingError::Payload)?;
    let mut members = PayloadReader::new(body.root())?;
    let token = Token {
        id: members.text("id")?,
        subject: Subject::read(&mut members)?,
        rules: read_rules(&mut members)?,
        from: members.number("from")?,
        until: members.number("until")?,
        uses: u32::try_from(members.number("uses")?).map_err(|_| EncodingError::Payload)?,
        nonce: members.text("nonce")?,
        key: members.text("key")?,
    };
    members.end()?;
    Ok(SignedToken {
        token,
        signed: signed.as_bytes().into(),
        signature: from_base64url(signature)?.into(),
    })
}
