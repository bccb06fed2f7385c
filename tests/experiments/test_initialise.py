"""Starting from a trained model: what is found, taken over, loaded, refused; and that it trains and exports."""

import sys
from types import SimpleNamespace

import pytest
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf, open_dict

from experiments.errors import ConfigError
from experiments.pretrained.inherit_config import inherit_config
from experiments.pretrained.resolve_checkpoint import Source, open_source, origin
from tests.conftest import SMALL, drawn_model

LOUD = torch.sin(torch.arange(16000) / 7.0)[None] * 0.3


def heard(model, samples=LOUD):
    """Log-probabilities of a second of sound."""
    with torch.no_grad():
        return model.eval().forward(
            input_signal=samples, input_signal_length=torch.tensor([samples.shape[1]] * len(samples))
        )[0]


def started(cfg, seed: int = 5):
    """A model of the configuration with what `init_from` gives it, and the report."""
    from experiments.pretrained import initialise

    inherit_config(cfg)
    model = drawn_model(cfg, seed)
    return model, {loaded.part: loaded for loaded in initialise.load(cfg, model)}


@pytest.fixture(scope="module")
def trained(compose_config, tmp_path_factory):
    """A small model whose front-end has statistics, and its file."""
    cfg = compose_config(*SMALL)
    model = drawn_model(cfg, seed=3)
    model.preprocessor.mean.uniform_(-3, 0)
    model.preprocessor.deviation.uniform_(1, 2)
    path = tmp_path_factory.mktemp("trained") / "model.nemo"
    model.save_to(str(path))
    return model, path


def test_the_model_of_the_file_is_taken_whole(trained, compose_config):
    before, path = trained
    cfg = compose_config(f"init_from={path}")
    assert cfg.encoder.convolution.filters != 16
    after, report = started(cfg)
    assert cfg.encoder.convolution.filters == 16
    assert report["encoder"].note == report["decoder"].note == "all"
    assert after.preprocessor.fitted
    torch.testing.assert_close(heard(after), heard(before))


def test_only_characters_that_are_new_start_anew(trained, compose_config, capsys):
    before, path = trained
    after, report = started(compose_config(f"init_from={path}", 'labels=[b,"é",a," "]'))
    assert after.labels == ["b", "é", "a", " "]
    assert report["encoder"].note == "all"
    rows = dict(zip([*before.labels, "blank"], before.decoder.decoder_layers[0].weight, strict=True))
    for label, row in zip([*after.labels, "blank"], after.decoder.decoder_layers[0].weight, strict=True):
        known = [name for name, other in rows.items() if torch.equal(row, other)]
        assert known == ([label] if label != "é" else [])
    said = capsys.readouterr().out
    assert "3 of 4 characters" in said
    assert "1 new characters: 'é'" in said


@settings(max_examples=40, deadline=None)
@given(before=st.sets(st.sampled_from("abcdefgh"), min_size=1), after=st.sets(st.sampled_from("abcdefgh"), min_size=1))
def test_rows_follow_their_characters_in_any_order(before, after):
    from nemo.collections.asr.modules import ConvASRDecoder

    from experiments.pretrained.initialise import _load_decoder

    old, new = (
        ConvASRDecoder(feat_in=3, num_classes=len(labels), vocabulary=list(labels)) for labels in (before, after)
    )
    drawn = new.decoder_layers[0].bias.detach().clone().fill_(7.0)
    new.decoder_layers[0].bias.data.copy_(drawn)
    config = {"decoder": {"_target_": "nemo.collections.asr.modules.ConvASRDecoder", "vocabulary": list(before)}}
    weights = {f"decoder.{name}": value for name, value in old.state_dict().items()}
    loaded = _load_decoder(
        Source(None, OmegaConf.create(config)), weights, SimpleNamespace(decoder=new, labels=list(after))
    )
    rows = dict(zip([*before, "blank"], old.decoder_layers[0].bias, strict=True))
    for label, value in zip([*after, "blank"], new.decoder_layers[0].bias, strict=True):
        assert value == rows.get(label, 7.0)
    assert loaded.values[0] == 4 * (len(before & after) + 1)


