"""The machine's class, as a bundle's figures and the doctor name it."""

import pytest

from heyjetson.processor import processor

X86 = """processor\t: 0
model name\t: AMD EPYC 7B13
flags\t\t: fpu sse2 avx avx2 avx512f avx512_vnni

processor\t: 1
model name\t: AMD EPYC 7B13
flags\t\t: fpu sse2 avx avx2 avx512f avx512_vnni
"""
ARM = """processor\t: 0
BogoMIPS\t: 62.50
Features\t: fp asimd aes asimddp i8mm
CPU implementer\t: 0x41

Hardware\t: tegra
Model\t\t: NVIDIA Jetson Orin Nano
"""


@pytest.mark.parametrize(
    ("cpuinfo", "name", "instructions"),
    [
        (X86, "AMD EPYC 7B13", ["AVX2", "AVX-512", "AVX-512 VNNI"]),
        (ARM, "NVIDIA Jetson Orin Nano", ["NEON", "dot product", "int8 matrix"]),
        ("", None, []),
    ],
)
def test_what_linux_says(cpuinfo, name, instructions, tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    found = processor(path)
    assert found.name == (name or found.architecture)
    assert found.instructions == instructions
    assert str(found).startswith(found.name)


def test_without_linux_there_is_still_a_name(tmp_path):
    assert processor(tmp_path / "none").name
