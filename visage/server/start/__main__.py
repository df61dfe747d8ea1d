"""`python -P -m visage.server.start`: gunicorn, which imports nothing from the working directory.

Python is started with `-P` for the same reason. A folder of photos may have a `queue.py` or a `flask.py`, too.
"""

import sys

from gunicorn.app.wsgiapp import WSGIApplication  # type: ignore[import-untyped]


class Application(WSGIApplication):  # type: ignore[misc]
    """gunicorn's application without the working directory in the import path."""

    def chdir(self) -> None:
        """Change the directory as configured. gunicorn also puts it first in the import path; this undoes that."""
        path = list(sys.path)
        super().chdir()
        sys.path[:] = path


if __name__ == "__main__":
    Application("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()
