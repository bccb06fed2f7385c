#!/usr/bin/env bash
# av 18.1.0 (PyAV), wheel for Linux, x86-64: its metadata says BSD-3-Clause and its FFmpeg "LGPL version 3 or later", while
# libx264 and libx265, whose licence is the GPL, lie in the wheel and libavcodec is linked to them. Who hands the wheel on, in
# an image for instance, hands them on.
#
# Seen:
#   BSD-3-Clause / LGPL version 3 or later / libx264 libx265
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare av==18.1.0
seen=$(venv/bin/python - <<'PYTHON'
import importlib.metadata, re
import av
from av._core import library_meta

package = importlib.metadata.distribution("av")
names = {re.split("[-.]", file.name)[0] for file in package.files}
with open(next(package.locate_file(file) for file in package.files if file.name.startswith("libavcodec")), "rb") as file:
    linked = file.read()
held = [name for name in ("libx264", "libx265") if name in names and name.encode() in linked]
print(package.metadata["License-Expression"], "/", library_meta["libavcodec"]["license"], "/", *held)
PYTHON
)
echo "$seen"
expect "licences" "$seen" "BSD-3-Clause / LGPL version 3 or later / libx264 libx265"
