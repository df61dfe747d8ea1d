"""The command line: the engine of the service without HTTP.

Exit status: 0 if everything succeeded, 1 if a photo or a file failed, 2 if the command could not run, 130 after Ctrl-C.
"""

import click

from visage import __version__
from visage.cli import anonymize, enhance, evaluate, models, predict, serve, settings
from visage.cli.commands import Commands


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="visage")
def main() -> None:
    """Find the faces in photos with their gender and age group, make them unrecognizable, or enlarge images.

    `visage serve` does the same over HTTP, with a page.
    """


main.add_command(predict.predict)
main.add_command(anonymize.anonymize)
main.add_command(enhance.enhance)
main.add_command(serve.serve)
main.add_command(settings.show_settings)
main.add_command(evaluate.evaluate_packs)
main.add_command(models.models)
