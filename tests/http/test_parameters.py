"""A request's target, taken apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.duration import SECOND
from txconsul.errors import BadRequest, TxconsulError
from txconsul.http.parameters import (
    BadPath,
    BadQuery,
    ReadDefaults,
    Redirected,
    Target,
    Unprintable,
    cache_control,
    parse_target,
    parse_uint,
    read_options,
)
from txconsul.records.query import DEFAULT, QueryOptions

NOTHING = ReadDefaults()


class TargetTests(SynchronousTestCase):
    """Paths and queries."""

    def test_plain(self) -> None:
        """A path without a query."""
        self.assertEqual(parse_target(b"/v1/kv/a"), Target(b"/v1/kv/a", {}))

    def test_query(self) -> None:
        """Names with and without values, repeated, escaped, and empty parts."""
        target = parse_target(b"/p?a&b=1&b=2&c=%41+b&&=x")
        self.assertEqual(target.query, {"a": [""], "b": ["1", "2"], "c": ["A b"], "": ["x"]})
        self.assertTrue(target.has("a"))
        self.assertEqual(target.get("b"), "1")
        self.assertEqual(target.get("z"), "")

    def test_escapes(self) -> None:
        """A path's escapes are undone; a plus stays one; an escaped slash is a slash of the key."""
        self.assertEqual(parse_target(b"/v1/kv/a%20b+c%2Fd%ff").path, b"/v1/kv/a b+c/d\xff")

    def test_badEscapes(self) -> None:
        """What is no escape refuses the path, or the query."""
        for raw in (b"/a%", b"/a%2", b"/a%zz"):
            self.assertRaises(BadPath, parse_target, raw)
        for raw in (b"/a?b=%", b"/a?%zz", b"/a?b;c"):
            self.assertRaises(BadQuery, parse_target, raw)

    def test_unprintable(self) -> None:
        """Control characters and NUL are refused, unless the configuration wants them."""
        for raw in (b"/a%00", b"/a%07", b"/a%7f", b"/a%0ab"):
            self.assertRaises(Unprintable, parse_target, raw)
            parse_target(raw, keep_unprintable=True)

    def test_unclean(self) -> None:
        """Empty and dot segments are redirected to the clean path, escaped once more; query and trailing slash stay."""
        for raw, clean in {
            b"/v1/kv/a//b": b"/v1/kv/a/b",
            b"/v1/kv/a/../b?x": b"/v1/kv/b?x",
            b"/v1/kv/a/./b": b"/v1/kv/a/b",
            b"/v1/kv/a/..": b"/v1/kv",
            b"/v1/kv/a/.": b"/v1/kv/a",
            b"/v1/kv/a/./": b"/v1/kv/a/",
            b"/v1/kv//a;b:c": b"/v1/kv/a;b:c",
            b"/v1/kv//a%20b?x=%20": b"/v1/kv/a%2520b?x=%20",
            b"/v1/kv//a!b": b"/v1/kv/a%21b",
            b'/v1/kv//a"b': b"/v1/kv/a%2522b",
            b"/v1/kv//\xc3\xa9": b"/v1/kv/%25C3%25A9",
            b"/../..": b"/",
            b"//": b"/",
        }.items():
            self.assertEqual(self.assertRaises(Redirected, parse_target, raw).location, clean)

    def test_dotsWithinNames(self) -> None:
        """Dots that are not a whole segment are a name's."""
        self.assertEqual(parse_target(b"/v1/kv/.hidden/a..b/...").path, b"/v1/kv/.hidden/a..b/...")

    def test_absoluteForm(self) -> None:
        """A proxy's request names the host as well."""
        self.assertEqual(parse_target(b"http://host:8500/v1/kv/a?b").path, b"/v1/kv/a")
        self.assertRaises(BadPath, parse_target, b"*")

    @given(st.binary(max_size=80))
    def test_anyBytes(self, raw: bytes) -> None:
        """Any bytes give a target, or an error with a status; a redirect leads to a path that is clean."""
        try:
            parse_target(raw)
        except Redirected as redirected:
            location = redirected.location
            try:
                parse_target(location)
            except Redirected as again:
                self.fail(f"{raw!r} leads to {location!r}, which leads to {again.location!r}")
            except TxconsulError:
                pass
        except TxconsulError:
            pass


