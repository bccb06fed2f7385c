"""The CTC loss that wants its labels early, against the sum over all alignments."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nemo.collections.asr.losses.ctc import CTCLoss

from custom_modules.delay import DelayPenalisedCTCLoss, delay_penalised_ctc
from tests.conftest import SMALL, drawn_model

BLANK = 2


def drawn(batch, frames, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, frames, BLANK + 1, generator=generator).log_softmax(2)


def by_hand(log_probs, target, penalty):
    """Of one utterance [T, V + 1]: every path is written out."""
    frames, total = len(log_probs), 0.0
    for path in itertools.product(range(BLANK + 1), repeat=frames):
        begins = [t for t, one in enumerate(path) if one != BLANK and (t == 0 or path[t - 1] != one)]
        if [path[t] for t in begins] == target:
            delay = sum((frames - 1) / 2 - t for t in begins)
            total += math.exp(sum(float(log_probs[t, one]) for t, one in enumerate(path)) + penalty * delay)
    return -math.log(total) if total else 0.0


@settings(max_examples=25, deadline=None)
@given(
    targets=st.lists(st.lists(st.integers(0, BLANK - 1), max_size=3), min_size=1, max_size=3),
    lengths=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    penalty=st.floats(0, 0.9),
    seed=st.integers(0, 1000),
)
def test_the_loss_is_the_sum_over_all_alignments(targets, lengths, penalty, seed):
    lengths, log_probs = lengths[: len(targets)], drawn(len(targets), 6, seed)
    counts = torch.tensor([len(target) for target in targets])
    padded = torch.zeros(len(targets), int(counts.max()), dtype=torch.long)
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = torch.tensor(target, dtype=torch.long)
    found = delay_penalised_ctc(log_probs, padded, torch.tensor(lengths), counts, BLANK, penalty)
    wanted = [
        by_hand(row[:length], target, penalty) for row, length, target in zip(log_probs, lengths, targets, strict=True)
    ]
    assert found.tolist() == pytest.approx(wanted, abs=1e-4)


def batch():
    log_probs = drawn(4, 30, 1)
    targets = torch.tensor([[0, 0, 1, 1, 0], [1, 0, 1, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 1, 1]])
    return log_probs, targets, torch.tensor([30, 20, 12, 2]), torch.tensor([5, 3, 0, 5])  # the last does not fit


def gradient(loss, log_probs, *rest):
    log_probs = log_probs.clone().requires_grad_()
    loss(log_probs.log_softmax(2), *rest).sum().backward()
    return log_probs.grad


def test_without_a_penalty_it_is_ctc_gradients_included():
    ours = gradient(lambda *given: delay_penalised_ctc(*given, BLANK, 0.0), *batch())
    theirs = gradient(
        lambda log_probs, *given: torch.nn.functional.ctc_loss(
            log_probs.transpose(0, 1), *given, blank=BLANK, reduction="none", zero_infinity=True
        ),
        *batch(),
    )
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_gradients_write_labels_earlier():
    """A step against the gradient of the penalised loss lets labels begin earlier than one against CTC's."""
    log_probs, targets, lengths, counts = (part[:2] for part in batch())

    def began(penalty):
        moved = log_probs.clone()
        for _ in range(10):
            moved -= 4 * gradient(
                lambda *given: delay_penalised_ctc(*given, BLANK, penalty), moved, targets, lengths, counts
            )
        # The mean over alignments of the sum of beginnings is how the loss grows with the penalty.
        moved = moved.log_softmax(2)
        losses = [delay_penalised_ctc(moved, targets, lengths, counts, BLANK, size) for size in (0.0, 1e-3)]
        return (losses[1] - losses[0]) / 1e-3

    assert (began(0.1) < began(0.0) - 1.0).all()


def test_validation_has_the_loss_without_penalty():
    log_probs, targets, lengths, counts = batch()
    given = {"log_probs": log_probs, "targets": targets, "input_lengths": lengths, "target_lengths": counts}
    for reduction in ("mean_batch", "mean_volume"):
        plain = CTCLoss(BLANK, zero_infinity=True, reduction=reduction)(**given)
        loss = DelayPenalisedCTCLoss(BLANK, reduction, penalty=0.1)
        assert loss(**given) != plain
        loss.strength = 0.0
        assert loss(**given) == plain
        loss.strength = 1.0
        assert loss.eval()(**given) == plain
        torch.testing.assert_close(
            loss.train()(**given), loss.reduce(delay_penalised_ctc(*batch(), BLANK, 0.1), counts)
        )


@pytest.mark.parametrize(("options", "key"), [({"penalty": 1.0}, "penalty"), ({"ramp": -0.1}, "ramp")])
def test_a_setting_out_of_range_names_its_key(options, key):
    with pytest.raises(ValueError, match=f"delay.{key} must be"):
        DelayPenalisedCTCLoss(BLANK, **options)


def test_the_penalty_grows_with_the_budget_where_it_was_asked_for(compose_config):
    streaming = ["encoder=hey_jetson_streaming", *SMALL]
    model = drawn_model(compose_config(*streaming, "delay=early", "delay.ramp=0.5"), seed=0)
    assert isinstance(model.loss, DelayPenalisedCTCLoss) and model.loss.penalty > 0
    for used, strength in ((0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.9, 1.0)):
        model.follow_budget(used)
        assert model.loss.strength == strength
    model = drawn_model(compose_config(*streaming), seed=0)
    assert type(model.loss) is CTCLoss
    model.follow_budget(0.5)
