"""The routes, one blueprint for each capability.

A route reads the request, calls the engine or the batches, and returns a response.
"""

from flask import Flask

from visage.settings import Settings
from visage.web.routes import anonymize, batches, enhance, faces, operations, pages


def init_app(app: Flask, settings: Settings) -> None:
    """Add every route to `app`."""
    for module in (faces, anonymize, enhance, operations, pages):
        app.register_blueprint(module.blueprint)
    batches.init_app(app, settings)
