#!/usr/bin/env python3
"""Train the moment classifier and write everything the service and its tests need.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt     (once; PyPI only, CPU only)
    .venv/bin/python train.py                       train; writes moments.onnx, pinyin.tsv, golden.json,
                                                    report.json, DATA_CARD.md, ../moments.toml
    .venv/bin/python train.py --measure DIR         score moments.onnx on a directory of labelled visits (*.json)
    .venv/bin/python train.py --measure DIR --noise the same on text with recogniser noise added
    .venv/bin/python train.py --measure DIR --record NAME   also keeps the figures in ../moments.toml as [measured.NAME]

Same input, same machine: same result (all seeds fixed). One thread is enough; see report.json for the time.
SPEC.md describes the model's inputs and outputs, features.py is the reference of the preprocessing.
"""
import argparse
import collections
import glob
import hashlib
import json
import os
import random
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

from augment import Noise
from features import CATEGORIES, CORE, KINDS, LEVELS, ROLES, TABLE, Pinyin, ids_of, load_pinyin

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = "0.1.0"
FOLDS = 5
SEEDS = 2          # members per fold; all are averaged in one graph
DIM = 22
HIDDEN = 48
EPOCHS = 12
BATCH = 64
LR = 3e-3
WD = 0.01          # weight decay
GRAM_DROP = 0.3    # share of n-grams hidden at each step
HEAD = 1.0         # weight of the category and level losses; few rows have them
COPIES = 16        # noisy copies of every dialogue


# ---------------------------------------------------------------- data

def parse_labels(s):
    out = {}
    for part in s.split(","):
        part = part.strip()
        if part in ("", "-"):
            continue
        kind, _, arg = part.partition(":")
        if kind not in KINDS:
            raise ValueError(f"unknown label {part!r}")
        if kind == "objection" and arg not in CATEGORIES:
            raise ValueError(f"unknown category {part!r}")
        if kind == "signing_intent" and arg not in LEVELS:
            raise ValueError(f"unknown level {part!r}")
        out[kind] = arg
    return out


def load_dialogues(folder):
    out, bad = [], []
    for path in sorted(glob.glob(os.path.join(folder, "*.tsv"))):
        d = {"id": os.path.basename(path)[:-4], "industry": "", "turns": []}
        for n, line in enumerate(open(path, encoding="utf8"), 1):
            line = line.rstrip("\n")
            if not line.strip():
                continue
            if line.startswith("#"):
                k, _, v = line[1:].partition(":")
                d[k.strip()] = v.strip()
                continue
            f = line.split("\t")
            try:
                d["turns"].append((f[2], parse_labels(f[1]), f[0]))
            except (IndexError, ValueError) as e:
                bad.append(f"{os.path.basename(path)}:{n}: {e}")
        if d["turns"]:
            out.append(d)
    return out, bad


def load_visits(folder):
    out = []
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        v = json.load(open(path, encoding="utf8"))
        if "utterances" not in v:
            continue
        turns = []
        for u in v["utterances"]:
            sl = u.get("slots") or {}
            turns.append((u["text"], {k: (sl.get(k) or {}).get("category" if k == "objection" else "level") or "" for k in u["labels"]}, u.get("speaker", "")))
        out.append({"id": v["id"], "industry": v.get("industry", ""), "turns": turns})
    return out


def rows(turns, pinyin):
    """[(text, labels, weight)] -> [(ids per role, y, weights, category, level)]"""
    out, prev = [], ["", ""]
    for text, labels, w in turns:
        ids = tuple(ids_of(t, r, pinyin) for t, r in zip((text, prev[0], prev[1]), ROLES))
        y = np.array([k in labels for k in KINDS], np.float32)
        wt = np.where(y > 0, w, 1.0).astype(np.float32)
        cat = CATEGORIES.index(labels["objection"]) if labels.get("objection") else -1
        lev = LEVELS.index(labels["signing_intent"]) if labels.get("signing_intent") else -1
        out.append((ids, y, wt, cat, lev))
        prev = [text, prev[0]]
    return out


def plain(d):
    return [(t, l, 1.0) for t, l, _ in d["turns"]]


