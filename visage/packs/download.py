"""Download the files of a model pack, with retries and resumption. Files are verified before they get their names."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote

import requests
import urllib3

from visage.errors import FetchError, PackError
from visage.packs.files import PackFile
from visage.packs.pack import MANIFEST, Pack
from visage.urls import without_password

# Our choice: five requests over 15 s survive a dropped connection or a server restart, and a person still waits.
PAUSES_SECONDS = (0, 1, 2, 4, 8)
# Our choice: to connect, and between two pieces of a response; far more than a slow connection needs.
TIMEOUT_SECONDS = (10, 30)
CHUNK_BYTES = 64 * 1024

RESUME = "Run the command again to resume, or set VISAGE_MIRROR to a mirror of the pack."
USE_MIRROR = "Set VISAGE_MIRROR to a mirror of the pack."


class Progress(Protocol):
    """`update` takes the number of bytes received. It is negative when a download starts again."""

    def update(self, count: int, /) -> object: ...


# Called with the name of a file, its size if known, and the bytes that exist already: `tqdm(desc, total, initial)`.
ProgressFactory = Callable[[str, int | None, int], AbstractContextManager[Progress]]
Sleep = Callable[[float], object]


class _NoProgress:
    def update(self, _count: int, /) -> None: ...


def no_progress(_name: str, _total: int | None, _initial: int) -> AbstractContextManager[Progress]:
    return nullcontext(_NoProgress())


def fetch_pack(
    pack: Pack, into: Path, *, mirror: str = "", progress: ProgressFactory = no_progress, sleep: Sleep = time.sleep
) -> tuple[Path, ...]:
    """Make `into` a complete copy of the pack: download missing and altered files, then copy the manifest.

    With `mirror`, files come from `<mirror>/<pack>/<file>` instead of their URLs. A second call for the same folder
    waits for the first. Returns the files that were downloaded.

    Raises:
        FetchError: a file has no source, or could not be downloaded, verified or stored. Existing files are unchanged,
            and the next call resumes an interrupted download.
    """
    files = [replace(file, path=into / file.path.name) for file in dict.fromkeys(pack.files)]
    missing = [replace(file, url=_source(pack, file, mirror)) for file in files if not _is_valid(file)]
    try:
        into.mkdir(parents=True, exist_ok=True)
        with _locked(into), requests.Session() as session:
            for file in missing:
                # A fetch that ran before this one may have downloaded it.
                if not _is_valid(file):
                    _download(session, file, progress, sleep)
            _copy_manifest(pack.folder / MANIFEST, into / MANIFEST)
    except OSError as error:
        raise FetchError(
            f"The pack {pack.name} could not be stored in {into} ({error.strerror or error}). See that the folder has "
            "room and can be written, or set VISAGE_MODELS_DIR to another; then run the command again to resume."
        ) from error
    return tuple(file.path for file in missing)


def _source(pack: Pack, file: PackFile, mirror: str) -> str:
    name = file.path.name
    url = f"{mirror.rstrip('/')}/{quote(pack.name)}/{quote(name)}" if mirror else file.url or ""
    if not url.lower().startswith(("http://", "https://")):
        fault = f"{url} is not an http:// or https:// URL" if url else f"its manifest names no URL for {name}"
        raise FetchError(f"The pack {pack.name} cannot be fetched: {fault}. {USE_MIRROR}")
    return url


def _is_valid(file: PackFile) -> bool:
    try:
        file.read()
    except PackError:
        return False
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait for the lock of `folder` and hold it. The system releases the lock of a process that dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _download(session: requests.Session, file: PackFile, progress: ProgressFactory, sleep: Sleep) -> None:
    part = _part_of(file.path)
    with part.open("ab") as stream:
        if _exceeds_size(stream, file):
            _empty(stream)
        with progress(file.path.name, file.size, stream.tell()) as bar:
            _receive_all(session, file, stream, bar, sleep)
    content = part.read_bytes()
    found = file.digest(content)
    if found != file.checksum or file.size not in (None, len(content)):
        part.unlink()
        size = "" if file.size is None else f"{file.size:,} bytes with "
        reason = f"the server sent another file, {len(content):,} bytes with {file.algorithm} {found}"
        remedy = "Run the command again, or set VISAGE_MIRROR to another source if that brings the same."
        raise _failure(file, f"{reason}; expected {size}{file.algorithm} {file.checksum}", remedy)
    _put_in_place(part, file.path)


class _Interrupted(Exception):
    """A request failed for a reason that a retry may not meet."""


def _receive_all(session: requests.Session, file: PackFile, stream: BinaryIO, bar: Progress, sleep: Sleep) -> None:
    reason = ""
    for pause in PAUSES_SECONDS:
        sleep(pause)
        if stream.tell() == file.size:
            return
        try:
            _receive(session, file, stream, bar)
        except _Interrupted as interruption:
            reason = str(interruption)
        else:
            return
    raise _failure(file, f"{reason} (the last of {len(PAUSES_SECONDS)} attempts)", RESUME)


def _receive(session: requests.Session, file: PackFile, stream: BinaryIO, bar: Progress) -> None:
    """Append the body of one request, and stop as soon as it exceeds the size of the file."""
    offset = stream.tell()
    # Ranges and sizes count uncompressed bytes. Each request has a new connection: one kept through a long download may
    # be dead, and is closed only by garbage collection.
    headers = {"Accept-Encoding": "identity", "Connection": "close"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        with session.get(file.url or "", headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            status = f"the server answered {response.status_code} {response.reason or ''}".rstrip()
            if response.status_code == 429 or response.status_code >= 500:
                raise _Interrupted(status)
            if response.status_code not in (200, 206, 416):
                raise _failure(file, status, USE_MIRROR)
            if not _continues(response, file, offset):
                _empty(stream)
                bar.update(-offset)
                if response.status_code != 200:
                    raise _Interrupted("the server could not resume the download")
            for chunk in response.iter_content(CHUNK_BYTES):
                stream.write(chunk)
                bar.update(len(chunk))
                if _exceeds_size(stream, file):
                    return
    except requests.exceptions.ChunkedEncodingError:
        raise _Interrupted(f"the connection broke off after {stream.tell():,} bytes") from None
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _Interrupted(_cause(error)) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _failure(file, _cause(error), USE_MIRROR) from error


def _continues(response: requests.Response, file: PackFile, offset: int) -> bool:
    total = r"\d+" if file.size is None else file.size
    span = response.headers.get("Content-Range", "")
    return response.status_code == 206 and re.fullmatch(rf"bytes {offset}-\d+/({total}|\*)", span) is not None


def _exceeds_size(stream: BinaryIO, file: PackFile) -> bool:
    return file.size is not None and stream.tell() > file.size


def _empty(stream: BinaryIO) -> None:
    stream.seek(0)
    stream.truncate()


def _cause(error: BaseException) -> str:
    """The reason of the innermost of the wrapped exceptions, such as `Connection refused`."""
    root = error
    while root.__context__ is not None:
        root = root.__context__
    reason = str(getattr(root, "strerror", None) or root).rstrip(".")
    return f"the proxy failed: {reason}" if isinstance(error, requests.exceptions.ProxyError) else reason


def _failure(file: PackFile, reason: str, remedy: str) -> FetchError:
    # The reason may repeat the URL.
    url, shown_reason = without_password(file.url or ""), without_password(reason)
    return FetchError(f"{file.path.name} could not be fetched from {url}: {shown_reason}. {remedy}")


def _copy_manifest(manifest: Path, copy: Path) -> None:
    if not copy.is_file() or copy.read_bytes() != manifest.read_bytes():
        shutil.copyfile(manifest, _part_of(copy))
        _put_in_place(_part_of(copy), copy)


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _put_in_place(part: Path, path: Path) -> None:
    """Flush to disk before the rename, so that a power failure leaves no empty file under the name."""
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(path)
