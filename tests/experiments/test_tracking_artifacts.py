"""Models fetched by reference, and what names its inputs: with stand-ins for the server, which is not here."""

import json
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.data.preparation import Data
from experiments.errors import ConfigError
from experiments.tracking import artifacts, lineage
from experiments.tracking.__main__ import main
from experiments.tracking.artifacts import Reference, fetch_model, is_reference, local_model
from experiments.training.best_effort import BestEffort
from heyjetson.user_cache import user_cache


class Stored:
    """An artifact of the server."""

    def __init__(self, version: str, files: dict[str, bytes], aliases: list[str] = (), **metadata):
        self.version, self.files, self.aliases, self.metadata = version, files, list(aliases), metadata
        self.size, self.digest, self.downloads, self.saved = 10, "abc", 0, False

    def download(self, root: str, skip_cache: bool) -> None:
        self.downloads += 1
        for name, content in self.files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                raise ConnectionError("the line broke.")
            path.write_bytes(content)

    def save(self) -> None:
        self.saved = True


class Server:
    """What is asked of `wandb.Api`."""

    def __init__(self, **held: Stored):
        self.held = {f"me/p/{name}": stored for name, stored in held.items()}
        self.asked: list[str] = []

    def artifact(self, address: str, type: str | None = None) -> Stored:
        self.asked.append(address)
        for name, stored in self.held.items():
            if address in (f"{name}:{alias}" for alias in (stored.version, *stored.aliases)):
                return stored
        raise ValueError(f"artifact '{address}' not found")

    def artifact_exists(self, address: str, type: str | None = None) -> bool:
        return any(address in [f"{name}:{alias}" for alias in held.aliases] for name, held in self.held.items())

    def artifacts(self, type: str, address: str) -> list[Stored]:
        return [stored for name, stored in self.held.items() if name.startswith(address)]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(artifacts, "FETCHED", {})
    monkeypatch.setattr(lineage, "FETCHED", artifacts.FETCHED)


def test_a_run_stands_for_its_model_and_a_bundle_for_itself(tmp_path):
    run, bundle = tmp_path / "my run (1)", tmp_path / "bundle"
    (run / "checkpoints").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds no model.nemo") as refused:
        local_model(str(run))
    assert f"`python train.py 'resume=\"{run}\"'` goes on" in str(refused.value)  # for the shell and for Hydra
    (run / "model.nemo").touch()
    assert local_model(str(run)) == run / "model.nemo"
    bundle.mkdir()
    for name in ("manifest.json", "model.nemo"):
        (bundle / name).touch()
    assert local_model(str(bundle)) == bundle
    assert local_model("a.nemo") == Path("a.nemo")


def test_a_model_is_fetched_once_and_found_again_without_a_network(monkeypatch):
    stored = Stored("v3", {"model.nemo": b"weights", "config.yaml": b"seed: 1"}, ["latest"])
    server = Server(synthetic=stored)
    path = fetch_model("wandb:me/p/synthetic:latest", server)
    assert (path.name, path.read_bytes()) == ("model.nemo", b"weights")
    assert fetch_model("wandb:me/p/synthetic:latest", server) == path  # an alias is asked for again
    assert (stored.downloads, len(server.asked)) == (1, 2)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert local_model("wandb:me/p/synthetic:v3") == path
    assert artifacts.FETCHED == {
        "wandb:me/p/synthetic:latest": "me/p/synthetic:v3",
        "wandb:me/p/synthetic:v3": "me/p/synthetic:v3",
    }
    with pytest.raises(ConfigError, match="WANDB_MODE=offline"):
        fetch_model("wandb:me/p/synthetic:latest")


def test_an_alias_that_moved_is_fetched_anew():
    server = Server(synthetic=Stored("v3", {"model.nemo": b"old"}, ["latest"]))
    assert fetch_model("wandb:me/p/synthetic:latest", server).read_bytes() == b"old"
    server.held["me/p/synthetic"] = Stored("v4", {"model.nemo": b"new"}, ["latest"])
    assert fetch_model("wandb:me/p/synthetic:latest", server).read_bytes() == b"new"
    assert fetch_model("wandb:me/p/synthetic:v3").read_bytes() == b"old"


