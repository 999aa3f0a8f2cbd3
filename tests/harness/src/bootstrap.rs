//! Envoy bootstrap configuration: one listener per site, all with the provider double as their upstream.

use crate::envoy::Host;
use crate::pool;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The configuration of the plugin.
#[derive(Clone, Debug)]
pub enum Configuration {
    /// A text: `google.protobuf.StringValue`.
    Text(String),
    /// A `google.protobuf.Struct`.
    Struct(Value),
    /// No configuration.
    Absent,
}

impl Configuration {
    fn any(&self) -> Option<Value> {
        match self {
            Configuration::Text(text) => Some(json!({
                "@type": "type.googleapis.com/google.protobuf.StringValue", "value": text,
            })),
            Configuration::Struct(value) => Some(json!({
                "@type": "type.googleapis.com/google.protobuf.Struct", "value": value,
            })),
            Configuration::Absent => None,
        }
    }
}

/// A listener with its own copy of the filter.
#[derive(Clone, Debug)]
pub struct Site {
    pub(crate) name: String,
    configuration: Option<Configuration>,
    route_policy: Option<Value>,
    module: Option<PathBuf>,
    vm: String,
    pub(crate) watched: bool,
    stop_iteration: bool,
    behind: Vec<Value>,
    before: Vec<Value>,
    upgrades: bool,
    buffer_limit: u32,
    variables: Vec<String>,
    transport: Option<Value>,
    manager: Value,
    per_filter: Value,
}

impl Site {
    /// Creates a listener whose filter has this policy. Headers are forwarded at once unless the policy holds them; the
    /// plugin then has the required flag.
    pub fn new(name: &str, policy: &Value) -> Site {
        let hold = policy.pointer("/envoy/headers") == Some(&json!("hold"));
        Site {
            configuration: Some(Configuration::Text(policy.to_string())),
            stop_iteration: hold,
            ..Site::bare(name)
        }
    }

    /// Creates a listener without the filter.
    pub fn bare(name: &str) -> Site {
        Site {
            name: name.to_owned(),
            configuration: None,
            route_policy: None,
            module: None,
            vm: "agentguard".to_owned(),
            watched: false,
            stop_iteration: false,
            behind: Vec::new(),
            before: Vec::new(),
            upgrades: false,
            buffer_limit: 10 << 20,
            variables: Vec::new(),
            transport: None,
            manager: json!({}),
            per_filter: json!({}),
        }
    }

    /// Sets `typed_per_filter_config` of the virtual host.
    pub fn per_filter(mut self, configs: Value) -> Site {
        self.per_filter = configs;
        self
    }

    /// Accepts TLS connections with this `DownstreamTlsContext`.
    pub fn tls(mut self, context: Value) -> Site {
        self.transport = Some(context);
        self
    }

    /// Sets keys of the HTTP connection manager.
    pub fn manager(mut self, keys: Value) -> Site {
        self.manager = keys;
        self
    }

    /// Replaces the configuration.
    pub fn configured(mut self, configuration: Configuration) -> Site {
        self.configuration = Some(configuration);
        self
    }

    /// Gives requests with `x-test-route-policy` a policy of their own, which only a native module can have.
    pub fn route_policy(mut self, policy: &Value) -> Site {
        self.route_policy = Some(policy.clone());
        self
    }

    /// Replaces the filter's module.
    pub fn module(mut self, module: PathBuf) -> Site {
        self.module = Some(module);
        self
    }

    /// Sets the `vm_id`. Filters share a virtual machine, and what it keeps, only with those of the same one.
    pub fn vm(mut self, id: &str) -> Site {
        id.clone_into(&mut self.vm);
        self
    }

    /// Loads the filter from a file that Envoy watches.
    pub fn watched(mut self) -> Site {
        self.watched = true;
        self
    }

    /// Sets `allow_on_headers_stop_iteration` of the plugin.
    pub fn stop_iteration(mut self, allowed: bool) -> Site {
        self.stop_iteration = allowed;
        self
    }

