"""`python -m quipu`: the command, for launchers that start modules (torchrun)."""

import sys

from quipu.cli.main import main

sys.exit(main())
