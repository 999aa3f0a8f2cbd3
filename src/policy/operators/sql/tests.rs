use super::*;
use proptest::prelude::*;

fn list(entries: &[&str]) -> Vec<Box<str>> {
    entries.iter().map(|entry| (*entry).into()).collect()
}

fn findings(text: &str) -> Vec<Option<SqlFindings>> {
    let mut all: Vec<Option<SqlFindings>> = Vec::new();
    for dialect in Dialect::ALL {
        let read = tokens(text, dialect).and_then(|tokens| statement::read(&tokens));
        if !all.contains(&read) {
            all.push(read);
        }
    }
    all
}

/// Returns the findings of each distinct reading, separated by ` | `; `?` for an unreadable one.
fn told(text: &str, tell: impl Fn(&SqlFindings) -> Vec<String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for reading in findings(text) {
        let words = reading.map_or("?".to_owned(), |findings| tell(&findings).join(" "));
        if !all.contains(&words) {
            all.push(words);
        }
    }
    all.join(" | ")
}

fn verbs(text: &str) -> String {
    told(text, |findings| {
        findings
            .verbs
            .iter()
            .map(|verb| match (verb.is_unknown, verb.selects_all) {
                (true, _) => format!("?{}", verb.word),
                (_, true) => format!("{}*", verb.word),
                _ => verb.word.clone(),
            })
            .collect()
    })
}

fn tables(text: &str) -> String {
    told(text, |findings| {
        findings
            .tables
            .iter()
            .map(|table| match table.is_function {
                true => format!("{}()", table.parts.join(".")),
                false => table.parts.join("."),
            })
            .collect()
    })
}

fn rows(text: &str) -> String {
    told(text, |findings| {
        findings
            .rows
            .iter()
            .map(|rows| match rows {
                Rows::Most(rows) => rows.to_string(),
                Rows::All => "all".to_owned(),
                Rows::Unknown => "?".to_owned(),
            })
            .collect()
    })
}

