//! `agentguard build POLICY --for …`: writes the configuration for a proxy.

mod envoy_gateway;
mod health;
mod helm;
mod image;
mod istio;
mod kubernetes;
mod manifest;
mod mesh;
mod native;
#[cfg(test)]
mod tests;

pub(super) use mesh::MeshOptions;

use super::source::Source;
use super::test::failing_examples;
use super::{ExitStatus, Failed, output};
use crate::author::{KillDocument, is_kill_list};
use crate::detect::{Confidence, Scanner, Scratch, Selection, report};
use crate::diag::codes;
use crate::metrics::{label_names, tag_pattern};
use crate::policy::{Document, HeaderMode, KillTarget, Member, Node, NodeValue, Zones, load_json};
use clap::builder::NonEmptyStringValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use mesh::Kind;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// Arguments of `build`.
#[derive(Debug, Args)]
pub(super) struct Build {
    /// The policy, or a kill list.
    policy: String,
    /// The output format.
    #[arg(long = "for", value_enum)]
    target: Target,
    /// Write this file instead of printing. The file is replaced atomically by renaming, as Envoy's watched folders
    /// require. A policy with an error leaves the file unchanged.
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
    /// Build although rules ask for callers that no source in `principals` provides, or for approvals that no approver can give: these rules
    /// deny.
    #[arg(long)]
    fail_closed: bool,
    /// Path of the filter's module for the proxy.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/etc/agentguard/agentguard.wasm", value_parser = NonEmptyStringValueParser::new())]
    wasm: String,
    /// With `--for envoy` and `--for envoy-gateway`: what runs the filter in the proxy.
    #[arg(long, value_enum, default_value_t = Host::Wasm)]
    host: Host,
    /// With `--host native`: path of the filter's shared object for the proxy.
    #[arg(long, value_name = "PATH", default_value = native::DEFAULT_MODULE, value_parser = NonEmptyStringValueParser::new())]
    module: String,
    /// With `--for envoy`: a complete Envoy configuration instead of the resource for extension discovery.
    #[arg(long)]
    bootstrap: bool,
    /// With `--bootstrap`: the address Envoy listens on.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:10000",
        requires = "bootstrap"
    )]
    listen: String,
    /// With `--bootstrap` and for k8s: the upstream URL.
    #[arg(long, value_name = "URL", default_value = "https://api.openai.com")]
    upstream: String,
    /// With `--bootstrap` and for k8s: the proxy's file of CA certificates that verify an `https` upstream.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/etc/ssl/certs/ca-certificates.crt", value_parser = NonEmptyStringValueParser::new())]
    trusted_ca: String,
    /// With `--bootstrap` and for k8s: the address of Envoy's admin interface.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9901")]
    admin: String,
    /// With `--bootstrap` and for k8s: the address of a listener that answers /live, /health, /ready and /stats.
    #[arg(long, value_name = "ADDRESS:PORT")]
    health: Option<String>,
    /// With `--bootstrap`: watch this file (written by `--for envoy`) instead of embedding the policy, so that the
    /// policy can be replaced while Envoy runs.
    #[arg(long, value_name = "PATH", requires = "bootstrap", value_parser = NonEmptyStringValueParser::new())]
    watch: Option<String>,
    /// With `--bootstrap` and for k8s: the file for audit events.
    #[arg(long, value_name = "PATH", default_value = "/dev/stdout", value_parser = NonEmptyStringValueParser::new())]
    audit_log: String,
    /// With `--bootstrap`: watch this kill list (written by `build KILL.yaml --for envoy`), which `agentguard kill`
    /// changes.
    #[arg(long, value_name = "PATH", requires = "bootstrap", value_parser = NonEmptyStringValueParser::new())]
    kill_list: Option<String>,
    /// For a kill list: the policy that stands beside it. Both run in one VM, which gets its environment variables
    /// from the filter that is created first.
    #[arg(long, value_name = "POLICY")]
    beside: Option<String>,
    #[command(flatten)]
    mesh: MeshOptions,
}

/// Targets whose output is Kubernetes manifests.
const IN_CLUSTERS: &[Target] = &[
    Target::K8s,
    Target::Istio,
    Target::Helm,
    Target::EnvoyGateway,
];

/// Targets for which a proxy downloads the module.
const MESHES: &[Target] = &[Target::Istio, Target::Helm, Target::EnvoyGateway];

