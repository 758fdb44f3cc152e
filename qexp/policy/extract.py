"""``python -m qexp.policy.extract``: a former name of ``qexp extract``."""

import sys

from qexp.problem.extract import main

if __name__ == "__main__":
    sys.exit(main())
