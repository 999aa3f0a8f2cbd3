//! Custom body formats: the JSON paths that a policy defines for an endpoint without a built-in protocol.

use crate::wire::json::JsonPath;

/// JSON paths into the bodies of both directions. A path without a value is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomFormat {
    /// Names of models that the request may use.
    pub models: Vec<JsonPath>,
    /// Texts written by people or models.
    pub texts: Vec<JsonPath>,
    /// Identifiers. Detectors only report credentials of an unmistakable form in them.
    pub ids: Vec<JsonPath>,
    /// Tool calls.
    pub calls: Vec<CustomCallFormat>,
}

/// JSON paths of tool calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomCallFormat {
    /// The path to the calls.
    pub at: JsonPath,
    /// The path from a call to the tool's name.
    pub name: JsonPath,
    /// The path from a call to its arguments: an object, or a string that contains one. Absent: the calls have none.
    pub args: Option<JsonPath>,
}
