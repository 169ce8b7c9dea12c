"""What Consul answers about keys to requests that clients seldom make."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking


class PrettyTests(SynchronousTestCase):
    """C{?pretty} on what only says whether it was done."""

    def test_changes(self) -> None:
        """A change that was made is true, whatever the change, and whether it is to be pretty or not."""
        asking = Asking()
        for method, target in (
            ("PUT", "/v1/kv/a"),
            ("PUT", "/v1/kv/b?cas=0"),
            ("DELETE", "/v1/kv/a"),
            ("DELETE", "/v1/kv/b?recurse"),
            ("DELETE", "/v1/kv/c?cas=0"),
        ):
            for sign in ("&" if "?" in target else "?", ""):
                answer = asking.ask(method, target + (sign + "pretty" if sign else ""), b"x")
                self.assertEqual((answer.status, answer.body), (200, b"true\n" if sign else b"true"), target)
                asking.ask("DELETE", "/v1/kv/b")

    def test_refusals(self) -> None:
        """A change whose condition does not hold is false."""
        asking = Asking()
        asking.ask("PUT", "/v1/kv/a", b"x")
        for target, body in (("/v1/kv/a?cas=0&pretty", b"false\n"), ("/v1/kv/a?cas=0", b"false")):
            self.assertEqual(asking.ask("PUT", target, b"y").body, body)


class RefusalTests(SynchronousTestCase):
    """What a refusal quotes."""

    def test_conflicts(self) -> None:
        """Parameters that contradict each other are shown as a query, in the order of their names."""
        answer = Asking().ask("PUT", "/v1/kv/a?release=x%20y&flags=1&acquire=%C3%A9%26&acquire=%ff")
        self.assertEqual(
            (answer.status, answer.body),
            (400, b"Conflicting flags: acquire=%C3%A9%26&acquire=%FF&flags=1&release=x+y\n"),
        )

    def test_numbers(self) -> None:
        """What is no number is quoted as Go quotes."""
        for given, shown in (("x%22y", rb'"x\"y"'), ("%00", rb'"\x00"'), ("%ff", rb'"\xff"'), ("", b'""')):
            answer = Asking().ask("PUT", f"/v1/kv/a?cas={given}")
            self.assertEqual(
                (answer.status, answer.body), (500, b"strconv.ParseUint: parsing " + shown + b": invalid syntax")
            )