#[test]
fn the_verbs_of_every_statement_are_found() {
    for (text, expected, why) in [
        ("SELECT a FROM t", "select", "one"),
        (
            "select 1; Delete from t; DROP TABLE t",
            "select delete drop",
            "several, case",
        ),
        (
            "IN/**/SERT INTO t VALUES (1)",
            "?in",
            "a comment splits a word",
        ),
        (
            "INSERT/**/INTO/**/t VALUES (1)",
            "insert",
            "comments for spaces",
        ),
        ("SELECT 1 -- ; DROP TABLE t", "select", "a comment"),
        (
            "SELECT 1 -- x\rDROP TABLE t",
            "select drop | select",
            "a comment that a carriage return ends for some",
        ),
        (
            "SELECT 1 # \n; DROP TABLE t",
            "select drop",
            "a comment of MySQL",
        ),
        (
            "SELECT 1 #; DROP TABLE t",
            "select drop | select",
            "a comment to MySQL only",
        ),
        (
            "SELECT 1 --x\n; DROP TABLE t",
            "select drop",
            "no comment to MySQL",
        ),
        ("SELECT ';DROP TABLE t'", "select", "inside a string"),
        (
            "SELECT 'a\\'; DROP TABLE t --'",
            "select drop | select",
            "a string that MySQL goes on with",
        ),
        (
            "SELECT \"a;DROP TABLE t\", `DELETE`, t.delete",
            "select",
            "inside names",
        ),
        (
            "WITH x AS (DELETE FROM t RETURNING *) SELECT a FROM x",
            "delete select",
            "a change inside WITH",
        ),
        (
            "WITH x AS (SELECT 1), y AS (UPDATE t SET a=1) SELECT a FROM x",
            "select update select",
            "the second",
        ),
        (
            "SELECT a FROM (SELECT b FROM t) q",
            "select select",
            "sub-query",
        ),
        (
            "SELECT 1 DELETE FROM t",
            "select delete",
            "without a separator",
        ),
        ("SELECT 1DROP TABLE t", "select drop", "without a space"),
        ("SELECT 1 EXEC sp_x", "select execute", "exec is execute"),
        (
            "SELECT 1 SHUTDOWN",
            "select shutdown",
            "a statement of SQL Server",
        ),
        ("SELECT kill, backup FROM t", "select", "columns"),
        (
            "SELECT a INTO b FROM t",
            "select create insert",
            "makes a table",
        ),
        (
            "SELECT a INTO OUTFILE '/tmp/x' FROM t",
            "select create insert",
            "makes a file",
        ),
        ("SELECT a INTO @x FROM t", "select", "fills a variable"),
        ("SELECT a FROM t FOR UPDATE", "select lock", "locks"),
        ("SELECT a FROM t FOR NO KEY UPDATE", "select lock", "locks"),
        ("SELECT a FROM t LOCK IN SHARE MODE", "select lock", "locks"),
        (
            "COPY t FROM PROGRAM 'rm'",
            "copy insert execute",
            "runs a command",
        ),
        (
            "COPY (SELECT a FROM t) TO PROGRAM 'rm'",
            "copy select execute",
            "runs a command",
        ),
        ("COPY t TO STDOUT", "copy", "gives"),
        (
            "MERGE INTO t USING s ON a=b WHEN MATCHED THEN UPDATE SET a=1 WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
            "merge update insert",
            "what it does",
        ),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a=1",
            "insert update",
            "or updates",
        ),
        (
            "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a=1",
            "insert update",
            "or updates",
        ),
        (
            "INSERT INTO t SELECT a FROM s",
            "insert select",
            "from a query",
        ),
        ("TRUNCATE TABLE t", "truncate", "empties"),
        (
            "SELECT TRUNCATE(1.5, 1), INSERT('a',1,1,'b'), REPLACE('a','b','c')",
            "select",
            "functions",
        ),
        ("REPLACE INTO t VALUES (1)", "replace", "MySQL"),
        ("CALL p()", "call", "a routine"),
        ("EXEC('DROP TABLE t')", "execute", "a text"),
        ("EXPLAIN ANALYZE DELETE FROM t", "explain delete", "is run"),
        ("GRANT SELECT, INSERT ON t TO bob", "grant", "privileges"),
        (
            "GRANT admin TO bob DELETE FROM t",
            "grant delete",
            "a statement behind them",
        ),
        (
            "CREATE TABLE t (a int REFERENCES s ON DELETE CASCADE)",
            "create",
            "an action declared",
        ),
        ("ALTER TABLE t DROP COLUMN c", "alter drop", "drops a part"),
        ("(SELECT 1) UNION (SELECT 2)", "select select", "brackets"),
        ("TABLE t", "select*", "all of a table"),
        ("FROM t", "select*", "all of a table"),
        ("VALUES (1)", "select", "rows"),
        (
            "BEGIN; SELECT 1; COMMIT",
            "begin select commit",
            "a transaction",
        ),
        (
            "BEGIN TRANSACTION; UPDATE t SET a=1; ROLLBACK",
            "begin update rollback",
            "a transaction",
        ),
        ("BEGIN sp_x END", "begin ?sp_x", "a block"),
        (
            "xp_cmdshell 'rm'",
            "?xp_cmdshell",
            "a procedure by its name",
        ),
        (
            "SELECT 1 GO xp_cmdshell 'rm'",
            "select | select ?xp_cmdshell",
            "another batch",
        ),
        ("'x'", "?", "no word"),
        ("= 1", "?", "no word"),
        ("", "?", "nothing"),
        ("-- only a comment", "?", "nothing"),
        ("WITH x AS (SELECT 1)", "select", "its query"),
        ("hello there", "?hello", "no statement"),
        (
            "SELECT $$ x $$; DO $$ DELETE FROM t $$",
            "select do | select do delete",
            "a body",
        ),
        ("/*! DROP TABLE t */ SELECT 1", "?", "MySQL runs it"),
        ("SELECT 'x", "?", "open"),
        ("SELECT /* x", "?", "open"),
    ] {
        assert_eq!(verbs(text), expected, "{text:?}: {why}");
    }
}

#[test]
fn queries_of_all_columns_are_told_from_products_and_counts() {
    for (text, expected) in [
        ("SELECT * FROM t", "select*"),
        ("SELECT*FROM t", "select*"),
        ("SELECT t.* FROM t", "select*"),
        ("SELECT a, * FROM t", "select*"),
        ("SELECT DISTINCT * FROM t", "select*"),
        ("SELECT DISTINCT ON (a) * FROM t", "select*"),
        ("SELECT TOP 10 * FROM t", "select*"),
        ("SELECT TOP (10) * FROM t", "select*"),
        ("SELECT TOP 10 PERCENT * FROM t", "select*"),
        ("SELECT a FROM (SELECT * FROM t) q", "select select*"),
        ("SELECT * EXCEPT (a) FROM t", "select*"),
        ("SELECT COUNT(*) FROM t", "select"),
        ("SELECT a * b FROM t", "select"),
        ("SELECT (a) * 2 FROM t", "select"),
        ("SELECT a FROM t WHERE b * c > 1", "select"),
    ] {
        assert_eq!(verbs(text), expected, "{text}");
    }
}

