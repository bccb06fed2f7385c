"""A trigger as its user makes it, on small settings: train, be stopped, go on, export, hear."""

import json

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf

from experiments.cli.overrides import chosen_config
from experiments.errors import ConfigError
from tests.conftest import ROOT, TINY


@pytest.fixture(scope="module")
def cache(corpus, tmp_path_factory):
    """Overrides for a cache of one's own and the tiny corpus as background."""
    folder = tmp_path_factory.mktemp("trigger")
    return [f"data.cache={folder / 'cache'}", f"data.backgrounds=[{corpus / 'wavs'}]", f"runs={folder / 'runs'}"]


@pytest.fixture(scope="module")
def phones(compose_config, tmp_path_factory):
    """A model that writes sounds, of the trigger's size, and as good as it was drawn."""
    import custom_modules  # noqa: F401
    from custom_modules.model import SpeechModel
    from experiments.training.fit import model_config

    sizes = ["encoder.convolution.filters=8", "encoder.recurrent.hidden=8", "frontend.features=12", "logger=none"]
    torch.manual_seed(0)
    speech = SpeechModel(model_config(compose_config("experiment=phones", *sizes)), None)
    speech.preprocessor.mean.fill_(-3.0)
    path = tmp_path_factory.mktemp("phones") / "model.nemo"
    speech.save_to(str(path))
    return path


