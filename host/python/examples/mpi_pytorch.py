"""A run that several processes score with PyTorch, each with its own copy of a network. Rank 0 trains it and gives it to the others.

    pip install ./host/python torch scikit-learn mpi4py
    mpirun -n 2 python host/python/examples/mpi_pytorch.py [folder]
"""

from __future__ import annotations

import fooling
import torch
from mpi4py import MPI
from pytorch_digits import evolve, network, scores_of, train


def main() -> None:
    comm = MPI.COMM_WORLD
    torch.manual_seed(0)
    net = network()
    if comm.Get_rank() == 0:
        print(f"accuracy on unseen digits: {train(net):.1%}")
    net.load_state_dict(comm.bcast(net.state_dict()))
    # Each rank scores its share of the pictures with its copy; rank 0 evolves.
    run = fooling.on_ranks(lambda score: evolve(score, net), scores_of(net))
    if run:
        print(run)
        print("confidence:", {digit: f"{confidence:.2%}" for digit, confidence in zip(run.labels, run.confidences)})


if __name__ == "__main__":
    main()
