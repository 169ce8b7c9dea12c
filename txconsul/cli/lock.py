"""C{txconsul lock}: run a program while holding a lock."""

from __future__ import annotations

import subprocess
import threading
import time

from txconsul.cli.api import ApiError, Client
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.children import CannotStart, end_child, ended, shell_words, start_child
from txconsul.cli.interrupting import Interrupted, Interruptions, interruptible
from txconsul.cli.kv_store import trimmed
from txconsul.cli.lock_session import Renewal, create_session, watch_lock
from txconsul.cli.locks import Clock, Lock, LockError, Mutex, Semaphore
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS
from txconsul.language.goflags import BOOL, DURATION, INT, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul lock [options] PREFIX PROGRAM...

  Waits for a lock, runs the program while it is held, and gives it back. The
  lock is the key PREFIX/.lock; with -n it is a semaphore with so many holders.
  The program finds CONSUL_LOCK_HELD=true in its environment.

      $ txconsul lock jobs/nightly ./nightly --all
      $ txconsul lock -timeout=1m -child-exit-code jobs/nightly ./nightly

  If the lock is lost meanwhile, such as by an operator or because the agent
  cannot be reached, or if this command is told to end, so is the program; if
  it has not ended after 5 seconds it is killed.
"""

FLAGS = (
    Flag("child-exit-code", BOOL, "End with status 2 if the program failed, instead of 0."),
    Flag("monitor-retry", INT, "How often to ask again, after a second, before the lock counts as lost.", default=3),
    Flag("n", INT, "How many may hold the lock at the same time.", default=1),
    Flag("name", STRING, "Name of the lock's session. By default it names the program and the prefix."),
    Flag("pass-stdin", BOOL, "Let the program read what this command could."),
    Flag("shell", BOOL, "Let a shell run the program: /bin/sh, or that of the variable SHELL.", default=True),
    Flag("timeout", DURATION, "How long to wait for the lock. By default, however long it takes."),
    Flag("try", DURATION, "An older name of -timeout.", into="timeout"),
    Flag("verbose", BOOL, "Say what is done."),
    *CLIENT_FLAGS,
    *SERVER_FLAGS,
)

_SECOND = 1_000_000_000
#: The exit status for a program that failed, where that is asked for.
_PROGRAM_FAILED = 2
_CLOCK = Clock(time.monotonic, time.sleep)


@command(FLAGS)
def run(call: Call) -> int:
    """Hold the lock, and run the program."""
    flags = call.flags
    if flags["n"] <= 0:
        raise Failed("Lock holder limit must be positive")
    if len(call.rest) < 2:
        raise Failed("Key prefix and child command must be specified")
    if flags["timeout"] < 0:
        raise Failed("Timeout must be positive")
    if flags["monitor-retry"] < 0:
        raise Failed("Number for 'monitor-retry' must be >= 0")
    prefix, words = trimmed(call.rest[0]), call.rest[1:]
    client = call.client()
    try:
        client.call("GET", "/v1/agent/self").read()
    except ApiError as error:
        raise Failed(f"Error querying Consul agent: {error}") from None
    try:
        lock: Lock = Mutex(prefix) if flags["n"] == 1 else Semaphore(prefix, flags["n"])
    except LockError as error:
        raise Failed(f"Lock setup failed: {error}") from None
    name = flags["name"] or f"Consul lock for '{' '.join(words)}' at '{prefix}'"
    with interruptible() as interruptions:
        try:
            status = _hold(call, client, lock, name, words, interruptions)
        except Interrupted:  # not while the program ran, which is told of it
            raise Failed("Shutdown triggered or timeout during lock acquisition") from None
    return status if flags["child-exit-code"] else 0


def _hold(call: Call, client: Client, lock: Lock, name: str, words: list[str], interruptions: Interruptions) -> int:
    """Get the lock, use it, and leave nothing behind."""
    seconds = call.flags["timeout"] / _SECOND or None
    _tell(call, "Attempting lock acquisition")
    renewal = None
    try:
        try:
            with interruptions.put_off():  # a session that was made and not heard of could not be destroyed
                session = create_session(client, name, lock.behavior)
                renewal = Renewal(call.client(), session)
                renewal.start()
            acquired = lock.acquire(client, session, seconds, _CLOCK)
        except ApiError as error:
            raise Failed(f"Lock acquisition failed: {error}") from None
        if not acquired:
            raise Failed("Shutdown triggered or timeout during lock acquisition")
        status = _run_program(call, lock, session, words, interruptions)
        interruptions.ignore()
        try:
            lock.release(client, session)
        except ApiError as error:
            raise Failed(f"Lock release failed: {error}") from None
    finally:
        interruptions.ignore()
        if renewal is not None:
            renewal.finish(client)
    try:
        unused = lock.clean_up(client)
    except ApiError as error:
        raise Failed(f"Lock cleanup failed: {error}") from None
    _tell(call, "Cleanup succeeded" if unused else "Cleanup aborted, lock in use")
    return status


def _run_program(call: Call, lock: Lock, session: str, words: list[str], interruptions: Interruptions) -> int:
    """
    Run it to its end, or to the lock's.

    @return: the exit status that it asks for.
    """
    if call.flags["shell"]:
        words = shell_words(words, call.environment)
    environment = {**call.environment, "CONSUL_LOCK_HELD": "true"}
    _tell(call, "Starting handler")
    done, lost, interrupted = threading.Event(), threading.Event(), False
    watcher = call.client()

    def watch(child: subprocess.Popen[bytes]) -> None:
        if watch_lock(watcher, lock, session, call.flags["monitor-retry"], done.wait) and not done.is_set():
            lost.set()
            _tell(call, "Lock lost, killing child")
            end_child(child, done.wait)

    try:
        with interruptions.put_off():  # a program that has just been started would not be told
            child = start_child(words, environment, None if call.flags["pass-stdin"] else subprocess.DEVNULL)
            threading.Thread(target=watch, args=(child,), daemon=True).start()
        child.wait()
    except CannotStart as error:
        call.complain(f"Error starting handler: {error}")
        return _PROGRAM_FAILED
    except Interrupted as interruption:
        interrupted = True
        _tell(call, "Shutdown triggered, killing child")
        child.send_signal(interruption.number)
        end_child(child, lambda seconds: _ends(child, seconds))
        child.wait()
    done.set()
    problem = ended(child.returncode)
    if problem:
        call.complain(f"Error running handler: {problem}")
    if interrupted or lost.is_set():
        return 0
    _tell(call, "Child terminated, releasing lock")
    return _PROGRAM_FAILED if problem else 0


def _ends(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _tell(call: Call, text: str) -> None:
    if call.flags["verbose"]:
        call.say(text)
