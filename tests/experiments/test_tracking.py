"""A real offline W&B run of a tiny training, read back; and trackers that fail without ending anything."""

import json
import os
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import SMALL
from tests.end_to_end.test_main_job import wandb_records

TINY = [
    *(override for override in SMALL if not override.startswith("logger")),
    "trainer.max_time=null",
    "trainer.max_steps=6",
    "trainer.log_every_n_steps=1",
    "+trainer.enable_progress_bar=false",
    "statistics_utterances=4",
]


@pytest.fixture(scope="module")
def trained(compose_config, corpus, tmp_path_factory):
    """Trains in a folder with the given overrides; returns the metrics."""
    from experiments.data.preparation import Data
    from experiments.training import fit

    data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {"test": corpus / "test.jsonl"})

    def train(folder: Path, *overrides: str) -> dict:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fit, "run_dir", lambda: folder)
            patch.setenv("WANDB_DATA_DIR", str(folder / "wandb"))
            cfg = compose_config(*TINY, *overrides)
            model, trainer = fit.build(cfg, data)
            fit.fit(cfg, model, trainer, data)
            return fit.finish(cfg, model, trainer, data)

    return train


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory) -> Path:
    """The folder of a finished run that logs all there is to log."""
    folder = tmp_path_factory.mktemp("tracked")
    wanted = ["logger.table_rows=3", "logger.data_rows=2", "logger.watch=all", "logger.watch_every=2"]
    trained(folder, "logger=wandb", "logger.checkpoints=true", *wanted)
    return folder


@pytest.fixture(scope="module")
def records(run) -> list[dict]:
    """What W&B holds of it."""
    return wandb_records(run)


def artifacts(records: list[dict]) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for record in records:
        if record["type"] == "artifact":
            found.setdefault(record["artifact"]["type"], []).append(record["artifact"])
    return found


def files(artifact: dict) -> dict[str, bytes]:
    """What will be uploaded, by its path in the artifact."""
    return {entry["path"]: Path(entry["local_path"]).read_bytes() for entry in artifact["manifest"]["contents"]}


def history(records: list[dict]) -> list[dict]:
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def test_the_table_of_training_data_holds_sound_text_and_pictures_once(records, run):
    (table,) = (each for each in artifacts(records)["run_table"] if "training_data" in each["name"])
    held = files(table)
    content = json.loads(held.pop("training_data.table.json"))
    assert content["columns"] == ["file", "audio", "seconds", "text", "spectrogram", "mel-spectrogram", "features"]
    assert len(content["data"]) == 2
    assert all(row[2] > 0 and row[3] for row in content["data"])
    assert Counter(data[:4] for data in held.values()) == {b"RIFF": 2, b"\x89PNG": 6}


def test_each_validation_has_a_table_of_predictions_with_playable_sound(records):
    import io

    import soundfile

    tables = [each for each in artifacts(records)["run_table"] if "predictions" in each["name"]]
    assert len(tables) == 2
    for table in tables:
        held = files(table)
        content = json.loads(held.pop("predictions.table.json"))
        assert content["columns"] == ["audio", "reference", "hypothesis", "word errors", "seconds"]
        assert len(content["data"]) == len(held) == 3
        for sound, reference, _, errors, seconds in content["data"]:
            assert soundfile.info(io.BytesIO(held[sound["path"]])).duration == pytest.approx(seconds, abs=0.15)
            assert reference
            assert errors >= 0
    assert sum("predictions._type" in item for item in history(records)) == 2


def test_histograms_are_there_on_request(records, run):
    from experiments.pretrained.restore import restore_model

    drawn = [item for item in history(records) if any(key.startswith("gradients/") for key in item)]
    assert [item["trainer/global_step"] for item in drawn] == [0, 2, 4]
    for name, values in restore_model(run / "model.nemo").named_parameters():
        if values.requires_grad:
            for kind in ("gradients", "parameters"):
                assert sum(drawn[0][f"{kind}/{name}.values"]) == values.numel()


def test_the_model_is_queued_as_an_artifact_with_all_that_tells_it_apart(records, run):
    (model,) = artifacts(records)["model"]
    identity = (run / "wandb-id").read_text()
    assert (model["name"], set(model["aliases"])) == ("synthetic", {"latest", f"run-{identity}"})
    held = files(model)
    assert held["model.nemo"] == (run / "model.nemo").read_bytes()
    assert {"config.yaml", "metrics.json"} < set(held)
    said = json.loads(model["metadata"])
    metrics = json.loads((run / "metrics.json").read_text())
    assert said["validation_wer"] == metrics["validation_wer"]
    assert said["test"]["test"]["wer"] == metrics["test"]["test"]["wer"]
    assert len(said["config_sha256"]) == len(said["data"]["train"]) == 64
    assert said["wandb"]["model"] == f"synthetic:run-{identity}"


