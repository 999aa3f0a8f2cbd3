//! A proxy's configuration as the checks see it, from a bootstrap file or from Envoy's configuration dump.
//!
//! A dump is `{"configs": [{"@type": "…ListenersConfigDump", …}, …]}`, a bootstrap `{"static_resources": …}`.

use crate::policy::{self, KILL_KIND, Loaded};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Reads a file that the configuration names, such as that of a watched filter; `None` if it is not there.
pub type ReadResource<'r> = &'r dyn Fn(&str) -> Option<Value>;

/// A proxy's configuration.
#[derive(Debug, Default)]
pub struct Proxy {
    /// The bootstrap, if the source has it.
    pub(super) bootstrap: Option<Value>,
    pub(super) listeners: Vec<Listener>,
    clusters: BTreeMap<String, Value>,
}

/// A listener.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) managers: Vec<HttpManager>,
    /// Names of network filters that forward bytes unread.
    pub(super) forwarders: Vec<String>,
}

/// An HTTP connection manager.
#[derive(Debug)]
pub(super) struct HttpManager {
    pub(super) listener: String,
    pub(super) config: Value,
    /// `per_connection_buffer_limit_bytes` of its listener.
    pub(super) buffer_limit: Option<u64>,
    pub(super) filters: Vec<HttpFilter>,
    pub(super) routes: Vec<Route>,
    /// Route configurations that could not be found.
    pub(super) has_unknown_routes: bool,
}

/// A route with an action.
#[derive(Debug)]
pub(super) struct Route {
    /// `virtual host upstream, route /v1`.
    pub(super) place: String,
    pub(super) config: Value,
    /// Per-filter configuration: its own, that of its virtual host, and that of the route configuration.
    pub(super) per_filter: Vec<Value>,
}

impl Route {
    /// Whether it enables or disables a filter; `None` if it says nothing. The most specific level decides.
    pub(super) fn enables(&self, filter: &HttpFilter) -> Option<bool> {
        let mut levels = self.per_filter.iter();
        let level = levels.find_map(|level| level.get(&filter.name))?;
        Some(level.at("/disabled") != true)
    }
}

/// What a filter is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    AgentGuard,
    Kill,
    Other,
}

/// The end of the type of a filter that Envoy loads as a dynamic module.
const NATIVE: &str = "DynamicModuleFilter";

/// An HTTP filter.
#[derive(Debug)]
pub(super) struct HttpFilter {
    pub(super) name: String,
    pub(super) role: Role,
    /// The end of its type: `wasm.v3.Wasm`.
    pub(super) kind: String,
    /// Its entry in the chain.
    pub(super) entry: Value,
    /// Its configuration, also if it is discovered; `Null` if it could not be found.
    pub(super) config: Value,
    /// The policy in it.
    pub(super) policy: Option<Loaded>,
    /// The text of its plugin configuration.
    pub(super) document: Option<String>,
    /// Whether a running Envoy has discovered it.
    pub(super) is_discovered: bool,
}

impl HttpFilter {
    /// `config` of a Wasm filter.
    pub(super) fn plugin(&self) -> &Value {
        self.config.at("/config")
    }

    /// Whether Envoy loads it as a dynamic module, without Wasm.
    pub(super) fn is_native(&self) -> bool {
        self.kind.ends_with(NATIVE)
    }

    /// Whether it runs only where a route enables it.
    pub(super) fn is_off(&self) -> bool {
        self.entry.at("/disabled") == true
    }

    /// Where the module comes from.
    pub(super) fn code(&self) -> &Value {
        match self.is_native() {
            true => self.config.at("/dynamic_module_config/module"),
            false => self.plugin().at("/vm_config/code"),
        }
    }

    /// The module's file or address.
    pub(super) fn module(&self) -> String {
        let code = self.code();
        let names = [
            code.at("/local/filename"),
            code.at("/remote/http_uri/uri"),
            self.config.at("/dynamic_module_config/name"),
        ];
        let name = names.into_iter().find_map(Value::as_str);
        name.unwrap_or("inline").to_owned()
    }
}

impl HttpManager {
    /// The policy's filter.
    pub(super) fn agentguard(&self) -> Option<&HttpFilter> {
        self.policies().next()
    }

