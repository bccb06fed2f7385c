#!/usr/bin/env bash
# onnxslim 0.1.98: in a graph that draws noise of a fixed shape (a voice, a variational encoder) slimming runs the random node
# once and stores what it drew, so every call and every copy of the file adds the same "noise". onnxsim 0.8.1 keeps the node.
# Expected: what draws is no constant, though no input of the graph leads to it, and is left alone.
#
# Seen (onnxruntime 1.32.0):
#   given:    RandomNormalLike Add    two calls differ
#   onnxslim: Add    two calls are equal
#   onnxsim:  RandomNormalLike Add    two calls differ
set -euo pipefail
source "$(dirname "$0")/common.sh"
export ORT_DISABLE_TELEMETRY=1
prepare onnxslim==0.1.98 onnxsim==0.8.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
import onnxsim
import onnxslim
from onnx import helper

FLOAT = onnx.TensorProto.FLOAT
graph = helper.make_graph(
    [helper.make_node("RandomNormalLike", ["like"], ["noise"]), helper.make_node("Add", ["x", "noise"], ["y"])],
    "voice",
    [helper.make_tensor_value_info("x", FLOAT, [8])],
    [helper.make_tensor_value_info("y", FLOAT, [8])],
    [helper.make_tensor("like", FLOAT, [8], [0.0] * 8)],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
for name, made in (("given", model), ("onnxslim", onnxslim.slim(model)), ("onnxsim", onnxsim.simplify(model)[0])):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    first, second = (session.run(None, {"x": np.zeros(8, "float32")})[0] for _ in range(2))
    same = "are equal" if np.array_equal(first, second) else "differ"
    print(f"{name}:", *(node.op_type for node in made.graph.node), f"  two calls {same}")
PYTHON
)
echo "$seen"
expect "nodes and calls" "$seen" "given: RandomNormalLike Add   two calls differ
onnxslim: Add   two calls are equal
onnxsim: RandomNormalLike Add   two calls differ"
