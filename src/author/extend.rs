//! `extends`: merges several documents into one, and reads lists from files. `agentguard build` resolves it, since the filter has
//! no files. Where two documents conflict, the stricter one applies.

use super::yaml::parse_yaml;
use crate::diag::{Diagnostic, Severity, codes};
use crate::identity::key_in_file;
use crate::policy::Mode;
use crate::policy::decode::{Decoder, PolicyPath};
use crate::policy::defaults::{self, Defaults};
use crate::policy::digest;
use crate::policy::document::read_mode;
use crate::policy::grammar::{DOCUMENT, Key, Merge, ValueType};
use crate::policy::load::parse_json;
use crate::policy::node::{Member, Node, NodeValue};
use crate::wire::hex;
use std::ops::Range;

/// Maximum documents that one may extend, directly or indirectly.
const MAX_DOCUMENTS: usize = 64;

/// File that was read.
pub struct ReadPolicyFile {
    /// Name of the file, independent of the document that names it.
    pub name: String,
    /// Contents.
    pub text: String,
}

/// Function that reads a file. Its arguments are the name of the file that names it, and the path there.
pub type ReadFile<'r> = &'r mut dyn FnMut(&str, &str) -> Result<ReadPolicyFile, String>;

/// Document with everything that it extends and that its lists read from files. All positions are those of the outermost
/// document: content of another file has the position where that file is named.
pub struct Resolved {
    /// The document.
    pub root: Node,
    /// Positions at which other files are named.
    borrowed: Vec<Borrowed>,
}

/// Position in the outermost document, and the file that is named there.
struct Borrowed {
    span: Range<usize>,
    path: String,
    /// Whether that file names others, whose content has the same position.
    has_more: bool,
}

impl Resolved {
    /// Adds the file to diagnostics about the content of another file, and removes their fixes: none of them can be fixed in the
    /// outermost document.
    pub fn attribute(&self, diagnostics: &mut [Diagnostic]) {
        for diagnostic in diagnostics {
            let mut borrowed = self.borrowed.iter();
            let Some(from) = borrowed.find(|from| from.span == diagnostic.span) else {
                continue;
            };
            let more = if from.has_more {
                ", or what it extends"
            } else {
                ""
            };
            diagnostic.message = format!("in `{}`{more}: {}", from.path, diagnostic.message);
            diagnostic.fix = None;
        }
    }
}

/// Merges a document with everything that it `extends`, and with the files of its lists. A document without either is returned
/// unchanged.
///
/// # Errors
/// All errors, with positions in `root`.
pub fn resolve(name: &str, root: &Node, read: ReadFile<'_>) -> Result<Resolved, Vec<Diagnostic>> {
    let mut resolver = Resolver {
        read,
        open: vec![name.to_owned()],
        count: 0,
        span: 0..0,
        borrowed: Vec::new(),
        wrong: Vec::new(),
    };
    let root = resolver.document(name, root, true);
    match resolver.wrong.is_empty() {
        true => Ok(Resolved {
            root,
            borrowed: resolver.borrowed,
        }),
        false => Err(resolver.wrong),
    }
}

struct Resolver<'r> {
    read: ReadFile<'r>,
    /// Names of the documents that are being resolved, each named by the one before.
    open: Vec<String>,
    count: usize,
    /// Position in the outermost document that led here.
    span: Range<usize>,
    borrowed: Vec<Borrowed>,
    wrong: Vec<Diagnostic>,
}

