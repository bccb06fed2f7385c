#!/bin/sh
# A self-signed certificate, for use within a house: browsers ask once, and then give the page the microphone.
#   docker/certificate.sh jetson.local 192.168.1.20        the names and addresses under which the device is reached
#   OUT=/etc/heyjetson/certificates docker/certificate.sh jetson.local
set -eu
if [ $# -eq 0 ]; then
    echo "certificate.sh: name the device: docker/certificate.sh jetson.local 192.168.1.20" >&2
    exit 2
fi
out=${OUT:-$(dirname "$0")/certificates}
if [ -e "$out/privkey.pem" ]; then
    echo "certificate.sh: $out/privkey.pem is there already: remove it to make a new one." >&2
    exit 1
fi
names=""
for name in "$@"; do
    case $name in
        *:* | *[0-9].[0-9]*) case $name in *[!0-9a-fA-F.:]*) kind=DNS ;; *) kind=IP ;; esac ;;
        *) kind=DNS ;;
    esac
    names="${names:+$names,}$kind:$name"
done
mkdir -p "$out"
umask 077
# Made beside their places and moved there once both are whole; the key last, since it is what tells that a pair is there.
made=$(mktemp -d "$out/.new.XXXXXX")
trap 'rm -rf "$made"' EXIT
trap 'exit 1' HUP INT TERM
# No configuration of the machine's: it may say that every certificate may sign others.
printf '[req]\ndistinguished_name = name\n[name]\n' > "$made/openssl.cnf"
if ! openssl req -config "$made/openssl.cnf" -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 \
    -subj "/CN=$1" -addext "subjectAltName=$names" -addext "basicConstraints=critical,CA:FALSE" \
    -addext "keyUsage=critical,digitalSignature" -addext "extendedKeyUsage=serverAuth" \
    -keyout "$made/privkey.pem" -out "$made/fullchain.pem" 2> "$made/log"; then
    cat "$made/log" >&2
    echo "certificate.sh: openssl made no certificate for $names (see above); nothing was written." >&2
    exit 1
fi
chmod 644 "$made/fullchain.pem"
mv "$made/fullchain.pem" "$out/fullchain.pem"
mv "$made/privkey.pem" "$out/privkey.pem"
echo "$out/fullchain.pem and privkey.pem: $names, 825 days"
