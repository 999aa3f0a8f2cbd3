//! Visitor of an audit record's members by their paths, without a tree: `rules.id` is the id of every rule.
//!
//! `{"decision":"deny","rules":[{"id":"a"},{"id":"b"}]}` has `decision` = `deny`, `rules.id` = `a` and `rules.id` = `b`.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Member with the names of models. A record joins several with a comma.
pub(super) const MODEL: &str = "model";

/// Callback for a path and a value: the text of a string, or a number or boolean as it is written.
type Visit<'v> = &'v mut dyn FnMut(&str, &str);

/// Visits the scalar members of a record in their order. `None` if the line is no JSON object.
pub(super) fn visit(line: &[u8], visit: Visit<'_>) -> Option<()> {
    if !line.starts_with(b"{") {
        return None;
    }
    let mut path = String::new();
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let walker = Walker {
        path: &mut path,
        visit,
    };
    walker.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()
}

struct Walker<'w> {
    path: &'w mut String,
    visit: Visit<'w>,
}

impl Walker<'_> {
    fn emit(self, value: &str) {
        if self.path == MODEL {
            for model in value.split(',') {
                (self.visit)(self.path, model);
            }
        } else {
            (self.visit)(self.path, value);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.emit(text);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.emit(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.emit(&value.to_string());
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.emit(&value.to_string());
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.emit(&value.to_string());
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        loop {
            let item = Walker {
                path: &mut *self.path,
                visit: &mut *self.visit,
            };
            if items.next_element_seed(item)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let length = self.path.len();
        while members.next_key_seed(Name(self.path))?.is_some() {
            members.next_value_seed(Walker {
                path: &mut *self.path,
                visit: &mut *self.visit,
            })?;
            self.path.truncate(length);
        }
        Ok(())
    }
}

/// Deserialiser that appends the name of a member to a path.
struct Name<'p>(&'p mut String);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(name);
        Ok(())
    }
}

/// Rule that matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) action: String,
    pub(super) mode: String,
}

/// Limit that was charged.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Limit {
    pub(super) id: String,
    pub(super) used: f64,
    pub(super) max: f64,
    pub(super) is_exceeded: bool,
}

/// Members of a record for tables and reports. Absent members are empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) time: String,
    pub(super) request_id: String,
    /// Form of the recorded content.
    pub(super) content: String,
    /// Whether a later record of the same exchange follows, because its stream continues.
    pub(super) is_interim: bool,
    pub(super) decision: String,
    pub(super) would: String,
    pub(super) code: String,
    pub(super) authentication: String,
    pub(super) principal: String,
    pub(super) agent: String,
    pub(super) client: String,
    pub(super) tenant: String,
    pub(super) models: Vec<String>,
    pub(super) tools: Vec<String>,
    pub(super) rules: Vec<Rule>,
    pub(super) findings: Vec<(String, u64)>,
    pub(super) approval: String,
    pub(super) limits: Vec<Limit>,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

impl Facts {
    /// Parses a record; `None` for a line that is none.
    pub(super) fn of(line: &[u8]) -> Option<Facts> {
        let mut facts = Facts::default();
        visit(line, &mut |path, value| facts.take(path, value))?;
        (!facts.time.is_empty()).then_some(facts)
    }

    fn take(&mut self, path: &str, value: &str) {
        let number = || value.parse().unwrap_or(0);
        let decimal = || value.parse().unwrap_or(0.0);
        let text = match path {
            "ts" => &mut self.time,
            "request_id" => &mut self.request_id,
            "content.form" => &mut self.content,
            "decision" => &mut self.decision,
            "would" => &mut self.would,
            "code" => &mut self.code,
            "authentication.reason" => &mut self.authentication,
            "principal.id" => &mut self.principal,
            "principal.agent" => &mut self.agent,
            "principal.client" => &mut self.client,
            "principal.tenant" => &mut self.tenant,
            "approval.state" => &mut self.approval,
            MODEL => return self.models.push(value.to_owned()),
            "tools" => return self.tools.push(value.to_owned()),
            "interim" => return self.is_interim = value == "true",
            "usage.input_tokens" | "usage.other_input_tokens" => {
                let all = self.input_tokens.saturating_add(number());
                return self.input_tokens = all;
            }
            "usage.output_tokens" | "usage.other_output_tokens" => {
                let all = self.output_tokens.saturating_add(number());
                return self.output_tokens = all;
            }
            "rules.id" => {
                return self.rules.push(Rule {
                    id: value.to_owned(),
                    ..Rule::default()
                });
            }
            "limits.id" => {
                return self.limits.push(Limit {
                    id: value.to_owned(),
                    ..Limit::default()
                });
            }
            _ => return self.take_of_last(path, value, decimal()),
        };
        value.clone_into(text);
    }

