//! `agentguard audit report`: what happened in a time range, for people.

use super::super::source::Source as PolicySource;
use super::super::{ExitStatus, Failed, output};
use super::cells::{csv_rows, markdown, text_table};
use super::conversation::as_text as content_as_text;
use super::filter::FilterOptions;
use super::members::Facts;
use super::page;
use super::source::{Missing, Source, status};
use super::summary::{Cell, Section, Summary};
use super::violations::{SECTION, Violation, Violations};
use crate::diag::codes;
use crate::policy::Prices;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;

/// Arguments of `audit report`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard audit report audit.jsonl* --since 24h
  agentguard audit report audit.db --since 2026-11-01 --until 2026-12-01 --format html > november.html
  agentguard audit report audit.db --tenant acme --prices policy.yaml --format markdown")]
pub(super) struct WriteReport {
    /// Audit logs (plain, gzip, zstd; `-` is standard input), or the index that `audit index` made.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    filter: FilterOptions,
    /// The format. HTML is one file that loads nothing.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// A policy with limits on costs: its prices give the costs.
    #[arg(long, value_name = "POLICY")]
    prices: Option<String>,
    /// Show what was said in the latest violations, where the policy records it.
    #[arg(long)]
    content: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Markdown,
    Html,
    Csv,
    Json,
}

impl WriteReport {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let filter = self.filter.read(jiff::Timestamp::now(), &self.files)?;
        let prices = match &self.prices {
            Some(policy) => read_prices(policy)?,
            None => Vec::new(),
        };
        let mut summary = Summary::new(prices);
        let mut violations = Violations::new(self.content);
        let missing = Source::open(&self.files)?.each(&filter, &mut |line| {
            if let Some(facts) = Facts::of(line.as_bytes()) {
                summary.add(&facts);
                violations.add(&facts, line);
            }
            ControlFlow::Continue(())
        })?;
        let mut sections = summary.sections();
        // After the counts of all violations.
        let place = sections.iter().position(|section| section.id == "rules");
        if let Some(section) = violations.section() {
            sections.insert(place.unwrap_or(sections.len()), section);
        }
        let range = match summary.range() {
            Some((first, last)) => format!(
                "{} from {} to {}",
                super::trail::counted(summary.records, "exchange", "exchanges"),
                output::visible(first),
                output::visible(last)
            ),
            None => "no exchange".to_owned(),
        };
        let lacks = [
            (missing.files, "a file could not be read to its end"),
            (missing.timeless, "a record has no time"),
        ];
        let lacks = lacks.into_iter().filter(|(count, _)| *count > 0);
        let range = lacks.fold(range, |range, (_, what)| {
            format!("{range}. Incomplete: {what}")
        });
        let range = match missing.left_out() {
            Some(left_out) => format!("{range}. {left_out}"),
            None => range,
        };
        let format = if json {
            ReportFormat::Json
        } else {
            self.format
        };
        output::verbatim(&match format {
            ReportFormat::Text => as_text(&range, &sections, &violations),
            ReportFormat::Markdown => as_markdown(&range, &sections, &violations),
            ReportFormat::Html => page::html(&range, &sections, &violations),
            ReportFormat::Csv => as_csv(&sections, &violations),
            ReportFormat::Json => {
                output::visible_json(&as_json(&summary, &sections, &violations, missing))
            }
        });
        Ok(status(missing))
    }
}

/// Returns the prices of a policy's limits.
fn read_prices(policy: &str) -> Result<Vec<Prices>, Failed> {
    let source = PolicySource::open(policy)?;
    let limits = source
        .policy()?
        .rules()
        .iter()
        .filter_map(|rule| rule.limit.as_ref());
    let prices: Vec<Prices> = limits
        .map(|limit| limit.prices.clone())
        .filter(|prices| *prices != Prices::default())
        .collect();
    match prices.is_empty() {
        true => Err(output::print_coded(
            codes::AG9013,
            &format!("--prices {policy}: none of its limits has `prices`; name a policy that has"),
        )),
        false => Ok(prices),
    }
}

fn texts(row: &[Cell]) -> Vec<String> {
    row.iter().map(Cell::text).collect()
}

