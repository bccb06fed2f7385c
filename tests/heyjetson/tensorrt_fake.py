"""A small bundle, a stand-in for TensorRT 10 and 11, and one for the CUDA runtime.

The stand-ins refuse what the real ones refuse and do queued work only when they are waited for, so that the order of
calls and the life of buffers are tested. An "engine" is the ONNX graph, run by onnxruntime.
"""

from __future__ import annotations

import ctypes
import json
import types
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heyjetson.bundle import Bundle, write_manifest

WINDOW, HOP, LABELS = 400, 160, ["a", "b", " "]
CHUNK, SHIFT = 880, 640


def clip_graph() -> onnx.GraphProto:
    """samples [batch, samples], length [batch] → log_probs [batch, frames, 4], frames [batch]."""
    rng = np.random.default_rng(0)
    constants = {
        "kernel": rng.standard_normal((len(LABELS) + 1, 1, WINDOW)).astype(np.float32),
        "one": np.array([1], np.int64),
        "window": np.array(WINDOW, np.int64),
        "hop": np.array(HOP, np.int64),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["samples", "one"], ["channel"], "/frontend/Unsqueeze"),
        helper.make_node("Conv", ["channel", "kernel"], ["bands"], "/frontend/Conv", strides=[HOP]),
        helper.make_node("Transpose", ["bands"], ["features"], "/encoder/Transpose", perm=[0, 2, 1]),
        helper.make_node("LogSoftmax", ["features"], ["log_probs"], "/decoder/LogSoftmax", axis=-1),
        helper.make_node("Sub", ["length", "window"], ["past"], "/encoder/Sub"),
        helper.make_node("Div", ["past", "hop"], ["steps"], "/encoder/Div"),
        helper.make_node("Add", ["steps", "one"], ["frames"], "/encoder/Add"),
    ]
    return helper.make_graph(
        nodes,
        "clip",
        [
            helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["batch", "samples"]),
            helper.make_tensor_value_info("length", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("log_probs", TensorProto.FLOAT, ["batch", "frames", len(LABELS) + 1]),
            helper.make_tensor_value_info("frames", TensorProto.INT64, ["batch"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )


def stream_graph() -> onnx.GraphProto:
    """samples [1, chunk] and a running sum → log_probs [1, 4, 4] and the next sum; `length` was dropped."""
    graph = clip_graph()
    del graph.node[4:]
    del graph.input[1:], graph.output[1:]
    for size, number in zip(graph.input[0].type.tensor_type.shape.dim, (1, CHUNK), strict=True):
        size.dim_value = number
    for size, number in zip(graph.output[0].type.tensor_type.shape.dim, (1, 4, 4), strict=True):
        size.dim_value = number
    graph.input.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, CHUNK]))
    graph.output.append(helper.make_tensor_value_info("next_sum", TensorProto.FLOAT, [1, CHUNK]))
    graph.node.append(helper.make_node("Add", ["samples", "sum"], ["next_sum"], "/encoder/Sum"))
    return graph


def make_bundle(folder: Path, kind: str = "ctc", **changes) -> Bundle:
    """Write a bundle of a small graph."""
    folder.mkdir(parents=True)
    graph, name = (clip_graph(), "model.onnx") if kind == "ctc" else (stream_graph(), "stream.onnx")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / name)
    record = {
        "kind": kind,
        "graph": name,
        "precision": "fp32",
        "sample_rate": 16000,
        "window": WINDOW,
        "hop": HOP,
        "subsampling_factor": 1,
        "labels": LABELS,
        "blank_id": len(LABELS),
        "longest_seconds": 8.0,
        "inputs": {"samples": ["batch", "samples"], "length": ["batch"]},
    }
    if kind == "ctc_stream":
        record |= {
            "inputs": {"samples": [1, CHUNK], "length": [1]},
            "states": [{"name": "sum", "output": "next_sum", "shape": [1, CHUNK], "dtype": "float32", "initial": 0.0}],
            "chunk_samples": CHUNK,
            "shift_samples": SHIFT,
            "chunk_frames": 4,
            "lookahead_frames": 2,
        }
    write_manifest(folder, record | changes)
    return Bundle(folder)


