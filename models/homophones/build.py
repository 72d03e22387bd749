#!/usr/bin/env python3
"""Count what characters follow each other in sales visits: counts.tsv, for src/stage/recognize/homophones.rs.

    python3 models/homophones/build.py      (standard library only; a few seconds; the same file every time)

The text is that of the moment classifier (models/moments/data/dialogues, see its DATA_CARD.md). Numbers count as 0, words of
Latin letters as a, marks not at all; ^ begins an utterance and $ ends it.
"""
import collections
import glob
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
DIALOGUES = os.path.join(HERE, os.pardir, "moments", "data", "dialogues", "*.tsv")
RUN = 3


def characters(text):
    text = re.sub("[A-Za-z]+", "a", re.sub("[0-9.]+", "0", text))
    return [c for c in text if "\u4e00" <= c <= "\u9fff" or c in "0a"]


def main():
    counts = collections.Counter()
    for path in sorted(glob.glob(DIALOGUES)):
        for line in open(path, encoding="utf8"):
            if line.startswith("#") or not line.strip():
                continue
            said = ["^"] * (RUN - 1) + characters(line.rstrip("\n").split("\t")[2]) + ["$"]
            for end in range(RUN, len(said) + 1):
                for n in range(1, RUN + 1):
                    counts["".join(said[end - n:end])] += 1
    with open(os.path.join(HERE, "counts.tsv"), "w", encoding="utf8") as out:
        for gram, count in sorted(counts.items()):
            out.write(f"{gram}\t{count}\n")


if __name__ == "__main__":
    main()
