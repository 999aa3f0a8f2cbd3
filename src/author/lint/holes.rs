//! Ways to evade a rule.

use super::breadth::{each_check, texts, texts_of};
use super::tools::tools;
use super::{Findings, LintedPolicy};
use crate::author::analysis::{Formula, TestLiteral, TestOperand, fitting};
use crate::author::provided::top;
use crate::author::sample_event::{SampleEvent, SampleExchange};
use crate::diag::{Severity, codes};
use crate::event::{Facts, Kind, Known};
use crate::policy::action_spellings::spellings as spellings_of_name;
use crate::policy::condition::{Check, Condition, Operand};
use crate::policy::condition_tree::{Joins, Leaf};
use crate::policy::document::{Document, List};
use crate::policy::field::Field;
use crate::policy::field_ref::FieldRef;
use crate::policy::glob::Glob;
use crate::policy::node::{Node, NodeValue};
use crate::policy::operators::{Polarity, Verb};
use crate::policy::rule::IfMissing;
use crate::policy::words::{Action, DefaultAction};
use crate::policy::{Decision, EvaluationPhase, Policy};
use crate::wire::json::PathStep;
use std::collections::{BTreeMap, BTreeSet};

/// Names that tools use for the same argument.
const SYNONYMS: [&[&str]; 8] = [
    &["path", "file", "file_path", "filename", "filepath"],
    &["url", "uri", "link", "href"],
    &["command", "cmd", "script", "shell"],
    &["query", "sql", "statement"],
    &["to", "cc", "bcc", "recipient", "recipients"],
    &["amount", "total", "value", "sum"],
    &["body", "text", "content", "message"],
    &["name", "title", "subject"],
];

/// Finds rules whose `if_missing` has no condition to apply to. Whoever wrote it expects another decision.
pub(super) fn idle_if_missing(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let rule = view.written;
        // Each call has a tool.
        let may_lack = |field: &Field| *field != Field::Tool;
        let (is_idle, message, help) = match rule.action {
            Action::Allow => (
                rule.unless.is_none(),
                "an allow never matches a missing value, whatever `if_missing` says",
                "remove it; to allow a call without the argument as well, add a rule with `exists: false`",
            ),
            _ => (
                rule.when.is_none()
                    && !(rule.matches.iter()).any(|item| may_lack(&item.field_ref.field)),
                "nothing that this rule asks for can be missing",
                "remove it: the rule has no condition that a value could be missing for",
            ),
        };
        if is_idle && view.node.get("if_missing").is_some() {
            let place = view.place("if_missing");
            findings.warn(codes::AG1143, place, message.to_owned(), help);
        }
    }
}

/// Finds conditions on one name of an argument that has several.
pub(super) fn renamed_arguments(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let restricts = matches!(view.written.action, Action::Deny | Action::RequireApproval);
        if !restricts || view.written.if_missing.is_some() {
            continue;
        }
        let Some(when) = &view.written.when else {
            continue;
        };
        for (field, span, name) in needed(when) {
            let Field::Args(path) = field else { continue };
            let [way] = path.ways.as_slice() else {
                continue;
            };
            let Some(PathStep::Key(key)) = way.last() else {
                continue;
            };
            let others = synonyms(key);
            let help = if others.is_empty() {
                "add `if_missing: apply` if a call without it must be denied".to_owned()
            } else {
                format!(
                    "write `{name}|{}`, or add `if_missing: apply`",
                    others.join("|")
                )
            };
            findings.warn(
                codes::AG1109,
                (span, view.path.clone()),
                format!("a call that has no `{name}`, or calls it otherwise, passes this rule"),
                help,
            );
        }
    }
}

/// Returns other names that tools use for an argument.
fn synonyms(key: &str) -> Vec<&'static str> {
    let names = SYNONYMS.iter().find(|names| names.contains(&key));
    let others = names.into_iter().flat_map(|names| names.iter().copied());
    others.filter(|name| *name != key).collect()
}

