#!/usr/bin/env python3
"""Train the moment classifier and write everything the service and its tests need.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt     (once; PyPI only, CPU only)
    .venv/bin/python train.py               train, judge, and write moments.onnx, tokenizer.json, golden.json,
                                            thresholds.json, report.json (about an hour on two cores)
    .venv/bin/python train.py --measure DIR [--noise] [--following] [--speakers]
                                            score moments.onnx on labelled visits (*.json) or dialogues (*.tsv)

A tenth of the industries is held out: the network never sees them. They give figures, calibration and thresholds; for
the figures, calibration and thresholds of each quarter of them come from the other three. All seeds are fixed, but sums
in another order (another processor, another number of threads) still move the last digits.
"""
import argparse
import ctypes
import json
import os
import platform
import random
import sys
import time

import numpy as np
import torch

import publish
from augment import Noise
from bag import JUDGED, Bag, bag_outputs, examples, fit_bag
from dialogues import KINDS, folds_by_industry, load_dialogues, load_visits
from e5 import E5, download
from export import write
from grams import Pinyin, load_pinyin
from judge import table, truth
from learn import fit, outputs
from model import Moments
from vocabulary import prune, sounds, write_tokenizer
from windows import Pieces

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = "0.4.0"
LAYERS = range(6)     # of e5's twelve
ROUNDS = [(6, 1.0), (3, 0.6)]  # epochs and share of the full learning rate: the second round starts where the first ended
BAGS = 2              # n-gram halves of the classifier, and
SHARE = 0.25          # what their mean counts
FOLDS, QUARTERS = 10, 4


def noisy(dialogues, noise, seed=5):
    rng = random.Random(seed)
    return [d._replace(turns=noise.light(d.turns, rng)) for d in dialogues]


class Trainer:
    def __init__(self, cache, out, threads, dialogues):
        torch.set_num_threads(threads)
        hold_memory()
        self.source = E5(download(cache))
        self.kept = prune(self.source.pieces)
        self.sounds = sounds(self.source.pieces, self.kept)
        write_tokenizer(os.path.join(out, "tokenizer.json"), self.source.pieces, self.kept)
        self.pieces = Pieces(os.path.join(out, "tokenizer.json"))
        self.noise = Noise(dialogues)
        self.pinyin = Pinyin(load_pinyin())
        self.ask = publish.Asker(self.pieces, self.pinyin)

    def train(self, dialogues, seed):
        """The weights of a transformer and of the bags."""
        torch.manual_seed(seed)
        model = Moments(self.source, self.kept, *self.sounds, LAYERS)
        for number, (epochs, pace) in enumerate(ROUNDS):
            fit(model, dialogues, self.pieces, self.noise, epochs, seed + 4 * number, pace, log=lambda line: print(line, file=sys.stderr, flush=True))
        rows = examples(dialogues, self.noise, self.pinyin, 0)
        return {"transformer": model.state_dict(), "bags": [fit_bag(rows, s).state_dict() for s in range(BAGS)]}

    def networks(self, weights):
        model, bags = Moments(self.source, self.kept, *self.sounds, LAYERS), [Bag() for _ in weights["bags"]]
        for m, w in zip([model, *bags], [weights["transformer"], *weights["bags"]]):
            m.load_state_dict(w)
            m.eval()
        return model, bags

    def answers(self, networks, dialogues, ahead=False, speakers=False):
        """Raw outputs of all turns in order."""
        model, bags = networks
        z = bag_outputs(bags, dialogues, self.pinyin)
        judged = (1 - SHARE) * outputs(model, dialogues, self.pieces, ahead, speakers)[:, :JUDGED] + SHARE * z[:, :JUDGED]
        return np.concatenate([judged, z[:, JUDGED:]], 1)


