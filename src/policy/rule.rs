//! Rules as written.

use super::approval::{self, Approval};
use super::audit_settings::read_content_form;
use super::decode::{Decoder, PolicyPath};
use super::field::{Field, Kinds};
use super::field_ref::{self, FieldRef};
use super::grammar::{MatchKey, RedactKey, RuleAuditKey, RuleKey};
use super::limit::{self, Limit};
use super::match_item::{MatchItem, read_match_item};
use super::mode::Mode;
use super::node::{Node, NodeValue};
use super::words::{Action, ContentForm, OnDeny};
use crate::diag::{Severity, codes};
use crate::event::{Kind, Replacement, Words};
use crate::policy::condition::{self, Condition, Operand};
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;
use std::rc::Rc;

/// Maximum rules of a document.
pub(crate) const MAX_RULES: usize = 20_000;

/// Rule as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) id: Box<str>,
    pub(crate) span: Range<usize>,
    pub(crate) index: usize,
    pub(crate) mode: Option<Mode>,
    pub(crate) kinds: Kinds,
    pub(crate) matches: Vec<MatchItem>,
    pub(crate) when: Option<Condition>,
    pub(crate) unless: Option<Condition>,
    pub(crate) if_missing: Option<IfMissing>,
    pub(crate) action: Action,
    pub(crate) reason: Option<Box<str>>,
    pub(crate) remedy: Option<Box<str>>,
    pub(crate) tags: Vec<Box<str>>,
    pub(crate) on_deny: Option<OnDeny>,
    /// Shared by all rules without the key `redact`.
    pub(crate) redact: Rc<Redact>,
    pub(crate) approval: Option<Box<Approval>>,
    pub(crate) limit: Option<Box<Limit>>,
    /// Content of audit events of exchanges that the rule matches.
    pub(crate) content: Option<ContentForm>,
}

impl Rule {
    /// Calls `visit` with every field that the rule names, and with the kind of the earlier event for a field of one.
    pub(crate) fn each_field<'r>(&'r self, visit: &mut dyn FnMut(&'r FieldRef, Option<Kind>)) {
        for item in &self.matches {
            visit(&item.field_ref, None);
        }
        for condition in self.when.iter().chain(&self.unless) {
            condition.each_field(None, visit);
        }
        let bound = self
            .approval
            .iter()
            .flat_map(|approval| approval.bind.iter().chain(&approval.show));
        let limited = self.limit.iter().flat_map(|limit| limit.fields());
        for field_ref in bound.chain(limited).chain(&self.redact.what) {
            visit(field_ref, None);
        }
    }

    /// Returns whether the rule depends on the caller.
    pub(crate) fn asks_identity(&self) -> bool {
        let mut asks = false;
        self.each_field(&mut |field_ref, _| asks |= field_ref.field.is_identity());
        asks
    }
}

/// How a deny-side rule treats a missing value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// As if the condition matched.
    Apply,
    /// As if the condition did not match.
    Skip,
}

/// Key `redact`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Redact {
    pub(crate) form: Replacement,
    pub(crate) label: Option<Box<str>>,
    pub(crate) numbered: bool,
    pub(crate) what: Option<FieldRef>,
    /// Tools in whose arguments pseudonyms are restored.
    pub(crate) restore: Rc<[Box<str>]>,
    /// Whether a request is denied if a pseudonym can't be made, instead of writing a label.
    pub(crate) requires_pseudonym: bool,
    /// Whether the provider is told not to store the conversation.
    pub(crate) unstores: bool,
}

