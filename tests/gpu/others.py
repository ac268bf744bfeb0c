#!/usr/bin/env python3
"""Images per second of onnxruntime-gpu, or else of PyTorch, on the networks that tests/gpu/run measures.

Both are measured without TF32, like this program with NVIDIA_TF32_OVERRIDE=0, and with TF32.
"""
import sys
import time

import numpy
import onnx
from onnx import numpy_helper

BATCHES = [64, 128, 256, 512, 1024]
SECONDS = 2.0


def any_batch(path):
    model = onnx.load(path)
    constants = {constant.name for constant in model.graph.initializer}
    (given,) = [given for given in model.graph.input if given.name not in constants]
    given.type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.input[:]
    model.graph.input.append(given)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    reshapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for constant in model.graph.initializer:
        if constant.name in reshapes:
            shape = numpy_helper.to_array(constant).copy()
            shape[0] = -1
            constant.CopyFrom(numpy_helper.from_array(shape, constant.name))
    return model, given.name, [dim.dim_value for dim in given.type.tensor_type.shape.dim[1:]]


def measure(run):
    run()
    begun, batches = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS:
        run()
        batches += 1
    return batches / (time.perf_counter() - begun)


def by_onnxruntime(path):
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise ImportError("this onnxruntime has no CUDA")
    onnxruntime.preload_dlls()
    model, name, shape = any_batch(path)
    for tf32 in [0, 1]:
        providers = [("CUDAExecutionProvider", {"use_tf32": tf32})]
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=providers)
        if session.get_providers()[0] != "CUDAExecutionProvider":
            raise ImportError("onnxruntime took the CPU")
        for batch in BATCHES:
            picture = numpy.random.default_rng(1).random([batch] + shape, dtype=numpy.float32)
            speed = measure(lambda: session.run(None, {name: picture})) * batch
            print(f"onnxruntime {onnxruntime.__version__} tf32={tf32} {path} {batch} {speed:.0f}", flush=True)


def attributes(node):
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def by_torch(path):
    import torch
    import torch.nn.functional as functional

    model, name, shape = any_batch(path)
    constants = {}
    for tensor in model.graph.initializer:
        constants[tensor.name] = torch.from_numpy(numpy_helper.to_array(tensor).copy()).cuda()

    def padded(value, pads, fill):
        top, left, bottom, right = pads
        return functional.pad(value, (left, right, top, bottom), value=fill) if any(pads) else value

    def apply(node, of):
        a = attributes(node)
        x = of[node.input[0]]
        rest = [of[name] if name else None for name in node.input[1:]]
        if node.op_type == "Conv":
            value = padded(x, a.get("pads", [0] * 4), 0.0)
            return functional.conv2d(value, *rest, stride=a.get("strides", [1, 1]), groups=a.get("group", 1))
        if node.op_type == "MaxPool":
            value = padded(x, a.get("pads", [0] * 4), float("-inf"))
            return functional.max_pool2d(value, a["kernel_shape"], a.get("strides", [1, 1]))
        if node.op_type == "Gemm":
            weight = rest[0].T if a.get("transB") else rest[0]
            return x @ weight + (rest[1] if len(rest) > 1 else 0)
        if node.op_type == "LRN":
            return functional.local_response_norm(x, a["size"], a["alpha"], a["beta"], a["bias"])
        if node.op_type == "Clip":
            return torch.clamp(x, *[float(bound) for bound in rest])
        if node.op_type == "Reshape":
            return x.reshape([int(dim) for dim in rest[0]])
        return {
            "Relu": lambda: torch.relu(x),
            "Dropout": lambda: x,
            "Flatten": lambda: x.flatten(1),
            "Softmax": lambda: torch.softmax(x, -1),
            "MatMul": lambda: x @ rest[0],
            "Add": lambda: x + rest[0],
            "GlobalAveragePool": lambda: x.mean((2, 3), keepdim=True),
            "Concat": lambda: torch.cat([x] + rest, 1),
        }[node.op_type]()

    def run(value):
        of = dict(constants, **{name: value.cuda()})
        for node in model.graph.node:
            of[node.output[0]] = apply(node, of)
        return of[model.graph.output[0].name].cpu()

    with torch.inference_mode():
        for tf32 in [False, True]:
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
            for batch in BATCHES:
                picture = torch.rand([batch] + shape)
                speed = measure(lambda: run(picture)) * batch
                print(f"PyTorch {torch.__version__} tf32={tf32} {path} {batch} {speed:.0f}", flush=True)


def main():
    measured = 0
    for path in sys.argv[1:]:
        for way in [by_onnxruntime, by_torch]:
            try:
                way(path)
                measured += 1
                break
            except ImportError as problem:
                print(f"{way.__name__}: {problem}", flush=True)
    sys.exit(0 if measured == len(sys.argv) - 1 else 1)


if __name__ == "__main__":
    main()
