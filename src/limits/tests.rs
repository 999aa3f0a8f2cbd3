//! Counters with racing workers, clocks that jump, and full tables.

use super::counter::{Counter, put_number, take_number};
use super::table::{self, Entry, SlotKey};
use super::*;
use crate::event::{Direction, Facts, Kind, Known, Reading};
use crate::policy::{Policy, Scans};
use crate::proxy::{MemorySharedData, VersionMismatch, Versioned};
use crate::wire::json::{JsonBody, NodeId};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const SECOND: u64 = 1_000_000_000;
/// A Wednesday, 12:00:30 UTC.
const NOW: u64 = 1_763_553_630 * SECOND;

fn policy(limit: &str) -> Policy {
    named_policy("p", limit)
}

fn named_policy(name: &str, limit: &str) -> Policy {
    let text = format!(
        "{{\"apiVersion\": \"agentguard.dev/v1\", \"kind\": \"AgentPolicy\", \"metadata\": {{\"name\": \"{name}\"}},
          \"require\": \"none\", \"defaults\": {{\"action\": \"allow\"}},
          \"rules\": [{{\"id\": \"l\", \"action\": \"deny\", \"limit\": {limit}}}]}}"
    );
    let loaded = crate::policy::load_json(text.as_bytes());
    loaded
        .policy
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

/// Returns the keys of a request by a tenant's principal.
fn keys(limits: &Limits, policy: &Policy, tenant: &str, id: &str) -> LimitKeys {
    let event = Event::new(Kind::Request, Direction::Request, NodeId::default());
    event_keys(limits, policy, tenant, id, &event)
}

/// Returns the keys of an event by a tenant's principal.
fn event_keys(
    limits: &Limits,
    policy: &Policy,
    tenant: &str,
    id: &str,
    event: &Event,
) -> LimitKeys {
    let mut facts = Facts::unknown();
    facts.principal.tenant = Known::Is(tenant.into());
    facts.principal.id = Known::Is(id.into());
    keys_for(limits, policy, &facts, event)
}

fn keys_for(limits: &Limits, policy: &Policy, facts: &Facts, event: &Event) -> LimitKeys {
    in_context(policy, facts, |context| {
        limits.keys(0, event, context).unwrap()
    })
}

fn in_context<T>(policy: &Policy, facts: &Facts, ask: impl FnOnce(&Context<'_>) -> T) -> T {
    let json = JsonBody::scan(b"null", crate::wire::json::Limits { max_depth: 1 }, 0).unwrap();
    let (reading, scans, scratch) = (
        Reading::new(),
        RefCell::new(Scans::default()),
        RefCell::default(),
    );
    ask(&Context {
        policy,
        facts,
        reading: &reading,
        json: &json,
        scans: &scans,
        scratch: &scratch,
    })
}

/// A worker of one Envoy.
struct Worker {
    limits: Limits,
    policy: Policy,
}

impl Worker {
    fn new(limit: &str, shared: &Rc<dyn SharedData>) -> Worker {
        let policy = policy(limit);
        Worker {
            limits: Limits::new(&policy, shared, [7; 16]),
            policy,
        }
    }

    fn charge(&self, id: &str, now: u64) -> Standing {
        let keys = keys(&self.limits, &self.policy, "acme", id);
        self.limits
            .charge(0, &keys, Some(1), OnExcess::Refuse, now)
            .unwrap()
            .standing
    }

    /// Returns how many of the attempts pass.
    fn passing(&self, id: &str, attempts: usize, now: u64) -> usize {
        let mut passing = 0;
        for _ in 0..attempts {
            passing += usize::from(!self.charge(id, now).is_exceeded);
        }
        passing
    }
}

fn memory() -> Rc<dyn SharedData> {
    Rc::new(MemorySharedData::default())
}

const TEN_AN_HOUR: &str = r#"{"count": "requests", "per": "principal", "max": 10, "window": "1h"}"#;

#[test]
fn exactly_the_limit_passes_for_each_principal() {
    let worker = Worker::new(TEN_AN_HOUR, &memory());
    assert_eq!(worker.passing("ann", 50, NOW), 10);
    assert_eq!(worker.passing("bob", 50, NOW), 10);
    let standing = worker.charge("ann", NOW);
    assert_eq!((standing.used, standing.max), (10, 10));
}

#[test]
fn the_next_window_begins_at_the_full_hour() {
    let worker = Worker::new(TEN_AN_HOUR, &memory());
    assert_eq!(worker.passing("ann", 11, NOW), 10);
    let wait = worker.charge("ann", NOW).wait_ms.unwrap();
    assert_eq!(wait, (3_600 - 30) * 1_000);
    let end = NOW + wait * 1_000_000;
    assert_eq!(worker.passing("ann", 11, end - 1_000_000), 0);
    assert_eq!(worker.passing("ann", 11, end), 10);
}

#[test]
fn a_week_begins_on_monday() {
    let limit = r#"{"count": "requests", "max": 1, "window": "7d"}"#;
    let worker = Worker::new(limit, &memory());
    worker.charge("ann", NOW);
    let wait = worker.charge("ann", NOW).wait_ms.unwrap();
    let monday = 1_763_942_400 * 1_000;
    assert_eq!(NOW / 1_000_000 + wait, monday);
}

#[test]
fn workers_and_a_vm_that_starts_again_share_the_counters() {
    let shared = memory();
    let first = Worker::new(TEN_AN_HOUR, &shared);
    assert_eq!(first.passing("ann", 6, NOW), 6);
    let second = Worker::new(TEN_AN_HOUR, &shared);
    assert_eq!(second.passing("ann", 6, NOW), 4);
    drop(first);
    let restarted = Worker::new(TEN_AN_HOUR, &shared);
    assert_eq!(restarted.passing("ann", 1, NOW), 0);
}

#[test]
fn tenants_and_policies_never_share_a_counter() {
    let shared = memory();
    let worker = Worker::new(TEN_AN_HOUR, &shared);
    assert_eq!(worker.passing("ann", 11, NOW), 10);
    let other_tenant = keys(&worker.limits, &worker.policy, "beta", "ann");
    let charged = worker
        .limits
        .charge(0, &other_tenant, Some(1), OnExcess::Refuse, NOW);
    assert_eq!(charged.unwrap().standing.used, 1);
    let policy = named_policy("other", TEN_AN_HOUR);
    let other_policy = Worker {
        limits: Limits::new(&policy, &shared, [7; 16]),
        policy,
    };
    assert_eq!(other_policy.charge("ann", NOW).used, 1);
}

#[test]
fn a_raised_maximum_keeps_what_is_used() {
    let shared = memory();
    assert_eq!(
        Worker::new(TEN_AN_HOUR, &shared).passing("ann", 20, NOW),
        10
    );
    let raised = TEN_AN_HOUR.replace("10", "12");
    assert_eq!(Worker::new(&raised, &shared).passing("ann", 20, NOW), 2);
}

#[test]
fn a_limit_that_counts_something_else_starts_anew() {
    let shared = memory();
    let passing = |limit: &str| Worker::new(limit, &shared).passing("ann", 20, NOW);
    assert_eq!(passing(TEN_AN_HOUR), 10);
    assert_eq!(passing(&TEN_AN_HOUR.replace("1h", "2h")), 10);
    assert_eq!(passing(&TEN_AN_HOUR.replace("principal", "tenant")), 10);
    assert_eq!(passing(TEN_AN_HOUR), 0);
}

#[test]
fn names_in_another_letter_case_are_the_same() {
    let worker = Worker::new(TEN_AN_HOUR, &memory());
    assert_eq!(worker.passing("Ann", 6, NOW), 6);
    assert_eq!(worker.passing("ANN", 6, NOW), 4);
}

#[test]
fn another_spelling_of_a_model_is_no_cheaper() {
    let policy = policy(
        r#"{"sum": "usage.cost_usd", "max": 100, "window": "24h", "prices": {
            "gpt-4o": {"input": 10, "output": 0}, "local/*": {"input": 1, "output": 0},
            "otherwise": {"input": 2, "output": 0}}}"#,
    );
    let limit = policy.rule(0).unwrap().limit.as_deref().unwrap();
    let cost = |names: &[&str]| {
        let models = Models::from_words(names.iter().copied());
        of_tokens(limit, &models, 1_000_000, 0).unwrap() / limit.unit()
    };
    for (names, dollars, why) in [
        (&["gpt-4o"][..], 10, "its own price"),
        (&["openai/gpt-4o"], 10, "a gateway's spelling"),
        (&["openrouter/openai/gpt-4o:online"], 10, "and another's"),
        (&["local/gpt-4o"], 1, "a price of its own"),
        (&["openai/o1"], 2, "no price in any spelling"),
        (&["local/x", "openai/gpt-4o"], 10, "the dearest of two"),
    ] {
        assert_eq!(cost(names), dollars, "{names:?}: {why}");
    }
    // Beside a model that could not be read, a known one has its price, and alone that one has the price of any other.
    for (names, dollars) in [(&[][..], 2), (&["local/x"], 2), (&["gpt-4o"], 10)] {
        let mut models = Models::from_words(names.iter().copied());
        models.unknown = true;
        let cost = of_tokens(limit, &models, 1_000_000, 0).unwrap() / limit.unit();
        assert_eq!(cost, dollars, "{names:?}");
    }
}

