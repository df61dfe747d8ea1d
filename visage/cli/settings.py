"""`visage settings`: every setting with its current value."""

import click

from visage.cli.console import setup_errors_reported
from visage.setting_values import REDIS_URL, TOKEN
from visage.settings import Settings, rows

# Kinds of settings whose value is not printed: a token, and an address that may hold a password.
_SECRET_KINDS = (TOKEN, REDIS_URL)


@click.command("settings")
def show_settings() -> None:
    """Show every setting: its variable, its current value, its meaning and its default."""
    with setup_errors_reported():
        current = Settings.from_environment()
    for row in rows():
        value = getattr(current, row.field)
        if row.kind in _SECRET_KINDS and value:
            value = "(set)"
        shown = ",".join(value) if isinstance(value, tuple) else value
        click.echo(f"{row.name}={shown}\n    {row.help} Default: {row.default}.")
