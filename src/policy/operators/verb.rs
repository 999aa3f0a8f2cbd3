//! Table of the operators: name, operand, reading, documentation and samples of each.

#[cfg(not(target_arch = "wasm32"))]
use super::reference::{
    NUMBER, Reference, STRANGER, TEXT, TEXT_OR_TEXTS, TEXTS, VALUE, VALUES, detected, file_in,
    mail_at, statement,
};
use super::spec::{Bounds, Compares, Measured, OperandKind, OperatorSpec, Reads};
use crate::event::words;

/// Defines the operators from their rows: the word, a shorter spelling, the operand and how values are read; then the
/// documentation, and samples. All other code that treats operators alike uses this table.
macro_rules! operators {
    ($(
        $verb:ident = $word:literal $(or $short:literal)?: $of:ident($kind:expr)$(.$add:ident())*,
        about($($about:expr),+ $(,)?)$(.$sampled:ident($($sample:expr),+))?;
    )+) => {
        words! {
            /// Operators.
            Verb { $($verb = $word,)+ }
        }

        /// Shorter spellings.
        const SHORT_VERBS: &[(&str, Verb)] = &[$($(($short, Verb::$verb),)?)+];

        impl Verb {
            /// Returns the properties of the operator.
            pub(crate) const fn spec(self) -> OperatorSpec {
                match self {
                    $(Verb::$verb => const { OperatorSpec::$of($kind)$(.$add())* },)+
                }
            }

            /// Returns the documentation and the samples of the operator.
            #[cfg(not(target_arch = "wasm32"))]
            pub(crate) const fn reference(self) -> Reference {
                match self {
                    $(Verb::$verb => const { Reference::of($word, $($about),+)$(.$sampled($($sample),+))? },)+
                }
            }
        }
    };
}

