//! Grammar of a policy: every mapping with its keys, declared once.
//!
//! A row is `Variant = "name"`, the roles of the documents that may have the key, and for a required key the help if it is
//! missing. Then follows what only the command line needs: description, value type and merge. The rows of a mapping become
//! an enum, whose variants the reader matches one by one, so that it forgets no key. Outside of the filter they also become
//! [`Key`]s, from which the JSON Schema, `extends` and the tables of `docs/policy.md` are made.

#[cfg(not(target_arch = "wasm32"))]
use super::mode::Mode;
#[cfg(not(target_arch = "wasm32"))]
use super::words::{Action, ContentForm, Counted, DefaultAction, HeaderMode, OnDeny, StreamOnDeny};
#[cfg(not(target_arch = "wasm32"))]
use crate::event::{Author, Kind, PROTOCOL_NAMES, Part, Replacement, Turn, Words};

/// Value of `apiVersion` in documents of this language.
pub const API_VERSION: &str = "agentguard.dev/v1";

/// Maximum sources of `principals`. Each may query Envoy for properties of every request.
pub(crate) const MAX_SOURCES: usize = 16;

/// Maximum keys of a source. Each is compared with the key in a request.
pub(crate) const MAX_KEYS: usize = 10_000;

/// Maximum proxies between a client and Envoy.
pub(crate) const MAX_HOPS: u64 = 16;

/// Keys of one mapping.
pub(crate) trait Keys: Copy + 'static {
    /// All keys.
    const ALL: &'static [Self];
    /// Names of the keys, in the same order.
    const NAMES: &'static [&'static str];
    /// Names of required keys, each with the help if it is missing.
    const REQUIRED: &'static [(&'static str, &'static str)];
    /// Roles of the documents that may have each key, in the same order.
    const ROLES: &'static [&'static [Role]];
    /// Declarations of the keys, in the same order.
    #[cfg(not(target_arch = "wasm32"))]
    const MAPPING: &'static [Key];

    /// Returns the key with this name.
    fn of(name: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        Self::ALL.get(at).copied()
    }
}

/// Role of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Single policy.
    Alone,
    /// Set of documents.
    Set,
    /// Document of a set.
    Member,
    /// Policy in addition to another one, only recorded.
    Shadow,
}

/// Declaration of a key.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub struct Key {
    /// Name of the key.
    pub name: &'static str,
    /// Description in Markdown; links are relative to `docs/`.
    pub about: &'static str,
    /// Type of its value.
    pub value: ValueType,
    /// Whether the key is required.
    pub is_required: bool,
    /// How the key is merged where one document extends another; `None` in mappings that are not merged key by key.
    pub merge: Option<Merge>,
}

