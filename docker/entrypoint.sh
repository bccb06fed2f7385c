#!/bin/sh
# Reads the W&B key from a mounted secret, where WANDB_API_KEY_FILE names one; a variable would show in `docker inspect`.
set -eu
if [ -n "${WANDB_API_KEY_FILE:-}" ] && [ -s "$WANDB_API_KEY_FILE" ]; then
    WANDB_API_KEY=$(cat "$WANDB_API_KEY_FILE")
    export WANDB_API_KEY
fi
exec "$@"
