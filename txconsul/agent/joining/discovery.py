"""
What C{retry_join} may say beside addresses: C{exec=PROGRAM arguments} runs a program that prints some, and
C{provider=NAME key=value} asks a plugin for them.

Source: the documentation of Consul's cloud auto-join and of go-netaddrs.
"""

from __future__ import annotations

from tempfile import TemporaryFile

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from txconsul.agent.checks.output import Tail
from txconsul.agent.checks.programs import CannotStart, Program, Start
from txconsul.agent.debug_config import without_secrets
from txconsul.agent.joining import providers
from txconsul.agent.joining.addresses import BadAddress, address_of, parse
from txconsul.agent.joining.settings import BadSettings
from txconsul.agent.joining.settings import parse as parse_settings
from txconsul.errors import Unavailable
from txconsul.interfaces import IAddressProvider, INetwork

__all__ = ["CannotDiscover", "Discovery", "displayed", "is_discovered"]

#: How long is waited for a program or a provider: one that hangs must not keep the agent from joining by the others.
SECONDS_MAX = 60.0
#: Bytes of addresses that are read: those of ten thousand agents. More is a program gone wild.
OUTPUT_BYTES_MAX = 1 << 19
#: Bytes of a program's errors that are told.
ERROR_BYTES_MAX = 1024

_PROGRAM = "exec="
_PROVIDER = "provider="


class CannotDiscover(Unavailable):
    """No addresses are to be had in this way; the text says why."""


def displayed(text: str) -> str:
    """
    An entry of C{retry_join} for the log, without secrets.

    >>> displayed("provider=aws region=x secret_access_key=y")
    'provider=aws region=x secret_access_key=hidden'
    """
    if not is_discovered(text):
        return text
    if text.startswith(_PROGRAM):
        return " ".join(without_secrets(text.split(), "RetryJoinLAN"))
    try:
        settings = without_secrets(parse_settings(text))
    except BadSettings:
        return f"{_PROVIDER}..."
    return " ".join(f"{key}={value}" for key, value in settings.items())


def is_discovered(text: str) -> bool:
    """Whether this stands for addresses that must be found out."""
    return text.startswith(_PROGRAM) or _PROVIDER in text


class Discovery:
    """
    Finds out.

    @param start: starts programs; see L{txconsul.agent.checks.programs.starter}.
    """

    def __init__(self, network: INetwork, start: Start) -> None:
        self._network = network
        self._start = start

    def find(self, text: str) -> Deferred[list[str]]:
        """
        The addresses that one entry stands for.

        @return: fires with texts as L{parse} takes them; fails with L{CannotDiscover}.
        """
        return Deferred.fromCoroutine(self._by_program(text) if text.startswith(_PROGRAM) else self._ask(text))

    async def _ask(self, text: str) -> list[str]:
        """Ask a provider."""
        try:
            settings = parse_settings(text)
        except BadSettings as error:
            raise CannotDiscover(f"discover: {error}") from None
        name = settings.pop("provider", "")
        if not name:
            raise CannotDiscover("discover: no provider")
        provider: IAddressProvider | None = providers.installed(name)
        if provider is None:
            raise CannotDiscover(f"discover: unknown provider {name}")
        try:
            asked: Deferred[list[str]] = provider.addresses(settings, self._network)
            return list(await asked.addTimeout(SECONDS_MAX, self._network.clock))
        except DeferredTimeout:
            raise CannotDiscover(f"discover-{name}: no answer in {SECONDS_MAX:.0f} s") from None
        except Exception as error:  # whatever a plugin may raise: the agent goes on without it
            raise CannotDiscover(f"discover-{name}: {error or type(error).__name__}") from error

    async def _by_program(self, text: str) -> list[str]:
        """Run a program, and read what it prints."""
        arguments = text.removeprefix(_PROGRAM).split()
        if not arguments:
            raise CannotDiscover("exec= names no program")
        output = Tail(OUTPUT_BYTES_MAX)
        with TemporaryFile() as errors:
            try:
                program = self._start(arguments, output, stderr=errors)
            except CannotStart as error:
                raise CannotDiscover(f"Error retrieving addresses on running the executable. {error}") from None
            code = await self._ended(program)
            errors.seek(0)
            problem = errors.read(ERROR_BYTES_MAX).decode("utf-8", "replace").strip()
        if code != 0:
            end = "was ended by a signal" if code is None else f"failed with exit code {code}"
            raise CannotDiscover(f"executable {end}: {problem}")
        if problem:
            raise CannotDiscover(f"Error retrieving addresses on running the executable. Details: {problem}")
        if output.size > OUTPUT_BYTES_MAX:
            raise CannotDiscover(f"executable printed more than {OUTPUT_BYTES_MAX} bytes")
        found = [word[1:-1] if word[0] == word[-1] == '"' else word for word in output.text().split()]
        if not found:
            raise CannotDiscover("Error retrieving addresses. The executable printed none")
        for word in found:
            if not _is_address(word):
                raise CannotDiscover(f"executable returned invalid IP address: {word}")
        return found

    async def _ended(self, program: Program) -> int | None:
        """The exit code, once the program has ended; who does not wait any longer ends it."""
        ended: Deferred[int | None] = Deferred(lambda _: program.kill())
        program.ended.addCallback(lambda code: None if ended.called else ended.callback(code))
        late = self._network.clock.callLater(SECONDS_MAX, ended.cancel)
        code = await ended
        if not late.active():
            raise CannotDiscover(f"executable took longer than {SECONDS_MAX:.0f} s")
        late.cancel()
        return code


def _is_address(word: str) -> bool:
    try:
        return address_of(parse(word, 0).host) is not None
    except BadAddress:
        return False
