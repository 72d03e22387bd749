"""Calibration, thresholds, figures and every file that `train.py` leaves behind."""
import collections
import hashlib
import json
import os
import platform
import time

import numpy as np

import train as T
from features import CATEGORIES, CORE, KINDS, LEVELS, TABLE


def publish(dialogues, mark, bad, fold, members, oof, pinyin, started, here):
    z, zn, y, yc, yl, part = oof  # out-of-fold logits on clean and noisy text; each row judged by members that never saw its industry
    nk, nc = len(KINDS), len(CATEGORIES)
    za, ya = np.concatenate([z, zn]), np.concatenate([y, y])
    pa = np.concatenate([part, part])

    def calibrate(keep):
        ab = [T.platt(za[keep, i], ya[keep, i]) for i in range(nk)]
        p = np.stack([T.sigmoid(a * za[:, i] + b) for i, (a, b) in enumerate(ab)], 1)
        return ab, p, [T.best_threshold(ya[keep, i], p[keep, i]) for i in range(nk)]

    ab, pall, thr = calibrate(np.ones(len(za), bool))
    cal = {"platt": ab, "t_cat": T.temperature(z[:, nk:nk + nc], yc), "t_lev": T.temperature(z[:, nk + nc:], yl)}
    catp, levp = T.softmax(z[:, nk:nk + nc] / cal["t_cat"]), T.softmax(z[:, nk + nc:] / cal["t_lev"])

    # honest figures: calibration and thresholds of a fold come from the other folds
    on = np.zeros((len(za), nk), bool)
    prob = np.zeros((len(za), nk), np.float32)
    for f in sorted(set(part)):
        _, p, t = calibrate(pa != f)
        on[pa == f] = p[pa == f] >= np.array(t)
        prob[pa == f] = p[pa == f]
    n = len(z)

    def figures(sel, base):
        o = on[base:base + n][sel].astype(np.float32)
        return T.table(y[sel], o, [0.5] * nk, yc[sel], (catp if base == 0 else T.softmax(zn[:, nk:nk + nc] / cal["t_cat"]))[sel],
                       yl[sel], (levp if base == 0 else T.softmax(zn[:, nk + nc:] / cal["t_lev"]))[sel])

    every = np.ones(n, bool)
    report = {
        "version": T.VERSION,
        "note": "Every figure is on industries that the judging members never saw, with calibration and thresholds from other folds. "
                "'validation' is fold 0 (a fixed fifth of the industries); 'cross_validation' is all five folds; "
                "'*_noise' is the same text with simulated recogniser noise.",
        "validation_industries": sorted({d["industry"] for d, g in zip(dialogues, fold) if g == 0}),
        "validation": figures(part == 0, 0), "validation_noise": figures(part == 0, n),
        "cross_validation": figures(every, 0), "cross_validation_noise": figures(every, n),
        "expected_calibration_error": {k: T.ece(y[:, i], prob[:n, i]) for i, k in enumerate(KINDS)},
        "thresholds": dict(zip(KINDS, thr)), "platt": dict(zip(KINDS, [[round(a, 4), round(b, 4)] for a, b in ab])),
        "temperature": {"categories": cal["t_cat"], "levels": cal["t_lev"]},
        "data": counts(dialogues), "data_sha256": mark, "skipped_lines": bad,
        "settings": {"folds": T.FOLDS, "seeds_per_fold": T.SEEDS, "table": TABLE, "dim": T.DIM, "hidden": T.HIDDEN, "epochs": T.EPOCHS,
                     "learning_rate": T.LR, "weight_decay": T.WD, "gram_dropout": T.GRAM_DROP},
    }
    onnx_path = os.path.join(here, "moments.onnx")
    T.export(members, cal, onnx_path)
    session = T.Session(onnx_path)
    T.write_golden(os.path.join(here, "golden.json"), session, pinyin)
    check_export(session, members, cal, dialogues, pinyin)
    report["model_bytes"] = os.path.getsize(onnx_path)
    report["milliseconds_per_utterance"] = speed(session, dialogues, pinyin)
    report["training_seconds"] = round(time.time() - started)
    report["trained_on"] = f"python {platform.python_version()}, {platform.machine()}, 1 thread"
    with open(os.path.join(here, "report.json"), "w", encoding="utf8") as f:
        json.dump(report, f, ensure_ascii=False, indent=1, default=float)
        f.write("\n")
    card(os.path.join(here, "DATA_CARD.md"), report)
    manifest(os.path.join(here, "..", "moments.toml"), onnx_path, os.path.join(here, "pinyin.tsv"), report)
    for name in ("validation", "validation_noise", "cross_validation", "cross_validation_noise"):
        r = report[name]
        print(name, "core", r["macro_f1_core"], "all", r["macro_f1_all"], "category", r.get("category_accuracy"), "level", r.get("level_accuracy"))
        for k in KINDS:
            print("   ", k, r["labels"][k])
    print("thresholds", report["thresholds"], "bytes", report["model_bytes"], "seconds", report["training_seconds"])


