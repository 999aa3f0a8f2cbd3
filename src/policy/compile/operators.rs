//! Compiler of operators from the operands of conditions.

use super::{Compiler, folded};
use crate::detect::literals::squeezed;
use crate::detect::pattern::Pattern;
use crate::detect::{Confidence, NormalisedText};
use crate::diag::codes;
use crate::policy::compiled::{Operator, OverlapTarget};
use crate::policy::condition::{Check, Operand};
use crate::policy::decode::PolicyPath;
use crate::policy::detectors::CONFIDENCES;
use crate::policy::document::List;
use crate::policy::field::{Field, FieldType};
use crate::policy::field_ref::FieldRef;
use crate::policy::glob::Glob;
use crate::policy::node::{Node, NodeValue};
use crate::policy::operators::{
    Affix, Commands, Comparison, Contains, Domains, Equality, Folders, Literal, Measured, Networks,
    OperandError, OperandKind, SqlQuestion,
};
use crate::wire::json::Decimal;
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;
use crate::wire::span::offset;
use std::ops::Range;

/// Function that makes an operator from the items of an operand; the flag is whether they are in a list.
type MakeOperator<'m, 'd> =
    &'m mut dyn FnMut(&mut Compiler<'d>, &[&Node], bool) -> Option<Operator>;

impl<'d> Compiler<'d> {
    pub(super) fn operator(
        &mut self,
        field: &Field,
        check: &Check,
        operand: &Operand,
    ) -> Option<Operator> {
        self.with_items(check, operand, &mut |compiler, items, is_list| {
            compiler.plain_operator(field, check, items, is_list)
        })
    }

    /// Makes an operator from an operand's items, or one operator for each key of a keyed list.
    fn with_items(
        &mut self,
        check: &Check,
        operand: &Operand,
        make: MakeOperator<'_, 'd>,
    ) -> Option<Operator> {
        match operand {
            Operand::Value(node) => {
                let items = each_of(node);
                make(self, &items, matches!(node.data, NodeValue::List(_)))
            }
            Operand::Windows {
                windows,
                days,
                zone,
            } => self.with_items(check, windows, &mut |compiler, items, _| {
                compiler.windows(check, items, days.as_ref(), zone.as_ref())
            }),
            Operand::Commands {
                commands,
                redirect,
                variables,
            } => self.with_items(check, commands, &mut |compiler, items, _| {
                compiler.commands(check, items, redirect.as_ref(), variables.as_ref())
            }),
            Operand::List(name, span) => match self.list(name, span, &check.path)? {
                List::Plain(items) => {
                    let items: Vec<&Node> = items.iter().collect();
                    make(self, &items, true)
                }
                List::Keyed(_) => {
                    self.error(
                        codes::AG1011,
                        span,
                        &check.path,
                        &format!("list `{name}` has keys"),
                        "say which one: `{ list: NAME, key: principal.tenant }`",
                    );
                    None
                }
            },
            Operand::KeyedList(name, key, span) => match self.list(name, span, &check.path)? {
                List::Keyed(keyed) => {
                    let mut operators = SortedMap::new();
                    for (key, items) in keyed {
                        let items: Vec<&Node> = items.iter().collect();
                        let operator = make(self, &items, true)?;
                        operators.insert(key.clone(), operator);
                    }
                    Some(Operator::Keyed {
                        key: self.operand_field(check, key)?,
                        operators,
                    })
                }
                List::Plain(_) => {
                    self.error(
                        codes::AG1011,
                        span,
                        &check.path,
                        &format!("list `{name}` has no keys"),
                        "leave `key` out",
                    );
                    None
                }
            },
            Operand::Field(field_ref) => {
                if !check.verb.takes_field() {
                    let message = format!("`{}` takes no other field", check.verb.word());
                    let help = "write what it compares with, or a list";
                    self.error(codes::AG1011, &field_ref.span, &check.path, &message, help);
                    return None;
                }
                self.operand_field(check, field_ref).map(Operator::Field)
            }
            Operand::Overlap { with, run } => {
                let with = match &**with {
                    Operand::Field(field_ref) => {
                        OverlapTarget::Field(self.operand_field(check, field_ref)?)
                    }
                    Operand::Earlier(earlier) => {
                        OverlapTarget::Earlier(self.question(earlier, true)?)
                    }
                    _ => return None,
                };
                Some(Operator::Overlaps { with, run: *run })
            }
            Operand::Earlier(earlier) => {
                let message = format!("`{}` takes no earlier event", check.verb.word());
                let help = "`overlaps` compares with the texts of earlier events";
                let span = &earlier.field_ref.span;
                self.error(codes::AG1011, span, &check.path, &message, help);
                None
            }
        }
    }

