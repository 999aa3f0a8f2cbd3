//! The meaning of a policy: which rules hold for an event, and what wins.
//!
//! Every rule is evaluated against every event of its kind, alone and without order. Then: a deny that holds denies; else
//! an approval that is required; else an allow; else, at a gate, the default. Redactions and tags never decide.

use super::compile::{
    CompiledCheck, CompiledCondition, CompiledDocument, CompiledRule, CompiledTest, HistoryQuery,
    Operator, OverlapTarget, Policy,
};
use super::condition::Quantifier;
use super::cross_text::{self, CrossTextMatch};
use super::decision_point::EvaluationPhase;
use super::document::{Default, DefaultAction};
use super::embedded_data;
use super::field::{Field, FieldType};
use super::glob::GlobReading;
use super::operand;
use super::operators::{
    Commands, Overlap, Polarity, TestResult, address_count, character_count, seen,
};
use super::rule::{Action, IfMissing};
use super::scan::{MatchKinds, ScanScratch, Scans, TextScan};
use super::value::{
    Arrays, JoinedNames, PathReading as Values, Presence, Scalar, TextRelation, TextValue,
    json_values, text_parts, tool_names, visit,
};
use crate::detect::{Confidence, DETECTORS, Finding, fold_name};
use crate::diag::codes;
use crate::event::{
    BroadNarrow, Class, DefaultGate, Direction, Event, Facts, Form, History, Kind, NodeName, Part,
    Position, Reading, Redaction, Replacement, Text, Turn,
};
use crate::wire::json::{self, JsonBody, NodeId, Value};
use crate::wire::letter_case;
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::index;
use crate::wire::work;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Range;
use std::rc::Rc;

/// What an event is evaluated against: its exchange, its body, and the scans of the body's texts, kept between rules.
pub struct Context<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The exchange.
    pub facts: &'a Facts,
    /// What was read in the body.
    pub reading: &'a Reading,
    /// The body.
    pub json: &'a JsonBody<'a>,
    /// Scans made so far.
    pub scans: &'a RefCell<Scans>,
    /// Memory of the scanners.
    pub scratch: &'a RefCell<ScanScratch>,
}

/// A decision, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// It passes.
    Allow,
    /// Someone has to agree first.
    RequireApproval,
    /// It is refused.
    Deny,
}

/// What was decided, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The decision.
    pub decision: Decision,
    /// The rule that decided; of several the first by id.
    pub rule: Option<u16>,
    /// Stable code of a refusal.
    pub code: Option<&'static str>,
}

impl Ruling {
    const ALLOW: Ruling = Ruling {
        decision: Decision::Allow,
        rule: None,
        code: None,
    };

    /// The stricter of two decisions; of equal ones the one that a rule took, and else the first.
    fn or_stricter(self, other: Ruling) -> Ruling {
        let is_told = self.rule.is_some() || other.rule.is_none();
        match self.decision.cmp(&other.decision) {
            Ordering::Less => other,
            Ordering::Equal if !is_told => other,
            _ => self,
        }
    }
}

/// A rule that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchedRule {
    /// Its number.
    pub rule: u16,
    /// Whether it is enforced or only recorded.
    pub enforced: bool,
}

/// The evaluation of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What happens.
    pub ruling: Ruling,
    /// What would happen if everything that is only observed were enforced.
    pub would: Ruling,
    /// All rules that hold, by id.
    pub held: Vec<MatchedRule>,
    /// What the policy that is only tried out would decide.
    pub shadow: Option<Shadow>,
}

/// The evaluation of a policy that is only tried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// What would happen if it were in force.
    pub ruling: Ruling,
    /// All its rules that hold, by id.
    pub held: Vec<MatchedRule>,
}

/// Steps of asking an operator, besides what it reads.
const ASKED: usize = 30;

/// Shorter identifiers hold neither an unmistakable secret nor the number of a card.
const SHORTEST_NAME: usize = 13;

impl<'a> Context<'a> {
    pub(crate) fn value(&self, place: NodeId) -> Option<Value<'a>> {
        self.json.value(place)
    }

    pub(crate) fn text(&self, number: u32) -> Option<TextValue<'a>> {
        let text = self.text_info(number)?;
        let value = self.json.value(text.place)?;
        Some(TextValue::in_body(value, Some(number), text.form))
    }

    pub(crate) fn string(&self, value: Value<'a>) -> TextValue<'a> {
        TextValue::in_body(value, None, Form::String)
    }

    fn text_info(&self, number: u32) -> Option<&'a Text> {
        self.reading.texts.get(index(number))
    }

    /// Whether an unmistakable secret stands in an identifier; or in a name, the number of a card or an account.
    pub fn is_unmistakable(&self, direction: Direction, identifier: &Text) -> bool {
        let value = self.json.value(identifier.place);
        let Some(value) = value.filter(|value| value.raw_content().len() >= SHORTEST_NAME) else {
            return false;
        };
        // Not kept: what else looks like something in an identifier is not told.
        self.with_scan(
            direction,
            &self.string(value),
            MatchKinds::DETECTORS,
            |scan| {
                let mut findings = scan.findings.iter();
                findings.any(|finding| {
                    self.is_secret(finding)
                        || (identifier.class == Class::Name && self.has_check_digit(finding))
                })
            },
        )
    }

    fn has_check_digit(&self, finding: &Finding) -> bool {
        let name = self.policy.matcher.detectors.name(finding.detector);
        finding.confidence >= Confidence::Medium && matches!(name, Some("credit_card" | "iban"))
    }

    fn is_secret(&self, finding: &Finding) -> bool {
        finding.confidence == Confidence::High
            && self.policy.matcher.detectors.is_secret(finding.detector)
    }

    /// What a detector may find in a text of this class: in identifiers and opaque strings only unmistakable secrets.
    fn counts(&self, text: &TextValue<'_>, finding: &Finding) -> bool {
        let class = text
            .number
            .and_then(|number| self.text_info(number))
            .map_or(Class::Text, |text| text.class);
        if !matches!(class, Class::Id | Class::Opaque) {
            return true;
        }
        self.is_secret(finding)
    }

    /// The scan of a text for what is asked; kept if the text is one of the body's. Detectors look at each text that
    /// anything is asked of: the record counts what they find.
    fn with_scan<T>(
        &self,
        direction: Direction,
        text: &TextValue<'a>,
        asked: MatchKinds,
        use_scan: impl FnOnce(&TextScan) -> T,
    ) -> T {
        let mut own = TextScan::default();
        let mut scans = self.scans.borrow_mut();
        use_scan(self.scanned(direction, text, asked, &mut scans, &mut own))
    }

    #[inline(never)]
    fn scanned<'s>(
        &self,
        direction: Direction,
        text: &TextValue<'a>,
        asked: MatchKinds,
        scans: &'s mut Scans,
        own: &'s mut TextScan,
    ) -> &'s TextScan {
        let mut wants = self.policy.needs.wants(direction);
        wants.detectors &= !scans.skips_detectors;
        let all = wants;
        let wants = wants.and(MatchKinds {
            detectors: true,
            ..asked
        });
        let info = text.number.and_then(|number| self.text_info(number));
        let name = match (info, text.value) {
            (Some(info), _) => [info.key, info.over],
            // A rule asks about a value of arguments or of a result.
            (None, Some(value)) if wants.detectors => scans.name_of(value),
            _ => [None; 2],
        };
        let slot = text.number.and_then(|number| {
            let place = index(number);
            if scans.list.len() <= place {
                scans.list.resize(place.saturating_add(1), None);
            }
            let slot = scans.list.get_mut(place)?;
            let splits = scans.splits.get_or_insert_with(|| self.splits(all));
            Some(slot.get_or_insert_with(|| {
                let ours = splits.iter().filter(|split| split.text == number);
                TextScan {
                    splits: ours.copied().collect(),
                    ..TextScan::default()
                }
            }))
        });
        let scan = slot.unwrap_or(own);
        let missing = wants.without(scan.looked);
        if missing != MatchKinds::default() {
            let [nearest, over] = name.map(|place| self.json.value(place?));
            let name = NodeName {
                nearest,
                over,
                is_own: false,
            };
            let key = name.words();
            // A text of a response may also come in pieces: then it can't be read as data.
            let is_data = info.is_some_and(|info| {
                info.is_data || direction == Direction::Request && info.is_editable()
            });
            let (key, scratch) = (key.as_deref(), &mut *self.scratch.borrow_mut());
            let matcher = &self.policy.matcher;
            matcher.scan(&text.text(), key, is_data, missing, scratch, scan);
            if missing.detectors
                && text.form == Form::Number
                && let Some(whole) = text.value.and_then(embedded_data::whole)
            {
                matcher.scan(&whole, key, false, MatchKinds::DETECTORS, scratch, scan);
            }
        }
        scan
    }

    /// What goes over several texts of the body.
    fn splits(&self, wants: MatchKinds) -> Vec<CrossTextMatch> {
        if !wants.detectors && !wants.literals {
            return Vec::new();
        }
        let scratch = &mut self.scratch.borrow_mut();
        cross_text::find(
            self.reading,
            self.json,
            &self.policy.matcher,
            wants,
            scratch,
        )
    }

    /// Whether anything of what is asked stands in an event's texts.
    fn has_hit(&self, event: &Event, asked: MatchKinds) -> bool {
        event
            .texts
            .clone()
            .filter_map(|number| self.text(number))
            .any(|text| self.with_scan(event.direction, &text, asked, |scan| !scan.is_blank()))
    }

    /// How often each detector found something in the texts that rules looked at.
    pub fn finding_counts(&self) -> SortedMap<Box<str>, u64> {
        let mut counts: SortedMap<Box<str>, u64> = SortedMap::new();
        let scans = self.scans.borrow();
        let findings = scans.list.iter().flatten().flat_map(|scan| {
            let splits = scan.splits.iter().filter(|split| split.is_first);
            scan.findings
                .iter()
                .chain(splits.map(|split| &split.finding))
        });
        for finding in findings {
            let Some(name) = self.policy.matcher.detectors.name(finding.detector) else {
                continue;
            };
            match counts.get_mut(name) {
                Some(count) => *count = count.saturating_add(1),
                None => {
                    counts.insert(name.into(), 1);
                }
            }
        }
        counts
    }
}

