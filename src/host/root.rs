//! Root context: one configuration in one VM. Envoy creates a new root for every configuration and keeps the old one
//! until its last exchange has ended. The state of a configuration is therefore in its root; only the kill list and the
//! list of policies, which configurations share, are in statics.

use super::abi::{self, Buffer, Map};
use super::admin::{AdminExchange, AwaitedBodies};
use super::exchange::HttpExchange;
use super::headers;
use super::kill::{self, KillExchange, KillRoot};
use super::policies;
use super::proxy::EnvoySharedData;
use super::stats::{self, Stats, abi_kind};
use crate::filter::{self, KILL_FILTER, LogLevel, MAX_FEED_BYTES, Rejected};
use crate::flow::{Flow, Guard, HostEnvironment, Reply, ServiceAnswer};
use crate::metrics::{self, BEAT_S, InForce, LabelValues};
use crate::wire::hex;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Interval in milliseconds at which held exchanges are checked.
const TICK_MS: u32 = 1_000;

/// Interval in milliseconds while nothing is held and no feed is read.
const BEAT_MS: u32 = 10_000;

/// Nanoseconds without a byte of the body after which a held request gets a reply. Without this limit the request would
/// hang if Envoy is not configured to let the filter hold headers.
const BODY_TIMEOUT_NS: u64 = 10_000_000_000;

/// Requests whose headers are held and whose bodies have not started.
pub(super) type HeldRequests = Rc<RefCell<BTreeMap<u32, (u64, Rc<RefCell<Flow>>)>>>;

/// Root context.
#[derive(Default)]
pub(super) struct Root {
    /// Envoy's id of this context.
    id: u32,
    guard: Option<Rc<Guard>>,
    /// Kill list, if this is the kill filter's configuration.
    kill: Option<KillRoot>,
    /// Waiting requests, if this is the administration filter's configuration.
    admin: Option<AwaitedBodies>,
    stats: Rc<RefCell<Stats>>,
    waiting: HeldRequests,
    /// State of this root in the gauges of its policy, once it is counted there.
    counted: Option<CountedRoot>,
}

/// Root that is counted in the gauges of its policy.
struct CountedRoot {
    id: String,
    stat: String,
    info: Option<u32>,
    workers: Option<u32>,
    /// Second of its last sign of life.
    beat: u64,
}

impl CountedRoot {
    /// Counts a root. The gauges are changed by additions, because those of several workers commute and settings would
    /// not. Each worker defines both gauges, since Envoy forgets a stat with the last VM that defined it.
    fn enter(name: &str, version: &str) -> CountedRoot {
        let stat = |metric| LabelValues::default().stat(metric, &[name, version]);
        let mut counted = CountedRoot {
            id: hex::encode(filter::seed().first_chunk::<8>().unwrap_or(&[0; 8])),
            stat: stat(metrics::POLICY_INFO),
            info: gauge(&stat(metrics::POLICY_INFO)),
            workers: gauge(&stat(metrics::POLICY_WORKERS)),
            beat: 0,
        };
        counted.beat();
        counted
    }

    /// Gives a sign of life, if it is time, and corrects the gauges for roots whose VM has trapped.
    fn beat(&mut self) {
        let now = abi::now().div_euclid(1_000_000_000);
        if self.beat.saturating_add(BEAT_S) > now && self.beat <= now {
            return;
        }
        self.beat = now;
        let changes = InForce::open(&EnvoySharedData).beat(&self.id, &self.stat, now);
        add(self.workers, i64::from(changes.entered));
        add(self.info, i64::from(changes.is_first));
        for (stat, is_last) in changes.gone {
            let workers = stat
                .strip_suffix(metrics::POLICY_INFO.name)
                .map(|labels| format!("{labels}{}", metrics::POLICY_WORKERS.name));
            add(workers.and_then(|workers| gauge(&workers)), -1);
            if is_last {
                add(gauge(&stat), -1);
            }
        }
    }
}

impl Drop for CountedRoot {
    fn drop(&mut self) {
        let (was_counted, is_last) = InForce::open(&EnvoySharedData).leave(&self.id);
        add(self.workers, if was_counted { -1 } else { 0 });
        add(self.info, if is_last { -1 } else { 0 });
    }
}

/// Defines or finds a gauge.
fn gauge(stat: &str) -> Option<u32> {
    abi::define_metric(abi_kind(metrics::POLICY_INFO.kind), stat)
}

