//! Keyword groups in the name of a value, and the filters that select values by them.

use crate::detect::substring_set::SubstringSet;

/// Keyword groups that occur in a name, as a bit set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::detect) struct NameGroups(u32);

impl NameGroups {
    /// The value is a password.
    pub(in crate::detect) const PASSWORD: u32 = PASS | PASSWORD_ONLY;
    /// The value belongs to the `Authorization` header.
    pub(in crate::detect) const AUTHORIZATION: u32 = 0b100;
    /// The value is a secret of any kind.
    pub(in crate::detect) const SECRET: u32 = PASS | TOKEN | SECRET_ONLY;
    /// Words that qualify `key`. Without `key` they have no meaning.
    pub(in crate::detect) const MORE: u32 = 0b10_0000;
    /// Names in which a keyword counts even after lower-case letters: `apikey`, but not `monkey`.
    pub(in crate::detect) const WHOLE: u32 = 0b1_0000_0000;

    pub(super) fn by(name: &[u8]) -> Self {
        Self(NAMES.bits_in(name, &FLAT.1))
    }

    /// Returns whether the name contains a word of these groups.
    #[inline]
    pub(in crate::detect) fn any(self, groups: u32) -> bool {
        self.0 & groups != 0
    }
}

const PASS: u32 = 0b1;
/// Groups of [`NameGroups::PASSWORD`] apart from `PASS`.
const PASSWORD_ONLY: u32 = 0b10;
const TOKEN: u32 = 0b1000;
/// Groups of [`NameGroups::SECRET`] apart from `PASS` and `TOKEN`.
const SECRET_ONLY: u32 = 0b1_0000;
const KEY: u32 = 0b100_0000;
const PUBLIC: u32 = 0b1000_0000;
const NO_PASSWORD: u32 = 0b10_0000_0000;

/// Parts of names, each group with its bit. They include parts of the names of secrets, and parts that rule a secret
/// out even though the name contains such a word.
const GROUPS: &[(u32, &[&str])] = &[
    (PASS, &["pass", "pwd"]),
    (PASSWORD_ONLY, &["contrasena", "senha", "kennwort"]),
    (NameGroups::AUTHORIZATION, &["authoriz"]),
    // These also occur in the names of headers.
    (TOKEN, &["token", "secret", "auth"]),
    (
        SECRET_ONLY,
        &["apikey", "api_key", "api-key", "api.key", "cred"],
    ),
    (NameGroups::MORE, &["access", "private"]),
    (KEY, &["key"]),
    (
        PUBLIC,
        &[
            "public",
            "pubkey",
            "pub_key",
            "primary_key",
            "primarykey",
            "foreign",
            "partition",
            "sort_key",
            "sortkey",
            "cache_key",
            "cachekey",
            "keyname",
            "key_name",
            "keyword",
            "key_id",
            "keyid",
            "hotkey",
            "shortcut",
            "primary-key",
            "cache-key",
            "tokenizer",
            "tokenid",
            "token_id",
            "tokentype",
            "token_type",
            "token_url",
            "tokenurl",
            "token_uri",
            "endpoint",
            "next_token",
            "nexttoken",
            "page_token",
            "pagetoken",
            // Where a listing goes on, of AWS, Google, Azure and Microsoft Graph; a changed one ends it.
            "continuation",
            "synctoken",
            "sync_token",
            "skiptoken",
            "skip_token",
            "deltatoken",
            "delta_token",
            "starting_token",
            "resumetoken",
            "resume_token",
            "sequencetoken",
            "lastevaluated",
            // What one side of a protocol calls its own request: MCP, AWS.
            "progresstoken",
            "requesttoken",
            "csrf",
            "xsrf",
            "author",
            "unique",
            "object_key",
            "objectkey",
            "routing",
            "idempotency",
            "fingerprint",
            "checksum",
            "digest",
            "sha256",
            "integrity",
            "keystore",
            "keypath",
            "key_path",
            "keyfile",
            "key_file",
            "credential_id",
            "secret_name",
            "secretname",
            "secretref",
            "secret_ref",
            "secret_arn",
            "keyvault",
            "key_vault",
            "keyboard",
            "keyframe",
            "keypress",
            "keycode",
            "key_code",
            "thread_key",
            "group_key",
            "groupkey",
            "natural_key",
            "composite",
            "keysize",
            "key_size",
            "keylen",
            "stop_token",
            "eos_token",
            "bos_token",
            "pad_token",
            "unk_token",
            "sep_token",
            "cls_token",
            "mask_token",
            "special_token",
            "auth_type",
            "authtype",
            "auth_mode",
            "auth_method",
            "auth_url",
            "authurl",
            "auth_provider",
        ],
    ),
    (
        NameGroups::WHOLE,
        &[
            "apikey",
            "secretkey",
            "accesskey",
            "privatekey",
            "authkey",
            "masterkey",
            "accountkey",
            "storagekey",
            "encryptionkey",
            "signingkey",
            "userkey",
            "servicekey",
            "licensekey",
            "appkey",
            "dbkey",
            "clientkey",
            "dbpass",
            "userpass",
            "rootpass",
            "adminpass",
            "oauth",
            "basicauth",
        ],
    ),
    // In `password_policy: …`, `passwordFile=…`, `bypass=…` the value is not the password.
    (
        NO_PASSWORD,
        &[
            "policy",
            "file",
            "path",
            "_url",
            "_uri",
            "hint",
            "field",
            "label",
            "length",
            "_min",
            "_max",
            "name",
            "_id",
            "reset",
            "expir",
            "_age",
            "prompt",
            "strength",
            "regex",
            "pattern",
            "_len",
            "count",
            "placeholder",
            "help",
            "bypass",
            "passage",
            "passthrough",
            "pass-through",
            "pass_through",
            "pass@",
            // `user:password@localhost:5432/db`
            "word@",
            "wd@",
            // A passport.
            "reisepass",
        ],
    ),
];

