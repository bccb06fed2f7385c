"""Graph and model agree at any length and batch size, or there is no bundle."""

import numpy as np
import pytest
import soundfile
import torch

from experiments.errors import ConfigError
from experiments.export import bundle as writing
from experiments.export.bundle import ExportOptions, export_bundle
from experiments.export.graphs import ClipGraph
from experiments.export.parity import Parity, check_parity, rounding
from experiments.pretrained.restore import restore_model
from heyjetson import Bundle, BundleError, Engine
from heyjetson.check import largest_difference


def test_parity_of_the_written_bundle(small_model, bundle):
    parity = check_parity(small_model, Bundle(bundle), [0.03, 0.5, 3.3], [1, 2, 5], seed=7)
    assert parity.difference < 1e-4
    assert parity.cases == 9
    assert Bundle(bundle).manifest["parity"]["largest_difference"] < 1e-4


@pytest.mark.parametrize("override", ["frontend=log_spectrogram", "frontend=mfcc", "frontend=learned"])
def test_every_frontend_exports(compose_config, nemo_file, tmp_path, override):
    from custom_modules.model import SpeechModel
    from experiments.training.fit import model_config
    from tests.conftest import SMALL

    model = SpeechModel(model_config(compose_config(*SMALL, override))).eval()
    assert export_bundle(model, nemo_file, tmp_path / "b", ExportOptions(seconds=[0.4, 1.7])).difference < 1e-4


@pytest.mark.parametrize(
    "overrides",
    [
        [
            "encoder=hey_jetson",
            "encoder.recurrent.layers=2",
            "encoder.recurrent.hidden=8",
            "encoder.convolution.filters=8",
            "encoder.dense.units=[8]",
        ],
        ["encoder=nemo_jasper_4x1"],
        ["encoder=nemo_quartznet"],
        ["encoder=nemo_conformer_small", "encoder.n_layers=2", "encoder.d_model=32"],
    ],
)
def test_every_encoder_exports(compose_config, nemo_file, tmp_path, overrides):
    from tests.conftest import drawn_model, narrow

    model = drawn_model(narrow(compose_config("logger=none", *overrides)), seed=0)
    assert export_bundle(model, nemo_file, tmp_path / "b", ExportOptions(seconds=[0.4, 1.7])).difference < 1e-4


def test_gated_layers_export_for_whole_clips_and_as_a_stream(compose_config, nemo_file, tmp_path):
    from tests.conftest import SMALL, drawn_model

    # Room for 512 frames of 80 ms, and the longest clip is one of 20 s: what does not fit fails by name.
    model = drawn_model(compose_config("encoder=hey_jetson", *SMALL, "encoder.recurrent.layers=1"), seed=0)
    export_bundle(model, nemo_file, tmp_path / "clips", ExportOptions(seconds=[0.4], batch_sizes=[2]))
    with pytest.raises(BundleError, match="(?s)fails on 1 x 83.0 s.*made for clips of up to 20 s: use `transcribe`"):
        Engine(Bundle(tmp_path / "clips")).log_probs(np.zeros((1, 83 * 16000), np.float32))

    model = drawn_model(compose_config("encoder=hey_jetson_gated_streaming", *SMALL, "encoder.lookahead=1"), seed=0)
    parity = export_bundle(model, nemo_file, tmp_path / "stream", ExportOptions(seconds=[0.3, 1.7]))
    assert parity.difference < 1e-4
    states = {state["name"]: state["shape"] for state in Bundle(tmp_path / "stream").manifest["states"]}
    assert {name: shape for name, shape in states.items() if name.startswith("recurrent")} == {
        f"recurrent_{layer}_hidden": [1, 8] for layer in range(7)
    }


