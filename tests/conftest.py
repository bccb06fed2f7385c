"""Shared parts: a tiny corpus, composed configurations, small models. NeMo is imported once, by whoever needs it."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from experiments.cli.console_log import log_to_console
from heyjetson.privacy import WORKSTATION
from tests.thrift import compose_once, freeze_libraries, made_once

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
# As the packages set them, for tests that import a library first; Selenium's manager is not needed, and reports, too.
for _name, _value in {**WORKSTATION, "SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}.items():
    os.environ.setdefault(_name, _value)
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the entry points set it, before torch is there
# Test processes side by side (pytest -n) share the cores, and so do the commands that they start.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // workers, 1)))

settings.register_profile("suite", deadline=None)  # of a busy machine's clock no example can be judged
settings.load_profile("suite")
compose_once()
log_to_console()  # what runs say is looked for
LEFT = ("HEYJETSON_", "WANDB_DATA_DIR")  # what runs leave in the environment of their process
TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
RECORDINGS = ROOT.parent / "shared" / "data"

# Files that take long, the longest first: they are begun first, and `-m "not slow"` leaves them out.
SLOW = (
    "end_to_end/test_main_job.py",
    "experiments/test_experiments.py",
    "custom_modules/test_ladder.py",
    "end_to_end/test_two_processes.py",
    "end_to_end/test_levels_and_silence_of_a_trained_model.py",
    "test_notebooks.py",
    "privacy/test_privacy.py",
    "experiments/test_launchers.py",
    "experiments/test_sweep.py",
    "experiments/test_compare_page.py",
    "heyjetson/test_beam.py",
    "experiments/test_sweep_trial.py",
    "experiments/test_resumption.py",
    "experiments/test_initialise.py",
    "experiments/test_trigger_training.py",
    "experiments/test_export.py",
    "experiments/test_sherpa.py",
    "experiments/test_onnx_asr.py",
    "experiments/test_tensorrt_operators.py",
    "experiments/test_utterances.py",
    "experiments/test_entry.py",
    "experiments/test_trigger_evaluation_streams.py",
    "heyjetson/server/test_pages_live.py",
    "experiments/test_lm.py",
    "heyjetson/server/test_pages_speech.py",
    "experiments/test_folders.py",
    "heyjetson/server/test_pages_data.py",
    "custom_modules/test_training_parts.py",
    "heyjetson/server/test_uploads.py",
    "heyjetson/server/test_engines.py",
    "experiments/test_tracking.py",
    "experiments/test_precision.py",
    "heyjetson/server/test_pages_performance.py",
    "heyjetson/server/test_performance.py",
    "experiments/test_data.py",
    "experiments/test_sweep_study.py",
    "custom_modules/test_encoders.py",
    "heyjetson/test_audio_reading.py",
    "experiments/test_compare_judge.py",
    "experiments/test_tracking_sync.py",
    "heyjetson/server/test_serve.py",
    "heyjetson/server/test_deadlines.py",
    "custom_modules/test_streaming.py",
    "heyjetson/server/test_pages_common.py",
    "heyjetson/server/test_transcriptions.py",
    "experiments/test_preview.py",
    "heyjetson/server/test_listen.py",
    "heyjetson/server/test_sound.py",
    "experiments/test_sweep_definition.py",
    "experiments/test_align.py",
    "experiments/test_loading.py",
    "manifests/test_corpora.py",
    "manifests/test_trigger_sounds.py",
    "heyjetson/test_bundle.py",
    "heyjetson/test_doctor.py",
    "heyjetson/test_installs.py",
    "heyjetson/test_commands.py",
    "heyjetson/test_stream.py",
    "experiments/test_trigger_evaluation_benchmark.py",
    "heyjetson/server/test_document.py",
    "experiments/test_compare_runs.py",
    "experiments/test_unreadable.py",
    "experiments/test_sweep_failures.py",
    "custom_modules/test_ranks.py",
)

SMALL = [
    "encoder.convolution.filters=16",
    "encoder.recurrent.hidden=8",
    "encoder.dense.units=[16]",
    "data.num_workers=0",
    "data.batch_size=4",
    "logger=none",
    "timed_steps=0",  # test_estimate and the main job have some
]

# Of a trigger.
TINY = [
    "words=[computer]",
    "data.spoken=12",
    "voices=[espeak]",  # whatever else is installed here
    "clips.epoch=8",
    "clips.seconds=3.0",
    "data.batch_size=4",
    "data.num_workers=1",
    "validation.clips=6",
    "validation.silent=6",
    "validation.calibration_hours=0.01",
    "mining.clips=4",
    "mining.score=0.0",
    "statistics_clips=4",
    "encoder.convolution.filters=8",
    "encoder.recurrent.hidden=8",
    "frontend.features=12",
    "logger=none",
    "checkpoint.every_n_steps=1",
]


@pytest.hookimpl(optionalhook=True)  # there may be no xdist
def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: one more than there are cores, since browsers, servers and sweeps are often waited for."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Imports make hardly any garbage, and the larger the heap the longer it is searched for some."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, and put it first: files are given out in this order, so that no core waits at the end."""
    places = {TESTS / name: place for place, name in enumerate(SLOW)}
    for item in items:
        if item.path in places:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: places.get(item.path, len(SLOW)))


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    """What a run in this process leaves behind is not handed to the commands of the next module."""
    freeze_libraries()
    before = {name: value for name, value in os.environ.items() if name.startswith(LEFT)}
    level, disabled = logging.root.level, logging.root.manager.disable
    yield
    logging.root.setLevel(level)  # libraries that a run imports change them
    for handler in logging.root.handlers:  # and those of pytest, which it keeps for all tests
        handler.setLevel(logging.NOTSET)
    logging.disable(disabled)
    for name in [name for name in os.environ if name.startswith(LEFT)]:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all processes of this session share; what lies in it is made once, under a lock."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def python(shared) -> str:
    """An interpreter for commands that import NeMo: it has done so already, see `warm`."""
    from tests.warm import python_in

    return python_in(shared, os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid())


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Real recordings beside the checkout, where there are any."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no real recordings in {RECORDINGS}")
    return RECORDINGS


