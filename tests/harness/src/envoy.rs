//! An Envoy process.

use crate::bootstrap::{Bootstrap, Site, http2_cluster};
use crate::client::{Client, Http, Live, Request, Response, Upload};
use crate::pool;
use crate::process::{Process, setting};
use crate::provider::Provider;
use crate::records::Records;
use crate::wait::wait_for;
use crate::wire::{Raw, RawResponse};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Version of Envoy that `make` installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Newest release.
    Newest,
    /// Oldest supported release.
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

    /// Returns the reason for which this Envoy rejects a configuration file; `None` if it accepts the file.
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

/// Host of the filter in Envoy. `AGENTGUARD_HOST=native` runs the same tests with the native module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Envoy's Wasm runtime.
    Wasm,
    /// Envoy itself, which loads the filter as a dynamic module.
    Native,
}

impl Host {
    /// Returns the host of this run.
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

    /// Returns the host of a module: a shared object runs natively.
    pub fn of_module(module: &Path) -> Host {
        match module.extension() {
            Some(kind) if kind == "so" => Host::Native,
            _ => Host::Wasm,
        }
    }

    /// Returns the type of the filter's configuration in Envoy.
    pub fn filter_type(self) -> &'static str {
        match self {
            Host::Wasm => "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            Host::Native => {
                "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"
            }
        }
    }

    /// Returns the options of `agentguard build` for the module of this run.
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

/// Returns the path of the module built by `make native`, for tests of native-only output.
///
/// # Panics
/// `make` did not set it.
pub fn native() -> PathBuf {
    setting("AGENTGUARD_NATIVE")
}

/// Returns the path of the filter built by `make wasm`, for tests of Wasm-only output.
///
/// # Panics
/// `make` did not set it.
pub fn wasm() -> PathBuf {
    setting("AGENTGUARD_WASM")
}

/// Options that can't change while an Envoy process runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    version: Version,
    labels: Vec<(&'static str, String)>,
    environment: Option<String>,
    workers: u32,
    variables: Vec<(String, String)>,
}

/// Setup of an Envoy process.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(crate) options: Options,
    pub(crate) sites: Vec<Site>,
    clusters: Vec<Value>,
    upstream: Option<SocketAddr>,
    services: Vec<(&'static str, SocketAddr)>,
    measured: bool,
    /// Whether listeners and clusters are read from files that Envoy watches.
    dynamic: bool,
}

static STARTED: AtomicUsize = AtomicUsize::new(0);

impl Setup {
    /// Creates a setup with one worker and these listeners.
    pub fn new(version: Version, sites: Vec<Site>) -> Setup {
        let options = Options {
            version,
            labels: Vec::new(),
            environment: Some("staging".to_owned()),
            workers: 1,
            variables: Vec::new(),
        };
        Setup::with_options(options, sites)
    }

    /// Creates a setup with these options and listeners.
    pub(crate) fn with_options(options: Options, sites: Vec<Site>) -> Setup {
        Setup {
            options,
            sites,
            clusters: Vec::new(),
            upstream: None,
            services: Vec::new(),
            measured: false,
            dynamic: false,
        }
    }

    /// Makes Envoy read more listeners and clusters from files that it watches, and drop removed listeners within a
    /// second.
    pub(crate) fn dynamic(mut self) -> Setup {
        self.dynamic = true;
        self
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

    /// Adds a cluster with HTTP/2.
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
        self.options.labels = labels.collect();
        self
    }

    /// Sets the labels that are extracted from stat names, each with its pattern.
    pub fn tags(mut self, tags: Vec<(&'static str, String)>) -> Setup {
        self.options.labels = tags;
        self
    }

    /// Sets the name of the environment in the node's metadata; the default is `staging`.
    pub fn environment(mut self, name: Option<&str>) -> Setup {
        self.options.environment = name.map(str::to_owned);
        self
    }

    /// Adds a cluster.
    pub fn cluster(mut self, cluster: Value) -> Setup {
        self.clusters.push(cluster);
        self
    }

    /// Sets the number of workers.
    pub fn workers(mut self, workers: u32) -> Setup {
        self.options.workers = workers;
        self
    }

    /// Sets an environment variable of Envoy.
    pub fn variable(mut self, name: &str, value: &str) -> Setup {
        self.options
            .variables
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes the files of watched filters.
    pub(crate) fn put_filters(&self, home: &Path) {
        for site in self.sites.iter().filter(|site| site.watched) {
            std::fs::create_dir_all(site.directory(home)).expect("a directory for a filter");
            put_filter(site, home);
        }
    }

    /// Returns the resources of Envoy that this setup needs, with files below `home`.
    pub(crate) fn bootstrap<'b>(
        &'b self,
        provider: &Provider,
        home: &'b Path,
        module: &'b Path,
    ) -> Bootstrap<'b> {
        Bootstrap {
            sites: &self.sites,
            labels: &self.options.labels,
            environment: self.options.environment.as_deref(),
            clusters: &self.clusters,
            provider: self.upstream.unwrap_or(provider.address),
            services: &self.services,
            home,
            module,
            measured: self.measured,
            dynamic: self.dynamic,
        }
    }

