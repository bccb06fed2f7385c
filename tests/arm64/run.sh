#!/usr/bin/env bash
# Does the wheel run on 64-bit ARM, and write the same text as here? Needs root and a network; ten to twenty minutes.
#
#   apt-get install debootstrap qemu-user-static proot
#   tests/arm64/run.sh bundles/synthetic data/synthetic/wavs/test/00000.wav
#
# Makes a Debian root for ARM in ARM64_ROOT (default: /var/tmp/heyjetson-arm64; kept for the next time), installs the
# wheel there by pip, transcribes the recordings under emulation and compares. The emulator runs every ARM instruction;
# how fast a device is it cannot say.
set -euo pipefail

bundle=$(realpath "$1")
shift
recordings=$(realpath "$@")
project=$(cd "$(dirname "$0")/../.." && pwd)
root=${ARM64_ROOT:-/var/tmp/heyjetson-arm64}
suite=${ARM64_SUITE:-bookworm}
python=$project/.venv/bin/python

for program in debootstrap qemu-aarch64-static proot; do
    command -v "$program" > /dev/null || { echo "$program is missing: apt-get install debootstrap qemu-user-static proot" >&2; exit 2; }
done

# proot hands every program to the emulator, so that the kernel need not know how (binfmt_misc).
arm() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} ${PIP_CERT:+PIP_CERT="$PIP_CERT"} \
        proot -q qemu-aarch64-static -0 -r "$root" -b /proc -b /dev -b /sys -b /etc/resolv.conf -b /etc/hosts \
        -b /etc/ssl/certs -b /tmp -w / "$@"
}

if [ ! -x "$root/usr/bin/python3" ]; then
    mirror=${ARM64_MIRROR:-$(awk '$1 == "deb" && $2 ~ /^http/ {print $2; exit} $1 == "URIs:" {print $2; exit}' \
        /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null)}
    rm -rf "$root"
    debootstrap --arch=arm64 --foreign --variant=minbase --include=python3,python3-venv "$suite" "$root" "${mirror:-http://deb.debian.org/debian}"
    arm /debootstrap/debootstrap --second-stage
fi
arm uname -m

rm -rf "$project/dist"
"$python" -m build --wheel --outdir "$project/dist" "$project" > /dev/null
stage=$(mktemp -d /tmp/heyjetson-arm64.XXXXXX)
trap 'rm -rf "$stage"' EXIT
cp "$project"/dist/heyjetson-*.whl "$stage"
cp -r "$bundle" "$stage/bundle"
for recording in $recordings; do cp "$recording" "$stage"; done

[ -x "$root/opt/heyjetson/bin/python" ] || arm python3 -m venv /opt/heyjetson
arm /opt/heyjetson/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --force-reinstall "$stage"/heyjetson-*.whl
arm /opt/heyjetson/bin/python -c 'import importlib.util as u; assert not u.find_spec("torch")'

status=0
for recording in "$stage"/*.wav "$stage"/*.flac; do
    [ -e "$recording" ] || continue
    here=$("$python" -m heyjetson transcribe "$stage/bundle" "$recording")
    there=$(arm /opt/heyjetson/bin/heyjetson transcribe "$stage/bundle" "$recording")
    echo "$(basename "$recording"): here '$here', on ARM '$there'"
    [ "$here" = "$there" ] || status=1
done
arm /opt/heyjetson/bin/heyjetson doctor "$stage/bundle"
[ $status = 0 ] && echo "The same text on both."
exit $status