    /// The filters of policies. A mesh has one for each policy, and lets routes choose.
    pub(super) fn policies(&self) -> impl Iterator<Item = &HttpFilter> {
        self.filters
            .iter()
            .filter(|filter| filter.role == Role::AgentGuard)
    }

    /// The filters behind the policy's.
    pub(super) fn behind(&self) -> &[HttpFilter] {
        let place = self
            .filters
            .iter()
            .position(|filter| filter.role == Role::AgentGuard);
        let rest = place.and_then(|place| self.filters.get(place.saturating_add(1)..));
        rest.unwrap_or_default()
    }

    pub(super) fn place(&self) -> String {
        format!("listener {}", self.listener)
    }

    /// Routes that forward to a cluster of a provider or of another server.
    pub(super) fn forwarding(&self, proxy: &Proxy) -> impl Iterator<Item = &Route> {
        let admin = proxy.admin_port();
        self.routes.iter().filter(move |route| {
            let action = route.config.at("/route");
            let cluster = action.at("/cluster").as_str().unwrap_or_default();
            action.is_object() && !(admin.is_some() && proxy.ports_of(cluster) == [admin])
        })
    }
}

impl Proxy {
    /// Reads a configuration. `read` finds files that it names.
    ///
    /// # Errors
    /// It is neither a dump nor a bootstrap.
    pub fn read(document: &Value, read: ReadResource<'_>) -> Result<Proxy, String> {
        let mut sources = Sources::default();
        if let Some(configs) = document.at("/configs").as_array() {
            for config in configs {
                sources.add_dump(config);
            }
        } else if document.at("/static_resources").is_object()
            || document.at("/dynamic_resources").is_object()
        {
            sources.bootstrap = Some(document.clone());
        } else {
            return Err(
                "this is neither a configuration dump of Envoy (`/config_dump`) nor a bootstrap; --admin URL asks a running Envoy"
                    .to_owned(),
            );
        }
        if sources.listeners.is_empty() && sources.clusters.is_empty() {
            let bootstrap = sources.bootstrap.clone().unwrap_or_default();
            let resources = bootstrap.at("/static_resources");
            sources
                .listeners
                .extend(list(resources.at("/listeners")).cloned());
            sources
                .clusters
                .extend(list(resources.at("/clusters")).cloned());
        }
        let clusters = sources
            .clusters
            .iter()
            .filter_map(|cluster| Some((cluster.at("/name").as_str()?.to_owned(), cluster.clone())))
            .collect();
        let listeners = sources
            .listeners
            .iter()
            .map(|listener| sources.listener(listener, read));
        Ok(Proxy {
            listeners: listeners.collect(),
            clusters,
            bootstrap: sources.bootstrap.clone(),
        })
    }

    /// Keeps only the listeners with these names.
    pub fn keep_listeners(&mut self, names: &[String]) {
        self.listeners
            .retain(|listener| names.contains(&listener.name));
    }

    /// Names of the listeners.
    pub fn listener_names(&self) -> Vec<&str> {
        self.listeners
            .iter()
            .map(|listener| &*listener.name)
            .collect()
    }

    pub(super) fn managers(&self) -> impl Iterator<Item = &HttpManager> {
        self.listeners
            .iter()
            .flat_map(|listener| &listener.managers)
    }

    pub(super) fn cluster(&self, name: &str) -> Option<&Value> {
        self.clusters.get(name)
    }

    fn admin_port(&self) -> Option<u64> {
        let address = self.bootstrap.as_ref()?.at("/admin/address");
        address.at("/socket_address/port_value").as_u64()
    }

    /// Ports of a cluster's endpoints on this machine.
    fn ports_of(&self, cluster: &str) -> Vec<Option<u64>> {
        let Some(cluster) = self.clusters.get(cluster) else {
            return Vec::new();
        };
        list(cluster.at("/load_assignment/endpoints"))
            .flat_map(|group| list(group.at("/lb_endpoints")))
            .map(|endpoint| {
                let address = endpoint.at("/endpoint/address/socket_address");
                is_loopback(address.at("/address").as_str()?)
                    .then(|| address.at("/port_value").as_u64())?
            })
            .collect()
    }
}