impl Resolver<'_> {
    fn error(&mut self, code: &'static str, path: &str, message: String, help: &str) {
        self.wrong.push(Diagnostic {
            code,
            severity: Severity::Error,
            path: path.to_owned(),
            span: self.span.clone(),
            message,
            label: None,
            help: (!help.is_empty()).then(|| help.to_owned()),
            fix: None,
        });
    }

    fn document(&mut self, name: &str, root: &Node, is_top: bool) -> Node {
        let mut root = opened(root);
        for member in members_mut(&mut root) {
            match &*member.key {
                "lists" => self.lists(name, &mut member.value, is_top),
                "principals" => self.key_files(name, &mut member.value, is_top),
                "policies" => {
                    for part in items_mut(&mut member.value) {
                        *part = self.document(name, part, is_top);
                    }
                }
                _ => {}
            }
        }
        let Some(extends) = take(&mut root, "extends") else {
            return root;
        };
        if is_top {
            self.span = extends.span.clone();
        }
        let named = match &extends.data {
            NodeValue::List(items) => items,
            _ => std::slice::from_ref(&extends),
        };
        let paths: Option<Vec<(&str, &Range<usize>)>> = named
            .iter()
            .map(|item| Some((item.text()?, &item.span)))
            .collect();
        let Some(paths) = paths else {
            let message = "a path or a list of paths is expected here".to_owned();
            self.error(codes::AG1005, "extends", message, "");
            return root;
        };
        let mut merged = root;
        for (path, span) in paths {
            if is_top {
                self.span = span.clone();
            }
            let count = self.count;
            if let Some(base) = self.base(name, path) {
                self.merge(&mut merged, base, path);
            }
            if is_top {
                let has_more = self.count > count.saturating_add(1);
                self.borrow(path, has_more);
            }
        }
        merged
    }

    /// Notes that what stands at the present place comes out of a file.
    fn borrow(&mut self, path: &str, has_more: bool) {
        self.borrowed.push(Borrowed {
            span: self.span.clone(),
            path: path.to_owned(),
            has_more,
        });
    }

    /// Reads a file that a document names; `None`, and an error, if it can't be read.
    fn file(&mut self, from: &str, path: &str, at: &str) -> Option<ReadPolicyFile> {
        (self.read)(from, path)
            .map_err(|error| {
                let message = format!("`{path}` can't be read: {error}");
                self.error(codes::AG1016, at, message, "");
            })
            .ok()
    }

    /// Reads and resolves a document that another one extends.
    fn base(&mut self, from: &str, path: &str) -> Option<Node> {
        let file = self.file(from, path, "extends")?;
        self.count = self.count.saturating_add(1);
        if self.open.contains(&file.name) || self.count > MAX_DOCUMENTS {
            let message = match self.open.contains(&file.name) {
                true => format!("`{path}` extends itself"),
                false => format!("more than {MAX_DOCUMENTS} documents"),
            };
            self.error(codes::AG1016, "extends", message, "");
            return None;
        }
        let root = match parse(&file) {
            Ok(root) => placed(root, &self.span),
            Err(diagnostics) => {
                for diagnostic in diagnostics {
                    let message = format!("in `{path}`: {}", diagnostic.message);
                    self.error(diagnostic.code, "extends", message, "");
                }
                return None;
            }
        };
        let is_policy = matches!(root.data, NodeValue::Map(_)) && root.get("policies").is_none();
        if !is_policy {
            let message = format!("`{path}` is no policy that could be extended");
            self.error(codes::AG1003, "extends", message, "");
            return None;
        }
        self.open.push(file.name.clone());
        let base = self.document(&file.name, &root, false);
        self.open.pop();
        Some(base)
    }

    /// Adds a base to a document, key by key.
    fn merge(&mut self, top: &mut Node, mut base: Node, path: &str) {
        let sides = [Side::of(top), Side::of(&mut base)];
        for key in DOCUMENT {
            let own = top.get(key.name).cloned();
            let given = take(&mut base, key.name);
            match self.merged(key, own, given, &sides, path) {
                Some(merged) => set(top, key.name, merged),
                None => drop(take(top, key.name)),
            }
        }
    }

    /// Returns a key's value in the merged document: `own` is its value in the document, `given` in the base.
    fn merged(
        &mut self,
        key: &Key,
        own: Option<Node>,
        given: Option<Node>,
        sides: &[Side; 2],
        path: &str,
    ) -> Option<Node> {
        match (key.merge.unwrap_or(Merge::Own), own, given) {
            (Merge::Own, own, _) => own,
            (Merge::Outermost, own, given) => {
                if given.is_some() {
                    let key = key.name;
                    let message = format!(
                        "`{path}` has `{key}`, which stands in the outermost document only"
                    );
                    self.error(codes::AG1004, key, message, "move it there");
                }
                own
            }
            (Merge::Audience, own, given) => {
                if is_for_another(own.as_ref(), given.as_ref(), sides) {
                    let message =
                        format!("`{path}` is for another audience, and one document is for one");
                    let help = "put both into an AgentPolicySet";
                    self.error(codes::AG1004, key.name, message, help);
                }
                own.or(given)
            }
            (Merge::Scope, own, given) => scope(own, given, sides),
            (Merge::Mode, own, given) => mode(own, given, sides),
            (Merge::Defaults, own, given) => defaults(own, given, sides),
            // Only one of the documents has the key.
            (_, own, None) => own,
            (_, None, given) => given,
            (Merge::Stricter(word), Some(own), Some(given)) => {
                // A word that does not exist is kept: the error is reported when the merged document is read.
                let strictness = |node: &Node| match (&key.value, node.text()) {
                    (ValueType::Words(words), Some(text)) if words.contains(&text) => {
                        u8::from(text == word)
                    }
                    _ => 2,
                };
                Some(match strictness(&given) > strictness(&own) {
                    true => given,
                    false => own,
                })
            }
            (Merge::Members, Some(mut own), Some(mut given)) => {
                if let ValueType::Mapping(keys) = key.value {
                    for key in keys {
                        let (inner, base) =
                            (own.get(key.name).cloned(), take(&mut given, key.name));
                        if let Some(merged) = self.merged(key, inner, base, sides, path) {
                            set(&mut own, key.name, merged);
                        }
                    }
                }
                Some(own)
            }
            (Merge::ByName, Some(own), Some(given)) => Some(self.named(key, own, given, path)),
            (Merge::Rules, Some(own), Some(given)) => Some(self.rules(own, given, path)),
            // The first matching entry applies, so a document can't override the names of its base.
            (Merge::BaseFirst, Some(own), Some(given)) => {
                Some(list([items(&given), items(&own)].concat()))
            }
        }
    }

    /// Merges lists or detectors: by name, each defined once.
    fn named(&mut self, key: &Key, mut own: Node, given: Node, path: &str) -> Node {
        for member in given.members() {
            match own.get(&member.key) {
                None => set(&mut own, &member.key, member.value.clone()),
                Some(known) if same(known, &member.value) => {}
                Some(_) => {
                    let message =
                        format!("`{}` is defined twice: here and in `{path}`", member.key);
                    self.error(codes::AG1008, key.name, message, "choose another name");
                }
            }
        }
        own
    }

    fn rules(&mut self, own: Node, given: Node, path: &str) -> Node {
        let mut merged = items(&own).to_vec();
        for rule in items(&given) {
            let id = rule.get("id").and_then(Node::text);
            let known = items(&own)
                .iter()
                .find(|own| id.is_some() && own.get("id").and_then(Node::text) == id);
            let is_overridable = rule.get("overridable").map(|node| &node.data);
            match known {
                None => merged.push(rule.clone()),
                Some(known) if same(known, rule) => {}
                Some(_) if is_overridable == Some(&NodeValue::Bool(true)) => {}
                Some(_) => {
                    let id = id.unwrap_or_default();
                    let message = format!("rule `{id}` is defined twice: here and in `{path}`");
                    let help = "choose another id, or let the base say `overridable: true`";
                    self.error(codes::AG1008, "rules", message, help);
                }
            }
        }
        list(merged)
    }

    /// Resolves `keys: [{ file: PATH, client: acme }]`: the file's key is replaced by its hash.
    fn key_files(&mut self, from: &str, sources: &mut Node, is_top: bool) {
        for source in items_mut(sources) {
            let api_key = members_mut(source).find(|member| &*member.key == "api_key");
            let keys = api_key.and_then(|member| {
                members_mut(&mut member.value).find(|member| &*member.key == "keys")
            });
            let Some(keys) = keys else { continue };
            for key in items_mut(&mut keys.value) {
                let file = members_mut(key).find(|member| &*member.key == "file");
                let Some(file) = file else { continue };
                if is_top {
                    self.span = file.value.span.clone();
                }
                let at = "principals";
                let Some(path) = file.value.text() else {
                    let message = "a file is named by its path".to_owned();
                    self.error(codes::AG1005, at, message, "write `file: acme.key`");
                    continue;
                };
                let Some(read) = self.file(from, path, at) else {
                    continue;
                };
                let key = match key_in_file(&read.text) {
                    Ok(key) => key,
                    Err(why) => {
                        let message = format!("`{path}`: {why}");
                        self.error(codes::AG1005, at, message, "it holds one key");
                        continue;
                    }
                };
                let hash = digest(key.as_bytes());
                file.key = "sha256".into();
                file.value = placed(text(&hex::encode(&hash)), &self.span);
            }
        }
    }

    /// Resolves `lists: { NAME: { file: PATH } }`: a YAML or JSON list, or lines. Empty lines and those that begin with `#` are
    /// ignored.
    fn lists(&mut self, from: &str, lists: &mut Node, is_top: bool) {
        for list in members_mut(lists) {
            let Some(file) = list.value.get("file") else {
                continue;
            };
            if is_top {
                self.span = file.span.clone();
            }
            let at = format!("lists.{}", list.key);
            let Some(path) = file.text().filter(|_| list.value.members().len() == 1) else {
                let message = "a file is named by its path".to_owned();
                self.error(codes::AG1005, &at, message, "write `{ file: domains.txt }`");
                continue;
            };
            let Some(read) = self.file(from, path, &at) else {
                continue;
            };
            let is_structured = [".yaml", ".yml", ".json"]
                .iter()
                .any(|end| path.ends_with(end));
            let items = match is_structured {
                true => parse(&read).ok().map(|node| node.data),
                false => Some(NodeValue::List(
                    read.text
                        .lines()
                        .map(str::trim)
                        .filter(|line| !line.is_empty() && !line.starts_with('#'))
                        .map(text)
                        .collect(),
                )),
            };
            match items {
                Some(data @ (NodeValue::List(_) | NodeValue::Map(_))) => {
                    if is_top {
                        self.borrow(path, false);
                    }
                    list.value = placed(node(data), &self.span);
                }
                _ => {
                    let message = format!("`{path}` holds no list");
                    self.error(codes::AG1005, &at, message, "");
                }
            }
        }
    }
}