impl Policy {
    /// Evaluates one event by the rules that can be evaluated at this moment. Each document decides alone; the strictest
    /// decision holds.
    pub fn evaluate(
        &self,
        event: &Event,
        context: &Context<'_>,
        moment: EvaluationPhase,
    ) -> Evaluation {
        let mut evaluation = Evaluation {
            ruling: Ruling::ALLOW,
            would: Ruling::ALLOW,
            held: Vec::new(),
            shadow: None,
        };
        let mut hit = None;
        let mut is_for_somebody = false;
        for chapter in &self.chapters {
            let Some(is_certain) = chapter.takes_part(event, context) else {
                continue;
            };
            is_for_somebody |= is_certain && !chapter.is_shadow;
            let mut held = Vec::new();
            let mut is_hit =
                || *hit.get_or_insert_with(|| context.has_hit(event, self.index.asks_texts(event)));
            for number in self.index.candidates(
                event.kind,
                &chapter.rules,
                event,
                context.facts,
                &mut is_hit,
            ) {
                let Some(rule) = self.rule(number).filter(|rule| moment.includes(rule)) else {
                    continue;
                };
                if rule.needs_hit && !is_hit() {
                    continue;
                }
                if self.holds(rule, event, context) {
                    held.push(MatchedRule {
                        rule: number,
                        enforced: rule.enforced,
                    });
                }
            }
            let default = self.default(chapter, event, context);
            let would = self.combine(event, held.iter(), default);
            if chapter.is_shadow {
                evaluation.shadow = Some(Shadow {
                    ruling: would,
                    held,
                });
                continue;
            }
            let enforced_default = default.filter(|default| chapter.enforces(default.mode));
            let enforced = held.iter().filter(|held| held.enforced);
            let ruling = self.combine(event, enforced, enforced_default);
            evaluation.ruling = evaluation.ruling.or_stricter(ruling);
            evaluation.would = evaluation.would.or_stricter(would);
            evaluation.held.append(&mut held);
        }
        // Every document is for somebody, and none is for whoever asks.
        if !is_for_somebody && event.kind == Kind::Request {
            let nobody = Ruling {
                decision: Decision::Deny,
                rule: None,
                code: Some(codes::AG3002),
            };
            evaluation.would = evaluation.would.or_stricter(nobody);
            if self.enforces_defaults() {
                evaluation.ruling = evaluation.ruling.or_stricter(nobody);
            }
        }
        evaluation
    }

    /// The default at an event's gate; content has none.
    fn default(
        &self,
        chapter: &CompiledDocument,
        event: &Event,
        context: &Context<'_>,
    ) -> Option<Default> {
        let defaults = &chapter.defaults;
        match event.kind {
            Kind::Request => match event.gate {
                DefaultGate::Requests => Some(defaults.request),
                DefaultGate::Calls => None,
                DefaultGate::Plumbing | DefaultGate::Origin => (!self
                    .lets_something_through(chapter, event, context))
                .then_some(defaults.request),
            },
            // Earlier calls have been answered long ago; what is evaluated is what can still be stopped.
            Kind::ToolCall if event.turn == Turn::Latest => Some(defaults.tool_call),
            // An offer is hidden if its call could never pass, whatever its arguments are.
            Kind::ToolOffer if defaults.tool_offer.action == DefaultAction::Hide => {
                (!self.lets_call_through(chapter, event, context)).then_some(defaults.tool_offer)
            }
            Kind::ToolOffer => Some(defaults.tool_offer),
            Kind::Uninspectable if event.code.is_none() => Some(defaults.partial),
            Kind::Uninspectable => Some(match event.code {
                Some(code) if is_hard(code) => Default {
                    action: DefaultAction::Deny,
                    mode: defaults.uninspectable.mode,
                },
                _ => defaults.uninspectable,
            }),
            _ => None,
        }
    }

    /// Whether something could be let through where this event comes from: by default, or by an allow that is not about
    /// another place or somebody else.
    fn lets_something_through(
        &self,
        chapter: &CompiledDocument,
        event: &Event,
        context: &Context<'_>,
    ) -> bool {
        let defaults = &chapter.defaults;
        defaults.tool_call.action == DefaultAction::Allow
            || [Kind::Request, Kind::ToolCall].into_iter().any(|kind| {
                let rules = self.index.of_chapter(kind, &chapter.rules).iter().copied();
                self.allows(rules, event, context, |test| {
                    if event.gate == DefaultGate::Origin {
                        !test.fields().all(Field::is_of_origin)
                    } else {
                        !test.is_of_exchange() && test.could_be_at(context.facts)
                    }
                })
            })
    }