def test_a_graph_that_fits_short_clips_alone_is_refused(compose_config, nemo_file, tmp_path, monkeypatch):
    """NeMo's masks come from a table as long as what was seen before the export: 9.6 s here, and clips are longer."""
    import experiments.export.bundle as export
    from tests.conftest import drawn_model, narrow

    trace = export.trace_clip
    monkeypatch.setattr(export, "trace_clip", lambda model, path, opset, longest: trace(model, path, opset, 1.0))
    model = drawn_model(narrow(compose_config("logger=none", "encoder=nemo_jasper_4x1")), seed=0)
    with pytest.raises(BundleError, match="fails on 1 x 20.0 s"):
        export_bundle(model, nemo_file, tmp_path / "b", ExportOptions(seconds=[0.4]))
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_differs_is_refused(small_model, nemo_file, tmp_path, monkeypatch):
    import experiments.export.bundle as export

    trace = export.trace_clip

    def wrong(model, path, *options):
        with torch.no_grad():
            weight = next(model.encoder.dense.parameters())
            kept = weight.clone()
            weight.add_(0.05)
            trace(model, path, *options)
            weight.copy_(kept)

    monkeypatch.setattr(export, "trace_clip", wrong)
    with pytest.raises(ConfigError, match="No bundle was written"):
        export_bundle(small_model, nemo_file, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_left_alone(small_model, nemo_file, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="not a bundle"):
        export_bundle(small_model, nemo_file, tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_the_bundle_writes_the_same_text_as_the_model(small_model, bundle, corpus):
    engine = Engine(Bundle(bundle))
    wavs = sorted(corpus.rglob("*.wav"))[:4]
    clips = [torch.from_numpy(soundfile.read(wav, dtype="float32")[0]) for wav in wavs]
    length = torch.tensor([len(clip) for clip in clips])
    with torch.no_grad():
        log_probs, frames = ClipGraph(small_model)(torch.nn.utils.rnn.pad_sequence(clips, True), length)
    texts = small_model.greedy_texts(log_probs, frames)
    assert [engine.transcribe_file(wav).text for wav in wavs] == [" ".join(text.split()) for text in texts]


def test_bundle_frames_follow_the_geometry(small_model, bundle):
    engine = Engine(Bundle(bundle))
    for samples in (400, 559, 560, 16000, 31999):
        log_probs, frames = engine.log_probs(np.zeros((1, samples), np.float32))
        assert frames[0] == log_probs.shape[1] == small_model.output_frames(samples / 16000)


def test_only_this_projects_models_are_restored(nemo_file, tmp_path):
    import tarfile

    assert restore_model(nemo_file).labels[0] == " "
    (tmp_path / "model_config.yaml").write_text("target: nemo.collections.asr.models.EncDecCTCModel\n")
    foreign = tmp_path / "foreign.nemo"
    with tarfile.open(foreign, "w") as tar:
        tar.add(tmp_path / "model_config.yaml", "model_config.yaml")
    with pytest.raises(ConfigError, match="another project"):
        restore_model(foreign)
    cut = tmp_path / "cut.nemo"
    cut.write_bytes(nemo_file.read_bytes()[:3000])
    with pytest.raises(ConfigError, match=r"not a \.nemo|cannot be restored"):
        restore_model(cut)


def test_differences_are_counted_in_proportion_where_a_frame_reaches_far_down():
    near, far = np.array([[-0.1, -9.0, -4.0]]), np.array([[-0.1, -9.0, -250.0]])
    assert largest_difference(near + 1e-3, near) == pytest.approx(1e-3)
    assert largest_difference(far + 1e-3, far) == pytest.approx(4e-5)
    assert largest_difference(near * np.nan, near) == float("inf")
    assert largest_difference(near[:, :2], near) == float("inf")


@pytest.mark.parametrize(
    ("difference", "own", "fits"), [(3e-4, 2e-4, True), (3e-4, 1e-4, False), (float("nan"), 1.0, False)]
)
def test_a_graph_may_be_as_far_off_as_rounding_explains(
    small_model, nemo_file, tmp_path, monkeypatch, difference, own, fits
):
    monkeypatch.setattr(writing, "check_parity", lambda *_: Parity(difference, 1))
    monkeypatch.setattr(writing, "rounding", lambda *_: own)
    if fits:
        export_bundle(small_model, nemo_file, tmp_path / "out")
    else:
        with pytest.raises(ConfigError, match="rounding explains"):
            export_bundle(small_model, nemo_file, tmp_path / "out")
    assert (tmp_path / "out").exists() == fits


def test_rounding_is_what_float32_leaves_out(small_model):
    assert 0 < rounding(small_model, [0.5, 2.0], [1, 2]) < 1e-4
    assert all(parameter.dtype == torch.float32 for parameter in small_model.parameters())


def test_rounding_counts_what_a_model_raises(small_model, nemo_file):
    """Its output moves by more where it answers more sharply."""
    sharp = restore_model(nemo_file).eval()
    with torch.no_grad():
        for weight in sharp.decoder.parameters():
            weight *= 8
    assert rounding(sharp, [1.0], [1]) > 3 * rounding(small_model, [1.0], [1])


@pytest.mark.parametrize("text", ["rock 'n' roll", "just 'cause", "'tis so", "can't", "of the dogs' ears"])
def test_the_model_and_the_device_keep_the_space_before_an_apostrophe(small_model, bundle, text):
    ids = [place for letter in text for place in (small_model.labels.index(letter), len(small_model.labels))]
    log_probs = torch.full((1, len(ids), len(small_model.labels) + 1), -20.0)
    log_probs[0, torch.arange(len(ids)), ids] = 0.0
    small_model.change_decoding_strategy(small_model.cfg.decoding)  # which builds NeMo's search anew
    assert small_model.greedy_texts(log_probs, torch.tensor([len(ids)])) == [text]
    decoder = Engine(Bundle(bundle)).decoder()
    decoder.reset()
    decoder.feed(log_probs[0].numpy())
    assert decoder.finish()[0].text == text
