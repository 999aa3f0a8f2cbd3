//! The policy: document → compiled → decision.
//!
//! [`document`] reads what a person wrote and says everything that is wrong with it; [`compile`] turns it into rules that
//! can be judged fast; [`decide`] is the meaning: what holds, what wins.

mod approval;
mod blanks;
#[cfg(not(target_arch = "wasm32"))]
mod case;
mod compile;
mod condition;
mod data;
mod decide;
mod decode;
mod detectors;
mod document;
#[cfg(not(target_arch = "wasm32"))]
mod explain;
#[cfg(not(target_arch = "wasm32"))]
mod extend;
mod field;
#[cfg(not(target_arch = "wasm32"))]
mod format;
mod glob;
mod index;
mod joined;
mod limit;
#[cfg(not(target_arch = "wasm32"))]
mod lint;
mod load;
#[cfg(not(target_arch = "wasm32"))]
mod naming;
mod needs;
mod node;
mod operand;
mod operators;
mod pace;
mod protocols;
#[cfg(not(target_arch = "wasm32"))]
mod provided;
#[cfg(not(target_arch = "wasm32"))]
mod reason;
#[cfg(not(target_arch = "wasm32"))]
mod record;
mod rule;
mod scan;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod seams;
mod terse;
#[cfg(not(target_arch = "wasm32"))]
mod testing;
mod value;
mod version;
mod ways;
mod window;
mod windows;
#[cfg(not(target_arch = "wasm32"))]
mod yaml;
mod zones;

pub use approval::Approval;
#[cfg(not(target_arch = "wasm32"))]
pub use case::{
    CASE_LIMITS, Case, Described, describe, describe_principal, read_call, somebody,
    written as written_case,
};
pub use compile::{CompiledRule, Policy};
pub use decide::{Context, Decision, Held, Judgement, LEAVE_TOOL_OUT, Ruling, Shadow};
pub use document::{Document, EnvironmentSource, HeaderMode, Inspect, Mode, StreamOnDeny};
#[cfg(not(target_arch = "wasm32"))]
pub use explain::{Branch, Explained, Explainer};
#[cfg(not(target_arch = "wasm32"))]
pub use extend::{Read, ReadFile, resolve};
#[cfg(not(target_arch = "wasm32"))]
pub use format::{FormatError, format_yaml, write_converted, write_json, write_yaml};
pub use limit::{Counted, Limit, Measure};
#[cfg(not(target_arch = "wasm32"))]
pub use lint::lint;
#[cfg(not(target_arch = "wasm32"))]
pub use load::load_with_zones;
pub use load::{Loaded, MAX_DOCUMENT, load, load_json, parse_json, unfold};
pub use needs::{Interest, Needs};
pub use node::{Data, Member, Node};
pub use operators::operator_words;
#[cfg(not(target_arch = "wasm32"))]
pub use operators::{Family, OPERATORS, Reference};
pub use pace::{Flowing, Moment};
pub use protocols::{Named, ProtocolEntry};
#[cfg(not(target_arch = "wasm32"))]
pub use provided::unprovided;
#[cfg(not(target_arch = "wasm32"))]
pub use reason::{Answer, Difference, ListChange, Told, Witness, compare};
#[cfg(not(target_arch = "wasm32"))]
pub use record::{FromRecord, judge_record};
pub use rule::{Action, OnDeny};
pub use scan::{ScanScratch, Scans};
#[cfg(not(target_arch = "wasm32"))]
pub use schema::{schema, test_schema};
pub use terse::{Modern, modern};
#[cfg(not(target_arch = "wasm32"))]
pub use testing::{
    Expect, HalfExchange, Subject, TestCase, TestFile, WholeExchange, is_test_file, read_examples,
    read_tests,
};
pub use window::{Settled, Watch, Window};
#[cfg(not(target_arch = "wasm32"))]
pub use yaml::{parse_yaml, parse_yaml_in_part};
pub use zones::Zones;
