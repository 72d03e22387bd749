"""Recogniser noise for training text. Nothing here is seen at run time.

Two kinds. Blind noise puts any character of a like sound in place of another. Room noise is drawn as Whisper base was seen to err, on
invented dialogues that were spoken by a synthesiser in four rooms and recognised: some characters become others of the same syllable in every room,
the more of another syllable the worse the room; and a recogniser writes what it misheard as words that go together, so what comes next is
drawn by how often it follows in the training text.
"""
import collections
import re
from typing import NamedTuple

from dialogues import Turn
from syllables import coarse, common_characters, syllable

FILLERS = ["嗯", "呃", "那个", "就是", "就是说", "啊", "哎", "这个", "对吧", "然后"]
DIGIT = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "幺": 1}
UNIT = {"十": 10, "百": 100, "千": 1000}
NUM = re.compile("[零〇一二两三四五六七八九幺十百千万亿]+(?:点[零一二三四五六七八九]+)?")


def value(s):
    """Value of a spoken number such as 二十八万八 (288000), or None."""
    if not any(c in "十百千万亿" for c in s):
        return None
    total = sec = cur = 0
    last = 1
    for c in s:
        if c in DIGIT:
            if cur:
                return None
            cur = DIGIT[c]
            if c in "零〇":
                last = 10
        elif c in UNIT:
            sec += (cur or (1 if c == "十" else 0)) * UNIT[c]
            last, cur = UNIT[c], 0
        else:
            big = 10000 if c == "万" else 100000000
            total = (total + sec + cur) * big
            last, sec, cur = big, 0, 0
    if cur:
        sec += cur * (last // 10 if last >= 100 and s[-2:-1] not in "零〇" else 1)
    return total + sec


def digits(m, rng):
    """One spoken number written the way a recogniser may write it."""
    s = m.group()
    if rng.random() < 0.35 or s in ("一", "万", "千", "百", "十", "亿", "万一", "千万", "两", "百千"):
        return s
    if "点" in s:
        a, b = s.split("点", 1)
        tail = ""
        while b and b[-1] in "万亿":
            tail, b = b[-1] + tail, b[:-1]
        a = str(value(a)) if value(a) is not None else "".join(str(DIGIT[c]) for c in a if c in DIGIT)
        return a + "." + "".join(str(DIGIT[c]) for c in b if c in DIGIT) + tail
    v = value(s)
    if v is None:
        return "".join(str(DIGIT[c]) for c in s) if all(c in DIGIT for c in s) else s
    if v >= 10000 and "万" in s:
        style = rng.random()
        a, _, b = s.partition("万")
        if style < 0.4:
            x = v / 10000
            return f"{x:.4f}".rstrip("0").rstrip(".") + "万"
        if style < 0.75 and value(a + "万"):
            b_v = "" if not b else (str(value(b)) if value(b) is not None else "".join(str(DIGIT[c]) for c in b if c in DIGIT))
            return f"{value(a + '万') // 10000}万{b_v}"
        if style < 0.85:
            return f"{v / 10000:.4f}".rstrip("0").rstrip(".")
        return str(v)
    return str(v)


class Room(NamedTuple):
    """Shares of characters that become others: of the same syllable (what mending homophones leaves of it), of another one; lowest and highest."""
    often: float
    same: tuple
    other: tuple


ROOMS = [Room(0.4, (0.03, 0.08), (0.01, 0.04)), Room(0.3, (0.03, 0.09), (0.04, 0.10)), Room(0.2, (0.04, 0.10), (0.08, 0.16)), Room(0.1, (0.04, 0.10), (0.2, 0.34))]
BLIND = 0.5             # share of noisy dialogues that get blind noise
LOST = 0.15             # of the characters misheard, so many are not written at all


def parts(syllable):
    """Initial and final of a syllable."""
    k = next((k for k, c in enumerate(syllable) if c in "aeiouv"), 0)
    return syllable[:k], syllable[k:]


class Noise:
    """Simulated recogniser noise: characters of like sounds, lost and doubled characters, digits, fillers, segment borders."""

    def __init__(self, dialogues=()):
        """dialogues: what tells which words go together."""
        self.follows, self.first, self.last = collections.Counter(), {}, {}
        for d in dialogues:
            for t in d.turns:
                self.follows.update(zip(t.text, t.text[1:]))
                self.follows.update((None, c) for c in t.text)
        self.same, self.near = {}, {}
        for c in common_characters(levels=1):
            s = syllable(c)
            if s:
                self.same.setdefault(s, []).append(c)
                self.near.setdefault(coarse(s), []).append(c)
                for pools, part in zip((self.first, self.last), parts(s)):
                    pools.setdefault(part, []).append(c)
        self.known = [c for pool in self.same.values() for c in pool if self.follows[None, c]]

    def drawn(self, pool, before, rng):
        """One of these characters, by how well it goes with the one before it."""
        weights = [20 * self.follows[before, c] + 0.05 * self.follows[None, c] + 0.01 for c in pool]
        return rng.choices(pool, weights)[0]

    def misheard(self, t, rng, same, other):
        """Text as a recogniser in that room may write it."""
        out = []
        for ch in t:
            s, r = syllable(ch), rng.random()
            before = out[-1] if out else None
            if not s or r > same + other:
                out.append(ch)
            elif r > other:
                out.append(self.drawn(self.same.get(s, [ch]), before, rng))
            elif rng.random() > LOST:
                first, last = parts(s)
                pool = rng.choice([self.first.get(first), self.last.get(last), None]) or rng.sample(self.known, 60) if self.known else [ch]
                out.append(self.drawn(pool, before, rng))
        return "".join(out)

    def text(self, t, rng, rate, room=None):
        """rate: of blind noise. room: shares of the same and of another syllable, as room noise has them."""
        if rng.random() < 0.7:
            t = re.sub("百分之([零一二两三四五六七八九十百]+)",
                       lambda m: (str(value(m[1])) if value(m[1]) is not None else "".join(str(DIGIT[c]) for c in m[1] if c in DIGIT)) + "%"
                       if rng.random() < 0.7 else m[0], t)
            t = NUM.sub(lambda m: digits(m, rng), t)
        if room:
            t = self.misheard(t, rng, *room)
        out = []
        for ch in t:
            r = rng.random()
            s = syllable(ch)
            if s and r < rate:
                pool = self.same.get(s, []) if rng.random() < 0.75 else self.near.get(coarse(s), [])
                out.append(rng.choice(pool) if pool else ch)
            elif r > 1 - rate * 0.12:
                continue
            elif r > 1 - rate * 0.2:
                out.append(ch + ch)
            else:
                out.append(ch)
        t = "".join(out)
        if rng.random() < 0.3:
            for f in FILLERS[:5]:
                if rng.random() < 0.5:
                    t = t.replace(f + "，", "").replace(f + "……", "")
        if rng.random() < 0.1:
            t = rng.choice(FILLERS) + t
        if rate and rng.random() < 0.15 and len(t) > 8:
            k = rng.randint(1, 2)
            t = t[k:] if rng.random() < 0.5 else t[:-k]
        return t

    @staticmethod
    def drawn_rates(rates, rng):
        """Rate and room of a visit: one or the other is nothing."""
        if rng.random() < BLIND:
            return rng.choice(rates), None
        room = rng.choices(ROOMS, [r.often for r in ROOMS])[0]
        return 0.0, (rng.uniform(*room.same), rng.uniform(*room.other))

    def visit(self, turns, rng, merge=0.12, cut=0.12, drop=0.03):
        """Turns as the segments a recogniser might make of them. A half of a cut turn may or may not hold the moment, so its labels weigh little."""
        rate, room = self.drawn_rates([0.0, 0.02, 0.05, 0.1, 0.18], rng)
        out, i = [], 0
        while i < len(turns):
            turn = turns[i]
            r = rng.random()
            if r < merge and i + 1 < len(turns):
                following = turns[i + 1]
                out.append(Turn(self.text(turn.text, rng, rate, room) + self.text(following.text, rng, rate, room), {**turn.labels, **following.labels},
                                turn.speaker if turn.speaker == following.speaker else "", 1.0))
                i += 2
                continue
            if r < merge + cut and len(turn.text) > 14:
                marks = [m.end() for m in re.finditer("[，。？！；,]", turn.text[:-4]) if m.end() > 4]
                k = rng.choice(marks) if marks else rng.randint(5, len(turn.text) - 5)
                for part in (turn.text[:k], turn.text[k:]):
                    out.append(Turn(self.text(part, rng, rate, room), turn.labels, turn.speaker, 0.3 if turn.labels else 1.0))
            elif r >= merge + cut + drop:
                out.append(Turn(self.text(turn.text, rng, rate, room), turn.labels, turn.speaker, 1.0))
            i += 1
        return out

    def light(self, turns, rng):
        """For judging: the same utterances, one to one, with noisy text."""
        rate, room = self.drawn_rates([0.02, 0.05, 0.1, 0.18], rng)
        return [t._replace(text=self.text(t.text, rng, rate, room) or t.text) for t in turns]

    @staticmethod
    def without_marks(turns, rng):
        """Punctuation as poor recognisers leave it: none at all."""
        return [t._replace(text=re.sub("[，。？！；、…,.?!]", "", t.text)) for t in turns]
