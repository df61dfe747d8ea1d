"""JSON from people and clients, in which no object has a name twice: parsers would drop the first value silently.

RFC 8259, 4, leaves it open what such an object means.
"""

import json
import reprlib
from collections import Counter
from functools import partial
from typing import Any

from visage.errors import BadParameter


def count_values(text: bytes) -> int:
    """Return the commas and opening brackets of JSON text: about its values, on which its memory depends."""
    return sum(map(text.count, (b",", b"[", b"{")))


def load_json(text: bytes, source: str) -> Any:
    """Return the value of `text`, JSON in UTF-8. `source` is what an error calls it, as the start of a sentence.

    Raises:
        BadParameter: an object has a name twice.
        ValueError, RecursionError: the text is not JSON, or is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=partial(_object, source))


def _object(source: str, members: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(members)
    if len(content) < len(members):
        [(name, count)] = Counter(name for name, _ in members).most_common(1)
        raise BadParameter(f"{source} has {reprlib.repr(name)} {count} times in one object; keep one of them.")
    return content
