//! Compiled policy of each worker. A [`Guard`] counts its references without atomics, so that it belongs to one thread;
//! a configuration of Envoy belongs to all.
#![expect(
    unsafe_code,
    reason = "a slot is handed from the thread that made it to the one thread that uses it"
)]

use crate::counted::Counted;
use agentguard::flow::Guard;
use agentguard::policy::KillSwitch;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// State of a policy in one worker.
pub(crate) struct Worker {
    /// Compiled policy; `None` after a panic, which may have left it half changed.
    pub(crate) guard: RefCell<Option<Rc<Guard>>>,
    /// Kill switch of all its guards: after a panic, exchanges in flight have the one before.
    pub(crate) kill: Rc<KillSwitch>,
    /// Last change of the kill list that the switch has seen.
    pub(crate) seen: Cell<u64>,
    /// Label values that were counted.
    pub(crate) counted: RefCell<Counted>,
}

/// Slots of all workers.
pub(crate) struct Slots(Box<[Worker]>);

// SAFETY: slot `n` is only reached by the thread with number `n`, which no other thread ever has, and by whoever drops
// all slots. An exchange that holds a reference into a slot's guard also keeps the slots, so that they are dropped when
// no other thread has one. The thread that made the guards has kept nothing of them.
unsafe impl Send for Slots {}
// SAFETY: as above: a shared reference to the slots gives each thread its own slot only.
unsafe impl Sync for Slots {}

/// Number of the next thread that accesses its slot.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Slots {
    /// Makes a guard for each worker; no two of them share a reference.
    ///
    /// # Errors
    /// The first guard that can't be made.
    pub(crate) fn new<E>(
        workers: usize,
        text: &[u8],
        make: fn(&[u8], Rc<KillSwitch>) -> Result<Guard, E>,
    ) -> Result<Slots, E> {
        let slots: Result<Box<[Worker]>, E> = (0..workers)
            .map(|_| {
                let kill = Rc::<KillSwitch>::default();
                Ok(Worker {
                    guard: RefCell::new(Some(Rc::new(make(text, Rc::clone(&kill))?))),
                    kill,
                    seen: Cell::new(0),
                    counted: RefCell::default(),
                })
            })
            .collect();
        Ok(Slots(slots?))
    }

    /// Returns the slot of this thread; `None` if more threads serve exchanges than Envoy has reported.
    pub(crate) fn mine(&self) -> Option<&Worker> {
        let number = NUMBER.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            NUMBER.set(Some(number));
            number
        });
        self.0.get(number)
    }
}
