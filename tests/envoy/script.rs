//! Programs that respond to each line of JSON with another.

use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Folder of the scripts.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy");

/// Running program. It ends with the process that started it.
pub struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: Arc<Mutex<String>>,
}

impl Program {
    /// Starts a program.
    ///
    /// # Panics
    /// It can't be started.
    pub fn start(command: &mut Command) -> Program {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Otherwise the packages would use a proxy that the machine's environment configures.
        for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        let mut child = command.spawn().expect("the program");
        let errors = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&errors);
        let mut stderr = child.stderr.take().expect("a pipe");
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                locked(&told).push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Program {
            input: child.stdin.take().expect("a pipe"),
            output: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
            errors,
        }
    }

    /// Sends a line to the program. Returns its response.
    ///
    /// # Panics
    /// The program ends instead.
    pub fn ask(&mut self, line: &Value) -> Value {
        writeln!(self.input, "{line}").expect("a reader");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("UTF-8");
        if answer.is_empty() {
            let _ = self.child.wait();
        }
        assert!(!answer.is_empty(), "it ended: {}", locked(&self.errors));
        serde_json::from_str(&answer).expect("what the program prints")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Locks a mutex. A failed test leaves the locked value unchanged.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Program that several tests use one after another: packages take a second or more to load.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Path of the interpreter or program.
    pub program: PathBuf,
    /// Arguments.
    pub arguments: Vec<OsString>,
}

/// Idle programs. They end when their standard input does: with the tests.
static IDLE: Mutex<Vec<(Script, Program)>> = Mutex::new(Vec::new());

impl Script {
    /// Sends a line to the program. Returns its response.
    ///
    /// # Panics
    /// The program ends instead.
    pub fn answer(self, line: &Value) -> Value {
        let idle = {
            let mut idle = locked(&IDLE);
            let at = idle.iter().position(|(script, _)| *script == self);
            at.map(|at| idle.swap_remove(at).1)
        };
        let mut program = idle.unwrap_or_else(|| self.start());
        let answer = program.ask(line);
        locked(&IDLE).push((self, program));
        answer
    }

    fn start(&self) -> Program {
        let mut command = Command::new(&self.program);
        Program::start(command.args(&self.arguments).current_dir(FOLDER))
    }
}
