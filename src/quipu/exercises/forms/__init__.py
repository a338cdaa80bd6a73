"""Forms of exercises: each writes a checked program as a text, after asking for more runs.

A form is a generator: it yields jobs, is sent their outcomes (which were equal in two processes),
and returns the text, or None where the program does not suit it.
"""

from collections.abc import Callable, Generator, Sequence

from quipu.exercises.drafts import Checked
from quipu.exercises.run import Job, Outcome

Writing = Generator[list[Job], Sequence[Outcome], str | None]
Form = Callable[[Checked], Writing]
