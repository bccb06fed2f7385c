"""Streams that are stepped together hear what each would alone, whatever the others do."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from heyjetson import Bundle, Trigger
from heyjetson.frames import FrameStream
from heyjetson.runtime import open_runtime
from heyjetson.together import Together
from tests.heyjetson.trigger_fake import CHUNK, make_trigger


@pytest.fixture(scope="module")
def wake(tmp_path_factory) -> Bundle:
    return make_trigger(tmp_path_factory.mktemp("together") / "wake")


def with_batch(bundle: Bundle) -> onnxruntime.InferenceSession:
    """The bundle's graph with a first dimension that varies, as exports have it."""
    model = onnx.load(bundle.graph)
    for port in [*model.graph.input, *model.graph.output]:
        port.type.tensor_type.shape.dim[0].dim_param = "batch"
    for tensor in model.graph.initializer:
        shape = numpy_helper.to_array(tensor)
        if shape.dtype == np.int64 and shape.size > 1 and shape[0] == 1:  # of a Reshape: as it comes
            tensor.CopyFrom(numpy_helper.from_array(np.concatenate([[0], shape[1:]]), tensor.name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def listening(stream: FrameStream, pieces: list[np.ndarray]):
    """Work that feeds a stream and returns its frames."""
    heard = []
    for piece in pieces:
        stream.push(piece)
        while (step := stream.begin_step()) is not None:
            heard.append((yield step))
    return heard


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from([0, 40, CHUNK, 3 * CHUNK]), min_size=4, max_size=4), min_size=2, max_size=5))
def test_a_stream_that_hears_nothing_keeps_its_state(wake, lengths):
    """Each row is a stream, each number the samples that it gets in a round: none in many."""
    session, rng = with_batch(wake), np.random.default_rng(0)
    together = Together(wake, session)
    assert together.batches
    sounds = [[0.3 * rng.standard_normal(count).astype(np.float32) for count in row] for row in lengths]
    streams, alone = ([FrameStream(wake, session) for _ in lengths] for _ in range(2))
    for turn in range(4):
        found = together.run([listening(stream, [sound[turn]]) for stream, sound in zip(streams, sounds, strict=True)])
        for stream, sound, frames, batched in zip(alone, sounds, found, streams, strict=True):
            stream.push(sound[turn])
            for given_frames in frames:
                assert np.allclose(given_frames, stream.step(), atol=1e-6)
            assert stream.step() is None
            for name, state in stream.steps.states.items():
                assert np.allclose(batched.steps.states[name], state, atol=1e-6)


def test_a_bundle_without_a_batch_is_stepped_in_turn(wake):
    session = open_runtime(wake, provider="cpu").session
    together = Together(wake, session)
    assert not together.batches
    sound = np.full(4 * CHUNK, 0.1, np.float32)
    found = together.run([listening(FrameStream(wake, session), [sound]) for _ in range(3)])
    expected = Trigger(wake, provider="cpu").stream().feed_scores(sound)
    for frames in found:
        assert np.array_equal(np.concatenate(frames), np.concatenate(expected))


def test_one_that_fails_leaves_the_others_alone(wake):
    session = with_batch(wake)

    def failing(stream):
        stream.push(np.zeros(CHUNK, np.float32))
        yield stream.begin_step()
        raise ValueError("no")

    sound = [np.full(2 * CHUNK, 0.1, np.float32)]
    works = [failing(FrameStream(wake, session)), listening(FrameStream(wake, session), sound)]
    failed, heard = Together(wake, session).run(works)
    assert isinstance(failed, ValueError)
    assert len(heard) >= 1
