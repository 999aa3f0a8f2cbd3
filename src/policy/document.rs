//! The document as written: every key at its top, read strictly.

#[cfg(not(target_arch = "wasm32"))]
use super::approval::Approval;
use super::approvers::{self, Approver, ApproverKey};
use super::decode::{Decoder, PolicyPath};
use super::match_item::{MatchItem, read_match_item};
use super::mode::{MODES, Mode};
use super::node::{Member, Node, NodeValue};
use super::principals::{self, ClientAddress, IdentitySource};
use super::protocols::{self, ProtocolEntry};
use super::zones::{self, Zones};
use crate::diag::{Fix, Severity, codes};
use crate::event::words;
use crate::policy::rule::{self, Rule};
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;

/// What the documents of this language say they are.
pub const API_VERSION: &str = "agentguard.dev/v1";

const TOP: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "mode",
    "envoy",
    "applies_to",
    "environment",
    "defaults",
    "require",
    "inspect",
    "lists",
    "detectors",
    "rules",
    "for",
    "extends",
    "shadow",
    "protocols",
    "principals",
    "approvers",
    "client_address",
    "stream",
    "disclose",
    "audit",
    "zones",
];

/// What stands at the top of a set of documents.
const SET: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "mode",
    "envoy",
    "environment",
    "require",
    "inspect",
    "extends",
    "shadow",
    "protocols",
    "principals",
    "approvers",
    "client_address",
    "stream",
    "disclose",
    "audit",
    "zones",
    "policies",
];

/// What stands in each document of a set.
const MEMBER: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "mode",
    "applies_to",
    "defaults",
    "lists",
    "detectors",
    "rules",
    "for",
    "extends",
];

/// What stands in a policy that is only tried out.
const SHADOW: &[&str] = &[
    "metadata",
    "applies_to",
    "defaults",
    "lists",
    "rules",
    "for",
];

/// For whom a document may be.
const AUDIENCE: &[&str] = &["client", "tenant", "agent", "role"];

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

/// What becomes of a stream after a denial in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOnDeny {
    /// The rest is read and dropped.
    Drain,
    /// The connection is reset.
    Reset,
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
    /// How the address of the client is found.
    pub client_address: ClientAddress,
    /// Bounds of reading.
    pub inspect: Inspect,
    /// Which protocol is spoken where.
    pub protocols: Vec<ProtocolEntry>,
    /// After a denial in a stream.
    pub stream_on_deny: StreamOnDeny,
    /// Refusals tell the code only.
    pub disclose_code_only: bool,
    /// The keys of those who approve.
    pub approvers: Vec<Approver>,
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

/// Where a document stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DocumentRole {
    /// By itself.
    Alone,
    /// It holds others.
    Set,
    /// In a set; what the set says of the mode.
    Member(Mode),
    /// Beside another one.
    Shadow,
}

impl DocumentRole {
    fn keys(self) -> &'static [&'static str] {
        match self {
            DocumentRole::Alone => TOP,
            DocumentRole::Set => SET,
            DocumentRole::Member(_) => MEMBER,
            DocumentRole::Shadow => SHADOW,
        }
    }
}

impl Document {
    /// The documents that decide, each for itself.
    pub(crate) fn deciding(&self) -> &[Document] {
        match self.members.as_slice() {
            [] => std::slice::from_ref(self),
            members => members,
        }
    }

