"""How the service starts: gunicorn replaces this process, reads `gunicorn_config`, and loads the app from `wsgi`.

Importing this package loads nothing else.
"""

import os
import sys
from typing import NoReturn

# The service in a checkout, whose `gunicorn.conf.py` may be edited: Python's arguments. Its directory must be current.
CHECKOUT = ("-m", "gunicorn", "app:app")

# The service as an installed package, in any directory. With -P, Python imports nothing from there.
INSTALLED = (
    *("-P", "-m", "visage.server.start"),
    *("--config", "python:visage.server.start.gunicorn_config", "visage.server.start.wsgi:app"),
)


def become_gunicorn(*arguments: str) -> NoReturn:
    """Replace this process by Python with `arguments`: `CHECKOUT` or `INSTALLED`.

    So gunicorn receives the signals, and the memory of the imports here is free.
    """
    # gunicorn converts this variable to a number before it reads its configuration, which checks all settings.
    workers = os.environ.get("WEB_CONCURRENCY", "").strip()
    if not workers:
        os.environ.pop("WEB_CONCURRENCY", None)
    elif not workers.isdecimal():
        from visage.errors import SettingsError  # noqa: PLC0415 (nearly all starts do without)
        from visage.settings import Settings  # noqa: PLC0415

        try:
            Settings.from_environment()
        except SettingsError as error:
            sys.exit(f"visage cannot start: {error}")
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606
