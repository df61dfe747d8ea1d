"""Forms and JSON as fields and files. `multipart` parses a form in a tenth of the time that werkzeug takes."""

import math
from collections.abc import Iterable
from io import BytesIO
from typing import IO

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from visage.images.headers import is_image
from visage.web.json_body import Fields, Files, parse_json
from visage.web.large_bodies import free, parsed_alone

# Names of the field with the photo.
PHOTO_FIELDS = ("image", "file")

# Types of bodies with fields.
FORM_TYPES = frozenset({"multipart/form-data", "application/json"})

# Bytes per read of a body.
CHUNK = 2**18


class PhotoFormParser(FormDataParser):
    """Keeps every part in memory. Photos are never written to the disk, not even to a temporary file."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], Fields, Files]:
        """Return the fields and files of a form or of JSON; none of other bodies, which are left unread.

        A multipart body that does not match its headers has none either.

        Raises:
            RequestEntityTooLarge: the form has too many parts, or a field is too long.
            RequestError: the JSON is invalid.
        """
        if mimetype not in FORM_TYPES:
            return stream, Fields(), Files()
        with parsed_alone(content_length):
            if mimetype == "application/json":
                form = parse_json(stream.read(), PHOTO_FIELDS)
            else:
                form = self._read_multipart(stream, content_length or 0, (options or {}).get("boundary", ""))
            free(stream)
        return stream, *form

    def _read_multipart(self, stream: IO[bytes], size: int, boundary: str) -> tuple[Fields, Files]:
        max_parts = self.max_form_parts or math.inf
        try:
            # Latin-1 decodes any byte, so a file name in an unknown encoding does not fail the request.
            with PushMultipartParser(boundary, max_segment_count=max_parts, header_charset="latin-1") as parser:
                return self._collect(parser.parse_blocking(stream.read, CHUNK), size)
        except ParserLimitReached:
            raise RequestEntityTooLarge from None
        except MultipartError:
            return Fields(), Files()

    def _collect(self, events: Iterable[MultipartSegment | bytes | None], size: int) -> tuple[Fields, Files]:
        fields, files = Fields(), Files()
        part: MultipartSegment | None = None
        content = BytesIO()
        for event in events:
            if isinstance(event, MultipartSegment):
                part, name = event, file_name(event)
                # Zeros take no memory until they are overwritten, and a buffer that grows would be copied again and
                # again.
                content = BytesIO(b"" if name is None else bytes(size))
            elif part is None:
                continue
            elif event:
                content.write(event)
                # The size of files is limited by that of the body alone.
                if name is None and part.bytes_received > (self.max_form_memory_size or math.inf):
                    if not _is_unnamed_photo(part, content.getvalue()):
                        raise RequestEntityTooLarge
                    name = ""
            else:
                content.truncate(part.bytes_received)
                value = content.getvalue()
                if name is None and not _is_unnamed_photo(part, value):
                    fields.add(field_text(part.name), value.decode(errors="replace"))
                else:
                    files.add(field_text(part.name), FileStorage(BytesIO(value), name or "", part.name))
        return fields, files


def _is_unnamed_photo(part: MultipartSegment, content: bytes) -> bool:
    """Whether a part without a file name is a photo by its type or its first bytes: some clients leave the name out."""
    return part.name in PHOTO_FIELDS and ((part.content_type or "").startswith("image/") or is_image(content))


def file_name(part: MultipartSegment) -> str | None:
    """Return the file name of a part, None for a field. Some clients send only the form of RFC 5987, `filename*`."""
    if part.filename is not None:
        return field_text(part.filename)
    return parse_options_header(part.header("Content-Disposition"))[1].get("filename")


def field_text(latin: str) -> str:
    """Decode a header value as UTF-8, which clients send; invalid bytes become replacement characters."""
    return latin.encode("latin-1").decode(errors="replace")