def test_better_checkpoints_are_queued_on_request(records):
    found = artifacts(records)["checkpoint"]
    assert all(set(each["aliases"]) == {"best", "latest"} for each in found)
    assert all(list(files(each)) and "validation_wer" in each["metadata"] for each in found)


def test_config_and_summary_name_data_and_results(records, corpus):
    from heyjetson.bundle import file_hash

    text = json.dumps([record for record in records if record["type"] in ("run", "config")])
    assert file_hash(corpus / "train.jsonl") in text
    assert '"utterances": 12' in text
    keys = {key for record in records if record["type"] == "summary" for key in record["summary"].get("update", {})}
    assert {"val_wer", "best/val_wer", "test/test/wer", "train_loss"} <= keys


def test_a_bundle_follows_from_its_model_and_is_queued(run, tmp_path, monkeypatch, capsys):
    from experiments.export.bundle import ExportOptions, export_bundle
    from experiments.pretrained.restore import restore_model
    from experiments.tracking.lineage import log_bundle

    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    bundle = tmp_path / "bundle"
    nemo = run / "model.nemo"
    export_bundle(restore_model(nemo), nemo, bundle, ExportOptions(seconds=(0.5,), batch_sizes=(1,)))
    log_bundle(bundle, "auto")
    assert not (tmp_path / "wandb").exists()  # auto is for runs that are online
    log_bundle(bundle, True)
    assert "wandb sync" in capsys.readouterr().out
    found = wandb_records(tmp_path)
    (artifact,) = artifacts(found)["bundle"]
    identity = (run / "wandb-id").read_text()
    assert (artifact["name"], set(artifact["aliases"])) == ("synthetic-bundle", {"latest", f"run-{identity}", "fp32"})
    assert files(artifact)["manifest.json"] == (bundle / "manifest.json").read_bytes()
    (started,) = (record["run"] for record in found if record["type"] == "run")
    assert (started["run_group"], started["job_type"]) == ("synthetic", "export")
    assert started["config"]["update"]["model"] == f"synthetic:run-{identity}"
    monkeypatch.setattr("wandb.init", lambda **_: 1 / 0)
    log_bundle(bundle, True)
    assert f"{bundle} is complete all the same" in capsys.readouterr().out


def test_a_model_without_a_wandb_run_is_said(bundle, capsys):
    from experiments.tracking.lineage import log_bundle

    log_bundle(bundle, True)
    assert "names no W&B run" in capsys.readouterr().out


def test_nothing_that_wandb_raises_ends_a_training(trained, tmp_path, monkeypatch, capsys):
    from wandb import Run

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for method in ("log", "log_artifact"):
        monkeypatch.setattr(Run, method, full)
    metrics = trained(tmp_path, "logger=wandb", "logger.watch=gradients", "logger.checkpoints=true")
    assert metrics["test"]["test"]["utterances"] == 8
    assert (tmp_path / "model.nemo").is_file()
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Logging failed")]
    tasks = {line.split(": ")[1] for line in said}
    assert {
        "figures",
        "histograms",
        "the table of predictions",
        "the table of training data",
        "the model as an artifact",
    } <= tasks
    assert len(said) == len(tasks)  # each once
    assert all("No space left on device" in line and "Training goes on" in line for line in said)


def test_where_wandb_cannot_be_reached_the_run_is_kept_offline(tmp_path, monkeypatch, capsys):
    from experiments.tracking import loggers

    monkeypatch.setattr(loggers, "INIT_TIMEOUT", 2.0)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://localhost:9")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb"))
    import wandb

    wandb.teardown()
    logger = loggers.wandb_logger(tmp_path, name="a", project="p", group="g")
    logger.log_metrics({"loss": 1.5}, step=1)
    assert logger.experiment.offline
    loggers.close()
    assert "W&B cannot be reached" in capsys.readouterr().out
    monkeypatch.undo()
    wandb.teardown()
    assert [item["loss"] for item in history(wandb_records(tmp_path))] == [1.5]


def test_where_not_even_files_can_be_written_nothing_is_kept_and_nothing_ends(tmp_path, monkeypatch, capsys):
    import wandb

    from experiments.tracking import loggers

    def init(**options):
        if options.get("mode") == "disabled":
            return begin(mode="disabled")
        raise PermissionError("Read-only file system")

    begin = wandb.init
    monkeypatch.setattr(wandb, "init", init)
    logger = loggers.wandb_logger(tmp_path, name="a", project="p", mode="offline")
    logger.log_metrics({"loss": 1.5}, step=1)
    logger.log_hyperparams({"seed": 1})
    loggers.close()
    assert capsys.readouterr().out.count("W&B cannot keep a run (Read-only file system)") == 1


