"""Dialogues as sequences of token ids with utterance numbers."""
import functools
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer

from dialogues import CATEGORIES, KINDS, LEVELS
from text import prepare
from vocabulary import BOS, EOS, PAD

MAX_TOKENS = 96        # of one utterance; the last ones count
CONTEXT_TOKENS = 32    # of an utterance that is only context
PREVIOUS = 3           # utterances of context


class Pieces:
    """Text to token ids, remembering what was asked before."""

    def __init__(self, path):
        self._tokenizer = Tokenizer.from_file(path)
        self.ids = functools.lru_cache(maxsize=1 << 18)(self._ids)

    def _ids(self, text):
        return tuple(self._tokenizer.encode(prepare(text), add_special_tokens=False).ids)


def target(turn):
    """KINDS as 0/1, their weights, category, level and whether a customer speaks (-1: not known)."""
    on = [float(k in turn.labels) for k in KINDS]
    category, level = turn.labels.get("objection"), turn.labels.get("signing_intent")
    return (on, [turn.weight if x else 1.0 for x in on], CATEGORIES.index(category) if category else -1,
            LEVELS.index(level) if level else -1, -1 if not turn.speaker else int(turn.speaker != "rep"))


UNKNOWN, REP, CUSTOMER = 0, 1, 2  # who speaks a token


def who(speaker):
    """The number of a speaker as dialogues name him."""
    return UNKNOWN if not speaker else REP if speaker == "rep" else CUSTOMER


def sequence(texts, numbers, speakers, pieces, limits):
    """ids, segments and speakers of one window."""
    ids, segments, spoken = [BOS], [numbers[0]], [UNKNOWN]
    for text, number, speaker, limit in zip(texts, numbers, speakers, limits):
        own = pieces.ids(text)[-limit:]
        ids += [*own, EOS]
        segments += [number] * (len(own) + 1)
        spoken += [speaker] * (len(own) + 1)
    return ids, segments, spoken


def stretch(turns, pieces, ahead, speakers=None):
    """A run of turns, each to be judged. ahead: each also sees the one after it. speakers: who is said to speak, if that is known."""
    numbers = [1 + i * (1 if ahead else 2) for i in range(len(turns))]
    spoken = speakers or [UNKNOWN] * len(turns)
    return *sequence([t.text for t in turns], numbers, spoken, pieces, [MAX_TOKENS] * len(turns)), numbers


CURRENT = 7


class Said(NamedTuple):
    """An utterance as the service has it."""
    text: str
    speaker: int = UNKNOWN


def window(previous, judged, pieces, following=None):
    """What the service gives, each a Said: up to PREVIOUS ones, oldest first, the one to judge, maybe the one after it."""
    previous = [p for p in previous if prepare(p.text)][-PREVIOUS:]
    step = 2 if following is None else 1
    said, numbers = [*previous, judged], [CURRENT - step * i for i in range(len(previous), -1, -1)]
    limits = [CONTEXT_TOKENS] * len(previous) + [MAX_TOKENS]
    if following is not None:
        said, numbers, limits = [*said, following], [*numbers, CURRENT + 1], [*limits, CONTEXT_TOKENS]
    return sequence([s.text for s in said], numbers, [s.speaker for s in said], pieces, limits)


def collate(rows):
    """[(ids, segments, speakers, judged, targets)] -> tensors, padded; targets as a list of flat arrays."""
    n, u = max(len(r[0]) for r in rows), max(len(r[3]) for r in rows)
    ids = np.full((len(rows), n), PAD)
    segments, speakers, judged = (np.zeros((len(rows), w), np.int64) for w in (n, n, u))
    for i, (a, s, w, j, _) in enumerate(rows):
        ids[i, :len(a)], segments[i, :len(a)], speakers[i, :len(a)], judged[i, :len(j)] = a, s, w, j
    flat = [t for r in rows for t in r[4]]
    columns = [torch.tensor(np.array(c)) for c in zip(*flat)]
    return *(torch.tensor(x) for x in (ids, segments, speakers, judged)), columns
