//! An Envoy process.

use crate::bootstrap::{Bootstrap, Site, http2_cluster};
use crate::client::{Client, Http, Live, Request, Response, Upload};
use crate::process::{Process, setting};
use crate::provider::Provider;
use crate::records::Records;
use crate::wait::wait_for;
use crate::wire::Raw;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A version of Envoy that `make` installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The newest release.
    Newest,
    /// The oldest supported release.
    Oldest,
}

impl Version {
    /// Returns the path of this Envoy.
    ///
    /// # Panics
    /// `make` did not set it.
    pub fn program(self) -> PathBuf {
        setting(match self {
            Version::Newest => "AGENTGUARD_ENVOY_NEWEST",
            Version::Oldest => "AGENTGUARD_ENVOY_OLDEST",
        })
    }

    /// Returns why this Envoy rejects a configuration file, if it does.
    ///
    /// # Panics
    /// Envoy can't be run.
    pub fn refuses(self, config: &Path) -> Option<String> {
        let checked = std::process::Command::new(self.program())
            .args(["--mode", "validate", "--config-path"])
            .arg(config)
            .output()
            .expect("Envoy");
        let told = String::from_utf8_lossy(&checked.stderr).into_owned();
        (!checked.status.success()).then_some(told)
    }
}

/// What runs the filter in Envoy. `AGENTGUARD_HOST=native` runs the same tests with the native module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Envoy's Wasm runtime.
    Wasm,
    /// Envoy itself, which loads the filter as a dynamic module.
    Native,
}

impl Host {
    /// The host of this run.
    ///
    /// # Panics
    /// There is no such host.
    pub fn of_run() -> Host {
        match std::env::var_os("AGENTGUARD_HOST") {
            None => Host::Wasm,
            Some(host) if host == "wasm" => Host::Wasm,
            Some(host) if host == "native" => Host::Native,
            Some(other) => panic!("AGENTGUARD_HOST is `wasm` or `native`, not {other:?}"),
        }
    }

    /// The host of a module: a shared object runs natively.
    pub fn of_module(module: &Path) -> Host {
        match module.extension() {
            Some(kind) if kind == "so" => Host::Native,
            _ => Host::Wasm,
        }
    }

    /// The type of the filter's configuration in Envoy.
    pub fn filter_type(self) -> &'static str {
        match self {
            Host::Wasm => "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            Host::Native => {
                "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"
            }
        }
    }

    /// The options of `agentguard build` for the module of this run.
    pub fn build_options(self) -> Vec<String> {
        let module = module().to_string_lossy().into_owned();
        match self {
            Host::Wasm => vec!["--wasm".to_owned(), module],
            Host::Native => ["--host", "native", "--module"]
                .map(str::to_owned)
                .into_iter()
                .chain([module])
                .collect(),
        }
    }
}

/// Returns the path of the filter built by `make wasm` or `make native`.
///
/// # Panics
/// `make` did not set it.
pub fn module() -> PathBuf {
    match Host::of_run() {
        Host::Wasm => wasm(),
        Host::Native => native(),
    }
}

/// Returns the path of the module built by `make native`, for tests of what is written for it alone.
///
/// # Panics
/// `make` did not set it.
pub fn native() -> PathBuf {
    setting("AGENTGUARD_NATIVE")
}

/// Returns the path of the filter built by `make wasm`, for tests of what is written for Wasm alone.
///
/// # Panics
/// `make` did not set it.
pub fn wasm() -> PathBuf {
    setting("AGENTGUARD_WASM")
}

