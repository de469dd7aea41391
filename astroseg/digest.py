"""Checksums: what tells one file, map or setting from another."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["file_digest", "fingerprint"]


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, or of the names and the files of a folder."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        text = "".join(f"{file_digest(path / name)}  {name}\n" for name in files)
        return hashlib.sha256(text.encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(value: Any) -> str | int:
    """What tells one setting from another: the number or word itself, of a map the checksum of its content."""
    if isinstance(value, int) or (isinstance(value, str) and not Path(value).is_file()):
        return value
    if isinstance(value, str | os.PathLike):
        return file_digest(value)
    pixels = np.asarray(value)
    kind = f"{pixels.shape} {pixels.dtype.str} {getattr(value, 'unit', None)}"
    return hashlib.sha256(kind.encode() + pixels.tobytes()).hexdigest()