/// A request that may use either of two models is charged to both, or to none.
#[test]
fn what_exceeds_one_of_its_counters_is_charged_to_none() {
    let limit = r#"{"count": "requests", "per": "model", "max": 1, "window": "1h"}"#;
    let worker = Worker::new(limit, &memory());
    let event = Event::new(Kind::Request, Direction::Request, NodeId::default());
    let passes = |models: &[&str]| {
        let mut facts = Facts::unknown();
        facts.models = Models::from_words(models.iter().copied());
        let keys = keys_for(&worker.limits, &worker.policy, &facts, &event);
        assert_eq!(keys.keys.as_ref().map(Vec::len), Some(models.len()));
        let charged = worker
            .limits
            .charge(0, &keys, Some(1), OnExcess::Refuse, NOW);
        !charged.unwrap().standing.is_exceeded
    };
    assert!(passes(&["m"]));
    assert!(!passes(&["a", "m"]), "m is used up");
    assert!(!passes(&["m", "z"]), "m is used up");
    assert!(passes(&["a", "z"]), "neither was charged");
    assert!(!passes(&["a"]) && !passes(&["z"]), "both were");
}

#[test]
fn an_amount_that_is_taken_back_is_free_again() {
    let worker = Worker::new(TEN_AN_HOUR, &memory());
    assert_eq!(worker.passing("ann", 9, NOW), 9);
    let keys = keys(&worker.limits, &worker.policy, "acme", "ann");
    let charge = || {
        worker
            .limits
            .charge(0, &keys, Some(1), OnExcess::Refuse, NOW)
            .unwrap()
    };
    let last = charge();
    assert!(!last.standing.is_exceeded);
    worker.limits.settle(0, &keys, &last, 0, NOW);
    assert_eq!(worker.passing("ann", 10, NOW), 1);
    // In the next hour nothing of the charge can be taken back.
    let later = NOW + 3_600 * SECOND;
    assert_eq!(worker.passing("ann", 5, later), 5);
    worker.limits.settle(0, &keys, &last, 0, later);
    assert_eq!(worker.passing("ann", 10, later), 5);
}

