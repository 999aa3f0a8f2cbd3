//! Stable codes. A code never changes its meaning and is never reused, because scripts, dashboards and support tickets
//! depend on it.

/// A stable code with its explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `AG` and four digits.
    pub id: &'static str,
    /// A short description: lower case, no final period.
    pub title: &'static str,
    /// HTTP status of a denial with this code; 0 for codes without a response to the client.
    ///
    /// A denial by policy has status 400, the status that clients retry least and none takes for a failed login. At
    /// 403, codex retries six times, Aider retries for over a minute, and Claude Code reports a failed authentication.
    /// docs/denials.md lists the behaviour of each client at each status.
    pub status: u16,
    /// Meaning and remedy, for `agentguard explain`.
    pub explain: &'static str,
}

macro_rules! codes {
    ($($id:ident $status:literal $title:literal $explain:literal)+) => {
        $(#[doc = $title] pub const $id: &str = stringify!($id);)+

        /// All codes, in order. The filter does without them: they take as much space as a protocol.
        #[cfg(not(target_arch = "wasm32"))]
        pub const CODES: &[Code] = &[
            $(Code {
                id: stringify!($id),
                title: $title,
                status: $status,
                explain: $explain,
            },)+
        ];

        /// Returns the HTTP status of a denial with this code.
        pub fn status(id: &str) -> u16 {
            match id {
                $(stringify!($id) if !matches!($status, 0 | 400) => $status,)+
                _ => 400,
            }
        }
    };
}

codes! {
    AG1001 0 "the document is not valid YAML or JSON"
        "The policy could not be parsed. The message has the line and column. YAML anchors, aliases, tags, merge keys and several documents in one file are rejected, so that every parser reads the same policy."
    AG1002 0 "duplicate key in a mapping"
        "Two parsers of the same document would see different policies. Remove one of the two keys."
    AG1003 0 "not a policy document"
        "A policy is a mapping with `apiVersion: agentguard.dev/v1` and `kind: AgentPolicy`."
    AG1004 0 "unknown key"
        "There is no key with this name. If unknown keys were accepted, a misspelt key would be a rule that silently does nothing."
    AG1005 0 "wrong type"
        "The value does not have the type that this key requires."
    AG1006 0 "missing key"
        "This key is required, because there is no safe default."
    AG1007 0 "unknown value"
        "The value is none of the values that this key accepts."
    AG1008 0 "duplicate name"
        "Rules, lists and detectors have unique names, so that audit events and references are unambiguous."
    AG1009 0 "unknown field"
        "A condition names a field that this kind of event does not have, so that the rule could never be evaluated as intended."
    AG1010 0 "unknown operator"
        "A condition uses an operator that does not exist."
    AG1011 0 "operand does not fit"
        "The operator does not accept this operand."
    AG1012 0 "unknown name"
        "A reference to a list, a detector or a detector group that is not defined."
    AG1013 0 "invalid pattern"
        "A regular expression or glob is malformed or too large."
    AG1014 0 "ambiguous event"
        "Fields such as `text` exist in several kinds of events. Name the kind: `match: { event: message }`."
    AG1015 0 "this action is not possible here"
        "For example `allow` on content: content has no decision point at which an allow could take effect. Or a redaction of a tool call without `redact.what`."
    AG1016 0 "needs `agentguard build`"
        "The filter has no file system and no time zone database. `agentguard build` resolves `extends`, `file:` and time zones into one document."
    AG1017 0 "not provided by this version"
        "The policy uses a function that this version does not provide in Envoy (limits, or an unsupported key), asks who is calling without a source in `principals` that says so, or requires an approval by roles without a key in `approvers`. The filter rejects a policy with a limit. Without `principals`, `require: identity` denies every request, and conditions on the caller are resolved toward denial; a rule that no approver can approve denies. `validate` and `lint` warn about it, `validate --for envoy` and `build` fail; `build --fail-closed` accepts these denials as intended."
    AG1018 0 "`require` is missing for rules on the caller"
        "Rules on the caller need `require: identity` (anonymous requests are denied) or `require: none` (they are evaluated with unknown principal fields)."
    AG1019 0 "the document is too large"
        "The policy exceeds the limit on bytes, rules or nesting."
    AG1020 0 "a number cannot be represented"
        "In a Struct all numbers are doubles. A number that no double represents exactly would be compared as another one: pass the policy as a StringValue."
    AG1021 0 "not possible when headers are forwarded at once"
        "With `headers: portable`, the response headers are forwarded before the body is evaluated. Use `envoy: { headers: hold }` with `allow_on_headers_stop_iteration: true`."
    AG1022 0 "missing secret"
        "The policy names an environment variable that the proxy does not pass to the filter. List it under `vm_config.environment_variables.host_env_keys` and set it in the proxy's environment."
    AG1023 0 "failing example"
        "The policy does not decide an example as the rule states. Either the rule or the example is wrong; `build` writes nothing until they agree."
    AG1024 0 "short syntax"
        "Policies in the syntax of other tools are accepted. They are first translated to this language; `agentguard fmt` writes the translation, which is the policy in force."
    AG1025 0 "a secret in the policy"
        "A key is in the policy itself. The policy becomes part of the proxy's configuration, which a configuration dump shows. Write the key's hash (`agentguard keygen` prints it), or name an environment variable of the proxy."
    AG1026 0 "raw content in audit events"
        "With `audit: { content: full }`, audit events have the raw text of requests and responses, and with it personal data and secrets. Whoever reads the access log, or what it is shipped to, reads them. `redacted` masks what detectors find and what rules redact."
    AG1101 0 "a rule never matches"
        "The rule's conditions contradict one another, or its `unless` matches whenever they do. The rule never decides anything. A regular expression that no text matches (`a^b`), and a time that ends before it begins, are reported as well. Deny-side conditions also match unknown and unreadable values, several values, and other spellings; the message reports if only such values remain."
    AG1102 0 "redundant rule"
        "Another rule with the same action matches whenever this one does. Remove one of the two, or explain the purpose of this one."
    AG1103 0 "an allow without effect"
        "An `allow` has no effect if its decision point allows by default, or if a denial matches whenever it does; the same applies to an approval covered by a denial. A limit covers nothing, because it may not be reached."
    AG1104 0 "an allow with names that do not exist yet"
        "A glob with `*` in an allow matches every tool with such a name, including a future `delete_all`. List the tools by name."
    AG1105 0 "two rules with different actions match"
        "Rules have no order: the strictest decision wins. Two such rules may be a rule with an exception that is meant, or a mistake."
    AG1106 0 "a pattern that always matches"
        "The regular expression matches the empty text, which every text contains. A rule with it always matches."
    AG1107 0 "too broad"
        "The condition matches ordinary text, so that the rule would match nearly everything."
    AG1108 0 "an unbounded pattern"
        "A match could grow without bound, so that a streamed response is held back while a match may still be growing. Bound the repetitions: `.{0,200}` instead of `.*`."
    AG1109 0 "a missing or renamed argument passes"
        "The condition is false for a call without this argument, or with another name for it. List the other names (`args.path|file`), or write `if_missing: apply`. Such a call also adds nothing to a limit's `sum`; a rule with `exists: false` denies it."
    AG1110 0 "names that differ only in spelling"
        "`delete_customer`, `delete-customer` and `deleteCustomer` are three different names to a tool server, and to a rule: one that stops the first lets the others pass. List each spelling that is meant; `delete[_-]customer` is the first two."
    AG1111 0 "an exemption that any client can claim"
        "The exemption depends only on values supplied by the client: headers, the history, the author of a message, arguments, a word in a text. If that is intended, write `trust: claimed`."
    AG1112 0 "an approval without approvers"
        "An approval needs the roles that may give it: `approval: { by: [ROLE] }`, and `approvers` a key of each role."
    AG1113 0 "a denial without reason"
        "A denied caller only sees the rule's id. A `reason` explains the denial, a `remedy` the alternative."
    AG1114 0 "a rule matches its own denial message"
        "The text of a denial stays in the conversation. A rule that matches it would deny every later request as well."
    AG1115 0 "only observed"
        "Nothing is enforced: decisions are only recorded. This mode is for testing a policy, and easily forgotten. A policy that enforces nothing does not ask providers for uncompressed responses, so that compressed ones are not read: docs/guides/observe-then-enforce.md has what to add to the route."
    AG1117 0 "streamed responses are held until their end"
        "The rule can only be evaluated on the complete text, so that no part of a streamed response is released before."
    AG1119 0 "an unused list"
        "The list has no effect. Perhaps a rule was meant to use it."
    AG1120 0 "no history"
        "Requests of MCP and A2A contain no conversation. Conditions on earlier events are unknown there and resolved toward denial: a deny-side rule always matches, an allow-side rule never."
    AG1121 0 "a text operator on a structured value"
        "A command, a query, a path or an address can be written in many ways; a text operator matches only one of them, and on the allow side more than was meant: `git *` also takes `git status; rm -rf .`. The operators for these formats parse the value as the tool does. `equals` and `in` compare one spelling as well, and `domain_in: [x.com]` takes no host below it: `*.x.com` does."
    AG1122 0 "a listed command runs or writes by its arguments"
        "`command_in` compares the names of commands. Some commands run others, or write or delete files, depending on their arguments: `find -delete`, `sed -i`, `tar --checkpoint-action`, `git -c`. The list may include their first arguments."
    AG1123 0 "a second path without condition"
        "Tools that move, copy or link take two paths. With a condition on one of them, the other may lead anywhere."
    AG1124 0 "an upper bound without lower bound"
        "A condition that allows up to a number also allows negative ones: a refund of -5, a limit of -1 that means none."
    AG1125 0 "one field under two names"
        "Both names mean the same field, so that both conditions must match the same values."
    AG1126 0 "keywords that match on their own"
        "The keywords of a detector are matches themselves. Words that only have to occur near a match of its pattern are context words."
    AG1127 0 "allowed by default, denied by name"
        "The policy allows every tool and denies some by name. Tools with other names do the same (`Bash`, `shell`, `exec_command`), and future ones are unknown. Deny calls by default and allow the tools that were reviewed; if the others are meant to pass, write `tool_call: allow`."
    AG1128 0 "arguments that the filter cannot see"
        "Of a provider-run tool only the definition passes the filter, so that every deny-side condition on its arguments matches: each request that defines the tool is denied (AG2010). Make the rule explicit: `provider_run: false` in `when`, and a separate rule for provider-run tools."
    AG1129 0 "a redaction changes what a tool does"
        "The arguments of a call in a response are about to be used. A redaction does not change them unless it names their `part`; then the tool runs with a label or a pseudonym. Deny the call instead."
    AG1131 0 "a shared secret as the key of an approver"
        "Whoever verifies a token with a shared secret can make one: with `hmac`, everybody who reads the proxy's environment can approve. With an Ed25519 key, the policy only has the public half."
    AG1132 0 "an agent that is known by a header only"
        "A source of the policy takes the agent from a header of a trusted proxy, and something is decided by the agent: a rule, `for:`, or an entry of the kill list. It then holds for as long as the header names that agent, and nothing proves it. An agent that is named by an API key, a token's claim or a certificate can't take another name."
    AG1133 0 "a value that a call may write as a text"
        "`equals` and `in` compare with types: `true` is not `\"true\"`, and `1` is not `\"1\"`. Servers that read arguments leniently (Pydantic, and what is built on it) take the one for the other, so that a denied value passes as a text. `{ exists: true, not_equals: false }` takes whatever is not `false`, and `between` reads numbers in texts. The number passes as well where only its text is denied."
    AG1134 0 "an operand in another notation"
        "What this field or operator takes literally is a pattern, an address or a path elsewhere: `path_within: [\"/srv/*\"]`, `glob: \"*.{js,ts}\"`, `when: { model: \"gpt-4*\" }`, `tool: \"pay|refund\"`, `contains: \"*secret*\"`, `args.amount: \">100\"`, a `host` with a scheme or a port, a `path` with a query or without its first `/`, `tool: \"rows[0]\"`. An allow with it takes nothing, and a denial misses what it was written for. Write it as the message suggests."
    AG1135 0 "a word that nothing has"
        "All codes, classes, protocols and providers are known, and none has this name; or a method is a known one of HTTP, MCP or A2A but for a letter or two (servers may have others, so that only these are told); or all callers who have a role, an agent, a client or a tenant are named by API keys of the policy, and none has this one. A condition with it never matches, and under a negation always: a misspelt `provider` is a denial that denies nothing. A provider of your own is named under `protocols`."
    AG1136 0 "a boolean in YAML 1.1"
        "A bare `y` or `n` is a text in a policy. Kubernetes and Helm read manifests by YAML 1.1, where it is `true` or `false`: a policy that is pasted into one asks for another value, or for an argument named `true`. Put it in quotes. `agentguard build` writes a manifest from the policy itself, and is not affected."
    AG1141 0 "a glob that does not match Bedrock's versions"
        "In an allow, `*` stops at `/` and `:`. Bedrock's models end with a version after a colon (`anthropic.claude-3-haiku-20240307-v1:0`): write `**`."
    AG1142 0 "pseudonyms that become labels"
        "A pseudonym is restored only in the exchange that created it. If the provider stores the conversation, a later exchange would contain it, so that a label is written instead. `redact.store: false` asks the provider not to store the conversation, `redact.require: pseudonym` denies."
    AG1143 0 "an `if_missing` that changes nothing"
        "`if_missing` says what a missing value counts as on the deny side only: under `when` and `match` of a rule that restricts, and under `unless` of an `allow`. A `when` of an `allow` is never met by a missing value, whatever `if_missing` says. To allow a call without an argument, write a rule with `exists: false`."
    AG2001 400 "malformed JSON, or a known field of the wrong type"
        "The body is not strict JSON (RFC 8259), or a field that the protocol defines has another type. Two parsers could read it differently, so that it is denied. Only a rule on this code can allow it."
    AG2002 400 "duplicate or case-variant key"
        "An object has a duplicate key, or a key that some servers read as another one (`Model`). Servers differ in which one they take."
    AG2003 413 "nested too deep"
        "Deeper than `inspect.max_depth` (default 64), or JSON inside strings deeper than `inspect.nested_json`."
    AG2004 413 "too large"
        "The body is larger than `inspect.max_body` (default 8 MiB), or has more text for detectors than `inspect.max_text` (default 4 MiB per exchange). A part is never evaluated in place of the whole."
    AG2005 415 "content-encoding"
        "The body is compressed or otherwise encoded, and no filter before this one decompresses it: add Envoy's decompressor filters for requests before AgentGuard. Or they are there, and the decompressed body is empty (as for a broken one) or more than 100 times as large (Envoy then drops the rest). The filter asks providers for uncompressed responses, unless the policy only observes (docs/guides/observe-then-enforce.md)."
    AG2006 415 "unsupported content type"
        "The body's type has no text that can be evaluated."
    AG2007 400 "unknown endpoint"
        "No known protocol has this method and path. Configure it under `protocols`, exempt it with `applies_to`, or allow it with a rule on `uninspectable`."
    AG2008 426 "upgrade"
        "WebSocket and other upgrades carry frames that are not inspected. The filter denies them if Envoy lets upgrades reach it (`upgrade_configs` of the HTTP connection manager or of a route); otherwise Envoy itself rejects them with 403."
    AG2009 400 "text encoding"
        "The body is not UTF-8, or starts with a byte order mark."
    AG2010 400 "arguments of a provider-run tool"
        "The provider runs this tool itself (web search, code execution, a remote MCP server). Its arguments never pass the filter, and a rule that denies depends on them. Leave the tool out of the request, or exempt it in the policy: `provider_run: false` in the rule's `when`, and a separate rule for provider-run tools."
    AG2011 503 "memory budget"
        "This proxy holds too many bytes at the moment. Try again."
    AG2012 400 "contradictory request"
        "The request has two contradictory values (a model in the path and another in the body), or a header or its query asks for another method or body than it has; servers differ in which one they take."
    AG2013 400 "endpoint that issues credentials"
        "This endpoint returns a key or URL with which traffic could bypass the proxy."
    AG2014 400 "unreadable stream"
        "A streamed response could not be parsed, and a rule applies to responses."
    AG2015 413 "work budget"
        "The inspection of this exchange would cost far more than ordinary text of its size, so that it was stopped; other requests of the same worker continue. Such texts are made for this purpose: endless beginnings of keys, tokens or names. Only a rule on this code can allow it."
    AG3001 400 "denied by a rule"
        "A rule with `action: deny` matches."
    AG3002 400 "denied by default"
        "No rule allows this, and the default is deny."
    AG3003 400 "approval required"
        "A rule requires approval, and the request has no approval token. `approval` is the request for one: `agentguard approve` shows it and makes the token, which the agent sends in `x-agentguard-approval` with the same call."
    AG3004 400 "invalid approval"
        "An approval token came with the request and does not approve this call; `detail` says why: `malformed`, `unknown_key`, `bad_signature`, `other_policy`, `other_call`, `other_tenant`, `other_principal`, `other_session`, `changed_arguments`, `other_rule`, `wrong_role`, `self_approval`, `too_long`, `not_yet_valid`, `expired`, `replayed`, `table_full`."
    AG3005 400 "impossible redaction"
        "A rule redacts content that cannot be edited: a number, a key, a name, a signed block, unknown structure."
    AG3006 400 "stopped by the kill switch"
        "The kill list in force stops this agent, client, tenant, principal or tool, or everything. `agentguard kill --lift` takes an entry away."
    AG3007 400 "approval service failed"
        "A rule lets a call wait for its approval (`approval.wait`), and the approval service could not be asked: its cluster does not exist or can't be reached, it answered with another status than 2xx, or with something that is no answer. `approval.detail` of the audit event says which: `service_unreachable`, `service_status`, `malformed_answer`. `approval` of the denial is the request, which can still be approved with `agentguard approve`."
    AG4001 401 "no identity"
        "The policy requires an identity, and none of its sources found one in this request."
    AG4002 401 "invalid credential"
        "The request has a credential that a source of the policy recognises and that is not valid. An invalid credential is never ignored in favour of another one. The audit event has the reason (`authentication`): the key is unknown, expired, not valid yet or revoked, is there twice, or stands in the URL; the token has another issuer or could not be verified. The client does not learn which."
    AG4003 401 "contradictory credentials"
        "Two sources of the policy name two different clients for one request, or two that are combined name two tenants. Send one credential."
    AG5001 429 "limit exceeded"
        "A limit of the policy is reached. The status is 429 with `retry-after` if the same request would pass within a minute, else 403."
    AG6001 0 "a listener without the filter"
        "A listener forwards requests, or bytes, and the filter is not in its chain: its traffic passes uninspected. A mesh accepts a plugin whose selector matches nothing without a warning, and the result looks like this. Put the filter before the router, or look at the other listeners only: `agentguard doctor --listener NAME`."
    AG6002 0 "requests are decompressed too late"
        "A decompressor is after the filter, which gets compressed requests and denies them with AG2005. Filters see requests in the order of the list: decompressors come first."
    AG6003 0 "responses are decompressed"
        "With a decompressor for responses Envoy never tells the filter that a body has ended, so that a response that is held hangs. Envoy's decompressors unpack both directions unless `response_direction_config` says otherwise. The filter asks providers for uncompressed responses itself."
    AG6004 0 "authentication behind the filter"
        "A filter that authenticates is after AgentGuard, so that the policy has no verified claims: rules on the caller deny, and requests are inspected that would be denied anyway. Authentication comes first. A native module gets the claims of `jwt_authn` from a `set_filter_state` filter between the two."
    AG6005 0 "a change behind the filter"
        "A filter after AgentGuard can change requests that were inspected, or answer them. Put it before AgentGuard, or make sure that it leaves bodies alone."
    AG6006 0 "not fail-closed"
        "When the module fails, or is not there yet, traffic passes uninspected. `failure_policy: FAIL_RELOAD` denies until the module runs again; a filter that is optional, disabled by default or has a default configuration is not always there."
    AG6007 0 "a module without digest"
        "The module is fetched from another machine and not compared with a digest: whoever answers there decides what runs. Write `sha256`, or an image with `@sha256:`."
    AG6008 0 "an upgrade around the filter"
        "An upgrade (WebSocket, CONNECT) has a filter chain of its own, and AgentGuard is not in it. Leave `filters` out, so that the manager's chain counts; the filter denies upgrades that it can't inspect (AG2008)."
    AG6009 0 "a route disables the filter"
        "`typed_per_filter_config` disables AgentGuard on a route, a virtual host or a whole route configuration, or does not enable it where other routes do: those requests pass uninspected and leave no audit event. With Envoy Gateway, an EnvoyExtensionPolicy of a route takes the place of the Gateway's: `mergeType: StrategicMerge` in it, or the filter in it as well."
    AG6010 0 "buffers smaller than bodies"
        "Envoy buffers fewer bytes than `inspect.max_body` of the policy, and itself answers 413 (requests) or 500 (responses) to larger messages, before the filter decides. Both the listener and the cluster have such a limit; their default is 1 MiB."
    AG6011 0 "headers can't be held"
        "The policy has `envoy: { headers: hold }`, and the plugin lacks `allow_on_headers_stop_iteration: true` (Envoy 1.35 or newer): Envoy then delivers no body, and each request is denied after ten seconds (AG9002). `agentguard build` writes the flag; a mesh's WasmPlugin can't, so use `headers: portable` there."
    AG6012 0 "a short timeout"
        "A route's `timeout` covers the whole response; its default is 15 seconds. Responses of models take longer, and streams are cut off. `0s` switches it off; `idle_timeout` ends what is really dead."
    AG6013 0 "a short idle timeout"
        "A stream without a byte for that long is ended. Models that think are silent for a minute and more."
    AG6014 0 "metrics without labels"
        "Envoy makes labels of metrics only if `stats_config.stats_tags` tells it how. Without them each combination is a metric of its own, whose name no query knows. In Istio, list the labels in `extraStatTags`. docs/metrics.md has both."
    AG6015 0 "no audit log"
        "No access log of the listener writes `%FILTER_STATE(wasm.agentguard:PLAIN)%`, or only one with a filter does, so that decisions leave no audit event."
    AG6016 0 "audit events on one line"
        "The format of the access log does not end with a newline, which Envoy doesn't add to a text: all events are on one line, and no tool can read them."
    AG6017 0 "a node without name"
        "Envoy discovers no configuration, also from a file, unless the node has an id and a cluster: in the bootstrap, or by `--service-node` and `--service-cluster`."
    AG6018 0 "the policy is not in force"
        "The filter has no configuration, or one that it rejects, or its module can't be loaded. An Envoy that starts with it ends, or answers 500 to everything; in an Envoy that is running, the earlier policy stays in force, although a configuration dump shows the rejected one."
    AG6019 0 "the kill list can't act"
        "The filter of the kill list is after that of the policy, or runs in another VM: filters share a VM if `vm_id`, module, `vm_config.configuration` and environment variables are the same."
    AG6020 0 "a client's address that anyone can write"
        "The policy asks for the client's address (a limit `per: address`, a trusted proxy, `client_address`), and Envoy takes it from `x-forwarded-for`: without `use_remote_address: true`, or with `xff_num_trusted_hops`. The filter recognises such an address and does not trust it. `client_address: { xff_hops: N }` counts trusted proxies by itself, without `xff_num_trusted_hops`."
    AG6021 0 "a low circuit breaker"
        "A cluster allows few connections or requests at a time. Streams of models last for minutes, so that more agents than that get 503 from Envoy."
    AG6022 0 "an open admin interface"
        "Envoy's admin interface is reachable from other machines: it shows the policy, changes log levels and stops Envoy. Bind it to 127.0.0.1, and offer `/stats/prometheus` and `/ready` on a listener of its own."
    AG6023 0 "an Envoy that is too old"
        "The filter is for Envoy 1.36 and newer, its native module for 1.38 and newer. An older Envoy may reject the module, or run it as nobody has tested. The version is the one in the configuration dump of the running Envoy. Upgrade Envoy, or the mesh whose proxy it is; instead of the native module, `agentguard build --host wasm` needs only 1.36."
    AG6024 0 "client certificates that Envoy does not verify"
        "The policy tells callers by their certificates (`mtls`, or SPIFFE ids in `trusted`), and Envoy accepts certificates of any issuer: `trust_chain_verification: ACCEPT_UNTRUSTED`. The filter can't tell them from verified ones, so that anyone is whoever a certificate of their own making names."
    AG6025 0 "two policies for one request"
        "The filter is twice in one chain, each with a policy of its own. Both decide, and the stricter one applies; but Envoy's filter state has room for one audit event for each exchange. In Wasm the last filter writes it: a request that the first one denies leaves the event of the last one, which has not read it (`not_evaluated`), and `agentguard audit verify` can't find that anything is missing. Write both as documents of one `AgentPolicySet`, or let each route enable one of the filters."
    AG6026 0 "a cache before the filter"
        "Envoy's cache filter is before AgentGuard. What it can answer or fetch by itself (`GET`, such as a stored response) it sends past all later filters: nothing is inspected, and the audit event says `not_evaluated`. Put it behind AgentGuard, where it caches what the provider sent, and each caller gets what the policy makes of that."
    AG9001 503 "internal error"
        "The filter failed and denied the request, because it never allows traffic unread."
    AG9002 503 "no body after held headers"
        "The policy has `envoy: { headers: hold }`, but the plugin runs without `allow_on_headers_stop_iteration: true`, so that Envoy never delivers the body."
    AG9003 503 "kill list not in force"
        "A kill list is configured, and it can't be read, or its feed was not read for longer than its `grace`, or its filter runs in another VM than the policy. Everything is denied, because it is unknown who is stopped."
    AG9004 503 "limit counters unavailable"
        "The counters of a limit could not be read or written in Envoy's shared data, and the request was denied, because a limit never lets pass what it could not count. Check that no other Wasm plugin with the same `vm_id` writes keys that begin with `agentguard.limits`."
    AG9006 503 "panic in the native module"
        "The filter's native module panicked and denied the exchange; the other exchanges went on. Envoy's log has the panic's place: report it. The exchange has no audit line."
    AG9010 0 "a file or an address that can't be read"
        "The command can't read what it was told to read: the file is not there, is a folder, belongs to another user or is damaged, or nothing answers at the address. The message says which of these, and what to do."
    AG9011 0 "a file that can't be written"
        "The command can't write or delete this file. The message says why: its folder is missing, another user owns it, the disk is full, or something else is there. What was there before is unchanged."
    AG9012 0 "an option that has no meaning so"
        "An option is unknown or missing, its value can't be understood, or it does not fit the files that are named. The message has the forms that it can have; `agentguard help COMMAND` has examples."
    AG9013 0 "a file of another kind"
        "The file can be read, and is not what this place asks for: no key, no checkpoint, no heads, no index of this version, no configuration of Envoy. The message says what writes such a file."
    AG9014 0 "nothing was done"
        "There is nothing that the command could answer, sign or delete: no record is selected, the trail has faults, or another process is writing at this moment. Nothing was changed."
}

/// Returns the code with this id, in either letter case; `None` if there is none.
#[cfg(not(target_arch = "wasm32"))]
pub fn find(id: &str) -> Option<&'static Code> {
    let id = id.bytes().map(|byte| byte.to_ascii_uppercase());
    let at = CODES.binary_search_by(|code| code.id.bytes().cmp(id.clone()));
    CODES.get(at.ok()?)
}

/// Returns what a code stands for.
#[cfg(not(target_arch = "wasm32"))]
pub fn explanation(id: &str) -> Option<&'static str> {
    find(id).map(|code| code.explain)
}

/// Returns nothing: the filter has no texts for codes.
#[cfg(target_arch = "wasm32")]
pub fn explanation(_: &str) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(CODES.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn titles_follow_the_house_style() {
        for code in CODES {
            assert!(!code.title.ends_with('.'), "{}", code.id);
            assert!(code.explain.ends_with('.'), "{}", code.id);
        }
    }
}
