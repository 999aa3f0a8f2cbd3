//! Administration filter, for a listener that carries no traffic. `{"admin":true}` is its configuration.
//!
//! It reports on the policies of its VM or process, and evaluates submitted exchanges with them (`evaluate`). Two paths
//! go on to Envoy's own responses: `/ready`, to the health check of the upstreams, once a policy is in force, and
//! `/stats`. Every other path is not found: on a listener with traffic, the filter would let none of it pass.

use super::evaluate::{EVALUATE, evaluate, is_evaluation};
use crate::diag::codes;
use crate::flow::{Guard, Reply};
use crate::policy::{Measure, Mode, NodeValue, Window, parse_json};
use crate::protocol;
use crate::wire::json::quote;
use std::rc::Rc;

/// Returns whether a configuration is the administration filter's. With any other key it is a policy, which has no key
/// `admin`.
pub fn is_admin(text: &Result<Vec<u8>, String>) -> bool {
    let root = text.as_deref().ok().and_then(|text| parse_json(text).ok());
    root.is_some_and(|root| {
        let admin = root.get("admin");
        root.members().len() == 1
            && admin.is_some_and(|admin| matches!(admin.data, NodeValue::Bool(true)))
    })
}

/// Result of the headers of a request to the administration listener.
pub enum Administered {
    /// The filter sends this reply.
    Answered(Reply),
    /// The body, which has not arrived yet, is an exchange to evaluate.
    Awaited,
    /// The next filter of Envoy responds.
    Passed,
}

/// Processes the headers of a request to the administration listener. `end`: no body follows; `now`: nanoseconds since
/// 1970. A request without headers gets a reply for a wrong method.
pub fn administer(
    headers: &[(&[u8], &[u8])],
    end: bool,
    policies: &[Rc<Guard>],
    now: u64,
) -> Administered {
    let header = |name: &[u8]| {
        let found = headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value).unwrap_or_default()
    };
    let (method, target) = (header(b":method"), header(b":path"));
    match is_evaluation(method, target) {
        true if end => Administered::Answered(evaluate(b"", policies, now)),
        true => Administered::Awaited,
        false => match answer_to(method, target, policies) {
            Some(reply) => Administered::Answered(reply),
            None => Administered::Passed,
        },
    }
}

/// Returns the reply to a request without a body; `None` for a request that goes on.
fn answer_to(method: &[u8], target: &[u8], policies: &[Rc<Guard>]) -> Option<Reply> {
    let path = target.split(|byte| *byte == b'?').next();
    let is_read = matches!(method, b"GET" | b"HEAD");
    let in_force = || match policies.is_empty() {
        true => codes::status(codes::AG9003),
        false => 200,
    };
    let (status, body) = match path.unwrap_or_default() {
        EVALUATE => (
            405,
            message("POST an exchange here: {\"request\": {\"path\": …, \"body\": …}}"),
        ),
        _ if !is_read => (405, message("only GET and HEAD are answered here")),
        b"/live" => (200, message("live")),
        b"/health" => (in_force(), health(policies)),
        b"/ready" if policies.is_empty() => (503, health(policies)),
        b"/ready" | b"/stats" => return None,
        b"/agentguard/policy" => (in_force(), described(policies)),
        b"/agentguard/providers" => (200, providers()),
        _ => (
            404,
            message(
                "there are /live, /health, /ready, /stats, /agentguard/policy, /agentguard/providers and /agentguard/evaluate",
            ),
        ),
    };
    Some(json_reply(status, body))
}

/// Returns a reply in JSON that caches must not store.
pub(super) fn json_reply(status: u16, body: Vec<u8>) -> Reply {
    Reply {
        status,
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("cache-control".to_owned(), "no-store".to_owned()),
        ],
        body,
    }
}

/// Returns `{"message":"live"}`.
fn message(text: &str) -> Vec<u8> {
    let mut out = br#"{"message":"#.to_vec();
    quote(text, &mut out);
    out.push(b'}');
    out
}

