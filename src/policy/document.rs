//! Policy document as written: strict reader of all top-level keys.

#[cfg(not(target_arch = "wasm32"))]
use super::approval::Approval;
use super::approval::{self, ApprovalService};
use super::approvers::{self, Approver, ApproverKey};
use super::audit_settings::{self, AuditSettings};
use super::decode::{Decoder, PolicyPath};
use super::defaults::{self, Defaults};
use super::environment::{self, EnvironmentSource};
use super::grammar::{
    API_VERSION, AppliesToKey, AudienceKey, DocumentKey, EnvoyKey, Keys, MetadataKey, ModeKey,
    Role, StreamKey,
};
use super::inspect::{self, Inspect};
#[cfg(not(target_arch = "wasm32"))]
use super::limit::Per;
use super::match_item::{MatchItem, read_match_item};
use super::mode::Mode;
use super::node::{Member, Node, NodeValue};
#[cfg(not(target_arch = "wasm32"))]
use super::principals::SourceKind;
use super::principals::{self, ClientAddress, IdentitySource};
use super::protocols::{self, ProtocolEntry};
use super::words::{HeaderMode, StreamOnDeny};
use super::zones::{self, Zones};
use crate::diag::{Severity, codes};
use crate::policy::rule::{self, Rule};
use crate::wire::letter_case;
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;

/// Maximum documents of a set.
const MAX_MEMBERS: usize = 1_000;

/// Key `applies_to`: globs. A list that is absent matches everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AppliesTo {
    /// Globs over hosts.
    pub hosts: Option<Vec<Box<str>>>,
    /// Globs over paths.
    pub paths: Option<Vec<Box<str>>>,
    /// Globs over the names of Envoy's clusters.
    pub clusters: Option<Vec<Box<str>>>,
}

/// Named list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum List {
    /// List of values.
    Plain(Vec<Node>),
    /// Lists of values by key.
    Keyed(SortedMap<Box<str>, Vec<Node>>),
}

/// Policy document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// `metadata.name`
    pub name: Box<str>,
    /// `metadata.description`
    pub description: Option<Box<str>>,
    /// Mode of everything without a mode of its own.
    pub mode: Mode,
    /// `mode: { all: observe }`: nothing is enforced, whatever the modes of rules.
    pub observe_all: bool,
    /// When request headers are forwarded.
    pub headers: HeaderMode,
    /// Exchanges that the document applies to.
    pub applies_to: AppliesTo,
    /// Source of the environment's name.
    pub environment: EnvironmentSource,
    /// Decisions where no rule decides.
    pub defaults: Defaults,
    /// Whether anonymous requests are denied; `None`: not specified.
    pub requires_identity: Option<bool>,
    /// Identity sources, in the order in which they are tried.
    pub principals: Vec<IdentitySource>,
    /// Source of the client's address.
    pub client_address: ClientAddress,
    /// Limits of inspection.
    pub inspect: Inspect,
    /// Protocols, providers and servers by host and path.
    pub protocols: Vec<ProtocolEntry>,
    /// Treatment of the rest of a stream after a denial.
    pub stream_on_deny: StreamOnDeny,
    /// Whether denials only contain their code.
    pub disclose_code_only: bool,
    /// Keys of approvers.
    pub approvers: Vec<Approver>,
    /// Service that gives approvals.
    pub approval_service: Option<ApprovalService>,
    /// Settings of audit events.
    pub audit: AuditSettings,
    pub(crate) lists: SortedMap<Box<str>, List>,
    /// Key `detectors` as written, because detectors may name lists.
    pub(crate) detectors: Option<Node>,
    /// Time zones that `agentguard build` has looked up.
    pub(crate) zones: Zones,
    pub(crate) rules: Vec<Rule>,
    /// Principals that the document applies to; empty: all.
    pub(crate) audience: Vec<MatchItem>,
    /// Documents of a set, by name. They decide; the set itself only has what applies to all of them.
    pub(crate) members: Vec<Document>,
    /// Policy that is evaluated and recorded in addition to this one, and never enforced.
    pub(crate) shadow: Option<Box<Document>>,
}

