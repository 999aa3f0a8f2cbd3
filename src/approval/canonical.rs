//! Canonical form of a JSON value, and its digest: RFC 8785, except that numbers are written as exact decimals.
//!
//! `{"b": 1.0, "a": "\u0078"}` → `{"a":"x","b":1}`

use super::encoding;
use crate::wire::json::{Ambiguity, JsonBody, Limits, ScanError, write_canonical};
#[cfg(not(target_arch = "wasm32"))]
use crate::wire::json::{JsonPath, quote};
use sha2::{Digest, Sha256};

/// Maximum nesting of a JSON text that a caller passes.
const MAX_DEPTH: u16 = 256;

/// Reason why a value has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanonicalError {
    /// The text is not JSON, or parsers disagree on it: duplicate keys, invalid UTF-8.
    NotJson(String),
    /// Parsers could read a part of the text differently.
    Ambiguous(Ambiguity),
}

impl std::fmt::Display for CanonicalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CanonicalError::NotJson(what) => f.write_str(what),
            CanonicalError::Ambiguous(Ambiguity::LoneSurrogate) => {
                f.write_str("a string has an unpaired surrogate")
            }
            CanonicalError::Ambiguous(Ambiguity::Number) => {
                f.write_str("a number has too large an exponent")
            }
        }
    }
}

impl std::error::Error for CanonicalError {}

impl From<Ambiguity> for CanonicalError {
    fn from(ambiguity: Ambiguity) -> CanonicalError {
        CanonicalError::Ambiguous(ambiguity)
    }
}

impl From<ScanError> for CanonicalError {
    fn from(error: ScanError) -> CanonicalError {
        CanonicalError::NotJson(error.to_string())
    }
}

/// Returns the canonical form of a JSON text.
///
/// # Errors
/// The text has no canonical form.
pub fn canonical(json: &[u8]) -> Result<Vec<u8>, CanonicalError> {
    let limits = Limits {
        max_depth: MAX_DEPTH,
    };
    let body = JsonBody::scan(json, limits, 0)?;
    let mut out = Vec::with_capacity(json.len());
    if let Some(text) = body.body() {
        write_canonical(text.root(), &mut out)?;
    }
    Ok(out)
}

/// Returns the digest of a JSON text: SHA-256 of its canonical form, in base64url.
///
/// # Errors
/// The text has no canonical form.
pub fn digest(json: &[u8]) -> Result<String, CanonicalError> {
    Ok(digest_of(&canonical(json)?))
}

/// Returns the digest of a canonical form.
pub fn digest_of(canonical: &[u8]) -> String {
    encoding::base64url(&Sha256::digest(canonical))
}

/// Returns the digest of the argument values at these paths, as in an approval with `bind`: `{"args.amount":[250]}`.
///
/// # Errors
/// The arguments have no canonical form, or a path is not one into arguments.
#[cfg(not(target_arch = "wasm32"))]
pub fn digest_of_bound(args: &[u8], paths: &[Box<str>]) -> Result<String, CanonicalError> {
    let limits = Limits {
        max_depth: MAX_DEPTH,
    };
    let body = JsonBody::scan(args, limits, 0)?;
    let Some(text) = body.body() else {
        return Err(CanonicalError::NotJson("nothing is there".to_owned()));
    };
    let mut out = vec![b'{'];
    for path in paths {
        let steps = path.strip_prefix("args").map(JsonPath::parse);
        let Some(Ok(steps)) = steps else {
            let what = format!("`{path}` is no path into arguments");
            return Err(CanonicalError::NotJson(what));
        };
        if out.len() > 1 {
            out.push(b',');
        }
        quote(path, &mut out);
        out.extend_from_slice(b":[");
        let mut sound = Ok(());
        let mut is_first = true;
        steps.each(text.root(), &mut |value| {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            sound = sound.and(write_canonical(value, &mut out));
        });
        sound?;
        out.push(b']');
    }
    out.push(b'}');
    digest(&out)
}
