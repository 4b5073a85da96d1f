"""Start ``sslbench`` by ``python -m bench.cli``."""

import os
import sys

from bench.cli import main

if __name__ == "__main__":
    # As for the command `sslbench`, a file of the working folder must not hide an installed package of the same name.
    if sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - as Python writes it
        sys.path.append(sys.path.pop(0))
    main()