def fingerprint(folder):
    """Of the names and bytes of all dialogues, in name order: tells whether a model belongs to a state of the data."""
    h = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".tsv"):
            h.update(name.encode() + b"\0" + open(os.path.join(folder, name), "rb").read() + b"\0")
    return h.hexdigest()


def counts(dialogues):
    c, cat, lev = collections.Counter(), collections.Counter(), collections.Counter()
    n = none = 0
    for d in dialogues:
        for _, labels, _ in d["turns"]:
            n += 1
            none += not labels
            c.update(labels.keys())
            if "objection" in labels:
                cat[labels["objection"]] += 1
            if "signing_intent" in labels:
                lev[labels["signing_intent"]] += 1
    return {"dialogues": len(dialogues), "industries": len({d["industry"] for d in dialogues}), "utterances": n, "without_label": none,
            "without_any_moment": sum(not any(l for _, l, _ in d["turns"]) for d in dialogues),
            "labels": {k: c[k] for k in KINDS}, "categories": {k: cat[k] for k in CATEGORIES}, "levels": {k: lev[k] for k in LEVELS}}


def check_export(session, members, cal, dialogues, pinyin):
    data = T.rows(T.plain(dialogues[0]), pinyin)
    z = np.mean([T.forward(m, data) for m in members], 0)
    want = np.stack([T.sigmoid(a * z[:, i] + b) for i, (a, b) in enumerate(cal["platt"])], 1)
    got = T.predict(session, data)[0]
    worst = float(np.abs(want - got).max())
    assert worst < 0.02, f"the exported graph is {worst} off the trained one"


def speed(session, dialogues, pinyin):
    data = [r for d in dialogues[:8] for r in T.rows(T.plain(d), pinyin)]
    took = []
    for r in data:
        t = time.perf_counter()
        session.run([r[0]])
        took.append(1000 * (time.perf_counter() - t))
    return {"p50": round(float(np.percentile(took, 50)), 2), "p95": round(float(np.percentile(took, 95)), 2)}


