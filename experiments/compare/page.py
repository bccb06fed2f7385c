"""The comparison as one HTML file that needs neither a server nor a network."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from experiments.compare.columns import Column
from experiments.compare.keys import Differing
from experiments.compare.payload import payload
from experiments.compare.statistics import Comparison
from experiments.compare.summary import verdict
from experiments.compare.table import faults
from experiments.errors import ConfigError

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("core.js", "table.js", "curves.js", "parallel.js", "cost.js", "utterances.js")


def write_page(
    path: Path, comparison: Comparison, columns: list[Column], keys: list[Differing], audio: int = 60
) -> None:
    """Write the page.

    Args:
        path: of the file.
        comparison: of the runs.
        columns: of the table.
        keys: that differ between the runs.
        audio: utterances whose sound goes into it.

    Raises:
        ConfigError: the file cannot be written.
    """
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    text = environment.get_template("page.html").render(
        verdict=verdict(comparison),
        notes=[*comparison.notes, *faults(comparison)],
        columns=columns,
        rows=range(len(comparison.runs)),
        comparison=comparison,
        date=time.strftime("%Y-%m-%d"),
        style=(TEMPLATES / "page.css").read_text(),
        scripts=[(TEMPLATES / name).read_text() for name in SCRIPTS],
        plotly=get_plotlyjs(),
        data=embedded(payload(comparison, keys, audio)),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}. Give another --html FILE.") from None


def embedded(data: Any) -> str:
    """JSON that can stand inside of a script element: nothing in it ends one.

    >>> embedded({"text": "</script>"})
    '{"text":"\\\\u003c/script>"}'
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
