//! Passwords, identified by their name.

use super::apart::{below, default_of, is_alone};
use super::command;
use super::named::{is_code, is_numbered, is_snippet, is_word};
use crate::detect::entropy::{CharClasses, is_placeholder, makeup, marks};
use crate::detect::scan::alphabet::Binding;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::named_value::VALUE;
use crate::detect::scan::names::{KeyFilter, NameGroups, has_part};
use crate::detect::scan::probe::{Match, MatchSite, NamedValue};
use crate::detect::substring_set::SubstringSet;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static PASSWORD: Detector = Detector {
    name: "password",
    groups: &["secrets.login"],
    doc: Doc {
        finds: "A value that is assigned to, compared with or stands beside a name with `pass`, `pwd`, `passphrase` in it, or after a word such as `пароль`, `密码` or `hasło`; or to a secret's name if it has the punctuation of a password; or that a command such as `mysql`, `redis-cli` or `docker login` is given as its option for passwords; or behind `IDENTIFIED BY`, `pw:` or `bindpw`; or on the line below `password:`; or as the default of such a variable of Terraform.",
        misses: "References, placeholders, types, words and sentences; short values without digits.",
        source: "Names as used in configuration files; CWE-259, CWE-798",
    },
    reach: 512,
    context: WORDS,
    anchors: &[
        Anchor::Keyed(6..=VALUE, KeyFilter::Password, password),
        Anchor::Mixed(
            2..=40,
            PreFilter::ALWAYS.in_context().in_wide_text(),
            elsewhere,
        ),
        Anchor::Number(
            1..=12,
            PreFilter::ALWAYS.in_context().in_wide_text(),
            elsewhere,
        ),
        Anchor::Word(LATIN, assigned),
        Anchor::Word(&["pw: ", "bindpw", "rootpw"], short),
        Anchor::Word(&["password:", "passphrase:", "passwort:"], under),
        Anchor::Word(&["variable \""], variable),
        Anchor::Word(command::COMMANDS, command::option),
        Anchor::Word(
            &["if (", "if(", "identified by ", "convertto-securestring "],
            compared,
        ),
    ],
    hits: &[
        hit(
            "ACCOUNT_PASSWORD=kX9mQ2vLw3\nCREATE USER app IDENTIFIED BY 'Gk!r7uPq2wE'",
            &["kX9mQ2vLw3", "Gk!r7uPq2wE"],
        ),
        hit(
            "| password | kX9#mQ2vL |\nbuilder.password(\"hunter2Xy!\")",
            &["kX9#mQ2vL", "hunter2Xy!"],
        ),
        hit(
            "DB_PASSWORD=Tr0ub4dor&3 ./run & curl 'https://example.com/?password=Tr0ub4dor2&x=1', password=Tr0ub4dor4&$MORE",
            &["Tr0ub4dor&3", "Tr0ub4dor2", "Tr0ub4dor4"],
        ),
        hit(
            "das Passwort lautet kX9#mQ2vL, la clave: kX9#mQ2vM, password set to kX9#mQ2vN",
            &["kX9#mQ2vL", "kX9#mQ2vM", "kX9#mQ2vN"],
        ),
        hit(
            "pw: kX9#mQ2vL, bindpw kX9#mQ2vM\nPassword:\n```\nkX9#mQ2vN\n```",
            &["kX9#mQ2vL", "kX9#mQ2vM", "kX9#mQ2vN"],
        ),
        hit(
            "variable \"db_password\" {\n  type    = string\n  default = \"kX9#mQ2vL\"\n}",
            &["kX9#mQ2vL"],
        ),
        hit(
            "пароль: kewa6TrHja#7, 密码：xJvmCNsLES#7。hasło = \"HRZMOIBsh0\"",
            &["kewa6TrHja#7", "xJvmCNsLES#7", "HRZMOIBsh0"],
        ),
        hit(
            "Passwort: Ugdwuy862#6avw7, contraseña: Ugdwuy862#6avw8",
            &["Ugdwuy862#6avw7", "Ugdwuy862#6avw8"],
        ),
        hit("DB_PASSWORD=Ugdwuy862#6avw7", &["Ugdwuy862#6avw7"]),
        hit(
            "{\"username\":\"lee\",\"password\":\"Nlrram353%cB\"}",
            &["Nlrram353%cB"],
        ),
        hit(
            "login with user lee and passphrase Pjdcdu078#Yhd please",
            &["Pjdcdu078#Yhd"],
        ),
        hit(
            "user bob, pass `kX9#mQ2vL`; pass: \"Gk!r7uPq2wE\"; login with pass kX9mQ2vLw3#",
            &["kX9#mQ2vL", "Gk!r7uPq2wE", "kX9mQ2vLw3#"],
        ),
        hit("<password>Gtbd11?Va</password>", &["Gtbd11?Va"]),
        hit(
            "mysqldump -u root -pwr7Kd93xQ -P 3306 shop; redis-cli -h cache -a 'kd8 Qx3zP!' ping",
            &["wr7Kd93xQ", "kd8 Qx3zP!"],
        ),
        hit(
            "sshpass -p Trw4ub9dr ssh ops@host && docker login -u bot -p \"x8Kq20-pLw\" registry.example.com",
            &["Trw4ub9dr", "x8Kq20-pLw"],
        ),
    ],
    misses: &[
        miss(
            "password:\n  secretKeyRef:\n    name: db2-Login\n\nvariable \"db_password\" {\n  type = string\n}\nvariable \"size\" {\n  default = \"t3.Micro-2\"\n}",
            "names, and another variable's default",
        ),
        miss(
            "password is Base64-encoded or AES256-GCM, password to Server01-Prod, password = db.Column(db.String(80)), 'password' => 'required|min:8'",
            "words with numbers, code, a rule",
        ),
        miss("Reisepass: JRRZ7GG47", "a passport"),
        miss(
            "\"nextToken\": \"VmbS+nFuK/h/+Bo0G9ZCuAE5dN/OWcIYt9/Vif8QU76SwKe9Naus92iqMcZTaPm5aFuk37gMSO4pSu/C\", user:password@localhost:5432/db",
            "Base64 that no person typed, and a host",
        ),
        miss(
            "PASS: Suite1.TestFoo\nPASS - Suite1.TestFoo | PASS | Suite2.TestFoo | what we pass to `Vec2.Foo`",
            "tests and functions",
        ),
        miss(
            "encrypted_password: varchar(255), t.password(\"Must contain 8 Chars\"), identified by 'app'",
            "a type, a sentence, a name",
        ),
        miss(
            "mysql -u root -p shop1Data, mysql -p$DB_PASSWORD, mysqldump -pPASSWORD -P 33060, sshpass -p \"$PW1\" ssh host",
            "a database, references, a placeholder, a port",
        ),
        miss(
            "docker run -p 127.0.0.1:8080:80 web, after docker login; docker run -p Q1w2e3r4",
            "another command's option",
        ),
        miss(
            "Пароль не короче 8 знаков: a-z, A-Z, 0-9",
            "nothing that is one",
        ),
        miss("\"PasswordLastUsed\": \"2016-09-08T21:47:36Z\"", "a time"),
        miss(
            "also pass `--cfg tokio_unstable`, not pass `TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF`",
            "an option and a name of a program",
        ),
        miss(
            "Pass `run_in_background: false`, pass `timeout_ms: 120000`, pass `limit=2000`, pass 'offset=10', pass `kind: \"Explore2\"`, pass `model=\"fast-4\"`, pass `resume: agent_id2`",
            "arguments of a tool",
        ),
        miss(
            "pass `Option<String>`, pass `Vec2::new(1, 2)`, pass `&mut self.buf2[..]`, pass `foo(bar1)`, pass `x1 => x1.id`, pass `{\"n\": 2}`",
            "types and expressions",
        ),
        miss(
            "password: process.env.DB_PASSWORD2, password: config2.auth.password, password = z.string().min(8), password: Secret<String>, pwd: [u8; 32], { PassThrough: PassThrough8 }, { PassThrough: _3 } = f1(\"x\")",
            "references, types, names",
        ),
        miss(
            "TOKEN_TYPE = \"urn:ietf:params:oauth:token-type:saml2\", \"TOKEN\", \"ghcr.io/org/mcp-server:latest\", \"enforcedAuthType\": \"oauth-personal|api-key|…\", key = `[a-z]${REST}{0,255}`",
            "names, an image, choices, a pattern",
        ),
        miss(
            "{\"pass\":\"Only one role value used\",\"fail\":\"Use one\"}, read('../../etc/passwd', 'the content 1!')",
            "the outcome of a test, a file",
        ),
        miss(
            "throw Error('Cannot pass \"'+name(b1)+'\" as a ') || 'should pass \"` + $rule.keyword + `\" validation'",
            "what stands between two strings of a program",
        ),
        miss(
            "{\"Failed to validate credentials\":\"凭据验证失败\",\"Any other key\":\"任意其他键\"}",
            "translated messages",
        ),
        miss(
            "reset your password: https://example.com/reset",
            "an address",
        ),
        miss("password: {{ .Values.db.password }}", "a reference"),
        miss("password = os.environ[\"DB_PASSWORD\"]", "code"),
        miss("\"password\": \"string\"", "a type"),
        miss("password=<your-password>", "a placeholder"),
        miss("def check_password(password: str) -> bool:", "a type"),
    ],
};

