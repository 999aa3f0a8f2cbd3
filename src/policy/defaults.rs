//! Key `defaults`: decisions for events that no rule decides.

use super::decode::{Decoder, PolicyPath};
use super::grammar::{DefaultKey, DefaultsKey};
use super::mode::Mode;
use super::node::{Node, NodeValue};
use super::words::DefaultAction;
use crate::diag::codes;

/// Default decision with its own mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Default {
    /// Action of the default.
    pub action: DefaultAction,
    /// Mode of the default, if it has its own.
    pub mode: Option<Mode>,
}

impl DefaultAction {
    /// Returns a rank that is higher for stricter actions: `deny` is stricter than `hide`, which denies only definitions of
    /// tools whose calls could never pass.
    pub(crate) fn strictness(self) -> u8 {
        match self {
            DefaultAction::Allow => 0,
            DefaultAction::Hide => 1,
            DefaultAction::Deny => 2,
        }
    }
}

impl Default {
    const fn new(action: DefaultAction) -> Default {
        Default { action, mode: None }
    }

    /// Returns a rank that is higher for stricter defaults: enforced denials come before recorded ones, then the action
    /// decides. `denies_anyway`: even an `allow` denies some events, in its mode.
    fn strictness(self, denies_anyway: bool) -> (bool, u8) {
        let action = self.action.strictness();
        let denies = action > 0 || denies_anyway;
        (denies && self.mode != Some(Mode::Observe), action)
    }
}

/// Defaults of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Default for the request as a whole.
    pub request: Default,
    /// Default for tool calls.
    pub tool_call: Default,
    /// Default for tool definitions.
    pub tool_offer: Default,
    /// Default for what can't be inspected.
    pub uninspectable: Default,
    /// Default for what is inspected but opaque.
    pub partial: Default,
}

impl Defaults {
    /// Defaults for keys that are not written.
    pub(super) const USUAL: Defaults = Defaults {
        request: Default::new(DefaultAction::Deny),
        tool_call: Default::new(DefaultAction::Deny),
        tool_offer: Default::new(DefaultAction::Allow),
        uninspectable: Default::new(DefaultAction::Deny),
        partial: Default::new(DefaultAction::Allow),
    };

    /// Returns the defaults with every mode written: `mode` is that of the document, and replaces all others if it
    /// `overrides`.
    pub(crate) fn under(self, mode: Mode, overrides: bool) -> Defaults {
        self.each(self, |own, _, _| Default {
            mode: own.mode.filter(|_| !overrides).or(Some(mode)),
            ..own
        })
    }

    /// Returns the stricter of each two defaults. All modes must be written.
    pub(crate) fn stricter(self, other: Defaults) -> Defaults {
        self.each(other, |own, other, denies_anyway| {
            match own.strictness(denies_anyway) < other.strictness(denies_anyway) {
                true => other,
                false => own,
            }
        })
    }

    /// Chooses one of each two defaults. `choose` is also given whether the default denies, even as `allow`, what two
    /// readers could understand differently.
    fn each(self, other: Defaults, choose: impl Fn(Default, Default, bool) -> Default) -> Defaults {
        Defaults {
            request: choose(self.request, other.request, false),
            tool_call: choose(self.tool_call, other.tool_call, false),
            tool_offer: choose(self.tool_offer, other.tool_offer, false),
            uninspectable: choose(self.uninspectable, other.uninspectable, true),
            partial: choose(self.partial, other.partial, false),
        }
    }

    /// Returns the key `defaults` of a document. All modes must be written.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn to_node(self) -> Node {
        let default = |default: Default| {
            let action = ("action", Node::text_at(default.action.word(), &(0..0)));
            let mode = default
                .mode
                .map(|mode| ("mode", Node::text_at(mode.word(), &(0..0))));
            Node::map_at([action].into_iter().chain(mode).collect(), &(0..0))
        };
        let members = vec![
            ("request", default(self.request)),
            ("tool_call", default(self.tool_call)),
            ("tool_offer", default(self.tool_offer)),
            ("uninspectable", default(self.uninspectable)),
            ("partial", default(self.partial)),
        ];
        Node::map_at(members, &(0..0))
    }
}

/// Reads the key `defaults`.
pub(crate) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Defaults> {
    let (mut action, mut request, mut tool_call) = (None, None, None);
    let mut defaults = Defaults::USUAL;
    for (key, member) in decoder.keys(at, node)? {
        let words = match key {
            DefaultsKey::ToolOffer => OFFER_ACTIONS,
            _ => GATE_ACTIONS,
        };
        let read = one_default(decoder, &at.key(&member.key), &member.value, words);
        let Some(read) = read else { continue };
        match key {
            DefaultsKey::Action => action = Some(read),
            DefaultsKey::Request => request = Some(read),
            DefaultsKey::ToolCall => tool_call = Some(read),
            DefaultsKey::ToolOffer => defaults.tool_offer = read,
            DefaultsKey::Uninspectable => defaults.uninspectable = read,
            DefaultsKey::Partial => defaults.partial = read,
        }
    }
    let both_gates = node.get("request").is_some() && node.get("tool_call").is_some();
    if node.get("action").is_none() && !both_gates {
        decoder.error(
            codes::AG1006,
            at,
            &node.span,
            "`action` is missing",
            "write `action: deny` or `action: allow`",
        );
        return None;
    }
    defaults.request = request.or(action).unwrap_or(defaults.request);
    defaults.tool_call = tool_call.or(action).unwrap_or(defaults.tool_call);
    Some(defaults)
}

const OFFER_ACTIONS: &[(&str, DefaultAction)] = &[
    ("allow", DefaultAction::Allow),
    ("deny", DefaultAction::Deny),
    ("hide", DefaultAction::Hide),
];

const GATE_ACTIONS: &[(&str, DefaultAction)] = &[
    ("allow", DefaultAction::Allow),
    ("deny", DefaultAction::Deny),
];

fn one_default(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    words: &[(&str, DefaultAction)],
) -> Option<Default> {
    if !matches!(node.data, NodeValue::Map(_)) {
        let action = decoder.word(at, node, words)?;
        return Some(Default::new(action));
    }
    let mut action = None;
    let mut mode = None;
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        match key {
            DefaultKey::Action => action = decoder.word(&at, &member.value, words),
            DefaultKey::Mode => mode = decoder.one_of(&at, &member.value),
        }
    }
    decoder.has_required::<DefaultKey>(at, node, &node.span);
    action.map(|action| Default { action, mode })
}
