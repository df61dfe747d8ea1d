"""`python -m visage.batches`: the process that works on batches."""

from visage.batches.consumer import main

main()