/// Type of a key's value.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub enum ValueType {
    /// Text.
    Text,
    /// Text of a certain form: an example, and a regular expression.
    Form(&'static str, &'static str),
    /// Text, or a list of texts.
    Texts,
    /// Texts, numbers, or the name of a list.
    Listed,
    /// Boolean.
    Boolean,
    /// Only `false`; `true` is the default.
    False,
    /// Whole number: minimum and maximum.
    Whole(u64, u64),
    /// Number.
    Number,
    /// Number of bytes.
    Size,
    /// Time span.
    Seconds,
    /// Date and time.
    Moment,
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these words, alone or with a mode: `{ action, mode }`.
    Default(&'static [&'static str]),
    /// Names to compare with: one, several, or globs. If names are listed, no others exist.
    Names(&'static [&'static str]),
    /// Mapping with these keys.
    Mapping(&'static [Key]),
    /// One of several types.
    Either(&'static [ValueType]),
    /// List.
    List(&'static ValueType),
    /// List with a minimum and a maximum of items.
    ListOf(usize, usize, &'static ValueType),
    /// Mapping of any names to values of this type.
    Named(&'static ValueType),
    /// Condition.
    Condition,
    /// Named lists.
    Lists,
    /// Named detectors.
    Detectors,
    /// Mapping that is not described further.
    Object,
    /// Any value.
    Any,
}

/// How a key is merged where one document extends another, its base.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy, Debug)]
pub enum Merge {
    /// The base's value is ignored: it describes the base itself.
    Own,
    /// The key is an error in a base: only the outermost document may have it.
    Outermost,
    /// This word, the stricter one, applies if one of both has it.
    Stricter(&'static str),
    /// Key by key.
    Members,
    /// By name; each may be defined only once.
    ByName,
    /// By `id`; each may be defined only once, unless the base has `overridable: true`.
    Rules,
    /// The base's entries come before the own ones. The first matching entry applies.
    BaseFirst,
    /// Enforced if one of both is enforced.
    Mode,
    /// The stricter of each.
    Defaults,
    /// The union: whatever one of both applies to.
    Scope,
    /// Both must be equal.
    Audience,
}

/// Maximum of a count.
#[cfg(not(target_arch = "wasm32"))]
const MAX_COUNT: u64 = u32::MAX as u64;

/// Actions of a default that can't hide anything.
#[cfg(not(target_arch = "wasm32"))]
const GATE_WORDS: &[&str] = &["allow", "deny"];

/// Hash of a key.
#[cfg(not(target_arch = "wasm32"))]
const SHA256: ValueType = ValueType::Form("HASH", "^(sha256:)?[0-9A-Fa-f]{64}$");

/// Claim of a token, with or without its type.
#[cfg(not(target_arch = "wasm32"))]
const CLAIM: ValueType =
    ValueType::Either(&[ValueType::Texts, ValueType::Mapping(ClaimKey::MAPPING)]);

/// Public key of an approver.
#[cfg(not(target_arch = "wasm32"))]
const PUBLIC_KEY: ValueType = ValueType::Form("ed25519:BASE64", "^ed25519:[A-Za-z0-9+/_-]{43}=?$");

/// Key of an approver, with or without its holder.
#[cfg(not(target_arch = "wasm32"))]
const APPROVER: ValueType =
    ValueType::Either(&[PUBLIC_KEY, ValueType::Mapping(ApproverMemberKey::MAPPING)]);

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $name:ident { $(
        $key:ident = $word:literal $(in $($role:ident)|+)? $(required $help:literal)?
            => $about:literal, $value:expr $(, $merge:expr)?;
    )+ })+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($key,)+ }

        impl Keys for $name {
            const ALL: &'static [$name] = &[$($name::$key,)+];
            const NAMES: &'static [&'static str] = &[$($word,)+];
            const REQUIRED: &'static [(&'static str, &'static str)] = &[$($(($word, $help),)?)+];
            const ROLES: &'static [&'static [Role]] = &[$(&[$($(Role::$role,)+)?],)+];
            #[cfg(not(target_arch = "wasm32"))]
            const MAPPING: &'static [Key] = {
                use ValueType::*;
                &[$(Key {
                    name: $word,
                    about: $about,
                    value: $value,
                    is_required: { let help: &[&str] = &[$($help)?]; !help.is_empty() },
                    merge: { let merge: &[Merge] = &[$($merge)?]; merge.first().copied() },
                },)+]
            };
        }
    )+ };
}

