//! `agentguard scan [FILE]`: shows the findings of detectors in texts.
//!
//! One text per line: `{"id","text"}` → `{"id","spans":[[start,end,type]]}`, in Unicode code points, the end exclusive.

use super::source::Source;
use super::{ExitStatus, Failed, output};
use crate::detect::{Confidence, Scanner, Scratch, Selection, report};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

/// Arguments of `scan`.
#[derive(Debug, Args)]
pub(super) struct Scan {
    /// Texts, one JSON object `{"id","text"}` per line. Standard input if absent.
    #[arg(default_value = output::STDIN, value_name = "FILE")]
    file: String,
    /// Detectors and groups, such as `credit_card,secrets`. All if absent.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    detects: Vec<String>,
    /// Minimum confidence of a finding.
    #[arg(long, value_enum, default_value = "medium", value_name = "LEVEL")]
    confidence: ConfidenceArg,
    /// Also search runs of Base64 and hexadecimal digits.
    #[arg(long)]
    decode: bool,
    /// Also use the detectors and allow-lists of a policy.
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ConfidenceArg {
    Low,
    Medium,
    High,
}

impl From<ConfidenceArg> for Confidence {
    fn from(level: ConfidenceArg) -> Self {
        match level {
            ConfidenceArg::Low => Self::Low,
            ConfidenceArg::Medium => Self::Medium,
            ConfidenceArg::High => Self::High,
        }
    }
}

/// Line of the input. Other members are ignored.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a `text`")]
struct InputLine {
    #[serde(default)]
    id: Value,
    text: String,
}

impl Scan {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let scanner = Scanner::new(&self.selection()?);
        let bytes = output::read_lines(&self.file)?;
        let mut scratch = Scratch::default();
        for (number, line) in (1usize..).zip(bytes.split(|byte| *byte == b'\n')) {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let line: InputLine = serde_json::from_slice(line).map_err(|error| {
                let advice = match output::advice_on_lines(&bytes) {
                    "" => "; for plain text: `jq -R '{text: .}' FILE | agentguard scan`",
                    advice => advice,
                };
                output::print_foreign(&format!(
                    "{}: line {number} is no object with a `text`: {}{advice}",
                    self.file,
                    output::json_fault(&error)
                ))
            })?;
            let spans = report::spans(&scanner, &line.text, &mut scratch);
            if json {
                let spans: Vec<Value> = spans
                    .iter()
                    .map(|span| json!([span.start, span.end, span.name]))
                    .collect();
                output::json_line(&json!({"id": line.id, "spans": spans}).to_string());
                continue;
            }
            for span in spans {
                let id = match &line.id {
                    Value::String(id) => output::visible(id),
                    Value::Null => format!("line {number}"),
                    other => output::visible(&other.to_string()),
                };
                output::line(&format!(
                    "{id}: {}-{} {} ({})",
                    span.start,
                    span.end,
                    span.name,
                    span.confidence.word()
                ));
            }
        }
        Ok(ExitStatus::Clean)
    }

    fn selection(&self) -> Result<Selection, Failed> {
        let mut selection = match &self.policy {
            Some(file) => Source::open(file)?.policy()?.detectors().clone(),
            None => Selection::none(),
        };
        let at_least = self.confidence.into();
        if self.detects.is_empty() {
            selection.add_all(at_least);
        }
        for name in &self.detects {
            selection.add(name, at_least).map_err(|unknown| {
                let meant = match unknown.suggestions.first() {
                    Some(meant) => format!("; did you mean `{meant}`?"),
                    None => "; docs/detectors.md lists them".to_owned(),
                };
                output::print_misused(&format!("no detector or group `{name}`{meant}"))
            })?;
        }
        if self.decode {
            selection.decode(true);
        }
        Ok(selection)
    }
}