/// Options that affect only some targets. `--host native`, and options that require another one, are rejected elsewhere.
const ONLY_FOR: &[(&str, &[Target])] = &[
    ("image", IN_CLUSTERS),
    ("name", IN_CLUSTERS),
    ("namespace", IN_CLUSTERS),
    ("sha256", MESHES),
    ("pull_secret", IN_CLUSTERS),
    // For k8s and Envoy Gateway, their own messages say more.
    ("selector", IN_CLUSTERS),
    ("gateway", IN_CLUSTERS),
    ("kind", IN_CLUSTERS),
    ("context", &[Target::Istio, Target::Helm]),
    ("client_ca", &[Target::EnvoyGateway]),
    ("jwt_issuer", &[Target::EnvoyGateway]),
    ("jwks", &[Target::EnvoyGateway]),
    ("listener", &[Target::EnvoyGateway]),
    ("proxy_namespace", &[Target::EnvoyGateway]),
    ("module", &[Target::Envoy, Target::EnvoyGateway]),
    ("wasm", &[Target::Envoy, Target::K8s]),
    ("upstream", &[Target::Envoy, Target::K8s]),
    ("trusted_ca", &[Target::Envoy, Target::K8s]),
    ("admin", &[Target::Envoy, Target::K8s]),
    ("health", &[Target::Envoy, Target::K8s]),
    ("audit_log", &[Target::Envoy, Target::K8s]),
];

/// Options that with `--for envoy` affect only a complete configuration.
const ONLY_BOOTSTRAP: [&str; 5] = ["upstream", "trusted_ca", "admin", "health", "audit_log"];

/// Options that for Envoy Gateway affect only what `--kind EnvoyPatchPolicy` writes.
const ONLY_PATCHES: [&str; 2] = ["listener", "proxy_namespace"];

/// Options that affect the configuration of a kill list. The others are for policies.
const FOR_KILL_LISTS: [&str; 7] = [
    "policy", "target", "output", "wasm", "host", "module", "beside",
];

/// Rejects an option that has no effect.
fn refuse_option(id: &str, needs: &str) -> Result<(), Failed> {
    let option = id.replace('_', "-");
    Err(output::print_misused(&format!(
        "--{option} changes nothing here: it is for {needs}"
    )))
}

/// Returns whether an option is on the command line.
fn is_given(given: &ArgMatches, id: &str) -> bool {
    // Options of the whole command are not among those of `build`.
    let is_known = given.try_contains_id(id).is_ok();
    is_known && given.value_source(id) == Some(ValueSource::CommandLine)
}

/// Policy in the form that the filter reads.
struct Built<'p> {
    /// Name of the policy.
    name: &'p str,
    /// Version of the policy.
    version: &'p str,
    /// JSON text.
    document: &'p str,
    /// The JSON as a tree.
    policy: Value,
    /// Whether headers are held.
    holds: bool,
    /// Environment variables that the policy reads.
    keys: Vec<&'p str>,
    /// Bytes that the proxy must be able to hold of a message.
    buffer: u64,
    /// Whether a decision depends on the client's address.
    asks_for_address: bool,
    /// Whether the policy reads the claims of tokens.
    reads_tokens: bool,
}

impl Built<'_> {
    /// Returns the policy's name for a comment, without line breaks, which would end the comment.
    fn shown_name(&self) -> String {
        output::visible(self.name)
    }

    /// Notes for a target without buffers that the policy needs larger ones than a configuration from elsewhere probably has.
    fn note_buffer(&self) {
        let bytes = self.buffer;
        if bytes > BUFFER_LIMIT {
            output::note(&format!(
                "agentguard: note: the policy inspects bodies of up to {bytes} bytes, and what is written here sets no buffers of Envoy: the \
                 listener and the cluster need `per_connection_buffer_limit_bytes: {bytes}` ({})",
                codes::AG6010
            ));
        }
    }
}

/// Warns if the list stops agents whose names are supplied by the client: an agent evades it by another name.
fn warn_of_claimed_agents(list: &KillDocument, policy: &Document) {
    let mut kills = list.list.kills.iter();
    let Some((_, source)) = policy.claimed_agents().next() else {
        return;
    };
    if kills.any(|kill| kill.target == KillTarget::Agents) {
        output::note(&format!(
            "warning[{}]: the list stops agents, and source `{}` of the policy knows them by a header only",
            codes::AG1132,
            source.name
        ));
    }
}

/// Name of the policy's filter, and of the kill list's.
const FILTER: &str = "agentguard";
const KILL_FILTER: &str = "agentguard-kill";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// The policy as JSON, the format of the filter.
    Json,
    /// A resource for Envoy's file-based extension discovery, or with `--bootstrap` a complete Envoy configuration.
    Envoy,
    /// Manifests for Kubernetes without a mesh: Envoy with the filter.
    K8s,
    /// Manifests for Istio: the filter, buffers, audit events, labels of metrics.
    Istio,
    /// Values for the Helm chart with the manifests for Istio: deploy/helm/agentguard.
    Helm,
    /// Manifests for Envoy Gateway: the filter, buffers, audit events, labels of metrics.
    EnvoyGateway,
}

