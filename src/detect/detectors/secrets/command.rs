//! Passwords that are passed to commands as an option without a name: `mysql -pVALUE`, `redis-cli -a VALUE`.

use super::named::is_word;
use crate::detect::Confidence;
use crate::detect::entropy::{is_placeholder, makeup};
use crate::detect::scan::probe::{Match, MatchSite};

/// Beginnings of commands; `mysql` includes `mysqldump` and `mysqladmin`.
pub(super) const COMMANDS: &[&str] = &[
    "mysql",
    "mariadb",
    "sshpass",
    "redis-cli",
    "mongo",
    "docker login",
    "podman login",
    "helm registry login",
    "az login",
    "oc login",
    "ldapsearch",
    "ldapmodify",
    "ldapadd",
    "sqlcmd",
    "unzip",
    "plink",
    "pscp",
];

/// Maximum distance in bytes from the name of the command to its option.
const LINE: usize = 200;

/// Position of an option's value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Placement {
    /// Directly after the option; a value after a space belongs to something else.
    Glued,
    /// After a space.
    Apart,
    Either,
}

/// Returns the password option of a command, and the position of the value.
fn option_of(name: &[u8]) -> (&'static str, Placement) {
    match name.to_ascii_lowercase().as_slice() {
        b"mysql" | b"mariadb" => ("-p", Placement::Glued),
        b"sshpass" | b"mongo" | b"docker login" | b"podman login" => ("-p", Placement::Either),
        b"redis-cli" => ("-a", Placement::Apart),
        b"ldapsearch" | b"ldapmodify" | b"ldapadd" => ("-w", Placement::Either),
        b"sqlcmd" | b"unzip" => ("-P", Placement::Either),
        b"plink" | b"pscp" => ("-pw", Placement::Apart),
        _ => ("-p", Placement::Apart),
    }
}

pub(super) fn option(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let name = text.slice(place.at..place.end);
    let (option, stands) = option_of(name);
    let ends = |byte: u8| matches!(byte, b'\n' | b'|' | b';' | b'&' | 0);
    let mut at = place.end;
    let value = loop {
        let byte = text.at(at);
        if ends(byte) || at.wrapping_sub(place.end) >= LINE {
            place.begins(at);
            return None;
        }
        let is_option = || {
            let mut letters = (at..).zip(option.bytes());
            letters.all(|(at, letter)| text.at(at) == letter)
        };
        if byte == b'-' && text.before(at) == b' ' && is_option() {
            let behind = at.wrapping_add(option.len());
            match text.at(behind) {
                b' ' if stands != Placement::Glued => {
                    break text.run(behind, 4, |byte| byte == b' ');
                }
                b' ' | b'-' | b'=' | b'\n' | 0 => {}
                _ if stands != Placement::Apart => break behind,
                _ => {}
            }
        }
        at = at.wrapping_add(1);
    };
    let quote = text.at(value);
    let quoted = matches!(quote, b'"' | b'\'');
    let start = value.wrapping_add(usize::from(quoted));
    place.begins(start);
    let end = text.run(start, 128, |byte| {
        if quoted {
            byte != quote && byte != b'\n' && byte != 0
        } else {
            byte > b' ' && !matches!(byte, b'"' | b'\'' | b'`' | b';' | b'|' | b'&')
        }
    });
    validate(text.slice(start..end)).map(|confidence| Match {
        start,
        end,
        confidence,
    })
}

fn validate(value: &[u8]) -> Option<Confidence> {
    let classes = makeup(value).classes();
    let known = value.starts_with(b"-") || is_placeholder(value) || is_word(value);
    match classes {
        _ if known || value.len() < 6 => None,
        3.. => Some(Confidence::High),
        2 => Some(Confidence::Medium),
        _ => None,
    }
}
