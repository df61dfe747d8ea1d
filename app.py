"""The service: `python app.py`, `gunicorn app:app` or `flask --app app run`.

The first one checks WEB_CONCURRENCY and then runs the second.
"""

import os
from pathlib import Path

if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent)
    # Before the import below, which gunicorn does itself.
    from visage.server.start import CHECKOUT, become_gunicorn

    become_gunicorn(*CHECKOUT)

from visage.server.start.wsgi import app

__all__ = ["app"]