/// Finds limits on the sum of an argument to which a call adds nothing that has no such argument, or calls it otherwise.
pub(super) fn uncounted_arguments(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let restricts = matches!(view.written.action, Action::Deny | Action::RequireApproval);
        let Some(limit) = view.written.limit.as_ref().filter(|_| restricts) else {
            continue;
        };
        let Some(field @ Field::Args(path)) = limit.summed() else {
            continue;
        };
        let [way] = path.ways.as_slice() else {
            continue;
        };
        let Some(PathStep::Key(key)) = way.last() else {
            continue;
        };
        // A rule that stops a call without it.
        let is_required = subject.rules.iter().any(|other| {
            let rule = other.written;
            let mut requires = false;
            each_check(rule, &mut |test, check| {
                requires |= test.field_ref.field == *field
                    && (check.verb == Verb::Exists
                        || match rule.if_missing {
                            Some(word) => word == IfMissing::Apply,
                            None => check.verb.is_negative(),
                        });
            });
            requires && matches!(rule.action, Action::Deny | Action::RequireApproval)
        });
        if is_required {
            continue;
        }
        let name = field.name();
        let others = synonyms(key);
        let named = match others.is_empty() {
            true => String::new(),
            false => format!("write `sum: {name}|{}`, and ", others.join("|")),
        };
        let (span, at) = view.place("limit");
        findings.warn(
            codes::AG1109,
            (span, format!("{at}.sum")),
            format!("a call that has no `{name}`, or calls it otherwise, adds nothing to this sum"),
            format!("{named}deny a call without it: `when: {{ {name}: {{ exists: false }} }}`"),
        );
    }
}

/// Returns the fields without which a condition is false: their tests are positive and have no alternative.
fn needed(condition: &Condition) -> Vec<(&Field, std::ops::Range<usize>, &str)> {
    let joins = Joins {
        all: |_, parts| parts.flatten().collect(),
        any: |_, parts| {
            let only = parts.next().filter(|_| parts.next().is_none());
            only.unwrap_or_default()
        },
        not: |_| Vec::new(),
    };
    condition.fold(Polarity::Restricting, &joins, &mut |leaf, _| {
        let Leaf::Test(test) = leaf else {
            return Vec::new();
        };
        let field_ref = &test.field_ref;
        let mut checks = test.checks.iter();
        let is_positive =
            checks.any(|check| !check.verb.is_negative() && check.verb != Verb::Exists);
        let needed =
            is_positive.then(|| (&field_ref.field, field_ref.span.clone(), &*field_ref.name));
        needed.into_iter().collect()
    })
}

/// Finds tool names that are one name to people and several to servers.
pub(super) fn spellings(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let mut known: BTreeMap<String, BTreeMap<&str, (std::ops::Range<usize>, String)>> =
        BTreeMap::new();
    for view in &subject.rules {
        for item in view
            .written
            .matches
            .iter()
            .filter(|item| item.field_ref.field == Field::Tool)
        {
            for value in &item.values {
                known
                    .entry(skeleton(value))
                    .or_default()
                    .entry(value)
                    .or_insert_with(|| (item.field_ref.span.clone(), item.path.clone()));
            }
        }
    }
    for spellings in known.values().filter(|spellings| spellings.len() > 1) {
        // Spellings in one list are there on purpose.
        let places: BTreeSet<&str> = spellings.values().map(|(_, path)| &**path).collect();
        if places.len() < 2 {
            continue;
        }
        let names: Vec<String> = spellings.keys().map(|name| format!("`{name}`")).collect();
        let last = spellings.values().max_by_key(|(span, _)| span.start);
        if let Some((span, path)) = last {
            findings.warn(
                codes::AG1110,
                (span.clone(), path.clone()),
                format!("{} are different tools", names.join(" and ")),
                "name in each rule every spelling that is meant",
            );
        }
    }
}

/// Finds spellings of a tool's name, of letters, digits, `_` and `-` as model providers accept them, that a rule against
/// the tool does not match. Reports once for each document, at the first such rule.
pub(super) fn passing_spellings(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    if subject.document.defaults.tool_call.action != DefaultAction::Allow {
        return;
    }
    let stopping = subject
        .rules
        .iter()
        .filter(|view| matches!(view.written.action, Action::Deny | Action::RequireApproval));
    // What another rule stops does not pass; `spellings` says that two rules name one tool.
    let stopped = stopping.clone().filter_map(|view| tools(view.written));
    let stopped = CoveredNames::of(stopped.flatten());
    let mut passing = stopping.filter_map(|view| {
        let names: Vec<&str> = tools(view.written)?.collect();
        let found = names.iter().find_map(|name| {
            let mut others = uncovered(name, &names);
            others.retain(|other| !stopped.covers(other) && passes(subject.policy, other));
            (!others.is_empty()).then_some((*name, others))
        });
        found.map(|(name, others)| (view, name, others))
    });
    let Some((view, name, others)) = passing.next() else {
        return;
    };
    let more = match passing.take(2).count() {
        0 => "",
        1 => ", and so in one more rule",
        _ => ", and so in other rules",
    };
    let ways: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
    findings.add(
        Severity::Note,
        codes::AG1110,
        view.place("match"),
        format!(
            "rule `{}` stops `{name}`, and a tool named {} passes{more}",
            view.written.id,
            ways.join(" or ")
        ),
        "list the spellings that your tool servers use",
    );
}