    /// Whether a call of the tool that is offered could be let through, with some arguments.
    fn lets_call_through(
        &self,
        chapter: &CompiledDocument,
        event: &Event,
        context: &Context<'_>,
    ) -> bool {
        let rules = || {
            self.index
                .candidates(Kind::ToolCall, &chapter.rules, event, context.facts, || {
                    true
                })
        };
        let denied = rules().any(|number| {
            self.rule(number).is_some_and(|rule| {
                rule.action == Action::Deny
                    && rule.enforced
                    && rule.unless.is_none()
                    && rule.is_only_about(|field| *field == Field::Tool || field.is_of_exchange())
                    && self.holds(rule, event, context)
            })
        });
        let open = |test: &CompiledTest| !test.is_of_exchange() && test.field != Field::Tool;
        !denied
            && (chapter.defaults.tool_call.action == DefaultAction::Allow
                || self.allows(rules(), event, context, open))
    }

    /// Whether an allow (or an approval, which opens a gate as well) could hold, if what is `open` were as it asks.
    fn allows(
        &self,
        mut rules: impl Iterator<Item = u16>,
        event: &Event,
        context: &Context<'_>,
        open: impl Fn(&CompiledTest) -> bool + Copy,
    ) -> bool {
        rules.any(|number| {
            self.rule(number).is_some_and(|rule| {
                let evaluate = ConditionEvaluator {
                    if_missing: rule.if_missing,
                    ..ConditionEvaluator::new(event, context, Polarity::Loosening)
                };
                matches!(rule.action, Action::Allow | Action::RequireApproval)
                    && rule
                        .matches
                        .iter()
                        .all(|test| open(test) || evaluate.test(test, Polarity::Loosening))
                    && rule
                        .when
                        .as_ref()
                        .is_none_or(|when| evaluate.could_hold(when, open))
            })
        })
    }

    fn combine<'h>(
        &self,
        event: &Event,
        held: impl Iterator<Item = &'h MatchedRule> + Clone,
        default: Option<Default>,
    ) -> Ruling {
        let first = |action: Action| {
            held.clone()
                .find(|held| {
                    self.rule(held.rule)
                        .is_some_and(|rule| rule.action == action)
                })
                .map(|held| held.rule)
        };
        // Where arguments never pass here, a rule that asks for them holds whatever they are. One that holds without them
        // says why better.
        let needs_arguments = |rule: u16| {
            event.is_provider_offer() && self.rule(rule).is_some_and(|rule| rule.asks_arguments)
        };
        let denies = || {
            let is_deny = |rule: &CompiledRule| rule.action == Action::Deny;
            let held = held.clone().map(|held| held.rule);
            held.filter(move |rule| self.rule(*rule).is_some_and(is_deny))
        };
        let plain = denies().find(|rule| !needs_arguments(*rule));
        if let Some(rule) = plain.or_else(|| denies().next()) {
            let code = match plain {
                Some(_) => codes::AG3001,
                None => codes::AG2010,
            };
            return Ruling {
                decision: Decision::Deny,
                rule: Some(rule),
                code: Some(event.code.unwrap_or(code)),
            };
        }
        if let Some(rule) = first(Action::RequireApproval) {
            return Ruling {
                decision: Decision::RequireApproval,
                rule: Some(rule),
                code: Some(codes::AG3003),
            };
        }
        if let Some(rule) = first(Action::Allow) {
            return Ruling {
                rule: Some(rule),
                ..Ruling::ALLOW
            };
        }
        match default.map(|default| default.action) {
            None | Some(DefaultAction::Allow) => Ruling::ALLOW,
            Some(DefaultAction::Deny | DefaultAction::Hide) => Ruling {
                decision: Decision::Deny,
                rule: None,
                code: Some(event.code.unwrap_or(codes::AG3002)),
            },
        }
    }

    /// Whether a rule holds for an event: `match` and `when` do, `unless` doesn't.
    pub(crate) fn holds(&self, rule: &CompiledRule, event: &Event, context: &Context<'_>) -> bool {
        self.holds_as(rule, event, context, false)
    }

    /// Whether a rule that holds does so only because something could not be read: of an event whose body was not read, if
    /// it asks anything of the body; else if it would not hold, were what can't be determined otherwise.
    pub fn is_undecided(&self, rule: &CompiledRule, event: &Event, context: &Context<'_>) -> bool {
        let head = Field::is_of_head;
        let asks_body = || !rule.is_only_about(head) || !rule.exempts_only_by(head);
        (context.reading.is_unread && asks_body()) || !self.holds_as(rule, event, context, true)
    }

    fn holds_as(
        &self,
        rule: &CompiledRule,
        event: &Event,
        context: &Context<'_>,
        for_certain: bool,
    ) -> bool {
        if rule.inapplicable_reason(event).is_some() {
            return false;
        }
        let side = rule.side();
        let evaluate = |side| ConditionEvaluator {
            if_missing: rule.if_missing,
            for_certain,
            ..ConditionEvaluator::new(event, context, side)
        };
        let inner = evaluate(side);
        rule.matches.iter().all(|test| inner.test(test, side))
            && rule
                .when
                .as_ref()
                .is_none_or(|when| inner.condition(when, side))
            && !rule
                .unless
                .as_ref()
                .is_some_and(|unless| evaluate(side.flipped()).condition(unless, side.flipped()))
    }

    /// Asks the conversation in a request what the rules will ask of it once its response comes.
    pub fn recall(&self, context: &Context<'_>) -> History {
        let reading = context.reading;
        let is_of_provider = |event: &Event| event.opacity == Some("provider_state");
        let history = History::new(
            !reading.continues_elsewhere
                && reading.rpc.is_empty()
                && reading.problems.is_empty()
                && !reading.events.iter().any(is_of_provider),
        );
        if !self.questions.is_empty() {
            let mut events: Vec<&Event> = reading.events.iter().collect();
            sort::sort_by_key(&mut events, |event| event.at);
            for event in events {
                self.note_at(Position::Request(event.at), event, context, &history);
            }
        }
        history
    }

    /// Notes a call of a response, so that those behind it are evaluated as coming later.
    pub fn note(&self, event: &Event, context: &Context<'_>) {
        if event.kind == Kind::ToolCall && event.direction == Direction::Response {
            self.note_at(Position::Answer, event, context, &context.facts.history);
        }
    }

    fn note_at(&self, at: Position, event: &Event, context: &Context<'_>, history: &History) {
        for (number, question) in self.questions.iter().enumerate() {
            if question.kind != event.kind {
                continue;
            }
            let fit = question.fit(event, context);
            history.note(number, at, fit, &mut |answer| {
                let kept = event.texts.clone().filter(|_| question.keeps_texts);
                for text in kept.filter_map(|number| context.text(number)) {
                    if text.form != Form::Key {
                        answer.keep(&text.text(), fit);
                    }
                }
            });
        }
    }

    /// Calls `found` with everything that a redaction that holds replaces in an event.
    pub fn redactions(
        &self,
        rule: &CompiledRule,
        event: &Event,
        context: &Context<'_>,
        found: &mut dyn FnMut(Redaction),
    ) {
        let mut collector = Collector {
            rule,
            event,
            context,
            found,
            argument: None,
        };
        if let Some(what) = &rule.redact.what {
            collector.whole(&what.field);
        } else if let Some(when) = &rule.when {
            collector.condition(when);
        }
    }
}

impl CompiledDocument {
    /// Whether a document takes part in what is decided of an event; if so, whether it is certain that it is for whoever
    /// asks. In doubt it takes part, since all that it could do is to restrict.
    fn takes_part(&self, event: &Event, context: &Context<'_>) -> Option<bool> {
        let fits = |side| {
            let evaluate = ConditionEvaluator::new(event, context, side);
            self.audience.iter().all(|test| evaluate.test(test, side))
        };
        let applies = self.is_alone || self.applies(context.facts);
        let takes_part = applies && fits(Polarity::Restricting);
        takes_part.then(|| fits(Polarity::Loosening))
    }
}

