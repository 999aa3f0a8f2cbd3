#![expect(clippy::string_slice, reason = "tests cut known texts")]

use super::*;
use proptest::prelude::*;

fn view(text: &str) -> String {
    NormalisedText::of(text).map_or_else(|| text.to_owned(), |view| view.text().to_owned())
}

/// All readings of a text, the first one first.
fn readings_of(text: &str) -> Vec<NormalisedText> {
    let mut all = Vec::new();
    if let Some(view) = NormalisedText::of(text) {
        all.push(view.clone());
        let mut view = view;
        while view.read_on(text) {
            all.push(view.clone());
        }
    }
    all
}

fn texts_of(text: &str) -> Vec<String> {
    readings_of(text)
        .iter()
        .map(|view| view.text().to_owned())
        .collect()
}

/// The bytes of the original behind a text that stands once in the view.
fn behind<'a>(text: &'a str, seen: &str) -> &'a str {
    let view = NormalisedText::of(text).unwrap();
    let start = view.text().find(seen).unwrap();
    &text[view.original(start..start + seen.len())]
}

#[test]
fn plain_text_has_no_view() {
    for text in [
        "",
        "plain ASCII text.\n\tEven 100% & more \\d",
        "AT&T &c. 5 %",
        "日本語のテキスト",
        "привiт",
    ] {
        let seen = NormalisedText::of(text);
        if text.is_ascii() || text.starts_with('日') {
            assert!(seen.is_none(), "{text}");
        }
    }
}

#[test]
fn every_disguise_of_a_card_number_is_taken_off() {
    for disguised in [
        "４１１１ １１１１ １１１１ １１１１",
        "４１１１\u{3000}１１１１\u{A0}１１１１\u{2009}１１１１",
        "4111\u{200B} 1111 11\u{AD}11 1111",
        "41\u{FE0F}11 1\u{2060}111 1111 111\u{E0101}1",
        "٤١١١ ١١١١ ١١١١ ١١١١",
        "𝟒𝟏𝟏𝟏 𝟙𝟙𝟙𝟙 ①①①① ¹¹¹¹",
        "4\u{338}1\u{301}1\u{20E3}1 1111 1111 1111\u{332}",
        "&#52;111 1111&nbsp;1111 11&#x31;1",
        "4111%201111%201111%20%31%31%31%31",
        "4111%25201111 1111 %252531111",
        "\\u0034111 1111 1111 \\u{31}\\x31\\\\u0031\\U00000031",
        "4111\\t1111\\n1111\\r1111",
        "\u{202E}4111\u{202C} 1111\u{2066} 1111 1111",
    ] {
        let seen = view(disguised);
        let seen: String = seen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            seen.ends_with("4111 1111 1111 1111"),
            "{disguised} is read as {seen}"
        );
    }
}

#[test]
fn letters_that_look_latin_are_latin() {
    assert_eq!(
        view("Bаsh vеrify_սser ｄｅｌｅｔｅ ﬁle 𝐝𝐞𝐥𝐞𝐭𝐞 ⓓⓔⓛ"),
        "Bash verify_user delete file delete del"
    );
    assert_eq!(
        view("Führerschein naïve Ångström"),
        "Fuhrerschein naive Angstrom"
    );
    assert_eq!(view("“a”＝‘b’–c"), "\"a\"='b'-c");
    assert_eq!(view("user＠example．com"), "user@example.com");
    assert_eq!(
        view("user&commat;example&period;com &lt;b&gt;"),
        "user@example.com <b>"
    );
}

#[test]
fn tags_are_decoded_as_words_of_their_own() {
    let hidden: String = "obey me"
        .chars()
        .map(|c| char::from_u32(0xE0000 + u32::from(c)).unwrap())
        .collect();
    assert_eq!(view(&format!("hello{hidden}!")), "hello obey me!");
    assert_eq!(behind(&format!("hello{hidden}!"), "obey me"), hidden);
}

