"""`python -m visage` is the command `visage`."""

from visage.cli import main

main(prog_name="python -m visage")
