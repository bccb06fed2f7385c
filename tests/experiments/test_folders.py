"""One run in one folder: side by side, one after the other, continued, killed, in several processes."""

import errno
import os
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from experiments.errors import ConfigError
from experiments.pretrained.restore import read_nemo_config
from experiments.training import run_folders
from experiments.training.run_folders import LOCK, hold, new_folder, release
from tests.conftest import ROOT
from tests.experiments import folders_program
from tests.experiments.folders_program import main

PATIENCE = 100  # seconds a process may take


def begin(arguments: list[str], environment: dict[str, str], outputs: tuple[str, str]) -> None:
    """The program, in a process that has its imports already."""
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    for key in [key for key in os.environ if key.startswith(("HEYJETSON_", "WANDB_"))]:
        del os.environ[key]
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["train.py", *arguments]
    main()


class Run:
    """The program with arguments of train.py; with `STAY` it stays until that file is there.

    Args:
        folder: for what it says.
        arguments: of its command line.
        environment: beside the present one.
    """

    def __init__(self, folder: Path, *arguments: str, **environment: object):
        context = get_context("forkserver")
        context.set_forkserver_preload([folders_program.__name__])
        outputs = tuple(tempfile.mkstemp(dir=folder)[1] for _ in range(2))
        self.out, self.error = map(Path, outputs)
        given = {key: str(value) for key, value in environment.items()}
        self.process = context.Process(target=begin, args=(list(arguments), given, outputs))
        self.process.start()

    def place(self) -> Path:
        """The folder it is in, once it has one."""
        deadline = time.monotonic() + PATIENCE
        while not (said := self.out.read_text()).endswith("\n"):
            assert self.process.is_alive() and time.monotonic() < deadline, self.error.read_text()
            time.sleep(0.02)
        return Path(said.splitlines()[-1].removeprefix("in "))

    def kill(self) -> None:
        """As the system does."""
        self.process.kill()
        self.process.join()

    def end(self) -> tuple[int | None, str, str]:
        """Its status, and what it said and complained of."""
        self.process.join(PATIENCE)
        return self.process.exitcode, self.out.read_text(), self.error.read_text()


def seeds(folder: Path) -> list[str]:
    return (folder / "history.jsonl").read_text().split()


def test_runs_that_start_at_once_have_a_folder_each(tmp_path):
    runs = [Run(tmp_path, f"runs={tmp_path}", f"seed={seed}", STAY=tmp_path / "go") for seed in (1, 2, 3)]
    places = [run.place() for run in runs]
    (tmp_path / "go").touch()
    assert [run.end()[0] for run in runs] == [0, 0, 0]
    assert [seeds(place) for place in places] == [["1"], ["2"], ["3"]]
    assert {place.parent for place in places} == {tmp_path / "synthetic"}


def test_a_run_that_is_refused_leaves_no_folder(tmp_path):
    runs, mine = tmp_path / "runs", tmp_path / "mine"
    (mine / "notes").mkdir(parents=True)
    for where in (f"runs={runs}", f"hydra.run.dir={tmp_path}/new", f"hydra.run.dir={mine}"):
        status, _, complaint = Run(tmp_path, where, "seed=-1").end()
        assert (status, "It is refused." in complaint) == (1, True)
    assert list(runs.glob("*/*")) == [] and not (tmp_path / "new").exists()
    assert (mine / "notes").is_dir()  # what was there before stays


def test_what_is_prepared_for_a_run_goes_with_it_and_what_has_begun_stays(tmp_path):
    Run(tmp_path, f"runs={tmp_path}/new", "seed=-1", LEFT="wandb-id train.checked.jsonl").end()
    assert list((tmp_path / "new").glob("*/*")) == []
    for number, name in enumerate(("wandb/offline-run-1/run-1.wandb", "checkpoints/stopped.ckpt", "history.jsonl")):
        runs = tmp_path / f"begun{number}"
        Run(tmp_path, f"runs={runs}", "seed=-1", LEFT=f"wandb-id {name}").end()
        assert len(list(runs.glob(f"*/*/{name}"))) == 1


def test_names_that_are_taken_get_a_number(tmp_path):
    wanted = tmp_path / "runs" / "2026-01-31_12-00-00"
    assert [new_folder(wanted).name[19:] for _ in range(3)] == ["", "-2", "-3"]


def test_a_run_to_be_continued_is_named_as_it_is_typed(tmp_path):
    folder = tmp_path / "my run (1)"
    folder.mkdir()
    typed = f"'resume=\"{folder}\"'"  # for the shell and for Hydra
    (folder / "history.jsonl").touch()
    with pytest.raises(ConfigError) as refused:
        run_folders._require_the_same(folder, ["seed=2"])
    assert f"Continue that one with {typed}, or" in str(refused.value)
    (folder / "model.nemo").touch()
    with pytest.raises(ConfigError) as refused:
        run_folders._require_the_same(folder, ["seed=2"])
    assert f"Continue it with {typed}, or" in str(refused.value)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"no archive")
    with pytest.raises(ConfigError) as refused:
        read_nemo_config(folder / "checkpoints" / "last.ckpt")
    assert f"`python train.py {typed}` goes on from it" in str(refused.value)


