//! `agentguard audit index` while logs are written, rotated, compressed, cut and deleted.

use super::audit::{Folder, gzip};
use super::{json_lines, out, run};
use std::fs::{OpenOptions, remove_file, rename};
use std::fs::{Permissions, set_permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Records with these numbers, one in a second.
fn records(numbers: std::ops::Range<u32>) -> String {
    numbers
        .map(|n| {
            let (minute, second) = (n / 60 % 60, n % 60);
            let decision = if n % 2 == 0 { "deny" } else { "allow" };
            format!(
                "{{\"v\":1,\"ts\":\"2026-11-01T{:02}:{minute:02}:{second:02}.000Z\",\"request_id\":\"r-{n}\",\"chain\":{{\"id\":\"0123456789abcdef\",\"seq\":{n},\"prev\":\"{n:064x}\"}},\"decision\":\"{decision}\"}}\n",
                n / 3_600,
            )
        })
        .collect()
}

#[test]
fn a_record_without_a_time_is_named_and_sorted_nowhere() {
    let folder = Folder::new("timeless");
    let log = folder.0.join("audit.jsonl").to_str().unwrap().to_owned();
    let db = folder.0.join("audit.db").to_str().unwrap().to_owned();
    let timeless = |time: &str| {
        format!("{{\"v\":1,\"ts\":{time},\"request_id\":\"lost\",\"decision\":\"deny\"}}\n")
    };
    let text = [
        records(0..2),
        timeless("\"yesterday\""),
        timeless("\"9999\""),
        timeless("\"2026-11-01T00:00:01.000+01:00\""),
        timeless("1761955200"),
    ]
    .concat();
    std::fs::write(&log, text).unwrap();
    let place = format!("agentguard: AG9013: {log}:3: the record's `ts` is no time: `yesterday`");
    for arguments in [
        &["audit", "query", &log][..],
        &["audit", "query", &log, "--json"],
        &["audit", "query", &log, "--since", "2020-01-01"],
        &["audit", "query", &log, "--decision", "deny"],
        &["audit", "report", &log],
        &["audit", "export", &log],
        &["audit", "index", "--db", &db, &log],
    ] {
        let ran = run(arguments);
        let told = String::from_utf8(ran.stderr.clone()).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{arguments:?} {told}");
        assert!(told.starts_with(&place), "{arguments:?} {told}");
        assert!(
            told.contains("4 records have no time: the answer lacks them"),
            "{told}"
        );
        assert!(!out(&ran).contains("lost"), "{arguments:?} {}", out(&ran));
    }
    // Whoever asks for others does not miss them, and the index has only what has a time.
    for arguments in [
        &["audit", "query", &log, "--request-id", "r-1"][..],
        &["audit", "query", &db],
    ] {
        let ran = run(arguments);
        assert_eq!(
            (ran.status.code(), &*ran.stderr),
            (Some(0), &b""[..]),
            "{arguments:?}"
        );
    }
    let report = run(&["audit", "report", &log, "--format", "json"]);
    assert_eq!(
        json_lines(&report)[0]["complete"],
        false,
        "{}",
        out(&report)
    );
}

/// A folder with logs and their index.
struct Logs {
    folder: Folder,
    db: String,
}

impl Logs {
    fn new(name: &str) -> Logs {
        let folder = Folder::new(name);
        let db = folder.0.join("audit.db").to_str().unwrap().to_owned();
        Logs { folder, db }
    }

    fn path(&self, name: &str) -> String {
        self.folder.0.join(name).to_str().unwrap().to_owned()
    }

    fn append(&self, name: &str, text: &str) {
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// What `audit index` says.
    fn index(&self, names: &[&str], options: &[&str]) -> String {
        let paths: Vec<String> = names.iter().map(|name| self.path(name)).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let start = ["audit", "index", "--db", &self.db];
        let (code, said) = self.folder.tells(&[&start[..], options, &paths].concat());
        assert_eq!(code, Some(0), "{said}");
        said
    }

    /// The numbers of the records that a query finds.
    fn found(&self, options: &[&str]) -> Vec<u32> {
        let start = ["--json", "audit", "query", &self.db, "--limit", "0"];
        let output = run(&[&start[..], options].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let records = json_lines(&output);
        let ids = records
            .iter()
            .map(|record| record["request_id"].as_str().unwrap());
        ids.map(|id| id.replace("r-", "").parse().unwrap())
            .collect()
    }

    fn start(&self, name: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args(["audit", "index", "--db", &self.db, &self.path(name)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

#[test]
fn what_is_new_is_added_through_rotation_and_compression() {
    let logs = Logs::new("index-rotated");
    logs.append("audit.jsonl", &records(0..10));
    assert_eq!(logs.index(&["audit.jsonl"], &[]), "audit.db: 10 records\n");
    assert_eq!(
        logs.index(&["audit.jsonl"], &[]),
        "audit.db: 10 records, none of them new\n"
    );
    logs.append("audit.jsonl", &records(10..15));
    assert_eq!(
        logs.index(&["audit.jsonl"], &[]),
        "audit.db: 15 records, 5 of them new\n"
    );
    // Renamed, and something was written to it before Envoy opened the new file.
    logs.append("audit.jsonl", &records(15..17));
    rename(logs.path("audit.jsonl"), logs.path("audit.jsonl.1")).unwrap();
    logs.append("audit.jsonl", &records(17..20));
    assert_eq!(
        logs.index(&["audit.jsonl", "audit.jsonl.1"], &[]),
        "audit.db: 20 records, 5 of them new\n"
    );
    // Compressed: another file, with a line more than was read.
    let compressed = gzip(records(0..18).replace("r-17", "r-117").as_bytes());
    logs.folder.write("audit.jsonl.2.gz", &compressed);
    remove_file(logs.path("audit.jsonl.1")).unwrap();
    let names = ["audit.jsonl", "audit.jsonl.2.gz"];
    assert_eq!(
        logs.index(&names, &[]),
        "audit.db: 21 records, 1 of them new\n"
    );
    assert_eq!(
        logs.index(&names, &[]),
        "audit.db: 21 records, none of them new\n"
    );
    let mut all: Vec<u32> = (0..20).collect();
    all.insert(17, 117);
    let mut found = logs.found(&[]);
    found.sort_unstable();
    all.sort_unstable();
    assert_eq!(found, all);
    assert_eq!(logs.found(&["--where", "chain.seq=12"]), [12]);
    assert_eq!(logs.found(&["--where", "chain.seq>=18"]), [18, 19]);
    assert_eq!(logs.found(&["--where", "chain.prev=*0000f"]), [15]);
    assert_eq!(
        logs.found(&["--decision", "deny", "--where", "chain.seq<4"]),
        [0, 2]
    );
}

#[test]
fn a_record_that_is_being_written_is_read_when_it_is_complete() {
    let logs = Logs::new("index-torn");
    let text = records(0..3);
    let (start, rest) = text.split_at(text.len() - 30);
    logs.append("audit.jsonl", start);
    assert_eq!(
        logs.index(&["audit.jsonl"], &[]),
        "audit.db: 2 records\naudit.jsonl:3: the file ends in the middle of a record: it was cut off, or is being written just now\n"
    );
    logs.append("audit.jsonl", rest.trim_end());
    assert_eq!(
        logs.index(&["audit.jsonl"], &[]),
        "audit.db: 3 records, 1 of them new\n"
    );
    logs.append("audit.jsonl", &format!("\n{}", records(3..4)));
    assert_eq!(
        logs.index(&["audit.jsonl"], &[]),
        "audit.db: 4 records, 1 of them new\n"
    );
    assert_eq!(logs.found(&[]), [0, 1, 2, 3]);
}

#[test]
fn a_file_that_was_cut_or_changed_is_told_and_read_again() {
    let logs = Logs::new("index-cut");
    logs.append("a", &records(0..10));
    logs.append("b", &records(100..110));
    logs.index(&["a", "b"], &[]);
    // As `> a` does while Envoy goes on writing.
    logs.folder.write("a", records(10..12).as_bytes());
    assert_eq!(
        logs.index(&["a", "b"], &[]),
        "audit.db: 12 records, 2 of them new\na was cut or changed since it was indexed: 10 records of it are removed, and it is read from its beginning\n"
    );
    let left: Vec<u32> = (10..12).chain(100..110).collect();
    assert_eq!(logs.found(&[]), left);
    // A line in the middle, and the same size.
    let changed = records(100..110).replace("r-105", "r-999");
    logs.folder.write("b", changed.as_bytes());
    let said = logs.index(&["a", "b"], &[]);
    assert!(said.contains("\nb was cut or changed since"), "{said}");
    assert!(logs.found(&[]).contains(&999));
    // `logrotate` with `copytruncate`: the content is elsewhere, and the file begins anew.
    std::fs::copy(logs.path("a"), logs.path("a.1")).unwrap();
    logs.folder.write("a", records(12..13).as_bytes());
    assert_eq!(
        logs.index(&["a", "a.1", "b"], &[]),
        "audit.db: 13 records, 1 of them new\n"
    );
}

#[test]
fn records_of_deleted_files_stay_until_they_are_removed() {
    let logs = Logs::new("index-deleted");
    logs.append("old", &records(0..10));
    logs.append("new", &records(10..20));
    logs.index(&["old", "new"], &[]);
    remove_file(logs.path("old")).unwrap();
    assert_eq!(
        logs.index(&["new"], &[]),
        "audit.db: 20 records, none of them new\nold is not named or gone: its 10 records kept (--remove-missing removes)\n"
    );
    assert_eq!(
        logs.index(&["new"], &["--remove-missing"]),
        "audit.db: 10 records, none of them new\nold is not named or gone: its 10 records removed\n"
    );
    assert_eq!(logs.found(&[]), (10..20).collect::<Vec<u32>>());
    let bytes = std::fs::read(&logs.db).unwrap();
    let needle = b"\"r-5\"";
    assert!(!bytes.windows(needle.len()).any(|window| window == needle));
    assert_eq!(
        logs.index(&["new"], &["--rebuild"]),
        "audit.db: 10 records\n"
    );
}

#[test]
fn a_killed_run_leaves_the_index_as_it_was_and_readers_see_one_state() {
    let logs = Logs::new("index-killed");
    logs.append("audit.jsonl", &records(0..100));
    logs.index(&["audit.jsonl"], &[]);
    logs.append("audit.jsonl", &records(100..20_000));
    for pause in [0, 20, 60, 150, 300] {
        let mut child = logs.start("audit.jsonl");
        std::thread::sleep(std::time::Duration::from_millis(pause));
        let found = logs.found(&["--decision", "deny"]).len();
        assert!([50, 10_000].contains(&found), "{found}");
        child.kill().unwrap();
        child.wait().unwrap();
        let found = logs.found(&["--decision", "allow"]).len();
        assert!([50, 10_000].contains(&found), "{found}");
    }
    let said = logs.index(&["audit.jsonl"], &[]);
    assert!(said.starts_with("audit.db: 20000 records"), "{said}");
    assert_eq!(logs.found(&[]).len(), 20_000);
    // An index that did not exist before is complete, or does not exist.
    remove_file(&logs.db).unwrap();
    let mut child = logs.start("audit.jsonl");
    std::thread::sleep(std::time::Duration::from_millis(30));
    child.kill().unwrap();
    child.wait().unwrap();
    if std::fs::exists(&logs.db).unwrap() {
        assert_eq!(logs.found(&[]).len(), 20_000);
    }
    logs.index(&["audit.jsonl"], &[]);
    assert_eq!(logs.found(&[]).len(), 20_000);
    assert!(!std::fs::exists(format!("{}-new", logs.db)).unwrap());
}

#[test]
fn many_small_additions_answer_like_one() {
    let logs = Logs::new("index-small");
    for n in 0..12 {
        logs.append("audit.jsonl", &records(n * 7..(n + 1) * 7));
        logs.index(&["audit.jsonl"], &[]);
    }
    let expected: Vec<u32> = (0..84).filter(|n| n % 2 == 0).collect();
    assert_eq!(logs.found(&["--decision", "deny"]), expected);
    assert_eq!(logs.found(&["--where", "decision!=deny"]).len(), 42);
    assert_eq!(
        logs.found(&[
            "--since",
            "2026-11-01T00:01",
            "--until",
            "2026-11-01T00:01:03"
        ]),
        [60, 61, 62]
    );
    assert_eq!(
        out(&run(&[
            "audit",
            "query",
            &logs.db,
            "--limit",
            "1",
            "--columns",
            "request_id"
        ])),
        "request_id\nr-83\nthe newest 1 of 84 records; --limit 0 shows all\n"
    );
}

#[test]
fn what_is_no_index_is_left_alone() {
    let logs = Logs::new("index-foreign");
    logs.append("audit.jsonl", &records(0..1));
    let log = logs.path("audit.jsonl");
    let tells = |db: &str| {
        let (code, said) = logs.folder.tells(&["audit", "index", &log, "--db", db]);
        assert_eq!(code, Some(2));
        said
    };
    assert_eq!(
        tells(&log),
        "agentguard: AG9011: audit.jsonl can't be written: it exists and is no index; name another file\n"
    );
    let foreign = logs.path("other.db");
    let sqlite = b"SQLite format 3\0and nothing more";
    std::fs::write(&foreign, sqlite).unwrap();
    assert_eq!(
        tells(&foreign),
        "agentguard: AG9013: other.db can't be written: the index is damaged; delete it and make it anew with `agentguard audit index`\n"
    );
    assert_eq!(std::fs::read(&foreign).unwrap(), sqlite);
    let nowhere = logs.path("gone/audit.db");
    assert_eq!(
        tells(&nowhere),
        "agentguard: AG9011: gone/audit.db can't be written: its folder does not exist; make it first\n"
    );
    let folder = logs.folder.0.to_str().unwrap().to_owned();
    let said = tells(&folder);
    assert!(
        said.ends_with("can't be written: it is a folder; name a file in it\n"),
        "{said}"
    );
    logs.index(&["audit.jsonl"], &[]);
    let lock = OpenOptions::new()
        .write(true)
        .open(format!("{}-lock", logs.db))
        .unwrap();
    lock.lock().unwrap();
    assert_eq!(
        tells(&logs.db),
        "agentguard: AG9014: audit.db can't be written: another `agentguard audit index` is writing it; try again\n"
    );
}

#[test]
fn an_auditor_reads_an_index_that_only_its_owner_may_write() {
    let logs = Logs::new("index-read-only");
    logs.append("audit.jsonl", &records(0..100));
    logs.index(&["audit.jsonl"], &[]);
    let mode = |path: &str, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
    // Another user may not look into the folder of the build. A process that another test starts meanwhile would inherit the
    // copy open for writing, and what is open for writing is not run: another process copies.
    let command = logs.path("agentguard");
    let mut copy = Command::new("cp");
    copy.args([env!("CARGO_BIN_EXE_agentguard"), &command]);
    assert!(copy.status().unwrap().success());
    mode(&command, 0o755);
    for file in ["audit.db", "audit.db-lock", "audit.jsonl"] {
        mode(&logs.path(file), 0o444);
    }
    let folder = logs.folder.0.to_str().unwrap();
    mode(folder, 0o555);
    let says = |arguments: &[&str]| {
        let mut command = Command::new(&command);
        // Permissions are nothing to root.
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        let output = command.args(arguments).output().unwrap();
        let said = [&*output.stdout, &*output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        (
            output.status.code(),
            said.replace(&format!("{folder}/"), ""),
        )
    };
    let query = ["--json", "audit", "query", &logs.db];
    let (code, said) = says(&[&query[..], &["--limit", "0"]].concat());
    assert_eq!((code, said.lines().count()), (Some(0), 100), "{said}");
    let log = logs.path("audit.jsonl");
    let (code, said) = says(&["audit", "index", &log, "--db", &logs.db]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.to_lowercase()
            .starts_with("agentguard: ag9011: audit.db can't be written: permission denied")
    );
    mode(&logs.db, 0o000);
    assert_eq!(
        says(&query),
        (
            Some(2),
            "agentguard: AG9010: audit.db can't be read: permission denied; run this as a user who may read it\n"
                .to_owned()
        )
    );
    mode(folder, 0o755);
}