    /// Roles of an approval that no key of `approvers` gives. Without any role, nobody is named at all.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn roles_without_key<'a>(&'a self, approval: &'a Approval) -> Vec<&'a str> {
        let has_key = |role: &str| {
            self.approvers
                .iter()
                .any(|approver| *approver.role == *role)
        };
        let roles = approval.by.iter().map(|role| &**role);
        roles.filter(|role| !has_key(role)).collect()
    }

    /// Environment variables that the filter must be handed.
    pub fn secret_names(&self) -> Vec<&str> {
        let environment = match &self.environment {
            EnvironmentSource::Variable { name, .. } => Some(&**name),
            _ => None,
        };
        let secrets = self
            .approvers
            .iter()
            .filter_map(|approver| match &approver.key {
                ApproverKey::Hmac(name) => Some(&**name),
                ApproverKey::Ed25519(_) => None,
            });
        self.audit
            .key
            .as_deref()
            .into_iter()
            .chain(environment)
            .chain(self.key_variables())
            .chain(secrets)
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
        return read_standing(decoder, &at, root, DocumentRole::Set);
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
    read_standing(decoder, &at, root, DocumentRole::Alone)
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

fn read_standing(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    root: &Node,
    standing: DocumentRole,
) -> Option<Document> {
    let members = top_members(decoder, at, root, standing)?;
    let node = |key: &str| {
        members
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, node)| *node)
    };
    if let Some(value) = node("extends") {
        let message = "`extends` is resolved by `agentguard build`, not by the filter";
        decoder.error(codes::AG1016, &at.key("extends"), &value.span, message, "");
    }

    let (name, description) = match (standing, node("metadata")) {
        (DocumentRole::Shadow, None) => (Some("shadow".into()), None),
        (_, value) => metadata(decoder, at, value),
    };
    let usual = match standing {
        DocumentRole::Member(mode) => mode,
        DocumentRole::Shadow => Mode::Observe,
        DocumentRole::Alone | DocumentRole::Set => Mode::Enforce,
    };
    let (mode, observe_all) = mode(decoder, at, node("mode"), usual);
    let parts = match standing {
        DocumentRole::Set => set_members(decoder, at, root, node("policies"), mode),
        _ => Vec::new(),
    };
    let defaults = match standing {
        DocumentRole::Set => parts
            .iter()
            .map(|part| part.defaults)
            .reduce(Defaults::stricter),
        _ => defaults(decoder, at, root, node("defaults")),
    };
    // A set is in force as soon as one of its documents is.
    let enforced = parts.iter().any(|part| part.mode == Mode::Enforce);
    let mode = match standing {
        DocumentRole::Set if enforced => Mode::Enforce,
        DocumentRole::Set => Mode::Observe,
        _ => mode,
    };
    let lists = node("lists")
        .map(|value| lists(decoder, &at.key("lists"), value))
        .unwrap_or_default();
    let rules = node("rules")
        .map(|value| rule::read_all(decoder, &at.key("rules"), value))
        .unwrap_or_default();
    let requires_identity = node("require").and_then(|value| {
        decoder.word(
            &at.key("require"),
            value,
            &[("identity", true), ("none", false)],
        )
    });
    let document = Document {
        name: name.unwrap_or_default(),
        description,
        mode,
        observe_all,
        headers: envoy(decoder, at, node("envoy")),
        applies_to: node("applies_to")
            .map(|value| applies_to(decoder, &at.key("applies_to"), value))
            .unwrap_or_default(),
        environment: node("environment")
            .and_then(|value| environment(decoder, &at.key("environment"), value))
            .unwrap_or(EnvironmentSource::Absent),
        defaults: defaults?,
        requires_identity,
        principals: node("principals")
            .map(|value| principals::read_all(decoder, &at.key("principals"), value))
            .unwrap_or_default(),
        client_address: node("client_address")
            .and_then(|value| principals::read_address(decoder, &at.key("client_address"), value))
            .unwrap_or_default(),
        inspect: node("inspect")
            .map(|value| inspect(decoder, &at.key("inspect"), value))
            .unwrap_or(Inspect::DEFAULT),
        protocols: node("protocols")
            .map(|value| protocols::read_all(decoder, &at.key("protocols"), value))
            .unwrap_or_default(),
        stream_on_deny: stream(decoder, at, node("stream")),
        disclose_code_only: node("disclose")
            .and_then(|value| {
                decoder.word(
                    &at.key("disclose"),
                    value,
                    &[("all", false), ("code", true)],
                )
            })
            .unwrap_or(false),
        approvers: node("approvers")
            .map(|value| approvers::read_all(decoder, &at.key("approvers"), value))
            .unwrap_or_default(),
        audit: audit(decoder, at, node("audit")),
        lists,
        detectors: node("detectors").cloned(),
        zones: node("zones")
            .and_then(|value| zones::read(decoder, &at.key("zones"), value))
            .unwrap_or_default(),
        rules,
        audience: node("for")
            .map(|value| audience(decoder, &at.key("for"), value))
            .unwrap_or_default(),
        members: parts,
        shadow: node("shadow")
            .and_then(|value| {
                read_standing(decoder, &at.key("shadow"), value, DocumentRole::Shadow)
            })
            .map(Box::new),
    };
    if matches!(standing, DocumentRole::Alone | DocumentRole::Set) {
        settle_identity(decoder, &document, at);
    }
    Some(document)
}