/// What runs the filter in the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Host {
    /// The proxy's Wasm runtime, a sandbox: any Envoy from 1.36, Istio, Envoy Gateway.
    Wasm,
    /// The proxy's own process, which loads a shared object: Envoy from 1.38. Less CPU and memory, no sandbox.
    Native,
}

impl Host {
    /// Returns the type of the filter's configuration.
    fn filter_type(self) -> &'static str {
        match self {
            Host::Wasm => "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            Host::Native => native::FILTER_TYPE,
        }
    }
}

impl Build {
    /// Rejects options that would have no effect: a user who gives `--client-ca` expects that certificates are required.
    pub(super) fn refuse_other_options(&self, given: Option<&ArgMatches>) -> Result<(), Failed> {
        if self.bootstrap && self.target != Target::Envoy {
            return Err(output::print_misused("--bootstrap is for `--for envoy`"));
        }
        if self.host == Host::Native && !matches!(self.target, Target::Envoy | Target::EnvoyGateway)
        {
            return Err(output::print_misused(
                "--host native is for `--for envoy` and `--for envoy-gateway`",
            ));
        }
        let Some(given) = given else { return Ok(()) };
        let is_given = |id: &str| is_given(given, id);
        let refuse = refuse_option;
        let word = |target: &Target| {
            let value = target.to_possible_value();
            value.map_or_else(String::new, |value| format!("`--for {}`", value.get_name()))
        };
        for (id, targets) in ONLY_FOR {
            if is_given(id) && !targets.contains(&self.target) {
                let words: Vec<String> = targets.iter().map(word).collect();
                return refuse(id, &words.join(", "));
            }
        }
        for id in ONLY_BOOTSTRAP {
            if is_given(id) && self.target == Target::Envoy && !self.bootstrap {
                return refuse(id, "`--bootstrap`");
            }
        }
        for id in ONLY_PATCHES {
            if is_given(id) && self.mesh.kind != Some(Kind::EnvoyPatchPolicy) {
                return refuse(id, "`--kind EnvoyPatchPolicy`");
            }
        }
        match self.host {
            Host::Native if is_given("wasm") => refuse(
                "wasm",
                "`--host wasm`; a shared object is named by `--module`",
            ),
            Host::Wasm if is_given("module") => refuse("module", "`--host native`"),
            _ => Ok(()),
        }
    }

    pub(super) fn run(&self, json: bool, given: Option<&ArgMatches>) -> Result<ExitStatus, Failed> {
        self.refuse_other_options(given)?;
        self.refuse_url()?;
        self.refuse_source()?;
        let read = Source::read(&self.policy)?;
        if read.root.as_ref().is_some_and(is_kill_list) {
            return self.build_kill_list(&read, json, given);
        }
        if self.beside.is_some() {
            refuse_option("beside", "a kill list")?;
        }
        let (written, name, version) = self.build_policy(read)?;
        let summary = json!({"file": self.output, "policy": name, "version": version});
        self.write(
            &written,
            json,
            &summary,
            &format!("policy {name} {version}"),
        )
    }

    /// Returns whether an option is one of `build`, and not of every command.
    fn has_option(id: &str) -> bool {
        let command = Build::augment_args(clap::Command::new("build"));
        command
            .get_arguments()
            .any(|argument| argument.get_id() == id)
    }

    /// Rejects a URL as the module's path: Envoy would look for a file of that name.
    fn refuse_url(&self) -> Result<(), Failed> {
        match self.wasm.contains("://") {
            false => Ok(()),
            true => Err(output::print_misused(&format!(
                "--wasm {}: write the path of a file, which the proxy reads; download the module first",
                output::without_password(&self.wasm)
            ))),
        }
    }

    /// Rejects the source as the output: its comments and examples would be lost.
    fn refuse_source(&self) -> Result<(), Failed> {
        let place = |name: &str| std::fs::canonicalize(name).ok();
        let output = self.output.as_deref().filter(|name| *name != output::STDIN);
        match output.and_then(place) {
            Some(written) if Some(&written) == place(&self.policy).as_ref() => {
                Err(output::print_misused(&format!(
                    "--output {}: this is what is built; name another file",
                    output::visible(&written.to_string_lossy())
                )))
            }
            _ => Ok(()),
        }
    }

