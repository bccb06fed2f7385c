"""An engine is run with the calls and answers of onnxruntime's session."""

import ctypes
import sys
import threading

import numpy as np
import onnxruntime
import pytest

from heyjetson.tensorrt import BuildOptions, TensorRTError, TensorRTSession, build_engine, open_session
from heyjetson.tensorrt import cuda as cuda_module
from heyjetson.tensorrt.cuda import Cuda, candidates
from tests.heyjetson.tensorrt_fake import CHUNK, FakeCudart, fake_tensorrt, make_bundle


@pytest.fixture
def cudart(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cudart = FakeCudart()
    monkeypatch.setattr(Cuda, "_open", staticmethod(lambda: cudart))
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("10.3.0", cudart))
    return cudart


@pytest.fixture
def bundle(tmp_path, cudart):
    bundle = make_bundle(tmp_path / "clips")
    build_engine(bundle, BuildOptions(), print)
    return bundle


def clips(batch, samples, seed=0):
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal((batch, samples)).astype(np.float32)
    return {"samples": sound, "length": np.full(batch, samples, np.int64)}


def test_it_gives_what_onnxruntime_gives_at_any_size(bundle):
    session = open_session(bundle, pytest.fail)
    reference = onnxruntime.InferenceSession(str(bundle.graph), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["samples", "length"]
    assert [value.name for value in session.get_outputs()] == ["log_probs", "frames"]
    for batch, samples in ((1, 16000), (4, 400), (1, 128000), (2, 1234), (1, 400)):
        feed = clips(batch, samples, samples)
        expected = reference.run(["frames", "log_probs"], feed)
        found = session.run(["frames", "log_probs"], feed)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_types_are_brought_to_the_engines(bundle):
    session = open_session(bundle, pytest.fail)
    feed = clips(2, 800)
    wide = {"samples": np.asfortranarray(feed["samples"].astype(np.float64)), "length": feed["length"].astype(np.int32)}
    for one, other in zip(session.run(None, wide), session.run(None, feed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stream_carries_its_state(tmp_path, cudart):
    bundle = make_bundle(tmp_path / "s", "ctc_stream")
    build_engine(bundle, BuildOptions(), print)
    session = open_session(bundle, pytest.fail)
    state = np.zeros((1, CHUNK), np.float32)
    for _ in range(3):
        _, state = session.run(["log_probs", "next_sum"], {"samples": np.ones((1, CHUNK)), "sum": state})
    assert (state == 3).all()


def test_what_the_engine_was_not_built_for_is_refused_and_the_next_call_works(bundle):
    session = open_session(bundle, pytest.fail)
    with pytest.raises(TensorRTError, match=r"not built for samples of shape \[5, 800\]"):
        session.run(None, clips(5, 800))
    with pytest.raises(TensorRTError, match="--seconds"):
        session.run(None, clips(1, 399))
    with pytest.raises(TensorRTError, match="missing: length"):
        session.run(None, {"samples": np.zeros((1, 800))})
    with pytest.raises(TensorRTError, match="not logits"):
        session.run(["logits"], clips(1, 800))
    assert session.run(["frames"], clips(1, 800))[0].tolist() == [3]


def test_memory_grows_to_the_largest_and_is_given_back(bundle, cudart):
    session = open_session(bundle, pytest.fail)
    session.run(None, clips(4, 16000))
    held = len(cudart.buffers), cudart.calls.count("cudaMalloc")
    for _ in range(5):
        session.run(None, clips(1, 800))
        session.run(None, clips(4, 16000))
    assert (len(cudart.buffers), cudart.calls.count("cudaMalloc")) == held
    session.run(None, clips(4, 128000))
    assert len(cudart.buffers) == 4
    session.close()
    session.close()
    assert not cudart.buffers
    assert cudart.calls.count("cudaStreamDestroy") == 1


def test_a_full_gpu_is_said(bundle, cudart):
    session = open_session(bundle, pytest.fail)
    cudart.memory = 1000
    with pytest.raises(TensorRTError, match="cudaMalloc failed .out of memory.. Free memory"):
        session.run(None, clips(1, 16000))


def test_threads_take_turns(bundle):
    session = open_session(bundle, pytest.fail)
    feeds = [clips(1, 800 + 160 * seed, seed) for seed in range(8)]
    expected = [session.run(["log_probs"], feed)[0] for feed in feeds]
    wrong = []

    def work(place):
        for _ in range(20):
            if not np.array_equal(session.run(["log_probs"], feeds[place])[0], expected[place]):
                wrong.append(place)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_no_engine_is_no_session_and_no_noise(tmp_path, cudart):
    assert open_session(make_bundle(tmp_path / "new"), pytest.fail) is None


def test_the_newest_engine_that_fits_is_taken(bundle):
    build_engine(bundle, BuildOptions("fp16", seconds=(1, 2, 3)), print)
    assert open_session(bundle, pytest.fail).path.name == "model.fp16.engine"


def test_why_onnxruntime_is_used_is_said(bundle, cudart, monkeypatch):
    said = []
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("10.7.0", cudart))
    assert open_session(bundle, said.append) is None
    assert "TensorRT was 10.3.0 and is 10.7.0" in said[-1] and "heyjetson build-engine" in said[-1]

    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("10.3.0", cudart))
    engine = bundle.folder / "tensorrt" / "model.fp32.engine"
    engine.write_bytes(b"?")
    assert open_session(bundle, said.append) is None
    assert "is damaged" in said[-1]

    cudart.devices = 0
    assert open_session(bundle, said.append) is None
    assert said[-1].endswith("onnxruntime is used.") and "--runtime nvidia" in said[-1]

    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert open_session(bundle, said.append) is None
    assert "Python module is missing: onnxruntime is used" in said[-1]


def test_an_engine_of_another_tensorrt_is_refused(bundle, cudart):
    engine = bundle.folder / "tensorrt" / "model.fp32.engine"
    with pytest.raises(TensorRTError, match="Version tag does not match.*build it again"):
        TensorRTSession(engine, fake_tensorrt("10.8.0", cudart), Cuda(cudart))


def test_a_machine_without_cuda_names_the_cure(monkeypatch):
    monkeypatch.setattr(cuda_module, "candidates", lambda: ["libcudart-of-nowhere.so"])
    with pytest.raises(TensorRTError, match="nvidia-jetpack"):
        Cuda()
    assert candidates()


def test_the_loader_takes_any_library_that_loads(monkeypatch):
    libc = ctypes.util.find_library("c")
    monkeypatch.setattr(cuda_module, "candidates", lambda: ["libcudart-of-nowhere.so", libc])
    assert isinstance(Cuda()._library, ctypes.CDLL)
