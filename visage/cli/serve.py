"""`visage serve`: the page and the HTTP API."""

import os
from importlib.util import find_spec

import click

from visage.cli.console import CannotRun
from visage.server.start import INSTALLED, become_gunicorn

# Packages of the extra `serve` that the service imports first.
_NEEDED = ("gunicorn", "flask")


@click.command()
@click.option("--host", help="Address to listen on, as VISAGE_HOST; by default only this machine can connect.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on, as PORT; by default 8080.")
def serve(host: str | None, port: int | None) -> None:
    """Serve the page and the HTTP API until Ctrl-C. Environment variables set it up: see `visage settings`."""
    if not all(map(find_spec, _NEEDED)):
        raise CannotRun("visage serve needs more packages. Run: pip install 'visage-faces[serve]'")
    if host:
        os.environ["VISAGE_HOST"] = host
    if port:
        os.environ["PORT"] = str(port)
    become_gunicorn(*INSTALLED)
