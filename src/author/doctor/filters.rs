//! Checks of the chain of HTTP filters.

use super::Report;
use super::listeners::clusters;
use super::proxy::{
    HttpFilter, HttpManager, MCP_ROUTER, Members, ModuleFile, Proxy, Role, list, opened,
};
use crate::diag::Severity;
use crate::policy::HeaderMode;
use serde_json::Value;

/// Returns whether a decompressor decompresses one direction. By default, Envoy decompresses both.
fn unpacks(filter: &HttpFilter, direction: &str) -> bool {
    filter.kind.ends_with("Decompressor")
        && filter
            .config
            .at(&format!("/{direction}/common_config/enabled/default_value"))
            != false
}

pub(super) fn late_decompressor(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    for filter in manager.behind() {
        if unpacks(filter, "request_direction_config") {
            report.add(
                format!("{}, filter {}", manager.place(), filter.name),
                "decompresses requests after AgentGuard, which denies compressed ones (AG2005)",
                format!(
                    "http_filters:\n- name: {}      # before agentguard\n- name: agentguard",
                    filter.name
                ),
            );
        }
    }
}

pub(super) fn response_decompressor(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    if manager.agentguard().is_none() {
        return;
    }
    for filter in &manager.filters {
        if unpacks(filter, "response_direction_config") {
            report.add(
                format!("{}, filter {}", manager.place(), filter.name),
                "decompresses responses: Envoy then never ends the body, so that responses that are held hang",
                "response_direction_config:\n  common_config:\n    enabled: { default_value: false, runtime_key: decompress_responses }",
            );
        }
    }
}

pub(super) fn late_authentication(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    for filter in manager.behind() {
        if [
            "JwtAuthentication",
            "OAuth2",
            "ExtAuthz",
            "BasicAuth",
            "ApiKeyAuth",
        ]
        .iter()
        .any(|kind| filter.kind.ends_with(kind))
        {
            report.add(
                format!("{}, filter {}", manager.place(), filter.name),
                "authenticates after AgentGuard, which then knows no verified claims and inspects requests that would be denied",
                format!("http_filters:\n- name: {}      # before agentguard\n- name: agentguard", filter.name),
            );
        }
    }
}

/// Filter state in which a native module finds the claims that `jwt_authn` has verified. Envoy tells a module no nested metadata.
pub const CLAIMS_FOR_MODULE: &str = "agentguard.jwt_authn";

/// Reports a native module that gets no claims, although its policy reads those of the tokens that a filter before it verifies.
pub(super) fn claims_not_handed(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    let mut verifies = false;
    let mut hands = false;
    for filter in &manager.filters {
        let sets = list(filter.config.at("/on_request_headers"));
        // What is set before the token is verified has no claims.
        hands |= verifies
            && sets
                .into_iter()
                .any(|set| set.at("/object_key") == CLAIMS_FOR_MODULE);
        verifies |= filter.kind.ends_with("JwtAuthentication");
        let reads = |filter: &HttpFilter| {
            let policy = filter.valid_policy();
            policy.is_some_and(|policy| policy.document.reads_tokens())
        };
        if filter.is_native()
            && filter.role == Role::AgentGuard
            && verifies
            && !hands
            && reads(filter)
        {
            report.add(
                format!("{}, filter {}", manager.place(), filter.name),
                "reads the claims of tokens, and Envoy tells a native module none of what jwt_authn has verified: nobody has a token",
                format!(
                    "http_filters:\n- name: envoy.filters.http.set_filter_state      # between jwt_authn and agentguard\n  typed_config:\n    \
                     \"@type\": type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config\n    on_request_headers:\n    \
                     - object_key: {CLAIMS_FOR_MODULE}\n      factory_key: envoy.string\n      format_string: {{ text_format_source: \
                     {{ inline_string: \"%DYNAMIC_METADATA(envoy.filters.http.jwt_authn)%\" }} }}"
                ),
            );
        }
    }
}

/// Ends of the types of filters that can change a message's body or its destination.
const CHANGERS: [&str; 13] = [
    "Lua",
    "ExternalProcessor",
    "Wasm",
    "DynamicModuleFilter",
    "golang.v3alpha.Config",
    "GrpcJsonTranscoder",
    "GrpcJsonReverseTranscoder",
    "grpc_http1_reverse_bridge.v3.FilterConfig",
    "TransformConfig",
    "aws_lambda.v3.Config",
    "McpJsonRestBridge",
    MCP_ROUTER,
    "ProtoApiScrubberConfig",
];

