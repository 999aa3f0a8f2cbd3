//! Policy: document → compiled → decision.
//!
//! [`document`] reads a policy as written and reports all of its errors; [`compile`] turns it into rules that can be
//! evaluated fast; [`evaluate`] determines which rules match, and which decision wins.

pub(crate) mod action_spellings;
pub(crate) mod approval;
pub(crate) mod approvers;
pub(crate) mod audit_settings;
pub(crate) mod compile;
pub(crate) mod compiled;
pub(crate) mod compiled_policy;
pub(crate) mod condition;
pub(crate) mod condition_tree;
pub(crate) mod content_recording;
pub(crate) mod context;
pub(crate) mod cross_text;
pub(crate) mod decision_point;
pub(crate) mod declared_principal;
pub(crate) mod decode;
pub(crate) mod defaults;
pub(crate) mod detectors;
pub(crate) mod document;
pub(crate) mod embedded_data;
pub(crate) mod environment;
pub(crate) mod evaluate;
pub(crate) mod field;
pub(crate) mod field_ref;
pub(crate) mod glob;
pub(crate) mod grammar;
pub(crate) mod index;
pub(crate) mod inspect;
pub(crate) mod inspection_plan;
pub(crate) mod joined;
pub(crate) mod kill;
pub(crate) mod limit;
pub(crate) mod load;
pub(crate) mod match_item;
pub(crate) mod mode;
pub(crate) mod negative_cache;
pub(crate) mod node;
pub(crate) mod operators;
pub(crate) mod principals;
pub(crate) mod protocols;
pub(crate) mod rule;
pub(crate) mod scalar;
pub(crate) mod scan;
pub(crate) mod session;
pub(crate) mod short_syntax;
pub(crate) mod stream_window;
pub(crate) mod text_hash;
pub(crate) mod text_scan;
pub(crate) mod version;
pub(crate) mod words;
pub(crate) mod zones;

pub use approval::{Approval, ApprovalService};
pub use approvers::{Approver, ApproverKey};
pub use compiled::CompiledRule;
pub use compiled_policy::Policy;
pub use content_recording::ContentRecording;
pub use context::Context;
pub(crate) use cross_text::{JOINED_END, apart, is_joined};
pub use decision_point::{EvaluationPhase, ReleaseMode};
pub use declared_principal::{default_principal, describe_principal};
pub use document::Document;
pub use environment::EnvironmentSource;
#[cfg(not(target_arch = "wasm32"))]
pub use evaluate::WithoutRule;
pub use evaluate::{Decision, Evaluation, LEAVE_TOOL_OUT, MatchedRule, Ruling, Shadow};
pub use grammar::API_VERSION;
#[cfg(not(target_arch = "wasm32"))]
pub use grammar::{DOCUMENT, Key, Merge, ValueType};
pub use inspect::Inspect;
pub use inspection_plan::{InspectionPlan, Interest};
pub use kill::{
    KILL_KIND, Kill, KillFeed, KillList, KillState, KillSwitch, KillTarget, Killed, MAX_KILLS,
};
pub use limit::{Charging, Limit, Measure, Price, Prices, Window};
#[cfg(all(feature = "command", not(target_arch = "wasm32")))]
pub use load::load_with_zones;
pub use load::{Loaded, MAX_DOCUMENT, desugar_document, load, load_json, parse_json};
pub use mode::Mode;
pub use node::{Member, Node, NodeValue};
pub use operators::operator_words;
#[cfg(not(target_arch = "wasm32"))]
pub use operators::{OPERATORS, OperatorFamily, Reference};
pub(crate) use principals::{
    ApiKey, ApiKeySource, CertificatePattern, Claim, ClaimType, HeaderSource, JwtSource, KeyHash,
    KeySecret, MtlsSource, digest,
};
pub use principals::{ClientAddress, IdentitySource, SourceKind};
pub use protocols::{MatchedEntry, ProtocolEntry};
pub use scan::{ScanScratch, Scans};
pub use session::SessionSource;
pub use short_syntax::{DesugaredRule, desugar};
pub use stream_window::{HoldbackBuffer, Settled, Watch};
pub use words::{Action, ContentForm, Counted, HeaderMode, OnDeny, StreamOnDeny};
pub use zones::Zones;
