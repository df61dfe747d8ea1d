#!/bin/sh
# Make a wheel of numpy without libraries for linear algebra, which Visage has no use for: docker/build-numpy.sh DIRECTORY
#
# In PyPI's these, and the Fortran that they are written in, are 33 MB. numpy then does with its own code what they would
# do faster: products of matrices, which OpenCV computes itself where Visage wants them. It runs on Alpine and on Debian;
# wanted are a C++ compiler and Python with pip; PYTHON names the interpreter (python3), for which alone the wheel is.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?name the directory for the wheel}"

# The C++ library comes into its modules, as into OpenCV's.
LDFLAGS="${LDFLAGS:-} -static-libstdc++ -static-libgcc -Wl,-s"
export LDFLAGS

# pip compares the checksum. In its cache there may be a wheel that was compiled otherwise.
"${PYTHON:-python3}" -m pip wheel --quiet --no-cache-dir --no-deps --no-binary numpy --require-hashes \
  --requirement "$here/numpy.txt" --wheel-dir "$1"
