"""huey without redis, of which it imports all where it is installed: 6 MB a process (benchmarks/README.md).

Most queues are in SQLite. For those in a Redis there is a second copy of huey's storages, which sees it.
"""

import importlib.util
import sys
from functools import cache
from typing import Any

_hidden = "redis" not in sys.modules
if _hidden:
    # What stands there as None is not found by an import.
    sys.modules["redis"] = None  # type: ignore[assignment]
try:
    from huey import Huey
    from huey.registry import Message
    from huey.serializer import Serializer
    from huey.storage import SqliteStorage
finally:
    if _hidden:
        del sys.modules["redis"]

__all__ = ["Huey", "Message", "Serializer", "SqliteStorage", "redis_storage"]


@cache
def redis_storage() -> Any:
    """huey's class `RedisStorage`.

    Raises:
        ImportError: the package redis is not installed.
    """
    import redis  # noqa: F401, PLC0415 (only for those who use it)

    spec: Any = importlib.util.find_spec("huey.storage")
    storage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(storage)
    return storage.RedisStorage
