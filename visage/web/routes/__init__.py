"""The routes: a blueprint for each capability."""

from flask import Flask

from visage.settings import Settings
from visage.web.routes import anonymize, batches, enhance, faces, operations, pages


def install(app: Flask, settings: Settings) -> None:
    """Add every route to `app`."""
    for each in (faces, anonymize, enhance, operations, pages):
        app.register_blueprint(each.blueprint)
    batches.install(app, settings)
