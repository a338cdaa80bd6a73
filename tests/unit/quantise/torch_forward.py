"""`quantise.forward.Forward` by the PyTorch model: the twin of the native one."""

from collections.abc import Mapping

import torch

from quipu.checkpoint.tensors import StoredTensor, as_float32
from quipu.config import ModelConfig
from quipu.model.attend import single_document
from quipu.model.rope import angles, frequencies
from quipu.model.transformer import Block
from quipu.quantise.forward import Floats, LayerInputs

_FED = ("attention.wq", "attention.wo", "feed_forward.w1", "feed_forward.w2")


class TorchForward:
    """One block in fp32."""

    def __init__(self, config: ModelConfig, length: int) -> None:
        self._block = Block(config).eval().requires_grad_(False)
        frequency, factor = frequencies(config)
        self._cos, self._sin = angles(frequency, factor, torch.arange(length))
        self._fed: dict[str, torch.Tensor] = {}
        for name in _FED:
            module = self._block.get_submodule(name)
            module.register_forward_pre_hook(
                lambda _, inputs, name=name: self._fed.update({name: inputs[0]})
            )

    def load(self, weights: Mapping[str, StoredTensor]) -> None:
        names = {name.split(".")[-2]: name for name in self._block.state_dict()}
        arrays = {names[part]: as_float32(tensor).copy() for part, tensor in weights.items()}
        self._block.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})

    def run(self, x_TD: Floats) -> LayerInputs:
        x = torch.from_numpy(x_TD)
        out = self._block(
            x.clone(), self._cos[: len(x)], self._sin[: len(x)], single_document(len(x))
        )
        x.copy_(out)
        return LayerInputs(*(self._fed[name].numpy() for name in _FED))