#[test]
fn the_tables_of_every_statement_are_found() {
    for (text, expected, why) in [
        ("SELECT a FROM users", "users", "one"),
        (
            "SELECT a FROM Users u, \"Credit_Cards\" AS c WHERE x",
            "users credit_cards",
            "a list, quotes, aliases",
        ),
        (
            "SELECT a FROM a JOIN b ON a.x=b.x LEFT OUTER JOIN c USING (y), d",
            "a b c d",
            "joins",
        ),
        (
            "SELECT a FROM a NATURAL JOIN b CROSS APPLY c STRAIGHT_JOIN d",
            "a b c d",
            "kinds of joins",
        ),
        (
            "SELECT a FROM public.users, db.hr.users, db..users",
            "public.users db.hr.users db.users",
            "qualified",
        ),
        ("SELECT a FROM `hr`.`users`", "hr.users", "backticks"),
        ("SELECT a FROM [hr].[users]", "() | hr.users", "brackets"),
        (
            "SELECT a FROM 'users'",
            "users",
            "a string that SQLite takes for a name",
        ),
        ("SELECT a FROM/**/users", "users", "comment"),
        ("SELECT a FROM(users)", "users", "in brackets"),
        ("SELECT a FROM ((a JOIN b ON x), c)", "a b c", "in brackets"),
        (
            "SELECT a FROM (SELECT b FROM users) q, t",
            "users t",
            "sub-query",
        ),
        (
            "SELECT (SELECT a FROM users LIMIT 1), b FROM t WHERE c IN (SELECT d FROM s)",
            "users t s",
            "sub-queries elsewhere",
        ),
        (
            "SELECT EXTRACT(YEAR FROM d), TRIM(BOTH ' ' FROM e) FROM t WHERE a IS DISTINCT FROM b",
            "t",
            "other kinds of FROM",
        ),
        (
            "WITH x AS (SELECT a FROM users) SELECT a FROM x",
            "users",
            "a name that WITH defines",
        ),
        (
            "WITH users AS (SELECT a FROM users) SELECT a FROM users",
            "users",
            "inside, the name is still the table's",
        ),
        (
            "WITH RECURSIVE x AS (SELECT 1 UNION SELECT a FROM x) SELECT a FROM x",
            "",
            "itself",
        ),
        (
            "WITH x (a, b) AS MATERIALIZED (SELECT 1), y AS (SELECT a FROM x, t) SELECT a FROM y",
            "t",
            "several",
        ),
        (
            "SELECT a FROM (WITH users AS (SELECT 1) SELECT a FROM users) q, users",
            "users",
            "outside, the name is the table's",
        ),
        (
            "WITH users AS (SELECT 1) SELECT a FROM users; SELECT a FROM users",
            "users",
            "in the next statement too",
        ),
        (
            "WITH users AS (SELECT 1) SELECT a FROM hr.users",
            "hr.users",
            "a qualified name is the table's",
        ),
        ("INSERT INTO t (a, b) VALUES (1, 2)", "t", "insert"),
        (
            "INSERT OR REPLACE INTO t SELECT a FROM s",
            "t s",
            "insert from a query",
        ),
        ("INSERT t VALUES (1)", "t", "without INTO"),
        ("UPDATE t SET a = 1, b = 2 FROM s WHERE x", "t s", "update"),
        ("UPDATE a, b SET a.x = 1", "a b", "update of several"),
        ("UPDATE ONLY t SET a=1", "t", "update"),
        ("DELETE FROM t USING s WHERE x", "t s", "delete"),
        ("DELETE t FROM t JOIN s ON x", "t t s", "delete of MySQL"),
        ("DELETE TOP (10) FROM t", "t", "delete of SQL Server"),
        (
            "MERGE INTO t USING s ON a=b WHEN MATCHED THEN DELETE",
            "t s",
            "merge",
        ),
        ("TRUNCATE a, b", "a b", "truncate"),
        ("TRUNCATE TABLE ONLY a", "a", "truncate"),
        ("DROP TABLE IF EXISTS a, b", "a b", "drop"),
        ("ALTER TABLE IF EXISTS ONLY a RENAME TO b", "a b", "rename"),
        (
            "CREATE TABLE IF NOT EXISTS a AS SELECT x FROM b",
            "a b",
            "create",
        ),
        ("CREATE INDEX i ON t (a)", "t", "index"),
        (
            "CREATE TRIGGER g AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
            "t",
            "trigger",
        ),
        ("GRANT SELECT ON t TO bob", "t", "grant"),
        ("COPY t (a) TO STDOUT", "t", "copy"),
        ("COPY t FROM '/tmp/x'", "t", "copy"),
        ("LOCK TABLES a READ, b WRITE", "a b", "lock"),
        ("DESCRIBE users", "users", "describe"),
        ("SHOW COLUMNS FROM users", "users", "show"),
        ("EXPLAIN SELECT a FROM users", "users", "explain"),
        ("SELECT a INTO b FROM c", "b c", "into"),
        ("TABLE users", "users", "all of a table"),
        ("FROM users SELECT a", "users", "FROM first"),
        ("SELECT a FROM (FROM users)", "users", "FROM first inside"),
        (
            "SELECT a WHERE b IN (FROM users)",
            "users",
            "FROM first inside",
        ),
        (
            "SELECT a FROM orders limit, users",
            "orders users",
            "an alias that is a keyword elsewhere",
        ),
        (
            "SELECT a FROM orders set, users",
            "orders users",
            "an alias that is a keyword elsewhere",
        ),
        (
            "SELECT a FROM orders returning WITH (NOLOCK), users",
            "orders users",
            "an alias with a hint",
        ),
        (
            "SELECT a FROM orders FOR SYSTEM_TIME AS OF '2020-01-01', users",
            "orders users",
            "a table of another time",
        ),
        (
            "SELECT a FROM t ORDER BY a, b LIMIT 5, 6",
            "t",
            "lists that are none of tables",
        ),
        (
            "SELECT a FROM t GROUP BY a, b HAVING c, d",
            "t",
            "lists that are none of tables",
        ),
        (
            "DELETE FROM t RETURNING a, b",
            "t",
            "lists that are none of tables",
        ),
        ("SELECT 1 FROM dual", "", "Oracle's table of nothing"),
        (
            "SELECT a FROM generate_series(1, 2) g, LATERAL f(g)",
            "generate_series() f()",
            "functions",
        ),
        ("SELECT a FROM dblink('users')", "dblink()", "functions"),
        ("SELECT a FROM TABLE(users)", "table()", "functions"),
        ("SELECT a FROM users@remote", "users()", "another server's"),
        ("SELECT a FROM ?", "()", "a placeholder"),
        ("SELECT a FROM :t", "()", "a placeholder"),
        ("SELECT a FROM $1", "() | ()", "a placeholder"),
        ("SELECT 1", "", "none"),
    ] {
        let expected = expected.replace("() | ()", "()");
        assert_eq!(tables(text), expected, "{text:?}: {why}");
    }
}

