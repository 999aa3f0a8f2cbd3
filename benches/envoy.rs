//! Benchmark of the filter's cost in a real Envoy: without filter, with a filter that only reads both bodies (the
//! baseline), and with this filter under policies of 1 and of 100 rules. Then the same for streamed responses.
//!
//! All of them are listeners of one Envoy with one worker, loaded in turn in several rounds, so that other load on the
//! machine affects all alike. CPU time of the Envoy process per exchange is the reliable figure on a noisy machine;
//! ratios are those of medians. `make bench` runs it; `--help` lists the options.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a benchmark reads clocks, prints, and ends where something is wrong"
)]

use harness::{Answer, Envoy, Http, Listening, Request, Setup, Site, Version};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

mod streams;
mod workload;

use workload::{policy, question, rules};

const HELP: &str = "\
Options, after BENCH= :
  --only WHAT        bodies, streams or memory; the default is all three
  --json             one JSON object for each line of the table
  --rounds N         rounds over all listeners (default 7)
  --seconds S        time for each listener in each round (default 1)
  --connections N    clients, each with a connection of its own (default 4)
  --sizes A,B        request bodies: so many bytes, or 24tools, 40turns of an agent
                     (default 1024,4096,65536,1048576,24tools,40turns)
  --hold             headers are held; the default is portable
  --new              texts of each request that none before had; the answers stay the same
  --policy FILE      measures this policy (JSON) instead of those of 1 and 100 rules; may be given several times
  --module FILE      measures this build of the filter, too; may be given several times";

/// Parameter that determines the size of a request's body.
#[derive(Clone, Copy)]
enum Size {
    Bytes(usize),
    Tools(usize),
    Turns(usize),
}

impl Size {
    fn read(word: &str) -> Size {
        if let Some(tools) = word.strip_suffix("tools") {
            return Size::Tools(number(tools));
        }
        match word.strip_suffix("turns") {
            Some(turns) => Size::Turns(number(turns)),
            None => Size::Bytes(number(word)),
        }
    }

    fn body(self) -> Vec<u8> {
        match self {
            Size::Bytes(size) => question(size),
            Size::Tools(tools) => workload::question_with_tools(tools),
            Size::Turns(turns) => workload::question_after_turns(turns),
        }
    }
}

struct Options {
    only: Option<String>,
    json: bool,
    rounds: usize,
    time: Duration,
    connections: usize,
    sizes: Vec<Size>,
    hold: bool,
    new: bool,
    policies: Vec<PathBuf>,
    modules: Vec<PathBuf>,
}

impl Options {
    fn read() -> Options {
        let mut options = Options {
            only: None,
            json: false,
            rounds: 7,
            time: Duration::from_secs(1),
            connections: 4,
            sizes: [1 << 10, 4 << 10, 64 << 10, 1 << 20]
                .map(Size::Bytes)
                .into_iter()
                .chain([Size::Tools(24), Size::Turns(40)])
                .collect(),
            hold: false,
            new: false,
            policies: Vec::new(),
            modules: Vec::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut operand = || words.next().unwrap_or_else(|| give_up(&word));
            match word.as_str() {
                "--only" => options.only = Some(operand()),
                "--json" => options.json = true,
                "--hold" => options.hold = true,
                "--new" => options.new = true,
                "--rounds" => options.rounds = number(&operand()),
                "--connections" => options.connections = number(&operand()),
                "--seconds" => {
                    let seconds = operand();
                    let seconds = seconds.parse().unwrap_or_else(|_| give_up(&seconds));
                    options.time = Duration::from_secs_f64(seconds);
                }
                "--sizes" => options.sizes = operand().split(',').map(Size::read).collect(),
                "--policy" => options.policies.push(from_root(&operand())),
                "--module" => options.modules.push(from_root(&operand())),
                // `cargo bench` passes this to every benchmark.
                "--bench" => {}
                _ => give_up(&word),
            }
        }
        options
    }
}

/// Returns the path of a file of the repository: cargo runs a benchmark in the folder of its package.
fn from_root(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join(path)
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| give_up(text))
}

fn give_up(word: &str) -> ! {
    eprintln!("not understood: {word}\n\n{HELP}");
    std::process::exit(2)
}

/// Returns the measured policies with their names.
fn policies(options: &Options) -> Vec<(String, Value)> {
    if options.policies.is_empty() {
        return [1, 100]
            .map(|count| {
                let name = if count == 1 { "1 rule" } else { "100 rules" };
                (name.to_owned(), policy(&rules(count), options.hold))
            })
            .to_vec();
    }
    let read = |file: &PathBuf| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let policy = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (name.into_owned(), policy)
    };
    options.policies.iter().map(read).collect()
}

fn answer() -> Answer {
    Answer::json(200, &workload::answer())
}

/// Returns the CPU time of all threads of a process.
fn cpu(process: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("Envoy runs");
    let nanoseconds = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanoseconds)
}

/// One listener under load.
struct Sample {
    cpu_us: f64,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
}

