"""Runs an engine with the calls of onnxruntime's InferenceSession that `heyjetson.engine` makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heyjetson.bundle import Bundle
from heyjetson.tensorrt import cache
from heyjetson.tensorrt.build import INSTALL, make_logger, parse_version, tensorrt_module
from heyjetson.tensorrt.cuda import DEVICE_TO_HOST, HOST_TO_DEVICE, Cuda
from heyjetson.tensorrt.errors import TensorRTError

# Written out because `tensorrt.nptype` of some versions asks numpy for names that numpy 2 has not.
DTYPES: dict[str, type[np.generic]] = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


@dataclass(frozen=True)
class Port:
    """An input or output of an engine.

    Args:
        name: in the graph.
        shape: -1 where it varies.
        dtype: of its numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


class TensorRTSession:
    """A loaded engine. One call runs at a time; other threads wait.

    Args:
        engine: file written by `build_engine`.
        trt: TensorRT's Python module; None looks for it.
        cuda: CUDA runtime; None looks for it.

    Raises:
        TensorRTError: there is no TensorRT or GPU, or the engine is damaged or of another TensorRT or GPU.
    """

    def __init__(self, engine: Path, trt: Any = None, cuda: Cuda | None = None):
        trt = trt if trt is not None else tensorrt_module()
        if trt is None:
            raise TensorRTError(f"TensorRT's Python module is not on this machine. {INSTALL}")
        self._trt: Any = trt
        self.path = engine
        self._cuda = cuda or Cuda()
        self._cuda.device()
        problems: list[str] = []
        self._logger = make_logger(trt, problems)  # TensorRT keeps no reference of its own
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            raise TensorRTError(
                f"{engine} cannot be loaded ({'; '.join(problems) or 'no reason given'}). It was built by another "
                "TensorRT or for another GPU: build it again with `heyjetson build-engine`."
            )
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise TensorRTError(
                f"{engine} does not fit into the GPU's memory ({'; '.join(problems) or 'no reason given'}). Close "
                "other programs, or build it with shorter --seconds and smaller --batch."
            )
        self._inputs, self._outputs = self._ports()
        self._stream = self._cuda.stream()
        self._buffers: dict[str, tuple[int, int]] = {}  # name → address, bytes
        self._lock = threading.Lock()

    def _ports(self) -> tuple[dict[str, Port], dict[str, Port]]:
        inputs: dict[str, Port] = {}
        outputs: dict[str, Port] = {}
        for place in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(place)
            kind = str(self._engine.get_tensor_dtype(name)).rpartition(".")[2].upper()
            if kind not in DTYPES:
                raise TensorRTError(f"{self.path}: {name} is {kind}, which numpy has not. Export the model again.")
            port = Port(name, tuple(self._engine.get_tensor_shape(name)), np.dtype(DTYPES[kind]))
            is_input = self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT
            (inputs if is_input else outputs)[name] = port
        return inputs, outputs

    def get_inputs(self) -> list[Port]:
        """What `run` wants."""
        return list(self._inputs.values())

    def get_outputs(self) -> list[Port]:
        """What `run` gives."""
        return list(self._outputs.values())

    def run(self, outputs: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run the engine once.

        Args:
            outputs: names wanted; None wants all.
            feed: an array for each input.

        Returns:
            an array for each name wanted.

        Raises:
            TensorRTError: an input is missing, or of a shape that the engine was not built for.
        """
        outputs = list(self._outputs) if outputs is None else outputs
        unknown = [name for name in outputs if name not in self._outputs]
        if unknown:
            raise TensorRTError(f"{self.path} gives {', '.join(self._outputs)}, not {', '.join(unknown)}.")
        missing = [name for name in self._inputs if name not in feed]
        if missing:
            raise TensorRTError(
                f"{self.path} wants the inputs {', '.join(self._inputs)}; missing: {', '.join(missing)}."
            )
        with self._lock:
            given = {name: np.ascontiguousarray(feed[name], port.dtype) for name, port in self._inputs.items()}
            try:
                for name, array in given.items():
                    self._bind(name, array)
                results = {name: self._room(port) for name, port in self._outputs.items()}
                if not self._context.execute_async_v3(self._stream):
                    raise TensorRTError(
                        f"{self.path} failed while it ran. Build it again with `heyjetson build-engine`."
                    )
                for name, array in results.items():
                    if array.nbytes:
                        address = self._buffers[name][0]
                        self._cuda.copy(array.ctypes.data, address, array.nbytes, DEVICE_TO_HOST, self._stream)
            finally:  # the arrays must live until the copies are done
                self._cuda.synchronise(self._stream)
        return [results[name] for name in outputs]

    def _bind(self, name: str, array: np.ndarray) -> None:
        """Tell the context an input's shape and place, and queue its copy."""
        if not self._context.set_input_shape(name, array.shape):
            raise TensorRTError(
                f"{self.path} was not built for {name} of shape {list(array.shape)}. "
                "Build it again with `heyjetson build-engine` and other --seconds or --batch."
            )
        if self._engine.get_tensor_location(name) == self._trt.TensorLocation.HOST:
            self._context.set_tensor_address(name, array.ctypes.data)
            return
        address = self._reserve(name, array.nbytes)
        self._cuda.copy(address, array.ctypes.data, array.nbytes, HOST_TO_DEVICE, self._stream)

    def _room(self, port: Port) -> np.ndarray:
        """An array for an output, and memory on the GPU for it."""
        shape = tuple(self._context.get_tensor_shape(port.name))
        if any(size < 0 for size in shape):
            raise TensorRTError(
                f"{self.path}: the shape of {port.name} is not known before it runs. Export the model again."
            )
        array = np.empty(shape, port.dtype)
        self._reserve(port.name, array.nbytes)
        return array

    def _reserve(self, name: str, size: int) -> int:
        """Memory on the GPU for a tensor, which only ever grows."""
        address, capacity = self._buffers.get(name, (0, -1))
        if size > capacity:
            if address:
                self._cuda.synchronise(self._stream)
                self._cuda.free(address)
                del self._buffers[name]
            address = self._cuda.allocate(size)
            self._buffers[name] = (address, size)
        self._context.set_tensor_address(name, address)
        return address

    def close(self) -> None:
        """Give the GPU's memory back; the session is of no use afterwards."""
        with self._lock:
            for address, _ in self._buffers.values():
                self._cuda.free(address)
            self._buffers.clear()
            if self._stream:
                self._cuda.close_stream(self._stream)
                self._stream = 0
            self._context = self._engine = self._runtime = None


def open_session(bundle: Bundle, report: Callable[[str], None]) -> TensorRTSession | None:
    """A session of the bundle's engine, or None where onnxruntime is to be used.

    Args:
        bundle: whose engine.
        report: gets a sentence for what stands in the way of an engine that is there.
    """
    if not cache.has_engine(bundle):
        return None
    try:
        trt = tensorrt_module()
        if trt is None:
            report(
                "The bundle has a TensorRT engine, but TensorRT's Python module is missing: onnxruntime is used. "
                f"{INSTALL}"
            )
            return None
        cuda = Cuda()
        version = ".".join(map(str, parse_version(trt.__version__)))
        engine = cache.usable(bundle, version, str(cuda.device()), report)
        return TensorRTSession(engine, trt, cuda) if engine else None
    except TensorRTError as error:
        report(f"{error} onnxruntime is used.")
        return None
