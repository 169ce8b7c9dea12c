"""What agents write of a command that C{txconsul exec} has them run: keys that appear while it runs."""

from __future__ import annotations

from collections.abc import Callable

from txconsul.cli import kv_store
from txconsul.cli.api import ApiError, Client
from txconsul.cli.call import Call, Failed
from txconsul.codec.duration import SECOND, format_duration
from txconsul.records.remote_exec import ACK, EXIT, JOB, OUTPUT

__all__ = ["Results"]

#: Nobody waits longer for one answer, so that the end is not missed by much.
_ANSWER_SECONDS_MAX = 5.0


class Results:
    """
    Shows what comes.

    @ivar acknowledged: how many agents have begun.
    @ivar exited: how many have come to the end.
    @ivar bad: how many of those ended badly.
    """

    def __init__(self, call: Call, client: Client, directory: str) -> None:
        """@param directory: how the keys begin, with the slash at the end."""
        self.acknowledged = self.exited = self.bad = 0
        self._call = call
        self._client = client
        self._directory = directory
        self._seen: set[str] = set()
        self._index = 0

    def follow(self, quiet: float, now: Callable[[], float]) -> None:
        """
        Show what comes until nothing has for so many seconds; for twice that while an agent is still at work.

        @param now: monotonic.
        @raise Failed: the servers cannot be asked.
        """
        last = now()
        while (left := last + quiet * (2 if self.acknowledged > self.exited else 1) - now()) > 0:
            if self._look(min(left, _ANSWER_SECONDS_MAX)):
                last = now()

    def _look(self, seconds: float) -> bool:
        """Wait at most so long for new keys. @return: whether there were some."""
        wait = format_duration(max(1, int(seconds * 1000)) * SECOND // 1000)
        params = {"keys": "", "wait": wait, **({"index": str(self._index)} if self._index else {})}
        try:
            answer = self._client.call("GET", f"/v1/kv/{self._directory}", params, allowed=(200, 404))
            found = answer.json() if answer.status == 200 else answer.read() and []
        except ApiError as error:
            raise Failed(f"Failed to read results: {error}") from None
        self._index = answer.index
        fresh = [key for key in found or () if isinstance(key, str) and key not in self._seen]
        self._seen.update(fresh)
        for key in fresh:
            self._show(key)
        return any(key != self._directory + JOB for key in fresh)

    def _show(self, key: str) -> None:
        name = key.removeprefix(self._directory)
        node, _, kind = name.rpartition("/")
        if name == JOB:
            return
        if kind == ACK and node:
            self.acknowledged += 1
            self._tell(node, "acknowledged")
        elif kind == EXIT and node:
            self._show_exit(node, key)
        elif node.endswith(f"/{OUTPUT}"):
            self._show_output(node.removesuffix(f"/{OUTPUT}"), key)
        else:
            self._call.complain(f"Unknown key '{name}', ignoring.")

    def _show_exit(self, node: str, key: str) -> None:
        value = self._value(key)
        if value is None:
            return
        try:
            code = int(value)
        except ValueError:
            self._call.complain(f"Failed to parse exit code '{value.decode('utf-8', 'replace')}'")
            return
        self.exited += 1
        self.bad += code != 0
        self._call.say(_prefixed("==>", node, f"finished with exit code {code}".encode()))

    def _show_output(self, node: str, key: str) -> None:
        value = self._value(key)
        if value:
            self._call.say(_prefixed("   ", node, value))
        elif value is not None:
            self._tell(node, "heartbeat received")

    def _value(self, key: str) -> bytes | None:
        try:
            entry = kv_store.fetch(self._client, key, stale=False)
        except ApiError as error:
            self._call.complain(f"Failed to read key '{key}': {error}")
            return None
        if entry is None:
            self._call.complain(f"Failed to read key '{key}': it is gone")
        return None if entry is None else entry.value

    def _tell(self, node: str, text: str) -> None:
        if self._call.flags["verbose"]:
            self._call.say(_prefixed("==>", node, text.encode()))


def _prefixed(arrow: str, node: str, text: bytes) -> bytes:
    """Lines with a node's name before each."""
    lead = f"{arrow} {node}: ".encode()
    return b"\n".join([lead + line for line in text.split(b"\n")]).rstrip()
