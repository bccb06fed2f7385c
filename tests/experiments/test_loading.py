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
from tests.conftest import SMALL, drawn_model

ONE_STEP = ["trainer.max_time=null", "+trainer.enable_progress_bar=false", "statistics_utterances=4"]


@pytest.fixture
def data(corpus) -> Data:
    return Data(corpus / "train.jsonl", corpus / "validation.jsonl", {"test": corpus / "test.jsonl"})


@pytest.fixture(scope="session")
def shards(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "train"
    shard(corpus / "train.jsonl", folder, 3, Requirements(LABELS))
    return folder


def texts_of(batches) -> list[str]:
    """Transcripts of some batches."""
    return [
        "".join(LABELS[index] for index in row[:count].tolist())
        for _, _, labels, label_length in batches
        for row, count in zip(labels, label_length, strict=True)
    ]


def heard(module, epochs: int) -> Counter:
    """Transcripts of some epochs of the training loader."""
    return Counter(text for _ in range(epochs) for text in texts_of(module.train_dataloader()))


def loaded(compose_config, data, *overrides):
    from experiments.data.datamodule import SpeechDataModule

    return SpeechDataModule(compose_config(*SMALL, *overrides), data)


def test_both_loaders_give_every_utterance_once_an_epoch(compose_config, data):
    expected = Counter(utterance.text for utterance in read_manifest(data.train))
    plain = loaded(compose_config, data)
    assert heard(plain, 1) == expected
    buckets = loaded(compose_config, data, "data.loader=lhotse", "data.batch_duration=12", "data.buckets=2")
    # Buckets fill by chance, so a pass need not end with the epoch; several passes differ by one pass at most.
    several = heard(buckets, 4)
    assert set(several) == set(expected)
    for text, count in expected.items():
        assert 3 * count <= several[text] <= 5 * count
    for module in (plain, buckets):
        (test,) = module.test_dataloader()
        for loader, manifest in ((module.val_dataloader(), data.validation), (test, data.test["test"])):
            assert texts_of(loader) == [utterance.text for utterance in read_manifest(manifest)]


def test_a_manifest_is_parsed_once(compose_config, data, monkeypatch):
    from experiments.data import preparation

    read = []
    monkeypatch.setattr(preparation, "read_manifest", lambda path: read.append(path) or read_manifest(path))
    module = loaded(compose_config, data)
    assert len(module.batches) == len(module.train_dataloader())
    assert len(list(module.random_sound(1))) == len(data.lines(data.train))
    module.val_dataloader()
    assert sorted(read) == sorted([data.train, data.validation])


def test_a_model_has_no_loader_and_takes_nemos(compose_config, data):
    model = drawn_model(compose_config(*SMALL), seed=0)
    assert model._train_dl is None and not model._validation_dl
    loader = {"manifest_filepath": str(data.train), "sample_rate": 16000, "labels": model.labels, "batch_size": 3}
    model.setup_training_data(OmegaConf.create(loader))
    signal, length, labels, label_length = next(iter(model._train_dl))
    log_probs, frames, _ = model(input_signal=signal, input_signal_length=length)
    loss = model.loss(log_probs=log_probs, targets=labels, input_lengths=frames, target_lengths=label_length)
    assert len(signal) == 3 and torch.isfinite(loss)


def test_shards_hold_what_the_manifest_holds(compose_config, data, shards):
    index = read_index(shards)
    utterances = read_manifest(data.train)
    assert (index.shards, index.utterances, index.sample_rates) == (3, len(utterances), [16000])
    assert set(index.characters) == set("".join(utterance.text for utterance in utterances))
    sharded = Data(shards / "index.json", data.validation, data.test, shards)
    module = loaded(compose_config, sharded, "data.loader=lhotse", "data.batch_duration=12", "data.buckets=2")
    assert set(heard(module, 6)) == {utterance.text for utterance in utterances}


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
    from experiments.data.datamodule import SpeechDataModule, padding
    from manifests import fsdd

    options = fsdd.DigitOptions(train=400, validation=4, test_seen=4, test_unseen=4)
    made = fsdd.build(recordings / "fsdd", tmp_path / "digits", options)
    data = Data(made["train"], made["validation"], {})
    free = compose_config("data.loader=plain", "data.length_spread=1", "data.num_workers=0", "logger=none")
    plain = padding(SpeechDataModule(free, data).batches)
    buckets = compose_config("data.loader=lhotse", "data.num_workers=0", "logger=none")
    assert padding(SpeechDataModule(buckets, data).batches) < plain / 2


@pytest.mark.parametrize(
    ("override", "message"),
    [("data.loader=fast", "must be one of plain, lhotse"), ("data.loader=plain", "add data.loader=lhotse")],
)
def test_what_does_not_fit_is_said(compose_config, data, shards, override, message):
    sharded = Data(shards / "index.json", data.validation, data.test, shards)
    with pytest.raises(ConfigError, match=message):
        loaded(compose_config, sharded, override)


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
