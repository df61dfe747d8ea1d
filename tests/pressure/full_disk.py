"""What a service on a disk that is full, and then is not, makes of batches and photos.

`python -m tests.pressure.full_disk PACK DISK LOGS`, where DISK is a small file system of its own and LOGS a directory
elsewhere. Prints what was seen, as JSON.
"""

import json
import shutil
import sys
import zipfile
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
import requests

from tests.support.batch_client import connection, consumer, has_consumer, head, packed, status, submit
from tests.support.pictures import encode
from tests.support.service import Service, serving
from tests.support.tiny_pack import draw
from tests.support.waiting import wait_for

# Bytes that are left on the full disk: for the queue, not for a photo or a result.
ROOM = 300_000

PHOTO = encode(np.zeros((400, 400, 3), np.uint8), "BMP")
PHOTOS = [(f"photo{number}", PHOTO) for number in range(6)]


def fill(file: Path) -> None:
    """Write to `file` until there is no more than ROOM left beside it."""
    with file.open("wb", buffering=0) as filler:
        with suppress(OSError):
            while filler.write(bytes(4096)):
                pass
        filler.truncate(filler.tell() - ROOM)


def answer_while_it_comes(service: Service) -> dict[str, Any]:
    """What is said to a batch of which the last byte never comes."""
    with connection(service) as client:
        client.sendall(head(2 * ROOM) + bytes(2 * ROOM - 1))
        answer = HTTPResponse(client)
        answer.begin()
        return {"status": answer.status, "code": json.loads(answer.read())["code"]}


def answer_to(service: Service, body: Any) -> dict[str, Any]:
    answer = requests.post(service.url + "/batches", data=body, headers={"Content-Type": "application/zip"}, timeout=60)
    return {"status": answer.status_code, "code": answer.json().get("code")}


def ended(service: Service, batch_id: str) -> dict[str, Any]:
    wait_for(lambda: status(service, batch_id)["state"] in {"done", "failed"}, 60)
    progress = status(service, batch_id)
    return {"state": progress["state"], "done": progress["done"], "reason": progress.get("reason", "")}


def main(pack: Path, disk: Path, logs: Path) -> None:
    own = {"VISAGE_STATE_DIR": str(disk / "state"), "WEB_CONCURRENCY": "1"}
    small = encode(draw(96, 96), "PNG")
    batches, filler = disk / "state" / "batches", disk / "filler"
    # Nobody works on the batch before the disk is full.
    with serving(logs / "first.log", pack, VISAGE_BATCH_JOBS="0", **own) as service:
        full = submit(service, *PHOTOS)
        # What they came in, which takes as much again, goes a moment after the answer.
        wait_for(lambda: shutil.disk_usage(disk).used < 1.5 * len(PHOTOS) * len(PHOTO))
        fill(filler)
        seen: dict[str, Any] = {
            "refused": {
                "while it comes": answer_while_it_comes(service),
                "in chunks": answer_to(service, iter([packed(PHOTOS[0])])),
                "unpacked": answer_to(service, packed(PHOTOS[0], compression=zipfile.ZIP_DEFLATED)),
            },
            "kept_of_refused": [each.name for each in batches.iterdir() if each.name != full],
            "photos": [service.post(small).status_code],
        }
    with serving(logs / "second.log", pack, VISAGE_BATCH_JOBS="2", **own) as service:
        wait_for(lambda: has_consumer(service), 60)
        before = consumer(service)
        seen["full"] = ended(service, full)
        seen["left"] = [each.name for each in (batches / full).glob("*/*")]
        seen["photos"].append(service.post(small).status_code)
        filler.unlink()
        seen["next"] = ended(service, submit(service, *PHOTOS[:3]))
        seen["consumer_lives"] = consumer(service) == before
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
