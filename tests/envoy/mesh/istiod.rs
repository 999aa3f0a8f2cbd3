//! istiod, and proxies that its agent starts with the Envoy of the other tests.

use super::cluster::{cluster, findings, get, run, succeed, sum};
use crate::identity::forge::Folder;
use agentguard::author::parse_yaml;
use harness::{
    Process, Provider, Raw, RawResponse, Request, Version, free_port, mesh_file, wait_for,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Value of `MESH_TEST_KEY` in the environment of every proxy.
pub(crate) const KEY: &str = "agk_0123456789abcdef";

/// Namespace of the control plane.
const SYSTEM: &str = "istio-system";

/// istiod.
pub(crate) struct Mesh {
    discovery: u16,
    monitoring: u16,
    root_certificate: String,
    config: Value,
    istiod: Process,
}

/// Returns the mesh of this run. It ends with the process.
pub(crate) fn mesh() -> &'static Mesh {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(Mesh::start)
}

/// Builds a policy for a mesh.
#[track_caller]
pub(crate) fn built(policy: &Value, target: &str, options: &[&str]) -> String {
    let folder = Folder::new("policy");
    let file = folder.write("policy.yaml", &policy.to_string());
    let build = ["build", &file, "--for", target];
    let arguments = [&build[..], options].concat();
    succeed(
        Command::new(env!("CARGO_BIN_EXE_agentguard")).args(&arguments),
        "",
    )
}

/// Converts YAML text to JSON.
pub(crate) fn as_json(yaml: &str) -> Value {
    let mut json = Vec::new();
    parse_yaml(yaml).expect("YAML").write_json(&mut json);
    serde_json::from_slice(&json).expect("JSON")
}

/// Returns the part for the mesh's configuration in the manifests' first comment.
fn told_configuration(manifests: &str) -> Value {
    let lines = manifests.lines();
    let lines = lines.skip_while(|line| *line != "#   meshConfig:");
    let yaml: String = lines
        .map_while(|line| line.strip_prefix("#   "))
        .map(|line| format!("{line}\n"))
        .collect();
    as_json(&yaml)["meshConfig"].take()
}

