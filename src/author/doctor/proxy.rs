//! Model of a proxy's configuration for the checks, from a bootstrap file or from Envoy's configuration dump.
//!
//! A dump is `{"configs": [{"@type": "…ListenersConfigDump", …}, …]}`, a bootstrap `{"static_resources": …}`.

use super::names::in_snake_case;
use crate::policy::{self, KILL_KIND, Loaded, Policy};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Access to the files of this machine that a configuration names.
#[derive(Clone, Copy)]
pub struct Files<'f> {
    /// Reads the file of a watched filter; `None` if it does not exist.
    pub resource: &'f dyn Fn(&str) -> Option<Value>,
    /// Determines the type of a module's file.
    pub module: &'f dyn Fn(&str) -> ModuleFile,
}

/// Type of the file at the path of the filter's module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleFile {
    /// WebAssembly module.
    Wasm,
    /// Shared object.
    SharedObject,
    /// Another file.
    Other,
    /// The file does not exist, but its folder does.
    Missing,
    /// Unknown: the configuration is for another machine, or the module comes from elsewhere.
    Unknown,
}

/// Configuration of a proxy.
#[derive(Debug, Default)]
pub struct Proxy {
    /// Bootstrap, if the source contains it.
    pub(super) bootstrap: Option<Value>,
    /// Whether the source is a running Envoy.
    is_dump: bool,
    pub(super) listeners: Vec<Listener>,
    /// Updates that the running Envoy rejected: the resource, and the reason.
    pub(super) rejected: Vec<(String, String)>,
    clusters: BTreeMap<String, Value>,
}

/// Listener.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) managers: Vec<HttpManager>,
    /// Names of network filters that forward bytes uninspected.
    pub(super) forwarders: Vec<String>,
    /// Whether the configuration of a network filter could not be found.
    has_unknown_filters: bool,
}

/// HTTP connection manager.
#[derive(Debug)]
pub(super) struct HttpManager {
    pub(super) listener: String,
    /// Whether its listener is reachable from this machine only.
    pub(super) is_local: bool,
    pub(super) config: Value,
    /// TLS context of its filter chain; `Null` without TLS.
    pub(super) tls: Value,
    /// `per_connection_buffer_limit_bytes` of its listener.
    pub(super) buffer_limit: Option<u64>,
    pub(super) filters: Vec<HttpFilter>,
    pub(super) routes: Vec<Route>,
    /// Whether a route configuration could not be found.
    pub(super) has_unknown_routes: bool,
}

/// Route with an action.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Position: `virtual host upstream, route /v1`.
    pub(super) place: String,
    pub(super) config: Value,
    /// Per-filter configurations: of the route, its virtual host, and the route configuration.
    pub(super) per_filter: Vec<Value>,
    /// Maximum buffered bytes of a request, if the route or its virtual host sets it.
    pub(super) body_limit: Option<u64>,
}

impl Route {
    /// Returns whether the route enables or disables a filter; `None` if it sets neither. The most specific level decides.
    pub(super) fn enables(&self, filter: &HttpFilter) -> Option<bool> {
        let mut levels = self.per_filter.iter();
        let level = levels.find_map(|level| level.get(&filter.name))?;
        Some(level.at("/disabled") != true)
    }
}

/// Role of a filter for the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    AgentGuard,
    Kill,
    Other,
}

/// End of the type of a filter that Envoy loads as a dynamic module.
const NATIVE: &str = "DynamicModuleFilter";

/// End of the type of the filter that sends each MCP request to the server that its tool's name begins with.
pub(super) const MCP_ROUTER: &str = "McpRouter";

/// Ends of the types of filters that forward bytes or datagrams without reading them.
const FORWARDERS: [&str; 3] = ["TcpProxy", "UdpProxyConfig", "GenericProxy"];