def folds_of(dialogues):
    """Fold number per dialogue; all dialogues of one industry share a fold."""
    rng = random.Random(20251)
    size = collections.Counter()
    for d in dialogues:
        size[d["industry"]] += len(d["turns"])
    names = sorted(size)
    rng.shuffle(names)
    load, where = [0] * FOLDS, {}
    for n in sorted(names, key=lambda n: -size[n]):
        f = min(range(FOLDS), key=lambda f: load[f])
        where[n] = f
        load[f] += size[n]
    return [where[d["industry"]] for d in dialogues]


# ---------------------------------------------------------------- model

OUT = len(KINDS) + len(CATEGORIES) + len(LEVELS)


def init(rng):
    s = lambda *sh: rng.standard_normal(sh).astype(np.float32)
    e = 0.02 * s(TABLE, DIM)
    e[0] = 0
    return {"e": e, "w1": s(3 * DIM, HIDDEN) * (2 / (3 * DIM)) ** 0.5, "b1": np.zeros(HIDDEN, np.float32),
            "w2": s(HIDDEN, OUT) * (1 / HIDDEN) ** 0.5, "ws": s(3 * DIM, OUT) * 0.3,
            "b2": np.concatenate([np.full(5, -2.0), np.zeros(OUT - 5)]).astype(np.float32)}


def bags(data, rng=None):
    """Three sparse matrices [rows, TABLE], one a role; every row scaled by 1/sqrt(count). With rng: dropout."""
    import scipy.sparse as sp
    out = []
    for j in range(3):
        lens = np.array([len(r[0][j]) for r in data])
        ind = np.concatenate([r[0][j] for r in data]) if lens.sum() else np.zeros(0, np.int32)
        row = np.repeat(np.arange(len(data)), lens)
        if rng is not None:
            keep = rng.random(len(ind)) > GRAM_DROP
            if j:  # context is sometimes missing: start of a visit, a dropped segment
                keep &= np.repeat(rng.random(len(data)) > 0.1, lens)
            ind, row = ind[keep], row[keep]
            lens = np.bincount(row, minlength=len(data))
        val = (1 / np.sqrt(np.maximum(lens, 1)))[row].astype(np.float32)
        out.append(sp.csr_matrix((val, ind, np.concatenate([[0], np.cumsum(lens)])), shape=(len(data), TABLE)))
    return out


