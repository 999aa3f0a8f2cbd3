//! Key `protocols`: protocol, provider and MCP server by host and path. It is for endpoints that can't be recognised by
//! their path, headers or body, and for names that only the operator knows.

use super::decode::{Decoder, PolicyPath};
use super::glob::{Glob, GlobReading};
use super::grammar::{CallKey, ProtocolKey, ReadKey};
use super::node::{Node, NodeValue};
use crate::diag::codes;
use crate::event::{CustomCallFormat, CustomFormat, Facts, PROTOCOL_NAMES};
use crate::wire::json::JsonPath;
use crate::wire::letter_case;
use std::rc::Rc;

/// Entry of `protocols`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolEntry {
    hosts: Option<Vec<Glob>>,
    paths: Option<Vec<PathPattern>>,
    /// Protocol; `None`: as recognised.
    pub protocol: Option<Box<str>>,
    /// Provider; `None`: by the host.
    pub provider: Option<Box<str>>,
    /// MCP server; `None`: the host's name.
    pub server: Option<Box<str>>,
    /// Places of the content, for `generic`.
    pub shape: Option<Rc<CustomFormat>>,
}

/// Path with everything below it, or a glob.
#[derive(Clone, Debug, PartialEq)]
enum PathPattern {
    Prefix(Vec<Box<str>>),
    Glob(Glob),
}

impl PathPattern {
    fn parse(text: &str) -> Result<PathPattern, String> {
        let text = letter_case::lower(text);
        // `/mcp/*` means what is below `/mcp`; it is not meant to exclude `/mcp` itself.
        let stem = text
            .strip_suffix("/**")
            .or_else(|| text.strip_suffix("/*"))
            .unwrap_or(&text);
        if !stem.starts_with('/') {
            return Err(format!("`{text}` does not begin with `/`"));
        }
        if Glob::is_glob(stem) {
            return Glob::parse(&text).map(PathPattern::Glob);
        }
        let segments = stem.split('/').filter(|segment| !segment.is_empty());
        Ok(PathPattern::Prefix(segments.map(Into::into).collect()))
    }

    fn fits(&self, path: &str) -> bool {
        let path = letter_case::lower(path);
        match self {
            PathPattern::Glob(glob) => glob.matches(&path, GlobReading::Broad),
            PathPattern::Prefix(segments) => {
                // Routers match the beginning of the path as received, whatever is encoded after it.
                let mut own = path
                    .split(['/', '\\', ';', '%'])
                    .filter(|segment| !segment.is_empty());
                segments
                    .iter()
                    .all(|expected| own.next() == Some(&**expected))
            }
        }
    }
}

/// Entry that matches a request.
#[derive(Clone, Copy, Debug)]
pub struct MatchedEntry<'p> {
    /// First entry that matches the path as a server normalizes it; without one, the first that matches the path as
    /// received.
    pub entry: Option<&'p ProtocolEntry>,
    /// Whether the path as received matches another entry than the normalized path: the real target is unknown.
    pub is_contradictory: bool,
}

/// Returns the first entry that matches an exchange.
pub(crate) fn find<'p>(entries: &'p [ProtocolEntry], facts: &Facts) -> MatchedEntry<'p> {
    let host = facts.host.value().map_or("", |host| host);
    let fits = |path: &str| {
        entries.iter().position(|entry| {
            let host_fits = entry.hosts.as_ref().is_none_or(|hosts| {
                hosts
                    .iter()
                    .any(|glob| glob.matches(host, GlobReading::Broad))
            });
            let path_fits = entry
                .paths
                .as_ref()
                .is_none_or(|paths| paths.iter().any(|pattern| pattern.fits(path)));
            host_fits && path_fits
        })
    };
    let paths = facts.paths.value().map_or(&[][..], Vec::as_slice);
    let read = paths.last().and_then(|path| fits(path));
    let came = paths.first().and_then(|path| fits(path));
    MatchedEntry {
        entry: read.or(came).and_then(|at| entries.get(at)),
        is_contradictory: came.is_some() && came != read,
    }
}

/// Reads the key `protocols`.
pub(crate) fn read_all(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
) -> Vec<ProtocolEntry> {
    let NodeValue::List(items) = &node.data else {
        decoder.wrong_type(at, node, "a list of entries");
        return Vec::new();
    };
    items
        .iter()
        .enumerate()
        .filter_map(|(number, item)| entry(decoder, &at.index(number), item))
        .collect()
}

