"""Leases: one owner processes a file, and another takes it over when the first one dies."""

import pytest

from tests.support.workshop import HookedEngine, Killed, Workshop, codes, die, end_process_of
from visage.batches.batch import new_id
from visage.batches.state_machine import (
    EXPIRY_SECONDS,
    Lease,
    LeaseOwner,
)


def lease_and_die(workshop: Workshop, owner: LeaseOwner) -> None:
    """Process a photo and die before it has a result."""
    with pytest.raises(Killed):
        workshop.process(workshop.worker(owner, HookedEngine(workshop.engine, die)))


def test_a_file_whose_process_died_on_this_machine_is_taken_over_at_once(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png, tiny_png)
    dead = workshop.owner("machine")
    lease_and_die(workshop, dead)
    end_process_of(dead)

    workshop.process(workshop.worker(workshop.owner("machine")))

    assert codes(workshop, batch_id) == ["done", "done"]
    assert sorted(each.size > 0 for each in workshop.batches.outputs(batch_id)) == [True, True]


def test_a_file_whose_process_died_elsewhere_is_taken_over_when_its_lease_has_expired(
    workshop: Workshop, tiny_png: bytes
) -> None:
    batch_id = workshop.submit(tiny_png, tiny_png)
    lease_and_die(workshop, workshop.owner("elsewhere"))
    worker = workshop.worker(workshop.owner("here"))
    workshop.process(worker)
    assert codes(workshop, batch_id) == ["waiting", "done"]

    for workshop.clock.now in (EXPIRY_SECONDS - 1, EXPIRY_SECONDS):
        workshop.batches.queue.enqueue(batch_id)
        workshop.process(worker)

    assert codes(workshop, batch_id) == ["done", "done"]


def test_a_lease_does_not_expire_while_heartbeats_arrive(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    slow = workshop.owner("elsewhere")
    lease_and_die(workshop, slow)
    worker = workshop.worker(workshop.owner("here"))

    for workshop.clock.now in range(0, 600, 10):
        slow.heartbeat()
        workshop.batches.queue.enqueue(batch_id)
        workshop.process(worker)

    assert codes(workshop, batch_id) == ["waiting"]


def test_a_living_process_on_this_machine_keeps_its_leases(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    lease_and_die(workshop, workshop.owner("machine"))

    workshop.process(workshop.worker(workshop.owner("machine")))

    assert codes(workshop, batch_id) == ["waiting"]


def test_leases_expire_at_once_when_their_owner_closes(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    leaving = workshop.owner("elsewhere")
    lease_and_die(workshop, leaving)

    leaving.close()
    workshop.batches.queue.enqueue(batch_id)
    workshop.process(workshop.worker(workshop.owner("here")))

    assert codes(workshop, batch_id) == ["done"]


def test_one_of_two_owners_gets_a_lease(workshop: Workshop) -> None:
    batch_id, states = new_id(), workshop.batches.states
    first, second = (Lease(batch_id, 1, 1, owner) for owner in ("first", "second"))

    leased = [states.lease(first), states.lease(second)]

    assert leased == [True, False]
    assert states.last_lease(batch_id, 1) == first


def test_a_released_lease_does_not_count_as_an_attempt_and_an_expired_one_does(workshop: Workshop) -> None:
    batch_id, states = new_id(), workshop.batches.states
    released, expired = (Lease(batch_id, number, 1, "owner") for number in (1, 2))
    assert states.lease(released)
    assert states.lease(expired)

    states.release(released)
    states.expire(expired)

    assert [states.last_lease(batch_id, number).attempt for number in (1, 2)] == [0, 1]
