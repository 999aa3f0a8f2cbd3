//! `agentguard audit verify` on files as they lie about.

use super::{out, run, run_with};
use agentguard::author::parse_yaml;
use agentguard::flow::simulation::{self, HttpMessage};
use agentguard::policy::load;
use std::io::Write;
use std::path::PathBuf;

/// The lines of a chain.
fn trail(records: usize) -> Vec<String> {
    let policy = "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: test }\nrequire: none\n\
                  defaults: { action: allow }\n";
    let policy = load(&parse_yaml(policy).unwrap()).policy.unwrap();
    let guard = simulation::guard(policy).unwrap();
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
            let seen = simulation::run(&guard, &request, |_| response(), 1);
            String::from_utf8(seen.finished.line).unwrap()
        })
        .collect()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("agentguard-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let file = self.0.join(name);
        std::fs::write(&file, bytes).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// What a command says, with file names in place of paths.
    fn tells(&self, arguments: &[&str]) -> (Option<i32>, String) {
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

fn lines(lines: &[String]) -> Vec<u8> {
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
            "9 records in 1 chain, 0 exchanges not evaluated: no fault\nNo MAC was checked"
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
    No MAC was checked: give the key with --key env:NAME. Without it, whoever can write the files could have written the chains anew.
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
            "agentguard: old: these are no heads of --write-heads, and no checkpoint\n"
        )
    );
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

fn gzip(bytes: &[u8]) -> Vec<u8> {
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
    insta::assert_snapshot!(said.split("No MAC").next().unwrap(), @r"
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
    assert!(said.contains("gone can't be read: No such file"), "{said}");
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
            "agentguard: monday: the checkpoint was signed by another key\n"
        )
    );
    let (code, said) = folder.tells(&sign);
    assert_eq!(code, Some(1));
    assert!(
        said.ends_with("agentguard: the trail has faults: nothing was signed\n"),
        "{said}"
    );
}
