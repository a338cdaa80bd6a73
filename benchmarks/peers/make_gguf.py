"""llama.cpp's own quantiser: make_gguf.py SOURCE.gguf TARGET.gguf q4_0|q4_k_m."""

import ctypes
import os
import sys

import llama_cpp as llama

KINDS = {"q4_0": llama.LLAMA_FTYPE_MOSTLY_Q4_0, "q4_k_m": llama.LLAMA_FTYPE_MOSTLY_Q4_K_M}


def main() -> None:
    source, target, kind = sys.argv[1:]
    quiet = llama.llama_log_callback(lambda *_: None)
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    options = llama.llama_model_quantize_default_params()
    options.nthread = os.cpu_count() or 1
    options.allow_requantize = True  # of random weights nobody judges the quality
    options.ftype = KINDS[kind]
    if llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(options)):
        raise SystemExit(f"llama.cpp cannot make {kind} of {source}")


if __name__ == "__main__":
    main()
