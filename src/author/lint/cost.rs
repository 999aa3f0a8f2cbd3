//! Costs of a policy for its users, and functions that it does not provide.

use super::breadth::{each_check, texts};
use super::{Findings, LintedPolicy, PORTABLE, top};
use crate::author::provided::written_documents;
use crate::detect::custom::DEFAULT_REACH;
use crate::detect::pattern::Pattern;
use crate::diag::{Severity, codes};
use crate::event::Kind;
use crate::policy::Policy;
use crate::policy::compiled::DecisionPoint;
use crate::policy::field::Field;
use crate::policy::mode::Mode;
use crate::policy::node::Node;
use crate::policy::operators::Verb;
use crate::policy::words::HeaderMode;
use crate::policy::words::{Action, OnDeny};
use std::ops::Range;

/// Maximum documents that a finding names.
const MAX_NAMED: usize = 5;

/// Finds patterns over responses whose matches have no maximum length.
pub(super) fn unbounded(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        if !view.written.kinds.contains(Kind::Response) || !view.compiled.enforced {
            continue;
        }
        each_check(view.written, &mut |test, check| {
            if check.verb != Verb::Matches || test.field_ref.field != Field::Text {
                return;
            }
            for (text, node) in texts(check) {
                let unbounded = Pattern::new(text)
                    .is_ok_and(|pattern| pattern.reach().is_none() && !pattern.matches_empty());
                if unbounded {
                    findings.warn(
                        codes::AG1108,
                        (node.span.clone(), check.path.clone()),
                        format!("a match of `{text}` may grow without end, and holds a streamed answer back while it does"),
                        "bound its repetitions: `.{0,200}` instead of `.*`, `{1,64}` instead of `+`",
                    );
                }
            }
        });
    }
}

/// Finds detectors of responses whose patterns have no maximum length, and that don't set how long a stream is held
/// for them.
pub(super) fn endless_detectors(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let mut looks = false;
    for view in &subject.rules {
        if view.written.kinds.contains(Kind::Response) {
            each_check(view.written, &mut |_, check| {
                looks |= check.verb == Verb::Detects
            });
        }
    }
    let detectors = top(subject.root, "detectors").filter(|_| looks);
    for member in detectors.map(Node::members).unwrap_or_default() {
        let detector = &member.value;
        let (Some(written), None) = (detector.get("pattern"), detector.get("reach")) else {
            continue;
        };
        let one = std::slice::from_ref(written);
        let patterns = if written.items().is_empty() {
            one
        } else {
            written.items()
        };
        for node in patterns {
            let Some(text) = node.text() else { continue };
            let unbounded = Pattern::new(text).is_ok_and(|pattern| pattern.reach().is_none());
            if unbounded {
                findings.warn(
                    codes::AG1108,
                    (node.span.clone(), format!("detectors.{}.pattern", member.key)),
                    format!(
                        "a match of `{text}` may grow without end; in a stream one of more than {DEFAULT_REACH} characters is a finding to the end of its text"
                    ),
                    "bound its repetitions (`{1,64}` instead of `+`), or say how long a stream waits: `reach: 200`",
                );
            }
        }
    }
}

/// Documents that are only observed by one `mode`.
struct ObservedDocuments<'p> {
    /// Place of the `mode`.
    place: (Range<usize>, String),
    /// Whether it also applies to rules with a mode of their own.
    everything: bool,
    /// Names of the documents.
    names: Vec<&'p str>,
}

