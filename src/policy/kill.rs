//! Kill list: callers and tools that are denied at once. It is a document of its own (`kind: AgentKill`), so that it can be
//! changed without touching a policy.
//!
//! ```yaml
//! apiVersion: agentguard.dev/v1
//! kind: AgentKill
//! generation: 7
//! kill:
//!   - { agents: [support-bot], reason: It pays out refunds by itself, until: "2026-12-01T00:00:00Z" }
//!   - { tools: ["issue_*"], reason: The payment provider is being attacked }
//! ```
//!
//! Each entry is compiled as a rule that denies. So names, globs and unknown facts work as in a policy: `support-bot` is
//! denied in every spelling that folds to it, and so is a caller whose agent is unknown.
//!
//! The list of a feed has the same form, and is in force in addition to that of the file.

mod feed;

pub use feed::KillFeed;

use super::decode::{Decoder, PolicyPath};
use super::grammar::API_VERSION;
use super::load::{load, parse_json};
use super::node::{Node, NodeValue};
use crate::diag::{Diagnostic, Severity, codes};
use crate::event::{Event, Kind, words};
use crate::policy::compiled_policy::Policy;
use crate::policy::context::Context;
use crate::policy::decision_point::EvaluationPhase;
use crate::policy::operators::moment;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

/// Value of `kind` in a kill list.
pub const KILL_KIND: &str = "AgentKill";

/// Maximum entries of a list. Each is evaluated for each exchange.
pub const MAX_KILLS: usize = 1_000;

words! {
    /// Target of an entry.
    KillTarget {
        /// Agents.
        Agents = "agents",
        /// Client applications.
        Clients = "clients",
        /// Tenants.
        Tenants = "tenants",
        /// Users and service accounts, by their id.
        Principals = "principals",
        /// Tools, by their name or `server/name`.
        Tools = "tools",
        /// Everything.
        All = "all",
    }
}

/// Entry of a kill list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Kind of the names.
    pub target: KillTarget,
    /// The names: exact or globs. Empty for `all`.
    pub names: Vec<Box<str>>,
    /// Reason, for the denied caller.
    pub reason: Box<str>,
    /// End of the entry, RFC 3339; `None`: until it is removed.
    pub until: Option<Box<str>>,
}

/// Kill list in force.
#[derive(Debug)]
pub struct KillList {
    /// Number that grows with each change, so that it identifies the list in force.
    pub generation: u64,
    /// Entries in the order of the document.
    pub kills: Vec<Kill>,
    /// Feed of another list, which is in force in addition to this one.
    pub feed: Option<KillFeed>,
    rules: Rc<Policy>,
    /// List of the feed.
    beside: Option<Rc<KillList>>,
}

/// Cause of a denial by a kill list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killed {
    /// Reason of the entry.
    pub reason: Box<str>,
    /// Generation of the list.
    pub generation: u64,
}

impl KillList {
    /// Reads a kill list in JSON.
    ///
    /// # Errors
    /// Returns the errors in the list.
    pub fn from_json(text: &[u8]) -> Result<KillList, Vec<Diagnostic>> {
        KillList::read(&parse_json(text).map_err(|diagnostic| vec![*diagnostic])?)
    }

    /// Reads a kill list.
    ///
    /// # Errors
    /// Returns the errors in the list.
    pub fn read(root: &Node) -> Result<KillList, Vec<Diagnostic>> {
        let mut decoder = Decoder::default();
        let read = read(&mut decoder, root);
        let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
        let (generation, kills, feed) = match read {
            Some(read) if !decoder.diagnostics.iter().any(is_error) => read,
            _ => return Err(decoder.diagnostics),
        };
        let mut loaded = load(&as_policy(&kills, root));
        match loaded.policy.take() {
            Some(rules) => Ok(KillList {
                generation,
                kills,
                feed,
                rules: Rc::new(rules),
                beside: None,
            }),
            None => Err(at_entries(loaded.diagnostics)),
        }
    }

    /// Reads the list in a feed's response. It has no feed of its own.
    ///
    /// # Errors
    /// Returns the errors in the list.
    pub fn of_feed(text: &[u8]) -> Result<KillList, Vec<Diagnostic>> {
        let list = KillList::from_json(text)?;
        match list.feed {
            None => Ok(list),
            Some(_) => Err(vec![Diagnostic {
                code: codes::AG1015,
                severity: Severity::Error,
                path: "feed".to_owned(),
                span: 0..0,
                message: "the list of a feed names no other feed".to_owned(),
                label: None,
                help: None,
                fix: None,
            }]),
        }
    }

    /// Returns the list together with that of its feed.
    pub fn with_feed(&self, feed: Rc<KillList>) -> KillList {
        KillList {
            generation: self.generation,
            kills: self.kills.clone(),
            feed: self.feed.clone(),
            rules: Rc::clone(&self.rules),
            beside: Some(feed),
        }
    }

