#!/usr/bin/env bash
# wandb 0.31.0: a run with mode="offline" looks up a host, and so does `wandb leet`, which only shows files: the part that
# runs beside Python reports errors and usage. WANDB_ERROR_REPORTING=false before `wandb.init` stops it. Needs strace.
#
# Seen:
#   offline run:        yes    with WANDB_ERROR_REPORTING=false: no
#   leet inspect:       yes    with WANDB_ERROR_REPORTING=false: no
set -euo pipefail
source "$(dirname "$0")/common.sh"
[ -n "$TRACE" ] || { echo "strace is missing: apt-get install strace" >&2; exit 2; }
prepare wandb==0.31.0

offline() { # name, setting
    mkdir "$1"
    env HOME="$PWD/$1" WANDB_SILENT=true ${2:+"$2"} strace -f -qq -e trace=connect,sendto,sendmsg,sendmmsg -o "$1.calls" venv/bin/python -c "
import wandb
with wandb.init(mode='offline', dir='$1') as run:
    run.log({'loss': 1.0})"
}
leet() { # name, setting
    env HOME="$PWD" ${2:+"$2"} strace -f -qq -e trace=connect,sendto,sendmsg,sendmmsg -o "$1.calls" \
        venv/bin/wandb leet inspect --json itself/wandb/offline-run-* > /dev/null
}
offline itself
offline told WANDB_ERROR_REPORTING=false
leet leet-itself
leet leet-told WANDB_ERROR_REPORTING=false
for name in itself told leet-itself leet-told; do echo "$name: $(lookups $name.calls)"; done
expect "offline run" "$(lookups itself.calls)" yes
expect "offline run, told" "$(lookups told.calls)" no
expect "leet inspect" "$(lookups leet-itself.calls)" yes
expect "leet inspect, told" "$(lookups leet-told.calls)" no
