#!/usr/bin/env bash
# The job after the array: one file of all parts, which are removed when it is on the disk.
set -euo pipefail
exec "${GENOSSM:-genossm}" merge -o "$1" --remove
