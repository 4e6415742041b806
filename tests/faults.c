/* System calls that fail on demand, for tests: LD_PRELOAD this library and set FAULTS to rules
   CALL:ERRNO:PATTERN separated by semicolons, such as "flock:37:*.lock;write:28:*.jsonl".

   CALL is one of
     flock    a lock of a file, of any kind
     syncdir  fsync of a folder
     write    a write to a file, in any of its forms
     change   whatever changes a folder's entries or opens a file for writing
     read     opening a file for reading
     link     making a hard link
   ERRNO is a number; PATTERN is compared, as by a shell, with the absolute path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

/* Whether a call on a path is to fail; sets errno. */
static int fails(const char *call, const char *path) {
  const char *rules = getenv("FAULTS");
  char copy[4096], *state = NULL;
  if (rules == NULL) return 0;
  snprintf(copy, sizeof copy, "%s", rules);
  for (char *rule = strtok_r(copy, ";", &state); rule; rule = strtok_r(NULL, ";", &state)) {
    char *number = strchr(rule, ':');
    char *pattern = number ? strchr(number + 1, ':') : NULL;
    if (pattern == NULL || strncmp(rule, call, strlen(call)) || rule + strlen(call) != number)
      continue;
    if (fnmatch(pattern + 1, path, 0) == 0) {
      errno = atoi(number + 1);
      return 1;
    }
  }
  return 0;
}

static int fails_at(const char *call, int folder, const char *path) {
  char start[PATH_MAX], link[64], full[2 * PATH_MAX];
  if (path[0] == '/') return fails(call, path);
  if (folder == AT_FDCWD) {
    if (getcwd(start, sizeof start) == NULL) return 0;
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t count = readlink(link, start, sizeof start - 1);
    if (count < 0) return 0;
    start[count] = 0;
  }
  snprintf(full, sizeof full, "%s/%s", start, path);
  return fails(call, full);
}

static int fails_on(const char *call, int descriptor) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t count = readlink(link, path, sizeof path - 1);
  if (count < 0) return 0;
  path[count] = 0;
  return fails(call, path);
}

int flock(int descriptor, int operation) {
  return fails_on("flock", descriptor) ? -1 : REAL(flock)(descriptor, operation);
}

/* Locks of ranges, which file systems without flock lack too; other commands go through. */
#define FCNTL(name)                                                             \
  int name(int descriptor, int command, ...) {                                  \
    va_list rest;                                                               \
    va_start(rest, command);                                                    \
    void *argument = va_arg(rest, void *);                                      \
    va_end(rest);                                                               \
    int locks = command == F_SETLK || command == F_SETLKW ||                    \
                command == F_OFD_SETLK || command == F_OFD_SETLKW;              \
    if (locks && fails_on("flock", descriptor)) return -1;                      \
    return REAL(name)(descriptor, command, argument);                           \
  }

FCNTL(fcntl)
FCNTL(fcntl64)

int fsync(int descriptor) {
  struct stat about;
  if (fstat(descriptor, &about) == 0 && S_ISDIR(about.st_mode) && fails_on("syncdir", descriptor))
    return -1;
  return REAL(fsync)(descriptor);
}

ssize_t write(int descriptor, const void *data, size_t count) {
  return fails_on("write", descriptor) ? -1 : REAL(write)(descriptor, data, count);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  return fails_on("write", descriptor) ? -1 : REAL(writev)(descriptor, parts, count);
}

ssize_t pwrite(int descriptor, const void *data, size_t count, off_t at) {
  return fails_on("write", descriptor) ? -1 : REAL(pwrite)(descriptor, data, count, at);
}

ssize_t pwrite64(int descriptor, const void *data, size_t count, off64_t at) {
  return fails_on("write", descriptor) ? -1 : REAL(pwrite64)(descriptor, data, count, at);
}

#define OPEN(name)                                                                    \
  int name(const char *path, int flags, ...) {                                        \
    va_list rest;                                                                     \
    va_start(rest, flags);                                                            \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;         \
    va_end(rest);                                                                     \
    const char *call = flags & (O_WRONLY | O_RDWR | O_CREAT) ? "change" : "read";     \
    return fails_at(call, AT_FDCWD, path) ? -1 : REAL(name)(path, flags, mode);       \
  }

#define OPENAT(name)                                                                  \
  int name(int folder, const char *path, int flags, ...) {                            \
    va_list rest;                                                                     \
    va_start(rest, flags);                                                            \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;         \
    va_end(rest);                                                                     \
    const char *call = flags & (O_WRONLY | O_RDWR | O_CREAT) ? "change" : "read";     \
    return fails_at(call, folder, path) ? -1 : REAL(name)(folder, path, flags, mode); \
  }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int mkdir(const char *path, mode_t mode) {
  return fails_at("change", AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}

int unlink(const char *path) {
  return fails_at("change", AT_FDCWD, path) ? -1 : REAL(unlink)(path);
}

int rename(const char *from, const char *to) {
  if (fails_at("change", AT_FDCWD, from) || fails_at("change", AT_FDCWD, to)) return -1;
  return REAL(rename)(from, to);
}

int link(const char *from, const char *to) {
  if (fails_at("change", AT_FDCWD, to) || fails_at("link", AT_FDCWD, to)) return -1;
  return REAL(link)(from, to);
}

int linkat(int one, const char *from, int two, const char *to, int flags) {
  if (fails_at("change", two, to) || fails_at("link", two, to)) return -1;
  return REAL(linkat)(one, from, two, to, flags);
}