impl HistoryQuery {
    /// How an event of its kind fits it.
    pub(crate) fn fit(&self, event: &Event, context: &Context<'_>) -> BroadNarrow {
        let fits = |side| {
            let evaluate = ConditionEvaluator::new(event, context, side);
            self.matches.iter().all(|test| evaluate.test(test, side))
                && self
                    .when
                    .as_ref()
                    .is_none_or(|when| evaluate.condition(when, side))
        };
        // A tool of the provider's that is only offered counts as a call, but nothing may rest on that.
        BroadNarrow {
            broadly: fits(Polarity::Restricting),
            narrowly: !event.is_provider_offer() && fits(Polarity::Loosening),
        }
    }
}

impl CompiledTest {
    /// Whether it asks about the exchange alone, the same for every event in it.
    fn is_of_exchange(&self) -> bool {
        self.fields().all(Field::is_of_exchange)
    }

    /// Whether a test of a tool's name could hold for some tool of the server at hand: `github/…` is none of another's.
    fn could_be_at(&self, facts: &Facts) -> bool {
        let Some(start) = facts.qualified("").filter(|_| self.field == Field::Tool) else {
            return true;
        };
        self.checks.iter().all(|check| match &check.operator {
            Operator::Equality(equality) if !equality.negative => equality
                .literals
                .iter()
                .filter_map(|literal| literal.as_text())
                .any(|name| !name.contains('/') || name.starts_with(&start)),
            Operator::Glob { exact, .. } => exact.iter().any(|glob| {
                !glob.asks_for('/') || glob.could_begin_with(&start, GlobReading::Narrow)
            }),
            _ => true,
        })
    }
}

/// What to do where a rule needs arguments that only the provider sees.
pub const LEAVE_TOOL_OUT: &str = "Leave this tool out of the request.";
impl CompiledCheck {
    /// Which names are looked for in a tool's name that a client joined with its server's: only to restrict, and only where
    /// one that fits is enough.
    pub(crate) fn joined(&self, operator: &Operator, side: Polarity) -> Option<JoinedNames> {
        let is_asked = side == Polarity::Restricting
            && !self.verb.is_negative()
            && self.quantifier != Some(Quantifier::All);
        let qualified = match operator {
            Operator::Equality(equality) => {
                let mut names = equality.literals.iter().filter_map(|name| name.as_text());
                names.any(|name| name.contains('/'))
            }
            Operator::Glob { exact, .. } => exact.iter().any(|glob| glob.asks_for('/')),
            _ => return None,
        };
        is_asked.then_some(JoinedNames { qualified })
    }
}

impl CompiledRule {
    /// Why it denies a tool that the provider runs; its own reason is about arguments that nobody has seen.
    pub fn unseen_arguments(&self, tool: &str) -> String {
        format!(
            "The provider runs {tool} itself: its arguments can't be inspected, and rule `{}` needs them.",
            self.id
        )
    }

    /// Why it is not about this event, whatever its conditions say.
    pub(crate) fn inapplicable_reason(&self, event: &Event) -> Option<&'static str> {
        // How often something happened is known to nobody yet; the filter takes no policy that asks for it.
        if self.limit.is_some() {
            return Some("how often something happened is not known yet");
        }
        if event.kind == Kind::ToolCall {
            if event.turn == Turn::Earlier && !self.asks_turn {
                return Some("an earlier call is seen only by rules that name `turn`");
            }
            // A call in the history has run; nobody can agree to it any more. One that is a message of its own is about
            // to be carried out.
            let is_history =
                event.direction == Direction::Request && !event.provider_run && event.rpc.is_none();
            if self.action == Action::RequireApproval && is_history {
                return Some("a call in the history has run: nobody can agree to it any more");
            }
        }
        // What stands in the text of arguments is done by a tool: an edit changes what it does. In a response they are
        // still to be carried out; those of the history have been.
        if event.kind == Kind::Response
            && event.part == Part::Arguments
            && self.action == Action::Redact
            && !self.asks_part
        {
            return Some(
                "a redaction edits arguments of a response's call only if it names `part`",
            );
        }
        let code = event
            .code
            .filter(|code| self.action == Action::Allow && is_hard(code) && !self.names_code(code));
        code.map(|_| "only a rule that names this code lets it pass")
    }

    pub(crate) fn side(&self) -> Polarity {
        match self.action {
            Action::Allow => Polarity::Loosening,
            _ => Polarity::Restricting,
        }
    }

    /// Whether `match` holds.
    pub(crate) fn may_match(&self, event: &Event, context: &Context<'_>) -> bool {
        let evaluate = ConditionEvaluator {
            if_missing: self.if_missing,
            ..ConditionEvaluator::new(event, context, self.side())
        };
        self.matches
            .iter()
            .all(|test| evaluate.test(test, self.side()))
    }

    /// Whether every field that `match` and `when` test is one of these.
    fn is_only_about(&self, known: impl Fn(&Field) -> bool + Copy) -> bool {
        self.matches.iter().all(|test| test.fields().all(known))
            && self
                .when
                .as_ref()
                .is_none_or(|when| when.is_only_about(known))
    }

    /// The same of `unless`.
    fn exempts_only_by(&self, known: impl Fn(&Field) -> bool + Copy) -> bool {
        let unless = self.unless.as_ref();
        unless.is_none_or(|unless| unless.is_only_about(known))
    }

    /// Whether it lets a code pass that no default does.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn names_hard_code(&self) -> bool {
        let mut codes = codes::CODES.iter().map(|code| code.id);
        codes.any(|code| is_hard(code) && self.names_code(code))
    }

    /// Whether `match` names exactly this code.
    fn names_code(&self, code: &str) -> bool {
        self.matches
            .iter()
            .filter(|test| test.field == Field::Code)
            .flat_map(|test| &test.checks)
            .any(|check| match &check.operator {
                Operator::Equality(equality) => equality
                    .literals
                    .iter()
                    .any(|literal| literal.is_text(code)),
                _ => false,
            })
    }
}

impl CompiledCondition {
    /// Whether every field that it tests is one of these.
    fn is_only_about(&self, known: impl Fn(&Field) -> bool + Copy) -> bool {
        match self {
            CompiledCondition::All(list) | CompiledCondition::Any(list) => {
                list.iter().all(|inner| inner.is_only_about(known))
            }
            CompiledCondition::Not(inner) => inner.is_only_about(known),
            CompiledCondition::Test(test) => test.fields().all(known),
            CompiledCondition::AnyItem { .. } | CompiledCondition::Earlier { .. } => false,
        }
    }
}

/// Codes of bodies that readers could understand differently: no default relaxes them, only a rule that names them.
fn is_hard(code: &str) -> bool {
    matches!(
        code,
        codes::AG2001
            | codes::AG2002
            | codes::AG2003
            | codes::AG2004
            | codes::AG2009
            | codes::AG2015
    )
}

/// Evaluates the conditions of one rule for one event.
pub(crate) struct ConditionEvaluator<'e, 'a> {
    pub(crate) event: &'e Event,
    pub(crate) context: &'e Context<'a>,
    /// The side on which the whole condition stands, before any `not`.
    pub(crate) outer: Polarity,
    pub(crate) if_missing: Option<IfMissing>,
    /// The item of a list that is looked at.
    pub(crate) item: Option<Value<'e>>,
    /// What can't be determined counts against the rule, to find out whether it holds whatever that is.
    pub(crate) for_certain: bool,
}

