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
    audit.jsonl:11: the file ends in the middle of a record
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
            "agentguard: old: these are no heads of --write-heads\n"
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
