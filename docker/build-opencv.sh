#!/bin/sh
# Make a wheel of OpenCV with nothing but what Visage uses: docker/build-opencv.sh DIRECTORY
#
# The wheel comes to DIRECTORY and fits every Python from 3.7 on this C library and this kind of processor. On x86-64 all
# is compiled twice, for any processor and for those with AVX-512, and the wheel chooses (docker/choose_cv2.py). It runs on
# Alpine and on Debian; wanted are GCC, make, cmake, patch, nasm (for the JPEG reader on x86-64), and Python with pip,
# venv and its headers. Clang (CC and CXX name compilers) makes as fast a part for AVX-512, and a slower one for others.
# docker/opencv.patch makes nets faster. Environment variables choose:
#   PYTHON         the interpreter (python3)
#   JOBS           compilers at a time (all cores)
#   CPU_BASELINE   instructions that every processor must have (OpenCV's own choice: SSE3 or NEON); then all is compiled
#                  once, for these alone
#   CPU_DISPATCH   those that are used where there are (OpenCV's own choice)
#   FLAGS          options for the compiler (-O3)
#   BUILD          where to compile (a temporary directory, which is deleted)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?name the directory for the wheel}"
wheels=$(cd "$1" && pwd)
python=${PYTHON:-python3}
jobs=${JOBS:-$(nproc)}

missing=
for command in "${CXX:-c++}" cmake make "$python" patch; do
  command -v "$command" >/dev/null || missing="$missing $command"
done
case $(uname -m) in
  x86_64) command -v nasm >/dev/null || missing="$missing nasm" ;;
esac
if command -v "$python" >/dev/null &&
  ! "$python" -c 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null
then
  missing="$missing Python.h"
fi
if [ -n "$missing" ]; then
  echo "not installed:$missing" >&2
  exit 1
fi

if [ -z "${BUILD:-}" ]; then
  BUILD=$(mktemp -d)
  trap 'rm -rf "$BUILD"' EXIT
fi
mkdir -p "$BUILD/sdist" "$BUILD/source"

# pip compares the checksum. What it wants for itself to look at the source is not compiled. Headers of any numpy 2 make
# a module for all of them; these are of the one that the image has.
"$python" -m pip download --quiet --no-deps --no-binary opencv-python-headless --require-hashes --dest "$BUILD/sdist" \
  --requirement "$here/opencv.txt"
