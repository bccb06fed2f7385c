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
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -subj "/CN=$1" \
    -addext "subjectAltName=$names" -addext "extendedKeyUsage=serverAuth" \
    -keyout "$out/privkey.pem" -out "$out/fullchain.pem" 2>/dev/null
chmod 644 "$out/fullchain.pem"
echo "$out/fullchain.pem and privkey.pem: $names, 825 days"
