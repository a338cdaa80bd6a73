"""OpenVINO GenAI: its stateful pipeline, which was faster than paged attention in every trial."""

import numpy as np
import openvino
import openvino_genai as genai
from asked import Asked, Prompts, Took, answer

VERSION = genai.get_version().split("-")[0]


def greedy(new_tokens: int) -> genai.GenerationConfig:
    """Past the end token."""
    config = genai.GenerationConfig()
    config.max_new_tokens = new_tokens
    config.ignore_eos = True
    config.do_sample = False
    config.apply_chat_template = False
    return config


class Engine:
    """Sequences of equal length as one matrix; times are the pipeline's own, taken in C++."""

    name = f"OpenVINO GenAI ({VERSION})"

    def __init__(self, asked: Asked) -> None:
        self._pipeline = genai.LLMPipeline(
            str(asked.model),
            "CPU",
            ATTENTION_BACKEND="SDPA",
            INFERENCE_NUM_THREADS=asked.threads,
            PERFORMANCE_HINT="LATENCY",
        )

    def generate(self, prompts: Prompts, new_tokens: int) -> Took:
        """All prompts at once, then a token for each sequence a step."""
        ids = openvino.Tensor(np.array(prompts, dtype=np.int64))
        metrics = self._pipeline.generate(ids, greedy(new_tokens)).perf_metrics
        found = metrics.get_num_generated_tokens()
        if found != len(prompts) * new_tokens:
            raise SystemExit(f"OpenVINO generated {found} tokens")
        first_ms, total_ms = metrics.get_ttft().mean, metrics.get_generate_duration().mean
        return Took(prefill_s=first_ms / 1000, decode_s=(total_ms - first_ms) / 1000)


if __name__ == "__main__":
    answer(Engine)
