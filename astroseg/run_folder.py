"""A folder that holds a search while it lasts, so that an interrupted one goes on where it was.

Every piece is a file of its own, written under a temporary name and then renamed: complete, or not there. Names begin
with a key, a hash of all that decides the result; files of another key are never looked at.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from astroseg.errors import FolderError
from astroseg.overlap import Part
from astroseg.pieces import Piece
from astroseg.tiling import Tile

__all__ = ["Kept", "RunFolder"]

MANIFEST = "manifest.json"
_UNREADABLE = (OSError, ValueError, KeyError, zipfile.BadZipFile)

WRITING = "writing"  # exists while the final files are written


class Kept(NamedTuple):
    """A piece in a file."""

    name: str
    n_sources: int


class RunFolder:
    """Keeps the pieces of a search in files; see `~astroseg.streaming.Shelf`.

    Parameters
    ----------
    path : path
        Made where it does not exist.
    identity : dict
        All that decides the result, as JSON takes it: image, options, versions.
    kind : class
        Of the pieces: with ``to_arrays``, ``from_arrays`` and ``n_sources``.
    """

    shared = True

    def __init__(self, path: str | Path, identity: dict[str, Any], kind: type[Piece | Part] = Piece) -> None:
        self.path = Path(path)
        self.kind = kind
        self.identity = identity
        self.key = hashlib.sha256(_text(identity).encode()).hexdigest()[:16]
        self._arrays: dict[str, tuple[tuple[int, int], np.dtype]] = {}

    def open(self, *, fresh: bool = False) -> list[str]:
        """Make the folder ready for the search; what another search left there is removed.

        Parameters
        ----------
        fresh : bool
            Remove what this search left there, too.

        Returns
        -------
        list of str
            What has changed since, where it was another search that could have been gone on with.

        Raises
        ------
        FolderError
            The folder cannot be written.
        """
        before = self._manifest()
        changed = (
            []
            if before is None or fresh
            else sorted(key for key in {*before, *self.identity} if before.get(key) != self.identity.get(key))
        )
        with _clear(self.path):
            if (fresh or changed) and self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            self._write(MANIFEST, lambda stream: stream.write(_text(self.identity).encode()))
        return changed

    def remove(self) -> None:
        """Remove the folder, when its search has ended."""
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def was_writing(self) -> bool:
        """Whether the search was complete, and stopped while its files were written."""
        return self._manifest() == json.loads(_text(self.identity)) and (self.path / WRITING).exists()

    def begin_writing(self) -> None:
        """Note that the final files are written from now on; without a folder there is nothing to go on with."""
        if self.path.exists():
            with _clear(self.path):
                (self.path / WRITING).touch()

    def put(self, tile: Tile, piece: Any) -> Kept:
        """Write what was found in a tile."""
        return self._put(
            self._name(tile), piece.to_arrays() | {"n_sources": np.array(piece.n_sources)}, piece.n_sources
        )

    def get(self, kept: Kept) -> Any:
        """Read it again."""
        with np.load(self.path / kept.name) as file:
            return self.kind.from_arrays(dict(file))

    def known(self, tile: Tile) -> Kept | None:
        """The piece of a tile, if it was written before."""
        name = self._name(tile)
        # A file that cannot be read, after a power cut say, is as good as none.
        with contextlib.suppress(*_UNREADABLE), (self.path / name).open("rb") as stream, np.load(stream) as file:
            return Kept(name, int(file["n_sources"]))
        return None

    def allot(self, name: str, shape: tuple[int, int], dtype: type) -> None:
        """Make a file for an array of zeros as large as the image."""
        self._arrays[name] = (shape, np.dtype(dtype))
        with _clear(self.path), self._array_path(name).open("wb") as stream:
            size = shape[0] * shape[1] * np.dtype(dtype).itemsize
            if hasattr(os, "posix_fallocate"):  # a disk that fills up later would kill the process
                os.posix_fallocate(stream.fileno(), 0, size)
            else:
                stream.truncate(size)

    def fill(self, name: str, row: int, values: np.ndarray) -> None:
        """Write whole rows of an array, from one row on."""
        with _clear(self.path), self._array_path(name).open("r+b") as stream:
            # Mapped: writes into one file would wait for each other. The map goes before the file is closed, which is
            # when network file systems send what was written.
            offset = row * values[0].nbytes
            np.memmap(stream, dtype=values.dtype, mode="r+", offset=offset, shape=values.shape)[:] = values

    def array(self, name: str) -> np.ndarray:
        """The array, mapped into memory."""
        shape, dtype = self._arrays[name]
        with _clear(self.path):
            return np.memmap(self._array_path(name), dtype=dtype, mode="r+", shape=shape)

    def _array_path(self, name) -> Path:
        return self.path / f"{name}.array"

    def keep_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Keep what is known of the whole image."""
        self._put(f"{self.key}.{name}.npz", arrays, 0)

    def kept_arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """What `keep_arrays` kept."""
        path = self.path / f"{self.key}.{name}.npz"
        with contextlib.suppress(*_UNREADABLE), path.open("rb") as stream, np.load(stream) as file:
            return dict(file)
        return None

    def _name(self, tile: Tile) -> str:
        rows, columns = tile.own
        size = f"{rows.stop - rows.start}x{columns.stop - columns.start}"
        return f"{self.key}.tile.{rows.start}.{columns.start}.{size}.npz"

    def _put(self, name, arrays, number) -> Kept:
        with _clear(self.path):
            self._write(name, lambda stream: np.savez(stream, **arrays))
        return Kept(name, number)

    def _write(self, name, write) -> None:
        part = self.path / f"{name}.{os.getpid()}.part"
        try:
            with part.open("wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self.path / name)
        finally:
            part.unlink(missing_ok=True)

    def _manifest(self) -> dict[str, Any] | None:
        try:
            return json.loads((self.path / MANIFEST).read_text())
        except (OSError, ValueError):
            return None


def _text(identity: dict[str, Any]) -> str:
    return json.dumps(identity, sort_keys=True, indent=1, default=str)


@contextlib.contextmanager
def _clear(path):
    """Say in a line what is wrong with a folder: full, read-only, ..."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        msg = (
            f"Cannot write into {path}: {reason}. What is found so far is kept there; the same command goes on with it."
        )
        raise FolderError(msg) from error
