//! Each option of `build` changes what is written, or is refused.

use super::{Build, Source};
use crate::cli::{Arguments, Command};
use clap::{Args, CommandFactory, FromArgMatches};
use std::collections::BTreeMap;

const POLICY: &str = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\ndefaults: { action: allow }\n\
                      rules:\n  - { id: r, match: { tool: t }, action: deny, reason: x }\n";

/// Everything that decides whether an option has an effect.
const SETTINGS: &[(&str, &str)] = &[
    ("json", "--for json"),
    ("envoy", "--for envoy"),
    ("envoy native", "--for envoy --host native"),
    ("bootstrap", "--for envoy --bootstrap"),
    ("bootstrap native", "--for envoy --bootstrap --host native"),
    ("k8s", "--for k8s --image r.io/a:1"),
    ("istio", "--for istio --image r.io/a:1 --selector app=x"),
    ("istio gateway", "--for istio --image r.io/a:1 --gateway g"),
    (
        "istio extension",
        "--for istio --image r.io/a:1 --selector app=x --kind TrafficExtension",
    ),
    (
        "istio filter",
        "--for istio --image r.io/a:1 --selector app=x --kind EnvoyFilter",
    ),
    (
        "istio url",
        "--for istio --image https://a/b.wasm --selector app=x",
    ),
    ("helm", "--for helm --image r.io/a:1 --selector app=x"),
    (
        "gateway",
        "--for envoy-gateway --image r.io/a:1 --gateway g",
    ),
    (
        "gateway url",
        "--for envoy-gateway --image https://a/b.wasm --gateway g",
    ),
    (
        "gateway patch",
        "--for envoy-gateway --image r.io/a:1 --gateway g --kind EnvoyPatchPolicy",
    ),
    (
        "gateway native",
        "--for envoy-gateway --gateway g --host native",
    ),
    (
        "gateway patch native",
        "--for envoy-gateway --gateway g --host native --kind EnvoyPatchPolicy",
    ),
];

const BOOTSTRAPS: &[&str] = &["bootstrap", "bootstrap native"];
const PROXIES: &[&str] = &["bootstrap", "bootstrap native", "k8s"];
const PATCHES: &[&str] = &["gateway patch", "gateway patch native"];
const GATEWAYS: &[&str] = &[
    "gateway",
    "gateway url",
    "gateway patch",
    "gateway native",
    "gateway patch native",
];
const CLUSTERS: &[&str] = &[
    "k8s",
    "istio",
    "istio gateway",
    "istio extension",
    "istio filter",
    "istio url",
    "gateway",
    "gateway url",
    "gateway patch",
    "gateway native",
    "gateway patch native",
];
const ISTIOS: &[&str] = &[
    "istio",
    "istio gateway",
    "istio extension",
    "istio filter",
    "istio url",
    "helm",
];

