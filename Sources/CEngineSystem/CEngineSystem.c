#define _GNU_SOURCE
#include "CEngineSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/vfs.h>

int csystem_allocate(int fd, int64_t offset, int64_t length) {
    return fallocate(fd, 0, offset, length) == 0 ? 0 : errno;
}

void csystem_name_thread(const char *name) {
    (void)pthread_setname_np(pthread_self(), name);
}

int csystem_lock(int fd, int exclusive) {
    return flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 ? 0 : errno;
}

void csystem_unlock(int fd) { (void)flock(fd, LOCK_UN); }

int csystem_openat(int directory, const char *path, int flags, unsigned mode) {
    int fd = openat(directory, path, flags, mode);
    return fd >= 0 ? fd : -errno;
}

void csystem_black_hole(const void *pointer) {
    __asm__ volatile("" : : "r"(pointer) : "memory");
}

int64_t csystem_file_system_type(const char *path) {
    struct statfs system;
    return statfs(path, &system) == 0 ? (int64_t)system.f_type : -1;
}
