//! Compiler from a document to a policy: it resolves names, compiles patterns, and determines what the policy inspects.

mod operators;
mod time_windows;

use crate::detect::literals::Literals;
use crate::detect::pattern::{Pattern, PatternSet};
use crate::detect::{Scanner, Selection, fold_name};
use crate::diag::{Severity, codes};
use crate::policy::compiled::{
    CompiledCheck, CompiledCondition, CompiledDocument, CompiledRule, CompiledTest, HistoryQuery,
    HistoryThreshold, Operator, Scope,
};
use crate::policy::compiled_policy::{Policy, unprovided};
use crate::policy::condition::{self, Check, Condition, Earlier, Test};
use crate::policy::condition_tree::{Joins, Leaf};
use crate::policy::content_recording::ContentRecording;
use crate::policy::decode::{Decoder, PolicyPath};
use crate::policy::detectors;
use crate::policy::document::{AppliesTo, Document, List};
use crate::policy::field::{Field, FieldType};
use crate::policy::glob::Glob;
use crate::policy::index::Index;
use crate::policy::inspection_plan::InspectionPlan;
use crate::policy::limit::{Limit, Measure};
use crate::policy::match_item::MatchItem;
use crate::policy::operators::{Equality, Literal, Polarity, Verb};
use crate::policy::rule::{IfMissing, MAX_RULES, Rule};
use crate::policy::scan::Matcher;
use crate::policy::text_scan::MatchKinds;
use crate::policy::words::Action;
use crate::policy::zones::{Lookup, Zones};
use crate::wire::sorted_map::SortedMap;
use crate::wire::{letter_case, sort};
use std::ops::Range;
use std::rc::Rc;

/// State of the compiler.
pub(crate) struct Compiler<'d> {
    pub(crate) decoder: &'d mut Decoder,
    lists: &'d SortedMap<Box<str>, List>,
    /// Time zones in the document.
    pub(crate) given_zones: &'d Zones,
    /// Lookup of other time zones.
    pub(crate) find_zone: &'d dyn Fn(&str) -> Lookup,
    /// Time zones that the rules name.
    pub(crate) zones: Zones,
    literals: Vec<String>,
    literal_numbers: SortedMap<Box<str>, u32>,
    patterns: Vec<Pattern>,
    pattern_numbers: SortedMap<String, u32>,
    selection: Selection,
    /// What the current rule searches for.
    wants: MatchKinds,
    questions: Vec<HistoryQuery>,
}

/// Compiles a document and reports errors. The policy may be used only if no error was reported.
pub(crate) fn compile(
    decoder: &mut Decoder,
    document: Document,
    version: String,
    find_zone: &dyn Fn(&str) -> Lookup,
) -> Option<Policy> {
    let definitions = detectors::define(decoder, &document);
    let mut compiler = Compiler {
        lists: &document.lists,
        given_zones: &document.zones,
        find_zone,
        zones: Zones::default(),
        literals: Vec::new(),
        literal_numbers: SortedMap::new(),
        patterns: Vec::new(),
        pattern_numbers: SortedMap::new(),
        selection: definitions.clone(),
        wants: MatchKinds::default(),
        questions: Vec::new(),
        decoder,
    };
    let mut needs = InspectionPlan::default();
    let mut rules = Vec::new();
    let mut chapters = Vec::new();
    let tried_out = document.shadow.as_deref();
    for part in document.deciding().iter().chain(tried_out) {
        let is_shadow = tried_out.is_some_and(|shadow| std::ptr::eq(shadow, part));
        compiler.lists = &part.lists;
        let mut chapter = compiler.chapter(part, is_shadow)?;
        chapter.is_observed |= document.observe_all;
        chapter.is_alone = !is_shadow && document.members.is_empty();
        needs.add_defaults(&chapter);
        let start = number_of(rules.len());
        compiler.rules(part, &chapter, &mut needs, &mut rules);
        chapter.rules = start..number_of(rules.len());
        chapters.push(chapter);
    }
    if rules.len() > MAX_RULES {
        let message = format!("{} rules, at most {MAX_RULES} are allowed", rules.len());
        let at = PolicyPath::root();
        compiler
            .decoder
            .error(codes::AG1019, &at, &(0..0), &message, "");
        return None;
    }
    let Compiler {
        literals,
        patterns,
        selection,
        zones,
        questions,
        ..
    } = compiler;
    let at = PolicyPath::root();
    let automaton = Literals::new(&literals)
        .map_err(|error| {
            let message = format!("too many texts to look for: {error}");
            decoder.error(codes::AG1019, &at, &(0..0), &message, "");
        })
        .ok()?;
    let patterns = PatternSet::new(patterns)
        .map_err(|error| {
            decoder.error(
                codes::AG1013,
                &at,
                &(0..0),
                &error.message,
                error.help.as_deref().unwrap_or_default(),
            )
        })
        .ok()?;
    Some(Policy {
        version,
        needs,
        index: Index::of(&rules),
        content: ContentRecording::of(&document, &rules, &definitions),
        rules,
        matcher: Matcher {
            literals: automaton,
            literal_texts: literals,
            patterns,
            detectors: Scanner::new(&selection),
        },
        definitions,
        chapters,
        zones,
        questions,
        document,
    })
}

