//! Benchmark texts for the detectors: 64 KiB of each kind.

fn filled(pattern: &str) -> String {
    pattern.repeat(65_536usize.div_ceil(pattern.len()))
}

/// A generator without a crate: xorshift64.
fn noise(alphabet: &[u8], len: usize) -> String {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(alphabet[usize::try_from(state >> 33).unwrap() % alphabet.len()])
        })
        .collect()
}

/// Texts by name: those that resemble most traffic, and the most expensive ones.
pub fn texts() -> Vec<(&'static str, String)> {
    let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    vec![
        (
            "English",
            filled(
                "The committee met on a grey morning and agreed, after some debate, that the bridge should be repaired before the winter came. Nobody had thought to ask who would pay for it, and so the matter was put off once more until the next meeting in the old hall. ",
            ),
        ),
        (
            "code",
            filled(
                "fn next(&mut self) -> Option<Token> {\n    let start = self.position;\n    while let Some(c) = self.peek() {\n        if !c.is_alphanumeric() { break; }\n        self.advance();\n    }\n    self.emit(start, self.position)\n}\n",
            ),
        ),
        (
            "JSON",
            filled(
                "{\"id\":\"msg_01XFDUDYJgAACzvnptvVoYEL\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m-4\",\"usage\":{\"input_tokens\":2095,\"output_tokens\":503},\"created\":1751245344},\n",
            ),
        ),
        (
            "digits",
            filled(
                "[0.491410177,-0.416474496,0.903713571,-0.969303221,17512453441,5908325301,20240309110241,\"2024-03-09T11:02:41Z\"],",
            ),
        ),
        (
            "Chinese",
            filled(
                "委员会在一个灰蒙蒙的早晨开会，经过一番辩论后一致认为，应该在冬天来临之前修好这座桥。",
            ),
        ),
        (
            "Russian",
            filled(
                "Комитет собрался серым утром и после некоторых споров решил, что мост надо починить до зимы. ",
            ),
        ),
        ("base64", noise(base64, 65_536)),
        (
            "base64 lines",
            noise(base64, 65_536)
                .as_bytes()
                .chunks(76)
                .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
                .collect(),
        ),
        ("hex", noise(b"0123456789abcdef", 65_536)),
        ("1111…", "1".repeat(65_536)),
        ("1 1 1 …", filled("1 ")),
        ("12 34 …", filled("12 34 ")),
        ("411 411 …", filled("4111 ")),
        ("a1 b2 …", filled("a1 b2 ")),
        ("AB 12 …", filled("AB 12 ")),
        ("a@a@…", filled("a@")),
        ("a@b.co ", filled("a@b.co ")),
        (
            "long @ ",
            filled("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@"),
        ),
        ("::::", filled(":")),
        ("a:b:c:", filled("ab:cd:")),
        ("1.1.1.1.", filled("1.1.1.1.")),
        ("://x:", filled("://x:")),
        ("token=pass", filled("token=passwd=")),
        ("token: ", filled("token: ")),
        ("key key ", filled("key ")),
        ("api_key=\"", filled("api_key=\"a1B2c3D4e5F6g7H8\" ")),
        ("password", filled("password ")),
        ("-----BEGIN", filled("-----BEGIN PRIVATE KEY-----")),
        ("eyJ.eyJ.", filled("eyJhbGciOiJIUzI1NiJ9.")),
        ("sk- ghp_", filled("sk-ghp_glpat-xoxb-")),
        ("cards", filled("4111 1111 1111 1111 ")),
        ("ssn words", filled("ssn 123-45-6789 phone ")),
        ("phone 1", filled("phone 1 ")),
        ("DE89 ", filled("DE89 3704 ")),
        ("data:", filled("data:\n a: b\n")),
        ("curl ", filled("curl ")),
        ("%31", filled("%31")),
        ("&#49;", filled("&#49;")),
        ("\\u0031", filled("\\u0031")),
        ("full width", filled("４１１１ ")),
        ("zero width", filled("1\u{200B}")),
        ("Zalgo", filled("a\u{301}\u{302}")),
        ("tags", filled("\u{E0041}")),
        ("{{{{", filled("{\"a\":{\"b\":[")),
        ("(1)(2)", filled("(1)(2)")),
        ("+1+2", filled("+1+2")),
        ("if (\"", filled("if (\"")),
        ("[x](http", filled("[x](https://a.b/?c=")),
        // Repeated prefixes, within the maximum length of their formats.
        (
            "glpat-…01",
            filled(&format!("{}.01.abcdefghi ", "glpat-".repeat(48))),
        ),
        ("dnkey-…", filled(&format!("{}a ", "dnkey-".repeat(19)))),
        ("xoxb-xoxb-", filled("xoxb-")),
        (
            "key:key:",
            filled("key:aB1key:aB2key:cD3key:dE4key:eF5x6G7H "),
        ),
        ("bypass rules", filled("bypass rules ")),
        ("= bypass", filled("= bypass")),
        (
            "kind: data:",
            filled("kind:a\ndata:\n a: bXlwYXNzd29yZA==\n"),
        ),
        ("curl -H", filled("curl -H \"apikey: c4ed6c21-9dd5-4a05 ")),
        (
            "0x5aAe…",
            filled("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed "),
        ),
        ("1A1zP1…", filled("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa ")),
        (
            "bc1q…",
            filled("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 "),
        ),
        ("variable", filled("variable \"pass_token\" {\n")),
        ("mysql -p", filled("mysql -u a -pb ")),
        (
            "CSV",
            format!(
                "id,name,email,city,ssn,phone,password,last_login\n{}",
                filled(
                    "1042,Ann Lee,ann.lee@example.com,Springfield,536221234,2125550123,hunter2Xy!,2024-03-09T11:02:41Z\n"
                )
            ),
        ),
        // Every line is a heading with a meaning, and a value of the line above.
        ("password,a", filled("password,a\na,password\n")),
        ("кaaa…1", filled(&format!("к{}1 ", "a".repeat(300)))),
        // The most expensive texts that the tests compose from the detectors' formats (`src/detect/hostile.rs`). An
        // exchange with much of the first twelve is denied for its cost.
        ("4.1.1.1⏎1.1.1.1=", filled("4.1.1.1\n1.1.1.1=")),
        ("[0, 4 1…://", filled("[0, 4 1 1 1 1 1 1 1://")),
        ("[0, 4 1…", filled("[0, 4 1 1 1 1 1 1 1")),
        ("4 1 1 1 - 1…", filled("it is 4 1 1 1 - 1 1 1 1 - ")),
        (
            "ts 17…[0, 4 1",
            filled("ts 170000000[0, 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        ),
        (
            "see 111.4it is",
            filled("see 111.4it is 4 1 1 1 - 1 1 1 1 - "),
        ),
        (
            "[0, 4 1…1]",
            filled("[0, 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1]"),
        ),
        (
            "4 1 1 1 - …, I",
            filled("it is 4 1 1 1 - 1 1 1 1 - 1 1 1 1 - 1 1 1 1, I think"),
        ),
        (
            "+44[0, 4 1…",
            filled("+44[0, 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1]"),
        ),
        (
            "D E 8 9…пароль",
            filled("D E 8 9 3 7 0 4 0 0 4пароль: kewa6TrHja#7, 密码：xJvmCNsLES#7。"),
        ),
        (
            "SSN 5 3 6 - ",
            filled("SSN 536 - 22 - 8711, ssn: 536  22  8712, SSN 5 3 6 - 2 2 - 8 7 1 "),
        ),
        (
            "AAA 1111SSN",
            filled("AAA 1111SSN 536 - 22 - 8711, ssn: 536  22  8712, SSN 5 3 6 - 2 2 - 8 7 1 "),
        ),
        ("日111222333", filled("日111222333")),
        ("111222333}", filled("111222333}")),
        ("987654401&", filled("987654401&")),
        ("sk-sk-", filled("sk-")),
        ("5454…\"", filled("5454545454545454\"")),
        ("id 111222333>", filled("id 111222333>")),
        ("id 011103093||", filled("id 011103093||")),
        ("ZXlK…reg.", filled("ZXlKamRIa2lPaUreg.")),
        (
            "-----BEGIN RSA",
            filled("-----BEGIN RSA PRIVATE KEY-----\n"),
        ),
        ("password: ⏎", filled("password: \n")),
        ("ops_eyJ", filled("ops_eyJ")),
    ]
}