/// HTTP filter.
#[derive(Debug)]
pub(super) struct HttpFilter {
    pub(super) name: String,
    pub(super) role: Role,
    /// End of its type: `wasm.v3.Wasm`.
    pub(super) kind: String,
    /// Entry in the chain.
    pub(super) entry: Value,
    /// Configuration, also if it is discovered; `Null` if it could not be found.
    pub(super) config: Value,
    /// Policy in the configuration.
    pub(super) policy: Option<Loaded>,
    /// Whether a running Envoy has discovered it.
    pub(super) is_discovered: bool,
    /// Type of the module's file.
    pub(super) module_file: ModuleFile,
}

impl HttpFilter {
    /// Returns its policy, if it is valid.
    pub(super) fn valid_policy(&self) -> Option<&Policy> {
        self.policy.as_ref()?.policy.as_ref()
    }

    /// Returns `config` of a Wasm filter.
    pub(super) fn plugin(&self) -> &Value {
        self.config.at("/config")
    }

    /// Returns whether Envoy loads the filter as a dynamic module, without Wasm.
    pub(super) fn is_native(&self) -> bool {
        self.kind.ends_with(NATIVE)
    }

    /// Returns whether the filter sends requests to servers of its own, and needs no route for them. Envoy has such a filter
    /// in the place of its router, as the last one.
    pub(super) fn forwards(&self) -> bool {
        self.kind.ends_with(MCP_ROUTER)
    }

    /// Returns whether the filter runs only if a route enables it.
    pub(super) fn is_off(&self) -> bool {
        self.entry.at("/disabled") == true
    }

    /// Returns the source of the module.
    pub(super) fn code(&self) -> &Value {
        match self.is_native() {
            true => self.config.at("/dynamic_module_config/module"),
            false => self.plugin().at("/vm_config/code"),
        }
    }

    /// Returns the file or address of the module.
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
    /// Returns the policy's filter.
    pub(super) fn agentguard(&self) -> Option<&HttpFilter> {
        self.policies().next()
    }

    /// Returns the filters of policies. A mesh has one for each policy, and routes select one.
    pub(super) fn policies(&self) -> impl Iterator<Item = &HttpFilter> {
        self.filters
            .iter()
            .filter(|filter| filter.role == Role::AgentGuard)
    }

    /// Returns the filters after the policy's.
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

    /// Returns routes that forward to a cluster other than Envoy's admin interface.
    pub(super) fn forwarding(&self, proxy: &Proxy) -> impl Iterator<Item = &Route> {
        let routes = self.routes.iter();
        routes.filter(|route| route.config.at("/route").is_object() && !proxy.is_admin(route))
    }

    /// Returns routes that forward to Envoy's admin interface.
    pub(super) fn to_admin(&self, proxy: &Proxy) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| proxy.is_admin(route))
    }
}

