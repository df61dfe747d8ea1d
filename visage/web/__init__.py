"""The HTTP service: `create_app` builds it around an engine."""

from visage.web.app import create_app

__all__ = ["create_app"]
