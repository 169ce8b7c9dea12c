"""Flags as Go's package flag reads them."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.language.goflags import (
    BOOL,
    DURATION,
    FLOAT,
    INT,
    LIST,
    OPTIONAL_BOOL,
    OPTIONAL_DURATION,
    OPTIONAL_INT,
    OPTIONAL_STRING,
    OPTIONAL_UINT,
    PAIRS,
    STRING,
    UINT,
    Flag,
    FlagError,
    HelpWanted,
    Parsed,
    defaults_text,
    parse,
    quoted,
)

FLAGS = (
    Flag("stale", BOOL, "Any server may answer."),
    Flag("name", STRING, "The `node` to ask.", default="here"),
    Flag("count", INT, "How many."),
    Flag("index", UINT, "From where."),
    Flag("share", FLOAT, "Which part.", default=0.5),
    Flag("wait", DURATION, "How long.", default=90 * 10**9),
    Flag("tag", LIST, "May be repeated."),
    Flag("file", LIST, "A file.", into="files"),
    Flag("dir", LIST, "A folder.", into="files"),
    Flag("meta", PAIRS, "key:value."),
    Flag("maybe", OPTIONAL_BOOL, "Perhaps."),
    Flag("port", OPTIONAL_INT, "A port."),
    Flag("most", OPTIONAL_UINT, "At most."),
    Flag("every", OPTIONAL_DURATION, "How often."),
    Flag("dc", OPTIONAL_STRING, "An alias.", hidden=True),
    Flag("x", OPTIONAL_STRING, "Short."),
)


def read(*arguments: str) -> Parsed:
    return parse(FLAGS, arguments)


class ReadingTests(SynchronousTestCase):
    """What the arguments mean."""

    def test_fourSpellings(self) -> None:
        """One or two dashes, a value behind a space or behind the equals sign: all the same."""
        for words in (["-name", "a"], ["-name=a"], ["--name", "a"], ["--name=a"]):
            self.assertEqual(read(*words)["name"], "a", words)

    def test_onlyTheFirstEqualsSignParts(self) -> None:
        """The value may contain more of them, and may be empty."""
        self.assertEqual(read("-name=a=b")["name"], "a=b")
        self.assertEqual(read("-name=")["name"], "")

    def test_booleanTakesNoFollowingWord(self) -> None:
        """A boolean's value stands behind the equals sign or nowhere."""
        parsed = read("-stale", "false")
        self.assertIs(parsed["stale"], True)
        self.assertEqual(parsed.rest, ["false"])
        self.assertIs(read("-stale=F")["stale"], False)

    def test_valueMayLookLikeAFlag(self) -> None:
        """The word behind a flag that needs a value is the value, whatever it looks like."""
        self.assertEqual(read("-name", "-stale")["name"], "-stale")

    def test_stopsAtTheFirstArgument(self) -> None:
        """What follows the first argument that is no flag is left alone; one dash is an argument."""
        self.assertEqual(read("-stale", "key", "-name=a").rest, ["key", "-name=a"])
        self.assertEqual(read("-", "-stale").rest, ["-", "-stale"])

    def test_stopsBehindTwoDashes(self) -> None:
        """Two dashes end the flags and are not an argument."""
        self.assertEqual(read("-stale", "--", "-name=a").rest, ["-name=a"])

    def test_lastValueCounts(self) -> None:
        """A flag given twice keeps the later value; lists keep both, in order, across flags that share a key."""
        self.assertEqual(read("-name=a", "-name=b")["name"], "b")
        self.assertEqual(read("-tag=a", "-tag", "b")["tag"], ["a", "b"])
        self.assertEqual(read("-file=a", "-dir=b", "-file=c")["files"], ["a", "b", "c"])
        self.assertEqual(read("-meta=a:1", "-meta=b:2:3", "-meta=c")["meta"], {"a": "1", "b": "2:3", "c": ""})

    def test_defaultsAreNotGiven(self) -> None:
        """Values are there for all flags, C{given} tells which were asked for, and no default is changed."""
        parsed = read("-tag=a")
        self.assertEqual((parsed["name"], parsed["wait"], parsed["maybe"]), ("here", 90 * 10**9, None))
        self.assertEqual(parsed.given, {"tag"})
        self.assertEqual(read()["tag"], [])

    def test_numbers(self) -> None:
        """Integers may have a base prefix and underscores; Consul's own are decimal."""
        for text, value in (("0x1f", 31), ("010", 8), ("0b11", 3), ("1_000", 1000), ("-7", -7), ("0", 0), ("00", 0)):
            self.assertEqual(read("-count", text)["count"], value, text)
        self.assertEqual(read("-port=010")["port"], 10)
        self.assertEqual(read("-index=18446744073709551615")["index"], 2**64 - 1)
        for text, share in (
            ("1e3", 1000.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1_0", 10.0),
            ("0x1p4", 16.0),
            ("-Inf", -math.inf),
        ):
            self.assertEqual(read("-share", text)["share"], share)
        self.assertEqual(read("-every=1m")["every"], 60 * 10**9)


class RefusalTests(SynchronousTestCase):
    """The words of the errors."""

    def refused(self, *arguments: str) -> str:
        return str(self.assertRaises(FlagError, read, *arguments))

    def test_unknown(self) -> None:
        """A flag that is not in the table."""
        self.assertEqual(self.refused("--colour=red"), "flag provided but not defined: -colour")

    def test_syntax(self) -> None:
        """Three dashes, or no name at all."""
        self.assertEqual(self.refused("---name"), "bad flag syntax: ---name")
        self.assertEqual(self.refused("-=a"), "bad flag syntax: -=a")

    def test_missing(self) -> None:
        """No value behind the last flag."""
        self.assertEqual(self.refused("-name"), "flag needs an argument: -name")

    def test_values(self) -> None:
        """Go's own kinds say little, Consul's pass on what strconv says."""
        for argument, words in (
            ("-stale=maybe", 'invalid boolean value "maybe" for -stale: parse error'),
            ("-count=a", 'invalid value "a" for flag -count: parse error'),
            ("-count=9223372036854775808", 'invalid value "9223372036854775808" for flag -count: value out of range'),
            ("-index=-1", 'invalid value "-1" for flag -index: parse error'),
            ("-share=1e999", 'invalid value "1e999" for flag -share: value out of range'),
            ("-share=half", 'invalid value "half" for flag -share: parse error'),
            ("-wait=5", 'invalid value "5" for flag -wait: parse error'),
            ("-port=x", 'invalid value "x" for flag -port: strconv.Atoi: parsing "x": invalid syntax'),
            ("-port=0x1", 'invalid value "0x1" for flag -port: strconv.Atoi: parsing "0x1": invalid syntax'),
            ("-most=many", 'invalid value "many" for flag -most: strconv.ParseUint: parsing "many": invalid syntax'),
            ("-every=5", 'invalid value "5" for flag -every: time: missing unit in duration "5"'),
            (
                "-maybe=maybe",
                'invalid boolean value "maybe" for -maybe: strconv.ParseBool: parsing "maybe": invalid syntax',
            ),
        ):
            self.assertEqual(self.refused(argument), words)

    def test_help(self) -> None:
        """Asking for help is no mistake, and a table may have a flag of that name."""
        for word in ("-h", "--h", "-help", "--help"):
            self.assertRaises(HelpWanted, read, word)
        self.assertIs(parse([Flag("h", BOOL, "")], ["-h"])["h"], True)

    def test_twiceInTheTable(self) -> None:
        """Two flags of one name are a mistake of the program."""
        self.assertRaises(ValueError, parse, [Flag("a", BOOL, ""), Flag("a", BOOL, "")], [])


class ListTests(SynchronousTestCase):
    """The list of flags."""

    def test_list(self) -> None:
        """Sorted, the value's word in the head, the default at the end, hidden ones left out."""
        shown = defaults_text(FLAGS)
        self.assertTrue(shown.startswith("Usage:\n  -count int\n    \tHow many.\n  -dir value\n"), shown)
        self.assertIn('  -name node\n    \tThe node to ask. (default "here")\n', shown)
        self.assertIn("  -stale\n    \tAny server may answer.\n", shown)
        self.assertIn("  -wait duration\n    \tHow long. (default 1m30s)\n", shown)
        self.assertIn("  -x value\n", shown)
        self.assertNotIn("-dc", shown)

    def test_shortHeads(self) -> None:
        """A head of up to four characters has its usage on its own line."""
        self.assertEqual(defaults_text([Flag("q", BOOL, "Be quiet.\nVery.")], ""), "  -q\tBe quiet.\n    \tVery.\n")

    def test_quoting(self) -> None:
        """Texts in errors are quoted as Go does."""
        self.assertEqual(quoted('a"\\\n\x01é\u2028'), '"a\\"\\\\\\n\\x01é\\u2028"')


class AnyArgumentsTests(SynchronousTestCase):
    """Whatever comes."""

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.text(max_size=12),
                st.builds(
                    "{}{}{}{}".format,
                    st.sampled_from(("-", "--")),
                    st.sampled_from([flag.name for flag in FLAGS]),
                    st.sampled_from(("=", "")),
                    st.text("0123456789aefnrstuxX_-+.:hms", max_size=8),
                ),
            ),
            max_size=6,
        )
    )
    def test_valuesOrAFlagError(self, arguments: list[str]) -> None:
        """Any arguments are read, refused with a FlagError, or ask for help; the rest is a tail of them."""
        try:
            parsed = parse(FLAGS, arguments)
        except (FlagError, HelpWanted):
            return
        self.assertEqual(parsed.rest, arguments[len(arguments) - len(parsed.rest) :])