impl<'e, 'a> ConditionEvaluator<'e, 'a> {
    fn new(
        event: &'e Event,
        context: &'e Context<'a>,
        outer: Polarity,
    ) -> ConditionEvaluator<'e, 'a> {
        ConditionEvaluator {
            event,
            context,
            outer,
            if_missing: None,
            item: None,
            for_certain: false,
        }
    }

    /// What something that can't be determined counts as: it fits what restricts and not what loosens.
    fn unknown(&self, side: Polarity) -> bool {
        (side == Polarity::Restricting) != self.for_certain
    }

    pub(crate) fn condition(&self, condition: &CompiledCondition, side: Polarity) -> bool {
        match condition {
            CompiledCondition::All(list) => list.iter().all(|inner| self.condition(inner, side)),
            CompiledCondition::Any(list) => list.iter().any(|inner| self.condition(inner, side)),
            CompiledCondition::Not(inner) => !self.condition(inner, side.flipped()),
            CompiledCondition::Test(test) => self.test(test, side),
            CompiledCondition::AnyItem { list, condition } => self.any_item(list, condition, side),
            CompiledCondition::Earlier {
                question,
                at_least,
                in_a_row,
            } => {
                let history = &self.context.facts.history;
                let (broadly, narrowly) = history.count(*question, self.position());
                let count = match side {
                    Polarity::Restricting => broadly,
                    Polarity::Loosening => narrowly,
                };
                let stands = count.all >= *at_least && count.in_a_row >= *in_a_row;
                stands || (!history.is_complete && self.unknown(side))
            }
        }
    }

    /// Where the event stands in the conversation.
    fn position(&self) -> Position {
        match self.event.direction {
            Direction::Request => Position::Request(self.event.at),
            Direction::Response => Position::Answer,
        }
    }

