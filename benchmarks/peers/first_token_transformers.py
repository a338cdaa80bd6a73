"""A token from a new process, as one would write it: first_token_transformers.py MODEL PROMPT."""

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    folder, prompt = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16")
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    out = model.generate(ids, max_new_tokens=1, do_sample=False)
    print(repr(tokenizer.decode(out[0, ids.shape[1] :])), flush=True)


if __name__ == "__main__":
    main()
