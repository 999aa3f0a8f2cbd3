//! Counters of limits, shared by all workers of one Envoy.
//!
//! A limit counts what its rule applies to, separately for each value of its `per`. The counters are in the proxy's shared
//! data, in a [`table`] of a fixed number of buckets. Each change is one compare-and-swap, so that N allowed means exactly
//! N, however many workers count at the same time.
//!
//! The layer is sans-IO: it gets the time with each call.

mod counter;
mod key;
mod table;

#[cfg(test)]
mod tests;

pub use counter::Standing;
pub use key::LimitKeys;
pub use table::{BUCKETS, Unavailable};

use crate::event::{Event, Models};
use crate::policy::limit::{Per, Prices};
use crate::policy::{
    Action, CompiledRule, Context, Counted, Interest, Limit, Measure, Policy, Price, SessionSource,
};
use crate::proxy::SharedData;
use crate::wire::sorted_map::SortedMap;
use counter::Counter;
use key::KeyHasher;
use std::rc::Rc;
use table::{Table, Update};
#[cfg(not(target_arch = "wasm32"))]
use {crate::wire::json::Decimal, std::cell::RefCell};

/// Counters of a policy's limits.
pub struct Limits {
    asks_address: bool,
    sessions: Vec<SessionSource>,
    streams: Interest,
    table: Option<Table>,
    rules: SortedMap<u16, CompiledLimit>,
    /// Amounts with which counters begin, by rule. Tests set them.
    #[cfg(not(target_arch = "wasm32"))]
    begin_with: RefCell<SortedMap<u16, u64>>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} limits", self.rules.len())
    }
}

/// Limit with the hasher for its counters' keys.
struct CompiledLimit {
    /// Hasher of the policy, the rule and the measure. A change of `max` keeps the counters.
    hasher: KeyHasher,
    limit: Limit,
}

/// How a charge that exceeds the limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExcess {
    /// The charge is not counted: what is denied doesn't use up the limit.
    Refuse,
    /// The whole charge is counted: the event passes, with a tag.
    Count,
    /// Only what is left of the limit is counted: the charge is an estimate that is corrected later. The limit is exceeded
    /// if nothing is left.
    Clamp,
    /// Nothing is ever counted: the limit is only queried.
    Ask,
}

/// Amount that was charged to one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ChargedCounter {
    amount: u64,
    /// The window or the slice that was charged.
    position: u64,
}

/// Record of a charge, with which it can be taken back or corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// State of the limit.
    pub standing: Standing,
    counters: Vec<ChargedCounter>,
}

impl Charge {
    /// Returns the smallest amount that was charged to one of the counters.
    pub fn amount(&self) -> u64 {
        let amounts = self.counters.iter().map(|counter| counter.amount);
        amounts.min().unwrap_or(0)
    }

    /// Adds a later charge of the same counters. If it is in a later window than the first, it can't be taken back.
    pub fn extend(&mut self, more: &Charge) {
        for (counter, more) in self.counters.iter_mut().zip(&more.counters) {
            counter.amount = counter.amount.saturating_add(more.amount);
        }
    }
}

impl Limits {
    /// Prepares the counters of a policy. Creates their table if it does not exist yet.
    ///
    /// Envoy configures the main thread's VM before those of the workers, one configuration after the other, so that only
    /// one thread ever creates it. `salt` is random; the first one that is given remains.
    pub fn new(policy: &Policy, shared: &Rc<dyn SharedData>, salt: [u8; 16]) -> Limits {
        let has_limits = policy.rules().iter().any(|rule| rule.limit.is_some());
        let table = has_limits.then(|| Table::open(Rc::clone(shared), salt));
        // The first one that was given, if another worker had opened the table before.
        let salt = *table.as_ref().map_or(&salt, Table::salt);
        let rules: SortedMap<u16, CompiledLimit> = (0u16..)
            .zip(policy.rules())
            .filter_map(|(number, rule)| {
                let limit = rule.limit.as_deref()?;
                Some((number, CompiledLimit::of(policy, rule, limit, &salt)))
            })
            .collect();
        let mut sessions: Vec<SessionSource> = Vec::new();
        for rule in rules.values().filter(|rule| rule.limit.is_per_session()) {
            for source in &rule.limit.session {
                if !sessions.contains(source) {
                    sessions.push(source.clone());
                }
            }
        }
        // The session of last resort is the caller at one address.
        let asks_address = !sessions.is_empty()
            || rules
                .values()
                .any(|rule| rule.limit.counters().contains(&Per::Address));
        let streams = policy
            .rules()
            .iter()
            .filter(|rule| {
                rule.limit
                    .as_ref()
                    .is_some_and(|limit| limit.counts_output())
            })
            .map(|rule| match rule.enforced && rule.action == Action::Deny {
                true => Interest::Enforced,
                false => Interest::Observed,
            })
            .max();
        Limits {
            asks_address,
            sessions,
            streams: streams.unwrap_or_default(),
            table,
            rules,
            #[cfg(not(target_arch = "wasm32"))]
            begin_with: RefCell::default(),
        }
    }

