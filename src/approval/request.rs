//! Request for an approval: `agar1.` and the base64url of a JSON object.
//!
//! ```json
//! {"id":"3q2-7w","policy":"support-agent","event":"tool_call","what":"issue_refund","args":"x4f…",
//!  "tenant":"acme","rules":[{"id":"approve-large-refund","by":["support-manager"],"needed":1}],
//!  "show":"{\"args.amount\":[250]}","until":1795000600,"valid_for":600,"uses":1}
//! ```
//!
//! The request passes through the agent, which may change it. What it shows is bound by a digest (`shown`) that the
//! filter computes again. A changed request is useless: its token is for another call.

use super::canonical;
use super::encoding::{
    EncodingError, PayloadReader, PayloadWriter, base64url, from_base64url, payload, write_texts,
};
use super::subject::Subject;
use crate::wire::json::{ValueKind, quote};

/// Prefix with the version.
const PREFIX: &str = "agar1.";

/// Maximum bytes of a request.
const MAX_BYTES: usize = 16 << 10;

/// Request for an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// Id of the request. Each id has a limited number of uses.
    pub id: Box<str>,
    /// Call or request to be approved.
    pub subject: Subject,
    /// Rules that require the approval.
    pub rules: Vec<RequestedRule>,
    /// Values shown to the approver: the canonical form of an object of paths and their values.
    pub show: Option<Box<str>>,
    /// End of the request, in seconds since 1970.
    pub until: u64,
    /// Maximum validity of the token in seconds.
    pub valid_for: u64,
    /// Maximum uses of the token.
    pub uses: u32,
}

/// Rule that requires an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedRule {
    /// Id of the rule.
    pub id: Box<str>,
    /// Roles that may approve.
    pub by: Vec<Box<str>>,
    /// Number of approvers required.
    pub needed: u32,
}

impl ApprovalRequest {
    /// Returns the text of the request.
    pub fn encode(&self) -> String {
        format!("{PREFIX}{}", base64url(&self.contents()))
    }

    /// Returns the JSON object that the text of the request contains.
    pub fn contents(&self) -> Vec<u8> {
        let mut out = PayloadWriter::new();
        out.text("id", &self.id);
        self.subject.write(&mut out);
        write_rules(out.key("rules"), &self.rules);
        out.optional("show", self.show.as_deref());
        out.number("until", self.until);
        out.number("valid_for", self.valid_for);
        out.number("uses", u64::from(self.uses));
        out.end()
    }

    /// Parses a request.
    ///
    /// # Errors
    /// The text is malformed, or its digest does not match what it shows.
    pub fn parse(text: &str) -> Result<ApprovalRequest, EncodingError> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return Err(EncodingError::TooLong);
        }
        let text = text.strip_prefix(PREFIX).ok_or(EncodingError::Prefix)?;
        let bytes = from_base64url(text)?;
        let json = payload(&bytes)?;
        let body = json.body().ok_or(EncodingError::Payload)?;
        let mut members = PayloadReader::new(body.root())?;
        let count = |number: u64| u32::try_from(number).map_err(|_| EncodingError::Payload);
        let request = ApprovalRequest {
            rules: read_rules(&mut members)?,
            id: members.text("id")?,
            subject: Subject::read(&mut members)?,
            show: members.optional("show")?,
            until: members.number("until")?,
            valid_for: members.number("valid_for")?,
            uses: count(members.number("uses")?)?,
        };
        members.end()?;
        // What the approver sees must be what the token covers.
        let is_covered = match (&request.show, &request.subject.shown) {
            (None, None) => true,
            (Some(show), Some(digest)) => {
                canonical::digest_of(show.as_bytes()) == **digest
                    && canonical::canonical(show.as_bytes()).as_deref() == Ok(show.as_bytes())
            }
            _ => false,
        };
        match is_covered {
            true => Ok(request),
            false => Err(EncodingError::Payload),
        }
    }

    /// Returns the values shown to the approver: a JSON object of paths and lists of their values.
    pub fn shown(&self) -> Option<&str> {
        self.show.as_deref()
    }

    /// Returns the roles that may approve the request.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.rules
            .iter()
            .flat_map(|rule| rule.by.iter().map(|role| &**role))
    }
}

/// Reads the rules of a request or a token.
pub(super) fn read_rules(
    members: &mut PayloadReader<'_>,
) -> Result<Vec<RequestedRule>, EncodingError> {
    let rules = members.value("rules").ok_or(EncodingError::Payload)?;
    if rules.kind() != ValueKind::Array {
        return Err(EncodingError::Payload);
    }
    let rules = rules.elements().map(|rule| {
        let mut rule = PayloadReader::new(rule)?;
        let needed = rule.number("needed")?;
        let read = RequestedRule {
            id: rule.text("id")?,
            by: rule.texts("by")?,
            needed: u32::try_from(needed).map_err(|_| EncodingError::Payload)?,
        };
        rule.end()?;
        Ok(read)
    });
    rules.collect()
}

/// Writes the rules of a request or a token.
pub(super) fn write_rules(out: &mut Vec<u8>, rules: &[RequestedRule]) {
    out.push(b'[');
    for (number, rule) in rules.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":");
        quote(&rule.id, out);
        out.extend_from_slice(b",\"by\":");
        write_texts(out, rule.by.iter().map(|role| &**role));
        out.extend_from_slice(format!(",\"needed\":{}}}", rule.needed).as_bytes());
    }
    out.push(b']');
}
