"""transformers with PyTorch: bf16, scaled-dot-product attention, cached keys and values."""

import torch
import transformers
from asked import Asked, Prompts, Stopwatch, Took, answer
from transformers import AutoModelForCausalLM, DynamicCache


class Engine:
    """The model in a loop of its own: `generate` would add its bookkeeping to every token."""

    def __init__(self, asked: Asked) -> None:
        torch.set_num_threads(asked.threads)
        self.name = f"transformers ({transformers.__version__}, torch {torch.__version__})"
        self._model = AutoModelForCausalLM.from_pretrained(
            asked.model, dtype=torch.bfloat16, attn_implementation="sdpa"
        ).eval()

    @torch.inference_mode()
    def generate(self, prompts: Prompts, new_tokens: int) -> Took:
        """All prompts at once, then a token for each sequence a step."""
        cache = DynamicCache(config=self._model.config)
        tokens = torch.tensor(prompts)
        watch = Stopwatch()
        tokens = self._step(tokens, cache)
        watch.first()
        for _ in range(new_tokens - 1):
            tokens = self._step(tokens, cache)
        return watch.took()

    def _step(self, tokens: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        out = self._model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1:].argmax(-1)


if __name__ == "__main__":
    answer(Engine)
