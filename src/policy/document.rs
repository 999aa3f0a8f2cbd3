//! The document as written: every key at its top, read strictly.

use super::decode::{Decoder, PolicyPath};
use super::grammar::{
    AppliesToKey, AudienceKey, AuditKey, DefaultKey, DefaultsKey, DocumentKey, EnvironmentKey,
    EnvoyKey, InspectKey, Keys, MetadataKey, ModeKey, Role, StreamKey,
};
use super::match_item::{MatchItem, read_match_item};
use super::mode::Mode;
use super::node::{Member, Node, NodeValue};
use super::principals::{self, IdentitySource};
use super::protocols::{self, ProtocolEntry};
use super::zones::{self, Zones};
use crate::diag::{Fix, Severity, codes};
use crate::event::words;
use crate::policy::rule::{self, Rule};
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;

/// What the documents of this language say they are.
pub const API_VERSION: &str = "agentguard.dev/v1";

/// Most documents of a set.
const MAX_MEMBERS: usize = 1_000;

words! {
    /// When request headers leave.
    HeaderMode {
        /// At once: works on every host.
        Portable = "portable",
        /// With the evaluated body: needs `allow_on_headers_stop_iteration: true` in the plugin.
        Hold = "hold",
    }
}

words! {
    /// What happens where no rule decides.
    DefaultAction {
        /// It passes.
        Allow = "allow",
        /// It is refused.
        Deny = "deny",
        /// A tool that could never be called is not offered.
        Hide = "hide",
    }
}

/// A default with its own mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Default {
    /// What happens.
    pub action: DefaultAction,
    /// Its own mode, if it has one.
    pub mode: Option<Mode>,
}

impl Default {
    const fn new(action: DefaultAction) -> Default {
        Default { action, mode: None }
    }

    /// How little it lets through: what is enforced before what is only recorded, then `deny` before `hide`, which denies
    /// only offers whose calls could never pass. With `denies_anyway` an `allow` denies some events as well, in its mode.
    fn strictness(self, denies_anyway: bool) -> (bool, u8) {
        let rank = match self.action {
            DefaultAction::Allow => 0,
            DefaultAction::Hide => 1,
            DefaultAction::Deny => 2,
        };
        let denies = rank > 0 || denies_anyway;
        (denies && self.mode != Some(Mode::Observe), rank)
    }
}

/// `defaults`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For the request as a whole.
    pub request: Default,
    /// For calls of tools.
    pub tool_call: Default,
    /// For offers of tools.
    pub tool_offer: Default,
    /// For what could not be read.
    pub uninspectable: Default,
    /// For what was read but is opaque.
    pub partial: Default,
}

impl Defaults {
    /// What holds where nothing is written.
    const USUAL: Defaults = Defaults {
        request: Default::new(DefaultAction::Deny),
        tool_call: Default::new(DefaultAction::Deny),
        tool_offer: Default::new(DefaultAction::Allow),
        uninspectable: Default::new(DefaultAction::Deny),
        partial: Default::new(DefaultAction::Allow),
    };

    /// The same with each mode written, where `mode` is that of the document, and of all of them if it `overrides`.
    pub(crate) fn under(self, mode: Mode, overrides: bool) -> Defaults {
        self.each(self, |own, _, _| Default {
            mode: own.mode.filter(|_| !overrides).or(Some(mode)),
            ..own
        })
    }

    /// The stricter of each, where modes are written.
    pub(crate) fn stricter(self, other: Defaults) -> Defaults {
        self.each(other, |own, other, denies_anyway| {
            match own.strictness(denies_anyway) < other.strictness(denies_anyway) {
                true => other,
                false => own,
            }
        })
    }

    /// Chooses each of two; with whether an `allow` of it denies what two readers could understand differently.
    fn each(self, other: Defaults, choose: impl Fn(Default, Default, bool) -> Default) -> Defaults {
        Defaults {
            request: choose(self.request, other.request, false),
            tool_call: choose(self.tool_call, other.tool_call, false),
            tool_offer: choose(self.tool_offer, other.tool_offer, false),
            uninspectable: choose(self.uninspectable, other.uninspectable, true),
            partial: choose(self.partial, other.partial, false),
        }
    }

