"""The n-grams of letters and sounds that the network's smaller half counts, the reference for the Rust side.

    text -> normalise -> fold numbers -> units -> n-grams -> FNV-1a 32 -> ids

Older than `text.py`, and with rules of its own: no punctuation, and a number is one letter.
"""
import functools
import os

import numpy as np

from syllables import coarse
from text import fold_numbers

ROLES = "cab"  # c = the utterance judged, a = the one before it, b = the one before that
TABLE = 1 << 15
MAX_CHARS = 200


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