def test_the_labels_of_the_file_are_kept_unless_others_are_given(compose_config, tmp_path):
    german = 'labels=[" ",a,"ä",b]'
    path = tmp_path / "german.nemo"
    drawn_model(compose_config(*SMALL, german), seed=1).save_to(str(path))
    cfg = compose_config(f"init_from={path}")
    inherit_config(cfg)
    assert list(cfg.labels) == list(cfg.model.decoder.vocabulary) == [" ", "a", "ä", "b"]
    cfg = compose_config(f"init_from={path}", "labels=[a,b]")
    inherit_config(cfg)
    assert list(cfg.labels) == ["a", "b"]


def test_another_architecture_takes_what_fits_and_says_what_does_not(trained, compose_config, capsys):
    before, path = trained
    deeper = [*SMALL, "encoder.recurrent.layers=8", "frontend.low=50"]
    after, report = started(compose_config(f"init_from={path}", "init_architecture=config", *deeper))
    assert not after.preprocessor.fitted
    assert report["preprocessor"].values[0] == 0
    assert torch.equal(
        after.encoder.recurrent.forwards[1].linear.weight, before.encoder.recurrent.forwards[1].linear.weight
    )
    missing = report["encoder"].names["not in the file"]
    assert missing
    assert all(".7." in name for name in missing)
    assert report["encoder"].tensors[0] + len(missing) == report["encoder"].tensors[1]
    assert f"encoder, {len(missing)} not in the file: {missing[0]}" in capsys.readouterr().out


def test_parts_can_be_left_out(trained, compose_config):
    before, path = trained
    cfg = compose_config(f"init_from={path}", "init_parts=[encoder]", *SMALL[:3])
    after, report = started(cfg)
    assert [report[part].values[0] > 0 for part in ("preprocessor", "encoder", "decoder")] == [False, True, False]
    assert not after.preprocessor.fitted
    assert torch.equal(after.preprocessor.mean, torch.zeros(64))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["init_architecture=config", "encoder=hey_jetson_streaming"], "% of the encoder fits"),
        (["encoder=hey_jetson_small"], "Say which is meant"),
        (["frontend=mfcc"], "Say which is meant"),
        (["init_architecture=files"], "null, file or config"),
        (["init_parts=[frontend]"], "a list of preprocessor, encoder, decoder"),
        (["data.sample_rate=8000"], "Add data.sample_rate=16000"),
        (
            ["init_parts=[encoder]", "frontend=log_spectrogram"],
            "takes 64 features a frame, and the front-end gives 161",
        ),
    ],
)
def test_contradictions_are_refused(trained, compose_config, overrides, said):
    with pytest.raises(ConfigError, match=said):
        started(compose_config(f"init_from={trained[1]}", *overrides))


def test_the_file_is_found_in_a_run_by_its_end_its_best_and_its_last(trained, tmp_path):
    model, path = trained
    config = {"cfg": OmegaConf.to_container(model.cfg)}
    checkpoints = tmp_path / "name" / "time" / "checkpoints"
    checkpoints.mkdir(parents=True)
    run = checkpoints.parent
    with pytest.raises(ConfigError, match="neither a model.nemo nor checkpoints"):
        open_source(str(run))
    for name in ("last-step=9.ckpt", "best-step=5.ckpt"):
        torch.save({"state_dict": model.state_dict(), "hyper_parameters": config}, checkpoints / name)
        source = open_source(str(run))
        assert source.path.name == name
        assert source.labels == model.labels
        assert source.weights().keys() == model.state_dict().keys()
    (run / "model.nemo").hardlink_to(path)
    assert open_source(str(run)).path.name == "model.nemo"
    assert origin(str(run / "model.nemo")) == origin(str(checkpoints / "best-step=5.ckpt")) == "name/time"


def test_what_is_not_there_or_no_model_is_refused_in_a_sentence(tmp_path, monkeypatch):
    from nemo.collections.asr.models import ASRModel

    def unreachable(*_, **__):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(ASRModel, "from_pretrained", unreachable)
    junk = tmp_path / "junk.ckpt"
    torch.save({"epoch": 1}, junk)
    short = tmp_path / "short.nemo"
    short.write_bytes(b"not a tar")
    note = tmp_path / "note.txt"
    note.touch()
    for reference, said in {
        str(junk): "not a checkpoint of a NeMo model",
        str(short): "is not a .nemo file",
        str(note): "neither a .nemo nor a .ckpt",
        "runs/gone/time": "no such file or folder",
        "gone.nemo": "no such file or folder",
        "stt_en_jasper": "stt_en_jasper10x5dr",
        "stt_en_jasper10x5dr": r"download the .nemo from https://.*jasper10x5dr.nemo, copy it here",
        "nvidia/some_model": "huggingface.co/nvidia/some_model",
        "wandb:nobody/nothing": "wandb:",
    }.items():
        with pytest.raises(ConfigError, match=said):
            open_source(reference)


