//! What stands under the name of a column.

use super::*;

/// The text with so many rows in the middle that no word of the heading is near the last ones, and what is found.
fn found_far_below(heading: &str, row: &str, last: &str) -> Vec<String> {
    let text = format!("{heading}{}{last}", row.repeat(60));
    let found = found(&Input::whole(&text));
    found.into_iter().map(|(_, value)| value).collect()
}

#[test]
fn a_value_far_below_a_name_counts_as_if_the_name_stood_before_it() {
    for (heading, row, last, values) in [
        // With commas, semicolons, tabs
        (
            "id,name,ssn\n",
            "7,Bob,\n",
            "8,Ann,536221234\n",
            &["536221234"][..],
        ),
        (
            "id, name, SSN\n",
            "7, Bob, -\n",
            "8, Ann, 536221234",
            &["536221234"],
        ),
        (
            "\"Name\";\"Social Security\";\"Bank account\"\n",
            "\"Bob; \"\"B\"\"\";\"\";\"\"\n",
            "\"Ann; A\";\"536221234\";\"1234567890\"\n",
            &["536221234", "1234567890"],
        ),
        (
            "id\tssn\r\n",
            "7\tx\r\n",
            "8\t536221234\r\n",
            &["536221234"],
        ),
        (
            ",customerSSN,note\n",
            "7,x,y\n",
            "8,536221234,z\n",
            &["536221234"],
        ),
        (
            "user_ssn,bank_account\n",
            "x,y\n",
            "536221234,1234567890\n",
            &["536221234", "1234567890"],
        ),
        // With pipes
        (
            "| id | ssn |\n|---:|:---|\n",
            "| 7 | - |\n",
            "| 8 | 536221234 |\n",
            &["536221234"],
        ),
        (
            "id | **ssn**\n---|---\n",
            "7 | x\n",
            "8 | `536221234`\n",
            &["536221234"],
        ),
        (
            " id |    ssn    \n----+-----------\n",
            "  7 | \n",
            "  8 | 536221234\n(61 rows)\n",
            &["536221234"],
        ),
        (
            "+----+-----------+\n| id | ssn       |\n+----+-----------+\n",
            "|  7 | NULL      |\n",
            "|  8 | 536221234 |\n+----+-----------+\n",
            &["536221234"],
        ),
        // Statements
        (
            "INSERT INTO people (id, name, ssn)\nVALUES\n",
            "(7, 'O''Hara, (B)', NULL),\n",
            "(8, upper('ann'), '536221234');\n",
            &["536221234"],
        ),
        (
            "insert into `a`.`b` (`ssn`) values ",
            "(''), ",
            "('536221234')",
            &["536221234"],
        ),
        (
            "COPY public.people (id, ssn) FROM stdin;\n",
            "7\t\\N\n",
            "8\t536221234\n\\.\n",
            &["536221234"],
        ),
        // A list
        ("SSN\n", "1\n", "536221234\n", &["536221234"]),
        // In other languages
        (
            "Name;Sozialversicherungsnummer\n",
            "Bob;-\n",
            "Ann;65170839J003\n",
            &["65170839J003"],
        ),
        (
            "имя,пароль\n",
            "Боб,-\n",
            "Анна,kX9#mQ2vL\n",
            &["kX9#mQ2vL"],
        ),
        ("用户,密码\n", "甲,-\n", "乙,kX9#mQ2vL\n", &["kX9#mQ2vL"]),
        (
            "naam,wachtwoord\n",
            "Bob,-\n",
            "Ann,kX9#mQ2vL\n",
            &["kX9#mQ2vL"],
        ),
        // Secrets
        (
            "user,password\n",
            "bob,\n",
            "ann,hunter2Xy!\n",
            &["hunter2Xy!"],
        ),
        (
            "user,password\n",
            "bob,\n",
            "ann,\"kX9#,mQ2vL\"\n",
            &["kX9#,mQ2vL"],
        ),
        (
            "| host | API key | client secret |\n|---|---|---|\n",
            "| a | - | - |\n",
            "| b | n5rAeWSpLvy4ZcF229Jemquu | `Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB` |\n",
            &[
                "n5rAeWSpLvy4ZcF229Jemquu",
                "Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB",
            ],
        ),
        (
            "INSERT INTO u (id, db_password) VALUES\n",
            "(7, NULL),\n",
            "(8, 'kX9#mQ2vL');\n",
            &["kX9#mQ2vL"],
        ),
        // Whatever else stands there
        (
            "Dear Sir, as you asked, see here\nid,name,ssn\n",
            "7,Bob,\n",
            "8,Ann,536221234\n",
            &["536221234"],
        ),
        (
            "id,name,ssn\n",
            "7,Bob,\n",
            "8,\"Ann\nLee\",x\n9,Cat,536221234\n",
            &["536221234"],
        ),
        (
            "id,name,ssn\n",
            "7,Ann,password\n",
            "8,Cat,536221234\n",
            &["536221234"],
        ),
        (
            "id,phone\n",
            "7,\n",
            "8,home (212) 555-0123\n\nid;ssn\n9;536221234\n",
            &["(212) 555-0123", "536221234"],
        ),
        ("  id,ssn\n", "  7,x\n", "  8,536221234\n", &["536221234"]),
    ] {
        assert_eq!(
            found_far_below(heading, row, last),
            values,
            "{heading}{row}{last}"
        );
    }
}

