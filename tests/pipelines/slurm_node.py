"""A Slurm of one node on the loopback, in a folder of its own: munged, slurmctld and slurmd are started
and ended here, and read nothing of the machine's own configuration. Works as root without systemd and
cgroups."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

WHERE = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue")

CONFIGURATION = """ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A job that is put back into the queue may start again once its old credential has run out.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
# Dependencies are looked at this often; by default once a minute.
SchedulerParameters=sched_interval=1
MpiDefault=none
ReturnToService=2
KillWait=20
MinJobAge=3600
# This host need not be what slurm.conf says of it.
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE OverSubscribe=NO State=UP
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class SlurmNode:
    def __init__(self, cpus=2, memory=2000):
        missing = [name for name in PROGRAMS if shutil.which(name, path=WHERE) is None]
        if missing:
            raise unittest.SkipTest(f"skipped: no {', '.join(missing)} (Debian: slurm-wlm, munge)")
        if os.getuid() != 0:
            raise unittest.SkipTest("skipped: a Slurm of its own needs root")
        # The socket's whole path must be short, and no part of it may be writable by others.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="genossm-slurm-", dir="/tmp"))
        self.daemons = []
        self.environment = {**os.environ, "PATH": WHERE, "SLURM_CONF": str(self.folder / "slurm.conf"),
                            "USER": "root", "LOGNAME": "root"}
        # What a Slurm job around this test has set is none of this one's.
        for name in [name for name in self.environment if name.startswith(("SLURM_", "SBATCH_"))]:
            if name != "SLURM_CONF":
                del self.environment[name]
        try:
            self.start(cpus, memory)
        except BaseException:
            self.stop()
            raise

    def start(self, cpus, memory):
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(
            folder=self.folder, host=socket.gethostname().split(".")[0], ctld_port=free_port(),
            slurmd_port=free_port(), cpus=cpus, memory=memory))
        key = self.folder / "munge.key"
        self.run("mungekey", "--create", f"--keyfile={key}")
        self.daemon("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket",
                    f"--pid-file={self.folder}/munged.pid", f"--seed-file={self.folder}/munged.seed",
                    f"--log-file={self.folder}/munged.log", "--num-threads=2")
        self.wait_until(lambda: (self.folder / "munge.socket").exists(), "munged")
        self.daemon("slurmctld", "-D", "-c", "-i")
        self.daemon("slurmd", "-D", "-N", socket.gethostname().split(".")[0])
        self.wait_until(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", fail=False), "slurmd")

    def daemon(self, *words):
        output = open(self.folder / f"{words[0]}.out", "wb")
        self.daemons.append(subprocess.Popen(words, env=self.environment, cwd=self.folder, stdout=output,
                                             stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL))
        output.close()

    def run(self, *words, fail=True, **more):
        """Standard output of a command, in the environment of this Slurm."""
        done = subprocess.run([*map(str, words)], env=self.environment, capture_output=True, text=True,
                              timeout=120, **more)
        if fail and done.returncode != 0:
            raise AssertionError(f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def wait_until(self, done, what, seconds=120):
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise AssertionError(f"{what} is not there after {seconds} s\n{self.logs()}")
            for daemon in self.daemons:
                if daemon.poll() is not None:
                    raise AssertionError(f"{daemon.args[0]} ended with {daemon.returncode}\n{self.logs()}")
            time.sleep(0.1)

    def job(self, number):
        """What scontrol says of a job, or of one task of an array."""
        text = self.run("scontrol", "show", "job", "-o", str(number))
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in text.splitlines() if line]

    def wait_for(self, *numbers, seconds=600):
        """Until the jobs (all tasks of an array) are over, in whatever way. Returns the last one's rows."""
        over = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY")
        for number in numbers:
            self.wait_until(lambda: all(row["JobState"].startswith(over) for row in self.job(number)),
                            f"the end of job {number}", seconds)
        return self.job(numbers[-1])

    def logs(self):
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}"
                         for path in sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")]))

    def stop(self):
        if (self.folder / "munge.socket").exists() and len(self.daemons) == 3:
            self.run("scancel", "--full", "--state=RUNNING", "--state=PENDING", "-u", "root", fail=False)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