    /// Adds Envoy's buffer filter after the filter. It forwards nothing before the whole request has arrived.
    pub fn buffered(mut self) -> Site {
        self.behind.push(json!({
            "name": "envoy.filters.http.buffer",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
                "max_request_bytes": 16 << 20,
            },
        }));
        self
    }

    /// Adds these filters before the filter.
    pub fn behind_filters(mut self, filters: Vec<Value>) -> Site {
        self.before.extend(filters);
        self
    }

    /// Adds these filters after the filter.
    pub fn filters_after(mut self, filters: Vec<Value>) -> Site {
        self.behind.extend(filters);
        self
    }

    /// Allows WebSocket upgrades.
    pub fn upgrades(mut self) -> Site {
        self.upgrades = true;
        self
    }

    /// Sets the maximum bytes of one message that Envoy buffers; the default is 10 MiB. Over HTTP/1.1 that is the
    /// listener's `per_connection_buffer_limit_bytes`, over HTTP/2 the larger of that and a stream's window, which is
    /// at least 64 KiB and 16 MiB by default.
    pub fn buffer_limit(mut self, bytes: u32) -> Site {
        self.buffer_limit = bytes;
        self
    }

    /// Passes an environment variable to the filter.
    pub fn variable(mut self, name: &str) -> Site {
        self.variables.push(name.to_owned());
        self
    }

    pub(crate) fn has_filter(&self) -> bool {
        self.configuration.is_some()
    }

    fn filter_name(&self) -> String {
        format!("agentguard-{}", self.name)
    }

    fn host(&self, module: &Path) -> Host {
        Host::of_module(self.module.as_deref().unwrap_or(module))
    }

    /// Returns the configuration of the filter.
    fn typed_config(&self, module: &Path) -> Value {
        let module = self.module.as_deref().unwrap_or(module);
        match self.host(module) {
            Host::Wasm => self.wasm_config(module),
            Host::Native => self.native_config(module),
        }
    }

    fn native_config(&self, module: &Path) -> Value {
        let mut config = json!({
            "@type": Host::Native.filter_type(),
            "dynamic_module_config": {
                "module": {"local": {"filename": module}},
                "metrics_namespace": "agentguard",
            },
            "filter_name": "agentguard",
        });
        if let Some(any) = self.configuration.as_ref().and_then(Configuration::any) {
            config["filter_config"] = any;
        }
        config
    }

    fn wasm_config(&self, module: &Path) -> Value {
        let mut vm = json!({
            "runtime": "envoy.wasm.runtime.v8",
            "vm_id": self.vm,
            "code": {"local": {"filename": module}},
        });
        if !self.variables.is_empty() {
            vm["environment_variables"] = json!({"host_env_keys": self.variables});
        }
        let mut config = json!({
            "name": self.filter_name(),
            "root_id": "agentguard",
            "vm_config": vm,
            // As `agentguard build` writes it.
            "failure_policy": "FAIL_RELOAD",
        });
        if let Some(any) = self.configuration.as_ref().and_then(Configuration::any) {
            config["configuration"] = any;
        }
        if self.stop_iteration {
            config["allow_on_headers_stop_iteration"] = json!(true);
        }
        json!({"@type": Host::Wasm.filter_type(), "config": config})
    }

    /// Returns the content of the watched file.
    pub(crate) fn discovery(&self, module: &Path) -> Value {
        json!({"resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": self.filter_name(),
            "typed_config": self.typed_config(module),
        }]})
    }

    pub(crate) fn directory(&self, home: &Path) -> PathBuf {
        home.join(format!("watched-{}", self.name))
    }

    pub(crate) fn discovery_stat(&self, what: &str) -> String {
        format!(
            "extension_config_discovery.http_filter.{}.{what}",
            self.filter_name()
        )
    }

    fn filters(&self, home: &Path, module: &Path) -> Vec<Value> {
        let mut filters = self.before.clone();
        let has_tokens = filters
            .iter()
            .any(|filter| filter["name"] == "envoy.filters.http.jwt_authn");
        if has_tokens && self.host(module) == Host::Native {
            filters.push(verified_token());
        }
        if self.has_filter() && self.watched {
            let directory = self.directory(home);
            filters.push(json!({
                "name": self.filter_name(),
                "config_discovery": {
                    "config_source": {
                        "path_config_source": {
                            "path": directory.join("filter.json"),
                            "watched_directory": {"path": directory},
                        },
                        "resource_api_version": "V3",
                    },
                    "type_urls": [self.host(module).filter_type()],
                },
            }));
        } else if self.has_filter() {
            filters.push(
                json!({"name": self.filter_name(), "typed_config": self.typed_config(module)}),
            );
        }
        filters.extend(self.behind.iter().cloned());
        filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }));
        filters
    }

    fn routes(&self, module: &Path) -> Vec<Value> {
        let mut routes = Vec::new();
        if let Some(policy) = &self.route_policy {
            let mut own = route("x-test-route-policy", true, "provider");
            let mut config = self.native_config(module);
            config["@type"] = json!(
                "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute"
            );
            // Before 1.40, a route's module is only found by its name: `libagentguard.so` in the search path.
            let file = module.file_stem().unwrap_or_default().to_string_lossy();
            let name = file.strip_prefix("lib").unwrap_or(&file);
            config["dynamic_module_config"] =
                json!({"name": name, "metrics_namespace": "agentguard"});
            config["filter_config"] = json!(Configuration::Text(policy.to_string()).any());
            own["typed_per_filter_config"] = json!({self.filter_name(): config});
            routes.push(own);
        }
        routes.push(route("x-test-no-endpoint", true, "nowhere"));
        routes.push(route("x-test-no-route", false, "provider"));
        routes
    }

    fn listener(&self, bootstrap: &Bootstrap<'_>) -> Value {
        let Bootstrap {
            home,
            module,
            measured,
            dynamic,
            ..
        } = bootstrap;
        let log = |file: String, format: &str| {
            json!({
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": home.join(file),
                    "log_format": {"text_format_source": {"inline_string": format}},
                },
            })
        };
        let mut manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": self.name,
            "normalize_path": true,
            "merge_slashes": true,
            "http_protocol_options": {"enable_trailers": true},
            "http2_protocol_options": {
                "allow_connect": self.upgrades,
                "initial_stream_window_size": self.buffer_limit.max(65_535),
            },
            "http_filters": self.filters(home, module),
            "route_config": {
                // An idle Envoy of the pool has no clusters.
                "validate_clusters": !dynamic,
                "virtual_hosts": [{
                    "name": "all",
                    "domains": ["*"],
                    "typed_per_filter_config": self.per_filter,
                    "routes": self.routes(module),
                }],
            },
            "access_log": [
                log(format!("{}.access.log", self.name),
                    "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% %RESPONSE_CODE% \
                     %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT%\n"),
            ],
        });
        if let Some(logs) = manager["access_log"].as_array_mut() {
            if *measured {
                logs.clear();
            }
            logs.extend(self.has_filter().then(|| {
                log(
                    format!("{}.audit.jsonl", self.name),
                    "%FILTER_STATE(wasm.agentguard:PLAIN)%\n",
                )
            }));
        }
        if self.upgrades {
            manager["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
        }
        if let (Some(manager), Value::Object(keys)) = (manager.as_object_mut(), &self.manager) {
            manager.extend(keys.clone());
        }
        let mut chain = json!({"filters": [{
            "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
        }]});
        if let Some(context) = &self.transport {
            chain["transport_socket"] = json!({
                "name": "envoy.transport_sockets.tls", "typed_config": context,
            });
        }
        json!({
            "name": self.name,
            "address": address(0),
            "per_connection_buffer_limit_bytes": self.buffer_limit,
            "filter_chains": [chain],
        })
    }
}

