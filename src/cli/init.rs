//! `agentguard init [FOLDER]`: creates a folder with a policy, its tests, and what a proxy needs to run with it.

use super::build::{Host, MeshOptions};
use super::{Arguments, Command, ExitStatus, Failed, Source, output};
use crate::diag::codes;
use clap::{Args, CommandFactory, FromArgMatches, ValueEnum};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Default of `--upstream`.
const UPSTREAM: &str = "https://api.openai.com";

/// Policy for a first look.
const POLICY: &str = include_str!("../../policies/getting-started.yaml");

/// Tests of that policy.
const TESTS: &str = include_str!("../../policies/getting-started.test.yaml");

/// Images for `--for docker`, by their placeholders in `init/compose.yaml`.
const IMAGES: [(&str, &str); 3] = [
    ("ENVOY_IMAGE", "envoyproxy/envoy:distroless-v1.40.0"),
    ("PROMETHEUS_IMAGE", "prom/prometheus:v3.7.3"),
    ("GRAFANA_IMAGE", "grafana/grafana:12.3.0"),
];

/// Files that monitor the proxy, for `--for docker`.
const MONITORING: [(&str, &str); 7] = [
    (
        "monitoring/prometheus.yml",
        include_str!("init/monitoring/prometheus.yml"),
    ),
    (
        "monitoring/alerts.yaml",
        include_str!("../../envoy/prometheus/alerts.yaml"),
    ),
    (
        "monitoring/grafana/datasource.yaml",
        include_str!("init/monitoring/datasource.yaml"),
    ),
    (
        "monitoring/grafana/dashboards.yaml",
        include_str!("init/monitoring/dashboards.yaml"),
    ),
    (
        "monitoring/grafana/dashboards/security.json",
        include_str!("../../envoy/grafana/security.json"),
    ),
    (
        "monitoring/grafana/dashboards/operations.json",
        include_str!("../../envoy/grafana/operations.json"),
    ),
    (
        "monitoring/grafana/dashboards/detectors.json",
        include_str!("../../envoy/grafana/detectors.json"),
    ),
];

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder. It is created if it does not exist; a file in it is never overwritten.
    #[arg(default_value = "agentguard")]
    folder: PathBuf,
    /// The proxy.
    #[arg(long = "for", value_enum, default_value_t)]
    target: Target,
    /// Copy this module to the folder.
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// With Envoy and Envoy Gateway: what runs the filter in the proxy.
    #[arg(long, value_enum, default_value_t = Host::Wasm)]
    host: Host,
    /// With `--host native`: copy this shared object to the folder.
    #[arg(long, value_name = "FILE", conflicts_with = "wasm")]
    module: Option<PathBuf>,
    /// The upstream URL.
    #[arg(long, value_name = "URL", default_value = UPSTREAM)]
    upstream: String,
    #[command(flatten)]
    mesh: MeshOptions,
}

/// The proxy that the folder is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Envoy on this machine.
    #[default]
    Envoy,
    /// Envoy in a container, by Docker Compose.
    Docker,
    /// Istio.
    Istio,
    /// Envoy Gateway.
    EnvoyGateway,
}

/// Shared object in the folder. Envoy searches other places for a name without a folder.
const NATIVE: &str = "./libagentguard.so";

/// File to create.
struct NewFile {
    name: &'static str,
    contents: Vec<u8>,
}