@pytest.fixture(scope="module")
def run(cache, python, phones):
    """A finished run that began with a model of sounds: the command as it is typed, stopped after one epoch, and
    continued by `resume`."""
    import subprocess
    from pathlib import Path

    command = [python, "train.py", "--config-name", "trigger", *TINY, *cache, f"init_from={phones.parent}"]
    first = subprocess.run([*command, "trainer.max_epochs=1"], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert first.returncode == 0, first.stdout + first.stderr
    (folder,) = Path(cache[-1].partition("=")[2]).glob("*/*")
    resumed = subprocess.run(
        [python, "train.py", f"resume={folder}", "trainer.max_epochs=3", "verifier.weight=2.0"],
        cwd=ROOT, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "Continuing from" in resumed.stdout
    return folder


def test_a_run_writes_what_a_user_needs(run, corpus):
    from heyjetson.audio import load
    from manifests.trigger.sounds import part_of

    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["steps"] == 6
    assert metrics["sounds"]["train"]["words"] == {"computer": 12}
    spoken = [path for path in (corpus / "wavs").rglob("*.wav") if part_of(path.name) == "validation"]
    aloud = sum(len(load(path, 16000)) / 16000 + 0.25 for path in spoken)
    assert len(spoken) > 1 and metrics["validation_hours"] == pytest.approx((12 * 3 + aloud) / 3600, abs=1e-3)
    (entry,) = metrics["calibration"]["computer"]
    assert entry["false_alarms_per_hour"] == pytest.approx(
        3600 / (12 * 3 + aloud), rel=1e-3
    )  # nothing is known of rarer
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [point["step"] for point in history] == [2, 4, 6] and all("val_miss" in point for point in history)
    mined = sorted((run / "mined").glob("*.wav"))
    assert len(mined) >= 12 and all(0.5 <= soundfile.info(path).duration <= 1.6 for path in mined)


def test_the_bundle_hears_what_the_model_hears(run, tmp_path):
    from experiments.export.bundle import ExportOptions, export_bundle
    from experiments.pretrained.restore import restore_model
    from heyjetson import Bundle, Trigger

    model = restore_model(run / "model.nemo", trigger=True)
    assert export_bundle(model, run / "model.nemo", tmp_path / "wake").difference < 1e-4
    bundle = Bundle(tmp_path / "wake")
    assert bundle.manifest["kind"] == "trigger" and bundle.labels == ["computer"]
    assert bundle.manifest["trigger"]["calibration"]["computer"][0]["threshold"] > 0
    assert bundle.frame_seconds == pytest.approx(0.02) and bundle.manifest["chunk_frames"] == 8  # finer=2
    assert "computer" in (tmp_path / "wake" / "MODEL_CARD.md").read_text()
    samples = (0.1 * np.random.default_rng(0).standard_normal(16000 * 75)).astype(np.float32)
    whole, streamed = model.scores(samples), Trigger(bundle).scores(samples, 16000)
    assert whole.shape == streamed.shape
    # Whole recordings are heard in pieces of a minute, which begin anew ten seconds before.
    np.testing.assert_allclose(whole[:3000], streamed[:3000], atol=1e-4)
    np.testing.assert_allclose(whole, streamed, atol=5e-2)
    with pytest.raises(ConfigError, match="cannot be served by Triton"):
        export_bundle(model, run / "model.nemo", tmp_path / "served", ExportOptions(target="triton"))
    assert not (tmp_path / "served").exists()
    with pytest.raises(ConfigError, match="Add --config-name trigger"):
        restore_model(run / "model.nemo")


def test_targets_begin_when_the_word_has_been_heard(compose_config):
    import custom_modules  # noqa: F401
    from custom_modules.trigger import TriggerModel
    from experiments.cli.log_levels import set_log_levels
    from experiments.training.fit import model_config
    from experiments.trigger.dataset import Targets
    from manifests.trigger.clips import Clip, Placed

    set_log_levels()
    model = TriggerModel(model_config(compose_config(*TINY, name="trigger"))).eval()
    clip = Clip(np.zeros(48000, np.float32), [Placed("computer", 8000, 16000)])
    targets, weights = Targets(hold=0.4, before=0.16, after=0.2).of(clip, model)
    on = np.flatnonzero(targets[:, 0])
    assert len(on) == 10 and set(targets[on, 0]) == {1.0}
    # A frame hears to the end of its window: the first that counts has heard the word's last sample, and not much more.
    heard = on[0] * 640 + model.preprocessor.window
    assert 16000 <= heard < 16000 + 640
    assert (weights[on] == 1).all()
    assert (weights[on[0] - 4 : on[0]] == 0).all() and (weights[on[-1] + 1 : on[-1] + 5] == 0).all()
    assert (weights[: on[0] - 4] == 1).all()


def test_frames_that_are_known_are_not_drilled():
    from custom_modules.trigger import TriggerLoss

    loss = TriggerLoss(negative_weight=5.0, easy=0.01)
    targets = torch.zeros(1, 4, 1)
    targets[0, 0] = 1.0
    logits = torch.tensor([[[2.0], [-20.0], [-20.0], [1.0]]], requires_grad=True)
    loss(logits, targets, torch.ones_like(targets)).backward()
    assert logits.grad[0, 1] == logits.grad[0, 2] == 0
    gentle = float(logits.grad[0, 3])
    loss.strength, logits.grad = 1.0, None
    loss(logits, targets, torch.ones_like(targets)).backward()
    assert float(logits.grad[0, 3]) == pytest.approx(5 * gentle)
    loss(logits, targets, torch.zeros_like(targets)).backward()  # nothing counts: no division by nothing


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("words=[]", "at least one word"),
        ("words=[a,a]", "twice"),
        ("words=[Hey Jetson,hey-jetson]", "Capitals and spaces make no other word"),
        ("data.spoken=0", "no takes"),
        ("mining.share=1.0", "mining.share"),
        ("finer=0", "finer must be a whole number"),
    ],
)
def test_what_cannot_be_trained_is_refused(compose_config, override, message):
    from experiments.trigger.recipe import check

    with pytest.raises(ConfigError, match=message):
        check(compose_config(override, name="trigger"))


def test_a_start_that_is_not_there_is_said_before_voices_speak(compose_config, monkeypatch, tmp_path):
    from experiments.trigger import recipe

    monkeypatch.setattr(recipe, "run_dir", lambda: tmp_path)
    monkeypatch.setattr(recipe, "read_sounds", lambda cfg: pytest.fail("they speak"))
    with pytest.raises(ConfigError, match="There is no file"):
        recipe.train(compose_config(f"init_from={tmp_path}/gone.nemo", name="trigger"))


