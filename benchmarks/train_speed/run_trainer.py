"""Steps of transformers' Trainer on its LlamaForCausalLM."""

import tempfile
import time
from typing import Any

import torch
import turns
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

MICRO_TOKENS = 8_192  # as Quipu's default


class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __init__(self, work: Any) -> None:
        self._work = work

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        each = self._work.batch_tokens // self._work.row_tokens
        ids = torch.from_numpy(turns.rows(self._work, index // each)[index % each, :-1])
        return {"input_ids": ids, "labels": ids}


class Turns(TrainerCallback):
    def __init__(self, work: Any) -> None:
        self._work, self._began = work, 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        turns.wait()
        self._began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        turns.told(self._began, self._work.device)


def main() -> None:
    work = turns.work()
    config = LlamaConfig(
        hidden_size=work.dim, num_hidden_layers=work.layers, num_attention_heads=work.heads,
        num_key_value_heads=work.kv_heads, intermediate_size=work.ffn, vocab_size=work.vocab,
        max_position_embeddings=work.row_tokens, tie_word_embeddings=True,
    )  # fmt: skip
    half = work.dtype == "bfloat16"
    rows_at_once = max(1, min(work.batch_tokens, MICRO_TOKENS) // work.row_tokens)
    model = LlamaForCausalLM(config)
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=rows_at_once,
        gradient_accumulation_steps=work.batch_tokens // work.row_tokens // rows_at_once,
        max_steps=1000, bf16=half, use_cpu=work.device == "cpu", report_to=[],
        save_strategy="no", logging_strategy="no", torch_compile=work.compiled,
        optim="adamw_torch_fused", learning_rate=1e-3, weight_decay=0.1, disable_tqdm=True,
    )  # fmt: skip
    Trainer(model=model, args=arguments, train_dataset=Rows(work), callbacks=[Turns(work)]).train()


if __name__ == "__main__":
    main()