#[test]
fn what_stands_elsewhere_is_not_under_the_name() {
    for (heading, row, last) in [
        // In another column
        ("id,name,ssn\n", "7,Bob,\n", "536221234,Ann,x\n"),
        ("id,name,ssn\n", "7,Bob,\n", "8,Ann,x,536221234\n"),
        (
            "INSERT INTO t (id, ssn) VALUES\n",
            "(7, NULL),\n",
            "(536221234, NULL);\n",
        ),
        // Behind the table
        ("ssn,name\n", ",Bob\n", "\n536221234,Ann\n"),
        ("ssn,name\n", ",Bob\n", "That is all.\n536221234,Ann\n"),
        (
            "ssn,name\n",
            ",Bob\n",
            "The number is 536221234, as I said\n",
        ),
        (
            "ssn,name\n",
            ",Bob\n",
            "a,b,c\nd,e,f\ng,h,i\n536221234,Ann\n",
        ),
        (
            "name,ssn\n",
            "Bob,\n",
            "In the end, we had to ask for 536221234\n",
        ),
        (
            "INSERT INTO t (ssn) VALUES\n",
            "(NULL),\n",
            "(NULL);\n536221234\n",
        ),
        ("SSN\n", "1\n", "Call 536221234\n"),
        ("SSN\n", "1\n", "that is all\n536221234\n"),
        // Under something that is no heading
        ("ssn: id, name\n", "7,Bob\n", "536221234,Ann\n"),
        (
            "the ssn of a customer in our list of old ones, name\n",
            "7,Bob\n",
            "536221234,Ann\n",
        ),
        ("call(ssn, name)\n", "7,Bob\n", "536221234,Ann\n"),
        ("ssn = 1, name\n", "7,Bob\n", "536221234,Ann\n"),
        ("total,count\n", "7,9\n", "536221234,1234567890\n"),
        // What is none wherever it stands
        (
            "user,password\n",
            "bob,changeme1\n",
            "ann,<your-password1>\n",
        ),
        ("user,password\n", "bob,${DB_PASSWORD}\n", "ann,required\n"),
        ("user,password_hint\n", "bob,x\n", "ann,kX9#mQ2vL\n"),
        (
            "test | pass | fail\n---|---|---\n",
            "a | 12/14 | 2\n",
            "b | v1-beta2 | 0\n",
        ),
        ("id,reisepass_nr\n", "7,x\n", "8,kX9mQ2vL\n"),
        ("id,date\n", "7,1980-01-02\n", "8,02.03.1985\n"),
    ] {
        let none: [&str; 0] = [];
        assert_eq!(
            found_far_below(heading, row, last),
            none,
            "{heading}{row}{last}"
        );
    }
}

#[test]
fn wide_and_endless_tables_are_read_as_far_as_they_are_kept() {
    let ten_thousand = |cell: &str| vec![cell; 10_000].join(",");
    let wide = format!(
        "ssn,{}\n536221234,{}\n",
        ten_thousand("ssn"),
        ten_thousand("536221235")
    );
    let values = found(&Input::whole(&wide));
    assert!(values.len() > 200 && values.len() < 300, "{}", values.len());
    for odd in [
        ",",
        "|",
        "\t",
        "\n",
        "\"",
        "(",
        "insert into ",
        "ssn,\"",
        "a,b\n\"",
        "password,",
    ] {
        let text = odd.repeat(50_000);
        assert!(found(&Input::whole(&text)).is_empty(), "{odd}");
    }
}

#[test]
fn more_headings_than_are_told_are_noticed() {
    let scanner = Scanner::new(&Selection::all(Confidence::Medium));
    let mut scratch = Scratch::default();
    for (table, count, more) in [
        ("password,a\na,b\n\n", 1_900, false),
        ("password,a\na,b\n\n", 2_100, true),
        // A directory has many such lines.
        ("phone\nby mail only\n\n", 5_000, false),
    ] {
        let text = table.repeat(count);
        let mut findings = Vec::new();
        scanner.scan(&Input::whole(&text), &mut scratch, &mut findings);
        assert_eq!(scratch.is_incomplete(), more, "{count} × {table}");
    }
    scanner.scan(&Input::whole("a,b"), &mut scratch, &mut Vec::new());
    assert!(!scratch.is_incomplete());
}
