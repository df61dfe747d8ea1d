"""The service: `gunicorn app:app`, `python app.py` (the same) or `flask --app app run`."""

import os
from pathlib import Path

if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent)
    # Before the import below, which gunicorn does itself.
    from visage.server.start import become_gunicorn

    become_gunicorn("app:app")

from visage.server.start.wsgi import app

__all__ = ["app"]
