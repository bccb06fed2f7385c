# Shared by the scripts here: a temporary folder with a virtual environment, and what is expected against what is seen.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
TRACE=$(command -v strace || true)

prepare() { # packages, pinned
    "${PYTHON:-python3}" -m venv venv
    venv/bin/pip install -qq --disable-pip-version-check "$@"
}

expect() { # what, seen, expected
    if [ "$2" != "$3" ]; then
        echo "CHANGED: $1: \"$2\", where \"$3\" was seen." >&2
        exit 1
    fi
}

lookups() { # strace's output: whether a resolver or a host was called
    if grep -qE 'sin6?_port=htons\((53|443)\)' "$1"; then echo yes; else echo no; fi
}
