//! Claims of a token that Envoy's `jwt_authn` has verified.
//!
//! Envoy exposes the payload as properties below `metadata.filter_metadata["envoy.filters.http.jwt_authn"]`. A string is its
//! bytes, a number the eight bytes of a double, a boolean one byte; an object and a list are maps with lengths. A property
//! doesn't contain its type, so the policy declares the type. What is null, or contains a null, has no encoding: a null is
//! not told from a list with one. Clients can't write this metadata.

use super::{Credentials, Finding, Reason, set, text};
use crate::event::Known;
use crate::event::Principal;
use crate::policy::{Claim, ClaimType, JwtSource};

/// Number of elements at which a list's claim becomes unknown.
const MAX_ELEMENTS: usize = 256;

/// Path of the metadata in which `jwt_authn` puts verified payloads.
const METADATA: [&str; 3] = [
    "metadata",
    "filter_metadata",
    "envoy.filters.http.jwt_authn",
];

/// Finds the claims of a verified token.
pub(super) fn find(source: &JwtSource, credentials: &Credentials<'_>) -> Finding {
    let get = |path: &[&str]| {
        let mut whole: Vec<&str> = METADATA.to_vec();
        whole.extend_from_slice(path);
        credentials.properties.get(&whole)
    };
    if get(&[&source.payload]).is_none() {
        return match source.failed.as_deref().and_then(|failed| {
            get(&[failed])?;
            Some(get(&[failed, "message"]).and_then(text).unwrap_or_default())
        }) {
            // `jwt_authn` reports a missing token as a failure too. Other messages with `missing` concern members of a key.
            Some(message) if message == "Jwt is missing" => Finding::Absent,
            Some(message) => Finding::Invalid(reason(&message), None),
            None => Finding::Absent,
        };
    }
    if !source.issuers.is_empty() {
        let issuer = get(&[&source.payload, "iss"]).and_then(text);
        if !issuer.is_some_and(|issuer| source.issuers.iter().any(|known| **known == *issuer)) {
            return Finding::Invalid(Reason::WrongIssuer, None);
        }
    }
    let mut principal = Principal::known_by(None);
    for (member, claim) in &source.members {
        set(&mut principal, member, read(&source.payload, claim, &get));
    }
    Finding::Found(principal)
}

/// Returns the reason for which `jwt_authn` rejected a token, from its message: `Jwt is expired`,
/// `Jwt issuer is not configured`.
fn reason(message: &str) -> Reason {
    match message {
        message if message.contains("expired") => Reason::Expired,
        message if message.contains("not yet valid") => Reason::NotYetValid,
        message if message.contains("issuer") => Reason::WrongIssuer,
        _ => Reason::Unverified,
    }
}

fn read(
    payload: &str,
    claim: &Claim,
    get: &dyn Fn(&[&str]) -> Option<Vec<u8>>,
) -> Known<Vec<Box<str>>> {
    let mut path: Vec<&str> = vec![payload];
    path.extend(claim.path.iter().map(|name| &**name));
    let Some(bytes) = get(&path) else {
        return Known::Missing;
    };
    // Only a list or an object has properties below it.
    let mut elements = Vec::new();
    for number in 0..MAX_ELEMENTS {
        let number = number.to_string();
        let mut path = path.clone();
        path.push(&number);
        match get(&path) {
            Some(element) => elements.push(element),
            None => break,
        }
    }
    let length = bytes
        .first_chunk()
        .map(|length| u32::from_le_bytes(*length));
    let is_empty_list = bytes == [0; 4] && claim.kind != ClaimType::Number;
    if elements.is_empty() && !is_empty_list {
        return match scalar(claim.kind, bytes) {
            Some(values) => Known::Is(values),
            None => Known::Unknown,
        };
    }
    // An element behind the last one that is read could be the role that a rule denies. An empty one ends the loop above.
    if elements.len() == MAX_ELEMENTS || length != u32::try_from(elements.len()).ok() {
        return Known::Unknown;
    }
    let mut values = Vec::with_capacity(elements.len());
    for element in elements {
        let kind = match claim.kind {
            // The elements of a list are not split into words.
            ClaimType::Words => ClaimType::Text,
            kind => kind,
        };
        match scalar(kind, element) {
            Some(value) => values.extend(value),
            None => return Known::Unknown,
        }
    }
    Known::Is(values)
}

/// Decodes a value of this type; `None` if the bytes are not of this type.
fn scalar(kind: ClaimType, bytes: Vec<u8>) -> Option<Vec<Box<str>>> {
    match kind {
        ClaimType::Text => Some(vec![text(bytes)?.into()]),
        ClaimType::Words => Some(text(bytes)?.split_whitespace().map(Box::from).collect()),
        ClaimType::Number => {
            let number = f64::from_le_bytes(bytes.try_into().ok()?);
            // Integers up to 2^53 are exact; other numbers have several spellings.
            const EXACT: f64 = 9_007_199_254_740_992.0;
            let is_whole = number.fract() == 0.0 && number.abs() <= EXACT;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a whole number within 2^53 fits"
            )]
            is_whole.then(|| vec![(number as i64).to_string().into()])
        }
        ClaimType::Boolean => match bytes.as_slice() {
            [0] => Some(vec!["false".into()]),
            [1] => Some(vec!["true".into()]),
            _ => None,
        },
    }
}