class UintTests(SynchronousTestCase):
    """Go's ParseUint."""

    def test_numbers(self) -> None:
        """Decimal numbers up to 64 bits, leading zeros included."""
        self.assertEqual(parse_uint("0"), 0)
        self.assertEqual(parse_uint("007"), 7)
        self.assertEqual(parse_uint("0" * 100 + "5"), 5)
        self.assertEqual(parse_uint("18446744073709551615"), 2**64 - 1)

    def test_others(self) -> None:
        """Everything else is refused in Go's words."""
        for text in ("", "-1", "+1", "0x10", "1.5", "1_000", "१", " 1"):
            error = self.assertRaises(ValueError, parse_uint, text)
            self.assertIn("invalid syntax", str(error))
        for text in ("18446744073709551616", "9" * 10_000):
            error = self.assertRaises(ValueError, parse_uint, text)
            self.assertIn("value out of range", str(error))


class OptionsTests(SynchronousTestCase):
    """How a read wants to be answered."""

    def options(self, raw: bytes, defaults: ReadDefaults = NOTHING) -> QueryOptions:
        """The options of a target."""
        return read_options(parse_target(raw), defaults)

    def test_nothing(self) -> None:
        """What says nothing shares one record."""
        self.assertIs(self.options(b"/v1/kv/a"), DEFAULT)
        self.assertIs(self.options(b"/v1/kv/a?raw&dc=dc1"), DEFAULT)

    def test_blocking(self) -> None:
        """Index and wait."""
        options = self.options(b"/v1/kv/a?index=7&wait=5s")
        self.assertEqual((options.min_query_index, options.max_query_time), (7, 5 * SECOND))

    def test_consistency(self) -> None:
        """Stale and consistent; max_stale means stale if it is above zero."""
        self.assertTrue(self.options(b"/a?stale").allow_stale)
        self.assertTrue(self.options(b"/a?consistent").require_consistent)
        self.assertTrue(self.options(b"/a?max_stale=10s").allow_stale)
        self.assertFalse(self.options(b"/a?max_stale=0s").allow_stale)
        self.assertFalse(self.options(b"/a?max_stale=-1s").allow_stale)

    def test_refused(self) -> None:
        """Malformed values, and values that contradict each other."""
        for raw, text in {
            b"/a?wait=soon": "Invalid wait time",
            b"/a?index=-1": "Invalid index",
            b"/a?max_stale=soon": 'Invalid max_stale value "soon"',
            b"/a?stale&consistent": "Cannot specify ?stale with ?consistent, conflicting semantics.",
            b"/a?max_stale=1s&consistent": "Cannot specify ?stale with ?consistent, conflicting semantics.",
            b"/a?cached&consistent": "Cannot specify ?cached with ?consistent, conflicting semantics.",
        }.items():
            self.assertEqual(str(self.assertRaises(BadRequest, self.options, raw)), text)

    def test_discoveryMaxStale(self) -> None:
        """With C{discovery_max_stale}, catalog and health reads that say nothing are stale; others are not."""
        defaults = ReadDefaults(discovery_max_stale=10 * SECOND)
        self.assertTrue(self.options(b"/v1/health/state/any", defaults).allow_stale)
        self.assertTrue(self.options(b"/v1/catalog/nodes?index=1", defaults).allow_stale)
        self.assertFalse(self.options(b"/v1/catalog/nodes?leader", defaults).allow_stale)
        self.assertFalse(self.options(b"/v1/catalog/nodes?consistent", defaults).allow_stale)
        self.assertFalse(self.options(b"/v1/kv/a", defaults).allow_stale)

    def test_cacheControl(self) -> None:
        """The directives that reads heed; an age of nothing means must-revalidate."""
        self.assertEqual(
            cache_control("max-age=30, stale-if-error=60"), {"max_age": 30 * SECOND, "stale_if_error": 60 * SECOND}
        )
        self.assertEqual(cache_control("max-age=0"), {"max_age": 0, "must_revalidate": True})
        self.assertEqual(cache_control("no-cache, private"), {})
        self.assertRaises(BadRequest, cache_control, "max-age=long")