    /// The key `defaults` of a document, where modes are written.
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

/// Where the environment's name comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentSource {
    /// The policy does not say: unknown.
    Absent,
    /// This.
    Value(Box<str>),
    /// Envoy's node metadata, key `environment`.
    Node {
        /// If the node does not say.
        otherwise: Option<Box<str>>,
    },
    /// An environment variable of the proxy.
    Variable {
        /// Its name.
        name: Box<str>,
        /// If it is not set.
        otherwise: Option<Box<str>>,
    },
    /// The principal's claim `environment`.
    Principal {
        /// If the principal does not say.
        otherwise: Option<Box<str>>,
    },
}

/// `inspect`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspect {
    /// Largest body that is read, in bytes.
    pub max_body: u64,
    /// Deepest nesting of JSON.
    pub max_depth: u16,
    /// How many strings deep JSON may be nested in JSON.
    pub nested_json: u8,
    /// Most text that detectors look at in one exchange, in bytes.
    pub max_text: u64,
    /// Whether runs of Base64 and hexadecimal digits are decoded and looked into.
    pub decode: bool,
}

impl Inspect {
    /// What holds where the policy says nothing.
    pub const DEFAULT: Inspect = Inspect {
        max_body: 8 << 20,
        max_depth: 64,
        nested_json: 4,
        max_text: 4 << 20,
        decode: false,
    };
}

/// `applies_to`: globs; a list that is absent fits everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AppliesTo {
    /// Hosts.
    pub hosts: Option<Vec<Box<str>>>,
    /// Paths.
    pub paths: Option<Vec<Box<str>>>,
    /// Envoy's cluster names.
    pub clusters: Option<Vec<Box<str>>>,
}

words! {
    /// What becomes of a stream after a denial in it.
    StreamOnDeny {
        /// The rest is read and dropped.
        Drain = "drain",
        /// The connection is reset.
        Reset = "reset",
    }
}

/// `audit`
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AuditSettings {
    /// Environment variable that holds the key of the chain's MAC.
    pub key: Option<Box<str>>,
}

/// A named list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum List {
    /// Values.
    Plain(Vec<Node>),
    /// Values under keys.
    Keyed(SortedMap<Box<str>, Vec<Node>>),
}

/// A document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// `metadata.name`
    pub name: Box<str>,
    /// `metadata.description`
    pub description: Option<Box<str>>,
    /// Mode of everything that has none of its own.
    pub mode: Mode,
    /// `mode: { all: observe }`: nothing is enforced, whatever rules say.
    pub observe_all: bool,
    /// When request headers leave.
    pub headers: HeaderMode,
    /// Which exchanges it is about.
    pub applies_to: AppliesTo,
    /// Where the environment's name comes from.
    pub environment: EnvironmentSource,
    /// What happens where no rule decides.
    pub defaults: Defaults,
    /// Whether anonymous requests are refused; `None`: the policy does not say.
    pub requires_identity: Option<bool>,
    /// The sources that say who is asking, in their order.
    pub principals: Vec<IdentitySource>,
    /// Bounds of reading.
    pub inspect: Inspect,
    /// Which protocol is spoken where.
    pub protocols: Vec<ProtocolEntry>,
    /// After a denial in a stream.
    pub stream_on_deny: StreamOnDeny,
    /// Refusals tell the code only.
    pub disclose_code_only: bool,
    /// The record's settings.
    pub audit: AuditSettings,
    pub(crate) lists: SortedMap<Box<str>, List>,
    /// `detectors`, as written: they may name lists.
    pub(crate) detectors: Option<Node>,
    /// Time zones that `agentguard build` has looked up.
    pub(crate) zones: Zones,
    pub(crate) rules: Vec<Rule>,
    /// For whom it is; without any, for everybody.
    pub(crate) audience: Vec<MatchItem>,
    /// Of a set: its documents, by name. They decide, and this one only says what holds for all of them.
    pub(crate) members: Vec<Document>,
    /// A policy that is evaluated and recorded beside this one, and never enforced.
    pub(crate) shadow: Option<Box<Document>>,
}

