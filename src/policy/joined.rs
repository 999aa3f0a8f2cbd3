//! Names of tools that a client joined with the name of their server. Models and providers see them like this:
//!
//! - `mcp__github__delete_repo`: Claude Code, codex, opencode, AgentScope; `github__delete_repo`: Envoy AI Gateway, MetaMCP,
//!   older Gemini CLI; `github___delete_repo`: Bedrock AgentCore;
//! - `mcp_github_delete_repo`: Gemini CLI, Cursor, VS Code; `mcp--github--delete_repo`: Roo Code;
//! - `github_delete_repo`: LangChain's and Agno's adapters, agentgateway, older opencode; `github-delete_repo`: LiteLLM,
//!   Semantic Kernel;
//! - `github.delete_repo`, `github/delete_repo`, `github:delete_repo`: gateways, Gemini's and OpenAI's namespaces.
//!
//! A single `_` or `-` also joins the words of one name: `file_delete` is not `delete` of a server `file`. After such a
//! joint, the rest counts as a tool's name only if it has two words itself, which a rule hardly names by chance, or if the
//! whole name begins with `mcp_`.

use crate::detect::fold_name;
use std::borrow::Cow;

/// Maximum joints that are read, from the end. Names of tools have fewer words.
const MAX_JOINED_NAMES: usize = 16;

/// Calls `visit` with each name that a tool may have at its server; if `qualified`, also with `server/tool`.
pub(crate) fn each<'n>(name: &'n str, qualified: bool, visit: &mut dyn FnMut(Cow<'n, str>)) {
    if name.is_ascii() {
        each_part(name, qualified, &mut |tail, server| {
            visit(match server {
                Some(server) => Cow::Owned(format!("{server}/{tail}")),
                None => Cow::Borrowed(tail),
            });
        });
    } else {
        each_part(&fold_name(name), qualified, &mut |tail, server| {
            visit(Cow::Owned(match server {
                Some(server) => format!("{server}/{tail}"),
                None => tail.to_owned(),
            }));
        });
    }
}

fn each_part<'n>(name: &'n str, qualified: bool, visit: &mut dyn FnMut(&'n str, Option<&'n str>)) {
    let is_trimmed = |end: Option<&u8>| end.is_some_and(u8::is_ascii_graphic);
    let ends = [name.as_bytes().first(), name.as_bytes().last()];
    let name = match ends.into_iter().all(is_trimmed) {
        true => name,
        false => name.trim(),
    };
    let may_be_marked = name.starts_with(['m', 'M']);
    if !may_be_marked && is_one_word_after_another(name) {
        return;
    }
    let markers = ["mcp_", "mcp-", "MCP_", "Mcp_"].iter();
    let marked = may_be_marked
        .then(|| {
            markers
                .into_iter()
                .find_map(|marker| name.strip_prefix(marker))
        })
        .flatten();
    // Start of the server's name.
    let start = marked.map_or(0, |rest| {
        name.len()
            .saturating_sub(rest.trim_start_matches(['_', '-']).len())
    });
    let mut head = name.as_bytes();
    for _ in 0..MAX_JOINED_NAMES {
        let Some(at) = head.iter().rposition(is_joint) else {
            return;
        };
        // The whole joint: `__`.
        let end = without_joints(head.get(..at).unwrap_or_default()).len();
        let joint = head.get(end..=at).unwrap_or_default();
        let tail = name.get(at.saturating_add(1)..).unwrap_or_default();
        let is_strong = joint.len() > 1 || !matches!(joint, b"_" | b"-");
        if !tail.is_empty() && (is_strong || marked.is_some() || has_words(tail)) {
            visit(tail, None);
            let server = name.get(start..end).unwrap_or_default();
            if qualified && !server.is_empty() {
                let server = server.rsplit(['/', ':', '.']).next().unwrap_or_default();
                let server = server.rsplit("__").next().unwrap_or_default();
                visit(tail, Some(server.rsplit("--").next().unwrap_or_default()));
            }
        }
        head = head.get(..end).unwrap_or_default();
    }
}

/// Returns whether a name has at most one joint, which is a single `_` or `-`, and no capitals: `get_customer`, as most
/// names do. Such a name contains no other name.
fn is_one_word_after_another(name: &str) -> bool {
    let mut has_joint = false;
    name.bytes().all(|byte| match byte {
        b'_' | b'-' => !std::mem::replace(&mut has_joint, true),
        b'A'..=b'Z' | b'.' | b'/' | b':' => false,
        _ => true,
    })
}

/// Returns whether a byte joins names. Joints are ASCII, so that a cut beside one is between characters.
fn is_joint(byte: &u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b'/' | b':')
}

/// Returns a name without the joints at its end.
fn without_joints(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !is_joint(byte));
    let end = end.map_or(0, |last| last.saturating_add(1));
    name.get(..end).unwrap_or_default()
}

/// Returns whether a name consists of several words: `delete_repo`, `deleteRepo`.
fn has_words(name: &str) -> bool {
    let mut before = b'_';
    let mut has_begun = false;
    without_joints(name.as_bytes()).iter().any(|byte| {
        let begins = is_joint(byte) || byte.is_ascii_uppercase() && before.is_ascii_lowercase();
        before = *byte;
        has_begun |= !is_joint(byte);
        has_begun && begins
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str, qualified: bool) -> Vec<String> {
        let mut all = Vec::new();
        each(name, qualified, &mut |name| all.push(name.into_owned()));
        all
    }

    #[test]
    fn what_clients_join_ends_with_the_name_of_the_tool() {
        for name in [
            "mcp__github__delete_repo",
            "github__delete_repo",
            "github___delete_repo",
            "mcp_github_delete_repo",
            "mcp--github--delete_repo",
            "github_delete_repo",
            "github-delete_repo",
            "github.delete_repo",
            "github/delete_repo",
            "github:delete_repo",
            "ｇithub__delete_repo",
        ] {
            let names = names(name, true);
            assert!(
                names.iter().any(|name| name == "delete_repo"),
                "{name}: {names:?}"
            );
            assert!(
                names.iter().any(|name| name == "github/delete_repo"),
                "{name}: {names:?}"
            );
        }
        assert!(names("github_deleteRepo", false).contains(&"deleteRepo".to_owned()));
        assert!(names("mcp_shell_exec", false).contains(&"exec".to_owned()));
        assert!(names("shell__exec", false).contains(&"exec".to_owned()));
    }

    #[test]
    fn words_of_one_name_are_no_names() {
        for name in [
            "file_delete",
            "delete-file",
            "delete",
            "deleteFile",
            "_x",
            "",
            "__",
            "a_",
        ] {
            assert_eq!(names(name, true), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn so_many_joints_are_looked_at_and_no_more() {
        assert_eq!(
            names(&"a.".repeat(1_000), true).len(),
            2 * (MAX_JOINED_NAMES - 1)
        );
    }
}
