"""`heyjetson doctor` finds what computes wrongly, and no command writes an empty text where there are no numbers."""

import importlib.metadata
import sys

import numpy as np
import pytest
import soundfile

from heyjetson import Bundle, Engine, HeyJetsonError, frames
from heyjetson import check as checking
from heyjetson.check import FILE, check, frames_of, report, tolerance
from heyjetson.cli import main
from heyjetson.errors import ProviderError, StreamError
from heyjetson.frames import FrameStream
from heyjetson.installed import load_onnxruntime, sentence
from heyjetson.steps import FedSteps

KINDS = ["bundle", "streaming_bundle"]


class Broken:
    """A runtime that computes something else.

    Args:
        session: the right one.
        spoil: what it makes of an output of floating point.
    """

    def __init__(self, session, spoil):
        self.session, self.spoil = session, spoil

    def get_inputs(self):
        return self.session.get_inputs()

    def run(self, outputs, feed):
        given = self.session.run(outputs, feed)
        return [self.spoil(one) if one.dtype == np.float32 else one for one in given]


def not_numbers(values):
    return np.full_like(values, np.nan)


def noise(values):
    return np.random.default_rng(0).standard_normal(values.shape).astype(np.float32) - 3


def a_little(values):
    return values + np.float32(0.01) * (values < 0)


@pytest.fixture(params=KINDS)
def engine(request):
    return Engine(Bundle(request.getfixturevalue(request.param)), provider="cpu")


def test_what_computes_rightly_passes(engine):
    found = check(engine)
    assert found.good and "computes as the exporter did" in found.said
    with np.load(engine.bundle.folder / FILE) as held:
        assert len(held["samples"]) >= engine.bundle.sample_rate and len(held["frames"]) > 10
        assert np.ptp(held["samples"]) > 3000  # a voice


@pytest.mark.parametrize(
    ("spoil", "message"), [(not_numbers, "not numbers"), (noise, "computes wrongly"), (a_little, "computes wrongly")]
)
def test_what_computes_wrongly_is_named(engine, spoil, message):
    engine.session = Broken(engine.session, spoil)
    found = report(engine, lambda: pytest.fail("it is the CPU already"))
    assert not found.good and message in found.said and "another version of onnxruntime" in found.said


def test_the_cpu_is_tried_where_another_is_wrong(bundle):
    engine = Engine(Bundle(bundle), provider="cpu")
    engine.provider, engine.session = "cuda", Broken(engine.session, not_numbers)
    found = report(engine, lambda: Engine(Bundle(bundle), provider="cpu"))
    assert not found.good and "use --provider cpu" in found.said


def test_rounding_is_wider_where_less_is_computed(bundle):
    engine = Bundle(bundle)
    assert tolerance(engine, "cpu") < tolerance(engine, "cuda")
    engine.manifest["precision"] = "fp16"
    assert tolerance(engine, "cpu") < tolerance(engine, "tensorrt") == checking.HALF


def test_a_stream_without_numbers_is_an_error_and_no_empty_text(streaming_bundle):
    engine = Engine(Bundle(streaming_bundle), provider="cpu")
    engine.session = Broken(engine.session, not_numbers)
    samples = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    with pytest.raises(StreamError, match="not numbers"):
        engine.transcribe(samples, 16000)
    stream = engine.stream()
    with pytest.raises(StreamError, match="not numbers"):
        stream.feed(samples)
    frames = FrameStream(engine.bundle, engine.session)
    frames.push(samples)
    assert frames.step() is not None
    with pytest.raises(StreamError, match="doctor"):
        frames.tell()


