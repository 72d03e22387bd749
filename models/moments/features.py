"""The classifier's preprocessing, the reference for the Rust side. SPEC.md says the same in words.

    text -> normalise -> fold numbers -> units -> n-grams -> FNV-1a 32 -> ids
"""
import functools
import os

import numpy as np

KINDS = ["quote", "objection", "objection_handling", "signing_intent", "next_step"]
CORE = ["quote", "objection", "signing_intent"]
CATEGORIES = ["price", "budget", "competitor", "authority", "timing", "need", "trust", "technical", "service", "terms"]
LEVELS = ["strong", "conditional"]
ROLES = "cab"  # c = the utterance judged, a = the one before it, b = the one before that
TABLE = 1 << 15
MAX_CHARS = 200

SMALL = set("零〇一二两三四五六七八九幺")
NUMERAL = SMALL | set("十百千万亿")


def load_pinyin(path=None):
    path = path or os.path.join(os.path.dirname(os.path.abspath(__file__)), "pinyin.tsv")
    with open(path, encoding="utf8") as f:
        return dict(line.rstrip("\n").split("\t") for line in f if "\t" in line)


def normalise(text):
    """Full-width ASCII to half-width, ASCII lowercased; keeps CJK U+4E00-9FFF, U+3007, a-z, 0-9, %, and '.'
    between two ASCII digits; drops everything else; then the last MAX_CHARS characters."""
    out = []
    for ch in text:
        o = ord(ch)
        if 0xFF01 <= o <= 0xFF5E:
            o -= 0xFEE0
        if 0x41 <= o <= 0x5A:
            o += 32
        if 0x4E00 <= o <= 0x9FFF or o == 0x3007 or 0x61 <= o <= 0x7A or 0x30 <= o <= 0x39 or o in (0x25, 0x2E):
            out.append(chr(o))
    digit = "0123456789"
    kept = [c for i, c in enumerate(out)
            if c != "." or (0 < i < len(out) - 1 and out[i - 1] in digit and out[i + 1] in digit)]
    return "".join(kept[-MAX_CHARS:])


def fold_numbers(s):
    """Every number becomes one capital letter that tells its size only; see SPEC.md."""
    out, i, n = [], 0, len(s)
    while i < n:
        j = i
        while j < n and (s[j].isascii() and (s[j].isdigit() or s[j] == ".") or s[j] in NUMERAL
                         or (s[j] == "点" and i < j and j + 1 < n and s[j - 1] in SMALL and s[j + 1] in SMALL)):
            j += 1
        run = s[i:j]
        if not run:
            out.append(s[i])
            i += 1
            continue
        nxt = s[j] if j < n else ""
        if len(run) == 1 and not run.isascii():
            # a lone 十百千万亿 is a word part; a lone 一 counts only before a unit that makes it a number
            if run in "十百千万亿" or (run == "一" and not (nxt and nxt in "折元月号成")):
                out.append(run)
                i = j
                continue
        out.append(size_letter(run))
        i = j
    return "".join(out)


def size_letter(run):
    if any(c in "万亿" for c in run):
        return "W"
    plain = run.split(".")[0].split("点")[0]
    if any(c in "百千" for c in run):
        return "Q"
    if "十" in run:
        return "S"
    if len(plain) >= 9:
        return "P"
    if len(plain) >= 5:
        return "W"
    if len(plain) >= 3:
        return "Q"
    return "S"


def units(f, pinyin):
    """Sound units of folded text: a syllable per known character, a run of a-z as one unit, others as they are."""
    out, i = [], 0
    while i < len(f):
        if "a" <= f[i] <= "z":
            j = i
            while j < len(f) and "a" <= f[j] <= "z":
                j += 1
            out.append(f[i:j])
            i = j
        else:
            s = pinyin.get(f[i])
            out.append(coarse(s) if s else f[i])
            i += 1
    return out


def coarse(s):
    """Merges what accents and recognisers merge: zh/z ch/c sh/s, and final ng/n."""
    if s[:2] in ("zh", "ch", "sh"):
        s = s[0] + s[2:]
    if s.endswith("ng"):
        s = s[:-1]
    return s


@functools.lru_cache(maxsize=1 << 20)
def fnv1a(s):
    h = 0x811C9DC5
    for b in s.encode():
        h = ((h ^ b) * 0x01000193) & 0xFFFFFFFF
    return h


def grams(text, pinyin):
    f = fold_numbers(normalise(text))
    if not f:
        return []
    chars = ["^", *f, "$"]
    sounds = ["^", *units(f, pinyin), "$"]
    out = []
    for n in (1, 2, 3):
        out += ["c:" + "".join(chars[i:i + n]) for i in range(len(chars) - n + 1)]
    for n in (1, 2):
        out += ["p:" + " ".join(sounds[i:i + n]) for i in range(len(sounds) - n + 1)]
    return out


@functools.lru_cache(maxsize=1 << 18)
def _ids(text, role, pinyin):
    return np.array([1 + fnv1a(role + g) % (TABLE - 1) for g in grams(text, pinyin)], np.int32)


class Pinyin(dict):
    __hash__ = object.__hash__


def ids_of(text, role, pinyin):
    """ids of one text in one role (ROLES); 0 is padding and never an id."""
    return _ids(text, role, pinyin)
