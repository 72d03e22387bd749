"""Labelled dialogues: reading them, and dividing them by industry or by writer."""
import collections
import glob
import json
import os
import random
from typing import NamedTuple

KINDS = ["quote", "objection", "objection_handling", "signing_intent", "next_step"]
CORE = ["quote", "objection", "signing_intent"]
CATEGORIES = ["price", "budget", "competitor", "authority", "timing", "need", "trust", "technical", "service", "terms"]
LEVELS = ["strong", "conditional"]


class Turn(NamedTuple):
    text: str
    labels: dict           # kind -> category, level, owner or ""
    speaker: str = ""      # rep, customer1 ...; "" when unknown
    weight: float = 1.0    # of the labels that are on


class Dialogue(NamedTuple):
    id: str
    industry: str
    turns: list


def parse_labels(field):
    labels = {}
    for part in field.split(","):
        kind, _, detail = part.strip().partition(":")
        if kind in ("", "-"):
            continue
        allowed = {"objection": CATEGORIES, "signing_intent": LEVELS}.get(kind)
        if kind not in KINDS or allowed and detail not in allowed:
            raise ValueError(f"unknown label {part!r}")
        labels[kind] = detail
    return labels


def load_dialogues(*folders):
    """All *.tsv files; a file in a later folder replaces one of the same name in an earlier one."""
    paths = {os.path.basename(p): p for folder in folders for p in sorted(glob.glob(os.path.join(folder, "*.tsv")))}
    return [read_dialogue(paths[name]) for name in sorted(paths)]


def read_dialogue(path):
    head, turns = {}, []
    for line in open(path, encoding="utf8"):
        line = line.rstrip("\n")
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            head[key.strip()] = value.strip()
        elif line.strip():
            speaker, labels, text = line.split("\t")
            turns.append(Turn(text, parse_labels(labels), speaker))
    return Dialogue(os.path.basename(path)[:-4], head.get("industry", ""), turns)


def load_visits(folder):
    """Visits in the form of the development set: one JSON file each."""
    out = []
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        visit = json.load(open(path, encoding="utf8"))
        turns = []
        for u in visit.get("utterances", []):
            slots = u.get("slots") or {}
            detail = {"objection": "category", "signing_intent": "level"}
            turns.append(Turn(u["text"], {k: (slots.get(k) or {}).get(detail.get(k, ""), "") or "" for k in u["labels"]}, u.get("speaker", "")))
        if turns:
            out.append(Dialogue(visit["id"], visit.get("industry", ""), turns))
    return out


def folds_by_industry(dialogues, folds):
    """Fold of each dialogue; an industry never spans two folds, folds are about equal in turns."""
    size = collections.Counter()
    for d in dialogues:
        size[d.industry] += len(d.turns)
    names = sorted(size)
    random.Random(20251).shuffle(names)
    load, fold = [0] * folds, {}
    for name in sorted(names, key=lambda n: -size[n]):
        fold[name] = load.index(min(load))
        load[fold[name]] += size[name]
    return [fold[d.industry] for d in dialogues]
