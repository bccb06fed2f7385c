"""Parts of a stream's step as a graph has them: what is folded into others' weights is what it was."""

import pytest
import torch

from custom_modules.recurrent import RecurrentStack
from experiments.export.stream_step import StepRecurrence


def drawn(**options):
    """A stack whose norms do something."""
    torch.manual_seed(0)
    stack = RecurrentStack(6, layers=3, hidden=6, bidirectional=False, norm="batch", **options).eval()
    for norm in stack.norms:
        for name, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -1, 1),
            ("running_mean", -1, 1),
            ("running_var", 0.5, 2),
        ):
            getattr(norm, name).data.uniform_(low, high)
    return stack


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("residual", [True, False])
def test_what_norms_add_is_added_by_the_biases_of_what_reads_it(cell, residual):
    stack = drawn(cell=cell, residual=residual)
    kept = {name: value.clone() for name, value in stack.state_dict().items()}
    step = StepRecurrence(stack)
    x = torch.randn(2, 5, 6)
    state = {name: torch.zeros(2, *shape) for name, shape in stack.initial_state().items()}
    wanted, _, _ = stack.step(x, torch.ones(2, 5), state)
    given, _ = step(x.transpose(0, 1), {name: torch.zeros(2, *shape) for name, shape in step.shapes().items()})
    assert torch.allclose(given.transpose(0, 1), wanted, atol=1e-6)
    assert step.shift is not None
    assert all(torch.equal(value, kept[name]) for name, value in stack.state_dict().items())  # the model stays
