"""
CRC-64 (ECMA-182, reflected, as Go's C{crc64.ECMA} and XZ have it) at the speed of C.

Python's standard library has no CRC-64, but its C{lzma} module stands on liblzma, which has: C{lzma_crc64} is looked up
in the library that Python itself has loaded (6 GB/s measured). Where it cannot be found, the data are packed into an XZ
stream, which carries this checksum, and it is read from there: 12 MB/s at the worst, for those who need it.
"""

from __future__ import annotations

import ctypes
import lzma
from collections.abc import Callable

__all__ = ["CRC64", "XZCRC64", "crc64"]

#: The standard's check: the CRC of C{123456789}.
_CHECK = 0x995DC9BBDF1939FA


class CRC64:
    """A running checksum, with hashlib's methods, by liblzma's own function."""

    def __init__(self, function: Callable[[bytes, int, int], int]) -> None:
        self._function = function
        self._crc = 0

    def update(self, data: bytes) -> None:
        """More data."""
        self._crc = self._function(data, len(data), self._crc)

    def digest(self) -> bytes:
        """The 8 bytes, big-endian, as in C{meta.json}."""
        return self._crc.to_bytes(8, "big")


class XZCRC64:
    """The same, read from an XZ stream, whose only block ends with the checksum, before the index and the footer."""

    #: As little searching for repetitions as liblzma can be told to do.
    _FILTER = {
        "id": lzma.FILTER_LZMA2,
        "preset": 0,
        "dict_size": 4096,
        "mode": lzma.MODE_FAST,
        "mf": lzma.MF_HC3,
        "nice_len": 3,
        "depth": 1,
    }
    _FOOTER_BYTES = 12

    def __init__(self) -> None:
        self._compressor = lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=[self._FILTER])
        self._end = b""
        self._empty = True

    def update(self, data: bytes) -> None:
        """More data."""
        self._empty = self._empty and not data
        self._end = (self._end + self._compressor.compress(data))[-256:]

    def digest(self) -> bytes:
        """The 8 bytes, big-endian. No data may follow."""
        end = self._end + self._compressor.flush()
        if self._empty:
            return bytes(8)
        index_bytes = 4 * (int.from_bytes(end[-8:-4], "little") + 1)  # as the footer says
        place = len(end) - self._FOOTER_BYTES - index_bytes
        return end[place - 8 : place][::-1]


def _find() -> Callable[[bytes, int, int], int] | None:
    """liblzma's function of data, length and the CRC so far; None if Python came without it or hides it."""
    try:
        import _lzma

        found = ctypes.CDLL(getattr(_lzma, "__file__", None)).lzma_crc64
    except (ImportError, OSError, AttributeError):
        return None
    found.restype = ctypes.c_uint64
    found.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)
    function: Callable[[bytes, int, int], int] = found
    return function if function(b"123456789", 9, 0) == _CHECK else None


_function = _find()


def crc64() -> CRC64 | XZCRC64:
    """A new checksum, the fastest there is here."""
    return XZCRC64() if _function is None else CRC64(_function)
