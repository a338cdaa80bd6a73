"""The Python face: `quipu.load()` gives a model that completes, infills and chats."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, Unpack, cast, get_args, overload

import numpy as np
import numpy.typing as npt

from quipu.answers import Asked, Options, collect, sampling_of
from quipu.backend.open import open_backend
from quipu.backend.protocol import Backend, ModelInfo
from quipu.config import ChatFormat
from quipu.errors import AbilityError, UsageError
from quipu.request import Completion, Request, Sampling
from quipu.text import chat, healing, infill
from quipu.text.chat import Message, Role
from quipu.text.infill import Order
from quipu.text.tokenizer import Tokenizer

EMBEDDED = "quipu-6m-int8"  # what runs where no model is named
TRAINED = "quipu-6m"  # its weights as they were trained, to go on from
TUNED = "codellama-7b-instruct"


def embedded_models() -> dict[str, Path]:
    """Models inside the package, by name."""
    folder = Path(__file__).parent / "weights"
    folders = {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}
    return folders | {path.stem: path for path in sorted(folder.glob("*.quipu"))}


def model_path(model: str | Path | None) -> Path:
    """Folder or file of a model: the embedded default, an embedded name, or a path."""
    if model is None:
        return embedded_models()[EMBEDDED]
    path = Path(model)
    if path.exists():
        return path
    known = embedded_models()
    if str(model) in known:
        return known[str(model)]
    raise UsageError(
        "model",
        got=model,
        allowed="a folder or file, or one of: " + ", ".join(known),
        remedy="leave --model out for the embedded model",
    )


def load(
    model: str | Path | None = None,
    backend: str | None = None,
    *,
    tokenizer: str | Path | None = None,
    context: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    kv_dtype: str | None = None,
    kv_tokens: int | None = None,
    speculate: bool | None = None,
    api_key: str | None = None,
) -> "LLM":
    """Open a model. `model` None is the embedded one.

    `backend` is `native` (default: the C++ runtime on the CPU), `torch`, or the address of an
    OpenAI-compatible server such as `http://localhost:8000/v1`; then `model` is the server's name
    for it, `tokenizer` a folder or file with its tokenizer, and `api_key` what the server may ask
    for. `context` (tokens) overrules the model's. `speculate` False keeps the engine from verifying
    drafted tokens; the answers are the same. `open_backend` says what the others mean. Raises
    UsageError, CheckpointError, TokenizerError or BackendError.
    """
    if backend in (None, "native", "torch"):
        spec = f"{backend or 'native'}:{model_path(model)}"
    elif backend.startswith(("http://", "https://")) and model is not None and "#" not in backend:
        spec = f"{backend}#{model}"
    else:
        spec = backend
    words = Path(tokenizer) if tokenizer else None
    return LLM(
        open_backend(
            spec,
            tokenizer=words,
            context=context,
            device=device,
            dtype=dtype,
            threads=threads,
            kv_dtype=kv_dtype,
            kv_tokens=kv_tokens,
            speculate=speculate,
            api_key=api_key,
        )
    )


def _answer(asked: Asked, stream: bool) -> Completion | list[Completion] | Asked:
    if stream:
        return asked
    completions = collect(asked)
    return completions[0] if len(completions) == 1 else completions


def _message(message: Message | Mapping[str, str]) -> Message:
    if isinstance(message, Message):
        return message
    role, content = message.get("role"), message.get("content")
    if role not in get_args(Role) or content is None:
        raise UsageError(
            "chat message", got=dict(message), allowed="role system, user or assistant, and content"
        )
    return Message(role=cast(Role, role), content=content)


class LLM:
    """A loaded model.

    `complete`, `infill` and `chat` return a Completion, or a list of them when n > 1, or, with
    `stream=True`, what can be iterated for Pieces (and cancelled). The `ask_…` twins take a
    `Sampling` and always stream.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def tokenizer(self) -> Tokenizer:
        return self.backend.tokenizer

    @property
    def info(self) -> ModelInfo:
        return self.backend.info

    @overload
    def complete(
        self,
        prompt: str,
        *,
        n: Literal[1] = ...,
        stream: Literal[False] = ...,
        heal: bool = ...,
        **options: Unpack[Options],
    ) -> Completion: ...
    @overload
    def complete(
        self,
        prompt: str,
        *,
        n: int,
        stream: Literal[False] = ...,
        heal: bool = ...,
        **options: Unpack[Options],
    ) -> Completion | list[Completion]: ...
    @overload
    def complete(
        self,
        prompt: str,
        *,
        stream: Literal[True],
        n: int = ...,
        heal: bool = ...,
        **options: Unpack[Options],
    ) -> Asked: ...
    def complete(
        self,
        prompt: str,
        *,
        n: int = 1,
        stream: bool = False,
        heal: bool = True,
        **options: Unpack[Options],
    ) -> Completion | list[Completion] | Asked:
        """Continue a text. `heal` lets the last token of the prompt grow (token healing)."""
        asked = self.ask_complete(prompt, sampling_of(options, n), heal=heal)
        return _answer(asked, stream)

    @overload
    def infill(
        self,
        prefix: str,
        suffix: str,
        *,
        n: Literal[1] = ...,
        stream: Literal[False] = ...,
        order: Order = ...,
        heal: bool = ...,
        **options: Unpack[Options],
    ) -> Completion: ...
    @overload
    def infill(
        self,
        prefix: str,
        suffix: str,
        *,
        n: int,
        stream: Literal[False] = ...,
        order: Order = ...,
        heal: bool = ...,
        **options: Unpack[Options],
    ) -> Completion | list[Completion]: ...
    @overload
    def infill(
        self,
        prefix: str,
        suffix: str,
        *,
        stream: Literal[True],
        n: int = ...,
        order: Order = ...,
        heal: bool = ...,
        **options: Unpack[Options],
    ) -> Asked: ...
    def infill(
        self,
        prefix: str,
        suffix: str,
        *,
        n: int = 1,
        stream: bool = False,
        order: Order = "spm",
        heal: bool = True,
        **options: Unpack[Options],
    ) -> Completion | list[Completion] | Asked:
        """Write what stands between prefix and suffix. AbilityError if the model cannot."""
        asked = self.ask_infill(prefix, suffix, sampling_of(options, n), order=order, heal=heal)
        return _answer(asked, stream)

    @overload
    def chat(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        *,
        n: Literal[1] = ...,
        stream: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> Completion: ...
    @overload
    def chat(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        *,
        n: int,
        stream: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> Completion | list[Completion]: ...
    @overload
    def chat(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        *,
        stream: Literal[True],
        n: int = ...,
        **options: Unpack[Options],
    ) -> Asked: ...
    def chat(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        *,
        n: int = 1,
        stream: bool = False,
        **options: Unpack[Options],
    ) -> Completion | list[Completion] | Asked:
        """Answer a conversation: Messages, or mappings with `role` and `content`.

        AbilityError if the model is not tuned for chat.
        """
        asked = self.ask_chat([_message(m) for m in messages], sampling_of(options, n))
        return _answer(asked, stream)

    def ask_complete(self, prompt: str, sampling: Sampling, *, heal: bool = True) -> Asked:
        """Start to continue a text. `heal`: as in `complete`."""
        text_ids = self.tokenizer.encode(prompt)
        return self._ask(self._begun(text_ids), sampling, healed=heal, drop_space=not prompt)

    def ask_infill(
        self,
        prefix: str,
        suffix: str,
        sampling: Sampling,
        *,
        order: Order = "spm",
        heal: bool = True,
    ) -> Asked:
        """Start to fill between prefix and suffix. AbilityError if the model cannot."""
        if not self.info.abilities.infill:
            raise AbilityError(
                f"model {self.info.name} was not trained to infill",
                remedy="use complete, or a model that infills (quipu info MODEL tells)",
            )
        ids = infill.prompt(self.tokenizer, prefix, suffix, order)
        return self._ask(
            ids,
            sampling,
            healed=heal and order == "spm",
            drop_space=order == "spm" and not prefix,
        )

    def ask_chat(self, messages: Sequence[Message], sampling: Sampling) -> Asked:
        """Start an answer to a conversation. AbilityError if the model is not tuned for chat."""
        style = self.require_chat()
        ids = chat.prompt(self.tokenizer, messages, style)
        stops = chat.stop_ids(self.tokenizer, style)
        return self._ask(ids, sampling, healed=False, drop_space=True, stop_ids=stops)

    def require_chat(self) -> ChatFormat:
        """How the model expects a conversation. AbilityError if it is not tuned for chat."""
        style = self.info.abilities.chat
        if style is None:
            raise AbilityError(
                f"model {self.info.name} is not tuned for chat",
                allowed=f"a tuned model, such as {TUNED}",
                remedy=f"get its weights from Meta and run: quipu chat --model PATH/{TUNED}",
            )
        return style

    def _begun(self, ids: list[int]) -> list[int]:
        bos = self.tokenizer.bos_id
        return ids if bos is None else [bos, *ids]

    def _ask(
        self,
        ids: list[int],
        sampling: Sampling,
        *,
        healed: bool,
        drop_space: bool = False,
        stop_ids: tuple[int, ...] = (),
    ) -> Asked:
        forced = b""
        if healed and self.info.heals:
            ids, forced = healing.heal(self.tokenizer, ids)
        ends = [*stop_ids, self.tokenizer.eos_id]
        if self.tokenizer.infill is not None:
            ends.append(self.tokenizer.infill.eot)
        request = Request(
            prompt=tuple(ids),
            sampling=sampling,
            stop_ids=tuple(sorted({end for end in ends if end is not None})),
            forced=forced,
            drop_space=drop_space,
        )
        started = time.perf_counter()
        return Asked(
            stream=self.backend.submit(request),
            prompt_tokens=len(ids),
            sampling=sampling,
            started=started,
        )

    def logits(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Teacher-forced logits, fp32 [T, V]; row t predicts token t + 1."""
        return self.backend.logits(token_ids)

    def score(self, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Teacher-forced log-probabilities [T - 1] of tokens 1 to T - 1."""
        return self.backend.score(token_ids)

    def close(self) -> None:
        """Free the model. A `with` block does it too."""
        self.backend.close()