/// Returns the filter that a native filter needs after `jwt_authn`: Envoy passes filter state to a dynamic module, but
/// no nested metadata.
fn verified_token() -> Value {
    json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": "agentguard.jwt_authn",
                "factory_key": "envoy.string",
                "format_string": {"text_format_source": {
                    "inline_string": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn)%",
                }},
            }],
        },
    })
}

/// Returns a route without timeout: by default Envoy ends every response after 15 seconds.
fn route(header: &str, present: bool, cluster: &str) -> Value {
    json!({
        "match": {
            "prefix": "/",
            "headers": [{"name": header, "present_match": true, "invert_match": !present}],
        },
        "route": {
            "cluster": cluster,
            "timeout": "0s",
        },
    })
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn cluster(name: &str, endpoints: &[SocketAddr]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|endpoint| json!({"endpoint": {"address": address(endpoint.port())}}))
        .collect();
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "per_connection_buffer_limit_bytes": 10 << 20,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
            },
        },
    })
}

/// Returns a cluster with HTTP/2, which gRPC needs.
pub(crate) fn http2_cluster(name: &str, endpoint: SocketAddr) -> Value {
    let mut cluster = cluster(name, &[endpoint]);
    let options =
        "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    if let Some(options) = cluster.pointer_mut(options) {
        options["explicit_http_config"] = json!({"http2_protocol_options": {}});
    }
    cluster
}

