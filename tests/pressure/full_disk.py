"""Run a service on a disk that is full and then is not, and report how batches and photos fare.

`python -m tests.pressure.full_disk PACK DISK LOGS`: DISK is a small file system, LOGS a directory on another one. The
report is printed as JSON.
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

# Free bytes on the full disk: enough for the queue, too few for a photo or a result.
ROOM = 300_000

PHOTO = encode(np.zeros((400, 400, 3), np.uint8), "BMP")
PHOTOS = [(f"photo{number}", PHOTO) for number in range(6)]


def fill(file: Path) -> None:
    """Write to `file` until ROOM bytes are left on its disk."""
    with file.open("wb", buffering=0) as filler:
        with suppress(OSError):
            while filler.write(bytes(4096)):
                pass
        filler.truncate(filler.tell() - ROOM)


def response_to_incomplete_body(service: Service) -> dict[str, Any]:
    """Return the response to a batch whose last byte is never sent."""
    with connection(service) as client:
        client.sendall(head(2 * ROOM) + bytes(2 * ROOM - 1))
        response = HTTPResponse(client)
        response.begin()
        return {"status": response.status, "code": json.loads(response.read())["code"]}


def response_to(service: Service, body: Any) -> dict[str, Any]:
    response = requests.post(
        service.url + "/batches", data=body, headers={"Content-Type": "application/zip"}, timeout=60
    )
    return {"status": response.status_code, "code": response.json().get("code")}


def ended(service: Service, batch_id: str) -> dict[str, Any]:
    wait_for(lambda: status(service, batch_id)["state"] in {"done", "failed"}, 60)
    progress = status(service, batch_id)
    return {"state": progress["state"], "done": progress["done"], "reason": progress.get("reason", "")}


def main(pack: Path, disk: Path, logs: Path) -> None:
    # A quota beyond the disk, which other programs fill.
    quota = {"VISAGE_BATCH_STORAGE_BYTES": str(2**30)}
    environment = {"VISAGE_STATE_DIR": str(disk / "state"), "WEB_CONCURRENCY": "1", **quota}
    small = encode(draw(96, 96), "PNG")
    batches, filler = disk / "state" / "batches", disk / "filler"
    # No process works on the batch before the disk is full.
    with serving(logs / "first.log", pack, VISAGE_BATCH_JOBS="0", **environment) as service:
        full = submit(service, *PHOTOS)
        # The temporary file of the body is as large as the photos. It is deleted shortly after the response.
        wait_for(lambda: shutil.disk_usage(disk).used < 1.5 * len(PHOTOS) * len(PHOTO))
        fill(filler)
        report: dict[str, Any] = {
            "rejected": {
                "incomplete": response_to_incomplete_body(service),
                "in chunks": response_to(service, iter([packed(PHOTOS[0])])),
                "unpacked": response_to(service, packed(PHOTOS[0], compression=zipfile.ZIP_DEFLATED)),
            },
            "kept_of_rejected": [each.name for each in batches.iterdir() if each.name != full],
            "photos": [service.post(small).status_code],
        }
    with serving(logs / "second.log", pack, VISAGE_BATCH_JOBS="2", **environment) as service:
        wait_for(lambda: has_consumer(service), 60)
        before = consumer(service)
        report["full"] = ended(service, full)
        # The files are deleted shortly after the batch has ended.
        wait_for(lambda: not list((batches / full).glob("*/*")), 10)
        report["left"] = [each.name for each in (batches / full).glob("*/*")]
        report["photos"].append(service.post(small).status_code)
        filler.unlink()
        report["next"] = ended(service, submit(service, *PHOTOS[:3]))
        report["consumer_lives"] = consumer(service) == before
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