impl Document {
    /// The documents that decide, each for itself.
    pub(crate) fn deciding(&self) -> &[Document] {
        match self.members.as_slice() {
            [] => std::slice::from_ref(self),
            members => members,
        }
    }

    /// Environment variables that the filter must be handed.
    pub fn secret_names(&self) -> Vec<&str> {
        let environment = match &self.environment {
            EnvironmentSource::Variable { name, .. } => Some(&**name),
            _ => None,
        };
        self.audit
            .key
            .as_deref()
            .into_iter()
            .chain(environment)
            .chain(self.key_variables())
            .collect()
    }

    /// Environment variables that hold API keys.
    pub fn key_variables(&self) -> impl Iterator<Item = &str> {
        principals::key_variables(&self.principals)
    }
}

/// Reads a document. What could not be read is missing from it; it may be used only if no error was noted.
pub(crate) fn read(decoder: &mut Decoder, root: &Node) -> Option<Document> {
    let at = PolicyPath::root();
    let NodeValue::Map(_) = &root.data else {
        decoder.error(
            codes::AG1003,
            &at,
            &root.span,
            &format!("a policy is a mapping, not {}", root.kind()),
            &format!("begin with `apiVersion: {API_VERSION}`"),
        );
        return None;
    };
    if root.get("apiVersion").is_none() {
        decoder.error(
            codes::AG1003,
            &at,
            &(root.span.start..root.span.start),
            "`apiVersion` is missing",
            &format!("begin with `apiVersion: {API_VERSION}` and `kind: AgentPolicy`"),
        );
        return None;
    }
    check_version(decoder, &at, root);
    let is_set = root.get("kind").and_then(Node::text) == Some("AgentPolicySet");
    if is_set {
        return read_in_role(decoder, &at, root, Role::Set, Mode::Enforce);
    }
    if let Some(kind) = root
        .get("kind")
        .filter(|kind| kind.text() == Some("PolicyTest"))
    {
        // It is none of a policy's keys that is wrong.
        decoder.error(
            codes::AG1003,
            &at.key("kind"),
            &kind.span,
            "these are tests of a policy, not a policy",
            "`agentguard test FILE` runs them",
        );
        return None;
    }
    check_kind(decoder, &at, root);
    if root.get("kind").is_none() {
        decoder.error(
            codes::AG1003,
            &at,
            &(root.span.start..root.span.start),
            "`kind` is missing",
            "write `kind: AgentPolicy`",
        );
    }
    read_in_role(decoder, &at, root, Role::Alone, Mode::Enforce)
}

fn check_version(decoder: &mut Decoder, at: &PolicyPath<'_>, root: &Node) {
    if let Some(version) = root.get("apiVersion")
        && version.text() != Some(API_VERSION)
    {
        decoder.error(
            codes::AG1003,
            &at.key("apiVersion"),
            &version.span,
            "this version of the language is not known",
            &format!("write `{API_VERSION}`"),
        );
    }
}

fn check_kind(decoder: &mut Decoder, at: &PolicyPath<'_>, root: &Node) {
    if let Some(kind) = root.get("kind")
        && kind.text() != Some("AgentPolicy")
    {
        decoder.error(
            codes::AG1003,
            &at.key("kind"),
            &kind.span,
            "this kind of document is no policy",
            "write `kind: AgentPolicy`",
        );
    }
}