@pytest.mark.parametrize("kind", KINDS)
def test_the_command(kind, request, tmp_path, monkeypatch, capsys):
    import onnxruntime

    folder = str(request.getfixturevalue(kind))
    assert main(["doctor", folder]) == 0
    assert "as the exporter did" in " ".join(capsys.readouterr().out.split()).replace(" │ │ │ ", " ")
    monkeypatch.setattr(frames, "make_steps", FedSteps)  # bound arrays pass `run` by
    run = onnxruntime.InferenceSession.run
    monkeypatch.setattr(
        onnxruntime.InferenceSession, "run",
        lambda self, *given: [not_numbers(one) if one.dtype == np.float32 else one for one in run(self, *given)],
    )  # fmt: skip
    assert main(["doctor", folder]) == 1
    capsys.readouterr()
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    assert main(["transcribe", folder, str(tmp_path / "a.wav")]) == 1
    assert "not numbers" in capsys.readouterr().err


def test_a_bundle_of_before_is_not_checked(bundle):
    engine = Engine(Bundle(bundle), provider="cpu")
    del engine.bundle.manifest["files"][FILE]
    assert check(engine) is None
    assert "Export it anew" in report(engine, lambda: None).said


def test_a_recording_of_the_users_own(small_model, nemo_file, tmp_path):
    from experiments.errors import ConfigError
    from experiments.export.bundle import ExportOptions, export_bundle

    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(1).standard_normal(8000), 8000)
    quick = {"seconds": [0.3], "batch_sizes": [1]}
    export_bundle(small_model, nemo_file, tmp_path / "b", ExportOptions(check=tmp_path / "a.wav", **quick))
    engine = Engine(Bundle(tmp_path / "b"), provider="cpu")
    with np.load(tmp_path / "b" / FILE) as held:
        assert len(held["samples"]) == 16000
        assert np.array_equal(frames_of(engine, held["samples"]), held["frames"])
    soundfile.write(tmp_path / "short.wav", np.zeros(10), 16000)
    with pytest.raises(ConfigError, match="shorter than a window"):
        export_bundle(small_model, nemo_file, tmp_path / "c", ExportOptions(check=tmp_path / "short.wav", **quick))
    assert not (tmp_path / "c").exists()


# ---- what is installed


def installed(monkeypatch, **versions):
    """Make packages look as if they were installed in these versions, and `import onnxruntime` fail."""

    def version(package):
        if package.replace("-", "_") in versions:
            return versions[package.replace("-", "_")]
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


@pytest.mark.parametrize(
    ("versions", "cure"),
    [
        ({"numpy": "2.4.6"}, 'pip install "heyjetson[cpu]"'),
        ({"numpy": "2.4.6", "onnxruntime": "1.18.0"}, 'pip install "numpy<2", or pip install --upgrade onnxruntime'),
        ({"numpy": "1.26.4", "onnxruntime": "1.18.0"}, "pip install onnxruntime"),
        (
            {"numpy": "2.4.6", "onnxruntime_gpu": "1.31.1"},
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu",
        ),
        ({"numpy": "2.4.6", "onnxruntime": "1.32.0", "onnxruntime_gpu": "1.31.1"}, "pip install onnxruntime-gpu"),
    ],
)
def test_why_onnxruntime_cannot_be_used(versions, cure, monkeypatch, bundle, tmp_path, capsys):
    installed(monkeypatch, **versions)
    with pytest.raises(ProviderError) as raised:
        load_onnxruntime()
    assert cure in str(raised.value)
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    for command in (["transcribe", bundle, tmp_path / "a.wav"], ["bench", bundle], ["doctor", bundle]):
        assert main(list(map(str, command))) == 1
        assert "Traceback" not in capsys.readouterr().err


def test_other_imports_that_fail_are_sentences():
    assert sentence(ModuleNotFoundError("No module named 'soxr'", name="soxr")) == (
        "The package soxr is missing: pip install soxr."
    )
    assert "--force-reinstall soxr" in sentence(ImportError("undefined symbol", name="soxr.soxr_ext"))
    assert "apt install libsndfile1" in sentence(OSError("sndfile library not found"))
    assert sentence(OSError("disk full")) is None and sentence(HeyJetsonError("x")) is None