tar -xzf "$BUILD"/sdist/*.tar.gz -C "$BUILD/source" --strip-components 1
(cd "$BUILD/source/opencv" && patch -p1 <"$here/opencv.patch")
"$python" -m venv "$BUILD/venv"
"$BUILD/venv/bin/python" -m pip install --quiet --only-binary :all: "$(grep -o '^numpy==[0-9.]*' "$here/numpy.txt")"
headers=$("$BUILD/venv/bin/python" -c 'import numpy; print(numpy.get_include())')

# Everything that OpenCV brings along is compiled from there, and linked into the one module; nothing is downloaded.
# The C++ library too, so that the wheel needs none.
set -- \
  -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_C_FLAGS_RELEASE="${FLAGS:--O3} -DNDEBUG" \
  -DCMAKE_CXX_FLAGS_RELEASE="${FLAGS:--O3} -DNDEBUG" \
  -DCMAKE_MODULE_LINKER_FLAGS="-static-libstdc++ -static-libgcc -Wl,--gc-sections" \
  -DBUILD_LIST=core,imgproc,imgcodecs,dnn,python3 \
  -DBUILD_SHARED_LIBS=OFF \
  -DOPENCV_FORCE_3RDPARTY_BUILD=ON \
  -DBUILD_TESTS=OFF -DBUILD_PERF_TESTS=OFF -DBUILD_DOCS=OFF -DBUILD_EXAMPLES=OFF -DBUILD_opencv_apps=OFF \
  -DBUILD_JAVA=OFF -DBUILD_ITT=OFF -DBUILD_IPP_IW=OFF \
  -DWITH_JPEG=ON -DWITH_PNG=ON -DWITH_WEBP=ON \
  -DWITH_AVIF=OFF -DWITH_TIFF=OFF -DWITH_OPENJPEG=OFF -DWITH_JASPER=OFF -DWITH_OPENEXR=OFF \
  -DWITH_IMGCODEC_GIF=OFF -DWITH_IMGCODEC_HDR=OFF -DWITH_IMGCODEC_PFM=OFF -DWITH_IMGCODEC_PXM=OFF \
  -DWITH_IMGCODEC_SUNRASTER=OFF \
  -DWITH_PROTOBUF=ON -DWITH_FLATBUFFERS=OFF -DWITH_QUIRC=OFF \
  -DWITH_PTHREADS_PF=ON \
  -DWITH_IPP=OFF -DWITH_ITT=OFF -DWITH_OPENCL=OFF -DWITH_LAPACK=OFF -DWITH_EIGEN=OFF -DWITH_KLEIDICV=OFF \
  -DWITH_VA=OFF -DWITH_VA_INTEL=OFF -DWITH_FFMPEG=OFF -DWITH_GSTREAMER=OFF -DWITH_V4L=OFF -DWITH_GTK=OFF \
  -DWITH_1394=OFF -DWITH_OBSENSOR=OFF -DWITH_VTK=OFF -DWITH_CUDA=OFF \
  -DCV_TRACE=OFF \
  -DBUILD_opencv_python2=OFF -DBUILD_opencv_python3=ON \
  -DPYTHON3_LIMITED_API=ON \
  -DOPENCV_SKIP_PYTHON_LOADER=ON \
  -DOPENCV_PYTHON3_INSTALL_PATH=python \
  -DPYTHON3_EXECUTABLE="$BUILD/venv/bin/python" \
  -DPYTHON3_INCLUDE_DIR="$("$BUILD/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')" \
  -DPYTHON3_LIBRARY=not-linked \
  -DPYTHON3_NUMPY_INCLUDE_DIRS="$headers"
if [ -n "${CPU_DISPATCH:-}" ]; then set -- "$@" "-DCPU_DISPATCH=$CPU_DISPATCH"; fi

# compile DIRECTORY OPTION...: leaves DIRECTORY/lib/.../cv2.abi3.so
compile() {
  directory=$1
  shift
  cmake -S "$BUILD/source/opencv" -B "$directory" "$@"
  cmake --build "$directory" --parallel "$jobs" --target opencv_python3
  strip "$(module "$directory")"
}
module() {
  find "$1/lib" -name 'cv2.abi3.so'
}

avx512=
if [ -n "${CPU_BASELINE:-}" ]; then
  compile "$BUILD/cmake" "$@" "-DCPU_BASELINE=$CPU_BASELINE"
else
  compile "$BUILD/cmake" "$@"
  if [ "$(uname -m)" = x86_64 ]; then
    # Nothing is left to be chosen at run time.
    compile "$BUILD/cmake-avx512" "$@" -DCPU_BASELINE=AVX512_SKX -DCPU_DISPATCH=AVX512_SKX
    avx512=$(module "$BUILD/cmake-avx512")
  fi
fi
# For type checkers alone: a wheel without them serves as well.
stubs=$BUILD/cmake/modules/python_bindings_generator/cv2
if [ ! -e "$stubs/__init__.pyi" ]; then
  echo "OpenCV has written down no types; the wheel has none." >&2
  stubs=
fi
"$BUILD/venv/bin/python" "$here/wheel.py" "$(module "$BUILD/cmake")" "$wheels" "$BUILD/source/opencv/LICENSE" \
  "$BUILD/source/LICENSE-3RD-PARTY.txt" ${avx512:+--avx512 "$avx512"} ${stubs:+--stubs "$stubs"} \
  --requirement "$here/opencv.txt"
