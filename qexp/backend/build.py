"""``python -m qexp.backend.build``: a former name of ``qexp fleet build``."""

import sys

from qexp.fleet.build import main

if __name__ == "__main__":
    sys.exit(main())
