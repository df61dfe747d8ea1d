"""Each body has limits, and all bodies of a worker share a budget."""

from pathlib import Path

import pytest

from visage.errors import BodyTooLarge, CrossSite, QueueFull, Unauthorized
from visage.server.http.request import RequestHead
from visage.server.http.request_body import RequestBody
from visage.server.http.upload_limits import UploadLimits
from visage.settings import MAX_TRANSFERS, Settings
from visage.web.request_kinds import Kind

LIMIT = 1000


@pytest.fixture
def limits(tmp_path: Path) -> UploadLimits:
    """Memory for four bodies of the largest size."""
    return UploadLimits(
        Settings(
            max_body_bytes=LIMIT,
            body_memory=4 * LIMIT,
            max_batch_bytes=5 * LIMIT,
            state_dir=tmp_path,
            api_token="t" * 16,
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


def received(limits: UploadLimits, size: int) -> RequestBody:
    body = limits.open_body(head(size), Kind.PHOTO)
    body.write(bytes(size))
    return body


def test_a_body_takes_at_most_half_of_the_memory_that_others_leave(limits: UploadLimits) -> None:
    for _ in range(3):
        received(limits, LIMIT)

    with pytest.raises(QueueFull):
        received(limits, LIMIT // 2 + 1)
    received(limits, LIMIT // 2)


def test_large_bodies_leave_room_for_small_ones(limits: UploadLimits) -> None:
    sizes = [LIMIT, LIMIT, LIMIT, 500, 250, 100, 50, 50, 20, 10, 10]

    for size in sizes:
        received(limits, size)

    assert limits.budget.in_memory == sum(sizes) < 4 * LIMIT
    with pytest.raises(QueueFull):
        received(limits, 200)
    received(limits, 1)


def test_what_was_announced_takes_no_memory(limits: UploadLimits) -> None:
    announced = [limits.open_body(head(LIMIT), Kind.PHOTO) for _ in range(20)]
    for body in announced:
        body.write(b"x")

    assert limits.budget.in_memory == 20
    received(limits, LIMIT)


def test_a_body_is_rejected_while_it_arrives_if_others_were_faster(limits: UploadLimits) -> None:
    slow = limits.open_body(head(LIMIT), Kind.PHOTO)
    slow.write(b"x")
    fast = [received(limits, size) for size in (LIMIT, LIMIT, LIMIT - 100)]

    with pytest.raises(QueueFull):
        slow.write(b"x")
    fast[0].close()
    slow.write(bytes(LIMIT - 1))


def test_a_chunked_body_is_rejected_when_it_takes_more_than_half(limits: UploadLimits) -> None:
    for _ in range(3):
        received(limits, LIMIT)
    body = limits.open_body(head(), Kind.PHOTO)
    body.write(bytes(LIMIT // 2))

    with pytest.raises(QueueFull):
        body.write(b"x")


def test_one_body_of_the_largest_size_is_accepted_with_the_least_memory(tmp_path: Path) -> None:
    limits = UploadLimits(Settings(max_body_bytes=LIMIT, body_memory=2 * LIMIT, state_dir=tmp_path))
    body = received(limits, LIMIT)

    with pytest.raises(QueueFull):
        received(limits, LIMIT)
    body.close()
    received(limits, LIMIT)


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
@pytest.mark.parametrize("kind", [Kind.PHOTO, Kind.BATCH])
@pytest.mark.parametrize("length", [LIMIT, None])
def test_a_client_that_is_not_allowed_takes_neither_memory_nor_disk(
    limits: UploadLimits, headers: dict[str, str], error: type[Exception], kind: Kind, length: int | None
) -> None:
    with pytest.raises(error):
        limits.open_body(head(length, **headers), kind)

    assert (limits.budget.in_memory, limits.budget.files) == (0, 0)


def test_other_requests_need_no_token(limits: UploadLimits) -> None:
    limits.open_body(head(10, authorization=""), Kind.OTHER).write(b"x")

    assert limits.budget.in_memory == 1


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
