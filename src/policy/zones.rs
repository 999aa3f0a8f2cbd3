//! Time zones without a database. `agentguard build` adds `zones` to a document: for each zone that the document names, the
//! moments at which its offset from UTC changes, up to a horizon.
//!
//! ```yaml
//! zones:
//!   database: 2026b                # version of the IANA database
//!   horizon: 2050                  # from this year on the offset is unknown
//!   offsets:
//!     America/New_York: [[946684800, -18000], [954658800, -14400]]
//! ```
//!
//! Each pair is a second since 1970 and the offset in seconds from then on. Before the first pair and from the horizon on,
//! a local time is unknown, and a test of it is resolved toward denial.

#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
mod database;

use super::decode::{Decoder, PolicyPath};
use super::grammar::ZonesKey;
use super::node::{Member, Node, NodeValue};
use crate::diag::codes;
use crate::wire::json::Decimal;
use crate::wire::sorted_map::SortedMap;
use std::ops::Range;
use std::sync::Arc;

#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub(crate) use database::find;

/// Seconds of a day: POSIX time has no leap seconds.
const DAY: i64 = 86_400;

/// Maximum offset in seconds. No place was ever more than 16 hours from UTC.
const MAX_OFFSET: i64 = 18 * 3_600;

/// Changes of a zone's offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OffsetChanges {
    /// Seconds since 1970 with the offset in seconds from then on, ascending.
    list: Arc<[(i64, i32)]>,
    /// First second without a known offset.
    end: i64,
}

impl OffsetChanges {
    pub(crate) fn new(list: Vec<(i64, i32)>, horizon: u16) -> OffsetChanges {
        OffsetChanges {
            list: list.into(),
            end: year_start(horizon),
        }
    }

    /// Returns the offset in seconds at a second since 1970, if it is known.
    pub(crate) fn offset(&self, second: i64) -> Option<i32> {
        if second >= self.end {
            return None;
        }
        let next = self.list.partition_point(|(from, _)| *from <= second);
        let at = next.checked_sub(1)?;
        self.list.get(at).map(|(_, offset)| *offset)
    }
}

/// Time zones of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zones {
    /// Version of the database that they come from.
    database: Box<str>,
    horizon: u16,
    known: SortedMap<Box<str>, OffsetChanges>,
}

/// Result of looking up a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    any(target_arch = "wasm32", not(feature = "command")),
    expect(dead_code, reason = "the filter has no database to find anything in")
)]
pub(crate) enum Lookup {
    /// Changes of the zone's offset, the version of the database, and the horizon.
    Found(OffsetChanges, Box<str>, u16),
    /// There is no such zone; the most similar name.
    Unknown(Option<String>),
    /// There is no database.
    NotHere,
}