#[test]
fn the_rows_of_every_statement_are_bounded_by_its_outermost_limit() {
    for (text, expected, why) in [
        ("SELECT a FROM t LIMIT 10", "10", "limit"),
        ("SELECT a FROM t LIMIT 10 OFFSET 5", "10", "with an offset"),
        (
            "SELECT a FROM t OFFSET 5 LIMIT 10",
            "10",
            "behind an offset",
        ),
        ("SELECT a FROM t LIMIT 5, 10", "10", "MySQL's offset"),
        ("SELECT a FROM t LIMIT 10;", "10", "at the end"),
        ("SELECT a FROM t LIMIT 10 FOR UPDATE", "10", "and a lock"),
        ("SELECT TOP 10 a FROM t", "10", "SQL Server"),
        ("SELECT DISTINCT TOP (10) a FROM t", "10", "in brackets"),
        (
            "SELECT a FROM t FETCH FIRST 10 ROWS ONLY",
            "10",
            "the standard",
        ),
        (
            "SELECT a FROM t OFFSET 5 ROWS FETCH NEXT 10 ROWS ONLY",
            "10",
            "with an offset",
        ),
        ("SELECT a FROM t FETCH FIRST ROW ONLY", "1", "one row"),
        ("SELECT a FROM t", "all", "no limit"),
        ("SELECT a FROM t LIMIT ALL", "all", "all"),
        ("SELECT a FROM t LIMIT NULL", "all", "all"),
        (
            "SELECT a FROM (SELECT b FROM t LIMIT 10) q",
            "all",
            "a limit inside only",
        ),
        (
            "SELECT a FROM t WHERE b IN (SELECT c FROM s LIMIT 1)",
            "all",
            "a limit inside only",
        ),
        (
            "SELECT a FROM t /* LIMIT 10 */",
            "all",
            "a limit in a comment",
        ),
        ("SELECT a FROM t -- LIMIT 10", "all", "a limit in a comment"),
        (
            "SELECT a FROM t WHERE b = 'LIMIT 10'",
            "all",
            "a limit in a string",
        ),
        (
            "SELECT a FROM t LIMIT 10; SELECT a FROM t",
            "10 all",
            "each statement",
        ),
        (
            "SELECT a FROM t LIMIT 10 SELECT a FROM s",
            "10 all",
            "without a separator",
        ),
        (
            "SELECT a FROM t UNION ALL SELECT a FROM s LIMIT 10",
            "10",
            "of a union",
        ),
        (
            "SELECT TOP 10 a FROM t UNION ALL SELECT a FROM s",
            "all",
            "of one part only",
        ),
        (
            "SELECT TOP 10 a FROM t UNION ALL SELECT TOP 5 a FROM s",
            "15",
            "of both parts",
        ),
        (
            "(SELECT a FROM t LIMIT 10) UNION ALL (SELECT a FROM s)",
            "all",
            "inside brackets",
        ),
        ("(SELECT a FROM t) LIMIT 10", "10", "behind them"),
        (
            "WITH x AS (SELECT a FROM t) SELECT a FROM x LIMIT 10",
            "10",
            "behind WITH",
        ),
        ("UPDATE t SET a=1", "all", "a change without"),
        ("DELETE FROM t LIMIT 10", "10", "a change with"),
        ("DELETE TOP (10) FROM t", "10", "a change with"),
        (
            "INSERT INTO t VALUES (1)",
            "",
            "what is inserted stands there",
        ),
        ("INSERT INTO t SELECT a FROM s", "all", "from a query"),
        ("BEGIN; SET a = 1; COMMIT", "", "no rows"),
        ("SELECT a FROM t LIMIT 10 + 1000", "?", "an expression"),
        ("SELECT a FROM t LIMIT (SELECT 10)", "?", "a query"),
        ("SELECT a FROM t LIMIT ?", "?", "a placeholder"),
        ("SELECT a FROM t LIMIT :n", "?", "a placeholder"),
        ("SELECT a FROM t LIMIT -1", "?", "no limit to SQLite"),
        ("SELECT a FROM t LIMIT '10'", "?", "a string"),
        ("SELECT a FROM t LIMIT 1e3", "?", "no whole number"),
        ("SELECT a FROM t LIMIT 10 PERCENT", "?", "a share"),
        ("SELECT a FROM t LIMIT 10 BY b", "?", "of each group"),
        ("SELECT TOP 10 PERCENT a FROM t", "?", "a share"),
        ("SELECT TOP 10 WITH TIES a FROM t", "?", "and equals"),
        (
            "SELECT a FROM t FETCH FIRST 10 ROWS WITH TIES",
            "?",
            "and equals",
        ),
        (
            "SELECT a FROM t FETCH FIRST 10 PERCENT ROWS ONLY",
            "?",
            "a share",
        ),
        ("SELECT a FROM t LIMIT 5 LIMIT 10", "?", "two limits"),
        (
            "SELECT a FROM t LIMIT 99999999999999999999999",
            "18446744073709551615",
            "too large a number",
        ),
        ("CALL p()", "?", "nobody knows"),
        ("sp_who", "?", "nobody knows"),
    ] {
        assert_eq!(rows(text), expected, "{text:?}: {why}");
    }
}

