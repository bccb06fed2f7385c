"""Reading runs: folders as train.py leaves them, damaged ones, bundles, reports, offline W&B runs, energy."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.compare import wandb_runs
from experiments.compare.bundles import load_bundle
from experiments.compare.inputs import find, kind_of, short_names
from experiments.compare.payload import operations
from experiments.compare.runs import CONTINUED, UNFINISHED, load, load_run
from experiments.compare.statistics import compare
from experiments.compare.table import faults
from experiments.compare.wandb_runs import curve, power_recorded, read_offline, watt_hours
from experiments.errors import ConfigError
from experiments.evaluation.report import hashes_of, place_of
from heyjetson.metrics import word_errors
from tests.experiments.compare_runs import corpus, make_bundle, make_run, rows_of

NOWHERE = Path("/nowhere")


@pytest.fixture(scope="module")
def tests(tmp_path_factory):
    return {"seen": corpus(tmp_path_factory.mktemp("sound"), 12, sound=0)}


@pytest.fixture(scope="module")
def offline(tmp_path_factory) -> Path:
    """A real offline W&B run with a curve and test results, as Lightning logs them, and one of an export beside it."""
    import wandb

    folder = tmp_path_factory.mktemp("offline")
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    config = {"optim": {"lr": 0.01}, "parameters": 1000, "cfg": {"noise": 1}}
    common = {"dir": str(folder), "mode": "offline", "project": "p", "settings": settings}
    with wandb.init(name="mine", id="mine", job_type="train", config=config, **common) as run:
        for step in (19, 39):
            run.log({"train_loss": 50.0 - step, "learning_rate": 0.01, "epoch": 0, "trainer/global_step": step})
        for step, wer in ((39, 0.5), (79, 0.25)):
            logged = {"val_wer": wer, "val_cer": wer / 2, "val_loss": float("nan"), "epoch": 1}
            run.log({**logged, "trainer/global_step": step})
        figures = {"wer": 0.2, "wer_low": 0.1, "wer_high": 0.3, "cer": 0.1, "utterances": 8, "words": 20}
        run.log({f"test/seen/{key}": value for key, value in figures.items()} | {"trainer/global_step": 80})
    with wandb.init(name="bundle", id="bundle", job_type="export", **common) as run:
        run.log({"wer": 0.2})
    return folder


def test_a_run_folder_is_read_whole(tests, tmp_path):
    run = load_run(make_run(tmp_path / "digits" / "a", tests, 0.2, overrides={"optim.lr": 0.5}))
    assert run.config["optim.lr"] == 0.5
    assert run.config["encoder"] == "HeyJetsonEncoder"
    assert run.choices == {"encoder": "hey_jetson_small"}
    assert run.metrics["parameters"] == 6000 * 96
    assert [row.reference for row in run.results["seen"].rows] == [line.text for line in tests["seen"]]
    assert run.results["seen"].totals["wer_low"] <= run.results["seen"].totals["wer"]
    assert run.last("val_wer") == run.least("val_wer") == run.curve[-1]["val_wer"]
    assert run.bytes and not run.note


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (lambda folder: (folder / "metrics.json").unlink(), UNFINISHED),
        (lambda folder: (folder / "metrics.json").write_text('{"steps": 1'), "metrics.json cannot be read"),
        (lambda folder: (folder / "metrics.json").write_text("[]"), "metrics.json cannot be read"),
        (lambda folder: (folder / "metrics.json").write_text('{"test": {}}'), "no test set"),
    ],
)
def test_a_damaged_run_says_what_is_wrong_and_keeps_its_curve(tests, tmp_path, damage, note):
    folder = make_run(tmp_path / "a", tests, 0.2)
    damage(folder)
    run = load_run(folder)
    assert note in run.note and not run.results
    assert len(run.curve) == 10


def test_a_run_that_is_being_continued_is_not_judged_by_its_earlier_figures(tests, tmp_path):
    folder = make_run(tmp_path / "a", tests, 0.2)
    assert not load_run(folder).note
    with (folder / "history.jsonl").open("a") as history:
        history.write(json.dumps({"step": 1100, "val_wer": 0.1}) + "\n")
    run = load_run(folder)
    assert run.note == CONTINUED and not run.results and len(run.curve) == 11


def test_an_ended_trial_says_why(tests, tmp_path):
    folder = make_run(tmp_path / "a", tests, 0.2, finished=False)
    (folder / "trial.json").write_text(json.dumps({"state": "pruned", "reason": "behind the others"}))
    assert load_run(folder).note == "pruned: behind the others"
    (folder / "trial.json").write_text("[1")
    assert load_run(folder).note == UNFINISHED
    (folder / "history.jsonl").unlink()
    assert "before its first validation" in load_run(folder).note


def test_a_trial_that_died_at_once_is_named(tests, tmp_path):
    make_run(tmp_path / "sweep" / "a", tests, 0.2)
    dead = tmp_path / "sweep" / "b"
    dead.mkdir()
    (dead / "trial.json").write_text(json.dumps({"state": "fail", "reason": "status 1: RuntimeError: no"}))
    notes = {run.name: run.note for run in load([tmp_path / "sweep"], tmp_path / "bundles")}
    assert not notes["a"] and notes["b"] == "died: status 1: RuntimeError: no"


def test_a_test_result_cut_short_leaves_the_totals(tests, tmp_path):
    folder = make_run(tmp_path / "a", tests, 0.2)
    wer = json.loads((folder / "metrics.json").read_text())["test"]["seen"]["wer"]
    (folder / "test_seen.json").write_text((folder / "test_seen.json").read_text()[:200])
    result = load_run(folder).results["seen"]
    assert not result.rows and result.totals["wer"] == wer
    assert result.size == (12, sum(len(line.text.split()) for line in tests["seen"]))


def test_evaluations_beside_the_model_are_further_test_sets_unless_they_repeat_one(tests, tmp_path):
    folder = make_run(tmp_path / "a", tests, 0.2)
    report = json.loads((folder / "test_seen.json").read_text())
    (folder / "evaluation-again.json").write_text(json.dumps(report | {"manifest": "data/again.jsonl"}))
    fewer = report | {"manifest": "data/short.jsonl", "utterance_results": report["utterance_results"][:5]}
    (folder / "evaluation-short.json").write_text(json.dumps(fewer))
    assert set(load_run(folder).results) == {"seen", "short"}
    (folder / "evaluation-other-seen.json").write_text(json.dumps(fewer | {"manifest": "data/other/seen.jsonl"}))
    (folder / "evaluation-short.json").unlink()
    assert set(load_run(folder).results) == {"seen", "other/seen"}


def test_a_report_on_a_model_that_was_written_anew_is_left_out(tests, tmp_path):
    folder = make_run(tmp_path / "a", tests, 0.2)
    report = json.loads((folder / "test_seen.json").read_text())
    short = report | {"manifest": "data/short.jsonl", "utterance_results": report["utterance_results"][:5]}
    hashes = hashes_of(folder / "model.nemo")
    (folder / "evaluation-short.json").write_text(json.dumps(short | hashes))
    assert set(load_run(folder).results) == {"seen", "short"}
    (folder / "model.nemo").write_bytes(b"trained further")
    run = load_run(folder)
    assert set(run.results) == {"seen"}
    assert faults(compare([run])) == ["evaluation-short.json left out, of another model.nemo than the present one: a."]


def test_a_report_is_not_written_over_one_on_another_manifest_of_its_name(tmp_path):
    manifests = [tmp_path / name / "test.jsonl" for name in ("one", "two")]
    for manifest, name in zip(manifests, ("evaluation-test.json", "evaluation-two-test.json"), strict=True):
        place = place_of(tmp_path, "evaluation", manifest)
        assert place == tmp_path / name
        place.write_text(json.dumps({"manifest": str(manifest)}))
    assert place_of(tmp_path, "evaluation", manifests[0]) == tmp_path / "evaluation-test.json"
    assert place_of(tmp_path, "evaluation", manifests[1]) == tmp_path / "evaluation-two-test.json"
    (tmp_path / "evaluation-test.json").write_text("{")
    assert place_of(tmp_path, "evaluation", manifests[1]) == tmp_path / "evaluation-test.json"


def test_a_report_is_not_written_over_one_of_a_folder_of_the_same_name(tmp_path):
    manifests = [tmp_path / name / "recordings" / "test.jsonl" for name in ("one", "two", "three")]  # as recipes have
    for manifest in manifests:
        place_of(tmp_path, "evaluation", manifest).write_text(json.dumps({"manifest": str(manifest)}))
    names = ("test", "recordings-test", "three-recordings-test")
    for manifest, name in zip(manifests, names, strict=True):
        assert place_of(tmp_path, "evaluation", manifest) == tmp_path / f"evaluation-{name}.json"


def test_speakers_of_old_reports_come_from_the_manifest(tests, tmp_path):
    from manifests.lines import write_manifest

    folder = make_run(tmp_path / "a", tests, 0.2)
    manifest = tests["seen"][0].audio.parent / "seen.jsonl"
    report = json.loads((folder / "test_seen.json").read_text())
    for row in report["utterance_results"]:
        row.pop("speaker")
    (folder / "test_seen.json").write_text(json.dumps(report))
    assert {row.speaker for row in load_run(folder).results["seen"].rows} == {None}
    write_manifest(manifest, tests["seen"])
    try:
        speakers = [row.speaker for row in load_run(folder).results["seen"].rows]
    finally:
        manifest.unlink()
    assert speakers == [line.extra["speaker"] for line in tests["seen"]]


def test_everything_below_a_folder_is_found_once(tests, tmp_path, offline):
    for name in ("b", "a"):
        make_run(tmp_path / "runs" / "sweep" / name, tests, 0.2)
    make_run(tmp_path / "runs" / "digits" / "a", tests, 0.2, finished=False)
    bundle = make_bundle(tmp_path / "bundles" / "x", tmp_path / "runs" / "sweep" / "a", "seen")
    (tmp_path / "runs" / "latest").symlink_to(tmp_path / "runs" / "digits" / "a")
    places = find([tmp_path / "runs", tmp_path / "runs" / "sweep" / "a" / "metrics.json", bundle, offline])
    assert [(place.kind, place.path.name) for place in places[:4]] == [
        ("run", "a"),
        ("run", "a"),
        ("run", "b"),
        ("bundle", "x"),
    ]
    assert [place.kind for place in places[4:]] == ["offline", "offline"]
    assert kind_of(tmp_path) is None
    names = [run.name for run in load([tmp_path / "runs"], NOWHERE)]
    assert names == ["digits/a", "sweep/a", "sweep/b"]


def test_nothing_to_compare_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        find([tmp_path / "missing"])
    with pytest.raises(ConfigError, match="There is no run in"):
        find([tmp_path])


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), min_size=1, max_size=5, unique_by=tuple))
def test_short_names_are_distinct_ends_of_the_paths(parts):
    paths = [Path("/runs", *part) for part in parts]
    names = short_names(paths)
    assert len(set(names)) == len(paths)
    assert all(str(path).endswith(name) for path, name in zip(paths, names, strict=True))


def test_a_bundle_is_found_by_what_it_says_of_its_run(tests, tmp_path):
    runs = [make_run(tmp_path / "runs" / "digits" / name, tests, 0.2, seed) for seed, name in enumerate("ab")]
    make_bundle(tmp_path / "bundles" / "a8", runs[0], "seen", "int8", speed=0.004)
    make_bundle(tmp_path / "bundles" / "a", runs[0], "seen")
    make_bundle(tmp_path / "bundles" / "other", runs[1], "seen", training={"nemo_sha256": "of another model"})
    make_bundle(runs[1] / "bundle", runs[0], "seen", training={"folder": "renamed"})
    first, second = load([tmp_path / "runs"], tmp_path / "bundles")
    assert {bundle.name for bundle in first.bundles} == {"a", "a8"}
    assert [bundle.name for bundle in second.bundles] == ["bundle"]
    best = first.bundle
    assert (best.name, best.precision, best.real_time_factor, best.bytes) == ("a", "fp32", 0.002, 5000)
    assert best.test == "seen"


def test_a_bundle_is_a_row_of_its_own_with_its_reports(tests, tmp_path):
    run = make_run(tmp_path / "runs" / "a", tests, 0.2)
    bundle = make_bundle(tmp_path / "bundles" / "x", run, "seen")
    alone = load_bundle(bundle)
    assert alone.results["seen"].totals["wer"] == load_run(run).results["seen"].totals["wer"]
    assert not alone.results["seen"].rows and alone.config["precision"] == "fp32"
    report = json.loads((run / "test_seen.json").read_text())
    (bundle.parent / "x-test.json").write_text(json.dumps(report | {"model": "bundles/x", "manifest": "test.jsonl"}))
    (bundle.parent / "x-y-test.json").write_text(json.dumps(report | {"model": "bundles/x-y"}))
    assert len(load_bundle(bundle).results["test"].rows) == 12
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"measured": {}}))
    (bundle.parent / "x-test.json").unlink()
    assert "nothing measured" in load_bundle(bundle).note


def test_a_language_model_is_said_where_others_have_none(tests, tmp_path):
    runs = [make_run(tmp_path / "runs" / name, tests, 0.2) for name in "ab"]
    bundle = make_bundle(tmp_path / "bundles" / "x", runs[0], "seen")
    report = json.loads((runs[0] / "test_seen.json").read_text()) | {"model": "bundles/x"}
    (bundle.parent / "x-seen-scorer.json").write_text(json.dumps(report | {"scorer": "bundle", "wer": 0.0}))
    assert load_bundle(bundle).results["seen"].scorer == "bundle"
    (note,) = [note for note in compare(load([bundle, runs[1]], tmp_path)).notes if "language model" in note]
    assert note == "seen: a language model took part in bundles/x, and in no other."
    (bundle.parent / "x-seen.json").write_text(json.dumps(report))
    assert load_bundle(bundle).results["seen"].scorer is None
    assert not any("language model" in note for note in compare(load([bundle, runs[1]], tmp_path)).notes)


def test_an_offline_run_is_read_by_wandb_itself(offline):
    (run,) = load([offline], NOWHERE)
    assert (run.name, run.kind) == ("mine", "offline")
    assert run.config["optim.lr"] == 0.01
    assert [point["step"] for point in run.curve] == [20, 40, 80]
    assert run.curve[1]["train_loss"] == 11 and run.curve[1]["val_wer"] == 0.5
    assert run.last("val_loss") is None
    assert run.results["seen"].totals["wer_high"] == 0.3 and run.results["seen"].size == (8, 20)
    assert run.metrics["parameters"] == 1000 and run.metrics["validation_wer"] == 0.25
    assert run.energy is None


def test_only_runs_that_trained_nothing_is_a_sentence(offline):
    export = next(offline.glob("wandb/offline-run-*-bundle"))
    with pytest.raises(ConfigError, match="trained nothing"):
        load([export], NOWHERE)


def test_without_history_the_curve_comes_from_the_offline_run(tests, tmp_path, offline):
    folder = make_run(tmp_path / "a", tests, 0.2, history=False)
    (folder / "wandb").mkdir()
    train = next(offline.glob("wandb/offline-run-*-mine"))
    (folder / "wandb" / train.name).symlink_to(train)
    assert [point["step"] for point in load_run(folder).curve] == [20, 40, 80]


def test_energy_is_power_over_time():
    two = {"gpu.0.powerWatts": 200.0, "gpu.1.powerWatts": 100.0}
    constant = [(float(second), two) for second in range(0, 3601, 15)]
    assert watt_hours(constant) == pytest.approx(300.0)
    ramp = [(0.0, {"system.gpu.0.powerWatts": 0.0}), (10.0, {"cpu": 3}), (3600.0, {"system.gpu.0.powerWatts": 100.0})]
    assert watt_hours(ramp) == pytest.approx(50.0)
    assert watt_hours([(0.0, {"cpu": 1.0}), (15.0, {"gpu.0.temp": 50})]) is None
    assert watt_hours(constant[:1]) is None


def test_energy_of_a_resumed_run_leaves_out_the_time_between(monkeypatch):
    def made_up(folder):
        for second in (0, 30, 60):
            stamp = f"2026-01-01T{10 if folder.name == 'first' else 20}:00:{second % 60:02d}.500000001Z"
            stamp = stamp.replace(":00:00.5", ":01:00.5") if second == 60 else stamp
            yield {"type": "stats", "stats": {"timestamp": stamp, "item": {"gpu.0.powerWatts": 360.0}}}

    monkeypatch.setattr(wandb_runs, "records", made_up)
    assert read_offline([Path("first"), Path("second")]).energy == pytest.approx(12.0)


def test_power_is_looked_for_before_a_run_is_read(tmp_path, offline):
    (tmp_path / "run-x.wandb").write_bytes(b"\0\1gpu.0.powerWatts\0")
    assert power_recorded(tmp_path)
    assert not any(power_recorded(folder) for folder in offline.glob("wandb/offline-run-*"))


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=30))
def test_a_curve_has_one_point_a_step_in_order(rows):
    points = curve({"trainer/global_step": step, "val_wer": wer, "_runtime": 1} for step, wer in rows)
    assert [point["step"] for point in points] == sorted({step + 1 for step, _ in rows})
    assert {point["step"] - 1: point["val_wer"] for point in points} == dict(rows)


words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8).map(" ".join)


@given(words, words)
def test_the_alignment_counts_the_errors_and_spells_both_texts(reference, hypothesis):
    letters = operations(reference, hypothesis)
    errors = word_errors(reference, hypothesis)
    assert (letters.count("s"), letters.count("i"), letters.count("d")) == (
        errors.substitutions,
        errors.insertions,
        errors.deletions,
    )
    assert sum(letter != "i" for letter in letters) == len(reference.split())
    assert sum(letter != "d" for letter in letters) == len(hypothesis.split())


def test_rows_name_their_speaker(tests, tmp_path):
    rows = rows_of(make_run(tmp_path / "a", tests, 0.2), "seen")
    assert [row["speaker"] for row in rows[:5]] == ["speaker0", "speaker1", "speaker2", "speaker3", "speaker0"]
