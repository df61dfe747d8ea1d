"""`visage models`: the model packs, listed, verified and fetched."""

import sys
from typing import Any

import click
from tqdm import tqdm

from visage.cli.console import bar, one_sentence
from visage.errors import PackError, SetupError
from visage.packs.pack import find_pack, pack_folders, read_pack
from visage.settings import Settings


@click.group()
def models() -> None:
    """List, verify and fetch model packs."""


@models.command("list")
def list_packs() -> None:
    """Show the packs that are here and whether they are complete."""
    with one_sentence():
        packs = [read_pack(folder) for folder in pack_folders(Settings.from_environment().models_dir)]
    for pack in packs:
        missing = sum(not file.path.is_file() for file in pack.files)
        state = (
            f"{missing} of {len(pack.files)} files missing: visage models fetch {pack.name}" if missing else "complete"
        )
        click.echo(f"{pack.name} {pack.version} ({state})\n    {pack.description}")


@models.command()
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Say of each file of the pack NAME (a name or a path; by default the one in use) whether it is right."""
    with one_sentence():
        chosen = Settings.from_environment()
        pack = find_pack(name or chosen.pack, chosen.models_dir)
    faults = 0
    for file in pack.files:
        try:
            size = len(file.read())
            click.echo(f"{file.path}: right ({size:,} bytes, {file.algorithm} {file.checksum})")
        except PackError as error:
            faults += 1
            click.echo(str(error))
    if faults:
        sys.exit(1)


@models.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Download the files of the pack NAME into the models directory."""
    # What downloads takes 10 MB and a tenth of a second, which no other command should have to pay.
    from visage.packs.download import fetch_pack  # noqa: PLC0415

    with one_sentence():
        chosen = Settings.from_environment()
        pack = find_pack(name, chosen.models_dir)
    for file in pack.files:
        if file.licence:
            click.echo(f"{file.path.name}: licence {file.licence} ({file.url})")
    try:
        fetched = fetch_pack(pack, chosen.models_dir / pack.name, mirror=chosen.mirror, progress=_download_bar)
    except SetupError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    done = f"fetched {len(fetched)} files" if fetched else "nothing to fetch, every file was there and right"
    variable = "VISAGE_PACK" if pack.attributes else "VISAGE_SUPERRES_PACK"
    click.echo(f"{pack.name}: {done}, in {chosen.models_dir / pack.name}. Use it with {variable}={pack.name}.")


def _download_bar(name: str, total: int | None, initial: int) -> "tqdm[Any]":
    return bar(desc=name, total=total, initial=initial, unit="B", unit_scale=True)
