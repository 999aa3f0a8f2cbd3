//! Kill feed: a list that every worker reads from a service repeatedly.

use crate::kill::KillFile;
use crate::scene::{Mode, answers, policy, refusal, says, with};
use harness::{Answer, Envoy, Gate, Host, Http, Live, Provider, Request, Setup, Version, wait_for};
use serde_json::{Value, json};
use std::time::Duration;

in_both_envoys![
    what_the_feed_stops_is_stopped_by_every_worker_and_in_open_streams,
    a_feed_that_is_of_no_use_stops_nobody_for_its_grace_and_then_everybody,
    a_list_that_is_replaced_while_its_feed_hangs_harms_nobody,
    a_file_that_could_not_be_read_makes_no_older_list_of_its_feed_acceptable,
];

const KILL_ALL: &str = r#"[{"all": true, "reason": "Everything leaks."}]"#;

fn list(generation: u64, kills: &str) -> Answer {
    let kills: Value = serde_json::from_str(kills).expect("JSON");
    let list = json!({"apiVersion": "agentguard.dev/v1", "kind": "AgentKill", "generation": generation, "kill": kills});
    Answer::json(200, list.to_string().as_bytes())
}

/// Envoy with two workers whose kill list names a feed.
struct Fed {
    feed: Provider,
    file: KillFile,
    envoy: Envoy,
}

impl Fed {
    fn start(name: &str, version: Version, grace: &str) -> Fed {
        let feed = Provider::start();
        feed.answer_always(list(5, "[]"));
        let keys = format!(
            "feed: {{ cluster: feed, path: /kill.json, authority: ops.example, every: 1s, grace: {grace} }}\n"
        );
        let file = KillFile::with(name, version, &keys).apart();
        let silent = with(policy(json!([])), json!({"require": "none"}));
        let envoy = Setup::new(version, file.sites(&silent))
            .service("feed", feed.address)
            .labels(vec!["reason"])
            .workers(2)
            .lease();
        envoy.provider.answer_always(answers("Hello"));
        Fed { feed, file, envoy }
    }

    /// Returns the statuses of ten requests: the kernel assigns each new connection to one of the workers.
    fn statuses(&self) -> Vec<u16> {
        let send = |mode: Mode| {
            let request = Request::chat(says("hello"));
            self.envoy
                .site(mode.word())
                .send(Http::One, &request)
                .status
        };
        (0..10).flat_map(|_| Mode::BOTH.map(send)).collect()
    }

    /// Opens streams whose second half waits for a gate. Returns each with its first bytes.
    fn streams(&self, gate: &Gate) -> Vec<(Live, Vec<u8>)> {
        let frame = |content: &str| {
            let choice = json!({"index": 0, "delta": {"content": content}, "finish_reason": null});
            let frame = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
            format!("data: {frame}\n\n").into_bytes()
        };
        self.envoy.provider.answer_always(
            Answer::chunked(200, &[("content-type", "text/event-stream")])
                .chunk(&frame("Go"))
                .wait(gate)
                .chunk(&frame("ing on"))
                .chunk(b"data: [DONE]\n\n")
                .end(),
        );
        let body = json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
        let streams = (0..12)
            .map(|number| {
                let mode = Mode::BOTH[number % 2];
                let site = self.envoy.site(mode.word());
                let mut live = site.open(Http::One, &Request::chat(body.to_string()));
                let first = live.next_bytes().expect("a frame").expect("a frame");
                (live, first)
            })
            .collect();
        self.envoy.provider.answer_always(answers("Hello"));
        streams
    }

    /// Waits until every worker responds with this status.
    fn all(&self, status: u16) {
        wait_for(&format!("every worker to answer {status}"), || {
            let seen = self.statuses();
            seen.iter().all(|seen| *seen == status).then_some(())
        });
    }

    /// Waits until each reader has read the feed's current response: both workers and the main thread; natively only the
    /// main thread.
    fn read_by_all(&self) {
        let readers = match Host::of_run() {
            Host::Wasm => 3,
            Host::Native => 1,
        };
        let before = self.feed.count();
        wait_for("the feed to be read", || {
            (self.feed.count() > before + 2 * readers).then_some(())
        });
    }
}