/// A document in its role; `usual` is the mode of what has none of its own.
fn read_in_role(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    root: &Node,
    role: Role,
    usual: Mode,
) -> Option<Document> {
    let members = top_members(decoder, at, root, role)?;
    let node = |key: DocumentKey| {
        let member = members.iter().find(|(name, _)| *name == key);
        member.map(|(_, member)| &member.value)
    };
    let (name, description) = match (role, node(DocumentKey::Metadata)) {
        (Role::Shadow, None) => (Some("shadow".into()), None),
        (_, value) => metadata(decoder, at, value),
    };
    let (mode, observe_all) = read_mode(decoder, at, node(DocumentKey::Mode), usual);
    let parts = match role {
        Role::Set => set_members(decoder, at, root, node(DocumentKey::Policies), mode),
        _ => Vec::new(),
    };
    let defaults = match role {
        Role::Set => parts
            .iter()
            .map(|part| part.defaults.under(part.mode, part.observe_all))
            .reduce(Defaults::stricter),
        _ => match node(DocumentKey::Defaults) {
            Some(value) => read_defaults(decoder, &at.key("defaults"), value),
            None => {
                let message = "`defaults` is missing";
                let help = "say what happens where no rule decides: `defaults: { action: deny }` or `{ action: allow }`";
                let start = root.span.start..root.span.start;
                decoder.error(codes::AG1006, at, &start, message, help);
                None
            }
        },
    };
    // A set is in force as soon as one of its documents is.
    let enforced = parts.iter().any(|part| part.mode == Mode::Enforce);
    let mode = match role {
        Role::Set if enforced => Mode::Enforce,
        Role::Set => Mode::Observe,
        _ => mode,
    };
    let mut document = Document {
        name: name.unwrap_or_default(),
        description,
        mode,
        observe_all,
        headers: HeaderMode::Portable,
        applies_to: AppliesTo::default(),
        environment: EnvironmentSource::Absent,
        defaults: defaults.unwrap_or(Defaults::USUAL),
        requires_identity: None,
        principals: Vec::new(),
        inspect: Inspect::DEFAULT,
        protocols: Vec::new(),
        stream_on_deny: StreamOnDeny::Drain,
        disclose_code_only: false,
        audit: AuditSettings::default(),
        lists: SortedMap::new(),
        detectors: None,
        zones: Zones::default(),
        rules: Vec::new(),
        audience: Vec::new(),
        members: parts,
        shadow: None,
    };
    for (key, member) in &members {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            // Read above, since others depend on them.
            DocumentKey::ApiVersion
            | DocumentKey::Kind
            | DocumentKey::Metadata
            | DocumentKey::Spec
            | DocumentKey::Mode
            | DocumentKey::Defaults
            | DocumentKey::Policies => {}
            DocumentKey::Extends => {
                let message = "`extends` is resolved by `agentguard build`, not by the filter";
                decoder.error(codes::AG1016, &at, &value.span, message, "");
            }
            DocumentKey::Principals => {
                document.principals = principals::read_all(decoder, &at, value);
            }
            DocumentKey::Envoy => document.headers = envoy(decoder, &at, value),
            DocumentKey::AppliesTo => document.applies_to = applies_to(decoder, &at, value),
            DocumentKey::Environment => {
                if let Some(source) = environment(decoder, &at, value) {
                    document.environment = source;
                }
            }
            DocumentKey::Require => {
                let words = [("identity", true), ("none", false)];
                document.requires_identity = decoder.word(&at, value, &words);
            }
            DocumentKey::Inspect => document.inspect = inspect(decoder, &at, value),
            DocumentKey::Lists => document.lists = lists(decoder, &at, value),
            DocumentKey::Detectors => document.detectors = Some(value.clone()),
            DocumentKey::Rules => document.rules = rule::read_all(decoder, &at, value),
            DocumentKey::For => document.audience = audience(decoder, &at, value),
            DocumentKey::Shadow => {
                document.shadow =
                    read_in_role(decoder, &at, value, Role::Shadow, Mode::Observe).map(Box::new);
            }
            DocumentKey::Protocols => document.protocols = protocols::read_all(decoder, &at, value),
            DocumentKey::Stream => document.stream_on_deny = stream(decoder, &at, value),
            DocumentKey::Disclose => {
                let words = [("all", false), ("code", true)];
                document.disclose_code_only = decoder.word(&at, value, &words) == Some(true);
            }
            DocumentKey::Audit => document.audit = audit(decoder, &at, value),
            DocumentKey::Zones => {
                document.zones = zones::read(decoder, &at, value).unwrap_or_default();
            }
        }
    }
    if matches!(role, Role::Alone | Role::Set) && defaults.is_some() {
        settle_identity(decoder, &document, at);
    }
    defaults.map(|_| document)
}