    /// Returns the entries in force: those of the file, then those of the feed.
    pub fn in_force(&self) -> impl Iterator<Item = &Kill> {
        let beside = self.beside.iter().flat_map(|feed| &feed.kills);
        self.kills.iter().chain(beside)
    }

    /// Returns whether an entry names tools, so that calls must be read even if no policy needs them.
    pub fn stops_tools(&self) -> bool {
        let mut kills = self.in_force();
        kills.any(|kill| kill.target == KillTarget::Tools)
    }

    /// Returns why an event is denied: a request for its caller, a call for its tool.
    pub fn stops(&self, event: &Event, context: &Context<'_>) -> Option<Killed> {
        let context = Context {
            policy: &self.rules,
            ..*context
        };
        let evaluation = self.rules.evaluate(event, &context, EvaluationPhase::Whole);
        let Some(rule) = evaluation.held.first().map(|held| held.rule) else {
            return self.beside.as_ref()?.stops(event, &context);
        };
        Some(Killed {
            reason: self.rules.rule(rule)?.reason.clone().unwrap_or_default(),
            generation: self.generation,
        })
    }
}

/// Kill list of one VM, shared by several configurations.
#[derive(Debug, Default)]
pub struct KillSwitch(RefCell<KillState>);

/// State of the kill switch.
#[derive(Clone, Debug, Default)]
pub enum KillState {
    /// No list is configured.
    #[default]
    Absent,
    /// A list is in force.
    List(Rc<KillList>),
    /// The configured list can't be read: everything is denied.
    Unreadable,
}