operators! {
    Equals = "equals": of(OperandKind::Value).field(),
        about("The value is this one. `args.region: eu` is the short form.", VALUE, "args.region: { equals: eu }");
    NotEquals = "not_equals": of(OperandKind::Value).field().negative(),
        about("The value is another one.", VALUE, "args.region: { not_equals: eu }");
    In = "in": of(OperandKind::Values).list(),
        about(
            "The value is one of these. `args.region: [eu, us]` is the short form.",
            VALUES,
            "args.region: { in: [eu, us] }",
        );
    NotIn = "not_in": of(OperandKind::Values).list().negative(),
        about("The value is none of these.", VALUES, "args.region: { not_in: [eu, us] }");
    Exists = "exists": of(OperandKind::Truth),
        about("There is such a value, or with `false` there is none.", "`true` or `false`", "args.cc: { exists: true }");
    GreaterThan = "greater_than" or "gt": of(OperandKind::Bounds(Measured::Number, Bounds::ABOVE)).field(),
        about("The number is larger. Short: `gt`.", NUMBER, "args.amount: { greater_than: 100 }");
    AtLeast = "at_least" or "gte": of(OperandKind::Bounds(Measured::Number, Bounds::FROM)).field(),
        about("The number is as large or larger. Short: `gte`.", NUMBER, "args.amount: { at_least: 100 }");
    LessThan = "less_than" or "lt": of(OperandKind::Bounds(Measured::Number, Bounds::BELOW)).field(),
        about("The number is smaller. Short: `lt`.", NUMBER, "args.amount: { less_than: 100 }");
    AtMost = "at_most" or "lte": of(OperandKind::Bounds(Measured::Number, Bounds::UP_TO)).field(),
        about("The number is as small or smaller. Short: `lte`.", NUMBER, "args.amount: { at_most: 100 }");
    Between = "between": of(OperandKind::Between),
        about(
            "The number lies between two others or is one of them.",
            "a list of two numbers, the smaller one first",
            "args.amount: { between: [1, 100] }",
        );
    Contains = "contains": of(OperandKind::Literal).field().search(),
        about("The value contains the text.", TEXT, "args.query: { contains: drop table }");
    ContainsAny = "contains_any": of(OperandKind::Literals { all: false }).list().search(),
        about(
            "The value contains one of these texts.",
            TEXTS,
            "text: { contains_any: [internal only, do not share] }",
        );
    ContainsAll = "contains_all": of(OperandKind::Literals { all: true }).list().search(),
        about("One value contains all of these texts.", TEXTS, "text: { contains_all: [merger, confidential] }");
    StartsWith = "starts_with": of(OperandKind::Affix { at_end: false }).field().text(),
        about("The value begins so.", TEXT_OR_TEXTS, "args.key: { starts_with: public/ }")
        .sampled(|text| Some(format!("{text} x")), STRANGER);
    EndsWith = "ends_with": of(OperandKind::Affix { at_end: true }).field().text(),
        about("The value ends so.", TEXT_OR_TEXTS, "args.file: { ends_with: [.exe, .sh] }")
        .sampled(|text| Some(format!("x {text}")), STRANGER);
    Matches = "matches": of(OperandKind::Patterns).search(),
        about(
            "\
A regular expression fits somewhere in the text as it is written; no other view of it is tried, except that a name (a tool, a model) is
also read folded where that restricts: in lower case, look-alike letters as the ones they look like. `^` and `$` are the ends of the whole text,
`.` and `[^…]` are whole characters, `\\w \\d \\s \\b` are ASCII; `(?i)` ignores the case of any script. There is no look-around and no back reference, so no text can make
it slow.",
            "an expression, or a list of which one is enough; in YAML best in single quotes",
            "args.ticket: { matches: '^OPS-[0-9]{1,6}$' }",
        );
    Glob = "glob": of(OperandKind::Globs).text(),
        about(
            "\
The whole value fits: `*` is any run, `**` any run across `/` and `:`, `?` one character, `[abc]` and `[!a-z]` one of a set. Where it
restricts, `*` crosses separators too and the text is also read as a reader sees it. Where it loosens, only `**` and a lone `*` match line
ends and other control characters.",
            "a glob, or a list of which one is enough",
            "args.bucket: { glob: \"logs-*\" }",
        );
    Detects = "detects": of(OperandKind::Detectors).search(),
        about(
            "\
A detector finds something in the text: card numbers, secrets, addresses, injections and many other types, disguised ones
included. What is found is what `action: redact` replaces. [All detectors](../detectors.md).",
            "a type or group, a list of them, or `{ types: […], confidence: low | medium | high }`",
            "text: { detects: [credit_card, secrets] }",
        )
        .sampled(detected, STRANGER);
    DomainIn = "domain_in": of(OperandKind::Domains).list(),
        about(
            "The host is one of these.",
            "a host, or a list of hosts, addresses and `*.` names",
            "args.url: { domain_in: [example.com, \"*.example.org\"] }",
        )
        .sampled(mail_at, "ann@elsewhere.example");
    DomainNotIn = "domain_not_in": of(OperandKind::Domains).list().negative(),
        about(
            "The host is none of these.",
            "a host, or a list of hosts, addresses and `*.` names",
            "args.to|cc|bcc: { domain_not_in: [example.com] }",
        )
        .sampled(mail_at, "ann@elsewhere.example");
    PathWithin = "path_within": of(OperandKind::Folders).list(),
        about(
            "The path is one of these folders or below it.",
            "a folder, or a list of folders",
            "args.path: { path_within: [/srv/data] }",
        )
        .sampled(file_in, "/elsewhere/x");
    PathNotWithin = "path_not_within": of(OperandKind::Folders).list().negative(),
        about(
            "The path is outside all of these folders.",
            "a folder, or a list of folders",
            "args.path|file: { path_not_within: [/srv/data] }",
        )
        .sampled(file_in, "/elsewhere/x");
    CommandIn = "command_in": of(OperandKind::Commands),
        about(
            "Nothing but these commands is run.",
            "a command, a list of commands, or `{ commands: […], redirect: […], variables: […] }`",
            "args.command: { command_in: [ls, cat, git status] }",
        )
        .sampled(|text| Some(text.to_owned()), "unlisted-command");
    CidrIn = "cidr_in": of(OperandKind::Networks),
        about(
            "The address is in one of these networks.",
            "a network or address, or a list of them",
            "args.url: { cidr_in: [10.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16] }",
        )
        .sampled(|text| text.split('/').next().map(str::to_owned), "203.0.113.9");
    SqlVerbIn = "sql_verb_in": of(OperandKind::SqlVerbs),
        about(
            "\
A statement does one of these, as its word or by implication (`SELECT … INTO` creates and inserts). `\"select *\"` is a query of all
columns. What runs text from elsewhere (`EXECUTE`, `CALL`) fits if it is listed and can't be read otherwise; so do `RENAME` beside
`alter`, `REPLACE` and `UPSERT` beside `insert` and `update`, `REPLACE` and `TRUNCATE` beside `delete`.",
            "a verb, or a list of verbs",
            "args.query: { sql_verb_in: [insert, update, delete, drop, alter] }",
        )
        .sampled(statement, "SELECT a FROM elsewhere LIMIT 1");
    SqlTableIn = "sql_table_in": of(OperandKind::SqlTables),
        about(
            "\
A statement touches one of these tables, case ignored. `users` and `hr.users` may be the same table, so that neither can be told from the
other. Names that `WITH` defines are no tables.",
            "a table, or a list of tables, with or without their schema",
            "args.query: { sql_table_in: [users, credit_cards] }",
        )
        .sampled(|text| Some(format!("SELECT a FROM {text} LIMIT 1")), "SELECT a FROM elsewhere LIMIT 1");
    SqlLimitGreaterThan = "sql_limit_greater_than": of(OperandKind::SqlRows),
        about(
            "\
A statement gives or changes more rows than this, by its outermost `LIMIT`, `TOP` or `FETCH FIRST`. A query of
aggregates alone (`count`, `sum`, `max` …) without `GROUP BY` gives one row. One without a limit gives more than any
number; an expression or a placeholder can't be read.",
            "a whole number",
            "args.query: { sql_limit_greater_than: 1000 }",
        );
    Overlaps = "overlaps": of(OperandKind::OtherText).field().search(),
        about(
            "The value shares text with another field of the event, or with texts from earlier in the conversation.",
            "`{ path: PATH }` or `{ earlier: { … } }`, and `length_at_least` from 4 to 64",
            "args.body: { overlaps: { earlier: { event: tool_result, tool: read_secret } } }",
        );
    Outside = "outside": of(OperandKind::Windows),
        about(
            "It is a time outside of this window.",
            "`\"09:00-17:00\"` or a list of windows; beside it `days: mon-fri` and `zone: Europe/Berlin`",
            "time: { outside: \"09:00-17:00\", days: mon-fri, zone: America/New_York }",
        );
    Inside = "inside": of(OperandKind::Windows),
        about(
            "It is a time within this window.",
            "`\"09:00-17:00\"` or a list of windows; beside it `days: mon-fri` and `zone: Europe/Berlin`",
            "time: { inside: \"09:00-17:00\", days: mon-fri, zone: Europe/Berlin }",
        );
    Schedule = "schedule": of(OperandKind::Windows),
        about(
            "It is a time within one of these windows, each with its own days and zone.",
            "a list of windows",
            "time: { schedule: [\"mon-fri 09:00-17:00\", \"sat 10:00-12:00\"], zone: UTC }",
        );
    NotBefore = "not_before": of(OperandKind::Moment),
        about(
            "It is this moment or later.",
            "a moment with its offset (RFC 3339)",
            "time: { not_before: \"2026-01-31T09:00:00+01:00\" }",
        );
    NotAfter = "not_after": of(OperandKind::Moment),
        about(
            "It is this moment or earlier.",
            "a moment with its offset (RFC 3339)",
            "time: { not_after: \"2026-12-31T23:59:59Z\" }",
        );
    CountGreaterThan = "count_greater_than" or "count_gt": of(OperandKind::Bounds(Measured::Count, Bounds::ABOVE)).field(),
        about("There are more. Short: `count_gt`.", NUMBER, "args.to|cc|bcc: { count_greater_than: 100 }");
    CountAtLeast = "count_at_least" or "count_gte": of(OperandKind::Bounds(Measured::Count, Bounds::FROM)).field(),
        about("There are as many or more. Short: `count_gte`.", NUMBER, "args.to|cc|bcc: { count_at_least: 100 }");
    CountLessThan = "count_less_than" or "count_lt": of(OperandKind::Bounds(Measured::Count, Bounds::BELOW)).field(),
        about("There are fewer. Short: `count_lt`.", NUMBER, "args.to: { count_less_than: 10 }");
    CountAtMost = "count_at_most" or "count_lte": of(OperandKind::Bounds(Measured::Count, Bounds::UP_TO)).field(),
        about("There are as many or fewer. Short: `count_lte`.", NUMBER, "args.to: { count_at_most: 10 }");
    CountEquals = "count_equals": of(OperandKind::Bounds(Measured::Count, Bounds::EXACTLY)).field(),
        about("There are exactly this many.", NUMBER, "args.to: { count_equals: 1 }");
    LengthGreaterThan = "length_greater_than" or "length_gt": of(OperandKind::Bounds(Measured::Length, Bounds::ABOVE)).field().text(),
        about("The text is longer. Short: `length_gt`.", NUMBER, "args.body: { length_greater_than: 10000 }");
    LengthAtLeast = "length_at_least" or "length_gte": of(OperandKind::Bounds(Measured::Length, Bounds::FROM)).field().text(),
        about("The text is as long or longer. Short: `length_gte`.", NUMBER, "args.body: { length_at_least: 10000 }");
    LengthLessThan = "length_less_than" or "length_lt": of(OperandKind::Bounds(Measured::Length, Bounds::BELOW)).field().text(),
        about("The text is shorter. Short: `length_lt`.", NUMBER, "args.reason: { length_less_than: 20 }");
    LengthAtMost = "length_at_most" or "length_lte": of(OperandKind::Bounds(Measured::Length, Bounds::UP_TO)).field().text(),
        about("The text is as short or shorter. Short: `length_lte`.", NUMBER, "args.query: { length_at_most: 500 }");
    LengthEquals = "length_equals": of(OperandKind::Bounds(Measured::Length, Bounds::EXACTLY)).field().text(),
        about("The text has exactly this many characters.", NUMBER, "args.country: { length_equals: 2 }");
}

