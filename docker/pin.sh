#!/bin/sh
# Writes the digests of today's base images behind their tags, so that the same images are built from tomorrow.
#
#   docker/pin.sh                          all Dockerfiles here; a digest that is there already is asked for anew
#   docker/pin.sh docker/serve.Dockerfile  these alone
#
# Needs Docker with buildx, and the registries. Nothing is written before every digest is there.
set -eu
[ $# -gt 0 ] || set -- "$(dirname "$0")"/*.Dockerfile
new=$(mktemp)
trap 'rm -f "$new"' EXIT

# Images with a tag: of FROM, of ARG BASE, and the syntax's; neither stages of the file itself nor variables.
images=$(sed -nE -e 's/^(FROM|ARG BASE=|# syntax=) *([^ $@]+:[^ @]+).*/\2/p' "$@" | sort -u)
edits=""
for image in $images; do
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image") || {
        echo "pin.sh: docker cannot look up $image. Check the network and \`docker login\`; nothing was changed." >&2
        exit 1
    }
    if ! printf '%s\n' "$digest" | grep -qxE 'sha256:[0-9a-f]{64}'; then
        echo "pin.sh: docker answered \"$digest\" for $image, which is no digest; nothing was changed." >&2
        exit 1
    fi
    pattern=$(printf '%s' "$image" | sed 's/[.]/\\./g')
    edits="${edits}s|^((FROM\|ARG BASE=\|# syntax=) *${pattern})(@sha256:[0-9a-f]+)?( .*)?\$|\\1@$digest\\4|;"
    echo "$image@$digest"
done
for file in "$@"; do
    sed -E "$edits" "$file" > "$new"
    cmp -s "$new" "$file" || cat "$new" > "$file"
done