    /// Returns the field that is the operand, if its values can be compared.
    fn operand_field(&mut self, check: &Check, field_ref: &FieldRef) -> Option<Field> {
        let field = &field_ref.field;
        let is_session = matches!(field, Field::Session(_));
        if is_session || matches!(field.nature(), FieldType::Time | FieldType::History) {
            let message = format!("`{}` can't be compared with", field_ref.name);
            self.error(codes::AG1011, &field_ref.span, &check.path, &message, "");
            return None;
        }
        Some(field.clone())
    }

    /// Returns the items of a plain list with this name, if there is one.
    pub(crate) fn plain_list(&self, name: &str) -> Option<&'d [Node]> {
        match self.lists.get(name) {
            Some(List::Plain(items)) => Some(items),
            _ => None,
        }
    }

    pub(super) fn list(&mut self, name: &str, span: &Range<usize>, path: &str) -> Option<&'d List> {
        let lists = self.lists;
        if let Some(list) = lists.get(name) {
            return Some(list);
        }
        let known: Vec<&str> = lists.keys().map(|name| &**name).collect();
        self.decoder.unknown(
            codes::AG1012,
            &PolicyPath::root(),
            span,
            "list",
            name,
            &known,
        );
        if let Some(diagnostic) = self.decoder.diagnostics.last_mut() {
            diagnostic.path = path.to_owned();
        }
        None
    }

    fn plain_operator(
        &mut self,
        field: &Field,
        check: &Check,
        items: &[&Node],
        is_list: bool,
    ) -> Option<Operator> {
        let verb = check.verb;
        match verb.spec().operand {
            OperandKind::Value if is_list => {
                self.does_not_fit(
                    check,
                    &format!("`{}` compares with one value", verb.word()),
                    "use `in` or `not_in` for a list",
                );
                None
            }
            OperandKind::Value | OperandKind::Values => self.equality(field, check, items),
            OperandKind::Truth => match items.first().map(|node| &node.data) {
                Some(NodeValue::Bool(value)) if !is_list => Some(Operator::Exists(*value)),
                _ => {
                    self.does_not_fit(check, "`exists` takes true or false", "");
                    None
                }
            },
            OperandKind::Bounds(measured, bounds) => {
                let is_count = measured != Measured::Number || field.nature() == FieldType::Number;
                let number = match is_count {
                    true => self.whole(check, items)?,
                    false => self.number(check, items)?,
                };
                if is_count && bounds.high == Some(false) && number.is_zero() {
                    self.does_not_fit(check, "nothing is less than 0", "");
                    return None;
                }
                Some(Operator::comparison(measured, bounds.around(&number)))
            }
            OperandKind::Between => self.between(field, check, items),
            kind @ (OperandKind::Literal | OperandKind::Literals { .. }) => {
                if kind == OperandKind::Literal && is_list {
                    self.does_not_fit(
                        check,
                        "`contains` looks for one text",
                        "use `contains_any` or `contains_all` for a list",
                    );
                    return None;
                }
                let texts = self.needles(check, items)?;
                self.wants.literals = true;
                let needles = texts.iter().map(|text| self.literal(text)).collect();
                Some(Operator::Contains(Contains {
                    needles,
                    all: kind == OperandKind::Literals { all: true },
                }))
            }
            OperandKind::Affix { at_end } => {
                let texts = self.needles(check, items)?;
                Some(Operator::Affix(Affix::new(&texts, at_end)))
            }
            OperandKind::Patterns => self.matches(field, check, items),
            OperandKind::Globs => {
                let texts = self.needles(check, items)?;
                let names = has_names(field);
                let mut exact = Vec::with_capacity(texts.len());
                let mut read = Vec::with_capacity(texts.len());
                for text in &texts {
                    exact.push(self.glob(text, &check.span, &check.path)?);
                    if !names {
                        // Texts are compared with each run of white space as one space.
                        read.push(self.glob(&squeezed(text), &check.span, &check.path)?);
                    }
                }
                Some(Operator::Glob {
                    folded: folded(if names { &exact } else { &read }),
                    exact,
                    names,
                })
            }
            OperandKind::Detectors => self.detects(check, items),
            OperandKind::Domains => {
                let parse = |texts: &[Box<str>]| Domains::parse(texts, verb.is_negative());
                self.listed(check, items, parse).map(Operator::Domains)
            }
            OperandKind::Folders => {
                let parse = |texts: &[Box<str>]| Folders::parse(texts, verb.is_negative());
                self.listed(check, items, parse).map(Operator::Folders)
            }
            OperandKind::Commands => self.commands(check, items, None, None),
            OperandKind::Networks => self
                .listed(check, items, Networks::parse)
                .map(Operator::Networks),
            OperandKind::SqlVerbs => self
                .listed(check, items, SqlQuestion::verbs)
                .map(Operator::Sql),
            OperandKind::SqlTables => self
                .listed(check, items, SqlQuestion::tables)
                .map(Operator::Sql),
            OperandKind::SqlRows => {
                let (rows, _) = self.whole(check, items)?.scaled(0)?;
                Some(Operator::Sql(SqlQuestion::MoreRowsThan(rows)))
            }
            OperandKind::Moment => self.moment(check, items),
            OperandKind::OtherText | OperandKind::Windows => {
                self.error(
                    codes::AG1017,
                    &check.span,
                    &check.path,
                    &format!("`{}` is not supported yet", verb.word()),
                    "",
                );
                None
            }
        }
    }

    pub(super) fn equality(
        &mut self,
        field: &Field,
        check: &Check,
        items: &[&Node],
    ) -> Option<Operator> {
        if items.is_empty() {
            self.does_not_fit(check, "the list is empty", "");
            return None;
        }
        let mut literals = Vec::with_capacity(items.len());
        for item in items {
            let literal = match &item.data {
                NodeValue::Null => Literal::Null,
                NodeValue::Bool(value) => Literal::Bool(*value),
                NodeValue::Number(text) => match Decimal::parse(text) {
                    Some(number) => Literal::Number(number),
                    None => {
                        self.does_not_fit(
                            check,
                            &format!("`{text}` is no number that can be compared"),
                            "",
                        );
                        return None;
                    }
                },
                NodeValue::String(text) => {
                    if let FieldType::Word(words) = field.nature() {
                        self.known_word(text, words, &item.span, &check.path)?;
                    }
                    Literal::text(text)
                }
                NodeValue::List(_) | NodeValue::Map(_) => {
                    self.does_not_fit(
                        check,
                        &format!(
                            "`{}` compares with plain values, not with {}",
                            check.verb.word(),
                            item.kind()
                        ),
                        "",
                    );
                    return None;
                }
            };
            let fits = match (field.nature(), &literal) {
                (FieldType::Data, _) | (_, Literal::Null) => true,
                (FieldType::Bool, literal) => matches!(literal, Literal::Bool(_)),
                (FieldType::Number, literal) => matches!(literal, Literal::Number(_)),
                (_, literal) => matches!(literal, Literal::Text { .. }),
            };
            if matches!(literal, Literal::Number(_)) && field.nature() == FieldType::Number {
                self.whole(check, &[*item])?;
            }
            if !fits {
                let help = if matches!(literal, Literal::Text { .. }) {
                    "without quotes it is a number or a boolean"
                } else {
                    "put it in quotes"
                };
                self.does_not_fit(check, "this can never be equal: the types differ", help);
                return None;
            }
            literals.push(literal);
        }
        Some(Operator::Equality(Equality {
            literals,
            negative: check.verb.is_negative(),
            names: has_names(field),
        }))
    }

    pub(super) fn known_word(
        &mut self,
        word: &str,
        known: &'static [&'static str],
        span: &Range<usize>,
        path: &str,
    ) -> Option<()> {
        if known.contains(&word) {
            return Some(());
        }
        self.decoder.unknown(
            codes::AG1007,
            &PolicyPath::root(),
            span,
            "value",
            word,
            known,
        );
        if let Some(diagnostic) = self.decoder.diagnostics.last_mut() {
            diagnostic.path = path.to_owned();
        }
        None
    }

    fn number(&mut self, check: &Check, items: &[&Node]) -> Option<Decimal> {
        let number = match items {
            [only] => match &only.data {
                NodeValue::Number(text) => Decimal::parse(text),
                _ => None,
            },
            _ => None,
        };
        if number.is_none() {
            self.does_not_fit(
                check,
                &format!("`{}` compares with one number", check.verb.word()),
                "write it without quotes and without separators: `1000`",
            );
        }
        number
    }

    /// Reads what a count is compared with: a whole number that is not negative.
    fn whole(&mut self, check: &Check, items: &[&Node]) -> Option<Decimal> {
        let number = self.number(check, items)?;
        if !matches!(number.scaled(0), Some((_, true))) {
            let message = format!("`{}` compares with a whole number", check.verb.word());
            self.does_not_fit(check, &message, "");
            return None;
        }
        Some(number)
    }

    fn between(&mut self, field: &Field, check: &Check, items: &[&Node]) -> Option<Operator> {
        let [low, high] = items else {
            self.does_not_fit(
                check,
                "`between` takes two numbers",
                "`between: [1, 100]` includes both",
            );
            return None;
        };
        let read = match field.nature() {
            FieldType::Number => Compiler::whole,
            _ => Compiler::number,
        };
        let low = read(self, check, &[low])?;
        let high = read(self, check, &[high])?;
        if high < low {
            self.does_not_fit(check, "the first number is larger than the second", "");
            return None;
        }
        Some(Operator::Order(Comparison {
            low: Some((low, true)),
            high: Some((high, true)),
        }))
    }

    /// Returns the texts that an operator searches for.
    fn needles(&mut self, check: &Check, items: &[&Node]) -> Option<Vec<Box<str>>> {
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match &item.data {
                NodeValue::String(text) if !text.is_empty() => texts.push(text.clone()),
                NodeValue::String(_) => {
                    self.does_not_fit(check, "an empty text is in every text", "");
                    return None;
                }
                _ => {
                    self.does_not_fit(
                        check,
                        &format!(
                            "`{}` looks for texts, not for {}",
                            check.verb.word(),
                            item.kind()
                        ),
                        "put it in quotes",
                    );
                    return None;
                }
            }
        }
        if texts.is_empty() {
            self.does_not_fit(check, "the list is empty", "");
            return None;
        }
        Some(texts)
    }

    /// Compiles `command_in: [ls, cat]`, with the folders that redirections may write to and the variables that may be
    /// assigned.
    fn commands(
        &mut self,
        check: &Check,
        items: &[&Node],
        redirect: Option<&Node>,
        variables: Option<&Node>,
    ) -> Option<Operator> {
        let commands = self.listed(check, items, Commands::parse)?;
        let redirect = match redirect {
            Some(node) => {
                let parse = |texts: &[Box<str>]| Folders::parse(texts, false);
                Some(self.listed(check, &each_of(node), parse)?)
            }
            None => None,
        };
        let variables = match variables {
            Some(node) => self.listed(check, &each_of(node), Commands::variables)?,
            None => Vec::new(),
        };
        Some(Operator::Commands(commands.allowing(redirect, variables)))
    }

    /// Makes an operator from a list of texts that it parses itself.
    fn listed<T>(
        &mut self,
        check: &Check,
        items: &[&Node],
        parse: impl FnOnce(&[Box<str>]) -> Result<T, OperandError>,
    ) -> Option<T> {
        let texts = self.needles(check, items)?;
        match parse(&texts) {
            Ok(operator) => Some(operator),
            Err(error) => {
                let span = items.get(error.at).map_or(&check.span, |item| &item.span);
                self.error(
                    codes::AG1011,
                    span,
                    &check.path,
                    &error.message,
                    &error.help,
                );
                None
            }
        }
    }

    fn literal(&mut self, text: &str) -> [u32; 3] {
        let written = self.literal_number(text);
        let [seen, without_case] = [NormalisedText::of(text), NormalisedText::without_case(text)]
            .map(|view| view.map(|view| self.literal_number(view.text())));
        let seen = seen.unwrap_or(written);
        [written, seen, without_case.unwrap_or(seen)]
    }

    fn literal_number(&mut self, text: &str) -> u32 {
        let next = offset(self.literals.len());
        let number = *self.literal_numbers.entry(text.into()).or_insert(next);
        if number == next {
            self.literals.push(text.to_owned());
        }
        number
    }

    pub(super) fn glob(&mut self, text: &str, span: &Range<usize>, path: &str) -> Option<Glob> {
        match Glob::parse(text) {
            Ok(glob) => Some(glob),
            Err(what) => {
                self.error(
                    codes::AG1013,
                    span,
                    path,
                    &what,
                    "globs know `*`, `**`, `?` and `[abc]`",
                );
                None
            }
        }
    }

    pub(super) fn matches(
        &mut self,
        field: &Field,
        check: &Check,
        items: &[&Node],
    ) -> Option<Operator> {
        let sources = self.needles(check, items)?;
        let mut numbers = Vec::with_capacity(sources.len());
        for source in &sources {
            if let Some(number) = self.pattern_numbers.get(&**source) {
                numbers.push(*number);
                continue;
            }
            match Pattern::new(source) {
                Ok(pattern) => {
                    let number = offset(self.patterns.len());
                    self.patterns.push(pattern);
                    self.pattern_numbers.insert(source.to_string(), number);
                    numbers.push(number);
                }
                Err(error) => {
                    let message = format!("`{source}`: {}", error.message);
                    let help = error.help.unwrap_or_default();
                    self.error(codes::AG1013, &check.span, &check.path, &message, &help);
                    return None;
                }
            }
        }
        self.wants.patterns = true;
        sort::sort(&mut numbers);
        Some(Operator::Matches {
            patterns: numbers,
            names: has_names(field),
            qualified: sources.iter().any(|source| source.contains('/')),
        })
    }

    /// Reads `{ types: […], confidence: high }` and adds the names, each with its place and this confidence.
    fn types(
        &mut self,
        operand: &Node,
        names: &mut Vec<(Box<str>, Range<usize>, Confidence)>,
    ) -> Option<()> {
        let known_names = names.len();
        let mut confidence = Confidence::Medium;
        let at = PolicyPath::root();
        let known = &["types", "confidence"];
        for member in self.decoder.mapping(&at, operand, known)? {
            let at = at.key(&member.key);
            let value = &member.value;
            if &*member.key == "confidence" {
                confidence = self.decoder.word(&at, value, CONFIDENCES)?;
                continue;
            }
            let types = self.decoder.texts(&at, value)?;
            let spans: Vec<Range<usize>> = match &value.data {
                NodeValue::List(items) => items.iter().map(|item| item.span.clone()).collect(),
                _ => vec![value.span.clone()],
            };
            let named = types.into_iter().zip(spans);
            names.extend(named.map(|(name, span)| (name, span, Confidence::Medium)));
        }
        for (.., least) in names.iter_mut().skip(known_names) {
            *least = confidence;
        }
        Some(())
    }

    /// Compiles `detects: credit_card`, `detects: [pii, secrets]` or `detects: { types: […], confidence: high }`.
    fn detects(&mut self, check: &Check, items: &[&Node]) -> Option<Operator> {
        let mut names: Vec<(Box<str>, Range<usize>, Confidence)> = Vec::new();
        for item in items {
            let known_names = names.len();
            match &item.data {
                NodeValue::String(text) => {
                    names.push((text.clone(), item.span.clone(), Confidence::Medium));
                }
                NodeValue::Map(_) => {
                    let known = self.decoder.diagnostics.len();
                    let read = self.types(item, &mut names);
                    // The paths of the diagnostics begin at the operand.
                    for told in self.decoder.diagnostics.iter_mut().skip(known) {
                        told.path = format!("{}.{}", check.path, told.path);
                    }
                    read?;
                }
                _ => {
                    self.does_not_fit(check, "`detects` takes names of detectors or groups", "");
                    return None;
                }
            }
            if names.len() == known_names {
                self.does_not_fit(check, "no detector is named", "");
                return None;
            }
        }
        let mut detectors: Vec<(u16, Confidence)> = Vec::new();
        let mut are_known = true;
        for (name, span, confidence) in &names {
            match self.selection.members(name) {
                Ok(members) => {
                    detectors.extend(members.into_iter().map(|member| (member, *confidence)))
                }
                Err(unknown) => {
                    let help = match unknown.suggestions.as_slice() {
                        [] => "docs/detectors.md lists detectors and groups".to_owned(),
                        near => {
                            let near: Vec<String> =
                                near.iter().map(|name| format!("`{name}`")).collect();
                            format!("did you mean {}?", near.join(" or "))
                        }
                    };
                    let message = format!("unknown detector or group `{name}`");
                    self.error(codes::AG1012, span, &check.path, &message, &help);
                    are_known = false;
                    continue;
                }
            }
            are_known &= self.selection.add(name, *confidence).is_ok();
        }
        if !are_known {
            return None;
        }
        if detectors.is_empty() {
            self.does_not_fit(check, "no detector is named", "");
            return None;
        }
        sort::sort(&mut detectors);
        detectors.dedup();
        self.wants.detectors = true;
        Some(Operator::Detects(detectors))
    }
}

/// Returns the values of a list, or any other node as the only value.
fn each_of(node: &Node) -> Vec<&Node> {
    match &node.data {
        NodeValue::List(items) => items.iter().collect(),
        _ => vec![node],
    }
}

/// Returns whether the values of a field are names, which are also compared folded on the deny side.
fn has_names(field: &Field) -> bool {
    matches!(field.nature(), FieldType::Name | FieldType::NameSet)
}