/// The setup of an Envoy process.
#[derive(Clone, Debug)]
pub struct Setup {
    version: Version,
    sites: Vec<Site>,
    labels: Vec<(&'static str, String)>,
    environment: Option<String>,
    clusters: Vec<Value>,
    workers: u32,
    variables: Vec<(String, String)>,
    upstream: Option<SocketAddr>,
    services: Vec<(&'static str, SocketAddr)>,
    measured: bool,
}

static STARTED: AtomicUsize = AtomicUsize::new(0);

impl Setup {
    /// Creates a setup with one worker and these listeners.
    pub fn new(version: Version, sites: Vec<Site>) -> Setup {
        Setup {
            version,
            sites,
            labels: Vec::new(),
            environment: Some("staging".to_owned()),
            clusters: Vec::new(),
            workers: 1,
            variables: Vec::new(),
            upstream: None,
            services: Vec::new(),
            measured: false,
        }
    }

    /// Uses a real server instead of the provider double.
    pub fn upstream(mut self, address: SocketAddr) -> Setup {
        self.upstream = Some(address);
        self
    }

    /// Adds a cluster with one endpoint.
    pub fn service(mut self, cluster: &'static str, address: SocketAddr) -> Setup {
        self.services.push((cluster, address));
        self
    }

    /// Adds a cluster that is spoken to over HTTP/2.
    pub fn http2_cluster(mut self, name: &str, address: SocketAddr) -> Setup {
        self.clusters.push(http2_cluster(name, address));
        self
    }

    /// For benchmarks: leaves out what costs time and only helps to explain failing tests, or to wait less.
    pub fn measured(mut self) -> Setup {
        self.measured = true;
        self
    }

    /// Sets the labels that are extracted from stat names by Istio's own pattern.
    pub fn labels(mut self, labels: Vec<&'static str>) -> Setup {
        let pattern = |label: &str| format!(r"({label}=\.=(.*?);\.;)");
        let labels = labels.into_iter().map(|label| (label, pattern(label)));
        self.labels = labels.collect();
        self
    }

    /// Sets the labels that are extracted from stat names, each with its pattern.
    pub fn tags(mut self, tags: Vec<(&'static str, String)>) -> Setup {
        self.labels = tags;
        self
    }

    /// Sets the name of the environment in the node's metadata; the default is `staging`.
    pub fn environment(mut self, name: Option<&str>) -> Setup {
        self.environment = name.map(str::to_owned);
        self
    }

    /// Adds a cluster.
    pub fn cluster(mut self, cluster: Value) -> Setup {
        self.clusters.push(cluster);
        self
    }

    /// Sets the number of workers.
    pub fn workers(mut self, workers: u32) -> Setup {
        self.workers = workers;
        self
    }

    /// Sets an environment variable of Envoy.
    pub fn variable(mut self, name: &str, value: &str) -> Setup {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn launch(&self, provider: &Provider) -> Launched {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let home =
            std::env::temp_dir().join(format!("agentguard-envoy-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&home).expect("a directory for Envoy's files");
        let module = module();
        for site in self.sites.iter().filter(|site| site.watched) {
            std::fs::create_dir_all(site.directory(&home)).expect("a directory for a filter");
            put_filter(site, &home);
        }
        let file = home.join("bootstrap.json");
        let config = Bootstrap {
            sites: &self.sites,
            labels: &self.labels,
            environment: self.environment.as_deref(),
            clusters: &self.clusters,
            provider: self.upstream.unwrap_or(provider.address),
            services: &self.services,
            home: &home,
            module: &module,
            measured: self.measured,
        };
        let config = config.write();
        std::fs::write(&file, config.to_string()).expect("a file for the bootstrap");
        let admin = home.join("admin");
        let workers = self.workers.to_string();
        let flush = if self.measured { "1000" } else { "20" };
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut variables = self.variables.clone();
        if let (Host::Native, Some(folder)) = (Host::of_module(&module), module.parent()) {
            variables.push(("ENVOY_DYNAMIC_MODULES_SEARCH_PATH".to_owned(), path(folder)));
        }
        let process = Process::start(
            &[
                &path(&self.version.program()),
                "--config-path",
                &path(&file),
                "--admin-address-path",
                &path(&admin),
                "--concurrency",
                &workers,
                "--disable-hot-restart",
                "--log-level",
                "warning",
                "--component-log-level",
                "wasm:info,dynamic_modules:info",
                "--file-flush-interval-msec",
                flush,
            ],
            &variables,
            &home.join("envoy.log"),
        );
        Launched {
            process,
            home,
            admin,
        }
    }

    /// Starts Envoy with a provider double as upstream and waits until it is ready.
    ///
    /// # Panics
    /// Envoy does not start.
    pub fn start(self) -> Envoy {
        let provider = if self.measured {
            Provider::forgetful()
        } else {
            Provider::start()
        };
        let mut launched = self.launch(&provider);
        let admin: SocketAddr = wait_for("Envoy's admin interface", || {
            if let Some(status) = launched.process.ended() {
                panic!("Envoy ended with {status}:\n{}", launched.process.printed());
            }
            std::fs::read_to_string(&launched.admin).ok()?.parse().ok()
        });
        let mut envoy = Envoy {
            process: launched.process,
            home: launched.home,
            admin,
            provider,
            sites: BTreeMap::new(),
        };
        wait_for("Envoy to be ready", || {
            if let Some(status) = envoy.process.ended() {
                panic!("Envoy ended with {status}");
            }
            (envoy.try_get("/ready")?.status == 200).then_some(())
        });
        let listeners: Value =
            serde_json::from_str(&envoy.get("/listeners?format=json")).expect("Envoy's own JSON");
        for site in self.sites {
            let port = listeners["listener_statuses"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|listener| listener["name"] == site.name.as_str())
                .and_then(|listener| {
                    listener["local_address"]["socket_address"]["port_value"].as_u64()
                })
                .and_then(|port| u16::try_from(port).ok())
                .expect("every site listens");
            let listening = Listening {
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                records: Records::new(envoy.home.join(format!("{}.audit.jsonl", site.name))),
                site,
            };
            envoy.sites.insert(listening.site.name.clone(), listening);
        }
        envoy
    }

    /// Starts Envoy with a configuration that it must reject. Returns its exit status and output.
    ///
    /// # Panics
    /// Envoy does not exit.
    pub fn fail_to_start(self) -> (ExitStatus, String) {
        let mut launched = self.launch(&Provider::start());
        let status = wait_for("Envoy to refuse its configuration", || {
            launched.process.ended()
        });
        let printed = launched.process.printed();
        let _ = std::fs::remove_dir_all(&launched.home);
        (status, printed)
    }
}

struct Launched {
    process: Process,
    home: PathBuf,
    admin: PathBuf,
}

/// Replaces the file of a watched filter atomically, as Envoy requires.
fn put_filter(site: &Site, home: &Path) {
    let directory = site.directory(home);
    let new = directory.join("filter.json.new");
    std::fs::write(&new, site.discovery(&module()).to_string()).expect("a file for a filter");
    std::fs::rename(&new, directory.join("filter.json")).expect("the file takes its place");
}

/// A running Envoy with a provider double as upstream. A failing test prints its logs.
pub struct Envoy {
    process: Process,
    home: PathBuf,
    admin: SocketAddr,
    /// The upstream.
    pub provider: Provider,
    sites: BTreeMap<String, Listening>,
}

/// A listener.
pub struct Listening {
    site: Site,
    /// The listening address.
    pub address: SocketAddr,
    /// The audit events.
    pub records: Records,
}

/// A sample of the Prometheus page.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

impl Envoy {
    /// Returns a listener.
    ///
    /// # Panics
    /// There is none with this name.
    #[track_caller]
    pub fn site(&self, name: &str) -> &Listening {
        self.sites.get(name).expect("no such site")
    }

    /// Returns the address of the admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Returns the process id.
    pub fn process_id(&self) -> u32 {
        self.process.id
    }

    /// Returns Envoy's output so far.
    pub fn printed(&self) -> String {
        self.process.printed()
    }

    fn try_get(&self, path: &str) -> Option<crate::wire::RawResponse> {
        self.ask("GET", path)
    }

    fn ask(&self, method: &str, path: &str) -> Option<crate::wire::RawResponse> {
        let mut raw = Raw::connect(self.admin).ok()?;
        raw.send(
            format!("{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .as_bytes(),
        );
        raw.response()
    }

    /// Returns a page of the admin interface.
    ///
    /// # Panics
    /// The request fails.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let response = self.try_get(path).expect("Envoy's admin does not answer");
        String::from_utf8(response.body).expect("the admin interface speaks UTF-8")
    }

    /// Returns a counter or gauge of `/stats`; 0 if it does not exist.
    #[track_caller]
    pub fn stat(&self, name: &str) -> u64 {
        self.get("/stats?format=text")
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
            .unwrap_or(0)
    }

    /// Returns the Prometheus page, parsed like a strict scraper.
    ///
    /// # Panics
    /// A scraper could not parse it.
    #[track_caller]
    pub fn samples(&self) -> Vec<Sample> {
        self.get("/stats/prometheus")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}")))
            .collect()
    }

    /// Replaces a watched filter. Does not wait until Envoy uses it.
    pub fn replace(&mut self, site: Site) {
        let name = site.name.clone();
        put_filter(&site, &self.home);
        if let Some(listening) = self.sites.get_mut(&name) {
            listening.site = site;
        }
    }

    /// Returns a discovery counter of a watched filter: `update_success`, `update_rejected` and others.
    #[track_caller]
    pub fn discovery_stat(&self, site: &str, what: &str) -> u64 {
        self.stat(&self.site(site).site.discovery_stat(what))
    }

    /// Returns the bytes of memory in use by Envoy's own count, and those allocated from the system.
    #[track_caller]
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id))
            .unwrap_or_default();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
            .unwrap_or(0);
        (self.stat("server.memory_allocated"), resident * 1024)
    }
}

/// Parses `name{label="value",…} 1`.
fn sample(line: &str) -> Option<Sample> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next()? {
                    (at, '"') => break at + 1,
                    (_, '\\') => match chars.next()?.1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        _ => return None,
                    },
                    (_, c) if c.is_control() => return None,
                    (_, c) => value.push(c),
                }
            };
            labels.insert(label.to_owned(), value);
            rest = &after[end..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
    };
    if !is_name(name) || !labels.keys().all(|label| is_name(label)) {
        return None;
    }
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: rest.trim().parse().ok()?,
    })
}

