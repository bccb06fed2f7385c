"""The command lines and flags for TensorRT 10 and 11, worked out without either."""

import pytest

from heyjetson.tensorrt import BuildOptions, TensorRTError, make_plan
from heyjetson.tensorrt.plan import shell_line
from tests.heyjetson.tensorrt_fake import make_bundle

TEN, ELEVEN = (10, 3, 0), (11, 4, 1)
# Removed in TensorRT 11 ("Migrating trtexec Usage from TensorRT 10.x to 11.x") and in 10 (8.x to 10.x).
GONE_IN_11 = ("--fp16", "--int8", "--bf16", "--best", "--calib", "--precisionConstraints", "--layerPrecisions")
GONE_IN_10 = ("--workspace", "--explicitBatch", "--buildOnly", "--minTiming")


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "clips")


@pytest.fixture
def stream(tmp_path):
    return make_bundle(tmp_path / "stream", "ctc_stream")


def line(bundle, version, tmp_path, inputs=("samples", "length"), **options):
    plan = make_plan(bundle, BuildOptions(**options), version, inputs)
    return plan, plan.command(tmp_path / "e.engine", tmp_path / "t.cache")


def test_the_line_for_tensorrt_10(bundle, tmp_path):
    plan, command = line(
        bundle, TEN, tmp_path, precision="fp16", seconds=(0.5, 2, 8), batch=(1, 2, 4), workspace=512, level=4
    )
    assert command == [
        "trtexec",
        f"--onnx={bundle.folder}/model.onnx",
        f"--saveEngine={tmp_path}/e.engine",
        "--minShapes=samples:1x8000,length:1",
        "--optShapes=samples:2x32000,length:2",
        "--maxShapes=samples:4x128000,length:4",
        "--fp16",
        "--memPoolSize=workspace:512",
        "--builderOptimizationLevel=4",
        f"--timingCacheFile={tmp_path}/t.cache",
        "--skipInference",
    ]
    assert plan.builder_flags == ("FP16",)
    assert "front-end runs in fp16" in plan.notes[0]


def test_tensorrt_11_has_no_fp16_and_says_so(bundle, tmp_path):
    plan, command = line(bundle, ELEVEN, tmp_path, precision="fp16")
    assert plan.precision == "fp32"
    assert plan.builder_flags == plan.network_flags == ()
    assert not [flag for flag in command if flag.startswith((*GONE_IN_11, "--stronglyTyped"))]
    assert "TensorRT 11 has no --fp16" in plan.notes[0]


@pytest.mark.parametrize("version", [TEN, ELEVEN])
def test_no_line_holds_a_flag_that_was_removed(bundle, stream, tmp_path, version):
    for one in (bundle, stream):
        for precision in (None, "fp32", "fp16"):
            _, command = line(one, version, tmp_path, precision=precision)
            assert not [flag for flag in command if flag.startswith(GONE_IN_10)]
            assert "--skipInference" in command


def test_named_layers_stay_in_single_precision(tmp_path):
    bundle = make_bundle(tmp_path / "b", tensorrt={"keep_fp32": ["/frontend/Conv", "/frontend/Log"]})
    plan, command = line(bundle, TEN, tmp_path, precision="fp16")
    assert plan.builder_flags == ("FP16", "OBEY_PRECISION_CONSTRAINTS")
    assert "--precisionConstraints=obey" in command
    assert "--layerPrecisions=/frontend/Conv:fp32,/frontend/Log:fp32" in command
    assert plan.notes == ()
    assert line(bundle, TEN, tmp_path)[0].keep_fp32 == ()


def test_a_graph_in_half_precision_is_strongly_typed(tmp_path):
    bundle = make_bundle(tmp_path / "b", compute="fp16")
    ten, command = line(bundle, TEN, tmp_path, precision="fp32")
    assert (ten.precision, ten.network_flags, ten.builder_flags) == ("fp16", ("STRONGLY_TYPED",), ())
    assert "--stronglyTyped" in command and "--fp16" not in command
    assert "computes in fp16" in ten.notes[0]
    eleven, command = line(bundle, ELEVEN, tmp_path)
    assert (eleven.precision, eleven.network_flags, eleven.notes) == ("fp16", (), ())


def test_an_input_that_the_tracer_dropped_gets_no_shape(bundle, tmp_path):
    _, command = line(bundle, TEN, tmp_path, inputs=["samples"])
    assert not [flag for flag in command if "length" in flag]


def test_a_stream_has_no_shapes_to_choose(stream, tmp_path):
    plan, command = line(stream, TEN, tmp_path)
    assert plan.profile == {}
    assert not [flag for flag in command if "Shapes" in flag]
    assert f"--onnx={stream.folder}/stream.onnx" in command


def test_default_shapes_hold_every_piece_that_the_runtime_makes(bundle):
    smallest, usual, largest = make_plan(bundle, BuildOptions(), TEN).profile["samples"]
    assert smallest == (1, bundle.manifest["window"])
    assert usual == (1, 4 * 16000)
    assert largest == (4, 8 * 16000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "fp32 or fp16, found 'int8'"),
        ({"workspace": 0}, "at least 1 MiB"),
        ({"level": 6}, "0 to 5, found 6"),
        ({"seconds": (1, 3, 2)}, "seconds must be three positive numbers that do not fall"),
        ({"batch": (0, 1, 2)}, "batch must be three positive numbers"),
    ],
)
def test_choices_that_cannot_work(options, message):
    with pytest.raises(TensorRTError, match=message):
        BuildOptions(**options)


def test_bundles_and_versions_that_cannot_be_built(bundle, tmp_path):
    with pytest.raises(TensorRTError, match="JetPack 6.1 or newer"):
        make_plan(bundle, BuildOptions(), (8, 6, 2))
    with pytest.raises(TensorRTError, match="Upgrade heyjetson"):
        make_plan(bundle, BuildOptions(), (12, 0, 0))
    with pytest.raises(TensorRTError, match="shorter than one frame of 0.025 s"):
        make_plan(bundle, BuildOptions(seconds=(0.01, 1, 2)), TEN)
    with pytest.raises(TensorRTError, match="precision=fp32"):
        make_plan(make_bundle(tmp_path / "int8", precision="int8"), BuildOptions(), TEN)
    for kind, message in (("trigger", "needs no engine"), ("transducer", "kind 'transducer'")):
        bundle.manifest["kind"] = kind
        with pytest.raises(TensorRTError, match=message):
            make_plan(bundle, BuildOptions(), TEN)


def test_flags_tell_engines_apart(bundle, tmp_path):
    plans = [
        make_plan(bundle, BuildOptions(**options), TEN)
        for options in ({}, {"precision": "fp16"}, {"seconds": (1, 2, 3)}, {"level": 5}, {"workspace": 2})
    ]
    assert len({plan.flags for plan in plans}) == len(plans)


def test_a_line_can_be_pasted_into_a_shell(bundle, tmp_path):
    plan = make_plan(bundle, BuildOptions(), TEN)
    assert "'--saveEngine=my engine'" in shell_line(plan.command("my engine", tmp_path / "t"))
