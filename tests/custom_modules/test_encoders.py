"""No encoder may let an utterance hear its neighbours in a batch."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

import custom_modules  # noqa: F401
from custom_modules.attention import MultiHeadAttention, MultiplicativeAttention
from custom_modules.gated import GatedRecurrence
from custom_modules.normalisation import MaskedBatchNorm
from custom_modules.recurrent import RecurrentStack, reversal, select_rows
from tests.conftest import ROOT

ENCODERS = sorted(path.stem for path in (ROOT / "conf" / "encoder").glob("*.yaml"))


def build(compose_config, name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    small = ["encoder.n_layers=2"] if "conformer" in name else []
    return instantiate(compose_config(f"encoder={name}", *small).encoder).eval()


def unmasked(name: str) -> bool:
    """Whether a choice says of itself that padding leaks, as in the original."""
    return OmegaConf.load(ROOT / "conf" / "encoder" / f"{name}.yaml").get("masked", True) is False


LEAKS = pytest.mark.xfail(strict=True, raises=AssertionError, reason="masked: false")


@pytest.mark.parametrize("name", [pytest.param(name, marks=LEAKS if unmasked(name) else ()) for name in ENCODERS])
def test_output_does_not_depend_on_the_batch(compose_config, name):
    encoder = build(compose_config, name)
    features = torch.randn(3, 64, 150)
    lengths = torch.tensor([150, 97, 40])
    for row, length in enumerate(lengths):
        features[row, :, length:] = 0
    with torch.no_grad():
        batched, frames = encoder(audio_signal=features, length=lengths)[:2]
        for row, length in enumerate(lengths):
            alone, count = encoder(audio_signal=features[row : row + 1, :, :length], length=length[None])[:2]
            assert int(count) == int(frames[row])
            torch.testing.assert_close(
                batched[row, :, : int(count)], alone[0, :, : int(count)], atol=2e-5, rtol=1e-4, msg=f"row {row}"
            )


@pytest.mark.parametrize("name", [name for name in ENCODERS if name.startswith("hey_jetson")])
def test_learning_does_not_depend_on_padding(compose_config, name):
    """In training too, where batch statistics are taken: more padding, the same outputs and gradients."""
    encoder = build(compose_config, name).train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "recurrent_dropout"):
            module.recurrent_dropout = 0.0
        if hasattr(module, "share"):
            module.share = 0.0  # every layer has a gradient
    features = torch.randn(2, 64, 80)
    lengths = torch.tensor([80, 52])
    features[1, :, 52:] = 0
    gradients = []
    for padding in (0, 37):
        encoder.zero_grad()
        padded = torch.nn.functional.pad(features, (0, padding))
        outputs, frames = encoder(audio_signal=padded, length=lengths)
        weight = torch.linspace(-1, 1, outputs.shape[1])[:, None]
        sum((outputs[row, :, : int(frames[row])] * weight).sum() for row in range(2)).backward()
        gradients.append([parameter.grad.clone() for parameter in encoder.parameters()])
    # Of a bias before a batch normalisation it is 0, and what is left is the rounding of all the others.
    rounding = 1e-6 * max(float(a.abs().max()) for a in gradients[0]) + 1e-5
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-2 * float(a.abs().max()) + rounding, rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "attention"), [("hey_jetson", MultiHeadAttention), ("hey_jetson_gru", MultiplicativeAttention)]
)
def test_the_full_models_are_the_original_plan(compose_config, name, attention):
    encoder = build(compose_config, name)
    assert [layer.convolution.dilation for layer in encoder.convolution.layers] == [(1,), (2,), (4,)]
    recurrent = encoder.recurrent
    assert len(recurrent.forwards) == 7 and recurrent.bidirectional
    assert len(recurrent.backwards) == (0 if name == "hey_jetson" else 7)
    assert all(isinstance(layer, GatedRecurrence) == (name == "hey_jetson") for layer in recurrent.forwards)
    assert isinstance(encoder.attention, attention)
    assert len(encoder.dense) == 3  # a layer, its activation and dropout; the decoder is the second


def test_ordinary_grus_are_one_override_away(compose_config):
    encoder = instantiate(compose_config("encoder=hey_jetson", "encoder.recurrent.cell=gru").encoder)
    assert len(encoder.recurrent.backwards) == 7 and encoder.recurrent.join_frames == 2


def test_attention_is_scaled_by_default_and_an_old_file_keeps_its_scores(compose_config):
    attention = instantiate(compose_config("encoder=hey_jetson_small", "encoder.attention.kind=multiplicative").encoder)
    assert attention.attention.scale == pytest.approx(192**-0.5)
    section = OmegaConf.create(OmegaConf.to_container(compose_config("encoder=hey_jetson_gru").encoder, resolve=True))
    old = section.copy()
    del old.attention["scaled"]
    for key in ("norm_first", "join_frames", "stochastic_depth"):
        del old.recurrent[key]
    found = instantiate(old)
    assert found.attention.scale == 1.0
    assert found.state_dict().keys() == instantiate(section).state_dict().keys()


def test_reversal_is_its_own_inverse():
    lengths = torch.tensor([5, 3, 1])
    x = torch.arange(30.0).reshape(3, 5, 2)
    rows = reversal(lengths, 5)
    once = select_rows(x, rows)
    assert once[1, :, 0].tolist() == [14.0, 12.0, 10.0, 16.0, 18.0]
    assert torch.equal(select_rows(once, rows), x)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_two_directions_equal_packed_sequences(cell):
    """The reference is torch's own bidirectional layer on a packed batch."""
    torch.manual_seed(0)
    stack = RecurrentStack(6, 1, 4, cell=cell, norm="none").eval()
    reference = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](6, 4, batch_first=True, bidirectional=True)
    for suffix, module in (("", stack.forwards[0].cell), ("_reverse", stack.backwards[0].cell)):
        for part in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            getattr(reference, part + suffix).data.copy_(getattr(module, part))
    x, lengths = torch.randn(3, 9, 6), torch.tensor([9, 6, 2])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    found, _ = stack(audio_signal=x, length=lengths)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_dropout_drops_in_training_only(cell):
    stack = RecurrentStack(6, 1, 4, cell=cell, recurrent_dropout=0.5)
    x, lengths = torch.randn(2, 7, 6), torch.tensor([7, 7])
    torch.manual_seed(0)
    first = stack.train()(audio_signal=x, length=lengths)[0]
    assert not torch.allclose(first, stack(audio_signal=x, length=lengths)[0])
    stack.eval()
    assert torch.equal(stack(audio_signal=x, length=lengths)[0], stack(audio_signal=x, length=lengths)[0])


