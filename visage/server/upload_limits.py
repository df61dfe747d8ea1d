"""What a worker takes in of requests that are still arriving: how much at most, where to, and from whom."""

from visage.errors import BodyTooLarge, HeadersTooLong, QueueFull
from visage.server.connection import Connection, Held
from visage.server.request_framing import Reception
from visage.settings import MAX_TRANSFERS, Settings
from visage.temporary_files import open_temporary_file
from visage.web.security import check_token

# Bodies of the largest size allowed that a worker holds at most, beside those that work or wait: while they arrive; and
# those of batches, which are on the disk.
_MOST_ARRIVING = 8
_MOST_ON_DISK = 2

# Chunk lines and trailers may take as much again as the body itself.
_CODED = 2

# What to do about a body that is too large for memory.
_SMALLER = "send a smaller photo"
_WITH_LENGTH = "send the batch with its length, in Content-Length"


class Intake:
    """Judges requests by themselves, and by what all connections of the worker have `held` already."""

    def __init__(self, settings: Settings) -> None:
        self.held = Held()
        self._settings = settings
        self._most_in_memory = (settings.slots + settings.queue + _MOST_ARRIVING) * settings.max_body_bytes
        self._most_on_disk = _MOST_ON_DISK * settings.max_batch_bytes

    def check(self, connection: Connection) -> None:
        """Judge a request as far as it has come, and have that of a batch come to the disk.

        Raises:
            HeadersTooLong, BodyTooLarge: it is too much by itself.
            QueueFull: it is too much beside the others.
            Unauthorized: its sender has no token; what could fill the disk is not taken in first.
            StorageFull, BatchesUnavailable: there is no room, or no place, for a batch.
        """
        if not connection.is_for_the_disk:
            self._check(connection.reception, _WITH_LENGTH if connection.is_batch else _SMALLER)
            return
        self._check_batch(connection.reception)
        if not connection.reception.spool:
            connection.spool_to(open_temporary_file(self._settings))

    def _check(self, reception: Reception, remedy: str) -> None:
        most = self._settings.max_body_bytes
        if reception.head_too_long:
            raise HeadersTooLong("The headers are too long; send fewer or shorter ones.")
        if reception.body_bytes > most or len(reception.data) > _CODED * most + 2**16:
            raise BodyTooLarge(f"The body has more than {most:,} bytes; {remedy}.")
        if (
            reception.body_bytes
            and self.held.in_memory + reception.body_bytes - len(reception.data) > self._most_in_memory
        ):
            raise QueueFull("Too many photos are being received; try again in a second.")

    def _check_batch(self, reception: Reception) -> None:
        most, come = self._settings.max_batch_bytes, reception.spool.tell() if reception.spool else 0
        check_token(reception.header(b"authorization").decode("latin-1"), self._settings.api_token)
        if reception.body_bytes > most:
            raise BodyTooLarge(f"The batch has more than {most:,} bytes; send its photos in several.")
        too_many = not reception.spool and self.held.files >= MAX_TRANSFERS
        if too_many or self.held.on_disk + reception.body_bytes - come > self._most_on_disk:
            raise QueueFull("Too many batches are being received; try again later.", retry_after=10)
