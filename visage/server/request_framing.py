"""One request as it comes in, byte by byte: where its head ends, how long it will be, whether it is all there.

Nothing is interpreted beyond that. What is not HTTP counts as complete as soon as that shows: gunicorn's parser, which
reads it next, knows what to say about it.
"""

import re
from typing import BinaryIO

# Longer heads are refused unread, and no longer trailers are waited for. gunicorn's own limits of a line and of a field
# are lower.
MAX_HEAD_BYTES = 2**16

# In a head in lower case, which is searched much faster than with IGNORECASE. Leading zeros apart, no more digits than
# Python turns into a number; gunicorn refuses longer ones too.
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*0{0,99}(\d{1,4000})[ \t]*(?=\r\n)")
_BARE_LINE_END = re.compile(rb"(?<!\r)\n")

# A chunk's length and extensions, and the length itself: RFC 9112, 7.1 leaves the limits to the reader.
_MOST_CHUNK_LINE_BYTES, _MOST_CHUNK_BYTES = 4096, 2**62


class Reception:
    """Collects the bytes of one request.

    `complete` tells that it can be parsed, and stays so. `body_bytes` is how long its body is at least, as far as is
    known: what the head says, or the chunks announced so far. Both follow from the bytes, in any pieces. `spool` is
    where the body goes if it is not to stay in memory.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.complete = False
        self.body_bytes = 0
        self.spool: BinaryIO | None = None
        self._head_end = 0
        # Whether nobody could take another number of bytes for this request's body.
        self._sure = False
        # Where the line end before the next chunk's line must be: the head's last, then that behind each chunk.
        self._chunk_end: int | None = None

    @property
    def has_head(self) -> bool:
        return self._head_end > 0

    @property
    def head_too_long(self) -> bool:
        return not self.has_head and len(self.data) > MAX_HEAD_BYTES

    @property
    def head(self) -> bytes:
        """Request line and headers, as far as they have come."""
        return bytes(self.data[: self._head_end or None])

    def header(self, name: bytes) -> bytes:
        """The value of the first header of this `name`, given in lower case; nothing where there is none as yet."""
        head = self.head
        before, found, _ = head.lower().partition(b"\r\n" + name + b":")
        value, ended, _ = head[len(before) + len(found) :].partition(b"\r\n")
        return value.strip(b" \t") if found and ended else b""

    @property
    def surely_ends(self) -> bool:
        """Whether the last byte here is the request's last, and nobody could take another one for it."""
        return self._sure and len(self.data) == self._head_end + self.body_bytes

    @property
    def waits_for_go_ahead(self) -> bool:
        """Whether the client sends no body before it is told to (RFC 9110, 10.1.1)."""
        return not self.complete and self.header(b"expect").lower() == b"100-continue"

    def feed(self, data: bytes) -> None:
        """Take the next bytes; those of a next request may follow the last of this one."""
        if self.spool and not self.complete:
            data = self._write(self.spool, data)
        before = len(self.data)
        self.data += data
        if self.complete:
            return
        if not self.has_head:
            self._find_head(max(0, before - 3))
        if self._chunk_end is not None:
            self._follow_chunks(self._chunk_end)
        elif self.has_head and not self.spool:
            self.complete = len(self.data) >= self._head_end + self.body_bytes

    @property
    def chunked(self) -> bool:
        return self._chunk_end is not None

    def spool_to(self, file: BinaryIO) -> None:
        """Have the body, of which the head has told the length, go to `file`; so does what has come of it.

        Raises:
            OSError: the file takes no more; by `feed` too.
        """
        begun = bytes(self.data[self._head_end :])
        del self.data[self._head_end :]
        self.spool, self.complete = file, False
        self.feed(begun)

    def take(self) -> tuple[bytes, bytes, bytes]:
        """The head, the body and what follows it, and nothing is left here but the spool. The body of what is chunked,
        or no HTTP, counts as what follows its head.
        """
        body_end = self._head_end + (0 if self.chunked or self.spool else self.body_bytes)
        with memoryview(self.data) as view:
            parts = bytes(view[: self._head_end]), bytes(view[self._head_end : body_end]), bytes(view[body_end:])
        self.data = bytearray()
        return parts

    def _write(self, spool: BinaryIO, data: bytes) -> bytes:
        """Write what belongs to the body, and return what does not."""
        missing = self.body_bytes - spool.tell()
        spool.write(data[:missing])
        # What cannot be written must be known now, while somebody can be told.
        spool.flush()
        self.complete = len(data) >= missing
        return data[missing:]

    def _find_head(self, start: int) -> None:
        end = self.data.find(b"\r\n\r\n", start)
        if _BARE_LINE_END.search(self.data, start, end if end >= 0 else len(self.data)):
            self.complete = True
        elif end >= 0:
            self._head_end = end + 4
            head = self.head.lower()
            lengths = _LENGTH.findall(head)
            if b"\r\ntransfer-encoding:" in head:
                self._chunk_end = None if lengths else self._head_end - 2
            elif len(lengths) == 1:
                self.body_bytes = int(lengths[0])
            framing = head.count(b"content-length") + head.count(b"transfer-encoding")
            self._sure = framing == len(lengths) <= 1

    def _follow_chunks(self, chunk_end: int) -> None:
        """Go from chunk to chunk, as far as they have come (RFC 9112, 7.1)."""
        while not self.complete and chunk_end < len(self.data):
            line = chunk_end + 2
            line_end = self.data.find(b"\r\n", line, line + _MOST_CHUNK_LINE_BYTES)
            if not b"\r\n".startswith(self.data[chunk_end:line]):
                self.complete = True
            elif line_end < 0:
                self.complete = len(self.data) >= line + _MOST_CHUNK_LINE_BYTES
                break
            elif (size := _chunk_size(self.data[line:line_end])) == 0:
                # Trailers may follow; an empty line ends them.
                most = line_end + MAX_HEAD_BYTES
                self.complete = len(self.data) >= most or self.data.find(b"\r\n\r\n", line_end) >= 0
                break
            elif 0 < size < _MOST_CHUNK_BYTES:
                self.body_bytes += size
                chunk_end = line_end + 2 + size
            else:
                self.complete = True
        self._chunk_end = chunk_end


def _chunk_size(line: bytearray) -> int:
    """What a chunk's line says, -1 where that is no number; extensions may follow it."""
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        return -1
