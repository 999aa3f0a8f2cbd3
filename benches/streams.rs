//! Benchmark of streamed responses: CPU per frame, frames per second, memory per stream.

use crate::workload::{self, FRAMES, everything, policy, question, rules};
use crate::{Options, load, median};
use harness::{Answer, Envoy, Gate, Request, Setup, Site, Version};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Concurrent streams for throughput and memory.
const MANY: usize = 200;

/// Interval between frames of a fast model.
const PACE: Duration = Duration::from_micros(500);

/// A measured configuration.
struct Contestant {
    name: String,
    site: Site,
}

/// Returns the configurations: Envoy alone, filters that only read and rewrite each part of a response, and AgentGuard.
fn contestants(options: &Options) -> Vec<Contestant> {
    let floor = std::env::var_os("AGENTGUARD_FLOOR_WASM").expect("run this with `make bench`");
    let floor = |name: &'static str, does: &str| {
        let policy = json!({"stream": does});
        (name, Site::new(name, &policy).module(floor.clone().into()))
    };
    let mut sites = vec![
        ("no filter", Site::bare("no filter")),
        floor("only reads", "read"),
        floor("only rewrites", "rewrite"),
    ]
    .into_iter()
    .map(|(name, site)| Contestant {
        name: name.to_owned(),
        site,
    })
    .collect::<Vec<_>>();
    for (name, rules) in [
        ("1 rule", rules(1)),
        ("100 rules", rules(100)),
        ("all detectors", everything()),
    ] {
        let policy = policy(&rules, false);
        let mut add = |name: String, module: Option<&PathBuf>| {
            let site = Site::new(&name, &policy).variable("AUDIT_KEY");
            let site = match module {
                Some(module) => site.module(module.clone()),
                None => site,
            };
            sites.push(Contestant { name, site });
        };
        add(name.to_owned(), None);
        for (number, module) in options.modules.iter().enumerate() {
            add(format!("{name} +{}", number + 1), Some(module));
        }
    }
    sites
}

fn head() -> Answer {
    Answer::chunked(200, &[("content-type", "text/event-stream")])
}

fn end(answer: Answer) -> Answer {
    answer.chunk(b"data: [DONE]\n\n").end()
}

/// A response with each frame in a separate write, at an interval.
fn paced() -> Answer {
    end(workload::frames()
        .iter()
        .fold(head(), |answer, chunk| answer.chunk(chunk).pause(PACE)))
}

/// A response with all frames in one write.
fn at_once() -> Answer {
    end(head().chunk(&workload::frames().concat()))
}

fn start(contestants: Vec<Contestant>) -> Envoy {
    let sites = contestants.into_iter().map(|contestant| contestant.site);
    Setup::new(Version::Newest, sites.collect())
        .variable("AUDIT_KEY", "of the benchmark")
        .measured()
        .start()
}

fn ask() -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&question(1 << 10)).expect("JSON");
    body["stream"] = json!(true);
    Request::chat(body.to_string()).bytes()
}

/// Measures CPU per frame, and frames per second. A stream without frames measures the fixed cost of an exchange.
pub fn frames(options: &Options) {
    let contestants = contestants(options);
    let names: Vec<String> = contestants.iter().map(|known| known.name.clone()).collect();
    let envoy = start(contestants);
    let request = ask();
    if !options.json {
        println!(
            "\nStreams of {FRAMES} frames\n\n{:<24}  {:<16} {:>13} {:>11} {:>14} {:>10}",
            "", "", "CPU µs/frame", "over none", "of the frame", "frames/s"
        );
    }
    let ways = [
        ("no frame", end(head()), options.connections),
        ("frame by frame", paced(), options.connections),
        ("all in one write", at_once(), options.connections),
        ("all in one write, 200", at_once(), MANY),
    ];
    // The cost of an exchange beyond Envoy's own.
    let mut exchange: Vec<f64> = Vec::new();
    for (way, answer, connections) in ways {
        envoy.provider.answer_always(answer);
        let mut samples: Vec<Vec<_>> = names.iter().map(|_| Vec::new()).collect();
        for round in 0..=options.rounds {
            for (name, samples) in names.iter().zip(&mut samples) {
                let site = envoy.site(name);
                let sample = load(&envoy, site, &request, options, connections);
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        let cpu_of = |samples| median(samples, |sample| sample.cpu_us);
        let none = cpu_of(&samples[0]);
        if exchange.is_empty() {
            exchange = samples.iter().map(|known| cpu_of(known) - none).collect();
            continue;
        }
        let frames = FRAMES as f64;
        for ((name, samples), exchange) in names.iter().zip(&samples).zip(&exchange) {
            let cpu = cpu_of(samples);
            let rate = median(samples, |sample| sample.rate * frames);
            let [each, over, own] = [cpu, cpu - none, cpu - none - exchange].map(|us| us / frames);
            if options.json {
                println!(
                    "{}",
                    json!({"streams": way, "listener": name, "cpu_us_per_frame": each,
                        "over_no_filter_us": over, "of_the_frame_us": own, "frames_per_second": rate})
                );
            } else {
                println!(
                    "{way:<24}  {name:<16} {each:>13.2} {over:>11.2} {own:>14.2} {rate:>10.0}"
                );
            }
        }
    }
}

/// Measures the memory of Envoy per half-way stream, beyond its memory without a filter.
pub fn memory(options: &Options) {
    let names: Vec<String> = contestants(options)
        .into_iter()
        .map(|contestant| contestant.name)
        .collect();
    let grown: Vec<f64> = names.iter().map(|name| half_way(name, options)).collect();
    if !options.json {
        println!("\nMemory of {MANY} streams that stand half way\n");
    }
    for (name, bytes) in names.iter().zip(&grown) {
        let over = (bytes - grown[0]) / 1024.0;
        if options.json {
            println!(
                "{}",
                json!({"listener": name, "kib_per_stream": bytes / 1024.0, "over_no_filter_kib": over})
            );
        } else {
            println!(
                "{name:<16} {:>8.1} KiB for each, {over:>6.1} KiB over no filter",
                bytes / 1024.0
            );
        }
    }
}

/// Returns the bytes by which the process grows per stream, in a separate Envoy: the memory of a VM is never returned.
fn half_way(name: &str, options: &Options) -> f64 {
    let envoy = start(contestants(options));
    let site = envoy.site(name);
    let request = ask();
    let frames = workload::frames();
    let (first, rest) = frames.split_at(FRAMES / 2);
    let standing = |count: usize| {
        let gate = Gate::default();
        envoy.provider.answer_always(end(head()
            .chunk(&first.concat())
            .wait(&gate)
            .chunk(&rest.concat())));
        let connections: Vec<_> = (0..count)
            .map(|_| {
                let mut connection = site.raw();
                connection.send(&request);
                connection.receive(first.concat().len() / 2);
                connection
            })
            .collect();
        let (_, resident) = envoy.memory();
        gate.open();
        for mut connection in connections {
            connection.rest();
        }
        resident
    };
    standing(4);
    let before = standing(4);
    let after = standing(MANY);
    (after as f64 - before as f64) / (MANY - 4) as f64
}
