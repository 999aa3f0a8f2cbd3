//! Formatter of policies: two spaces per level, one spelling of every operator, short mappings and lists in one line. Comments,
//! blank lines and the order of keys are kept.

use super::yaml::{is_unseen, parse_yaml};
use crate::policy::node::{Member, Node, NodeValue};
use crate::policy::operators::Verb;
use crate::wire::json::quote;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

/// Maximum characters of a line with a whole mapping or list.
const WIDTH: usize = 120;

/// Reason why a document can't be formatted without loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError(pub String);

/// Formats a document that was parsed from YAML.
///
/// # Errors
/// The result would not parse as the same document.
pub fn format_yaml(text: &str, root: &Node) -> Result<String, FormatError> {
    let mut root = root.clone();
    unite_spellings(&mut root);
    let mut writer = Writer::new(text, &root);
    writer.document(&root);
    let out = writer.out;
    // The output must parse as the same document. A lost comment shows in the number of comments.
    let again = parse_yaml(&out).map_err(|errors| {
        let what = errors.first().map(ToString::to_string);
        FormatError(what.unwrap_or_default())
    })?;
    if !same(&root, &again) {
        return Err(FormatError(
            "what would be written does not read as the same document".to_owned(),
        ));
    }
    let (before, after) = (comments(text, &root).len(), comments(&out, &again).len());
    if before != after {
        return Err(FormatError(format!(
            "{} comments would be lost; put each before a key or at the end of its line",
            before.saturating_sub(after)
        )));
    }
    Ok(out)
}

/// Writes a document that has no YAML text of its own: parsed from JSON, or converted.
pub fn write_yaml(root: &Node) -> String {
    let mut root = root.clone();
    forget_places(&mut root);
    unite_spellings(&mut root);
    let mut writer = Writer::new("", &root);
    writer.document(&root);
    writer.out
}

/// Writes a document that was converted from another one, with the comments of the other one's text: each before the rule that it
/// was in or before, and those before all rules at the top.
pub fn write_converted(text: &str, written: &Node, root: &Node) -> String {
    let rules: &[Node] = root.get("rules").map_or(&[], Node::items);
    let mut top = Vec::new();
    let mut before: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut last = Vec::new();
    // An entry ends with its last scalar; the parser's span extends to the next token.
    let policy = written.get("policy").unwrap_or(written);
    let entries = LISTS_OF_RULES.iter().filter_map(|key| policy.get(key));
    let ends: BTreeMap<usize, usize> = entries
        .flat_map(Node::items)
        .map(|entry| {
            let mut end = entry.span.start;
            each_scalar(entry, &mut |span| end = end.max(span.end));
            (entry.span.start, end)
        })
        .collect();
    let spans: Vec<Range<usize>> = rules
        .iter()
        .map(|rule| {
            let start = rule.span.start;
            start..ends.get(&start).copied().unwrap_or(start)
        })
        .collect();
    let first = spans.iter().map(|span| span.start).min();
    for comment in comments(text, written) {
        // If several rules come from one entry, the first of them gets its comments.
        let line = text.get(..comment.at).and_then(|before| before.rfind('\n'));
        let line = line.unwrap_or_default()..=comment.at;
        let owner = spans.iter().position(|span| {
            let is_behind = !comment.alone && line.contains(&span.end);
            span.contains(&comment.at) || is_behind
        });
        let next = spans.iter().enumerate();
        let next = next
            .filter(|(_, span)| span.start > comment.at)
            .min_by_key(|(_, span)| span.start);
        let is_of_document = first.is_none_or(|first| comment.at < first) && !comment.alone;
        match (owner, next) {
            (Some(owner), _) => before.entry(owner).or_default().push(comment.text),
            (None, _) if is_of_document => top.push(comment.text),
            (None, Some((next, _))) if is_behind_rules(comment.at, written) => {
                before.entry(next).or_default().push(comment.text);
            }
            (None, Some(_)) => top.push(comment.text),
            (None, None) => last.push(comment.text),
        }
    }
    let mut out: String = top.iter().map(|line| format!("{line}\n")).collect();
    let mut number = 0_usize;
    let mut in_rules = false;
    for line in write_yaml(root).lines() {
        in_rules |= line == "rules:";
        if in_rules && line.starts_with("  - ") {
            for comment in before.get(&number).into_iter().flatten() {
                out.push_str(&format!("  {comment}\n"));
            }
            number = number.saturating_add(1);
        }
        out.push_str(line);
        out.push('\n');
    }
    out.extend(last.iter().map(|line| format!("{line}\n")));
    out
}

/// Keys of a foreign document whose entries become rules.
const LISTS_OF_RULES: [&str; 4] = ["rules", "allow", "deny", "rate_limits"];

/// Returns whether a position is after the key of a list of rules.
fn is_behind_rules(at: usize, written: &Node) -> bool {
    let policy = written.get("policy").unwrap_or(written);
    let mut lists = policy.members().iter();
    lists.any(|member| LISTS_OF_RULES.contains(&&*member.key) && member.key_span.end <= at)
}

/// Returns the document as indented JSON.
pub fn write_json(root: &Node) -> String {
    let mut out = String::new();
    json(root, 0, &mut out);
    out.push('\n');
    out
}

