"""`visage settings`: what the environment sets."""

import click

from visage.cli.console import one_sentence
from visage.settings import Settings, rows


@click.command("settings")
def show_settings() -> None:
    """Show every setting: its variable, its value here and its meaning."""
    with one_sentence():
        current = Settings.from_environment()
    for row in rows():
        value = getattr(current, row.field)
        if row.field in {"api_token", "cache_url"} and value:
            value = "(set)"
        shown = ",".join(value) if isinstance(value, tuple) else value
        click.echo(f"{row.name}={shown}\n    {row.help} Default: {row.default}.")
