"""The state of a stream, bound once: the same numbers, nothing shared between streams, and no thread that spins."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heyjetson import Bundle, Trigger
from heyjetson.bundle import write_manifest
from heyjetson.errors import StreamError
from heyjetson.frames import FrameStream
from heyjetson.pace import CHUNK as PIECE
from heyjetson.pace import cost, feed_of, pieces_of, share
from heyjetson.runtime import open_runtime
from heyjetson.steps import BoundSteps, FedSteps, make_steps
from tests.heyjetson.trigger_fake import CHUNK, RATE, SHIFT, make_trigger, quiet, tone


@pytest.fixture(scope="module")
def wake(tmp_path_factory):
    return make_trigger(tmp_path_factory.mktemp("steps") / "wake")


@pytest.fixture(scope="module")
def session(wake):
    return open_runtime(wake, provider="cpu").session


def sounds(count: int, seed: int) -> list[np.ndarray]:
    """Chunks, some of them the shorter end of a sound."""
    rng = np.random.default_rng(seed)
    lengths = rng.choice([CHUNK, CHUNK, 500, 0], count)
    return [0.3 * rng.standard_normal(length).astype(np.float32) for length in lengths]


def test_bound_and_handed_over_are_the_same_to_the_last_bit(wake, session):
    bound, fed = make_steps(wake, session), FedSteps(wake, session)
    assert isinstance(bound, BoundSteps)
    for start in range(3):
        for chunk in sounds(9, start):
            assert np.array_equal(bound.run(chunk), fed.run(chunk))
            assert all(np.array_equal(bound.states[name], state) for name, state in fed.states.items())
            assert bound.sound() and fed.sound()
        bound.restart()
        fed.restart()


def test_streams_of_one_session_share_no_state_and_a_result_stays_as_it_was(wake, session):
    """In turns, from threads, and one that hears nothing for long."""
    alone = []
    for seed in range(4):
        steps = BoundSteps(wake, session)
        alone.append([steps.run(chunk) for chunk in sounds(40, seed)])
    together = [BoundSteps(wake, session) for _ in range(4)]
    given: list[list[np.ndarray]] = [[] for _ in together]

    def listen(number: int) -> None:
        for chunk in sounds(40, number):
            if number == 3:
                time.sleep(0)
            given[number].append(together[number].run(chunk))

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, given, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_elsewhere_than_on_the_cpu_states_are_handed_over(wake, session):
    on_gpu = SimpleNamespace(
        run=session.run, get_inputs=session.get_inputs, get_outputs=session.get_outputs, io_binding=session.io_binding,
        get_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )  # fmt: skip
    assert isinstance(make_steps(wake, on_gpu), FedSteps)


def test_a_stream_has_one_thread_and_none_spins_while_it_waits(wake):
    options = open_runtime(wake, threads=2, provider="cpu").session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    stream = Trigger(wake, threads=2).stream(RATE)
    two = cost(stream.feed, quiet(1.0), RATE, 0.4)
    one = cost(Trigger(wake, threads=1).stream(RATE).feed, quiet(1.0), RATE, 0.4)
    assert two.live < 3 * one.live + 0.02  # a thread that spins takes twenty times as much


def test_whole_recordings_have_the_threads_that_were_asked_for(bundle):
    options = open_runtime(Bundle(bundle), threads=2, provider="cpu").session.get_session_options()
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def swallowing(folder) -> Bundle:
    """samples → square → GRU with a state: infinite squares leave finite scores, as onnxruntime has it."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.standard_normal((1, 6, 1)).astype(np.float32), "r": rng.standard_normal((1, 6, 2)).astype(np.float32),
        "shape": np.array([1, 1, 1], np.int64), "flat": np.array([1, 1, 2], np.int64),
        "small": np.array([1, 2], np.int64), "one": np.ones((1, 1), np.float32), "state": np.array([1, 1, 2], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("ReduceSumSquare", ["samples"], ["power"], keepdims=1),
        helper.make_node("Reshape", ["power", "shape"], ["x"]),
        helper.make_node("Reshape", ["level", "state"], ["before"]),
        helper.make_node("GRU", ["x", "w", "r", "", "", "before"], ["y", "after"], hidden_size=2),
        helper.make_node("Reshape", ["after", "flat"], ["hidden"]),
        helper.make_node("Sigmoid", ["hidden"], ["scores"]),
        helper.make_node("Sub", ["power", "power"], ["difference"]),  # NaN where the power is infinite
        helper.make_node("Add", ["hidden", "difference"], ["sum"]),
        helper.make_node("Reshape", ["sum", "small"], ["next_level"]),
        helper.make_node("Identity", ["one"], ["valid"]),
    ]

    def port(name, shape, kind=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        nodes, "swallow", [port("samples", [1, 4]), port("level", [1, 2])],
        [port("scores", [1, 1, 2]), port("valid", [1, 1]), port("next_level", [1, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "g.onnx")
    write_manifest(folder, {
        "kind": "trigger", "graph": "g.onnx", "sample_rate": RATE, "window": 4, "hop": 4, "subsampling_factor": 1,
        "labels": ["a", "b"], "longest_seconds": 1.0, "chunk_samples": 4, "shift_samples": 4, "chunk_frames": 1,
        "lookahead_frames": 0, "trigger": {"smoothing": 0.0, "refractory": 1.0},
        "states": [{"name": "level", "output": "next_level", "shape": [1, 2], "dtype": "float32", "initial": 0.0}],
    })  # fmt: skip
    return Bundle(folder)


@pytest.mark.parametrize("kind", [BoundSteps, FedSteps])
def test_a_state_that_is_no_number_is_named_and_the_stream_goes_on(tmp_path, monkeypatch, kind):
    bundle = swallowing(tmp_path / "b")
    monkeypatch.setattr("heyjetson.frames.make_steps", kind)
    frames = FrameStream(bundle, open_runtime(bundle, provider="cpu").session)
    frames.push(np.ones(4, np.float32))
    fine = frames.step()
    frames.push(np.array([3e38] * 4 + [1] * 4, np.float32))
    assert not frames.step().any()  # nothing was heard
    with pytest.raises(StreamError, match="The model's state or output is not numbers any more after 0.00 s"):
        frames.tell()
    assert np.array_equal(frames.step(), fine)  # begun anew


def test_samples_that_are_no_numbers_are_refused(bundle):
    from heyjetson import Engine
    from heyjetson.errors import AudioError

    samples = np.zeros((1, 16000), np.float32)
    samples[0, 5] = np.nan
    with pytest.raises(AudioError, match="not numbers"):
        Engine(Bundle(bundle)).log_probs(samples)


def test_live_cost_is_of_all_sound_and_of_this_process(wake):
    pieces = list(pieces_of(np.arange(1000, dtype=np.int16), RATE, 0.4))
    assert len(pieces) == 5 and all(len(piece) == round(PIECE * RATE) for piece in pieces)
    assert np.concatenate(pieces).tolist() == [index % 1000 for index in range(6400)]
    spoken = list(pieces_of(np.array([-2.0, 0.5, 1.0], np.float32), RATE, 0.04))[0]
    assert (spoken.dtype, spoken[:3].tolist()) == (np.int16, [-32767, 16383, 32767])  # as a microphone gives it
    found = cost(feed_of(Trigger(wake).stream(RATE)), tone("computer", 0.5), RATE, 0.2)
    assert found.back_to_back > 0 and 0 <= found.waiting < 1 and 0 < found.live < 1


def test_what_is_measured_is_a_stream_with_its_text_asked_for(streaming_bundle):
    from heyjetson import Engine

    stream = Engine(Bundle(streaming_bundle)).stream(RATE)
    asked = []
    stream.partial = lambda: asked.append(stream.seconds)
    for piece in pieces_of(tone("computer", 0.5), RATE, 0.4):
        feed_of(stream)(piece)
    assert asked == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])


def test_each_piece_that_is_wanted_completes_a_step(wake):
    stream = Trigger(wake).stream(RATE)
    wished, scored = [], []

    def feed(samples):
        wished.append(len(samples))
        scored.append(len(stream.feed_scores(samples)))

    share(feed, tone("computer", 0.5), RATE, 1.0, paced=False, wanted=lambda: stream.missing)
    assert set(scored) == {1}
    assert wished == [CHUNK] + [SHIFT] * (len(wished) - 1)
