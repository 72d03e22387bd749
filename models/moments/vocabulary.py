"""The part of e5's 250 000 pieces that Mandarin business talk needs, as a tokenizer.json of its own."""
import json

from syllables import coarse, common_characters, syllable

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]  # ids 0-3, as in XLM-RoBERTa
BOS, PAD, EOS, UNK = range(4)
WORDS = 9000      # pieces of two to four Chinese characters, the likeliest first
ENGLISH = 1500    # pieces of a-z, likewise
MARKS = [",", "。", "?", "!", "%", "▁"]


def prune(pieces):
    """Indices into e5's pieces, specials first, then by falling score."""
    chinese = set(common_characters()) | {"〇"}
    index = {}
    for i, (p, _) in enumerate(pieces):
        index.setdefault(p, i)
    ranked = sorted(index, key=lambda p: -pieces[index[p]][1])
    ranked = [p for p in ranked if p not in SPECIAL]
    single = [p for p in ranked if p in chinese]
    words = [p for p in ranked if 2 <= len(p) <= 4 and all(c in chinese for c in p)][:WORDS]
    english = [p for p in ranked if p.lstrip("▁") and all("a" <= c <= "z" for c in p.lstrip("▁"))]
    letters = [p for p in english if len(p.lstrip("▁")) == 1]
    digits = [p for p in ranked if p in set("0123456789")]
    keep = set(single) | set(words) | set(english[:ENGLISH]) | set(letters) | set(digits) | {m for m in MARKS if m in index}
    return [index[p] for p in SPECIAL] + [index[p] for p in ranked if p in keep]


def write_tokenizer(path, pieces, kept):
    vocab = [[pieces[i][0], pieces[i][1]] for i in kept]
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False}
    json.dump({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": space,
               "post_processor": None, "decoder": space, "model": {"type": "Unigram", "unk_id": UNK, "vocab": vocab, "byte_fallback": False}},
              open(path, "w", encoding="utf8"), ensure_ascii=False, separators=(",", ":"))


def sounds(pieces, kept):
    """Per kept piece the list of its coarse syllables, and the list of all syllables; latin and marks have none."""
    per_piece = [[coarse(s) for c in pieces[i][0] if (s := syllable(c))] for i in kept]
    return per_piece, sorted({s for p in per_piece for s in p})
