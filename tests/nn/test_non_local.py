"""Non-local blocks against a double loop over positions."""

import pytest
import torch

from crossreid.errors import ConfigError
from crossreid.nn.backbones import ResNetEncoder
from crossreid.nn.non_local import NonLocal, add_non_local
from crossreid.settings.networks import BackboneConfig


def test_it_equals_a_loop_over_positions() -> None:
    torch.manual_seed(0)
    block = NonLocal(6, 4).eval()
    torch.nn.init.ones_(block.norm.weight)
    x = torch.randn(2, 6, 3, 2)

    def project(layer: torch.nn.Conv2d, image: torch.Tensor, y: int, c: int) -> torch.Tensor:
        return layer.weight[:, :, 0, 0] @ image[:, y, c] + layer.bias

    with torch.no_grad():
        made = block(x)
        positions = [(y, c) for y in range(3) for c in range(2)]
        for image, found in zip(x, made, strict=True):
            for y, c in positions:
                total = torch.zeros(4)
                for v, d in positions:
                    weight = project(block.theta, image, y, c) @ project(block.phi, image, v, d) / len(positions)
                    total += weight * project(block.g, image, v, d)
                out = block.out.weight[:, :, 0, 0] @ total + block.out.bias
                out = out / torch.sqrt(torch.tensor(1 + block.norm.eps))
                torch.testing.assert_close(found[:, y, c], image[:, y, c] + out, atol=1e-5, rtol=1e-5)


def test_it_starts_as_the_identity_and_learns() -> None:
    block = NonLocal(8, None).train()
    x = torch.randn(2, 8, 3, 3)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert float(block.norm.weight.grad.norm()) > 0


def test_blocks_stand_behind_the_last_blocks_of_a_stage() -> None:
    stage = ResNetEncoder(BackboneConfig("resnet18", "random", [64, 32])).body[5]
    kinds = [type(layer).__name__ for layer in add_non_local(stage, 1, None)]
    assert kinds == ["BasicBlock", "BasicBlock", "NonLocal"]
    with pytest.raises(ConfigError, match="stage of 2"):
        add_non_local(stage, 3, None)
