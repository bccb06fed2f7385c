"""The few calls of the CUDA runtime that an engine needs, through ctypes: no torch, pycuda or cuda-python.

Source: CUDA Runtime API, NVIDIA. The calls used have kept their form from CUDA 11 to 13.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heyjetson.tensorrt.errors import TensorRTError

HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2
COMPUTE_MAJOR, COMPUTE_MINOR = 75, 76  # cudaDevAttrComputeCapabilityMajor, -Minor


@dataclass(frozen=True)
class Device:
    """A GPU.

    Args:
        name: as NVIDIA gives it.
        capability: compute capability, such as 8.7 of a Jetson Orin.
    """

    name: str
    capability: str

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.capability})"


def candidates() -> list[str]:
    """Where libcudart may be: the loader's path, CUDA's own folder, and pip's packages."""
    versions = [f"libcudart.so.{version}" for version in ("13", "12", "11.0")]
    found = ctypes.util.find_library("cudart")
    places = [found] if found else []
    places += ["libcudart.so", *versions]
    places += [str(path) for path in sorted(Path("/usr/local").glob("cuda*/lib64/libcudart.so"))]
    for folder in sys.path:
        places += [str(path) for path in sorted(Path(folder, "nvidia").glob("*/lib/libcudart.so.*"))]
    return places


class Cuda:
    """An open CUDA runtime.

    Args:
        library: the loaded libcudart, or None to look for it.

    Raises:
        TensorRTError: there is no CUDA runtime.
    """

    def __init__(self, library: Any = None):
        self._library = library if library is not None else self._open()

    @staticmethod
    def _open() -> ctypes.CDLL:
        for place in candidates():
            try:
                return ctypes.CDLL(place)
            except OSError:
                continue
        raise TensorRTError(
            "The CUDA runtime, libcudart.so, is not on this machine. On a Jetson it comes with JetPack: "
            "sudo apt install nvidia-jetpack. Elsewhere: pip install nvidia-cuda-runtime."
        )

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code == 0:
            return
        describe = self._library.cudaGetErrorString
        describe.restype = ctypes.c_char_p
        reason = (describe(code) or b"?").decode(errors="replace")
        cure = (
            "Free memory, or build the engine with shorter --seconds and smaller --batch."
            if code == 2
            else "`nvidia-smi` or `tegrastats` should list the GPU; in a container, start it with --runtime nvidia."
        )
        raise TensorRTError(f"CUDA: {name} failed ({reason}). {cure}")

    def device(self) -> Device:
        """The GPU in use.

        Raises:
            TensorRTError: there is none.
        """
        number = ctypes.c_int()
        self._call("cudaGetDevice", ctypes.byref(number))
        parts = []
        for attribute in (COMPUTE_MAJOR, COMPUTE_MINOR):
            value = ctypes.c_int()
            self._call("cudaDeviceGetAttribute", ctypes.byref(value), attribute, number)
            parts.append(str(value.value))
        # The name comes first in the structure of every version; its length differs, so more than enough is given.
        properties = ctypes.create_string_buffer(16384)
        self._call("cudaGetDeviceProperties", properties, number)
        return Device(properties.raw[:256].split(b"\0", 1)[0].decode(errors="replace"), ".".join(parts))

    def allocate(self, size: int) -> int:
        """Address of `size` new bytes on the GPU."""
        address = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        return int(address.value or 0)

    def free(self, address: int) -> None:
        """Give memory back."""
        self._call("cudaFree", ctypes.c_void_p(address))

    def stream(self) -> int:
        """A new queue of work; its handle is what TensorRT takes."""
        handle = ctypes.c_void_p()
        self._call("cudaStreamCreate", ctypes.byref(handle))
        return int(handle.value or 0)

    def close_stream(self, stream: int) -> None:
        """Give a queue back."""
        self._call("cudaStreamDestroy", ctypes.c_void_p(stream))

    def copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        """Queue a copy; `synchronise` waits for it."""
        self._call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(target),
            ctypes.c_void_p(source),
            ctypes.c_size_t(size),
            ctypes.c_int(kind),
            ctypes.c_void_p(stream),
        )

    def synchronise(self, stream: int) -> None:
        """Wait for everything queued."""
        self._call("cudaStreamSynchronize", ctypes.c_void_p(stream))
