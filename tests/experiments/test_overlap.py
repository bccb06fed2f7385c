"""Training refuses sets that share recordings, and an evaluation says what the model was trained on."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.data.preparation import Data, prepare_data
from experiments.errors import ConfigError
from experiments.evaluation.training_overlap import heard_in_training
from heyjetson.bundle import file_hash
from manifests import read_manifest, write_manifest
from manifests.check import Requirements
from manifests.shard import LISTING, shard
from manifests.text import LABELS
from tests.conftest import SMALL


@pytest.fixture
def sets(corpus, tmp_path) -> dict[str, Path]:
    """Manifests of the corpus's recordings; `mixed` has two that are in train."""
    lines = {name: read_manifest(corpus / f"{name}.jsonl") for name in ("train", "validation", "test")}
    lines["mixed"] = lines["test"][:3] + lines["train"][4:6]
    for name, utterances in lines.items():
        write_manifest(tmp_path / f"{name}.jsonl", utterances)
    return {name: tmp_path / f"{name}.jsonl" for name in lines}


@pytest.fixture
def checked(compose_config, small_model, tmp_path):
    """The preflight of data=manifests."""
    from experiments.data.preflight import check_run

    def run(*overrides: str) -> Data:
        cfg = OmegaConf.create(OmegaConf.to_container(compose_config(*SMALL, "data=manifests", *overrides)))
        data = prepare_data(cfg)
        check_run(cfg, small_model, data, tmp_path)
        return data

    return run


def test_one_manifest_for_everything_is_refused(checked, sets):
    given = [f"data.{key}={sets['train']}" for key in ("train", "validation", "test.test")]
    with pytest.raises(ConfigError) as raised:
        checked(*given)
    said = str(raised.value)
    for pair in ("train and validation", "train and test", "validation and test"):
        assert f"{pair} are one file: {sets['train']}" in said
    assert "python -m manifests split" in said and "data.allow_shared=true" in said


@pytest.mark.parametrize("key", ["validation", "test.test"])
def test_shared_recordings_are_refused_by_name(checked, sets, key):
    given = {"train": "train", "validation": "validation", "test.test": "test"} | {key: "mixed"}
    given = {"validation": "validation"} | given
    if key == "validation":
        given["test.test"] = "test"
    arguments = [f"data.{name}={sets[one]}" for name, one in given.items()]
    with pytest.raises(ConfigError, match=f"2 of 5 utterances of {key.split('.')[0]} are in train too:\n") as raised:
        checked(*arguments)
    assert f"{sets['mixed']}:4 (00004.wav) is {sets['train']}:5 (00004.wav)" in str(raised.value)


def test_what_is_allowed_is_counted(checked, sets, capsys):
    data = checked(
        f"data.train={sets['train']}", f"data.validation={sets['validation']}", f"data.test.test={sets['test']}",
        f"+data.test.mixed={sets['mixed']}", "data.allow_shared=true",
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "2 of 5 utterances of mixed are in train too:" in shown and "going on" in shown
    assert "Preflight passed." in shown
    assert data.heard == {"test": 0, "mixed": 2}  # and that the two test sets share some is no fault


def test_the_validation_set_in_place_of_a_test_set_is_said(checked, sets, capsys):
    data = checked(f"data.train={sets['train']}", f"data.validation={sets['validation']}")
    shown = capsys.readouterr().out
    assert "The test set test is the validation set" in shown and "Preflight passed." in shown
    assert data.heard == {"test": 0}
    data = checked(f"data.train={sets['train']}", f"data.validation={sets['mixed']}", "data.allow_shared=true")
    assert data.heard == {"test": 2}


def test_shards_are_compared_by_what_they_list(checked, sets, tmp_path, capsys):
    shard(sets["train"], tmp_path / "shards", 1, Requirements(LABELS))
    arguments = [f"data.shards={tmp_path}/shards", "data.loader=lhotse", f"data.validation={sets['mixed']}"]
    with pytest.raises(ConfigError, match="2 of 5 utterances of validation are in train too"):
        checked(*arguments)
    (tmp_path / "shards" / LISTING).unlink()  # made by an earlier version
    assert checked(*arguments).heard == {}
    assert "does not list its recordings, so other sets are not compared" in capsys.readouterr().out


def test_what_a_bundle_was_trained_on_is_found_and_said(bundle, sets, tmp_path, capsys):
    described = json.loads((bundle / "manifest.json").read_text())
    model = tmp_path / "bundle"
    model.mkdir()
    for file in bundle.iterdir():
        (model / file.name).symlink_to(file)
    (model / "manifest.json").unlink()
    described["training"]["data"] = {name: file_hash(sets[name]) for name in ("train", "validation")}
    (model / "manifest.json").write_text(json.dumps(described))
    assert heard_in_training(model, sets["mixed"]) == 2  # train.jsonl lies beside it
    shown = capsys.readouterr().out
    assert "Warning: 2 of 5 utterances of " in shown and "are in the training set too" in shown
    assert heard_in_training(model, sets["test"]) == 0
    assert heard_in_training(model, sets["validation"]) == 0
    shown = capsys.readouterr().out
    assert "Warning" not in shown and "the best weights were chosen" in shown
    sets["train"].write_text(sets["train"].read_text() + "\n")  # another file than the one that it was trained on
    assert heard_in_training(model, sets["mixed"]) is None
    (tmp_path / "elsewhere.jsonl").write_text(sets["train"].read_text()[:-1])
    (tmp_path / "config.yaml").write_text(f"data:\n  train: {tmp_path}/elsewhere.jsonl\n")
    assert heard_in_training(model, sets["mixed"]) == 2  # the run's configuration says where


def test_a_model_without_a_training_is_not_known(nemo_file, sets):
    assert heard_in_training(nemo_file, sets["test"]) is None
