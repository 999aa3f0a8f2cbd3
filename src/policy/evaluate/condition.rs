//! Evaluation of conditions.

use crate::detect::{Confidence, Finding, fold_name};
use crate::event::{Direction, Event, Position};
use crate::policy::compiled::{
    CompiledCheck, CompiledCondition, CompiledTest, HistoryThreshold, Operator, OverlapTarget,
};
use crate::policy::condition::Quantifier;
use crate::policy::condition_tree::{Joins, Leaf};
use crate::policy::context::Context;
use crate::policy::evaluate::operand;
use crate::policy::evaluate::value::{
    Arrays, PathReading as Values, Presence, TextRelation, json_values, text_parts, tool_names,
    visit,
};
use crate::policy::field::{Field, FieldType};
use crate::policy::glob::GlobReading;
use crate::policy::operators::{
    Commands, Equality, Literal, Overlap, Polarity, TestResult, Verb, address_count,
    character_count, each_seen, path_of_file_uri,
};
use crate::policy::rule::IfMissing;
use crate::policy::scalar::{Scalar, TextValue};
use crate::policy::text_scan::{MatchKinds, TextScan};
use crate::wire::json::Value;
use crate::wire::sorted_map::SortedMap;
use crate::wire::work;

/// Work steps for evaluating an operator, besides those for the bytes that it reads.
const STEPS_PER_CHECK: usize = 30;

/// Evaluator of one rule's conditions for one event.
pub(crate) struct ConditionEvaluator<'e, 'a> {
    pub(crate) event: &'e Event,
    pub(crate) context: &'e Context<'a>,
    /// Polarity of the whole condition, outside of any `not`.
    pub(crate) outer: Polarity,
    pub(crate) if_missing: Option<IfMissing>,
    /// Item of a list that is being evaluated.
    pub(crate) item: Option<Value<'e>>,
    /// Whether undetermined values are resolved against the rule, to find out whether it matches whatever they are.
    pub(crate) for_certain: bool,
}

