"""
The recorded wire vectors: files of C{[{"name", "hex", "decoded", "notes"}]}.

The folder is named by the environment variable TXCONSUL_WIRE_VECTORS; by default it is ../shared/wire/vectors beside
the repository. Where it is absent the tests that need it are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest import SkipTest

__all__ = ["data", "load"]

_ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("TXCONSUL_WIRE_VECTORS", _ROOT.parent / "shared" / "wire" / "vectors"))


def load(name: str) -> list[dict[str, Any]]:
    """The vectors of a file, named without its ending."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise SkipTest(f"no wire vectors at {FOLDER}")
    vectors: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return vectors


def data(vector: dict[str, Any]) -> bytes:
    """The bytes of one vector."""
    return bytes.fromhex(vector["hex"])