    /// Sets the amount with which the counters of a rule's limit begin.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn begin_with(&self, policy: &Policy, rule: &str, used: &Decimal) {
        let rules = (0u16..).zip(policy.rules());
        let found = rules
            .filter_map(|(number, known)| Some((number, known.limit.as_deref()?, &*known.id)))
            .find(|(.., id)| *id == rule);
        if let Some((number, limit, _)) = found {
            let mut begin_with = self.begin_with.borrow_mut();
            begin_with.insert(number, limit.units(used));
        }
    }

    /// Reads a counter and moves it to `now`.
    fn counter(&self, rule: u16, payload: Option<&[u8]>, now: u64) -> Result<Counter, Unavailable> {
        let limit = &self.rules.get(&rule).ok_or(Unavailable)?.limit;
        let counter = Counter::read(payload, limit, now).ok_or(Unavailable)?;
        #[cfg(not(target_arch = "wasm32"))]
        if payload.is_none()
            && let Some(used) = self.begin_with.borrow().get(&rule)
        {
            let mut counter = counter;
            counter.add(*used);
            return Ok(counter);
        }
        Ok(counter)
    }

    /// Returns whether the host must look up the client's address: for a limit for each address or session.
    pub fn asks_address(&self) -> bool {
        self.asks_address
    }

    /// Returns the keys of the counters that an event is charged to; `None` if the rule has no limit.
    pub fn keys(&self, rule: u16, event: &Event, context: &Context<'_>) -> Option<LimitKeys> {
        let limit = self.rules.get(&rule)?;
        Some(key::of(&limit.hasher, &limit.limit, event, context))
    }

    /// Charges a limit. With several keys, the fullest counter decides. Either all counters are charged or, if the charge
    /// exceeds the limit and `on_excess` is not `Count`, none.
    ///
    /// `amount` is absent if it can't be determined: the limit then counts as exceeded.
    ///
    /// # Errors
    /// The counters cannot be read or written.
    pub fn charge(
        &self,
        rule: u16,
        keys: &LimitKeys,
        amount: Option<u64>,
        on_excess: OnExcess,
        now: u64,
    ) -> Result<Charge, Unavailable> {
        let (Some(limit), Some(table)) = (self.rules.get(&rule), &self.table) else {
            return Err(Unavailable);
        };
        let now = now.div_euclid(1_000_000);
        let (Some(slots), Some(amount)) = (&keys.keys, amount) else {
            return Ok(Charge {
                standing: Standing::uncountable(&limit.limit),
                counters: Vec::new(),
            });
        };
        let mut charge: Option<Charge> = None;
        for key in slots {
            let mut found = None;
            table.update(key, now, &mut |payload| {
                let mut counter = self.counter(rule, payload, now)?;
                let known = keys.tool.filter(|tool| counter.has_tool(tool));
                let amount = if known.is_some() { 0 } else { amount };
                let left = limit.limit.max_units().saturating_sub(counter.used());
                let asked = match on_excess {
                    OnExcess::Clamp => amount.min(left).max(1),
                    _ => amount,
                };
                let standing = counter.standing(&limit.limit, asked, now);
                let charged = match on_excess {
                    OnExcess::Ask => 0,
                    OnExcess::Count => asked,
                    OnExcess::Refuse if standing.is_exceeded => 0,
                    OnExcess::Refuse => asked,
                    OnExcess::Clamp => amount.min(left),
                };
                let standing = Standing {
                    used: standing.used.saturating_add(charged),
                    ..standing
                };
                let position = counter.position();
                found = Some((
                    standing,
                    ChargedCounter {
                        amount: charged,
                        position,
                    },
                ));
                let is_touched = known.is_some_and(|tool| counter.touch_tool(&tool));
                if charged == 0 && !counter.is_moved && !is_touched {
                    return Ok(Update::Keep);
                }
                match keys.tool.filter(|_| charged > 0) {
                    Some(tool) => counter.add_tool(tool),
                    None => counter.add(charged),
                }
                Ok(Update::Write(counter.write(), counter.expires(now)))
            })?;
            let (standing, counter) = found.ok_or(Unavailable)?;
            let charge = match &mut charge {
                None => charge.insert(Charge {
                    standing,
                    counters: vec![counter],
                }),
                Some(charge) => {
                    charge.standing = charge.standing.or_stricter(standing);
                    charge.counters.push(counter);
                    charge
                }
            };
            if standing.is_exceeded && on_excess != OnExcess::Count {
                self.settle(rule, keys, charge, 0, now.saturating_mul(1_000_000));
                charge.counters.clear();
                break;
            }
        }
        charge.ok_or(Unavailable)
    }

    /// Corrects a charge once the real amount is known; 0 takes the charge back. If the window that was charged has
    /// passed, no other window is reduced. A counter that can't be written stays charged, which errs on the deny side.
    pub fn settle(&self, rule: u16, keys: &LimitKeys, charge: &Charge, amount: u64, now: u64) {
        let (Some(table), Some(slots)) = (&self.table, &keys.keys) else {
            return;
        };
        let now = now.div_euclid(1_000_000);
        for (key, charged) in slots.iter().zip(&charge.counters) {
            if charged.amount == amount {
                continue;
            }
            let _ = table.update(key, now, &mut |payload| {
                let mut counter = self.counter(rule, payload, now)?;
                match (keys.tool, amount.checked_sub(charged.amount)) {
                    (Some(tool), _) => counter.remove_tool(&tool),
                    (None, Some(more)) => counter.add(more),
                    (None, None) => {
                        let less = charged.amount.saturating_sub(amount);
                        counter.subtract(less, charged.position);
                    }
                }
                Ok(Update::Write(counter.write(), counter.expires(now)))
            });
        }
    }

    /// Sets the counters to zero, because a series of consecutive events has ended.
    pub fn reset(&self, rule: u16, keys: &LimitKeys, now: u64) {
        let (Some(table), Some(slots)) = (&self.table, &keys.keys) else {
            return;
        };
        let now = now.div_euclid(1_000_000);
        for key in slots {
            let _ = table.update(key, now, &mut |payload| {
                let mut counter = self.counter(rule, payload, now)?;
                if counter.used() == 0 {
                    return Ok(Update::Keep);
                }
                counter.clear();
                Ok(Update::Write(counter.write(), counter.expires(now)))
            });
        }
    }

    /// Returns the session that a stored response belongs to, if it is known.
    pub fn session_of_response(&self, id: &str, now: u64) -> Option<Box<str>> {
        let table = self.table.as_ref()?;
        let mut session = None;
        let _ = table.update(
            &self.response_key(id)?,
            now.div_euclid(1_000_000),
            &mut |payload| {
                session = payload
                    .and_then(|payload| std::str::from_utf8(payload).ok())
                    .map(Box::from);
                Ok(Update::Keep)
            },
        );
        session
    }

    /// Stores the session that a response belongs to, so that a request that continues the response belongs to it too.
    pub fn note_response(&self, id: &str, session: &str, now: u64) {
        const KEPT_S: u32 = 30 * 86_400;
        let now = now.div_euclid(1_000_000);
        if let (Some(table), Some(key)) = (&self.table, self.response_key(id)) {
            let now_s = u32::try_from(now.div_euclid(1_000)).unwrap_or(u32::MAX);
            let _ = table.update(&key, now, &mut |_| {
                let kept = now_s.saturating_add(KEPT_S);
                Ok(Update::Write(session.as_bytes().to_vec(), kept))
            });
        }
    }

    fn response_key(&self, id: &str) -> Option<table::SlotKey> {
        let hasher = KeyHasher::new(self.table.as_ref()?.salt(), "responses");
        Some(hasher.key_of(id))
    }

    /// Returns a short id of texts that does not reveal them; `None` if the policy has no limits.
    pub fn fingerprint(&self, texts: &[&str]) -> Option<Box<str>> {
        Some(key::fingerprint(self.table.as_ref()?.salt(), texts))
    }

    /// Returns the sources of sessions of all limits; empty if no limit is kept for each session.
    pub fn session_sources(&self) -> &[SessionSource] {
        &self.sessions
    }

    /// Returns whether a streamed response can use up a limit that ends it.
    pub fn bounds_streams(&self) -> Interest {
        self.streams
    }

    /// Returns the number of counters dropped since the last call because their bucket was full.
    pub fn take_evictions(&self) -> u64 {
        self.table.as_ref().map_or(0, Table::take_evictions)
    }
}

