//! Numbers of a report over a time range, from records in the order in which they were written.
//!
//! Clients choose names of agents, tools and models, so each table is bounded: further names are counted as `(others)`.

use super::members::Facts;
use crate::policy::Prices;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Maximum names of one table.
const MAX_NAMES: usize = 10_000;

/// Maximum rows of a table that are shown.
const MAX_ROWS: usize = 20;

/// Name for everything beyond the maximum.
const OTHERS: &str = "(others)";

/// Seconds after a denial within which an allowed exchange counts as a retry.
const RETRY_SECONDS: i64 = 300;

/// Minimum denials of a rule for it to be suspected of false positives.
const FEW_DENIALS: u64 = 3;

/// Table of a report.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// Id for programs.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// Meaning of the numbers.
    pub(super) note: &'static str,
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Column that a chart shows.
    pub(super) chart: Option<usize>,
}

/// Cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(String),
    Count(u64),
    /// Percentage.
    Percent(u64),
    /// Millionths of a US dollar; `None` if no price is known.
    Dollars(Option<u64>),
    Decimal(f64),
}

impl Cell {
    /// Returns the cell as text.
    pub(super) fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Count(count) => count.to_string(),
            Cell::Percent(share) => format!("{share} %"),
            Cell::Dollars(None) => "no price".to_owned(),
            Cell::Dollars(Some(micros)) => {
                let cents = micros.div_ceil(10_000);
                format!("${}.{:02}", cents.div_euclid(100), cents.rem_euclid(100))
            }
            Cell::Decimal(value) => value.to_string(),
        }
    }
}

/// Numbers by name.
#[derive(Debug)]
struct Table<T>(HashMap<String, T>);

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table(HashMap::new())
    }
}

impl<T: Default> Table<T> {
    fn of(&mut self, name: &str) -> &mut T {
        let is_full = self.0.len() >= MAX_NAMES && !self.0.contains_key(name);
        let name = if is_full { OTHERS } else { name };
        self.0.entry(name.to_owned()).or_default()
    }

    /// Returns the rows with the highest values, highest first; rows with 0 are left out.
    fn most(&self, of: impl Fn(&T) -> u64) -> Vec<(&String, &T)> {
        let mut rows: Vec<_> = self.0.iter().filter(|(_, row)| of(row) > 0).collect();
        rows.sort_by_key(|(name, row)| (Reverse(of(row)), (*name).clone()));
        rows.truncate(MAX_ROWS);
        rows
    }
}

#[derive(Debug, Default)]
struct Caller {
    exchanges: u64,
    denied: u64,
    would: u64,
    authentication: u64,
    findings: u64,
    rules: BTreeSet<String>,
}

impl Caller {
    /// Returns the number of events that make a caller suspicious.
    fn risk(&self) -> u64 {
        self.denied
            .saturating_add(self.would)
            .saturating_add(self.authentication)
    }
}

#[derive(Debug, Default)]
struct RuleCounts {
    matched: u64,
    denied: u64,
    observed: u64,
    retried: u64,
    callers: HashSet<String>,
    action: String,
}

#[derive(Debug, Default)]
struct ToolCounts {
    exchanges: u64,
    denied: u64,
    approvals: u64,
}

#[derive(Debug, Default)]
struct LimitCounts {
    charged: u64,
    exceeded: u64,
    /// Highest used percentage of the limit.
    peak: f64,
}

#[derive(Debug, Default)]
struct Spend {
    exchanges: u64,
    input: u64,
    output: u64,
    micros: Option<u64>,
}

/// Last denial of a caller.
#[derive(Debug)]
struct Denial {
    second: i64,
    rules: Vec<String>,
}

/// Counts of records.
#[derive(Debug, Default)]
pub(super) struct Summary {
    prices: Vec<Prices>,
    first: Option<String>,
    last: Option<String>,
    pub(super) records: u64,
    decisions: BTreeMap<String, u64>,
    would: u64,
    hours: BTreeMap<String, (u64, u64)>,
    codes: Table<u64>,
    findings: Table<u64>,
    rules: Table<RuleCounts>,
    callers: Table<Caller>,
    tools: Table<ToolCounts>,
    approvals: Table<u64>,
    limits: Table<LimitCounts>,
    models: Table<Spend>,
    tenants: Table<Spend>,
    denials: HashMap<String, Denial>,
}

