"""Exporting again over a bundle keeps its language model where it fits, and says what became of it."""

import json

import pytest

from experiments.export.bundle import ExportOptions, export_bundle
from experiments.lm.pack import open_model, put_into_bundle
from experiments.lm.texts import tokens
from heyjetson import Bundle, Engine
from heyjetson.bundle import MANIFEST, write_manifest
from manifests.phones import LABELS
from tests.conftest import SMALL, drawn_model

QUICK = ExportOptions(seconds=[0.3], batch_sizes=[1])
FIGURES = {"utterances": 40, "wer": 0.1}


@pytest.fixture
def tuned(small_model, nemo_file, tmp_path, capsys):
    """A bundle with a language model, and what an export over it says."""
    from experiments.lm.arpa import write_arpa
    from experiments.lm.estimate import estimate

    arpa, out = tmp_path / "lm.arpa", tmp_path / "bundle"
    write_arpa(arpa, estimate([tokens(sentence, "word") for sentence in ("two six", "six two", "two")], 2))
    export_bundle(small_model, nemo_file, out, QUICK)
    assert "Language model" not in capsys.readouterr().err
    bundle = Bundle(out)
    put_into_bundle(bundle, open_model(arpa, bundle.labels), 0.7, 0.4, 16, FIGURES)

    def exported(model, nemo) -> tuple[Bundle, str]:
        export_bundle(model, nemo, out, QUICK)
        return Bundle(out), capsys.readouterr().err

    return exported


def test_the_same_model_keeps_all_of_it(small_model, nemo_file, tuned):
    bundle, told = tuned(small_model, nemo_file)
    assert "kept; its weights were tuned for this very model" in told
    assert bundle.manifest["scorer"] == {"unit": "word", "order": 2, "alpha": 0.7, "beta": 0.4, **FIGURES}
    Engine(bundle).decoder("bundle")


def test_another_model_keeps_it_with_weights_of_the_one_before(small_model, nemo_file, tuned, tmp_path):
    other = tmp_path / "other.nemo"
    other.write_bytes(nemo_file.read_bytes() + b"\0")
    before, _ = tuned(small_model, nemo_file)
    for _ in range(2):  # the second time it is still that of the first model
        bundle, told = tuned(small_model, other)
        assert "tuned for the model before" in told and "experiments.lm tune" in told
        kept = {"unit": "word", "order": 2, "alpha": 0.7, "beta": 0.4}
        assert bundle.manifest["scorer"] == kept | {"tuned_for": before.manifest["training"]["nemo_sha256"][:12]}
        assert bundle.manifest["files"]["scorer"] == before.manifest["files"]["scorer"]
    Engine(bundle).decoder("bundle")
    bundle, told = tuned(small_model, nemo_file)  # the first one again
    assert "this very model" in told and "tuned_for" not in bundle.manifest["scorer"]


def test_what_does_not_fit_is_removed_and_said(small_model, nemo_file, compose_config, tuned, tmp_path, capsys):
    coarser = drawn_model(
        compose_config("encoder=hey_jetson_small", *SMALL, "encoder.convolution.strides=[2,2,2]"), seed=0
    )
    assert coarser.subsampling_factor != small_model.subsampling_factor
    bundle, told = tuned(coarser, nemo_file)
    assert "was removed: its weights are for frames of" in told and bundle.scorer is None
    assert "scorer" not in bundle.manifest


@pytest.mark.parametrize("labels", [["a", "b"], None])
def test_other_labels_and_damaged_bundles(small_model, nemo_file, tuned, tmp_path, labels):
    folder = tmp_path / "bundle"
    record = json.loads((folder / MANIFEST).read_text())
    if labels:
        record |= {"labels": labels, "blank_id": 2}
        write_manifest(folder, {key: value for key, value in record.items() if key not in ("format", "files")})
    else:
        (folder / "scorer").write_bytes(b"damaged")
    bundle, told = tuned(small_model, nemo_file)
    assert ("other labels" if labels else "could not be read") in told and "was removed" in told
    assert bundle.scorer is None


def test_a_model_of_sounds_without_one_says_so(compose_config, nemo_file, tmp_path, capsys):
    sounding = drawn_model(compose_config("encoder=hey_jetson_small", *SMALL, "+sounds@_global_=english"), seed=0)
    assert set(sounding.labels) == set(LABELS)
    export_bundle(sounding, nemo_file, tmp_path / "bundle", QUICK)
    assert "none, and this model writes sounds until" in capsys.readouterr().err