impl<'e, 'a> ConditionEvaluator<'e, 'a> {
    pub(super) fn new(
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

    /// Returns the result of a test whose value can't be determined: the test matches on the deny side and not on the allow
    /// side, or vice versa with `for_certain`.
    fn unknown(&self, side: Polarity) -> bool {
        (side == Polarity::Restricting) != self.for_certain
    }

    pub(crate) fn condition(&self, condition: &CompiledCondition, side: Polarity) -> bool {
        condition.fold(side, &Joins::TRUTH, &mut |leaf, side| match leaf {
            Leaf::Test(test) => self.test(test, side),
            Leaf::AnyItem(list, condition) => self.any_item(list, condition, side),
            Leaf::Earlier(earlier) => self.earlier(earlier, side),
        })
    }

    /// Returns whether the conversation contains enough matching events.
    pub(crate) fn earlier(&self, earlier: &HistoryThreshold, side: Polarity) -> bool {
        let history = &self.context.facts.history;
        let (broadly, narrowly) = history.count(earlier.question, self.position());
        let count = match side {
            Polarity::Restricting => broadly,
            Polarity::Loosening => narrowly,
        };
        let is_reached = count.all >= earlier.at_least && count.in_a_row >= earlier.in_a_row;
        is_reached || (!history.is_complete && self.unknown(side))
    }

    /// Returns the event's position in the conversation.
    fn position(&self) -> Position {
        match self.event.direction {
            Direction::Request => Position::Request(self.event.at),
            Direction::Response => Position::Response,
        }
    }

    /// Returns whether one item of a list matches. An item that is not an object can't be evaluated: it matches on the deny
    /// side.
    pub(crate) fn any_item(
        &self,
        list: &Field,
        condition: &CompiledCondition,
        side: Polarity,
    ) -> bool {
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

    /// Returns whether a condition of an allow rule could match, if all `open` tests matched.
    pub(super) fn could_hold(
        &self,
        condition: &CompiledCondition,
        open: impl Fn(&CompiledTest) -> bool + Copy,
    ) -> bool {
        const COULD: Joins<bool> = Joins {
            // A test that does not match now may match later: the rule itself decides at that time.
            not: |_| true,
            ..Joins::TRUTH
        };
        let side = Polarity::Loosening;
        condition.fold(side, &COULD, &mut |leaf, _| match leaf {
            Leaf::Test(test) => open(test) || self.test(test, side),
            Leaf::AnyItem(..) | Leaf::Earlier(_) => true,
        })
    }

    pub(super) fn test(&self, test: &CompiledTest, side: Polarity) -> bool {
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
            // On the allow side, the known part of the history may suffice.
            Operator::Overlaps { with, .. }
                if !self.is_fully_known(with)
                    && (side == Polarity::Restricting
                        || matches!(with, OverlapTarget::Field(_))) =>
            {
                return self.unknown(side);
            }
            _ => {}
        }
        if let Operator::Time(test) = operator {
            let result = self.context.facts.time.map(|time| test.evaluate(time));
            return match result {
                Some(TestResult::Holds) => true,
                Some(TestResult::Fails) => false,
                Some(TestResult::Unreadable) | None => self.unknown(side),
            };
        }
        let is_broad = side == Polarity::Restricting;
        let reading = Values {
            others: false,
            opens: is_broad && operator.looks_into_strings(),
            // `all_` tests each element.
            joins: is_broad
                && check.quantifier != Some(Quantifier::All)
                && operator.reads_lists_as_text(),
        };
        let (tally, presence) = self.tally(field, check, operator, side, reading);
        match presence {
            Presence::Unknown => return self.unknown(side),
            Presence::Ambiguous if side == Polarity::Restricting => {
                return self.either(field, check, operator, &tally, reading);
            }
            Presence::Ambiguous => return false,
            _ => {}
        }
        if let Operator::Exists(expected) = operator {
            // The result is plainly true or false on both sides; undetermined values are resolved above.
            return (tally.count > 0) == *expected;
        }
        match presence {
            Presence::Present { and_unknown } if tally.count > 0 || and_unknown => {
                self.fits(field, check, &tally, and_unknown, side)
            }
            _ => self.missing(check.verb.is_negative(), side),
        }
    }

    /// Returns whether a deny-side check matches where readers differ in what a path leads to: it matches if it does for
    /// some reader. Each value that may be taken for the field is tested on its own. How many of them a reader takes is
    /// unknown, so a count with an upper bound always matches.
    #[inline(never)]
    fn either(
        &self,
        field: &Field,
        check: &CompiledCheck,
        operator: &Operator,
        named: &ElementCounts,
        reading: Values,
    ) -> bool {
        let side = Polarity::Restricting;
        let reading = Values {
            others: true,
            ..reading
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

    /// Applies an operator to each value of a field and counts the results.
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
            Field::Uri if matches!(operator, Operator::Folders(_)) => {
                let mut evaluate = |scalar| evaluate(path_in_uri(scalar));
                self.values(field, reading, arrays, &mut evaluate)
            }
            // A rule that denies a model denies it in each spelling, and one that allows all others allows none of them.
            Field::Model if check.is_broad(side) => {
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

    /// Returns whether a field has a value that its operator can't read.
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

    /// Compares a field with the value of another field. If that value is missing or undetermined, the result is as for an
    /// unknown value.
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

    /// Returns whether everything that `overlaps` compares with is known.
    fn is_fully_known(&self, with: &OverlapTarget) -> bool {
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

    /// Returns whether a text overlaps with others. On the deny side, it must share a run of characters with one of them;
    /// on the allow side, all of it must be contained in one of them.
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

    /// Adds an operator's result for one value, or for each part of the value.
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
                .saturating_add(STEPS_PER_CHECK),
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
                    let result = match part {
                        TextRelation::Itself => self.evaluate_text(operator, &text, side),
                        // A match among keys and numbers counts; the lack of one means nothing.
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
                    tally.add(result);
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

    /// Returns whether the values of a field match: on the deny side if any may match, on the allow side if all certainly
    /// do. Quantifiers and sets have rules of their own.
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
            // A set matches if one member matches or, with a negative verb, if all do.
            return if check.verb.is_negative() { all } else { any };
        }
        if restricting { any } else { all }
    }

    fn missing(&self, is_negative: bool, side: Polarity) -> bool {
        missing_fits(self.outer, side, self.if_missing, is_negative)
    }

    /// Evaluates the operator under the key that another field contains. A key without a list has an empty list, and those of
    /// the tools or models that a server may take for it. A missing or undetermined key is resolved as an unknown value.
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
            (Presence::Present { and_unknown: false }, [name]) => {
                let own = operators.get(&**name);
                // The client writes these names, and a server may take another spelling of one that has a list.
                let is_spelled = own.is_none() && matches!(key, Field::Tool | Field::Model);
                let others = operators
                    .iter()
                    .filter(|(other, _)| is_spelled && self.may_be_called(key, other));
                let mut fits = std::iter::once(own.unwrap_or(&Operator::Nothing))
                    .chain(others.map(|(_, operator)| operator))
                    .map(|operator| self.check(field, check, operator, side));
                match side {
                    Polarity::Restricting => fits.any(|fits| fits),
                    Polarity::Loosening => fits.all(|fits| fits),
                }
            }
            _ => self.unknown(side),
        }
    }

    /// Returns whether the value of a field is this name in some spelling.
    fn may_be_called(&self, field: &Field, name: &str) -> bool {
        let check = CompiledCheck {
            verb: Verb::In,
            quantifier: None,
            operator: Operator::Equality(Equality {
                literals: vec![Literal::text(name)],
                negative: false,
                names: true,
            }),
        };
        self.check(field, &check, &check.operator, Polarity::Restricting)
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
                    let stands = |needle: &[u32; 3]| match side {
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
            Operator::Matches {
                patterns, names, ..
            } => {
                with_scan(context, direction, text, MatchKinds::PATTERNS, |scan| {
                    patterns
                        .iter()
                        .any(|pattern| scan.patterns.binary_search(pattern).is_ok())
                }) || (*names
                    && side == Polarity::Restricting
                    && context.matches_folded(patterns, &text.text()))
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
                        let broad = |globs: &[crate::policy::glob::Glob], text: &str| {
                            globs
                                .iter()
                                .any(|glob| glob.matches(text, GlobReading::Broad))
                        };
                        let mut fits = broad(exact, &text);
                        match names {
                            true => fits = fits || broad(folded, fold_name(&text).trim()),
                            false => {
                                each_seen(&text, &mut |read| fits = fits || broad(folded, read));
                            }
                        }
                        fits
                    }
                }
            }
            _ => return TestResult::Unreadable,
        }
        .into()
    }
}