impl Proxy {
    /// Reads a configuration, and the files that it names.
    ///
    /// # Errors
    /// The document is neither a dump nor a bootstrap.
    pub fn read(document: &Value, files: Files<'_>) -> Result<Proxy, String> {
        let mut sources = Sources::default();
        let document = &in_snake_case(document);
        if let Some(configs) = document.at("/configs").as_array() {
            sources.is_dump = true;
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
            .map(|listener| sources.listener(listener, files));
        Ok(Proxy {
            listeners: listeners.collect(),
            rejected: sources.rejected.clone(),
            is_dump: sources.is_dump,
            clusters,
            bootstrap: sources.bootstrap.clone(),
        })
    }

    /// Keeps only the listeners with these names.
    pub fn keep_listeners(&mut self, names: &[String]) {
        self.listeners
            .retain(|listener| names.contains(&listener.name));
    }

    /// Returns the names of the listeners.
    pub fn listener_names(&self) -> Vec<&str> {
        self.listeners
            .iter()
            .map(|listener| &*listener.name)
            .collect()
    }

    /// Returns what the running Envoy has and this configuration does not contain, so that it was not examined.
    pub fn unseen(&self) -> Vec<String> {
        let mut unseen = Vec::new();
        let bootstrap = self.bootstrap.as_ref();
        let resources = bootstrap.map(|bootstrap| bootstrap.at("/dynamic_resources"));
        let is_file = !self.is_dump && resources.is_some();
        let discovers = |kind: &str| resources.is_some_and(|all| all.at(kind).is_object());
        if is_file && (discovers("/lds_config") || discovers("/ads_config")) {
            unseen.push("listeners that Envoy discovers".to_owned());
        }
        for listener in &self.listeners {
            if listener.has_unknown_filters {
                unseen.push(format!("filters of listener {}", listener.name));
            }
        }
        for manager in self.managers() {
            if manager.has_unknown_routes {
                unseen.push(format!("routes of listener {}", manager.listener));
            }
        }
        unseen.dedup();
        unseen
    }

    pub(super) fn managers(&self) -> impl Iterator<Item = &HttpManager> {
        self.listeners
            .iter()
            .flat_map(|listener| &listener.managers)
    }

    pub(super) fn cluster(&self, name: &str) -> Option<&Value> {
        self.clusters.get(name)
    }

    /// Returns Envoy's version, major and minor, which a running Envoy writes into its own bootstrap; `None` if there is
    /// none.
    pub(super) fn version(&self) -> Option<(u64, u64)> {
        let version = self
            .bootstrap
            .as_ref()?
            .at("/node/user_agent_build_version/version");
        let part = |name: &str| number(version.at(name));
        Some((
            part("/major_number")?,
            part("/minor_number").unwrap_or_default(),
        ))
    }

    /// Returns whether a route forwards to Envoy's admin interface.
    fn is_admin(&self, route: &Route) -> bool {
        let cluster = route.config.at("/route/cluster").as_str();
        let admin = self.admin_port();
        admin.is_some() && self.ports_of(cluster.unwrap_or_default()) == [admin]
    }

    fn admin_port(&self) -> Option<u64> {
        let address = self.bootstrap.as_ref()?.at("/admin/address");
        address.at("/socket_address/port_value").as_u64()
    }

    /// Returns the ports of a cluster's endpoints on this machine.
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

/// Returns whether an address is reachable from this machine only.
pub(super) fn is_loopback(address: &str) -> bool {
    address == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Access to nested members; `null` for a missing one.
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

/// Returns the items of a list; none for another value.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Resources of a dump or a bootstrap.
#[derive(Debug, Default)]
struct Sources {
    is_dump: bool,
    bootstrap: Option<Value>,
    rejected: Vec<(String, String)>,
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
                for listener in list(config.at("/dynamic_listeners")) {
                    self.note_rejection("listener", listener);
                    // A listener that waits for its secrets or its filters has no active state yet.
                    let states = ["/active_state/listener", "/warming_state/listener"];
                    let mut states = states.iter().map(|state| listener.at(state));
                    self.listeners
                        .extend(states.find(|state| state.is_object()).cloned());
                }
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
                for filter in list(config.at("/ecds_filters")) {
                    self.note_rejection("filter", filter);
                    self.add_filter(filter.at("/ecds_filter"));
                }
            }
            _ => {}
        }
    }

    /// Stores the reason for which Envoy rejected the last update of a resource.
    fn note_rejection(&mut self, kind: &str, resource: &Value) {
        let error = resource.at("/error_state");
        if error.is_object() {
            let names = [
                resource.at("/name"),
                resource.at("/ecds_filter/name"),
                error.at("/failed_configuration/name"),
            ];
            let name = names.iter().find_map(|name| name.as_str());
            let why = error
                .at("/details")
                .as_str()
                .unwrap_or("no reason is given");
            self.rejected.push((
                format!("{kind} {}", name.unwrap_or("without name")),
                why.to_owned(),
            ));
        }
    }

