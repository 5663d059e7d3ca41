"""`python -m dynloop`: the command line."""

from dynloop.cli import main

main()