/// Calls [`Context::with_scan`]. A text's lifetime is that of the context; this function hides it from the callers.
fn with_scan(
    context: &Context<'_>,
    direction: Direction,
    text: &TextValue<'_>,
    asked: MatchKinds,
    holds: impl FnOnce(&TextScan) -> bool,
) -> bool {
    context.with_scan(direction, text, asked, holds)
}

/// Evaluates an operator that finds several values in one text: each host, address, table or verb counts as one.
fn evaluate_parts(operator: &Operator, text: &str, tally: &mut ElementCounts) {
    let mut add = |result| tally.add(result);
    match operator {
        Operator::Domains(domains) => domains.evaluate(text, &mut add),
        Operator::Folders(folders) => folders.evaluate(text, &mut add),
        Operator::Networks(networks) => networks.evaluate(text, &mut add),
        Operator::Sql(question) => question.evaluate(text, &mut add),
        _ => add(TestResult::Unreadable),
    }
}

/// Evaluates commands: a text is a command line for a shell, an array of texts is one command.
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

/// Returns whether a missing value matches, depending on the polarity of the whole condition, the polarity of this test,
/// and the rule's `if_missing`.
pub(crate) fn missing_fits(
    outer: Polarity,
    side: Polarity,
    if_missing: Option<IfMissing>,
    is_negative: bool,
) -> bool {
    match (outer, side, if_missing) {
        // `if_missing` applies to the whole condition, so that its two values swap under a `not`.
        (Polarity::Restricting, Polarity::Restricting, Some(word)) => word == IfMissing::Apply,
        (Polarity::Restricting, Polarity::Loosening, Some(word)) => word == IfMissing::Skip,
        (Polarity::Restricting, Polarity::Restricting, None) => is_negative,
        // Under a `not` in an allow rule the test is true, so that the whole condition stays false.
        (Polarity::Loosening, Polarity::Restricting, _) => true,
        (_, Polarity::Loosening, _) => false,
    }
}

pub(super) fn asks_for(detectors: &[(u16, Confidence)], finding: &Finding) -> bool {
    detectors
        .iter()
        .any(|(detector, least)| *detector == finding.detector && finding.confidence >= *least)
}

/// Numbers of values, of matching values and of unreadable values.
#[derive(Clone, Copy, Default)]
struct ElementCounts {
    /// Number of elements, for `count_*`.
    elements: u64,
    count: u32,
    holding: u32,
    unreadable: u32,
}

impl ElementCounts {
    fn add(&mut self, result: TestResult) {
        self.count = self.count.saturating_add(1);
        match result {
            TestResult::Holds => self.holding = self.holding.saturating_add(1),
            TestResult::Fails => {}
            TestResult::Unreadable => self.unreadable = self.unreadable.saturating_add(1),
        }
    }
}

/// Returns the path of a `file:` URI, if all clients read it alike; otherwise the value itself.
fn path_in_uri(scalar: Scalar<'_>) -> Scalar<'_> {
    if let Scalar::Text(uri) = &scalar
        && let Some(path) = path_of_file_uri(&uri.text())
    {
        return Scalar::text(path.to_owned());
    }
    scalar
}
