//! Search for events, combined from values in conditions, that two policies decide differently. Such an event is a witness.

use super::meaning::{Formula, Meaning, RuleMeaning, TestLiteral, TestOperand};
use super::sample::{Sample, ask_of_texts, samples};
use crate::author::sample_event::SampleEvent;
use crate::event::{Author, Facts, Kind, Known, Models, Part, Turn};
use crate::policy::default_principal;
use crate::policy::field::{Field, RequestField, UsageField};
use crate::policy::node::{Member, Node, NodeValue};
use crate::policy::operators::Verb;
use crate::wire::json::{JsonPath, PathStep};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum events that are generated. In large policies not every rule is combined with every other.
const MOST_CANDIDATES: usize = 40_000;

/// Maximum values of one field.
const MOST_VALUES: usize = 64;

/// Maximum values of one field that only one of two policies has.
const MOST_CHANGED: usize = 256;

/// Maximum rules whose fields are combined with the events of another.
const MOST_OTHERS: usize = 64;

/// Maximum alternatives of a field that are combined.
const MOST_ALTERNATIVES: usize = 6;

/// Maximum ways to make a rule match that are tried.
const MOST_WAYS: usize = 24;

/// Field with its value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::author) struct Assignment {
    pub(in crate::author) field: String,
    pub(in crate::author) sample: Sample,
}

/// Event as a list of assignments.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::author) struct Candidate {
    pub(in crate::author) kind: Kind,
    pub(in crate::author) assignments: Vec<Assignment>,
}

impl Candidate {
    /// Returns the event and its exchange. Everything that was not assigned is unknown.
    pub(in crate::author) fn described(&self) -> (SampleEvent, Facts) {
        let mut event = SampleEvent::new(self.kind);
        let mut facts = Facts::unknown();
        event.tool = Known::Is("some_tool".into());
        event.from = Known::Is(Author::User);
        if matches!(self.kind, Kind::ToolCall) {
            event.args = Known::Is(node(NodeValue::Map(Vec::new())));
        }
        for assignment in &self.assignments {
            if let Ok(field) = Field::parse(&assignment.field) {
                assign(&field, &assignment.sample, &mut event, &mut facts);
            }
        }
        (event, facts)
    }

    /// Returns a copy with another value for one field.
    fn with(&self, field: &str, sample: Sample) -> Candidate {
        let mut other = self.clone();
        other
            .assignments
            .retain(|assignment| assignment.field != field);
        other.assignments.push(Assignment {
            field: field.to_owned(),
            sample,
        });
        other
    }

    /// Returns copies with another value for alternatives of a field: for all of them, for one alone, and for one beside the
    /// others with the value that the field has.
    fn with_alternatives(
        &self,
        assigned: &Assignment,
        names: &[String],
        sample: &Sample,
    ) -> Vec<Candidate> {
        let mut bare = self.clone();
        bare.assignments
            .retain(|assignment| assignment.field != assigned.field);
        let all = |sample: &Sample| {
            let given = |all: Candidate, name: &String| all.with(name, sample.clone());
            names.iter().fold(bare.clone(), given)
        };
        let mut found = Vec::new();
        if names.is_empty() {
            return found;
        }
        found.push(all(sample));
        for name in names {
            found.push(bare.with(name, sample.clone()));
            found.push(all(&assigned.sample).with(name, sample.clone()));
        }
        found
    }
}

/// Returns the fields of a field with alternatives, `args.a|b`; none of others.
fn alternatives(field: &str) -> Vec<String> {
    let field = Field::parse(field).ok();
    let (path, named): (&JsonPath, fn(JsonPath) -> Field) = match &field {
        Some(Field::Args(path)) => (path, Field::Args),
        Some(Field::Params(path)) => (path, Field::Params),
        Some(Field::Result(path)) => (path, Field::Result),
        _ => return Vec::new(),
    };
    if !(2..=MOST_ALTERNATIVES).contains(&path.ways.len()) {
        return Vec::new();
    }
    let each = path.ways.iter().map(|way| {
        let path = JsonPath {
            ways: vec![way.clone()],
        };
        named(path).name()
    });
    each.collect()
}

