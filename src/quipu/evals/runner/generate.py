"""Answers of a model, several under way at once."""

import hashlib
import threading
from collections.abc import Callable, Iterable
from typing import assert_never

from quipu.answers import Asked, collect
from quipu.errors import AbilityError, BackendError, PromptTooLong
from quipu.evals.runner.folder import TOO_LONG, Sample
from quipu.evals.task import Chat, Complete, Decoding, Infill, Problem, Prompt, Task
from quipu.llm import LLM
from quipu.request import Completion, Piece

_SEEDS = 2**31  # what every server takes


def seed_of(seed: int, problem: str, sample: int) -> int:
    """The seed of a sample: the same whatever else is asked."""
    digest = hashlib.sha256(f"{seed}\0{problem}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "little") % _SEEDS


def check_abilities(llm: LLM, prompts: Iterable[Prompt]) -> None:
    """Raises AbilityError if the model cannot be asked one of these."""
    kinds = {type(prompt) for prompt in prompts}
    if Infill in kinds and not (llm.info.abilities.infill and llm.tokenizer.infill):
        raise AbilityError(
            f"model {llm.info.name} was not trained to infill, which this task asks for",
            remedy="choose another task, or a model that infills (quipu info MODEL tells)",
        )
    if Chat in kinds:
        llm.require_chat()


class Generating:
    """Threads that ask, each one sample at a time; what they get goes to `put`."""

    def __init__(
        self,
        task: Task,
        llm: LLM,
        decoding: Decoding,
        wanted: Iterable[tuple[Problem, int]],
        put: Callable[[Sample | BaseException], None],
        *,
        seed: int,
        parallel: int,
    ) -> None:
        self.tokens = 0  # so far, for people
        self._task, self._llm, self._decoding, self._seed = task, llm, decoding, seed
        self._put = put
        self._wanted = iter(wanted)
        self._lock = threading.Lock()  # guards what is wanted and what is open
        self._asked: dict[int, Asked] = {}
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name="quipu-asking", daemon=True)
            for _ in range(parallel)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Give up the answers that are under way. Idempotent."""
        self._stopped.set()
        with self._lock:
            under_way = list(self._asked.values())
        for asked in under_way:
            asked.cancel()
        for thread in self._threads:
            thread.join(timeout=5.0)

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                with self._lock:
                    item = next(self._wanted, None)
                if item is None:
                    return
                sample = self._answer(*item)
                if sample is None:
                    return
                self._put(sample)
        except BaseException as error:  # whatever it was, the run must hear of it
            self._put(error)

    def _answer(self, problem: Problem, number: int) -> Sample | None:
        """One sample; None if it was given up."""
        seed = seed_of(self._seed, problem.id, number)
        text, tokens = "", 0
        try:
            asked = _ask(self._llm, self._task.prompt(problem), self._decoding, seed)
        except PromptTooLong:
            reason: str = TOO_LONG
        else:
            completion = self._collect(asked)
            text, tokens = completion.text, len(completion.token_ids)
            if not tokens:  # a server that gives text alone
                tokens = len(self._llm.tokenizer.encode(text, dummy_prefix=False))
            reason = completion.finish_reason
        if reason == "cancelled":
            if self._stopped.is_set():
                return None
            raise BackendError(f"model {self._llm.info.name} gave up an answer")
        return Sample(
            problem=problem.id,
            sample=number,
            seed=seed,
            text=text,
            finish_reason=reason,
            tokens=tokens,
        )

    def _collect(self, asked: Asked) -> Completion:
        """The answer, which `stop` can cancel meanwhile."""
        with self._lock:
            self._asked[id(asked)] = asked
        if self._stopped.is_set():
            asked.cancel()
        try:
            return collect(asked, self._count)[0]
        finally:
            with self._lock:
                del self._asked[id(asked)]

    def _count(self, piece: Piece) -> None:
        with self._lock:
            self.tokens += len(piece.token_ids)


def _ask(llm: LLM, prompt: Prompt, decoding: Decoding, seed: int) -> Asked:
    """The one place where a benchmark's prompt becomes token ids."""
    sampling = decoding.sampling(seed)
    match prompt:
        case Complete():
            text = fitted(llm, prompt.text, decoding.max_tokens) if prompt.cut else prompt.text
            return llm.ask_complete(text, sampling, heal=decoding.heal)
        case Infill():
            return llm.ask_infill(
                prompt.prefix, prompt.suffix, sampling, order=prompt.order, heal=decoding.heal
            )
        case Chat():
            return llm.ask_chat(prompt.messages, sampling)
        case _:
            assert_never(prompt)


def fitted(llm: LLM, text: str, answer_tokens: int) -> str:
    """As many whole lines of a text's end as leave room for an answer in the model's context."""
    room = llm.info.context - answer_tokens - 1  # BOS
    while (size := len(llm.tokenizer.encode(text))) > room > 0:
        rest = text[max(len(text) * (size - room) // size, 1) :]
        text = rest.partition("\n")[2] or rest
    return text