def train_member(make_rows, seed, epochs=None):
    """Adam with decoupled weight decay; the gradient is written out by hand, there are only two layers."""
    epochs = epochs or EPOCHS
    rng = np.random.default_rng(seed)
    p = init(rng)
    m = {k: np.zeros_like(v) for k, v in p.items()}
    v = {k: np.zeros_like(x) for k, x in p.items()}
    nk, nc = len(KINDS), len(CATEGORIES)
    t, total = 0, None
    for _ in range(epochs):
        data = make_rows(rng)
        order = rng.permutation(len(data))
        total = total or epochs * (len(data) // BATCH)
        for b in range(len(data) // BATCH):
            pick = [data[i] for i in order[b * BATCH:(b + 1) * BATCH]]
            xs = bags(pick, rng)
            y = np.stack([r[1] for r in pick])
            wt = np.stack([r[2] for r in pick])
            d0 = ((rng.random((BATCH, 3 * DIM)) > 0.2) / 0.8).astype(np.float32)
            d1 = ((rng.random((BATCH, HIDDEN)) > 0.4) / 0.6).astype(np.float32)
            x = np.concatenate([a @ p["e"] for a in xs], 1) * d0
            pre = x @ p["w1"] + p["b1"]
            h = np.maximum(pre, 0) * d1
            z = h @ p["w2"] + x @ p["ws"] + p["b2"]
            gz = np.zeros_like(z)
            gz[:, :nk] = (sigmoid(z[:, :nk]) - y) * wt
            for col, lo, hi in ((3, nk, nk + nc), (4, nk + nc, OUT)):
                has = np.array([i for i, r in enumerate(pick) if r[col] >= 0], int)
                if len(has):
                    g = softmax(z[has, lo:hi])
                    g[np.arange(len(has)), [pick[i][col] for i in has]] -= 1
                    gz[has, lo:hi] = HEAD * g
            gz /= BATCH
            gh = gz @ p["w2"].T * d1 * (pre > 0)
            gx = (gh @ p["w1"].T + gz @ p["ws"].T) * d0
            g = {"w2": h.T @ gz, "ws": x.T @ gz, "b2": gz.sum(0), "w1": x.T @ gh, "b1": gh.sum(0),
                 "e": sum(a.T @ gx[:, j * DIM:(j + 1) * DIM] for j, a in enumerate(xs))}
            t += 1
            lr = LR * min(1, t / 50) * max(0.03, 1 - t / total)
            c1, c2 = 1 - 0.9 ** t, (1 - 0.98 ** t) ** 0.5
            for k in p:
                m[k] *= 0.9
                m[k] += 0.1 * g[k]
                v[k] *= 0.98
                v[k] += 0.02 * g[k] * g[k]
                if not k.startswith("b"):
                    p[k] *= 1 - lr * WD
                p[k] -= (lr / c1) * m[k] / (np.sqrt(v[k]) / c2 + 1e-6)
    p["e"][0] = 0
    return {k: x.astype(np.float32) for k, x in p.items()}




def forward(p, data):
    """Raw logits [n, OUT] of one member, in numpy."""
    x = np.concatenate([b @ p["e"] for b in bags(data)], 1)
    return np.maximum(x @ p["w1"] + p["b1"], 0) @ p["w2"] + x @ p["ws"] + p["b2"]


# ---------------------------------------------------------------- figures

def sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def prf(y, on):
    on = np.asarray(on, float)
    tp = float((y * on).sum())
    p, r = tp / max(1.0, float(on.sum())), tp / max(1.0, float(y.sum()))
    return {"precision": round(p, 4), "recall": round(r, 4), "f1": round(2 * p * r / (p + r), 4) if p + r else 0.0, "support": int(y.sum())}


def table(y, prob, thr, cat=None, catp=None, lev=None, levp=None):
    out = {k: prf(y[:, i], prob[:, i] >= thr[i]) for i, k in enumerate(KINDS)}
    res = {"labels": out, "macro_f1_core": round(float(np.mean([out[k]["f1"] for k in CORE])), 4),
           "macro_f1_all": round(float(np.mean([out[k]["f1"] for k in KINDS])), 4), "utterances": len(y)}
    for name, t, p in (("category_accuracy", cat, catp), ("level_accuracy", lev, levp)):
        if t is not None and (t >= 0).any():
            res[name] = round(float((p[t >= 0].argmax(1) == t[t >= 0]).mean()), 4)
    return res


def best_threshold(y, p):
    """The middle of the plateau of thresholds whose F1 is within 0.005 of the best."""
    grid = np.arange(0.10, 0.90, 0.01)
    f = np.array([prf(y, p >= t)["f1"] for t in grid])
    f = np.convolve(np.pad(f, 2, mode="edge"), np.ones(5) / 5, "valid")
    return round(float(grid[f >= f.max() - 0.005].mean()), 2)


def platt(z, y):
    """a, b minimising the log loss of sigmoid(a z + b); damped Newton, a little prior towards a = 1."""
    def cost(a, b):
        t = a * z + b
        return float((np.logaddexp(0, t) - y * t).sum() + 0.5 * (a - 1) ** 2 + 0.5 * 1e-2 * b * b)
    a, b = 1.0, 0.0
    for _ in range(100):
        q = sigmoid(a * z + b)
        w = q * (1 - q)
        g = np.array([((q - y) * z).sum() + (a - 1), (q - y).sum() + 1e-2 * b])
        h = np.array([[(w * z * z).sum() + 1, (w * z).sum()], [(w * z).sum(), w.sum() + 1e-2]])
        d, s = np.linalg.solve(h, g), 1.0
        while cost(a - s * d[0], b - s * d[1]) > cost(a, b) and s > 1e-6:
            s /= 2
        if s <= 1e-6 or np.abs(s * d).max() < 1e-7:
            break
        a, b = a - s * d[0], b - s * d[1]
    return float(a), float(b)


def temperature(z, t):
    ok = t >= 0
    best = min(np.arange(0.3, 4.0, 0.05), key=lambda s: -np.log(softmax(z[ok] / s)[np.arange(ok.sum()), t[ok]] + 1e-9).mean())
    return round(float(best), 2)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def ece(y, p, bins=10):
    idx = np.minimum((p * bins).astype(int), bins - 1)
    return round(float(sum(abs(y[idx == b].mean() - p[idx == b].mean()) * (idx == b).mean() for b in range(bins) if (idx == b).any())), 4)


# ---------------------------------------------------------------- export

def export(members, cal, path):
    import onnx
    from onnx import TensorProto as T, helper as H, numpy_helper as N
    k = len(members)
    e = np.concatenate([m["e"] for m in members], 1)                      # [TABLE, k*DIM]
    scale = np.maximum(np.percentile(np.abs(e), 99.99, axis=0), 1e-6) / 127
    q = np.clip(np.rint(e / scale), -127, 127).astype(np.int8)
    ws = {"table": q, "scale": scale.astype(np.float32),
          "w1": np.stack([m["w1"] for m in members]), "b1": np.stack([m["b1"] for m in members])[:, None],
          "w2": np.stack([m["w2"] for m in members]), "ws": np.stack([m["ws"] for m in members]),
          "b2": np.stack([m["b2"] for m in members])[:, None],
          "zero": np.array(0, np.int64), "one": np.array(1, np.float32), "ax2": np.array([2], np.int64), "ax2k": np.array([2], np.int64),
          "ax0": np.array([0], np.int64),
          "shape": np.array([0, 3, k, DIM], np.int64), "shape2": np.array([k, -1, 3 * DIM], np.int64),
          "split": np.array([len(KINDS), len(CATEGORIES), len(LEVELS)], np.int64),
          "platt_a": np.array([a for a, _ in cal["platt"]], np.float32), "platt_b": np.array([b for _, b in cal["platt"]], np.float32),
          "t_cat": np.array(cal["t_cat"], np.float32), "t_lev": np.array(cal["t_lev"], np.float32)}
    n = H.make_node
    nodes = [
        n("Greater", ["ids", "zero"], ["used"]), n("Cast", ["used"], ["mask"], to=T.FLOAT),
        n("ReduceSum", ["mask", "ax2"], ["count"], keepdims=1), n("Max", ["count", "one"], ["count1"]), n("Sqrt", ["count1"], ["norm"]),
        n("Gather", ["table", "ids"], ["rows8"], axis=0), n("Cast", ["rows8"], ["rows"], to=T.FLOAT),
        n("ReduceSum", ["rows", "ax2k"], ["sum8"], keepdims=0), n("Mul", ["sum8", "scale"], ["sum"]), n("Div", ["sum", "norm"], ["bag"]),
        n("Reshape", ["bag", "shape"], ["bag4"]), n("Transpose", ["bag4"], ["bagT"], perm=[2, 0, 1, 3]), n("Reshape", ["bagT", "shape2"], ["x"]),
        n("MatMul", ["x", "w1"], ["h0"]), n("Add", ["h0", "b1"], ["h1"]), n("Relu", ["h1"], ["h"]),
        n("MatMul", ["h", "w2"], ["z0"]), n("MatMul", ["x", "ws"], ["z1"]), n("Add", ["z0", "z1"], ["z2"]), n("Add", ["z2", "b2"], ["z3"]),
        n("ReduceMean", ["z3", "ax0"], ["z"], keepdims=0), n("Split", ["z", "split"], ["zl", "zc", "zv"], axis=1),
        n("Mul", ["zl", "platt_a"], ["zla"]), n("Add", ["zla", "platt_b"], ["zlb"]), n("Sigmoid", ["zlb"], ["scores"]),
        n("Div", ["zc", "t_cat"], ["zct"]), n("Softmax", ["zct"], ["categories"], axis=1),
        n("Div", ["zv", "t_lev"], ["zvt"]), n("Softmax", ["zvt"], ["levels"], axis=1)]
    g = H.make_graph(nodes, "moments", [H.make_tensor_value_info("ids", T.INT64, ["batch", 3, "n"])],
                     [H.make_tensor_value_info("scores", T.FLOAT, ["batch", 5]), H.make_tensor_value_info("categories", T.FLOAT, ["batch", 10]),
                      H.make_tensor_value_info("levels", T.FLOAT, ["batch", 2])],
                     [N.from_array(v if v.dtype != np.float64 else v.astype(np.float32), name) for name, v in ws.items()])
    m = H.make_model(g, opset_imports=[H.make_opsetid("", 18)], producer_name="visitscribe train.py", ir_version=9)
    for a, b in (("name", "moments"), ("version", VERSION), ("labels", ",".join(KINDS)), ("categories", ",".join(CATEGORIES)), ("levels", ",".join(LEVELS))):
        p = m.metadata_props.add()
        p.key, p.value = a, b
    onnx.checker.check_model(m)
    onnx.save(m, path)


class Session:
    def __init__(self, path):
        import onnxruntime as ort
        o = ort.SessionOptions()
        o.intra_op_num_threads = o.inter_op_num_threads = 1
        self.s = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])

    def run(self, ids):
        """ids: per item the three id lists"""
        n = max([1] + [len(x) for r in ids for x in r])
        a = np.zeros((len(ids), 3, n), np.int64)
        for i, r in enumerate(ids):
            for j, x in enumerate(r):
                a[i, j, :len(x)] = x
        return self.s.run(None, {"ids": a})


