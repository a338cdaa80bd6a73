"""What jobs of the tests do; worker processes must be able to import it."""

import errno
import os
import signal


def write(output, text, count=None):
    """Write a text; note in a file beside it that this was done."""
    output.write_text(text)
    if count is not None:
        with count.open("a") as file:
            file.write(text + "\n")
    return {"length": len(text)}


def fail(output, text):
    """Leave half a file and fail."""
    output.write_text("half")
    raise ValueError(text)


def fill_the_disk(output):
    """What a full disk looks like."""
    output.write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


def be_killed(output):
    """What being out of memory looks like."""
    output.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)


def write_two(output, other, text):
    """Two files."""
    output.write_text(text)
    other.write_text(text.upper())


def make_folder(output):
    """A folder."""
    output.mkdir()


def hold(output, size):
    """Hold so much memory for a moment; tell the process."""
    held = b"\1" * size
    output.write_text(str(len(held)))
    return os.getpid()
