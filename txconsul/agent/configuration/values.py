"""Typed access to merged values, which gathers what is wrong with them."""

from __future__ import annotations

import ipaddress
from typing import Any

from txconsul.agent.configuration.errors import ConfigurationError, several
from txconsul.codec.duration import SECOND, BadDuration, format_duration, parse_duration
from txconsul.language.goflags import quoted

__all__ = ["Values"]

PORT_MAX = 65535


class Values:
    """
    Reads dotted keys; a mistake is noted and reading goes on, so that several are reported together.

    @ivar errors: C{(key, message)}.
    """

    def __init__(self, values: dict[str, Any], origins: dict[str, str]) -> None:
        self._values = values
        self._origins = origins
        self.errors: list[tuple[str, str]] = []
        self.warnings: list[str] = []

    def get(self, key: str) -> Any:
        """The value, or None where it is not set."""
        value: Any = self._values
        for step in key.split("."):
            value = value.get(step)
            if value is None:
                return None
        return value

    def text(self, key: str) -> str:
        return self.get(key) or ""

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.get(key)
        return default if value is None else bool(value)

    def number(self, key: str, default: int = 0) -> int:
        value = self.get(key)
        return default if value is None else int(value)

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self.get(key) or ())

    def mapping(self, key: str) -> dict[str, Any]:
        return dict(self.get(key) or {})

    def rate(self, key: str) -> float:
        """A rate; a negative one means that there is no limit."""
        value = self.get(key)
        if value is None:
            return 0.0
        return float("inf") if value < 0 else float(value)

    def port(self, key: str) -> int:
        """A port, -1 where there is to be none."""
        value = self.get(key)
        if value is None or value <= 0:
            return -1
        if value > PORT_MAX:
            self.wrong(key, f"{key}: invalid port: {value}")
        return int(value)

    def duration(self, key: str, shown: str = "", low: str = "") -> float:
        """
        Seconds.

        @param shown: the key as errors write it, where that differs.
        @param low: the least that is allowed.
        """
        text = self.get(key)
        seconds = 0.0 if text is None else self.seconds(text, shown or key, key)
        if low and seconds < parse_duration(low) / SECOND:
            least = format_duration(parse_duration(low))
            self.wrong(key, f"{shown or key}: duration '{text or '0s'}' cannot be less than: {least}")
        return seconds

    def seconds(self, text: str, shown: str, key: str) -> float:
        """A duration that is not at a dotted key."""
        try:
            return parse_duration(text) / SECOND
        except BadDuration as error:
            self.wrong(key, f"{shown}: invalid duration: {quoted(text)}: {error}")
            return 0.0

    def networks(self, key: str) -> tuple[str, ...]:
        """Networks in CIDR notation, as C{HOST/BITS} with the bits behind the prefix cleared."""
        found = []
        for text in self.texts(key):
            try:
                if "/" not in text:
                    raise ValueError
                found.append(str(ipaddress.ip_network(text.strip(), strict=False)))
            except ValueError:
                self.wrong(key, f"{key}: invalid cidr: {text}")
        return tuple(found)

    def wrong(self, key: str, message: str) -> None:
        """Note a mistake."""
        self.errors.append((key, message))

    def refusal(self, message: str, *keys: str) -> ConfigurationError:
        """
        An error to be raised at once, which names the keys that it is about and where they were set.

        @param keys: dotted, the one to blame first; names of files are given for those that were set.
        """
        return ConfigurationError(message + self._places(message, keys), keys[0] if keys else "", self._origin(keys))

    def raise_errors(self) -> None:
        """
        @raise ConfigurationError: mistakes were noted.
        """
        if self.errors:
            keys = [key for key, _ in self.errors]
            raise ConfigurationError(
                several([message + self._places(message, (key,)) for key, message in self.errors]),
                keys[0],
                self._origin(keys),
            )

    def _origin(self, keys: Any) -> str:
        return next((self._origins[key] for key in keys if key in self._origins), "")

    def _places(self, message: str, keys: Any) -> str:
        """Which file set what, unless the text says it already."""
        places: dict[str, None] = {}
        for key in dict.fromkeys(keys):
            origin = self._origins.get(key)
            if origin is None:
                continue
            place = f"by {origin}" if origin.startswith("-") else f"in {origin}"
            places[place if key in message else f"{key} {place}"] = None
        return f" ({', '.join(places)})" if places else ""