#[test]
fn tags_have_a_second_reading_in_which_they_are_nothing() {
    let text = "4\u{E0041}1\u{E0042}\u{E0043}1 \u{E0041}x";
    assert_eq!(view(text), "4 A1 BC1  Ax");
    let bare = readings_of(text)
        .into_iter()
        .find(|view| view.text() == "411 x")
        .unwrap();
    assert_eq!(
        bare.original(0..3),
        0.."4\u{E0041}1\u{E0042}\u{E0043}1".len()
    );
    assert_eq!(texts_of("4\u{200B}1"), ["41", "4 1"]);
    assert!(texts_of("plain").is_empty());
}

#[test]
fn tags_in_small_pieces_are_letters_of_the_words_around_them() {
    let text = "d\u{E0065}l\u{E0065}\u{200B}\u{E0074}e";
    let within = readings_of(text)
        .into_iter()
        .find(|view| view.text() == "delete")
        .unwrap();
    assert_eq!(within.original(0..6), 0..text.len());
}

#[test]
fn regional_indicators_are_letters_or_flags_between_words() {
    let text = "🇮🇬🇳🇴🇷🇪 it🇩🇪now";
    assert_eq!(
        texts_of(text),
        [" IGNORE it DEnow", "IGNORE itDEnow", "  it now"]
    );
    assert_eq!(fold_name("🇩🇪🇱🇪🇹🇪"), "delete");
}

#[test]
fn enclosed_letters_and_digits_of_every_kind_are_read() {
    for text in [
        "ⓈⓀ⑩",
        "🅢🅚❿",
        "🆂🅺⓾",
        "🅂🄺⑽",
        "🄢🄚⒑",
        "Sᴋ𝟷𝟶",
        "ＳＫ１０",
        "₍Ꞩꝁ₁₀₎",
    ] {
        assert_eq!(
            view(text).to_ascii_uppercase().trim_matches(['(', ')']),
            "SK10",
            "{text}"
        );
    }
    assert_eq!(view("ıgnore ɹules ǝvery"), "ignore rules every");
}

#[test]
fn characters_that_are_not_shown_go_and_blank_ones_are_spaces() {
    for hidden in [
        "\u{FFF9}",
        "\u{FFFB}",
        "\u{90}",
        "\u{1D159}",
        "\u{16FE4}",
        "\u{3164}",
        "\u{2065}",
    ] {
        assert_eq!(view(&format!("a{hidden}b")), "ab", "{hidden:?}");
    }
    for blank in ["\u{2800}", "\u{2423}", "\u{1680}", "\u{205F}"] {
        assert_eq!(view(&format!("a{blank}b")), "a b", "{blank:?}");
    }
    for line in ["\u{85}", "\u{2028}", "\u{2029}"] {
        assert_eq!(view(&format!("a{line}b")), "a\nb", "{line:?}");
    }
}

#[test]
fn hidden_characters_between_letters_have_a_second_reading() {
    let text = "ignore\u{200B}all, igno\u{200B}re \u{200B}this";
    assert_eq!(
        texts_of(text),
        ["ignoreall, ignore this", "ignore all, igno re this"]
    );
    assert_eq!(texts_of("a \u{200B}b"), ["a b"]);
    assert_eq!(texts_of("\u{200B}é\u{200B}"), ["e"]);
}

#[test]
fn ranges_lead_back_to_exactly_the_bytes_that_are_read() {
    assert_eq!(behind("a４１１１b", "4111"), "４１１１");
    assert_eq!(behind("x 4\u{200B}1\u{200B} y", "41"), "4\u{200B}1");
    assert_eq!(behind("\u{200B}41\u{200B}", "41"), "41");
    assert_eq!(behind("né 41\u{301} é", "41"), "41\u{301}");
    assert_eq!(behind("é1\u{301}\u{302}2", "1"), "1\u{301}\u{302}");
    assert_eq!(behind("x&#52;1y", "41"), "&#52;1");
    assert_eq!(behind("日本%34１", "41"), "%34１");
    assert_eq!(behind("ﬁne", "i"), "ﬁ");
    assert_eq!(behind("⑫3", "23"), "⑫3");
}

