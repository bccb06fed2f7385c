"""Corpora by their names: made on the first run, reused on the next, refused where they would be another."""

import re

import pytest

from experiments.data.preparation import prepare_data
from experiments.errors import ConfigError
from manifests import ManifestError, prepared, read_manifest
from tests.conftest import ROOT
from tests.manifests.test_datasets import libri_tree, sound, voice_tree, write

CORPORA = ("an4", "librispeech", "ljspeech", "commonvoice", "kaldi")


@pytest.fixture
def reused(monkeypatch):
    """From when it is called, nothing may be made any more."""
    return lambda: monkeypatch.setattr(prepared, "build", lambda *_: pytest.fail("made a second time"))


def test_an4(recordings, compose_config, tmp_path, capsys, reused):
    overrides = ["data=an4", f"data.source={recordings / 'an4'}", f"data.out={tmp_path / 'an4'}"]
    data = prepare_data(compose_config(*overrides))
    shown = capsys.readouterr().out
    assert f"{tmp_path}/an4: 20 train, 5 validation, 5 test utterances" in shown
    assert "text: case, letters: 30 of 30 transcripts changed" in shown
    assert [len(read_manifest(path)) for path in data.named().values()] == [20, 5, 5]
    reused()
    assert prepare_data(compose_config(*overrides)) == data
    assert capsys.readouterr().out == shown
    with pytest.raises(ManifestError, match="made with other options: text.case was True and is False"):
        prepare_data(compose_config(*overrides, "data.text.case=false"))
    with pytest.raises(ManifestError, match="text.labels was "):
        prepare_data(compose_config(*overrides, 'labels=[" ",a,b]'))


@pytest.mark.parametrize(("labels", "told"), [('[" ",a,ch]', "'ch'"), ('[" ",a,b,a]', "'a'")])
def test_labels_that_no_transcript_is_read_by_are_refused(compose_config, labels, told):
    with pytest.raises(ConfigError, match=f"single characters, each once, found {told}"):
        prepare_data(compose_config(f"labels={labels}"))


def test_ljspeech_and_the_choice_of_its_text(recordings, compose_config, tmp_path, capsys):
    source = f"data.source={recordings / 'ljspeech'}"
    prepare_data(compose_config("data=ljspeech", source, f"data.out={tmp_path / 'a'}", "data.in_place=true"))
    assert "text: punctuation" in capsys.readouterr().out
    overrides = ["data.in_place=true", "data.text.case=false", "data.held_out.validation=0.2", "data.held_out.test=0.2"]
    data = prepare_data(compose_config("data=ljspeech", source, f"data.out={tmp_path / 'b'}", *overrides))
    assert len(read_manifest(data.train)) < 40
    shown = capsys.readouterr().out
    assert re.search(r"recordings left out: \d+ \(transcripts with characters outside the labels: \d+", shown)


def test_librispeech(compose_config, tmp_path, capsys, reused):
    for speaker, subset in enumerate(("train-clean-100", "dev-clean", "test-other"), 84):
        libri_tree(tmp_path / "LibriSpeech", subset, speaker)
    overrides = [
        "data=librispeech", f"data.source={tmp_path}/LibriSpeech", f"data.out={tmp_path}/out",
        "data.subsets=[train-clean-100,dev-clean,test-other]",
    ]  # fmt: skip
    data = prepare_data(compose_config(*overrides))
    assert [len(read_manifest(path)) for path in data.named().values()] == [3, 3, 3]
    assert "3 train, 3 validation, 3 test, 3 train-clean-100, 3 dev-clean, 3 test-other" in capsys.readouterr().out
    reused()
    assert prepare_data(compose_config(*overrides)) == data
    with pytest.raises(ManifestError, match="Unknown subset dev-dirty"):
        prepare_data(compose_config(*overrides, "data.subsets=[dev-dirty]"))


def test_commonvoice(compose_config, tmp_path):
    source = voice_tree(tmp_path, "de", train=[("a.mp3", "7 Äpfel")], dev=[("b.mp3", "Ja")], test=[("c.mp3", "Nein")])
    data = prepare_data(
        compose_config(
            "data=commonvoice", f"data.source={source}", f"data.out={tmp_path}/out", "data.only=de",
            "data.text.language=de", "data.text.accents=false", 'labels=[" ",a,e,f,i,j,l,n,p,s,b,"ä"]',
        )
    )  # fmt: skip
    assert [one.text for one in read_manifest(data.train)] == ["sieben äpfel"]


def test_kaldi(compose_config, tmp_path, capsys, reused):
    for name in ("train", "dev", "test"):
        sound(tmp_path / "corpus" / "wav" / f"{name}.wav")
        write(tmp_path / "corpus" / "data" / name / "wav.scp", f"r cat wav/{name}.wav |\n")
        write(tmp_path / "corpus" / "data" / name / "segments", "u r 0.05 0.15\n")
        write(tmp_path / "corpus" / "data" / name / "text", f"u {name.upper()}\nv GONE\n")
    overrides = ["data=kaldi", f"data.source={tmp_path}/corpus", f"data.out={tmp_path}/out"]
    with pytest.raises(ManifestError, match="is a command. .*data.allow_commands=true in train.py"):
        prepare_data(compose_config(*overrides))
    data = prepare_data(compose_config(*overrides, "data.allow_commands=true"))
    shown = capsys.readouterr().out
    assert f"data/train: 1 utterances for train, paths relative to {tmp_path}/corpus" in shown
    assert "recordings left out: 3 (utterances without sound: 3)" in shown
    assert [[(one.text, one.duration) for one in read_manifest(path)] for path in data.named().values()] == [
        [("train", 0.1)], [("dev", 0.1)], [("test", 0.1)],
    ]  # fmt: skip
    reused()
    assert prepare_data(compose_config(*overrides, "data.allow_commands=true")) == data
    assert capsys.readouterr().out == shown
    with pytest.raises(ManifestError, match="out holds kaldi with commands, not kaldi train with commands"):
        prepare_data(compose_config(*overrides, "data.allow_commands=true", "data.sets=[train]"))


@pytest.mark.parametrize("name", CORPORA)
def test_what_goes_wrong_is_a_sentence_of_the_corpus(name, compose_config, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match=f"{tmp_path}/empty (does not hold|holds no)"):
        prepare_data(compose_config(f"data={name}", f"data.source={tmp_path}/empty", f"data.out={tmp_path}/out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", CORPORA)
def test_the_examples_of_each_choice_compose(name, compose_config):
    from experiments.cli.overrides import check_overrides

    text = (ROOT / "conf" / "data" / f"{name}.yaml").read_text()
    commands = re.findall(r"^# python train.py (.*?)(?:  .*)?$", text, re.MULTILINE)
    assert commands
    for command in commands:
        check_overrides("train", command.split())


def test_training_on_an4(recordings, compose_config, tmp_path, monkeypatch):
    from experiments.data.preflight import check_run
    from experiments.training import fit
    from tests.conftest import SMALL

    cfg = compose_config(
        *SMALL, "data=an4", f"data.source={recordings / 'an4'}", f"data.out={tmp_path / 'an4'}",
        "trainer.max_time=null", "trainer.max_steps=1", "+trainer.enable_progress_bar=false", "statistics_utterances=4",
    )  # fmt: skip
    monkeypatch.setattr(fit, "run_dir", lambda: tmp_path)
    data = prepare_data(cfg)
    model, trainer = fit.build(cfg, data)
    check_run(cfg, model, data, tmp_path)
    fit.fit(cfg, model, trainer, data)
    assert trainer.global_step == 1
