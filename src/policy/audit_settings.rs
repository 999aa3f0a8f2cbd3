//! Key `audit`: the MAC key and the content of audit events.

use super::decode::{Decoder, PolicyPath};
use super::grammar::AuditKey;
use super::inspect;
use super::node::Node;
use super::words::ContentForm;
use crate::diag::{Fix, Severity, codes};

/// Maximum bytes of content. Each audit event is one line, in the memory of Envoy and of its reader.
const LARGEST_CONTENT: (u64, &str) = (256 << 10, "256KiB");

/// Settings under `audit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Environment variable with the key of the chain's MAC.
    pub key: Option<Box<str>>,
    /// Content of audit events, unless a matching rule has its own `content`.
    pub content: ContentForm,
    /// Maximum bytes of content of a request, and of a response.
    pub max_content: usize,
}

impl AuditSettings {
    pub(crate) const DEFAULT: AuditSettings = AuditSettings {
        key: None,
        content: ContentForm::None,
        max_content: 4 << 10,
    };
}

/// Reads the key `audit`.
pub(super) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> AuditSettings {
    let mut settings = AuditSettings::DEFAULT;
    for (key, member) in decoder.keys(at, node).into_iter().flatten() {
        let at = at.key(&member.key);
        match key {
            AuditKey::Key => {
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
            AuditKey::Content => {
                if let Some(form) = read_content_form(decoder, &at, &member.value) {
                    settings.content = form;
                }
            }
            AuditKey::MaxContent => {
                let size =
                    inspect::size_up_to(decoder, &at, &member.value, LARGEST_CONTENT, "4KiB");
                let size = size.and_then(|size| usize::try_from(size).ok());
                settings.max_content = size.unwrap_or(settings.max_content);
            }
        }
    }
    settings
}

/// Reads the form of content in audit events. Reports a warning for the raw form.
pub(crate) fn read_content_form(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Option<ContentForm> {
    let form = decoder.one_of(at, node);
    if form == Some(ContentForm::Full) {
        let message =
            "audit events have the raw text of conversations, with personal data and secrets in it"
                .to_owned();
        let span = node.span.clone();
        if let Some(diagnostic) =
            decoder.report(Severity::Warning, codes::AG1026, at, span.clone(), message)
        {
            diagnostic.help =
                Some("`redacted` masks what detectors find and what rules redact".to_owned());
            diagnostic.fix = Some(Fix {
                span,
                with: ContentForm::Redacted.word().to_owned(),
            });
        }
    }
    form
}
