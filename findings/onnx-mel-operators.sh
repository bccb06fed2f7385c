#!/usr/bin/env bash
# onnx 1.23.2's operators for a front-end, as onnxruntime 1.32.0 has them: MelWeightMatrix rounds the edges of its bands to whole
# bins of the FFT, so of 80 bands at 512 points and 16 kHz twenty are a single bin and two are one and the same; the values are
# up to 1 away from HTK's triangles (librosa, torchaudio). HammingWindow is 25/46 and 21/46, not 0.54 and 0.46. A model trained on
# features made otherwise hears others, and no shape says so.
# Expected: the filterbank and the window of those names, to rounding.
#
# Seen (against triangles of HTK's mels and numpy's window):
#   80 bands: 20 of one bin, 1 pair alike (HTK: 3 and 0), up to 1.0 away
#   HammingWindow: up to 0.007 away    HannWindow: equal
set -euo pipefail
source "$(dirname "$0")/common.sh"
export ORT_DISABLE_TELEMETRY=1
prepare onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
seen=$(venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

BANDS, POINTS, RATE = 80, 512, 16000


def made(operator, inputs, **settings):
    held = [helper.make_tensor(f"i{number}", kind, [], [value]) for number, (kind, value) in enumerate(inputs)]
    node = helper.make_node(operator, [tensor.name for tensor in held], ["y"], **settings)
    end = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph([node], "g", [], [end], held), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {})[0]


def told(bands):
    return f"{int(((bands > 0).sum(0) == 1).sum())} of one bin, {int((bands[:, 1:] == bands[:, :-1]).all(0).sum())} alike"


whole, real = TensorProto.INT64, TensorProto.FLOAT
bands = made("MelWeightMatrix", [(whole, BANDS), (whole, POINTS), (whole, RATE), (real, 0.0), (real, RATE / 2)])
edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 1400), BANDS + 2) / 2595) - 1)
bins = np.arange(POINTS // 2 + 1)[:, None] * RATE / POINTS
rise, fall = (bins - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - bins) / np.diff(edges)[1:]
htk = np.maximum(0, np.minimum(rise, fall))
print(f"operator: {told(bands)}; HTK: {told(htk)}; up to {np.abs(bands - htk).max():.1f} away")
for name, right in (("HammingWindow", np.hamming(400)), ("HannWindow", np.hanning(400))):
    apart = np.abs(made(name, [(whole, 400)], periodic=0) - right).max()
    print(f"{name}:", "equal" if apart < 1e-6 else f"up to {apart:.3f} away")
PYTHON
)
echo "$seen"
expect "bands and windows" "$seen" "operator: 20 of one bin, 1 alike; HTK: 3 of one bin, 0 alike; up to 1.0 away
HammingWindow: up to 0.007 away
HannWindow: equal"
