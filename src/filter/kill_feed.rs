//! Reader of a kill list's feed. It determines when the service is requested, and which list is in force after its
//! responses. The host makes the calls.
//!
//! Time is counted in ticks of one second, so that jumps of the wall clock have no effect.

use super::{Log, LogLevel};
use crate::flow::ServiceAnswer;
use crate::policy::{KillFeed, KillList, KillState};
use std::rc::Rc;

/// Maximum bytes of a feed's list.
pub const MAX_FEED_BYTES: usize = 256 << 10;

/// Timeout of a request in seconds.
pub const FEED_TIMEOUT_S: u64 = 5;

/// Seconds after which a missing response is given up.
const LOST_AFTER_S: u64 = FEED_TIMEOUT_S + 2;

/// List that differs from the one before, with its bytes.
struct NewList {
    list: KillList,
    text: Vec<u8>,
}

/// Reason to reject a response.
struct RejectedAnswer {
    /// Word for the metric.
    reason: &'static str,
    /// Text for the log.
    why: String,
}

impl RejectedAnswer {
    fn new(reason: &'static str, why: impl Into<String>) -> RejectedAnswer {
        let why = why.into();
        RejectedAnswer { reason, why }
    }
}

/// Feed with the state of its list.
#[derive(Debug)]
pub struct FeedReader {
    /// List in the file.
    own: Rc<KillList>,
    feed: KillFeed,
    /// Last list of the feed, and its bytes.
    list: Option<Rc<KillList>>,
    text: Vec<u8>,
    /// Seconds since the list was last read.
    age: u64,
    /// Seconds until the next request.
    pause: u64,
    /// Seconds since the open request; absent if there is none.
    waited: Option<u64>,
    /// Last reason of a failure in the log.
    complaint: Option<String>,
    /// List of the feed that is in force.
    in_force: Option<Rc<KillList>>,
    state: KillState,
}

impl FeedReader {
    /// Returns the reader for a list that names a feed; `None` for another list. Until the feed is read, its entries
    /// are unknown and everything is denied.
    pub fn new(own: &Rc<KillList>) -> Option<FeedReader> {
        Some(FeedReader {
            feed: own.feed.clone()?,
            own: Rc::clone(own),
            list: None,
            text: Vec::new(),
            age: 0,
            pause: 0,
            waited: None,
            complaint: None,
            in_force: None,
            state: KillState::Unreadable,
        })
    }

    /// Takes over the list that the previous configuration's reader read, if its feed is the same service: a change of
    /// the file then lifts no entry of the feed.
    pub fn take_over(&mut self, before: FeedReader, log: Log) {
        if !self.feed.is_same_service(&before.feed) {
            return;
        }
        self.list = before.list;
        self.text = before.text;
        self.age = before.age;
        self.complaint = before.complaint;
        self.decide(log);
    }

    /// Stops using the feed's list until a later configuration [takes it over](Self::take_over). The list is then only
    /// in force once the feed is read again, and its generation still must not go back.
    pub fn expire(&mut self) {
        self.age = u64::MAX;
        self.in_force = None;
        self.state = KillState::Unreadable;
    }

    /// Returns the feed's location and intervals.
    pub fn feed(&self) -> &KillFeed {
        &self.feed
    }

    /// Returns the state in force.
    pub fn state(&self) -> &KillState {
        &self.state
    }

    /// Returns the bytes of the feed's list in force.
    pub fn text(&self) -> Option<&[u8]> {
        self.in_force.as_ref().map(|_| self.text.as_slice())
    }

    /// Returns the number of entries in force.
    pub fn entries(&self) -> usize {
        let of_feed = self.in_force.as_ref().map_or(0, |list| list.kills.len());
        self.own.kills.len().saturating_add(of_feed)
    }

    /// Returns the generation of the feed's list in force; 0 if there is none.
    pub fn generation(&self) -> u64 {
        self.in_force.as_ref().map_or(0, |list| list.generation)
    }