    /// Whether one item of a list fits. What is no object can't be looked into.
    fn any_item(&self, list: &Field, condition: &CompiledCondition, side: Polarity) -> bool {
        let strict = side == Polarity::Restricting;
        let mut items: Vec<Option<Value<'_>>> = Vec::new();
        let mut presence = Presence::Missing;
        for reading in [Values::NAMED, Values::OTHERS] {
            presence = self.values(list, reading, Arrays::Opened, &mut |scalar| {
                items.push(match scalar {
                    Scalar::Object(value) => Some(value),
                    _ => None,
                });
            });
            if presence != Presence::Ambiguous || !strict {
                break;
            }
            if items.is_empty() && self.missing(false, side) {
                return true;
            }
        }
        let fits = |item: &Option<Value<'_>>| match item {
            Some(_) => ConditionEvaluator {
                item: *item,
                ..*self
            }
            .condition(condition, side),
            None => strict,
        };
        match presence {
            Presence::Unknown => self.unknown(side),
            Presence::Ambiguous => strict,
            Presence::Present { and_unknown } if and_unknown || !items.is_empty() => {
                items.iter().any(fits) || (and_unknown && self.unknown(side))
            }
            _ => self.missing(false, side),
        }
    }

    /// Calls `give` with the values of a field.
    pub(crate) fn values<'v>(
        &'v self,
        field: &Field,
        reading: Values,
        arrays: Arrays,
        give: &mut dyn FnMut(Scalar<'v>),
    ) -> Presence {
        match field {
            Field::Item(path) => match self.item {
                Some(item) => json_values(item, path, self.context, reading, arrays, give),
                None => Presence::Missing,
            },
            _ => visit(field, self.event, self.context, reading, arrays, give),
        }
    }

    /// Whether a condition of an allow could hold, if the fields that are `open` had the right values.
    fn could_hold(
        &self,
        condition: &CompiledCondition,
        open: impl Fn(&CompiledTest) -> bool + Copy,
    ) -> bool {
        match condition {
            CompiledCondition::All(list) => list.iter().all(|inner| self.could_hold(inner, open)),
            CompiledCondition::Any(list) => list.iter().any(|inner| self.could_hold(inner, open)),
            // What does not hold now may not hold later either: the rule itself decides when it comes to it.
            CompiledCondition::Not(_)
            | CompiledCondition::AnyItem { .. }
            | CompiledCondition::Earlier { .. } => true,
            CompiledCondition::Test(test) => open(test) || self.test(test, Polarity::Loosening),
        }
    }

    fn test(&self, test: &CompiledTest, side: Polarity) -> bool {
        test.checks
            .iter()
            .all(|check| self.check(&test.field, check, &check.operator, side))
    }

    pub(crate) fn check(
        &self,
        field: &Field,
        check: &CompiledCheck,
        operator: &Operator,
        side: Polarity,
    ) -> bool {
        match operator {
            Operator::Keyed { key, operators } => {
                return self.keyed(field, check, key, operators, side);
            }
            Operator::Field(other) => return self.compared(field, check, other, side),
            // What is known of the history may still be enough for what loosens.
            Operator::Overlaps { with, .. }
                if !self.is_told(with)
                    && (side == Polarity::Restricting
                        || matches!(with, OverlapTarget::Field(_))) =>
            {
                return self.unknown(side);
            }
            _ => {}
        }
        if let Operator::Time(test) = operator {
            let verdict = self.context.facts.time.map(|time| test.evaluate(time));
            return match verdict {
                Some(TestResult::Holds) => true,
                Some(TestResult::Fails) => false,
                Some(TestResult::Unreadable) | None => self.unknown(side),
            };
        }
        let reading = Values {
            others: false,
            opens: side == Polarity::Restricting && operator.looks_into_strings(),
        };
        let (tally, presence) = self.tally(field, check, operator, side, reading);
        match presence {
            Presence::Unknown => return self.unknown(side),
            Presence::Ambiguous if side == Polarity::Restricting => {
                return self.either(field, check, operator, &tally, reading.opens);
            }
            Presence::Ambiguous => return false,
            _ => {}
        }
        if let Operator::Exists(expected) = operator {
            // Plainly true or false on both sides; what can't be determined counts for the strict one.
            return (tally.count > 0) == *expected;
        }
        match presence {
            Presence::Present { and_unknown } if tally.count > 0 || and_unknown => {
                self.fits(field, check, &tally, and_unknown, side)
            }
            _ => self.missing(check.verb.is_negative(), side),
        }
    }

    /// What restricts, where readers differ in what a path leads to: it holds if it does for some of them. Of several
    /// values that may be taken for the field, each is one that fits or not; how many a reader takes, nobody can tell.
    #[inline(never)]
    fn either(
        &self,
        field: &Field,
        check: &CompiledCheck,
        operator: &Operator,
        named: &ElementCounts,
        opens: bool,
    ) -> bool {
        let side = Polarity::Restricting;
        let reading = Values {
            others: true,
            opens,
        };
        let (others, presence) = self.tally(field, check, operator, side, reading);
        let is_unread = presence == (Presence::Present { and_unknown: true });
        let of_others = match operator {
            Operator::Exists(false) => return named.count == 0,
            Operator::Count(order) if order.high.is_some() => true,
            _ => others.holding.saturating_add(others.unreadable) > 0,
        };
        let of_named = match named.count {
            0 => self.missing(check.verb.is_negative(), side),
            _ => self.fits(field, check, named, false, side),
        };
        is_unread || of_others || of_named
    }

    /// What an operator says of each value of a field.
    fn tally(
        &self,
        field: &Field,
        check: &CompiledCheck,
        operator: &Operator,
        side: Polarity,
        reading: Values,
    ) -> (ElementCounts, Presence) {
        let mut tally = ElementCounts::default();
        let arrays = match operator {
            Operator::Commands(_) => Arrays::Whole,
            _ => Arrays::Opened,
        };
        let mut evaluate = |scalar| self.scalar(check, operator, scalar, side, &mut tally);
        let presence = match field {
            Field::Tool => {
                let joined = check.joined(operator, side);
                tool_names(self.event, self.context.facts, side, joined, &mut evaluate)
            }
            // What denies a model denies it however it is spelt. That a spelling is none of some names says nothing.
            Field::Model if side == Polarity::Restricting && !check.verb.is_negative() => {
                let presence = self.values(field, reading, arrays, &mut evaluate);
                for spelling in &self.context.facts.models.spellings {
                    evaluate(Scalar::text(&**spelling));
                }
                presence
            }
            _ => self.values(field, reading, arrays, &mut evaluate),
        };
        if let Operator::Count(order) = operator
            && tally.elements > 0
        {
            tally.add(order.evaluate_count(tally.elements));
        }
        (tally, presence)
    }

    /// Whether a field has a value that its operator can't read.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn has_unreadable(
        &self,
        field: &Field,
        check: &CompiledCheck,
        side: Polarity,
    ) -> bool {
        let asks_elsewhere = matches!(
            check.operator,
            Operator::Keyed { .. }
                | Operator::Field(_)
                | Operator::Overlaps { .. }
                | Operator::Time(_)
        );
        let tally = |reading| self.tally(field, check, &check.operator, side, reading).0;
        let readings = [Values::NAMED, Values::OTHERS];
        !asks_elsewhere && readings.map(tally).iter().any(|tally| tally.unreadable > 0)
    }

    /// Compares with what another field holds; if that is missing or can't be determined, it counts for the strict side.
    fn compared(
        &self,
        field: &Field,
        check: &CompiledCheck,
        other: &Field,
        side: Polarity,
    ) -> bool {
        let strict = side == Polarity::Restricting;
        let mut values = Vec::new();
        let presence = self.values(other, Values::NAMED, Arrays::Opened, &mut |scalar| {
            values.push(scalar)
        });
        if presence != (Presence::Present { and_unknown: false }) || values.is_empty() {
            return self.unknown(side);
        }
        let is_name =
            |field: &Field| matches!(field.nature(), FieldType::Name | FieldType::NameSet);
        let names = is_name(field) || is_name(other);
        let Some(operators) = operand::operators(check.verb, &values, names) else {
            return strict;
        };
        let mut fits = operators
            .iter()
            .map(|operator| self.check(field, check, operator, side));
        match strict {
            true => fits.any(|fits| fits),
            false => fits.all(|fits| fits),
        }
    }

    /// Whether all that `overlaps` compares with is known.
    fn is_told(&self, with: &OverlapTarget) -> bool {
        match with {
            OverlapTarget::Earlier(question) => {
                let history = &self.context.facts.history;
                history.texts(*question, self.position(), true, &mut |_| {})
            }
            OverlapTarget::Field(other) => {
                let presence = self.values(other, Values::NAMED, Arrays::Opened, &mut |_| {});
                presence == Presence::Present { and_unknown: false }
            }
        }
    }

    /// Whether a text shares something with others: a run of characters with one of them where that restricts; where it
    /// loosens, all of it must stand in one of them.
    fn overlaps(&self, text: &str, with: &OverlapTarget, run: usize, side: Polarity) -> bool {
        let mut overlap = Overlap::new(text, run);
        let mut found = false;
        let mut compare = |other: &str| {
            found = found
                || match side {
                    Polarity::Restricting => overlap.shares(other),
                    Polarity::Loosening => overlap.is_within(other),
                };
        };
        match with {
            OverlapTarget::Earlier(question) => {
                let narrowly = side == Polarity::Loosening;
                let history = &self.context.facts.history;
                history.texts(*question, self.position(), narrowly, &mut compare);
            }
            OverlapTarget::Field(other) => {
                self.values(other, Values::NAMED, Arrays::Opened, &mut |scalar| {
                    text_parts(scalar, &mut |text, _| compare(&text.text()));
                });
            }
        }
        found
    }

    /// Adds what an operator says about one value, or about each part of it.
    fn scalar<'s>(
        &self,
        check: &CompiledCheck,
        operator: &Operator,
        scalar: Scalar<'s>,
        side: Polarity,
        tally: &mut ElementCounts,
    ) {
        work::spend(
            scalar
                .size()
                .saturating_mul(operator.steps())
                .saturating_add(ASKED),
        );
        if work::is_exhausted() {
            tally.add(TestResult::Unreadable);
            return;
        }
        match operator {
            Operator::Exists(_) => tally.add(TestResult::Holds),
            Operator::Nothing => tally.add(check.verb.is_negative().into()),
            Operator::Count(_) => {
                let more = match &scalar {
                    Scalar::Text(text) => address_count(&text.text()),
                    _ => 1,
                };
                tally.elements = tally.elements.saturating_add(more);
            }
            _ if check.verb.reads_text() => {
                text_parts(scalar, &mut |text, part| {
                    let verdict = match part {
                        TextRelation::Itself => self.evaluate_text(operator, &text, side),
                        // A find among keys and numbers counts; that nothing is found there says nothing.
                        TextRelation::Beside => {
                            let looks =
                                check.verb.looks_for_text() && side == Polarity::Restricting;
                            if !looks
                                || self.evaluate_text(operator, &text, side) != TestResult::Holds
                            {
                                return;
                            }
                            TestResult::Holds
                        }
                    };
                    tally.add(verdict);
                });
            }
            Operator::Equality(equality) => tally.add(equality.evaluate(&scalar, side)),
            Operator::Order(order) => tally.add(order.evaluate(&scalar)),
            Operator::Commands(commands) => tally.add(command_line(commands, &scalar)),
            _ => match &scalar {
                Scalar::Text(text) => evaluate_parts(operator, &text.text(), tally),
                _ => tally.add(TestResult::Unreadable),
            },
        }
    }

    /// Whether several values fit: broadly where that restricts, narrowly where it loosens.
    fn fits(
        &self,
        field: &Field,
        check: &CompiledCheck,
        tally: &ElementCounts,
        and_unknown: bool,
        side: Polarity,
    ) -> bool {
        let restricting = side == Polarity::Restricting;
        let fitting = if restricting {
            tally.holding.saturating_add(tally.unreadable)
        } else {
            tally.holding
        };
        let any = fitting > 0 || (and_unknown && restricting && self.unknown(side));
        let all = fitting == tally.count
            && tally.count > 0
            && (restricting || !and_unknown || self.unknown(side));
        match check.quantifier {
            Some(Quantifier::Any) => return any,
            Some(Quantifier::All) => return all,
            None => {}
        }
        if matches!(field.nature(), FieldType::NameSet) || matches!(field, Field::Principal(_)) {
            // A set: one member that fits, or for a negative verb none that doesn't.
            return if check.verb.is_negative() { all } else { any };
        }
        if restricting { any } else { all }
    }

    fn missing(&self, is_negative: bool, side: Polarity) -> bool {
        missing_fits(self.outer, side, self.if_missing, is_negative)
    }

    /// The list under the key that another field holds. A key that has no list has an empty one; a key that is missing,
    /// or can't be determined, counts for the strict side.
    fn keyed(
        &self,
        field: &Field,
        check: &CompiledCheck,
        key: &Field,
        operators: &SortedMap<Box<str>, Operator>,
        side: Polarity,
    ) -> bool {
        let mut keys = Vec::new();
        let presence = self.values(key, Values::NAMED, Arrays::Opened, &mut |scalar| {
            if let Scalar::Text(text) = scalar {
                keys.push(text.text());
            }
        });
        match (presence, keys.as_slice()) {
            (Presence::Present { and_unknown: false }, [key]) => {
                let operator = operators.get(&**key).unwrap_or(&Operator::Nothing);
                self.check(field, check, operator, side)
            }
            _ => self.unknown(side),
        }
    }

    fn evaluate_text(
        &self,
        operator: &Operator,
        text: &TextValue<'_>,
        side: Polarity,
    ) -> TestResult {
        let direction = self.event.direction;
        let context = self.context;
        match operator {
            Operator::Contains(contains) => {
                with_scan(context, direction, text, MatchKinds::LITERALS, |scan| {
                    let stands = |needle: &[u32; 2]| match side {
                        Polarity::Restricting => needle.iter().any(|literal| scan.stands(*literal)),
                        Polarity::Loosening => needle
                            .first()
                            .is_some_and(|literal| scan.exact.binary_search(literal).is_ok()),
                    };
                    if contains.all {
                        contains.needles.iter().all(stands)
                    } else {
                        contains.needles.iter().any(stands)
                    }
                })
            }
            Operator::Matches(patterns) => {
                with_scan(context, direction, text, MatchKinds::PATTERNS, |scan| {
                    patterns
                        .iter()
                        .any(|pattern| scan.patterns.binary_search(pattern).is_ok())
                })
            }
            Operator::Detects(detectors) => {
                let mut incomplete = false;
                let found = with_scan(context, direction, text, MatchKinds::DETECTORS, |scan| {
                    incomplete = scan.incomplete;
                    let splits = scan.splits.iter().map(|split| &split.finding);
                    scan.findings.iter().chain(splits).any(|finding| {
                        asks_for(detectors, finding) && context.counts(text, finding)
                    })
                });
                if incomplete && !found {
                    return TestResult::Unreadable;
                }
                found
            }
            Operator::Affix(affix) => affix.evaluate(&text.text(), side),
            Operator::Stands(stands) => stands.evaluate(&text.text(), side),
            Operator::Overlaps { with, run } => self.overlaps(&text.text(), with, *run, side),
            Operator::Length(order) => return order.evaluate_count(character_count(&text.text())),
            Operator::Glob {
                exact,
                folded,
                names,
            } => {
                let text = text.text();
                match side {
                    Polarity::Loosening => exact
                        .iter()
                        .any(|glob| glob.matches(&text, GlobReading::Narrow)),
                    Polarity::Restricting => {
                        let broad = |globs: &[super::glob::Glob], text: &str| {
                            globs
                                .iter()
                                .any(|glob| glob.matches(text, GlobReading::Broad))
                        };
                        let read = if *names {
                            fold_name(&text).trim().to_owned()
                        } else {
                            seen(&text)
                        };
                        broad(exact, &text) || broad(folded, &read)
                    }
                }
            }
            _ => return TestResult::Unreadable,
        }
        .into()
    }
}

