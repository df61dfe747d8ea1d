#!/bin/sh
# Build the image's software against musl and test it, without a container engine: docker/musl.sh DIRECTORY
#
# For Debian on x86-64. DIRECTORY receives and keeps zig as the compiler (from PyPI), musl, CPython with its libraries
# and jemalloc (from the sources of Debian trixie), OpenCV and numpy (by build-opencv.sh and build-numpy.sh), and PyPI's
# wheels for musl. A second run skips the finished parts. The script then starts Visage as the Dockerfile does, on PORT
# (default: 18099), and runs smoke.sh.
#
# The image differs: it has Alpine's musl, and a newer Python compiled by GCC. The script needs curl, make, cmake, nasm,
# autoconf, automake, libtool, tclsh, perl, Python with pip and venv, and access to a Debian mirror and PyPI.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: docker/musl.sh DIRECTORY}"
work=$(cd "$1" && pwd)
jobs=${JOBS:-$(nproc)}
port=${PORT:-18099}
cd "$work"
mkdir -p bin sources wheels apt/lists/partial apt/archives/partial

# A separate apt configuration leaves the system's package lists and sources unchanged.
cat >apt/sources.list <<EOF
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main
deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main
EOF
cat >apt/configuration <<EOF
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$work/apt/lists";
Dir::Cache "$work/apt";
EOF
if [ ! -e musl ]; then
  (
    cd sources
    export APT_CONFIG="$work/apt/configuration"
    apt-get --quiet update
    for package in zlib libffi openssl sqlite3 python3.13 jemalloc; do apt-get --quiet source --tar-only "$package"; done
    apt-get --quiet download musl
  )
  for archive in sources/*.orig.tar.*; do
    name=${archive##*/}
    mkdir -p "sources/${name%%_*}"
    tar -xf "$archive" -C "sources/${name%%_*}" --strip-components 1
  done
  dpkg --extract sources/musl_*.deb musl
fi

# Set the stack size to musl's default for threads, 128 KiB. zig's linker would request 16 MB.
if [ ! -e zig ]; then
  python3 -m venv zig
  zig/bin/python -m pip install --quiet ziglang==0.17.1
fi
zig=$(zig/bin/python -c 'import ziglang; print(ziglang.__path__[0])')/zig
options="-target x86_64-linux-musl -dynamic -fno-sanitize=undefined -Wno-date-time -Wl,-z,stack-size=131072"
options="$options -Wl,--dynamic-linker=$work/musl/usr/lib/ld-musl-x86_64.so.1"
# zig's linker does not support --exclude-libs, with which OpenCV hides the symbols of its bundled libraries.
wrap() {
  cat >"bin/$1" <<EOF
#!/bin/sh
for each in "\$@"; do
  shift
  case \$each in -Wl,--exclude-libs*) ;; *) set -- "\$@" "\$each" ;; esac
done
exec $2 "\$@"
EOF
  chmod +x "bin/$1"
}
wrap cc "$zig cc $options"
wrap c++ "$zig c++ $options"
wrap ar "$zig ar"
wrap ranlib "$zig ranlib"
export ZIG_GLOBAL_CACHE_DIR="$work/zigcache"
export PATH="$work/bin:$PATH" CC=cc CXX=c++ AR=ar RANLIB=ranlib

prefix=$work/python
compile() {
  [ ! -e "made-$1" ] || return 0
  (cd "sources/$1" && "make_$1") >"log-$1" 2>&1
  touch "made-$1"
}
make_zlib() {
  ./configure --static --prefix="$prefix" && make -j"$jobs" install
}
make_libffi() {
  ./autogen.sh && ./configure --disable-shared --disable-docs --with-pic --prefix="$prefix" --libdir="$prefix/lib" &&
    make -j"$jobs" install
}
make_openssl() {
  ./Configure linux-x86_64 no-shared no-module no-apps no-tests no-docs no-quic no-cmp -O1 \
    --prefix="$prefix" --libdir=lib && make -j"$jobs" install_dev
}
make_sqlite3() {
  ./configure --disable-tcl --prefix="$prefix" && make sqlite3.c sqlite3.h &&
    cc -O1 -fPIC -DSQLITE_THREADSAFE=1 -c sqlite3.c -o sqlite3.o && ar rcs "$prefix/lib/libsqlite3.a" sqlite3.o &&
    cp sqlite3.h sqlite3ext.h "$prefix/include"
}
# THREAD_STACK_SIZE is that of the official Python image for Alpine. configure detects musl by __DEFINED_va_list, which
# musl's headers define, but zig's do not.
make_python() {
  CPP="cc -E -D__DEFINED_va_list" PKG_CONFIG_LIBDIR="$prefix/lib/pkgconfig" \
    CFLAGS="-I$prefix/include -DTHREAD_STACK_SIZE=0x100000" LDFLAGS="-L$prefix/lib" \
    LIBSQLITE3_CFLAGS="-I$prefix/include" LIBSQLITE3_LIBS="-L$prefix/lib -lsqlite3 -lm" \
    ./configure --prefix="$prefix" --with-openssl="$prefix" --disable-test-modules --with-ensurepip=install &&
    make -j"$jobs" && make install
}
# The image uses Alpine's package instead.
make_jemalloc() {
  ./configure --disable-cxx --disable-doc --prefix="$prefix" && make -j"$jobs" install_lib_shared
}
ln -sfn python3.13 sources/python
for part in zlib libffi openssl sqlite3 python jemalloc; do compile "$part"; done

if [ ! -e made-opencv ]; then
  PYTHON="$prefix/bin/python3" JOBS=$jobs BUILD="$work/opencv" "$here/build-opencv.sh" wheels >log-opencv 2>&1
  touch made-opencv
fi
if [ ! -e made-numpy ]; then
  PYTHON="$prefix/bin/python3" "$here/build-numpy.sh" wheels >log-numpy 2>&1
  touch made-numpy
fi

# Select the versions that the image's newer Python gets.
grep -hv 'python_version <' "$here/../requirements.txt" "$here/requirements.txt" | sed 's/ *;.*//' >requirements.txt
"$prefix/bin/python3" -m venv visage
visage/bin/python -m pip install --quiet --only-binary :all: --find-links wheels -r requirements.txt wheels/numpy-*.whl

cd "$here/.."
mkdir -p "$work/state"
LD_PRELOAD="$prefix/lib/libjemalloc.so.2" MALLOC_CONF=narenas:1 PORT=$port VISAGE_HOST=127.0.0.1 WEB_CONCURRENCY=2 \
  VISAGE_STATE_DIR="$work/state" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 "$work/visage/bin/gunicorn" app:app &
service=$!
trap 'kill "$service"; wait "$service"' EXIT
docker/smoke.sh "http://127.0.0.1:$port" docs/astronaut.jpg
