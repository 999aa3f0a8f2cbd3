//! `agentguard explain CODE`

use super::{Failed, Outcome, output};
use crate::diag::{codes, nearest};
use clap::Args;
use serde_json::json;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A stable code such as `AG2002`; without one, all of them.
    code: Option<String>,
}

impl Explain {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, Failed> {
        match &self.code {
            None => {
                for code in codes::CODES {
                    tell(code, json, false);
                }
            }
            Some(asked) => match codes::find(asked) {
                Some(code) => tell(code, json, true),
                None => {
                    let near = nearest(asked, codes::CODES.iter().map(|code| code.id));
                    let hint = near
                        .map(|near| format!("; did you mean {near}?"))
                        .unwrap_or_default();
                    return Err(output::complain(&format!("{asked} is no code{hint}")));
                }
            },
        }
        Ok(Outcome::Clean)
    }
}

fn tell(code: &codes::Code, json: bool, whole: bool) {
    if json {
        let object = json!({
            "code": code.id,
            "title": code.title,
            "status": (code.status != 0).then_some(code.status),
            "explanation": code.explain,
        });
        output::line(&object.to_string());
    } else if whole {
        let status = match code.status {
            0 => String::new(),
            status => format!(" (HTTP {status})"),
        };
        output::line(&format!(
            "{}: {}{status}\n\n{}",
            code.id, code.title, code.explain
        ));
    } else {
        output::line(&format!("{}  {}", code.id, code.title));
    }
}