def manifest(path, onnx_path, pinyin_path, r):
    sha = lambda p: hashlib.sha256(open(p, "rb").read()).hexdigest()
    q = lambda xs: "[" + ", ".join(f'"{x}"' for x in xs) + "]"
    cv, va = r["cross_validation"], r["validation"]
    lines = [
        'name = "moments"', f'version = "{r["version"]}"', 'kind = "moment-classifier"', 'file = "moments/moments.onnx"',
        f'bytes = {r["model_bytes"]}', f'sha256 = "{sha(onnx_path)}"', 'licence = "MIT"', 'source = "trained by models/moments/train.py"',
        'spec = "moments/SPEC.md"', 'golden = "moments/golden.json"', "",
        f"labels = {q(KINDS)}", f"categories = {q(CATEGORIES)}", f"levels = {q(LEVELS)}", "",
        "[features]", "# moments/SPEC.md says how the ids are made", 'pinyin = "moments/pinyin.tsv"', f'pinyin_sha256 = "{sha(pinyin_path)}"',
        f"table = {TABLE}", 'roles = ["c", "a", "b"]', "max_chars = 200", "",
        "[[inputs]]", 'name = "ids"', 'shape = ["batch", 3, "n"]', 'dtype = "int64"', "",
        "[[outputs]]", 'name = "scores"', 'shape = ["batch", 5]', 'dtype = "float32"', 'meaning = "calibrated probability of each of labels"', "",
        "[[outputs]]", 'name = "categories"', 'shape = ["batch", 10]', 'dtype = "float32"', 'meaning = "distribution over categories, given an objection"', "",
        "[[outputs]]", 'name = "levels"', 'shape = ["batch", 2]', 'dtype = "float32"', 'meaning = "distribution over levels, given a signing_intent"', "",
        "[thresholds]", *[f"{k} = {v}" for k, v in r["thresholds"].items()], "",
        "[measured]", 'command = "models/moments/train.py (writes report.json); unseen industries, calibration and thresholds from other folds"',
        f'validation_macro_f1_core = {va["macro_f1_core"]}', f'validation_macro_f1_all = {va["macro_f1_all"]}',
        f'cross_validation_macro_f1_core = {cv["macro_f1_core"]}', f'cross_validation_macro_f1_all = {cv["macro_f1_all"]}',
        f'cross_validation_noise_macro_f1_core = {r["cross_validation_noise"]["macro_f1_core"]}',
        f'category_accuracy = {cv.get("category_accuracy")}', f'level_accuracy = {cv.get("level_accuracy")}', "",
        "[measured.cross_validation_f1]", *[f'{k} = {cv["labels"][k]["f1"]}' for k in KINDS]]
    open(path, "w", encoding="utf8").write("\n".join(lines) + "\n")


def card(path, r):
    d, cv = r["data"], r["cross_validation"]
    rows = "\n".join(f"| {k} | {d['labels'][k]} | {cv['labels'][k]['precision']} | {cv['labels'][k]['recall']} | {cv['labels'][k]['f1']} | "
                     f"{r['cross_validation_noise']['labels'][k]['f1']} |" for k in KINDS)
    text = f"""# Data card: moment classifier {r['version']}

Written by `train.py`; do not edit.

**What it is.** {d['dialogues']} invented Mandarin sales visits in {d['industries']} industries, {d['utterances']} utterances, {d['without_label']} of
them without any label, {d['without_any_moment']} visits without any moment. `data/dialogues/*.tsv`: header lines `# industry:`, `# visit_at:`, `# hotwords:`, then
`speaker<TAB>labels<TAB>text`.

**How it was written.** By language-model writers who followed the label definitions of this project, labelled the lines themselves and
revised text and labels afterwards. No recording, no customer text, no text from any test or development visit. Names, companies, numbers and contact data are invented.

**What training adds.** Recogniser noise, made at training time only (`augment.py`): homophone and near-homophone characters, dropped and doubled
characters, digits in place of spoken numbers, added and dropped fillers, two utterances merged into one segment, one utterance cut in two.

| label | utterances | precision | recall | F1 | F1 with noise |
|---|---|---|---|---|---|
{rows}

Five-fold cross-validation by industry: macro F1 of the three core labels {cv['macro_f1_core']} ({r['cross_validation_noise']['macro_f1_core']} with noise), of all five {cv['macro_f1_all']}.
Objection categories: {', '.join(f'{k} {v}' for k, v in d['categories'].items())}; accuracy {cv.get('category_accuracy')}.
Signing-intent levels: {', '.join(f'{k} {v}' for k, v in d['levels'].items())}; accuracy {cv.get('level_accuracy')}.

**Limits.** The text is written, not transcribed: it is tidier than speech, and writers share habits that real visits may not. No independent
second labelling was made. Folds separate industries, not writers, so these figures flatter the model; a set by other hands
(`train.py --measure DIR`) is the better judge. Mandarin with some English words only; dialects are not covered. The noise is simulated by
pronunciation, not taken from a recogniser. The model sees no speaker and no following utterance.
"""
    open(path, "w", encoding="utf8").write(text)