/// Returns whether a call without arguments of a tool that fits a glob is let pass.
fn passes(policy: &Policy, glob: &str) -> bool {
    let mut call = SampleEvent::new(Kind::ToolCall);
    call.tool = Known::Is(fitting(glob).into());
    call.args = Known::Is(Node::map_at(Vec::new(), &(0..0)));
    let Ok(case) = SampleExchange::new(&[call], Facts::unknown(), policy) else {
        return false;
    };
    let decision = case.seen_by(policy, |context| {
        let event = case.reading.events.first()?;
        let evaluation = policy.evaluate(event, context, EvaluationPhase::Whole);
        Some(evaluation.would.decision)
    });
    decision.flatten() == Some(Decision::Allow)
}

/// Returns other spellings of a name that no name of a list covers in any letter case. Returns none if the list has one of
/// them, because it was then written with spellings in mind.
fn uncovered(name: &str, names: &[&str]) -> Vec<String> {
    // `server/tool`, `server:tool` and `mcp__server__tool` are several names.
    if name.contains(['/', ':']) || name.contains("__") {
        return Vec::new();
    }
    let is_name = |other: &String| {
        let is_of_names =
            |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '*' | '?' | '[' | ']');
        other.chars().all(is_of_names)
    };
    let names = CoveredNames::of(names.iter().copied());
    let covered = |other: &String| names.covers(other);
    let others = spellings_of_name(name).into_iter().skip(1);
    let (covered, others): (Vec<String>, Vec<String>) = others.filter(is_name).partition(covered);
    if covered.is_empty() {
        others
    } else {
        Vec::new()
    }
}

/// Names and globs, in any letter case. There may be thousands, of which few are globs.
struct CoveredNames {
    names: BTreeSet<String>,
    globs: Vec<Glob>,
}

impl CoveredNames {
    fn of<'n>(names: impl Iterator<Item = &'n str>) -> CoveredNames {
        let (globs, names): (BTreeSet<String>, BTreeSet<String>) = names
            .map(str::to_lowercase)
            .partition(|name| Glob::is_glob(name));
        let globs = globs.iter().filter_map(|glob| Glob::parse(glob).ok());
        CoveredNames {
            names,
            globs: globs.collect(),
        }
    }

    /// Returns whether one of them is this name or glob, or takes all that it takes.
    fn covers(&self, other: &str) -> bool {
        let other = other.to_lowercase();
        self.names.contains(&other)
            || Glob::parse(&other)
                .is_ok_and(|other| self.globs.iter().any(|glob| glob.covers(&other)))
    }
}

/// Returns a name without the characters whose spelling varies.
fn skeleton(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '*' | '?' | '/'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Finds allow rules, and exceptions of deny rules, that rest only on what the client supplies.
pub(super) fn claims(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        if view.node.get("trust").is_some() {
            continue;
        }
        let is_allow = view.written.action == Action::Allow;
        let formula = &view.meaning.formula;
        // What a model answers is no claim of the client.
        let answers_only = view.meaning.kinds.iter().all(|kind| kind == Kind::Response);
        let in_text = !is_allow && !answers_only && view.written.unless.is_some();
        let claims = |literal: &TestLiteral| {
            literal.outer == Polarity::Loosening
                && (is_claim(&literal.field, &literal.ask)
                    // The client writes whose message it is.
                    || (!is_allow && !answers_only && literal.field == "from")
                    || (in_text && is_claim_in_text(&literal.field, &literal.ask)))
        };
        let rests_on_claims = match is_allow {
            true => opened_by(formula) == AllowBasis::Claims,
            false => {
                let mut parts = formula.parts().iter();
                parts.any(|part| is_exempt_by(part, &claims))
            }
        };
        if !rests_on_claims {
            continue;
        }
        let mut claimed: BTreeSet<&str> = BTreeSet::new();
        formula.each(&mut |literal| {
            if claims(literal) {
                claimed.insert(&literal.field);
            }
        });
        let key = if is_allow { "when" } else { "unless" };
        let names: Vec<String> = claimed.iter().map(|name| format!("`{name}`")).collect();
        findings.warn(
            codes::AG1111,
            view.place(key),
            format!(
                "rule `{}` is loosened by {} alone, which anyone can send",
                view.written.id,
                names.join(", ")
            ),
            "ask for something of `principal` as well, or say that it is meant: `trust: claimed`",
        );
    }
}

