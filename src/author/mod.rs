//! Tools for authors of policies: they parse and write YAML, and check, explain, compare and test policies.
//!
//! None of this is part of the filter, which reads the policy as JSON and evaluates it.

mod advice;
mod analysis;
mod doctor;
mod explain;
mod extend;
mod format;
mod kill;
mod lint;
mod naming;
mod provided;
mod record;
mod sample_event;
mod schema;
mod testing;
mod yaml;

pub use advice::{add_advice, foreign_document};
pub use analysis::{
    Answers, Difference, KeyChange, ListChange, PolicyOutcome, Proof, Witness, compare,
};
pub use doctor::{
    CLAIMS_FOR_MODULE, ConfigurationProblem, Examination, Files, ModuleFile, PolicyInUse, Proxy,
    examine,
};
pub use explain::{Branch, Explained, Explainer};
pub use extend::{ReadFile, ReadPolicyFile, Resolved, resolve};
pub use format::{FormatError, format_yaml, write_converted, write_json, write_yaml};
pub use kill::{KillChange, KillDocument, is_kill_list, kill_schema, singular};
pub use lint::{booleans_elsewhere, lint};
pub use provided::unprovided;
pub use record::{FromRecord, evaluate_record};
pub use sample_event::{
    CASE_LIMITS, SampleEvent, SampleExchange, describe, has_limits, read_call,
    written as written_case,
};
pub use schema::{schema, test_schema};
pub use testing::{
    CaseInput, Expectation, HalfExchange, TestCase, TestFile, WholeExchange, is_test_file,
    read_examples, read_tests,
};
pub use yaml::{parse_yaml, parse_yaml_in_part};