fn scope(applies_to: &AppliesTo) -> Scope {
    // A malformed glob was reported when the document was read, and no policy is made.
    let compiled = |text: &str| Glob::parse(&letter_case::lower(text)).ok();
    let globs = |texts: &Option<Vec<Box<str>>>| {
        let texts = texts.as_ref()?.iter();
        Some(texts.filter_map(|text| compiled(text)).collect())
    };
    Scope {
        hosts: globs(&applies_to.hosts),
        paths: globs(&applies_to.paths),
        clusters: globs(&applies_to.clusters),
    }
}

/// Rules are numbered by 16 bits.
const _: () = assert!(MAX_RULES < 1 << 16);

fn number_of(rules: usize) -> u16 {
    u16::try_from(rules).unwrap_or(u16::MAX)
}

impl<'d> Compiler<'d> {
    /// Compiles a document without its rules.
    fn chapter(&mut self, document: &Document, is_shadow: bool) -> Option<CompiledDocument> {
        let mut audience = Vec::with_capacity(document.audience.len());
        for item in &document.audience {
            audience.push(self.match_item(item)?);
        }
        Some(CompiledDocument {
            rules: 0..0,
            defaults: document.defaults,
            mode: document.mode,
            is_observed: is_shadow || document.observe_all,
            is_shadow,
            is_alone: false,
            audience,
            scope: scope(&document.applies_to),
        })
    }

    /// Adds the rules of a document, by id.
    fn rules(
        &mut self,
        document: &Document,
        chapter: &CompiledDocument,
        needs: &mut InspectionPlan,
        rules: &mut Vec<CompiledRule>,
    ) {
        let mut sorted: Vec<&Rule> = document.rules.iter().collect();
        sort::sort_by(&mut sorted, |a, b| a.id.cmp(&b.id));
        rules.reserve_exact(sorted.len());
        for rule in sorted {
            self.wants = MatchKinds::default();
            if let Some(limit) = &rule.limit {
                if let Some(what) = unprovided(limit, rule.kinds) {
                    self.warn_of_limit(rule, limit, what);
                }
                self.require_prices(rule, limit);
            }
            if let Some(mut compiled) = self.rule(rule, chapter.enforces(rule.mode)) {
                needs.add_rule(rule, &compiled, self.wants);
                if !chapter.is_alone {
                    compiled.id = format!("{}/{}", document.name, rule.id).into();
                }
                rules.push(compiled);
            } else if !self.decoder.has_errors() {
                // Left out without a word, it would let pass what it stops.
                let message = "this rule could not be compiled";
                self.error(codes::AG1011, &rule.span, "", message, "");
            }
        }
    }

    /// Reports a cost limit that may count a model without a price.
    fn require_prices(&mut self, rule: &Rule, limit: &Limit) {
        if limit.measure != Measure::Cost || limit.prices.of_unknown().is_some() {
            return;
        }
        let mut named = rule.matches.iter();
        let named = named.find(|item| item.field_ref.field == Field::Model);
        let unpriced: Vec<&str> = match named {
            Some(item) => {
                let models = item.values.iter().map(|model| &**model);
                models
                    .filter(|model| limit.prices.of(model).is_none())
                    .collect()
            }
            None => vec!["*"],
        };
        if let Some(first) = unpriced.first() {
            let message = format!(
                "limit `{}` adds up costs, and model `{first}` has no price",
                rule.id
            );
            let help = "add `otherwise: { input: …, output: … }` to `prices`, or name the models in `match`";
            let at = PolicyPath::root();
            let span = limit.span.clone();
            if let Some(diagnostic) =
                self.decoder
                    .report(Severity::Error, codes::AG1011, &at, span, message)
            {
                diagnostic.path.clone_from(&limit.path);
                diagnostic.help = Some(help.to_owned());
            }
        }
    }

