//! Audit events in canonical JSON: keys in the documented order, maps sorted, no white space, as few escapes as JSON
//! allows.
//!
//! `{"time":"2026-11-22T09:00:00.000Z","chain":{…},…}`

use super::chain::Chain;
use crate::event::{Known, Principal, Usage};
use crate::wire::sorted_map::{SortedMap, SortedSet};
use crate::wire::{decimal, json};
use std::net::IpAddr;

/// Maximum bytes of one text. Texts from clients, such as a model's name, can have any length.
pub(crate) const MAX_TEXT_BYTES: usize = 256;

/// Maximum entries of one list.
pub(crate) const MAX_LIST_ITEMS: usize = 64;

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRule {
    /// The rule's id.
    pub id: Box<str>,
    /// The rule's action.
    pub action: &'static str,
    /// The kind of the matching event.
    pub event: &'static str,
    /// The JSON Pointer to the first match.
    pub at: String,
    /// `enforce` or `observe`.
    pub mode: &'static str,
    /// Replacement that was written, if it is not the rule's: `label` instead of a pseudonym.
    pub form: Option<&'static str>,
}

/// Approval that was requested or given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedApproval<'a> {
    /// Id of the approval request.
    pub id: &'a str,
    /// Digest of the arguments.
    pub digest: &'a str,
    /// `required`, `approved` or `invalid`.
    pub state: &'static str,
    /// Reason why the approval is invalid.
    pub detail: Option<&'static str>,
}

/// A limit that the exchange was charged to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLimit {
    /// Amount used after the last charge, in units.
    pub used: u64,
    /// The limit's maximum, in units.
    pub max: u64,
    /// Units in 1: sums are counted in millionths.
    pub unit: u64,
    /// Whether something exceeded it.
    pub is_exceeded: bool,
    /// Source of the session's id, for a limit for each session: `mcp`, `first_messages`.
    pub session: Option<Box<str>>,
}

/// Request line and connection of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedRequest<'a> {
    /// W3C trace context.
    pub traceparent: &'a str,
    /// Address of the client, as the policy determines it.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: &'a str,
    /// The host without its port.
    pub host: &'a str,
    /// The path without identifiers and query.
    pub path: &'a str,
}

/// Text, or arguments of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedPart {
    /// The kind of its event.
    pub event: &'static str,
    /// Its author.
    pub from: Option<&'static str>,
    /// The part of the message or response, if it is not its visible text.
    pub part: Option<&'static str>,
    /// Index of the alternative response.
    pub choice: u32,
    /// Tool that was called, or whose result the part is.
    pub tool: Option<Box<str>>,
    /// Whether the part is the arguments of a call.
    pub is_arguments: bool,
    /// Text, masked where the policy requires it.
    pub text: String,
}

/// Recorded content of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedContent {
    /// `redacted` or `full`.
    pub form: &'static str,
    /// The parts of the request.
    pub request: Vec<RecordedPart>,
    /// The parts of the response.
    pub response: Vec<RecordedPart>,
    /// Halves of the exchange that were truncated.
    pub truncated: Vec<&'static str>,
}

