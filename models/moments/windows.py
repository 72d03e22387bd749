"""Dialogues as sequences of token ids with utterance numbers."""
import functools

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


def sequence(texts, numbers, pieces, limits):
    """ids and segments of one window."""
    ids, segments = [BOS], [numbers[0]]
    for text, number, limit in zip(texts, numbers, limits):
        own = pieces.ids(text)[-limit:]
        ids += [*own, EOS]
        segments += [number] * (len(own) + 1)
    return ids, segments


def stretch(turns, pieces, ahead):
    """A run of turns, each to be judged. ahead: each also sees the one after it."""
    numbers = [1 + i * (1 if ahead else 2) for i in range(len(turns))]
    ids, segments = sequence([t.text for t in turns], numbers, pieces, [MAX_TOKENS] * len(turns))
    return ids, segments, numbers


CURRENT = 7


def window(previous, text, pieces, following=None):
    """What the service gives: up to PREVIOUS texts, oldest first, the text to judge, maybe the one after it."""
    previous = [p for p in previous if prepare(p)][-PREVIOUS:]
    step = 2 if following is None else 1
    texts, numbers = [*previous, text], [CURRENT - step * i for i in range(len(previous), -1, -1)]
    limits = [CONTEXT_TOKENS] * len(previous) + [MAX_TOKENS]
    if following is not None:
        texts, numbers, limits = [*texts, following], [*numbers, CURRENT + 1], [*limits, CONTEXT_TOKENS]
    return sequence(texts, numbers, pieces, limits)


def collate(rows):
    """[(ids, segments, judged, targets)] -> tensors, padded; targets as a list of flat arrays."""
    n, u = max(len(r[0]) for r in rows), max(len(r[2]) for r in rows)
    ids = np.full((len(rows), n), PAD)
    segments, judged = np.zeros((len(rows), n), np.int64), np.zeros((len(rows), u), np.int64)
    for i, (a, s, j, _) in enumerate(rows):
        ids[i, :len(a)], segments[i, :len(a)], judged[i, :len(j)] = a, s, j
    flat = [t for r in rows for t in r[3]]
    columns = [torch.tensor(np.array(c)) for c in zip(*flat)]
    return torch.tensor(ids), torch.tensor(segments), torch.tensor(judged), columns