/// `for: { tenant: acme }`
fn audience(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Vec<MatchItem> {
    let members = decoder.mapping(at, node, AUDIENCE).unwrap_or_default();
    if node.members().is_empty() {
        let help = "for example `for: { tenant: acme }`; leave it out if it is for everybody";
        decoder.error(codes::AG1006, at, &node.span, "nobody is named", help);
    }
    let items = members
        .into_iter()
        .filter_map(|member| read_match_item(decoder, at, member));
    items.collect()
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
        let Some(document) = read_standing(decoder, &at, item, DocumentRole::Member(usual)) else {
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

impl Defaults {
    /// The stricter of each.
    fn stricter(self, other: Defaults) -> Defaults {
        let stricter = |a: Default, b: Default| match a.action {
            DefaultAction::Allow => b,
            DefaultAction::Deny | DefaultAction::Hide => a,
        };
        Defaults {
            request: stricter(self.request, other.request),
            tool_call: stricter(self.tool_call, other.tool_call),
            tool_offer: stricter(self.tool_offer, other.tool_offer),
            uninspectable: stricter(self.uninspectable, other.uninspectable),
            partial: stricter(self.partial, other.partial),
        }
    }
}

/// The keys at the top; `spec:` around everything after `metadata` is opened.
fn top_members<'n>(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    root: &'n Node,
    standing: DocumentRole,
) -> Option<Vec<(&'n str, &'n Node)>> {
    let known = standing.keys();
    let mut members = Vec::new();
    for member in known_members(decoder, at, root, known)? {
        if &*member.key != "spec" {
            members.push((&*member.key, &member.value));
            continue;
        }
        let at = at.key("spec");
        for inner in known_members(decoder, &at, &member.value, known)? {
            let outside = matches!(&*inner.key, "apiVersion" | "kind" | "metadata" | "spec");
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
                members.push((&*inner.key, &inner.value));
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
    known: &[&str],
) -> Option<Vec<&'n Member>> {
    let noted = decoder.diagnostics.len();
    let members = decoder.mapping(at, node, known);
    for diagnostic in decoder.diagnostics.iter_mut().skip(noted) {
        let Some(member) = node
            .members()
            .iter()
            .find(|member| diagnostic.message == format!("unknown key `{}`", member.key))
        else {
            continue;
        };
        let key = &*member.key;
        if TOP.contains(&key) || key == "policies" {
            let help = match () {
                () if key == "policies" => "it belongs to `kind: AgentPolicySet`",
                () if known == SET => "it belongs to one of the documents under `policies`",
                () => "it stands at the top, where it holds for everything",
            };
            diagnostic.message = format!("`{key}` does not stand here");
            diagnostic.help = Some(help.to_owned());
            diagnostic.fix = None;
        }
    }
    members
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
    let known = &["name", "description", "labels", "annotations", "namespace"];
    let Some(members) = decoder.mapping(&at, node, known) else {
        return (None, None);
    };
    let mut name = None;
    let mut description = None;
    for member in members {
        let at = at.key(&member.key);
        match &*member.key {
            "name" => name = decoder.text(&at, &member.value),
            "description" => description = decoder.text(&at, &member.value),
            _ => {}
        }
    }
    if node.get("name").is_none() {
        decoder.error(
            codes::AG1006,
            &at,
            &node.span,
            "`name` is missing",
            "records and refusals name the policy: `metadata: { name: support-agent }`",
        );
    }
    (name, description)
}

fn mode(
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
        let all = decoder
            .mapping(&at, node, &["all"])
            .and_then(|members| members.first().copied())
            .and_then(|member| decoder.word(&at.key("all"), &member.value, &[("observe", true)]));
        return (Mode::Observe, all.unwrap_or(false));
    }
    (
        decoder.word(&at, node, MODES).unwrap_or(Mode::Enforce),
        false,
    )
}

fn envoy(decoder: &mut Decoder, at: &PolicyPath<'_>, node: Option<&Node>) -> HeaderMode {
    let Some(node) = node else {
        return HeaderMode::Portable;
    };
    let at = at.key("envoy");
    let mut mode = HeaderMode::Portable;
    for member in decoder.mapping(&at, node, &["headers"]).unwrap_or_default() {
        let words = [
            ("portable", HeaderMode::Portable),
            ("hold", HeaderMode::Hold),
        ];
        if let Some(word) = decoder.word(&at.key("headers"), &member.value, &words) {
            mode = word;
        }
    }
    mode
}

fn applies_to(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> AppliesTo {
    let mut applies_to = AppliesTo::default();
    for member in decoder
        .mapping(at, node, &["hosts", "paths", "clusters"])
        .unwrap_or_default()
    {
        let at = at.key(&member.key);
        let globs = decoder.texts(&at, &member.value);
        for glob in globs.iter().flatten() {
            if let Err(what) = super::glob::Glob::parse(glob) {
                decoder.error(codes::AG1013, &at, &member.value.span, &what, "");
            }
        }
        match &*member.key {
            "hosts" => applies_to.hosts = globs,
            "paths" => applies_to.paths = globs,
            _ => applies_to.clusters = globs,
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
    let members = decoder.mapping(at, node, &["value", "from", "otherwise"])?;
    let mut value = None;
    let mut from = None;
    let mut otherwise = None;
    for member in members {
        let text = decoder.text(&at.key(&member.key), &member.value);
        match &*member.key {
            "value" => value = text,
            "from" => from = text.map(|text| (text, member.value.span.clone())),
            _ => otherwise = text,
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

fn defaults(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    root: &Node,
    node: Option<&Node>,
) -> Option<Defaults> {
    let Some(node) = node else {
        decoder.error(
            codes::AG1006,
            at,
            &(root.span.start..root.span.start),
            "`defaults` is missing",
            "say what happens where no rule decides: `defaults: { action: deny }` or `{ action: allow }`",
        );
        return None;
    };
    let at = at.key("defaults");
    let known = &[
        "action",
        "request",
        "tool_call",
        "tool_offer",
        "uninspectable",
        "partial",
    ];
    let members = decoder.mapping(&at, node, known)?;
    let mut found: SortedMap<&str, Default> = SortedMap::new();
    for member in members {
        if let Some(value) = one_default(decoder, &at.key(&member.key), &member.key, &member.value)
        {
            found.insert(&member.key, value);
        }
    }
    let get = |key: &str| found.get(key).copied();
    let both_gates = node.get("request").is_some() && node.get("tool_call").is_some();
    if node.get("action").is_none() && !both_gates {
        decoder.error(
            codes::AG1006,
            &at,
            &node.span,
            "`action` is missing",
            "write `action: deny` or `action: allow`",
        );
        return None;
    }
    let fixed = |action| Default { action, mode: None };
    let action = get("action").unwrap_or(fixed(DefaultAction::Deny));
    Some(Defaults {
        request: get("request").unwrap_or(action),
        tool_call: get("tool_call").unwrap_or(action),
        tool_offer: get("tool_offer").unwrap_or(fixed(DefaultAction::Allow)),
        uninspectable: get("uninspectable").unwrap_or(fixed(DefaultAction::Deny)),
        partial: get("partial").unwrap_or(fixed(DefaultAction::Allow)),
    })
}

fn one_default(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    key: &str,
    node: &Node,
) -> Option<Default> {
    let words: &[(&str, DefaultAction)] = if key == "tool_offer" {
        &[
            ("allow", DefaultAction::Allow),
            ("deny", DefaultAction::Deny),
            ("hide", DefaultAction::Hide),
        ]
    } else {
        &[
            ("allow", DefaultAction::Allow),
            ("deny", DefaultAction::Deny),
        ]
    };
    if let NodeValue::Map(_) = node.data {
        let mut action = None;
        let mut mode = None;
        for member in decoder.mapping(at, node, &["action", "mode"])? {
            let at = at.key(&member.key);
            match &*member.key {
                "action" => action = decoder.word(&at, &member.value, words),
                _ => mode = decoder.word(&at, &member.value, MODES),
            }
        }
        if node.get("action").is_none() {
            decoder.error(codes::AG1006, at, &node.span, "`action` is missing", "");
        }
        return action.map(|action| Default { action, mode });
    }
    decoder
        .word(at, node, words)
        .map(|action| Default { action, mode: None })
}

fn inspect(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Inspect {
    let mut inspect = Inspect::DEFAULT;
    let known = &["max_body", "max_depth", "nested_json", "max_text", "decode"];
    for member in decoder.mapping(at, node, known).unwrap_or_default() {
        let at = at.key(&member.key);
        let value = &member.value;
        match &*member.key {
            "max_body" => {
                if let Some(bytes) = bounded_size(decoder, &at, value, "8MiB") {
                    inspect.max_body = bytes;
                }
            }
            "max_text" => {
                if let Some(bytes) = bounded_size(decoder, &at, value, "4MiB") {
                    inspect.max_text = bytes;
                }
            }
            "decode" => {
                if let Some(decode) = decoder.boolean(&at, value) {
                    inspect.decode = decode;
                }
            }
            "max_depth" => {
                if let Some(depth) = bounded(decoder, &at, value, (1, 512), 64) {
                    inspect.max_depth = depth;
                }
            }
            _ => {
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

fn stream(decoder: &mut Decoder, at: &PolicyPath<'_>, node: Option<&Node>) -> StreamOnDeny {
    let Some(node) = node else {
        return StreamOnDeny::Drain;
    };
    let at = at.key("stream");
    let mut on_deny = StreamOnDeny::Drain;
    for member in decoder.mapping(&at, node, &["on_deny"]).unwrap_or_default() {
        let words = [
            ("drain", StreamOnDeny::Drain),
            ("reset", StreamOnDeny::Reset),
        ];
        if let Some(word) = decoder.word(&at.key("on_deny"), &member.value, &words) {
            on_deny = word;
        }
    }
    on_deny
}

fn audit(decoder: &mut Decoder, at: &PolicyPath<'_>, node: Option<&Node>) -> AuditSettings {
    let mut settings = AuditSettings::default();
    let Some(node) = node else { return settings };
    let at = at.key("audit");
    for member in decoder
        .mapping(&at, node, &["key", "content"])
        .unwrap_or_default()
    {
        let at = at.key(&member.key);
        match &*member.key {
            "key" => {
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
            _ => decoder.error(
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