/// Returns the words of all operators, in the order of the documentation.
pub fn operator_words() -> impl Iterator<Item = &'static str> {
    Verb::ALL.iter().map(|verb| verb.word())
}

impl Verb {
    /// Parses a verb in any of its spellings.
    pub(crate) fn parse(word: &str) -> Option<Verb> {
        let short = || SHORT_VERBS.iter().find(|(short, _)| *short == word);
        Verb::from_word(word).or_else(|| short().map(|(_, verb)| *verb))
    }

    /// Returns whether the verb is negative, and so matches a missing value on the deny side.
    pub(crate) fn is_negative(self) -> bool {
        self.spec().is_negative
    }

    /// Returns whether the verb applies only to the field `time`.
    pub(crate) fn asks_time(self) -> bool {
        self.takes_windows() || self.spec().operand == OperandKind::Moment
    }

    /// Returns whether the verb takes windows of time.
    pub(crate) fn takes_windows(self) -> bool {
        self.spec().operand == OperandKind::Windows
    }

    /// Returns whether the verb reads text: strings inside of objects, numbers and booleans as written.
    pub(crate) fn reads_text(self) -> bool {
        self.spec().reads != Reads::Values
    }

    /// Returns whether the verb searches in a text, so that keys and numbers are searched as well.
    pub(crate) fn looks_for_text(self) -> bool {
        self.spec().reads == Reads::Search
    }

    /// Returns whether the verb can compare with the value of another field.
    pub(crate) fn takes_field(self) -> bool {
        self.spec().compares != Compares::Written
    }

    /// Returns whether the operand is a list of which one must match, so that several values of another field are one such
    /// list.
    pub(crate) fn takes_list(self) -> bool {
        self.spec().compares == Compares::List
    }
}
