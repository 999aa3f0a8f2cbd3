//! `agentguard kill`: stops agents, clients, tenants, principals or tools at once, by changing a kill list in place.

use super::{ExitStatus, Failed, output};
use crate::author::{KillChange, KillDocument, singular};
use crate::policy::{Kill, KillList, KillTarget, MAX_DOCUMENT};
use clap::Args;
use serde_json::json;
use std::path::Path;

/// Arguments of `kill`.
#[derive(Debug, Args)]
pub(super) struct KillCommand {
    /// The kill list: the document, or the file that `agentguard build` wrote from it and Envoy watches. A document
    /// that does not exist is created.
    #[arg(long, value_name = "FILE")]
    file: String,
    /// An agent: its name or a glob.
    #[arg(long, value_name = "NAME")]
    agent: Vec<String>,
    /// A client application.
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,
    /// A tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Vec<String>,
    /// A user or service account, by its id.
    #[arg(long, value_name = "ID")]
    principal: Vec<String>,
    /// A tool: `NAME`, `SERVER/NAME` or a glob.
    #[arg(long, value_name = "NAME")]
    tool: Vec<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
    /// Why. Whoever is stopped reads it.
    #[arg(long, value_name = "TEXT", conflicts_with = "lift")]
    reason: Option<String>,
    /// Until when, RFC 3339. Without it, until it is lifted.
    #[arg(long, value_name = "RFC3339", requires = "reason")]
    until: Option<String>,
    /// Let these go on again.
    #[arg(long)]
    lift: bool,
}

impl KillCommand {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let change = self.change()?;
        // Two users at the same time must not undo each other's change.
        let _lock = lock(&self.file)?;
        let text = self.text(change.is_some())?;
        let document = KillDocument::read(&text).map_err(|errors| {
            for error in &errors {
                output::print_error(&format!("{}: {error}", self.file));
            }
            output::print_undone("nothing was changed")
        })?;
        let Some(change) = change else {
            print(&self.file, &document.list, json);
            return Ok(ExitStatus::Clean);
        };
        let (changed, list) = document
            .changed(&text, &change)
            .map_err(|why| output::print_undone(&format!("{why}; nothing was changed")))?;
        output::replace_watched_file(&self.file, changed.as_bytes())?;
        print(&self.file, &list, json);
        Ok(ExitStatus::Clean)
    }

    /// Returns the change; `None` if the list is only shown.
    fn change(&self) -> Result<Option<KillChange>, Failed> {
        let mut targets: Vec<(KillTarget, Vec<Box<str>>)> = [
            (KillTarget::Agents, &self.agent),
            (KillTarget::Clients, &self.client),
            (KillTarget::Tenants, &self.tenant),
            (KillTarget::Principals, &self.principal),
            (KillTarget::Tools, &self.tool),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(target, names)| (target, names.iter().map(|name| (**name).into()).collect()))
        .collect();
        if self.all {
            targets.push((KillTarget::All, Vec::new()));
        }
        let (is_named, has_reason) = (!targets.is_empty(), self.reason.is_some());
        match (is_named, has_reason, self.lift) {
            (false, false, false) => return Ok(None),
            (false, ..) => {
                return Err(output::print_misused(
                    "name what: --agent, --client, --tenant, --principal, --tool or --all",
                ));
            }
            (true, false, false) => {
                return Err(output::print_misused(
                    "say why with --reason TEXT, or let them go on with --lift",
                ));
            }
            _ => {}
        }
        if let Some(until) = &self.until {
            output::future_moment("--until", until)?;
        }
        Ok(Some(KillChange {
            targets,
            reason: self.reason.as_deref().map(Into::into),
            until: self.until.as_deref().map(Into::into),
        }))
    }

    fn text(&self, creates: bool) -> Result<String, Failed> {
        let is_new = !Path::new(&self.file).exists();
        if creates && is_new && !self.file.ends_with(".json") {
            return Ok(KillDocument::empty());
        }
        let bytes = output::read_at_most(&self.file, MAX_DOCUMENT).map_err(|what| {
            match is_new && creates {
                true => output::print_unread(
                    &self.file,
                    "there is no such file; write it with `agentguard build KILL.yaml --for envoy --output FILE`",
                ),
                false => output::print_unread(&self.file, &what),
            }
        })?;
        String::from_utf8(bytes).map_err(|_| {
            output::print_foreign(&format!("{} is not UTF-8; save it as UTF-8", self.file))
        })
    }
}

/// Takes the lock of the folder that contains the file behind all links, until it is dropped. A lock of the file would be
/// useless, because the file is replaced by renaming.
fn lock(file: &str) -> Result<std::fs::File, Failed> {
    let failed = |why: &str| output::print_unwritten(file, why);
    let linked = output::LinkedFile::of(file).map_err(|why| failed(&why))?;
    std::fs::File::open(output::folder_of(&linked.target))
        .and_then(|folder| folder.lock().map(|()| folder))
        .map_err(|error| failed(&output::unwritable(&error)))
}

/// Prints the kills in force.
fn print(file: &str, list: &KillList, json: bool) {
    if json {
        let kills: Vec<_> = list
            .kills
            .iter()
            .map(|kill| {
                json!({"target": kill.target.word(), "names": kill.names, "reason": kill.reason,
                       "until": kill.until})
            })
            .collect();
        let mut told = json!({"file": file, "generation": list.generation, "kill": kills});
        if let (Some(feed), Some(told)) = (&list.feed, told.as_object_mut()) {
            let service =
                json!({"cluster": feed.cluster, "path": feed.path, "authority": feed.authority});
            told.insert("feed".to_owned(), service);
        }
        output::json_line(&told.to_string());
        return;
    }
    let stopped = match list.kills.len() {
        0 => "nothing is stopped".to_owned(),
        1 => "1 entry".to_owned(),
        several => format!("{several} entries"),
    };
    output::line(&format!(
        "{file}: generation {}, {stopped}",
        list.generation
    ));
    for kill in &list.kills {
        output::line(&format!("  {}", line(kill)));
    }
    if let Some(feed) = &list.feed {
        output::line(&format!(
            "  and what the feed behind cluster {} stops: {}{}",
            feed.cluster, feed.authority, feed.path
        ));
    }
}

/// Returns a line: `agent support-bot, sales-*: It pays out refunds by itself (until 2026-12-01T00:00:00Z)`
fn line(kill: &Kill) -> String {
    let names = match kill.names.as_slice() {
        [] => String::new(),
        names => format!(" {}", names.join(", ")),
    };
    let until = match &kill.until {
        Some(until) => match until.parse::<jiff::Timestamp>() {
            Ok(end) if end < jiff::Timestamp::now() => format!(" (ended {until})"),
            _ => format!(" (until {until})"),
        },
        None => String::new(),
    };
    output::visible(&format!(
        "{}{names}: {}{until}",
        singular(kill.target),
        kill.reason
    ))
}
