//! Policies in force in this VM. The policy's filters, the kill filter and the administration filter are separate
//! configurations, which have no other connection.

use crate::flow::Guard;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

thread_local! {
    /// Policies in the order in which they were put in force. Their roots own them.
    static POLICIES: RefCell<Vec<Weak<Guard>>> = const { RefCell::new(Vec::new()) };
}

/// Adds a policy that was put in force.
pub(super) fn add(guard: &Rc<Guard>) {
    POLICIES.with_borrow_mut(|policies| {
        policies.retain(|known| known.strong_count() > 0);
        policies.push(Rc::downgrade(guard));
    });
}

/// Returns the policies in force, the newest last. A replaced policy is included until its last exchange has ended.
pub(super) fn in_force() -> Vec<Rc<Guard>> {
    POLICIES.with_borrow(|policies| policies.iter().filter_map(Weak::upgrade).collect())
}

/// Returns whether any policy is in force.
pub(super) fn is_any() -> bool {
    POLICIES.with_borrow(|policies| policies.iter().any(|known| known.strong_count() > 0))
}