/// Passwords that documentation prints: the reference of nuget.config.
const SAMPLES: &[&[u8]] = &[b"33f!!lloppa", b"hal+9ooo_da!sY"];

/// Words that a value contains where no password is written.
static PLACEHOLDERS: SubstringSet = SubstringSet::new(&[
    "your",
    "example",
    "changeme",
    "change_me",
    "change-me",
    "placeholder",
    "redacted",
    "xxxx",
    "****",
    "<pass",
    "enter ",
    "insert",
    "secret_here",
    "varchar",
    "required",
    "nullable",
]);

fn password(keyed: &NamedValue<'_>) -> Option<Match> {
    let value = keyed.bytes();
    let kinds = keyed.kinds;
    let quoted = keyed.quote != 0;
    let spaces = || value.contains(&b' ');
    let punctuation = kinds.others >= 6 && !spaces();
    let classes = kinds.classes();
    let strong = value.len() >= 6 && classes >= 3 || punctuation && value.len() >= 8;
    let plain =
        value.len() >= 6 && kinds.digits > 0 && kinds.capitals.wrapping_add(kinds.smalls) > 0;
    // Any other unquoted value is not a password, whatever its name.
    let likely = quoted || strong || plain;
    let confidence = if !(likely && keyed.said.any(NameGroups::PASSWORD)) {
        // A quoted value with many marks was typed by a person, whatever its name.
        let is_likely = quoted && punctuation && value.len() >= 8 && keyed.link != Binding::Prose;
        let said = value
            .iter()
            .any(|byte| byte.is_ascii_punctuation() && !matches!(byte, b'_' | b'-' | b'.'));
        (is_likely
            && (said || kinds.digits > 0)
            && (classes >= 2 || !value.is_ascii())
            && !is_program(value, kinds)
            && !is_image(value))
        .then_some(Confidence::Medium)
    } else {
        match keyed.link {
            Binding::Prose => {
                let likely = strong && kinds.digits > 0 && !spaces();
                (likely
                    && !is_program(value, kinds)
                    && !is_path(value, kinds)
                    && !is_numbered(value))
                .then_some(Confidence::Medium)
            }
            Binding::Beside if !quoted => strong.then_some(Confidence::Medium),
            _ if quoted && spaces() => ((12..=64).contains(&value.len()) && !is_sentence(value))
                .then_some(Confidence::Medium),
            _ if quoted && (strong || plain) && !is_code(value, kinds) => Some(Confidence::High),
            _ if quoted
                && value.len() >= 8
                && classes >= 2
                && !is_code(value, kinds)
                && !is_identifier(value) =>
            {
                Some(Confidence::Medium)
            }
            _ if !quoted && is_path(value, kinds) => None,
            // `PASS: Suite1.TestLogin`
            _ if !quoted && keyed.name.len() == 4 && is_numbered(value) => None,
            _ if !quoted && strong && kinds.digits > 0 && !is_program(value, kinds) => {
                Some(Confidence::High)
            }
            Binding::Assigned if !quoted && plain && !is_program(value, kinds) => {
                Some(Confidence::Medium)
            }
            _ => None,
        }
    };
    let confidence = confidence?;
    let option = value.starts_with(b"--");
    let time =
        matches!(value, [y, _, _, _, b'-', _, _, b'-', _, _, b'T', ..] if y.is_ascii_digit());
    let constant = keyed.link != Binding::Assigned && is_identifier(value);
    if option || time || constant || is_snippet(value, kinds) || is_verb(keyed) {
        return None;
    }
    if kinds.is_reference(value)
        || kinds.is_repetitive(value)
        || PLACEHOLDERS.stand_in(value)
        || is_word(value)
        || SAMPLES.contains(&value)
    {
        return None;
    }
    Some(keyed.found(confidence))
}

