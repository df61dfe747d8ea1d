"""Single files of a batch: their results, and a person's corrections in place of them."""

import json
from functools import partial

from visage.anonymize.results import Anonymized
from visage.batches.batch import Batch, Task
from visage.batches.lifecycle import Batches, Output
from visage.batches.processing import converted_to
from visage.batches.queue import key_of
from visage.batches.results import Done, result_to_json
from visage.batches.state_machine import State
from visage.batches.store import output_key
from visage.errors import BatchError, BatchFileNotFound, BatchNotDone, BatchNotFound


def file_output(batches: Batches, batch_id: str, number: int) -> Output:
    """Return the result of file `number` (from 1) of a batch that is done.

    Raises:
        BatchNotFound: there is no batch with this ID, or no longer.
        BatchNotDone: the batch is not done yet, or it failed as a whole.
        BatchFileNotFound: the batch has no such file, or the file failed.
        BatchesUnavailable: store or queue cannot be reached.
    """
    batch = batches.find(batch_id)
    key = output_key(batch_id, number, _done(batches, batch, number).attempt)
    return Output(
        batch.entries[number - 1].name, number, _size(batches, batch_id, key), partial(batches.store.open, key)
    )


def replace_output(batches: Batches, batch_id: str, number: int, anonymized: Anonymized) -> None:
    """Put an anonymized photo in place of the result of file `number`.

    The picture is written first and completely, so no failure brings the old picture back.

    Raises:
        StorageFull: the picture is larger than the old one, and the quota or the store has no room.
        BatchNotFound, BatchNotDone, BatchFileNotFound, BatchesUnavailable: as `file_output`.
    """
    batch = batches.find(batch_id)
    if batch.task is not Task.ANONYMIZE:
        raise BatchFileNotFound("Only a batch with the task anonymize has results that can be corrected.")
    done, picture = _done(batches, batch, number), anonymized.picture
    key = output_key(batch_id, number, done.attempt)
    excess = len(picture) - _size(batches, batch_id, key)
    more, less = max(excess, 0), min(excess, 0)
    batches.quota.reserve(batch_id, more)
    try:
        batches.store.write(key, picture)
    except FileNotFoundError:
        raise _just_deleted() from None
    except BatchError:
        batches.quota.reserve(batch_id, -more)
        raise
    batches.quota.add_stored(batch_id, excess)
    batches.quota.reserve(batch_id, less)
    result = result_to_json(Done(len(anonymized.faces), done.attempt, len(anonymized.cover), converted_to(anonymized)))
    batches.queue.put(key_of(batch_id, number), json.dumps(result).encode())
    if _is_deleted(batches, batch_id):
        # The deletion may have passed what was written here.
        batches.store.remove(key)
        batches.states.forget_files(batch_id, [number])
        batches.quota.release(batch_id)
        raise _just_deleted()


def _size(batches: Batches, batch_id: str, key: str) -> int:
    """Return the bytes of the result that the store has as `key`."""
    size = batches.store.sizes(f"{batch_id}/out").get(key)
    if size is None:
        raise _just_deleted()
    return size


def _is_deleted(batches: Batches, batch_id: str) -> bool:
    """Whether a batch that was done has been deleted, or is being deleted."""
    try:
        return batches.progress(batch_id).state is not State.DONE
    except BatchNotFound:
        return True


def _just_deleted() -> BatchNotFound:
    return BatchNotFound("There is no batch of this id; it was just deleted.")


def _done(batches: Batches, batch: Batch, number: int) -> Done:
    progress = batches.progress(batch.id)
    if progress.state is not State.DONE:
        raise BatchNotDone("The batch has no result: it is not done, or it failed as a whole.")
    result = batches.final_results(batch).get(number)
    if not isinstance(result, Done):
        raise BatchFileNotFound(f"The batch has no result with the number {number}; see its list of files.")
    return result
