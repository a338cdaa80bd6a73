"""Steps of litgpt: its model, loss and optimiser through Fabric, as its pretraining does them."""

import time

import lightning as L
import torch
import turns
from litgpt.model import GPT, Config
from litgpt.utils import chunked_cross_entropy

MICRO_TOKENS = 8_192  # as Quipu's default


def main() -> None:
    work = turns.work()
    half = work.dtype == "bfloat16"
    fabric = L.Fabric(
        accelerator=work.device, devices=1, precision="bf16-mixed" if half else "32-true"
    )
    config = Config(
        block_size=work.row_tokens, n_layer=work.layers, n_embd=work.dim, n_head=work.heads,
        n_query_groups=work.kv_heads, intermediate_size=work.ffn, padded_vocab_size=work.vocab,
        vocab_size=work.vocab, rotary_percentage=1.0, parallel_residual=False, bias=False,
        norm_class_name="RMSNorm", mlp_class_name="LLaMAMLP", norm_eps=1e-5,
    )  # fmt: skip
    model = GPT(config)
    model.lm_head.weight = model.transformer.wte.weight
    if work.compiled:
        model = torch.compile(model)
    model = fabric.setup(model)
    optimiser = fabric.setup_optimizers(
        torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1,
                          fused=True)
    )  # fmt: skip
    at_once = max(1, min(work.batch_tokens, MICRO_TOKENS) // work.row_tokens)
    number = 0
    while True:
        turns.wait()
        began = time.perf_counter()
        ids = torch.from_numpy(turns.rows(work, number)).to(fabric.device)
        parts = ids.split(at_once)
        for place, part in enumerate(parts):
            with fabric.no_backward_sync(model, enabled=place + 1 < len(parts)):
                logits = model(part[:, :-1])
                loss = chunked_cross_entropy(logits, part[:, 1:].contiguous())
                fabric.backward(loss / len(parts))
        fabric.clip_gradients(model, optimiser, max_norm=1.0)
        optimiser.step()
        optimiser.zero_grad()
        turns.told(began, work.device)
        number += 1


if __name__ == "__main__":
    main()