pub(super) fn change_after_inspection(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    let mut tell = |kind: &str, place: String, name: &str, fix: &str| {
        if CHANGERS.iter().any(|changer| kind.ends_with(changer)) {
            let fix = match kind.ends_with(MCP_ROUTER) {
                true => "# Envoy has it last, and it takes the server's name off a tool's:\nrules:\n- match: { tool: \"*__delete\" }      # the names that clients send".to_owned(),
                false => format!("http_filters:\n- name: {name}      # {fix}\n- name: agentguard"),
            };
            report.add(place, "can change requests after they were inspected", fix);
        }
    };
    for filter in manager.behind() {
        if filter.role == Role::Other {
            let place = format!("{}, filter {}", manager.place(), filter.name);
            tell(&filter.kind, place, &filter.name, "before agentguard");
        }
    }
    if manager.agentguard().is_none() {
        return;
    }
    // Upstream filters run after all filters of the listener: a router has them for all its clusters, or a cluster for itself.
    let routers = manager.filters.iter().map(|filter| {
        let own = filter.config.at("/upstream_http_filters");
        (format!("{}, filter {}", manager.place(), filter.name), own)
    });
    let clusters = clusters(proxy, manager)
        .into_iter()
        .flat_map(|(name, cluster)| {
            let options = cluster.at("/typed_extension_protocol_options").as_object();
            let options = options.into_iter().flat_map(|options| options.values());
            options.map(move |options| (format!("cluster {name}"), options.at("/http_filters")))
        });
    for (place, filters) in routers.chain(clusters) {
        for filter in list(filters) {
            let (kind, _) = opened(filter.at("/typed_config"));
            let name = filter.at("/name").as_str().unwrap_or("without name");
            let place = format!("{place}, upstream filter {name}");
            tell(kind, place, name, "in the listener, before agentguard");
        }
    }
}

/// Oldest Envoy that the filter is tested with, and oldest one for its native module.
const OLDEST_ENVOY: (u64, u64) = (1, 36);
const OLDEST_ENVOY_NATIVE: (u64, u64) = (1, 38);

pub(super) fn old_envoy(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    let Some(version) = proxy.version() else {
        return;
    };
    for filter in ours(manager) {
        let (oldest, what) = match filter.is_native() {
            true => (OLDEST_ENVOY_NATIVE, "native module"),
            false => (OLDEST_ENVOY, "filter"),
        };
        if version >= oldest {
            continue;
        }
        let ((major, minor), (oldest_major, oldest_minor)) = (version, oldest);
        let other = match filter.is_native() && version >= OLDEST_ENVOY {
            true => {
                ", or build for its Wasm runtime:\nagentguard build POLICY --for envoy --host wasm"
            }
            false => "",
        };
        report.add(
            format!("{}, filter {}", manager.place(), filter.name),
            format!("runs in Envoy {major}.{minor}; the {what} is for {oldest_major}.{oldest_minor} and newer"),
            format!("upgrade Envoy to {oldest_major}.{oldest_minor} or newer{other}"),
        );
    }
}

/// Returns the filters of the policy and of the kill list.
fn ours(manager: &HttpManager) -> impl Iterator<Item = &HttpFilter> {
    manager
        .filters
        .iter()
        .filter(|filter| filter.role != Role::Other)
}

pub(super) fn fail_open(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    for filter in ours(manager) {
        let place = format!("{}, filter {}", manager.place(), filter.name);
        let plugin = filter.plugin();
        let on_failure = plugin.at("/failure_policy");
        // Envoy reads the number of an enum's value as well as its name.
        if on_failure == "FAIL_OPEN" || on_failure == 3 || plugin.at("/fail_open") == true {
            report.add(
                &*place,
                "lets traffic pass uninspected when the module fails",
                "config:\n  failure_policy: FAIL_RELOAD",
            );
        }
        if filter.is_native() && filter.code().at("/remote").is_object() {
            report.add(
                &*place,
                format!(
                    "is fetched from {}: while Envoy can't, traffic passes uninspected",
                    filter.module()
                ),
                "module:\n  local: { filename: /usr/lib/agentguard/libagentguard.so }",
            );
        }
        if filter.entry.at("/is_optional") == true {
            report.add(
                &*place,
                "is optional: an Envoy without Wasm runs without it",
                format!("- name: {}\n  is_optional: false", filter.name),
            );
        }
        // If only some routes enable it, AG6009 reports the others.
        let is_enabled = manager
            .forwarding(proxy)
            .any(|route| route.enables(filter) == Some(true));
        if filter.is_off() && !is_enabled {
            report.add(
                &*place,
                "is disabled unless a route enables it: requests without such a route pass uninspected",
                format!("- name: {}\n  disabled: false", filter.name),
            );
        }
        let discovery = filter.entry.at("/config_discovery");
        let default = discovery.at("/default_config");
        if default.is_object()
            && !default
                .at("/@type")
                .as_str()
                .is_some_and(|kind| kind.ends_with("RBAC"))
        {
            report.add(
                &*place,
                "has a default configuration that is in force until the discovered one arrives",
                "config_discovery:\n  # without default_config, Envoy answers 500 until the filter is there",
            );
        }
    }
}

