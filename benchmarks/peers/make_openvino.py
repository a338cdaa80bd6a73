"""OpenVINO's own exporter: make_openvino.py HF_FOLDER TARGET int4|int8."""

import sys
from pathlib import Path

import openvino
from openvino_tokenizers import convert_tokenizer
from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig
from transformers import AutoTokenizer

# As its documentation recommends for speed: symmetric, groups of 128, every matrix.
INT4 = OVWeightQuantizationConfig(bits=4, sym=True, group_size=128, ratio=1.0)
INT8 = OVWeightQuantizationConfig(bits=8)


def main() -> None:
    source, target, kind = sys.argv[1:]
    model = OVModelForCausalLM.from_pretrained(
        source, export=True, compile=False, quantization_config={"int4": INT4, "int8": INT8}[kind]
    )
    model.save_pretrained(target)
    tokenizer = AutoTokenizer.from_pretrained(source)
    there, back = convert_tokenizer(tokenizer, with_detokenizer=True)
    openvino.save_model(there, Path(target) / "openvino_tokenizer.xml")
    openvino.save_model(back, Path(target) / "openvino_detokenizer.xml")


if __name__ == "__main__":
    main()
