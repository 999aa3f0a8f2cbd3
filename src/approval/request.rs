//! The request for an approval: `agar1.` and the base64url of a JSON object.
//!
//! ```json
//! {"id":"3q2-7w","policy":"support-agent","event":"tool_call","what":"issue_refund","args":"x4f…",
//!  "tenant":"acme","rules":[{"id":"approve-large-refund","by":["support-manager"],"needed":1}],
//!  "show":"{\"args.amount\":[250]}","until":1795000600,"valid_for":600,"uses":1}
//! ```
//!
//! It travels through the agent, which may change it. What it shows is bound by a digest that the filter works out again
//! (`shown`), so that a changed request is worth nothing: it gives a token for another call.

use super::canonical;
use super::encoding::{
    EncodingError, PayloadReader, PayloadWriter, base64url, from_base64url, payload, write_texts,
};
use super::subject::Subject;
use crate::wire::json::{ValueKind, quote};

/// The prefix with the version.
const PREFIX: &str = "agar1.";

/// Maximum bytes of a request.
const MAX_BYTES: usize = 16 << 10;

/// A request for an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// The request's id. Each id is spent once.
    pub id: Box<str>,
    /// What is to be approved.
    pub subject: Subject,
    /// The rules that ask for it.
    pub rules: Vec<RequestedRule>,
    /// What the approver is shown: the canonical form of an object of paths and their values.
    pub show: Option<Box<str>>,
    /// When the request ends, in seconds since 1970.
    pub until: u64,
    /// For how many seconds the approval may hold.
    pub valid_for: u64,
    /// For how many uses.
    pub uses: u32,
}

/// A rule that asks for an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedRule {
    /// Its id.
    pub id: Box<str>,
    /// Roles of those who may agree.
    pub by: Vec<Box<str>>,
    /// How many have to.
    pub needed: u32,
}

impl ApprovalRequest {
    /// Returns the text of the request.
    pub fn encode(&self) -> String {
        format!("{PREFIX}{}", base64url(&self.contents()))
    }

    /// Returns the JSON object that the text of the request holds.
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

    /// Reads a request.
    ///
    /// # Errors
    /// It is malformed, or what it shows is not what its digest covers.
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
        // What is shown must be what is signed.
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

    /// What the approver is shown: a JSON object of paths and lists of their values.
    pub fn shown(&self) -> Option<&str> {
        self.show.as_deref()
    }

    /// Roles that can answer the request.
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

/// Writes them.
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