/// Whether only this machine reaches an address.
pub(super) fn is_loopback(address: &str) -> bool {
    address == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Members of members; `null` where there is none.
pub(super) trait Members {
    /// Returns the member at a JSON Pointer: `/config/vm_config`.
    fn at(&self, pointer: &str) -> &Value;
}

impl Members for Value {
    fn at(&self, pointer: &str) -> &Value {
        static NOTHING: Value = Value::Null;
        self.pointer(pointer).unwrap_or(&NOTHING)
    }
}

/// The items of a list; none of another value.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The resources of a dump or a bootstrap.
#[derive(Debug, Default)]
struct Sources {
    bootstrap: Option<Value>,
    listeners: Vec<Value>,
    clusters: Vec<Value>,
    routes: BTreeMap<String, Value>,
    /// Discovered filters by their names.
    filters: BTreeMap<String, Value>,
}

impl Sources {
    fn add_dump(&mut self, config: &Value) {
        let kind = config.at("/@type").as_str().unwrap_or_default();
        let kind = kind.rsplit('.').next().unwrap_or_default();
        let each = |name: &str, inner: &str| -> Vec<Value> {
            list(config.at(&format!("/{name}")))
                .map(|item| item.at(&format!("/{inner}")).clone())
                .collect()
        };
        match kind {
            "BootstrapConfigDump" => self.bootstrap = Some(config.at("/bootstrap").clone()),
            "ListenersConfigDump" => {
                self.listeners.extend(each("static_listeners", "listener"));
                let states = each("dynamic_listeners", "active_state");
                self.listeners
                    .extend(states.iter().map(|state| state.at("/listener").clone()));
            }
            "ClustersConfigDump" => {
                self.clusters.extend(each("static_clusters", "cluster"));
                self.clusters
                    .extend(each("dynamic_active_clusters", "cluster"));
            }
            "RoutesConfigDump" => {
                let routes = [
                    each("static_route_configs", "route_config"),
                    each("dynamic_route_configs", "route_config"),
                ];
                for route in routes.concat() {
                    if let Some(name) = route.at("/name").as_str() {
                        self.routes.insert(name.to_owned(), route.clone());
                    }
                }
            }
            "EcdsConfigDump" => {
                for filter in each("ecds_filters", "ecds_filter") {
                    self.add_filter(&filter);
                }
            }
            _ => {}
        }
    }

    fn add_filter(&mut self, filter: &Value) {
        if let Some(name) = filter.at("/name").as_str() {
            self.filters
                .insert(name.to_owned(), filter.at("/typed_config").clone());
        }
    }

    fn listener(&self, listener: &Value, read: ReadResource<'_>) -> Listener {
        let name = listener
            .at("/name")
            .as_str()
            .unwrap_or("without name")
            .to_owned();
        let limit = number(listener.at("/per_connection_buffer_limit_bytes"));
        let chains =
            list(listener.at("/filter_chains")).chain([listener.at("/default_filter_chain")]);
        let mut managers = Vec::new();
        let mut forwarders = Vec::new();
        for filter in chains.flat_map(|chain| list(chain.at("/filters"))) {
            let (kind, config) = opened(filter.at("/typed_config"));
            if kind.ends_with("HttpConnectionManager") {
                managers.push(self.manager(&name, limit, config, read));
            } else if kind.ends_with("TcpProxy") {
                forwarders.push(
                    filter
                        .at("/name")
                        .as_str()
                        .unwrap_or("tcp_proxy")
                        .to_owned(),
                );
            }
        }
        Listener {
            name,
            managers,
            forwarders,
        }
    }

    fn manager(
        &self,
        listener: &str,
        limit: Option<u64>,
        config: &Value,
        read: ReadResource<'_>,
    ) -> HttpManager {
        let filters = list(config.at("/http_filters"))
            .map(|entry| self.filter(entry, read))
            .collect();
        let named = config.at("/rds/route_config_name").as_str();
        let routes = match named {
            Some(name) => self.routes.get(name),
            None => Some(config.at("/route_config")),
        };
        let known = routes.filter(|routes| routes.is_object());
        HttpManager {
            listener: listener.to_owned(),
            config: config.clone(),
            buffer_limit: limit,
            filters,
            routes: known.map(routes_of).unwrap_or_default(),
            has_unknown_routes: known.is_none(),
        }
    }

    fn filter(&self, entry: &Value, read: ReadResource<'_>) -> HttpFilter {
        let name = entry.at("/name").as_str().unwrap_or_default().to_owned();
        let discovery = entry.at("/config_discovery");
        let is_discovered = discovery.is_object() && self.filters.contains_key(&name);
        let found = match discovery.is_object() {
            false => Some(entry.at("/typed_config").clone()),
            true => self.filters.get(&name).cloned().or_else(|| {
                let path = discovery
                    .at("/config_source/path_config_source/path")
                    .as_str()?;
                let file = read(path)?;
                let mut resources = list(file.at("/resources"));
                Some(
                    resources
                        .find(|resource| resource.at("/name") == name.as_str())?
                        .at("/typed_config")
                        .clone(),
                )
            }),
        };
        let found = found.unwrap_or_default();
        let (kind, config) = opened(&found);
        let kind = match kind {
            "" => discovery.at("/type_urls/0").as_str().unwrap_or_default(),
            kind => kind,
        };
        let plugin = config.at("/config");
        let is_native = kind.ends_with(NATIVE);
        let document = document_of(match is_native {
            true => config.at("/filter_config"),
            false => plugin.at("/configuration"),
        });
        let parsed = document
            .as_deref()
            .and_then(|text| serde_json::from_str::<Value>(text).ok());
        // It forwards nothing but Envoy's statistics, and has no policy.
        let is_admin = parsed == Some(json!({"admin": true}));
        let is_kill_list = parsed.is_some_and(|document| document.at("/kind") == KILL_KIND);
        let names = [
            entry.at("/name"),
            plugin.at("/name"),
            plugin.at("/root_id"),
            config.at("/filter_name"),
        ];
        let is_ours = names.iter().any(|name| {
            name.as_str()
                .is_some_and(|name| name.contains("agentguard"))
        });
        let is_ours = (is_native || kind.ends_with("wasm.v3.Wasm")) && is_ours;
        let ends_with_kill = names.iter().any(|name| {
            name.as_str()
                .is_some_and(|name| name.ends_with("agentguard-kill"))
        });
        let role = match is_ours {
            true if is_admin => Role::Other,
            true if is_kill_list || ends_with_kill => Role::Kill,
            true => Role::AgentGuard,
            false => Role::Other,
        };
        let policy = document
            .as_deref()
            .filter(|_| role == Role::AgentGuard)
            .map(|text| policy::load_json(text.as_bytes()));
        HttpFilter {
            name,
            role,
            kind: kind.to_owned(),
            entry: entry.clone(),
            config: config.clone(),
            policy,
            document,
            is_discovered,
        }
    }
}

/// Opens a configuration: its type and itself. Control planes write some as a `TypedStruct`.
fn opened(typed: &Value) -> (&str, &Value) {
    let kind = typed.at("/@type").as_str().unwrap_or_default();
    match typed.at("/type_url").as_str() {
        Some(inner) if kind.ends_with("TypedStruct") => (inner, typed.at("/value")),
        _ => (kind, typed),
    }
}

/// The text of a plugin's configuration: a `StringValue`, or a `Struct` as JSON.
fn document_of(configuration: &Value) -> Option<String> {
    match configuration.at("/value") {
        Value::String(text) => Some(text.clone()),
        value @ Value::Object(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A number, also where protobuf's JSON writes it as a text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A duration of protobuf's JSON in seconds: `15s`, `0.250s`.
pub(super) fn seconds(value: &Value) -> Option<f64> {
    value.as_str()?.strip_suffix('s')?.parse().ok()
}

fn routes_of(config: &Value) -> Vec<Route> {
    let mut routes = Vec::new();
    for host in list(config.at("/virtual_hosts")) {
        for route in list(host.at("/routes")) {
            let matched = route.at("/match");
            let path = ["prefix", "path", "path_separated_prefix"]
                .iter()
                .find_map(|kind| matched.at(&format!("/{kind}")).as_str())
                .or_else(|| matched.at("/safe_regex/regex").as_str());
            routes.push(Route {
                place: format!(
                    "virtual host {}, route {}",
                    host.at("/name").as_str().unwrap_or("without name"),
                    path.unwrap_or("without path")
                ),
                config: route.clone(),
                per_filter: [route, host, config]
                    .map(|level| level.at("/typed_per_filter_config").clone())
                    .to_vec(),
            });
        }
    }
    routes
}