def test_a_mined_clip_that_was_cut_off_is_left_out(compose_config, tmp_path, capsys):
    import soundfile

    from experiments.trigger.mining import Mining
    from manifests.trigger.clips import Pools
    from manifests.trigger.sounds import Sound

    word = Sound(np.zeros(100, np.float32), 0, 100, "word")
    (tmp_path / "mined").mkdir()
    soundfile.write(tmp_path / "mined/0000001-0000.wav", np.ones(800) * 0.1, 16000)
    (tmp_path / "mined/0000001-0001.wav").touch()  # as a power cut leaves it
    mining = Mining(compose_config(name="trigger"), None, Pools({"a": [word]}, [word]), tmp_path)
    assert [one.name for one in mining.mined] == ["0000001-0000.wav"]
    mining.load_state_dict({"heard": 200, "mined": ["0000001-0000.wav", "0000001-0001.wav"]})
    assert [one.name for one in mining.mined] == ["0000001-0000.wav"]


def test_config_names():
    others = {"trigger": "evaluate_trigger"}
    assert chosen_config(["model=a"], "evaluate", others) == ("evaluate", ["model=a"])
    assert chosen_config(["--config-name=trigger", "--protocol", "picovoice"], "evaluate", others) == (
        "evaluate_trigger",
        ["protocol=picovoice"],
    )
    with pytest.raises(ConfigError, match="there are evaluate, trigger"):
        chosen_config(["-cn", "x"], "evaluate", others)


def test_encoders_of_the_course_fit_their_sizes(compose_config):
    """The small one below 1 MB in float32, the course's below 2.2, without the fixed kernels of the front-end."""
    import custom_modules  # noqa: F401
    from custom_modules.trigger import TriggerModel
    from experiments.cli.log_levels import set_log_levels
    from experiments.training.fit import model_config

    set_log_levels()
    for encoder, most in (("trigger", 1e6), ("trigger_course", 2.2e6)):
        model = TriggerModel(model_config(compose_config("logger=none", f"encoder={encoder}", name="trigger")))
        assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) * 4 < most


def test_a_trigger_is_no_start_for_a_model_that_transcribes(run):
    from experiments.pretrained.resolve_checkpoint import open_source

    with pytest.raises(ConfigError, match="is a trigger"):
        open_source(str(run / "model.nemo"))


def test_a_trigger_goes_on_from_one_of_the_same_words(run, compose_config):
    import custom_modules  # noqa: F401
    from custom_modules.trigger import TriggerModel
    from experiments.pretrained.restore import restore_model
    from experiments.training.fit import model_config
    from experiments.trigger.beginning import begin_from

    def loaded(*overrides):
        model = TriggerModel(model_config(compose_config(*TINY, *overrides, name="trigger")))
        begin_from(run / "model.nemo", model, OmegaConf.create({"weight": 1.5, "tolerance": 2.5}))
        return model

    trained = restore_model(run / "model.nemo", trigger=True).state_dict()
    model = loaded()
    assert all(torch.equal(value, trained[name]) for name, value in model.state_dict().items())
    assert model.preprocessor.fitted
    with pytest.raises(ConfigError, match="hears computer, and this run jarvis"):
        loaded("words=[jarvis]")
    with pytest.raises(ConfigError, match="another encoder or front-end"):
        loaded("frontend.features=20")


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_trigger_goes_on_from_an_encoder_that_writes_sounds(compose_config, phones, weight):
    verifier = OmegaConf.create({"weight": weight, "tolerance": 1.0})
    import custom_modules  # noqa: F401
    from custom_modules.trigger import TriggerModel
    from experiments.pretrained.restore import restore_model
    from experiments.training.fit import model_config
    from experiments.trigger.beginning import begin_from

    model = TriggerModel(model_config(compose_config(*TINY, name="trigger")))
    decoder = model.decoder.weight.clone()
    begin_from(phones, model, verifier)
    taken = restore_model(phones).state_dict()
    assert (model.verifier is not None) == bool(weight)
    for name, value in model.state_dict().items():
        if not name.startswith("decoder."):
            assert torch.equal(value, taken[name.removeprefix("verifier.")]), name
    assert model.preprocessor.fitted and torch.equal(model.decoder.weight, decoder)
    for change in ("encoder.convolution.filters=6", "frontend.low=50.0"):  # of the same shape, and another sound
        other = TriggerModel(model_config(compose_config(*TINY, change, name="trigger")))
        with pytest.raises(ConfigError, match="another encoder or front-end"):
            begin_from(phones, other, verifier)


