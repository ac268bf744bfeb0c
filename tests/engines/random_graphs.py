#!/usr/bin/env python3
"""Compares the exact engine with onnxruntime on random graphs of all operators: random_graphs.py PROGRAM [COUNT] [SEED].

PROGRAM is a fooling binary. Needs the Python packages onnx, onnxruntime, numpy and Pillow. Prints graphs that are refused or that differ by
more than 1e-4 in a score, and at the end how many agreed, were refused or differed, and how often each operator occurred in those that
agreed. Graphs that differ are kept in the current folder. Status 1 if one differs.

random_graphs.py --store FILE COUNT writes COUNT small graphs with onnxruntime's scores, which a test of the engine reads
(host/src/classifier/exact/stored.rs). The file is gzip: 192 bytes of the picture (rows, columns, channels), then for each
graph the length of the ONNX file (u32, little endian), the file and ten floats (f32).
"""
import collections, gzip, json, os, struct, subprocess, sys, tempfile
import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE, TOLERANCE = 16, 1e-4
UNARY = ["Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Elu", "Selu", "Celu", "LeakyRelu", "HardSigmoid", "HardSwish", "Mish", "Abs",
         "Neg", "Erf", "Sin", "Cos", "Atan", "ThresholdedRelu", "Floor", "Ceil", "Round", "Sign", "Sinh", "Asinh", "Shrink", "Identity"]