#[test]
fn charges_beyond_a_soft_limit_are_counted() {
    let worker = Worker::new(TEN_AN_HOUR, &memory());
    let keys = keys(&worker.limits, &worker.policy, "acme", "ann");
    let charge = |amount| {
        worker
            .limits
            .charge(0, &keys, Some(amount), OnExcess::Count, NOW)
            .unwrap()
            .standing
    };
    assert!(!charge(10).is_exceeded);
    assert!(charge(1).is_exceeded);
    assert_eq!(charge(1).used, 12);
}

#[test]
fn a_clock_that_jumps_back_loses_no_count() {
    for window in [r#""1h""#, r#"{"sliding": "1h"}"#] {
        let limit = format!(r#"{{"count": "requests", "max": 10, "window": {window}}}"#);
        for back in [1, 60, 3_600, 7_200, 1_000_000] {
            let worker = Worker::new(&limit, &memory());
            assert_eq!(worker.passing("ann", 10, NOW), 10);
            let then = NOW - back * SECOND;
            assert_eq!(worker.passing("ann", 10, then), 0, "{window} {back}");
            // The wrong time doesn't prolong the wait: two windows later all is free again.
            assert_eq!(
                worker.passing("ann", 20, then + 2 * 3_600 * SECOND + 226 * SECOND),
                10,
                "{window} {back}"
            );
        }
    }
}

/// A machine whose clock was never set counts from 1970, before the Monday from which windows are counted.
#[test]
fn a_window_before_the_first_monday_has_its_whole_length() {
    let worker = Worker::new(TEN_AN_HOUR, &memory());
    let start = 100 * SECOND;
    assert_eq!(worker.passing("ann", 11, start), 10);
    let end = start + 3_600 * SECOND;
    assert_eq!(worker.passing("ann", 1, end - SECOND / 1_000), 0);
    assert_eq!(worker.passing("ann", 11, end), 10);
}

#[test]
fn without_a_window_a_limit_lasts() {
    let limit = r#"{"count": "requests", "per": ["session", "principal"], "max": 2}"#;
    let worker = Worker::new(limit, &memory());
    assert_eq!(worker.passing("ann", 3, NOW), 2);
    assert_eq!(worker.passing("ann", 3, NOW + 900_000 * SECOND), 0);
    assert_eq!(worker.charge("ann", NOW).wait_ms, None);
}

/// Shared data in which other workers write between each read and the following write.
struct Contended {
    inner: MemorySharedData,
    lost: Cell<usize>,
    intrude: RefCell<Option<Box<dyn Fn()>>>,
}

impl SharedData for Contended {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.inner.get(key)
    }

    fn set(&self, key: &str, value: &[u8], version: u32) -> Result<(), VersionMismatch> {
        let left = self.lost.get();
        if version != 0 && left > 0 {
            self.lost.set(0);
            if let Some(intrude) = &*self.intrude.borrow() {
                intrude();
            }
            self.lost.set(left - 1);
        }
        self.inner.set(key, value, version)
    }
}