/// Settings of one of two documents that are merged.
struct Side {
    /// Whether the document has defaults, so that it is complete and its absent keys have their default meaning. Any other
    /// document is a part.
    is_whole: bool,
    /// Mode of rules and defaults that have none of their own, and whether it overrides all others.
    mode: Mode,
    observes_all: bool,
}

impl Side {
    /// Reads the settings of a document, and writes into its rules the mode that they have there.
    fn of(document: &mut Node) -> Side {
        let decoder = &mut Decoder::default();
        let written = document.get("mode");
        let (mode, observes_all) = read_mode(decoder, &PolicyPath::root(), written, Mode::Enforce);
        let rules = members_mut(document).find(|member| &*member.key == "rules");
        for rule in rules
            .into_iter()
            .flat_map(|member| items_mut(&mut member.value))
        {
            if observes_all || rule.get("mode").is_none() {
                set(rule, "mode", text(mode.word()));
            }
        }
        Side {
            is_whole: document.get("defaults").is_some(),
            mode,
            observes_all,
        }
    }

    /// Returns the defaults, each with its mode; `None` if they are invalid.
    fn defaults(&self, written: &Node) -> Option<Defaults> {
        let decoder = &mut Decoder::default();
        let defaults = defaults::read(decoder, &PolicyPath::root(), written)?;
        let is_valid = decoder.diagnostics.is_empty();
        is_valid.then(|| defaults.under(self.mode, self.observes_all))
    }
}

