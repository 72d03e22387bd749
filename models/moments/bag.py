"""The smaller half of the classifier: hashed n-grams of letters and sounds, summed, and one hidden layer.

It errs elsewhere than the transformer, costs a fifth of a millisecond, and the two averaged are better than either.
"""
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from dialogues import CATEGORIES, KINDS, LEVELS
from grams import ROLES, TABLE, ids_of
from windows import target

DIM, HIDDEN, EPOCHS, BATCH = 22, 48, 12, 64
RATE, DECAY = 3e-3, 0.01
COPIES = 8              # noisy copies of every dialogue to draw from
JUDGED = len(KINDS) + len(CATEGORIES) + len(LEVELS)
OUTPUTS = JUDGED + 1     # the last: is it the customer who speaks, as far as the words tell


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(TABLE, DIM, padding_idx=0)
        nn.init.normal_(self.table.weight, std=0.02)
        with torch.no_grad():
            self.table.weight[0] = 0
        self.hidden, self.out, self.straight = nn.Linear(3 * DIM, HIDDEN), nn.Linear(HIDDEN, OUTPUTS), nn.Linear(3 * DIM, OUTPUTS, bias=False)
        nn.init.normal_(self.hidden.weight, std=(2 / (3 * DIM)) ** 0.5)
        nn.init.normal_(self.out.weight, std=HIDDEN ** -0.5)
        nn.init.normal_(self.straight.weight, std=0.3)
        for layer in (self.hidden, self.out):
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.out.bias[:len(KINDS)], -2.0)

    def forward(self, grams):
        """grams [batch, 3, n], 0 = none."""
        if self.training:  # hide a third of the n-grams, and sometimes all of a previous text
            keep = torch.rand(grams.shape) > 0.3
            keep[:, 1:] &= torch.rand(len(grams), 2, 1) > 0.1
            grams = grams * keep
        count = (grams > 0).sum(-1, keepdim=True).clamp(min=1)
        x = F.dropout((self.table(grams).sum(2) / count.sqrt()).flatten(1), 0.2, self.training)
        return self.out(F.dropout(F.relu(self.hidden(x)), 0.4, self.training)) + self.straight(x)


def rows(turns, pinyin):
    """[(ids per role, target)]"""
    texts = ["", "", *(t.text for t in turns)]
    return [(tuple(ids_of(texts[i + 2 - j], r, pinyin) for j, r in enumerate(ROLES)), target(t)) for i, t in enumerate(turns)]


def padded(part):
    n = max(1, max(len(g) for r in part for g in r[0]))
    out = np.zeros((len(part), 3, n), np.int64)
    for i, r in enumerate(part):
        for j, g in enumerate(r[0]):
            out[i, j, :len(g)] = g
    return torch.tensor(out)


def examples(dialogues, noise, pinyin, seed):
    """Per dialogue its rows and COPIES noisy versions of them."""
    rng = random.Random(seed)
    return [(rows(d.turns, pinyin), [rows(noise.visit(d.turns, rng), pinyin) for _ in range(COPIES)]) for d in dialogues]


def fit_bag(prepared, seed):
    """One network from `examples`."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    model = Bag().train()
    optimizer = torch.optim.AdamW([{"params": [p], "weight_decay": DECAY if p.ndim > 1 else 0.0} for p in model.parameters()], lr=RATE, betas=(0.9, 0.98), fused=True)
    k, c = len(KINDS), len(CATEGORIES)
    step, total = 0, None
    for _ in range(EPOCHS):
        data = [r for clean, noised in prepared for r in clean + rng.choice(noised)]
        rng.shuffle(data)
        total = total or EPOCHS * (len(data) // BATCH)
        for i in range(0, len(data) - BATCH + 1, BATCH):
            part = data[i:i + BATCH]
            on, weight, category, level, customer = (torch.tensor(np.array(x)) for x in zip(*(r[1] for r in part)))
            z = model(padded(part))
            loss = (F.binary_cross_entropy_with_logits(z[:, :k], on.float(), reduction="none") * weight).sum() / BATCH
            for lo, hi, wanted in ((k, k + c, category), (k + c, JUDGED, level)):
                if (wanted >= 0).any():
                    loss = loss + F.cross_entropy(z[wanted >= 0, lo:hi], wanted[wanted >= 0], reduction="sum") / BATCH
            told = customer >= 0
            loss = loss + F.binary_cross_entropy_with_logits(z[told, -1], customer[told].float(), reduction="sum") / BATCH
            step += 1
            for g in optimizer.param_groups:
                g["lr"] = RATE * min(1, step / 50) * max(0.03, 1 - step / total)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return model.eval()


def bag_outputs(models, dialogues, pinyin):
    """Raw outputs of all turns in order, mean of the models."""
    data = [r for d in dialogues for r in rows(d.turns, pinyin)]
    with torch.inference_mode():
        return np.concatenate([np.mean([m(padded(data[i:i + 256])).numpy() for m in models], 0) for i in range(0, len(data), 256)])