/// Evidence that an allow rule requires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AllowBasis {
    /// A value that another party than the client establishes.
    Established,
    /// Nothing except the subject of the rule.
    Nothing,
    /// Only values supplied by the client.
    Claims,
}

/// Returns the weakest evidence that makes the condition of an allow rule true.
fn opened_by(formula: &Formula) -> AllowBasis {
    match formula {
        Formula::All(parts) => {
            let asked = || parts.iter().map(opened_by);
            match asked().any(|asked| asked == AllowBasis::Established) {
                true => AllowBasis::Established,
                false => asked().max().unwrap_or(AllowBasis::Nothing),
            }
        }
        Formula::Any(parts) => parts
            .iter()
            .map(opened_by)
            .max()
            .unwrap_or(AllowBasis::Nothing),
        // An exception in this allow rule.
        Formula::Literal(literal) if literal.outer == Polarity::Restricting => AllowBasis::Nothing,
        Formula::Literal(literal) if is_claim(&literal.field, &literal.ask) => AllowBasis::Claims,
        Formula::Literal(literal) if is_established(&literal.field) => AllowBasis::Established,
        Formula::Literal(_) => AllowBasis::Nothing,
    }
}

/// Returns whether values supplied by the client can make a part of a deny-side condition false.
fn is_exempt_by(formula: &Formula, claims: &dyn Fn(&TestLiteral) -> bool) -> bool {
    match formula {
        Formula::All(parts) => parts.iter().any(|part| is_exempt_by(part, claims)),
        Formula::Any(parts) => parts.iter().all(|part| is_exempt_by(part, claims)),
        Formula::Literal(literal) => claims(literal),
    }
}

/// Returns whether a field is only a claim of the client. An argument that is compared with a path, a size or a list of
/// commands takes effect in the tool; one that must only equal a word is a claim.
fn is_claim(field: &str, ask: &TestOperand) -> bool {
    let says_a_word = matches!(ask, TestOperand::In(_) | TestOperand::Exists(_));
    ["header.", "query.", "session.", "earlier"]
        .iter()
        .any(|start| field.starts_with(start))
        || (says_a_word && (field.starts_with("args.") || field.starts_with("params.")))
}

/// Returns whether a text need only contain a word: whoever writes the text can write the word as well.
fn is_claim_in_text(field: &str, ask: &TestOperand) -> bool {
    let (anywhere, at_an_end) = match ask {
        TestOperand::OneOf(verb, _) | TestOperand::AllOf(verb, _) => (
            matches!(verb, Verb::Contains | Verb::ContainsAny | Verb::ContainsAll),
            matches!(verb, Verb::StartsWith | Verb::EndsWith),
        ),
        _ => (false, false),
    };
    (anywhere && field.starts_with("args.")) || ((anywhere || at_an_end) && field == "text")
}

/// Returns whether another party than the client establishes a field.
fn is_established(field: &str) -> bool {
    field.starts_with("principal.") || matches!(field, "environment" | "time" | "host")
}

/// Argument with a syntax of its own, in which a text operator sees too little.
struct Form {
    /// The argument's usual names.
    names: &'static [&'static str],
    /// What a denial by its text misses, and what to write instead.
    denied: (&'static str, &'static str),
    /// What an allow, or an exception, by its text takes as well, and what to write instead.
    allowed: (&'static str, &'static str),
}

