//! `limit`: a rule that holds once something has happened too often, or adds up to too much.

use super::decode::{Decoder, PolicyPath};
use super::field::{Field, FieldType};
use super::field_ref::{self, FieldRef};
use super::grammar::LimitKey;
use super::node::{Node, NodeValue};
use super::words::Counted;
use crate::diag::codes;
use crate::event::Kind;
use crate::wire::json::Decimal;
use std::ops::Range;

/// What a limit measures.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// How many.
    Count(Counted),
    /// The sum of a field's values, by its path.
    Sum(Box<str>),
    /// The sum of what answers cost, in US dollars.
    Cost,
}

/// A limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What is measured.
    pub measure: Measure,
    /// The most that is free.
    pub max: Decimal,
    /// Over how many seconds; absent: over the whole session.
    pub window: Option<u64>,
    /// Each session by itself.
    pub per_session: bool,
    pub(crate) span: Range<usize>,
    pub(crate) path: String,
    /// Each value of these by itself.
    per: Vec<FieldRef>,
    sum: Option<FieldRef>,
}

impl Limit {
    /// The paths each of whose values has a limit of its own, as written.
    pub fn per(&self) -> impl Iterator<Item = &str> {
        self.per.iter().map(|mention| &*mention.name)
    }

    /// Where it stands in the document's structure.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The fields that it names.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &FieldRef> {
        self.per.iter().chain(&self.sum)
    }

    /// The kind of event that it is about by what it counts.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self.measure {
            Measure::Count(Counted::ToolCalls) => Some(Kind::ToolCall),
            Measure::Count(Counted::Requests) => Some(Kind::Request),
            _ => None,
        }
    }
}

pub(crate) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Limit> {
    let mut measures = Vec::new();
    let mut sum = None;
    let mut per = Vec::new();
    let mut per_session = false;
    let mut max = None;
    let mut window = None;
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
                // What a response costs is reckoned from its tokens, not told by it.
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
                let mention = field_ref::read_mention(decoder, &at, &path, &value.span)?;
                if !matches!(mention.field.nature(), FieldType::Number | FieldType::Data) {
                    let message = format!("`{path}` is no number that could be added up");
                    let help = "name a number, such as `args.amount`, or count: `count: requests`, `count: tokens`";
                    decoder.error(codes::AG1011, &at, &value.span, &message, help);
                    return None;
                }
                sum = Some(mention);
                measures.push(Measure::Sum(path));
            }
            LimitKey::Per => {
                for path in decoder.names(&at, value)? {
                    if &*path == "session" {
                        per_session = true;
                        continue;
                    }
                    let mention = field_ref::read_mention(decoder, &at, &path, &value.span)?;
                    if matches!(mention.field, Field::Text | Field::Time | Field::Earlier) {
                        let message = format!("`{path}` tells nobody apart");
                        let help =
                            "for example `tenant`, `client`, `session` or `args.customer_id`";
                        decoder.error(codes::AG1011, &at, &value.span, &message, help);
                        return None;
                    }
                    per.push(mention);
                }
            }
            LimitKey::Max => {
                let number = match &value.data {
                    NodeValue::Number(text) => Decimal::parse(text),
                    _ => None,
                };
                let is_sound = number >= Decimal::parse("0");
                if !is_sound {
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
                max = number;
            }
            LimitKey::Window => window = Some(decoder.seconds(&at, value)?),
        }
    }
    let missing = |what: &'static str, help: &'static str, decoder: &mut Decoder| {
        decoder.error(codes::AG1006, at, &node.span, what, help);
    };
    let (1, Some(measure)) = (measures.len(), measures.pop()) else {
        let help = "for example `count: tool_calls` or `sum: args.amount`";
        missing("either `count` or `sum` stands here", help, decoder);
        return None;
    };
    decoder.has_required::<LimitKey>(at, node, &node.span);
    let max = max?;
    if window == Some(0) {
        let message = "a window of no time counts nothing";
        let help = "write for example `window: 24h`, or `per: session` without a window";
        decoder.error(codes::AG1011, &at.key("window"), &node.span, message, help);
        return None;
    }
    if window.is_none() && !per_session {
        let help = "for example `window: 24h`; only a limit `per: session` can do without";
        missing("`window` is missing", help, decoder);
        return None;
    }
    Some(Limit {
        measure,
        max,
        window,
        per_session,
        span: node.span.clone(),
        path: at.path(),
        per,
        sum,
    })
}