/// Returns the stricter mode. Rules have their own mode by now, so that `{ all: observe }` does not affect those of a base.
fn mode(own: Option<Node>, given: Option<Node>, sides: &[Side; 2]) -> Option<Node> {
    let is_valid = |node: &Node| {
        let decoder = &mut Decoder::default();
        read_mode(decoder, &PolicyPath::root(), Some(node), Mode::Enforce);
        decoder.diagnostics.is_empty()
    };
    // An invalid mode is reported when the merged document is read.
    if let Some(wrong) = [own, given]
        .into_iter()
        .flatten()
        .find(|node| !is_valid(node))
    {
        return Some(wrong);
    }
    let [top, base] = sides;
    let is_enforced = top.mode == Mode::Enforce || (base.is_whole && base.mode == Mode::Enforce);
    let mode = if is_enforced {
        Mode::Enforce
    } else {
        Mode::Observe
    };
    Some(text(mode.word()))
}

/// Returns the stricter of each default.
fn defaults(own: Option<Node>, given: Option<Node>, sides: &[Side; 2]) -> Option<Node> {
    let Some(given) = given else { return own };
    let [top, base] = sides;
    let Some(mut merged) = base.defaults(&given) else {
        return Some(given);
    };
    if let Some(own) = own {
        let Some(defaults) = top.defaults(&own) else {
            return Some(own);
        };
        merged = defaults.stricter(merged);
    }
    Some(merged.to_node())
}