proptest! {
    #[test]
    fn a_lost_write_is_repeated_and_nothing_is_counted_twice(lost in 0usize..30, own in 1usize..20) {
        let shared = Rc::new(Contended {
            inner: MemorySharedData::default(),
            lost: Cell::new(0),
            intrude: RefCell::new(None),
        });
        let as_shared: Rc<dyn SharedData> = Rc::clone(&shared) as _;
        let limit = r#"{"count": "requests", "max": 25, "window": "1h"}"#;
        let worker = Worker::new(limit, &as_shared);
        let other = Worker::new(limit, &as_shared);
        let of_other = Rc::new(Cell::new(0));
        let counted = Rc::clone(&of_other);
        *shared.intrude.borrow_mut() = Some(Box::new(move || {
            counted.set(counted.get() + other.passing("ann", 1, NOW));
        }));
        shared.lost.set(lost);
        let passed = worker.passing("ann", own, NOW);
        shared.intrude.borrow_mut().take();
        shared.lost.set(0);
        prop_assert!(passed + of_other.get() <= 25);
        // Whatever the races, exactly the rest of the limit is left.
        let rest = worker.passing("ann", 100, NOW);
        prop_assert_eq!(passed + of_other.get() + rest, 25);
    }
}

#[test]
fn a_worker_that_never_gets_to_write_denies() {
    struct Hostile(MemorySharedData);
    impl SharedData for Hostile {
        fn get(&self, key: &str) -> Option<Versioned> {
            self.0.get(key)
        }
        fn set(&self, key: &str, value: &[u8], version: u32) -> Result<(), VersionMismatch> {
            match version {
                0 => self.0.set(key, value, 0),
                _ => Err(VersionMismatch),
            }
        }
    }
    let shared: Rc<dyn SharedData> = Rc::new(Hostile(MemorySharedData::default()));
    let worker = Worker::new(TEN_AN_HOUR, &shared);
    let keys = keys(&worker.limits, &worker.policy, "acme", "ann");
    let charged = worker
        .limits
        .charge(0, &keys, Some(1), OnExcess::Refuse, NOW);
    assert_eq!(charged, Err(Unavailable));
}

/// Shared data of several threads, as in Envoy.
#[derive(Clone, Default)]
struct Threaded(Arc<Mutex<BTreeMap<String, Stored>>>);

/// Value with its version.
type Stored = (Vec<u8>, u32);

impl SharedData for Threaded {
    fn get(&self, key: &str) -> Option<Versioned> {
        let values = self.0.lock().unwrap();
        let (value, version) = values.get(key)?.clone();
        Some(Versioned { value, version })
    }

