//! `agentguard approve REQUEST --key FILE`: shows a request for an approval, asks for confirmation, and prints the token.
//!
//! The agent that wants the approval may have written anything into the request. It is printed so that no character moves the
//! cursor or changes the direction of the text.

use super::{ExitStatus, Failed, output};
use crate::approval::{self, ApprovalRequest, MIN_SECRET, SigningKey};
use crate::wire::json::{JsonBody, Limits, Value, ValueKind};
use clap::Args;
use serde_json::json;
use std::io::{BufRead, IsTerminal};

/// Number of random bytes of a token's nonce.
const NONCE_BYTES: usize = 12;

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The request, `agar1.…`, or a text that holds one, such as the denial. `-` reads it from standard input.
    #[arg(value_name = "REQUEST")]
    request: String,
    /// The key: a file of `agentguard keygen --approver ROLE`, or `env:NAME` for a shared secret.
    #[arg(long, value_name = "FILE")]
    key: String,
    /// The arguments that the agent says it wants to use, as JSON: fails if the request is for others.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Approve without asking.
    #[arg(long)]
    yes: bool,
    /// The time of the approval, RFC 3339. Now if absent.
    #[arg(long, value_name = "RFC3339")]
    time: Option<String>,
}

impl Approve {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let request = self.request()?;
        let key = self.signing_key()?;
        let now = self.now()?;
        if request.until <= now {
            return Err(output::print_undone(
                "the request has ended; let the agent ask again",
            ));
        }
        let may_agree = request.roles().any(|role| *role == *key.role);
        if !self.key.starts_with("env:") && !may_agree {
            let roles: Vec<String> = request.roles().map(output::visible).collect();
            return Err(output::print_misused(&format!(
                "the key is one of `{}`, and asked are `{}`",
                output::visible(&key.role),
                roles.join("`, `")
            )));
        }
        if let Some(args) = &self.args {
            check_args(&request, args)?;
        }
        for line in shown(&request, now) {
            output::note(&line);
        }
        if !self.yes && !self.is_confirmed()? {
            output::note("not approved");
            return Ok(ExitStatus::Found);
        }
        let mut random = [0; NONCE_BYTES];
        getrandom::fill(&mut random)
            .map_err(|error| output::print_error(&format!("no randomness: {error}")))?;
        let token = approval::mint(&request, &key, now, approval::nonce(&random));
        match json {
            true => output::json_line(&json!({"id": request.id, "token": token}).to_string()),
            false => output::line(&token),
        }
        Ok(ExitStatus::Clean)
    }

    fn request(&self) -> Result<ApprovalRequest, Failed> {
        let text = match self.request.as_str() {
            output::STDIN => {
                let bytes = output::read(output::STDIN)?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
            text => text.to_owned(),
        };
        let Some((_, rest)) = text.split_once("agar1.") else {
            return Err(output::print_misused(
                "this holds no request for an approval: it begins with `agar1.`; a file with one is read from standard input: \
                 `agentguard approve - --key FILE < DENIAL`",
            ));
        };
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (payload, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        // A denied response has a request for each of its calls. Whoever is shown one of them would take it for all.
        let mut others = after.split("agar1.").skip(1);
        let is_same = |other: &str| {
            let other = other.strip_prefix(payload);
            other.is_some_and(|rest| !rest.starts_with(is_part))
        };
        if others.any(|other| other.starts_with(is_part) && !is_same(other)) {
            return Err(output::print_misused(
                "this holds several requests for an approval: give them one by one",
            ));
        }
        ApprovalRequest::parse(&format!("agar1.{payload}")).map_err(|error| {
            output::print_misused(&format!(
                "the request can't be read: {error}; is it whole, and in one line?"
            ))
        })
    }

    fn signing_key(&self) -> Result<SigningKey, Failed> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the command line hands the environment in"
        )]
        if let Some(name) = self.key.strip_prefix("env:") {
            let secret = std::env::var(name).unwrap_or_default();
            return SigningKey::from_secret("", secret.as_bytes()).ok_or_else(|| {
                output::print_misused(&format!(
                    "the environment variable `{name}` is not set, or shorter than {MIN_SECRET} bytes"
                ))
            });
        }
        let bytes = output::read(&self.key)?;
        SigningKey::from_file(&String::from_utf8_lossy(&bytes))
            .map_err(|error| output::print_foreign(&format!("{}: {error}", self.key)))
    }

    fn now(&self) -> Result<u64, Failed> {
        let time = match &self.time {
            Some(text) => output::moment("--time", text)?,
            None => jiff::Timestamp::now(),
        };
        Ok(u64::try_from(time.as_second()).unwrap_or(0))
    }

    fn is_confirmed(&self) -> Result<bool, Failed> {
        if self.request == output::STDIN || !std::io::stdin().is_terminal() {
            return Err(output::print_undone(
                "there is no terminal to ask on: look at the request, and give --yes",
            ));
        }
        output::note("Approve? Type `yes`:");
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        Ok(read.is_ok() && matches!(line.trim(), "yes" | "y"))
    }
}

