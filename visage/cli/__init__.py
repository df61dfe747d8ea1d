"""The command line: the engine of the service without HTTP.

Exit status: 0 if everything succeeded, 1 if a photo or a file failed, 2 if the command could not run, 130 after Ctrl-C.
"""

import click

from visage import __version__
from visage.cli.commands import Commands, ImportedCommands


@click.group(
    cls=Commands,
    commands=ImportedCommands(
        {
            "predict": "visage.cli.predict:predict",
            "anonymize": "visage.cli.anonymize:anonymize",
            "enhance": "visage.cli.enhance:enhance",
            "serve": "visage.cli.serve:serve",
            "settings": "visage.cli.settings:show_settings",
            "evaluate": "visage.cli.evaluate:evaluate_packs",
            "models": "visage.cli.models:models",
        }
    ),
)
@click.version_option(__version__, prog_name="visage")
def main() -> None:
    """Find the faces in photos with their gender and age group, make them unrecognizable, or enlarge images.

    `visage serve` does the same over HTTP, with a page.
    """