#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const WORD_COUNT: usize = {
    let mut count = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        count += GROUPS[group].1.len();
        group += 1;
    }
    count
};

/// Words of all groups, concatenated, and the bit of each word.
#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
static FLAT: ([&str; WORD_COUNT], [u32; WORD_COUNT]) = {
    let (mut words, mut bits) = ([""; WORD_COUNT], [0; WORD_COUNT]);
    let (mut at, mut group) = (0, 0);
    while group < GROUPS.len() {
        let mut word = 0;
        while word < GROUPS[group].1.len() {
            words[at] = GROUPS[group].1[word];
            bits[at] = GROUPS[group].0;
            at += 1;
            word += 1;
        }
        group += 1;
    }
    (words, bits)
};

static NAMES: SubstringSet = SubstringSet::new(&FLAT.0);

/// Returns whether a name contains this part, case-insensitively.
pub(in crate::detect) fn has_part(name: &[u8], part: &str) -> bool {
    let part = part.as_bytes();
    let first = part.first().map_or(0, |first| first | 0x20);
    name.windows(part.len().max(1))
        .filter(|window| window.first().is_some_and(|byte| byte | 0x20 == first))
        .any(|window| window.eq_ignore_ascii_case(part))
}

/// Filter on the name of a value: which values a detector inspects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum KeyFilter {
    /// Values of all names.
    Any,
    /// Passwords, and values quoted as passwords are.
    Password,
    /// Keys and tokens.
    Key,
    /// The header with credentials, and values quoted as headers on a command line are.
    Header,
}

impl KeyFilter {
    /// Returns whether the value of a name passes the filter. `in_prose`: a word of prose joins the name and the value;
    /// `is_quoted`: the value has quotes; `name_is_quoted`: the name has quotes.
    #[inline]
    pub(super) fn has(
        self,
        name: &[u8],
        groups: NameGroups,
        in_prose: bool,
        is_quoted: bool,
        name_is_quoted: impl FnOnce() -> bool,
    ) -> bool {
        match self {
            Self::Any => true,
            Self::Password => {
                // `account_password` contains `count`.
                let itself = || {
                    let end = name.get(name.len().saturating_sub(8)..);
                    end.is_some_and(|end| end.eq_ignore_ascii_case(b"password"))
                };
                // `"nextToken": "…"` is Base64, whose `+` and `/` look like marks of a password.
                (groups.any(NameGroups::PASSWORD) || is_quoted && !in_prose && !groups.any(PUBLIC))
                    && (!groups.any(NO_PASSWORD) || itself())
            }
            Self::Key => groups.any(NameGroups::SECRET | KEY) && !groups.any(PUBLIC),
            Self::Header => {
                !in_prose
                    && (groups.any(NameGroups::AUTHORIZATION)
                        || groups.any(TOKEN | KEY) && name_is_quoted())
            }
        }
    }
}
