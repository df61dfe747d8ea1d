"""Limits for requests that are arriving: their size, the buffer budget of the worker, and access to the disk."""

from functools import partial

from visage.errors import BodyTooLarge, QueueFull
from visage.server.http.request import RequestHead
from visage.server.http.request_body import BufferBudget, RequestBody
from visage.settings import MAX_TRANSFERS, Settings
from visage.temporary_files import open_temporary_file
from visage.web.origins import check_host, check_page
from visage.web.request_kinds import Kind
from visage.web.security import check_token

# The budget on the disk, in batches of the largest size.
_MAX_BATCHES_ON_DISK = 2

_SEND_SMALLER = "send a smaller photo"
_SEND_LENGTH = "send the batch with its length, in Content-Length"


class UploadLimits:
    """Opens the bodies of requests, each with limits of its own and with the `budget` of the worker."""

    def __init__(self, settings: Settings) -> None:
        self.budget = BufferBudget()
        self._settings = settings
        self._max_in_memory = settings.max_body_memory
        self._max_on_disk = _MAX_BATCHES_ON_DISK * settings.max_batch_bytes

    def open_body(self, head: RequestHead, kind: Kind) -> RequestBody:
        """Return an empty body, which checks itself while it grows. Batches with a known length go to the disk.

        Raises:
            BodyTooLarge: the request is too large.
            QueueFull: the buffer budget is exhausted.
            HostNotAllowed, CrossSite, Unauthorized: a photo or a batch comes from a web page that is not allowed, or
                lacks the token. Only allowed clients may fill memory and disk.
            StorageFull, BatchesUnavailable: the temporary file cannot be created.
        """
        expected = head.content_length or 0
        if kind is not Kind.OTHER:
            self._check_client(head)
        if kind is Kind.BATCH and expected:
            self._check_batch(expected)
            check = partial(self._check_on_disk, expected)
            return RequestBody(self.budget, check, open_temporary_file(self._settings))
        check = partial(self._check_in_memory, expected, _SEND_LENGTH if kind is Kind.BATCH else _SEND_SMALLER)
        if expected:
            check(0, 0)
        return RequestBody(self.budget, check, expected=expected)

    def _check_in_memory(self, expected: int, remedy: str, size: int, added: int) -> None:
        """Check a body of `size` bytes, and `expected` in all, before `added` bytes are added.

        It may take half of what other bodies leave, so that a smaller one always finds room beside it.
        """
        limit, whole = self._settings.max_body_bytes, max(expected, size + added)
        if whole > limit:
            raise BodyTooLarge(f"The body has more than {limit:,} bytes; {remedy}.")
        others = self.budget.in_memory - size
        if 2 * whole > self._max_in_memory - others:
            raise QueueFull("Too many photos are being received; try again in a second.")

    def _check_client(self, head: RequestHead) -> None:
        host, settings = head.header("host"), self._settings
        check_host(host, settings)
        check_page(host, head.header("origin"), head.header("sec-fetch-site"), settings)
        check_token(head.header("authorization"), settings.api_token)

    def _check_batch(self, expected: int) -> None:
        limit = self._settings.max_batch_bytes
        if expected > limit:
            raise BodyTooLarge(f"The batch has more than {limit:,} bytes; send its photos in several batches.")
        if self.budget.files >= MAX_TRANSFERS:
            raise _too_many_batches()
        self._check_on_disk(expected, 0, 0)

    def _check_on_disk(self, expected: int, size: int, _added: int) -> None:
        if self.budget.on_disk + expected - size > self._max_on_disk:
            raise _too_many_batches()


def _too_many_batches() -> QueueFull:
    return QueueFull("Too many batches are being received; try again later.", retry_after=10)