def test_a_verifier_learns_nothing_and_hears_as_the_model_it_was(run, phones):
    """Trained, stopped, continued and with twice as many frames."""
    from experiments.pretrained.restore import restore_model
    from heyjetson.verifier import Verifier

    model, sounds = restore_model(run / "model.nemo", trigger=True), restore_model(phones)
    weights = {name: value for name, value in sounds.state_dict().items() if name.startswith(("encoder", "decoder"))}
    kept = model.verifier.state_dict()
    assert set(kept) == set(weights) and all(torch.equal(value, weights[name]) for name, value in kept.items())
    assert any(not torch.equal(value, weights[f"encoder.{name}"]) for name, value in model.encoder.state_dict().items())
    assert model.verifier.rules == Verifier(sounds.labels, {"computer": "kampjutR"}, 2.0, 2.5)
    samples = torch.from_numpy((0.1 * np.random.default_rng(0).standard_normal((2, 32000))).astype(np.float32))
    length = torch.full((2,), 32000)
    with torch.inference_mode():
        heard = model.verifier(*model.preprocessor(input_signal=samples, length=length))
        torch.testing.assert_close(heard[:, ::2], sounds(input_signal=samples, input_signal_length=length)[0])
        own, checked = model.own_scores(samples), model.probabilities(samples)
    assert checked.shape == own.shape and bool((checked <= own + 1e-6).all()) and not torch.equal(checked, own)


def test_people_of_their_own_choose_the_thresholds(compose_config, corpus, tmp_path):
    from experiments.trigger.sounds import read_sounds
    from manifests.trigger.sounds import part_of

    given = ["data.spoken=4", "voices=[espeak]", f"data.cache={tmp_path}", "logger=none"]
    others = f"data.calibration=[{corpus / 'wavs' / 'test'}]"
    read = read_sounds(
        compose_config(*given, f"data.backgrounds=[{corpus / 'wavs' / 'train'}]", others, name="trigger")
    )
    assert len(read.validation.backgrounds) == len(list((corpus / "wavs" / "test").glob("*.wav")))  # of any part
    known = [path for path in (corpus / "wavs" / "train").glob("*.wav") if part_of(path.name) != "test"]
    assert sorted(read.train.backgrounds.names) == sorted(map(str, known))
    with pytest.raises(ConfigError, match="give data.backgrounds"):
        read_sounds(compose_config(*given, others, name="trigger"))


def test_speech_is_read_aloud_once_in_a_quiet_room():
    from experiments.trigger.validation import PAUSE, read_aloud

    tone = (1000 * np.sin(np.arange(16000) / 5)).astype(np.int16)
    heard = read_aloud([tone, 20 * tone], (-26.0, -26.0), seed=1)
    assert len(heard) == 2 * (16000 + PAUSE)
    for first in (0, 16000 + PAUSE):
        assert np.std(heard[first : first + 16000]) == pytest.approx(10 ** (-26 / 20), rel=0.05)
        quiet = heard[first + 16000 : first + 16000 + PAUSE]
        assert 20 * np.log10(np.std(quiet)) == pytest.approx(-65, abs=1)
    assert len(read_aloud([], (-26.0, -26.0), seed=1)) == 0


def test_sentences_that_hold_the_word_are_no_background(compose_config, corpus, tmp_path, monkeypatch):
    from experiments.trigger import sounds

    def build(folder, options):
        folder.mkdir(parents=True, exist_ok=True)
        lines = (corpus / "train.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        for number, record in enumerate(records):
            record["audio_filepath"] = str(corpus / record["audio_filepath"])
            record["text"] = "hey jetson go" if number == 0 else "stop"
        for part in ("train", "validation"):
            (folder / f"{part}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))

    monkeypatch.setattr(sounds.synthetic, "build", build)
    cfg = compose_config("data.spoken=4", "voices=[espeak]", f"data.cache={tmp_path}", "logger=none", name="trigger")
    read = sounds.read_sounds(cfg)
    assert len(read.train.backgrounds) == len(read.validation.backgrounds) == 11
