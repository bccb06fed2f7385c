"""The notebooks run from top to bottom, and are committed without what they wrote."""

import ast
import base64
import io
import json
import os
import sys
from collections import Counter
from dataclasses import replace

import nbformat
import pytest
import soundfile
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from manifests import read_manifest, write_manifest
from tests.conftest import ROOT
from tests.experiments.compare_runs import corpus as tones
from tests.experiments.compare_runs import make_run

FOLDER = ROOT / "notebooks"
NAMES = ("1_features", "2_model_ladder", "3_reading_an_experiment", "4_model_to_device")
ROOMS = ("custom_modules", "experiments", "heyjetson", "manifests", "benchmarks")


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a notebook with this interpreter, whatever kernels are installed, and return what it wrote.

    That which restores a model is once a fresh interpreter's; the others' has imported NeMo, see `tests.warm`.
    """
    profile = str(tmp_path_factory.mktemp("ipython"))

    def executed(name: str, python: str = sys.executable, **settings: object) -> nbformat.NotebookNode:
        notebook = read(name)
        manager = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
        command = manager.kernel_spec.argv
        assert command[0] == sys.executable
        command[:] = [python, *command[command.index("-m") :]]
        place = {"metadata": {"path": str(FOLDER)}}
        client = NotebookClient(notebook, km=manager, resources=place, startup_timeout=240)
        given = os.environ | {key: str(value) for key, value in settings.items()} | {"IPYTHONDIR": profile}
        # cleanup_kc: a kernel manager that is given is not shut down otherwise.
        client.execute(cleanup_kc=True, env=given)
        return notebook

    return executed


def wrote(notebook: nbformat.NotebookNode, cell: str, kind: str = "text/plain") -> list[str]:
    """What a cell printed, or showed of a kind."""
    found = next(each for each in notebook.cells if each.id == cell)
    shown = [output.data[kind] for output in found.outputs if kind in output.get("data", {})]
    printed = [output.text for output in found.outputs if output.output_type == "stream" and output.name == "stdout"]
    return [*printed, *shown] if kind == "text/plain" else shown


def pictures(notebook: nbformat.NotebookNode) -> int:
    """How many figures were drawn; together they stay small."""
    found = [
        output.data["image/png"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert sum(map(len, found)) < 1_000_000
    return len(found)


def test_there_are_no_others():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_notebook_has_no_outputs_and_nothing_of_a_machine(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert json.loads((FOLDER / f"{name}.ipynb").read_text())["nbformat_minor"] >= 5  # cells have ids
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook.metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[1].id == "setup"
    for cell in notebook.cells:
        assert not cell.metadata and "attachments" not in cell
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None), cell.id


def functions(sources: list[str]) -> list[ast.FunctionDef]:
    return [node for source in sources for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]


def imported(source: str) -> list[str]:
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return [alias.asname or alias.name for node in nodes for alias in node.names]


def test_no_helper_is_written_twice():
    """No function or cell is a copy of another, and imports stand in the first two cells of code, each once."""
    cells = [source for name in NAMES for source in code(read(name))]
    assert len(set(cells)) == len(cells)
    project = functions([path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")])
    bodies = Counter(ast.dump(ast.Module(node.body, [])) for node in [*functions(cells), *project])
    mine = functions(cells)
    assert mine and all(bodies[ast.dump(ast.Module(node.body, []))] == 1 for node in mine)
    assert len({node.name for node in mine}) == len(mine)
    for name in NAMES:
        first, second, *others = (imported(source) for source in code(read(name)))
        assert len({*first, *second}) == len([*first, *second]) and not any(others)


def seconds_of(html: str) -> float:
    """How long a sound within a notebook lasts."""
    sound = soundfile.info(io.BytesIO(base64.b64decode(html.partition(";base64,")[2].partition('"')[0])))
    return sound.frames / sound.samplerate


def test_features_of_an_utterance_that_is_a_segment(run, corpus, python, tmp_path):
    segments = [replace(one, offset=0.1, duration=0.4) for one in read_manifest(corpus / "test.jsonl")]
    write_manifest(tmp_path / "segments.jsonl", segments)
    notebook = run("1_features", python, MANIFEST=tmp_path / "segments.jsonl", LINE=2)
    assert pictures(notebook) == 4
    assert seconds_of(wrote(notebook, "waveform", "text/html")[0]) == pytest.approx(0.4, abs=0.01)


def test_an_utterance_that_is_not_there_is_named(run, corpus, python):
    with pytest.raises(CellExecutionError, match="LINE is 0, and .*test.jsonl has .* utterances"):
        run("1_features", python, MANIFEST=corpus / "test.jsonl", LINE=0)


def test_model_ladder(run, tmp_path, python):
    utterances = tones(tmp_path / "corpus", count=12, sound=0)
    for name, rate in (("hey_jetson_small", 0.1), ("nemo_quartznet", 0.6)):
        make_run(tmp_path / "race" / name, {"unseen": utterances}, rate)
    given = {"RUNGS": "model_0[05]*", "RUNG": "model_05_improved", "RACE": tmp_path / "race"}
    notebook = run("2_model_ladder", python, **given)
    (table,) = wrote(notebook, "rungs")
    assert "model_05_improved" in table and "1,570,429" in table and "Mended" in table
    assert "encoder.convolution.strides: [2] → [4]" in "".join(wrote(notebook, "steps"))
    (said,) = wrote(notebook, "forward")
    assert float(said.split()[-1]) < 1e-5
    assert "hey_jetson_small has the fewest errors" in "".join(wrote(notebook, "race"))
    assert pictures(notebook) == 1


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    utterances = tones(folder / "corpus", count=40, sound=40)
    return [
        make_run(folder / "digits" / name, {"seen": utterances}, rate, seed=seed)
        for seed, (name, rate) in enumerate((("first", 0.4), ("second", 0.05)))
    ]


def test_reading_an_experiment(run, two_runs, python):
    for path in (folder / "test_seen.json" for folder in two_runs):
        report = json.loads(path.read_text())
        for row in report["utterance_results"]:
            row |= {"offset": 0.1, "duration": 0.3}
        path.write_text(json.dumps(report))
    notebook = run("3_reading_an_experiment", python, RUN=two_runs[0], OTHER=two_runs[1], WORST=2)
    wer = json.loads((two_runs[0] / "metrics.json").read_text())["test"]["seen"]["wer"]
    assert f"{wer:.2%}" in "".join(wrote(notebook, "metrics"))
    assert wrote(notebook, "interval")[0].count(f"{wer:.2%} (") == 2  # over utterances and over speakers
    shown = wrote(notebook, "worst", "text/html")
    assert "line-through" in "".join(shown)
    # The test set's utterances are segments here: each is heard alone.
    assert [seconds_of(html) for html in shown if "<audio" in html] == [pytest.approx(0.3, abs=0.01)] * 2
    said = " ".join("".join(wrote(notebook, "compare")).split())
    assert "second has the fewest errors" in said and "The difference is significant" in said
    assert pictures(notebook) == 1


def test_a_notebook_without_a_run_says_what_to_do_first(run, tmp_path, python):
    with pytest.raises(CellExecutionError, match="Run `make train` first, or set RUN"):
        run("3_reading_an_experiment", python, RUN=tmp_path)


def test_model_to_device(run, nemo_file, bundle, corpus):
    from heyjetson import Bundle, Engine

    clip = corpus / "wavs" / "test" / "00000.wav"
    notebook = run("4_model_to_device", MODEL=nemo_file, AUDIO=clip)
    said = wrote(notebook, "transcribe")[0].splitlines()[0]
    assert said == (Engine(Bundle(bundle)).transcribe_file(clip).text or "(nothing)")
    assert "real-time factor 0." in wrote(notebook, "speed")[0]
    assert "hears whole recordings" in wrote(notebook, "stream")[0]
    assert pictures(notebook) == 1


def test_a_streaming_model_to_device(run, streaming_model, corpus, tmp_path, python):
    streaming_model.save_to(str(tmp_path / "streaming.nemo"))
    clip = corpus / "wavs" / "test" / "00000.wav"
    notebook = run("4_model_to_device", python, MODEL=tmp_path / "streaming.nemo", AUDIO=clip)
    said = wrote(notebook, "stream")[0]
    assert said.endswith("\nthe same as the whole clip\n") and said.count(" s  ") > 1
    assert pictures(notebook) == 1