class FakeCudart:
    """The CUDA runtime on host memory; copies and kernels wait in a queue until the stream is waited for."""

    def __init__(self, devices: int = 1, memory: int = 1 << 30):
        self.devices, self.memory = devices, memory
        self.buffers: dict[int, ctypes.Array] = {}
        self.queue: list = []
        self.calls: list[str] = []
        self.cudaGetErrorString = lambda code: {2: b"out of memory", 100: b"no CUDA-capable device is detected"}[code]

    def __getattr__(self, name):
        method = object.__getattribute__(self, "_" + name)

        def call(*arguments):
            self.calls.append(name)
            return 100 if self.devices == 0 else method(*arguments) or 0

        return call

    def _cudaGetDevice(self, number):  # noqa: N802
        number._obj.value = 0

    def _cudaDeviceGetAttribute(self, value, attribute, number):  # noqa: N802
        value._obj.value = {75: 8, 76: 7}[attribute]

    def _cudaGetDeviceProperties(self, properties, number):  # noqa: N802
        properties.value = b"Orin"

    def _cudaMalloc(self, address, size):  # noqa: N802
        if size.value + sum(map(len, self.buffers.values())) > self.memory:
            return 2
        buffer = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(buffer)
        self.buffers[ctypes.addressof(buffer)] = buffer

    def _cudaFree(self, address):  # noqa: N802
        assert not self.queue, "memory was freed while work was queued"
        del self.buffers[address.value]

    def _cudaStreamCreate(self, handle):  # noqa: N802
        handle._obj.value = 77

    def _cudaStreamDestroy(self, handle):  # noqa: N802
        assert handle.value == 77

    def _cudaMemcpyAsync(self, target, source, size, kind, stream):  # noqa: N802
        assert stream.value == 77
        device = target if kind.value == 1 else source
        assert size.value <= len(self.buffers[device.value])
        self.queue.append(lambda: ctypes.memmove(target.value, source.value, size.value))

    def _cudaStreamSynchronize(self, stream):  # noqa: N802
        while self.queue:
            self.queue.pop(0)()


class _Flags:
    def __init__(self, **values):
        self.__dict__.update(values)


