"""The faces in a response of a real service."""

from typing import Any

import requests


def faces(answer: requests.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["faces"]
