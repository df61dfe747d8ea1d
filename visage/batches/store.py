"""The store: the files of batches, in a directory or in object storage that several machines share.

Keys consist of our IDs and numbers, never of a name that a client chose. A file is written completely or not at all.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from visage.errors import DISK_FULL_ERRNOS, BatchesUnavailable, SettingsError, StorageFull

# Only the owner has access: these are photos of people.
_PRIVATE = 0o700

# Other processes can write to a folder while it is removed; a bucket can refuse a deletion for a moment.
_REMOVE_ATTEMPTS = 3


class Store:
    """Files by key (such as `id/in/000001`) in a directory or under a URL that fsspec knows.

    All methods raise StorageFull if there is no room left, and BatchesUnavailable if the storage cannot be reached.
    """

    def __init__(self, url: str) -> None:
        """Create the directory, if `url` is one. It opens no connection, so processes may fork afterwards.

        Raises:
            SettingsError: no installed package supports the URL, or the directory cannot be created.
        """
        self._url = url
        try:
            protocol, path = fsspec.core.split_protocol(url)
            kind = fsspec.get_filesystem_class(protocol or "file")
        except ImportError as error:
            raise SettingsError(f"VISAGE_BATCH_STORE is {url!r}, which needs a package: {error}") from None
        except ValueError as error:
            raise SettingsError(f"VISAGE_BATCH_STORE is {url!r}, which cannot be used: {error}") from None
        self._local = issubclass(kind, LocalFileSystem)
        self._root = str(Path(path).expanduser().absolute()) if self._local else url.rstrip("/")
        if self._local:
            _make_directory(Path(self._root))

    def ids(self) -> list[str]:
        """Return the IDs of all batches that have files here, and the names of foreign files."""
        with self._translated_errors(), suppress(FileNotFoundError):
            return [PurePosixPath(path).name for path in self._files.ls(self._root, detail=False)]
        return []

    def make(self, batch_id: str) -> None:
        """Create the folders of a batch. Object storage has none.

        `write` creates no folder, so a late result does not bring a deleted batch back.
        """
        if self._local:
            with self._translated_errors():
                for part in ("in", "out"):
                    Path(self._path(f"{batch_id}/{part}")).mkdir(_PRIVATE, parents=True)

    def write(self, key: str, content: bytes) -> None:
        """Write a file completely or not at all; FileNotFoundError if the folder of its batch was deleted."""
        with self._translated_errors():
            if self._local:
                _write_file(Path(self._path(key)), content)
                return
            try:
                self._files.pipe_file(self._path(key), content)
            except FileNotFoundError as error:
                # The bucket does not exist.
                raise OSError(str(error)) from error

    def read(self, key: str) -> bytes:
        """Return the content of a file; FileNotFoundError if there is none."""
        with self._translated_errors():
            content: bytes = self._files.cat_file(self._path(key))
        return content

    def open(self, key: str) -> BinaryIO:
        """Open a file for reading; FileNotFoundError if there is none."""
        with self._translated_errors():
            return cast(BinaryIO, self._files.open(self._path(key), "rb"))

    def has(self, key: str) -> bool:
        """Whether a file exists."""
        with self._translated_errors():
            return self._exists(self._path(key))

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the sizes in bytes of the files in `folder`, without its subfolders, by key."""
        with self._translated_errors(), suppress(FileNotFoundError):
            found = self._files.ls(self._path(folder), detail=True)
            return {f"{folder}/{PurePosixPath(info['name']).name}": int(info["size"]) for info in found}
        return {}

    def remove(self, key: str) -> None:
        """Remove a file, if it exists."""
        with self._translated_errors(), suppress(FileNotFoundError):
            self._files.rm_file(self._path(key))

    def remove_all(self, folder: str) -> None:
        """Remove a folder and everything in it. Other processes may write or remove there at the same time."""
        path = self._path(folder)
        with self._translated_errors():
            # Each attempt checks whether the folder is gone: s3fs does not report a deletion that a bucket refuses.
            for _ in range(_REMOVE_ATTEMPTS):
                self._empty(path)
                if not self._exists(path):
                    return
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    def free_bytes(self) -> int | None:
        """Return the bytes that are free on the disk of the directory; None for object storage, which states none."""
        if not self._local:
            return None
        with self._translated_errors():
            return shutil.disk_usage(self._root).free

    @property
    def _files(self) -> Any:
        """The file system; fsspec caches one per process and thread."""
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

    def _exists(self, path: str) -> bool:
        # fsspec's `isfile` and `exists` also return False if the storage cannot be reached.
        try:
            self._files.info(path)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise StorageFull for a full storage, and BatchesUnavailable for one that cannot be reached."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
                raise StorageFull from error
            # Clients of object storage raise other errors than OSError, too.
            if self._local and not isinstance(error, OSError):
                raise
            raise BatchesUnavailable("Batches cannot be stored, read or deleted now; try again later.") from error


def description_key(batch_id: str) -> str:
    """Return the key of a batch's description, the first of its files to be written and the last to be deleted."""
    return f"{batch_id}/batch.json"


def outcome_key(batch_id: str) -> str:
    """Return the key of the end of a batch and the result of each of its files."""
    return f"{batch_id}/outcome.json"


def input_key(batch_id: str, number: int) -> str:
    """Return the key of a photo to process."""
    return f"{batch_id}/in/{number:06d}"


def output_key(batch_id: str, number: int, attempt: int) -> str:
    """Return the key of a result. Each attempt has its own, so a late attempt cannot overwrite another one's."""
    return f"{batch_id}/out/{number:06d}.{attempt}"


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(_PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The directory {path} for batches cannot be created: {error.strerror}.") from None


def _remove_directory(path: str) -> None:
    """Remove a directory, except what another process writes meanwhile; another process may remove it, too."""
    for folder, _, names in os.walk(path, topdown=False, onerror=_raise_unless_concurrent):
        for name in names:
            Path(folder, name).unlink(missing_ok=True)
        try:
            Path(folder).rmdir()
        except OSError as error:
            _raise_unless_concurrent(error)


def _raise_unless_concurrent(error: OSError) -> None:
    """Ignore the errors that other processes cause by writing or removing in the same directory."""
    if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.ESTALE):
        raise error


def _write_file(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
