//! Denials: conversion of a denied event to the reply for the client.

use super::evaluate::DeniedEvent;
use super::exchange::ExchangeOutcome;
use super::limits::LimitHit;
use super::step::{HeaderEdit, Reply};
use super::{Flow, HalfState};
use crate::approval::Invalid;
use crate::audit::mask_identifiers;
use crate::diag::codes;
use crate::event::{Direction, Known};
use crate::identity::challenge;
use crate::policy::{Decision, LEAVE_TOOL_OUT};
use crate::protocol::{Denial, Dialect};
use crate::wire::json::{JsonBody, NodeId};

/// Reason why nothing can be redacted in a request that its client signed, with a remedy.
const SIGNED: &str = " The request is signed (AWS Signature Version 4), and the signature covers the body: \
                      leave signing to the proxy.";

impl Flow {
    /// Returns the denial of an event. `json` is the body of the event.
    pub(super) fn denial(&self, denied: &DeniedEvent, json: &JsonBody<'_>) -> Denial {
        let policy = &self.guard.policy;
        let code = denied.ruling.code.unwrap_or(codes::AG3001);
        let rule = denied.ruling.rule.and_then(|number| policy.rule(number));
        let half = denied.event.direction.word();
        // The message of a rule on arguments would be misleading: the arguments are unknown.
        let hides_arguments = code == codes::AG2010 && denied.problem.is_none();
        let approval = denied.approval.as_deref();
        let invalid = approval.and_then(|approval| approval.invalid);
        let reason = match (&denied.problem, rule) {
            _ if code == codes::AG9003 => "A kill list is configured and can't be read.".to_owned(),
            _ if code == codes::AG3006 => match self.kill.killed() {
                Some(killed) => format!("Stopped by the kill switch: {}", killed.reason),
                None => "Stopped by the kill switch.".to_owned(),
            },
            (None, _) if let Some(invalid) = invalid => invalid.message().to_owned(),
            (None, Some(rule)) if code == codes::AG3007 => format!(
                "Rule `{}` asks for an approval, and the approval service failed.",
                rule.id
            ),
            (_, Some(rule)) if hides_arguments => {
                rule.unseen_arguments(&tool_type(&denied.event.tool))
            }
            (_, Some(rule)) if rule.reason.is_some() => {
                rule.reason.as_deref().unwrap_or_default().to_owned()
            }
            (Some(problem), _) => {
                // The scan error has the byte offset; a whole body has no location.
                let at = match problem.at.as_str() {
                    at if problem.what.ends_with(at) => String::new(),
                    at => format!(" ({at})"),
                };
                format!("The {half} can't be inspected: {}{at}.", problem.what)
            }
            (None, Some(rule)) => match code {
                codes::AG3003 if approval.is_some_and(|approval| approval.is_uncertain) => {
                    format!(
                        "Rule `{}` asks for an approval, and what would be approved, or for whom, is unknown.",
                        rule.id
                    )
                }
                codes::AG3003 if rule.limit.is_some() => rule.limit_reason(),
                codes::AG3003 => format!("Rule `{}` asks for an approval.", rule.id),
                codes::AG5001 => rule.limit_reason(),
                codes::AG9004 => format!("The counters of limit `{}` can't be reached.", rule.id),
                codes::AG3005 => format!(
                    "Rule `{}` asks to redact something that can't be edited.",
                    rule.id
                ),
                _ => format!("Blocked by rule `{}`.", rule.id),
            },
            (None, None) if code == codes::AG3005 => {
                "A rule asks to redact something that can't be edited.".to_owned()
            }
            (None, None) if code == codes::AG4001 => "Authentication required.".to_owned(),
            // The reason why a credential is invalid would help an attacker who tries credentials.
            (None, None) if matches!(code, codes::AG4002 | codes::AG4003) => {
                "Authentication failed: the credential is not valid.".to_owned()
            }
            (None, None) => match denied.event.opacity {
                Some(class) => {
                    format!("The {half} holds something that can't be inspected: {class}.")
                }
                None => "No rule allows this.".to_owned(),
            },
        };
        let mut reason = reason;
        if code == codes::AG3005 && self.head.signed && denied.event.direction == Direction::Request
        {
            reason.push_str(SIGNED);
        }
        let pointer = redacted_pointer(json, denied.event.at);
        Denial {
            status: match &denied.limit {
                Some(hit) => hit.status,
                None => codes::status(code),
            },
            code,
            rule: rule.map(|rule| rule.id.to_string()),
            reason,
            remedy: match hides_arguments {
                true => Some(LEAVE_TOOL_OUT.to_owned()),
                false => rule
                    .and_then(|rule| rule.remedy.as_deref().map(str::to_owned))
                    .or_else(|| denied.limit.as_ref()?.remedy()),
            },
            headers: denied
                .limit
                .as_ref()
                .map(LimitHit::headers)
                .unwrap_or_default(),
            request_id: self.head.request_id.clone(),
            at: if denied.event.direction == Direction::Request && !pointer.is_empty() {
                vec![pointer]
            } else {
                Vec::new()
            },
            approval: approval.and_then(|approval| approval.request.as_deref().map(str::to_owned)),
            detail: invalid.map(Invalid::word),
            code_only: policy.document.disclose_code_only,
            is_answer: denied.event.direction == Direction::Response,
        }
    }