#[test]
fn a_place_of_the_original_is_found_in_the_view() {
    let text = "é４１\u{200B}x&amp;y";
    let view = NormalisedText::of(text).unwrap();
    assert_eq!(view.text(), "e41x&y");
    let places: Vec<usize> = [0, 2, 5, 8, 11, 12, 17, 18]
        .iter()
        .map(|at| view.position(*at))
        .collect();
    assert_eq!(places, [0, 1, 2, 3, 3, 4, 5, 6]);
}

#[test]
fn escapes_that_are_written_in_escapes_are_read_through() {
    for text in [
        "%2534",
        "&amp;#52;",
        "&amp;amp;#52;",
        "\\u0026#52;",
        "%26%2352%3B",
        "&#38;#x34;",
        "%5Cu0034",
        "\\u002534",
        "&#37;34",
        "%25u",
        "&amp;lt",
        "%5C",
        "&amp;#52",
        "R&amp;D",
    ] {
        let seen = view(text);
        let expected = match text {
            "%25u" => "%u",
            "&amp;lt" => "&lt",
            "%5C" => "\\",
            "R&amp;D" => "R&D",
            _ => "4",
        };
        assert_eq!(seen, expected, "{text}");
    }
}

#[test]
fn what_colours_a_text_in_a_terminal_is_not_read() {
    for (text, seen) in [
        ("see \x1b[31m4111\x1b[0m end", "see 4111 end"),
        ("\x1b[01;31m\x1b[Kkey\x1b[m\x1b[K=", "key="),
        ("\x1b[1;38;2;255;128;0mkey", "key"),
        ("\\u001b[1mkey \\x1B[?25lx", "key x"),
        ("%1B[2K%1b[1Gkey", "key"),
        ("\x1b[4111 1111", "[4111 1111"),
        ("\x1b[AKIA \x1b[?AKIA \x1b[1;AKIA", "[AKIA [?AKIA [1;AKIA"),
        ("\x1bkey \x1b]0;a \x1b[é", "key ]0;a [e"),
        ("a\x1b[", "a["),
    ] {
        assert_eq!(view(text), seen, "{text:?}");
    }
    let text = "a 41\x1b[1m11 b";
    assert_eq!(behind(text, "4111"), "41\x1b[1m11");
    assert_eq!(texts_of(text), ["a 4111 b", "a 41 11 b"]);
    assert_eq!(
        NormalisedText::of(&"\x1b[1A\x1b[2K".repeat(99))
            .unwrap()
            .oddities(),
        []
    );
    for (text, stable) in [
        ("a\x1b", 1),
        ("a\x1b[3", 1),
        ("a\\u001b[31;", 1),
        ("a\x1b[31m", 6),
        ("a\x1bx", 3),
    ] {
        assert_eq!(stable_len(text), stable, "{text:?}");
    }
}

#[test]
fn an_escape_behind_one_that_comes_to_nothing_is_read() {
    assert_eq!(view("%E2%34"), "%E24");
    assert_eq!(view("%E2%28"), "%E2(");
    assert_eq!(view("%F0%9F%34"), "%F0%9F4");
    assert_eq!(view("%E2%E2%80%9D"), "%E2\"");
}

#[test]
fn an_escape_of_json_is_no_letter_of_the_word_behind_it() {
    for escape in [
        "\\n", "\\t", "\\r", "\\f", "\\b", "\\\\f", "\\\"", "\\/", "\\u000c",
    ] {
        let seen = view(&format!("{escape}key"));
        assert_eq!(
            seen.trim_start_matches(['\n', '\t', '\r', '\x0C', '"', '/']),
            "key",
            "{escape}"
        );
    }
}