const FORMS: [Form; 4] = [
    Form {
        names: &["command", "cmd", "script", "shell", "bash"],
        denied: (
            "a line of a shell: quotes, variables and other spellings walk past",
            "name what may run: `not: { PATH: { command_in: [ls, cat] } }`",
        ),
        allowed: (
            "a line of a shell: other commands in it pass as well",
            "read the whole line: `PATH: { command_in: [ls, cat] }`",
        ),
    },
    Form {
        names: &["sql", "query", "statement"],
        denied: (
            "SQL: comments, quotes and other spellings walk past",
            "read its tokens: `sql_verb_in`, `sql_table_in`, `sql_limit_greater_than`",
        ),
        allowed: (
            "SQL: other statements in it pass as well",
            "read its tokens: `sql_verb_in`, `sql_table_in`",
        ),
    },
    Form {
        names: &["path", "file", "file_path", "filepath"],
        denied: (
            "a path: dot segments and encodings walk past",
            "resolve it first: `path_within`, `path_not_within`",
        ),
        allowed: (
            "a path: with dot segments in it another folder passes as well",
            "resolve it first: `path_within`",
        ),
    },
    Form {
        names: &[
            "url",
            "uri",
            "link",
            "href",
            "to",
            "cc",
            "bcc",
            "recipient",
            "recipients",
        ],
        denied: (
            "an address: other spellings of the host walk past",
            "read the hosts: `domain_in`, `domain_not_in`, `cidr_in`",
        ),
        allowed: (
            "an address: other hosts with this text in their address pass as well",
            "read the hosts: `domain_in`",
        ),
    },
];

impl Form {
    /// Returns the form of an argument by its usual names.
    fn of(ways: &[Vec<PathStep>]) -> Option<&'static Form> {
        // The words of a search are in `query` as well, so that among other names it is no evidence.
        let several = ways.len() > 1;
        let last = ways.iter().filter_map(|way| way.last());
        FORMS.iter().find(|form| {
            last.clone().any(|step| {
                matches!(step, PathStep::Key(key) | PathStep::Anywhere(key)
                    if form.names.contains(&&**key) && !(several && **key == *"query"))
            })
        })
    }

    /// Returns whether a denied value is one of several spellings of the same.
    fn is_spelled_by(&self, check: &Check, document: &Document) -> bool {
        let has = |text: &str| match self.names.first() {
            Some(&"command") => true,
            Some(&"sql") => text.contains(char::is_whitespace),
            Some(&"path") => text.contains(['/', '\\']) || text.starts_with(['~', '.']),
            _ => text.contains(['.', '@', ':']),
        };
        texts_of(check, document).iter().any(|(text, _)| has(text))
    }

    /// Returns whether a text operator on the allow side takes values that its author did not mean.
    fn is_opened_by(&self, check: &Check, document: &Document) -> bool {
        let literals = texts_of(check, document);
        let all = |is: fn(&str) -> bool| {
            !literals.is_empty() && literals.iter().all(|(text, _)| is(text))
        };
        // The end of a path says what kind of file it is, in whatever folder.
        let is_path = self.names.contains(&"path");
        match check.verb {
            Verb::Contains | Verb::ContainsAny | Verb::ContainsAll | Verb::StartsWith => true,
            Verb::EndsWith => !is_path,
            Verb::Glob => {
                let is_exact = all(|glob| !glob.contains(['*', '?', '[']));
                let is_any_folder = is_path && all(|glob| glob.starts_with('*'));
                !asks_nothing(check) && !is_exact && !is_any_folder
            }
            Verb::Matches => !all(is_exhaustive),
            _ => false,
        }
    }
}

/// Returns whether a pattern describes the whole text, and leaves no part of it open.
fn is_exhaustive(pattern: &str) -> bool {
    let inner = pattern
        .strip_prefix('^')
        .and_then(|inner| inner.strip_suffix('$'));
    inner.is_some_and(|inner| {
        ![".*", ".+", "[^", "\\S", "\\W", "\\D"]
            .iter()
            .any(|open| inner.contains(open))
    })
}

