//! Index of rules by the events that they can match. A policy may have thousands of rules that each name a tool or a model.
//! Only the rules that name an event's own tool or model, and those that name none, are evaluated for the event.

use super::field::Field;
use super::joined;
use super::operators::Literal;
use super::text_scan::MatchKinds;
use crate::detect::fold_name;
use crate::event::{Author, Event, Facts, Kind, Known, Turn};
use crate::policy::compiled::{CompiledCondition, CompiledRule, CompiledTest, Operator};
use crate::policy::condition_tree::ConditionTree;
use crate::wire::sort;
use std::ops::Range;

/// Rules of a policy by the events that they can match. Lists of rules are ascending.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Rules for each kind of event, in the order of [`Kind::ALL`].
    kinds: Vec<Rules>,
    /// Rules that may match a tool call of an earlier turn. An agent sends all of its earlier calls with every request, and
    /// hardly any rule applies to them.
    earlier_calls: Rules,
}

/// Rules for one kind of event. Each is in exactly one of the lists after `all`.
#[derive(Debug, Default)]
struct Rules {
    /// All rules.
    all: Vec<u16>,
    /// Rules that are evaluated for every event.
    always: Vec<u16>,
    /// Rules that are evaluated if the event's texts contain something that rules search for.
    on_hit: Vec<u16>,
    /// What the rules with `needs_hit` search for in texts of each author, in the order of [`Author::ALL`].
    asks: [MatchKinds; Author::ALL.len()],
    by_tool: ByName,
    by_model: ByName,
}

/// Rules that match only some names.
#[derive(Debug, Default)]
struct ByName {
    /// Folded names, ascending, each with a rule. A name of several rules occurs several times.
    names: Vec<(Box<str>, u16)>,
    /// All of these rules. Each may match if the name is unknown.
    all: Vec<u16>,
}

impl Index {
    pub(crate) fn of(rules: &[CompiledRule]) -> Index {
        let mut kinds: Vec<Rules> = Kind::ALL.iter().map(|_| Rules::default()).collect();
        let mut earlier_calls = Rules::default();
        for (number, rule) in (0u16..=u16::MAX).zip(rules) {
            for (kind, of_kind) in Kind::ALL.iter().zip(&mut kinds) {
                if rule.kinds.contains(*kind) {
                    of_kind.add(number, rule);
                }
            }
            if rule.kinds.contains(Kind::ToolCall) && rule.asks_turn {
                earlier_calls.add(number, rule);
            }
        }
        for rules in kinds.iter_mut().chain([&mut earlier_calls]) {
            rules.by_tool.sort();
            rules.by_model.sort();
        }
        Index {
            kinds,
            earlier_calls,
        }
    }

    fn about(&self, kind: Kind) -> Option<&Rules> {
        self.kinds.get(kind.number())
    }

    /// Returns the rules for a kind of event that may match this event.
    fn about_event(&self, kind: Kind, event: &Event) -> Option<&Rules> {
        match (kind, event.kind, event.turn) {
            (Kind::ToolCall, Kind::ToolCall, Turn::Earlier) => Some(&self.earlier_calls),
            _ => self.about(kind),
        }
    }

    /// Returns what rules with `needs_hit` search for in the event's texts.
    pub(crate) fn asks_texts(&self, event: &Event) -> MatchKinds {
        let mut asked = MatchKinds::default();
        if let Some(rules) = self.about_event(event.kind, event) {
            for (author, asks) in Author::ALL.iter().zip(rules.asks) {
                if matches!(&event.from, Known::Is(from) if from != author) {
                    continue;
                }
                asked.join(asks);
            }
        }
        asked
    }

    /// Returns all rules for a kind of event.
    pub(crate) fn all(&self, kind: Kind) -> &[u16] {
        self.about(kind)
            .map(|rules| rules.all.as_slice())
            .unwrap_or_default()
    }

    /// Returns the rules of one document for a kind of event.
    pub(crate) fn of_chapter(&self, kind: Kind, chapter: &Range<u16>) -> &[u16] {
        among(self.all(kind), chapter)
    }

    /// Returns the rules of a document for a kind of event that can match an event, ascending, and perhaps others.
    /// `has_hit` returns whether the event's texts contain something that rules search for; it is called at most once.
    pub(crate) fn candidates(
        &self,
        kind: Kind,
        chapter: &Range<u16>,
        event: &Event,
        facts: &Facts,
        has_hit: impl FnOnce() -> bool,
    ) -> Candidates<'_> {
        let Some(rules) = self.about_event(kind, event) else {
            return Candidates::default();
        };
        let mut named = rules.about_tool(event, facts);
        let models = &facts.models;
        if models.unknown || models.names.is_empty() {
            named.extend_from_slice(&rules.by_model.all);
        } else if !rules.by_model.all.is_empty() {
            for model in models.names.iter().chain(&models.spellings) {
                rules.by_model.add_to(&mut named, model);
            }
        }
        if !named.is_empty() {
            sort::sort(&mut named);
            named.dedup();
            named.retain(|rule| chapter.contains(rule));
        }
        let on_hit = among(&rules.on_hit, chapter);
        let is_hit = !on_hit.is_empty() && has_hit();
        Candidates {
            always: among(&rules.always, chapter),
            on_hit: if is_hit { on_hit } else { &[] },
            named,
            next_named: 0,
        }
    }

    /// Returns the rules of a document that can match an event only if its texts contain something that they search for.
    pub(crate) fn searching(&self, event: &Event, chapter: &Range<u16>) -> &[u16] {
        let rules = self.about_event(event.kind, event);
        rules.map_or(&[], |rules| among(&rules.on_hit, chapter))
    }

    /// Returns all other rules of a document that can match an event, whatever the models are.
    pub(crate) fn others(&self, event: &Event, facts: &Facts, chapter: &Range<u16>) -> Vec<u16> {
        let Some(rules) = self.about_event(event.kind, event) else {
            return Vec::new();
        };
        let mut others = rules.about_tool(event, facts);
        others.extend(rules.always.iter().chain(&rules.by_model.all));
        others.retain(|rule| chapter.contains(rule));
        others
    }
}

