//! Key `limit`: a rule that matches once something has happened too often, or its sum is too high.

use super::decode::{Decoder, PolicyPath};
use super::field::Kinds;
use super::field::{Field, FieldType};
use super::field_ref::{self, FieldRef};
use super::glob::{Glob, GlobReading};
use super::grammar::{LimitKey, PriceKey, WindowKey};
use super::node::{Node, NodeValue};
use super::session::{self, SessionSource};
use super::words::Counted;
use crate::diag::codes;
use crate::event::Kind;
use crate::wire::json::Decimal;
use crate::wire::letter_case;
use std::ops::Range;

/// Measured quantity of a limit.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Number of things.
    Count(Counted),
    /// Sum of a field's values, by its path.
    Sum(Box<str>),
    /// Sum of the costs of responses, in US dollars.
    Cost,
}

/// When a limit is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charging {
    /// With the event.
    Now,
    /// With the event by an estimate, which is corrected at the end of the exchange.
    Reserved,
    /// At the end of the exchange.
    AtEnd,
}

/// Price of a model's tokens, in millionths of a dollar per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Price of input tokens.
    pub input: u64,
    /// Price of output tokens.
    pub output: u64,
}

impl Price {
    /// Returns the cost of these numbers of tokens in millionths of a dollar, rounded up.
    pub fn of(&self, input: u64, output: u64) -> u64 {
        let of = |tokens: u64, price: u64| u128::from(tokens).saturating_mul(u128::from(price));
        let cost = of(input, self.input).saturating_add(of(output, self.output));
        u64::try_from(cost.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// Price table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// Models by their names, with globs. If several match, the highest price applies.
    models: Vec<(Box<str>, Glob, Price)>,
    otherwise: Option<Price>,
}

impl Prices {
    /// Returns the price of a model.
    pub fn of(&self, model: &str) -> Option<Price> {
        self.listed(model).or(self.otherwise)
    }

    /// Returns the price of a model that the policy names.
    pub(crate) fn listed(&self, model: &str) -> Option<Price> {
        let name = letter_case::lower(model);
        let fits = self
            .models
            .iter()
            .filter(|(_, glob, _)| glob.matches(&name, GlobReading::Broad));
        fits.map(|(.., price)| *price).reduce(Prices::dearer)
    }

    /// Returns the price of an unknown model.
    pub fn of_unknown(&self) -> Option<Price> {
        self.otherwise
    }

    /// Returns the higher of two prices, separately for input and output.
    pub fn dearer(a: Price, b: Price) -> Price {
        Price {
            input: a.input.max(b.input),
            output: a.output.max(b.output),
        }
    }
}

/// Time over which a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Consecutive windows of this length in seconds.
    Fixed(u64),
    /// Sliding window of this length in seconds.
    Sliding(u64),
    /// The whole session.
    Session,
}

/// Dimension of a limit: each value has its own counter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Per {
    /// Session.
    Session,
    /// Address of the client.
    Address,
    /// Value of a field.
    Field(FieldRef),
}

/// Limit of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Measured quantity.
    pub measure: Measure,
    /// Maximum before the rule matches.
    pub max: Decimal,
    /// Time over which the limit counts.
    pub window: Window,
    /// Prices of models, for a sum of costs.
    pub prices: Prices,
    /// Sources of the session, in the order in which they are tried.
    pub session: Vec<SessionSource>,
    pub(crate) span: Range<usize>,
    pub(crate) path: String,
    per: Vec<Per>,
    sum: Option<FieldRef>,
}

/// Decimal places of a sum, which is counted in millionths.
const SUM_PLACES: u32 = 6;

impl Limit {
    /// Maximum of distinct tools that a limit may allow. This number is counted exactly.
    pub const MAX_TOOLS: u64 = 64;

    /// Returns the names of the dimensions, as written.
    pub fn per(&self) -> impl Iterator<Item = &str> {
        self.per.iter().map(|per| match per {
            Per::Session => "session",
            Per::Address => "address",
            Per::Field(field_ref) => &*field_ref.name,
        })
    }

    /// Returns the dimensions of the limit.
    pub(crate) fn counters(&self) -> &[Per] {
        &self.per
    }

    /// Returns whether each session has its own counter.
    pub fn is_per_session(&self) -> bool {
        self.per.contains(&Per::Session)
    }