/// `for: { tenant: acme }`
fn audience(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Vec<MatchItem> {
    let members = decoder.keys::<AudienceKey>(at, node).into_iter().flatten();
    if node.members().is_empty() {
        let help = "for example `for: { tenant: acme }`; leave it out if it is for everybody";
        decoder.error(codes::AG1006, at, &node.span, "nobody is named", help);
    }
    members
        .filter_map(|(_, member)| read_match_item(decoder, at, member))
        .collect()
}

/// `policies` of a set: by name, so that their order can't matter.
fn set_members(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    root: &Node,
    node: Option<&Node>,
    usual: Mode,
) -> Vec<Document> {
    let at = at.key("policies");
    let items = match node.map(|node| &node.data) {
        Some(NodeValue::List(items)) if !items.is_empty() && items.len() <= MAX_MEMBERS => items,
        Some(_) => {
            let span = node.map_or(0..0, |node| node.span.clone());
            let message = format!("a list of 1 to {MAX_MEMBERS} documents is expected here");
            decoder.error(codes::AG1005, &at, &span, &message, "");
            return Vec::new();
        }
        None => {
            let start = root.span.start..root.span.start;
            let help = "a set holds documents: `policies: [{ metadata: { name: … }, … }]`";
            decoder.error(codes::AG1006, &at, &start, "`policies` is missing", help);
            return Vec::new();
        }
    };
    let mut documents: Vec<Document> = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let at = at.index(number);
        check_version(decoder, &at, item);
        check_kind(decoder, &at, item);
        let Some(document) = read_in_role(decoder, &at, item, Role::Member, usual) else {
            continue;
        };
        if documents.iter().any(|other| other.name == document.name) {
            let message = format!("document `{}` is defined twice", document.name);
            let help = "records name a rule by its document and its id";
            decoder.error(codes::AG1008, &at, &item.span, &message, help);
        }
        documents.push(document);
    }
    sort::sort_by(&mut documents, |a, b| a.name.cmp(&b.name));
    documents
}

/// The keys at the top; `spec:` around everything after `metadata` is opened.
fn top_members<'n>(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    root: &'n Node,
    role: Role,
) -> Option<Vec<(DocumentKey, &'n Member)>> {
    let mut members = Vec::new();
    for (key, member) in known_members(decoder, at, root, role)? {
        if key != DocumentKey::Spec {
            members.push((key, member));
            continue;
        }
        let at = at.key("spec");
        for (key, inner) in known_members(decoder, &at, &member.value, role)? {
            let outside = matches!(
                key,
                DocumentKey::ApiVersion
                    | DocumentKey::Kind
                    | DocumentKey::Metadata
                    | DocumentKey::Spec
            );
            if outside || root.get(&inner.key).is_some() {
                decoder.error(
                    codes::AG1002,
                    &at.key(&inner.key),
                    &inner.key_span,
                    &format!(
                        "`{}` does not stand inside `spec` or stands outside as well",
                        inner.key
                    ),
                    "",
                );
            } else {
                members.push((key, inner));
            }
        }
    }
    Some(members)
}

