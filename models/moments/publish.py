"""Everything that training leaves behind besides the graph: figures, thresholds, golden inputs, counts of the data."""
import collections
import hashlib
import json
import os
import random
import re
import time
from typing import NamedTuple

import numpy as np
import onnxruntime

from dialogues import CATEGORIES, KINDS, LEVELS
from grams import ROLES, ids_of
from judge import calibration_error, platt, sigmoid, softmax, table, temperature, thresholds_of
from text import prepare
from windows import CUSTOMER, PREVIOUS, REP, UNKNOWN, Said, who, window

K, C = len(KINDS), len(CATEGORIES)
NAMES = {UNKNOWN: None, REP: "rep", CUSTOMER: "customer"}
GOLDEN = [  # previous texts, text, following text, and who speaks each of them, if that is known
    ([], "", None),
    ([], "……，。！", None),
    ([], "您好，我是云阶科技的小林。", None),
    (["那价格你再说说。", "打包的话能给到多少？"], "打包的话，九折，一年二十八万八。", None),
    (["那价格你再说说。", "打包的话能给到多少？"], "打包的话，9折，一年28.8万。", None),
    (["那价格你再说说。", "打包的话能给到多少？"], "打包的话，九折，一年二十八万八。", "太贵了，超预算了。"),
    (["那价格你再说说。", "打包的话能给到多少？"], "打包的话，九折，一年二十八万八。", "太贵了，超预算了。", [CUSTOMER, CUSTOMER, REP, CUSTOMER]),
    (["那价格你再说说。", "打包的话能给到多少？"], "打包的话，九折，一年二十八万八。", None, [REP, UNKNOWN, CUSTOMER]),
    (["打包的话，九折，一年二十八万八。"], "太贵了，比我们去年那套翻了一倍还多。", None),
    (["一年二十八万八。", "太贵了，超预算了。"], "您放心，我们送两次上门培训，三年质保都包在里头了。", None),
    (["技术上没问题。", "……", "合同我看过了。", "没有别的问题。", "嗯。"], "行，合同模板你发我，下周三之前盖章。", None),
    (["我们用的是ERP系统。"], "ＣＲＭ的ＡＰＩ接口，能不能 connect 到 Office 365？", None),
    (["十月份的预算都锁死了。", "嗯。"], "我说了不算，得李总签字，我们再研究研究。", None),
    (["電話是多少？"], "幺三八零零一二三四五六，增长百分之八十，1,280,000元，3.5万，〇八年，80%，龘𠮷。", None),
]


class Asked(NamedTuple):
    ids: list
    segments: list
    speakers: list
    grams: list  # of the judged text, the one before it, the one before that


class Session:
    """The shipped graph on one thread."""

    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(self, asked):
        """[Asked] as one padded batch -> scores, categories, levels, customer."""
        n, m = max(len(a.ids) for a in asked), max(1, max(len(g) for a in asked for g in a.grams))
        ids, segments, speakers = np.ones((len(asked), n), np.int64), np.zeros((len(asked), n), np.int64), np.zeros((len(asked), n), np.int64)
        grams = np.zeros((len(asked), len(ROLES), m), np.int64)
        for i, a in enumerate(asked):
            ids[i, :len(a.ids)], segments[i, :len(a.ids)], speakers[i, :len(a.ids)] = a.ids, a.segments, a.speakers
            for j, g in enumerate(a.grams):
                grams[i, j, :len(g)] = g
        return self._session.run(["scores", "categories", "levels", "customer"], {"ids": ids, "segments": segments, "speakers": speakers, "grams": grams})


class Asker:
    """Texts to the inputs of the graph."""

    def __init__(self, pieces, pinyin):
        self._pieces, self._pinyin = pieces, pinyin

    def __call__(self, previous, judged, following=None):
        """Each a Said."""
        previous = [p for p in previous if prepare(p.text)][-PREVIOUS:]
        texts = [judged.text, *(["", "", *(p.text for p in previous)][:-3:-1])]
        return Asked(*window(previous, judged, self._pieces, following), [ids_of(t, r, self._pinyin).tolist() for t, r in zip(texts, ROLES)])


def judge_graph(session, dialogues, ask, following=False, speakers=False):
    """Scores of all turns, one by one as the service asks, and the milliseconds of each."""
    out, took = [], []
    for d in dialogues:
        said = [Said(t.text, who(t.speaker) if speakers else UNKNOWN) for t in d.turns]
        for i, one in enumerate(said):
            started = time.perf_counter()
            after = said[i + 1] if following and i + 1 < len(said) else None
            out.append([x[0] for x in session.run([ask(said[:i], one, after)])])
            took.append((time.perf_counter() - started) * 1e3)
    return [np.stack(x) for x in zip(*out)], took


def customer_accuracy(z, dialogues):
    """How often a turn's words alone tell which side speaks."""
    speakers = np.array([who(t.speaker) for d in dialogues for t in d.turns])
    return round(float(((z > 0) == (speakers == CUSTOMER))[speakers != UNKNOWN].mean()), 4)


def calibrate(z, labels):
    """Platt scaling a kind, a temperature for categories and levels."""
    on, category, level = labels
    return {"platt": [tuple(round(x, 4) for x in platt(z[:, i], on[:, i])) for i in range(K)],
            "categories": temperature(z[:, K:K + C], category), "levels": temperature(z[:, K + C:K + C + len(LEVELS)], level)}


def probabilities(z, calibration):
    a, b = np.array(calibration["platt"]).T
    return sigmoid(z[:, :K] * a + b), softmax(z[:, K:K + C] / calibration["categories"]), softmax(z[:, K + C:K + C + len(LEVELS)] / calibration["levels"])


