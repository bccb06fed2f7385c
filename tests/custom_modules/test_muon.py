"""Muon: matrices move as torch's own Muon moves them, the rest as torch's AdamW does."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from custom_modules.attention import MultiHeadAttention
from custom_modules.gated import GatedRecurrence
from custom_modules.muon import Muon, matrix_groups, orthogonal, stacked_matrices
from custom_modules.optimisation import parameter_groups


class Model(nn.Module):
    """What an encoder can hold, and a decoder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.ModuleDict(
            {
                "first": nn.Conv2d(1, 32, 3),
                "filters": nn.Conv1d(32, 24, 5),
                "by_channel": nn.Conv1d(32, 32, 31, groups=32),
                "gates": GatedRecurrence(24, 16, 2),
                "cells": nn.GRU(32, 16),
                "attention": MultiHeadAttention(32, 4),
                "narrow": nn.Linear(32, 8),
                "norm": nn.LayerNorm(32),
            }
        )
        self.decoder = nn.Linear(32, 29)


def gradients(model: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)


def steps(model: nn.Module, optimiser: torch.optim.Optimizer, seeds: range) -> list[torch.Tensor]:
    for seed in seeds:
        gradients(model, seed)
        optimiser.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def muon(model: nn.Module, **options: float) -> Muon:
    return Muon(matrix_groups(model, parameter_groups(model, lr=1e-2)), lr=1e-2, **options)


@given(st.integers(1, 4), st.integers(16, 48), st.integers(16, 48), st.integers(0, 1000))
def test_orthogonal(count: int, rows: int, columns: int, seed: int) -> None:
    given = torch.randn(count, rows, columns, generator=torch.Generator().manual_seed(seed))
    found = orthogonal(given)
    values = torch.linalg.svdvals(found)
    # Smaller ones take more iterations.
    large = torch.linalg.svdvals(given) > 0.02 * torch.linalg.matrix_norm(given)[:, None]
    assert values.max() < 1.25
    assert values[large].min() > 0.5
    # Each matrix by itself, and of one that lies down what of one that stands.
    assert torch.allclose(orthogonal(given[:1]), found[:1], atol=1e-4)
    assert torch.allclose(orthogonal(given.mT), found.mT, atol=1e-4)


def test_what_is_a_matrix() -> None:
    assert stacked_matrices(Model()) == {
        "encoder.filters.weight": 1,
        "encoder.gates.linear.weight": 4,
        "encoder.cells.weight_ih_l0": 3,
        "encoder.cells.weight_hh_l0": 3,
        "encoder.attention.project.weight": 3,
        "encoder.attention.merge.weight": 1,
    }


def test_a_matrix_moves_as_by_torchs_muon() -> None:
    ours, theirs = nn.Linear(24, 32, bias=False), nn.Linear(24, 32, bias=False)
    theirs.load_state_dict(ours.state_dict())
    begun = ours.weight.detach().clone()
    [found] = steps(ours, Muon([{"params": [ours.weight], "stacked": 1}], 1e-2, weight_decay=0.1), range(5))
    options = {"lr": 1e-2, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    [expected] = steps(theirs, torch.optim.Muon([theirs.weight], **options), range(5))
    assert torch.linalg.norm(found - expected) < 0.02 * torch.linalg.norm(found - begun)  # theirs computes in bfloat16


def test_the_rest_moves_as_by_adamw() -> None:
    ours, theirs = Model(), Model()
    options = {"betas": (0.9, 0.98), "weight_decay": 0.1}
    found = steps(ours, muon(ours, **options), range(3))
    expected = steps(theirs, torch.optim.AdamW(theirs.parameters(), 1e-2, **options), range(3))
    matrices = stacked_matrices(ours)
    for (name, _), a, b in zip(ours.named_parameters(), found, expected, strict=True):
        assert torch.equal(a, b) != (name in matrices), name


def test_stacked_matrices_move_apart() -> None:
    stacked = nn.Linear(24, 64, bias=False)
    apart = [nn.Parameter(part.clone()) for part in stacked.weight.detach().split(16)]
    holder = nn.ParameterList(apart)
    wanted = [torch.randn(64, 24) for _ in range(3)]
    both = Muon([{"params": [stacked.weight], "stacked": 4}]), Muon([{"params": apart, "stacked": 1}])
    for gradient in wanted:
        stacked.weight.grad = gradient
        for parameter, part in zip(holder, gradient.split(16), strict=True):
            parameter.grad = part
        for optimiser in both:
            optimiser.step()
    assert torch.allclose(stacked.weight, torch.cat(list(holder)), atol=1e-6)


def test_what_is_frozen_stays() -> None:
    model = Model()
    optimiser = muon(model)
    gradients(model, 1)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    still = [name for name in before if "attention" in name]
    for name in still:
        model.get_parameter(name).grad = None
    optimiser.step()
    assert [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])] == still


def test_goes_on_from_its_state() -> None:
    whole, parted = Model(), Model()
    expected = steps(whole, muon(whole), range(6))
    first = muon(parted)
    steps(parted, first, range(3))
    second = muon(parted)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(steps(parted, second, range(3, 6)), expected, strict=True))


@pytest.mark.parametrize("options", [{}, {"layer_decay": 0.5}, {"lr_scales": {"encoder.attention": 0.1}}])
def test_groups_keep_rates_and_parameters(options: dict) -> None:
    model = Model()
    rates = {p: g.get("lr", 1e-2) for g in parameter_groups(model, 1e-2, **options) for p in g["params"]}
    groups = matrix_groups(model, parameter_groups(model, 1e-2, **options))
    assert {p: g.get("lr", 1e-2) for g in groups for p in g["params"]} == rates
    assert len({g["name"] for g in groups}) == len(groups)