fn json(node: &Node, depth: usize, out: &mut String) {
    let short = compact(node);
    if depth.saturating_mul(2).saturating_add(short.len()) <= WIDTH && depth > 1 {
        out.push_str(&short);
        return;
    }
    let inner = "  ".repeat(depth.saturating_add(1));
    let outer = "  ".repeat(depth);
    match &node.data {
        NodeValue::List(items) if !items.is_empty() => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ",\n" } else { "\n" });
                out.push_str(&inner);
                json(item, depth.saturating_add(1), out);
            }
            out.push_str(&format!("\n{outer}]"));
        }
        NodeValue::Map(members) if !members.is_empty() => {
            out.push('{');
            for (at, member) in members.iter().enumerate() {
                out.push_str(if at > 0 { ",\n" } else { "\n" });
                out.push_str(&format!("{inner}{}: ", quoted(&member.key)));
                json(&member.value, depth.saturating_add(1), out);
            }
            out.push_str(&format!("\n{outer}}}"));
        }
        _ => out.push_str(&short),
    }
}

/// Returns JSON in one line, with spaces.
fn compact(node: &Node) -> String {
    match &node.data {
        NodeValue::List(items) => {
            let items: Vec<String> = items.iter().map(compact).collect();
            format!("[{}]", items.join(", "))
        }
        NodeValue::Map(members) if members.is_empty() => "{}".to_owned(),
        NodeValue::Map(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|member| format!("{}: {}", quoted(&member.key), compact(&member.value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        _ => {
            let mut out = Vec::new();
            node.write_json(&mut out);
            String::from_utf8_lossy(&out).into_owned()
        }
    }
}

/// Returns whether two trees have the same values, without regard to their positions.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.data, &b.data) {
        (NodeValue::List(a), NodeValue::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (NodeValue::Map(a), NodeValue::Map(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.key == b.key && same(&a.value, &b.value))
        }
        (a, b) => a == b,
    }
}

fn forget_places(node: &mut Node) {
    node.span = 0..0;
    match &mut node.data {
        NodeValue::List(items) => items.iter_mut().for_each(forget_places),
        NodeValue::Map(members) => {
            for member in members {
                member.key_span = 0..0;
                forget_places(&mut member.value);
            }
        }
        _ => {}
    }
}

/// Replaces each operator in the rules by its canonical spelling: `gt` becomes `greater_than`.
fn unite_spellings(root: &mut Node) {
    let NodeValue::Map(members) = &mut root.data else {
        return;
    };
    for member in members {
        match &*member.key {
            "spec" => unite_spellings(&mut member.value),
            "policies" => {
                if let NodeValue::List(documents) = &mut member.value.data {
                    documents.iter_mut().for_each(unite_spellings);
                }
            }
            "rules" => {
                let NodeValue::List(rules) = &mut member.value.data else {
                    continue;
                };
                for rule in rules {
                    let NodeValue::Map(keys) = &mut rule.data else {
                        continue;
                    };
                    for key in keys
                        .iter_mut()
                        .filter(|key| matches!(&*key.key, "when" | "unless"))
                    {
                        unite_conditions(&mut key.value);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Conditions: what is asked of each field, by itself or under `all`, `any`, `not` and `earlier`. Keys are names of fields, and
/// those of an item are whatever its members are called.
fn unite_conditions(node: &mut Node) {
    match &mut node.data {
        NodeValue::List(items) => items.iter_mut().for_each(unite_conditions),
        NodeValue::Map(members) => {
            for member in members {
                match &*member.key {
                    "all" | "any" | "not" | "earlier" => unite_conditions(&mut member.value),
                    _ => unite_checks(&mut member.value),
                }
            }
        }
        _ => {}
    }
}

/// What is asked of one field: operators with their operands.
fn unite_checks(node: &mut Node) {
    let NodeValue::Map(members) = &mut node.data else {
        return;
    };
    for member in members {
        if let Some(verb) = Verb::parse(&member.key)
            && verb.word() != &*member.key
        {
            member.key = verb.word().into();
            // Written anew instead of as it stands in the text.
            member.key_span = 0..0;
        }
        if matches!(&*member.key, "any_item" | "overlaps") {
            unite_conditions(&mut member.value);
        }
    }
}

/// Comment, without the line end.
struct Comment {
    at: usize,
    text: String,
    /// Whether nothing else is in its line.
    alone: bool,
}

/// Returns the comments of a document: text from a `#` at the start of a line or after a space, outside of scalars.
fn comments(text: &str, root: &Node) -> Vec<Comment> {
    let mut scalars = Vec::new();
    each_scalar(root, &mut |span| scalars.push(span.clone()));
    scalars.sort_by_key(|span| span.start);
    let mut found = Vec::new();
    let mut start = 0_usize;
    for line in text.split_inclusive('\n') {
        let mut before = ' ';
        let mut blank = true;
        for (at, c) in line.char_indices() {
            let place = start.saturating_add(at);
            if c == '#' && before.is_whitespace() && !is_within(&scalars, place) {
                found.push(Comment {
                    at: place,
                    text: line.get(at..).unwrap_or_default().trim_end().to_owned(),
                    alone: blank,
                });
                break;
            }
            blank &= c.is_whitespace();
            before = c;
        }
        start = start.saturating_add(line.len());
    }
    found
}

fn is_within(scalars: &[Range<usize>], place: usize) -> bool {
    let next = scalars.partition_point(|span| span.start <= place);
    next.checked_sub(1)
        .and_then(|at| scalars.get(at))
        .is_some_and(|span| span.contains(&place))
}

fn each_scalar(node: &Node, visit: &mut dyn FnMut(&Range<usize>)) {
    match &node.data {
        NodeValue::List(items) => {
            for item in items {
                each_scalar(item, visit);
            }
        }
        NodeValue::Map(members) => {
            for member in members {
                visit(&member.key_span);
                each_scalar(&member.value, visit);
            }
        }
        _ => visit(&node.span),
    }
}

/// Key or item that begins a line.
#[derive(Clone, Copy)]
struct Anchor {
    /// Position of its first byte. An item that is a mapping begins with its first key, which has an anchor of its own.
    at: usize,
    /// Column of the key, or of the item's dash.
    column: usize,
    is_item: bool,
    /// Number of the key or item that contains it.
    parent: Option<usize>,
}

struct Writer<'t> {
    text: &'t str,
    out: String,
    /// Comments before a key or item, by the position of its first byte.
    leading: BTreeMap<usize, Vec<String>>,
    /// Comment at the end of the line of a key or item.
    trailing: BTreeMap<usize, String>,
    /// Comments after a whole key or item: those at the end of a block that are indented as far.
    behind: BTreeMap<(usize, bool), Vec<String>>,
    /// Keys and items after a blank line.
    spaced: BTreeMap<usize, ()>,
    /// Comments at the end of the document.
    last: Vec<String>,
}

impl<'t> Writer<'t> {
    fn new(text: &'t str, root: &Node) -> Writer<'t> {
        let mut writer = Writer {
            text,
            out: String::new(),
            leading: BTreeMap::new(),
            trailing: BTreeMap::new(),
            behind: BTreeMap::new(),
            spaced: BTreeMap::new(),
            last: Vec::new(),
        };
        if !text.is_empty() {
            writer.attach(root);
        }
        writer
    }

    /// Assigns each comment and blank line a place in the tree.
    fn attach(&mut self, root: &Node) {
        let mut anchors = Vec::new();
        self.anchors(root, None, &mut anchors);
        let ends: Vec<usize> = self.text.match_indices('\n').map(|(at, _)| at).collect();
        let line_of = |at: usize| ends.partition_point(|end| *end < at);
        // Comments between the same two keys keep their order: none is indented further than the one before it.
        let mut gap = (0, usize::MAX);
        for comment in comments(self.text, root) {
            let next = anchors.partition_point(|anchor| anchor.at < comment.at);
            let last = next.checked_sub(1);
            let before = last.and_then(|last| anchors.get(last));
            if gap.0 != next {
                gap = (next, usize::MAX);
            }
            let column = self.column(comment.at).min(gap.1);
            let ended = last.filter(|_| comment.alone);
            let ended = ended.and_then(|last| ended_at(&anchors, last, next, column));
            match (before, ended, anchors.get(next)) {
                (Some(before), _, _)
                    if !comment.alone && line_of(before.at) == line_of(comment.at) =>
                {
                    self.trailing.insert(before.at, comment.text);
                }
                (_, Some(ended), _) => {
                    gap.1 = ended.column;
                    let behind = self.behind.entry((ended.at, ended.is_item));
                    behind.or_default().push(comment.text);
                }
                (_, None, Some(next)) => {
                    gap.1 = 0;
                    self.leading.entry(next.at).or_default().push(comment.text);
                }
                (_, None, None) => {
                    gap.1 = 0;
                    self.last.push(comment.text);
                }
            }
        }
        for anchor in anchors.iter().map(|anchor| anchor.at) {
            let start = self
                .text
                .get(..anchor)
                .and_then(|before| before.rfind('\n'))
                .unwrap_or_default();
            let above = self.text.get(..start).unwrap_or_default();
            let mut lines = above.rsplit('\n');
            let above = lines.find(|line| !line.trim_start().starts_with('#'));
            // A line of other white space is a line of a text.
            if above.is_some_and(|line| line.trim_matches([' ', '\t', '\r']).is_empty()) {
                self.spaced.insert(anchor, ());
            }
        }
    }

    /// Collects the positions of keys and items that begin a line.
    fn anchors(&self, node: &Node, parent: Option<usize>, anchors: &mut Vec<Anchor>) {
        let inline = self.is_flow(node) && !self.spans_lines(node);
        match &node.data {
            NodeValue::Map(members) if !inline => {
                for member in members {
                    let at = member.key_span.start;
                    let number = anchors.len();
                    anchors.push(Anchor {
                        at,
                        column: self.column(at),
                        is_item: false,
                        parent,
                    });
                    self.anchors(&member.value, Some(number), anchors);
                }
            }
            NodeValue::List(items) if !inline => {
                for item in items {
                    let at = first_byte(item);
                    let number = anchors.len();
                    anchors.push(Anchor {
                        at,
                        column: self.column(self.dash(at).unwrap_or(at)),
                        is_item: true,
                        parent,
                    });
                    self.anchors(item, Some(number), anchors);
                }
            }
            _ => {}
        }
    }

    /// Returns the number of characters before a position in its line.
    fn column(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.chars().count()
    }

    /// Returns the dash of an item that begins here; none between brackets.
    fn dash(&self, at: usize) -> Option<usize> {
        let before = self.text.get(..at)?.trim_end_matches(' ');
        before
            .ends_with('-')
            .then(|| before.len().saturating_sub(1))
    }

    fn source(&self, node: &Node) -> &'t str {
        self.text.get(node.span.clone()).unwrap_or_default()
    }

    fn is_flow(&self, node: &Node) -> bool {
        self.source(node).starts_with(['{', '['])
    }

    fn spans_lines(&self, node: &Node) -> bool {
        self.source(node).trim_end().contains('\n')
    }

    fn document(&mut self, root: &Node) {
        match &root.data {
            NodeValue::Map(members) => self.block_map(members, 0, false),
            _ => {
                let line = self.inline(root);
                self.out.push_str(&line);
                self.out.push('\n');
            }
        }
        for comment in std::mem::take(&mut self.last) {
            self.out.push_str(&comment);
            self.out.push('\n');
        }
    }

    /// Writes the blank line and comments before a key or an item.
    fn before(&mut self, at: usize, indent: usize) {
        if self.text.is_empty() {
            return;
        }
        if self.spaced.remove(&at).is_some() && !self.out.is_empty() && !self.out.ends_with("\n\n")
        {
            self.out.push('\n');
        }
        for comment in self.leading.remove(&at).unwrap_or_default() {
            self.out
                .push_str(&format!("{}{comment}\n", " ".repeat(indent)));
        }
    }

    /// Writes the comments after a whole key or item.
    fn after(&mut self, at: usize, is_item: bool, indent: usize) {
        for comment in self.behind.remove(&(at, is_item)).unwrap_or_default() {
            self.out
                .push_str(&format!("{}{comment}\n", " ".repeat(indent)));
        }
    }

    fn end_line(&mut self, at: usize) {
        if let Some(comment) = self.trailing.remove(&at) {
            self.out.push_str(&format!(" {comment}"));
        }
        self.out.push('\n');
    }

    fn block_map(&mut self, members: &[Member], indent: usize, begun: bool) {
        for (number, member) in members.iter().enumerate() {
            let at = member.key_span.start;
            if number > 0 || !begun {
                self.before(at, indent);
                self.out.push_str(&" ".repeat(indent));
            }
            let key = self.key(member);
            self.out.push_str(&format!("{key}:"));
            self.value(&member.value, indent, at);
            self.after(at, false, indent);
        }
    }

    /// Writes the value of a key, and the end of its line.
    fn value(&mut self, node: &Node, indent: usize, at: usize) {
        let column = self
            .out
            .rsplit('\n')
            .next()
            .map_or(0, |line| line.chars().count());
        if let Some(line) = self.fits(node, column.saturating_add(1)) {
            self.out.push_str(&format!(" {line}"));
            self.end_line(at);
            return;
        }
        let inner = indent.saturating_add(2);
        match &node.data {
            NodeValue::Map(members) => {
                self.end_line(at);
                self.block_map(members, inner, false);
            }
            NodeValue::List(items) => {
                self.end_line(at);
                self.block_list(items, inner);
            }
            NodeValue::String(text) => {
                let block = block_scalar(text, inner);
                let (head, rest) = block.split_once('\n').unwrap_or((&block, ""));
                self.out.push_str(&format!(" {head}"));
                self.end_line(at);
                self.out.push_str(rest);
            }
            _ => self.end_line(at),
        }
    }

    fn block_list(&mut self, items: &[Node], indent: usize) {
        for item in items {
            let at = first_byte(item);
            let fits = self.fits(item, indent.saturating_add(2));
            // What gets lines of its own has no line that its comment could stay behind.
            if fits.is_none()
                && self.is_flow(item)
                && let Some(comment) = self.trailing.remove(&at)
            {
                self.leading.entry(at).or_default().push(comment);
            }
            self.before(at, indent);
            self.out.push_str(&format!("{}-", " ".repeat(indent)));
            match (&item.data, fits) {
                (_, Some(line)) => {
                    self.out.push_str(&format!(" {line}"));
                    self.end_line(at);
                }
                (NodeValue::Map(members), None) => {
                    self.out.push(' ');
                    self.block_map(members, indent.saturating_add(2), true);
                }
                (NodeValue::List(items), None) => {
                    self.end_line(at);
                    self.block_list(items, indent.saturating_add(2));
                }
                _ => self.value(item, indent, at),
            }
            self.after(at, true, indent);
        }
    }

    /// Returns the node in one line, if it is short and was in one line or has no text.
    fn fits(&self, node: &Node, column: usize) -> Option<String> {
        match &node.data {
            NodeValue::Map(members) if !members.is_empty() => {
                let was_flow = self.text.is_empty() || node.span.is_empty() || self.is_flow(node);
                // Rules and other long values are more readable in several lines.
                if !was_flow || self.holds_comments(node) || (self.text.is_empty() && is_deep(node))
                {
                    return None;
                }
            }
            NodeValue::List(items) if !items.is_empty() => {
                let was_flow = self.text.is_empty() || node.span.is_empty() || self.is_flow(node);
                if !was_flow || self.holds_comments(node) || (self.text.is_empty() && is_deep(node))
                {
                    return None;
                }
            }
            NodeValue::String(text) => {
                let line = self.inline(node);
                let is_long = column.saturating_add(line.chars().count()) > WIDTH;
                let breaks = text.contains(' ') && !text.contains("  ");
                if text.contains('\n') || (is_long && breaks) {
                    return None;
                }
                return Some(line);
            }
            _ => {}
        }
        let line = self.inline(node);
        let short = column.saturating_add(line.chars().count()) <= WIDTH && !line.contains('\n');
        let is_scalar = !matches!(node.data, NodeValue::Map(_) | NodeValue::List(_));
        (short || is_scalar).then_some(line)
    }

    fn holds_comments(&self, node: &Node) -> bool {
        // A comment at the node's own beginning belongs to the line that it is written in.
        let start = node.span.start.saturating_add(1);
        let inside = start..node.span.end.max(start);
        self.leading.range(inside.clone()).next().is_some()
            || self.trailing.range(inside).next().is_some()
    }

    fn key(&self, member: &Member) -> String {
        match self.text.get(member.key_span.clone()) {
            Some(source) if !source.is_empty() && !source.contains('\n') => source.to_owned(),
            _ => plain(&member.key, true),
        }
    }

    fn inline(&self, node: &Node) -> String {
        match &node.data {
            NodeValue::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.inline_inner(item)).collect();
                format!("[{}]", items.join(", "))
            }
            NodeValue::Map(members) if members.is_empty() => "{}".to_owned(),
            NodeValue::Map(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|member| {
                        format!("{}: {}", self.key(member), self.inline_inner(&member.value))
                    })
                    .collect();
                format!("{{ {} }}", members.join(", "))
            }
            _ => self.scalar(node, false),
        }
    }

    fn inline_inner(&self, node: &Node) -> String {
        match &node.data {
            NodeValue::List(_) | NodeValue::Map(_) => self.inline(node),
            _ => self.scalar(node, true),
        }
    }

    /// Returns a scalar as in the text; written anew if it has no text or several lines.
    fn scalar(&self, node: &Node, in_flow: bool) -> String {
        let source = self.source(node).trim_end();
        // The parser's span of a block scalar is its lines. A single line, written after its key, might be parsed differently.
        let before = self.text.get(..node.span.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let is_block = source.starts_with(['|', '>'])
            || (!in_flow && line.trim().is_empty() && !source.starts_with(['"', '\'']));
        if !source.is_empty() && !source.contains('\n') && !is_block {
            return source.to_owned();
        }
        match &node.data {
            NodeValue::String(text) => plain(text, in_flow),
            NodeValue::Null => "null".to_owned(),
            NodeValue::Bool(value) => value.to_string(),
            NodeValue::Number(text) => text.to_string(),
            NodeValue::List(_) | NodeValue::Map(_) => String::new(),
        }
    }
}

/// Returns the key or item after which a comment between two of them belongs: the innermost one that has ended there and is not
/// indented further. `None` if the comment would be written no further to the right than the next one, to which it belongs then.
fn ended_at(anchors: &[Anchor], last: usize, next: usize, column: usize) -> Option<Anchor> {
    let next = anchors.get(next);
    let least = next.map_or(0, |next| next.column);
    if column <= least {
        return None;
    }
    let up =
        |from: Option<usize>| std::iter::successors(from, |number| anchors.get(*number)?.parent);
    let goes_on = |number: usize| up(next.and_then(|next| next.parent)).any(|open| open == number);
    let mut ended = up(Some(last)).take_while(|number| !goes_on(*number));
    let found =
        ended.find_map(|number| anchors.get(number).filter(|anchor| anchor.column <= column));
    found
        .filter(|found| next.is_none() || found.column > least)
        .copied()
}

/// Returns the position of a node's first byte.
fn first_byte(node: &Node) -> usize {
    match &node.data {
        NodeValue::Map(members) => members
            .first()
            .map_or(node.span.start, |member| member.key_span.start)
            .min(node.span.start),
        _ => node.span.start,
    }
}

/// Returns whether a mapping contains more than plain values and short lists.
fn is_deep(node: &Node) -> bool {
    let depth = depth(node);
    depth > 2
}

fn depth(node: &Node) -> usize {
    let inner = match &node.data {
        NodeValue::List(items) => items.iter().map(depth).max(),
        NodeValue::Map(members) => members.iter().map(|member| depth(&member.value)).max(),
        _ => return 0,
    };
    inner.unwrap_or_default().saturating_add(1)
}

/// Returns a text without quotes if YAML parses it as that text, else in quotes.
fn plain(text: &str, in_flow: bool) -> String {
    let document = if in_flow {
        format!("[{text}]")
    } else {
        format!("- {text}")
    };
    let reads_back = match parse_yaml(&document).map(|node| node.data) {
        Ok(NodeValue::List(items)) => match items.as_slice() {
            [only] => matches!(&only.data, NodeValue::String(read) if **read == *text),
            _ => false,
        },
        _ => false,
    };
    let begins = [
        '-', '?', '!', '&', '*', '|', '>', '\'', '"', '%', '@', '`', ' ',
    ];
    let is_special = text.is_empty()
        || text.contains(['\n', '#', ':', '\t'])
        || text.contains(is_unseen)
        || !text.chars().all(is_yaml)
        || text.starts_with(begins)
        || text.ends_with(' ')
        || is_word_elsewhere(text)
        // The parsers of Kubernetes, Helm and Python end a plain text in a flow collection at `?`: `[(?i)x]`.
        || (in_flow && text.contains([',', '[', ']', '{', '}', '?']));
    if reads_back && !is_special {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Returns whether YAML 1.1 has another meaning for a text that YAML 1.2 reads as such: Kubernetes takes `y` for `true`, so that a rule on
/// this value would never match, and Python's parser refuses `=` and `<<`. A date is none of JSON's types.
fn is_word_elsewhere(text: &str) -> bool {
    matches!(text, "y" | "Y" | "n" | "N" | "=" | "<<") || is_date(text) || is_spaced_number(text)
}

/// Returns whether a text is a date: `2026-11-27`. A moment has a colon, and is in quotes for it.
fn is_date(text: &str) -> bool {
    let is_part = |part: &str, lengths: RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = text.split('-');
    let ends = [4..=4, 1..=2, 1..=2];
    let all = ends
        .into_iter()
        .all(|lengths| parts.next().is_some_and(|part| is_part(part, lengths)));
    all && parts.next().is_none()
}

/// Returns whether a text without its `_` is a number: Kubernetes takes `0_x1f` for 31.
fn is_spaced_number(text: &str) -> bool {
    let plain = text.replace('_', "").to_ascii_lowercase();
    let plain = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter();
    let mut radix = radix.filter_map(|(prefix, radix)| Some((plain.strip_prefix(prefix)?, radix)));
    let begins = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.contains('_')
        && (radix.any(|(digits, radix)| digits.chars().all(|c| c.is_digit(radix)))
            || (begins && plain.parse::<f64>().is_ok()))
}

/// Returns a text in quotes, which JSON and YAML parse alike.
fn quoted(text: &str) -> String {
    let mut json = Vec::new();
    quote(text, &mut json);
    let json = String::from_utf8_lossy(&json);
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match is_yaml(c) {
            true => out.push(c),
            // All of these characters are below U+10000.
            false => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    out
}

/// Returns whether every YAML parser accepts a character unescaped. Control characters are invalid in YAML. Line breaks of YAML
/// 1.1, which Kubernetes and Helm parse, would end a comment or become a space.
fn is_yaml(c: char) -> bool {
    matches!(c, '\t' | ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Returns a long text over several lines: folded if it is one line, literal if it is several. The first line is the indicator,
/// such as `>-`.
fn block_scalar(text: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let foldable = !text.contains('\n')
        && !text.contains("  ")
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && text.chars().all(|c| is_yaml(c) && c != '\t');
    if foldable {
        let mut out = ">-\n".to_owned();
        let mut line = pad.clone();
        for word in text.split(' ') {
            let length = line.chars().count().saturating_add(word.chars().count());
            if line.len() > pad.len() && length >= WIDTH {
                out.push_str(line.trim_end());
                out.push('\n');
                line = pad.clone();
            }
            line.push_str(word);
            line.push(' ');
        }
        out.push_str(line.trim_end());
        out.push('\n');
        return out;
    }
    let literal = text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && text.lines().all(|line| !line.ends_with(' '))
        && text.chars().all(|c| c == '\n' || (is_yaml(c) && c != '\t'))
        && !text.ends_with("\n\n");
    if !literal {
        return format!("{}\n", quoted(text));
    }
    let chomp = if text.ends_with('\n') { "|" } else { "|-" };
    let mut out = format!("{chomp}\n");
    for line in text.lines() {
        if !line.is_empty() {
            out.push_str(&format!("{pad}{line}"));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn format(text: &str) -> Result<String, FormatError> {
        format_yaml(text, &parse_yaml(text).unwrap())
    }

    #[test]
    fn comments_of_a_document_written_elsewhere_stay_with_their_rules() {
        let text = "# For: the gateway.
policy:
  name: gateway # in records
  rules:
    # Refunds.
    - id: refunds
      match: { tool_name: issue_refund } # by its name
      # Asked for by finance.
      outcome: DENY
      reason: \"No # here\"  # said so
    # Long ones.
    - { id: long, match: { message_count: { gt: 50 } }, outcome: DENY }
  rate_limits:
    # Everyone.
    - { id: everyone, requests_per_minute: 60, tokens_per_day: 9 }
  # The end.
";
        let root = parse_yaml(text).unwrap();
        let (full, _) = crate::policy::desugar_document(&root).unwrap();
        let out = write_converted(text, &root, &full);
        let expected = "# For: the gateway.
# in records
apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: gateway }
require: none
defaults: { action: allow }
rules:
  # Refunds.
  # by its name
  # Asked for by finance.
  # said so
  - { id: refunds, match: { tool: issue_refund }, action: deny, reason: \"No # here\" }
  # Long ones.
  - id: long
    when: { request.message_count: { greater_than: 50 } }
    action: deny
  # Everyone.
  - { id: everyone, action: deny, limit: { count: requests, max: 60, window: 1m } }
  - { id: everyone-2, action: deny, limit: { count: tokens, max: 9, window: 24h } }
# The end.
";
        assert_eq!(out, expected);
        let again = parse_yaml(&out).unwrap();
        assert_eq!(write_yaml(&again), write_yaml(&full));
    }

    #[test]
    fn operators_have_one_spelling_and_members_of_an_item_keep_their_names() {
        let head = "rules:\n  - when: ";
        for (written, formatted) in [
            (
                "{ args.n: { gt: 1, lte: 5 } }",
                "{ args.n: { greater_than: 1, at_most: 5 } }",
            ),
            (
                "{ not: { args.n: { gt: 1 } } }",
                "{ not: { args.n: { greater_than: 1 } } }",
            ),
            (
                "{ earlier: { tool: t, args.n: { gt: 1 } } }",
                "{ earlier: { tool: t, args.n: { greater_than: 1 } } }",
            ),
            (
                "{ args.x: { any_item: { gt: { gt: 1 } } } }",
                "{ args.x: { any_item: { gt: { greater_than: 1 } } } }",
            ),
            (
                "{ args.x: { any_item: { any: [{ gt: 1 }, { not: { lt: { gte: 2 } } }] } } }",
                "{ args.x: { any_item: { any: [{ gt: 1 }, { not: { lt: { at_least: 2 } } }] } } }",
            ),
            (
                "{ text: { overlaps: { earlier: { tool: t, args.n: { gt: 1 } } } } }",
                "{ text: { overlaps: { earlier: { tool: t, args.n: { greater_than: 1 } } } } }",
            ),
        ] {
            let out = format(&format!("{head}{written}\n")).unwrap();
            assert_eq!(out, format!("{head}{formatted}\n"));
        }
    }

    #[test]
    fn a_key_without_a_value_is_written_with_what_it_reads_as() {
        for (text, written) in [
            (
                "a: { why: b, and c, when: d }\n",
                "a: { why: b, and c: null, when: d }\n",
            ),
            ("a: { b }\n", "a: { b: null }\n"),
            ("a: { b: , c: 1 }\n", "a: { b: null, c: 1 }\n"),
            ("a: [{ b }, c]\n", "a: [{ b: null }, c]\n"),
            ("a: {\n  b,\n  c: 1 # d\n}\n", "a:\n  b: null\n  c: 1 # d\n"),
        ] {
            assert_eq!(format(text).as_deref(), Ok(written), "{text}");
            assert_eq!(format(written).as_deref(), Ok(written), "{written}");
        }
    }

    #[test]
    fn what_is_written_in_a_form_of_its_own_keeps_its_meaning() {
        for (text, written) in [
            // A block of one line, which after the key would be a mapping, a comment, an anchor or a tab.
            ("a: >-\n  Ask: now\n", "a: \"Ask: now\"\n"),
            ("a: |-\n  see #1 # 2\n", "a: \"see #1 # 2\"\n"),
            ("a: |-\n  &x *y\n", "a: \"&x *y\"\n"),
            ("a: |-\n  \tx\n", "a: \"\\tx\"\n"),
            ("a: >2-\n    x\n", "a: \"  x\"\n"),
            ("a: >-\n  true\n", "a: \"true\"\n"),
            ("a:\n  'it''s'\n", "a: 'it''s'\n"),
            // A key over two lines.
            ("a: { \"b\n  c\": 1 }\n", "a: { b c: 1 }\n"),
            // Comments between items in braces.
            (
                "a: [\n  # b\n  { c: 1 }, # d\n  { e: 2 } # f\n]\n",
                "a:\n  # b\n  - { c: 1 } # d\n  - { e: 2 } # f\n",
            ),
            // Members of an item that have the names of short operators.
            (
                "rules:\n  - when: { args.a: { any_item: { gt: { gt: 1 } } } }\n",
                "rules:\n  - when: { args.a: { any_item: { gt: { greater_than: 1 } } } }\n",
            ),
            (
                "policies:\n  - rules: [{ when: { args.a: { gt: 1 } } }]\n",
                "policies:\n  - rules: [{ when: { args.a: { greater_than: 1 } } }]\n",
            ),
        ] {
            assert_eq!(format(text).as_deref(), Ok(written), "{text}");
            assert_eq!(format(written).as_deref(), Ok(written), "{written}");
        }
    }

    #[test]
    fn a_comment_behind_quotes_is_one() {
        let text = "a: \"x # y\"   # one\nb: 'it''s'   # two\nc: \"\\\"\" # three\n";
        let root = parse_yaml(text).unwrap();
        let found: Vec<String> = comments(text, &root).into_iter().map(|c| c.text).collect();
        assert_eq!(found, ["# one", "# two", "# three"]);
    }

    #[test]
    fn comments_blank_lines_and_the_order_of_keys_stay() {
        let text = "# For: everyone.
# Does not: much.
kind: AgentPolicy   # the kind
apiVersion: x

# About rules.
rules:
    # The first.
    - id: a     # its name
      when:  {args.n: {gt: 5,lt: 9}}   # numbers
      reason: \"not # a comment\"

    -   id: b
        match: {tool: [x,
                       y # why
                       ]}
# The end.
";
        let formatted = format(text).unwrap();
        assert_eq!(
            formatted,
            "# For: everyone.
# Does not: much.
kind: AgentPolicy # the kind
apiVersion: x

# About rules.
rules:
  # The first.
  - id: a # its name
    when: { args.n: { greater_than: 5, less_than: 9 } } # numbers
    reason: \"not # a comment\"

  - id: b
    match:
      tool:
        - x
        - \"y\" # why
# The end.
"
        );
        assert_eq!(format(&formatted).unwrap(), formatted);
    }

    #[test]
    fn a_comment_at_the_end_of_a_block_stays_in_it() {
        // Each text with its formatted form. Formatted texts do not change.
        for (text, written) in [
            (
                "rules:\n  - id: a\n    action: deny\n    # - id: in the rule\n  # - id: behind it\n  - id: b\n  # - id: c\nlists:\n  d: [e]\n  # f: [g]\n# top\n",
                "rules:\n  - id: a\n    action: deny\n    # - id: in the rule\n  # - id: behind it\n  - id: b\n  # - id: c\nlists:\n  d: [e]\n  # f: [g]\n# top\n",
            ),
            // Lists that begin at the column of their key.
            (
                "rules:\n- id: a\n  action: deny\n  # in a\n- id: b\n  # in b\n# top\nlists: {}\n",
                "rules:\n  - id: a\n    action: deny\n    # in a\n  - id: b\n    # in b\n# top\nlists: {}\n",
            ),
            // A comment before the first item of a block belongs to that item, whatever its column.
            (
                "rules:\n      # first\n  - id: a\n",
                "rules:\n  # first\n  - id: a\n",
            ),
            // No comment is indented further than the one before it.
            (
                "a:\n  b:\n    c: 1\n  # one\n    # two\n# three\n  # four\nd: 1\n",
                "a:\n  b:\n    c: 1\n  # one\n  # two\n# three\n# four\nd: 1\n",
            ),
            // A no-break space at the end of a text is no blank line behind it.
            ("a: |\n  b\n  \u{a0}\nc: 1\n", "a: |\n  b\n  \u{a0}\nc: 1\n"),
            // Written beside the next one, it is about that one.
            ("a: 1\n    # far\n\nb: 2\n", "a: 1\n\n# far\nb: 2\n"),
            (
                "a:\n  - b\n     # far\n\n  - c\n",
                "a:\n  - b\n\n  # far\n  - c\n",
            ),
            // Indented further than everything.
            ("a:\n  b: 1\n        # far\n", "a:\n  b: 1\n  # far\n"),
            (
                "a: [\n  b, # one\n  c\n  # two\n]\nd: 1\n",
                "a:\n  - b # one\n  - c\n  # two\nd: 1\n",
            ),
            (
                "a:\n  - |\n    text\n    # no comment\n  # one\n  - b\n    # two\n",
                "a:\n  - |\n    text\n    # no comment\n  # one\n  - b\n  # two\n",
            ),
        ] {
            assert_eq!(format(text).as_deref(), Ok(written), "{text}");
            assert_eq!(format(written).as_deref(), Ok(written), "{written}");
        }
    }

    #[test]
    fn the_comment_behind_a_long_line_stands_before_what_the_line_becomes() {
        let long = "x".repeat(WIDTH);
        for (text, written) in [
            (
                format!("a:\n  # one\n  - {{ b: 1, c: {long} }} # two\n  - d\n"),
                format!("a:\n  # one\n  # two\n  - b: 1\n    c: {long}\n  - d\n"),
            ),
            (
                format!("a:\n  - [{long}] # one\n"),
                format!("a:\n  # one\n  -\n    - {long}\n"),
            ),
            (
                format!("a: {{ b: {long} }} # one\n"),
                format!("a: # one\n  b: {long}\n"),
            ),
        ] {
            assert_eq!(format(&text).as_deref(), Ok(&*written), "{text}");
            assert_eq!(format(&written).as_deref(), Ok(&*written), "{written}");
        }
    }

    #[test]
    fn long_texts_and_long_lines_are_broken() {
        let long = "word ".repeat(40);
        let text = format!(
            "a: >-\n  {}\nb: |\n  one # not a comment\n  two\nc: [{}]\n",
            long.trim(),
            "x, ".repeat(60) + "x"
        );
        let formatted = format(&text).unwrap();
        assert!(
            formatted.lines().all(|line| line.len() <= WIDTH),
            "{formatted}"
        );
        assert_eq!(format(&formatted).unwrap(), formatted);
    }

    #[test]
    fn a_document_without_text_is_written_whole() {
        let json = br#"{"apiVersion":"x","rules":[{"id":"a","when":{"args.n":{"gt":1.50}},"reason":"No: never","tags":["yes","1"]}]}"#;
        let root = crate::policy::parse_json(json).unwrap();
        let written = write_yaml(&root);
        let again = parse_yaml(&written).unwrap();
        let mut expected = root.clone();
        unite_spellings(&mut expected);
        assert!(same(&expected, &again), "{written}");
        assert_eq!(format(&written).unwrap(), written);
        let json = write_json(&root);
        assert!(same(
            &root,
            &crate::policy::parse_json(json.as_bytes()).unwrap()
        ));
    }

    #[test]
    fn what_kubernetes_reads_as_something_else_is_in_quotes() {
        let json = br#"{"rules":[{"when":{"args.a":{"in":["y","N","=","<<","(?i)x","a?","2026-1-27","0_x1f","+_1","1-1-1"]}},"reason":"y","text":"2026-01-27"},{"y":"\\d? [a]"}]}"#;
        let written = write_yaml(&crate::policy::parse_json(json).unwrap());
        assert_eq!(
            written,
            concat!(
                "rules:\n  - when:\n      args.a: { in: [\"y\", \"N\", \"=\", \"<<\", \"(?i)x\", \"a?\", \"2026-1-27\", \"0_x1f\", \"+_1\", 1-1-1] }\n",
                "    reason: \"y\"\n    text: \"2026-01-27\"\n  - { \"y\": \"\\\\d? [a]\" }\n",
            )
        );
        assert_eq!(format(&written).unwrap(), written);
    }

    fn any_node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            "[ -~]{0,12}".prop_map(|text| NodeValue::String(text.into())),
            "[a-z#:,“”‘’\u{a0}\u{200b}\\[\\]{}\n ]{0,12}"
                .prop_map(|text| NodeValue::String(text.into())),
            "[a\u{1}\r\u{1b}\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{feff}\u{fffe}\u{202e}\u{1f600} \n]{0,9}"
                .prop_map(|text| NodeValue::String(text.into())),
            any::<i32>().prop_map(|n| NodeValue::Number(n.to_string().into())),
            any::<bool>().prop_map(NodeValue::Bool),
            Just(NodeValue::Null),
        ]
        .prop_map(|data| Node { span: 0..0, data });
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(NodeValue::List),
                prop::collection::btree_map("[a-z.\"#: “”\u{a0}\u{200b}]{1,8}", inner, 0..4)
                    .prop_map(|map| {
                        NodeValue::Map(
                            map.into_iter()
                                .map(|(key, value)| Member {
                                    key: key.into(),
                                    key_span: 0..0,
                                    value,
                                })
                                .collect(),
                        )
                    }),
            ]
            .prop_map(|data| Node { span: 0..0, data })
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_reads_back_and_stays(node in any_node()) {
            let root = Node {
                span: 0..0,
                data: NodeValue::Map(vec![Member { key: "root".into(), key_span: 0..0, value: node }]),
            };
            let written = write_yaml(&root);
            prop_assert!(written.chars().all(|c| c == '\n' || is_yaml(c)), "{:?}", written);
            let again = parse_yaml(&written);
            prop_assert!(again.is_ok(), "{:?}\n{}", again, written);
            let again = again.unwrap();
            prop_assert!(same(&root, &again), "{}", written);
            prop_assert_eq!(format_yaml(&written, &again).unwrap(), written);
        }
    }
}
