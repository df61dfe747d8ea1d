"""`visage settings`: every setting with its current value."""

from typing import Any

import click

from visage.cli.console import setup_errors_reported
from visage.setting_rows import Row
from visage.settings import Settings, rows
from visage.urls import without_password


@click.command("settings")
def show_settings() -> None:
    """Show every setting: its variable, its current value, its meaning and its default."""
    with setup_errors_reported():
        current = Settings.from_environment()
    for row in rows():
        shown = _as_text(row, getattr(current, row.field))
        click.echo(f"{row.name}={shown}\n    {row.help} Default: {row.default}.")


def _as_text(row: Row, value: Any) -> str:
    """A value as its variable may have it, without passwords; empty if there is none."""
    if value is None:
        return ""
    if row.kind.secret and value:
        return "(set)"
    return without_password(",".join(value) if isinstance(value, tuple) else str(value))
