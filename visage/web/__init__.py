"""The HTTP API and the web page: a Flask app around the engine.

`create_app` builds it. Routes read a request, call the engine, and return a response; they do no work of their own.
"""

from visage.web.app import create_app

__all__ = ["create_app"]
