"""Layers whose gates see the input alone: their equations, their gradient, their graph, and what lies around them."""

import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from custom_modules.depth import StochasticDepth
from custom_modules.frontend import frame_mask
from custom_modules.gated import SHORTEST, GatedRecurrence, _Scan, tree_scan
from custom_modules.recurrent import RecurrentStack


def as_gru(layer: GatedRecurrence, direction: int) -> torch.nn.GRU:
    """Torch's GRU with recurrent weights of zero, whose z is the share that is kept."""
    size, inputs = layer.hidden, layer.linear.in_features
    gru = torch.nn.GRU(inputs, size, batch_first=True)
    for parameter in gru.parameters():
        parameter.data.zero_()
    for own, theirs in ((layer.linear.weight, gru.weight_ih_l0), (layer.linear.bias, gru.bias_ih_l0)):
        z, g = own.data.split(layer.directions * size)
        theirs.data[size : 2 * size] = -z[direction * size : (direction + 1) * size]
        theirs.data[2 * size :] = g[direction * size : (direction + 1) * size]
    return gru


@pytest.mark.parametrize("directions", [1, 2])
def test_it_is_a_gru_without_recurrent_weights(directions):
    torch.manual_seed(0)
    layer = GatedRecurrence(5, 4, directions)
    x, length = torch.randn(3, 9, 5), torch.tensor([9, 6, 1])
    with torch.no_grad():
        found = layer(x, frame_mask(length, 9)[..., None])
        for row, count in enumerate(length.tolist()):
            alone = x[row : row + 1, :count]
            expected = [as_gru(layer, 0)(alone)[0]]
            if directions == 2:
                expected.append(as_gru(layer, 1)(alone.flip(1))[0].flip(1))
            torch.testing.assert_close(found[row : row + 1, :count], torch.cat(expected, 2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("directions", [1, 2])
def test_the_gradient_is_right_in_double_precision(directions):
    torch.manual_seed(0)
    given_ = torch.randn(2, 5, 2 * directions * 3, dtype=torch.double, requires_grad=True)
    mask = frame_mask(torch.tensor([5, 3]), 5)[..., None].double()
    assert torch.autograd.gradcheck(lambda x: _Scan.apply(x, mask, directions), given_)


@settings(deadline=None, max_examples=40)
@given(frames=st.integers(1, 80), extra=st.integers(0, 1), seed=st.integers(0, 99))
def test_the_tree_gives_the_states_of_the_loop(frames, extra, seed):
    generator = torch.Generator().manual_seed(seed)
    kept, added = torch.rand(2, 2, frames, 3, generator=generator).double()
    kept[kept < 0.1], kept[kept > 0.9] = 0, 1
    last, expected = torch.zeros(2, 3).double(), []
    for t in range(frames):
        last = kept[:, t] * last + added[:, t]
        expected.append(last)
    levels = 1 + (frames > 8) + (frames > 64) + extra
    torch.testing.assert_close(tree_scan(kept, added, levels), torch.stack(expected, 1), atol=1e-12, rtol=1e-12)


class Masked(torch.nn.Module):
    def __init__(self, layer: GatedRecurrence):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        mask = frame_mask(length, x.shape[1])[..., None]
        return self.layer(x, mask) * mask


@pytest.mark.parametrize("directions", [1, 2])
def test_a_graph_is_exact_to_the_longest_clip_and_fails_beyond(tmp_path, directions):
    torch.manual_seed(0)
    layer = Masked(GatedRecurrence(3, 4, directions)).eval()
    path, axes = tmp_path / "layer.onnx", {"x": {0: "B", 1: "T"}, "length": {0: "B"}, "y": {0: "B", 1: "T"}}
    torch.onnx.export(
        layer, (torch.randn(2, 30, 3), torch.tensor([30, 20])), str(path), dynamo=False, opset_version=17,
        input_names=["x", "length"], output_names=["y"], dynamic_axes=axes,
    )  # fmt: skip
    assert not {"GRU", "Loop", "Scan", "If"} & {node.op_type for node in onnx.load(path).graph.node}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch, frames in ((1, 1), (3, 8), (2, 65), (1, SHORTEST)):
        x, length = torch.randn(batch, frames, 3), torch.linspace(frames, frames * 0.6, batch).ceil().long()
        (found,) = session.run(None, {"x": x.numpy(), "length": length.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), layer(x, length), atol=2e-6, rtol=0)
    for batch, frames in ((1, SHORTEST + 1), (2, 5 * SHORTEST)):
        x, length = torch.randn(batch, frames, 3), torch.full((batch,), frames)
        with pytest.raises(Exception, match="Reshape"):
            session.run(None, {"x": x.numpy(), "length": length.numpy()})


@pytest.mark.parametrize("cell", ["gru", "min_gru"])
@settings(deadline=None, max_examples=10)
@given(lengths=st.lists(st.integers(1, 23), min_size=1, max_size=3), more=st.integers(0, 9))
def test_joined_frames_hear_no_padding(cell, lengths, more):
    torch.manual_seed(0)
    stack = RecurrentStack(
        3, 2, 6, cell, norm="layer", norm_first=True, residual=True, join_frames=4, stochastic_depth=0.5
    ).eval()
    frames = max(lengths) + more
    length = torch.tensor(lengths)
    x = torch.randn(len(lengths), frames, 3) * frame_mask(length, frames)[..., None]
    with torch.no_grad():
        found, counts = stack(audio_signal=x, length=length)
        assert found.shape == (len(lengths), frames, 3) and torch.equal(counts, length)
        for row, count in enumerate(lengths):
            alone, _ = stack(audio_signal=x[row : row + 1, :count], length=length[row : row + 1])
            torch.testing.assert_close(found[row, :count], alone[0], atol=2e-6, rtol=0)
            assert not found[row, count:].any()


def test_layers_are_left_out_less_as_the_budget_is_used_and_alike_everywhere():
    def draws(used: float, passes: int) -> list[list[bool]]:
        torch.manual_seed(5)
        depth = StochasticDepth(4, 0.5)
        torch.manual_seed(passes)  # other processes draw other numbers
        depth.follow(used)
        return [depth.draw() for _ in range(passes)]

    assert draws(0.25, 5) == draws(0.25, 9)[:5] != draws(0.26, 5)
    shares = torch.tensor(draws(0.0, 2000)).double().mean(0)
    depth = StochasticDepth(4, 0.5)
    torch.testing.assert_close(shares, torch.tensor(depth.chances()).double(), atol=0.04, rtol=0)
    assert shares.mean() == pytest.approx(0.5, abs=0.03) and shares[0] > shares[3]
    depth.follow(1.0)
    assert depth.chances() == [1.0] * 4
    depth.follow(0.0)
    assert depth.eval().draw() == [True] * 4


def test_a_layer_that_is_left_out_has_no_gradient_and_one_without_a_way_around_always_runs():
    torch.manual_seed(1)
    stack = RecurrentStack(3, 5, 4, "min_gru", norm="layer", norm_first=True, residual=True, stochastic_depth=0.9)
    stack(audio_signal=torch.randn(2, 7, 3), length=torch.tensor([7, 5]))[0].sum().backward()
    ran = [layer.linear.weight.grad is not None for layer in stack.forwards]
    assert ran[0] and not all(ran)  # 3 features become 8 in the first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "min_lstm"}, "choose one of gru, lstm, min_gru"),
        ({"cell": "min_gru", "recurrent_dropout": 0.1}, "no recurrent weights"),
        ({"cell": "min_gru", "activation": "relu"}, "no recurrent weights"),
        ({"join_frames": 3}, "divide the width of the layers, 8"),
        ({"join_frames": 0}, "at least 1"),
        ({"stochastic_depth": 0.5, "residual": False}, "residual=true"),
        ({"stochastic_depth": 1.0}, "below 1"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        RecurrentStack(5, 2, 4, **({"residual": True} | options))


def test_joined_frames_do_not_stream():
    with pytest.raises(ValueError, match="a stream does not wait"):
        RecurrentStack(4, 1, 4, "min_gru", bidirectional=False, join_frames=2).initial_state()
