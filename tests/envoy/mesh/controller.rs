//! Envoy Gateway's controller, and proxies that run what its Deployments describe, with the Envoy of the other tests.

use super::cluster::{cluster, findings, get, succeed, sum};
use harness::{
    Process, Provider, Raw, RawResponse, Request, Version, free_port, mesh_file, wait_for,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Namespace of the controller, and of the proxies.
const SYSTEM: &str = "envoy-gateway-system";

/// Controller of this run. It ends with the process.
pub(crate) struct Controller {
    process: Process,
}

/// Script that starts a program with files and folders mounted in other places: `SOURCE TARGET … -- PROGRAM`. Its root is a
/// tmpfs with the contents of the machine's root, so that nothing is written there. What is cached in /var/lib lasts as long
/// as the program.
const STARTER: &str = r#"
root=$1; shift
mkdir -p "$root" && mount -t tmpfs tmpfs "$root" || exit
for each in /*; do
  if [ -L "$each" ]; then cp -P "$each" "$root/"
  elif [ -d "$each" ]; then mkdir "$root$each" && mount --rbind "$each" "$root$each" || exit
  fi
done
mount -t tmpfs tmpfs "$root/var/lib" || exit
while [ "$1" != -- ]; do
  [ -e "$root$2" ] || mkdir -p "$root$2" || exit
  mount --bind "$1" "$root$2" || exit
  shift 2
done
shift
exec chroot "$root" "$@" 2>&1
"#;

/// Starts a program that finds each first file or folder in the place of the second.
fn start(
    home: &Path,
    places: &[(PathBuf, String)],
    command: &[&str],
    variables: &[(String, String)],
    log: &Path,
) -> Process {
    let mut whole = vec!["unshare".to_owned()];
    // A user other than root needs a user namespace for that.
    if succeed(Command::new("id").arg("-u"), "").trim() != "0" {
        whole.push("--map-root-user".to_owned());
    }
    let root = home.join("root");
    let starter = [
        "--mount",
        "sh",
        "-c",
        STARTER,
        "sh",
        &root.to_string_lossy(),
    ]
    .map(str::to_owned);
    whole.extend(starter);
    for (source, target) in places {
        whole.extend([source.to_string_lossy().into_owned(), target.clone()]);
    }
    whole.push("--".to_owned());
    whole.extend(command.iter().map(|word| (*word).to_owned()));
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    Process::start(&whole, variables, log)
}

/// Returns a resource of the API.
#[track_caller]
pub(crate) fn resource(arguments: &[&str]) -> Value {
    let get = [&["get", "-o", "json"], arguments].concat();
    serde_json::from_str(&succeed(&mut cluster().kubectl(&get), "")).expect("JSON")
}

/// Writes the contents of a ConfigMap or a Secret as a pod sees them: a change replaces all files at once.
fn mount(volume: &Path, kind: &str, name: &str) {
    let found = resource(&[kind, name, "-n", SYSTEM]);
    let version = found["metadata"]["resourceVersion"]
        .as_str()
        .expect("a version");
    let folder = volume.join(format!("..{version}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (file, text) in found["data"].as_object().expect("files") {
        let text = text.as_str().expect("a text");
        let bytes = match kind {
            "secret" => succeed(Command::new("base64").arg("-d"), text).into_bytes(),
            _ => text.as_bytes().to_vec(),
        };
        std::fs::write(folder.join(file), bytes).expect("a file");
        let link = volume.join(file);
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(format!("..data/{file}"), link).expect("a link");
        }
    }
    let next = volume.join("..data_tmp");
    let _ = std::fs::remove_file(&next);
    std::os::unix::fs::symlink(format!("..{version}"), &next).expect("a link");
    std::fs::rename(next, volume.join("..data")).expect("a link");
}

/// Returns the controller.
pub(crate) fn controller() -> &'static Controller {
    static CONTROLLER: OnceLock<Controller> = OnceLock::new();
    CONTROLLER.get_or_init(Controller::start)
}

impl Controller {
    fn start() -> Controller {
        let cluster = cluster();
        let home = cluster.home().join("controller");
        std::fs::create_dir_all(&home).expect("a folder");
        cluster.define(&mesh_file("envoy-gateway-crds.yaml"));
        succeed(&mut cluster.kubectl(&["create", "namespace", SYSTEM]), "");
        let variables = [
            ("KUBECONFIG", cluster.kubeconfig()),
            ("ENVOY_GATEWAY_NAMESPACE", SYSTEM),
            ("KUBERNETES_CLUSTER_DOMAIN", "cluster.local"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let program = mesh_file("envoy-gateway");
        let mut certificates = Command::new(&program);
        certificates.envs(variables.iter().map(|(name, value)| (name, value)));
        succeed(
            certificates.args(["certgen", "--disable-topology-injector"]),
            "",
        );
        let certificates = home.join("certs");
        mount(&certificates, "secret", "envoy-gateway");
        let config = home.join("controller.yaml");
        // The injector gives pods their zone, for which proxies wait.
        let settings = json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyGateway",
            "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
            "provider": {"type": "Kubernetes", "kubernetes": {
                "leaderElection": {"disable": true}, "proxyTopologyInjector": {"disabled": true},
            }},
            "extensionApis": {"enableBackend": true, "enableEnvoyPatchPolicy": true, "enableLua": true},
        });
        std::fs::write(&config, settings.to_string()).expect("a file");
        let (program, config) = (program.to_string_lossy(), config.to_string_lossy());
        let mut process = start(
            &home,
            &[(certificates, "/certs".to_owned())],
            &[&program, "server", "--config-path", &config],
            &variables,
            &home.join("controller.log"),
        );
        cluster.apply_all(&[json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "eg"},
            "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        })]);
        wait_for("the controller", || {
            assert_eq!(process.ended(), None, "{}", process.printed());
            is_condition(&resource(&["gatewayclass", "eg"])["status"], "Accepted").then_some(())
        });
        Controller { process }
    }
}

/// Returns whether a status has a condition.
pub(crate) fn is_condition(status: &Value, kind: &str) -> bool {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// Routes of a Gateway in a namespace of its own, to a provider.
pub(crate) struct Routes {
    pub(crate) namespace: String,
    pub(crate) port: u16,
    pub(crate) provider: Provider,
}

impl Routes {
    /// Applies a Gateway `agents` with a route to the provider. It refers to the `EnvoyProxy` that `build` writes.
    pub(crate) fn new(namespace: &str) -> Routes {
        Routes::with_listener(namespace, json!({"protocol": "HTTP"}))
    }

    /// Applies a Gateway with these keys of the listener.
    pub(crate) fn with_listener(namespace: &str, listener: Value) -> Routes {
        controller();
        let (port, provider) = (free_port(), Provider::start());
        cluster().create(namespace, "agents");
        let mut listener = listener;
        listener["name"] = json!("http");
        listener["port"] = json!(port);
        let routes = Routes {
            namespace: namespace.to_owned(),
            port,
            provider,
        };
        cluster().apply_all(&[
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
                "metadata": {"name": "agents", "namespace": namespace},
                "spec": {
                    "gatewayClassName": "eg", "listeners": [listener],
                    "infrastructure": {"parametersRef": {
                        "group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "agentguard",
                    }},
                },
            }),
            json!({
                "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend",
                "metadata": {"name": "provider", "namespace": namespace},
                "spec": {"endpoints": [{"fqdn": {
                    "hostname": format!("provider.{namespace}.example"), "port": routes.provider.address.port(),
                }}]},
            }),
            routes.route("provider", "/"),
        ]);
        routes
    }

    /// Returns a route to the provider.
    pub(crate) fn route(&self, name: &str, prefix: &str) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"parentRefs": [{"name": "agents"}], "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
                "backendRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "provider"}],
            }]},
        })
    }

    /// Starts its proxy as the controller's Deployment describes it, with further files and folders mounted.
    pub(crate) fn start(self, places: &[(PathBuf, String)]) -> Gateway {
        let home = cluster().home().join(format!("{}-gateway", self.namespace));
        let owner = format!(
            "gateway.envoyproxy.io/owning-gateway-name=agents,gateway.envoyproxy.io/owning-gateway-namespace={}",
            self.namespace
        );
        let found = wait_for("the proxy's Deployment", || {
            let found = resource(&["deployments", "-n", SYSTEM, "-l", &owner]);
            found["items"].get(0).cloned()
        });
        let pod = &found["spec"]["template"]["spec"];
        let containers = pod["containers"].as_array().expect("containers");
        let mut containers = containers.iter();
        let envoy = containers.find(|container| container["name"] == "envoy");
        let envoy = envoy.expect("Envoy");
        let mut places = places.to_vec();
        let mut volumes = Vec::new();
        for mounted in envoy["volumeMounts"].as_array().expect("mounts") {
            let named = pod["volumes"].as_array().expect("volumes").iter();
            let mut named = named.filter(|volume| volume["name"] == mounted["name"]);
            let volume = named.next().expect("a volume");
            let folder = home.join(mounted["name"].as_str().expect("a name"));
            if let Some(name) = volume["configMap"]["name"].as_str() {
                volumes.push((folder.clone(), "configmap", name.to_owned()));
            } else if let Some(name) = volume["secret"]["secretName"].as_str() {
                volumes.push((folder.clone(), "secret", name.to_owned()));
            } else if let Some(image) = volume["image"]["reference"].as_str() {
                unpack(image, &folder);
            }
            let path = mounted["mountPath"].as_str().expect("a path");
            places.push((folder, path.to_owned()));
        }
        let hosts = home.join("hosts");
        // The controller distinguishes proxies by it.
        let pod_name = format!("{}-0", self.namespace);
        let (admin, statistics) = (free_port(), free_port());
        let mut arguments = vec![Version::Newest.program().to_string_lossy().into_owned()];
        let given = envoy["args"].as_array().expect("arguments");
        let mut given = given.iter().filter_map(Value::as_str);
        while let Some(argument) = given.next() {
            match argument {
                "--config-yaml" => {
                    let bootstrap = given.next().expect("the bootstrap");
                    // Other programs may use those ports of this machine, and a name that ends with a dot is not looked up in
                    // files.
                    let bootstrap = bootstrap
                        .replace("port_value: 19000", &format!("port_value: {admin}"))
                        .replace("port_value: 19001", &format!("port_value: {statistics}"))
                        .replace("svc.cluster.local.\n", "svc.cluster.local\n");
                    arguments.extend(["--config-yaml".to_owned(), bootstrap]);
                }
                "--cpuset-threads" => arguments.extend(["--concurrency", "2"].map(str::to_owned)),
                other => arguments.push(other.replace("$(ENVOY_POD_NAME)", &pod_name)),
            }
        }
        arguments.push("--use-dynamic-base-id".to_owned());
        let mut gateway = Gateway {
            routes: self,
            home,
            places,
            volumes,
            arguments,
            admin,
            process: None,
        };
        gateway.mount_volumes();
        let names = format!(
            "127.0.0.1 localhost envoy-gateway.{SYSTEM}.svc.cluster.local provider.{}.example\n",
            gateway.routes.namespace
        );
        std::fs::write(&hosts, names).expect("a file");
        gateway.places.push((hosts, "/etc/hosts".to_owned()));
        gateway.restart();
        gateway
    }
}

/// Unpacks the layers of an image into a folder, as kubelet does for a volume.
fn unpack(image: &str, folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let archive = folder.with_extension("tar").to_string_lossy().into_owned();
    let export = ["export", "--insecure", image, &archive];
    succeed(Command::new(mesh_file("crane")).args(export), "");
    let folder = folder.to_string_lossy();
    succeed(
        Command::new("tar").args(["-C", &*folder, "-xf", &archive]),
        "",
    );
}

/// Proxy of a Gateway, in front of a provider.
pub(crate) struct Gateway {
    pub(crate) routes: Routes,
    home: PathBuf,
    places: Vec<(PathBuf, String)>,
    /// Mounts of the pod: folder, kind and name.
    volumes: Vec<(PathBuf, &'static str, String)>,
    arguments: Vec<String>,
    admin: u16,
    process: Option<Process>,
}

impl Gateway {
    /// Writes the current contents of the volumes, as kubelet does within a minute of a change.
    pub(crate) fn mount_volumes(&self) {
        for (folder, kind, name) in &self.volumes {
            mount(folder, kind, name);
        }
    }

    /// Ends its Envoy, and starts another one.
    pub(crate) fn restart(&mut self) {
        self.process = None;
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let log = self.home.join("envoy.log");
        let mut process = start(&self.home, &self.places, &arguments, &[], &log);
        wait_for("Envoy", || {
            assert_eq!(process.ended(), None, "{}", process.printed());
            get(self.admin, "/server_info")
        });
        self.process = Some(process);
    }

    /// Waits until the gateway listens.
    pub(crate) fn listens(self) -> Gateway {
        wait_for("the gateway to listen", || self.connect().map(|_| ()));
        self
    }

    fn connect(&self) -> Option<Raw> {
        Raw::connect(self.address()).ok()
    }

    /// Returns the gateway's address.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.routes.port))
    }

    /// Sends a request on a connection of its own.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> RawResponse {
        let mut raw = self.connect().expect("nobody listens");
        raw.send(&request.bytes());
        raw.response().expect("no response")
    }

    /// Returns Envoy's output.
    pub(crate) fn printed(&self) -> String {
        self.process
            .as_ref()
            .map(Process::printed)
            .unwrap_or_default()
    }

    /// Returns the audit events so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        let printed = self.printed();
        let lines = printed.lines().filter(|line| line.starts_with('{'));
        lines
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line.get("policy").is_some())
            .collect()
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

    /// Returns a counter or gauge of Envoy itself.
    #[track_caller]
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let page = self.page(&format!("/stats?filter={name}"));
        let values = page.lines().filter_map(|line| line.rsplit(' ').next());
        values.filter_map(|value| value.parse::<u64>().ok()).sum()
    }

    /// Returns the codes that `agentguard doctor` reports.
    pub(crate) fn findings(&self) -> Vec<String> {
        findings(
            self.admin,
            &format!("{}/agents/http", self.routes.namespace),
        )
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let controller = controller().process.printed();
            for (name, text) in [("Envoy", self.printed()), ("the controller", controller)] {
                // Without the audit events, and the controller's informational messages.
                let is_told = |line: &&str| {
                    !line.starts_with('{')
                        && !line.contains("\tinfo\t")
                        && !line.contains("not found")
                };
                let lines: Vec<&str> = text.lines().filter(is_told).collect();
                let last = lines.get(lines.len().saturating_sub(40)..).unwrap_or(&[]);
                eprintln!("──── {name} ────\n{}", last.join("\n"));
            }
        }
    }
}
