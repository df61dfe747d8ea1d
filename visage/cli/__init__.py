"""The command line: the same engine without HTTP.

Exit status: 0 all went well, 1 a photo or a file failed, 2 the command cannot run as it was given.
"""

import click

from visage import __version__
from visage.cli import anonymize, enhance, evaluate, models, predict, settings


@click.group()
@click.version_option(__version__, prog_name="visage")
def main() -> None:
    """Find the faces in photos, with gender and age group, or cover them; enlarge pictures."""


main.add_command(predict.predict)
main.add_command(anonymize.anonymize)
main.add_command(enhance.enhance)
main.add_command(settings.show_settings)
main.add_command(evaluate.evaluate_packs)
main.add_command(models.models)