/// The lifetime of a text's body is the context's own; this keeps the callers free of it.
fn with_scan(
    context: &Context<'_>,
    direction: Direction,
    text: &TextValue<'_>,
    asked: MatchKinds,
    holds: impl FnOnce(&TextScan) -> bool,
) -> bool {
    context.with_scan(direction, text, asked, holds)
}

/// Operators that find several values in one text: each host, address, table or verb counts as one.
fn evaluate_parts(operator: &Operator, text: &str, tally: &mut ElementCounts) {
    let mut add = |verdict| tally.add(verdict);
    match operator {
        Operator::Domains(domains) => domains.evaluate(text, &mut add),
        Operator::Folders(folders) => folders.evaluate(text, &mut add),
        Operator::Networks(networks) => networks.evaluate(text, &mut add),
        Operator::Sql(question) => question.evaluate(text, &mut add),
        _ => add(TestResult::Unreadable),
    }
}

/// A text is a line for a shell, an array of texts one command.
fn command_line(commands: &Commands, scalar: &Scalar<'_>) -> TestResult {
    match scalar {
        Scalar::Text(text) => commands.evaluate_line(&text.text()),
        Scalar::Array(array) => {
            let words: Option<Vec<_>> = array.elements().map(|word| word.text()).collect();
            match words {
                Some(words) => {
                    let words: Vec<&str> = words.iter().map(|word| &**word).collect();
                    commands.evaluate_argv(&words)
                }
                None => TestResult::Unreadable,
            }
        }
        _ => TestResult::Unreadable,
    }
}

/// Whether a missing value fits, by the side on which the whole condition is read, the side of this test, and what the rule
/// says of it.
pub(crate) fn missing_fits(
    outer: Polarity,
    side: Polarity,
    if_missing: Option<IfMissing>,
    is_negative: bool,
) -> bool {
    match (outer, side, if_missing) {
        // `if_missing` speaks of the whole condition, so that under a `not` its words change places.
        (Polarity::Restricting, Polarity::Restricting, Some(word)) => word == IfMissing::Apply,
        (Polarity::Restricting, Polarity::Loosening, Some(word)) => word == IfMissing::Skip,
        (Polarity::Restricting, Polarity::Restricting, None) => is_negative,
        // Under a `not` in what loosens: true, so that the whole stays false.
        (Polarity::Loosening, Polarity::Restricting, _) => true,
        (_, Polarity::Loosening, _) => false,
    }
}

fn asks_for(detectors: &[(u16, Confidence)], finding: &Finding) -> bool {
    detectors
        .iter()
        .any(|(detector, least)| *detector == finding.detector && finding.confidence >= *least)
}

/// How many values there are, how many fit, how many can't be read.
#[derive(Clone, Copy, Default)]
struct ElementCounts {
    /// What `count_*` counts.
    elements: u64,
    count: u32,
    holding: u32,
    unreadable: u32,
}

impl ElementCounts {
    fn add(&mut self, verdict: TestResult) {
        self.count = self.count.saturating_add(1);
        match verdict {
            TestResult::Holds => self.holding = self.holding.saturating_add(1),
            TestResult::Fails => {}
            TestResult::Unreadable => self.unreadable = self.unreadable.saturating_add(1),
        }
    }
}

/// Finds what a redaction replaces: the spans of the positive conditions that held.
struct Collector<'e, 'a> {
    rule: &'e CompiledRule,
    event: &'e Event,
    context: &'e Context<'a>,
    found: &'e mut dyn FnMut(Redaction),
    argument: Option<ArgumentText>,
}

/// A string of arguments in which something was found.
struct ArgumentText {
    place: NodeId,
    length: usize,
    /// What of it can't be edited, as it is JSON by itself.
    fixed: Vec<Range<usize>>,
}

