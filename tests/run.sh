#!/usr/bin/env bash
# Builds what is missing and runs every test. Ends with ctest's summary and its exit code.
#
#   bash tests/run.sh [ctest options, e.g. -R golden]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/install_deps.sh"
genossm_install "${genossm_build_packages[@]}" "${genossm_test_packages[@]}"
preset=$(genossm_test_preset)
cd "$root"
cmake --preset "$preset" -DGENOSSM_BUILD_TESTS=ON >/dev/null
cmake --build --preset "$preset" -j "$(genossm_jobs)"
exec ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" "$@"
