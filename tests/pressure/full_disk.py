"""What becomes of batches on a disk that is full and then is not: `python -m tests.pressure.full_disk PACK FOLDER`.

To be run where FOLDER is a small file system of its own. Prints what was seen, as JSON.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tests.pictures import encode
from tests.test_batches import consuming
from tests.test_faults import wait_for
from visage.batches import Batches, open_batches
from visage.batches.batch import State
from visage.guard import GuardOptions
from visage.settings import Settings


def submit(batches: Batches, count: int) -> str:
    photo = encode(np.zeros((400, 400, 3), np.uint8), "BMP")
    with batches.create() as new:
        for number in range(count):
            new.add(f"photo{number}", photo)
        return new.submit(GuardOptions()).id


def ended(batches: Batches, batch_id: str) -> dict[str, Any]:
    wait_for(lambda: batches.progress(batch_id).state in {State.DONE, State.FAILED}, 60)
    progress = batches.progress(batch_id)
    return {"state": progress.state.value, "done": progress.done, "reason": progress.reason}


def main(pack: Path, folder: Path) -> None:
    state = folder / "state"
    batches = open_batches(Settings(state_dir=state))
    full = submit(batches, 6)
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(4096)):
                pass
        # Room for the queue, not for a result.
        file.truncate(file.tell() - 300_000)
    # Outside, where there is room: the log must tell what went wrong.
    log = Path("/dev/stderr")
    with consuming(pack, state, log) as consumer:
        seen: dict[str, Any] = {"full": ended(batches, full)}
        seen["left"] = sorted(batches.store.sizes(f"{full}/in") | batches.store.sizes(f"{full}/out"))
        filler.unlink()
        seen["next"] = ended(batches, submit(batches, 3))
        seen["consumer_lives"] = consumer.poll() is None
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
