"""What training costs, against the usual loop in the same run: `python benchmarks/mnist1d_steps.py`.

The claim: `archdsl train mnist1d_conv.arch`, the whole command with its 100,000 steps, start-up, data,
compilation into an empty cache, measurements and files, is at least 2.5 times as fast as an eager PyTorch
loop with a DataLoader takes for its steps alone. The loop trains the module of `net.build()` with the same
batches' size, loss and optimizer; it is timed before and after for so many steps as `--peer` says, on one
thread, which suits it best too. Ends with exit code 1 where the claim does not hold.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import archdsl
from archdsl.training.mnist1d import signals

STEPS = 100_000
LIMIT = 2.5


def usual_loop(steps: int) -> float:
    """Seconds a step of the loop as tutorials write it; the first 100 steps warm up."""
    signal, label = signals()
    x = torch.tensor(signal, dtype=torch.float32)[:4000].reshape(4000, 1, 40)
    batches = DataLoader(TensorDataset(x, torch.tensor(label)[:4000]), batch_size=100, shuffle=True)
    model = archdsl.load("mnist1d_conv.arch").build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss_function = nn.CrossEntropyLoss()
    done, begun = -100, 0.0
    while done < steps:
        for inputs, classes in batches:
            if done == 0:
                begun = time.perf_counter()
            optimizer.zero_grad()
            loss = loss_function(model(inputs), classes)
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                break
    return (time.perf_counter() - begun) / steps


def whole_command() -> float:
    """Seconds of the whole command, with an empty cache of the compiler."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": f"{folder}/cache"}
        command = [sys.executable, "-m", "archdsl", "train", "mnist1d_conv.arch", "--out", f"{folder}/run"]
        begun = time.perf_counter()
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - begun
    print(done.stdout.strip())
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", type=int, default=10_000, help="steps of the usual loop, each time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = usual_loop(options.peer)
    ours = whole_command()
    after = usual_loop(options.peer)
    theirs = STEPS * (before + after) / 2
    print(f"the usual loop, {STEPS:,} steps   {theirs:8.1f} s")
    print(f"  its steps a second          {1 / before:8,.0f} before, {1 / after:,.0f} after")
    print(f"archdsl train, the command    {ours:8.1f} s")
    print(f"ratio                         {theirs / ours:8.2f}   (at least {LIMIT})")
    if theirs / ours < LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
