//! What people read of the operators: `docs/operators/` is made of this and of the cases of `tests/policy/`.

/// Operators that belong together.
#[derive(Debug)]
pub struct OperatorFamily {
    /// The heading in the index.
    pub title: &'static str,
    /// How values are read; Markdown.
    pub reading: &'static str,
    /// Where their cases stand: `tests/policy/NAME.yaml`.
    pub cases: &'static str,
    /// In the order of the index.
    pub operators: &'static [Reference],
}

/// What is said of one operator.
#[derive(Debug)]
pub struct Reference {
    /// As it is written.
    pub word: &'static str,
    /// What it is true of: a sentence.
    pub holds: &'static str,
    /// Its operand.
    pub takes: &'static str,
    /// A condition that uses it.
    pub example: &'static str,
}

const fn operator(
    word: &'static str,
    holds: &'static str,
    takes: &'static str,
    example: &'static str,
) -> Reference {
    Reference {
        word,
        holds,
        takes,
        example,
    }
}

const VALUE: &str = "a text, a number, `true`, `false` or `null`";
const VALUES: &str = "a list of values";
const NUMBER: &str = "a number";
const TEXT: &str = "a text";
const TEXTS: &str = "a list of texts";
const TEXT_OR_TEXTS: &str = "a text, or a list of which one is enough";

