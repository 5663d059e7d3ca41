"""`python -m dynloop.cli`: the command line."""

from dynloop.cli import main

main()
