"""CTranslate2: its generator, which stops at no token here."""

import json

import ctranslate2
from asked import Asked, Prompts, Stopwatch, Took, answer


class Engine:
    """A converted folder, computed in the types it was converted to."""

    def __init__(self, asked: Asked) -> None:
        self._generator = ctranslate2.Generator(
            str(asked.model), device="cpu", inter_threads=1, intra_threads=asked.threads
        )
        kind = self._generator.compute_type
        self.name = f"CTranslate2 ({ctranslate2.__version__}, computes in {kind})"
        self._words = json.loads((asked.model / "vocabulary.json").read_text())

    def generate(self, prompts: Prompts, new_tokens: int) -> Took:
        """All prompts at once, then a token for each sequence a step."""
        watch = Stopwatch()
        waiting = set(range(len(prompts)))

        def arrived(result: ctranslate2.GenerationStepResult) -> bool:
            if waiting:
                waiting.discard(result.batch_id)
                if not waiting:
                    watch.first()
            return False

        results = self._generator.generate_batch(
            [[self._words[token] for token in prompt] for prompt in prompts],
            max_length=new_tokens,
            sampling_topk=1,
            end_token=[],
            include_prompt_in_result=False,
            callback=arrived,
        )
        took = watch.took()
        for result in results:
            if len(result.sequences_ids[0]) != new_tokens:
                raise SystemExit(f"CTranslate2 generated {len(result.sequences_ids[0])} tokens")
        return took


if __name__ == "__main__":
    answer(Engine)