/// Every operator, family by family.
pub const OPERATORS: &[OperatorFamily] = &[
    OperatorFamily {
        title: "The same value",
        reading: "\
Values are compared with their types: `1` is `1.0` and `1e0`, and it is not `\"1\"`. Texts count letter by letter, but names of
tools, models and the like are also compared as they look where that restricts: case, width and look-alike letters folded. On
another type `equals` and `in` are plainly false, while `not_equals` and `not_in` can't tell.",
        cases: "equality",
        operators: &[
            operator(
                "equals",
                "The value is this one. `args.region: eu` is the short form.",
                VALUE,
                "args.region: { equals: eu }",
            ),
            operator(
                "not_equals",
                "The value is another one.",
                VALUE,
                "args.region: { not_equals: eu }",
            ),
            operator(
                "in",
                "The value is one of these. `args.region: [eu, us]` is the short form.",
                VALUES,
                "args.region: { in: [eu, us] }",
            ),
            operator(
                "not_in",
                "The value is none of these.",
                VALUES,
                "args.region: { not_in: [eu, us] }",
            ),
        ],
    },
    OperatorFamily {
        title: "Being there",
        reading: "\
Where it can be known, plainly true or false on both sides. `null`, an empty text and an empty object are there, an empty array is
not.",
        cases: "exists",
        operators: &[operator(
            "exists",
            "There is such a value, or with `false` there is none.",
            "`true` or `false`",
            "args.cc: { exists: true }",
        )],
    },
    OperatorFamily {
        title: "Numbers",
        reading: "\
Numbers are exact decimals of any length: nothing is rounded, so that `0.1` and integers of twenty digits compare as they are written. A
text counts as a number if it is one after trimming, full-width digits included (`\" １０１ \"`, `\"1e3\"`). Everything else can't be
read: `\"1,000\"`, `\"$5\"`, `true`, `null`, objects.",
        cases: "order",
        operators: &[
            operator(
                "greater_than",
                "The number is larger. Short: `gt`.",
                NUMBER,
                "args.amount: { greater_than: 100 }",
            ),
            operator(
                "at_least",
                "The number is as large or larger. Short: `gte`.",
                NUMBER,
                "args.amount: { at_least: 100 }",
            ),
            operator(
                "less_than",
                "The number is smaller. Short: `lt`.",
                NUMBER,
                "args.amount: { less_than: 100 }",
            ),
            operator(
                "at_most",
                "The number is as small or smaller. Short: `lte`.",
                NUMBER,
                "args.amount: { at_most: 100 }",
            ),
            operator(
                "between",
                "The number lies between two others or is one of them.",
                "a list of two numbers, the smaller one first",
                "args.amount: { between: [1, 100] }",
            ),
        ],
    },
    OperatorFamily {
        title: "How many",
        reading: "\
Everything that the path gives is counted together: elements of arrays, values of a wildcard, alternatives. A text counts as the mail
addresses in it, read as a mail server reads them (`\"Doe, John\" <j@x.com>` is one), and as 1 if there are none. Where nothing is there,
the condition is missing, not zero: `if_missing` says what that counts as.",
        cases: "measure",
        operators: &[
            operator(
                "count_greater_than",
                "There are more. Short: `count_gt`.",
                NUMBER,
                "args.to|cc|bcc: { count_greater_than: 100 }",
            ),
            operator(
                "count_at_least",
                "There are as many or more. Short: `count_gte`.",
                NUMBER,
                "args.to|cc|bcc: { count_at_least: 100 }",
            ),
            operator(
                "count_less_than",
                "There are fewer. Short: `count_lt`.",
                NUMBER,
                "args.to: { count_less_than: 10 }",
            ),
            operator(
                "count_at_most",
                "There are as many or fewer. Short: `count_lte`.",
                NUMBER,
                "args.to: { count_at_most: 10 }",
            ),
            operator(
                "count_equals",
                "There are exactly so many.",
                NUMBER,
                "args.to: { count_equals: 1 }",
            ),
        ],
    },
    OperatorFamily {
        title: "How long",
        reading: "\
Characters (Unicode scalar values) of each text by itself; numbers and booleans as they are written, each string in an object. `null` is
missing.",
        cases: "measure",
        operators: &[
            operator(
                "length_greater_than",
                "The text is longer. Short: `length_gt`.",
                NUMBER,
                "args.body: { length_greater_than: 10000 }",
            ),
            operator(
                "length_at_least",
                "The text is as long or longer. Short: `length_gte`.",
                NUMBER,
                "args.body: { length_at_least: 10000 }",
            ),
            operator(
                "length_less_than",
                "The text is shorter. Short: `length_lt`.",
                NUMBER,
                "args.reason: { length_less_than: 20 }",
            ),
            operator(
                "length_at_most",
                "The text is as short or shorter. Short: `length_lte`.",
                NUMBER,
                "args.query: { length_at_most: 500 }",
            ),
            operator(
                "length_equals",
                "The text has exactly so many characters.",
                NUMBER,
                "args.country: { length_equals: 2 }",
            ),
        ],
    },
    OperatorFamily {
        title: "Texts",
        reading: "\
Where the condition restricts, the text is read as it is written and as a reader sees it: case ignored, full-width and look-alike letters
folded, hidden characters taken out, and any white space between two words (spaces, tabs, line breaks, no-break spaces, however
many) one blank, in the policy's text too. A text of nothing but white space is looked for as it is written. Where it loosens, only
what is written counts, letter by letter. Numbers and booleans are read as
written; of an object each string in it, and its keys where that restricts. `null` is missing. All texts of all rules are looked for in one
pass, whatever their number.",
        cases: "text",
        operators: &[
            operator(
                "contains",
                "The text stands somewhere in the value.",
                TEXT,
                "args.query: { contains: drop table }",
            ),
            operator(
                "contains_any",
                "One of these texts stands somewhere in the value.",
                TEXTS,
                "text: { contains_any: [internal only, do not share] }",
            ),
            operator(
                "contains_all",
                "All of these texts stand somewhere in one value.",
                TEXTS,
                "text: { contains_all: [merger, confidential] }",
            ),
            operator(
                "starts_with",
                "The value begins so.",
                TEXT_OR_TEXTS,
                "args.key: { starts_with: public/ }",
            ),
            operator(
                "ends_with",
                "The value ends so.",
                TEXT_OR_TEXTS,
                "args.file: { ends_with: [.exe, .sh] }",
            ),
        ],
    },
    OperatorFamily {
        title: "Patterns and detectors",
        reading: "",
        cases: "pattern",
        operators: &[
            operator(
                "matches",
                "\
A regular expression fits somewhere in the text as it is written; no other view of it is tried. `^` and `$` are the ends of the whole text,
`.` and `[^…]` are whole characters, `\\w \\d \\s \\b` and `(?i)` are ASCII. There is no look-around and no back reference, so no text can make
it slow.",
                "an expression, or a list of which one is enough; in YAML best in single quotes",
                "args.ticket: { matches: '^OPS-[0-9]{1,6}$' }",
            ),
            operator(
                "glob",
                "\
The whole value fits: `*` is any run, `**` any run across `/` and `:`, `?` one character, `[abc]` and `[!a-z]` one of a set. Where it
restricts, `*` crosses separators too and the text is also read as a reader sees it.",
                "a glob, or a list of which one is enough",
                "args.bucket: { glob: \"logs-*\" }",
            ),
            operator(
                "detects",
                "\
A detector finds something in the text: card numbers, secrets, addresses, injections and many other types, disguised ones
included. What is found is what `action: redact` replaces. [All detectors](../detectors.md).",
                "a type or group, a list of them, or `{ types: […], confidence: low | medium | high }`",
                "text: { detects: [credit_card, secrets] }",
            ),
        ],
    },
    OperatorFamily {
        title: "Hosts, URLs, mail addresses",
        reading: "\
Every mail address, URL and host in the value counts, by DNS's rules (case, final dot, IDNA): display names, several addresses in one
text, user names before an `@` in a URL, ports, backslashes and IPv6 don't hide one. `example.com` is that host alone,
`*.example.com` are the hosts below it and not the host itself. A word without a dot is a host only if the list has it.

Out of reach: what DNS answers, redirects, hosts in the query of a URL.",
        cases: "domain",
        operators: &[
            operator(
                "domain_in",
                "The host is one of these.",
                "a host, or a list of hosts, addresses and `*.` names",
                "args.url: { domain_in: [example.com, \"*.example.org\"] }",
            ),
            operator(
                "domain_not_in",
                "The host is none of these.",
                "a host, or a list of hosts, addresses and `*.` names",
                "args.to|cc|bcc: { domain_not_in: [example.com] }",
            ),
        ],
    },
    OperatorFamily {
        title: "Files",
        reading: "\
A path is read in each way in which a tool may read it: as it stands, percent-decoded once and twice, trimmed and not, with `\\` as a
separator, and with letters that normalisation turns into `.`, `/` and `\\` (`．．／`). Each reading that differs is a value of its own. `.` and doubled slashes mean nothing, `..` goes up; whole names are compared,
so that `/data-evil` is not within `/data`; case counts. `~`, Windows drives and servers are roots of their own. A relative path is within
relative folders only.

Can't be read: nothing at all, NUL, a URL, a path that climbs above its start or begins with a variable, one that a shell makes another
path of (`$(id)`, `$HOME`, backticks, `{a,../b}`), `/proc/self/root` and its like, and on Windows short names, streams, device paths and names that end in a dot or a space. Out of reach: symbolic links, mounts,
file systems that ignore case.",
        cases: "path",
        operators: &[
            operator(
                "path_within",
                "The path is one of these folders or below it.",
                "a folder, or a list of folders",
                "args.path: { path_within: [/srv/data] }",
            ),
            operator(
                "path_not_within",
                "The path is outside all of these folders.",
                "a folder, or a list of folders",
                "args.path|file: { path_not_within: [/srv/data] }",
            ),
        ],
    },
    OperatorFamily {
        title: "Shell commands",
        reading: "\
A text is a line for a POSIX shell, read with its quoting, pipes, `&&`, `;`, newlines and here-documents; an array of strings is one argv.
It holds if there is a command, every command has an entry, and all could be read. An entry is a name (`git`, also in
`/bin`, `/sbin`, `/usr/bin`, `/usr/sbin`, `/usr/local/bin`), an absolute path, or a name with its first arguments (`git status`).

What runs another command (`env`, `xargs`, `sudo`, `find -exec`, `bash -c`) is listed together with it. Can't be read: substitutions
and `eval`; assignments (`EDITOR=rm git commit`, `PATH=/tmp ls`), but for a few that run and load nothing (`LANG`, `LC_*`, `TZ`, `TERM`, `CI`,
`NO_COLOR`, one letter, …); redirections that write a file (`> x`, `&> x`, `<> x`), but for `2>&1`, `/dev/null`, `/dev/stdout`,
`/dev/stderr`. The long form allows more of both:

```yaml
command_in:
  commands: [git, cargo]       # or { list: NAME }
  redirect: [/tmp, target]     # folders that redirections may write to
  variables: [CARGO_TERM_COLOR]
```

Not looked at: what a listed command does with its arguments; `lint` names those that can run or write anything by them (`find`, `sed`,
`tar`, `awk`, `git`, `python`, …). Not read: cmd.exe and PowerShell.",
        cases: "command",
        operators: &[operator(
            "command_in",
            "Nothing but these commands is run.",
            "a command, a list of commands, or `{ commands: […], redirect: […], variables: […] }`",
            "args.command: { command_in: [ls, cat, git status] }",
        )],
    },
    OperatorFamily {
        title: "Networks",
        reading: "\
Addresses are read in every form that some system takes: decimal, octal, hexadecimal, short, IPv4 in IPv6, in brackets, with port or zone,
as hosts of URLs, several in one text. One that carries another address (NAT64, 6to4, Teredo) is two values; so are `0.0.0.0` and `::`,
which also mean the machine itself. A name can't be read, since
what DNS answers is out of reach: `localhost` included.",
        cases: "cidr",
        operators: &[operator(
            "cidr_in",
            "The address is in one of these networks.",
            "a network or address, or a list of them",
            "args.url: { cidr_in: [10.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16] }",
        )],
    },
    OperatorFamily {
        title: "SQL",
        reading: "\
A text is read by its tokens, as each of three families of servers reads it (PostgreSQL and the standard, MySQL, SQL Server), and every
reading counts: a word that is a comment to one is a statement to another. Each verb, table and statement is a value of its own, those
of sub-queries and `WITH` included. A name with dots inside its quotes (`` `project.dataset.users` ``) may be one name or several: that
can't be told. Open quotes and comments can't be read. Out of reach: what views, triggers and routines do.",
        cases: "sql",
        operators: &[
            operator(
                "sql_verb_in",
                "\
A statement does one of these, as its word or by implication (`SELECT … INTO` creates and inserts). `\"select *\"` is a query of all
columns. What runs text that does not stand there (`EXECUTE`, `CALL`) fits if it is listed and can't be read otherwise.",
                "a verb, or a list of verbs",
                "args.query: { sql_verb_in: [insert, update, delete, drop, alter] }",
            ),
            operator(
                "sql_table_in",
                "\
A statement touches one of these tables, case ignored. `users` and `hr.users` may be the same table, so that neither can be told from the
other. Names that `WITH` defines are no tables.",
                "a table, or a list of tables, with or without their schema",
                "args.query: { sql_table_in: [users, credit_cards] }",
            ),
            operator(
                "sql_limit_greater_than",
                "\
A statement gives or changes more rows than this, by its outermost `LIMIT`, `TOP` or `FETCH FIRST`. A query of
aggregates alone (`count`, `sum`, `max` …) without `GROUP BY` gives one row. One without a limit gives more than any
number; an expression or a placeholder can't be read.",
                "a whole number",
                "args.query: { sql_limit_greater_than: 1000 }",
            ),
        ],
    },
    OperatorFamily {
        title: "Times of day",
        reading: "\
Windows are half-open, so that 17:00 is outside of `09:00-17:00`; one that ends before it begins goes over midnight and belongs to the day
on which it begins. Zones are IANA names, with their summer time, or offsets. In the hour that summer time repeats both count. A time that
is not known counts for the strict side.",
        cases: "time",
        operators: &[
            operator(
                "inside",
                "It is a time within this window.",
                "`\"09:00-17:00\"` or a list of windows; beside it `days: mon-fri` and `zone: Europe/Berlin`",
                "time: { inside: \"09:00-17:00\", days: mon-fri, zone: Europe/Berlin }",
            ),
            operator(
                "outside",
                "It is a time outside of this window.",
                "`\"09:00-17:00\"` or a list of windows; beside it `days: mon-fri` and `zone: Europe/Berlin`",
                "time: { outside: \"09:00-17:00\", days: mon-fri, zone: America/New_York }",
            ),
            operator(
                "schedule",
                "It is a time within one of these windows, each with its own days and zone.",
                "a list of windows",
                "time: { schedule: [\"mon-fri 09:00-17:00\", \"sat 10:00-12:00\"], zone: UTC }",
            ),
        ],
    },
    OperatorFamily {
        title: "Moments",
        reading: "\
Compared to the nanosecond, whatever the offset that either is written with. A time that is not known counts for the strict side.",
        cases: "time",
        operators: &[
            operator(
                "not_before",
                "It is this moment or later.",
                "a moment with its offset (RFC 3339)",
                "time: { not_before: \"2026-01-31T09:00:00+01:00\" }",
            ),
            operator(
                "not_after",
                "It is this moment or earlier.",
                "a moment with its offset (RFC 3339)",
                "time: { not_after: \"2026-12-31T23:59:59Z\" }",
            ),
        ],
    },
    OperatorFamily {
        title: "Text that was seen before",
        reading: "\
Where it restricts, a run of 12 characters (`length_at_least`) that both texts share as a reader sees them is enough, and a text that is
shorter counts as a whole from 4 characters on. Where it loosens, all of the value must stand in the other text, as written.",
        cases: "overlaps",
        operators: &[operator(
            "overlaps",
            "The value shares text with another field of the event, or with texts that stand earlier in the conversation.",
            "`{ path: PATH }` or `{ earlier: { … } }`, and `length_at_least` from 4 to 64",
            "args.body: { overlaps: { earlier: { event: tool_result, tool: read_secret } } }",
        )],
    },
    OperatorFamily {
        title: "Items of a list",
        reading: "\
The conditions inside name the item's own members. A single object is a list of one; what is no object can't be looked into.",
        cases: "any_item",
        operators: &[operator(
            "any_item",
            "One item of the list fits all of these conditions at once.",
            "a mapping of conditions, with paths into the item",
            "args.items: { any_item: { price: { greater_than: 100 }, currency: EUR } }",
        )],
    },
    OperatorFamily {
        title: "The conversation",
        reading: "\
A request holds the conversation so far, and nothing else is remembered: whoever can change the request can change the history, so an
exemption that rests on it wants `trust: claimed`. Where there is no history (MCP, state at the provider) or only a part of it, what it
can't tell counts for the strict side.",
        cases: "earlier",
        operators: &[operator(
            "earlier",
            "Such an event stands earlier in the conversation.",
            "`event` (`tool_call`, `tool_result`, `message`), keys of `match`, conditions, `count_at_least`, `in_a_row`",
            "earlier: { event: tool_result, tool: web_fetch }",
        )],
    },
];
