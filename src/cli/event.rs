//! Command-line options that describe an event, for `check` and `explain`.

use super::{Failed, output};
use crate::author::{SampleEvent, SampleExchange, describe, parse_yaml};
use crate::diag::Diagnostic;
use crate::event::{Author, Facts, Kind, Known, Models, Principal};
use crate::policy::{Node, Policy, describe_principal, parse_json};
use crate::wire::json::Decimal;
use clap::Args;

/// Options of the event.
#[derive(Debug, Args)]
pub(super) struct EventOptions {
    /// The requested model: evaluates a `request`.
    #[arg(long)]
    model: Option<String>,
    /// The called tool: evaluates a `tool_call`.
    #[arg(long)]
    tool: Option<String>,
    /// Arguments of the call, as JSON.
    #[arg(long, requires = "tool", value_name = "JSON")]
    args: Option<String>,
    /// Names of the tools that the request defines. Without this option, `unoffered` is unknown.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    offered: Option<Vec<String>>,
    /// The result of a tool, as JSON: evaluates a `tool_result` of `--tool` with its `--args`.
    #[arg(long, value_name = "JSON")]
    result: Option<String>,
    /// A text: evaluates a `message` of the user, or the event of `--event`. `-` reads standard input.
    #[arg(long, allow_hyphen_values = true)]
    text: Option<String>,
    /// The kind of event for `--text` or `--tool`.
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// The author of a message: system, user, assistant, tool. The user if absent.
    #[arg(long, value_name = "AUTHOR")]
    from: Option<String>,
    /// The caller: {"id", "agent", "client", "tenant", "roles": […], …}. Any other member is a claim.
    #[arg(long, value_name = "JSON")]
    principal: Option<String>,
    /// Roles that have approved it, one for each who agrees.
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    approved_by: Vec<String>,
    /// Name of the environment.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// What is used of a limit before the event: `RULE=N`.
    #[arg(long, value_name = "RULE=N")]
    used: Vec<String>,
    /// Time of the event, RFC 3339.
    #[arg(long, value_name = "RFC3339")]
    time: Option<String>,
}

impl EventOptions {
    /// Returns whether an option describes an event.
    pub(super) fn names_event(&self) -> bool {
        let options = [
            &self.event,
            &self.model,
            &self.tool,
            &self.result,
            &self.text,
        ];
        options.into_iter().any(Option::is_some)
    }

    /// Returns the environment of `--env`.
    pub(super) fn environment(&self) -> Option<&str> {
        self.env.as_deref()
    }

    /// Returns the principal of `--principal`.
    pub(super) fn principal(&self) -> Result<Option<Principal>, Failed> {
        let Some(text) = &self.principal else {
            return Ok(None);
        };
        let node = json_option("--principal", text)?;
        let told = describe_principal(&node)
            .map_err(|errors| wrong(&format!("--principal {text}"), &errors))?;
        Ok(Some(told))
    }

    /// Returns the case that the options describe.
    pub(super) fn case(&self, policy: &Policy) -> Result<SampleExchange, Failed> {
        let mut events = Vec::new();
        let text = match self.text.as_deref() {
            Some(output::STDIN) => Some(standard_input()?),
            text => text.map(str::to_owned),
        };
        let kinds = self.kinds()?;
        self.require_effect(&kinds)?;
        for kind in kinds {
            events.push(self.described(kind, text.as_deref())?);
        }
        let mut facts = Facts::unknown();
        self.add_facts(&mut facts)?;
        lay_out(&events, facts, policy)
    }

    /// Returns the case that a text describes (`{ call: "refund {amount: 5}", env: prod }`, or only the call), with the
    /// facts of the options.
    pub(super) fn described_case(
        &self,
        text: &str,
        policy: &Policy,
    ) -> Result<SampleExchange, Failed> {
        let (event, mut facts) = if text.trim_start().starts_with('{') {
            let node = parse_yaml(text).map_err(|errors| wrong(text, &errors))?;
            describe(&node).map_err(|errors| wrong(text, &errors))?
        } else {
            let event = crate::author::read_call(text)
                .map_err(|what| output::print_misused(&format!("{text}: {what}")))?;
            (event, Facts::unknown())
        };
        self.add_facts(&mut facts)?;
        lay_out(&[event], facts, policy)
    }

    /// Returns the kinds of events that the options describe.
    fn kinds(&self) -> Result<Vec<Kind>, Failed> {
        if let Some(word) = &self.event {
            let kind = Kind::from_word(word).ok_or_else(|| {
                let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
                output::print_misused(&format!("--event {word}: known are {}", known.join(", ")))
            })?;
            return Ok(vec![kind]);
        }
        let mut kinds = Vec::new();
        if self.model.is_some() {
            kinds.push(Kind::Request);
        }
        if self.result.is_some() {
            kinds.push(Kind::ToolResult);
        } else if self.tool.is_some() {
            kinds.push(Kind::ToolCall);
        }
        if self.text.is_some() {
            kinds.push(Kind::Message);
        }
        if kinds.is_empty() {
            return Err(output::print_misused(
                "nothing to evaluate: give --model, --tool, --result, --text or --event",
            ));
        }
        Ok(kinds)
    }

