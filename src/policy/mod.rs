//! The policy: document → compiled → decision.
//!
//! [`document`] reads what a person wrote and says everything that is wrong with it; [`compile`] turns it into rules that
//! can be evaluated fast; [`decide`] is the meaning: what holds, what wins.

mod approval;
mod compile;
mod condition;
mod cross_text;
mod decide;
mod decision_point;
mod decode;
mod detectors;
mod document;
mod embedded_data;
#[cfg(not(target_arch = "wasm32"))]
mod explain;
#[cfg(not(target_arch = "wasm32"))]
mod extend;
mod field;
#[cfg(not(target_arch = "wasm32"))]
mod format;
mod glob;
mod index;
mod inspection_plan;
mod joined;
mod limit;
#[cfg(not(target_arch = "wasm32"))]
mod lint;
mod load;
#[cfg(not(target_arch = "wasm32"))]
mod naming;
mod negative_cache;
mod node;
mod operand;
mod operators;
mod path_readings;
mod protocols;
#[cfg(not(target_arch = "wasm32"))]
mod provided;
#[cfg(not(target_arch = "wasm32"))]
mod reason;
#[cfg(not(target_arch = "wasm32"))]
mod record;
mod rule;
#[cfg(not(target_arch = "wasm32"))]
mod sample_event;
mod scan;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod short_syntax;
mod stream_window;
#[cfg(not(target_arch = "wasm32"))]
mod testing;
mod time_windows;
mod value;
mod version;
#[cfg(not(target_arch = "wasm32"))]
mod yaml;
mod zones;

pub use approval::Approval;
pub use compile::{CompiledRule, Policy};
pub use decide::{Context, Decision, Evaluation, LEAVE_TOOL_OUT, MatchedRule, Ruling, Shadow};
pub use decision_point::{EvaluationPhase, ReleaseMode};
pub use document::{Document, EnvironmentSource, HeaderMode, Inspect, Mode, StreamOnDeny};
#[cfg(not(target_arch = "wasm32"))]
pub use explain::{Branch, Explained, Explainer};
#[cfg(not(target_arch = "wasm32"))]
pub use extend::{ReadFile, ReadPolicyFile, resolve};
#[cfg(not(target_arch = "wasm32"))]
pub use format::{FormatError, format_yaml, write_converted, write_json, write_yaml};
pub use inspection_plan::{InspectionPlan, Interest};
pub use limit::{Counted, Limit, Measure};
#[cfg(not(target_arch = "wasm32"))]
pub use lint::lint;
#[cfg(not(target_arch = "wasm32"))]
pub use load::load_with_zones;
pub use load::{Loaded, MAX_DOCUMENT, desugar_document, load, load_json, parse_json};
pub use node::{Member, Node, NodeValue};
pub use operators::operator_words;
#[cfg(not(target_arch = "wasm32"))]
pub use operators::{OPERATORS, OperatorFamily, Reference};
pub use protocols::{MatchedEntry, ProtocolEntry};
#[cfg(not(target_arch = "wasm32"))]
pub use provided::unprovided;
#[cfg(not(target_arch = "wasm32"))]
pub use reason::{Difference, ListChange, PolicyOutcome, Proof, Witness, compare};
#[cfg(not(target_arch = "wasm32"))]
pub use record::{FromRecord, evaluate_record};
pub use rule::{Action, OnDeny};
#[cfg(not(target_arch = "wasm32"))]
pub use sample_event::{
    CASE_LIMITS, SampleEvent, SampleExchange, default_principal, describe, describe_principal,
    read_call, written as written_case,
};
pub use scan::{ScanScratch, Scans};
#[cfg(not(target_arch = "wasm32"))]
pub use schema::{schema, test_schema};
pub use short_syntax::{DesugaredRule, desugar};
pub use stream_window::{HoldbackBuffer, Settled, Watch};
#[cfg(not(target_arch = "wasm32"))]
pub use testing::{
    CaseInput, Expectation, HalfExchange, TestCase, TestFile, WholeExchange, is_test_file,
    read_examples, read_tests,
};
#[cfg(not(target_arch = "wasm32"))]
pub use yaml::{parse_yaml, parse_yaml_in_part};
pub use zones::Zones;