/// Returns events worth evaluating: for each rule those that should make it match, and each of them with one field changed
/// to a value of some rule. Rules that only one of two policies has come first. `guards` are the conditions under which
/// documents apply.
pub(super) fn candidates(old: &Meaning, new: &Meaning, guards: &[&Formula]) -> Vec<Candidate> {
    let rules = changed_first(old, new);
    let mut values: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
    // Values that only one policy has come first, however long the lists are.
    let changed = changed_values(old, new);
    for (field, asks) in &changed {
        let known = values.entry(field).or_default();
        let ranges = |ask: &&TestOperand| matches!(ask, TestOperand::Order(_));
        let fitting = asks.iter().flat_map(|ask| samples(ask, true));
        // Beside the bounds of one policy lies what the other one takes.
        let beside = asks.iter().filter(ranges);
        let found = fitting.chain(beside.flat_map(|ask| samples(ask, false)));
        known.extend(found.take(MOST_CHANGED));
    }
    for rule in &rules {
        rule.formula.each(&mut |literal| {
            let known = values.entry(&literal.field).or_default();
            let changed = changed.get(&*literal.field).map_or(0, Vec::len);
            if known.len() >= MOST_VALUES.saturating_add(changed.min(MOST_CHANGED)) {
                return;
            }
            for sample in samples(&literal.ask, true)
                .into_iter()
                .chain(samples(&literal.ask, false))
                .chain([Sample::Missing, Sample::Unknown])
            {
                // Every call has a tool.
                if literal.field == "tool" && sample == Sample::Missing {
                    continue;
                }
                if !known.contains(&sample) {
                    known.push(sample);
                }
            }
        });
    }
    let mut found = Vec::new();
    for kind in Kind::ALL {
        // An event that no rule applies to.
        found.push(Candidate {
            kind: *kind,
            assignments: Vec::new(),
        });
    }
    // A caller in the audience of a document, and a caller outside.
    for guard in guards {
        for assignments in solve(guard) {
            let fitting = Candidate {
                kind: Kind::Request,
                assignments,
            };
            guard.each(&mut |literal| {
                let others = samples(&literal.ask, false).into_iter();
                found.extend(others.map(|other| fitting.with(&literal.field, other)));
            });
            found.push(fitting);
        }
    }
    for rule in &rules {
        if found.len() >= MOST_CANDIDATES {
            break;
        }
        let bases = ways(rule);
        // Typical events come first: they make the simplest witnesses.
        found.extend(bases.iter().cloned());
        for base in bases {
            for assignment in &base.assignments {
                let others = values.get(assignment.field.as_str());
                let names = alternatives(&assignment.field);
                for sample in others.into_iter().flatten() {
                    found.push(base.with(&assignment.field, sample.clone()));
                    found.extend(base.with_alternatives(assignment, &names, sample));
                }
            }
            // A field of another rule about the same kind of event.
            let about_such = rules.iter().filter(|other| other.kinds.contains(base.kind));
            for other in about_such.take(MOST_OTHERS) {
                other.formula.each(&mut |literal| {
                    let fits = !literal.negated;
                    if let Some(sample) = samples(&literal.ask, fits).into_iter().next() {
                        found.push(base.with(&literal.field, sample));
                    }
                });
            }
        }
    }
    found
}

/// Returns the operands of each field that only one of two policies has, each value on its own.
fn changed_values(old: &Meaning, new: &Meaning) -> BTreeMap<String, Vec<TestOperand>> {
    let asked = |meaning: &Meaning| -> BTreeMap<(String, String), TestOperand> {
        let mut asked = BTreeMap::new();
        for rule in &meaning.rules {
            rule.formula.each(&mut |literal| {
                for ask in literal.ask.single() {
                    asked.insert((literal.field.clone(), format!("{ask:?}")), ask);
                }
            });
        }
        asked
    };
    let (old, new) = (asked(old), asked(new));
    let only = |here: &BTreeMap<(String, String), TestOperand>,
                there: &BTreeMap<(String, String), TestOperand>| {
        let only = here.iter().filter(|(key, _)| !there.contains_key(*key));
        Vec::from_iter(only.map(|((field, _), ask)| (field.clone(), ask.clone())))
    };
    let mut changed: BTreeMap<String, Vec<TestOperand>> = BTreeMap::new();
    for (field, ask) in only(&old, &new).into_iter().chain(only(&new, &old)) {
        changed.entry(field).or_default().push(ask);
    }
    changed
}

