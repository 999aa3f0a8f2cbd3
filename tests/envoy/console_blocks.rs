//! Pages of the documentation that need an Envoy, followed as a reader would.

use harness::{Answer, Page, Setup, Site, Version};
use std::path::Path;

#[test]
fn the_first_five_minutes_are_as_the_page_shows() {
    let policy = std::fs::read_to_string("policies/getting-started.yaml").expect("the policy");
    let policy = agentguard::author::parse_yaml(&policy).expect("YAML");
    let mut json = Vec::new();
    policy.write_json(&mut json);
    let policy = serde_json::from_slice(&json).expect("JSON");
    let envoy = Setup::new(Version::Newest, vec![Site::new("agents", &policy)]).start();
    let recorded = std::fs::read("envoy/recorded/chat-completion.json").expect("a response");
    envoy.provider.answer_always(Answer::json(200, &recorded));
    let site = envoy.site("agents");
    let command = Path::new(env!("CARGO_BIN_EXE_agentguard"));
    let records = site.records.path.to_string_lossy();
    for page in ["README.md", "docs/start.md"] {
        Page::read(Path::new(page)).run(
            Path::new("."),
            &[command.parent().expect("a folder")],
            &[
                ("127.0.0.1:10000", &site.address.to_string()),
                ("target/demo/audit.jsonl", &records),
            ],
        );
    }
    assert_eq!(site.records.lines().len(), 4);
    let received = envoy.provider.received();
    let read = String::from_utf8_lossy(&received.last().expect("a request").body);
    assert!(read.contains("My card is [CREDIT_CARD]"), "{read}");
}
