//! Kill list as a configuration of its own: a second filter of the same module, placed before the policy's filter.
//! `agentguard kill` changes its file without touching the policy's filter or any connection.

use super::kill_feed::FeedReader;
use super::{Log, LogLevel};
use crate::diag::codes;
use crate::flow::Reply;
use crate::policy::{KILL_KIND, KillList, KillState, parse_json};
use std::rc::Rc;

/// Name of the filter, its root and its metric.
pub const KILL_FILTER: &str = "agentguard-kill";

/// Configuration with a kill list.
pub struct KillConfiguration {
    /// State that it puts in force.
    pub state: KillState,
    /// Generation of the list, for the metric.
    pub version: String,
    /// Number of its entries, for the metric.
    pub entries: usize,
    /// Reader of the list's feed, which determines the state. Everything is denied until the feed is read.
    pub feed: Option<FeedReader>,
}

impl KillConfiguration {
    /// Continues from the feed of the configuration before. Returns its reader if a later configuration needs it: the
    /// file can't be read now, and once it can, an older list of the feed must not lift anything.
    pub fn go_on(&mut self, mut before: FeedReader, log: Log) -> Option<FeedReader> {
        match &mut self.feed {
            Some(feed) => {
                feed.take_over(before, log);
                self.state = feed.state().clone();
                None
            }
            None if matches!(self.state, KillState::Unreadable) => {
                before.expire();
                Some(before)
            }
            None => None,
        }
    }

    /// Reads a configuration if it is the kill filter's: by its document, or by the filter's name (`is_named`). A list
    /// that can't be read is put in force, too: everything is denied, since the entries are unknown.
    pub fn read(
        text: Result<&[u8], String>,
        is_named: impl FnOnce() -> bool,
        log: Log,
    ) -> Option<KillConfiguration> {
        let root = text.and_then(|text| parse_json(text).map_err(|error| error.to_string()));
        let kind = root.as_ref().ok().and_then(|root| root.get("kind")?.text());
        if kind != Some(KILL_KIND) && !is_named() {
            return None;
        }
        let list = root.map_err(|error| vec![error]).and_then(|root| {
            KillList::read(&root).map_err(|errors| errors.iter().map(ToString::to_string).collect())
        });
        let mut feed = None;
        let (state, version, entries) = match list {
            Ok(list) => {
                log(
                    LogLevel::Info,
                    &format!(
                        "agentguard: kill list generation {} with {} entries is in force",
                        list.generation,
                        list.kills.len()
                    ),
                );
                let version = list.generation.to_string();
                let entries = list.kills.len();
                let list = Rc::new(list);
                feed = FeedReader::new(&list);
                let state = match &feed {
                    Some(feed) => feed.state().clone(),
                    None => KillState::List(list),
                };
                (state, version, entries)
            }
            Err(errors) => {
                for error in errors {
                    log(
                        LogLevel::Error,
                        &format!(
                            "agentguard: AG9003 the kill list can't be read, everything is denied: {error}"
                        ),
                    );
                }
                (KillState::Unreadable, "unreadable".to_owned(), 0)
            }
        };
        Some(KillConfiguration {
            state,
            version,
            entries,
            feed,
        })
    }
}

/// Returns the denial for a kill list that no policy's filter enforces.
pub fn kill_list_missing() -> Reply {
    Reply {
        status: codes::status(codes::AG9003),
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-agentguard-code".to_owned(), codes::AG9003.to_owned()),
            ("x-should-retry".to_owned(), "false".to_owned()),
        ],
        body: br#"{"error":{"message":"The kill list of this proxy is not in force.","code":"AG9003"}}"#
            .to_vec(),
    }
}