    /// Takes a member of the last rule or limit, or a finding.
    fn take_of_last(&mut self, path: &str, value: &str, decimal: f64) {
        if let Some(detector) = path.strip_prefix("findings.") {
            let count = value.parse().unwrap_or(0);
            self.findings.push((detector.to_owned(), count));
        } else if let (Some(member), Some(rule)) =
            (path.strip_prefix("rules."), self.rules.last_mut())
        {
            match member {
                "action" => value.clone_into(&mut rule.action),
                "mode" => value.clone_into(&mut rule.mode),
                _ => {}
            }
        } else if let (Some(member), Some(limit)) =
            (path.strip_prefix("limits."), self.limits.last_mut())
        {
            match member {
                "used" => limit.used = decimal,
                "max" => limit.max = decimal,
                "exceeded" => limit.is_exceeded = value == "true",
                _ => {}
            }
        }
    }

    /// Returns the caller: the agent, else the principal, else the client application.
    pub(super) fn caller(&self) -> String {
        let names = [
            ("agent", &self.agent),
            ("principal", &self.principal),
            ("client", &self.client),
        ];
        let named = names.into_iter().find(|(_, name)| !name.is_empty());
        named.map_or_else(
            || "(anonymous)".to_owned(),
            |(kind, name)| format!("{kind} {name}"),
        )
    }

    /// Returns whether the exchange was denied.
    pub(super) fn is_denied(&self) -> bool {
        self.decision == "deny"
    }

    /// Returns whether enforcement would have denied the exchange.
    pub(super) fn would_be_denied(&self) -> bool {
        self.would == "deny"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(line: &str) -> Option<String> {
        let mut seen = Vec::new();
        visit(line.as_bytes(), &mut |path, value| {
            seen.push(format!("{path}={value}"));
        })?;
        Some(seen.join(" "))
    }

    #[test]
    fn every_scalar_has_a_path_and_lists_have_none_of_their_own() {
        let line = r#"{"a":{"b":[1,{"c":true},null,-2,0.5]},"d":"x\ny","e":{},"f":"last"}"#;
        let expected = "a.b=1 a.b.c=true a.b=-2 a.b=0.5 d=x\ny f=last";
        assert_eq!(members(line).as_deref(), Some(expected));
        assert_eq!(members(r#"{"model":"a,b"}"#).unwrap(), "model=a model=b");
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for line in [
            "",
            "-",
            "[1]",
            "\"x\"",
            "{",
            "{\"a\":1",
            "{}}",
            "{\"a\":1} {}",
            "\u{0}",
        ] {
            assert_eq!(members(line), None, "{line}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
        assert_eq!(members(&deep), None);
    }

    #[test]
    fn rules_and_limits_keep_their_members_together() {
        let line = concat!(
            r#"{"ts":"t","rules":[{"id":"a","action":"deny","mode":"enforce"},{"id":"b","action":"tag"}],"#,
            r#""findings":{"pii.email":2},"limits":[{"id":"l","used":1.5,"max":2,"exceeded":true}]}"#
        );
        let facts = Facts::of(line.as_bytes()).unwrap();
        let actions = facts
            .rules
            .iter()
            .map(|rule| (rule.id.as_str(), rule.action.as_str()));
        assert_eq!(actions.collect::<Vec<_>>(), [("a", "deny"), ("b", "tag")]);
        assert_eq!(facts.findings, [("pii.email".to_owned(), 2)]);
        assert_eq!(facts.limits[0].used, 1.5);
        assert!(facts.limits[0].is_exceeded);
        assert_eq!(facts.caller(), "(anonymous)");
    }
}
