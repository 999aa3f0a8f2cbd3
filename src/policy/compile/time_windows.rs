//! Operands of `inside`, `outside`, `schedule`, `not_before` and `not_after`.
//!
//! A window is a text (`mon-fri 09:00-17:00 Europe/Berlin`; days and zone are optional) or a mapping
//! (`{ hours: "09:00-17:00", days: [mon, wed], zone: Europe/Berlin }`). A word is the name of a list of windows. Days and
//! zone that a window does not have are taken from the keys beside the operator. There is no default zone.

use crate::diag::codes;
use crate::policy::compile::Compiler;
use crate::policy::compiled::Operator;
use crate::policy::condition::Check;
use crate::policy::decode::PolicyPath;
use crate::policy::node::{Node, NodeValue};
use crate::policy::operators::{Days, TimeTest, TimeWindow, TimeWindowText, Verb, Zone, moment};
use crate::policy::zones::Lookup;

impl Compiler<'_> {
    /// Compiles the operand of `not_before` or `not_after`.
    pub(crate) fn moment(&mut self, check: &Check, items: &[&Node]) -> Option<Operator> {
        let read = match items {
            [item] => item.text().and_then(moment),
            _ => None,
        };
        let Some(moment) = read else {
            self.does_not_fit(
                check,
                &format!("`{}` takes a moment with its offset", check.verb.word()),
                "write for example `2026-01-31T09:00:00+01:00` or `2026-01-31T08:00:00Z`",
            );
            return None;
        };
        Some(Operator::Time(match check.verb {
            Verb::NotBefore => TimeTest::NotBefore(moment),
            _ => TimeTest::NotAfter(moment),
        }))
    }

    /// Compiles the operand of `inside`, `outside` or `schedule`.
    pub(crate) fn windows(
        &mut self,
        check: &Check,
        items: &[&Node],
        days: Option<&Node>,
        zone: Option<&Node>,
    ) -> Option<Operator> {
        let mut windows = Vec::new();
        for item in items {
            // A single word is the name of a list.
            let named = match item.text() {
                Some(name) if !name.contains([':', ' ']) => Some((name, self.plain_list(name))),
                _ => None,
            };
            match named {
                Some((_, Some(list))) => {
                    for item in list {
                        windows.push(self.window(check, item, days, zone)?);
                    }
                }
                Some((name, None)) if name.starts_with(|c: char| c.is_alphabetic()) => {
                    let message = format!("`{name}` is neither a window nor a list of windows");
                    let help = "write for example `mon-fri 09:00-17:00`, or name it under `lists`";
                    self.error(codes::AG1012, &item.span, &check.path, &message, help);
                    return None;
                }
                _ => windows.push(self.window(check, item, days, zone)?),
            }
        }
        if windows.is_empty() {
            self.does_not_fit(check, "the list is empty", "");
            return None;
        }
        Some(Operator::Time(TimeTest::Within(
            windows,
            check.verb != Verb::Outside,
        )))
    }

    fn window(
        &mut self,
        check: &Check,
        item: &Node,
        days: Option<&Node>,
        zone: Option<&Node>,
    ) -> Option<(TimeWindow, Zone)> {
        let mut days = days;
        let mut zone = zone;
        let hours = match &item.data {
            NodeValue::Map(_) => {
                let mut hours = None;
                let at = PolicyPath::root();
                for member in self
                    .decoder
                    .mapping(&at, item, &["hours", "days", "zone"])?
                {
                    match &*member.key {
                        "hours" => hours = Some(&member.value),
                        "days" => days = Some(&member.value),
                        _ => zone = Some(&member.value),
                    }
                }
                hours.unwrap_or(item)
            }
            _ => item,
        };
        let Some(text) = hours.text().and_then(TimeWindowText::parse) else {
            self.error(
                codes::AG1011,
                &hours.span,
                &check.path,
                "this is no span of the day",
                "write for example `09:00-17:00`, `22:00-06:00` over midnight, or `mon-fri 09:00-17:00`",
            );
            return None;
        };
        let days = match (text.days, days) {
            (Some(days), _) => days,
            (None, Some(node)) => self.days(check, node)?,
            (None, None) => Days::ALL,
        };
        let window = TimeWindow::new(&text, days);
        let zone = match (&text.zone, zone) {
            (Some(name), _) => self.zone(check, name, item)?,
            (None, Some(node)) => match node.text() {
                Some(name) => self.zone(check, name, node)?,
                None => {
                    let message = format!("a zone is a text, not {}", node.kind());
                    self.error(codes::AG1005, &node.span, &check.path, &message, ZONES);
                    return None;
                }
            },
            (None, None) => {
                self.error(
                    codes::AG1006,
                    &item.span,
                    &check.path,
                    "`zone` is missing: it is unknown by which clock",
                    ZONES,
                );
                return None;
            }
        };
        Some((window, zone))
    }

    fn days(&mut self, check: &Check, node: &Node) -> Option<Days> {
        let texts: Vec<Option<&str>> = match &node.data {
            NodeValue::List(items) => items.iter().map(Node::text).collect(),
            _ => vec![node.text()],
        };
        // No day at all is no answer either: nothing would be inside.
        let all = texts
            .iter()
            .try_fold(None, |all: Option<Days>, text| {
                let days = text.and_then(Days::parse)?;
                Some(Some(all.map_or(days, |all| all.and(days))))
            })
            .flatten();
        if all.is_none() {
            self.error(
                codes::AG1011,
                &node.span,
                &check.path,
                "these are no days of the week",
                "write for example `mon-fri`, `[sat, sun]` or `monday`",
            );
        }
        all
    }

    /// Returns a zone by its name or offset: from the document's table, or from a lookup where there is a database.
    fn zone(&mut self, check: &Check, name: &str, node: &Node) -> Option<Zone> {
        if let Some(zone) = Zone::fixed(name) {
            return Some(zone);
        }
        if let Some(changes) = self.zones.get(name) {
            return Some(Zone::Changing(changes.clone()));
        }
        if let Some(changes) = self.given_zones.get(name) {
            let changes = changes.clone();
            self.zones.take(name, self.given_zones);
            return Some(Zone::Changing(changes));
        }
        let (code, message, help) = match (self.find_zone)(name) {
            Lookup::Found(changes, database, horizon) => {
                self.zones.add(name, changes.clone(), &database, horizon);
                return Some(Zone::Changing(changes));
            }
            Lookup::NotHere if name.contains('/') => (
                codes::AG1016,
                format!("`zones` does not say when the offset of `{name}` changes"),
                "`agentguard build` adds it".to_owned(),
            ),
            Lookup::NotHere | Lookup::Unknown(None) => (
                codes::AG1007,
                format!("unknown time zone `{name}`"),
                ZONES.to_owned(),
            ),
            Lookup::Unknown(Some(near)) => (
                codes::AG1007,
                format!("unknown time zone `{name}`"),
                format!("did you mean `{near}`?"),
            ),
        };
        self.error(code, &node.span, &check.path, &message, &help);
        None
    }
}

const ZONES: &str = "write the name of a place (`America/New_York`), an offset (`-05:00`) or `UTC`";
