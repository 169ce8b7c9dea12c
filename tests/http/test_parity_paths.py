"""Where Consul leads paths that clients seldom ask for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking


class PathTests(SynchronousTestCase):
    """Paths and the rows that they lead to."""

    def test_escapedLetters(self) -> None:
        """An escaped letter is that letter, also in the part that belongs to the API."""
        asking = Asking()
        asking.ask("PUT", "/v1/%6bv/a%2Fb", b"x")
        self.assertEqual(asking.get("/v1/kv/?keys"), ["a/b"])

    def test_escapedSlashes(self) -> None:
        """An escaped slash parts no segments of the API's own part; within a key it is a slash."""
        asking = Asking()
        for target in ("/v1%2Fkv/a", "/v1/kv%2Fa", "/v1%2Ftxn", "/v1/session%2flist"):
            answer = asking.ask("GET", target)
            self.assertEqual(answer.status, 404, target)
            self.assertIn(b"not a recognized HTTP API endpoint", answer.body)  # type: ignore[arg-type]

    def test_missingSlash(self) -> None:
        """What is unclean and lacks its last slash is led to the right place at once."""
        for target, location in {
            "/v1//kv?keys": b"/v1/kv/?keys",
            "/v1/kv/a/..": b"/v1/kv/",
            "/v1/./session/info": b"/v1/session/info/",
            "/v1//txn": b"/v1/txn",
        }.items():
            answer = Asking().ask("PUT", target)
            self.assertEqual(answer.status, 301)
            self.assertIn(b"Location: " + location + b"\r\n", answer.head)

    def test_redirectedWrites(self) -> None:
        """Who reads is led on with a page, who writes with a header alone."""
        for method, wanted in (("GET", True), ("PUT", False), ("DELETE", False), ("POST", False), ("OPTIONS", False)):
            answer = Asking().ask(method, "/v1/kv//a")
            self.assertEqual(answer.status, 301)
            self.assertIn(b"Location: /v1/kv/a\r\n", answer.head)
            self.assertEqual((b"Content-Type" in answer.head, answer.body != b""), (wanted, wanted), method)
