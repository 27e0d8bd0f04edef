"""A file system that refuses operations, as network shares and drives in WSL do.

It is a library that programs load before their own (``LD_PRELOAD``), made with the C compiler.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int number(void) { return atoi(getenv("REFUSED_ERRNO")); }
static int refuse(void) { errno = number(); return -1; }

int chmod(const char *path, mode_t mode) { return refuse(); }
int fchmod(int file, mode_t mode) { return refuse(); }
int fchmodat(int folder, const char *path, mode_t mode, int flags) { return refuse(); }
int fsync(int file) { return refuse(); }
int fdatasync(int file) { return refuse(); }
int flock(int file, int operation) { return refuse(); }
int link(const char *from, const char *to) { return refuse(); }
int linkat(int a, const char *from, int b, const char *to, int flags) { return refuse(); }
int posix_fallocate(int file, off_t offset, off_t size) { return number(); }
int posix_fallocate64(int file, off_t offset, off_t size) { return number(); }
int posix_fadvise(int file, off_t offset, off_t size, int advice) { return number(); }
int posix_fadvise64(int file, off_t offset, off_t size, int advice) { return number(); }

static int extend(int file, off_t size, const char *name)
{
    struct stat status;
    if (!fstat(file, &status) && size > status.st_size) return refuse();
    return ((int (*)(int, off_t)) dlsym(RTLD_NEXT, name))(file, size);
}
int ftruncate(int file, off_t size) { return extend(file, size, "ftruncate"); }
int ftruncate64(int file, off_t size) { return extend(file, size, "ftruncate64"); }

static int is_open(const char *path)
{
    char real[PATH_MAX], link[PATH_MAX], target[PATH_MAX];
    struct dirent *entry;
    int found = 0;
    DIR *files = opendir("/proc/self/fd");
    if (!files || !realpath(path, real)) return 0;
    while ((entry = readdir(files))) {
        snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        ssize_t length = readlink(link, target, sizeof target - 1);
        if (length <= 0) continue;
        target[length] = 0;
        found |= !strcmp(target, real);
    }
    closedir(files);
    return found;
}
int rename(const char *from, const char *to)
{
    if (is_open(from) || is_open(to)) return refuse();
    if (getenv("REFUSED_REPLACE") && !access(to, F_OK)) return refuse();
    return ((int (*)(const char *, const char *)) dlsym(RTLD_NEXT, "rename"))(from, to);
}
"""


def is_possible() -> bool:
    return shutil.which("gcc") is not None


def compiled(folder: Path) -> Path:
    """Compile the library in this folder; return its path."""
    library, source = folder / "refusing.so", folder / "refusing.c"
    source.write_text("#include <stdio.h>\n" + _SOURCE)
    command = ["gcc", "-w", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


def refusing(library: Path, name: str, **more: str) -> dict[str, str]:
    """Return the environment of a program whose file system answers with this error's name."""
    return {"LD_PRELOAD": str(library), "REFUSED_ERRNO": str(getattr(errno, name)), **more}
