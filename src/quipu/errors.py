"""The exception tree of the project.

    QuipuError                    a user can mend it; exit code 1
    ├── UsageError                wrong arguments; exit code 2
    │   ├── TextError             text that cannot become tokens
    │   └── PromptTooLong         prompt and answer do not fit the context
    ├── CheckpointError           a model on disk that cannot be read or written
    ├── TokenizerError            a tokenizer that cannot be read or does not fit its model
    ├── AbilityError              the model was not trained for what is asked (infilling, chat)
    ├── BackendError              a backend that cannot be reached or has failed
    ├── SandboxError              programs cannot be run safely here
    ├── DataError                 a corpus that cannot be fetched, built or read
    └── TrainingError             a run that cannot start, go on or resume

Every message says what, got, allowed and remedy, on one line. Our own bugs are `assert`s.
"""


class QuipuError(Exception):
    """An error that a user can mend.

    `what` names the thing and the trouble, `got` the value met, `allowed` what would be accepted,
    `remedy` what to do next. Parts that do not apply are left out.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        got: object = None,
        allowed: object = None,
        remedy: str | None = None,
    ) -> None:
        parts = [what]
        if got is not None:
            parts.append(f"got {got}")
        if allowed is not None:
            parts.append(f"allowed: {allowed}")
        if remedy is not None:
            parts.append(remedy)
        super().__init__("; ".join(" ".join(part.split()) for part in parts))


class UsageError(QuipuError):
    """Arguments that make no sense, whatever the model."""

    exit_code = 2


class TextError(UsageError):
    """Text that cannot become tokens: lone surrogates, invalid UTF-8, a cursor outside the file."""


class PromptTooLong(UsageError):
    """Prompt and requested answer do not fit the model's context."""


class CheckpointError(QuipuError):
    """A model on disk that cannot be read or written."""


class TokenizerError(QuipuError):
    """A tokenizer that cannot be read, or that does not fit its model."""


class AbilityError(QuipuError):
    """The model was not trained for what is asked."""


class BackendError(QuipuError):
    """A backend that cannot be reached, or that failed while it worked."""


class SandboxError(QuipuError):
    """Programs cannot be run safely on this machine."""


class DataError(QuipuError):
    """A corpus that cannot be fetched, built or read."""


class TrainingError(QuipuError):
    """A training run that cannot start, go on or resume."""