    fn launch(&self, provider: &Provider) -> Running {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let home =
            std::env::temp_dir().join(format!("agentguard-envoy-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&home).expect("a directory for Envoy's files");
        let module = module();
        self.put_filters(&home);
        if self.dynamic {
            pool::empty(&home);
        }
        let file = home.join("bootstrap.json");
        let config = self.bootstrap(provider, &home, &module).write();
        std::fs::write(&file, config.to_string()).expect("a file for the bootstrap");
        let admin = home.join("admin");
        let workers = self.options.workers.to_string();
        let flush = if self.measured { "1000" } else { "20" };
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut variables = self.options.variables.clone();
        if let (Host::Native, Some(folder)) = (Host::of_module(&module), module.parent()) {
            variables.push(("ENVOY_DYNAMIC_MODULES_SEARCH_PATH".to_owned(), path(folder)));
        }
        let (program, file, addresses) = (
            path(&self.options.version.program()),
            path(&file),
            path(&admin),
        );
        let mut command = vec![
            program.as_str(),
            "--config-path",
            &file,
            "--admin-address-path",
            &addresses,
            "--concurrency",
            &workers,
            "--disable-hot-restart",
            "--log-level",
            "warning",
            "--component-log-level",
            "wasm:info,dynamic_modules:info",
            "--file-flush-interval-msec",
            flush,
        ];
        if self.dynamic {
            command.extend(["--drain-time-s", "1", "--drain-strategy", "immediate"]);
        }
        Running {
            options: self.options.clone(),
            process: Process::start_in(&home, &command, &variables, &home.join("envoy.log")),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            home,
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
        let mut running = self.launch(&provider);
        let admin = running.home.join("admin");
        running.admin = wait_for("Envoy's admin interface", || {
            if let Some(status) = running.process.ended() {
                panic!("Envoy ended with {status}:\n{}", running.process.printed());
            }
            std::fs::read_to_string(&admin).ok()?.parse().ok()
        });
        wait_for("Envoy to be ready", || {
            if let Some(status) = running.process.ended() {
                panic!("Envoy ended with {status}:\n{}", running.process.printed());
            }
            (running.ask("GET", "/ready")?.status == 200).then_some(())
        });
        let home = running.home.clone();
        Envoy::new(Arc::new(running), home, provider, 0).listening(self.sites, str::to_owned)
    }

    /// Takes an idle Envoy of earlier tests, or starts one, and adds these listeners and clusters. Saves the seconds for
    /// which V8 compiles the filter. Counters begin with 0. The filter's state in its virtual machine (limits, spent
    /// approvals, sessions) and the names of metrics include those of earlier tests.
    ///
    /// # Panics
    /// Envoy rejects the listeners.
    pub fn lease(self) -> Envoy {
        // A native module needs no compilation.
        match Host::of_run() {
            Host::Wasm => pool::lease(self)
                .unwrap_or_else(|printed| panic!("Envoy refuses a listener:\n{printed}")),
            Host::Native => self.start(),
        }
    }

    /// Leases an Envoy as [`lease`](Setup::lease) does, with a virtual machine for these listeners alone: nothing that one
    /// keeps is from earlier tests. V8 compiles a module once for all machines of a process.
    ///
    /// # Panics
    /// Envoy rejects the listeners.
    pub fn lease_apart(mut self) -> Envoy {
        static MACHINES: AtomicUsize = AtomicUsize::new(0);
        let vm = format!("apart-{}", MACHINES.fetch_add(1, Ordering::Relaxed));
        self.sites = self.sites.into_iter().map(|site| site.vm(&vm)).collect();
        self.lease()
    }

    /// Returns what a running Envoy prints when it rejects these listeners.
    ///
    /// # Panics
    /// Envoy accepts them.
    pub fn refused(self) -> String {
        match Host::of_run() {
            Host::Wasm => pool::lease(self).err().expect("Envoy takes the listeners"),
            Host::Native => self.fail_to_start().1,
        }
    }

    /// Starts Envoy with a configuration that it must reject. Returns its exit status and output.
    ///
    /// # Panics
    /// Envoy does not exit.
    pub fn fail_to_start(self) -> (ExitStatus, String) {
        let mut running = self.launch(&Provider::start());
        let status = wait_for("Envoy to refuse its configuration", || {
            running.process.ended()
        });
        (status, running.process.printed())
    }
}

/// Envoy process. Its files are deleted with it.
pub(crate) struct Running {
    pub(crate) options: Options,
    process: Process,
    /// Directory of its files.
    pub(crate) home: PathBuf,
    admin: SocketAddr,
}

impl Running {
    fn ask(&self, method: &str, path: &str) -> Option<RawResponse> {
        let mut raw = Raw::connect(self.admin).ok()?;
        raw.send(
            format!("{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .as_bytes(),
        );
        raw.response()
    }

    /// Returns a page of the admin interface.
    pub(crate) fn page(&self, path: &str) -> Option<String> {
        let response = self.ask("GET", path)?;
        Some(String::from_utf8(response.body).expect("the admin interface speaks UTF-8"))
    }

    /// Sets all counters to 0.
    pub(crate) fn reset_counters(&self) {
        let answer = self.ask("POST", "/reset_counters");
        assert_eq!(answer.map(|answer| answer.status), Some(200));
    }

    /// Returns a counter or gauge of `/stats`; 0 if it does not exist.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        self.page("/stats?format=text")
            .expect("Envoy's admin does not answer")
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
            .unwrap_or(0)
    }

    /// Returns Envoy's output so far.
    pub(crate) fn printed(&self) -> String {
        self.process.printed()
    }
}

/// Replaces a file that Envoy watches, atomically, as it requires.
///
/// # Panics
/// The file can't be written.
pub fn replace_watched(file: &Path, content: &Value) {
    let new = file.with_extension("new");
    std::fs::write(&new, content.to_string()).expect("a file beside the watched one");
    std::fs::rename(&new, file).expect("it takes its place");
}

/// Replaces the file of a watched filter.
fn put_filter(site: &Site, home: &Path) {
    let file = site.directory(home).join("filter.json");
    replace_watched(&file, &site.discovery(&module()));
}

/// Running Envoy with a provider double as upstream. A failing test prints its logs.
pub struct Envoy {
    pub(crate) running: Arc<Running>,
    /// Directory of the logs of its listeners.
    home: PathBuf,
    /// Upstream.
    pub provider: Provider,
    sites: BTreeMap<String, Listening>,
    /// Number of bytes that Envoy printed for earlier tests.
    printed_before: usize,
}

/// Listener.
pub struct Listening {
    site: Site,
    /// Address of the listener.
    pub address: SocketAddr,
    /// Audit events.
    pub records: Records,
}

/// Sample of the Prometheus page.
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
    pub(crate) fn new(
        running: Arc<Running>,
        home: PathBuf,
        provider: Provider,
        printed_before: usize,
    ) -> Envoy {
        Envoy {
            running,
            home,
            provider,
            sites: BTreeMap::new(),
            printed_before,
        }
    }

    /// Finds the listeners of these sites by their names in Envoy.
    pub(crate) fn listening(mut self, sites: Vec<Site>, name: impl Fn(&str) -> String) -> Envoy {
        let listeners: Value =
            serde_json::from_str(&self.get("/listeners?format=json")).expect("Envoy's own JSON");
        for site in sites {
            let port = listeners["listener_statuses"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|listener| listener["name"] == name(&site.name))
                .and_then(|listener| {
                    listener["local_address"]["socket_address"]["port_value"].as_u64()
                })
                .and_then(|port| u16::try_from(port).ok())
                .expect("every site listens");
            let listening = Listening {
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                records: Records::new(self.home.join(format!("{}.audit.jsonl", site.name))),
                site,
            };
            self.sites.insert(listening.site.name.clone(), listening);
        }
        self
    }

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
        self.running.admin
    }

    /// Returns the process id.
    pub fn process_id(&self) -> u32 {
        self.running.process.id
    }

    /// Returns Envoy's output so far.
    pub fn printed(&self) -> String {
        let all = self.running.printed();
        let since = all.floor_char_boundary(self.printed_before);
        all[since..].to_owned()
    }

    /// Returns a page of the admin interface.
    ///
    /// # Panics
    /// The request fails.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        self.running
            .page(path)
            .expect("Envoy's admin does not answer")
    }

    /// Returns a counter or gauge of `/stats`; 0 if it does not exist.
    #[track_caller]
    pub fn stat(&self, name: &str) -> u64 {
        self.running.stat(name)
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

    /// Returns the memory in use by Envoy's own count, and the resident memory of the process, in bytes.
    #[track_caller]
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process_id()))
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

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        if self.home != self.running.home {
            pool::give_back(&self.running, &self.home);
        }
    }
}

impl Envoy {
    /// Prints the logs that explain a failed test.
    fn tell(&self) {
        let tail = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(60)..].join("\n")
        };
        eprintln!("──── Envoy ────\n{}", tail(&self.printed()));
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
