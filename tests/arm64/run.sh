#!/usr/bin/env bash
# Does the wheel run on 64-bit ARM, and write the same text as here? Needs root and a network; about ten minutes.
#
#   apt-get install debootstrap qemu-user-static
#   tests/arm64/run.sh bundles/synthetic words.scorer data/synthetic/wavs/test/00000.wav
#
# Makes a Debian root for ARM in ARM64_ROOT (default: /var/tmp/heyjetson-arm64; kept for the next time), builds the wheel
# there with the compiled beam search, installs it by pip, transcribes the recordings under emulation and compares:
# greedy, by beam search with hot words (compiled and by numpy), and with a language model. The emulator runs every ARM
# instruction; how fast a device is it cannot say.
set -euo pipefail

bundle=$(realpath "$1")
scorer=$(realpath "$2")
shift 2
recordings=("$@")
project=$(cd "$(dirname "$0")/../.." && pwd)
root=${ARM64_ROOT:-/var/tmp/heyjetson-arm64}
suite=${ARM64_SUITE:-bookworm}
python=$project/.venv/bin/python
binfmt=/proc/sys/fs/binfmt_misc

for program in debootstrap qemu-aarch64-static; do
    command -v "$program" > /dev/null || {
        echo "$program is missing: apt-get install debootstrap qemu-user-static" >&2
        exit 2
    }
done
# The kernel hands ARM programs to the emulator, which it keeps open (flag F), so that it is found inside the root too.
[ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
[ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf > $binfmt/register

arm() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        PIP_CERT=/etc/ssl/certs/ca-certificates.crt chroot "$root" "$@"
}

if [ ! -x "$root/usr/bin/python3" ]; then
    mirror=${ARM64_MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2> /dev/null |
        awk '$1 == "deb" && $2 ~ /^http/ {print $2; exit} $1 == "URIs:" {print $2; exit}' || true)}
    rm -rf "$root"
    debootstrap --arch=arm64 --variant=minbase --include=python3,python3-venv,ca-certificates,gcc,libc6-dev \
        "$suite" "$root" "${mirror:-http://deb.debian.org/debian}"
fi
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
# Not /sys: it describes the processors of this machine, and onnxruntime 1.32 does not bear them under emulation.
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
stage=$(mktemp -d "$root/opt/stage.XXXXXX")
inside=${stage#"$root"}
trap 'rm -rf "$stage"; umount "$root/proc"' EXIT
arm uname -m

sources=(hatch_build.py heyjetson LICENSE pyproject.toml README.md)
tar -C "$project" --exclude '*.so' --exclude __pycache__ -c "${sources[@]}" | tar -C "$stage" -x
cp -r "$bundle" "$stage/bundle"
cp "$scorer" "$stage/words.scorer"
cp "${recordings[@]}" "$stage"

[ -x "$root/opt/heyjetson/bin/python" ] || arm python3 -m venv /opt/heyjetson
pip=(/opt/heyjetson/bin/pip --quiet --disable-pip-version-check)
arm env HEYJETSON_PURE=0 "${pip[@]}" wheel --no-deps --wheel-dir "$inside" "$inside"
wheel=$inside/$(basename "$stage"/heyjetson-*-linux_aarch64.whl)
arm "${pip[@]}" install --only-binary :all: "$wheel[cpu]"
arm "${pip[@]}" install --no-deps --force-reinstall "$wheel"
arm /opt/heyjetson/bin/python -c 'import importlib.util as u; assert not u.find_spec("torch")'

status=0
text() { # of a recording in the root by these options; the environment comes first
    arm env "$1" /opt/heyjetson/bin/heyjetson transcribe "$inside/bundle" "$inside/$2" "${@:3}"
}
for recording in "${recordings[@]}"; do
    name=$(basename "$recording")
    for options in "" "--beam 32 --hot-words two:3" "--beam 32 --lm $inside/words.scorer"; do
        # shellcheck disable=SC2086
        here=$("$python" -m heyjetson transcribe "$bundle" "$recording" ${options/$inside\/words.scorer/$scorer})
        # shellcheck disable=SC2086
        there=$(text HEYJETSON_DECODER= "$name" $options)
        echo "$name ${options/$inside\//}: here '$here', on ARM '$there'"
        [ "$here" = "$there" ] || status=1
    done
    [ "$(text HEYJETSON_DECODER=numpy "$name" --beam 32 --hot-words two:3)" = \
        "$(text HEYJETSON_DECODER= "$name" --beam 32 --hot-words two:3)" ] || { echo "numpy finds another text"; status=1; }
done
arm /opt/heyjetson/bin/heyjetson doctor "$inside/bundle"
[ $status = 0 ] && echo "The same text on both."
exit $status