pub(super) fn unpinned_module(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    for filter in ours(manager) {
        let remote = filter.code().at("/remote");
        let is_pinned = remote.at("/sha256").as_str().is_some_and(|digest| {
            digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
        }) || filter.module().contains("@sha256:");
        if remote.is_object() && !is_pinned {
            report.add(
                format!("{}, filter {}", manager.place(), filter.name),
                format!("fetches its module from {} without a digest: whoever answers there decides what runs", filter.module()),
                "code:\n  remote:\n    sha256: …      # sha256sum agentguard.wasm",
            );
        }
    }
}

/// Reports routes whose requests pass two policies. The filter state of an exchange has room for one audit event.
pub(super) fn second_policy(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    let mut tell = |place: String, enables: &dyn Fn(&HttpFilter) -> Option<bool>| {
        let runs = |filter: &&HttpFilter| enables(filter).unwrap_or(!filter.is_off());
        let names: Vec<&str> = manager
            .policies()
            .filter(runs)
            .map(|filter| &*filter.name)
            .collect();
        if names.len() > 1 {
            report.add(
                place,
                format!(
                    "runs {}, and an exchange has one audit event: what one of them denies can leave that of another",
                    names.join(" and ")
                ),
                "# one filter, with both policies as documents of one set:\nkind: AgentPolicySet\npolicies: [ … ]",
            );
        }
    };
    let mut routes = manager.forwarding(proxy).peekable();
    let forwards = manager.has_unknown_routes || manager.filters.iter().any(HttpFilter::forwards);
    if routes.peek().is_none() && forwards {
        tell(manager.place(), &|_| None);
    }
    for route in routes {
        tell(format!("{}, {}", manager.place(), route.place), &|filter| {
            route.enables(filter)
        });
    }
}

/// Reports caches before the policy's filter. Envoy's cache sends requests upstream by itself, past all later filters.
pub(super) fn early_cache(proxy: &Proxy, manager: &HttpManager, report: &mut Report) {
    let Some(ours) = manager.agentguard() else {
        return;
    };
    let before = manager
        .filters
        .iter()
        .take_while(|filter| filter.name != ours.name);
    for filter in before {
        let is_cache = ["cache.v3.CacheConfig", "cache_v2.v3.CacheV2Config"]
            .iter()
            .any(|kind| filter.kind.ends_with(kind));
        let runs = !filter.is_off()
            || manager
                .forwarding(proxy)
                .any(|route| route.enables(filter) == Some(true));
        if is_cache && runs {
            report.add(
                format!("{}, filter {}", manager.place(), filter.name),
                "answers and fetches before AgentGuard: what can be cached passes uninspected",
                format!(
                    "http_filters:\n- name: agentguard\n- name: {}      # behind agentguard",
                    filter.name
                ),
            );
        }
    }
}

pub(super) fn upgrade_around(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    let Some(ours) = manager.agentguard() else {
        return;
    };
    for upgrade in list(manager.config.at("/upgrade_configs")) {
        let mut filters = list(upgrade.at("/filters")).peekable();
        if filters.peek().is_some()
            && !filters.any(|filter| filter.at("/name") == ours.name.as_str())
        {
            let kind = upgrade.at("/upgrade_type").as_str().unwrap_or_default();
            report.add(
                format!("{}, upgrade {kind}", manager.place()),
                "has filters of its own without AgentGuard: what is sent over such a connection passes uninspected",
                format!("upgrade_configs:\n- upgrade_type: {kind}      # without filters: those of the manager"),
            );
        }
    }
}

pub(super) fn held_without_flag(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    for filter in ours(manager) {
        let Some(policy) = filter.valid_policy() else {
            continue;
        };
        // A native module needs no flag.
        let is_allowed =
            filter.is_native() || filter.plugin().at("/allow_on_headers_stop_iteration") == true;
        if policy.document.headers == HeaderMode::Hold && !is_allowed {
            report.add(
                format!("{}, filter {}", manager.place(), filter.name),
                "holds headers by its policy, and Envoy does not let it: each request waits ten seconds and gets AG9002",
                "config:\n  allow_on_headers_stop_iteration: true",
            );
        }
    }
}

