"""
The check that a program makes, as Nagios' plugins do: exit code 0 is passing, 1 warning, any other critical.

Source: Consul's documentation of script checks.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txconsul.agent.checks.output import Tail
from txconsul.agent.checks.programs import CannotStart, Program, Start
from txconsul.codec.duration import SECOND, format_duration
from txconsul.interfaces import ICheck
from txconsul.records.health import CRITICAL, PASSING, WARNING, CheckResult

__all__ = ["ScriptCheck", "verdict"]


def verdict(code: int | None) -> str:
    """What an exit code says; None is the end by a signal."""
    return {0: PASSING, 1: WARNING}.get(-1 if code is None else code, CRITICAL)


@implementer(ICheck)
class ScriptCheck:
    """
    @param start: starts programs, see L{txconsul.agent.checks.programs.starter}.
    @param arguments: the program and its arguments.
    @param timeout: seconds after which the program is ended, with all that it started.
    @param output_size_max: bytes of the output that are kept.
    """

    def __init__(
        self, start: Start, clock: IReactorTime, arguments: Sequence[str], timeout: float, output_size_max: int
    ) -> None:
        self._start = start
        self._clock = clock
        self._arguments = arguments
        self._timeout = timeout
        self._output_size_max = output_size_max
        self._program: Program | None = None

    def run(self) -> Deferred[CheckResult]:
        """See L{ICheck}. It answers only when the program has ended: never do two run at the same time."""
        output = Tail(self._output_size_max)
        try:
            program = self._start(self._arguments, output)
        except CannotStart as error:
            return succeed(CheckResult(status=CRITICAL, output=str(error), certain=True))
        self._program = program
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            program.kill()

        def ended(code: int | None) -> CheckResult:
            self._program = None
            if call.active():
                call.cancel()
            if not late:
                return CheckResult(status=verdict(code), output=output.remarked())
            said = output.remarked()
            text = f"Timed out ({format_duration(int(self._timeout * SECOND))}) running check"
            return CheckResult(status=CRITICAL, output=f"{text}\n\n{said}" if said else text, certain=True)

        call = self._clock.callLater(self._timeout, expire)
        answer: Deferred[CheckResult] = Deferred(lambda _: program.kill())
        # Who broke it off has had an answer.
        program.ended.addCallback(ended).addCallback(lambda found: None if answer.called else answer.callback(found))
        return answer

    def stop(self) -> None:
        """See L{ICheck}."""
        if self._program is not None:
            self._program.kill()
