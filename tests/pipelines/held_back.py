#!/usr/bin/env python3
"""genossm, but a run that would be over too soon is held up: for tests of time limits and kills.

The first run that writes $HELD_BACK_NAME makes the file $HELD_BACK, and stands still as soon as something is
in its journal; a signal sets it going again and reaches it. All other runs are plain genossm. The file tells of
both: "held NAME", and "went on NAME" where a run began with a journal.
"""
import os
import pathlib
import signal
import subprocess
import sys
import time

program, marker = os.environ["HELD_BACK_PROGRAM"], os.environ["HELD_BACK"]
words = sys.argv[1:]


def output_of(words):
    """The file that is written: that of the part, where there is one."""
    output = pathlib.Path(words[words.index("-o") + 1])
    shard = words[words.index("--shard") + 1] if "--shard" in words else ""
    if shard == "slurm":
        shard = f"{os.environ['SLURM_ARRAY_TASK_ID']}/{os.environ['SLURM_ARRAY_TASK_COUNT']}"
    return output.with_name(output.name + ".shard-" + shard.replace("/", "-of-")) if shard else output


def tell(what):
    with open(marker, "a") as file:
        file.write(f"{what} {output.name}\n")


if "-o" not in words or output_of(words).name != os.environ["HELD_BACK_NAME"]:
    os.execv(program, [program, *words])
output = output_of(words)
journal = output.with_name(output.name + ".genossm-journal")
try:
    os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
except FileExistsError:
    if journal.exists():
        tell("went on")
    os.execv(program, [program, *words])

run = subprocess.Popen([program, *words, "--save-every", "0"])


def told(number, _):
    run.send_signal(number)
    run.send_signal(signal.SIGCONT)


signal.signal(signal.SIGTERM, told)
signal.signal(signal.SIGINT, told)


def kept():
    """Whether more than its heading stands in the journal."""
    return journal.exists() and journal.stat().st_size > 3000


while run.poll() is None and not kept():
    time.sleep(0.001)
if run.poll() is None:
    run.send_signal(signal.SIGSTOP)
    tell("held")
    # 100 s and no signal: something is wrong with the test; the run goes on.
    end = time.monotonic() + 100
    while run.poll() is None:
        if time.monotonic() > end:
            run.send_signal(signal.SIGCONT)
        time.sleep(0.02)
code = run.returncode
sys.exit(code if code >= 0 else 128 - code)