    /// Returns the output for a policy, its name and its version.
    pub(super) fn build_policy(&self, read: Source) -> Result<(String, String, String), Failed> {
        let mut source = read.compiled();
        source.policy()?;
        Build::refuse_failing_examples(&source)?;
        source.require_provided(self.fail_closed);
        let missing: Vec<String> = source.loaded.errors().map(ToString::to_string).collect();
        if !missing.is_empty() {
            for message in &missing {
                output::print_error(message);
            }
            return Err(output::print_error(&format!(
                "{} asks for callers or approvals that nothing in it provides; see `agentguard validate --for envoy {}`",
                self.policy, self.policy
            )));
        }
        source.warn_of_unprovided();
        let policy = source.policy()?;
        let Some(root) = &source.root else {
            return Err(output::print_error("the policy could not be read"));
        };
        let root = with_zones(without_examples(root), &policy.zones);
        refuse_secrets(&root)?;
        let mut document = Vec::new();
        root.write_json(&mut document);
        let document = String::from_utf8_lossy(&document).into_owned();
        refuse_what_the_filter_refuses(&document)?;
        let keys: Vec<&str> = policy.document.secret_names();
        if self.host == Host::Native {
            native::refuse_unprovided(policy)?;
        }
        let holds = policy.document.headers == HeaderMode::Hold;
        let filter = self.filter(FILTER, &document, holds, &keys);
        let built = Built {
            name: &policy.document.name,
            version: &policy.version,
            policy: serde_json::from_str(&document)
                .map_err(|error| output::print_error(&error.to_string()))?,
            document: &document,
            holds,
            keys,
            buffer: BUFFER_LIMIT.max(policy.document.inspect.max_body),
            asks_for_address: policy.document.asks_for_address(),
            reads_tokens: policy.document.reads_tokens(),
        };
        let written = match self.target {
            Target::Json => {
                built.note_buffer();
                document.clone()
            }
            Target::Envoy if self.bootstrap => pretty(&self.bootstrap(&filter, &built)?),
            Target::Envoy => {
                built.note_buffer();
                pretty(&discovery(FILTER, &filter, &policy.version))
            }
            Target::K8s => self.manifests(kubernetes::manifests(self, &built, &filter)?)?,
            Target::Istio => {
                mesh::refuse_inexact_numbers(&root, "")?;
                self.manifests(istio::manifests(&built, &self.mesh)?)?
            }
            Target::Helm => {
                mesh::refuse_inexact_numbers(&root, "")?;
                self.manifests(helm::values(&built, &self.mesh)?)?
            }
            Target::EnvoyGateway => {
                mesh::refuse_inexact_numbers(&root, "")?;
                self.manifests(envoy_gateway::manifests(self, &built)?)?
            }
        };
        let name = policy.document.name.to_string();
        Ok((written, name, policy.version.to_string()))
    }

    /// Rejects a policy that decides its own examples differently, which is an error for `validate` too.
    fn refuse_failing_examples(source: &Source) -> Result<(), Failed> {
        let Some(root) = &source.root else {
            return Ok(());
        };
        let failing = failing_examples(source.policy()?, root);
        match failing.is_empty() {
            true => Ok(()),
            false => Err(source.print_invalid(failing.iter())),
        }
    }

    /// Checks the size of manifests. The last line end is added with the file.
    fn manifests(&self, manifests: String) -> Result<String, Failed> {
        let file = self.output.as_deref().unwrap_or("FILE");
        // Helm installs its manifests itself, and writes no annotation.
        let applied = (self.target != Target::Helm).then_some(file);
        mesh::check_size(&manifests, applied)?;
        Ok(manifests.trim_end().to_owned())
    }

    /// Returns the configuration of a filter.
    fn filter(&self, name: &str, document: &str, holds: bool, keys: &[&str]) -> Value {
        match self.host {
            Host::Wasm => wasm_filter(name, document, &local(&self.wasm), holds, keys),
            Host::Native => native::filter(name, document, &self.module),
        }
    }