impl<'e> Collector<'e, '_> {
    fn condition(&mut self, condition: &CompiledCondition) {
        match condition {
            CompiledCondition::All(list) | CompiledCondition::Any(list) => {
                for inner in list {
                    self.condition(inner);
                }
            }
            // What only says that something is there, or where, has no span of its own.
            CompiledCondition::Not(_)
            | CompiledCondition::AnyItem { .. }
            | CompiledCondition::Earlier { .. } => {}
            CompiledCondition::Test(test) => {
                for check in test
                    .checks
                    .iter()
                    .filter(|check| check.verb.looks_for_text())
                {
                    self.check(&test.field, &check.operator);
                }
            }
        }
    }

    /// Everything that may be taken for a field.
    fn each(&self, field: &Field, opens: bool, give: &mut dyn FnMut(Scalar<'e>)) {
        for others in [false, true] {
            let reading = Values { others, opens };
            visit(
                field,
                self.event,
                self.context,
                reading,
                Arrays::Opened,
                give,
            );
        }
    }

    fn check(&mut self, field: &Field, operator: &Operator) {
        let mut texts = Vec::new();
        self.each(field, operator.looks_into_strings(), &mut |scalar| {
            text_parts(scalar, &mut |text, _| texts.push(text));
        });
        for text in &texts {
            self.text(operator, text);
        }
    }

    fn text(&mut self, operator: &Operator, text: &TextValue<'_>) {
        let context = self.context;
        let policy = context.policy;
        let direction = self.event.direction;
        let mut spans: Vec<(Range<usize>, Option<u16>)> = Vec::new();
        let mut splits: Vec<CrossTextMatch> = Vec::new();
        let mut untold = false;
        match operator {
            Operator::Detects(detectors) => {
                context.with_scan(direction, text, MatchKinds::DETECTORS, |scan| {
                    for finding in &scan.findings {
                        if asks_for(detectors, finding) && context.counts(text, finding) {
                            spans.push((finding.range(), Some(finding.detector)));
                        }
                    }
                    untold = scan.incomplete;
                    splits.extend(
                        scan.splits
                            .iter()
                            .filter(|split| asks_for(detectors, &split.finding)),
                    );
                })
            }
            Operator::Contains(contains) => {
                let literals: Vec<u32> = contains.needles.iter().flatten().copied().collect();
                let known =
                    context.with_scan(direction, text, MatchKinds::LITERALS, |scan| {
                        splits.extend(scan.splits.iter().filter(|split| {
                            split.literal.is_some_and(|own| literals.contains(&own))
                        }));
                        scan.spans.as_ref().map(|kept| {
                            let ours = kept
                                .literals
                                .iter()
                                .filter(|(literal, ..)| literals.contains(literal));
                            spans.extend(ours.map(|(_, range, _)| (range.clone(), None)));
                        })
                    });
                if known.is_none() {
                    policy
                        .matcher
                        .literal_spans(&text.text(), &literals, &mut |range| {
                            spans.push((range, None))
                        });
                }
            }
            Operator::Matches(patterns) => {
                let known = context.with_scan(direction, text, MatchKinds::PATTERNS, |scan| {
                    scan.spans.as_ref().map(|kept| {
                        let ours = kept
                            .patterns
                            .iter()
                            .filter(|(pattern, _)| patterns.contains(pattern));
                        spans.extend(ours.map(|(_, range)| (range.clone(), None)));
                    })
                });
                if known.is_none() {
                    let body = text.text();
                    for &pattern in patterns {
                        if let Some(pattern) =
                            policy.matcher.patterns.patterns().get(index(pattern))
                        {
                            let scratch = &mut context.scratch.borrow_mut().patterns;
                            pattern
                                .spans(&body, 0, scratch, &mut |range| spans.push((range, None)));
                        }
                    }
                }
            }
            _ => {}
        }
        let form = self.rule.redact.form;
        for (range, detector) in spans {
            self.hit(text, range, detector, form);
        }
        for split in splits {
            // Of a part neither the last characters nor a pseudonym can be told.
            let form = match form {
                Replacement::Last4 => Replacement::Mask,
                Replacement::Mask => form,
                _ if !split.is_first => Replacement::Remove,
                Replacement::Pseudonym => Replacement::Label,
                _ => form,
            };
            let finding = split.finding;
            let detector = split.literal.is_none().then_some(finding.detector);
            self.hit(text, finding.range(), detector, form);
        }
        if untold {
            // Something would stay.
            self.impossible();
        }
    }

    /// `redact.what`: everything that the path leads to.
    fn whole(&mut self, field: &Field) {
        let mut texts = Vec::new();
        let mut others = Vec::new();
        self.each(field, false, &mut |scalar| match scalar {
            Scalar::Text(text) => texts.push(text),
            Scalar::Object(value) => {
                for node in value.descendants() {
                    if node.value.kind() == json::ValueKind::String && !node.is_key {
                        texts.push(self.context.string(node.value));
                    }
                }
            }
            Scalar::Null | Scalar::Array(_) => {}
            Scalar::Bool(..) | Scalar::Number(..) => others.push(()),
        });
        for text in &texts {
            let length = text.text().len();
            self.hit(text, 0..length, None, self.rule.redact.form);
        }
        for () in others {
            // A number or a boolean can't be replaced by a text without changing what the tool is asked.
            self.impossible();
        }
    }

    /// Notes that something can't be replaced.
    fn impossible(&mut self) {
        (self.found)(Redaction {
            place: self.event.at,
            form: Form::Number,
            class: Class::Text,
            range: 0..0,
            choice: self.event.choice,
            detector: None,
            with: self.rule.redact.form,
            label: None,
            numbered: false,
            restore: Rc::clone(&self.rule.redact.restore),
        });
    }

    /// Whether a number or a key stands there, of JSON that is an argument: a tool reads it as such. All of the argument may
    /// be replaced.
    fn is_fixed(&mut self, text: &TextValue<'_>, place: NodeId, range: &Range<usize>) -> bool {
        if self.event.part != Part::Arguments {
            return false;
        }
        let argument = match self.argument.take().filter(|known| known.place == place) {
            Some(known) => known,
            None => {
                let text = text.text();
                ArgumentText {
                    place,
                    length: text.len(),
                    fixed: embedded_data::fixed_parts(&text),
                }
            }
        };
        let parts = &argument.fixed;
        let next = parts.partition_point(|part| part.end <= range.start);
        let meets = parts.get(next).is_some_and(|part| part.start < range.end);
        let is_all = *range == (0..argument.length);
        self.argument = Some(argument);
        meets && !is_all
    }

    fn hit(
        &mut self,
        text: &TextValue<'_>,
        range: Range<usize>,
        detector: Option<u16>,
        with: Replacement,
    ) {
        let Some(value) = text.value else { return };
        // What stands in JSON in a string is part of that string, as everything in JSON that is an argument is.
        let (place, found) = self.context.json.outside(value.place(), range.clone());
        let is_inside = place != value.place();
        let with = match with {
            // The signs of an escape are no characters of their own.
            Replacement::Mask | Replacement::Last4 | Replacement::Pseudonym
                if is_inside && found.len() != range.len() =>
            {
                Replacement::Label
            }
            with => with,
        };
        let label = self.rule.redact.label.clone();
        let label = label.or_else(|| own_label(self.context, detector));
        let needs_escape =
            |label: &str| label.contains(|c: char| c.is_control() || matches!(c, '"' | '\\'));
        if is_inside && label.as_deref().is_some_and(needs_escape) {
            return self.impossible();
        }
        let range = found;
        let is_sealed =
            self.context.reading.sealed.contains(&place) || !self.context.json.is_editable(place);
        let class = match text.number {
            _ if is_sealed => Class::Sealed,
            Some(number) => self
                .context
                .reading
                .texts
                .get(index(number))
                .map_or(Class::Text, |text| text.class),
            None => Class::Text,
        };
        let form = match text.form {
            Form::String if self.is_fixed(text, place, &range) => Form::Number,
            form => form,
        };
        (self.found)(Redaction {
            place,
            form,
            class,
            range,
            choice: self.event.choice,
            detector,
            with,
            label,
            numbered: self.rule.redact.numbered,
            restore: Rc::clone(&self.rule.redact.restore),
        });
    }
}

/// The label of a detector that the policy brings; built-in ones are known by their number.
fn own_label(context: &Context<'_>, detector: Option<u16>) -> Option<Box<str>> {
    let number = detector.filter(|number| usize::from(*number) >= DETECTORS.len())?;
    let name = context.policy.matcher.detectors.name(number)?;
    Some(format!("[{}]", letter_case::upper(name)).into())
}