    fn set(&self, key: &str, value: &[u8], version: u32) -> Result<(), VersionMismatch> {
        let mut values = self.0.lock().unwrap();
        let known = values.get(key).map_or(0, |(_, version)| *version);
        if version != 0 && version != known {
            return Err(VersionMismatch);
        }
        values.insert(key.to_owned(), (value.to_vec(), known + 1));
        Ok(())
    }
}

#[test]
fn eight_threads_let_exactly_the_limit_through() {
    for window in [r#""1h""#, r#"{"sliding": "1h"}"#] {
        let limit = format!(r#"{{"count": "requests", "max": 100, "window": {window}}}"#);
        let data = Threaded::default();
        // Envoy configures its main thread first.
        drop(Worker::new(
            &limit,
            &(Rc::new(data.clone()) as Rc<dyn SharedData>),
        ));
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let shared: Rc<dyn SharedData> = Rc::new(data.clone());
                        Worker::new(&limit, &shared).passing("ann", 125, NOW)
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 100, "{window}");
    }
}

#[test]
fn the_table_is_bounded_and_a_flood_evicts_only_its_own_entries() {
    let data = Rc::new(MemorySharedData::default());
    let shared: Rc<dyn SharedData> = Rc::clone(&data) as _;
    let tenants = Worker::new(
        r#"{"count": "requests", "per": "tenant", "max": 10, "window": "24h"}"#,
        &shared,
    );
    assert_eq!(tenants.passing("ann", 10, NOW), 10);
    let flood = named_policy(
        "flood",
        r#"{"count": "requests", "per": "principal", "max": 10, "window": "24h"}"#,
    );
    let flood = Worker {
        limits: Limits::new(&flood, &shared, [7; 16]),
        policy: flood,
    };
    let bucket = |key: &SlotKey| u16::from_le_bytes([key.hash[0], key.hash[1]]) % BUCKETS;
    let of_tenant = keys(&tenants.limits, &tenants.policy, "acme", "ann")
        .keys
        .unwrap();
    // Keys of the flood that lead to the tenant's bucket. The test chooses them; the salt prevents a
    // client from doing so.
    let mut evicted = 0;
    for number in 0u32..400 {
        let mut key = of_tenant[0];
        key.tag = *b"othr";
        key.hash[4..8].copy_from_slice(&number.to_le_bytes());
        assert_eq!(bucket(&key), bucket(&of_tenant[0]));
        let charged = flood.limits.charge(
            0,
            &LimitKeys {
                keys: Some(vec![key]),
                ..LimitKeys::default()
            },
            Some(1),
            OnExcess::Refuse,
            NOW + u64::from(number) * SECOND,
        );
        assert!(!charged.unwrap().standing.is_exceeded);
        evicted += flood.limits.take_evictions();
    }
    assert!(evicted > 200, "{evicted}");
    assert_eq!(tenants.passing("ann", 1, NOW), 0);
    let name = format!("agentguard.limits.{}", bucket(&of_tenant[0]));
    assert!(data.get(&name).unwrap().value.len() <= 4 << 10);
}

#[test]
fn a_full_bucket_drops_what_has_expired_before_what_still_counts() {
    let shared = memory();
    let worker = |name: &str, window: &str| {
        let limit = format!(
            r#"{{"count": "requests", "per": "principal", "max": 10, "window": "{window}"}}"#
        );
        let policy = named_policy(name, &limit);
        Worker {
            limits: Limits::new(&policy, &shared, [7; 16]),
            policy,
        }
    };
    let (lasting, passing) = (worker("lasting", "24h"), worker("passing", "1s"));
    assert_eq!(lasting.passing("ann", 10, NOW), 10);
    let known = keys(&lasting.limits, &lasting.policy, "acme", "ann");
    let mut key = known.keys.unwrap()[0];
    for number in 0u32..400 {
        key.hash[4..8].copy_from_slice(&number.to_le_bytes());
        let keys = LimitKeys {
            keys: Some(vec![key]),
            ..LimitKeys::default()
        };
        let now = NOW + u64::from(number) * 10 * SECOND;
        let charged = passing
            .limits
            .charge(0, &keys, Some(1), OnExcess::Refuse, now);
        assert_eq!(charged.unwrap().standing.used, 1);
    }
    assert_eq!(passing.limits.take_evictions(), 0);
    assert_eq!(lasting.passing("ann", 1, NOW), 0);
}