def test_masked_batch_norm_equals_batch_norm_without_padding():
    torch.manual_seed(0)
    ours, reference = MaskedBatchNorm(5), torch.nn.BatchNorm1d(5)
    x = torch.randn(4, 6, 5) * 3 + 1
    found = ours(x, torch.ones(4, 6, 1, dtype=torch.bool))
    expected = reference(x.reshape(24, 5)).reshape(4, 6, 5)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_var, reference.running_var)
    torch.testing.assert_close(
        ours.eval()(x, torch.ones(4, 6, 1)), reference.eval()(x.reshape(24, 5)).reshape(4, 6, 5), atol=1e-5, rtol=1e-5
    )


def test_multiplicative_attention_by_hand():
    attention = MultiplicativeAttention(4)
    x = torch.randn(1, 5, 4)
    found, _ = attention(audio_signal=x, length=torch.tensor([5]))
    expected = torch.softmax(x[0] @ attention.weight.weight.T @ x[0].T, dim=1) @ x[0]
    torch.testing.assert_close(found[0], expected)
    scaled = MultiplicativeAttention(4, scaled=True)
    scaled.weight.weight.data.copy_(2 * attention.weight.weight)  # the root of 4 features
    torch.testing.assert_close(scaled(audio_signal=x, length=torch.tensor([5]))[0][0], expected)


def test_multi_head_attention_equals_torch():
    torch.manual_seed(0)
    ours = MultiHeadAttention(8, heads=2)
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    reference.in_proj_weight.data.copy_(ours.project.weight)
    reference.in_proj_bias.data.copy_(ours.project.bias)
    reference.out_proj.weight.data.copy_(ours.merge.weight)
    reference.out_proj.bias.data.copy_(ours.merge.bias)
    x, lengths = torch.randn(2, 6, 8), torch.tensor([6, 4])
    mask = torch.arange(6) >= lengths[:, None]
    normed = ours.norm(x)
    expected = x + reference(normed, normed, normed, key_padding_mask=mask, need_weights=False)[0]
    found, _ = ours(audio_signal=x, length=lengths)
    torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1, :4], expected[1, :4], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="must divide"):
        MultiHeadAttention(9, heads=2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("encoder.recurrent.cell=rnn", "choose one of gru, lstm, min_gru"),
        ("encoder.recurrent.norm=group", "choose one of batch, layer, none"),
        ("encoder.attention.kind=additive", "choose one of none, multiplicative"),
        ("encoder.convolution.activation=elu", "choose one of relu"),
        ("encoder.convolution.strides=[2]", "equally long"),
    ],
)
def test_a_wrong_choice_is_named(compose_config, override, message):
    with pytest.raises(Exception, match=message):
        instantiate(compose_config(override).encoder)
