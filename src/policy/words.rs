//! Words of a policy with a meaning of their own: actions of rules and defaults, and what limits count.

use crate::event::words;

words! {
    /// Action of a rule.
    Action {
        /// Allows an event at a decision point.
        Allow = "allow",
        /// Denies the event.
        Deny = "deny",
        /// Denies the event unless it is approved.
        RequireApproval = "require_approval",
        /// Replaces what the rule found.
        Redact = "redact",
        /// Adds tags to the audit event.
        Tag = "tag",
    }
}

words! {
    /// Treatment of a denied part of a response, or of a denied tool definition.
    OnDeny {
        /// The part is removed and a text explains it.
        Replace = "replace",
        /// The whole response is replaced by an error.
        Error = "error",
        /// The definition is removed silently.
        Hide = "hide",
    }
}

words! {
    /// Action where no rule decides.
    DefaultAction {
        /// The event passes.
        Allow = "allow",
        /// The event is denied.
        Deny = "deny",
        /// Definitions of tools that could never be called are removed.
        Hide = "hide",
    }
}

words! {
    /// When request headers are forwarded.
    HeaderMode {
        /// At once, which works on every host.
        Portable = "portable",
        /// With the evaluated body: needs `allow_on_headers_stop_iteration: true` in the plugin.
        Hold = "hold",
    }
}

words! {
    /// Content of audit events, from the least to the most.
    ContentForm {
        /// No content.
        None = "none",
        /// Content in which findings of detectors and redactions of rules are masked.
        Redacted = "redacted",
        /// Raw content.
        Full = "full",
    }
}

words! {
    /// Treatment of the rest of a stream after a denial.
    StreamOnDeny {
        /// The rest is read and dropped.
        Drain = "drain",
        /// The connection is reset.
        Reset = "reset",
    }
}

words! {
    /// Things that a limit counts.
    Counted {
        /// Exchanges.
        Requests = "requests",
        /// Tool calls that were allowed.
        ToolCalls = "tool_calls",
        /// Tool calls, including those that another rule denied.
        ToolCallAttempts = "tool_call_attempts",
        /// Calls of the same tool with the same arguments.
        IdenticalToolCalls = "identical_tool_calls",
        /// Distinct tools whose calls were allowed.
        DistinctTools = "distinct_tools",
        /// Denied exchanges.
        Denials = "denials",
        /// Consecutive denied exchanges.
        ConsecutiveDenials = "consecutive_denials",
        /// Exchanges to which the upstream responded with an error.
        Failures = "failures",
        /// Input and output tokens.
        Tokens = "tokens",
        /// Input tokens.
        InputTokens = "input_tokens",
        /// Output tokens.
        OutputTokens = "output_tokens",
        /// Bytes of both bodies.
        Bytes = "bytes",
        /// Requests that have not ended yet.
        ConcurrentRequests = "concurrent_requests",
    }
}