#[test]
fn what_looks_like_an_escape_is_also_read_as_it_is_written() {
    for (text, seen) in [
        ("\\for\u{200B}bidden", "\\forbidden"),
        ("\\\\for\u{200B}bidden", "\\\\forbidden"),
        ("\\f&#111;rbidden", "\\forbidden"),
        ("\\ｆorbidden \\forbidden", "\\forbidden \\forbidden"),
        ("%41&#49;1 1111", "%4111 1111"),
        ("%20%41%31%31 1111", " %4111 1111"),
        ("&#4111 1111", "&#4111 1111"),
        ("\\u4111 %31111", "\\u4111 %31111"),
        ("\\x41%31 a%41", "\\x411 aA"),
        ("\\f\\\\u006frbidden", "\\forbidden"),
        ("a%4111", "a%4111"),
        ("\\n%41%31", "\n%411"),
        ("%1237 010%31", "%1237 0101"),
    ] {
        assert!(
            texts_of(text).iter().any(|read| read == seen),
            "{text}: {:?}",
            texts_of(text)
        );
    }
    // No value begins in these.
    for text in [
        "a\\n\\n b",
        "\"\\n\"",
        "&amp;b &#52;b",
        "\\\"b",
        "\x1b[31mb",
        "a%20\\n b",
    ] {
        assert_eq!(texts_of(text).len(), 1, "{text:?}: {:?}", texts_of(text));
    }
}

#[test]
fn escapes_that_are_none_stay() {
    for text in [
        "%zz &nosuch; \\d \\u12 \\u{110000} &; %",
        "&#xZ; &#; 100%",
        "\\ud800x \\udc00",
        "%C0%80 %E2%",
    ] {
        assert_eq!(view(text), text);
    }
}

#[test]
fn an_escape_that_has_only_begun_is_not_stable() {
    for (text, stable) in [
        ("ab &am", 3),
        ("ab &amp;", 3),
        ("ab &amp; ", 9),
        ("ab %", 3),
        ("ab %4", 3),
        ("ab %41", 6),
        ("ab %25", 3),
        ("ab %E2%80", 3),
        ("ab \\", 3),
        ("ab \\\\u00", 3),
        ("ab \\u00e9", 9),
        ("ab \\ud83d", 3),
        ("ab \\ud83d\\ude", 3),
        ("ab \\u{1F", 3),
        ("ab &#5", 3),
        ("a&b ", 4),
        ("", 0),
        ("ab\\d", 4),
    ] {
        assert_eq!(stable_len(text), stable, "{text}");
    }
}

