"""gunicorn's configuration in a checkout; gunicorn reads it from the directory in which it is started."""

from visage.server.start.gunicorn_config import *  # noqa: F403