/// Returns the rules of two policies, first those that the other one does not have.
fn changed_first<'m>(old: &'m Meaning, new: &'m Meaning) -> Vec<&'m RuleMeaning> {
    let normals = |meaning: &Meaning| -> BTreeSet<String> {
        meaning.rules.iter().map(RuleMeaning::normal).collect()
    };
    let (in_old, in_new) = (normals(old), normals(new));
    let (changed, kept): (Vec<_>, Vec<_>) = old
        .rules
        .iter()
        .map(|rule| (rule, &in_new))
        .chain(new.rules.iter().map(|rule| (rule, &in_old)))
        .partition(|(rule, others)| !others.contains(&rule.normal()));
    changed
        .into_iter()
        .chain(kept)
        .map(|(rule, _)| rule)
        .collect()
}

/// Returns events that should make a rule match, one for each of its kinds and each of its alternatives.
pub(super) fn ways(rule: &RuleMeaning) -> Vec<Candidate> {
    let mut found = Vec::new();
    for kind in rule.kinds.iter() {
        for assignments in solve(&rule.formula) {
            found.push(Candidate { kind, assignments });
        }
    }
    found
}

/// Returns events that should make two rules match at once.
pub(in crate::author) fn together(a: &RuleMeaning, b: &RuleMeaning) -> Vec<Candidate> {
    let mut found = Vec::new();
    for kind in a.kinds.iter().filter(|kind| b.kinds.contains(*kind)) {
        for one in solve(&a.formula) {
            for other in solve(&b.formula) {
                for (first, second) in [(&one, &other), (&other, &one)] {
                    let mut assignments = first.clone();
                    for assignment in second {
                        if !assignments
                            .iter()
                            .any(|known| known.field == assignment.field)
                        {
                            assignments.push(assignment.clone());
                        }
                    }
                    let candidate = Candidate { kind, assignments };
                    if !found.contains(&candidate) {
                        found.push(candidate);
                    }
                }
            }
        }
    }
    found
}

/// Returns assignments that should make a formula true.
pub(super) fn solve(formula: &Formula) -> Vec<Vec<Assignment>> {
    match formula {
        Formula::Literal(literal) => solve_literal(literal),
        Formula::Any(parts) => {
            let mut ways: Vec<Vec<Assignment>> = parts.iter().flat_map(solve).collect();
            ways.truncate(MOST_WAYS);
            ways
        }
        Formula::All(parts) => {
            let mut ways: Vec<Vec<Assignment>> = vec![Vec::new()];
            // Negated parts come first, so that positive ones override them.
            let mut parts: Vec<&Formula> = parts.iter().collect();
            parts.sort_by_key(|part| !matches!(part, Formula::Literal(literal) if literal.negated));
            for part in parts {
                let mut next = Vec::new();
                let inner = solve(part);
                for way in &ways {
                    for assignments in &inner {
                        let mut joined = way.clone();
                        for assignment in assignments {
                            joined.retain(|known: &Assignment| known.field != assignment.field);
                            joined.push(assignment.clone());
                        }
                        next.push(joined);
                        if next.len() >= MOST_WAYS {
                            break;
                        }
                    }
                }
                next.truncate(MOST_WAYS);
                ways = next;
            }
            ways
        }
    }
}

fn solve_literal(literal: &TestLiteral) -> Vec<Vec<Assignment>> {
    if let TestOperand::Keyed { verb, key, lists } = &literal.ask {
        return solve_keyed(literal, *verb, key, lists);
    }
    let samples = samples(&literal.ask, !literal.negated);
    let most = if literal.field == "time" {
        samples.len()
    } else {
        2
    };
    samples
        .into_iter()
        .take(most)
        .map(|sample| {
            vec![Assignment {
                field: literal.field.clone(),
                sample,
            }]
        })
        .collect()
}

