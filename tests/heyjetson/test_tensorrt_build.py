"""Engines are built once, kept, and built again when they no longer fit."""

import argparse
import json
import os
import stat
import subprocess
import sys

import pytest

from heyjetson.bundle import Bundle
from heyjetson.tensorrt import BuildOptions, TensorRTError, build, build_engine, cache, cuda
from heyjetson.tensorrt.command import add
from tests.heyjetson.tensorrt_fake import FakeCudart, fake_tensorrt, make_bundle

FP16 = BuildOptions(precision="fp16")


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "clips", tensorrt={"keep_fp32": ["/frontend/Conv"]})


@pytest.fixture
def device(monkeypatch, tmp_path):
    """A machine with TensorRT and a GPU; returns a function that changes its TensorRT."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cudart = FakeCudart()
    monkeypatch.setattr(cuda.Cuda, "_open", staticmethod(lambda: cudart))
    monkeypatch.setattr(build, "find_trtexec", lambda: None)

    def use(version="10.3.0", **choices):
        trt = fake_tensorrt(version, cudart, **choices)
        monkeypatch.setitem(sys.modules, "tensorrt", trt)
        return trt

    use.cudart = cudart
    use()
    return use


def test_tensorrt_10_is_told_precision_shapes_and_memory(bundle, device):
    trt, said = device("10.3.0"), []
    engine = build_engine(bundle, FP16, said.append)
    assert engine == bundle.folder / "tensorrt" / "model.fp16.engine"
    assert [entry for entry in trt.log if entry[0] != "set_shape"] == [
        ("network", 0),
        ("flag", "FP16"),
        ("flag", "OBEY_PRECISION_CONSTRAINTS"),
        ("workspace", 1024 << 20),
        ("fp32", "/frontend/Conv"),
        ("timing cache", b""),
    ]
    assert ("set_shape", "samples", (1, 400), (1, 64000), (4, 128000)) in trt.log
    record = json.loads((engine.parent / "model.fp16.json").read_text())
    assert (record["tensorrt"], record["gpu"]) == ("10.3.0", "Orin (compute capability 8.7)")
    assert record["graph"] == bundle.manifest["files"]["model.onnx"]["sha256"]
    assert "there is none yet. This takes minutes" in said[0]
    assert said[1:5] == [f"Building Engine: {part} %" for part in (20, 50, 70, 100)]
    assert Bundle(bundle.folder).manifest == bundle.manifest


def test_tensorrt_11_gets_no_precision_flag(bundle, device):
    trt, said = device("11.4.1"), []
    engine = build_engine(bundle, FP16, said.append)
    assert engine.name == "model.fp32.engine"
    assert not [entry for entry in trt.log if entry[0] in ("flag", "fp32")]
    assert "TensorRT 11 has no --fp16" in said[0]


def test_a_strongly_typed_network_where_the_graph_is_half(tmp_path, device):
    bundle = make_bundle(tmp_path / "half", compute="fp16")
    build_engine(bundle, BuildOptions(), print)
    assert ("network", 2) in sys.modules["tensorrt"].log
    device("11.4.1")
    build_engine(bundle, BuildOptions(), print)
    assert ("network", 0) in sys.modules["tensorrt"].log


def test_a_stream_needs_no_profile(tmp_path, device):
    engine = build_engine(make_bundle(tmp_path / "s", "ctc_stream"), BuildOptions(), print)
    assert engine.name == "stream.fp32.engine"
    assert not [entry for entry in sys.modules["tensorrt"].log if entry[0] == "set_shape"]


def test_an_engine_that_fits_is_kept_and_one_that_does_not_is_built_again(bundle, device):
    said = []
    engine = build_engine(bundle, FP16, said.append)
    before = engine.stat().st_mtime_ns
    assert build_engine(bundle, FP16, said.append) == engine
    assert said[-1] == f"{engine} fits and is kept."
    assert engine.stat().st_mtime_ns == before

    trt = device("10.7.0")
    build_engine(bundle, FP16, said.append)
    assert any("TensorRT was 10.3.0 and is 10.7.0" in sentence for sentence in said)
    assert ("timing cache", b"timings") in trt.log

    build_engine(bundle, BuildOptions("fp16", level=5), said.append)
    assert any("--builderOptimizationLevel=5" in sentence for sentence in said[-6:])

    device.cudart._cudaGetDeviceProperties = lambda properties, number: setattr(properties, "value", b"Thor")
    build_engine(bundle, BuildOptions("fp16", level=5), said.append)
    assert any("the GPU was Orin (compute capability 8.7) and is Thor" in sentence for sentence in said[-6:])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda engine: engine.write_bytes(engine.read_bytes()[:-1]), "is damaged"),
        (lambda engine: engine.with_suffix(".json").write_text("{"), "cannot be read"),
        (lambda engine: engine.with_suffix(".json").write_text('{"graph": 1}'), "cannot be read"),
        (lambda engine: engine.with_suffix(".json").unlink(), "cannot be read"),
        (lambda engine: engine.unlink(), "There is no engine"),
    ],
)
def test_a_damaged_engine_is_built_again(bundle, device, damage, reason):
    said = []
    engine = build_engine(bundle, FP16, said.append)
    damage(engine)
    del said[:]
    build_engine(bundle, FP16, said.append)
    assert reason in said[0] and "Building" in said[0]
    del said[:]
    build_engine(bundle, FP16, said.append)
    assert said == [f"{engine} fits and is kept."]


def test_a_read_only_bundle_puts_its_engine_into_the_users_cache(bundle, device, monkeypatch, tmp_path):
    allowed = cache.writable
    monkeypatch.setattr(cache, "writable", lambda folder: bundle.folder not in folder.parents and allowed(folder))
    engine = build_engine(bundle, FP16, print)
    assert (tmp_path / "cache" / "heyjetson" / "tensorrt") in engine.parents
    assert engine in [cache.engine_path(folder, bundle.graph, "fp16") for folder in cache.places(bundle)]
    monkeypatch.setattr(cache, "writable", lambda folder: False)
    with pytest.raises(TensorRTError, match="XDG_CACHE_HOME"):
        build_engine(bundle, FP16, print)


def test_a_folder_is_tried_before_it_is_trusted(tmp_path):
    assert cache.writable(tmp_path / "new" / "folder")
    (tmp_path / "file").touch()
    assert not cache.writable(tmp_path / "file")


def test_an_operator_that_tensorrt_lacks_is_named(bundle, device):
    device(refuse="LogSoftmax")
    with pytest.raises(TensorRTError, match="LogSoftmax /decoder/LogSoftmax: no importer registered") as caught:
        build_engine(bundle, FP16, print)
    assert "target=tensorrt" in str(caught.value)


def test_a_failed_build_says_why_and_leaves_nothing(bundle, device):
    device(fail=True)
    with pytest.raises(TensorRTError, match="OutOfMemory .* --workspace"):
        build_engine(bundle, FP16, print)
    assert not list(bundle.folder.glob("tensorrt/*"))


def test_no_gpu_is_said(bundle, device):
    device.cudart.devices = 0
    with pytest.raises(TensorRTError, match="no CUDA-capable device is detected"):
        build_engine(bundle, FP16, print)


def test_control_c_ends_a_build(bundle, device):
    def report(sentence):
        if "%" in sentence:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(bundle, FP16, report)
    assert not list(bundle.folder.glob("tensorrt/*.engine"))


@pytest.fixture
def trtexec(monkeypatch, tmp_path):
    """A machine with the program trtexec alone."""
    program = tmp_path / "bin" / "trtexec"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "print('&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b30] # trtexec')\n"
        "options = dict(part.partition('=')[::2] for part in sys.argv[1:])\n"
        "if '--fp16' in options and '--layerPrecisions' not in options:\n"
        "    print('[E] Error[10]: Could not find any implementation for node {ForeignNode}'); sys.exit(1)\n"
        "if '--saveEngine' in options:\n"
        "    open(options['--saveEngine'], 'w').write(' '.join(sys.argv))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(build, "tensorrt_module", lambda: None)
    monkeypatch.setattr(cuda.Cuda, "_open", staticmethod(FakeCudart))
    return program


def test_trtexec_builds_where_the_module_is_missing(bundle, trtexec):
    said = []
    engine = build_engine(bundle, FP16, said.append)
    assert "--fp16" in engine.read_text()
    assert said[1].startswith(f"{trtexec} --onnx=")
    assert build_engine(bundle, FP16, said.append) == engine
    assert said[-1].endswith("fits and is kept.")


def test_trtexec_that_fails_is_quoted(tmp_path, trtexec):
    bundle = make_bundle(tmp_path / "plain")
    with pytest.raises(TensorRTError, match="Could not find any implementation"):
        build_engine(bundle, FP16, print)
    assert not list(bundle.folder.glob("tensorrt/*.engine"))


def test_trtexec_that_belongs_to_nothing(tmp_path):
    for program, message in ((sys.executable, "does not say which TensorRT"), (str(tmp_path), "cannot be run")):
        with pytest.raises(TensorRTError, match=message):
            build.trtexec_version(program)


@pytest.fixture
def bare(monkeypatch):
    """A machine without TensorRT."""
    monkeypatch.setattr(build, "tensorrt_module", lambda: None)
    monkeypatch.setattr(build, "find_trtexec", lambda: None)


def test_nothing_installed_names_the_cure(bundle, bare):
    with pytest.raises(TensorRTError, match="apt install tensorrt"):
        build_engine(bundle, FP16, print)


def run(*arguments):
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    options = parser.parse_args(["build-engine", *map(str, arguments)])
    return options.run(options)


def test_a_dry_run_without_tensorrt_shows_both_lines(bundle, bare, capsys):
    assert run(bundle.folder, "--fp16", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "TensorRT 10: trtexec --onnx=" in out and "--fp16" in out
    assert "TensorRT 11: trtexec --onnx=" in out and "TensorRT 11 has no --fp16" in out
    assert not (bundle.folder / "tensorrt").exists()


def test_a_dry_run_with_tensorrt_builds_nothing(bundle, device, capsys):
    assert run(bundle.folder, "--dry-run", "--seconds", 1, 2, 3, "--batch", 1, 1, 2) == 0
    assert "--maxShapes=samples:2x48000,length:2" in capsys.readouterr().out
    assert not (bundle.folder / "tensorrt").exists()


def test_the_command_builds_and_prints_the_engine(bundle, device, capsys):
    assert run(bundle.folder, "--precision", "fp16") == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(bundle.folder / "tensorrt" / "model.fp16.engine")
    assert "Building Engine: 100 %" in captured.err
    with pytest.raises(SystemExit):
        run(bundle.folder, "--fp16", "--precision", "fp32")


def test_a_broken_module_is_not_a_missing_one(monkeypatch):
    def broken(name):
        raise ImportError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr(build.importlib, "import_module", broken)
    with pytest.raises(TensorRTError, match=r"libnvinfer\.so\.10"):
        build.tensorrt_module()


def test_importing_the_package_loads_neither_tensorrt_nor_cuda_nor_onnxruntime():
    script = (
        "import sys, heyjetson.tensorrt, heyjetson.tensorrt.command; "
        "print([name for name in ('tensorrt', 'cuda', 'onnxruntime', 'torch', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
