//! Programs that answer one line of JSON with another.

use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// The folder of the scripts.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy");

/// The programs that nobody waits for. Packages take a second or more to load, so that tests use one after another. A program
/// ends when its standard input does: with the tests.
static IDLE: Mutex<Vec<Program>> = Mutex::new(Vec::new());

/// The command of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Path of the interpreter or program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

struct Program {
    script: Script,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: Arc<Mutex<String>>,
}

impl Script {
    /// Returns what the program answers to a line.
    ///
    /// # Panics
    /// It ends instead.
    pub fn answer(&self, line: &Value) -> Value {
        let idle = {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            let at = idle.iter().position(|program| program.script == *self);
            at.map(|at| idle.swap_remove(at))
        };
        let mut program = idle.unwrap_or_else(|| self.start());
        writeln!(program.input, "{line}").expect("a reader");
        let mut answer = String::new();
        program.output.read_line(&mut answer).expect("UTF-8");
        if answer.is_empty() {
            let _ = program.child.wait();
        }
        assert!(
            !answer.is_empty(),
            "{self:?} ended: {}",
            program
                .errors
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        );
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(program);
        serde_json::from_str(&answer).expect("what the program prints")
    }

    fn start(&self) -> Program {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(FOLDER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // The packages would use a proxy of the machine.
        for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        let mut child = command.spawn().expect("the packages");
        let errors = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&errors);
        let mut stderr = child.stderr.take().expect("a pipe");
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                told.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Program {
            script: self.clone(),
            input: child.stdin.take().expect("a pipe"),
            output: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
            errors,
        }
    }
}