    /// Returns the path of the limit in the document.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the fields that the limit names.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &FieldRef> {
        let per = self.per.iter().filter_map(|per| match per {
            Per::Field(field_ref) => Some(field_ref),
            Per::Session | Per::Address => None,
        });
        per.chain(&self.sum)
    }

    /// Returns the kind of event that the limit counts; `None` for a sum, which depends on the rule.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self.measure {
            Measure::Count(
                Counted::ToolCalls
                | Counted::ToolCallAttempts
                | Counted::IdenticalToolCalls
                | Counted::DistinctTools,
            ) => Some(Kind::ToolCall),
            Measure::Count(_) | Measure::Cost => Some(Kind::Request),
            Measure::Sum(_) => None,
        }
    }

    /// Returns the field whose values are summed.
    pub(crate) fn summed(&self) -> Option<&Field> {
        self.sum.as_ref().map(|field_ref| &field_ref.field)
    }

    /// Returns whether the limit counts events of these kinds.
    pub(crate) fn counts(&self, kinds: Kinds) -> bool {
        match self.kind() {
            Some(kind) => kinds == Kinds::of(&[kind]),
            None => [Kind::Request, Kind::ToolCall]
                .iter()
                .any(|kind| kinds == Kinds::of(&[*kind])),
        }
    }

    /// Returns when the limit is charged.
    pub fn charging(&self) -> Charging {
        match self.measure {
            Measure::Sum(_)
            | Measure::Count(
                Counted::Requests
                | Counted::ToolCalls
                | Counted::ToolCallAttempts
                | Counted::IdenticalToolCalls
                | Counted::DistinctTools,
            ) => Charging::Now,
            Measure::Cost
            | Measure::Count(
                Counted::Tokens
                | Counted::InputTokens
                | Counted::OutputTokens
                | Counted::Bytes
                | Counted::ConcurrentRequests,
            ) => Charging::Reserved,
            Measure::Count(Counted::Denials | Counted::ConsecutiveDenials | Counted::Failures) => {
                Charging::AtEnd
            }
        }
    }

    /// Returns whether each distinct tool counts once.
    pub(crate) fn is_distinct(&self) -> bool {
        self.measure == Measure::Count(Counted::DistinctTools)
    }

    /// Returns whether the output of a response counts.
    pub fn counts_output(&self) -> bool {
        matches!(
            self.measure,
            Measure::Cost | Measure::Count(Counted::Tokens | Counted::OutputTokens)
        )
    }

    /// Returns the units of one: sums are counted in millionths.
    pub fn unit(&self) -> u64 {
        match self.measure {
            Measure::Count(_) => 1,
            Measure::Sum(_) | Measure::Cost => 10u64.saturating_pow(SUM_PLACES),
        }
    }

    /// Returns the maximum in units.
    pub fn max_units(&self) -> u64 {
        self.units(&self.max)
    }

    /// Returns a number in units, rounded down.
    pub fn units(&self, number: &Decimal) -> u64 {
        let units = number.scaled(self.places());
        units.map_or(u64::MAX, |(units, _)| units)
    }

    /// Returns the decimal places of the units.
    pub(crate) fn places(&self) -> u32 {
        match self.measure {
            Measure::Count(_) => 0,
            Measure::Sum(_) | Measure::Cost => SUM_PLACES,
        }
    }

    /// Returns what the limit counts, for the names of its counters. It does not include `max`, so that the counters
    /// survive a change of `max`.
    pub fn definition(&self) -> String {
        let measure = match &self.measure {
            Measure::Count(counted) => counted.word(),
            Measure::Sum(path) => path,
            Measure::Cost => "usage.cost_usd",
        };
        let per = crate::wire::sort::set(self.per());
        let per: Vec<&str> = per.iter().copied().collect();
        format!("{measure} {:?} {}", self.window, per.join(" "))
    }

    /// Returns a description for people: `100 requests in 1h`.
    pub fn describe(&self) -> String {
        let what = match &self.measure {
            Measure::Count(counted) => counted.word().replace('_', " "),
            Measure::Sum(path) => format!("of `{path}`"),
            Measure::Cost => "US dollars".to_owned(),
        };
        let time = match self.window {
            Window::Fixed(seconds) | Window::Sliding(seconds) => format!("in {}", span(seconds)),
            Window::Session => "in a session".to_owned(),
        };
        format!("{} {what} {time}", self.max)
    }
}

