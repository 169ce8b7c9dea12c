"""
Pulling the plug: an agent under load is killed at a random moment, again and again, on the same data.

C{TXCONSUL_PLUG_PULLS} says how often (20), C{TXCONSUL_SEED_BASE} picks the moments.
"""

from __future__ import annotations

import base64
import os
from random import Random
from typing import Any

from tests.real.load import Locker, Writer, run_until
from tests.real.process import ProcessTestCase

PULLS = int(os.environ.get("TXCONSUL_PLUG_PULLS", "20"))
SEED = os.environ.get("TXCONSUL_SEED_BASE", "0")
#: The load lasts so long before the plug is pulled, in seconds.
SHORTEST, LONGEST = 0.02, 0.6
WRITERS, LOCKERS = 24, 2


class PlugTests(ProcessTestCase):
    """What was acknowledged is there after the process was killed, in the order in which it was written."""

    def test_killedAgainAndAgain(self) -> None:
        """
        After each SIGKILL, every acknowledged write, lock, session and transaction is found; of each connection's
        writes a beginning survived, none out of order; no index ever falls.
        """
        rng = Random(f"plug {SEED}")
        writers = [Writer(f"w{number}", rng) for number in range(WRITERS)]
        lockers = [Locker(f"l{number}") for number in range(LOCKERS)]
        clients: list[Any] = [*writers, *lockers]
        # snapshots and the cutting of the log are to be met by the plug as well
        tuning = {"raft_snapshot_threshold": 400, "raft_snapshot_interval": "200ms", "raft_trailing_logs": 100}
        configuration = self.configuration(**tuning)
        indexes: dict[str, int] = {}
        highest = 0
        for pull in range(PULLS):
            process = self.run_agent("-config-file", configuration)
            self.wait_until_it_serves(process)
            where = f"pull {pull} of seed {SEED!r}"
            highest = self._check(where, writers, lockers, indexes, highest)
            for client in clients:
                client.connect(self.socket_path)
            run_until(clients, rng.uniform(SHORTEST, LONGEST), process.popen.kill)
            process.kill()
        process = self.run_agent("-config-file", configuration)
        self.wait_until_it_serves(process)
        self._check("the end", writers, lockers, indexes, highest)
        self.stopped(process)
        self.assertGreater(sum(writer.total for writer in writers), 10 * PULLS)
        self.assertGreater(sum(locker.total for locker in lockers), PULLS)

    def _check(
        self, where: str, writers: list[Writer], lockers: list[Locker], indexes: dict[str, int], highest: int
    ) -> int:
        """@param indexes: of each key, as it was seen last; brought up to date. @return: the state's index."""
        answer = self.ask("GET", "/v1/kv/?recurse&consistent")
        rows = {row["Key"]: row for row in answer.json()} if answer.status == 200 else {}
        for row in rows.values():
            row["counter"] = int(base64.b64decode(row["Value"]))
        counters = {key: row["counter"] for key, row in rows.items()}
        wrong = [
            f"{key}: its index fell from {indexes[key]} to {row['ModifyIndex']}"
            for key, row in rows.items()
            if row["ModifyIndex"] < indexes.get(key, 0)
        ]
        wrong += [f"{key} is gone" for key in indexes if key not in rows]
        indexes.update({key: row["ModifyIndex"] for key, row in rows.items()})
        if answer.index < highest:
            wrong.append(f"the index fell from {highest} to {answer.index}")
        sessions = self.ask("GET", "/v1/session/list").json()
        for writer in writers:
            wrong += writer.judge(counters)
        for locker in lockers:
            mine = {session["ID"] for session in sessions if session["Name"] == locker.name}
            wrong += locker.judge(counters, rows.get(locker.lock), mine)
            for session in mine:
                self.ask("PUT", f"/v1/session/destroy/{session}")
        self.assertEqual(wrong, [], where)
        return answer.index
