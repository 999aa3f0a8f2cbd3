//! Words of SQL by their meaning for the reader of statements. Each list is in alphabetical order.

/// Reserved words that begin a statement wherever they are.
pub(super) const RESERVED_VERBS: [&str; 14] = [
    "alter", "create", "delete", "drop", "exec", "execute", "grant", "insert", "merge", "revoke",
    "select", "truncate", "update", "upsert",
];

/// Statements of SQL Server that may follow another one without a separator.
#[rustfmt::skip]
pub(super) const TRANSACT_VERBS: [&str; 16] = [
    "backup", "bulk", "checkpoint", "commit", "dbcc", "deny", "kill", "reconfigure", "restore", "revert", "rollback",
    "setuser", "shutdown", "updatetext", "waitfor", "writetext",
];

/// Those of them that are a whole statement.
pub(super) const WHOLE_VERBS: [&str; 7] = [
    "checkpoint",
    "commit",
    "reconfigure",
    "revert",
    "rollback",
    "setuser",
    "shutdown",
];

/// Words that begin a statement, but may be names elsewhere.
#[rustfmt::skip]
pub(super) const OTHER_VERBS: [&str; 84] = [
    "abort", "analyze", "attach", "backup", "begin", "bulk", "cache", "call", "change", "checkpoint", "clear", "close",
    "cluster", "comment", "commit", "copy", "dbcc", "deallocate", "declare", "deny", "desc", "describe", "detach",
    "discard", "do", "end", "explain", "export", "fetch", "flush", "get", "handler", "help", "if", "import", "install",
    "kill", "list", "listen", "load", "lock", "move", "msck", "notify", "open", "optimize", "pivot", "pragma", "prepare",
    "print", "purge", "put", "reassign", "reconfigure", "refresh", "reindex", "release", "remove", "rename", "repair",
    "replace", "reset", "restore", "return", "rollback", "save", "savepoint", "set", "show", "shutdown", "start", "stop",
    "summarize", "throw", "uncache", "undrop", "unload", "unlisten", "unlock", "use", "vacuum", "validate", "waitfor",
    "while",
];

/// Verbs whose statement runs something outside of the text.
pub(super) const OPAQUE_VERBS: [&str; 8] = [
    "call", "do", "execute", "handler", "import", "load", "prepare", "unload",
];

/// Verbs with the effects of other verbs: MySQL's `REPLACE` deletes rows and inserts others in their place.
pub(super) const ALSO_DOES: [(&str, &[&str]); 4] = [
    ("rename", &["alter"]),
    ("replace", &["delete", "insert", "update"]),
    ("truncate", &["delete"]),
    ("upsert", &["insert", "update"]),
];

/// Verbs that may be followed directly by a table's name.
#[rustfmt::skip]
pub(super) const BEFORE_TABLE: [&str; 24] = [
    "analyze", "cache", "cluster", "copy", "delete", "desc", "describe", "explain", "handler", "insert", "lock", "merge",
    "optimize", "pivot", "reindex", "rename", "repair", "replace", "summarize", "truncate", "uncache", "unpivot",
    "update", "vacuum",
];

/// Those of them that take several tables.
pub(super) const BEFORE_TABLES: [&str; 9] = [
    "analyze", "delete", "lock", "optimize", "rename", "repair", "truncate", "update", "vacuum",
];

/// Words between `BEGIN` and its statements.
#[rustfmt::skip]
pub(super) const KINDS_OF_BEGIN: [&str; 13] = [
    "atomic", "catch", "concurrent", "deferred", "distributed", "exclusive", "immediate", "isolation", "not", "read",
    "tran", "transaction", "work",
];

/// Words of a query after which a star means all columns.
#[rustfmt::skip]
pub(super) const BEFORE_STAR: [&str; 14] = [
    "all", "distinct", "distinctrow", "high_priority", "percent", "select", "sql_big_result", "sql_buffer_result",
    "sql_calc_found_rows", "sql_no_cache", "sql_small_result", "straight_join", "struct", "ties",
];

/// Words that can't be the right side of a multiplication.
#[rustfmt::skip]
pub(super) const AFTER_STAR: [&str; 16] = [
    "except", "exclude", "fetch", "for", "from", "group", "having", "ilike", "into", "limit", "offset", "order", "rename",
    "replace", "union", "where",
];

/// Words that are followed by a name or an expression.
#[rustfmt::skip]
pub(super) const BEFORE_NAME: [&str; 24] = [
    "all", "and", "as", "between", "by", "column", "distinct", "else", "from", "in", "into", "is", "join", "like", "not",
    "on", "or", "select", "set", "table", "then", "update", "when", "where",
];

/// Words after which a bracket does not contain a function's arguments.
#[rustfmt::skip]
pub(super) const OPENS_QUERY: [&str; 24] = [
    "all", "and", "any", "apply", "as", "by", "else", "except", "exists", "from", "having", "in", "intersect", "join",
    "lateral", "minus", "not", "on", "only", "or", "some", "then", "union", "where",
];

/// Words that identify the preceding one as a table's alias.
#[rustfmt::skip]
pub(super) const AFTER_ALIAS: [&str; 26] = [
    "as", "cross", "for", "force", "full", "group", "having", "ignore", "inner", "join", "left", "natural", "on", "option",
    "order", "outer", "partition", "pivot", "right", "straight_join", "tablesample", "union", "unpivot", "use", "where",
    "with",
];

/// Words that may be between a verb and the table that it changes.
#[rustfmt::skip]
pub(super) const BEFORE_TARGET: [&str; 35] = [
    "abort", "analyze", "column", "concurrently", "delayed", "exists", "extended", "external", "fail", "foreign",
    "formatted", "full", "global", "high_priority", "if", "ignore", "into", "local", "low_priority", "materialized",
    "no_write_to_binlog", "not", "only", "or", "overwrite", "quick", "replace", "rollback", "table", "tables", "temp",
    "temporary", "unlogged", "verbose", "view",
];

/// Words in place of a table's name.
pub(super) const NO_TARGET: [&str; 7] = [
    "default", "format", "freeze", "set", "using", "values", "when",
];