def predict(session, data, chunk=32):
    outs = [session.run([r[0] for r in data[i:i + chunk]]) for i in range(0, len(data), chunk)]
    return [np.concatenate(x) for x in zip(*outs)]


def targets(data):
    return np.stack([r[1] for r in data]), np.array([r[3] for r in data]), np.array([r[4] for r in data])


def augmented(d, noise, pinyin):
    rng = random.Random(d["id"])
    return [rows(noise.visit([(t, l) for t, l, _ in d["turns"]], rng), pinyin) for _ in range(COPIES)]


def noisy(d, noise, rng):
    return [(t, l, 1.0) for t, l, _ in noise.visit([(t, l) for t, l, _ in d["turns"]], rng, merge=0, cut=0, drop=0)]


# ---------------------------------------------------------------- files

def write_pinyin(path, extra):
    from pypinyin import Style, pinyin
    chars = set(extra)
    for enc, his in (("gb2312", range(0xB0, 0xF8)), ("big5", range(0xA4, 0xC7))):
        for hi in his:
            for lo in range(0x40, 0xFF):
                try:
                    chars.add(bytes([hi, lo]).decode(enc))
                except UnicodeDecodeError:
                    pass
    lines = []
    for c in sorted(chars):
        if not 0x4E00 <= ord(c) <= 0x9FFF:
            continue
        s = pinyin(c, style=Style.NORMAL, errors="ignore")
        if s and s[0][0].isascii():
            lines.append(f"{c}\t{s[0][0]}")
    open(path, "w", encoding="utf8").write("\n".join(lines) + "\n")