/// Returns a time span with its unit: `90` as `90s`, `3600` as `1h`.
fn span(seconds: u64) -> String {
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let fits = |(length, _): &(u64, char)| seconds >= *length && seconds.is_multiple_of(*length);
    match units.into_iter().find(fits) {
        Some((length, unit)) => format!("{}{unit}", seconds.div_euclid(length)),
        None => format!("{seconds}s"),
    }
}

pub(crate) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Limit> {
    let mut measures = Vec::new();
    let mut sum = None;
    let mut per = Vec::new();
    let mut max = None;
    let mut window = None;
    let mut prices = None;
    let mut session = None;
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            LimitKey::Count => {
                let counted = decoder.one_of(&at, value)?;
                measures.push(Measure::Count(counted));
            }
            LimitKey::Sum => {
                let path = decoder.text(&at, value)?;
                // The cost of a response is computed from its tokens; it is not a field.
                if &*path == "usage.cost_usd" {
                    measures.push(Measure::Cost);
                    continue;
                }
                if let Some(counted) = Counted::from_word(&path) {
                    let message = format!("`{path}` is counted, not added up from a field");
                    let help = format!("write `count: {}`", counted.word());
                    decoder.error(codes::AG1011, &at, &value.span, &message, &help);
                    return None;
                }
                let field_ref = field_ref::read_field_ref(decoder, &at, &path, &value.span)?;
                if !matches!(
                    field_ref.field.nature(),
                    FieldType::Number | FieldType::Data
                ) {
                    let message = format!("`{path}` is no number that could be added up");
                    let help = "name a number, such as `args.amount`, or count: `count: requests`, `count: tokens`";
                    decoder.error(codes::AG1011, &at, &value.span, &message, help);
                    return None;
                }
                sum = Some(field_ref);
                measures.push(Measure::Sum(path));
            }
            LimitKey::Per => {
                for path in decoder.names(&at, value)? {
                    let name = match &*path {
                        "session" => {
                            per.push(Per::Session);
                            continue;
                        }
                        "address" => {
                            per.push(Per::Address);
                            continue;
                        }
                        "principal" => "principal.id",
                        name => name,
                    };
                    let field_ref = field_ref::read_field_ref(decoder, &at, name, &value.span)?;
                    if matches!(field_ref.field, Field::Text | Field::Time | Field::Earlier) {
                        let message = format!("`{path}` does not distinguish callers");
                        let help =
                            "for example `tenant`, `client`, `session` or `args.customer_id`";
                        decoder.error(codes::AG1011, &at, &value.span, &message, help);
                        return None;
                    }
                    per.push(Per::Field(field_ref));
                }
            }
            LimitKey::Max => {
                let number = match &value.data {
                    NodeValue::Number(text) => Decimal::parse(text),
                    _ => None,
                };
                if number.as_ref().is_none_or(Decimal::is_negative) {
                    let message = "a number that is not negative is expected here";
                    decoder.error(
                        codes::AG1011,
                        &at,
                        &value.span,
                        message,
                        "write the most that is free, for example `max: 500`",
                    );
                    return None;
                }
                max = number.zip(Some(value.span.clone()));
            }
            LimitKey::Window => window = Some(read_window(decoder, &at, value)?),
            LimitKey::Prices => prices = Some(read_prices(decoder, &at, value)?),
            LimitKey::Session => session = Some(session::read(decoder, &at, value)?),
        }
    }
    let missing = |what: &'static str, help: &'static str, decoder: &mut Decoder| {
        decoder.error(codes::AG1006, at, &node.span, what, help);
    };
    let (1, Some(measure)) = (measures.len(), measures.pop()) else {
        let help = "for example `count: tool_calls` or `sum: args.amount`";
        missing("either `count` or `sum` is required", help, decoder);
        return None;
    };
    decoder.has_required::<LimitKey>(at, node, &node.span);
    let (max, max_span) = max?;
    if matches!(window, Some(Window::Fixed(0) | Window::Sliding(0))) {
        let message = "a window of no time counts nothing";
        let help = "write for example `window: 24h`, or `per: session` without a window";
        decoder.error(codes::AG1011, &at.key("window"), &node.span, message, help);
        return None;
    }
    if window.is_none() && !per.contains(&Per::Session) {
        let help = "for example `window: 24h`; only a limit `per: session` can do without";
        missing("`window` is missing", help, decoder);
        return None;
    }
    if (measure == Measure::Cost) != prices.is_some() {
        let (message, help) = match &prices {
            None => (
                "`prices` is missing",
                "for example `prices: { \"gpt-4o*\": { input: 2.5, output: 10 } }`: US dollars for a million tokens",
            ),
            Some(_) => (
                "`prices` means nothing here",
                "it belongs to `sum: usage.cost_usd`",
            ),
        };
        decoder.error(codes::AG1006, at, &node.span, message, help);
        return None;
    }
    let is_distinct = measure == Measure::Count(Counted::DistinctTools);
    if is_distinct && max.scaled(0).is_none_or(|(max, _)| max > Limit::MAX_TOOLS) {
        let message = format!("at most {} distinct tools are kept apart", Limit::MAX_TOOLS);
        let help = format!("write at most `max: {}`", Limit::MAX_TOOLS);
        decoder.error(codes::AG1011, &at.key("max"), &node.span, &message, &help);
        return None;
    }
    if session.is_some() && !per.contains(&Per::Session) {
        let help = "it belongs to `per: session`";
        decoder.error(
            codes::AG1015,
            &at.key("session"),
            &node.span,
            "`session` means nothing here",
            help,
        );
        return None;
    }
    let limit = Limit {
        prices: prices.unwrap_or_default(),
        session: session.unwrap_or_else(|| SessionSource::OF_LIMITS.to_vec()),
        measure,
        max,
        window: window.unwrap_or(Window::Session),
        span: node.span.clone(),
        path: at.path(),
        per,
        sum,
    };
    if !matches!(limit.max.scaled(limit.places()), Some((_, true))) {
        let message = "no counter can reach this number exactly";
        decoder.error(codes::AG1011, &at.key("max"), &max_span, message, "");
        return None;
    }
    Some(limit)
}

