//! Operators under their headings. `docs/operators/` is made from this and from the cases of `tests/policy/`.

use super::reference::Reference;
use super::verb::Verb;

/// Operators that belong together.
#[derive(Debug)]
pub struct OperatorFamily {
    /// Heading in the index.
    pub title: &'static str,
    /// How values are read; Markdown.
    pub reading: &'static str,
    /// Name of the file with their cases: `tests/policy/NAME.yaml`.
    pub cases: &'static str,
    /// Operators, in the order of the index.
    pub operators: &'static [Reference],
}

/// All operators by family.
pub const OPERATORS: &[OperatorFamily] = &[
    OperatorFamily {
        title: "The same value",
        reading: "\
Values are compared with their types: `1` is `1.0` and `1e0`, and it is not `\"1\"`. Texts count letter by letter, but names of
tools, models and the like are also compared as they look where that restricts: case, width and look-alike letters folded. On
another type `equals` and `in` are plainly false, while `not_equals` and `not_in` can't tell.",
        cases: "equality",
        operators: &[
            Verb::Equals.reference(),
            Verb::NotEquals.reference(),
            Verb::In.reference(),
            Verb::NotIn.reference(),
        ],
    },
    OperatorFamily {
        title: "Being there",
        reading: "\
Where it can be known, plainly true or false on both sides. `null`, an empty text and an empty object are there, an empty array is
not.",
        cases: "exists",
        operators: &[Verb::Exists.reference()],
    },
    OperatorFamily {
        title: "Numbers",
        reading: "\
Numbers are exact decimals of any length: `0.1` and integers of twenty digits compare as they are written. A text counts as a number if it
is one after trimming, full-width digits included (`\" １０１ \"`, `\"1e3\"`). Everything else can't be read: `\"1,000\"`, `\"$5\"`, `true`,
`null`, objects. Where the number lies on one side of the limit and what a program reads lies on the other, it can't be told: a double (to
which 99.99999999999999999 is 100), or the digits that a text begins with (`\"9999e-2\"` is 9999 to JavaScript's `parseInt`).",
        cases: "order",
        operators: &[
            Verb::GreaterThan.reference(),
            Verb::AtLeast.reference(),
            Verb::LessThan.reference(),
            Verb::AtMost.reference(),
            Verb::Between.reference(),
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
            Verb::CountGreaterThan.reference(),
            Verb::CountAtLeast.reference(),
            Verb::CountLessThan.reference(),
            Verb::CountAtMost.reference(),
            Verb::CountEquals.reference(),
        ],
    },
    OperatorFamily {
        title: "How long",
        reading: "\
Characters (Unicode scalar values) of each text by itself; numbers and booleans as they are written, each string in an object. `null` is
missing.",
        cases: "measure",
        operators: &[
            Verb::LengthGreaterThan.reference(),
            Verb::LengthAtLeast.reference(),
            Verb::LengthLessThan.reference(),
            Verb::LengthAtMost.reference(),
            Verb::LengthEquals.reference(),
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
            Verb::Contains.reference(),
            Verb::ContainsAny.reference(),
            Verb::ContainsAll.reference(),
            Verb::StartsWith.reference(),
            Verb::EndsWith.reference(),
        ],
    },
    OperatorFamily {
        title: "Patterns and detectors",
        reading: "",
        cases: "pattern",
        operators: &[
            Verb::Matches.reference(),
            Verb::Glob.reference(),
            Verb::Detects.reference(),
        ],
    },
    OperatorFamily {
        title: "Hosts, URLs, mail addresses",
        reading: "\
Every mail address, URL and host in the value counts, by DNS's rules (case, final dot, IDNA): display names, several addresses in one
text, user names before an `@` in a URL, ports, backslashes and IPv6 don't hide one. `example.com` is that host alone,
`*.example.com` are the hosts below it and not the host itself. A word without a dot is a host only if the list has it.

A URL with `@` and a domain behind its host (`https://good.com/x@evil.com`) is an address to a mail program: both count. So do
addresses in quotes and comments, which some programs deliver to (`\"x@evil.com y\"@good.com`). Can't be read: an open quote, comment or
bracket, a line end in one of these (a header may follow: `Bcc:`), several words or a comma in angle brackets, and `?` or `#` behind an
address.

Out of reach: what DNS answers, redirects, other hosts in the query of a URL.",
        cases: "domain",
        operators: &[
            Verb::DomainIn.reference(),
            Verb::DomainNotIn.reference(),
        ],
    },
    OperatorFamily {
        title: "Files",
        reading: "\
A path is read in each way in which a tool may read it: as it stands, percent-decoded once and twice, trimmed and not, with `\\` as a
separator, with letters that normalisation turns into `.`, `/` and `\\` (`．．／`), and without quotes. Each reading that differs is a value
of its own, and so is each of several paths in one text (`/a /b`, `/a,/b`, one on each line). `.` and doubled slashes mean nothing, `..`
goes up; whole names are compared, so that `/data-evil` is not within `/data`. `~`, Windows drives and servers are roots of their own.
A relative path is within relative folders only.

Can't be read: nothing at all, NUL, a URL, a path that climbs above its start or begins with a variable, one that a shell makes another
path of (`$(id)`, `$HOME`, backticks, `{a,../b}`), a name that some reader takes for `..` (`.?`, `..;x`, `.. `, `.$x.`) or for nothing
before a `..` (`**/..`), a relative path that is an option, a pipe or begins with a host (`-x`, `|x`, `host:x`; `./-x` is a file),
`/proc/self/root` and its like, and on Windows short names, streams, device paths and names that end in a dot or a space.

It can't be told either where a path is within none of the folders by its letters, but some system takes it for one that is: in other
case or another form of Unicode (macOS, Windows), `/root/x`, `/home/me/x`, `/Users/me/x` and `C:\\Users\\me\\x` for `~/x` and the reverse,
`/c/x` and `/mnt/c/x` for `C:\\x`, `/private/etc` for `/etc`, `etc/x` for `/etc/x` and `/repo/.env` for `.env`, depending on where the tool
stands, patterns that fit a folder (`/etc/sh*`), and names that end earlier to some reader (`.env::$DATA`, `.env#x`, `.env,x`).

Out of reach: symbolic links and mounts.",
        cases: "path",
        operators: &[
            Verb::PathWithin.reference(),
            Verb::PathNotWithin.reference(),
        ],
    },
    OperatorFamily {
        title: "Shell commands",
        reading: "\
A text is a line for a POSIX shell, read with its quoting, pipes, `&&`, `;`, newlines and here-documents; an array of strings is one argv.
It holds if there is a command, every command has an entry, and all could be read. An entry is a name (`git`, also in
`/bin`, `/sbin`, `/usr/bin`, `/usr/sbin`, `/usr/local/bin`), an absolute path, or a name with its first arguments (`git status`).

What runs another command (`env`, `xargs`, `sudo`, `find -exec`, `bash -c`) is listed together with it, and so is what `$(…)` runs; its
output and values of variables (`\"$x\"`, `$?`) are words of unknown text, which may not be a command or its option. Can't be read: backticks,
`${x:-…}`, `<(…)`, arithmetic and `eval`; assignments (`EDITOR=rm git commit`, `PATH=/tmp ls`), but for a few that run and load nothing (`LANG`, `LC_*`, `TZ`, `TERM`, `CI`,
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
        operators: &[Verb::CommandIn.reference()],
    },
    OperatorFamily {
        title: "Networks",
        reading: "\
Addresses are read in every form that some system takes: decimal, octal, hexadecimal, short, IPv4 in IPv6, in brackets, with port or zone,
as hosts of URLs, several in one text. One that carries another address (NAT64, 6to4, Teredo) is two values; so are `0.0.0.0` and `::`,
which also mean the machine itself. A name can't be read, since
what DNS answers is out of reach: `localhost` included.",
        cases: "cidr",
        operators: &[Verb::CidrIn.reference()],
    },
    OperatorFamily {
        title: "SQL",
        reading: "\
A text is read by its tokens, as each of five families of servers reads it (PostgreSQL and the standard, MySQL, SQL Server, BigQuery,
Snowflake), and every reading counts: a word that is a comment to one is a statement to another. Each verb, table and statement is a value of its own, those
of sub-queries and `WITH` included. A name with dots inside its quotes (`` `project.dataset.users` ``) may be one name or several: that
can't be told. Open quotes and comments can't be read. Out of reach: what views, triggers and routines do.",
        cases: "sql",
        operators: &[
            Verb::SqlVerbIn.reference(),
            Verb::SqlTableIn.reference(),
            Verb::SqlLimitGreaterThan.reference(),
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
            Verb::Inside.reference(),
            Verb::Outside.reference(),
            Verb::Schedule.reference(),
        ],
    },
    OperatorFamily {
        title: "Moments",
        reading: "\
Compared to the nanosecond, whatever the offset that either is written with. A time that is not known counts for the strict side.",
        cases: "time",
        operators: &[
            Verb::NotBefore.reference(),
            Verb::NotAfter.reference(),
        ],
    },
    OperatorFamily {
        title: "Text that was seen before",
        reading: "\
Where it restricts, a run of 12 characters (`length_at_least`) that both texts share as a reader sees them is enough, and a text that is
shorter counts as a whole from 4 characters on. Where it loosens, all of the value must be in the other text, as written.",
        cases: "overlaps",
        operators: &[Verb::Overlaps.reference()],
    },
    OperatorFamily {
        title: "Items of a list",
        reading: "\
The conditions inside name the item's own members. A single object is a list of one; what is no object can't be looked into.",
        cases: "any_item",
        operators: &[Reference::of(
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
        operators: &[Reference::of(
            "earlier",
            "The conversation history contains a matching event.",
            "`event` (`tool_call`, `tool_result`, `message`), keys of `match`, conditions, `count_at_least`, `in_a_row`",
            "earlier: { event: tool_result, tool: web_fetch }",
        )],
    },
];