fn add(gauge: Option<u32>, by: i64) {
    if let Some(id) = gauge.filter(|_| by != 0) {
        abi::increment_metric(id, by);
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, size: usize, _trailers: usize) {
        // The response to a notice to the approval service is ignored.
        let Some(kill) = &self.kill else { return };
        let status = match headers {
            // Some hosts report a failed call in this way.
            0 => None,
            _ => headers::status(Map::CallResponseHeaders),
        };
        // One byte more shows that the list is too long.
        let most = size.min(MAX_FEED_BYTES.saturating_add(1));
        let body = abi::buffer(Buffer::CallResponseBody, most);
        let answer = match (status, &body) {
            (Some(status), Ok(body)) => ServiceAnswer::Received { status, body },
            _ => ServiceAnswer::Unreachable,
        };
        kill.answered(token, &answer);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        if filter::is_admin(&configuration()) {
            self.admin = Some(AwaitedBodies::default());
            let _ = abi::set_tick_period(TICK_MS);
            return true;
        }
        if let Some(kill) = KillRoot::configure(configuration()) {
            let _ = InForce::open(&EnvoySharedData);
            let _ = abi::set_tick_period(TICK_MS);
            self.kill = Some(kill);
            return true;
        }
        match configure() {
            Ok(guard) => {
                let _ = abi::set_tick_period(TICK_MS);
                let _ = rejections();
                let _ = InForce::open(&EnvoySharedData);
                let guard = Rc::new(guard);
                policies::add(&guard);
                stats::forget_policy();
                self.guard = Some(guard);
                true
            }
            Err(Rejected) => {
                if let Some(id) = rejections() {
                    abi::increment_metric(id, 1);
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(awaited) = &self.admin {
            awaited.give_up(abi::now());
            return;
        }
        if let Some(kill) = &self.kill {
            kill.tick();
        }
        self.set_policy_gauge();
        let now = abi::now();
        let overdue: Vec<(u32, Rc<RefCell<Flow>>)> = self
            .waiting
            .borrow()
            .iter()
            .filter(|(_, (since, _))| now.saturating_sub(*since) > BODY_TIMEOUT_NS)
            .map(|(context, (_, flow))| (*context, Rc::clone(flow)))
            .collect();
        for (context, flow) in overdue {
            self.waiting.borrow_mut().remove(&context);
            if abi::set_effective_context(context).is_err() {
                continue;
            }
            abi::log(
                LogLevel::Error,
                "agentguard: AG9002 headers are held and no body came: set `allow_on_headers_stop_iteration: true` \
                 in the plugin, or `envoy: { headers: portable }` in the policy",
            );
            let reply = flow.borrow_mut().give_up();
            let _ = send(&reply);
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        if self.kill.is_some() {
            return Some(Box::new(KillExchange));
        }
        if let Some(awaited) = &self.admin {
            return Some(Box::new(AdminExchange::new(context, awaited.clone())));
        }
        // Envoy creates no exchange under a rejected configuration. If it did, `None` would trap, which denies the
        // exchange.
        let guard = Rc::clone(self.guard.as_ref()?);
        Some(Box::new(HttpExchange::new(
            context,
            self.id,
            guard,
            Rc::clone(&self.stats),
            Rc::clone(&self.waiting),
        )))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Root {
    pub(super) fn new(id: u32) -> Root {
        Root {
            id,
            ..Root::default()
        }
    }

    /// Sets the gauges for the policy in force. Envoy keeps stats of old versions forever, at zero.
    ///
    /// They are set at the first tick: before Envoy puts a configuration in force, it tries it in a VM that it discards
    /// silently, and the count of that VM would remain.
    fn set_policy_gauge(&mut self) {
        if let Some(counted) = &mut self.counted {
            counted.beat();
            return;
        }
        let (name, version) = match (&self.guard, &self.kill) {
            (Some(guard), _) => (&*guard.policy.document.name, guard.policy.version.as_str()),
            (None, Some(kill)) => (KILL_FILTER, kill.version()),
            (None, None) => return,
        };
        if self
            .guard
            .as_ref()
            .is_none_or(|guard| !guard.holds_headers())
            && !self.kill.as_ref().is_some_and(KillRoot::has_feed)
        {
            let _ = abi::set_tick_period(BEAT_MS);
        }
        self.counted = Some(CountedRoot::enter(name, version));
        if let Some(kill) = &self.kill {
            kill.set_gauge();
        }
    }
}

/// Sends a local reply.
pub(super) fn send(reply: &Reply) -> Result<(), abi::HostError> {
    abi::send_local_response(
        reply.status,
        &headers::serialise(&reply.headers),
        &reply.body,
    )
}

/// Returns the counter of rejected configurations. A stat lives as long as a VM that has defined it, and a VM is
/// discarded with the configuration that it rejects. The serving VMs therefore define the counter, too.
fn rejections() -> Option<u32> {
    let metric = metrics::CONFIG_REJECTED;
    abi::define_metric(abi_kind(metric.kind), metric.name)
}

fn configure() -> Result<Guard, Rejected> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the host is where the environment comes in; only keys that the plugin lists are visible"
    )]
    let surroundings = HostEnvironment {
        variable: &|name| std::env::var(name).ok(),
        node_environment: &|| {
            let value = abi::property(&["xds", "node", "metadata", "environment"])?;
            String::from_utf8(value).ok()
        },
        seed: filter::seed(),
        shared_data: Rc::new(EnvoySharedData),
        kill: kill::switch(),
    };
    filter::put_in_force(configuration(), &surroundings, abi::log)
}

/// Reads the text of the configuration.
fn configuration() -> Result<Vec<u8>, String> {
    let bytes = abi::buffer(Buffer::PluginConfiguration, abi::ALL).map_err(|refused| {
        format!(
            "AG9001: the configuration can't be read: status {}",
            refused.0
        )
    })?;
    filter::configuration_text(bytes)
}