    fn add_filter(&mut self, filter: &Value) {
        if let Some(name) = filter.at("/name").as_str() {
            self.filters
                .insert(name.to_owned(), filter.at("/typed_config").clone());
        }
    }

    fn listener(&self, listener: &Value, files: Files<'_>) -> Listener {
        let name = listener
            .at("/name")
            .as_str()
            .unwrap_or("without name")
            .to_owned();
        let limit = number(listener.at("/per_connection_buffer_limit_bytes"));
        let chains =
            list(listener.at("/filter_chains")).chain([listener.at("/default_filter_chain")]);
        let filters =
            chains.flat_map(|chain| list(chain.at("/filters")).map(move |filter| (chain, filter)));
        let more = list(listener.at("/additional_addresses")).map(|more| more.at("/address"));
        let mut addresses = more.chain([listener.at("/address")]);
        // A pipe and an internal listener are not reachable from elsewhere either.
        let is_local = addresses.all(|address| {
            let address = address.at("/socket_address/address").as_str();
            address.is_none_or(is_loopback)
        });
        let (mut managers, mut forwarders) = (Vec::new(), Vec::new());
        let mut has_unknown_filters = false;
        // Those of datagrams are filters of the listener itself.
        let filters = filters
            .chain(list(listener.at("/listener_filters")).map(|filter| (&Value::Null, filter)));
        for (chain, filter) in filters {
            let own = filter.at("/name").as_str().unwrap_or("without name");
            let is_discovered = filter.at("/config_discovery").is_object();
            let typed = match is_discovered {
                false => filter.at("/typed_config"),
                true => self.filters.get(own).unwrap_or(&Value::Null),
            };
            let (kind, config) = opened(typed);
            has_unknown_filters |= is_discovered && kind.is_empty();
            if kind.ends_with("HttpConnectionManager") {
                let tls = tls_of(chain).clone();
                managers.push(self.manager(&name, is_local, tls, limit, config, files));
            } else if FORWARDERS.iter().any(|end| kind.ends_with(end)) {
                forwarders.push(own.to_owned());
            }
        }
        Listener {
            name,
            managers,
            forwarders,
            has_unknown_filters,
        }
    }

    fn manager(
        &self,
        listener: &str,
        is_local: bool,
        tls: Value,
        limit: Option<u64>,
        config: &Value,
        files: Files<'_>,
    ) -> HttpManager {
        let filters = list(config.at("/http_filters"))
            .map(|entry| self.filter(entry, files))
            .collect();
        let named = config.at("/rds/route_config_name").as_str();
        let routes = match named {
            Some(name) => self.routes.get(name),
            None => Some(config.at("/route_config")),
        };
        let known = routes.filter(|routes| routes.is_object());
        HttpManager {
            listener: listener.to_owned(),
            is_local,
            config: config.clone(),
            tls,
            buffer_limit: limit,
            filters,
            routes: known.map(routes_of).unwrap_or_default(),
            has_unknown_routes: known.is_none_or(has_matcher),
        }
    }

