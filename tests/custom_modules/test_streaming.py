"""A stream says what the whole utterance says, to the last frame, however it is cut."""

import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import custom_modules  # noqa: F401
from custom_modules.streaming import HeyJetsonStreamingEncoder


def build(
    lookahead: int = 3,
    left: int = 5,
    cell: str = "gru",
    norm: str = "batch",
    strides=(2, 2, 1),
    stem=None,
    finer: int = 1,
    **recurrent,
):
    torch.manual_seed(3)
    encoder = HeyJetsonStreamingEncoder(
        feat_in=8,
        convolution={
            "filters": 12,
            "kernels": [5, 3, 3],
            "strides": strides,
            "dilations": [1, 1, 2],
            "norm": norm,
            "residual": True,
            "finer": finer,
        },
        recurrent={"layers": 2, "hidden": 12, "cell": cell, "norm": norm, "residual": True, **recurrent},
        lookahead=lookahead,
        attention={"left": left, "heads": 2},
        dense={"units": [10]},
        stem=stem,
    ).eval()
    for parameter in encoder.parameters():  # nothing stays at its neutral start: statistics, lookahead, biases
        parameter.data += 0.2 * torch.randn_like(parameter)
    for name, buffer in encoder.named_buffers():
        if name.endswith("running_mean"):
            buffer += 0.3 * torch.randn_like(buffer)
    return encoder


ALONE = {"lookahead": 0, "left": 0, "layers": 0}

ENCODERS = {
    "gru": build(),
    "convolutions alone, twice as many frames": build(**ALONE, finer=2),
    "lstm": build(cell="lstm", norm="layer"),
    "min_gru": build(cell="min_gru", norm="layer", norm_first=True),
    "no lookahead": build(lookahead=0),
    "no attention": build(left=0),
    "lookahead longer than a step": build(lookahead=7, strides=(1, 2, 1)),
    "stem": build(
        strides=(1, 1, 1),
        stem={"filters": [3, 4, 4], "strides": [[2, 2], [2, 1], [1, 1]], "pool": 2, "features": 9},
    ),
}


def streamed(encoder, features: torch.Tensor, cuts: list[int]) -> torch.Tensor:
    """Outputs [T', H] of one utterance [D, T] in steps of `cuts` output frames, over and over."""
    factor, frames = encoder.subsampling_factor, features.shape[1]
    state, pieces, start, turn = encoder.zeros(1), [], 0, 0
    while start < frames + encoder.lookahead.frames * factor:
        size = cuts[turn % len(cuts)] * factor
        piece = features[:, start : start + size]
        mask = torch.zeros(1, size)
        mask[:, : piece.shape[1]] = 1
        given_ = encoder.step(torch.nn.functional.pad(piece, (0, size - piece.shape[1]))[None], mask, state)
        state = given_.state
        pieces.append(given_.outputs[0][given_.mask[0] > 0])
        start, turn = start + size, turn + 1
    return torch.cat(pieces)


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 90), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_steps_give_what_the_whole_gives(name, frames, cuts, seed):
    encoder = ENCODERS[name]
    features = torch.randn(8, frames, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        whole, lengths = encoder(audio_signal=features[None], length=torch.tensor([frames]))
        pieces = streamed(encoder, features, cuts)
    assert pieces.shape == (int(lengths), 10)
    torch.testing.assert_close(pieces, whole[0].T, atol=1e-4, rtol=1e-4)


@given(
    strides=st.sampled_from([(2, 2, 1), (4, 1, 1), (1, 2, 3), (2, 3, 2)]),
    times=st.integers(2, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)
def test_the_same_weights_give_more_frames_between_those_they_gave(strides, times, seed):
    coarse = build(**ALONE, strides=strides)
    factor = coarse.subsampling_factor
    if factor % times:
        with pytest.raises(ValueError, match="finer must divide"):
            build(**ALONE, strides=strides, finer=times)
        return
    fine = build(**ALONE, strides=strides, finer=times)
    fine.load_state_dict(coarse.state_dict())
    assert fine.subsampling_factor * times == factor
    sound = torch.randn(1, 8, 20 * factor, generator=torch.Generator().manual_seed(seed))

    def heard(encoder, begin: int) -> torch.Tensor:
        return encoder(audio_signal=sound[:, :, begin:], length=torch.tensor([sound.shape[2] - begin]))[0]

    given_now, settled = heard(fine, 0), 16  # coarse frames after which the beginning is forgotten
    assert torch.allclose(given_now[:, :, ::times], heard(coarse, 0), atol=1e-6)
    for later in range(1, times):
        between = heard(coarse, later * factor // times)
        assert torch.allclose(given_now[:, :, later::times][:, :, settled:-1], between[:, :, settled:-1], atol=1e-6)


def test_what_remembers_frames_has_as_many_as_it_was_trained_on():
    assert not build(**{**ALONE, "lookahead": 1}).convolutions_alone and build(**ALONE).convolutions_alone
    for more in ({"lookahead": 1}, {"left": 2}, {"layers": 1}):
        with pytest.raises(ValueError, match="convolutions alone"):
            build(**{**ALONE, **more}, finer=2)


def test_a_step_without_sound_is_not_remembered_as_sound():
    """Masks, not zeros, mark the end: an utterance of silence is not an utterance that has ended."""
    encoder = ENCODERS["gru"]
    with torch.no_grad():
        given_ = encoder.step(torch.zeros(1, 8, 16), torch.ones(1, 16), encoder.zeros(1))
    assert given_.mask[0].tolist() == [0, 0, 0, 1]


def test_lookahead_begins_as_the_identity():
    lookahead = HeyJetsonStreamingEncoder(
        8,
        {"filters": 4, "kernels": [3], "strides": [2], "dilations": [1]},
        {"layers": 1, "hidden": 4},
        2,
        {"left": 0},
        {"units": [4]},
    ).lookahead
    x = torch.randn(2, 5, 4)
    torch.testing.assert_close(lookahead(audio_signal=x, length=torch.tensor([5, 5]))[0], x)


@pytest.mark.parametrize("chunk", [2, 8])
def test_nemo_streams_it_too(compose_config, corpus, chunk):
    """NeMo's own cache-aware simulation, in batches of unequal lengths, writes the log-probabilities of the whole."""
    from custom_modules.model import SpeechModel
    from experiments.training.fit import model_config

    torch.manual_seed(0)
    small = ["encoder.convolution.filters=16", "encoder.recurrent.hidden=16", "encoder.dense.units=[16]"]
    overrides = ["encoder=hey_jetson_streaming", f"encoder.chunk={chunk}", "logger=none", *small]
    model = SpeechModel(model_config(compose_config(*overrides))).eval()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        model.preprocessor.mean.uniform_(-9, -7)  # statistics that a rebuilt front-end would not have
    wavs = [str(path) for path in sorted(corpus.rglob("*.wav"))[:3]]
    streamed_log_probs = model.transcribe_simulate_cache_aware_streaming(wavs, batch_size=3, logprobs=True)
    texts = model.transcribe_simulate_cache_aware_streaming(wavs, batch_size=2)
    for wav, found, text in zip(wavs, streamed_log_probs, texts, strict=True):
        samples = torch.from_numpy(soundfile.read(wav, dtype="float32")[0])[None]
        with torch.no_grad():
            expected, frames, _ = model.forward(
                input_signal=samples, input_signal_length=torch.tensor([samples.shape[1]])
            )
        assert len(found) == int(frames[0])
        torch.testing.assert_close(found, expected[0, : len(found)], atol=1e-4, rtol=1e-4)
        assert getattr(text, "text", text) == model.greedy_texts(expected, frames)[0]