/// Reads `1h` or `{ fixed: 1h }`, or `{ sliding: 1h }`.
fn read_window(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Window> {
    if !matches!(node.data, NodeValue::Map(_)) {
        return decoder.seconds(at, node).map(Window::Fixed);
    }
    let mut window = None;
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        if window.is_some() {
            let message = "a window is either `fixed` or `sliding`";
            decoder.error(
                codes::AG1011,
                &at,
                &member.value.span,
                message,
                "leave one of them out",
            );
            return None;
        }
        let seconds = decoder.seconds(&at, &member.value)?;
        window = Some(match key {
            WindowKey::Fixed => Window::Fixed(seconds),
            WindowKey::Sliding => Window::Sliding(seconds),
        });
    }
    if window.is_none() {
        let help = "write for example `window: 24h` or `window: { sliding: 1h }`";
        decoder.error(codes::AG1006, at, &node.span, "the window is missing", help);
    }
    window
}

/// Reads `{ "gpt-4o*": { input: 2.5, output: 10 }, otherwise: { input: 15, output: 75 } }`.
fn read_prices(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Prices> {
    let NodeValue::Map(members) = &node.data else {
        decoder.wrong_type(at, node, "a mapping of models to their prices");
        return None;
    };
    let mut prices = Prices::default();
    for member in members {
        let at = at.key(&member.key);
        let mut price = Price {
            input: 0,
            output: 0,
        };
        if !decoder.has_required::<PriceKey>(&at, &member.value, &member.value.span) {
            return None;
        }
        for (key, part) in decoder.keys(&at, &member.value)? {
            let number = match &part.value.data {
                NodeValue::Number(text) => Decimal::parse(text),
                _ => None,
            };
            let Some((units, _)) = number.and_then(|number| number.scaled(SUM_PLACES)) else {
                let message = "US dollars for a million tokens are expected here";
                let at = at.key(&part.key);
                decoder.error(codes::AG1005, &at, &part.value.span, message, "");
                return None;
            };
            match key {
                PriceKey::Input => price.input = units,
                PriceKey::Output => price.output = units,
            }
        }
        if &*member.key == "otherwise" {
            prices.otherwise = Some(price);
            continue;
        }
        match Glob::parse(&letter_case::lower(&member.key)) {
            Ok(glob) => prices.models.push((member.key.clone(), glob, price)),
            Err(what) => {
                decoder.error(codes::AG1013, &at, &member.key_span, &what, "");
                return None;
            }
        }
    }
    Some(prices)
}
