//! Texts that a redact rule replaces.

use super::condition::asks_for;
use crate::detect::DETECTORS;
use crate::event::{Class, Event, Form, Part, Redaction, Replacement};
use crate::policy::compiled::{CompiledCondition, CompiledRule, Operator};
use crate::policy::compiled_policy::Policy;
use crate::policy::context::Context;
use crate::policy::embedded_data;
use crate::policy::evaluate::value::{Arrays, PathReading as Values, text_parts, visit};
use crate::policy::field::Field;
use crate::policy::scalar::{Scalar, TextValue};
use crate::policy::text_scan::{CrossTextMatch, MatchKinds};
use crate::wire::json::{self, NodeId};
use crate::wire::letter_case;
use crate::wire::span::index;
use std::ops::Range;
use std::rc::Rc;

impl Policy {
    /// Calls `found` with everything that a matching redact rule replaces in an event.
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
            is_hit: false,
        };
        if let Some(what) = &rule.redact.what {
            collector.whole(&what.field);
        } else if let Some(when) = &rule.when {
            collector.condition(when);
        }
    }
}

/// Collector of what a redaction replaces: the spans that the positive conditions matched.
struct Collector<'e, 'a> {
    rule: &'e CompiledRule,
    event: &'e Event,
    context: &'e Context<'a>,
    found: &'e mut dyn FnMut(Redaction),
    argument: Option<ArgumentText>,
    /// Whether something was found.
    is_hit: bool,
}

/// String in arguments in which something was found.
struct ArgumentText {
    place: NodeId,
    length: usize,
    /// Ranges of the numbers and keys in the string, if it is JSON. They can't be edited.
    fixed: Vec<Range<usize>>,
}

impl<'e> Collector<'e, '_> {
    fn condition(&mut self, condition: &CompiledCondition) {
        // Other checks only test whether or where something is; they match no span.
        condition.each_positive_test(&mut |test| {
            let checks = test.checks.iter();
            for check in checks.filter(|check| check.verb.looks_for_text()) {
                self.check(&test.field, &check.operator);
            }
        });
    }

    /// Visits every value that a reader may take for a field.
    fn each(&self, field: &Field, reading: Values, give: &mut dyn FnMut(Scalar<'e>)) {
        for others in [false, true] {
            let reading = Values { others, ..reading };
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
        let mut lines = Vec::new();
        let reading = Values {
            opens: operator.looks_into_strings(),
            joins: operator.reads_lists_as_text(),
            ..Values::NAMED
        };
        self.each(field, reading, &mut |scalar| {
            text_parts(scalar, &mut |text, _| match text.is_line() {
                true => lines.push(text),
                false => texts.push(text),
            });
        });
        self.is_hit = false;
        for text in &texts {
            self.text(operator, text);
        }
        // A match across several values of a list can't be replaced.
        if !self.is_hit {
            for line in &lines {
                self.text(operator, line);
            }
        }
    }

    fn text(&mut self, operator: &Operator, text: &TextValue<'_>) {
        let context = self.context;
        let policy = context.policy;
        let direction = self.event.direction;
        let mut spans: Vec<(Range<usize>, Option<u16>)> = Vec::new();
        let mut splits: Vec<CrossTextMatch> = Vec::new();
        let mut incomplete = false;
        match operator {
            Operator::Detects(detectors) => {
                context.with_scan(direction, text, MatchKinds::DETECTORS, |scan| {
                    for finding in &scan.findings {
                        if asks_for(detectors, finding) && context.counts(text, finding) {
                            spans.push((finding.range(), Some(finding.detector)));
                        }
                    }
                    incomplete = scan.incomplete;
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
            Operator::Matches { patterns, .. } => {
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
            // In a part of a match neither the last four characters nor the pseudonym can be determined.
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
        if incomplete {
            // Part of the text was not scanned, so something could remain.
            self.impossible();
        }
    }

    /// Replaces everything that the path in `redact.what` leads to.
    fn whole(&mut self, field: &Field) {
        let mut texts = Vec::new();
        let mut others = Vec::new();
        self.each(field, Values::NAMED, &mut |scalar| match scalar {
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
            // A number or boolean can't be replaced by a text without changing what the tool is asked to do.
            self.impossible();
        }
    }

    /// Reports that something can't be replaced.
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

    /// Returns whether the range meets a number or key of JSON that is an argument, which the tool parses. The argument as
    /// a whole may be replaced.
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
        self.is_hit = true;
        if text.is_line() {
            return self.impossible();
        }
        // A value in JSON in a string is part of that string. So is any part of JSON that is an argument.
        let (place, found) = self.context.json.outside(value.place(), range.clone());
        let is_inside = place != value.place();
        let with = match with {
            // The bytes of an escape sequence are not characters of their own.
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

/// Returns the label of a detector that the policy defines; built-in detectors are identified by their number.
fn own_label(context: &Context<'_>, detector: Option<u16>) -> Option<Box<str>> {
    let number = detector.filter(|number| usize::from(*number) >= DETECTORS.len())?;
    let name = context.policy.matcher.detectors.name(number)?;
    Some(format!("[{}]", letter_case::upper(name)).into())
}
