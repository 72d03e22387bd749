"""Training of one network, and its raw outputs on dialogues."""
import math
import random
import time
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from dialogues import CATEGORIES, KINDS, LEVELS
from windows import CUSTOMER, REP, UNKNOWN, collate, stretch, target, who

TOKENS = 1600           # a step, about
SHORTEST, LONGEST = 3, 7    # turns of a stretch
AHEAD = 0.35             # share of stretches in which a turn sees the one after it
BARE = 0.15              # share of dialogues seen without punctuation
UNSURE, WRONG = 0.15, 0.04  # of turns with a known speaker so many are said to be unknown, and so many to be of the other side
RATE, HEAD_RATE, LAYER_DECAY = 2.5e-4, 1e-3, 0.9
with open("/proc/cpuinfo", encoding="utf8") as _processor:
    NARROW = "avx512_bf16" in _processor.read()
DETAIL, SPEAKER = 0.4, 0.4  # weights of the losses of category and level, and of who speaks


class Recipe(NamedTuple):
    """What a network learns from besides the words of the judged utterance; leave one out to see what it brings."""
    noisy: float = 0.55     # share of dialogues seen through recogniser noise
    known: float = 0.35     # share of stretches in which it is said who speaks
    context: bool = True    # what was said before, and now and then what is said next
    pinyin: bool = True     # how words sound


def half():
    """Products of half precision, where the processor has them; elsewhere they only cost."""
    return torch.autocast("cpu", torch.bfloat16, enabled=NARROW)


def heard_speakers(turns, rng):
    """Who is said to speak, as a pipeline that tells voices apart knows it: mostly."""
    def say(turn):
        r = rng.random()
        speaker = who(turn.speaker)
        return UNKNOWN if r < UNSURE or speaker == UNKNOWN else (REP + CUSTOMER - speaker if r < UNSURE + WRONG else speaker)
    return [say(t) for t in turns]


def stretches(dialogue, pieces, noise, rng, recipe=Recipe()):
    """One pass over a dialogue: cut at random places, under random noise."""
    turns = noise.visit(dialogue.turns, rng) if rng.random() < recipe.noisy else dialogue.turns
    if rng.random() < BARE:
        turns = noise.without_marks(turns, rng)
    turns = [t for t in turns if pieces.ids(t.text)]
    i, out = 0, []
    while i < len(turns):
        n, before = (rng.randint(SHORTEST, LONGEST), rng.choice([0, 0, 1, 2])) if recipe.context else (1, 0)
        part = turns[max(0, i - before):i + n]
        said = heard_speakers(part, rng) if rng.random() < recipe.known else None
        ids, segments, speakers, numbers = stretch(part, pieces, rng.random() < AHEAD, said)
        out.append((ids[:500], segments[:500], speakers[:500], numbers, [target(t) for t in part]))
        i += n
    return [s for s in out if s[1][-1] == s[3][-1]]


def batches(rows, rng):
    """Rows of like length together, about TOKENS a batch, in random order."""
    rows = sorted(rows, key=lambda r: len(r[0]) + rng.random() * 40)
    out, batch = [], []
    for r in rows:
        if batch and (len(batch) + 1) * max(len(x[0]) for x in batch + [r]) > TOKENS:
            out.append(batch)
            batch = []
        batch.append(r)
    out.append(batch)
    rng.shuffle(out)
    return out


def loss_of(logits, columns):
    on, weight, category, level, customer = columns
    k, c, v = len(KINDS), len(CATEGORIES), len(LEVELS)
    loss = (F.binary_cross_entropy_with_logits(logits[:, :k], on.float(), reduction="none") * weight).sum(1).mean()
    for lo, hi, wanted in ((k, k + c, category), (k + c, k + c + v, level)):
        known = wanted >= 0
        if known.any():
            loss = loss + DETAIL * F.cross_entropy(logits[known, lo:hi], wanted[known])
    known = customer >= 0
    return loss + SPEAKER * F.binary_cross_entropy_with_logits(logits[known, -1], customer[known].float())


def groups(model):
    """Lower layers learn slower; biases and norms do not decay."""
    depth = len(model.layers)
    out = []
    for name, p in model.named_parameters():
        if name.startswith(("dense", "heads")):
            rate = HEAD_RATE
        elif name.startswith("layers."):
            rate = RATE * LAYER_DECAY ** (depth - 1 - int(name.split(".")[1]))
        else:
            rate = RATE * LAYER_DECAY ** depth
        out.append({"params": [p], "lr": rate, "weight_decay": 0.01 if p.ndim > 1 and "sounds" not in name and "words" not in name else 0.0})
    return out


def fit(model, dialogues, pieces, noise, epochs, seed, pace=1.0, recipe=Recipe(), log=print):
    """Trains in place, at this share of the full learning rates, and leaves the moving average of the weights in the model."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(groups(model), betas=(0.9, 0.98), fused=True)
    once = lambda: batches([s for d in dialogues for s in stretches(d, pieces, noise, rng, recipe)], rng)
    per_epoch = len(once())
    total, step, started = epochs * per_epoch, 0, time.time()
    rates = [pace * g["lr"] for g in optimizer.param_groups]
    average = [p.detach().clone() for p in model.parameters()]
    for epoch in range(epochs):
        model.train()
        seen, lost = 0, 0.0
        for batch in once():
            ids, segments, speakers, judged, columns = collate(batch)
            factor = min(1, (step + 1) / (0.1 * total)) * max(0.0, 0.5 * (1 + math.cos(math.pi * min(1, step / total)))) + 0.01
            for g, r in zip(optimizer.param_groups, rates):
                g["lr"] = r * factor
            with half():
                logits = model(ids, segments, speakers, judged).float()[judged > 0]
            loss = loss_of(logits, columns)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            lost, seen = lost + loss.item() * len(logits), seen + len(logits)
            if step % 4 == 0:
                keep = min(0.97, step / (step + 40))
                with torch.no_grad():
                    torch._foreach_lerp_(average, [p.detach() for p in model.parameters()], 1 - keep)
        log(f"epoch {epoch + 1}: loss {lost / seen:.4f}, {time.time() - started:.0f} s")
    with torch.no_grad():
        for p, a in zip(model.parameters(), average):
            p.copy_(a)
    return model


def outputs(model, dialogues, pieces, ahead=False, speakers=False, context=3, length=4):
    """Raw outputs of all turns in order; every turn has at least `context` turns before it where the dialogue has them. speakers: it is known who speaks."""
    rows = []
    for d in dialogues:
        i = 0
        while i < len(d.turns):
            first = max(0, i - context)
            # seeing ahead, the last turn of a stretch needs one more behind it
            part = d.turns[first:i + length + ahead]
            *inputs, numbers = stretch(part, pieces, ahead, [who(t.speaker) for t in part] if speakers else None)
            rows.append((*inputs, numbers[i - first:i - first + length], []))
            i += length
    order = sorted(range(len(rows)), key=lambda r: len(rows[r][0]))
    out = [None] * len(rows)
    model.eval()
    with torch.inference_mode(), half():
        for b in range(0, len(order), 8):
            pick = order[b:b + 8]
            ids, segments, speakers, judged, _ = collate([rows[r] for r in pick])
            z = model(ids, segments, speakers, judged).float().numpy()
            for i, r in enumerate(pick):
                out[r] = z[i, :len(rows[r][3])]
    return np.concatenate(out)