impl Document {
    /// Returns the documents that decide, each on its own.
    pub(crate) fn deciding(&self) -> &[Document] {
        match self.members.as_slice() {
            [] => std::slice::from_ref(self),
            members => members,
        }
    }

    /// Returns the roles of an approval without a key in `approvers`. The result is also empty if the approval names no
    /// role.
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

    /// Returns the sources that take the agent from a header, with their numbers.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn claimed_agents(&self) -> impl Iterator<Item = (usize, &IdentitySource)> {
        let names_agent = |source: &IdentitySource| match &source.kind {
            SourceKind::Header(header) => header.members.iter().any(|(name, _)| **name == *"agent"),
            _ => false,
        };
        let sources = self.principals.iter().enumerate();
        sources.filter(move |(_, source)| names_agent(source))
    }

    /// Returns whether a decision depends on the client's address: a limit counts it, a trusted proxy is known by it, or `client_address`
    /// says where it comes from.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn asks_for_address(&self) -> bool {
        let trusts_address = |source: &IdentitySource| match &source.kind {
            SourceKind::Header(header) => !header.networks.is_empty(),
            _ => false,
        };
        let counts_address = |document: &Document| {
            let mut limits = document.rules.iter().filter_map(|rule| rule.limit.as_ref());
            limits.any(|limit| limit.counters().contains(&Per::Address))
        };
        self.client_address != ClientAddress::Direct
            || self.principals.iter().any(trusts_address)
            || self.deciding().iter().any(counts_address)
            || self
                .shadow
                .as_deref()
                .is_some_and(Document::asks_for_address)
    }

    /// Returns whether a source of principals reads the claims of a token.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn reads_tokens(&self) -> bool {
        let reads = |source: &IdentitySource| matches!(source.kind, SourceKind::Jwt(_));
        self.principals.iter().any(reads)
    }

    /// Returns the environment variables that the filter needs, each once: Envoy does not start with one that is named twice.
    pub fn secret_names(&self) -> Vec<&str> {
        let environment = match &self.environment {
            EnvironmentSource::Variable { name, .. } => Some(&**name),
            _ => None,
        };
        let all = self
            .audit
            .key
            .as_deref()
            .into_iter()
            .chain(environment)
            .chain(self.key_variables())
            .chain(self.approver_variables());
        let mut names = Vec::new();
        for name in all {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns the environment variables that contain API keys.
    pub fn key_variables(&self) -> impl Iterator<Item = &str> {
        principals::key_variables(&self.principals)
    }

    /// Returns the environment variables that contain shared secrets of approvers.
    pub fn approver_variables(&self) -> impl Iterator<Item = &str> {
        let keys = self.approvers.iter().map(|approver| &approver.key);
        keys.filter_map(|key| match key {
            ApproverKey::Hmac(name) => Some(&**name),
            ApproverKey::Ed25519(_) => None,
        })
    }
}

/// Reads a document. Parts that can't be read are missing from it: it may be used only if no error was reported.
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
        // Return at once: errors about keys that are unknown in a policy would mislead.
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

/// Reads a document in its role; `usual` is the mode of everything without one.
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
            Some(value) => defaults::read(decoder, &at.key("defaults"), value),
            None => {
                let message = "`defaults` is missing";
                let help = "say what happens where no rule decides: `defaults: { action: deny }` or `{ action: allow }`";
                let start = root.span.start..root.span.start;
                decoder.error(codes::AG1006, at, &start, message, help);
                None
            }
        },
    };
    // A set is enforced if one of its documents is.
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
        client_address: ClientAddress::default(),
        inspect: Inspect::DEFAULT,
        protocols: Vec::new(),
        stream_on_deny: StreamOnDeny::Drain,
        disclose_code_only: false,
        approvers: Vec::new(),
        approval_service: None,
        audit: AuditSettings::DEFAULT,
        lists: SortedMap::new(),
        detectors: None,
        zones: Zones::default(),
        rules: Vec::new(),
        audience: Vec::new(),
        members: parts,
        shadow: None,
    };
    let mut is_service_named = false;
    for (key, member) in &members {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            // These keys are read above, because others depend on them.
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
            DocumentKey::ClientAddress => {
                if let Some(address) = principals::read_address(decoder, &at, value) {
                    document.client_address = address;
                }
            }
            DocumentKey::Envoy => document.headers = envoy(decoder, &at, value),
            DocumentKey::AppliesTo => document.applies_to = applies_to(decoder, &at, value),
            DocumentKey::Environment => {
                if let Some(source) = environment::read(decoder, &at, value) {
                    document.environment = source;
                }
            }
            DocumentKey::Require => {
                let words = [("identity", true), ("none", false)];
                document.requires_identity = decoder.word(&at, value, &words);
            }
            DocumentKey::Inspect => document.inspect = inspect::read(decoder, &at, value),
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
            DocumentKey::Approvers => {
                document.approvers = approvers::read_all(decoder, &at, value);
            }
            DocumentKey::ApprovalService => {
                document.approval_service = approval::read_service(decoder, &at, value);
                is_service_named = true;
            }
            DocumentKey::Audit => document.audit = audit_settings::read(decoder, &at, value),
            DocumentKey::Zones => {
                document.zones = zones::read(decoder, &at, value).unwrap_or_default();
            }
        }
    }
    if matches!(role, Role::Alone | Role::Set) && defaults.is_some() {
        settle_identity(decoder, &document, at);
        if !is_service_named {
            require_service(decoder, &document, at);
        }
    }
    defaults.map(|_| document)
}

