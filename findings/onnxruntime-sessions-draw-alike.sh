#!/usr/bin/env bash
# onnxruntime 1.32.0: two sessions of one process draw the same random numbers, number for number, wherever a random node without
# a seed has the same place in its graph, be it one file loaded twice or two other models. Another process draws others. Clips of
# a voice loaded anew for a validation set are so those of the training set.
# Expected: a node without a seed draws anew in every session, or the same in every process; not one in each.
#
# Seen:
#   first calls of two sessions of one file: equal
#   first calls of two models: equal
#   two calls of one session: differ
#   first calls in two processes: differ
set -euo pipefail
source "$(dirname "$0")/common.sh"
export ORT_DISABLE_TELEMETRY=1
prepare onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > draw.py <<'PYTHON'
import sys
import numpy as np
import onnx
import onnxruntime
from onnx import helper

FLOAT = onnx.TensorProto.FLOAT


def session(after):
    graph = helper.make_graph(
        [helper.make_node("RandomNormalLike", ["x"], ["n"]), helper.make_node(after, ["n", "x"], ["y"])],
        "noise",
        [helper.make_tensor_value_info("x", FLOAT, [None])],
        [helper.make_tensor_value_info("y", FLOAT, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def draw(made):
    return made.run(None, {"x": np.zeros(16, "float32")})[0]


def told(first, second):
    return "equal" if np.array_equal(first, second) else "differ"


one, again, other = session("Add"), session("Add"), session("Sub")
first = draw(one)
print("first calls of two sessions of one file:", told(first, draw(again)))
print("first calls of two models:", told(first, draw(other)))
print("two calls of one session:", told(first, draw(one)))
np.save(sys.argv[1], first)
PYTHON
venv/bin/python draw.py one.npy > seen
sleep 1
venv/bin/python draw.py two.npy > /dev/null
echo "first calls in two processes: $(cmp -s one.npy two.npy && echo equal || echo differ)" >> seen
cat seen
expect "draws" "$(cat seen)" "first calls of two sessions of one file: equal
first calls of two models: equal
two calls of one session: differ
first calls in two processes: differ"