GOLDEN = [
    ([], ""),
    ([], "……，。！"),
    ([], "您好，我是云阶科技的小林。"),
    (["那价格你再说说。", "打包的话能给到多少？"], "打包的话，九折，一年二十八万八。"),
    (["那价格你再说说。", "打包的话能给到多少？"], "打包的话，9折，一年28.8万。"),
    (["打包的话，九折，一年二十八万八。"], "太贵了，比我们去年那套翻了一倍还多。"),
    (["一年二十八万八。", "太贵了，超预算了。"], "您放心，我们送两次上门培训，三年质保都包在里头了。"),
    (["合同我看过了。", "没有别的问题。"], "行，合同模板你发我，下周三之前盖章。"),
    (["好的。"], "那我明天下午三点把方案发到您邮箱。"),
    (["我们用的是ERP系统。"], "ＣＲＭ的ＡＰＩ接口，能不能 connect 到 Office 365？"),
    (["十月份的预算都锁死了。", "嗯。"], "我说了不算，得李总签字，我们再研究研究。"),
    (["電話是多少？"], "幺三八零零一二三四五六，增长百分之八十，1,280,000元，3.5万，〇八年，龘𠮷。"),
]


def write_golden(path, session, pinyin):
    items = []
    for ctx, text in GOLDEN:
        p1 = ctx[-1] if ctx else ""
        p2 = ctx[-2] if len(ctx) > 1 else ""
        ids = [ids_of(t, r, pinyin).tolist() for t, r in zip((text, p1, p2), ROLES)]
        s, c, l = session.run([ids])
        f = lambda x: [round(float(v), 6) for v in x[0]]
        items.append({"previous2": p2, "previous1": p1, "text": text, "ids": ids, "scores": f(s), "categories": f(c), "levels": f(l)})
    sha = hashlib.sha256(open(os.path.join(HERE, "moments.onnx"), "rb").read()).hexdigest()
    with open(path, "w", encoding="utf8") as f:
        json.dump({"model_sha256": sha, "tolerance": 1e-4, "labels": KINDS, "categories": CATEGORIES, "levels": LEVELS, "items": items}, f, ensure_ascii=False)
        f.write("\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--measure", metavar="DIR")
    ap.add_argument("--noise", action="store_true")
    ap.add_argument("--record", metavar="NAME")
    ap.add_argument("--errors", action="store_true", help="with --measure: print the misjudged utterances")
    a = ap.parse_args()
    if a.measure:
        return measure(a.measure, a.noise, a.errors, a.record)
    from publish import fingerprint, publish
    t0 = time.time()
    data_dir = os.path.join(HERE, "data", "dialogues")
    dialogues, bad = load_dialogues(data_dir)
    mark = fingerprint(data_dir)
    for b in bad:
        print("skipped", b, file=sys.stderr)
    tsv = os.path.join(HERE, "pinyin.tsv")
    write_pinyin(tsv, "".join(t for d in dialogues for t, _, _ in d["turns"]))
    pinyin = Pinyin(load_pinyin(tsv))
    noise = Noise(pinyin)
    fold = folds_of(dialogues)
    print(f"{len(dialogues)} dialogues, {sum(len(d['turns']) for d in dialogues)} utterances, {len(set(d['industry'] for d in dialogues))} industries", file=sys.stderr)

    clean = [rows(plain(d), pinyin) for d in dialogues]
    noised = [augmented(d, noise, pinyin) for d in dialogues]
    print(f"features: {time.time() - t0:.0f} s", file=sys.stderr)
    members, oof = [], []
    for f in range(FOLDS):
        tr = [i for i, g in enumerate(fold) if g != f]
        va = [i for i, g in enumerate(fold) if g == f]
        vrows = [r for i in va for r in clean[i]]
        nrng = random.Random(77 + f)
        nrows = [r for i in va for r in rows(noisy(dialogues[i], noise, nrng), pinyin)]
        zs, zn = [], []
        for s in range(SEEDS):
            p = train_member(lambda rng: [r for i in tr for r in clean[i] + noised[i][rng.integers(COPIES)]], seed=100 * f + s)
            members.append(p)
            zs.append(forward(p, vrows))
            zn.append(forward(p, nrows))
            print(f"fold {f} member {s}: {time.time() - t0:.0f} s", file=sys.stderr)
        oof.append((np.mean(zs, 0), np.mean(zn, 0), *targets(vrows), np.full(len(vrows), f)))
    publish(dialogues, mark, bad, fold, members, [np.concatenate(x) for x in zip(*oof)], pinyin, t0, HERE)