def crossed(z, labels, parts, others):
    """Honest figures: calibration and thresholds of a part come from the other parts. `others`: more (z, labels, parts) to learn those from."""
    every = [(z, labels, parts), *others]
    score, cat, lev = np.zeros((len(z), K)), np.zeros((len(z), C)), np.zeros((len(z), len(LEVELS)))
    for part in sorted(set(parts)):
        zs = np.concatenate([a[p != part] for a, _, p in every])
        ls = [np.concatenate([l[j][p != part] for _, l, p in every]) for j in range(3)]
        cal = calibrate(zs, ls)
        limit = np.array(thresholds_of(ls[0], probabilities(zs, cal)[0]))
        here = parts == part
        s, cat[here], lev[here] = probabilities(z[here], cal)
        # each score relative to its own threshold, so that one table can count all parts at 0.5
        score[here] = np.where(s >= limit, 0.5 + 0.5 * (s - limit) / (1 - limit), 0.5 * s / limit)
    figures = {"all": table(labels, score, [0.5] * K, cat, lev)}
    for part in sorted(set(parts)):
        here = parts == part
        figures[part] = table(tuple(l[here] for l in labels), score[here], [0.5] * K, cat[here], lev[here])
    return figures


def golden(path, model_path, session, ask):
    items = []
    for previous, text, following, *speaking in GOLDEN:
        speakers = [*(speaking[0] if speaking else []), *[UNKNOWN] * (len(previous) + 2)][:len(previous) + 1 + (following is not None)]
        *said, judged = map(Said, [*previous, text], speakers)
        asked = ask(said, judged, None if following is None else Said(following, speakers[-1]))
        out = [[round(float(v), 6) for v in x[0]] for x in session.run([asked])]
        items.append({"previous": previous, "text": text, "following": following, "speakers": [NAMES[s] for s in speakers], "prepared": prepare(text),
                      "ids": asked.ids, "segments": asked.segments, "speaking": asked.speakers, "grams": asked.grams,
                      **dict(zip(("scores", "categories", "levels", "customer"), out))})
    digest = hashlib.sha256(open(model_path, "rb").read()).hexdigest()
    with open(path, "w", encoding="utf8") as f:
        json.dump({"model_sha256": digest, "tolerance": 2e-3, "labels": KINDS, "categories": CATEGORIES, "levels": LEVELS, "items": items}, f, ensure_ascii=False)
        f.write("\n")


def padding_error(session, dialogues, ask):
    """How far scores move when windows are judged together instead of alone."""
    rows = [ask([Said(t.text) for t in d.turns[:i]], Said(d.turns[i].text)) for d in dialogues[:6] for i in range(0, len(d.turns), 3)]
    alone = np.concatenate([session.run([r])[0] for r in rows])
    random.Random(1).shuffle(rows_with_place := list(enumerate(rows)))
    worst = 0.0
    for b in range(0, len(rows_with_place), 16):
        part = rows_with_place[b:b + 16]
        worst = max(worst, float(np.abs(session.run([r for _, r in part])[0] - alone[[i for i, _ in part]]).max()))
    return worst


def counts(dialogues):
    kinds, categories, levels = collections.Counter(), collections.Counter(), collections.Counter()
    turns = [t for d in dialogues for t in d.turns]
    for t in turns:
        kinds.update(t.labels.keys())
        categories.update([t.labels[k] for k in ("objection",) if k in t.labels])
        levels.update([t.labels[k] for k in ("signing_intent",) if k in t.labels])
    return {"dialogues": len(dialogues), "industries": len({d.industry for d in dialogues}), "utterances": len(turns),
            "without_label": sum(not t.labels for t in turns), "without_any_moment": sum(not any(t.labels for t in d.turns) for d in dialogues),
            "labels": {k: kinds[k] for k in KINDS}, "categories": {k: categories[k] for k in CATEGORIES}, "levels": {k: levels[k] for k in LEVELS}}


def fingerprint(dialogues):
    """Of all that training reads, in name order: tells whether a model belongs to a state of the data."""
    h = hashlib.sha256()
    for d in sorted(dialogues):
        h.update(repr((d.id, d.industry, [(t.text, sorted(t.labels.items()), t.speaker) for t in d.turns])).encode())
    return h.hexdigest()


def expected_calibration_error(labels, scores):
    return {k: calibration_error(labels[0][:, i], scores[:, i]) for i, k in enumerate(KINDS)}


def update_manifest(path, folder, report):
    """Puts size, hashes, thresholds and figures of what lies in `folder` into the manifest at path."""
    text = open(path, encoding="utf8").read()

    def sha256(name):
        return hashlib.sha256(open(os.path.join(folder, name), "rb").read()).hexdigest()

    def put(key, value):
        nonlocal text
        text, found = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text, count=1)
        if not found:
            raise ValueError(f"{path} has no {key}")
    put("version", f'"{report["version"]}"')
    put("bytes", os.path.getsize(os.path.join(folder, "moments.onnx")))
    for key, name in (("sha256", "moments.onnx"), ("pinyin_sha256", "pinyin.tsv"), ("tokenizer_sha256", "tokenizer.json")):
        put(key, f'"{sha256(name)}"')
    for kind, limit in report["thresholds"].items():
        put(kind, limit)
    for name in ("held_out", "held_out_noise", "held_out_following", "held_out_speakers"):
        put(f"{name}_macro_f1_core", report[name]["macro_f1_core"])
        put(f"{name}_macro_f1_all", report[name]["macro_f1_all"])
    put("category_accuracy", report["held_out_following"]["category_accuracy"])
    put("level_accuracy", report["held_out_following"]["level_accuracy"])
    with open(path, "w", encoding="utf8") as f:
        f.write(text)
