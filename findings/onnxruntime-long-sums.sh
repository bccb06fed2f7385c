#!/usr/bin/env bash
# onnxruntime 1.32.0, CPU: ReduceMean, ReduceSumSquare and ReduceL2 add up one float32 after another. The mean power of noise, taken
# by any of them over the samples of a long recording at 16 kHz, is low by 2e-5 after a minute, by half a percent or more after
# an hour, and never high. numpy, which adds in pairs, has the same mean in float32 to 1e-6. A graph that sets the level of a whole recording
# (as models of raw waveforms want it) makes long recordings louder than its torch model did; a mean of means of a second each is right.
# Expected: an error that does not grow with the length, as in numpy and torch.
#
# Seen:
#   1 minute: ReduceMean low by less than 1e-3, ReduceSumSquare low by less than 1e-3, ReduceL2 low by less than 1e-3, numpy right to 1e-6
#   60 minutes: ReduceMean low by more than 5e-3, ReduceSumSquare low by more than 5e-3, ReduceL2 low by more than 5e-3, numpy right to 1e-6
#   60 minutes, by means of a second: right to 1e-6
set -euo pipefail
source "$(dirname "$0")/common.sh"
export ORT_DISABLE_TELEMETRY=1
prepare onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
seen=$(venv/bin/python - <<'PYTHON'
import sys
import numpy as np
import onnx
import onnxruntime
from onnx import helper

FLOAT, RATE = onnx.TensorProto.FLOAT, 16000


def reduced(operator, values, axis):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "axes"], ["y"], keepdims=0)],
        operator,
        [helper.make_tensor_value_info("x", FLOAT, list(values.shape))],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [axis])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0]


def said(found, right):
    error = float(found) / right - 1
    print(f"    {error:+.1e}", file=sys.stderr)
    if abs(error) < 1e-6:
        return "right to 1e-6"
    size = "less than 1e-3" if abs(error) < 1e-3 else "more than 5e-3" if abs(error) > 5e-3 else "between"
    return f"{'low' if error < 0 else 'high'} by {size}"


rng = np.random.default_rng(0)
for minutes in (1, 60):
    sound = 0.1 * rng.standard_normal(minutes * 60 * RATE, dtype=np.float32)
    squares = sound * sound
    power = squares.astype("float64").mean()
    rows = {
        "ReduceMean": reduced("ReduceMean", squares, 0),
        "ReduceSumSquare": reduced("ReduceSumSquare", sound, 0) / len(sound),
        "ReduceL2": reduced("ReduceL2", sound, 0) ** 2 / len(sound),
        "numpy": squares.mean(),
    }
    print(f"{minutes} minute{'s' if minutes > 1 else ''}: " + ", ".join(f"{name} {said(one, power)}" for name, one in rows.items()))
seconds = reduced("ReduceMean", squares.reshape(-1, RATE), 1)
print(f"60 minutes, by means of a second: {said(reduced('ReduceMean', seconds, 0), power)}")
PYTHON
)
echo "$seen"
expect "errors" "$seen" "1 minute: ReduceMean low by less than 1e-3, ReduceSumSquare low by less than 1e-3, ReduceL2 low by less than 1e-3, numpy right to 1e-6
60 minutes: ReduceMean low by more than 5e-3, ReduceSumSquare low by more than 5e-3, ReduceL2 low by more than 5e-3, numpy right to 1e-6
60 minutes, by means of a second: right to 1e-6"