    fn warn_of_limit(&mut self, rule: &Rule, limit: &Limit, what: &str) {
        let message = format!(
            "rule `{}` needs what this version does not provide: {what}. the filter rejects this policy",
            rule.id
        );
        let at = PolicyPath::root();
        let warning = Severity::Warning;
        let report = self
            .decoder
            .report(warning, codes::AG1017, &at, limit.span.clone(), message);
        if let Some(diagnostic) = report {
            diagnostic.path.clone_from(&limit.path);
            let help = "docs/limits.md lists what is counted, and what Envoy's own rate limit filters can do";
            diagnostic.help = Some(help.to_owned());
        }
    }

    fn rule(&mut self, rule: &Rule, enforced: bool) -> Option<CompiledRule> {
        let mut matches = Vec::with_capacity(rule.matches.len());
        for item in &rule.matches {
            matches.push(self.match_item(item)?);
        }
        let when = match &rule.when {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        let unless = match &rule.unless {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        let (mut asks_turn, mut asks_part, mut asks_arguments) = (false, false, false);
        rule.each_field(&mut |field_ref, of| {
            // A field of an earlier event does not belong to the rule's own event.
            if of.is_none() {
                asks_turn |= field_ref.field == Field::Turn;
                asks_part |= field_ref.field == Field::Part;
                asks_arguments |= matches!(field_ref.field, Field::Args(_));
            }
        });
        Some(CompiledRule {
            id: rule.id.clone(),
            action: rule.action,
            enforced,
            reason: rule.reason.clone(),
            remedy: rule.remedy.clone(),
            tags: rule.tags.clone(),
            on_deny: rule.on_deny,
            approval: rule.approval.clone(),
            limit: rule.limit.clone(),
            content: rule.content,
            kinds: rule.kinds,
            // If a missing text counts as a match, the rule can't be skipped without a hit.
            needs_hit: rule.action != Action::Allow
                && rule.if_missing != Some(IfMissing::Apply)
                && when.as_ref().is_some_and(needs_hit),
            wants: self.wants,
            pace: CompiledRule::pace_of(&matches, when.as_ref(), unless.as_ref()),
            matches,
            when,
            unless,
            if_missing: rule.if_missing,
            redact: Rc::clone(&rule.redact),
            asks_turn,
            asks_part,
            asks_arguments,
        })
    }

    /// Compiles `match: { tool: [a, "b*"] }`: names and globs, one of which must match.
    fn match_item(&mut self, item: &MatchItem) -> Option<CompiledTest> {
        let (verb, operator) = if item.values.iter().any(|value| Glob::is_glob(value)) {
            let mut exact = Vec::with_capacity(item.values.len());
            for value in &item.values {
                exact.push(self.glob(value, &item.field_ref.span, &item.path)?);
            }
            let glob = Operator::Glob {
                folded: folded(&exact),
                exact,
                names: true,
            };
            (Verb::Glob, glob)
        } else {
            if let FieldType::Word(words) = item.field_ref.field.nature() {
                for value in &item.values {
                    self.known_word(value, words, &item.field_ref.span, &item.path)?;
                }
            }
            let equality = Operator::Equality(Equality {
                literals: item
                    .values
                    .iter()
                    .map(|value| Literal::text(value))
                    .collect(),
                negative: false,
                names: true,
            });
            (Verb::In, equality)
        };
        Some(CompiledTest {
            field: item.field_ref.field.clone(),
            checks: vec![CompiledCheck {
                verb,
                quantifier: None,
                operator,
            }],
        })
    }

    fn condition(&mut self, condition: &Condition) -> Option<CompiledCondition> {
        const JOINS: Joins<Option<CompiledCondition>> = Joins {
            all: |_, parts| all_of(parts).map(CompiledCondition::All),
            any: |_, parts| all_of(parts).map(CompiledCondition::Any),
            not: |inner| inner().map(|inner| CompiledCondition::Not(Box::new(inner))),
        };
        condition.fold(Polarity::Restricting, &JOINS, &mut |leaf, _| {
            Some(match leaf {
                Leaf::Test(test) => CompiledCondition::Test(self.test(test)?),
                Leaf::AnyItem(list, condition) => {
                    if list.field.nature() != FieldType::Data {
                        let message = format!("`{}` is no list", list.name);
                        let help = "items stand in `args`, `result` and `params`";
                        self.error(codes::AG1011, &list.span, "", &message, help);
                        return None;
                    }
                    CompiledCondition::AnyItem {
                        list: list.field.clone(),
                        condition: Box::new(self.condition(condition)?),
                    }
                }
                Leaf::Earlier(earlier) => CompiledCondition::Earlier(HistoryThreshold {
                    question: self.question(earlier, false)?,
                    at_least: earlier.at_least,
                    in_a_row: earlier.in_a_row,
                }),
            })
        })
    }

    /// Adds a query on the conversation before an event and returns its number.
    fn question(&mut self, earlier: &Earlier, keeps_texts: bool) -> Option<usize> {
        let mut matches = Vec::with_capacity(earlier.matches.len());
        for item in &earlier.matches {
            matches.push(self.match_item(item)?);
        }
        let when = match &earlier.condition {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        self.questions.push(HistoryQuery {
            kind: earlier.kind,
            matches,
            when,
            keeps_texts,
        });
        self.questions.len().checked_sub(1)
    }

    fn test(&mut self, test: &Test) -> Option<CompiledTest> {
        if matches!(test.field_ref.field, Field::Session(_)) {
            let message = format!("`{}`: sessions are not supported yet", test.field_ref.name);
            let path = test.checks.first().map_or("", |check| &*check.path);
            self.error(codes::AG1017, &test.field_ref.span, path, &message, "");
            return None;
        }
        let checks = condition::each(&test.checks, |check| {
            self.fits_nature(test, check)?;
            let operator = self.operator(&test.field_ref.field, check, &check.operand)?;
            Some(CompiledCheck {
                verb: check.verb,
                quantifier: check.quantifier,
                operator,
            })
        })?;
        Some(CompiledTest {
            field: test.field_ref.field.clone(),
            checks,
        })
    }

    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        path: &str,
        message: &str,
        help: &str,
    ) {
        let message = message.to_owned();
        let report = self.decoder.report(
            Severity::Error,
            code,
            &PolicyPath::root(),
            span.clone(),
            message,
        );
        if let Some(diagnostic) = report {
            diagnostic.path = path.to_owned();
            diagnostic.help = (!help.is_empty()).then(|| help.to_owned());
        }
    }

    pub(crate) fn does_not_fit(&mut self, check: &Check, message: &str, help: &str) {
        self.error(codes::AG1011, &check.span, &check.path, message, help);
    }

    /// Reports an error if the verb does not apply to values of the field.
    fn fits_nature(&mut self, test: &Test, check: &Check) -> Option<()> {
        let verb = check.verb;
        let equality = matches!(
            verb,
            Verb::Equals | Verb::NotEquals | Verb::In | Verb::NotIn | Verb::Exists
        );
        let order = matches!(
            verb,
            Verb::GreaterThan | Verb::AtLeast | Verb::LessThan | Verb::AtMost | Verb::Between
        );
        let fits = match test.field_ref.field.nature() {
            FieldType::Word(_) | FieldType::Bool => equality,
            FieldType::Number => equality || order,
            FieldType::Name | FieldType::NameSet | FieldType::Text => !order && !verb.asks_time(),
            FieldType::Data => !verb.asks_time(),
            FieldType::Time => verb.asks_time(),
            FieldType::History => true,
        };
        if fits {
            return Some(());
        }
        let what = match test.field_ref.field.nature() {
            FieldType::Word(_) => "one of a few words",
            FieldType::Bool => "true or false",
            FieldType::Number => "a number",
            _ if verb.asks_time() => "not the field `time`",
            _ => "a text",
        };
        self.does_not_fit(
            check,
            &format!(
                "`{}` does not apply to `{}`, which is {what}",
                verb.word(),
                test.field_ref.name
            ),
            "",
        );
        None
    }
}

/// Returns whether a condition can match only if the event's text contains something that is searched for.
fn needs_hit(condition: &CompiledCondition) -> bool {
    const JOINS: Joins<bool> = Joins {
        all: Joins::TRUTH.any,
        any: Joins::TRUTH.all,
        not: |_| false,
    };
    condition.fold(Polarity::Restricting, &JOINS, &mut |leaf, _| match leaf {
        Leaf::Test(test) => {
            test.field == Field::Text
                && test.checks.iter().any(|check| {
                    matches!(
                        check.operator,
                        Operator::Contains(_) | Operator::Matches { .. } | Operator::Detects(_)
                    )
                })
        }
        Leaf::AnyItem(..) | Leaf::Earlier(_) => false,
    })
}

/// Returns all parts, or `None` if one of them has an error. All are read, so that every error is reported.
fn all_of(
    parts: &mut dyn Iterator<Item = Option<CompiledCondition>>,
) -> Option<Vec<CompiledCondition>> {
    let parts: Vec<Option<CompiledCondition>> = parts.collect();
    parts.into_iter().collect()
}

fn folded(globs: &[Glob]) -> Vec<Glob> {
    globs
        .iter()
        .map(|glob| glob.folded(|literal| fold_name(literal).into_owned()))
        .collect()
}