/// Finds documents whose decisions are only recorded. In a set, the set's `mode` is that of every document without one.
pub(super) fn observed_documents(policy: &Policy, root: &Node, findings: &mut Findings) {
    let set_mode = top(root, "mode");
    let is_set = !policy.document.members.is_empty();
    let mut observed: Vec<ObservedDocuments<'_>> = Vec::new();
    let documents = written_documents(policy, root);
    let of_all = documents.len();
    for (document, node, path) in documents {
        // `mode: { all: observe }` of a set applies to documents with a mode of their own as well.
        let own = top(node, "mode").filter(|_| !policy.document.observe_all);
        let everything = policy.document.observe_all || document.observe_all;
        if document.mode != Mode::Observe && !everything {
            continue;
        }
        let place = match (own, set_mode) {
            (Some(own), _) => (own.span.clone(), format!("{path}mode")),
            (None, Some(mode)) => (mode.span.clone(), "mode".to_owned()),
            (None, None) => (node.span.clone(), path),
        };
        match observed.iter_mut().find(|known| known.place == place) {
            Some(known) => known.names.push(&document.name),
            None => observed.push(ObservedDocuments {
                place,
                everything,
                names: vec![&document.name],
            }),
        }
    }
    for ObservedDocuments {
        place,
        everything,
        names,
    } in observed
    {
        let message = match (is_set, names.as_slice()) {
            (true, names) if names.len() < of_all => {
                let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                let (word, verb) = match names {
                    [_] => ("document", "is"),
                    _ => ("documents", "are"),
                };
                let (few, more) = quoted.split_at_checked(MAX_NAMED).unwrap_or((&quoted, &[]));
                let more = match more.len() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let whatever = match everything {
                    true => ", whatever its rules say",
                    false => "",
                };
                format!(
                    "{word} {}{more} {verb} only observed{whatever}",
                    few.join(", ")
                )
            }
            _ if everything => {
                "nothing in this policy is enforced, whatever its rules say".to_owned()
            }
            _ => "this policy is only observed".to_owned(),
        };
        findings.warn(
            codes::AG1115,
            place,
            message,
            "write `mode: enforce` once its records are as expected",
        );
    }
}

/// Finds rules that are only recorded in a document that is enforced.
pub(super) fn observed(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    if subject.document.mode != Mode::Enforce || subject.policy.document.observe_all {
        return;
    }
    for view in &subject.rules {
        if view.written.mode == Some(Mode::Observe) {
            findings.add(
                Severity::Note,
                codes::AG1115,
                view.place("mode"),
                format!("rule `{}` is only observed", view.written.id),
                "",
            );
        }
    }
}

/// Finds rules that hold a stream until its end.
pub(super) fn held_streams(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let restricts = matches!(
            view.written.action,
            Action::Deny | Action::RequireApproval | Action::Redact
        );
        if !restricts
            || !view.compiled.enforced
            || !view.written.kinds.contains(Kind::Response)
            || view.compiled.pace < DecisionPoint::Text
        {
            continue;
        }
        let until = if view.compiled.pace == DecisionPoint::Answer {
            "the whole answer has ended"
        } else {
            "each of its texts has ended"
        };
        findings.add(
            Severity::Note,
            codes::AG1117,
            view.place("when"),
            format!(
                "rule `{}` holds streamed answers until {until}",
                view.written.id
            ),
            "one `detects`, `contains` or `matches` alone is evaluated while the text streams",
        );
    }
}

/// Finds what is impossible after headers were forwarded.
pub(super) fn portable(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    if subject.document.headers == HeaderMode::Hold {
        return;
    }
    for view in &subject.rules {
        let answers = [Kind::Response, Kind::ToolCall, Kind::ToolResult];
        let is_of_answers = answers
            .iter()
            .any(|kind| view.written.kinds.contains(*kind));
        if view.written.on_deny == Some(OnDeny::Error) && is_of_answers {
            let place = view.place("on_deny");
            let span = place.0.clone();
            let report = findings.warn(
                PORTABLE,
                place,
                "in portable mode the answer's headers have left: `error` acts as `replace`".to_owned(),
                "write `on_deny: replace`, or `envoy: { headers: hold }` with `allow_on_headers_stop_iteration: true`",
            );
            if let Some(diagnostic) = report {
                diagnostic.fix = super::fix(&span, "replace");
            }
        }
    }
}
