//! API of Kubernetes without machines, and a registry with the image of the module.

use harness::{Process, Raw, free_port, mesh_file, wait_for};
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Running API with its registry. There are no controllers, so nothing runs what a Deployment describes.
pub(crate) struct Cluster {
    home: PathBuf,
    kubeconfig: String,
    /// `127.0.0.1:PORT/agentguard:test@sha256:…`
    pub(crate) image: String,
    registry: u16,
    _processes: Vec<Process>,
}

/// Returns the API of this run, which knows Istio's resources. It ends with the process.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mesh");
        let _ = std::fs::remove_dir_all(&home);
        let cluster = Cluster::start(&home);
        cluster.define(&mesh_file("crd-all.gen.yaml"));
        cluster
    })
}

/// Runs a command to its end, with this text as its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program");
    let mut stdin = child.stdin.take().expect("its standard input");
    let text = input.to_owned();
    // In a separate thread: a pipe's buffer is smaller than a policy.
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("its output");
    let _ = writer.join();
    output
}

/// Returns the standard output of a command that must succeed.
#[track_caller]
pub(crate) fn succeed(command: &mut Command, input: &str) -> String {
    let output = run(command, input);
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the status and the body of a GET request to a port of this machine; `None` without a response.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut raw = Raw::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()?;
    raw.send(
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
    );
    let response = raw.response()?;
    Some((
        response.status,
        String::from_utf8_lossy(&response.body).into_owned(),
    ))
}

/// Runs `agentguard`.
pub(crate) fn agentguard(arguments: &[&str]) -> Output {
    run(
        Command::new(env!("CARGO_BIN_EXE_agentguard")).args(arguments),
        "",
    )
}