fn load(
    envoy: &Envoy,
    site: &Listening,
    request: &[u8],
    options: &Options,
    connections: usize,
) -> Sample {
    let word = workload::NEW_WORD.as_bytes();
    let mut places: Vec<usize> = Vec::new();
    if options.new {
        let windows = request.windows(word.len()).enumerate();
        places.extend(
            windows
                .filter(|(_, bytes)| *bytes == word)
                .map(|(at, _)| at),
        );
    }
    let before = cpu(envoy.process_id());
    let start = Instant::now();
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = site.raw();
                    let mut request = request.to_vec();
                    let mut latencies = Vec::with_capacity(1 << 16);
                    while start.elapsed() < options.time {
                        let new = workload::new_word(NUMBER.fetch_add(1, Ordering::Relaxed));
                        for at in &places {
                            request[*at..*at + word.len()].copy_from_slice(new.as_bytes());
                        }
                        let sent = Instant::now();
                        connection.send(&request);
                        let response = connection.response().expect("an answer");
                        assert_eq!(
                            response.status,
                            200,
                            "{}",
                            String::from_utf8_lossy(&response.body)
                        );
                        latencies.push(sent.elapsed());
                    }
                    latencies
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client"))
            .collect()
    });
    let elapsed = start.elapsed();
    let used = cpu(envoy.process_id()) - before;
    latencies.sort_unstable();
    let count = latencies.len();
    let at = |share: f64| {
        let index = ((count - 1) as f64 * share) as usize;
        latencies[index].as_secs_f64() * 1e6
    };
    Sample {
        cpu_us: used.as_secs_f64() * 1e6 / count as f64,
        rate: count as f64 / elapsed.as_secs_f64(),
        p50_us: at(0.5),
        p99_us: at(0.99),
    }
}

/// Number of the next request.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let options = Options::read();
    type Part = (&'static str, fn(&Options));
    let parts: [Part; 3] = [
        ("bodies", bodies),
        ("streams", streams::frames),
        ("memory", streams::memory),
    ];
    if let Some(only) = &options.only
        && parts.iter().all(|(name, _)| name != only)
    {
        give_up(only)
    }
    for (name, run) in parts {
        if options.only.as_deref().is_none_or(|only| only == name) {
            run(&options);
        }
    }
}

fn bodies(options: &Options) {
    let floor = std::env::var_os("AGENTGUARD_FLOOR_WASM").expect("run this with `make bench`");
    let mut names = vec!["no filter".to_owned(), "floor".to_owned()];
    let mut sites = vec![
        Site::bare("no filter"),
        Site::new("floor", &json!({})).module(floor.into()),
    ];
    for (name, policy) in policies(options) {
        let hold = policy.pointer("/envoy/headers") == Some(&json!("hold"));
        let site = |name: &str| {
            Site::new(name, &policy)
                .stop_iteration(hold)
                .variable("AUDIT_KEY")
        };
        sites.push(site(&name));
        for (number, module) in options.modules.iter().enumerate() {
            let name = format!("{name} +{}", number + 1);
            sites.push(site(&name).module(module.clone()));
            names.push(name);
        }
        names.push(name);
    }
    let envoy = Setup::new(Version::Newest, sites)
        .variable("AUDIT_KEY", "of the benchmark")
        .measured()
        .start();
    envoy.provider.answer_always(answer());
    // One request over HTTP/2 checks that the listeners work.
    for name in &names {
        let response = envoy
            .site(name)
            .send(Http::Two, &Request::chat(question(1 << 10)));
        assert_eq!(response.status, 200, "{name}: {response:?}");
    }
    if !options.json {
        println!(
            "Envoy with one worker, {} connections, HTTP/1.1, {} rounds of {:?}; headers {}; medians\n\n\
             {:>9}  {:<12} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9}",
            options.connections,
            options.rounds,
            options.time,
            if options.hold { "held" } else { "portable" },
            "body",
            "",
            "CPU µs each",
            "to floor",
            "ns/B over",
            "req/s",
            "p50 µs",
            "p99 µs"
        );
    }
    for size in &options.sizes {
        measure(&envoy, &names, *size, options);
    }
}

fn measure(envoy: &Envoy, names: &[String], size: Size, options: &Options) {
    let body = size.body();
    let request = Request::chat(body.clone()).bytes();
    let mut samples: Vec<Vec<Sample>> = names.iter().map(|_| Vec::new()).collect();
    // The first round is warm-up.
    for round in 0..=options.rounds {
        for (name, samples) in names.iter().zip(&mut samples) {
            let connections = options.connections;
            let sample = load(envoy, envoy.site(name), &request, options, connections);
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let floor = median(&samples[1], |sample| sample.cpu_us);
    for (name, samples) in names.iter().zip(&samples) {
        let cpu = median(samples, |sample| sample.cpu_us);
        let rate = median(samples, |sample| sample.rate);
        let p50 = median(samples, |sample| sample.p50_us);
        let p99 = median(samples, |sample| sample.p99_us);
        let ratio = cpu / floor;
        let per_byte = (cpu - floor) * 1e3 / body.len() as f64;
        if options.json {
            println!(
                "{}",
                json!({
                    "body": body.len(), "listener": name, "cpu_us": cpu, "ratio_to_floor": ratio,
                    "ns_per_byte_over_floor": per_byte, "requests_per_second": rate,
                    "p50_us": p50, "p99_us": p99, "rounds": samples.len(),
                })
            );
        } else {
            println!(
                "{:>9}  {name:<12} {cpu:>11.1} {ratio:>9.2} {per_byte:>9.1} {rate:>9.0} {p50:>9.0} {p99:>9.0}",
                body.len()
            );
        }
    }
}
