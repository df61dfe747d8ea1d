"""`visage settings`: every setting with its current value."""

import click

from visage.cli.console import setup_errors_reported
from visage.settings import Settings, rows

# Settings whose value is not printed: a token, and an address that may hold a password.
_SECRET_FIELDS = {"api_token", "cache_url"}


@click.command("settings")
def show_settings() -> None:
    """Show every setting: its variable, its current value, its meaning and its default."""
    with setup_errors_reported():
        current = Settings.from_environment()
    for row in rows():
        value = getattr(current, row.field)
        if row.field in _SECRET_FIELDS and value:
            value = "(set)"
        shown = ",".join(value) if isinstance(value, tuple) else value
        click.echo(f"{row.name}={shown}\n    {row.help} Default: {row.default}.")