/// The members whose keys belong here; those that belong elsewhere are said to.
fn known_members<'n>(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &'n Node,
    role: Role,
) -> Option<Vec<(DocumentKey, &'n Member)>> {
    let noted = decoder.diagnostics.len();
    let known: Vec<&str> = DocumentKey::NAMES
        .iter()
        .zip(DocumentKey::ROLES)
        .filter_map(|(name, roles)| roles.contains(&role).then_some(*name))
        .collect();
    let members = decoder.mapping(at, node, &known);
    for diagnostic in decoder.diagnostics.iter_mut().skip(noted) {
        let Some(member) = node
            .members()
            .iter()
            .find(|member| diagnostic.message == format!("unknown key `{}`", member.key))
        else {
            continue;
        };
        let key = &*member.key;
        if DocumentKey::NAMES.contains(&key) {
            let help = match () {
                () if key == "policies" => "it belongs to `kind: AgentPolicySet`",
                () if role == Role::Set => "it belongs to one of the documents under `policies`",
                () => "it stands at the top, where it holds for everything",
            };
            diagnostic.message = format!("`{key}` does not stand here");
            diagnostic.help = Some(help.to_owned());
            diagnostic.fix = None;
        }
    }
    let keyed = |member: &'n Member| Some((DocumentKey::of(&member.key)?, member));
    Some(members?.into_iter().filter_map(keyed).collect())
}

fn metadata(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: Option<&Node>,
) -> (Option<Box<str>>, Option<Box<str>>) {
    let Some(node) = node else {
        decoder.error(
            codes::AG1006,
            at,
            &(0..0),
            "`metadata` is missing",
            "a policy has a name: `metadata: { name: support-agent }`",
        );
        return (None, None);
    };
    let at = at.key("metadata");
    let Some(members) = decoder.keys(&at, node) else {
        return (None, None);
    };
    let mut name = None;
    let mut description = None;
    for (key, member) in members {
        let at = at.key(&member.key);
        match key {
            MetadataKey::Name => name = decoder.text(&at, &member.value),
            MetadataKey::Description => description = decoder.text(&at, &member.value),
            MetadataKey::Labels | MetadataKey::Annotations | MetadataKey::Namespace => {}
        }
    }
    decoder.has_required::<MetadataKey>(&at, node, &node.span);
    (name, description)
}

/// Reads `mode`, and whether it overrides all others; `usual` is what holds without it.
pub(crate) fn read_mode(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: Option<&Node>,
    usual: Mode,
) -> (Mode, bool) {
    let Some(node) = node else {
        return (usual, false);
    };
    let at = at.key("mode");
    if let NodeValue::Map(_) = node.data {
        let mut all = None;
        for (ModeKey::All, member) in decoder.keys(&at, node).into_iter().flatten() {
            all = decoder.word(&at.key("all"), &member.value, &[("observe", true)]);
        }
        decoder.has_required::<ModeKey>(&at, node, &node.span);
        return (Mode::Observe, all.unwrap_or(false));
    }
    let mode = decoder.one_of(&at, node);
    (mode.unwrap_or(Mode::Enforce), false)
}

