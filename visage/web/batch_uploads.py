"""The files of a batch out of a request, one in memory at a time: of a form, of ZIPs in a form, or of a ZIP alone."""

from collections.abc import Iterator
from functools import partial
from itertools import chain

from flask import Request
from multipart import MultipartSegment, ParserLimitReached, PushMultipartParser
from werkzeug.datastructures import MultiDict

from visage.batches.archives import ZIP_MAGIC, ArchivedFile, ArchiveLimits, read_archive
from visage.errors import ArchiveTooLarge, BodyTooLarge, ImageTooLarge, NoImage, RequestError
from visage.settings import Settings
from visage.temporary_files import open_temporary_file, storage_errors
from visage.web.form_parser import CHUNK, field_text, file_name
from visage.web.uploads import refuse_compressed, sound

_ZIP_TYPES = ("application/zip", "application/x-zip-compressed", "application/octet-stream")

_MAGIC_BYTES = 4

# Bytes; parameters are short.
_LONGEST_FIELD = 2**16

# Parts of a form beside its files.
_MOST_FIELDS = 32

_TOO_MUCH_OF_A_FORM = "The form has too many fields or too long a name; send photos as files, with shorter names."

HOW_TO_SEND = "Send photos or ZIP archives as files of a multipart form, or one ZIP as the body, as application/zip."


class BatchUpload:
    """The files of `request`, as they are asked for; `fields` has the form's other fields once they all were."""

    def __init__(self, request: Request, settings: Settings) -> None:
        self.fields: MultiDict[str, str] = MultiDict()
        self._request = request
        self._settings = settings
        self._bytes_left = settings.max_batch_bytes
        self._fields_left = _MOST_FIELDS

    def __iter__(self) -> Iterator[ArchivedFile]:
        """Yield each file, with its content or the reason why it is refused.

        Raises:
            NoImage: the body is neither a form nor a ZIP.
            BodyTooLarge, ArchiveTooLarge: it is, or unpacks to, more than the settings allow.
            BadArchive: a ZIP is none.
            RequestError: the body is not what its headers say.
            StorageFull: there is no room for a ZIP.
        """
        refuse_compressed(self._request)
        # In place of the limit for photos.
        self._request.max_content_length = self._settings.max_batch_bytes
        if self._request.mimetype == "multipart/form-data":
            files = self._form_files()
        elif self._request.mimetype in _ZIP_TYPES:
            files = self._body_files()
        else:
            raise NoImage(HOW_TO_SEND)
        for count, file in enumerate(files, 1):
            if count > self._settings.max_batch_files:
                raise self._too_many()
            if isinstance(file.content, bytes):
                self._bytes_left -= len(file.content)
            if self._bytes_left < 0:
                raise ArchiveTooLarge("The archives hold too much once they are unpacked; send several batches.")
            yield file

    def _form_files(self) -> Iterator[ArchivedFile]:
        try:
            with sound(self._request):
                for part, pieces in self._parts():
                    name = file_name(part)
                    if name is None:
                        self._add_field(field_text(part.name), _value(pieces))
                    else:
                        yield from self._files_of_part(name, pieces)
        except RequestError as error:
            if isinstance(error.__cause__, ParserLimitReached):
                raise BodyTooLarge(_TOO_MUCH_OF_A_FORM) from None
            raise

    def _add_field(self, name: str, value: str) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise BodyTooLarge(_TOO_MUCH_OF_A_FORM)
        self.fields.add(name, value)

    def _parts(self) -> Iterator[tuple[MultipartSegment, Iterator[bytes]]]:
        """Each part of the form, with the pieces that it comes in."""
        boundary = self._request.mimetype_params.get("boundary", "")
        most = self._settings.max_batch_files + _MOST_FIELDS
        with PushMultipartParser(boundary, max_segment_count=most, header_charset="latin-1") as parser:
            events = parser.parse_blocking(self._request.stream.read, CHUNK)
            for event in events:
                # Of a part that nobody wanted to the end, the rest comes here too.
                if isinstance(event, MultipartSegment):
                    yield event, iter(partial(next, events, None), None)

    def _files_of_part(self, name: str, pieces: Iterator[bytes]) -> Iterator[ArchivedFile]:
        """What a part of the form brings: a file, those of a ZIP, or none where a page's field was left empty."""
        head = b""
        while len(head) < _MAGIC_BYTES and (piece := next(pieces, b"")):
            head += piece
        if head.startswith(ZIP_MAGIC):
            yield from self._unpacked(chain([head], pieces))
        elif name or head:
            yield ArchivedFile(name, self._content(chain([head], pieces)))

    def _body_files(self) -> Iterator[ArchivedFile]:
        received = self._request.environ["wsgi.input"]
        # Large ones are on the disk already.
        if hasattr(received, "seekable") and received.seekable():
            yield from read_archive(received, self._limits)
        else:
            with sound(self._request):
                pieces = iter(partial(self._request.stream.read, CHUNK), b"")
                yield from self._unpacked(pieces)

    def _unpacked(self, pieces: Iterator[bytes]) -> Iterator[ArchivedFile]:
        with open_temporary_file(self._settings) as archive:
            with storage_errors():
                archive.writelines(pieces)
                archive.flush()
            yield from read_archive(archive, self._limits)

    def _content(self, pieces: Iterator[bytes]) -> bytes | RequestError:
        content, most = bytearray(), self._settings.max_body_bytes
        for piece in pieces:
            content += piece
            if len(content) > most:
                return ImageTooLarge(f"The file is larger than {most:,} bytes; send a smaller copy of the photo.")
        return bytes(content)

    @property
    def _limits(self) -> ArchiveLimits:
        settings = self._settings
        return ArchiveLimits(settings.max_batch_files, settings.max_body_bytes, max(0, self._bytes_left))

    def _too_many(self) -> ArchiveTooLarge:
        return ArchiveTooLarge(f"There are more than {self._settings.max_batch_files:,} files; send several batches.")


def _value(pieces: Iterator[bytes]) -> str:
    """A field of a form."""
    value = b""
    for piece in pieces:
        value += piece
        if len(value) > _LONGEST_FIELD:
            raise BodyTooLarge("A field of the form is too long; photos are sent as files, with a file name.")
    return value.decode(errors="replace")