impl Mesh {
    fn start() -> Mesh {
        let cluster = cluster();
        let home = cluster.home();
        succeed(&mut cluster.kubectl(&["create", "namespace", SYSTEM]), "");
        let (discovery, monitoring, http) = (free_port(), free_port(), free_port());
        let manifests = built(
            &crate::scene::policy(json!([])),
            "istio",
            &["--selector", "a=b", "--image", &cluster.image],
        );
        let mut config = told_configuration(&manifests);
        config["defaultConfig"]["discoveryAddress"] = json!(format!("localhost:{discovery}"));
        // Istio's own metrics come from a filter that only Istio's Envoy has.
        config["defaultProviders"] = json!({"metrics": []});
        // Other programs may use those ports of this machine.
        config["proxyListenPort"] = json!(free_port());
        config["proxyInboundListenPort"] = json!(free_port());
        let file = home.join("mesh.yaml");
        std::fs::write(&file, config.to_string()).expect("a file");
        let address = |port: u16| format!("127.0.0.1:{port}");
        let options = [
            ("--kubeconfig", cluster.kubeconfig().to_owned()),
            ("--meshConfig", file.to_string_lossy().into_owned()),
            ("--secureGRPCAddr", address(discovery)),
            ("--monitoringAddr", address(monitoring)),
            ("--httpAddr", address(http)),
            ("--grpcAddr", address(free_port())),
            ("--httpsAddr", address(free_port())),
            ("--ctrlz_port", free_port().to_string()),
        ];
        // Features that only Istio's Envoy has are off.
        let variables = [
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
            ("PILOT_DISABLE_MX_ALPN", "true"),
            ("PILOT_ENABLE_ALPN_FILTER", "false"),
            ("POD_NAMESPACE", SYSTEM),
            ("POD_NAME", "istiod-0"),
            ("SERVICE_ACCOUNT", "istiod"),
            ("EXTERNAL_ISTIOD", "true"),
            ("CLUSTER_ID", "Kubernetes"),
            ("AUDIENCE", "istio-ca"),
            ("ISTIOD_CUSTOM_HOST", "localhost"),
            ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
            ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (folder, program) = (home.to_string_lossy(), mesh_file("pilot-discovery"));
        let program = program.to_string_lossy();
        let mut command = vec![
            "sh",
            "-c",
            "cd \"$1\"; shift; exec \"$@\"",
            "sh",
            &*folder,
            &*program,
            "discovery",
        ];
        command.extend(options.iter().flat_map(|(name, value)| [*name, &**value]));
        let mut istiod = Process::start(&command, &variables, &home.join("istiod.log"));
        wait_for("istiod", || {
            assert_eq!(istiod.ended(), None, "{}", istiod.printed());
            (get(http, "/ready")?.0 == 200).then_some(())
        });
        let certificate = wait_for("the mesh's certificate", || {
            let arguments = ["get", "configmap", "istio-ca-root-cert", "-n", SYSTEM, "-o"];
            let path = "jsonpath={.data.root-cert\\.pem}";
            let output = run(cluster.kubectl(&arguments).arg(path), "");
            let text = String::from_utf8(output.stdout).ok()?;
            text.contains("BEGIN").then_some(text)
        });
        let root = home.join("root-cert.pem");
        std::fs::write(&root, certificate).expect("a file");
        Mesh {
            discovery,
            monitoring,
            root_certificate: root.to_string_lossy().into_owned(),
            config,
            istiod,
        }
    }

    /// Returns a counter of istiod: the sum of the samples whose labels contain this text.
    pub(crate) fn counted(&self, name: &str, label: &str) -> f64 {
        let (_, page) = get(self.monitoring, "/metrics").expect("istiod's metrics");
        sum(&page, name, &[label])
    }
}

/// Proxy of the mesh.
pub(crate) struct Proxy {
    mesh: &'static Mesh,
    admin: u16,
    /// Port of its readiness probe.
    status: u16,
    process: Process,
}

/// Script that starts a proxy. It mounts a tmpfs where the agent stores modules, because that path is the same for all
/// proxies of a machine. Envoy ends together with its agent. Envoy's output to /dev/stdout goes through a pipe, as in a
/// container.
const STARTER: &str = r#"
mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/istio/data && cd "$1" || exit
shift
"$@" 2>&1 | cat
"#;

impl Proxy {
    /// Starts a gateway (`router`) or a `sidecar`, whose pod has the label `app`.
    pub(crate) fn start(role: &str, namespace: &str, app: &str, account: &str) -> Proxy {
        Proxy::labelled(role, namespace, app, account, &json!({"app": app}))
    }

