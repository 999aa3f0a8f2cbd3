#!/usr/bin/env python3
"""Writes fold.rs (what a reader sees in a character, as ASCII) and entities.rs (HTML names of ASCII characters).

usage: pip install confusable_homoglyphs==3.3.1 && ./generate.py

Sources: unicodedata and html.entities of the Python that runs it (made with 3.11: Unicode 14.0; WHATWG entities),
and confusables.txt of the Unicode Consortium in the form of the PyPI package confusable_homoglyphs 3.3.1.
Unicode data files: Unicode License V3, https://www.unicode.org/license.txt"""
import html.entities
import json
import os
import re
import unicodedata as ud

import confusable_homoglyphs

HERE = os.path.dirname(os.path.abspath(__file__))
KEEP, REMOVE, MARK, FIRST_LONG = 0, 128, 129, 130
PAGE = 64
END = 0x20000

# Default_Ignorable_Code_Point of DerivedCoreProperties.txt, below END. Tag characters are decoded by the code.
IGNORABLE = [(0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
             (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F),
             (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)]
# Not shown either: C1 controls but NEL, interlinear annotation, joiners of hieroglyphs, fillers, a musical note without a head.
UNSHOWN = [(0x80, 0x84), (0x86, 0x9F), (0xFFF9, 0xFFFB), (0x13430, 0x13440), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159)]
# Marks that are put over letters of any script; vowel signs of Hebrew, Arabic or Thai are spelling and stay.
MARKS = [(0x300, 0x36F), (0x483, 0x489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F)]
SPACES = {0x85: "\n", 0x2028: "\n", 0x2029: "\n"}
# Blank, or a picture of a blank.
BLANKS = [0x2800, 0x2420, 0x2422, 0x2423, 0x13441, 0x13442]
# Letters by their names: enclosed in whatever shape, small capitals, with a stroke, hook or tail, turned or reversed.
NAMED = re.compile(
    "(?:(?:CROSSED )?NEGATIVE )?(?:CIRCLED|SQUARED|PARENTHESIZED) LATIN (?P<e>CAPITAL|SMALL) LETTER (?P<f>[A-Z])"
    "|LATIN LETTER SMALL CAPITAL (?:(?:TURNED|REVERSED|INVERTED|BARRED) )?(?P<c>[A-Z])(?: WITH .*)?"
    "|LATIN (?P<k>CAPITAL|SMALL) LETTER (?:(?:SMALL|TURNED|REVERSED|SIDEWAYS|DOTLESS|BARRED|AFRICAN|SCRIPT|SMALL CAPITAL) )?"
    "(?P<l>[A-Z])(?: WITH .*| BAR)?")
PUNCTUATION = {
    "-": "‐‑‒–—―⁃−﹘﹣－·‧∙⋅・･➖˗",      # a middle dot between digits is a separator, not a decimal point
    "'": "‘’‚‛′ʹʼ＇`´",
    '"': "“”„‟″«»＂〝〞",
    ".": "․．﹒",
    ":": "：﹕︓ː∶꞉ˑ",
    "/": "⁄∕／⧸",
    "@": "＠﹫",
    "=": "＝﹦",
    "_": "＿﹍﹎﹏‿",
    "<": "＜﹤", ">": "＞﹥", "|": "｜￨∣ǀ", "*": "＊﹡∗⁎", "+": "＋﹢", "#": "＃﹟", "!": "！﹗ǃ", "(": "（﹙", ")": "）﹚",
    "[": "［", "]": "］", "{": "｛", "}": "｝", ",": "，﹐", ";": "；﹔;", "?": "？﹖", "&": "＆﹠", "%": "％﹪", "$": "＄﹩",
    "~": "～∼˜", "^": "＾", "\\": "＼﹨∖",
}
# Accents that stand alone: what they look like is told above, or nothing.
SIGNS = [0xB4, 0x60, 0xA8, 0xAF, 0xB8, 0x2C6, 0x2DC]
# Scripts whose letters pass for Latin ones. Right-to-left and Indic scripts have look-alikes too, but there a
# replacement would take words apart that stand before a value ("رقم").
SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET", "OSAGE", "OLD ITALIC",
           "GOTHIC", "CARIAN", "LYCIAN", "ELBASAN", "WARANG CITI", "MIAO", "TIFINAGH", "RUNIC", "MODIFIER", "SCRIPT",
           "ROMAN", "MATHEMATICAL", "DOUBLE-STRUCK", "BLACK-LETTER", "TURNED", "GEORGIAN LETTER LABIAL")


def inside(cp, ranges):
    return any(a <= cp <= b for a, b in ranges)


def confusables():
    path = os.path.join(os.path.dirname(confusable_homoglyphs.__file__), "confusables.json")
    best = {}
    for target, entries in json.load(open(path, encoding="utf-8")).items():
        for entry in entries:
            source = entry["c"]
            if len(source) == 1 and ord(source) > 127 and len(target) == 1 and ord(target) < 128:
                best.setdefault(source, target)
    return best


def plain(text):
    return text.isascii() and text.isalnum()


def unit(c):
    """Whether c is a square of several letters, such as ㎏: nothing is spelled with them."""
    return 0x3250 <= ord(c) <= 0x33FF or 0x1F100 <= ord(c)


