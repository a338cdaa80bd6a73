"""ONNX Runtime GenAI: its generator, token by token, past the end token."""

import json

import numpy as np
import onnxruntime_genai as genai
from asked import Asked, Prompts, Stopwatch, Took, answer


class Engine:
    """A folder as its model builder writes it."""

    name = f"ONNX Runtime GenAI ({genai.__version__})"

    def __init__(self, asked: Asked) -> None:
        config = genai.Config(str(asked.model))
        options = {"intra_op_num_threads": asked.threads}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self._model = genai.Model(config)

    def generate(self, prompts: Prompts, new_tokens: int) -> Took:
        """All prompts at once, then a token for each sequence a step."""
        length = len(prompts[0]) + new_tokens
        params = genai.GeneratorParams(self._model)
        params.set_search_options(
            do_sample=False, batch_size=len(prompts), max_length=length, min_length=length
        )
        watch = Stopwatch()
        generator = genai.Generator(self._model, params)
        generator.append_tokens(np.array(prompts, dtype=np.int32))
        generator.generate_next_token()
        watch.first()
        for _ in range(new_tokens - 1):
            generator.generate_next_token()
        took = watch.took()
        found = len(generator.get_sequence(0))
        if found != length:
            raise SystemExit(f"ONNX Runtime has {found} tokens, not {length}")
        return took


if __name__ == "__main__":
    answer(Engine)
