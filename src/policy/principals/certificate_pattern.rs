//! Patterns of the names in a certificate: `spiffe://*/ns/{tenant}/sa/{agent}`, `{agent}.agents.example.com`,
//! `CN={client},O=Acme`.
//!
//! A name is compared part by part, including letter case. `*` and `{name}` each match one part, or the rest of a part
//! beside literal text. A part has at most one of them, so that a name can be read in one way only. `**` matches any parts
//! at the end.

/// Syntax of a name, which determines its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameSyntax {
    /// Parts separated by `/`.
    Uri,
    /// Parts separated by `.`.
    Dns,
    /// Parts separated by `,`: the subject in the form of RFC 2253, `CN=client,O=Acme`.
    Subject,
}

impl NameSyntax {
    fn separator(self) -> char {
        match self {
            NameSyntax::Uri => '/',
            NameSyntax::Dns => '.',
            NameSyntax::Subject => ',',
        }
    }
}

/// Pattern of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificatePattern {
    syntax: NameSyntax,
    parts: Vec<NamePart>,
    /// Whether further parts may follow.
    open: bool,
}

/// Part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NamePart {
    /// Literal text.
    Literal(Box<str>),
    /// Any text that is not empty, between literal texts.
    Any {
        before: Box<str>,
        after: Box<str>,
        /// Member of the principal that gets the text.
        member: Option<Box<str>>,
    },
}

impl CertificatePattern {
    /// Compiles a pattern. The error describes what is malformed.
    pub(crate) fn parse(text: &str, syntax: NameSyntax) -> Result<CertificatePattern, String> {
        let mut parts = Vec::new();
        let mut open = false;
        let mut members: Vec<Box<str>> = Vec::new();
        for written in text.split(syntax.separator()) {
            if open {
                return Err(format!(
                    "`**` is allowed at the end of a pattern only: `{text}`"
                ));
            }
            if written == "**" {
                open = true;
                continue;
            }
            let part = part(written).ok_or_else(|| {
                format!("`{written}` can't be read; a part has at most one `*` or `{{name}}`")
            })?;
            if let NamePart::Any {
                member: Some(member),
                ..
            } = &part
            {
                if members.contains(member) {
                    return Err(format!("`{{{member}}}` occurs twice in `{text}`"));
                }
                members.push(member.clone());
            }
            parts.push(part);
        }
        let is_anything = |part: &NamePart| matches!(part, NamePart::Any { before, after, .. } if before.is_empty() && after.is_empty());
        if parts.iter().all(is_anything) {
            return Err(format!("`{text}` fits every certificate"));
        }
        Ok(CertificatePattern {
            syntax,
            parts,
            open,
        })
    }

    /// Returns the members that a name gives, if it matches the pattern.
    pub(crate) fn captures<'p>(&'p self, name: &str) -> Option<Vec<(&'p str, String)>> {
        // A backslash begins an escape of RFC 2253, after which even a comma is part of a value.
        if name.contains('\\') || name.chars().any(char::is_control) {
            return None;
        }
        let mut captures = Vec::new();
        let mut written = name.split(self.syntax.separator());
        for part in &self.parts {
            let text = written.next()?;
            match part {
                NamePart::Literal(literal) if **literal == *text => {}
                NamePart::Literal(_) => return None,
                NamePart::Any {
                    before,
                    after,
                    member,
                } => {
                    let value = text.strip_prefix(&**before)?.strip_suffix(&**after)?;
                    if value.is_empty() {
                        return None;
                    }
                    if let Some(member) = member {
                        captures.push((&**member, value.to_owned()));
                    }
                }
            }
        }
        (self.open || written.next().is_none()).then_some(captures)
    }

    /// Returns the members that the pattern gives.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn members(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            NamePart::Any { member, .. } => member.as_deref(),
            NamePart::Literal(_) => None,
        })
    }
}

/// Parses a part: `ns`, `*`, `{tenant}`, `CN={client}`.
fn part(written: &str) -> Option<NamePart> {
    let Some(start) = written.find(['*', '{', '}']) else {
        return Some(NamePart::Literal(written.into()));
    };
    let (before, rest) = written.split_at_checked(start)?;
    let (member, after) = match rest.strip_prefix('*') {
        Some(after) => (None, after),
        None => {
            let (member, after) = rest.strip_prefix('{')?.split_once('}')?;
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if member.is_empty() || !member.bytes().all(is_name) {
                return None;
            }
            (Some(Box::from(member)), after)
        }
    };
    (!after.contains(['*', '{', '}'])).then(|| NamePart::Any {
        before: before.into(),
        after: after.into(),
        member,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, syntax: NameSyntax, name: &str) -> Option<String> {
        let pattern = CertificatePattern::parse(pattern, syntax).unwrap();
        let captures = pattern.captures(name)?;
        let written: Vec<String> = captures
            .iter()
            .map(|(member, value)| format!("{member}={value}"))
            .collect();
        Some(written.join(" "))
    }

    #[test]
    fn parts_become_members() {
        let workload = "spiffe://*/ns/{tenant}/sa/{agent}";
        let name = "spiffe://cluster.local/ns/acme/sa/support-bot";
        assert_eq!(
            captured(workload, NameSyntax::Uri, name).as_deref(),
            Some("tenant=acme agent=support-bot")
        );
        assert_eq!(
            captured(
                "{agent}.agents.acme.com",
                NameSyntax::Dns,
                "bot.agents.acme.com"
            )
            .as_deref(),
            Some("agent=bot")
        );
        assert_eq!(
            captured("CN={client},O=Acme", NameSyntax::Subject, "CN=bot,O=Acme").as_deref(),
            Some("client=bot")
        );
        assert_eq!(
            captured("CN={client},**", NameSyntax::Subject, "CN=bot,O=Acme,C=DE").as_deref(),
            Some("client=bot")
        );
    }

    #[test]
    fn a_name_that_only_resembles_it_does_not_fit() {
        let workload = "spiffe://td/ns/{tenant}/sa/{agent}";
        for name in [
            "spiffe://td/ns/acme/sa/bot/extra",
            "spiffe://td/ns/acme/sa/",
            "spiffe://td/ns/acme/x/sa/bot",
            "spiffe://TD/ns/acme/sa/bot",
            "spiffe://td.evil/ns/acme/sa/bot",
            "spiffe://td/ns/acme/sa/bot\n",
            "https://td/ns/acme/sa/bot",
            "",
        ] {
            assert_eq!(captured(workload, NameSyntax::Uri, name), None, "{name}");
        }
        // This is one attribute, whose value is `bot,O=Acme`.
        assert_eq!(
            captured("CN={client},O=Acme", NameSyntax::Subject, "CN=bot\\,O=Acme"),
            None
        );
    }

    #[test]
    fn a_pattern_can_be_read_in_one_way_only() {
        for wrong in [
            "{a}{b}",
            "{a",
            "{}",
            "a*b*",
            "**/a",
            "*",
            "{agent}",
            "{a}/x/{a}",
        ] {
            assert!(
                CertificatePattern::parse(wrong, NameSyntax::Uri).is_err(),
                "{wrong}"
            );
        }
    }
}
