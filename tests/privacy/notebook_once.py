"""Runs a notebook in a kernel of its own.

python tests/privacy/notebook_once.py NOTEBOOK KEY=VALUE …
"""

import os
import sys
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient


def main(path: str, *settings: str) -> None:
    """Run all of its cells."""
    manager = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    resources = {"metadata": {"path": str(Path(path).parent)}}
    client = NotebookClient(nbformat.read(path, as_version=4), km=manager, resources=resources)
    client.execute(cleanup_kc=True, env=os.environ | dict(setting.split("=", 1) for setting in settings))


if __name__ == "__main__":
    main(*sys.argv[1:])
