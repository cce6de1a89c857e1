"""`python -m archdsl`, the same as `archdsl`."""

from archdsl.cli.main import main

main()