    /// Returns the kinds of events that have the text of `--text`. With a result, it is a separate message.
    fn kinds_with_text(&self) -> &'static [Kind] {
        use Kind::{Message, Response, ToolOffer, ToolResult};
        match self.result {
            Some(_) => &[Message, Response, ToolOffer],
            None => &[Message, Response, ToolOffer, ToolResult],
        }
    }

    /// Refuses options that none of the events has: the text of a tool call would be allowed unread.
    fn require_effect(&self, kinds: &[Kind]) -> Result<(), Failed> {
        use Kind::{Message, ToolCall, ToolOffer, ToolResult};
        let options: [(&str, &Option<String>, &[Kind]); 5] = [
            ("--tool", &self.tool, &[ToolCall, ToolResult, ToolOffer]),
            ("--args", &self.args, &[ToolCall, ToolResult]),
            ("--result", &self.result, &[ToolResult]),
            ("--text", &self.text, self.kinds_with_text()),
            ("--from", &self.from, &[Message]),
        ];
        let has_none = |of: &[Kind]| !of.iter().any(|kind| kinds.contains(kind));
        for (name, given, of) in options {
            if given.is_some() && has_none(of) {
                let words = |kinds: &[Kind]| {
                    let words: Vec<String> = kinds
                        .iter()
                        .map(|kind| format!("`{}`", kind.word()))
                        .collect();
                    words.join(", ")
                };
                return Err(output::print_misused(&format!(
                    "{name} changes nothing in {}: it is for {}; leave it out, or name its event with --event",
                    words(kinds),
                    words(of)
                )));
            }
        }
        Ok(())
    }

    fn described(&self, kind: Kind, text: Option<&str>) -> Result<SampleEvent, Failed> {
        let mut event = SampleEvent::new(kind);
        if let Some(tool) = &self.tool {
            event.tool = Known::Is(tool.as_str().into());
        }
        if let Some(text) = &self.args {
            event.args = Known::Is(json_option("--args", text)?);
        }
        if let Some(result) = &self.result {
            let result = json_option("--result", result)?;
            // A result that is a JSON string is evaluated as its text.
            match result.text() {
                Some(text) => event.texts = vec![text.into()],
                None => event.result = Known::Is(result),
            }
        }
        if self.kinds_with_text().contains(&kind) {
            event.texts = text.into_iter().map(Into::into).collect();
        }
        let from = self.from.as_deref().unwrap_or("user");
        let from = Author::from_word(from).ok_or_else(|| {
            output::print_misused(&format!(
                "--from {from}: known are system, user, assistant, tool"
            ))
        })?;
        event.from = Known::Is(from);
        Ok(event)
    }

    fn add_facts(&self, facts: &mut Facts) -> Result<(), Failed> {
        if let Some(model) = &self.model {
            facts.models = Models::of([model.as_str()]);
        }
        if !self.approved_by.is_empty() {
            facts.approved_by = self
                .approved_by
                .iter()
                .map(|role| role.as_str().into())
                .collect();
        }
        if let Some(names) = &self.offered {
            facts.offer(names.iter().map(String::as_str));
        }
        if let Some(name) = &self.env {
            facts.environment = Known::Is(name.as_str().into());
        }
        if let Some(principal) = self.principal()? {
            facts.principal = principal;
        }
        for text in &self.used {
            let used = text
                .rsplit_once('=')
                .and_then(|(rule, used)| Some((rule, Decimal::parse(used)?)))
                .filter(|(_, used)| !used.is_negative());
            let Some((rule, used)) = used else {
                let what = format!("--used {text}: write the rule and a number, as in `daily=5`");
                return Err(output::print_misused(&what));
            };
            facts.used.insert(rule.into(), used);
        }
        if let Some(text) = &self.time {
            let time = output::moment("--time", text)?;
            facts.time = u64::try_from(time.as_nanosecond()).ok();
        }
        Ok(())
    }
}

/// Reads all of standard input as text.
fn standard_input() -> Result<String, Failed> {
    let bytes = output::read(output::STDIN)?;
    String::from_utf8(bytes)
        .map_err(|_| output::print_misused("--text -: standard input is not UTF-8"))
}

fn lay_out(
    events: &[SampleEvent],
    facts: Facts,
    policy: &Policy,
) -> Result<SampleExchange, Failed> {
    SampleExchange::new(events, facts, policy)
        .map_err(|what| output::print_misused(&format!("the event can't be evaluated: {what}")))
}

fn json_option(option: &str, text: &str) -> Result<Node, Failed> {
    parse_json(text.as_bytes())
        .map_err(|error| output::print_misused(&format!("{option} is not JSON: {}", error.message)))
}

fn wrong(text: &str, errors: &[Diagnostic]) -> Failed {
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    output::print_error(&format!("{text}: {first}"))
}
