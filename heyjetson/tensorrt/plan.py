"""What TensorRT is to be told: shapes, precision and flags of TensorRT 10 and 11, worked out without either.

TensorRT 10 chooses precisions itself when it is given `--fp16`. TensorRT 11 takes them from the graph alone ("Migrating
trtexec Usage from TensorRT 10.x to 11.x", NVIDIA), so half precision needs a graph that computes in it, which the
manifest says with `compute`. (Its `precision` is how weights are stored.)
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heyjetson.bundle import Bundle
from heyjetson.tensorrt.errors import TensorRTError

SUPPORTED = (10, 11)
PRECISIONS = ("fp32", "fp16")
LEVELS = range(6)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class BuildOptions:
    """What a user may choose.

    Args:
        precision: fp32 or fp16; None is fp32, or fp16 where the graph itself computes in it.
        workspace: MiB that a kernel may use while it runs.
        level: optimisation level, 0 (builds in seconds) to 5 (tries everything).
        seconds: shortest, usual and longest recording; None takes one frame, half of the bundle's longest and its
            longest. Streaming bundles have fixed shapes and ignore it.
        batch: smallest, usual and largest number of recordings at once. Streaming bundles ignore it.

    Raises:
        TensorRTError: a value that cannot work.
    """

    precision: str | None = None
    workspace: int = 1024
    level: int = 3
    seconds: tuple[float, float, float] | None = None
    batch: tuple[int, int, int] = (1, 1, 4)

    def __post_init__(self) -> None:
        if self.precision not in (None, *PRECISIONS):
            raise TensorRTError(f"The precision must be {' or '.join(PRECISIONS)}, found {self.precision!r}.")
        if self.workspace < 1:
            raise TensorRTError(f"The workspace must be at least 1 MiB, found {self.workspace}.")
        if self.level not in LEVELS:
            raise TensorRTError(f"The optimisation level must be {LEVELS[0]} to {LEVELS[-1]}, found {self.level}.")
        for name, three in (("seconds", self.seconds), ("batch", self.batch)):
            if three is not None and not (len(three) == 3 and 0 < three[0] <= three[1] <= three[2]):
                raise TensorRTError(
                    f"The {name} must be three positive numbers that do not fall: smallest, usual, largest; found "
                    f"{', '.join(str(value) for value in three)}."
                )


@dataclass(frozen=True)
class Plan:
    """All that a build needs to know.

    Args:
        graph: the ONNX file.
        major: TensorRT's major version.
        precision: of the engine, fp32 or fp16.
        profile: smallest, usual and largest shape of each input whose shape varies.
        builder_flags: names of `tensorrt.BuilderFlag`.
        network_flags: names of `tensorrt.NetworkDefinitionCreationFlag`.
        keep_fp32: layers that stay in single precision whatever the rest does.
        workspace: MiB.
        level: optimisation level.
        notes: sentences for the user.
    """

    graph: Path
    major: int
    precision: str
    profile: dict[str, tuple[Shape, Shape, Shape]]
    builder_flags: tuple[str, ...]
    network_flags: tuple[str, ...]
    keep_fp32: tuple[str, ...]
    workspace: int
    level: int
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def flags(self) -> tuple[str, ...]:
        """Everything that shapes the engine beside the graph, for the key of the cache."""
        return tuple(self._shape_flags() + self._precision_flags() + self._size_flags())

    def command(self, engine: Path, timing_cache: Path, trtexec: str = "trtexec") -> list[str]:
        """The `trtexec` line that builds the same engine.

        Args:
            engine: file to write.
            timing_cache: file that makes the next build faster.
            trtexec: the program.
        """
        return [
            trtexec,
            f"--onnx={self.graph}",
            f"--saveEngine={engine}",
            *self._shape_flags(),
            *self._precision_flags(),
            *self._size_flags(),
            f"--timingCacheFile={timing_cache}",
            "--skipInference",
        ]

    def _shape_flags(self) -> list[str]:
        # trtexec refuses shapes for a graph in which none varies.
        if not self.profile:
            return []
        flags = []
        for place, option in enumerate(("minShapes", "optShapes", "maxShapes")):
            shapes = (f"{name}:{'x'.join(map(str, three[place]))}" for name, three in self.profile.items())
            flags.append(f"--{option}={','.join(shapes)}")
        return flags

    def _precision_flags(self) -> list[str]:
        flags = []
        if "STRONGLY_TYPED" in self.network_flags:
            flags.append("--stronglyTyped")
        if "FP16" in self.builder_flags:
            flags.append("--fp16")
        if self.keep_fp32:
            kept = ",".join(f"{name}:fp32" for name in self.keep_fp32)
            flags += ["--precisionConstraints=obey", f"--layerPrecisions={kept}", f"--layerOutputTypes={kept}"]
        return flags

    def _size_flags(self) -> list[str]:
        return [f"--memPoolSize=workspace:{self.workspace}", f"--builderOptimizationLevel={self.level}"]


def shell_line(command: list[str]) -> str:
    """A command as it would be typed.

    >>> shell_line(["trtexec", "--onnx=my model.onnx"])
    "trtexec '--onnx=my model.onnx'"
    """
    return shlex.join(command)


def profile_of(
    manifest: Mapping[str, Any], options: BuildOptions, inputs: Collection[str]
) -> dict[str, tuple[Shape, Shape, Shape]]:
    """Smallest, usual and largest shape of each input that varies.

    Args:
        manifest: of the bundle.
        options: seconds and batch sizes.
        inputs: names that the graph really has; the tracer drops `length` where nothing depends on it.

    Shapes: samples [batch, samples], length [batch]; a streaming graph has none that vary.

    Raises:
        TensorRTError: the shortest recording is shorter than one frame, or the kind of bundle is unknown.
    """
    if manifest["kind"] == "ctc_stream":
        samples_shape = (manifest.get("inputs") or {}).get("samples") or [1]
        if isinstance(samples_shape[0], int):
            return {}
        # The graph steps any number of streams at once, an engine one.
        sizes = {"samples": (1, manifest["chunk_samples"]), "length": (1,)}
        sizes |= {state["name"]: tuple(state["shape"]) for state in manifest["states"]}
        return {name: (size, size, size) for name, size in sizes.items() if name in inputs}
    if manifest["kind"] == "trigger":
        raise TensorRTError("A trigger needs no engine: it runs on one CPU core, for a hundredth of its time.")
    if manifest["kind"] != "ctc":
        raise TensorRTError(
            f"Bundles of kind {manifest['kind']!r} cannot be built by this heyjetson, ctc and ctc_stream can. "
            "Upgrade heyjetson."
        )
    rate, longest = manifest["sample_rate"], float(manifest["longest_seconds"])
    frame = manifest["window"] / rate
    # The rest of a long recording that was cut may be as short as one frame.
    seconds = options.seconds or (frame, longest / 2, longest)
    if seconds[0] < frame:
        raise TensorRTError(
            f"The shortest recording of {seconds[0]} s is shorter than one frame of {frame:.3f} s. "
            "Give longer --seconds."
        )
    samples = [round(value * rate) for value in seconds]
    varying = {
        "samples": tuple((batch, count) for batch, count in zip(options.batch, samples, strict=True)),
        "length": tuple((batch,) for batch in options.batch),
    }
    return {name: (three[0], three[1], three[2]) for name, three in varying.items() if name in inputs}


def make_plan(
    bundle: Bundle, options: BuildOptions, version: tuple[int, ...], inputs: Collection[str] = ("samples", "length")
) -> Plan:
    """Work out a build.

    Args:
        bundle: what to build.
        options: the user's.
        version: TensorRT's, such as (10, 3, 0).
        inputs: names that the graph really has.

    Raises:
        TensorRTError: this TensorRT or this bundle cannot be used.
    """
    major = version[0]
    if major not in SUPPORTED:
        raise TensorRTError(
            f"TensorRT {'.'.join(map(str, version))} is not supported, {SUPPORTED[0]} and {SUPPORTED[-1]} are. "
            + ("Install JetPack 6.1 or newer." if major < SUPPORTED[0] else "Upgrade heyjetson.")
        )
    manifest = bundle.manifest
    if manifest.get("precision", "fp32") not in PRECISIONS:
        raise TensorRTError(
            f"{bundle.folder} stores its weights as {manifest['precision']}, which TensorRT cannot read. Export the "
            "model again with precision=fp32."
        )
    precision = options.precision or "fp32"
    builder_flags: list[str] = []
    network_flags: list[str] = []
    keep_fp32: tuple[str, ...] = ()
    notes: list[str] = []
    if manifest.get("compute", "fp32") == "fp16":
        if precision == "fp32" and options.precision:
            notes.append("The graph itself computes in fp16, so the engine does too.")
        precision = "fp16"
        if major < 11:
            network_flags.append("STRONGLY_TYPED")  # what the graph keeps in fp32 stays in fp32
    elif precision == "fp16" and major >= 11:
        precision = "fp32"
        notes.append(
            "TensorRT 11 has no --fp16: it takes precisions from the graph, and this bundle's graph computes in fp32, "
            "so the engine does too. An fp16 engine needs a graph that computes in fp16."
        )
    elif precision == "fp16":
        builder_flags.append("FP16")
        keep_fp32 = tuple(manifest.get("tensorrt", {}).get("keep_fp32", ()))
        if keep_fp32:
            builder_flags.append("OBEY_PRECISION_CONSTRAINTS")
        else:
            notes.append(
                "The bundle names no layers to keep in fp32, so the front-end runs in fp16 and loses quiet sounds. "
                "Export it again with target=tensorrt, and compare the texts of both."
            )
    return Plan(
        graph=bundle.graph,
        major=major,
        precision=precision,
        profile=profile_of(manifest, options, inputs),
        builder_flags=tuple(builder_flags),
        network_flags=tuple(network_flags),
        keep_fp32=keep_fp32,
        workspace=options.workspace,
        level=options.level,
        notes=tuple(notes),
    )