/// Returns whether `pass` is a verb or the outcome of a test: `Pass "Explore2"`, `{"pass": "All roles are valid"}`;
/// or belongs to the file `/etc/passwd`.
fn is_verb(keyed: &NamedValue<'_>) -> bool {
    let value = keyed.bytes();
    let text = keyed.place.text;
    let name = keyed.name;
    let is_pass = name.len() == 4 || name.ends_with(b"-pass") || name.ends_with(b".pass");
    let sentence = keyed.quote != 0 && value.contains(&b' ') && keyed.kinds.digits == 0;
    let beside = matches!(keyed.link, Binding::Beside | Binding::Prose);
    is_pass && (sentence || beside && (is_numbered(value) || is_path(value, keyed.kinds)))
        || text.precedes(keyed.name_at, "etc/")
        || name.ends_with(b"etc_passwd")
}

/// `ghcr.io/org/image:latest`
fn is_image(value: &[u8]) -> bool {
    let part =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/_.:@-".contains(byte);
    value.contains(&b'/') && value.iter().all(part)
}

/// Returns whether a value is a path or a name: `PASS: gdb.ada/assign_1.exp`, `pass file0_dirname`.
fn is_path(value: &[u8], kinds: CharClasses) -> bool {
    let joined = value.iter().any(|byte| matches!(byte, b'/' | b'_'));
    let part = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'/' | b'_' | b'.')
    };
    joined && value.iter().all(part) && kinds.smalls > kinds.digits.wrapping_mul(3)
}