/// Merges `applies_to` to the union of both. A complete document without it applies to everything.
fn scope(own: Option<Node>, given: Option<Node>, sides: &[Side; 2]) -> Option<Node> {
    let [top, base] = sides;
    match (own, given) {
        (own, None) if !base.is_whole => own,
        (None, given) if !top.is_whole => given,
        (Some(a), Some(b)) => {
            // An absent list matches everything, so combining hosts of one with paths of the other would not be the union. Only
            // one kind can be united.
            match (a.members(), b.members()) {
                ([one], [other]) if one.key == other.key => {
                    let united = [one.value.items(), other.value.items()].concat();
                    Some(map(vec![(&*one.key, list(united))]))
                }
                _ => same(&a, &b).then_some(a),
            }
        }
        _ => None,
    }
}

/// Returns whether two documents have different audiences.
fn is_for_another(own: Option<&Node>, given: Option<&Node>, sides: &[Side; 2]) -> bool {
    let [top, base] = sides;
    match (own, given) {
        (None, None) => false,
        (Some(_), None) => base.is_whole,
        (None, Some(_)) => top.is_whole || base.is_whole,
        (Some(a), Some(b)) => !same(a, b),
    }
}

fn parse(file: &ReadPolicyFile) -> Result<Node, Vec<Diagnostic>> {
    match file.name.ends_with(".json") {
        true => parse_json(file.text.as_bytes()).map_err(|diagnostic| vec![*diagnostic]),
        false => parse_yaml(&file.text),
    }
}

/// Returns a document without `spec` around its keys. A document in which a key would be duplicated is returned unchanged, and
/// rejected later.
fn opened(root: &Node) -> Node {
    let inner = root.get("spec").map(Node::members).unwrap_or_default();
    let is_twice = |member: &Member| &*member.key == "spec" || root.get(&member.key).is_some();
    let mut opened = root.clone();
    if !inner.iter().any(is_twice)
        && let Some(spec) = take(&mut opened, "spec")
    {
        match (&mut opened.data, spec.data) {
            (NodeValue::Map(members), NodeValue::Map(inner)) => members.extend(inner),
            _ => return root.clone(),
        }
    }
    opened
}

/// What comes out of another file, at a place of the outermost document.
fn placed(mut node: Node, span: &Range<usize>) -> Node {
    fn place(node: &mut Node, span: &Range<usize>) {
        node.span = span.clone();
        items_mut(node).for_each(|item| place(item, span));
        for member in members_mut(node) {
            member.key_span = span.clone();
            place(&mut member.value, span);
        }
    }
    place(&mut node, span);
    node
}

/// Returns whether two values are the same, without regard to their positions.
fn same(a: &Node, b: &Node) -> bool {
    let written = |node: &Node| {
        let mut out = Vec::new();
        node.write_json(&mut out);
        out
    };
    written(a) == written(b)
}

fn text(text: &str) -> Node {
    Node::text_at(text, &(0..0))
}

fn list(items: Vec<Node>) -> Node {
    Node::list_at(items, &(0..0))
}

fn map(members: Vec<(&str, Node)>) -> Node {
    Node::map_at(members, &(0..0))
}

fn node(data: NodeValue) -> Node {
    Node { span: 0..0, data }
}

fn items(node: &Node) -> &[Node] {
    match &node.data {
        NodeValue::List(items) => items,
        _ => &[],
    }
}

fn items_mut(node: &mut Node) -> impl Iterator<Item = &mut Node> {
    let items = match &mut node.data {
        NodeValue::List(items) => items.as_mut_slice(),
        _ => &mut [],
    };
    items.iter_mut()
}

fn members_mut(node: &mut Node) -> impl Iterator<Item = &mut Member> {
    let members = match &mut node.data {
        NodeValue::Map(members) => members.as_mut_slice(),
        _ => &mut [],
    };
    members.iter_mut()
}

fn take(node: &mut Node, key: &str) -> Option<Node> {
    let NodeValue::Map(members) = &mut node.data else {
        return None;
    };
    let at = members.iter().position(|member| &*member.key == key)?;
    Some(members.remove(at).value)
}

