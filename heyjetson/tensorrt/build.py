"""Builds an engine: with TensorRT's Python module, else with the program trtexec, else says what to install."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heyjetson.bundle import Bundle
from heyjetson.installed import load_onnxruntime
from heyjetson.tensorrt import cache
from heyjetson.tensorrt.cuda import Cuda
from heyjetson.tensorrt.errors import TensorRTError
from heyjetson.tensorrt.plan import BuildOptions, Plan, make_plan, shell_line

Report = Callable[[str], None]

TRTEXEC = Path("/usr/src/tensorrt/bin/trtexec")  # where JetPack puts it, outside PATH
INSTALL = (
    "On a Jetson: sudo apt install tensorrt python3-libnvinfer, and make the environment with "
    "`python3 -m venv --system-site-packages`. Elsewhere: pip install tensorrt."
)


def tensorrt_module() -> Any | None:
    """TensorRT's Python module, or None where it is not installed.

    Raises:
        TensorRTError: it is installed and cannot be loaded.
    """
    try:
        return importlib.import_module("tensorrt")
    except ModuleNotFoundError:
        return None
    except (ImportError, OSError) as error:
        raise TensorRTError(f"TensorRT's Python module cannot be loaded ({error}). {INSTALL}") from None


def find_trtexec() -> str | None:
    """The program trtexec, on PATH or where JetPack puts it."""
    return shutil.which("trtexec") or (str(TRTEXEC) if TRTEXEC.is_file() else None)


def parse_version(text: str) -> tuple[int, ...]:
    """A version written with dots.

    >>> parse_version("10.3.0.30"), parse_version("11.4.1")
    ((10, 3, 0), (11, 4, 1))
    """
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def parse_banner(text: str) -> tuple[int, ...]:
    """TensorRT's version from the first line that trtexec prints, whatever it is asked.

    >>> parse_banner("&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b30] # trtexec --help")
    (10, 3, 0)
    >>> parse_banner("&&&& RUNNING TensorRT.trtexec [TensorRT v8602] # trtexec --help")
    (8, 6, 2)

    Raises:
        TensorRTError: there is no such line.
    """
    found = re.search(r"\[TensorRT v(\d+)\]", text)
    if not found:
        raise TensorRTError(f"trtexec does not say which TensorRT it belongs to. {INSTALL}")
    number = int(found[1])
    # Two digits for each part since version 10, one for the minor of 8 and 9 before.
    major, rest = divmod(number, 10000 if number >= 100000 else 1000)
    return (major, *divmod(rest, 100))


def trtexec_version(program: str) -> tuple[int, ...]:
    """TensorRT's version, asked of trtexec."""
    try:
        asked = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise TensorRTError(f"{program} cannot be run ({error}). {INSTALL}") from None
    return parse_banner(asked.stdout + asked.stderr)