def nemo_config(compose_config, *overrides, **preprocessor):
    """The configuration of a model as NeMo itself has it."""
    from experiments.training.fit import model_config

    config = model_config(compose_config("augment=none", *overrides))
    config.preprocessor = {
        "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
        "sample_rate": 16000,
        "normalize": "per_feature",
        "window_size": 0.02,
        "features": 64,
        "n_fft": 512,
        "pad_to": 16,
        **preprocessor,
    }
    with open_dict(config):
        del config.perturb, config.optim
    return config


QUARTZNET = [
    "encoder=nemo_quartznet",
    "encoder.jasper=[{filters:16,repeat:1,kernel:[5],stride:[2],dilation:[1],dropout:0.0,residual:false,separable:true}]",
]


@pytest.fixture(scope="module")
def stock(compose_config, tmp_path_factory):
    """A small QuartzNet of NeMo's own class, and its file."""
    from nemo.collections.asr.models import EncDecCTCModel

    from experiments.cli.log_levels import set_log_levels

    set_log_levels()
    torch.manual_seed(4)
    model = EncDecCTCModel(nemo_config(compose_config, *QUARTZNET)).eval()
    path = tmp_path_factory.mktemp("stock") / "quartznet.nemo"
    model.save_to(str(path))
    return model, path


def test_a_model_of_nemo_becomes_one_that_exports(stock, compose_config, tmp_path):
    from experiments.export.bundle import ExportOptions, export_bundle

    before, path = stock
    after, report = started(compose_config(f"init_from={path}"))
    assert report["encoder"].note == report["decoder"].note == "all"
    assert not after.preprocessor.fitted  # NeMo's are of each utterance
    features = torch.randn(2, 64, 80)
    length = torch.tensor([80, 61])
    outputs = [model.eval().encoder(audio_signal=features, length=length)[0] for model in (before, after)]
    torch.testing.assert_close(*outputs)
    after.preprocessor.fit_statistics([(torch.randn(1, 16000), torch.tensor([16000]))])
    parity = export_bundle(after, path, tmp_path / "bundle", ExportOptions())
    assert parity.difference < 1e-3


@pytest.mark.parametrize(
    ("normalise", "expected"),
    [("NA", (0.0, 1.0)), ({"fixed_mean": [2.0] * 64, "fixed_std": [3.0] * 64}, (2.0, 3.0))],
)
def test_fixed_statistics_of_nemo_are_kept(compose_config, tmp_path, normalise, expected):
    from nemo.collections.asr.models import EncDecCTCModel

    path = tmp_path / "model.nemo"
    EncDecCTCModel(nemo_config(compose_config, *QUARTZNET, normalize=normalise)).save_to(str(path))
    model, _ = started(compose_config(f"init_from={path}"))
    assert model.preprocessor.fitted
    assert (float(model.preprocessor.mean[5]), float(model.preprocessor.deviation[5])) == expected


def test_a_front_end_that_cannot_be_rebuilt_is_named(compose_config, tmp_path):
    from nemo.collections.asr.models import EncDecCTCModel

    path = tmp_path / "model.nemo"
    EncDecCTCModel(nemo_config(compose_config, *QUARTZNET, window="hamming")).save_to(str(path))
    with pytest.raises(ConfigError, match=r"window=hamming.*init_parts=\[encoder\]"):
        inherit_config(compose_config(f"init_from={path}"))
    after, report = started(compose_config(f"init_from={path}", "init_parts=[encoder,decoder]"))
    assert report["encoder"].note == "all"
    assert after.cfg.preprocessor._target_ == "custom_modules.frontend.LogMel"


def test_a_model_of_subwords_gives_its_encoder(compose_config, tmp_path):
    import sentencepiece
    from nemo.collections.asr.models import EncDecCTCModelBPE

    text = tmp_path / "text.txt"
    text.write_text("one two three four five six seven eight nine ten\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "tokenizer"), vocab_size=20, minloglevel=2
    )
    (tmp_path / "vocab.txt").write_text("".join(f"##{i}\n" for i in range(20)))
    conformer = ["encoder=nemo_conformer_small", "encoder.n_layers=1", "encoder.d_model=16", "encoder.n_heads=2"]
    config = nemo_config(compose_config, *conformer)
    with open_dict(config):
        config.tokenizer = {"dir": str(tmp_path), "type": "bpe"}
        config.decoder.vocabulary = []
        del config.labels
    path = tmp_path / "model.nemo"
    EncDecCTCModelBPE(config).save_to(str(path))
    cfg = compose_config(f"init_from={path}")
    after, report = started(cfg)
    assert report["encoder"].note == "all"
    assert report["decoder"].values[0] == 0
    assert after.labels == list(cfg.labels)


