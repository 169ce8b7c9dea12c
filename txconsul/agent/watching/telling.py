"""
What an agent does with a change: it runs a program, or makes an HTTP request.

Source: Consul's documentation "Watches", its handlers.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable

from twisted.logger import Logger

from txconsul.agent.checks.dialing import CheckTLS, Secure
from txconsul.agent.checks.http import HTTPCheck
from txconsul.agent.checks.output import Tail
from txconsul.agent.checks.programs import CannotStart, Start
from txconsul.agent.watching.configured import ConfiguredWatch
from txconsul.interfaces import INetwork
from txconsul.records.health import PASSING
from txconsul.watches.plan import HTTPHandler
from txconsul.watches.progress import Change
from txconsul.watches.render import render

__all__ = ["Handler", "handler_of"]

#: Bytes of a handler's output, or of an answer to it, that are logged: the last.
OUTPUT_BYTES_MAX = 4096

#: Told a change, it says whether all went well.
Handler = Callable[[Change], Awaitable[bool]]

_log = Logger("txconsul.agent.watch")


def handler_of(watch: ConfiguredWatch, start: Start, network: INetwork) -> Handler:
    """What a watch's configuration asks for."""
    if watch.plan.http is not None:
        return _requesting(watch.plan.http, network)
    words = list(watch.program)
    if watch.shell:
        words = [os.environ.get("SHELL") or "/bin/sh", "-c", *words]
    return _running(words, start)


def _running(words: list[str], start: Start) -> Handler:
    shown = " ".join(words)

    async def run(change: Change) -> bool:
        output = Tail(OUTPUT_BYTES_MAX)
        with tempfile.TemporaryFile() as stdin:
            stdin.write(render(change.data) + b"\n")
            stdin.seek(0)
            try:
                program = start(words, output, stdin=stdin, environment={"CONSUL_INDEX": str(change.index)})
            except CannotStart as error:
                _log.error(
                    "Failed to run watch handler: watch_handler={handler} error={error}", handler=shown, error=error
                )
                return False
        code = await program.ended
        if code != 0:
            why = "a signal" if code is None else f"exit status {code}"
            _log.error("Failed to run watch handler: watch_handler={handler} error={error}", handler=shown, error=why)
        _log.debug(
            "watch handler output: watch_handler={handler} output={output}", handler=shown, output=output.remarked()
        )
        return code == 0

    return run


def _requesting(handler: HTTPHandler, network: INetwork) -> Handler:
    async def request(change: Change) -> bool:
        headers = {
            "User-Agent": ("txconsul",),
            "Content-Type": ("application/json",),
            "X-Consul-Index": (str(change.index),),
        }
        for name, values in handler.headers:
            present = next((one for one in headers if one.lower() == name.lower()), name)
            headers[present] = (*headers.get(present, ()), *values)
        asked = HTTPCheck(
            network,
            handler.url,
            method=handler.method,
            headers=headers,
            body=(render(change.data) + b"\n").decode(),
            timeout=handler.timeout,
            output_size_max=OUTPUT_BYTES_MAX,
            redirects=False,
            secure=Secure(CheckTLS(), verify=handler.verify),
            environment=os.environ,
        )
        try:
            answer = await asked.run()
        finally:
            asked.stop()
        well = answer.status == PASSING
        told = _log.debug if well else _log.error
        told("http watch handler: watch={url} {output}", url=handler.url, output=answer.output)
        return well

    return request
