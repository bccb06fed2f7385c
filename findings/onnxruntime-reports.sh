#!/usr/bin/env bash
# onnxruntime 1.32.0, wheel for Linux, x86-64: `import onnxruntime` alone writes an identifier of the machine and a queue of
# events below ~/.cache/Microsoft/DeveloperTools/.onnxruntime. With strace on the machine: in a process that lives for a
# minute it also looks up a host. ORT_DISABLE_TELEMETRY=1 before the import stops both; ORT_DISABLE_TELEMETRY=0 is read as unset.
#
# Seen (with strace):
#   by itself                  deviceid onnxruntime.db    looked up a host
#   ORT_DISABLE_TELEMETRY=0    deviceid onnxruntime.db
#   ORT_DISABLE_TELEMETRY=1    nothing                    called nobody
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare onnxruntime==1.32.0 numpy==2.4.6

left() { find "$1" -type f '(' -name deviceid -o -name onnxruntime.db ')' -printf '%f\n' | sort | xargs; }
try() { # name of the home, seconds, setting
    mkdir "$1"
    env HOME="$PWD/$1" ${3:+"$3"} ${TRACE:+strace -f -qq -e trace=connect,sendto,sendmsg,sendmmsg -o "$PWD/$1.calls"} \
        venv/bin/python -c "import onnxruntime, time; time.sleep($2)"
}

try itself "$([ -n "$TRACE" ] && echo 75 || echo 1)"
try zero 1 ORT_DISABLE_TELEMETRY=0
try one "$([ -n "$TRACE" ] && echo 75 || echo 1)" ORT_DISABLE_TELEMETRY=1
for name in itself zero one; do echo "$name: $(left $name)"; done
expect "files by itself" "$(left itself)" "deviceid onnxruntime.db"
expect "files with 0" "$(left zero)" "deviceid onnxruntime.db"
expect "files with 1" "$(left one)" ""
if [ -n "$TRACE" ]; then
    expect "looked up by itself" "$(lookups itself.calls)" yes
    expect "looked up with 1" "$(lookups one.calls)" no
fi
