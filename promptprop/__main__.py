"""`python -m promptprop`: the same as the console script."""

import sys

from promptprop.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
