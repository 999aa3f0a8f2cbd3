//! Redactions: the parts of a body that rules replace. Policy evaluation finds them, the redaction layer writes the
//! replacements.

use super::{Class, Form, words};
use crate::wire::json::NodeId;
use std::ops::Range;
use std::rc::Rc;

words! {
    /// The form of a replacement, strongest first.
    Replacement {
        /// Nothing: the match is deleted.
        Remove = "remove",
        /// `[CREDIT_CARD]`
        Label = "label",
        /// `[CREDIT_CARD:` and eight hex digits of a keyed hash.
        Hash = "hash",
        /// Letters and digits become `*`.
        Mask = "mask",
        /// Like `mask`, except for the last four.
        Last4 = "last4",
        /// A pseudonym, which is restored to the original in the response.
        Pseudonym = "pseudonym",
    }
}

/// A part of a body to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// The location of the value.
    pub place: NodeId,
    /// The JSON form of the value.
    pub form: Form,
    /// The class of the value.
    pub class: Class,
    /// The byte range in the decoded text.
    pub range: Range<usize>,
    /// Index of the response choice.
    pub choice: u32,
    /// The detector that found the match; `None` for a text or pattern of the policy.
    pub detector: Option<u16>,
    /// The form of the replacement.
    pub with: Replacement,
    /// The label that the policy defines.
    pub label: Option<Box<str>>,
    /// Whether labels have a number, which is the same for the same value.
    pub numbered: bool,
    /// Tools in whose arguments a pseudonym is restored.
    pub restore: Rc<[Box<str>]>,
}

impl Redaction {
    /// Returns whether the redaction is possible. Only texts are edited, never a number, a key, a name or unknown
    /// structure.
    pub fn is_possible(&self) -> bool {
        self.class == Class::Text && self.form == Form::String
    }
}
