"""Multipart forms, parsed by the library `multipart` in a tenth of the time that werkzeug takes for a photo."""

import math
from collections.abc import Iterable
from io import BytesIO
from typing import IO

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

Fields = MultiDict[str, str]
Files = MultiDict[str, FileStorage]

# Bytes per read of a body.
CHUNK = 2**18


class PhotoFormParser(FormDataParser):
    """Keeps every part in memory. Photos are never written to the disk, not even to a temporary file."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[IO[bytes], Fields, Files]:
        """Return the fields and files of a form; none if a multipart body does not match its headers.

        Raises:
            RequestEntityTooLarge: the form has too many parts, or a field is too long.
        """
        if mimetype != "multipart/form-data":
            return super().parse(stream, mimetype, content_length, options)
        try:
            boundary, max_parts = (options or {}).get("boundary", ""), self.max_form_parts or math.inf
            # Latin-1 decodes any byte, so a file name in an unknown encoding does not fail the request.
            with PushMultipartParser(boundary, max_segment_count=max_parts, header_charset="latin-1") as parser:
                form = self._collect(parser.parse_blocking(stream.read, CHUNK))
        except ParserLimitReached:
            raise RequestEntityTooLarge from None
        except MultipartError:
            return stream, MultiDict(), MultiDict()
        return stream, *form

    def _collect(self, events: Iterable[MultipartSegment | bytes | None]) -> tuple[Fields, Files]:
        fields, files = Fields(), Files()
        part: MultipartSegment | None = None
        chunks: list[bytes] = []
        for event in events:
            if isinstance(event, MultipartSegment):
                part, chunks, name = event, [], file_name(event)
            elif part is None:
                continue
            elif event:
                chunks.append(event)
                # The size of files is limited by that of the body alone.
                if name is None and part.bytes_received > (self.max_form_memory_size or math.inf):
                    raise RequestEntityTooLarge
            elif name is None:
                fields.add(field_text(part.name), b"".join(chunks).decode(errors="replace"))
            else:
                files.add(field_text(part.name), FileStorage(BytesIO(b"".join(chunks)), name, part.name))
        return fields, files


def file_name(part: MultipartSegment) -> str | None:
    """Return the file name of a part, None for a field. Some clients send only the form of RFC 5987, `filename*`."""
    if part.filename is not None:
        return field_text(part.filename)
    return parse_options_header(part.header("Content-Disposition"))[1].get("filename")


def field_text(latin: str) -> str:
    """Decode a header value as UTF-8, which clients send; invalid bytes become replacement characters."""
    return latin.encode("latin-1").decode(errors="replace")
