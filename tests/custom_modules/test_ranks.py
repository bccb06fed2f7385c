"""What several processes of a run share: batches, statistics, and steps that keep no accelerator waiting."""

from collections import Counter

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import custom_modules  # noqa: F401
from custom_modules.normalisation import MaskedBatchNorm
from custom_modules.recurrent import Recurrence
from experiments.data.sampler import EvenBatches, LengthBatches

RANKS = st.integers(1, 5)
SIZES = st.integers(1, 6)
SPREADS = st.sampled_from([0.0, 0.2, 1.0])


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 60), size=SIZES, ranks=RANKS, epoch=st.integers(0, 2), spread=SPREADS)
def test_the_shares_of_a_batch_are_the_batch_of_one_process(count, size, ranks, epoch, spread):
    durations = np.random.default_rng(count).uniform(1, 10, count)

    def batches(batch_size: int, rank: int, ranks: int) -> list[list[int]]:
        sampler = LengthBatches(durations, batch_size, spread, True, 7, rank, ranks)
        sampler.set_epoch(epoch)
        found = list(sampler)
        assert len(found) == len(sampler)
        return found

    alone = batches(size * ranks, 0, 1)
    shares = [batches(size, rank, ranks) for rank in range(ranks)]
    for whole, *parts in zip(alone, *shares, strict=True):
        heard = [index for part in parts for index in part]
        assert set(heard) == set(whole)
        assert all(1 <= len(part) <= size for part in parts)
        if len(whole) >= ranks:
            assert sorted(heard) == sorted(whole)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert Counter(index for batch in alone for index in batch) == Counter(range(count))


def test_batches_are_of_like_length_and_begin_with_the_shortest():
    durations = np.random.default_rng(0).uniform(1, 10, 200)
    sampler = LengthBatches(durations, 8, 0.0, shortest_first=True, seed=3)
    first = [durations[batch].mean() for batch in sampler]
    assert first == sorted(first)
    sampler.set_epoch(1)
    second = list(sampler)
    assert [durations[batch].mean() for batch in second] != sorted(durations[batch].mean() for batch in second)
    assert max(np.ptp(durations[batch]) for batch in second) < 1
    assert second == list(sampler)  # by seed and epoch alone
    sampler.set_epoch(2)
    assert second != list(sampler)
    free = LengthBatches(durations, 8, 1.0, seed=3)
    free.set_epoch(1)
    assert np.mean([np.ptp(durations[batch]) for batch in free]) > 5


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 80), size=SIZES, ranks=RANKS)
def test_validation_hears_each_utterance_once_in_as_many_batches_everywhere(count, size, ranks):
    if count < ranks:
        with pytest.raises(ValueError, match="fewer than the"):
            EvenBatches(count, size, 0, ranks)
        return
    shares = [list(EvenBatches(count, size, rank, ranks)) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    batches = [batch for step in zip(*shares, strict=True) for batch in step]
    assert [index for batch in batches for index in batch] == list(range(count))
    assert all(1 <= len(batch) <= max(size, 2) for batch in batches)


@pytest.mark.parametrize("bands", [(), (2,)])
def test_both_ways_to_normalise_are_one(bands):
    """Picking out the real frames, for CPUs, and sums under a mask, for accelerators and across processes."""
    torch.manual_seed(0)
    picked, summed = MaskedBatchNorm(5).double(), MaskedBatchNorm(5).double()
    for _ in range(3):
        x = (torch.randn(4, 7, *bands, 5) * 3 + 2).requires_grad_()
        same = x.detach().clone().requires_grad_()
        mask = (torch.arange(7) < torch.tensor([7, 5, 3, 1])[:, None])[..., None]
        weight = torch.randn(4, 7, *bands, 5)
        found, expected = summed._from_sums(same, mask), picked.float()(x, mask)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        for y in (found, expected):
            (y * weight).sum().backward()
        torch.testing.assert_close(same.grad, x.grad, atol=1e-4, rtol=1e-4)
        assert x.grad[1, 5:].abs().sum() == 0
    torch.testing.assert_close(summed.running_mean.float(), picked.running_mean.float())
    torch.testing.assert_close(summed.running_var.float(), picked.running_var.float())


class Recorder(TorchDispatchMode):
    """Counts operators."""

    def __init__(self):
        super().__init__()
        self.seen: Counter = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen[str(function)] += 1
        return function(*args, **(kwargs or {}))


def operators(encoder, frames: int) -> Counter:
    """Of a training step of an encoder, without what is inside its fused recurrences."""
    features = torch.zeros(3, encoder._feat_in, frames, device="meta")
    length = torch.full((3,), frames, device="meta")
    encoder.zero_grad()
    with Recorder() as recorder:
        encoder(audio_signal=features, length=length)[0].sum().backward()
    return recorder.seen


@pytest.mark.parametrize("name", ["hey_jetson", "hey_jetson_gru", "hey_jetson_streaming"])
def test_a_step_has_no_loop_over_time_and_waits_for_nothing(compose_config, monkeypatch, name):
    """Tensors on `meta` have shapes but no values: asking for one, as `.item()` or `nonzero` do, raises."""

    def fused(self, x):
        return (x.sum(dim=2, keepdim=True) * self.cell.weight_hh_l0.sum()).expand(-1, -1, self.cell.hidden_size)

    monkeypatch.setattr(Recurrence, "forward", fused)  # one call of cuDNN on a GPU
    chosen = compose_config(f"encoder={name}", "encoder.recurrent.stochastic_depth=0")  # the same layers each time
    encoder = instantiate(chosen.encoder).train().to("meta")
    short, long = operators(encoder, 650), operators(encoder, 810)
    assert sum(short.values()) > 50
    assert short == long


def test_lhotse_gives_each_process_its_share(compose_config, corpus):
    from experiments.data.datamodule import SpeechDataModule
    from experiments.data.preparation import Data
    from manifests.lines import read_manifest

    data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {})
    cfg = compose_config("data.loader=lhotse", "data.batch_duration=8", "data.buckets=2", "logger=none")
    heard: Counter = Counter()
    steps = []
    for rank in range(2):
        torch.manual_seed(rank)
        sampler = SpeechDataModule(cfg, data, rank, 2).train_dataloader().loader.sampler
        batches = [[cut.supervisions[0].text for cut in cuts] for cuts in sampler]
        steps.append(len(batches))
        heard.update(text for batch in batches for text in batch)
    assert steps[0] == steps[1]
    assert set(heard) == {utterance.text for utterance in read_manifest(data.train)}
    assert sum(heard.values()) - len(heard) <= max(map(len, batches))  # a last batch may be heard twice, to be even


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrences_keep_their_precision_where_the_rest_is_bfloat16(cell):
    torch.manual_seed(0)
    recurrence = Recurrence(6, 8, cell, recurrent_dropout=0.0)
    x = torch.randn(3, 50, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = recurrence(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, recurrence(x))