keys! {
    /// Keys of a document.
    DocumentKey {
        ApiVersion = "apiVersion" in Alone | Set | Member
            => "The version of the policy language.", Words(&[API_VERSION]), Merge::Own;
        Kind = "kind" in Alone | Set | Member
            => "A policy, or a set of policies.", Words(&["AgentPolicy", "AgentPolicySet"]), Merge::Own;
        Metadata = "metadata" in Alone | Set | Member | Shadow
            => "What the policy is called.", Mapping(MetadataKey::MAPPING), Merge::Own;
        Spec = "spec" in Alone | Set | Member => "Optional: all keys below may be inside.", Object, Merge::Own;
        Mode = "mode" in Alone | Set | Member
            => "Whether decisions are enforced or only recorded (`would`). The mode of a rule or a default overrides the \
            document's; `{ all: observe }` overrides all of them.",
            Either(&[Words(Mode::WORDS), Mapping(ModeKey::MAPPING)]), Merge::Mode;
        Envoy = "envoy" in Alone | Set => "How Envoy runs the filter.", Mapping(EnvoyKey::MAPPING), Merge::Outermost;
        AppliesTo = "applies_to" in Alone | Member | Shadow
            => "Which exchanges are evaluated; others have the coverage `ignored`. A list that is absent matches \
            everything.", Mapping(AppliesToKey::MAPPING), Merge::Scope;
        Environment = "environment" in Alone | Set
            => "The environment: its name, or where its name comes from.",
            Either(&[Text, Mapping(EnvironmentKey::MAPPING)]), Merge::Outermost;
        Defaults = "defaults" in Alone | Member | Shadow
            => "Decisions without a matching rule; required ([below](#defaults)).",
            Mapping(DefaultsKey::MAPPING), Merge::Defaults;
        Require = "require" in Alone | Set
            => "How to treat unauthenticated requests: deny them, or evaluate them with unknown principal fields. Rules \
            on the caller require one of the two.", Words(&["identity", "none"]), Merge::Stricter("identity");
        Inspect = "inspect" in Alone | Set => "Inspection limits.", Mapping(InspectKey::MAPPING), Merge::Outermost;
        Lists = "lists" in Alone | Member | Shadow
            => "Lists of values, used as `{ list: NAME }`. With keys: `{ NAME: { KEY: [values] } }`, used as `{ list: \
            NAME, key: PATH }`. In a file: `{ NAME: { file: domains.txt } }`.", Lists, Merge::ByName;
        Detectors = "detectors" in Alone | Member
            => "Custom detectors, and exceptions from built-in ones (`allow`): [detectors.md](detectors.md).",
            Detectors, Merge::ByName;
        Rules = "rules" in Alone | Member | Shadow
            => "[Rules](#rules); they have no order.", List(&Mapping(RuleKey::MAPPING)), Merge::Rules;
        For = "for" in Alone | Member | Shadow
            => "The document only applies to this principal.", Mapping(AudienceKey::MAPPING), Merge::Audience;
        Extends = "extends" in Alone | Set | Member
            => "Base documents, merged by `build`. The stricter scalar applies. A duplicate definition is an error unless \
            the base has `overridable: true`.", Texts, Merge::Own;
        Shadow = "shadow" in Alone | Set
            => "A second policy, evaluated and recorded, never enforced.", Any, Merge::Outermost;
        Protocols = "protocols" in Alone | Set
            => "Configuration that requests don't contain: [protocols.md](protocols.md).",
            List(&Mapping(ProtocolKey::MAPPING)), Merge::BaseFirst;
        Principals = "principals" in Alone | Set
            => "The sources that say who is asking; the first one that finds its credential decides: \
            [identity.md](identity.md).", ListOf(1, MAX_SOURCES, &Mapping(SourceKey::MAPPING)), Merge::Outermost;
        ClientAddress = "client_address" in Alone | Set
            => "Whose address a request comes from: the connection's peer, or the one that the outermost of so many \
            trusted proxies wrote into `x-forwarded-for`: [identity.md](identity.md). Absent: `direct`.",
            Either(&[Words(&["direct"]), Mapping(AddressKey::MAPPING)]), Merge::Outermost;
        Stream = "stream" in Alone | Set => "Streamed responses.", Mapping(StreamKey::MAPPING), Merge::Members;
        Disclose = "disclose" in Alone | Set
            => "The content of denials.", Words(&["all", "code"]), Merge::Stricter("code");
        Approvers = "approvers" in Alone | Set
            => "The keys of those who [approve](approvals.md), by role: one or a list.",
            Named(&Either(&[APPROVER, List(&APPROVER)])), Merge::ByName;
        ApprovalService = "approval_service" in Alone | Set
            => "The service that is asked for [approvals](approvals.md#how-does-a-call-wait-for-its-approval), or told \
            of them, by rules with `approval.wait` or `approval.notify`.",
            Mapping(ApprovalServiceKey::MAPPING), Merge::Outermost;
        Audit = "audit" in Alone | Set => "Audit events.", Mapping(AuditKey::MAPPING), Merge::Outermost;
        Zones = "zones" in Alone | Set
            => "Added by `build` if rules name time zones.", Mapping(ZonesKey::MAPPING), Merge::Own;
        Policies = "policies" in Set => "The documents of an `AgentPolicySet`.", List(&Object), Merge::Own;
    }

    /// Keys of `metadata`.
    MetadataKey {
        Name = "name" required "audit events and denials name the policy: `metadata: { name: support-agent }`"
            => "The name of the policy in audit events and denials.", Text;
        Description = "description" => "For people.", Text;
        Labels = "labels" => "For other tools.", Object;
        Annotations = "annotations" => "For other tools.", Object;
        Namespace = "namespace" => "For other tools.", Text;
    }

    /// Keys of `mode: { all: observe }`.
    ModeKey {
        All = "all" required "write `mode: observe`, or `mode: { all: observe }`"
            => "Nothing is enforced, whatever rules and defaults have.", Words(&["observe"]);
    }

    /// Keys of `envoy`.
    EnvoyKey {
        Headers = "headers"
            => "Whether request headers are forwarded at once or held until the body is evaluated; `hold` needs \
            `allow_on_headers_stop_iteration: true` in the plugin.", Words(HeaderMode::WORDS);
    }

    /// Keys of `applies_to`.
    AppliesToKey {
        Hosts = "hosts" => "Globs over hosts.", Texts;
        Paths = "paths" => "Globs over paths.", Texts;
        Clusters = "clusters"
            => "Globs over the names of Envoy's clusters. A request that is routed again, from a cluster that no policy \
             governs to one of these, is denied (AG2012); from the cluster of one policy to that of another it has \
             been evaluated by the first.", Texts;
    }

    /// Keys of `environment`.
    EnvironmentKey {
        Value = "value" => "Its name.", Text;
        From = "from"
            => "The source of its name: Envoy's node metadata, the principal, or an environment variable.",
            Form("node | principal | env:NAME", "^(node|principal|env:.+)$");
        Otherwise = "otherwise" => "Its name if there is none.", Text;
    }

    /// Keys of `defaults`.
    DefaultsKey {
        Action = "action"
            => "Requests and tool calls. Required, unless `request` and `tool_call` are set.", Default(GATE_WORDS);
        Request = "request" => "The request as a whole. Absent: as `action`.", Default(GATE_WORDS);
        ToolCall = "tool_call" => "A tool call. Absent: as `action`.", Default(GATE_WORDS);
        ToolOffer = "tool_offer"
            => "A tool definition; `hide` removes definitions whose calls would never be allowed. Absent: `allow`.",
            Default(DefaultAction::WORDS);
        Uninspectable = "uninspectable"
            => "Content that could not be inspected (`AG2…`). `allow` only applies to content that is really unreadable: \
            on a known path, a JSON body, and a response that is JSON or a stream, is always inspected, whatever its \
            content type and encoding claim. Absent: `deny`.", Default(GATE_WORDS);
        Partial = "partial"
            => "Opaque content of an inspected body: an image, a signature. Absent: `allow`.", Default(GATE_WORDS);
    }

    /// Keys of a default with its own mode: `{ action: deny, mode: observe }`.
    DefaultKey {
        Action = "action" required "" => "The decision.", Words(DefaultAction::WORDS);
        Mode = "mode" => "Whether it is enforced or only recorded.", Words(Mode::WORDS);
    }

    /// Keys of `inspect`.
    InspectKey {
        MaxBody = "max_body"
            => "The largest body, `64` bytes to `256MiB`; a larger one is denied. Absent: `8MiB`.", Size;
        MaxDepth = "max_depth" => "The deepest nesting of JSON. Absent: `64`.", Whole(1, 512);
        NestedJson = "nested_json" => "How many strings deep JSON in strings is inspected. Absent: `4`.", Whole(0, 16);
        MaxText = "max_text"
            => "The most text that detectors search in one exchange, `64` bytes to `256MiB`. Absent: `4MiB`.", Size;
        Decode = "decode" => "Whether detectors search encoded text.", Boolean;
    }

    /// Keys of `for`.
    AudienceKey {
        Client = "client" => "The client.", Names(&[]);
        Tenant = "tenant" => "The tenant.", Names(&[]);
        Agent = "agent" => "The agent.", Names(&[]);
        Role = "role" => "A role.", Names(&[]);
    }

    /// Keys of `client_address`.
    AddressKey {
        XffHops = "xff_hops" required "the number of trusted proxies in front of this one: `xff_hops: 1`"
            => "The number of trusted proxies in front of this one.", Whole(1, MAX_HOPS);
    }

    /// Keys of a source of `principals`.
    SourceKey {
        Name = "name" required "audit events name the source: `name: key`"
            => "The name of the source in audit events and metrics.", Form("NAME", "^[A-Za-z0-9._-]{1,64}$");
        ApiKey = "api_key" => "API keys, as hashes.", Mapping(ApiKeyKey::MAPPING);
        Jwt = "jwt" => "Claims of a token that Envoy's `jwt_authn` has verified.", Mapping(JwtKey::MAPPING);
        Mtls = "mtls" => "The client certificate that Envoy has verified.", Mapping(MtlsKey::MAPPING);
        Header = "header" => "Headers that a trusted proxy sets.", Mapping(HeaderKey::MAPPING);
        Combine = "combine" => "Sources whose members are added.", Texts;
    }

    /// Keys of `api_key`.
    ApiKeyKey {
        Header = "header"
            required "for example `header: x-agent-key`, or `header: authorization` for `Bearer KEY`"
            => "The headers that carry a key.", Texts;
        Prefix = "prefix" => "The word before the key. Absent: `Bearer` for `authorization`.", Text;
        StartsWith = "starts_with"
            => "The beginning of every key of this source; other values are left to other sources.", Text;
        Keys = "keys" required "`agentguard keygen` makes a key and prints its entry"
            => "The keys.", ListOf(0, MAX_KEYS, &Mapping(KeyKey::MAPPING));
        Revoked = "revoked" => "Keys that are no longer valid.", Either(&[SHA256, List(&SHA256)]);
    }

    /// Keys of an API key.
    KeyKey {
        Sha256 = "sha256" => "SHA-256 of the key.", SHA256;
        Env = "env" => "The environment variable of the proxy that holds the key.", Text;
        File = "file" => "A file that holds the key; `agentguard build` writes its hash.", Text;
        Id = "id" => "The user or service account.", Text;
        Agent = "agent" => "The agent.", Text;
        Client = "client" => "The client application.", Text;
        Tenant = "tenant" => "The tenant.", Text;
        Roles = "roles" => "The roles.", Texts;
        Ticket = "ticket" => "`principal.ticket`.", Text;
        Environment = "environment" => "For `environment: { from: principal }`.", Text;
        Claims = "claims" => "Further members: `principal.NAME`.", Named(&Texts);
        NotBefore = "not_before" => "The key is valid from then on.", Moment;
        NotAfter = "not_after" => "The key is valid until then.", Moment;
    }

    /// Keys of `jwt`.
    JwtKey {
        Payload = "payload" required "it is `payload_in_metadata` of the provider in Envoy's `jwt_authn`"
            => "`payload_in_metadata` of the provider in `jwt_authn`.", Text;
        Failed = "failed" => "Its `failed_status_in_metadata`.", Text;
        Issuer = "issuer" => "Who may have issued the token.", Texts;
        Id = "id" => "The user or service account.", CLAIM;
        Agent = "agent" => "The agent.", CLAIM;
        Client = "client" => "The client application.", CLAIM;
        Tenant = "tenant" => "The tenant.", CLAIM;
        Roles = "roles" => "The roles.", CLAIM;
        Ticket = "ticket" => "`principal.ticket`.", CLAIM;
        Environment = "environment" => "For `environment: { from: principal }`.", CLAIM;
        Claims = "claims" => "Further members: `principal.NAME`.", Named(&CLAIM);
    }

    /// Keys of a claim with its type.
    ClaimKey {
        Claim = "claim" required "" => "A claim: `org.id`, or a list of names where names have dots.", Texts;
        Type = "type" => "Its type.", Words(&["text", "words", "number", "boolean"]);
    }

    /// Keys of `mtls`.
    MtlsKey {
        UriSan = "uri_san" => "Patterns of the first URI SAN: `spiffe://*/ns/{tenant}/sa/{agent}`.", Texts;
        DnsSan = "dns_san" => "Patterns of the first DNS SAN: `{agent}.agents.example.com`.", Texts;
        Subject = "subject" => "Patterns of the subject: `CN={client},O=Acme`.", Texts;
    }

    /// Keys of `header`.
    HeaderKey {
        Id = "id" => "The user or service account.", Text;
        Agent = "agent" => "The agent.", Text;
        Client = "client" => "The client application.", Text;
        Tenant = "tenant" => "The tenant.", Text;
        Roles = "roles" => "The roles.", Text;
        Ticket = "ticket" => "`principal.ticket`.", Text;
        Environment = "environment" => "For `environment: { from: principal }`.", Text;
        Claims = "claims" => "Further members: `principal.NAME`.", Named(&Text);
        Trusted = "trusted"
            required "any client could send these headers: name the proxies that may, `trusted: [10.0.0.0/8]` or a SPIFFE id"
            => "The proxies that may set these headers: addresses, networks and SPIFFE ids.", Texts;
    }

    /// Keys of `stream`.
    StreamKey {
        OnDeny = "on_deny"
            => "The remaining stream after a denial.", Words(StreamOnDeny::WORDS), Merge::Stricter("reset");
    }

    /// Keys of a key of `approvers`.
    ApproverMemberKey {
        Key = "key" => "An Ed25519 public key; `agentguard keygen --approver ROLE` writes it.", PUBLIC_KEY;
        Hmac = "hmac"
            => "The environment variable that holds a shared secret. Whoever verifies with it can approve with it.",
            Form("env:NAME", "^env:.+");
        Principal = "principal" => "Who holds the key. A principal never approves its own requests.", Text;
    }

    /// Keys of `approval_service`.
    ApprovalServiceKey {
        Cluster = "cluster" required "name a cluster of Envoy's: `approval_service: { cluster: approvals }`"
            => "The Envoy cluster that it runs behind.", Text;
        Path = "path" => "The path of the request. Absent: `/`.", Form("/approvals", "^/[!-~]*$");
        Authority = "authority" => "The host that the request names. Absent: the cluster's name.",
            Form("approvals.example.com", "^[!-~]+$");
    }

    /// Keys of `audit`.
    AuditKey {
        Key = "key" => "The environment variable with the MAC key of audit events.", Form("env:NAME", "^env:.+");
        Content = "content"
            => "What audit events have of [messages, tool arguments, results and answers](audit.md#content). Absent: `none`.",
            Words(ContentForm::WORDS);
        MaxContent = "max_content"
            => "The most content of a request, and of a response, `64` bytes to `256KiB`. Absent: `4KiB`.", Size;
    }

    /// Keys of `audit` in a rule.
    RuleAuditKey {
        Content = "content" required "say how much content audit events have: `audit: { content: redacted }`"
            => "The [content](audit.md#content) of exchanges that the rule matches, instead of the policy's. Of several rules \
            that match, the one with the least content decides.", Words(ContentForm::WORDS);
    }

    /// Keys of `zones`.
    ZonesKey {
        Database = "database" => "The version of the IANA database.", Text;
        Horizon = "horizon" => "The year from which on offsets are unknown.", Whole(1970, 9999);
        Offsets = "offsets"
            => "For each time zone, pairs of a second since 1970 and the offset from UTC from then on.", Object;
    }

    /// Keys of an entry of `protocols`.
    ProtocolKey {
        Hosts = "hosts" => "Globs over the host, without its port.", Texts;
        Paths = "paths" => "A path and everything below it, in any letter case; or a glob over the whole path.", Texts;
        Protocol = "protocol"
            => "The protocol of bodies there, whatever they look like: a name in [coverage.md](coverage.md). Absent: as \
            recognised.", Words(PROTOCOL_NAMES);
        Provider = "provider" => "The name of the provider in rules and audit events.", Text;
        Server = "server" => "The name of the MCP server in rules and audit events, without `/`.", Text;
        Read = "read" => "For `generic`: the JSON paths of the content.", Mapping(ReadKey::MAPPING);
    }

    /// Keys of `read` in an entry of `protocols`.
    ReadKey {
        Models = "models" => "Values of `model`.", Texts;
        Texts = "texts"
            => "`message` events by the user in a request, `response` events in a response; can be redacted.", Texts;
        Ids = "ids" => "Only searched for unmistakable secrets.", Texts;
        Calls = "calls" => "Tool calls.", Either(&[Mapping(CallKey::MAPPING), List(&Mapping(CallKey::MAPPING))]);
    }

    /// Keys of a tool call in `read`.
    CallKey {
        At = "at" required "a call looks like `{ at: \"$.actions[*]\", name: tool, args: input }`"
            => "The path of the call: `$.ticket.actions[*]`.", Text;
        Name = "name" required "a call looks like `{ at: \"$.actions[*]\", name: tool, args: input }`"
            => "The path of its tool's name, within the call.", Text;
        Args = "args" => "The path of its arguments, within the call.", Text;
    }

    /// Keys of a custom detector.
    DetectorKey {
        Pattern = "pattern" => "Regular expressions.", Texts;
        Keywords = "keywords" => "Words that are findings.", Listed;
        Context = "context" => "Words that make a finding near them certain.", Listed;
        Validator = "validator" => "A check of the matched text.", Text;
        Confidence = "confidence" => "How certain a finding is.", Words(&["low", "medium", "high"]);
        Allow = "allow" => "What is no finding.", Listed;
        Groups = "groups" => "The groups that it belongs to.", Texts;
        Reach = "reach" => "How many characters of a stream are held back for it.", Whole(1, 65_536);
        Description = "description" => "For people.", Text;
    }

    /// Keys of an exception from a built-in detector or group.
    ExceptionKey {
        Allow = "allow" => "What is no finding.", Listed;
        Description = "description" => "For people.", Text;
    }

    /// Keys of a rule.
    RuleKey {
        Id = "id" required "audit events and denials name the rule by it"
            => "Unique; audit events and denials contain it.", Text;
        Description = "description" => "For people.", Text;
        Mode = "mode" => "The mode of this rule.", Words(Mode::WORDS);
        Match = "match"
            => "The events that the rule applies to: a value, a list, or a glob for each key; cheap to evaluate.",
            Mapping(MatchKey::MAPPING);
        When = "when" => "The [conditions](#conditions) that must match.", Condition;
        Unless = "unless" => "Exceptions: the rule doesn't match if these conditions do.", Condition;
        IfMissing = "if_missing" => "Whether a deny-side rule matches a missing value.", Words(&["apply", "skip"]);
        Action = "action" required "one of `allow`, `deny`, `require_approval`, `redact`, `tag`"
            => "The effect of the rule.", Words(Action::WORDS);
        Reason = "reason" => "The reason, for a denied caller.", Text;
        Remedy = "remedy" => "The alternative, for a denied caller.", Text;
        Tags = "tags" => "Tags in the audit event.", Texts;
        OnDeny = "on_deny"
            => "The treatment of a denied part of a response; `hide` for a tool definition.", Words(OnDeny::WORDS);
        Redact = "redact" => "Form and content of a [redaction](#redaction).", Mapping(RedactKey::MAPPING);
        Approval = "approval"
            => "Who may [approve](approvals.md), for how long, bound to which values, and what the approver reads.",
            Mapping(ApprovalKey::MAPPING);
        Limit = "limit"
            => "The rule matches once the limit is exceeded: [limits.md](limits.md).", Mapping(LimitKey::MAPPING);
        Audit = "audit" => "What [audit events](audit.md) have of exchanges that the rule matches.",
            Mapping(RuleAuditKey::MAPPING);
        Trust = "trust" => "The exemption may depend only on values supplied by the client.", Words(&["claimed"]);
        Overridable = "overridable" => "A document that extends this one may redefine the rule.", Boolean;
        Examples = "examples"
            => "Cases that `validate` and `test` run: `{ call: \"refund {amount: 5}\", expect: allow }`.",
            List(&Object);
    }

    /// Keys of `match`.
    MatchKey {
        Event = "event" => "The kind of [event](#events).", Names(Kind::WORDS);
        Tool = "tool" => "The tool.", Names(&[]);
        Model = "model" => "The model.", Names(&[]);
        Provider = "provider" => "Who serves the model.", Names(&[]);
        Protocol = "protocol" => "The protocol.", Names(&[]);
        Server = "server" => "The MCP server.", Names(&[]);
        Host = "host" => "The host, without its port.", Names(&[]);
        Path = "path" => "The path of the request.", Names(&[]);
        Method = "method" => "The method of HTTP or JSON-RPC.", Names(&[]);
        Environment = "environment" => "The environment.", Names(&[]);
        Client = "client" => "The client.", Names(&[]);
        Tenant = "tenant" => "The tenant.", Names(&[]);
        Agent = "agent" => "The agent.", Names(&[]);
        Role = "role" => "A role of the principal.", Names(&[]);
        From = "from" => "The author of a text.", Names(Author::WORDS);
        Turn = "turn" => "Whether a call belongs to the latest turn.", Names(Turn::WORDS);
        Part = "part" => "The part of a message or response that a text is.", Names(Part::WORDS);
        Code = "code" => "The code of what could not be inspected.", Names(&[]);
    }

    /// Keys of `redact`.
    RedactKey {
        With = "with" => "The replacement. Absent: `label`.", Words(Replacement::WORDS);
        Label = "label" => "The label, or `numbered`.", Text;
        What = "what" => "The path of the field that is replaced.", Text;
        Restore = "restore" => "Tools in whose arguments pseudonyms are restored.", Texts;
        Require = "require" => "Denies (AG3005) instead of writing a label.", Words(&["pseudonym"]);
        Store = "store" => "Asks the provider not to store the conversation.", False;
    }

    /// Keys of `approval`.
    ApprovalKey {
        By = "by" => "Roles of those who may approve.", Texts;
        Needed = "needed" => "How many have to approve. Absent: 1.", Whole(1, MAX_COUNT);
        ValidFor = "valid_for" => "How long an approval is valid. Absent: `10m`.", Seconds;
        Uses = "uses" => "How often it may be used. Absent: 1.", Whole(1, MAX_COUNT);
        Bind = "bind" => "Fields that it is bound to: another value needs another approval.", Texts;
        Show = "show" => "What an approver reads of the call. It travels through the agent.", Texts;
        Session = "session"
            => "What names the session that it is bound to, in the order in which it is looked for: `header:NAME`, `field:PATH`, \
            `mcp`, `conversation`, `first_messages`. Absent: `mcp`, `conversation`.", Texts;
        Wait = "wait" => "How long the call waits while `approval_service` is asked. At most `4m`.", Seconds;
        Notify = "notify" => "`approval_service` is notified of the denied call, without waiting for it.", Boolean;
    }

    /// Keys of a limit's `window`.
    WindowKey {
        Fixed = "fixed" => "From the full multiples of this time in UTC on.", Seconds;
        Sliding = "sliding" => "In the last so much time.", Seconds;
    }

    /// Keys of a model's price.
    PriceKey {
        Input = "input" required "write `0` for tokens that cost nothing"
            => "US dollars for a million tokens that are read.", Number;
        Output = "output" required "write `0` for tokens that cost nothing"
            => "US dollars for a million tokens that are written.", Number;
    }

    /// Keys of `limit`.
    LimitKey {
        Count = "count" => "What is counted; `count` or `sum` is required.", Words(Counted::WORDS);
        Sum = "sum" => "The field that is added up.", Text;
        Per = "per"
            => "What has a counter of its own: `session`, `address`, `principal`, or a field each of whose values has.",
            Texts;
        Max = "max" required "for example `max: 500`" => "The most that is allowed.", Number;
        Window = "window" => "The span of time. Required, except for a limit `per: session`.",
            Either(&[Seconds, Mapping(WindowKey::MAPPING)]);
        Prices = "prices"
            => "What models cost, by their names or globs; `otherwise` is the price of all others.",
            Named(&Mapping(PriceKey::MAPPING));
        Session = "session"
            => "What names a session, in the order in which it is looked for: `header:NAME`, `field:PATH`, `mcp`, \
            `conversation`, `first_messages`.", Texts;
    }
}

/// Top-level keys of a document, with all others below them.
#[cfg(not(target_arch = "wasm32"))]
pub const DOCUMENT: &[Key] = DocumentKey::MAPPING;

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that each top-level key is merged, and each key in a mapping that is merged key by key.
    fn check(keys: &[Key], are_merged: bool) {
        for key in keys {
            assert_eq!(key.merge.is_some(), are_merged, "{}", key.name);
            if let (Some(Merge::Stricter(word)), ValueType::Words(words)) = (key.merge, &key.value)
            {
                assert!(words.contains(&word), "{}", key.name);
            }
            if let ValueType::Mapping(keys) = key.value {
                check(keys, matches!(key.merge, Some(Merge::Members)));
            }
        }
    }

    #[test]
    fn every_key_that_two_documents_may_have_is_merged() {
        check(DOCUMENT, true);
    }
}
