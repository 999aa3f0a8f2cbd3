//! Filter of records: a time range, and conditions on members.

use super::super::{Failed, output};
use super::members::{MODEL, visit};
use crate::audit::is_time;
use crate::audit::{DECISIONS, MEMBERS, Member, Shape};
use crate::diag::codes;
use crate::diag::nearest;
use clap::Args;
use memchr::memmem;

/// Options that choose records. Values of one option are alternatives; different options all have to be met.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which records")]
pub(super) struct FilterOptions {
    /// From this time on: `24h`, `7d`, `2026-11-22`, or RFC 3339. Dates are UTC.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The principal's id. `*` stands for anything, here and below.
    #[arg(long, value_name = "ID")]
    principal: Vec<String>,
    /// The tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Vec<String>,
    /// The agent.
    #[arg(long, value_name = "NAME")]
    agent: Vec<String>,
    /// The client application.
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,
    /// A tool that was called.
    #[arg(long, value_name = "NAME")]
    tool: Vec<String>,
    /// A rule that matched.
    #[arg(long, value_name = "ID")]
    rule: Vec<String>,
    /// The code, such as `AG3001`.
    #[arg(long, value_name = "CODE")]
    code: Vec<String>,
    /// The decision: `allow`, `deny`, `redact`, `require_approval`.
    #[arg(long, value_name = "DECISION")]
    decision: Vec<String>,
    /// A model of the request.
    #[arg(long, value_name = "NAME")]
    model: Vec<String>,
    /// The request id.
    #[arg(long, value_name = "ID")]
    request_id: Vec<String>,
    /// Any member by its path: `status>=500`, `findings.email`, `would=deny`, `path=/v1/*`, `host!=api.openai.com`,
    /// `usage.input_tokens>10000`. May be repeated; all have to be met.
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
}

/// Comparison of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Is,
    IsNot,
    AtLeast,
    AtMost,
    Above,
    Below,
    IsThere,
}

/// Condition on a member.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) path: String,
    pub(super) test: Test,
    values: Vec<String>,
    /// Number that values are compared with.
    number: Option<f64>,
}

/// Filter of records.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    /// First time of the range, in the form of records.
    pub(super) since: Option<String>,
    /// End of the range, which is outside of it.
    pub(super) until: Option<String>,
    pub(super) conditions: Vec<Condition>,
}

impl Condition {
    fn new(path: &str, test: Test, values: Vec<String>) -> Condition {
        let number = values.first().and_then(|value| value.parse().ok());
        Condition {
            path: path.to_owned(),
            test,
            values,
            number,
        }
    }

    /// Returns the condition that a member is present.
    pub(super) fn is_there(path: &str) -> Condition {
        Condition::new(path, Test::IsThere, Vec::new())
    }

    /// Returns a text that every matching line contains, if there is one. None of its characters is escaped in a
    /// record.
    fn literal(&self) -> Option<&str> {
        let [glob] = self.values.as_slice() else {
            return None;
        };
        let is_plain = |part: &&str| {
            part.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b" .,:;-_=+@#$%()".contains(&byte))
        };
        let parts = glob.split('*').filter(is_plain);
        let longest = parts.max_by_key(|part| part.len());
        longest.filter(|part| !part.is_empty() && self.test == Test::Is)
    }

    /// Returns the condition that a value is one that this condition excludes.
    pub(super) fn negated(&self) -> Condition {
        Condition {
            test: Test::Is,
            ..self.clone()
        }
    }

    /// Returns the parts between the `*` of each value.
    pub(super) fn parts(&self) -> impl Iterator<Item = std::str::Split<'_, char>> {
        self.values.iter().map(|glob| glob.split('*'))
    }

    /// Returns the glob of a condition that has only one.
    pub(super) fn glob(&self) -> Option<&str> {
        match (self.test, self.values.as_slice()) {
            (Test::Is | Test::IsNot, [glob]) => Some(glob),
            _ => None,
        }
    }

    /// Returns the start of each glob; nothing, if numbers are compared.
    pub(super) fn starts(&self) -> Vec<&str> {
        match self.test {
            Test::Is | Test::IsNot => self.parts().filter_map(|mut parts| parts.next()).collect(),
            _ => vec![""],
        }
    }

    /// Returns whether a value meets the condition; for `!=`, whether the value is an excluded one.
    pub(super) fn accepts(&self, value: &str) -> bool {
        let compare = |test: fn(f64, f64) -> bool| {
            number_of(value)
                .zip(self.number)
                .is_some_and(|(value, wanted)| test(value, wanted))
        };
        match self.test {
            Test::Is | Test::IsNot => self.values.iter().any(|glob| fits(glob, value)),
            Test::AtLeast => compare(|value, wanted| value >= wanted),
            Test::AtMost => compare(|value, wanted| value <= wanted),
            Test::Above => compare(|value, wanted| value > wanted),
            Test::Below => compare(|value, wanted| value < wanted),
            Test::IsThere => true,
        }
    }

    /// Returns whether the condition applies to a path: it is the condition's, or for `IsThere` one below it.
    pub(super) fn is_about(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.path.as_str());
        rest.is_some_and(|rest| {
            rest.is_empty() || (self.test == Test::IsThere && rest.starts_with('.'))
        })
    }

    /// Returns the values, if none of them has a `*`.
    pub(super) fn exact(&self) -> Option<&[String]> {
        let is_exact = !self.values.iter().any(|value| value.contains('*'));
        (matches!(self.test, Test::Is | Test::IsNot) && is_exact).then_some(&self.values)
    }
}