#[test]
fn a_hundred_thousand_principals_fit() {
    let worker = Worker::new(TEN_AN_HOUR, &memory());
    for number in 0..100_000 {
        worker.charge(&format!("user-{number}"), NOW);
    }
    assert_eq!(worker.limits.take_evictions(), 0);
    assert_eq!(worker.charge("user-0", NOW).used, 2);
}

#[test]
fn a_number_that_does_not_fit_and_a_second_slice_of_a_fixed_window_are_rejected() {
    for last in [0x02, 0x7F] {
        let mut bytes = vec![0xFF; 9];
        bytes.push(last);
        assert_eq!(take_number(&mut bytes.as_slice()), None, "{last:x}");
    }
    let policy = policy(TEN_AN_HOUR);
    let limit = policy.rules()[0].limit.as_deref().unwrap();
    let read = |numbers: &[u64]| {
        let mut bytes = Vec::new();
        numbers
            .iter()
            .for_each(|number| put_number(*number, &mut bytes));
        Counter::read(Some(&bytes), limit, 0).map(|counter| counter.used())
    };
    // The start of the window, and a count for each slice.
    assert_eq!(read(&[0, 4]), Some(4));
    assert_eq!(read(&[0]), None);
    assert_eq!(read(&[0, 4, 5]), None);
}