fn what_the_feed_stops_is_stopped_by_every_worker_and_in_open_streams(version: Version) {
    let fed = Fed::start("kill-feed", version, "1h");
    // Until the feed is read nothing passes; then everything passes.
    fed.all(200);
    let asked = fed.feed.received().pop().expect("a request");
    assert_eq!((&*asked.method, &*asked.path), ("GET", "/kill.json"));
    assert_eq!(asked.header("host"), Some("ops.example"));

    let gate = Gate::default();
    let streams = fed.streams(&gate);
    fed.feed.answer_always(list(6, KILL_ALL));
    fed.all(400);
    gate.open();
    for (live, first) in streams {
        let rest = live.rest();
        assert_eq!(rest.broken, None);
        let text = String::from_utf8([first, rest.body].concat()).expect("UTF-8");
        assert!(!text.contains("ing on"), "{text}");
        assert!(text.contains("Everything leaks."), "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    let error = refusal(
        &fed.envoy
            .site("hold")
            .send(Http::One, &Request::chat(says("hello"))),
        400,
        "AG3006",
    );
    assert_eq!(
        error["message"],
        "Stopped by the kill switch: Everything leaks."
    );

    // A change of the file does not lift the feed's kills, and the feed does not lift the file's.
    fed.file.kill(&["--agent", "other", "--reason", "By hand."]);
    fed.read_by_all();
    assert!(fed.statuses().iter().all(|status| *status == 400));
    fed.feed.answer_always(list(7, "[]"));
    // An anonymous caller could be the agent.
    fed.read_by_all();
    assert!(fed.statuses().iter().all(|status| *status == 400));
    fed.file.kill(&["--lift", "--agent", "other"]);
    fed.all(200);
}

fn a_feed_that_is_of_no_use_stops_nobody_for_its_grace_and_then_everybody(version: Version) {
    let fed = Fed::start("kill-feed-away", version, "12s");
    fed.all(200);
    let useless = [
        ("status", Answer::json(500, b"{}")),
        ("malformed", Answer::json(200, b"<html>Sign in</html>")),
        ("older", list(4, KILL_ALL)),
        ("older", list(5, KILL_ALL)),
    ];
    for (reason, answer) in useless {
        fed.feed.answer_always(answer);
        fed.read_by_all();
        assert!(
            fed.statuses().iter().all(|status| *status == 200),
            "{reason}"
        );
        let samples = fed.envoy.samples();
        assert!(
            samples.iter().any(
                |sample| sample.name == "agentguard_kill_feed_failures_total"
                    && sample
                        .labels
                        .get("reason")
                        .is_some_and(|seen| seen == reason)
                    && sample.value >= 1.0
            ),
            "{reason}"
        );
        fed.feed.answer_always(list(5, "[]"));
        fed.read_by_all();
    }
    // The feed no longer responds.
    fed.feed.answer_always(Answer::none());
    fed.all(503);
    refusal(
        &fed.envoy
            .site("portable")
            .send(Http::One, &Request::chat(says("hello"))),
        503,
        "AG9003",
    );
    fed.feed.answer_always(list(5, "[]"));
    fed.all(200);
    let printed = fed.envoy.printed();
    for line in [
        "AG9003 the kill feed could not be read for more than 12 s: everything is denied",
        "can't be read: its generation goes back from 5 to 4",
        "can't be read: its list changes, and generation 5 stays",
        "the kill feed can be read again",
    ] {
        assert!(printed.contains(line), "{line}");
    }
}

/// Envoy destroys a replaced configuration with its last exchange, on a worker; the configuration's request for the feed
/// belongs to another thread.
fn a_list_that_is_replaced_while_its_feed_hangs_harms_nobody(version: Version) {
    let fed = Fed::start("kill-feed-hangs", version, "1h");
    fed.all(200);
    let (streams_go_on, feed_answers) = (Gate::default(), Gate::default());
    let streams = fed.streams(&streams_go_on);
    fed.feed.answer_always(list(5, "[]").after(&feed_answers));
    // A request to the feed hangs.
    let before = fed.feed.count();
    wait_for("the feed to be asked", || {
        (fed.feed.count() > before).then_some(())
    });
    fed.file.kill(&["--agent", "other", "--reason", "By hand."]);
    fed.all(400);
    streams_go_on.open();
    for (live, _) in streams {
        assert_eq!(live.rest().broken, None);
    }
    assert!(fed.statuses().iter().all(|status| *status == 400));
    feed_answers.open();
    fed.file.kill(&["--lift", "--agent", "other"]);
    fed.all(200);
}

fn a_file_that_could_not_be_read_makes_no_older_list_of_its_feed_acceptable(version: Version) {
    let fed = Fed::start("kill-feed-broken", version, "1h");
    fed.all(200);
    fed.feed.answer_always(list(6, KILL_ALL));
    fed.all(400);
    let document = match Host::of_run() {
        Host::Wasm => "/resources/0/typed_config/config/configuration/value",
        Host::Native => "/resources/0/typed_config/filter_config/value",
    };
    let mut good = Value::Null;
    fed.file.edit(|resource| {
        let text = resource.pointer_mut(document).expect("a document");
        good = text.take();
        *text = json!("{");
    });
    fed.all(503);
    // Whatever the feed responds with by now, the file may name other entries.
    fed.feed.answer_always(list(7, "[]"));
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(200));
        assert!(fed.statuses().iter().all(|status| *status == 503));
    }
    // A replica that lags behind responds.
    fed.feed.answer_always(list(5, "[]"));
    fed.file
        .edit(|resource| *resource.pointer_mut(document).expect("a document") = good);
    fed.read_by_all();
    assert!(fed.statuses().iter().all(|status| *status == 503));
    fed.feed.answer_always(list(6, KILL_ALL));
    fed.all(400);
}
