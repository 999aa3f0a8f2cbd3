//! `agentguard audit query` and `audit export`: the records that meet conditions.

use super::super::{ExitStatus, Failed, output};
use super::cells::{spreadsheet, text_table};
use super::conversation::{conversation, without_content};
use super::filter::{FilterOptions, note_unknown};
use super::members::visit;
use super::source::{Missing, Source, status};
use clap::{Args, ValueEnum};
use std::ops::ControlFlow;

/// Arguments of `audit query`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard audit query audit.jsonl* --since 1h --decision deny
  agentguard audit query audit.db --agent billing-bot --tool 'github/*' --limit 20
  agentguard audit query audit.db --where 'status>=500' --where 'usage.input_tokens>10000'
  agentguard audit query audit.jsonl* --request-id 2f1c… --json")]
pub(super) struct Query {
    /// Audit logs (plain, gzip, zstd; `-` is standard input), or the index that `audit index` made.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    filter: FilterOptions,
    /// How many records at most, the newest. 0: all.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// The columns: paths of members, separated by commas.
    #[arg(long, value_name = "PATH,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Show what was said below each record, where the policy records it.
    #[arg(long)]
    content: bool,
}

/// Arguments of `audit export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard audit export audit.jsonl* --since 2026-11-01 --until 2026-12-01 > november.csv
  agentguard audit export audit.db --decision deny --format jsonl > denied.jsonl

A cell that a spreadsheet would take for a formula begins with an apostrophe. JSON lines are as the filter wrote them, with
what was said where the policy records it; CSV has it only in columns that are named, such as content.request.text.")]
pub(super) struct Export {
    /// Audit logs (plain, gzip, zstd; `-` is standard input), or the index that `audit index` made.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    filter: FilterOptions,
    /// The format. CSV if absent, JSON lines with `--json`.
    #[arg(long, value_enum)]
    format: Option<ExportFormat>,
    /// The columns of CSV: paths of members, separated by commas.
    #[arg(long, value_name = "PATH,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Leave out what was said. The lines no longer verify: verify the trail itself.
    #[arg(long)]
    without_content: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// Comma-separated values, with a header.
    Csv,
    /// The records themselves, one JSON object per line.
    Jsonl,
}

/// Columns of `audit query`.
const QUERY_COLUMNS: &[&str] = &[
    "ts",
    "decision",
    "code",
    "rules.id",
    "principal.agent",
    "principal.id",
    "model",
    "tools",
    "status",
    "request_id",
];

/// Columns of `audit export`.
const EXPORT_COLUMNS: &[&str] = &[
    "ts",
    "request_id",
    "decision",
    "would",
    "code",
    "status",
    "method",
    "host",
    "path",
    "principal.id",
    "principal.agent",
    "principal.client",
    "principal.tenant",
    "protocol",
    "provider",
    "model",
    "endpoint",
    "rules.id",
    "rules.action",
    "findings",
    "tools",
    "tags",
    "coverage.level",
    "coverage.reasons",
    "usage.input_tokens",
    "usage.output_tokens",
    "approval.state",
    "limits.id",
    "policy.name",
    "policy.version",
    "chain.id",
    "chain.seq",
];

/// Returns the cells of a record. Several values of a column are separated by spaces; members below it are written as
/// `name=value`.
fn row(line: &str, columns: &[String]) -> Vec<String> {
    let mut cells = vec![String::new(); columns.len()];
    // The line was parsed before.
    let _ = visit(line.as_bytes(), &mut |path, value| {
        for (column, cell) in columns.iter().zip(&mut cells) {
            let Some(rest) = path.strip_prefix(column.as_str()) else {
                continue;
            };
            let name = rest.strip_prefix('.');
            if !rest.is_empty() && name.is_none() {
                continue;
            }
            if !cell.is_empty() {
                cell.push(' ');
            }
            if let Some(name) = name {
                cell.push_str(name);
                cell.push('=');
            }
            cell.push_str(value);
        }
    });
    cells
}

/// Returns a table with the content of each record below its row.
fn with_content(table: &str, records: &[String]) -> String {
    let mut rows = table.lines();
    let mut out = String::with_capacity(table.len());
    out.extend(rows.next().map(|header| format!("{header}\n")));
    for (row, record) in rows.zip(records) {
        out.push_str(&format!("{row}\n"));
        let record = serde_json::from_str(record).unwrap_or_default();
        out.push_str(&conversation(&record));
    }
    out
}

fn columns_or(given: &[String], default: &[&str]) -> Vec<String> {
    match given.is_empty() {
        true => default.iter().map(|path| (*path).to_owned()).collect(),
        false => given.to_vec(),
    }
}

