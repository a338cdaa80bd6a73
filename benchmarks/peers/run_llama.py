"""llama.cpp by the C functions of llama-cpp-python: its class does much work per token."""

import ctypes

import llama_cpp as llama
from asked import Asked, Prompts, Stopwatch, Took, answer


class Engine:
    """A GGUF file, its context and llama.cpp's own greedy sampler."""

    def __init__(self, asked: Asked) -> None:
        self.name = f"llama.cpp ({llama.__version__})"
        self._quiet = llama.llama_log_callback(lambda *_: None)
        llama.llama_log_set(self._quiet, ctypes.c_void_p(0))
        llama.llama_backend_init()
        options = llama.llama_model_default_params()
        self._model = llama.llama_model_load_from_file(str(asked.model).encode(), options)
        if not self._model:
            raise SystemExit(f"llama.cpp cannot load {asked.model}")
        context = llama.llama_context_default_params()
        context.n_ctx = asked.batch * (asked.tokens + 1)
        context.n_seq_max = asked.batch
        context.kv_unified = True
        context.n_batch = context.n_ubatch = 512
        context.n_threads = context.n_threads_batch = asked.threads
        self._context = llama.llama_init_from_model(self._model, context)
        if not self._context:
            raise SystemExit("llama.cpp cannot make its context")
        self._size = 512
        self._batch = llama.llama_batch_init(self._size, 0, 1)
        chain = llama.llama_sampler_chain_default_params()
        self._sampler = llama.llama_sampler_chain_init(chain)
        llama.llama_sampler_chain_add(self._sampler, llama.llama_sampler_init_greedy())

    def generate(self, prompts: Prompts, new_tokens: int) -> Took:
        """All prompts, then a token for each sequence a step."""
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        watch = Stopwatch()
        last = self._prefill(prompts)
        watch.first()
        for step in range(new_tokens - 1):
            rows = [
                (token, len(prompts[sequence]) + step, sequence, True)
                for sequence, token in enumerate(last)
            ]
            last = self._decode(rows)
        return watch.took()

    def _prefill(self, prompts: Prompts) -> list[int]:
        rows = [
            (token, position, sequence, position == len(prompt) - 1)
            for sequence, prompt in enumerate(prompts)
            for position, token in enumerate(prompt)
        ]
        found: list[int] = []
        for start in range(0, len(rows), self._size):
            found += self._decode(rows[start : start + self._size])
        return found

    def _decode(self, rows: list[tuple[int, int, int, bool]]) -> list[int]:
        batch = self._batch
        batch.n_tokens = len(rows)
        for row, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[row] = token
            batch.pos[row] = position
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = sequence
            batch.logits[row] = wanted
        if llama.llama_decode(self._context, batch):
            raise SystemExit("llama_decode failed")
        return [
            llama.llama_sampler_sample(self._sampler, self._context, row)
            for row, (_, _, _, wanted) in enumerate(rows)
            if wanted
        ]


if __name__ == "__main__":
    answer(Engine)
