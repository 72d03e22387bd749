"""Training of one network, and its raw outputs on dialogues."""
import math
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

from dialogues import CATEGORIES, KINDS, LEVELS
from windows import collate, stretch, target

TOKENS = 1600           # a step, about
SHORTEST, LONGEST = 3, 7    # turns of a stretch
AHEAD = 0.35             # share of stretches in which a turn sees the one after it
NOISY = 0.55             # share of dialogues seen through recogniser noise
BARE = 0.15              # share seen without punctuation
RATE, HEAD_RATE, LAYER_DECAY = 2.5e-4, 1e-3, 0.9
DETAIL, SPEAKER = 0.4, 0.4  # weights of the losses of category and level, and of who speaks


def stretches(dialogue, pieces, noise, rng):
    """One pass over a dialogue: cut at random places, under random noise."""
    turns = noise.visit(dialogue.turns, rng) if rng.random() < NOISY else dialogue.turns
    if rng.random() < BARE:
        turns = noise.without_marks(turns, rng)
    turns = [t for t in turns if pieces.ids(t.text)]
    i, out = 0, []
    while i < len(turns):
        n = rng.randint(SHORTEST, LONGEST)
        part = turns[max(0, i - rng.choice([0, 0, 1, 2])):i + n]
        ids, segments, numbers = stretch(part, pieces, rng.random() < AHEAD)
        out.append((ids[:500], segments[:500], numbers, [target(t) for t in part]))
        i += n
    return [s for s in out if s[1][-1] == s[2][-1]]


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


def fit(model, dialogues, pieces, noise, epochs, seed, pace=1.0, log=print):
    """Trains in place, at this share of the full learning rates, and leaves the moving average of the weights in the model."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(groups(model), betas=(0.9, 0.98), fused=True)
    per_epoch = len(batches([s for d in dialogues for s in stretches(d, pieces, noise, rng)], rng))
    total, step, started = epochs * per_epoch, 0, time.time()
    rates = [pace * g["lr"] for g in optimizer.param_groups]
    average = [p.detach().clone() for p in model.parameters()]
    for epoch in range(epochs):
        model.train()
        seen, lost = 0, 0.0
        for batch in batches([s for d in dialogues for s in stretches(d, pieces, noise, rng)], rng):
            ids, segments, judged, columns = collate(batch)
            factor = min(1, (step + 1) / (0.1 * total)) * max(0.0, 0.5 * (1 + math.cos(math.pi * min(1, step / total)))) + 0.01
            for g, r in zip(optimizer.param_groups, rates):
                g["lr"] = r * factor
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(ids, segments, judged).float()[judged > 0]
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


def outputs(model, dialogues, pieces, ahead=False, context=3, length=4):
    """Raw outputs of all turns in order; every turn has at least `context` turns before it where the dialogue has them."""
    rows = []
    for d in dialogues:
        i = 0
        while i < len(d.turns):
            first = max(0, i - context)
            # seeing ahead, the last turn of a stretch needs one more behind it
            ids, segments, numbers = stretch(d.turns[first:i + length + ahead], pieces, ahead)
            rows.append((ids, segments, numbers[i - first:i - first + length], []))
            i += length
    order = sorted(range(len(rows)), key=lambda r: len(rows[r][0]))
    out = [None] * len(rows)
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for b in range(0, len(order), 8):
            pick = order[b:b + 8]
            n, u = max(len(rows[r][0]) for r in pick), max(len(rows[r][2]) for r in pick)
            ids = torch.ones(len(pick), n, dtype=torch.long)
            segments, judged = torch.zeros_like(ids), torch.zeros(len(pick), u, dtype=torch.long)
            for i, r in enumerate(pick):
                ids[i, :len(rows[r][0])] = torch.tensor(rows[r][0])
                segments[i, :len(rows[r][0])] = torch.tensor(rows[r][1])
                judged[i, :len(rows[r][2])] = torch.tensor(rows[r][2])
            z = model(ids, segments, judged).float().numpy()
            for i, r in enumerate(pick):
                out[r] = z[i, :len(rows[r][2])]
    return np.concatenate(out)
