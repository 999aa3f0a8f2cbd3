//! Documentation and samples of an operator, from its row in `verb.rs`. `author::analysis` makes values from the samples.

use crate::detect::{DETECTORS, select};

/// Documentation of one operator, with its samples.
#[derive(Debug)]
pub struct Reference {
    /// Operator as written in a policy.
    pub word: &'static str,
    /// Sentence that describes when it is true.
    pub holds: &'static str,
    /// Description of its operand.
    pub takes: &'static str,
    /// Condition with the operator.
    pub example: &'static str,
    /// Returns a value that matches one text of the operand.
    pub(crate) fits: fn(&str) -> Option<String>,
    /// A value that can be read and matches no operand.
    pub(crate) stranger: &'static str,
}

impl Reference {
    pub(super) const fn of(
        word: &'static str,
        holds: &'static str,
        takes: &'static str,
        example: &'static str,
    ) -> Reference {
        Reference {
            word,
            holds,
            takes,
            example,
            fits: |text| Some(text.to_owned()),
            stranger: STRANGER,
        }
    }

    /// Adds samples: a value that matches one text of the operand, and one that matches none.
    pub(super) const fn sampled(
        mut self,
        fits: fn(&str) -> Option<String>,
        stranger: &'static str,
    ) -> Reference {
        self.fits = fits;
        self.stranger = stranger;
        self
    }
}

/// Text that no policy names.
pub(crate) const STRANGER: &str = "something else";

/// Returns a mail address at a domain.
pub(super) fn mail_at(domain: &str) -> Option<String> {
    Some(format!("ann@{}", domain.replace("*.", "sub.")))
}

/// Returns a file in a folder.
pub(super) fn file_in(folder: &str) -> Option<String> {
    Some(format!("{}/x", folder.trim_end_matches('/')))
}

/// Returns a text in which a detector, or one of a group, has a finding.
pub(super) fn detected(name: &str) -> Option<String> {
    let (name, _) = name.split_once(' ')?;
    let member = *select::members(name).ok()?.first()?;
    let detector = DETECTORS.get(usize::from(member))?;
    detector.hits.first().map(|hit| hit.text.to_owned())
}

/// Returns an SQL statement with a verb.
pub(super) fn statement(verb: &str) -> Option<String> {
    Some(match verb.to_ascii_lowercase().as_str() {
        "select" => "SELECT a FROM t LIMIT 1".to_owned(),
        "select *" => "SELECT * FROM t LIMIT 1".to_owned(),
        "insert" => "INSERT INTO t VALUES (1)".to_owned(),
        "update" => "UPDATE t SET a = 1".to_owned(),
        "delete" => "DELETE FROM t".to_owned(),
        "drop" | "alter" | "truncate" => format!("{} TABLE t", verb.to_uppercase()),
        "create" => "CREATE TABLE t (a int)".to_owned(),
        _ => format!("{} t", verb.to_uppercase()),
    })
}

pub(super) const VALUE: &str = "a text, a number, `true`, `false` or `null`";
pub(super) const VALUES: &str = "a list of values";
pub(super) const NUMBER: &str = "a number";
pub(super) const TEXT: &str = "a text";
pub(super) const TEXTS: &str = "a list of texts";
pub(super) const TEXT_OR_TEXTS: &str = "a text, or a list of which one is enough";