/// Returns the part of an ascending list that belongs to a document.
fn among<'r>(rules: &'r [u16], chapter: &Range<u16>) -> &'r [u16] {
    // Shortcut: nearly every policy has one document.
    if rules.first().is_none_or(|first| *first >= chapter.start)
        && rules.last().is_none_or(|last| *last < chapter.end)
    {
        return rules;
    }
    let start = rules.partition_point(|rule| *rule < chapter.start);
    let end = rules.partition_point(|rule| *rule < chapter.end);
    rules.get(start..end).unwrap_or_default()
}

impl Rules {
    /// Returns the rules that name the tool of an event, or any tool if it is not known.
    fn about_tool(&self, event: &Event, facts: &Facts) -> Vec<u16> {
        let mut named = Vec::new();
        match &event.tool {
            Known::Is(tool) if !self.by_tool.all.is_empty() => {
                self.by_tool.add_to(&mut named, tool);
                if let Some(qualified) = facts.qualified(tool) {
                    self.by_tool.add_to(&mut named, &qualified);
                }
                joined::each(tool, true, &mut |name| {
                    self.by_tool.add_to(&mut named, &name);
                });
            }
            _ => named.extend_from_slice(&self.by_tool.all),
        }
        named
    }

    fn add(&mut self, number: u16, rule: &CompiledRule) {
        self.all.push(number);
        if rule.needs_hit {
            let names = rule.names(&Field::From);
            for (author, asks) in Author::ALL.iter().zip(&mut self.asks) {
                let is_named = |names: &Vec<&str>| names.contains(&&*fold_name(author.word()));
                if names.as_ref().is_none_or(is_named) {
                    asks.join(rule.wants);
                }
            }
        }
        if let Some(names) = rule.names(&Field::Tool) {
            self.by_tool.add(number, names);
        } else if let Some(names) = rule.names(&Field::Model) {
            self.by_model.add(number, names);
        } else if rule.needs_hit {
            self.on_hit.push(number);
        } else {
            self.always.push(number);
        }
    }
}

impl ByName {
    #[inline(never)]
    fn add(&mut self, number: u16, names: Vec<&str>) {
        self.all.push(number);
        for name in names {
            self.names.push((name.into(), number));
        }
    }

    /// Sorts the names, so that the rules of each name are adjacent.
    fn sort(&mut self) {
        sort::sort_by(&mut self.names, |a, b| a.0.cmp(&b.0));
    }

    fn add_to(&self, found: &mut Vec<u16>, name: &str) {
        let name = fold_name(name);
        let name = name.trim();
        let start = self.names.partition_point(|(known, _)| **known < *name);
        let from_there = self.names.get(start..).unwrap_or_default();
        let of_name = from_there.iter().take_while(|(known, _)| **known == *name);
        found.extend(of_name.map(|(_, rule)| *rule));
    }
}

impl CompiledRule {
    /// Returns the folded names of which a field must have one for the rule to match; `None` if any name could match.
    /// Folding is the broadest reading of a name, so that no rule is missed under any reading.
    #[inline(never)]
    fn names(&self, field: &Field) -> Option<Vec<&str>> {
        let mut tests = self.matches.iter();
        tests
            .find_map(|test| test.names(field))
            .or_else(|| self.when.as_ref()?.names(field))
    }
}

impl CompiledCondition {
    /// Returns the folded names of which a field must have one for the condition to match. Only a test, or an `all` with
    /// such a test, restricts the names.
    fn names(&self, field: &Field) -> Option<Vec<&str>> {
        match self {
            ConditionTree::Test(test) => test.names(field),
            ConditionTree::All(parts) => parts.iter().find_map(|part| part.names(field)),
            _ => None,
        }
    }
}

impl CompiledTest {
    fn names(&self, field: &Field) -> Option<Vec<&str>> {
        let mut checks = self.checks.iter().filter(|_| self.field == *field);
        checks.find_map(|check| match &check.operator {
            Operator::Equality(equality) if !equality.negative => equality
                .literals
                .iter()
                .map(|literal| match literal {
                    Literal::Text { folded, .. } => Some(&**folded),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }
}

/// Iterator over rules, ascending.
#[derive(Debug, Default)]
pub(crate) struct Candidates<'i> {
    always: &'i [u16],
    on_hit: &'i [u16],
    named: Vec<u16>,
    next_named: usize,
}

impl Iterator for Candidates<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let named = self.named.get(self.next_named);
        let least = [self.always.first(), self.on_hit.first(), named]
            .into_iter()
            .flatten()
            .min()
            .copied()?;
        // Each rule is in one list.
        if named == Some(&least) {
            self.next_named = self.next_named.wrapping_add(1);
        } else if self.always.first() == Some(&least) {
            self.always = self.always.get(1..).unwrap_or_default();
        } else {
            self.on_hit = self.on_hit.get(1..).unwrap_or_default();
        }
        Some(least)
    }
}
