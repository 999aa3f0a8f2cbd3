//! Approvals: the request for one, the signed token that grants it, and the check of a token against a call.
//!
//! A denial contains a request string, `agar1.…`, with what is to be approved, and by whom. An approver decodes it and signs a
//! token, `agat1.…`, with a key whose public half is in the policy. The filter computes the call's data again and compares
//! them with the token; it trusts nothing but the signature. A token for anything else is invalid.
//!
//! Other programs use this module as a library:
//!
//! ```
//! use agentguard::approval::{self, ApprovalRequest};
//! # fn show(request: &str, key: &approval::SigningKey) -> Result<String, Box<dyn std::error::Error>> {
//! let request = ApprovalRequest::parse(request)?;
//! println!("{} {}", request.subject.what, request.shown().unwrap_or_default());
//! let token = approval::mint(&request, key, 1_795_000_000, approval::nonce(&[1; 16]));
//! # Ok(token)
//! # }
//! // The digest of arguments, however they are spelt.
//! let digest = approval::digest(br#"{"amount": 100}"#)?;
//! assert_eq!(digest, approval::digest(br#"{"\u0061mount":1e2}"#)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/approvals.md` defines the formats for programs in other languages.

mod canonical;
mod check;
mod encoding;
mod keys;
#[cfg(not(target_arch = "wasm32"))]
mod mint;
mod request;
mod service;
mod spent;
mod subject;
mod token;

#[cfg(not(target_arch = "wasm32"))]
pub use canonical::digest_of_bound;
pub use canonical::{CanonicalError, canonical, digest, digest_of};
pub use check::{Check, Checked, Grant, Invalid, RuleDemand};
pub use encoding::EncodingError;
#[cfg(test)]
pub(crate) use keys::VERIFICATIONS;
pub use keys::{MIN_SECRET, SecretError, VerifiedToken, VerifyingKeys};
#[cfg(not(target_arch = "wasm32"))]
pub use mint::{KeyFileError, SigningKey, mint, nonce};
pub use request::{ApprovalRequest, RequestedRule};
pub use service::{MAX_ANSWER_BYTES, MalformedAnswer, service_request, service_tokens};
pub use spent::SpentTokens;
pub use subject::Subject;
pub use token::{SignedToken, Token};

#[cfg(test)]
mod tests;
