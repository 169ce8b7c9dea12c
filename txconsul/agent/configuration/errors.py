"""How a configuration that cannot be used is reported."""

from __future__ import annotations

from txconsul.errors import TxconsulError, several

__all__ = ["ConfigurationError", "several"]


class ConfigurationError(TxconsulError):
    """
    The configuration cannot be used; the agent does not start.

    @ivar key: the dotted key that is wrong, or an empty string.
    @ivar file: the file, flag or C{-hcl} text that set it last, or an empty string.
    """

    def __init__(self, message: str, key: str = "", file: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.file = file
