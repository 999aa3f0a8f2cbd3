//! The policy: document → compiled → decision.
//!
//! [`document`] reads what a person wrote and says everything that is wrong with it; [`compile`] turns it into rules that
//! can be judged fast; [`decide`] is the meaning: what holds, what wins.

mod approval;
mod compile;
mod condition;
mod decide;
mod decode;
mod document;
#[cfg(not(target_arch = "wasm32"))]
mod extend;
mod field;
mod glob;
mod index;
mod limit;
mod load;
mod needs;
mod node;
mod operand;
mod operators;
mod pace;
mod protocols;
mod rule;
mod scan;
mod terse;
mod value;
mod version;
mod window;
mod windows;
#[cfg(not(target_arch = "wasm32"))]
mod yaml;
mod zones;

pub use approval::Approval;
pub use compile::{CompiledRule, Policy};
pub use decide::{Context, Decision, Held, Judgement, Ruling, Shadow};
pub use document::{Document, EnvironmentSource, HeaderMode, Inspect, Mode, StreamOnDeny};
#[cfg(not(target_arch = "wasm32"))]
pub use extend::{Read, ReadFile, resolve};
pub use limit::{Counted, Limit, Measure};
#[cfg(not(target_arch = "wasm32"))]
pub use load::load_with_zones;
pub use load::{Loaded, MAX_DOCUMENT, load, load_json, parse_json};
pub use needs::{Interest, Needs};
pub use node::{Data, Member, Node};
pub use operators::operator_words;
pub use pace::{Flowing, Moment};
pub use protocols::{Named, ProtocolEntry};
pub use rule::{Action, OnDeny};
pub use scan::{ScanScratch, Scans};
pub use terse::{Modern, modern};
pub use window::{Settled, Window};
#[cfg(not(target_arch = "wasm32"))]
pub use yaml::parse_yaml;
pub use zones::Zones;