def seen(c, look_alike):
    """What c looks like: REMOVE, MARK, an ASCII string, or None to keep it."""
    cp = ord(c)
    if inside(cp, IGNORABLE) or inside(cp, UNSHOWN):
        return REMOVE
    if inside(cp, MARKS):
        return MARK
    if cp in SPACES:
        return SPACES[cp]
    if ud.category(c) == "Zs" or cp in BLANKS:
        return " "
    for target, sources in PUNCTUATION.items():
        if c in sources:
            return target
    if c in "℠℡™℻₨№":
        return None              # "Visa™ 4111" is no "VisaTM"
    if ud.category(c) in ("Nd", "No"):
        digit = ud.digit(c, None)
        if digit is not None:
            return str(digit)
        number = ud.numeric(c)
        if re.search("CIRCLED|SANS-SERIF NUMBER", ud.name(c)) and number == int(number) and 10 <= number <= 50:
            return str(int(number))
    base = "".join(m for m in ud.normalize("NFKD", c) if not inside(ord(m), MARKS))
    if base != c and len(base) > 1 and (0x2474 <= cp <= 0x24B5 or 0x1F100 <= cp <= 0x1F129):
        base = base.strip("().,")
    if plain(base) and (len(base) == 1 or base.isdigit() and len(base) == 2 or not unit(c) and len(base) <= 4):
        return base
    if len(base) == 1 and base != c and ord(base) > 127:
        return seen(base, look_alike)
    if len(base) == 1 and base != c and base.isascii() and base != " " and ud.category(c)[0] == "P":
        return base
    if c in "æÆœŒ":
        return {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"}[c]
    target = look_alike.get(c)
    if target and len(target) == 1 and not target.isalnum() and ud.category(c)[0] in "PS" and cp not in SIGNS:
        return target
    if target and plain(target) and ud.category(c)[0] in "LNS" and ud.name(c, "").startswith(SCRIPTS):
        if target.isdigit():
            return None          # a Cyrillic З is a letter of a word far more often than a 3
        if ud.category(c) == "Lu" and target == "l":
            return "I"
        return target.lower() if ud.category(c) == "Ll" and target not in "l" else target
    named = NAMED.fullmatch(ud.name(c, ""))
    if named:
        letter = named["f"] or named["c"] or named["l"]
        return letter if "CAPITAL" in (named["e"], named["k"]) else letter.lower()
    return None


def main():
    look_alike = confusables()
    look_alike.update({"ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ł": "l", "Ł": "L", "ħ": "h", "Ħ": "H", "ı": "i"})
    long, pages, index = [], [bytes(PAGE)], []
    for start in range(0, END, PAGE):
        page = bytearray(PAGE)
        for k in range(PAGE):
            cp = start + k
            if cp < 128 or 0xD800 <= cp <= 0xDFFF:
                continue
            to = seen(chr(cp), look_alike)
            if to is None:
                continue
            if isinstance(to, int):
                page[k] = to
            elif len(to) == 1:
                page[k] = ord(to)
            else:
                if to not in long:
                    long.append(to)
                page[k] = FIRST_LONG + long.index(to)
        page = bytes(page)
        if page not in pages:
            pages.append(page)
        index.append(pages.index(page))
    assert len(pages) <= 256 and FIRST_LONG + len(long) <= 256, (len(pages), len(long))
    out = ['//! Made by generate.py; the sources and their licence stand there.',
           '#![cfg_attr(rustfmt, rustfmt_skip)]', '',
           f"pub(in crate::detect) const PAGE: usize = {PAGE};",
           f"pub(in crate::detect) const REMOVE: u8 = {REMOVE};",
           f"pub(in crate::detect) const MARK: u8 = {MARK};",
           f"pub(in crate::detect) const FIRST_LONG: u8 = {FIRST_LONG};", '',
           f"pub(in crate::detect) static INDEX: [u8; {len(index)}] = ["]
    out += ["    " + "".join(f"{b}," for b in index[i:i + 40]) for i in range(0, len(index), 40)] + ["];", ""]
    flat = b"".join(pages)
    out.append(f"pub(in crate::detect) static PAGES: [u8; {len(flat)}] = [")
    out += ["    " + "".join(f"{b}," for b in flat[i:i + 40]) for i in range(0, len(flat), 40)] + ["];", ""]
    out.append(f"pub(in crate::detect) static LONG: [&str; {len(long)}] = [")
    out += ["    " + " ".join(f'"{s}",' for s in long[i:i + 16]) for i in range(0, len(long), 16)] + ["];", ""]
    open(os.path.join(HERE, "fold.rs"), "w", encoding="utf-8").write("\n".join(out))

    names = {}
    for name, value in html.entities.html5.items():
        if name.endswith(";") and len(value) == 1:
            c = value
            if ord(c) >= 128:
                folded = seen(c, look_alike)
                # Names of letters with accents are for people's names, which nothing here looks for.
                if not (folded == REMOVE or isinstance(folded, str) and len(folded) == 1 and not folded.isalnum()):
                    continue
            names[name[:-1]] = c
    ordered = sorted(names.items())
    out = ['//! Made by generate.py; the source stands there.', '#![cfg_attr(rustfmt, rustfmt_skip)]', '',
           "/// Names of characters that are ASCII, look like ASCII punctuation or a space, or are ignorable; sorted.",
           f"pub(in crate::detect) static ENTITIES: [(&str, char); {len(ordered)}] = ["]
    out += ["    " + " ".join(f"(\"{n}\", '\\u{{{ord(c):X}}}')," for n, c in ordered[i:i + 4])
            for i in range(0, len(ordered), 4)] + ["];", ""]
    open(os.path.join(HERE, "entities.rs"), "w", encoding="utf-8").write("\n".join(out))
    print(f"{len(pages)} pages, {len(flat)} bytes, {len(long)} long, {len(ordered)} entities")
    print(long)
    print(ordered)


main()