/// Reads the key `rules`.
pub(crate) fn read_all(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Vec<Rule> {
    let NodeValue::List(items) = &node.data else {
        decoder.wrong_type(at, node, "a list of rules");
        return Vec::new();
    };
    if items.len() > MAX_RULES {
        decoder.error(
            codes::AG1019,
            at,
            &node.span,
            &format!("{} rules, at most {MAX_RULES} are allowed", items.len()),
            "",
        );
        return Vec::new();
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(items.len());
    let mut ids: SortedMap<&str, usize> = SortedMap::new();
    let redact = Rc::new(Redact {
        form: Replacement::Label,
        label: None,
        numbered: false,
        what: None,
        restore: Rc::from([]),
        requires_pseudonym: false,
        unstores: false,
    });
    for (number, item) in items.iter().enumerate() {
        let at = at.index(number);
        if let Some(id) = item.get("id")
            && let Some(name) = id.text()
            && let Some(first) = ids.insert(name, number)
        {
            decoder.error(
                codes::AG1008,
                &at.key("id"),
                &id.span,
                &format!("rule `{name}` is defined twice"),
                &format!("the first is rules[{first}]; records name a rule by its id, so it must be unique"),
            );
        }
        rules.extend(rule(decoder, &at, number, item, &redact));
    }
    rules
}

fn rule(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    index: usize,
    node: &Node,
    redact: &Rc<Redact>,
) -> Option<Rule> {
    let errors_before = decoder.diagnostics.len();
    let members = decoder.keys(at, node)?;
    let mut rule = Rule {
        id: "".into(),
        span: node.span.clone(),
        index,
        mode: None,
        kinds: Kinds::EMPTY,
        matches: Vec::new(),
        when: None,
        unless: None,
        if_missing: None,
        action: Action::Deny,
        reason: None,
        remedy: None,
        tags: Vec::new(),
        on_deny: None,
        redact: Rc::clone(redact),
        approval: None,
        limit: None,
        content: None,
    };
    let mut events: Option<Kinds> = None;
    for (key, member) in members {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            RuleKey::Id => {
                if let Some(id) = decoder.text(&at, value) {
                    if id.is_empty() {
                        decoder.error(codes::AG1006, &at, &value.span, "the id is empty", "");
                    }
                    rule.id = id;
                }
            }
            RuleKey::Mode => rule.mode = decoder.one_of(&at, value),
            RuleKey::Match => events = read_match(decoder, &at, value, &mut rule.matches),
            RuleKey::When => rule.when = condition::read(decoder, &at, value),
            RuleKey::Unless => rule.unless = condition::read(decoder, &at, value),
            RuleKey::IfMissing => {
                let words = [("apply", IfMissing::Apply), ("skip", IfMissing::Skip)];
                rule.if_missing = decoder.word(&at, value, &words);
            }
            RuleKey::Action => {
                if let Some(action) = decoder.one_of(&at, value) {
                    rule.action = action;
                }
            }
            RuleKey::Reason => rule.reason = decoder.text(&at, value),
            RuleKey::Remedy => rule.remedy = decoder.text(&at, value),
            RuleKey::Description => {
                decoder.text(&at, value);
            }
            RuleKey::Tags => rule.tags = decoder.texts(&at, value).unwrap_or_default(),
            RuleKey::OnDeny => {
                rule.on_deny = decoder.one_of(&at, value);
            }
            RuleKey::Redact => read_redact(decoder, &at, value, Rc::make_mut(&mut rule.redact)),
            RuleKey::Approval => rule.approval = approval::read(decoder, &at, value).map(Box::new),
            RuleKey::Limit => rule.limit = limit::read(decoder, &at, value).map(Box::new),
            RuleKey::Audit => {
                let members = decoder.keys::<RuleAuditKey>(&at, value);
                for (RuleAuditKey::Content, member) in members.into_iter().flatten() {
                    rule.content = read_content_form(decoder, &at.key(&member.key), &member.value);
                }
                decoder.has_required::<RuleAuditKey>(&at, value, &value.span);
            }
            RuleKey::Trust => {
                decoder.word(&at, value, &[("claimed", ())]);
            }
            RuleKey::Overridable => {
                decoder.boolean(&at, value);
            }
            // The command line runs examples, `build` drops them, and the filter does not use them.
            RuleKey::Examples => {}
        }
    }
    decoder.has_required::<RuleKey>(at, node, &(node.span.start..node.span.start));
    if decoder
        .diagnostics
        .iter()
        .skip(errors_before)
        .any(|diagnostic| diagnostic.severity == Severity::Error)
    {
        return None;
    }
    rule.kinds = kinds(decoder, at, &rule, events)?;
    check_action(decoder, at, node, &rule);
    Some(rule)
}

fn read_match(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    items: &mut Vec<MatchItem>,
) -> Option<Kinds> {
    let mut events = None;
    for (key, member) in decoder.keys::<MatchKey>(at, node)? {
        if key != MatchKey::Event {
            items.push(read_match_item(decoder, at, member)?);
            continue;
        }
        let at = at.key("event");
        let mut kinds = Kinds::EMPTY;
        for word in decoder.names(&at, &member.value)? {
            match Kind::from_word(&word) {
                Some(kind) => kinds = kinds.with(kind),
                None => {
                    let span = &member.value.span;
                    decoder.unknown(codes::AG1007, &at, span, "event", &word, Kind::WORDS);
                    return None;
                }
            }
        }
        events = Some(kinds);
    }
    events
}

fn read_redact(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node, redact: &mut Redact) {
    for (key, member) in decoder.keys(at, node).into_iter().flatten() {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            RedactKey::With => {
                if let Some(form) = decoder.one_of(&at, value) {
                    redact.form = form;
                }
            }
            RedactKey::Label => match decoder.text(&at, value) {
                Some(label) if &*label == "numbered" => redact.numbered = true,
                label => redact.label = label,
            },
            RedactKey::What => {
                if let Some(path) = decoder.text(&at, value) {
                    redact.what = field_ref::read_field_ref(decoder, &at, &path, &value.span);
                }
            }
            RedactKey::Require => {
                let form = decoder.word(&at, value, &[("pseudonym", ())]);
                redact.requires_pseudonym = form.is_some();
            }
            RedactKey::Store => match value.data {
                NodeValue::Bool(false) => redact.unstores = true,
                _ => decoder.wrong_type(&at, value, "`false`"),
            },
            RedactKey::Restore => {
                if let Some(tools) = decoder.texts(&at, value) {
                    redact.restore = tools.into();
                }
            }
        }
    }
    if redact.form != Replacement::Pseudonym {
        for name in ["require", "store"] {
            if let Some(value) = node.get(name) {
                decoder.error(
                    codes::AG1015,
                    &at.key(name),
                    &value.span,
                    &format!("`{name}` is about pseudonyms"),
                    "write `with: pseudonym`, or remove it",
                );
            }
        }
    }
}

