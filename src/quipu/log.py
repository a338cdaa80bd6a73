"""Where logs are set up: warnings and progress go to stderr, results to stdout."""

import logging
import sys


def setup(verbose: bool = False) -> None:
    """Send the project's log to stderr: warnings always, information when `verbose`."""
    logger = logging.getLogger("quipu")
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    if not logger.handlers:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        logger.addHandler(stream)