    /// Starts a proxy whose pod has these labels.
    fn labelled(role: &str, namespace: &str, app: &str, account: &str, labels: &Value) -> Proxy {
        let mesh = mesh();
        let home = cluster().home().join(format!("{namespace}-{app}"));
        let path = |name: &str| home.join(name).to_string_lossy().into_owned();
        let write = |name: &str, text: &str| {
            let file = home.join(name);
            let folder = file.parent().map(PathBuf::from).expect("a folder");
            std::fs::create_dir_all(folder).expect("a folder");
            std::fs::write(file, text).expect("a file");
        };
        let token = [
            "create",
            "token",
            account,
            "-n",
            namespace,
            "--audience",
            "istio-ca",
            "--duration",
            "12h",
        ];
        let token = succeed(&mut cluster().kubectl(&token), "");
        write("var/run/secrets/tokens/istio-token", token.trim());
        write("etc/istio/config/mesh", &mesh.config.to_string());
        let (admin, status) = (free_port(), free_port());
        let config = json!({
            "discoveryAddress": format!("localhost:{}", mesh.discovery),
            "binaryPath": Version::Newest.program(),
            "configPath": path("etc/istio/proxy"),
            "proxyBootstrapTemplatePath": mesh_file("envoy_bootstrap.json"),
            "proxyAdminPort": admin,
            "statusPort": free_port(),
            "concurrency": 2,
            "terminationDrainDuration": "1s",
            "extraStatTags": mesh.config["defaultConfig"]["extraStatTags"],
        });
        let variables = [
            ("POD_NAME", format!("{app}-0")),
            ("POD_NAMESPACE", namespace.to_owned()),
            ("INSTANCE_IP", "127.0.0.1".to_owned()),
            ("SERVICE_ACCOUNT", account.to_owned()),
            ("TRUST_DOMAIN", "cluster.local".to_owned()),
            ("ISTIO_META_CLUSTER_ID", "Kubernetes".to_owned()),
            ("ISTIO_META_INTERCEPTION_MODE", "NONE".to_owned()),
            ("XDS_ROOT_CA", mesh.root_certificate.clone()),
            ("CA_ROOT_CA", mesh.root_certificate.clone()),
            ("WASM_INSECURE_REGISTRIES", "*".to_owned()),
            ("ENVOY_STATUS_PORT", status.to_string()),
            ("ENVOY_PROMETHEUS_PORT", free_port().to_string()),
            ("PROXY_XDS_DEBUG_VIA_AGENT", "false".to_owned()),
            ("ISTIO_METAJSON_LABELS", labels.to_string()),
            ("PROXY_CONFIG", config.to_string()),
            ("MESH_TEST_KEY", KEY.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let domain = format!("{namespace}.svc.cluster.local");
        let (folder, agent) = (home.to_string_lossy(), mesh_file("pilot-agent"));
        let agent = agent.to_string_lossy();
        let mut command = vec!["unshare"];
        // A user other than root needs a user namespace for that.
        let is_root = succeed(Command::new("id").arg("-u"), "").trim() == "0";
        if !is_root {
            command.push("--map-root-user");
        }
        command.extend(["--mount", "--pid", "--fork", "--kill-child"]);
        command.extend(["sh", "-c", STARTER, "sh", &*folder, &*agent, "proxy", role]);
        command.extend(["--domain", &*domain, "--proxyLogLevel=warning"]);
        let log = home.join("proxy.log");
        let mut process = Process::start(&command, &variables, &log);
        wait_for("a proxy of the mesh", || {
            assert_eq!(process.ended(), None, "{}", process.printed());
            get(admin, "/ready")?.1.contains("LIVE").then_some(())
        });
        Proxy {
            mesh,
            admin,
            status,
            process,
        }
    }

    /// Returns the status of Istio's readiness probe.
    pub(crate) fn probe(&self) -> u16 {
        get(self.status, "/healthz/ready").map_or(0, |(status, _)| status)
    }

    /// Returns a page of Envoy's admin interface.
    #[track_caller]
    pub(crate) fn page(&self, path: &str) -> String {
        get(self.admin, path).expect("the admin interface").1
    }

    /// Returns the sum of the samples of a metric with these labels: `model="gpt-4o"`.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum(&self.page("/stats/prometheus"), name, labels)
    }

    /// Returns the audit events so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        let printed = self.process.printed();
        let lines = printed.lines().filter(|line| line.starts_with('{'));
        lines
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line.get("policy").is_some())
            .collect()
    }

    /// Returns the output of the proxy and its agent.
    pub(crate) fn printed(&self) -> String {
        self.process.printed()
    }

    /// Returns the codes that `agentguard doctor` reports for a listener.
    pub(crate) fn findings(&self, listener: &str) -> Vec<String> {
        findings(self.admin, listener)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, text) in [
                ("the proxy", self.process.printed()),
                ("istiod", self.mesh.istiod.printed()),
            ] {
                // Without the audit events.
                let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('{')).collect();
                let last = lines.get(lines.len().saturating_sub(60)..).unwrap_or(&[]);
                eprintln!("──── {name} ────\n{}", last.join("\n"));
            }
        }
    }
}

