"""Perturbation, schedule, registration with NeMo."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import custom_modules  # noqa: F401
from custom_modules.dropout import UtteranceDropout
from custom_modules.perturb import WaveformPerturbation, resample
from experiments.training.schedule import BudgetAnnealing
from tests.conftest import ROOT, SMALL, drawn_model


def tone(frequency: float, samples: int = 16000) -> torch.Tensor:
    return torch.sin(2 * torch.pi * frequency * torch.arange(samples) / 16000)[None]


@pytest.mark.parametrize("speed", [0.85, 1.0, 1.15])
def test_resampling_moves_a_tone(speed):
    samples, length = resample(tone(440.0), torch.tensor([16000]), torch.tensor([speed]))
    assert int(length) == int(16000 / speed)
    # Away from the end, where the sound stops.
    torch.testing.assert_close(samples[0, 10:13000], tone(440.0 * speed, 20000)[0, 10:13000], atol=5e-3, rtol=0)


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.integers(500, 3000), min_size=1, max_size=4),
    speed=st.floats(0, 0.3),
    seed=st.integers(0, 1000),
)
def test_perturbation_keeps_padding_silent(lengths, speed, seed):
    torch.manual_seed(seed)
    samples = torch.randn(len(lengths), max(lengths))
    samples *= torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    perturb = WaveformPerturbation(speed=speed, level=6.0, colour=0.3, noise=10.0)
    changed, length = perturb(samples, torch.tensor(lengths))
    assert changed.shape == (len(lengths), int(length.max()))
    assert torch.isfinite(changed).all()
    for row, count in enumerate(length):
        assert changed[row, count:].abs().sum() == 0
        assert lengths[row] / (1 + speed) - 1 <= int(count) <= lengths[row] / (1 - speed) + 1


def test_perturbation_refuses_nonsense():
    with pytest.raises(ValueError, match="speed"):
        WaveformPerturbation(speed=0.7)
    with pytest.raises(ValueError, match="colour"):
        WaveformPerturbation(colour=1.0)


def rates(used: list[float]) -> list[float]:
    parameter = torch.nn.Parameter(torch.zeros(1))
    schedule = BudgetAnnealing(torch.optim.SGD([parameter], lr=1.0), warmup_ratio=0.1, min_lr=0.01, max_steps=100)
    found = []
    for share in used:
        schedule.budget_used = share
        schedule.step()
        found.append(schedule.get_last_lr()[0])
    return found


def test_no_rate_is_higher_than_the_one_asked_for():
    parameter = torch.nn.Parameter(torch.zeros(1))
    schedule = BudgetAnnealing(torch.optim.SGD([parameter], lr=1e-9), warmup_ratio=0.1, min_lr=1e-5, max_steps=100)
    schedule.follow(0.0)
    assert schedule.get_last_lr() == [pytest.approx(1e-11)]
    for share in (0.1, 0.5, 1.0):
        schedule.follow(share)
        assert schedule.get_last_lr() == [1e-9]


def test_the_schedule_rises_falls_and_ends_with_the_budget():
    start, rising, top, half, end, over = rates([0.0, 0.05, 0.1, 0.55, 1.0, 1.3])
    assert 0 < start < rising < top == pytest.approx(1.0)
    assert half == pytest.approx(0.505, abs=1e-6)
    assert end == over == pytest.approx(0.01)


def test_nemo_builds_only_what_is_registered():
    from nemo.core.classes import common

    assert common.ALLOWED_TARGET_PREFIXES.count("custom_modules.") == 1
    encoder = {"_target_": "custom_modules.perturb.WaveformPerturbation", "speed": 0.1}
    assert isinstance(common.safe_instantiate(encoder), WaveformPerturbation)
    with pytest.raises(common.UnsafeTargetError):
        common.safe_instantiate({"_target_": "manifests.lines.Utterance"})


def test_dropout_keeps_its_mask_through_an_utterance_and_its_mean():
    torch.manual_seed(0)
    dropout = UtteranceDropout(0.25)
    dropped = dropout(torch.ones(400, 3, 20))
    assert (dropped == dropped[:, :1]).all()
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.03)
    assert (dropout.eval()(torch.ones(2, 3, 4)) == 1).all()


def test_threads_that_ask_for_the_subsampling_leave_the_encoder_in_training(compose_config, monkeypatch):
    """Python 3.12 locks cached properties no more: a thread must not take another's evaluation mode for the model's."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    model = drawn_model(compose_config(*SMALL), seed=0).train()
    forward = model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda **given: (time.sleep(0.05), forward(**given))[1])
    measure = type(model).__dict__["subsampling_factor"].func
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(measure, [model] * 8)) == {4}
    assert all(module.training for module in model.encoder.modules())


def test_a_process_ends_though_its_workers_pass_over_signals(tmp_path):
    """What still holds a loader at the end must not wait for workers, and a signal from outside must not end them."""
    import subprocess
    import sys

    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "sys.path.append(sys.argv[1])\n"  # beside NeMo, which takes ten seconds to import
        "import torch\n"
        "from torch.utils.data import DataLoader\n"
        "from loader_workers import guard_workers\n"
        "batches = iter(guard_workers(DataLoader(list(range(1000)), num_workers=1, multiprocessing_context='fork')))\n"
        "next(batches)\n"
        "worker = batches._workers[0]\n"
        "os.system(f'kill -TERM {worker.pid}')\n"
        "assert [int(next(batches)) for _ in range(500)][-1] == 500 and worker.is_alive()\n"
    )
    done = subprocess.run(
        [sys.executable, script, ROOT / "experiments" / "data"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