def test_a_recording_that_vanished_costs_its_sound_alone(corpus, tmp_path, capsys):
    from dataclasses import replace

    from experiments.tracking.tables import PREDICTIONS, PredictionTable
    from manifests import read_manifest

    first, second, *_ = read_manifest(corpus / "validation.jsonl")
    first = replace(first, audio=tmp_path / "gone.wav")
    table = PredictionTable([first, second], rows=2)
    model = types.SimpleNamespace(validation_texts=[(first.text, "a"), (second.text, second.text)])
    model.preprocessor = types.SimpleNamespace(_sample_rate=16000)
    logged = []
    logger = types.SimpleNamespace(log_row=lambda row, step: logged.append(row))
    trainer = types.SimpleNamespace(is_global_zero=True, sanity_checking=False, global_step=7, logger=logger)
    trainer.val_dataloaders = types.SimpleNamespace(dataset=types.SimpleNamespace(utterances=[first, second]))
    table.on_validation_end(trainer, model)
    table.on_validation_end(trainer, model)
    rows = [dict(zip(PREDICTIONS, row, strict=True)) for row in logged[1]["predictions"].data]
    assert {row["reference"]: row["audio"] is None for row in rows} == {first.text: True, second.text: False}
    assert logged[0]["predictions"].data[1][0] is logged[1]["predictions"].data[1][0]  # encoded once
    assert capsys.readouterr().out.count("Logging failed") == 1


def test_a_prediction_is_of_its_own_recording_where_others_have_its_text(corpus, tmp_path):
    from dataclasses import replace

    from experiments.tracking.tables import PredictionTable
    from manifests import read_manifest, write_manifest

    lines = [replace(one, text="yes", offset=one.line + 1 / 3) for one in read_manifest(corpus / "validation.jsonl")]
    table = PredictionTable(lines, rows=len(lines))
    write_manifest(tmp_path / "validation.checked.jsonl", lines[1:])  # as the preflight leaves a bad one out
    heard = read_manifest(tmp_path / "validation.checked.jsonl")
    written = table.written(heard, [("yes", str(one.audio)) for one in heard])
    assert [one for one, _ in written] == lines[1:]
    assert all(text == str(one.audio) for one, text in written)
    assert len(table.written(heard, [("yes", "no")])) == 1  # trainer.limit_val_batches


def test_tensorboard_shows_predictions_and_plays_them(trained, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(tmp_path, "logger=tensorboard", "logger.table_rows=2")
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"tensors": 0, "audio": 0})
    events.Reload()
    tags = events.Tags()
    assert len(tags["audio"]) == 2
    texts = events.Tensors("predictions/text_summary")
    assert len(texts) == 2
    assert b"| errors | reference | hypothesis |" in texts[0].tensor_proto.string_val[0]
    assert {"val_wer", "best/val_wer", "test/test/wer"} <= set(tags["scalars"])
    steps = json.loads((tmp_path / "metrics.json").read_text())["steps"]
    for name in ("best/val_wer", "test/test/wer"):
        assert [scalar.step for scalar in events.Scalars(name)] == [steps]


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
def test_sound_is_compressed_at_any_rate(rate, tmp_path):
    import soundfile

    from experiments.tracking.tables import compressed

    samples = 0.3 * np.sin(np.arange(rate) * 2 * np.pi * 300 / rate).astype(np.float32)
    path = compressed(samples, rate, tmp_path / "a")
    read, found = soundfile.read(path)
    assert found == rate
    assert len(read) == pytest.approx(rate, abs=0.1 * rate)
    assert path.stat().st_size < 2 * rate  # of a WAV
    spectrum = np.abs(np.fft.rfft(read))
    assert np.argmax(spectrum) * rate / len(read) == pytest.approx(300, abs=2)


@pytest.mark.parametrize("wrong", [{"watch": "sometimes"}, {"watch_every": 0}])
def test_choices_that_do_not_exist_are_refused(wrong):
    from experiments.errors import ConfigError
    from experiments.tracking.loggers import Content

    with pytest.raises(ConfigError, match=f"logger.{next(iter(wrong))} must be"):
        Content(**wrong)


def test_two_runs_in_one_process_stage_their_media_apart(tmp_path, monkeypatch):
    from experiments.tracking import loggers

    monkeypatch.delenv("WANDB_DATA_DIR", raising=False)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        loggers.wandb_logger(tmp_path / name, name=name, project="p")
        assert os.environ["WANDB_DATA_DIR"] == str(tmp_path / name / "wandb")
    monkeypatch.setenv("WANDB_DATA_DIR", "/elsewhere")
    loggers.wandb_logger(tmp_path / "a", name="a", project="p")
    assert os.environ["WANDB_DATA_DIR"] == "/elsewhere"