pub(super) fn no_policy(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    for filter in manager.policies() {
        without_policy(manager, filter, report);
    }
    for filter in ours(manager) {
        without_module(manager, filter, report);
    }
}

/// Reports updates that a running Envoy rejected. The previous configuration is in force.
pub(super) fn rejected_update(proxy: &Proxy, report: &mut Report) {
    for (place, why) in &proxy.rejected {
        report.add(
            &**place,
            format!("its last update was rejected, and the one before is in force: {why}"),
            "# agentguard validate policy.yaml, then build it again",
        );
    }
}

/// Reports a module's file that Envoy can't load.
fn without_module(manager: &HttpManager, filter: &HttpFilter, report: &mut Report) {
    let (fitting, kind, fix) = match filter.is_native() {
        true => (
            ModuleFile::SharedObject,
            "shared object",
            "module:\n  local: { filename: /usr/lib/agentguard/libagentguard.so }",
        ),
        false => (
            ModuleFile::Wasm,
            "WebAssembly module",
            "code:\n  local: { filename: /etc/agentguard/agentguard.wasm }",
        ),
    };
    let what = match filter.module_file {
        ModuleFile::Unknown => return,
        file if file == fitting => return,
        ModuleFile::Missing => "there is no such file".to_owned(),
        _ => format!("this is no {kind}"),
    };
    report.add(
        format!("{}, filter {}", manager.place(), filter.name),
        format!(
            "has its module in {}, and {what}: Envoy does not start, or denies everything",
            filter.module()
        ),
        fix,
    );
}

/// Reports a filter without a policy, or with one that the filter rejects.
fn without_policy(manager: &HttpManager, filter: &HttpFilter, report: &mut Report) {
    let place = format!("{}, filter {}", manager.place(), filter.name);
    let build = "# agentguard build policy.yaml --for envoy --output filter.json";
    if filter.config.is_null() {
        report.add(
            place,
            "is discovered, and its configuration is not there: Envoy answers 500",
            build,
        );
        return;
    }
    let Some(loaded) = &filter.policy else {
        report.add(
            place,
            "has no configuration, so that Envoy rejects it",
            build,
        );
        return;
    };
    let errors = loaded
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error);
    for error in errors.take(3) {
        report.add(&*place, format!("its policy is rejected: {error}"), build);
    }
    let Some(policy) = loaded.policy.as_ref().filter(|_| !filter.is_native()) else {
        return;
    };
    // A module sees only the environment variables that are passed to it.
    let variables = filter.plugin().at("/vm_config/environment_variables");
    let is_handed = |name: &str| {
        list(variables.at("/host_env_keys")).any(|key| key == name)
            || variables.at("/key_values").get(name).is_some()
    };
    let mut missing = policy.document.secret_names();
    missing.retain(|name| !is_handed(name));
    if !missing.is_empty() {
        let names = missing.join(", ");
        report.add(
            place,
            format!("its policy is rejected: Envoy does not hand it the environment variables that it reads: {names}"),
            format!("vm_config:\n  environment_variables: {{ host_env_keys: [{names}] }}"),
        );
    }
}

/// Returns the settings that must be equal for two filters to run in one VM, or natively in one
/// loaded module.
fn vm(filter: &HttpFilter) -> [&Value; 5] {
    let vm = filter.plugin().at("/vm_config");
    [
        filter.code(),
        filter.config.at("/dynamic_module_config/name"),
        vm.at("/vm_id"),
        vm.at("/configuration"),
        vm.at("/environment_variables"),
    ]
}

pub(super) fn kill_filter(_: &Proxy, manager: &HttpManager, report: &mut Report) {
    let position = |role| {
        manager
            .filters
            .iter()
            .position(|filter| filter.role == role)
    };
    let (Some(kill), Some(policy)) = (position(Role::Kill), position(Role::AgentGuard)) else {
        return;
    };
    let place = format!("{}, kill list", manager.place());
    if kill > policy {
        report.add(
            &*place,
            "is after the policy's filter, whose requests have then passed already",
            "http_filters:\n- name: agentguard-kill\n- name: agentguard",
        );
    }
    let filters = (manager.filters.get(kill), manager.filters.get(policy));
    if let (Some(kill), Some(policy)) = filters
        && !kill.config.is_null()
        && !policy.config.is_null()
        && vm(kill) != vm(policy)
    {
        report.add(
            place,
            "runs in another VM than the policy, which can't see it: everything is denied (AG9003)",
            "# the same vm_id, code, configuration and environment_variables in both:\n# agentguard build kill.yaml --for envoy --beside policy.yaml --wasm …",
        );
    }
}