/// Checks that a request is for these arguments.
fn check_args(request: &ApprovalRequest, args: &str) -> Result<(), Failed> {
    let digest = match request.subject.bind.is_empty() {
        true => approval::digest(args.as_bytes()),
        false => approval::digest_of_bound(args.as_bytes(), &request.subject.bind),
    };
    match digest {
        Ok(digest) if *digest == *request.subject.args => Ok(()),
        Ok(_) => Err(output::print_undone(
            "the request is for other arguments than these: do not approve it",
        )),
        Err(error) => Err(output::print_misused(&format!("--args: {error}"))),
    }
}

/// Returns the lines that describe a request to the approver.
fn shown(request: &ApprovalRequest, now: u64) -> Vec<String> {
    let subject = &request.subject;
    let mut lines = Vec::new();
    let mut line = |label: &str, text: String| lines.push(format!("{label:<12} {text}"));
    line("policy", output::visible(&subject.policy));
    let label = match &*subject.event {
        "request" => "request",
        _ => "call of",
    };
    line(label, output::visible(&subject.what));
    for (path, values) in shown_values(request.shown().unwrap_or("{}")) {
        let values = match values.is_empty() {
            true => "nothing".to_owned(),
            false => values.join(", "),
        };
        line(&format!("  {path}"), values);
    }
    let bound = match request.subject.bind.as_slice() {
        [] => "all of it".to_owned(),
        paths => paths
            .iter()
            .map(|path| output::visible(path))
            .collect::<Vec<_>>()
            .join(", "),
    };
    line(
        "bound",
        format!("{bound} (digest {})", output::visible(&subject.args)),
    );
    for (label, name) in [
        ("asked by", &subject.id),
        ("agent", &subject.agent),
        ("client", &subject.client),
        ("tenant", &subject.tenant),
        ("session", &subject.session),
    ] {
        if let Some(name) = name {
            line(label, output::visible(name));
        }
    }
    for rule in &request.rules {
        let roles: Vec<String> = rule.by.iter().map(|role| output::visible(role)).collect();
        let number = match rule.needed {
            0 | 1 => String::new(),
            needed => format!("{needed} of "),
        };
        let asks = format!(
            "{} asks {number}{}",
            output::visible(&rule.id),
            roles.join(" or ")
        );
        line("rule", asks);
    }
    let uses = match request.uses {
        1 => "once".to_owned(),
        uses => format!("{uses} times"),
    };
    let holds = format!("{uses}, within {} seconds", request.valid_for);
    line("holds", holds);
    let left = request.until.saturating_sub(now);
    line("ends", format!("in {left} seconds"));
    lines
}

/// Returns the paths that a request shows, each with its values in the canonical form. A library's number type could change a
/// number or fail to represent it, and the approver would approve a value without seeing it.
fn shown_values(show: &str) -> Vec<(String, Vec<String>)> {
    let written = |value: Value<'_>| output::visible(&String::from_utf8_lossy(value.raw()));
    let limits = Limits {
        max_depth: u16::MAX,
    };
    let json = JsonBody::scan(show.as_bytes(), limits, 0).ok();
    let body = json.as_ref().and_then(|json| json.body());
    let Some(root) = body.as_ref().map(|body| body.root()) else {
        return vec![("shown".to_owned(), vec![output::visible(show)])];
    };
    let members = root.members().map(|(path, value)| {
        let values = match value.kind() {
            ValueKind::Array => value.elements().map(written).collect(),
            _ => vec![written(value)],
        };
        (output::visible(&path.text().unwrap_or_default()), values)
    });
    members.collect()
}