fn as_text(range: &str, sections: &[Section], violations: &Violations) -> String {
    let mut out = format!("{range}\n");
    for section in sections {
        let rows: Vec<Vec<String>> = section.rows.iter().map(|row| texts(row)).collect();
        let table = text_table(&section.columns, &rows);
        out.push_str(&format!("\n{}\n{}\n\n{table}", section.title, section.note));
        for (number, violation) in contents(section, violations) {
            let id = output::visible(&violation.request_id);
            out.push_str(&format!(
                "\n#{number} {id}\n{}",
                content_as_text(&violation.texts)
            ));
        }
    }
    out
}

fn as_markdown(range: &str, sections: &[Section], violations: &Violations) -> String {
    let mut out = format!("# AgentGuard audit report\n\n{}\n", markdown(range));
    for section in sections {
        out.push_str(&format!("\n## {}\n\n{}\n\n", section.title, section.note));
        let header: Vec<String> = section.columns.iter().map(|name| markdown(name)).collect();
        out.push_str(&format!(
            "| {} |\n|{}\n",
            header.join(" | "),
            "---|".repeat(header.len())
        ));
        for row in &section.rows {
            let cells: Vec<String> = row.iter().map(|cell| markdown(&cell.text())).collect();
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        for (number, violation) in contents(section, violations) {
            let id = markdown(&violation.request_id);
            out.push_str(&format!("\n### \\#{number} {id}\n"));
            for recorded in &violation.texts {
                out.push_str(&format!("\n{}\n", markdown(&recorded.title)));
                // The backslash at the end of a line is Markdown's hard line break.
                let lines = recorded
                    .text
                    .lines()
                    .map(|line| format!("> {}", markdown(line)));
                let lines: Vec<String> = lines.collect();
                if !lines.is_empty() {
                    out.push_str(&format!("\n{}\n", lines.join("\\\n")));
                }
            }
        }
    }
    out
}

/// Returns the violations of a section whose content is shown, with their numbers in its table.
fn contents<'v>(
    section: &Section,
    violations: &'v Violations,
) -> impl Iterator<Item = (usize, &'v Violation)> {
    let is_here = section.id == SECTION;
    let newest = violations.newest().into_iter();
    newest.filter(move |(_, violation)| is_here && !violation.texts.is_empty())
}

/// Returns one row for each number: `section,name,measure,value`.
fn as_csv(sections: &[Section], violations: &Violations) -> String {
    let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![row(["section", "name", "measure", "value"])];
    for section in sections {
        for cells in &section.rows {
            let texts = texts(cells);
            let Some((name, values)) = texts.split_first() else {
                continue;
            };
            for (column, value) in section.columns.iter().skip(1).zip(values) {
                rows.push(row([section.id, name, column, value]));
            }
        }
        for (number, violation) in contents(section, violations) {
            for recorded in &violation.texts {
                rows.push(row([
                    section.id,
                    &number.to_string(),
                    &recorded.title,
                    &recorded.text,
                ]));
            }
        }
    }
    csv_rows(&rows)
}

fn as_json(
    summary: &Summary,
    sections: &[Section],
    violations: &Violations,
    missing: Missing,
) -> String {
    let (first, last) = summary.range().unzip();
    let mut object = Map::new();
    object.insert("from".to_owned(), json!(first));
    object.insert("to".to_owned(), json!(last));
    object.insert("exchanges".to_owned(), json!(summary.records));
    object.insert("complete".to_owned(), json!(missing.is_nothing()));
    object.insert("not_records".to_owned(), json!(missing.others));
    for section in sections {
        let rows = section.rows.iter().map(|row| {
            let cells = section.columns.iter().zip(row);
            let cells = cells.map(|(name, cell)| (name.replace(' ', "_"), cell_as_json(cell)));
            Value::Object(cells.collect())
        });
        let mut rows: Vec<Value> = rows.collect();
        for (number, violation) in contents(section, violations) {
            let row = rows.get_mut(number.saturating_sub(1));
            if let Some(Value::Object(row)) = row {
                row.insert("said".to_owned(), json!(violation.content));
            }
        }
        object.insert(section.id.to_owned(), Value::Array(rows));
    }
    format!("{}\n", Value::Object(object))
}

fn cell_as_json(cell: &Cell) -> Value {
    match cell {
        Cell::Text(text) => json!(text),
        Cell::Count(count) | Cell::Percent(count) => json!(count),
        Cell::Decimal(value) => json!(value),
        Cell::Dollars(None) => Value::Null,
        Cell::Dollars(Some(_)) => json!(cell.text().trim_start_matches('$').parse::<f64>().ok()),
    }
}
