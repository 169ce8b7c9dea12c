"""A small world for configurations: no file of the machine, one network interface, a known name."""

from __future__ import annotations

import ipaddress
import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.configuration import Configuration, ConfigurationError, Surroundings, agent_flags, load
from txconsul.agent.configuration.interfaces import Interface

INTERFACES = (
    Interface("lo", ipaddress.ip_interface("127.0.0.1/8"), loopback=True),
    Interface("eth0", ipaddress.ip_interface("10.1.2.3/16"), default=True),
    Interface("eth1", ipaddress.ip_interface("8.8.4.4/24")),
    Interface("eth0", ipaddress.ip_interface("2001:4860::8888/64"), default=True),
    Interface("eth0", ipaddress.ip_interface("fe80::1/64")),
    Interface("down0", ipaddress.ip_interface("10.9.9.9/24"), up=False),
)


def surroundings(interfaces: tuple[Interface, ...] = INTERFACES, descriptors: int = 65536) -> Surroundings:
    """The world."""
    return Surroundings(
        hostname=lambda: "host-1", interfaces=lambda: interfaces, descriptors=lambda: descriptors, environment={}
    )


class ConfigurationTestCase(SynchronousTestCase):
    """Writes files and loads them."""

    def write(self, name: str, text: str, directory: str | None = None) -> str:
        """A new file; its path."""
        directory = directory or self.directory()
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def directory(self) -> str:
        """A new directory."""
        path = self.mktemp()
        os.makedirs(path)
        return path

    def load(self, *arguments: str, hcl: str = "", **options: Any) -> Configuration:
        """A client agent with a data directory and C{hcl}, given as one of the flags."""
        options.setdefault("surroundings", surroundings())
        data_dir = () if "-dev" in arguments else ("-data-dir=data",)
        return load(agent_flags([*data_dir, *arguments, *(("-hcl", hcl) if hcl else ())]), **options)

    def refused(self, *arguments: str, **options: Any) -> str:
        """What is wrong with a configuration."""
        return str(self.assertRaises(ConfigurationError, self.load, *arguments, **options))
