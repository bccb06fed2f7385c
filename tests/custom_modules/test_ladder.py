"""The rungs of conf/experiment/ladder: the original's twelve models to the last parameter, and what exports of them."""

from itertools import product

import onnx
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from custom_modules.cells import LoopedRecurrence
from custom_modules.recurrent import RecurrentStack
from tests.conftest import ROOT, drawn_model, narrow

RUNGS = sorted(path.stem for path in (ROOT / "conf" / "experiment" / "ladder").glob("*.yaml"))
ORIGINALS = [name for name in RUNGS if name.startswith("model_") and not name.endswith("_improved")]
PARAMETERS = {  # as Keras counts them, running statistics included
    "model_00": 16_617,
    "model_01": 296_229,
    "model_02": 602_429,
    "model_03": 465_229,
    "model_04": 590_829,
    "model_05": 1_572_429,
    "model_06": 1_572_429,
    "model_07": 2_013_429,
    "model_08": 2_442_781,
    "model_09": 2_026_013,
    "model_10": 9_309_725,
    "model_11": 9_571_870,
}
OUTPUTS = 29


def small(name: str) -> list[str]:
    """Overrides that keep a rung's plan and shrink it."""
    if name.startswith("nemo_"):
        return ["encoder.n_layers=2", "encoder.d_model=32"] if "conformer" in name else []
    whole = ["encoder.recurrent.stochastic_depth=0"] if name.startswith("hey_jetson") else []  # every layer learns
    # Narrower relu LSTMs explode as they are drawn.
    return [*whole, "encoder.recurrent.hidden=32", *([] if name == "model_00" else ["encoder.convolution.filters=8"])]


def test_every_model_of_the_original_has_its_rung_and_its_sibling():
    assert set(ORIGINALS) == set(PARAMETERS)
    assert {f"{name}_improved" for name in ORIGINALS} <= set(RUNGS)


@pytest.mark.parametrize("name", ORIGINALS)
def test_parameters_are_those_of_the_original(compose_config, name):
    with torch.device("meta"):
        encoder = instantiate(compose_config(f"experiment=ladder/{name}").encoder)
    counted = [*encoder.parameters(), *(value for key, value in encoder.named_buffers() if "running" in key)]
    found = sum(value.numel() for value in counted)
    if name != "model_00":  # whose outputs were the recurrence's own
        found += OUTPUTS * encoder._feat_out + OUTPUTS
    if name == "model_11":  # one number added to every score of the attention, which the softmax takes out again
        found += 1
    assert found == PARAMETERS[name]


@pytest.mark.parametrize("name", [name for name in RUNGS if name.startswith("model_")])
def test_originals_count_padding_as_sound_and_siblings_do_not(compose_config, name):
    cfg = compose_config(f"experiment=ladder/{name}", *small(name))
    assert bool(cfg.encoder.masked if "masked" in cfg.encoder else True) == name.endswith("_improved")
    torch.manual_seed(0)
    encoder = instantiate(cfg.encoder).eval()
    for parameter in encoder.parameters():  # relu cells without biases make nothing of the zeros in padding
        parameter.data += 0.1 * torch.randn_like(parameter)
    alone = torch.randn(1, cfg.frontend.features, 40)
    length = torch.tensor([40])
    with torch.no_grad():
        first, frames = encoder(audio_signal=alone, length=length)
        second, more = encoder(audio_signal=torch.nn.functional.pad(alone, (0, 60)), length=length)
    assert torch.equal(frames, more)
    hears_padding = not torch.allclose(first, second[:, :, : first.shape[2]], atol=1e-5)
    reads_backwards = encoder.recurrent.bidirectional or encoder.attention is not None
    assert hears_padding == (reads_backwards and not name.endswith("_improved"))


@pytest.mark.parametrize("name", RUNGS)
def test_every_rung_learns_and_exports(compose_config, nemo_file, tmp_path, name):
    from experiments.export.bundle import ExportOptions, export_bundle

    model = drawn_model(narrow(compose_config(f"experiment=ladder/{name}", "logger=none", *small(name))), seed=0)
    # All lengths are alike to what has no attention; others are tried beyond the first tables of NeMo (9.6 s).
    attends = getattr(model.encoder, "attention", model.encoder) is not None
    OmegaConf.update(model.cfg, "run.longest", 12.0 if attends else 3.0, force_add=True)
    samples, length = 0.1 * torch.randn(2, 16000), torch.tensor([16000, 12000])
    model.preprocessor.fit_statistics([(samples, length)])
    log_probs, frames, _ = model.train()(input_signal=samples, input_signal_length=length)
    texts = torch.randint(0, OUTPUTS - 1, (2, 3))
    loss = model.loss(log_probs=log_probs, targets=texts, input_lengths=frames, target_lengths=torch.tensor([3, 3]))
    loss.backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.encoder.parameters())
    parity = export_bundle(model.eval(), nemo_file, tmp_path / "b", ExportOptions(seconds=[0.4]))
    assert parity.difference < 1e-4


