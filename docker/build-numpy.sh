#!/bin/sh
# Build a numpy wheel without linear algebra libraries: docker/build-numpy.sh DIRECTORY
#
# In PyPI's wheel, OpenBLAS and the Fortran runtime take 33 MB. Without them numpy multiplies matrices more slowly, but
# Visage leaves matrix products to OpenCV. The script runs on Alpine and Debian. It needs a C++ compiler and Python with
# pip. PYTHON selects the interpreter (default: python3); the wheel works only with that version.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: docker/build-numpy.sh DIRECTORY}"

# Link the C++ library statically, as in the OpenCV wheel.
LDFLAGS="${LDFLAGS:-} -static-libstdc++ -static-libgcc -Wl,-s"
export LDFLAGS

# pip verifies the checksum. Its cache is off, because it may contain a wheel with other options.
"${PYTHON:-python3}" -m pip wheel --quiet --no-cache-dir --no-deps --no-binary numpy --require-hashes \
  --requirement "$here/numpy.txt" --wheel-dir "$1"