/// Writer of an object's members.
pub(super) struct Object<'o>(&'o mut Vec<u8>);

impl<'o> Object<'o> {
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object(out)
    }

    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        quote(name, self.0);
        self.0.push(b':');
        self.0
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        let out = self.key(name);
        quote(text, out);
    }

    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl Iterator<Item = T>,
        each: impl Fn(T, &mut Vec<u8>),
    ) {
        let out = self.key(name);
        out.push(b'[');
        for (at, item) in items.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            each(item, out);
        }
        out.push(b']');
    }

    pub(super) fn end(self) {
        self.0.push(b'}');
    }
}

/// Returns `{"status":"ok","policies":[{"name":"support","version":"sha256:…"}]}`.
fn health(policies: &[Rc<Guard>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut health = Object::begin(&mut out);
    let status = match policies.is_empty() {
        true => "no policy is in force",
        false => "ok",
    };
    health.text("status", status);
    health.list("policies", policies.iter(), |guard, out| {
        let mut policy = Object::begin(out);
        policy.text("name", &guard.policy.document.name);
        policy.text("version", &guard.policy.version);
        policy.end();
    });
    health.end();
    out
}

/// Returns the policies in force, without texts, conditions, names of secrets and hashes of keys.
fn described(policies: &[Rc<Guard>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut answer = Object::begin(&mut out);
    answer.list("policies", policies.iter(), describe);
    answer.end();
    out
}

fn describe(guard: &Rc<Guard>, out: &mut Vec<u8>) {
    let document = &guard.policy.document;
    let mut policy = Object::begin(out);
    policy.text("name", &document.name);
    policy.text("version", &guard.policy.version);
    let observes = document.observe_all || document.mode == Mode::Observe;
    let mode = match observes {
        true => Mode::Observe,
        false => Mode::Enforce,
    };
    policy.text("mode", mode.word());
    policy.text("headers", document.headers.word());
    policy.text("content", document.audit.content.word());
    policy.list("rules", guard.policy.rules().iter(), |rule, out| {
        let mut object = Object::begin(out);
        object.text("id", &rule.id);
        object.text("action", rule.action.word());
        let mode = match rule.enforced {
            true => Mode::Enforce,
            false => Mode::Observe,
        };
        object.text("mode", mode.word());
        object.end();
    });
    let rules = guard.policy.rules().iter();
    let limits = rules.filter_map(|rule| Some((rule, rule.limit.as_deref()?)));
    policy.list("limits", limits, |(rule, limit), out| {
        let mut object = Object::begin(out);
        object.text("id", &rule.id);
        let measure = match &limit.measure {
            Measure::Count(counted) => counted.word(),
            Measure::Sum(field) => field,
            Measure::Cost => "cost",
        };
        object.text("measure", measure);
        object.text("max", &limit.max.to_string());
        let window = match limit.window {
            Window::Fixed(seconds) => format!("{seconds}s"),
            Window::Sliding(seconds) => format!("{seconds}s, sliding"),
            Window::Session => "session".to_owned(),
        };
        object.text("window", &window);
        object.list("per", limit.per(), quote);
        object.end();
    });
    policy.end();
}

/// Returns the protocols that the filter reads, and the providers that it recognises by their hosts.
fn providers() -> Vec<u8> {
    let mut out = Vec::new();
    let mut answer = Object::begin(&mut out);
    let protocols = protocol::all().map(|protocol| protocol.name());
    answer.list("protocols", protocols, quote);
    answer.list("providers", protocol::known_providers(), quote);
    answer.end();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::HostEnvironment;
    use crate::proxy::MemorySharedData;

    fn in_force() -> Vec<Rc<Guard>> {
        let policy = br#"{"apiVersion":"agentguard.dev/v1","kind":"AgentPolicy","metadata":{"name":"demo"},
            "audit":{"key":"env:AUDIT_KEY"},"require":"none","defaults":{"action":"allow"},"rules":[
            {"id":"a","match":{"tool":"pay"},"action":"deny","mode":"observe","reason":"Nobody pays."},
            {"id":"b","match":{"event":"request"},"action":"deny","limit":{"count":"requests","per":"client","max":5,"window":"1m"}}]}"#;
        let policy = crate::policy::load_json(policy);
        let surroundings = HostEnvironment {
            variable: &|_| Some("a key of sixteen bytes and more".to_owned()),
            node_environment: &|| None,
            seed: [7; 40],
            shared_data: Rc::new(MemorySharedData::default()),
            kill: Rc::default(),
        };
        vec![Rc::new(
            Guard::new(policy.policy.unwrap(), &surroundings).unwrap(),
        )]
    }

    fn answer(target: &str, policies: &[Rc<Guard>]) -> Option<(u16, serde_json::Value)> {
        let reply = answer_to(b"GET", target.as_bytes(), policies)?;
        Some((reply.status, serde_json::from_slice(&reply.body).unwrap()))
    }

    #[test]
    fn only_a_configuration_without_other_keys_is_the_administration_filter_s() {
        let is_admin = |text: &str| is_admin(&Ok(text.as_bytes().to_vec()));
        assert!(is_admin(r#"{"admin":true}"#));
        for other in [
            r#"{"admin":false}"#,
            r#"{"admin":"true"}"#,
            r#"{"admin":true,"apiVersion":"agentguard.dev/v1"}"#,
            r#"{"spec":{"admin":true}}"#,
            "{}",
            "[true]",
            "",
        ] {
            assert!(!is_admin(other), "{other}");
            let loaded = crate::policy::load_json(other.as_bytes());
            assert!(loaded.policy.is_none(), "{other}");
        }
        assert!(!super::is_admin(&Err("unread".to_owned())));
    }

    #[test]
    fn a_policy_is_described_without_its_texts_and_secrets() {
        let policies = in_force();
        let version = &policies.first().unwrap().policy.version;
        let (status, told) = answer("/agentguard/policy?pretty", &policies).unwrap();
        assert_eq!(status, 200);
        assert_eq!(
            told,
            serde_json::json!({"policies": [{"name": "demo", "version": version, "mode": "enforce", "headers": "portable",
                "content": "none",
                "rules": [{"id": "a", "action": "deny", "mode": "observe"}, {"id": "b", "action": "deny", "mode": "enforce"}],
                "limits": [{"id": "b", "measure": "requests", "max": "5", "window": "60s", "per": ["client"]}]}]})
        );
        let (_, told) = answer("/agentguard/providers", &policies).unwrap();
        let names = told["providers"].as_array().unwrap();
        assert!(names.contains(&"openai".into()) && names.contains(&"bedrock".into()));
        assert!(
            told["protocols"]
                .as_array()
                .unwrap()
                .contains(&"mcp".into())
        );
    }

    #[test]
    fn it_is_ready_once_a_policy_is_in_force() {
        for (target, without, with) in [
            ("/live", Some(200), Some(200)),
            ("/health", Some(503), Some(200)),
            ("/ready", Some(503), None),
            ("/ready?x=1", Some(503), None),
            ("/stats", None, None),
            ("/agentguard/policy", Some(503), Some(200)),
        ] {
            let status =
                |policies: &[Rc<Guard>]| answer(target, policies).map(|(status, _)| status);
            assert_eq!(
                (status(&[]), status(&in_force())),
                (without, with),
                "{target}"
            );
        }
    }

    #[test]
    fn nothing_else_passes() {
        let policies = in_force();
        for target in [
            "",
            "/",
            "/v1/chat/completions",
            "/stats/",
            "/stats/prometheus",
            "//stats",
            "/READY",
            "*",
            "/ready/../v1/models",
        ] {
            assert_eq!(
                answer(target, &policies).map(|(status, _)| status),
                Some(404),
                "{target}"
            );
        }
        for method in ["POST", "PUT", "CONNECT", "get", ""] {
            let reply = answer_to(method.as_bytes(), b"/stats", &policies).unwrap();
            assert_eq!(reply.status, 405, "{method}");
        }
    }
}