def test_the_original_cells_export_as_single_operators(compose_config, tmp_path):
    from experiments.export.graphs import trace_clip

    for name, operator, count in (("model_05", "GRU", 4), ("model_04", "LSTM", 2)):
        trace_clip(drawn_model(compose_config(f"experiment=ladder/{name}", *small(name)), 0), tmp_path / name, 17, 1.0)
        nodes = [node for node in onnx.load(tmp_path / name).graph.node if node.op_type in (operator, "Loop", "Scan")]
        assert [node.op_type for node in nodes] == [operator] * count
        activations = {tuple(attribute.strings) for node in nodes for attribute in node.attribute if attribute.strings}
        assert activations == {(b"HardSigmoid", b"Relu", b"Relu")[: 2 if operator == "GRU" else 3]}


def written_plainly(layer: LoopedRecurrence, x: Tensor, mask: Tensor) -> Tensor:
    """The equations of Keras's cells, frame by frame; gates in ONNX's order."""
    cell, activation, gates = layer.kind
    squash = torch.relu if activation == "relu" else torch.tanh
    gate = torch.sigmoid if gates == "sigmoid" else lambda value: (0.2 * value + 0.5).clamp(0, 1)
    outputs = []
    for direction, (weight, recurrent, bias) in enumerate(
        zip(layer.weight_ih, layer.weight_hh, layer.bias, strict=True)
    ):
        state = memory = x.new_zeros(x.shape[1], layer.hidden)
        states = []
        for frame in x[direction].unbind(1):
            seen = state * mask[direction]
            given = (frame @ weight.T + bias).chunk(3 if cell == "gru" else 4, 1)
            parts = recurrent.chunk(len(given))
            if cell == "gru":
                update, reset = (gate(given[i] + seen @ parts[i].T) for i in (0, 1))
                state = update * state + (1 - update) * squash(given[2] + (reset * seen) @ parts[2].T)
            else:
                let, show, keep = (gate(given[i] + seen @ parts[i].T) for i in (0, 1, 2))
                memory = keep * memory + let * squash(given[3] + seen @ parts[3].T)
                state = show * squash(memory)
            states.append(state)
        outputs.append(torch.stack(states, 1))
    return torch.stack(outputs)


@pytest.mark.parametrize(
    ("cell", "activation", "gates"), product(["gru", "lstm"], ["relu", "tanh"], ["hard_sigmoid", "sigmoid"])
)
@pytest.mark.parametrize("dropped", [0.0, 0.5])
def test_the_compiled_loop_is_the_equations_and_so_is_its_gradient(cell, activation, gates, dropped):
    torch.manual_seed(0)
    layer = LoopedRecurrence(3, 4, cell, 2, activation, gates, dropped).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 6, 3, dtype=torch.double, requires_grad=True)
    torch.manual_seed(1)
    mask = torch.nn.functional.dropout(x.new_ones(2, 3, 4), dropped)
    expected = written_plainly(layer, x, mask)
    torch.manual_seed(1)
    found = layer(x)
    torch.testing.assert_close(found, expected)
    wanted = torch.randn_like(found)
    of = [x, *layer.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(found, of, wanted), torch.autograd.grad(expected, of, wanted), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_an_lstm_with_common_activations_is_torchs():
    torch.manual_seed(0)
    layer, reference = LoopedRecurrence(5, 4, "lstm", 1, "tanh", "sigmoid"), torch.nn.LSTM(5, 4, batch_first=True)
    order = [0, 3, 1, 2]  # torch has input, forget, new, output
    for ours, theirs in ((layer.weight_ih, reference.weight_ih_l0), (layer.weight_hh, reference.weight_hh_l0)):
        ours.data[0] = torch.cat([theirs.data.chunk(4)[i] for i in order])
    both = (reference.bias_ih_l0 + reference.bias_hh_l0).data.chunk(4)
    layer.bias.data[0] = torch.cat([both[i] for i in order])
    x = torch.randn(2, 7, 5)
    torch.testing.assert_close(layer(x[None])[0], reference(x)[0])


def test_recurrent_dropout_of_the_loop_is_for_training():
    layer = LoopedRecurrence(3, 4, "gru", recurrent_dropout=0.5)
    x = torch.randn(1, 2, 9, 3)
    torch.manual_seed(0)
    assert not torch.allclose(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("encoder.recurrent.activation=gelu", "choose one of relu, tanh"),
        ("encoder.recurrent.gates=soft", "choose one of hard_sigmoid, sigmoid"),
        ("encoder.weights=he", "must be torch or glorot"),
        ("encoder.stack=0", "at least 1 frame"),
    ],
)
def test_a_wrong_choice_is_named(compose_config, override, message):
    with pytest.raises(Exception, match=message):
        instantiate(compose_config("encoder=original", override).encoder)


def test_the_original_cells_do_not_stream():
    with pytest.raises(ValueError, match=r"A stream needs encoder\.recurrent\.activation=tanh"):
        RecurrentStack(4, 1, 4, bidirectional=False, activation="relu").initial_state()