/// Complete bootstrap configuration.
pub(crate) struct Bootstrap<'b> {
    pub(crate) sites: &'b [Site],
    /// Labels of the metrics, each with the expression that extracts it from the stat names.
    pub(crate) labels: &'b [(&'static str, String)],
    /// Name of the environment in the node's metadata.
    pub(crate) environment: Option<&'b str>,
    /// Clusters besides the provider's.
    pub(crate) clusters: &'b [Value],
    pub(crate) provider: SocketAddr,
    /// Other services, by the names of their clusters.
    pub(crate) services: &'b [(&'static str, SocketAddr)],
    pub(crate) home: &'b Path,
    pub(crate) module: &'b Path,
    /// Whether to leave out everything that costs time, for benchmarks.
    pub(crate) measured: bool,
    /// Whether Envoy reads more listeners and clusters from files.
    pub(crate) dynamic: bool,
}

impl Bootstrap<'_> {
    /// Returns the listeners, one for each site.
    pub(crate) fn listeners(&self) -> Vec<Value> {
        self.sites.iter().map(|site| site.listener(self)).collect()
    }

    /// Returns the clusters.
    pub(crate) fn clusters(&self) -> Vec<Value> {
        let mut clusters = vec![
            cluster("provider", &[self.provider]),
            cluster("nowhere", &[]),
        ];
        let services = self.services.iter();
        clusters.extend(services.map(|(name, address)| cluster(name, &[*address])));
        clusters.extend_from_slice(self.clusters);
        clusters
    }

    pub(crate) fn write(&self) -> Value {
        let tags: Vec<Value> = self
            .labels
            .iter()
            .map(|(label, pattern)| json!({"tag_name": label, "regex": pattern}))
            .collect();
        let metadata = match self.environment {
            Some(name) => json!({"environment": name}),
            None => json!({}),
        };
        let mut config = json!({
            "admin": {"address": address(0)},
            "node": {"id": "test", "cluster": "test", "metadata": metadata},
            "stats_config": {"stats_tags": tags},
            "stats_flush_interval": if self.measured { "5s" } else { "0.1s" },
            "static_resources": {
                "listeners": self.listeners(),
                "clusters": if self.dynamic { Vec::new() } else { self.clusters() },
            },
        });
        if self.dynamic {
            config["dynamic_resources"] = pool::dynamic_resources(self.home);
        }
        if Host::of_module(self.module) == Host::Native {
            // Stats have only the module's names, without the prefixes of Envoy and the module.
            config["layered_runtime"] = json!({"layers": [{"name": "static", "static_layer": {
                "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": true,
            }}]});
        }
        config
    }
}
