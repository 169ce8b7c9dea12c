"""Packs the folder of C{txconsul debug} into one file."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile

from txconsul.cli.call import Failed
from txconsul.cli.gotext import system_error

__all__ = ["pack"]


def pack(folder: str, name: str) -> None:
    """
    Make a compressed archive of a folder, and remove the folder once that is on the disk.

    @raise Failed: it cannot be; the folder is left.
    """
    beside = ""
    try:
        descriptor, beside = tempfile.mkstemp(prefix=f"{os.path.basename(name)}.tmp", dir=os.path.dirname(name) or ".")
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz") as archive:
                archive.add(folder, os.path.basename(os.path.normpath(folder)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, name)
        beside = ""
        shutil.rmtree(folder)
    except OSError as error:
        raise Failed(f"Archive creation failed: {system_error(error)}") from None
    finally:
        if beside:
            os.unlink(beside)