def fake_tensorrt(version: str = "10.3.0", cudart: FakeCudart | None = None, refuse: str = "", fail: bool = False):
    """A stand-in for the module `tensorrt`.

    Args:
        version: decides which flags exist.
        cudart: on which its engines run.
        refuse: operator that the parser has not.
        fail: the build returns nothing.
    """
    major = int(version.split(".")[0])
    log: list = []
    trt = types.SimpleNamespace(__version__=version, log=log, float32="float32")
    trt.BuilderFlag = _Flags(TF32=7) if major >= 11 else _Flags(FP16=0, OBEY_PRECISION_CONSTRAINTS=11, TF32=7)
    trt.NetworkDefinitionCreationFlag = _Flags(STRONGLY_TYPED=1)
    trt.MemoryPoolType = _Flags(WORKSPACE=0)
    trt.TensorIOMode = _Flags(INPUT="in", OUTPUT="out")
    trt.TensorLocation = _Flags(HOST="host", DEVICE="device")

    class ILogger:
        Severity = _Flags(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3)

    class IProgressMonitor:
        pass

    class Cache:
        def __init__(self, data):
            self.data = data

        def serialize(self):
            return b"timings"

    class Profile:
        def __init__(self):
            self.shapes = {}

        def set_shape(self, name, smallest, usual, largest):
            log.append(("set_shape", name, smallest, usual, largest))
            self.shapes[name] = (smallest, largest)

    class Config:
        def __init__(self):
            self.profile, self.progress_monitor, self.builder_optimization_level = None, None, 3

        def set_flag(self, flag):
            log.append(("flag", next(name for name, value in vars(trt.BuilderFlag).items() if value == flag)))

        def set_memory_pool_limit(self, pool, size):
            log.append(("workspace", size))

        def add_optimization_profile(self, profile):
            self.profile = profile
            return 0

        def create_timing_cache(self, data):
            return Cache(data)

        def set_timing_cache(self, cache, ignore_mismatch):
            log.append(("timing cache", cache.data))
            self.cache = cache
            return cache.data in (b"", b"timings")

        def get_timing_cache(self):
            return self.cache

    class Layer:
        def __init__(self, name, outputs):
            self.name, self.num_outputs, self.precision = name, outputs, None

        def set_output_type(self, place, kind):
            log.append(("fp32", self.name))

    class Network:
        def __init__(self):
            self.layers = []

        num_layers = property(lambda self: len(self.layers))

        def get_layer(self, place):
            return self.layers[place]

    class Builder:
        def __init__(self, logger):
            if cudart is not None and cudart.devices == 0:
                logger.log(ILogger.Severity.ERROR, "CUDA initialization failure with error: 100")
                raise TypeError("pybind11::init(): factory function returned nullptr")

        def create_network(self, flags):
            assert flags in (0, 2)
            log.append(("network", flags))
            return Network()

        def create_builder_config(self):
            return Config()

        def create_optimization_profile(self):
            return Profile()

        def build_serialized_network(self, network, config):
            monitor = config.progress_monitor
            monitor.phase_start("Building Engine", None, 4)
            monitor.phase_start("Tactics", "Building Engine", 2)
            for step in range(4):
                if not monitor.step_complete("Building Engine", step):
                    return None
                monitor.step_complete("Tactics", step)
            monitor.phase_finish("Tactics")
            monitor.phase_finish("Building Engine")
            if fail:
                network.logger.log(ILogger.Severity.ERROR, "Error Code 2: OutOfMemory (no further information)")
                return None
            profile = config.profile.shapes if config.profile else {}
            return json.dumps({"version": version, "graph": network.path, "profile": profile}).encode()

    class ParserError:
        def __init__(self, node):
            self.node = node

        def desc(self):
            return "no importer registered for op"

        def node_operator(self):
            return self.node.op_type

        def node_name(self):
            return self.node.name

    class OnnxParser:
        def __init__(self, network, logger):
            self.network, self.errors = network, []
            network.logger = logger

        num_errors = property(lambda self: len(self.errors))

        def parse_from_file(self, path):
            assert isinstance(path, str)
            self.network.path = path
            for node in onnx.load(path).graph.node:
                self.network.layers.append(Layer(node.name, len(node.output)))
                if node.op_type == refuse:
                    self.errors.append(ParserError(node))
            return not self.errors

        def get_error(self, place):
            return self.errors[place]

    class Context:
        def __init__(self, engine):
            self.engine, self.shapes, self.addresses = engine, {}, {}

        def set_input_shape(self, name, shape):
            limits = self.engine.profile.get(name)
            fixed = self.engine.get_tensor_shape(name)
            fits = (
                all(low <= size <= high for low, size, high in zip(limits[0], shape, limits[1], strict=True))
                if limits
                else tuple(fixed) == tuple(shape)
            )
            if fits:
                self.shapes[name] = tuple(shape)
            return fits

        def set_tensor_address(self, name, address):
            self.addresses[name] = address
            return True

        def _run(self, given):
            return dict(zip(self.engine.outputs, self.engine.session.run(None, given), strict=True))

        def get_tensor_shape(self, name):
            zeros = {key: np.zeros(shape, self.engine.dtype(key)) for key, shape in self.shapes.items()}
            return self._run(zeros)[name].shape

        def execute_async_v3(self, stream):
            assert stream == 77
            assert set(self.addresses) == set(self.engine.names)
            addresses, shapes = dict(self.addresses), dict(self.shapes)

            def kernel():
                given = {}
                for name, shape in shapes.items():
                    array = np.empty(shape, self.engine.dtype(name))
                    ctypes.memmove(array.ctypes.data, addresses[name], array.nbytes)
                    given[name] = array
                for name, array in self._run(given).items():
                    array = np.ascontiguousarray(array)
                    ctypes.memmove(addresses[name], array.ctypes.data, array.nbytes)

            cudart.queue.append(kernel)
            return True

    class Engine:
        def __init__(self, record):
            import onnxruntime

            self.session = onnxruntime.InferenceSession(record["graph"], providers=["CPUExecutionProvider"])
            self.profile = record["profile"]
            self.inputs = {value.name: value for value in self.session.get_inputs()}
            self.outputs = {value.name: value for value in self.session.get_outputs()}
            self.names = [*self.inputs, *self.outputs]
            self.num_io_tensors = len(self.names)

        def get_tensor_name(self, place):
            return self.names[place]

        def get_tensor_mode(self, name):
            return trt.TensorIOMode.INPUT if name in self.inputs else trt.TensorIOMode.OUTPUT

        def get_tensor_shape(self, name):
            shape = {**self.inputs, **self.outputs}[name].shape
            return [size if isinstance(size, int) else -1 for size in shape]

        def get_tensor_dtype(self, name):
            kind = {**self.inputs, **self.outputs}[name].type
            return {"tensor(float)": "DataType.FLOAT", "tensor(int64)": "DataType.INT64"}[kind]

        def dtype(self, name):
            return np.float32 if self.get_tensor_dtype(name).endswith("FLOAT") else np.int64

        def get_tensor_location(self, name):
            return trt.TensorLocation.DEVICE

        def create_execution_context(self):
            return Context(self)

    class Runtime:
        def __init__(self, logger):
            self.logger = logger

        def deserialize_cuda_engine(self, data):
            record = json.loads(data)
            if record["version"] != version:
                self.logger.log(ILogger.Severity.ERROR, "Version tag does not match")
                return None
            return Engine(record)

    for part in (ILogger, IProgressMonitor, Builder, OnnxParser, Runtime):
        setattr(trt, part.__name__, part)
    return trt