/// Returns the codes that `agentguard doctor` reports for a listener of an Envoy with this admin port.
pub(crate) fn findings(admin: u16, listener: &str) -> Vec<String> {
    let admin = format!("http://127.0.0.1:{admin}");
    let output = agentguard(&[
        "doctor",
        "--json",
        "--admin",
        &admin,
        "--listener",
        listener,
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        line["code"].as_str().map(str::to_owned)
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(2), "{said}");
    found.flatten().collect()
}

/// Returns the sum of the samples of a metric with these labels.
pub(crate) fn sum(page: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = page.lines().filter(|line| {
        let is_name = |rest: &str| rest.starts_with(['{', ' ']);
        line.strip_prefix(name).is_some_and(is_name)
            && labels.iter().all(|label| line.contains(label))
    });
    samples
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn program(name: &str) -> Command {
    Command::new(mesh_file(name))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Cluster {
    /// Starts everything in a folder that must not exist.
    fn start(home: &Path) -> Cluster {
        std::fs::create_dir_all(home).expect("a folder");
        let (registry_port, registry) = registry(home);
        let image = push(home, registry_port, &harness::wasm(), "plugin.wasm", "test");
        let (api, etcd, server) = api(home);
        let kubeconfig = home.join("kubeconfig");
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{api}"), "insecure-skip-tls-verify": true,
            }}],
            "users": [{"name": "test", "user": {"token": "test"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).expect("a file");
        let cluster = Cluster {
            home: home.to_owned(),
            kubeconfig: text(&kubeconfig),
            image,
            registry: registry_port,
            _processes: vec![registry, etcd, server],
        };
        wait_for("the API", || {
            let ready = run(&mut cluster.kubectl(&["get", "--raw", "/readyz"]), "");
            ready.status.success().then_some(())
        });
        cluster
    }

    /// Pushes an image with one file: `libagentguard.so`.
    pub(crate) fn push(&self, file: &Path, name: &str, tag: &str) -> String {
        push(&self.home, self.registry, file, name, tag)
    }

    /// Returns the folder of its files.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the configuration file with which programs find the API.
    pub(crate) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// Returns a command of `kubectl`.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = program("kubectl");
        command
            .args(["--kubeconfig", &self.kubeconfig, "--cache-dir"])
            .arg(self.home.join("kubectl"))
            .args(arguments);
        command
    }

    /// Applies manifests as in the documentation.
    #[track_caller]
    pub(crate) fn apply(&self, manifests: &str) {
        let arguments = ["apply", "--server-side", "-f", "-"];
        succeed(&mut self.kubectl(&arguments), manifests);
    }

    /// Applies documents.
    #[track_caller]
    pub(crate) fn apply_all(&self, documents: &[Value]) {
        let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
        self.apply(&texts.join("\n---\n"));
    }

    /// Applies the resource definitions in a file.
    pub(crate) fn define(&self, file: &Path) {
        let arguments = ["apply", "--server-side", "-f", &text(file)];
        succeed(&mut self.kubectl(&arguments), "");
        let established = ["wait", "--for=condition=Established", "crd", "--all"];
        succeed(&mut self.kubectl(&established), "");
    }

    /// Creates a namespace with a service account.
    pub(crate) fn create(&self, namespace: &str, account: &str) {
        run(&mut self.kubectl(&["create", "namespace", namespace]), "");
        succeed(
            &mut self.kubectl(&["create", "serviceaccount", account, "-n", namespace]),
            "",
        );
    }
}

/// Starts a registry of images.
fn registry(home: &Path) -> (u16, Process) {
    let port = free_port();
    let command = [
        &text(&mesh_file("crane")),
        "registry",
        "serve",
        "--address",
        &format!("127.0.0.1:{port}"),
    ];
    let process = Process::start(&command, &[], &home.join("registry.log"));
    wait_for("the registry", || get(port, "/v2/").map(|_| ()));
    (port, process)
}

/// Pushes an image of one file in one layer, as `make dist` packs the module. Returns the name with the digest.
fn push(home: &Path, port: u16, file: &Path, name: &str, tag: &str) -> String {
    let layer = home.join(tag);
    std::fs::create_dir_all(&layer).expect("a folder");
    std::fs::copy(file, layer.join(name)).expect("the module");
    let archive = text(&home.join(format!("{tag}.tar.gz")));
    let tar = ["-C", &text(&layer), "-czf", &archive, name];
    succeed(Command::new("tar").args(tar), "");
    let image = format!("127.0.0.1:{port}/agentguard:{tag}");
    let append = [
        "append",
        "--insecure",
        "--oci-empty-base",
        "-f",
        &archive,
        "-t",
        &image,
    ];
    succeed(program("crane").args(append), "");
    let digest = succeed(program("crane").args(["digest", "--insecure", &image]), "");
    format!("{image}@{}", digest.trim())
}

/// Starts etcd and the API. Returns the API's port.
fn api(home: &Path) -> (u16, Process, Process) {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let (clients, peers, port) = (url(free_port()), url(free_port()), free_port());
    let program = |name: &str| text(&mesh_file(name));
    let etcd = Process::start(
        &[
            &program("etcd"),
            "--data-dir",
            &text(&home.join("etcd")),
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
            "--initial-cluster",
            &format!("default={peers}"),
            // No data must outlive the test.
            "--unsafe-no-fsync",
        ],
        &[],
        &home.join("etcd.log"),
    );
    let file = |name: &str| text(&home.join(name));
    let (private, public) = (file("accounts.key"), file("accounts.pub"));
    let openssl = |arguments: &[&str]| succeed(Command::new("openssl").args(arguments), "");
    openssl(&["genrsa", "-out", &private, "2048"]);
    openssl(&["rsa", "-in", &private, "-pubout", "-out", &public]);
    let tokens = file("tokens.csv");
    std::fs::write(&tokens, "test,admin,1,\"system:masters\"\n").expect("a file");
    let options = [
        ("etcd-servers", &*clients),
        ("secure-port", &port.to_string()),
        ("bind-address", "127.0.0.1"),
        ("advertise-address", "127.0.0.1"),
        ("endpoint-reconciler-type", "none"),
        ("cert-dir", &file("api")),
        ("service-account-key-file", &public),
        ("service-account-signing-key-file", &private),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("authorization-mode", "AlwaysAllow"),
        ("token-auth-file", &tokens),
        ("disable-admission-plugins", "ServiceAccount"),
        ("service-cluster-ip-range", "10.96.0.0/24"),
    ]
    .map(|(name, value)| format!("--{name}={value}"));
    let server = program("kube-apiserver");
    let mut command = vec![&*server];
    command.extend(options.iter().map(String::as_str));
    let server = Process::start(&command, &[], &home.join("api.log"));
    (port, etcd, server)
}
