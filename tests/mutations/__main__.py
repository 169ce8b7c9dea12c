"""
C{python -m tests.mutations}: plant each mistake, look for the first seed that finds it, and write the table anew.
"""

from __future__ import annotations

import sys
import time

from twisted.logger import globalLogBeginner

from tests.mutations.hunt import README, hunt, write_table
from tests.mutations.mistakes import MISTAKES

#: Seeds that are tried for one mistake.
SEEDS = 600


def main() -> int:
    """@return: 1 if a mistake was not found."""
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    rows = []
    missed = 0
    for name in sys.argv[1:] or MISTAKES:
        began = time.process_time()
        found = hunt(name, range(SEEDS))
        search = time.process_time() - began
        rows.append((name, found, search))
        missed += found is None
        text = f"seed {found.seed}, {found.seconds:.1f} s CPU, {found.law}" if found else "NOT FOUND"
        print(f"{name}: {text} (search {search:.1f} s)", flush=True)
    if not sys.argv[1:]:
        write_table(rows)
        print(f"wrote {README.name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
