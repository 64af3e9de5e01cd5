#!/usr/bin/env bash
# running, success or failed, for the Slurm job that Snakemake asks about. Jobs that are over are asked of
# slurmctld, and once it has forgotten them of the accounting.
state=$(scontrol show job -o "$1" 2>/dev/null | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p')
if [ -z "$state" ]; then
  state=$(sacct -X -n -P -j "$1" -o State 2>/dev/null | sed -n '1s/[^A-Z_].*//p;1p' | head -n 1)
fi
case $state in
  COMPLETED) echo success ;;
  # Also where the controller did not answer: it is asked again.
  PENDING | RUNNING | COMPLETING | CONFIGURING | SUSPENDED | REQUEUED | RESIZING | STAGE_OUT | SIGNALING | "") echo running ;;
  *) echo failed ;;
esac