    /// Creates a local reply.
    pub(super) fn reply(&mut self, denial: &Denial, decision: Decision) -> Reply {
        self.replied = true;
        let response = match self.protocol {
            Some(protocol) => protocol.denial_reply(denial, &self.request_context),
            None => Dialect::OpenAi.reply(denial),
        };
        self.exchange.code = Some(denial.code);
        // After the upstream's headers were sent, a local reply only cuts the connection.
        if !self.status_sent {
            self.exchange.status = Some(response.status);
        }
        let mut headers: Vec<(String, String)> = response
            .headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        headers.push(("cache-control".to_owned(), "no-store".to_owned()));
        // In JSON-RPC the denial has status 200, for which no client waits and retries.
        let asks_to_wait = response.status == 429 && !denial.headers.is_empty();
        headers.push(("x-should-retry".to_owned(), asks_to_wait.to_string()));
        if asks_to_wait {
            headers.extend(denial.headers.iter().cloned());
        }
        if response.status == 401 {
            let sources = &self.guard.policy.document.principals;
            headers.push(("www-authenticate".to_owned(), challenge(sources)));
        }
        headers.extend(self.explaining_headers(denial, decision));
        Reply {
            status: response.status,
            headers,
            body: response.body,
        }
    }

    /// Denies the exchange because of an internal condition: no rule decided it and no byte explains it.
    pub(super) fn deny_internally(&mut self, code: &'static str) -> Reply {
        self.request = HalfState::Done;
        self.response = HalfState::Done;
        self.exchange
            .decided(ExchangeOutcome::Deny, ExchangeOutcome::Deny);
        let denial = Denial {
            status: codes::status(code),
            code,
            reason: "The proxy could not inspect this exchange and denied it.".to_owned(),
            request_id: self.head.request_id.clone(),
            code_only: self.guard.policy.document.disclose_code_only,
            ..Denial::default()
        };
        self.reply(&denial, Decision::Deny)
    }

    fn explaining_headers(&self, denial: &Denial, decision: Decision) -> Vec<(String, String)> {
        let word = ExchangeOutcome::from(decision).word();
        let mut headers = vec![
            ("x-agentguard-decision".to_owned(), word.to_owned()),
            ("x-agentguard-code".to_owned(), denial.code.to_owned()),
            (
                "x-agentguard-request-id".to_owned(),
                header_value(&denial.request_id),
            ),
        ];
        if !denial.code_only {
            let policy = &self.guard.policy.document.name;
            headers.push(("x-agentguard-policy".to_owned(), header_value(policy)));
            if let Some(rule) = &denial.rule {
                headers.push(("x-agentguard-rule".to_owned(), header_value(rule)));
            }
        }
        headers
    }

    /// Returns the denial's headers for an edited response of the upstream.
    pub(super) fn explaining_edits(&self, denial: &Denial, decision: Decision) -> Vec<HeaderEdit> {
        self.explaining_headers(denial, decision)
            .into_iter()
            .map(|(name, value)| HeaderEdit::Set(name.into(), value))
            .collect()
    }
}

/// Returns the type of a provider-run tool: `web_search_20250305`. Text of any other form is left out.
fn tool_type(tool: &Known<Box<str>>) -> String {
    const MAX_TYPE_CHARS: usize = 64;
    // Eight digits for a date as version.
    const MAX_DIGITS: usize = 8;
    let is_type = |name: &&str| {
        (1..=MAX_TYPE_CHARS).contains(&name.len())
            && !is_random(name)
            && name.bytes().filter(u8::is_ascii_digit).count() <= MAX_DIGITS
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b))
    };
    match tool.value().map(|name| &**name).filter(is_type) {
        Some(name) => format!("`{name}`"),
        None => "this tool".to_owned(),
    }
}

/// Returns whether a name seems random and may be a secret. The index of an array element never does.
fn is_random(name: &str) -> bool {
    /// Maximum letters of a word in capitals. `CLOUDFLARE` fits, an access key does not.
    const MAX_CAPITALS: usize = 15;
    let is_index = name.bytes().all(|byte| byte.is_ascii_digit());
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    let is_long = |word: &str| {
        word.len() > MAX_CAPITALS && !word.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    !is_index && (mask_identifiers(name) != name || words().any(is_long))
}

/// Returns the pointer to a location, without keys that may be the finding: addresses, numbers and secrets can be keys.
pub(super) fn redacted_pointer(json: &JsonBody<'_>, place: NodeId) -> String {
    const MAX_DIGITS: usize = 6;
    const MAX_KEY_CHARS: usize = 40;
    let is_word = |key: &str| {
        key.len() <= MAX_KEY_CHARS
            && !is_random(key)
            && key.bytes().filter(u8::is_ascii_digit).count() <= MAX_DIGITS
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.$~".contains(&b))
    };
    let mut redacted = String::new();
    for key in json.pointer(place).split('/').skip(1) {
        redacted.push('/');
        redacted.push_str(if is_word(key) { key } else { "…" });
    }
    redacted
}

/// Returns a policy text as a header value: visible ASCII.
pub(super) fn header_value(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '_'
            }
        })
        .collect()
}
