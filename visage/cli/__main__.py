"""`python -m visage.cli`."""

from visage.cli import main

main()
