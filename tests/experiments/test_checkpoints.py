"""Whatever ends a process or a disk while a checkpoint is written, the run goes on from the newest whole one."""

import collections
import os
import pickle
import random
import resource
import signal
import sys
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from experiments.errors import ConfigError
from experiments.training.checkpoints import (
    CheckpointError,
    ForeignError,
    WholeCheckpoints,
    damage,
    newest_checkpoint,
    read_checkpoint,
    step_of,
)
from manifests import whole
from manifests.whole import NoRoomError, whole_file


def held(step: int, size: int = 3000) -> dict:
    """A checkpoint as Lightning makes it of a run of ours."""
    return {
        "global_step": step,
        "state_dict": collections.OrderedDict(weight=torch.arange(size, dtype=torch.float32) + step),
        "callbacks": {"ModelCheckpoint{…}": {"best_k_models": {"a.ckpt": torch.tensor(0.5)}}},
        "hyper_parameters": OmegaConf.create({"cfg": {"labels": ["a", "b"], "rate": 0.5, "on": True, "none": None}}),
        "hparams_type": type(OmegaConf.create({})),
        "resumption": {
            "validated": True,
            "metrics": {"val_wer": torch.tensor(0.5)},
            "random": [
                {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()},
            ],
        },
    }


def written(folder: Path, *steps: int) -> list[Path]:
    paths = [folder / "checkpoints" / f"last-step={step}.ckpt" for step in steps]
    for step, path in zip(steps, paths, strict=True):
        WholeCheckpoints().save_checkpoint(held(step), path)
    return paths