/// An option as written, and the settings in which it has an effect.
const ROWS: &[(&str, &str, &[&[&str]])] = &[
    ("wasm", "--wasm /w.wasm", &[&["envoy", "bootstrap", "k8s"]]),
    (
        "host",
        "--host native",
        &[
            &["envoy", "envoy native", "gateway", "gateway native"],
            BOOTSTRAPS,
            PATCHES,
        ],
    ),
    (
        "module",
        "--module /m/libagentguard.so",
        &[&[
            "envoy native",
            "bootstrap native",
            "gateway native",
            "gateway patch native",
        ]],
    ),
    (
        "bootstrap",
        "--bootstrap",
        &[&["envoy", "envoy native"], BOOTSTRAPS],
    ),
    ("listen", "--listen 127.0.0.1:1", &[BOOTSTRAPS]),
    ("upstream", "--upstream https://a.example", &[PROXIES]),
    ("trusted_ca", "--trusted-ca /ca.pem", &[PROXIES]),
    ("admin", "--admin 127.0.0.1:1", &[PROXIES]),
    ("health", "--health 0.0.0.0:1", &[PROXIES]),
    ("watch", "--watch /p.json", &[BOOTSTRAPS]),
    ("audit_log", "--audit-log /dev/null", &[PROXIES]),
    ("kill_list", "--kill-list /k.json", &[BOOTSTRAPS]),
    ("image", "--image r.io/b:2", &[CLUSTERS, &["helm"]]),
    (
        "sha256",
        "--sha256 0000000000000000000000000000000000000000000000000000000000000000",
        &[&["istio url", "gateway url"]],
    ),
    (
        "pull_secret",
        "--pull-secret s",
        &[&[
            "k8s",
            "istio",
            "istio gateway",
            "istio extension",
            "helm",
            "gateway",
            "gateway patch",
        ]],
    ),
    // A release has the chart's name and namespace.
    ("name", "--name n", &[CLUSTERS]),
    ("namespace", "--namespace n", &[CLUSTERS]),
    (
        "selector",
        "--selector tier=y",
        &[&[
            "istio",
            "istio extension",
            "istio filter",
            "istio url",
            "helm",
        ]],
    ),
    ("gateway", "--gateway h", &[&["istio gateway"], GATEWAYS]),
    (
        "jwt_issuer",
        "--jwt-issuer https://i --jwks https://i/k",
        &[GATEWAYS],
    ),
    (
        "jwks",
        "--jwks https://i/k --jwt-issuer https://i",
        &[GATEWAYS],
    ),
    ("client_ca", "--client-ca c", &[GATEWAYS]),
    ("context", "--context inbound", &[ISTIOS]),
    ("kind", "--kind TrafficExtension", &[ISTIOS]),
    (
        "kind",
        "--kind EnvoyPatchPolicy",
        &[&["gateway", "gateway native"], PATCHES],
    ),
    ("listener", "--listener b", &[PATCHES]),
    ("proxy_namespace", "--proxy-namespace n", &[PATCHES]),
];

/// Options without a row: what is built, where it is written, whether unprovided callers are an error. `--beside` is for kill lists.
const WITHOUT_ROW: &[&str] = &["policy", "target", "output", "fail_closed", "beside"];

/// What is built; `None` if it is refused.
fn built(options: &[&str]) -> Option<String> {
    let arguments = [&["agentguard", "build", "p.yaml"], options].concat();
    let matches = Arguments::command().try_get_matches_from(arguments).ok()?;
    let parsed = Arguments::from_arg_matches(&matches).ok()?;
    let Command::Build(build) = parsed.command else {
        return None;
    };
    let given = matches.subcommand_matches("build");
    build.refuse_other_options(given).ok()?;
    let (text, ..) = build.build_policy(Source::of("p.yaml", POLICY)).ok()?;
    Some(text)
}

/// The options of a setting without one of them.
fn without<'s>(setting: &'s str, option: &str) -> Vec<&'s str> {
    let words: Vec<&str> = setting.split(' ').collect();
    let groups = words.chunk_by(|_, next| !next.starts_with("--"));
    groups
        .filter(|group| group.first() != Some(&option))
        .flatten()
        .copied()
        .collect()
}

#[test]
fn an_option_changes_what_is_written_or_is_refused() {
    let command = Build::augment_args(clap::Command::new("build"));
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        let rows = ROWS.iter().filter(|(row, ..)| *row == id).count();
        let is_known = rows > 0 || WITHOUT_ROW.contains(&id);
        assert!(is_known, "{id}: where does it have an effect?");
    }
    let mut bases = BTreeMap::new();
    for (id, sample, effective) in ROWS {
        let known = command.get_arguments().any(|known| known.get_id() == id);
        assert!(known, "{id} is no option");
        let sample: Vec<&str> = sample.split(' ').collect();
        for (name, setting) in SETTINGS {
            let base = without(setting, sample.first().unwrap());
            let with = built(&[&base[..], &sample].concat());
            let before = bases
                .entry(base.clone())
                .or_insert_with_key(|base| built(base));
            let expected = effective.iter().any(|names| names.contains(name));
            if expected {
                assert!(with.is_some(), "{name}: {sample:?} is refused");
                assert_ne!(with, *before, "{name}: {sample:?} changes nothing");
            } else {
                assert_eq!(with, None, "{name}: {sample:?} is taken");
            }
        }
    }
}
