#!/usr/bin/env bash
# torch 2.13.0, its ONNX exporters (onnxscript 0.7.2) and onnxruntime 1.32.0: attention of a frame that may see no key (one of an
# empty utterance in a batch, or of a stream whose past is still empty) is zeros, NaN, or the mean of what it may not see, by how
# the same mask is given, whether the module trains, and how it was exported. A comparison of texts on whole recordings shows none
# of it, and NaN goes on through every later layer of the utterance.
# Expected: one answer, that of scaled_dot_product_attention, which is zeros since torch 2.5.
#
# Seen (the frame's output):
#   scaled_dot_product_attention   zeros by a mask of booleans, and by one of 0 and -inf
#   exported, booleans   TorchScript: zeros   dynamo, operator set 18 and 20: the mean of all values   23: zeros
#   exported, 0 and -inf   TorchScript: NaN   dynamo, 18 and 20: NaN   23: zeros
#   MultiheadAttention, key_padding_mask   training: NaN, with need_weights=False its bias   in evaluation: NaN, both
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
cat > attention.py <<'PYTHON'
import warnings

import numpy as np
import onnxruntime
import torch
from torch.nn.functional import scaled_dot_product_attention

warnings.filterwarnings("ignore")
torch.manual_seed(0)
FRAME = 1
values = torch.randn(1, 1, 4, 8)
may_see = torch.ones(1, 1, 4, 4, dtype=torch.bool)
may_see[..., FRAME, :] = False
masks = {"booleans": may_see, "-inf": torch.zeros(1, 1, 4, 4).masked_fill(~may_see, float("-inf"))}


class Attention(torch.nn.Module):
    def forward(self, x, mask):
        return scaled_dot_product_attention(x, x, x, attn_mask=mask)


def kind(found, bias=None):
    found = np.asarray(found)
    if np.isnan(found).all():
        return "NaN"
    if not found.any():
        return "zeros"
    if bias is not None and np.allclose(found, bias):
        return "bias"
    return "mean" if np.allclose(found, values[0, 0].mean(0), atol=1e-5) else "other"


for name, mask in masks.items():
    print(name, "torch:", kind(Attention()(values, mask)[0, 0, FRAME]))
    for dynamo, version in ((False, 18), (True, 18), (True, 20), (True, 23)):
        torch.onnx.export(
            Attention(), (values, mask), "graph.onnx", opset_version=version, dynamo=dynamo, input_names=["x", "mask"],
            verbose=False,
        )
        (found,) = onnxruntime.InferenceSession("graph.onnx").run(None, {"x": values.numpy(), "mask": mask.numpy()})
        print(name, "dynamo" if dynamo else "TorchScript", f"{version}:", kind(found[0, 0, FRAME]))

module = torch.nn.MultiheadAttention(8, 2, batch_first=True)
torch.nn.init.normal_(module.out_proj.bias)
x = torch.randn(2, 4, 8)
empty = torch.tensor([[False] * 4, [True] * 4])
for training in (True, False):
    for weights in (True, False):
        with torch.no_grad():
            found = module.train(training)(x, x, x, key_padding_mask=empty, need_weights=weights)[0][1]
        print("training" if training else "evaluation", f"need_weights={weights}:", kind(found, module.out_proj.bias.detach()))
PYTHON
seen=$(venv/bin/python attention.py 2>errors.txt | grep -E "^(booleans|-inf|training|evaluation) ") || { cat errors.txt >&2; exit 1; }
echo "$seen"
expect "a frame that may see nothing" "$seen" "booleans torch: zeros
booleans TorchScript 18: zeros
booleans dynamo 18: mean
booleans dynamo 20: mean
booleans dynamo 23: zeros
-inf torch: zeros
-inf TorchScript 18: NaN
-inf dynamo 18: NaN
-inf dynamo 20: NaN
-inf dynamo 23: zeros
training need_weights=True: NaN
training need_weights=False: bias
evaluation need_weights=True: NaN
evaluation need_weights=False: NaN"