impl Zones {
    /// Returns whether all zones in both tables are the same in both.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn agrees_with(&self, others: &Zones) -> bool {
        let known = self.known.iter();
        known.fold(true, |agree, (name, changes)| {
            agree && others.get(name).is_none_or(|other| other == changes)
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&OffsetChanges> {
        self.known.get(name)
    }

    pub(crate) fn add(&mut self, name: &str, changes: OffsetChanges, database: &str, horizon: u16) {
        if self.known.is_empty() {
            self.database = database.into();
            self.horizon = horizon;
        }
        self.known.insert(name.into(), changes);
    }

    /// Copies a zone from another table.
    pub(crate) fn take(&mut self, name: &str, from: &Zones) {
        if let Some(changes) = from.get(name) {
            self.add(name, changes.clone(), &from.database, from.horizon);
        }
    }

    /// Returns whether the table has no zone.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Returns the key `zones` of a document.
    pub fn to_node(&self) -> Node {
        let number = |value: i64| node(NodeValue::Number(value.to_string().into()));
        let offsets = self.known.iter().map(|(name, changes)| {
            let pairs = changes.list.iter().map(|(second, offset)| {
                node(NodeValue::List(vec![
                    number(*second),
                    number(i64::from(*offset)),
                ]))
            });
            member(name, NodeValue::List(pairs.collect()))
        });
        node(NodeValue::Map(vec![
            member("database", NodeValue::String(self.database.clone())),
            member("horizon", number(i64::from(self.horizon)).data),
            member("offsets", NodeValue::Map(offsets.collect())),
        ]))
    }
}

fn node(data: NodeValue) -> Node {
    Node { span: 0..0, data }
}

fn member(key: &str, data: NodeValue) -> Member {
    Member {
        key: key.into(),
        key_span: 0..0,
        value: node(data),
    }
}

/// Returns the first second of a year, by the Gregorian calendar.
fn year_start(year: u16) -> i64 {
    let before = i64::from(year).saturating_sub(1);
    let leap_days = [4, -100, 400].iter().fold(0i64, |days, every: &i64| {
        let count = before.div_euclid(every.abs());
        days.saturating_add(count.saturating_mul(every.signum()))
    });
    // There are 719,162 days from the first day of year 1 to that of 1970.
    before
        .saturating_mul(365)
        .saturating_add(leap_days)
        .saturating_sub(719_162)
        .saturating_mul(DAY)
}

/// Reads the key `zones`.
pub(crate) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, root: &Node) -> Option<Zones> {
    let mut zones = Zones::default();
    let mut offsets = None;
    for (key, member) in decoder.keys(at, root)? {
        let at = at.key(&member.key);
        match key {
            ZonesKey::Database => zones.database = decoder.text(&at, &member.value)?,
            ZonesKey::Horizon => {
                let year = whole(&member.value).and_then(|year| u16::try_from(year).ok());
                let Some(year) = year.filter(|year| (1970..=9999).contains(year)) else {
                    decoder.wrong_type(&at, &member.value, "a year");
                    return None;
                };
                zones.horizon = year;
            }
            ZonesKey::Offsets => offsets = Some(&member.value),
        }
    }
    let at = at.key("offsets");
    let Some(NodeValue::Map(list)) = offsets.map(|offsets| &offsets.data) else {
        decoder.error(
            codes::AG1006,
            &at,
            &root.span,
            "`zones` has no `offsets`",
            "`agentguard build` writes them",
        );
        return None;
    };
    for zone in list {
        let at = at.key(&zone.key);
        let changes = changes(decoder, &at, &zone.value)?;
        let changes = OffsetChanges::new(changes, zones.horizon);
        zones.known.insert(zone.key.clone(), changes);
    }
    Some(zones)
}

fn changes(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Vec<(i64, i32)>> {
    let wrong = |decoder: &mut Decoder, span: &Range<usize>| {
        decoder.error(
            codes::AG1005,
            at,
            span,
            "pairs of a second since 1970 and an offset in seconds are expected here, in ascending order",
            "`agentguard build` writes them",
        );
    };
    let NodeValue::List(pairs) = &node.data else {
        wrong(decoder, &node.span);
        return None;
    };
    let mut changes: Vec<(i64, i32)> = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let read = match &pair.data {
            NodeValue::List(pair) => match pair.as_slice() {
                [second, offset] => whole(second).zip(whole(offset)),
                _ => None,
            },
            _ => None,
        };
        let read = read
            .filter(|(_, offset)| (-MAX_OFFSET..=MAX_OFFSET).contains(offset))
            .filter(|(second, _)| changes.last().is_none_or(|(last, _)| last < second))
            .and_then(|(second, offset)| Some((second, i32::try_from(offset).ok()?)));
        match read {
            Some(change) => changes.push(change),
            None => {
                wrong(decoder, &pair.span);
                return None;
            }
        }
    }
    if changes.is_empty() {
        wrong(decoder, &node.span);
        return None;
    }
    Some(changes)
}

/// Reads a whole number, however a Struct writes it.
fn whole(node: &Node) -> Option<i64> {
    match &node.data {
        NodeValue::Number(text) => Decimal::parse(text)?.to_string().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_begin_when_they_do() {
        for (year, second) in [
            (1970, 0),
            (1971, 31_536_000),
            (1973, 94_694_400),
            (2000, 946_684_800),
            (2001, 978_307_200),
            (2050, 2_524_608_000),
            (2101, 4_133_980_800),
        ] {
            assert_eq!(year_start(year), second, "{year}");
        }
    }

    #[test]
    fn an_offset_holds_from_its_second_to_the_next_and_up_to_the_horizon() {
        let zone = OffsetChanges::new(vec![(100, 3_600), (200, 7_200)], 1971);
        for (second, offset) in [
            (99, None),
            (100, Some(3_600)),
            (199, Some(3_600)),
            (200, Some(7_200)),
            (31_535_999, Some(7_200)),
            (31_536_000, None),
        ] {
            assert_eq!(zone.offset(second), offset, "{second}");
        }
    }

    fn read_text(text: &str) -> (Option<Zones>, Vec<String>) {
        let root = crate::policy::parse_json(text.as_bytes()).unwrap();
        let mut decoder = Decoder::default();
        let zones = read(&mut decoder, &PolicyPath::root().key("zones"), &root);
        let told = decoder.diagnostics.iter().map(ToString::to_string);
        (zones, told.collect())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut zones = Zones::default();
        let changes = OffsetChanges::new(vec![(0, -18_000), (7_200, 0)], 2050);
        zones.add("America/New_York", changes, "2026b", 2050);
        let mut text = Vec::new();
        zones.to_node().write_json(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            r#"{"database":"2026b","horizon":2050,"offsets":{"America/New_York":[[0,-18000],[7200,0]]}}"#
        );
        assert_eq!(read_text(&text).0, Some(zones.clone()));
        // As a Struct may write its doubles.
        let doubles = text.replace("7200", "7.2e3").replace("2050", "2050.0");
        assert_eq!(read_text(&doubles).0, Some(zones));
    }

    #[test]
    fn a_table_that_can_not_be_used_is_refused() {
        for text in [
            "[]",
            "{}",
            r#"{"horizon":2050,"offsets":[]}"#,
            r#"{"horizon":"2050","offsets":{}}"#,
            r#"{"horizon":2050,"offsets":{"A/B":[]}}"#,
            r#"{"horizon":2050,"offsets":{"A/B":[[0]]}}"#,
            r#"{"horizon":2050,"offsets":{"A/B":[[5,0],[5,0]]}}"#,
            r#"{"horizon":2050,"offsets":{"A/B":[[0,90000]]}}"#,
            r#"{"horizon":2050,"offsets":{"A/B":[[0.5,0]]}}"#,
        ] {
            let (zones, told) = read_text(text);
            assert!(zones.is_none() && told.len() == 1, "{text}: {told:?}");
        }
    }
}
