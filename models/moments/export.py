"""Writes the network as an ONNX graph of standard operators, weights in int8.

Every row of activations (one token) is quantised by itself, so neither padding nor the other rows of a batch can
change a result; a quantiser over the whole tensor, the usual kind, lets them.
"""
import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dialogues import CATEGORIES, KINDS, LEVELS
from windows import CURRENT

OPSET, IR = 18, 9
LARGEST = 63   # of a weight that meets bytes of activations: processors without VNNI add two products in 16 bits, 2 * 255 * 63 at most
LONGEST = 256  # tokens of a window; PREVIOUS * (CONTEXT_TOKENS + 1) + ... stays below


class Graph:
    def __init__(self):
        self.nodes, self.constants, self._named = [], [], {}

    def op(self, kind, *inputs, outputs=1, **attributes):
        names = [f"{kind.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, [self.name(i) for i in inputs], names, **attributes))
        return names[0] if outputs == 1 else names

    def name(self, value):
        """A tensor's name; arrays and numbers become constants, equal ones only once."""
        if isinstance(value, str):
            return value
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._named:
            self._named[key] = f"c{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, self._named[key]))
        return self._named[key]

    def linear(self, x, weight, bias, quantise=True):
        """weight [out, in] as torch has it. One scale of its bytes an output channel, one a token."""
        if not quantise:
            return self.op("Add", self.op("MatMul", x, np.ascontiguousarray(weight.T)), bias)
        w, w_scale = bytes_of(weight, LARGEST)
        scale = self.op("Mul", self.op("Max", self.op("ReduceMax", self.op("Abs", x), np.array([-1]), keepdims=1), np.float32([1e-6])), np.float32(1 / 127))
        # 0.5 + 128 and the cast's truncation round to nearest; unsigned activations are what the fast kernels take
        rounded = self.op("Cast", self.op("Add", self.op("Div", x, scale), np.float32(128.5)), to=TensorProto.UINT8)
        y = self.op("Cast", self.op("MatMulInteger", rounded, np.ascontiguousarray(w.T), np.uint8(128)), to=TensorProto.FLOAT)
        return self.op("Add", self.op("Mul", self.op("Mul", y, scale), w_scale), bias)

    def norm(self, x, module):
        return self.op("LayerNormalization", x, array(module.weight), array(module.bias), axis=-1, epsilon=float(module.eps))

    def gelu(self, x):
        return self.op("Mul", self.op("Mul", x, self.op("Add", self.op("Erf", self.op("Div", x, np.float32(2 ** 0.5))), np.float32(1))), np.float32(0.5))


def array(parameter):
    return parameter.detach().float().numpy()


def bytes_of(weight, largest):
    """Rounded to whole numbers of at most this size, and the scale of each row."""
    scale = np.maximum(np.abs(weight).max(1), 1e-8) / largest
    return np.round(weight / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def attention_mask(g, segments):
    """[batch, n, n]: 0 where a token (row) may look, far below zero elsewhere."""
    key, query = g.op("Unsqueeze", segments, np.array([1])), g.op("Unsqueeze", segments, np.array([2]))
    seen = g.op("And", g.op("LessOrEqual", key, g.op("Add", query, np.int64(1))), g.op("Greater", key, np.int64(0)))
    return g.op("Where", seen, np.float32(0), np.float32(-1e4))


def judged_rows(g, segments):
    """Places of the judged utterance's tokens, first to last, [batch, m, 1]; and 1 for each, 0 for what fills up, [batch, m]."""
    own = g.op("Cast", g.op("Equal", segments, np.int64(CURRENT)), to=TensorProto.FLOAT)
    longest = g.op("Cast", g.op("ReduceMax", g.op("ReduceSum", own, np.array([1]), keepdims=0), keepdims=1), to=TensorProto.INT64)
    own, places = g.op("TopK", own, g.op("Max", g.op("Reshape", longest, np.array([1])), np.array([1])), axis=1, outputs=2)
    return g.op("Unsqueeze", places, np.array([2])), own


def layer(g, x, mask, module, rows=None):
    """One layer; with rows only these tokens ask and go on, all others are just looked at (enough for the last layer)."""
    h, heads = module.out.weight.shape[0], module.heads
    weight, bias = array(module.qkv.weight).copy(), array(module.qkv.bias).copy()
    weight[:h] /= (h // heads) ** 0.5  # the scale of the dot product, done once
    bias[:h] /= (h // heads) ** 0.5
    if rows is None:
        parts = g.op("Split", g.linear(x, weight, bias), axis=-1, outputs=3, num_outputs=3)
    else:
        looked_at = g.op("Split", g.linear(x, weight[h:], bias[h:]), axis=-1, outputs=2, num_outputs=2)
        x, mask = g.op("GatherND", x, rows, batch_dims=1), g.op("GatherND", mask, rows, batch_dims=1)
        parts = [g.linear(x, weight[:h], bias[:h]), *looked_at]
    split = [g.op("Reshape", p, np.array([0, 0, heads, h // heads])) for p in parts]
    q, v = (g.op("Transpose", s, perm=[0, 2, 1, 3]) for s in (split[0], split[2]))
    k = g.op("Transpose", split[1], perm=[0, 2, 3, 1])
    chance = g.op("Softmax", g.op("Add", g.op("MatMul", q, k), g.op("Unsqueeze", mask, np.array([1]))), axis=-1)
    a = g.op("Reshape", g.op("Transpose", g.op("MatMul", chance, v), perm=[0, 2, 1, 3]), np.array([0, 0, h]))
    x = g.norm(g.op("Add", x, g.linear(a, array(module.out.weight), array(module.out.bias))), module.norm1)
    inner = g.gelu(g.linear(x, array(module.up.weight), array(module.up.bias)))
    return g.norm(g.op("Add", x, g.linear(inner, array(module.down.weight), array(module.down.bias))), module.norm2)


def pool(g, x, own):
    """[mean of the judged utterance's tokens, its last token]"""
    count = g.op("Max", g.op("ReduceSum", own, np.array([1]), keepdims=1), np.float32(1))
    mean = g.op("Div", g.op("ReduceSum", g.op("Mul", x, g.op("Unsqueeze", own, np.array([2]))), np.array([1]), keepdims=0), count)
    last = g.op("Mul", g.op("Cast", g.op("Equal", g.op("CumSum", own, np.int64(1)), count), to=TensorProto.FLOAT), own)
    end = g.op("ReduceSum", g.op("Mul", x, g.op("Unsqueeze", last, np.array([2]))), np.array([1]), keepdims=0)
    return g.op("Concat", mean, end, axis=-1)


def bag(g, models):
    """Mean of the n-gram halves' raw outputs. grams [batch, 3, n]: 0 is none, and row 0 of a table is zeros."""
    known = g.op("Cast", g.op("Greater", "grams", np.int64(0)), to=TensorProto.FLOAT)
    root = g.op("Sqrt", g.op("Max", g.op("ReduceSum", known, np.array([2]), keepdims=1), np.float32(1)))
    total = None
    for m in models:
        table = array(m.table.weight)
        scale = float(np.abs(table).max() / 127)
        picked = g.op("Cast", g.op("Gather", np.round(table / scale).astype(np.int8), "grams"), to=TensorProto.FLOAT)
        x = g.op("Div", g.op("Mul", g.op("ReduceSum", picked, np.array([2]), keepdims=0), np.float32(scale)), root)
        x = g.op("Reshape", x, np.array([0, 3 * table.shape[1]]))
        h = g.op("Relu", Graph.linear(g, x, array(m.hidden.weight), array(m.hidden.bias), False))
        z = g.op("Add", Graph.linear(g, h, array(m.out.weight), array(m.out.bias), False), g.op("MatMul", x, np.ascontiguousarray(array(m.straight.weight).T)))
        total = z if total is None else g.op("Add", total, z)
    return g.op("Div", total, np.float32(len(models)))


def write(path, model, bags, share, calibration, quantise=True):
    """share: weight of the bags' raw outputs in the mean, the transformer has the rest.
    calibration: {"platt": [(a, b)] of KINDS, "categories": temperature, "levels": temperature}"""
    g = Graph()
    if not quantise:
        g.linear = lambda x, w, b, _=False: Graph.linear(g, x, w, b, False)
    table, scale = bytes_of(array(model.token_table()), 127)
    x = g.op("Mul", g.op("Cast", g.op("Gather", table, "ids"), to=TensorProto.FLOAT), g.op("Gather", scale[:, None], "ids"))
    n = g.op("Squeeze", g.op("Shape", "ids", start=1, end=2), np.array([0]))
    places = array(model.places.weight)[:LONGEST]
    x = g.op("Add", x, g.op("Gather", places, g.op("Range", np.int64(0), n, np.int64(1))))
    x = g.norm(g.op("Add", x, g.op("Gather", array(model.who.weight), "speakers")), model.norm)
    mask, (rows, own) = attention_mask(g, "segments"), judged_rows(g, "segments")
    for i, module in enumerate(model.layers):
        x = layer(g, x, mask, module, rows if i == len(model.layers) - 1 else None)
    z = g.gelu(Graph.linear(g, pool(g, x, own), array(model.dense.weight), array(model.dense.bias), False))
    k, c, v = len(KINDS), len(CATEGORIES), len(LEVELS)
    z = Graph.linear(g, z, array(model.heads.weight)[:k + c + v], array(model.heads.bias)[:k + c + v], False)  # who speaks is told by the bags
    judged, customer = g.op("Split", bag(g, bags), np.array([k + c + v, 1]), axis=-1, outputs=2)
    z = g.op("Add", g.op("Mul", z, np.float32(1 - share)), g.op("Mul", judged, np.float32(share)))
    slope = np.float32([a for a, _ in calibration["platt"]] + [1 / calibration["categories"]] * c + [1 / calibration["levels"]] * v)
    z = g.op("Add", g.op("Mul", z, slope), np.float32([b for _, b in calibration["platt"]] + [0] * (c + v)))
    out = g.op("Split", z, np.array([k, c, v]), axis=-1, outputs=3)
    g.nodes += [helper.make_node("Sigmoid", [out[0]], ["scores"]), helper.make_node("Softmax", [out[1]], ["categories"], axis=-1),
                helper.make_node("Softmax", [out[2]], ["levels"], axis=-1), helper.make_node("Sigmoid", [customer], ["customer"])]
    inputs = [("ids", ["batch", "tokens"]), ("segments", ["batch", "tokens"]), ("speakers", ["batch", "tokens"]), ("grams", ["batch", 3, "grams"])]
    graph = helper.make_graph(g.nodes, "moments", [helper.make_tensor_value_info(s, TensorProto.INT64, shape) for s, shape in inputs],
                              [helper.make_tensor_value_info(s, TensorProto.FLOAT, ["batch", w]) for s, w in (("scores", k), ("categories", c), ("levels", v), ("customer", 1))],
                              g.constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="visitscribe moments")
    onnx.checker.check_model(proto)
    onnx.save(proto, path)
