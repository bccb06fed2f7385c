#!/usr/bin/env bash
# Does the wheel run on 64-bit ARM, and write the same text as here? Needs root and a network; about ten minutes.
#
#   apt-get install debootstrap qemu-user-static
#   tests/arm64/run.sh bundles/synthetic data/synthetic/wavs/test/00000.wav
#
# Makes a Debian root for ARM in ARM64_ROOT (default: /var/tmp/heyjetson-arm64; kept for the next time), installs the
# wheel there by pip, transcribes the recordings under emulation and compares. The emulator runs every ARM instruction;
# how fast a device is it cannot say.
set -euo pipefail

bundle=$(realpath "$1")
shift
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
    debootstrap --arch=arm64 --variant=minbase --include=python3,python3-venv,ca-certificates \
        "$suite" "$root" "${mirror:-http://deb.debian.org/debian}"
fi
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
mountpoint -q "$root/sys" || mount -t sysfs -o ro sysfs "$root/sys"
stage=$(mktemp -d "$root/opt/stage.XXXXXX")
inside=${stage#"$root"}
trap 'rm -rf "$stage"; umount "$root/proc" "$root/sys"' EXIT
arm uname -m

rm -rf "$project/dist"
HEYJETSON_PURE=1 "$python" -m build --wheel --outdir "$project/dist" "$project" > /dev/null
cp "$project"/dist/heyjetson-*.whl "$stage"
cp -r "$bundle" "$stage/bundle"
cp "${recordings[@]}" "$stage"
wheel=$inside/$(basename "$stage"/heyjetson-*.whl)

[ -x "$root/opt/heyjetson/bin/python" ] || arm python3 -m venv /opt/heyjetson
arm /opt/heyjetson/bin/pip install --quiet --disable-pip-version-check --only-binary :all: "$wheel[cpu]"
arm /opt/heyjetson/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$wheel"
arm /opt/heyjetson/bin/python -c 'import importlib.util as u; assert not u.find_spec("torch")'

status=0
for recording in "${recordings[@]}"; do
    here=$("$python" -m heyjetson transcribe "$bundle" "$recording")
    there=$(arm /opt/heyjetson/bin/heyjetson transcribe "$inside/bundle" "$inside/$(basename "$recording")")
    echo "$(basename "$recording"): here '$here', on ARM '$there'"
    [ "$here" = "$there" ] || status=1
done
arm /opt/heyjetson/bin/heyjetson doctor "$inside/bundle"
[ $status = 0 ] && echo "The same text on both."
exit $status