/// Gateway in front of a provider.
pub(crate) struct Gateway {
    /// Proxy of the gateway.
    pub(crate) proxy: Proxy,
    /// Upstream of the gateway.
    pub(crate) provider: Provider,
    namespace: String,
    port: u16,
}

impl Gateway {
    /// Starts a gateway in a namespace of its own. It has no filter yet.
    pub(crate) fn start(namespace: &str) -> Gateway {
        let gateway = Gateway::routes(namespace);
        Gateway::with_routes(namespace, gateway)
    }

    /// Applies the routes of a gateway that does not exist yet. Returns its port and its provider.
    pub(crate) fn routes(namespace: &str) -> (u16, Provider) {
        let (port, provider) = (free_port(), Provider::start());
        let cluster = cluster();
        cluster.create(namespace, "gateway");
        let resource = |kind: &str, spec: Value| {
            json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
                   "metadata": {"name": "agents", "namespace": namespace}, "spec": spec})
        };
        cluster.apply_all(&[
            resource("Gateway", json!({"selector": {"app": namespace}, "servers": [
                {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
            ]})),
            resource("ServiceEntry", json!({
                "hosts": [format!("provider.{namespace}.example")], "resolution": "STATIC", "exportTo": ["."],
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "endpoints": [{"address": "127.0.0.1", "ports": {"http": provider.address.port()}}],
            })),
            resource("VirtualService", json!({"hosts": ["*"], "gateways": ["agents"], "http": [
                // As in docs/kubernetes.md, for probes.
                {"match": [{"uri": {"exact": "/healthz"}}], "directResponse": {"status": 200}},
                {"route": [{"destination": {"host": format!("provider.{namespace}.example"), "port": {"number": 80}}}]},
            ]})),
        ]);
        (port, provider)
    }

    /// Starts the proxy of applied routes.
    pub(crate) fn with_routes(namespace: &str, routes: (u16, Provider)) -> Gateway {
        Gateway::of(namespace, routes, &json!({"app": namespace}))
    }

    /// Starts a gateway that also has the label of a Gateway of the Gateway API, which has the namespace's name.
    pub(crate) fn of_gateway_api(namespace: &str) -> Gateway {
        let name = "gateway.networking.k8s.io/gateway-name";
        let labels = json!({"app": namespace, name: namespace});
        Gateway::of(namespace, Gateway::routes(namespace), &labels)
    }

    fn of(namespace: &str, (port, provider): (u16, Provider), labels: &Value) -> Gateway {
        let proxy = Proxy::labelled("router", namespace, namespace, "gateway", labels);
        let gateway = Gateway {
            proxy,
            provider,
            namespace: namespace.to_owned(),
            port,
        };
        wait_for("the gateway to listen", || gateway.connect().map(|_| ()));
        gateway
    }

    fn connect(&self) -> Option<Raw> {
        Raw::connect(SocketAddr::from(([127, 0, 0, 1], self.port))).ok()
    }

    /// Sends a request on a connection of its own.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> RawResponse {
        let mut raw = self.connect().expect("nobody listens");
        raw.send(&request.bytes());
        raw.response().expect("no response")
    }

    /// Builds a policy for this gateway.
    #[track_caller]
    pub(crate) fn built(&self, policy: &Value, options: &[&str]) -> String {
        built_for(&self.namespace, policy, options)
    }

    /// Builds and applies a policy.
    #[track_caller]
    pub(crate) fn apply(&self, policy: &Value, options: &[&str]) {
        cluster().apply(&self.built(policy, options));
    }

    /// Returns the name of its listener.
    pub(crate) fn listener(&self) -> String {
        format!("0.0.0.0_{}", self.port)
    }
}

/// Builds a policy for the gateway of a namespace.
#[track_caller]
pub(crate) fn built_for(namespace: &str, policy: &Value, options: &[&str]) -> String {
    let selector = format!("app={namespace}");
    let image = &cluster().image;
    let common = [
        "--namespace",
        namespace,
        "--selector",
        &selector,
        "--image",
        image,
    ];
    built(policy, "istio", &[&common[..], options].concat())
}
