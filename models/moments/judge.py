"""Figures: F1, thresholds, calibration."""
import numpy as np

from dialogues import CATEGORIES, CORE, KINDS, LEVELS

K, C = len(KINDS), len(CATEGORIES)


def sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def truth(dialogues):
    """What the labels say: on [n, 5], category [n], level [n] (-1: none)."""
    turns = [t for d in dialogues for t in d.turns]
    on = np.array([[k in t.labels for k in KINDS] for t in turns], float)
    category = np.array([CATEGORIES.index(t.labels["objection"]) if t.labels.get("objection") else -1 for t in turns])
    level = np.array([LEVELS.index(t.labels["signing_intent"]) if t.labels.get("signing_intent") else -1 for t in turns])
    return on, category, level


def f1(on, said):
    hit = float((on * said).sum())
    p, r = hit / max(1.0, float(said.sum())), hit / max(1.0, float(on.sum()))
    return {"precision": round(p, 4), "recall": round(r, 4), "f1": round(2 * p * r / (p + r), 4) if p + r else 0.0, "support": int(on.sum())}


def table(labels, score, thresholds, categories=None, levels=None):
    on, category, level = labels
    each = {k: f1(on[:, i], score[:, i] >= thresholds[i]) for i, k in enumerate(KINDS)}
    out = {"labels": each, "macro_f1_core": round(float(np.mean([each[k]["f1"] for k in CORE])), 4),
           "macro_f1_all": round(float(np.mean([each[k]["f1"] for k in KINDS])), 4), "utterances": len(on)}
    for name, known, p in (("category_accuracy", category, categories), ("level_accuracy", level, levels)):
        if p is not None and (known >= 0).any():
            out[name] = round(float((p.argmax(1) == known)[known >= 0].mean()), 4)
    return out


def best_threshold(on, score):
    """The middle of the plateau of thresholds whose smoothed F1 is within half a point of the best: it does not swing with a few rows."""
    grid = np.arange(0.10, 0.90, 0.01)
    f = np.array([f1(on, score >= t)["f1"] for t in grid])
    f = np.convolve(np.pad(f, 3, mode="edge"), np.ones(7) / 7, "valid")
    return round(float(grid[f >= f.max() - 0.005].mean()), 2)


def thresholds_of(on, score):
    return [best_threshold(on[:, i], score[:, i]) for i in range(K)]


def platt(z, on):
    """a, b that make sigmoid(a z + b) a probability: least log loss, drawn a little towards a = 1."""
    a, b = 1.0, 0.0
    for _ in range(50):
        q = sigmoid(a * z + b)
        w = q * (1 - q)
        g = np.array([((q - on) * z).sum() + (a - 1), (q - on).sum() + 0.01 * b])
        h = np.array([[(w * z * z).sum() + 1, (w * z).sum()], [(w * z).sum(), w.sum() + 0.01]])
        d = np.clip(np.linalg.solve(h, g), -0.5, 0.5)
        a, b = a - d[0], b - d[1]
        if np.abs(d).max() < 1e-7:
            break
    return float(a), float(b)


def temperature(z, known):
    rows = np.flatnonzero(known >= 0)
    grid = np.arange(0.3, 4.0, 0.05)
    return round(float(min(grid, key=lambda t: -np.log(softmax(z[rows] / t)[np.arange(len(rows)), known[rows]] + 1e-9).mean())), 2)


def calibration_error(on, score):
    bins = np.clip((score * 10).astype(int), 0, 9)
    return round(float(sum(abs(on[bins == b].mean() - score[bins == b].mean()) * (bins == b).mean() for b in range(10) if (bins == b).any())), 4)
