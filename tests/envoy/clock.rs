//! A clock that jumps while Envoy runs: events stay chained, and no counter of a limit is lost.

use super::identity::forge::Folder;
use crate::scene::{answers, no_weapons, policy, says};
use harness::{Gate, Http, Request, Setup, Site, Version, wait_for};
use serde_json::{Value, json};
use std::process::Command;

in_both_envoys![a_clock_that_jumps_breaks_no_chain_and_frees_no_limit];

const DAY: i64 = 86_400;

/// Clock of one Envoy, in seconds relative to the system's.
struct Clock {
    folder: Folder,
}

impl Clock {
    fn new() -> Clock {
        let clock = Clock {
            folder: Folder::new("clock"),
        };
        clock.jump_to(0);
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o", &clock.library()])
            .arg("tests/envoy/clock/jump.c")
            .output()
            .expect("a C compiler");
        assert!(built.status.success(), "{built:?}");
        clock
    }

    fn library(&self) -> String {
        format!("{}/jump.so", self.folder.root())
    }

    fn offset(&self) -> String {
        format!("{}/offset", self.folder.root())
    }

    /// Sets the clock. Envoy has the file mapped, so it is changed in place.
    fn jump_to(&self, seconds: i64) {
        use std::io::Write;
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.offset());
        let written = file.and_then(|mut file| file.write_all(&seconds.to_ne_bytes()));
        written.expect("the offset is written");
    }
}

fn a_clock_that_jumps_breaks_no_chain_and_frees_no_limit(version: Version) {
    let clock = Clock::new();
    let three_a_day = json!({
        "id": "three", "action": "deny", "match": {"event": "request"},
        "limit": {"count": "requests", "max": 3, "window": "24h"},
    });
    let rules = policy(json!([no_weapons(), three_a_day]));
    let envoy = Setup::new(version, vec![Site::new("clock", &rules)])
        .variable("LD_PRELOAD", &clock.library())
        .variable("CLOCK_OFFSET", &clock.offset())
        .start();
    let site = envoy.site("clock");
    let hello = Request::chat(says("hello"));
    let sent = |status: u16| -> Value {
        assert_eq!(site.send(Http::One, &hello).status, status);
        site.records.next()
    };
    envoy.provider.answer_always(answers("Hello"));
    let first = sent(200);
    clock.jump_to(-2 * DAY);
    let before = sent(200);
    let time = |record: &Value| record["ts"].as_str().map(str::to_owned).expect("a time");
    assert!(time(&before) < time(&first), "{before:#}");
    // An exchange during which the clock jumps back has a duration of zero, not a negative one.
    let gate = Gate::default();
    envoy.provider.answer_always(answers("Hello").after(&gate));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| site.send(Http::One, &hello).status);
        wait_for("the request at the provider", || {
            (envoy.provider.count() == 3).then_some(())
        });
        clock.jump_to(-3 * DAY);
        gate.open();
        assert_eq!(running.join().expect("a client"), 200);
    });
    let during = site.records.next();
    assert_eq!(during["duration_ms"], 0, "{during:#}");
    envoy.provider.answer_always(answers("Hello"));
    // The last counted window is still full, whatever the clock shows.
    let full = site.send(Http::One, &hello).status;
    let denied = site.records.next();
    assert_eq!(denied["code"], "AG5001", "{denied:#}");
    assert_eq!(denied["status"], full);
    // A jump ahead begins the window of the new time.
    clock.jump_to(30 * DAY);
    let ahead = sent(200);
    assert!(time(&ahead) > time(&first), "{ahead:#}");
    let verified = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["audit", "verify"])
        .arg(site.records.path())
        .output()
        .expect("the command");
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "{said}");
    assert!(said.contains("5 records"), "{said}");
}
