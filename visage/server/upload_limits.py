"""Limits for requests that are arriving: their size, the buffer budget of the worker, and access to the disk."""

from visage.errors import BodyTooLarge, HeadersTooLong, QueueFull
from visage.server.connection import BufferBudget, Connection
from visage.server.request_framing import RequestFraming
from visage.settings import MAX_TRANSFERS, Settings
from visage.temporary_files import open_temporary_file
from visage.web.origins import check_host, check_page
from visage.web.security import check_token

# The budget in memory, in bodies of the largest size: this many arrive, besides those in slots and in the queue.
_MAX_ARRIVING = 8

# The budget on the disk, in batches of the largest size.
_MAX_BATCHES_ON_DISK = 2

# A chunked body may take this many times its limit, because chunk lines and trailers count too.
_CHUNKED_FACTOR = 2

_SEND_SMALLER = "send a smaller photo"
_SEND_LENGTH = "send the batch with its length, in Content-Length"


class UploadLimits:
    """Checks requests that are arriving, each by itself and against the `budget` of the worker."""

    def __init__(self, settings: Settings) -> None:
        self.budget = BufferBudget()
        self._settings = settings
        self._max_in_memory = (settings.slots + settings.queue + _MAX_ARRIVING) * settings.max_body_bytes
        self._max_on_disk = _MAX_BATCHES_ON_DISK * settings.max_batch_bytes

    def check(self, connection: Connection) -> None:
        """Check what has arrived of a request, and send the body of a batch to a temporary file.

        Raises:
            HeadersTooLong, BodyTooLarge: the request is too large.
            QueueFull: the buffer budget is exhausted.
            HostNotAllowed, CrossSite, Unauthorized: a batch comes from a web page that is not allowed, or lacks the
                token. Only allowed clients may fill the disk.
            StorageFull, BatchesUnavailable: the temporary file cannot be created or written.
        """
        if not connection.goes_to_disk:
            self._check_in_memory(connection.framing, _SEND_LENGTH if connection.is_batch else _SEND_SMALLER)
            return
        self._check_batch(connection.framing)
        if not connection.framing.body_file:
            connection.write_body_to(open_temporary_file(self._settings))

    def _check_in_memory(self, framing: RequestFraming, remedy: str) -> None:
        limit = self._settings.max_body_bytes
        if framing.head_too_long:
            raise HeadersTooLong("The headers are too long; send fewer or shorter ones.")
        if framing.body_bytes > limit or len(framing.data) > _CHUNKED_FACTOR * limit + 2**16:
            raise BodyTooLarge(f"The body has more than {limit:,} bytes; {remedy}.")
        missing = framing.body_bytes - len(framing.data)
        if framing.body_bytes and self.budget.in_memory + missing > self._max_in_memory:
            raise QueueFull("Too many photos are being received; try again in a second.")

    def _check_batch(self, framing: RequestFraming) -> None:
        limit, arrived = self._settings.max_batch_bytes, framing.body_file.tell() if framing.body_file else 0
        self._check_access(framing)
        if framing.body_bytes > limit:
            raise BodyTooLarge(f"The batch has more than {limit:,} bytes; send its photos in several batches.")
        too_many_files = not framing.body_file and self.budget.files >= MAX_TRANSFERS
        if too_many_files or self.budget.on_disk + framing.body_bytes - arrived > self._max_on_disk:
            raise QueueFull("Too many batches are being received; try again later.", retry_after=10)

    def _check_access(self, framing: RequestFraming) -> None:
        host, origin, site, authorization = (
            framing.header(name).decode("latin-1") for name in (b"host", b"origin", b"sec-fetch-site", b"authorization")
        )
        check_host(host, self._settings)
        check_page(host, origin, site, self._settings)
        check_token(authorization, self._settings.api_token)