def hold_memory():
    """Lets the C library keep what a step gave back: asking the system for it anew takes a quarter of the time."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    trim_threshold, mmap_max = -1, -4
    libc.mallopt(trim_threshold, 2 ** 31 - 1)
    libc.mallopt(mmap_max, 0)


def kept(path, make, save, load):
    """What an earlier call left at path, or what make() gives, then left there."""
    if path and os.path.exists(path):
        return load(path)
    made = make()
    if path:
        save(path, made)
    return made


def build(folders, cache, out, threads, keep):
    started = time.time()
    dialogues = load_dialogues(*folders)
    fold = folds_by_industry(dialogues, FOLDS)
    seen, held = [d for d, f in zip(dialogues, fold) if f], [d for d, f in zip(dialogues, fold) if not f]
    trainer = Trainer(cache, out, threads, seen)
    weights = kept(os.path.join(keep, "weights.pt") if keep else None, lambda: trainer.train(seen, 7), lambda p, v: torch.save(v, p), torch.load)
    networks = trainer.networks(weights)

    heard = noisy(held, trainer.noise)
    views = {"": trainer.answers(networks, held), "_noise": trainer.answers(networks, heard, ahead=True), "_following": trainer.answers(networks, held, ahead=True),
             "_speakers": trainer.answers(networks, heard, ahead=True, speakers=True)}
    labels = truth(held)
    parts = np.repeat([str(f) for f in folds_by_industry(held, QUARTERS)], [len(d.turns) for d in held])
    report = {"version": VERSION, "note": "held_out*: a tenth of the industries, never seen by the network; calibration and thresholds of each quarter of it come from the "
              "other three. _following: judged again once the next utterance is known, as the service does; _noise: and with simulated recogniser noise; "
              "_speakers: and it is known who speaks."}
    for name in views:
        others = [(z, labels, parts) for n, z in views.items() if n != name]
        report["held_out" + name] = publish.crossed(views[name], labels, parts, others)["all"]
        report["held_out" + name]["customer_accuracy"] = publish.customer_accuracy(views[name][:, -1], held)
    every = [np.concatenate([column] * len(views)) for column in labels]
    calibration = publish.calibrate(np.concatenate(list(views.values())), every)
    scores = np.concatenate([publish.probabilities(z, calibration)[0] for z in views.values()])
    limits = publish.thresholds_of(every[0], scores)
    report["threshold_slack_macro_f1_core"] = {f"{d:+.2f}": table(every, scores, [x + d for x in limits])["macro_f1_core"] for d in (-0.1, -0.05, 0, 0.05, 0.1)}
    report["expected_calibration_error"] = publish.expected_calibration_error(every, scores)

    path = os.path.join(out, "moments.onnx")
    write(path, *networks, SHARE, calibration)
    session = publish.Session(path)
    publish.golden(os.path.join(out, "golden.json"), path, session, trainer.ask)
    probe = held[::3]
    got, took = publish.judge_graph(session, probe, trainer.ask)
    want = publish.probabilities(trainer.answers(networks, probe), calibration)
    report.update({
        "graph_against_training": {"mean_absolute_difference": round(float(np.abs(got[0] - want[0]).mean()), 4),
                                   "same_decisions": round(float(((got[0] >= limits) == (want[0] >= limits)).mean()), 4)},
        "padding_error": publish.padding_error(session, held, trainer.ask),
        "milliseconds_per_utterance": {q: round(float(np.percentile(took, int(q[1:]))), 2) for q in ("p50", "p95")},
        "thresholds": dict(zip(KINDS, limits)), "platt": dict(zip(KINDS, calibration["platt"])),
        "temperature": {k: calibration[k] for k in ("categories", "levels")},
        "data": publish.counts(dialogues), "held_out_dialogues": len(held), "data_sha256": publish.fingerprint(dialogues), "model_bytes": os.path.getsize(path),
        "vocabulary": len(trainer.kept), "settings": {"layers": len(LAYERS), "rounds": ROUNDS, "bags": BAGS, "share_of_bags": SHARE, "threads": threads},
        "seconds": round(time.time() - started), "made_on": f"python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}"})
    for name, content in (("report.json", report), ("thresholds.json", report["thresholds"])):
        with open(os.path.join(out, name), "w", encoding="utf8") as f:
            json.dump(content, f, ensure_ascii=False, indent=1, default=float)
            f.write("\n")
    if os.path.samefile(out, HERE):
        publish.update_manifest(os.path.join(HERE, os.pardir, "moments.toml"), HERE, report)
    print(json.dumps({k: [report[k]["macro_f1_core"], report[k]["macro_f1_all"]] for k in report if k.startswith("held_out") and isinstance(report[k], dict)}, indent=1))


def measure(folder, out, with_noise, following, speakers):
    dialogues = load_visits(folder) or load_dialogues(folder)
    if with_noise:
        dialogues = noisy(dialogues, Noise(dialogues))
    limits = json.load(open(os.path.join(out, "thresholds.json"), encoding="utf8"))
    ask = publish.Asker(Pieces(os.path.join(out, "tokenizer.json")), Pinyin(load_pinyin()))
    got, took = publish.judge_graph(publish.Session(os.path.join(out, "moments.onnx")), dialogues, ask, following, speakers)
    figures = table(truth(dialogues), got[0], [limits[k] for k in KINDS], got[1], got[2])
    print(json.dumps({**figures, "milliseconds_p95": round(float(np.percentile(took, 95)), 2)}, ensure_ascii=False, indent=1))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", nargs="+", default=[os.path.join(HERE, "data", "dialogues")], help="folders of *.tsv; later ones replace files of the same name")
    ap.add_argument("--cache", default=os.path.join(HERE, ".cache"), help="where the starting weights are kept (90 MB)")
    ap.add_argument("--out", default=HERE)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--keep", metavar="DIR", help="keep the trained weights here, or go on from those that are here")
    ap.add_argument("--measure", metavar="DIR")
    ap.add_argument("--noise", action="store_true", help="with --measure: add simulated recogniser noise")
    ap.add_argument("--following", action="store_true", help="with --measure: judge with the next utterance known")
    ap.add_argument("--speakers", action="store_true", help="with --measure: and who speaks")
    a = ap.parse_args()
    if a.measure:
        measure(a.measure, a.out, a.noise, a.following, a.speakers)
    else:
        build(a.data, a.cache, a.out, a.threads, a.keep)


if __name__ == "__main__":
    main()