def graph_inputs(graph: Path) -> list[str]:
    """Names that a graph really has: the tracer drops an input on which nothing depends."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base class of theirs
        raise TensorRTError(f"{graph} cannot be read ({error}). Export the model again.") from error
    return [value.name for value in session.get_inputs()]


def parse_network(trt: Any, builder: Any, logger: Any, plan: Plan) -> Any:
    """Read the graph into a network.

    Raises:
        TensorRTError: TensorRT has not all of its operators.
    """
    creation = 0
    for name in plan.network_flags:
        creation |= 1 << int(getattr(trt.NetworkDefinitionCreationFlag, name))
    network = builder.create_network(creation)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(plan.graph)):
        reasons = []
        for place in range(parser.num_errors):
            error = parser.get_error(place)
            where = f"{error.node_operator()} {error.node_name()}: " if hasattr(error, "node_operator") else ""
            reasons.append(f"{where}{error.desc().strip()}")
        raise TensorRTError(
            f"TensorRT {trt.__version__} cannot read {plan.graph}: {'; '.join(reasons) or 'no reason given'}. "
            "Export the model with target=tensorrt, which checks each operator, or upgrade JetPack."
        )
    return network


def configure(trt: Any, builder: Any, network: Any, plan: Plan) -> Any:
    """Precision, memory, level and shapes of a build.

    Raises:
        TensorRTError: this TensorRT lacks a flag, or refuses the shapes.
    """
    config = builder.create_builder_config()
    for name in plan.builder_flags:
        flag = getattr(trt.BuilderFlag, name, None)
        if flag is None:
            raise TensorRTError(f"TensorRT {trt.__version__} has no builder flag {name}. Build with --precision fp32.")
        config.set_flag(flag)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, plan.workspace << 20)
    config.builder_optimization_level = plan.level
    if plan.profile:
        profile = builder.create_optimization_profile()
        try:
            for name, (smallest, usual, largest) in plan.profile.items():
                profile.set_shape(name, smallest, usual, largest)
            accepted = config.add_optimization_profile(profile) >= 0
        except ValueError:
            accepted = False
        if not accepted:
            raise TensorRTError(f"TensorRT refuses the shapes {plan.profile}. Give other --seconds or --batch.")
    kept = set(plan.keep_fp32)
    for layer in (network.get_layer(place) for place in range(network.num_layers if kept else 0)):
        if layer.name in kept:
            layer.precision = trt.float32
            for place in range(layer.num_outputs):
                layer.set_output_type(place, trt.float32)
    return config


def make_logger(trt: Any, problems: list[str]) -> Any:
    """A TensorRT logger that keeps the errors and prints nothing."""

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                problems.append(message.strip())

    return Logger()


def make_monitor(trt: Any, report: Report) -> Any:
    """A progress monitor that reports each tenth of the outermost phase; Ctrl-C ends the build."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.outer: str | None = None
            self.steps, self.tenth = 1, 0
            self.interrupted = False

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self.outer, self.steps, self.tenth = phase_name, max(num_steps, 1), 0

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                tenth = 10 * (step + 1) // self.steps
                if phase_name == self.outer and self.tenth < tenth <= 10:
                    self.tenth = tenth
                    report(f"{phase_name}: {tenth * 10} %")
            except KeyboardInterrupt:  # an exception must not pass through TensorRT's own code
                self.interrupted = True
            return not self.interrupted

        def phase_finish(self, phase_name: str) -> None:
            if phase_name == self.outer:
                self.outer = None

    return Monitor()


def build_with_module(trt: Any, plan: Plan, timing_cache: Path, report: Report) -> bytes:
    """Build with TensorRT's Python module.

    Args:
        trt: the module.
        plan: what to build.
        timing_cache: file of measured kernels, read and written.
        report: gets progress.

    Returns:
        the engine.

    Raises:
        TensorRTError: TensorRT cannot read the graph or build it.
    """
    problems: list[str] = []
    logger = make_logger(trt, problems)
    try:
        builder = trt.Builder(logger)
    except TypeError:  # pybind11's way to say that the constructor returned nothing
        raise TensorRTError(
            f"TensorRT {trt.__version__} finds no GPU it can use ({'; '.join(problems) or 'no reason given'}). "
            "In a container, start it with --runtime nvidia."
        ) from None
    network = parse_network(trt, builder, logger, plan)
    config = configure(trt, builder, network, plan)
    known = timing_cache.read_bytes() if timing_cache.is_file() else b""
    timings = config.create_timing_cache(known) or config.create_timing_cache(b"")
    if not config.set_timing_cache(timings, False):  # of another TensorRT or GPU
        config.set_timing_cache(config.create_timing_cache(b""), False)
    monitor = None
    if hasattr(trt, "IProgressMonitor"):
        monitor = make_monitor(trt, report)
        config.progress_monitor = monitor
    engine = builder.build_serialized_network(network, config)
    if monitor is not None and monitor.interrupted:
        raise KeyboardInterrupt
    if engine is None:
        raise TensorRTError(
            f"TensorRT {trt.__version__} could not build the engine: {'; '.join(problems[-3:]) or 'no reason given'}. "
            "Close other programs that use the GPU's memory, or give a larger --workspace, a lower --level or shorter "
            "--seconds."
        )
    timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(engine)


