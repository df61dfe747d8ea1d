"""Where the files of batches lie: a directory of this machine, or object storage that several machines share.

Keys are made of ids and numbers of ours, never of a name that a client chose. Whatever lies under a key was written
whole.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from visage.errors import DISK_FULL_ERRNOS, BatchesUnavailable, SettingsError, StorageFull

# For the owner alone: these are photos of people.
_PRIVATE = 0o700


class Store:
    """Contents by key (`id/part/of/batch`) under a directory or a URL that fsspec knows.

    What can fail raises StorageFull where there is no room left, and BatchesUnavailable where the storage cannot be
    reached.
    """

    def __init__(self, url: str) -> None:
        """Connect to nothing yet, so that processes may fork.

        Raises:
            SettingsError: no package that is installed knows the URL, or the directory cannot be made.
        """
        self._url = url
        try:
            kind = fsspec.get_filesystem_class(fsspec.core.split_protocol(url)[0] or "file")
        except ImportError as error:
            raise SettingsError(f"VISAGE_BATCH_STORE is {url!r}, for which a package is missing: {error}") from None
        except ValueError as error:
            raise SettingsError(f"VISAGE_BATCH_STORE is {url!r}, which cannot be used: {error}") from None
        self._root = kind._strip_protocol(url)
        self._local = issubclass(kind, LocalFileSystem)
        if self._local:
            _make_directory(Path(self._root))

    def ids(self) -> list[str]:
        """The ids of all batches that have anything here."""
        with self._told(), suppress(FileNotFoundError):
            return [PurePosixPath(path).name for path in self._files.ls(self._root, detail=False)]
        return []

    def make(self, batch_id: str) -> None:
        """Make room for a batch, where that has to be said: what is written later never brings a deleted one back."""
        if self._local:
            with self._told():
                for part in ("in", "out"):
                    Path(self._path(f"{batch_id}/{part}")).mkdir(_PRIVATE, parents=True)

    def write(self, key: str, content: bytes) -> None:
        """Put `content` in place as a whole; FileNotFoundError where the directory of its batch is gone."""
        with self._told():
            if self._local:
                _write_file(Path(self._path(key)), content)
                return
            try:
                self._files.pipe_file(self._path(key), content)
            except FileNotFoundError as error:
                # It is the bucket that is missing.
                raise OSError(str(error)) from error

    def read(self, key: str) -> bytes:
        """The content; FileNotFoundError where there is none."""
        with self._told():
            content: bytes = self._files.cat_file(self._path(key))
        return content

    def open(self, key: str) -> BinaryIO:
        """The content as a file to be read; FileNotFoundError where there is none."""
        with self._told():
            return cast(BinaryIO, self._files.open(self._path(key), "rb"))

    def has(self, key: str) -> bool:
        """Whether there is such a content."""
        with self._told():
            return self._is_there(self._path(key))

    def sizes(self, folder: str) -> dict[str, int]:
        """The sizes in bytes of the contents right in `folder`, by key."""
        with self._told(), suppress(FileNotFoundError):
            found = self._files.ls(self._path(folder), detail=True)
            return {f"{folder}/{PurePosixPath(info['name']).name}": int(info["size"]) for info in found}
        return {}

    def remove(self, key: str) -> None:
        """Remove a content, if it is there."""
        with self._told(), suppress(FileNotFoundError):
            self._files.rm_file(self._path(key))

    def remove_all(self, folder: str) -> None:
        """Remove all contents whose keys begin with `folder/`; others may write or remove there meanwhile."""
        path = self._path(folder)
        with self._told():
            # The next try takes along what came meanwhile. What a bucket does not let go of, s3fs passes over in
            # silence.
            for _ in range(3):
                self._empty(path)
                if not self._is_there(path):
                    return
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    @property
    def _files(self) -> Any:
        """The file system; fsspec keeps one a process and thread."""
        options = {} if self._local else {"use_listings_cache": False}
        return fsspec.core.url_to_fs(self._url, **options)[0]

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _empty(self, path: str) -> None:
        if self._local:
            _remove_directory(path)
        else:
            with suppress(FileNotFoundError):
                self._files.rm(path, recursive=True)

    def _is_there(self, path: str) -> bool:
        # fsspec's own `isfile` and `exists` say no as well where the storage cannot be asked.
        try:
            self._files.info(path)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell a full storage, and one that cannot be reached, as errors of ours."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
                raise StorageFull from error
            # Clients of object storage have errors of their own besides.
            if self._local and not isinstance(error, OSError):
                raise
            raise BatchesUnavailable("Batches cannot be stored, read or deleted now; try again later.") from error


def description_key(batch_id: str) -> str:
    """Where it is written what a batch is: the first of it to come, and the last to go."""
    return f"{batch_id}/batch.json"


def outcome_key(batch_id: str) -> str:
    """Where it is written what became of each file of a batch."""
    return f"{batch_id}/outcome.json"


def input_key(batch_id: str, number: int) -> str:
    """Where a file that is to be worked on lies."""
    return f"{batch_id}/in/{number:06d}"


def output_key(batch_id: str, number: int, attempt: int) -> str:
    """Where a result lies: each attempt has a place of its own, so that a late one touches no other."""
    return f"{batch_id}/out/{number:06d}.{attempt}"


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(_PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The directory {path} for batches cannot be made: {error.strerror}.") from None


def _remove_directory(path: str) -> None:
    """Remove it with all it has, but for what comes meanwhile; others may be removing it as well."""
    for folder, _, names in os.walk(path, topdown=False, onerror=_raise_unless_passing):
        for name in names:
            Path(folder, name).unlink(missing_ok=True)
        try:
            Path(folder).rmdir()
        except OSError as error:
            _raise_unless_passing(error)


def _raise_unless_passing(error: OSError) -> None:
    if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.ESTALE):
        raise error


def _write_file(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