/// Returns assignments of each key with a value of its list.
fn solve_keyed(
    literal: &TestLiteral,
    verb: Verb,
    key: &str,
    lists: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<Vec<Assignment>> {
    let assign = |field: &str, sample: Sample| Assignment {
        field: field.to_owned(),
        sample,
    };
    let each = lists.iter().take(MOST_WAYS).flat_map(|(name, texts)| {
        let found = samples(&ask_of_texts(verb, texts), !literal.negated);
        let first = found.into_iter().next();
        first.map(|sample| {
            vec![
                assign(key, Sample::text(name)),
                assign(&literal.field, sample),
            ]
        })
    });
    each.collect()
}

fn node(data: NodeValue) -> Node {
    Node { span: 0..0, data }
}

fn texts(node: &Node) -> Vec<Box<str>> {
    match &node.data {
        NodeValue::String(text) => vec![text.clone()],
        NodeValue::List(items) => items.iter().flat_map(texts).collect(),
        NodeValue::Number(text) => vec![text.clone()],
        NodeValue::Bool(value) => vec![value.to_string().into()],
        NodeValue::Null | NodeValue::Map(_) => Vec::new(),
    }
}

fn assign(field: &Field, sample: &Sample, event: &mut SampleEvent, facts: &mut Facts) {
    let known = || -> Known<Box<str>> {
        match sample {
            Sample::Missing => Known::Missing,
            Sample::Unknown => Known::Unknown,
            Sample::Is(node) => texts(node).into_iter().next().into(),
            Sample::Before(_) => Known::Unknown,
        }
    };
    let several = || -> Known<Vec<Box<str>>> {
        match sample {
            Sample::Missing => Known::Missing,
            Sample::Unknown => Known::Unknown,
            Sample::Is(node) => Known::Is(texts(node)),
            Sample::Before(_) => Known::Unknown,
        }
    };
    let one = || match known() {
        Known::Is(text) => Some(text),
        _ => None,
    };
    let count = || one().and_then(|text| text.parse::<u64>().ok());
    let flag = || one().map(|text| &*text == "true");
    let mut by = |give: &dyn Fn(&mut crate::event::Principal)| {
        if facts.principal.is_anonymous() {
            facts.principal = default_principal();
        }
        give(&mut facts.principal);
    };
    match field {
        Field::In => {
            event.direction = one().and_then(|word| crate::event::Direction::from_word(&word));
        }
        Field::Protocol => facts.protocol = known(),
        Field::Provider => facts.provider = known(),
        Field::Server => facts.server = known(),
        Field::Host => facts.host = known(),
        Field::Path => facts.paths = several(),
        Field::Method => facts.method = known(),
        Field::Environment => facts.environment = known(),
        Field::Model => {
            let names = several().value().cloned().unwrap_or_default();
            facts.models = Models::of(names.iter().map(|name| &**name));
            facts.models.unknown |= *sample == Sample::Unknown;
        }
        Field::Client => by(&|principal| principal.client = known()),
        Field::Tenant => by(&|principal| principal.tenant = known()),
        Field::Agent => by(&|principal| principal.agent = known()),
        Field::Roles => by(&|principal| principal.roles = several()),
        Field::Principal(name) => by(&|principal| match (&**name, sample) {
            ("id", _) => principal.id = known(),
            (name, Sample::Is(node)) => {
                let values = Known::Is(texts(node));
                principal.claims.insert(name.into(), values);
            }
            (name, Sample::Unknown) => {
                principal.claims.insert(name.into(), Known::Unknown);
            }
            (name, _) => {
                principal.claims.remove(name);
            }
        }),
        Field::Header(name) => {
            facts.headers.retain(|(known, _)| known != name);
            if let Some(text) = one() {
                facts.headers.push((name.clone(), text.as_bytes().into()));
            }
        }
        Field::Time => {
            facts.time = one()
                .and_then(|text| text.parse::<jiff::Timestamp>().ok())
                .and_then(|time| u64::try_from(time.as_nanosecond()).ok());
        }
        Field::Request(field) => match field {
            RequestField::MessageCount => facts.request.message_count = count(),
            RequestField::EstimatedTokens => facts.request.estimated_tokens = count(),
            RequestField::Bytes => facts.request.bytes = count(),
            RequestField::MaxTokens => facts.request.max_tokens = count(),
            RequestField::Stream => facts.request.stream = flag(),
            RequestField::Tools => facts.request.tools = several().value().cloned(),
            RequestField::Region => facts.request.region = known(),
            RequestField::Roles(_) => {}
        },
        Field::Params(path) => put(&mut event.params, path, sample),
        Field::Args(path) => put(&mut event.args, path, sample),
        Field::Result(path) => put(&mut event.result, path, sample),
        Field::Text | Field::Definition => {
            event.texts = several().value().cloned().unwrap_or_default();
            // A call's text is in its arguments.
            if let (Kind::ToolCall, Sample::Is(node)) = (event.kind, sample) {
                let path = JsonPath {
                    ways: vec![vec![PathStep::Key("text".into())]],
                };
                put(&mut event.args, &path, &Sample::Is(node.clone()));
            }
        }
        Field::From => {
            event.from = match known() {
                Known::Is(word) => Author::from_word(&word).into(),
                Known::Missing => Known::Missing,
                Known::Unknown => Known::Unknown,
            }
        }
        Field::Part => {
            event.part = one()
                .and_then(|word| Part::from_word(&word))
                .unwrap_or(Part::Text);
        }
        Field::Turn => {
            event.turn = one()
                .and_then(|word| Turn::from_word(&word))
                .unwrap_or(Turn::Latest);
        }
        Field::Tool => event.tool = known(),
        Field::ProviderRun => event.provider_run = flag().unwrap_or(false),
        Field::Unoffered => event.unoffered = flag().map_or(Known::Unknown, Known::Is),
        Field::Ok => event.ok = flag().into(),
        Field::Usage(field) => {
            let usage = &mut event.usage;
            match field {
                UsageField::Input => usage.input_tokens = count(),
                UsageField::Output => usage.output_tokens = count(),
                UsageField::Cached => usage.cached_tokens = count(),
                UsageField::Reasoning => usage.reasoning_tokens = count(),
            }
        }
        Field::Finish => event.finish = one(),
        Field::Code => {
            event.code = one().and_then(|code| crate::diag::codes::find(&code).map(|code| code.id));
        }
        Field::Class => {
            event.class = one().and_then(|class| crate::author::sample_event::class(&class))
        }
        Field::ContentType => facts.content_type = one(),
        Field::Earlier => {
            event.earlier = match sample {
                Sample::Before(events) => {
                    Some(events.iter().map(|event| event.described().0).collect())
                }
                Sample::Missing => Some(Vec::new()),
                _ => None,
            }
        }
        Field::Session(_) | Field::Uri | Field::Item(_) => {}
    }
}

/// Sets a value at the first place of a path.
pub(super) fn put(root: &mut Known<Node>, path: &JsonPath, sample: &Sample) {
    let Sample::Is(value) = sample else {
        if *sample == Sample::Unknown {
            *root = Known::Unknown;
        } else if path.is_whole() {
            *root = Known::Missing;
        }
        return;
    };
    let steps: &[PathStep] = path.ways.first().map(Vec::as_slice).unwrap_or_default();
    let mut tree = match std::mem::take(root) {
        Known::Is(node) => node,
        _ => node(NodeValue::Null),
    };
    put_at(&mut tree, steps, value);
    *root = Known::Is(tree);
}

fn put_at(tree: &mut Node, steps: &[PathStep], value: &Node) {
    let Some((step, rest)) = steps.split_first() else {
        *tree = value.clone();
        return;
    };
    match step {
        PathStep::Key(name) | PathStep::Anywhere(name) => {
            if !matches!(tree.data, NodeValue::Map(_)) {
                tree.data = NodeValue::Map(Vec::new());
            }
            let NodeValue::Map(members) = &mut tree.data else {
                return;
            };
            if !members.iter().any(|member| member.key == *name) {
                members.push(Member {
                    key: name.clone(),
                    key_span: 0..0,
                    value: node(NodeValue::Null),
                });
            }
            if let Some(member) = members.iter_mut().find(|member| member.key == *name) {
                put_at(&mut member.value, rest, value);
            }
        }
        PathStep::Index(_) | PathStep::Every => {
            let at = match step {
                PathStep::Index(at) => (*at).min(16),
                _ => 0,
            };
            if !matches!(tree.data, NodeValue::List(_)) {
                tree.data = NodeValue::List(Vec::new());
            }
            let NodeValue::List(items) = &mut tree.data else {
                return;
            };
            while items.len() <= at {
                items.push(node(NodeValue::Null));
            }
            if let Some(item) = items.get_mut(at) {
                put_at(item, rest, value);
            }
        }
    }
}