/// Replaces a member, or adds it.
fn set(node: &mut Node, key: &str, value: Node) {
    if let Some(member) = members_mut(node).find(|member| &*member.key == key) {
        member.value = value;
    } else if let NodeValue::Map(members) = &mut node.data {
        members.push(Member {
            key: key.into(),
            key_span: value.span.clone(),
            value,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load;

    const HEAD: &str =
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: top }\n";

    fn resolved(top: &str, files: &[(&str, &str)]) -> Result<Node, Vec<String>> {
        let root = parse_yaml(&format!("{HEAD}{top}")).unwrap();
        let mut read = |_: &str, path: &str| {
            let file = files.iter().find(|(name, _)| *name == path);
            file.map(|(name, text)| ReadPolicyFile {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
            })
            .ok_or_else(|| "no such file".to_owned())
        };
        let messages = |wrong: Vec<Diagnostic>| -> Vec<String> {
            wrong.iter().map(ToString::to_string).collect()
        };
        let merged = resolve("top.yaml", &root, &mut read)
            .map_err(messages)?
            .root;
        let loaded = load(&merged);
        let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{errors:?}");
        Ok(merged)
    }

    fn written(node: Option<&Node>) -> String {
        let mut out = Vec::new();
        if let Some(node) = node {
            node.write_json(&mut out);
        }
        String::from_utf8(out).unwrap()
    }

    /// Returns what a document has under a key after it was merged with its base.
    fn merged(top: &str, base: &str, key: &str) -> String {
        let top = format!("extends: base.yaml\n{top}");
        written(resolved(&top, &[("base.yaml", base)]).unwrap().get(key))
    }

    const ALLOW: &str = "defaults: { action: allow }";

    #[test]
    fn rules_are_united_and_each_keeps_the_mode_of_its_document() {
        let top = format!(
            "{ALLOW}\nmode: observe\nrules: [{{ id: own, match: {{ tool: a }}, action: deny }}]"
        );
        let base = "rules: [{ id: base, match: { tool: b }, action: deny }]";
        assert_eq!(
            merged(&top, base, "rules"),
            r#"[{"id":"own","match":{"tool":"a"},"action":"deny","mode":"observe"},{"id":"base","match":{"tool":"b"},"action":"deny","mode":"enforce"}]"#
        );
        let everything = top.replace("mode: observe", "mode: { all: observe }");
        assert!(merged(&everything, base, "rules").ends_with(r#""mode":"enforce"}]"#));
    }

    #[test]
    fn the_stricter_default_holds() {
        for (top, base, request, tool_call) in [
            (
                "{ action: allow }",
                "{ action: deny }",
                ("deny", "enforce"),
                ("deny", "enforce"),
            ),
            (
                "{ action: deny }",
                "{ action: allow }",
                ("deny", "enforce"),
                ("deny", "enforce"),
            ),
            (
                "{ action: allow }",
                "{ action: allow, tool_call: deny }",
                ("allow", "enforce"),
                ("deny", "enforce"),
            ),
            (
                "{ action: allow, tool_call: { action: deny, mode: observe } }",
                "{ action: allow, tool_call: deny }",
                ("allow", "enforce"),
                ("deny", "enforce"),
            ),
            (
                "{ action: allow }",
                "{ action: allow, tool_call: { action: deny, mode: observe } }",
                ("allow", "enforce"),
                ("deny", "observe"),
            ),
        ] {
            let defaults = merged(
                &format!("defaults: {top}"),
                &format!("defaults: {base}"),
                "defaults",
            );
            let expected = |gate: &str, (action, mode): (&str, &str)| {
                format!(r#""{gate}":{{"action":"{action}","mode":"{mode}"}}"#)
            };
            assert!(
                defaults.contains(&expected("request", request)),
                "{defaults}"
            );
            assert!(
                defaults.contains(&expected("tool_call", tool_call)),
                "{defaults}"
            );
        }
    }

    #[test]
    fn the_stricter_mode_and_words_hold() {
        let base = "defaults: { action: deny }\nrequire: identity\ndisclose: code";
        assert_eq!(
            merged(&format!("{ALLOW}\nmode: observe"), base, "mode"),
            r#""enforce""#
        );
        assert_eq!(merged(ALLOW, base, "require"), r#""identity""#);
        assert_eq!(
            merged(&format!("{ALLOW}\nrequire: none"), base, "require"),
            r#""identity""#
        );
        assert_eq!(
            merged(&format!("{ALLOW}\ndisclose: all"), base, "disclose"),
            r#""code""#
        );
        let part = "rules: []";
        assert_eq!(
            merged(&format!("{ALLOW}\nmode: observe"), part, "mode"),
            r#""observe""#
        );
    }

    #[test]
    fn a_document_is_about_whatever_one_of_both_is_about() {
        let scoped = format!("{ALLOW}\napplies_to: {{ paths: [/a] }}");
        assert_eq!(
            merged(&scoped, "rules: []", "applies_to"),
            r#"{"paths":["/a"]}"#
        );
        assert_eq!(
            merged(&scoped, ALLOW, "applies_to"),
            "",
            "a whole base is about everything"
        );
        let other = format!("{ALLOW}\napplies_to: {{ paths: [/b] }}");
        assert_eq!(
            merged(&scoped, &other, "applies_to"),
            r#"{"paths":["/a","/b"]}"#
        );
        let hosts = format!("{ALLOW}\napplies_to: {{ hosts: [b] }}");
        assert_eq!(merged(&scoped, &hosts, "applies_to"), "");
    }

    #[test]
    fn a_name_is_defined_once_unless_the_base_lets_it_be_replaced() {
        let top = format!(
            "extends: [base.yaml]\n{ALLOW}\nlists: {{ l: [a] }}\nrules: [{{ id: r, match: {{ tool: a }}, action: deny }}]"
        );
        let rule = "rules: [{ id: r, match: { tool: b }, action: deny }]";
        let wrong = resolved(&top, &[("base.yaml", rule)]).unwrap_err();
        assert!(
            wrong[0].starts_with("AG1008 rules: rule `r` is defined twice"),
            "{wrong:?}"
        );
        let list = resolved(&top, &[("base.yaml", "lists: { l: [b] }")]).unwrap_err();
        assert!(
            list[0].starts_with("AG1008 lists: `l` is defined twice"),
            "{list:?}"
        );
        assert!(resolved(&top, &[("base.yaml", "lists: { l: [a] }")]).is_ok());
        let open = rule.replace("action", "overridable: true, action");
        let merged = resolved(&top, &[("base.yaml", &open)]).unwrap();
        assert!(written(merged.get("rules")).contains(r#""tool":"a""#));
    }

    #[test]
    fn what_belongs_to_the_outermost_document_is_refused_in_a_base() {
        let top = format!("extends: base.yaml\n{ALLOW}");
        for (base, words) in [
            (
                "environment: prod",
                "`environment`, which stands in the outermost document only",
            ),
            ("for: { tenant: a }", "for another audience"),
            ("[1]", "no policy that could be extended"),
            ("extends: base.yaml", "extends itself"),
            ("extends: more.yaml", "can't be read: no such file"),
            ("a: [", "in `base.yaml`"),
        ] {
            let wrong = resolved(&top, &[("base.yaml", base)])
                .unwrap_err()
                .join("; ");
            assert!(wrong.contains(words), "{base}: {wrong}");
        }
        let wrong = resolved("extends: 5", &[]).unwrap_err();
        assert!(wrong[0].starts_with("AG1005 extends"), "{wrong:?}");
    }

    #[test]
    fn an_invalid_value_is_not_merged_away() {
        let strict = "mode: enforce\ndefaults: { action: deny }\ndisclose: code";
        for wrong in [
            "disclose: cod",
            "mode: enforced",
            "defaults: { action: maybe }",
        ] {
            for (top, base) in [(strict, wrong), (wrong, strict)] {
                let root = parse_yaml(&format!("{HEAD}extends: base.yaml\n{top}")).unwrap();
                let text = base.to_owned();
                let mut read = |_: &str, path: &str| {
                    Ok(ReadPolicyFile {
                        name: path.to_owned(),
                        text: text.clone(),
                    })
                };
                let merged = resolve("top.yaml", &root, &mut read).unwrap().root;
                assert!(
                    load(&merged).errors().any(|error| error.code == "AG1007"),
                    "{top} extends {base}"
                );
            }
        }
    }

    #[test]
    fn bases_may_have_bases_and_documents_of_a_set_too() {
        let top = format!("extends: a.yaml\n{ALLOW}");
        let files = [
            (
                "a.yaml",
                "extends: [b.yaml]\nrules: [{ id: a, match: { tool: t }, action: deny }]",
            ),
            (
                "b.yaml",
                "spec: { rules: [{ id: b, match: { tool: t }, action: deny }] }",
            ),
        ];
        let rules = written(resolved(&top, &files).unwrap().get("rules"));
        assert!(
            rules.contains(r#""id":"a""#) && rules.contains(r#""id":"b""#),
            "{rules}"
        );
        let set = "apiVersion: agentguard.dev/v1\nkind: AgentPolicySet\nmetadata: { name: s }\npolicies: [{ metadata: { name: x }, extends: b.yaml, defaults: { action: allow } }]";
        let root = parse_yaml(set).unwrap();
        let mut read = |_: &str, path: &str| {
            let (name, text) = files.iter().find(|(name, _)| *name == path).unwrap();
            Ok(ReadPolicyFile {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
            })
        };
        let merged = resolve("set.yaml", &root, &mut read).unwrap().root;
        assert!(load(&merged).policy.is_some());
    }

    #[test]
    fn a_key_that_stands_twice_is_not_settled_here() {
        let text = format!(
            "{HEAD}defaults: {{ action: allow }}\nspec: {{ defaults: {{ action: deny }} }}"
        );
        let root = parse_yaml(&text).unwrap();
        let mut read = |_: &str, _: &str| Err("nothing is read".to_owned());
        let resolved = resolve("top.yaml", &root, &mut read).unwrap().root;
        assert_eq!(resolved, root);
        let errors = load(&resolved)
            .errors()
            .map(|error| error.code)
            .collect::<Vec<_>>();
        assert_eq!(errors, ["AG1002"]);
    }

    #[test]
    fn a_list_may_stand_in_a_file() {
        let top = format!("{ALLOW}\nlists: {{ d: {{ file: d.txt }}, y: {{ file: y.yaml }} }}");
        let files = [
            ("d.txt", "# ours\nexample.com\n\n  example.org  \n"),
            ("y.yaml", "[a, b]"),
        ];
        assert_eq!(
            written(resolved(&top, &files).unwrap().get("lists")),
            r#"{"d":["example.com","example.org"],"y":["a","b"]}"#
        );
        let wrong = resolved(&top, &[]).unwrap_err();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }

    #[test]
    fn what_is_wrong_in_another_file_is_told_where_that_file_is_named() {
        let files = [
            (
                "a.yaml",
                "# a\n# b\n# c\nrules: [{ id: a, match: { tool: t }, action: deny, reasn: x }]",
            ),
            ("b.yaml", "extends: c.yaml\nrules: []"),
            (
                "c.yaml",
                "rules: [{ id: c, match: { tool: t }, action: denied }]",
            ),
            ("d.txt", "example..com\n"),
        ];
        let text = format!(
            "{HEAD}{ALLOW}\nextends: [a.yaml, b.yaml]\nlists: {{ d: {{ file: d.txt }} }}\nrules: [{{ id: top, match: {{ tool: t }}, when: {{ args.to: {{ domain_in: {{ list: d }} }} }}, action: deny }}]"
        );
        let root = parse_yaml(&text).unwrap();
        let mut read = |_: &str, path: &str| {
            let (name, text) = files.iter().find(|(name, _)| *name == path).unwrap();
            Ok(ReadPolicyFile {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
            })
        };
        let resolved = resolve("top.yaml", &root, &mut read).unwrap();
        let mut errors: Vec<Diagnostic> = load(&resolved.root).errors().cloned().collect();
        resolved.attribute(&mut errors);
        let told: Vec<(&str, &str)> = errors
            .iter()
            .map(|error| {
                (
                    text.get(error.span.clone()).unwrap_or_default(),
                    &*error.message,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("a.yaml", "in `a.yaml`: unknown key `reasn`"),
                (
                    "b.yaml",
                    "in `b.yaml`, or what it extends: unknown value `denied`"
                ),
                ("d.txt", "in `d.txt`: `example..com` is no domain"),
            ]
        );
        assert!(errors.iter().all(|error| error.fix.is_none()));
    }
}
