"""Which agent is asked: flags, then the environment, then the defaults."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txconsul.cli.settings import HTTP_FLAGS, BadSettings, Settings, read_settings
from txconsul.language.goflags import parse


class SettingsTests(SynchronousTestCase):
    """L{read_settings}."""

    def read(self, *words: str, **environment: str) -> Settings:
        """The settings of flags and variables; warnings are kept."""
        self.warnings: list[str] = []
        return read_settings(parse(HTTP_FLAGS, list(words)), environment, self.warnings.append)

    def file(self, text: str) -> str:
        """The name of a new file."""
        name: str = self.mktemp()
        with open(name, "w") as file:
            file.write(text)
        return name

    def test_defaults(self) -> None:
        """With nothing said: HTTP, port 8500 of this machine, no token."""
        self.assertEqual(self.read(), Settings())
        self.assertEqual(self.read("-http-addr="), Settings())

    def test_addresses(self) -> None:
        """An address is host and port, a URL with a path before every request's, or a socket."""
        for text, scheme, address, prefix, unix in (
            ("host:1", "http", "host:1", "", False),
            ("http://host:1", "http", "host:1", "", False),
            ("https://host:1/a/b", "https", "host:1", "/a/b", False),
            ("unix:///run/consul.sock", "http", "/run/consul.sock", "", True),
            ("https://[::1]:8501", "https", "[::1]:8501", "", False),
        ):
            for found in (self.read("-http-addr", text), self.read(CONSUL_HTTP_ADDR=text)):
                self.assertEqual(
                    (found.scheme, found.address, found.prefix, found.unix), (scheme, address, prefix, unix)
                )
        self.assertEqual(self.read("-http-addr=a:1", CONSUL_HTTP_ADDR="b:2").address, "a:1")

    def test_unknownScheme(self) -> None:
        """Another scheme is refused."""
        error = self.assertRaises(BadSettings, self.read, "-http-addr=ftp://x")
        self.assertEqual(str(error), "Unknown protocol scheme: ftp")

    def test_https(self) -> None:
        """CONSUL_HTTP_SSL makes HTTPS of an address without a scheme, and http:// does not take it back."""
        self.assertEqual(self.read(CONSUL_HTTP_SSL="true").scheme, "https")
        self.assertEqual(self.read("-http-addr=http://a:1", CONSUL_HTTP_SSL="1").scheme, "https")
        self.assertEqual(self.read(CONSUL_HTTP_SSL="maybe").scheme, "http")
        self.assertEqual(
            self.warnings,
            [r'could not parse CONSUL_HTTP_SSL: error="strconv.ParseBool: parsing \"maybe\": invalid syntax"'],
        )

    def test_verify(self) -> None:
        """Only a clear no turns the verification off."""
        self.assertFalse(self.read(CONSUL_HTTP_SSL_VERIFY="false").verify)
        self.assertTrue(self.read(CONSUL_HTTP_SSL_VERIFY="nope").verify)
        self.assertEqual(len(self.warnings), 1)

    def test_tokens(self) -> None:
        """-token-file counts before -token, that before CONSUL_HTTP_TOKEN_FILE, that before CONSUL_HTTP_TOKEN."""
        one, two = self.file(" one \n"), self.file("two\n")
        variables = {"CONSUL_HTTP_TOKEN": "four", "CONSUL_HTTP_TOKEN_FILE": two}
        self.assertEqual(self.read("-token=three", f"-token-file={one}", **variables).token, "one")
        self.assertEqual(self.read("-token=three", **variables).token, "three")
        self.assertEqual(self.read(**variables).token, "two")
        self.assertEqual(self.read(CONSUL_HTTP_TOKEN="four").token, "four")
        self.assertEqual(self.read("-token-file", self.file("\n"), "-token=three").token, "three")

    def test_absentTokenFile(self) -> None:
        """A token file that is not there is named."""
        error = self.assertRaises(BadSettings, self.read, "-token-file=absent")
        self.assertEqual(str(error), "Error loading token file absent : open absent: no such file or directory")

    def test_auth(self) -> None:
        """CONSUL_HTTP_AUTH is a user, with a password behind the first colon."""
        self.assertEqual(self.read(CONSUL_HTTP_AUTH="me:a:b").auth, ("me", "a:b"))
        self.assertEqual(self.read(CONSUL_HTTP_AUTH="me").auth, ("me", ""))

    def test_tls(self) -> None:
        """Files and the expected name, from flags and from the environment; a port behind the name is dropped."""
        names = ("ca_file", "ca_path", "client_cert", "client_key", "server_name")
        flags = ("ca-file", "ca-path", "client-cert", "client-key", "tls-server-name")
        variables = ("CACERT", "CAPATH", "CLIENT_CERT", "CLIENT_KEY", "TLS_SERVER_NAME")
        by_flags = self.read(*(f"-{flag}=x" for flag in flags))
        by_variables = self.read(**{f"CONSUL_{variable}": "x" for variable in variables})
        for name in names:
            self.assertEqual((getattr(by_flags, name), getattr(by_variables, name)), ("x", "x"))
        self.assertEqual(self.read("-tls-server-name=server.dc1.consul:8501").server_name, "server.dc1.consul")
        self.assertEqual(self.read("-tls-server-name=[::1]:8501").server_name, "::1")

    def test_parameters(self) -> None:
        """Datacenter, namespace and partition go with every request; the agent judges them."""
        found = self.read("-datacenter=dc2", "-namespace=n", CONSUL_PARTITION="p", CONSUL_NAMESPACE="m")
        self.assertEqual(found.params, (("dc", "dc2"), ("ns", "n"), ("partition", "p")))