/// Parses a number. Most are whole, and have few enough digits for the fast path.
fn number_of(value: &str) -> Option<f64> {
    let is_short = !value.is_empty() && value.len() <= 9;
    let whole = is_short.then(|| {
        value.bytes().try_fold(0_u32, |sum, byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            sum.checked_mul(10)?.checked_add(u32::from(digit))
        })
    });
    match whole.flatten() {
        Some(whole) => Some(f64::from(whole)),
        None => value.parse().ok(),
    }
}

/// Returns whether a value matches a glob, in which `*` stands for any text.
fn fits(glob: &str, value: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|start| value.strip_prefix(start)) else {
        return false;
    };
    let Some(end) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(end)
}

impl FilterOptions {
    /// Reads the options of a command that reads these files. Ages are relative to `now`.
    pub(super) fn read(&self, now: jiff::Timestamp, files: &[String]) -> Result<Filter, Failed> {
        if let Some(text) = files.iter().find(|file| is_condition_alone(file)) {
            return Err(output::print_coded(
                codes::AG9012,
                &format!(
                    "{text}: there is no such file, and a condition stands behind `--where`: `--where '{text}'`"
                ),
            ));
        }
        let time = |name: &str, text: &Option<String>| {
            match text {
            None => Ok(None),
            Some(text) => read_time(text, now).map(Some).ok_or_else(|| {
                output::print_coded(codes::AG9012, &format!(
                    "--{name} {text}: write `90m`, `24h`, `7d`, `2026-11-22`, or `2026-11-22T09:00:00Z`"
                ))
            }),
        }
        };
        let decisions = DECISIONS.to_vec();
        note_unknown_word("--decision", &self.decision, &decisions);
        let codes: Vec<&str> = codes::CODES.iter().map(|code| code.id).collect();
        note_unknown_word("--code", &self.code, &codes);
        let mut conditions = Vec::new();
        for (path, values) in [
            ("principal.id", &self.principal),
            ("principal.tenant", &self.tenant),
            ("principal.agent", &self.agent),
            ("principal.client", &self.client),
            ("tools", &self.tool),
            ("rules.id", &self.rule),
            ("code", &self.code),
            ("decision", &self.decision),
            (MODEL, &self.model),
            ("request_id", &self.request_id),
        ] {
            if !values.is_empty() {
                conditions.push(Condition::new(path, Test::Is, values.clone()));
            }
        }
        for text in &self.conditions {
            let condition = read_condition(text).ok_or_else(|| {
                output::print_coded(codes::AG9012, &format!(
                    "--where {text}: write a path, or a path, one sign and a value: `status>=500`, `findings.email`, `host!=api.openai.com`"
                ))
            })?;
            note_unknown("--where", std::slice::from_ref(&condition.path));
            conditions.push(condition);
        }
        let (since, until) = (time("since", &self.since)?, time("until", &self.until)?);
        if let (Some(since), Some(until)) = (&since, &until)
            && since >= until
        {
            output::note(&format!(
                "no record is from {since} on and before {until}: --since has to be the earlier time"
            ));
        }
        Ok(Filter {
            since,
            until,
            conditions,
        })
    }
}

/// Notes words that no record of this version has. They are no error: the trail may be from a version that has more
/// words.
fn note_unknown_word(option: &str, words: &[String], known: &[&str]) {
    for word in words {
        if word.contains('*') || known.contains(&word.as_str()) {
            continue;
        }
        let upper = word.to_ascii_uppercase();
        let spelt = known.iter().find(|known| {
            let known = known.to_ascii_uppercase();
            known == upper || known.strip_prefix("AG") == Some(&upper)
        });
        let hint = match spelt.copied().or_else(|| nearest(word, known)) {
            Some(name) => format!("did you mean `{name}`?"),
            None if known.len() > 8 => "`agentguard explain` lists all".to_owned(),
            None => format!("known are `{}`", known.join("`, `")),
        };
        let word = output::visible(word);
        output::note(&format!(
            "{option} {word}: records have no such word; {hint}"
        ));
    }
}