fn bump(count: &mut u64) {
    *count = count.saturating_add(1);
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

impl Summary {
    pub(super) fn new(prices: Vec<Prices>) -> Summary {
        Summary {
            prices,
            ..Summary::default()
        }
    }

    /// Returns the first and the last time.
    pub(super) fn range(&self) -> Option<(&str, &str)> {
        self.first.as_deref().zip(self.last.as_deref())
    }

    /// Counts a record. Each exchange has one record that is not interim.
    pub(super) fn add(&mut self, facts: &Facts) {
        if facts.is_interim {
            return;
        }
        let time = &facts.time;
        if self.first.as_ref().is_none_or(|first| time < first) {
            self.first = Some(time.clone());
        }
        if self.last.as_ref().is_none_or(|last| time > last) {
            self.last = Some(time.clone());
        }
        bump(&mut self.records);
        bump(self.decisions.entry(facts.decision.clone()).or_default());
        self.would = self
            .would
            .saturating_add(u64::from(facts.would_be_denied()));
        let hour = time.get(..13).unwrap_or(time);
        let (all, denied) = self.hours.entry(hour.to_owned()).or_default();
        bump(all);
        add(denied, u64::from(facts.is_denied()));
        if !facts.code.is_empty() {
            bump(self.codes.of(&facts.code));
        }
        for (detector, count) in &facts.findings {
            add(self.findings.of(detector), *count);
        }
        self.add_rules(facts);
        self.add_caller(facts);
        for tool in &facts.tools {
            let counts = self.tools.of(tool);
            bump(&mut counts.exchanges);
            add(&mut counts.denied, u64::from(facts.is_denied()));
            add(&mut counts.approvals, u64::from(!facts.approval.is_empty()));
        }
        if !facts.approval.is_empty() {
            bump(self.approvals.of(&facts.approval));
        }
        for limit in &facts.limits {
            let counts = self.limits.of(&limit.id);
            bump(&mut counts.charged);
            add(&mut counts.exceeded, u64::from(limit.is_exceeded));
            if limit.max > 0.0 {
                counts.peak = counts.peak.max(limit.used / limit.max * 100.0);
            }
        }
        self.add_spend(facts);
    }

    fn add_rules(&mut self, facts: &Facts) {
        let caller = facts.caller();
        for rule in &facts.rules {
            let counts = self.rules.of(&rule.id);
            bump(&mut counts.matched);
            rule.action.clone_into(&mut counts.action);
            let is_denial = rule.action == "deny";
            add(
                &mut counts.denied,
                u64::from(is_denial && facts.is_denied() && rule.mode != "observe"),
            );
            add(
                &mut counts.observed,
                u64::from(is_denial && rule.mode == "observe"),
            );
            if is_denial && counts.callers.len() < MAX_NAMES {
                counts.callers.insert(caller.clone());
            }
        }
        let Ok(time) = facts.time.parse::<jiff::Timestamp>() else {
            return;
        };
        let second = time.as_second();
        if facts.is_denied() {
            let rules = facts.rules.iter().filter(|rule| rule.action == "deny");
            let rules = rules.map(|rule| rule.id.clone()).collect();
            if self.denials.len() < MAX_NAMES || self.denials.contains_key(&caller) {
                self.denials.insert(caller, Denial { second, rules });
            }
        } else if facts.decision == "allow"
            && let Some(denial) = self.denials.remove(&caller)
            && second.saturating_sub(denial.second) <= RETRY_SECONDS
        {
            for rule in denial.rules {
                bump(&mut self.rules.of(&rule).retried);
            }
        }
    }

    fn add_caller(&mut self, facts: &Facts) {
        let counts = self.callers.of(&facts.caller());
        bump(&mut counts.exchanges);
        add(&mut counts.denied, u64::from(facts.is_denied()));
        add(&mut counts.would, u64::from(facts.would_be_denied()));
        add(
            &mut counts.authentication,
            u64::from(!facts.authentication.is_empty()),
        );
        for (_, found) in &facts.findings {
            add(&mut counts.findings, *found);
        }
        for rule in &facts.rules {
            if rule.action == "deny" && counts.rules.len() < MAX_ROWS {
                counts.rules.insert(rule.id.clone());
            }
        }
    }

    fn add_spend(&mut self, facts: &Facts) {
        if facts.input_tokens == 0 && facts.output_tokens == 0 {
            return;
        }
        let model = match facts.models.as_slice() {
            [] => "(unknown)".to_owned(),
            models => models.join(","),
        };
        let prices = self.prices.iter().filter_map(|prices| {
            let of_models = facts.models.iter().filter_map(|model| prices.of(model));
            of_models
                .reduce(Prices::dearer)
                .or_else(|| prices.of_unknown())
        });
        let price = prices.reduce(Prices::dearer);
        let cost = price.map(|price| price.of(facts.input_tokens, facts.output_tokens));
        let tenant = match facts.tenant.as_str() {
            "" => "(none)",
            tenant => tenant,
        };
        for spend in [self.models.of(&model), self.tenants.of(tenant)] {
            bump(&mut spend.exchanges);
            add(&mut spend.input, facts.input_tokens);
            add(&mut spend.output, facts.output_tokens);
            if let Some(cost) = cost {
                spend.micros = Some(spend.micros.unwrap_or(0).saturating_add(cost));
            }
        }
    }

    /// Returns the tables of the report.
    pub(super) fn sections(&self) -> Vec<Section> {
        let sections = [
            self.decision_section(),
            self.time_section(),
            counts_section(
                "violations",
                "Violations",
                "Codes of what was denied; `agentguard explain CODE` explains one.",
                "code",
                &self.codes,
            ),
            self.rule_section(),
            self.caller_section(),
            self.tool_section(),
            counts_section(
                "findings",
                "Findings",
                "What detectors found in texts.",
                "detector",
                &self.findings,
            ),
            counts_section(
                "approvals",
                "Approvals",
                "`required`: asked for; `approved`: a valid token came; `invalid`: another one came.",
                "state",
                &self.approvals,
            ),
            self.limit_section(),
            self.false_positive_section(),
            spend_section("models", "Spend by model", "model", &self.models),
            spend_section("tenants", "Spend by tenant", "tenant", &self.tenants),
        ];
        sections
            .into_iter()
            .filter(|section| !section.rows.is_empty())
            .collect()
    }

    fn decision_section(&self) -> Section {
        let mut rows: Vec<Vec<Cell>> = self
            .decisions
            .iter()
            .map(|(decision, count)| self.share_row(decision, *count))
            .collect();
        if self.would > 0 {
            rows.push(self.share_row("would be denied (observe)", self.would));
        }
        Section {
            id: "decisions",
            title: "Decisions",
            note: "What happened to the exchanges.",
            columns: vec!["decision", "exchanges", "share"],
            rows,
            chart: Some(1),
        }
    }

    fn share_row(&self, name: &str, count: u64) -> Vec<Cell> {
        vec![
            Cell::Text(name.to_owned()),
            Cell::Count(count),
            Cell::Percent(percent(count, self.records)),
        ]
    }

    fn time_section(&self) -> Section {
        let hours = self.hours.iter();
        // A long range is counted by days.
        let width = if self.hours.len() > 72 { 10 } else { 13 };
        let mut spans: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (hour, (all, denied)) in hours {
            let span = spans.entry(hour.get(..width).unwrap_or(hour)).or_default();
            add(&mut span.0, *all);
            add(&mut span.1, *denied);
        }
        Section {
            id: "time",
            title: "Over time",
            note: "Exchanges by the hour or the day in which they began, UTC.",
            columns: vec!["from", "exchanges", "denied"],
            rows: spans
                .into_iter()
                .map(|(span, (all, denied))| {
                    vec![
                        Cell::Text(span.to_owned()),
                        Cell::Count(all),
                        Cell::Count(denied),
                    ]
                })
                .collect(),
            chart: Some(1),
        }
    }

    fn rule_section(&self) -> Section {
        let rows = self
            .rules
            .most(|rule| rule.matched)
            .into_iter()
            .map(|(id, rule)| {
                vec![
                    Cell::Text(id.clone()),
                    Cell::Text(rule.action.clone()),
                    Cell::Count(rule.matched),
                    Cell::Count(rule.denied),
                    Cell::Count(rule.observed),
                ]
            });
        Section {
            id: "rules",
            title: "Rules",
            note: "Rules that matched most. `observed`: what enforcing an observed rule would deny.",
            columns: vec!["rule", "action", "matched", "denied", "observed"],
            rows: rows.collect(),
            chart: Some(2),
        }
    }

    fn caller_section(&self) -> Section {
        let rows = self
            .callers
            .most(Caller::risk)
            .into_iter()
            .map(|(name, caller)| {
                let rules: Vec<&str> = caller.rules.iter().map(String::as_str).collect();
                vec![
                    Cell::Text(name.clone()),
                    Cell::Count(caller.risk()),
                    Cell::Count(caller.exchanges),
                    Cell::Count(caller.denied),
                    Cell::Count(caller.would),
                    Cell::Count(caller.authentication),
                    Cell::Count(caller.findings),
                    Cell::Text(rules.join(" ")),
                ]
            });
        Section {
            id: "agents",
            title: "Riskiest agents",
            note: "Risk: exchanges denied, or denied under enforcement, and failed authentications.",
            columns: vec![
                "who",
                "risk",
                "exchanges",
                "denied",
                "would deny",
                "auth failed",
                "findings",
                "rules",
            ],
            rows: rows.collect(),
            chart: Some(1),
        }
    }

    fn tool_section(&self) -> Section {
        let rows = self
            .tools
            .most(|tool| tool.exchanges)
            .into_iter()
            .map(|(name, tool)| {
                vec![
                    Cell::Text(name.clone()),
                    Cell::Count(tool.exchanges),
                    Cell::Count(tool.denied),
                    Cell::Count(tool.approvals),
                ]
            });
        Section {
            id: "tools",
            title: "Tools",
            note: "Exchanges in which a tool was called, how many of them were denied, and how many had to do with an approval.",
            columns: vec!["tool", "exchanges", "denied", "approvals"],
            rows: rows.collect(),
            chart: Some(1),
        }
    }

    fn limit_section(&self) -> Section {
        let rows = self
            .limits
            .most(|limit| limit.charged)
            .into_iter()
            .map(|(id, limit)| {
                vec![
                    Cell::Text(id.clone()),
                    Cell::Count(limit.charged),
                    Cell::Count(limit.exceeded),
                    Cell::Decimal(limit.peak.round()),
                ]
            });
        Section {
            id: "limits",
            title: "Limits",
            note: "Exchanges that were charged and that exceeded a limit, and the most that was used of it in percent.",
            columns: vec!["limit", "charged", "exceeded", "peak %"],
            rows: rows.collect(),
            chart: Some(2),
        }
    }

    /// Returns rules whose denials look wrong: callers succeed with a retry, or very many callers are denied.
    fn false_positive_section(&self) -> Section {
        let callers = u64::try_from(self.callers.0.len()).unwrap_or(u64::MAX);
        let mut rows: Vec<(u64, Vec<Cell>)> = Vec::new();
        for (id, rule) in &self.rules.0 {
            let hits = rule.denied.saturating_add(rule.observed);
            if hits < FEW_DENIALS {
                continue;
            }
            let denied_callers = u64::try_from(rule.callers.len()).unwrap_or(u64::MAX);
            let retried = percent(rule.retried, rule.denied);
            let of_callers = percent(denied_callers, callers);
            let why = match (retried >= 50, callers >= 4 && of_callers >= 50) {
                (true, _) => "callers got through with a second try",
                (false, true) => "most callers are denied",
                (false, false) => continue,
            };
            rows.push((
                hits,
                vec![
                    Cell::Text(id.clone()),
                    Cell::Count(hits),
                    Cell::Count(rule.retried),
                    Cell::Count(denied_callers),
                    Cell::Text(why.to_owned()),
                ],
            ));
        }
        rows.sort_by_key(|(hits, row)| (Reverse(*hits), row.first().map(Cell::text)));
        Section {
            id: "false_positives",
            title: "False-positive candidates",
            note: "Rules with three denials or more, half of whose denials were followed by an allowed exchange of the same caller within five minutes, or that deny half of all callers. A guess: look at the records (`audit query --rule`).",
            columns: vec!["rule", "denials", "then allowed", "callers", "why"],
            rows: rows
                .into_iter()
                .map(|(_, row)| row)
                .take(MAX_ROWS)
                .collect(),
            chart: None,
        }
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

fn counts_section(
    id: &'static str,
    title: &'static str,
    note: &'static str,
    name: &'static str,
    counts: &Table<u64>,
) -> Section {
    let rows = counts.most(|count| *count).into_iter();
    let rows = rows.map(|(name, count)| vec![Cell::Text(name.clone()), Cell::Count(*count)]);
    Section {
        id,
        title,
        note,
        columns: vec![name, "count"],
        rows: rows.collect(),
        chart: Some(1),
    }
}

fn spend_section(
    id: &'static str,
    title: &'static str,
    name: &'static str,
    spend: &Table<Spend>,
) -> Section {
    let tokens = |spend: &Spend| spend.input.saturating_add(spend.output);
    let rows = spend.most(tokens).into_iter().map(|(name, spend)| {
        vec![
            Cell::Text(name.clone()),
            Cell::Count(spend.exchanges),
            Cell::Count(spend.input),
            Cell::Count(spend.output),
            Cell::Dollars(spend.micros),
        ]
    });
    Section {
        id,
        title,
        note: "Tokens as the providers report them. Costs need `--prices POLICY`; an exchange without a known price adds nothing.",
        columns: vec![name, "exchanges", "input tokens", "output tokens", "cost"],
        rows: rows.collect(),
        chart: Some(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[String]) -> Summary {
        let mut summary = Summary::default();
        for line in lines {
            summary.add(&Facts::of(line.as_bytes()).unwrap());
        }
        summary
    }

    fn line(second: u32, agent: &str, decision: &str, rule: &str) -> String {
        let rules = match rule {
            "" => String::new(),
            rule => format!(r#","rules":[{{"id":"{rule}","action":"deny","mode":"enforce"}}]"#),
        };
        format!(
            r#"{{"ts":"2026-11-22T09:00:{second:02}.000Z","principal":{{"agent":"{agent}"}},"decision":"{decision}"{rules}}}"#
        )
    }

    fn table(summary: &Summary, id: &str) -> Vec<Vec<String>> {
        let sections = summary.sections();
        let section = sections.iter().find(|section| section.id == id);
        let rows = section
            .map(|section| section.rows.clone())
            .unwrap_or_default();
        rows.iter()
            .map(|row| row.iter().map(Cell::text).collect())
            .collect()
    }

    #[test]
    fn a_rule_whose_callers_get_through_at_once_is_a_candidate() {
        let mut lines = Vec::new();
        for second in 0..3 {
            lines.push(line(second * 2, "a", "deny", "strict"));
            lines.push(line(second * 2 + 1, "a", "allow", ""));
            lines.push(line(second * 2, "b", "deny", "right"));
        }
        let rows = table(&counted(&lines), "false_positives");
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0][..3], ["strict", "3", "3"]);
    }

    #[test]
    fn the_riskiest_agent_is_the_one_that_is_denied_most() {
        let lines = [
            line(0, "quiet", "allow", ""),
            line(1, "loud", "deny", "r"),
            line(2, "loud", "deny", "r"),
            line(3, "other", "deny", "r"),
        ];
        let rows = table(&counted(&lines), "agents");
        assert_eq!(
            (rows[0][0].as_str(), rows[0][1].as_str()),
            ("agent loud", "2")
        );
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn a_stream_that_was_restricted_is_one_exchange() {
        let last = line(0, "a", "deny", "r");
        let interim = last.replace("{\"ts\"", "{\"interim\":true,\"ts\"");
        assert_eq!(counted(&[interim, last]).records, 1);
    }

    #[test]
    fn names_are_bounded() {
        let mut table: Table<u64> = Table::default();
        for number in 0..MAX_NAMES + 5 {
            bump(table.of(&number.to_string()));
        }
        assert_eq!(table.0.len(), MAX_NAMES + 1);
        assert_eq!(table.0[OTHERS], 5);
    }

    #[test]
    fn costs_are_rounded_up_to_cents() {
        assert_eq!(Cell::Dollars(Some(1_234_567)).text(), "$1.24");
        assert_eq!(Cell::Dollars(None).text(), "no price");
    }
}