/// The content of an audit event. Members that don't apply are empty.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Start of the exchange in nanoseconds since 1970.
    pub started_ns: u64,
    /// Envoy's request id.
    pub request_id: &'a str,
    /// Whether the exchange continues and has another event at its end.
    pub is_interim: bool,
    /// Request line and connection.
    pub request: RecordedRequest<'a>,
    /// The policy's name, version and mode.
    pub policy: (&'a str, &'a str, &'static str),
    /// The caller.
    pub principal: Option<&'a Principal>,
    /// The source of an invalid credential, why it is invalid, and whose it is if that is known.
    pub authentication: Option<(&'a str, &'static str, Option<&'a str>)>,
    /// The protocol.
    pub protocol: &'a str,
    /// The provider of the model.
    pub provider: &'a str,
    /// The models that the request may use.
    pub models: &'a [Box<str>],
    /// The protocol's endpoint.
    pub endpoint: &'a str,
    /// Whether the client requested a stream; `None` if unknown.
    pub stream: Option<bool>,
    /// The decision.
    pub decision: &'static str,
    /// Decision that enforcement would have made, if it differs.
    pub would: Option<&'static str>,
    /// Code of a denial.
    pub code: Option<&'static str>,
    /// Generation of the kill list that stopped the exchange or a call.
    pub killed_by: Option<u64>,
    /// Status sent to the client; 0 if there was none.
    pub status: u16,
    /// Envoy's reason for an end other than the upstream's response.
    pub ended: &'a str,
    /// The rules that matched, by id.
    pub rules: &'a [RecordedRule],
    /// Rules on uninspectable content that the code decided without them.
    pub undecided: &'a SortedSet<Box<str>>,
    /// Findings per detector.
    pub findings: &'a SortedMap<Box<str>, u64>,
    /// Events per kind.
    pub events: &'a SortedMap<&'static str, u64>,
    /// The tools that were called.
    pub tools: &'a SortedSet<Box<str>>,
    /// Tags set by rules.
    pub tags: &'a SortedSet<Box<str>>,
    /// Limits that the exchange was charged to, by id.
    pub limits: &'a SortedMap<Box<str>, RecordedLimit>,
    /// Inspection coverage: level and reasons.
    pub coverage: (&'static str, &'a SortedSet<String>),
    /// Token usage.
    pub usage: Usage,
    /// Approval that was requested or given.
    pub approval: Option<RecordedApproval<'a>>,
    /// The decision of the shadow policy, and its matching rules.
    pub shadow: Option<(&'static str, &'a SortedSet<Box<str>>)>,
    /// Milliseconds from the request's headers to the end of the exchange; `None` if its start is unknown.
    pub duration_ms: Option<u64>,
    /// Time spent in the filter, in microseconds.
    pub inspect_us: u64,
    /// Time in microseconds for which the filter held bytes.
    pub held_us: u64,
    /// Content, if the policy records it.
    pub content: Option<&'a RecordedContent>,
}

impl Record<'_> {
    /// Appends the event to the chain. Returns its line without a line end.
    pub fn write(&self, chain: &mut Chain) -> Vec<u8> {
        let mut line = Vec::with_capacity(1024);
        let out = &mut line;
        out.extend_from_slice(b"{\"v\":1,\"ts\":\"");
        timestamp(out, self.started_ns);
        out.push(b'"');
        text(out, "request_id", self.request_id);
        key(out, "chain");
        chain.write(out);
        let chain_end = out.len();
        text(out, "traceparent", self.request.traceparent);
        if self.is_interim {
            key(out, "interim");
            out.extend_from_slice(b"true");
        }
        self.write_decision(out);
        if let Some(duration) = self.duration_ms {
            number(out, "duration_ms", duration);
        }
        key(out, "timing");
        object(out, |out| {
            number(out, "inspect_us", self.inspect_us);
            number(out, "held_us", self.held_us);
        });
        if let Some(content) = self.content {
            key(out, "content");
            object(out, |out| write_content(content, out));
        }
        out.push(b'}');
        chain.seal(&mut line, chain_end);
        line
    }

    /// Returns the members from `policy` to `shadow` as an object. Nothing is appended to the chain.
    pub fn decision(&self) -> Vec<u8> {
        let mut out = b"{".to_vec();
        self.write_decision(&mut out);
        out.push(b'}');
        out
    }

    /// Writes the members from `policy` to `shadow`.
    fn write_decision(&self, out: &mut Vec<u8>) {
        key(out, "policy");
        let (name, version, mode) = self.policy;
        object(out, |out| {
            text(out, "name", name);
            text(out, "version", version);
            text(out, "mode", mode);
        });
        if let Some(principal) = self.principal.filter(|principal| !principal.is_anonymous()) {
            key(out, "principal");
            object(out, |out| write_principal(principal, out));
        }
        if let Some((source, reason, client)) = self.authentication {
            key(out, "authentication");
            object(out, |out| {
                text(out, "source", source);
                text(out, "reason", reason);
                text(out, "client", client.unwrap_or_default());
            });
        }
        if let Some(client) = self.request.client {
            text(out, "client", &client.to_string());
        }
        text(out, "method", self.request.method);
        text(out, "host", self.request.host);
        text(out, "path", self.request.path);
        text(out, "protocol", self.protocol);
        text(out, "provider", self.provider);
        match self.models {
            [] => {}
            [model] => text(out, "model", model),
            several => text(out, "model", &several.join(",")),
        }
        text(out, "endpoint", self.endpoint);
        if let Some(stream) = self.stream {
            key(out, "stream");
            out.extend_from_slice(if stream { b"true" } else { b"false" });
        }
        text(out, "decision", self.decision);
        if let Some(would) = self.would {
            text(out, "would", would);
        }
        if let Some(code) = self.code {
            text(out, "code", code);
        }
        if let Some(generation) = self.killed_by {
            key(out, "kill");
            out.extend_from_slice(b"{\"generation\":");
            decimal::write(out, generation, 1);
            out.push(b'}');
        }
        number(out, "status", u64::from(self.status));
        text(out, "ended", self.ended);
        if !self.rules.is_empty() {
            key(out, "rules");
            list(out, self.rules.iter().take(MAX_LIST_ITEMS), |out, rule| {
                object(out, |out| {
                    text(out, "id", &rule.id);
                    text(out, "action", rule.action);
                    text(out, "event", rule.event);
                    text(out, "at", &rule.at);
                    text(out, "mode", rule.mode);
                    if let Some(form) = rule.form {
                        text(out, "form", form);
                    }
                });
            });
        }
        texts(out, "undecided", self.undecided);
        let findings = self.findings.iter();
        counts(
            out,
            "findings",
            &mut findings.map(|(name, count)| (&**name, *count)),
        );
        let events = self.events.iter();
        counts(
            out,
            "events",
            &mut events.map(|(name, count)| (*name, *count)),
        );
        texts(out, "tools", self.tools);
        texts(out, "tags", self.tags);
        key(out, "coverage");
        let (level, reasons) = self.coverage;
        object(out, |out| {
            text(out, "level", level);
            key(out, "reasons");
            list(out, reasons.iter().take(MAX_LIST_ITEMS), |out, reason| {
                quote(cut(reason), out)
            });
        });
        let other = |tokens: u64| (tokens > 0).then_some(tokens);
        let usage = [
            ("input_tokens", self.usage.input_tokens),
            ("output_tokens", self.usage.output_tokens),
            ("other_input_tokens", other(self.usage.other_input)),
            ("other_output_tokens", other(self.usage.other_output)),
        ];
        if usage.iter().any(|(_, tokens)| tokens.is_some()) {
            key(out, "usage");
            object(out, |out| {
                for (name, tokens) in usage {
                    if let Some(tokens) = tokens {
                        number(out, name, tokens);
                    }
                }
            });
        }
        if let Some(approval) = self.approval {
            key(out, "approval");
            object(out, |out| {
                text(out, "id", approval.id);
                text(out, "digest", approval.digest);
                text(out, "state", approval.state);
                if let Some(detail) = approval.detail {
                    text(out, "detail", detail);
                }
            });
        }
        if !self.limits.is_empty() {
            key(out, "limits");
            list(
                out,
                self.limits.iter().take(MAX_LIST_ITEMS),
                |out, limit| {
                    let (id, limit) = limit;
                    object(out, |out| {
                        text(out, "id", id);
                        units(out, "used", limit.used, limit.unit);
                        units(out, "max", limit.max, limit.unit);
                        if limit.is_exceeded {
                            key(out, "exceeded");
                            out.extend_from_slice(b"true");
                        }
                        text(out, "session", limit.session.as_deref().unwrap_or_default());
                    });
                },
            );
        }
        if let Some((decision, rules)) = self.shadow {
            key(out, "shadow");
            object(out, |out| {
                text(out, "decision", decision);
                texts(out, "rules", rules);
            });
        }
        let roles = match self.principal.map(|principal| &principal.roles) {
            Some(Known::Is(roles)) => roles.len(),
            _ => 0,
        };
        // A caller who has many names to give could hide one.
        let lengths = [
            ("principal.roles", roles),
            ("rules", self.rules.len()),
            ("undecided", self.undecided.len()),
            ("tools", self.tools.len()),
            ("tags", self.tags.len()),
            ("coverage.reasons", reasons.len()),
            ("limits", self.limits.len()),
            (
                "shadow.rules",
                self.shadow.map_or(0, |(_, rules)| rules.len()),
            ),
        ];
        let is_longer = |(_, length): &&(&str, usize)| *length > MAX_LIST_ITEMS;
        let mut longer = lengths.iter().filter(is_longer).peekable();
        if longer.peek().is_some() {
            key(out, "truncated");
            list(out, longer, |out, (name, _)| quote(name, out));
        }
    }
}

