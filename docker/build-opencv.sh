#!/bin/sh
# Build an OpenCV wheel with only the modules that Visage uses: docker/build-opencv.sh DIRECTORY
#
# The wheel works with Python 3.7 and later, on this machine's C library and architecture. It has no type stubs. The script
# runs on Alpine and Debian. It needs GCC, make, cmake, patch, nasm (on x86-64, for the JPEG decoder), and Python with pip,
# venv and headers. Environment variables:
#   PYTHON         interpreter (default: python3)
#   JOBS           parallel compiler processes (default: number of cores)
#   CPU_BASELINE   instruction sets that every processor must have (default: SSE4_2 on x86-64, which numpy needs, too;
#                  OpenCV's on ARM)
#   CPU_DISPATCH   instruction sets to use where available (default: AVX,AVX2,AVX512_SKX on x86-64;
#                  OpenCV's on ARM)
#   FLAGS          compiler options (default: -O3)
#   BUILD          build directory (default: a temporary directory, deleted at the end)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: docker/build-opencv.sh DIRECTORY}"
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

# pip verifies the checksum. A module built with the headers of any numpy 2 works with every numpy 2; these are the
# headers of the image's numpy.
"$python" -m pip download --quiet --no-deps --no-binary opencv-python-headless --require-hashes --dest "$BUILD/sdist" \
  --requirement "$here/opencv.txt"
tar -xzf "$BUILD"/sdist/*.tar.gz -C "$BUILD/source" --strip-components 1
# Each patch begins with its reason.
for change in opencv-avx512-depthwise opencv-avx512; do
  (cd "$BUILD/source/opencv" && patch -p1 <"$here/$change.patch")
done
"$python" -m venv "$BUILD/venv"
"$BUILD/venv/bin/python" -m pip install --quiet --only-binary :all: "$(grep -o '^numpy==[0-9.]*' "$here/numpy.txt")"
headers=$("$BUILD/venv/bin/python" -c 'import numpy; print(numpy.get_include())')

# Build OpenCV's bundled third-party libraries and link them statically into the one module, as well as the C++ library.
# Nothing is downloaded.
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
case $(uname -m) in
  x86_64) set -- "$@" -DCPU_BASELINE="${CPU_BASELINE:-SSE4_2}" -DCPU_DISPATCH="${CPU_DISPATCH:-AVX,AVX2,AVX512_SKX}" ;;
  *)
    if [ -n "${CPU_BASELINE:-}" ]; then set -- "$@" -DCPU_BASELINE="$CPU_BASELINE"; fi
    if [ -n "${CPU_DISPATCH:-}" ]; then set -- "$@" -DCPU_DISPATCH="$CPU_DISPATCH"; fi
    ;;
esac

cmake -S "$BUILD/source/opencv" -B "$BUILD/cmake" "$@"
cmake --build "$BUILD/cmake" --parallel "$jobs" --target opencv_python3
module=$(find "$BUILD/cmake/lib" -name 'cv2.abi3.so')
strip "$module"
"$BUILD/venv/bin/python" "$here/wheel.py" "$module" "$wheels" "$BUILD/source/opencv/LICENSE" \
  "$BUILD/source/LICENSE-3RD-PARTY.txt" --requirement "$here/opencv.txt"
