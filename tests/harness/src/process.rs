//! Processes that end with the test that started them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// Starts the command in the background, prints its process id, and kills it when standard input ends. The test holds the
/// other end, which closes however the test ends, also by a signal. If the command is killed for this reason, its files in
/// `$SCRATCH` are deleted; if a test kills it, the test deletes them. Exits with the command's own status.
const WARDEN: &str = r#"
exec 3<&0
out=$1; shift
"$@" </dev/null >"$out" 2>&1 3<&- &
child=$!
echo "$child"
{ read -r _ <&3; [ -z "$SCRATCH" ] || true >"$SCRATCH/orphaned"; kill -KILL "$child"; } 2>/dev/null &
watch=$!
wait "$child"
status=$?
kill "$watch" 2>/dev/null
[ -z "$SCRATCH" ] || [ ! -e "$SCRATCH/orphaned" ] || rm -rf "$SCRATCH"
exit "$status"
"#;

/// A running command with its output in a file.
pub struct Process {
    warden: Child,
    lifeline: Option<ChildStdin>,
    /// The process id.
    pub id: u32,
    /// The output file.
    pub output: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `output`.
    pub fn start(command: &[&str], variables: &[(String, String)], output: &Path) -> Process {
        let mut warden = Command::new("/bin/sh")
            .args(["-c", WARDEN, "sh"])
            .arg(output)
            .args(command)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("no shell to start processes with");
        let mut line = String::new();
        let stdout = warden.stdout.take().expect("it was piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the shell did not say what it started");
        Process {
            lifeline: warden.stdin.take(),
            warden,
            id: line.trim().parse().expect("a process id"),
            output: output.to_owned(),
        }
    }

    /// Starts `command`, whose files in `scratch` are removed when it is killed.
    pub(crate) fn start_in(
        scratch: &Path,
        command: &[&str],
        variables: &[(String, String)],
        output: &Path,
    ) -> Process {
        let mut variables = variables.to_vec();
        variables.push(("SCRATCH".to_owned(), scratch.to_string_lossy().into_owned()));
        Process::start(command, &variables, output)
    }

    /// Returns the exit status, if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.warden.try_wait().expect("the shell can be waited for")
    }

    /// Returns the output so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.warden.wait();
    }
}

/// Returns the Python with the SDKs.
///
/// # Panics
/// `make test` did not set it.
pub fn sdk_python() -> PathBuf {
    setting("AGENTGUARD_SDK_PYTHON")
}

/// Returns the Python with the `mcp` package.
///
/// # Panics
/// `make test` did not set it.
pub fn mcp_python() -> PathBuf {
    setting("AGENTGUARD_MCP_PYTHON")
}

/// Returns the Node.js that finds the npm packages by `NODE_PATH`.
///
/// # Panics
/// `make test` did not set it.
pub fn node() -> PathBuf {
    setting("AGENTGUARD_NODE")
}

/// Returns the Python with the agent frameworks.
///
/// # Panics
/// `make test` did not set it.
pub fn agents_python() -> PathBuf {
    setting("AGENTGUARD_AGENTS_PYTHON")
}

/// Returns the folder of npm packages for agents, which [`node`] finds by `NODE_PATH`.
///
/// # Panics
/// `make test` did not set it.
pub fn agents_packages() -> PathBuf {
    setting("AGENTGUARD_AGENTS_PACKAGES")
}

/// Returns Envoy's rate limit service.
///
/// # Panics
/// `make test-mesh` did not set it.
pub fn rate_limit_service() -> PathBuf {
    setting("AGENTGUARD_RATELIMIT")
}

/// Returns the program with the providers' Go packages.
///
/// # Panics
/// `make test-go` did not set it.
pub fn go_packages() -> PathBuf {
    setting("AGENTGUARD_GO_PACKAGES")
}

/// Returns the OpenTelemetry Collector.
///
/// # Panics
/// `make test-collector` did not set where it is.
pub fn collector() -> PathBuf {
    setting("AGENTGUARD_COLLECTOR")
}

/// Returns a program or a file of a mesh: `pilot-agent`, `kubectl`.
///
/// # Panics
/// `make test-mesh` did not set where they are.
pub fn mesh_file(name: &str) -> PathBuf {
    let folders = setting("AGENTGUARD_MESH");
    let mut folders = std::env::split_paths(&folders);
    match folders.find(|folder| folder.join(name).exists()) {
        Some(folder) => folder.join(name),
        None => {
            panic!("AGENTGUARD_MESH names no folder with {name}; run these with `make test-mesh`")
        }
    }
}

/// Returns a path set by `make`.
pub(crate) fn setting(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(path) => PathBuf::from(path),
        None => panic!("{name} is not set; run these with `make test` or `make test-envoy`"),
    }
}
