//! Keys and callers, from `keygen` to a decision.

use super::author::Folder;
use super::*;

fn key_of(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0));
    json_lines(&output).remove(0)
}

#[test]
fn keygen_prints_a_key_once_and_the_entry_that_knows_it() {
    let arguments = ["--json", "keygen", "--client", "acme", "--role", "agent"];
    let first = key_of(&arguments);
    let key = first["key"].as_str().unwrap();
    assert!(key.starts_with("agk_") && key.len() >= 46, "{key}");
    assert_ne!(first["key"], key_of(&arguments)["key"]);
    let entry = first["entry"].as_str().unwrap();
    let hash = first["sha256"].as_str().unwrap();
    assert_eq!(
        entry,
        format!(r#"{{ sha256: {hash}, client: "acme", roles: ["agent"] }}"#)
    );
    assert!(!entry.contains(key));
    let text = out(&run(&["keygen", "--tenant", "a: b"]));
    assert!(text.contains(r#"tenant: "a: b" }"#), "{text}");
    // The same key from a file, with its line end.
    let folder = Folder::new("keygen");
    let file = folder.file("key.txt", &format!("{key}\n"));
    let again = key_of(&["--json", "keygen", "--client", "acme", "--key", &file]);
    assert_eq!(again["sha256"], first["sha256"]);
    assert_eq!(again["key"], Value::Null);
}

#[test]
fn keygen_asks_whose_key_it_is_and_until_when() {
    for wrong in [
        &["keygen"][..],
        &["keygen", "--client", "a", "--not-after", "tomorrow"],
    ] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert_eq!(out(&output), "");
    }
}
