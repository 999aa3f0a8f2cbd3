//! `agentguard audit verify` on files as they lie about.

use super::{out, root, run, run_with};
use agentguard::author::parse_yaml;
use agentguard::flow::simulation::{self, HttpMessage};
use agentguard::flow::{Guard, HostEnvironment};
use agentguard::policy::{Policy, load};
use agentguard::proxy::MemorySharedData;
use serde_json::{Value, json};
use sha2::Digest;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;

/// The lines of a chain.
pub(super) fn trail(records: usize) -> Vec<String> {
    trail_of(&simulation::guard(policy("")).unwrap(), records)
}

fn policy(more: &str) -> Policy {
    let policy = format!(
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: test }}\nrequire: none\n\
         defaults: {{ action: allow }}\n{more}"
    );
    load(&parse_yaml(&policy).unwrap()).policy.unwrap()
}

fn trail_of(guard: &Rc<Guard>, records: usize) -> Vec<String> {
    let request = HttpMessage::new(
        &[
            (":method", "GET"),
            (":path", "/v1/models"),
            (":authority", "api.openai.com"),
        ],
        b"",
    );
    (0..records)
        .map(|_| {
            let response = || HttpMessage::new(&[(":status", "200")], b"");
            let seen = simulation::run(guard, &request, |_| response(), 1);
            String::from_utf8(seen.finished.line).unwrap()
        })
        .collect()
}

/// Kubernetes gives Envoy a secret with the line feed that its file has, a shell without it.
#[test]
fn the_line_feed_of_a_key_file_may_be_part_of_the_key() {
    let folder = Folder::new("audit-key-line");
    let files = ["", "\n", "\r\n"].map(|end| {
        let key = format!("a-mac-key-of-thirty-two-bytes-0123{end}");
        folder.write(&format!("key-{}", end.len()), key.as_bytes())
    });
    for key in [
        "a-mac-key-of-thirty-two-bytes-0123",
        "a-mac-key-of-thirty-two-bytes-0123\n",
    ] {
        let surroundings = HostEnvironment {
            variable: &|_| Some(key.to_owned()),
            node_environment: &|| None,
            seed: [7; 40],
            shared_data: Rc::new(MemorySharedData::default()),
            kill: Rc::default(),
        };
        let guard = Guard::new(policy("audit: { key: env:AUDIT_KEY }"), &surroundings);
        let trail = trail_of(&Rc::new(guard.unwrap()), 3);
        let trail = folder.write("audit.jsonl", &lines(&trail));
        for file in &files {
            let verify = ["audit", "verify", &trail, "--key", &format!("file:{file}")];
            let (code, said) = folder.tells(&verify);
            assert_eq!(code, Some(0), "{key:?} {file}: {said}");
        }
    }
}

pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("agentguard-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        let file = self.0.join(name);
        std::fs::write(&file, bytes).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// What a command says, with file names in place of paths.
    pub(crate) fn tells(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = run(arguments);
        let said = [
            out(&output),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ]
        .concat();
        let folder = format!("{}/", self.0.display());
        (output.status.code(), said.replace(&folder, ""))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn lines(lines: &[String]) -> Vec<u8> {
    lines
        .iter()
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        .into_bytes()
}

#[test]
fn a_rotated_and_compressed_trail_is_sound_in_any_order() {
    let folder = Folder::new("audit-rotated");
    let trail = trail(9);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&lines(&trail[..3])).unwrap();
    let oldest = folder.write("audit.jsonl.2.gz", &gzip.finish().unwrap());
    let zstd = ruzstd::encoding::compress_to_vec(
        lines(&trail[3..6]).as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    let older = folder.write("audit.jsonl.1.zst", &zstd);
    let newest = folder.write("audit.jsonl", &lines(&trail[6..]));
    let (code, said) = folder.tells(&["audit", "verify", &newest, &older, &oldest]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with(
            "9 records in 1 chain, 0 exchanges not evaluated: no fault\nThe records have no MACs"
        ),
        "{said}"
    );
}

#[test]
fn every_fault_names_its_file_and_line() {
    let folder = Folder::new("audit-faults");
    let mut trail = trail(9);
    trail[2] = trail[2].replace("\"allow\"", "\"deny\"");
    trail.remove(6);
    trail.insert(1, "-".to_owned());
    trail.push("GET / HTTP/1.1".to_owned());
    let mut bytes = lines(&trail);
    bytes.extend_from_slice(&trail[3].as_bytes()[..50]);
    let file = folder.write("audit.jsonl", &bytes);
    let (code, said) = folder.tells(&["audit", "verify", &file]);
    assert_eq!(code, Some(1), "{said}");
    let chain = said
        .split("chain ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    insta::assert_snapshot!(said.replace(chain, "CHAIN"), @r"
    audit.jsonl:5: the record does not follow the one at audit.jsonl:4: one of the two was changed
    audit.jsonl:8: record 6 of chain CHAIN is missing behind audit.jsonl:7
    audit.jsonl:10: this line is no audit record
    audit.jsonl:11: the file ends in the middle of a record: it was cut off, or is being written just now
    8 records in 1 chain, 1 exchange not evaluated: 4 faults
    The records have no MACs: whoever can write the files could have written the chains anew.
    The chains don't tell whether records followed the last ones, nor whether whoever holds the key wrote them anew: compare their heads (--json, --write-heads) with those that you keep elsewhere.
    ");
}

#[test]
fn a_trail_goes_on_behind_its_heads() {
    let folder = Folder::new("audit-heads");
    let trail = trail(6);
    let old = folder.write("old", &lines(&trail[..4]));
    let new = folder.write("new", &lines(&trail[4..]));
    let heads = folder.0.join("heads.json");
    let heads = heads.to_str().unwrap();
    assert_eq!(
        folder
            .tells(&["audit", "verify", &old, "--write-heads", heads])
            .0,
        Some(0)
    );
    assert_eq!(folder.tells(&["audit", "verify", &new]).0, Some(1));
    assert_eq!(
        folder.tells(&["audit", "verify", &new, "--heads", heads]).0,
        Some(0)
    );
    let (code, said) = folder.tells(&["audit", "verify", &new, "--heads", &old]);
    assert_eq!(
        (code, said.as_str()),
        (
            Some(2),
            "agentguard: AG9013: old: these are no heads, and no checkpoint; `audit verify --write-heads` and `audit checkpoint` write them\n"
        )
    );
}

#[test]
fn heads_and_checkpoints_take_the_place_of_nothing_else() {
    let folder = Folder::new("audit-replaced");
    let log = folder.write("audit.jsonl", &lines(&trail(3)));
    let (first, second) = (folder.0.join("first.key"), folder.0.join("second.key"));
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    for key in [first, second] {
        let made = run(&["keygen", "--checkpoint", "--output", key]);
        assert_eq!(made.status.code(), Some(0));
    }
    let verify = ["audit", "verify", &log, "--write-heads"];
    let sign = ["audit", "checkpoint", &log, "--key", first, "--output"];
    let notes = folder.write("notes", b"{\"kind\":\"notes\"}\n");
    for command in [&verify[..], &sign] {
        for kept in [&*log, first, second, &notes] {
            let before = std::fs::read(kept).unwrap();
            let (code, said) = folder.tells(&[command, &[kept]].concat());
            assert_eq!(code, Some(2), "{command:?} {kept}: {said}");
            assert!(said.contains("neither heads nor a checkpoint"), "{said}");
            assert_eq!(std::fs::read(kept).unwrap(), before);
        }
        // Also those of earlier versions, in a file that was prepared with its permissions, and nowhere.
        let heads = folder.write("heads", b"{\n  \"0011223344556677\": \"3:00\"\n}\n");
        let none = folder.write("none", b"{}\n");
        let checkpoint = std::fs::read("tests/upgrade/0.1/checkpoint.json").unwrap();
        let checkpoint = folder.write("checkpoint", &checkpoint);
        let empty = folder.write("empty", b"");
        for replaced in [&heads, &none, &checkpoint, &empty, "/dev/null"] {
            for _ in 0..2 {
                let (code, said) = folder.tells(&[command, &[replaced]].concat());
                assert_eq!(code, Some(0), "{command:?} {replaced}: {said}");
            }
        }
        // A pipe is written, and not read before: nobody writes to it.
        let pipe = folder.0.join(format!("pipe-{}", command[1]));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let written = {
            let pipe = pipe.clone();
            std::thread::spawn(move || std::fs::read(pipe).unwrap())
        };
        let (code, said) = folder.tells(&[command, &[pipe.to_str().unwrap()]].concat());
        assert_eq!(code, Some(0), "{command:?}: {said}");
        assert!(written.join().unwrap().starts_with(b"{"));
    }
}

#[test]
fn what_cannot_be_verified_is_said() {
    let nothing = run_with(&["audit", "verify", "-"], b"-\n-\n");
    assert_eq!(nothing.status.code(), Some(0));
    assert!(out(&nothing).contains("There is no record in these files"));
    for (key, message) in [
        ("secret", "--key: write `env:NAME` or `file:PATH`"),
        ("env:AGENTGUARD_NO_SUCH_KEY", "the variable is not set"),
    ] {
        let output = run_with(&["audit", "verify", "-", "--key", key], b"");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(message));
    }
}

#[test]
fn a_script_learns_what_a_trail_without_faults_does_not_prove() {
    let folder = Folder::new("audit-unproven");
    let sealed = root().join("tests/upgrade/0.1/audit.jsonl");
    let sealed = sealed.to_str().unwrap();
    let right = folder.write("key", b"a-mac-key-of-thirty-two-bytes-0123");
    let right = format!("file:{right}");
    let plain = folder.write("plain", &lines(&trail(3)));
    let empty = folder.write("empty", b"");
    let both = [sealed, &plain];
    for (arguments, unproven) in [
        (&[sealed][..], &["unchecked_macs"][..]),
        (&[sealed, "--key", &right], &[]),
        (&[&plain], &["no_macs"]),
        (&both, &["unchecked_macs", "no_macs"]),
        (&[&empty], &["no_record"]),
    ] {
        let verify = [&["audit", "verify"][..], arguments].concat();
        for (options, is_ok) in [(&[][..], true), (&["--strict"], unproven.is_empty())] {
            let output = run(&[&verify[..], options, &["--json"]].concat());
            let summary: Value =
                serde_json::from_str(out(&output).lines().last().unwrap()).unwrap();
            let told = (&summary["unproven"], &summary["ok"], &summary["faults"]);
            let expected = (&json!(unproven), &json!(is_ok), &json!(0));
            assert_eq!(told, expected, "{arguments:?} {options:?}");
            let code = Some(i32::from(!is_ok));
            assert_eq!(output.status.code(), code, "{arguments:?} {options:?}");
            assert_eq!(run(&[&verify[..], options].concat()).status.code(), code);
        }
    }
}

#[test]
fn a_wrong_key_is_told_from_a_changed_trail() {
    let folder = Folder::new("audit-wrong-key");
    let trail = root().join("tests/upgrade/0.1/audit.jsonl");
    let trail = trail.to_str().unwrap();
    let key = |text: &str| format!("file:{}", folder.write(text, text.as_bytes()));
    let wrong = "No MAC fits: this is probably not the key of this trail.";
    let right = key("a-mac-key-of-thirty-two-bytes-0123");
    let (code, said) = folder.tells(&["audit", "verify", trail, "--key", &right]);
    assert!(code == Some(0) && !said.contains(wrong), "{said}");
    let other = key("another-key-of-thirty-two-bytes-00");
    let (code, said) = folder.tells(&["audit", "verify", trail, "--key", &other]);
    assert!(code == Some(1) && said.contains(wrong), "{said}");
    let text = std::fs::read_to_string(trail).unwrap();
    let changed = text.replacen("\"decision\":\"deny\"", "\"decision\":\"allow\"", 1);
    let changed = folder.write("changed", changed.as_bytes());
    let (code, said) = folder.tells(&["audit", "verify", &changed, "--key", &right]);
    assert!(code == Some(1) && !said.contains(wrong), "{said}");
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_damaged_file_is_a_fault_and_the_others_are_verified() {
    let folder = Folder::new("audit-damaged");
    let trail = trail(9);
    let whole = gzip(&lines(&trail[..3]));
    let oldest = folder.write("3.gz", &whole[..whole.len() - 4]);
    let older = folder.write("2.bz2", b"BZh91AY");
    // Windows line ends, and no end of the last line.
    let crlf = trail[3..6].join("\r\n");
    let newer = folder.write("1", crlf.as_bytes());
    let noise = [
        b"\0\xFF\n{}\n[]\n".to_vec(),
        lines(&trail[6..]),
        b"\n \n".to_vec(),
    ]
    .concat();
    let newest = folder.write("0", &noise);
    let empty = folder.write("empty", b"");
    let (code, said) = folder.tells(&["audit", "verify", &newest, &newer, &older, &oldest, &empty]);
    assert_eq!(code, Some(1), "{said}");
    insta::assert_snapshot!(said.split("The records have no MACs").next().unwrap(), @r"
    0:1: this line is no audit record
    0:2: this line is no audit record
    0:3: this line is no audit record
    2.bz2:1: the file can't be read from here on: it is compressed with bzip2; unpack it first
    3.gz:4: the compressed data ends here: the file was cut off, or is being written just now
    9 records in 1 chain, 0 exchanges not evaluated: 5 faults
    ");
}

#[test]
fn what_is_no_file_is_said_before_anything_is_read() {
    let folder = Folder::new("audit-folder");
    let trail = trail(2);
    let file = folder.write("audit.jsonl", &lines(&trail));
    let inside = folder.0.to_str().unwrap();
    let gone = folder.0.join("gone");
    let (code, said) = folder.tells(&["audit", "verify", inside, &file, gone.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("it is a folder; name its files\n"), "{said}");
    assert!(
        said.contains("gone can't be read: there is no such file; is the path right?\n"),
        "{said}"
    );
    // A glob that meets a link to the newest file is no fault.
    let (code, said) = folder.tells(&["audit", "verify", &file, &file]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("audit.jsonl is named twice and read once"),
        "{said}"
    );
    let copy = folder.write("copy", &lines(&trail));
    let (code, said) = folder.tells(&["audit", "verify", &file, &copy]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("copy:1: the records from here on are also those up to audit.jsonl:2: they stand in two files\n"),
        "{said}"
    );
}

#[test]
fn a_checkpoint_shows_what_was_changed_or_cut_before_it() {
    let folder = Folder::new("audit-checkpoint");
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let (key, other, checkpoint) = (path("c.key"), path("o.key"), path("monday"));
    let made = run(&["keygen", "--checkpoint", "-o", &key]);
    let public = out(&made).trim().to_owned();
    assert!(public.starts_with("ed25519:"), "{public}");
    let again = run(&["keygen", "--checkpoint", "-o", &key]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(2));
    assert!(
        said.contains("exists, and may be the only copy of a key"),
        "{said}"
    );
    let trail = trail(6);
    let log = folder.write("audit.jsonl", &lines(&trail[..4]));
    let sign = [
        "audit",
        "checkpoint",
        &log,
        "--key",
        &key,
        "-o",
        &checkpoint,
    ];
    assert_eq!(folder.tells(&sign), (Some(0), String::new()));
    let verify = |lines_of: &[String]| {
        folder.write("audit.jsonl", &lines(lines_of));
        folder.tells(&[
            "audit",
            "verify",
            &log,
            "--checkpoint",
            &checkpoint,
            "--checkpoint-key",
            &public,
        ])
    };
    let (code, said) = verify(&trail);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("holds: nothing up to its 4 records was changed or cut off.\n"),
        "{said}"
    );
    let (code, said) = verify(&trail[..2]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains(
            " ends with record 1, and the checkpoint has record 3: the end was cut off\n"
        ),
        "{said}"
    );
    let chain = trail[0].split("\"chain\":{\"id\":\"").nth(1).unwrap();
    let chain = chain.split('"').next().unwrap().to_owned();
    let (code, said) = verify(&[trail[0].replace(&chain, "0123456789abcdef")]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains(", which the checkpoint has, is not in these files\n"),
        "{said}"
    );
    // It also is a start.
    folder.write("audit.jsonl", &lines(&trail[4..]));
    let start = ["audit", "verify", &log, "--heads", &checkpoint];
    assert_eq!(folder.tells(&start).0, Some(2));
    let (code, said) = folder.tells(&[&start[..], &["--checkpoint-key", &public]].concat());
    assert_eq!(code, Some(0), "{said}");
    // A key of somebody else, and a trail that is not sound.
    let stranger = out(&run(&["keygen", "--checkpoint", "-o", &other]));
    let (code, said) = folder.tells(&[&start[..], &["--checkpoint-key", stranger.trim()]].concat());
    assert_eq!(
        (code, said.as_str()),
        (
            Some(2),
            "agentguard: AG9013: monday: the checkpoint was signed by another key: give its public half with --checkpoint-key\n"
        )
    );
    let (code, said) = folder.tells(&sign);
    assert_eq!(code, Some(1));
    assert!(
        said.ends_with("agentguard: AG9014: the trail has faults: nothing was signed. Mend what is named above first\n"),
        "{said}"
    );
}

/// Records of an hour, in one chain, with texts that clients chose.
fn recorded() -> Vec<String> {
    let record = |minute: usize, caller: &str, more: &str| {
        format!(
            r#""ts":"2020-11-22T09:{minute:02}:00.000Z","request_id":"r-{minute}","chain":CHAIN,"policy":{{"name":"p","version":"sha256:0","mode":"enforce"}},"principal":{{{caller}}},{more},"coverage":{{"level":"full","reasons":[]}},"timing":{{"inspect_us":1,"held_us":0}}}}"#
        )
    };
    let billing = r#""agent":"billing","tenant":"acme""#;
    let hostile =
        r#""agent":"=cmd|'/C calc'!A0","tenant":"<script>alert(1)</script>\u001b[2J\u202e""#;
    let deny = |rule: &str| {
        format!(
            r#""model":"gpt-4o","decision":"deny","code":"AG3001","status":403,"rules":[{{"id":"{rule}","action":"deny","event":"tool_call","at":"/a","mode":"enforce"}}],"tools":["github/delete","mail/send"]"#
        )
    };
    let allow = r#""model":"gpt-4o,o3","decision":"allow","status":200,"findings":{"email":2},"usage":{"input_tokens":1000,"output_tokens":500}"#;
    let limited = r#""model":"o3","decision":"deny","code":"AG3005","status":429,"usage":{"input_tokens":5},"limits":[{"id":"daily","used":11,"max":10,"exceeded":true}]"#;
    let approved = r#""model":"o3","decision":"allow","status":200,"approval":{"id":"a","digest":"d","state":"approved"}"#;
    let lines = [
        record(0, billing, &deny("no-delete")),
        record(1, billing, allow),
        record(2, billing, &deny("no-delete")),
        record(3, billing, allow),
        record(4, billing, &deny("no-delete")),
        record(5, billing, allow),
        record(6, hostile, &deny("no-delete")),
        record(7, hostile, limited),
        record(8, "", approved),
    ];
    let mut prev = "0".repeat(64);
    let mut chained = Vec::new();
    for (seq, line) in lines.iter().enumerate() {
        let start = if seq == 0 { ",\"start\":true" } else { "" };
        let chain = format!(r#"{{"id":"0123456789abcdef","seq":{seq},"prev":"{prev}"{start}}}"#);
        let line = format!("{{\"v\":1,{}", line.replace("CHAIN", &chain));
        prev = hex(&line);
        chained.push(line);
    }
    chained
}

fn hex(line: &str) -> String {
    let digest = sha2::Sha256::digest(line.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_query_finds_the_same_in_files_and_in_their_index() {
    let folder = Folder::new("audit-query");
    let mut bytes = lines(&recorded());
    bytes.extend_from_slice(b"-\nno record\n");
    let log = folder.write("audit.jsonl", &bytes);
    let db = folder.0.join("audit.db");
    let db = db.to_str().unwrap();
    let (code, said) = folder.tells(&["audit", "index", &log, "--db", db]);
    assert_eq!(
        (code, said.as_str()),
        (
            Some(0),
            "audit.db: 9 records\n1 line is no record: `agentguard audit verify` names them\n"
        )
    );
    let ids = |file: &str, filter: &[&str]| {
        let output = run(&[&["--json", "audit", "query", file], filter].concat());
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let records = super::json_lines(&output);
        let ids = records
            .iter()
            .map(|record| record["request_id"].as_str().unwrap().replace("r-", ""));
        ids.collect::<Vec<_>>().join(" ")
    };
    for (filter, expected) in [
        (&[][..], "0 1 2 3 4 5 6 7 8"),
        (&["--limit", "2"], "7 8"),
        (&["--decision", "deny"], "0 2 4 6 7"),
        (&["--agent", "billing", "--decision", "allow"], "1 3 5"),
        (
            &["--agent", "bill*", "--agent", "other", "--limit", "1"],
            "5",
        ),
        (
            &["--model", "gpt-4o", "--tenant", "acme", "--code", "AG3001"],
            "0 2 4",
        ),
        (&["--model", "o3"], "1 3 5 7 8"),
        (&["--tool", "github/*"], "0 2 4 6"),
        (
            &[
                "--tool",
                "mail/send",
                "--rule",
                "no-delete",
                "--since",
                "2020-11-22T09:04",
            ],
            "4 6",
        ),
        (
            &[
                "--since",
                "2020-11-22T09:02",
                "--until",
                "2020-11-22T09:04:00Z",
            ],
            "2 3",
        ),
        (&["--until", "2020-11-22T08:00"], ""),
        (
            &[
                "--since",
                "2020-11-20",
                "--until",
                "2020-11-23",
                "--where",
                "status>=429",
            ],
            "7",
        ),
        (
            &["--where", "findings", "--where", "usage.input_tokens>999"],
            "1 3 5",
        ),
        (&["--where", "status!=403"], "1 3 5 7 8"),
        (&["--where", "chain.seq=3"], "3"),
        (
            &[
                "--where",
                "chain.seq>5",
                "--decision",
                "deny",
                "--limit",
                "1",
            ],
            "7",
        ),
        (&["--where", "principal"], "0 1 2 3 4 5 6 7"),
        (
            &[
                "--request-id",
                "r-5",
                "--request-id",
                "r-1",
                "--request-id",
                "r-x",
            ],
            "1 5",
        ),
        (&["--principal", "nobody"], ""),
        (
            &[
                "--agent",
                "=cmd|'/C calc'!A0",
                "--where",
                "limits.exceeded=true",
            ],
            "7",
        ),
    ] {
        assert_eq!(ids(&log, filter), expected, "{filter:?} in the file");
        assert_eq!(ids(db, filter), expected, "{filter:?} in the index");
    }
    for (wrong, message) in [
        (
            &["--where", "status>x"][..],
            "--where status>x: write a path",
        ),
        (&["--since", "yesterday"], "--since yesterday: write `90m`"),
        (&[log.as_str()], "name one index, or files"),
    ] {
        let (code, said) = folder.tells(&[&["audit", "query", db], wrong].concat());
        assert_eq!(code, Some(2));
        assert!(said.contains(message), "{said}");
    }
    let (code, said) = folder.tells(&["audit", "index", &log, "--db", &log]);
    assert_eq!(code, Some(2));
    assert!(said.contains("it exists and is no index"), "{said}");
    // Another program's database, and a damaged one.
    std::fs::write(db, b"SQLite format 3\0and nothing more").unwrap();
    let (code, said) = folder.tells(&["audit", "query", db]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn no_text_of_a_record_steers_a_terminal_a_page_or_a_spreadsheet() {
    let folder = Folder::new("audit-hostile");
    let log = folder.write("audit.jsonl", &lines(&recorded()));
    let (_, table) = folder.tells(&["audit", "query", &log, "--limit", "3"]);
    insta::assert_snapshot!("audit_query", table);
    let columns = "ts,principal.agent,principal.tenant,findings,limits";
    let (_, csv) = folder.tells(&[
        "audit",
        "export",
        &log,
        "--since",
        "2020-11-22T09:05",
        "--columns",
        columns,
    ]);
    insta::assert_snapshot!("audit_export", csv);
    let (_, all) = folder.tells(&["audit", "export", &log, "--format", "jsonl"]);
    assert_eq!(all.as_bytes(), lines(&recorded()));
    let mut outputs = vec![table, csv];
    let mut pages = Vec::new();
    for format in ["text", "markdown", "html", "csv", "json"] {
        let (code, said) = folder.tells(&["audit", "report", &log, "--format", format]);
        assert_eq!(code, Some(0), "{said}");
        if format == "json" {
            let report: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!(report["exchanges"], 9);
            assert_eq!(report["false_positives"][0]["rule"], "no-delete");
            assert_eq!(report["limits"][0]["exceeded"], 1);
        } else {
            insta::assert_snapshot!(format!("audit_report_{format}"), said);
            if matches!(format, "markdown" | "html") {
                pages.push(said.clone());
            }
            outputs.push(said);
        }
    }
    for output in outputs {
        assert!(!output.contains(['\u{1b}', '\u{202e}']), "{output}");
    }
    for page in pages {
        assert!(!page.contains("<script"), "{page}");
    }
}

#[test]
fn old_files_go_and_the_rest_stays_verifiable() {
    let folder = Folder::new("audit-prune");
    let trail = recorded();
    let names: Vec<String> = (0..3)
        .map(|number| {
            folder
                .0
                .join(format!("audit.{number}"))
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    for (name, part) in names.iter().zip(trail.chunks(3)) {
        std::fs::write(name, lines(part)).unwrap();
    }
    // The newest file is of another time, so that it stays.
    let newest = trail[6..]
        .iter()
        .map(|line| line.replace("2020-11-22", "2999-01-01"));
    let mut prev = hex(&trail[5]);
    let newest: Vec<String> = newest
        .enumerate()
        .map(|(number, line)| {
            let (start, rest) = line.split_once(",\"prev\":\"").unwrap();
            let (_, rest) = rest.split_at(64);
            let line = format!("{start},\"prev\":\"{prev}{rest}");
            assert!(line.contains(&format!("\"seq\":{}", number + 6)));
            prev = hex(&line);
            line
        })
        .collect();
    std::fs::write(&names[2], lines(&newest)).unwrap();
    let heads = folder.0.join("heads.json").to_str().unwrap().to_owned();
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    let prune = |files: &[&str], more: &[&str]| {
        let start = ["audit", "prune", "--older-than", "1h", "--heads", &heads];
        let (code, said) = folder.tells(&[&start[..], files, more].concat());
        let limit = said
            .split("older than ")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
            .unwrap_or("?");
        (code, said.replace(limit, "TIME"))
    };
    let exist = || {
        names
            .iter()
            .filter(|name| std::path::Path::new(name).exists())
            .count()
    };
    let (code, said) = prune(&files, &["--dry-run"]);
    assert_eq!((code, exist()), (Some(0), 3), "{said}");
    // A trail with a fault stays as it is.
    std::fs::write(&names[1], lines(&trail[4..6])).unwrap();
    let (code, said) = prune(&files, &[]);
    assert_eq!((code, exist()), (Some(1), 3), "{said}");
    assert!(
        said.contains("the trail has faults: nothing was deleted"),
        "{said}"
    );
    std::fs::write(&names[1], lines(&trail[3..6])).unwrap();
    let (code, said) = prune(&files, &[]);
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(said, @r"
    audit.0: deleted, its newest record is of 2020-11-22T09:02:00.000Z
    audit.1: deleted, its newest record is of 2020-11-22T09:05:00.000Z
    2 files older than TIME, 1 file kept
    From now on: agentguard audit verify FILE… --heads heads.json
    ");
    let left = &files[2..];
    assert_eq!(
        folder
            .tells(&[&["audit", "verify", "--heads", &heads][..], left].concat())
            .0,
        Some(0)
    );
    let (code, said) = prune(left, &[]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = prune(&["-"], &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("standard input can't be deleted"), "{said}");
}

#[test]
fn explain_leads_from_a_record_to_the_rule_and_its_text() {
    let folder = Folder::new("audit-explain");
    let log = folder.write("audit.jsonl", &lines(&recorded()));
    let base = folder.write(
        "base.yaml",
        b"apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: base }\ndefaults: { action: allow }\nrules:\n  # Nothing is deleted by an agent.\n  - id: no-delete\n    match: { tool: github/delete }\n    action: deny\n    reason: Ask a person.\n  - id: other\n    match: { event: request, model: x }\n    action: deny\n",
    );
    let policy = folder.write(
        "policy.yaml",
        b"apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: p }\nextends: [base.yaml]\n",
    );
    let explain = |policy: &str, id: &str| {
        folder.tells(&["explain", policy, "--request-id", id, "--audit", &log])
    };
    let (code, said) = explain(&policy, "r-2");
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!("explain_a_record", said);
    let (code, said) = explain(&base, "r-7");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("no rule matched: the code decided"), "{said}");
    let (code, said) = explain(&base, "r-99");
    assert_eq!(
        (code, said.as_str()),
        (
            Some(2),
            "agentguard: AG9014: no record has the request id r-99; is the file of that time named?\n"
        )
    );
    let trail = root().join("tests/upgrade/0.1/audit.jsonl");
    let of_the_whole = "621eb593-d51c-4543-94cb-6aba00565700";
    let (_, said) = folder.tells(&[
        "explain",
        &base,
        "--request-id",
        of_the_whole,
        "--audit",
        trail.to_str().unwrap(),
    ]);
    assert!(
        said.contains("\ndeny models: matched a request\n"),
        "{said}"
    );
    let json = run(&[
        "--json",
        "explain",
        &base,
        "--request-id",
        "r-2",
        "--audit",
        &log,
    ]);
    let told = super::json_lines(&json);
    assert_eq!(told[0]["rules"][0]["line"], 7);
    assert_eq!(told[0]["same_version"], false);
}

#[test]
fn explain_finds_rules_of_sets_and_of_what_their_documents_extend() {
    let folder = Folder::new("audit-explain-set");
    folder.write(
        "base.yaml",
        b"rules:\n  - { id: shared, match: { tool: s }, action: deny }\n",
    );
    let policy = folder.write(
        "set.yaml",
        b"apiVersion: agentguard.dev/v1\nkind: AgentPolicySet\nmetadata: { name: s }\nrequire: none\npolicies:\n  - metadata: { name: one }\n    defaults: { action: allow }\n    rules:\n      - { id: a, match: { tool: t }, action: deny, examples: [{ call: t, principal: { id: b }, expect: deny }] }\n      - { id: b, match: { tool: w }, action: deny }\n  - metadata: { name: two }\n    extends: base.yaml\n    defaults: { action: allow }\n    rules:\n      - { id: a, match: { tool: u }, action: deny }\n",
    );
    for (rule, file, line) in [
        ("one/a", "set.yaml", 9),
        ("one/b", "set.yaml", 10),
        ("two/a", "set.yaml", 15),
        ("two/shared", "base.yaml", 2),
    ] {
        let record = serde_json::json!({
            "v": 1, "ts": "2026-03-09T14:00:00Z", "request_id": "r", "decision": "deny", "chain": {},
            "rules": [{ "id": rule, "action": "deny", "event": "tool_call" }],
        });
        let log = folder.write("audit.jsonl", record.to_string().as_bytes());
        let told = run(&[
            "--json",
            "explain",
            &policy,
            "--request-id",
            "r",
            "--audit",
            &log,
        ]);
        let found = &super::json_lines(&told)[0]["rules"][0];
        assert_eq!(found["line"], line, "{rule}: {found}");
        assert!(found["file"].as_str().unwrap().ends_with(file), "{found}");
    }
}

#[test]
fn a_pipe_is_read_once_and_from_its_beginning() {
    for file in ["-", "/dev/stdin"] {
        let output = run_with(&["--json", "audit", "query", file], &lines(&recorded()));
        assert_eq!(out(&output).as_bytes(), lines(&recorded()), "{file}");
    }
}

#[test]
fn an_index_is_made_of_a_pipe() {
    let folder = Folder::new("audit-index-pipe");
    let db = folder.0.join("audit.db").to_str().unwrap().to_owned();
    for file in ["-", "/dev/stdin"] {
        let output = run_with(&["audit", "index", file, "--db", &db], &lines(&recorded()));
        assert_eq!(out(&output), format!("{db}: 9 records\n"), "{file}");
        assert_eq!(output.status.code(), Some(0), "{file}");
    }
}

#[test]
fn old_files_on_both_sides_of_a_newer_one_are_kept() {
    let folder = Folder::new("audit-prune-gap");
    let trail = recorded();
    let newer = r#"{"v":1,"ts":"2999-01-01T00:00:00.000Z","chain":{"id":"ffffffffffffffff","seq":0,"prev":"ZEROS","start":true},"decision":"allow"}"#;
    let middle = [&trail[3..6], &[newer.replace("ZEROS", &"0".repeat(64))]].concat();
    let files = [
        folder.write("0", &lines(&trail[..3])),
        folder.write("1", &lines(&middle)),
        folder.write("2", &lines(&trail[6..])),
    ];
    let heads = folder.0.join("heads.json");
    let start = [
        "audit",
        "prune",
        "--older-than",
        "1h",
        "--heads",
        heads.to_str().unwrap(),
    ];
    let named: Vec<&str> = files.iter().map(String::as_str).collect();
    let (code, said) = folder.tells(&[&start[..], &named].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("records 3 to 5 of chain 0123456789abcdef are missing behind 0:3"),
        "{said}"
    );
    assert!(named.iter().all(|file| std::path::Path::new(file).exists()) && !heads.exists());
}

#[test]
fn the_log_that_an_idle_envoy_has_open_is_kept_and_links_are_followed() {
    let folder = Folder::new("audit-prune-idle");
    let trail = recorded();
    let older = folder.write("audit.jsonl.1", &lines(&trail[..3]));
    let live = folder.write("audit.jsonl", &lines(&trail[3..]));
    let link = folder.0.join("link").to_str().unwrap().to_owned();
    std::os::unix::fs::symlink(&older, &link).unwrap();
    let heads = folder.0.join("heads.json").to_str().unwrap().to_owned();
    let exists = |file: &str| std::path::Path::new(file).exists();
    let prune = |files: &[&str]| {
        let start = ["audit", "prune", "--older-than", "1h", "--heads", &heads];
        folder.tells(&[&start[..], files].concat())
    };
    let (code, said) = prune(&[&live, &link]);
    assert_eq!(
        (code, exists(&live), exists(&older)),
        (Some(0), true, false),
        "{said}"
    );
    assert!(
        said.contains("audit.jsonl has the newest record, and Envoy may have it open: it is kept"),
        "{said}"
    );
    // It was rotated: the new log has no record yet.
    let empty = folder.write("new.jsonl", b"");
    let (code, said) = prune(&[&empty, &live]);
    assert_eq!(
        (code, exists(&live), exists(&empty)),
        (Some(0), false, true),
        "{said}"
    );
}

/// A denied exchange with what was said in it, by somebody who wants to steer what shows it.
fn with_content() -> String {
    let said = r#"</pre><script>alert(1)</script>\n=cmd|'/C calc'!A0\n| **x** <b>\u001b[2J\u202e\n# 1 r-0"#;
    format!(
        r#"{{"v":1,"ts":"2020-11-22T10:00:00.000Z","request_id":"r-said","chain":{{"id":"0123456789abcdef","seq":9,"prev":"{:064x}"}},"decision":"deny","code":"AG3001","rules":[{{"id":"no-delete","action":"deny","event":"message","at":"/a","mode":"enforce"}}],"content":{{"form":"redacted","request":[{{"event":"message","from":"user","text":"{said}"}}],"response":[{{"event":"tool_call","tool":"refund","args":"{{\"amount\":5}}"}}],"truncated":["response"]}}}}"#,
        0
    )
}

#[test]
fn a_report_leads_from_a_violation_to_what_was_said() {
    let folder = Folder::new("audit-said");
    let mut trail = recorded();
    trail.push(with_content());
    let log = folder.write("audit.jsonl", &lines(&trail));
    for format in ["text", "markdown", "html", "csv", "json"] {
        let report = |more: &[&str]| {
            let start = ["audit", "report", &log, "--since", "2020-11-22T10:00"];
            let (code, said) = folder.tells(&[&start[..], &["--format", format], more].concat());
            assert_eq!(code, Some(0), "{said}");
            said
        };
        let without = report(&[]);
        assert!(without.contains("r-said") && without.contains("redacted"));
        assert!(!without.contains("alert(1)") && !without.contains("amount"));
        let with = report(&["--content"]);
        assert!(with.contains("amount"), "{with}");
        if format == "json" {
            let report: serde_json::Value = serde_json::from_str(&with).unwrap();
            assert_eq!(report["latest"][0]["said"]["form"], "redacted");
            continue;
        }
        assert!(!with.contains(['\u{1b}', '\u{202e}']), "{with}");
        assert!(
            format != "csv"
                || !(with.contains(
                    "
=cmd"
                ) || with.contains("\"=cmd")),
            "{with}"
        );
        if matches!(format, "markdown" | "html") {
            assert!(
                !with.contains("<script") && !with.contains("</pre><s"),
                "{with}"
            );
        }
        // What is between the violation and the rules: the content.
        let start = match format {
            "html" => "<details>",
            "csv" => "latest,1,\"request",
            "markdown" => "### ",
            _ => "\n#1 ",
        };
        let rest = with.split_once(start).unwrap().1;
        let end = ["<h2", "\nrules,", "\n## Rules", "\nRules"];
        let end = end.iter().filter_map(|end| rest.find(end)).min().unwrap();
        insta::assert_snapshot!(
            format!("audit_report_content_{format}"),
            rest.split_at(end).0
        );
    }
}

#[test]
fn an_export_says_what_becomes_of_content() {
    let folder = Folder::new("audit-export-said");
    let log = folder.write("audit.jsonl", &lines(&[with_content()]));
    let export = |options: &[&str]| {
        let (code, said) = folder.tells(&[&["audit", "export", &log][..], options].concat());
        assert_eq!(code, Some(0), "{said}");
        said
    };
    let csv = export(&[]);
    assert!(!csv.contains("calc"), "{csv}");
    assert!(
        csv.ends_with(
            "1 record has content, which no column shows: --columns …,content.request.text,content.response.text\n"
        ),
        "{csv}"
    );
    let named = export(&["--columns", "ts,content.request.text"]);
    assert!(named.contains("calc"), "{named}");
    let told = "1 record has content: the export has it; --without-content leaves it out\n";
    assert!(named.ends_with(told), "{named}");
    let lines = export(&["--format", "jsonl"]);
    assert_eq!(lines, format!("{}\n{told}", with_content()));
    let stripped = export(&["--format", "jsonl", "--without-content"]);
    let (start, _) = with_content()
        .split_once(",\"content\"")
        .map(|(start, rest)| (start.to_owned(), rest.to_owned()))
        .unwrap();
    assert_eq!(
        stripped,
        format!("{start}}}\n1 record has content, which was left out\n")
    );
    let stripped = export(&["--columns", "ts,content", "--without-content"]);
    assert!(
        !stripped.contains("calc") && !stripped.contains("redacted"),
        "{stripped}"
    );
}

#[test]
fn what_is_wrong_with_files_and_options_is_said_with_its_place_and_what_to_do() {
    let folder = Folder::new("audit-night");
    let log = folder.write("audit.jsonl", &lines(&recorded()));
    let whole = gzip(&lines(&recorded()));
    let cut = folder.write("cut.gz", whole.split_at(whole.len() / 2).0);
    let empty = folder.write("empty", b"");
    let sealed = String::from_utf8(lines(&trail(1))).unwrap();
    let later = sealed.replacen(r#"{"v":1,"#, r#"{"v":2,"#, 1);
    let later = folder.write("later.jsonl", later.as_bytes());
    let fastest = ruzstd::encoding::CompressionLevel::Fastest;
    let mut noisy = ruzstd::encoding::compress_to_vec(sealed.as_bytes(), fastest);
    noisy.extend_from_slice(b"not zstd");
    let noisy = folder.write("noisy.zst", &noisy);
    let index = folder.write("audit.db", b"SQLite format 3\0");
    let gone = folder.0.join("gone").to_str().unwrap().to_owned();
    let nowhere = folder.0.join("no/file").to_str().unwrap().to_owned();
    let inside = folder.0.to_str().unwrap().to_owned();
    let key = |name: &str| format!("file:{name}");
    let mut told = String::new();
    for arguments in [
        vec!["verify", &empty],
        vec!["verify", &gone],
        vec!["verify", &inside],
        vec!["verify", &log, "--key", &key(&gone)],
        vec!["verify", &log, "--key", &key(&inside)],
        vec!["verify", &log, "--key", &key(&empty)],
        vec!["verify", &log, "--heads", &gone],
        vec!["verify", &log, "--write-heads", &nowhere],
        vec!["verify", &later, "--write-heads", &nowhere],
        vec!["checkpoint", &log, "--key", &gone],
        vec!["checkpoint", &log, "--key", &log],
        vec!["query", &empty],
        vec!["query", &log, "--where", "decison=deny"],
        vec!["query", &log, "--where", "decision==deny"],
        vec!["query", &log, "decision=deny"],
        vec![
            "query",
            &log,
            "--request-id",
            "r-1",
            "--columns",
            "ts,findngs",
        ],
        vec!["query", &cut, "--request-id", "none"],
        vec!["report", &empty],
        vec!["report", &cut, "--rule", "none"],
        vec!["index", &cut, "--db", &nowhere],
        vec!["prune", &gone, "--older-than", "1d", "--heads", &nowhere],
        vec!["prune", &log, "--older-than", "old", "--heads", &nowhere],
        vec!["prune", "-", "--older-than", "1d", "--heads", &nowhere],
        vec!["verify", &log, "--key", "secret"],
        vec!["verify", &log, "--key", "env:AGENTGUARD_NOT_SET"],
        vec!["verify", &log, "--heads", &log],
        vec!["verify", &log, "--checkpoint", &log],
        vec!["verify", &log, "--checkpoint-key", "ed25519:x"],
        vec!["verify", &later],
        vec!["verify", &noisy],
        vec!["verify", &index],
        vec!["query", &log, "--since", "yesterday"],
        vec!["report", &log, "--prices", "policies/getting-started.yaml"],
    ] {
        let (code, said) = folder.tells(&[&["audit"][..], &arguments].concat());
        let shown = arguments.join(" ").replace(&format!("{inside}/"), "");
        let shown = shown.replace(&inside, "FOLDER");
        let said = said.replace(&inside, "FOLDER");
        told += &format!("$ audit {shown}\n{said}-> {}\n", code.unwrap());
    }
    let mut errors = told
        .lines()
        .filter_map(|line| line.strip_prefix("agentguard: "));
    assert!(errors.all(|error| error.starts_with("AG901")), "{told}");
    insta::assert_snapshot!("audit_at_night", told);
}

/// A log that was rotated just now has no record either: that is told, and no error. Another file is no audit log.
#[test]
fn files_without_a_record_are_told_from_files_of_another_kind() {
    let folder = Folder::new("audit-no-record");
    let empty = folder.write("empty", b"");
    let unseen = folder.write("unseen", b"-\n-\n");
    let other = folder.write("other", b"GET / 200\nGET / 404\n");
    let index = folder.0.join("audit.db").to_str().unwrap().to_owned();
    let built = folder.tells(&["audit", "index", &empty, "--db", &index]);
    assert!(built.0 == Some(0) && built.1.contains("there is no record in these files"));
    for command in [
        &["query"][..],
        &["query", "--json", "--decision", "deny"],
        &["export", "--format", "jsonl"],
        &["report"],
    ] {
        for file in [&empty, &unseen, &index] {
            let (exit, said) = folder.tells(&[&["audit"][..], command, &[file]].concat());
            let is_told = said.contains(
                "there is no record in these files; are they the ones that Envoy's access log writes?",
            );
            assert!(exit == Some(0) && is_told, "{command:?} {file}: {said}");
        }
        let (exit, said) = folder.tells(&[&["audit"][..], command, &[&other]].concat());
        let is_told = said.contains("AG9013") && said.contains("no line is a record");
        assert!(exit == Some(2) && is_told, "{command:?}: {said}");
    }
    // A script that reads JSON from standard output still sees it.
    let (exit, said) = folder.tells(&["--json", "audit", "verify", &empty]);
    assert!(
        exit == Some(0) && said.contains("there is no record in these files"),
        "{said}"
    );
}

#[test]
fn a_query_that_no_record_can_meet_is_told_so() {
    let folder = Folder::new("audit-no-word");
    let file = folder.write("a.jsonl", &lines(&trail(1)));
    for (options, word) in [
        (&["--decision", "denied"][..], "known are `allow`, `deny`"),
        (&["--decision", "DENY"], "did you mean `deny`?"),
        (&["--code", "3001"], "did you mean `AG3001`?"),
        (&["--code", "ag3001"], "did you mean `AG3001`?"),
        (&["--code", "AG9999"], "`agentguard explain` lists all"),
        (
            &["--since", "2027-01-01", "--until", "2026-01-01"],
            "--since has to be the earlier time",
        ),
    ] {
        let (exit, said) = folder.tells(&[&["audit", "query", &*file], options].concat());
        assert!(
            exit == Some(0) && said.contains(word),
            "{options:?}: {said}"
        );
    }
    for options in [["--decision", "deny*"], ["--code", "AG3001"]] {
        let (_, said) = folder.tells(&[&["audit", "query", &*file], &options[..]].concat());
        assert!(!said.contains("no such word"), "{said}");
    }
}

#[test]
fn a_report_counts_the_lines_that_it_leaves_out() {
    let folder = Folder::new("audit-left-out");
    let mut log = lines(&trail(2));
    log.extend_from_slice(b"{\"v\":1,\"ts\":\"2026-\nanother program\n");
    let log = folder.write("audit.jsonl", &log);
    let (code, said) = folder.tells(&["audit", "report", &log]);
    let first = said.lines().next().unwrap();
    assert!(
        code == Some(0) && first.ends_with(". 2 lines are no records and left out"),
        "{said}"
    );
    let report: Value =
        serde_json::from_str(&out(&run(&["audit", "report", &log, "--json"]))).unwrap();
    assert_eq!(report["not_records"], 2);
    let shown = out(&run(&["audit", "query", &log]));
    assert!(
        shown.contains("2 lines are no records and left out\n"),
        "{shown}"
    );
}