/// Returns whether a value is a reference in a program, or a piece of it.
fn is_program(value: &[u8], kinds: CharClasses) -> bool {
    // `Column(String(80`, `*get1_by_user(table`
    let pointer = value.strip_prefix(b"*");
    let value = pointer.unwrap_or(value);
    // `config2.auth.password`
    let member = kinds.may_have(marks::DOT)
        && value.contains(&b'.')
        && value.split(|byte| *byte == b'.').all(|word| {
            let letters = word
                .iter()
                .take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'_');
            let letters = letters.count();
            let digits = word.get(letters..).unwrap_or_default();
            letters > 1 && digits.len() <= 1 && digits.iter().all(u8::is_ascii_digit)
        });
    if member {
        return true;
    }
    let named = |byte: &&u8| {
        byte.is_ascii_alphabetic()
            || matches!(**byte, b'_' | b'.')
            || pointer.is_some() && byte.is_ascii_digit()
    };
    let called = value.iter().take_while(named).count();
    let call = called > 3 && value.get(called) == Some(&b'(');
    call || is_code(value, kinds) || is_code_with_marks(value, kinds)
}

/// Returns whether a value is only letters with `_`, `-` or `.` between them: a name, not a password.
fn is_identifier(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Returns whether a value is words with spaces and a full stop, or many words.
fn is_sentence(value: &[u8]) -> bool {
    let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').collect();
    let common = [
        "the", "is", "your", "a", "to", "for", "of", "must", "be", "in", "not", "please", "or",
        "at", "least", "can", "has", "you", "this", "are", "an",
    ];
    let known = words
        .iter()
        .filter(|word| {
            common
                .iter()
                .any(|common| word.eq_ignore_ascii_case(common.as_bytes()))
        })
        .count();
    words.len() > 6
        || known > 0
        || value.ends_with(b".")
        || value.ends_with(b":")
        || value.contains(&b',')
        || value.contains(&b'=')
}

/// Returns whether a value contains brackets and operators of a program. A typed password may contain any of them,
/// but then it has many marks.
fn is_code_with_marks(value: &[u8], kinds: CharClasses) -> bool {
    let all = marks::EQUALS | marks::BRACKET | marks::REFERENCE | marks::SLASH | marks::QUOTE;
    if !kinds.may_have(all) || kinds.others >= 10 {
        return false;
    }
    let two = value.windows(2).any(|two| {
        matches!(
            two,
            [b']', b'('] | [b'=', b'='] | [b'(' | b'$', b'{'] | [b'<', b'/'] | [b'[', b'"' | b'\'']
        )
    });
    two || value.contains(&b'\\') || value.windows(3).any(|three| three == b"://")
}

/// Words for a password that names in programs do not contain; first those that also occur in texts without other
/// letters.
const WORDS: &[&str] = &[
    "wachtwoord",
    "haslo",
    "parola",
    "losenord",
    "kodeord",
    "adgangskode",
    "salasana",
    "heslo",
    "jelszo",
    "sifre",
    "mat khau",
    "lozinka",
    "clave",
    "mdp",
    "пароль",
    "密码",
    "密碼",
    "口令",
    "パスワード",
    "暗証番号",
    "비밀번호",
    "암호",
    "รหัสผ่าน",
    "كلمة المرور",
    "סיסמה",
    "पासवर्ड",
];

const LATIN: &[&str] = WORDS.split_at(14).0;

fn is_of_value(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'\'' | b'`' | b',' | b';' | b'<' | b'>' | b'|')
}

fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'"' | b'\'' | b'`')
}

/// `wachtwoord: …`, `haslo=…`
fn assigned(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let sign = text.run(place.end, 3, is_between);
    matches!(text.at(sign), b':' | b'=').then_some(())?;
    let start = text.run(sign.wrapping_add(1), 3, is_between);
    value_from(place, start)
}

/// `pw: …`; `bindpw …` (nslcd.conf(5)); `rootpw …` (slapd.conf(5))
fn short(place: &MatchSite<'_>) -> Option<Match> {
    let sign = |byte: u8| is_between(byte) || matches!(byte, b':' | b'=');
    let start = place.text.run(place.end, 4, sign);
    value_from(place, start)
}

/// `Password:` and the value on the next line.
fn under(place: &MatchSite<'_>) -> Option<Match> {
    apart(place, below(place)?)
}

/// `variable "db_password" { default = "…" }`
fn variable(place: &MatchSite<'_>) -> Option<Match> {
    apart(place, default_of(place, &["pass", "pwd"])?)
}

fn apart(place: &MatchSite<'_>, start: usize) -> Option<Match> {
    value_from(place, start).filter(|found| is_alone(place, found.end))
}

/// Maximum bytes of a value without quotes.
const MAX_BARE: usize = 64;

/// `пароль: …`, `hasło = …`: words of languages that names in programs are not in.
fn elsewhere(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let start = text.run_back(place.at, 40, is_of_value);
    place.begins(start);
    let sign = text.run_back(start, 3, is_between);
    // `key=value` and `key:value` have no space between them.
    let glued = text
        .slice(start..place.at)
        .iter()
        .position(|byte| matches!(byte, b':' | b'='));
    let start = match glued {
        Some(sign) => start.wrapping_add(sign).wrapping_add(1),
        None if matches!(text.before(sign), b':' | b'=') => start,
        None if place.is_whole(&(start..text.run(start, MAX_BARE, is_of_value))) => start,
        None => return None,
    };
    // Of a stream the beginning of what is longer than a value has left by the time that a token at its end is whole.
    let is_inside = place.end <= start.wrapping_add(MAX_BARE);
    value_from(place, start).filter(|_| is_inside && place.context(start))
}

/// Returns where the value that begins here ends, if it resembles a password.
fn value_from(place: &MatchSite<'_>, start: usize) -> Option<Match> {
    let text = place.text;
    let end = text.run(start, MAX_BARE, is_of_value);
    let end = text.run_back_in(start..end, |byte| matches!(byte, b'.' | b')' | b'}'));
    let value = text.slice(start..end);
    let kinds = makeup(value);
    let classes = kinds.classes();
    let is_likely =
        kinds.digits > 0 && (value.len() >= 6 && classes >= 3 || value.len() >= 8 && classes >= 2);
    let known = || {
        kinds.is_reference(value)
            || kinds.is_repetitive(value)
            || is_program(value, kinds)
            || is_path(value, kinds)
            || PLACEHOLDERS.stand_in(value)
            || is_word(value)
    };
    (is_likely && !known()).then_some(Match {
        start,
        end,
        confidence: Confidence::Medium,
    })
}

/// `if ("value" == password)`, and `IDENTIFIED BY 'value'`.
fn compared(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let from = text.run(place.end, 4, |byte| byte == b' ');
    let quote = text.at(from);
    if !matches!(quote, b'"' | b'\'' | b'`') {
        return None;
    }
    let start = from.wrapping_add(1);
    place.begins(start);
    let end = text.run(start, 128, |byte| {
        byte != quote && byte != b'\n' && byte != 0
    });
    let sign = text.run(end.wrapping_add(1), 2, |byte| byte == b' ');
    let name = text.run(sign, 3, |byte| matches!(byte, b'=' | b'!'));
    let compares = text.follows(place.at, "if");
    if text.at(end) != quote || compares && name.wrapping_sub(sign) < 2 {
        return None;
    }
    let name = text.run(name, 2, |byte| byte == b' ');
    let name_end = text.run(name, 40, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
    });
    let named = text.slice(name..name_end);
    let secret = ["pass", "pwd", "secret", "apikey", "api_key", "token"]
        .iter()
        .any(|part| has_part(named, part));
    let value = text.slice(start..end);
    let kinds = makeup(value);
    let is_likely =
        value.len() >= 8 && (kinds.digits > 0 || kinds.others > 3) && !is_placeholder(value);
    ((secret || !compares) && is_likely).then_some(Match {
        start,
        end,
        confidence: Confidence::Medium,
    })
}
