"""Each body has limits, and all bodies of a worker share a budget."""

from pathlib import Path

import pytest

from visage.errors import BodyTooLarge, CrossSite, QueueFull, Unauthorized
from visage.server.http.request import RequestHead
from visage.server.http.upload_limits import UploadLimits
from visage.settings import MAX_TRANSFERS, Settings
from visage.web.request_kinds import Kind

LIMIT = 1000


@pytest.fixture
def limits(tmp_path: Path) -> UploadLimits:
    """One slot, no queue and eight arriving bodies: a budget of nine bodies."""
    return UploadLimits(
        Settings(
            slots=1, queue=0, max_body_bytes=LIMIT, max_batch_bytes=5 * LIMIT, state_dir=tmp_path, api_token="t" * 16
        )
    )


def head(length: int | None = None, **headers: str) -> RequestHead:
    found = {"host": "localhost", "authorization": f"Bearer {'t' * 16}", **headers}
    if length is not None:
        found["content-length"] = str(length)
    return RequestHead("POST", b"/predict", "1.1", tuple(found.items()))


def test_a_photo_of_the_largest_size_is_kept_in_memory(limits: UploadLimits) -> None:
    body = limits.open_body(head(LIMIT), Kind.PHOTO)
    body.write(bytes(LIMIT))

    assert (limits.budget.in_memory, limits.budget.on_disk) == (LIMIT, 0)


def test_a_body_that_announces_too_much_is_rejected_before_it_arrives(limits: UploadLimits) -> None:
    with pytest.raises(BodyTooLarge, match="send a smaller photo"):
        limits.open_body(head(LIMIT + 1), Kind.PHOTO)


def test_a_chunked_body_is_rejected_when_it_becomes_too_large(limits: UploadLimits) -> None:
    body = limits.open_body(head(), Kind.PHOTO)
    body.write(bytes(LIMIT))

    with pytest.raises(BodyTooLarge):
        body.write(b"x")


def test_bodies_share_a_budget_of_what_has_arrived(limits: UploadLimits) -> None:
    announced = [limits.open_body(head(LIMIT), Kind.PHOTO) for _ in range(20)]
    for body in announced[:8]:
        body.write(bytes(LIMIT))
    announced[8].write(bytes(LIMIT // 2))

    with pytest.raises(QueueFull):
        announced[9].write(bytes(LIMIT))
    announced[0].close()
    announced[9].write(bytes(LIMIT // 2))


def test_a_batch_with_a_length_goes_to_the_disk(limits: UploadLimits) -> None:
    body = limits.open_body(head(5 * LIMIT), Kind.BATCH)
    body.write(bytes(5 * LIMIT))

    assert (limits.budget.in_memory, limits.budget.on_disk, limits.budget.files) == (0, 5 * LIMIT, 1)
    body.close()
    assert (limits.budget.on_disk, limits.budget.files) == (0, 0)


@pytest.mark.parametrize(
    ("headers", "error"),
    [({"authorization": "Bearer wrong"}, Unauthorized), ({"origin": "https://evil.example"}, CrossSite)],
)
def test_a_batch_that_is_not_allowed_opens_no_file(
    limits: UploadLimits, headers: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        limits.open_body(head(LIMIT, **headers), Kind.BATCH)

    assert limits.budget.files == 0


def test_a_batch_that_is_too_large_is_rejected_before_it_arrives(limits: UploadLimits) -> None:
    with pytest.raises(BodyTooLarge, match="several batches"):
        limits.open_body(head(5 * LIMIT + 1), Kind.BATCH)


def test_batches_share_the_disk_and_the_files(limits: UploadLimits) -> None:
    bodies = [limits.open_body(head(5 * LIMIT), Kind.BATCH) for _ in range(3)]
    bodies[0].write(bytes(5 * LIMIT))
    bodies[1].write(bytes(1))
    with pytest.raises(QueueFull):
        bodies[2].write(bytes(1))

    few = [limits.open_body(head(1), Kind.BATCH) for _ in range(MAX_TRANSFERS - 3)]
    with pytest.raises(QueueFull):
        limits.open_body(head(1), Kind.BATCH)
    for body in (*bodies, *few):
        body.close()