fn write_content(content: &RecordedContent, out: &mut Vec<u8>) {
    text(out, "form", content.form);
    for (name, parts) in [
        ("request", &content.request),
        ("response", &content.response),
    ] {
        if parts.is_empty() {
            continue;
        }
        key(out, name);
        list(out, parts.iter(), |out, part| {
            object(out, |out| {
                text(out, "event", part.event);
                text(out, "from", part.from.unwrap_or_default());
                text(out, "part", part.part.unwrap_or_default());
                if part.choice > 0 {
                    number(out, "choice", u64::from(part.choice));
                }
                text(out, "tool", part.tool.as_deref().unwrap_or_default());
                key(out, if part.is_arguments { "args" } else { "text" });
                quote(&part.text, out);
            });
        });
    }
    if !content.truncated.is_empty() {
        key(out, "truncated");
        list(out, content.truncated.iter(), |out, half| quote(half, out));
    }
}

fn write_principal(principal: &Principal, out: &mut Vec<u8>) {
    for (name, value) in [
        ("id", &principal.id),
        ("agent", &principal.agent),
        ("client", &principal.client),
        ("tenant", &principal.tenant),
    ] {
        if let Known::Is(value) = value {
            text(out, name, value);
        }
    }
    if let Known::Is(roles) = &principal.roles {
        key(out, "roles");
        list(out, roles.iter().take(MAX_LIST_ITEMS), |out, role| {
            quote(cut(role), out)
        });
    }
    if let Some(via) = &principal.via {
        text(out, "via", via);
    }
}