fn entry(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<ProtocolEntry> {
    let mut entry = ProtocolEntry {
        hosts: None,
        paths: None,
        protocol: None,
        provider: None,
        server: None,
        shape: None,
    };
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            ProtocolKey::Hosts => {
                entry.hosts = patterns(decoder, &at, value, |text| {
                    Glob::parse(&letter_case::lower(text))
                });
            }
            ProtocolKey::Paths => entry.paths = patterns(decoder, &at, value, PathPattern::parse),
            ProtocolKey::Protocol => {
                let words: Vec<(&str, &str)> =
                    PROTOCOL_NAMES.iter().map(|name| (*name, *name)).collect();
                entry.protocol = decoder.word(&at, value, &words).map(Into::into);
            }
            ProtocolKey::Provider => entry.provider = name(decoder, &at, value),
            ProtocolKey::Server => entry.server = name(decoder, &at, value),
            ProtocolKey::Read => entry.shape = shape(decoder, &at, value).map(Rc::new),
        }
    }
    let says = |key: &str| node.get(key).is_some();
    if !says("hosts") && !says("paths") {
        decoder.error(
            codes::AG1006,
            at,
            &node.span,
            "`hosts` or `paths` is missing",
            "say where: `paths: [\"/mcp/github\"]`",
        );
    }
    if !says("protocol") && !says("provider") && !says("server") {
        decoder.error(
            codes::AG1006,
            at,
            &node.span,
            "the protocol of these requests is missing",
            "say what: `protocol: mcp`, `server: github` or `provider: azure`",
        );
    }
    if let Some(read) = node.get("read")
        && entry.protocol.as_deref() != Some("generic")
    {
        decoder.error(
            codes::AG1006,
            &at.key("read"),
            &read.span,
            "`read` needs `protocol: generic`; other protocols know where things stand",
            "",
        );
    }
    Some(entry)
}

fn patterns<T>(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let mut all = Vec::new();
    for text in decoder.texts(at, node)? {
        match parse(&text) {
            Ok(pattern) => all.push(pattern),
            Err(what) => decoder.error(codes::AG1013, at, &node.span, &what, ""),
        }
    }
    Some(all)
}

/// Reads a name that may precede a tool's name: `github/create_issue`.
fn name(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<Box<str>> {
    let text = decoder.text(at, node)?;
    if text.is_empty() || text.contains('/') {
        decoder.error(
            codes::AG1007,
            at,
            &node.span,
            "a name is not empty and has no `/`",
            "for example `github`; a tool of it is then `github/create_issue`",
        );
        return None;
    }
    Some(text)
}

fn shape(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<CustomFormat> {
    let mut shape = CustomFormat::default();
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match key {
            ReadKey::Models => shape.models = paths(decoder, &at, value),
            ReadKey::Texts => shape.texts = paths(decoder, &at, value),
            ReadKey::Ids => shape.ids = paths(decoder, &at, value),
            ReadKey::Calls => match &value.data {
                NodeValue::List(items) => {
                    for (number, item) in items.iter().enumerate() {
                        shape.calls.extend(call(decoder, &at.index(number), item));
                    }
                }
                _ => shape.calls.extend(call(decoder, &at, value)),
            },
        }
    }
    Some(shape)
}

fn call(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<CustomCallFormat> {
    let mut call = CustomCallFormat::default();
    for (key, member) in decoder.keys(at, node)? {
        let at = at.key(&member.key);
        let path = decoder
            .text(&at, &member.value)
            .and_then(|text| path(decoder, &at, &member.value, &text));
        match key {
            CallKey::At => call.at = path?,
            CallKey::Name => call.name = path?,
            CallKey::Args => call.args = path,
        }
    }
    decoder
        .has_required::<CallKey>(at, node, &node.span)
        .then_some(call)
}

#[inline(never)]
fn paths(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Vec<JsonPath> {
    decoder
        .texts(at, node)
        .unwrap_or_default()
        .iter()
        .filter_map(|text| path(decoder, at, node, text))
        .collect()
}

/// Reads a path: `$.a.b`, or `a.b` for short.
fn path(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node, text: &str) -> Option<JsonPath> {
    let written = match text.chars().next() {
        Some('$' | '.' | '[') => text.to_owned(),
        _ => format!(".{text}"),
    };
    match JsonPath::parse(&written) {
        Ok(path) => Some(path),
        Err(what) => {
            decoder.error(
                codes::AG1009,
                at,
                &node.span,
                &format!("`{text}` is no path: {what}"),
                "paths look like `$.ticket.comments[*].body`",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_itself_and_everything_beneath_it_in_any_letter_case() {
        for pattern in [
            "/mcp/github",
            "/mcp/github/",
            "/mcp/GitHub/*",
            "/mcp/github/**",
        ] {
            let pattern = PathPattern::parse(pattern).unwrap();
            assert!(pattern.fits("/mcp/github"));
            assert!(pattern.fits("/MCP/github/x/y"));
            assert!(pattern.fits("//mcp/github/"));
            assert!(pattern.fits("/mcp/github%2f..%2fslack"));
            assert!(pattern.fits("/mcp/github\\..\\slack"));
            assert!(!pattern.fits("/mcp/github-evil"));
            assert!(!pattern.fits("/mcp"));
            assert!(!pattern.fits("/x/mcp/github"));
        }
        let glob = PathPattern::parse("/teams/*/mcp").unwrap();
        assert!(glob.fits("/teams/a/mcp") && !glob.fits("/teams/a/other"));
        assert!(PathPattern::parse("mcp").is_err());
    }
}
