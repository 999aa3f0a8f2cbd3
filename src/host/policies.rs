//! The policies in force in this VM: the policy's filters, the kill filter and the administration filter are configurations of
//! their own, and know of one another only here.

use crate::flow::Guard;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

thread_local! {
    /// In the order in which they were put in force. Their roots hold them.
    static POLICIES: RefCell<Vec<Weak<Guard>>> = const { RefCell::new(Vec::new()) };
}

/// A policy was put in force.
pub(super) fn add(guard: &Rc<Guard>) {
    POLICIES.with_borrow_mut(|policies| {
        policies.retain(|known| known.strong_count() > 0);
        policies.push(Rc::downgrade(guard));
    });
}

/// Returns the policies in force, the newest last. One that was replaced is among them until its last exchange has ended.
pub(super) fn in_force() -> Vec<Rc<Guard>> {
    POLICIES.with_borrow(|policies| policies.iter().filter_map(Weak::upgrade).collect())
}

/// Whether there is any.
pub(super) fn is_any() -> bool {
    POLICIES.with_borrow(|policies| policies.iter().any(|known| known.strong_count() > 0))
}
