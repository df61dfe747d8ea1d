"""The files of a batch in a request: a form with photos and ZIP archives, or one ZIP as the body.

One file at a time is in memory. Large files of all uploads share `FILE_BUDGET`.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import PurePosixPath
from typing import BinaryIO

from flask import Request
from multipart import MultipartSegment, ParserLimitReached, PushMultipartParser
from werkzeug.datastructures import MultiDict

from visage.anonymize.face_boxes import FACES_FILE, FaceBoxes, FacesBudget, read_face_boxes
from visage.batches.archive_directory import FILE_BUDGET
from visage.batches.archives import ZIP_MAGIC, ArchivedFile, ArchiveLimits, read_archive
from visage.batches.face_boxes import NamedBoxes, is_faces_file
from visage.errors import (
    ArchiveTooLarge,
    BadParameter,
    BodyTooLarge,
    ImageTooLarge,
    NoImage,
    RequestError,
    VisageError,
)
from visage.settings import Settings
from visage.temporary_files import open_temporary_file, storage_errors
from visage.web.form_parser import CHUNK, field_text, file_name
from visage.web.photo_request import received_body
from visage.web.uploads import body_errors, reject_compressed

_HOW_TO_SEND = "Send photos or ZIP archives as files of a multipart form, or one ZIP as the body, as application/zip."
_NO_PHOTOS = "The ZIP has no photos: folders, faces.json and files of the system do not count. Send a ZIP with photos."

_ZIP_TYPES = ("application/zip", "application/x-zip-compressed", "application/octet-stream")

_MAGIC_BYTES = len(ZIP_MAGIC[0])

# Bytes of a file that needs no reservation of memory.
_SMALL_FILE_BYTES = 2**20

# Bytes of a parameter in a form; those of Visage are much shorter.
_MAX_FIELD_BYTES = 2**16

# Parts of a form other than files.
_MAX_FIELDS = 32

_FORM_TOO_LARGE = "The form has too many fields or too long a name; send photos as files, with shorter names."


# A file of the form (0), or of the ZIP with this number.
NumberedFile = tuple[int, ArchivedFile]


class BatchUpload:
    """The files of `request`. After the iteration `fields` holds the other fields of the form, and `boxes` those of
    every `faces.json`.

    `source` is the name of the ZIP or folder that all files came from; empty if there is none.
    """

    def __init__(self, request: Request, settings: Settings) -> None:
        self.fields: MultiDict[str, str] = MultiDict()
        self.boxes = NamedBoxes(settings.max_batch_files)
        self._faces_budget = FacesBudget()
        self._archives = 0
        self._sources: set[str] = set()
        self._request = request
        self._settings = settings
        self._bytes_left = settings.max_batch_bytes
        self._fields_left = _MAX_FIELDS

    def __iter__(self) -> Iterator[ArchivedFile]:
        """Yield each file with its content, or with the reason why it is rejected.

        Raises:
            NoImage: the body is neither a form nor a ZIP.
            BodyTooLarge, ArchiveTooLarge: the body, or its unpacked content, is larger than the settings allow.
            BadArchive: a ZIP is invalid.
            UnsupportedType: the body is compressed.
            RequestError: the body does not match its headers.
            BadParameter: a `faces.json` is invalid, or all have too many boxes.
            StorageFull, BatchesUnavailable: there is no room for a temporary file.
        """
        reject_compressed(self._request)
        # In place of the limit for photos.
        self._request.max_content_length = self._settings.max_batch_bytes
        count = 0
        for archive, file in self._files():
            if is_faces_file(file.name):
                self.boxes.add_boxes(file.name, self._face_boxes(file.content), archive)
                continue
            count += 1
            self.boxes.add_file(count, file.name, archive)
            if count > self._settings.max_batch_files:
                raise ArchiveTooLarge(
                    f"The batch has more than {self._settings.max_batch_files:,} files; send several batches."
                )
            if isinstance(file.content, bytes):
                self._bytes_left -= len(file.content)
            if self._bytes_left < 0:
                raise ArchiveTooLarge("The unpacked archives are too large; send several batches.")
            yield file
            # The next file needs the memory.
            del file

    @property
    def source(self) -> str:
        """The name of the ZIP, or of the folder, that all files came from; empty if they came from several, or none."""
        [source, *others] = self._sources or {""}
        return "" if others else source

    def no_image(self) -> NoImage:
        """The error for an upload whose iteration has yielded no file."""
        return NoImage(_NO_PHOTOS if self._archives else _HOW_TO_SEND)

    def _files(self) -> Iterator[NumberedFile]:
        if self._request.mimetype == "multipart/form-data":
            return self._form_files()
        if self._request.mimetype in _ZIP_TYPES:
            return self._body_files()
        raise NoImage(_HOW_TO_SEND)

    def _form_files(self) -> Iterator[NumberedFile]:
        try:
            with body_errors(self._request):
                for part, pieces in self._parts():
                    name = file_name(part)
                    if name is None:
                        self._add_field(field_text(part.name), _value(pieces))
                    else:
                        yield from self._part_files(name, pieces)
        except RequestError as error:
            if isinstance(error.__cause__, ParserLimitReached):
                raise BodyTooLarge(_FORM_TOO_LARGE) from None
            raise

    def _add_field(self, name: str, value: str) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise BodyTooLarge(_FORM_TOO_LARGE)
        self.fields.add(name, value)

    def _parts(self) -> Iterator[tuple[MultipartSegment, Iterator[bytes]]]:
        """Yield each part of the form with an iterator over the pieces of its content."""
        boundary = self._request.mimetype_params.get("boundary", "")
        max_parts = self._settings.max_batch_files + _MAX_FIELDS
        with PushMultipartParser(boundary, max_segment_count=max_parts, header_charset="latin-1") as parser:
            events = parser.parse_blocking(self._request.stream.read, CHUNK)
            for event in events:
                # Pieces of the last part that were not consumed come here too.
                if isinstance(event, MultipartSegment):
                    yield event, iter(partial(next, events, None), None)

    def _part_files(self, name: str, pieces: Iterator[bytes]) -> Iterator[NumberedFile]:
        """Yield the file of a part, or the files of its ZIP; none for an empty file field of a web page."""
        head = b""
        while len(head) < _MAGIC_BYTES and (piece := next(pieces, b"")):
            head += piece
        if head.startswith(ZIP_MAGIC):
            self._sources.add(PurePosixPath(name).stem)
            yield from self._unpack(chain([head], pieces))
        elif name or head:
            folder, slash, _ = name.partition("/")
            self._sources.add(folder if slash else "")
            with ExitStack() as reservation:
                yield 0, ArchivedFile(name, self._content(chain([head], pieces), reservation))

    def _body_files(self) -> Iterator[NumberedFile]:
        archive = received_body(self._request)
        if archive is not None:
            yield from self._read(archive)
        else:
            with body_errors(self._request):
                yield from self._unpack(iter(partial(self._request.stream.read, CHUNK), b""))

    def _unpack(self, pieces: Iterator[bytes]) -> Iterator[NumberedFile]:
        with open_temporary_file(self._settings) as archive:
            with storage_errors():
                archive.writelines(pieces)
                archive.flush()
            yield from self._read(archive)

    def _read(self, archive: BinaryIO) -> Iterator[NumberedFile]:
        self._archives += 1
        for file in read_archive(archive, self._limits):
            yield self._archives, file
            del file

    def _content(self, pieces: Iterator[bytes], reservation: ExitStack) -> bytes | RequestError:
        """Return the content of a file; one that is not small waits for memory, which `reservation` frees."""
        content, limit = BytesIO(), self._settings.max_body_bytes
        for piece in pieces:
            if content.tell() <= _SMALL_FILE_BYTES < content.tell() + len(piece):
                # The form does not tell the size. Those who wait here hold a small file only, so nobody waits for them.
                reservation.enter_context(FILE_BUDGET.reserve(limit))
            content.write(piece)
            if content.tell() > limit:
                return ImageTooLarge(f"The file is larger than {limit:,} bytes; send a smaller copy of the photo.")
        return content.getvalue()

    def _face_boxes(self, content: bytes | VisageError) -> Mapping[str, FaceBoxes]:
        if isinstance(content, VisageError):
            raise BadParameter(f"{FACES_FILE} cannot be read: {content}")
        return read_face_boxes(content, budget=self._faces_budget)

    @property
    def _limits(self) -> ArchiveLimits:
        settings = self._settings
        return ArchiveLimits(settings.max_batch_files, settings.max_body_bytes, max(0, self._bytes_left))


def _value(pieces: Iterator[bytes]) -> str:
    """Return the value of a form field."""
    value = b""
    for piece in pieces:
        value += piece
        if len(value) > _MAX_FIELD_BYTES:
            raise BodyTooLarge("A field of the form is too long; send photos as files, with a file name.")
    return value.decode(errors="replace")