proptest! {
    #[test]
    fn buckets_are_read_as_they_were_written(
        entries in prop::collection::vec((any::<[u8; 4]>(), any::<[u8; 12]>(), any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20)
    ) {
        let entries: Vec<Entry<'_>> = entries
            .iter()
            .map(|(tag, hash, used_s, expires_s, payload)| Entry {
                key: SlotKey { tag: *tag, hash: *hash },
                used_s: *used_s,
                expires_s: *expires_s,
                payload,
            })
            .collect();
        let bytes = table::write(entries.iter());
        prop_assert_eq!(table::read(&bytes).unwrap(), entries);
    }

    #[test]
    fn any_bytes_are_parsed_as_a_bucket_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(entries) = table::read(&bytes) {
            prop_assert_eq!(table::write(entries.iter()), bytes);
        }
    }

    #[test]
    fn any_bytes_are_parsed_as_a_counter_or_rejected(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        now in any::<u64>(),
        sliding in any::<bool>(),
    ) {
        let window = if sliding { r#"{"sliding": "1h"}"# } else { r#""1h""# };
        let policy = policy(&format!(r#"{{"count": "requests", "max": 9, "window": {window}}}"#));
        let limit = policy.rules()[0].limit.as_deref().unwrap();
        if let Some(mut counter) = Counter::read(Some(&bytes), limit, now) {
            counter.add(1);
            counter.standing(limit, 1, now);
            counter.subtract(u64::MAX, counter.position());
            counter.clear();
            prop_assert_eq!(counter.used(), 0);
            let written = counter.write();
            prop_assert_eq!(Counter::read(Some(&written), limit, now).unwrap().write(), written);
        }
    }

    #[test]
    fn numbers_are_read_as_they_were_written(number in any::<u64>()) {
        let mut bytes = Vec::new();
        put_number(number, &mut bytes);
        let mut rest = bytes.as_slice();
        prop_assert_eq!(take_number(&mut rest), Some(number));
        prop_assert!(rest.is_empty());
    }

    /// Whatever the times, no window of the limit's length ever exceeds the limit.
    #[test]
    fn a_sliding_window_is_never_exceeded(
        seconds in prop::sample::select(vec![1, 3, 7, 60]),
        steps in prop::collection::vec(0u64..20_000, 1..200),
    ) {
        let limit = format!(r#"{{"count": "requests", "max": 5, "window": {{"sliding": "{seconds}s"}}}}"#);
        let worker = Worker::new(&limit, &memory());
        let mut now = NOW;
        let mut passed: Vec<u64> = Vec::new();
        for step in steps {
            now += step * seconds / 60 * 1_000_000;
            let standing = worker.charge("ann", now);
            if standing.is_exceeded {
                // The reported wait suffices, and is at most the window and one slice.
                let wait = standing.wait_ms.unwrap();
                prop_assert!(wait <= seconds * 1_000 + (seconds * 1_000).div_ceil(16) + 16);
                continue;
            }
            passed.push(now);
            let within = passed.iter().filter(|then| now - **then < seconds * SECOND).count();
            prop_assert!(within <= 5);
        }
    }
}

#[test]
fn after_the_wait_of_a_sliding_window_one_more_passes() {
    let limit = r#"{"count": "requests", "max": 5, "window": {"sliding": "1m"}}"#;
    let worker = Worker::new(limit, &memory());
    for number in 0..5 {
        worker.charge("ann", NOW + number * 10 * SECOND);
    }
    let at = NOW + 50 * SECOND;
    let wait = worker.charge("ann", at).wait_ms.unwrap();
    let free = at + wait * 1_000_000;
    assert!(worker.charge("ann", free - 1_000_000).is_exceeded);
    assert!(!worker.charge("ann", free).is_exceeded);
    assert!(worker.charge("ann", free).is_exceeded);
}

#[test]
fn an_estimate_passes_while_anything_is_left_and_is_corrected() {
    let limit = r#"{"count": "tokens", "max": 100, "window": "1h"}"#;
    let worker = Worker::new(limit, &memory());
    let keys = keys(&worker.limits, &worker.policy, "acme", "ann");
    let charge = |amount| {
        worker
            .limits
            .charge(0, &keys, Some(amount), OnExcess::Clamp, NOW)
            .unwrap()
    };
    let first = charge(70);
    assert_eq!(first.amount(), 70);
    let second = charge(70);
    assert!(!second.standing.is_exceeded);
    assert_eq!(second.amount(), 30);
    assert!(charge(1).standing.is_exceeded);
    // The second charge used more than was left, the first less than estimated.
    worker.limits.settle(0, &keys, &second, 45, NOW);
    worker.limits.settle(0, &keys, &first, 20, NOW);
    assert_eq!(charge(1_000).amount(), 35);
}

#[test]
fn a_request_that_continues_a_response_keeps_its_session() {
    let limit = r#"{"count": "requests", "per": "session", "max": 1}"#;
    let worker = Worker::new(limit, &memory());
    assert_eq!(worker.limits.session_of_response("resp_1", NOW), None);
    worker.limits.note_response("resp_1", "s-1", NOW);
    let found = worker.limits.session_of_response("resp_1", NOW);
    assert_eq!(found.as_deref(), Some("s-1"));
}

impl Worker {
    /// Charges a tool call.
    fn call(&self, tool: &str, now: u64) -> (LimitKeys, Charge) {
        let mut event = Event::new(Kind::ToolCall, Direction::Response, NodeId::default());
        event.tool = Known::Is(tool.into());
        let keys = event_keys(&self.limits, &self.policy, "acme", "ann", &event);
        let charge = self.limits.charge(0, &keys, Some(1), OnExcess::Refuse, now);
        (keys, charge.unwrap())
    }

    /// Returns whether a tool call passes.
    fn calls(&self, tool: &str, now: u64) -> bool {
        !self.call(tool, now).1.standing.is_exceeded
    }
}

fn three_tools(window: &str) -> Worker {
    let limit = format!(
        r#"{{"count": "distinct_tools", "per": "principal", "max": 3, "window": {window}}}"#
    );
    Worker::new(&limit, &memory())
}

#[test]
fn each_tool_counts_once_however_often_it_is_called() {
    let worker = three_tools("\"1h\"");
    for tool in ["read", "write", "Read", "list", "read", "list"] {
        assert!(worker.calls(tool, NOW), "{tool}");
    }
    let (_, fourth) = worker.call("delete", NOW);
    assert!(fourth.standing.is_exceeded);
    assert_eq!((fourth.standing.used, fourth.standing.max), (3, 3));
    assert_eq!(fourth.standing.wait_ms, Some((3_600 - 30) * 1_000));
    assert!(worker.calls("write", NOW), "one of the three");
    assert!(
        worker.calls("delete", NOW + 3_600 * SECOND),
        "in the next window"
    );
}

#[test]
fn a_call_of_an_unknown_tool_can_not_be_counted_among_others() {
    let worker = three_tools("\"1h\"");
    let amount_of = |tool: Known<Box<str>>| {
        let mut event = Event::new(Kind::ToolCall, Direction::Response, NodeId::default());
        event.tool = tool;
        in_context(&worker.policy, &Facts::unknown(), |context| {
            amount(worker.policy.rule(0).unwrap(), &event, context)
        })
    };
    assert_eq!(amount_of(Known::Is("read".into())), Some(1));
    assert_eq!(amount_of(Known::Unknown), None);
}

#[test]
fn a_tool_that_is_called_again_stays_in_a_sliding_window() {
    let worker = three_tools(r#"{"sliding": "16s"}"#);
    assert!(worker.calls("read", NOW));
    assert!(worker.calls("write", NOW + SECOND));
    assert!(worker.calls("list", NOW + SECOND));
    assert!(worker.calls("read", NOW + 10 * SECOND));
    // `write` and `list` have left the window, `read` has not.
    let later = NOW + 19 * SECOND;
    assert!(worker.calls("delete", later));
    assert!(worker.calls("move", later));
    assert!(!worker.calls("copy", later));
    assert!(worker.calls("read", later));
}

#[test]
fn a_tool_that_is_taken_back_is_free_again_and_one_that_was_there_stays() {
    let worker = three_tools("\"1h\"");
    let (keys, first) = worker.call("read", NOW);
    let (_, again) = worker.call("read", NOW);
    worker.limits.settle(0, &keys, &again, 0, NOW);
    assert_eq!(worker.call("write", NOW).1.standing.used, 2);
    worker.limits.settle(0, &keys, &first, 0, NOW);
    assert_eq!(worker.call("list", NOW).1.standing.used, 2);
}

#[test]
fn distinct_tools_are_counted_up_to_the_largest_limit() {
    let limit = r#"{"count": "distinct_tools", "max": 64, "window": "1h"}"#;
    let worker = Worker::new(limit, &memory());
    for number in 0..64 {
        assert!(worker.calls(&format!("tool_{number}"), NOW));
    }
    assert!(!worker.calls("another", NOW));
    assert!((0..64).all(|number| worker.calls(&format!("tool_{number}"), NOW)));
    // A limit that only tags keeps counting, up to a bound.
    for number in 64..1_000 {
        let mut event = Event::new(Kind::ToolCall, Direction::Response, NodeId::default());
        event.tool = Known::Is(format!("tool_{number}").into());
        let keys = event_keys(&worker.limits, &worker.policy, "acme", "ann", &event);
        let counted = worker
            .limits
            .charge(0, &keys, Some(1), OnExcess::Count, NOW);
        let standing = counted.unwrap().standing;
        assert!(standing.is_exceeded && standing.used <= 66, "{standing:?}");
    }
    let loaded = crate::policy::load_json(
        br#"{"apiVersion": "agentguard.dev/v1", "kind": "AgentPolicy", "metadata": {"name": "p"},
             "defaults": {"action": "allow"}, "rules": [{"id": "l", "action": "deny",
             "limit": {"count": "distinct_tools", "max": 65, "window": "1h"}}]}"#,
    );
    let told = loaded.diagnostics.first().unwrap();
    assert_eq!(told.message, "at most 64 distinct tools are kept apart");
}

/// Whatever their names have in them: a line end in the id of one is no border to another's client.
#[test]
fn two_principals_never_share_a_session() {
    let limit = r#"{"count": "requests", "per": "session", "max": 1}"#;
    let worker = Worker::new(limit, &memory());
    let event = Event::new(Kind::Request, Direction::Request, NodeId::default());
    let is = |name: &str| match name {
        "" => Known::Missing,
        name => Known::Is(name.into()),
    };
    let names = [
        ["ann", "", "", ""],
        ["", "ann", "", ""],
        ["", "", "ann", ""],
        ["", "", "", "ann"],
        ["ann", "shop", "", ""],
        ["ann\nshop", "", "", ""],
        ["ann", "", "shop", ""],
        ["ann", "shop", "bot", ""],
        ["ann\nshop", "bot", "", ""],
        ["ann", "shop\nbot", "", ""],
    ];
    let mut known = Vec::new();
    for session in ["", "s", "s\nt"] {
        for [id, client, agent, address] in names {
            let mut facts = Facts::unknown();
            facts.principal.id = is(id);
            facts.principal.client = is(client);
            facts.principal.agent = is(agent);
            facts.address = is(address);
            if !session.is_empty() {
                facts.sessions.push(("mcp".into(), session.into()));
            }
            let keys = keys_for(&worker.limits, &worker.policy, &facts, &event);
            assert!(
                !known.contains(&keys.keys),
                "{session:?} {id:?} {client:?} {agent:?}"
            );
            known.push(keys.keys);
        }
    }
}