/// Notes paths that are no members of this version's records: a typing error would look like an empty result.
pub(super) fn note_unknown(option: &str, paths: &[String]) {
    let mut known = Vec::new();
    add_paths("", MEMBERS, &mut known);
    for path in paths {
        let is_known = known.iter().any(|(member, has_names)| {
            let below = path.strip_prefix(member.as_str());
            member
                .strip_prefix(path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                || (*has_names && below.is_some_and(|rest| rest.starts_with('.')))
        });
        if !is_known {
            let names: Vec<&str> = known.iter().map(|(member, _)| member.as_str()).collect();
            let hint = match nearest(path, &names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "`agentguard schema --audit` lists all".to_owned(),
            };
            let path = output::visible(path);
            output::note(&format!(
                "{option} {path}: records have no such member; {hint}"
            ));
        }
    }
}

/// Adds the paths of members, each with whether members of any name are below it.
fn add_paths(above: &str, members: &[Member], paths: &mut Vec<(String, bool)>) {
    for member in members {
        let path = match above {
            "" => member.name.to_owned(),
            above => format!("{above}.{}", member.name),
        };
        if let Shape::Object(members) | Shape::List(members) = member.shape {
            add_paths(&path, members, paths);
        }
        paths.push((path, matches!(member.shape, Shape::Counts)));
    }
}

/// Parses a time, and returns it in the form of records.
pub(super) fn read_time(text: &str, now: jiff::Timestamp) -> Option<String> {
    let time = match read_duration(text) {
        Some(span) => now.checked_sub(span).ok()?,
        None => {
            let date = text.parse::<jiff::civil::DateTime>().ok();
            let date = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
            match text.parse::<jiff::Timestamp>() {
                Ok(time) => time,
                Err(_) => date?.timestamp(),
            }
        }
    };
    Some(written_time(time))
}

/// Parses a duration: `90m`, `24h`, `7d`, `2w`.
pub(super) fn read_duration(text: &str) -> Option<jiff::SignedDuration> {
    let unit = text.chars().next_back()?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    Some(jiff::SignedDuration::from_secs(
        seconds.checked_mul(i64::from(number))?,
    ))
}

/// Formats a time as `2026-11-22T09:00:00.000Z`. Such texts sort in the order of their times.
pub(super) fn written_time(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Returns whether a file name is a condition with an operator and a value, such as `decision=deny`, and no such file
/// exists.
fn is_condition_alone(name: &str) -> bool {
    let is_condition = read_condition(name).is_some_and(|read| read.test != Test::IsThere);
    is_condition && !std::path::Path::new(name).exists()
}

pub(super) fn read_condition(text: &str) -> Option<Condition> {
    let signs = [
        ("!=", Test::IsNot),
        (">=", Test::AtLeast),
        ("<=", Test::AtMost),
        ("=", Test::Is),
        (">", Test::Above),
        ("<", Test::Below),
    ];
    // The first operator in the text counts: a value may contain others.
    let start = text.find(['!', '=', '<', '>']);
    let (path, rest) = match start {
        Some(start) => text.split_at_checked(start)?,
        None => (text, ""),
    };
    let path = path.trim();
    if rest.starts_with("==")
        || path.is_empty()
        || path.starts_with('.')
        || path.contains(char::is_whitespace)
    {
        return None;
    }
    let found = signs
        .into_iter()
        .find_map(|(sign, test)| Some((test, rest.strip_prefix(sign)?)));
    let (test, value) = match (found, start) {
        (Some((test, value)), _) => (test, vec![value.trim().to_owned()]),
        (None, None) => (Test::IsThere, Vec::new()),
        (None, Some(_)) => return None,
    };
    let is_compared = !matches!(test, Test::Is | Test::IsNot | Test::IsThere);
    let condition = Condition::new(path, test, value);
    (!is_compared || condition.number.is_some()).then_some(condition)
}

impl Filter {
    /// Returns the filter for the records of one request.
    pub(super) fn of_request(id: &str) -> Filter {
        Filter {
            conditions: vec![Condition::new("request_id", Test::Is, vec![id.to_owned()])],
            ..Filter::default()
        }
    }

    /// Returns whether a line can match, without parsing it as JSON.
    pub(super) fn can_accept(&self, line: &str) -> bool {
        let mut literals = self.conditions.iter().filter_map(Condition::literal);
        literals.all(|literal| memmem::find(line.as_bytes(), literal.as_bytes()).is_some())
            || line.contains("\\u")
    }

    /// Evaluates the filter on a line.
    pub(super) fn accepts(&self, line: &[u8]) -> Reading {
        let mut time = None;
        let mut met = vec![false; self.conditions.len()];
        let read = visit(line, &mut |path, value| {
            if path == "ts" {
                time = Some(value.to_owned());
            }
            for (condition, met) in self.conditions.iter().zip(&mut met) {
                *met |= condition.is_about(path) && condition.accepts(value);
            }
        });
        let (Some(()), Some(time)) = (read, time) else {
            return Reading::NoRecord;
        };
        let is_met = self
            .conditions
            .iter()
            .zip(met)
            .all(|(condition, met)| match condition.test {
                Test::IsNot => !met,
                _ => met,
            });
        match is_met {
            true if !is_time(&time) => Reading::Timeless(time),
            true if self.is_within(&time) => Reading::Meant(time),
            _ => Reading::Other,
        }
    }

    /// Returns whether a time is within the range.
    pub(super) fn is_within(&self, time: &str) -> bool {
        self.since.as_deref().is_none_or(|since| time >= since)
            && self.until.as_deref().is_none_or(|until| time < until)
    }
}

/// Result of a filter for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Matching record, with its time.
    Meant(String),
    /// Record that meets the conditions, whose `ts` is this text, which is not a timestamp.
    Timeless(String),
    /// Record that does not match.
    Other,
    /// Line that is no record.
    NoRecord,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"ts":"2026-11-22T09:00:00.000Z","host":"h","status":503,"tools":["a/b","c"],"findings":{"email":1}}"#;

    fn meets(condition: &str) -> bool {
        let filter = Filter {
            conditions: vec![read_condition(condition).unwrap()],
            ..Filter::default()
        };
        matches!(filter.accepts(LINE.as_bytes()), Reading::Meant(_))
    }

    #[test]
    fn conditions_are_read_and_met() {
        for met in [
            "host=h",
            "host!=x",
            "status>=503",
            "status>502",
            "status<=503",
            "status<1e3",
            "status=5*",
            "tools=c",
            "tools=*/b",
            "findings.email",
            "findings",
            "nothing!=x",
            "tools=*",
            "ts=2026-11-22*",
        ] {
            assert!(meets(met), "{met}");
        }
        for not_met in [
            "host=H",
            "host!=h",
            "status>503",
            "tools=a",
            "tools!=c",
            "find",
            "nothing",
            "host>1",
            "tools=*/c",
        ] {
            assert!(!meets(not_met), "{not_met}");
        }
        for wrong in ["", "=x", "a==b", "a!b", "status>x", "a b=c", ".a=b"] {
            assert_eq!(read_condition(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_glob_never_takes_the_same_letters_twice() {
        assert!(fits("a*a", "aa") && !fits("a*a", "a"));
        assert!(fits("*x*y*", "1x2y3") && !fits("*x*x*", "1x2"));
        assert!(fits("", "") && fits("*", "") && !fits("", "x"));
    }

    #[test]
    fn times_are_relative_dates_or_exact() {
        let now: jiff::Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        for (text, time) in [
            ("24h", "2026-11-21T09:00:00.000Z"),
            ("7d", "2026-11-15T09:00:00.000Z"),
            ("2026-11-22", "2026-11-22T00:00:00.000Z"),
            ("2026-11-22T01:02", "2026-11-22T01:02:00.000Z"),
            ("2026-11-22T01:02:03+01:00", "2026-11-22T00:02:03.000Z"),
        ] {
            assert_eq!(read_time(text, now).as_deref(), Some(time), "{text}");
        }
        for wrong in [
            "",
            "h",
            "7",
            "-7d",
            "yesterday",
            "99999999999d",
            "2026-13-01",
        ] {
            assert_eq!(read_time(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn a_range_has_its_beginning_and_not_its_end() {
        let filter = |since: &str, until: &str| Filter {
            since: Some(since.to_owned()),
            until: Some(until.to_owned()),
            conditions: Vec::new(),
        };
        let time = "2026-11-22T09:00:00.000Z";
        assert!(filter(time, "2026-11-22T09:00:00.001Z").is_within(time));
        assert!(!filter("2026-11-22T08:00:00.000Z", time).is_within(time));
    }
}