    /// Counts a second. Returns whether the host must request the feed now.
    pub fn tick(&mut self, log: Log) -> bool {
        self.age = self.age.saturating_add(1);
        self.pause = self.pause.saturating_sub(1);
        self.waited = match self.waited {
            Some(waited) if waited < LOST_AFTER_S => Some(waited.saturating_add(1)),
            _ => None,
        };
        self.decide(log);
        let asks = self.pause == 0 && self.waited.is_none();
        if asks {
            self.pause = self.feed.every;
            self.waited = Some(0);
        }
        asks
    }

    /// Processes a response.
    ///
    /// # Errors
    /// The reason why it is rejected, in the metric's words.
    pub fn answered(&mut self, answer: &ServiceAnswer<'_>, log: Log) -> Result<(), &'static str> {
        self.waited = None;
        match self.take(answer) {
            Ok(new) => {
                self.age = 0;
                if self.complaint.take().is_some() {
                    log(
                        LogLevel::Info,
                        "agentguard: the kill feed can be read again",
                    );
                }
                if let Some(NewList { list, text }) = new {
                    log(
                        LogLevel::Info,
                        &format!(
                            "agentguard: generation {} of the kill feed with {} entries is in force",
                            list.generation,
                            list.kills.len()
                        ),
                    );
                    self.list = Some(Rc::new(list));
                    self.text = text;
                }
                self.decide(log);
                Ok(())
            }
            Err(RejectedAnswer { reason, why }) => {
                // The same failure is logged once, not with each request.
                if self.complaint.as_deref() != Some(&why) {
                    log(
                        LogLevel::Warn,
                        &format!(
                            "agentguard: the kill feed behind cluster `{}` can't be read: {why}; {}",
                            self.feed.cluster,
                            match &self.in_force {
                                Some(_) => format!(
                                    "after {} s without it everything is denied (AG9003)",
                                    self.feed.grace
                                ),
                                None => "everything is denied until it is (AG9003)".to_owned(),
                            }
                        ),
                    );
                    self.complaint = Some(why);
                }
                Err(reason)
            }
        }
    }

    /// Returns the list in a response; `None` if it has not changed.
    fn take(&self, answer: &ServiceAnswer<'_>) -> Result<Option<NewList>, RejectedAnswer> {
        let body = match *answer {
            ServiceAnswer::Unreachable => {
                return Err(RejectedAnswer::new(
                    "unreachable",
                    "no such cluster, or no answer",
                ));
            }
            ServiceAnswer::Received { status: 200, body } => body,
            ServiceAnswer::Received { status, .. } => {
                return Err(RejectedAnswer::new("status", format!("status {status}")));
            }
        };
        if body.len() > MAX_FEED_BYTES {
            let why = format!("its list has more than {MAX_FEED_BYTES} bytes");
            return Err(RejectedAnswer::new("malformed", why));
        }
        // Most responses are unchanged, and parsing them would cost the worker time.
        if self.list.is_some() && self.text == body {
            return Ok(None);
        }
        let list = KillList::of_feed(body).map_err(|errors| {
            let first = errors.first().map(ToString::to_string);
            RejectedAnswer::new("malformed", first.unwrap_or_default())
        })?;
        let generation = list.generation;
        match &self.list {
            Some(known) if generation < known.generation => {
                let before = known.generation;
                let why = format!("its generation goes back from {before} to {generation}");
                Err(RejectedAnswer::new("older", why))
            }
            Some(known) if generation == known.generation && list.kills != known.kills => {
                let why = format!("its list changes, and generation {generation} stays");
                Err(RejectedAnswer::new("older", why))
            }
            _ => {
                let text = body.to_vec();
                Ok(Some(NewList { list, text }))
            }
        }
    }

    /// Updates the state in force: both lists, or denial of everything if the feed was never read or is too old.
    fn decide(&mut self, log: Log) {
        let is_fresh = self.age <= self.feed.grace;
        let list = self.list.as_ref().filter(|_| is_fresh);
        let is_same = match (&self.in_force, list) {
            (Some(one), Some(other)) => Rc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        self.state = match list {
            Some(list) => KillState::List(Rc::new(self.own.with_feed(Rc::clone(list)))),
            None => {
                log(
                    LogLevel::Error,
                    &format!(
                        "agentguard: AG9003 the kill feed could not be read for more than {} s: everything is denied",
                        self.feed.grace
                    ),
                );
                KillState::Unreadable
            }
        };
        self.in_force = list.cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn note(level: LogLevel, line: &str) {
        LINES.with_borrow_mut(|lines| lines.push(format!("{level:?} {line}")));
    }

    /// Returns the reader of a list with one entry, whose feed is requested every second and may be unavailable for
    /// three.
    fn reader() -> FeedReader {
        reader_of(r#"{"cluster":"feed","grace":"3s"}"#)
    }

    fn reader_of(feed: &str) -> FeedReader {
        let text = format!(
            r#"{{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":1,"feed":{feed},"kill":[{{"tools":["t"],"reason":"r"}}]}}"#
        );
        FeedReader::new(&Rc::new(KillList::from_json(text.as_bytes()).unwrap())).unwrap()
    }

    fn list(generation: u64, agents: &[&str]) -> String {
        let kills: Vec<String> = agents
            .iter()
            .map(|agent| format!(r#"{{"agents":["{agent}"],"reason":"r"}}"#))
            .collect();
        format!(
            r#"{{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":{generation},"kill":[{}]}}"#,
            kills.join(",")
        )
    }

    fn answer(reader: &mut FeedReader, status: u16, body: &str) -> Result<(), &'static str> {
        let body = body.as_bytes();
        reader.answered(&ServiceAnswer::Received { status, body }, note)
    }

    /// Returns the number of entries in force; `None` if everything is denied.
    fn in_force(reader: &FeedReader) -> Option<usize> {
        match reader.state() {
            KillState::List(list) => Some(list.in_force().count()),
            KillState::Unreadable => None,
            KillState::Absent => panic!("a list is configured"),
        }
    }

    #[test]
    fn until_the_feed_is_read_nothing_passes() {
        let mut reader = reader();
        assert_eq!(in_force(&reader), None);
        assert!(reader.tick(note), "it is asked with the first tick");
        assert_eq!(answer(&mut reader, 200, &list(5, &["a"])), Ok(()));
        assert_eq!(in_force(&reader), Some(2));
        assert_eq!((reader.entries(), reader.generation()), (2, 5));
    }

    #[test]
    fn after_an_unreadable_file_no_older_list_is_accepted_and_none_is_in_force_unread() {
        let mut before = reader();
        assert!(before.tick(note));
        assert_eq!(answer(&mut before, 200, &list(5, &["a"])), Ok(()));
        before.expire();
        assert_eq!((in_force(&before), before.entries()), (None, 1));
        let mut mended = reader();
        mended.take_over(before, note);
        assert!(mended.tick(note));
        assert_eq!(in_force(&mended), None);
        assert_eq!(answer(&mut mended, 200, &list(4, &[])), Err("older"));
        assert_eq!(answer(&mut mended, 200, &list(5, &[])), Err("older"));
        assert_eq!(in_force(&mended), None);
        assert_eq!(answer(&mut mended, 200, &list(5, &["a"])), Ok(()));
        assert_eq!(in_force(&mended), Some(2));
    }

    #[test]
    fn the_feed_is_requested_at_its_interval_and_never_twice_at_a_time() {
        let mut reader = reader_of(r#"{"cluster":"feed","every":"3s"}"#);
        let asked: Vec<bool> = (0..7)
            .map(|_| {
                let asks = reader.tick(note);
                if asks {
                    assert_eq!(answer(&mut reader, 200, &list(1, &[])), Ok(()));
                }
                asks
            })
            .collect();
        assert_eq!(asked, [true, false, false, true, false, false, true]);
        // A response that never comes is given up.
        let mut reader = reader_of(r#"{"cluster":"feed"}"#);
        let asked: Vec<usize> = (0..20).filter(|_| reader.tick(note)).collect();
        assert_eq!(asked, [0, 8, 16]);
    }

    #[test]
    fn an_unavailable_feed_changes_nothing_within_its_grace_and_then_stops_everything() {
        let mut reader = reader();
        reader.tick(note);
        answer(&mut reader, 200, &list(5, &["a"])).unwrap();
        for second in 1..=5 {
            reader.tick(note);
            assert_eq!(answer(&mut reader, 503, ""), Err("status"));
            let expected = (second <= 3).then_some(2);
            assert_eq!(in_force(&reader), expected, "after {second} s");
        }
        assert_eq!(reader.generation(), 0);
        // The same list again is sufficient.
        answer(&mut reader, 200, &list(5, &["a"])).unwrap();
        assert_eq!(in_force(&reader), Some(2));
    }

    #[test]
    fn an_invalid_or_older_list_changes_nothing() {
        let mut reader = reader();
        answer(&mut reader, 200, &list(5, &["a"])).unwrap();
        let before = reader.state().clone();
        LINES.take();
        let nested = list(6, &[]).replace("\"kill\"", "\"feed\":{\"cluster\":\"c\"},\"kill\"");
        let long = format!("{}{}", list(6, &[]), " ".repeat(MAX_FEED_BYTES));
        for (status, body, reason) in [
            (404, list(6, &[]), "status"),
            (200, String::new(), "malformed"),
            (200, "<html>".to_owned(), "malformed"),
            (200, "{}".to_owned(), "malformed"),
            (200, nested, "malformed"),
            (200, long, "malformed"),
            (200, list(4, &[]), "older"),
            (200, list(5, &[]), "older"),
        ] {
            assert_eq!(
                answer(&mut reader, status, &body),
                Err(reason),
                "{body:.80}"
            );
            assert!(reader.state().is_same(&before), "{body:.80}");
        }
        assert_eq!(
            reader.answered(&ServiceAnswer::Unreachable, note),
            Err("unreachable")
        );
        let lines: Vec<String> = LINES.take();
        let said: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split_once("can't be read: "))
            .filter_map(|(_, why)| why.split_once("; after"))
            .map(|(why, _)| why)
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        status 404
        AG1001: the body is empty at byte 0
        AG1001: malformed JSON at byte 0
        AG1003 apiVersion: this is no kill list; write `apiVersion: agentguard.dev/v1`
        AG1015 feed: the list of a feed names no other feed
        its list has more than 262144 bytes
        its generation goes back from 5 to 4
        its list changes, and generation 5 stays
        no such cluster, or no answer
        "#);
    }

    #[test]
    fn a_failure_and_its_end_are_logged_once() {
        let mut reader = reader();
        answer(&mut reader, 200, &list(5, &[])).unwrap();
        LINES.take();
        for _ in 0..3 {
            let _ = answer(&mut reader, 500, "");
        }
        for _ in 0..2 {
            answer(&mut reader, 200, &list(5, &[])).unwrap();
        }
        for _ in 0..5 {
            reader.tick(note);
        }
        insta::assert_snapshot!(LINES.take().join("\n"), @r#"
        Warn agentguard: the kill feed behind cluster `feed` can't be read: status 500; after 3 s without it everything is denied (AG9003)
        Info agentguard: the kill feed can be read again
        Error agentguard: AG9003 the kill feed could not be read for more than 3 s: everything is denied
        "#);
    }

    #[test]
    fn a_change_of_the_file_keeps_the_list_of_the_same_service() {
        let told = || {
            let mut before = reader();
            answer(&mut before, 200, &list(5, &["a", "b"])).unwrap();
            before
        };
        let mut same = reader();
        same.take_over(told(), note);
        assert_eq!(in_force(&same), Some(3));
        assert_eq!(answer(&mut same, 200, &list(4, &[])), Err("older"));
        let mut other = reader_of(r#"{"cluster":"another"}"#);
        other.take_over(told(), note);
        assert_eq!(in_force(&other), None);
        assert_eq!(answer(&mut other, 200, &list(4, &[])), Ok(()));
    }
}
