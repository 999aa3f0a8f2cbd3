//! The words of a policy that have a meaning of their own: what rules and defaults do, and what limits count.

use crate::event::words;

words! {
    /// What a rule does.
    Action {
        /// Opens a gate.
        Allow = "allow",
        /// Refuses.
        Deny = "deny",
        /// Refuses unless someone has agreed.
        RequireApproval = "require_approval",
        /// Takes out what it found.
        Redact = "redact",
        /// Marks.
        Tag = "tag",
    }
}

words! {
    /// What becomes of a denied part of a response, or of a denied offer.
    OnDeny {
        /// The part is taken out and a text says so.
        Replace = "replace",
        /// The whole response becomes an error.
        Error = "error",
        /// The offer is taken out silently.
        Hide = "hide",
    }
}

words! {
    /// What happens where no rule decides.
    DefaultAction {
        /// It passes.
        Allow = "allow",
        /// It is refused.
        Deny = "deny",
        /// A tool that could never be called is not offered.
        Hide = "hide",
    }
}

words! {
    /// When request headers leave.
    HeaderMode {
        /// At once: works on every host.
        Portable = "portable",
        /// With the evaluated body: needs `allow_on_headers_stop_iteration: true` in the plugin.
        Hold = "hold",
    }
}

words! {
    /// How much content audit events have, least first.
    ContentForm {
        /// None.
        None = "none",
        /// What no detector finds and no rule redacts.
        Redacted = "redacted",
        /// All of it.
        Full = "full",
    }
}

words! {
    /// What becomes of a stream after a denial in it.
    StreamOnDeny {
        /// The rest is read and dropped.
        Drain = "drain",
        /// The connection is reset.
        Reset = "reset",
    }
}

words! {
    /// What a limit counts.
    Counted {
        /// Exchanges.
        Requests = "requests",
        /// Calls of tools that were let through.
        ToolCalls = "tool_calls",
        /// Calls of tools, those that another rule denied included.
        ToolCallAttempts = "tool_call_attempts",
        /// Calls of the same tool with the same arguments.
        IdenticalToolCalls = "identical_tool_calls",
        /// Different tools whose calls were let through.
        DistinctTools = "distinct_tools",
        /// Denied exchanges.
        Denials = "denials",
        /// Denied exchanges, one after the other.
        ConsecutiveDenials = "consecutive_denials",
        /// Exchanges that the upstream answered with an error.
        Failures = "failures",
        /// Tokens in and out together.
        Tokens = "tokens",
        /// Tokens that were read.
        InputTokens = "input_tokens",
        /// Tokens that were written.
        OutputTokens = "output_tokens",
        /// Bytes of both bodies.
        Bytes = "bytes",
        /// Requests that have not ended yet.
        ConcurrentRequests = "concurrent_requests",
    }
}
