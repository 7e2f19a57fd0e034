"""HOG against loops over pixels, cells and blocks."""

import math

import pytest
import torch

from crossreid.nn.hog import hog


def slow_hog(image: list[list[float]], cell: int, block: int, bins: int) -> list[float]:
    height, width = len(image), len(image[0])
    rows, columns = height // cell, width // cell
    cells = [[[0.0] * bins for _ in range(columns)] for _ in range(rows)]
    for y in range(rows * cell):
        for x in range(columns * cell):
            down = image[y + 1][x] - image[y - 1][x] if 0 < y < height - 1 else 0.0
            right = image[y][x + 1] - image[y][x - 1] if 0 < x < width - 1 else 0.0
            angle = math.degrees(math.atan2(down, right)) % 180
            place = angle / (180 / bins) - 0.5
            low = math.floor(place)
            histogram = cells[y // cell][x // cell]
            histogram[low % bins] += math.hypot(down, right) * (1 - (place - low))
            histogram[(low + 1) % bins] += math.hypot(down, right) * (place - low)
    found = []
    for r in range(rows - block + 1):
        for c in range(columns - block + 1):
            vector = [v for i in range(block) for j in range(block) for v in cells[r + i][c + j]]
            for clip in (0.2, math.inf):
                length = math.sqrt(sum(v * v for v in vector) + 1e-12)
                vector = [min(v / length, clip) for v in vector]
            found += vector
    return found


@pytest.mark.parametrize(
    ("height", "width", "cell", "block", "bins"), [(16, 24, 8, 2, 9), (13, 11, 4, 2, 6), (9, 9, 3, 1, 4)]
)
def test_it_equals_the_loops(height, width, cell, block, bins) -> None:
    images = torch.rand(2, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = hog(images, cell, block, bins)
    for row, image in zip(made, images.tolist(), strict=True):
        torch.testing.assert_close(row, torch.tensor(slow_hog(image, cell, block, bins)), atol=2e-5, rtol=1e-4)


def test_a_step_edge_votes_for_its_direction() -> None:
    image = torch.zeros(1, 16, 16)
    image[:, :, 8:] = 1.0  # the gradient points right: 0 degrees, between the last bin and the first
    histograms = hog(image).view(4, 9)
    assert float(histograms[:, [0, 8]].min()) > 0
    assert float(histograms[:, 1:8].abs().max()) == 0


def test_a_flat_image_is_finite_and_too_small_a_one_is_refused() -> None:
    assert torch.equal(hog(torch.full((1, 16, 16), 0.5)), torch.zeros(1, 36))
    with pytest.raises(ValueError, match="no block"):
        hog(torch.rand(1, 16, 12))
