"""One rank of the two-process test of EmbeddingGatherer: rank, world size, rendezvous file, folder for the result."""

import sys

import torch
import torch.distributed as dist

from crossreid.evaluation import EmbeddingGatherer


def feature(rows: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"main": rows[:, None] * torch.tensor([1.0, 10.0, 100.0]), "shared": rows[:, None].float() - 0.5}


def main() -> None:
    rank = int(sys.argv[1])
    world = int(sys.argv[2])
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=world)
    results = {}
    gatherer = EmbeddingGatherer(["main", "shared"])
    padded = [0, 1, 2, 3, 4, 5, 6, 0]  # seven images: the sampler repeats the first
    mine = torch.tensor(padded[rank::world])
    for batch in mine.split(3):
        gatherer.update(batch, feature(batch))
    results["padded"] = tuple(gatherer.compute())
    gatherer.reset()
    batches = torch.arange(5).split(2) if rank == 0 else [torch.tensor([8])]  # ranks of different length
    for batch in batches:
        gatherer.update(batch, feature(batch))
    results["uneven"] = tuple(gatherer.compute())
    results["uneven, again"] = tuple(gatherer.compute())
    gatherer.reset()
    if rank == 1:  # the other rank has nothing
        gatherer.update(torch.tensor([4, 2]), feature(torch.tensor([4, 2])))
    results["one idle"] = tuple(gatherer.compute())
    torch.save(results, f"{sys.argv[4]}/{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
