//! A running Envoy.

use crate::bootstrap::{Bootstrap, Site};
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

/// A version of Envoy that `make` installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The newest that there is.
    Newest,
    /// The oldest that we support.
    Oldest,
}

impl Version {
    fn program(self) -> PathBuf {
        setting(match self {
            Version::Newest => "AGENTGUARD_ENVOY_NEWEST",
            Version::Oldest => "AGENTGUARD_ENVOY_OLDEST",
        })
    }

    /// Why this Envoy would not start with a configuration in a file, if it would not.
    ///
    /// # Panics
    /// When Envoy can't be run.
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

/// The filter as `make wasm` built it.
///
/// # Panics
/// When `make` did not say where it is.
pub fn wasm() -> PathBuf {
    setting("AGENTGUARD_WASM")
}

/// How an Envoy is started.
#[derive(Clone, Debug)]
pub struct Setup {
    version: Version,
    sites: Vec<Site>,
    labels: Vec<&'static str>,
    workers: u32,
    variables: Vec<(String, String)>,
    upstream: Option<SocketAddr>,
    measured: bool,
}

static STARTED: AtomicUsize = AtomicUsize::new(0);

impl Setup {
    /// An Envoy with one worker and these listeners.
    pub fn new(version: Version, sites: Vec<Site>) -> Setup {
        Setup {
            version,
            sites,
            labels: Vec::new(),
            workers: 1,
            variables: Vec::new(),
            upstream: None,
            measured: false,
        }
    }

    /// Puts a real server behind Envoy, in the provider double's place.
    pub fn upstream(mut self, address: SocketAddr) -> Setup {
        self.upstream = Some(address);
        self
    }

    /// For benchmarks: leaves out what costs time and only serves to explain failing tests, or to wait less.
    pub fn measured(mut self) -> Setup {
        self.measured = true;
        self
    }

    /// Labels that are cut out of the stats' names.
    pub fn labels(mut self, labels: Vec<&'static str>) -> Setup {
        self.labels = labels;
        self
    }

    /// How many workers.
    pub fn workers(mut self, workers: u32) -> Setup {
        self.workers = workers;
        self
    }

    /// An environment variable of Envoy's.
    pub fn variable(mut self, name: &str, value: &str) -> Setup {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn launch(&self, provider: &Provider) -> Launched {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let home =
            std::env::temp_dir().join(format!("agentguard-envoy-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&home).expect("a directory for Envoy's files");
        let wasm = wasm();
        for site in self.sites.iter().filter(|site| site.watched) {
            std::fs::create_dir_all(site.directory(&home)).expect("a directory for a filter");
            put_filter(site, &home);
        }
        let file = home.join("bootstrap.json");
        let config = Bootstrap {
            sites: &self.sites,
            labels: &self.labels,
            provider: self.upstream.unwrap_or(provider.address),
            home: &home,
            wasm: &wasm,
            measured: self.measured,
        };
        let config = config.write();
        std::fs::write(&file, config.to_string()).expect("a file for the bootstrap");
        let admin = home.join("admin");
        let workers = self.workers.to_string();
        let flush = if self.measured { "1000" } else { "20" };
        let path = |path: &Path| path.to_string_lossy().into_owned();
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
                "wasm:info",
                "--file-flush-interval-msec",
                flush,
            ],
            &self.variables,
            &home.join("envoy.log"),
        );
        Launched {
            process,
            home,
            admin,
        }
    }

    /// Starts Envoy with a provider double behind it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
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

    /// Starts Envoy with a configuration that it must refuse: how it ended and what it printed.
    ///
    /// # Panics
    /// When it does not end.
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

/// Puts the file that a watched filter comes from in its place, at once as a whole, as Envoy wants it.
fn put_filter(site: &Site, home: &Path) {
    let directory = site.directory(home);
    let new = directory.join("filter.json.new");
    std::fs::write(&new, site.discovery(&wasm()).to_string()).expect("a file for a filter");
    std::fs::rename(&new, directory.join("filter.json")).expect("the file takes its place");
}

/// A running Envoy with a provider double behind it. When a test fails, it shows what happened.
pub struct Envoy {
    process: Process,
    home: PathBuf,
    admin: SocketAddr,
    /// The double behind it.
    pub provider: Provider,
    sites: BTreeMap<String, Listening>,
}

/// One of its listeners.
pub struct Listening {
    site: Site,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its audit lines.
    pub records: Records,
}

/// One line of the Prometheus page.
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
    /// A listener.
    ///
    /// # Panics
    /// When there is none of that name.
    #[track_caller]
    pub fn site(&self, name: &str) -> &Listening {
        self.sites.get(name).expect("no such site")
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id
    }

    /// Everything that Envoy printed so far.
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

    /// A page of the admin interface.
    ///
    /// # Panics
    /// When it can't be had.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let response = self.try_get(path).expect("Envoy's admin does not answer");
        String::from_utf8(response.body).expect("the admin interface speaks UTF-8")
    }

    /// A counter or gauge by its name in `/stats`; 0 if it is not there.
    #[track_caller]
    pub fn stat(&self, name: &str) -> u64 {
        self.get("/stats?format=text")
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
            .unwrap_or(0)
    }

    /// The Prometheus page, as a strict scraper reads it.
    ///
    /// # Panics
    /// When a scraper could not read it.
    #[track_caller]
    pub fn samples(&self) -> Vec<Sample> {
        self.get("/stats/prometheus")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}")))
            .collect()
    }

    /// Puts another filter in the place of a watched one. Says nothing about when Envoy takes it up.
    pub fn replace(&mut self, site: Site) {
        let name = site.name.clone();
        put_filter(&site, &self.home);
        if let Some(listening) = self.sites.get_mut(&name) {
            listening.site = site;
        }
    }

    /// A count of what became of the files of a watched filter: `update_success`, `update_rejected` and others.
    #[track_caller]
    pub fn discovery_stat(&self, site: &str, what: &str) -> u64 {
        self.stat(&self.site(site).site.discovery_stat(what))
    }

    /// Bytes of memory that Envoy has in use, by its own count, and those that the system gave it.
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

/// Reads `name{label="value",…} 1`.
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
    /// Its name.
    pub fn name(&self) -> &str {
        &self.site.name
    }

    /// Sends a request on a connection of its own and reads the whole response.
    ///
    /// # Panics
    /// When there is no response.
    #[track_caller]
    pub fn send(&self, http: Http, request: &Request) -> Response {
        match self.try_send(http, request) {
            Ok(response) => response,
            Err(error) => panic!("no response: {error}"),
        }
    }

    /// Sends a request on a connection of its own and reads the whole response.
    ///
    /// # Errors
    /// There is no response.
    pub fn try_send(&self, http: Http, request: &Request) -> Result<Response, String> {
        Ok(Client::connect(http, self.address).open(request)?.rest())
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Panics
    /// When there is no response.
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

    /// A connection for any bytes.
    ///
    /// # Panics
    /// When nobody listens.
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
    /// Prints everything that helps to see why a test failed.
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
