"""The network: e5's lower layers under a mask that lets an utterance see itself and what was said before it.

A sequence holds several utterances, `<s> first </s> second </s> ...`; `segments` numbers them per token. Training
judges every utterance of a long stretch at once, the service judges the last of a short one: the same arithmetic.
"""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from dialogues import CATEGORIES, KINDS, LEVELS
from windows import CUSTOMER, UNKNOWN

OUTPUTS = len(KINDS) + len(CATEGORIES) + len(LEVELS) + 1  # the last: was it the customer who spoke (training only)
POSITIONS = 512


class Layer(nn.Module):
    def __init__(self, hidden, inner, heads, eps, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, inner), nn.Linear(inner, hidden)
        self.norm1, self.norm2 = nn.LayerNorm(hidden, eps), nn.LayerNorm(hidden, eps)

    def forward(self, x, mask):
        b, n, h = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Written out: on the processors at hand the fused kernel's backward pass takes three times as long.
        chance = (q @ k.transpose(-1, -2) * (h // self.heads) ** -0.5 + mask).softmax(-1)
        a = (chance.to(v.dtype) @ v).transpose(1, 2).reshape(b, n, h)
        x = self.norm1(x + self.out(a))
        return self.norm2(x + F.dropout(self.down(F.gelu(self.up(x))), self.dropout, self.training))


class Moments(nn.Module):
    def __init__(self, source, kept, piece_sounds, all_sounds, layers, pinyin=True, dropout=0.1):
        """source: e5.E5; kept: indices of its pieces; layers: which of its layers, e.g. range(6)."""
        super().__init__()
        h = source.hidden
        self.dropout, self.eps = dropout, max(source.eps, 1e-12)
        table = torch.tensor(source.tensor("emb.word")[kept])
        self.words = nn.Embedding.from_pretrained(table, freeze=False)
        where = source.tensor("emb.pos").reshape(-1, h)[:POSITIONS] + source.tensor("emb.type")[:h]
        self.places = nn.Embedding.from_pretrained(torch.tensor(where), freeze=False)
        # Who speaks, where that is known; starts as nothing.
        self.who = nn.Embedding(CUSTOMER + 1, h, padding_idx=UNKNOWN)
        nn.init.zeros_(self.who.weight)
        self.norm = nn.LayerNorm(h, self.eps)
        self._fill(self.norm, source.tensor("emb.ln.w"), source.tensor("emb.ln.b"))
        self.layers = nn.ModuleList(self._layer(source, l) for l in layers)
        # Sound of a piece: the mean of its syllables' vectors, added to its meaning. A syllable starts as the mean of
        # its characters, so that a wrong character of the right sound lands near the right one.
        number = {s: i for i, s in enumerate(all_sounds)}
        width = max(map(len, piece_sounds))
        ids = torch.full((len(kept), width), len(all_sounds))
        for i, p in enumerate(piece_sounds):
            ids[i, :len(p)] = torch.tensor([number[s] for s in p], dtype=torch.long)
        self.register_buffer("sound_ids", ids)
        centre = table[4:].mean(0)
        start = torch.zeros(len(all_sounds) + 1, h)
        count = torch.zeros(len(all_sounds) + 1, 1)
        for i, p in enumerate(piece_sounds):
            if len(p) == 1:
                start[number[p[0]]] += table[i] - centre
                count[number[p[0]]] += 1
        self.sounds = nn.Embedding.from_pretrained(0.5 * start / count.clamp(min=1), freeze=False, padding_idx=len(all_sounds)) if pinyin else None
        self.dense, self.heads = nn.Linear(2 * h, h), nn.Linear(h, OUTPUTS)
        nn.init.normal_(self.heads.weight, std=0.02)
        nn.init.zeros_(self.heads.bias)
        nn.init.constant_(self.heads.bias[:len(KINDS)], -2.0)

    @staticmethod
    def _fill(module, weight, bias):
        with torch.no_grad():
            module.weight.copy_(torch.tensor(weight))
            module.bias.copy_(torch.tensor(bias))

    def _layer(self, source, l):
        def t(name):
            return source.tensor(f"l{l}.{name}")
        layer = Layer(source.hidden, source.inner, source.heads, self.eps, self.dropout)
        self._fill(layer.qkv, np.concatenate([t(f"{c}.w") for c in "qkv"]), np.concatenate([t(f"{c}.b") for c in "qkv"]))
        self._fill(layer.out, t("ao.w"), t("ao.b"))
        self._fill(layer.up, t("fi.w"), t("fi.b"))
        self._fill(layer.down, t("fo.w"), t("fo.b"))
        self._fill(layer.norm1, t("aln.w"), t("aln.b"))
        self._fill(layer.norm2, t("oln.w"), t("oln.b"))
        return layer

    def token_table(self, ids=None):
        """Meaning plus sound of the given pieces (of all, when the graph is written)."""
        if ids is None:
            ids = torch.arange(len(self.sound_ids))
        x = self.words(ids)
        if self.sounds is not None:
            s = self.sound_ids[ids]
            known = (s < self.sounds.num_embeddings - 1).sum(-1, keepdim=True).clamp(min=1)
            x = x + self.sounds(s).sum(-2) / known
        return x

    def encode(self, ids, segments, speakers):
        x = self.token_table(ids) + self.places(torch.arange(ids.shape[1])) + self.who(speakers)
        x = F.dropout(self.norm(x), self.dropout, self.training)
        # A token sees its own utterance, those before, and one of the next number (numbers with gaps: none after).
        ahead = segments[:, None, :] <= segments[:, :, None] + 1
        mask = torch.zeros(ahead.shape, dtype=x.dtype).masked_fill(~(ahead & (segments > 0)[:, None, :]), -1e4)[:, None]
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def forward(self, ids, segments, speakers, judged):
        """judged [batch, utterances]: segment numbers to judge (0: none). Returns [batch, utterances, OUTPUTS]."""
        x = self.encode(ids, segments, speakers).float()
        own = (segments[:, None, :] == judged[:, :, None]) & (judged > 0)[:, :, None]
        mean = own.float() @ x / own.sum(-1, keepdim=True).clamp(min=1)
        last = (own * torch.arange(1, ids.shape[1] + 1)).argmax(-1)
        end = torch.gather(x, 1, last[:, :, None].expand(-1, -1, x.shape[-1]))
        z = F.dropout(torch.cat([mean, end], -1), self.dropout, self.training)
        z = F.dropout(F.gelu(self.dense(z)), 2 * self.dropout, self.training)
        return self.heads(z)
