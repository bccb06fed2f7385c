"""Both loaders show the model the same utterances; buckets waste less on padding; shards train like their manifest."""

from collections import Counter

import pytest
import torch
from omegaconf import OmegaConf

from experiments.data.preparation import Data, prepare_data
from experiments.errors import ConfigError
from manifests.check import Requirements
from manifests.lines import ManifestError, read_manifest
from manifests.shard import read_index, shard
from manifests.text import LABELS
from tests.conftest import SMALL

ONE_STEP = ["trainer.max_time=null", "+trainer.enable_progress_bar=false", "statistics_utterances=4"]


@pytest.fixture
def data(corpus) -> Data:
    return Data(corpus / "train.jsonl", corpus / "validation.jsonl", {"test": corpus / "test.jsonl"})


@pytest.fixture(scope="session")
def shards(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "train"
    shard(corpus / "train.jsonl", folder, 3, Requirements(LABELS))
    return folder


def heard(model, epochs: int) -> Counter:
    """Transcripts of some epochs of the training loader."""
    texts: Counter = Counter()
    for _ in range(epochs):
        for _signal, _length, labels, label_length in model._train_dl:
            texts.update(
                model.decoding.decode_ids_to_str(row[:count].tolist())
                for row, count in zip(labels, label_length, strict=True)
            )
    return texts


def loaded(compose_config, data, tmp_path, *overrides):
    from experiments.training import fit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "run_dir", lambda: tmp_path)
        cfg = compose_config(*SMALL, *ONE_STEP, *overrides)
        model, trainer = fit.build(cfg, data)
        fit.set_up_data(cfg, model, trainer, data)
    return model


def test_both_loaders_give_every_utterance_once_an_epoch(compose_config, data, tmp_path, capsys):
    expected = Counter(utterance.text for utterance in read_manifest(data.train))
    assert heard(loaded(compose_config, data, tmp_path), 1) == expected
    buckets = ["data.loader=lhotse", "data.batch_duration=12", "data.buckets=2"]
    model = loaded(compose_config, data, tmp_path, *buckets)
    assert "padding" in capsys.readouterr().out
    # Buckets fill by chance, so a pass need not end with the epoch; several passes differ by one pass at most.
    several = heard(model, 4)
    assert set(several) == set(expected)
    for text, count in expected.items():
        assert 3 * count <= several[text] <= 5 * count


def test_shards_hold_what_the_manifest_holds(compose_config, data, shards, tmp_path):
    index = read_index(shards)
    utterances = read_manifest(data.train)
    assert (index.shards, index.utterances, index.sample_rates) == (3, len(utterances), [16000])
    assert set(index.characters) == set("".join(utterance.text for utterance in utterances))
    sharded = Data(shards / "index.json", data.validation, data.test, shards)
    model = loaded(compose_config, sharded, tmp_path, "data.loader=lhotse", "data.batch_duration=12", "data.buckets=2")
    assert set(heard(model, 6)) == {utterance.text for utterance in utterances}


def test_training_on_shards(compose_config, data, shards, tmp_path, monkeypatch):
    from experiments.training import fit

    cfg = compose_config(
        *SMALL, *ONE_STEP, "trainer.max_steps=2", "data=manifests", f"data.shards={shards}", "data.loader=lhotse",
        "data.batch_duration=12", "data.buckets=2", f"data.validation={data.validation}",
        f"data.test.test={data.test['test']}",
    )  # fmt: skip
    monkeypatch.setattr(fit, "run_dir", lambda: tmp_path)
    prepared = prepare_data(cfg)
    assert prepared.shards == shards
    model, trainer = fit.build(cfg, prepared)
    from experiments.data.preflight import check_run

    check_run(cfg, model, prepared, tmp_path)
    fit.fit(cfg, model, trainer, prepared)
    assert trainer.global_step == 2
    assert torch.isfinite(model.preprocessor.mean).all() and model.preprocessor.mean.abs().sum() > 0


def test_padding_is_at_least_halved_on_digits(compose_config, recordings, tmp_path):
    from experiments.data.loading import batch_durations, padding, train_loader
    from manifests import fsdd

    options = fsdd.DigitOptions(train=400, validation=4, test_seen=4, test_unseen=4)
    made = fsdd.build(recordings / "fsdd", tmp_path / "digits", options)
    data = Data(made["train"], made["validation"], {})
    free = compose_config("data.loader=plain", "data.length_spread=1", "data.num_workers=0", "logger=none")
    plain = padding(batch_durations(train_loader(free, data)))
    buckets = compose_config("data.loader=lhotse", "data.num_workers=0", "logger=none")
    assert padding(batch_durations(train_loader(buckets, data))) < plain / 2


@pytest.mark.parametrize(
    ("override", "message"),
    [("data.loader=fast", "must be one of plain, lhotse"), ("data.loader=plain", "add data.loader=lhotse")],
)
def test_what_does_not_fit_is_said(compose_config, data, shards, override, message):
    from experiments.data.loading import train_loader

    sharded = Data(shards / "index.json", data.validation, data.test, shards)
    with pytest.raises(ConfigError, match=message):
        train_loader(compose_config(override), sharded)


def test_shards_that_do_not_fit_are_refused_before_training(shards, corpus, tmp_path):
    from experiments.data.preflight import check_shards

    check_shards(shards, Requirements(LABELS), 16000)
    with pytest.raises(ConfigError, match="outside the labels"):
        check_shards(shards, Requirements("abc"), 16000)
    with pytest.raises(ConfigError, match="longer than data.longest"):
        check_shards(shards, Requirements(LABELS, longest=0.5), 16000)
    with pytest.raises(ConfigError, match="not 8000"):
        check_shards(shards, Requirements(LABELS), 8000)
    with pytest.raises(ManifestError, match="holds shards already"):
        shard(corpus / "train.jsonl", shards, 3, Requirements(LABELS))
    with pytest.raises(ManifestError, match="cannot fill 99 shards"):
        shard(corpus / "train.jsonl", tmp_path / "x", 99, Requirements(LABELS))
    with pytest.raises(ManifestError, match="index.json is missing"):
        read_index(tmp_path)


def test_a_folder_names_its_three_manifests(compose_config, corpus):
    data = prepare_data(compose_config("data=manifests", f"data.folder={corpus}"))
    assert data.train == corpus / "train.jsonl" and data.test == {"test": corpus / "test.jsonl"}
    with pytest.raises(ConfigError, match="Which recordings"):
        prepare_data(OmegaConf.create(OmegaConf.to_container(compose_config("data=manifests"))))