/// Finds text conditions on a command, a query, a path or an address, and lists of commands that are not exhaustive.
pub(super) fn forms(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    // Beside a condition that parses the field, a pattern may refine.
    let mut read_as_such: Vec<&Vec<PathStep>> = Vec::new();
    for view in &subject.rules {
        each_check(view.written, &mut |test, check| {
            let Field::Args(path) = &test.field_ref.field else {
                return;
            };
            if matches!(
                check.verb,
                Verb::CommandIn
                    | Verb::SqlVerbIn
                    | Verb::SqlTableIn
                    | Verb::SqlLimitGreaterThan
                    | Verb::PathWithin
                    | Verb::PathNotWithin
                    | Verb::DomainIn
                    | Verb::DomainNotIn
                    | Verb::CidrIn
            ) {
                read_as_such.extend(&path.ways);
            }
        });
    }
    for view in &subject.rules {
        let rule = view.written;
        if matches!(rule.action, Action::Deny | Action::RequireApproval)
            && let Some(when) = &rule.when
        {
            denied_by_text(when, subject.document, &read_as_such, findings);
        }
        let side = match rule.action {
            Action::Allow => Polarity::Loosening,
            Action::Deny | Action::RequireApproval => Polarity::Restricting,
            Action::Redact | Action::Tag => continue,
        };
        for (condition, side) in [(&rule.when, side), (&rule.unless, side.flipped())] {
            if let Some(condition) = condition {
                allowed_by_text(condition, side, subject.document, &read_as_such, findings);
            }
        }
    }
}

/// Finds conditions by whose text an argument with a syntax of its own is denied.
fn denied_by_text(
    when: &Condition,
    document: &Document,
    read_as_such: &[&Vec<PathStep>],
    findings: &mut Findings,
) {
    let mut tests = Vec::new();
    when.each_positive_test(&mut |test| tests.push(test));
    for test in tests {
        let Field::Args(path) = &test.field_ref.field else {
            continue;
        };
        let form = Form::of(&path.ways);
        let is_read_as_such = path.ways.iter().any(|way| read_as_such.contains(&way));
        for check in &test.checks {
            let reads_text = matches!(
                check.verb,
                Verb::Contains
                    | Verb::ContainsAny
                    | Verb::ContainsAll
                    | Verb::StartsWith
                    | Verb::EndsWith
            ) || (matches!(check.verb, Verb::Glob | Verb::Matches)
                && !is_read_as_such
                && !asks_nothing(check))
                || (matches!(check.verb, Verb::Equals | Verb::In)
                    && !is_read_as_such
                    && form.is_some_and(|form| form.is_spelled_by(check, document)));
            let place = (check.span.clone(), check.path.clone());
            if check.verb == Verb::CommandIn {
                findings.warn(
                    codes::AG1121,
                    place,
                    format!(
                        "`{}` is denied only if it runs nothing but these: one other command beside them walks past",
                        test.field_ref.name
                    ),
                    "name what may run, and deny the rest: `not: { PATH: { command_in: [ls, cat] } }`",
                );
            } else if check.verb == Verb::DomainIn {
                let listed = texts_of(check, document);
                let below = listed.iter().map(|(host, _)| *host).find(|host| {
                    let below = format!("*.{host}");
                    !host.starts_with('*') && !listed.iter().any(|(other, _)| *other == below)
                });
                if let Some(host) = below {
                    findings.warn(
                        codes::AG1121,
                        place,
                        format!(
                            "`{}` is denied at `{host}` itself: hosts below it, such as `www.{host}`, walk past",
                            test.field_ref.name
                        ),
                        format!("list `*.{host}` as well; or name what is meant, and deny the rest: `domain_not_in`"),
                    );
                }
            } else if let Some(form) = form.filter(|_| reads_text) {
                let (what, help) = form.denied;
                findings.warn(
                    codes::AG1121,
                    place,
                    format!("`{}` is {what}", test.field_ref.name),
                    help,
                );
            }
        }
    }
}

/// Finds conditions by whose text an argument with a syntax of its own is allowed, or excepted from a denial.
fn allowed_by_text(
    condition: &Condition,
    side: Polarity,
    document: &Document,
    read_as_such: &[&Vec<PathStep>],
    findings: &mut Findings,
) {
    condition.each_leaf(side, &mut |leaf, side| {
        let (Leaf::Test(test), Polarity::Loosening) = (leaf, side) else {
            return;
        };
        let Field::Args(path) = &test.field_ref.field else {
            return;
        };
        let Some(form) = Form::of(&path.ways) else {
            return;
        };
        if path.ways.iter().any(|way| read_as_such.contains(&way)) {
            return;
        }
        for check in test
            .checks
            .iter()
            .filter(|check| form.is_opened_by(check, document))
        {
            let (what, help) = form.allowed;
            findings.warn(
                codes::AG1121,
                (check.span.clone(), check.path.clone()),
                format!("`{}` is {what}", test.field_ref.name),
                help,
            );
        }
    });
}

