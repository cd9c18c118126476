"""From the command to the first step of training, against importing what every such program imports.

`python benchmarks/startup.py` alternates two kinds of processes, nine times each after one that warms the disk: the
tiny LoRA run, whose clock stops when its first step is done, and `import torch, lightning, transformers, datasets`
alone. Writes results/benchmarks/startup.json; `--times N`, `--out FILE`. One thread. Target: a ratio of 1.3 at most.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

TARGET = 1.3
LIMIT = 120.0
IMPORTS = "import torch, lightning, transformers, datasets, time; print(time.time(), flush=True)"
RUN = ("paper=lora", "task=glue/mrpc", "inputs.start=null", "logger=none", "threads=1")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=9, help="pairs of processes (9)")
    parser.add_argument("--out", type=Path, help="the file (results/benchmarks/startup.json)")
    options = parser.parse_args()
    pairs = [(first_step(), imports()) for _ in range(options.times + 1)][1:]
    ratios = [ours / alone for ours, alone in pairs]
    result = {
        "what": "seconds from the command to the end of the first training step, and to the end of the imports alone",
        "command": f"python -m repro {' '.join(RUN)}",
        "imports": IMPORTS.partition(",")[0] + ", lightning, transformers, datasets",
        "threads": 1,
        "first_step_seconds": machine.spread([ours for ours, _ in pairs]),
        "imports_seconds": machine.spread([alone for _, alone in pairs]),
        "ratio": machine.spread(ratios),
        "target": TARGET,
        "machine": machine.described(),
    }
    file = machine.write("startup", result, options.out)
    ratio = result["ratio"]
    print(f"{file}: {ratio['median']:.2f} times the imports ({ratio['least']:.2f} to {ratio['greatest']:.2f})")


def imports() -> float:
    """Returns the seconds until a fresh process has imported everything."""
    began = time.time()
    done = subprocess.run([sys.executable, "-c", IMPORTS], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return float(done.stdout) - began


def first_step() -> float:
    """Returns the seconds until a fresh run has done one step; the run is then killed, and its folder removed.

    Raises:
        RuntimeError: it ends, or takes too long, before that.
    """
    folder = Path(tempfile.mkdtemp(prefix="repro-startup-"))
    words = [sys.executable, "-m", "repro", *RUN, f"runs_dir={folder}", "--quiet"]
    began = time.time()
    running = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while running.poll() is None and time.time() - began < LIMIT:
            for file in folder.glob("*/*/*/*.part/progress.json"):  # written when the first step is done
                with contextlib.suppress(OSError):
                    return file.stat().st_mtime - began
            time.sleep(0.2)  # the file says when: to look often would only disturb
        raise RuntimeError(f"{' '.join(words)} has made no step")
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
