"""One process in, many out, which train one model together; knows no command line.

    torchrun --nproc_per_node=2 -m llm_core train …

Every process holds the model whole and reads its own rows of each batch; their
gradients are averaged before each step (data parallelism). So the run is that of one
process with a batch as large as all of theirs. A model that does not fit into one
process is cut up by `shard`, the step after this one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from llm_core.checkpoint import TrainingState, save_checkpoint
from llm_core.data import TokenStream
from llm_core.model import GPTModel
from llm_core.tokenizer import Tokenizer
from llm_core.trainer import TrainConfig, Trainer


@contextmanager
def joined() -> Iterator[int]:
    """Join the processes that torchrun has started; yields the number of this one.

    They talk by NCCL where each has a GPU of its own, and by gloo elsewhere.
    """
    on_gpu = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield dist.get_rank()
        dist.barrier()  # who leaves early may take along what another still waits for
    finally:
        dist.destroy_process_group()


def any_of(flag: bool) -> bool:
    """Return whether the flag is up in any process; all must ask at the same time."""
    raised = torch.tensor(float(flag))
    dist.all_reduce(raised)
    return bool(raised)


class DistributedTrainer(Trainer):
    """A `Trainer` that shares its work with those of other processes.

    `batch_size` is that of one process. What is random inside the model, dropout, is
    so in each process by itself; the data's order is one for all. All processes must
    do the same at the same time: step, save, resume.
    """

    def __init__(
        self,
        model: GPTModel,
        train: TokenStream,
        validation: TokenStream,
        config: TrainConfig,
    ) -> None:
        super().__init__(model, train, validation, config)
        self.rank, self.num_processes = dist.get_rank(), dist.get_world_size()
        self._num_rows = config.batch_size * self.num_processes
        together = DistributedDataParallel(model)  # averages gradients as they come
        self._forward = torch.compile(together) if config.compile else together

    def _batch(self, part: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw the batch of all processes, and take this one's rows."""
        inputs, targets, weights = super()._batch(part)
        first = self.rank * self.config.batch_size
        rows = slice(first, first + self.config.batch_size)
        return inputs[rows], targets[rows], weights[rows]

    def _accumulate_gradients(self) -> float:
        loss = torch.tensor(super()._accumulate_gradients(), dtype=torch.float64)
        loss = loss.to(self.model.token_embedding.weight.device)
        dist.all_reduce(loss)
        return loss.item() / self.num_processes

    def save(self, folder: str | Path, tokenizer: Tokenizer) -> Path:
        """Save the run, written by the first process, and wait until it is there.

        Raises in all processes what went wrong in the first.
        """
        outcome: list[Path | Exception | None] = [None]
        state = self._state()
        if self.rank == 0:
            try:
                outcome = [save_checkpoint(folder, self.model, tokenizer, state)]
            except Exception as error:
                outcome = [error]
        dist.broadcast_object_list(outcome)
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        assert outcome[0] is not None
        return outcome[0]

    def _state(self) -> TrainingState:
        """Gather what differs between processes: the state of their random numbers."""
        state = super()._state()
        states = [torch.empty_like(torch.get_rng_state()) for _ in self._ranks]
        dist.all_gather(states, torch.get_rng_state())
        random = {f"random.cpu.{rank}": states[rank] for rank in self._ranks}
        return replace(state, tensors={**state.tensors, **random})

    def _restore(self, state: TrainingState) -> None:
        super()._restore(state)
        torch.set_rng_state(state.tensors[f"random.cpu.{self.rank}"])

    @property
    def _ranks(self) -> range:
        return range(self.num_processes)


def shard(model: GPTModel, mesh: DeviceMesh) -> None:
    """Cut the parameters of a model up among processes, in place (FSDP2).

    Each process keeps its part of every matrix. A block's whole weights come together
    only while that block computes, so that memory per process falls as the number of
    processes grows. Make the optimizer afterwards: it then keeps moments of the part
    alone. Checkpoints need `torch.distributed.checkpoint`; the `Trainer` does not know
    sharded models.
    """
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
