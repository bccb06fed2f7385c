"""Writes the tables of docs/licences.md: whose code comes with the wheel and the images, and on what terms.

make licences

It reads what the packages installed here say of themselves. pip-licenses reads the same, but does not tell what the
device needs, nor what lies inside the wheels.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata
import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
# Packages that say it nowhere, in a whole text, or only as "see LICENSE": read in their repositories.
SAID_ELSEWHERE = {
    "sherpa-onnx": "Apache-2.0",  # "as found in the LICENSE file"
    "espeakng-loader": "not stated; it holds espeak-ng, GPL-3.0-or-later",
    "flashlight-text": "MIT",
}
# Libraries on terms of the GPL, LGPL or MPL that wheels carry with them, by the names of their files.
LIBRARIES = {
    "libasound": ("ALSA library", "LGPL-2.1-or-later"),
    "libavcodec": ("FFmpeg", "LGPL-3.0-or-later, as it says itself"),
    "libcrypt": ("libxcrypt", "LGPL-2.1-or-later"),
    "libespeak": ("espeak-ng", "GPL-3.0-or-later"),
    "libgfortran": ("GCC's Fortran runtime", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "libgmp": ("GMP", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libgnutls": ("GnuTLS", "LGPL-2.1-or-later"),
    "libgomp": ("GCC's OpenMP runtime", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "libhogweed": ("Nettle", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libkenlm": ("KenLM", "LGPL-2.1-or-later"),
    "libkeyutils": ("keyutils", "LGPL-2.1-or-later"),
    "libmp3lame": ("LAME", "LGPL-2.0-or-later"),
    "libquadmath": ("GCC's libquadmath", "LGPL-2.1-or-later"),
    "libsndfile*": ("libsndfile, with mpg123 and LAME", "LGPL-2.1-or-later"),
    "libunistring": ("libunistring", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libx264": ("x264", "GPL-2.0-or-later"),
    "libx265": ("x265", "GPL-2.0-or-later"),
    "libzmq": ("ZeroMQ", "MPL-2.0"),
    "soxr_ext": ("libsoxr", "LGPL-2.1-or-later"),
}
COPYLEFT = re.compile(r"GPL|General Public|MPL|Mozilla")
MARK = "<!-- made by `make licences` from here -->\n", "<!-- to here -->\n"


def requirements(path: Path) -> dict[str, list[Requirement]]:
    """The lines of a requirements file, hashes left out, by name."""
    found: dict[str, list[Requirement]] = {}
    for line in path.read_text().splitlines():
        if line and line[0].isalnum():
            requirement = Requirement(line.removesuffix("\\").strip())
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def closure(wanted: Iterable[str]) -> dict[str, Distribution]:
    """Installed packages that some requirements bring, each with theirs, by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    left = [Requirement(text) for text in wanted]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        for extra in requirement.extras or {""}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                found[name] = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # for another platform, or another Python
            needs = map(Requirement, found[name].requires or [])
            left += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return found


def licence(name: str, package: Distribution) -> str:
    """What a package says of its terms: its expression, else its field, else its classifiers."""
    about = package.metadata
    field = (about.get("License") or "").strip().partition("\n")[0]  # some give the whole text
    texts = about.get_all("Classifier") or []
    classifiers = [text.rpartition(" :: ")[2] for text in texts if text.startswith("License")]
    said = SAID_ELSEWHERE.get(name) or about.get("License-Expression")
    short = field if len(field) <= 40 and field.lower() not in ("unknown", "dual license") else ""
    return str(said or short or ", ".join(classifiers) or "not stated").replace("|", "/")


def inside(package: Distribution) -> list[str]:
    """Files among `LIBRARIES` that a package's wheel carries; patterns of that table."""
    names = [file.name for file in package.files or []]
    stems = {re.split(r"[-.]", name)[0] for name in names if re.search(r"\.(so|pyd|dylib)\b", name)}
    return sorted(pattern for pattern in LIBRARIES if fnmatch.filter(stems, pattern))


def needed_by() -> dict[str, str]:
    """Of the device's packages: `wheel`, or the extras of it that bring them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = closure(project["dependencies"])
    found = dict.fromkeys(base, "wheel")
    for extra, wanted in project["optional-dependencies"].items():
        for name in closure(wanted).keys() - base.keys():
            found[name] = f"{found[name]}, {extra}" if name in found else extra
    return found


def tables() -> str:
    """The tables of docs/licences.md for what is installed here."""
    device = needed_by()
    packages = {}
    for name in sorted(requirements(ROOT / "requirements.txt") | dict.fromkeys(device)):
        try:
            packages[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform, or another Python
    said = {name: licence(name, package) for name, package in packages.items()}
    lines = ["| package | part | licence | needed by |", "|---|---|---|---|"]
    for name, package in packages.items():
        by = device.get(name, "training")
        if COPYLEFT.search(said[name]):
            lines.append(f"| {name} | the package | {said[name]} | {by} |")
        lines += [f"| {name} | {' | '.join(LIBRARIES[pattern])} | {by} |" for pattern in inside(package)]
    lines += ["", "## All packages", "", "| package | licence | needed by |", "|---|---|---|"]
    lines += [f"| {name} | {said[name]} | {device.get(name, 'training')} |" for name in packages]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put the tables of what is installed here into the page."""
    before, _, rest = PAGE.read_text().partition(MARK[0])
    _, _, after = rest.partition(MARK[1])
    PAGE.write_text(before + MARK[0] + tables() + MARK[1] + after)
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
