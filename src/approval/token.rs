//! The token that gives an approval: `agat1.`, the base64url of a JSON object, a dot, and that of its signature.
//!
//! ```json
//! {"id":"3q2-7w","policy":"support-agent","event":"tool_call","what":"issue_refund","args":"x4f…","tenant":"acme",
//!  "rules":[{"id":"approve-large-refund","by":["support-manager"],"needed":1}],"from":1795000000,"until":1795000600,"uses":1,"nonce":"q83v","key":"9sJ2…"}
//! ```
//!
//! Signed are the bytes before the last dot, so that verification needs no second writer of the object. `key` names the key;
//! the role is that of the key in the policy.

use super::check::Invalid;
use super::encoding::{EncodingError, PayloadReader, from_base64url, payload};
#[cfg(not(target_arch = "wasm32"))]
use super::encoding::{PayloadWriter, base64url};
#[cfg(not(target_arch = "wasm32"))]
use super::request::write_rules;
use super::request::{RequestedRule, read_rules};
use super::subject::Subject;

/// The prefix with the version.
const PREFIX: &str = "agat1.";

/// Maximum bytes of a token.
pub(super) const MAX_BYTES: usize = 8 << 10;

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Id of the request that it answers.
    pub id: Box<str>,
    /// What is approved.
    pub subject: Subject,
    /// The rules that it answers, as they were described to the approver.
    pub rules: Vec<RequestedRule>,
    /// From when it holds, in seconds since 1970.
    pub from: u64,
    /// Until when it holds.
    pub until: u64,
    /// For how many uses.
    pub uses: u32,
    /// Makes each token another one.
    pub nonce: Box<str>,
    /// The key's id.
    pub key: Box<str>,
}

/// A token with its signature, which is not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedToken {
    /// What it says.
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
    /// Reads a token. Its signature is not verified.
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