fn results(question: &SqlQuestion, text: &str) -> Vec<TestResult> {
    let mut all = Vec::new();
    question.evaluate(text, &mut |result| all.push(result));
    all
}

#[test]
fn verbs_are_listed_or_not_and_what_runs_something_else_must_be() {
    let reads = SqlQuestion::verbs(&list(&["SELECT", "call"])).unwrap();
    assert_eq!(results(&reads, "SELECT 1"), [TestResult::Holds]);
    assert_eq!(results(&reads, "CALL p()"), [TestResult::Holds]);
    assert_eq!(
        results(&reads, "SELECT 1; DROP TABLE t"),
        [TestResult::Holds, TestResult::Fails]
    );
    assert_eq!(results(&reads, "EXEC p"), [TestResult::Unreadable]);
    assert_eq!(results(&reads, "frobnicate t"), [TestResult::Unreadable]);
    assert_eq!(results(&reads, "SELECT 'x"), [TestResult::Unreadable]);
    let all_columns = SqlQuestion::verbs(&list(&["select *"])).unwrap();
    assert_eq!(
        results(&all_columns, "SELECT * FROM t"),
        [TestResult::Holds]
    );
    assert_eq!(
        results(&all_columns, "SELECT a FROM t"),
        [TestResult::Fails]
    );
    assert_eq!(results(&reads, "SELECT * FROM t"), [TestResult::Holds]);
}