class Maker:
    def __init__(self, seed, side=SIDE, small=False):
        self.random = np.random.default_rng(seed)
        # Small graphs have short constants that compress well.
        self.small, self.side, self.opset = small, side, self.pick([17, 18, 20, 23])
        self.random = np.random.default_rng([seed, self.opset])
        self.nodes, self.constants, self.values, self.names = [], [], [("x", (1, 3, side, side))], 0

    def name(self):
        self.names += 1
        return f"v{self.names}"

    def pick(self, items):
        return items[int(self.random.integers(len(items)))]

    def any(self):
        return self.pick(self.values[-3:]) if self.random.random() < 0.8 else self.pick(self.values)

    def constant(self, array):
        name = self.name()
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, shape, scale=1.0):
        numbers = self.random.standard_normal(shape) * scale
        if self.small:
            step = 2.0 ** np.floor(np.log2(scale / 2))
            numbers = np.round(numbers / step) * step
        return self.constant(numbers.astype(np.float32))

    def ints(self, *numbers):
        return self.constant(np.array(numbers, np.int64))

    def node(self, operator, inputs, shape=None, outputs=1, domain="", **attributes):
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, domain=domain, **attributes))
        if shape is not None:
            self.values.append((names[0], tuple(int(side) for side in shape)))
        return names[0] if outputs == 1 else names

    # Each of these adds one layer to a value, or nothing if it does not fit.

    def unary(self, x, shape):
        operator = self.pick(UNARY)
        if operator in ("Floor", "Ceil", "Round", "Sign"):
            # Rounding errors before a step would become large ones: constants are far from it only by chance.
            return
        self.node(operator, [x], shape)

    def bounded(self, x, shape):
        y = self.node("Tanh", [x])
        operator = self.pick(["Asin", "Acos", "Atanh", "Exp", "Cosh", "Tan", "Gelu20"])
        if operator == "Gelu20":
            if self.opset >= 20:
                self.node("Gelu", [y], shape, approximate=self.pick(["none", "tanh"]))
        else:
            y = self.node("Mul", [y, self.constant(np.float32(0.9))])
            self.node(operator, [y], shape)

    def binary(self, x, shape):
        operator = self.pick(["Add", "Sub", "Mul", "Max", "Min", "PRelu"])
        others = [name for name, other in self.values if other == shape]
        kind = self.random.integers(4)
        if kind == 0 and others and operator != "PRelu":
            other = self.pick(others)
        else:
            other = self.floats([side if self.random.random() < 0.5 else 1 for side in shape[1:]])
        swap = self.random.random() < 0.3 and operator != "PRelu"
        self.node(operator, [other, x] if swap else [x, other], shape)

    def variadic(self, x, shape):
        others = [name for name, other in self.values if other == shape]
        self.node(self.pick(["Sum", "Mean", "Max", "Min"]), [x] + [self.pick(others) for _ in range(self.random.integers(0, 3))], shape)

    def convolution(self, x, shape):
        if len(shape) != 4:
            return
        _, channels, height, width = shape
        group = self.pick([1, 1, channels] + [g for g in (2, 3, 4) if channels % g == 0])
        outputs = group * int(self.random.integers(1, max(2, 20 // group)))
        kernel, stride = self.pick([[1, 1], [3, 3], [2, 3], [5, 1]]), self.pick([[1, 1], [2, 2], [1, 2]])
        dilation = self.pick([[1, 1], [1, 1], [2, 1]])
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
        pads = [int(self.random.integers(0, r)) for r in reach + reach]
        sides = [(n + pads[a] + pads[a + 2] - reach[a]) // stride[a] + 1 for a, n in enumerate((height, width))]
        if min(sides) < 1:
            return
        scale = 1.0 / np.sqrt(channels / group * kernel[0] * kernel[1])
        inputs = [x, self.floats([outputs, channels // group] + kernel, scale)] + ([self.floats([outputs], 0.3)] if self.random.random() < 0.7 else [])
        self.node("Conv", inputs, [1, outputs] + sides, group=group, strides=stride, dilations=dilation, pads=pads)

    def wide(self, x, shape):
        """3 x 3 pixels and many channels, also as parts of other values: Winograd's method."""
        if len(shape) != 4 or self.small or shape[2] * shape[3] > 300:
            return
        channels, outputs = self.pick([128, 144, 160]), int(self.random.integers(32, 70))
        pads = [int(self.random.integers(0, 3)) for _ in range(4)]
        sides = [shape[2 + axis] + pads[axis] + pads[axis + 2] - 2 for axis in range(2)]
        if min(sides) < 1:
            return
        x = self.node("Conv", [x, self.floats([channels, shape[1], 1, 1], 1 / np.sqrt(shape[1]))])
        form = self.pick(["whole", "whole", "concatenated", "sliced"])
        if form == "concatenated":
            x, channels = self.node("Concat", [x, self.node("Relu", [x])], axis=1), 2 * channels
        elif form == "sliced":
            first = self.pick([0, min(7, channels - 128), channels - 128])
            x, channels = self.node("Slice", [x, self.ints(first), self.ints(first + 128), self.ints(1)]), 128
        weights = self.floats([outputs, channels, 3, 3], 1 / np.sqrt(9 * channels))
        self.node("Conv", [x, weights, self.floats([outputs], 0.3)], [1, outputs] + sides, pads=pads)

    def transposed(self, x, shape):
        if len(shape) != 4 or shape[2] * shape[3] > 300:
            return
        _, channels, height, width = shape
        group = self.pick([1] + [g for g in (2, 3) if channels % g == 0])
        outputs, kernel, stride = int(self.random.integers(1, 5)), self.pick([[2, 2], [3, 3], [4, 2]]), self.pick([[1, 1], [2, 2], [2, 1]])
        dilation = self.pick([[1, 1], [2, 1]])
        extra = [int(self.random.integers(0, s)) for s in stride]
        pads = [int(self.random.integers(0, 2)) for _ in range(4)]
        sides = [s * (n - 1) + e + d * (k - 1) + 1 - pads[a] - pads[a + 2]
                 for a, (s, n, e, d, k) in enumerate(zip(stride, (height, width), extra, dilation, kernel))]
        if min(sides) < 1:
            return
        weights = self.floats([channels, outputs] + kernel, 1.0 / np.sqrt(channels / group * 3))
        self.node("ConvTranspose", [x, weights, self.floats([outputs * group], 0.3)], [1, outputs * group] + sides, group=group,
                  strides=stride, dilations=dilation, pads=pads, output_padding=extra)

    def pool(self, x, shape):
        if len(shape) != 4:
            return
        operator = self.pick(["MaxPool", "AveragePool", "LpPool"])
        kernel, stride, ceil = self.pick([[2, 2], [3, 3], [3, 2]]), self.pick([[1, 1], [2, 2]]), int(self.random.integers(2))
        pads = [int(self.random.integers(0, k)) for k in kernel] * 2
        if operator == "LpPool":
            ceil = 0
        sides = []
        for axis, side in enumerate(shape[2:]):
            free = side + 2 * pads[axis] - kernel[axis]
            if free < 0:
                return
            count = -(-free // stride[axis]) + 1 if ceil else free // stride[axis] + 1
            if ceil and (count - 1) * stride[axis] >= side + pads[axis]:
                count -= 1
            sides.append(count)
        more = {"count_include_pad": int(self.random.integers(2))} if operator == "AveragePool" else {}
        if operator != "LpPool":
            more["ceil_mode"] = ceil
        self.node(operator, [x], list(shape[:2]) + sides, kernel_shape=kernel, strides=stride, pads=pads, **more)

    def normal(self, x, shape):
        if len(shape) != 4:
            return
        channels = shape[1]
        scale, offset = self.floats([channels], 0.5), self.floats([channels], 0.3)
        kind = self.random.integers(6)
        if kind == 0:
            variance = self.constant(self.random.uniform(0.5, 2, channels).astype(np.float32))
            self.node("BatchNormalization", [x, scale, offset, self.floats([channels], 0.3), variance], shape)
        elif kind == 1 and shape[2] * shape[3] > 3:
            self.node("InstanceNormalization", [x, scale, offset], shape, epsilon=0.01)
        elif kind == 2:
            axis = int(self.random.integers(1, 4))
            rest = shape[axis:]
            if np.prod(rest) > 3:
                self.node("LayerNormalization", [x, self.floats(rest, 0.5), self.floats(rest, 0.3)], shape, axis=axis, epsilon=0.01)
        elif kind == 3:
            self.node("LRN", [x], shape, size=self.pick([3, 5]), alpha=0.1, beta=self.pick([0.5, 0.75, 0.6]), bias=1.5)
        elif kind == 4 and shape[2] * shape[3] > 3:
            self.node("MeanVarianceNormalization", [self.node("Add", [x, self.floats(shape[1:], 0.3)])], shape, axes=[0, 2, 3])
        else:
            self.node("LpNormalization", [self.node("Add", [x, self.constant(np.float32(1.5))])], shape, axis=int(self.random.integers(1, 4)), p=2)

    def move(self, x, shape):
        rank = len(shape)
        kind = self.random.integers(9)
        if kind == 0:
            order = [0] + [int(a) + 1 for a in self.random.permutation(rank - 1)]
            self.node("Transpose", [x], [shape[a] for a in order], perm=order)
        elif kind == 1:
            axis = int(self.random.integers(1, rank))
            if shape[axis] > 2:
                step = self.pick([1, 2, -1])
                start, end = (0, shape[axis] - 1) if step > 0 else (-1, -(shape[axis] + 1))
                side = len(range(shape[axis])[slice(start, None if step < 0 else end, step)])
                self.node("Slice", [x, self.ints(start), self.ints(end), self.ints(axis), self.ints(step)], shape[:axis] + (side,) + shape[axis + 1:])
        elif kind == 2:
            pads = [0] + [int(self.random.integers(0, 3)) for _ in shape[1:]]
            mode = self.pick(["constant", "edge", "reflect"])
            if mode == "reflect" and min(shape[1:]) < 3:
                return
            self.node("Pad", [x, self.ints(*pads, *pads)], [s + 2 * p for s, p in zip(shape, pads)], mode=mode)
        elif kind == 3:
            axis = int(self.random.integers(1, rank))
            others = [name for name, other in self.values if other[:axis] + other[axis + 1:] == shape[:axis] + shape[axis + 1:] and len(other) == rank and other[axis] == shape[axis]]
            self.node("Concat", [x, self.pick(others)], shape[:axis] + (2 * shape[axis],) + shape[axis + 1:], axis=axis)
        elif kind == 4 and rank == 4:
            size = [self.pick([2, 5, 9, 20]), self.pick([3, 8, 13])]
            mode = self.pick(["nearest", "linear", "cubic"])
            coordinates = self.pick(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
            more = {"nearest_mode": "floor"} if mode == "nearest" else {"cubic_coeff_a": -0.75} if mode == "cubic" else {}
            if mode == "nearest":
                coordinates = "asymmetric"
            self.node("Resize", [x, "", "", self.ints(1, shape[1], *size)], [1, shape[1]] + size, mode=mode, coordinate_transformation_mode=coordinates, **more)
        elif kind == 5 and rank == 4:
            if shape[1] % 4 == 0:
                self.node("DepthToSpace", [x], [1, shape[1] // 4, 2 * shape[2], 2 * shape[3]], blocksize=2, mode=self.pick(["DCR", "CRD"]))
            elif shape[2] % 2 == 0 and shape[3] % 2 == 0:
                self.node("SpaceToDepth", [x], [1, shape[1] * 4, shape[2] // 2, shape[3] // 2], blocksize=2)
        elif kind == 6:
            axis = int(self.random.integers(1, rank))
            count = int(self.random.integers(1, 5))
            indices = self.constant(self.random.integers(-shape[axis], shape[axis], count))
            self.node("Gather", [x, indices], shape[:axis] + (count,) + shape[axis + 1:], axis=axis)
        elif kind == 7 and shape[1] > 1:
            first = int(self.random.integers(1, shape[1]))
            a, b = self.node("Split", [x, self.ints(first, shape[1] - first)], outputs=2, axis=1)
            self.values.append((a, shape[:1] + (first,) + shape[2:]))
            self.values.append((b, shape[:1] + (shape[1] - first,) + shape[2:]))
        else:
            repeats = [1] + [int(self.random.integers(1, 3)) for _ in shape[1:]]
            if np.prod(shape) < 2000:
                self.node("Tile", [x, self.ints(*repeats)], [s * r for s, r in zip(shape, repeats)])

    def shuffled(self, x, shape):
        """Some channels through a convolution, concatenated with the others and shuffled, several times: as in ShuffleNet."""
        if len(shape) != 4 or shape[1] < 2:
            return
        channels, sides = shape[1], shape[2:]
        for _ in range(int(self.random.integers(1, 5))):
            kept = int(self.random.integers(1, channels)) if channels > 1 else 0
            if kept == 0:
                break
            a, b = self.node("Split", [x, self.ints(kept, channels - kept)], outputs=2, axis=1)
            outputs = int(self.random.integers(1, 40))
            b = self.node("Conv", [b, self.floats([outputs, channels - kept, 1, 1], 1 / np.sqrt(channels - kept))])
            x, channels = self.node("Concat", self.pick([[a, b], [b, a]]), axis=1), kept + outputs
            groups = self.pick([groups for groups in range(1, channels + 1) if channels % groups == 0])
            x = self.node("Reshape", [x, self.ints(1, groups, channels // groups, *sides)])
            x = self.node("Reshape", [self.node("Transpose", [x], perm=[0, 2, 1, 3, 4]), self.ints(1, channels, *sides)])
        self.values.append((x, (1, channels, *sides)))

    def reduced(self, operator, x, axes, keep):
        # Axes are an attribute up to opset 17, except those of ReduceSum.
        if self.opset < 18 and operator != "ReduceSum":
            return self.node(operator, [x], axes=axes, keepdims=keep)
        return self.node(operator, [x, self.ints(*axes)], keepdims=keep)

    def reduce(self, x, shape):
        operator = self.pick(["ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare", "ReduceSum",
                              "ReduceProd"])
        if operator == "ReduceProd":
            x = self.node("Sigmoid", [x])
        axes = sorted({int(self.random.integers(1, len(shape))) for _ in range(2)})
        y = self.reduced(operator, x, axes, 1)
        self.node("Sub", [x, y] if self.random.random() < 0.5 else [y, x], shape)

    def product(self, x, shape):
        kind = self.random.integers(5)
        if kind == 0:
            self.node("MatMul", [x, self.floats([shape[-1], 7], 1 / np.sqrt(shape[-1]))], shape[:-1] + (7,))
        elif kind == 1 and len(shape) == 4:
            y = self.node("Transpose", [self.node("Tanh", [x])], perm=[0, 1, 3, 2])
            self.node("MatMul", [x, y], (1, shape[1], shape[2], shape[2]))
        elif kind == 2 and len(shape) == 4:
            self.node("Einsum", [x, self.floats([shape[1], 6], 0.5)], (1, 6, shape[2], shape[3]), equation="nchw,cd->ndhw")
        elif kind == 3 and len(shape) == 4:
            self.node("Einsum", [x, x], (1, shape[2], shape[1]), equation="nchw,nchw->nhc")
        else:
            self.node(self.pick(["Softmax", "LogSoftmax"]), [x], shape, axis=int(self.random.integers(1, len(shape))))

    def choose(self, x, shape):
        kind = self.random.integers(5)
        if kind == 0:
            mask = self.constant(self.random.random(shape[1:]) < 0.5)
            self.node("Where", [mask, x, self.floats(shape[1:])], shape)
        elif kind == 1:
            self.node("Clip", [x, self.constant(np.float32(-0.4)), self.node("ReduceMax", [x], keepdims=0)], shape)
        elif kind == 4:
            # Both sides of the comparison are the same where it decides, so rounding cannot change much.
            bound = self.constant(np.float32(self.random.normal() * 0.3))
            test = self.node(self.pick(["Less", "Greater", "LessOrEqual", "GreaterOrEqual"]), [x, bound])
            if self.random.random() < 0.5:
                test = self.node("Not", [test])
            if self.random.random() < 0.3:
                test = self.node(self.pick(["And", "Or", "Xor"]), [test, self.constant(self.random.random(shape[-1:]) < 0.5)])
                self.node("Mul", [self.node("Cast", [test], to=1), self.node("Sub", [x, bound])], shape)
            else:
                self.node("Where", [test, self.node("Sub", [x, bound]), self.constant(np.float32(0))], shape)
        elif kind == 2 and len(shape) > 2:
            self.node("Trilu", [x, self.constant(np.int64(self.random.integers(-2, 3)))], shape, upper=int(self.random.integers(2)))
        else:
            more = {"exclusive": int(self.random.integers(2)), "reverse": int(self.random.integers(2))}
            self.node("CumSum", [x, self.constant(np.int64(self.random.integers(1, len(shape))))], shape, **more)

    def scatter(self, x, shape):
        axis = int(self.random.integers(1, len(shape)))
        indices = np.argsort(self.random.random(shape), axis=axis)
        if self.random.random() < 0.5:
            self.node("GatherElements", [x, self.constant(indices)], shape, axis=axis)
        else:
            self.node("ScatterElements", [x, self.constant(indices), self.floats(shape)], shape, axis=axis)

    def recurrent(self, x, shape):
        if len(shape) != 4 or shape[2] > 20 or shape[1] * shape[3] > 400:
            return
        rows = self.node("Reshape", [self.node("Transpose", [x], perm=[2, 0, 1, 3]), self.ints(shape[2], 1, shape[1] * shape[3])])
        operator, gates = self.pick([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
        direction = self.pick(["forward", "reverse", "bidirectional"])
        both, size, hidden = 2 if direction == "bidirectional" else 1, shape[1] * shape[3], int(self.random.integers(2, 6))
        more = {"linear_before_reset": int(self.random.integers(2))} if operator == "GRU" else {}
        inputs = [rows, self.floats([both, gates * hidden, size], 1 / np.sqrt(size)), self.floats([both, gates * hidden, hidden], 0.5),
                  self.floats([both, 2 * gates * hidden], 0.3)]
        y = self.node(operator, inputs, hidden_size=hidden, direction=direction, **more)
        self.node("Transpose", [y], [1, both, shape[2], hidden], perm=[2, 1, 0, 3])

    def quantised(self, x, shape):
        # Only the weights: rounding a value would turn small differences into large ones.
        y = self.constant(self.random.integers(-120, 120, shape[1:]).astype(np.int8))
        y = self.node("DequantizeLinear", [y, self.constant(np.float32(0.01)), self.constant(np.int8(3))])
        self.node("Mul", [x, y], shape)

    # Orders and roundings are decided by the picture itself, whose numbers are the same in every engine.

    def order(self, x, shape):
        axis, source, sides = self.of_picture()
        kind = self.random.integers(9)
        side, count = sides[axis], int(self.random.integers(1, sides[axis] + 1))
        k = self.ints(count)
        more = {"axis": axis, "largest": int(self.random.integers(2))}
        taken = sides[:axis] + (count,) + sides[axis + 1:]
        if kind == 0 and len(shape) > 1:
            # Values alone, of a computed value.
            axis = int(self.random.integers(1, len(shape)))
            count = int(self.random.integers(1, shape[axis] + 1))
            self.node("TopK", [x, self.ints(count)], shape[:axis] + (count,) + shape[axis + 1:], outputs=2, axis=axis, largest=more["largest"])
            self.values[-1:] = []
            self.values.append((self.nodes[-1].output[0], shape[:axis] + (count,) + shape[axis + 1:]))
            return
        if kind <= 2:
            values, indices = self.node("TopK", [source, k], outputs=2, **more)
            self.values.append((values, taken))
            self.node("Mul", [self.node("Cast", [indices], to=1), self.constant(np.float32(0.1))], taken)
        elif kind == 8:
            # Rows and columns of positions.
            _, indices = self.node("TopK", [source, k], outputs=2, **more)
            rows = self.node("Div", [self.node("Sub", [indices, self.ints(3)]), self.ints(2)])
            columns = self.node("Mod", [indices, self.ints(3)])
            half = self.node("Mul", [self.node("Cast", [indices], to=1), self.constant(np.float32(0.4))])
            half = self.node("Cast", [self.node("Cast", [half], to=7)], to=1)
            sums = self.node("Cast", [self.node("Add", [rows, columns])], to=1)
            self.node("Mul", [self.node("Add", [sums, half]), self.constant(np.float32(0.3))], taken)
        elif kind == 3:
            _, indices = self.node("TopK", [source, k], outputs=2, **more)
            self.node("GatherElements", [self.other(source, sides), indices], taken, axis=axis)
        elif kind == 4:
            _, indices = self.node("TopK", [source, k], outputs=2, **more)
            data = self.node("Sigmoid", [self.other(source, sides)])
            self.node("ScatterElements", [data, indices, self.floats(taken)], sides, axis=axis)
        elif kind == 5:
            operator = self.pick(["ArgMax", "ArgMin"])
            index = self.node(operator, [source], axis=axis, keepdims=1, select_last_index=int(self.random.integers(2)))
            self.node("Add", [self.node("Mul", [self.node("Cast", [index], to=1), self.constant(np.float32(0.2))]), source], sides)
        elif kind == 6:
            index = self.node("ArgMax", [source], axis=axis, keepdims=0)
            hot = self.node("OneHot", [index, self.ints(side), self.constant(np.array([0.25, 1.5], np.float32))], axis=axis)
            self.node("Mul", [hot, source], sides)
        else:
            self.node("Mul", [self.node("Hardmax", [source], axis=axis), self.other(source, sides)], sides)

    def of_picture(self):
        """A value made of the picture without rounding: an axis, its name and its dimensions."""
        sides, name = (1, 3, self.side, self.side), "x"
        if self.random.random() < 0.5:
            order = [0] + [int(at) + 1 for at in self.random.permutation(3)]
            name, sides = self.node("Transpose", ["x"], perm=order), tuple(sides[at] for at in order)
        return int(self.random.integers(1, 4)), name, sides

    def other(self, source, sides):
        return self.pick([source] + [name for name, other in self.values if other == sides])

    def select(self, x, shape):
        # Indices that depend on the picture: the largest positions of a row of it.
        if len(shape) < 2:
            return
        kind, axis = self.random.integers(3), int(self.random.integers(1, len(shape)))
        side = min(shape[axis], self.side)
        row = self.node("Slice", ["x", self.ints(0, 0, 0), self.ints(1, 1, side), self.ints(1, 2, 3)])
        row = self.node("Reshape", [row, self.ints(side)])
        count = int(self.random.integers(1, side + 1))
        _, indices = self.node("TopK", [row, self.ints(count)], outputs=2, axis=0)
        if kind == 0:
            if self.random.random() < 0.4:
                indices = self.node("Sub", [indices, self.ints(side)])  # counted from the end
                x = self.node("Slice", [x, self.ints(0), self.ints(side), self.ints(axis)])
                shape = shape[:axis] + (side,) + shape[axis + 1:]
            self.node("Gather", [x, indices], shape[:axis] + (count,) + shape[axis + 1:], axis=axis)
        elif kind == 1:
            first = self.node("Expand", [self.ints(0), self.ints(count, axis)])
            tuples = self.node("Concat", [first, self.node("Reshape", [indices, self.ints(count, 1)])], axis=1)
            self.node("Unsqueeze", [self.node("GatherND", [x, tuples]), self.ints(0)], (1, count) + shape[axis + 1:])
        else:
            first = self.node("Expand", [self.ints(0), self.ints(count, axis)])
            tuples = self.node("Concat", [first, self.node("Reshape", [indices, self.ints(count, 1)])], axis=1)
            self.node("ScatterND", [x, tuples, self.floats((count,) + shape[axis + 1:])], shape)

    def sampled(self, x, shape):
        if len(shape) != 4 or shape[1] > 20:
            return
        rows, columns = int(self.random.integers(1, 9)), int(self.random.integers(1, 9))
        mode = self.pick(["nearest", "linear", "linear", "cubic"]) if self.opset >= 20 else self.pick(["nearest", "bilinear", "bicubic"])
        kind = self.random.integers(3)
        if kind == 0 or mode == "nearest" or self.opset < 20:
            grid = self.constant(self.random.uniform(-1.4, 1.4, (1, rows, columns, 2)).astype(np.float32))
        elif kind == 1:
            theta = self.constant((np.eye(2, 3) + self.random.normal(size=(1, 2, 3)) * 0.3).astype(np.float32))
            factor = self.node("ReduceMean", ["x", self.ints(1, 2, 3)], keepdims=0)
            theta = self.node("Mul", [theta, self.node("Reshape", [self.node("Add", [factor, self.constant(np.float32(0.6))]), self.ints(1, 1, 1)])])
            grid = self.node("AffineGrid", [theta, self.ints(1, shape[1], rows, columns)], align_corners=int(min(rows, columns) > 1 and self.random.integers(2)))
        else:
            sums = self.node("ReduceMean", ["x", self.ints(1)], keepdims=0)
            part = self.node("Resize", [self.node("Unsqueeze", [sums, self.ints(1)]), "", "", self.ints(1, 1, rows, columns)], mode="linear")
            part = self.node("Reshape", [part, self.ints(1, rows, columns, 1)])
            factors = self.constant(np.array([1.9, -1.7], np.float32))
            grid = self.node("Sub", [self.node("Mul", [part, factors]), self.constant(np.array([0.8, -0.9], np.float32))])
        self.node("GridSample", [x, grid], shape[:2] + (rows, columns), mode=mode, padding_mode=self.pick(["zeros", "border", "reflection"]),
                  align_corners=int(self.random.integers(2)))

    def smooth(self, x, shape):
        if len(shape) != 4 or self.opset < 18:
            return
        size = [int(self.random.integers(1, 14)), int(self.random.integers(1, 14))]
        mode = self.pick(["linear", "cubic"])
        more = {"cubic_coeff_a": self.pick([-0.5, -0.75])} if mode == "cubic" else {}
        self.node("Resize", [x, "", "", self.ints(1, shape[1], *size)], list(shape[:2]) + size, mode=mode, antialias=1,
                  coordinate_transformation_mode=self.pick(["half_pixel", "align_corners", "asymmetric"]),
                  exclude_outside=int(self.random.integers(2)), **more)

    def fourier(self, x, shape):
        if len(shape) != 4:
            return
        axis, length = int(self.random.integers(1, 4)), None
        wide = self.node("Unsqueeze", [x, self.ints(4)])
        if self.random.random() < 0.4:
            length = int(self.random.integers(1, 12))
        count = length or shape[axis]
        inverse = int(self.random.integers(2))
        half = 0 if inverse else int(self.random.integers(2))
        inputs = [wide] + ([self.constant(np.array(length, np.int64))] if length else [])
        more = {"inverse": inverse, "onesided": half}
        if self.opset >= 20:
            inputs += [""] * (2 - len(inputs)) + [self.constant(np.array(axis, np.int64))]
        else:
            more["axis"] = axis
        y = self.node("DFT", inputs, **more)
        sides = shape[:axis] + (count // 2 + 1 if half else count,) + shape[axis + 1:]
        if self.random.random() < 0.5:
            y = self.node("Mul", [y, self.constant(np.array([0.3, -0.2], np.float32))])
            y = self.node("DFT", [y, ""] + inputs[2:], axis=axis) if self.opset < 20 else self.node("DFT", [y, "", inputs[2]])
        scale = self.constant(np.float32(1 / (3 * np.sqrt(count))))
        self.node("Mul", [self.reduced("ReduceL2", y, [4], 0), scale], sides)

    def attention(self, x, shape):
        if self.opset < 23 or len(shape) != 4 or shape[2] * shape[3] > 400:
            return
        heads, width = self.pick([1, 2, 4]), int(self.random.integers(1, 6))
        shared = self.pick([heads, 1]) if heads > 1 else 1
        rows = self.node("Reshape", [x, self.ints(1, shape[1], shape[2] * shape[3])])
        rows = self.node("Tanh", [self.node("Transpose", [rows], perm=[0, 2, 1])])
        count, channels = shape[2] * shape[3], shape[1]
        q, k, v = [self.node("MatMul", [rows, self.floats((channels, n * width), 1 / np.sqrt(channels))]) for n in (heads, shared, shared)]
        more = {}
        if self.random.random() < 0.5:
            more["is_causal"] = 1
        if self.random.random() < 0.3:
            more["scale"] = 0.4
        if self.random.random() < 0.3:
            more["softcap"] = 2.0
        inputs = [q, k, v]
        if self.random.random() < 0.5 and not more.get("is_causal"):
            inputs.append(self.floats((count, count)) if self.random.random() < 0.5 else
                          self.constant((self.random.random((count, count)) < 0.7) | np.eye(count, dtype=bool)))
        if self.random.random() < 0.5:
            apart = lambda value, n: self.node("Transpose", [self.node("Reshape", [value, self.ints(1, count, n, width)])], perm=[0, 2, 1, 3])
            inputs[:3] = [apart(q, heads), apart(k, shared), apart(v, shared)]
            self.node("Attention", inputs, (1, heads, count, width), **more)
        else:
            self.node("Attention", inputs, (1, count, heads * width), q_num_heads=heads, kv_num_heads=shared, **more)

    def rare(self, x, shape):
        kind = self.random.integers(12)
        if kind == 0:
            self.node("Pow", [self.node("Sigmoid", [x]), self.constant(np.float32(self.pick([0.5, 2, 3, 1.7])))], shape)
        elif kind == 1:
            y = self.node("Add", [self.node("Abs", [x]), self.constant(np.float32(0.5))])
            self.node(self.pick(["Sqrt", "Log", "Reciprocal"]), [y], shape)
        elif kind == 2 and len(shape) == 4:
            y = self.node(self.pick(["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"]), [x])
            self.node(self.pick(["Mul", "Sub"]), [x, y], shape)
        elif kind == 3:
            y = self.node("Div", [x, self.node("Add", [self.node("Abs", [x]), self.constant(np.float32(1))])])
            self.node("CastLike", [self.node("Dropout", [y]), x], shape)
        elif kind == 4:
            flat = self.node("Flatten", [x], axis=1)
            size = int(np.prod(shape[1:]))
            if size < 3000:
                turned = int(self.random.integers(2))
                weights = self.floats((5, size) if turned else (size, 5), 1 / np.sqrt(size))
                self.node("Gemm", [flat, weights, self.floats((5,), 0.3)], (1, 5), transB=turned, alpha=0.7, beta=1.3)
        elif kind == 5 and len(shape) == 4 and shape[1] % 2 == 0 and self.opset >= 21:
            self.node("GroupNormalization", [x, self.floats(shape[1:2], 0.5), self.floats(shape[1:2], 0.3)], shape, num_groups=2, epsilon=0.01)
        elif kind == 6 and self.opset >= 23:
            axis = int(self.random.integers(1, len(shape)))
            self.node("RMSNormalization", [self.node("Add", [x, self.constant(np.float32(1))]), self.floats(shape[axis:], 0.5)], shape, axis=axis,
                      epsilon=0.01)
        elif kind == 7:
            # Shape arithmetic as exporters write it.
            whole = self.node("Shape", [x])
            first = self.node("Gather", [whole, self.constant(np.array(0, np.int64))], axis=0)
            first = self.node("Unsqueeze", [first, self.ints(0)])
            sides = self.node("Concat", [first, self.ints(-1)], axis=0)
            self.node("Reshape", [x, sides], (1, int(np.prod(shape))))
        elif kind == 8:
            y = self.node("Unsqueeze", [x, self.ints(1, -1)])
            self.node("Squeeze", [y, self.ints(1, -1)], shape)
        elif kind == 9:
            ones = self.node("ConstantOfShape", [self.ints(*shape)], value=numpy_helper.from_array(np.array([0.5], np.float32)))
            self.node("Sub", [x, ones], shape)
        elif kind == 10:
            steps = self.node("Cast", [self.node("Range", [self.constant(np.array(n, np.int64)) for n in (0, shape[-1], 1)])], to=1)
            steps = self.node("Mod", [steps, self.constant(np.float32(3))], fmod=1)
            self.node("Add", [x, self.node("Mul", [steps, self.constant(np.float32(0.3))])], shape)
        else:
            self.node("LpNormalization", [self.node("Add", [self.node("Abs", [x]), self.constant(np.float32(1))])], shape,
                      axis=int(self.random.integers(1, len(shape))), p=1)

    def fused(self, x, shape):
        last, more = shape[-1], {"domain": "com.microsoft"}
        kind = self.random.integers(5)
        if kind == 0:
            self.node("BiasGelu", [x, self.floats((last,))], shape, **more)
        elif kind == 1:
            self.node(self.pick(["Gelu", "FastGelu", "QuickGelu"]), [x], shape, **more)
        elif kind == 2:
            self.node("FusedMatMul", [x, self.floats((4, last), 1 / np.sqrt(last))], shape[:-1] + (4,), transB=1, alpha=0.6, **more)
        elif kind == 3 and len(shape) == 3:
            skip = self.node("Tanh", [x])
            self.node("SkipLayerNormalization", [x, skip, self.floats((last,)), self.floats((last,))], shape, epsilon=0.01, **more)
        elif kind == 4 and len(shape) == 4:
            weights = self.floats((4, shape[1], 1, 1), 1 / np.sqrt(shape[1]))
            self.node("FusedConv", [x, weights, self.floats((4,), 0.3)], (1, 4) + shape[2:], activation=self.pick(["Relu", "Tanh", "Sigmoid"]), **more)

    def bytes(self, x, shape):
        # Of the picture, so that both engines round the same numbers. Weights are small, because onnxruntime saturates sums of two products of
        # bytes on CPUs without VNNI.
        scale, zero = self.constant(np.float32(1 / 200)), self.constant(np.uint8(self.random.integers(0, 60)))
        sides, kind = (1, 3, self.side, self.side), self.random.integers(4)
        if kind == 0:
            y, scale, zero = self.node("DynamicQuantizeLinear", ["x"], outputs=3)
        else:
            y = self.node("QuantizeLinear", ["x", scale, zero])
        if kind < 2:
            self.node("DequantizeLinear", [y, scale, zero], sides)
        elif kind == 2:
            weights = self.constant(self.random.integers(-9, 9, (4, 3, 3, 3)).astype(np.uint8 if self.random.random() < 0.3 else np.int8))
            sums = self.node("Cast", [self.node("ConvInteger", [y, weights, zero], pads=[1, 1, 1, 1])], to=1)
            self.node("Mul", [sums, self.constant(np.float32(1e-4))], (1, 4, self.side, self.side))
        else:
            weights = self.constant(self.random.integers(-60, 60, (self.side, 5)).astype(np.int8))
            sums = self.node("Cast", [self.node("MatMulInteger", [y, weights, zero])], to=1)
            self.node("Mul", [sums, self.constant(np.float32(1e-4))], (1, 3, self.side, 5))

    LAYERS = [order, order, select, select, sampled, sampled, smooth, smooth, fourier, attention, attention, rare, rare, rare, fused, bytes, unary, unary, bounded, binary, binary, variadic, convolution, convolution, wide, wide, shuffled, shuffled, transposed, pool, normal, normal, move, move, move, reduce,
              product, choose, scatter, recurrent, quantised]

    def model(self):
        for _ in range(int(self.random.integers(2, 9))):
            x, shape = self.any()
            if np.prod(shape) < 30_000:
                self.pick(self.LAYERS)(self, x, shape)
        x, shape = self.values[-1]
        flat = self.node("Reshape", [x, self.ints(1, -1)])
        size = int(np.prod(shape))
        # Bounded, so that the scores are not all 0 or 1.
        ones = self.node("Expand", [self.constant(np.float32(1)), self.ints(size)])
        rows = self.node("LayerNormalization", [flat, ones], axis=-1, epsilon=0.1)
        if self.small:
            # Weights by a formula, which folding computes.
            steps = self.node("Range", [self.constant(np.float32(n)) for n in (0, size * 10, 1)])
            waves = self.node("Sin", [self.node("Mul", [steps, self.constant(np.float32(0.37))])])
            weights = self.node("Mul", [self.node("Reshape", [waves, self.ints(size, 10)]), self.constant(np.float32(2 / np.sqrt(size)))])
        else:
            weights = self.floats([size, 10], 1.5 / np.sqrt(size))
        self.node("MatMul", [rows, weights])
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, self.side, self.side])],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)])
        model.ir_version = 9 if self.opset < 21 else 11
        return model


def right(path, pixels):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    logits = session.run(None, {"x": pixels})[0][0].astype(np.float64)
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def picture(side):
    bytes_ = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return bytes_, (bytes_.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)[None]


def store(path, count):
    """Writes small graphs with their right answers."""
    (bytes_, pixels), kept, seed = picture(8), 0, 0
    net, operators = os.path.join(tempfile.mkdtemp(), "net.onnx"), collections.Counter()
    records = bytes_.tobytes()
    while kept < count:
        seed += 1
        model = Maker(seed, side=8, small=True).model()
        data = model.SerializeToString()
        if len(data) > 8000:
            continue
        onnx.save(model, net)
        try:
            scores = right(net, pixels)
        except Exception:
            continue
        if np.isfinite(scores).all():
            records += struct.pack("<I", len(data)) + data + scores.astype("<f4").tobytes()
            operators.update(node.op_type for node in model.graph.node)
            kept += 1
    with open(path, "wb") as file:
        file.write(gzip.compress(records, 9, mtime=0))
    print(f"{count} graphs, {os.path.getsize(path)} bytes, {len(operators)} operators")
    print(" ".join(f"{name}:{times}" for name, times in sorted(operators.items())))


def main():
    if sys.argv[1] == "--store":
        store(sys.argv[2], int(sys.argv[3]))
        return 0
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    start = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    folder = tempfile.mkdtemp()
    image, path = os.path.join(folder, "p.png"), os.path.join(folder, "net.onnx")
    bytes_, pixels = picture(SIDE)
    Image.fromarray(bytes_).save(image)
    outcomes, operators, worst, reasons = collections.Counter(), collections.Counter(), 0.0, collections.Counter()
    for seed in range(start, start + count):
        model = Maker(seed).model()
        onnx.save(model, path)
        try:
            scores = right(path, pixels)
        except Exception as error:
            outcomes["onnxruntime fails"] += 1
            reasons[str(error)[:140]] += 1
            continue
        if not np.isfinite(scores).all():
            outcomes["not finite"] += 1
            continue
        command = [program, "score", "--json", "--engine", "exact", "--preprocess", "01", "--output-kind", "logits", "--model", path, image]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            outcomes["refused"] += 1
            reasons[done.stderr.strip().splitlines()[-1].split("engine (exact)")[-1][:140]] += 1
            continue
        top = json.loads(done.stdout)[0]["top"]
        differs = max(abs(scores[entry["class"]] - entry["confidence"]) for entry in top)
        if differs > TOLERANCE:
            outcomes["differs"] += 1
            kept = f"differs_{seed}.onnx"
            os.replace(path, kept)
            print(f"seed {seed}: differs by {differs:.1e}: {kept}: {' '.join(node.op_type for node in model.graph.node)}", flush=True)
            continue
        outcomes["agrees"] += 1
        worst = max(worst, differs)
        operators.update(node.op_type for node in model.graph.node)
    for reason, times in reasons.most_common(20):
        print(f"{times} x {reason}")
    print(f"{dict(outcomes)}; largest difference among those that agree: {worst:.1e}")
    print(" ".join(f"{name}:{times}" for name, times in sorted(operators.items())))
    return 1 if outcomes["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
