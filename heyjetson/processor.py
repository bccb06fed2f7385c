"""What computes: a processor's name and those of its instruction sets that change speed or 8-bit results."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

# As Linux names them, and as they are known. Kernels for 8-bit weights saturate or round by what there is of these.
INSTRUCTIONS = {
    "avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX-VNNI", "amx_int8": "AMX int8",
    "asimd": "NEON", "asimddp": "dot product", "i8mm": "int8 matrix", "sve": "SVE", "bf16": "BF16",
}  # fmt: skip
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Processor:
    """A processor.

    Args:
        name: its model.
        architecture: `x86_64`, `aarch64`, …
        instructions: those of `INSTRUCTIONS` that it has.
    """

    name: str
    architecture: str
    instructions: list[str]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.instructions or [self.architecture])})"


def processor(cpuinfo: Path = CPUINFO) -> Processor:
    """The processor of this machine.

    Args:
        cpuinfo: Linux's description; where there is none, the name alone is known.
    """
    architecture = platform.machine()
    try:
        lines = [line.partition(":") for line in cpuinfo.read_text(errors="replace").splitlines()]
    except OSError:
        return Processor(platform.processor() or architecture, architecture, [])
    said = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    has = set((said.get("flags") or said.get("Features") or "").split())
    name = said.get("model name") or said.get("Model") or architecture
    return Processor(name, architecture, [known for flag, known in INSTRUCTIONS.items() if flag in has])