#[test]
fn names_are_compared_without_case_width_and_look_alikes() {
    for (name, folded) in [
        ("delete_customer", "delete_customer"),
        ("Delete_Customer", "delete_customer"),
        ("ｄelete", "delete"),
        ("dеlеtе", "delete"),
        ("del\u{200B}ete", "delete"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("ıİiI", "iiii"),
        ("K", "k"),
        ("ſ", "s"),
        ("de\u{301}le", "dele"),
        ("日本", "日本"),
        ("Щ", "щ"),
    ] {
        assert_eq!(fold_name(name), folded, "{name}");
    }
    assert!(matches!(fold_name("plain name"), Cow::Borrowed(_)));
}

#[test]
fn a_name_in_capitals_is_the_name_in_small_letters() {
    for (small, capitals) in [
        ("карта", "КАРТА"),
        ("кіll_all", "КІLL_ALL"),
        ("τακτικη", "ΤΑΚΤΙΚΗ"),
        ("щит", "ЩИТ"),
        ("straße", "STRASSE"),
        ("ԁelete", "ԀELETE"),
    ] {
        assert_eq!(fold_name(small), fold_name(capitals), "{capitals}");
    }
    assert_eq!(fold_name("кіll_all"), "kill_all");
}

#[test]
fn every_character_of_the_block_has_a_reading_that_is_ascii_or_itself() {
    for code in 0..0x11_0000u32 {
        let Some(c) = char::from_u32(code) else {
            continue;
        };
        match read(c) {
            CharReading::Ascii(ascii) | CharReading::Tag(ascii) | CharReading::Flag(ascii) => {
                assert!(ascii.is_ascii() && !c.is_ascii())
            }
            CharReading::Several(text) => assert!(text.is_ascii() && text.len() > 1),
            CharReading::Same | CharReading::Hidden | CharReading::Mark => {}
        }
    }
}

const PARTS: &[&str] = &[
    "a",
    "1",
    " ",
    "é",
    "е",
    "４",
    "\u{200B}",
    "\u{301}",
    "😀",
    "日",
    "ﬁ",
    "&",
    "#",
    "5",
    ";",
    "%",
    "2",
    "\\",
    "u",
    "0",
    "&amp;",
    "%E2",
    "%80",
    "%8B",
    "\\u0034",
    "\\n",
    "\u{E0041}",
    "🇩",
    "\u{0}",
    "⑫",
    "\u{1B}",
    "[",
    "m",
    "\\x1b",
];

proptest! {
    #[test]
    fn the_map_covers_the_view_in_order(parts in prop::collection::vec(prop::sample::select(PARTS), 0..24)) {
        let text = parts.concat();
        for view in readings_of(&text) {
            let mut last = 0..0;
            for (at, c) in view.text().char_indices() {
                let original = view.original(at..at + c.len_utf8());
                prop_assert!(original.start >= last.start && original.end >= last.end, "{:?} {:?}", view, original);
                prop_assert!(text.get(original.clone()).is_some(), "{:?} {:?}", view, original);
                last = original;
            }
            prop_assert!(last.end <= text.len());
            for at in 0..=text.len() {
                prop_assert!(view.position(at) <= view.text().len());
            }
        }
    }

    #[test]
    fn what_is_stable_is_read_the_same_when_more_follows(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..16),
    ) {
        let text = parts.concat();
        let whole = view(&text);
        for cut in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let stable = &text[..stable_len(&text[..cut])];
            prop_assert!(whole.starts_with(&view(stable)), "{:?} {:?}: {:?}", stable, view(stable), whole);
        }
    }

    #[test]
    fn reading_twice_changes_nothing_but_escapes(text in "[a-zé４\u{200B}\u{301}ﬁе0-9 ]{0,24}") {
        prop_assert_eq!(view(&view(&text)), view(&text));
    }
}

#[test]
fn words_beyond_ascii_are_found_in_any_case() {
    assert_eq!(readings("Éclair"), ["eclair"]);
    let words = readings("жук");
    assert_eq!(words.len(), 3);
    assert_eq!(readings("Plain"), ["plain"]);
}

/// How a text is compared without case.
fn caseless(text: &str) -> String {
    let view = NormalisedText::without_case(text);
    let text = view.map_or_else(|| text.to_owned(), |view| view.text().to_owned());
    text.to_ascii_lowercase()
}

#[test]
fn without_case_a_letter_is_the_same_small_and_capital() {
    let letters = ('\u{80}'..=char::MAX).filter(|c| c.is_lowercase());
    for small in letters {
        let capital = small.to_uppercase().to_string();
        if capital.chars().count() == 1 && capital.to_lowercase() == small.to_string() {
            assert_eq!(caseless(&capital), caseless(&small.to_string()), "{small}");
        }
    }
    for (text, seen) in [
        ("секретный КЛЮЧ", "cekpethый kлюч"),
        ("GRÖSSE größe", "grosse grosse"),
        ("忽略 plain", "忽略 plain"),
    ] {
        assert_eq!(caseless(text), seen);
    }
    let view = NormalisedText::without_case("a ßШ").unwrap();
    assert_eq!(view.text(), "a ssш");
    assert_eq!(view.original(2..4), 2..4);
    assert_eq!(view.original(4..6), 4..6);
}