impl KillState {
    /// Returns whether both are the same state, and so lead to the same decisions.
    pub fn is_same(&self, other: &KillState) -> bool {
        match (self, other) {
            (KillState::Absent, KillState::Absent)
            | (KillState::Unreadable, KillState::Unreadable) => true,
            (KillState::List(one), KillState::List(other)) => Rc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl KillSwitch {
    /// Returns the current state.
    pub fn state(&self) -> KillState {
        self.0.borrow().clone()
    }

    /// Replaces the state.
    pub fn set(&self, state: KillState) {
        self.0.replace(state);
    }
}

/// Generation, entries and feed of a document.
type ReadList = (u64, Vec<Kill>, Option<KillFeed>);

fn read(decoder: &mut Decoder, root: &Node) -> Option<ReadList> {
    let at = PolicyPath::root();
    let keys = [
        "apiVersion",
        "kind",
        "metadata",
        "generation",
        "feed",
        "kill",
    ];
    decoder.mapping(&at, root, &keys)?;
    for (key, value) in [("apiVersion", API_VERSION), ("kind", KILL_KIND)] {
        let node = root.get(key);
        if node.and_then(Node::text) != Some(value) {
            let span = node.map_or(root.span.start..root.span.start, |node| node.span.clone());
            let help = format!("write `{key}: {value}`");
            decoder.error(
                codes::AG1003,
                &at.key(key),
                &span,
                "this is no kill list",
                &help,
            );
        }
    }
    let mut required = |key: &str, help: &str| {
        let node = root.get(key);
        if node.is_none() {
            let message = format!("`{key}` is missing");
            decoder.error(codes::AG1006, &at, &root.span, &message, help);
        }
        node
    };
    let generation = required(
        "generation",
        "write a number that grows with each change: `generation: 1`",
    );
    let list = required(
        "kill",
        "write the entries, or `kill: []` where nothing is stopped",
    )?;
    let generation = decoder.count(&at.key("generation"), generation?)?;
    let feed = match root.get("feed") {
        Some(node) => Some(feed::read(decoder, &at.key("feed"), node)?),
        None => None,
    };
    let at = at.key("kill");
    let NodeValue::List(items) = &list.data else {
        decoder.wrong_type(&at, list, "a list");
        return None;
    };
    if items.len() > MAX_KILLS {
        let message = format!("{} entries, at most {MAX_KILLS} are allowed", items.len());
        let help = "name several in one entry, or use globs";
        decoder.error(codes::AG1019, &at, &list.span, &message, help);
    }
    let kills = items.iter().enumerate();
    let kills: Vec<Kill> = kills
        .filter_map(|(number, item)| read_kill(decoder, &at.index(number), item))
        .collect();
    Some((generation, kills, feed))
}

fn read_kill(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Kill> {
    let mut keys: Vec<&str> = KillTarget::ALL.iter().map(|target| target.word()).collect();
    keys.extend(["reason", "until"]);
    let errors_before = decoder.diagnostics.len();
    let mut targets = Vec::new();
    let (mut reason, mut until) = (None, None);
    for member in decoder.mapping(at, node, &keys)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match &*member.key {
            "reason" => reason = Some(decoder.text(&at, value)?),
            "until" => until = Some(read_until(decoder, &at, value)?),
            "all" => match decoder.boolean(&at, value)? {
                true => targets.push((KillTarget::All, Vec::new())),
                false => {
                    let help = "remove the entry, or write `all: true`";
                    decoder.error(codes::AG1007, &at, &value.span, "this stops nothing", help);
                }
            },
            word => {
                let names = decoder.names(&at, value)?;
                if names.iter().any(|name| name.trim().is_empty()) {
                    let help = "write `all: true` to stop everything";
                    decoder.error(
                        codes::AG1011,
                        &at,
                        &value.span,
                        "an empty name matches no caller",
                        help,
                    );
                }
                targets.extend(KillTarget::from_word(word).map(|target| (target, names)));
            }
        }
    }
    if decoder.diagnostics.len() > errors_before {
        return None;
    }
    let (1, Some((target, names))) = (targets.len(), targets.pop()) else {
        // Two targets in one entry could mean either or both.
        let help = "write one of `agents`, `clients`, `tenants`, `principals`, `tools` or `all: true`; an entry for each";
        decoder.error(
            codes::AG1006,
            at,
            &node.span,
            "an entry stops one kind of thing",
            help,
        );
        return None;
    };
    let Some(reason) = reason.filter(|reason| !reason.trim().is_empty()) else {
        let help = "say why: whoever is stopped reads it";
        decoder.error(codes::AG1006, at, &node.span, "`reason` is missing", help);
        return None;
    };
    Some(Kill {
        target,
        names,
        reason,
        until,
    })
}

/// Reads the moment at which an entry ends. The rule that is made of the entry has it under another key.
fn read_until(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Box<str>> {
    let text = decoder.text(at, node)?;
    if moment(&text).is_none() {
        let message = "`until` takes a moment with its offset";
        let help = "write for example `2026-01-31T09:00:00+01:00` or `2026-01-31T08:00:00Z`";
        decoder.error(codes::AG1011, at, &node.span, message, help);
        return None;
    }
    Some(text)
}

/// Returns the globs for the names of an entry. White space around a name is a slip of whoever has copied it: no name that is
/// compared has any. `bot[1]` stops `bot1`, and also whoever is called `bot[1]`, who would survive otherwise. `*` and `?` match
/// themselves.
fn globs(names: &[Box<str>], at: &Range<usize>) -> Node {
    let mut globs = Vec::with_capacity(names.len());
    for name in names {
        let name = name.trim();
        globs.push(Node::text_at(name, at));
        if name.contains('[') {
            globs.push(Node::text_at(&name.replace('[', "[[]"), at));
        }
    }
    Node::list_at(globs, at)
}

/// Returns the field for a target; `None` for everything.
fn field(target: KillTarget) -> Option<&'static str> {
    match target {
        KillTarget::Agents => Some("principal.agent"),
        KillTarget::Clients => Some("principal.client"),
        KillTarget::Tenants => Some("principal.tenant"),
        KillTarget::Principals => Some("principal.id"),
        KillTarget::Tools => Some("tool"),
        KillTarget::All => None,
    }
}

/// Returns the policy whose rules deny what the list names. Rules are named by their entry: `kill-0000`.
fn as_policy(kills: &[Kill], root: &Node) -> Node {
    let at = &root.span;
    let text = |text: &str| Node::text_at(text, at);
    let rules = kills.iter().enumerate().map(|(number, kill)| {
        let kind = match kill.target {
            KillTarget::Tools => Kind::ToolCall,
            _ => Kind::Request,
        };
        let mut conditions = Vec::new();
        if let Some(path) = field(kill.target) {
            let names = globs(&kill.names, at);
            conditions.push((path, Node::map_at(vec![("glob", names)], at)));
        }
        if let Some(until) = &kill.until {
            conditions.push(("time", Node::map_at(vec![("not_after", text(until))], at)));
        }
        let mut rule = vec![
            ("id", text(&format!("kill-{number:04}"))),
            (
                "match",
                Node::map_at(vec![("event", text(kind.word()))], at),
            ),
            ("action", text("deny")),
            ("reason", text(&kill.reason)),
        ];
        if !conditions.is_empty() {
            rule.push(("when", Node::map_at(conditions, at)));
        }
        Node::map_at(rule, at)
    });
    let rules = Node::list_at(rules.collect(), at);
    Node::map_at(
        vec![
            ("apiVersion", text(API_VERSION)),
            ("kind", text("AgentPolicy")),
            ("metadata", Node::map_at(vec![("name", text("kill"))], at)),
            ("require", text("none")),
            (
                "defaults",
                Node::map_at(vec![("action", text("allow"))], at),
            ),
            ("rules", rules),
        ],
        at,
    )
}

/// Replaces the path of a rule by that of its entry: `rules[3].when.time` becomes `kill[3]`.
fn at_entries(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for diagnostic in &mut diagnostics {
        let rest = diagnostic.path.strip_prefix("rules[");
        if let Some((number, _)) = rest.and_then(|rest| rest.split_once(']')) {
            diagnostic.path = format!("kill[{number}]");
        }
    }
    diagnostics
}

#[cfg(test)]
mod tests;