impl Init {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let files = self.files()?;
        let failed = |path: &Path, error: &std::io::Error| {
            output::print_unwritten(&path.display().to_string(), &output::unwritable(error))
        };
        let paths: Vec<PathBuf> = files
            .iter()
            .map(|file| self.folder.join(file.name))
            .collect();
        let existing: Vec<String> = paths
            .iter()
            .filter(|path| path.symlink_metadata().is_ok())
            .map(|path| path.display().to_string())
            .collect();
        if !existing.is_empty() {
            return Err(output::print_coded(
                codes::AG9011,
                &format!(
                    "nothing was written, because it exists already: {}; name another folder, or move it away",
                    existing.join(", ")
                ),
            ));
        }
        let mut written: Vec<&Path> = Vec::new();
        for (file, path) in files.iter().zip(&paths) {
            let folder = path.parent().unwrap_or(&self.folder);
            let made = fs::create_dir_all(folder).map_err(|error| failed(folder, &error));
            let made = made.and_then(|()| {
                // A file that was created in the meantime is not overwritten either.
                let mut out = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(path)
                    .map_err(|error| failed(path, &error))?;
                written.push(path);
                out.write_all(&file.contents)
                    .map_err(|error| failed(path, &error))
            });
            // Remaining files would block the next attempt.
            made.inspect_err(|_| {
                for path in &written {
                    let _ = fs::remove_file(path);
                }
            })?;
        }
        if !json {
            for path in &paths {
                output::line(&path.display().to_string());
            }
        }
        if json {
            let names: Vec<&str> = files.iter().map(|file| file.name).collect();
            output::json_line(&json!({"folder": self.folder, "files": names}).to_string());
        } else {
            let readme = self.folder.join("README.md");
            output::line(&format!("Next: {}", readme.display()));
        }
        Ok(ExitStatus::Clean)
    }

    /// Returns the options of `build` for the host, and the name of the module in the folder.
    fn hosted(&self) -> (&'static [&'static str], &'static str) {
        match self.host {
            Host::Wasm => (&["--wasm", "agentguard.wasm"], "agentguard.wasm"),
            Host::Native => (
                &["--host", "native", "--module", NATIVE],
                "libagentguard.so",
            ),
        }
    }

    /// Rejects a module that is not for the host, or a host that the proxy does not support.
    fn check_host(&self) -> Result<(), Failed> {
        let has_native = matches!(self.target, Target::Envoy | Target::EnvoyGateway);
        match (self.host, &self.wasm, &self.module) {
            (Host::Native, ..) if !has_native => Err(output::print_misused(
                "--host native is for `--for envoy` and `--for envoy-gateway`",
            )),
            (Host::Native, Some(_), _) => Err(output::print_misused(
                "--wasm is for `--host wasm`; with `--host native` the module is a shared object: --module FILE",
            )),
            (Host::Wasm, _, Some(_)) => {
                Err(output::print_misused("--module is for `--host native`"))
            }
            _ => Ok(()),
        }
    }

    /// Rejects options that would have no effect. `build` rejects those that are for another mesh.
    fn refuse_other_options(&self) -> Result<(), Failed> {
        let refuse = |option: &str, targets: &str| {
            Err(output::print_misused(&format!(
                "{option} changes nothing here: it is for {targets}"
            )))
        };
        match self.target {
            Target::Envoy | Target::Docker => match self.mesh.first_given() {
                Some(option) => refuse(option, "`--for istio`, `--for envoy-gateway`"),
                None => Ok(()),
            },
            Target::Istio | Target::EnvoyGateway if self.upstream != UPSTREAM => {
                refuse("--upstream", "`--for envoy`, `--for docker`")
            }
            _ => Ok(()),
        }
    }

    /// Returns the module to copy to the folder, if one is given.
    fn copied(&self) -> Result<Option<NewFile>, Failed> {
        let (file, name, start, kind): (_, _, &[u8], _) = match (&self.wasm, &self.module) {
            (Some(file), _) => (file, "agentguard.wasm", b"\0asm", "WebAssembly module"),
            (_, Some(file)) => (file, "libagentguard.so", b"\x7fELF", "shared object"),
            (None, None) => return Ok(None),
        };
        let contents = output::read(&file.to_string_lossy())?;
        if !contents.starts_with(start) {
            return Err(output::print_foreign(&format!(
                "{}: this is no {kind}; `make` builds one, and a release has it",
                file.display()
            )));
        }
        Ok(Some(NewFile { name, contents }))
    }

    /// Returns all files of the folder.
    fn files(&self) -> Result<Vec<NewFile>, Failed> {
        self.check_host()?;
        self.refuse_other_options()?;
        let text = |name, text: String| NewFile {
            name,
            contents: text.into_bytes(),
        };
        let mut files = vec![
            text("policy.yaml", outside(POLICY)),
            text(
                "policy.test.yaml",
                outside(&TESTS.replace("getting-started.yaml", "policy.yaml")),
            ),
            text("README.md", self.readme()),
        ];
        match self.target {
            Target::Envoy | Target::Docker => {
                let (listen, health) = match self.target {
                    Target::Docker => ("0.0.0.0:10000", "0.0.0.0:9902"),
                    _ => ("127.0.0.1:10000", "127.0.0.1:9902"),
                };
                let (hosted, _) = self.hosted();
                files.push(text(
                    "agentguard.json",
                    build(&[&["envoy"], hosted].concat())?,
                ));
                let mut bootstrap = [&["envoy"], hosted].concat();
                bootstrap.extend(["--bootstrap", "--watch", "agentguard.json"]);
                bootstrap.extend(["--listen", listen, "--upstream", &self.upstream]);
                bootstrap.extend(["--health", health]);
                files.push(text("envoy.json", build(&bootstrap)?));
            }
            Target::Istio => files.push(text("agentguard.yaml", self.manifests("istio")?)),
            Target::EnvoyGateway => {
                files.push(text("agentguard.yaml", self.manifests("envoy-gateway")?));
            }
        }
        if self.target == Target::Docker {
            files.push(text("compose.yaml", compose()));
            for (name, contents) in MONITORING {
                files.push(text(name, contents.to_owned()));
            }
        }
        files.extend(self.copied()?);
        Ok(files)
    }

    fn manifests(&self, target: &str) -> Result<String, Failed> {
        let mut options = vec![target];
        options.extend(self.mesh.as_arguments());
        options.extend(self.host_of_mesh());
        build(&options)
    }

    /// Returns the option of `build` for a host other than the default.
    fn host_of_mesh(&self) -> &'static [&'static str] {
        match self.host {
            Host::Wasm => &[],
            Host::Native => &["--host", "native"],
        }
    }

    fn readme(&self) -> String {
        let (hosted, module) = self.hosted();
        let copy = match self.host {
            Host::Wasm => "--wasm",
            Host::Native => "--host native --module",
        };
        let place = format!(
            "2. `{module}`, the filter, belongs in this folder (`agentguard init {copy} FILE` puts it there).\n"
        );
        let watch = "5. `curl http://127.0.0.1:9902/ready` says whether a policy is in force and the upstream is there; `/stats` has the metrics.\n";
        let replace = format!(
            "`agentguard build policy.yaml --for envoy {} --output agentguard.json`\nputs a changed policy in force; Envoy keeps \
             running.",
            hosted.join(" ")
        );
        let test = "1. `agentguard test policy.yaml` runs the tests of the policy.";
        let (title, steps, change) = match self.target {
            Target::Envoy => (
                "Envoy",
                format!(
                    "{place}\
                     3. `envoy -c envoy.json` starts the proxy at http://127.0.0.1:10000, in this folder.\n\
                     4. `export OPENAI_BASE_URL=http://127.0.0.1:10000/v1`, then start the agent.\n{watch}"
                ),
                replace,
            ),
            Target::Docker => (
                "Docker",
                format!(
                    "{place}\
                     3. `docker compose up` starts the proxy at http://127.0.0.1:10000; `docker compose --profile monitoring up` \
                     Prometheus and Grafana (http://127.0.0.1:3000) as well.\n\
                     4. `export OPENAI_BASE_URL=http://127.0.0.1:10000/v1`, then start the agent.\n{watch}"
                ),
                replace,
            ),
            Target::Istio | Target::EnvoyGateway => (
                match self.target {
                    Target::Istio => "Istio",
                    _ => "Envoy Gateway",
                },
                "2. The comments of `agentguard.yaml` say what the mesh needs once.\n\
                 3. `kubectl apply --server-side -f agentguard.yaml` puts the policy in force.\n"
                    .to_owned(),
                String::new(),
            ),
        };
        let change = match self.target {
            Target::Istio | Target::EnvoyGateway => {
                let target = match self.target {
                    Target::Istio => "istio",
                    _ => "envoy-gateway",
                };
                let options = [&self.mesh.as_arguments(), self.host_of_mesh()].concat();
                let options: Vec<String> = options.into_iter().map(shell_word).collect();
                let options = options.join(" ");
                format!(
                    "A changed policy, before it is applied again:\n\
                     `agentguard build policy.yaml --for {target} {options} --output agentguard.yaml`"
                )
            }
            _ => change,
        };
        format!(
            "# AgentGuard with {title}\n\n{test}\n{steps}\n{change}\n\nA denied request gets status 400 with the reason; \
             `agentguard explain CODE` explains its code.\n"
        )
    }
}