impl Listening {
    /// Returns the listener's name.
    pub fn name(&self) -> &str {
        &self.site.name
    }

    /// Sends a request on a new connection and reads the whole response.
    ///
    /// # Panics
    /// There is no response.
    #[track_caller]
    pub fn send(&self, http: Http, request: &Request) -> Response {
        match self.try_send(http, request) {
            Ok(response) => response,
            Err(error) => panic!("no response: {error}"),
        }
    }

    /// Sends a request on a new connection and reads the whole response.
    ///
    /// # Errors
    /// There is no response.
    pub fn try_send(&self, http: Http, request: &Request) -> Result<Response, String> {
        Ok(Client::connect(http, self.address).open(request)?.rest())
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Panics
    /// There is no response.
    #[track_caller]
    pub fn open(&self, http: Http, request: &Request) -> Live {
        match Client::connect(http, self.address).open(request) {
            Ok(live) => live,
            Err(error) => panic!("no response: {error}"),
        }
    }

    /// Sends a request and leaves its body open.
    pub fn begin(&self, http: Http, request: &Request) -> Upload {
        Client::connect(http, self.address).begin(request)
    }

    /// Opens a connection for any bytes.
    ///
    /// # Panics
    /// The listener does not accept it.
    #[track_caller]
    pub fn raw(&self) -> Raw {
        Raw::connect(self.address).expect("nobody listens")
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

impl Envoy {
    /// Prints the logs that explain a failed test.
    fn tell(&self) {
        let tail = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(60)..].join("\n")
        };
        eprintln!("──── Envoy ────\n{}", tail(&self.process.printed()));
        for (name, site) in &self.sites {
            let access = std::fs::read_to_string(self.home.join(format!("{name}.access.log")));
            eprintln!(
                "──── access log of {name} ────\n{}",
                tail(&access.unwrap_or_default())
            );
            eprintln!(
                "──── audit log of {name} ────\n{}",
                tail(&site.records.lines().join("\n"))
            );
        }
        let received = self.provider.received();
        eprintln!(
            "──── the last of {} requests at the provider ────",
            received.len()
        );
        for received in &received[received.len().saturating_sub(10)..] {
            let mut body = String::from_utf8_lossy(&received.body).into_owned();
            body.truncate(body.floor_char_boundary(2_000));
            eprintln!(
                "{} {} ({:?})",
                received.method, received.path, received.ended
            );
            for (name, value) in &received.headers {
                eprintln!("{name}: {}", String::from_utf8_lossy(value));
            }
            eprintln!("{body}");
        }
    }
}
