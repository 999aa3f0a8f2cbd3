//! Where things stand in the bodies of an endpoint that no protocol of ours describes, as a policy says.

use crate::wire::json::JsonPath;

/// Paths into the bodies of both directions; a path that leads to nothing says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomFormat {
    /// Names of models that the request may use.
    pub models: Vec<JsonPath>,
    /// Texts that people or models wrote.
    pub texts: Vec<JsonPath>,
    /// Identifiers: only unmistakable secrets count in them.
    pub ids: Vec<JsonPath>,
    /// Calls of tools.
    pub calls: Vec<CustomCallFormat>,
}

/// How calls of tools stand there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomCallFormat {
    /// The calls.
    pub at: JsonPath,
    /// The tool's name, from the call.
    pub name: JsonPath,
    /// The arguments, from the call: an object, or a string that holds one. Absent: the call has none.
    pub args: Option<JsonPath>,
}
