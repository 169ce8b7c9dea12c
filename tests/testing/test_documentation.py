"""
The tests that the page on testing shows are tests, and run here as they stand there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "testing.md"


def shown() -> dict[str, Any]:
    """The test cases of the page, by their names."""
    scope: dict[str, Any] = {"__name__": __name__}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), scope)
    return {name: one for name, one in scope.items() if name.endswith("Tests")}


globals().update(shown())
