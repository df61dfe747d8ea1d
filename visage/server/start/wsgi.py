"""The app for gunicorn and for Flask's development server."""

import os
import sys

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