/// Writes a JSON string. A reader of the log sees every character: besides what JSON requires, the function escapes
/// characters that some readers take for line ends, that change the direction of the text after them, or that are invisible.
fn quote(text: &str, out: &mut Vec<u8>) {
    let is_hidden = |c: char| {
        matches!(
            c,
            '\u{7f}'..='\u{9f}'
                | '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
    };
    out.push(b'"');
    // Nearly all texts are plain.
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
        let (plain, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        json::escape(plain, out);
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
        }
        rest = from.get(c.len_utf8()..).unwrap_or_default();
    }
    json::escape(rest, out);
    out.push(b'"');
}

/// Returns whether a text needs no escapes. It is read 16 bytes at a time; the last block may overlap the one before it.
fn is_plain(text: &[u8]) -> bool {
    let fits = |bytes: &[u8]| {
        bytes.iter().fold(true, |fits, byte| {
            fits & matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\')
        })
    };
    match text.last_chunk::<16>() {
        Some(end) => text.as_chunks::<16>().0.iter().all(|block| fits(block)) && fits(end),
        None => fits(text),
    }
}

/// Separates a member from the one before it.
fn comma(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

/// Starts a member. The format's own names need no escapes.
fn key(out: &mut Vec<u8>, name: &'static str) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn object(out: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'{');
    members(out);
    out.push(b'}');
}

fn list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut each: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

/// Writes a string member; none if the text is empty.
fn text(out: &mut Vec<u8>, name: &'static str, value: &str) {
    if value.is_empty() {
        return;
    }
    key(out, name);
    quote(cut(value), out);
}

fn number(out: &mut Vec<u8>, name: &'static str, value: u64) {
    key(out, name);
    decimal::write(out, value, 1);
}

/// Writes an amount as a decimal number. `of_one` units are 1: 1500000 millionths are `1.5`.
fn units(out: &mut Vec<u8>, name: &'static str, units: u64, of_one: u64) {
    let rest = units.checked_rem(of_one).unwrap_or(0);
    number(out, name, units.checked_div(of_one).unwrap_or(units));
    if rest > 0 {
        // `of_one` is a power of ten: the sum has one digit more than the fraction, so leading zeros of the fraction remain.
        let digits = of_one.saturating_add(rest).to_string();
        out.push(b'.');
        let digits = digits.get(1..).unwrap_or_default();
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
}

fn counts(out: &mut Vec<u8>, name: &'static str, counts: &mut dyn Iterator<Item = (&str, u64)>) {
    let mut counts = counts.peekable();
    if counts.peek().is_none() {
        return;
    }
    key(out, name);
    object(out, |out| {
        for (name, count) in counts {
            comma(out);
            quote(name, out);
            out.push(b':');
            decimal::write(out, count, 1);
        }
    });
}

fn texts(out: &mut Vec<u8>, name: &'static str, texts: &SortedSet<Box<str>>) {
    if texts.is_empty() {
        return;
    }
    key(out, name);
    list(out, texts.iter().take(MAX_LIST_ITEMS), |out, text| {
        quote(cut(text), out)
    });
}

/// Returns the first [`MAX_TEXT_BYTES`] bytes of a text, cut at a character boundary.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES))
        .unwrap_or(text)
}

/// Writes a time as RFC 3339 in UTC with milliseconds. The civil date is computed from days: Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms".
fn timestamp(out: &mut Vec<u8>, ns: u64) {
    let millis = ns.div_euclid(1_000_000);
    let seconds = millis.div_euclid(1_000);
    let of_day = seconds.rem_euclid(86_400);
    let days = seconds.div_euclid(86_400).saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = day_of_era
        .saturating_sub(day_of_era.div_euclid(1_460))
        .saturating_add(day_of_era.div_euclid(36_524))
        .saturating_sub(day_of_era.div_euclid(146_096))
        .div_euclid(365);
    let day_of_year = day_of_era.saturating_sub(
        year_of_era
            .saturating_mul(365)
            .saturating_add(year_of_era.div_euclid(4))
            .saturating_sub(year_of_era.div_euclid(100)),
    );
    let shifted_month = day_of_year
        .saturating_mul(5)
        .saturating_add(2)
        .div_euclid(153);
    let day = day_of_year
        .saturating_sub(
            shifted_month
                .saturating_mul(153)
                .saturating_add(2)
                .div_euclid(5),
        )
        .saturating_add(1);
    let month = if shifted_month < 10 {
        shifted_month.saturating_add(3)
    } else {
        shifted_month.saturating_sub(9)
    };
    let year = year_of_era
        .saturating_add(era.saturating_mul(400))
        .saturating_add(u64::from(month <= 2));
    let parts = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (of_day.div_euclid(3_600), 2, b':'),
        (of_day.div_euclid(60).rem_euclid(60), 2, b':'),
        (of_day.rem_euclid(60), 2, b'.'),
        (millis.rem_euclid(1_000), 3, b'Z'),
    ];
    for (number, digits, behind) in parts {
        decimal::write(out, number, digits);
        out.push(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::ChainKey;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::{Digest, Sha256};

    fn record<'a>(reasons: &'a SortedSet<String>, empty: &'a Empty) -> Record<'a> {
        Record {
            started_ns: 1_763_622_245_678_000_000,
            request_id: "r-1",
            is_interim: false,
            request: RecordedRequest::default(),
            policy: ("demo", "sha256:00", "enforce"),
            principal: None,
            authentication: None,
            protocol: "openai.chat",
            provider: "openai",
            models: &empty.models,
            endpoint: "chat.completions",
            stream: Some(false),
            decision: "allow",
            would: None,
            code: None,
            killed_by: None,
            status: 200,
            ended: "",
            rules: &[],
            undecided: &empty.texts,
            findings: &empty.findings,
            events: &empty.counts,
            tools: &empty.texts,
            tags: &empty.texts,
            coverage: ("full", reasons),
            usage: Usage::default(),
            limits: &empty.limits,
            duration_ms: Some(56),
            inspect_us: 12,
            approval: None,
            shadow: None,
            held_us: 34,
            content: None,
        }
    }

    #[derive(Default)]
    struct Empty {
        models: Vec<Box<str>>,
        findings: SortedMap<Box<str>, u64>,
        counts: SortedMap<&'static str, u64>,
        texts: SortedSet<Box<str>>,
        limits: SortedMap<Box<str>, RecordedLimit>,
    }

    #[test]
    fn a_line_is_written_in_one_fixed_form() {
        let mut chain = Chain::new([1; 8], None);
        let line = record(&SortedSet::new(), &Empty::default()).write(&mut chain);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            concat!(
                r#"{"v":1,"ts":"2025-11-20T07:04:05.678Z","request_id":"r-1","#,
                r#""chain":{"id":"0101010101010101","seq":0,"#,
                r#""prev":"0000000000000000000000000000000000000000000000000000000000000000","start":true},"#,
                r#""policy":{"name":"demo","version":"sha256:00","mode":"enforce"},"#,
                r#""protocol":"openai.chat","provider":"openai","endpoint":"chat.completions","stream":false,"#,
                r#""decision":"allow","status":200,"coverage":{"level":"full","reasons":[]},"#,
                r#""duration_ms":56,"timing":{"inspect_us":12,"held_us":34}}"#,
            )
        );
    }

    #[test]
    fn request_members_are_in_their_fixed_place() {
        let mut chain = Chain::new([1; 8], None);
        let (reasons, empty) = (SortedSet::new(), Empty::default());
        let record = Record {
            is_interim: true,
            request: RecordedRequest {
                traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                client: Some(IpAddr::from([192, 0, 2, 7])),
                method: "POST",
                host: "api.example.com",
                path: "/v1/chat/completions",
            },
            ended: "response_timeout",
            authentication: Some(("keys", "expired", Some("acme"))),
            ..record(&reasons, &empty)
        };
        let line = String::from_utf8(record.write(&mut chain)).unwrap();
        for part in [
            r#""start":true},"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","interim":true,"policy":"#,
            r#""mode":"enforce"},"authentication":{"source":"keys","reason":"expired","client":"acme"},"client":"192.0.2.7","method":"POST","host":"api.example.com","path":"/v1/chat/completions","protocol":"#,
            r#""status":200,"ended":"response_timeout","coverage":"#,
        ] {
            assert!(line.contains(part), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_can_forge_a_line_or_hide_in_it(text in "(\\PC|[\\x00-\\x1f\"\\\\\u{7f}-\u{a0}\u{ad}\u{61c}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{feff}\u{e0000}-\u{e007f}]){0,80}") {
            let mut chain = Chain::new([1; 8], None);
            let named = Empty {
                models: vec![text.as_str().into()],
                texts: SortedSet::from([Box::from(text.as_str())]),
                findings: SortedMap::from([(Box::from(text.as_str()), 1)]),
                ..Empty::default()
            };
            let reasons = SortedSet::from([text.clone()]);
            let rules = [RecordedRule {
                id: text.as_str().into(),
                action: "deny",
                event: "message",
                at: text.clone(),
                mode: "enforce",
                form: None,
            }];
            let record = Record {
                request_id: &text,
                request: RecordedRequest {
                    traceparent: &text,
                    client: None,
                    method: &text,
                    host: &text,
                    path: &text,
                },
                policy: (&text, &text, "enforce"),
                authentication: Some((&text, "missing", Some(&text))),
                protocol: &text,
                provider: &text,
                endpoint: &text,
                ended: &text,
                rules: &rules,
                ..record(&reasons, &named)
            };
            let line = String::from_utf8(record.write(&mut chain)).unwrap();
            let hidden = |c: char| {
                c.is_control()
                    || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
            };
            proptest::prop_assert!(!line.contains(hidden));
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            let whole = |value: &serde_json::Value| value.as_str().unwrap_or_default() == cut(&text);
            for at in ["/request_id", "/method", "/host", "/path", "/model", "/ended", "/rules/0/at", "/tools/0", "/coverage/reasons/0"] {
                proptest::prop_assert!(parsed.pointer(at).map_or(text.is_empty(), whole), "{}", at);
            }
            proptest::prop_assert_eq!(&parsed["decision"], "allow");
        }
    }

    #[test]
    fn with_a_key_the_mac_is_over_the_line_without_it() {
        let mut chain = Chain::new([2; 8], ChainKey::new(b"secret"));
        let reasons = SortedSet::from(["request:AG2005".to_owned()]);
        let empty = Empty::default();
        let first = String::from_utf8(record(&reasons, &empty).write(&mut chain)).unwrap();
        let second = String::from_utf8(record(&reasons, &empty).write(&mut chain)).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&first).unwrap();
        let mac = parsed["chain"]["mac"].as_str().unwrap();
        let without = first.replace(&format!(",\"mac\":\"{mac}\""), "");
        let mut expected = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        expected.update(without.as_bytes());
        assert_eq!(
            mac,
            crate::wire::hex::encode(&expected.finalize().into_bytes())
        );
        let next: serde_json::Value = serde_json::from_str(&second).unwrap();
        assert_eq!(next["chain"]["prev"], mac);
        assert_eq!(next["chain"]["seq"], 1);
        assert!(next["chain"].get("start").is_none());
    }

    #[test]
    fn without_a_key_the_next_record_contains_the_hash_of_this_one() {
        let mut chain = Chain::new([3; 8], None);
        let empty = Empty::default();
        let reasons = SortedSet::new();
        let first = record(&reasons, &empty).write(&mut chain);
        let second = record(&reasons, &empty).write(&mut chain);
        let next: serde_json::Value = serde_json::from_slice(&second).unwrap();
        assert_eq!(
            next["chain"]["prev"],
            crate::wire::hex::encode(&Sha256::digest(&first))
        );
    }

    #[test]
    fn limits_are_written_in_whole_ones() {
        let mut chain = Chain::new([5; 8], None);
        let limit = |used, max, unit, is_exceeded| RecordedLimit {
            used,
            max,
            unit,
            is_exceeded,
            session: None,
        };
        let empty = Empty {
            limits: SortedMap::from([
                ("daily".into(), limit(7, 10, 1, false)),
                ("spend".into(), limit(1_050_000, 2_000_000, 1_000_000, true)),
            ]),
            ..Empty::default()
        };
        let line = record(&SortedSet::new(), &empty).write(&mut chain);
        let line = String::from_utf8(line).unwrap();
        let limits = r#""limits":[{"id":"daily","used":7,"max":10},{"id":"spend","used":1.05,"max":2,"exceeded":true}]"#;
        assert!(line.contains(limits), "{line}");
    }

    #[test]
    fn what_a_client_sends_can_neither_break_the_line_nor_flood_it() {
        let mut chain = Chain::new([4; 8], None);
        let empty = Empty {
            models: vec![format!("a\n\"b\u{0}{}", "é".repeat(1_000)).into()],
            ..Empty::default()
        };
        let line = record(&SortedSet::new(), &empty).write(&mut chain);
        assert!(line.len() < 2_000 && !line.contains(&b'\n'));
        let parsed: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert!(
            parsed["model"]
                .as_str()
                .unwrap()
                .starts_with("a\n\"b\u{0}é")
        );
    }

    #[test]
    fn a_record_names_the_lists_that_have_more_than_it_says() {
        let written = |entries: usize| {
            let name = |number: usize| Box::<str>::from(format!("n{number:03}"));
            let limit = RecordedLimit {
                used: 1,
                max: 2,
                unit: 1,
                is_exceeded: false,
                session: None,
            };
            let empty = Empty {
                texts: (0..entries).map(name).collect(),
                limits: (0..entries).map(|at| (name(at), limit.clone())).collect(),
                ..Empty::default()
            };
            let rule = |number| RecordedRule {
                id: name(number),
                action: "tag",
                event: "message",
                at: String::new(),
                mode: "enforce",
                form: None,
            };
            let rules: Vec<RecordedRule> = (0..entries).map(rule).collect();
            let reasons = (0..entries).map(|at| format!("r{at:03}")).collect();
            let mut principal = Principal::known_by(Some("idp"));
            principal.roles = Known::Is((0..entries).map(name).collect());
            let record = Record {
                principal: Some(&principal),
                rules: &rules,
                shadow: Some(("deny", &empty.texts)),
                ..record(&reasons, &empty)
            };
            let line = record.write(&mut Chain::new([1; 8], None));
            serde_json::from_slice::<serde_json::Value>(&line).unwrap()
        };
        let whole = written(64);
        assert_eq!(whole["tools"][63], "n063");
        assert_eq!(whole.get("truncated"), None);
        let lists = [
            "principal.roles",
            "rules",
            "undecided",
            "tools",
            "tags",
            "coverage.reasons",
            "limits",
            "shadow.rules",
        ];
        let more = written(65);
        assert_eq!(more["truncated"], serde_json::json!(lists));
        for name in lists {
            let list = more
                .pointer(&format!("/{}", name.replace('.', "/")))
                .unwrap();
            assert_eq!(list.as_array().unwrap().len(), 64, "{name}");
        }
    }

    #[test]
    fn dates_are_right_at_their_edges() {
        for (seconds, date) in [
            (0u64, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
        ] {
            let mut out = Vec::new();
            timestamp(&mut out, seconds * 1_000_000_000);
            assert_eq!(String::from_utf8(out).unwrap(), date);
        }
    }
}