def build_with_trtexec(command: list[str], report: Report) -> None:
    """Build with the program trtexec.

    Raises:
        TensorRTError: it failed; the message ends with its own last errors.
    """
    report(shell_line(command))
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            lines = [line.rstrip() for line in process.stdout or ()]
    except OSError as error:
        raise TensorRTError(f"{command[0]} cannot be run ({error}). {INSTALL}") from None
    if process.returncode:
        errors = [line for line in lines if "[E]" in line] or lines
        raise TensorRTError(
            f"trtexec failed with status {process.returncode}: {'; '.join(errors[-3:])}. Run the line above by hand to "
            "see all of it."
        )


def build_engine(bundle: Bundle, options: BuildOptions, report: Report, dry_run: bool = False) -> Path | None:
    """Build a bundle's engine, unless one that fits is there.

    Args:
        bundle: what to build.
        options: the user's.
        report: gets sentences on what is done and why.
        dry_run: say what would be done and build nothing.

    Returns:
        the engine; None of a dry run.

    Raises:
        TensorRTError: there is no TensorRT or GPU here, or it refuses the graph.
    """
    trt, program = tensorrt_module(), find_trtexec()
    if trt is not None:
        version = parse_version(trt.__version__)
    elif program is not None:
        version = trtexec_version(program)
    elif dry_run:
        _show_both(bundle, options, report)
        return None
    else:
        raise TensorRTError(f"Neither TensorRT's Python module nor trtexec is on this machine. {INSTALL}")
    graph = bundle.graph
    plan = make_plan(bundle, options, version, graph_inputs(graph))
    for note in plan.notes:
        report(note)
    folder = cache.places(bundle)[0] if dry_run else cache.folder_to_write(bundle)
    engine = cache.engine_path(folder, graph, plan.precision)
    timing_cache = folder / "timing.cache"
    if dry_run:
        report(shell_line(plan.command(engine, timing_cache, program or "trtexec")))
        return None
    key = cache.Key(cache.graph_hash(bundle), ".".join(map(str, version)), str(Cuda().device()), plan.flags)
    reason = cache.find(engine, key)
    if not reason:
        report(f"{engine} fits and is kept.")
        return engine
    report(f"Building {engine} for {key.gpu} with TensorRT {key.tensorrt}: {reason}. This takes minutes.")
    started = time.monotonic()
    if trt is not None:
        fresh: bytes | Path = build_with_module(trt, plan, timing_cache, report)
    else:
        fresh = engine.with_suffix(".part")
        try:
            build_with_trtexec(plan.command(fresh, timing_cache, str(program)), report)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    seconds = time.monotonic() - started
    cache.store(fresh, engine, key, {"precision": plan.precision, "build_seconds": round(seconds, 1)})
    report(f"{engine}: {engine.stat().st_size / 1e6:.1f} MB, built in {seconds:.0f} s.")
    return engine


def _show_both(bundle: Bundle, options: BuildOptions, report: Report) -> None:
    """Without TensorRT, the lines for both versions."""
    report("There is no TensorRT here; these are the lines for a device that has it.")
    inputs = graph_inputs(bundle.graph)
    folder = cache.places(bundle)[0]
    for version in ((10, 3, 0), (11, 4, 1)):
        plan = make_plan(bundle, options, version, inputs)
        engine = cache.engine_path(folder, plan.graph, plan.precision)
        report(f"TensorRT {version[0]}: {shell_line(plan.command(engine, folder / 'timing.cache'))}")
        for note in plan.notes:
            report(note)
