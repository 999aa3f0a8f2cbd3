//! Paths into a JSON value, in the syntax of policies.

use super::value::Value;

/// A path into arguments, results or parameters. Alternatives are siblings: `args.a.to|cc` is `args.a.to` or
/// `args.a.cc`, and `args..to|cc` is either at any depth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonPath {
    /// The alternative ways down. Without any, the path is the whole value.
    pub ways: Vec<Vec<PathStep>>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// `.name`, `["name"]`
    Key(Box<str>),
    /// `[0]`
    Index(usize),
    /// `[*]`, `.*`
    Every,
    /// `..name`: the key at any depth
    Anywhere(Box<str>),
}

impl JsonPath {
    /// Returns whether the path is the whole value.
    pub fn is_whole(&self) -> bool {
        self.ways.is_empty()
    }

    /// Calls `reached` with every value that the path leads to; with the whole value if the path has no way down.
    pub fn each<'a>(&self, root: Value<'a>, reached: &mut dyn FnMut(Value<'a>)) {
        if self.is_whole() {
            reached(root);
        }
        for way in &self.ways {
            walk(root, way, reached, &mut |_, _| {});
        }
    }

    /// Calls `asked` with every value in which the path asks for a member, and with the name of the member.
    pub fn each_name<'a>(&self, root: Value<'a>, asked: &mut dyn FnMut(Value<'a>, &str)) {
        for way in &self.ways {
            walk(root, way, &mut |_| {}, asked);
        }
    }

    /// Parses a path as it is written after the value's name: `.a[0]`, `["a.b"]`, `..name`, and JSONPath's `$.a`.
    ///
    /// # Errors
    /// A message that explains the syntax error.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        // `args.$.a[0]` and `args$.a[0]`: JSONPath pasted after the name.
        let text = text
            .strip_prefix(".$")
            .or_else(|| text.strip_prefix('$'))
            .unwrap_or(text);
        let mut rest = text;
        let mut common: Vec<PathStep> = Vec::new();
        let mut ways: Vec<Vec<PathStep>> = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('|') {
                let (step, after) = name(after).ok_or("a name is missing after `|`")?;
                let parent = common
                    .split_last()
                    .map(|(_, parent)| parent.to_vec())
                    .ok_or("`|` stands between two names")?;
                let is_anywhere = matches!(common.last(), Some(PathStep::Anywhere(_)));
                ways.push(std::mem::replace(&mut common, parent));
                common.push(if is_anywhere {
                    PathStep::Anywhere(step.into())
                } else {
                    PathStep::Key(step.into())
                });
                rest = after;
            } else if let Some(after) = rest.strip_prefix("..") {
                let (step, after) = name(after).ok_or("a name is missing after `..`")?;
                common.push(PathStep::Anywhere(step.into()));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.') {
                let (step, after) = name(after).ok_or("a name is missing after the dot")?;
                common.push(if step == "*" {
                    PathStep::Every
                } else {
                    PathStep::Key(step.into())
                });
                rest = after;
            } else if let Some(after) = rest.strip_prefix('[') {
                let (step, after) = bracket(after)?;
                common.push(step);
                rest = after;
            } else {
                return Err(format!("`{rest}` is no step of a path"));
            }
        }
        if !common.is_empty() {
            ways.push(common);
        }
        Ok(JsonPath { ways })
    }
}

fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(['.', '[', '|']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    (!name.is_empty()).then_some((name, rest))
}

fn bracket(text: &str) -> Result<(PathStep, &str), String> {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            let close = format!("{quote}]");
            return inside
                .split_once(&close)
                .map(|(key, rest)| (PathStep::Key(key.into()), rest))
                .ok_or_else(|| format!("`{quote}]` is missing"));
        }
    }
    let (inside, rest) = text.split_once(']').ok_or("`]` is missing")?;
    if inside == "*" {
        return Ok((PathStep::Every, rest));
    }
    inside
        .parse()
        .map(|index| (PathStep::Index(index), rest))
        .map_err(|_| format!("`[{inside}]` is neither an index, `*`, nor a quoted name"))
}

/// Calls `reached` with every value that one way leads to, and `asked` with the names on the way. The walk enters containers
/// and ends silently at a missing member.
fn walk<'a>(
    value: Value<'a>,
    way: &[PathStep],
    reached: &mut dyn FnMut(Value<'a>),
    asked: &mut dyn FnMut(Value<'a>, &str),
) {
    let Some((step, rest)) = way.split_first() else {
        reached(value);
        return;
    };
    match step {
        PathStep::Key(key) => {
            asked(value, key);
            if let Some(member) = value.get(key) {
                walk(member, rest, reached, asked);
            }
        }
        PathStep::Index(index) => {
            if let Some(element) = value.element(*index) {
                walk(element, rest, reached, asked);
            }
        }
        PathStep::Every => {
            for element in value.elements() {
                walk(element, rest, reached, asked);
            }
            for (_, member) in value.members() {
                walk(member, rest, reached, asked);
            }
        }
        PathStep::Anywhere(key) => {
            for node in value.descendants() {
                if node.is_key {
                    continue;
                }
                asked(node.value, key);
                if let Some(member) = node.value.get(key) {
                    walk(member, rest, reached, asked);
                }
            }
        }
    }
}
