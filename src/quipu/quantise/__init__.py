"""Weights of 4 bits that are fitted to text: layer by layer, each matrix against its inputs."""

from quipu.quantise.calibrated import Calibrated, calibrated_on

__all__ = ["Calibrated", "calibrated_on"]