#[test]
fn a_table_is_compared_by_all_parts_of_its_name() {
    let some = SqlQuestion::tables(&list(&["orders", "hr.users", "\"Sales\".[Items]"])).unwrap();
    for (text, expected, why) in [
        ("SELECT a FROM Orders", TestResult::Holds, "case ignored"),
        ("SELECT a FROM hr.users", TestResult::Holds, "qualified"),
        (
            "SELECT a FROM sales.items",
            TestResult::Holds,
            "quotes in the list",
        ),
        (
            "SELECT a FROM users",
            TestResult::Unreadable,
            "perhaps of that schema",
        ),
        (
            "SELECT a FROM other.orders",
            TestResult::Unreadable,
            "perhaps not that one",
        ),
        (
            "SELECT a FROM db.hr.users",
            TestResult::Unreadable,
            "perhaps of another database",
        ),
        (
            "SELECT a FROM public.users",
            TestResult::Fails,
            "of another schema",
        ),
        ("SELECT a FROM orders2", TestResult::Fails, "another name"),
        ("SELECT 1", TestResult::Fails, "none"),
        ("SELECT a FROM f(1)", TestResult::Unreadable, "a function"),
        ("SELECT a FROM ?", TestResult::Unreadable, "a placeholder"),
    ] {
        assert_eq!(results(&some, text), [expected], "{text}: {why}");
    }
    assert_eq!(
        results(&some, "CALL p()"),
        [TestResult::Unreadable, TestResult::Fails]
    );
}

#[test]
fn rows_are_compared_with_a_number() {
    let more = SqlQuestion::MoreRowsThan(1_000);
    assert_eq!(
        results(&more, "SELECT a FROM t LIMIT 1000"),
        [TestResult::Fails]
    );
    assert_eq!(
        results(&more, "SELECT a FROM t LIMIT 1001"),
        [TestResult::Holds]
    );
    assert_eq!(results(&more, "SELECT a FROM t"), [TestResult::Holds]);
    assert_eq!(
        results(&more, "SELECT a FROM t LIMIT ?"),
        [TestResult::Unreadable]
    );
    assert_eq!(results(&more, "COMMIT"), [TestResult::Fails]);
}

#[test]
fn an_operand_that_is_none_says_what_to_write() {
    let error = SqlQuestion::verbs(&list(&["select", "delte"])).unwrap_err();
    assert_eq!((error.at, &*error.help), (1, "did you mean `delete`?"));
    let error = SqlQuestion::tables(&list(&["users", "audit_*"])).unwrap_err();
    assert_eq!(error.at, 1);
    assert!(SqlQuestion::tables(&list(&["a..b"])).is_err());
}

#[test]
fn long_texts_take_linear_time() {
    let verbs = SqlQuestion::verbs(&list(&["select"])).unwrap();
    for part in [
        "select ",
        "(",
        ")",
        "from a,",
        "with x as (",
        "with x (a,",
        "/*",
        "--",
        "'",
        "\"",
        "$a$",
        "[",
        "a.",
        "limit 1 ",
        "; ",
        "case when then ",
        "*",
        "with x as (select 1), ",
        "from (",
        "top(",
        ",",
    ] {
        let _ = results(&verbs, &part.repeat(100_000 / part.len()));
    }
    assert_eq!(
        results(&verbs, &" ".repeat(MAX_BYTES + 1)),
        [TestResult::Unreadable]
    );
}