fn envoy(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> HeaderMode {
    let mut mode = None;
    for (EnvoyKey::Headers, member) in decoder.keys(at, node).into_iter().flatten() {
        let at = at.key(&member.key);
        mode = decoder.one_of(&at, &member.value);
    }
    mode.unwrap_or(HeaderMode::Portable)
}

fn applies_to(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> AppliesTo {
    let mut applies_to = AppliesTo::default();
    for (key, member) in decoder.keys(at, node).into_iter().flatten() {
        let at = at.key(&member.key);
        let globs = decoder.texts(&at, &member.value);
        for glob in globs.iter().flatten() {
            if let Err(what) = super::glob::Glob::parse(glob) {
                decoder.error(codes::AG1013, &at, &member.value.span, &what, "");
            }
        }
        match key {
            AppliesToKey::Hosts => applies_to.hosts = globs,
            AppliesToKey::Paths => applies_to.paths = globs,
            AppliesToKey::Clusters => applies_to.clusters = globs,
        }
    }
    applies_to
}

fn environment(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<EnvironmentSource> {
    if let NodeValue::String(value) = &node.data {
        return Some(EnvironmentSource::Value(value.clone()));
    }
    let mut value = None;
    let mut from = None;
    let mut otherwise = None;
    for (key, member) in decoder.keys(at, node)? {
        let text = decoder.text(&at.key(&member.key), &member.value);
        match key {
            EnvironmentKey::Value => value = text,
            EnvironmentKey::From => from = text.map(|text| (text, member.value.span.clone())),
            EnvironmentKey::Otherwise => otherwise = text,
        }
    }
    match (value, from) {
        (Some(value), None) => Some(EnvironmentSource::Value(value)),
        (None, Some((from, span))) => match (&*from, from.strip_prefix("env:")) {
            ("node", _) => Some(EnvironmentSource::Node { otherwise }),
            ("principal", _) => Some(EnvironmentSource::Principal { otherwise }),
            (_, Some(name)) if !name.is_empty() => Some(EnvironmentSource::Variable {
                name: name.into(),
                otherwise,
            }),
            _ => {
                decoder.error(
                    codes::AG1007,
                    &at.key("from"),
                    &span,
                    &format!("`{from}` is no source of the environment's name"),
                    "write `node`, `principal` or `env:NAME`",
                );
                None
            }
        },
        _ => {
            decoder.error(
                codes::AG1006,
                at,
                &node.span,
                "either `value` or `from` stands here",
                "for example `environment: prod` or `environment: { from: env:STAGE, otherwise: prod }`",
            );
            None
        }
    }
}

/// Reads `defaults`.
pub(crate) fn read_defaults(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<Defaults> {
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

fn inspect(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Inspect {
    let mut inspect = Inspect::DEFAULT;
    for (key, member) in decoder.keys(at, node).into_iter().flatten() {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            InspectKey::MaxBody => {
                if let Some(bytes) = bounded_size(decoder, &at, value, "8MiB") {
                    inspect.max_body = bytes;
                }
            }
            InspectKey::MaxText => {
                if let Some(bytes) = bounded_size(decoder, &at, value, "4MiB") {
                    inspect.max_text = bytes;
                }
            }
            InspectKey::Decode => {
                if let Some(decode) = decoder.boolean(&at, value) {
                    inspect.decode = decode;
                }
            }
            InspectKey::MaxDepth => {
                if let Some(depth) = bounded(decoder, &at, value, (1, 512), 64) {
                    inspect.max_depth = depth;
                }
            }
            InspectKey::NestedJson => {
                if let Some(depth) = bounded(decoder, &at, value, (0, 16), 4) {
                    inspect.nested_json = u8::try_from(depth).unwrap_or(16);
                }
            }
        }
    }
    inspect
}

/// The most that the filter holds at once: a larger bound would never be reached.
const LARGEST_SIZE: u64 = 256 << 20;

/// A number of bytes that something fits into and that the filter can hold.
fn bounded_size(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    usual: &str,
) -> Option<u64> {
    let bytes = decoder.bytes(at, node)?;
    if (SMALLEST_SIZE..=LARGEST_SIZE).contains(&bytes) {
        return Some(bytes);
    }
    let message = format!("{SMALLEST_SIZE} bytes to 256MiB are expected here");
    let help = format!("write for example `{usual}`, which holds without it");
    if let Some(diagnostic) = decoder.report(
        Severity::Error,
        codes::AG1007,
        at,
        node.span.clone(),
        message,
    ) {
        diagnostic.help = Some(help);
        diagnostic.fix = Some(Fix {
            span: node.span.clone(),
            with: usual.to_owned(),
        });
    }
    None
}

/// Less than any request that says something.
const SMALLEST_SIZE: u64 = 64;

fn bounded(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    (low, high): (u16, u16),
    usual: u16,
) -> Option<u16> {
    let count = decoder.count(at, node)?;
    match u16::try_from(count) {
        Ok(count) if (low..=high).contains(&count) => Some(count),
        _ => {
            decoder.error(
                codes::AG1007,
                at,
                &node.span,
                &format!("a number from {low} to {high} is expected here"),
                &format!("write for example `{usual}`, which holds without it"),
            );
            None
        }
    }
}

fn stream(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> StreamOnDeny {
    let mut on_deny = None;
    for (StreamKey::OnDeny, member) in decoder.keys(at, node).into_iter().flatten() {
        let at = at.key(&member.key);
        on_deny = decoder.one_of(&at, &member.value);
    }
    on_deny.unwrap_or(StreamOnDeny::Drain)
}

fn audit(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> AuditSettings {
    let mut settings = AuditSettings::default();
    for (key, member) in decoder.keys(at, node).into_iter().flatten() {
        let at = at.key(&member.key);
        match key {
            AuditKey::Key => {
                let Some(text) = decoder.text(&at, &member.value) else {
                    continue;
                };
                match text.strip_prefix("env:").filter(|name| !name.is_empty()) {
                    Some(name) => settings.key = Some(name.into()),
                    None => decoder.error(
                        codes::AG1007,
                        &at,
                        &member.value.span,
                        "the key itself does not stand in a policy",
                        "name an environment variable of the proxy: `env:AGENTGUARD_AUDIT_KEY`",
                    ),
                }
            }
            AuditKey::Content => decoder.error(
                codes::AG1017,
                &at,
                &member.value.span,
                "recording content is not supported yet",
                "",
            ),
        }
    }
    settings
}

fn lists(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> SortedMap<Box<str>, List> {
    let mut lists = SortedMap::new();
    let NodeValue::Map(members) = &node.data else {
        decoder.wrong_type(at, node, "a mapping of named lists");
        return lists;
    };
    for member in members {
        let at = at.key(&member.key);
        let list = match &member.value.data {
            NodeValue::List(items) => scalars(decoder, &at, items).map(List::Plain),
            NodeValue::Map(keys) if member.value.get("file").is_none() => {
                let mut keyed = SortedMap::new();
                for key in keys {
                    let at = at.key(&key.key);
                    let NodeValue::List(items) = &key.value.data else {
                        decoder.wrong_type(&at, &key.value, "a list");
                        continue;
                    };
                    if let Some(items) = scalars(decoder, &at, items) {
                        keyed.insert(key.key.clone(), items);
                    }
                }
                Some(List::Keyed(keyed))
            }
            NodeValue::Map(_) => {
                decoder.error(
                    codes::AG1016,
                    &at,
                    &member.value.span,
                    "a list from a file is resolved by `agentguard build`, not by the filter",
                    "",
                );
                None
            }
            _ => {
                decoder.wrong_type(&at, &member.value, "a list, or a mapping of lists");
                None
            }
        };
        if let Some(list) = list {
            lists.insert(member.key.clone(), list);
        }
    }
    lists
}

fn scalars(decoder: &mut Decoder, at: &PolicyPath<'_>, items: &[Node]) -> Option<Vec<Node>> {
    for (number, item) in items.iter().enumerate() {
        if matches!(item.data, NodeValue::List(_) | NodeValue::Map(_)) {
            decoder.wrong_type(&at.index(number), item, "a single value");
            return None;
        }
    }
    Some(items.to_vec())
}

/// Rules about who is asking mean something only if it is settled what becomes of anonymous requests.
fn settle_identity(decoder: &mut Decoder, document: &Document, at: &PolicyPath<'_>) {
    if document.requires_identity.is_some() {
        return;
    }
    let mut asking = None;
    for part in document.deciding() {
        if let Some(rule) = part.rules.iter().find(|rule| rule.asks_identity()) {
            asking = Some((format!("rule `{}` asks", rule.id), rule.span.clone()));
        } else if let Some(item) = part.audience.first() {
            let asks = format!("document `{}` asks", part.name);
            asking = Some((asks, item.mention.span.clone()));
        }
    }
    let Some((who, span)) = asking else { return };
    let message = format!("{who} who is asking");
    if let Some(diagnostic) = decoder.report(Severity::Warning, codes::AG1018, at, span, message) {
        diagnostic.help = Some(
            "say what becomes of anonymous requests: `require: identity` or `require: none`"
                .to_owned(),
        );
    }
}