/// Returns the amount that an event adds to a limit, in the limit's units; `None` if it can't be determined.
pub fn amount(rule: &CompiledRule, event: &Event, context: &Context<'_>) -> Option<u64> {
    let limit = rule.limit.as_deref()?;
    let request = &context.facts.request;
    match limit.measure {
        Measure::Sum(_) => key::sum(limit, event, context),
        Measure::Count(Counted::Bytes) => Some(request.bytes.unwrap_or(0)),
        // An unknown tool may be one that was not counted yet.
        Measure::Count(Counted::DistinctTools) => event.tool.value().map(|_| 1),
        Measure::Cost
        | Measure::Count(Counted::Tokens | Counted::InputTokens | Counted::OutputTokens) => {
            let input = request.estimated_tokens.unwrap_or(0);
            let output = request.max_tokens.unwrap_or(0);
            of_tokens(limit, &context.facts.models, input, output)
        }
        Measure::Count(_) => Some(1),
    }
}

/// Returns the amount that these tokens use of a limit on tokens or costs, in its units; `None` if one of the models has
/// no price.
pub fn of_tokens(limit: &Limit, models: &Models, input: u64, output: u64) -> Option<u64> {
    Some(match limit.measure {
        Measure::Count(Counted::InputTokens) => input,
        Measure::Count(Counted::OutputTokens) => output,
        Measure::Cost => price(limit, models)?.of(input, output),
        Measure::Count(_) | Measure::Sum(_) => input.saturating_add(output),
    })
}

