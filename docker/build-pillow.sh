#!/bin/sh
# Build a Pillow wheel with only what Visage uses, the JPEG decoder and Little CMS: docker/build-pillow.sh DIRECTORY
#
# PyPI's wheel brings 16 MB of codecs and fonts. The script runs on Alpine and Debian. It needs a C compiler, Python with
# headers and pip, and the headers of libjpeg-turbo and Little CMS, whose shared libraries the wheel uses. PYTHON selects
# the interpreter (default: python3); the wheel works only with that version.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: docker/build-pillow.sh DIRECTORY}"

LDFLAGS="${LDFLAGS:-} -Wl,-s"
export LDFLAGS

# pip verifies the checksum. Its cache is off, because it may contain a wheel with other options.
"${PYTHON:-python3}" -m pip wheel --quiet --no-cache-dir --no-deps --no-binary pillow --require-hashes \
  --requirement "$here/pillow.txt" --wheel-dir "$1"