/// Returns the kinds of events that a rule applies to: those in `match`, or those that its fields imply.
fn kinds(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    rule: &Rule,
    events: Option<Kinds>,
) -> Option<Kinds> {
    let mut fields: Vec<&FieldRef> = Vec::new();
    let mut earlier: Vec<(&FieldRef, Kind)> = Vec::new();
    rule.each_field(&mut |field_ref, of| match of {
        None => fields.push(field_ref),
        Some(kind) => earlier.push((field_ref, kind)),
    });
    let kinds = match events {
        Some(kinds) => kinds,
        None => {
            // In this order: only a definition implies a tool offer, only a result implies a tool result. A tool's name
            // alone implies a call.
            let order = [
                Kind::ToolOffer,
                Kind::ToolResult,
                Kind::ToolCall,
                Kind::Response,
                Kind::Uninspectable,
            ];
            let told = order.into_iter().find(|kind| {
                fields
                    .iter()
                    .any(|field_ref| field_ref.field.only_kind() == Some(*kind))
            });
            match told.or(rule.limit.as_deref().and_then(Limit::kind)) {
                Some(kind) => Kinds::of(&[kind]),
                None => {
                    let unclear = fields.iter().find(|field_ref| {
                        matches!(
                            field_ref.field,
                            Field::From
                                | Field::Part
                                | Field::Text
                                | Field::Turn
                                | Field::ProviderRun
                        )
                    });
                    if let Some(FieldRef { field, name, span }) = unclear {
                        let events: Vec<String> = field
                            .kinds()
                            .iter()
                            .map(|kind| format!("`{}`", kind.word()))
                            .collect();
                        decoder.error(
                            codes::AG1014,
                            at,
                            span,
                            &format!("`{name}` is a member of several kinds of events"),
                            &format!(
                                "say which: `match: {{ event: … }}` with {}",
                                events.join(", ")
                            ),
                        );
                        return None;
                    }
                    Kinds::of(&[Kind::Request])
                }
            }
        }
    };
    let mut sound = true;
    let of_earlier = earlier
        .into_iter()
        .map(|(field_ref, kind)| (field_ref, Kinds::of(&[kind])));
    for (field_ref, kinds) in fields
        .into_iter()
        .map(|field_ref| (field_ref, kinds))
        .chain(of_earlier)
    {
        let FieldRef { field, name, span } = field_ref;
        if let Some(kind) = kinds.iter().find(|kind| !field.kinds().contains(*kind)) {
            let others: Vec<String> = field
                .kinds()
                .iter()
                .map(|kind| format!("`{}`", kind.word()))
                .collect();
            decoder.error(
                codes::AG1009,
                at,
                span,
                &format!("`{name}` is not a field of the event `{}`", kind.word()),
                &format!("it belongs to {}", others.join(", ")),
            );
            sound = false;
        }
    }
    sound.then_some(kinds)
}

