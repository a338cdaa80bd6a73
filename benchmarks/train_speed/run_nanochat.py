"""Steps of nanochat from a checkout: its model (its own architecture, same shape) and optimiser."""

import inspect
import sys
import time

import torch
import turns


def main() -> None:
    work = turns.work()
    sys.path.insert(0, work.nanochat)
    from nanochat.gpt import GPT, GPTConfig

    known = {
        "sequence_len": work.row_tokens,
        "vocab_size": work.vocab,
        "n_layer": work.layers,
        "n_head": work.heads,
        "n_kv_head": work.kv_heads,
        "n_embd": work.dim,
    }
    fields = inspect.signature(GPTConfig).parameters
    model = GPT(GPTConfig(**{name: value for name, value in known.items() if name in fields}))
    model = model.to(work.device)
    model.init_weights()
    made = model.setup_optimizer() if hasattr(model, "setup_optimizer") else None
    optimisers = [made] if made is not None else model.setup_optimizers()
    run = torch.compile(model, dynamic=False) if work.compiled else model
    number = 0
    while True:
        turns.wait()
        began = time.perf_counter()
        ids = torch.from_numpy(turns.rows(work, number)).to(work.device)
        loss = run(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
        model.zero_grad(set_to_none=True)
        turns.told(began, work.device)
        number += 1


if __name__ == "__main__":
    main()
