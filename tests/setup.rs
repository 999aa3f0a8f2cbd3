//! `tools/setup/requirements`: what `make` needs of a machine, and what it installs by itself.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "test code: a failure is a panic")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A machine: a folder of programs, of which some write down how they were called.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// With what every Debian has, and Rust with rustup and a linker.
    fn with_rust() -> Self {
        let machine = Self {
            folder: TempDir::new().unwrap(),
        };
        for name in ["sh", "awk", "cat", "date", "dirname", "id"] {
            symlink(which(name), machine.folder.path().join(name)).unwrap();
        }
        machine.program("cargo", "exit 0");
        machine.program("cc", "exit 0");
        machine.program(
            "rustc",
            "case $1 in --version) echo 'rustc 1.99.0 (x 2026-01-01)' ;; *) cat $FOLDER/libdir ;; esac",
        );
        machine.program("rustup", "echo \"rustup $*\" >> $FOLDER/calls");
        machine.file("libdir", "/no/such/target");
        machine
    }

    fn file(&self, name: &str, contents: &str) {
        fs::write(self.folder.path().join(name), contents).unwrap();
    }

    /// Writes a program. A process that another test starts meanwhile would inherit the file open for writing, and what is
    /// open for writing is not run: another process writes it.
    fn program(&self, name: &str, script: &str) {
        let path = self.folder.path().join(name);
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""#;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", write, "sh", script]).arg(path);
        assert!(shell.status().unwrap().success());
    }

    fn without(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    fn run(&self, what: &str) -> Output {
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/setup/requirements"))
            .arg(what)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_clear()
            .env("PATH", self.folder.path())
            .env("FOLDER", self.folder.path())
            .output()
            .unwrap()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }
}

fn which(name: &str) -> PathBuf {
    ["/bin", "/usr/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_missing_target_is_added_by_rustup() {
    let machine = Machine::with_rust();
    let output = machine.run("rust");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        machine.calls().contains("rustup target add wasm32-wasip1"),
        "{}",
        machine.calls()
    );
}

#[test]
fn a_target_that_is_there_is_not_added_again() {
    let machine = Machine::with_rust();
    machine.file("libdir", machine.folder.path().to_str().unwrap());
    let output = machine.run("rust");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        !machine.calls().contains("target add"),
        "{}",
        machine.calls()
    );
    assert!(output.stdout.is_empty(), "says nothing");
}

#[test]
fn what_reads_counts_is_added_by_rustup_and_the_build_goes_on_without_it() {
    let machine = Machine::with_rust();
    let output = machine.run("profdata");
    assert!(output.status.success(), "{}", stderr(&output));
    let calls = machine.calls();
    assert!(calls.contains("rustup component add llvm-tools"), "{calls}");
    machine.without("rustup");
    let output = machine.run("profdata");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("built without a training run"));
}

#[test]
fn what_reads_counts_is_not_added_again() {
    let machine = Machine::with_rust();
    let sysroot = machine.folder.path().join("sysroot");
    for folder in ["lib", "bin"] {
        fs::create_dir_all(sysroot.join(folder)).unwrap();
    }
    machine.file("libdir", sysroot.join("lib").to_str().unwrap());
    machine.program("sysroot/bin/llvm-profdata", "exit 0");
    let output = machine.run("profdata");
    assert!(output.status.success() && output.stderr.is_empty());
    assert_eq!(machine.calls(), "");
}

#[test]
fn an_older_rust_is_named_with_the_command_that_renews_it() {
    let machine = Machine::with_rust();
    machine.program("rustc", "echo 'rustc 1.60.0 (x 2022-01-01)'");
    let output = machine.run("rust");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("rustup update stable"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_missing_rust_is_named_with_where_to_get_it() {
    let machine = Machine::with_rust();
    machine.without("cargo");
    let output = machine.run("rust");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("rustup.rs"), "{}", stderr(&output));
}

#[test]
fn a_missing_package_is_installed_by_root_and_named_for_others() {
    let machine = Machine::with_rust();
    machine.without("cc");
    machine.program("apt-get", "echo \"apt-get $*\" >> $FOLDER/calls; [ \"$2\" = update ] || printf '#!/bin/sh\\n' > $FOLDER/cc");
    machine.without("id");
    symlink(which("env"), machine.folder.path().join("env")).unwrap();
    machine.program("id", "echo 0");
    let output = machine.run("rust");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        machine
            .calls()
            .contains("install --no-install-recommends gcc libc6-dev"),
        "{}",
        machine.calls()
    );

    let machine = Machine::with_rust();
    machine.without("cc");
    machine.program("apt-get", "exit 1");
    machine.without("id");
    machine.program("id", "echo 1000");
    let output = machine.run("rust");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("sudo apt-get install gcc libc6-dev"),
        "{}",
        stderr(&output)
    );
}
