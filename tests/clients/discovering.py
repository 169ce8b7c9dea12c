"""An agent with HTTP and DNS on addresses of its own, for programs of others that find services in it."""

from __future__ import annotations

import json
import select
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar
from unittest import SkipTest

from tests.real.process import DEADLINE_SECONDS, ProcessTestCase

__all__ = ["DiscoveryTestCase", "needs"]

#: How often a program that cannot be waited for is asked.
ASK_AGAIN_SECONDS = 0.1

T = TypeVar("T")


def needs(*programs: str) -> None:
    """@raise SkipTest: one of these programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            raise SkipTest(f"{program} is not installed: script/debian-packages")


class DiscoveryTestCase(ProcessTestCase):
    """
    A test with a running agent.

    @ivar http: C{host:port} of the HTTP API.
    @ivar dns: host and port of DNS.
    """

    def setUp(self) -> None:
        super().setUp()
        host, port = self.own_address()
        self.http = f"{host}:{port}"
        self.dns = dns_host, dns_port = self.own_address()
        self.agent = self.started(
            addresses={"http": host, "dns": dns_host},
            ports={"http": port, "dns": dns_port},
            **self.more_configuration(),
        )

    def more_configuration(self) -> dict[str, Any]:
        """What the agent is told besides."""
        return {}

    def request(self, method: str, url: str, document: Any = None) -> Any:
        """Ask an HTTP server for JSON; None where its answer is empty."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://{url}", body, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def api(self, method: str, path: str, document: Any = None) -> Any:
        """Ask the agent."""
        return self.request(method, self.http + path, document)

    def register(self, name: str, id: str, port: int, status: str = "passing", **more: Any) -> None:
        """Run a service, with a check that says this."""
        check = {"CheckID": f"check-{id}", "TTL": "10m", "Status": status}
        service = {"Name": name, "ID": id, "Port": port, "Address": "127.0.0.1", "Check": check, **more}
        self.api("PUT", "/v1/agent/service/register", service)

    def update(self, id: str, status: str) -> None:
        """A service says how it is."""
        self.api("PUT", f"/v1/agent/check/update/check-{id}", {"Status": status, "Output": status})

    def deregister(self, id: str) -> None:
        """Run a service no more."""
        self.api("PUT", f"/v1/agent/service/deregister/{id}")

    def comes(self, look: Callable[[], T], wanted: T, seconds: float = DEADLINE_SECONDS) -> None:
        """
        Look again and again until there is to be seen what is wanted.

        @raise AssertionError: it does not come.
        """
        until = time.monotonic() + seconds
        while True:
            try:
                found: Any = look()
            except OSError as error:  # it does not listen yet
                found = error
            if found == wanted:
                return
            if time.monotonic() > until:
                raise AssertionError(f"{found!r} instead of {wanted!r} after {seconds:g} s")
            select.select([], [], [], ASK_AGAIN_SECONDS)

    def dig(self, *arguments: str, at: tuple[str, int] | None = None) -> list[str]:
        """The lines that dig writes of the answer, in order of their text."""
        host, port = at or self.dns
        command = ["dig", f"@{host}", "-p", str(port), "+tries=3", "+time=5", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
        if done.returncode:
            raise OSError(done.stdout + done.stderr)
        return sorted(line for line in done.stdout.splitlines() if line)
