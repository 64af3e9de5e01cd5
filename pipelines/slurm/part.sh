#!/usr/bin/env bash
# One task of the array: part SLURM_ARRAY_TASK_ID of the job. Submitted by submit.sh, which gives the options.
set -uo pipefail
"${GENOSSM:-genossm}" "$@" --shard slurm --threads "${SLURM_CPUS_PER_TASK:-1}" --progress plain &
child=$!
told=
# Slurm tells this shell alone (--signal=B:TERM): the program makes safe what is finished and ends with 143.
trap 'told=1; kill -TERM "$child" 2>/dev/null' TERM
wait "$child"
code=$?
if [ -n "$told" ]; then
  # The first wait ended with the signal, not with the program; 127: it had ended already.
  wait "$child"
  ended=$?
  [ "$ended" -eq 127 ] || code=$ended
fi
[ "$code" -eq 143 ] || exit "$code"

task=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
times=${SLURM_RESTART_COUNT:-0}
if [ "$times" -ge "${GENOSSM_RESTARTS:-100}" ]; then
  echo "part.sh: task $task was stopped, and has gone back into the queue $times times already. It stays out" >&2
  exit "$code"
fi
# A task that somebody cancelled must not come back.
if [ "$(squeue --noheader --job "$task" --format %T)" = RUNNING ]; then
  echo "part.sh: task $task was stopped with its work kept; it goes back into the queue" >&2
  scontrol requeue "$task"
fi
exit "$code"
