//! What the name of a value says, and whom the value concerns by it.

use super::place::{Keyed, Link};
use crate::detect::parts::Parts;

/// Groups of words that a name has in it, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::detect) struct Said(u32);

impl Said {
    /// The value is a password.
    pub(in crate::detect) const PASSWORD: u32 = PASS | 0b10;
    /// It is that of the header.
    pub(in crate::detect) const AUTHORIZATION: u32 = 0b100;
    /// It is a secret of some kind.
    pub(in crate::detect) const SECRET: u32 = PASS | TOKEN | 0b1_0000;
    /// These say more than `key` alone, and nothing by themselves.
    pub(in crate::detect) const MORE: u32 = 0b10_0000;
    /// A word of it that goes on behind small letters is a word all the same: `apikey`, not `monkey`.
    pub(in crate::detect) const WHOLE: u32 = 0b1_0000_0000;

    pub(super) fn by(name: &[u8]) -> Self {
        Self(NAMES.groups_in(name, &ENDS))
    }

    /// Whether a word of these groups is in the name.
    #[inline]
    pub(in crate::detect) fn any(self, groups: u32) -> bool {
        self.0 & groups != 0
    }
}

const PASS: u32 = 0b1;
const TOKEN: u32 = 0b1000;
const KEY: u32 = 0b100_0000;
const PUBLIC: u32 = 0b1000_0000;
const NO_PASSWORD: u32 = 0b10_0000_0000;

/// Where the groups end, but the last.
const ENDS: [usize; 9] = [2, 5, 6, 9, 14, 16, 17, 105, 127];

/// What names of secrets have in them, and parts of names that are no secret though they have such a word in them.
static NAMES: Parts = Parts::new(&[
    // `PASS`
    "pass",
    "pwd",
    // The rest of `PASSWORD`
    "contrasena",
    "senha",
    "kennwort",
    // `AUTHORIZATION`
    "authoriz",
    // `TOKEN`: these name headers, too.
    "token",
    "secret",
    "auth",
    // The rest of `SECRET`
    "apikey",
    "api_key",
    "api-key",
    "api.key",
    "cred",
    // `MORE`
    "access",
    "private",
    // `KEY`
    "key",
    // `PUBLIC`
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
    // `WHOLE`
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
    // `NO_PASSWORD`: `password_policy: …`, `passwordFile=…`, `bypass=…`, what follows is not the password.
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
    "pass@",
    // A passport.
    "reisepass",
]);

/// Whether a name has this part, letters in any case.
pub(in crate::detect) fn has_part(name: &[u8], part: &str) -> bool {
    let part = part.as_bytes();
    let first = part.first().map_or(0, |first| first | 0x20);
    name.windows(part.len().max(1))
        .filter(|window| window.first().is_some_and(|byte| byte | 0x20 == first))
        .any(|window| window.eq_ignore_ascii_case(part))
}

/// Who looks at the value of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum Concern {
    /// Values of all names.
    Any,
    /// Passwords, and what stands in quotes as they do.
    Password,
    /// Keys and tokens.
    Key,
    /// The header with credentials, and what stands in quotes as headers on a command line do.
    Header,
}

impl Concern {
    /// Whether this value is to be looked at.
    #[inline]
    pub(super) fn has(self, keyed: &Keyed<'_>) -> bool {
        let Keyed { said, link, .. } = keyed;
        let told = *link == Link::Told;
        match self {
            Self::Any => true,
            Self::Password => {
                // `account_password` has `count` in it.
                let itself = || {
                    let end = keyed.name.get(keyed.name.len().saturating_sub(8)..);
                    end.is_some_and(|end| end.eq_ignore_ascii_case(b"password"))
                };
                (said.any(Said::PASSWORD) || keyed.quote != 0 && !told)
                    && (!said.any(NO_PASSWORD) || itself())
            }
            Self::Key => said.any(Said::SECRET | KEY) && !said.any(PUBLIC),
            Self::Header => {
                let quoted = || matches!(keyed.place.text.before(keyed.name_at), b'"' | b'\'');
                !told && (said.any(Said::AUTHORIZATION) || said.any(TOKEN | KEY) && quoted())
            }
        }
    }
}
