"""The service: `gunicorn app:app`, `python app.py` (the same) or `flask --app app run`."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # In place of this process, so that signals reach gunicorn; and before the imports, which gunicorn has to do itself.
    os.chdir(Path(__file__).resolve().parent)
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "app:app"])  # noqa: S606

import logging.config

from visage.errors import SetupError
from visage.log_format import log_config
from visage.settings import Settings
from visage.web import create_app

try:
    settings = Settings.from_environment()
    logging.config.dictConfig(log_config(settings.log_level))
    app = create_app(settings, warm=os.environ.get("VISAGE_WARMED_BY_WORKERS") != "1")
except SetupError as error:
    # One sentence in place of a traceback: this is for whoever starts the service.
    sys.exit(f"visage cannot start: {error}")