/// Beginnings of texts that the families read in different ways, and words that cost most.
const HOSTILE: [&str; 20] = [
    "#",
    "--",
    "-- \n",
    "'\\'",
    "$a$",
    "$1 ",
    "[a]",
    "e'a' ",
    "go ",
    "\\",
    "select ",
    "(",
    "a,",
    "with x as (",
    "from a,",
    "; ",
    "count(",
    "é ",
    "/**/",
    "''",
];

#[test]
fn a_statement_costs_what_its_readings_cost() {
    let verbs = SqlQuestion::verbs(&list(&["select"])).unwrap();
    let steps = |text: &str| work::count(|| results(&verbs, text)).1;
    assert_eq!(
        steps("SELECT a, b FROM t WHERE c = 'x'"),
        0,
        "read once, which is counted before"
    );
    for first in HOSTILE {
        for second in HOSTILE {
            let unit = [first, second].concat();
            let [short, long] = [1_000, 16_000].map(|len| unit.repeat(len / unit.len()));
            let bound = |text: &str| {
                let all = Dialect::ALL.into_iter();
                let again = all.filter(|dialect| dialect.differs(text)).count() - 1;
                u64::try_from(text.len() * again * READ_AGAIN).unwrap()
            };
            for text in [&short, &long] {
                let expected = if is_read_alike(text) { 0 } else { bound(text) };
                assert_eq!(steps(text), expected, "{unit}");
            }
        }
    }
}

#[test]
fn a_statement_is_no_more_read_when_nothing_is_left() {
    let verbs = SqlQuestion::verbs(&list(&["select"])).unwrap();
    let before = work::allow(1);
    let found = results(&verbs, &"select 1 -- a\n".repeat(100));
    work::allow(before);
    assert_eq!(found.last(), Some(&TestResult::Unreadable));
}

proptest! {
    #[test]
    fn what_is_read_alike_gives_the_same_tokens_to_all(
        text in "([a-c \n;,.()*'\"`@?:=/0-9-]|[gGoOeEuUnNqQ]|['&]|[#$\\[\\\\\\]]|select |--|é){0,30}"
    ) {
        let [standard, others @ ..] = Dialect::ALL.map(|dialect| tokens(&text, dialect));
        prop_assert!(!is_read_alike(&text) || others.iter().all(|other| *other == standard));
    }

    #[test]
    fn no_text_is_too_odd(text in "[a-c \n;,.()*'\"`\\[\\]$#@?:=/0-9-]{0,40}") {
        let verbs = SqlQuestion::verbs(&list(&["select"])).unwrap();
        prop_assert!(!results(&verbs, &text).is_empty());
    }

    #[test]
    fn nor_one_made_of_keywords(words in prop::collection::vec(prop::sample::select(vec![
        "select", "from", "with", "as", "(", ")", ",", ";", "insert", "into", "update", "set", "delete", "limit", "10",
        "top", "union", "a", "b.c", "*", "join", "on", "table", "then", "begin", "'x'", "--", "/*", "*/", "values",
    ]), 0..20)) {
        let text = words.join(" ");
        for question in [
            SqlQuestion::verbs(&list(&["select"])).unwrap(),
            SqlQuestion::tables(&list(&["a"])).unwrap(),
            SqlQuestion::MoreRowsThan(1),
        ] {
            prop_assert!(!results(&question, &text).is_empty());
        }
    }

    #[test]
    fn a_change_is_seen_whatever_stands_around_it(
        before in prop::sample::select(vec!["", "SELECT 1; ", "SELECT 1 ", "WITH x AS (", "/* c */", "-- c\n", "EXPLAIN ", "BEGIN; ", "(", "SELECT 'a'; "]),
        change in prop::sample::select(vec!["DELETE FROM t", "dElEtE/**/FROM t", "delete\nfrom t", "DELETE FROM\"t\"", "DELETE t"]),
        after in prop::sample::select(vec!["", ";", ") SELECT 1", " -- x", " /* x */", "; SELECT 1", " WHERE 'a'='a'"]),
    ) {
        let text = format!("{before}{change}{after}");
        let reads = SqlQuestion::verbs(&list(&["select", "explain", "begin"])).unwrap();
        prop_assert!(results(&reads, &text).iter().any(|result| *result != TestResult::Holds), "{}", text);
        let tables = SqlQuestion::tables(&list(&["t"])).unwrap();
        prop_assert!(results(&tables, &text).iter().any(|result| *result != TestResult::Fails), "{}", text);
    }
}