def test_a_bundle_is_a_folder_and_a_checkpoint_a_file():
    bundle = Stored("v0", {"manifest.json": b"{}", "model.onnx": b"o"}, ["best"])
    server = Server(bundle=bundle, checkpoint=Stored("v1", {"best-step=1.ckpt": b"c"}))
    assert (fetch_model("wandb:me/p/bundle:best", server) / "model.onnx").read_bytes() == b"o"
    assert fetch_model("wandb:me/p/checkpoint:v1", server).suffix == ".ckpt"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": b"", "b.nemo": b"", "c.nemo": b""}, "is no model: it holds a.txt, b.nemo, c.nemo"),
        ({"model.nemo": None}, "could not be downloaded: the line broke"),
    ],
)
def test_what_cannot_be_a_model_is_said_and_nothing_half_stays(files, message):
    server = Server(odd=Stored("v0", files))
    with pytest.raises(ConfigError, match=message):
        fetch_model("wandb:me/p/odd:v0", server)
    folders = [path.name for path in user_cache().glob("wandb/me/p/*")]
    assert folders == (["odd-v0"] if "a.txt" in files else [])


def test_what_the_server_does_not_have_is_a_sentence():
    with pytest.raises(ConfigError, match="wandb:me/p/none:v1 cannot be fetched: artifact 'me/p/none:v1' not found"):
        fetch_model("wandb:me/p/none:v1", Server())


