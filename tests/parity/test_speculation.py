"""With the C++ runtime drafted tokens change no answer, to the last bit of a log-probability."""

from functools import cache
from pathlib import Path

import pytest

import quipu
from quipu.engine.engine import Engine
from quipu.request import Request, Sampling

TOKENS = 120


@cache
def opened():
    return quipu.load(threads=1)


def prompts():
    """Beginnings of real files, one of them once more behind itself."""
    words = opened().tokenizer
    source = Path(quipu.__file__).parent
    texts = [(source / name).read_text()[:700] for name in ("answers.py", "errors.py", "log.py")]
    texts.append(texts[0] + "\n# once more\n" + texts[0][:300])
    return [(words.bos_id, *words.encode(text)) for text in texts]


def answers(sampling, speculate, **options):
    """Every token, log-probability and reason; and the engine. Drafts are always worth a try."""
    llm = opened()
    runner = llm.backend._worker.engine().runner
    seconds = iter(range(10**9))
    engine = Engine(
        runner,
        context=llm.info.context,
        vocab=llm.tokenizer.vocab,
        speculate=speculate,
        clock=lambda: next(seconds),
        **options,
    )
    found = {}
    for prompt in prompts():
        engine.add(Request(prompt=prompt, sampling=sampling, stop_ids=(llm.tokenizer.eos_id,)))
    while not engine.idle:
        for event in engine.step():
            told = (event.token_id, event.logprob, event.finish_reason)
            found.setdefault((event.request_id, event.index), []).append(told)
    return found, engine


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"logprobs": 3},
        {"temperature": 0.8, "top_p": 0.95},
        {"temperature": 0.5, "n": 2, "logprobs": 0},
        {"repetition_penalty": 1.1, "top_k": 20, "temperature": 0.4},
        {"logit_bias": {300: 2.0}},
    ],
    ids=str,
)
@pytest.mark.parametrize("tokens_per_step", [16, 512])
def test_drafts_change_no_bit_of_an_answer(options, tokens_per_step):
    sampling = Sampling(max_tokens=TOKENS, seed=7, **options)
    plain, _ = answers(sampling, False, tokens_per_step=tokens_per_step)
    drafted, engine = answers(sampling, True, tokens_per_step=tokens_per_step)
    assert drafted == plain
    assert engine.speculation.accepted > 0
