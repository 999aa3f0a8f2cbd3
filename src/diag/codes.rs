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
    /// A denial by policy has status 400, the one status that no client retries and none takes for a failed login. At
    /// 403, codex retries six times, Aider retries for over a minute, and Claude Code reports a failed authentication.
    /// docs/denials.md lists the behaviour of each client at each status.
    pub status: u16,
    /// Meaning and remedy, for `agentguard explain`. Empty in the filter, to save space.
    pub explain: &'static str,
}

macro_rules! codes {
    ($($id:ident $status:literal $title:literal $explain:literal)+) => {
        $(#[doc = $title] pub const $id: &str = stringify!($id);)+

        /// All codes, in order.
        pub const CODES: &[Code] = &[
            $(Code {
                id: stringify!($id),
                title: $title,
                status: $status,
                explain: if cfg!(target_arch = "wasm32") { "" } else { $explain },
            },)+
        ];
    };
}

codes! {
    AG1001 0 "the document is not valid YAML or JSON"
        "The policy could not be parsed at all. The message names the line and column. YAML anchors, aliases, tags, merge keys and several documents in one file are refused on purpose: a policy must read the same to everyone."
    AG1002 0 "a key stands twice in one mapping"
        "Two readers of the same document would see different policies. Remove one of the two."
    AG1003 0 "not a policy document"
        "A policy is a mapping with `apiVersion: agentguard.dev/v1` and `kind: AgentPolicy`."
    AG1004 0 "unknown key"
        "No key of this name is known here; a misspelt key would otherwise be a rule that silently does nothing."
    AG1005 0 "wrong type"
        "The value has another type than this key takes."
    AG1006 0 "missing key"
        "This key is required; there is no safe value to assume."
    AG1007 0 "unknown value"
        "The value is none of those that this key takes."
    AG1008 0 "a name is defined twice"
        "Rules, lists and detectors have unique names, so that a record or a reference means one thing."
    AG1009 0 "unknown field"
        "A condition names a field that this kind of event does not have. A rule on it could never be judged as it reads."
    AG1010 0 "unknown operator"
        "A condition uses a verb that does not exist."
    AG1011 0 "operand does not fit"
        "The operator can't compare with this operand."
    AG1012 0 "unknown name"
        "A reference to a list, a detector or a detector group that is not defined."
    AG1013 0 "pattern can't be used"
        "A regular expression or glob is malformed or too large."
    AG1014 0 "the event is not clear"
        "Fields such as `text` stand in several kinds of events. Say which one: `match: { event: message }`."
    AG1015 0 "this action can't be taken here"
        "For example `allow` on content: content has no gate that an allow could open. Or a redaction of a tool call without `redact.what`."
    AG1016 0 "needs `agentguard build`"
        "The filter has no file system and no time zone database. `agentguard build` resolves `extends`, `file:` and zones into one document."
    AG1017 0 "not provided by this version"
        "The policy asks for something that this version does not provide in Envoy: who is asking, approvals, limits, or a key that is not supported. The filter refuses a policy with a limit. Without an identity `require: identity` denies every request and conditions about who is asking count for the strict side; without approvals a rule that requires one denies. `validate` and `lint` warn of it, `validate --for envoy` and `build` fail; `build --fail-closed` says that the denials are meant."
    AG1018 0 "who is asking is not settled"
        "Rules about who is asking need `require: identity` (an anonymous request is refused) or `require: none` (it is judged with everything about the principal unknown)."
    AG1019 0 "the document is too large"
        "Too many bytes, rules or levels for a policy."
    AG1020 0 "a number can't be carried"
        "A Struct carries numbers as doubles. A number that a double does not hold would be compared as another one; pass the policy as a StringValue."
    AG1021 0 "can't be honoured in portable mode"
        "In portable mode the response headers have left before the body is judged. Use `envoy: { headers: hold }` with `allow_on_headers_stop_iteration: true`."
    AG1022 0 "a secret is not there"
        "The policy names an environment variable that the proxy does not hand to the filter. List it under `vm_config.environment_variables.host_env_keys` and set it in the proxy's environment."
    AG1023 0 "an example does not hold"
        "A rule's example says what the policy decides, and it decides otherwise. Either the rule or the example is wrong."
    AG1024 0 "a terse document"
        "Policies written for other tools load as they are. What they say is made into this language first; `agentguard fmt` writes the result, which is what is in force."
    AG1101 0 "a rule can never hold"
        "What the rule asks for contradicts itself, or its `unless` holds wherever it does. Nothing is ever decided by it. Where conditions restrict, they also hold for what is unknown, unreadable, several values or spelled in another way: then the message says that only such values are left."
    AG1102 0 "a rule repeats another"
        "Another rule with the same action holds wherever this one does. Remove one of the two, or say what this one is for."
    AG1103 0 "an opening that never matters"
        "An `allow` opens nothing if its gate is open by default, or if a denial holds wherever it does; so does an approval that a denial covers. A limit covers nothing: it may or may not be reached."
    AG1104 0 "an allow takes names that do not exist yet"
        "A glob with `*` in an allow takes every tool that will be called so, tomorrow's `delete_all` too. Name the tools."
    AG1105 0 "two rules hold at once"
        "Rules have no order: the strictest decision wins. This is how exceptions are made, and how mistakes are."
    AG1106 0 "a pattern that always fits"
        "The regular expression matches the empty text, which stands in every text. A rule with it always holds."
    AG1107 0 "too broad"
        "What is looked for stands in ordinary text. The rule would hold for nearly everything."
    AG1108 0 "a pattern without an end"
        "A match could grow without bound, so that a streamed answer is held back as long as one may still be growing. Bound its repetitions: `.{0,200}` instead of `.*`."
    AG1109 0 "a missing or renamed argument passes"
        "The condition is false of a call that does not have the argument, or calls it otherwise. Name the other spellings (`args.path|file`), or say `if_missing: apply`."
    AG1110 0 "names that differ only in spelling"
        "`delete_customer`, `delete-customer` and `deleteCustomer` are three names to a tool server, and so they are here. Name each spelling that is meant."
    AG1111 0 "an exemption that anyone can claim"
        "What loosens rests only on what the client says of itself: headers, the history, arguments. If that is meant, say so: `trust: claimed`."
    AG1112 0 "nobody can approve"
        "An approval names who may give it: `approval: { by: [ROLE] }`."
    AG1113 0 "a refusal without a reason"
        "Whoever is refused reads only the rule's id. A `reason` tells why, a `remedy` what to do instead."
    AG1114 0 "the policy holds against its own words"
        "A refusal's text stands in the conversation from then on. A rule that holds for it would refuse every later request as well."
    AG1115 0 "only observed"
        "Nothing is enforced here: decisions are only recorded. This is for trying a policy, and easily forgotten."
    AG1117 0 "streamed answers wait for their end"
        "The rule can be judged only once all of the text is there, so that nothing of a streamed answer leaves before."
    AG1119 0 "a list that nothing uses"
        "The list has no effect. Perhaps a rule was meant to use it."
    AG1120 0 "there is no history here"
        "A request of MCP or A2A brings no conversation with it. What a rule asks of earlier events is unknown there, which counts for the strict side: a restricting rule always holds, a loosening one never."
    AG1121 0 "read as a text, walked past as something else"
        "A command, a query, a path or an address can be written in many ways, of which a text operator knows one. The operators that know its form read it as the tool does."
    AG1122 0 "a listed command runs or writes what its arguments say"
        "`command_in` compares the names of commands. One that runs others, or writes or deletes files, by its arguments does so whatever the list says: `find -delete`, `sed -i`, `tar --checkpoint-action`, `git -c`. The first arguments may be listed with it."
    AG1123 0 "a second path is not asked about"
        "Tools that move, copy or link take two paths. A condition over one of them lets the other lead anywhere."
    AG1124 0 "an upper bound without a lower one"
        "What is allowed up to a number is allowed below zero as well: a refund of -5, a limit of -1 that means none."
    AG1125 0 "one field under two names"
        "Both names mean the same field, so that both conditions have to hold for the same values."
    AG1126 0 "keywords that are found by themselves"
        "The keywords of a detector are what it finds. Words that only have to stand near a match of its pattern are its context."
    AG1127 0 "allowed by default, denied by name"
        "The policy lets every tool be called and stops some by their names. Tools of other names do the same things (`Bash`, `shell`, `exec_command`), and tomorrow's are not known. Deny calls by default and allow the tools that were looked at; if the others are meant to pass, write `tool_call: allow`."
    AG1128 0 "arguments that nobody sees"
        "Of a tool that the provider runs only the offer passes here, so that every restricting condition on its arguments holds: each request that offers it is refused (AG2010). Say what is meant: `provider_run: false` in `when`, and a rule of its own for what the provider runs."
    AG1129 0 "a redaction changes what a tool does"
        "Arguments of a call in a response are about to be carried out. A redaction leaves them alone unless it names their `part`; then the tool is run with a label or a stand-in. Deny the call instead."
    AG1141 0 "a glob that Bedrock's versions do not fit"
        "In what allows, `*` stops at `/` and `:`. Bedrock's models end with a version behind a colon (`anthropic.claude-3-haiku-20240307-v1:0`): write `**`."
    AG1142 0 "pseudonyms that become labels"
        "A pseudonym is turned back only in the exchange that made it. Where the provider keeps the conversation, a later exchange would meet it, so that a label is written instead. `redact.store: false` asks the provider not to keep it, `redact.require: pseudonym` denies."
    AG2001 400 "malformed JSON, or a known field of the wrong type"
        "The body is not strict JSON (RFC 8259), or a field that the protocol defines has another type. Two readers could disagree about it, so it is refused. Only a rule that names this code can let it pass."
    AG2002 400 "duplicate or case-variant key"
        "An object holds a key twice, or a key that some servers read as another one (`Model`). Servers differ in which they take."
    AG2003 413 "nested too deep"
        "Deeper than `inspect.max_depth` (default 64), or JSON inside strings deeper than `inspect.nested_json`."
    AG2004 413 "too large"
        "Larger than `inspect.max_body` (default 8 MiB), or with more text for detectors than `inspect.max_text` (default 4 MiB in one exchange). A part is never judged for the whole."
    AG2005 415 "content-encoding"
        "The body is compressed or otherwise encoded, and nothing before this filter unpacks it: put Envoy's decompressor filters there, for requests. Or they did, and nothing was left of it (it is empty or broken) or it grew a hundredfold (beyond that Envoy drops the rest)."
    AG2006 415 "content type can't be read"
        "The body is of a type that holds no text that can be judged."
    AG2007 400 "unknown endpoint"
        "No known protocol has this method and path. Name it under `protocols`, exempt it with `applies_to`, or allow it with a rule on `uninspectable`."
    AG2008 426 "upgrade"
        "WebSocket and other upgrades carry frames that are not inspected."
    AG2009 400 "text encoding"
        "The body is not UTF-8, or begins with a byte order mark."
    AG2010 400 "arguments of a provider-run tool"
        "The provider runs this tool itself (web search, code execution, a remote MCP server); its arguments never pass here, and a rule that denies asks for them. Leave the tool out of the request, or exempt it in the policy: `provider_run: false` in the rule's `when`, and a rule of its own for what the provider runs."
    AG2011 503 "memory budget"
        "Too many bytes are held at once in this proxy. Try again."
    AG2012 400 "contradictory readings"
        "The request says two things at once (a model in the path and another in the body), and servers differ in which they take."
    AG2013 400 "endpoint that mints access"
        "This endpoint hands out a key or URL with which traffic would go past the proxy."
    AG2014 400 "stream unread or broken"
        "A streamed response could not be read while a rule looks at responses."
    AG2015 413 "work budget"
        "Inspecting this exchange would cost far more than any ordinary text of its size does, so it was stopped; other requests of the same worker don't wait for it. Such texts are made for that: beginnings of keys, tokens or names over and over. Only a rule that names this code can let it pass."
    AG3001 400 "denied by a rule"
        "A rule with `action: deny` holds."
    AG3002 400 "denied by default"
        "No rule allows this and the default is deny."
    AG3003 400 "approval required"
        "A rule asks for approval, and no valid approval token came with the request."
    AG3004 400 "approval invalid"
        "The approval token does not fit this call, has expired, or was used."
    AG3005 400 "an edit is impossible"
        "A rule asks to redact something that can't be edited without breaking it: a number, a key, a name, a signed block, unknown structure."
    AG4001 401 "no identity"
        "The policy requires an identity, and none of its sources found one in this request."
    AG5001 429 "limit reached"
        "A limit of the policy is used up."
    AG9001 503 "internal error"
        "The filter could not do its work and refused rather than let pass unread."
    AG9002 503 "headers were held and no body came"
        "The policy says `envoy: { headers: hold }`, but the plugin runs without `allow_on_headers_stop_iteration: true`, so that Envoy never hands over the body."
}

/// Returns the code with this id; `None` if there is none.
pub fn find(id: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.id.eq_ignore_ascii_case(id))
}

/// Returns the HTTP status of a denial with this code.
pub fn status(id: &str) -> u16 {
    match find(id).map(|code| code.status) {
        Some(0) | None => 400,
        Some(status) => status,
    }
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
