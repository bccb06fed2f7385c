#!/usr/bin/env bash
# onnx 1.23.2: version_converter moves a linear Resize of operator set 10, or an Upsample of 9, to 17 without the attribute that
# keeps its meaning: the old operators place sample i of the output at i / scale, the new one's default at (i + 0.5) / scale - 0.5.
# The converted model is valid, and everything behind it is a fraction of a frame late. Hardmax loses its old meaning as well.
# Expected: the same numbers from both, or a refusal; that is what a converter of versions is for, and Softmax is converted so.
#
# Seen (onnxruntime 1.32.0, the ramp 0 1 2 3):
#   Upsample 9: 0 0.5 1 1.5 2 2.5 3 3      17: 0 0.25 0.75 1.25 1.75 2.25 2.75 3
#   Resize 10: 0 0.5 1 1.5 2 2.5 3 3      17: 0 0.25 0.75 1.25 1.75 2.25 2.75 3
#   Softmax 11: equal    Hardmax 11: differs
set -euo pipefail
source "$(dirname "$0")/common.sh"
export ORT_DISABLE_TELEMETRY=1
prepare onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
seen=$(venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import helper, version_converter

FLOAT = onnx.TensorProto.FLOAT


def both(node, version, x, held=()):
    ends = [helper.make_tensor_value_info(name, FLOAT, [None] * x.ndim) for name in ("x", "y")]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], list(held))
    old = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=7)
    new = version_converter.convert_version(old, 17)
    onnx.checker.check_model(new)
    for made in (old, new):
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        yield session.run(None, {"x": x})[0]


ramp = np.arange(4, dtype="float32")[None, None]
scales = helper.make_tensor("scales", FLOAT, [3], [1.0, 1.0, 2.0])
for name, version in (("Upsample", 9), ("Resize", 10)):
    old, new = both(helper.make_node(name, ["x", "scales"], ["y"], mode="linear"), version, ramp, [scales])
    print(f"{name} {version}:", *(f"{v:g}" for v in old.ravel()), "  17:", *(f"{v:g}" for v in new.ravel()))
block = np.random.default_rng(0).standard_normal((2, 3, 5)).astype("float32")
for name in ("Softmax", "Hardmax"):
    old, new = both(helper.make_node(name, ["x"], ["y"], axis=1), 11, block)
    print(f"{name} 11:", "equal" if np.allclose(old, new) else "differs")
PYTHON
)
echo "$seen"
ramps="0 0.5 1 1.5 2 2.5 3 3   17: 0 0.25 0.75 1.25 1.75 2.25 2.75 3"
expect "values" "$seen" "Upsample 9: $ramps
Resize 10: $ramps
Softmax 11: equal
Hardmax 11: differs"