def test_without_a_key_nothing_is_asked(monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("wandb.login", lambda **_: False)
    with pytest.raises(ConfigError, match="no W&B key is configured. Set WANDB_API_KEY"):
        fetch_model("wandb:me/p/synthetic:v3")


@pytest.mark.parametrize(
    "text",
    ["wandb:", "wandb:a/b/c", "wandb:a/b:v1", "wandb:a/../c:v1", "wandb:a/b/c:..", "wandb:a/b/c:v1/..", "wandb:/b/c:v"],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text):
    assert is_reference(text)
    with pytest.raises(ConfigError, match="is not a W&B reference"):
        Reference.parse(text)


@given(st.one_of(st.text(max_size=30), st.from_regex(artifacts.PATTERN, fullmatch=True)))
def test_a_reference_is_refused_or_stays_below_the_cache(text):
    try:
        wanted = Reference.parse(text)
    except ConfigError:
        return
    assert f"wandb:{wanted.address}" == text
    place = artifacts._place(wanted, wanted.alias)
    assert place.resolve().is_relative_to(user_cache().resolve() / "wandb" / wanted.entity / wanted.project)


@given(st.text(max_size=20))
def test_any_name_of_an_experiment_can_be_fetched_again(name):
    Reference.parse(f"wandb:me/p/{lineage.collection(name)}:latest")


class Run:
    """What is asked of a W&B run."""

    def __init__(self, offline: bool):
        self.offline, self.id, self.entity, self.project = offline, "abc", "me", "p"
        self.config, self.used, self.logged = {}, [], []
        self.config = types.SimpleNamespace(update=lambda values, allow_val_change: self.known.update(values))
        self.known: dict = {}

    def use_artifact(self, artifact) -> None:
        if self.offline:
            raise TypeError("Cannot use artifact when in offline mode.")
        self.used.append(artifact)

    def log_artifact(self, artifact, aliases=()) -> None:
        self.logged.append((artifact, list(aliases)))


@pytest.fixture
def data(corpus) -> Data:
    return Data(corpus / "train.jsonl", corpus / "validation.jsonl", {"test": corpus / "test.jsonl"})


def test_online_the_dataset_and_the_model_begun_with_are_inputs(data, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    fetch_model("wandb:me/p/base:v2", Server(base=Stored("v2", {"model.nemo": b""})))
    run = Run(offline=False)
    lineage.declare_inputs(run, "my run", data, False, BestEffort()).join(20)
    dataset, model = run.used
    assert (dataset.type, dataset.name, model) == ("dataset", "my-run-data", "me/p/base:v2")
    assert set(dataset.manifest.entries) == {"train.jsonl", "validation.jsonl", "test.jsonl"}
    assert all(entry.ref.startswith("file://") for entry in dataset.manifest.entries.values())
    assert run.known["dataset"]["train"]["utterances"] == 12
    assert run.known["fetched"] == {"wandb:me/p/base:v2": "me/p/base:v2"}


def test_offline_the_config_names_the_inputs(data):
    run = Run(offline=True)
    assert lineage.declare_inputs(run, "a", data, False, BestEffort()) is None
    assert len(run.known["dataset"]["validation"]["sha256"]) == 64


def test_recordings_go_along_on_request_and_the_manifest_finds_them(data, corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staged"))
    run = Run(offline=True)
    lineage.declare_inputs(run, "a", data, True, BestEffort()).join(20)
    ((artifact, _),) = run.logged
    entries = artifact.manifest.entries
    lines = [json.loads(line) for line in Path(entries["train.jsonl"].local_path).read_text().splitlines()]
    assert len(lines) == 12
    for line, original in zip(lines, (corpus / "train.jsonl").read_text().splitlines(), strict=True):
        source = json.loads(original)
        sent = Path(entries[line["audio_filepath"]].local_path)
        assert (line["text"], sent.read_bytes()) == (source["text"], (corpus / source["audio_filepath"]).read_bytes())


def test_a_dataset_that_cannot_be_declared_is_said(data, capsys):
    run = Run(offline=False)
    run.use_artifact = lambda artifact: 1 / 0
    lineage.declare_inputs(run, "a", data, False, BestEffort()).join(20)
    assert "the dataset as an artifact: division by zero" in capsys.readouterr().out


DATA = {"data": {"validation": "same"}}


@pytest.mark.parametrize(
    ("best", "wer", "expected"),
    [
        (None, 0.5, True),
        ({"validation_wer": 0.1, **DATA}, 0.05, True),
        ({"validation_wer": 0.1, **DATA}, 0.1, False),
        ({"validation_wer": 0.1, **DATA}, None, False),
        ({"validation_wer": 0.1, "data": {"validation": "other"}}, 0.5, True),
    ],
)
def test_best_is_what_no_version_surpasses_on_the_same_data(best, wer, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    (tmp_path / "model.nemo").write_bytes(b"weights")
    server = Server(**({"a": Stored("v0", {}, ["best"], **best)} if best else {}))
    run = Run(offline=False)
    aliases = lineage.log_model(run, tmp_path, "a", {"validation_wer": wer, **DATA}, server)
    assert aliases == ["latest", "run-abc"] + ["best"] * expected
    assert run.logged[0][1] == aliases


def test_a_server_that_does_not_answer_costs_the_alias_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    (tmp_path / "model.nemo").write_bytes(b"weights")
    server = Server()
    server.artifact_exists = lambda *_, **__: 1 / 0
    assert lineage.log_model(Run(offline=False), tmp_path, "a", {"validation_wer": 0.1, **DATA}, server) == [
        "latest",
        "run-abc",
    ]
    assert "The model is logged without it" in capsys.readouterr().out


def test_best_is_marked_among_versions_synced_later():
    server = Server(
        a0=Stored("v0", {}, validation_wer=0.01, data={"validation": "other"}),
        a1=Stored("v1", {}, validation_wer=0.1, **DATA),
        a2=Stored("v9", {}, validation_wer=0.2, **DATA),
        a3=Stored("v10", {}, validation_wer=0.3, **DATA),
        a4=Stored("v11", {}),
    )
    best = lineage.mark_best("me/p/a", server)
    assert (best.version, best.aliases, best.saved) == ("v1", ["best"], True)
    with pytest.raises(ConfigError, match="No version of me/p/b has a validation WER"):
        lineage.mark_best("me/p/b", server)


def test_the_command_fetches_and_refuses(monkeypatch, capsys):
    monkeypatch.setattr(artifacts, "connect", lambda refusal: Server(a=Stored("v0", {"model.nemo": b""})))
    main(["fetch", "wandb:me/p/a:v0"])
    assert capsys.readouterr().out.splitlines()[-1].endswith("a-v0/model.nemo")
    with pytest.raises(ConfigError, match="is not a W&B reference"):
        main(["best", "me/p"])