    /// Builds the configuration of the kill filter.
    fn build_kill_list(
        &self,
        source: &Source,
        json: bool,
        given: Option<&ArgMatches>,
    ) -> Result<ExitStatus, Failed> {
        if self.bootstrap {
            return Err(output::print_misused(
                "--bootstrap is for policies; `--kill-list PATH` adds the kill filter to theirs",
            ));
        }
        if !matches!(self.target, Target::Json | Target::Envoy) {
            return Err(output::print_misused(
                "a kill list is built `--for envoy`, as a file that Envoy watches, or `--for json`",
            ));
        }
        let ids = given.into_iter().flat_map(|given| {
            let ids = given.ids().map(clap::Id::as_str);
            ids.filter(|id| is_given(given, id) && Build::has_option(id))
        });
        if let Some(id) = ids.into_iter().find(|id| !FOR_KILL_LISTS.contains(id)) {
            refuse_option(id, "policies")?;
        }
        let document = KillDocument::read(&source.text).map_err(|errors| {
            for error in &errors {
                output::print_error(&format!("{}: {error}", self.policy));
            }
            Failed
        })?;
        let beside = self.beside.as_deref().map(Source::open).transpose()?;
        let keys = match &beside {
            Some(source) => {
                let policy = &source.policy()?.document;
                warn_of_claimed_agents(&document, policy);
                policy.secret_names()
            }
            None => Vec::new(),
        };
        let mut text = Vec::new();
        if let Some(root) = &source.root {
            root.write_json(&mut text);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let built = match self.target {
            Target::Json => text,
            _ => pretty(&discovery(
                KILL_FILTER,
                &self.filter(KILL_FILTER, &text, false, &keys),
                &document.list.generation.to_string(),
            )),
        };
        let summary = json!({"file": self.output, "generation": document.list.generation});
        let told = format!("kill list generation {}", document.list.generation);
        self.write(&built, json, &summary, &told)
    }

    /// Prints the output, or writes it to the file of `--output` and prints a summary.
    fn write(
        &self,
        built: &str,
        json: bool,
        summary: &Value,
        told: &str,
    ) -> Result<ExitStatus, Failed> {
        match self.output.as_deref() {
            None | Some(output::STDIN) => output::verbatim_line(built),
            Some(file) => {
                output::replace_watched_file(file, format!("{built}\n").as_bytes())?;
                match json {
                    true => output::json_line(&summary.to_string()),
                    false => output::line(&format!("{file}: {told}")),
                }
            }
        }
        Ok(ExitStatus::Clean)
    }

    fn bootstrap(&self, filter: &Value, built: &Built<'_>) -> Result<Value, Failed> {
        self.bootstrap_with(filter, self.watch.as_deref(), &self.listen, built)
    }

    /// Returns a complete configuration of Envoy.
    fn bootstrap_with(
        &self,
        filter: &Value,
        watch: Option<&str>,
        listen: &str,
        built: &Built<'_>,
    ) -> Result<Value, Failed> {
        let upstream = Upstream::parse(&self.upstream).ok_or_else(|| {
            output::print_misused(&format!(
                "--upstream {}: write http(s)://HOST[:PORT], with an IP address or a name in letters, digits and `-` \
                 (`xn--…` for others)",
                output::without_password(&self.upstream)
            ))
        })?;
        let health = self.health.as_deref().map(|health| ("--health", health));
        let listening = [("--listen", listen), ("--admin", &self.admin)];
        refuse_one_address(listening.into_iter().chain(health))?;
        let is_any_port = |address: SocketAddr| address.port() == 0;
        if self.health.is_some() && self.admin.parse().is_ok_and(is_any_port) {
            return Err(output::print_misused(&format!(
                "--admin {}: --health offers the metrics of this address, and needs its port: write ADDRESS:PORT with a port above 0",
                self.admin
            )));
        }
        let address = |option: &str, text: &str| {
            let address = text.parse().map(socket_address).map_err(|_| {
                output::print_misused(&format!(
                    "{option} {text}: write ADDRESS:PORT, with the IP address of an interface: `127.0.0.1:10000`, `[::1]:10000`"
                ))
            })?;
            Ok(address)
        };
        let listen = address("--listen", listen)?;
        let admin = address("--admin", &self.admin)?;
        let is_local = |address: SocketAddr| address.ip().is_loopback();
        if !self.admin.parse().is_ok_and(is_local) {
            output::note(&format!(
                "agentguard: note: --admin {}: whoever reaches this address reads the policy and stops Envoy ({}); --health offers probes and \
                 metrics alone",
                self.admin,
                codes::AG6022
            ));
        }
        let agentguard = match watch {
            None => json!({"name": FILTER, "typed_config": filter}),
            Some(path) => watched(FILTER, path, self.host),
        };
        let kill_list = self.kill_list.as_deref();
        let kill_list = kill_list.map(|path| watched(KILL_FILTER, path, self.host));
        let claims = (self.host == Host::Native && built.reads_tokens).then(native::claims);
        let ours: Vec<Value> = kill_list
            .into_iter()
            .chain(claims)
            .chain([agentguard])
            .collect();
        let mut manager = connection_manager(ours, &self.audit_log, &upstream);
        if built.asks_for_address {
            believe_the_connection(&mut manager);
        }
        let mut config = json!({
            // Without a name, Envoy discovers no configuration. `--service-node` and `--service-cluster` override it.
            "node": {"id": "agentguard", "cluster": "agentguard"},
            // Envoy extracts Prometheus labels from its stats with these expressions. Without them, the labels stay in
            // the name.
            "stats_config": {"stats_tags": stats_tags()},
            "admin": {"address": admin.clone()},
            "static_resources": {
                "listeners": [{
                    "name": "agents",
                    "address": listen,
                    // Maximum body that can be held for inspection.
                    "per_connection_buffer_limit_bytes": built.buffer,
                    "filter_chains": [{"filters": [manager]}],
                }],
                "clusters": [upstream.cluster(&self.trusted_ca, built.buffer)],
            },
        });
        if let Some(health) = &self.health {
            let address = address("--health", health)?;
            // The administration filter holds a request's headers until it has evaluated the exchange in the body.
            let filter = self.filter(health::FILTER, r#"{"admin":true}"#, true, &built.keys);
            let more = [
                ("listeners", health::listener(&address, &filter)),
                ("clusters", health::admin_cluster(&admin)),
            ];
            for (list, item) in more {
                let list = config.pointer_mut(&format!("/static_resources/{list}"));
                if let Some(list) = list.and_then(Value::as_array_mut) {
                    list.push(item);
                }
            }
        }
        if let (Host::Native, Some(members)) = (self.host, config.as_object_mut()) {
            members.insert("layered_runtime".to_owned(), native::runtime());
        }
        Ok(config)
    }
}

/// Rejects a document that the filter would reject at its configuration.
fn refuse_what_the_filter_refuses(document: &str) -> Result<(), Failed> {
    let loaded = load_json(document.as_bytes());
    let mut errors = loaded.errors();
    match errors.next() {
        None => Ok(()),
        Some(error) => Err(output::print_error(&format!(
            "the filter would reject the policy: {error}"
        ))),
    }
}

/// Rejects a document that contains a key or a token: Envoy's configuration dump shows the plugin's configuration.
fn refuse_secrets(root: &Node) -> Result<(), Failed> {
    let mut selection = Selection::none();
    if selection.add("secrets", Confidence::High).is_err() {
        return Ok(());
    }
    let scanner = Scanner::new(&selection);
    let mut scratch = Scratch::default();
    let mut found = None;
    each_text(root, String::new(), &mut |path, text| {
        let mut spans = report::spans(&scanner, text, &mut scratch).into_iter();
        if let (None, Some(span)) = (&found, spans.next()) {
            found = Some(format!("{path} holds a secret ({})", span.name));
        }
    });
    match found {
        None => Ok(()),
        Some(what) => Err(output::print_error(&format!(
            "{} {what}: Envoy's configuration dump would show it; name an environment variable (`env:NAME`), \
             or for API keys write the hash (`agentguard keygen`)",
            codes::AG1025
        ))),
    }
}

/// Visits the strings of a document with their paths.
fn each_text(node: &Node, path: String, visit: &mut dyn FnMut(&str, &str)) {
    match &node.data {
        NodeValue::String(text) => visit(&path, text),
        NodeValue::List(items) => {
            for (number, item) in items.iter().enumerate() {
                each_text(item, format!("{path}[{number}]"), visit);
            }
        }
        NodeValue::Map(members) => {
            for member in members {
                let dot = if path.is_empty() { "" } else { "." };
                each_text(&member.value, format!("{path}{dot}{}", member.key), visit);
            }
        }
        _ => {}
    }
}

/// Smallest buffer that is written, 10 MiB. It exceeds the default of `inspect.max_body`; for a policy that inspects larger bodies, the
/// buffer is as large as they are. So the filter denies a large body before Envoy does.
const BUFFER_LIMIT: u64 = 10 << 20;

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Adds the time zone data that the rules need. The filter has no time zone database.
fn with_zones(mut root: Node, zones: &Zones) -> Node {
    if zones.is_empty() {
        return root;
    }
    if let NodeValue::Map(members) = &mut root.data {
        for member in members.iter_mut().filter(|member| &*member.key == "spec") {
            if let NodeValue::Map(inner) = &mut member.value.data {
                inner.retain(|member| &*member.key != "zones");
            }
        }
        members.retain(|member| &*member.key != "zones");
        members.push(Member {
            key: "zones".into(),
            key_span: 0..0,
            value: zones.to_node(),
        });
    }
    root
}

/// Removes the examples, which are for `validate` and `test`, not for the filter.
fn without_examples(root: &Node) -> Node {
    let data = match &root.data {
        NodeValue::Map(members) => NodeValue::Map(
            members
                .iter()
                .map(|member| Member {
                    value: match &*member.key {
                        "rules" => strip_rules(&member.value),
                        "spec" => without_examples(&member.value),
                        _ => member.value.clone(),
                    },
                    ..member.clone()
                })
                .collect(),
        ),
        other => other.clone(),
    };
    Node {
        span: root.span.clone(),
        data,
    }
}

fn strip_rules(rules: &Node) -> Node {
    let NodeValue::List(items) = &rules.data else {
        return rules.clone();
    };
    let items = items
        .iter()
        .map(|rule| match &rule.data {
            NodeValue::Map(members) => Node {
                span: rule.span.clone(),
                data: NodeValue::Map(
                    members
                        .iter()
                        .filter(|member| &*member.key != "examples")
                        .cloned()
                        .collect(),
                ),
            },
            _ => rule.clone(),
        })
        .collect();
    Node {
        span: rules.span.clone(),
        data: NodeValue::List(items),
    }
}

/// Returns the source of a module in a file.
fn local(wasm: &str) -> Value {
    json!({"local": {"filename": wasm}})
}

/// Returns the configuration of the Wasm filter.
fn wasm_filter(name: &str, document: &str, code: &Value, holds: bool, keys: &[&str]) -> Value {
    let mut vm = json!({
        "runtime": "envoy.wasm.runtime.v8",
        "vm_id": "agentguard",
        "code": code,
    });
    if let (false, Some(members)) = (keys.is_empty(), vm.as_object_mut()) {
        members.insert(
            "environment_variables".to_owned(),
            json!({"host_env_keys": keys}),
        );
    }
    let mut config = json!({
        "name": name,
        "root_id": name,
        // A failed VM denies everything until it is reloaded. With FAIL_OPEN, everything would pass uninspected.
        "failure_policy": "FAIL_RELOAD",
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": document,
        },
        "vm_config": vm,
    });
    if let (true, Some(members)) = (holds, config.as_object_mut()) {
        members.insert("allow_on_headers_stop_iteration".to_owned(), json!(true));
    }
    json!({
        "@type": Host::Wasm.filter_type(),
        "config": config,
    })
}

/// Returns a DiscoveryResponse for a watched file. To replace the file, write another one and rename it.
fn discovery(name: &str, filter: &Value, version: &str) -> Value {
    json!({
        "version_info": version,
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": name,
            "typed_config": filter,
        }],
    })
}

