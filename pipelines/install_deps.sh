#!/usr/bin/env bash
# Installs the Debian packages named as arguments that are not there yet. Asks nothing, says what it
# does; works as root or with sudo. Sourced by quickstart.sh and tests/run.sh.

# Everything that the build needs.
genossm_build_packages=(
  g++ cmake ninja-build pkg-config
  libhts-dev libtbb-dev libdnnl-dev libhwy-dev libeigen3-dev libcli11-dev nlohmann-json3-dev
  zlib1g-dev ocl-icd-opencl-dev libhdf5-dev libbigwig-dev libblosc-dev
)
# What the tests need beside it.
genossm_test_packages=(libgtest-dev samtools bcftools python3 python3-numpy
  python3-h5py python3-anndata python3-zarr python3-pybigwig
  snakemake slurm-wlm munge lintian dpkg-dev file
  man-db groff zsh fish)

genossm_install() {
  local missing=() package
  if ! command -v dpkg-query >/dev/null; then
    echo "This is not a Debian system; please see that these are installed: $*"
    return 0
  fi
  for package in "$@"; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing+=("$package")
    fi
  done
  if [ ${#missing[@]} -eq 0 ]; then
    return 0
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "error: these packages are missing, and this is neither root nor is there sudo: ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "Installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

# The build folder of this machine: CUDA where a GPU is present, else the CPU preset.
genossm_preset() {
  if command -v nvcc >/dev/null && command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
    echo cuda
  else
    echo cpu
  fi
}

# The build folder of the tests: all CUDA code is compiled wherever there is a compiler for it; the
# tests that need a GPU skip without one.
genossm_test_preset() {
  if command -v nvcc >/dev/null; then echo cuda; else echo cpu; fi
}

# Parallel jobs that the memory allows: a compilation takes up to about 1.5 GB.
genossm_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo)
  [ "$memory" -lt 1 ] && memory=1
  echo $((cores < memory ? cores : memory))
}