def train(*overrides: str, monkeypatch) -> None:
    """train.py in this process."""
    import train as recipe

    monkeypatch.setattr(sys, "argv", ["train.py", *overrides])
    try:
        recipe.main()
    finally:
        HydraConfig.instance().cfg = None  # what comes next in this process is another job


def test_a_model_is_tuned_and_the_run_is_continued(trained, corpus_overrides, tmp_path, monkeypatch, capsys):
    before, path = trained
    overrides = [
        "experiment=finetune",
        "data=synthetic",
        *corpus_overrides,
        *SMALL[3:],
        f"init_from={path}",
        "freeze=[encoder.convolution]",
        "optim.layer_decay=0.8",
        "encoder.recurrent.dropout=0.25",
        "trainer.max_time=null",
        "trainer.max_steps=3",
        "checkpoint.every_n_steps=1",
        f"runs={tmp_path}",
    ]
    train(*overrides, monkeypatch=monkeypatch)
    (run,) = tmp_path.glob("synthetic_finetuned/*")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["encoder"]["convolution"]["filters"] == 16
    assert config["encoder"]["recurrent"]["dropout"] == 0.25
    tuned = open_source(str(run))
    assert tuned.config.run.init_from == origin(str(path))
    after, old = tuned.weights(), before.state_dict()
    for name, value in old.items():
        kept = name.startswith(("preprocessor.", "encoder.convolution."))
        assert torch.equal(after[name], value) == kept, name
    state = torch.load(sorted((run / "checkpoints").glob("last*"))[-1], weights_only=False)
    rates = [group["initial_lr"] for group in state["optimizer_states"][0]["param_groups"]]
    assert rates == pytest.approx([3e-3 * 0.8**depth for depth in range(len(rates))])
    assert "Frozen: encoder.convolution" in capsys.readouterr().out

    path.rename(path.with_suffix(".away"))
    try:
        train(f"resume={run}", "trainer.max_steps=5", "encoder.recurrent.dropout=0.4", monkeypatch=monkeypatch)
        assert "is not read again" in capsys.readouterr().out
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["encoder"]["recurrent"]["dropout"] == 0.4 and config["encoder"]["convolution"]["filters"] == 16
        with pytest.raises(SystemExit):
            train(f"resume={run}", "trainer.max_steps=6", "optim.layer_decay=0.9", monkeypatch=monkeypatch)
        assert "optim.layer_decay was 0.8 when this run began" in capsys.readouterr().err
    finally:
        path.with_suffix(".away").rename(path)
    assert yaml.safe_load((run / "metrics.json").read_text())["steps"] == 5


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["experiment=finetune", "data=synthetic"], "Give init_from="),
        (["freeze=[encoder.convolutions]"], "The nearest are: encoder.convolution"),
        (["freeze=[encoder,decoder]"], "leaves nothing to learn"),
        (["unfreeze_at=0.5"], "unfreeze_at is the share"),
        (["optim.lr_scales={decode:2}"], "The nearest are: decoder"),
        (["optim.layer_decay=2"], "above 0 and at most 1"),
        (["encoder.n_layers=2"], "encoder.n_layers"),
        (["encoder=hey_jetson_small", "encoder.dense.units=[8]"], "Say which is meant"),
        (["labels=[a,b,c]"], "characters outside the labels"),
    ],
)
def test_the_command_refuses_in_a_sentence(trained, corpus_overrides, tmp_path, monkeypatch, capsys, overrides, said):
    given_file = [] if "experiment=finetune" in overrides else [f"init_from={trained[1]}"]
    with pytest.raises(SystemExit):
        train(*corpus_overrides, *SMALL[3:], *given_file, *overrides, f"runs={tmp_path}", monkeypatch=monkeypatch)
    error = capsys.readouterr().err
    assert error.lstrip().startswith("Error: ")
    assert said in error
    assert not list(tmp_path.glob("*/*/checkpoints/*"))