/// Returns whether a check is a glob that matches everything.
fn asks_nothing(check: &Check) -> bool {
    let texts = texts(check);
    check.verb == Verb::Glob
        && texts
            .iter()
            .any(|(text, _)| text.bytes().all(|b| b == b'*'))
}

/// Finds lists that no rule and no detector names.
pub(super) fn unused_lists(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for rule in &subject.document.rules {
        for condition in rule.when.iter().chain(&rule.unless) {
            condition.each_operand(&mut |operand| names(operand, &mut used));
        }
    }
    if let Some(detectors) = &subject.document.detectors {
        named_by(detectors, &mut used);
    }
    let Some(lists) = super::top(subject.root, "lists") else {
        return;
    };
    for member in lists.members() {
        let known = matches!(
            subject.document.lists.get(&member.key),
            Some(List::Plain(_) | List::Keyed(_))
        );
        if known && !used.contains(&*member.key) {
            findings.add(
                Severity::Warning,
                codes::AG1119,
                (member.key_span.clone(), format!("lists.{}", member.key)),
                format!("nothing uses the list `{}`", member.key),
                "use it (`{ list: NAME }`), or remove it",
            );
        }
    }
}

/// Collects the lists that definitions of detectors name, each as `{ list: NAME }`.
fn named_by<'n>(definition: &'n Node, used: &mut BTreeSet<&'n str>) {
    used.extend(definition.get("list").and_then(Node::text));
    for member in definition.members() {
        named_by(&member.value, used);
    }
    if let NodeValue::List(items) = &definition.data {
        for item in items {
            named_by(item, used);
        }
    }
}

fn names<'o>(operand: &'o Operand, used: &mut BTreeSet<&'o str>) {
    match operand {
        Operand::List(name, _) | Operand::KeyedList(name, ..) => {
            used.insert(name);
        }
        Operand::Windows { windows, .. } => names(windows, used),
        Operand::Overlap { with, .. } => names(with, used),
        Operand::Commands { commands, .. } => names(commands, used),
        // A schedule may be named by a bare word.
        Operand::Value(node) => used.extend(node.text()),
        Operand::Earlier(earlier) => {
            if let Some(condition) = &earlier.condition {
                condition.each_operand(&mut |operand| names(operand, used));
            }
        }
        Operand::Field(_) => {}
    }
    if let Operand::Windows { windows, .. } = operand
        && let Operand::Value(Node { data, .. }) = &**windows
        && let NodeValue::List(items) = data
    {
        used.extend(items.iter().filter_map(Node::text));
    }
}

/// Finds conditions on earlier events for traffic without a conversation.
pub(super) fn no_history(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let mut asks = false;
        view.meaning
            .formula
            .each(&mut |literal| asks |= matches!(literal.ask, TestOperand::Earlier { .. }));
        let is_elsewhere = view
            .written
            .matches
            .iter()
            .any(|item| match item.field_ref.field {
                Field::Server => true,
                Field::Protocol => item
                    .values
                    .iter()
                    .any(|value| matches!(&**value, "mcp" | "a2a")),
                _ => false,
            });
        if asks && is_elsewhere {
            findings.warn(
                codes::AG1120,
                view.place("when"),
                format!(
                    "rule `{}` asks for earlier events where the request has no conversation",
                    view.written.id
                ),
                "evaluate the conversation in the request to the model; here the strict side always applies",
            );
        }
    }
}

/// Finds agents that affect decisions, and that only a header names.
pub(super) fn claimed_agents(policy: &Policy, root: &Node, findings: &mut Findings) {
    let is_agent = |field_ref: &FieldRef| matches!(&*field_ref.name, "agent" | "principal.agent");
    let asks = |part: &Document| {
        let mut asks = part.audience.iter().any(|item| is_agent(&item.field_ref));
        for rule in &part.rules {
            rule.each_field(&mut |field_ref, _| asks |= is_agent(field_ref));
        }
        asks
    };
    if !policy.document.deciding().iter().any(asks) {
        return;
    }
    for (number, source) in policy.document.claimed_agents() {
        let span = top(root, "principals")
            .and_then(|list| list.items().get(number))
            .map_or(0..0, |node| node.span.clone());
        findings.warn(
            codes::AG1132,
            (span, format!("principals[{number}]")),
            format!(
                "source `{}` knows an agent by a header only, and something is decided by the agent",
                source.name
            ),
            "let a key, a token's claim or a certificate name the agent",
        );
    }
}