/// Reports rules that use the approval service if none is configured.
fn require_service(decoder: &mut Decoder, document: &Document, at: &PolicyPath<'_>) {
    let asks = |rule: &&Rule| {
        let approval = rule.approval.as_deref();
        approval.is_some_and(|approval| approval.wait.is_some() || approval.notify)
    };
    let rules = document.deciding().iter().flat_map(|part| &part.rules);
    for rule in rules.filter(asks) {
        let message = format!(
            "rule `{}` asks the approval service, and none is named",
            rule.id
        );
        let help = "name a cluster of Envoy's: `approval_service: { cluster: approvals }`";
        decoder.error(
            codes::AG1006,
            &at.key("approval_service"),
            &rule.span,
            &message,
            help,
        );
    }
}

/// Reads `for: { tenant: acme }`.
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

/// Reads `policies` of a set. Returns the documents by name, so that their order in the policy can't matter.
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
        // A rule `c` of a document `a/b` has the name of a rule `b/c` of a document `a`.
        let is_in = |a: &str, b: &str| {
            let rest = a.strip_prefix(b);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let name = &*document.name;
        if let Some(other) = documents
            .iter()
            .find(|other| is_in(name, &other.name) || is_in(&other.name, name))
        {
            let message = format!(
                "rules of documents `{}` and `{name}` have one name",
                other.name
            );
            let help = "records name a rule by its document and its id";
            decoder.error(codes::AG1008, &at, &item.span, &message, help);
        }
        documents.push(document);
    }
    sort::sort_by(&mut documents, |a, b| a.name.cmp(&b.name));
    documents
}

/// Returns the top-level members. The members inside of `spec:` are added to them.
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
                        "`{}` is not inside `spec`, or is outside as well",
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

/// Returns the members whose keys are allowed here. For keys that are allowed elsewhere, the error says where.
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
                () => "it is at the top, where it applies to everything",
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

/// Reads `mode`, and whether it overrides all other modes; `usual` is the mode without the key.
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
        let globs = decoder.names(&at, &member.value);
        for glob in globs.iter().flatten() {
            if let Err(what) = super::glob::Glob::parse(&letter_case::lower(glob)) {
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

fn stream(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> StreamOnDeny {
    let mut on_deny = None;
    for (StreamKey::OnDeny, member) in decoder.keys(at, node).into_iter().flatten() {
        let at = at.key(&member.key);
        on_deny = decoder.one_of(&at, &member.value);
    }
    on_deny.unwrap_or(StreamOnDeny::Drain)
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

/// Reports rules and documents that depend on the caller if the policy does not specify how anonymous requests are treated.
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
            asking = Some((asks, item.field_ref.span.clone()));
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