    fn filter(&self, entry: &Value, files: Files<'_>) -> HttpFilter {
        let name = entry.at("/name").as_str().unwrap_or_default().to_owned();
        let discovery = entry.at("/config_discovery");
        let is_discovered = discovery.is_object() && self.filters.contains_key(&name);
        let found = match discovery.is_object() {
            false => Some(entry.at("/typed_config").clone()),
            true => self.filters.get(&name).cloned().or_else(|| {
                let path = discovery
                    .at("/config_source/path_config_source/path")
                    .as_str()?;
                let file = in_snake_case(&(files.resource)(path)?);
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
        // It forwards only Envoy's statistics, and has no policy.
        let is_admin = parsed == Some(json!({"admin": true}));
        let document_kind = parsed.as_ref().map(|document| document.at("/kind").clone());
        let is_kill_list = document_kind.as_ref().is_some_and(|kind| kind == KILL_KIND);
        let is_policy =
            document_kind.is_some_and(|kind| kind == "AgentPolicy" || kind == "AgentPolicySet");
        let names = [
            entry.at("/name"),
            plugin.at("/name"),
            plugin.at("/root_id"),
            config.at("/filter_name"),
        ];
        let is_ours = is_policy
            || is_kill_list
            || names.iter().any(|name| {
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
        let mut filter = HttpFilter {
            name,
            role,
            kind: kind.to_owned(),
            entry: entry.clone(),
            config: config.clone(),
            policy,
            is_discovered,
            module_file: ModuleFile::Unknown,
        };
        // A dump is from another process, and perhaps from another machine.
        let file = filter.code().at("/local/filename").as_str();
        if let Some(file) = file.filter(|_| !self.is_dump && filter.role != Role::Other) {
            filter.module_file = (files.module)(file);
        }
        filter
    }
}

/// Returns the type of a configuration and the configuration itself. Control planes write some as a `TypedStruct`.
pub(super) fn opened(typed: &Value) -> (&str, &Value) {
    let kind = typed.at("/@type").as_str().unwrap_or_default();
    match typed.at("/type_url").as_str() {
        Some(inner) if kind.ends_with("TypedStruct") => (inner, typed.at("/value")),
        _ => (kind, typed),
    }
}

/// Returns the TLS context of a filter chain, over TCP or QUIC; `Null` if there is none.
fn tls_of(chain: &Value) -> &Value {
    let (kind, context) = opened(chain.at("/transport_socket/typed_config"));
    match kind.ends_with("QuicDownstreamTransport") {
        true => context.at("/downstream_tls_context"),
        false => context,
    }
}

/// Returns the text of a plugin's configuration: a `StringValue`, or a `Struct` as JSON.
fn document_of(configuration: &Value) -> Option<String> {
    match configuration.at("/value") {
        Value::String(text) => Some(text.clone()),
        value @ Value::Object(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Parses a number, which protobuf's JSON may write as a string.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Parses a duration of protobuf's JSON to seconds: `15s`, `0.250s`.
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
            let levels = [route, host, config].map(|level| level.at("/typed_per_filter_config"));
            let one = Route {
                place: format!(
                    "virtual host {}, route {}",
                    host.at("/name").as_str().unwrap_or("without name"),
                    path.unwrap_or("without path")
                ),
                config: route.clone(),
                per_filter: levels.into_iter().cloned().collect(),
                body_limit: [route, host].into_iter().find_map(body_limit),
            };
            let mut parts = list(route.at("/route/weighted_clusters/clusters")).peekable();
            if parts.peek().is_none() {
                routes.push(one.clone());
            }
            routes.extend(parts.map(|part| part_of(&one, part)));
        }
    }
    routes
}

/// Returns the route for one of several weighted clusters.
fn part_of(route: &Route, part: &Value) -> Route {
    let mut config = route.config.clone();
    if let Some(action) = config.get_mut("route").and_then(Value::as_object_mut) {
        action.insert("cluster".to_owned(), part.at("/name").clone());
    }
    let own = part.at("/typed_per_filter_config").clone();
    Route {
        place: format!(
            "{}, cluster {}",
            route.place,
            part.at("/name").as_str().unwrap_or("without name")
        ),
        config,
        per_filter: [vec![own], route.per_filter.clone()].concat(),
        body_limit: route.body_limit,
    }
}

/// Returns the maximum buffered bytes of a request that a route or a virtual host sets.
fn body_limit(level: &Value) -> Option<u64> {
    let keys = [
        "/request_body_buffer_limit",
        "/per_request_buffer_limit_bytes",
    ];
    keys.iter().find_map(|key| number(level.at(key)))
}

/// Returns whether a route configuration has routes in a tree of matchers, which are not examined.
fn has_matcher(config: &Value) -> bool {
    list(config.at("/virtual_hosts")).any(|host| host.at("/matcher").is_object())
}