fn watched(name: &str, path: &str, host: Host) -> Value {
    let folder = match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => ".",
    };
    json!({
        "name": name,
        "config_discovery": {
            "config_source": {
                "path_config_source": {"path": path, "watched_directory": {"path": folder}},
                "resource_api_version": "V3",
            },
            "type_urls": [host.filter_type()],
        },
    })
}

/// Returns one regular expression per label. The first capture is removed from the name, the second is the label's
/// value.
fn stats_tags() -> Value {
    label_names()
        .into_iter()
        .map(|label| json!({"tag_name": label, "regex": tag_pattern(label)}))
        .collect()
}

/// Returns the connection manager, with the filters of this project between the decompressors and the router.
fn connection_manager(ours: Vec<Value>, audit_log: &str, upstream: &Upstream) -> Value {
    let decompressor = |name: &str, library: &str| {
        json!({
            "name": format!("decompress-{name}"),
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor",
                "decompressor_library": {
                    "name": name,
                    "typed_config": {"@type": format!("type.googleapis.com/{library}")},
                },
                "request_direction_config": {"common_config": {"enabled": {
                    "default_value": true, "runtime_key": format!("decompress_{name}_requests"),
                }}},
                // If a filter after a response decompressor holds responses, the body never ends.
                "response_direction_config": {"common_config": {"enabled": {
                    "default_value": false, "runtime_key": format!("decompress_{name}_responses"),
                }}},
            },
        })
    };
    let mut filters = vec![
        decompressor(
            "gzip",
            "envoy.extensions.compression.gzip.decompressor.v3.Gzip",
        ),
        decompressor(
            "brotli",
            "envoy.extensions.compression.brotli.decompressor.v3.Brotli",
        ),
        decompressor(
            "zstd",
            "envoy.extensions.compression.zstd.decompressor.v3.Zstd",
        ),
    ];
    filters.extend(ours);
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "agents",
            "stream_idle_timeout": "300s",
            "normalize_path": true,
            "merge_slashes": true,
            "path_with_escaped_slashes_action": "REJECT_REQUEST",
            // Clients find their audit event by this id.
            "always_set_request_id_in_response": true,
            "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
            "access_log": [{
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": audit_log,
                    "log_format": {"text_format_source": {
                        "inline_string": "%FILTER_STATE(wasm.agentguard:PLAIN)%\n",
                    }},
                },
            }],
            "route_config": {"virtual_hosts": [{
                "name": "upstream",
                "domains": ["*"],
                "routes": [{
                    "match": {"prefix": "/"},
                    // A route's timeout covers the whole response, and models respond slowly.
                    "route": {"cluster": "upstream", "timeout": "0s", "idle_timeout": "300s",
                              "host_rewrite_literal": upstream.in_request()},
                }],
            }]},
            "http_filters": filters,
        },
    })
}

