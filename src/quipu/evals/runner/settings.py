"""What a user chooses about a run; the rest is the task's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from quipu.errors import UsageError
from quipu.evals.task import Decoding
from quipu.sandbox.program import Limits

# The paper's setting wherever there are several samples (arXiv 2308.12950, section 3.1).
SAMPLED_TEMPERATURE, SAMPLED_TOP_P = 0.8, 0.95


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Choices of a run. None: as the task declares.

    `parallel`, `workers` and `data` change no number; all others are in the manifest.
    """

    samples: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    limit: int | None = None  # so many problems, the first
    seed: int = 0
    model: Mapping[str, str] = field(default_factory=dict)  # what tells this model from others
    version: str = ""  # of Quipu
    limits: Limits = Limits()  # of programs whose task states none
    parallel: int = 16  # answers under way at once
    workers: int = 1  # programs at once
    data: Path | None = None  # folder of benchmark files

    def __post_init__(self) -> None:
        for name in ("samples", "limit", "parallel", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(name, got=value, allowed="1 or more")

    def decoding(self, declared: Decoding) -> Decoding:
        """How samples are drawn. Several samples are drawn as the paper draws them.

        Raises UsageError for values out of range, and for several samples of a greedy decoding,
        which would all be the same.
        """
        samples = self.samples or declared.samples
        drawn = self.temperature is None and declared.temperature == 0 and samples > 1
        plain = SAMPLED_TEMPERATURE if drawn else declared.temperature
        temperature = plain if self.temperature is None else self.temperature
        top_p = SAMPLED_TOP_P if temperature > 0 and declared.temperature == 0 else declared.top_p
        if temperature == 0:
            top_p = 1.0
        if temperature == 0 and samples > 1:
            raise UsageError(
                "samples at temperature 0", got=samples, allowed="1: all would be the same"
            )
        found = replace(
            declared,
            samples=samples,
            temperature=temperature,
            top_p=top_p if self.top_p is None else self.top_p,
            max_tokens=declared.max_tokens if self.max_tokens is None else self.max_tokens,
        )
        found.sampling(seed=0)  # checks its values
        return found
