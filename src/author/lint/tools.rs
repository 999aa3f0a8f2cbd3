//! Tools that a rule applies to: unnamed ones, and those that the provider runs.

use super::{Findings, LintedPolicy, LintedRule, top};
use crate::diag::{Severity, codes};
use crate::event::Kind;
use crate::policy::field::Field;
use crate::policy::glob::{Glob, GlobReading};
use crate::policy::rule::Rule;
use crate::policy::words::Action;
use crate::policy::words::DefaultAction;

/// Tools that providers run, by their names in rules: <https://platform.openai.com/docs/guides/tools>,
/// <https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview>, <https://ai.google.dev/gemini-api/docs/tools>,
/// <https://openrouter.ai/docs/features/plugins>.
const PROVIDER_RUN: [&str; 20] = [
    "advisor",
    "code_execution",
    "code_interpreter",
    "codeExecution",
    "file_search",
    "googleMaps",
    "googleSearch",
    "googleSearchRetrieval",
    "google_maps",
    "google_search",
    "google_search_retrieval",
    "image_generation",
    "mcp",
    "mcp_servers",
    "online",
    "tool_search",
    "urlContext",
    "url_context",
    "web_fetch",
    "web_search",
];

/// Names of capabilities that differ from agent to agent: a rule against one of them is meant for the capability.
const OF_AGENTS: [&str; 30] = [
    "Bash",
    "Edit",
    "Read",
    "Shell",
    "WebFetch",
    "Write",
    "apply_patch",
    "bash",
    "create_file",
    "delete_file",
    "edit",
    "edit_file",
    "exec",
    "exec_command",
    "execute_bash",
    "execute_command",
    "fetch",
    "fetch_url",
    "http_request",
    "python",
    "read_file",
    "run_command",
    "run_shell_command",
    "run_terminal_cmd",
    "shell",
    "str_replace",
    "terminal",
    "web_fetch",
    "write",
    "write_file",
];

/// Finds policies that allow every tool except those that their rules name.
pub(super) fn open_by_default(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let defaults = top(subject.root, "defaults");
    let is_meant = defaults.is_some_and(|defaults| defaults.get("tool_call").is_some());
    if is_meant || subject.document.defaults.tool_call.action != DefaultAction::Allow {
        return;
    }
    let stopped = || {
        let rules = subject
            .rules
            .iter()
            .filter(|view| matches!(view.written.action, Action::Deny | Action::RequireApproval));
        rules.flat_map(|view| {
            let names = tools(view.written).into_iter().flatten();
            names
                .filter(|name| !matches!(*name, "*" | "**"))
                .map(move |name| (view, name))
        })
    };
    let ability = stopped().find(|(_, name)| OF_AGENTS.contains(name));
    let severity = match ability {
        Some(_) => Severity::Warning,
        None => Severity::Note,
    };
    let Some((view, name)) = ability.or_else(|| stopped().next()) else {
        return;
    };
    let place = match defaults {
        Some(defaults) => (defaults.span.clone(), "defaults".to_owned()),
        None => view.place("match"),
    };
    findings.add(
        severity,
        codes::AG1127,
        place,
        format!(
            "a tool that no rule names may be called: rule `{}` stops `{name}`, not one of another name that does the same",
            view.written.id
        ),
        "write `tool_call: deny` and allow the tools that were looked at; `tool_call: allow` if the others are meant to pass",
    );
}

/// Finds rules on arguments of tools that a provider may run.
pub(super) fn unseen_arguments(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let rule = view.written;
        let restricts = matches!(rule.action, Action::Deny | Action::RequireApproval);
        let mut decides = false;
        rule.each_field(&mut |field_ref, of| {
            decides |= of.is_none() && field_ref.field == Field::ProviderRun;
        });
        // Tools that are named in a condition are not examined further: their author has chosen them.
        if let Some(when) = &rule.when {
            when.each_field(None, &mut |field_ref, of| {
                decides |= of.is_none() && field_ref.field == Field::Tool;
            });
        }
        if !restricts || decides || !rule.kinds.contains(Kind::ToolCall) {
            continue;
        }
        if !view.compiled.asks_arguments {
            continue;
        }
        let run = match tools(rule) {
            Some(named) => {
                let named: Vec<Glob> = named.filter_map(|tool| Glob::parse(tool).ok()).collect();
                let fits = |name: &&str| {
                    named
                        .iter()
                        .any(|glob| glob.matches(name, GlobReading::Broad))
                };
                PROVIDER_RUN.iter().copied().find(fits)
            }
            None => Some("web_search"),
        };
        if let Some(name) = run {
            findings.warn(
                codes::AG1128,
                place_of_arguments(view),
                format!(
                    "where a provider runs `{name}`, its arguments can't be inspected: rule `{}` denies every request that offers it",
                    rule.id
                ),
                "add `provider_run: false` to `when`, and decide about what providers run in a rule of its own",
            );
        }
    }
}

/// Finds redactions that change the arguments of a tool call.
pub(super) fn edited_arguments(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let rule = view.written;
        if rule.action != Action::Redact || !rule.kinds.contains(Kind::Response) {
            continue;
        }
        let parts = rule.matches.iter();
        let named = parts
            .filter(|item| item.field_ref.field == Field::Part)
            .find(|item| {
                let mut values = item.values.iter();
                values.any(|part| {
                    Glob::parse(part)
                        .is_ok_and(|glob| glob.matches("arguments", GlobReading::Broad))
                })
            });
        // Conditions are not examined: a condition on the part shows intent.
        if let Some(item) = named {
            findings.warn(
                codes::AG1129,
                (item.field_ref.span.clone(), item.path.clone()),
                format!(
                    "rule `{}` edits arguments of calls: the tool is run with what stands there then (`rm [EMAIL]`)",
                    rule.id
                ),
                "deny the call instead (`match: { event: tool_call }`, `args: { detects: … }`), or leave `arguments` out",
            );
        }
    }
}

/// Returns the names of tools in `match`; `None` if the rule applies to every tool.
pub(super) fn tools(rule: &Rule) -> Option<impl Iterator<Item = &str>> {
    let mut items = rule.matches.iter();
    let item = items.find(|item| item.field_ref.field == Field::Tool)?;
    Some(item.values.iter().map(|value| &**value))
}

fn place_of_arguments(view: &LintedRule<'_>) -> (std::ops::Range<usize>, String) {
    let key = ["when", "unless"]
        .into_iter()
        .find(|key| view.node.get(key).is_some());
    view.place(key.unwrap_or("id"))
}