/// Lets Envoy take the client's address from the connection. Otherwise it takes one of `x-forwarded-for`, which the filter does not believe.
fn believe_the_connection(manager: &mut Value) {
    // The upstream is not told who its clients are.
    let settings = [
        ("/typed_config", "use_remote_address", json!(true)),
        ("/typed_config", "skip_xff_append", json!(true)),
        (
            "/typed_config/route_config",
            "request_headers_to_remove",
            json!(["x-envoy-external-address"]),
        ),
    ];
    for (place, setting, value) in settings {
        let members = manager.pointer_mut(place).and_then(Value::as_object_mut);
        if let Some(members) = members {
            members.insert(setting.to_owned(), value);
        }
    }
}

/// Address of the upstream.
struct Upstream {
    host: String,
    /// The address, if the host is an IP address and not a name.
    address: Option<IpAddr>,
    port: u16,
    tls: bool,
}

impl Upstream {
    fn parse(url: &str) -> Option<Upstream> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        // Envoy would have to prepend a path to the path of each request.
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let (host, address) = match bracketed {
            Some(host) => (host, Some(IpAddr::V6(host.parse().ok()?))),
            None => (host, host.parse().ok().map(IpAddr::V4)),
        };
        (port > 0 && (address.is_some() || is_host_name(host))).then(|| Upstream {
            host: host.to_owned(),
            address,
            port,
            tls,
        })
    }

    /// Returns the host in the form of a request: with its port, unless it is the scheme's default.
    fn in_request(&self) -> String {
        let host = match self.address {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    fn cluster(&self, trusted_ca: &str, buffer: u64) -> Value {
        let mut cluster = json!({
            "name": "upstream",
            "type": "LOGICAL_DNS",
            "dns_lookup_family": "V4_PREFERRED",
            "connect_timeout": "5s",
            "per_connection_buffer_limit_bytes": buffer,
            "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": {"socket_address": {"address": self.host, "port_value": self.port}},
            }}]}]},
        });
        if let (true, Some(members)) = (self.tls, cluster.as_object_mut()) {
            // In a certificate, an address is a name of another type, and TLS sends no SNI for an address.
            let (kind, announced) = match self.address {
                Some(_) => ("IP_ADDRESS", ""),
                None => ("DNS", &*self.host),
            };
            members.insert(
                "transport_socket".to_owned(),
                json!({
                    "name": "envoy.transport_sockets.tls",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                        "sni": announced,
                        "common_tls_context": {
                            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                            // Without a trusted CA, the peer is not verified. Plain Envoy does not support `system_root_certs`.
                            "validation_context": {"trusted_ca": {"filename": trusted_ca},
                                "match_typed_subject_alt_names": [
                                    {"san_type": kind, "matcher": {"exact": self.host}}
                                ]},
                        },
                    },
                }),
            );
        }
        cluster
    }
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// Returns whether Envoy can't listen on both addresses: `0.0.0.0:9901` is also `127.0.0.1:9901`.
fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && (one.ip() == other.ip() || (is_any && one.is_ipv4() == other.is_ipv4()))
}

/// Rejects options that give one address to two listeners, with which Envoy would not start. Port 0 is a different port for
/// each.
fn refuse_one_address<'o>(options: impl Iterator<Item = (&'o str, &'o str)>) -> Result<(), Failed> {
    let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
    for (option, text) in options {
        let Ok(address) = text.parse::<SocketAddr>() else {
            continue;
        };
        let same = taken.iter().find(|(_, other)| overlaps(*other, address));
        if let Some((other, _)) = same.filter(|_| address.port() > 0) {
            return Err(output::print_misused(&format!(
                "{option} {text}: {other} is this address already; name another port"
            )));
        }
        taken.push((option, address));
    }
    Ok(())
}

/// Returns whether a text is a name that DNS resolves and that a certificate can have.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A name of digits alone is a mistyped address.
    let last = text.rsplit('.').next().unwrap_or(text);
    text.len() <= 253
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}
