"""Nothing leaves the device, and nothing is written outside a command's own folders (docs/privacy.md)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from heyjetson.privacy import WORKSTATION
from tests.conftest import ROOT, SMALL, TINY
from tests.experiments.compare_runs import corpus as digits
from tests.experiments.compare_runs import make_run
from tests.heyjetson import trigger_fake
from tests.heyjetson.tensorrt_fake import make_bundle
from tests.privacy.watch import Watched, can_trace, watch

# What libraries keep below the home, whatever they are told. docs/privacy.md says what lies there.
CACHES = (".cache/matplotlib", ".config/matplotlib", ".cache/wandb", ".lhotse/tools")
KERNELS = ".ipython"  # what IPython keeps there, of a notebook alone
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
def tones(tmp_path_factory) -> Path:
    """A model that hears tones."""
    return trigger_fake.make_speech(tmp_path_factory.mktemp("tones") / "tones").folder


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


def test_listening_and_aligning(tones, tmp_path):
    """Raw sound in the place of a microphone; a model of tones hears what was said."""
    spoken = np.concatenate([trigger_fake.quiet(0.5), trigger_fake.say("ab ba"), trigger_fake.quiet(1.0)])
    raw = (spoken * 32767).astype("<i2").tobytes()
    listen = ["-m", "heyjetson", "listen", tones, "--stdin", "--rate", trigger_fake.RATE]
    assert "ab ba" in run(tmp_path / "listen", *listen, stdin=raw).output
    soundfile.write(tmp_path / "talk.wav", spoken, trigger_fake.RATE)
    (tmp_path / "talk.txt").write_text("ab ba\n")
    out = tmp_path / "aligned"
    given = [f"model={tones}", f"sound={tmp_path}/talk.wav", f"text={tmp_path}/talk.txt", f"out={out}"]
    run(tmp_path / "align", "-m", "experiments.align", *given, own=(out,))
    assert list(out.glob("*.jsonl"))


def test_a_notebook(tmp_path):
    """The one that needs no NeMo."""
    utterances = digits(tmp_path / "corpus", count=12, sound=12)
    runs = [make_run(tmp_path / "runs" / name, {"seen": utterances}, rate) for name, rate in (("a", 0.4), ("b", 0.05))]
    notebook = ROOT / "notebooks" / "3_reading_an_experiment.ipynb"
    given = [f"RUN={runs[0]}", f"OTHER={runs[1]}"]
    run(
        tmp_path / "watch",
        "tests/privacy/notebook_once.py",
        notebook,
        *given,
        own=(tmp_path / "watch" / "home" / KERNELS,),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_its_training_the_export_the_comparison_and_a_trigger(corpus, corpus_overrides, tmp_path):
    """A trial is a run of train.py, with W&B offline; NeMo is imported once, under watch, for all that they start."""
    quick = [word for word in SMALL if not word.startswith("logger")]
    quick += ["trainer.max_time=null", "trainer.max_epochs=1", "trainer.val_check_interval=1.0"]
    definition = {
        "program": "train.py",
        "name": "tried",
        "method": "random",
        "metric": {"name": "val_wer"},
        "parameters": {"optim.lr": {"min": 0.001, "max": 0.002}},
        "command": ["${env}", "${interpreter}", "${program}", *corpus_overrides, *quick, "${args_no_hyphens}"],
    }
    (tmp_path / "tried.yaml").write_text(yaml.safe_dump(definition))
    runs, bundles, sounds, triggers, heard = (
        tmp_path / name for name in ("runs", "bundles", "sounds", "triggers", "preview")
    )
    page = tmp_path / "report.html"
    tiny = [word for word in TINY if not word.startswith(("logger", "mining.clips"))]
    folders = [f"data.cache={sounds}", f"data.backgrounds=[{corpus / 'wavs'}]", f"runs={triggers}"]
    commands = [
        ["sweep.py", "count=1", f"definition={tmp_path}/tried.yaml", f"runs={runs}"],
        ["export.py", f"model={runs}/*/*/model.nemo", f"out={bundles}/made"],
        ["-m", "experiments.cli.preview", f"manifest={corpus}/test.jsonl", f"out={heard}", "count=1"],
        ["train.py", "--config-name", "trigger", *tiny, *folders, "mining.clips=0", "trainer.max_epochs=1"],
        ["compare.py", f"{runs}/tried/*-*", "--html", str(page)],
    ]
    words = ["tests/privacy/several.py", *map(json.dumps, commands)]
    own = (runs, corpus, corpus.parent / f".{corpus.name}.lock", bundles, sounds, triggers, heard, page)
    said = run(tmp_path / "several", *words, own=own, timeout=550).output
    (nemo,) = runs.glob("*/*/model.nemo")
    assert list(nemo.parent.glob("wandb/offline-run-*")), said
    assert (bundles / "made" / "manifest.json").exists() and (heard / "01.png").exists()
    assert list(triggers.glob("*/*/model.nemo")) and list(triggers.glob("*/*/wandb/offline-run-*")), said
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", page.read_text())
    # What is the sweep's own is not the others'.
    swept = int(re.findall(r"begins at (\d+)", said)[1])
    late = [path for folder in (runs, corpus) for path in folder.rglob("*") if path.stat().st_mtime_ns > swept]
    assert not [path for path in late if "wandb" not in path.parts]


def test_the_page_names_every_cache_and_every_setting():
    page = (ROOT / "docs" / "privacy.md").read_text()
    for name in (*CACHES, KERNELS, *WORKSTATION):
        assert name in page, name
