//! Rendering of diagnostics as text or JSON. The only user of annotate-snippets.

use super::output::{visible, visible_rendered};
use super::source::Source;
use crate::diag::{Diagnostic, Fix, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use serde_json::json;
use std::io::IsTerminal;

/// Returns one object:
/// `{code, severity, file, line, column, byte_start, byte_end, path, message, help, fix?}`.
pub(super) fn as_json(source: &Source, diagnostic: &Diagnostic) -> String {
    let (line, column) = source.position(diagnostic.span.start);
    let span = source.whole_characters(&diagnostic.span);
    let mut object = json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.word(),
        "file": source.name,
        "line": line,
        "column": column,
        "byte_start": source.place_in_file(span.start),
        "byte_end": source.place_in_file(span.end),
        "path": diagnostic.path,
        "message": diagnostic.message,
        "help": diagnostic.help,
    });
    if let (Some(fix), Some(members)) = (&diagnostic.fix, object.as_object_mut()) {
        members.insert(
            "fix".to_owned(),
            json!({
                "byte_start": source.place_in_file(fix.span.start),
                "byte_end": source.place_in_file(fix.span.end),
                "with": written(source, fix),
            }),
        );
    }
    object.to_string()
}

/// Returns the replacement of a fix, quoted if the original is quoted.
fn written(source: &Source, fix: &Fix) -> String {
    let wrong = source.text.get(fix.span.clone()).unwrap_or_default();
    let quotes = ['"', '\''].into_iter();
    let mut around = quotes
        .filter(|quote| wrong.len() > 1 && wrong.starts_with(*quote) && wrong.ends_with(*quote));
    match around.next() {
        Some(quote) => format!("{quote}{}{quote}", fix.with),
        None => fix.with.clone(),
    }
}

/// Renders the source line with a caret, the help, and the fixed line if there is a suggested fix.
pub(super) fn as_text(source: &Source, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let [message, name] = [&diagnostic.message, &source.name].map(|text| visible(text));
    let label = diagnostic.label.as_deref().map(visible);
    let help = diagnostic.help.as_deref().map(visible);
    let title = level.clone().primary_title(&*message).id(diagnostic.code);
    let mut annotation = AnnotationKind::Primary.span(source.whole_characters(&diagnostic.span));
    if let Some(label) = &label {
        annotation = annotation.label(&**label);
    }
    let mut group = Group::with_title(title).element(
        Snippet::source(&source.text)
            .path(&*name)
            .fold(true)
            .annotation(annotation),
    );
    let mut groups = Vec::new();
    match (&help, &diagnostic.fix) {
        (Some(help), Some(fix)) => {
            groups.push(group);
            groups.push(
                Group::with_title(Level::HELP.secondary_title(&**help)).element(
                    Snippet::source(&source.text)
                        .path(&*name)
                        .fold(true)
                        .patch(Patch::new(
                            source.whole_characters(&fix.span),
                            written(source, fix),
                        )),
                ),
            );
        }
        (Some(help), None) => {
            group = group.element(Level::HELP.message(&**help));
            groups.push(group);
        }
        (None, _) => groups.push(group),
    }
    // The library replaces control characters in the lines that it quotes, but not invisible ones.
    visible_rendered(&renderer().render(&groups))
}

fn renderer() -> Renderer {
    #[expect(
        clippy::disallowed_methods,
        reason = "whether to colour is a question about the terminal, not about the policy"
    )]
    let plain = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty())
        || std::env::var("TERM").is_ok_and(|terminal| terminal == "dumb");
    if std::io::stdout().is_terminal() && !plain {
        Renderer::styled()
    } else {
        Renderer::plain()
    }
}
