"""From the recogniser's text to the text the tokeniser sees; SPEC.md says the same in words.

A recogniser writes one number in many ways (二十八万八, 28.8万, 288000) and none of them matters for what kind
of moment is spoken, only that a figure of about that size stands there. So every number becomes one stand-in.
"""
import re

MAX_CHARS = 160
SMALL = set("零〇一二两三四五六七八九幺")
NUMERAL = SMALL | set("十百千万亿")
MARKS = {",": ",", "、": ",", ";": ",", ":": ",", "，": ",", "。": "。", ".": "。", "…": "。", "?": "?", "!": "!"}
STAND_IN = {"S": "九", "Q": "九百", "W": "九万", "P": "电话号码"}
DIGITS = set("0123456789")


def prepare(text):
    """The text given to the tokeniser; empty when there is nothing to judge."""
    folded = fold_numbers(normalise(text))
    folded = re.sub("([SQWP])%", r"百分之\1", folded)
    return "".join(STAND_IN.get(c, c) for c in folded)


def normalise(text):
    """Half-width, lower case; words of CJK, a-z, digits, %, and four marks (, 。 ? !) that never repeat or lead."""
    chars = []
    for ch in text:
        o = ord(ch)
        if 0xFF01 <= o <= 0xFF5E:
            o -= 0xFEE0
        if 0x41 <= o <= 0x5A:
            o += 32
        chars.append(chr(o))
    out = []
    for i, ch in enumerate(chars):
        if is_word(ch):
            out.append(ch)
        elif ch in ".," and 0 < i < len(chars) - 1 and chars[i - 1] in DIGITS and chars[i + 1] in DIGITS:
            if ch == ".":  # a decimal point; the comma of 1,280,000 goes
                out.append(ch)
        elif ch in MARKS:
            if out and out[-1] not in ",。?! ":
                out.append(MARKS[ch])
        elif ch.isspace() and out and is_latin(out[-1]):
            out.append(" ")
    kept = [c for i, c in enumerate(out) if c != " " or i + 1 < len(out) and is_latin(out[i + 1])]
    return "".join(kept[-MAX_CHARS:])


def is_latin(ch):
    return "a" <= ch <= "z"


def is_word(ch):
    return "\u4e00" <= ch <= "\u9fff" or ch == "〇" or is_latin(ch) or ch in DIGITS or ch == "%"


def fold_numbers(s):
    """Each number of normalised text as one capital letter that tells its size."""
    out, i = [], 0
    while i < len(s):
        j = i
        while j < len(s) and (s[j] in DIGITS or s[j] == "." or s[j] in NUMERAL
                              or (s[j] == "点" and i < j and j + 1 < len(s) and s[j - 1] in SMALL and s[j + 1] in SMALL)):
            j += 1
        run, following = s[i:j], s[j:j + 1]
        # a lone 十百千万亿 is part of a word; a lone 一 is a number only before a unit that makes it one
        word = run in set("十百千万亿") or run == "一" and following not in set("折元月号成")
        if not run:
            out.append(s[i])
            j = i + 1
        else:
            out.append(run if word else size_letter(run))
        i = j
    return "".join(out)


def size_letter(run):
    if "万" in run or "亿" in run:
        return "W"
    if "百" in run or "千" in run:
        return "Q"
    if "十" in run:
        return "S"
    whole = len(re.split("[.点]", run)[0])
    return "P" if whole >= 9 else "W" if whole >= 5 else "Q" if whole >= 3 else "S"
