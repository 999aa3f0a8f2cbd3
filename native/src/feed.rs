//! Feed of a kill list, which Envoy's main thread reads for all workers.
//!
//! ```text
//! a thread of its own ── every second ─▶ main thread: tick, request ─▶ service
//!                                        main thread: response      ◀─ service
//!                                        └▶ process: the list in force, for all workers
//! ```

use crate::abi::{Callout, Level, Scheduler, log};
use crate::process::{self, FeedNews, Kill};
use agentguard::filter::{FEED_TIMEOUT_S, FeedReader, KillConfiguration, Log};
use agentguard::flow::ServiceAnswer;
use agentguard::policy::KillState;
use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Reader of a feed, with the state that was put in force from it.
struct Feed {
    reader: FeedReader,
    /// Text of the file's list.
    own: Arc<[u8]>,
    /// Number of the list in force in the process.
    owner: u64,
    /// Last state, entries and generation passed to the process.
    told: Option<(KillState, usize, u64)>,
    /// Envoy's number of the open request.
    asked: Option<u64>,
}

thread_local! {
    /// Feed of the last kill list, on Envoy's main thread. The feed's list outlives the configuration.
    static FEED: RefCell<Option<Feed>> = const { RefCell::new(None) };
}

/// Puts a kill list in force for all workers. Called only on the main thread. Returns the number of the list.
pub(crate) fn put_in_force(
    text: Option<&[u8]>,
    mut configuration: KillConfiguration,
    log: Log,
) -> u64 {
    let before = FEED.take();
    // A list that was lifted in between is not continued.
    let before = before.filter(|before| process::kill_owner() == before.owner);
    let kept =
        before.and_then(|Feed { reader, own, .. }| Some((configuration.go_on(reader, log)?, own)));
    let KillConfiguration {
        state,
        entries,
        feed,
        ..
    } = configuration;
    let own: Option<Arc<[u8]>> = match state {
        KillState::Unreadable if feed.is_none() => None,
        _ => text.map(Arc::from),
    };
    let (Some(reader), Some(own)) = (feed, own.clone()) else {
        let owner = process::stop(own.map_or(Kill::Unreadable, Kill::of_file), entries, 0);
        FEED.set(kept.map(|(reader, own)| Feed {
            reader,
            own,
            owner,
            told: None,
            asked: None,
        }));
        return owner;
    };
    let (entries, generation) = (reader.entries(), reader.generation());
    let owner = process::stop(kill(&own, &reader), entries, generation);
    let told = Some((reader.state().clone(), entries, generation));
    FEED.set(Some(Feed {
        reader,
        own,
        owner,
        told,
        asked: None,
    }));
    owner
}

/// Returns the kill list in force according to a feed.
fn kill(own: &Arc<[u8]>, reader: &FeedReader) -> Kill {
    match (reader.state(), reader.text()) {
        (KillState::List(_), Some(feed)) => Kill::List {
            own: Arc::clone(own),
            feed: Some(feed.into()),
        },
        _ => Kill::Unreadable,
    }
}

/// Counts a second of a configuration's feed. `call` makes a request, and returns Envoy's number of it.
pub(crate) fn tick(owner: u64, log: Log, call: impl FnOnce(&Callout) -> Option<u64>) {
    let callout = with(owner, |feed| {
        let asks = feed.reader.tick(log);
        feed.tell(None);
        let service = feed.reader.feed();
        asks.then(|| Callout {
            cluster: service.cluster.clone(),
            headers: vec![
                (":method", "GET".into()),
                (":path", service.path.clone()),
                (":authority", service.authority.clone()),
                ("accept", "application/json".into()),
            ],
            body: Vec::new(),
            seconds: FEED_TIMEOUT_S,
        })
    });
    let Some(callout) = callout.flatten() else {
        return;
    };
    // Nothing is borrowed here: Envoy may respond before `call` returns.
    let number = call(&callout);
    with(owner, |feed| {
        feed.asked = number;
        if number.is_none() {
            feed.take(&ServiceAnswer::Unreachable, log);
        }
    });
}

/// Processes a response to a request of a configuration's feed.
pub(crate) fn answered(owner: u64, number: u64, answer: &ServiceAnswer<'_>, log: Log) {
    with(owner, |feed| {
        if feed.asked.take_if(|asked| *asked == number).is_some() {
            feed.take(answer, log);
        }
    });
}

/// Denies everything until the list's file changes, because reading its feed has panicked.
pub(crate) fn after_panic(owner: u64) {
    log(
        Level::Error,
        "agentguard: AG9006 reading the kill feed panicked: everything is denied (AG9003) until the list's file changes",
    );
    let news = FeedNews {
        kill: Some(Kill::Unreadable),
        ..FeedNews::default()
    };
    process::tell_of_feed(owner, news);
    // State that the panic has left half changed may panic again when it is dropped.
    std::mem::forget(FEED.take());
}

/// Runs a part of a configuration's feed, unless a later configuration has replaced it.
fn with<T>(owner: u64, run: impl FnOnce(&mut Feed) -> T) -> Option<T> {
    FEED.with_borrow_mut(|feed| {
        let feed = feed.as_mut().filter(|feed| feed.owner == owner)?;
        Some(run(feed))
    })
}

impl Feed {
    fn take(&mut self, answer: &ServiceAnswer<'_>, log: Log) {
        let failure = self.reader.answered(answer, log).err();
        self.tell(failure);
    }

    /// Passes changes to the process, and the reason why a response was rejected.
    fn tell(&mut self, failure: Option<&'static str>) {
        let (entries, generation) = (self.reader.entries(), self.reader.generation());
        let state = self.reader.state();
        let is_told = self
            .told
            .as_ref()
            .is_some_and(|told| told.0.is_same(state) && (told.1, told.2) == (entries, generation));
        if is_told && failure.is_none() {
            return;
        }
        let news = FeedNews {
            kill: (!is_told).then(|| kill(&self.own, &self.reader)),
            entries,
            generation,
            failure,
        };
        process::tell_of_feed(self.owner, news);
        self.told = Some((state.clone(), entries, generation));
    }
}

/// Timer of a feed, with a thread of its own: Envoy has no timer for filters.
pub(crate) struct Seconds {
    over: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Seconds {
    /// Posts an event every second. Returns `None` if the system has no thread for it; the feed then stays unread.
    pub(crate) fn count(scheduler: Arc<Scheduler>, event: u64) -> Option<Seconds> {
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        let shared = Arc::clone(&over);
        let counts = move || {
            let (lock, ended) = &*shared;
            let second = Duration::from_secs(1);
            let mut is_over = lock.lock().unwrap_or_else(PoisonError::into_inner);
            while !*is_over {
                let (guard, waited) = ended
                    .wait_timeout_while(is_over, second, |is_over| !*is_over)
                    .unwrap_or_else(PoisonError::into_inner);
                is_over = guard;
                if waited.timed_out() {
                    scheduler.post(event);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("agentguard-feed".to_owned())
            .spawn(counts);
        match thread {
            Ok(thread) => Some(Seconds {
                over,
                thread: Some(thread),
            }),
            Err(error) => {
                log(
                    Level::Error,
                    &format!(
                        "agentguard: AG9003 the kill feed can't be read, everything is denied: {error}"
                    ),
                );
                None
            }
        }
    }
}

impl Drop for Seconds {
    /// Ends the thread, since Envoy may unload its code next.
    fn drop(&mut self) {
        let (lock, ended) = &*self.over;
        *lock.lock().unwrap_or_else(PoisonError::into_inner) = true;
        ended.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