@pytest.fixture(scope="session")
def corpus(shared, tmp_path_factory) -> Path:
    """A synthetic corpus of 24 utterances."""
    from manifests import synthetic

    def make(folder: Path) -> None:
        synthetic.build(folder, synthetic.SyntheticOptions(train=12, validation=4, test=8), workers=2)

    return made_once(shared, "corpus", tmp_path_factory.mktemp("corpus") / "corpus", make)


@pytest.fixture(scope="session")
def corpus_overrides(corpus) -> list[str]:
    """Overrides that train on the tiny corpus."""
    return [f"data.out={corpus}", "data.options.train=12", "data.options.validation=4", "data.options.test=8"]


@pytest.fixture(scope="session")
def compose_config():
    """Compose conf/train.yaml with overrides."""
    from hydra import compose, initialize_config_dir

    import experiments.cli.entry  # noqa: F401  (registers the resolvers)

    def composed(*overrides: str, name: str = "train"):
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose(name, list(overrides))

    return composed


def narrow(config):
    """A configuration whose NeMo convolutions have a sixteenth of their channels: blocks and kernels stay."""
    for block in config.encoder.get("jasper", ()):
        block.filters //= 16
    return config


def drawn_model(config, seed: int):
    """A freshly drawn model in evaluation mode."""
    import torch

    from experiments.cli.log_levels import set_log_levels
    from experiments.training.fit import model_config

    set_log_levels()
    import custom_modules  # noqa: F401
    from custom_modules.model import SpeechModel

    torch.manual_seed(seed)
    return SpeechModel(model_config(config)).eval()


@pytest.fixture(scope="session")
def small_model(compose_config):
    """A freshly drawn small model in evaluation mode."""
    return drawn_model(compose_config("encoder=hey_jetson_small", *SMALL), seed=0)


@pytest.fixture(scope="session")
def nemo_file(small_model, tmp_path_factory) -> Path:
    """The small model as a `.nemo`."""
    path = tmp_path_factory.mktemp("nemo") / "small.nemo"
    small_model.save_to(str(path))
    return path


@pytest.fixture(scope="session")
def bundle(small_model, nemo_file, shared, tmp_path_factory) -> Path:
    """The small model as a bundle."""
    from experiments.export.bundle import export_bundle

    out = tmp_path_factory.mktemp("bundle") / "small"
    return made_once(shared, "bundle", out, lambda folder: export_bundle(small_model, nemo_file, folder))


@pytest.fixture(scope="session")
def streaming_model(compose_config):
    """A drawn small model that streams, in evaluation mode."""
    import torch

    overrides = ["encoder=hey_jetson_streaming", *SMALL, "encoder.lookahead=3", "encoder.attention.left=10"]
    model = drawn_model(compose_config(*overrides), seed=2)
    with torch.no_grad():
        for parameter in model.encoder.parameters():  # nothing stays at its neutral start
            parameter += 0.2 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="session")
def streaming_bundle(streaming_model, nemo_file, shared, tmp_path_factory) -> Path:
    """The model that streams as a bundle."""
    from experiments.export.bundle import export_bundle

    out = tmp_path_factory.mktemp("streaming") / "small"
    return made_once(shared, "streaming", out, lambda folder: export_bundle(streaming_model, nemo_file, folder))
