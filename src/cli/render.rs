//! Rendering of diagnostics as text or JSON. The only user of annotate-snippets.

use super::source::Source;
use crate::diag::{Diagnostic, Fix, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use serde_json::json;
use std::io::IsTerminal;

/// One object: `{code, severity, file, line, column, byte_start, byte_end, path, message, help, fix?}`.
pub(super) fn as_json(source: &Source, diagnostic: &Diagnostic) -> String {
    let (line, column) = source.position(diagnostic.span.start);
    let mut object = json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.word(),
        "file": source.name,
        "line": line,
        "column": column,
        "byte_start": source.place_in_file(diagnostic.span.start),
        "byte_end": source.place_in_file(diagnostic.span.end),
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
    let title = level
        .clone()
        .primary_title(&*diagnostic.message)
        .id(diagnostic.code);
    let length = source.text.len();
    let span = diagnostic.span.start.min(length)..diagnostic.span.end.min(length);
    let mut annotation = AnnotationKind::Primary.span(span);
    if let Some(label) = &diagnostic.label {
        annotation = annotation.label(&**label);
    }
    let mut group = Group::with_title(title).element(
        Snippet::source(&source.text)
            .path(&*source.name)
            .fold(true)
            .annotation(annotation),
    );
    let mut groups = Vec::new();
    match (&diagnostic.help, &diagnostic.fix) {
        (Some(help), Some(fix)) => {
            groups.push(group);
            groups.push(
                Group::with_title(Level::HELP.secondary_title(&**help)).element(
                    Snippet::source(&source.text)
                        .path(&*source.name)
                        .fold(true)
                        .patch(Patch::new(fix.span.clone(), written(source, fix))),
                ),
            );
        }
        (Some(help), None) => {
            group = group.element(Level::HELP.message(&**help));
            groups.push(group);
        }
        (None, _) => groups.push(group),
    }
    renderer().render(&groups)
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
