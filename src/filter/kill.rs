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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::ServiceAnswer;

    const HEAD: &str = r#""apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":3"#;

    fn read(text: &str, is_named: bool) -> Option<KillConfiguration> {
        KillConfiguration::read(Ok(text.as_bytes()), || is_named, |_, _| {})
    }

    fn is_unreadable(configuration: &KillConfiguration) -> bool {
        matches!(configuration.state, KillState::Unreadable)
    }

    #[test]
    fn a_list_that_can_be_read_is_in_force_by_its_kind_alone() {
        let list = format!(r#"{{{HEAD},"kill":[{{"all":true,"reason":"r"}}]}}"#);
        let configuration = read(&list, false).unwrap();
        assert!(!is_unreadable(&configuration));
        assert_eq!((&*configuration.version, configuration.entries), ("3", 1));
    }

    #[test]
    fn what_is_no_list_is_another_filter_s_unless_the_filter_is_named_as_a_kill_list() {
        for text in [r#"{"kind":"AgentPolicy"}"#, "{}", "", "not JSON"] {
            assert!(read(text, false).is_none(), "{text}");
            assert!(is_unreadable(&read(text, true).unwrap()), "{text}");
        }
        let nothing = |is_named| {
            KillConfiguration::read(Err("no configuration".to_owned()), || is_named, |_, _| {})
        };
        assert!(nothing(false).is_none());
        assert!(is_unreadable(&nothing(true).unwrap()));
        // A list with a mistake is a list.
        assert!(is_unreadable(&read(&format!("{{{HEAD}}}"), false).unwrap()));
    }

    #[test]
    fn the_feed_s_generation_survives_a_file_that_can_not_be_read_and_its_list_does_not() {
        let with_feed = format!(r#"{{{HEAD},"feed":{{"cluster":"c"}},"kill":[]}}"#);
        let mut feed = read(&with_feed, false).unwrap().feed.unwrap();
        let body = format!(r#"{{{HEAD},"kill":[{{"all":true,"reason":"r"}}]}}"#);
        let answer = ServiceAnswer::Received {
            status: 200,
            body: body.as_bytes(),
        };
        feed.answered(&answer, |_, _| {}).unwrap();
        let mut unreadable = read("{", true).unwrap();
        let kept = unreadable.go_on(feed, |_, _| {}).unwrap();
        assert!(is_unreadable(&unreadable));
        assert!(matches!(kept.state(), KillState::Unreadable));
        // The next file goes on with it, and one without a feed needs none.
        let mut mended = read(&with_feed, false).unwrap();
        assert!(mended.go_on(kept, |_, _| {}).is_none());
        let mut feed = mended.feed.take().unwrap();
        let older = body.replace("\"generation\":3", "\"generation\":2");
        let answer = ServiceAnswer::Received {
            status: 200,
            body: older.as_bytes(),
        };
        assert_eq!(feed.answered(&answer, |_, _| {}), Err("older"));
        let mut without = read(&format!(r#"{{{HEAD},"kill":[]}}"#), false).unwrap();
        assert!(without.go_on(feed, |_, _| {}).is_none());
        assert!(!is_unreadable(&without));
    }
}