@contextmanager
def files_of_at_most(size: int):
    """Stands for a disk with so much room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def killed_in(task, files: set[str] = frozenset(), at: int = 0, most: int | None = None) -> bool:
    """Run a task in a process of its own that is killed at a line of some files, or by the kernel as it writes the byte
    `most` of a file; whether it came that far."""
    child = os.fork()
    if child == 0:
        left = at
        if most is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        def trace(frame, event, _):
            nonlocal left
            if frame.f_code.co_filename not in files:
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        try:
            task()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_what_a_run_writes_is_read_as_it_was(tmp_path):
    (path,) = written(tmp_path, 7)
    found = read_checkpoint(path)
    assert torch.equal(found["state_dict"]["weight"], held(7)["state_dict"]["weight"])
    assert found["hyper_parameters"] == held(7)["hyper_parameters"]
    random.setstate(found["resumption"]["random"][0]["python"])
    np.random.set_state(found["resumption"]["random"][0]["numpy"])
    assert step_of(path) == 7 and not damage(path)
    assert newest_checkpoint(tmp_path) == path
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_nothing_of_a_checkpoint_goes_through_the_folder_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert newest_checkpoint(tmp_path) is None
    (path,) = written(tmp_path, 1)
    assert newest_checkpoint(tmp_path) == path


def test_killed_at_each_line_of_a_save_the_run_goes_on_from_the_newest_whole_one(tmp_path):
    written(tmp_path, 1)
    steps, at = [], 0
    while killed_in(lambda: written(tmp_path, 2), {whole.__file__}, at):
        newest = newest_checkpoint(tmp_path)
        assert not damage(newest)
        steps.append(step_of(newest))
        assert not list(newest.parent.glob("*.part"))
        (newest.parent / "last-step=2.ckpt").unlink(missing_ok=True)
        at += 1
    assert at > 10  # it was killed in many places
    assert steps == sorted(steps) and set(steps) == {1, 2}
    assert step_of(newest_checkpoint(tmp_path)) == 2


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.99])
def test_a_kill_while_the_bytes_are_written_costs_nothing(tmp_path, share):
    """Of a new checkpoint, and over the one of an earlier save of the same step."""
    (path,) = written(tmp_path, 1)
    content = path.read_bytes()
    for step in (1, 2):
        assert killed_in(lambda step=step: written(tmp_path, step), most=int(share * len(content)))
        (left,) = path.parent.glob("*.part")
        assert left.stat().st_size <= share * len(content)
        assert newest_checkpoint(tmp_path) == path and path.read_bytes() == content
        assert [one.name for one in path.parent.iterdir()] == [path.name]


@settings(max_examples=25, deadline=None)
@given(at=st.floats(0, 0.999), length=st.integers(64, 4096), cut=st.booleans())
def test_a_hole_or_a_cut_is_found_and_the_one_before_is_taken(at, length, cut):
    with tempfile.TemporaryDirectory() as name:
        older, newer = written(Path(name), 1, 2)
        content = bytearray(newer.read_bytes())
        place = int(at * len(content))
        hole = bytes(min(length, len(content) - place))
        spoilt = bytes(content[:place]) if cut else bytes(content[:place]) + hole + bytes(content[place + len(hole) :])
        newer.write_bytes(spoilt)
        taken = newest_checkpoint(Path(name))
        if taken == newer:  # the hole lies in padding: all that was written is there
            assert torch.equal(read_checkpoint(newer)["state_dict"]["weight"], held(2)["state_dict"]["weight"])
        else:
            assert taken == older and damage(newer)


def test_a_hole_among_the_weights_is_said(tmp_path, capsys):
    older, newer = written(tmp_path, 1, 2)
    with zipfile.ZipFile(newer) as archive:
        (weight,) = [entry for entry in archive.infolist() if entry.file_size == 12000]
    content = bytearray(newer.read_bytes())
    content[weight.header_offset + 4000 : weight.header_offset + 8096] = bytes(4096)
    newer.write_bytes(content)
    assert read_checkpoint(newer)["global_step"] == 2  # torch sees nothing
    assert newest_checkpoint(tmp_path) == older
    assert f"{newer.name} cannot be read (its part " in capsys.readouterr().out
    older.write_bytes(b"")
    with pytest.raises(CheckpointError, match="None of the 2 checkpoints in .* can be used"):
        newest_checkpoint(tmp_path)


def test_a_full_disk_is_a_sentence_and_what_was_there_stays(tmp_path):
    (path,) = written(tmp_path, 1)
    before = path.read_bytes()
    for name in (path.name, "last-step=2.ckpt"):
        with files_of_at_most(8000), pytest.raises(NoRoomError) as refused:
            WholeCheckpoints().save_checkpoint(held(2, 500_000), path.with_name(name))
        assert f"{name} needs 2.0 MB in {path.parent}, which has" in str(refused.value)
        assert "what was there before is untouched" in str(refused.value)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_another_error_than_a_full_disk_is_what_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a") as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


class Printing:
    """Pickled, it says that `print` is called when it is read."""

    def __reduce__(self):
        return print, ("read",)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, capsys):
    (path,) = written(tmp_path, 1)
    torch.save(held(2) | {"callbacks": Printing()}, path.with_name("last-step=2.ckpt"))
    for read in (lambda: newest_checkpoint(tmp_path), lambda: read_checkpoint(path.with_name("last-step=2.ckpt"))):
        with pytest.raises(ForeignError, match="last-step=2.ckpt is refused: it names print, "):
            read()
    assert "read" not in capsys.readouterr().out
    path.write_bytes(pickle.dumps({"global_step": 1}))
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(path)


def packed(source: Path, target: Path, change=None, weights=None) -> Path:
    """A `.nemo` with another configuration or other weights."""
    with tempfile.TemporaryDirectory() as name, tarfile.open(source) as archive:
        archive.extractall(name, filter="data")
        config = OmegaConf.load(Path(name, "model_config.yaml"))
        if change:
            change(config)
        Path(name, "model_config.yaml").write_text(OmegaConf.to_yaml(config))
        if weights is not None:
            torch.save(weights, Path(name, "model_weights.ckpt"))
        with tarfile.open(target, "w") as made:
            made.add(name, ".")
    return target


@pytest.mark.parametrize("asked", ["${oc.env:HOME}", "${oc.${name}:HOME}", "a ${oc.decode:${oc.env:HOME,1}} b"])
def test_the_configuration_of_a_file_learns_nothing_of_this_machine(nemo_file, tmp_path, asked):
    from experiments.pretrained.resolve_checkpoint import open_source
    from experiments.pretrained.restore import restore_model

    def change(config):
        config.decoding.note = [{"deep": asked}]

    path = packed(nemo_file, tmp_path / "stranger.nemo", change)
    for read in (restore_model, lambda path: open_source(str(path))):
        with pytest.raises(ConfigError, match="is refused: its configuration asks for") as refused:
            read(path)
        assert os.environ["HOME"] not in str(refused.value).partition("asks for")[2]
    made = {
        "hyper_parameters": {"cfg": OmegaConf.create({"encoder": {"a": asked}})},
        "state_dict": {"a": torch.ones(1)},
    }
    torch.save(made, tmp_path / "stranger.ckpt")
    with pytest.raises(ConfigError, match="is refused: its configuration asks for"):
        open_source(str(tmp_path / "stranger.ckpt"))


def test_classes_and_weights_that_could_run_are_refused_in_a_sentence(nemo_file, tmp_path, capsys):
    from experiments.pretrained.resolve_checkpoint import open_source
    from experiments.pretrained.restore import restore_model

    def change(config):
        config.encoder = {"_target_": "builtins.print"}

    path = packed(nemo_file, tmp_path / "target.nemo", change)
    with pytest.raises(ConfigError, match=r"is refused: its configuration names a class .*builtins.print"):
        restore_model(path)
    path = packed(nemo_file, tmp_path / "weights.nemo", weights={"a": Printing()})
    for read in (restore_model, lambda path: open_source(str(path)).weights()):
        with pytest.raises(ConfigError, match="is refused: it names print,"):
            read(path)
    torch.save({"state_dict": Printing(), "hyper_parameters": {}}, tmp_path / "a.ckpt")
    with pytest.raises(ConfigError, match=r"a.ckpt is refused: it names print,"):
        open_source(str(tmp_path / "a.ckpt"))
    assert "read" not in capsys.readouterr().out.split()


def test_an_archive_that_unpacks_to_far_more_is_refused(nemo_file, tmp_path, monkeypatch):
    from experiments.pretrained import restore

    monkeypatch.setattr(restore, "SPARE", 1e6)

    path = tmp_path / "bomb.nemo"
    (tmp_path / "zeros").write_bytes(bytes(20_000_000))
    with tarfile.open(nemo_file) as source, tarfile.open(path, "w:gz") as made:
        for entry in source.getmembers():
            made.addfile(entry, source.extractfile(entry) if entry.isfile() else None)
        made.add(tmp_path / "zeros", "zeros")
    with pytest.raises(ConfigError, match="is refused: it unpacks to 2. MB, too much for its size"):
        restore.read_nemo_config(path)


def test_a_nemo_is_written_beside_its_place_whole_or_not_at_all(small_model, tmp_path, monkeypatch):
    from experiments.pretrained.restore import restore_model

    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    path = tmp_path / "model.nemo"
    small_model.save_to(str(path))
    assert [one.name for one in tmp_path.iterdir()] == ["model.nemo"]
    before = path.read_bytes()
    with files_of_at_most(8000), pytest.raises(NoRoomError, match=r"model.nemo needs .* MB in .* \(File too large\)"):
        small_model.save_to(str(path))
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["model.nemo"]
    monkeypatch.setattr(tempfile, "tempdir", None)
    restored = restore_model(path).state_dict()
    assert all(torch.equal(restored[name], tensor) for name, tensor in small_model.state_dict().items())


def test_a_nemo_killed_while_it_is_written_is_written_anew(small_model, tmp_path):
    path = tmp_path / "model.nemo"
    small_model.save_to(str(path))
    before = path.read_bytes()
    from custom_modules import nemo_file

    for at in (1, 9, 14, 17):
        assert killed_in(lambda: small_model.save_to(str(path)), {whole.__file__, nemo_file.__file__}, at)
        assert path.read_bytes()[:257] == before[:257] and tarfile.is_tarfile(path)
    small_model.save_to(str(path))
    assert [one.name for one in tmp_path.iterdir()] == ["model.nemo"]
