//! What a rule wants replaced: the word between policy, which finds it, and redaction, which writes what takes its place.

use super::{Class, Form, words};
use crate::wire::json::NodeId;
use std::ops::Range;
use std::rc::Rc;

words! {
    /// What takes the place of what was found, strongest first.
    Replacement {
        /// Nothing.
        Remove = "remove",
        /// `[CREDIT_CARD]`
        Label = "label",
        /// `[CREDIT_CARD:` and eight hex digits of a keyed hash.
        Hash = "hash",
        /// Letters and digits become `*`.
        Mask = "mask",
        /// The same, but for the last four.
        Last4 = "last4",
        /// A pseudonym that is turned back in the response.
        Pseudonym = "pseudonym",
    }
}

/// A part of a body that is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// The value that holds it.
    pub place: NodeId,
    /// How it stands there.
    pub form: Form,
    /// What the value is.
    pub class: Class,
    /// Bytes of its decoded text.
    pub range: Range<usize>,
    /// Choice of the response that it belongs to.
    pub choice: u32,
    /// The detector that found it; `None`: a text or pattern of the policy.
    pub detector: Option<u16>,
    /// What takes its place.
    pub with: Replacement,
    /// The label that the policy gives it.
    pub label: Option<Box<str>>,
    /// Labels carry a number, the same for the same value.
    pub numbered: bool,
    /// Tools in whose arguments a pseudonym is turned back.
    pub restore: Rc<[Box<str>]>,
}

impl Redaction {
    /// Whether it can be made: only texts are edited, never a number, a key, a name or unknown structure.
    pub fn is_possible(&self) -> bool {
        self.class == Class::Text && self.form == Form::String
    }
}