/// Reports keys and actions that don't fit the rule's events.
fn check_action(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node, rule: &Rule) {
    let content = Kinds::of(&[Kind::Message, Kind::ToolResult, Kind::Response]);
    let calls = Kinds::of(&[Kind::ToolCall]);
    let place = |key: &str| {
        node.get(key)
            .map(|value| value.span.clone())
            .unwrap_or(node.span.clone())
    };
    if rule.action == Action::Allow && rule.kinds.meets(content) {
        decoder.error(
            codes::AG1015,
            &at.key("action"),
            &place("action"),
            "`allow` means nothing for content: it passes unless a rule denies it",
            "put the condition under `unless` of the rule that denies",
        );
    }
    if rule.action == Action::RequireApproval
        && !rule.kinds.meets(calls)
        && !rule.kinds.contains(Kind::Request)
    {
        decoder.error(
            codes::AG1015,
            &at.key("action"),
            &place("action"),
            "only a request or a tool call can wait for an approval",
            "",
        );
    }
    if rule.action == Action::Redact {
        let texts = Kinds::of(&[
            Kind::Message,
            Kind::ToolResult,
            Kind::Response,
            Kind::ToolCall,
        ]);
        if rule.kinds.iter().any(|kind| !texts.contains(kind)) {
            decoder.error(
                codes::AG1015,
                &at.key("action"),
                &place("action"),
                "only texts can be redacted: `message`, `tool_result`, `response`, `tool_call`",
                "",
            );
        } else if rule.redact.what.is_none() && finds_unplaced(rule) {
            decoder.error(
                codes::AG1015,
                at,
                &place("redact"),
                "the position of this text is not kept: it is compared with another field, or found in an item of a list",
                "write `redact: { what: PATH }`",
            );
        } else if rule.redact.what.is_none() && (rule.kinds.meets(calls) || !looks_for_text(rule)) {
            decoder.error(
                codes::AG1015,
                at,
                &place("redact"),
                if rule.kinds.meets(calls) {
                    "a redaction of a tool call names what it changes"
                } else {
                    "what to redact is missing"
                },
                if rule.kinds.meets(calls) {
                    "write `redact: { what: args.PATH }`: a changed argument changes what the tool does"
                } else {
                    "write a `detects`, `contains` or `matches` condition, or `redact: { what: PATH }`"
                },
            );
        }
    }
    let restricts = matches!(rule.action, Action::Deny | Action::RequireApproval);
    for (key, fits, help) in [
        (
            "redact",
            rule.action == Action::Redact,
            "it belongs to `action: redact`",
        ),
        (
            "approval",
            rule.action == Action::RequireApproval,
            "it belongs to `action: require_approval`",
        ),
        (
            "on_deny",
            restricts,
            "it belongs to `action: deny` and `action: require_approval`",
        ),
        (
            "limit",
            restricts || rule.action == Action::Tag,
            "a limit denies, requires an approval or tags",
        ),
    ] {
        if !fits && node.get(key).is_some() {
            let message = format!("`{key}` means nothing under `{}`", rule.action.word());
            decoder.error(codes::AG1015, &at.key(key), &place(key), &message, help);
        }
    }
    if rule.action == Action::Tag && rule.tags.is_empty() {
        decoder.error(
            codes::AG1006,
            at,
            &place("action"),
            "`tags` is missing",
            "say which marks are set: `tags: [finance]`",
        );
    }
    if rule.on_deny == Some(OnDeny::Hide) && rule.kinds != Kinds::of(&[Kind::ToolOffer]) {
        decoder.error(
            codes::AG1015,
            &at.key("on_deny"),
            &place("on_deny"),
            "only offers of tools can be hidden",
            "write `match: { event: tool_offer, … }`",
        );
    }
}

/// Returns whether the rule finds texts whose places a redaction would not know.
fn finds_unplaced(rule: &Rule) -> bool {
    let mut finds = false;
    if let Some(when) = &rule.when {
        when.each_test(&mut |test| {
            finds |= test.checks.iter().any(|check| {
                let is_given = matches!(check.operand, Operand::Field(_) | Operand::Overlap { .. });
                is_given && check.verb.looks_for_text()
            });
        });
        when.each_item_test(&mut |test| {
            finds |= test.checks.iter().any(|check| check.verb.looks_for_text());
        });
    }
    finds
}

/// Returns whether a redaction of the rule has something to replace: what a test under `not` looks for is not there.
fn looks_for_text(rule: &Rule) -> bool {
    let mut looks = false;
    if let Some(when) = &rule.when {
        when.each_positive_test(&mut |test| {
            looks |= test.checks.iter().any(|check| check.verb.looks_for_text())
        });
    }
    looks
}
