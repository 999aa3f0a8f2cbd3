//! What the filter costs while answers stream: CPU for each frame, frames that get through, memory for each stream.

use crate::workload::{policy, prose, question, rules};
use crate::{Options, load, median};
use harness::{Answer, Envoy, Gate, Request, Setup, Site, Version};
use serde_json::{Value, json};
use std::time::Duration;

/// Frames of one answer.
const FRAMES: usize = 200;

/// Streams at once, where it is about how much gets through and how much memory that takes.
const MANY: usize = 200;

/// As a fast model sends them.
const PACE: Duration = Duration::from_micros(500);

fn names() -> Vec<(&'static str, Option<Value>)> {
    let everything = json!([{
        "id": "mask-everything",
        "match": {"event": ["message", "response"]},
        "when": {"text": {"detects": ["pii", "secrets"]}},
        "action": "redact",
    }]);
    let everything = everything.as_array().map_or(&[][..], Vec::as_slice);
    vec![
        ("no filter", None),
        ("1 rule", Some(policy(&rules(1), false))),
        ("100 rules", Some(policy(&rules(100), false))),
        ("all detectors", Some(policy(everything, false))),
    ]
}

fn sites() -> Vec<Site> {
    let site = |(name, policy): &(&'static str, Option<Value>)| match policy {
        None => Site::bare(name),
        Some(policy) => Site::new(name, policy).variable("AUDIT_KEY"),
    };
    names().iter().map(site).collect()
}

/// Chunks of OpenAI's: a word each.
fn chunks() -> Vec<Vec<u8>> {
    let chunk = |delta: Value, finish: Option<&str>| {
        let chunk = json!({
            "id": "chatcmpl-B1", "object": "chat.completion.chunk", "created": 1_763_622_245,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        });
        format!("data: {chunk}\n\n").into_bytes()
    };
    let text = prose(FRAMES * 8);
    let words = text.split_inclusive(' ').take(FRAMES - 1);
    let mut chunks: Vec<Vec<u8>> = words
        .map(|word| chunk(json!({"content": word}), None))
        .collect();
    chunks.push(chunk(json!({}), Some("stop")));
    chunks
}

fn head() -> Answer {
    Answer::chunked(200, &[("content-type", "text/event-stream")])
}

fn end(answer: Answer) -> Answer {
    answer.chunk(b"data: [DONE]\n\n").end()
}

/// Each frame in a write of its own, at a pace.
fn paced() -> Answer {
    end(chunks()
        .iter()
        .fold(head(), |answer, chunk| answer.chunk(chunk).pause(PACE)))
}

/// All frames in one write.
fn at_once() -> Answer {
    end(head().chunk(&chunks().concat()))
}

fn start() -> Envoy {
    Setup::new(Version::Newest, sites())
        .variable("AUDIT_KEY", "of the benchmark")
        .measured()
        .start()
}

fn ask() -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&question(1 << 10)).expect("JSON");
    body["stream"] = json!(true);
    Request::chat(body.to_string()).bytes()
}

/// CPU for each frame, and how many get through.
pub fn frames(options: &Options) {
    let envoy = start();
    let request = ask();
    if !options.json {
        println!(
            "\nStreams of {FRAMES} frames\n\n{:<24}  {:<14} {:>13} {:>11} {:>10}",
            "", "", "CPU µs/frame", "over none", "frames/s"
        );
    }
    let ways = [
        ("frame by frame", paced(), options.connections),
        ("all in one write", at_once(), options.connections),
        ("all in one write, 200", at_once(), MANY),
    ];
    for (way, answer, connections) in ways {
        envoy.provider.answer_always(answer);
        let mut samples: Vec<Vec<_>> = names().iter().map(|_| Vec::new()).collect();
        for round in 0..=options.rounds {
            for ((name, _), samples) in names().iter().zip(&mut samples) {
                let site = envoy.site(name);
                let sample = load(&envoy, site, &request, connections, options.time);
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        let frames = FRAMES as f64;
        let none = median(&samples[0], |sample| sample.cpu_us / frames);
        for ((name, _), samples) in names().iter().zip(&samples) {
            let cpu = median(samples, |sample| sample.cpu_us / frames);
            let rate = median(samples, |sample| sample.rate * frames);
            if options.json {
                println!(
                    "{}",
                    json!({"streams": way, "listener": name, "cpu_us_per_frame": cpu,
                        "over_no_filter_us": cpu - none, "frames_per_second": rate})
                );
            } else {
                println!(
                    "{way:<24}  {name:<14} {cpu:>13.2} {:>11.2} {rate:>10.0}",
                    cpu - none
                );
            }
        }
    }
}

/// Memory that Envoy takes for each stream that stands half way, beyond what it takes without a filter.
pub fn memory(options: &Options) {
    let grown: Vec<f64> = (0..names().len()).map(half_way).collect();
    if !options.json {
        println!("\nMemory of {MANY} streams that stand half way\n");
    }
    for ((name, _), bytes) in names().iter().zip(&grown) {
        let over = (bytes - grown[0]) / 1024.0;
        if options.json {
            println!(
                "{}",
                json!({"listener": name, "kib_per_stream": bytes / 1024.0, "over_no_filter_kib": over})
            );
        } else {
            println!(
                "{name:<14} {:>8.1} KiB for each, {over:>6.1} KiB over no filter",
                bytes / 1024.0
            );
        }
    }
}

/// Bytes by which the process grows for each stream, in an Envoy of its own: memory of a VM is never given back.
fn half_way(number: usize) -> f64 {
    let envoy = start();
    let (name, _) = &names()[number];
    let site = envoy.site(name);
    let request = ask();
    let chunks = chunks();
    let (first, rest) = chunks.split_at(FRAMES / 2);
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
