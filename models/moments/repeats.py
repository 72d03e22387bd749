#!/usr/bin/env python3
"""How much of the training text says itself again, or says what judges it.

    python3 models/moments/repeats.py [DIR ...]     (standard library and the reader beside it; seconds)

Prints, for runs of 8 and of 12 characters (marks left out), which share of those of a dialogue stands in any other dialogue, and which share of
those of each labelled visit in DIR (default: tests/data/validation) stands anywhere in the training text; then the pairs of utterances of at least
8 characters that are nearly the same: half or more of their runs of three characters shared. Those with other labels are marked: a word of context may be why, or a mistake.
"""
import collections
import os
import re
import sys

from dialogues import load_dialogues, load_visits

HERE = os.path.dirname(os.path.abspath(__file__))
RUNS = (8, 12)
SHORTEST, ALIKE = 8, 0.5


def characters(text):
    return re.sub(r"\W", "", text)


def runs(dialogue, n):
    """Runs of n characters inside its utterances."""
    texts = (characters(t.text) for t in dialogue.turns)
    return {text[i:i + n] for text in texts for i in range(len(text) - n + 1)}


def alike(dialogues):
    """[(share of runs of three that both have, place and turn, place and turn)], most alike first."""
    turns = [(f"{d.id}:{i + 1}", t) for d in dialogues for i, t in enumerate(d.turns) if len(characters(t.text)) >= SHORTEST]
    grams = [{c[i:i + 3] for i in range(len(c) - 2)} for c in (characters(t.text) for _, t in turns)]
    holders = collections.defaultdict(list)
    for n, own in enumerate(grams):
        for g in own:
            holders[g].append(n)
    pairs = []
    for n, own in enumerate(grams):
        shared = collections.Counter(m for g in own for m in holders[g] if m > n)
        for m, count in shared.items():
            if count >= ALIKE * (len(own) + len(grams[m]) - count):
                pairs.append((count / (len(own) + len(grams[m]) - count), turns[n], turns[m]))
    return sorted(pairs, key=lambda p: (-p[0], p[1][0], p[2][0]))


def main():
    dialogues = load_dialogues(os.path.join(HERE, "data", "dialogues"))
    judges = sys.argv[1:] or [os.path.join(HERE, os.pardir, os.pardir, "tests", "data", "validation")]
    for n in RUNS:
        own = [runs(d, n) for d in dialogues]
        everywhere = collections.Counter(r for s in own for r in s)
        shares = [sum(everywhere[r] > 1 for r in s) / len(s) for s in own if s]
        print(f"runs of {n}: of a dialogue {sum(shares) / len(shares):.2%} stand in another one, at most {max(shares):.2%}")
        for folder in judges:
            found = [(sum(everywhere[r] > 0 for r in s) / len(s), v.id) for v in load_visits(folder) if (s := runs(v, n))]
            if found:
                print(f"  of a visit in {os.path.basename(os.path.abspath(folder))} {sum(f for f, _ in found) / len(found):.2%}, at most {max(found)[0]:.2%} ({max(found)[1]})")
    pairs = alike(dialogues)
    print(f"utterances that are nearly the same: {len(pairs)} pairs")
    for share, (here, a), (there, b) in pairs:
        other = set(a.labels) != set(b.labels)
        print(f"  {share:.2f} {here} {there}{' labelled otherwise' if other else ''}: {a.text} | {b.text}")


if __name__ == "__main__":
    main()