/// Returns a file in its form outside the repository: editors get its schema by URL.
fn outside(text: &str) -> String {
    text.replacen(
        "$schema=../schema/",
        "$schema=https://agentguard.dev/schema/v1/",
        1,
    )
}

/// Returns the output of `agentguard build` for the policy of the folder.
fn build(options: &[&str]) -> Result<String, Failed> {
    let arguments = ["agentguard", "build", "policy.yaml", "--for"];
    let misused = |error: clap::Error| super::print_usage_error(&error).unwrap_or(Failed);
    let matches = Arguments::command()
        .try_get_matches_from(arguments.iter().chain(options))
        .map_err(misused)?;
    let parsed = Arguments::from_arg_matches(&matches).map_err(misused)?;
    let Command::Build(build) = parsed.command else {
        return Err(output::print_error("`build` was expected"));
    };
    build.refuse_other_options(matches.subcommand_matches("build"))?;
    let (built, ..) = build.build_policy(Source::of("policy.yaml", POLICY))?;
    Ok(format!("{built}\n"))
}

fn compose() -> String {
    let text = include_str!("init/compose.yaml").to_owned();
    let replace = |text: String, (name, image): &(&str, &str)| text.replace(name, image);
    IMAGES.iter().fold(text, replace)
}

/// Returns an argument as a shell reads it: `https://a.example/keys?p=1&q=2` would be a pattern and two commands.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