def measure(folder, with_noise, errors, record=None):
    import tomllib
    man = tomllib.load(open(os.path.join(HERE, "..", "moments.toml"), "rb"))
    thr = [man["thresholds"][k] for k in KINDS]
    pinyin = Pinyin(load_pinyin())
    noise, rng = Noise(pinyin), random.Random(5)
    session = Session(os.path.join(HERE, "moments.onnx"))
    visits = load_visits(folder)
    data = [r for d in visits for r in rows(noisy(d, noise, rng) if with_noise else plain(d), pinyin)]
    y, yc, yl = targets(data)
    s, c, l = predict(session, data)
    res = table(y, s, thr, yc, c, yl, l)
    print(json.dumps(res, ensure_ascii=False, indent=1))
    if record:
        path = os.path.join(HERE, "..", "moments.toml")
        old = open(path, encoding="utf8").read()
        head = f"\n[measured.{record}]\n"
        if head in old:
            before, _, after = old.partition(head)
            nxt = after.find("\n[")
            old = before + (after[nxt:] if nxt >= 0 else "")
        body = [f'command = "models/moments/train.py --measure DIR{" --noise" if with_noise else ""}"', f"utterances = {res['utterances']}",
                f"macro_f1_core = {res['macro_f1_core']}", f"macro_f1_all = {res['macro_f1_all']}"]
        body += [f"{k} = {res['labels'][k]['f1']}" for k in KINDS]
        body += [f"{k} = {res[k]}" for k in ("category_accuracy", "level_accuracy") if k in res]
        open(path, "w", encoding="utf8").write(old.rstrip("\n") + "\n" + head + "\n".join(body) + "\n")
    if errors:
        texts = [t for d in visits for t, _, _ in d["turns"]]
        for i, k in enumerate(KINDS):
            for j, t in enumerate(texts):
                if (s[j, i] >= thr[i]) != bool(y[j, i]):
                    print("MISS" if y[j, i] else "FALSE", k, f"{s[j, i]:.2f}", t)
    return res


if __name__ == "__main__":
    main()
