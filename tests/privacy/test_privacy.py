"""Nothing leaves the device, and nothing is written outside a command's own folders (docs/privacy.md)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from heyjetson.privacy import WORKSTATION
from tests.conftest import ROOT, SMALL
from tests.heyjetson.tensorrt_fake import make_bundle
from tests.privacy.watch import Watched, can_trace, watch

# What libraries keep below the home, whatever they are told. docs/privacy.md says what lies there.
CACHES = (".cache/matplotlib", ".config/matplotlib", ".cache/wandb", ".lhotse/tools")
ESCAPES = """
import os, pathlib, socket, subprocess, sys
try: socket.getaddrinfo("example.org", 443)
except OSError: pass
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    try: out.connect(("192.0.2.1", 9))
    except OSError: pass
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
home, outside, own = pathlib.Path.home(), *map(pathlib.Path, sys.argv[1:])
(home / ".tracked").write_text("1")
(outside / "folder").mkdir()
subprocess.run([sys.executable, "-c", f"open({str(outside / 'child')!r}, 'w')"])
own.mkdir()
(own / "result").write_text("1")
os.open(outside / "read", os.O_RDONLY)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """A small graph for the device; NeMo is not needed for it."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "small").folder


def run(folder: Path, *command: object, own: tuple[Path, ...] = (), **options) -> Watched:
    """Watch a command that must end well, keep to itself, and write nothing but its own and the caches."""
    seen = watch(command, folder, (*own, *(folder / "home" / name for name in CACHES)), **options)
    assert seen.status == 0, seen.output
    assert seen.called == [], seen.output
    assert seen.wrote == []
    return seen


@pytest.mark.parametrize("trace", [True, False], ids=["strace", "hook"])
def test_the_watch_sees_what_leaves(tmp_path, trace):
    if trace and not can_trace():
        pytest.skip("no strace on this machine")
    outside, own = tmp_path / "outside", tmp_path / "own"
    outside.mkdir()
    (outside / "read").write_text("there before")
    seen = watch(["-c", ESCAPES, outside, own], tmp_path / "run", [own], trace=trace)
    assert seen.status == 0, seen.output
    assert (
        "192.0.2.1" in " ".join(seen.called) and len(seen.called) >= 2
    )  # and a resolver, or the name it was asked for
    assert not any(host.startswith("127.0.0.1:") and not host.endswith(":53") for host in seen.called)
    assert seen.wrote == sorted(
        str(path) for path in (outside / "child", outside / "folder", tmp_path / "run" / "home" / ".tracked")
    )


def test_onnxruntime_reports_by_itself_and_not_after_the_package(tmp_path):
    """Without the first half the second would say nothing; it fails when a release no longer reports."""
    seen = watch(["-c", "import onnxruntime"], tmp_path / "alone")
    assert any(".onnxruntime" in path for path in seen.wrote)
    run(tmp_path / "package", "-c", "import heyjetson, onnxruntime")


@pytest.mark.parametrize("package", ["heyjetson", "experiments"])
def test_the_users_own_settings_stand(package):
    code = f"import {package}, json, os; print(json.dumps(dict(os.environ)))"
    own = dict.fromkeys(WORKSTATION, "mine")
    for given in ({}, own):
        settings = {name: value for name, value in os.environ.items() if name not in WORKSTATION} | given
        said = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, cwd=ROOT)
        found = json.loads(said.stdout)
        expected = given or WORKSTATION
        names = WORKSTATION if package == "experiments" or given else ["ORT_DISABLE_TELEMETRY"]
        assert {name: found.get(name) for name in names} == {name: expected[name] for name in names}


@pytest.mark.parametrize("command", ["info", "bench", "doctor"])
def test_a_bundle_on_the_device(command, bundle, tmp_path):
    run(tmp_path, "-m", "heyjetson", command, bundle)


def test_transcription_and_manifests(bundle, corpus, tmp_path):
    sound = next((corpus / "wavs").rglob("*.wav"))
    run(tmp_path / "transcribe", "-m", "heyjetson", "transcribe", bundle, sound)
    run(tmp_path / "check", "-m", "manifests", "check", corpus / "test.jsonl")
    made = tmp_path / "made"
    run(tmp_path / "table", "-m", "manifests", "table", corpus / "test.jsonl", "--out", made, own=(made,))
    report = tmp_path / "report.json"
    evaluate = ["evaluate.py", f"model={bundle}", f"manifest={corpus}/test.jsonl", f"out={report}"]
    run(tmp_path / "evaluate", *evaluate, own=(report,))
    language = tmp_path / "language"
    language.mkdir()
    train = ["-m", "experiments.lm", "train", corpus / "train.jsonl", "--out", language / "lm.arpa"]
    run(tmp_path / "lm", *train, own=(language,))


def test_the_server(bundle, corpus, tmp_path):
    """Start, pages, one upload, stop; the pages ask a browser for nothing from elsewhere."""
    sound, state = next((corpus / "wavs").rglob("*.wav")), tmp_path / "state"
    said = run(tmp_path / "run", "tests/privacy/serve_once.py", bundle, sound, state, own=(state,)).output
    assert "ended 0" in said
    pages = [path.read_text() for path in (ROOT / "heyjetson" / "server" / "pages").glob("*.html")]
    assert pages and not any(re.search(r"""(src|href)=["'](https?:)?//""", page) for page in pages)


@pytest.mark.timeout(600)
def test_a_sweep_its_training_the_export_and_the_comparison(corpus, corpus_overrides, tmp_path):
    """A trial is a run of train.py, with W&B offline, and the export of its model."""
    quick = [word for word in SMALL if not word.startswith("logger")]
    quick += ["trainer.max_time=null", "trainer.max_epochs=1", "trainer.val_check_interval=1.0"]
    runs, bundles = tmp_path / "runs", tmp_path / "bundles"
    definition = {
        "program": "tests/privacy/train_and_export.py",
        "name": "tried",
        "method": "random",
        "metric": {"name": "val_wer"},
        "parameters": {"optim.lr": {"min": 0.001, "max": 0.002}},
        "command": [
            "${env}",
            "${interpreter}",
            "${program}",
            str(runs),
            f"{bundles}/made",
            *corpus_overrides,
            *quick,
            "${args_no_hyphens}",
        ],
    }
    (tmp_path / "tried.yaml").write_text(yaml.safe_dump(definition))
    sweep = ["sweep.py", "count=1", f"definition={tmp_path}/tried.yaml", f"runs={runs}"]
    said = run(tmp_path / "sweep", *sweep, own=(runs, bundles, corpus, corpus.parent / f".{corpus.name}.lock")).output
    (nemo,) = runs.glob("*/*/model.nemo")
    assert list(nemo.parent.glob("wandb/offline-run-*")), said
    assert (bundles / "made" / "manifest.json").is_file(), said
    page = tmp_path / "report.html"
    run(tmp_path / "compare", "compare.py", nemo.parent, "--html", page, own=(page,))
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", page.read_text())


def test_the_page_names_every_cache_and_every_setting():
    page = (ROOT / "docs" / "privacy.md").read_text()
    for name in (*CACHES, *WORKSTATION):
        assert name in page, name
