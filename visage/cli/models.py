"""`visage models`: list, verify and fetch model packs."""

import sys
from typing import Any

import click
from tqdm import tqdm

from visage.cli.console import CannotRun, progress_bar, setup_errors_reported
from visage.errors import PackError, SetupError
from visage.packs.pack import find_pack, pack_folders, read_pack
from visage.settings import Settings


@click.group()
def models() -> None:
    """List, verify and fetch model packs."""


@models.command("list")
def list_packs() -> None:
    """Show the installed packs and whether they are complete."""
    with setup_errors_reported():
        folders = pack_folders(Settings.from_environment().models_dir)
    failed = 0
    for folder in folders:
        try:
            pack = read_pack(folder)
        except PackError as error:
            failed += 1
            click.echo(f"{folder.name} (cannot be used)\n    {error}")
            continue
        missing = sum(not file.path.is_file() for file in pack.files)
        state = (
            f"{missing} of {len(pack.files)} files missing: visage models fetch {pack.name}" if missing else "complete"
        )
        click.echo(f"{pack.name} {pack.version} ({state})\n    {pack.description}")
    if failed:
        sys.exit(1)


@models.command()
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Check each file of the pack NAME (a name or a path; by default VISAGE_PACK) against its checksum."""
    with setup_errors_reported():
        settings = Settings.from_environment()
        pack = find_pack(name or settings.pack, settings.models_dir)
    failed = 0
    for file in pack.files:
        try:
            size = len(file.read())
            click.echo(f"{file.path}: correct ({size:,} bytes, {file.algorithm} {file.checksum})")
        except PackError as error:
            failed += 1
            click.echo(str(error))
    if failed:
        sys.exit(1)


@models.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Download the files of the pack NAME into the models directory."""
    # The import takes 10 MB and 0.1 s, which only this command needs.
    try:
        from visage.packs.download import fetch_pack  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CannotRun(
            f"visage models fetch needs the package {error.name}, which is not installed. Run: pip install "
            "'visage-faces[fetch]'"
        ) from None
    with setup_errors_reported():
        settings = Settings.from_environment()
        pack = find_pack(name, settings.models_dir)
    for file in pack.files:
        if file.licence:
            click.echo(f"{file.path.name}: licence {file.licence} ({file.url})")
    directory = settings.models_dir / pack.name
    try:
        fetched = fetch_pack(pack, directory, mirror=settings.mirror, progress=_download_bar)
    except SetupError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    done = f"fetched {len(fetched)} files" if fetched else "nothing to fetch, all files are present and correct"
    variable = "VISAGE_PACK" if pack.attributes else "VISAGE_SUPERRES_PACK"
    click.echo(f"{pack.name}: {done}, in {directory}. Use it with {variable}={pack.name}.")


def _download_bar(name: str, total: int | None, initial: int) -> "tqdm[Any]":
    return progress_bar(desc=name, total=total, initial=initial, unit="B", unit_scale=True)