def test_a_folder_that_was_asked_for_is_for_one_run_at_a_time(tmp_path):
    folder = tmp_path / "mine"
    first = Run(tmp_path, "seed=1", f"hydra.run.dir={folder}", STAY=tmp_path / "go")
    assert first.place() == folder
    for arguments in (["seed=2", f"hydra.run.dir={folder}"], [f"resume={folder}"]):
        status, _, complaint = Run(tmp_path, *arguments).end()
        assert status == 1
        assert f"{folder} is in use by a run: process {first.process.pid} on " in complaint
        assert "Traceback" not in complaint
    first.kill()  # the lock dies with it
    assert seeds(folder) == ["1"]

    status, _, complaint = Run(tmp_path, "seed=2", f"hydra.run.dir={folder}").end()
    assert status == 1
    assert f"was started with seed=1. Continue that one with resume={folder}" in complaint.replace("\n", " ")
    assert Run(tmp_path, "seed=1", f"hydra.run.dir={folder}").end()[0] == 0  # as a scheduler starts it again
    status, _, complaint = Run(tmp_path, "seed=1", f"hydra.run.dir={folder}").end()
    assert status == 1
    assert f"{folder} holds a finished run. Continue it with resume={folder}" in complaint
    assert Run(tmp_path, f"resume={folder}").end()[0] == 0
    assert seeds(folder) == ["1", "1", "1"]


def test_what_a_run_was_not_continued_with_is_no_part_of_it(tmp_path):
    folder = tmp_path / "mine"
    assert Run(tmp_path, "seed=1", f"hydra.run.dir={folder}").end()[0] == 0
    before = {path.name: path.read_bytes() for path in (folder / ".hydra").iterdir()}
    status, _, complaint = Run(tmp_path, f"resume={folder}", "seed=-1").end()
    assert (status, "It is refused." in complaint) == (1, True)
    assert {path.name: path.read_bytes() for path in (folder / ".hydra").iterdir()} == before
    assert Run(tmp_path, f"resume={folder}").end()[0] == 0  # what was refused is not asked for again
    assert seeds(folder) == ["1", "1"]
    assert Run(tmp_path, f"resume={folder}", "seed=2").end()[0] == 0
    assert Run(tmp_path, f"resume={folder}").end()[0] == 0
    assert seeds(folder) == ["1", "1", "2", "2"]


def test_a_trials_folder_is_for_one_process_and_is_gone_on_with(tmp_path):
    folder = tmp_path / "000-abc"
    first = Run(tmp_path, "seed=1", STAY=tmp_path / "go", HEYJETSON_TRIAL=folder)
    assert first.place() == folder
    status, _, complaint = Run(tmp_path, "seed=1", HEYJETSON_TRIAL=folder).end()
    assert (status, "is in use by a run" in complaint) == (1, True)
    first.kill()
    assert Run(tmp_path, "seed=1", HEYJETSON_TRIAL=folder).end()[0] == 0


def test_several_runs_that_start_at_once_have_names_of_their_own(tmp_path):
    runs = [
        Run(tmp_path, "-m", f"runs={tmp_path}/runs", f"seed={seeds}", STAY=tmp_path / "go") for seeds in ("1,2", "3,4")
    ]
    (tmp_path / "go").touch()
    for run in runs:
        status, said, complaint = run.end()
        assert status == 0, complaint
        pattern = Path(said.split("Compare them: python compare.py ")[1].strip())
        found = sorted(pattern.parent.glob(pattern.name))
        assert [Path(line[3:]) for line in said.splitlines() if line.startswith("in ")] == found
    assert sorted(seeds(path) for path in tmp_path.glob("runs/synthetic/*")) == [["1"], ["2"], ["3"], ["4"]]


def test_a_process_that_was_forked_does_not_keep_a_folder(tmp_path):
    hold(tmp_path)
    ready, go = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        os.write(ready[1], b".")
        os.read(go[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        release(tmp_path)
        hold(tmp_path)
    finally:
        release(tmp_path)
        os.write(go[1], b".")
        os.waitpid(child, 0)
    assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on ")


def test_where_there_are_no_locks_it_is_said(tmp_path, monkeypatch, capsys):
    def refuse(path: Path) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(run_folders, "lock", refuse)
    hold(tmp_path)
    assert "cannot be locked (No locks available)" in capsys.readouterr().out
