"""How a configuration that cannot be used is reported."""

from __future__ import annotations

from collections.abc import Sequence

from txconsul.errors import TxconsulError

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


def several(messages: Sequence[str]) -> str:
    """
    The text of several errors found together, as the field's Go programs list them.

    >>> several(["a", "b"])
    '2 errors occurred:\\n\\t* a\\n\\t* b\\n\\n'
    """
    head = "1 error occurred:" if len(messages) == 1 else f"{len(messages)} errors occurred:"
    return head + "".join(f"\n\t* {message}" for message in messages) + "\n\n"