/// Returns the highest price of a request's models; `None` if one of them has no price. A model that has only the price of
/// all others costs at least as much as its other spellings: `openai/gpt-4o` as much as `gpt-4o`.
fn price(limit: &Limit, models: &Models) -> Option<Price> {
    let mut dearest = Price {
        input: 0,
        output: 0,
    };
    for name in &models.names {
        dearest = Prices::dearer(dearest, limit.prices.of(name)?);
    }
    if models.unknown {
        dearest = Prices::dearer(dearest, limit.prices.of_unknown()?);
    }
    let prices = &limit.prices;
    let mut names = models.names.iter();
    if !names.all(|name| prices.listed(name).is_some()) {
        let spelled = models.spellings.iter();
        let spelled = spelled.filter_map(|name| prices.listed(name));
        dearest = spelled.fold(dearest, Prices::dearer);
    }
    Some(dearest)
}

/// Returns the state of a rule's limit for an event, where the used amount is given (`facts.used`) instead of counted. An
/// unknown time is the beginning of a window.
#[cfg(not(target_arch = "wasm32"))]
pub fn standing(rule: &CompiledRule, event: &Event, context: &Context<'_>) -> Option<Standing> {
    let limit = rule.limit.as_deref()?;
    let now = context.facts.time.unwrap_or(0).div_euclid(1_000_000);
    let mut counter = Counter::read(None, limit, now)?;
    let used = context.facts.used.get(&rule.id);
    counter.add(used.map_or(0, |used| limit.units(used)));
    Some(match amount(rule, event, context) {
        // As in Envoy, an estimate passes while anything is left.
        Some(_) if limit.charging() == crate::policy::Charging::Reserved => {
            counter.standing(limit, 1, now)
        }
        Some(amount) => counter.standing(limit, amount, now),
        None => Standing::uncountable(limit),
    })
}

impl CompiledLimit {
    fn of(policy: &Policy, rule: &CompiledRule, limit: &Limit, salt: &[u8; 16]) -> CompiledLimit {
        let scope = format!(
            "{}\n{}\n{}",
            policy.document.name,
            rule.id,
            limit.definition()
        );
        CompiledLimit {
            hasher: KeyHasher::new(salt, &scope),
            limit: limit.clone(),
        }
    }
}