impl Query {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let filter = self.filter.read(jiff::Timestamp::now(), &self.files)?;
        note_unknown("--columns", &self.columns);
        let limit = match self.limit {
            0 => usize::MAX,
            limit => limit,
        };
        let found = Source::open(&self.files)?.newest(&filter, limit)?;
        if json {
            found
                .lines
                .iter()
                .for_each(|line| output::recorded_line(line));
            return Ok(status(found.missing));
        }
        if found.lines.is_empty() {
            output::line("no record");
            return Ok(status(found.missing));
        }
        let columns = columns_or(&self.columns, QUERY_COLUMNS);
        let rows: Vec<Vec<String>> = found.lines.iter().map(|line| row(line, &columns)).collect();
        let header: Vec<&str> = columns.iter().map(String::as_str).collect();
        let table = text_table(&header, &rows);
        if self.content {
            output::print(&with_content(&table, &found.lines));
        } else {
            output::print(&table);
        }
        if let Some(left_out) = found.missing.left_out() {
            output::line(&left_out);
        }
        let shown = u64::try_from(found.lines.len()).unwrap_or(u64::MAX);
        match found.total {
            Some(total) if total == shown => {
                output::line(&super::trail::counted(total, "record", "records"))
            }
            Some(total) => output::line(&format!(
                "the newest {shown} of {total} records; --limit 0 shows all"
            )),
            None => output::line(&format!(
                "the newest {shown} records; there may be more: --limit 0 shows all"
            )),
        }
        Ok(status(found.missing))
    }
}

/// Returns whether a record has recorded content.
fn has_content(line: &str) -> bool {
    let mut has_content = false;
    // The line was parsed before.
    let _ = visit(line.as_bytes(), &mut |path, _| {
        has_content |= path.starts_with("content.");
    });
    has_content
}

impl Export {
    /// Notes whether the content of records was left out or exported.
    fn tell_content(&self, contents: u64, format: ExportFormat, columns: &[String]) {
        let records = super::trail::counted(contents, "record has", "records have");
        let is_named = columns.iter().any(|path| path.starts_with("content"));
        output::note(&match (self.without_content, format, is_named) {
            (true, ..) => format!("{records} content, which was left out"),
            (false, ExportFormat::Csv, false) => format!(
                "{records} content, which no column shows: --columns …,content.request.text,content.response.text"
            ),
            (false, ..) => {
                format!("{records} content: the export has it; --without-content leaves it out")
            }
        });
    }

    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let format = match (self.format, json) {
            (Some(ExportFormat::Csv), true) => {
                return Err(output::print_misused(
                    "--json and --format csv contradict each other",
                ));
            }
            (None, true) => ExportFormat::Jsonl,
            (format, _) => format.unwrap_or(ExportFormat::Csv),
        };
        let filter = self.filter.read(jiff::Timestamp::now(), &self.files)?;
        note_unknown("--columns", &self.columns);
        let source = Source::open(&self.files)?;
        let columns = columns_or(&self.columns, EXPORT_COLUMNS);
        let out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
        let mut out = Writer::new(format, out);
        let mut written = out.header(&columns);
        let (mut contents, mut missing) = (0_u64, Missing::default());
        if written.is_ok() {
            missing = source.each(&filter, &mut |line| {
                let has_content = has_content(line);
                contents = contents.saturating_add(u64::from(has_content));
                written = match has_content && self.without_content {
                    true => out.record(&without_content(line), &columns),
                    false => out.record(line, &columns),
                };
                match written {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            })?;
        }
        if contents > 0 {
            self.tell_content(contents, format, &columns);
        }
        match written.and_then(|()| out.finish()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(output::print_output_unwritten(&error))
            }
            _ => Ok(status(missing)),
        }
    }
}

/// Writer of exported records.
enum Writer<W: std::io::Write> {
    Csv(Box<csv::Writer<W>>),
    Jsonl(W),
}

impl<W: std::io::Write> Writer<W> {
    fn new(format: ExportFormat, out: W) -> Writer<W> {
        match format {
            ExportFormat::Csv => Writer::Csv(Box::new(csv::Writer::from_writer(out))),
            ExportFormat::Jsonl => Writer::Jsonl(out),
        }
    }

    fn header(&mut self, columns: &[String]) -> std::io::Result<()> {
        match self {
            Writer::Csv(out) => Ok(out.write_record(columns.iter().map(|name| spreadsheet(name)))?),
            Writer::Jsonl(_) => Ok(()),
        }
    }

    fn record(&mut self, line: &str, columns: &[String]) -> std::io::Result<()> {
        match self {
            Writer::Csv(out) => {
                let cells = row(line, columns);
                Ok(out.write_record(cells.iter().map(|cell| spreadsheet(cell)))?)
            }
            Writer::Jsonl(out) => {
                out.write_all(line.as_bytes())?;
                out.write_all(b"\n")
            }
        }
    }

    fn finish(&mut self) -> std::io::Result<()> {
        match self {
            Writer::Csv(out) => out.flush(),
            Writer::Jsonl(out) => out.flush(),
        }
    }
}
