"""The service: `gunicorn app:app`, `python app.py` (the same) or `flask --app app run`."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # gunicorn replaces this process, so that it receives the signals. This comes before the imports below, which
    # gunicorn does itself.
    os.chdir(Path(__file__).resolve().parent)
    # gunicorn converts this variable to a number before it reads its configuration, which checks all settings.
    workers = os.environ.get("WEB_CONCURRENCY", "").strip()
    if not workers:
        os.environ.pop("WEB_CONCURRENCY", None)
    elif not workers.isdecimal():
        from visage.errors import SettingsError
        from visage.settings import Settings

        try:
            Settings.from_environment()
        except SettingsError as error:
            sys.exit(f"visage cannot start: {error}")
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "app:app"])  # noqa: S606

from visage.errors import SetupError
from visage.log_format import configure_logging
from visage.settings import Settings
from visage.web import create_app

try:
    settings = Settings.from_environment()
    configure_logging(settings.log_level)
    app = create_app(settings, warm=os.environ.get("VISAGE_WARMED_BY_WORKERS") != "1")
except SetupError as error:
    # The operator needs one sentence, not a traceback.
    sys.exit(f"visage cannot start: {error}")
