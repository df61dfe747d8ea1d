"""The master process: the connection limit and gunicorn's logger."""

import resource

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

# gunicorn's default for `worker_connections`.
_DEFAULT_CONNECTIONS = 1000

# File descriptors that a worker needs for anything but connections.
_OTHER_FILES = 100


def max_connections() -> int:
    """How many connections a worker accepts at the same time: at most 1000, as many as it may open files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _DEFAULT_CONNECTIONS
    return max(50, min(_DEFAULT_CONNECTIONS, files - _OTHER_FILES))


class ErrorLogger(Logger):  # type: ignore[misc]
    """gunicorn's logger without an access log, because Visage logs requests itself."""

    def access(self, *_arguments: object) -> None:
        """Do nothing."""
